//! Values in memory: expressions whose value no register holds are written to a place that the caller has chosen.

use std::sync::Arc;

use skep_ir::{Binary, Cond, Type as IrType, Value, Width};

use super::body::Body;
use super::helpers;
use super::memory::At;
use crate::check::tree::{Base, Call, Expr, Kind, Place};
use crate::types::{Space, Type};

/// Address families of the kernel.
const AF_INET: i64 = 2;
const AF_INET6: i64 = 10;

impl Body<'_, '_, '_> {
    /// Where the bytes of a value are: where they live, or in a temporary object. Texts end in zeros.
    pub fn bytes_of(&mut self, expr: &Expr) -> At {
        if let Some(at) = self.place_of(expr) {
            return at;
        }
        let size = self.size(&expr.ty);
        let at = self.temp(size);
        if !size.is_multiple_of(8) {
            self.fill(at.plus(size / 8 * 8), 8);
        }
        self.write(expr, at, true);
        at
    }

    /// Writes a value by its type. If `clean`, every byte is written, those behind the end of a text with zeros; bytes
    /// between fields are left as they are.
    pub fn write(&mut self, expr: &Expr, to: At, clean: bool) {
        self.at(expr.span);
        if expr.ty.scalar().is_some() {
            let value = self.scalar(expr);
            self.store_scalar(&expr.ty, to, value);
            return;
        }
        let size = self.size(&expr.ty);
        match &expr.kind {
            Kind::Text(text) => self.write_constant(text.as_bytes(), to, size),
            Kind::Bytes(bytes) => self.write_constant(bytes, to, size),
            Kind::Var(var) => {
                let from = self.home(var.0);
                self.copy(to, from, size);
            }
            Kind::Memory(place) => self.read_bytes(place, &expr.ty, to, clean),
            Kind::Entry(map, key) => {
                let key = self.key(*map, key);
                self.entry_bytes(*map, key, to, size);
            }
            Kind::Tuple(parts) => self.write_parts(parts, &expr.ty, to, clean),
            Kind::Convert(inner) => self.write_resized(inner, size, to, clean),
            Kind::Choose(cond, yes, no) => {
                let (on_yes, on_no, join) = (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
                self.cond(cond, on_yes, on_no);
                for (block, value) in [(on_yes, yes), (on_no, no)] {
                    self.b.switch_to(block);
                    self.write(value, to, clean);
                    self.b.jump(join, &[]);
                }
                self.b.switch_to(join);
            }
            Kind::Block(body, value) => {
                self.stmts(body);
                if self.b.is_closed() {
                    let next = self.b.block(&[]);
                    self.b.switch_to(next);
                }
                self.write(value, to, clean);
            }
            Kind::Inline(body, Some(var)) => {
                self.inline(body);
                let from = self.home(var.0);
                self.copy(to, from, size);
            }
            Kind::Builtin(call) => self.write_builtin(call, expr, to, clean),
            _ => {
                self.scalar(expr);
                self.fill(to, size);
            }
        }
    }

    fn write_parts(&mut self, parts: &[Expr], ty: &Type, to: At, clean: bool) {
        let shape = self.cx.shape(ty);
        let offsets: Vec<u32> = match &shape {
            crate::plan::Shape::Tuple(fields) => fields.iter().map(|field| field.offset).collect(),
            crate::plan::Shape::Record(fields) => fields.iter().map(|field| field.1.offset).collect(),
            _ => Vec::new(),
        };
        for (part, offset) in parts.iter().zip(offsets) {
            self.write(part, to.plus(offset), clean);
        }
    }

    fn write_resized(&mut self, inner: &Expr, size: u32, to: At, clean: bool) {
        let own = self.size(&inner.ty);
        if own <= size {
            if clean {
                self.fill(to.plus(own), size - own);
            } else if own < size {
                // The zero behind a text that fills its own room.
                let zero = self.b.i64(0);
                self.store(Width::W8, to.plus(own), zero);
            }
            self.write(inner, to, clean);
        } else {
            let from = self.bytes_of(inner);
            self.copy(to, from, size);
        }
    }

    /// Writes bytes that are known, and zeros behind them.
    fn write_constant(&mut self, bytes: &[u8], to: At, size: u32) {
        let bytes = &bytes[..bytes.len().min(size as usize)];
        let len = u32::try_from(bytes.len()).unwrap_or(0);
        let mut done = 0;
        while done < len {
            let at = to.plus(done);
            let mut width = at.aligned().min(8);
            while width > 1 && done + width > size {
                width /= 2;
            }
            let mut word = [0; 8];
            let end = (done + width).min(len);
            let part = &bytes[done as usize..end as usize];
            word[..part.len()].copy_from_slice(part);
            let value = self.b.i64(i64::from_le_bytes(word));
            self.store(Width::from_bytes(width).unwrap_or(Width::W8), at, value);
            done += width;
        }
        if done < size {
            self.fill(to.plus(done), size - done);
        }
    }

    /// The value of a function that gives more than a number.
    fn write_builtin(&mut self, call: &Call, expr: &Expr, to: At, clean: bool) {
        let size = self.size(&expr.ty);
        match call {
            Call::Value(crate::builtins::Builtin::Comm) => {
                let ptr = self.addr(to);
                let len = self.b.i64(16);
                self.call_void(helpers::COMM, &[ptr, len]);
            }
            Call::Value(crate::builtins::Builtin::Func) => {
                let context = self.context();
                let address = self.call_i64(helpers::GET_FUNC_IP, &[context]);
                self.write_user_symbol(address, to);
            }
            Call::Stack => self.write_stack(&expr.ty, to),
            Call::Unwind(code) => self.write_unwound(code, to),
            Call::Str(pointer, len, space) => {
                let address = self.scalar(pointer);
                let len = len.as_ref().map(|len| self.scalar(len));
                self.read_text(to, size, len, address, *space, clean);
            }
            Call::Buf(pointer, len, space) => self.write_buffer(pointer, len.as_deref(), *space, to, size, clean),
            Call::Inet(family, address) => self.write_inet(family.as_deref(), address, to),
            Call::Raw(value) => self.raw_bytes(value, to, size),
            Call::UserSymbol(address) => {
                let address = self.scalar(address);
                self.write_user_symbol(address, to);
            }
            Call::Concat(left, right) => self.write_both(left, right, to, size),
            Call::Path(file, offset) => self.write_path(file, *offset, to, size),
            Call::NameInTable(thread, own, table, offset) => {
                let task = self.thread_in_table(thread, own, *table);
                self.write_name_at(task, *offset, to, size);
            }
            Call::NameOf(thread, offset) => self.write_name_of(thread, *offset, to, size),
            _ => {
                self.scalar(expr);
                self.fill(to, size);
            }
        }
    }

    fn write_user_symbol(&mut self, address: Value, to: At) {
        self.store(Width::W64, to, address);
        let pid = self.process_id();
        self.store(Width::W64, to.plus(8), pid);
        self.learn(pid);
    }

    /// The first bytes of a value as they are in memory.
    fn raw_bytes(&mut self, value: &Expr, to: At, len: u32) {
        if let Kind::Memory(place @ Place { base: Base::Address(..) | Base::Context, .. }) = &value.kind {
            let bytes = Type::Array(Arc::new(Type::int(1, false)), len);
            self.read_bytes(place, &bytes, to, false);
        } else {
            let from = self.bytes_of(value);
            self.copy(to, from, len);
        }
    }

    fn write_inet(&mut self, family: Option<&Expr>, address: &Expr, to: At) {
        let bytes = self.size(&address.ty);
        let family = match family {
            Some(family) => self.scalar(family),
            None => self.b.i64(if bytes == 16 { AF_INET6 } else { AF_INET }),
        };
        let rest = to.plus(4);
        if address.ty.scalar().is_some() {
            let value = self.scalar(address);
            self.store(Width::W32, to, family);
            self.store(Width::W32, rest, value);
            self.fill(to.plus(8), 12);
        } else {
            self.store(Width::W32, to, family);
            self.fill(rest, 16);
            self.raw_bytes(address, rest, bytes.min(16));
        }
    }

    fn write_buffer(&mut self, pointer: &Expr, len: Option<&Expr>, space: Space, to: At, size: u32, clean: bool) {
        let address = self.scalar(pointer);
        let most = size - 4;
        let len = match len {
            Some(len) => {
                let len = self.scalar(len);
                self.at_most(len, most)
            }
            None => self.b.i64(most.into()),
        };
        if clean {
            self.fill(to, size);
        }
        self.store(Width::W32, to, len);
        let helper = match space {
            Space::Kernel => helpers::PROBE_READ_KERNEL,
            Space::User => helpers::PROBE_READ_USER,
            Space::Unknown => helpers::PROBE_READ,
        };
        let data = self.addr(to.plus(4));
        self.call_reader(helper, &[data, len, address]);
    }

    /// The number, or the limit if it is larger.
    pub fn at_most(&mut self, value: Value, most: u32) -> Value {
        let (large, small) = (self.b.block(&[]), self.b.block(&[]));
        let join = self.b.block(&[IrType::I64]);
        let limit = self.b.i64(most.into());
        let refined = self.b.branch_refining(Cond::Ugt, value, limit, large, small);
        self.b.switch_to(large);
        let limit = self.b.i64(most.into());
        self.b.jump(join, &[limit]);
        self.b.switch_to(small);
        self.b.jump(join, &[refined]);
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    /// The id of the process, as the kernel counts.
    pub fn process_id(&mut self) -> Value {
        let ids = self.call_i64(helpers::PID_TGID, &[]);
        self.b.binary_const(Binary::Lshr, ids, 32)
    }
}
