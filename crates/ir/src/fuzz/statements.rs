//! Random statements: arithmetic, branches, loops, calls. Those on memory are in the file next to this.

use super::Bytes;
use super::generate::{Callable, OBJECT, mix};
use crate::builder::Builder;
use crate::entity::Value;
use crate::function::Function;
use crate::inst::{Callee, Edge, InstData};
use crate::op::{Binary, Cond, Unary};
use crate::types::Type;

/// Most rounds of a loop.
const ROUNDS: u32 = 4;

/// Values that may be read at a place, newest last.
#[derive(Debug, Default)]
pub struct Pool {
    values: Vec<(Value, Type)>,
}

impl Pool {
    pub fn push(&mut self, value: Value, ty: Type) {
        self.values.push((value, ty));
    }

    /// All of them with their types.
    pub fn all(&self) -> &[(Value, Type)] {
        &self.values
    }

    /// Forgets the newest, all but so many.
    pub fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
    }

    /// Puts a new name of a value in its place.
    fn rename(&mut self, old: Value, new: Value) {
        self.values.iter_mut().filter(|entry| entry.0 == old).for_each(|entry| entry.0 = new);
    }
}

/// A function that is being written.
pub struct Write<'w, 'b> {
    pub bytes: &'w mut Bytes<'b>,
    pub builder: Builder<'w>,
    pub pool: Pool,
    /// Pointers to initialised objects of [`OBJECT`] bytes on the stack.
    pub stack: Vec<Value>,
    /// Ways that are left, as a power of two.
    pub ways: u32,
    /// Functions on the longest chain of calls below this one.
    pub deepest: u32,
    callables: &'w [Callable],
    result: Type,
}

impl<'w, 'b> Write<'w, 'b> {
    pub fn new(
        bytes: &'w mut Bytes<'b>,
        function: &'w mut Function,
        callables: &'w [Callable],
        ways: u32,
        result: Type,
    ) -> Self {
        let (pool, stack) = (Pool::default(), Vec::new());
        Self { bytes, builder: Builder::new(function), pool, stack, ways, deepest: 0, callables, result }
    }

    /// A value of a type: one that is there, else a constant.
    pub fn value(&mut self, ty: Type) -> Value {
        let fitting: Vec<Value> = self.pool.all().iter().filter(|entry| entry.1 == ty).map(|entry| entry.0).collect();
        if fitting.is_empty() || self.bytes.one_in(5) { self.constant(ty) } else { self.bytes.pick(&fitting) }
    }

    /// A new constant.
    pub fn constant(&mut self, ty: Type) -> Value {
        let number = self.bytes.interesting();
        let value = if ty == Type::I32 { self.builder.i32(number as u32) } else { self.builder.i64(number) };
        self.pool.push(value, ty);
        value
    }

    pub fn int(&mut self) -> Type {
        self.bytes.pick(&[Type::I64, Type::I32])
    }

    /// A value from 0 to `mask`, as an `i64`.
    pub fn bounded(&mut self, mask: i64) -> Value {
        let value = self.value(Type::I64);
        self.builder.binary_const(Binary::And, value, mask)
    }

    /// One statement. `depth` is how many may be nested, `rounds` how often it is going to run at most.
    pub fn statement(&mut self, depth: u32, rounds: u32) {
        match self.bytes.u8() % 16 {
            0..=3 => self.arithmetic(),
            4 => self.choose(),
            5 | 6 => self.object_access(),
            7 => self.variable_access(),
            8 => self.atomic_access(),
            9 if self.take_ways(rounds) => self.array_value(),
            10 if self.take_ways(rounds) => self.hash_value(),
            11 => self.hash_change(),
            12 if depth > 0 => self.counted_loop(depth, rounds),
            13 if depth > 0 && self.take_ways(rounds) => self.switch(depth, rounds),
            14 => self.call(rounds),
            15 if depth > 0 && self.take_ways(rounds) => self.branch(depth, rounds),
            _ => self.arithmetic(),
        }
    }

    /// Whether there is room for so many more branches on one way.
    fn take_ways(&mut self, branches: u32) -> bool {
        match self.ways.checked_sub(branches) {
            Some(left) => {
                self.ways = left;
                true
            }
            None => false,
        }
    }

    fn arithmetic(&mut self) {
        let ty = self.int();
        match self.bytes.u8() % 4 {
            0 => {
                let op = self.bytes.pick(Unary::ALL);
                let from = match op {
                    Unary::Extend => Type::I32,
                    Unary::Truncate | Unary::Swap64 => Type::I64,
                    _ => ty,
                };
                let value = self.value(from);
                let value = self.builder.unary(op, value);
                let ty = self.builder.function.ty(value);
                self.pool.push(value, ty);
            }
            1 => {
                let op = self.bytes.pick(Binary::ALL);
                let (left, number) = (self.value(ty), self.bytes.interesting());
                let value = self.builder.binary_const(op, left, number);
                self.pool.push(value, ty);
            }
            _ => {
                let op = self.bytes.pick(Binary::ALL);
                let (left, right) = (self.value(ty), self.value(ty));
                let value = self.builder.binary(op, left, right);
                self.pool.push(value, ty);
            }
        }
    }

    /// A comparison as a value, or a selection.
    fn choose(&mut self) {
        let (ty, cond) = (self.int(), self.bytes.pick(Cond::ALL));
        let (left, right) = (self.value(ty), self.value(ty));
        if self.bytes.one_in(2) {
            let value = self.builder.compare(cond, left, right);
            self.pool.push(value, Type::I64);
            return;
        }
        let ty = self.int();
        let (yes, no) = (self.value(ty), self.value(ty));
        let value = self.builder.select(cond, left, right, yes, no);
        self.pool.push(value, ty);
    }

