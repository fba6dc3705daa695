//! Arithmetic, byte order, comparisons.

use skep_isa::ebpf::{AluOp, JmpOp, Order, Reg as BpfReg, Size, Src, Width};

use super::lower::{ADDRESS, Lower, VALUE, host};
use super::{Alu, Cond, Reg, Shift, ShiftX, Unary};

/// The operator as an instruction of two operands, if there is one.
pub(super) const fn two_operand(op: AluOp) -> Option<Alu> {
    match op {
        AluOp::Add => Some(Alu::Add),
        AluOp::Sub => Some(Alu::Sub),
        AluOp::Or => Some(Alu::Or),
        AluOp::And => Some(Alu::And),
        AluOp::Xor => Some(Alu::Xor),
        _ => None,
    }
}

/// The condition after comparing the first operand with the second.
pub(super) const fn condition(op: JmpOp) -> Cond {
    match op {
        JmpOp::Eq => Cond::E,
        JmpOp::Ne | JmpOp::Set => Cond::Ne,
        JmpOp::Gt => Cond::A,
        JmpOp::Ge => Cond::Ae,
        JmpOp::Lt => Cond::B,
        JmpOp::Le => Cond::Be,
        JmpOp::SGt => Cond::G,
        JmpOp::SGe => Cond::Ge,
        JmpOp::SLt => Cond::L,
        JmpOp::SLe => Cond::Le,
    }
}

