//! `-i`: capture on an interface, with the filter in the kernel.

use std::fs;
use std::path::Path;
use std::time::Duration;

use skep_packet::file::Interface;
use skep_packet::ring::{
    ANY, Capture, CaptureError, CaptureOptions, Directions, InterfaceChoice, LARGEST_SNAPLEN, Signal, Signals, Wait,
    default_interface, list_interfaces,
};
use skep_packet::write::{Precision, RotateClock};
use skep_packet::{LinkType, WriteOptions};

use super::attach::{Installed, install};
use super::expression::{Expression, Target, compile};
use super::output::{Next, Output, nanoseconds};
use super::read::print_count;
use super::source::end_requested;
use crate::args::FilterArgs;
use crate::failure::{Failure, note, say};

/// How long packets may wait in the kernel for others.
const DELAY: Duration = Duration::from_millis(100);

/// Captures until the user, `-c` or `-W` ends it.
pub fn run(args: &FilterArgs) -> Result<(), Failure> {
    let expression = Expression::of(args)?;
    check_without_privileges(&expression)?;
    let signals = catch_signals()?;
    let mut capture = open_capture(&capture_options(args, Some(signals))?)?;
    if let Some(link) = args.link.filter(|link| *link != capture.link()) {
        let (name, native) = (&capture.interface().name, capture.link());
        return Err(Failure::Usage(format!("{name} offers {native} and LINUX_SLL2, not {link}; `-L` lists them")));
    }
    let target = Target::live(capture.link(), netmask_of(&capture.interface().name, &expression));
    let filter = compile(&expression, target)?;
    let installed = install(&mut capture, &filter)?;
    let mut output = Output::open(args, &write_options(args, &capture), RotateClock::Wall)?;
    output.declare(&[description(&capture)]);
    if let Some(user) = &args.user {
        drop_privileges(args, user)?;
    }
    listening(&capture);
    let mut session = Session { args, capture, signals, installed, captured: 0, to_skip: args.skip };
    let outcome = session.run(&mut output);
    let finished = if matches!(outcome, Err(Failure::ClosedPipe)) { Ok(()) } else { output.finish() };
    if args.only_count {
        print_count(args, session.captured)?;
    }
    session.summary();
    outcome.and(finished)
}

struct Session<'a> {
    args: &'a FilterArgs,
    capture: Capture,
    signals: Signals,
    installed: Installed,
    captured: u64,
    to_skip: u64,
}

/// Why the loop over packets paused.
enum Pause {
    Empty,
    Signal,
    Enough,
}

impl Session<'_> {
    fn run(&mut self, output: &mut Output) -> Result<(), Failure> {
        let mut ending = false;
        loop {
            match self.packets(output)? {
                Pause::Enough => return Ok(()),
                Pause::Empty | Pause::Signal => {}
            }
            if end_requested(self.signals) {
                if ending {
                    return Ok(());
                }
                // What the kernel has let in already is still wanted.
                ending = true;
                self.capture.stop().map_err(Failure::run)?;
            }
            if self.signals.take(Signal::User1) {
                self.summary();
            }
            let _ = self.signals.take(Signal::User2);
            output.flush()?;
            let waited = self.capture.wait(ending.then_some(self.delay() * 2)).map_err(Failure::run)?;
            if ending && waited == Wait::TimedOut {
                return Ok(());
            }
        }
    }

    /// Handles the packets that are there.
    fn packets(&mut self, output: &mut Output) -> Result<Pause, Failure> {
        while let Some(packet) = self.capture.next_packet().map_err(Failure::run)? {
            if !self.installed.wants(&packet) {
                continue;
            }
            if self.to_skip > 0 {
                self.to_skip -= 1;
                continue;
            }
            self.captured += 1;
            let next = output.packet(&packet.to_packet())?;
            if next == Next::Enough || Some(self.captured) == self.args.count {
                return Ok(Pause::Enough);
            }
            if self.signals.any() {
                return Ok(Pause::Signal);
            }
        }
        Ok(Pause::Empty)
    }

    fn delay(&self) -> Duration {
        if self.args.immediate_mode { Duration::from_millis(1) } else { DELAY }
    }

    fn summary(&mut self) {
        print_summary(self.captured, &mut self.capture);
    }
}

/// Says what became of the packets, in the words of tcpdump.
pub fn print_summary(captured: u64, capture: &mut Capture) {
    let line = |count: u64, what: &str| say!("{count} packet{} {what}", if count == 1 { "" } else { "s" });
    line(captured, "captured");
    match capture.stats() {
        Ok(stats) => {
            line(stats.received, "received by filter");
            line(stats.dropped, "dropped by kernel");
        }
        Err(error) => note(&error.to_string()),
    }
}

/// Finds errors of the expression that do not depend on the link type before privileges are asked for.
fn check_without_privileges(expression: &Expression) -> Result<(), Failure> {
    let context = skep_lang_filter::parse::ParseContext::default();
    match skep_lang_filter::parse::parse(&expression.text, &context) {
        Ok(_) => Ok(()),
        // The other release's syntax is judged when compiling.
        Err(_) if expression.try_compile(Target::recording(LinkType::EN10MB)).is_ok() => Ok(()),
        Err(diagnostics) => Err(Failure::expression(&diagnostics, &expression.name, &expression.text)),
    }
}

/// Notes the signals that end or question a capture.
pub fn catch_signals() -> Result<Signals, Failure> {
    let all = [Signal::Interrupt, Signal::Terminate, Signal::Hangup, Signal::User1, Signal::User2];
    Signals::catch(&all).map_err(Failure::run)
}

