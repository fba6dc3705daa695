//! What can be wrong with a DNS message.

use std::fmt;

/// A fault in a DNS message, with the byte where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DnsError {
    /// Offset of the bad byte in the message.
    pub offset: usize,
    /// What is wrong.
    pub kind: DnsErrorKind,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DnsErrorKind {
    /// The message ends before what its counts and lengths announce.
    Truncated,
    /// A compression pointer does not point backwards.
    ForwardPointer,
    /// A name is longer than 255 bytes.
    NameTooLong,
    /// The length byte of a label has one of the two reserved types (this is the byte).
    LabelType(u8),
    /// The data of a record does not fit its type (this is the type).
    RecordData(u16),
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: ", self.offset)?;
        match self.kind {
            DnsErrorKind::Truncated => f.write_str("the message ends early"),
            DnsErrorKind::ForwardPointer => f.write_str("a compressed name points forward"),
            DnsErrorKind::NameTooLong => f.write_str("a name is longer than 255 bytes"),
            DnsErrorKind::LabelType(byte) => write!(f, "a label of an unknown type (0x{byte:02x})"),
            DnsErrorKind::RecordData(kind) => {
                write!(f, "the data of a {} record has the wrong form", super::types::TypeName(kind))
            }
        }
    }
}

impl std::error::Error for DnsError {}
