//! Why a relocation has no answer.

use std::fmt;

use super::{CoreKind, Relocation};
use crate::blob::Btf;
use crate::error::BtfError;

/// Why a relocation has no answer, and which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreError {
    /// What the relocation asks for.
    pub kind: CoreKind,
    /// The type and the path in words, such as `struct task_struct, path 0:1`.
    pub subject: String,
    /// What is wrong.
    pub problem: CoreProblem,
}

/// What is wrong with a relocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoreProblem {
    /// The path is no list of numbers with colons between them, or has more than 64 of them.
    Path,
    /// The path goes on at something that has no parts; its kind.
    NoParts(&'static str),
    /// A structure, array or enumeration has fewer parts: the index and how many there are.
    NoPart(u32, u32),
    /// A question about a type has a path other than `0`.
    PathOfType,
    /// The type has no name, so that no other type can be the same.
    Anonymous,
    /// Only offset, size and existence of an array's element can be asked for.
    Element,
    /// A bit field spreads over more bytes than a load can read.
    WideBitfield,
    /// Several types of the kernel fit, and they give different answers.
    Ambiguous {
        /// The first one with the path to the member.
        one: String,
        /// Another one.
        other: String,
        /// Their answers.
        values: (u64, u64),
    },
    /// An offset does not fit in 64 bits.
    TooLarge,
    /// Types cannot be read.
    Btf(BtfError),
}

/// What an error is about.
#[derive(Clone, Copy)]
pub(super) struct Describe<'a> {
    pub(super) local: &'a Btf,
    pub(super) relocation: Relocation<'a>,
}

impl CoreError {
    pub(super) fn new(about: Describe<'_>, problem: CoreProblem) -> Self {
        let Relocation { ty, access, kind } = about.relocation;
        Self { kind, subject: format!("{}, path {access}", type_name(about.local, ty)), problem }
    }
}

/// A type in words: `struct task_struct`.
pub(super) fn type_name(btf: &Btf, id: crate::TypeId) -> String {
    let kind = btf.kind(id).map_or("missing type", |kind| kind.name()).to_ascii_lowercase();
    match btf.name(id) {
        Ok(name) if !name.is_empty() => format!("{kind} {name}"),
        _ => format!("{kind} without name (type {})", id.0),
    }
}

impl From<BtfError> for CoreProblem {
    fn from(error: BtfError) -> Self {
        Self::Btf(error)
    }
}

impl fmt::Display for CoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relocation {} of {}: {}", self.kind.name(), self.subject, self.problem)
    }
}

impl fmt::Display for CoreProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("the path must be at most 64 numbers with colons between them, such as `0:1:2`"),
            Self::NoParts(kind) => write!(f, "the path goes on, but {kind} has no parts"),
            Self::NoPart(index, count) => write!(f, "the path goes to part {index}, but there are only {count}"),
            Self::PathOfType => f.write_str("the path of a question about a type must be `0`"),
            Self::Anonymous => f.write_str("the type has no name by which the kernel's could be found; give it one"),
            Self::Element => f.write_str("only offset, size and existence of an array's element can be asked for"),
            Self::WideBitfield => f.write_str("the bit field spreads over more than the 8 bytes that a load can read"),
            Self::Ambiguous { one, other, values: (first, second) } => {
                write!(
                    f,
                    "the kernel has several such types with different answers: {first} ({one}) and {second} ({other})"
                )
            }
            Self::TooLarge => f.write_str("the offset does not fit in 64 bits"),
            Self::Btf(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            CoreProblem::Btf(error) => Some(error),
            _ => None,
        }
    }
}