    /// Statements of their own block, then a jump; what they computed is forgotten, but for the value that is passed on.
    fn arm(&mut self, block: crate::Block, behind: crate::Block, ty: Type, depth: u32, rounds: u32) {
        let known = self.pool.values.clone();
        self.builder.switch_to(block);
        for _ in 0..self.bytes.below(3) {
            self.statement(depth - 1, rounds);
        }
        if depth == 1 && self.bytes.u8() % 16 == 1 {
            self.finish();
        } else {
            let value = self.value(ty);
            self.builder.jump(behind, &[value]);
        }
        self.pool.values = known;
    }

    /// `if` and `else`.
    fn branch(&mut self, depth: u32, rounds: u32) {
        let (ty, cond, passed) = (self.int(), self.bytes.pick(Cond::ALL), self.int());
        let (left, right) = (self.value(ty), self.value(ty));
        let (yes, no) = (self.builder.block(&[]), self.builder.block(&[]));
        let behind = self.builder.block(&[passed]);
        // With names for the operands that were compared: none, one or both.
        let names = self.bytes.below(3);
        let data = InstData::Branch { cond, args: [left, right], yes: Edge::to(yes), no: Edge::to(no) };
        let inst = self.builder.inst(data, &[ty, ty][..names]);
        let results = self.builder.function[inst].results.clone();
        for (&result, old) in results.iter().zip([left, right]) {
            self.pool.rename(old, result);
        }
        self.arm(yes, behind, passed, depth, rounds);
        // One arm must lead on, or nothing would lead to what comes behind.
        let known = self.pool.values.clone();
        self.builder.switch_to(no);
        self.arithmetic();
        let value = self.value(passed);
        self.builder.jump(behind, &[value]);
        self.pool.values = known;
        self.builder.switch_to(behind);
        let value = self.builder.param(behind, 0);
        self.pool.push(value, passed);
    }

    fn switch(&mut self, depth: u32, rounds: u32) {
        let (ty, passed) = (self.int(), self.int());
        let value = self.value(ty);
        let behind = self.builder.block(&[passed]);
        let mut numbers: Vec<i64> = (0..self.bytes.below(3)).map(|_| i64::from(self.bytes.u8())).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let blocks: Vec<_> = numbers.iter().map(|_| self.builder.block(&[])).collect();
        let other = self.value(passed);
        let cases = numbers.into_iter().zip(blocks.iter().map(|&block| Edge::to(block))).collect();
        let default = Edge { block: behind, args: vec![other] };
        self.builder.inst(InstData::Switch { value, cases, default }, &[]);
        for block in blocks {
            self.arm(block, behind, passed, depth, rounds);
        }
        self.builder.switch_to(behind);
        let value = self.builder.param(behind, 0);
        self.pool.push(value, passed);
    }

    /// A loop with a constant number of rounds that carries a value along.
    fn counted_loop(&mut self, depth: u32, rounds: u32) {
        let count = 1 + u32::from(self.bytes.u8()) % ROUNDS;
        let carried = self.int();
        let start = self.value(carried);
        let b = &mut self.builder;
        let zero = b.i64(0);
        let header = b.block(&[Type::I64, carried]);
        let (inner, behind) = (b.block(&[]), b.block(&[]));
        b.jump(header, &[zero, start]);
        b.switch_to(header);
        let (index, sum) = (b.param(header, 0), b.param(header, 1));
        let limit = b.i64(count.into());
        b.branch(Cond::Ult, index, limit, inner, behind);
        b.switch_to(inner);
        self.pool.push(index, Type::I64);
        self.pool.push(sum, carried);
        let known = self.pool.values.clone();
        for _ in 0..=self.bytes.below(3) {
            self.statement(depth - 1, rounds * count);
        }
        let next_sum = self.value(carried);
        let next = self.builder.binary_const(Binary::Add, index, 1);
        self.builder.jump(header, &[next, next_sum]);
        self.pool.values = known;
        self.builder.switch_to(behind);
    }

    /// A call of a static function.
    fn call(&mut self, rounds: u32) {
        let fitting: Vec<Callable> =
            self.callables.iter().copied().filter(|callable| callable.ways * rounds <= self.ways).collect();
        if fitting.is_empty() {
            return self.arithmetic();
        }
        let Callable { function, takes_stack, ways, depth } = self.bytes.pick(&fitting);
        self.ways -= ways * rounds;
        self.deepest = self.deepest.max(depth);
        let mut args = vec![self.value(Type::I64), self.value(Type::I32)];
        if takes_stack {
            args.push(self.bytes.pick(&self.stack));
        }
        let value = self.builder.call(Callee::Func(function), &args, Type::I64);
        self.pool.push(value, Type::I64);
    }

    /// Returns a mixture of everything, some bytes of the stack among it.
    pub fn finish(&mut self) {
        let mut pool = Pool { values: self.pool.values.clone() };
        for &object in &self.stack {
            for off in (0..OBJECT).step_by(8) {
                let value = self.builder.load(crate::Width::W64, object, i16::try_from(off).unwrap_or(0));
                pool.push(value, Type::I64);
            }
        }
        let value = mix(&mut self.builder, &pool);
        let value = if self.result == Type::I32 { self.builder.unary(Unary::Truncate, value) } else { value };
        self.builder.ret(Some(value));
    }
}
