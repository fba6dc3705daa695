//! The value of operations on constants: the semantics of the instruction set (RFC 9669) as `skep_ir` states them.

use skep_ir::{Binary, Cond, Type, Unary};

use crate::util::normal;

/// The lower half of a number.
#[allow(clippy::cast_possible_truncation)] // The lower half is what is meant.
pub const fn low(number: i64) -> u32 {
    number as u32
}

/// The result of a unary operation. `from` is the type of the operand, `to` that of the result.
pub fn unary(op: Unary, number: i64, from: Type, to: Type) -> i64 {
    let number = normal(number, from);
    let sext = |bits: u32| number << (64 - bits) >> (64 - bits);
    let result = match op {
        Unary::Neg => number.wrapping_neg(),
        Unary::Extend | Unary::Truncate => number & 0xffff_ffff,
        Unary::Sext8 => sext(8),
        Unary::Sext16 => sext(16),
        Unary::Sext32 => sext(32),
        Unary::Swap16 => (number.swap_bytes() >> 48) & 0xffff,
        Unary::Swap32 => (number.swap_bytes() >> 32) & 0xffff_ffff,
        Unary::Swap64 => number.swap_bytes(),
    };
    normal(result, to)
}

/// The result of a binary operation on numbers of a type.
pub fn binary(op: Binary, left: i64, right: i64, ty: Type) -> i64 {
    let (left, right) = (normal(left, ty), normal(right, ty));
    let half = ty == Type::I32;
    let signed = |number: i64| if half { i64::from(low(number).cast_signed()) } else { number };
    let (u_left, u_right) = (left.cast_unsigned(), right.cast_unsigned());
    let count = low(right) & (ty.bits() - 1);
    let result = match op {
        Binary::Add => left.wrapping_add(right),
        Binary::Sub => left.wrapping_sub(right),
        Binary::Mul => left.wrapping_mul(right),
        Binary::Udiv => u_left.checked_div(u_right).unwrap_or(0).cast_signed(),
        Binary::Urem => u_left.checked_rem(u_right).unwrap_or(u_left).cast_signed(),
        Binary::Sdiv if right == 0 => 0,
        Binary::Sdiv => signed(left).wrapping_div(signed(right)),
        Binary::Srem if right == 0 => left,
        Binary::Srem => signed(left).wrapping_rem(signed(right)),
        Binary::And => left & right,
        Binary::Or => left | right,
        Binary::Xor => left ^ right,
        Binary::Shl => left << count,
        Binary::Lshr => (u_left >> count).cast_signed(),
        Binary::Ashr => signed(left) >> count,
    };
    normal(result, ty)
}

/// Whether a comparison of two numbers of a type holds.
pub fn compare(cond: Cond, left: i64, right: i64, ty: Type) -> bool {
    let (left, right) = (normal(left, ty), normal(right, ty));
    let (u_left, u_right) = (left.cast_unsigned(), right.cast_unsigned());
    let signed = |number: i64| if ty == Type::I32 { i64::from(low(number).cast_signed()) } else { number };
    match cond {
        Cond::Eq => left == right,
        Cond::Ne => left != right,
        Cond::Ult => u_left < u_right,
        Cond::Ule => u_left <= u_right,
        Cond::Ugt => u_left > u_right,
        Cond::Uge => u_left >= u_right,
        Cond::Slt => signed(left) < signed(right),
        Cond::Sle => signed(left) <= signed(right),
        Cond::Sgt => signed(left) > signed(right),
        Cond::Sge => signed(left) >= signed(right),
        Cond::Set => left & right != 0,
    }
}

/// What a comparison of a value with itself gives, if that is always the same.
pub const fn compare_same(cond: Cond) -> Option<bool> {
    match cond {
        Cond::Eq | Cond::Ule | Cond::Uge | Cond::Sle | Cond::Sge => Some(true),
        Cond::Ne | Cond::Ult | Cond::Ugt | Cond::Slt | Cond::Sgt => Some(false),
        Cond::Set => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_of_the_instruction_set() {
        assert_eq!(binary(Binary::Udiv, 7, 0, Type::I64), 0);
        assert_eq!(binary(Binary::Urem, -7, 0, Type::I64), -7);
        assert_eq!(binary(Binary::Srem, -7, 0, Type::I32), 0xffff_fff9);
        assert_eq!(binary(Binary::Sdiv, i64::MIN, -1, Type::I64), i64::MIN);
        assert_eq!(binary(Binary::Sdiv, 0x8000_0000, 0xffff_ffff, Type::I32), 0x8000_0000);
        assert_eq!(binary(Binary::Shl, 1, 33, Type::I32), 2);
        assert_eq!(binary(Binary::Ashr, 0x8000_0000, 31, Type::I32), 0xffff_ffff);
        assert_eq!(binary(Binary::Lshr, -1, 63, Type::I64), 1);
        assert_eq!(unary(Unary::Sext8, 0x80, Type::I32, Type::I32), 0xffff_ff80);
        assert_eq!(unary(Unary::Sext32, 0x8000_0000, Type::I32, Type::I64), -0x8000_0000);
        assert_eq!(unary(Unary::Swap16, 0x1234_5678, Type::I32, Type::I32), 0x7856);
        assert_eq!(unary(Unary::Swap32, 0x1234_5678, Type::I64, Type::I64), 0x7856_3412);
        assert!(compare(Cond::Slt, 0xffff_ffff, 0, Type::I32));
        assert!(!compare(Cond::Slt, 0xffff_ffff, 0, Type::I64));
        assert!(compare(Cond::Ult, 0, -1, Type::I64));
    }
}
