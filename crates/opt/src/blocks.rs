//! The graph of blocks: branches that are decided, blocks that cannot be reached, blocks that only lead on, blocks that
//! belong together, parameters that are always the same, branches on what the way to them decides.
//!
//! The verifier refuses code that cannot be reached, so what is decided has to go.

use skep_ir::analysis::{reverse_postorder, use_counts};
use skep_ir::{Block, Cond, Edge, Entity, Function, Inst, InstData, Value};

use crate::Ctx;
use crate::fold;
use crate::util::{Renames, constant, make_jump, normal};

/// The pass.
pub fn clean(function: &mut Function, _ctx: &Ctx) -> bool {
    let mut changed = false;
    // Each round removes a branch, an edge, a block or a parameter.
    loop {
        let mut round = fold_ends(function);
        round |= remove_unreachable(function);
        round |= drop_equal_params(function);
        let mut graph = Graph::new(function);
        round |= thread(function, &mut graph);
        round |= skip_empty(function, &mut graph);
        round |= remove_unreachable(function);
        round |= merge(function);
        if !round {
            return changed;
        }
        changed = true;
    }
}

fn fold_ends(function: &mut Function) -> bool {
    let mut changed = false;
    let mut renames = Renames::new(function);
    for number in 0..function.blocks.len() {
        let Some(inst) = function.terminator(function.blocks[number]) else { continue };
        renames.apply_to(&mut function[inst].data);
        if let Some(edge) = only_way(function, &function[inst].data) {
            make_jump(function, inst, edge, &mut renames);
            changed = true;
        }
    }
    renames.apply(function);
    changed
}

/// The one edge that can be taken, of an instruction with more than one.
fn only_way(function: &Function, data: &InstData) -> Option<Edge> {
    match data {
        InstData::Branch { cond, args: [left, right], yes, no } => {
            if yes == no {
                return Some(yes.clone());
            }
            let same = (left == right).then(|| fold::compare_same(*cond)).flatten();
            let known = same.or_else(|| not_null(function, *cond, *left, *right)).or_else(|| {
                let (first, second) = (constant(function, *left)?, constant(function, *right)?);
                Some(fold::compare(*cond, first, second, function.ty(*left)))
            })?;
            Some(if known { yes.clone() } else { no.clone() })
        }
        InstData::Switch { value, cases, default } => {
            if cases.is_empty() {
                return Some(default.clone());
            }
            let (number, ty) = (constant(function, *value)?, function.ty(*value));
            let case = cases.iter().find(|case| normal(case.0, ty) == number);
            Some(case.map_or_else(|| default.clone(), |case| case.1.clone()))
        }
        _ => None,
    }
}

/// Whether a pointer that cannot be null is compared with null, and what that gives.
fn not_null(function: &Function, cond: Cond, left: Value, right: Value) -> Option<bool> {
    let known = |pointer: skep_ir::Pointer| !pointer.nullable && pointer.to != skep_ir::Memory::Any;
    let certain = |value: Value| function.ty(value).pointer().is_some_and(known);
    let null = |value: Value| !function.ty(value).is_int() && constant(function, value) == Some(0);
    let compared = certain(left) && null(right) || certain(right) && null(left);
    match cond {
        Cond::Eq => compared.then_some(false),
        Cond::Ne => compared.then_some(true),
        _ => None,
    }
}

/// Removes blocks that cannot be reached.
pub fn remove_unreachable(function: &mut Function) -> bool {
    let mut reached = vec![false; function.block_count()];
    for block in reverse_postorder(function) {
        reached[block.index()] = true;
    }
    let gone: Vec<Block> = function.blocks.iter().copied().filter(|block| !reached[block.index()]).collect();
    for &block in &gone {
        function[block].insts.clear();
    }
    function.blocks.retain(|block| reached[block.index()]);
    !gone.is_empty()
}

/// An edge: the block where it starts, the end of that, and its number there.
type Way = (Block, Inst, usize);

/// What changes when edges are led elsewhere.
struct Graph {
    /// The edges into each block.
    incoming: Vec<Vec<Way>>,
    /// How often each value is read.
    uses: Vec<u32>,
}

