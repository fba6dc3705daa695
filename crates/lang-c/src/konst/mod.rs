//! Constant expressions: numbers, and addresses of variables plus a distance, as initialisers, array lengths, labels of
//! `case` and `_Static_assert` need them. Overflow wraps as at run time; nothing here can panic.

use crate::parse::ast::{BinOp, Builtin, Expr, ExprKind, FuncId, Program, UnOp, VarId};
use crate::types::{IntTy, Kind, QTy, Types};

/// What an address is relative to.
#[derive(Debug, Clone, PartialEq)]
pub enum Symbol {
    Var(VarId),
    Func(FuncId),
    Str(std::rc::Rc<[u8]>),
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Const {
    /// A number as its type has it.
    Int(i64),
    /// A number of 128 bits; one without sign has its bits.
    Wide(i128),
    /// An address.
    Addr(Symbol, i64),
}

impl Const {
    /// The number, if it has at most 64 bits.
    pub const fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Wide(value) if *value as i64 as i128 == *value => Some(*value as i64),
            Self::Wide(_) | Self::Addr(..) => None,
        }
    }

    /// A number of a type as one of 128 bits.
    fn wide(&self, int: IntTy) -> Option<i128> {
        match self {
            Self::Int(value) => Some(int.widen(*value)),
            Self::Wide(value) => Some(*value),
            Self::Addr(..) => None,
        }
    }

    /// A number of 128 bits as one of a type.
    pub const fn of(int: IntTy, value: i128) -> Self {
        match int {
            IntTy::Int128 | IntTy::UInt128 => Self::Wide(value),
            IntTy::Bool => Self::Int((value != 0) as i64),
            _ => Self::Int(int.wrap(value as i64)),
        }
    }
}

/// Evaluates expressions.
#[derive(Debug, Clone, Copy)]
pub struct Eval<'a> {
    pub types: &'a Types,
    pub program: &'a Program,
    /// Whether `const` variables with known initialisers count.
    pub variables: bool,
}

/// `left OP right` of one type. `None` for a division by zero, which is no constant.
pub fn binary(int: IntTy, op: BinOp, left: i64, right: i64) -> Option<i64> {
    let right = match op {
        BinOp::Shl | BinOp::Shr => (right.cast_unsigned() % (8 * int.size())).into(),
        _ => int.widen(right),
    };
    let value = binary_wide(int, op, int.widen(left), right)? as i64;
    let compares = matches!(op, BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge);
    Some(if compares { value } else { int.wrap(value) })
}

/// The same for 128 bits, and shifts of them; comparisons too are numbers of 128 bits.
pub fn binary_wide(int: IntTy, op: BinOp, left: i128, right: i128) -> Option<i128> {
    let signed = int.signed();
    let (uleft, uright) = (left.cast_unsigned(), right.cast_unsigned());
    let count = (uright % 128) as u32;
    let order = if signed { left.cmp(&right) } else { uleft.cmp(&uright) };
    Some(match op {
        BinOp::Add => left.wrapping_add(right),
        BinOp::Sub => left.wrapping_sub(right),
        BinOp::Mul => left.wrapping_mul(right),
        BinOp::Div | BinOp::Rem if right == 0 => return None,
        BinOp::Div if signed => left.wrapping_div(right),
        BinOp::Rem if signed => left.wrapping_rem(right),
        BinOp::Div => (uleft / uright).cast_signed(),
        BinOp::Rem => (uleft % uright).cast_signed(),
        BinOp::And => left & right,
        BinOp::Or => left | right,
        BinOp::Xor => left ^ right,
        BinOp::Shl => left.wrapping_shl(count),
        BinOp::Shr if signed => left.wrapping_shr(count),
        BinOp::Shr => uleft.wrapping_shr(count).cast_signed(),
        BinOp::Eq => order.is_eq().into(),
        BinOp::Ne => order.is_ne().into(),
        BinOp::Lt => order.is_lt().into(),
        BinOp::Le => order.is_le().into(),
        BinOp::Gt => order.is_gt().into(),
        BinOp::Ge => order.is_ge().into(),
    })
}

