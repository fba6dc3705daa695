//! One function while it is lowered: blocks, and variables that are values (Braun and others, "Simple and Efficient
//! Construction of Static Single Assignment Form", 2013).

use std::collections::HashMap;

use skep_ir::hash::QuickMap;
use skep_ir::{
    Binary, Block, Cond, CoreRef, Edge, Entity, Function, Inst, InstData, Memory, Slot, Space, Type, Unary, Value,
};

use crate::parse::ast::{FuncId, LabelId, VarId};
use crate::types::QTy;

/// The type of all pointers.
pub const PTR: Type = Type::ptr(Memory::Any);

/// A variable whose reads and writes become values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Local(pub u32);

/// Where a variable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    Value(Local),
    /// An integer of 128 bits: its lower and its upper half.
    Pair([Local; 2]),
    Slot(Slot),
}

/// Where `break` and `continue` lead.
#[derive(Debug, Clone, Copy)]
pub struct Exits {
    pub on_break: Block,
    pub on_continue: Option<Block>,
}

/// A `switch` whose body is being lowered.
#[derive(Debug, Default)]
pub struct Cases {
    pub cases: Vec<(i64, i64, Block)>,
    pub default: Option<Block>,
}

/// A function body that is being lowered: that of the function itself, or of one that is put into it.
#[derive(Debug)]
pub struct Frame {
    pub func: FuncId,
    pub homes: HashMap<VarId, Home>,
    /// The functions that parameters are.
    pub callees: HashMap<VarId, super::call::Called>,
    pub labels: HashMap<LabelId, Block>,
    pub exits: Vec<Exits>,
    pub switches: Vec<Cases>,
    /// Where `return` leads, and where the result is put; `None` in the function itself.
    pub result: Option<(Block, Option<Home>)>,
    pub ret: QTy,
    /// Objects that end with the frame.
    pub slots: Vec<Slot>,
}

/// A function that is being made.
pub struct Fn {
    pub function: Function,
    pub block: Block,
    pub loc: skep_ir::Loc,
    pub frames: Vec<Frame>,
    /// Objects of frames that have ended: the next frame of the same function takes them again.
    pub free: Vec<Slot>,
    types: Vec<Type>,
    /// For each block the values of variables at its end.
    values: Vec<QuickMap<Local, Value>>,
    sealed: Vec<bool>,
    incomplete: Vec<Vec<Local>>,
    predecessors: Vec<Vec<Block>>,
    constants: HashMap<(Block, i64, Type), Value>,
}

impl Fn {
    pub fn new(function: Function) -> Self {
        let block = function.entry();
        let mut made = Self {
            function,
            block,
            loc: skep_ir::Loc::default(),
            frames: Vec::new(),
            free: Vec::new(),
            types: Vec::new(),
            values: Vec::new(),
            sealed: Vec::new(),
            incomplete: Vec::new(),
            predecessors: Vec::new(),
            constants: HashMap::new(),
        };
        made.grow();
        made.sealed[block.index()] = true;
        made
    }

    fn grow(&mut self) {
        let count = self.function.block_count();
        self.values.resize_with(count, QuickMap::default);
        self.sealed.resize(count, false);
        self.incomplete.resize_with(count, Vec::new);
        self.predecessors.resize_with(count, Vec::new);
    }

    /// A new block that more ways may lead to until it is sealed.
    pub fn new_block(&mut self) -> Block {
        let block = self.function.add_block();
        self.grow();
        block
    }

    /// Goes on in a block that nothing else will lead to.
    pub fn enter_sealed(&mut self, block: Block) {
        self.seal(block);
        self.block = block;
    }

    pub fn new_local(&mut self, ty: Type) -> Local {
        self.types.push(ty);
        Local(u32::try_from(self.types.len() - 1).unwrap_or(u32::MAX))
    }

    /// Whether the current block can be reached.
    pub fn reachable(&self) -> bool {
        self.block == self.function.entry()
            || !self.predecessors[self.block.index()].is_empty()
            || !self.sealed[self.block.index()]
    }

    // Variables.

