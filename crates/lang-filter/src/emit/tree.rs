//! How a switch becomes jumps: a chain for few constants, a balanced search tree with short chains as leaves for many.

use std::sync::Arc;

use skep_isa::classic::JmpOp;

use crate::ranges::RangeSet;

/// Where a jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Goal {
    /// To the switch's way out with this number.
    Exit(usize),
    /// To another jump of the tree.
    Jump(usize),
}

/// One conditional jump.
#[derive(Debug, Clone, Copy)]
pub struct Jump {
    /// Condition.
    pub op: JmpOp,
    /// Constant operand, or the index register.
    pub operand: Option<u32>,
    /// Goal if it holds.
    pub yes: Goal,
    /// Goal if not.
    pub no: Goal,
}

/// Jumps, children before parents; the last one is where evaluation begins.
#[derive(Debug, Default)]
pub struct Tree {
    /// The jumps.
    pub jumps: Vec<Jump>,
}

/// Most tests that are made one after the other in the order in which the filter names them.
const CHAIN: usize = 6;

impl Tree {
    /// A single jump with a constant.
    pub fn single(op: JmpOp, operand: Option<u32>, yes: usize, no: usize) -> Self {
        Self { jumps: vec![Jump { op, operand, yes: Goal::Exit(yes), no: Goal::Exit(no) }] }
    }

    /// The jumps of a switch over `0..=max`: exit `i` for the set `sets[i]`, exit `sets.len()` for all else. `leaf` is the
    /// longest chain of comparisons at a leaf of the search tree: longer chains are smaller code and more steps.
    pub fn switch(sets: &[Arc<RangeSet>], max: u32, leaf: usize) -> Self {
        let mut tree = Self::default();
        let mut exits: Vec<(RangeSet, usize)> = sets.iter().enumerate().map(|(i, s)| ((**s).clone(), i)).collect();
        let named = sets.iter().fold(RangeSet::EMPTY, |all, s| if sets.len() <= 64 { all.union(s) } else { all });
        let tests: usize = exits.iter().map(|(s, _)| cost(s, max)).sum();
        if tests <= 2 * CHAIN && sets.len() <= 64 {
            exits.push((RangeSet::range(0, max).minus(&named), sets.len()));
            // What takes the most tests to describe is what remains when all else is excluded.
            let costly = (0..exits.len()).max_by_key(|&i| (cost(&exits[i].0, max), i)).unwrap_or(0);
            let (_, rest) = exits.remove(costly);
            if exits.iter().map(|(s, _)| cost(s, max)).sum::<usize>() <= CHAIN {
                tree.chain(&exits, Goal::Exit(rest), max);
                return tree;
            }
        }
        let mut spans: Vec<(u32, usize)> = Vec::new();
        for (i, set) in sets.iter().enumerate() {
            for &(lo, hi) in set.ranges() {
                spans.push((lo, i));
                if hi < max {
                    spans.push((hi + 1, sets.len()));
                }
            }
        }
        // A range that starts where another ends replaces the default's span there.
        spans.sort_by_key(|&(lo, exit)| (lo, exit == sets.len()));
        spans.dedup_by_key(|&mut (lo, _)| lo);
        if spans.first().is_none_or(|&(lo, _)| lo != 0) {
            spans.insert(0, (0, sets.len()));
        }
        spans.dedup_by_key(|&mut (_, exit)| exit);
        tree.search(&spans, max, leaf);
        tree
    }

    fn push(&mut self, op: JmpOp, k: u32, yes: Goal, no: Goal) -> Goal {
        if yes == no {
            return yes;
        }
        self.jumps.push(Jump { op, operand: Some(k), yes, no });
        Goal::Jump(self.jumps.len() - 1)
    }

    /// Tests the sets one after the other.
    fn chain(&mut self, exits: &[(RangeSet, usize)], rest: Goal, max: u32) -> Goal {
        let mut next = rest;
        for (set, exit) in exits.iter().rev() {
            let exit = Goal::Exit(*exit);
            for &(lo, hi) in set.ranges().iter().rev() {
                next = if lo == hi {
                    self.push(JmpOp::Eq, lo, exit, next)
                } else if hi >= max {
                    self.push(JmpOp::Ge, lo, exit, next)
                } else {
                    let upper = self.push(JmpOp::Gt, hi, next, exit);
                    if lo == 0 { upper } else { self.push(JmpOp::Ge, lo, upper, next) }
                };
            }
        }
        next
    }

