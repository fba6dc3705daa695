//! The text form: everything of a module survives it, and what is wrong is said with its place.

use skep_ir::{
    AtomicOp, Binary, Builder, Callee, Cond, Core, CoreKind, Edge, FuncKind, Function, Global, InstData, Kfunc, Loc,
    MapDecl, Memory, Module, ProgramInfo, Source, Type, Unary, Width, parse,
};
use skep_isa::{AttachType, MapType, ProgType};

fn declarations() -> Module {
    let mut module = Module::new("Dual \"MIT\"/GPL\\\u{1b}\n");
    let mut inner = MapDecl::new("inner map", MapType::Array, 4, 8, 2);
    inner.contents = vec![(vec![0, 0, 0, 0], vec![1, 2, 3, 0xff, 5, 6, 7, 8])];
    let mut outer = MapDecl::new("outer", MapType::ArrayOfMaps, 4, 4, 16);
    outer.flags = 0x400;
    outer.types = [3, 4];
    outer.inner = Some(Box::new(inner));
    outer.contents = vec![(vec![1, 0, 0, 0], vec![]), (vec![2, 0, 0, 0], vec![9])];
    module.add_map(outer);
    module.add_map(MapDecl::new("counts", MapType::Hash, 4, 8, 1024));
    let global = |name: &str, section: &str, bytes: Vec<u8>, align, ty| Global {
        name: name.to_owned(),
        section: section.to_owned(),
        bytes,
        align,
        ty,
    };
    module.add_global(global("state", ".bss", vec![0; 4096], 8, 0));
    module.add_global(global("", ".rodata.str1.1", b"hello\0".to_vec(), 1, 17));
    let core = Core { kind: CoreKind::FieldOffset, ty: 12, access: "0:3:1".into(), local: -24 };
    assert_eq!(module.add_core(core.clone()), module.add_core(core));
    module.add_kfunc(Kfunc::function("bpf_task_acquire", true));
    module.add_kfunc(Kfunc::function("bpf_task_release", false));
    module.sources.push(Source { name: "a b.c".into(), text: "int x;\n\tint \u{e9};\r\n".into() });
    module.btf = vec![0x9f, 0xeb, 1, 0];
    module
}

