//! Local functions, helper 5 and calls through registers.

use skep_isa::ebpf::{AluOp, Callee, Imm64, JmpOp, Op, Reg, Size, Src};

use super::asm::{
    Asm, CALL, GOTO, GOTO_LONG, Label, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, REGS, W32, W64, alu, alui, group,
    jump_if, load, set, store,
};
use super::values::BORDERS;
use super::{Case, Cases, KernelVerdict, eval};

const HELPER: Op = Op::Call(Callee::Helper(5));
const CLOCK: KernelVerdict = KernelVerdict::Differs("helper 5 is the clock there");
const NO_CALLX: KernelVerdict = KernelVerdict::Refuses("no call goes through a register there");
/// The registers that a call keeps.
const KEPT: [Reg; 4] = [R6, R7, R8, R9];

/// All of them.
pub(super) fn cases() -> Cases {
    let makers: [fn() -> Case; 9] =
        [arguments, kept, frames, result, backwards, loop_of_calls, helper, helper_keeps, distant];
    let depths = (1..8).map(depth);
    let recursion = [recursion()];
    let through = REGS.into_iter().flat_map(|reg| [callx_helper(reg), callx_local(reg)]);
    Box::new(makers.into_iter().map(|make| make()).chain(depths).chain(recursion).chain(through).chain([table()]))
}

/// A function: its instructions behind its label.
fn function(asm: &mut Asm, label: Label, ops: &[Op]) {
    asm.place(label);
    asm.ops(ops);
}

/// All five arguments arrive; the result leaves.
fn arguments() -> Case {
    let mut asm = Asm::default();
    let callee = asm.label();
    for (round, &value) in BORDERS.iter().enumerate() {
        let values: Vec<u64> = (0..5).map(|at| eval::alu(W64, AluOp::Mul, value, 3 + at + round as u64)).collect();
        [R1, R2, R3, R4, R5].iter().zip(&values).for_each(|(&reg, &value)| asm.op(set(reg, value)));
        asm.to(CALL, callee);
        let sum =
            |sum, (at, value): (u64, &u64)| eval::alu(W64, AluOp::Add, sum, eval::alu(W64, AluOp::Mul, *value, at));
        asm.expect(R0, (1..).zip(&values).fold(0, sum), R6);
    }
    asm.leave(0);
    function(&mut asm, callee, &[Op::mov(R0, R1)]);
    for (reg, factor) in [R2, R3, R4, R5].into_iter().zip(2..) {
        asm.ops(&[alui(W64, AluOp::Mul, reg, factor), alu(W64, AluOp::Add, R0, reg)]);
    }
    asm.op(Op::Exit);
    asm.case("call arguments".to_owned(), group(CALL), 0)
}

/// The callee overwrites registers 0 to 9; the caller finds 6 to 9 as they were.
fn kept() -> Case {
    let mut asm = Asm::default();
    let callee = asm.label();
    for chunk in BORDERS.chunks_exact(4) {
        KEPT.iter().zip(chunk).for_each(|(&reg, &value)| asm.op(set(reg, value)));
        asm.to(CALL, callee);
        asm.expect(R0, 77, R1);
        KEPT.iter().zip(chunk).for_each(|(&reg, &value)| asm.expect(reg, value, R1));
    }
    asm.leave(0);
    function(&mut asm, callee, &REGS.map(|reg| set(reg, 0x5555_aaaa_0000_ffff)));
    asm.leave(77);
    asm.case("call keeps registers".to_owned(), group(CALL), 0)
}

/// Each function has a frame of its own: the same offset is another place.
fn frames() -> Case {
    let mut asm = Asm::default();
    let (first, second) = (asm.label(), asm.label());
    asm.ops(&[set(R6, 0x1111_2222_3333_4444), store(Size::DW, R10, -8, R6), store(Size::DW, R10, -64, R6)]);
    asm.op(Op::mov(R1, R10));
    asm.op(alui(W64, AluOp::Add, R1, -64));
    asm.to(CALL, first);
    asm.expect(R0, 0x55, R1);
    // The first function wrote through the pointer, nothing else.
    asm.op(load(Size::DW, R3, R10, -64));
    asm.expect(R3, 0x66, R1);
    asm.op(load(Size::DW, R3, R10, -8));
    asm.expect(R3, 0x1111_2222_3333_4444, R1);
    asm.leave(0);
    let number = |imm| Op::Store { size: Size::DW, base: R10, off: -8, src: Src::Imm(imm) };
    function(&mut asm, first, &[number(0x55), Op::mov(R6, R1)]);
    asm.to(CALL, second);
    asm.ops(&[alui(W64, AluOp::Add, R0, 0x11), store(Size::DW, R6, 0, R0), load(Size::DW, R0, R10, -8), Op::Exit]);
    function(&mut asm, second, &[number(0x77), number(0x55), load(Size::DW, R0, R10, -8), Op::Exit]);
    asm.case("call frames".to_owned(), group(CALL), 0)
}

