//! The 64-bit machine: memory, calls, helpers, faults and packet loads, each with its edges, on every engine.

use std::sync::Arc;

use skep_isa::ebpf::{AluOp, AtomicOp, Callee, Imm64, Insn, InsnIdx, JmpOp, Op, Reg, Size, Src, Width};
use skep_isa::{MapType, ProgType};
use skep_object::{MapFlags, MapSpec, Object, ProgIdx, Program, Reference};
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{
    Access, CONTEXT_WINDOW, Engine, Fault, FaultKind, Helpers, Input, LoadError, Map, Problem, Region, Setup,
    SetupError, Shape, Vm,
};

const ENGINES: [Engine; 3] = [Engine::Interpreter, Engine::InterpreterByPage, Engine::Jit];

const R0: Reg = Reg::R0;
const R1: Reg = Reg::R1;
const R2: Reg = Reg::R2;
const R3: Reg = Reg::R3;
const R6: Reg = Reg::R6;
const R10: Reg = Reg::R10;

fn assemble(ops: &[Op]) -> Vec<Insn> {
    let mut insns = Vec::new();
    ops.iter().for_each(|op| op.emit(&mut insns));
    insns
}

const fn alu(op: AluOp, dst: Reg, src: Src) -> Op {
    Op::Alu { width: Width::W64, op, dst, src }
}

const fn load(size: Size, dst: Reg, base: Reg, off: i16) -> Op {
    Op::Load { size, signed: false, dst, base, off }
}

const fn store(size: Size, base: Reg, off: i16, imm: i32) -> Op {
    Op::Store { size, base, off, src: Src::Imm(imm) }
}

const fn store_reg(size: Size, base: Reg, off: i16, src: Reg) -> Op {
    Op::Store { size, base, off, src: Src::Reg(src) }
}

const fn set(dst: Reg, value: u64) -> Op {
    Op::LoadImm { dst, value: Imm64::Value(value) }
}

const fn helper(id: i32) -> Op {
    Op::Call(Callee::Helper(id))
}

fn new_map(kind: MapType, value_size: u32, flags: u32) -> Arc<Map> {
    Arc::new(Map::new(kind, Shape { key_size: 4, value_size, max_entries: 2, flags }).unwrap())
}

fn hash_map() -> Arc<Map> {
    new_map(MapType::Hash, 8, 0)
}

fn array_map() -> Arc<Map> {
    new_map(MapType::Array, 12, 0)
}

fn setup(ops: &[Op], maps: &[Arc<Map>]) -> Setup {
    let setup = Setup::new().helpers(Helpers::kernel()).program("test", ProgType::SocketFilter, &assemble(ops));
    maps.iter().fold(setup, |setup, map| setup.map("map", Arc::clone(map)))
}

fn vm(ops: &[Op], maps: &[Arc<Map>]) -> Vm {
    setup(ops, maps).load().unwrap_or_else(|error| panic!("{error}"))
}

fn run_vm(vm: &Vm, engine: Engine, context: &mut [u8], meta: &Metadata) -> Result<u64, Fault> {
    let mut worker = vm.worker().unwrap();
    worker.set_engine(engine);
    let packet = [0x11, 0x22, 0x33, 0x44];
    worker.run(0, Input { context, packet: &packet, meta })
}

/// Runs on all engines, which must agree; maps are made anew for each.
#[track_caller]
fn run_on(ops: &[Op], context: &[u8], maps: &dyn Fn() -> Vec<Arc<Map>>) -> Result<u64, Fault> {
    let results = ENGINES.map(|engine| {
        let mut context = context.to_vec();
        run_vm(&vm(ops, &maps()), engine, &mut context, &Metadata::default())
    });
    assert_eq!(results[1], results[2], "the interpreter by page and compiled code");
    if results[0].is_ok() {
        assert_eq!(results[0], results[1], "precise and by page");
    }
    results[0]
}

fn no_maps() -> Vec<Arc<Map>> {
    Vec::new()
}

#[track_caller]
fn result(ops: &[Op]) -> u64 {
    run_on(ops, &[], &no_maps).unwrap_or_else(|fault| panic!("{fault}"))
}

