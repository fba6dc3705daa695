//! Sequences of steps that processors do with fewer instructions, found without regard to the processor.
//!
//! A pattern looks only at steps that nothing but the one in front of them leads to, and drops a register's value only
//! where nothing reads it any more.

use skep_isa::ebpf::{AluOp, Op, Reg as BpfReg, Src, Width};

use super::Plan;

/// A rotation written as two shifts and an or, as compilers write it: `[a = x]; a <<= n; [b = y]; b >>= bits - n` in
/// either order, then `a |= b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rotation {
    pub(crate) width: Width,
    pub(crate) result: BpfReg,
    pub(crate) value: BpfReg,
    /// Bits to the left.
    pub(crate) left: u8,
    /// Steps that it covers.
    pub(crate) used: usize,
}

impl Rotation {
    /// Follows what the steps from `at` on do with one value, up to the or that puts its two parts together.
    pub(crate) fn find(plan: &Plan<'_>, at: usize) -> Option<Self> {
        /// What a register holds.
        #[derive(Clone, Copy, PartialEq)]
        enum Part {
            Whole,
            Up(u8),
            Down(u8),
        }
        let steps = &plan.program.steps;
        // Registers that hold the value or a part of it.
        let mut parts: [Option<Part>; 11] = [None; 11];
        let (mut value, mut width) = (None, None);
        for used in 1..=5 {
            let index = at + used - 1;
            if used > 1 {
                plan.follower(index - 1)?;
            }
            let Op::Alu { width: this, op, dst, src } = steps[index].op else { return None };
            if *width.get_or_insert(this) != this {
                return None;
            }
            let bits = this.bits() as i32;
            match (op, src) {
                (AluOp::Mov, Src::Reg(src)) => {
                    let from = *value.get_or_insert(src);
                    if parts[from.index()].is_none() && from == src {
                        parts[src.index()] = Some(Part::Whole);
                    }
                    if parts[src.index()] != Some(Part::Whole) || dst == src {
                        return None;
                    }
                    parts[dst.index()] = Some(Part::Whole);
                }
                (AluOp::Lsh | AluOp::Rsh, Src::Imm(count)) if count > 0 && count < bits => {
                    let from = *value.get_or_insert(dst);
                    if from == dst && parts[dst.index()].is_none() {
                        parts[dst.index()] = Some(Part::Whole);
                    }
                    if parts[dst.index()] != Some(Part::Whole) {
                        return None;
                    }
                    let count = count as u8;
                    parts[dst.index()] = Some(if op == AluOp::Lsh { Part::Up(count) } else { Part::Down(count) });
                }
                (AluOp::Or | AluOp::Add | AluOp::Xor, Src::Reg(src)) if src != dst => {
                    let (Some(a), Some(b)) = (parts[dst.index()], parts[src.index()]) else { return None };
                    let left = match (a, b) {
                        (Part::Up(up), Part::Down(down)) | (Part::Down(down), Part::Up(up))
                            if i32::from(up) + i32::from(down) == bits =>
                        {
                            up
                        }
                        _ => return None,
                    };
                    // What else was written must not be read any more; the source's value must be the original one.
                    let live = plan.live[index];
                    let lost = (0..11).filter_map(BpfReg::new).any(|reg| {
                        reg != dst && matches!(parts[reg.index()], Some(Part::Up(_) | Part::Down(_))) && live.has(reg)
                    });
                    let copied = (0..11).filter_map(BpfReg::new).any(|reg| {
                        reg != dst && Some(reg) != value && parts[reg.index()] == Some(Part::Whole) && live.has(reg)
                    });
                    if lost || copied {
                        return None;
                    }
                    return Some(Self { width: this, result: dst, value: value?, left, used });
                }
                _ => return None,
            }
        }
        None
    }
}
