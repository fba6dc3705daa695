//! Makes the instructions of a function one after the other.

use crate::entity::{Block, CoreRef, FuncRef, GlobalRef, Inst, MapRef, Slot, Value};
use crate::function::{Function, Loc};
use crate::inst::{Callee, Edge, InstData};
use crate::op::{AtomicOp, Binary, Cond, Unary, Width};
use crate::types::{Memory, Type};

/// Adds instructions at the end of one block after another.
///
/// Types are not checked here but by [`verify`](crate::verify::verify).
#[derive(Debug)]
pub struct Builder<'f> {
    /// The function.
    pub function: &'f mut Function,
    block: Block,
    loc: Loc,
}

impl<'f> Builder<'f> {
    /// Begins at the end of the entry.
    pub fn new(function: &'f mut Function) -> Self {
        let block = function.entry();
        Self { function, block, loc: Loc::default() }
    }

    /// Where the coming instructions come from.
    pub const fn at(&mut self, loc: Loc) {
        self.loc = loc;
    }

    /// The place of the coming instructions.
    pub const fn loc(&self) -> Loc {
        self.loc
    }

    /// A new block, with parameters of these types.
    pub fn block(&mut self, params: &[Type]) -> Block {
        let block = self.function.add_block();
        for &ty in params {
            self.function.add_param(block, ty);
        }
        block
    }

    /// Goes on at the end of a block.
    pub const fn switch_to(&mut self, block: Block) {
        self.block = block;
    }

    /// The block that instructions are added to.
    pub const fn current(&self) -> Block {
        self.block
    }

    /// Whether the block has its end already.
    pub fn is_closed(&self) -> bool {
        self.function.terminator(self.block).is_some()
    }

    /// Parameter of a block.
    pub fn param(&self, block: Block, number: usize) -> Value {
        self.function[block].params[number]
    }

    /// Adds an instruction with results of these types.
    pub fn inst(&mut self, data: InstData, results: &[Type]) -> Inst {
        let inst = self.function.make_inst(data, results, self.loc);
        self.function[self.block].insts.push(inst);
        inst
    }

    fn value(&mut self, data: InstData, ty: Type) -> Value {
        let inst = self.inst(data, &[ty]);
        self.function[inst].results[0]
    }

    /// A 64-bit number.
    pub fn i64(&mut self, number: i64) -> Value {
        self.value(InstData::Const(number), Type::I64)
    }

    /// A 32-bit number.
    pub fn i32(&mut self, number: u32) -> Value {
        self.value(InstData::Const(number.into()), Type::I32)
    }

    /// A null pointer.
    pub fn null(&mut self, to: Memory) -> Value {
        self.value(InstData::Const(0), Type::nullable(to))
    }

    /// One operand. `Extend`, `Sext32` and `Swap64` give 64 bits, `Truncate` gives 32, others the type of the operand.
    pub fn unary(&mut self, op: Unary, value: Value) -> Value {
        let ty = match op {
            Unary::Extend | Unary::Sext32 | Unary::Swap64 => Type::I64,
            Unary::Truncate => Type::I32,
            _ => self.function.ty(value),
        };
        self.value(InstData::Unary(op, value), ty)
    }

    /// Two operands of one type, which is that of the result.
    pub fn binary(&mut self, op: Binary, left: Value, right: Value) -> Value {
        let ty = self.function.ty(left);
        self.value(InstData::Binary(op, [left, right]), ty)
    }

    /// An operation with a constant.
    pub fn binary_const(&mut self, op: Binary, left: Value, right: i64) -> Value {
        let ty = self.function.ty(left);
        let right = self.value(InstData::Const(right), ty);
        self.binary(op, left, right)
    }

    /// 1 or 0.
    pub fn compare(&mut self, cond: Cond, left: Value, right: Value) -> Value {
        self.value(InstData::Compare(cond, [left, right]), Type::I64)
    }

    /// One of two values.
    pub fn select(&mut self, cond: Cond, left: Value, right: Value, yes: Value, no: Value) -> Value {
        let ty = self.function.ty(yes);
        self.value(InstData::Select(cond, [left, right, yes, no]), ty)
    }

    /// A pointer and an `i64`.
    pub fn ptr_add(&mut self, ptr: Value, offset: Value) -> Value {
        let ty = self.function.ty(ptr);
        self.value(InstData::PtrAdd(ptr, offset), ty)
    }

