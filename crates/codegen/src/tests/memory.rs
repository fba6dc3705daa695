//! Memory: addressing, constants, atomics, copies and fills, frames.

use skep_ir::{AtomicOp, Callee, InstData, Memory, Space, Type, Width};
use skep_isa::ebpf::Cpu;

use super::{PTR, check, module, options, text_of};
use crate::{Problem, compile};

const I32: Type = Type::I32;
const I64: Type = Type::I64;

#[test]
fn offsets_fold() {
    let text = text_of(Cpu::V3, &[PTR], I64, |b, v| {
        let inner = b.ptr_add_const(v[0], 40);
        let five = b.i64(5);
        let inner = b.ptr_add(inner, five);
        let value = b.load_as(I64, Width::W16, false, inner, 3);
        b.ret(Some(value));
    });
    check(&text, "r0 = *(u16 *)(r1 +48); exit");
    let text = text_of(Cpu::V3, &[PTR], I64, |b, v| {
        let inner = b.ptr_add_const(v[0], 40_000);
        let value = b.load_as(I64, Width::W64, false, inner, 0);
        b.ret(Some(value));
    });
    check(&text, "r1 += 40000; r0 = *(u64 *)(r1 +0); exit");
}

#[test]
fn stores_of_constants() {
    let text = text_of(Cpu::V3, &[PTR], I64, |b, v| {
        for (width, value) in [(Width::W8, 0x1ff), (Width::W16, -1), (Width::W32, 0xffff_ffff), (Width::W64, -2)] {
            let value = b.i64(value);
            b.store(width, v[0], 8, value);
        }
        let large = b.i64(1 << 33);
        b.store(Width::W64, v[0], 0, large);
        let zero = b.i64(0);
        b.ret(Some(zero));
    });
    check(
        &text,
        "*(u8 *)(r1 +8) = 255; *(u16 *)(r1 +8) = 65535; *(u32 *)(r1 +8) = -1; *(u64 *)(r1 +8) = -2; \
         r0 = 0x200000000 ll; *(u64 *)(r1 +0) = r0; r0 = 0; exit",
    );
}

#[test]
fn the_frame_is_an_operand() {
    let text = text_of(Cpu::V3, &[I64], I64, |b, v| {
        let (small, large) = (b.function.add_slot("small", 4, 4), b.function.add_slot("large", 12, 8));
        b.function.add_slot("unused", 400, 8);
        let (small, large) = (b.slot_addr(small), b.slot_addr(large));
        b.store(Width::W32, small, 0, v[0]);
        let inner = b.ptr_add_const(large, 4);
        b.store(Width::W32, inner, 4, v[0]);
        let key = b.ptr_add_const(large, 8);
        let found = b.call(Callee::Helper(16), &[small, key], I64);
        b.ret(Some(found));
    });
    check(
        &text,
        "*(u32 *)(r10 -8) = r1; *(u32 *)(r10 -16) = r1; r1 = r10; r1 += -8; r2 = r10; r2 += -16; call 16; exit",
    );
}

#[test]
fn signed_loads() {
    let load = |cpu, ty, width| {
        text_of(cpu, &[PTR], ty, |b, v| {
            let value = b.load_as(ty, width, true, v[0], 0);
            b.ret(Some(value));
        })
    };
    check(&load(Cpu::V4, I64, Width::W32), "r0 = *(s32 *)(r1 +0); exit");
    check(&load(Cpu::V4, I32, Width::W8), "r3 = *(u8 *)(r1 +0); w0 = (s8)w3; exit");
    check(&load(Cpu::V3, I64, Width::W16), "r0 = *(u16 *)(r1 +0); r0 <<= 48; r0 s>>= 48; exit");
    check(&load(Cpu::V3, I32, Width::W32), "r0 = *(u32 *)(r1 +0); exit");
}

#[test]
fn atomics() {
    let text = text_of(Cpu::V3, &[PTR, I64], I64, |b, v| {
        b.atomic(AtomicOp::Add, Width::W64, v[0], 8, v[1]);
        let data = InstData::Atomic { op: AtomicOp::Add, width: Width::W64, ptr: v[0], off: 0, value: v[1] };
        let inst = b.inst(data, &[I64]);
        let old = b.function[inst].results[0];
        let data = InstData::CompareExchange { width: Width::W64, ptr: v[0], off: 0, expected: old, value: v[1] };
        let inst = b.inst(data, &[I64]);
        let old = b.function[inst].results[0];
        b.ret(Some(old));
    });
    check(
        &text,
        "lock *(u64 *)(r1 +8) += r2; r0 = r2; r0 = atomic64_fetch_add((u64 *)(r1 +0), r0); \
         r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2); exit",
    );
}