/// The fault of the precise interpreter.
#[track_caller]
fn fault(ops: &[Op]) -> (u32, FaultKind) {
    let Fault { at: InsnIdx(at), kind, .. } = run_on(ops, &[0; 8], &|| vec![hash_map()]).unwrap_err();
    (at, kind)
}

fn out_of_bounds(address: u64, size: u32, access: Access, region: Region) -> FaultKind {
    FaultKind::OutOfBounds { address, size, access, region }
}

/// Where a context of this length ends: at the end of a page.
fn context_end() -> u64 {
    CONTEXT_WINDOW + 4096
}

#[test]
fn registers_on_entry() {
    let context = [0xab; 24];
    assert_eq!(run_on(&[Op::Exit], &context, &no_maps), Ok(0));
    assert_eq!(run_on(&[Op::mov(R0, R2), Op::Exit], &context, &no_maps), Ok(24));
    assert_eq!(run_on(&[load(Size::H, R0, R1, 22), Op::Exit], &context, &no_maps), Ok(0xabab));
    // Everything else starts at zero, whatever ran before.
    for reg in (3..10).filter_map(Reg::new) {
        assert_eq!(run_on(&[Op::mov(R0, reg), Op::Exit], &context, &no_maps), Ok(0));
    }
}

#[test]
fn stack_accesses_of_all_sizes() {
    for (size, expected) in [(Size::B, 0xfe), (Size::H, 0xfffe), (Size::W, 0xffff_fffe), (Size::DW, u64::MAX - 1)] {
        let off = -512;
        assert_eq!(result(&[store(size, R10, off, -2), load(Size::DW, R0, R10, off), Op::Exit]), expected);
        // There is no signed load of 8 bytes.
        if size != Size::DW {
            let signed = Op::Load { size, signed: true, dst: R0, base: R10, off };
            assert_eq!(result(&[store(size, R10, off, -2), signed, Op::Exit]), u64::MAX - 1);
        }
    }
    let released = [
        Op::mov_imm(R1, 7),
        Op::StoreRelease { size: Size::W, base: R10, off: -4, src: R1 },
        Op::LoadAcquire { size: Size::W, dst: R0, base: R10, off: -4 },
        Op::Exit,
    ];
    assert_eq!(result(&released), 7);
    // The stack starts as zeros in every run.
    let vm = vm(&[load(Size::DW, R0, R10, -8), store(Size::DW, R10, -8, 5), Op::Exit], &[]);
    for engine in ENGINES {
        let mut worker = vm.worker().unwrap();
        worker.set_engine(engine);
        for _ in 0..2 {
            let input = Input { context: &mut [], packet: &[], meta: &Metadata::default() };
            assert_eq!(worker.run(0, input), Ok(0));
        }
    }
}

