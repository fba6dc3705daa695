//! Functions: blocks with parameters, instructions in them, values.

use std::ops::{Index, IndexMut};

use crate::assembly::Assembly;
use crate::entity::{Block, Entity, Inst, Slot, Value};
use crate::inst::InstData;
use crate::module::FuncKind;
use crate::types::Type;

/// A place in a source text. Line and column count from 1; line 0 stands for no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Loc {
    /// Index into [`Module::sources`](crate::Module::sources).
    pub source: u32,
    /// Line.
    pub line: u32,
    /// Column in bytes.
    pub column: u16,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueDef {
    /// The parameter of a block with this number.
    Param(Block, u32),
    /// The result of an instruction with this number.
    Result(Inst, u32),
}

/// A value: its type and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueData {
    /// Its type.
    pub ty: Type,
    /// Where it comes from.
    pub def: ValueDef,
}

/// A block: parameters, and instructions of which the last one leads out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockData {
    /// Its parameters. Those of the entry are those of the function.
    pub params: Vec<Value>,
    /// Its instructions in order.
    pub insts: Vec<Inst>,
}

/// An instruction with its results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstNode {
    /// What it does.
    pub data: InstData,
    /// Its results: none or one; for a branch none, one or two.
    pub results: Vec<Value>,
    /// Where it comes from.
    pub loc: Loc,
}

/// An object on the stack. Its bytes are not defined until they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotData {
    /// Bytes, at least 1 and at most 512.
    pub size: u32,
    /// Of which its address is a multiple: 1, 2, 4 or 8. In the frame every object starts at a multiple of 8.
    pub align: u8,
    /// What it is called in messages; may be empty.
    pub name: String,
}

/// Whether a static function becomes part of those that call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Inlining {
    /// Where the optimiser thinks that it pays.
    #[default]
    Free,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Inlining {
    /// The word of the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// By that word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Free, Self::Always, Self::Never].into_iter().find(|inlining| inlining.name() == name)
    }
}

/// A function. The first block is its entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Name.
    pub name: String,
    /// What it is for.
    pub kind: FuncKind,
    /// Type of its result; `None` if it gives none.
    pub result: Option<Type>,
    /// Its type in [`Module::btf`](crate::Module::btf) (a `FUNC`), 0 for none.
    pub ty: u32,
    /// Whether it becomes part of those that call it; only static functions can.
    pub inlining: Inlining,
    /// Its instructions if it is written in assembly: the blocks only return something then, for passes to look at.
    pub assembly: Option<Box<Assembly>>,
    /// Blocks. The order is that of the code.
    pub blocks: Vec<Block>,
    block_data: Vec<BlockData>,
    insts: Vec<InstNode>,
    values: Vec<ValueData>,
    /// Objects on the stack.
    pub slots: Vec<SlotData>,
}

impl Function {
    /// A function whose entry has these parameters and no instruction.
    pub fn new(name: &str, kind: FuncKind, params: &[Type], result: Option<Type>) -> Self {
        let mut function = Self {
            name: name.to_owned(),
            kind,
            result,
            ty: 0,
            inlining: Inlining::Free,
            assembly: None,
            blocks: Vec::new(),
            block_data: Vec::new(),
            insts: Vec::new(),
            values: Vec::new(),
            slots: Vec::new(),
        };
        let entry = function.add_block();
        for &ty in params {
            function.add_param(entry, ty);
        }
        function
    }

    /// A function without blocks, to be filled from a text.
    pub(crate) fn empty(name: &str, kind: FuncKind, result: Option<Type>) -> Self {
        let mut function = Self::new(name, kind, &[], result);
        function.blocks.clear();
        function.block_data.clear();
        function
    }

    /// Makes room for values and blocks whose numbers are given. Every value must be defined afterwards.
    pub(crate) fn reserve(&mut self, values: usize, blocks: usize) {
        self.values.resize(values, ValueData { ty: Type::I64, def: ValueDef::Param(Block(0), 0) });
        self.block_data.resize(blocks, BlockData::default());
    }

