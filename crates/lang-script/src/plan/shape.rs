//! Shapes: how values are stored in records, keys and maps, and what they stand for.

use std::sync::Arc;

/// How a value is stored and what it stands for. All numbers are little-endian.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Nothing.
    Void,
    /// An integer of 1, 2, 4 or 8 bytes.
    Int {
        /// Bytes.
        bytes: u8,
        /// Whether it has a sign.
        signed: bool,
    },
    /// A truth value of one byte.
    Bool,
    /// An integer printed as the name of an enumerator: index into [`Plan::enums`](super::Plan::enums).
    Enum {
        /// Bytes.
        bytes: u8,
        /// Which enumeration.
        enumeration: u32,
    },
    /// An address, 8 bytes.
    Pointer,
    /// Text that ends with the first zero, in so many bytes. Without a zero it was cut.
    Text(u32),
    /// 4 bytes with the number of bytes that follow, and room for so many. Printed with `\xNN` for what is not ASCII.
    Buffer(u32),
    /// 4 bytes with the address family (2 or 10), and 16 bytes with the address, IPv4 in the first four.
    Inet,
    /// 6 bytes.
    Mac,
    /// 8 bytes, a kernel address printed as a symbol.
    KernelSymbol,
    /// 8 bytes address, 4 bytes process id, 4 bytes filler.
    UserSymbol,
    /// A stack trace: [`StackKey`].
    Stack {
        /// Of the kernel, or of the process.
        kernel: bool,
        /// Whether the host unwinds a copy of the stack ([`UnwindRecord`](super::UnwindRecord)).
        dwarf: bool,
        /// How frames are printed.
        mode: StackMode,
        /// Most frames.
        limit: u32,
    },
    /// 4 bytes, a user id printed as a name.
    User,
    /// 8 bytes: nanoseconds since boot, printed as wall-clock time in this format (`strftime`).
    Time(Arc<str>),
    /// 8 bytes, id of a control group printed as its path; with a pattern for the hierarchy.
    CgroupPath(Arc<str>),
    /// 4 bytes, number of an error printed as its text (`strerror`).
    ErrorText,
    /// 4 bytes, number of a signal printed as its text (`strsignal`).
    SignalName,
    /// 8 bytes, number of a system call printed as its name.
    SyscallName,
    /// Fields one after the other, printed in parentheses.
    Tuple(Vec<Field>),
    /// Fields with names.
    Record(Vec<(Arc<str>, Field)>),
    /// So many elements without gaps.
    Array(Box<Self>, u32),
}

/// How the frames of a stack trace are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StackMode {
    /// `symbol+offset`
    #[default]
    Bpftrace,
    /// `address symbol+offset (module)`
    Perf,
    /// Addresses.
    Raw,
    /// Build id and offset.
    BuildId,
}

/// A part of a tuple, a record or a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// Bytes from the start.
    pub offset: u32,
    /// What is there.
    pub shape: Shape,
}

impl Shape {
    /// Bytes of a value; `u32::MAX` for what is larger.
    pub fn size(&self) -> u32 {
        match self {
            Self::Void => 0,
            Self::Int { bytes, .. } | Self::Enum { bytes, .. } => (*bytes).into(),
            Self::Bool => 1,
            Self::Pointer | Self::KernelSymbol | Self::Time(_) | Self::CgroupPath(_) | Self::SyscallName => 8,
            Self::Text(len) => *len,
            Self::Buffer(len) => len.saturating_add(4),
            Self::Inet => 20,
            Self::Mac => 6,
            Self::UserSymbol => 16,
            Self::Stack { .. } => StackKey::SIZE,
            Self::User | Self::ErrorText | Self::SignalName => 4,
            Self::Tuple(fields) => end(fields.iter()),
            Self::Record(fields) => end(fields.iter().map(|field| &field.1)),
            Self::Array(element, count) => element.size().saturating_mul(*count),
        }
    }

    /// Of which the address of a value is a multiple: 1, 2, 4 or 8.
    pub fn align(&self) -> u32 {
        match self {
            Self::Void | Self::Bool | Self::Text(_) | Self::Mac => 1,
            Self::Int { bytes, .. } | Self::Enum { bytes, .. } => u32::from(*bytes).max(1),
            Self::Buffer(_) | Self::Inet | Self::User | Self::ErrorText | Self::SignalName => 4,
            Self::Pointer
            | Self::KernelSymbol
            | Self::UserSymbol
            | Self::Time(_)
            | Self::CgroupPath(_)
            | Self::SyscallName
            | Self::Stack { .. } => 8,
            Self::Tuple(fields) => fields.iter().map(|field| field.shape.align()).max().unwrap_or(1),
            Self::Record(fields) => fields.iter().map(|field| field.1.shape.align()).max().unwrap_or(1),
            Self::Array(element, _) => element.align(),
        }
    }
}

/// Where fields end, rounded up to their alignment.
fn end<'a>(fields: impl Iterator<Item = &'a Field> + Clone) -> u32 {
    let align = fields.clone().map(|field| field.shape.align()).max().unwrap_or(1);
    let end = fields.map(|field| field.offset.saturating_add(field.shape.size())).max().unwrap_or(0);
    end.checked_next_multiple_of(align).unwrap_or(u32::MAX)
}

/// Lays shapes out one after the other, each at a multiple of its alignment, from `start` on.
pub fn lay_out(start: u32, shapes: impl IntoIterator<Item = Shape>) -> Vec<Field> {
    let mut next = start;
    shapes
        .into_iter()
        .map(|shape| {
            let offset = next.next_multiple_of(shape.align());
            next = offset + shape.size();
            Field { offset, shape }
        })
        .collect()
}

/// Layout of a stack trace where it is a value or a part of a key: its number in [`STACKS`](super::system_maps::STACKS), and what is
/// needed to find symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackKey;

impl StackKey {
    /// Hash of the addresses, 64 bits.
    pub const HASH: u32 = 0;
    /// Number of frames, 32 bits; [`UNWOUND`](Self::UNWOUND) if the host finds them out.
    pub const FRAMES: u32 = 8;
    /// Process id for user stacks, 0 for kernel stacks, 32 bits.
    pub const PID: u32 = 12;
    /// Stands for the number of frames where the hash is that of a copy of the stack.
    pub const UNWOUND: u32 = u32::MAX;
    /// Bytes in all.
    pub const SIZE: u32 = 16;
    /// Most frames that a trace keeps.
    pub const MAX_FRAMES: u32 = 127;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_alignment() {
        let int = |bytes| Shape::Int { bytes, signed: false };
        let fields = lay_out(8, [int(1), int(8), Shape::Text(3), int(2)]);
        assert_eq!(fields.iter().map(|field| field.offset).collect::<Vec<_>>(), [8, 16, 24, 28]);
        assert_eq!(Shape::Tuple(lay_out(0, [int(8), int(1)])).size(), 16);
    }
}
