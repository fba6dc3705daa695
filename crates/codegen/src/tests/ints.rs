//! Arithmetic.

use skep_ir::{Binary, Builder, Type, Unary, Value};
use skep_isa::ebpf::Cpu;

use super::{check, text_of};

const I32: Type = Type::I32;
const I64: Type = Type::I64;

#[track_caller]
fn two(cpu: Cpu, ty: Type, op: Binary, expected: &str) {
    let text = text_of(cpu, &[ty, ty], ty, |b, v| {
        let value = b.binary(op, v[0], v[1]);
        b.ret(Some(value));
    });
    check(&text, expected);
}

#[track_caller]
fn constant(cpu: Cpu, ty: Type, op: Binary, right: i64, expected: &str) {
    let text = text_of(cpu, &[ty], ty, |b, v| {
        let value = b.binary_const(op, v[0], right);
        b.ret(Some(value));
    });
    check(&text, expected);
}

#[track_caller]
fn one(cpu: Cpu, from: Type, to: Type, op: Unary, expected: &str) {
    let text = text_of(cpu, &[from], to, |b: &mut Builder<'_>, v: &[Value]| {
        let inst = b.inst(skep_ir::InstData::Unary(op, v[0]), &[to]);
        let value = b.function[inst].results[0];
        b.ret(Some(value));
    });
    check(&text, expected);
}

#[test]
fn two_operands() {
    two(Cpu::V3, I64, Binary::Add, "r0 = r1; r0 += r2; exit");
    two(Cpu::V3, I32, Binary::Xor, "r0 = r1; w0 ^= w2; exit");
    two(Cpu::V4, I64, Binary::Sdiv, "r0 = r1; r0 s/= r2; exit");
    two(Cpu::V4, I32, Binary::Srem, "r0 = r1; w0 s%= w2; exit");
    two(Cpu::V1, I32, Binary::Ashr, "r0 = r1; w0 s>>= w2; exit");
}

#[test]
fn constants_are_operands() {
    constant(Cpu::V3, I64, Binary::And, 255, "r0 = r1; r0 &= 255; exit");
    constant(Cpu::V3, I64, Binary::Sub, 7, "r0 = r1; r0 += -7; exit");
    constant(Cpu::V3, I64, Binary::Sub, i32::MIN.into(), "r0 = r1; r0 -= -2147483648; exit");
    constant(Cpu::V3, I32, Binary::And, 0xffff_fff0, "r0 = r1; w0 &= -16; exit");
    constant(Cpu::V3, I64, Binary::And, 0xffff_fff0, "w3 = -16; r0 = r1; r0 &= r3; exit");
    constant(Cpu::V3, I64, Binary::Mul, 1 << 40, "r3 = 0x10000000000 ll; r0 = r1; r0 *= r3; exit");
}

#[test]
fn what_the_verifier_refuses_as_a_constant() {
    constant(Cpu::V3, I64, Binary::Shl, 67, "r0 = r1; r0 <<= 3; exit");
    constant(Cpu::V3, I32, Binary::Lshr, 33, "r0 = r1; w0 >>= 1; exit");
    constant(Cpu::V3, I64, Binary::Udiv, 0, "r0 = 0; exit");
    constant(Cpu::V3, I64, Binary::Urem, 0, "r0 = r1; exit");
    constant(Cpu::V3, I32, Binary::Srem, 0, "w0 = w1; exit");
}

#[test]
fn signed_division_below_version_4() {
    constant(
        Cpu::V3,
        I64,
        Binary::Sdiv,
        10,
        "r0 = r1; if r1 s>= 0 goto +1; r0 = -r0; r0 /= 10; if r1 s>= 0 goto +1; r0 = -r0; exit",
    );
    // The sign of 32 bits without 32-bit jumps.
    constant(
        Cpu::V2,
        I32,
        Binary::Srem,
        -3,
        "r0 = r1; if r1 & -2147483648 goto +1; goto +1; w0 = -w0; w0 %= 3; \
         if r1 & -2147483648 goto +1; goto +1; w0 = -w0; exit",
    );
}

#[test]
fn extensions() {
    one(Cpu::V3, I32, I64, Unary::Extend, "r0 = r1; exit");
    one(Cpu::V3, I64, I32, Unary::Truncate, "w0 = w1; exit");
    one(Cpu::V4, I32, I32, Unary::Sext8, "w0 = (s8)w1; exit");
    one(Cpu::V4, I64, I64, Unary::Sext16, "r0 = (s16)r1; exit");
    one(Cpu::V4, I32, I64, Unary::Sext32, "r0 = (s32)r1; exit");
    one(Cpu::V3, I32, I64, Unary::Sext32, "r1 <<= 32; r0 = r1; r0 s>>= 32; exit");
    one(Cpu::V3, I32, I32, Unary::Sext8, "w1 <<= 24; r0 = r1; w0 s>>= 24; exit");
    one(Cpu::V3, I64, I64, Unary::Sext16, "r1 <<= 48; r0 = r1; r0 s>>= 48; exit");
}

#[test]
fn truncations_that_nobody_sees() {
    let text = text_of(Cpu::V3, &[I64], I32, |b, v| {
        let low = b.unary(Unary::Truncate, v[0]);
        let sum = b.binary_const(Binary::Add, low, 1);
        b.ret(Some(sum));
    });
    check(&text, "r0 = r1; w0 += 1; exit");
    let text = text_of(Cpu::V3, &[I64], I32, |b, v| {
        let shifted = b.binary_const(Binary::Lshr, v[0], 40);
        let low = b.unary(Unary::Truncate, shifted);
        b.ret(Some(low));
    });
    check(&text, "r0 = r1; r0 >>= 40; exit");
}

#[test]
fn swaps_and_negation() {
    one(Cpu::V3, I32, I32, Unary::Swap16, "r0 = r1; r0 = be16 r0; exit");
    one(Cpu::V4, I32, I32, Unary::Swap32, "r0 = r1; r0 = bswap32 r0; exit");
    one(Cpu::V4, I64, I64, Unary::Swap64, "r0 = r1; r0 = bswap64 r0; exit");
    one(Cpu::V3, I64, I64, Unary::Neg, "r0 = r1; r0 = -r0; exit");
    one(Cpu::V3, I32, I32, Unary::Neg, "r0 = r1; w0 = -w0; exit");
}

#[test]
fn numbers() {
    let number = |value| {
        text_of(Cpu::V3, &[], I64, |b, _| {
            let value = b.i64(value);
            b.ret(Some(value));
        })
    };
    check(&number(-1), "r0 = -1; exit");
    check(&number(0xffff_ffff), "w0 = -1; exit");
    check(&number(0x1_0000_0000), "r0 = 0x100000000 ll; exit");
}

#[test]
fn dead_code_is_left_out() {
    let text = text_of(Cpu::V3, &[I64], I64, |b, v| {
        let unused = b.binary_const(Binary::Mul, v[0], 3);
        b.binary(Binary::Add, unused, v[0]);
        b.ret(Some(v[0]));
    });
    check(&text, "r0 = r1; exit");
}
