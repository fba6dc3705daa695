//! Removes writes to objects on the stack that nothing reads: all writes to an object that is never read and whose
//! address stays here, and writes that are overwritten before anything can look, in one block. Of what fills an object only
//! that stays which is not overwritten.

use skep_ir::{Callee, Entity, Function, Inst, InstData, Memory, Value};

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
            if let Some(parts) = target.and_then(|place| trim(function, inst, place, &covered)) {
                changed = true;
                kept.extend(parts.into_iter().rev());
            } else {
                kept.push(inst);
            }
            update(function, inst, target, &escaping, &mut covered);
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
    if matches!(data, InstData::Call(..)) && sees_stack(function, inst) {
        covered.retain(|place| place.slot.is_some_and(|slot| !escaping[slot.index()]));
    }
    if let Some(place) = effects::read(function, inst) {
        covered.retain(|later| !later.overlaps(&place));
    }
    if data.is_terminator() || matches!(data, InstData::PacketLoad { .. }) {
        covered.clear();
    }
}

/// Whether a call gets the address of an object on the stack, perhaps as a number.
fn sees_stack(function: &Function, inst: Inst) -> bool {
    let InstData::Call(callee, args) = &function[inst].data else { return true };
    let hidden = |value: Value| match function.ty(value).pointer() {
        Some(pointer) => pointer.to != Memory::Stack,
        None => function.constant(value).is_some(),
    };
    !matches!(callee, Callee::Helper(_)) || !args.iter().all(|&arg| hidden(arg))
}

/// What has to be left of an instruction that fills bytes, of which others are written later: instructions, in order.
/// `None` if that is not less.
fn trim(function: &mut Function, inst: Inst, place: Place, covered: &[Place]) -> Option<Vec<Inst>> {
    let InstData::Fill { to, len, byte, .. } = function[inst].data else { return None };
    // The bytes from the start of the fill on that stay.
    let mut left = vec![(0, i64::from(len))];
    for later in covered.iter().filter(|later| later.overlaps(&place) && later.slot == place.slot) {
        let (start, end) = (later.offset - place.offset, later.offset - place.offset + i64::from(later.len));
        left = left
            .into_iter()
            .flat_map(|(from, to)| [(from, to.min(start)), (from.max(end), to)])
            .filter(|part| part.0 < part.1)
            .collect();
    }
    let stores = |&(from, to): &(i64, i64)| moves(place.offset + from, place.offset + to).count();
    if left.iter().map(stores).sum::<usize>() >= moves(place.offset, place.offset + i64::from(len)).count() {
        return None;
    }
    let (loc, ty) = (function[inst].loc, function.ty(to));
    let most = place.slot.map_or(1, |slot| function[slot].align);
    let mut insts = Vec::new();
    for (from, until) in left {
        let step = InstData::PtrAddConst(to, i32::try_from(from).ok()?);
        let pointer = function.make_inst(step, &[ty], loc);
        let (to, len) = (function[pointer].results[0], u32::try_from(until - from).ok()?);
        let align = most.min(alignment(place.offset + from) as u8);
        let fill = function.make_inst(InstData::Fill { to, len, byte, align }, &[], loc);
        insts.extend([pointer, fill]);
    }
    Some(insts)
}

/// Of which an offset in an object is a multiple: objects begin at multiples of eight.
const fn alignment(offset: i64) -> i64 {
    1 << (offset | 8).trailing_zeros()
}

/// The offsets at which aligned stores cover some bytes of an object.
fn moves(start: i64, end: i64) -> impl Iterator<Item = i64> {
    let next = move |at: &i64| {
        let mut len = alignment(*at);
        while *at + len > end {
            len /= 2;
        }
        Some(*at + len).filter(|&at| at < end)
    };
    std::iter::successors(Some(start).filter(|_| start < end), next)
}
