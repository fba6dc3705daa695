//! Loads, stores, atomic instructions and barriers.

use super::code::Code;
use super::error::{EncodeError, Field};
use super::register::{RegOrSp, RegOrZr, Width};

/// Bytes of an access; the number is the bits `size`, the logarithm of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// 1 byte.
    Byte = 0,
    /// 2 bytes.
    Half = 1,
    /// 4 bytes.
    Word = 2,
    /// 8 bytes.
    Double = 3,
}

impl Size {
    /// The bits `size` on top of the word.
    fn bits(self) -> u32 {
        (self as u32) << 30
    }
}

/// What a load reads and how it widens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// `ldrb`, `ldrh`, `ldr`: clears the rest of the register.
    Unsigned(Size),
    /// `ldrsb`: repeats the sign up to the width.
    SignedByte(Width),
    /// `ldrsh`: repeats the sign up to the width.
    SignedHalf(Width),
    /// `ldrsw`: repeats the sign up to 64 bits.
    SignedWord,
}

/// What is added to a base register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
    /// All 64 bits: `[n, x1]`.
    X(RegOrZr),
    /// The lower 32 bits, unsigned: `[n, w1, uxtw]`.
    Uxtw(RegOrZr),
    /// The lower 32 bits, signed: `[n, w1, sxtw]`.
    Sxtw(RegOrZr),
}

/// Where a load or store goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address {
    /// Base and bytes: up to 4095 times the size of the access if it is a multiple of that, else from -256 to 255.
    Offset(RegOrSp, i32),
    /// Base and another register.
    Index(RegOrSp, Index),
    /// Base and another register times the size of the access.
    ScaledIndex(RegOrSp, Index),
}

impl Address {
    /// The memory that a register points to.
    pub(crate) fn at(base: impl Into<RegOrSp>) -> Self {
        Self::Offset(base.into(), 0)
    }

    /// The bits of the form of the address for an access of `size`.
    fn bits(self, size: Size) -> Result<u32, EncodeError> {
        match self {
            Self::Offset(base, bytes) => {
                let unit = 1 << size as u32;
                if bytes >= 0 && bytes % unit == 0 && bytes / unit < 0x1000 {
                    return Ok(1 << 24 | ((bytes / unit) as u32) << 10 | base.bits() << 5);
                }
                let what = "the offset of a load or store that is not a multiple of its size up to 4095 times that";
                let field = Field { what, bits: 9, step: 1 };
                Ok(field.encode(bytes.into())? << 12 | base.bits() << 5)
            }
            Self::Index(base, index) => Ok(index.bits() | base.bits() << 5),
            Self::ScaledIndex(base, index) => Ok(index.bits() | 1 << 12 | base.bits() << 5),
        }
    }
}

impl Index {
    fn bits(self) -> u32 {
        let (m, option) = match self {
            Self::X(m) => (m, 3),
            Self::Uxtw(m) => (m, 2),
            Self::Sxtw(m) => (m, 6),
        };
        1 << 21 | m.bits() << 16 | option << 13 | 1 << 11
    }
}

/// What `ldp` and `stp` do with the base register; the number is the bits of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PairMode {
    /// `[n], #bytes`: access, then add.
    Post = 1 << 23,
    /// `[n, #bytes]`: add for the access only.
    Offset = 2 << 23,
    /// `[n, #bytes]!`: add, then access.
    Pre = 3 << 23,
}

/// Atomic changes of memory; the number is the bits `o3:opc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtomicOp {
    /// `ldadd`: adds.
    Add = 0,
    /// `ldclr`: clears the bits that are set in the operand.
    Clear = 1,
    /// `ldeor`: exclusive or.
    Xor = 2,
    /// `ldset`: inclusive or.
    Set = 3,
    /// `swp`: replaces.
    Swap = 8,
}

/// Memory barriers of the inner shareable domain; the number is `CRm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Barrier {
    /// `dmb ishld`: loads before it precede loads and stores after it.
    Loads = 9,
    /// `dmb ishst`: stores before it precede stores after it.
    Stores = 10,
    /// `dmb ish`: what is before it precedes what is after it.
    Full = 11,
}

/// Plain loads and stores.
impl Code {
    /// Loads register `t`.
    pub(crate) fn load(&mut self, load: Load, t: impl Into<RegOrZr>, address: Address) -> Result<(), EncodeError> {
        // The bits `opc`: 1 clears the rest, 2 and 3 repeat the sign up to 64 and 32 bits.
        let signed = |width| if width == Width::X { 2 } else { 3 };
        let (size, opc) = match load {
            Load::Unsigned(size) => (size, 1),
            Load::SignedByte(width) => (Size::Byte, signed(width)),
            Load::SignedHalf(width) => (Size::Half, signed(width)),
            Load::SignedWord => (Size::Word, 2),
        };
        self.push(0x3800_0000 | size.bits() | opc << 22 | address.bits(size)? | t.into().bits());
        Ok(())
    }

    /// Stores the lower bytes of register `t`.
    pub(crate) fn store(&mut self, size: Size, t: impl Into<RegOrZr>, address: Address) -> Result<(), EncodeError> {
        self.push(0x3800_0000 | size.bits() | address.bits(size)? | t.into().bits());
        Ok(())
    }

