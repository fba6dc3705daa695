//! Sequences of steps that this processor does with fewer instructions.
//!
//! All of them compute from registers to registers, so none can fault, but for a load whose bytes are swapped. They
//! follow the rules of [`pattern`](crate::ebpf::jit::pattern).

use skep_isa::ebpf::{AluOp, Op, Order, Reg as BpfReg, Size, Src, Width as BpfWidth};

use super::lower::{Lower, host, width};
use super::{Arith, Bitfield, Extend, Logic, Reverse, Shift, Width};
use crate::ebpf::jit::pattern::Rotation;

/// Where a value that steps compute with comes from.
#[derive(Clone, Copy)]
struct Start {
    /// The width of the move in front.
    moved: Option<BpfWidth>,
    /// The register that holds it, and that computing changes.
    dst: BpfReg,
    /// The register that it is read from.
    from: BpfReg,
    /// The step that computes first.
    at: usize,
}

impl Start {
    /// Whether a step of this width may read the value from where it comes from: a move of 32 bits in front of an
    /// operation of 64 clears the upper half in between.
    fn allows(self, width: BpfWidth) -> bool {
        self.moved != Some(BpfWidth::W32) || width == BpfWidth::W32
    }

    /// An operand of the step that computes first.
    fn operand(self, src: Src) -> Src {
        if src == Src::Reg(self.dst) { Src::Reg(self.from) } else { src }
    }
}

/// A sum or the like of a value and another register.
struct Combination {
    op: AluOp,
    width: BpfWidth,
    /// Where the result goes.
    to: BpfReg,
    /// What the value is combined with, from the left.
    with: BpfReg,
}

const fn shift_of(op: AluOp) -> Option<Shift> {
    match op {
        AluOp::Lsh => Some(Shift::Lsl),
        AluOp::Rsh => Some(Shift::Lsr),
        AluOp::Arsh => Some(Shift::Asr),
        _ => None,
    }
}

