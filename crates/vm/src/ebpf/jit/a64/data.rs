//! Instructions that compute from registers to registers.

use super::branch::Cond;
use super::code::Code;
use super::error::{EncodeError, at_most};
use super::immediate::{AddImm, Bitfield, BitmaskImm};
use super::register::{RegOrSp, RegOrZr, Width, ZR};

/// Addition and subtraction; the number is the bits `op:S`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arith {
    /// The sum.
    Add = 0,
    /// The sum; sets the flags.
    Adds = 1,
    /// The difference.
    Sub = 2,
    /// The difference; sets the flags.
    Subs = 3,
}

/// Functions of bits; the number is `opc:N`, and odd ones invert the second operand first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logic {
    /// And.
    And = 0,
    /// And with the inverse: clears bits.
    Bic = 1,
    /// Inclusive or.
    Orr = 2,
    /// Inclusive or with the inverse.
    Orn = 3,
    /// Exclusive or.
    Eor = 4,
    /// Exclusive or with the inverse.
    Eon = 5,
    /// And; sets the flags.
    Ands = 6,
    /// And with the inverse; sets the flags.
    Bics = 7,
}

/// Ways to shift; the number is the bits `shift`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shift {
    /// To the left.
    Lsl = 0,
    /// To the right, filling with zeros.
    Lsr = 1,
    /// To the right, filling with the sign.
    Asr = 2,
    /// To the right, filling with what falls out.
    Ror = 3,
}

/// How the second operand of an addition is widened; the number is the bits `option`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extend {
    /// Its lower 8 bits, unsigned.
    Uxtb = 0,
    /// Its lower 16 bits, unsigned.
    Uxth = 1,
    /// Its lower 32 bits, unsigned.
    Uxtw = 2,
    /// All of it. In 32-bit instructions the same as [`Extend::Uxtw`].
    Uxtx = 3,
    /// Its lower 8 bits, signed.
    Sxtb = 4,
    /// Its lower 16 bits, signed.
    Sxth = 5,
    /// Its lower 32 bits, signed.
    Sxtw = 6,
}

/// Divisions, rounding towards zero. Division by zero gives zero; the least number by -1 gives itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Divide {
    /// `udiv`
    Unsigned = 2,
    /// `sdiv`
    Signed = 3,
}

/// Reversals of the order of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reverse {
    /// `rev16`: in each 16 bits.
    Halves,
    /// `rev32`, or `rev` in 32-bit instructions: in each 32 bits.
    Words,
    /// `rev` of all 64 bits; always a 64-bit instruction.
    Double,
}

/// What conditional selection makes of the second operand when it takes that; the number is `op << 30 | o2 << 10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Select {
    /// `csel`: nothing.
    Same = 0,
    /// `csinc`: one more.
    Increment = 1 << 10,
    /// `csinv`: its inverse.
    Invert = 1 << 30,
    /// `csneg`: its negation.
    Negate = 1 << 30 | 1 << 10,
}

/// The fields of most instructions on three registers.
fn three(d: impl Into<RegOrZr>, n: impl Into<RegOrZr>, m: impl Into<RegOrZr>) -> u32 {
    m.into().bits() << 16 | n.into().bits() << 5 | d.into().bits()
}

/// Addition, subtraction, comparison.
impl Code {
    /// `op d, n, m`
    pub(crate) fn arith(
        &mut self,
        op: Arith,
        width: Width,
        d: impl Into<RegOrZr>,
        n: impl Into<RegOrZr>,
        m: impl Into<RegOrZr>,
    ) {
        self.push(0x0b00_0000 | width.sf() | (op as u32) << 29 | three(d, n, m));
    }