/// A function with every instruction; no rule is kept.
fn everything() -> Function {
    let info = ProgramInfo {
        prog_type: ProgType::Tracing,
        attach_type: Some(AttachType::ALL[3]),
        flags: 16,
        section: "fentry/do exit".to_owned(),
    };
    let mut function =
        Function::new("all.of$it", FuncKind::Program(info), &[Type::ptr(Memory::Context)], Some(Type::I64));
    function.ty = 99;
    let slot = function.add_slot("key", 16, 8);
    function.add_slot("", 512, 1);
    let mut b = Builder::new(&mut function);
    let ctx = b.param(b.current(), 0);
    let one = b.i64(i64::MIN);
    let small = b.i32(u32::MAX);
    b.at(Loc { source: 0, line: 3, column: 14 });
    for &op in Unary::ALL {
        b.unary(op, one);
    }
    for &op in Binary::ALL {
        b.binary(op, one, one);
    }
    for &cond in Cond::ALL {
        b.compare(cond, small, small);
        b.select(cond, one, one, ctx, ctx);
    }
    b.at(Loc { source: 7, line: 0, column: 0 });
    let sum = b.ptr_add(ctx, one);
    b.ptr_add_const(sum, i32::MIN);
    b.inst(InstData::PtrDiff(sum, ctx), &[Type::I64]);
    b.inst(InstData::PtrToInt(sum), &[Type::I64]);
    for &width in Width::ALL {
        for bits in 0..4 {
            let (signed, volatile) = (bits & 1 == 1, bits & 2 == 2);
            b.inst(InstData::Load { width, signed, ptr: ctx, off: i16::MIN, volatile }, &[Type::I64]);
        }
        b.inst(InstData::Store { width, ptr: ctx, off: i16::MAX, value: one, volatile: true }, &[]);
        b.store(width, ctx, -1, one);
        for &op in AtomicOp::ALL {
            b.atomic(op, width, ctx, 8, one);
            b.inst(InstData::Atomic { op, width, ptr: ctx, off: -8, value: one }, &[Type::I64]);
        }
        b.inst(InstData::CompareExchange { width, ptr: ctx, off: 0, expected: one, value: small }, &[Type::I64]);
        b.inst(InstData::PacketLoad { width, base: Some(small), k: i32::MIN }, &[Type::I32]);
        b.inst(InstData::PacketLoad { width, base: None, k: -5 }, &[Type::I32]);
    }
    b.copy(ctx, sum, u32::MAX, 4);
    b.fill(ctx, 8, 0xff, 8);
    let object = b.slot_addr(slot);
    b.map_addr(skep_ir::MapRef(1));
    b.global_addr(skep_ir::GlobalRef(1));
    b.func_addr(skep_ir::FuncRef(1));
    b.core(skep_ir::CoreRef(0));
    b.call(Callee::Helper(1), &[object, one], Type::nullable(Memory::MapValue(skep_ir::MapRef(1))));
    b.call_void(Callee::Helper(100_000), &[]);
    b.call_void(Callee::Kfunc(skep_ir::KfuncRef(1)), &[one]);
    b.call_void(Callee::Func(skep_ir::FuncRef(1)), &[one, one, one]);
    let every_type = types();
    let rest: Vec<_> = (0..5).map(|_| b.block(&[])).collect();
    let merge = b.block(&every_type);
    let args = every_type.iter().map(|_| one).collect::<Vec<_>>();
    b.branch_refining(Cond::Ult, one, one, rest[0], rest[1]);
    b.switch_to(rest[0]);
    let edge = Edge { block: merge, args };
    b.inst(
        InstData::Switch { value: one, cases: vec![(-1, edge.clone()), (i64::MAX, Edge::to(rest[2]))], default: edge },
        &[],
    );
    b.switch_to(rest[1]);
    b.inst(InstData::MayGoto { next: Edge::to(rest[1]), done: Edge::to(rest[3]) }, &[]);
    b.switch_to(rest[2]);
    b.ret(None);
    b.switch_to(rest[3]);
    b.inst(InstData::Unreachable, &[]);
    b.switch_to(rest[4]);
    b.inst(InstData::Switch { value: one, cases: vec![], default: Edge::to(rest[3]) }, &[]);
    b.switch_to(merge);
    b.jump(rest[4], &[]);
    function.blocks.swap(2, 5);
    function
}

fn types() -> Vec<Type> {
    let (map, global) = (skep_ir::MapRef(0), skep_ir::GlobalRef(0));
    let memories = [
        Memory::Context,
        Memory::Stack,
        Memory::MapValue(map),
        Memory::Map(map),
        Memory::InnerMap(map),
        Memory::Global(global),
        Memory::Packet,
        Memory::PacketMeta,
        Memory::PacketEnd,
        Memory::Record,
        Memory::Kernel(77),
        Memory::KernelUntrusted(78),
        Memory::Function,
        Memory::Arena,
    ];
    let pointers = memories.into_iter().flat_map(|to| [Type::ptr(to), Type::nullable(to)]);
    [Type::I32, Type::I64].into_iter().chain(pointers).collect()
}

#[test]
fn everything_survives() {
    let mut module = declarations();
    module.add_function(everything());
    for kind in [FuncKind::Static, FuncKind::Global, FuncKind::Callback] {
        let mut function = Function::new("help", kind, &[Type::I64], None);
        Builder::new(&mut function).ret(None);
        module.add_function(function);
    }
    let text = module.to_string();
    let read = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(read.to_string(), text);
    let without_functions = |module: &Module| Module { functions: Vec::new(), ..module.clone() };
    assert_eq!(without_functions(&read), without_functions(&module));
    // Nothing of this module is out of order, so even the numbers of instructions are the same.
    let mut simple = Module::new("");
    simple.add_function(module.functions[1].clone());
    assert_eq!(parse(&simple.to_string()), Ok(simple));
}

#[test]
fn functions_stand_alone() {
    let mut function = Function::new("f", FuncKind::Static, &[Type::I32], Some(Type::I32));
    let mut b = Builder::new(&mut function);
    let value = b.param(b.current(), 0);
    b.ret(Some(value));
    let text = function.to_string();
    assert_eq!(text, "func @f: static -> i32 {\nb0(v0: i32):\n  return v0\n}\n");
    assert_eq!(parse(&text).map(|module| module.functions), Ok(vec![function]));
}

