//! Branch threading: edges skip tests whose outcome is known on the way there.
//!
//! Each pass walks the graph from the root with the facts that hold on every path to a node, redirects each edge past
//! the nodes that those facts and the edge's own outcome decide, and rebuilds the graph. Passes run until nothing
//! changes. A fact never survives from a path that does not lead to the node, so no verdict can change; evaluation that
//! may end the program is kept as a [`Node::Need`] unless it is known to succeed.

use std::sync::Arc;

use skep_isa::classic::{JmpOp, SKF_AD_OFF};

use crate::graph::{Graph, Node, NodeId};
use crate::ranges::RangeSet;
use crate::value::{Val, ValId, Values, Var};

/// Most values about which one node's facts speak. Older ones are forgotten.
const MAX_VALUES: usize = 24;
/// Most ranges in the set of one fact; a more detailed set is not worth its copying.
const MAX_RANGES: usize = 48;
/// Most passes. Ordinary filters are done after three.
const MAX_PASSES: usize = 12;
/// Longest walk of one edge, to bound the work on enormous graphs.
const MAX_STEPS: usize = 100_000;

/// What is known at a node.
#[derive(Debug, Clone, Default, PartialEq)]
struct Facts {
    /// Captured bytes known to exist: a load at a fixed offset below has succeeded.
    len: u32,
    /// Values known to be evaluable.
    evaluated: Vec<ValId>,
    /// Which numbers a value can be.
    known: Vec<(ValId, Arc<RangeSet>)>,
}

impl Facts {
    fn range(&self, values: &Values, value: ValId) -> Option<Arc<RangeSet>> {
        if let Some((_, set)) = self.known.iter().find(|(v, _)| *v == value) {
            return Some(set.clone());
        }
        match values.get(value) {
            Val::Const(k) => Some(Arc::new(RangeSet::single(k))),
            Val::Bin(op, a, b) => {
                let x = self.range(values, a)?.as_single()?;
                let y = self.range(values, b)?.as_single()?;
                Some(Arc::new(RangeSet::single(op.eval(x, y)?)))
            }
            Val::Neg(a) => Some(Arc::new(RangeSet::single(self.range(values, a)?.as_single()?.wrapping_neg()))),
            _ => None,
        }
    }

    /// Whether evaluating `value` is known to succeed.
    fn safe(&self, values: &Values, value: ValId) -> bool {
        if !values.can_fail(value, self.len) || self.evaluated.contains(&value) {
            return true;
        }
        match values.get(value) {
            Val::Bin(op, a, b) => {
                let divides = matches!(op, skep_isa::classic::AluOp::Div | skep_isa::classic::AluOp::Mod);
                let divisor_ok = !divides || self.range(values, b).is_some_and(|s| !s.contains(0));
                divisor_ok && self.safe(values, a) && self.safe(values, b)
            }
            Val::Neg(a) => self.safe(values, a),
            // A longer load from the same base succeeded, and nothing wraps around.
            Val::Ind(size, base, k) => self.evaluated.iter().any(|&done| match values.get(done) {
                Val::Ind(s, b, j) => {
                    b == base
                        && values.max(base) < SKF_AD_OFF
                        && u64::from(k) + u64::from(size.bytes()) <= u64::from(j) + u64::from(s.bytes())
                        && u64::from(values.max(base)) + u64::from(j) < u64::from(SKF_AD_OFF)
                }
                _ => false,
            }),
            _ => false,
        }
    }

    /// `value` has been evaluated.
    fn note_evaluated(&mut self, values: &Values, value: ValId) {
        let mut len = self.len;
        let mut list = std::mem::take(&mut self.evaluated);
        values.walk(value, &mut |id, val| match val {
            Val::Abs(size, k) if k < SKF_AD_OFF => len = len.max(k.saturating_add(size.bytes())),
            Val::Ind(..) | Val::Bin(skep_isa::classic::AluOp::Div | skep_isa::classic::AluOp::Mod, ..)
                if !list.contains(&id) =>
            {
                list.push(id);
            }
            _ => {}
        });
        if values.can_fail(value, len) && !list.contains(&value) {
            list.push(value);
        }
        if list.len() > MAX_VALUES {
            list.drain(..list.len() - MAX_VALUES);
        }
        self.len = len;
        self.evaluated = list;
    }

