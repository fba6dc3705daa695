//! Small programs with unusual control flow: jumps to the first instruction, to the next, to themselves, over and onto
//! 64-bit immediates, several ends, nested loops; and every number that an immediate load may hold.

use skep_isa::ebpf::{AluOp, JmpOp, Op, Src};

use super::asm::{Asm, GOTO, GOTO_LONG, R0, R1, R2, R3, R4, R5, R6, REGS, W32, W64, WIDTHS, alui, group, jump_if, set};
use super::values::{near_power, singles};
use super::{Case, Cases};

/// All of them.
pub(super) fn cases() -> Cases {
    let makers: [fn() -> Case; 9] =
        [smallest, to_the_start, to_the_next, to_itself, over_wide, two_ends, nested_loops, may_goto, backward_exit];
    Box::new(makers.into_iter().map(|make| make()).chain(immediates()))
}

fn smallest() -> Case {
    let mut asm = Asm::default();
    asm.leave(-2);
    asm.case("branches smallest".to_owned(), group(Op::Exit), u64::MAX - 1)
}

/// Back to slot 0, which is an ordinary instruction and the target of a loop.
fn to_the_start() -> Case {
    let mut asm = Asm::default();
    let (start, end) = (asm.here(), asm.label());
    asm.to(jump_if(W64, JmpOp::Eq, R1, Src::Imm(0)), end);
    asm.op(Op::mov_imm(R1, 0));
    asm.to(GOTO, start);
    asm.place(end);
    asm.expect(R1, 0, R2);
    asm.checked("branches to the start".to_owned(), group(GOTO))
}

/// Distances of zero, which do nothing, in all forms.
fn to_the_next() -> Case {
    let mut asm = Asm::default();
    REGS.iter().zip(1..).for_each(|(&reg, value)| asm.op(Op::mov_imm(reg, value)));
    for width in WIDTHS {
        for &op in JmpOp::ALL {
            asm.ops(&[jump_if(width, op, R3, Src::Imm(4)), jump_if(width, op, R3, Src::Reg(R4))]);
            asm.ops(&[jump_if(width, op, R3, Src::Reg(R3)), GOTO, GOTO_LONG]);
        }
    }
    REGS.iter().zip(1..).for_each(|(&reg, value)| asm.expect(reg, value, R0));
    asm.checked("branches to the next".to_owned(), group(GOTO))
}

/// A condition that would jump to itself does not hold.
fn to_itself() -> Case {
    let mut asm = Asm::default();
    asm.op(Op::mov_imm(R3, 4));
    for width in WIDTHS {
        let here = asm.here();
        asm.to(jump_if(width, JmpOp::Eq, R3, Src::Imm(5)), here);
    }
    asm.expect(R3, 4, R2);
    asm.checked("branches to itself".to_owned(), group(GOTO))
}

/// Over one and several 64-bit immediates, onto one, and back over one.
fn over_wide() -> Case {
    let mut asm = Asm::default();
    asm.ops(&[Op::mov_imm(R3, 0), Op::mov_imm(R4, 2)]);
    for count in 1..6 {
        let (end, next) = (asm.label(), asm.label());
        asm.to(jump_if(W64, JmpOp::Eq, R3, Src::Imm(0)), end);
        (0..count).for_each(|_| asm.op(set(R3, u64::MAX)));
        asm.place(end);
        asm.op(set(R5, 1 << 40));
        // Back onto the immediate load, once.
        let again = asm.here();
        asm.op(set(R6, 0x1234_5678_9abc_def0 + count));
        asm.op(alui(W64, AluOp::Sub, R4, 1));
        asm.to(jump_if(W64, JmpOp::Ne, R4, Src::Imm(0)), again);
        asm.op(Op::mov_imm(R4, 2));
        asm.to(GOTO, next);
        asm.place(next);
        asm.expect(R3, 0, R2);
        asm.expect(R5, 1 << 40, R2);
        asm.expect(R6, 0x1234_5678_9abc_def0 + count, R2);
    }
    asm.checked("branches over lddw".to_owned(), group(set(R0, 0)))
}

