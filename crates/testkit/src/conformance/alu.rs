//! Every operator on operands that are constants of the program: a block of instructions for each pair.

use skep_isa::ebpf::{AluOp, Op, Width};

use super::asm::{Asm, R0, R3, REGS, W32, W64, WIDTHS, alu, alui, binary, group, set, shuffled, unary, unary_value};
use super::values::{any, immediate_pairs, near_power, pairs, singles};
use super::{Case, Cases, KernelVerdict, eval};
use crate::Rng;

/// Checks in one program; about ten slots each.
const CHUNK: usize = 1000;

/// `width` and `op` as part of a name.
pub(super) fn form(width: Width, op: AluOp) -> String {
    format!("{op:?}{}", width.bits()).to_lowercase()
}

/// Why the kernel refuses the constant as second operand (`check_alu_op` in `kernel/bpf/verifier.c`).
pub(super) fn kernel_refuses(width: Width, op: AluOp, imm: i32) -> Option<&'static str> {
    match op {
        AluOp::Div | AluOp::Mod | AluOp::SDiv | AluOp::SMod if imm == 0 => Some("division by the constant zero"),
        AluOp::Lsh | AluOp::Rsh | AluOp::Arsh if !(0..width.bits() as i32).contains(&imm) => {
            Some("shift by a constant outside of the width")
        }
        _ => None,
    }
}

/// All operators, all pairs of borders and magnitudes.
pub(super) fn cases() -> Cases {
    let with_register = binary().flat_map(|(width, op)| {
        let mut rng = Rng::new(0x0a1);
        let list = pairs(&mut rng);
        let chunks: Vec<_> = list.chunks(CHUNK).map(<[_]>::to_vec).collect();
        chunks.into_iter().zip(0..).map(move |(chunk, number)| {
            let mut asm = Asm::default();
            chunk.iter().for_each(|&(a, b)| register_check(&mut asm, &mut rng, (width, op), a, b));
            asm.checked(format!("alu {} reg {number}", form(width, op)), group(alu(width, op, R0, R0)))
        })
    });
    let with_constant = binary().flat_map(|(width, op)| {
        let mut rng = Rng::new(0x0a2);
        let (refused, list): (Vec<_>, Vec<_>) =
            immediate_pairs(&mut rng).into_iter().partition(|&(_, imm)| kernel_refuses(width, op, imm).is_some());
        let chunks: Vec<_> = list.chunks(CHUNK).chain(refused.chunks(CHUNK)).map(<[_]>::to_vec).collect();
        chunks.into_iter().zip(0..).map(move |(chunk, number)| constant_case(&mut rng, (width, op), &chunk, number))
    });
    let single = unary(R0, R0).into_iter().enumerate().map(|(number, op)| unary_case(number, op));
    Box::new(with_register.chain(with_constant).chain(single))
}

/// `a OP b` in random registers; neither operand register may change besides the result.
fn register_check(asm: &mut Asm, rng: &mut Rng, (width, op): (Width, AluOp), a: u64, b: u64) {
    let [dst, src, temp, ..] = shuffled(rng);
    asm.ops(&[set(dst, a), set(src, b), alu(width, op, dst, src)]);
    asm.expect(dst, eval::alu(width, op, a, b), temp);
}

fn constant_case(rng: &mut Rng, (width, op): (Width, AluOp), list: &[(u64, i32)], number: usize) -> Case {
    let mut asm = Asm::default();
    let mut kernel = KernelVerdict::MayRun;
    for &(a, imm) in list {
        let [dst, temp, ..] = shuffled(rng);
        asm.ops(&[set(dst, a), alui(width, op, dst, imm)]);
        asm.expect(dst, eval::alu(width, op, a, eval::immediate(imm)), temp);
        if let Some(rule) = kernel_refuses(width, op, imm) {
            kernel = KernelVerdict::Refuses(rule);
        }
    }
    asm.checked(format!("alu {} imm {number}", form(width, op)), group(alui(width, op, R0, 0))).kernel(kernel)
}

fn unary_case(number: usize, template: Op) -> Case {
    let mut rng = Rng::new(0x0a3);
    let mut asm = Asm::default();
    for a in singles() {
        let [dst, other, temp, ..] = shuffled(&mut rng);
        asm.op(set(dst, a));
        // In place, and for the moves that extend also from one register to another.
        let in_place = unary(dst, dst)[number];
        asm.op(in_place);
        asm.expect(dst, unary_value(in_place, a), temp);
        if let Some(&moved) = unary(dst, other).get(number) {
            asm.ops(&[set(other, a), moved]);
            asm.expect(dst, unary_value(moved, a), temp);
            asm.expect(other, a, temp);
        }
    }
    asm.checked(format!("alu unary {number}"), group(template))
}

/// Divisions by zero, minus one and the borders next to overflow, in every form, with all pairs of registers.
pub(super) fn division() -> Cases {
    const OPS: [AluOp; 4] = [AluOp::Div, AluOp::Mod, AluOp::SDiv, AluOp::SMod];
    let forms = OPS.into_iter().flat_map(|op| WIDTHS.map(|width| (width, op)));
    Box::new(forms.flat_map(|(width, op)| {
        let name = form(width, op);
        let group = group(alu(width, op, R0, R0));
        let mut rng = Rng::new(0xd1f);
        let mut registers = Asm::default();
        for (dst, src) in REGS.into_iter().flat_map(|dst| REGS.map(|src| (dst, src))) {
            let temp = shuffled(&mut rng).into_iter().find(|&reg| reg != dst && reg != src).unwrap_or(R3);
            for (a, b) in dividends(&mut rng).into_iter().flat_map(|a| [0, 1, u64::MAX, 1 << 32].map(|b| (a, b))) {
                let b = if dst == src { a } else { b };
                registers.ops(&[set(src, b), set(dst, a), alu(width, op, dst, src)]);
                registers.expect(dst, eval::alu(width, op, a, b), temp);
                if src != dst {
                    registers.expect(src, b, temp);
                }
            }
        }
        let constants = [0, -1, 1, 2, -2, i32::MIN, i32::MAX].map(|imm| {
            let mut asm = Asm::default();
            for dst in REGS {
                for a in dividends(&mut rng) {
                    asm.ops(&[set(dst, a), alui(width, op, dst, imm)]);
                    let temp = if dst == R3 { R0 } else { R3 };
                    asm.expect(dst, eval::alu(width, op, a, eval::immediate(imm)), temp);
                }
            }
            let kernel = kernel_refuses(width, op, imm).map_or(KernelVerdict::MayRun, KernelVerdict::Refuses);
            asm.checked(format!("division {name} by the constant {imm}"), group).kernel(kernel)
        });
        [registers.checked(format!("division {name} by registers"), group)].into_iter().chain(constants)
    }))
}

/// Smallest numbers of both widths, their neighbours, and one of any kind.
fn dividends(rng: &mut Rng) -> [u64; 8] {
    let min32 = eval::alu(W64, AluOp::Sub, 0, near_power(31, 0));
    [0, 1 << 63, 1 << 31, min32, eval::neg(W32, 1), (1 << 63) + 1, u64::MAX, any(rng)]
}