#[test]
fn faults_name_instruction_address_and_region() {
    let ends = |op| [Op::mov_imm(R0, 0), op, Op::Exit];
    assert_eq!(fault(&ends(load(Size::W, R0, R3, 4))), (1, out_of_bounds(4, 4, Access::Read, Region::Null)));
    let context = |off: u64, size| out_of_bounds(context_end() - 8 + off, size, Access::Read, Region::Context);
    assert_eq!(fault(&ends(load(Size::W, R0, R1, 5))), (1, context(5, 4)));
    assert_eq!(fault(&ends(load(Size::B, R0, R1, 8))), (1, context(8, 1)));
    // Compiled code finds them too: the context ends with its page.
    let mut bytes = [0; 8];
    let compiled = run_vm(&vm(&ends(load(Size::W, R0, R1, 5)), &[]), Engine::Jit, &mut bytes, &Metadata::default());
    assert_eq!(compiled.unwrap_err().kind, context(5, 4));
    let (at, kind) = fault(&ends(store(Size::B, R10, 0, 1)));
    assert!(matches!(kind, FaultKind::OutOfBounds { access: Access::Write, region: Region::Stack, .. }) && at == 1);
    for off in [-513, -4, 0, 1000] {
        let (_, kind) = fault(&ends(load(Size::DW, R0, R10, off)));
        assert!(matches!(kind, FaultKind::OutOfBounds { region: Region::Stack, .. }), "{off}: {kind}");
    }
    let handle = [Op::LoadImm { dst: R3, value: Imm64::MapFd(0) }, load(Size::B, R0, R3, 0), Op::Exit];
    assert!(matches!(fault(&handle).1, FaultKind::OutOfBounds { region: Region::MapHandle, .. }));
    let nowhere = [set(R3, u64::MAX), load(Size::DW, R0, R3, 0), Op::Exit];
    assert_eq!(fault(&nowhere), (2, out_of_bounds(u64::MAX, 8, Access::Read, Region::Unmapped)));
    let values = |offset| Op::LoadImm { dst: R3, value: Imm64::MapFdValue { fd: 0, offset } };
    let (at, kind) = fault(&[values(1 << 20), load(Size::B, R0, R3, 0), Op::Exit]);
    assert!(matches!(kind, FaultKind::OutOfBounds { region: Region::Unmapped, .. }) && at == 2);
    // Two values of 8 bytes: an access may not reach from one into the other.
    let (_, kind) = fault(&[values(4), load(Size::DW, R0, R3, 0), Op::Exit]);
    assert!(matches!(kind, FaultKind::OutOfBounds { region: Region::MapValues(0), .. }));
    assert_eq!(run_on(&[values(8), load(Size::DW, R0, R3, 0), Op::Exit], &[], &|| vec![hash_map()]), Ok(0));
    let text = run_on(&ends(load(Size::W, R0, R3, 4)), &[], &no_maps).unwrap_err().to_string();
    assert!(text.starts_with("instruction 1 reads 4 bytes from address 0x4"), "{text}");
}

#[test]
fn atomics_change_memory_and_return_the_old_value() {
    let case = |width: Width, op: AtomicOp, fetch: bool, old: u64, operand: u64, r0: u64| {
        let atomic = Op::Atomic { width, op, fetch, base: R10, off: -8, src: R1 };
        let before = [
            set(R1, old),
            Op::Store { size: Size::DW, base: R10, off: -8, src: Src::Reg(R1) },
            set(R1, operand),
            set(R0, r0),
            atomic,
        ];
        let read = |tail: Op| result(&[&before[..], &[tail, Op::Exit]].concat());
        (read(load(Size::DW, R0, R10, -8)), read(Op::mov(R0, R1)), read(Op::mov(R0, R0)))
    };
    use AtomicOp::{Add, And, CmpXchg, Or, Xchg, Xor};
    let high = 1 << 40;
    assert_eq!(case(Width::W64, Add, false, 5, 3, 9), (8, 3, 9));
    assert_eq!(case(Width::W64, Add, true, 5, 3, 9), (8, 5, 9));
    // The 32-bit forms leave the other half of memory alone and return 32 bits.
    assert_eq!(case(Width::W32, Add, true, high | 0xffff_ffff, high | 3, 9), (high | 2, 0xffff_ffff, 9));
    assert_eq!(case(Width::W64, Or, true, 5, 3, 9), (7, 5, 9));
    assert_eq!(case(Width::W64, And, true, 5, 3, 9), (1, 5, 9));
    assert_eq!(case(Width::W64, Xor, true, 5, 3, 9), (6, 5, 9));
    assert_eq!(case(Width::W64, Xchg, true, 5, 3, 9), (3, 5, 9));
    assert_eq!(case(Width::W32, Xchg, true, high | 5, 3, 9), (high | 3, 5, 9));
    assert_eq!(case(Width::W64, CmpXchg, true, 5, 3, 9), (5, 3, 5));
    assert_eq!(case(Width::W64, CmpXchg, true, 9, 3, 9), (3, 3, 9));
    assert_eq!(case(Width::W32, CmpXchg, true, high | 9, 3, high << 1 | 9), (high | 3, 3, 9));
    let nowhere = Op::Atomic { width: Width::W32, op: Add, fetch: false, base: R3, off: 0, src: R1 };
    assert_eq!(fault(&[nowhere, Op::Exit]), (0, out_of_bounds(0, 4, Access::Write, Region::Null)));
}

