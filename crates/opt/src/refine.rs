//! Gives compared values a new name behind their comparison (`skep_ir` explains why).
//!
//! Integers and packet pointers that a branch compares become results of the branch, and uses that the branch dominates
//! read those. A pointer that is compared with null becomes one that is not null where the edge dominates on which it is
//! not.

use skep_ir::analysis::Dominators;
use skep_ir::{Block, Cond, Entity, Function, Inst, InstData, Memory, Type, Value};

use crate::Ctx;
use crate::util::constant;

/// A value that has another name in a block and those that it dominates.
type Rename = (Value, Value);

struct Names {
    of: Vec<Option<Value>>,
}

impl Names {
    fn get(&self, value: Value) -> Value {
        let mut value = value;
        while let Some(next) = self.of.get(value.index()).copied().flatten() {
            value = next;
        }
        value
    }

    /// Adds a name; what the old one had before.
    fn set(&mut self, (old, new): Rename) -> (Value, Option<Value>) {
        if self.of.len() <= old.index() {
            self.of.resize(old.index() + 1, None);
        }
        (old, self.of[old.index()].replace(new))
    }
}

/// A walk through the tree of dominators.
enum Step {
    Enter(Block, Vec<Rename>),
    Leave(Vec<(Value, Option<Value>)>),
}

/// The pass.
pub fn refine(function: &mut Function, _ctx: &Ctx) -> bool {
    let dominators = Dominators::new(function);
    let children = dominators.children();
    let predecessors = function.predecessors();
    let mut names = Names { of: Vec::new() };
    let mut changed = false;
    let mut stack = vec![Step::Enter(function.entry(), Vec::new())];
    while let Some(step) = stack.pop() {
        match step {
            Step::Leave(old) => old.into_iter().rev().for_each(|(value, name)| names.of[value.index()] = name),
            Step::Enter(block, new) => {
                stack.push(Step::Leave(new.into_iter().map(|rename| names.set(rename)).collect()));
                for inst in function[block].insts.clone() {
                    changed |= rename(function, inst, &names);
                }
                let Some(inst) = function.terminator(block) else { continue };
                let added = name_operands(function, inst);
                changed |= added;
                for &child in &children[block.index()] {
                    let only = predecessors[child.index()].len() == 1;
                    stack.push(Step::Enter(child, names_in(function, inst, child, only)));
                }
            }
        }
    }
    changed
}

fn rename(function: &mut Function, inst: Inst, names: &Names) -> bool {
    let mut changed = false;
    function[inst].data.for_each_operand(|value| changed |= names.get(value) != value);
    if !changed {
        return false;
    }
    let mut data = function[inst].data.clone();
    data.for_each_operand_mut(|value| *value = names.get(*value));
    if let InstData::Select(_, [_, _, yes, no]) = &mut data {
        // Both have to be of the type of the result.
        let InstData::Select(_, [_, _, old_yes, old_no]) = &function[inst].data else { return false };
        let wanted = function.ty(function[inst].results[0]);
        for (value, old) in [(yes, old_yes), (no, old_no)] {
            if function.ty(*value) != wanted {
                *value = *old;
            }
        }
    }
    function[inst].data = data;
    changed
}

/// The type under which an operand of a branch is known behind it, `None` if its name stays.
fn refined_type(function: &Function, cond: Cond, value: Value, other: Value) -> Option<Type> {
    let ty = function.ty(value);
    let Some(pointer) = ty.pointer() else { return constant(function, value).is_none().then_some(ty) };
    if pointer.nullable {
        let null = constant(function, other) == Some(0) && matches!(cond, Cond::Eq | Cond::Ne);
        return (null && constant(function, value).is_none()).then_some(Type::ptr(pointer.to));
    }
    matches!(pointer.to, Memory::Packet | Memory::PacketMeta | Memory::Any).then_some(ty)
}

/// Adds results to a branch that has none.
fn name_operands(function: &mut Function, inst: Inst) -> bool {
    let InstData::Branch { cond, args: [left, right], .. } = function[inst].data else { return false };
    if !function[inst].results.is_empty() || left == right {
        return false;
    }
    let types = [refined_type(function, cond, left, right), refined_type(function, cond, right, left)];
    match types {
        [None, None] => false,
        [Some(first), None] => {
            function.add_result(inst, first);
            true
        }
        [None, Some(second)] => {
            // Results stand for the first operands.
            if let InstData::Branch { cond, args, .. } = &mut function[inst].data {
                *cond = cond.swapped();
                args.swap(0, 1);
            }
            function.add_result(inst, second);
            true
        }
        [Some(first), Some(second)] => {
            function.add_result(inst, first);
            function.add_result(inst, second);
            true
        }
    }
}

/// The names that hold in a block whose immediate dominator ends with a branch. `only` says that one edge leads there.
fn names_in(function: &Function, inst: Inst, block: Block, only: bool) -> Vec<Rename> {
    let InstData::Branch { cond, args, yes, no } = &function[inst].data else { return Vec::new() };
    let certain = if *cond == Cond::Eq { no.block } else { yes.block };
    let pairs = function[inst].results.iter().zip(args);
    pairs
        .filter(|&(&result, &operand)| {
            function.ty(result) == function.ty(operand) || only && block == certain && yes.block != no.block
        })
        .map(|(&result, &operand)| (operand, result))
        .collect()
}
