//! Random 64-bit programs: computing ones against the pure semantics, arbitrary ones against everything that must
//! never happen.

use std::sync::Arc;

use skep_isa::ebpf::{
    AluOp, Callee, Imm64, Insn, InsnIdx, JmpOp, Op, Order, ROWS, Reg, Size, Src, Width, decode_program,
};
use skep_isa::{MapType, ProgType};

use super::{Bytes, idiom_program};
use crate::classic::Metadata;
use crate::ebpf::{
    CONTEXT_WINDOW, Clock, Engine, Fault, Helpers, Input, Map, Setup, Shape, Vm, Worker, map_handle, semantics,
};

const ENGINES: [Engine; 3] = [Engine::Interpreter, Engine::InterpreterByPage, Engine::Jit];

fn program(insns: &[Insn]) -> Vm {
    let setup = Setup::new().helpers(Helpers::kernel()).program("test", ProgType::SocketFilter, insns);
    setup.load().unwrap_or_else(|error| panic!("{error}"))
}

fn worker(vm: &Vm, engine: Engine, fuel: u64) -> Worker {
    let mut worker = vm.worker().unwrap_or_else(|error| panic!("{error}"));
    worker.set_engine(engine);
    worker.set_fuel(fuel);
    // Programs that ask for the time get the same on every engine.
    worker.set_clock(Clock::fixed(1_000_000));
    worker
}

/// Programs that only compute and jump forward: the interpreter against a walk with the pure functions.
pub fn arithmetic(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let insns = if bytes.one_in(2) { idiom_program(&mut bytes) } else { arithmetic_program(&mut bytes) };
    let vm = program(&insns);
    for engine in ENGINES {
        let input = Input { context: &mut [], packet: &[], meta: &Metadata::default() };
        assert_eq!(worker(&vm, engine, 10_000).run(0, input), Ok(walk(&insns)), "{engine:?} {insns:?}");
    }
}

/// The result of a program that only computes and jumps forward, from the pure semantics alone.
fn walk(insns: &[Insn]) -> u64 {
    let ops = decode_program(insns).unwrap_or_else(|error| panic!("{error}"));
    let mut registers = [0u64; 11];
    let mut next = InsnIdx(0);
    for (at, op) in ops {
        // All jumps go forward, so the walk passes every target.
        if at < next {
            continue;
        }
        match op {
            Op::LoadImm { dst, value: Imm64::Value(value) } => registers[dst.index()] = value,
            Op::JumpIf { width, op, dst, src, off } => {
                let operand = match src {
                    Src::Reg(reg) => registers[reg.index()],
                    Src::Imm(imm) => semantics::immediate(imm),
                };
                if semantics::jump(width, op, registers[dst.index()], operand) {
                    next = at.target(off.into()).unwrap_or(at);
                }
            }
            Op::Goto { off } => next = at.target(off.into()).unwrap_or(at),
            Op::GotoLong { off } => next = at.target(off).unwrap_or(at),
            Op::Exit => return registers[0],
            op => match semantics::compute(op, &registers) {
                Some((register, value)) => registers[register] = value,
                None => panic!("{op:?} does not only compute"),
            },
        }
    }
    panic!("the program has no end")
}

/// A program that sets all registers, computes, jumps forward and returns a mixture of all registers in both halves
/// of register 0, so that 32 bits of it show a difference. The kernel's verifier accepts it.
pub fn arithmetic_program(bytes: &mut Bytes<'_>) -> Vec<Insn> {
    computing_program(bytes, |bytes| {
        let length = bytes.below(60);
        // Every instruction of the body has one slot, so distances count instructions.
        (0..length).map(|at| body_op(bytes, length - at)).collect()
    })
}

/// A body between what sets the registers and what mixes them.
pub(super) fn computing_program(bytes: &mut Bytes<'_>, body: impl FnOnce(&mut Bytes<'_>) -> Vec<Op>) -> Vec<Insn> {
    let mut ops: Vec<Op> = (0..10)
        .filter_map(Reg::new)
        .map(|dst| {
            let value = u64::from(bytes.interesting_u32()) << 32 | u64::from(bytes.interesting_u32());
            Op::LoadImm { dst, value: Imm64::Value(value) }
        })
        .collect();
    ops.extend(body(bytes));
    for src in (1..10).filter_map(Reg::new) {
        ops.push(alu64(AluOp::Mul, Reg::R0, Src::Imm(0x0100_0193)));
        ops.push(alu64(AluOp::Xor, Reg::R0, Src::Reg(src)));
    }
    ops.push(Op::mov(Reg::R1, Reg::R0));
    ops.push(alu64(AluOp::Rsh, Reg::R1, Src::Imm(32)));
    ops.push(alu64(AluOp::Xor, Reg::R0, Src::Reg(Reg::R1)));
    ops.push(Op::Exit);
    let mut insns = Vec::new();
    ops.iter().for_each(|op| op.emit(&mut insns));
    insns
}