impl Eval<'_> {
    /// The number that an expression is.
    pub fn int(&self, expr: &Expr) -> Option<i64> {
        self.eval(expr)?.int()
    }

    fn truth(&self, expr: &Expr) -> Option<bool> {
        match self.eval(expr)? {
            Const::Int(value) => Some(value != 0),
            Const::Wide(value) => Some(value != 0),
            // What may be missing has no address then.
            Const::Addr(Symbol::Var(var), _) => (!self.program.var(var).weak).then_some(true),
            Const::Addr(Symbol::Func(func), _) => (!self.program.func(func).weak).then_some(true),
            Const::Addr(Symbol::Str(_), _) => Some(true),
        }
    }

    /// The constant that an expression is, `None` if it is none.
    pub fn eval(&self, expr: &Expr) -> Option<Const> {
        match &expr.kind {
            ExprKind::Int(value) => Some(Const::Int(*value)),
            ExprKind::Wide(value) => Some(Const::Wide(*value)),
            ExprKind::Func(func) => Some(Const::Addr(Symbol::Func(*func), 0)),
            ExprKind::Unary(op, inner) => {
                let int = self.types.as_int(expr.ty)?;
                if int.size() == 16 {
                    let value = self.eval(inner)?.wide(int)?;
                    return Some(Const::Wide(if *op == UnOp::Neg { value.wrapping_neg() } else { !value }));
                }
                let value = self.int(inner)?;
                Some(Const::Int(int.wrap(match op {
                    UnOp::Neg => value.wrapping_neg(),
                    UnOp::Not => !value,
                })))
            }
            ExprKind::Binary(op, left, right) => {
                let int = self.types.as_int(left.ty).unwrap_or(IntTy::ULong);
                if int.size() == 16 {
                    let count = self.types.as_int(right.ty)?;
                    let (left, right) = (self.eval(left)?.wide(int)?, self.eval(right)?.wide(count)?);
                    return Some(Const::of(self.types.as_int(expr.ty)?, binary_wide(int, *op, left, right)?));
                }
                match (self.eval(left)?, self.eval(right)?) {
                    (Const::Int(left), Const::Int(right)) => binary(int, *op, left, right).map(Const::Int),
                    (Const::Addr(a, i), Const::Addr(b, j)) if a == b && op.is_comparison() => {
                        binary(IntTy::Long, *op, i, j).map(Const::Int)
                    }
                    (Const::Addr(sym, off), Const::Int(n)) if matches!(op, BinOp::Add) => {
                        Some(Const::Addr(sym, off.wrapping_add(n)))
                    }
                    _ => None,
                }
            }
            ExprKind::PtrAdd(ptr, index, size) => {
                let step = self.int(index)?.wrapping_mul(size.cast_signed());
                self.eval(ptr).map(|base| add(base, step))
            }
            ExprKind::PtrSub(left, right, size) => match (self.eval(left)?, self.eval(right)?) {
                (Const::Int(a), Const::Int(b)) => a.wrapping_sub(b).checked_div(size.cast_signed()).map(Const::Int),
                (Const::Addr(a, i), Const::Addr(b, j)) if a == b => {
                    i.wrapping_sub(j).checked_div(size.cast_signed()).map(Const::Int)
                }
                _ => None,
            },
            ExprKind::LogNot(inner) => self.truth(inner).map(|value| Const::Int((!value).into())),
            ExprKind::LogAnd(left, right) => match self.truth(left)? {
                false => Some(Const::Int(0)),
                true => self.truth(right).map(|value| Const::Int(value.into())),
            },
            ExprKind::LogOr(left, right) => match self.truth(left)? {
                true => Some(Const::Int(1)),
                false => self.truth(right).map(|value| Const::Int(value.into())),
            },
            ExprKind::Cond(cond, yes, no) => match (self.truth(cond)?, yes) {
                (true, Some(yes)) => self.eval(yes),
                (true, None) => self.eval(cond),
                (false, _) => self.eval(no),
            },
            ExprKind::Cast(inner) => self.cast(self.eval(inner)?, inner.ty, expr.ty),
            ExprKind::Decay(inner) | ExprKind::AddrOf(inner) => self.address(inner),
            ExprKind::Var(var) if self.variables => {
                let var = self.program.var(*var);
                let init = var.init.as_ref().filter(|_| {
                    var.ty.quals.has(crate::types::Quals::CONST) && !var.ty.quals.has(crate::types::Quals::VOLATILE)
                })?;
                match init.entries.as_slice() {
                    [entry] if entry.bits.is_none() && self.types.is_scalar(var.ty) => self.eval(&entry.expr),
                    [] if self.types.is_scalar(var.ty) => Some(Const::Int(0)),
                    _ => None,
                }
            }
            ExprKind::Builtin(builtin, args) => self.builtin(builtin, args, expr.ty),
            _ => None,
        }
    }

    fn builtin(&self, builtin: &Builtin, args: &[Expr], ty: QTy) -> Option<Const> {
        let value = |at: usize| args.get(at).and_then(|arg| self.int(arg));
        let int = match builtin {
            Builtin::ConstantP => {
                let with_variables = Self { variables: true, ..*self };
                i64::from(args.first().is_some_and(|arg| with_variables.eval(arg).is_some()))
            }
            Builtin::Swap(2) => i64::from((value(0)? as u16).swap_bytes()),
            Builtin::Swap(4) => i64::from((value(0)? as u32).swap_bytes()),
            Builtin::Swap(_) => value(0)?.swap_bytes(),
            Builtin::Clz(4) => i64::from((value(0)? as u32).leading_zeros()),
            Builtin::Clz(_) => i64::from(value(0)?.leading_zeros()),
            Builtin::Ctz(4) => i64::from((value(0)? as u32).trailing_zeros()),
            Builtin::Ctz(_) => i64::from(value(0)?.trailing_zeros()),
            Builtin::Popcount(4) => i64::from((value(0)? as u32).count_ones()),
            Builtin::Popcount(_) => i64::from(value(0)?.count_ones()),
            Builtin::Ffs(_) => {
                value(0).map(|value| if value == 0 { 0 } else { i64::from(value.trailing_zeros()) + 1 })?
            }
            Builtin::Preserve => return self.eval(args.first()?),
            _ => return None,
        };
        Some(Const::Int(self.types.as_int(ty)?.wrap(int)))
    }

    fn cast(&self, value: Const, from: QTy, to: QTy) -> Option<Const> {
        let (source, target) = (self.types.as_int(from), self.types.as_int(to));
        if let (Some(number), Some(target)) = (value.wide(source.unwrap_or(IntTy::ULong)), target)
            && (target.size() == 16 || matches!(value, Const::Wide(_)))
        {
            return Some(Const::of(target, number));
        }
        match (value, self.types.kind(to)) {
            (Const::Wide(value), _) => Some(Const::Int(value as i64)),
            (Const::Int(value), Kind::Ptr(_)) => Some(Const::Int(value)),
            (value, Kind::Ptr(_)) => Some(value),
            (Const::Int(value), _) => Some(Const::Int(self.types.as_int(to)?.wrap(value))),
            (addr, _) if self.types.size(to) == Some(8) => Some(addr),
            (Const::Addr(..), Kind::Int(IntTy::Bool)) => Some(Const::Int(1)),
            _ => None,
        }
    }

    /// The address of an lvalue.
    pub fn address(&self, expr: &Expr) -> Option<Const> {
        match &expr.kind {
            ExprKind::Var(var) => Some(Const::Addr(Symbol::Var(*var), 0)),
            ExprKind::Func(func) => Some(Const::Addr(Symbol::Func(*func), 0)),
            ExprKind::Str(bytes) => Some(Const::Addr(Symbol::Str(bytes.clone()), 0)),
            ExprKind::Compound(var, _) => Some(Const::Addr(Symbol::Var(*var), 0)),
            ExprKind::Deref(ptr) => self.eval(ptr),
            ExprKind::Member(base, record, index, _) => {
                let member = self.types.record(*record).members.as_ref()?.get(*index as usize)?;
                self.address(base).map(|base| add(base, (member.bit_offset / 8).cast_signed()))
            }
            ExprKind::Index(base, index) => {
                let size = self.types.size(expr.ty)?.cast_signed();
                let step = self.int(index)?.wrapping_mul(size);
                self.address(base).map(|base| add(base, step))
            }
            ExprKind::Builtin(Builtin::Preserve, args) => self.address(args.first()?),
            _ => None,
        }
    }
}

fn add(base: Const, step: i64) -> Const {
    match base {
        Const::Int(value) => Const::Int(value.wrapping_add(step)),
        Const::Wide(value) => Const::Wide(value.wrapping_add(step.into())),
        Const::Addr(symbol, off) => Const::Addr(symbol, off.wrapping_add(step)),
    }
}
