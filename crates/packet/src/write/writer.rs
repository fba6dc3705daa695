//! The writer: one capture file, pcap or pcapng.

use std::collections::HashMap;
use std::path::Path;

use skep_proto::LinkType;

use super::encode;
use super::error::{CopyError, WriteError, WriteErrorKind};
use super::sink::Sink;
use crate::file::{Encoding, FileId, Interface, Packet, Reader, max_captured};

/// The format of an output file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One link type, read by everything.
    Pcap,
    /// Several interfaces and link types, direction of packets.
    PcapNg,
}

impl Format {
    /// pcapng for names that end in `.pcapng` (any case, whatever rotation appends later), else pcap.
    #[must_use]
    pub fn of_name(path: &Path) -> Self {
        let extension = path.extension().unwrap_or_default();
        if extension.eq_ignore_ascii_case("pcapng") { Self::PcapNg } else { Self::Pcap }
    }
}

/// Fractions of a second in a pcap file. pcapng output keeps what each interface has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Six digits.
    Micro,
    /// Nine digits.
    Nano,
}

/// How to write a file.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// Chosen by the file's name if `None`.
    pub format: Option<Format>,
    /// Of a pcap file.
    pub precision: Precision,
    /// Of a pcap file.
    pub link: LinkType,
    /// See [`Interface::link_extra`].
    pub link_extra: u32,
    /// The snapshot length that the file states, in bytes.
    pub snaplen: u32,
    /// The file that is being read: writing over it is refused.
    pub input: Option<FileId>,
}

impl WriteOptions {
    /// For packets of a link type that do not come from a file. Nanoseconds, no limit on length.
    #[must_use]
    pub fn new(link: LinkType) -> Self {
        let snaplen = max_captured(link);
        Self { format: None, precision: Precision::Nano, link, link_extra: 0, snaplen, input: None }
    }

    /// For packets from this reader: the same link type, precision and snapshot length.
    #[must_use]
    pub fn like(reader: &Reader) -> Self {
        let mut options = Self::new(reader.link());
        options.input = reader.file_id();
        if let [interface, ..] = reader.interfaces() {
            options.precision = if interface.digits > 6 { Precision::Nano } else { Precision::Micro };
            options.link_extra = interface.link_extra;
            // Later interfaces of a pcapng file may have longer packets, so their limit is left open.
            if !reader.is_pcapng() {
                options.snaplen = interface.snaplen;
            }
        }
        options
    }
}

/// What to do with a packet while copying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Leave it out.
    Drop,
    /// Write it.
    Keep,
    /// Write it and stop.
    KeepAndStop,
    /// Leave it out and stop.
    Stop,
}

/// Writes packets to one capture file.
///
/// Call [`finish`](Writer::finish) to learn whether everything arrived; a writer that is dropped flushes silently.
pub struct Writer {
    sink: Sink,
    form: Form,
    packets: u64,
}

enum Form {
    Pcap { link: LinkType, nano: bool, encoding: Encoding },
    PcapNg(Interfaces),
}

/// The interfaces of a pcapng output.
#[derive(Default)]
struct Interfaces {
    /// What the caller told about its interfaces.
    declared: HashMap<u32, Interface>,
    /// Number and digits of those that are in the file, by the caller's number and link type.
    written: HashMap<(u32, LinkType), (u32, u8)>,
    /// The entry used last.
    recent: Option<((u32, LinkType), (u32, u8))>,
    snaplen: u32,
}

impl Writer {
    /// Creates the file, or takes standard output for `-`, and writes the file header.
    ///
    /// # Errors
    /// If it cannot be created or is the input file.
    pub fn create(path: impl AsRef<Path>, options: &WriteOptions) -> Result<Self, WriteError> {
        let path = path.as_ref();
        match options.format.unwrap_or_else(|| Format::of_name(path)) {
            Format::Pcap => {
                let mut sink = Sink::create(path, options.input, encode::pcap_unit)?;
                let nano = options.precision == Precision::Nano;
                let header = sink.unit(0)?;
                encode::pcap_header(header, nano, options.link, options.link_extra, options.snaplen);
                let encoding = if nano { Encoding::PcapNano } else { Encoding::PcapMicro };
                Ok(Self { sink, form: Form::Pcap { link: options.link, nano, encoding }, packets: 0 })
            }
            Format::PcapNg => {
                let mut sink = Sink::create(path, options.input, encode::pcapng_unit)?;
                encode::section(sink.unit(0)?);
                let interfaces = Interfaces { snaplen: options.snaplen, ..Interfaces::default() };
                Ok(Self { sink, form: Form::PcapNg(interfaces), packets: 0 })
            }
        }
    }

    /// Tells a pcapng output about the interface that packets with this number come from. A pcap output ignores it.
    ///
    /// Without it, an interface is described by the link type of its first packet alone.
    pub fn declare(&mut self, number: u32, interface: &Interface) {
        if let Form::PcapNg(interfaces) = &mut self.form {
            interfaces.declared.insert(number, interface.clone());
        }
    }

    /// Writes one packet.
    ///
    /// # Errors
    /// If the output fails, or a pcap output has another link type.
    #[inline]
    pub fn write(&mut self, packet: &Packet<'_>) -> Result<(), WriteError> {
        match &mut self.form {
            Form::Pcap { link, nano, encoding } => {
                if packet.link != *link {
                    return Err(self.other_link(packet.link));
                }
                if packet.encoding == *encoding {
                    self.sink.unit(packet.record.len())?.extend_from_slice(packet.record);
                } else {
                    let buffer = self.sink.unit(encode::RECORD_HEADER + packet.data.len())?;
                    encode::pcap_record(buffer, packet, *nano);
                }
            }
            Form::PcapNg(interfaces) => {
                let (id, digits) = interfaces.number(&mut self.sink, packet)?;
                encode::enhanced(self.sink.unit(encode::enhanced_len(packet))?, packet, id, digits);
            }
        }
        self.packets += 1;
        Ok(())
    }

