//! The reader: ties stream, decompression and decoder together, and turns faults into errors with name and place.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use skep_proto::LinkType;

use super::decompress::Compression;
use super::error::{FileError, FileErrorKind};
use super::pcap::{self, Pcap};
use super::pcapng::PcapNg;
use super::source::{FileId, Source};
use super::types::{Interface, Packet};
use super::wire::{Fault, Record, Step};

/// Reads the packets of a capture file one after the other.
///
/// After an error or the end, it keeps answering `Ok(None)`. Memory stays flat: a few buffers, one of which grows to hold a
/// single packet, and a list of interfaces of limited length.
pub struct Reader {
    source: Source,
    decoder: Decoder,
    meta: Meta,
}

/// The part of a reader that error messages need.
struct Meta {
    name: String,
    compressed: bool,
    packets: u64,
    finished: bool,
    /// Bytes that a batch should have stepped over but did not have.
    owed: u64,
}

// There is one decoder per file, so its size does not matter; a box would cost an indirection per packet.
#[allow(clippy::large_enum_variant)]
enum Decoder {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

/// How far a file has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes taken from the file or pipe so far, before decompression.
    pub read: u64,
    /// The size of the file, unless it is a pipe.
    pub total: Option<u64>,
}

impl Reader {
    /// Opens a capture file; `-` is standard input.
    ///
    /// # Errors
    /// If the file cannot be opened, is not a capture file, or ends inside its header.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        match Source::open(path) {
            Ok(source) => Self::start(source, name),
            Err(error) => Err(FileError { name, compressed: false, packets: 0, kind: FileErrorKind::Open(error) }),
        }
    }

    /// Reads a capture from any stream. `name` is used in messages.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn from_stream(input: impl Read + Send + 'static, name: &str) -> Result<Self, FileError> {
        let name = name.to_owned();
        match Source::new(input) {
            Ok(source) => Self::start(source, name),
            Err(error) => {
                let kind = FileErrorKind::Read { offset: 0, error };
                Err(FileError { name, compressed: false, packets: 0, kind })
            }
        }
    }

    fn start(mut source: Source, name: String) -> Result<Self, FileError> {
        let compressed = source.compression != Compression::None;
        let mut meta = Meta { name, compressed, packets: 0, finished: false, owed: 0 };
        let decoder = match open_decoder(&mut source) {
            Ok(decoder) => decoder,
            Err(kind) => return Err(meta.fail(kind)),
        };
        let mut reader = Self { source, decoder, meta };
        reader.find_first_interface()?;
        Ok(reader)
    }

    /// Steps over the blocks before the first interface, so that whoever compiles a filter knows the link type.
    fn find_first_interface(&mut self) -> Result<(), FileError> {
        while !self.meta.finished {
            let Decoder::PcapNg(ng) = &mut self.decoder else { break };
            if !ng.interfaces.is_empty() {
                break;
            }
            match ng.step(self.source.bytes(), self.source.offset()) {
                Ok(step) => self.feed(step)?,
                Err(fault) => return Err(self.meta.fail(*fault.0)),
            }
        }
        Ok(())
    }

    /// The next packet, or `None` at the end.
    ///
    /// # Errors
    /// Once, when the file is damaged or cut off, or reading it fails.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Packet<'_>>, FileError> {
        let Some((record, at, offset)) = self.advance()? else { return Ok(None) };
        Ok(Some(record.packet(self.source.at(at, record.consumed), offset)))
    }

    /// The packets that are in memory now, at least one, or `None` at the end.
    ///
    /// They are borrowed for as long as the batch, so several can be held at once. A batch of a live pipe holds what
    /// has arrived.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub fn next_batch(&mut self) -> Result<Option<Batch<'_>>, FileError> {
        let Some((first, at, offset)) = self.advance()? else { return Ok(None) };
        let (bytes, start, base) = self.source.split();
        let first = Some((first, at, offset));
        Ok(Some(Batch { bytes, start, base, decoder: &mut self.decoder, meta: &mut self.meta, first }))
    }

    /// Hands every packet to `look` until there is none or `look` breaks. The loop is compiled here, once, however the rest of
    /// a program is.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub fn each(&mut self, look: &mut dyn FnMut(&Packet<'_>) -> ControlFlow<()>) -> Result<(), FileError> {
        while let Some(mut batch) = self.next_batch()? {
            while let Some(packet) = batch.next()? {
                if look(&packet).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The record that comes next: what it is, where in the buffer, where in the file.
    #[inline]
    fn advance(&mut self) -> Result<Option<(Record, usize, u64)>, FileError> {
        if self.meta.owed > 0 {
            let owed = std::mem::take(&mut self.meta.owed);
            self.feed(Step::Skip(owed))?;
        }
        loop {
            if self.meta.finished {
                return Ok(None);
            }
            let offset = self.source.offset();
            match self.decoder.step(self.source.bytes(), offset) {
                Ok(Step::Record(record)) => {
                    let at = self.source.start;
                    self.source.consume(record.consumed);
                    self.meta.packets += 1;
                    return Ok(Some((record, at, offset)));
                }
                Ok(other) => self.feed(other)?,
                Err(fault) => return Err(self.meta.fail(*fault.0)),
            }
        }
    }

    /// Gets what the decoder asked for, or finds out why that cannot be had.
    #[cold]
    fn feed(&mut self, step: Step) -> Result<(), FileError> {
        let offset = self.source.offset();
        let result = match step {
            Step::Need(need) => self.source.fill(need).map(|complete| (complete, need as u64)),
            Step::Skip(count) => self.source.skip(count).map(|done| (done == count, count)),
            Step::Record(_) => return Ok(()),
        };
        match result {
            Ok((true, _)) => Ok(()),
            Ok((false, needed)) => self.end(offset, needed),
            Err(error) => Err(self.meta.fail(FileErrorKind::Read { offset: self.source.offset(), error })),
        }
    }

    /// The stream has ended before `needed` bytes from `offset` on: fine between two structures only.
    fn end(&mut self, offset: u64, needed: u64) -> Result<(), FileError> {
        self.meta.finished = true;
        if self.source.stopped() {
            return Ok(());
        }
        let have = self.source.offset() + self.source.bytes().len() as u64;
        let (what, unfinished) = match &self.decoder {
            Decoder::Pcap(_) => ("the record", None),
            Decoder::PcapNg(ng) => ("the block", ng.unfinished()),
        };
        let (start, needed) = match unfinished {
            Some((length, start)) => (start, u64::from(length)),
            None if have == offset => return Ok(()),
            None => (offset, needed),
        };
        let kind = FileErrorKind::Truncated { offset: start, what, needed, found: have - start };
        Err(self.meta.fail(kind))
    }

    /// The interfaces seen so far. In a pcapng file, more may follow between packets; see also [`Batch::interfaces`].
    #[must_use]
    pub fn interfaces(&self) -> &[Interface] {
        self.decoder.interfaces()
    }

    /// The link type of the first interface; Ethernet for a pcapng file without any.
    #[must_use]
    pub fn link(&self) -> LinkType {
        self.interfaces().first().map_or(LinkType::EN10MB, |interface| interface.link)
    }

    /// True for pcapng, false for pcap.
    #[must_use]
    pub const fn is_pcapng(&self) -> bool {
        matches!(self.decoder, Decoder::PcapNg(_))
    }

    /// How the file is compressed.
    #[must_use]
    pub const fn compression(&self) -> Compression {
        self.source.compression
    }

    /// How far the file has been read.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress { read: self.source.taken(), total: self.source.total }
    }

    /// Which file this is, if it is a regular one; for [`WriteOptions::input`](crate::write::WriteOptions::input).
    #[must_use]
    pub const fn file_id(&self) -> Option<FileId> {
        self.source.id
    }

    /// Makes the file end early, without an error, once `flag` is set: at the next wait for input, or when a signal
    /// interrupts one (a handler without `SA_RESTART`).
    pub fn stop_on(&mut self, flag: Arc<AtomicBool>) {
        self.source.stop_on(flag);
    }
}

