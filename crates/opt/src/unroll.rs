//! Unrolls loops that run a constant number of times.
//!
//! Only where asked ([`Options::unroll`](crate::Options::unroll)), and where little code comes of it: a bounded loop costs
//! the verifier a state for each iteration either way. The loop body is copied in front of the loop, once for each time it
//! runs; constant propagation then removes what is left.

use std::collections::{HashMap, HashSet};

use skep_ir::analysis::{Dominators, Loop, Loops};
use skep_ir::{Block, Entity, Function, Inst, InstData, Memory, Type, Unary, Value, ValueDef};

use crate::Ctx;
use crate::fold;
use crate::pipeline::size;
use crate::util::constant;

/// The pass.
pub fn unroll(function: &mut Function, ctx: &Ctx) -> bool {
    if ctx.options.unroll == 0 {
        return false;
    }
    let mut changed = separate_constants(function);
    changed |= close_loops(function, ctx);
    let mut done: Vec<Block> = Vec::new();
    while let Some((header, blocks, trips)) = next_loop(function, ctx, &done) {
        done.push(header);
        for _ in 0..trips {
            peel(function, header, &blocks);
        }
        changed = true;
    }
    changed
}

/// The next loop to unroll: its header, its blocks, and how often its body is copied. Inner loops come first.
fn next_loop(function: &Function, ctx: &Ctx, done: &[Block]) -> Option<(Block, Vec<Block>, u32)> {
    let dominators = Dominators::new(function);
    let loops = Loops::new(function, &dominators);
    let inner = |each: &&Loop| {
        !loops.all.iter().any(|other| {
            other.header != each.header && each.blocks.contains(&other.header) && !done.contains(&other.header)
        })
    };
    for each in loops.all.iter().filter(inner) {
        if done.contains(&each.header) || leaks(function, each) {
            continue;
        }
        let Some(trips) = trip_count(function, each, ctx.options.unroll) else { continue };
        let unrolled = cost(function, each).saturating_mul(trips as usize);
        let most = if indexes_context(function, each) { ctx.options.max_size } else { ctx.options.unroll_size };
        let copied: usize = each.blocks.iter().map(|&block| function[block].insts.len()).sum();
        let size = size(function).saturating_add(copied.saturating_mul(trips as usize));
        if unrolled <= most && size <= ctx.options.max_size {
            return Some((each.header, each.blocks.clone(), trips));
        }
    }
    None
}

/// The instructions of a round of a loop that become code if it is unrolled. Numbers and addresses are parts of others, as
/// are jumps from one copy to the next, but a call takes its arguments; what follows from counters and numbers is computed.
fn cost(function: &Function, each: &Loop) -> usize {
    let known = computed(function, each);
    let insts = each.blocks.iter().flat_map(|&block| &function[block].insts).map(|&inst| match &function[inst].data {
        data if is_constant(data) => 0,
        InstData::Jump(_) | InstData::Unary(Unary::Extend | Unary::Truncate, _) | InstData::PtrAddConst(..) => 0,
        InstData::Call(_, args) => 1 + args.len(),
        // A member of an object that may become a value.
        InstData::Load { ptr, .. } if known[ptr.index()] && is_stack(function, *ptr) => 0,
        data => usize::from(!is_computed(function, data, &known)),
    });
    insts.sum()
}

/// Whether an instruction is a matter of numbers that are known in each round.
fn is_computed(function: &Function, data: &InstData, known: &[bool]) -> bool {
    let decides = matches!(data, InstData::Branch { .. } | InstData::Switch { .. });
    let mut all = decides || data.is_pure();
    data.for_each_own_operand(|value| all &= is_known(function, value, known));
    all
}

/// Whether a value is a known number, or an address with a known distance, in each round.
fn is_known(function: &Function, value: Value, known: &[bool]) -> bool {
    known[value.index()] || function.def_inst(value).is_some_and(is_constant)
}

fn is_stack(function: &Function, ptr: Value) -> bool {
    function.ty(ptr).pointer().is_some_and(|pointer| pointer.to == Memory::Stack)
}

