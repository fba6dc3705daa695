//! Operators: what they take and what they give.

use crate::konst;
use crate::parse::ast::{BinOp, Expr, ExprKind, UnOp};
use crate::parse::{Parsed, Parser};
use crate::source::{Diag, Loc};
use crate::types::{IntTy, QTy, Quals, Types};

impl Parser<'_> {
    /// `left OP right`
    pub fn binary(&mut self, op: BinOp, left: Expr, right: Expr, loc: Loc) -> Parsed<Expr> {
        let (left, right) = (self.rvalue(left)?, self.rvalue(right)?);
        let pointers = (self.types.is_ptr(left.ty), self.types.is_ptr(right.ty));
        match (op, pointers) {
            (BinOp::Add, (true, false)) => self.pointer_add(left, right, false, loc),
            (BinOp::Add, (false, true)) => self.pointer_add(right, left, false, loc),
            (BinOp::Sub, (true, false)) => self.pointer_add(left, right, true, loc),
            (BinOp::Sub, (true, true)) => self.pointer_difference(left, right, loc),
            (op, (true, _) | (_, true)) if op.is_comparison() => self.pointer_comparison(op, left, right, loc),
            (op, (true, _) | (_, true)) => {
                let (a, b) = (self.types.show(left.ty), self.types.show(right.ty));
                self.push_error(
                    Diag::error(loc, format!("`{}` does not work on pointers (`{a}` and `{b}`)", op.text()))
                        .with_help("the kernel's verifier refuses such arithmetic on pointers as well"),
                )
            }
            (BinOp::Shl | BinOp::Shr, _) => self.shift(op, left, right, loc),
            _ => {
                let (left, right, int) = self.usual(left, right)?;
                let ty = if op.is_comparison() { Types::int(IntTy::Int) } else { Types::int(int) };
                Ok(self.folded(op, int, left, right, ty, loc))
            }
        }
    }

    fn folded(&mut self, op: BinOp, int: IntTy, left: Expr, right: Expr, ty: QTy, loc: Loc) -> Expr {
        if let (Some(a), Some(b)) = (left.literal(), right.literal())
            && let Some(value) = konst::binary(int, op, a, b)
        {
            return Expr::new(ExprKind::Int(value), ty, loc);
        }
        if int.size() == 16
            && let (Some(a), Some(b)) = (left.wide_literal(), right.wide_literal())
            && let Some(value) = konst::binary_wide(int, op, a, b)
        {
            let kind = if op.is_comparison() { ExprKind::Int(value as i64) } else { ExprKind::Wide(value) };
            return Expr::new(kind, ty, loc);
        }
        if matches!(op, BinOp::Div | BinOp::Rem) && right.literal() == Some(0) && !self.is_unevaluated() {
            self.diags.push(Diag::warning(loc, "division by zero: the result is 0 in BPF"));
        }
        Expr::new(ExprKind::Binary(op, Box::new(left), Box::new(right)), ty, loc)
    }

    fn shift(&mut self, op: BinOp, left: Expr, right: Expr, loc: Loc) -> Parsed<Expr> {
        let (left, right) = (self.promote(left)?, self.promote(right)?);
        let (Some(int), Some(_)) = (self.types.as_int(left.ty), self.types.as_int(right.ty)) else {
            let (a, b) = (self.types.show(left.ty), self.types.show(right.ty));
            return self.error(loc, format!("`{}` takes integers, not `{a}` and `{b}`", op.text()));
        };
        if let Some(count) = right.literal()
            && !(0..8 * int.size().cast_signed()).contains(&count)
        {
            self.diags.push(Diag::warning(
                loc,
                format!("a shift by {count} of a value with {} bits: BPF takes the count modulo that", 8 * int.size()),
            ));
        }
        let ty = Types::int(int);
        let right = self.convert(right, Types::int(count_type(int)));
        Ok(self.folded(op, int, left, right, ty, loc))
    }

    /// The size of what a pointer points to, for arithmetic: `void` and functions count as one byte.
    pub fn step(&mut self, ptr: QTy, loc: Loc) -> Parsed<u64> {
        let Some(to) = self.types.pointee(ptr) else { return Ok(1) };
        if self.types.is_void(to) || self.types.as_func(to).is_some() {
            return Ok(1);
        }
        self.settle(to);
        match self.types.size(to) {
            Some(size) => Ok(size),
            None => {
                let shown = self.types.show(to);
                self.error(loc, format!("arithmetic on a pointer to the incomplete type `{shown}`"))
            }
        }
    }

    fn pointer_add(&mut self, ptr: Expr, index: Expr, negative: bool, loc: Loc) -> Parsed<Expr> {
        let size = self.step(ptr.ty, loc)?;
        let Some(int) = self.types.as_int(index.ty).filter(|int| int.size() <= 8) else {
            let shown = self.types.show(index.ty);
            return self.error(loc, format!("an integer is added to a pointer, not `{shown}`"));
        };
        let wide = if int.signed() || int.size() < 8 { IntTy::Long } else { IntTy::ULong };
        let mut index = self.convert(index, Types::int(wide));
        if negative {
            index = self.negate(index);
        }
        let ty = ptr.ty;
        Ok(Expr::new(ExprKind::PtrAdd(Box::new(ptr), Box::new(index), size), ty, loc))
    }

    fn negate(&mut self, expr: Expr) -> Expr {
        let (ty, loc) = (expr.ty, expr.loc);
        match expr.literal() {
            Some(value) => Expr::new(ExprKind::Int(value.wrapping_neg()), ty, loc),
            None => Expr::new(ExprKind::Unary(UnOp::Neg, Box::new(expr)), ty, loc),
        }
    }

    fn pointer_difference(&mut self, left: Expr, right: Expr, loc: Loc) -> Parsed<Expr> {
        let size = self.step(left.ty, loc)?;
        if size == 0 {
            return self.error(loc, "the difference of pointers to a type without size");
        }
        let ty = Types::int(IntTy::Long);
        Ok(Expr::new(ExprKind::PtrSub(Box::new(left), Box::new(right), size), ty, loc))
    }

    fn pointer_comparison(&mut self, op: BinOp, left: Expr, right: Expr, loc: Loc) -> Parsed<Expr> {
        let ty = Types::int(IntTy::Int);
        let (left, right) = match (self.types.is_ptr(left.ty), self.types.is_ptr(right.ty)) {
            (true, false) => {
                self.warn_mixed(&right, loc);
                let right = self.convert(right, left.ty);
                (left, right)
            }
            (false, true) => {
                self.warn_mixed(&left, loc);
                let left = self.convert(left, right.ty);
                (left, right)
            }
            _ => (left, right),
        };
        Ok(Expr::new(ExprKind::Binary(op, Box::new(left), Box::new(right)), ty, loc))
    }

    fn warn_mixed(&mut self, int: &Expr, loc: Loc) {
        if self.constant(int).and_then(|value| value.int()) != Some(0) {
            self.diags.push(Diag::warning(loc, "a pointer is compared with an integer"));
        }
    }

    /// `-`, `+`, `~` and `!`.
    pub fn unary(&mut self, op: &str, expr: Expr, loc: Loc) -> Parsed<Expr> {
        if op == "!" {
            let expr = self.condition(expr)?;
            let ty = Types::int(IntTy::Int);
            return Ok(match expr.literal() {
                Some(value) => Expr::new(ExprKind::Int((value == 0).into()), ty, loc),
                None => Expr::new(ExprKind::LogNot(Box::new(expr)), ty, loc),
            });
        }
        let expr = self.rvalue(expr)?;
        let expr = self.promote(expr)?;
        let Some(int) = self.types.as_int(expr.ty) else {
            let shown = self.types.show(expr.ty);
            return self.error(loc, format!("`{op}` takes an integer, not `{shown}`"));
        };
        let ty = Types::int(int);
        let op = match op {
            "-" => UnOp::Neg,
            "~" => UnOp::Not,
            _ => return Ok(if expr.is_lvalue() { Expr::new(ExprKind::Cast(Box::new(expr)), ty, loc) } else { expr }),
        };
        if let Some(value) = expr.wide_literal().filter(|_| int.size() == 16) {
            let value = if op == UnOp::Neg { value.wrapping_neg() } else { !value };
            return Ok(Expr::new(ExprKind::Wide(value), ty, loc));
        }
        Ok(match expr.literal() {
            Some(value) => {
                let value = if op == UnOp::Neg { value.wrapping_neg() } else { !value };
                Expr::new(ExprKind::Int(int.wrap(value)), ty, loc)
            }
            None => Expr::new(ExprKind::Unary(op, Box::new(expr)), ty, loc),
        })
    }

    /// Something that can be assigned to.
    fn modifiable(&mut self, expr: &Expr) -> Parsed<()> {
        let shown = self.types.show(expr.ty);
        if !expr.is_lvalue() {
            return self
                .error(expr.loc, format!("this value of type `{shown}` is no variable: nothing is assigned to it"));
        }
        if self.types.element(expr.ty).is_some() || self.types.as_func(expr.ty).is_some() {
            return self.error(expr.loc, format!("nothing is assigned to an array or a function (`{shown}`)"));
        }
        if self.types.strip(expr.ty).quals.has(Quals::CONST) {
            return self.error(expr.loc, format!("this is `const` (`{shown}`): nothing is assigned to it"));
        }
        self.mark_assigned(expr);
        self.note_written(expr);
        Ok(())
    }

    /// `left = right`
    pub fn assign(&mut self, left: Expr, right: Expr, loc: Loc) -> Parsed<Expr> {
        self.modifiable(&left)?;
        let right = self.assignable(right, left.ty, "what is assigned")?;
        let ty = QTy { quals: Quals::NONE, ..left.ty };
        Ok(Expr::new(ExprKind::Assign(Box::new(left), Box::new(right)), ty, loc))
    }

    /// `left OP= right`
    pub fn assign_op(&mut self, op: BinOp, left: Expr, right: Expr, loc: Loc) -> Parsed<Expr> {
        self.modifiable(&left)?;
        let right = self.rvalue(right)?;
        let ty = QTy { quals: Quals::NONE, ..left.ty };
        if self.types.is_ptr(left.ty) {
            if !matches!(op, BinOp::Add | BinOp::Sub) {
                return self.error(loc, format!("`{}=` does not work on pointers", op.text()));
            }
            let size = self.step(left.ty, loc)?;
            let right = self.assignable(right, Types::int(IntTy::Long), "what is added")?;
            let long = Types::int(IntTy::Long);
            let size = Expr::new(ExprKind::Int(size.cast_signed()), long, loc);
            let right = self.binary(BinOp::Mul, right, size, loc)?;
            let kind = ExprKind::AssignOp(op, Box::new(left), Box::new(right), long);
            return Ok(Expr::new(kind, ty, loc));
        }
        // The left side is read once: its common type is found with a stand-in.
        let (Some(int), Some(_)) = (self.types.as_int(left.ty), self.types.as_int(right.ty)) else {
            let (a, b) = (self.types.show(left.ty), self.types.show(right.ty));
            return self.error(loc, format!("`{}=` takes integers, not `{a}` and `{b}`", op.text()));
        };
        let promoted = if int.rank() < IntTy::Int.rank() { IntTy::Int } else { int };
        let (right, compute) = if matches!(op, BinOp::Shl | BinOp::Shr) {
            let right = self.convert(right, Types::int(count_type(promoted)));
            (right, promoted)
        } else {
            let stand_in = Expr::new(ExprKind::Error, Types::int(promoted), loc);
            let (_, right, compute) = self.usual(stand_in, right)?;
            (right, compute)
        };
        let kind = ExprKind::AssignOp(op, Box::new(left), Box::new(right), Types::int(compute));
        Ok(Expr::new(kind, ty, loc))
    }

    /// `++` and `--`.
    pub fn step_by(&mut self, expr: Expr, sign: i64, before: bool, loc: Loc) -> Parsed<Expr> {
        self.modifiable(&expr)?;
        let delta = if self.types.is_ptr(expr.ty) {
            self.step(expr.ty, loc)?.cast_signed().wrapping_mul(sign)
        } else if self.types.as_int(expr.ty).is_some() {
            sign
        } else {
            let shown = self.types.show(expr.ty);
            return self.error(loc, format!("`++` and `--` take integers and pointers, not `{shown}`"));
        };
        let ty = QTy { quals: Quals::NONE, ..expr.ty };
        Ok(Expr::new(ExprKind::IncDec(Box::new(expr), delta, before), ty, loc))
    }

    /// `*ptr`
    pub fn deref(&mut self, expr: Expr, loc: Loc) -> Parsed<Expr> {
        let expr = self.rvalue(expr)?;
        let Some(to) = self.types.pointee(expr.ty) else {
            let shown = self.types.show(expr.ty);
            return self.error(loc, format!("`*` takes a pointer, not `{shown}`"));
        };
        if let ExprKind::AddrOf(inner) | ExprKind::Decay(inner) = expr.kind {
            if self.types.same(inner.ty, to, true) {
                return Ok(*inner);
            }
            let ty = self.types.ptr(to);
            let ptr = Expr::new(
                if self.types.element(inner.ty).is_some() { ExprKind::Decay(inner) } else { ExprKind::AddrOf(inner) },
                ty,
                loc,
            );
            return Ok(Expr::new(ExprKind::Deref(Box::new(ptr)), to, loc));
        }
        Ok(Expr::new(ExprKind::Deref(Box::new(expr)), to, loc))
    }

    /// `&lvalue`
    pub fn address_of(&mut self, expr: Expr, loc: Loc) -> Parsed<Expr> {
        let ty = self.types.ptr(expr.ty);
        if self.types.as_func(expr.ty).is_some() {
            return Ok(Expr::new(ExprKind::Decay(Box::new(expr)), ty, loc));
        }
        if !expr.is_lvalue() {
            let shown = self.types.show(expr.ty);
            return self.error(loc, format!("this value of type `{shown}` has no address"));
        }
        if self.bit_field(&expr).is_some() && self.preserving_depth() == 0 {
            return self.error(loc, "a bit-field has no address");
        }
        self.mark_addressed(&expr);
        Ok(match expr.kind {
            ExprKind::Deref(inner) => Expr { ty: inner.ty, ..*inner },
            _ => Expr::new(ExprKind::AddrOf(Box::new(expr)), ty, loc),
        })
    }

    /// `condition ? yes : no`
    pub fn choose(&mut self, cond: Expr, yes: Option<Expr>, no: Expr, loc: Loc) -> Parsed<Expr> {
        let cond = self.condition(cond)?;
        let elvis = yes.is_none();
        let yes = match yes {
            Some(yes) => self.rvalue(yes)?,
            None => cond.clone(),
        };
        let no = self.rvalue(no)?;
        let (yes, no, ty) = self.branches(yes, no, loc)?;
        let yes = (!elvis).then(|| Box::new(yes));
        if let Some(value) = cond.literal() {
            return Ok(match (value != 0, yes) {
                (true, Some(yes)) => *yes,
                (true, None) => self.convert(cond, ty),
                (false, _) => no,
            });
        }
        Ok(Expr::new(ExprKind::Cond(Box::new(cond), yes, Box::new(no)), ty, loc))
    }

    fn branches(&mut self, yes: Expr, no: Expr, loc: Loc) -> Parsed<(Expr, Expr, QTy)> {
        let (a, b) = (yes.ty, no.ty);
        if self.types.as_int(a).is_some() && self.types.as_int(b).is_some() {
            let (yes, no, int) = self.usual(yes, no)?;
            return Ok((yes, no, Types::int(int)));
        }
        if self.types.is_void(a) || self.types.is_void(b) {
            return Ok((yes, no, Types::void()));
        }
        if self.types.same(a, b, false) {
            return Ok((yes, no, a));
        }
        let ty = match (self.types.pointee(a), self.types.pointee(b)) {
            (Some(_), Some(to)) if self.types.is_void(to) && !self.is_null(&no) => b,
            (Some(to), Some(_)) if self.types.is_void(to) && self.is_null(&yes) => b,
            (Some(_), _) => a,
            (None, Some(_)) => b,
            (None, None) => {
                let (a, b) = (self.types.show(a), self.types.show(b));
                return self.error(loc, format!("`? :` chooses between `{a}` and `{b}`, which have no common type"));
            }
        };
        let yes = self.assignable(yes, ty, "the second operand of `? :`")?;
        let no = self.assignable(no, ty, "the third operand of `? :`")?;
        Ok((yes, no, ty))
    }

    fn is_null(&self, expr: &Expr) -> bool {
        self.constant(expr).and_then(|value| value.int()) == Some(0)
    }
}

/// The type of the count of a shift: the kernel's instructions want that of the value, of 128 bits no more than 32 count.
const fn count_type(int: IntTy) -> IntTy {
    if int.size() == 16 { IntTy::UInt } else { int }
}