#[test]
fn gaps_in_numbers_stay() {
    let text = "func f0 @f: static {\nb7(v3: i32):\n  v9: i32 = neg v3\n  jump b2()\nb2:\n  return\n}\n";
    let module = parse(text).unwrap();
    assert_eq!(module.functions[0].to_string(), text.replace("f0 ", ""));
    assert_eq!(module.functions[0].value_count(), 10);
    assert_eq!(module.functions[0].ty(skep_ir::Value(5)), Type::I64);
}

#[test]
fn comments_and_short_forms() {
    let text = "; a comment\nfunc @f: static { ; here too\n\nb0:\n  call helper 5() ; @1:2\n  call helper bpf_ktime_get_ns() ; @0:2:3\n\n  jump b1\nb1:\n return\n}";
    let module = parse(text).unwrap();
    let printed = module.functions[0].to_string();
    let expected = "func @f: static {\nb0:\n  call helper ktime_get_ns()\n  call helper ktime_get_ns() ; @0:2:3\n  jump b1()\nb1:\n  return\n}\n";
    assert_eq!(printed, expected);
}

#[test]
fn errors_name_the_place() {
    let function = |body: &str| format!("func f0 @f: static {{\nb0(v0: i64):\n  {body}\n}}\n");
    let cases = [
        ("map m1 @a = hash key 4 value 4 entries 1".to_owned(), 1, 5, "expected `m0`, found `m1`"),
        ("map m0 @a = bag key 4".to_owned(), 1, 13, "expected a map type, found `bag`"),
        ("map m0 @a = hash key -4".to_owned(), 1, 22, "-4 is out of range for a 32-bit number"),
        ("license \"a".to_owned(), 1, 9, "no closing quote"),
        ("license \"\\q\"".to_owned(), 1, 10, "behind `\\`"),
        ("btf \"9\"".to_owned(), 1, 5, "pairs of hexadecimal digits"),
        ("global g0 @a in \".bss\" align 8 = zero 99999999999".to_owned(), 1, 34, "variables of zeros"),
        ("nonsense".to_owned(), 1, 1, "begins no item"),
        ("func @f: static {\n}".to_owned(), 1, 6, "has no block"),
        ("func @f: odd {\n}".to_owned(), 1, 10, "no kind of function"),
        (function("v1: i64 = neg v2"), 3, 17, "`v2` is not defined in this function"),
        (function("v0: i64 = neg v0"), 3, 3, "`v0` is defined twice"),
        (function("jump b3"), 3, 8, "`b3` is not defined"),
        (function("jump b0 b0"), 3, 11, "expected the end of the line"),
        (function("v1: i65 = neg v0"), 3, 7, "expected a type"),
        (function("v1: i64 = load.7 v0 + 0"), 3, 13, "`.7` has no meaning"),
        (function("v1: i64 = load v0 + 0"), 3, 13, "`load` is no instruction"),
        (function("store.8.signed v0 + 0, v0"), 3, 3, "a suffix does not belong"),
        (function("v1: i64 = load.8 v0 + 32768"), 3, 25, "out of range for an offset"),
        (function("v1: ptr<map m0> = map_addr m0"), 3, 15, "`m0` is not declared"),
        (function("v1: i64 = const 18446744073709551616"), 3, 19, "no number of at most 64 bits"),
        (function("call helper open()"), 3, 15, "the name or number of a helper"),
        (function("return\nb0:\n  return"), 1, 9, "block `b0` is defined twice"),
        (function("v4294967295: i64 = neg v0"), 1, 9, "gaps"),
        (function("v01: i64 = neg v0"), 3, 3, "a value such as `v1`"),
        (
            "map m0 @a = hash key 1 value 1 entries 1 {\n".to_owned()
                + "inner @b = hash key 1 value 1 entries 1 {\n".repeat(9).as_str(),
            6,
            7,
            "too deep",
        ),
    ];
    for (text, line, column, message) in cases {
        let error = parse(&text).expect_err(&text);
        assert!(error.message.contains(message), "{text}\n{error}");
        assert_eq!((error.line, error.column), (line, column), "{text}\n{error}");
    }
}