/// Runs with a limit on all engines, which must agree.
#[track_caller]
fn with_fuel(ops: &[Op], fuel: u64) -> (Result<u64, Fault>, u64) {
    let vm = setup(ops, &[]).fuel(fuel).load().unwrap();
    let outcomes = ENGINES.map(|engine| {
        let mut worker = vm.worker().unwrap();
        worker.set_engine(engine);
        let result = worker.run(0, Input { context: &mut [], packet: &[], meta: &Metadata::default() });
        (result, worker.fuel_used())
    });
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[1], outcomes[2]);
    outcomes[0]
}

#[test]
fn loops_cost_fuel() {
    let (stopped, used) = with_fuel(&[Op::Goto { off: -1 }], 1000);
    assert_eq!(stopped, Err(Fault { program: 0, at: InsnIdx(0), kind: FaultKind::OutOfFuel, fuel: 0 }));
    assert_eq!(used, 1000);
    // A jump backwards pays for the instructions that it spans, forwards nothing.
    let countdown = |rounds| {
        [
            Op::mov_imm(R0, rounds),
            alu(AluOp::Sub, R0, Src::Imm(1)),
            Op::JumpIf { width: Width::W64, op: JmpOp::Ne, dst: R0, src: Src::Imm(0), off: -2 },
            Op::Exit,
        ]
    };
    assert_eq!(with_fuel(&countdown(5), 8), (Ok(0), 8));
    let (stopped, _) = with_fuel(&countdown(5), 7);
    assert!(matches!(stopped, Err(Fault { at: InsnIdx(2), kind: FaultKind::OutOfFuel, .. })));
    // `may_goto` leaves the loop after 8 Mi rounds.
    let rounds = [Op::MayGoto { off: 2 }, alu(AluOp::Add, R0, Src::Imm(1)), Op::Goto { off: -3 }, Op::Exit];
    assert_eq!(with_fuel(&rounds, 1 << 26).0, Ok(8 << 20));
}

#[test]
fn functions_have_their_own_frames_and_keep_the_callers_registers() {
    let local = |distance| Op::Call(Callee::Local(distance));
    let program = [
        Op::mov_imm(R6, 6),
        store(Size::DW, R10, -8, 40),
        Op::mov(R1, R10),
        local(4),
        alu(AluOp::Add, R0, Src::Reg(R6)),
        load(Size::DW, R1, R10, -16),
        alu(AluOp::Add, R0, Src::Reg(R1)),
        Op::Exit,
        // The function: adds what the pointer to the caller's frame finds, and marks that frame and its own.
        load(Size::DW, R0, R1, -8),
        store(Size::DW, R1, -16, 100),
        store(Size::DW, R10, -16, 7),
        Op::mov_imm(R6, 1),
        Op::Exit,
    ];
    assert_eq!(result(&program), 40 + 6 + 100);
    // Frames of functions that ended are gone.
    let leak = [local(2), load(Size::B, R0, R0, -1), Op::Exit, Op::mov(R0, R10), Op::Exit];
    assert!(matches!(fault(&leak), (1, FaultKind::OutOfBounds { region: Region::Stack, .. })));
    // The eighth frame is the last.
    let recursion = |most: i32| {
        [
            Op::mov_imm(R1, 1),
            local(1),
            Op::Exit,
            alu(AluOp::Add, R1, Src::Imm(1)),
            Op::mov(R0, R1),
            Op::JumpIf { width: Width::W64, op: JmpOp::Ge, dst: R1, src: Src::Imm(most), off: 1 },
            local(-4),
            Op::Exit,
        ]
    };
    assert_eq!(result(&recursion(8)), 8);
    assert_eq!(fault(&recursion(9)), (6, FaultKind::TooManyFrames));
}

