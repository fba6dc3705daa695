//! Removes writes to objects on the stack that nothing reads: all writes to an object that is never read and whose
//! address stays here, and writes that are overwritten before anything can look, in one block.

use skep_ir::{Entity, Function, Inst, InstData};

use crate::Ctx;
use crate::effects::{self, Place};

/// The pass.
pub fn dse(function: &mut Function, _ctx: &Ctx) -> bool {
    let escaping = effects::escaping_slots(function);
    let mut read = escaping.clone();
    for &block in &function.blocks {
        for &inst in &function[block].insts {
            mark_read(function, inst, &mut read);
        }
    }
    let mut changed = false;
    for block in function.blocks.clone() {
        let insts = std::mem::take(&mut function[block].insts);
        let mut kept: Vec<Inst> = Vec::with_capacity(insts.len());
        // Backwards: bytes that are written again before they are read.
        let mut covered: Vec<Place> = Vec::new();
        for &inst in insts.iter().rev() {
            let target = plain_write(function, inst);
            let dead = target.is_some_and(|place| {
                place.slot.is_some_and(|slot| !read[slot.index()]) || covered.iter().any(|later| later.covers(&place))
            });
            if dead {
                changed = true;
                continue;
            }
            update(function, inst, target, &escaping, &mut covered);
            kept.push(inst);
        }
        kept.reverse();
        function[block].insts = kept;
    }
    changed
}

/// Marks the objects that an instruction reads.
fn mark_read(function: &Function, inst: Inst, read: &mut [bool]) {
    let volatile = match function[inst].data {
        InstData::Store { volatile: true, ptr, .. } => effects::origin(function, ptr).2,
        _ => None,
    };
    let places = [effects::read(function, inst).and_then(|place| place.slot), volatile];
    for slot in places.into_iter().flatten() {
        read[slot.index()] = true;
    }
}

/// The bytes of the stack that an instruction writes and does nothing else.
fn plain_write(function: &Function, inst: Inst) -> Option<Place> {
    match function[inst].data {
        InstData::Store { volatile: false, .. } | InstData::Fill { .. } | InstData::Copy { .. } => {
            effects::written(function, inst).filter(|place| place.slot.is_some())
        }
        _ => None,
    }
}

fn update(function: &Function, inst: Inst, target: Option<Place>, escaping: &[bool], covered: &mut Vec<Place>) {
    let data = &function[inst].data;
    if let Some(place) = target {
        covered.push(place);
    }
    if matches!(data, InstData::Call(..)) {
        covered.retain(|place| place.slot.is_some_and(|slot| !escaping[slot.index()]));
    }
    if let Some(place) = effects::read(function, inst) {
        covered.retain(|later| !later.overlaps(&place));
    }
    if data.is_terminator() || matches!(data, InstData::PacketLoad { .. }) {
        covered.clear();
    }
}