/// Two exits with different results; the first in the file is not the one that runs.
fn two_ends() -> Case {
    let mut asm = Asm::default();
    asm.op(Op::mov_imm(R3, 1));
    let other = asm.label();
    asm.to(jump_if(W64, JmpOp::SLt, R3, Src::Imm(2)), other);
    asm.leave(11);
    asm.place(other);
    asm.leave(22);
    asm.case("branches two ends".to_owned(), group(Op::Exit), 22)
}

/// The exit lies before the last instruction, which jumps back to it.
fn backward_exit() -> Case {
    let mut asm = Asm::default();
    let (start, end) = (asm.label(), asm.label());
    asm.to(GOTO, start);
    asm.place(end);
    asm.op(Op::Exit);
    asm.place(start);
    asm.op(Op::mov_imm(R0, 9));
    asm.to(GOTO, end);
    asm.case("branches exit in front".to_owned(), group(GOTO), 9)
}

/// 12 x 13 rounds, with a way out of both loops.
fn nested_loops() -> Case {
    let mut asm = Asm::default();
    asm.ops(&[Op::mov_imm(R0, 0), Op::mov_imm(R3, 12)]);
    let out = asm.label();
    let outer = asm.here();
    asm.op(Op::mov_imm(R4, 13));
    let inner = asm.here();
    asm.ops(&[alui(W64, AluOp::Add, R0, 1), alui(W32, AluOp::Sub, R4, 1)]);
    asm.to(jump_if(W64, JmpOp::Gt, R0, Src::Imm(12 * 13)), out);
    asm.to(jump_if(W32, JmpOp::SGt, R4, Src::Imm(0)), inner);
    asm.op(alui(W64, AluOp::Sub, R3, 1));
    asm.to(jump_if(W64, JmpOp::Ne, R3, Src::Imm(0)), outer);
    asm.place(out);
    asm.op(Op::Exit);
    asm.case("branches nested loops".to_owned(), group(GOTO), 156)
}

/// `may_goto` falls through unless a loop has run for very long.
fn may_goto() -> Case {
    let mut asm = Asm::default();
    let end = asm.label();
    asm.op(Op::mov_imm(R3, 10));
    let again = asm.here();
    asm.to(Op::MayGoto { off: 0 }, end);
    asm.op(alui(W64, AluOp::Sub, R3, 1));
    asm.to(jump_if(W64, JmpOp::Ne, R3, Src::Imm(0)), again);
    asm.place(end);
    asm.expect(R3, 0, R2);
    asm.checked("branches may_goto".to_owned(), group(Op::MayGoto { off: 0 }))
}

/// 64-bit immediates next to every power of two, checked through their two halves.
fn immediates() -> impl Iterator<Item = Case> {
    let values: Vec<u64> = singles().into_iter().chain((0..64).map(|bit| near_power(bit, 0) | 1)).collect();
    let chunks: Vec<_> = values.chunks(200).map(<[_]>::to_vec).collect();
    chunks.into_iter().zip(0..).map(|(chunk, number)| {
        let mut asm = Asm::default();
        for (&value, &dst) in chunk.iter().zip(REGS.iter().cycle()) {
            let (low, high) = if dst == R0 { (R1, R2) } else { (R0, if dst == R1 { R2 } else { R1 }) };
            asm.ops(&[set(dst, value), Op::mov(low, dst), Op::mov(high, dst)]);
            asm.ops(&[alui(W64, AluOp::Lsh, low, 32), alui(W64, AluOp::Rsh, low, 32)]);
            asm.op(alui(W64, AluOp::Arsh, high, 32));
            asm.expect(high, (value as i64 >> 32) as u64, dst);
            // Compared in two halves of 16 bits, so that no other immediate load is part of the check.
            asm.op(Op::mov(high, low));
            asm.ops(&[alui(W64, AluOp::And, high, 0xffff), alui(W64, AluOp::Rsh, low, 16)]);
            asm.expect(high, value & 0xffff, dst);
            asm.expect(low, value >> 16 & 0xffff, dst);
        }
        asm.checked(format!("branches lddw {number}"), group(set(R0, 0)))
    })
}