    /// `value` is a member of `set`.
    fn note_member(&mut self, value: ValId, set: RangeSet) {
        self.known.retain(|(v, _)| *v != value);
        if set.ranges().len() <= MAX_RANGES {
            self.known.push((value, Arc::new(set)));
            if self.known.len() > MAX_VALUES {
                self.known.remove(0);
            }
        }
    }

    /// `var` changes: facts about values that read it end.
    fn forget_var(&mut self, values: &Values, var: Var) {
        self.evaluated.retain(|&v| !values.reads_var(v, var));
        self.known.retain(|(v, _)| !values.reads_var(*v, var));
    }

    /// What holds whichever of two paths was taken.
    fn meet(&mut self, other: &Self) {
        self.len = self.len.min(other.len);
        self.evaluated.retain(|v| other.evaluated.contains(v));
        let known = std::mem::take(&mut self.known);
        self.known = known
            .into_iter()
            .filter_map(|(v, set)| {
                let (_, theirs) = other.known.iter().find(|(o, _)| *o == v)?;
                if Arc::ptr_eq(&set, theirs) || set == *theirs {
                    return Some((v, set));
                }
                let union = set.union(theirs);
                (union.ranges().len() <= MAX_RANGES && !union.is_full()).then(|| (v, Arc::new(union)))
            })
            .collect();
    }
}

/// Threads branches until nothing changes.
pub fn thread_branches(values: &Values, graph: &mut Graph) {
    for _ in 0..MAX_PASSES {
        let next = pass(values, graph);
        if next == graph.root {
            break;
        }
        graph.root = next;
    }
}

/// One pass; returns the new root in the same graph.
fn pass(values: &Values, graph: &mut Graph) -> NodeId {
    let order = graph.postorder();
    let mut facts: Vec<Option<Facts>> = vec![None; graph.len()];
    let mut edges: Vec<Vec<Edge>> = vec![Vec::new(); graph.len()];
    facts[graph.root.0 as usize] = Some(Facts::default());
    for &id in order.iter().rev() {
        // Nodes that every edge now skips have no facts and vanish with the rebuild.
        let Some(here) = facts[id.0 as usize].take() else { continue };
        let outgoing = out_edges(values, graph, id, &here);
        edges[id.0 as usize] = outgoing
            .into_iter()
            .map(|(label, target, known)| {
                let (target, needs, known) = resolve(values, graph, target, known);
                let slot = &mut facts[target.0 as usize];
                match slot {
                    Some(f) => f.meet(&known),
                    None => *slot = Some(known),
                }
                Edge { label, target, needs }
            })
            .collect();
    }
    rebuild(values, graph, &order, &edges)
}

/// An edge after redirection: values that must still be evaluated on it, and its target.
#[derive(Debug, Clone)]
struct Edge {
    label: Option<Arc<RangeSet>>,
    target: NodeId,
    needs: Vec<ValId>,
}

/// The edges out of a node that are possible under `here`, each with the facts that hold on it. Cases keep their set;
/// defaults and the edges of other nodes have none.
fn out_edges(values: &Values, graph: &Graph, id: NodeId, here: &Facts) -> Vec<(Option<Arc<RangeSet>>, NodeId, Facts)> {
    match graph.get(id) {
        Node::Return(_) => Vec::new(),
        Node::Switch { value, cases, default } => {
            let mut base = here.clone();
            base.note_evaluated(values, *value);
            let possible = match here.range(values, *value) {
                Some(set) => (*set).clone(),
                None => RangeSet::range(0, values.max(*value)),
            };
            let mut out = Vec::with_capacity(cases.len() + 1);
            for (set, target) in cases.iter() {
                let part = possible.intersect(set);
                if part.is_empty() {
                    continue;
                }
                let mut known = base.clone();
                known.note_member(*value, part);
                out.push((Some(set.clone()), *target, known));
            }
            let named = cases.iter().flat_map(|(set, _)| set.ranges()).copied().collect();
            let possible = possible.minus(&RangeSet::from_ranges(named));
            if possible.is_empty() {
                // No number is left for the default: the last possible case takes its place.
                if let Some(last) = out.last_mut() {
                    last.0 = None;
                }
            } else {
                base.note_member(*value, possible);
                out.push((None, *default, base));
            }
            out
        }
        Node::Compare { op, left, right, yes, no } => {
            let mut base = here.clone();
            base.note_evaluated(values, *left);
            base.note_evaluated(values, *right);
            match known_outcome(values, here, *op, *left, *right) {
                Some(true) => vec![(None, *yes, base.clone()), (None, *yes, base)],
                Some(false) => vec![(None, *no, base.clone()), (None, *no, base)],
                None => vec![(None, *yes, base.clone()), (None, *no, base)],
            }
        }
        Node::Need { value, next } => {
            let mut known = here.clone();
            known.note_evaluated(values, *value);
            vec![(None, *next, known)]
        }
        Node::Set { var, value, next } => {
            let mut known = here.clone();
            known.note_evaluated(values, *value);
            let set = known.range(values, *value);
            known.forget_var(values, *var);
            if let Some(set) = set
                && let Some(id) = values.find(Val::Var(*var))
            {
                known.note_member(id, (*set).clone());
            }
            vec![(None, *next, known)]
        }
    }
}

