//! Values of constant expressions.

use skep_diag::Span;

use crate::ast::{BinaryOp, Expr, ExprKind, UnaryOp};

/// What names and other things stand for in a constant expression; `None` leaves it to [`evaluate`].
pub type Lookup<'a> = dyn Fn(&Expr) -> Option<Result<i128, String>> + 'a;

/// The value of an expression of numbers and operators, as C computes it but without overflow.
///
/// # Errors
/// Where it has no value, and why.
pub fn evaluate(expr: &Expr, lookup: &Lookup<'_>) -> Result<i128, (Span, String)> {
    if let Some(value) = lookup(expr) {
        return value.map_err(|message| (expr.span, message));
    }
    match &expr.node {
        ExprKind::Int { value, .. } => Ok(i128::from(*value)),
        ExprKind::Bool(value) => Ok(i128::from(*value)),
        ExprKind::Comptime(inner) => evaluate(inner, lookup),
        ExprKind::Unary { op, operand } => {
            let value = evaluate(operand, lookup)?;
            match op {
                UnaryOp::Neg => value.checked_neg().ok_or_else(|| (expr.span, TOO_LARGE.into())),
                UnaryOp::Not => Ok(i128::from(value == 0)),
                UnaryOp::BitNot => Ok(!value),
                UnaryOp::Deref | UnaryOp::Address => Err((expr.span, NOT_CONSTANT.into())),
            }
        }
        ExprKind::Binary { op: BinaryOp::And, left, right } => {
            Ok(i128::from(evaluate(left, lookup)? != 0 && evaluate(right, lookup)? != 0))
        }
        ExprKind::Binary { op: BinaryOp::Or, left, right } => {
            Ok(i128::from(evaluate(left, lookup)? != 0 || evaluate(right, lookup)? != 0))
        }
        ExprKind::Binary { op, left, right } => {
            let (left, right) = (evaluate(left, lookup)?, evaluate(right, lookup)?);
            binary(*op, left, right).map_err(|message| (expr.span, message.into()))
        }
        ExprKind::Ternary { cond, yes, no } => {
            let value = evaluate(cond, lookup)?;
            match (value != 0, yes) {
                (true, Some(yes)) => evaluate(yes, lookup),
                (true, None) => Ok(value),
                (false, _) => evaluate(no, lookup),
            }
        }
        _ => Err((expr.span, NOT_CONSTANT.into())),
    }
}

const TOO_LARGE: &str = "the number is too large";
const NOT_CONSTANT: &str = "this is not a constant";

fn binary(op: BinaryOp, left: i128, right: i128) -> Result<i128, &'static str> {
    let bits = || u32::try_from(right).ok().filter(|bits| *bits < 64).ok_or("a shift is by 0 to 63 bits");
    let checked = match op {
        BinaryOp::Add => left.checked_add(right),
        BinaryOp::Sub => left.checked_sub(right),
        BinaryOp::Mul => left.checked_mul(right),
        BinaryOp::Div | BinaryOp::Mod if right == 0 => return Err("this divides by 0"),
        BinaryOp::Div => left.checked_div(right),
        BinaryOp::Mod => left.checked_rem(right),
        BinaryOp::Shl => left.checked_mul(1i128 << bits()?),
        BinaryOp::Shr => Some(left >> bits()?),
        BinaryOp::BitAnd => Some(left & right),
        BinaryOp::BitOr => Some(left | right),
        BinaryOp::BitXor => Some(left ^ right),
        BinaryOp::Eq => Some(i128::from(left == right)),
        BinaryOp::Ne => Some(i128::from(left != right)),
        BinaryOp::Lt => Some(i128::from(left < right)),
        BinaryOp::Le => Some(i128::from(left <= right)),
        BinaryOp::Gt => Some(i128::from(left > right)),
        BinaryOp::Ge => Some(i128::from(left >= right)),
        BinaryOp::And => Some(i128::from(left != 0 && right != 0)),
        BinaryOp::Or => Some(i128::from(left != 0 || right != 0)),
    };
    checked.ok_or(TOO_LARGE)
}