#[test]
fn indirect_calls() {
    let through = |value: Imm64| {
        [Op::LoadImm { dst: R3, value }, Op::Call(Callee::Reg(R3)), Op::Exit, Op::mov_imm(R0, 77), Op::Exit]
    };
    // Slots: the load has two, so the function starts at slot 4.
    assert_eq!(result(&through(Imm64::Func(3))), 77);
    let meta = Metadata { cpu: 5, ..Metadata::default() };
    for engine in ENGINES {
        assert_eq!(run_vm(&vm(&through(Imm64::Value(8)), &[]), engine, &mut [], &meta), Ok(5));
    }
    assert_eq!(fault(&through(Imm64::Value(900))), (2, FaultKind::BadCallTarget(900)));
    // The address of an instruction that no function starts with.
    assert_eq!(fault(&through(Imm64::Value(0x20_0001))), (2, FaultKind::BadCallTarget(0x20_0001)));
}

#[test]
fn packet_loads() {
    let program = |op: Op| [Op::mov(R6, R1), Op::mov_imm(R2, 1), op, Op::Exit];
    let at = |size, k| result(&program(Op::LdAbs { size, k }));
    assert_eq!((at(Size::W, 0), at(Size::H, 1), at(Size::B, 3)), (0x1122_3344, 0x2233, 0x44));
    assert_eq!(result(&program(Op::LdInd { size: Size::H, src: R2, k: 1 })), 0x3344);
    // Outside of the packet the program ends with 0, whatever comes after.
    let outside = [Op::mov(R6, R1), Op::LdAbs { size: Size::W, k: 1 }, Op::mov_imm(R0, 9), Op::Exit];
    assert_eq!(result(&outside), 0);
    assert_eq!(fault(&[Op::LdAbs { size: Size::W, k: 0 }, Op::Exit]), (0, FaultKind::NotTheContext(0)));
    // In a function it ends that function.
    let nested = [
        Op::mov(R6, R1),
        Op::Call(Callee::Local(2)),
        alu(AluOp::Add, R0, Src::Imm(5)),
        Op::Exit,
        Op::LdAbs { size: Size::B, k: 4 },
        Op::mov_imm(R0, 9),
        Op::Exit,
    ];
    assert_eq!(result(&nested), 5);
}

/// Puts the 4-byte key `key` on the stack and points r2 to it, r1 to map 0.
fn key_and_map(key: i32) -> [Op; 4] {
    [
        store(Size::W, R10, -4, key),
        Op::mov(R2, R10),
        alu(AluOp::Add, R2, Src::Imm(-4)),
        Op::LoadImm { dst: R1, value: Imm64::MapFd(0) },
    ]
}

#[test]
fn map_helpers() {
    let lookup = |key: i32, map: &dyn Fn() -> Arc<Map>| {
        let ops = [
            &key_and_map(key)[..],
            &[
                helper(1),
                Op::JumpIf { width: Width::W64, op: JmpOp::Eq, dst: R0, src: Src::Imm(0), off: 3 },
                store(Size::W, R0, 4, 9),
                load(Size::DW, R0, R0, 0),
                Op::Exit,
                Op::mov_imm(R0, -1),
                Op::Exit,
            ],
        ]
        .concat();
        run_on(&ops, &[], &|| vec![map()])
    };
    let key = 5i32.to_ne_bytes();
    let filled = || {
        let hash = hash_map();
        hash.update(&key, &3u64.to_ne_bytes(), 0, 0).unwrap();
        hash
    };
    assert_eq!(lookup(5, &filled), Ok(9 << 32 | 3));
    assert_eq!(lookup(6, &filled), Ok(u64::MAX));
    assert_eq!(lookup(1, &array_map), Ok(9 << 32));
    assert_eq!(lookup(2, &array_map), Ok(u64::MAX));
    // What a program writes through the pointer is in the map.
    for engine in ENGINES {
        let map = filled();
        let ops = [&key_and_map(5)[..], &[helper(1), store(Size::W, R0, 4, 9), Op::Exit]].concat();
        run_vm(&vm(&ops, &[Arc::clone(&map)]), engine, &mut [], &Metadata::default()).unwrap();
        let entries: Vec<_> = map.user().entries().collect();
        assert_eq!(entries, [(key.to_vec(), (9u64 << 32 | 3).to_ne_bytes().to_vec())]);
    }

    // Updates and deletions return the kernel's error numbers.
    let update = |flags: i32| {
        [
            store(Size::DW, R10, -16, 1),
            Op::mov(R3, R10),
            alu(AluOp::Add, R3, Src::Imm(-16)),
            Op::mov_imm(Reg::R4, flags),
            helper(2),
            Op::Exit,
        ]
    };
    let code = |ops: &[Op]| run_on(ops, &[], &|| vec![hash_map()]).map(u64::cast_signed);
    assert_eq!(code(&[&key_and_map(1)[..], &update(0)].concat()), Ok(0));
    assert_eq!(code(&[&key_and_map(1)[..], &update(2)].concat()), Ok(-2));
    assert_eq!(code(&[&key_and_map(1)[..], &update(9)].concat()), Ok(-22));
    assert_eq!(code(&[&key_and_map(1)[..], &[helper(3), Op::Exit]].concat()), Ok(-2));
    // What is not a map, and a key that cannot be read.
    assert_eq!(fault(&[Op::mov(R2, R10), helper(1), Op::Exit]), (1, FaultKind::NotAMap(context_end() - 8)));
    let bad_key = [Op::LoadImm { dst: R1, value: Imm64::MapFd(0) }, Op::mov_imm(R2, 64), helper(1), Op::Exit];
    assert_eq!(fault(&bad_key), (3, out_of_bounds(64, 4, Access::Read, Region::Null)));
}

