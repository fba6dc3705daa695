//! Programs that call their own first function, which then has other arguments than at the start of a run.

use skep_isa::ProgType;
use skep_isa::ebpf::{AluOp, Callee, Imm64, JmpOp, Op, Reg, Size, Src, Width};
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{Engine, Helpers, Input, Setup};

const ENGINES: [Engine; 3] = [Engine::Interpreter, Engine::InterpreterByPage, Engine::Jit];
/// The engines for which addresses have 32 bits.
const CUTTING: [Engine; 2] = [Engine::InterpreterByPage, Engine::Jit];

/// Runs a program; register 1 is the address of seven bytes.
fn check(engines: &[Engine], ops: &[Op], expected: u64) {
    let mut insns = Vec::new();
    ops.iter().for_each(|op| op.emit(&mut insns));
    let vm = Setup::new().helpers(Helpers::kernel()).program("test", ProgType::SocketFilter, &insns).load();
    let vm = vm.unwrap_or_else(|error| panic!("{error}"));
    for &engine in engines {
        let mut worker = vm.worker().unwrap_or_else(|error| panic!("{error}"));
        worker.set_engine(engine);
        let mut context = [1, 2, 3, 4, 5, 6, 7];
        let result = worker.run(0, Input { context: &mut context, packet: &[], meta: &Metadata::default() });
        assert_eq!(result, Ok(expected), "{engine:?}");
    }
}

const fn set(dst: Reg, value: u64) -> Op {
    Op::LoadImm { dst, value: Imm64::Value(value) }
}

const fn exit_if_zero(reg: Reg, off: i16) -> Op {
    Op::JumpIf { width: Width::W64, op: JmpOp::Eq, dst: reg, src: Src::Imm(0), off }
}

#[test]
fn an_address_in_register_1_is_cut() {
    let far = Op::Alu { width: Width::W64, op: AluOp::Add, dst: Reg::R1, src: Src::Reg(Reg::R3) };
    check(
        &CUTTING,
        &[
            Op::Load { size: Size::B, signed: false, dst: Reg::R0, base: Reg::R1, off: 1 },
            exit_if_zero(Reg::R2, 5),
            set(Reg::R3, 1 << 40 | 2),
            far,
            Op::mov_imm(Reg::R2, 0),
            Op::Call(Callee::Local(-7)),
            Op::Exit,
        ],
        4,
    );
}

#[test]
fn arguments_are_those_of_the_call() {
    check(
        &ENGINES,
        &[
            Op::mov(Reg::R0, Reg::R3),
            exit_if_zero(Reg::R2, 4),
            Op::mov_imm(Reg::R2, 0),
            Op::mov_imm(Reg::R3, 9),
            Op::Call(Callee::Local(-5)),
            Op::Alu { width: Width::W64, op: AluOp::Add, dst: Reg::R0, src: Src::Imm(1) },
            Op::Exit,
        ],
        10,
    );
}

#[test]
fn registers_that_are_kept_come_from_the_caller() {
    check(
        &ENGINES,
        &[
            Op::mov(Reg::R0, Reg::R6),
            exit_if_zero(Reg::R2, 4),
            Op::mov_imm(Reg::R2, 0),
            Op::mov_imm(Reg::R6, 5),
            Op::Call(Callee::Local(-5)),
            Op::Alu { width: Width::W64, op: AluOp::Add, dst: Reg::R0, src: Src::Reg(Reg::R6) },
            Op::Exit,
        ],
        10,
    );
}
