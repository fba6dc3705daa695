//! Puts static functions into their callers: those that are small, and those that are called once.
//!
//! What is verified by itself (global functions, callbacks) stays a function. So does what would make the frame of the
//! caller larger than the 512 bytes that the kernel allows.

use std::collections::HashMap;

use skep_ir::{Block, Callee, Edge, Entity, FuncKind, FuncRef, Function, Inst, InstData, Slot, Value};

use crate::Ctx;
use crate::pipeline::{called, size};

/// Bytes that the objects of one function may take, each in a multiple of eight.
const FRAME: u32 = 512;

/// The pass.
pub fn inline(function: &mut Function, ctx: &Ctx) -> bool {
    let before = function.blocks.len();
    let mut calls = vec![0; ctx.functions.len()];
    count_calls(function, &mut calls);
    let mut place = 0;
    // What was called stands behind the block of the call, with calls of its own, which are those of an acyclic graph.
    while let Some(&block) = function.blocks.get(place) {
        match next_call(function, block, ctx, &calls) {
            Some((at, callee)) => {
                count_calls(callee, &mut calls);
                inline_call(function, block, at, callee);
            }
            None => place += 1,
        }
    }
    function.blocks.len() != before
}

/// Adds the calls of each function.
fn count_calls(function: &Function, calls: &mut [usize]) {
    for callee in called(function) {
        if let Some(count) = calls.get_mut(callee.index()) {
            *count += 1;
        }
    }
}

/// The next call of a block that is to be replaced.
fn next_call<'c>(function: &Function, block: Block, ctx: &Ctx<'c>, calls: &[usize]) -> Option<(usize, &'c Function)> {
    function[block].insts.iter().enumerate().find_map(|(at, &inst)| {
        let InstData::Call(Callee::Func(callee), _) = function[inst].data else { return None };
        Some((at, candidate(function, ctx, callee, calls)?))
    })
}

fn candidate<'c>(function: &Function, ctx: &Ctx<'c>, number: FuncRef, calls: &[usize]) -> Option<&'c Function> {
    let callee = ctx.functions.get(number.index())?;
    // The one that is being changed is empty in the table.
    if callee.kind != FuncKind::Static || callee.terminator(callee.entry()).is_none() {
        return None;
    }
    let insts = size(callee);
    // Every program gets its own copy of a function anyway, so where this is the only call in one, nothing is saved by it.
    let once = insts <= ctx.options.inline_once && calls.get(number.index()) == Some(&1);
    let small = insts <= ctx.options.inline_size || once || ctx.references.get(number.index()) == Some(&1);
    let fits = size(function) + insts <= ctx.options.max_size && frame(function) + frame(callee) <= FRAME;
    (small && fits && !stays(callee, number)).then_some(callee)
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

fn frame(function: &Function) -> u32 {
    function.slots.iter().map(|slot| slot.size.next_multiple_of(8)).sum()
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
