//! What can be wrong with a blob, and where.

use std::fmt;

/// Why BTF cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BtfError {
    /// Offset in bytes from the start of the blob.
    pub offset: u32,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with BTF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The blob ends before something that must be there; its name.
    Truncated(&'static str),
    /// The first two bytes are not those of BTF; the number found.
    Magic(u16),
    /// Written for a big-endian machine.
    BigEndian,
    /// A version other than 1.
    Version(u8),
    /// The header is shorter than the 24 bytes of version 1; its length.
    HeaderLength(u32),
    /// A part lies outside of the blob; its name.
    Outside(&'static str),
    /// The strings do not begin and end with a NUL.
    Strings,
    /// No string starts at this offset of the string section.
    NoSuchString(u32),
    /// A string has more than 65,535 bytes.
    LongString,
    /// A string is not UTF-8.
    NotUtf8,
    /// A kind of type that does not exist; its number.
    Kind(u8),
    /// No type has this number.
    NoSuchType(u32),
    /// Types refer to each other for more than [`MAX_DEPTH`](crate::MAX_DEPTH) steps, perhaps in a circle.
    TooDeep,
    /// The type has no size: void, a function, or a structure that is only declared.
    NoSize,
    /// A size does not fit in 32 bits.
    TooLarge,
    /// A type contains itself, not behind a pointer to a name; its number.
    ContainsItself(u32),
    /// Types are nested too deeply to be printed or compared; the number of the one that was too much.
    Nested(u32),
    /// The work is out of all proportion to the size of the blob: it was made to keep readers busy.
    Endless,
    /// C cannot declare this inside of something else: a function, variable or tag; its number.
    NotInC(u32),
    /// Records are shorter than what they have to hold; the length found and the length expected.
    RecordSize(u32, u32),
}

impl BtfError {
    pub(crate) fn new(offset: usize, problem: Problem) -> Self {
        Self { offset: u32::try_from(offset).unwrap_or(u32::MAX), problem }
    }
}

impl fmt::Display for BtfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BTF, offset {:#x}: ", self.offset)?;
        match self.problem {
            Problem::Truncated(what) => write!(f, "the data ends inside {what}"),
            Problem::Magic(found) => write!(f, "{found:#06x} is not the magic number of BTF, 0xeb9f"),
            Problem::BigEndian => f.write_str("made for a big-endian machine; compile with `-target bpfel`"),
            Problem::Version(found) => write!(f, "version {found} is unknown, only 1 exists"),
            Problem::HeaderLength(found) => write!(f, "a header of {found} bytes is too short or too long"),
            Problem::Outside(what) => write!(f, "{what} reach beyond the end of the data"),
            Problem::Strings => f.write_str("the strings must begin and end with a NUL"),
            Problem::NoSuchString(found) => write!(f, "no string starts at {found:#x}"),
            Problem::LongString => f.write_str("the string is longer than 65,535 bytes"),
            Problem::NotUtf8 => f.write_str("the string is not UTF-8"),
            Problem::Kind(found) => write!(f, "kind {found} of types does not exist"),
            Problem::NoSuchType(found) => write!(f, "there is no type {found}"),
            Problem::TooDeep => write!(f, "types refer to each other for more than {} steps", crate::MAX_DEPTH),
            Problem::NoSize => f.write_str("the type has no size"),
            Problem::TooLarge => f.write_str("the size does not fit in 32 bits"),
            Problem::ContainsItself(id) => write!(f, "type {id} contains itself"),
            Problem::Nested(id) => write!(f, "types are nested too deeply at type {id}"),
            Problem::Endless => f.write_str("types are nested so often that the work would not end"),
            Problem::NotInC(id) => write!(f, "type {id} cannot be part of a declaration in C"),
            Problem::RecordSize(found, expected) => {
                write!(f, "records of {found} bytes are too short or no multiple of 4, expected {expected} or more")
            }
        }
    }
}

impl std::error::Error for BtfError {}
