//! Where packets go: lines on standard output, a file, a series of files.

use std::collections::HashSet;

use skep_packet::file::Interface;
use skep_packet::print::{Dump, PrintOptions, Printer, TimeStyle};
use skep_packet::ring::interface_name;
use skep_packet::write::{RotateClock, RotatingWriter, Rotation, Wrote};
use skep_packet::{Packet, WriteOptions, Writer};

use super::postrotate::PostRotate;
use crate::args::{FilterArgs, Precision};
use crate::failure::Failure;
use crate::text::TextOut;

/// Whether more packets are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Yes.
    More,
    /// No: the last file of a series is complete.
    Enough,
}

/// Prints and saves packets.
pub struct Output {
    lines: Option<Lines>,
    files: Option<Files>,
    each_packet: bool,
    declared: usize,
}

struct Lines {
    printer: Printer,
    out: TextOut,
    numbered: bool,
    count: u64,
    named: HashSet<u32>,
}

enum Files {
    One(Writer),
    Series(Box<RotatingWriter>, PostRotate),
}

impl Output {
    /// Opens what the arguments ask for. Packets are printed unless they are saved or only counted.
    pub fn open(args: &FilterArgs, options: &WriteOptions, clock: RotateClock) -> Result<Self, Failure> {
        let rotating = args.file_size.is_some() || args.seconds.is_some();
        let files = match &args.write {
            None => None,
            Some(path) if rotating => {
                let rotation = Rotation { bytes: args.file_size, every: args.seconds, files: args.files, clock };
                let series = RotatingWriter::create(path, options, rotation)?;
                Some(Files::Series(Box::new(series), PostRotate::new(args.command.clone())))
            }
            Some(path) => Some(Files::One(Writer::create(path, options)?)),
        };
        let lines = if prints(args) { Some(Lines::new(args)?) } else { None };
        Ok(Self { lines, files, each_packet: args.packet_buffered, declared: 0 })
    }

    /// Tells a pcapng output about the interfaces that packets come from.
    pub fn declare(&mut self, all: &[Interface]) {
        for (number, interface) in (0u32..).zip(all).skip(self.declared) {
            match &mut self.files {
                Some(Files::One(writer)) => writer.declare(number, interface),
                Some(Files::Series(series, _)) => series.declare(number, interface),
                None => {}
            }
        }
        self.declared = all.len();
    }

    /// How many interfaces were declared.
    pub fn declared(&self) -> usize {
        self.declared
    }

    /// Prints and saves one packet.
    pub fn packet(&mut self, packet: &Packet<'_>) -> Result<Next, Failure> {
        let mut next = Next::More;
        match &mut self.files {
            Some(Files::One(writer)) => writer.write(packet)?,
            Some(Files::Series(series, post)) => match series.write(packet)? {
                Wrote::Same => {}
                Wrote::Rotated { closed } => post.run(&closed),
                Wrote::Finished { closed } => {
                    post.run(&closed);
                    next = Next::Enough;
                }
            },
            None => {}
        }
        if next == Next::More
            && let Some(lines) = &mut self.lines
        {
            lines.packet(packet)?;
        }
        if self.each_packet {
            self.flush()?;
        }
        Ok(next)
    }

    /// Hands everything to the system.
    pub fn flush(&mut self) -> Result<(), Failure> {
        match &mut self.files {
            Some(Files::One(writer)) => writer.flush()?,
            Some(Files::Series(series, post)) => {
                series.flush()?;
                post.reap();
            }
            None => {}
        }
        self.lines.as_mut().map_or(Ok(()), |lines| lines.out.flush())
    }

    /// Flushes and closes everything, and waits for commands that still run.
    pub fn finish(mut self) -> Result<(), Failure> {
        let printed = self.lines.as_mut().map_or(Ok(()), |lines| lines.out.flush());
        match self.files.take() {
            Some(Files::One(writer)) => {
                writer.finish()?;
            }
            Some(Files::Series(series, post)) => {
                series.finish()?;
                post.wait();
            }
            None => {}
        }
        printed
    }
}

/// Whether lines are printed.
pub fn prints(args: &FilterArgs) -> bool {
    args.print || (args.write.is_none() && !args.only_count)
}

/// Whether nanoseconds were asked for.
pub fn nanoseconds(args: &FilterArgs) -> bool {
    args.nano || args.time_stamp_precision == Some(Precision::Nano)
}

impl Lines {
    fn new(args: &FilterArgs) -> Result<Self, Failure> {
        let each_line = args.line_buffered || args.packet_buffered;
        Ok(Self {
            printer: Printer::new(print_options(args)),
            out: TextOut::stdout(each_line)?,
            numbered: args.number && !args.json,
            count: 0,
            named: HashSet::new(),
        })
    }

    #[inline]
    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Failure> {
        self.count += 1;
        if let Some(index) = packet.ifindex
            && packet.record().0.is_empty()
            && self.named.insert(index)
            && let Some(name) = interface_name(index)
        {
            // Only live packets have numbers of this machine's interfaces.
            self.printer.set_interface_name(index, &name);
        }
        if self.numbered {
            self.out.buffer.extend_from_slice(format!("{:5}  ", self.count).as_bytes());
        }
        self.printer.line(&mut self.out.buffer, packet);
        self.out.line_done()
    }
}

fn print_options(args: &FilterArgs) -> PrintOptions {
    let dumps = [(args.hex, Dump::Hex), (args.hex_ascii, Dump::HexAscii), (args.ascii, Dump::Ascii)];
    // tcpdump prefers the first of these if several are given.
    let (count, dump) =
        [dumps[2], dumps[1], dumps[0]].into_iter().find(|(count, _)| *count > 0).unwrap_or((0, Dump::None));
    PrintOptions {
        time: TimeStyle::from_count(args.time),
        nanos: nanoseconds(args),
        link: args.link_header,
        verbose: args.verbose.min(3),
        quiet: args.quiet,
        dump,
        dump_link: count > 1,
        numeric: args.numeric > 0,
        absolute_seq: args.absolute_seq,
        no_checksums: args.no_checksums,
        json: args.json,
    }
}
