//! The dominator tree, by the algorithm of Cooper, Harvey and Kennedy ("A Simple, Fast Dominance Algorithm", 2001).

use super::reverse_postorder;
use crate::entity::{Block, Entity};
use crate::function::Function;

/// Which blocks stand on every way to which others.
#[derive(Debug, Clone)]
pub struct Dominators {
    order: Vec<Block>,
    /// For each block its place in the order.
    number: Vec<Option<usize>>,
    /// For each place that of the immediate dominator; its own for the entry.
    parent: Vec<usize>,
    /// For each place when the walk through the tree enters and leaves it.
    span: Vec<(usize, usize)>,
}

impl Dominators {
    /// Those of a function.
    pub fn new(function: &Function) -> Self {
        let order = reverse_postorder(function);
        let mut number = vec![None; function.block_count()];
        for (at, block) in order.iter().enumerate() {
            number[block.index()] = Some(at);
        }
        let predecessors = function.predecessors();
        let predecessors: Vec<Vec<usize>> = order
            .iter()
            .map(|block| predecessors[block.index()].iter().filter_map(|block| number[block.index()]).collect())
            .collect();
        let parent = parents(&predecessors);
        let span = spans(&parent);
        Self { order, number, parent, span }
    }

    /// The blocks that can be reached, in reverse postorder: a block stands behind its dominators.
    pub fn order(&self) -> &[Block] {
        &self.order
    }

    /// The place of a block in the order; `None` if it cannot be reached.
    pub fn place(&self, block: Block) -> Option<usize> {
        self.number[block.index()]
    }

    /// Whether a block can be reached from the entry.
    pub fn is_reachable(&self, block: Block) -> bool {
        self.number[block.index()].is_some()
    }

    /// The closest other block that stands on every way to a block; `None` for the entry and for blocks that cannot be
    /// reached.
    pub fn immediate(&self, block: Block) -> Option<Block> {
        let at = self.number[block.index()]?;
        (at != 0).then(|| self.order[self.parent[at]])
    }

    /// Whether `above` stands on every way from the entry to `below`; a block dominates itself. No if one of them cannot
    /// be reached.
    pub fn dominates(&self, above: Block, below: Block) -> bool {
        let (Some(above), Some(below)) = (self.number[above.index()], self.number[below.index()]) else { return false };
        let (outer, inner) = (self.span[above], self.span[below]);
        outer.0 <= inner.0 && inner.1 <= outer.1
    }

    /// For each block ever made those whose immediate dominator it is, in reverse postorder.
    pub fn children(&self) -> Vec<Vec<Block>> {
        let mut children = vec![Vec::new(); self.number.len()];
        for (at, &parent) in self.parent.iter().enumerate().skip(1) {
            children[self.order[parent].index()].push(self.order[at]);
        }
        children
    }
}

/// The immediate dominators, by places in reverse postorder.
fn parents(predecessors: &[Vec<usize>]) -> Vec<usize> {
    let mut parent: Vec<Option<usize>> = vec![None; predecessors.len()];
    if let Some(entry) = parent.first_mut() {
        *entry = Some(0);
    }
    let mut changed = true;
    while changed {
        changed = false;
        for at in 1..parent.len() {
            let known = predecessors[at].iter().copied().filter(|&before| parent[before].is_some());
            let new = known.reduce(|a, b| meet(&parent, a, b));
            changed |= new != parent[at];
            parent[at] = new;
        }
    }
    parent.into_iter().map(|parent| parent.unwrap_or(0)).collect()
}

/// The closest common dominator. A dominator has a smaller place, so the greater one is followed upwards.
fn meet(parent: &[Option<usize>], mut a: usize, mut b: usize) -> usize {
    while a != b {
        let greater = if a > b { &mut a } else { &mut b };
        *greater = parent[*greater].unwrap_or(0);
    }
    a
}

/// When a walk through the tree enters and leaves each place.
fn spans(parent: &[usize]) -> Vec<(usize, usize)> {
    let mut children = vec![Vec::new(); parent.len()];
    for (at, &above) in parent.iter().enumerate().skip(1) {
        children[above].push(at);
    }
    let mut span = vec![(0, 0); parent.len()];
    let mut time = 0;
    let mut stack = if parent.is_empty() { Vec::new() } else { vec![(0, 0)] };
    while let Some((at, done)) = stack.last_mut() {
        if *done == 0 {
            span[*at].0 = time;
            time += 1;
        }
        match children[*at].get(*done) {
            Some(&child) => {
                *done += 1;
                stack.push((child, 0));
            }
            None => {
                span[*at].1 = time;
                stack.pop();
            }
        }
    }
    span
}
