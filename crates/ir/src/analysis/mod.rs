//! What passes ask about a function: order of blocks, dominators, loops, uses, liveness, places in
//! the frame.
//!
//! Each is computed from the function as it is and not kept up to date. Blocks that cannot be reached from the entry
//! have no dominator and belong to no loop.

mod dominators;
mod liveness;
mod loops;
mod places;

pub use dominators::Dominators;
pub use liveness::Liveness;
pub use loops::{Loop, Loops};
pub use places::Places;

use crate::entity::{Block, Entity, Value};
use crate::function::{Function, ValueDef};

/// The blocks that can be reached from the entry, each in front of those that it leads to, except along back edges.
pub fn reverse_postorder(function: &Function) -> Vec<Block> {
    let mut seen = vec![false; function.block_count()];
    let mut order = Vec::new();
    let Some(&entry) = function.blocks.first() else { return order };
    // A block with its successors that were not looked at yet, the last first.
    let mut stack = vec![(entry, function.successors(entry))];
    seen[entry.index()] = true;
    while let Some((block, rest)) = stack.last_mut() {
        let Some(next) = rest.next_back() else {
            order.push(*block);
            stack.pop();
            continue;
        };
        if !std::mem::replace(&mut seen[next.index()], true) {
            stack.push((next, function.successors(next)));
        }
    }
    order.reverse();
    order
}

/// How often each value is read, by the instructions of all blocks of the function. Indexed by value.
pub fn use_counts(function: &Function) -> Vec<u32> {
    let mut counts = vec![0u32; function.value_count()];
    for &block in &function.blocks {
        for &inst in &function[block].insts {
            function[inst].data.for_each_operand(|value| counts[value.index()] += 1);
        }
    }
    counts
}

/// For each instruction ever made the block it stands in. Indexed by instruction.
pub fn inst_blocks(function: &Function) -> Vec<Option<Block>> {
    let mut blocks = vec![None; function.inst_count()];
    for &block in &function.blocks {
        for &inst in &function[block].insts {
            blocks[inst.index()] = Some(block);
        }
    }
    blocks
}

/// The block that a value is defined in, `None` if its instruction stands in no block. `blocks` comes from
/// [`inst_blocks`].
pub fn def_block(function: &Function, blocks: &[Option<Block>], value: Value) -> Option<Block> {
    match function.def(value) {
        ValueDef::Param(block, _) => Some(block),
        ValueDef::Result(inst, _) => blocks[inst.index()],
    }
}
