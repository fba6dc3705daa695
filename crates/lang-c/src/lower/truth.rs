//! Conditions: comparisons, truth of values, and the ways that depend on them.

use skep_ir::{Binary, Block, Cond, Type, Value};

use super::Lower;
use super::func::PTR;
use crate::parse::Parsed;
use crate::parse::ast::{BinOp, Expr, ExprKind};
use crate::types::{IntTy, QTy};

/// The comparison for an operator on values of a type.
pub const fn condition(op: BinOp, signed: bool) -> Cond {
    match (op, signed) {
        (BinOp::Ne, _) => Cond::Ne,
        (BinOp::Lt, true) => Cond::Slt,
        (BinOp::Le, true) => Cond::Sle,
        (BinOp::Gt, true) => Cond::Sgt,
        (BinOp::Ge, true) => Cond::Sge,
        (BinOp::Lt, false) => Cond::Ult,
        (BinOp::Le, false) => Cond::Ule,
        (BinOp::Gt, false) => Cond::Ugt,
        (BinOp::Ge, false) => Cond::Uge,
        _ => Cond::Eq,
    }
}

impl Lower<'_> {
    fn comparable(&mut self, a: Value, b: Value) -> (Value, Value) {
        if self.f().ty(a) == self.f().ty(b) {
            return (a, b);
        }
        (self.f().make_ptr(a), self.f().make_ptr(b))
    }

    /// Truth of an expression as 0 or 1.
    pub fn truth_value(&mut self, expr: &Expr) -> Parsed<Value> {
        let local = self.f().new_local(Type::I32);
        let [yes, no, join] = [(); 3].map(|()| self.f().new_block());
        self.condition(expr, yes, no)?;
        for (block, value) in [(yes, 1), (no, 0)] {
            self.f().enter_sealed(block);
            let value = self.f().number(value, Type::I32);
            self.f().write(local, value);
            self.f().jump(join);
        }
        self.f().enter_sealed(join);
        Ok(self.f().read(local))
    }

    /// Goes to one of two blocks, neither of which is sealed.
    pub fn condition(&mut self, expr: &Expr, yes: Block, no: Block) -> Parsed<()> {
        self.at(expr.loc);
        match &expr.kind {
            ExprKind::LogNot(inner) => self.condition(inner, no, yes),
            ExprKind::LogAnd(left, right) => {
                let next = self.f().new_block();
                self.condition(left, next, no)?;
                self.f().enter_sealed(next);
                self.condition(right, yes, no)
            }
            ExprKind::LogOr(left, right) => {
                let next = self.f().new_block();
                self.condition(left, yes, next)?;
                self.f().enter_sealed(next);
                self.condition(right, yes, no)
            }
            ExprKind::Binary(op, left, right) if op.is_comparison() => {
                // `!!x == 1` and its like stay as they are; a truth compared with 0 is itself.
                let zero = right.literal() == Some(0)
                    && matches!(left.kind, ExprKind::LogNot(_) | ExprKind::LogAnd(..) | ExprKind::LogOr(..));
                match op {
                    BinOp::Ne if zero => return self.condition(left, yes, no),
                    BinOp::Eq if zero => return self.condition(left, no, yes),
                    _ => {}
                }
                let signed = self.is_signed(left.ty);
                if self.is_wide(left.ty) {
                    let operands = (self.halves(left)?, self.halves(right)?);
                    self.wide_branch(condition(*op, signed), operands, yes, no);
                    return Ok(());
                }
                let (a, b) = self.compared(left, right)?;
                self.f().branch(condition(*op, signed), a, b, yes, no);
                Ok(())
            }
            // A wider integer is 0 when the narrower one is.
            ExprKind::Cast(inner) if !inner.is_lvalue() && self.keeps_truth(inner.ty, expr.ty) => {
                self.condition(inner, yes, no)
            }
            ExprKind::Comma(left, right) => {
                self.effect(left)?;
                self.condition(right, yes, no)
            }
            _ => self.is_true(expr, yes, no),
        }
    }

    /// Goes to one of two blocks by whether a value is zero.
    fn is_true(&mut self, expr: &Expr, yes: Block, no: Block) -> Parsed<()> {
        let value = match self.is_wide(expr.ty) {
            true => {
                let value = self.halves(expr)?;
                self.f().binary(Binary::Or, value.low, value.high)
            }
            false => self.value(expr)?,
        };
        let ty = self.f().ty(value);
        let (value, ty) = if ty.is_int() { (value, ty) } else { (self.f().make_ptr(value), PTR) };
        let zero = self.f().number(0, ty);
        self.f().branch(Cond::Ne, value, zero, yes, no);
        Ok(())
    }

    /// The operands of a comparison. A signed integer of 32 bits or less that is compared without sign with a constant in
    /// its range, as `count > sizeof(array)` is, is compared as it is: so the kernel learns about itself, and not about a
    /// copy with 64 bits.
    pub fn compared(&mut self, left: &Expr, right: &Expr) -> Parsed<(Value, Value)> {
        let [(a, a_ty), (b, b_ty)] = [self.narrowest(left)?, self.narrowest(right)?];
        let small = |lower: &mut Self, value| {
            lower.f().constant(value).filter(|number| (0..=i64::from(i32::MAX)).contains(number))
        };
        if a_ty != left.ty
            && let Some(number) = small(self, b)
        {
            let ty = self.f().ty(a);
            return Ok((a, self.f().number(number, ty)));
        }
        if b_ty != right.ty
            && let Some(number) = small(self, a)
        {
            let ty = self.f().ty(b);
            return Ok((self.f().number(number, ty), b));
        }
        let (a, b) = (self.convert(a, a_ty, left.ty), self.convert(b, b_ty, right.ty));
        Ok(self.comparable(a, b))
    }

    /// A value before it was extended by its sign to 64 bits without sign, if it was, and its type.
    fn narrowest(&mut self, expr: &Expr) -> Parsed<(Value, QTy)> {
        if let ExprKind::Cast(inner) = &expr.kind
            && self.types.as_int(expr.ty).is_some_and(|int| int.size() == 8 && !int.signed())
            && self.types.as_int(inner.ty).is_some_and(|int| int.size() <= 4 && int.signed())
        {
            return Ok((self.value(inner)?, inner.ty));
        }
        Ok((self.value(expr)?, expr.ty))
    }

    fn keeps_truth(&self, from: QTy, to: QTy) -> bool {
        match (self.types.as_int(from), self.types.as_int(to)) {
            (Some(_), Some(IntTy::Bool)) => true,
            (Some(from), Some(to)) => to.size() >= from.size(),
            _ => false,
        }
    }
}
