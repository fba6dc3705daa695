//! The reference interpreter: results, memory, and everything that ends a run early.

use std::collections::BTreeSet;
use std::mem::discriminant;

use skep_ir::interp::{Machine, Reason, World, interpret};
use skep_ir::{AtomicOp, Cond, FuncRef, GlobalRef, InstData, MapRef, Module, Type, Unary, Width, eval, fuzz, parse};
use skep_random::random_test;

fn module(text: &str) -> Module {
    let module = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    if let Err(violations) = skep_ir::verify(&module) {
        panic!("{violations:#?}");
    }
    module
}

/// Runs function 0.
fn run(text: &str, args: &[u64]) -> Result<Option<u64>, Reason> {
    let module = module(text);
    interpret(&module, FuncRef(0), args, &mut World::new(&module)).map_err(|trap| trap.reason)
}

#[test]
fn operators() {
    let cases = [
        (Unary::Neg, Type::I32, 1, 0xffff_ffff),
        (Unary::Neg, Type::I64, 1, u64::MAX),
        (Unary::Extend, Type::I64, 0xffff_ffff, 0xffff_ffff),
        (Unary::Truncate, Type::I32, 0x1_2345_6789, 0x2345_6789),
        (Unary::Sext8, Type::I64, 0x1ff, u64::MAX),
        (Unary::Sext16, Type::I32, 0x8000, 0xffff_8000),
        (Unary::Sext16, Type::I32, 0x7fff, 0x7fff),
        (Unary::Sext32, Type::I64, 0x8000_0000, 0xffff_ffff_8000_0000),
        (Unary::Swap16, Type::I64, 0xaabb_1122, 0x2211),
        (Unary::Swap32, Type::I64, 0xff_1122_3344, 0x4433_2211),
        (Unary::Swap64, Type::I64, 0x0102_0304_0506_0708, 0x0807_0605_0403_0201),
    ];
    for (op, ty, value, expected) in cases {
        assert_eq!(eval::unary(op, ty, value), expected, "{op:?} {ty} {value:#x}");
    }
    assert!(
        eval::compare(Cond::Slt, Type::I32, 0xffff_ffff, 0) && !eval::compare(Cond::Slt, Type::I64, 0xffff_ffff, 0)
    );
    assert_eq!(eval::load(Width::W8, true, Type::I32, 0x80), 0xffff_ff80);
    assert_eq!(eval::load(Width::W32, true, Type::I64, 0x8000_0000), 0xffff_ffff_8000_0000);
    assert_eq!(eval::load(Width::W16, false, Type::I64, 0xffff_8000), 0x8000);
    let atomics = AtomicOp::ALL.iter().map(|&op| eval::atomic(op, 0b1100, 0b1010));
    assert_eq!(atomics.collect::<Vec<_>>(), [0b10110, 0b1000, 0b1110, 0b0110, 0b1010]);
}

#[test]
fn a_loop_computes() {
    let text = "func @factorial: static -> i64 {\nb0(v0: i64):\n  v1: i64 = const 1\n  jump b1(v0, v1)\nb1(v2: i64, v3: i64):\n  \
                branch ule v2, v1 -> b3(), b2()\nb2:\n  v4: i64 = mul v3, v2\n  v5: i64 = sub v2, v1\n  jump b1(v5, v4)\nb3:\n  return v3\n}";
    assert_eq!(run(text, &[10]), Ok(Some(3_628_800)));
    assert_eq!(run(text, &[0]), Ok(Some(1)));
    assert_eq!(run(text, &[u64::MAX]), Err(Reason::Steps));
}

#[test]
fn parameters_are_set_at_once() {
    let text = "func @f: static -> i64 {\nb0(v0: i64, v1: i64):\n  v2: i64 = const 3\n  jump b1(v0, v1, v2)\n\
                b1(v3: i64, v4: i64, v5: i64):\n  v6: i64 = const 0\n  branch eq v5, v6 -> b3(), b2()\nb2:\n  v7: i64 = const 1\n  \
                v8: i64 = sub v5, v7\n  jump b1(v4, v3, v8)\nb3:\n  return v3\n}";
    assert_eq!(run(text, &[7, 9]), Ok(Some(9)));
}

