//! Arithmetic, byte order, comparisons.

use skep_isa::ebpf::{AluOp, JmpOp, Order, Size, Src, Width as BpfWidth};

use super::lower::{Lower, VALUE, host, width};
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
const fn seen(width: Width, imm: i32) -> u64 {
    match width {
        Width::W => imm.cast_unsigned() as u64,
        Width::X => imm as i64 as u64,
    }
}

impl Lower<'_> {
    pub(super) fn alu(&mut self, bits: BpfWidth, op: AluOp, dst: Reg, src: Src) {
        let width = width(bits);
        match (op, src) {
            (AluOp::Mov, Src::Imm(imm)) => self.constant(dst, seen(width, imm)),
            (AluOp::Mov, Src::Reg(src)) => {
                if width == Width::W || host(src) != dst {
                    self.code.mov(width, dst, host(src));
                }
            }
            (AluOp::Add, Src::Imm(imm)) if self.plain() => self.add_constant(width, dst, dst, imm.into()),
            (AluOp::Sub, Src::Imm(imm)) if self.plain() => self.add_constant(width, dst, dst, -i64::from(imm)),
            (AluOp::Add, src) => self.arith(Arith::Add, width, dst, src),
            (AluOp::Sub, src) => self.arith(Arith::Sub, width, dst, src),
            (AluOp::And, src) => self.logic(Logic::And, width, dst, src),
            (AluOp::Or, src) => self.logic(Logic::Orr, width, dst, src),
            (AluOp::Xor, src) => self.logic(Logic::Eor, width, dst, src),
            (AluOp::Lsh, src) => self.shift(Shift::Lsl, width, dst, src),
            (AluOp::Rsh, src) => self.shift(Shift::Lsr, width, dst, src),
            (AluOp::Arsh, src) => self.shift(Shift::Asr, width, dst, src),
            (AluOp::Mul, src) => {
                let src = self.in_register(src);
                self.code.mul(width, dst, dst, src);
            }
            (AluOp::Div | AluOp::Mod | AluOp::SDiv | AluOp::SMod, src) => self.divide(width, op, dst, src),
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

    fn arith(&mut self, op: Arith, width: Width, dst: Reg, src: Src) {
        let src = self.in_register(src);
        self.code.arith(op, width, dst, dst, src);
    }

    fn logic(&mut self, op: Logic, width: Width, dst: Reg, src: Src) {
        if let Src::Imm(imm) = src
            && self.plain()
            && let Some(imm) = BitmaskImm::new(width, seen(width, imm))
        {
            match op {
                Logic::And => self.code.and_imm(dst, dst, imm),
                Logic::Orr => self.code.orr_imm(dst, dst, imm),
                _ => self.code.eor_imm(dst, dst, imm),
            }
            return;
        }
        let src = self.in_register(src);
        self.code.logic(op, width, dst, dst, src);
    }

    fn shift(&mut self, shift: Shift, width: Width, dst: Reg, src: Src) {
        match src {
            Src::Imm(imm) => {
                let count = imm as u8 & (width.bits() as u8 - 1);
                let result = self.code.shift_imm(shift, width, dst, dst, count);
                self.check(result);
            }
            // The processor takes the count modulo the width too.
            Src::Reg(src) => self.code.shift(shift, width, dst, dst, host(src)),
        }
    }

    /// Division and remainder. The processor's division gives what the instruction set asks for: 0 by zero, the
    /// smallest number by -1 itself; and the remainder follows from it.
    fn divide(&mut self, width: Width, op: AluOp, dst: Reg, src: Src) {
        let remainder = matches!(op, AluOp::Mod | AluOp::SMod);
        if let Src::Imm(imm) = src
            && self.plain()
            && imm > 0
            && imm.cast_unsigned().is_power_of_two()
            && matches!(op, AluOp::Div | AluOp::Mod)
        {
            match (remainder, BitmaskImm::new(width, imm as u64 - 1)) {
                (false, _) => self.shift(Shift::Lsr, width, dst, Src::Imm(imm.trailing_zeros().cast_signed())),
                (true, Some(mask)) => self.code.and_imm(dst, dst, mask),
                // By one.
                (true, None) => self.zero(dst),
            }
            return;
        }
        let kind = if matches!(op, AluOp::SDiv | AluOp::SMod) { Divide::Signed } else { Divide::Unsigned };
        let src = self.in_register(src);
        if remainder {
            let quotient = super::lower::EXTRA;
            self.code.div(kind, width, quotient, dst, src);
            self.code.msub(width, dst, quotient, src, dst);
        } else {
            self.code.div(kind, width, dst, dst, src);
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

    /// Compares and gives the condition under which the jump is taken.
    pub(super) fn compare(&mut self, bits: BpfWidth, op: JmpOp, dst: Reg, src: Src) -> Cond {
        let width = width(bits);
        match (op, src) {
            (JmpOp::Set, src) => {
                let mask = match src {
                    Src::Imm(imm) if self.plain() => BitmaskImm::new(width, seen(width, imm)),
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
            (_, Src::Imm(imm)) if self.plain() => self.compare_constant(width, dst, imm),
            (_, src) => {
                let src = self.in_register(src);
                self.code.cmp(width, dst, src);
            }
        }
        condition(op)
    }

    /// Sets the flags of `dst - imm`.
    pub(super) fn compare_constant(&mut self, width: Width, dst: Reg, imm: i32) {
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
