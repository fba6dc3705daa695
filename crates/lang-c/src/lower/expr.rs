//! Expressions.

use skep_ir::{Binary, Cond, InstData, Space, Type, Unary, Value};

use super::Lower;
use super::func::{Home, PTR};
use super::place::{Addr, Place};
use super::truth::condition;
use crate::parse::Parsed;
use crate::parse::ast::{BinOp, Builtin, Expr, ExprKind, StmtKind, UnOp};
use crate::types::{IntTy, QTy, Types};

/// What an expression gives.
#[derive(Debug, Clone)]
pub enum Val {
    Void,
    Value(Value),
    /// An integer of 128 bits.
    Wide(super::wide::Halves),
    /// An aggregate, in memory.
    Memory(Addr),
}

impl Lower<'_> {
    /// A value in a register.
    pub fn value(&mut self, expr: &Expr) -> Parsed<Value> {
        match self.rvalue(expr)? {
            Val::Value(value) => Ok(value),
            // Nothing reads what has no value.
            Val::Void => Ok(self.f().number(0, Type::I64)),
            Val::Memory(addr) => Ok(self.pointer_value(addr)),
            Val::Wide(_) => self.push(
                crate::source::Diag::error(expr.loc, "a 128-bit integer is not possible here")
                    .with_help("a cast takes its lower half: `(unsigned long)`"),
            ),
        }
    }

    /// An expression for its effects only.
    pub fn effect(&mut self, expr: &Expr) -> Parsed<()> {
        self.at(expr.loc);
        match &expr.kind {
            ExprKind::Cast(inner) if self.types.is_void(expr.ty) => self.effect(inner),
            ExprKind::Builtin(builtin, args) => self.builtin(builtin, args, expr, false).map(|_| ()),
            ExprKind::Comma(left, right) => {
                self.effect(left)?;
                self.effect(right)
            }
            _ if expr.is_lvalue() && !self.types.strip(expr.ty).quals.has(crate::types::Quals::VOLATILE) => {
                match &expr.kind {
                    ExprKind::Var(_) => Ok(()),
                    _ => self.place(expr).map(|_| ()),
                }
            }
            _ => self.rvalue(expr).map(|_| ()),
        }
    }

    /// What an expression gives.
    pub fn rvalue(&mut self, expr: &Expr) -> Parsed<Val> {
        self.at(expr.loc);
        if expr.is_lvalue() {
            return self.loaded(expr);
        }
        let ty = expr.ty;
        if self.is_wide(ty)
            && let Some(value) = self.wide_expr(expr)?
        {
            return Ok(value);
        }
        Ok(Val::Value(match &expr.kind {
            ExprKind::Int(value) => {
                if self.types.is_ptr(ty) {
                    self.f().number(*value, PTR)
                } else {
                    let register = self.register(ty);
                    self.f().number(*value, register)
                }
            }
            ExprKind::Unary(op, inner) => {
                let value = self.value(inner)?;
                match op {
                    UnOp::Neg => self.f().unary(Unary::Neg, value),
                    UnOp::Not => self.f().binary_number(Binary::Xor, value, -1),
                }
            }
            ExprKind::Binary(op, left, _) if op.is_comparison() && self.is_wide(left.ty) => self.truth_value(expr)?,
            ExprKind::Binary(op, left, right) => return self.binary_expr(*op, left, right),
            ExprKind::PtrAdd(ptr, index, size) => {
                let base = self.value(ptr)?;
                let index = self.value(index)?;
                if let Some(at) = self.f().constant(index) {
                    self.f().add_bytes(base, at.wrapping_mul(size.cast_signed()))
                } else {
                    let bytes = self.f().binary_number(Binary::Mul, index, size.cast_signed());
                    let register = self.f().ty(base);
                    self.f().value(InstData::PtrAdd(base, bytes), register)
                }
            }
            ExprKind::PtrSub(left, right, size) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                let (left, right) = (self.f().make_ptr(left), self.f().make_ptr(right));
                let bytes = self.f().value(InstData::PtrDiff(left, right), Type::I64);
                match size {
                    0 | 1 => bytes,
                    size if size.is_power_of_two() => {
                        self.f().binary_number(Binary::Ashr, bytes, size.trailing_zeros().into())
                    }
                    _ => self.f().binary_number(Binary::Sdiv, bytes, size.cast_signed()),
                }
            }
            ExprKind::LogNot(_) | ExprKind::LogAnd(..) | ExprKind::LogOr(..) => self.truth_value(expr)?,
            ExprKind::Cond(cond, yes, no) => return self.choice(cond, yes.as_deref(), no, ty),
            ExprKind::Comma(left, right) => {
                self.effect(left)?;
                return self.rvalue(right);
            }
            ExprKind::Assign(left, right) => return self.assign(left, right),
            ExprKind::AssignOp(op, left, right, compute) if self.is_wide(*compute) => {
                return self.wide_assign_op(*op, left, right, *compute);
            }
            ExprKind::AssignOp(op, left, right, compute) => self.assign_op(*op, left, right, *compute)?,
            ExprKind::IncDec(place, delta, before) => self.step(place, *delta, *before)?,
            ExprKind::Cast(inner) => return self.cast(inner, ty),
            ExprKind::Decay(inner) => return self.decay(inner).map(Val::Value),
            ExprKind::AddrOf(inner) => {
                let addr = self.addr(inner)?;
                self.pointer_value(addr)
            }
            ExprKind::Member(..) => {
                let addr = self.addr(expr)?;
                return self.load_val(addr, ty);
            }
            ExprKind::Call(callee, args) => return self.call(callee, args, expr),
            ExprKind::StmtExpr(body) => return self.statement_expr(body),
            ExprKind::Builtin(builtin, args) => return self.builtin(builtin, args, expr, true),
            // As in `(void)function`: it decays where its value counts.
            ExprKind::Func(func) => self.func_address(*func, expr.loc)?,
            ExprKind::Error
            | ExprKind::Wide(_)
            | ExprKind::Str(_)
            | ExprKind::Var(_)
            | ExprKind::Compound(..)
            | ExprKind::Deref(_)
            | ExprKind::Index(..) => return Err(crate::parse::Reported),
        }))
    }

    fn loaded(&mut self, expr: &Expr) -> Parsed<Val> {
        match self.place(expr)? {
            Place::Value(local) => Ok(Val::Value(self.f().read(local))),
            Place::Pair(pair) => Ok(Val::Wide(self.read_pair(pair))),
            Place::Memory(addr) => self.load_val(addr, expr.ty),
        }
    }

    fn load_val(&mut self, addr: Addr, ty: QTy) -> Parsed<Val> {
        match self.types.is_register(ty) {
            true => self.load(&addr, ty).map(Val::Value),
            false if self.is_wide(ty) => self.load_wide(&addr, ty).map(Val::Wide),
            false => Ok(Val::Memory(addr)),
        }
    }

    fn decay(&mut self, inner: &Expr) -> Parsed<Value> {
        if let ExprKind::Func(func) = inner.kind {
            return self.func_address(func, inner.loc);
        }
        let addr = self.addr(inner)?;
        Ok(self.pointer_value(addr))
    }

    /// Whether two operands are compared by sign.
    pub fn is_signed(&self, ty: QTy) -> bool {
        self.types.as_int(ty).is_some_and(IntTy::signed)
    }

    fn binary_expr(&mut self, op: BinOp, left: &Expr, right: &Expr) -> Parsed<Val> {
        let signed = self.is_signed(left.ty);
        if op.is_comparison() {
            let (a, b) = self.compared(left, right)?;
            return Ok(Val::Value(self.f().compare(condition(op, signed), a, b)));
        }
        let (a, b) = (self.value(left)?, self.value(right)?);
        Ok(Val::Value(self.arithmetic(op, signed, a, b)))
    }

    pub fn arithmetic(&mut self, op: BinOp, signed: bool, a: Value, b: Value) -> Value {
        let op = match op {
            BinOp::Sub => Binary::Sub,
            BinOp::Mul => Binary::Mul,
            BinOp::Div if signed => Binary::Sdiv,
            BinOp::Div => Binary::Udiv,
            BinOp::Rem if signed => Binary::Srem,
            BinOp::Rem => Binary::Urem,
            BinOp::And => Binary::And,
            BinOp::Or => Binary::Or,
            BinOp::Xor => Binary::Xor,
            BinOp::Shl => Binary::Shl,
            BinOp::Shr if signed => Binary::Ashr,
            BinOp::Shr => Binary::Lshr,
            _ => Binary::Add,
        };
        self.f().binary(op, a, b)
    }

    /// `cond ? yes : no`
    fn choice(&mut self, cond: &Expr, yes: Option<&Expr>, no: &Expr, ty: QTy) -> Parsed<Val> {
        let void = self.types.is_void(ty);
        let register = self.types.is_register(ty);
        let home = match (void, register) {
            (true, _) => None,
            (_, true) => {
                let register = self.register(ty);
                Some(Ok(self.f().new_local(register)))
            }
            _ => Some(Err(self.temporary("", ty))),
        };
        let [on_yes, on_no, join] = [(); 3].map(|()| self.f().new_block());
        let mut same = None;
        match yes {
            Some(_) => self.condition(cond, on_yes, on_no)?,
            None => {
                let value = match self.rvalue(cond)? {
                    Val::Wide(value) => self.narrowed(value, cond.ty),
                    Val::Value(value) => value,
                    Val::Memory(_) | Val::Void => {
                        return self.error(cond.loc, "a condition is an integer or a pointer");
                    }
                };
                same = Some(value);
                let register = self.f().ty(value);
                let zero = self.f().number(0, register);
                self.f().branch(Cond::Ne, value, zero, on_yes, on_no);
            }
        }
        for (block, expr) in [(on_yes, yes), (on_no, Some(no))] {
            self.f().enter_sealed(block);
            let value = match (expr, same) {
                (Some(expr), _) if void => {
                    self.effect(expr)?;
                    Val::Void
                }
                (Some(expr), _) => self.rvalue(expr)?,
                (None, Some(value)) => Val::Value(self.convert(value, cond.ty, ty)),
                (None, None) => Val::Void,
            };
            match (&home, value) {
                (Some(Ok(local)), Val::Value(value)) => {
                    let value = if self.register(ty) == PTR { self.f().make_ptr(value) } else { value };
                    self.f().write(*local, value);
                }
                (Some(Err(addr)), Val::Memory(from)) => {
                    let size = self.types.size(ty).unwrap_or(0);
                    self.copy(addr.clone(), from, size);
                }
                _ => {}
            }
            self.f().jump(join);
        }
        self.f().enter_sealed(join);
        Ok(match home {
            None => Val::Void,
            Some(Ok(local)) => Val::Value(self.f().read(local)),
            Some(Err(addr)) => Val::Memory(addr),
        })
    }

    fn assign(&mut self, left: &Expr, right: &Expr) -> Parsed<Val> {
        if !self.types.is_register(left.ty) {
            let from = self.addr(right)?;
            let to = self.addr(left)?;
            let size = self.types.size(left.ty).unwrap_or(0);
            self.copy(to.clone(), from, size);
            return Ok(Val::Memory(to));
        }
        let value = self.value(right)?;
        let place = self.place(left)?;
        self.write(&place, left.ty, value)?;
        // The value of an assignment to a bit-field is what fits into it.
        match &place {
            Place::Memory(addr) if addr.bits.is_some() => self.load(addr, left.ty).map(Val::Value),
            _ => Ok(Val::Value(value)),
        }
    }

    pub fn read(&mut self, place: &Place, ty: QTy) -> Parsed<Value> {
        match place {
            Place::Value(local) => Ok(self.f().read(*local)),
            Place::Pair([low, _]) => Ok(self.f().read(*low)),
            Place::Memory(addr) => self.load(addr, ty),
        }
    }

    /// Writes a register value to a place.
    pub fn write(&mut self, place: &Place, ty: QTy, value: Value) -> Parsed<()> {
        match place {
            Place::Value(local) => {
                let value = if self.register(ty) == PTR { self.f().make_ptr(value) } else { value };
                self.f().write(*local, value);
                Ok(())
            }
            Place::Pair(pair) => {
                let value = self.widened(value, ty);
                self.write_pair(*pair, value);
                Ok(())
            }
            Place::Memory(addr) => self.store(addr, ty, value),
        }
    }

    fn assign_op(&mut self, op: BinOp, left: &Expr, right: &Expr, compute: QTy) -> Parsed<Value> {
        let operand = self.value(right)?;
        let place = self.place(left)?;
        let old = self.read(&place, left.ty)?;
        let new = if self.types.is_ptr(left.ty) {
            let bytes = if op == BinOp::Sub { self.f().unary(Unary::Neg, operand) } else { operand };
            match self.f().constant(bytes) {
                Some(bytes) => self.f().add_bytes(old, bytes),
                None => {
                    let ty = self.f().ty(old);
                    self.f().value(InstData::PtrAdd(old, bytes), ty)
                }
            }
        } else {
            let wide = self.convert(old, left.ty, compute);
            let signed = self.is_signed(compute);
            let made = self.arithmetic(op, signed, wide, operand);
            self.convert(made, compute, left.ty)
        };
        self.write(&place, left.ty, new)?;
        self.after_write(&place, left.ty, new)
    }

    pub fn after_write(&mut self, place: &Place, ty: QTy, value: Value) -> Parsed<Value> {
        match place {
            Place::Memory(addr) if addr.bits.is_some() => self.load(addr, ty),
            _ => Ok(value),
        }
    }

    fn step(&mut self, target: &Expr, delta: i64, before: bool) -> Parsed<Value> {
        let place = self.place(target)?;
        let old = self.read(&place, target.ty)?;
        let new = if self.types.is_ptr(target.ty) {
            self.f().add_bytes(old, delta)
        } else {
            let sum = self.f().binary_number(Binary::Add, old, delta);
            let int = self.types.as_int(target.ty).unwrap_or(IntTy::Int);
            let compute = if int.size() == 8 {
                target.ty
            } else {
                Types::int(if int.signed() { IntTy::Int } else { IntTy::UInt })
            };
            self.convert(sum, compute, target.ty)
        };
        self.write(&place, target.ty, new)?;
        if before { Ok(old) } else { self.after_write(&place, target.ty, new) }
    }

    fn cast(&mut self, inner: &Expr, to: QTy) -> Parsed<Val> {
        if self.types.is_void(to) {
            self.effect(inner)?;
            return Ok(Val::Void);
        }
        match self.rvalue(inner)? {
            Val::Wide(value) if self.is_wide(to) => Ok(Val::Wide(value)),
            Val::Wide(value) => Ok(Val::Value(self.narrowed(value, to))),
            Val::Value(value) if self.is_wide(to) => Ok(Val::Wide(self.widened(value, inner.ty))),
            Val::Value(value) => Ok(Val::Value(self.convert(value, inner.ty, to))),
            other => Ok(other),
        }
    }

    /// A value of one type as that of another.
    pub fn convert(&mut self, value: Value, from: QTy, to: QTy) -> Value {
        let Some(target) = self.types.as_int(to) else {
            // To a pointer.
            let wide = match self.types.as_int(from) {
                Some(int) => self.widen(value, int),
                None => match (self.types.leads_to_arena(from), self.types.leads_to_arena(to)) {
                    (true, false) if self.f().constant(value) != Some(0) => self.f().space_cast(Space::Kernel, value),
                    (false, true) => self.f().space_cast(Space::User, value),
                    _ => value,
                },
            };
            return self.f().make_ptr(wide);
        };
        let Some(source) = self.types.as_int(from) else {
            let ptr = self.f().make_ptr(value);
            if target == IntTy::Bool {
                let null = self.f().number(0, PTR);
                return self.f().compare(Cond::Ne, ptr, null);
            }
            let number = self.f().make_int(value);
            return self.convert_int(number, IntTy::ULong, target);
        };
        self.convert_int(value, source, target)
    }

    fn widen(&mut self, value: Value, int: IntTy) -> Value {
        match (self.f().ty(value), int.signed()) {
            (Type::I32, true) => self.f().unary(Unary::Sext32, value),
            (Type::I32, false) => self.f().unary(Unary::Extend, value),
            _ => value,
        }
    }

    fn convert_int(&mut self, value: Value, from: IntTy, to: IntTy) -> Value {
        if to == IntTy::Bool {
            if from == IntTy::Bool {
                return value;
            }
            let ty = self.f().ty(value);
            let zero = self.f().number(0, ty);
            return self.f().compare(Cond::Ne, value, zero);
        }
        if to.size() >= 8 {
            return self.widen(value, from);
        }
        let value = if self.f().ty(value) == Type::I64 { self.f().unary(Unary::Truncate, value) } else { value };
        // What fits already stays as it is.
        let fits = from.size() < to.size() && (!from.signed() || to.signed())
            || from.size() == to.size() && from.signed() == to.signed();
        if to.size() == 4 || fits {
            return value;
        }
        match (to.size(), to.signed()) {
            (1, true) => self.f().unary(Unary::Sext8, value),
            (1, false) => self.f().binary_number(Binary::And, value, 0xff),
            (_, true) => self.f().unary(Unary::Sext16, value),
            (_, false) => self.f().binary_number(Binary::And, value, 0xffff),
        }
    }

    fn statement_expr(&mut self, body: &[crate::parse::ast::Stmt]) -> Parsed<Val> {
        let Some((last, rest)) = body.split_last() else { return Ok(Val::Void) };
        for stmt in rest {
            self.statement(stmt)?;
        }
        match &last.kind {
            StmtKind::Expr(expr) if self.types.is_void(expr.ty) => {
                self.effect(expr)?;
                Ok(Val::Void)
            }
            StmtKind::Expr(expr) => self.rvalue(expr),
            _ => {
                self.statement(last)?;
                Ok(Val::Void)
            }
        }
    }

    /// Whether a value can be told while compiling.
    pub fn is_known(&mut self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Int(_) | ExprKind::Wide(_) => true,
            ExprKind::Var(var) => {
                let home = self.f().frames.iter().rev().find_map(|frame| frame.homes.get(var).copied());
                match home {
                    Some(Home::Value(local)) => {
                        let value = self.f().read(local);
                        self.f().constant(value).is_some()
                    }
                    _ => false,
                }
            }
            ExprKind::Cast(inner) | ExprKind::Unary(_, inner) | ExprKind::LogNot(inner) => self.is_known(inner),
            ExprKind::Binary(_, left, right) | ExprKind::LogAnd(left, right) | ExprKind::LogOr(left, right) => {
                self.is_known(left) && self.is_known(right)
            }
            ExprKind::Builtin(Builtin::Preserve, args) => args.first().is_some_and(|arg| self.is_known(arg)),
            _ => false,
        }
    }
}