    /// `op d, n, m, shift #amount`; no rotation, and an amount below the width.
    pub(crate) fn arith_shifted(
        &mut self,
        op: Arith,
        width: Width,
        d: impl Into<RegOrZr>,
        n: impl Into<RegOrZr>,
        (m, shift, amount): (impl Into<RegOrZr>, Shift, u8),
    ) -> Result<(), EncodeError> {
        at_most("the kind of shift of an addition (3 is a rotation)", shift as u8, 2)?;
        let amount = shift_amount(width, amount)?;
        let word = 0x0b00_0000 | width.sf() | (op as u32) << 29 | (shift as u32) << 22 | amount << 10;
        self.push(word | three(d, n, m));
        Ok(())
    }

    /// `add d, n, m, extend #amount`; an amount up to 4.
    pub(crate) fn add_extended(
        &mut self,
        width: Width,
        d: impl Into<RegOrSp>,
        n: impl Into<RegOrSp>,
        m: (impl Into<RegOrZr>, Extend, u8),
    ) -> Result<(), EncodeError> {
        self.extended(Arith::Add, width, d.into().bits(), n.into(), m)
    }

    /// `sub d, n, m, extend #amount`; an amount up to 4.
    pub(crate) fn sub_extended(
        &mut self,
        width: Width,
        d: impl Into<RegOrSp>,
        n: impl Into<RegOrSp>,
        m: (impl Into<RegOrZr>, Extend, u8),
    ) -> Result<(), EncodeError> {
        self.extended(Arith::Sub, width, d.into().bits(), n.into(), m)
    }

    /// `cmp n, m, extend #amount`; an amount up to 4.
    pub(crate) fn cmp_extended(
        &mut self,
        width: Width,
        n: impl Into<RegOrSp>,
        m: (impl Into<RegOrZr>, Extend, u8),
    ) -> Result<(), EncodeError> {
        self.extended(Arith::Subs, width, ZR.bits(), n.into(), m)
    }

    fn extended(
        &mut self,
        op: Arith,
        width: Width,
        d: u32,
        n: RegOrSp,
        (m, extend, amount): (impl Into<RegOrZr>, Extend, u8),
    ) -> Result<(), EncodeError> {
        let amount = at_most("the shift of an extended register", amount, 4)?;
        let word = 0x0b20_0000 | width.sf() | (op as u32) << 29 | (extend as u32) << 13 | amount << 10;
        self.push(word | m.into().bits() << 16 | n.bits() << 5 | d);
        Ok(())
    }

    /// `add d, n, #imm`
    pub(crate) fn add_imm(&mut self, width: Width, d: impl Into<RegOrSp>, n: impl Into<RegOrSp>, imm: AddImm) {
        self.arith_imm(Arith::Add, width, d.into().bits(), n.into(), imm);
    }

    /// `sub d, n, #imm`
    pub(crate) fn sub_imm(&mut self, width: Width, d: impl Into<RegOrSp>, n: impl Into<RegOrSp>, imm: AddImm) {
        self.arith_imm(Arith::Sub, width, d.into().bits(), n.into(), imm);
    }

    /// `adds d, n, #imm`
    pub(crate) fn adds_imm(&mut self, width: Width, d: impl Into<RegOrZr>, n: impl Into<RegOrSp>, imm: AddImm) {
        self.arith_imm(Arith::Adds, width, d.into().bits(), n.into(), imm);
    }

    /// `subs d, n, #imm`
    pub(crate) fn subs_imm(&mut self, width: Width, d: impl Into<RegOrZr>, n: impl Into<RegOrSp>, imm: AddImm) {
        self.arith_imm(Arith::Subs, width, d.into().bits(), n.into(), imm);
    }

    fn arith_imm(&mut self, op: Arith, width: Width, d: u32, n: RegOrSp, imm: AddImm) {
        self.push(0x1100_0000 | width.sf() | (op as u32) << 29 | imm.bits() | n.bits() << 5 | d);
    }

    /// `cmp n, m`: the flags of `n - m`.
    pub(crate) fn cmp(&mut self, width: Width, n: impl Into<RegOrZr>, m: impl Into<RegOrZr>) {
        self.arith(Arith::Subs, width, ZR, n, m);
    }