fn known_outcome(values: &Values, facts: &Facts, op: JmpOp, left: ValId, right: ValId) -> Option<bool> {
    let a = facts.range(values, left)?.as_single()?;
    let b = facts.range(values, right)?.as_single()?;
    Some(op.eval(a, b))
}

/// Follows decided nodes from `target`. Values whose evaluation is skipped but may end the program are returned.
fn resolve(values: &Values, graph: &Graph, mut target: NodeId, mut facts: Facts) -> (NodeId, Vec<ValId>, Facts) {
    let mut needs = Vec::new();
    for _ in 0..MAX_STEPS {
        let (next, evaluates) = match graph.get(target) {
            Node::Switch { value, cases, default } => {
                let Some(set) = facts.range(values, *value) else { break };
                let decided = match cases.iter().find(|(s, _)| !set.is_disjoint(s)) {
                    None => Some(*default),
                    Some((s, t)) if set.is_subset(s) => Some(*t),
                    Some(_) => None,
                };
                let Some(next) = decided else { break };
                (next, vec![*value])
            }
            Node::Compare { op, left, right, yes, no } => match known_outcome(values, &facts, *op, *left, *right) {
                Some(true) => (*yes, vec![*left, *right]),
                Some(false) => (*no, vec![*left, *right]),
                None => break,
            },
            Node::Need { value, next } if facts.safe(values, *value) => (*next, Vec::new()),
            _ => break,
        };
        for value in evaluates {
            if !facts.safe(values, value) {
                needs.push(value);
                facts.note_evaluated(values, value);
            }
        }
        target = next;
    }
    (target, needs, facts)
}

/// Interns the graph anew along the redirected edges.
fn rebuild(values: &Values, graph: &mut Graph, order: &[NodeId], edges: &[Vec<Edge>]) -> NodeId {
    let mut renamed: Vec<NodeId> = (0..graph.len()).map(|i| NodeId(u32::try_from(i).unwrap_or(u32::MAX))).collect();
    for &id in order {
        let out = &edges[id.0 as usize];
        if out.is_empty() {
            continue;
        }
        let mut targets = Vec::with_capacity(out.len());
        for edge in out {
            let mut target = renamed[edge.target.0 as usize];
            for &value in edge.needs.iter().rev() {
                target = graph.need(values, value, target);
            }
            targets.push(target);
        }
        let new = match graph.get(id).clone() {
            Node::Return(_) => id,
            Node::Switch { value, .. } => {
                let mut cases = Vec::with_capacity(out.len());
                let mut default = None;
                for (edge, &target) in out.iter().zip(&targets) {
                    match &edge.label {
                        Some(set) => cases.push((set.clone(), target)),
                        None => default = Some(target),
                    }
                }
                let default = default.unwrap_or(Graph::REJECT);
                graph.switch(values, value, cases, default)
            }
            Node::Compare { op, left, right, .. } => graph.compare(values, op, (left, right), (targets[0], targets[1])),
            Node::Need { value, .. } => graph.need(values, value, targets[0]),
            Node::Set { var, value, .. } => graph.set(var, value, targets[0]),
        };
        renamed[id.0 as usize] = new;
    }
    renamed[graph.root.0 as usize]
}