pub(super) const fn alu64(op: AluOp, dst: Reg, src: Src) -> Op {
    Op::Alu { width: Width::W64, op, dst, src }
}

/// An instruction that may jump over up to `furthest` - 1 others.
pub(super) fn body_op(bytes: &mut Bytes<'_>, furthest: usize) -> Op {
    let (dst, src) = (register(bytes), register(bytes));
    let width = bytes.pick(&[Width::W32, Width::W64]);
    let off = i16::try_from(bytes.below(furthest.min(8))).unwrap_or(0);
    match bytes.below(10) {
        0 => Op::MovSx { width, from: bytes.pick(&[Size::B, Size::H]), dst, src },
        1 => Op::MovSx { width: Width::W64, from: bytes.pick(&[Size::B, Size::H, Size::W]), dst, src },
        2 => Op::Neg { width, dst },
        3 => {
            let order = bytes.pick(&[Order::Little, Order::Big, Order::Swap]);
            Op::Swap { order, size: bytes.pick(&[Size::H, Size::W, Size::DW]), dst }
        }
        4 => Op::JumpIf { width, op: bytes.pick(JmpOp::ALL), dst, src: Src::Reg(src), off },
        5 => Op::JumpIf { width, op: bytes.pick(JmpOp::ALL), dst, src: Src::Imm(immediate(bytes)), off },
        6 => bytes.pick(&[Op::Goto { off: 0 }, Op::GotoLong { off: 0 }]),
        7 => Op::Alu { width, op: bytes.pick(AluOp::ALL), dst, src: Src::Reg(src) },
        _ => {
            let op = bytes.pick(AluOp::ALL);
            let imm = match op {
                AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => i32::from(bytes.u8()) % width.bits().cast_signed(),
                AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod if bytes.one_in(2) => bytes.pick(&[1, -1, 2]),
                // The verifier refuses a constant divisor of 0.
                AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => immediate(bytes) | 1,
                _ => immediate(bytes),
            };
            Op::Alu { width, op, dst, src: Src::Imm(imm) }
        }
    }
}

pub(super) fn register(bytes: &mut Bytes<'_>) -> Reg {
    Reg::new(bytes.u8() % 10).unwrap_or(Reg::R0)
}

pub(super) fn immediate(bytes: &mut Bytes<'_>) -> i32 {
    bytes.interesting_u32().cast_signed()
}

/// What a run leaves behind.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    result: Result<u64, Fault>,
    fuel_used: u64,
    context: [u8; 64],
    entries: Vec<Vec<(Vec<u8>, Vec<u8>)>>,
}

/// Arbitrary programs: whatever loads ends with a result or a fault within its fuel. Compiled code and the interpreter
/// with its checks agree in everything, faults and fuel included; where the precise interpreter finds no fault, it
/// agrees with both.
pub fn ebpf(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let insns = arbitrary_program(&mut bytes);
    let fuel = 2_000;
    let packet = bytes.take(256);
    let make = || {
        let setup = Setup::new().helpers(Helpers::kernel()).program("test", ProgType::SocketFilter, &insns);
        let setup = MAPS.iter().fold(setup, |setup, &(kind, shape)| {
            let map = Map::new(kind, shape).unwrap_or_else(|error| panic!("{error}"));
            setup.map("map", Arc::new(map))
        });
        setup.load()
    };
    if make().is_err() {
        return;
    }
    let outcomes: Vec<Outcome> = ENGINES
        .into_iter()
        .map(|engine| {
            // Maps keep what a run leaves in them, and checks by page let a wrong program write around its objects:
            // every run gets pages of its own.
            let Ok(vm) = make() else { panic!("loads only sometimes") };
            outcome(&vm, &mut worker(&vm, engine, fuel), packet)
        })
        .collect();
    assert_eq!(outcomes[1], outcomes[2], "the interpreter by page and compiled code differ\n{}", listing(&insns));
    match &outcomes[0].result {
        Ok(_) => assert_eq!(outcomes[0], outcomes[1], "precise and by page differ\n{}", listing(&insns)),
        Err(fault) => {
            assert!(fault.at.index() < insns.len(), "{fault}");
            assert!(!fault.to_string().is_empty());
        }
    }
}

