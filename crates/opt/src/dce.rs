//! Removes instructions and block parameters that nothing reads.
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
            node.data.has_effect() || node.results.iter().any(|result| live[result.index()])
        });
        changed |= insts.len() != before;
        function[block].insts = insts;
    }
    let entry = function.entry();
    for block in function.blocks.clone() {
        if block != entry && function[block].params.iter().any(|param| !live[param.index()]) {
            function.retain_params(block, |_, param| live[param.index()]);
            changed = true;
        }
    }
    changed
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
            for (at, edge) in data.edges().into_iter().enumerate() {
                incoming[edge.block.index()].push((inst, at));
            }
            if data.has_effect() {
                without_edges(data, |value| marks.mark(value));
            }
        }
    }
    while let Some(value) = marks.work.pop() {
        match function.def(value) {
            ValueDef::Result(inst, _) => without_edges(&function[inst].data, |operand| marks.mark(operand)),
            ValueDef::Param(block, number) => {
                for &(inst, at) in &incoming[block.index()] {
                    if let Some(&argument) = function[inst].data.edges()[at].args.get(number as usize) {
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

/// The operands without the arguments of edges.
fn without_edges(data: &InstData, visit: impl FnMut(Value)) {
    let mut copy = data.clone();
    for edge in copy.edges_mut() {
        edge.args.clear();
    }
    copy.for_each_operand(visit);
}
