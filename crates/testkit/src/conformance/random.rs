//! Pseudo-random programs from fixed seeds, all of whose registers and memory are checked at the end.

use skep_isa::ebpf::{AluOp, AtomicOp, JmpOp, Op, Reg, Size, Src, Width};

use super::alu::kernel_refuses;
use super::asm::{ORDERS, R0, R8, R9, REGS, WIDTHS, alu, alui, group, unary};
use super::script::{Home, Script};
use super::values::any_immediate;
use super::{Case, Cases, KernelVerdict};
use crate::Rng;

/// Programs of each kind and home.
const PROGRAMS: u64 = 800;
/// Bytes of the window that programs use.
const SPAN: usize = 64;
/// Register 9 points to the window, register 8 counts loops; both are never written.
const BASE: Reg = R9;
const COUNTER: Reg = R8;

/// Programs without jumps.
pub(super) fn straight() -> Cases {
    both("straight", |script, rng, all| (0..rng.between(20, 120)).for_each(|_| script.run(any_op(rng, all))))
}

/// Programs with branches and loops inside of each other.
pub(super) fn branchy() -> Cases {
    both("branchy", branches)
}

/// How a program is written; the flag allows all instructions.
type Body = fn(&mut Script, &mut Rng, bool);

/// Programs of some instructions, then programs of all.
///
/// The kernel is not asked about the second half: Linux 6.18 removes code that runs from a few of them. Reduced to the
/// smallest programs that show it, there were two kinds. In one, two paths that differ in a spilled value join before an
/// atomic operation fetches it from the stack (probably not followed back to the slot by `backtrack_insn` in
/// `kernel/bpf/verifier.c`). In the other, a load extends the low half of a spilled register by its sign, and a
/// comparison of the result narrows the register (probably linked by `check_stack_read_fixed_off`).
fn both(name: &'static str, body: Body) -> Cases {
    let reason = "verifiers lose track of values that are fetched from the stack or extended from it by their sign";
    let some = programs(name, body, false);
    Box::new(some.chain(programs(name, body, true).map(move |case| match case.kernel {
        KernelVerdict::MayRun => case.kernel(KernelVerdict::Differs(reason)),
        _ => case,
    })))
}

fn branches(script: &mut Script, rng: &mut Rng, all: bool) {
    let mut branches = rng.between(1, 9);
    for _ in 0..rng.between(3, 9) {
        block(script, rng, 3, &mut branches, all);
    }
}

fn programs(name: &'static str, body: Body, all: bool) -> Cases {
    let seeds = Home::ALL.into_iter().flat_map(|home| (0..PROGRAMS).map(move |seed| (home, seed)));
    Box::new(seeds.map(move |(home, seed)| program(name, home, (seed, all), body)))
}

fn program(name: &str, home: Home, (seed, all): (u64, bool), body: Body) -> Case {
    let mut rng = Rng::new(seed << 8 | u64::from(all) << 1 | home as u64);
    let mut script = Script::new(home, &mut rng);
    script.set_all(&mut rng);
    script.point(BASE, 0);
    body(&mut script, &mut rng, all);
    script.check_all();
    (0..SPAN).step_by(8).for_each(|at| script.check_window(at));
    let set = if all { "all" } else { "some" };
    script.case(format!("{name} {set} {} {seed}", home.name()), group(alu(Width::W64, AluOp::Add, R0, R0)))
}

/// A few instructions, or a branch or a loop around some.
fn block(script: &mut Script, rng: &mut Rng, depth: usize, branches: &mut usize, all: bool) {
    (0..rng.between(1, 8)).for_each(|_| script.run(any_op(rng, all)));
    if depth == 0 || *branches == 0 {
        return;
    }
    if rng.percent(20) {
        let body: Vec<Op> = (0..rng.between(1, 8)).map(|_| any_op(rng, all)).collect();
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
        |script| block(script, &mut inner, depth - 1, &mut then_left, all),
        both.then_some(|script: &mut Script| block(script, &mut second, depth - 1, &mut left, all)),
    );
    *branches = then_left;
}

/// Any instruction without control flow on registers 0 to 7 and the window behind register 9.
fn any_op(rng: &mut Rng, all: bool) -> Op {
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
            let signed = all && size != Size::DW && rng.percent(30);
            Op::Load { size, signed, dst, base, off: place(rng, size) }
        }
        82..92 => {
            let size = rng.pick(Size::ALL);
            let src = if rng.percent(70) { Src::Reg(src) } else { Src::Imm(any_immediate(rng)) };
            Op::Store { size, base, off: place(rng, size), src }
        }
        92..94 => super::asm::set(dst, super::values::any(rng)),
        _ => {
            let fetch = all && rng.percent(60);
            // The last two are the exchanges, which always fetch.
            let op = rng.pick(if fetch { AtomicOp::ALL } else { &AtomicOp::ALL[..4] });
            Op::Atomic { width, op, fetch, base, off: place(rng, width.size()), src }
        }
    }
}
