//! Values that are missing or are not what is allowed: registers, stack, results.

use skep_isa::ebpf::{AluOp, JmpOp, Op, Reg as Register, Size, Src, Width};

use super::{Scene, copy, jump, set};
use crate::state::{Byte, STACK, Slot};

impl Scene<'_, '_> {
    /// A register gets a value: by keeping it over a call, at the start of the function, or here.
    pub(super) fn give_value(&mut self, reg: u8) {
        let Some(register) = Register::new(reg) else { return };
        let depth = self.state.depth();
        if let (1..=5, Some(spare)) = (reg, self.unused()) {
            let calls = self.trail.entries.iter().rev().skip(1);
            let call =
                calls.filter(|entry| entry.depth == depth).find_map(|entry| match self.verifier.code.op(entry.at) {
                    Some(op @ Op::Call(_)) => Some((entry.at, op)),
                    _ => None,
                });
            if let Some((at, op)) = call {
                let words = format!("keep {register} in {spare} over the call, which takes r1 to r5 away");
                self.offer_instead(at, &[copy(spare, register), op, copy(register, spare)], words);
            }
        }
        let value = if reg == 0 { self.results(depth)[0] } else { 0 };
        let start = self.verifier.code.extent(self.state.current().function).0;
        if reg == 0 || reg > 5 {
            self.offer(start, &[set(register, value)], format!("give {register} a value at the start of the function"));
        }
        self.offer(self.at, &[set(register, value)], format!("give {register} a value first"));
        if reg <= 5 {
            self.offer(start, &[set(register, value)], format!("give {register} a value at the start of the function"));
        }
    }

    /// A register that survives calls and that nothing in the function names.
    fn unused(&self) -> Option<Register> {
        let (start, end) = self.verifier.code.extent(self.state.current().function);
        let insns = self.verifier.program.insns.get(start as usize..end as usize)?;
        let is_named = |reg: &Register| insns.iter().any(|insn| insn.dst == reg.number() || insn.src == reg.number());
        [Register::R9, Register::R8, Register::R7, Register::R6].into_iter().find(|reg| !is_named(reg))
    }

    /// Bytes of the stack get a value at the start of the function: all from the missing one to the next that is there.
    pub(super) fn clear_stack(&mut self, off: i64) {
        let start = self.verifier.code.extent(self.state.current().function).0;
        let lowest = off.div_euclid(8) * 8;
        let stack = &self.state.current().stack;
        let missing = |place: i64| {
            let slot =
                usize::try_from(-place / 8 - 1).ok().and_then(|slot| stack.get(slot)).copied().unwrap_or(Slot::EMPTY);
            slot.bytes.contains(&Byte::Invalid)
        };
        let mut ops = Vec::new();
        let mut place = lowest;
        while place < 0 && place >= -i64::from(STACK) && missing(place) {
            let Ok(off) = i16::try_from(place) else { return };
            ops.push(Op::Store { size: Size::DW, base: Register::R10, off, src: Src::Imm(0) });
            place += 8;
        }
        if let Some(first) = ops.first().copied() {
            let words = format!("give the stack from r10{lowest} on a value at the start of the function");
            self.offer(start, &[first], words.clone());
            self.offer(start, &ops, words.clone());
            self.offer(self.at, &ops, words);
        }
    }

    /// An access of the stack at its nearest place: inside, and aligned.
    pub(super) fn move_on_stack(&mut self) {
        let place = |off: i16, size: Size| {
            let bytes = i64::from(size.bytes());
            let inside = i64::from(off).clamp(-i64::from(STACK), -bytes);
            i16::try_from(inside.div_euclid(bytes) * bytes).unwrap_or(off)
        };
        let (op, off) = match self.op {
            Op::Load { size, signed, dst, base: Register::R10, off } => {
                let near = place(off, size);
                (Op::Load { size, signed, dst, base: Register::R10, off: near }, near)
            }
            Op::Store { size, base: Register::R10, off, src } => {
                let near = place(off, size);
                (Op::Store { size, base: Register::R10, off: near, src }, near)
            }
            _ => return,
        };
        self.offer_instead(self.at, &[op], format!("access r10{off}, which is in the stack and aligned"));
    }

    /// A result that counts.
    pub(super) fn result(&mut self) {
        let allowed = self.verifier.hook.results.clone().unwrap_or_default();
        let range = (allowed.iter().min().copied(), allowed.iter().max().copied());
        let is_number = self.state.reg(0).is_number();
        if let (true, (Some(0), Some(most))) = (is_number, range) {
            let ones = most.cast_unsigned().wrapping_add(1).is_power_of_two();
            if let (true, Ok(mask)) = (ones && most > 0, i32::try_from(most)) {
                let and = Op::Alu { width: Width::W64, op: AluOp::And, dst: Register::R0, src: Src::Imm(mask) };
                let values = format!("0 to {most}");
                for result in self.results(0) {
                    let usual = [jump(JmpOp::Le, Register::R0, Src::Imm(mask), 1), set(Register::R0, result)];
                    self.offer(self.at, &usual, format!("return {result} in place of what is not {values}"));
                }
                self.offer(self.at, &[and], format!("mask the result with {mask:#x}: {values} are allowed"));
            }
        }
        for result in self.results(0) {
            self.offer(self.at, &[set(Register::R0, result)], format!("return {result}"));
        }
    }

    /// The instruction is left out.
    pub(super) fn leave_out(&mut self, words: &str) {
        let ops = match self.op {
            Op::Load { dst, .. } => vec![set(dst, 0)],
            Op::Call(_) => vec![set(Register::R0, 0)],
            Op::Store { .. } | Op::Atomic { fetch: false, .. } => vec![Op::Goto { off: 0 }],
            _ => return,
        };
        self.offer_instead(self.at, &ops, format!("{words} the program passes"));
    }
}