#[test]
fn control() {
    let text = "func @f: static -> i32 {\nb0(v0: i32):\n  switch v0 [-1 -> b1(), 5 -> b2()] else b3()\nb1:\n  v1: i32 = const 10\n  \
                return v1\nb2:\n  may_goto b3(), b1()\nb3:\n  v2: i32 = select sgt v0, v0, v0, v3\n  return v2\n}"
        .replace("v0, v0, v0, v3", "v0, v0, v0, v0");
    assert_eq!(run(&text, &[0xffff_ffff]), Ok(Some(10)));
    assert_eq!(run(&text, &[0x1_0000_0005]), Ok(Some(5)));
    assert_eq!(run("func @f: static {\nb0:\n  unreachable\n}", &[]), Err(Reason::Unreachable));
}

#[test]
fn depth_is_limited() {
    // The rules forbid it; the interpreter does not rely on them.
    let module = parse("func @f: static {\nb0:\n  call f0()\n  return\n}").unwrap();
    let trap = interpret(&module, FuncRef(0), &[], &mut World::new(&module)).unwrap_err();
    assert_eq!((trap.reason, trap.function.as_str()), (Reason::Depth, "f"));
    let module = parse("func @f: static {\nb0:\n}").unwrap();
    assert!(matches!(
        interpret(&module, FuncRef(0), &[], &mut World::new(&module)).map_err(|trap| trap.reason),
        Err(Reason::Rule(_))
    ));
}

#[test]
fn stack_objects() {
    let text = "func @f: static -> i64 {\n  slot s0 16 align 8\n  slot s1 16 align 8\nb0(v0: i64):\n  v1: ptr<stack> = slot_addr s0\n  \
                v2: ptr<stack> = slot_addr s1\n  fill v1, 16, 255 align 8\n  store.32 v1 + 4, v0\n  copy v2, v1, 16 align 8\n  \
                v3: i64 = atomic.64 add v2 + 0, v0\n  v4: i64 = load.16.signed v2 + 14\n  v5: i64 = load.64 v2 + 0\n  \
                v6: i64 = compare_exchange.64 v2 + 0, v5, v4\n  v7: i64 = load.64 v2 + 0\n  v8: i64 = xor v3, v7\n  \
                v9: ptr<stack> = ptr_add v2, v0\n  v10: i64 = load.8 v9 + 0\n  v11: i64 = add v8, v10\n  return v11\n}";
    let old = 0x0000_0007_ffff_ffff_u64;
    assert_eq!(run(text, &[7]), Ok(Some((old ^ u64::MAX).wrapping_add(0xff))));
    let outside = run(text, &[16]);
    assert!(matches!(outside, Err(Reason::Bounds(error)) if error.bytes == 1 && !error.write), "{outside:?}");
    // Below its start and far away is no other object either.
    assert!(matches!(run(text, &[u64::MAX]), Err(Reason::Bounds(_))));
    assert!(matches!(run(text, &[1 << 33]), Err(Reason::Bounds(_))));
}

#[test]
fn objects_end_with_their_function() {
    let text = "func @f: static -> i64 {\nb0:\n  v0: ptr<stack> = call f1()\n  v1: i64 = load.64 v0 + 0\n  return v1\n}\n\
                func @g: static -> ptr<stack> {\n  slot s0 8 align 8\nb0:\n  v0: ptr<stack> = slot_addr s0\n  return v0\n}";
    assert!(matches!(run(text, &[]), Err(Reason::Bounds(_))));
}

const MAPS: &str = r#"license "GPL"
map m0 @array = array key 4 value 8 entries 2 {
  entry "01000000" = "0500000000000000"
}
map m1 @hash = hash key 4 value 8 entries 1
global g0 @state in ".data" align 8 = "0100000000000000"
global g1 @config in ".rodata" align 8 = "2a00000000000000"
"#;

