//! Arithmetic, byte order, comparisons.

use skep_isa::ebpf::{AluOp, JmpOp, Order, Size, Src, Width as BpfWidth};

use super::lower::{Lower, Test, VALUE, host, width};
use super::{AddImm, Arith, BitmaskImm, Cond, Divide, Logic, Reg, Reverse, Shift, Width};

/// The condition after comparing the first operand with the second.
const fn condition(op: JmpOp) -> Cond {
    match op {
        JmpOp::Eq => Cond::Eq,
        JmpOp::Ne | JmpOp::Set => Cond::Ne,
        JmpOp::Gt => Cond::Hi,
        JmpOp::Ge => Cond::Hs,
        JmpOp::Lt => Cond::Lo,
        JmpOp::Le => Cond::Ls,
        JmpOp::SGt => Cond::Gt,
        JmpOp::SGe => Cond::Ge,
        JmpOp::SLt => Cond::Lt,
        JmpOp::SLe => Cond::Le,
    }
}

/// A constant operand as far as an instruction of this width sees it.
pub(super) const fn seen(width: Width, imm: i32) -> u64 {
    match width {
        Width::W => imm.cast_unsigned() as u64,
        Width::X => imm as i64 as u64,
    }
}

/// The test of a register or of one of its bits that says the same as a comparison with a constant, if there is one.
fn test_of_register(width: Width, op: JmpOp, reg: Reg, imm: i32) -> Option<Test> {
    let sign = width.bits() as u8 - 1;
    let mask = seen(width, imm);
    match (op, imm) {
        (JmpOp::Eq | JmpOp::Le, 0) | (JmpOp::Lt, 1) => Some(Test::Zero { width, reg, zero: true }),
        (JmpOp::Ne | JmpOp::Gt, 0) | (JmpOp::Ge, 1) => Some(Test::Zero { width, reg, zero: false }),
        (JmpOp::SLt, 0) | (JmpOp::SLe, -1) => Some(Test::Bit { width, reg, bit: sign, set: true }),
        (JmpOp::SGe, 0) | (JmpOp::SGt, -1) => Some(Test::Bit { width, reg, bit: sign, set: false }),
        (JmpOp::Set, _) if mask.is_power_of_two() => {
            Some(Test::Bit { width, reg, bit: mask.trailing_zeros() as u8, set: true })
        }
        _ => None,
    }
}

