//! Pseudo-random programs from fixed seeds, all of whose registers and memory are checked at the end.

use skep_isa::ebpf::{AluOp, AtomicOp, JmpOp, Op, Reg, Size, Src, Width};

use super::alu::kernel_refuses;
use super::asm::{ORDERS, R0, R8, R9, REGS, WIDTHS, alu, alui, group, unary};
use super::script::{Home, Script};
use super::values::any_immediate;
use super::{Case, Cases};
use crate::Rng;

/// Programs of each kind and home.
const PROGRAMS: u64 = 1000;
/// Bytes of the window that programs use.
const SPAN: usize = 64;
/// Register 9 points to the window, register 8 counts loops; both are never written.
const BASE: Reg = R9;
const COUNTER: Reg = R8;

/// Programs without jumps.
pub(super) fn straight() -> Cases {
    programs("straight", |script, rng| (0..rng.between(20, 120)).for_each(|_| script.run(any_op(rng))))
}

/// Programs with branches and loops inside of each other.
pub(super) fn branchy() -> Cases {
    programs("branchy", |script, rng| {
        let mut branches = rng.between(1, 9);
        for _ in 0..rng.between(3, 9) {
            block(script, rng, 3, &mut branches);
        }
    })
}

fn programs(name: &'static str, body: fn(&mut Script, &mut Rng)) -> Cases {
    let seeds = Home::ALL.into_iter().flat_map(|home| (0..PROGRAMS).map(move |seed| (home, seed)));
    Box::new(seeds.map(move |(home, seed)| program(name, home, seed, body)))
}

fn program(name: &str, home: Home, seed: u64, body: fn(&mut Script, &mut Rng)) -> Case {
    let mut rng = Rng::new(seed << 8 | home as u64);
    let mut script = Script::new(home, &mut rng);
    script.set_all(&mut rng);
    script.point(BASE, 0);
    body(&mut script, &mut rng);
    script.check_all();
    (0..SPAN).step_by(8).for_each(|at| script.check_window(at));
    script.case(format!("{name} {} {seed}", home.name()), group(alu(Width::W64, AluOp::Add, R0, R0)))
}

/// A few instructions, or a branch or a loop around some.
fn block(script: &mut Script, rng: &mut Rng, depth: usize, branches: &mut usize) {
    (0..rng.between(1, 8)).for_each(|_| script.run(any_op(rng)));
    if depth == 0 || *branches == 0 {
        return;
    }
    if rng.percent(20) {
        let body: Vec<Op> = (0..rng.between(1, 8)).map(|_| any_op(rng)).collect();
        script.repeat(COUNTER, rng.between(1, 20) as i32, &body);
        return;
    }
    *branches -= 1;
    let src = if rng.percent(50) { Src::Reg(rng.pick(&REGS[..8])) } else { Src::Imm(any_immediate(rng)) };
    let condition = (rng.pick(&WIDTHS), rng.pick(JmpOp::ALL), rng.pick(&REGS[..8]), src);
    let mut second = Rng::new(rng.u64());
    let both = rng.percent(60);
    let mut left = *branches;
    let mut inner = Rng::new(rng.u64());
    let mut then_left = left / 2;
    left -= then_left;
    script.branch(
        condition,
        |script| block(script, &mut inner, depth - 1, &mut then_left),
        both.then_some(|script: &mut Script| block(script, &mut second, depth - 1, &mut left)),
    );
    *branches = then_left;
}

/// Any instruction without control flow on registers 0 to 7 and the window behind register 9.
fn any_op(rng: &mut Rng) -> Op {
    let (dst, src) = (rng.pick(&REGS[..8]), rng.pick(&REGS[..8]));
    let (width, base) = (rng.pick(&WIDTHS), BASE);
    let place = |rng: &mut Rng, size: Size| {
        let bytes = size.bytes() as usize;
        (bytes * rng.below(SPAN / bytes)) as i16
    };
    match rng.below(100) {
        0..40 => alu(width, rng.pick(AluOp::ALL), dst, src),
        40..62 => loop {
            let (op, imm) = (rng.pick(AluOp::ALL), any_immediate(rng));
            if kernel_refuses(width, op, imm).is_none() {
                break alui(width, op, dst, imm);
            }
        },
        62..67 => rng.pick(&unary(dst, src)),
        67..70 => Op::Swap { order: rng.pick(&ORDERS), size: rng.pick(&[Size::H, Size::W, Size::DW]), dst },
        70..71 => Op::Neg { width, dst },
        71..82 => {
            let size = rng.pick(Size::ALL);
            let signed = size != Size::DW && rng.percent(30);
            Op::Load { size, signed, dst, base, off: place(rng, size) }
        }
        82..92 => {
            let size = rng.pick(Size::ALL);
            let src = if rng.percent(70) { Src::Reg(src) } else { Src::Imm(any_immediate(rng)) };
            Op::Store { size, base, off: place(rng, size), src }
        }
        92..94 => super::asm::set(dst, super::values::any(rng)),
        _ => {
            let op = rng.pick(AtomicOp::ALL);
            let fetch = op.alu().is_none() || rng.percent(50);
            Op::Atomic { width, op, fetch, base, off: place(rng, width.size()), src }
        }
    }
}