#[test]
fn maps_that_programs_may_only_read() {
    let flags = MapFlags::READ_ONLY_FOR_PROGRAMS.0;
    let map = || {
        vec![Arc::new(Map::new(MapType::Array, Shape { key_size: 4, value_size: 8, max_entries: 1, flags }).unwrap())]
    };
    let value = Op::LoadImm { dst: R1, value: Imm64::MapFdValue { fd: 0, offset: 4 } };
    let read = run_on(&[value, load(Size::W, R0, R1, 0), Op::Exit], &[], &map);
    assert_eq!(read, Ok(0));
    let written = run_on(&[value, store(Size::W, R1, 0, 1), Op::Exit], &[], &map);
    assert!(matches!(written.unwrap_err().kind, FaultKind::OutOfBounds { access: Access::Write, .. }));
    // A read-modify-write, which is one instruction in compiled code, faults where it writes.
    let both =
        [value, load(Size::W, R2, R1, 0), alu(AluOp::Add, R2, Src::Imm(1)), store_reg(Size::W, R1, 0, R2), Op::Exit];
    assert_eq!(run_on(&both, &[], &map).unwrap_err().at, InsnIdx(4));
    let jit = run_vm(&vm(&both, &map()), Engine::Jit, &mut [], &Metadata::default()).unwrap_err();
    assert!(jit.at == InsnIdx(4) && matches!(jit.kind, FaultKind::OutOfBounds { access: Access::Write, .. }), "{jit}");
    let update = [
        &key_and_map(0)[..],
        &[
            Op::mov(R3, R1),
            Op::mov_imm(Reg::R4, 0),
            Op::mov(R3, R10),
            alu(AluOp::Add, R3, Src::Imm(-16)),
            helper(2),
            Op::Exit,
        ],
    ]
    .concat();
    assert_eq!(run_on(&update, &[], &map).map(u64::cast_signed), Ok(-1));
}

