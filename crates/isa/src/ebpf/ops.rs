//! Operators of the 64-bit machine: their codes, how they are written, and what they compute (RFC 9669, section 4).

use std::fmt;

/// A register, `r0` to `r10`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reg(u8);

impl Reg {
    /// Return value of calls and of the program.
    pub const R0: Self = Self(0);
    /// First argument; the context on entry. Lost in calls.
    pub const R1: Self = Self(1);
    /// Second argument. Lost in calls.
    pub const R2: Self = Self(2);
    /// Third argument. Lost in calls.
    pub const R3: Self = Self(3);
    /// Fourth argument. Lost in calls.
    pub const R4: Self = Self(4);
    /// Fifth argument. Lost in calls.
    pub const R5: Self = Self(5);
    /// Kept across calls; the context for packet loads.
    pub const R6: Self = Self(6);
    /// Kept across calls.
    pub const R7: Self = Self(7);
    /// Kept across calls.
    pub const R8: Self = Self(8);
    /// Kept across calls.
    pub const R9: Self = Self(9);
    /// Frame pointer: the end of 512 bytes of stack. Read only.
    pub const R10: Self = Self(10);

    /// Register `number`, `None` above 10.
    pub const fn new(number: u8) -> Option<Self> {
        if number <= 10 { Some(Self(number)) } else { None }
    }

    /// Its number, 0 to 10.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its number as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// Second operand of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Src {
    /// A register.
    Reg(Reg),
    /// A constant, sign-extended for 64-bit operations.
    Imm(i32),
}

/// Width of an operation. 32-bit operations read the low halves and clear the high half of their result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Width {
    /// 32 bits, registers written `w0`.
    W32,
    /// 64 bits, registers written `r0`.
    W64,
}

impl Width {
    /// First letter of a register used at this width.
    pub const fn letter(self) -> char {
        match self {
            Self::W32 => 'w',
            Self::W64 => 'r',
        }
    }

    /// 32 or 64.
    pub const fn bits(self) -> u32 {
        match self {
            Self::W32 => 32,
            Self::W64 => 64,
        }
    }

    /// The size of memory that an access of this width touches.
    pub const fn size(self) -> Size {
        match self {
            Self::W32 => Size::W,
            Self::W64 => Size::DW,
        }
    }
}

/// Declares an enum whose variants carry an encoded number and a notation.
macro_rules! operators {
    ($(#[$meta:meta])* $name:ident: $number:ty { $($(#[$doc:meta])* $variant:ident = $code:literal, $symbol:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every variant, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The number that encodes it.
            pub const fn code(self) -> $number {
                match self { $(Self::$variant => $code,)+ }
            }

            /// How it is written in assembly text.
            pub const fn symbol(self) -> &'static str {
                match self { $(Self::$variant => $symbol,)+ }
            }

            /// The variant written like this.
            pub fn from_symbol(symbol: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|variant| variant.symbol() == symbol)
            }
        }
    };
}

operators! {
    /// Size of a memory access. The code is the size field of the opcode.
    Size: u8 {
        /// 4 bytes.
        W = 0x00, "u32";
        /// 2 bytes.
        H = 0x08, "u16";
        /// 1 byte.
        B = 0x10, "u8";
        /// 8 bytes.
        DW = 0x18, "u64";
    }
}

impl Size {
    /// Number of bytes: 1, 2, 4 or 8.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::B => 1,
            Self::H => 2,
            Self::W => 4,
            Self::DW => 8,
        }
    }

    /// Notation of the signed type of this size.
    pub const fn signed_symbol(self) -> &'static str {
        match self {
            Self::B => "s8",
            Self::H => "s16",
            Self::W => "s32",
            Self::DW => "s64",
        }
    }

    /// The low bits of `value` that fit this size, extended by their sign.
    pub const fn sign_extend(self, value: u64) -> u64 {
        match self {
            Self::B => value as i8 as u64,
            Self::H => value as i16 as u64,
            Self::W => value as i32 as u64,
            Self::DW => value,
        }
    }
}