    /// Searches among spans, each from its first number to the next one's.
    fn search(&mut self, spans: &[(u32, usize)], max: u32, leaf: usize) -> Goal {
        if let [(_, exit)] = spans {
            return Goal::Exit(*exit);
        }
        if let Some(goal) = self.leaf_chain(spans, max, leaf) {
            return goal;
        }
        // Splitting in front of a named span keeps pairs of "name, rest" together.
        let mut mid = spans.len() / 2;
        if mid > 1 && mid + 1 < spans.len() && spans[mid].1 == spans[0].1.max(spans[1].1) {
            mid += 1;
        }
        let below = self.search(&spans[..mid], spans[mid].0 - 1, leaf);
        let above = self.search(&spans[mid..], max, leaf);
        self.push(JmpOp::Ge, spans[mid].0, above, below)
    }

    /// A few numbers or ranges among one other exit: tested one after the other.
    fn leaf_chain(&mut self, spans: &[(u32, usize)], max: u32, leaf: usize) -> Option<Goal> {
        if spans.len() > 2 * leaf + 1 {
            return None;
        }
        let end = |i: usize| spans.get(i + 1).map_or(max, |&(lo, _)| lo - 1);
        let exits: Vec<usize> = spans.iter().map(|&(_, exit)| exit).collect();
        // What stands most often in between is what remains.
        let rest = exits.iter().copied().max_by_key(|e| exits.iter().filter(|f| *f == e).count())?;
        let low = spans[0].0;
        let named: Vec<(RangeSet, usize)> = (0..spans.len())
            .filter(|&i| spans[i].1 != rest)
            .map(|i| {
                // The bounds of this part of the tree are known: what touches them needs one test less.
                let lo = if spans[i].0 == low { 0 } else { spans[i].0 };
                (RangeSet::range(lo, end(i)), spans[i].1)
            })
            .collect();
        let tests: usize = named.iter().map(|(set, _)| cost(set, max)).sum();
        (tests <= leaf).then(|| self.chain(&named, Goal::Exit(rest), max))
    }
}

/// How many tests a chain needs for `set`.
fn cost(set: &RangeSet, max: u32) -> usize {
    set.ranges().iter().map(|&(lo, hi)| if lo == hi || lo == 0 || hi >= max { 1 } else { 2 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(tree: &Tree, fallback: usize, v: u32) -> (usize, usize) {
        let Some(mut at) = tree.jumps.len().checked_sub(1) else { return (fallback, 0) };
        for steps in 1..10_000 {
            let jump = tree.jumps[at];
            let goal = if jump.op.eval(v, jump.operand.unwrap_or(0)) { jump.yes } else { jump.no };
            match goal {
                Goal::Exit(i) => return (i, steps),
                Goal::Jump(next) => {
                    assert!(next < at);
                    at = next;
                }
            }
        }
        panic!("no exit");
    }

    #[test]
    fn trees_decide_membership() {
        for (count, step, width) in [(1, 10, 1), (3, 10, 4), (6, 1, 1), (7, 3, 1), (40, 5, 1), (40, 5, 3), (500, 7, 2)]
        {
            for exits in [1, 2, 3] {
                let sets: Vec<Arc<RangeSet>> = (0..exits)
                    .map(|e| {
                        let ranges = (0..count).filter(|i| i % exits == e).map(|i| (i * step, i * step + width - 1));
                        Arc::new(RangeSet::from_ranges(ranges.collect()))
                    })
                    .filter(|s| !s.is_empty())
                    .collect();
                for leaf in [1, 4, 32] {
                    let tree = Tree::switch(&sets, 0xffff, leaf);
                    for v in (0..count * step + 20).chain([0xfffe, 0xffff]) {
                        let want = sets.iter().position(|s| s.contains(v)).unwrap_or(sets.len());
                        let (got, steps) = run(&tree, sets.len(), v);
                        assert_eq!(got, want, "{v} in {sets:?}");
                        assert!(steps <= 14 + leaf, "{steps} steps for {count} ranges");
                    }
                }
            }
        }
    }
}
