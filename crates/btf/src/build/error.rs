//! What cannot be written as BTF.

use std::fmt;

use crate::error::BtfError;

/// Why a type cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildError {
    /// A name contains a NUL.
    Nul,
    /// A type has more than 65,535 members, constants, parameters or variables.
    TooManyParts(usize),
    /// In a structure with bit fields a member is 2^24 bits or more from the start.
    Offset(u32),
    /// The value of a constant does not fit; [`NewType::Enum64`](crate::NewType::Enum64) holds it.
    Value(i64),
    /// Types or strings would need more than 4 GiB.
    TooLarge,
    /// A type does not exist; its number.
    NoSuchType(u32),
    /// A type is not of the kind that can be changed like that; its number.
    OtherKind(u32),
    /// The blob to be added goes on from another base than this one.
    OtherBase,
    /// Types refer to each other in such a way that comparing them would not end.
    Endless,
    /// The blob to be added cannot be read.
    Btf(BtfError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nul => f.write_str("names in BTF cannot contain a NUL"),
            Self::TooManyParts(count) => write!(f, "a type can have 65,535 parts, not {count}"),
            Self::Offset(offset) => {
                write!(f, "offset {offset}: in a structure with bit fields offsets must be below {} bits", 1 << 24)
            }
            Self::Value(value) => {
                write!(f, "{value} does not fit in an enumeration of 32 bits; make it one of 64 bits")
            }
            Self::TooLarge => f.write_str("types and strings cannot be larger than 4 GiB"),
            Self::NoSuchType(id) => write!(f, "there is no type {id}"),
            Self::OtherKind(id) => write!(f, "type {id} is of a kind that cannot be changed like that"),
            Self::OtherBase => f.write_str("the types go on from another base than those they are added to"),
            Self::Endless => f.write_str("types refer to each other in such a way that comparing them would not end"),
            Self::Btf(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Btf(error) => Some(error),
            _ => None,
        }
    }
}