/// The values of a loop that are known numbers in each round, by index.
fn computed(function: &Function, each: &Loop) -> Vec<bool> {
    let mut known = vec![false; function.value_count()];
    let params = || each.blocks.iter().flat_map(|&block| &function[block].params);
    params().for_each(|param| known[param.index()] = true);
    // What is not a number takes away what follows from it, until nothing changes any more.
    loop {
        for &inst in each.blocks.iter().flat_map(|&block| &function[block].insts) {
            let node = &function[inst];
            let is = is_computed(function, &node.data, &known) || is_constant(&node.data);
            node.results.iter().for_each(|result| known[result.index()] = is);
        }
        let mut changed = false;
        for &block in &function.blocks {
            let Some(inst) = function.terminator(block) else { continue };
            for edge in function[inst].data.edges().filter(|edge| each.blocks.contains(&edge.block)) {
                for (param, &arg) in function[edge.block].params.iter().zip(&edge.args) {
                    let is = is_known(function, arg, &known);
                    changed |= !is && std::mem::replace(&mut known[param.index()], false);
                }
            }
        }
        if !changed {
            return known;
        }
    }
}

/// Whether members of the context are chosen by a counter: the verifier takes only constant distances from it.
fn indexes_context(function: &Function, each: &Loop) -> bool {
    let is_context = |mut value: Value| {
        for _ in 0..8 {
            match function.def_inst(value) {
                Some(InstData::Cast(inner) | InstData::PtrAddConst(inner, _)) => value = *inner,
                _ => break,
            }
        }
        function.ty(value).pointer().is_some_and(|pointer| pointer.to == Memory::Context)
    };
    let mut insts = each.blocks.iter().flat_map(|&block| &function[block].insts);
    insts.any(|&inst| matches!(function[inst].data, InstData::PtrAdd(base, _) if is_context(base)))
}

/// Constants and addresses of loops that are read behind them are made there once more: equal ones became one, and a
/// loop whose values are read outside stays.
fn separate_constants(function: &mut Function) -> bool {
    let dominators = Dominators::new(function);
    let loops = Loops::new(function, &dominators);
    let mut changed = false;
    for each in &loops.all {
        let insts = each.blocks.iter().flat_map(|&block| &function[block].insts);
        let constants = insts.filter(|&&inst| is_constant(&function[inst].data));
        let inside: HashSet<Value> = constants.flat_map(|&inst| &function[inst].results).copied().collect();
        let outside = function.blocks.iter().copied().filter(|block| !each.blocks.contains(block));
        for block in outside.collect::<Vec<_>>() {
            changed |= separate(function, block, &inside);
        }
    }
    changed
}

/// Gives a block constants of its own for those of a loop that it reads.
fn separate(function: &mut Function, block: Block, inside: &HashSet<Value>) -> bool {
    let mut own: HashMap<Value, Value> = HashMap::new();
    for inst in function[block].insts.clone() {
        let mut data = function[inst].data.clone();
        let mut read = Vec::new();
        data.for_each_operand(|value| read.extend(inside.contains(&value).then_some(value)));
        if read.is_empty() {
            continue;
        }
        for value in read {
            if own.contains_key(&value) {
                continue;
            }
            let ValueDef::Result(inst, _) = function.def(value) else { continue };
            let (made, ty, loc) = (function[inst].data.clone(), function.ty(value), function[inst].loc);
            let copy = function.make_inst(made, &[ty], loc);
            function[block].insts.insert(0, copy);
            own.insert(value, function[copy].results[0]);
        }
        data.for_each_operand_mut(|value| *value = own.get(value).copied().unwrap_or(*value));
        function[inst].data = data;
    }
    !own.is_empty()
}

/// Whether it is the same everywhere and reads nothing.
const fn is_constant(data: &InstData) -> bool {
    matches!(data, InstData::Const(_) | InstData::GlobalAddr(_) | InstData::MapAddr(_) | InstData::SlotAddr(_))
}

/// Values of loops that may be unrolled and that are read behind them become parameters of the blocks there. Where a loop
/// stays all ways to such a block bring the same value, and the parameter goes again.
fn close_loops(function: &mut Function, ctx: &Ctx) -> bool {
    let dominators = Dominators::new(function);
    let predecessors = function.predecessors();
    let mut changed = false;
    for each in &Loops::new(function, &dominators).all {
        if trip_count(function, each, ctx.options.unroll).is_none() {
            continue;
        }
        let mut exits: Vec<Block> = each.blocks.iter().flat_map(|&block| function.successors(block)).collect();
        exits.sort_unstable();
        exits.dedup();
        let is_in = |block: &Block| each.blocks.contains(block);
        exits.retain(|exit| !is_in(exit) && predecessors[exit.index()].iter().all(is_in));
        for exit in exits {
            changed |= close(function, &dominators, each, exit);
        }
    }
    changed
}

