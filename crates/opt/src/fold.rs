//! The value of operations on constants, as `skep_ir::eval` computes it, for numbers as constants are written.

use skep_ir::{Binary, Cond, Type, Unary, eval};

use crate::util::normal;

/// The result of a unary operation. `from` is the type of the operand, `to` that of the result.
pub fn unary(op: Unary, number: i64, from: Type, to: Type) -> i64 {
    eval::unary(op, to, normal(number, from).cast_unsigned()).cast_signed()
}

/// The result of a binary operation on numbers of a type.
pub fn binary(op: Binary, left: i64, right: i64, ty: Type) -> i64 {
    let (left, right) = (normal(left, ty), normal(right, ty));
    normal(eval::binary(op, ty, left.cast_unsigned(), right.cast_unsigned()).cast_signed(), ty)
}

/// Whether a comparison of two numbers of a type holds.
pub fn compare(cond: Cond, left: i64, right: i64, ty: Type) -> bool {
    eval::compare(cond, ty, normal(left, ty).cast_unsigned(), normal(right, ty).cast_unsigned())
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