impl Graph {
    fn new(function: &Function) -> Self {
        Self { incoming: incoming(function), uses: use_counts(function) }
    }

    fn redirect(&mut self, function: &mut Function, way: Way, new: Edge) {
        let Some(edge) = function[way.1].data.edges_mut().nth(way.2) else { return };
        edge.args.iter().for_each(|arg| self.uses[arg.index()] -= 1);
        new.args.iter().for_each(|arg| self.uses[arg.index()] += 1);
        self.incoming[edge.block.index()].retain(|known| *known != way);
        self.incoming[new.block.index()].push(way);
        *edge = new;
    }
}

/// The edges into each block.
fn incoming(function: &Function) -> Vec<Vec<Way>> {
    let mut incoming = vec![Vec::new(); function.block_count()];
    for &block in &function.blocks {
        let Some(inst) = function.terminator(block) else { continue };
        for (at, edge) in function[inst].data.edges().enumerate() {
            incoming[edge.block.index()].push((block, inst, at));
        }
    }
    incoming
}

fn edge(function: &Function, (_, inst, at): Way) -> Option<&Edge> {
    function[inst].data.edges().nth(at)
}

/// Removes parameters for which all edges bring the same value.
fn drop_equal_params(function: &mut Function) -> bool {
    let incoming = incoming(function);
    let entry = function.entry();
    let mut renames = Renames::new(function);
    for &block in function.blocks.iter().filter(|&&block| block != entry) {
        for (number, &param) in function[block].params.iter().enumerate() {
            let ways = incoming[block.index()].iter();
            let args = ways.filter_map(|&way| edge(function, way)?.args.get(number));
            // What a parameter in front of this one has become counts.
            if let Some(value) = the_same(param, args.map(|&arg| renames.get(arg)))
                && function.ty(value) == function.ty(param)
            {
                renames.set(param, value);
            }
        }
    }
    if !renames.apply(function) {
        return false;
    }
    function.retain_all_params(|block, _, param| block == entry || renames.get(param) == param)
}

/// The value that all of these are, apart from the parameter itself.
fn the_same(param: Value, args: impl Iterator<Item = Value>) -> Option<Value> {
    let mut found = None;
    for arg in args.filter(|&arg| arg != param) {
        if found.is_some_and(|known| known != arg) {
            return None;
        }
        found = Some(arg);
    }
    found
}

/// The edge out of a block for the arguments of an edge into it. `None` if it brings a name that the end of the block
/// where it starts defines.
fn through(function: &Function, from: Inst, into: &Edge, next: &Edge) -> Option<Edge> {
    let params = &function[into.block].params;
    let args: Vec<Value> = next
        .args
        .iter()
        .map(|arg| params.iter().position(|param| param == arg).map_or(*arg, |at| into.args[at]))
        .collect();
    let own = args.iter().any(|arg| function[from].results.contains(arg));
    if own { None } else { Some(Edge { block: next.block, args }) }
}

/// Whether nothing but the end of a block reads its parameters.
fn params_stay(function: &Function, block: Block, uses: &[u32]) -> bool {
    let Some(inst) = function.terminator(block) else { return false };
    let mut own = vec![0u32; function[block].params.len()];
    let params = &function[block].params;
    function[inst].data.for_each_operand(|value| {
        if let Some(at) = params.iter().position(|&param| param == value) {
            own[at] += 1;
        }
    });
    params.iter().zip(own).all(|(param, count)| uses[param.index()] == count)
}

/// Redirects edges into blocks that do nothing but jump on.
fn skip_empty(function: &mut Function, graph: &mut Graph) -> bool {
    let mut changed = false;
    let entry = function.entry();
    for block in function.blocks.clone() {
        let [inst] = function[block].insts[..] else { continue };
        let InstData::Jump(next) = function[inst].data.clone() else { continue };
        if block == entry || next.block == block || !params_stay(function, block, &graph.uses) {
            continue;
        }
        for way in graph.incoming[block.index()].clone() {
            let Some(into) = edge(function, way) else { continue };
            if let Some(new) = through(function, way.1, into, &next)
                && !becomes_double(function, way, &new)
            {
                graph.redirect(function, way, new);
                changed = true;
            }
        }
    }
    changed
}

