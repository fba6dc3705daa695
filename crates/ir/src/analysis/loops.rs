//! Natural loops.

use super::Dominators;
use crate::entity::{Block, Entity};
use crate::function::Function;

/// A natural loop: a header that dominates all of it, and the blocks from which the header is reached again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loop {
    /// The block through which the loop is entered.
    pub header: Block,
    /// The blocks with an edge back to the header, each once, in reverse postorder.
    pub latches: Vec<Block>,
    /// All blocks of the loop in reverse postorder, the header first.
    pub blocks: Vec<Block>,
    /// The loop around it, as an index into [`Loops::all`].
    pub parent: Option<usize>,
}

/// The natural loops of a function.
#[derive(Debug, Clone)]
pub struct Loops {
    /// The loops in reverse postorder of their headers: outer loops in front of those in them. Loops with one header are
    /// one loop.
    pub all: Vec<Loop>,
    innermost: Vec<Option<usize>>,
    irreducible: bool,
}

impl Loops {
    /// Those of a function.
    pub fn new(function: &Function, dominators: &Dominators) -> Self {
        let predecessors = function.predecessors();
        let order = dominators.order();
        let mut place = vec![usize::MAX; function.block_count()];
        for (at, block) in order.iter().enumerate() {
            place[block.index()] = at;
        }
        let mut loops = Self { all: Vec::new(), innermost: vec![None; function.block_count()], irreducible: false };
        for &header in order {
            let mut latches: Vec<Block> = Vec::new();
            for &before in &predecessors[header.index()] {
                // An edge against the order is a back edge, or it leads into the middle of a loop.
                if dominators.dominates(header, before) {
                    latches.push(before);
                } else if dominators.is_reachable(before) && place[before.index()] >= place[header.index()] {
                    loops.irreducible = true;
                }
            }
            latches.sort_by_key(|block| place[block.index()]);
            latches.dedup();
            if !latches.is_empty() {
                let mut blocks = body(header, &latches, &predecessors, dominators);
                blocks.sort_by_key(|block| place[block.index()]);
                loops.add(Loop { header, latches, blocks, parent: None });
            }
        }
        loops
    }

    fn add(&mut self, mut new: Loop) {
        new.parent = self.innermost[new.header.index()];
        let at = self.all.len();
        new.blocks.iter().for_each(|block| self.innermost[block.index()] = Some(at));
        self.all.push(new);
    }

    /// The innermost loop that a block belongs to, as an index into [`all`](Self::all).
    pub fn innermost(&self, block: Block) -> Option<usize> {
        self.innermost[block.index()]
    }

    /// How many loops a block belongs to.
    pub fn depth(&self, block: Block) -> usize {
        std::iter::successors(self.innermost(block), |&at| self.all[at].parent).count()
    }

    /// Whether some cycle is entered at more than one block, so that not every cycle is in [`all`](Self::all).
    pub const fn is_irreducible(&self) -> bool {
        self.irreducible
    }
}

/// The blocks from which a latch is reached without passing the header, and the header.
fn body(header: Block, latches: &[Block], predecessors: &[Vec<Block>], dominators: &Dominators) -> Vec<Block> {
    let mut inside = vec![false; predecessors.len()];
    inside[header.index()] = true;
    let mut blocks = vec![header];
    let mut stack = latches.to_vec();
    while let Some(block) = stack.pop() {
        if dominators.is_reachable(block) && !std::mem::replace(&mut inside[block.index()], true) {
            blocks.push(block);
            stack.extend(&predecessors[block.index()]);
        }
    }
    blocks
}
