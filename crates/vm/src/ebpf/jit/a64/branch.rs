//! Branches, the places that they go to, and the conditions that they test.

use super::code::Code;
use super::error::{EncodeError, Field, at_most};
use super::register::{Reg, RegOrZr, Width};

/// What the flags say about the operands of the comparison that set them; the number is the bits `cond`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cond {
    /// Equal; after `tst`, no common bit.
    Eq = 0,
    /// Not equal.
    Ne = 1,
    /// Greater or equal, unsigned.
    Hs = 2,
    /// Less, unsigned.
    Lo = 3,
    /// Negative.
    Mi = 4,
    /// Not negative.
    Pl = 5,
    /// Signed overflow.
    Vs = 6,
    /// No signed overflow.
    Vc = 7,
    /// Greater, unsigned.
    Hi = 8,
    /// Less or equal, unsigned.
    Ls = 9,
    /// Greater or equal, signed.
    Ge = 10,
    /// Less, signed.
    Lt = 11,
    /// Greater, signed.
    Gt = 12,
    /// Less or equal, signed.
    Le = 13,
}

impl Cond {
    /// The bits `cond`.
    pub(super) fn bits(self) -> u32 {
        self as u32
    }

    /// The condition that holds exactly if this one does not.
    pub(crate) const fn inverse(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Hs => Self::Lo,
            Self::Lo => Self::Hs,
            Self::Mi => Self::Pl,
            Self::Pl => Self::Mi,
            Self::Vs => Self::Vc,
            Self::Vc => Self::Vs,
            Self::Hi => Self::Ls,
            Self::Ls => Self::Hi,
            Self::Ge => Self::Lt,
            Self::Lt => Self::Ge,
            Self::Gt => Self::Le,
            Self::Le => Self::Gt,
        }
    }
}

/// What may jump to a place, where the kernel or the program guards its branches (FEAT_BTI; no effect elsewhere). The
/// number is the instruction's hint number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Landing {
    /// `bti c`: calls, and jumps through registers 16 and 17.
    Call = 34,
    /// `bti j`: jumps.
    Jump = 36,
    /// `bti jc`: both.
    Any = 38,
}

/// The place of an instruction: how many are before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position(pub(super) usize);

/// An emitted instruction that waits for its target. Until [`Code::patch`] completes it the code holds `udf #0` in its
/// place, so a target that is forgotten is a trap and never an endless loop.
#[derive(Debug)]
#[must_use = "the code traps here until `Code::patch` gets this"]
pub(crate) struct Site {
    at: Position,
    word: u32,
    field: Target,
}

/// The field that holds the distance to a target, in instructions.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// `imm26` from bit 0: 128 MiB each way.
    Far,
    /// `imm19` from bit 5: 1 MiB each way. Also `adr`'s `immhi`, whose `immlo` is 0 for whole instructions.
    Middle,
    /// `imm14` from bit 5: 32 KiB each way.
    Near,
}

impl Target {
    /// The field's bits for a distance in bytes.
    fn bits(self, bytes: i64) -> Result<u32, EncodeError> {
        let (what, bits, lowest) = match self {
            Self::Far => ("the distance of a branch in bytes", 26, 0),
            Self::Middle => ("the distance of a conditional branch or an address in bytes", 19, 5),
            Self::Near => ("the distance of a branch on a bit in bytes", 14, 5),
        };
        Ok(Field { what, bits, step: 4 }.encode(bytes)? << lowest)
    }
}

/// Places.
impl Code {
    /// Where the next instruction goes.
    pub(crate) fn here(&self) -> Position {
        Position(self.words.len())
    }

    /// Completes an instruction of this code: its target is `target`, before or after it. An error if the distance is
    /// beyond the instruction's reach; then the trap stays.
    pub(crate) fn patch(&mut self, site: Site, target: Position) -> Result<(), EncodeError> {
        // Neither count exceeds that of bytes in memory, so a signed number holds it.
        let bytes = (target.0 as i64).wrapping_sub(site.at.0 as i64).saturating_mul(4);
        self.words[site.at.0] = site.word | site.field.bits(bytes)?;
        Ok(())
    }

    fn site(&mut self, word: u32, field: Target) -> Site {
        let at = self.here();
        self.udf(0);
        Site { at, word, field }
    }
}

/// Branches.
impl Code {
    /// `b`: reaches 128 MiB.
    pub(crate) fn b(&mut self) -> Site {
        self.site(0x1400_0000, Target::Far)
    }

    /// `bl`: a call; reaches 128 MiB.
    pub(crate) fn bl(&mut self) -> Site {
        self.site(0x9400_0000, Target::Far)
    }

    /// `b.cond`: reaches 1 MiB.
    pub(crate) fn b_cond(&mut self, cond: Cond) -> Site {
        self.site(0x5400_0000 | cond.bits(), Target::Middle)
    }

    /// `cbz t`: if the register is zero; reaches 1 MiB.
    pub(crate) fn cbz(&mut self, width: Width, t: impl Into<RegOrZr>) -> Site {
        self.site(0x3400_0000 | width.sf() | t.into().bits(), Target::Middle)
    }

    /// `cbnz t`: if the register is not zero; reaches 1 MiB.
    pub(crate) fn cbnz(&mut self, width: Width, t: impl Into<RegOrZr>) -> Site {
        self.site(0x3500_0000 | width.sf() | t.into().bits(), Target::Middle)
    }

    /// `tbz t, #bit`: if this bit, 0 to 63, is zero; reaches 32 KiB.
    pub(crate) fn tbz(&mut self, t: impl Into<RegOrZr>, bit: u8) -> Result<Site, EncodeError> {
        let bit = bit_number(bit)?;
        Ok(self.site(0x3600_0000 | bit | t.into().bits(), Target::Near))
    }

    /// `tbnz t, #bit`: if this bit, 0 to 63, is one; reaches 32 KiB.
    pub(crate) fn tbnz(&mut self, t: impl Into<RegOrZr>, bit: u8) -> Result<Site, EncodeError> {
        let bit = bit_number(bit)?;
        Ok(self.site(0x3700_0000 | bit | t.into().bits(), Target::Near))
    }

    /// `adr d`: the address of the target; reaches 1 MiB.
    pub(crate) fn adr(&mut self, d: impl Into<RegOrZr>) -> Site {
        self.site(0x1000_0000 | d.into().bits(), Target::Middle)
    }

    /// `br n`: jumps to an address.
    pub(crate) fn br(&mut self, n: Reg) {
        self.push(0xd61f_0000 | u32::from(n.number()) << 5);
    }

    /// `blr n`: calls an address.
    pub(crate) fn blr(&mut self, n: Reg) {
        self.push(0xd63f_0000 | u32::from(n.number()) << 5);
    }

    /// `ret n`: returns to an address, that of [`Reg::LINK`] by convention.
    pub(crate) fn ret(&mut self, n: Reg) {
        self.push(0xd65f_0000 | u32::from(n.number()) << 5);
    }

    /// `bti`: a place that indirect branches may go to.
    pub(crate) fn bti(&mut self, landing: Landing) {
        self.push(0xd503_201f | (landing as u32) << 5);
    }
}

/// The bits `b5` and `b40` in their places.
fn bit_number(bit: u8) -> Result<u32, EncodeError> {
    let bit = at_most("the number of a tested bit", bit, 63)?;
    Ok((bit >> 5) << 31 | (bit & 31) << 19)
}
