//! Every condition on every pair of borders, with constants and registers, taken and not taken.

use skep_isa::ebpf::{JmpOp, Op, Src, Width};

use super::asm::{Asm, GOTO, R0, W64, WIDTHS, group, jump_if, set, shuffled};
use super::tables::{Roles, table};
use super::values::{IMMEDIATES, immediate_pairs, pairs, singles};
use super::{Case, Cases, eval};
use crate::Rng;

/// Checks in one program; about eight slots each.
const CHUNK: usize = 1300;

fn conditions() -> impl Iterator<Item = (Width, JmpOp)> {
    JmpOp::ALL.iter().flat_map(|&op| WIDTHS.map(|width| (width, op)))
}

/// Operands that are constants of the program.
pub(super) fn cases() -> Cases {
    let registers = conditions().flat_map(|(width, op)| {
        let mut rng = Rng::new(0x31);
        let list: Vec<_> = pairs(&mut rng).into_iter().step_by(2).collect();
        let chunks: Vec<_> = list.chunks(CHUNK).map(<[_]>::to_vec).collect();
        chunks.into_iter().zip(0..).map(move |(chunk, number)| {
            let mut asm = Asm::default();
            for &(a, b) in &chunk {
                let [dst, src, ..] = shuffled(&mut rng);
                asm.ops(&[set(dst, a), set(src, b)]);
                asm.expect_jump(width, op, dst, Src::Reg(src), eval::condition(width, op, a, b));
            }
            let name = format!("condition {op:?} {} reg {number}", width.bits());
            asm.checked(name, group(jump_if(width, op, R0, Src::Reg(R0))))
        })
    });
    let constants = conditions().flat_map(|(width, op)| {
        let mut rng = Rng::new(0x32);
        let list = immediate_pairs(&mut rng);
        let chunks: Vec<_> = list.chunks(CHUNK).map(<[_]>::to_vec).collect();
        chunks.into_iter().zip(0..).map(move |(chunk, number)| {
            let mut asm = Asm::default();
            for &(a, imm) in &chunk {
                let [dst, ..] = shuffled(&mut rng);
                asm.op(set(dst, a));
                let taken = eval::condition(width, op, a, eval::immediate(imm));
                asm.expect_jump(width, op, dst, Src::Imm(imm), taken);
            }
            let name = format!("condition {op:?} {} imm {number}", width.bits());
            asm.checked(name, group(jump_if(width, op, R0, Src::Imm(0))))
        })
    });
    Box::new(registers.chain(constants))
}

/// How the outcome of a condition becomes a number.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// `r = 1; if C goto +1; r = 0`
    Over,
    /// `r = 0; if !C goto +1; r = 1`, written as two jumps since not every condition has an inverse.
    Diamond,
}

/// Operands from memory. The outcome becomes 0 or 1 in a register, which is what compilers turn into conditional moves.
pub(super) fn tables() -> Cases {
    let shapes = [Shape::Over, Shape::Diamond];
    let registers = conditions().flat_map(move |(width, op)| {
        let mut rng = Rng::new(0x33);
        let list = pairs(&mut rng);
        shapes.into_iter().enumerate().map(move |(number, shape)| {
            let outcome = |a, b| u64::from(eval::condition(width, op, a, b));
            let rows: Vec<_> = list.iter().map(|&(a, b)| vec![a, b, outcome(a, b)]).collect();
            let name = format!("condition-table {op:?} {} reg {number}", width.bits());
            table(name, group(jump_if(width, op, R0, Src::Reg(R0))), &rows, &mut rng, |asm, roles, fail| {
                let Roles { a, b, c, .. } = roles;
                asm.ops(&[roles.column(a, 0), roles.column(b, 1)]);
                decide(asm, shape, jump_if(width, op, a, Src::Reg(b)), c);
                asm.op(roles.column(a, 2));
                asm.to(jump_if(W64, JmpOp::Ne, a, Src::Reg(c)), fail);
            })
        })
    });
    Box::new(registers.chain(conditions().flat_map(|(width, op)| constants(width, op))))
}

/// Puts 1 into the register if the jump is taken, else 0.
fn decide(asm: &mut Asm, shape: Shape, jump: Op, into: skep_isa::ebpf::Reg) {
    let end = asm.label();
    match shape {
        Shape::Over => {
            asm.op(Op::mov_imm(into, 1));
            asm.to(jump, end);
            asm.op(Op::mov_imm(into, 0));
        }
        Shape::Diamond => {
            let taken = asm.label();
            asm.to(jump, taken);
            asm.op(Op::mov_imm(into, 0));
            asm.to(GOTO, end);
            asm.place(taken);
            asm.op(Op::mov_imm(into, 1));
        }
    }
    asm.place(end);
}

/// One column of outcomes for each constant.
fn constants(width: Width, op: JmpOp) -> [Case; 1] {
    let row = |a: u64| {
        let outcomes = IMMEDIATES.map(|imm| u64::from(eval::condition(width, op, a, eval::immediate(imm))));
        [a].into_iter().chain(outcomes).collect()
    };
    let rows: Vec<Vec<u64>> = singles().into_iter().map(row).collect();
    let name = format!("condition-table {op:?} {} imm", width.bits());
    let about = group(jump_if(width, op, R0, Src::Imm(0)));
    let case = table(name, about, &rows, &mut Rng::new(0x34), |asm, roles, fail| {
        for (column, imm) in (1..).zip(IMMEDIATES) {
            let Roles { a, b, c, .. } = roles;
            asm.op(roles.column(a, 0));
            let shape = if column % 2 == 0 { Shape::Over } else { Shape::Diamond };
            decide(asm, shape, jump_if(width, op, a, Src::Imm(imm)), c);
            asm.op(roles.column(b, column));
            asm.to(jump_if(W64, JmpOp::Ne, b, Src::Reg(c)), fail);
        }
    });
    [Case { checks: case.checks * IMMEDIATES.len() as u32, ..case }]
}