    /// `cmn n, m`: the flags of `n + m`.
    pub(crate) fn cmn(&mut self, width: Width, n: impl Into<RegOrZr>, m: impl Into<RegOrZr>) {
        self.arith(Arith::Adds, width, ZR, n, m);
    }

    /// `cmp n, #imm`
    pub(crate) fn cmp_imm(&mut self, width: Width, n: impl Into<RegOrSp>, imm: AddImm) {
        self.subs_imm(width, ZR, n, imm);
    }

    /// `cmn n, #imm`: compares with `-imm`.
    pub(crate) fn cmn_imm(&mut self, width: Width, n: impl Into<RegOrSp>, imm: AddImm) {
        self.adds_imm(width, ZR, n, imm);
    }

    /// `neg d, m`
    pub(crate) fn neg(&mut self, width: Width, d: impl Into<RegOrZr>, m: impl Into<RegOrZr>) {
        self.arith(Arith::Sub, width, d, ZR, m);
    }
}

/// An amount of an immediate shift: below the width.
fn shift_amount(width: Width, amount: u8) -> Result<u32, EncodeError> {
    let greatest = if width == Width::X { 63 } else { 31 };
    at_most("the amount of a shift", amount, greatest)
}

/// Functions of bits and moves.
impl Code {
    /// `op d, n, m`
    pub(crate) fn logic(
        &mut self,
        op: Logic,
        width: Width,
        d: impl Into<RegOrZr>,
        n: impl Into<RegOrZr>,
        m: impl Into<RegOrZr>,
    ) {
        self.push(logic_word(op, width) | three(d, n, m));
    }

    /// `op d, n, m, shift #amount`; an amount below the width.
    pub(crate) fn logic_shifted(
        &mut self,
        op: Logic,
        width: Width,
        d: impl Into<RegOrZr>,
        n: impl Into<RegOrZr>,
        (m, shift, amount): (impl Into<RegOrZr>, Shift, u8),
    ) -> Result<(), EncodeError> {
        let amount = shift_amount(width, amount)?;
        self.push(logic_word(op, width) | (shift as u32) << 22 | amount << 10 | three(d, n, m));
        Ok(())
    }

    /// `and d, n, #imm`, of the immediate's width.
    pub(crate) fn and_imm(&mut self, d: impl Into<RegOrSp>, n: impl Into<RegOrZr>, imm: BitmaskImm) {
        self.logic_imm(0, d.into().bits(), n.into(), imm);
    }

    /// `orr d, n, #imm`, of the immediate's width.
    pub(crate) fn orr_imm(&mut self, d: impl Into<RegOrSp>, n: impl Into<RegOrZr>, imm: BitmaskImm) {
        self.logic_imm(1, d.into().bits(), n.into(), imm);
    }

    /// `eor d, n, #imm`, of the immediate's width.
    pub(crate) fn eor_imm(&mut self, d: impl Into<RegOrSp>, n: impl Into<RegOrZr>, imm: BitmaskImm) {
        self.logic_imm(2, d.into().bits(), n.into(), imm);
    }

    /// `ands d, n, #imm`, of the immediate's width.
    pub(crate) fn ands_imm(&mut self, d: impl Into<RegOrZr>, n: impl Into<RegOrZr>, imm: BitmaskImm) {
        self.logic_imm(3, d.into().bits(), n.into(), imm);
    }

    fn logic_imm(&mut self, opc: u32, d: u32, n: RegOrZr, imm: BitmaskImm) {
        self.push(0x1200_0000 | imm.width().sf() | opc << 29 | imm.bits() | n.bits() << 5 | d);
    }

    /// `tst n, m`: the flags of `n & m`.
    pub(crate) fn tst(&mut self, width: Width, n: impl Into<RegOrZr>, m: impl Into<RegOrZr>) {
        self.logic(Logic::Ands, width, ZR, n, m);
    }

    /// `tst n, #imm`, of the immediate's width.
    pub(crate) fn tst_imm(&mut self, n: impl Into<RegOrZr>, imm: BitmaskImm) {
        self.ands_imm(ZR, n, imm);
    }