operators! {
    /// Binary arithmetic. The code is the operation field of the opcode; the signed divisions share it with the
    /// unsigned ones and are told apart by an offset of 1.
    AluOp: u8 {
        /// Addition.
        Add = 0x00, "+=";
        /// Subtraction.
        Sub = 0x10, "-=";
        /// Multiplication.
        Mul = 0x20, "*=";
        /// Unsigned division; by zero gives zero.
        Div = 0x30, "/=";
        /// Signed division, rounding to zero; by zero gives zero, overflow gives the dividend.
        SDiv = 0x30, "s/=";
        /// Bitwise or.
        Or = 0x40, "|=";
        /// Bitwise and.
        And = 0x50, "&=";
        /// Shift to the left; the count is taken modulo the width.
        Lsh = 0x60, "<<=";
        /// Shift to the right without sign; the count is taken modulo the width.
        Rsh = 0x70, ">>=";
        /// Unsigned remainder; by zero gives the dividend.
        Mod = 0x90, "%=";
        /// Signed remainder with the sign of the dividend; by zero gives the dividend, overflow gives zero.
        SMod = 0x90, "s%=";
        /// Bitwise exclusive or.
        Xor = 0xa0, "^=";
        /// The second operand.
        Mov = 0xb0, "=";
        /// Shift to the right with the sign; the count is taken modulo the width.
        Arsh = 0xc0, "s>>=";
    }
}

impl AluOp {
    /// The offset field that tells signed from unsigned division.
    pub const fn offset(self) -> i16 {
        matches!(self, Self::SDiv | Self::SMod) as i16
    }

    /// The result for two operands of the given width; immediates must be sign-extended by the caller.
    ///
    /// A 32-bit operation ignores the high halves of its operands and clears that of its result.
    pub const fn eval(self, width: Width, a: u64, b: u64) -> u64 {
        match width {
            Width::W32 => self.eval32(a as u32, b as u32) as u64,
            Width::W64 => self.eval64(a, b),
        }
    }

    const fn eval64(self, a: u64, b: u64) -> u64 {
        match self {
            Self::Add => a.wrapping_add(b),
            Self::Sub => a.wrapping_sub(b),
            Self::Mul => a.wrapping_mul(b),
            Self::Div if b == 0 => 0,
            Self::Div => a / b,
            Self::SDiv if b == 0 => 0,
            Self::SDiv => (a as i64).wrapping_div(b as i64) as u64,
            Self::Or => a | b,
            Self::And => a & b,
            Self::Lsh => a.wrapping_shl(b as u32),
            Self::Rsh => a.wrapping_shr(b as u32),
            Self::Mod | Self::SMod if b == 0 => a,
            Self::Mod => a % b,
            Self::SMod => (a as i64).wrapping_rem(b as i64) as u64,
            Self::Xor => a ^ b,
            Self::Mov => b,
            Self::Arsh => (a as i64).wrapping_shr(b as u32) as u64,
        }
    }

    const fn eval32(self, a: u32, b: u32) -> u32 {
        match self {
            Self::SDiv if b == 0 => 0,
            Self::SDiv => (a as i32).wrapping_div(b as i32) as u32,
            Self::SMod if b == 0 => a,
            Self::SMod => (a as i32).wrapping_rem(b as i32) as u32,
            Self::Lsh => a.wrapping_shl(b),
            Self::Rsh => a.wrapping_shr(b),
            Self::Arsh => (a as i32).wrapping_shr(b) as u32,
            _ => self.eval64(a as u64, b as u64) as u32,
        }
    }
}

