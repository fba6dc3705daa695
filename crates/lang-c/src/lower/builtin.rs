//! Builtins: memory, bits, atomics, overflow.

use skep_ir::{AtomicOp, Binary, Cond, InstData, Type, Unary, Value, Width};

use super::Lower;
use super::expr::Val;
use super::place::{Addr, Realm};
use crate::parse::Parsed;
use crate::parse::ast::{AtomicKind, BinOp, Builtin, Expr, ExprKind};
use crate::source::{Diag, Loc};
use crate::types::{IntTy, QTy, Types};

/// The longest comparison and the longest overlapping copy in bytes.
const LONGEST: u64 = 512;

impl Lower<'_> {
    pub fn builtin(&mut self, builtin: &Builtin, args: &[Expr], expr: &Expr, wanted: bool) -> Parsed<Val> {
        self.at(expr.loc);
        let value = match (builtin, args) {
            (Builtin::Copy { overlap }, [to, from, len]) => return self.mem_copy(to, from, len, *overlap, expr.loc),
            (Builtin::Fill, [to, byte, len]) => return self.mem_fill(to, byte, len, expr.loc),
            (Builtin::Compare, [one, other, len]) => self.mem_compare(one, other, len, expr.loc)?,
            (Builtin::Swap(bytes), [value]) => {
                let value = self.value(value)?;
                let op = match bytes {
                    2 => Unary::Swap16,
                    4 => Unary::Swap32,
                    _ => Unary::Swap64,
                };
                self.f().unary(op, value)
            }
            (Builtin::Clz(_) | Builtin::Ctz(_) | Builtin::Popcount(_) | Builtin::Ffs(_), [value]) => {
                let value = self.value(value)?;
                self.bits(builtin, value)
            }
            (Builtin::Trap | Builtin::Unreachable, _) => {
                self.f().unreachable();
                return Ok(Val::Void);
            }
            (Builtin::ConstantP, [arg]) => {
                let known = self.is_known(arg);
                self.f().number(known.into(), Type::I32)
            }
            (Builtin::Preserve, [arg]) => return self.rvalue(arg),
            (Builtin::Core(ask, kind), [arg]) => self.core_builtin(*ask, *kind, arg, expr.ty)?,
            (Builtin::Atomic { op, before }, [ptr, operand]) => {
                return self.atomic(*op, *before, ptr, operand, expr.ty, wanted);
            }
            (Builtin::CompareExchange { bool }, [ptr, old, new]) => {
                let addr = self.target(ptr)?;
                let (old, new) = (self.value(old)?, self.value(new)?);
                let ty = args[1].ty;
                let found = self.exchange(addr, old, new);
                if *bool { self.f_equal(found, old) } else { self.value_of_bits(found, ty) }
            }
            (Builtin::CompareExchangeAt, [ptr, old, new]) => self.exchange_at(ptr, old, new)?,
            (Builtin::Load, [ptr]) => {
                let mut addr = self.target(ptr)?;
                addr.volatile = true;
                self.load(&addr, expr.ty)?
            }
            (Builtin::Store, [ptr, operand]) => {
                let mut addr = self.target(ptr)?;
                addr.volatile = true;
                let value = self.value(operand)?;
                self.store(&addr, operand.ty, value)?;
                return Ok(Val::Void);
            }
            (Builtin::Fence, _) => return Ok(Val::Void),
            (Builtin::Overflow(op), [one, other, ptr]) => self.overflow(*op, one, other, ptr)?,
            (Builtin::PacketLoad(width), [_, offset]) => {
                let offset = self.value(offset)?;
                let width = Width::from_bytes(*width).unwrap_or(Width::W8);
                self.packet_load(width, offset)
            }
            _ => return self.error(expr.loc, "this builtin is not supported here"),
        };
        Ok(Val::Value(value))
    }

    /// The place that a pointer leads to, with the alignment that its type promises.
    fn target(&mut self, ptr: &Expr) -> Parsed<Addr> {
        let mut inner = ptr;
        // Casts to `void *` do not lose what was known.
        while let ExprKind::Cast(next) = &inner.kind {
            let lvalue = next.is_lvalue() && self.types.same(next.ty, inner.ty, false);
            let other = self.types.leads_to_arena(next.ty) != self.types.leads_to_arena(inner.ty);
            if !self.types.is_ptr(next.ty) || lvalue || other {
                break;
            }
            inner = next;
        }
        if let ExprKind::AddrOf(place) | ExprKind::Decay(place) = &inner.kind
            && place.is_lvalue()
        {
            return self.addr(place);
        }
        let align =
            self.types.pointee(inner.ty).map_or(1, |to| if self.types.is_void(to) { 1 } else { self.types.align(to) });
        let base = self.value(inner)?;
        let realm = if self.types.leads_to_arena(inner.ty) { Realm::Arena } else { Realm::Own };
        Ok(Addr { realm, ..Addr::new(base, align) })
    }

    fn length(&mut self, len: &Expr, what: &str, loc: Loc) -> Parsed<u64> {
        let value = self.value(len)?;
        let Some(len) = self.f().constant(value) else {
            return self.push(
                Diag::error(loc, format!("the length of `{what}` is not known while compiling"))
                    .with_help("copy a fixed number of bytes, or use a loop with a fixed bound"),
            );
        };
        match u64::try_from(len) {
            Ok(len) if len <= 1 << 20 => Ok(len),
            _ => self.error(loc, format!("`{what}` of {} bytes", len.cast_unsigned())),
        }
    }

    fn mem_copy(&mut self, to: &Expr, from: &Expr, len: &Expr, overlap: bool, loc: Loc) -> Parsed<Val> {
        let len = self.length(len, "memcpy", loc)?;
        let target = self.target(to)?;
        let source = self.target(from)?;
        if !overlap {
            self.copy(target.clone(), source, len);
            return Ok(Val::Value(self.pointer_value(target)));
        }
        if len > LONGEST {
            return self.error(loc, format!("`memmove` of {len} bytes: at most {LONGEST} are moved"));
        }
        // All is read before anything is written.
        let align = target.align.min(source.align).clamp(1, 8);
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < len {
            let mut step = align;
            while step > len - at {
                step /= 2;
            }
            let ty = Types::int(match step {
                8 => IntTy::ULong,
                4 => IntTy::UInt,
                2 => IntTy::UShort,
                _ => IntTy::UChar,
            });
            let value = self.load(&source.clone().plus(at.cast_signed()), ty)?;
            pieces.push((at, ty, value));
            at += step;
        }
        for (at, ty, value) in pieces {
            self.store(&target.clone().plus(at.cast_signed()), ty, value)?;
        }
        Ok(Val::Value(self.pointer_value(target)))
    }

    fn mem_fill(&mut self, to: &Expr, byte: &Expr, len: &Expr, loc: Loc) -> Parsed<Val> {
        let len = self.length(len, "memset", loc)?;
        let byte = self.value(byte)?;
        let target = self.target(to)?;
        match self.f().constant(byte) {
            Some(byte) => self.clear(target.clone(), len, byte as u8),
            None if len > LONGEST => {
                return self.error(loc, format!("`memset` of {len} bytes with a value that is not constant"));
            }
            None => {
                let wide = self.f().unary(Unary::Extend, byte);
                let low = self.f().binary_number(Binary::And, wide, 0xff);
                let all = self.f().binary_number(Binary::Mul, low, 0x0101_0101_0101_0101);
                let mut at = 0;
                while at < len {
                    let mut step = target.align.clamp(1, 8);
                    while step > len - at {
                        step /= 2;
                    }
                    let ty = Types::int(match step {
                        8 => IntTy::ULong,
                        4 => IntTy::UInt,
                        2 => IntTy::UShort,
                        _ => IntTy::UChar,
                    });
                    let piece = self.convert(all, Types::int(IntTy::ULong), ty);
                    self.store(&target.clone().plus(at.cast_signed()), ty, piece)?;
                    at += step;
                }
            }
        }
        Ok(Val::Value(self.pointer_value(target)))
    }

    fn mem_compare(&mut self, one: &Expr, other: &Expr, len: &Expr, loc: Loc) -> Parsed<Value> {
        let len = self.length(len, "memcmp", loc)?;
        if len > LONGEST {
            return self.error(loc, format!("`memcmp` of {len} bytes: at most {LONGEST} are compared"));
        }
        let (one, other) = (self.target(one)?, self.target(other)?);
        let align = one.align.min(other.align).clamp(1, 8);
        let [left, right, result] = [Type::I64, Type::I64, Type::I32].map(|ty| self.f().new_local(ty));
        let [differ, behind] = [(); 2].map(|()| self.f().new_block());
        let mut at = 0;
        while at < len {
            let mut step = align;
            while step > len - at {
                step /= 2;
            }
            let (int, swap) = match step {
                8 => (IntTy::ULong, Some(Unary::Swap64)),
                4 => (IntTy::UInt, Some(Unary::Swap32)),
                2 => (IntTy::UShort, Some(Unary::Swap16)),
                _ => (IntTy::UChar, None),
            };
            let ty = Types::int(int);
            let a = self.load(&one.clone().plus(at.cast_signed()), ty)?;
            let b = self.load(&other.clone().plus(at.cast_signed()), ty)?;
            let [unequal, next] = [(); 2].map(|()| self.f().new_block());
            self.f().branch(Cond::Ne, a, b, unequal, next);
            self.f().enter_sealed(unequal);
            for (local, value) in [(left, a), (right, b)] {
                let value = swap.map_or(value, |swap| self.f().unary(swap, value));
                let wide = self.convert(value, ty, Types::int(IntTy::ULong));
                self.f().write(local, wide);
            }
            self.f().jump(differ);
            self.f().enter_sealed(next);
            at += step;
        }
        let zero = self.f().number(0, Type::I32);
        self.f().write(result, zero);
        self.f().jump(behind);
        self.f().enter_sealed(differ);
        let (a, b) = (self.f().read(left), self.f().read(right));
        let [less, more] = [(); 2].map(|()| self.f().new_block());
        self.f().branch(Cond::Ult, a, b, less, more);
        for (block, value) in [(less, -1), (more, 1)] {
            self.f().enter_sealed(block);
            let value = self.f().number(value, Type::I32);
            self.f().write(result, value);
            self.f().jump(behind);
        }
        self.f().enter_sealed(behind);
        Ok(self.f().read(result))
    }

    fn popcount(&mut self, value: Value) -> Value {
        let narrow = self.f().ty(value) == Type::I32;
        let pattern =
            |byte: u8| if narrow { i64::from(u32::from_ne_bytes([byte; 4])) } else { i64::from_ne_bytes([byte; 8]) };
        let f = self.f();
        let half = f.binary_number(Binary::Lshr, value, 1);
        let half = f.binary_number(Binary::And, half, pattern(0x55));
        let pairs = f.binary(Binary::Sub, value, half);
        let high = f.binary_number(Binary::Lshr, pairs, 2);
        let high = f.binary_number(Binary::And, high, pattern(0x33));
        let low = f.binary_number(Binary::And, pairs, pattern(0x33));
        let fours = f.binary(Binary::Add, high, low);
        let high = f.binary_number(Binary::Lshr, fours, 4);
        let eights = f.binary(Binary::Add, fours, high);
        let eights = f.binary_number(Binary::And, eights, pattern(0x0f));
        let sum = f.binary_number(Binary::Mul, eights, pattern(0x01));
        let count = f.binary_number(Binary::Lshr, sum, if narrow { 24 } else { 56 });
        if narrow { count } else { f.unary(Unary::Truncate, count) }
    }

    fn trailing(&mut self, value: Value) -> Value {
        let f = self.f();
        let negative = f.unary(Unary::Neg, value);
        let lowest = f.binary(Binary::And, value, negative);
        let below = f.binary_number(Binary::Add, lowest, -1);
        self.popcount(below)
    }

    fn bits(&mut self, builtin: &Builtin, value: Value) -> Value {
        let wide = self.f().ty(value) == Type::I64;
        match builtin {
            Builtin::Popcount(_) => self.popcount(value),
            Builtin::Ctz(_) => self.trailing(value),
            Builtin::Clz(_) => {
                let mut all = value;
                for shift in [1, 2, 4, 8, 16, 32] {
                    if shift < 32 || wide {
                        let shifted = self.f().binary_number(Binary::Lshr, all, shift);
                        all = self.f().binary(Binary::Or, all, shifted);
                    }
                }
                let rest = self.f().binary_number(Binary::Xor, all, -1);
                self.popcount(rest)
            }
            _ => {
                let count = self.trailing(value);
                let next = self.f().binary_number(Binary::Add, count, 1);
                let ty = self.f().ty(value);
                let zero = self.f().number(0, ty);
                let none = self.f().number(0, Type::I32);
                self.f().value(InstData::Select(Cond::Eq, [value, zero, none, next]), Type::I32)
            }
        }
    }

    /// A pointer as the number that atomics work on.
    fn bits_of(&mut self, value: Value) -> Value {
        if self.f().ty(value).is_int() { value } else { self.f().make_int(value) }
    }

    fn value_of_bits(&mut self, value: Value, ty: QTy) -> Value {
        if self.types.is_ptr(ty) { self.f().make_ptr(value) } else { value }
    }

    fn atomic(
        &mut self,
        op: AtomicKind,
        before: bool,
        ptr: &Expr,
        operand: &Expr,
        ty: QTy,
        wanted: bool,
    ) -> Parsed<Val> {
        let addr = self.target(ptr)?;
        let operand = self.value(operand)?;
        let mut operand = self.bits_of(operand);
        let register = self.f().ty(operand);
        let width = if register == Type::I32 { Width::W32 } else { Width::W64 };
        let (op, binary) = match op {
            AtomicKind::Add => (AtomicOp::Add, Binary::Add),
            AtomicKind::Sub => {
                operand = self.f().unary(Unary::Neg, operand);
                (AtomicOp::Add, Binary::Add)
            }
            AtomicKind::And => (AtomicOp::And, Binary::And),
            AtomicKind::Or => (AtomicOp::Or, Binary::Or),
            AtomicKind::Xor => (AtomicOp::Xor, Binary::Xor),
            AtomicKind::Xchg => (AtomicOp::Xchg, Binary::Add),
        };
        let ptr = self.accessed(addr);
        let data = InstData::Atomic { op, width, ptr, off: 0, value: operand };
        if !wanted && op != AtomicOp::Xchg {
            self.f().inst(data, &[]);
            return Ok(Val::Void);
        }
        let old = self.f().value(data, register);
        let value = if before { old } else { self.f().binary(binary, old, operand) };
        Ok(Val::Value(self.value_of_bits(value, ty)))
    }

    fn exchange(&mut self, addr: Addr, expected: Value, value: Value) -> Value {
        let (expected, value) = (self.bits_of(expected), self.bits_of(value));
        let register = self.f().ty(expected);
        let width = if register == Type::I32 { Width::W32 } else { Width::W64 };
        let ptr = self.accessed(addr);
        self.f().value(InstData::CompareExchange { width, ptr, off: 0, expected, value }, register)
    }

    fn f_equal(&mut self, one: Value, other: Value) -> Value {
        let (one, other) = (self.bits_of(one), self.bits_of(other));
        self.f().compare(Cond::Eq, one, other)
    }

    /// `__atomic_compare_exchange_n`: what was found is written to where the expected value came from.
    fn exchange_at(&mut self, ptr: &Expr, old: &Expr, new: &Expr) -> Parsed<Value> {
        let ty = new.ty;
        let (addr, at) = (self.target(ptr)?, self.target(old)?);
        let expected = self.load(&at, ty)?;
        let new = self.value(new)?;
        let found = self.exchange(addr, expected, new);
        let value = self.value_of_bits(found, ty);
        self.store(&at, ty, value)?;
        Ok(self.f_equal(found, expected))
    }

    fn overflow(&mut self, op: BinOp, one: &Expr, other: &Expr, ptr: &Expr) -> Parsed<Value> {
        let to = self.types.pointee(ptr.ty).unwrap_or(Types::int(IntTy::Int));
        let int = self.types.as_int(to).unwrap_or(IntTy::Int);
        let (a, b) = (self.value(one)?, self.value(other)?);
        let addr = self.target(ptr)?;
        let sum = self.arithmetic(op, int.signed(), a, b);
        let wide = if int.size() == 8 { to } else { Types::int(IntTy::Long) };
        let result = self.convert(sum, wide, to);
        self.store(&addr, to, result)?;
        if int.size() < 8 {
            let back = self.convert(result, to, wide);
            return Ok(self.f().compare(Cond::Ne, back, sum));
        }
        Ok(match (op, int.signed()) {
            (BinOp::Add, false) => self.f().compare(Cond::Ult, sum, a),
            (BinOp::Sub, false) => self.f().compare(Cond::Ult, a, b),
            (BinOp::Mul, _) => {
                // Divided by one operand, the product gives the other, unless it has lost bits.
                let back = self.f().binary(if int.signed() { Binary::Sdiv } else { Binary::Udiv }, sum, a);
                let lost = self.f().compare(Cond::Ne, back, b);
                let zero = self.f().number(0, Type::I64);
                let no = self.f().number(0, Type::I32);
                self.f().value(InstData::Select(Cond::Eq, [a, zero, no, lost]), Type::I32)
            }
            (op, _) => {
                let first = self.f().binary(Binary::Xor, a, if op == BinOp::Add { sum } else { b });
                let second = self.f().binary(Binary::Xor, if op == BinOp::Add { b } else { a }, sum);
                let both = self.f().binary(Binary::And, first, second);
                let zero = self.f().number(0, Type::I64);
                self.f().compare(Cond::Slt, both, zero)
            }
        })
    }
}
