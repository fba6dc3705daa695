//! Whole programs: functions, callbacks, variables, relocations, lines, long jumps.

use std::sync::Arc;

use skep_ir::{
    Binary, Builder, Callee, Cond, Core, CoreKind, FuncKind, Function, Global, Kfunc, Loc, MapDecl, Memory, Module,
    Source, Type, Width,
};
use skep_isa::ebpf::{self, Cpu, InsnIdx, Op};
use skep_isa::{MapType, ProgType};
use skep_object::ExternKind;

use super::{check, info, module, options, program_text, validate};
use crate::{Problem, compile};

const I32: Type = Type::I32;
const I64: Type = Type::I64;

/// A function without blocks that returns what it is given.
fn leaf(name: &str, kind: FuncKind, params: &[Type]) -> Function {
    let mut func = Function::new(name, kind, params, Some(I64));
    let value = func.params()[0];
    let mut builder = Builder::new(&mut func);
    let value = builder.binary_const(Binary::Add, value, 1);
    builder.ret(Some(value));
    func
}

#[test]
fn functions_are_copied_into_each_program() {
    let mut module = Module::new("GPL");
    let callee = module.add_function(leaf("inner", FuncKind::Static, &[I64]));
    module.add_function(leaf("unused", FuncKind::Static, &[I64]));
    for name in ["one", "two"] {
        let mut func = Function::new(name, info(ProgType::Xdp), &[Type::ptr(Memory::Context)], Some(I64));
        let mut b = Builder::new(&mut func);
        let seven = b.i64(7);
        let value = b.call(Callee::Func(callee), &[seven], I64);
        b.ret(Some(value));
        module.add_function(func);
    }
    let object = compile(&module, &options(Cpu::V3)).unwrap();
    validate(&object);
    for program in &object.programs {
        let text = ebpf::disassemble(&program.insns).unwrap();
        check(&text, "r1 = 7; call pc+1; exit; r0 = r1; r0 += 1; exit");
        let names: Vec<&str> = program.functions.iter().map(|func| &*func.name).collect();
        assert_eq!(names, [program.name.as_str(), "inner"]);
        assert_eq!(program.functions[1].at, InsnIdx(3));
    }
}

#[test]
fn results_that_nobody_vouches_for() {
    let module = module("f", Some(I32), |b, _| {
        let number = b.call(Callee::Helper(7), &[], I32);
        let wide = b.unary(skep_ir::Unary::Extend, number);
        let other = b.call(Callee::Helper(7), &[], I32);
        let slot = b.function.add_slot("x", 8, 8);
        let ptr = b.slot_addr(slot);
        b.store(Width::W64, ptr, 0, wide);
        b.ret(Some(other));
    });
    // The first result is widened, of the second only the lower half counts.
    check(&program_text(&module, Cpu::V3), "call 7; w6 = w0; call 7; *(u64 *)(r10 -8) = r6; exit");
}

#[test]
fn callbacks_and_variables() {
    let mut module = module("f", Some(I32), |b, _| {
        let (rounds, zero) = (b.i64(3), b.i64(0));
        let callback = b.func_addr(skep_ir::FuncRef(1));
        let global = b.global_addr(skep_ir::GlobalRef(2));
        b.call_void(Callee::Helper(181), &[rounds, callback, global, zero]);
        let value = b.load(Width::W32, global, 4);
        b.store(Width::W32, global, 0, value);
        b.ret(Some(value));
    });
    module.add_function(leaf("each", FuncKind::Callback, &[I64, Type::ptr(Memory::Global(skep_ir::GlobalRef(2)))]));
    module.add_map(MapDecl::new("counts", MapType::Hash, 4, 8, 10));
    for (name, section, bytes) in
        [("limit", ".rodata", vec![1, 2]), ("pad", ".data", vec![3]), ("pair", ".data", vec![7; 8])]
    {
        let global =
            Global { name: name.into(), section: section.into(), align: bytes.len().min(8) as u32, bytes, ty: 0 };
        module.add_global(global);
    }
    let object = compile(&module, &options(Cpu::V3)).unwrap();
    validate(&object);
    let text = ebpf::disassemble(&object.programs[0].insns).unwrap();
    check(
        &text,
        "r1 = 3; r2 = subprog[+10] ll; r3 = map[fd:2][0]+8 ll; r4 = 0; call 181; r1 = map[fd:2][0]+8 ll; \
         r0 = *(u32 *)(r1 +4); *(u32 *)(r1 +0) = r0; exit; r0 = r1; r0 += 1; exit",
    );
    let maps: Vec<_> = object.maps.iter().map(|map| (map.name.as_str(), map.value_size, map.frozen)).collect();
    assert_eq!(maps, [("counts", 8, false), (".rodata", 2, true), (".data", 16, false)]);
    assert_eq!(object.maps[2].contents[0].1, [3, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7]);
}