    pub fn write(&mut self, local: Local, value: Value) {
        self.values[self.block.index()].insert(local, value);
    }

    pub fn read(&mut self, local: Local) -> Value {
        self.read_at(local, self.block)
    }

    fn read_at(&mut self, local: Local, start: Block) -> Value {
        // Along blocks with one way in, without recursion.
        let mut block = start;
        let mut passed = Vec::new();
        let value = loop {
            if let Some(&value) = self.values[block.index()].get(&local) {
                break value;
            }
            if !self.sealed[block.index()] {
                let ty = self.types[local.0 as usize];
                let param = self.function.add_param(block, ty);
                self.incomplete[block.index()].push(local);
                break self.remember(local, block, param);
            }
            match self.predecessors[block.index()].as_slice() {
                [] => {
                    let zero = self.zero_at(block, self.types[local.0 as usize]);
                    break self.remember(local, block, zero);
                }
                // A loop that nothing leads into.
                [_] if passed.len() > self.function.block_count() => {
                    let zero = self.zero_at(block, self.types[local.0 as usize]);
                    break self.remember(local, block, zero);
                }
                [only] => {
                    passed.push(block);
                    block = *only;
                }
                _ => {
                    let ty = self.types[local.0 as usize];
                    let param = self.function.add_param(block, ty);
                    self.remember(local, block, param);
                    self.fill(local, block);
                    break param;
                }
            }
        };
        for block in passed {
            self.values[block.index()].insert(local, value);
        }
        value
    }

    fn remember(&mut self, local: Local, block: Block, value: Value) -> Value {
        self.values[block.index()].insert(local, value);
        value
    }

    /// Zero at the start of a block, for what is read before it is written.
    fn zero_at(&mut self, block: Block, ty: Type) -> Value {
        let inst = self.function.make_inst(InstData::Const(0), &[ty], skep_ir::Loc::default());
        self.function[block].insts.insert(0, inst);
        self.function[inst].results[0]
    }

    fn fill(&mut self, local: Local, block: Block) {
        for before in self.predecessors[block.index()].clone() {
            let value = self.read_at(local, before);
            self.add_argument(before, block, value);
        }
    }

    fn add_argument(&mut self, from: Block, to: Block, value: Value) {
        let Some(inst) = self.function.terminator(from) else { return };
        for edge in self.function[inst].data.edges_mut() {
            if edge.block == to {
                edge.args.push(value);
            }
        }
    }

    /// Says that all ways to a block are there.
    pub fn seal(&mut self, block: Block) {
        if std::mem::replace(&mut self.sealed[block.index()], true) {
            return;
        }
        for local in std::mem::take(&mut self.incomplete[block.index()]) {
            self.fill(local, block);
        }
    }

    /// Seals what is still open: targets of `goto`.
    pub fn seal_all(&mut self) {
        for index in 0..self.function.block_count() {
            self.seal(Block::new(index));
        }
    }

    // Instructions.

    pub fn inst(&mut self, data: InstData, results: &[Type]) -> Inst {
        let inst = self.function.make_inst(data, results, self.loc);
        let block = self.block;
        self.function[block].insts.push(inst);
        inst
    }

    pub fn value(&mut self, data: InstData, ty: Type) -> Value {
        let inst = self.inst(data, &[ty]);
        self.function[inst].results[0]
    }

    /// A number of a type, one for each block.
    pub fn number(&mut self, number: i64, ty: Type) -> Value {
        let number = if ty == Type::I32 { i64::from(number as u32) } else { number };
        let key = (self.block, number, ty);
        if let Some(&known) = self.constants.get(&key) {
            return known;
        }
        let value = self.value(InstData::Const(number), ty);
        self.constants.insert(key, value);
        value
    }

    /// The number that a value is, extended by its sign for 32 bits.
    pub fn constant(&self, value: Value) -> Option<i64> {
        let number = self.function.constant(value)?;
        Some(if self.function.ty(value) == Type::I32 { i64::from(number as i32) } else { number })
    }

    pub fn ty(&self, value: Value) -> Type {
        self.function.ty(value)
    }