/// The maps that arbitrary programs have.
const MAPS: [(MapType, Shape); 3] = [
    (MapType::Hash, Shape { key_size: 4, value_size: 12, max_entries: 2, flags: 0 }),
    (MapType::Array, Shape { key_size: 4, value_size: 12, max_entries: 3, flags: 0 }),
    (MapType::LpmTrie, Shape { key_size: 8, value_size: 4, max_entries: 3, flags: 1 }),
];

fn listing(insns: &[Insn]) -> String {
    skep_isa::ebpf::disassemble(insns).unwrap_or_else(|error| error.to_string())
}

fn maps(vm: &Vm) -> impl Iterator<Item = Arc<Map>> + '_ {
    (0..MAPS.len()).filter_map(|index| vm.map(index))
}

/// Runs once.
fn outcome(vm: &Vm, worker: &mut Worker, packet: &[u8]) -> Outcome {
    let mut context = [7; 64];
    let result = worker.run(0, Input { context: &mut context, packet, meta: &Metadata::default() });
    let entries = maps(vm).map(|map| {
        let mut entries: Vec<_> = map.user().entries().collect();
        entries.sort_unstable();
        entries
    });
    Outcome { result, fuel_used: worker.fuel_used(), context, entries: entries.collect() }
}

/// Instructions of all rows of the table with operands that are likely to reach something, among them the sequences
/// that compilers write and code generators shorten.
pub fn arbitrary_program(bytes: &mut Bytes<'_>) -> Vec<Insn> {
    let mut insns = Vec::new();
    Op::mov(Reg::R6, Reg::R1).emit(&mut insns);
    Op::mov(Reg::R7, Reg::R10).emit(&mut insns);
    for _ in 0..bytes.below(48) {
        match bytes.below(4) {
            0 => any_row(bytes, &mut insns),
            1 => pointer(bytes).emit(&mut insns),
            _ => snippet(bytes, &mut insns),
        }
    }
    Op::Exit.emit(&mut insns);
    insns
}

/// An instruction that gives a register something to point with, or calls.
fn pointer(bytes: &mut Bytes<'_>) -> Op {
    let pointers = [CONTEXT_WINDOW + 4096 - 64, map_handle(0), map_handle(1), map_handle(2), map_handle(3)];
    let dst = register(bytes);
    match bytes.below(6) {
        0 => Op::LoadImm { dst, value: Imm64::Value(bytes.pick(&pointers)) },
        1 => Op::LoadImm { dst, value: Imm64::MapFd(bytes.below(4) as i32) },
        2 => {
            Op::LoadImm { dst, value: Imm64::MapFdValue { fd: bytes.below(3) as i32, offset: bytes.below(48) as u32 } }
        }
        3 => Op::Call(Callee::Helper(bytes.pick(&[1, 2, 3, 7, 8, 26]))),
        4 => Op::mov(dst, Reg::R10),
        _ => Op::mov(dst, Reg::R6),
    }
}

/// A row of the table.
fn any_row(bytes: &mut Bytes<'_>, insns: &mut Vec<Insn>) {
    let template = ROWS[bytes.below(ROWS.len())].op.encode();
    let imm = if template.first.code & 7 == 5 { i32::from(bytes.u8() % 8) } else { immediate(bytes) };
    let off = i16::from(bytes.u8().cast_signed() % 24);
    let operands = Insn { dst: bytes.u8() % 11, src: bytes.u8() % 11, off, imm, code: template.first.code };
    // Most rows do not use all fields; those keep what the row demands.
    let first = [operands, Insn { imm: template.first.imm, ..operands }]
        .into_iter()
        .flat_map(|insn| [insn, Insn { src: template.first.src, ..insn }])
        .flat_map(|insn| [insn, Insn { off: template.first.off, ..insn }])
        .find(|insn| insn.decode(template.second).is_ok())
        .unwrap_or(template.first);
    insns.push(first);
    insns.extend(template.second);
}

