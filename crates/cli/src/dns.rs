//! `skep dns`: DNS transactions of an interface or a recording. Pairing, choosing and formatting is done by
//! `skep_packet::dns`.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use skep_packet::dns::report::{self, Selection, Statistics};
use skep_packet::dns::{DomainSet, Event, Tracker, TrackerOptions};
use skep_packet::file::Compression;
use skep_packet::ring::{Capture, Signal, Signals, Wait};
use skep_packet::{LinkType, Packet, Timestamp};

use crate::args::{DnsArgs, FilterArgs};
use crate::failure::{Failure, say, say_part};
use crate::filter::{
    Expression, Installed, Stop, Target, capture_options, catch_signals, end_requested, finish_reading, install,
    open_capture, open_recording, print_summary,
};
use crate::progress::Progress;
use crate::text::TextOut;

/// How often unanswered queries are looked for while nothing arrives.
const TICK: Duration = Duration::from_millis(250);
/// A response may lie in the kernel for this long before we see it.
const GRACE: Duration = Duration::from_millis(300);

/// Shows DNS transactions.
pub fn run(args: &DnsArgs) -> Result<(), Failure> {
    let domains = DomainSet::new(&args.domains).map_err(|error| Failure::Usage(error.to_string()))?;
    let selection = Selection {
        domains,
        slower_than_ns: args.slow.map(|ms| ms.saturating_mul(1_000_000)),
        failed: args.failed,
        unanswered: args.unanswered,
        ..Selection::default()
    };
    let mut options =
        TrackerOptions { timeout_ns: u64::from(args.timeout) * 1_000_000_000, ..TrackerOptions::default() };
    if !args.port.is_empty() {
        options.ports.clone_from(&args.port);
    }
    let ports = options.ports.clone();
    let show = Show {
        args,
        selection,
        statistics: Statistics::default(),
        out: TextOut::stdout(args.line_buffered)?,
        shown: 0,
        failure: None,
    };
    let mut watch = Watch { tracker: Tracker::new(options), show };
    match &args.read {
        Some(path) => watch.recording(path),
        None => watch.interface(&ports),
    }
}

/// Pairs messages and shows what comes of it.
struct Watch<'a> {
    tracker: Tracker,
    show: Show<'a>,
}

/// Chooses, counts and prints events.
struct Show<'a> {
    args: &'a DnsArgs,
    selection: Selection,
    statistics: Statistics,
    out: TextOut,
    shown: u64,
    /// Of the output; noticed after the packet.
    failure: Option<Failure>,
}

impl Show<'_> {
    fn event(&mut self, event: &Event) {
        if self.is_complete() || !self.selection.accepts(event) {
            return;
        }
        self.statistics.add(event);
        self.shown += 1;
        if self.args.top.is_some() {
            return;
        }
        if self.args.json {
            report::json(&mut self.out.buffer, event);
            self.out.buffer.push(b'\n');
        } else {
            report::line(&mut self.out.buffer, event);
        }
        if let Err(failure) = self.out.line_done() {
            self.failure.get_or_insert(failure);
        }
    }

    /// Whether `-c` is reached or nobody listens any more.
    fn is_complete(&self) -> bool {
        self.failure.is_some() || self.args.count.is_some_and(|count| self.shown >= count)
    }
}

