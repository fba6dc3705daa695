//! Conversions: of lvalues to values, of integers to common types, of values to the type of what they are assigned to.

use crate::konst::Const;
use crate::parse::ast::{Expr, ExprKind, VarId};
use crate::parse::{Parsed, Parser};
use crate::source::{Diag, Loc};
use crate::types::{IntTy, Kind, QTy, Quals, Types};

impl Parser<'_> {
    /// An expression as a value: arrays and functions become pointers.
    pub fn rvalue(&mut self, expr: Expr) -> Parsed<Expr> {
        let loc = expr.loc;
        if let Some((of, _)) = self.types.element(expr.ty) {
            if !expr.is_lvalue() {
                return self.error(loc, "an array that is no variable cannot be used");
            }
            self.mark_addressed(&expr);
            let ty = self.types.ptr(of);
            return Ok(Expr::new(ExprKind::Decay(Box::new(expr)), ty, loc));
        }
        if self.types.as_func(expr.ty).is_some() {
            let ty = self.types.ptr(expr.ty);
            return Ok(match expr.kind {
                // `*f` is `f`.
                ExprKind::Deref(inner) => *inner,
                kind => Expr::new(ExprKind::Decay(Box::new(Expr::new(kind, expr.ty, loc))), ty, loc),
            });
        }
        let ty = QTy { quals: Quals::NONE, ..self.types.strip(expr.ty) };
        // Names of types stay for messages and the program's BTF; only qualifiers go.
        let ty =
            if expr.ty.quals == Quals::NONE && self.types.strip(expr.ty).quals == Quals::NONE { expr.ty } else { ty };
        Ok(match expr.kind {
            ExprKind::Int(_) | ExprKind::Wide(_) => expr,
            _ if expr.ty == ty || !expr.is_lvalue() => expr,
            // The load keeps the qualifiers of the place.
            _ => {
                let height = expr.height;
                Expr { ty, loc, height, kind: ExprKind::Cast(Box::new(expr)) }
            }
        })
    }

    /// Notes that the variable that an lvalue is part of needs memory.
    pub fn mark_addressed(&mut self, expr: &Expr) {
        if let Some(var) = root(expr) {
            self.program.vars[var.0 as usize].addressed = true;
        }
    }

    /// Notes that an lvalue is assigned to.
    pub fn mark_assigned(&mut self, expr: &Expr) {
        if let Some(var) = root(expr) {
            self.program.vars[var.0 as usize].assigned = true;
        }
    }

    /// The integer type after the promotions.
    fn promoted(&self, expr: &Expr) -> Option<IntTy> {
        let int = self.types.as_int(expr.ty)?;
        if let Some(bits) = self.width_behind(expr) {
            let fits = bits < 32 || bits == 32 && int.signed();
            if fits {
                return Some(IntTy::Int);
            }
            if bits == 32 {
                return Some(IntTy::UInt);
            }
        }
        Some(if int.rank() < IntTy::Int.rank() { IntTy::Int } else { int })
    }

    /// Width if it is a bit-field.
    pub fn bit_field(&self, expr: &Expr) -> Option<u32> {
        match &expr.kind {
            ExprKind::Member(_, record, index, _) => {
                self.types.record(*record).members.as_ref()?.get(*index as usize)?.bits
            }
            ExprKind::Cast(inner) if inner.is_lvalue() && self.types.same(inner.ty, expr.ty, false) => {
                self.bit_field(inner)
            }
            _ => None,
        }
    }

    /// The width of the bit-field that a value was taken from: `a.f`, but also `(x, a.f)`, `a.f = 1` and `++a.f`, which clang
    /// and gcc promote alike.
    fn width_behind(&self, expr: &Expr) -> Option<u32> {
        match &expr.kind {
            ExprKind::Comma(_, inner)
            | ExprKind::Assign(inner, _)
            | ExprKind::AssignOp(_, inner, ..)
            | ExprKind::IncDec(inner, _, false) => self.width_behind(inner),
            _ => self.bit_field(expr),
        }
    }

    /// The integer promotions.
    pub fn promote(&mut self, expr: Expr) -> Parsed<Expr> {
        match self.promoted(&expr) {
            Some(int) => Ok(self.convert(expr, Types::int(int))),
            None => Ok(expr),
        }
    }

    /// Brings two integers to their common type.
    pub fn usual(&mut self, left: Expr, right: Expr) -> Parsed<(Expr, Expr, IntTy)> {
        let (Some(a), Some(b)) = (self.promoted(&left), self.promoted(&right)) else {
            let (a, b) = (self.types.show(left.ty), self.types.show(right.ty));
            return self.error(left.loc, format!("integers are expected here, found `{a}` and `{b}`"));
        };
        let common = common(a, b);
        let ty = Types::int(common);
        Ok((self.convert(left, ty), self.convert(right, ty), common))
    }

    /// Reports a warning, but none of what a header of the system wrote.
    pub fn warn(&mut self, diag: Diag) {
        if !self.sources.is_system(self.sources.spelling(diag.loc)) {
            self.diags.push(diag);
        }
    }

    /// Reports a message.
    pub fn push_error<T>(&mut self, diag: Diag) -> Parsed<T> {
        self.diags.push(diag);
        Err(crate::parse::Reported)
    }

    /// Converts a value to a type that it fits, without questions. Numbers are converted at once.
    pub fn convert(&mut self, expr: Expr, to: QTy) -> Expr {
        if self.types.strip(expr.ty).ty == self.types.strip(to).ty && !expr.is_lvalue() {
            return Expr { ty: QTy { quals: Quals::NONE, ..to }, ..expr };
        }
        if let (Some(number), Some(int)) = (self.literal(&expr), self.types.as_int(to)) {
            let kind = match Const::of(int, number) {
                Const::Wide(value) => ExprKind::Wide(value),
                Const::Int(value) => ExprKind::Int(value),
                Const::Addr(..) => ExprKind::Error,
            };
            return Expr::new(kind, QTy { quals: Quals::NONE, ..to }, expr.loc);
        }
        let loc = expr.loc;
        Expr::new(ExprKind::Cast(Box::new(expr)), QTy { quals: Quals::NONE, ..to }, loc)
    }

    /// The number that an expression is written as, extended to 128 bits as its type says.
    fn literal(&self, expr: &Expr) -> Option<i128> {
        match expr.kind {
            ExprKind::Wide(value) => Some(value),
            ExprKind::Int(value) => Some(self.types.as_int(expr.ty).unwrap_or(IntTy::ULong).widen(value)),
            _ => None,
        }
    }

    /// A cast as the source writes it.
    pub fn explicit_cast(&mut self, expr: Expr, to: QTy, loc: Loc) -> Parsed<Expr> {
        if self.types.is_void(to) {
            return Ok(Expr::new(ExprKind::Cast(Box::new(expr)), to, loc));
        }
        let expr = self.rvalue(expr)?;
        if matches!(self.types.kind(to), Kind::Float(_)) {
            return self.error(loc, "BPF has no floating-point numbers");
        }
        if self.types.same(expr.ty, to, false) {
            let expr = self.convert(expr, to);
            // A cast is no lvalue.
            let cast = |expr: Expr| Expr::new(ExprKind::Cast(Box::new(expr)), to, loc);
            let expr = if expr.is_lvalue() { cast(expr) } else { expr };
            // Of the type that a bit-field was cast to, and no bit-field that is promoted by its width.
            return Ok(if self.width_behind(&expr).is_some() { cast(expr) } else { expr });
        }
        if !self.types.is_scalar(to) || !self.types.is_scalar(expr.ty) {
            let (from, to) = (self.types.show(expr.ty), self.types.show(to));
            return self.error(loc, format!("`{from}` cannot be cast to `{to}`"));
        }
        let expr = Expr { loc, ..self.convert(expr, to) };
        Ok(expr)
    }

    /// A value as that of what it is assigned to, passed as or returned as.
    pub fn assignable(&mut self, expr: Expr, to: QTy, what: &str) -> Parsed<Expr> {
        let expr = self.rvalue(expr)?;
        let loc = expr.loc;
        let (from_kind, to_kind) = (self.types.kind(expr.ty).clone(), self.types.kind(to).clone());
        match (&from_kind, &to_kind) {
            (_, Kind::Float(_)) => return self.error(loc, "BPF has no floating-point numbers"),
            (Kind::Int(_) | Kind::Enum(_), Kind::Int(_) | Kind::Enum(_)) => {}
            (Kind::Ptr(a), Kind::Ptr(b)) if self.types.in_arena(*a) != self.types.in_arena(*b) => {
                if self.constant(&expr).and_then(|value| value.int()) != Some(0) {
                    let (from, to) = (self.types.show(expr.ty), self.types.show(to));
                    let text = format!("{what} has the type `{from}`, which changes the address space of `{to}`");
                    return self.push_error(
                        Diag::error(loc, text).with_help(format!("a cast translates the address: `({to})`")),
                    );
                }
            }
            (Kind::Ptr(a), Kind::Ptr(b)) => {
                let fits = self.types.is_void(*a) || self.types.is_void(*b) || self.types.same(*a, *b, false);
                let chars = self.types.as_int(*a).zip(self.types.as_int(*b)).is_some_and(|(a, b)| a.size() == b.size());
                if !fits && !chars {
                    let (from, to) = (self.types.show(expr.ty), self.types.show(to));
                    self.warn(
                        Diag::warning(loc, format!("{what} has the type `{from}`, not `{to}`"))
                            .with_help(format!("a cast says that it is meant: `({to})`")),
                    );
                } else if a.quals.has(Quals::CONST) && !b.quals.has(Quals::CONST) && !self.types.is_void(*b) {
                    let to = self.types.show(to);
                    self.warn(Diag::warning(loc, format!("{what} loses `const`: `{to}` can write")));
                }
            }
            (Kind::Int(_) | Kind::Enum(_), Kind::Ptr(_)) => {
                let zero = self.constant(&expr).and_then(|value| value.int()) == Some(0);
                if !zero {
                    let (from, to) = (self.types.show(expr.ty), self.types.show(to));
                    self.warn(
                        Diag::warning(loc, format!("{what} is an integer (`{from}`), not a pointer (`{to}`)"))
                            .with_help(format!("a cast says that it is meant: `({to})`")),
                    );
                }
            }
            (Kind::Ptr(_), Kind::Int(IntTy::Bool)) => {}
            (Kind::Ptr(_), Kind::Int(_) | Kind::Enum(_)) => {
                let (from, to) = (self.types.show(expr.ty), self.types.show(to));
                self.warn(
                    Diag::warning(loc, format!("{what} is a pointer (`{from}`), not an integer (`{to}`)"))
                        .with_help(format!("a cast says that it is meant: `({to})`")),
                );
            }
            _ if self.types.same(expr.ty, to, false) => return Ok(expr),
            _ => {
                let (from, to) = (self.types.show(expr.ty), self.types.show(to));
                return self.error(loc, format!("{what} has the type `{from}`, which does not become `{to}`"));
            }
        }
        Ok(self.convert(expr, to))
    }

    /// A condition.
    pub fn condition(&mut self, expr: Expr) -> Parsed<Expr> {
        let expr = self.rvalue(expr)?;
        if self.types.is_scalar(expr.ty) {
            return Ok(expr);
        }
        let shown = self.types.show(expr.ty);
        self.error(expr.loc, format!("a condition is an integer or a pointer, not `{shown}`"))
    }
}

/// The common type of two promoted integers.
fn common(a: IntTy, b: IntTy) -> IntTy {
    let (high, low) = if a.rank() >= b.rank() { (a, b) } else { (b, a) };
    match (high.signed(), low.signed()) {
        (true, false) if low.size() == high.size() || high.rank() == low.rank() => high.unsigned(),
        (true, true) | (true, false) | (false, _) => high,
    }
}

/// The variable that an lvalue is part of.
fn root(mut expr: &Expr) -> Option<VarId> {
    loop {
        match &expr.kind {
            ExprKind::Var(var) => return Some(*var),
            ExprKind::Member(base, ..) | ExprKind::Index(base, ..) => expr = base,
            ExprKind::Builtin(crate::parse::ast::Builtin::Preserve, args) => expr = args.first()?,
            _ => return None,
        }
    }
}