    /// Writes those packets of `reader` that `accept` chooses, and flushes. Returns how many were written.
    ///
    /// Where input and output have the same format, neighbouring packets go out in one piece without being copied.
    ///
    /// # Errors
    /// From either side. When the input is at fault, everything accepted before is in the output.
    pub fn copy(
        &mut self,
        reader: &mut Reader,
        mut accept: impl FnMut(&Packet<'_>) -> Verdict,
    ) -> Result<u64, CopyError> {
        self.copy_all(reader, &mut accept)
    }

    /// The loop, which is compiled here, however the rest of a program is.
    fn copy_all(
        &mut self,
        reader: &mut Reader,
        accept: &mut dyn FnMut(&Packet<'_>) -> Verdict,
    ) -> Result<u64, CopyError> {
        let before = self.packets;
        let mut declared = 0;
        let outcome = loop {
            match self.copy_batch(reader, &mut declared, accept) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(CopyError::Read(error)) => break Err(CopyError::Read(error)),
                Err(error) => return Err(error),
            }
        };
        self.sink.flush()?;
        outcome.map(|()| self.packets - before)
    }

    /// Declares the interfaces from number `declared` on.
    #[cold]
    fn declare_new(&mut self, all: &[Interface], declared: &mut usize) {
        for (number, interface) in all.iter().enumerate().skip(*declared) {
            self.declare(number as u32, interface);
        }
        *declared = all.len();
    }

    /// Copies what the reader has in memory; false at the end or when `accept` says stop.
    fn copy_batch(
        &mut self,
        reader: &mut Reader,
        declared: &mut usize,
        accept: &mut dyn FnMut(&Packet<'_>) -> Verdict,
    ) -> Result<bool, CopyError> {
        let Some(mut batch) = reader.next_batch()? else { return Ok(false) };
        // File offsets of the accepted neighbours that have not been written yet.
        let (mut from, mut to) = (0, 0);
        let more = loop {
            let packet = match batch.next() {
                Ok(Some(packet)) => packet,
                Ok(None) => break Ok(true),
                Err(error) => break Err(error),
            };
            let verdict = accept(&packet);
            if matches!(verdict, Verdict::Keep | Verdict::KeepAndStop) {
                if self.takes_verbatim(&packet) {
                    if packet.file_offset != to {
                        self.sink.units(batch.raw(from, to))?;
                        from = packet.file_offset;
                    }
                    to = packet.file_offset + packet.record.len() as u64;
                    self.packets += 1;
                } else {
                    self.sink.units(batch.raw(from, to))?;
                    (from, to) = (0, 0);
                    if packet.interface as usize >= *declared {
                        self.declare_new(batch.interfaces(), declared);
                    }
                    self.write(&packet)?;
                }
            }
            if matches!(verdict, Verdict::Stop | Verdict::KeepAndStop) {
                break Ok(false);
            }
        };
        self.sink.units(batch.raw(from, to))?;
        Ok(more?)
    }

    #[inline]
    fn takes_verbatim(&self, packet: &Packet<'_>) -> bool {
        matches!(self.form, Form::Pcap { link, encoding, .. } if packet.encoding == encoding && packet.link == link)
    }

    #[cold]
    fn other_link(&self, packet: LinkType) -> WriteError {
        let file = if let Form::Pcap { link, .. } = self.form { link } else { packet };
        WriteError { name: self.sink.name().to_owned(), kind: WriteErrorKind::OtherLink { file, packet } }
    }

    /// Hands everything written so far to the system, for readers that follow the file.
    ///
    /// # Errors
    /// If the output fails.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.sink.flush()
    }

    /// Flushes and closes the file. Returns how many packets it holds.
    ///
    /// # Errors
    /// If the output fails.
    pub fn finish(mut self) -> Result<u64, WriteError> {
        self.sink.flush()?;
        Ok(self.packets)
    }

    /// Packets written so far.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes of the file so far, those still in memory included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sink.bytes()
    }
}

impl Interfaces {
    /// The number of a packet's interface in the file, described there now if it is new.
    #[inline]
    fn number(&mut self, sink: &mut Sink, packet: &Packet<'_>) -> Result<(u32, u8), WriteError> {
        let key = (packet.interface, packet.link);
        match self.recent {
            Some((recent, entry)) if recent == key => Ok(entry),
            _ => self.find_or_describe(sink, key),
        }
    }

    fn find_or_describe(&mut self, sink: &mut Sink, key: (u32, LinkType)) -> Result<(u32, u8), WriteError> {
        let entry = match self.written.get(&key) {
            Some(entry) => *entry,
            None => {
                let made_up = Interface { link: key.1, snaplen: self.snaplen, link_extra: 0, digits: 9, name: None };
                let interface = self.declared.get(&key.0).filter(|i| i.link == key.1).unwrap_or(&made_up);
                // Larger than any interface description: the name has at most 255 bytes.
                encode::interface(sink.unit(1024)?, interface);
                let entry = (self.written.len() as u32, interface.digits.min(9));
                self.written.insert(key, entry);
                entry
            }
        };
        self.recent = Some((key, entry));
        Ok(entry)
    }
}