    /// Makes a value with a number the next parameter of a block.
    pub(crate) fn set_param(&mut self, block: Block, value: Value, ty: Type) {
        let number = u32::try_from(self[block].params.len()).unwrap_or(u32::MAX);
        self.values[value.index()] = ValueData { ty, def: ValueDef::Param(block, number) };
        self[block].params.push(value);
    }

    /// A new instruction whose results have numbers.
    pub(crate) fn make_inst_with(&mut self, data: InstData, results: &[(Value, Type)], loc: Loc) -> Inst {
        let inst = Inst::new(self.insts.len());
        for (number, &(value, ty)) in (0..).zip(results) {
            self.values[value.index()] = ValueData { ty, def: ValueDef::Result(inst, number) };
        }
        self.insts.push(InstNode { data, results: results.iter().map(|result| result.0).collect(), loc });
        inst
    }

    /// The block where it begins.
    pub fn entry(&self) -> Block {
        self.blocks.first().copied().unwrap_or(Block(0))
    }

    /// Its parameters.
    pub fn params(&self) -> &[Value] {
        &self[self.entry()].params
    }

    /// A new block at the end, without parameters and instructions.
    pub fn add_block(&mut self) -> Block {
        let block = Block::new(self.block_data.len());
        self.block_data.push(BlockData::default());
        self.blocks.push(block);
        block
    }

    /// A new parameter at the end of those of a block.
    pub fn add_param(&mut self, block: Block, ty: Type) -> Value {
        let number = u32::try_from(self[block].params.len()).unwrap_or(u32::MAX);
        let value = self.add_value(ty, ValueDef::Param(block, number));
        self[block].params.push(value);
        value
    }

    /// Takes parameters away from a block, those for which `keep` is false, and their arguments from all edges that lead
    /// there. Nothing may read them any more.
    pub fn retain_params(&mut self, block: Block, mut keep: impl FnMut(usize, Value) -> bool) {
        self.retain_all_params(|home, at, value| home != block || keep(at, value));
    }

    /// The same for all blocks. Whether a parameter went.
    pub fn retain_all_params(&mut self, mut keep: impl FnMut(Block, usize, Value) -> bool) -> bool {
        // For blocks that lose parameters, which ones they keep.
        let mut kept: Vec<Option<Vec<bool>>> = vec![None; self.block_data.len()];
        let mut changed = false;
        for number in 0..self.blocks.len() {
            let block = self.blocks[number];
            let stays: Vec<bool> =
                self[block].params.iter().enumerate().map(|(at, &value)| keep(block, at, value)).collect();
            if stays.iter().all(|&stays| stays) {
                continue;
            }
            changed = true;
            let mut params = std::mem::take(&mut self[block].params);
            filter(&mut params, &stays);
            for (number, &value) in (0..).zip(&params) {
                self.values[value.index()].def = ValueDef::Param(block, number);
            }
            self[block].params = params;
            kept[block.index()] = Some(stays);
        }
        if !changed {
            return false;
        }
        for number in 0..self.blocks.len() {
            let Some(inst) = self.terminator(self.blocks[number]) else { continue };
            for edge in self.insts[inst.index()].data.edges_mut() {
                if let Some(stays) = &kept[edge.block.index()] {
                    filter(&mut edge.args, stays);
                }
            }
        }
        true
    }

    /// Makes a parameter, the next of a block, of the result of an instruction, which loses it.
    pub fn make_param(&mut self, block: Block, inst: Inst) {
        for value in std::mem::take(&mut self[inst].results) {
            let ty = self.ty(value);
            self.set_param(block, value, ty);
        }
    }

    /// A new object on the stack.
    pub fn add_slot(&mut self, name: &str, size: u32, align: u8) -> Slot {
        self.slots.push(SlotData { size, align, name: name.to_owned() });
        Slot::new(self.slots.len() - 1)
    }

    fn add_value(&mut self, ty: Type, def: ValueDef) -> Value {
        self.values.push(ValueData { ty, def });
        Value::new(self.values.len() - 1)
    }

