//! Bytes in memory: of the kernel or the process, read by helpers; of the context, read directly; of values that the
//! program has itself.

use skep_ir::{Binary, Cond, InstData, Type as IrType, Unary, Value, Width};

use super::body::Body;
use super::helpers;
use super::memory::At;
use crate::check::tree::{Base, Expr, Kind, Place, Word};
use crate::plan::Action;
use crate::types::{Space, Type};

impl Body<'_, '_, '_> {
    /// The address of a pointer as a number.
    pub fn as_number(&mut self, ptr: Value) -> Value {
        let inst = self.b.inst(InstData::PtrToInt(ptr), &[IrType::I64]);
        self.b.function[inst].results[0]
    }

    /// The address of what an expression reads, and bytes behind it.
    pub fn address(&mut self, expr: &Expr, offset: u32) -> Value {
        let Kind::Memory(place) = &expr.kind else { return self.scalar(expr) };
        let base = match &place.base {
            Base::Address(address, _) => self.scalar(address),
            Base::Context => {
                let context = self.context();
                self.as_number(context)
            }
            Base::Local(_) => return self.b.i64(0),
        };
        self.b.binary_const(Binary::Add, base, i64::from(place.offset) + i64::from(offset))
    }

    /// Reads bytes from an address; what cannot be read is zero.
    pub fn read(&mut self, to: At, bytes: u32, address: Value, space: Space) {
        let helper = match space {
            Space::Kernel => helpers::PROBE_READ_KERNEL,
            Space::User => helpers::PROBE_READ_USER,
            Space::Unknown => helpers::PROBE_READ,
        };
        let to = self.addr(to);
        let size = self.b.i64(bytes.into());
        self.call_reader(helper, &[to, size, address]);
    }

    /// A call of a helper that reads memory; that it failed is reported if that is wanted.
    pub fn call_reader(&mut self, helper: u32, args: &[Value]) {
        if self.cx.input.env.switches.report_reads {
            let result = self.call_i64(helper, args);
            self.report_failure(helper, result, self.span);
        } else {
            self.call_void(helper, args);
        }
    }

    /// The value of a number somewhere.
    pub fn read_scalar(&mut self, place: &Place, ty: &Type) -> Value {
        let Some((bytes, signed)) = ty.scalar() else { return self.b.i64(0) };
        let Some(width) = Width::from_bytes(bytes.into()) else { return self.b.i64(0) };
        let signed = signed && place.bits.is_none();
        let value = match &place.base {
            Base::Context => self.context_load(place.offset, width, signed),
            Base::Address(address, space) => {
                if let Some(value) = self.direct(address, place, width, signed) {
                    return value;
                }
                let base = self.scalar(address);
                let address = self.b.binary_const(Binary::Add, base, place.offset.into());
                let temp = self.temp(8);
                self.read(temp, bytes.into(), address, *space);
                self.load(width, signed, temp)
            }
            Base::Local(_) => match self.local(place) {
                Some(at) if at.aligned() < u32::from(bytes) => {
                    let temp = self.temp(8);
                    self.copy(temp, at, bytes.into());
                    self.load(width, signed, temp)
                }
                Some(at) => self.load(width, signed, at),
                None => self.b.i64(0),
            },
        };
        match place.bits {
            Some((first, count)) => {
                let above = 64 - i64::from(first) - i64::from(count);
                let value = self.b.binary_const(Binary::Shl, value, above);
                let op = if ty.is_signed() { Binary::Ashr } else { Binary::Lshr };
                self.b.binary_const(op, value, 64 - i64::from(count))
            }
            None => value,
        }
    }

    /// Reads a number from the context, in aligned pieces.
    fn context_load(&mut self, offset: u32, width: Width, signed: bool) -> Value {
        let context = self.context();
        let off = i16::try_from(offset).unwrap_or(i16::MAX);
        if offset.is_multiple_of(width.bytes()) {
            return self.b.load_as(IrType::I64, width, signed && width != Width::W64, context, off);
        }
        let temp = self.temp(8);
        self.context_bytes(temp, offset, width.bytes());
        self.load(width, signed, temp)
    }

    /// Copies bytes of the context.
    fn context_bytes(&mut self, to: At, offset: u32, len: u32) {
        let base = self.context();
        let base = self.as_number(base);
        let address = self.b.binary_const(Binary::Add, base, offset.into());
        self.read(to, len, address, Space::Kernel);
    }

    /// Where a part of a value of the program is; `None` if there is none.
    fn local(&mut self, place: &Place) -> Option<At> {
        let Base::Local(whole) = &place.base else { return None };
        let start = self.bytes_of(whole).plus(place.offset);
        let Some((index, size, count)) = &place.index else { return Some(start) };
        let number = self.scalar(index);
        let number = self.checked_index(number, *count, index);
        let distance = self.b.binary_const(Binary::Mul, number, (*size).into());
        let ptr = self.addr(start);
        let ptr = self.b.ptr_add(ptr, distance);
        let align = start.aligned().min(1 << size.trailing_zeros().min(3));
        Some(At { ptr, off: 0, align })
    }

    /// A number of an element that exists: 0 instead, after a warning.
    fn checked_index(&mut self, number: Value, count: u32, expr: &Expr) -> Value {
        let at = self.cx.input.env.text.place(expr.span);
        let text = "there is no element with this number, the first one is taken".into();
        let action = self.cx.action(Action::Warning { text, at });
        let (good, bad) = (self.b.block(&[]), self.b.block(&[]));
        let join = self.b.block(&[IrType::I64]);
        let limit = self.b.i64(count.into());
        let refined = self.b.branch_refining(Cond::Ult, number, limit, good, bad);
        self.b.switch_to(bad);
        self.warn(action);
        let zero = self.b.i64(0);
        self.b.jump(join, &[zero]);
        self.b.switch_to(good);
        self.b.jump(join, &[refined]);
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    /// Writes what is somewhere. What follows the end of a text is zero if `clean`.
    pub fn read_bytes(&mut self, place: &Place, ty: &Type, to: At, clean: bool) {
        let len = self.size(ty);
        let text = matches!(ty, Type::Text(_));
        match &place.base {
            Base::Context if text => {
                let base = self.context();
                let base = self.as_number(base);
                let address = self.b.binary_const(Binary::Add, base, place.offset.into());
                self.read_text(to, len, None, address, Space::Kernel, clean);
            }
            Base::Context => self.context_bytes(to, place.offset, len),
            Base::Address(address, space) => {
                let base = self.scalar(address);
                let address = self.b.binary_const(Binary::Add, base, place.offset.into());
                if text {
                    self.read_text(to, len, None, address, *space, clean);
                } else {
                    self.read(to, len, address, *space);
                }
            }
            Base::Local(_) => {
                if let Some(from) = self.local(place) {
                    self.copy(to, from, len);
                }
            }
        }
    }

    /// Where a part of a value of the program is, if that is what the expression reads.
    pub fn place_of(&mut self, expr: &Expr) -> Option<At> {
        match &expr.kind {
            Kind::Var(var) => Some(self.home(var.0)),
            Kind::Memory(place @ Place { base: Base::Local(_), .. }) => self.local(place),
            _ => None,
        }
    }

    /// A word that the kernel hands to the program.
    pub fn argument(&mut self, word: &Word) -> Value {
        let arch = self.cx.input.env.arch;
        match word {
            Word::Number(number) => self.context_load(number.saturating_mul(8), Width::W64, false),
            Word::Context(offset) => self.context_load(*offset, Width::W64, false),
            Word::Typed(number) => {
                let number = self.b.i64((*number).into());
                self.function_value(helpers::GET_FUNC_ARG, &[number])
            }
            Word::Result => self.function_value(helpers::GET_FUNC_RET, &[]),
            Word::Copied(offset) => {
                let temp = self.temp(8);
                self.context_bytes(temp, *offset, 8);
                self.load(Width::W64, false, temp)
            }
            Word::Register(name) => {
                let offset = arch.register(name).unwrap_or(0);
                self.context_load(offset, Width::W64, false)
            }
            Word::StackWord(number) => {
                let offset = arch.register("sp").unwrap_or(0);
                let stack = self.context_load(offset, Width::W64, false);
                let address = self.b.binary_const(Binary::Add, stack, i64::from(*number) * 8);
                let temp = self.temp(8);
                self.read(temp, 8, address, Space::Unknown);
                self.load(Width::W64, false, temp)
            }
        }
    }

    /// A value of the traced function that a helper writes, behind the context and other arguments.
    fn function_value(&mut self, helper: u32, more: &[Value]) -> Value {
        let temp = self.temp(8);
        let zero = self.b.i64(0);
        self.store(Width::W64, temp, zero);
        let context = self.context();
        let to = self.addr(temp);
        let mut args = vec![context];
        args.extend(more);
        args.push(to);
        self.call_void(helper, &args);
        self.load(Width::W64, false, temp)
    }

    /// The address of a part of a tracepoint's record that differs in length from event to event.
    pub fn indirect(&mut self, offset: u32) -> Value {
        let word = self.context_load(offset, Width::W32, false);
        let distance = self.b.binary_const(Binary::And, word, 0xffff);
        let context = self.context();
        let context = self.as_number(context);
        self.b.binary(Binary::Add, context, distance)
    }

    /// The lower 32 bits, as 64.
    pub fn low_half(&mut self, value: Value) -> Value {
        let low = self.b.unary(Unary::Truncate, value);
        self.b.unary(Unary::Extend, low)
    }
}
