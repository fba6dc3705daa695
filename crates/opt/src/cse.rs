//! Computes once what is computed twice, loads and asks once what is loaded and asked twice, and writes once what is
//! written twice.
//!
//! An instruction is replaced by an equal one that stands on every way to it. Nothing moves. For loads, no instruction on
//! a way between the two may write the bytes; what a store wrote is what a load behind it gives. The same holds for looking
//! up a key, where asked ([`Options::merge_lookups`](crate::Options::merge_lookups)).
//!
//! This is needed, not only cheaper: the verifier knows nothing about the second load of what the first one checked, and
//! takes two equal sums of a packet pointer and a variable for two different packet pointers.

use std::collections::HashMap;

use skep_ir::analysis::Dominators;
use skep_ir::{Block, Callee, Entity, Function, Inst, InstData, MapRef, Memory, Type, Value, Width};

use crate::Ctx;
use crate::effects::{self, Place};
use crate::util::{Hashing, Renames};

/// Something that is known about bytes.
#[derive(Clone)]
struct Known {
    place: Place,
    fact: Fact,
    ty: Type,
    value: Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fact {
    /// A load of these bytes gives the value.
    Loaded {
        /// Whether it extends by the sign.
        signed: bool,
    },
    /// The lowest bytes of the value were written here.
    Stored,
    /// Looking the key up that these bytes are gives the value.
    Found(MapRef),
}

struct Walk<'f, 'c> {
    function: &'f mut Function,
    ctx: &'c Ctx<'c>,
    renames: Renames,
    /// For each pure instruction its results, in the blocks above.
    known: HashMap<Key, Vec<Value>, Hashing>,
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

/// The pass. Operands are looked at before what reads them, so that what was merged makes more equal at once.
pub fn cse(function: &mut Function, ctx: &Ctx) -> bool {
    let dominators = Dominators::new(function);
    let children = dominators.children();
    let mut walk = Walk {
        renames: Renames::new(function),
        known: HashMap::default(),
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
            let steady = matches!(data, InstData::Call(callee, _) if callee.is_steady());
            let replaced = if let InstData::Load { volatile: false, .. } = data {
                self.load(inst, &mut loads)
            } else if (data.is_pure() || steady) && self.function[inst].results.len() == 1 {
                self.pure(inst, &mut keys)
            } else {
                let again = self.found(inst, &loads) || self.is_stored(inst, &loads);
                if !again {
                    loads.retain(|known| !self.kills(inst, known));
                    self.learn(inst, &mut loads);
                }
                again
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
        let fact = Fact::Loaded { signed: matches!(node.data, InstData::Load { signed: true, .. }) };
        let found = loads.iter().rev().find(|known| known.ty == ty && known.fact == fact && known.place == place);
        if let Some(known) = found {
            self.renames.set(result, known.value);
            return true;
        }
        loads.push(Known { place, fact, ty, value: result });
        false
    }

    /// Whether a store to the stack writes what is there.
    fn is_stored(&self, inst: Inst, loads: &[Known]) -> bool {
        let InstData::Store { value, volatile: false, .. } = self.function[inst].data else { return false };
        let Some(place) = effects::written(self.function, inst).filter(|place| place.slot.is_some()) else {
            return false;
        };
        loads.iter().any(|known| known.fact == Fact::Stored && known.value == value && known.place == place)
    }

    /// The bytes of the key that a call looks up, and the map.
    fn lookup(&self, inst: Inst) -> Option<(Place, MapRef)> {
        /// `bpf_map_lookup_elem`
        const LOOKUP: u32 = 1;
        let InstData::Call(Callee::Helper(LOOKUP), args) = &self.function[inst].data else { return None };
        let (&[map, key], true) = (&args[..], self.ctx.options.merge_lookups) else { return None };
        let Some(&InstData::MapAddr(map)) = self.function.def_inst(map) else { return None };
        let decl = self.ctx.maps.get(map.index())?;
        Some((Place::new(self.function, key, 0, decl.key_size)?, map))
    }

    /// Whether a call looks up what was looked up.
    fn found(&mut self, inst: Inst, loads: &[Known]) -> bool {
        let (Some((place, map)), Some(&result)) = (self.lookup(inst), self.function[inst].results.first()) else {
            return false;
        };
        let ty = self.function.ty(result);
        let before =
            loads.iter().rev().find(|known| known.fact == Fact::Found(map) && known.place == place && known.ty == ty);
        let Some(before) = before else { return false };
        self.renames.set(result, before.value);
        true
    }

    /// What an instruction says about memory behind it.
    fn learn(&self, inst: Inst, loads: &mut Vec<Known>) {
        if let (Some((place, map)), Some(&value)) = (self.lookup(inst), self.function[inst].results.first()) {
            loads.push(Known { place, fact: Fact::Found(map), ty: self.function.ty(value), value });
        }
        let InstData::Store { width, value, volatile: false, .. } = self.function[inst].data else { return };
        let ty = self.function.ty(value);
        let whole = match width {
            Width::W64 => ty != Type::I32,
            Width::W32 => ty == Type::I32,
            Width::W8 | Width::W16 => false,
        };
        let Some(place) = effects::written(self.function, inst) else { return };
        loads.push(Known { place, fact: Fact::Stored, ty, value });
        // No bit is lost.
        if whole {
            loads.push(Known { place, fact: Fact::Loaded { signed: false }, ty, value });
        }
    }

    /// Whether what is known may not hold any more behind an instruction.
    fn kills(&self, inst: Inst, known: &Known) -> bool {
        let place = &known.place;
        match &self.function[inst].data {
            InstData::Call(callee, _) => match (known.fact, place.class) {
                (Fact::Found(_), _) => callee.changes_memory(),
                _ if effects::is_read_only(place.class, self.ctx.globals) => false,
                (_, Memory::Stack) => {
                    let own = place.slot.is_some_and(|slot| !self.escaping[slot.index()]);
                    !own && callee.writes_arguments()
                }
                _ => callee.changes_memory(),
            },
            _ if effects::is_read_only(place.class, self.ctx.globals) => false,
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
                    alive.retain(|known| !self.kills(inst, known));
                }
            }
            work.extend(&self.predecessors[block.index()]);
        }
        alive
    }
}
