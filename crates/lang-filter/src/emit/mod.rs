//! Code generation: a decision graph becomes a classic program.
//!
//! Two walks. Forwards, over the order of the code: each edge gets the deepest entry into its target's plan that the
//! registers allow, so that a value which one predecessor has at hand is not loaded again on that edge while it is on
//! others. Backwards, from the end of the program: jumps only go forward, so every distance is known when a jump is
//! written, and one that would be too long gets a trampoline or a copy of the verdict right behind it.

mod plan;
mod tree;

use crate::hash::FastMap;

use skep_isa::classic::{AluOp, Insn, JmpOp, SCRATCH_WORDS};

use crate::graph::{Graph, Node, NodeId};
use crate::value::{TableId, Val, ValId, Values, Var};
use plan::{Plan, Regs};
use tree::{Goal, Tree};

/// What the code generator may assume and choose.
#[derive(Debug, Clone, Copy)]
pub struct EmitOptions {
    /// Operand of an accepting `ret`.
    pub snaplen: u32,
    /// Memory words in use as variables.
    pub vars: u8,
    /// Longest chain of comparisons at a leaf of a search tree.
    pub leaf: usize,
}

/// An expression needs more than the 16 words of scratch memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfScratch;

/// A node's code before it has a place.
struct Block {
    plan: Plan,
    tree: Tree,
    /// Where the exits of `tree` lead; a block without jumps falls through to the only one.
    exits: Vec<Exit>,
    /// The memory word that the block sets: values that read it are no longer what they were.
    sets: Option<Var>,
}

#[derive(Clone, Copy)]
struct Exit {
    node: NodeId,
    /// Step of the target's plan to enter at.
    entry: usize,
}

/// A program, and where in it an instruction stands for a look-up in a table.
#[derive(Debug, Default)]
pub struct Emitted {
    /// The instructions.
    pub program: Vec<Insn>,
    /// Indices of look-ups, ascending, with their tables.
    pub lookups: Vec<(usize, TableId)>,
}

/// Compiles the graph.
pub fn emit(values: &Values, graph: &Graph, options: EmitOptions) -> Result<Emitted, OutOfScratch> {
    let order = graph.postorder();
    let mut blocks: Vec<Option<Block>> = Vec::new();
    blocks.resize_with(graph.len(), || None);
    for &id in &order {
        blocks[id.0 as usize] = Some(block(values, graph, id, options));
    }
    if blocks.iter().flatten().any(|b| b.plan.out_of_words) || u32::from(options.vars) > SCRATCH_WORDS {
        return Err(OutOfScratch);
    }
    choose_entries(values, graph, &order, &mut blocks);
    let first_steps = first_steps(graph, &blocks);
    let mut writer = Writer {
        options,
        code: Vec::new(),
        places: FastMap::default(),
        jumps: FastMap::default(),
        sizes: Vec::new(),
        lookups: Vec::new(),
        verdicts_at_end: false,
    };
    // The kernel's check of scratch memory carries what is written over a `ret` into the code behind it. Programs that
    // use scratch memory therefore have their verdicts at the end, and nothing behind them.
    writer.verdicts_at_end = uses_scratch(&blocks);
    for &id in &order {
        if let Node::Return(verdict) = graph.get(id)
            && (id == graph.root || writer.verdicts_at_end)
        {
            writer.instance(Place::Verdict(*verdict));
        }
    }
    for &id in &order {
        if matches!(graph.get(id), Node::Return(_)) {
            continue;
        }
        if let Some(block) = &blocks[id.0 as usize] {
            writer.block(graph, id, block, first_steps[id.0 as usize]);
        }
    }
    writer.code.reverse();
    let last = writer.code.len().saturating_sub(1);
    let lookups = writer.lookups.iter().rev().map(|&(at, table)| (last - at, table)).collect();
    Ok(Emitted { program: writer.code, lookups })
}

