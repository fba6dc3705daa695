//! Jumps as far as the encoding reaches and programs of hundreds of thousands of slots.

use skep_isa::ebpf::{AluOp, JmpOp, Op, Size, Src, Width};

use super::asm::{
    Asm, GOTO, GOTO_LONG, R0, R1, R2, R3, R4, R10, W32, W64, WIDTHS, alu, alui, group, jump_if, load, set, shuffled,
    store,
};
use super::script::{Home, Script};
use super::values::{any, any_immediate};
use super::{Case, Cases, eval};
use crate::Rng;

/// The largest distance of 16 bits, in slots.
const MAX: usize = 32_767;

/// All of them, one program at a time.
pub(super) fn cases() -> Cases {
    let conditional = JmpOp::ALL
        .iter()
        .flat_map(|&op| WIDTHS.into_iter().flat_map(move |width| [true, false].map(|taken| (width, op, taken))));
    let conditional = conditional.flat_map(|(width, op, taken)| {
        [false, true].into_iter().filter_map(move |back| far_condition(width, op, taken, back))
    });
    let always = [(GOTO, MAX), (GOTO_LONG, MAX), (GOTO_LONG, MAX + 1), (GOTO_LONG, 100_003), (GOTO_LONG, 199_000)]
        .into_iter()
        .flat_map(|(op, distance)| [false, true].map(|back| (op, distance, back)))
        .map(|(op, distance, back)| far_jump(op, distance, back));
    let zigzags = [(GOTO, 10_000), (GOTO_LONG, 40_000)].into_iter().map(|(op, blocks)| zigzag(op, blocks));
    let huge = (0..4).map(straight);
    let rest: [fn() -> Case; 5] = [ladder, loops, many_checks, unknown_operands, wide_immediates];
    Box::new(conditional.chain(always).chain(zigzags).chain(huge).chain(rest.into_iter().map(|make| make())))
}

/// A conditional jump over 32,767 slots, or back to 32,768 before the next.
fn far_condition(width: Width, op: JmpOp, taken: bool, back: bool) -> Option<Case> {
    let operand = [5u64, 6, 4, 8].into_iter().find(|&a| eval::condition(width, op, a, 5) == taken)?;
    let mut asm = Asm::default();
    asm.ops(&[set(R3, operand), Op::mov_imm(R4, 5), Op::mov_imm(R1, 0)]);
    let src = if width == W32 { Src::Reg(R4) } else { Src::Imm(5) };
    let jump = jump_if(width, op, R3, src);
    let (near, end) = (asm.label(), asm.label());
    let steps = if back {
        asm.to(GOTO, near);
        let far = asm.here();
        (0..MAX - 1).for_each(|_| asm.op(alui(W64, AluOp::Add, R1, 3)));
        asm.to(GOTO, end);
        asm.place(near);
        asm.to(jump, far);
        if taken { MAX - 1 } else { 0 }
    } else {
        asm.to(jump, end);
        (0..MAX).for_each(|_| asm.op(alui(W64, AluOp::Add, R1, 3)));
        if taken { 0 } else { MAX }
    };
    asm.place(end);
    asm.expect(R1, 3 * steps as u64, R2);
    let (outcome, direction) = (if taken { "taken" } else { "passed" }, if back { "backwards" } else { "forwards" });
    Some(asm.checked(format!("long if {op:?} {} {outcome} {direction}", width.bits()), group(jump)))
}

/// An unconditional jump over `distance` slots that a condition makes reachable.
fn far_jump(op: Op, distance: usize, back: bool) -> Case {
    let mut asm = Asm::default();
    asm.ops(&[Op::mov_imm(R3, 1), Op::mov_imm(R1, 0)]);
    let (body, near, end) = (asm.label(), asm.label(), asm.label());
    let fill = |asm: &mut Asm, count| (0..count).for_each(|_| asm.op(alui(W32, AluOp::Add, R1, 1)));
    let steps = if back {
        // Over the body, back to it, and from its end over the jump back.
        asm.to(op, near);
        asm.place(body);
        fill(&mut asm, distance - 1);
        asm.to(GOTO, end);
        asm.place(near);
        asm.to(op, body);
        distance - 1
    } else {
        asm.to(jump_if(W64, JmpOp::Ne, R3, Src::Imm(1)), body);
        asm.to(op, end);
        asm.place(body);
        fill(&mut asm, distance);
        0
    };
    asm.place(end);
    asm.expect(R1, steps as u64, R2);
    let direction = if back { "backwards" } else { "forwards" };
    let kind = if op == GOTO { "goto" } else { "gotol" };
    asm.checked(format!("long {kind} {distance} {direction}"), group(op))
}

/// Blocks visited in the order first, last, second, last but one: jumps of every distance in both directions.
fn zigzag(op: Op, blocks: usize) -> Case {
    let mut asm = Asm::default();
    let labels: Vec<_> = (0..=blocks).map(|_| asm.label()).collect();
    let place_of = |visit: usize| if visit.is_multiple_of(2) { visit / 2 } else { blocks - 1 - visit / 2 };
    let mut next = vec![blocks; blocks];
    for visit in 0..blocks - 1 {
        next[place_of(visit)] = place_of(visit + 1);
    }
    asm.op(Op::mov_imm(R1, 0));
    for block in 0..blocks {
        asm.place(labels[block]);
        asm.op(alui(W64, AluOp::Add, R1, block as i32));
        asm.to(op, labels[next[block]]);
    }
    asm.place(labels[blocks]);
    asm.expect(R1, (0..blocks as u64).sum(), R2);
    asm.checked(format!("long zigzag of {blocks} blocks"), group(op))
}

