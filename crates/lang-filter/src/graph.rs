//! The decision graph: an acyclic graph of tests that every path walks from the root to a verdict.
//!
//! Nodes are interned, so that equal continuations are one node. Building a graph from a formula is the last step that
//! knows about `and` and `or`; everything after it redirects edges.

use crate::hash::FastMap;
use std::sync::Arc;

use skep_isa::classic::{AluOp, JmpOp};

use crate::formula::{FId, Formula, Formulas};
use crate::ranges::RangeSet;
use crate::value::{Val, ValId, Values, Var};

/// Index of a node. A node's successors have smaller indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// One way out of a [`Node::Switch`].
pub type Case = (Arc<RangeSet>, NodeId);

/// A node of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    /// The verdict.
    Return(bool),
    /// To the case whose set holds the value, else to the default. The sets are disjoint; their order is the order in
    /// which the filter names them.
    Switch { value: ValId, cases: Arc<[Case]>, default: NodeId },
    /// Compares two values.
    Compare { op: JmpOp, left: ValId, right: ValId, yes: NodeId, no: NodeId },
    /// Evaluates a value only because that may end the program.
    Need { value: ValId, next: NodeId },
    /// Sets a memory word.
    Set { var: Var, value: ValId, next: NodeId },
}

impl Node {
    /// Calls `f` for every value that the node evaluates.
    fn each_value(&self, mut f: impl FnMut(ValId)) {
        match self {
            Self::Return(_) => {}
            Self::Switch { value, .. } | Self::Need { value, .. } | Self::Set { value, .. } => f(*value),
            Self::Compare { left, right, .. } => {
                f(*left);
                f(*right);
            }
        }
    }
}

/// Nodes of one compilation.
#[derive(Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    ids: FastMap<Node, NodeId>,
    /// Where evaluation begins.
    pub root: NodeId,
}

/// Most cases of a child that are merged into its parent when both switch on one value.
const MERGE_LIMIT: usize = 64;

impl Default for Graph {
    fn default() -> Self {
        let mut graph = Self { nodes: Vec::new(), ids: FastMap::default(), root: Self::REJECT };
        graph.intern(Node::Return(false));
        graph.intern(Node::Return(true));
        graph
    }
}

impl Graph {
    /// The verdict "reject".
    pub const REJECT: NodeId = NodeId(0);
    /// The verdict "accept".
    pub const ACCEPT: NodeId = NodeId(1);

