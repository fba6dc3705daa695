//! What random functions do not have, in the running kernel: it accepts the code and computes the expected result.

use skep_ir::{
    Binary, Builder, Callee, Cond, Edge, FuncKind, FuncRef, Function, Global, GlobalRef, InstData, MapDecl, MapRef,
    Memory, Module, Type, Value, Width,
};
use skep_isa::ebpf::{self, Cpu};
use skep_isa::{MapType, ProgType};
use skep_kernel::{KernelError, LoadError};

use super::{info, module, options, skip, validate};
use crate::compile;

const I32: Type = Type::I32;
const I64: Type = Type::I64;
/// The packet of all runs: an Ethernet header of an IPv4 packet, then its bytes by number.
const PACKET: [u8; 64] = {
    let mut packet = [0; 64];
    let mut at = 0;
    while at < 64 {
        packet[at] = at as u8;
        at += 1;
    }
    packet[12] = 8;
    packet[13] = 0;
    packet
};

/// Runs the first program of a module in the kernel for each version of the instruction set.
#[track_caller]
fn expect(module: &Module, versions: &[Cpu], expected: u32) {
    for &cpu in versions {
        let object = compile(module, &options(cpu)).unwrap_or_else(|error| panic!("{error}"));
        validate(&object);
        match skep_kernel::load(&object) {
            Ok(loaded) => {
                let run = loaded.programs[0].test_run(&PACKET, 1).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(run.result, expected, "{cpu:?}");
            }
            Err(LoadError::Program { error: KernelError::Rejected { reason, log, .. }, .. }) => {
                let text = ebpf::disassemble(&object.programs[0].insns).unwrap();
                let log: Vec<&str> = log.text().lines().rev().take(30).collect();
                panic!("{cpu:?}: {reason}\n{}\n{}", log.join("\n"), &text[..text.len().min(3_000)])
            }
            Err(error) => return skip(&error.to_string()),
        }
    }
}

const ALL: &[Cpu] = &[Cpu::V1, Cpu::V2, Cpu::V3, Cpu::V4];

fn add_object(module: &mut Module, bytes: usize) {
    let bytes = (0..bytes).map(|byte| byte as u8).collect();
    module.add_global(Global { name: "object".into(), section: ".data".into(), bytes, align: 8, ty: 0 });
}

#[test]
fn long_copies_and_fills() {
    let mut module = module("f", Some(I32), |b, _| {
        let slot = b.function.add_slot("buffer", 304, 8);
        let (slot, global) = (b.slot_addr(slot), b.global_addr(GlobalRef(0)));
        b.fill(slot, 304, 0x11, 8);
        b.copy(slot, global, 203, 1);
        let far = b.ptr_add_const(global, 400);
        b.copy(far, slot, 304, 8);
        let copied = b.load(Width::W32, far, 200);
        let byte = b.load(Width::W8, far, 303);
        let sum = b.binary(Binary::Add, copied, byte);
        b.ret(Some(sum));
    });
    add_object(&mut module, 1000);
    expect(&module, ALL, 0x11ca_c9c8 + 0x11);
}

#[test]
fn loops_by_callback() {
    let mut module = module("f", Some(I32), |b, _| {
        let (rounds, flags) = (b.i64(7), b.i64(0));
        let callback = b.func_addr(FuncRef(1));
        let slot = b.function.add_slot("sum", 8, 8);
        let sum = b.slot_addr(slot);
        let zero = b.i64(0);
        b.store(Width::W64, sum, 0, zero);
        b.call_void(Callee::Helper(181), &[rounds, callback, sum, flags]);
        let global = b.global_addr(GlobalRef(0));
        let value = b.load(Width::W32, global, 0);
        b.ret(Some(value));
    });
    add_object(&mut module, 4);
    let mut each = Function::new("each", FuncKind::Callback, &[I32, Type::ptr(Memory::Stack)], Some(I64));
    let index = each.params()[0];
    let mut b = Builder::new(&mut each);
    let global = b.global_addr(GlobalRef(0));
    b.store(Width::W32, global, 0, index);
    let wide = b.unary(skep_ir::Unary::Extend, index);
    let five = b.i64(5);
    let stop = b.compare(Cond::Uge, wide, five);
    b.ret(Some(stop));
    module.add_function(each);
    expect(&module, &[Cpu::V3, Cpu::V4], 5);
}

#[test]
fn loops_that_may_be_left() {
    let module = module("f", Some(I32), |b, _| {
        let (head, body, out) = (b.block(&[I32]), b.block(&[]), b.block(&[]));
        let zero = b.i32(0);
        b.jump(head, &[zero]);
        b.switch_to(head);
        let count = b.param(head, 0);
        b.inst(InstData::MayGoto { next: Edge::to(body), done: Edge::to(out) }, &[]);
        b.switch_to(body);
        let next = b.binary_const(Binary::Add, count, 3);
        let again = b.block(&[]);
        let limit = b.i32(9_000);
        b.branch(Cond::Ult, next, limit, again, out);
        b.switch_to(again);
        b.jump(head, &[next]);
        b.switch_to(out);
        b.ret(Some(count));
    });
    expect(&module, &[Cpu::V4], 8_997);
}