#[test]
fn maps_and_variables() {
    let text = format!(
        "{MAPS}func @f: static -> i64 {{\n  slot s0 4 align 4\n  slot s1 8 align 8\nb0(v0: i32, v1: i64, v2: i64):\n  v3: ptr<stack> = slot_addr s0\n  \
         v4: ptr<stack> = slot_addr s1\n  store.32 v3 + 0, v0\n  store.64 v4 + 0, v1\n  v5: ptr<map m0> = map_addr m0\n  \
         v6: ptr<map m1> = map_addr m1\n  v7: i64 = const 0\n  v8: i64 = call helper map_update_elem(v6, v3, v4, v2)\n  \
         v9: ptr<value m0>? = call helper map_lookup_elem(v5, v3)\n  v10: ptr<value m0>? = const 0\n  \
         v11: ptr<value m0> = branch ne v9, v10 -> b1(), b2()\nb1:\n  atomic.64 add v11 + 0, v1\n  jump b2()\nb2:\n  \
         v12: ptr<global g0> = global_addr g0\n  v13: ptr<global g1> = global_addr g1\n  v14: i64 = load.64 v13 + 0\n  \
         store.64 v12 + 0, v14\n  return v8\n}}\nfunc @g: static -> i64 {{\n  slot s0 4 align 4\nb0(v0: i32):\n  v1: ptr<stack> = slot_addr s0\n  store.32 v1 + 0, v0\n  \
         v2: ptr<map m1> = map_addr m1\n  v3: i64 = call helper map_delete_elem(v2, v1)\n  return v3\n}}"
    );
    let module = module(&text);
    let mut world = World::new(&module);
    let error = |number: i64| Ok(Some(number.cast_unsigned()));
    let call = |world: &mut World, function, args: &[u64]| {
        interpret(&module, FuncRef(function), args, world).map_err(|trap| trap.reason)
    };
    assert_eq!(call(&mut world, 0, &[1, 3, 2]), error(-2), "there is no entry yet");
    assert_eq!(call(&mut world, 0, &[1, 3, 0]), Ok(Some(0)));
    assert_eq!(call(&mut world, 0, &[1, 9, 1]), error(-17), "there is one already");
    assert_eq!(call(&mut world, 0, &[2, 3, 0]), error(-7), "the map is full");
    assert_eq!(call(&mut world, 0, &[1, 4, 3]), error(-22), "there is no such flag");
    assert_eq!(world.entries(MapRef(1)), [(vec![1, 0, 0, 0], 3u64.to_le_bytes().to_vec())]);
    assert_eq!(world.entries(MapRef(0)), [(vec![1, 0, 0, 0], (5u64 + 3 + 3 + 9 + 4).to_le_bytes().to_vec())]);
    assert_eq!(world.global_bytes(GlobalRef(0)), Some(&42u64.to_le_bytes()[..]));
    assert_eq!(call(&mut world, 1, &[2]), error(-2));
    assert_eq!(call(&mut world, 1, &[1]), Ok(Some(0)));
    assert_eq!(world.entries(MapRef(1)), []);
}

#[test]
fn read_only_memory_is_not_written() {
    // Through a pointer of the wrong class, as the rules would not let it.
    let text = format!(
        "{MAPS}func @f: static {{\nb0(v0: i64):\n  v1: ptr<global g1> = global_addr g1\n  store.64 v1 + 0, v0\n  return\n}}"
    );
    let module = parse(&text).unwrap();
    let trap = interpret(&module, FuncRef(0), &[0], &mut World::new(&module)).unwrap_err();
    assert!(matches!(trap.reason, Reason::Bounds(error) if error.write), "{trap}");
    assert_eq!(trap.inst, "store.64 v1 + 0, v0");
}

#[test]
fn helpers_that_call_back_and_answers() {
    let text = "func @f: static -> i64 {\n  slot s0 8 align 8\nb0(v0: i32):\n  v1: ptr<stack> = slot_addr s0\n  v2: ptr<function> = func_addr f1\n  \
                v3: i64 = const 0\n  v4: i64 = call helper loop(v0, v2, v1, v3)\n  v5: i64 = load.64 v1 + 0\n  v6: i64 = const 100\n  v7: i64 = mul v4, v6\n  \
                v8: i64 = add v7, v5\n  v9: i64 = call helper ktime_get_ns()\n  v10: i64 = add v8, v9\n  return v10\n}\n\
                func @each: callback -> i64 {\nb0(v0: i32, v1: ptr<stack>):\n  v2: i64 = extend v0\n  v3: i64 = atomic.64 add v1 + 0, v2\n  \
                v4: i64 = const 9\n  v5: i64 = compare ugt v3, v4\n  return v5\n}";
    let module = module(text);
    let mut world = World::new(&module);
    let trap = interpret(&module, FuncRef(0), &[4], &mut world).unwrap_err();
    assert_eq!(trap.reason, Reason::Host("the helper 5 (ktime_get_ns) is not modelled".to_owned()));
    world.answer(5, 1_000_000);
    assert_eq!(interpret(&module, FuncRef(0), &[4], &mut world), Ok(Some(1_000_406)));
    // 0 + 1 + 2 + 3 + 4 is more than 9 when round 5 looks.
    assert_eq!(interpret(&module, FuncRef(0), &[100], &mut world), Ok(Some(1_000_615)));
    assert_eq!(
        Machine::new(&module, 10).call(&mut world, FuncRef(0), &[100]).map_err(|trap| trap.reason),
        Err(Reason::Steps)
    );
}

