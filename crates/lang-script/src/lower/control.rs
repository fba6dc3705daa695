//! Loops.
//!
//! `while` and ranges become ordinary loops that the kernel bounds with `may_goto` (Linux 6.9). Loops over maps become
//! callbacks of `bpf_for_each_map_elem`; variables that they share with the program are in a frame whose address they get.

use skep_diag::Span;
use skep_ir::{Binary, Builder, Cond, FuncKind, FuncRef, Function, Memory, Type as IrType, Value, Width};

use super::body::{Body, FRAME_RESULT, FRAME_RETURN, LEAVE_INLINE, Loop, Role};
use super::helpers;
use super::memory::At;
use crate::check::tree::{Expr, Map, Part, Stmt, StmtKind, Var, visit_all};
use crate::plan::{Action, MapValue};
use crate::types::Type;

impl Body<'_, '_, '_> {
    /// `break`, `continue`
    pub fn jump_in_loop(&mut self, leave: bool) {
        match self.loops.last() {
            Some(inner) => {
                let to = if leave { inner.after } else { inner.next };
                self.b.jump(to, &[]);
            }
            None => {
                // The loop over a map that this is the callback of.
                let value = self.b.i64(leave.into());
                self.b.ret(Some(value));
            }
        }
    }

    /// The same number, which the kernel's verifier does not know. It follows a loop one round after the other as long as
    /// it knows what decides; what it does not know makes one round like the next, and it is done.
    pub fn unforeseen(&mut self, value: Value) -> Value {
        let (global, place) = self.cx.unknown_zero();
        let zero = self.b.global_addr(global);
        let zero = self.load(Width::W64, true, At::start(zero).plus(place));
        self.b.binary(Binary::Add, value, zero)
    }

    /// `while`
    pub fn while_stmt(&mut self, cond: &Expr, body: &[Stmt], span: Span) {
        let (head, check, run, after, cut) =
            (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        self.b.jump(head, &[]);
        self.b.switch_to(head);
        self.may_goto(check, cut);
        self.b.switch_to(cut);
        self.loop_was_cut(span);
        self.b.jump(after, &[]);
        self.b.switch_to(check);
        let mark = self.mark();
        self.cond(cond, run, after);
        self.release(mark);
        self.b.switch_to(run);
        self.loops.push(Loop { after, next: head });
        self.stmts(body);
        self.loops.pop();
        if !self.b.is_closed() {
            self.b.jump(head, &[]);
        }
        self.b.switch_to(after);
    }

    pub fn loop_was_cut(&mut self, span: Span) {
        let at = self.cx.input.env.place(span);
        let text = "the loop has run for too long and was ended".into();
        let action = self.cx.action(Action::Warning { text, at });
        self.warn(action);
    }

    /// `for ($i : a..b)`
    pub fn for_range(&mut self, var: Var, start: &Expr, end: &Expr, body: &[Stmt]) {
        let first = self.scalar(start);
        let first = self.unforeseen(first);
        let last = self.scalar(end);
        // The bounds are taken once; the variable may be changed in the body without an effect on them.
        let counter = self.temp(8);
        let bound = self.temp(8);
        self.store(Width::W64, counter, first);
        self.store(Width::W64, bound, last);
        let (head, check, run, next, after, cut) = (
            self.b.block(&[]),
            self.b.block(&[]),
            self.b.block(&[]),
            self.b.block(&[]),
            self.b.block(&[]),
            self.b.block(&[]),
        );
        self.b.jump(head, &[]);
        self.b.switch_to(head);
        self.may_goto(check, cut);
        self.b.switch_to(cut);
        self.loop_was_cut(start.span);
        self.b.jump(after, &[]);
        self.b.switch_to(check);
        let current = self.load(Width::W64, true, counter);
        let limit = self.load(Width::W64, true, bound);
        self.b.branch(Cond::Slt, current, limit, run, after);
        self.b.switch_to(run);
        let home = self.home(var.0);
        self.store(Width::W64, home, current);
        self.loops.push(Loop { after, next });
        self.stmts(body);
        self.loops.pop();
        if !self.b.is_closed() {
            self.b.jump(next, &[]);
        }
        self.b.switch_to(next);
        let current = self.load(Width::W64, true, counter);
        let following = self.b.binary_const(Binary::Add, current, 1);
        self.store(Width::W64, counter, following);
        self.b.jump(head, &[]);
        self.b.switch_to(after);
    }

    /// `unroll(n)`: the body so many times, one behind the other.
    pub fn unroll(&mut self, count: u32, body: &[Stmt]) {
        let after = self.b.block(&[]);
        for _ in 0..count {
            let next = self.b.block(&[]);
            self.loops.push(Loop { after, next });
            self.stmts(body);
            self.loops.pop();
            if !self.b.is_closed() {
                self.b.jump(next, &[]);
            }
            self.b.switch_to(next);
        }
        self.b.jump(after, &[]);
        self.b.switch_to(after);
    }

    /// `for ($kv : @map)`
    pub fn for_map(&mut self, var: Var, map: Map, body: &[Stmt]) {
        let callback = self.callback(var, map, body);
        let address = self.b.map_addr(self.cx.maps[map.0 as usize].map);
        let function = self.b.func_addr(callback);
        let frame = self.frame_ptr();
        let flags = self.b.i64(0);
        self.call_void(helpers::FOR_EACH, &[address, function, frame, flags]);
        // The body may have left the program, or the function that the loop is in.
        let (left, go_on) = (self.b.block(&[]), self.b.block(&[]));
        let frame = self.frame_ptr();
        let flag = self.b.load_as(IrType::I64, Width::W64, false, frame, FRAME_RETURN as i16);
        let zero = self.b.i64(0);
        self.b.branch(Cond::Ne, flag, zero, left, go_on);
        self.b.switch_to(left);
        if let Some(&end) = self.inlines.last() {
            let (inline, all) = (self.b.block(&[]), self.b.block(&[]));
            let what = self.b.i64(LEAVE_INLINE);
            self.b.branch(Cond::Eq, flag, what, inline, all);
            self.b.switch_to(inline);
            self.mark_to_leave(0);
            self.b.jump(end, &[]);
            self.b.switch_to(all);
        }
        // In a callback the mark and the result stay for the loop around.
        let result = match self.role {
            Role::Callback | Role::Function(false) => None,
            Role::Program | Role::Function(true) => {
                let frame = self.frame_ptr();
                Some(self.b.load_as(IrType::I64, Width::W64, false, frame, FRAME_RESULT as i16))
            }
        };
        self.leave_now(result);
        self.b.switch_to(go_on);
    }

    /// The statements of a function that stands in place of its call.
    pub fn inline(&mut self, body: &[Stmt]) {
        let end = self.b.block(&[]);
        self.inlines.push(end);
        self.stmts(body);
        self.inlines.pop();
        if !self.b.is_closed() {
            self.b.jump(end, &[]);
        }
        self.b.switch_to(end);
    }

    /// `return` in such a function.
    pub fn finish(&mut self, result: Option<&(Var, Expr)>) {
        if let Some((var, value)) = result {
            self.set_var(var.0, value);
        }
        match self.inlines.last() {
            Some(&end) => self.b.jump(end, &[]),
            None => {
                self.mark_to_leave(LEAVE_INLINE);
                self.leave_now(None);
            }
        }
    }

    /// The function that is called for each entry.
    fn callback(&mut self, var: Var, map: Map, body: &[Stmt]) -> FuncRef {
        let reference = self.cx.maps[map.0 as usize].map;
        let params = [
            IrType::ptr(Memory::Map(reference)),
            IrType::ptr(Memory::Record),
            IrType::ptr(Memory::MapValue(reference)),
            IrType::ptr(Memory::Stack),
        ];
        let name = format!("skep_each_{}", self.cx.serial);
        self.cx.serial += 1;
        let mut function = Function::new(&name, FuncKind::Callback, &params, Some(IrType::I64));
        let state = std::mem::take(&mut self.state);
        let builder = Builder::new(&mut function);
        let mut inner = Body::with_state(self.cx, builder, self.checked, Role::Callback, state);
        inner.entry_of_map(var, map);
        inner.stmts(body);
        if !inner.b.is_closed() {
            let go_on = inner.b.i64(0);
            inner.b.ret(Some(go_on));
        }
        inner.entry();
        self.state = std::mem::take(&mut inner.state);
        self.cx.module.add_function(function)
    }

    /// Puts key and value of an entry into the variable of the loop.
    fn entry_of_map(&mut self, var: Var, map: Map) {
        let stored = &self.cx.maps[map.0 as usize];
        let (key_size, held, value_type) = (stored.key_size, stored.held.clone(), stored.value_type.clone());
        let ty = self.checked.vars[var.0 as usize].clone();
        let Type::Tuple(parts) = &ty else { return };
        let offsets: Vec<u32> = match self.cx.shape(&ty) {
            crate::plan::Shape::Tuple(fields) => fields.iter().map(|field| field.offset).collect(),
            _ => Vec::new(),
        };
        let &[key_offset, value_offset] = &offsets[..] else { return };
        let home = self.home(var.0);
        let size = self.size(&ty);
        self.fill(home, size.next_multiple_of(8));
        let key = At::start(self.b.function.params()[1]);
        let used = self.size(&parts[0]).min(key_size);
        self.copy(home.plus(key_offset), key, used);
        if matches!(held, MapValue::Plain(_)) {
            let value = At::start(self.b.function.params()[2]);
            let size = self.size(&value_type);
            self.copy(home.plus(value_offset), value, size);
        } else {
            let number = self.aggregate_value(map, key);
            self.store_scalar(&parts[1], home.plus(value_offset), number);
        }
    }
}

/// Whether there is a loop among statements, at any depth, that the kernel's verifier does not follow round by round.
pub fn has_loop(stmts: &[Stmt]) -> bool {
    let mut found = false;
    visit_all(stmts, &mut |part| {
        let Part::Stmt(stmt) = part else { return };
        found |= matches!(stmt.kind, StmtKind::While(..) | StmtKind::ForMap(..) | StmtKind::ForRange(..));
    });
    found
}