/// How to capture, from the arguments.
pub fn capture_options(args: &FilterArgs, signals: Option<Signals>) -> Result<CaptureOptions, Failure> {
    let mut options = CaptureOptions::new(choice(args.interface.as_deref())?);
    options.snaplen = args.snaplen.unwrap_or(LARGEST_SNAPLEN);
    options.promiscuous = !args.no_promiscuous;
    if let Some(kib) = args.buffer_size {
        options.buffer = kib as usize * 1024;
    }
    options.delay = DELAY;
    if args.immediate_mode {
        options = options.immediate();
    }
    options.directions = args.direction.map_or(Directions::Both, Directions::from);
    options.cooked = args.link == Some(LinkType::LINUX_SLL2);
    options.waker = signals.and_then(Signals::waker);
    Ok(options)
}

/// The interface that was named, or the first that is up.
pub fn choice(name: Option<&str>) -> Result<InterfaceChoice, Failure> {
    match name {
        Some(ANY) => Ok(InterfaceChoice::Any),
        Some(name) => Ok(InterfaceChoice::Named(name.to_owned())),
        None => match default_interface().map_err(Failure::run)? {
            Some(info) => Ok(if info.index == 0 { InterfaceChoice::Any } else { InterfaceChoice::Index(info.index) }),
            None => {
                let text = "no interface is up; name one with -i, list them with -D, or read a recording with -r FILE";
                Err(Failure::Run(text.to_owned()))
            }
        },
    }
}

/// Opens a capture. If that is not allowed, the message also says what is possible without privileges.
pub fn open_capture(options: &CaptureOptions) -> Result<Capture, Failure> {
    Capture::open(options).map_err(|error| match error {
        CaptureError::NotPermitted => Failure::Run(format!("{error}; `-r FILE` reads a recording without privileges")),
        other => Failure::run(other),
    })
}

/// Name and link type of an interface where these can be had without opening it.
pub fn known_link(wanted: &str) -> Option<(String, LinkType)> {
    /// `ARPHRD_ETHER` and `ARPHRD_LOOPBACK`
    const ETHERNET: [u16; 2] = [1, 772];
    if wanted == ANY {
        return Some((ANY.to_owned(), LinkType::LINUX_SLL2));
    }
    let list = list_interfaces().ok()?;
    let numbered = || wanted.parse::<usize>().ok().and_then(|number| list.get(number.checked_sub(1)?));
    let info = list.iter().find(|info| info.name == wanted).or_else(numbered)?;
    match info.hardware {
        _ if info.index == 0 => Some((info.name.clone(), LinkType::LINUX_SLL2)),
        hardware if ETHERNET.contains(&hardware) => Some((info.name.clone(), LinkType::EN10MB)),
        _ => None,
    }
}

/// The mask of an interface's IPv4 network, as the routing table has it. Only looked up if the expression may need it.
pub fn netmask_of(interface: &str, expression: &Expression) -> Option<u32> {
    if !expression.text.contains("broadcast") {
        return None;
    }
    netmask_in(&fs::read_to_string("/proc/net/route").ok()?, interface)
}

/// `/proc/net/route` has one line per route: name, destination, gateway, flags, three counts, mask. Addresses are
/// hexadecimal words as they lie in memory.
fn netmask_in(routes: &str, interface: &str) -> Option<u32> {
    routes.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (name, gateway, mask) = (fields.first()?, fields.get(2)?, fields.get(7)?);
        let mask = u32::from_be(u32::from_str_radix(mask, 16).ok()?);
        (*name == interface && *gateway == "00000000" && mask != 0).then_some(mask)
    })
}

fn write_options(args: &FilterArgs, capture: &Capture) -> WriteOptions {
    let mut options = WriteOptions::new(capture.link());
    options.snaplen = capture.snaplen();
    options.precision = if nanoseconds(args) { Precision::Nano } else { Precision::Micro };
    options
}

/// The interface as a pcapng file describes it.
fn description(capture: &Capture) -> Interface {
    let name = Some(capture.interface().name.clone());
    Interface { link: capture.link(), snaplen: capture.snaplen(), link_extra: 0, digits: 9, name }
}

fn listening(capture: &Capture) {
    let link = capture.link();
    let description = link.description().unwrap_or("no description");
    let (name, snaplen) = (&capture.interface().name, capture.snaplen());
    say!("listening on {name}, link-type {link} ({description}), snapshot length {snaplen} bytes");
}

/// Becomes another user. Later files of a series must still be possible then, so that is tried out.
fn drop_privileges(args: &FilterArgs, user: &str) -> Result<(), Failure> {
    skep_kernel::drop_privileges(user).map_err(Failure::run)?;
    let rotating = args.file_size.is_some() || args.seconds.is_some();
    if let Some(path) = args.write.as_deref().filter(|_| rotating) {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let probe = directory.join(format!(".skep-{}", std::process::id()));
        if let Err(error) = fs::File::create_new(&probe) {
            let (place, reason) = (directory.display(), super::expression::plain(&error));
            return Err(Failure::Run(format!(
                "user `{user}` (-Z) cannot create the later files of the series in {place}: {reason}; make the \
                 directory writable for that user, or leave -Z out"
            )));
        }
        // It was ours a moment ago.
        let _ = fs::remove_file(&probe);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_come_from_the_route_of_the_interface() {
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                      eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                      eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                      eth1\t0000A8C0\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                      broken\n";
        let expected = |mask: u32| Some(if cfg!(target_endian = "little") { mask } else { mask.swap_bytes() });
        assert_eq!(netmask_in(routes, "eth0"), expected(0xffff_ff00));
        assert_eq!(netmask_in(routes, "eth1"), expected(0xffff_0000));
        assert_eq!(netmask_in(routes, "eth2"), None);
    }
}
