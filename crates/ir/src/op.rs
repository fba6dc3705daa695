//! Operators and the enumerations around them, each with its name in the text form.

use skep_isa::ebpf::{AluOp, JmpOp};

/// Declares an enumeration whose variants have a name in the text form.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in the text form.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The one with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

// TABLE
named! {
    /// Operators with one operand and a result.
    Unary {
        /// Two's complement.
        Neg = "neg";
        /// An `i32` as an `i64` with the same unsigned value. It costs no instruction.
        Extend = "extend";
        /// The lower half of an `i64` as an `i32`.
        Truncate = "truncate";
        /// The lowest 8 bits, extended by their sign to the width of the result.
        Sext8 = "sext8";
        /// The lowest 16 bits, extended by their sign.
        Sext16 = "sext16";
        /// The lowest 32 bits of an `i64` or an `i32`, extended by their sign to an `i64`.
        Sext32 = "sext32";
        /// The lowest 16 bits with their bytes swapped, the rest cleared.
        Swap16 = "swap16";
        /// The lowest 32 bits with their bytes swapped, the rest cleared.
        Swap32 = "swap32";
        /// All 64 bits with their bytes swapped.
        Swap64 = "swap64";
    }
}

// TABLE
named! {
    /// Operators with two operands of the type of the result.
    Binary {
        /// Addition.
        Add = "add";
        /// Subtraction.
        Sub = "sub";
        /// Multiplication.
        Mul = "mul";
        /// Unsigned division; 0 for a divisor of 0.
        Udiv = "udiv";
        /// Unsigned remainder; the dividend for a divisor of 0.
        Urem = "urem";
        /// Signed division, toward zero; 0 for a divisor of 0.
        Sdiv = "sdiv";
        /// Signed remainder with the sign of the dividend; the dividend for a divisor of 0.
        Srem = "srem";
        /// Bitwise and.
        And = "and";
        /// Bitwise or.
        Or = "or";
        /// Bitwise exclusive or.
        Xor = "xor";
        /// Shift to the left; counts are taken modulo the width.
        Shl = "shl";
        /// Shift to the right, zeros come in.
        Lshr = "lshr";
        /// Shift to the right, the sign comes in.
        Ashr = "ashr";
    }
}

impl Binary {
    /// The operator of the instruction set.
    pub const fn alu(self) -> AluOp {
        match self {
            Self::Add => AluOp::Add,
            Self::Sub => AluOp::Sub,
            Self::Mul => AluOp::Mul,
            Self::Udiv => AluOp::Div,
            Self::Urem => AluOp::Mod,
            Self::Sdiv => AluOp::SDiv,
            Self::Srem => AluOp::SMod,
            Self::And => AluOp::And,
            Self::Or => AluOp::Or,
            Self::Xor => AluOp::Xor,
            Self::Shl => AluOp::Lsh,
            Self::Lshr => AluOp::Rsh,
            Self::Ashr => AluOp::Arsh,
        }
    }

    /// Whether the operands may change places.
    pub const fn commutes(self) -> bool {
        matches!(self, Self::Add | Self::Mul | Self::And | Self::Or | Self::Xor)
    }
}

// TABLE
named! {
    /// Comparisons of two integers of one width, or of two pointers.
    Cond {
        /// Equal.
        Eq = "eq";
        /// Not equal.
        Ne = "ne";
        /// Unsigned less.
        Ult = "ult";
        /// Unsigned less or equal.
        Ule = "ule";
        /// Unsigned greater.
        Ugt = "ugt";
        /// Unsigned greater or equal.
        Uge = "uge";
        /// Signed less.
        Slt = "slt";
        /// Signed less or equal.
        Sle = "sle";
        /// Signed greater.
        Sgt = "sgt";
        /// Signed greater or equal.
        Sge = "sge";
        /// A bit is set in both.
        Set = "set";
    }
}

impl Cond {
    /// The comparison of the instruction set.
    pub const fn jump(self) -> JmpOp {
        match self {
            Self::Eq => JmpOp::Eq,
            Self::Ne => JmpOp::Ne,
            Self::Ult => JmpOp::Lt,
            Self::Ule => JmpOp::Le,
            Self::Ugt => JmpOp::Gt,
            Self::Uge => JmpOp::Ge,
            Self::Slt => JmpOp::SLt,
            Self::Sle => JmpOp::SLe,
            Self::Sgt => JmpOp::SGt,
            Self::Sge => JmpOp::SGe,
            Self::Set => JmpOp::Set,
        }
    }