operators! {
    /// Condition of a jump. The code is the operation field of the opcode.
    JmpOp: u8 {
        /// Equal.
        Eq = 0x10, "==";
        /// Greater, unsigned.
        Gt = 0x20, ">";
        /// Greater or equal, unsigned.
        Ge = 0x30, ">=";
        /// Some common bit is set.
        Set = 0x40, "&";
        /// Not equal.
        Ne = 0x50, "!=";
        /// Greater, signed.
        SGt = 0x60, "s>";
        /// Greater or equal, signed.
        SGe = 0x70, "s>=";
        /// Less, unsigned.
        Lt = 0xa0, "<";
        /// Less or equal, unsigned.
        Le = 0xb0, "<=";
        /// Less, signed.
        SLt = 0xc0, "s<";
        /// Less or equal, signed.
        SLe = 0xd0, "s<=";
    }
}

impl JmpOp {
    /// Whether the condition holds at this width; immediates must be sign-extended by the caller.
    pub const fn eval(self, width: Width, a: u64, b: u64) -> bool {
        // Signed compares of the low halves become 64-bit ones after sign extension; the rest after truncation.
        let (a, b) = match width {
            Width::W64 => (a, b),
            Width::W32 if self.is_signed() => (a as i32 as u64, b as i32 as u64),
            Width::W32 => (a as u32 as u64, b as u32 as u64),
        };
        match self {
            Self::Eq => a == b,
            Self::Ne => a != b,
            Self::Gt => a > b,
            Self::Ge => a >= b,
            Self::Lt => a < b,
            Self::Le => a <= b,
            Self::Set => a & b != 0,
            Self::SGt => a as i64 > b as i64,
            Self::SGe => a as i64 >= b as i64,
            Self::SLt => (a as i64) < b as i64,
            Self::SLe => a as i64 <= b as i64,
        }
    }

    /// Whether it compares with sign.
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::SGt | Self::SGe | Self::SLt | Self::SLe)
    }

    /// The condition that holds exactly when this one does not; there is none for `Set`.
    pub const fn inverse(self) -> Option<Self> {
        Some(match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Gt => Self::Le,
            Self::Le => Self::Gt,
            Self::Ge => Self::Lt,
            Self::Lt => Self::Ge,
            Self::SGt => Self::SLe,
            Self::SLe => Self::SGt,
            Self::SGe => Self::SLt,
            Self::SLt => Self::SGe,
            Self::Set => return None,
        })
    }
}

operators! {
    /// Read-modify-write operation on memory. The code is the immediate without the fetch flag; the symbol is the
    /// name in function notation.
    AtomicOp: i32 {
        /// Addition.
        Add = 0x00, "add";
        /// Bitwise or.
        Or = 0x40, "or";
        /// Bitwise and.
        And = 0x50, "and";
        /// Bitwise exclusive or.
        Xor = 0xa0, "xor";
        /// Exchange; always fetches.
        Xchg = 0xe0, "xchg";
        /// Stores the source if memory equals `r0`; always fetches, into `r0`.
        CmpXchg = 0xf0, "cmpxchg";
    }
}

impl AtomicOp {
    /// The arithmetic behind it, `None` for the exchanges.
    pub const fn alu(self) -> Option<AluOp> {
        match self {
            Self::Add => Some(AluOp::Add),
            Self::Or => Some(AluOp::Or),
            Self::And => Some(AluOp::And),
            Self::Xor => Some(AluOp::Xor),
            Self::Xchg | Self::CmpXchg => None,
        }
    }
}

/// What a byte swap makes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Host order to little-endian: swaps on big-endian machines only.
    Little,
    /// Host order to big-endian: swaps on little-endian machines only.
    Big,
    /// Swaps everywhere.
    Swap,
}

