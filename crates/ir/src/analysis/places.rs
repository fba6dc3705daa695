//! Where the objects of a function lie in its frame: those that are never in use at the same time share bytes.

use super::reverse_postorder;
use crate::entity::{Block, Entity, Slot, Value};
use crate::function::Function;
use crate::inst::{Callee, InstData};

/// More objects than this lie one behind the other, and so do those of a small frame: nothing is to be won there.
const MOST_OBJECTS: usize = 128;
/// Bytes of a frame that is small.
const SMALL: u32 = 64;

/// The places of all objects on the stack that are used.
///
/// An object is in use from the first instruction that may touch it, by its address or one that was made of it, to the
/// last. Objects whose address is kept somewhere are in use everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    offsets: Vec<Option<u32>>,
    /// Bytes of the frame, a multiple of eight.
    pub size: u32,
}

/// For each object whether something holds of it.
type Set = u128;

impl Places {
    /// Of a function.
    pub fn new(function: &Function) -> Self {
        let touches = Touches::new(function);
        let used: Vec<usize> = (0..function.slots.len()).filter(|&slot| touches.used[slot]).collect();
        let bytes = |slot: usize| function.slots[slot].size.checked_next_multiple_of(8).unwrap_or(u32::MAX);
        let mut places = Self { offsets: vec![None; function.slots.len()], size: 0 };
        let sum = used.iter().fold(0u32, |sum, &slot| sum.saturating_add(bytes(slot)));
        if sum <= SMALL || used.len() > MOST_OBJECTS {
            for slot in used {
                places.offsets[slot] = Some(places.size);
                places.size = places.size.saturating_add(bytes(slot));
            }
            return places;
        }
        let conflicts = conflicts(function, &touches, &used);
        // Large ones first; the smaller ones fill what is left beside them.
        let mut order: Vec<usize> = (0..used.len()).collect();
        order.sort_by_key(|&number| (std::cmp::Reverse(bytes(used[number])), number));
        for number in order {
            let own = bytes(used[number]);
            let mut taken: Vec<(u32, u32)> = (0..used.len())
                .filter(|&other| conflicts[number] & 1 << other != 0)
                .filter_map(|other| Some((places.offsets[used[other]]?, bytes(used[other]))))
                .collect();
            taken.sort_unstable();
            let mut start = 0u32;
            for (other, len) in taken {
                if start.saturating_add(own) <= other {
                    break;
                }
                start = start.max(other.saturating_add(len));
            }
            places.offsets[used[number]] = Some(start);
            places.size = places.size.max(start.saturating_add(own));
        }
        places
    }

    /// Bytes between the start of the frame, at whichever end that is, and the object; `None` if nothing uses it.
    pub fn offset(&self, slot: Slot) -> Option<u32> {
        self.offsets.get(slot.index()).copied().flatten()
    }
}

/// Which instructions touch which objects.
struct Touches {
    /// The object that a value is an address in.
    object: Vec<Option<Slot>>,
    used: Vec<bool>,
    /// Objects whose address is kept.
    kept: Vec<bool>,
}

impl Touches {
    fn new(function: &Function) -> Self {
        let mut touches = Self {
            object: vec![None; function.value_count()],
            used: vec![false; function.slots.len()],
            kept: vec![false; function.slots.len()],
        };
        // Definitions come in front of what reads them.
        for block in reverse_postorder(function) {
            for &inst in &function[block].insts {
                let node = &function[inst];
                let gives_pointer = node.results.iter().any(|&result| !function.ty(result).is_int());
                touches.follow(&node.data, &node.results, gives_pointer);
            }
        }
        touches
    }