    /// The comparison that holds when this one does not, `None` for [`Set`](Self::Set).
    pub const fn negated(self) -> Option<Self> {
        Some(match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Ult => Self::Uge,
            Self::Ule => Self::Ugt,
            Self::Ugt => Self::Ule,
            Self::Uge => Self::Ult,
            Self::Slt => Self::Sge,
            Self::Sle => Self::Sgt,
            Self::Sgt => Self::Sle,
            Self::Sge => Self::Slt,
            Self::Set => return None,
        })
    }

    /// The comparison with its operands exchanged.
    #[must_use]
    pub const fn swapped(self) -> Self {
        match self {
            Self::Ult => Self::Ugt,
            Self::Ule => Self::Uge,
            Self::Ugt => Self::Ult,
            Self::Uge => Self::Ule,
            Self::Slt => Self::Sgt,
            Self::Sle => Self::Sge,
            Self::Sgt => Self::Slt,
            Self::Sge => Self::Sle,
            same => same,
        }
    }
}

// TABLE
named! {
    /// The two kinds of addresses that memory of an arena has.
    Space {
        /// Those that programs read and write at.
        Kernel = "kernel";
        /// Those that user space maps the arena at, and pointers in it hold.
        User = "user";
    }
}

// TABLE
named! {
    /// Bytes of a memory access.
    Width {
        /// One byte.
        W8 = "8";
        /// Two bytes.
        W16 = "16";
        /// Four bytes.
        W32 = "32";
        /// Eight bytes.
        W64 = "64";
    }
}

impl Width {
    /// The number of bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::W8 => 1,
            Self::W16 => 2,
            Self::W32 => 4,
            Self::W64 => 8,
        }
    }

    /// The width of so many bytes.
    pub const fn from_bytes(bytes: u32) -> Option<Self> {
        match bytes {
            1 => Some(Self::W8),
            2 => Some(Self::W16),
            4 => Some(Self::W32),
            8 => Some(Self::W64),
            _ => None,
        }
    }

    /// The size of the instruction set.
    pub const fn size(self) -> skep_isa::ebpf::Size {
        match self {
            Self::W8 => skep_isa::ebpf::Size::B,
            Self::W16 => skep_isa::ebpf::Size::H,
            Self::W32 => skep_isa::ebpf::Size::W,
            Self::W64 => skep_isa::ebpf::Size::DW,
        }
    }
}

// TABLE
named! {
    /// Atomic read-modify-write operations.
    AtomicOp {
        /// Addition.
        Add = "add";
        /// Bitwise and.
        And = "and";
        /// Bitwise or.
        Or = "or";
        /// Bitwise exclusive or.
        Xor = "xor";
        /// Exchange.
        Xchg = "xchg";
    }
}

impl AtomicOp {
    /// The operation of the instruction set.
    pub const fn isa(self) -> skep_isa::ebpf::AtomicOp {
        match self {
            Self::Add => skep_isa::ebpf::AtomicOp::Add,
            Self::And => skep_isa::ebpf::AtomicOp::And,
            Self::Or => skep_isa::ebpf::AtomicOp::Or,
            Self::Xor => skep_isa::ebpf::AtomicOp::Xor,
            Self::Xchg => skep_isa::ebpf::AtomicOp::Xchg,
        }
    }
}

// TABLE
named! {
    /// What a constant that depends on the kernel's types says: the kinds of CO-RE relocations (`enum bpf_core_relo_kind`
    /// in `linux/bpf.h`), in the order of their numbers.
    CoreKind {
        /// Offset of a field in bytes.
        FieldOffset = "field_offset";
        /// Size of a field in bytes.
        FieldSize = "field_size";
        /// Whether the field exists.
        FieldExists = "field_exists";
        /// Whether the field is signed.
        FieldSigned = "field_signed";
        /// Shift to the left that brings a bit-field to the top of 64 bits.
        FieldLshift = "field_lshift";
        /// Shift to the right that brings it down again.
        FieldRshift = "field_rshift";
        /// Id of the type in the program's BTF.
        TypeIdLocal = "type_id_local";
        /// Id of the type in the kernel's BTF.
        TypeIdTarget = "type_id_target";
        /// Whether the type exists.
        TypeExists = "type_exists";
        /// Size of the type in bytes.
        TypeSize = "type_size";
        /// Whether the enumerator exists.
        EnumExists = "enum_exists";
        /// Value of the enumerator.
        EnumValue = "enum_value";
        /// Whether the type has the same shape.
        TypeMatches = "type_matches";
    }
}

impl CoreKind {
    /// The number of the relocation, 0 to 12.
    pub const fn number(self) -> u32 {
        self as u32
    }
}