    /// The node of `id`.
    pub fn get(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }
    /// How many nodes there are, reachable or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    fn intern(&mut self, node: Node) -> NodeId {
        if let Some(&id) = self.ids.get(&node) {
            return id;
        }
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(node.clone());
        self.ids.insert(node, id);
        id
    }

    /// Evaluates `value`, then goes on to `next`.
    pub fn need(&mut self, values: &Values, value: ValId, next: NodeId) -> NodeId {
        if next == Self::REJECT || !values.can_fail(value, 0) {
            return next;
        }
        match values.get(value) {
            Val::Bin(op, a, b)
                if !matches!(op, AluOp::Div | AluOp::Mod) || values.as_const(b).is_some_and(|k| k != 0) =>
            {
                let next = self.need(values, b, next);
                self.need(values, a, next)
            }
            Val::Neg(a) => self.need(values, a, next),
            _ if self.evaluates_as_much(values, next, value) => next,
            _ => self.intern(Node::Need { value, next }),
        }
    }

    /// Whether the node `next` evaluates something first that fails wherever `value` does.
    fn evaluates_as_much(&self, values: &Values, next: NodeId, value: ValId) -> bool {
        let first = match self.get(next) {
            Node::Switch { value, .. } | Node::Need { value, .. } | Node::Set { value, .. } => *value,
            Node::Compare { left, .. } => *left,
            Node::Return(_) => return false,
        };
        if first == value {
            return true;
        }
        let Val::Abs(size, k) = values.get(value) else { return false };
        let mut covered = false;
        values.walk(first, &mut |_, val| {
            if let Val::Abs(s, j) = val
                && j < skep_isa::classic::SKF_AD_OFF
            {
                covered |= j.saturating_add(s.bytes()) >= k.saturating_add(size.bytes());
            }
        });
        covered
    }

    /// Sets a memory word, then goes on to `next`.
    pub fn set(&mut self, var: Var, value: ValId, next: NodeId) -> NodeId {
        if next == Self::REJECT { next } else { self.intern(Node::Set { var, value, next }) }
    }

    /// Compares two values.
    pub fn compare(
        &mut self,
        values: &Values,
        op: JmpOp,
        (left, right): (ValId, ValId),
        (yes, no): (NodeId, NodeId),
    ) -> NodeId {
        if yes == no {
            let next = self.need(values, right, yes);
            return self.need(values, left, next);
        }
        self.intern(Node::Compare { op, left, right, yes, no })
    }

    /// Goes to the case that holds `value`. Cases and default may be switches on the same value: what is known then
    /// decides or narrows them.
    pub fn switch(&mut self, values: &Values, value: ValId, cases: Vec<Case>, default: NodeId) -> NodeId {
        let universe = RangeSet::range(0, values.max(value));
        let mut merged: Vec<(RangeSet, NodeId)> = Vec::with_capacity(cases.len());
        let named = cases.iter().flat_map(|(set, _)| set.ranges()).copied().collect();
        let rest = universe.minus(&RangeSet::from_ranges(named));
        for (set, target) in cases {
            self.add_case(value, set.intersect(&universe), target, &mut merged);
        }
        if rest.is_empty() {
            // The last case becomes the default: it needs no test.
            let last = merged.pop().map_or(default, |(_, target)| target);
            return self.finish_switch(values, value, merged, last);
        }
        let mut tail = Vec::new();
        self.add_case(value, rest, default, &mut tail);
        // The default is what remains; of several pieces, the one that needs the most tests to describe.
        let widest = (0..tail.len()).max_by_key(|&i| tail[i].0.ranges().len()).unwrap_or(0);
        let (_, default) = tail.remove(widest);
        merged.extend(tail);
        self.finish_switch(values, value, merged, default)
    }

    fn add_case(&self, value: ValId, set: RangeSet, target: NodeId, out: &mut Vec<(RangeSet, NodeId)>) {
        if set.is_empty() {
            return;
        }
        if let Node::Switch { value: inner, cases, default } = self.get(target)
            && *inner == value
        {
            if let Some((_, only)) = cases.iter().find(|(s, _)| set.is_subset(s)) {
                out.push((set, *only));
                return;
            }
            let simple =
                set.ranges().len() <= MERGE_LIMIT || cases.iter().all(|(s, _)| s.ranges().len() <= MERGE_LIMIT);
            if simple && cases.len() <= MERGE_LIMIT {
                let mut rest = set.clone();
                for (s, t) in cases.iter() {
                    let part = set.intersect(s);
                    if !part.is_empty() {
                        rest = rest.minus(&part);
                        out.push((part, *t));
                    }
                }
                if !rest.is_empty() {
                    out.push((rest, *default));
                }
                return;
            }
            if cases.iter().all(|(s, _)| set.is_disjoint(s)) {
                out.push((set, *default));
                return;
            }
        }
        out.push((set, target));
    }

    fn finish_switch(
        &mut self,
        values: &Values,
        value: ValId,
        merged: Vec<(RangeSet, NodeId)>,
        default: NodeId,
    ) -> NodeId {
        let mut cases: Vec<(Vec<(u32, u32)>, NodeId)> = Vec::with_capacity(merged.len());
        let mut index: FastMap<NodeId, usize> = FastMap::default();
        for (set, target) in merged {
            if target == default {
                continue;
            }
            let case = *index.entry(target).or_insert_with(|| {
                cases.push((Vec::new(), target));
                cases.len() - 1
            });
            cases[case].0.extend_from_slice(set.ranges());
        }
        if cases.is_empty() {
            return self.need(values, value, default);
        }
        let cases = cases.into_iter().map(|(s, t)| (Arc::new(RangeSet::from_ranges(s)), t)).collect();
        self.intern(Node::Switch { value, cases, default })
    }

    /// The graph of a formula.
    pub fn build(values: &Values, formulas: &Formulas, formula: FId) -> Self {
        let mut graph = Self::default();
        graph.root = graph.add(values, formulas, formula, Self::ACCEPT, Self::REJECT);
        graph
    }

    /// Adds the decision of `formula`: to `yes` or to `no`. The first operand is a tail call, so that long chains to the
    /// left, which is how `a or b or c ...` nests, cost no stack.
    fn add(
        &mut self,
        values: &Values,
        formulas: &Formulas,
        mut formula: FId,
        mut yes: NodeId,
        mut no: NodeId,
    ) -> NodeId {
        loop {
            match formulas.get(formula) {
                Formula::True => return yes,
                Formula::False => return no,
                Formula::In(value, set) => return self.switch(values, *value, vec![(set.clone(), yes)], no),
                Formula::Cmp(op, left, right) => return self.compare(values, *op, (*left, *right), (yes, no)),
                Formula::Not(inner) => {
                    formula = *inner;
                    (yes, no) = (no, yes);
                }
                Formula::And(list) => {
                    for &f in list[1..].iter().rev() {
                        yes = self.add(values, formulas, f, yes, no);
                    }
                    formula = list[0];
                }
                Formula::Or(list) => {
                    for &f in list[1..].iter().rev() {
                        no = self.add(values, formulas, f, yes, no);
                    }
                    formula = list[0];
                }
                Formula::Switch(value, cases) => {
                    let cases =
                        cases.iter().map(|(set, f)| (set.clone(), self.add(values, formulas, *f, yes, no))).collect();
                    return self.switch(values, *value, cases, no);
                }
                Formula::Need(value) => return self.need(values, *value, yes),
                Formula::Set(var, value) => return self.set(*var, *value, yes),
            }
        }
    }

    /// Removes settings of memory words that nothing reads; their evaluation stays where it may end the program.
    pub fn drop_dead_sets(&mut self, values: &mut Values) {
        // The words that are read behind each node, itself included.
        let mut live: FastMap<NodeId, u16> = FastMap::default();
        self.rewrite(values, |graph, values, node| {
            let mut words = 0u16;
            let mut after = |next: &NodeId| words |= live.get(next).copied().unwrap_or(0);
            let mut replaced = None;
            match node {
                Node::Return(_) => {}
                Node::Switch { cases, default, .. } => {
                    cases.iter().for_each(|(_, target)| after(target));
                    after(default);
                }
                Node::Compare { yes, no, .. } => {
                    after(yes);
                    after(no);
                }
                Node::Need { next, .. } => after(next),
                Node::Set { var, value, next } => {
                    after(next);
                    if words & 1 << var.0 == 0 {
                        replaced = Some(graph.need(values, *value, *next));
                    }
                    words &= !(1 << var.0);
                }
            }
            node.each_value(|value| {
                values.walk(value, &mut |_, val| {
                    if let Val::Var(var) = val {
                        words |= 1 << var.0;
                    }
                });
            });
            let id = replaced.or_else(|| graph.ids.get(node).copied());
            if let Some(id) = id {
                live.insert(id, words);
            }
            replaced
        });
    }

    /// Switches whose ranges are all aligned blocks, such as networks of one prefix length, test the shifted value:
    /// blocks become single numbers, which take one comparison instead of two.
    pub fn shift_aligned_switches(&mut self, values: &mut Values) {
        /// From how many ranges on the shift pays.
        const LEAST: usize = 6;
        self.rewrite(values, |graph, values, node| {
            let Node::Switch { value, cases, default } = node else { return None };
            let ranges = || cases.iter().flat_map(|(s, _)| s.ranges());
            let ends = ranges().fold(0, |bits, &(lo, hi)| bits | lo | hi.wrapping_add(1));
            let shift = ends.trailing_zeros().min(31);
            if shift == 0 || ends == 0 || ranges().filter(|(lo, hi)| lo != hi).count() < LEAST {
                return None;
            }
            let shifted = values.bin_k(AluOp::Rsh, *value, shift);
            let cases = cases
                .iter()
                .map(|(set, target)| {
                    let ranges = set.ranges().iter().map(|&(lo, hi)| (lo >> shift, hi >> shift)).collect();
                    (Arc::new(RangeSet::from_ranges(ranges)), *target)
                })
                .collect();
            Some(graph.switch(values, shifted, cases, *default))
        });
    }

    /// Rebuilds the graph from its end. `replace` sees each node with its new successors and may give another one.
    pub fn rewrite(
        &mut self,
        values: &mut Values,
        mut replace: impl FnMut(&mut Self, &mut Values, &Node) -> Option<NodeId>,
    ) {
        let mut renamed: FastMap<NodeId, NodeId> = FastMap::default();
        for id in self.postorder() {
            let to = |next: &NodeId| renamed.get(next).copied().unwrap_or(*next);
            let new = match self.get(id).clone() {
                Node::Return(_) => id,
                Node::Switch { value, cases, default } => {
                    let cases = cases.iter().map(|(s, t)| (s.clone(), to(t))).collect();
                    let default = to(&default);
                    self.switch(values, value, cases, default)
                }
                Node::Compare { op, left, right, yes, no } => {
                    let targets = (to(&yes), to(&no));
                    self.compare(values, op, (left, right), targets)
                }
                Node::Need { value, next } => {
                    let next = to(&next);
                    self.need(values, value, next)
                }
                Node::Set { var, value, next } => {
                    let next = to(&next);
                    self.set(var, value, next)
                }
            };
            let node = self.get(new).clone();
            renamed.insert(id, replace(self, values, &node).unwrap_or(new));
        }
        self.root = renamed.get(&self.root).copied().unwrap_or(self.root);
    }

    /// The nodes that can be reached, successors first.
    pub fn postorder(&self) -> Vec<NodeId> {
        let mut seen = vec![false; self.nodes.len()];
        let mut order = Vec::new();
        let mut stack = vec![(self.root, false)];
        while let Some((id, done)) = stack.pop() {
            if done {
                order.push(id);
                continue;
            }
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            stack.push((id, true));
            // The last one pushed is visited first and so comes to stand farthest away.
            self.each_successor(id, |next| {
                if !seen[next.0 as usize] {
                    stack.push((next, false));
                }
            });
        }
        order
    }

    /// Calls `f` for every successor of `id`, in the order in which they are tested.
    pub fn each_successor(&self, id: NodeId, mut f: impl FnMut(NodeId)) {
        match self.get(id) {
            Node::Return(_) => {}
            Node::Switch { cases, default, .. } => {
                for (_, target) in cases.iter() {
                    f(*target);
                }
                f(*default);
            }
            Node::Compare { yes, no, .. } => {
                f(*yes);
                f(*no);
            }
            Node::Need { next, .. } | Node::Set { next, .. } => f(*next),
        }
    }
}
