//! Every operator on operands that no compiler can know: loops over tables of operands and results in memory.

use skep_isa::ebpf::{AluOp, Group, JmpOp, Op, Reg, Size, Src};

use super::alu::form;
use super::asm::{
    Asm, CONTEXT, Label, R0, R1, REGS, W64, alu, alui, binary, group, jump_if, load, shuffled, unary, unary_value,
};
use super::values::{IMMEDIATES, near_power, pairs, singles};
use super::{Case, Cases, eval};
use crate::Rng;

/// Which register does what in a loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Roles {
    row: Reg,
    pub(super) a: Reg,
    pub(super) b: Reg,
    pub(super) c: Reg,
}

impl Roles {
    /// Loads the number in this column of the row.
    pub(super) const fn column(self, dst: Reg, column: usize) -> Op {
        load(Size::DW, dst, self.row, 8 * column as i16)
    }

    fn any(rng: &mut Rng) -> (Self, Reg) {
        let [row, left, a, b, c, ..] = shuffled(rng);
        (Self { row, a, b, c }, left)
    }
}

/// A program that does the same for each row. `body` jumps to the label that it is given when something is wrong.
pub(super) fn table(
    name: String,
    group: Group,
    rows: &[Vec<u64>],
    rng: &mut Rng,
    body: impl FnOnce(&mut Asm, Roles, Label),
) -> Case {
    let (roles, left) = Roles::any(rng);
    let mut asm = Asm::default();
    // Register 1 may be the one that counts.
    asm.ops(&[Op::mov(roles.row, R1), Op::mov_imm(left, rows.len() as i32)]);
    let fail = asm.label();
    let again = asm.here();
    body(&mut asm, roles, fail);
    asm.ops(&[alui(W64, AluOp::Add, roles.row, 8 * rows[0].len() as i32), alui(W64, AluOp::Sub, left, 1)]);
    asm.to(jump_if(W64, JmpOp::Ne, left, Src::Imm(0)), again);
    asm.leave(0);
    asm.place(fail);
    asm.ops(&[Op::mov(R0, left), Op::Exit]);
    asm.count_checks(rows.len());
    let case = asm.case(name, group, 0);
    Case { memory: rows.iter().flatten().flat_map(|value| value.to_ne_bytes()).collect(), ..case.kernel(CONTEXT) }
}

/// `a OP b` by two registers, in several places of the register file, of one register with itself, and with constants.
pub(super) fn cases() -> Cases {
    let registers = binary().flat_map(|(width, op)| {
        let mut rng = Rng::new(0x7ab);
        let list = pairs(&mut rng);
        (0..6).map(move |number| {
            let rows: Vec<_> = list.iter().map(|&(a, b)| vec![a, b, eval::alu(width, op, a, b)]).collect();
            let name = format!("table {} reg {number}", form(width, op));
            table(name, group(alu(width, op, R0, R0)), &rows, &mut rng, |asm, roles, fail| {
                let Roles { a, b, c, .. } = roles;
                asm.ops(&[roles.column(a, 0), roles.column(b, 1), alu(width, op, a, b), roles.column(c, 2)]);
                asm.to(jump_if(W64, JmpOp::Ne, a, Src::Reg(c)), fail);
                asm.op(roles.column(c, 1));
                asm.to(jump_if(W64, JmpOp::Ne, b, Src::Reg(c)), fail);
            })
        })
    });
    let same = binary().map(|(width, op)| {
        let rows: Vec<_> = singles().into_iter().map(|a| vec![a, eval::alu(width, op, a, a)]).collect();
        let name = format!("table {} same register", form(width, op));
        table(name, group(alu(width, op, R0, R0)), &rows, &mut Rng::new(0x5a), |asm, roles, fail| {
            let Roles { a, c, .. } = roles;
            asm.ops(&[roles.column(a, 0), alu(width, op, a, a), roles.column(c, 1)]);
            asm.to(jump_if(W64, JmpOp::Ne, a, Src::Reg(c)), fail);
        })
    });
    Box::new(registers.chain(same).chain(constants()).chain(one_operand()))
}

/// One column for each constant.
fn constants() -> impl Iterator<Item = Case> {
    binary().flat_map(|(width, op)| {
        let mut rng = Rng::new(0xc0);
        let mut list = IMMEDIATES.to_vec();
        list.extend((0..32).flat_map(|bit| [0, 1, 3].map(|variant| near_power(bit, variant) as i32)));
        let chunks: Vec<_> = list.chunks(32).map(<[_]>::to_vec).collect();
        chunks.into_iter().zip(0..).map(move |(chunk, number)| {
            let row = |a: u64| {
                let results = chunk.iter().map(|&imm| eval::alu(width, op, a, eval::immediate(imm)));
                [a].into_iter().chain(results).collect()
            };
            // A quarter of the values next to powers of two is enough with 128 constants.
            let rows: Vec<Vec<u64>> = singles().into_iter().step_by(4).map(row).collect();
            let name = format!("table {} imm {number}", form(width, op));
            let case = table(name, group(alui(width, op, R0, 0)), &rows, &mut rng, |asm, roles, fail| {
                for (column, &imm) in (1..).zip(&chunk) {
                    let Roles { a, c, .. } = roles;
                    asm.ops(&[roles.column(a, 0), alui(width, op, a, imm), roles.column(c, column)]);
                    asm.to(jump_if(W64, JmpOp::Ne, a, Src::Reg(c)), fail);
                }
            });
            Case { checks: case.checks * chunk.len() as u32, ..case }
        })
    })
}

fn one_operand() -> impl Iterator<Item = Case> {
    REGS.into_iter().enumerate().flat_map(|(shift, _)| {
        unary(R0, R0).into_iter().enumerate().map(move |(number, template)| {
            let rows: Vec<_> = singles().into_iter().map(|a| vec![a, unary_value(template, a)]).collect();
            let name = format!("table unary {number} in register set {shift}");
            let mut rng = Rng::new(shift as u64);
            table(name, group(template), &rows, &mut rng, |asm, roles, fail| {
                let Roles { a, b, c, .. } = roles;
                asm.ops(&[roles.column(a, 0), roles.column(c, 1), unary(a, a)[number]]);
                asm.to(jump_if(W64, JmpOp::Ne, a, Src::Reg(c)), fail);
                if let Some(&moved) = unary(b, a).get(number) {
                    asm.ops(&[roles.column(a, 0), moved]);
                    asm.to(jump_if(W64, JmpOp::Ne, b, Src::Reg(c)), fail);
                }
            })
        })
    })
}
