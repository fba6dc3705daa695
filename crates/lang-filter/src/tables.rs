//! Large switches of a 64-bit program become look-ups in a hash map.
//!
//! A switch over many numbers is one look-up. Nested switches, such as the four words of many IPv6 addresses, are one
//! look-up per level: the answer of a level is the state that the next level's key contains.

use crate::hash::FastMap;
use std::sync::Arc;

use crate::graph::{Graph, Node, NodeId};
use crate::ranges::RangeSet;
use crate::value::{TableId, ValId, Values, Var};

/// From how many numbers on a look-up is made.
const LEAST: usize = 64;
/// Ranges longer than this are not spelled out.
const LONGEST_RANGE: u32 = 256;
/// Most different ways on from one table; they are told apart by comparisons.
const MOST_FINALS: usize = 16;
/// Most levels: an IPv6 address has four words.
const MOST_LEVELS: usize = 8;

/// One table: a state and a number to a state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The entries. No answer is 0, and no pair occurs twice.
    pub entries: Vec<((u32, u32), u32)>,
}

/// Replaces large switches; returns the tables. Equal tables are one.
pub fn use_tables(values: &mut Values, graph: &mut Graph, vars: &mut u8) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut state: Option<Var> = None;
    graph.rewrite(values, |graph, values, node| {
        let Node::Switch { value, default, .. } = node else { return None };
        let trie = Trie::of(graph, node)?;
        let table = tables.iter().position(|t| *t == trie.table).unwrap_or_else(|| {
            tables.push(trie.table.clone());
            tables.len() - 1
        });
        let table = TableId(u32::try_from(table).unwrap_or(u32::MAX));
        let word = *state.get_or_insert_with(|| {
            *vars += 1;
            Var(*vars - 1)
        });
        Some(trie.nodes(graph, values, (*value, *default), table, word))
    });
    tables
}

/// Nested switches as a table.
struct Trie {
    /// The values of the levels after the first.
    deeper: Vec<ValId>,
    table: Table,
    /// Where the last level's answers lead: answer `i + 1` to `finals[i]`.
    finals: Vec<NodeId>,
}

impl Trie {
    fn of(graph: &Graph, root: &Node) -> Option<Self> {
        let Node::Switch { default, .. } = root else { return None };
        let mut level: Vec<(u32, Node)> = vec![(0, root.clone())];
        let mut deeper = Vec::new();
        let mut table = Table::default();
        let mut next_state = 1u32;
        loop {
            let mut targets: Vec<NodeId> = Vec::new();
            let mut index: FastMap<NodeId, u32> = FastMap::default();
            let from = table.entries.len();
            for (state, node) in &level {
                let Node::Switch { cases, .. } = node else { return None };
                for (set, target) in cases.iter() {
                    let number = *index.entry(*target).or_insert_with(|| {
                        targets.push(*target);
                        u32::try_from(targets.len()).unwrap_or(u32::MAX)
                    });
                    for &(lo, hi) in set.ranges() {
                        if hi - lo >= LONGEST_RANGE {
                            return None;
                        }
                        table.entries.extend((lo..=hi).map(|n| ((*state, n), number)));
                    }
                }
            }
            // Another level follows if all ways on are switches on one value that give up where this one does.
            let inner = |t: &NodeId| match graph.get(*t) {
                Node::Switch { value, default: d, .. } if d == default => Some(*value),
                _ => None,
            };
            let value = targets.first().and_then(inner);
            let uniform = value.is_some() && targets.iter().all(|t| inner(t) == value);
            if let (Some(value), true) = (value, uniform)
                && deeper.len() + 1 < MOST_LEVELS
                && targets.len() > 1
            {
                for entry in &mut table.entries[from..] {
                    entry.1 += next_state - 1;
                }
                level = targets.iter().zip(next_state..).map(|(t, state)| (state, graph.get(*t).clone())).collect();
                next_state += u32::try_from(targets.len()).ok()?;
                deeper.push(value);
                continue;
            }
            let enough = table.entries.len() >= LEAST && targets.len() <= MOST_FINALS;
            return enough.then_some(Self { deeper, table, finals: targets });
        }
    }

    /// The nodes that ask the table level by level.
    fn nodes(
        &self,
        graph: &mut Graph,
        values: &mut Values,
        (first, default): (ValId, NodeId),
        table: TableId,
        word: Var,
    ) -> NodeId {
        let levels: Vec<ValId> = std::iter::once(first).chain(self.deeper.iter().copied()).collect();
        let state = values.var(word);
        let asked = |values: &mut Values, level: usize| {
            let before = (level > 0).then_some(state);
            values.table(table, before, levels[level])
        };
        let last = asked(values, levels.len() - 1);
        let cases =
            self.finals.iter().zip(1..).map(|(target, number)| (Arc::new(RangeSet::single(number)), *target)).collect();
        let mut node = graph.switch(values, last, cases, default);
        for level in (0..levels.len() - 1).rev() {
            let miss = vec![(Arc::new(RangeSet::single(0)), default)];
            node = graph.switch(values, state, miss, node);
            let answer = asked(values, level);
            node = graph.set(word, answer, node);
        }
        node
    }
}