#[test]
fn packet_bytes_by_helper() {
    let copy = |offset: i32, size: i32| {
        [
            store(Size::DW, R10, -8, -1),
            Op::mov_imm(R2, offset),
            Op::mov(R3, R10),
            alu(AluOp::Add, R3, Src::Imm(-8)),
            Op::mov_imm(Reg::R4, size),
            helper(26),
            load(Size::W, R1, R10, -8),
            alu(AluOp::Lsh, R0, Src::Imm(32)),
            alu(AluOp::Or, R0, Src::Reg(R1)),
            Op::Exit,
        ]
    };
    let copied = |offset, size| {
        let value = result(&copy(offset, size));
        ((value >> 32) as u32 as i32, (value as u32).to_ne_bytes())
    };
    assert_eq!(copied(0, 4), (0, [0x11, 0x22, 0x33, 0x44]));
    assert_eq!(copied(3, 1), (0, [0x44, 0xff, 0xff, 0xff]));
    assert_eq!(copied(1, 4), (-14, [0; 4]));
    assert_eq!(copied(-1, 2), (-14, [0, 0, 0xff, 0xff]));
    let elsewhere = [Op::mov_imm(R1, 0), Op::mov(R3, R10), Op::mov_imm(Reg::R4, 1), helper(26), Op::Exit];
    assert_eq!(fault(&elsewhere), (3, FaultKind::NotTheContext(0)));
}

#[test]
fn registers_after_a_call_are_scrubbed() {
    for dst in (1..6).filter_map(Reg::new) {
        let value = result(&[Op::mov(R6, R1), helper(8), Op::mov(R0, dst), Op::Exit]);
        assert_eq!(value, 0xdead_beef_dead_beef);
        let value = result(&[Op::mov(R6, R1), Op::LdAbs { size: Size::B, k: 0 }, Op::mov(R0, dst), Op::Exit]);
        assert_eq!(value, 0xdead_beef_dead_beef);
    }
}

#[test]
fn what_does_not_load() {
    let load = |ops: &[Op]| match setup(ops, &[]).load() {
        Ok(_) => Ok(()),
        Err(SetupError::Program { error, .. }) => Err(error),
        Err(error) => panic!("{error}"),
    };
    let problem = |at, problem| Err(LoadError::Insn { at: InsnIdx(at), problem });
    assert_eq!(load(&[Op::mov_imm(R10, 0), Op::Exit]), problem(0, Problem::WritesFramePointer));
    assert_eq!(load(&[Op::Exit, helper(999), Op::Exit]), problem(1, Problem::NoSuchHelper(999)));
    let map = Op::LoadImm { dst: R1, value: Imm64::MapFd(0) };
    assert_eq!(load(&[map, Op::Exit]), problem(0, Problem::NoSuchMap(0)));
    assert_eq!(load(&[Op::Call(Callee::Kfunc { id: 1, module: 0 }), Op::Exit]), problem(0, Problem::NeedsKernel));
    assert!(matches!(load(&[Op::mov_imm(R0, 0)]), Err(LoadError::Malformed(_))));
    assert!(matches!(load(&[]), Err(LoadError::Malformed(_))));
    let fetch = Op::Atomic { width: Width::W64, op: AtomicOp::Add, fetch: true, base: R10, off: -8, src: R10 };
    assert_eq!(load(&[fetch, Op::Exit]), problem(0, Problem::WritesFramePointer));
    // Functions are entered by calls and left by exits.
    let call = Op::Call(Callee::Local(1));
    assert_eq!(load(&[call, Op::Goto { off: 0 }, Op::Exit]), problem(1, Problem::LeavesFunction(InsnIdx(2))));
    assert_eq!(load(&[call, Op::mov_imm(R0, 0), Op::Exit]), problem(1, Problem::FallsIntoFunction));
}