impl Lower<'_> {
    /// Emits a pattern that starts here. Gives the number of steps that it covers.
    pub(super) fn peephole(&mut self, at: usize) -> Option<usize> {
        if !self.plan.plain() {
            return None;
        }
        self.plan.follower(at)?;
        match self.plan.program.steps[at].op {
            Op::Load { size: Size::H, signed: false, dst, .. } => self.load_swapped(at, dst),
            Op::Alu { op: AluOp::Mov, dst, src: Src::Reg(from), width } if from != dst => {
                if let Some(used) = self.rotate(at) {
                    return Some(used);
                }
                let start = Start { moved: Some(width), dst, from, at: at + 1 };
                self.computed(start).or_else(|| self.three_operands(start)).map(|used| used + 1)
            }
            Op::Alu { op: AluOp::Lsh | AluOp::Rsh | AluOp::Arsh | AluOp::Mul, dst, .. } => {
                let start = Start { moved: None, dst, from: dst, at };
                self.rotate(at).or_else(|| self.computed(start))
            }
            _ => None,
        }
    }

    /// A 16-bit load whose bytes are swapped: the upper ones are zero already.
    fn load_swapped(&mut self, at: usize, loaded: BpfReg) -> Option<usize> {
        match self.plan.follower(at)?.op {
            Op::Swap { order: Order::Big | Order::Swap, size: Size::H, dst } if dst == loaded => {
                self.access(at, self.plan.program.steps[at].op);
                self.code.rev(Reverse::Halves, Width::W, host(dst), host(dst));
                Some(2)
            }
            _ => None,
        }
    }

    /// The patterns of two steps that compute. The move in front is not counted.
    fn computed(&mut self, start: Start) -> Option<usize> {
        self.field(start)
            .or_else(|| self.shifted_operand(start))
            .or_else(|| self.extended_operand(start))
            .or_else(|| self.multiply_add(start))
    }

    /// `dst = src; dst OP= operand` with one instruction of three operands.
    fn three_operands(&mut self, start: Start) -> Option<usize> {
        let Op::Alu { width, op, dst, src } = self.plan.program.steps[start.at].op else { return None };
        if dst != start.dst || op == AluOp::Mov || !start.allows(width) {
            return None;
        }
        self.alu(width, op, host(dst), host(start.from), start.operand(src));
        Some(1)
    }

    /// The shift by a constant that a pattern starts with.
    fn shift_at(&self, start: Start) -> Option<(BpfWidth, AluOp, u8)> {
        let Op::Alu { width, op, dst, src: Src::Imm(count) } = self.plan.program.steps[start.at].op else {
            return None;
        };
        let possible = dst == start.dst && count > 0 && count.cast_unsigned() < width.bits();
        (possible && shift_of(op).is_some()).then_some((width, op, count as u8))
    }

    /// Some bits out of the middle: `x <<= a; x >>= b` or `x >>= a; x &= mask`.
    fn field(&mut self, start: Start) -> Option<usize> {
        let (bits, first, count) = self.shift_at(start).filter(|&(width, ..)| start.allows(width))?;
        let Op::Alu { width: again, op: second, dst, src: Src::Imm(imm) } = self.plan.follower(start.at)?.op else {
            return None;
        };
        if dst != start.dst {
            return None;
        }
        let all = width(bits).bits() as u8;
        let (lowest, length, signed) = match (first, second) {
            (AluOp::Lsh, AluOp::Rsh | AluOp::Arsh) if again == bits => {
                let down = u8::try_from(imm).ok().filter(|&down| down < all)?;
                (down.checked_sub(count)?, all - down, second == AluOp::Arsh)
            }
            (AluOp::Rsh, AluOp::And) => {
                let mask = super::arith::seen(width(again), imm);
                let ones = mask.trailing_ones() as u8;
                let run = ones > 0 && mask.checked_shr(ones.into()).unwrap_or(0) == 0;
                (count, run.then_some(ones.min(all - count))?, false)
            }
            _ => return None,
        };
        let field = Bitfield::new(width(bits), lowest, length)?;
        let (to, from) = (host(dst), host(start.from));
        match (lowest, length, signed) {
            (0, 32, false) => self.code.mov(Width::W, to, from),
            (_, _, false) => self.code.ubfx(to, from, field),
            (_, _, true) => self.code.sbfx(to, from, field),
        }
        Some(2)
    }

    /// What the step behind `at` does with the value in a register, if one instruction can do it together with what
    /// made the value: the value is not needed afterwards, or is replaced.
    fn combination(&self, at: usize, value: BpfReg) -> Option<Combination> {
        let Op::Alu { width, op, dst, src: Src::Reg(src) } = self.plan.follower(at)?.op else { return None };
        let commutes = matches!(op, AluOp::Add | AluOp::And | AluOp::Or | AluOp::Xor);
        if !commutes && op != AluOp::Sub {
            return None;
        }
        let with = match (dst == value, src == value) {
            (false, true) if !self.plan.live[at + 1].has(value) => dst,
            (true, false) if commutes => src,
            _ => return None,
        };
        Some(Combination { op, width, to: dst, with })
    }

    /// `t <<= n; x OP= t` or `t <<= n; t OP= x`, and the same for other shifts.
    fn shifted_operand(&mut self, start: Start) -> Option<usize> {
        let (bits, shift, count) = self.shift_at(start).filter(|&(width, ..)| start.allows(width))?;
        let Combination { op, to, with, .. } =
            self.combination(start.at, start.dst).filter(|combination| combination.width == bits)?;
        let (width, to, with) = (width(bits), host(to), host(with));
        let shifted = (host(start.from), shift_of(shift)?, count);
        let result = match op {
            AluOp::Add => self.code.arith_shifted(Arith::Add, width, to, with, shifted),
            AluOp::Sub => self.code.arith_shifted(Arith::Sub, width, to, with, shifted),
            AluOp::And => self.code.logic_shifted(Logic::And, width, to, with, shifted),
            AluOp::Or => self.code.logic_shifted(Logic::Orr, width, to, with, shifted),
            _ => self.code.logic_shifted(Logic::Eor, width, to, with, shifted),
        };
        self.check(result);
        Some(2)
    }

    /// `t = (u32)y; t <<= n; x += t`, with up to four bits of shift or none.
    fn extended_operand(&mut self, start: Start) -> Option<usize> {
        if start.moved != Some(BpfWidth::W32) {
            return None;
        }
        let (count, used) = match self.shift_at(start) {
            Some((BpfWidth::W64, AluOp::Lsh, count)) if count <= 4 => (count, 2),
            _ => (0, 1),
        };
        // The step in front of the one that combines.
        let Combination { op, to, with, width } = self.combination(start.at + used - 2, start.dst)?;
        let operand = (host(start.from), Extend::Uxtw, count);
        let result = match (width, op) {
            (BpfWidth::W64, AluOp::Add) => self.code.add_extended(Width::X, host(to), host(with), operand),
            (BpfWidth::W64, AluOp::Sub) => self.code.sub_extended(Width::X, host(to), host(with), operand),
            _ => return None,
        };
        self.check(result);
        Some(used)
    }

    /// `t *= y; x += t` or `t *= y; t += x`, and the difference.
    fn multiply_add(&mut self, start: Start) -> Option<usize> {
        let Op::Alu { width: bits, op: AluOp::Mul, dst, src } = self.plan.program.steps[start.at].op else {
            return None;
        };
        if dst != start.dst || !start.allows(bits) {
            return None;
        }
        let Combination { op, to, with, .. } =
            self.combination(start.at, dst).filter(|combination| combination.width == bits)?;
        if !matches!(op, AluOp::Add | AluOp::Sub) {
            return None;
        }
        let by = self.in_register(start.operand(src));
        let (width, from, to, with) = (width(bits), host(start.from), host(to), host(with));
        if op == AluOp::Add {
            self.code.madd(width, to, from, by, with);
        } else {
            self.code.msub(width, to, from, by, with);
        }
        Some(2)
    }

    /// A rotation.
    fn rotate(&mut self, at: usize) -> Option<usize> {
        let Rotation { width: bits, result, value, left, used } = Rotation::find(self.plan, at)?;
        let all = width(bits).bits() as u8;
        let result = self.code.shift_imm(Shift::Ror, width(bits), host(result), host(value), (all - left) % all);
        self.check(result);
        Some(used)
    }
}