#[test]
fn packets() {
    // The kernel takes the Ethernet header off for socket filters.
    let module = module("f", Some(I32), |b, _| {
        let load = |b: &mut Builder<'_>, width, base: Option<Value>, k| {
            let inst = b.inst(InstData::PacketLoad { width, base, k }, &[I32]);
            b.function[inst].results[0]
        };
        let first = load(b, Width::W8, None, 0);
        b.call_void(Callee::Helper(5), &[]);
        let second = load(b, Width::W16, Some(first), 2);
        let sum = b.binary(Binary::Add, first, second);
        b.ret(Some(sum));
    });
    expect(&module, ALL, 14 + 0x1e1f);
}

#[test]
fn lookups_that_are_checked() {
    let mut module = module("f", Some(I32), |b, _| {
        let map = b.map_addr(MapRef(0));
        let slot = b.function.add_slot("key", 4, 4);
        let (key, one) = (b.slot_addr(slot), b.i32(1));
        b.store(Width::W32, key, 0, one);
        let nullable = Type::nullable(Memory::MapValue(MapRef(0)));
        let found = b.call(Callee::Helper(1), &[map, key], nullable);
        let null = b.null(Memory::MapValue(MapRef(0)));
        let (none, some) = (b.block(&[]), b.block(&[]));
        let found = b.branch_refining(Cond::Eq, found, null, none, some);
        b.switch_to(none);
        let zero = b.i32(0);
        b.ret(Some(zero));
        b.switch_to(some);
        // A limit that is known only here, for an index that a call keeps in the frame or a register.
        let index = b.load_as(I64, Width::W64, false, found, 8);
        let inside = b.block(&[]);
        let last = b.i64(15);
        let index = b.branch_refining(Cond::Ugt, index, last, none, inside);
        b.switch_to(inside);
        let times: Vec<Value> = (0..6).map(|_| b.call(Callee::Helper(5), &[], I64)).collect();
        let place = b.ptr_add(found, index);
        let value = b.load(Width::W8, place, 0);
        // The times are kept until here: not all of them fit into registers.
        let latest = times.into_iter().reduce(|sum, time| b.binary(Binary::Or, sum, time)).unwrap();
        b.store(Width::W64, found, 16, latest);
        b.ret(Some(value));
    });
    let mut map = MapDecl::new("values", MapType::Array, 4, 32, 2);
    map.contents =
        vec![(vec![1, 0, 0, 0], [[9, 8, 7, 6, 5, 42, 3, 2], [5, 0, 0, 0, 0, 0, 0, 0], [0; 8], [0; 8]].concat())];
    module.add_map(map);
    expect(&module, ALL, 42);
}

#[test]
fn jumps_over_long_code() {
    let long = |stores: u32| {
        module("long", Some(I32), |b, ctx| {
            let slot = b.function.add_slot("x", 8, 8);
            let ptr = b.slot_addr(slot);
            let (far, near) = (b.block(&[I32]), b.block(&[]));
            let (length, limit) = (b.load(Width::W32, ctx, 0), b.i32(1));
            let (yes, no) = (Edge { block: far, args: vec![length] }, Edge::to(near));
            b.inst(InstData::Branch { cond: Cond::Ugt, args: [length, limit], yes, no }, &[]);
            b.switch_to(near);
            for number in 0..stores {
                let value = b.i64(number.into());
                b.store(Width::W64, ptr, 0, value);
            }
            let none = b.i32(0);
            b.jump(far, &[none]);
            b.switch_to(far);
            let result = b.param(far, 0);
            b.ret(Some(result));
        })
    };
    expect(&long(70_000), ALL, 50);
}

#[test]
fn functions_of_several_programs() {
    let mut module = Module::new("GPL");
    let mut part = Function::new("part", FuncKind::Static, &[I64, I64, I64, I64, I64], Some(I64));
    let params = part.params().to_vec();
    let mut b = Builder::new(&mut part);
    let sum = params.into_iter().reduce(|sum, value| b.binary(Binary::Sub, sum, value)).unwrap();
    b.ret(Some(sum));
    let part = module.add_function(part);
    for (name, prog_type) in [("xdp", ProgType::Xdp), ("tc", ProgType::SchedCls)] {
        let mut func = Function::new(name, info(prog_type), &[Type::ptr(Memory::Context)], Some(I32));
        let mut b = Builder::new(&mut func);
        let args: Vec<Value> = [100, 1, 2, 3, 4].map(|number| b.i64(number)).to_vec();
        let first = b.call(Callee::Func(part), &args, I64);
        let second = b.call(Callee::Func(part), &[first, first, first, args[1], args[1]], I64);
        let sum = b.binary(Binary::Add, first, second);
        let sum = b.unary(skep_ir::Unary::Truncate, sum);
        b.ret(Some(sum));
        module.add_function(func);
    }
    // 100 - 10, then 90 - 90 - 90 - 1 - 1, added.
    expect(&module, ALL, (90i32 - 92).cast_unsigned());
}
