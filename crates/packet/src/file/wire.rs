//! What the decoders of both formats hand to the reader: one step at a time, as offsets, without borrowing.

use skep_proto::LinkType;

use super::error::FileErrorKind;
use super::types::{Direction, Encoding, Packet, Timestamp};

/// What the bytes at the current position are.
#[derive(Debug)]
pub(crate) enum Step {
    /// A packet.
    Record(Record),
    /// So many bytes without a packet in them. They need not be available yet.
    Skip(u64),
    /// At least so many bytes are needed to go on.
    Need(usize),
}

/// A packet by its place in the bytes that were stepped over.
#[derive(Debug)]
pub(crate) struct Record {
    /// Bytes of the whole record.
    pub(crate) consumed: usize,
    /// Where in the record the packet's data begin.
    pub(crate) data_start: usize,
    pub(crate) data_len: usize,
    pub(crate) orig_len: u32,
    pub(crate) ts: Timestamp,
    pub(crate) interface: u32,
    pub(crate) link: LinkType,
    pub(crate) direction: Option<Direction>,
    pub(crate) ifindex: Option<u32>,
    pub(crate) encoding: Encoding,
}

impl Record {
    /// The packet, given the bytes of its record.
    #[inline]
    pub(crate) fn packet<'a>(&self, record: &'a [u8], file_offset: u64) -> Packet<'a> {
        Packet {
            ts: self.ts,
            data: &record[self.data_start..self.data_start + self.data_len],
            orig_len: self.orig_len,
            interface: self.interface,
            link: self.link,
            direction: self.direction,
            ifindex: self.ifindex,
            file_offset,
            record,
            encoding: self.encoding,
        }
    }
}

/// Why decoding cannot go on. Boxed because it is rare and the result of a step should stay small.
#[derive(Debug)]
pub(crate) struct Fault(pub(crate) Box<FileErrorKind>);

impl Fault {
    #[cold]
    pub(crate) fn corrupt(offset: u64, what: impl Into<String>) -> Self {
        Self(Box::new(FileErrorKind::Corrupt { offset, what: what.into() }))
    }

    #[cold]
    pub(crate) fn unsupported(offset: u64, what: impl Into<String>) -> Self {
        Self(Box::new(FileErrorKind::Unsupported { offset, what: what.into() }))
    }
}