    /// `mov d, m`. A 32-bit move clears the upper half of `d`.
    pub(crate) fn mov(&mut self, width: Width, d: impl Into<RegOrZr>, m: impl Into<RegOrZr>) {
        self.logic(Logic::Orr, width, d, ZR, m);
    }

    /// `mov d, n` with the stack pointer on either side, 64 bits.
    pub(crate) fn mov_sp(&mut self, d: impl Into<RegOrSp>, n: impl Into<RegOrSp>) {
        self.add_imm(Width::X, d, n, AddImm::ZERO);
    }

    /// `mvn d, m`: the inverse.
    pub(crate) fn mvn(&mut self, width: Width, d: impl Into<RegOrZr>, m: impl Into<RegOrZr>) {
        self.logic(Logic::Orn, width, d, ZR, m);
    }
}

/// The fixed bits of a function of registers.
fn logic_word(op: Logic, width: Width) -> u32 {
    let op = op as u32;
    0x0a00_0000 | width.sf() | (op >> 1) << 29 | (op & 1) << 21
}

/// Multiplication, division, shifts and fields.
impl Code {
    /// `madd d, n, m, a`: `a + n * m`.
    pub(crate) fn madd(
        &mut self,
        width: Width,
        d: impl Into<RegOrZr>,
        n: impl Into<RegOrZr>,
        m: impl Into<RegOrZr>,
        a: impl Into<RegOrZr>,
    ) {
        self.push(0x1b00_0000 | width.sf() | a.into().bits() << 10 | three(d, n, m));
    }

    /// `msub d, n, m, a`: `a - n * m`, the remainder after a division.
    pub(crate) fn msub(
        &mut self,
        width: Width,
        d: impl Into<RegOrZr>,
        n: impl Into<RegOrZr>,
        m: impl Into<RegOrZr>,
        a: impl Into<RegOrZr>,
    ) {
        self.push(0x1b00_8000 | width.sf() | a.into().bits() << 10 | three(d, n, m));
    }

    /// `mul d, n, m`: the lower half of the product.
    pub(crate) fn mul(&mut self, width: Width, d: impl Into<RegOrZr>, n: impl Into<RegOrZr>, m: impl Into<RegOrZr>) {
        self.madd(width, d, n, m, ZR);
    }

    /// `udiv d, n, m` or `sdiv d, n, m`
    pub(crate) fn div(
        &mut self,
        kind: Divide,
        width: Width,
        d: impl Into<RegOrZr>,
        n: impl Into<RegOrZr>,
        m: impl Into<RegOrZr>,
    ) {
        self.push(0x1ac0_0000 | width.sf() | (kind as u32) << 10 | three(d, n, m));
    }

    /// `shift d, n, m`: the amount is `m` modulo the width.
    pub(crate) fn shift(
        &mut self,
        shift: Shift,
        width: Width,
        d: impl Into<RegOrZr>,
        n: impl Into<RegOrZr>,
        m: impl Into<RegOrZr>,
    ) {
        self.push(0x1ac0_2000 | width.sf() | (shift as u32) << 10 | three(d, n, m));
    }

    /// `shift d, n, #amount`; an amount below the width.
    pub(crate) fn shift_imm(
        &mut self,
        shift: Shift,
        width: Width,
        d: impl Into<RegOrZr>,
        n: impl Into<RegOrZr>,
        amount: u8,
    ) -> Result<(), EncodeError> {
        let amount = shift_amount(width, amount)?;
        let (d, n, last) = (d.into(), n.into(), width.bits() - 1);
        match shift {
            // A move of the bits that stay to the top: `ubfm` with the rotation that does it.
            Shift::Lsl => {
                self.bitfield(UBFM, width, d, n, (amount.wrapping_neg() & last) << 16 | (last - amount) << 10)
            }
            Shift::Lsr => self.bitfield(UBFM, width, d, n, amount << 16 | last << 10),
            Shift::Asr => self.bitfield(SBFM, width, d, n, amount << 16 | last << 10),
            // `extr` of a register with itself.
            Shift::Ror => self.push(0x1380_0000 | width.sf() | width.n() | amount << 10 | three(d, n, n)),
        }
        Ok(())
    }