impl Watch<'_> {
    fn packet(&mut self, packet: &Packet<'_>) {
        let show = &mut self.show;
        self.tracker.packet(packet, &mut |event| show.event(&event));
    }

    fn heading(&mut self) -> Result<(), Failure> {
        if !self.show.args.json && self.show.args.top.is_none() {
            report::heading(&mut self.show.out.buffer);
            self.show.out.line_done()?;
        }
        Ok(())
    }

    fn recording(&mut self, path: &Path) -> Result<(), Failure> {
        let stop = Stop::new(catch_signals()?);
        let mut reader = open_recording(path, Some(&stop))?;
        self.heading()?;
        let total = reader.progress().total.filter(|_| reader.compression() == Compression::None);
        let mut progress = Progress::new(total, self.show.args.top.is_none());
        let mut read = 0;
        let outcome = loop {
            match reader.next() {
                Ok(Some(packet)) => {
                    read += 1;
                    progress.packet(packet.file_offset, read);
                    self.packet(&packet);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(Failure::run(error)),
            }
            if stop.requested() || self.show.is_complete() {
                break Ok(());
            }
        };
        progress.clear();
        let finished = self.finish();
        finish_reading(finished.and(outcome), &stop, read)
    }

    fn interface(&mut self, ports: &[u16]) -> Result<(), Failure> {
        let args = self.show.args;
        let signals = catch_signals()?;
        let wanted = FilterArgs {
            interface: args.interface.clone(),
            no_promiscuous: args.no_promiscuous,
            ..FilterArgs::default()
        };
        let mut capture = open_capture(&capture_options(&wanted, Some(signals))?)?;
        let installed = install_filter(&mut capture, ports)?;
        if let Some(user) = &args.user {
            skep_kernel::drop_privileges(user).map_err(Failure::run)?;
        }
        say!("listening on {}; Ctrl-C ends it with a summary", capture.interface().name);
        self.heading()?;
        let outcome = self.live(&mut capture, installed.as_ref(), signals);
        let finished = self.finish();
        print_summary(capture_count(&mut capture), &mut capture);
        finished.and(outcome)
    }

    fn live(&mut self, capture: &mut Capture, filter: Option<&Installed>, signals: Signals) -> Result<(), Failure> {
        let mut ending = false;
        loop {
            while let Some(packet) = capture.next_packet().map_err(Failure::run)? {
                if filter.is_none_or(|filter| filter.wants(&packet)) {
                    self.packet(&packet.to_packet());
                }
                if self.show.is_complete() || signals.any() {
                    break;
                }
            }
            let asked = end_requested(signals);
            if self.show.is_complete() || (ending && asked) {
                return Ok(());
            }
            if asked {
                ending = true;
                capture.stop().map_err(Failure::run)?;
            }
            if signals.take(Signal::User1) {
                print_summary(capture_count(capture), capture);
            }
            let _ = signals.take(Signal::User2);
            self.expire();
            self.show.out.flush()?;
            let waited = capture.wait(Some(TICK)).map_err(Failure::run)?;
            if ending && waited == Wait::TimedOut {
                return Ok(());
            }
        }
    }

    /// Tells queries whose time is over, although no packet says how late it is.
    fn expire(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(GRACE);
        let now = Timestamp(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX));
        let show = &mut self.show;
        self.tracker.expire(now, &mut |event| show.event(&event));
    }

    /// The last events, the tables and the summary.
    fn finish(&mut self) -> Result<(), Failure> {
        let show = &mut self.show;
        self.tracker.finish(&mut |event| show.event(&event));
        if let Some(failure) = show.failure.take() {
            return Err(failure);
        }
        let counts = self.tracker.counts();
        match (show.args.top, show.args.json) {
            (Some(top), true) => {
                show.statistics.json(&mut show.out.buffer, &counts, top);
                show.out.buffer.push(b'\n');
            }
            (Some(top), false) => show.statistics.summary(&mut show.out.buffer, &counts, top),
            (None, _) => {}
        }
        show.out.flush()?;
        if show.args.top.is_none() && !show.args.json {
            let mut text = Vec::new();
            show.statistics.summary(&mut text, &counts, 0);
            say_part!("{}", String::from_utf8_lossy(&text));
        }
        Ok(())
    }
}

fn capture_count(capture: &mut Capture) -> u64 {
    capture.stats().map_or(0, |stats| stats.captured)
}

/// Lets the kernel pass DNS only. On links that the filter language does not know, everything is looked at.
fn install_filter(capture: &mut Capture, ports: &[u16]) -> Result<Option<Installed>, Failure> {
    let target = Target::live(capture.link(), None);
    for text in expressions(ports, capture.link()) {
        if let Ok(filter) = Expression::internal(text).try_compile(target) {
            return install(capture, &filter).map(Some);
        }
    }
    capture.accept_all().map_err(Failure::run)?;
    Ok(None)
}

/// Filters for DNS, the best first.
///
/// Later fragments have no ports; they are let through to be counted. What IPv6 extension headers hide is looked for
/// here, except behind those in front of ICMPv6, which routers send all the time.
fn expressions(ports: &[u16], link: LinkType) -> Vec<String> {
    let mut terms: Vec<String> = ports.iter().map(|port| format!("udp port {port} or tcp port {port}")).collect();
    let plain = terms.join(" or ");
    terms.push("(ip[6:2] & 0x1fff != 0 and (ip[9] = 6 or ip[9] = 17))".to_owned());
    terms.push("(ip6[6] = 0 and ip6[40] != 58) or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 51 or ip6[6] = 60".to_owned());
    let all = terms.join(" or ");
    // A `vlan` shifts what stands behind it, so this covers no tag, one and two.
    let tagged = format!("{all} or (vlan and ({all} or (vlan and ({all}))))");
    if link == LinkType::EN10MB { vec![tagged, all, plain] } else { vec![all, plain] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_compile_where_they_are_used() {
        for link in [LinkType::EN10MB, LinkType::LINUX_SLL2, LinkType::RAW] {
            let best = expressions(&[53, 5353], link).swap_remove(0);
            for live in [false, true] {
                let target = Target { live, ..Target::live(link, None) };
                let result = Expression::internal(best.clone()).try_compile(target);
                assert!(result.is_ok(), "{link} {live}: {:?}", result.err());
            }
        }
    }
}