/// An object whose first program goes on in the second one, which reads through a map of maps.
fn linked_object() -> Object {
    let mut object = Object::new("GPL");
    let mut values = MapSpec::new("values", MapType::Array, 4, 8, 2);
    values.contents = vec![(1u32.to_ne_bytes().to_vec(), 77u64.to_ne_bytes().to_vec())];
    let inner = object.add_map(values.clone());
    let mut outer = MapSpec::new("outer", MapType::ArrayOfMaps, 4, 4, 3);
    outer.inner = Some(Box::new(values));
    outer.references = vec![(2, Reference::Map(inner))];
    let outer = object.add_map(outer);
    let mut programs = MapSpec::new("programs", MapType::ProgArray, 4, 4, 2);
    programs.references = vec![(1, Reference::Program(ProgIdx(1)))];
    let programs = object.add_map(programs);
    let first = assemble(&[
        Op::mov_imm(R6, 5),
        Op::LoadImm { dst: R2, value: programs.load() },
        Op::mov_imm(R3, 1),
        helper(12),
        Op::mov_imm(R0, -1),
        Op::Exit,
    ]);
    let look_up = [
        Op::mov(R2, R10),
        alu(AluOp::Add, R2, Src::Imm(-4)),
        helper(1),
        Op::JumpIf { width: Width::W64, op: JmpOp::Eq, dst: R0, src: Src::Imm(0), off: 0 },
    ];
    let second = assemble(
        &[
            &[store(Size::W, R10, -4, 2), Op::LoadImm { dst: R1, value: outer.load() }][..],
            &look_up,
            &[Op::mov(R1, R0), store(Size::W, R10, -4, 1)],
            &look_up,
            // A program that is gone to starts like any other: register 6 is zero.
            &[load(Size::DW, R0, R0, 0), alu(AluOp::Add, R0, Src::Reg(R6)), Op::Exit],
        ]
        .concat(),
    );
    object.add_program(Program::new("first", ProgType::SocketFilter, first));
    object.add_program(Program::new("second", ProgType::SocketFilter, second));
    assert_eq!(object.validate(), Ok(()));
    object
}

#[test]
fn tail_calls_and_maps_of_maps_of_objects() {
    let object = linked_object();
    for engine in ENGINES {
        let vm = Vm::new(&object).load().unwrap();
        assert_eq!(run_vm(&vm, engine, &mut [0; 8], &Metadata::default()), Ok(77), "{engine:?}");
    }
    // A fault is told of the program that did it.
    let mut object = object;
    object.programs[1].insns = assemble(&[load(Size::B, R0, R6, 0), Op::Exit]);
    for engine in ENGINES {
        let vm = Vm::new(&object).load().unwrap();
        let fault = run_vm(&vm, engine, &mut [0; 8], &Metadata::default()).unwrap_err();
        assert_eq!((fault.program, fault.at), (1, InsnIdx(0)), "{engine:?}");
    }
    // The thirty-fourth tail call of a run does not happen.
    let mut object = linked_object();
    object.programs[1].insns = assemble(
        &[
            &[Op::LoadImm { dst: R2, value: Imm64::MapFd(0) }, Op::mov(R6, R1)][..],
            &[store(Size::W, R10, -4, 1), Op::mov(R2, R10), alu(AluOp::Add, R2, Src::Imm(-4))],
            &[Op::LoadImm { dst: R1, value: Imm64::MapFd(0) }, helper(1)],
            &[Op::JumpIf { width: Width::W64, op: JmpOp::Eq, dst: R0, src: Src::Imm(0), off: 3 }],
            &[load(Size::DW, R1, R0, 0), alu(AluOp::Add, R1, Src::Imm(1)), store_reg(Size::DW, R0, 0, R1)],
            &[Op::mov(R1, R6), Op::LoadImm { dst: R2, value: Imm64::MapFd(2) }, Op::mov_imm(R3, 1), helper(12)],
            &[Op::mov_imm(R0, 0), Op::Exit],
        ]
        .concat(),
    );
    for engine in ENGINES {
        let vm = Vm::new(&object).load().unwrap();
        assert_eq!(run_vm(&vm, engine, &mut [0; 8], &Metadata::default()), Ok(0), "{engine:?}");
        let value = vm.map(0).unwrap().user().lookup(&1u32.to_ne_bytes()).unwrap();
        assert_eq!(u64::from_ne_bytes(value.try_into().unwrap()), 77 + 33, "{engine:?}");
    }
}

#[test]
fn what_only_a_kernel_has_is_refused() {
    let mut object = linked_object();
    let kind = skep_object::ExternKind::Address;
    object.externs.push(skep_object::Extern { name: "jiffies".to_owned(), weak: false, kind });
    let error = Vm::new(&object).load().unwrap_err();
    assert!(matches!(error, SetupError::Unresolved(_)), "{error}");
    assert!(error.to_string().starts_with("`jiffies` is something that only a kernel has"), "{error}");
}