/// A result of 64 bits, with a call as the last thing but one.
fn result() -> Case {
    let mut asm = Asm::default();
    let callee = asm.label();
    asm.to(CALL, callee);
    asm.op(Op::Exit);
    function(&mut asm, callee, &[set(R0, 0xfedc_ba98_7654_3210), Op::Exit]);
    asm.case("call result".to_owned(), group(CALL), 0xfedc_ba98_7654_3210)
}

/// A function in front of its caller, and a branch inside of it.
fn backwards() -> Case {
    let mut asm = Asm::default();
    let (second, first) = (asm.label(), asm.label());
    asm.op(Op::mov_imm(R1, -5));
    asm.to(CALL, second);
    asm.expect(R0, 5, R1);
    asm.leave(0);
    // Magnitude.
    asm.place(first);
    asm.op(Op::mov(R0, R1));
    let end = asm.label();
    asm.to(jump_if(W64, JmpOp::SGe, R0, Src::Imm(0)), end);
    asm.op(Op::Neg { width: W64, dst: R0 });
    asm.place(end);
    asm.op(Op::Exit);
    asm.place(second);
    asm.to(CALL, first);
    asm.op(Op::Exit);
    asm.case("call backwards".to_owned(), group(CALL), 0)
}

/// 100 calls in a loop: what a call leaves behind does not add up.
fn loop_of_calls() -> Case {
    let mut asm = Asm::default();
    let callee = asm.label();
    asm.ops(&[Op::mov_imm(R6, 100), Op::mov_imm(R7, 0)]);
    let again = asm.here();
    asm.op(Op::mov(R1, R6));
    asm.to(CALL, callee);
    asm.ops(&[alu(W64, AluOp::Add, R7, R0), alui(W64, AluOp::Sub, R6, 1)]);
    asm.to(jump_if(W64, JmpOp::Ne, R6, Src::Imm(0)), again);
    asm.expect(R7, 2 * 5050, R1);
    asm.leave(0);
    function(&mut asm, callee, &[Op::mov(R0, R1), alui(W64, AluOp::Lsh, R0, 1), Op::Exit]);
    asm.case("call in a loop".to_owned(), group(CALL), 0)
}

/// The callee lies 60,000 slots away.
fn distant() -> Case {
    let mut asm = Asm::default();
    let callee = asm.label();
    asm.op(Op::mov_imm(R1, 3));
    asm.to(CALL, callee);
    let end = asm.label();
    // The slots in between are reachable, but not reached.
    asm.op(Op::JumpIf { width: W64, op: JmpOp::Eq, dst: R0, src: Src::Imm(1), off: 1 });
    asm.to(GOTO_LONG, end);
    (0..30_000).for_each(|_| asm.ops(&[alui(W64, AluOp::Add, R0, 1), alui(W32, AluOp::Xor, R0, 1)]));
    asm.place(end);
    asm.op(Op::Exit);
    function(&mut asm, callee, &[Op::mov(R0, R1), alui(W64, AluOp::Add, R0, 4), Op::Exit]);
    asm.case("call distant".to_owned(), group(CALL), 7)
}

/// A chain of `calls` functions, each with registers 6 to 9 and a stack slot of its own. Eight frames are the limit.
fn depth(calls: u64) -> Case {
    let mut asm = Asm::default();
    let labels: Vec<Label> = (0..calls).map(|_| asm.label()).collect();
    for level in 0..=calls {
        if level > 0 {
            asm.place(labels[level as usize - 1]);
        }
        let own = |reg: Reg| 0x0101_0101_0101_0101 * (level + 1) + u64::from(reg.number());
        KEPT.iter().for_each(|&reg| asm.op(set(reg, own(reg))));
        asm.op(store(Size::DW, R10, -8, R9));
        asm.op(Op::mov_imm(R0, 0));
        if level < calls {
            asm.to(CALL, labels[level as usize]);
        }
        // A failing check deep down returns its number through all callers.
        let end = asm.label();
        asm.to(jump_if(W64, JmpOp::Ne, R0, Src::Imm(0)), end);
        KEPT.iter().for_each(|&reg| asm.expect(reg, own(reg), R1));
        asm.op(load(Size::DW, R2, R10, -8));
        asm.expect(R2, own(R9), R1);
        asm.op(Op::mov_imm(R0, 0));
        asm.place(end);
        asm.op(Op::Exit);
    }
    asm.case(format!("call {calls} deep"), group(CALL), 0)
}

/// A function that calls itself six times.
fn recursion() -> Case {
    let mut asm = Asm::default();
    let callee = asm.label();
    asm.op(Op::mov_imm(R1, 6));
    asm.to(CALL, callee);
    asm.op(Op::Exit);
    asm.place(callee);
    let end = asm.label();
    asm.ops(&[Op::mov(R6, R1), Op::mov_imm(R0, 1)]);
    asm.to(jump_if(W64, JmpOp::Eq, R1, Src::Imm(1)), end);
    asm.op(alui(W64, AluOp::Sub, R1, 1));
    asm.to(CALL, callee);
    asm.op(alu(W64, AluOp::Mul, R0, R6));
    asm.place(end);
    asm.op(Op::Exit);
    asm.case("call itself".to_owned(), group(CALL), 720)
        .kernel(KernelVerdict::Refuses("no function calls itself there"))
}

