//! Puts static functions into their callers: those that are small, those that are called once, and those that always have
//! to ([`Inlining`]).
//!
//! What is verified by itself (global functions, callbacks) stays a function. So does what would need more of the 512 bytes
//! of stack that a chain of calls has: a caller keeps the objects and the spilled values of all that it took in, and
//! whatever else it calls comes on top of them.

use std::collections::HashMap;

use skep_ir::{Block, Callee, Edge, Entity, FuncKind, FuncRef, Function, Inlining, Inst, InstData, Slot, Value};

use crate::Ctx;
use crate::pipeline::{called, size};
use crate::stack::{Need, STACK};
use crate::util::Hashing;

/// The pass.
pub fn inline(function: &mut Function, ctx: &Ctx) -> bool {
    let before = function.blocks.len();
    if !called(function).iter().any(|&callee| is_possible(ctx, callee).is_some()) {
        return false;
    }
    let mut calls = Calls::new(function, ctx);
    let mut place = 0;
    // What was called stands behind the block of the call, with calls of its own, which are those of an acyclic graph.
    while let Some(&block) = function.blocks.get(place) {
        match next_call(function, block, ctx, &calls) {
            Some((at, number, callee)) => {
                calls.take_in(number);
                inline_call(function, block, at, callee);
            }
            None => place += 1,
        }
    }
    function.blocks.len() != before
}

/// The calls of the function that is changed, and what it takes of the stack.
struct Calls<'c> {
    all: &'c crate::stack::Calls,
    /// Every call that was ever in it, by function.
    ever: Vec<usize>,
    /// Those that are in it now.
    rest: Vec<FuncRef>,
    /// What it needs by itself, and with what was taken in.
    own: Need,
    now: Need,
    above: u32,
    below: HashMap<usize, u32, Hashing>,
}

impl<'c> Calls<'c> {
    fn new(function: &Function, ctx: &Ctx<'c>) -> Self {
        let rest = called(function);
        let mut ever = vec![0; ctx.functions.len()];
        count(&rest, &mut ever);
        let (own, all) = (Need::of(function), ctx.calls);
        let (above, below) = (all.above(ctx.at), all.below(&rest));
        Self { all, ever, rest, own, now: own, above, below }
    }

    /// The functions that are called when another one is taken in: those that were called but for one call of that, and
    /// those that it calls.
    fn behind(&self, callee: FuncRef) -> Vec<FuncRef> {
        let mut rest = self.rest.clone();
        if let Some(at) = rest.iter().position(|&other| other == callee) {
            rest.swap_remove(at);
        }
        rest.extend(self.of(callee));
        rest
    }

    fn of(&self, callee: FuncRef) -> &[FuncRef] {
        self.all.callees.get(callee.index()).map_or(&[], Vec::as_slice)
    }

    /// Most bytes of the chains that begin with some functions.
    fn deepest(&self, functions: &[FuncRef]) -> u32 {
        functions.iter().filter_map(|callee| self.below.get(&callee.index())).copied().max().unwrap_or(0)
    }

    /// What is needed with a function taken in. One behind the other they use the same registers, and the same places for
    /// them.
    fn with(&self, callee: FuncRef) -> Need {
        let need = self.all.needs.get(callee.index()).copied().unwrap_or_default();
        let kept = self.own.with(need).kept.max(self.now.kept);
        Need { kept, ..self.now.with(need) }
    }

    /// Whether the stack suffices for a function to be taken in, or no chain gets longer by it.
    fn fits(&self, callee: FuncRef) -> bool {
        let deepest = self.deepest(&self.behind(callee));
        let after = self.above + self.with(callee).frame() + deepest;
        let before = self.above + self.now.frame() + self.deepest(&self.rest);
        after <= STACK || deepest <= self.deepest(self.of(callee)) && after <= before
    }

    fn take_in(&mut self, callee: FuncRef) {
        self.now = self.with(callee);
        self.rest = self.behind(callee);
        let calls = self.of(callee).to_vec();
        count(&calls, &mut self.ever);
    }
}

/// Adds the calls of each function.
fn count(calls: &[FuncRef], counts: &mut [usize]) {
    for callee in calls {
        if let Some(count) = counts.get_mut(callee.index()) {
            *count += 1;
        }
    }
}

/// The next call of a block that is to be replaced: its place, and what it calls.
fn next_call<'c>(
    function: &Function,
    block: Block,
    ctx: &Ctx<'c>,
    calls: &Calls<'_>,
) -> Option<(usize, FuncRef, &'c Function)> {
    function[block].insts.iter().enumerate().find_map(|(at, &inst)| {
        let InstData::Call(Callee::Func(callee), _) = function[inst].data else { return None };
        Some((at, callee, candidate(function, ctx, callee, calls)?))
    })
}

/// A function that may become part of another one.
fn is_possible<'c>(ctx: &Ctx<'c>, number: FuncRef) -> Option<&'c Function> {
    let callee = ctx.functions.get(number.index())?;
    // The one that is being changed is empty in the table.
    let possible = callee.kind == FuncKind::Static
        && callee.inlining != Inlining::Never
        && callee.terminator(callee.entry()).is_some()
        && !stays(callee, number);
    possible.then_some(callee)
}

