//! Maps: keys, entries, and changes of entries that lose nothing.

use skep_diag::Span;
use skep_ir::{AtomicOp, Binary, Callee, Cond, InstData, Memory, Type as IrType, Value, Width};

use super::body::Body;
use super::helpers;
use super::memory::At;
use crate::ast::BinaryOp;
use crate::check::tree::{Expr, Map};
use crate::types::Type;

/// `BPF_ANY`
const ANY: i64 = 0;
/// `BPF_NOEXIST`
const NO_EXIST: i64 = 1;

impl Body<'_, '_, '_> {
    /// The key of a map in memory, bytes between its parts zero.
    pub fn key(&mut self, map: Map, parts: &[Expr]) -> At {
        let stored = &self.cx.maps[map.0 as usize];
        let (size, fields) = (stored.key_size, stored.key.clone());
        if parts.is_empty() {
            let at = self.temp(4);
            let zero = self.b.i64(0);
            self.store(Width::W32, at, zero);
            return at;
        }
        // What lives in memory already in the same form needs no copy.
        if let [part] = parts
            && part.ty.scalar().is_none()
            && let Some(at) = self.place_of(part)
            && at.aligned() == 8
        {
            return at;
        }
        let at = self.temp(size);
        let mut end = 0;
        for field in &fields {
            if field.offset > end {
                self.fill(at.plus(end), field.offset - end);
            }
            end = field.offset + field.shape.size();
        }
        if size > end {
            self.fill(at.plus(end), size - end);
        }
        for (part, field) in parts.iter().zip(&fields) {
            self.write(part, at.plus(field.offset), true);
        }
        at
    }

    /// The value with a key, null if there is none.
    pub fn lookup(&mut self, map: Map, key: At) -> Value {
        let reference = self.cx.maps[map.0 as usize].map;
        let key = self.addr(key);
        let address = self.b.map_addr(reference);
        self.call(helpers::MAP_LOOKUP, &[address, key], IrType::nullable(Memory::MapValue(reference)))
    }

    /// Looks a key up and goes on in one of two blocks; gives the value as it is known in the first.
    pub fn found(&mut self, map: Map, key: At, some: skep_ir::Block, none: skep_ir::Block) -> Value {
        let memory = Memory::MapValue(self.cx.maps[map.0 as usize].map);
        let value = self.lookup(map, key);
        let null = self.b.null(memory);
        self.b.branch_refining(Cond::Ne, value, null, some, none)
    }

    /// The number in an entry; 0 if there is none.
    pub fn entry_scalar(&mut self, map: Map, key: &[Expr], ty: &Type) -> Value {
        let key = self.key(map, key);
        let (some, none) = (self.b.block(&[]), self.b.block(&[]));
        let join = self.b.block(&[IrType::I64]);
        let value = self.found(map, key, some, none);
        self.b.switch_to(some);
        let number = self.load_scalar(ty, At::start(value));
        self.b.jump(join, &[number]);
        self.b.switch_to(none);
        let zero = self.b.i64(0);
        self.b.jump(join, &[zero]);
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    /// Copies the value of an entry; zeros if there is none.
    pub fn entry_bytes(&mut self, map: Map, key: At, to: At, size: u32) {
        let (some, none, join) = (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        let value = self.found(map, key, some, none);
        self.b.switch_to(some);
        self.copy(to, At::start(value), size);
        self.b.jump(join, &[]);
        self.b.switch_to(none);
        self.fill(to, size);
        self.b.jump(join, &[]);
        self.b.switch_to(join);
    }

    /// `bpf_map_update_elem`: the result is 0 or a negative error.
    fn put(&mut self, map: Map, key: At, value: Value, flags: i64) -> Value {
        let key = self.addr(key);
        let address = self.b.map_addr(self.cx.maps[map.0 as usize].map);
        let flags = self.b.i64(flags);
        self.call_i64(helpers::MAP_UPDATE, &[address, key, value, flags])
    }

    /// `@map[key] = value`
    pub fn set_entry(&mut self, map: Map, key: &[Expr], value: &Expr, span: Span) {
        let stored = &self.cx.maps[map.0 as usize];
        let ty = stored.value_type.clone();
        let used = self.size(&ty);
        let size = used.next_multiple_of(8).max(8);
        // The value first: it may read the entry that is written.
        let in_place = value.ty.scalar().is_none().then(|| self.place_of(value)).flatten();
        let at = match in_place.filter(|at| at.aligned() == 8 && used == size) {
            Some(at) => at,
            None => {
                let at = self.temp(size);
                self.clear_gaps(&ty, at, size);
                self.write(value, at, true);
                at
            }
        };
        let key = self.key(map, key);
        self.at(span);
        let value = self.addr(at);
        let result = self.put(map, key, value, ANY);
        self.report_failure(helpers::MAP_UPDATE, result, span);
    }

    /// Adds to the number in an entry in one step, and gives what was there; an entry that does not exist counts as 0.
    pub fn add_to_entry(&mut self, map: Map, key: At, by: Value, span: Span) -> Value {
        let ty = self.cx.maps[map.0 as usize].value_type.clone();
        let (some, none) = (self.b.block(&[]), self.b.block(&[]));
        let join = self.b.block(&[IrType::I64]);
        let value = self.found(map, key, some, none);
        self.b.switch_to(some);
        let old = self.add_in_place(value, &ty, by);
        self.b.jump(join, &[old]);

        self.b.switch_to(none);
        let first = self.temp(8);
        self.store(Width::W64, first, by);
        let ptr = self.addr(first);
        let result = self.put(map, key, ptr, NO_EXIST);
        let (made, raced) = (self.b.block(&[]), self.b.block(&[]));
        let zero = self.b.i64(0);
        self.b.branch(Cond::Eq, result, zero, made, raced);
        self.b.switch_to(made);
        let zero = self.b.i64(0);
        self.b.jump(join, &[zero]);

        // Another processor was faster, or the map is full.
        self.b.switch_to(raced);
        let (there, full) = (self.b.block(&[]), self.b.block(&[]));
        let value = self.found(map, key, there, full);
        self.b.switch_to(there);
        let old = self.add_in_place(value, &ty, by);
        self.b.jump(join, &[old]);
        self.b.switch_to(full);
        self.report_failure(helpers::MAP_UPDATE, result, span);
        let zero = self.b.i64(0);
        self.b.jump(join, &[zero]);
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    fn add_in_place(&mut self, value: Value, ty: &Type, by: Value) -> Value {
        if ty.scalar().is_some_and(|scalar| scalar.0 == 8) {
            let atomic = InstData::Atomic { op: AtomicOp::Add, width: Width::W64, ptr: value, off: 0, value: by };
            let inst = self.b.inst(atomic, &[IrType::I64]);
            return self.b.function[inst].results[0];
        }
        let at = At::start(value);
        let old = self.load_scalar(ty, at);
        let new = self.b.binary(Binary::Add, old, by);
        self.store_scalar(ty, at, new);
        old
    }

    /// `@map[key] += value`, `-=`
    pub fn update_entry(&mut self, map: Map, key: &[Expr], op: BinaryOp, value: &Expr) {
        let by = self.scalar(value);
        let by = if op == BinaryOp::Sub { self.b.unary(skep_ir::Unary::Neg, by) } else { by };
        let key = self.key(map, key);
        self.add_to_entry(map, key, by, value.span);
    }

    /// The value with a key, which is made of zeros first if there is none; on to `full` if the map has no room.
    pub fn found_or_made(&mut self, map: Map, key: At, full: skep_ir::Block, span: Span) -> Value {
        let memory = Memory::MapValue(self.cx.maps[map.0 as usize].map);
        let (some, none) = (self.b.block(&[]), self.b.block(&[]));
        let join = self.b.block(&[IrType::ptr(memory)]);
        let value = self.found(map, key, some, none);
        self.b.switch_to(some);
        self.b.jump(join, &[value]);
        self.b.switch_to(none);
        let zeros = self.cx.zeros();
        let zeros = self.b.global_addr(zeros);
        let result = self.put(map, key, zeros, NO_EXIST);
        let (made, failed) = (self.b.block(&[]), self.b.block(&[]));
        let value = self.found(map, key, made, failed);
        self.b.switch_to(made);
        self.b.jump(join, &[value]);
        self.b.switch_to(failed);
        self.report_failure(helpers::MAP_UPDATE, result, span);
        self.b.jump(full, &[]);
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    /// Sends a record about a helper that failed, if the result is negative.
    pub fn report_failure(&mut self, helper: u32, result: Value, span: Span) {
        let name = skep_isa::helpers::by_id(helper).map_or("", |helper| helper.name);
        let place = self.cx.input.env.text.place(span);
        let action = self.cx.helper_failure(name, place);
        let report = self.cx.failure_function();
        let (bad, next) = (self.b.block(&[]), self.b.block(&[]));
        let zero = self.b.i64(0);
        self.b.branch(Cond::Slt, result, zero, bad, next);
        self.b.switch_to(bad);
        let action = self.b.i64(action);
        self.b.call_void(Callee::Func(report), &[action, result]);
        self.b.jump(next, &[]);
        self.b.switch_to(next);
    }

    /// Sends a record with nothing but its action: a warning, or what the host does without values.
    pub fn warn(&mut self, action: i64) {
        let function = self.cx.warning_function();
        let action = self.b.i64(action);
        self.b.call_void(Callee::Func(function), &[action]);
    }
}