    fn follow(&mut self, data: &InstData, results: &[Value], gives_pointer: bool) {
        match data {
            InstData::SlotAddr(slot) => {
                if let (Some(used), [result]) = (self.used.get_mut(slot.index()), results) {
                    *used = true;
                    self.object[result.index()] = Some(*slot);
                }
            }
            InstData::PtrAdd(from, _) | InstData::PtrAddConst(from, _) => {
                results.iter().for_each(|result| self.object[result.index()] = self.object[from.index()]);
            }
            InstData::Branch { args, .. } => {
                for (result, arg) in results.iter().zip(args) {
                    self.object[result.index()] = self.object[arg.index()];
                }
            }
            InstData::Load { .. }
            | InstData::Fill { .. }
            | InstData::Copy { .. }
            | InstData::Compare(..)
            | InstData::PtrDiff(..)
            | InstData::Call(Callee::Helper(_), _) => {}
            InstData::Store { value, .. } | InstData::Atomic { value, .. } => self.keep(*value),
            InstData::CompareExchange { expected, value, .. } => {
                self.keep(*expected);
                self.keep(*value);
            }
            // A function may give back a part of what it was given.
            InstData::Call(_, args) if gives_pointer => args.iter().for_each(|&arg| self.keep(arg)),
            InstData::Call(..) => {}
            data => data.for_each_own_operand(|value| self.keep(value)),
        }
        for edge in data.edges() {
            edge.args.iter().for_each(|&arg| self.keep(arg));
        }
    }

    fn keep(&mut self, value: Value) {
        if let Some(slot) = self.object[value.index()] {
            self.kept[slot.index()] = true;
        }
    }
}

/// For each used object those that are in use while it is.
fn conflicts(function: &Function, touches: &Touches, used: &[usize]) -> Vec<Set> {
    let mut number = vec![None; function.slots.len()];
    used.iter().enumerate().for_each(|(at, &slot)| number[slot] = Some(at));
    let of = |value: Value| touches.object[value.index()].and_then(|slot| number[slot.index()]);
    let order = reverse_postorder(function);
    let mut touched: Vec<Set> = vec![0; function.block_count()];
    for &block in &order {
        for &inst in &function[block].insts {
            function[inst].data.for_each_operand(|value| touched[block.index()] |= of(value).map_or(0, |at| 1 << at));
        }
    }
    let (before, behind) = (reach(function, &order, &touched, true), reach(function, &order, &touched, false));
    let mut conflicts: Vec<Set> = vec![0; used.len()];
    for &block in &order {
        let through = before[block.index()] & behind[block.index()];
        if touched[block.index()] == 0 {
            add(&mut conflicts, through);
            continue;
        }
        // What is touched behind each instruction, and then forwards what is in use at each.
        let insts = &function[block].insts;
        let mut later = vec![behind[block.index()]; insts.len() + 1];
        let at = |place: usize| {
            let mut set: Set = 0;
            function[insts[place]].data.for_each_operand(|value| set |= of(value).map_or(0, |at| 1 << at));
            set
        };
        for place in (0..insts.len()).rev() {
            later[place] = later[place + 1] | at(place);
        }
        let mut earlier = before[block.index()];
        for (place, &later) in later.iter().enumerate().take(insts.len()) {
            let own = at(place);
            earlier |= own;
            if own != 0 {
                add(&mut conflicts, earlier & later);
            }
        }
        add(&mut conflicts, through);
    }
    let everywhere: Set =
        used.iter().enumerate().filter(|(_, slot)| touches.kept[**slot]).fold(0, |set, (at, _)| set | 1 << at);
    for (at, set) in conflicts.iter_mut().enumerate() {
        *set = if everywhere & 1 << at != 0 { Set::MAX } else { *set | everywhere };
    }
    conflicts
}

/// Everything in a set is in use at once.
fn add(conflicts: &mut [Set], set: Set) {
    let mut rest = set;
    while rest != 0 {
        conflicts[rest.trailing_zeros() as usize] |= set;
        rest &= rest - 1;
    }
}

/// For each block what may be touched in front of it, or with `false` behind it.
fn reach(function: &Function, order: &[Block], touched: &[Set], forwards: bool) -> Vec<Set> {
    let mut sets: Vec<Set> = vec![0; function.block_count()];
    let mut changed = true;
    while std::mem::take(&mut changed) {
        for number in 0..order.len() {
            let block = if forwards { order[number] } else { order[order.len() - 1 - number] };
            let own = sets[block.index()] | touched[block.index()];
            for next in function.successors(block) {
                let (to, set) =
                    if forwards { (next, own) } else { (block, sets[next.index()] | touched[next.index()]) };
                changed |= sets[to.index()] | set != sets[to.index()];
                sets[to.index()] |= set;
            }
        }
    }
    sets
}