#[test]
fn packets() {
    let text = r#"func @f: program xdp "xdp" -> i32 {
b0(v0: ptr<ctx>):
  v1: ptr<packet> = load.32 v0 + 0
  v2: ptr<end> = load.32 v0 + 4
  v3: ptr<packet> = ptr_add_const v1, 4
  v4: ptr<packet> = branch ugt v3, v2 -> b1(), b2()
b1:
  v5: i32 = const 1
  return v5
b2:
  v6: i32 = load.32 v4 - 4
  return v6
}
func @g: program socket_filter "socket" -> i32 {
b0(v0: ptr<ctx>):
  v1: i32 = load.32 v0 + 0
  v2: i32 = packet_load.16 v1 + 2
  return v2
}
"#;
    let module = module(text);
    let run = |function, packet: &[u8], field: u8| {
        let mut world = World::new(&module);
        world.set_packet(packet);
        let context = world.add_context(&[field, 0, 0, 0, 0, 0, 0, 0]);
        interpret(&module, FuncRef(function), &[context], &mut world)
    };
    assert_eq!(run(0, &[1, 2, 3, 4], 0), Ok(Some(0x0403_0201)));
    assert_eq!(run(0, &[1, 2, 3], 0), Ok(Some(1)));
    assert_eq!(run(1, &[1, 2, 3, 4], 0), Ok(Some(0x0304)));
    assert_eq!(run(1, &[1, 2, 3, 4], 1), Ok(Some(0)), "outside of the packet a program ends");
}

/// The generator makes everything that it is for, and both outcomes of what can go two ways.
#[test]
fn the_generator_covers_the_instructions() {
    let mut kinds = Vec::new();
    let mut seen = BTreeSet::new();
    random_test(|u| {
        let data: &[u8] = u.arbitrary()?;
        let module = fuzz::module(&mut fuzz::Bytes::new(data));
        for function in &module.functions {
            for &inst in function.blocks.iter().flat_map(|&block| &function[block].insts) {
                let data = &function[inst].data;
                if !kinds.contains(&discriminant(data)) {
                    kinds.push(discriminant(data));
                }
                match data {
                    InstData::Call(callee, _) => _ = seen.insert(callee.to_string()),
                    InstData::Branch { .. } => _ = seen.insert(format!("{} names", function[inst].results.len())),
                    InstData::Atomic { op, .. } => _ = seen.insert(format!("atomic {}", op.name())),
                    InstData::Binary(op, _) => _ = seen.insert(op.name().to_owned()),
                    _ => {}
                }
            }
        }
        let (result, world) = fuzz::run(&module, &[0; 64]);
        assert!(result.is_ok());
        (0..2).for_each(|map| _ = seen.insert(format!("map {map} {}", world.entries(MapRef(map)).len().min(1))));
        Ok(())
    })
    .size_min(256)
    .size_max(4_096)
    .budget_ms(2_000);
    let expected = [
        "helper map_lookup_elem",
        "helper map_update_elem",
        "helper map_delete_elem",
        "f0",
        "f1",
        "0 names",
        "1 names",
        "2 names",
        "atomic add",
        "atomic xchg",
        "map 0 0",
        "map 0 1",
        "map 1 0",
        "map 1 1",
        "sdiv",
        "srem",
        "udiv",
        "ashr",
    ];
    for name in expected {
        assert!(seen.contains(name), "{name} is never made: {seen:?}");
    }
    // Not among them: packet loads, pointer differences and conversions, functions' addresses, constants of the kernel's
    // types, `may_goto`, `unreachable`.
    assert!(kinds.len() >= 20, "only {} kinds of instructions are made", kinds.len());
}
