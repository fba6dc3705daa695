//! Every value is defined before it is read, and names that are not null are read only where they are not.

use super::Options;
use super::check::Check;
use crate::analysis::{Dominators, inst_blocks};
use crate::entity::{Block, Entity, Inst, Value};
use crate::function::{Function, ValueDef};
use crate::inst::InstData;
use crate::op::Cond;

/// Checks all reads in blocks that can be reached.
pub fn check(check: &mut Check<'_>, options: Options) {
    let function = check.function;
    let dominators = Dominators::new(function);
    let homes = inst_blocks(function);
    let predecessors = function.predecessors();
    // The place of each instruction in its block.
    let mut place = vec![0; function.inst_count()];
    for &block in &function.blocks {
        function[block].insts.iter().enumerate().for_each(|(at, inst)| place[inst.index()] = at);
    }
    for &block in &function.blocks {
        if !dominators.is_reachable(block) {
            if options.report_unreachable {
                check.report(Some(block), "the block cannot be reached");
            }
            continue;
        }
        for &inst in &function[block].insts {
            let mut wrong: Vec<(Value, &str)> = Vec::new();
            function[inst].data.for_each_operand(|value| {
                let defined = match function.def(value) {
                    ValueDef::Param(home, _) => dominators.dominates(home, block),
                    ValueDef::Result(def, _) => match homes[def.index()] {
                        Some(home) if home == block => place[def.index()] < place[inst.index()],
                        Some(home) => dominators.dominates(home, block),
                        None => false,
                    },
                };
                if !is_alive(function, value) {
                    wrong.push((value, "is read, but nothing defines it any more"));
                } else if !defined {
                    wrong.push((value, "is not defined on every way that leads here"));
                } else if let Some(edge) = non_null_edge(function, value)
                    && !edge_dominates(&dominators, &predecessors, edge, block)
                {
                    wrong.push((value, "is read where the pointer may be null"));
                }
            });
            for (value, message) in wrong {
                check.report_inst(block, inst, format!("{value} {message}"));
            }
        }
    }
}

/// Whether the block or the instruction that a value is from still has it: passes take parameters and results away.
fn is_alive(function: &Function, value: Value) -> bool {
    let (values, number) = match function.def(value) {
        ValueDef::Param(block, number) => (&function[block].params, number),
        ValueDef::Result(inst, number) => (&function[inst].results, number),
    };
    values.get(number as usize) == Some(&value)
}

/// The target of the edge on which a name that is not null was found not to be; `None` for other values. Both edges to
/// one block prove nothing, which `usize` 2 predecessors of it show.
fn non_null_edge(function: &Function, value: Value) -> Option<Block> {
    let ValueDef::Result(inst, number) = function.def(value) else { return None };
    refined_non_null(function, inst, number as usize)
}

/// For a result of a branch that turns a nullable operand into one that is not null: the target of the edge on which it
/// holds.
pub fn refined_non_null(function: &Function, inst: Inst, number: usize) -> Option<Block> {
    let InstData::Branch { cond, args, yes, no } = &function[inst].data else { return None };
    let operand = function.ty(*args.get(number)?).pointer()?;
    let result = function.ty(*function[inst].results.get(number)?).pointer()?;
    if !operand.nullable || result.nullable {
        return None;
    }
    Some(if *cond == Cond::Eq { no.block } else { yes.block })
}

/// Whether every way to a block goes through the edge to `target`, which comes from a branch that dominates.
fn edge_dominates(dominators: &Dominators, predecessors: &[Vec<Block>], target: Block, block: Block) -> bool {
    let entering = predecessors[target.index()]
        .iter()
        .filter(|before| dominators.is_reachable(**before) && !dominators.dominates(target, **before));
    dominators.dominates(target, block) && entering.count() == 1
}
