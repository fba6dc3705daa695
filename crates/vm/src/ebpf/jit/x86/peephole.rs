//! Sequences of steps that this processor does with fewer instructions.
//!
//! A pattern looks only at steps that nothing but the one in front of them leads to, and drops a register's value only
//! where nothing reads it any more. What a program can see stays the same, also when one of the steps faults.

use skep_isa::ebpf::{AluOp, Imm64, Op, Reg as BpfReg, Size, Src, Width};

use super::arith::two_operand;
use super::lower::{Lower, host};
use super::{Mem, Reg, Scale};
use crate::ebpf::jit::pattern::Rotation;
use crate::ebpf::program::Step;
use crate::ebpf::space::Access;

impl Lower<'_> {
    /// Emits a pattern that starts here. Gives the number of steps that it covers.
    pub(super) fn peephole(&mut self, at: usize) -> Option<usize> {
        if !self.plan.plain() {
            return None;
        }
        let next = self.plan.follower(at)?;
        let step = &self.plan.program.steps[at];
        match (step.op, next.op) {
            (Op::Alu { op: AluOp::Mov, .. }, _) => self.rotate(at).or_else(|| self.three_operands(at, step, next)),
            (Op::Alu { op: AluOp::Lsh, .. }, _) => self.rotate(at).or_else(|| self.extension(step, next)),
            (Op::LoadImm { .. }, Op::Alu { op: AluOp::Add, .. }) => self.constant_plus(at, step, next),
            (Op::Load { .. }, Op::Alu { .. }) => {
                self.read_modify_write(at).or_else(|| self.load_operand(at, step, next))
            }
            _ => None,
        }
    }

    /// `dst = src; dst OP= operand` with one instruction of three operands.
    fn three_operands(&mut self, at: usize, step: &Step, next: &Step) -> Option<usize> {
        let Op::Alu { width: moved, op: AluOp::Mov, dst, src: Src::Reg(src) } = step.op else { return None };
        let Op::Alu { width, op, dst: target, src: operand } = next.op else { return None };
        // A move of 32 bits in front of an operation of 64 clears the upper half in between.
        if target != dst || src == dst || (moved == Width::W32 && width == Width::W64) {
            return None;
        }
        let (to, from) = (host(dst), host(src));
        let bits = width.bits() as i32;
        match (op, operand) {
            (AluOp::Add, Src::Imm(imm)) => self.asm.lea(width, to, Mem::new(from, imm)),
            (AluOp::Sub, Src::Imm(imm)) => self.asm.lea(width, to, Mem::new(from, imm.checked_neg()?)),
            (AluOp::Add, Src::Reg(other)) => {
                let other = if other == dst { from } else { host(other) };
                self.asm.lea(width, to, Mem::indexed(from, other, Scale::One, 0)?);
            }
            (AluOp::Mul, Src::Imm(imm)) => self.asm.imul_imm(width, to, from, imm),
            (AluOp::And, Src::Imm(0xff)) => self.asm.movzx(Size::B, to, from),
            (AluOp::And, Src::Imm(0xffff)) => self.asm.movzx(Size::H, to, from),
            (AluOp::Lsh | AluOp::Rsh | AluOp::Arsh, Src::Reg(count)) if self.plan.options.bmi2 => {
                let count = if count == dst { from } else { host(count) };
                let shift = match op {
                    AluOp::Lsh => super::ShiftX::Shl,
                    AluOp::Rsh => super::ShiftX::Shr,
                    _ => super::ShiftX::Sar,
                };
                self.asm.shiftx(shift, width, to, from, count);
            }
            (AluOp::Lsh, Src::Imm(32)) if bits == 64 => {
                // Up and down again: the lower half alone.
                let used = self.after_shift_up(at + 1, dst, to, from)?;
                return Some(used + 1);
            }
            _ => return None,
        }
        Some(2)
    }

    /// `dst = constant; dst += src`, and an access there if nothing else reads `dst`: how compilers index global data.
    fn constant_plus(&mut self, at: usize, step: &Step, next: &Step) -> Option<usize> {
        let Op::LoadImm { dst, value: Imm64::Value(value) } = step.op else { return None };
        let Op::Alu { width: Width::W64, dst: sum, src: Src::Reg(src), .. } = next.op else { return None };
        let value = i32::try_from(value).ok()?;
        if sum != dst || src == dst {
            return None;
        }
        if let Some(used) = self.indexed_access(at + 2, dst, src, value) {
            return Some(used + 2);
        }
        self.asm.lea(Width::W64, host(dst), Mem::new(host(src), value));
        Some(2)
    }

    /// An access at `constant + index + off` with the address in `sum`, which is not read again.
    fn indexed_access(&mut self, at: usize, sum: BpfReg, index: BpfReg, constant: i32) -> Option<usize> {
        let op = self.plan.follower(at - 1)?.op;
        let (size, off) = match op {
            Op::Load { size, dst, base, off, .. } if base == sum && (dst == sum || !self.plan.live[at].has(sum)) => {
                (size, off)
            }
            Op::Store { size, base, off, src }
                if base == sum && src != Src::Reg(sum) && !self.plan.live[at].has(sum) =>
            {
                (size, off)
            }
            _ => return None,
        };
        let operand = self.indexed(host(index), constant.checked_add(off.into())?);
        let start = self.asm.position();
        let access = match op {
            Op::Load { signed, dst, .. } => {
                if signed && size != Size::DW {
                    self.asm.movsx(Width::W64, size, host(dst), operand.mem);
                } else {
                    self.asm.movzx(size, host(dst), operand.mem);
                }
                Access::Read
            }
            Op::Store { src: Src::Reg(src), .. } => {
                self.asm.store(size, operand.mem, host(src));
                Access::Write
            }
            Op::Store { src: Src::Imm(imm), .. } => {
                self.asm.store_imm(size, operand.mem, imm);
                Access::Write
            }
            _ => return None,
        };
        self.note(at, start, operand, size, access);
        Some(1)
    }

    /// `dst = from; dst <<= 32` has been seen and `dst >>= 32` or `dst s>>= 32` may follow.
    fn after_shift_up(&mut self, at: usize, dst: BpfReg, to: Reg, from: Reg) -> Option<usize> {
        let down = self.plan.follower(at)?;
        match down.op {
            Op::Alu { width: Width::W64, op: AluOp::Rsh, dst: reg, src: Src::Imm(32) } if reg == dst => {
                self.asm.mov(Width::W32, to, from);
            }
            Op::Alu { width: Width::W64, op: AluOp::Arsh, dst: reg, src: Src::Imm(32) } if reg == dst => {
                self.asm.movsx(Width::W64, Size::W, to, from);
            }
            _ => return None,
        }
        Some(2)
    }

    /// `dst <<= n; dst >>= n` as an extension.
    fn extension(&mut self, step: &Step, next: &Step) -> Option<usize> {
        let Op::Alu { width, op: AluOp::Lsh, dst, src: Src::Imm(up) } = step.op else { return None };
        let Op::Alu { width: again, op, dst: same, src: Src::Imm(down) } = next.op else { return None };
        if up != down || dst != same || width != again {
            return None;
        }
        let size = match width.bits() as i32 - up {
            8 => Size::B,
            16 => Size::H,
            32 if width == Width::W64 => Size::W,
            _ => return None,
        };
        let reg = host(dst);
        match op {
            AluOp::Rsh => self.asm.movzx(size, reg, reg),
            AluOp::Arsh => self.asm.movsx(width, size, reg, reg),
            _ => return None,
        }
        Some(2)
    }

    /// `t = *(size *)(b + off); dst OP= t` with the operand in memory, where nothing else reads `t`.
    fn load_operand(&mut self, at: usize, step: &Step, next: &Step) -> Option<usize> {
        let Op::Load { size, signed: false, dst: loaded, base, off } = step.op else { return None };
        let Op::Alu { width, op, dst, src: Src::Reg(src) } = next.op else { return None };
        // The lower half of a zero-extended word is the word itself.
        let fits = size == width.size();
        if !fits || src != loaded || dst == loaded || self.plan.live[at + 1].has(loaded) {
            return None;
        }
        let alu = two_operand(op);
        if (alu.is_none() && op != AluOp::Mul) || self.is_outside_frame(base, off, size) {
            return None;
        }
        let operand = self.operand(at, base, off, size, Access::Read);
        let start = self.asm.position();
        match alu {
            Some(alu) => self.asm.alu(alu, size, host(dst), operand.mem),
            None => self.asm.imul(width, host(dst), operand.mem),
        }
        self.note(at, start, operand, size, Access::Read);
        Some(2)
    }

    /// `t = *p; t OP= operand; *p = t` with one instruction, where nothing else reads `t`.
    fn read_modify_write(&mut self, at: usize) -> Option<usize> {
        let steps = &self.plan.program.steps;
        let Op::Load { size, signed: false, dst: loaded, base, off } = steps[at].op else { return None };
        let Op::Alu { width, op, dst, src: by } = self.plan.follower(at)?.op else { return None };
        let Op::Store { size: stored, base: to, off: at_off, src: Src::Reg(value) } = self.plan.follower(at + 1)?.op
        else {
            return None;
        };
        let alu = two_operand(op)?;
        let same_place = base == to && off == at_off && size == stored;
        let same_value = dst == loaded && value == loaded && base != loaded && by != Src::Reg(loaded);
        // The low bytes of these operators depend on the low bytes of their operands only.
        if size.bytes() > width.size().bytes()
            || !same_place
            || !same_value
            || self.plan.live[at + 2].has(loaded)
            || self.is_outside_frame(base, off, size)
        {
            return None;
        }
        let operand = self.operand(at, base, off, size, Access::Write);
        let start = self.asm.position();
        match by {
            Src::Imm(imm) => self.asm.alu_imm(alu, size, operand.mem, imm),
            Src::Reg(reg) => self.asm.alu_mem(alu, size, operand.mem, host(reg)),
        }
        self.note_with(at, start, operand, size, Access::Read, Some(at as u32 + 2));
        Some(3)
    }

    fn is_outside_frame(&self, base: BpfReg, off: i16, size: Size) -> bool {
        base == BpfReg::R10 && !crate::ebpf::interpreter::inside_frame(off, size)
    }

    /// A rotation written as two shifts and an or, as compilers write it: `[a = x]; a <<= n; [b = y]; b >>= bits - n`
    /// in either order, then `a |= b`.
    fn rotate(&mut self, at: usize) -> Option<usize> {
        if !self.plan.options.bmi2 {
            return None;
        }
        let rotation = Rotation::find(self.plan, at)?;
        let Rotation { width, result, value, left, used } = rotation;
        self.asm.rorx(width, host(result), host(value), (width.bits() as u8 - left) & (width.bits() as u8 - 1));
        Some(used)
    }
}