    /// A new instruction that is in no block yet, with results of these types.
    pub fn make_inst(&mut self, data: InstData, results: &[Type], loc: Loc) -> Inst {
        let inst = Inst::new(self.insts.len());
        let results =
            (0..).zip(results).map(|(number, &ty)| self.add_value(ty, ValueDef::Result(inst, number))).collect();
        self.insts.push(InstNode { data, results, loc });
        inst
    }

    /// Adds a result to an instruction.
    pub fn add_result(&mut self, inst: Inst, ty: Type) -> Value {
        let number = u32::try_from(self[inst].results.len()).unwrap_or(u32::MAX);
        let value = self.add_value(ty, ValueDef::Result(inst, number));
        self[inst].results.push(value);
        value
    }

    /// The type of a value.
    pub fn ty(&self, value: Value) -> Type {
        self.values[value.index()].ty
    }

    /// Gives a value another type, for passes that learn what a pointer points to after they made it.
    pub fn set_type(&mut self, value: Value, ty: Type) {
        self.values[value.index()].ty = ty;
    }

    /// Where a value comes from.
    pub fn def(&self, value: Value) -> ValueDef {
        self.values[value.index()].def
    }

    /// The instruction that a value is the first result of.
    pub fn def_inst(&self, value: Value) -> Option<&InstData> {
        match self.def(value) {
            ValueDef::Result(inst, 0) => Some(&self[inst].data),
            _ => None,
        }
    }

    /// The number that a value is, if it is a constant.
    pub fn constant(&self, value: Value) -> Option<i64> {
        match self.def_inst(value)? {
            InstData::Const(number) => Some(*number),
            _ => None,
        }
    }

    /// Number of values that were ever made.
    pub fn value_count(&self) -> usize {
        self.values.len()
    }

    /// Number of instructions that were ever made.
    pub fn inst_count(&self) -> usize {
        self.insts.len()
    }

    /// Number of blocks that were ever made.
    pub fn block_count(&self) -> usize {
        self.block_data.len()
    }

    /// The instruction that leads out of a block, if the block is complete.
    pub fn terminator(&self, block: Block) -> Option<Inst> {
        self[block].insts.last().copied().filter(|&inst| self[inst].data.is_terminator())
    }

    /// The blocks that a block leads to, in the order of its edges.
    pub fn successors(&self, block: Block) -> impl DoubleEndedIterator<Item = Block> + Clone + '_ {
        let end = self.terminator(block).map(|inst| self[inst].data.edges());
        end.into_iter().flatten().map(|edge| edge.block)
    }

    /// For each block ever made the blocks that lead to it, once for each edge.
    pub fn predecessors(&self) -> Vec<Vec<Block>> {
        let mut predecessors = vec![Vec::new(); self.block_count()];
        for &block in &self.blocks {
            for next in self.successors(block) {
                predecessors[next.index()].push(block);
            }
        }
        predecessors
    }

    /// Replaces operands in all blocks: each value by what `replace` gives for it.
    pub fn replace_operands(&mut self, mut replace: impl FnMut(Value) -> Value) {
        for &block in &self.blocks {
            for &inst in &self.block_data[block.index()].insts {
                self.insts[inst.index()].data.for_each_operand_mut(|value| *value = replace(*value));
            }
        }
    }
}

/// Takes away the values that do not stay.
fn filter(values: &mut Vec<Value>, stays: &[bool]) {
    let mut at = 0;
    values.retain(|_| {
        at += 1;
        stays.get(at - 1).is_none_or(|&stays| stays)
    });
}

macro_rules! indexed {
    ($entity:ty, $field:ident, $data:ty) => {
        impl Index<$entity> for Function {
            type Output = $data;
            fn index(&self, entity: $entity) -> &$data {
                &self.$field[entity.index()]
            }
        }

        impl IndexMut<$entity> for Function {
            fn index_mut(&mut self, entity: $entity) -> &mut $data {
                &mut self.$field[entity.index()]
            }
        }
    };
}

indexed!(Block, block_data, BlockData);
indexed!(Inst, insts, InstNode);
indexed!(Slot, slots, SlotData);
