//! Integers of 128 bits: two values of 64 bits. No instruction knows them; sums carry by comparing, products are made of
//! four products of 32 bits (where clang calls a library that BPF does not have), and quotients are only those that need
//! no long division.

use skep_ir::{Binary, Cond, Type, Value};

use super::Lower;
use super::expr::Val;
use super::func::Local;
use super::place::{Addr, Place, Realm};
use crate::parse::Parsed;
use crate::parse::ast::{BinOp, Expr, ExprKind, UnOp};
use crate::source::{Diag, Loc};
use crate::types::{IntTy, QTy, Types};

/// A value of 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halves {
    pub low: Value,
    pub high: Value,
}

/// The lower 32 bits of a half.
const LOWER: i64 = 0xffff_ffff;

impl Lower<'_> {
    /// Whether it is an integer of 128 bits.
    pub fn is_wide(&self, ty: QTy) -> bool {
        self.types.as_int(ty).is_some_and(|int| int.size() == 16)
    }

    /// How many registers a parameter of a type takes.
    pub fn registers(&self, ty: QTy) -> usize {
        if self.is_wide(ty) { 2 } else { 1 }
    }

    /// The value of an expression of such a type.
    pub fn halves(&mut self, expr: &Expr) -> Parsed<Halves> {
        match self.rvalue(expr)? {
            Val::Wide(value) => Ok(value),
            Val::Memory(addr) => self.load_wide(&addr, expr.ty),
            Val::Value(_) | Val::Void => self.error(expr.loc, "this has no value of 128 bits"),
        }
    }

    pub fn wide_number(&mut self, number: i128) -> Halves {
        let f = self.f();
        Halves { low: f.number(number as i64, Type::I64), high: f.number((number >> 64) as i64, Type::I64) }
    }

    fn wide_constant(&mut self, value: Halves) -> Option<i128> {
        let (low, high) = (self.f().constant(value.low)?, self.f().constant(value.high)?);
        Some(i128::from(high) << 64 | i128::from(low.cast_unsigned()))
    }

    // Places.

    pub fn new_pair(&mut self) -> [Local; 2] {
        [(); 2].map(|()| self.f().new_local(Type::I64))
    }

    pub fn read_pair(&mut self, [low, high]: [Local; 2]) -> Halves {
        Halves { low: self.f().read(low), high: self.f().read(high) }
    }

    pub fn write_pair(&mut self, [low, high]: [Local; 2], value: Halves) {
        self.f().write(low, value.low);
        self.f().write(high, value.high);
    }

    pub fn load_wide(&mut self, addr: &Addr, ty: QTy) -> Parsed<Halves> {
        if addr.realm == Realm::Kernel {
            let copy = self.fetched(addr, ty)?;
            return self.load_wide(&copy, ty);
        }
        if addr.bits.is_some() {
            let half = Types::int(if self.is_signed(ty) { IntTy::Long } else { IntTy::ULong });
            let low = self.load(addr, half)?;
            return Ok(self.widened(low, half));
        }
        let [low, high] = [0, 8].map(|at| self.load_bytes(addr, at, 8, false, Type::I64));
        Ok(Halves { low, high })
    }

    pub fn store_wide(&mut self, addr: &Addr, value: Halves) -> Parsed<()> {
        if addr.bits.is_some() {
            return self.store(addr, Types::int(IntTy::ULong), value.low);
        }
        self.store_bytes(addr, 0, 8, value.low);
        self.store_bytes(addr, 8, 8, value.high);
        Ok(())
    }

    fn read_wide(&mut self, place: &Place, ty: QTy) -> Parsed<Halves> {
        match place {
            Place::Pair(pair) => Ok(self.read_pair(*pair)),
            Place::Memory(addr) => self.load_wide(addr, ty),
            Place::Value(local) => {
                let low = self.f().read(*local);
                Ok(self.widened(low, ty))
            }
        }
    }

    fn write_wide(&mut self, place: &Place, value: Halves) -> Parsed<()> {
        match place {
            Place::Pair(pair) => {
                self.write_pair(*pair, value);
                Ok(())
            }
            Place::Memory(addr) => self.store_wide(addr, value),
            Place::Value(local) => {
                self.f().write(*local, value.low);
                Ok(())
            }
        }
    }

    /// What was written, as the place has it: a bit-field keeps what fits.
    fn after_wide(&mut self, place: &Place, ty: QTy, value: Halves) -> Parsed<Val> {
        match place {
            Place::Memory(addr) if addr.bits.is_some() => self.load_wide(addr, ty).map(Val::Wide),
            _ => Ok(Val::Wide(value)),
        }
    }

    // Conversions.

    /// A value of any scalar type as one of 128 bits.
    pub fn widened(&mut self, value: Value, from: QTy) -> Halves {
        let signed = self.is_signed(from);
        let low = self.convert(value, from, Types::int(if signed { IntTy::Long } else { IntTy::ULong }));
        let high = match signed {
            true => self.f().binary_number(Binary::Ashr, low, 63),
            false => self.f().number(0, Type::I64),
        };
        Halves { low, high }
    }

    /// A value of 128 bits as one of any scalar type.
    pub fn narrowed(&mut self, value: Halves, to: QTy) -> Value {
        let long = Types::int(IntTy::ULong);
        let low = match self.types.as_int(to) {
            Some(IntTy::Bool) => self.f().binary(Binary::Or, value.low, value.high),
            _ => value.low,
        };
        self.convert(low, long, to)
    }

    // Expressions.

    /// Expressions of 128 bits that are computed; `None` for what does not depend on the type.
    pub fn wide_expr(&mut self, expr: &Expr) -> Parsed<Option<Val>> {
        Ok(Some(match &expr.kind {
            ExprKind::Wide(number) => Val::Wide(self.wide_number(*number)),
            ExprKind::Unary(op, inner) => {
                let value = self.halves(inner)?;
                Val::Wide(self.wide_unary(*op, value))
            }
            ExprKind::Binary(op @ (BinOp::Shl | BinOp::Shr), left, right) => {
                let value = self.halves(left)?;
                let count = self.value(right)?;
                Val::Wide(self.wide_shift(*op, self.is_signed(expr.ty), value, count))
            }
            ExprKind::Binary(op, left, right) => {
                let (a, b) = (self.halves(left)?, self.halves(right)?);
                Val::Wide(self.wide_arithmetic(*op, self.is_signed(expr.ty), a, b, expr.loc)?)
            }
            ExprKind::Cond(cond, yes, no) => Val::Wide(self.wide_choice(cond, yes.as_deref(), no)?),
            ExprKind::Assign(left, right) => {
                let value = self.halves(right)?;
                let place = self.place(left)?;
                self.write_wide(&place, value)?;
                self.after_wide(&place, left.ty, value)?
            }
            ExprKind::IncDec(target, delta, before) => {
                let place = self.place(target)?;
                let old = self.read_wide(&place, target.ty)?;
                let delta = self.wide_number((*delta).into());
                let new = self.wide_arithmetic(BinOp::Add, false, old, delta, expr.loc)?;
                self.write_wide(&place, new)?;
                if *before { Val::Wide(old) } else { self.after_wide(&place, target.ty, new)? }
            }
            _ => return Ok(None),
        }))
    }

    /// `left OP= right`, computed in a type of 128 bits, whatever the left side has.
    pub fn wide_assign_op(&mut self, op: BinOp, left: &Expr, right: &Expr, compute: QTy) -> Parsed<Val> {
        let shift = matches!(op, BinOp::Shl | BinOp::Shr);
        let (count, operand) = match shift {
            true => (Some(self.value(right)?), self.wide_number(0)),
            false => (None, self.halves(right)?),
        };
        let place = self.place(left)?;
        let wide = self.is_wide(left.ty);
        let old = if wide {
            self.read_wide(&place, left.ty)?
        } else {
            let old = self.read(&place, left.ty)?;
            self.widened(old, left.ty)
        };
        let signed = self.is_signed(compute);
        let new = match count {
            Some(count) => self.wide_shift(op, signed, old, count),
            None => self.wide_arithmetic(op, signed, old, operand, left.loc)?,
        };
        if wide {
            self.write_wide(&place, new)?;
            return self.after_wide(&place, left.ty, new);
        }
        let new = self.narrowed(new, left.ty);
        self.write(&place, left.ty, new)?;
        self.after_write(&place, left.ty, new).map(Val::Value)
    }

    /// `cond ? yes : no`
    fn wide_choice(&mut self, cond: &Expr, yes: Option<&Expr>, no: &Expr) -> Parsed<Halves> {
        let pair = self.new_pair();
        let [on_yes, on_no, join] = [(); 3].map(|()| self.f().new_block());
        let same = match yes {
            Some(_) => {
                self.condition(cond, on_yes, on_no)?;
                None
            }
            None => {
                let (value, truth) = match self.rvalue(cond)? {
                    Val::Value(value) => (self.widened(value, cond.ty), value),
                    Val::Wide(value) => (value, self.f().binary(Binary::Or, value.low, value.high)),
                    Val::Memory(_) | Val::Void => {
                        return self.error(cond.loc, "a condition is an integer or a pointer");
                    }
                };
                let zero = self.f().ty(truth);
                let zero = self.f().number(0, zero);
                self.f().branch(Cond::Ne, truth, zero, on_yes, on_no);
                Some(value)
            }
        };
        for (block, expr) in [(on_yes, yes), (on_no, Some(no))] {
            self.f().enter_sealed(block);
            let value = match (expr, same) {
                (Some(expr), _) if self.is_wide(expr.ty) => self.halves(expr)?,
                (Some(expr), _) => {
                    let value = self.value(expr)?;
                    self.widened(value, expr.ty)
                }
                (None, Some(value)) => value,
                (None, None) => self.wide_number(0),
            };
            self.write_pair(pair, value);
            self.f().jump(join);
        }
        self.f().enter_sealed(join);
        Ok(self.read_pair(pair))
    }

    /// Goes to one of two blocks as two values compare.
    pub fn wide_branch(&mut self, cond: Cond, (a, b): (Halves, Halves), yes: skep_ir::Block, no: skep_ir::Block) {
        let next = self.f().new_block();
        let low = match cond {
            Cond::Eq | Cond::Ne => {
                let differs = if cond == Cond::Eq { no } else { yes };
                self.f().branch(Cond::Ne, a.high, b.high, differs, next);
                cond
            }
            _ => {
                let decides = self.f().new_block();
                self.f().branch(Cond::Eq, a.high, b.high, next, decides);
                self.f().enter_sealed(decides);
                self.f().branch(cond, a.high, b.high, yes, no);
                unsigned(cond)
            }
        };
        self.f().enter_sealed(next);
        self.f().branch(low, a.low, b.low, yes, no);
    }

    fn wide_unary(&mut self, op: UnOp, value: Halves) -> Halves {
        match op {
            UnOp::Neg => {
                let zero = self.wide_number(0);
                self.wide_sub(zero, value)
            }
            UnOp::Not => self.each(value, |f, half| f.binary_number(Binary::Xor, half, -1)),
        }
    }

    fn each(&mut self, value: Halves, mut job: impl FnMut(&mut super::func::Fn, Value) -> Value) -> Halves {
        Halves { low: job(self.f(), value.low), high: job(self.f(), value.high) }
    }

    /// `a OP b`, but for shifts.
    fn wide_arithmetic(&mut self, op: BinOp, signed: bool, a: Halves, b: Halves, loc: Loc) -> Parsed<Halves> {
        let bits = |lower: &mut Self, op| Halves {
            low: lower.f().binary(op, a.low, b.low),
            high: lower.f().binary(op, a.high, b.high),
        };
        Ok(match op {
            BinOp::Sub => self.wide_sub(a, b),
            BinOp::Mul => self.wide_mul(a, b),
            BinOp::And => bits(self, Binary::And),
            BinOp::Or => bits(self, Binary::Or),
            BinOp::Xor => bits(self, Binary::Xor),
            BinOp::Div | BinOp::Rem => self.wide_div(op, signed, a, b, loc)?,
            _ => self.wide_add(a, b),
        })
    }

    /// 1 if one half is less than another, without sign.
    fn carry(&mut self, a: Value, b: Value) -> Value {
        let less = self.f().compare(Cond::Ult, a, b);
        self.f().unary(skep_ir::Unary::Extend, less)
    }

    fn wide_add(&mut self, a: Halves, b: Halves) -> Halves {
        let low = self.f().binary(Binary::Add, a.low, b.low);
        let carry = self.carry(low, b.low);
        let high = self.f().binary(Binary::Add, a.high, b.high);
        Halves { low, high: self.f().binary(Binary::Add, high, carry) }
    }

    fn wide_sub(&mut self, a: Halves, b: Halves) -> Halves {
        let low = self.f().binary(Binary::Sub, a.low, b.low);
        let borrow = self.carry(a.low, b.low);
        let high = self.f().binary(Binary::Sub, a.high, b.high);
        Halves { low, high: self.f().binary(Binary::Sub, high, borrow) }
    }

    fn wide_mul(&mut self, a: Halves, b: Halves) -> Halves {
        let low = self.f().binary(Binary::Mul, a.low, b.low);
        let mut high = self.upper_product(a.low, b.low);
        for (one, other) in [(a.low, b.high), (a.high, b.low)] {
            let product = match (self.f().constant(one), self.f().constant(other)) {
                (Some(0), _) | (_, Some(0)) => continue,
                _ => self.f().binary(Binary::Mul, one, other),
            };
            high = self.f().binary(Binary::Add, high, product);
        }
        Halves { low, high }
    }

    /// The upper 64 bits of the product of two numbers without sign: no sum of the parts leaves 64 bits.
    fn upper_product(&mut self, a: Value, b: Value) -> Value {
        let [a, b] = [a, b].map(|value| {
            [self.f().binary_number(Binary::And, value, LOWER), self.f().binary_number(Binary::Lshr, value, 32)]
        });
        let f = self.f();
        let [lowest, one, other, highest] =
            [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(i, j): (usize, usize)| f.binary(Binary::Mul, a[i], b[j]));
        let middle = f.binary_number(Binary::Lshr, lowest, 32);
        let part = f.binary_number(Binary::And, one, LOWER);
        let middle = f.binary(Binary::Add, middle, part);
        let middle = f.binary(Binary::Add, middle, other);
        let part = f.binary_number(Binary::Lshr, one, 32);
        let sum = f.binary(Binary::Add, highest, part);
        let part = f.binary_number(Binary::Lshr, middle, 32);
        f.binary(Binary::Add, sum, part)
    }

    /// Quotients and remainders of numbers that fit into 64 bits, and by powers of two.
    fn wide_div(&mut self, op: BinOp, signed: bool, a: Halves, b: Halves, loc: Loc) -> Parsed<Halves> {
        let short = [a.high, b.high].iter().all(|&half| self.f().constant(half) == Some(0));
        if short {
            let op = if op == BinOp::Div { Binary::Udiv } else { Binary::Urem };
            return Ok(Halves { low: self.f().binary(op, a.low, b.low), high: a.high });
        }
        let divisor = self.wide_constant(b).map(i128::cast_unsigned).filter(|divisor| divisor.is_power_of_two());
        let Some(divisor) = divisor.filter(|divisor| !signed || *divisor >> 127 == 0) else {
            return self.push(
                Diag::error(loc, "128-bit integers are divided by constant powers of two only")
                    .with_help("divide numbers of 64 bits; BPF has no instruction and no library for more"),
            );
        };
        let count = self.f().number(divisor.trailing_zeros().into(), Type::I32);
        let below = self.wide_number((divisor - 1).cast_signed());
        if !signed {
            return Ok(match op {
                BinOp::Div => self.wide_shift(BinOp::Shr, false, a, count),
                _ => self.wide_arithmetic(BinOp::And, false, a, below, loc)?,
            });
        }
        // Rounded toward zero: what is negative gets the divisor less one first.
        let sign = self.f().binary_number(Binary::Ashr, a.high, 63);
        let bias = self.each(below, |f, half| f.binary(Binary::And, sign, half));
        let sum = self.wide_add(a, bias);
        Ok(match op {
            BinOp::Div => self.wide_shift(BinOp::Shr, true, sum, count),
            _ => {
                let above = self.wide_unary(UnOp::Not, below);
                let whole = self.wide_arithmetic(BinOp::And, false, sum, above, loc)?;
                self.wide_sub(a, whole)
            }
        })
    }

    /// A shift by a count of 32 bits, which is taken modulo 128.
    fn wide_shift(&mut self, op: BinOp, signed: bool, value: Halves, count: Value) -> Halves {
        if let Some(known) = self.f().constant(count) {
            let inside = self.f().number(known & 63, Type::I64);
            return match known & 127 {
                0 => value,
                64.. => self.far_shift(op, signed, value, inside),
                _ => self.near_shift(op, signed, value, inside),
            };
        }
        let pair = self.new_pair();
        let [near, far, join] = [(); 3].map(|()| self.f().new_block());
        let is_far = self.f().binary_number(Binary::And, count, 64);
        let count = self.f().unary(skep_ir::Unary::Extend, count);
        let zero = self.f().number(0, Type::I32);
        self.f().branch(Cond::Ne, is_far, zero, far, near);
        for block in [near, far] {
            self.f().enter_sealed(block);
            let shifted = if block == far {
                self.far_shift(op, signed, value, count)
            } else {
                self.near_shift(op, signed, value, count)
            };
            self.write_pair(pair, shifted);
            self.f().jump(join);
        }
        self.f().enter_sealed(join);
        self.read_pair(pair)
    }

    /// A shift by less than 64, the count modulo 64.
    fn near_shift(&mut self, op: BinOp, signed: bool, value: Halves, count: Value) -> Halves {
        let f = self.f();
        // What crosses is shifted by 64 less the count, in two steps because that may be 64.
        let rest = f.binary_number(Binary::Xor, count, 63);
        if op == BinOp::Shl {
            let crosses = f.binary_number(Binary::Lshr, value.low, 1);
            let crosses = f.binary(Binary::Lshr, crosses, rest);
            let high = f.binary(Binary::Shl, value.high, count);
            return Halves { low: f.binary(Binary::Shl, value.low, count), high: f.binary(Binary::Or, high, crosses) };
        }
        let crosses = f.binary_number(Binary::Shl, value.high, 1);
        let crosses = f.binary(Binary::Shl, crosses, rest);
        let low = f.binary(Binary::Lshr, value.low, count);
        Halves {
            low: f.binary(Binary::Or, low, crosses),
            high: f.binary(if signed { Binary::Ashr } else { Binary::Lshr }, value.high, count),
        }
    }

    /// A shift by 64 and the count modulo 64.
    fn far_shift(&mut self, op: BinOp, signed: bool, value: Halves, count: Value) -> Halves {
        let f = self.f();
        match (op, signed) {
            (BinOp::Shl, _) => Halves { low: f.number(0, Type::I64), high: f.binary(Binary::Shl, value.low, count) },
            (_, true) => Halves {
                low: f.binary(Binary::Ashr, value.high, count),
                high: f.binary_number(Binary::Ashr, value.high, 63),
            },
            (_, false) => Halves { low: f.binary(Binary::Lshr, value.high, count), high: f.number(0, Type::I64) },
        }
    }
}

/// The comparison of lower halves, which have no sign.
const fn unsigned(cond: Cond) -> Cond {
    match cond {
        Cond::Slt => Cond::Ult,
        Cond::Sle => Cond::Ule,
        Cond::Sgt => Cond::Ugt,
        Cond::Sge => Cond::Uge,
        same => same,
    }
}
