//! What operators compute. Constant folding and the interpreter share this; the arithmetic is that of the instruction
//! set (`skep_isa::ebpf`).
//!
//! A value is a register: an `i32` has zeros in the upper half, always.

use skep_isa::ebpf::{Endian, Order, Size, Width as RegisterWidth};

use crate::op::{AtomicOp, Binary, Cond, Unary, Width};
use crate::types::Type;

const fn register(ty: Type) -> RegisterWidth {
    match ty {
        Type::I32 => RegisterWidth::W32,
        Type::I64 | Type::Ptr(_) => RegisterWidth::W64,
    }
}

/// A number cut to a type.
pub const fn cut(ty: Type, value: u64) -> u64 {
    match ty {
        Type::I32 => value as u32 as u64,
        Type::I64 | Type::Ptr(_) => value,
    }
}

/// The result of an operator with one operand, for a result of type `ty`.
///
/// ```
/// use skep_ir::{Type, Unary, eval};
///
/// assert_eq!(eval::unary(Unary::Sext8, Type::I32, 0x80), 0xffff_ff80);
/// assert_eq!(eval::unary(Unary::Sext32, Type::I64, 0x8000_0000), 0xffff_ffff_8000_0000);
/// ```
pub const fn unary(op: Unary, ty: Type, value: u64) -> u64 {
    cut(
        ty,
        match op {
            Unary::Neg => value.wrapping_neg(),
            Unary::Extend | Unary::Truncate => value as u32 as u64,
            Unary::Sext8 => value as i8 as u64,
            Unary::Sext16 => value as i16 as u64,
            Unary::Sext32 => value as i32 as u64,
            Unary::Swap16 => Order::Swap.eval(Endian::Little, Size::H, value),
            Unary::Swap32 => Order::Swap.eval(Endian::Little, Size::W, value),
            Unary::Swap64 => Order::Swap.eval(Endian::Little, Size::DW, value),
        },
    )
}

/// The result of an operator with two operands of type `ty`.
pub const fn binary(op: Binary, ty: Type, left: u64, right: u64) -> u64 {
    op.alu().eval(register(ty), left, right)
}

/// Whether a comparison of two operands of type `ty` holds.
pub const fn compare(cond: Cond, ty: Type, left: u64, right: u64) -> bool {
    cond.jump().eval(register(ty), left, right)
}

/// What a load of so many bytes gives for bytes with this value.
pub const fn load(width: Width, signed: bool, ty: Type, bytes: u64) -> u64 {
    let unused = 64 - 8 * width.bytes();
    let value = bytes << unused;
    cut(ty, if signed { (value as i64 >> unused) as u64 } else { value >> unused })
}

/// What an atomic operation writes.
pub const fn atomic(op: AtomicOp, old: u64, operand: u64) -> u64 {
    match op {
        AtomicOp::Add => old.wrapping_add(operand),
        AtomicOp::And => old & operand,
        AtomicOp::Or => old | operand,
        AtomicOp::Xor => old ^ operand,
        AtomicOp::Xchg => operand,
    }
}