#[test]
fn constants_of_the_kernel_stay_alone() {
    let mut module = module("f", Some(I64), |b, _| {
        let base = b.global_addr(skep_ir::GlobalRef(0));
        let offset = b.core(skep_ir::CoreRef(0));
        let sum = b.binary_const(Binary::Add, offset, 4);
        let place = b.ptr_add(base, sum);
        let value = b.core(skep_ir::CoreRef(1));
        b.store(Width::W64, place, 0, value);
        b.ret(Some(offset));
    });
    let bytes = vec![0; 64];
    module.add_global(Global { name: "state".into(), section: ".bss".into(), bytes, align: 8, ty: 0 });
    let access: Arc<str> = "0:1".into();
    module.add_core(Core { kind: CoreKind::FieldOffset, ty: 3, access: Arc::clone(&access), local: 16 });
    module.add_core(Core { kind: CoreKind::EnumValue, ty: 4, access, local: 1 });
    let object = compile(&module, &options(Cpu::V3)).unwrap();
    let program = &object.programs[0];
    check(
        &ebpf::disassemble(&program.insns).unwrap(),
        "r4 = 16; r4 += 4; r0 = map[fd:0][0]+0 ll; r0 += r4; r1 = 0x1 ll; *(u64 *)(r0 +0) = r1; r0 = 16; exit",
    );
    let found: Vec<_> = program.core_relocations.iter().map(|core| (core.at.0, core.kind, core.ty)).collect();
    assert_eq!(found, [(0, 0, 3), (5, 11, 4), (8, 0, 3)]);
}

#[test]
fn kernel_functions_are_externs() {
    let mut module = module("f", Some(I64), |b, ctx| {
        b.call_void(Callee::Kfunc(skep_ir::KfuncRef(0)), &[ctx]);
        let value = b.call(Callee::Kfunc(skep_ir::KfuncRef(0)), &[], I64);
        b.ret(Some(value));
    });
    module.add_kfunc(Kfunc::function("bpf_rcu_read_lock", true));
    let object = compile(&module, &options(Cpu::V3)).unwrap();
    let places: Vec<_> = object.programs[0].externs.iter().map(|used| (used.at.0, used.target.0)).collect();
    assert_eq!(places, [(0, 0), (1, 0)]);
    assert_eq!((object.externs[0].name.as_str(), object.externs[0].weak), ("bpf_rcu_read_lock", true));
    assert!(matches!(object.externs[0].kind, ExternKind::Function { .. }));
}

