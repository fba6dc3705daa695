//! Loops.
//!
//! All of them become callbacks: of `bpf_loop` (Linux 5.17) for `while` and ranges, of `bpf_for_each_map_elem` for maps.
//! Variables that they share with the program are in a frame whose address they get. A callback begins with a stack of its
//! own, so that the kernel's verifier has to compare nothing but that frame between one round and the next; a loop inside of
//! one function would leave another pattern of written objects on every way through its body, and the verifier would follow
//! all of them.
//!
//! Frames on a chain of calls share 512 bytes. Loops deeper than that allows are ordinary ones that the kernel bounds with
//! `may_goto` (Linux 6.9).

use skep_diag::{Diagnostic, Span};
use skep_ir::{Binary, Builder, Cond, FuncKind, FuncRef, Function, Memory, Type as IrType, Value, Width};

use super::body::{Body, FRAME_RESULT, FRAME_RETURN, FRAME_STARTS, LEAVE_INLINE, Loop, MOST_CALLBACKS, Role};
use super::helpers;
use super::memory::At;
use crate::check::tree::{Expr, Map, Part, Stmt, StmtKind, Var, visit_all};
use crate::compile::Ability;
use crate::plan::{Action, MapValue};
use crate::types::Type;

/// Most rounds of `bpf_loop` (`BPF_MAX_LOOPS` of the kernel).
const MOST_ROUNDS: i64 = 8 << 20;