impl Order {
    /// Start of the name, followed by the number of bits.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Little => "le",
            Self::Big => "be",
            Self::Swap => "bswap",
        }
    }

    /// The low `size` bytes of `value` put in order on a machine with byte order `host`, the rest cleared.
    pub const fn eval(self, host: super::Endian, size: Size, value: u64) -> u64 {
        let swap = match self {
            Self::Swap => true,
            Self::Little => matches!(host, super::Endian::Big),
            Self::Big => matches!(host, super::Endian::Little),
        };
        let unused_bits = 64 - 8 * size.bytes();
        let kept = value << unused_bits >> unused_bits;
        if swap { kept.swap_bytes() >> unused_bits } else { kept }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Endian;
    use super::*;

    const MIN32: u64 = 0x8000_0000;
    const MINUS_1: u64 = u64::MAX;

    #[test]
    fn division_never_traps() {
        assert_eq!(AluOp::Div.eval(Width::W64, 7, 0), 0);
        assert_eq!(AluOp::SDiv.eval(Width::W64, i64::MIN as u64, MINUS_1), i64::MIN as u64);
        assert_eq!(AluOp::SMod.eval(Width::W64, i64::MIN as u64, MINUS_1), 0);
        assert_eq!(AluOp::SDiv.eval(Width::W32, MIN32, MINUS_1), MIN32);
        assert_eq!(AluOp::SMod.eval(Width::W32, MIN32, MINUS_1), 0);
        // The modulus by zero keeps the dividend, but a 32-bit one still clears the high half.
        assert_eq!(AluOp::Mod.eval(Width::W64, 0x1_0000_0005, 0), 0x1_0000_0005);
        assert_eq!(AluOp::Mod.eval(Width::W32, 0x1_0000_0005, 0), 5);
        assert_eq!(AluOp::SDiv.eval(Width::W64, -7i64 as u64, 2), -3i64 as u64);
        assert_eq!(AluOp::SMod.eval(Width::W64, -7i64 as u64, 2), -1i64 as u64);
    }

    #[test]
    fn narrow_operations_clear_the_high_half() {
        assert_eq!(AluOp::Add.eval(Width::W32, 0xffff_ffff, 1), 0);
        assert_eq!(AluOp::Sub.eval(Width::W32, 0, 1), 0xffff_ffff);
        assert_eq!(AluOp::Mov.eval(Width::W32, 9, MINUS_1), 0xffff_ffff);
        assert_eq!(AluOp::Arsh.eval(Width::W32, MIN32, 31), 0xffff_ffff);
        assert_eq!(AluOp::Lsh.eval(Width::W32, 1, 33), 2);
        assert_eq!(AluOp::Lsh.eval(Width::W64, 1, 33), 1 << 33);
        assert_eq!(AluOp::Rsh.eval(Width::W32, MINUS_1, 4), 0x0fff_ffff);
    }

    #[test]
    fn conditions_and_their_inverses_disagree() {
        let values = [0, 1, 5, 0x7fff_ffff, MIN32, 0xffff_ffff, 1 << 32, 1 << 63, MINUS_1];
        for width in [Width::W32, Width::W64] {
            for &op in JmpOp::ALL {
                for (a, b) in values.iter().flat_map(|&a| values.map(|b| (a, b))) {
                    if let Some(inverse) = op.inverse() {
                        assert_ne!(op.eval(width, a, b), inverse.eval(width, a, b), "{op:?} {a} {b}");
                    }
                }
            }
        }
        assert!(JmpOp::SLt.eval(Width::W32, MIN32, 0));
        assert!(!JmpOp::SLt.eval(Width::W64, MIN32, 0));
        assert!(JmpOp::Eq.eval(Width::W32, 1 << 32, 0));
    }

    #[test]
    fn byte_swaps() {
        let value = 0x0102_0304_0506_0708;
        assert_eq!(Order::Big.eval(Endian::Little, Size::H, value), 0x0807);
        assert_eq!(Order::Big.eval(Endian::Big, Size::H, value), 0x0708);
        assert_eq!(Order::Little.eval(Endian::Little, Size::W, value), 0x0506_0708);
        assert_eq!(Order::Swap.eval(Endian::Big, Size::DW, value), 0x0807_0605_0403_0201);
    }
}