fn candidate<'c>(function: &Function, ctx: &Ctx<'c>, number: FuncRef, calls: &Calls<'_>) -> Option<&'c Function> {
    let callee = is_possible(ctx, number)?;
    let insts = size(callee);
    if size(function) + insts > ctx.options.max_size {
        return None;
    }
    if callee.inlining == Inlining::Always {
        return Some(callee);
    }
    // Every program gets its own copy of a function anyway, so where this is the only call in one, nothing is saved by it.
    let once = insts <= ctx.options.inline_once && calls.ever.get(number.index()) == Some(&1);
    let small = insts <= ctx.options.inline_size || once || ctx.calls.references.get(number.index()) == Some(&1);
    (small && calls.fits(number)).then_some(callee)
}

/// Whether something in a function has to stay in one: legacy packet loads end the function that they stand in, and a
/// function that calls itself has no end.
fn stays(callee: &Function, number: FuncRef) -> bool {
    let insts = callee.blocks.iter().flat_map(|&block| &callee[block].insts);
    insts.into_iter().any(|&inst| match callee[inst].data {
        InstData::PacketLoad { .. } => true,
        InstData::Call(Callee::Func(called), _) => called == number,
        _ => false,
    })
}

/// What things of the callee are called in the caller.
struct Copied<'c> {
    callee: &'c Function,
    values: HashMap<Value, Value>,
    blocks: HashMap<Block, Block>,
    first_slot: usize,
    /// Where it goes on behind the call.
    behind: Block,
    /// Whether the result is read there.
    wanted: bool,
}

fn inline_call(function: &mut Function, block: Block, at: usize, callee: &Function) {
    let mut rest = function[block].insts.split_off(at);
    let call = rest.remove(0);
    let behind = function.add_block();
    function[behind].insts = rest;
    function.make_param(behind, call);
    let InstData::Call(_, args) = function[call].data.clone() else { return };
    let wanted = !function[behind].params.is_empty();
    let first_slot = function.slots.len();
    function.slots.extend(callee.slots.iter().cloned());
    let values = callee.params().iter().copied().zip(args).collect();
    let mut clone = Copied { callee, values, blocks: HashMap::new(), first_slot, behind, wanted };
    let copied = clone.blocks(function);
    clone.insts(function);
    let entry = clone.blocks[&callee.entry()];
    let jump = function.make_inst(InstData::Jump(Edge::to(entry)), &[], function[call].loc);
    function[block].insts.push(jump);
    // The code stands where the call stood.
    function.blocks.truncate(function.blocks.len() - copied.len() - 1);
    let place =
        function.blocks.iter().position(|&other| other == block).map_or(function.blocks.len(), |place| place + 1);
    function.blocks.splice(place..place, copied.into_iter().chain([behind]));
}

impl Copied<'_> {
    /// New blocks with their parameters. The parameters of the entry are the arguments of the call.
    fn blocks(&mut self, function: &mut Function) -> Vec<Block> {
        let mut copied = Vec::new();
        for &block in &self.callee.blocks {
            let copy = function.add_block();
            self.blocks.insert(block, copy);
            copied.push(copy);
            if block == self.callee.entry() {
                continue;
            }
            for &param in &self.callee[block].params {
                let value = function.add_param(copy, self.callee.ty(param));
                self.values.insert(param, value);
            }
        }
        copied
    }

    fn insts(&mut self, function: &mut Function) {
        let mut made: Vec<Inst> = Vec::new();
        for &block in &self.callee.blocks {
            for &inst in &self.callee[block].insts {
                let node = &self.callee[inst];
                let types: Vec<_> = node.results.iter().map(|&result| self.callee.ty(result)).collect();
                let copy = function.make_inst(self.data(&node.data), &types, node.loc);
                for (&old, &new) in node.results.iter().zip(&function[copy].results) {
                    self.values.insert(old, new);
                }
                function[self.blocks[&block]].insts.push(copy);
                made.push(copy);
            }
        }
        // Operands come last: a block may stand in front of the one that defines what it reads.
        for inst in made {
            let mut data = function[inst].data.clone();
            data.for_each_operand_mut(|value| *value = self.values.get(value).copied().unwrap_or(*value));
            function[inst].data = data;
        }
    }

    /// An instruction with blocks and objects of the caller, and operands of the callee.
    fn data(&self, data: &InstData) -> InstData {
        let mut data = match data {
            InstData::Return(value) => {
                let args = value.iter().copied().filter(|_| self.wanted).collect();
                return InstData::Jump(Edge { block: self.behind, args });
            }
            InstData::SlotAddr(slot) => InstData::SlotAddr(Slot::new(self.first_slot + slot.index())),
            data => data.clone(),
        };
        for edge in data.edges_mut() {
            edge.block = self.blocks[&edge.block];
        }
        data
    }
}