    /// A pointer and a number of bytes; the pointer itself for 0.
    pub fn ptr_add_const(&mut self, ptr: Value, offset: i32) -> Value {
        if offset == 0 {
            return ptr;
        }
        let ty = self.function.ty(ptr);
        self.value(InstData::PtrAddConst(ptr, offset), ty)
    }

    /// Reads an integer; up to four bytes give an `i32`, eight an `i64`.
    pub fn load(&mut self, width: Width, ptr: Value, off: i16) -> Value {
        let ty = if width == Width::W64 { Type::I64 } else { Type::I32 };
        self.value(InstData::Load { width, signed: false, ptr, off, volatile: false }, ty)
    }

    /// Reads a value of a type, extended by its sign if it is shorter and `signed`.
    pub fn load_as(&mut self, ty: Type, width: Width, signed: bool, ptr: Value, off: i16) -> Value {
        self.value(InstData::Load { width, signed, ptr, off, volatile: false }, ty)
    }

    /// Writes a value.
    pub fn store(&mut self, width: Width, ptr: Value, off: i16, value: Value) {
        self.inst(InstData::Store { width, ptr, off, value, volatile: false }, &[]);
    }

    /// Changes memory in one step, without looking at what was there.
    pub fn atomic(&mut self, op: AtomicOp, width: Width, ptr: Value, off: i16, value: Value) {
        self.inst(InstData::Atomic { op, width, ptr, off, value }, &[]);
    }

    /// Fills bytes of an object.
    pub fn fill(&mut self, to: Value, len: u32, byte: u8, align: u8) {
        self.inst(InstData::Fill { to, len, byte, align }, &[]);
    }

    /// Copies bytes.
    pub fn copy(&mut self, to: Value, from: Value, len: u32, align: u8) {
        self.inst(InstData::Copy { to, from, len, align }, &[]);
    }

    /// The address of an object on the stack.
    pub fn slot_addr(&mut self, slot: Slot) -> Value {
        self.value(InstData::SlotAddr(slot), Type::ptr(Memory::Stack))
    }

    /// A map.
    pub fn map_addr(&mut self, map: MapRef) -> Value {
        self.value(InstData::MapAddr(map), Type::ptr(Memory::Map(map)))
    }

    /// The address of a variable.
    pub fn global_addr(&mut self, global: GlobalRef) -> Value {
        self.value(InstData::GlobalAddr(global), Type::ptr(Memory::Global(global)))
    }

    /// The address of a function.
    pub fn func_addr(&mut self, func: FuncRef) -> Value {
        self.value(InstData::FuncAddr(func), Type::ptr(Memory::Function))
    }

    /// A constant that depends on the kernel's types, as an `i64`.
    pub fn core(&mut self, core: CoreRef) -> Value {
        self.value(InstData::Core(core), Type::I64)
    }

    /// A call with a result.
    pub fn call(&mut self, callee: Callee, args: &[Value], result: Type) -> Value {
        self.value(InstData::Call(callee, args.to_vec()), result)
    }

    /// A call without a result, or one whose result nobody reads.
    pub fn call_void(&mut self, callee: Callee, args: &[Value]) {
        self.inst(InstData::Call(callee, args.to_vec()), &[]);
    }

    /// On to a block.
    pub fn jump(&mut self, block: Block, args: &[Value]) {
        self.inst(InstData::Jump(Edge { block, args: args.to_vec() }), &[]);
    }

    /// To one of two blocks without parameters.
    pub fn branch(&mut self, cond: Cond, left: Value, right: Value, yes: Block, no: Block) {
        let (yes, no) = (Edge::to(yes), Edge::to(no));
        self.inst(InstData::Branch { cond, args: [left, right], yes, no }, &[]);
    }

    /// To one of two blocks without parameters; gives the first operand under a name that is known to have been compared.
    /// Compared with 0, a nullable pointer becomes one that is not null: use it only where that holds.
    pub fn branch_refining(&mut self, cond: Cond, left: Value, right: Value, yes: Block, no: Block) -> Value {
        let ty = match self.function.ty(left) {
            Type::Ptr(pointer) => Type::ptr(pointer.to),
            integer => integer,
        };
        let (yes, no) = (Edge::to(yes), Edge::to(no));
        let inst = self.inst(InstData::Branch { cond, args: [left, right], yes, no }, &[ty]);
        self.function[inst].results[0]
    }

    /// Returns.
    pub fn ret(&mut self, value: Option<Value>) {
        self.inst(InstData::Return(value), &[]);
    }
}
