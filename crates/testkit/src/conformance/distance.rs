//! Jumps over 0 to 70 instructions of several lengths in machine code, so that every boundary between short and long
//! machine jumps is crossed one byte at a time in both directions.

use skep_isa::ebpf::{AluOp, JmpOp, Op, Reg, Size, Src, Width};

use super::asm::{GOTO, GOTO_LONG, R0, R3, R4, R5, R6, R7, R8, R10, W32, W64, alu, alui, group, load, set, store};
use super::script::{Home, Script};
use super::values::{any, any_immediate};
use super::{Case, Cases};
use crate::Rng;

/// What is jumped over. The lengths in the comments are those of x86-64.
const FILLERS: [&str; 7] = ["two bytes", "three bytes", "seven bytes", "lddw", "stack", "division", "mixed"];

/// Most instructions that are jumped over.
const FARTHEST: usize = 70;

/// The registers that they use.
const FILLED: [Reg; 5] = [R4, R5, R6, R7, R8];

/// How the jump is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Jump {
    /// `if` with a constant.
    Constant(Width, JmpOp),
    /// `if` with a register.
    Register(Width, JmpOp),
    /// `goto` or `gotol`, next to an `if` that is short.
    Always(Op),
}

const JUMPS: [Jump; 6] = [
    Jump::Constant(W64, JmpOp::Eq),
    Jump::Constant(W32, JmpOp::SGt),
    Jump::Register(W64, JmpOp::Lt),
    Jump::Register(W32, JmpOp::Set),
    Jump::Always(GOTO),
    Jump::Always(GOTO_LONG),
];

/// One program for each kind of jump, filler and direction.
pub(super) fn cases() -> Cases {
    let kinds = JUMPS.into_iter().enumerate();
    Box::new(kinds.flat_map(|(number, jump)| {
        (0..FILLERS.len())
            .flat_map(move |filler| [false, true].map(|back| (filler, back)))
            .map(move |(filler, back)| case(number, jump, filler, back))
    }))
}

fn case(number: usize, jump: Jump, filler: usize, back: bool) -> Case {
    let mut rng = Rng::new(0xd157);
    let mut script = Script::new(Home::Stack, &mut rng);
    for count in 0..=FARTHEST {
        for wanted in [true, false] {
            FILLED.iter().for_each(|&reg| script.set(reg, any(&mut rng)));
            let (width, op, src) = match jump {
                Jump::Constant(width, op) => (width, op, Src::Imm(5)),
                Jump::Register(width, op) => (width, op, Src::Reg(R0)),
                Jump::Always(_) => (W64, JmpOp::Eq, Src::Imm(5)),
            };
            // Of 5 and 5, 6 and 5, 4 and 5, 8 and 5 each condition holds for some and not for others.
            script.set(R0, 5);
            let holds = |value| super::eval::condition(width, op, value, 5) == wanted;
            let Some(value) = [5, 6, 4, 8].into_iter().find(|&value| holds(value)) else { continue };
            script.set(R3, value);
            let condition = (width, op, R3, src);
            let mut fillers = rng.clone();
            let body = |script: &mut Script| (0..count).for_each(|_| script.run(any_filler(&mut fillers, filler)));
            match (jump, back) {
                (Jump::Always(via), false) => script.around(condition, via, body),
                (Jump::Always(via), true) => script.backward(condition, Some(via), body),
                (_, false) => script.branch(condition, body, None::<fn(&mut Script)>),
                (_, true) => script.backward(condition, None, body),
            }
            rng.u64();
            script.check_all();
        }
    }
    let about = match jump {
        Jump::Always(op) => op,
        Jump::Constant(width, op) | Jump::Register(width, op) => super::asm::jump_if(width, op, R3, Src::Imm(0)),
    };
    let direction = if back { "backwards" } else { "forwards" };
    script.case(format!("distance {number} {direction} over {}", FILLERS[filler]), group(about))
}

/// An instruction on registers 4 to 8 or the stack.
fn any_filler(rng: &mut Rng, kind: usize) -> Op {
    let (dst, src) = (rng.pick(&FILLED), rng.pick(&FILLED));
    match kind {
        0 => alu(W32, AluOp::Xor, R6, R6),
        1 => alu(W64, rng.pick(&[AluOp::Add, AluOp::Sub, AluOp::Xor, AluOp::Or, AluOp::Mov]), dst, src),
        2 => alui(W64, AluOp::Add, dst, 0x1234_5678),
        3 => set(dst, rng.u64()),
        4 => {
            let off = -8 * rng.between(1, 32) as i16;
            if rng.percent(50) { store(Size::DW, R10, off, src) } else { load(Size::DW, dst, R10, off) }
        }
        5 => alu(W64, rng.pick(&[AluOp::Div, AluOp::SMod]), dst, src),
        _ => match rng.below(8) {
            0 => any_filler(rng, 0),
            1 => alui(W64, rng.pick(&[AluOp::Add, AluOp::Mul, AluOp::And]), dst, any_immediate(rng)),
            2 => alui(W32, AluOp::Lsh, dst, rng.below(32) as i32),
            3 => alu(W64, AluOp::Rsh, dst, src),
            kind => any_filler(rng, kind - 2),
        },
    }
}
