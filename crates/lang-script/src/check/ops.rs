//! Operators with two operands, and how values become those of another type.

use std::cmp::Ordering;

use skep_diag::Span;

use super::Checker;
use super::expr::literal;
use super::tree::{Expr, Kind, Stmt, StmtKind};
use crate::ast::BinaryOp;
use crate::infer::fits;
use crate::types::definitions::fold;
use crate::types::{Merged, Type, merge};

impl Checker<'_> {
    /// A value that is used as a condition.
    pub(super) fn condition(&mut self, value: Expr) -> Expr {
        if value.ty == Type::Unknown || value.ty.is_condition() || value.ty.scalar().is_some() {
            return value;
        }
        let message = format!("a value of type {} is no condition", value.ty);
        let help = if matches!(value.ty, Type::Text(_)) { "compare it: `text != \"\"`" } else { "compare it" };
        self.error_with_help(value.span, message, help)
    }

    /// A value that is used as a number.
    pub(super) fn number(&mut self, value: Expr, why: &str) -> Expr {
        if value.ty == Type::Unknown || value.ty.scalar().is_some() {
            return value;
        }
        self.error(value.span, format!("{why} a number, this is of type {}", value.ty))
    }

    /// The type of two values that stand for one.
    pub(super) fn common(&mut self, left: &Expr, right: &Expr, span: Span) -> Option<Type> {
        if left.ty == Type::Unknown || right.ty == Type::Unknown {
            return None;
        }
        if left.ty == Type::Void && right.ty == Type::Void {
            return Some(Type::Void);
        }
        for (literal, other) in [(left, right), (right, left)] {
            if let (Some(number), Type::Int { bytes, signed }) = (literal.constant(), &other.ty)
                && other.constant().is_none()
                && fits(number, *bytes, *signed)
            {
                return Some(other.ty.clone());
            }
        }
        match merge(&left.ty, &right.ty) {
            Merged::Into(ty) | Merged::Lossy(ty) => Some(ty),
            Merged::Never => {
                self.error(span, format!("the values are of types {} and {}", left.ty, right.ty));
                None
            }
        }
    }

    /// The value as one of another type. What does not fit was reported when the type was learnt.
    pub(super) fn coerce(&mut self, value: Expr, ty: &Type) -> Expr {
        if value.ty == *ty || *ty == Type::Unknown || value.ty == Type::Unknown {
            return value;
        }
        let span = value.span;
        match (&value.kind, &value.ty, ty) {
            (Kind::Int(number), _, target) if target.scalar().is_some() => {
                let number = match target.scalar() {
                    Some((bytes, signed)) if *target != Type::Bool => cut(*number, bytes, signed),
                    _ => (*number != 0).into(),
                };
                Expr::number(number, ty.clone(), span)
            }
            (Kind::Text(_), Type::Text(_), Type::Text(_)) => Expr { ty: ty.clone(), ..value },
            (Kind::Tuple(_), _, Type::Tuple(types)) => {
                let Kind::Tuple(parts) = value.kind else { return value };
                let parts = parts.into_iter().zip(types).map(|(part, ty)| self.coerce(part, ty)).collect();
                Expr::new(Kind::Tuple(parts), ty.clone(), span)
            }
            (Kind::Tuple(_), _, Type::Record(types)) => {
                let Kind::Tuple(parts) = value.kind else { return value };
                let parts = parts.into_iter().zip(types).map(|(part, ty)| self.coerce(part, &ty.1)).collect();
                Expr::new(Kind::Tuple(parts), ty.clone(), span)
            }
            (_, Type::Tuple(types), Type::Tuple(wanted)) if types.len() == wanted.len() => {
                let wanted: Vec<&Type> = wanted.iter().collect();
                self.part_by_part(value, &wanted, ty)
            }
            (_, Type::Record(types), Type::Record(wanted)) if types.len() == wanted.len() => {
                let wanted: Vec<&Type> = wanted.iter().map(|part| &part.1).collect();
                self.part_by_part(value, &wanted, ty)
            }
            (_, Type::Pointer(..), Type::Pointer(..)) => Expr { ty: ty.clone(), ..value },
            (_, from, to) if from.scalar().is_some() && to.scalar().is_some() => {
                Expr::new(Kind::Convert(Box::new(value)), ty.clone(), span)
            }
            (_, Type::Text(_), Type::Text(_)) => Expr::new(Kind::Convert(Box::new(value)), ty.clone(), span),
            _ => value,
        }
    }

    /// A tuple or record whose parts become those of other types.
    fn part_by_part(&mut self, value: Expr, wanted: &[&Type], ty: &Type) -> Expr {
        let span = value.span;
        let (set, value) = self.once(value);
        let parts: Vec<Expr> = (0..wanted.len()).map(|index| self.tuple_part(value.clone(), index)).collect();
        let parts = parts.into_iter().zip(wanted).map(|(part, ty)| self.coerce(part, ty)).collect();
        let whole = Expr::new(Kind::Tuple(parts), ty.clone(), span);
        match set {
            Some(set) => Expr::new(Kind::Block(vec![set], Box::new(whole)), ty.clone(), span),
            None => whole,
        }
    }

    /// A value that is used several times and computed once: what computes it, and what it is then.
    pub(super) fn once(&mut self, value: Expr) -> (Option<Stmt>, Expr) {
        if matches!(value.kind, Kind::Var(_) | Kind::Memory(_) | Kind::Int(_) | Kind::Text(_) | Kind::Bytes(_)) {
            return (None, value);
        }
        let span = value.span;
        let var = self.declare_unnamed(span);
        let value = self.learn_var(var, "the value", value);
        let again = Expr::new(Kind::Var(var), self.var_type(var), span);
        (Some(Stmt { kind: StmtKind::SetVar(var, value), span }), again)
    }

    /// An operation.
    pub(super) fn binary(&mut self, op: BinaryOp, left: Expr, right: Expr, span: Span) -> Expr {
        use BinaryOp as Op;
        if left.ty == Type::Unknown || right.ty == Type::Unknown {
            let ty = if matches!(op, Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::And | Op::Or) {
                Type::Bool
            } else {
                Type::Unknown
            };
            return Expr::new(Kind::Binary(op, Box::new(left), Box::new(right)), ty, span);
        }
        match op {
            Op::And | Op::Or => self.logic(op, left, right, span),
            Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge => self.comparison(op, left, right, span),
            _ => self.arithmetic(op, left, right, span),
        }
    }

    fn logic(&mut self, op: BinaryOp, left: Expr, right: Expr, span: Span) -> Expr {
        let left = self.condition(left);
        let right = self.condition(right);
        if let (Some(a), Some(b)) = (left.constant(), right.constant())
            && let Some(value) = fold(op, a, b)
        {
            return Expr::number(value, Type::Bool, span);
        }
        let (left, right) = (Box::new(left), Box::new(right));
        let kind = if op == BinaryOp::And { Kind::And(left, right) } else { Kind::Or(left, right) };
        Expr::new(kind, Type::Bool, span)
    }

    fn arithmetic(&mut self, op: BinaryOp, left: Expr, right: Expr, span: Span) -> Expr {
        if let Some(result) = self.pointer_arithmetic(op, &left, &right, span) {
            return result;
        }
        let why = format!("`{}` is applied to", op.text());
        let left = self.number(left, &why);
        let right = self.number(right, &why);
        if left.ty == Type::Unknown || right.ty == Type::Unknown {
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        }
        let ty = self.arithmetic_type(op, &left, &right, span);
        if let (Some(a), Some(b)) = (left.constant(), right.constant()) {
            let value = match op {
                BinaryOp::Shr if !ty.is_signed() => {
                    u32::try_from(b).ok().map(|count| a.cast_unsigned().wrapping_shr(count).cast_signed())
                }
                BinaryOp::Div | BinaryOp::Mod if !ty.is_signed() => {
                    let (a, b) = (a.cast_unsigned(), b.cast_unsigned());
                    let value = if op == BinaryOp::Div { a.checked_div(b) } else { a.checked_rem(b) };
                    value.map(u64::cast_signed)
                }
                _ => fold(op, a, b),
            };
            return match value {
                Some(value) => Expr::number(value, ty, span),
                None => self.error(right.span, "this divides by zero, or shifts by a negative number"),
            };
        }
        Expr::new(Kind::Binary(op, Box::new(left), Box::new(right)), ty, span)
    }

    fn arithmetic_type(&mut self, op: BinaryOp, left: &Expr, right: &Expr, span: Span) -> Type {
        if matches!(op, BinaryOp::Shl | BinaryOp::Shr) {
            return if left.ty.is_signed() { Type::I64 } else { Type::U64 };
        }
        if op == BinaryOp::Sub {
            return Type::I64;
        }
        let unsigned = |value: &Expr| match value.constant() {
            Some(number) => !value.ty.is_signed() || number >= 0,
            None => !value.ty.is_signed(),
        };
        let (a, b) = (unsigned(left), unsigned(right));
        let literals = left.constant().is_some() && right.constant().is_some();
        if literals && (left.ty.is_signed() || right.ty.is_signed()) {
            return Type::I64;
        }
        if a && b {
            return Type::U64;
        }
        let wide = |value: &Expr| value.constant().is_none() && value.ty.scalar() == Some((8, false));
        if a != b && (wide(left) || wide(right)) {
            self.warn(
                span,
                format!("`{}` is applied to numbers with and without sign", op.text()),
                "both are taken as numbers with a sign; a cast says that this is meant",
            );
        }
        Type::I64
    }

    fn pointer_arithmetic(&mut self, op: BinaryOp, left: &Expr, right: &Expr, span: Span) -> Option<Expr> {
        if !matches!(op, BinaryOp::Add | BinaryOp::Sub) {
            return None;
        }
        let (pointer, number) = match (&left.ty, &right.ty) {
            (Type::Pointer(..), other) if other.is_number() => (left, right),
            (other, Type::Pointer(..)) if other.is_number() && op == BinaryOp::Add => (right, left),
            _ => return None,
        };
        let Type::Pointer(to, _) = &pointer.ty else { return None };
        let size = i64::from(self.types.size_and_align(to).0.max(1));
        let number = self.arithmetic(BinaryOp::Mul, number.clone(), Expr::number(size, Type::I64, span), span);
        let kind = Kind::Binary(op, Box::new(pointer.clone()), Box::new(number));
        Some(Expr::new(kind, pointer.ty.clone(), span))
    }

    fn comparison(&mut self, op: BinaryOp, left: Expr, right: Expr, span: Span) -> Expr {
        let equality = matches!(op, BinaryOp::Eq | BinaryOp::Ne);
        let scalars = left.ty.scalar().is_some() && right.ty.scalar().is_some();
        if !scalars {
            if !equality {
                return self.error(span, format!("values of types {} and {} have no order", left.ty, right.ty));
            }
            return self.equality(op == BinaryOp::Ne, left, right, span);
        }
        let signed = self.compare_signed(op, &left, &right, span);
        if let (Some(a), Some(b)) = (left.constant(), right.constant()) {
            let order = if signed { a.cmp(&b) } else { a.cast_unsigned().cmp(&b.cast_unsigned()) };
            let holds = match op {
                BinaryOp::Eq => order == Ordering::Equal,
                BinaryOp::Ne => order != Ordering::Equal,
                BinaryOp::Lt => order == Ordering::Less,
                BinaryOp::Le => order != Ordering::Greater,
                BinaryOp::Gt => order == Ordering::Greater,
                _ => order != Ordering::Less,
            };
            return Expr::number(holds.into(), Type::Bool, span);
        }
        Expr::new(Kind::Compare(op, Box::new(left), Box::new(right), signed), Type::Bool, span)
    }

    /// Whether numbers are compared with their sign. Warns about comparisons that always come out the same.
    fn compare_signed(&mut self, op: BinaryOp, left: &Expr, right: &Expr, span: Span) -> bool {
        let (a, b) = (left.ty.is_signed(), right.ty.is_signed());
        if let (Some(first), Some(second)) = (left.constant(), right.constant()) {
            // A literal that is not negative has no sign where the other number has none.
            return if a == b { a } else { (if a { first } else { second }) < 0 };
        }
        for (literal, other, flipped) in [(right, left, false), (left, right, true)] {
            let (Some(number), None) = (literal.constant(), other.constant()) else { continue };
            if other.ty.is_signed() {
                return true;
            }
            let always = match (op, flipped) {
                (BinaryOp::Lt, false) | (BinaryOp::Gt, true) if number <= 0 => Some("never"),
                (BinaryOp::Ge, false) | (BinaryOp::Le, true) if number <= 0 => Some("always"),
                (BinaryOp::Eq, _) if number < 0 && literal.ty.is_signed() => Some("never"),
                _ => None,
            };
            if let (Some(always), true) = (always, other.ty.is_number()) {
                self.warn(
                    span,
                    format!("this {always} holds: the value has no sign"),
                    "a cast such as `(int64)` gives it one",
                );
            }
            // A negative number is compared as one, so that the result is the expected one for what is not that large.
            return literal.ty.is_signed() && number < 0;
        }
        if a != b && left.ty.is_number() && right.ty.is_number() {
            let unsigned = if a { right } else { left };
            if unsigned.ty.scalar() == Some((8, false)) && !matches!(op, BinaryOp::Eq | BinaryOp::Ne) {
                self.warn(
                    span,
                    "a number with a sign is compared with one without",
                    "both are taken as numbers with a sign; a cast says that this is meant",
                );
            }
            return true;
        }
        a && b
    }

    fn equality(&mut self, negated: bool, left: Expr, right: Expr, span: Span) -> Expr {
        // A number of the command line that is compared with a text is a text.
        let (left, right) = match (&left.ty, &right.ty) {
            (Type::Text(_), Type::Int { .. }) if right.constant() == Some(0) => (left, literal("", span)),
            _ => (left, right),
        };
        if let (Kind::Text(a), Kind::Text(b)) = (&left.kind, &right.kind) {
            return Expr::number(((a == b) != negated).into(), Type::Bool, span);
        }
        let both = |left: Expr, right: Expr, len| {
            let kind = Kind::Equal { left: Box::new(left), right: Box::new(right), len, negated };
            Expr::new(kind, Type::Bool, span)
        };
        match (&left.ty, &right.ty) {
            (Type::Text(_), Type::Text(_)) => both(left, right, None),
            (a, b) if a.scalar().is_none() && b.scalar().is_none() => match merge(a, b) {
                Merged::Into(ty) | Merged::Lossy(ty) if !matches!(ty, Type::Void | Type::Unknown) => {
                    let left = self.coerce(left, &ty);
                    let right = self.coerce(right, &ty);
                    let len = self.types.size_and_align(&ty).0;
                    both(left, right, Some(len))
                }
                _ => self.error(span, format!("values of types {a} and {b} cannot be compared")),
            },
            (a, b) => {
                let message = format!("values of types {a} and {b} cannot be compared");
                let texts = matches!(a, Type::Text(_)) || matches!(b, Type::Text(_));
                if texts {
                    return self.error_with_help(span, message, "`str(...)` reads the text at an address");
                }
                self.error(span, message)
            }
        }
    }
}

/// The lowest bytes of a number, extended again.
pub(super) const fn cut(number: i64, bytes: u8, signed: bool) -> i64 {
    if bytes >= 8 {
        return number;
    }
    let shift = 64 - bytes as u32 * 8;
    if signed { number << shift >> shift } else { (number.cast_unsigned() << shift >> shift).cast_signed() }
}