/// 200,000 slots without a jump.
fn straight(kind: usize) -> Case {
    let mut rng = Rng::new(0x200 + kind as u64);
    let mut asm = Asm::default();
    let (mut a, b) = (any(&mut rng), any(&mut rng));
    asm.ops(&[set(R0, a), set(R1, b), store(Size::DW, R10, -8, R1)]);
    while asm.len() < 199_980 {
        let op = rng.pick(&[AluOp::Add, AluOp::Sub, AluOp::Xor, AluOp::Mul, AluOp::Or, AluOp::And, AluOp::Add]);
        let width = if kind == 1 { W32 } else { W64 };
        match kind {
            2 => {
                let value = rng.u64();
                asm.ops(&[set(R1, value), alu(W64, op, R0, R1)]);
                a = eval::alu(W64, op, a, value);
            }
            3 => {
                asm.ops(&[store(Size::DW, R10, -8, R0), load(Size::DW, R2, R10, -8), alu(W64, op, R0, R2)]);
                asm.op(alui(W64, AluOp::Add, R0, 0x7654_321f));
                a = eval::alu(W64, AluOp::Add, eval::alu(W64, op, a, a), 0x7654_321f);
            }
            _ if rng.percent(50) => {
                asm.op(alu(width, op, R0, R1));
                a = eval::alu(width, op, a, b);
            }
            _ => {
                let imm = any_immediate(&mut rng);
                asm.op(alui(width, op, R0, imm));
                a = eval::alu(width, op, a, eval::immediate(imm));
            }
        }
    }
    asm.expect(R0, a, R3);
    asm.checked(format!("long straight {kind}"), group(alu(W64, AluOp::Add, R0, R0)))
}

/// 30,000 conditional jumps to one far place; the last but one is taken.
fn ladder() -> Case {
    let mut asm = Asm::default();
    let end = asm.label();
    asm.ops(&[set(R3, 29_998), Op::mov_imm(R1, 0)]);
    for step in 0..30_000 {
        asm.to(jump_if(W64, JmpOp::Eq, R3, Src::Imm(step)), end);
    }
    asm.op(Op::mov_imm(R1, 1));
    asm.place(end);
    asm.expect(R1, 0, R2);
    asm.checked("long ladder".to_owned(), group(jump_if(W64, JmpOp::Eq, R0, Src::Imm(0))))
}

/// A loop of 100,000 rounds around another width of counting.
fn loops() -> Case {
    let mut asm = Asm::default();
    asm.ops(&[Op::mov_imm(R1, 100_000), Op::mov_imm(R2, 0)]);
    let again = asm.here();
    asm.ops(&[alui(W64, AluOp::Add, R2, 7), alui(W32, AluOp::Sub, R1, 1)]);
    asm.to(jump_if(W32, JmpOp::Ne, R1, Src::Imm(0)), again);
    asm.expect(R2, 700_000, R3);
    asm.checked("long loop".to_owned(), group(GOTO))
}

/// 200,000 slots of random operations on operands from memory, with checks of all registers in between.
fn unknown_operands() -> Case {
    let mut rng = Rng::new(0x2e);
    let mut script = Script::new(Home::Memory, &mut rng);
    while script.len() < 199_000 {
        script.set_all(&mut rng);
        for _ in 0..20 {
            let [dst, src, ..] = shuffled(&mut rng);
            script.run(alu(rng.pick(&WIDTHS), rng.pick(AluOp::ALL), dst, src));
        }
        script.check_all();
    }
    script.case("long unknown operands".to_owned(), group(alu(W64, AluOp::SDiv, R0, R0)))
}

/// 60,000 slots of checks of random operations. With more the kernel takes very long, because it removes the code of
/// checks that hold piece by piece.
fn many_checks() -> Case {
    let mut rng = Rng::new(0x2c);
    let mut asm = Asm::default();
    while asm.len() < 60_000 {
        let [dst, src, temp, ..] = shuffled(&mut rng);
        let (op, a, b) = (rng.pick(AluOp::ALL), any(&mut rng), any(&mut rng));
        let width = rng.pick(&WIDTHS);
        asm.ops(&[set(dst, a), set(src, b), alu(width, op, dst, src)]);
        asm.expect(dst, eval::alu(width, op, a, b), temp);
    }
    asm.checked("long checks".to_owned(), group(alu(W64, AluOp::SDiv, R0, R0)))
}

/// 100,000 immediate loads of 64 bits, the last of which counts.
fn wide_immediates() -> Case {
    let mut rng = Rng::new(0x2d);
    let mut asm = Asm::default();
    (0..99_990).for_each(|_| asm.op(set(R3, rng.u64())));
    let value = rng.u64() | 1 << 63;
    asm.op(set(R3, value));
    asm.expect(R3, value, R4);
    asm.checked("long lddw".to_owned(), group(set(R0, 0)))
}