impl Meta {
    #[cold]
    fn fail(&mut self, kind: FileErrorKind) -> FileError {
        self.finished = true;
        FileError { name: self.name.clone(), compressed: self.compressed, packets: self.packets, kind }
    }
}

impl Decoder {
    fn interfaces(&self) -> &[Interface] {
        match self {
            Self::Pcap(pcap) => std::slice::from_ref(&pcap.interface),
            Self::PcapNg(ng) => &ng.interfaces,
        }
    }

    #[inline]
    fn step(&mut self, bytes: &[u8], offset: u64) -> Result<Step, Fault> {
        match self {
            Self::Pcap(pcap) => pcap.step(bytes, offset),
            Self::PcapNg(ng) => ng.step(bytes, offset),
        }
    }
}

fn open_decoder(source: &mut Source) -> Result<Decoder, FileErrorKind> {
    let complete = |source: &mut Source, need| {
        source.fill(need).map_err(|error| FileErrorKind::Read { offset: source.offset(), error })
    };
    complete(source, 8)?;
    let head = source.bytes();
    let Some(magic) = head.first_chunk::<4>().copied() else {
        return Err(FileErrorKind::NotACapture(head.to_vec()));
    };
    if PcapNg::recognises(magic) {
        return Ok(Decoder::PcapNg(PcapNg::default()));
    }
    if !Pcap::recognises(magic) {
        return Err(FileErrorKind::NotACapture(head[..head.len().min(8)].to_vec()));
    }
    complete(source, pcap::FILE_HEADER)?;
    let Some(header) = source.bytes().first_chunk().copied() else {
        let (needed, found) = (pcap::FILE_HEADER as u64, source.bytes().len() as u64);
        return Err(FileErrorKind::Truncated { offset: 0, what: "the file header", needed, found });
    };
    source.consume(pcap::FILE_HEADER);
    Pcap::new(&header).map(Decoder::Pcap).map_err(|fault| *fault.0)
}

