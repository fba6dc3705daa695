//! `skep firewall watch`: records of packets as lines.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;

use skep_firewall::live::force::{DIRECTORY, all_interfaces};
use skep_firewall::live::owners::Owners;
use skep_firewall::live::watch::{Event, Outcome, Wanted, Watch};
use skep_firewall::program::Hook;
use skep_firewall::rules::Direction;
use skep_kernel::Watch as Signals;
use skep_packet::print::{PrintOptions, Printer};
use skep_packet::{LinkType, Packet, Timestamp};

use crate::args::WatchArgs;
use crate::failure::{Failure, note};
use crate::text::TextOut;

/// `SIGINT`, `SIGTERM`, `SIGHUP` (signal(7)): they end it in good order.
const ENDING: [i32; 3] = [2, 15, 1];
/// Records that are taken out of the ring before they are printed.
const TOGETHER: usize = 1024;

/// Prints what becomes of packets until a signal comes or there are enough lines.
pub fn run(args: &WatchArgs) -> Result<(), Failure> {
    let wanted = Wanted { logs: !args.dropped, accepted: !args.dropped && !args.logged, dropped: !args.logged };
    let signals = Signals::new(&ENDING).map_err(Failure::run)?;
    let mut watch = Watch::new(Path::new(DIRECTORY), wanted).map_err(Failure::run)?;
    let mut lines = Lines::new(args);
    let mut out = TextOut::stdout(true)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut events = Vec::new();
    let mut in_force = true;
    while in_force && left > 0 && signals.signal().is_none() {
        in_force = watch
            .wait(|event| {
                events.push(event);
                if events.len() < TOGETHER { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .map_err(Failure::run)?;
        for event in events.drain(..) {
            if left == 0 {
                break;
            }
            left -= 1;
            let label = watch.label(&event);
            lines.line(&mut out.buffer, &event, &label);
        }
        out.flush()?;
    }
    match watch.lost() {
        0 => {}
        lost => note(&format!("packets that there was no room for: {lost}")),
    }
    if in_force { Ok(()) } else { Err(Failure::Run("the rules were taken out".to_owned())) }
}

/// Makes lines.
struct Lines {
    printer: Printer,
    owners: Option<Owners>,
    interfaces: HashMap<u32, String>,
    /// What is added to the monotonic clock for the time of day, in nanoseconds.
    offset: i64,
}

impl Lines {
    fn new(args: &WatchArgs) -> Self {
        let options = PrintOptions { numeric: true, no_checksums: true, ..PrintOptions::default() };
        Self {
            printer: Printer::new(options),
            owners: (!args.no_process).then(Owners::default),
            interfaces: HashMap::new(),
            offset: skep_firewall::live::watch::wall_offset(),
        }
    }

    fn line(&mut self, out: &mut Vec<u8>, event: &Event, label: &str) {
        let (hook, direction) = match event.hook {
            Hook::Xdp => ("xdp", Direction::In),
            Hook::Ingress => ("in", Direction::In),
            Hook::Egress => ("out", Direction::Out),
        };
        let outcome = match event.outcome {
            Outcome::Logged => "log",
            Outcome::Accepted => "accept",
            Outcome::Dropped => "drop",
            Outcome::Rejected => "reject",
        };
        let interface = self.interfaces.entry(event.interface).or_insert_with(|| {
            let all = all_interfaces().unwrap_or_default();
            let found = all.into_iter().find(|each| each.0 == event.interface);
            found.map_or_else(|| format!("interface {}", event.interface), |each| each.1)
        });
        let time = Timestamp(self.offset + event.time.cast_signed());
        let mut printed = Vec::new();
        self.printer.line(&mut printed, &Packet::new(time, &event.packet, event.length, LinkType(1)));
        // The time, then the packet.
        let printed = String::from_utf8_lossy(&printed);
        let (clock, packet) = printed.trim_end().split_once(' ').unwrap_or_default();
        let mut text = format!("{clock} {hook} {interface} {outcome} by {label} | {packet}");
        if let Some(owner) = self.owners.as_mut().and_then(|owners| owners.of(&event.packet, direction)) {
            let _ = write!(text, " | {} {}", owner.name, owner.pid);
        }
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    }
}
