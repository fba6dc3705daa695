//! `-r`: choose packets of a recording, then count, copy, print or save them.

use std::ops::ControlFlow;
use std::path::Path;

use skep_isa::classic::{Insn, Op, SKF_AD_OFF};
use skep_packet::file::{Compression, Direction, Encoding};
use skep_packet::write::{Precision, RotateClock};
use skep_packet::{LinkType, Packet, Reader, Verdict, WriteOptions, Writer};
use skep_vm::classic::Metadata;
use skep_vm::ebpf::ClassicFilter;

use super::expression::{Expression, Target, compile};
use super::live::catch_signals;
use super::output::{Next, Output, nanoseconds, prints};
use super::source::{self, Stop, finish_reading};
use crate::args::FilterArgs;
use crate::failure::{Failure, note, say};
use crate::progress::Progress;
use crate::text::print;

/// Reads a recording.
pub fn run(args: &FilterArgs, path: &Path) -> Result<(), Failure> {
    let expression = Expression::of(args)?;
    let stop = Stop::new(catch_signals()?);
    let mut reader = source::open(path, Some(&stop))?;
    let mut chooser = Chooser::new(args, &expression, &reader, stop.clone())?;
    banner(&reader, path, chooser.as_link);
    let outcome = if args.only_count && args.write.is_none() {
        count(&mut reader, &mut chooser)
    } else if copies(args) {
        copy(args, &mut reader, &mut chooser)
    } else {
        each(args, &mut reader, &mut chooser)
    };
    chooser.progress.clear();
    let outcome = finish_reading(outcome, &stop, chooser.read);
    if args.only_count && !matches!(outcome, Err(Failure::ClosedPipe)) {
        print_count(args, chooser.matched)?;
    }
    chooser.remark();
    outcome
}

/// Says what is read, in the words of tcpdump.
fn banner(reader: &Reader, path: &Path, as_link: Option<LinkType>) {
    let link = as_link.unwrap_or(reader.link());
    let snaplen = reader.interfaces().first().map_or(0, |interface| interface.snaplen);
    let description = link.description().unwrap_or("no description");
    let name = path.display();
    say!("reading from file {name}, link-type {link} ({description}), snapshot length {snaplen}");
}

/// The answer to `--count`.
pub fn print_count(args: &FilterArgs, packets: u64) -> Result<(), Failure> {
    if args.json {
        return print(&format!("{{\"packets\":{packets}}}\n"));
    }
    print(&format!("{packets} packet{}\n", if packets == 1 { "" } else { "s" }))
}

/// Whether packets go from file to file as they are.
fn copies(args: &FilterArgs) -> bool {
    let rotating = args.file_size.is_some() || args.seconds.is_some();
    args.write.is_some()
        && !prints(args)
        && !rotating
        && !args.packet_buffered
        && args.snaplen.is_none_or(|len| len == 0)
        && args.link.is_none()
}

fn count(reader: &mut Reader, chooser: &mut Chooser<'_>) -> Result<(), Failure> {
    let mut look = |packet: &Packet<'_>| match chooser.verdict(packet) {
        Verdict::Stop | Verdict::KeepAndStop => ControlFlow::Break(()),
        Verdict::Drop | Verdict::Keep => ControlFlow::Continue(()),
    };
    reader.each(&mut look).map_err(Failure::run)
}

fn copy(args: &FilterArgs, reader: &mut Reader, chooser: &mut Chooser<'_>) -> Result<(), Failure> {
    let Some(path) = &args.write else { return Ok(()) };
    let mut writer = Writer::create(path, &write_options(args, reader))?;
    // Everything accepted before a fault of the input is written, and the file is complete then.
    let copied = writer.copy(reader, |packet| chooser.verdict(packet));
    writer.finish()?;
    copied?;
    Ok(())
}

