//! Rules for integers.

use skep_ir::{Binary, InstData, Type, Unary, Value};

use super::{New, Rewriter};
use crate::fold;
use crate::util::normal;

/// Rules for one operand.
pub fn unary(rewriter: &Rewriter, op: Unary, value: Value, ty: Type) -> Option<New> {
    let from = rewriter.function.ty(value);
    if let Some(number) = rewriter.constant(value) {
        return Some(New::Const(fold::unary(op, number, from, ty)));
    }
    let &InstData::Unary(inner, source) = rewriter.def(value)? else { return None };
    let source_ty = rewriter.function.ty(source);
    match (op, inner) {
        // What was extended is cut again, or undone.
        (Unary::Truncate, Unary::Extend | Unary::Sext32) if source_ty == ty => Some(New::Value(source)),
        (Unary::Neg, Unary::Neg) | (Unary::Swap64, Unary::Swap64) => Some(New::Value(source)),
        (Unary::Swap32, Unary::Swap32) if ty == Type::I32 => Some(New::Value(source)),
        // What is extended already.
        (Unary::Sext8, Unary::Sext8) | (Unary::Sext16, Unary::Sext8 | Unary::Sext16) => Some(New::Value(value)),
        (Unary::Sext32, Unary::Sext32 | Unary::Sext8 | Unary::Sext16) if from == ty => Some(New::Value(value)),
        // The lower bits decide.
        (Unary::Sext8, Unary::Sext16) => Some(New::Data(InstData::Unary(op, source))),
        (Unary::Sext32, Unary::Extend) => Some(New::Data(InstData::Unary(op, source))),
        (Unary::Sext32, Unary::Truncate) => Some(New::Data(InstData::Unary(op, source))),
        _ => None,
    }
}

/// Rules for two operands.
pub fn binary(rewriter: &mut Rewriter, op: Binary, [left, right]: [Value; 2], ty: Type) -> Option<New> {
    match (rewriter.constant(left), rewriter.constant(right)) {
        (Some(first), Some(second)) => Some(New::Const(fold::binary(op, first, second, ty))),
        (Some(_), None) if op.commutes() => Some(New::Data(InstData::Binary(op, [right, left]))),
        (Some(first), None) => zero_on_the_left(op, first),
        (None, Some(second)) => with_number(rewriter, op, left, second, ty),
        (None, None) if left == right => with_itself(op, left),
        (None, None) => None,
    }
}

fn zero_on_the_left(op: Binary, number: i64) -> Option<New> {
    let zero = matches!(
        op,
        Binary::Udiv | Binary::Sdiv | Binary::Urem | Binary::Srem | Binary::Shl | Binary::Lshr | Binary::Ashr
    );
    (zero && number == 0).then_some(New::Const(0))
}

const fn with_itself(op: Binary, value: Value) -> Option<New> {
    match op {
        // The remainder by itself is 0, also that of 0.
        Binary::Sub | Binary::Xor | Binary::Urem | Binary::Srem => Some(New::Const(0)),
        Binary::And | Binary::Or => Some(New::Value(value)),
        _ => None,
    }
}

fn with_number(rewriter: &mut Rewriter, op: Binary, value: Value, number: i64, ty: Type) -> Option<New> {
    let all = normal(-1, ty);
    match (op, number) {
        (Binary::Add | Binary::Sub | Binary::Or | Binary::Xor | Binary::Shl | Binary::Lshr | Binary::Ashr, 0)
        | (Binary::Mul | Binary::Udiv | Binary::Sdiv, 1)
        | (Binary::Urem | Binary::Srem, 0) => return Some(New::Value(value)),
        (Binary::And, mask) if mask == all => return Some(New::Value(value)),
        (Binary::Mul | Binary::And | Binary::Udiv | Binary::Sdiv, 0) | (Binary::Urem | Binary::Srem, 1) => {
            return Some(New::Const(0));
        }
        (Binary::Or, mask) if mask == all => return Some(New::Const(all)),
        (Binary::Srem, mask) if mask == all => return Some(New::Const(0)),
        _ => {}
    }
    if matches!(op, Binary::Shl | Binary::Lshr | Binary::Ashr) {
        // A count beyond the width is an error of the verifier.
        let count = number & i64::from(ty.bits() - 1);
        return (count != number).then(|| New::Data(rewriter.binary(op, value, count)));
    }
    power_of_two(rewriter, op, value, number, ty).or_else(|| twice(rewriter, op, value, number, ty))
}

/// Multiplication, division and remainder by a power of two. The verifier knows nothing about quotients and remainders,
/// and all about masks and shifts.
fn power_of_two(rewriter: &mut Rewriter, op: Binary, value: Value, number: i64, ty: Type) -> Option<New> {
    if number.count_ones() != 1 {
        return None;
    }
    let exponent = i64::from(number.trailing_zeros());
    let data = match op {
        Binary::Mul => rewriter.binary(Binary::Shl, value, exponent),
        Binary::Udiv => rewriter.binary(Binary::Lshr, value, exponent),
        Binary::Urem => rewriter.binary(Binary::And, value, number.wrapping_sub(1)),
        // The most negative number is a power of two without sign only.
        Binary::Sdiv | Binary::Srem if exponent < i64::from(ty.bits()) - 1 => {
            signed_power_of_two(rewriter, op, value, exponent, ty)
        }
        _ => return None,
    };
    Some(New::Data(data))
}

/// Division toward zero: numbers below zero get the divisor minus one added before the shift.
fn signed_power_of_two(rewriter: &mut Rewriter, op: Binary, value: Value, exponent: i64, ty: Type) -> InstData {
    let bits = i64::from(ty.bits());
    let sign = rewriter.binary(Binary::Ashr, value, bits - 1);
    let sign = rewriter.emit(sign, ty);
    let bias = rewriter.binary(Binary::Lshr, sign, bits - exponent);
    let bias = rewriter.emit(bias, ty);
    let sum = rewriter.emit(InstData::Binary(Binary::Add, [value, bias]), ty);
    if op == Binary::Sdiv {
        return rewriter.binary(Binary::Ashr, sum, exponent);
    }
    let whole = rewriter.binary(Binary::And, sum, -1i64 << exponent);
    let whole = rewriter.emit(whole, ty);
    InstData::Binary(Binary::Sub, [value, whole])
}

/// The same operation with two numbers one after the other, and tests of comparisons.
fn twice(rewriter: &mut Rewriter, op: Binary, value: Value, number: i64, ty: Type) -> Option<New> {
    match *rewriter.def(value)? {
        InstData::Binary(inner, [source, second]) if inner == op && rewriter.used_once(value) => {
            if !matches!(op, Binary::Add | Binary::And | Binary::Or | Binary::Xor) {
                return None;
            }
            let second = rewriter.constant(second)?;
            Some(New::Data(rewriter.binary(op, source, fold::binary(op, number, second, ty))))
        }
        // A comparison gives 0 or 1.
        InstData::Compare(..) if op == Binary::And && number & 1 == 1 => Some(New::Value(value)),
        InstData::Compare(cond, args) if op == Binary::Xor && number == 1 => {
            Some(New::Data(InstData::Compare(cond.negated()?, args)))
        }
        _ => None,
    }
}