    /// `ubfx d, n, #lowest, #bits`: the field's bits as an unsigned number.
    pub(crate) fn ubfx(&mut self, d: impl Into<RegOrZr>, n: impl Into<RegOrZr>, field: Bitfield) {
        self.bitfield(UBFM, field.width(), d.into(), n.into(), field.bits());
    }

    /// `sbfx d, n, #lowest, #bits`: the field's bits as a signed number.
    pub(crate) fn sbfx(&mut self, d: impl Into<RegOrZr>, n: impl Into<RegOrZr>, field: Bitfield) {
        self.bitfield(SBFM, field.width(), d.into(), n.into(), field.bits());
    }

    /// `uxtb d, n`: the lower 8 bits; clears the 56 others.
    pub(crate) fn uxtb(&mut self, d: impl Into<RegOrZr>, n: impl Into<RegOrZr>) {
        self.bitfield(UBFM, Width::W, d.into(), n.into(), 7 << 10);
    }

    /// `uxth d, n`: the lower 16 bits; clears the 48 others.
    pub(crate) fn uxth(&mut self, d: impl Into<RegOrZr>, n: impl Into<RegOrZr>) {
        self.bitfield(UBFM, Width::W, d.into(), n.into(), 15 << 10);
    }

    /// `sxtb d, n`: the lower 8 bits, signed.
    pub(crate) fn sxtb(&mut self, width: Width, d: impl Into<RegOrZr>, n: impl Into<RegOrZr>) {
        self.bitfield(SBFM, width, d.into(), n.into(), 7 << 10);
    }

    /// `sxth d, n`: the lower 16 bits, signed.
    pub(crate) fn sxth(&mut self, width: Width, d: impl Into<RegOrZr>, n: impl Into<RegOrZr>) {
        self.bitfield(SBFM, width, d.into(), n.into(), 15 << 10);
    }

    /// `sxtw d, n`: the lower 32 bits, signed.
    pub(crate) fn sxtw(&mut self, d: impl Into<RegOrZr>, n: impl Into<RegOrZr>) {
        self.bitfield(SBFM, Width::X, d.into(), n.into(), 31 << 10);
    }

    fn bitfield(&mut self, insn: u32, width: Width, d: RegOrZr, n: RegOrZr, immediates: u32) {
        self.push(insn | width.sf() | width.n() | immediates | n.bits() << 5 | d.bits());
    }

    /// Reverses the order of bytes in each part of a register.
    pub(crate) fn rev(&mut self, part: Reverse, width: Width, d: impl Into<RegOrZr>, n: impl Into<RegOrZr>) {
        let (width, opcode) = match part {
            Reverse::Halves => (width, 1),
            Reverse::Words => (width, 2),
            Reverse::Double => (Width::X, 3),
        };
        self.push(0x5ac0_0000 | width.sf() | opcode << 10 | n.into().bits() << 5 | d.into().bits());
    }
}

/// The fixed bits of the moves of bit fields.
const UBFM: u32 = 0x5300_0000;
const SBFM: u32 = 0x1300_0000;

/// Choice by the flags.
impl Code {
    /// `csel d, n, m, cond` and its kin: `n` if the condition holds, else what `select` makes of `m`.
    pub(crate) fn select(
        &mut self,
        select: Select,
        width: Width,
        d: impl Into<RegOrZr>,
        (cond, n, m): (Cond, impl Into<RegOrZr>, impl Into<RegOrZr>),
    ) {
        self.push(0x1a80_0000 | width.sf() | select as u32 | cond.bits() << 12 | three(d, n, m));
    }

    /// `cset d, cond`: 1 if the condition holds, else 0.
    pub(crate) fn cset(&mut self, width: Width, d: impl Into<RegOrZr>, cond: Cond) {
        self.select(Select::Increment, width, d, (cond.inverse(), ZR, ZR));
    }
}