    pub fn unary(&mut self, op: Unary, value: Value) -> Value {
        let ty = match op {
            Unary::Extend | Unary::Sext32 | Unary::Swap64 => Type::I64,
            Unary::Truncate => Type::I32,
            _ => self.ty(value),
        };
        if let Some(number) = self.constant(value) {
            let narrow = ty == Type::I32;
            let folded = match op {
                Unary::Neg => Some(number.wrapping_neg()),
                Unary::Extend => Some(i64::from(number as u32)),
                Unary::Truncate | Unary::Sext32 => Some(i64::from(number as i32)),
                Unary::Sext8 => Some(i64::from(number as i8)),
                Unary::Sext16 => Some(i64::from(number as i16)),
                Unary::Swap16 => Some(i64::from((number as u16).swap_bytes())),
                Unary::Swap32 => Some(i64::from((number as u32).swap_bytes())),
                Unary::Swap64 => Some(number.swap_bytes()),
            };
            if let Some(folded) = folded {
                return self.number(if narrow { i64::from(folded as i32) } else { folded }, ty);
            }
        }
        self.value(InstData::Unary(op, value), ty)
    }

    pub fn binary(&mut self, op: Binary, left: Value, right: Value) -> Value {
        let ty = self.ty(left);
        if let (Some(a), Some(b)) = (self.constant(left), self.constant(right)) {
            let folded = skep_ir::eval::binary(op, ty, mask(ty, a), mask(ty, b));
            return self.number(folded.cast_signed(), ty);
        }
        match (op, self.constant(right)) {
            (
                Binary::Add | Binary::Sub | Binary::Or | Binary::Xor | Binary::Shl | Binary::Lshr | Binary::Ashr,
                Some(0),
            )
            | (Binary::Mul | Binary::Udiv | Binary::Sdiv, Some(1)) => return left,
            _ => {}
        }
        self.value(InstData::Binary(op, [left, right]), ty)
    }

    pub fn binary_number(&mut self, op: Binary, left: Value, right: i64) -> Value {
        let ty = self.ty(left);
        let right = self.number(right, ty);
        self.binary(op, left, right)
    }

    /// A comparison that is known, of numbers.
    pub fn known(&self, cond: Cond, left: Value, right: Value) -> Option<bool> {
        let ty = self.ty(left);
        if let (Some(a), Some(b)) = (self.constant(left), self.constant(right)) {
            return Some(skep_ir::eval::compare(cond, ty, mask(ty, a), mask(ty, b)));
        }
        // The address of a variable is not null.
        let address = |value| self.is_address(value);
        match cond {
            Cond::Eq | Cond::Ne if self.constant(right) == Some(0) && address(left) => Some(cond == Cond::Ne),
            _ => None,
        }
    }

    /// Whether a pointer is the context of the program, or constant bytes behind it.
    pub fn is_of_context(&self, mut value: Value) -> bool {
        for _ in 0..8 {
            if self.ty(value).pointer().is_some_and(|pointer| pointer.to == Memory::Context) {
                return true;
            }
            match self.function.def_inst(value) {
                Some(InstData::Cast(inner) | InstData::PtrAddConst(inner, _)) => value = *inner,
                _ => return false,
            }
        }
        false
    }

    fn is_address(&self, mut value: Value) -> bool {
        for _ in 0..8 {
            match self.function.def_inst(value) {
                Some(InstData::Cast(inner) | InstData::PtrAddConst(inner, _)) => value = *inner,
                Some(InstData::SlotAddr(_) | InstData::GlobalAddr(_) | InstData::MapAddr(_)) => return true,
                _ => return false,
            }
        }
        false
    }

    pub fn compare(&mut self, cond: Cond, left: Value, right: Value) -> Value {
        if let Some(known) = self.known(cond, left, right) {
            return self.number(known.into(), Type::I32);
        }
        let wide = self.value(InstData::Compare(cond, [left, right]), Type::I64);
        self.unary(Unary::Truncate, wide)
    }