fn each(args: &FilterArgs, reader: &mut Reader, chooser: &mut Chooser<'_>) -> Result<(), Failure> {
    let mut output = Output::open(args, &write_options(args, reader), RotateClock::Packets)?;
    let outcome = each_packet(args, reader, chooser, &mut output);
    if matches!(outcome, Err(Failure::ClosedPipe)) {
        return outcome;
    }
    output.finish()?;
    outcome
}

fn each_packet(
    args: &FilterArgs,
    reader: &mut Reader,
    chooser: &mut Chooser<'_>,
    output: &mut Output,
) -> Result<(), Failure> {
    // A pipe may pause: what has arrived is shown first.
    let waits = reader.progress().total.is_none();
    let snaplen = args.snaplen.filter(|&len| len != 0).unwrap_or(u32::MAX);
    while let Some(mut batch) = reader.next_batch().map_err(Failure::run)? {
        while let Some(mut packet) = batch.next().map_err(Failure::run)? {
            let verdict = chooser.verdict(&packet);
            if matches!(verdict, Verdict::Keep | Verdict::KeepAndStop) {
                if batch.interfaces().len() > output.declared() {
                    output.declare(batch.interfaces());
                }
                packet = chooser.seen(packet).cut(snaplen);
                if output.packet(&packet)? == Next::Enough {
                    return Ok(());
                }
            }
            if matches!(verdict, Verdict::Stop | Verdict::KeepAndStop) {
                return Ok(());
            }
        }
        if waits {
            output.flush()?;
        }
    }
    Ok(())
}

fn write_options(args: &FilterArgs, reader: &Reader) -> WriteOptions {
    let mut options = WriteOptions::like(reader);
    if nanoseconds(args) {
        options.precision = Precision::Nano;
    }
    if let Some(link) = args.link {
        options.link = link;
    }
    options
}

/// Decides which packets of a recording are wanted, with one program per link type.
struct Chooser<'a> {
    expression: &'a Expression,
    /// `-y`: packets are taken to begin so, whatever the file says.
    as_link: Option<LinkType>,
    /// pcapng may know what the kernel knew: direction and interface.
    has_facts: bool,
    rules: Vec<(Kind, Rule)>,
    recent: usize,
    /// What programs are told about packets besides their bytes: nothing.
    no_facts: Metadata,
    /// Packets read.
    read: u64,
    to_skip: u64,
    /// Packets that match, without those skipped.
    matched: u64,
    limit: u64,
    /// Packets that were left out because the file does not know which way they went.
    undirected: u64,
    stop: Stop,
    progress: Progress,
}

/// Packets of one kind have one program: the link type, and whether the recording's byte order is the other one, which
/// is part of the format of BSD loopback packets.
type Kind = (LinkType, bool);

/// What decides about packets of one kind.
enum Rule {
    All,
    None,
    Filter(ClassicFilter),
    /// The program asks for facts that are not among the bytes.
    WithFacts {
        program: ClassicFilter,
        direction: bool,
    },
}

impl<'a> Chooser<'a> {
    fn new(args: &FilterArgs, expression: &'a Expression, reader: &Reader, stop: Stop) -> Result<Self, Failure> {
        let total = reader.progress().total.filter(|_| reader.compression() == Compression::None);
        let mut chooser = Self {
            expression,
            as_link: args.link,
            has_facts: reader.is_pcapng(),
            rules: Vec::new(),
            recent: 0,
            no_facts: Metadata::default(),
            read: 0,
            to_skip: args.skip,
            matched: 0,
            limit: args.count.unwrap_or(u64::MAX),
            undirected: 0,
            stop,
            progress: Progress::new(total, prints(args)),
        };
        let kind = (chooser.as_link.unwrap_or(reader.link()), false);
        let rule = chooser.rule(kind)?;
        chooser.rules.push((kind, rule));
        Ok(chooser)
    }

    fn rule(&self, (link, swapped): Kind) -> Result<Rule, Failure> {
        if self.expression.is_empty() {
            return Ok(Rule::All);
        }
        let target = Target { swapped, ..Target::recording(link) };
        let live = Target { live: true, ..target };
        if self.has_facts
            && self.expression.try_compile(target).is_err()
            && let Ok(filter) = self.expression.try_compile(live)
        {
            let direction = filter.program.iter().any(asks_for_direction);
            return Ok(Rule::WithFacts { program: runnable(&filter.program)?, direction });
        }
        Ok(Rule::Filter(runnable(&compile(self.expression, target)?.program)?))
    }