/// The same for one block that is entered from a loop only.
fn close(function: &mut Function, dominators: &Dominators, each: &Loop, exit: Block) -> bool {
    let inside = defined(function, each);
    let behind: Vec<Block> = function.blocks.iter().copied().filter(|&at| dominators.dominates(exit, at)).collect();
    let mut params: HashMap<Value, Value> = HashMap::new();
    let insts: Vec<Inst> = behind.into_iter().flat_map(|block| function[block].insts.clone()).collect();
    for inst in insts {
        let mut data = function[inst].data.clone();
        let mut any = false;
        data.for_each_operand_mut(|value| {
            if inside.get(value.index()) == Some(&true) && can_be_handed_on(function, *value) {
                let ty = function.ty(*value);
                *value = *params.entry(*value).or_insert_with(|| function.add_param(exit, ty));
                any = true;
            }
        });
        if any {
            function[inst].data = data;
        }
    }
    let mut order: Vec<(Value, Value)> = params.into_iter().map(|(value, param)| (param, value)).collect();
    order.sort_unstable();
    for &block in &each.blocks {
        let Some(inst) = function.terminator(block) else { continue };
        for edge in function[inst].data.edges_mut().filter(|edge| edge.block == exit) {
            edge.args.extend(order.iter().map(|(_, value)| *value));
        }
    }
    !order.is_empty()
}

/// Whether an edge may bring a value. A name that a branch gives is known only behind it.
fn can_be_handed_on(function: &Function, value: Value) -> bool {
    let is_context = function.ty(value).pointer().is_some_and(|pointer| pointer.to == Memory::Context);
    let is_name = |inst: Inst| matches!(function[inst].data, InstData::Branch { .. });
    !is_context && !matches!(function.def(value), ValueDef::Result(inst, _) if is_name(inst))
}

/// The values that a loop defines, by index.
fn defined(function: &Function, each: &Loop) -> Vec<bool> {
    let mut inside = vec![false; function.value_count()];
    for &block in &each.blocks {
        function[block].params.iter().for_each(|param| inside[param.index()] = true);
        for &inst in &function[block].insts {
            function[inst].results.iter().for_each(|result| inside[result.index()] = true);
        }
    }
    inside
}

/// Whether a value of the loop is read behind it other than through a block parameter. Copies would define it too.
fn leaks(function: &Function, each: &Loop) -> bool {
    let inside = defined(function, each);
    let outside = function.blocks.iter().filter(|block| !each.blocks.contains(block));
    outside.flat_map(|&block| &function[block].insts).any(|&inst| {
        let mut found = false;
        function[inst].data.for_each_operand(|value| found |= inside[value.index()]);
        found
    })
}

/// How often the header is entered again, if a counter with constant start and step decides that, and it is at most
/// `limit` times.
fn trip_count(function: &Function, each: &Loop, limit: u32) -> Option<u32> {
    let [latch] = each.latches[..] else { return None };
    let exits = each.blocks.iter().filter_map(|&block| {
        let inst = function.terminator(block)?;
        let InstData::Branch { cond, args, yes, no } = &function[inst].data else { return None };
        let (stays, leaves) = (each.blocks.contains(&yes.block), each.blocks.contains(&no.block));
        // Every iteration passes a block that dominates the latch; here only header and latch are looked at.
        (stays != leaves && (block == each.header || block == latch)).then_some((*cond, *args, stays))
    });
    exits.filter_map(|(cond, args, stays)| simulate(function, each, latch, cond, args, stays, limit)).min()
}