impl Body<'_, '_, '_> {
    /// `break`, `continue`
    pub fn jump_in_loop(&mut self, leave: bool) {
        match self.loops.last() {
            Some(inner) => {
                let to = if leave { inner.after } else { inner.next };
                self.b.jump(to, &[]);
            }
            None => {
                // The loop that this is the callback of.
                self.end_round(leave);
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
        if self.state.depth >= MOST_CALLBACKS {
            return self.plain_while(cond, body, span);
        }
        let callback = self.round(|inner| {
            let (run, stop) = (inner.b.block(&[]), inner.b.block(&[]));
            let mark = inner.mark();
            inner.cond(cond, run, stop);
            inner.release(mark);
            inner.b.switch_to(stop);
            inner.end_round(true);
            inner.b.switch_to(run);
            inner.stmts(body);
        });
        let rounds = self.b.i64(MOST_ROUNDS);
        let done = self.call_loop(rounds, callback);
        let (cut, after) = (self.b.block(&[]), self.b.block(&[]));
        let most = self.b.i64(MOST_ROUNDS);
        self.b.branch(Cond::Eq, done, most, cut, after);
        self.b.switch_to(cut);
        self.loop_was_cut(span);
        self.b.jump(after, &[]);
        self.b.switch_to(after);
        self.after_callbacks();
    }

    /// A `while` inside of the function.
    fn plain_while(&mut self, cond: &Expr, body: &[Stmt], span: Span) {
        if !self.can_bound(span) {
            return;
        }
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

    /// Whether the kernel can bound a loop that is no callback; reports it if it cannot.
    fn can_bound(&mut self, span: Span) -> bool {
        match self.cx.input.env.facts.can(Ability::MayGoto) {
            Ok(()) => true,
            Err(why) => {
                let message = format!("more than {MOST_CALLBACKS} loops inside of one another need `may_goto`: {why}");
                let help = "move the inner loop to a function: `fn name($x : int64) : void { ... }`";
                self.cx.problems.push(Diagnostic::error(span, message).with_help(help));
                false
            }
        }
    }

    pub fn loop_was_cut(&mut self, span: Span) {
        let at = self.cx.input.env.text.place(span);
        let text = "the loop has run for too long and was ended".into();
        let action = self.cx.action(Action::Warning { text, at });
        self.warn(action);
    }

    /// `for ($i : a..b)`
    pub fn for_range(&mut self, var: Var, start: &Expr, end: &Expr, body: &[Stmt]) {
        if self.state.depth >= MOST_CALLBACKS {
            return self.plain_range(var, start, end, body);
        }
        let first = self.scalar(start);
        let last = self.scalar(end);
        // The bounds are taken once; the variable may be changed in the body without an effect on them.
        let place = i16::try_from(FRAME_STARTS + 8 * self.state.depth).unwrap_or(i16::MAX);
        let frame = self.frame_ptr();
        self.b.store(Width::W64, frame, place, first);
        let callback = self.round(|inner| {
            let frame = inner.frame_ptr();
            let first = inner.b.load_as(IrType::I64, Width::W64, false, frame, place);
            let number = inner.b.function.params()[0];
            let current = inner.b.binary(Binary::Add, first, number);
            let home = inner.home(var.0);
            inner.store(Width::W64, home, current);
            inner.stmts(body);
        });
        let (some, many, go) = (self.b.block(&[]), self.b.block(&[]), self.b.block(&[IrType::I64]));
        let (cut, after) = (self.b.block(&[]), self.b.block(&[]));
        self.b.branch(Cond::Slt, first, last, some, after);
        self.b.switch_to(some);
        let count = self.b.binary(Binary::Sub, last, first);
        let most = self.b.i64(MOST_ROUNDS);
        let fits = self.b.block(&[]);
        self.b.branch(Cond::Ugt, count, most, many, fits);
        self.b.switch_to(many);
        let most = self.b.i64(MOST_ROUNDS);
        self.b.jump(go, &[most]);
        self.b.switch_to(fits);
        self.b.jump(go, &[count]);
        self.b.switch_to(go);
        let rounds = self.b.param(go, 0);
        let done = self.call_loop(rounds, callback);
        let most = self.b.i64(MOST_ROUNDS);
        let full = self.b.block(&[]);
        self.b.branch(Cond::Eq, done, most, full, after);
        self.b.switch_to(full);
        self.b.branch(Cond::Ne, done, count, cut, after);
        self.b.switch_to(cut);
        self.loop_was_cut(start.span);
        self.b.jump(after, &[]);
        self.b.switch_to(after);
        self.after_callbacks();
    }

    /// Calls `bpf_loop`; gives the number of rounds.
    fn call_loop(&mut self, rounds: Value, callback: FuncRef) -> Value {
        let function = self.b.func_addr(callback);
        let frame = self.frame_ptr();
        let flags = self.b.i64(0);
        self.call_i64(helpers::LOOP, &[rounds, function, frame, flags])
    }

    /// The callback of `bpf_loop` with that body. Its first parameter is the number of the round.
    fn round(&mut self, body: impl FnOnce(&mut Body<'_, '_, '_>)) -> FuncRef {
        let params = [IrType::I64, IrType::ptr(Memory::Stack)];
        self.callback("skep_round", &params, body)
    }

    /// Ends a round of a callback, and with `leave` the loop.
    fn end_round(&mut self, leave: bool) {
        let value = self.b.i64(leave.into());
        self.b.ret(Some(value));
    }

    /// A range inside of the function.
    fn plain_range(&mut self, var: Var, start: &Expr, end: &Expr, body: &[Stmt]) {
        if !self.can_bound(start.span) {
            return;
        }
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
        let reference = self.cx.maps[map.0 as usize].map;
        let params = [
            IrType::ptr(Memory::Map(reference)),
            IrType::ptr(Memory::Record),
            IrType::ptr(Memory::MapValue(reference)),
            IrType::ptr(Memory::Stack),
        ];
        let callback = self.callback("skep_each", &params, |inner| {
            inner.entry_of_map(var, map);
            inner.stmts(body);
        });
        let address = self.b.map_addr(reference);
        let function = self.b.func_addr(callback);
        let frame = self.frame_ptr();
        let flags = self.b.i64(0);
        self.call_void(helpers::FOR_EACH, &[address, function, frame, flags]);
        self.after_callbacks();
    }

    /// Goes on behind a loop, unless its body has left the program, or the function that the loop is in.
    fn after_callbacks(&mut self) {
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

    /// A callback with these parameters, of which the last one is the frame.
    fn callback(&mut self, name: &str, params: &[IrType], body: impl FnOnce(&mut Body<'_, '_, '_>)) -> FuncRef {
        let name = format!("{name}_{}", self.cx.serial);
        self.cx.serial += 1;
        let mut function = Function::new(&name, FuncKind::Callback, params, Some(IrType::I64));
        let mut state = std::mem::take(&mut self.state);
        state.depth += 1;
        let builder = Builder::new(&mut function);
        let mut inner = Body::with_state(self.cx, builder, self.checked, Role::Callback, state);
        body(&mut inner);
        if !inner.b.is_closed() {
            inner.end_round(false);
        }
        inner.entry();
        self.state = std::mem::take(&mut inner.state);
        self.state.depth -= 1;
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