    /// The packet with the link type that the user says it has.
    #[inline]
    fn seen<'p>(&self, mut packet: Packet<'p>) -> Packet<'p> {
        if let Some(link) = self.as_link {
            packet.link = link;
        }
        packet
    }

    #[inline]
    fn verdict(&mut self, packet: &Packet<'_>) -> Verdict {
        self.read += 1;
        self.progress.packet(packet.file_offset, self.read);
        if self.stop.is_asked() && self.attend() {
            return Verdict::Stop;
        }
        if !self.matches(packet) {
            return Verdict::Drop;
        }
        if self.to_skip > 0 {
            self.to_skip -= 1;
            return Verdict::Drop;
        }
        self.matched += 1;
        if self.matched == self.limit { Verdict::KeepAndStop } else { Verdict::Keep }
    }

    /// Answers a signal; true if reading is to end.
    #[cold]
    fn attend(&mut self) -> bool {
        if self.stop.statistics() {
            self.progress.clear();
            say!("{} packets read, {} matched", self.read, self.matched);
        }
        self.stop.requested()
    }

    #[inline]
    fn matches(&mut self, packet: &Packet<'_>) -> bool {
        let link = self.as_link.unwrap_or(packet.link);
        // A pcap file whose records are not in our byte order comes from such a machine.
        let swapped = link == LinkType::NULL && !self.has_facts && packet.record().1 == Encoding::Other;
        if self.rules[self.recent].0 != (link, swapped) {
            self.find((link, swapped));
        }
        match &mut self.rules[self.recent].1 {
            Rule::All => true,
            Rule::None => false,
            Rule::Filter(program) => program.run(packet.data, packet.orig_len, &self.no_facts) != 0,
            Rule::WithFacts { direction: true, .. } if packet.direction.is_none() => {
                self.undirected += 1;
                false
            }
            Rule::WithFacts { program, .. } => program.run(packet.data, packet.orig_len, &facts(packet)) != 0,
        }
    }

    /// Makes the rule for a kind of packets the recent one; compiles if it is new.
    #[cold]
    fn find(&mut self, kind: Kind) {
        let known = self.rules.iter().position(|(one, _)| *one == kind);
        let link = kind.0;
        self.recent = known.unwrap_or_else(|| {
            let rule = self.rule(kind).unwrap_or_else(|failure| {
                self.progress.clear();
                note(&format!(
                    "warning: packets of link type {link} are left out, because the expression fails there:"
                ));
                let _ = failure.report();
                Rule::None
            });
            self.rules.push((kind, rule));
            self.rules.len() - 1
        });
    }

    /// Says at the end what the user would not expect.
    fn remark(&self) {
        if self.undirected > 0 {
            let count = self.undirected;
            note(&format!("warning: {count} packets were left out: the recording does not say which way they went"));
        }
    }
}

fn runnable(program: &[Insn]) -> Result<ClassicFilter, Failure> {
    ClassicFilter::new(program).map_err(Failure::run)
}

/// Number of the ancillary word that says who a packet was for (`SKF_AD_PKTTYPE`).
const PACKET_TYPE: u32 = SKF_AD_OFF.wrapping_add(4);

fn asks_for_direction(insn: &Insn) -> bool {
    matches!(insn.decode(), Some(Op::LdAbs(_, PACKET_TYPE)))
}

/// What a recording knows besides the bytes.
fn facts(packet: &Packet<'_>) -> Metadata {
    /// `PACKET_OUTGOING`
    const OUTGOING: u8 = 4;
    let packet_type = if packet.direction == Some(Direction::Outbound) { OUTGOING } else { 0 };
    Metadata { packet_type, ifindex: packet.ifindex, ..Metadata::default() }
}