#[test]
fn the_stack_counts_for_the_whole_chain() {
    let mut module = Module::new("GPL");
    let mut last = None;
    for (name, size) in [("inner", 200), ("outer", 264)] {
        let mut func = Function::new(name, FuncKind::Static, &[], Some(I64));
        let slot = func.add_slot("buffer", size, 8);
        let mut b = Builder::new(&mut func);
        b.at(Loc { source: 0, line: size, column: 5 });
        let ptr = b.slot_addr(slot);
        b.fill(ptr, size, 0, 8);
        if let Some(callee) = last {
            b.call(Callee::Func(callee), &[], I64);
        }
        let value = b.load(Width::W64, ptr, 0);
        b.ret(Some(value));
        last = Some(module.add_function(func));
    }
    module.sources.push(Source { name: "a.bt".into(), text: "".into() });
    let mut main = Function::new("main", info(ProgType::Xdp), &[Type::ptr(Memory::Context)], Some(I64));
    let mut b = Builder::new(&mut main);
    let value = b.call(Callee::Func(last.unwrap()), &[], I64);
    b.ret(Some(value));
    module.add_function(main);
    let error = compile(&module, &options(Cpu::V3)).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("a.bt:264:5: function `main`: 544 bytes of stack are needed"), "{text}");
    assert!(text.contains("(`main` 32, `outer` 288, `inner` 224)"), "{text}");
    assert!(text.contains("264 bytes: `buffer` in `outer`, line 264"), "{text}");
}

#[test]
fn lines_begin_where_places_change() {
    let mut module = module("f", Some(I64), |b, _| {
        b.at(Loc { source: 0, line: 1, column: 3 });
        let time = b.call(Callee::Helper(5), &[], I64);
        b.at(Loc { source: 0, line: 2, column: 1 });
        let value = b.binary_const(Binary::Add, time, 1);
        let value = b.binary_const(Binary::Mul, value, 3);
        b.ret(Some(value));
    });
    module.sources.push(Source { name: "x.bt".into(), text: "first\nsecond\n".into() });
    let object = compile(&module, &options(Cpu::V3)).unwrap();
    let lines: Vec<_> =
        object.programs[0].lines.iter().map(|line| (line.at.0, line.line, line.column, &*line.text)).collect();
    assert_eq!(lines, [(0, 1, 3, "first"), (1, 2, 1, "second")]);
}

/// A function with a branch over many stores.
fn long_module(stores: usize) -> Module {
    module("long", Some(I32), |b, ctx| {
        let slot = b.function.add_slot("x", 8, 8);
        let ptr = b.slot_addr(slot);
        let (far, near) = (b.block(&[]), b.block(&[]));
        let length = b.load(Width::W32, ctx, 0);
        let limit = b.i32(100);
        b.branch(Cond::Ugt, length, limit, far, near);
        b.switch_to(near);
        for number in 0..stores {
            let value = b.i64(number as i64);
            b.store(Width::W64, ptr, 0, value);
        }
        b.jump(far, &[]);
        b.switch_to(far);
        let one = b.i32(1);
        b.ret(Some(one));
    })
}

#[test]
fn long_jumps() {
    for (cpu, stores) in [(Cpu::V4, 40_000), (Cpu::V3, 40_000), (Cpu::V2, 120_000)] {
        let object = compile(&long_module(stores), &options(cpu)).unwrap();
        validate(&object);
        let insns = &object.programs[0].insns;
        let ops: Vec<Op> = ebpf::decode_program(insns).unwrap().into_iter().map(|(_, op)| op).collect();
        let long = ops.iter().any(|op| matches!(op, Op::GotoLong { .. }));
        assert_eq!(long, cpu == Cpu::V4);
        // From the branch, by stations, to the end.
        let mut at = InsnIdx(1);
        let mut jumps = 0;
        while let Some(distance) = ops[at.index()].jump_distance() {
            let taken = jumps > 0 || !matches!(ops[at.index()], Op::JumpIf { .. });
            at = if taken { at.target(distance).unwrap() } else { InsnIdx(at.0 + 1) };
            jumps += 1;
            assert!(jumps < 20);
        }
        assert_eq!(at.index(), insns.len() - 2, "{cpu:?}");
    }
}

#[test]
fn broken_rules_are_errors() {
    let module = module("f", Some(I64), |b, _| {
        let map = b.map_addr(skep_ir::MapRef(3));
        let value = b.call(Callee::Helper(1), &[map], I64);
        b.ret(Some(value));
    });
    let error = compile(&module, &options(Cpu::V3)).unwrap_err();
    assert!(matches!(error.problem, Problem::Rule { .. }), "{error:?}");
    assert!(error.to_string().contains("m3"), "{error}");
}