    /// Any pointer or 64-bit number as a pointer of the common type.
    pub fn make_ptr(&mut self, value: Value) -> Value {
        if self.ty(value) == PTR {
            return value;
        }
        if let Some(number) = self.constant(value) {
            return self.number(number, PTR);
        }
        if let Some(InstData::PtrToInt(inner)) = self.function.def_inst(value) {
            return self.make_ptr(*inner);
        }
        self.value(InstData::Cast(value), PTR)
    }

    /// An address of an arena in a space; null stays null.
    pub fn space_cast(&mut self, space: Space, value: Value) -> Value {
        if self.constant(value) == Some(0) && space == Space::User {
            return value;
        }
        let ty = if space == Space::Kernel { Type::ptr(Memory::Arena) } else { PTR };
        self.value(InstData::SpaceCast(space, value), ty)
    }

    /// A pointer as a number.
    pub fn make_int(&mut self, value: Value) -> Value {
        if self.ty(value).is_int() {
            return value;
        }
        if let Some(number) = self.constant(value) {
            return self.number(number, Type::I64);
        }
        if let Some(InstData::Cast(inner)) = self.function.def_inst(value)
            && self.ty(*inner).is_int()
        {
            return *inner;
        }
        self.value(InstData::PtrToInt(value), Type::I64)
    }

    /// A pointer and a number of bytes.
    pub fn add_bytes(&mut self, ptr: Value, bytes: i64) -> Value {
        if bytes == 0 {
            return ptr;
        }
        let ty = self.ty(ptr);
        if let Some(number) = self.constant(ptr) {
            return self.number(number.wrapping_add(bytes), ty);
        }
        match i32::try_from(bytes) {
            Ok(step) => self.value(InstData::PtrAddConst(ptr, step), ty),
            Err(_) => {
                let step = self.number(bytes, Type::I64);
                self.value(InstData::PtrAdd(ptr, step), ty)
            }
        }
    }

    pub fn core(&mut self, core: CoreRef) -> Value {
        self.value(InstData::Core(core), Type::I64)
    }

    // Control.

    fn leads(&mut self, from: Block, to: Block) {
        let list = &mut self.predecessors[to.index()];
        if !list.contains(&from) {
            list.push(from);
        }
    }

    /// Ends the current block; what follows cannot be reached until a block is entered.
    fn close(&mut self, data: InstData) {
        let from = self.block;
        let targets: Vec<Block> = data.edges().map(|edge| edge.block).collect();
        self.inst(data, &[]);
        // Blocks that cannot be reached lead nowhere that counts.
        if from == self.function.entry() || !self.predecessors[from.index()].is_empty() || !self.sealed[from.index()] {
            targets.into_iter().for_each(|to| self.leads(from, to));
        }
        let dead = self.new_block();
        self.enter_sealed(dead);
    }

    pub fn jump(&mut self, to: Block) {
        self.close(InstData::Jump(Edge::to(to)));
    }

    pub fn branch(&mut self, cond: Cond, left: Value, right: Value, yes: Block, no: Block) {
        match self.known(cond, left, right) {
            Some(true) => self.jump(yes),
            Some(false) => self.jump(no),
            None if yes == no => self.jump(yes),
            None => {
                let (yes, no) = (Edge::to(yes), Edge::to(no));
                self.close(InstData::Branch { cond, args: [left, right], yes, no });
            }
        }
    }

    pub fn may_goto(&mut self, next: Block, done: Block) {
        self.close(InstData::MayGoto { next: Edge::to(next), done: Edge::to(done) });
    }

    pub fn switch(&mut self, value: Value, cases: Vec<(i64, Edge)>, default: Block) {
        self.close(InstData::Switch { value, cases, default: Edge::to(default) });
    }

    pub fn ret(&mut self, value: Option<Value>) {
        self.close(InstData::Return(value));
    }

    pub fn unreachable(&mut self) {
        self.close(InstData::Unreachable);
    }

    pub fn frame(&mut self) -> Option<&mut Frame> {
        self.frames.last_mut()
    }
}

fn mask(ty: Type, number: i64) -> u64 {
    if ty == Type::I32 { u64::from(number as u32) } else { number.cast_unsigned() }
}
