//! Registers, with the two meanings of number 31 kept apart, and operand widths.

/// A general register, number 0 to 30. Every instruction takes these in every place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Reg(u8);

impl Reg {
    /// The link register, which `bl` and `blr` write and `ret` reads by convention.
    pub(crate) const LINK: Self = Self(30);
    /// The frame pointer of the procedure call standard.
    pub(crate) const FRAME: Self = Self(29);

    /// The register with this number; none above 30, where the meaning depends on the instruction.
    pub(crate) const fn new(number: u8) -> Option<Self> {
        if number <= 30 { Some(Self(number)) } else { None }
    }

    /// 0 to 30.
    pub(crate) const fn number(self) -> u8 {
        self.0
    }
}

/// An operand whose number 31 reads as zero and discards what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RegOrZr(u8);

/// The register that is always zero.
pub(crate) const ZR: RegOrZr = RegOrZr(31);

impl RegOrZr {
    /// The operand's five bits.
    pub(super) fn bits(self) -> u32 {
        self.0.into()
    }
}

impl From<Reg> for RegOrZr {
    fn from(reg: Reg) -> Self {
        Self(reg.0)
    }
}

/// An operand whose number 31 is the stack pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RegOrSp(u8);

/// The stack pointer. The processor may require it to be a multiple of 16 whenever memory is accessed through it.
pub(crate) const SP: RegOrSp = RegOrSp(31);

impl RegOrSp {
    /// The operand's five bits.
    pub(super) fn bits(self) -> u32 {
        self.0.into()
    }

    /// Whether both are the same general register; the zero register and the stack pointer share a number only.
    pub(super) fn is_same(self, other: RegOrZr) -> bool {
        self.0 == other.0 && self != SP
    }
}

impl From<Reg> for RegOrSp {
    fn from(reg: Reg) -> Self {
        Self(reg.0)
    }
}

/// How much of the registers an instruction uses. Results of 32 bits clear the upper half of their register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Width {
    /// The lower 32 bits: `w0`.
    W,
    /// All 64 bits: `x0`.
    X,
}

impl Width {
    /// Bits of an operand: 32 or 64.
    pub(crate) const fn bits(self) -> u32 {
        match self {
            Self::W => 32,
            Self::X => 64,
        }
    }

    /// The bit `sf`, which most instructions have on top.
    pub(super) fn sf(self) -> u32 {
        u32::from(self == Self::X) << 31
    }

    /// The bit `N`, which bit-field instructions repeat the width in.
    pub(super) fn n(self) -> u32 {
        u32::from(self == Self::X) << 22
    }
}
