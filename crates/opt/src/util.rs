//! What several passes need: renaming of values, constants, clones of instructions.

pub use skep_ir::hash::Hashing;
use skep_ir::{Block, Edge, Entity, Function, Inst, InstData, Loc, Type, Value};

/// Values that are replaced by others.
#[derive(Debug)]
pub struct Renames {
    of: Vec<Option<Value>>,
    any: bool,
}

impl Renames {
    /// None yet.
    pub fn new(function: &Function) -> Self {
        Self { of: vec![None; function.value_count()], any: false }
    }

    /// Replaces `old` by `new` from now on.
    pub fn set(&mut self, old: Value, new: Value) {
        let new = self.get(new);
        if new == old {
            return;
        }
        if self.of.len() <= old.index() {
            self.of.resize(old.index() + 1, None);
        }
        self.of[old.index()] = Some(new);
        self.any = true;
    }

    /// What a value has become.
    pub fn get(&self, value: Value) -> Value {
        let mut value = value;
        while let Some(next) = self.of.get(value.index()).copied().flatten() {
            value = next;
        }
        value
    }

    /// Changes the operands of one instruction.
    pub fn apply_to(&self, data: &mut InstData) {
        if self.any {
            data.for_each_operand_mut(|value| *value = self.get(*value));
        }
    }

    /// Changes all operands of a function. Whether there was anything to rename.
    pub fn apply(&self, function: &mut Function) -> bool {
        if self.any {
            function.replace_operands(|value| self.get(value));
        }
        self.any
    }
}

/// The number that a value is, 32-bit ones without sign.
pub fn constant(function: &Function, value: Value) -> Option<i64> {
    let number = function.constant(value)?;
    Some(normal(number, function.ty(value)))
}

/// A number as a constant of a type is written.
pub fn normal(number: i64, ty: Type) -> i64 {
    if ty == Type::I32 { number & 0xffff_ffff } else { number }
}

/// Inserts an instruction with one result in front of position `at` of a block.
pub fn insert(function: &mut Function, block: Block, at: usize, data: InstData, ty: Type, loc: Loc) -> Value {
    let inst = function.make_inst(data, &[ty], loc);
    function[block].insts.insert(at, inst);
    function[inst].results[0]
}

/// Makes a jump of the end of a block. The results of what ended it are to become its operands, where types are equal;
/// where they are not (a pointer that was proved not to be null), only code that is unreachable now reads them.
pub fn make_jump(function: &mut Function, inst: Inst, edge: Edge, renames: &mut Renames) {
    let old = std::mem::replace(&mut function[inst].data, InstData::Jump(edge));
    let results = std::mem::take(&mut function[inst].results);
    let InstData::Branch { args, .. } = old else { return };
    for (result, operand) in results.into_iter().zip(args) {
        if function.ty(result) == function.ty(operand) {
            renames.set(result, operand);
        }
    }
}