fn block(values: &Values, graph: &Graph, id: NodeId, options: EmitOptions) -> Block {
    let mut plan = Plan::default();
    let mut tree = Tree::default();
    let mut exits = Vec::new();
    match graph.get(id) {
        Node::Return(_) => {}
        Node::Switch { value, cases, default } => {
            exits.extend(cases.iter().map(|(_, target)| *target));
            exits.push(*default);
            plan.then_reads_a = true;
            if let Some((masked, mask, zero, other)) = bit_test(values, *value, cases) {
                plan.load_a(values, masked, options.vars);
                tree = Tree::single(JmpOp::Set, Some(mask), other, zero);
            } else {
                plan.load_a(values, *value, options.vars);
                let sets: Vec<_> = cases.iter().map(|(set, _)| set.clone()).collect();
                tree = Tree::switch(&sets, values.max(*value), options.leaf);
            }
        }
        Node::Compare { op, left, right, yes, no } => {
            exits.extend([*yes, *no]);
            plan.load_both(values, *left, *right, options.vars);
            plan.then_reads_a = true;
            plan.then_reads_x = true;
            tree = Tree::single(*op, None, 0, 1);
        }
        Node::Need { value, next } => {
            exits.push(*next);
            plan.load_a(values, *value, options.vars);
            // What counts is that the value was evaluated; a register that holds it is proof of that.
            plan.then_reads_a = true;
        }
        Node::Set { var, value, next } => {
            exits.push(*next);
            plan.load_a(values, *value, options.vars);
            plan.store(var.0, values.find(Val::Var(*var)));
        }
    }
    let sets = match graph.get(id) {
        Node::Set { var, .. } => Some(*var),
        _ => None,
    };
    Block { plan, tree, sets, exits: exits.into_iter().map(|node| Exit { node, entry: 0 }).collect() }
}

/// A switch that one `jset` decides: whether any bit of a mask is set. Returns the value before the mask, the mask and
/// the exits for "none set" and "some set".
fn bit_test(values: &Values, value: ValId, cases: &[crate::graph::Case]) -> Option<(ValId, u32, usize, usize)> {
    let Val::Bin(AluOp::And, inner, mask) = values.get(value) else { return None };
    let mask = values.as_const(mask)?;
    let [(set, _)] = cases else { return None };
    let one_bit = mask.is_power_of_two();
    match set.ranges() {
        [(0, 0)] => Some((inner, mask, 0, 1)),
        [(0, hi)] if one_bit && *hi < mask => Some((inner, mask, 0, 1)),
        [(1, hi)] if *hi >= mask => Some((inner, mask, 1, 0)),
        [(lo, hi)] if one_bit && *lo > 0 && *lo <= mask && *hi >= mask => Some((inner, mask, 1, 0)),
        _ => None,
    }
}

/// Decides at which step each edge enters its target's plan.
fn choose_entries(values: &Values, graph: &Graph, order: &[NodeId], blocks: &mut [Option<Block>]) {
    // The registers at the end of each block, met over the ways in; `None` before the first.
    let mut ends: Vec<Option<Regs>> = vec![None; graph.len()];
    let requirements: Vec<Vec<Option<Regs>>> = blocks
        .iter()
        .map(|b| b.as_ref().map_or(Vec::new(), |b| (0..=b.plan.steps.len()).map(|i| b.plan.requirement(i)).collect()))
        .collect();
    if let Some(root) = &blocks[graph.root.0 as usize] {
        ends[graph.root.0 as usize] = Some(root.plan.exit(0, Regs::default()));
    }
    for &id in order.iter().rev() {
        let Some(before) = ends[id.0 as usize] else { continue };
        let Some(mut exits) = blocks[id.0 as usize].as_mut().map(|b| std::mem::take(&mut b.exits)) else { continue };
        for exit in &mut exits {
            let target = exit.node.0 as usize;
            let holds =
                |need: &Regs| need.a.is_none_or(|v| before.a == Some(v)) && need.x.is_none_or(|v| before.x == Some(v));
            exit.entry = requirements[target].iter().rposition(|r| r.as_ref().is_some_and(holds)).unwrap_or(0);
            let Some(block) = &blocks[target] else { continue };
            let mut after = block.plan.exit(exit.entry, before);
            if let Some(var) = block.sets {
                let stale = |v: &ValId| values.reads_var(*v, var);
                // The accumulator holds the word's new value.
                after.x = after.x.filter(|v| !stale(v));
                after.a = after.a.filter(|v| !stale(v) || values.get(*v) == Val::Var(var));
            }
            ends[target] = Some(match ends[target] {
                None => after,
                Some(other) => {
                    Regs { a: other.a.filter(|v| after.a == Some(*v)), x: other.x.filter(|v| after.x == Some(*v)) }
                }
            });
        }
        if let Some(block) = &mut blocks[id.0 as usize] {
            block.exits = exits;
        }
    }
}

