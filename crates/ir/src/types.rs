//! Types of values. There are no others than what a register can hold: two widths of integers, and pointers by what they
//! point to.

use std::fmt;

use crate::entity::{GlobalRef, MapRef};

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// 32 bits. In its register the upper half is zero, always: widening to 64 bits unsigned costs nothing.
    I32,
    /// 64 bits.
    I64,
    /// A pointer.
    Ptr(Pointer),
}

/// A pointer type: where it points, and whether it may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pointer {
    /// Where it points.
    pub to: Memory,
    /// Whether it may be null: it has to be compared with null before it is used.
    pub nullable: bool,
}

/// A class of memory. Pointers into different classes never point to the same byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Memory {
    /// The context of the program. Its pointer is the parameter of the program itself: nothing is added to it.
    Context,
    /// The stack.
    Stack,
    /// A value of a map.
    MapValue(MapRef),
    /// A map itself, as helpers take it.
    Map(MapRef),
    /// A map that is found at run time, in a map of maps.
    InnerMap(MapRef),
    /// A variable of the module.
    Global(GlobalRef),
    /// Packet data, from `data` on.
    Packet,
    /// Metadata in front of the packet, from `data_meta` on.
    PacketMeta,
    /// The end of the packet. It is compared with, never read through.
    PacketEnd,
    /// Memory of known size that a helper handed out: a reserved record, a slice of a dynptr, a value of another
    /// processor.
    Record,
    /// A kernel object that the verifier knows the type of, by its id in the kernel's BTF.
    Kernel(u32),
    /// A kernel object that must be checked or read with care: untrusted, or outside of a read-side section.
    KernelUntrusted(u32),
    /// A function of the module, as helpers take it.
    Function,
    /// Memory shared with user space (`BPF_MAP_TYPE_ARENA`).
    Arena,
    /// Memory of a class that the front end does not know, as languages with free casts have it. It may be any of the
    /// others; pointers to it may be null without being nullable, and the kernel's verifier alone says what they are.
    Any,
}

impl Type {
    /// A pointer that is not null.
    pub const fn ptr(to: Memory) -> Self {
        Self::Ptr(Pointer { to, nullable: false })
    }

    /// A pointer that may be null.
    pub const fn nullable(to: Memory) -> Self {
        Self::Ptr(Pointer { to, nullable: true })
    }

    /// The pointer, if it is one.
    pub const fn pointer(self) -> Option<Pointer> {
        match self {
            Self::Ptr(pointer) => Some(pointer),
            Self::I32 | Self::I64 => None,
        }
    }

    /// Whether it is an integer.
    pub const fn is_int(self) -> bool {
        matches!(self, Self::I32 | Self::I64)
    }

    /// Bits of an integer, 64 for a pointer.
    pub const fn bits(self) -> u32 {
        if matches!(self, Self::I32) { 32 } else { 64 }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context => f.write_str("ctx"),
            Self::Stack => f.write_str("stack"),
            Self::MapValue(map) => write!(f, "value {map}"),
            Self::Map(map) => write!(f, "map {map}"),
            Self::InnerMap(map) => write!(f, "inner {map}"),
            Self::Global(global) => write!(f, "global {global}"),
            Self::Packet => f.write_str("packet"),
            Self::PacketMeta => f.write_str("meta"),
            Self::PacketEnd => f.write_str("end"),
            Self::Record => f.write_str("record"),
            Self::Kernel(id) => write!(f, "kernel {id}"),
            Self::KernelUntrusted(id) => write!(f, "untrusted {id}"),
            Self::Function => f.write_str("function"),
            Self::Arena => f.write_str("arena"),
            Self::Any => f.write_str("any"),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I32 => f.write_str("i32"),
            Self::I64 => f.write_str("i64"),
            Self::Ptr(Pointer { to, nullable: false }) => write!(f, "ptr<{to}>"),
            Self::Ptr(Pointer { to, nullable: true }) => write!(f, "ptr<{to}>?"),
        }
    }
}