impl Lower<'_> {
    pub(super) fn alu(&mut self, at: usize, width: Width, op: AluOp, dst: Reg, src: Src) {
        let size = width.size();
        match (op, src) {
            (AluOp::Mov, Src::Imm(imm)) => {
                let value = imm as i64 as u64;
                self.constant(dst, if width == Width::W32 { value & u64::from(u32::MAX) } else { value });
            }
            (AluOp::Mov, Src::Reg(src)) => {
                if width == Width::W32 || host(src) != dst {
                    self.asm.mov(width, dst, host(src));
                }
            }
            (AluOp::Lsh | AluOp::Rsh | AluOp::Arsh, _) => self.shift(width, op, dst, src),
            (AluOp::Mul, Src::Imm(imm)) if self.plan.plain() => self.asm.imul_imm(width, dst, dst, imm),
            (AluOp::Mul, src) => {
                let src = self.in_register(src);
                self.asm.imul(width, dst, src);
            }
            (AluOp::Div | AluOp::Mod | AluOp::SDiv | AluOp::SMod, _) => self.divide(at, width, op, dst, src),
            (AluOp::And, Src::Imm(0xff)) if self.plan.plain() => self.asm.movzx(Size::B, dst, dst),
            (AluOp::And, Src::Imm(0xffff)) if self.plan.plain() => self.asm.movzx(Size::H, dst, dst),
            (_, src) => {
                let Some(alu) = two_operand(op) else { unreachable!("all operators are listed") };
                match src {
                    Src::Imm(imm) if self.plan.plain() => self.asm.alu_imm(alu, size, dst, imm),
                    src => {
                        let src = self.in_register(src);
                        self.asm.alu(alu, size, dst, src);
                    }
                }
            }
        }
    }

    fn shift(&mut self, width: Width, op: AluOp, dst: Reg, src: Src) {
        let (shift, shiftx) = match op {
            AluOp::Lsh => (Shift::Shl, ShiftX::Shl),
            AluOp::Rsh => (Shift::Shr, ShiftX::Shr),
            _ => (Shift::Sar, ShiftX::Sar),
        };
        let count = match src {
            Src::Imm(imm) => {
                let count = imm as u8 & (width.bits() as u8 - 1);
                match (count, width) {
                    // Shifting by nothing still clears the upper half.
                    (0, Width::W32) => self.asm.mov(width, dst, dst),
                    (0, Width::W64) => {}
                    _ => self.asm.shift_imm(shift, width.size(), dst, count),
                }
                return;
            }
            Src::Reg(reg) => host(reg),
        };
        if self.plan.options.bmi2 {
            self.asm.shiftx(shiftx, width, dst, dst, count);
            return;
        }
        // The count has to be in cl.
        let size = width.size();
        if count == Reg::Rcx && dst != Reg::Rcx {
            self.asm.shift_cl(shift, size, dst);
        } else {
            self.asm.mov(Width::W64, ADDRESS, dst);
            self.asm.mov(Width::W64, VALUE, Reg::Rcx);
            self.asm.mov(Width::W32, Reg::Rcx, count);
            self.asm.shift_cl(shift, size, ADDRESS);
            self.asm.mov(Width::W64, Reg::Rcx, VALUE);
            self.asm.mov(Width::W64, dst, ADDRESS);
        }
        if width == Width::W32 {
            // A count of zero leaves the register as it is.
            self.asm.mov(width, dst, dst);
        }
    }

    /// Division and remainder. Never traps: by zero gives 0 or the dividend, the smallest number by -1 itself or 0.
    fn divide(&mut self, at: usize, width: Width, op: AluOp, dst: Reg, src: Src) {
        let signed = matches!(op, AluOp::SDiv | AluOp::SMod);
        let remainder = matches!(op, AluOp::Mod | AluOp::SMod);
        let size = width.size();
        if let Src::Imm(imm) = src
            && self.divide_by_constant(width, op, dst, imm)
        {
            return;
        }
        // The divisor out of the way of rax and rdx, whole, since it may have to come back.
        let divisor = match src {
            Src::Reg(src) if !matches!(host(src), Reg::Rax | Reg::Rdx) && host(src) != dst => host(src),
            Src::Reg(src) => {
                self.asm.mov(Width::W64, ADDRESS, host(src));
                ADDRESS
            }
            Src::Imm(imm) => {
                self.constant(ADDRESS, imm as i64 as u64);
                ADDRESS
            }
        };
        let live = self.plan.live[at];
        let keep_rax = dst != Reg::Rax && live.has(BpfReg::R0);
        let keep_rdx = dst != Reg::Rdx && live.has(BpfReg::R3);
        let mut special = None;
        if matches!(src, Src::Reg(_)) {
            self.asm.test(size, divisor, divisor);
            let by_zero = self.asm.jcc8(Cond::E);
            let by_minus_one = signed.then(|| {
                self.asm.alu_imm(Alu::Cmp, size, divisor, -1);
                self.asm.jcc8(Cond::E)
            });
            special = Some((by_zero, by_minus_one));
        }
        // Where rdx is meanwhile: with the divisor, or in a register that is free, or on the stack.
        let rdx = match src {
            Src::Reg(src) if host(src) == Reg::Rdx => Some(divisor),
            _ if divisor != ADDRESS => Some(ADDRESS),
            _ if !keep_rax => Some(VALUE),
            _ => None,
        };
        match rdx {
            Some(place) if keep_rdx && place != divisor => self.asm.mov(Width::W64, place, Reg::Rdx),
            None if keep_rdx => self.asm.push(Reg::Rdx),
            _ => {}
        }
        if keep_rax {
            self.asm.mov(Width::W64, VALUE, Reg::Rax);
        }
        if dst != Reg::Rax {
            self.asm.mov(width, Reg::Rax, dst);
        }
        match (signed, width) {
            (false, _) => {
                self.zero(Reg::Rdx);
                self.asm.unary(Unary::Div, size, divisor);
            }
            (true, Width::W32) => {
                self.asm.cdq();
                self.asm.unary(Unary::Idiv, size, divisor);
            }
            (true, Width::W64) => {
                self.asm.cqo();
                self.asm.unary(Unary::Idiv, size, divisor);
            }
        }
        let result = if remainder { Reg::Rdx } else { Reg::Rax };
        if dst != result {
            self.asm.mov(width, dst, result);
        }
        if keep_rax {
            self.asm.mov(Width::W64, Reg::Rax, VALUE);
        }
        match rdx {
            Some(place) if keep_rdx => self.asm.mov(Width::W64, Reg::Rdx, place),
            None if keep_rdx => self.asm.pop(Reg::Rdx),
            _ => {}
        }
        if let Some((by_zero, by_minus_one)) = special {
            self.special_divisors(width, remainder, dst, by_zero, by_minus_one);
        }
    }

    fn special_divisors(
        &mut self,
        width: Width,
        remainder: bool,
        dst: Reg,
        by_zero: super::Rel8,
        by_minus_one: Option<super::Rel8>,
    ) {
        let done = self.asm.jmp8();
        let mut dones = vec![done];
        let here = self.asm.position();
        let mut patched = self.asm.patch_rel8(by_zero, here);
        match (remainder, width) {
            (false, _) => self.zero(dst),
            // The dividend stays, but a 32-bit operation clears the upper half.
            (true, Width::W32) => self.asm.mov(width, dst, dst),
            (true, Width::W64) => {}
        }
        if let Some(place) = by_minus_one {
            dones.push(self.asm.jmp8());
            let here = self.asm.position();
            patched = patched.and(self.asm.patch_rel8(place, here));
            if remainder {
                self.zero(dst);
            } else {
                self.asm.unary(Unary::Neg, width.size(), dst);
            }
        }
        let here = self.asm.position();
        for done in dones {
            patched = patched.and(self.asm.patch_rel8(done, here));
        }
        debug_assert!(patched.is_ok(), "a division has less than 100 bytes");
    }

    /// Divisions by constants that need no division. Says whether it was one.
    fn divide_by_constant(&mut self, width: Width, op: AluOp, dst: Reg, imm: i32) -> bool {
        let remainder = matches!(op, AluOp::Mod | AluOp::SMod);
        match (op, imm) {
            (_, 0) if remainder => {
                if width == Width::W32 {
                    self.asm.mov(width, dst, dst);
                }
            }
            (_, 0) => self.zero(dst),
            (AluOp::SDiv, -1) => self.asm.unary(Unary::Neg, width.size(), dst),
            (AluOp::SMod, -1) => self.zero(dst),
            (AluOp::Div, imm) if imm > 0 && imm.cast_unsigned().is_power_of_two() && self.plan.plain() => {
                match imm.trailing_zeros() as u8 {
                    0 if width == Width::W32 => self.asm.mov(width, dst, dst),
                    0 => {}
                    count => self.asm.shift_imm(Shift::Shr, width.size(), dst, count),
                }
            }
            (AluOp::Mod, imm) if imm > 0 && imm.cast_unsigned().is_power_of_two() && self.plan.plain() => {
                self.asm.alu_imm(Alu::And, width.size(), dst, imm - 1);
            }
            _ => return false,
        }
        true
    }

    pub(super) fn swap(&mut self, order: Order, size: Size, dst: Reg) {
        let swaps = !matches!(order, Order::Little);
        match (size, swaps) {
            (Size::H, true) => {
                self.asm.shift_imm(Shift::Ror, Size::H, dst, 8);
                self.asm.movzx(Size::H, dst, dst);
            }
            (Size::H, false) => self.asm.movzx(Size::H, dst, dst),
            (Size::W, true) => self.asm.bswap(Width::W32, dst),
            (Size::W, false) => self.asm.mov(Width::W32, dst, dst),
            (Size::DW, true) => self.asm.bswap(Width::W64, dst),
            (Size::DW | Size::B, _) => {}
        }
    }

    /// Compares and gives the condition under which the jump is taken.
    pub(super) fn compare(&mut self, width: Width, op: JmpOp, dst: BpfReg, src: Src) -> Cond {
        let size = width.size();
        let dst = host(dst);
        match (op, src) {
            (JmpOp::Set, Src::Imm(imm)) if self.plan.plain() => self.asm.test_imm(size, dst, imm),
            (JmpOp::Set, src) => {
                let src = self.in_register(src);
                self.asm.test(size, dst, src);
            }
            // Shorter, and the same flags.
            (_, Src::Imm(0)) => self.asm.test(size, dst, dst),
            (_, Src::Imm(imm)) if self.plan.plain() => self.asm.alu_imm(Alu::Cmp, size, dst, imm),
            (_, src) => {
                let src = self.in_register(src);
                self.asm.alu(Alu::Cmp, size, dst, src);
            }
        }
        condition(op)
    }
}