#[test]
fn addresses_in_arenas() {
    let text = text_of(Cpu::V3, &[I64], I64, |b, v| {
        let cast = |b: &mut skep_ir::Builder<'_>, space, value, to| {
            let inst = b.inst(InstData::SpaceCast(space, value), &[Type::ptr(to)]);
            b.function[inst].results[0]
        };
        let kernel = cast(b, Space::Kernel, v[0], Memory::Arena);
        let next = b.load_as(I64, Width::W64, false, kernel, 8);
        b.store(Width::W64, kernel, 16, v[0]);
        let user = cast(b, Space::User, kernel, Memory::Any);
        b.store(Width::W64, kernel, 24, next);
        let inst = b.inst(InstData::PtrToInt(user), &[I64]);
        let number = b.function[inst].results[0];
        b.ret(Some(number));
    });
    check(
        &text,
        "r3 = addr_space_cast(r1, 0, 1); r5 = *(u64 *)(r3 +8); *(u64 *)(r3 +16) = r1; r0 = addr_space_cast(r3, 1, 0); \
         *(u64 *)(r3 +24) = r5; exit",
    );
}

#[test]
fn atomics_need_a_version() {
    let module = module("old", Some(I32), |b, _| {
        let slot = b.function.add_slot("x", 8, 8);
        let (ptr, value) = (b.slot_addr(slot), b.i64(1));
        b.atomic(AtomicOp::Or, Width::W64, ptr, 0, value);
        let zero = b.i32(0);
        b.ret(Some(zero));
    });
    let error = compile(&module, &options(Cpu::V2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "function `old`: an atomic operation other than addition needs version 3 of the instruction set, this is \
         compiled for 2"
    );
}

#[test]
fn copies_and_fills() {
    let text = text_of(Cpu::V3, &[PTR], I64, |b, v| {
        let slot = b.function.add_slot("x", 16, 8);
        let ptr = b.slot_addr(slot);
        b.fill(ptr, 16, 0, 1);
        b.copy(ptr, v[0], 7, 4);
        let zero = b.i64(0);
        b.ret(Some(zero));
    });
    check(
        &text,
        "*(u64 *)(r10 -16) = 0; *(u64 *)(r10 -8) = 0; r5 = *(u32 *)(r1 +0); *(u32 *)(r10 -16) = r5; \
         r0 = *(u16 *)(r1 +4); *(u16 *)(r10 -12) = r0; r0 = *(u8 *)(r1 +6); *(u8 *)(r10 -10) = r0; r0 = 0; exit",
    );
}

#[test]
fn long_copies_are_loops() {
    let text = text_of(Cpu::V3, &[PTR, PTR], I64, |b, v| {
        b.copy(v[0], v[1], 1001, 8);
        let zero = b.i64(0);
        b.ret(Some(zero));
    });
    check(
        &text,
        "r0 = 0; r4 = r2; r4 += r0; r3 = r1; r3 += r0; r4 = *(u64 *)(r4 +0); *(u64 *)(r3 +0) = r4; r0 += 8; \
         if r0 != 1000 goto -8; r0 = *(u8 *)(r2 +1000); *(u8 *)(r1 +1000) = r0; r0 = 0; exit",
    );
}

#[test]
fn packet_loads() {
    let module = module("f", Some(I32), |b, _| {
        let inst = b.inst(InstData::PacketLoad { width: Width::W16, base: None, k: 12 }, &[I32]);
        let kind = b.function[inst].results[0];
        let inst = b.inst(InstData::PacketLoad { width: Width::W8, base: Some(kind), k: 2 }, &[I32]);
        let value = b.function[inst].results[0];
        b.ret(Some(value));
    });
    check(&super::program_text(&module, Cpu::V3), "r6 = r1; r0 = *(u16 *)skb[12]; r0 = *(u8 *)skb[r0 + 2]; exit");
}

#[test]
fn too_large_a_frame() {
    // The objects alone fit, with the registers that the frame keeps over the call they do not.
    let module = module("big", Some(I32), |b, _| {
        let objects = [("names", 300), ("values", 200)].map(|(name, size)| {
            let slot = b.function.add_slot(name, size, 8);
            let ptr = b.slot_addr(slot);
            b.fill(ptr, size, 0, 8);
            ptr
        });
        let values: Vec<_> = (0..9).map(|_| b.call(Callee::Helper(5), &[], I64)).collect();
        let mut sum = b.i64(0);
        for value in values.into_iter().rev() {
            sum = b.binary(skep_ir::Binary::Xor, sum, value);
        }
        let sum = b.unary(skep_ir::Unary::Truncate, sum);
        // Both are still in use.
        objects.into_iter().for_each(|ptr| b.fill(ptr, 8, 0, 8));
        b.ret(Some(sum));
    });
    let error = compile(&module, &options(Cpu::V3)).unwrap_err();
    assert!(matches!(error.problem, Problem::Stack { total: 544, .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "function `big`: 544 bytes of stack are needed, there are 512; the largest objects:\n   300 bytes: `names` in \
         `big`\n   200 bytes: `values` in `big`\n    32 bytes: `spilled registers` in `big`\nmove large objects to a map, \
         a per-CPU array with one entry for example"
    );
}
