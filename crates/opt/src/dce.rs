//! Removes instructions and block parameters that nothing reads, calls of helpers that only give a value among them.
//!
//! What is read: operands of what has an effect or ends a block; through a parameter of a block the arguments of all
//! edges that lead there. A counter that only counts is not read. Parameters of the entry stay.

use skep_ir::{Block, Entity, Function, Inst, InstData, Value, ValueDef};

use crate::Ctx;

/// The pass.
pub fn dce(function: &mut Function, _ctx: &Ctx) -> bool {
    let live = live_values(function);
    let mut changed = false;
    for block in function.blocks.clone() {
        changed |= drop_refined(function, block, &live);
        let mut insts = std::mem::take(&mut function[block].insts);
        let before = insts.len();
        insts.retain(|&inst| {
            let node = &function[inst];
            is_needed(&node.data) || node.results.iter().any(|result| live[result.index()])
        });
        changed |= insts.len() != before;
        function[block].insts = insts;
    }
    let entry = function.entry();
    changed | function.retain_all_params(|block, _, param| block == entry || live[param.index()])
}

/// Whether an instruction does something besides giving its result. Calls that only say what time it is or who runs do
/// not; one that looks into a map may keep an entry from growing old.
fn is_needed(data: &InstData) -> bool {
    match data {
        InstData::Call(callee, args) => !callee.is_steady() && (callee.changes_memory() || !args.is_empty()),
        data => data.has_effect(),
    }
}

/// Takes names away that a branch gives to its operands and nobody reads: both, or the second.
fn drop_refined(function: &mut Function, block: Block, live: &[bool]) -> bool {
    let Some(inst) = function.terminator(block) else { return false };
    let mut changed = false;
    while let Some(last) = function[inst].results.last() {
        if live[last.index()] {
            break;
        }
        function[inst].results.pop();
        changed = true;
    }
    changed
}

/// The values that something reads, by index.
pub fn live_values(function: &Function) -> Vec<bool> {
    let mut marks = Marks { live: vec![false; function.value_count()], work: Vec::new() };
    let mut incoming: Vec<Vec<(Inst, usize)>> = vec![Vec::new(); function.block_count()];
    for &block in &function.blocks {
        for &inst in &function[block].insts {
            let data = &function[inst].data;
            for (at, edge) in data.edges().enumerate() {
                incoming[edge.block.index()].push((inst, at));
            }
            if is_needed(data) {
                data.for_each_own_operand(|value| marks.mark(value));
            }
        }
    }
    while let Some(value) = marks.work.pop() {
        match function.def(value) {
            ValueDef::Result(inst, _) => function[inst].data.for_each_own_operand(|operand| marks.mark(operand)),
            ValueDef::Param(block, number) => {
                for &(inst, at) in &incoming[block.index()] {
                    let edge = function[inst].data.edges().nth(at);
                    if let Some(&argument) = edge.and_then(|edge| edge.args.get(number as usize)) {
                        marks.mark(argument);
                    }
                }
            }
        }
    }
    marks.live
}

struct Marks {
    live: Vec<bool>,
    work: Vec<Value>,
}

impl Marks {
    fn mark(&mut self, value: Value) {
        if !std::mem::replace(&mut self.live[value.index()], true) {
            self.work.push(value);
        }
    }
}