impl Lower<'_> {
    /// `dst = first OP src`
    pub(super) fn alu(&mut self, bits: BpfWidth, op: AluOp, dst: Reg, first: Reg, src: Src) {
        let width = width(bits);
        match (op, src) {
            (AluOp::Mov, Src::Imm(imm)) => self.constant(dst, seen(width, imm)),
            (AluOp::Mov, Src::Reg(src)) => {
                if width == Width::W || host(src) != dst {
                    self.code.mov(width, dst, host(src));
                }
            }
            (AluOp::Add, Src::Imm(imm)) if self.plan.plain() => self.add_constant(width, dst, first, imm.into()),
            (AluOp::Sub, Src::Imm(imm)) if self.plan.plain() => self.add_constant(width, dst, first, -i64::from(imm)),
            (AluOp::Add, src) => self.arith(Arith::Add, width, (dst, first), src),
            (AluOp::Sub, src) => self.arith(Arith::Sub, width, (dst, first), src),
            (AluOp::And, src) => self.logic(Logic::And, width, (dst, first), src),
            (AluOp::Or, src) => self.logic(Logic::Orr, width, (dst, first), src),
            (AluOp::Xor, src) => self.logic(Logic::Eor, width, (dst, first), src),
            (AluOp::Lsh, src) => self.shift(Shift::Lsl, width, (dst, first), src),
            (AluOp::Rsh, src) => self.shift(Shift::Lsr, width, (dst, first), src),
            (AluOp::Arsh, src) => self.shift(Shift::Asr, width, (dst, first), src),
            (AluOp::Mul, src) => {
                let src = self.in_register(src);
                self.code.mul(width, dst, first, src);
            }
            (AluOp::Div | AluOp::Mod | AluOp::SDiv | AluOp::SMod, src) => self.divide(width, op, (dst, first), src),
        }
    }

    /// `dst = src + constant`, which is taken modulo the width.
    pub(super) fn add_constant(&mut self, width: Width, dst: Reg, src: Reg, constant: i64) {
        if let Some(imm) = u64::try_from(constant).ok().and_then(AddImm::new) {
            self.code.add_imm(width, dst, src, imm);
        } else if let Some(imm) = AddImm::new(constant.unsigned_abs()) {
            self.code.sub_imm(width, dst, src, imm);
        } else {
            self.code.load_immediate(VALUE, constant.cast_unsigned());
            self.code.arith(Arith::Add, width, dst, src, VALUE);
        }
    }

    fn arith(&mut self, op: Arith, width: Width, (dst, first): (Reg, Reg), src: Src) {
        let src = self.in_register(src);
        self.code.arith(op, width, dst, first, src);
    }

    fn logic(&mut self, op: Logic, width: Width, (dst, first): (Reg, Reg), src: Src) {
        if let Src::Imm(imm) = src
            && self.plan.plain()
            && let Some(imm) = BitmaskImm::new(width, seen(width, imm))
        {
            match op {
                Logic::And => self.code.and_imm(dst, first, imm),
                Logic::Orr => self.code.orr_imm(dst, first, imm),
                _ => self.code.eor_imm(dst, first, imm),
            }
            return;
        }
        let src = self.in_register(src);
        self.code.logic(op, width, dst, first, src);
    }

    fn shift(&mut self, shift: Shift, width: Width, (dst, first): (Reg, Reg), src: Src) {
        match src {
            Src::Imm(imm) => {
                let count = imm as u8 & (width.bits() as u8 - 1);
                let result = self.code.shift_imm(shift, width, dst, first, count);
                self.check(result);
            }
            // The processor takes the count modulo the width too.
            Src::Reg(src) => self.code.shift(shift, width, dst, first, host(src)),
        }
    }

    /// Division and remainder. The processor's division gives what the instruction set asks for: 0 by zero, the
    /// smallest number by -1 itself; and the remainder follows from it.
    fn divide(&mut self, width: Width, op: AluOp, (dst, first): (Reg, Reg), src: Src) {
        let remainder = matches!(op, AluOp::Mod | AluOp::SMod);
        if let Src::Imm(imm) = src
            && self.plan.plain()
            && imm > 0
            && imm.cast_unsigned().is_power_of_two()
            && matches!(op, AluOp::Div | AluOp::Mod)
        {
            match (remainder, BitmaskImm::new(width, imm as u64 - 1)) {
                (false, _) => self.shift(Shift::Lsr, width, (dst, first), Src::Imm(imm.trailing_zeros().cast_signed())),
                (true, Some(mask)) => self.code.and_imm(dst, first, mask),
                // By one.
                (true, None) => self.zero(dst),
            }
            return;
        }
        let kind = if matches!(op, AluOp::SDiv | AluOp::SMod) { Divide::Signed } else { Divide::Unsigned };
        let src = self.in_register(src);
        if remainder {
            let quotient = super::lower::EXTRA;
            self.code.div(kind, width, quotient, first, src);
            self.code.msub(width, dst, quotient, src, first);
        } else {
            self.code.div(kind, width, dst, first, src);
        }
    }

    pub(super) fn move_signed(&mut self, bits: BpfWidth, from: Size, dst: Reg, src: Reg) {
        match from {
            Size::B => self.code.sxtb(width(bits), dst, src),
            Size::H => self.code.sxth(width(bits), dst, src),
            _ => self.code.sxtw(dst, src),
        }
    }

    pub(super) fn swap(&mut self, order: Order, size: Size, dst: Reg) {
        let swaps = !matches!(order, Order::Little);
        match (size, swaps) {
            (Size::H, true) => {
                self.code.rev(Reverse::Halves, Width::W, dst, dst);
                self.code.uxth(dst, dst);
            }
            (Size::H, false) => self.code.uxth(dst, dst),
            (Size::W, true) => self.code.rev(Reverse::Words, Width::W, dst, dst),
            (Size::W, false) => self.code.mov(Width::W, dst, dst),
            (Size::DW, true) => self.code.rev(Reverse::Double, Width::X, dst, dst),
            (Size::DW | Size::B, _) => {}
        }
    }

    /// Compares and gives the test that the jump is taken on.
    pub(super) fn compare(&mut self, bits: BpfWidth, op: JmpOp, dst: Reg, src: Src) -> Test {
        let width = width(bits);
        if let Src::Imm(imm) = src
            && (self.plan.plain() || imm == 0)
            && let Some(test) = test_of_register(width, op, dst, imm)
        {
            return test;
        }
        match (op, src) {
            (JmpOp::Set, src) => {
                let mask = match src {
                    Src::Imm(imm) if self.plan.plain() => BitmaskImm::new(width, seen(width, imm)),
                    _ => None,
                };
                match mask {
                    Some(mask) => self.code.tst_imm(dst, mask),
                    None => {
                        let src = self.in_register(src);
                        self.code.tst(width, dst, src);
                    }
                }
            }
            (_, Src::Imm(imm)) if self.plan.plain() => self.compare_constant(width, dst, imm),
            (_, src) => {
                let src = self.in_register(src);
                self.code.cmp(width, dst, src);
            }
        }
        Test::Flags(condition(op))
    }

    /// Sets the flags of `dst - imm`.
    fn compare_constant(&mut self, width: Width, dst: Reg, imm: i32) {
        if let Some(imm) = u64::try_from(imm).ok().and_then(AddImm::new) {
            self.code.cmp_imm(width, dst, imm);
        } else if let Some(imm) = AddImm::new(imm.unsigned_abs().into()).filter(|_| imm < 0) {
            // Adding the negation carries where subtracting does not borrow, but for zero.
            self.code.cmn_imm(width, dst, imm);
        } else {
            self.code.load_immediate(VALUE, seen(width, imm));
            self.code.cmp(width, dst, VALUE);
        }
    }
}