/// A sequence of instructions that belong together.
fn snippet(bytes: &mut Bytes<'_>, insns: &mut Vec<Insn>) {
    let (dst, src, third) = (register(bytes), register(bytes), register(bytes));
    let width = bytes.pick(&[Width::W32, Width::W64]);
    let size = bytes.pick(Size::ALL);
    let base = bytes.pick(&[Reg::R10, Reg::R7, Reg::R6, src]);
    let off = i16::from(bytes.u8() % 8) * 8 - 32;
    let (alu, imm) = (bytes.pick(AluOp::ALL), immediate(bytes));
    let operand = bytes.pick(&[Src::Reg(third), Src::Imm(imm)]);
    let bits = width.bits().cast_signed();
    let count = 1 + bytes.below(bits as usize - 1) as i32;
    let op = |op, dst, src| Op::Alu { width, op, dst, src };
    let load = Op::Load { size, signed: bytes.one_in(4) && size != Size::DW, dst, base, off };
    let jump = Op::JumpIf { width, op: bytes.pick(JmpOp::ALL), dst, src: operand, off: bytes.below(4) as i16 };
    let ops: &[Op] = match bytes.below(12) {
        // Three operands in two.
        0 => &[op(AluOp::Mov, dst, Src::Reg(src)), op(alu, dst, operand)],
        // An operand in memory, read and changed.
        1 => &[load, op(alu, third, Src::Reg(dst))],
        2 => &[load, op(alu, dst, operand), Op::Store { size, base, off, src: Src::Reg(dst) }, Op::mov_imm(dst, imm)],
        // Up and down again.
        3 => &[op(AluOp::Lsh, dst, Src::Imm(count)), op(bytes.pick(&[AluOp::Rsh, AluOp::Arsh]), dst, Src::Imm(count))],
        // Rotations, and what looks like one.
        4 => &[
            op(AluOp::Mov, dst, Src::Reg(src)),
            op(AluOp::Lsh, dst, Src::Imm(count)),
            op(AluOp::Rsh, src, Src::Imm((bits - count + i32::from(bytes.one_in(8))).min(bits - 1))),
            op(AluOp::Or, dst, Src::Reg(src)),
            Op::mov_imm(if bytes.one_in(2) { src } else { third }, imm),
        ],
        5 => &[
            op(AluOp::Mov, dst, Src::Reg(src)),
            op(AluOp::Rsh, dst, Src::Imm(count)),
            op(AluOp::Mov, third, Src::Reg(src)),
            op(AluOp::Lsh, third, Src::Imm(bits - count)),
            op(AluOp::Or, third, Src::Reg(dst)),
            Op::mov_imm(dst, imm),
        ],
        6 => &[Op::Store { size, base, off, src: operand }, load],
        7 => &[jump, op(alu, dst, operand)],
        // A loop that ends.
        8 => &[
            Op::mov_imm(dst, count),
            op(AluOp::Sub, dst, Src::Imm(1)),
            Op::JumpIf { width, op: JmpOp::Ne, dst, src: Src::Imm(0), off: -2 },
        ],
        // A look-up with its check.
        9 => &[
            Op::Store { size: Size::W, base: Reg::R10, off: -4, src: Src::Imm(count % 4) },
            Op::mov(Reg::R2, Reg::R10),
            Op::Alu { width: Width::W64, op: AluOp::Add, dst: Reg::R2, src: Src::Imm(-4) },
            Op::LoadImm { dst: Reg::R1, value: Imm64::MapFd(1) },
            Op::Call(Callee::Helper(1)),
            Op::JumpIf { width: Width::W64, op: JmpOp::Eq, dst: Reg::R0, src: Src::Imm(0), off: 1 },
            Op::Store { size: Size::W, base: Reg::R0, off: off / 4, src: Src::Imm(imm) },
        ],
        // Global data with an index.
        10 => &[
            Op::LoadImm { dst, value: Imm64::MapFdValue { fd: 1, offset: 0 } },
            Op::Alu { width: Width::W64, op: AluOp::Add, dst, src: Src::Reg(src) },
            Op::Load { size, signed: false, dst: third, base: dst, off: off / 4 },
        ],
        _ => &[Op::Atomic { width, op: bytes.pick(skep_isa::ebpf::AtomicOp::ALL), fetch: true, base, off, src: dst }],
    };
    ops.iter().for_each(|op| op.emit(insns));
}
