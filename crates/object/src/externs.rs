//! What a program takes from the running kernel: settings of its build, addresses, variables and functions.

use skep_isa::ebpf::InsnIdx;

use crate::MapIdx;

/// Position of an extern in [`Object::externs`](crate::Object::externs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExternIdx(pub u32);

impl ExternIdx {
    /// Its position as an index into the vector.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Something that only the running kernel has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extern {
    /// Its name.
    pub name: String,
    /// Whether it may be missing (`__weak`); it then reads as 0.
    pub weak: bool,
    /// What it is.
    pub kind: ExternKind,
}

/// The kinds of externs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExternKind {
    /// A setting of the kernel's build (`__kconfig`), a place in the map `.kconfig`.
    Config {
        /// The map.
        map: MapIdx,
        /// Where its value starts in the value of the map, in bytes.
        offset: u32,
        /// What values look like.
        form: ConfigForm,
    },
    /// An address without type (`extern const void name __ksym`).
    Address,
    /// A variable (`__ksym`).
    Variable {
        /// Its type, a number in [`Object::btf`](crate::Object::btf).
        ty: u32,
    },
    /// A function (`__ksym`).
    Function {
        /// Its prototype, a number in [`Object::btf`](crate::Object::btf).
        ty: u32,
    },
}

/// What the value of a setting looks like in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConfigForm {
    /// One byte, 1 for `y`.
    Bool,
    /// Four bytes (`enum libbpf_tristate`): 0 for `n`, 1 for `y`, 2 for `m`.
    Tristate,
    /// One byte: the letter `y`, `m` or `n`, or a number.
    Char,
    /// A number.
    Int {
        /// Bytes: 2, 4 or 8.
        size: u8,
        /// Whether it may be negative.
        signed: bool,
    },
    /// Text that ends in a NUL, cut to fit.
    Text {
        /// Bytes with the NUL.
        size: u32,
    },
}

impl ConfigForm {
    /// Bytes of a value.
    pub const fn size(self) -> u32 {
        match self {
            Self::Bool | Self::Char => 1,
            Self::Tristate => 4,
            Self::Int { size, .. } => size as u32,
            Self::Text { size } => size,
        }
    }

    /// What the address of a value is a multiple of, in bytes.
    pub const fn align(self) -> u32 {
        match self {
            Self::Text { .. } => 1,
            other => other.size(),
        }
    }
}

/// An instruction that takes the address of an extern, or calls it. Settings have none: they lie in a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExternUse {
    /// The instruction: a 64-bit immediate load of 0, or the call of kernel function 0.
    pub at: InsnIdx,
    /// What it refers to.
    pub target: ExternIdx,
}