fn uses_scratch(blocks: &[Option<Block>]) -> bool {
    blocks.iter().flatten().any(|b| b.sets.is_some() || b.plan.steps.iter().any(|s| s.temp.is_some()))
}

/// The first step of each block's plan that any edge enters at: the steps before it are not needed.
fn first_steps(graph: &Graph, blocks: &[Option<Block>]) -> Vec<usize> {
    let mut first = vec![usize::MAX; blocks.len()];
    first[graph.root.0 as usize] = 0;
    for exit in blocks.iter().flatten().flat_map(|b| &b.exits) {
        let slot = &mut first[exit.node.0 as usize];
        *slot = (*slot).min(exit.entry);
    }
    first
}

/// A place that code can jump to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Verdict(bool),
    Entry(NodeId, usize),
}

/// Writes the program from its end to its beginning.
struct Writer {
    options: EmitOptions,
    code: Vec<Insn>,
    /// Whether verdicts stand at the end only; elsewhere an unconditional jump leads there.
    verdicts_at_end: bool,
    /// The nearest instance of each place, as its distance from the end of the program.
    places: FastMap<Place, usize>,
    /// Where the nearest instance of each conditional jump stands, and its number.
    jumps: FastMap<SharedKey, (usize, usize)>,
    lookups: Vec<(usize, TableId)>,
    /// How many jumps each numbered jump stands for, itself included.
    sizes: Vec<usize>,
}

impl Writer {
    fn verdict(&self, accept: bool) -> Insn {
        Insn::ret_k(if accept { self.options.snaplen } else { 0 })
    }

    /// How many instructions a jump that is written now would skip to reach `at`.
    fn distance(&self, at: usize) -> usize {
        self.code.len() - at - 1
    }

    fn push(&mut self, insn: Insn) -> usize {
        self.code.push(insn);
        self.code.len() - 1
    }

    fn ja(&mut self, at: usize) -> usize {
        let distance = u32::try_from(self.distance(at)).unwrap_or(u32::MAX);
        self.push(Insn::ja(distance))
    }

    fn block(&mut self, graph: &Graph, id: NodeId, block: &Block, first: usize) {
        let place = |exit: &Exit| match graph.get(exit.node) {
            Node::Return(verdict) => Place::Verdict(*verdict),
            _ => Place::Entry(exit.node, exit.entry),
        };
        let steps = block.plan.steps.len();
        let end = if block.tree.jumps.is_empty() {
            self.fall_through(place(&block.exits[0]))
        } else {
            self.tree(&block.tree.jumps, |exit| place(&block.exits[exit]))
        };
        self.places.insert(Place::Entry(id, steps), end);
        for (i, step) in block.plan.steps.iter().enumerate().skip(first).rev() {
            let at = self.push(step.insn);
            if let Some(table) = step.table {
                self.lookups.push((at, table));
            }
            self.places.insert(Place::Entry(id, i), at);
        }
    }

    /// Makes the code written next continue at `place`; returns where that continuation stands.
    fn fall_through(&mut self, place: Place) -> usize {
        match self.places.get(&place) {
            Some(&at) if self.distance(at) == 0 => at,
            _ => self.instance(place),
        }
    }

    /// Writes a new instance of `place`: a copy of the verdict or an unconditional jump.
    fn instance(&mut self, place: Place) -> usize {
        let at = match (place, self.places.get(&place)) {
            (Place::Verdict(accept), None) => self.push(self.verdict(accept)),
            (Place::Verdict(accept), Some(_)) if !self.verdicts_at_end => self.push(self.verdict(accept)),
            (_, Some(&at)) => self.ja(at),
            // Successors are written first, so every block that is jumped to has its place.
            (Place::Entry(..), None) => unreachable!("a block is written before what it jumps to"),
        };
        self.places.insert(place, at);
        at
    }

