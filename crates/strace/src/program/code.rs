//! Structured code over [`Builder`]: variables that can be set again, branches and loops.
//!
//! Variables are objects on the stack; the optimiser makes values of them.

use skep_ir::{
    Binary, Builder, Callee, Cond, FuncKind, FuncRef, Function, MapRef, Memory, Slot, Type, Unary, Value, Width,
};
use skep_isa::helpers::numbers as helpers;

/// A number that can be set again.
#[derive(Debug, Clone, Copy)]
pub struct Var(Slot);

/// Writes one function.
pub struct Code<'f> {
    /// For everything that has no shorter name here.
    pub b: Builder<'f>,
}

/// A function that is verified by itself: its arguments are numbers, and it returns one.
pub fn function(name: &str, params: usize, body: impl FnOnce(&mut Code<'_>, &[Value])) -> Function {
    let mut function = Function::new(name, FuncKind::Global, &vec![Type::I64; params], Some(Type::I64));
    write(&mut function, body);
    function
}

/// Writes the body of a function; where it does not return, it returns 0.
pub fn write(function: &mut Function, body: impl FnOnce(&mut Code<'_>, &[Value])) {
    let wide = function.result != Some(Type::I32);
    let builder = Builder::new(function);
    let params: Vec<Value> = (0..builder.function.params().len()).map(|at| builder.function.params()[at]).collect();
    let mut code = Code { b: builder };
    body(&mut code, &params);
    if !code.b.is_closed() {
        let zero = if wide { code.num(0) } else { code.b.i32(0) };
        code.b.ret(Some(zero));
    }
}

impl Code<'_> {
    /// A constant.
    pub fn num(&mut self, number: i64) -> Value {
        self.b.i64(number)
    }

    /// A new variable.
    pub fn var(&mut self, value: Value) -> Var {
        let var = Var(self.b.function.add_slot("", 8, 8));
        self.set(var, value);
        var
    }

    /// What a variable holds.
    pub fn get(&mut self, var: Var) -> Value {
        let at = self.b.slot_addr(var.0);
        self.b.load(Width::W64, at, 0)
    }

    /// Changes a variable.
    pub fn set(&mut self, var: Var, value: Value) {
        let at = self.b.slot_addr(var.0);
        self.b.store(Width::W64, at, 0, value);
    }

    /// Memory on the stack for helpers to fill, zero at first.
    pub fn buffer(&mut self, bytes: u32) -> Value {
        let slot = self.b.function.add_slot("", bytes, 8);
        let at = self.b.slot_addr(slot);
        self.b.fill(at, bytes, 0, 8);
        at
    }

    /// Reads an unsigned number as 64 bits.
    pub fn load(&mut self, width: Width, at: Value, offset: i16) -> Value {
        self.b.load_as(Type::I64, width, false, at, offset)
    }

    /// An operation with a constant.
    pub fn with(&mut self, op: Binary, value: Value, number: i64) -> Value {
        self.b.binary_const(op, value, number)
    }

    /// Bits of a word: shifted down, then cut off.
    pub fn bits(&mut self, word: Value, shift: i64, mask: i64) -> Value {
        let shifted = if shift == 0 { word } else { self.with(Binary::Lshr, word, shift) };
        self.with(Binary::And, shifted, mask)
    }

    /// The smaller of two unsigned numbers.
    pub fn min(&mut self, left: Value, right: Value) -> Value {
        let var = self.var(left);
        self.when(Cond::Ugt, left, right, |code| code.set(var, right));
        self.get(var)
    }

    /// Calls a helper.
    pub fn helper(&mut self, number: u32, args: &[Value]) -> Value {
        self.b.call(Callee::Helper(number), args, Type::I64)
    }

    /// Calls a function of ours.
    pub fn call(&mut self, function: FuncRef, args: &[Value]) -> Value {
        self.b.call(Callee::Func(function), args, Type::I64)
    }

    /// Runs `then` if a comparison holds.
    pub fn when(&mut self, cond: Cond, left: Value, right: Value, then: impl FnOnce(&mut Self)) {
        self.either(cond, left, right, then, |_| {});
    }

    /// Runs `then` if a comparison holds, `otherwise` if not.
    pub fn either(
        &mut self,
        cond: Cond,
        left: Value,
        right: Value,
        then: impl FnOnce(&mut Self),
        otherwise: impl FnOnce(&mut Self),
    ) {
        let (yes, no, after) = (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        self.b.branch(cond, left, right, yes, no);
        self.b.switch_to(yes);
        then(self);
        self.close(after);
        self.b.switch_to(no);
        otherwise(self);
        self.close(after);
        self.b.switch_to(after);
    }

    fn close(&mut self, to: skep_ir::Block) {
        if !self.b.is_closed() {
            self.b.jump(to, &[]);
        }
    }

    /// Returns 0 if a comparison holds.
    pub fn leave_if(&mut self, cond: Cond, left: Value, right: Value) {
        let (yes, no) = (self.b.block(&[]), self.b.block(&[]));
        self.b.branch(cond, left, right, yes, no);
        self.b.switch_to(yes);
        self.leave();
        self.b.switch_to(no);
    }

    /// Returns 0.
    pub fn leave(&mut self) {
        let zero = if self.b.function.result == Some(Type::I32) { self.b.i32(0) } else { self.num(0) };
        self.b.ret(Some(zero));
    }

    /// Runs the body at most so many times with 0, 1, 2...; the body says as a comparison when to stop early.
    pub fn repeat(
        &mut self,
        times: i64,
        stop: impl FnOnce(&mut Self, Value) -> (Cond, Value, Value),
        body: impl FnOnce(&mut Self, Value),
    ) {
        let zero = self.num(0);
        let counter = self.var(zero);
        let (head, check, run, after) = (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        self.b.jump(head, &[]);
        self.b.switch_to(head);
        let (index, end) = (self.get(counter), self.num(times));
        self.b.branch(Cond::Ult, index, end, check, after);
        self.b.switch_to(check);
        let index = self.get(counter);
        let (cond, left, right) = stop(self, index);
        self.b.branch(cond, left, right, after, run);
        self.b.switch_to(run);
        let index = self.get(counter);
        body(self, index);
        if !self.b.is_closed() {
            let index = self.get(counter);
            let next = self.with(Binary::Add, index, 1);
            self.set(counter, next);
            self.b.jump(head, &[]);
        }
        self.b.switch_to(after);
    }

    /// The value of a map for a key of 4 bytes. Without one the function ends.
    pub fn value_or_leave(&mut self, map: MapRef, key: Value) -> Value {
        let found = self.look_up(map, key);
        let null = self.b.null(Memory::MapValue(map));
        let (some, none) = (self.b.block(&[]), self.b.block(&[]));
        let value = self.b.branch_refining(Cond::Ne, found, null, some, none);
        self.b.switch_to(none);
        self.leave();
        self.b.switch_to(some);
        value
    }

    /// Runs one of two bodies: with the value of a map for a key of 4 bytes, or without.
    pub fn value_or(
        &mut self,
        map: MapRef,
        key: Value,
        with: impl FnOnce(&mut Self, Value),
        without: impl FnOnce(&mut Self),
    ) {
        let found = self.look_up(map, key);
        let null = self.b.null(Memory::MapValue(map));
        let (some, none, after) = (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        let value = self.b.branch_refining(Cond::Ne, found, null, some, none);
        self.b.switch_to(some);
        with(self, value);
        self.close(after);
        self.b.switch_to(none);
        without(self);
        self.close(after);
        self.b.switch_to(after);
    }

    fn look_up(&mut self, map: MapRef, key: Value) -> Value {
        let at = self.key(key);
        let map_at = self.b.map_addr(map);
        self.b.call(Callee::Helper(helpers::MAP_LOOKUP), &[map_at, at], Type::nullable(Memory::MapValue(map)))
    }

    /// Memory that holds a key of 4 bytes.
    pub fn key(&mut self, key: Value) -> Value {
        let slot = self.b.function.add_slot("", 8, 8);
        let at = self.b.slot_addr(slot);
        let key = self.b.unary(Unary::Truncate, key);
        self.b.store(Width::W32, at, 0, key);
        at
    }

    /// Adds to a number in memory that other processors may change too.
    pub fn count(&mut self, at: Value, offset: i16, amount: Value) {
        self.b.atomic(skep_ir::AtomicOp::Add, Width::W64, at, offset, amount);
    }

    /// Adds to a number in memory that only this processor changes.
    pub fn add_to(&mut self, at: Value, offset: i16, amount: Value) {
        let old = self.load(Width::W64, at, offset);
        let new = self.b.binary(Binary::Add, old, amount);
        self.b.store(Width::W64, at, offset, new);
    }
}