/// The helper returns its first argument at full width.
fn helper() -> Case {
    let mut asm = Asm::default();
    for &value in &BORDERS {
        asm.op(set(R1, value));
        [R2, R3, R4, R5].iter().for_each(|&reg| asm.op(set(reg, !value)));
        asm.op(HELPER);
        asm.expect(R0, value, R1);
    }
    asm.checked("call helper".to_owned(), group(HELPER)).kernel(CLOCK)
}

/// Registers 6 to 9, the stack and the frame pointer outlive the helper, in the program and in a function.
fn helper_keeps() -> Case {
    let mut asm = Asm::default();
    let callee = asm.label();
    for round in 0..2 {
        let own = |reg: Reg| (0x0f1e_2d3c_4b5a_6978 * (round + 2)) ^ u64::from(reg.number());
        if round == 1 {
            asm.to(CALL, callee);
            asm.op(Op::Exit);
            asm.place(callee);
        }
        KEPT.iter().for_each(|&reg| asm.op(set(reg, own(reg))));
        asm.ops(&[store(Size::DW, R10, -16, R8), Op::mov_imm(R1, -3), HELPER]);
        asm.expect(R0, eval::immediate(-3), R1);
        KEPT.iter().for_each(|&reg| asm.expect(reg, own(reg), R1));
        asm.op(load(Size::DW, R3, R10, -16));
        asm.expect(R3, own(R8), R1);
    }
    asm.checked("call helper keeps registers".to_owned(), group(HELPER)).kernel(CLOCK)
}

/// A call to the helper whose number is in the register.
fn callx_helper(reg: Reg) -> Case {
    let mut asm = Asm::default();
    let callx = Op::Call(Callee::Reg(reg));
    asm.ops(&[set(R1, 0x1_0000_0007), Op::mov_imm(reg, 5), callx]);
    // Register 1 holds the number if it is the one.
    asm.expect(R0, if reg == R1 { 5 } else { 0x1_0000_0007 }, R2);
    asm.checked(format!("call helper by {reg}"), group(callx)).kernel(NO_CALLX)
}

/// A call to a local function through its address.
fn callx_local(reg: Reg) -> Case {
    let mut asm = Asm::default();
    let callee = asm.label();
    let callx = Op::Call(Callee::Reg(reg));
    KEPT.iter().zip(20..).for_each(|(&reg, value)| asm.op(Op::mov_imm(reg, value)));
    asm.op(Op::mov_imm(R2, 30));
    let address = |dst| Op::LoadImm { dst, value: Imm64::Func(0) };
    asm.to(address(reg), callee);
    asm.op(callx);
    asm.expect(R0, if reg == R2 { 1 } else { 31 }, R1);
    for (kept, value) in KEPT.into_iter().zip(20..).filter(|&(kept, _)| kept != reg) {
        asm.expect(kept, value, R1);
    }
    asm.leave(0);
    // An address cannot be known, so the function forgets its argument if that is one.
    function(&mut asm, callee, &[if reg == R2 { Op::mov_imm(R0, 0) } else { Op::mov(R0, R2) }]);
    asm.ops(&KEPT.map(|reg| Op::mov_imm(reg, -1)));
    asm.ops(&[alui(W64, AluOp::Add, R0, 1), Op::Exit]);
    asm.case(format!("call local by {reg}"), group(callx), 0).kernel(NO_CALLX)
}

/// Three functions chosen by their address in a loop. The jump at the start leads over nothing.
fn table() -> Case {
    let mut asm = Asm::default();
    let callx = Op::Call(Callee::Reg(R3));
    let (start, end) = (asm.label(), asm.label());
    let functions = [asm.label(), asm.label(), asm.label()];
    asm.to(GOTO, start);
    asm.place(start);
    for (label, off) in functions.into_iter().zip([-8, -16, -24]) {
        asm.to(Op::LoadImm { dst: R1, value: Imm64::Func(0) }, label);
        asm.op(store(Size::DW, R10, off, R1));
    }
    asm.ops(&[Op::mov_imm(R6, 3), Op::mov(R7, R10), Op::mov_imm(R1, 5)]);
    let again = asm.here();
    asm.ops(&[load(Size::DW, R3, R7, -8), callx, Op::mov(R1, R0)]);
    asm.ops(&[alui(W64, AluOp::Add, R7, -8), alui(W64, AluOp::Sub, R6, 1)]);
    asm.to(jump_if(W64, JmpOp::Ne, R6, Src::Imm(0)), again);
    asm.to(GOTO, end);
    asm.place(end);
    asm.op(Op::Exit);
    function(&mut asm, functions[0], &[Op::mov(R0, R1), alui(W64, AluOp::Add, R0, 1), Op::Exit]);
    function(&mut asm, functions[1], &[Op::mov(R0, R1), alui(W64, AluOp::Mul, R0, 10), Op::Exit]);
    function(&mut asm, functions[2], &[Op::mov(R0, R1), Op::Neg { width: W64, dst: R0 }, Op::Exit]);
    asm.case("call table of functions".to_owned(), group(callx), eval::immediate(-60)).kernel(NO_CALLX)
}