/// Packets that are in memory together.
pub struct Batch<'a> {
    bytes: &'a [u8],
    start: &'a mut usize,
    /// File offset of `bytes[0]`.
    base: u64,
    decoder: &'a mut Decoder,
    meta: &'a mut Meta,
    /// Found by the reader already.
    first: Option<(Record, usize, u64)>,
}

impl<'a> Batch<'a> {
    /// The next packet, or `None` when the reader has to fetch more.
    ///
    /// # Errors
    /// As [`Reader::next`].
    #[allow(clippy::should_implement_trait)]
    // A result of this size that goes through memory costs more than the rest of the loop around a filter.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub fn next(&mut self) -> Result<Option<Packet<'a>>, FileError> {
        if let Some((record, at, offset)) = self.first.take() {
            return Ok(Some(record.packet(&self.bytes[at..at + record.consumed], offset)));
        }
        while !self.meta.finished {
            let (at, offset) = (*self.start, self.base + *self.start as u64);
            match self.decoder.step(&self.bytes[at..], offset) {
                Ok(Step::Record(record)) => {
                    *self.start += record.consumed;
                    self.meta.packets += 1;
                    return Ok(Some(record.packet(&self.bytes[at..at + record.consumed], offset)));
                }
                Ok(Step::Skip(count)) if count <= (self.bytes.len() - at) as u64 => *self.start += count as usize,
                Ok(Step::Need(_)) => return Ok(None),
                Ok(Step::Skip(count)) => {
                    self.meta.owed = count;
                    return Ok(None);
                }
                Err(fault) => return Err(self.meta.fail(*fault.0)),
            }
        }
        Ok(None)
    }

    /// The interfaces seen so far, that of the packet returned last among them.
    #[must_use]
    pub fn interfaces(&self) -> &[Interface] {
        self.decoder.interfaces()
    }

    /// The bytes of the file between two offsets that belong to packets of this batch.
    #[inline]
    pub(crate) fn raw(&self, from: u64, to: u64) -> &'a [u8] {
        if from == to {
            return &[];
        }
        &self.bytes[(from - self.base) as usize..(to - self.base) as usize]
    }
}

/// The compiler checks that a reader can be handed to another thread.
const _: fn() = || {
    fn sendable<T: Send>() {}
    sendable::<Reader>();
};