fn simulate(
    function: &Function,
    each: &Loop,
    latch: Block,
    cond: skep_ir::Cond,
    args: [Value; 2],
    stays: bool,
    limit: u32,
) -> Option<u32> {
    let params = &function[each.header].params;
    let start = incoming(function, each, latch, false)?;
    let next = incoming(function, each, latch, true)?;
    let mut state: HashMap<Value, i64> = HashMap::new();
    for (&param, &value) in params.iter().zip(&start) {
        if let Some(number) = constant(function, value) {
            state.insert(param, number);
        }
    }
    for trip in 0..=limit {
        let left = evaluate(function, &state, args[0], 0)?;
        let right = evaluate(function, &state, args[1], 0)?;
        if fold::compare(cond, left, right, function.ty(args[0])) != stays {
            return Some(trip);
        }
        state = params
            .iter()
            .zip(&next)
            .filter_map(|(&param, &value)| Some((param, evaluate(function, &state, value, 0)?)))
            .collect();
    }
    None
}

/// The arguments that the header gets from inside of the loop, or from the only way into it.
fn incoming(function: &Function, each: &Loop, latch: Block, inside: bool) -> Option<Vec<Value>> {
    let mut found = None;
    for &block in &function.blocks {
        let Some(inst) = function.terminator(block) else { continue };
        for edge in function[inst].data.edges() {
            if edge.block == each.header && (block == latch) == inside {
                if found.is_some() {
                    return None;
                }
                found = Some(edge.args.clone());
            }
        }
    }
    found
}

/// The number that an expression over the parameters of the header is.
fn evaluate(function: &Function, state: &HashMap<Value, i64>, value: Value, depth: u32) -> Option<i64> {
    if let Some(&number) = state.get(&value) {
        return Some(number);
    }
    // Expressions of counters are small; sums of shared terms must not take forever.
    if depth > 8 {
        return None;
    }
    let ty: Type = function.ty(value);
    let ValueDef::Result(inst, number) = function.def(value) else { return None };
    let term = |value: Value| evaluate(function, state, value, depth + 1);
    match function[inst].data {
        InstData::Const(_) => constant(function, value),
        InstData::Unary(op, from) => Some(fold::unary(op, term(from)?, function.ty(from), ty)),
        InstData::Binary(op, [left, right]) => Some(fold::binary(op, term(left)?, term(right)?, ty)),
        InstData::Branch { args, .. } => term(*args.get(number as usize)?),
        _ => None,
    }
}

/// Copies the blocks of a loop in front of it: who entered the loop enters the copy, and its way back enters the loop.
fn peel(function: &mut Function, header: Block, blocks: &[Block]) {
    let mut copies: HashMap<Block, Block> = HashMap::new();
    let mut values: HashMap<Value, Value> = HashMap::new();
    let mut insts = Vec::new();
    for &block in blocks {
        let copy = function.add_block();
        copies.insert(block, copy);
        for param in function[block].params.clone() {
            let ty = function.ty(param);
            values.insert(param, function.add_param(copy, ty));
        }
    }
    for &block in blocks {
        for inst in function[block].insts.clone() {
            let node = function[inst].clone();
            let types: Vec<Type> = node.results.iter().map(|&result| function.ty(result)).collect();
            let copy = function.make_inst(node.data, &types, node.loc);
            for (old, new) in node.results.into_iter().zip(function[copy].results.clone()) {
                values.insert(old, new);
            }
            function[copies[&block]].insts.push(copy);
            insts.push(copy);
        }
    }
    for &inst in &insts {
        let mut data = function[inst].data.clone();
        data.for_each_operand_mut(|value| *value = values.get(value).copied().unwrap_or(*value));
        for edge in data.edges_mut().filter(|edge| edge.block != header) {
            edge.block = copies.get(&edge.block).copied().unwrap_or(edge.block);
        }
        function[inst].data = data;
    }
    let own: Vec<Block> = blocks.iter().chain(copies.values()).copied().collect();
    for block in function.blocks.clone() {
        let Some(inst) = function.terminator(block).filter(|_| !own.contains(&block)) else { continue };
        for edge in function[inst].data.edges_mut().filter(|edge| edge.block == header) {
            edge.block = copies[&header];
        }
    }
    // The copy stands in front of the loop.
    function.blocks.truncate(function.blocks.len() - blocks.len());
    let place = function.blocks.iter().position(|&block| block == header).unwrap_or(function.blocks.len());
    let copied: Vec<Block> = blocks.iter().map(|block| copies[block]).collect();
    function.blocks.splice(place..place, copied);
}