/// Whether two edges of one instruction would lead to the same block with different arguments: the empty block is where
/// the arguments are told apart.
fn becomes_double(function: &Function, (_, from, at): Way, edge: &Edge) -> bool {
    let mut edges = function[from].data.edges().enumerate();
    edges.any(|(other, known)| other != at && known.block == edge.block && known.args != edge.args)
}

/// Redirects edges into blocks that only branch, where the arguments decide the branch.
fn thread(function: &mut Function, graph: &mut Graph) -> bool {
    let mut changed = false;
    let entry = function.entry();
    for block in function.blocks.clone() {
        let Some(inst) = function.terminator(block) else { continue };
        let branches = matches!(function[inst].data, InstData::Branch { .. } | InstData::Switch { .. });
        let constants = function[block].insts.iter().all(|&each| {
            each == inst
                || matches!(function[each].data, InstData::Const(_)) && only_used_by(function, each, inst, &graph.uses)
        });
        if block == entry
            || !branches
            || !constants
            || function[block].params.is_empty()
            || !function[inst].results.is_empty()
            || !params_stay(function, block, &graph.uses)
        {
            continue;
        }
        for way in graph.incoming[block.index()].clone() {
            if way.0 != block
                && let Some(new) = threaded(function, inst, way)
            {
                graph.redirect(function, way, new);
                changed = true;
            }
        }
    }
    changed
}

/// Whether one instruction reads the result of another in all places where it is read, and not on its edges.
fn only_used_by(function: &Function, inst: Inst, reader: Inst, uses: &[u32]) -> bool {
    let result = function[inst].results[0];
    let mut count = 0;
    function[reader].data.for_each_operand(|value| count += u32::from(value == result));
    let on_edges = function[reader].data.edges().any(|edge| edge.args.contains(&result));
    count == uses[result.index()] && !on_edges
}

/// Where an edge leads if what it brings decides the branch.
fn threaded(function: &Function, branch: Inst, way: Way) -> Option<Edge> {
    let into = edge(function, way)?;
    let params = &function[into.block].params;
    let mut data = function[branch].data.clone();
    let substitute = |value: &mut Value| {
        if let Some(number) = params.iter().position(|param| param == value) {
            *value = into.args[number];
        }
    };
    // Only what is compared: arguments of edges are put in by `through`.
    let next = data.edges().cloned().collect::<Vec<Edge>>();
    match &mut data {
        InstData::Branch { args, .. } => args.iter_mut().for_each(substitute),
        InstData::Switch { value, .. } => [value].into_iter().for_each(substitute),
        _ => return None,
    }
    for (edge, number) in data.edges_mut().zip(0..) {
        // Told apart by a number, so that equal edges are not mixed up.
        *edge = Edge { block: Block(number), args: Vec::new() };
    }
    let chosen = only_way(function, &data)?;
    let new = through(function, way.1, into, &next[chosen.block.index()])?;
    (!becomes_double(function, way, &new)).then_some(new)
}

/// Appends blocks that are reached by one jump to where the jump stands.
fn merge(function: &mut Function) -> bool {
    let mut counts = vec![0usize; function.block_count()];
    for &block in &function.blocks {
        for next in function.successors(block) {
            counts[next.index()] += 1;
        }
    }
    let entry = function.entry();
    let mut renames = Renames::new(function);
    let mut gone = vec![false; function.block_count()];
    for block in function.blocks.clone() {
        if gone[block.index()] {
            continue;
        }
        while let Some(inst) = function.terminator(block) {
            let InstData::Jump(Edge { block: next, args }) = function[inst].data.clone() else { break };
            if counts[next.index()] != 1 || next == entry || next == block {
                break;
            }
            for (param, arg) in std::mem::take(&mut function[next].params).into_iter().zip(args) {
                renames.set(param, arg);
            }
            let rest = std::mem::take(&mut function[next].insts);
            function[block].insts.pop();
            function[block].insts.extend(rest);
            gone[next.index()] = true;
        }
    }
    function.blocks.retain(|block| !gone[block.index()]);
    renames.apply(function);
    gone.contains(&true)
}