    /// Writes the jumps of a tree, or finds parts of it among those written: which value is compared does not matter.
    /// The first jump behind a load is always written, since reaching another would take a jump as well. Returns where
    /// the tree begins.
    fn tree(&mut self, jumps: &[tree::Jump], place: impl Fn(usize) -> Place) -> usize {
        let root = jumps.len() - 1;
        // The number of each jump that exists already, with the same goals.
        let mut numbers: Vec<Option<usize>> = vec![None; jumps.len()];
        for (i, jump) in jumps.iter().enumerate() {
            numbers[i] = shared_key(jump, &numbers, &place).and_then(|key| self.jumps.get(&key).map(|&(_, n)| n));
        }
        // Below a jump that exists, nothing has to be written.
        let mut wanted = vec![false; jumps.len()];
        wanted[root] = true;
        for i in (0..jumps.len()).rev() {
            if wanted[i] && (i == root || numbers[i].is_none_or(|n| self.sizes[n] < 2)) {
                for goal in [jumps[i].yes, jumps[i].no] {
                    if let Goal::Jump(j) = goal {
                        wanted[j] = true;
                    }
                }
            }
        }
        let mut at = vec![0; jumps.len()];
        for (i, jump) in jumps.iter().enumerate() {
            if !wanted[i] {
                continue;
            }
            let known = shared_key(jump, &numbers, &place).and_then(|key| self.jumps.get(&key).copied());
            if let Some((there, number)) = known
                && i != root
                && (self.distance(there) <= NEAR || self.sizes[number] > 1)
            {
                // Too far for a conditional jump, an unconditional one is still shorter than writing all of it again.
                at[i] = if self.distance(there) <= NEAR { there } else { self.ja(there) };
                numbers[i] = Some(number);
                continue;
            }
            let number = known.map_or(self.sizes.len(), |(_, number)| number);
            if number == self.sizes.len() {
                let below = |goal: Goal| match goal {
                    Goal::Jump(j) => numbers[j].map_or(0, |n| self.sizes[n]),
                    Goal::Exit(_) => 0,
                };
                self.sizes.push(1 + below(jump.yes) + below(jump.no));
            }
            numbers[i] = Some(number);
            at[i] = self.jump(jump, &mut at, &place);
            if let Some(key) = shared_key(jump, &numbers, &place) {
                self.jumps.insert(key, (at[i], number));
            }
        }
        at[root]
    }

    /// Writes a conditional jump; `at` says where the tree's other jumps stand.
    fn jump(&mut self, jump: &tree::Jump, at: &mut [usize], place: &impl Fn(usize) -> Place) -> usize {
        loop {
            let yes = self.reach(jump.yes, at, place);
            let no = self.reach(jump.no, at, place);
            // Writing the second trampoline moves the first goal one away.
            if let (Ok(jt), Ok(jf)) = (u8::try_from(self.distance(yes)), u8::try_from(self.distance(no))) {
                return self.push(match jump.operand {
                    Some(k) => Insn::jump_k(jump.op, k, jt, jf),
                    None => Insn::jump_x(jump.op, jt, jf),
                });
            }
        }
    }

    /// Where a conditional jump to `goal` has to go: the goal itself if it is near enough, else a trampoline.
    fn reach(&mut self, goal: Goal, at: &mut [usize], place: &impl Fn(usize) -> Place) -> usize {
        match goal {
            Goal::Jump(i) => {
                if self.distance(at[i]) > NEAR {
                    at[i] = self.ja(at[i]);
                }
                at[i]
            }
            Goal::Exit(exit) => {
                let place = place(exit);
                match self.places.get(&place) {
                    Some(&at) if self.distance(at) <= NEAR => at,
                    _ => self.instance(place),
                }
            }
        }
    }
}

/// One less than a conditional jump can skip, so that the other goal's trampoline fits in between.
const NEAR: usize = 254;

/// A goal that means the same in every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum SharedGoal {
    Place(Place),
    Jump(usize),
}

/// What makes two conditional jumps the same.
type SharedKey = (JmpOp, Option<u32>, SharedGoal, SharedGoal);

/// The key of a jump; `None` while one of its goals has no number yet.
fn shared_key(jump: &tree::Jump, numbers: &[Option<usize>], place: &impl Fn(usize) -> Place) -> Option<SharedKey> {
    let goal = |goal: Goal| match goal {
        Goal::Exit(exit) => Some(SharedGoal::Place(place(exit))),
        Goal::Jump(i) => numbers[i].map(SharedGoal::Jump),
    };
    Some((jump.op, jump.operand, goal(jump.yes)?, goal(jump.no)?))
}