    /// `ldp first, second, [base, #bytes]`. The offset is a multiple of the register's size from -64 to 63 times that.
    /// The registers differ from each other, and from the base if that changes.
    pub(crate) fn ldp(
        &mut self,
        width: Width,
        (first, second): (impl Into<RegOrZr>, impl Into<RegOrZr>),
        mode: PairMode,
        (base, bytes): (impl Into<RegOrSp>, i32),
    ) -> Result<(), EncodeError> {
        let (first, second) = (first.into(), second.into());
        if first == second {
            return Err(same_register("ldp", first));
        }
        self.pair(("ldp", 1 << 22), width, (first, second), mode, (base.into(), bytes))
    }

    /// `stp first, second, [base, #bytes]`. The offset is a multiple of the register's size from -64 to 63 times that.
    /// The registers differ from the base if that changes.
    pub(crate) fn stp(
        &mut self,
        width: Width,
        (first, second): (impl Into<RegOrZr>, impl Into<RegOrZr>),
        mode: PairMode,
        (base, bytes): (impl Into<RegOrSp>, i32),
    ) -> Result<(), EncodeError> {
        self.pair(("stp", 0), width, (first.into(), second.into()), mode, (base.into(), bytes))
    }

    fn pair(
        &mut self,
        (insn, direction): (&'static str, u32),
        width: Width,
        (first, second): (RegOrZr, RegOrZr),
        mode: PairMode,
        (base, bytes): (RegOrSp, i32),
    ) -> Result<(), EncodeError> {
        if mode != PairMode::Offset
            && let Some(same) = [first, second].into_iter().find(|&reg| base.is_same(reg))
        {
            return Err(same_register(insn, same));
        }
        let step = i64::from(width.bits() / 8);
        let bytes = Field { what: "the offset of a pair of registers", bits: 7, step }.encode(bytes.into())?;
        let word = 0x2800_0000 | width.sf() | mode as u32 | direction | bytes << 15;
        self.push(word | second.bits() << 10 | base.bits() << 5 | first.bits());
        Ok(())
    }
}

fn same_register(insn: &'static str, reg: RegOrZr) -> EncodeError {
    EncodeError::SameRegister { insn, number: reg.bits() as u8 }
}

/// The size of an access of a whole register.
fn whole(width: Width) -> Size {
    match width {
        Width::W => Size::Word,
        Width::X => Size::Double,
    }
}

/// Atomic and ordered accesses. All of them need an address that is a multiple of their size.
impl Code {
    /// `ldaddal s, t, [base]` and its kin: changes memory by `s` and gives the old content in `t`, with the order of an
    /// acquire and a release.
    ///
    /// With the zero register for `t` the architecture drops the acquire, so a full barrier needs another one.
    pub(crate) fn atomic(
        &mut self,
        op: AtomicOp,
        width: Width,
        s: impl Into<RegOrZr>,
        t: impl Into<RegOrZr>,
        base: impl Into<RegOrSp>,
    ) {
        let word = 0x38e0_0000 | whole(width).bits() | (op as u32) << 12;
        self.push(word | s.into().bits() << 16 | base.into().bits() << 5 | t.into().bits());
    }

    /// `casal s, t, [base]`: stores `t` if memory equals `s`, and gives the old content in `s`, with the order of an
    /// acquire and a release.
    pub(crate) fn cas(&mut self, width: Width, s: impl Into<RegOrZr>, t: impl Into<RegOrZr>, base: impl Into<RegOrSp>) {
        let word = 0x08e0_fc00 | whole(width).bits();
        self.push(word | s.into().bits() << 16 | base.into().bits() << 5 | t.into().bits());
    }

    /// `ldaxr t, [base]`: loads with acquire and begins to watch the memory for [`Code::stlxr`].
    pub(crate) fn ldaxr(&mut self, width: Width, t: impl Into<RegOrZr>, base: impl Into<RegOrSp>) {
        self.ordered(0x085f_fc00, whole(width), t.into(), base.into());
    }

    /// `stlxr s, t, [base]`: stores with release if nobody else wrote since [`Code::ldaxr`]. `s` becomes 0 if so, else
    /// 1; it is another register than `t` and the base.
    pub(crate) fn stlxr(
        &mut self,
        width: Width,
        s: impl Into<RegOrZr>,
        t: impl Into<RegOrZr>,
        base: impl Into<RegOrSp>,
    ) -> Result<(), EncodeError> {
        let (s, t, base) = (s.into(), t.into(), base.into());
        if s == t || base.is_same(s) {
            return Err(same_register("stlxr", s));
        }
        self.ordered(0x0800_fc00 | s.bits() << 16, whole(width), t, base);
        Ok(())
    }

    /// `ldarb`, `ldarh`, `ldar`: loads with acquire and clears the rest of the register.
    pub(crate) fn ldar(&mut self, size: Size, t: impl Into<RegOrZr>, base: impl Into<RegOrSp>) {
        self.ordered(0x08df_fc00, size, t.into(), base.into());
    }

    /// `stlrb`, `stlrh`, `stlr`: stores with release.
    pub(crate) fn stlr(&mut self, size: Size, t: impl Into<RegOrZr>, base: impl Into<RegOrSp>) {
        self.ordered(0x089f_fc00, size, t.into(), base.into());
    }

    fn ordered(&mut self, insn: u32, size: Size, t: RegOrZr, base: RegOrSp) {
        self.push(insn | size.bits() | base.bits() << 5 | t.bits());
    }

    /// `dmb`
    pub(crate) fn dmb(&mut self, barrier: Barrier) {
        self.push(0xd503_30bf | (barrier as u32) << 8);
    }
}
