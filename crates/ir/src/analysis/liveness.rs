//! Which values are still going to be read where.

use super::{def_block, inst_blocks, reverse_postorder};
use crate::entity::{Block, Entity, Value};
use crate::function::Function;

/// The values that are live at the start of each block: defined before it and read in it or behind it. Parameters of the
/// block are not among them.
#[derive(Debug, Clone)]
pub struct Liveness {
    live_in: Vec<Vec<Value>>,
}

impl Liveness {
    /// Of a function.
    pub fn new(function: &Function) -> Self {
        let blocks = inst_blocks(function);
        let predecessors = function.predecessors();
        let mut live_in: Vec<Vec<Value>> = vec![Vec::new(); function.block_count()];
        // The last value that each block was marked for: every (block, value) is visited once.
        let mut marked = vec![None; function.block_count()];
        let mut uses: Vec<Vec<Block>> = vec![Vec::new(); function.value_count()];
        for &block in &reverse_postorder(function) {
            for &inst in &function[block].insts {
                function[inst].data.for_each_operand(|value| uses[value.index()].push(block));
            }
        }
        for (index, used_in) in uses.into_iter().enumerate() {
            let value = Value::new(index);
            let mut stack = used_in;
            if stack.is_empty() {
                continue;
            }
            let home = def_block(function, &blocks, value);
            while let Some(block) = stack.pop() {
                if Some(block) != home && marked[block.index()] != Some(value) {
                    marked[block.index()] = Some(value);
                    live_in[block.index()].push(value);
                    stack.extend(&predecessors[block.index()]);
                }
            }
        }
        Self { live_in }
    }

    /// The values that are live at the start of a block, in the order of their numbers.
    pub fn live_in(&self, block: Block) -> &[Value] {
        &self.live_in[block.index()]
    }

    /// The values that are live behind a block: those that its successors need, without their parameters. In the order of
    /// their numbers.
    pub fn live_out(&self, function: &Function, block: Block) -> Vec<Value> {
        let mut values: Vec<Value> = function.successors(block).flat_map(|next| self.live_in(next)).copied().collect();
        values.sort_unstable();
        values.dedup();
        values
    }
}
