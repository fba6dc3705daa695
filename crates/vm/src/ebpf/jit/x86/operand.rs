//! Operands of x86-64 instructions: registers, conditions and memory operands.

/// A general register. How many of its bits count is said by the instruction.
///
/// The number is the encoding (manual, volume 2, table 3-1); its high bit goes into a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Reg {
    /// Low half of products and quotients; the value that a compare-and-exchange expects.
    Rax = 0,
    /// Its low byte is the count of the shifts that BMI2 did not add.
    Rcx = 1,
    /// High half of products; remainder of divisions.
    Rdx = 2,
    /// Kept across calls in the System V convention.
    Rbx = 3,
    /// Stack pointer. Never an index.
    Rsp = 4,
    /// Kept across calls.
    Rbp = 5,
    /// Second argument of calls.
    Rsi = 6,
    /// First argument of calls.
    Rdi = 7,
    /// Fifth argument of calls.
    R8 = 8,
    /// Sixth argument of calls.
    R9 = 9,
    /// Lost in calls.
    R10 = 10,
    /// Lost in calls.
    R11 = 11,
    /// Kept across calls.
    R12 = 12,
    /// Kept across calls.
    R13 = 13,
    /// Kept across calls.
    R14 = 14,
    /// Kept across calls.
    R15 = 15,
}

impl Reg {
    /// Every register, in the order of the numbers.
    pub(crate) const ALL: [Self; 16] = [
        Self::Rax,
        Self::Rcx,
        Self::Rdx,
        Self::Rbx,
        Self::Rsp,
        Self::Rbp,
        Self::Rsi,
        Self::Rdi,
        Self::R8,
        Self::R9,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R13,
        Self::R14,
        Self::R15,
    ];

    /// Its number, 0 to 15.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    /// The three bits of the number that fit in ModRM, SIB and opcodes.
    pub(super) const fn low(self) -> u8 {
        self as u8 & 7
    }

    /// The fourth bit of the number, which goes into REX or VEX: 0 or 1.
    pub(super) const fn high(self) -> u8 {
        self as u8 >> 3
    }

    /// Whether the low byte of this register has a name only with a REX prefix. Without one, the numbers 4 to 7 mean
    /// the second bytes of the first four registers (manual, volume 2, section 3.1.1.1).
    pub(super) const fn byte_needs_rex(self) -> bool {
        matches!(self, Self::Rsp | Self::Rbp | Self::Rsi | Self::Rdi)
    }
}

/// A condition on the flags, with its code in `jcc`, `setcc` and `cmovcc` (manual, volume 1, appendix B).
///
/// "Above" and "below" compare without sign, "greater" and "less" with sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Cond {
    /// Signed overflow.
    O = 0,
    /// No signed overflow.
    No = 1,
    /// Below; carry.
    B = 2,
    /// Above or equal; no carry.
    Ae = 3,
    /// Equal; zero.
    E = 4,
    /// Not equal; not zero.
    Ne = 5,
    /// Below or equal.
    Be = 6,
    /// Above.
    A = 7,
    /// Negative.
    S = 8,
    /// Not negative.
    Ns = 9,
    /// Even parity.
    P = 10,
    /// Odd parity.
    Np = 11,
    /// Less.
    L = 12,
    /// Greater or equal.
    Ge = 13,
    /// Less or equal.
    Le = 14,
    /// Greater.
    G = 15,
}

impl Cond {
    /// Every condition, in the order of the codes.
    pub(crate) const ALL: [Self; 16] = [
        Self::O,
        Self::No,
        Self::B,
        Self::Ae,
        Self::E,
        Self::Ne,
        Self::Be,
        Self::A,
        Self::S,
        Self::Ns,
        Self::P,
        Self::Np,
        Self::L,
        Self::Ge,
        Self::Le,
        Self::G,
    ];

    /// Its code, 0 to 15.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// The condition that holds exactly when this one does not. Their codes differ in the lowest bit.
    pub(crate) const fn inverse(self) -> Self {
        Self::ALL[(self as u8 ^ 1) as usize]
    }
}

/// What an index is multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Scale {
    /// 1
    One = 0,
    /// 2
    Two = 1,
    /// 4
    Four = 2,
    /// 8
    Eight = 3,
}

impl Scale {
    /// Every scale, in rising order.
    pub(crate) const ALL: [Self; 4] = [Self::One, Self::Two, Self::Four, Self::Eight];

    /// The exponent of the scale, as SIB holds it: 0 to 3.
    pub(super) const fn code(self) -> u8 {
        self as u8
    }
}

/// A memory operand: the address `base + index * scale + displacement`, computed modulo 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mem {
    base: Reg,
    index: Option<(Reg, Scale)>,
    disp: i32,
}

impl Mem {
    /// The operand at `base + disp`.
    pub(crate) const fn new(base: Reg, disp: i32) -> Self {
        Self { base, index: None, disp }
    }

    /// The operand at `base + index * scale + disp`. `None` for the stack pointer as index: that encoding means "no
    /// index".
    pub(crate) const fn indexed(base: Reg, index: Reg, scale: Scale, disp: i32) -> Option<Self> {
        match index {
            Reg::Rsp => None,
            _ => Some(Self { base, index: Some((index, scale)), disp }),
        }
    }

    /// The register that the address starts from.
    pub(crate) const fn base(self) -> Reg {
        self.base
    }

    /// The register that is multiplied and added, with its factor.
    pub(crate) const fn index(self) -> Option<(Reg, Scale)> {
        self.index
    }

    /// The constant part of the address.
    pub(crate) const fn disp(self) -> i32 {
        self.disp
    }
}

/// An operand that may be a register or memory ("r/m" in the manual).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rm {
    /// A register.
    Reg(Reg),
    /// Memory.
    Mem(Mem),
}

impl From<Reg> for Rm {
    fn from(reg: Reg) -> Self {
        Self::Reg(reg)
    }
}

impl From<Mem> for Rm {
    fn from(mem: Mem) -> Self {
        Self::Mem(mem)
    }
}
