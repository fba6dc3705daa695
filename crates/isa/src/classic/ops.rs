//! Operators of the classic machine and what they compute.

/// Width of a packet load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Size {
    /// 32 bits, big-endian.
    Word,
    /// 16 bits, big-endian.
    Half,
    /// 8 bits.
    Byte,
}

impl Size {
    /// Number of bytes loaded: 4, 2 or 1.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Word => 4,
            Self::Half => 2,
            Self::Byte => 1,
        }
    }

    /// The size field of the opcode (`BPF_W`, `BPF_H`, `BPF_B`).
    pub const fn code(self) -> u16 {
        match self {
            Self::Word => 0x00,
            Self::Half => 0x08,
            Self::Byte => 0x10,
        }
    }

    /// The size whose width is `bytes`, if there is one.
    pub const fn from_bytes(bytes: u32) -> Option<Self> {
        match bytes {
            4 => Some(Self::Word),
            2 => Some(Self::Half),
            1 => Some(Self::Byte),
            _ => None,
        }
    }
}

/// Binary operators on the accumulator. All are unsigned and 32 bits wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AluOp {
    /// `A += v`
    Add,
    /// `A -= v`
    Sub,
    /// `A *= v`
    Mul,
    /// `A /= v`
    Div,
    /// `A |= v`
    Or,
    /// `A &= v`
    And,
    /// `A <<= v`
    Lsh,
    /// `A >>= v`
    Rsh,
    /// `A %= v`
    Mod,
    /// `A ^= v`
    Xor,
}

impl AluOp {
    /// Every operator, in the order of their codes.
    pub const ALL: [Self; 10] =
        [Self::Add, Self::Sub, Self::Mul, Self::Div, Self::Or, Self::And, Self::Lsh, Self::Rsh, Self::Mod, Self::Xor];

    /// The operation field of the opcode (`BPF_ADD` and so on).
    pub const fn code(self) -> u16 {
        match self {
            Self::Add => 0x00,
            Self::Sub => 0x10,
            Self::Mul => 0x20,
            Self::Div => 0x30,
            Self::Or => 0x40,
            Self::And => 0x50,
            Self::Lsh => 0x60,
            Self::Rsh => 0x70,
            Self::Mod => 0x90,
            Self::Xor => 0xa0,
        }
    }

    /// `a OP b`, or `None` for a division or modulus by zero, which ends the program with 0.
    ///
    /// Shift counts are taken modulo 32 as the Linux kernel does (libpcap's own interpreter yields 0 from 32 on).
    pub const fn eval(self, a: u32, b: u32) -> Option<u32> {
        Some(match self {
            Self::Add => a.wrapping_add(b),
            Self::Sub => a.wrapping_sub(b),
            Self::Mul => a.wrapping_mul(b),
            Self::Div => match a.checked_div(b) {
                Some(q) => q,
                None => return None,
            },
            Self::Or => a | b,
            Self::And => a & b,
            Self::Lsh => a.wrapping_shl(b),
            Self::Rsh => a.wrapping_shr(b),
            Self::Mod => match a.checked_rem(b) {
                Some(r) => r,
                None => return None,
            },
            Self::Xor => a ^ b,
        })
    }
}

/// Conditions of a classic jump. All compare without sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JmpOp {
    /// `A == v`
    Eq,
    /// `A > v`
    Gt,
    /// `A >= v`
    Ge,
    /// `A & v != 0`
    Set,
}

impl JmpOp {
    /// Every condition, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Eq, Self::Gt, Self::Ge, Self::Set];

    /// The operation field of the opcode (`BPF_JEQ` and so on).
    pub const fn code(self) -> u16 {
        match self {
            Self::Eq => 0x10,
            Self::Gt => 0x20,
            Self::Ge => 0x30,
            Self::Set => 0x40,
        }
    }

    /// Whether the condition holds for the accumulator `a` and the operand `b`.
    pub const fn eval(self, a: u32, b: u32) -> bool {
        match self {
            Self::Eq => a == b,
            Self::Gt => a > b,
            Self::Ge => a >= b,
            Self::Set => a & b != 0,
        }
    }
}
