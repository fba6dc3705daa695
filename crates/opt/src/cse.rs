//! Computes once what is computed twice, and loads once what is loaded twice.
//!
//! An instruction is replaced by an equal one that stands on every way to it. Nothing moves. For loads, no instruction on
//! a way between the two may write the bytes; what a store wrote is what a load behind it gives.
//!
//! This is needed, not only cheaper: the verifier knows nothing about the second load of what the first one checked, and
//! takes two equal sums of a packet pointer and a variable for two different packet pointers.

use std::collections::HashMap;

use skep_ir::analysis::Dominators;
use skep_ir::{Block, Entity, Function, Inst, InstData, Type, Value, Width};

use crate::Ctx;
use crate::effects::{self, Place};
use crate::util::Renames;

/// The pass.
pub fn cse(function: &mut Function, ctx: &Ctx) -> bool {
    let mut changed = false;
    // A merged load makes more addresses equal.
    while round(function, ctx) {
        changed = true;
    }
    changed
}

/// Bytes whose content is known.
#[derive(Clone)]
struct Known {
    place: Place,
    load: InstData,
    ty: Type,
    value: Value,
}

struct Walk<'f, 'c> {
    function: &'f mut Function,
    ctx: &'c Ctx<'c>,
    renames: Renames,
    /// For each pure instruction its results, in the blocks above.
    known: HashMap<Key, Vec<Value>>,
    escaping: Vec<bool>,
    predecessors: Vec<Vec<Block>>,
    changed: bool,
}

/// What is computed: an instruction and the type of its result.
type Key = (InstData, Type);

/// A walk through the tree of dominators enters blocks and leaves them.
enum Step {
    Enter(Block, Vec<Known>),
    Leave(Vec<Key>),
}

fn round(function: &mut Function, ctx: &Ctx) -> bool {
    let dominators = Dominators::new(function);
    let children = dominators.children();
    let mut walk = Walk {
        renames: Renames::new(function),
        known: HashMap::new(),
        escaping: effects::escaping_slots(function),
        predecessors: function.predecessors(),
        changed: false,
        function,
        ctx,
    };
    let mut stack = vec![Step::Enter(walk.function.entry(), Vec::new())];
    while let Some(step) = stack.pop() {
        match step {
            Step::Leave(keys) => keys.iter().for_each(|key| {
                walk.known.get_mut(key).and_then(Vec::pop);
            }),
            Step::Enter(block, loads) => {
                let (keys, loads) = walk.block(block, loads);
                stack.push(Step::Leave(keys));
                for &child in &children[block.index()] {
                    let alive = walk.between(block, child, &loads);
                    stack.push(Step::Enter(child, alive));
                }
            }
        }
    }
    let changed = walk.changed;
    let renames = walk.renames;
    renames.apply(function);
    changed
}

impl Walk<'_, '_> {
    /// One block. The keys that it added, and what is known about memory at its end.
    fn block(&mut self, block: Block, mut loads: Vec<Known>) -> (Vec<Key>, Vec<Known>) {
        let mut keys = Vec::new();
        let mut kept = Vec::new();
        for inst in std::mem::take(&mut self.function[block].insts) {
            self.renames.apply_to(&mut self.function[inst].data);
            let data = &self.function[inst].data;
            let replaced = if let InstData::Load { volatile: false, .. } = data {
                self.load(inst, &mut loads)
            } else if data.is_pure() && self.function[inst].results.len() == 1 {
                self.pure(inst, &mut keys)
            } else {
                loads.retain(|known| !self.kills(inst, &known.place));
                self.stored(inst, &mut loads);
                false
            };
            self.changed |= replaced;
            if !replaced {
                kept.push(inst);
            }
        }
        self.function[block].insts = kept;
        (keys, loads)
    }

    fn pure(&mut self, inst: Inst, keys: &mut Vec<Key>) -> bool {
        let node = &self.function[inst];
        let result = node.results[0];
        let mut data = node.data.clone();
        if let InstData::Binary(op, args) = &mut data
            && op.commutes()
        {
            args.sort_unstable();
        }
        let key = (data, self.function.ty(result));
        let values = self.known.entry(key.clone()).or_default();
        if let Some(&value) = values.last() {
            self.renames.set(result, value);
            return true;
        }
        values.push(result);
        keys.push(key);
        false
    }

    fn load(&mut self, inst: Inst, loads: &mut Vec<Known>) -> bool {
        let node = &self.function[inst];
        let result = node.results[0];
        let ty = self.function.ty(result);
        let Some(place) = effects::read(self.function, inst) else { return false };
        let shape = shape(&node.data);
        let found = loads.iter().rev().find(|known| known.ty == ty && known.load == shape && known.place == place);
        if let Some(known) = found {
            self.renames.set(result, known.value);
            return true;
        }
        loads.push(Known { place, load: shape, ty, value: result });
        false
    }

    /// What a store says about a load behind it, if no bit is lost.
    fn stored(&self, inst: Inst, loads: &mut Vec<Known>) {
        let InstData::Store { width, ptr, off, value, volatile: false } = self.function[inst].data else { return };
        let ty = self.function.ty(value);
        let whole = match width {
            Width::W64 => ty != Type::I32,
            Width::W32 => ty == Type::I32,
            Width::W8 | Width::W16 => false,
        };
        let Some(place) = effects::written(self.function, inst).filter(|_| whole) else { return };
        let load = shape(&InstData::Load { width, signed: false, ptr, off, volatile: false });
        loads.push(Known { place, load, ty, value });
    }

    /// Whether an instruction may change bytes.
    fn kills(&self, inst: Inst, place: &Place) -> bool {
        if effects::is_read_only(place.class, self.ctx.globals) {
            return false;
        }
        match &self.function[inst].data {
            InstData::Call(callee, _) => {
                let own = place.slot.is_some_and(|slot| !self.escaping[slot.index()]);
                !own && !effects::is_quiet(*callee)
            }
            _ => effects::written(self.function, inst).is_some_and(|written| self.may_overlap(&written, place)),
        }
    }

    /// Whether two places may share a byte; a stack pointer of unknown origin is in an object whose address escapes.
    fn may_overlap(&self, one: &Place, other: &Place) -> bool {
        let apart = |known: &Place, unknown: &Place| {
            unknown.slot.is_none() && known.slot.is_some_and(|slot| !self.escaping[slot.index()])
        };
        one.overlaps(other) && !apart(one, other) && !apart(other, one)
    }

    /// What of the knowledge at the end of a block holds at the start of one whose immediate dominator it is: what no
    /// block on a way between them changes.
    fn between(&self, above: Block, below: Block, loads: &[Known]) -> Vec<Known> {
        let mut seen = vec![false; self.function.block_count()];
        let mut work: Vec<Block> = self.predecessors[below.index()].clone();
        let mut alive = loads.to_vec();
        while let Some(block) = work.pop() {
            if block == above || alive.is_empty() || std::mem::replace(&mut seen[block.index()], true) {
                continue;
            }
            for &inst in &self.function[block].insts {
                if self.function[inst].data.has_effect() {
                    alive.retain(|known| !self.kills(inst, &known.place));
                }
            }
            work.extend(&self.predecessors[block.index()]);
        }
        alive
    }
}

/// A load without its address.
fn shape(data: &InstData) -> InstData {
    let mut data = data.clone();
    if let InstData::Load { ptr, off, .. } = &mut data {
        *ptr = Value(0);
        *off = 0;
    }
    data
}
