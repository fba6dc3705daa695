//! Numbers and addresses: expressions whose value a register holds. They are 64 bits wide, extended by the sign of their
//! type.

use skep_ir::{Binary, Callee, Cond, Type as IrType, Unary, Value, Width};

use super::body::Body;
use super::memory::At;
use crate::ast::BinaryOp;
use crate::check::tree::{Expr, Kind, Target};
use crate::plan::Action;
use crate::types::Type;

impl Body<'_, '_, '_> {
    /// The value of an expression with a scalar type; 0 for others, after their effect.
    pub fn scalar(&mut self, expr: &Expr) -> Value {
        self.at(expr.span);
        match &expr.kind {
            Kind::Int(value) => self.b.i64(*value),
            Kind::Var(var) => {
                let home = self.home(var.0);
                self.load_scalar(&expr.ty, home)
            }
            Kind::VarAddress(var) => {
                let home = self.home(var.0);
                let pointer = self.addr(home);
                self.plain_address(pointer)
            }
            Kind::MapAddress(map) => {
                let pointer = self.b.map_addr(self.cx.maps[map.0 as usize].map);
                self.plain_address(pointer)
            }
            Kind::Memory(place) => self.read_scalar(place, &expr.ty),
            Kind::Address(inner, offset) => self.address(inner, *offset),
            Kind::Argument(word) => self.argument(word),
            Kind::Indirect(offset) => self.indirect(*offset),
            Kind::Entry(map, key) => self.entry_scalar(*map, key, &expr.ty),
            Kind::Aggregate(map, key) => {
                let key = self.key(*map, key);
                self.aggregate_value(*map, key)
            }
            Kind::Neg(inner) => {
                let value = self.scalar(inner);
                self.b.unary(Unary::Neg, value)
            }
            Kind::Complement(inner) => {
                let value = self.scalar(inner);
                self.b.binary_const(Binary::Xor, value, -1)
            }
            Kind::Binary(op, left, right) => self.binary(*op, left, right, &expr.ty, expr),
            Kind::Compare(..) | Kind::Equal { .. } | Kind::And(..) | Kind::Or(..) | Kind::Not(_) => self.truth(expr),
            Kind::Convert(inner) => {
                let value = self.scalar(inner);
                self.convert(value, &inner.ty, &expr.ty)
            }
            Kind::Choose(cond, yes, no) => self.choose(cond, yes, no),
            Kind::Block(body, value) => {
                self.stmts(body);
                if self.b.is_closed() {
                    // Nothing comes behind this; what follows is made and dropped.
                    let next = self.b.block(&[]);
                    self.b.switch_to(next);
                }
                self.scalar(value)
            }
            Kind::Inline(body, result) => {
                self.inline(body);
                match result {
                    Some(var) => {
                        let home = self.home(var.0);
                        self.load_scalar(&expr.ty, home)
                    }
                    None => self.b.i64(0),
                }
            }
            Kind::Step { target, by, postfix } => self.step(target, *by, *postfix, expr),
            Kind::Builtin(call) => self.builtin_scalar(call, expr),
            Kind::Function(number, args) => {
                let args: Vec<Value> = args.iter().map(|arg| self.scalar(arg)).collect();
                let Some(function) = self.cx.functions[*number as usize] else { return self.b.i64(0) };
                let callee = Callee::Func(function);
                if expr.ty == Type::Void {
                    self.b.call_void(callee, &args);
                    return self.b.i64(0);
                }
                self.b.call(callee, &args, IrType::I64)
            }
            Kind::Text(_) | Kind::Bytes(_) | Kind::Tuple(_) => self.b.i64(0),
        }
    }

    /// Reads a number that is stored by its type.
    pub fn load_scalar(&mut self, ty: &Type, at: At) -> Value {
        match ty.scalar().and_then(|(bytes, signed)| Some((Width::from_bytes(bytes.into())?, signed))) {
            Some((width, signed)) => self.load(width, signed, at),
            None => self.b.i64(0),
        }
    }

    /// Stores a number by its type.
    pub fn store_scalar(&mut self, ty: &Type, at: At, value: Value) {
        if let Some(width) = ty.scalar().and_then(|scalar| Width::from_bytes(scalar.0.into())) {
            self.store(width, at, value);
        }
    }

    /// A number of one type as one of another.
    pub fn convert(&mut self, value: Value, from: &Type, to: &Type) -> Value {
        let (Some((from_bytes, from_signed)), Some((bytes, signed))) = (from.scalar(), to.scalar()) else {
            return value;
        };
        if *to == Type::Bool {
            if *from == Type::Bool {
                return value;
            }
            let zero = self.b.i64(0);
            return self.b.compare(Cond::Ne, value, zero);
        }
        let fits = bytes == 8
            || (from_bytes < bytes && (signed || !from_signed))
            || (from_bytes == bytes && from_signed == signed);
        if fits {
            return value;
        }
        match (bytes, signed) {
            (1, true) => self.b.unary(Unary::Sext8, value),
            (2, true) => self.b.unary(Unary::Sext16, value),
            (_, true) => self.b.unary(Unary::Sext32, value),
            (4, false) => {
                let low = self.b.unary(Unary::Truncate, value);
                self.b.unary(Unary::Extend, low)
            }
            (bytes, false) => self.b.binary_const(Binary::And, value, (1 << (u32::from(bytes) * 8)) - 1),
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr, ty: &Type, whole: &Expr) -> Value {
        let a = self.scalar(left);
        let b = self.scalar(right);
        let signed = ty.is_signed();
        self.at(whole.span);
        if matches!(op, BinaryOp::Div | BinaryOp::Mod) {
            // Only if both are numbers without a sign is the result one.
            let signed = signed && (left.ty.is_signed() || right.ty.is_signed());
            let b = if right.constant().is_some_and(|divisor| divisor != 0) { b } else { self.divisor(b, whole) };
            let op = match (op, signed) {
                (BinaryOp::Div, true) => Binary::Sdiv,
                (BinaryOp::Div, false) => Binary::Udiv,
                (_, true) => Binary::Srem,
                (_, false) => Binary::Urem,
            };
            return self.b.binary(op, a, b);
        }
        let op = match op {
            BinaryOp::Add => Binary::Add,
            BinaryOp::Sub => Binary::Sub,
            BinaryOp::Mul => Binary::Mul,
            BinaryOp::BitAnd => Binary::And,
            BinaryOp::BitOr => Binary::Or,
            BinaryOp::BitXor => Binary::Xor,
            BinaryOp::Shl => Binary::Shl,
            _ if left.ty.is_signed() => Binary::Ashr,
            _ => Binary::Lshr,
        };
        self.b.binary(op, a, b)
    }

    /// A divisor that is not zero: 1 instead, after a warning.
    fn divisor(&mut self, value: Value, whole: &Expr) -> Value {
        let at = self.cx.input.env.text.place(whole.span);
        let action = self.cx.action(Action::Warning { text: "division by zero, the divisor is taken as 1".into(), at });
        let (bad, good) = (self.b.block(&[]), self.b.block(&[]));
        let join = self.b.block(&[IrType::I64]);
        let zero = self.b.i64(0);
        let refined = self.b.branch_refining(Cond::Eq, value, zero, bad, good);
        self.b.switch_to(bad);
        self.warn(action);
        let one = self.b.i64(1);
        self.b.jump(join, &[one]);
        self.b.switch_to(good);
        self.b.jump(join, &[refined]);
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    fn choose(&mut self, cond: &Expr, yes: &Expr, no: &Expr) -> Value {
        let (on_yes, on_no) = (self.b.block(&[]), self.b.block(&[]));
        let join = self.b.block(&[IrType::I64]);
        self.cond(cond, on_yes, on_no);
        for (block, value) in [(on_yes, yes), (on_no, no)] {
            self.b.switch_to(block);
            let value = self.scalar(value);
            self.b.jump(join, &[value]);
        }
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    /// 1 or 0 for a condition.
    fn truth(&mut self, expr: &Expr) -> Value {
        let (on_yes, on_no) = (self.b.block(&[]), self.b.block(&[]));
        let join = self.b.block(&[IrType::I64]);
        self.cond(expr, on_yes, on_no);
        for (block, number) in [(on_yes, 1), (on_no, 0)] {
            self.b.switch_to(block);
            let value = self.b.i64(number);
            self.b.jump(join, &[value]);
        }
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    fn step(&mut self, target: &Target, by: i64, postfix: bool, whole: &Expr) -> Value {
        let ty = &whole.ty;
        match target {
            Target::Var(var) => {
                let home = self.home(var.0);
                let old = self.load_scalar(ty, home);
                let new = self.b.binary_const(Binary::Add, old, by);
                self.store_scalar(ty, home, new);
                if postfix { old } else { new }
            }
            Target::Entry(map, key) => {
                let by = self.b.i64(by);
                let key = self.key(*map, key);
                let old = self.add_to_entry(*map, key, by, whole.span);
                if postfix { old } else { self.b.binary(Binary::Add, old, by) }
            }
        }
    }
}
