//! What the kernel keeps on the stack of a program: iterators, dynptrs, saved flags of interrupts
//! (`process_iter_arg`, `process_dynptr_func`, `process_irq_flag`).

use crate::memory::Access;
use crate::profile::Kernel;
use crate::reg::{DynptrKind, Kind, Reg, Special, Trust};
use crate::reject::{Reason, Step};
use crate::rules;
use crate::search::Verifier;
use crate::stack::Extent;
use crate::state::{Byte, PACKET_SLICE, Slot, State};

/// Bytes of a dynptr.
const DYNPTR: u32 = 16;

/// A place on the stack: depth of the frame, and the slot at the lowest address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The depth of the frame.
    pub depth: usize,
    /// The slot at the lowest address; the others have lower numbers.
    pub slot: usize,
}

/// A dynptr that was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// What it stands for.
    pub kind: DynptrKind,
    /// Its number, which its slices carry.
    pub id: u32,
    /// The reference that it stands for; 0 for none.
    pub reference: u32,
    /// Where it is; `None` if it is the caller's.
    pub place: Option<Place>,
}

impl Verifier<'_> {
    /// Where a pointer to `bytes` bytes of stack points; it has to be a constant place.
    pub fn stack_place(&mut self, state: &State, pointer: &Reg, bytes: u32) -> Step<Place> {
        let Kind::Stack(depth) = pointer.kind else { return Err(Reason::Rule(&rules::STACK_PLACE).into()) };
        let off = pointer.fixed_offset().ok_or(Reason::Rule(&rules::STACK_PLACE))?;
        if off % 8 != 0 {
            return Err(Reason::Rule(&rules::STACK_PLACE).into());
        }
        self.stack_extent(state, pointer, 0, bytes)?;
        let slot = usize::try_from(-off / 8 - 1).map_err(|_| Reason::Rule(&rules::STACK_PLACE))?;
        Ok(Place { depth: usize::from(depth), slot })
    }

    /// The slots are going to be something of the kernel: what is there is overwritten.
    fn claim(&mut self, state: &mut State, pointer: &Reg, place: Place, count: usize) -> Step<()> {
        for number in 0..count {
            let off = i64::try_from(8 * number).unwrap_or(0);
            let access = Access { reg: 10, off, size: 8, write: true };
            let extent = self.stack_extent(state, pointer, access.off, access.size)?;
            self.stack_write(state, extent, 8, None, None)?;
        }
        let frame = &mut state.frames[place.depth];
        frame.slot(place.slot);
        Ok(())
    }

    fn put(&mut self, state: &mut State, place: Place, count: usize, value: impl Fn(bool) -> Reg) {
        for number in 0..count {
            let slot = state.frames[place.depth].slot(place.slot - number);
            *slot = Slot { bytes: [Byte::Kernel; 8], value: value(number == 0) };
        }
    }

    fn clear(state: &mut State, place: Place, count: usize) {
        for number in 0..count {
            *state.frames[place.depth].slot(place.slot - number) = Slot::EMPTY;
        }
    }

    /// What is at a place, as the first slot says.
    fn at_place(state: &State, place: Place) -> Option<Reg> {
        let slot = state.frames[place.depth].stack.get(place.slot)?;
        slot.special().map(|_| slot.value)
    }

    /// Whether `count` slots are one thing of the kernel.
    fn is_whole(state: &State, place: Place, count: usize, wanted: impl Fn(Special) -> bool) -> bool {
        let frame = &state.frames[place.depth];
        (0..count).all(|number| {
            let slot = place.slot.checked_sub(number).and_then(|slot| frame.stack.get(slot));
            slot.is_some_and(|slot| slot.bytes == [Byte::Kernel; 8] && slot.special().is_some_and(&wanted))
        })
    }

    /// An iterator begins.
    pub fn begin_iterator(
        &mut self,
        state: &mut State,
        at: u32,
        pointer: &Reg,
        ty: u32,
        size: u32,
        trust: Trust,
    ) -> Step<()> {
        let place = self.stack_place(state, pointer, size)?;
        let count = size.div_ceil(8) as usize;
        let frame = &state.frames[place.depth];
        let taken = (0..count).any(|number| {
            let slot = place.slot.checked_sub(number).and_then(|slot| frame.stack.get(slot));
            matches!(slot.and_then(Slot::special), Some(Special::Iterator { .. }))
        });
        if taken {
            return Err(Reason::Rule(&rules::ITER_INITIALIZED).into());
        }
        self.claim(state, pointer, place, count)?;
        let id = self.id();
        state.acquire(id, at);
        let value = |first| Reg {
            kind: Kind::Special(Special::Iterator { kind: ty, first, drained: false, trust }),
            reference: if first { id } else { 0 },
            ..Reg::UNSET
        };
        self.put(state, place, count, value);
        state.iterators.insert(place, 0);
        Ok(())
    }

    /// The iterator that a pointer points to: it has to have begun.
    pub fn iterator(&mut self, state: &State, pointer: &Reg, ty: u32, size: u32) -> Step<Place> {
        let place = self.stack_place(state, pointer, size)?;
        let count = size.div_ceil(8) as usize;
        let whole = Self::is_whole(
            state,
            place,
            count,
            |special| matches!(special, Special::Iterator { kind, .. } if kind == ty),
        );
        let first = Self::at_place(state, place);
        let Some(Kind::Special(Special::Iterator { first: true, trust, .. })) = first.map(|value| value.kind) else {
            return Err(Reason::Rule(&rules::ITER_UNINITIALIZED).into());
        };
        if !whole {
            return Err(Reason::Rule(&rules::ITER_UNINITIALIZED).into());
        }
        if trust == Trust::Untrusted {
            return Err(Reason::Rule(&rules::ITER_RCU).into());
        }
        Ok(place)
    }

    /// An iterator ends.
    pub fn end_iterator(&mut self, state: &mut State, pointer: &Reg, ty: u32, size: u32) -> Step<()> {
        let place = self.iterator(state, pointer, ty, size)?;
        if let Some(value) = Self::at_place(state, place) {
            state.release(value.reference, self.lost());
        }
        Self::clear(state, place, size.div_ceil(8) as usize);
        state.iterators.remove(&place);
        Ok(())
    }

    /// Whether an iterator is at its end, and whether its elements need the RCU read lock.
    pub fn iterator_state(state: &State, place: Place) -> Option<(bool, Trust)> {
        match Self::at_place(state, place)?.kind {
            Kind::Special(Special::Iterator { drained, trust, .. }) => Some((drained, trust)),
            _ => None,
        }
    }

    /// The iterator is at its end.
    pub fn drain_iterator(state: &mut State, place: Place) {
        let slot = state.frames[place.depth].slot(place.slot);
        if let Kind::Special(Special::Iterator { drained, .. }) = &mut slot.value.kind {
            *drained = true;
        }
        state.iterators.remove(&place);
    }

    /// A dynptr is initialised; `reference` is that of the one it is a copy of.
    pub fn new_dynptr(
        &mut self,
        state: &mut State,
        at: u32,
        pointer: &Reg,
        kind: DynptrKind,
        reference: u32,
    ) -> Step<()> {
        if !matches!(pointer.kind, Kind::Stack(_)) {
            return Err(Reason::Rule(&rules::DYNPTR_UNINITIALIZED).into());
        }
        let place = self.stack_place(state, pointer, DYNPTR)?;
        let is_dynptr = |special| matches!(special, Special::Dynptr { .. });
        if self.kernel <= Kernel::V6_1
            && (0..2).any(|number| {
                Self::is_whole(state, Place { slot: place.slot.saturating_sub(number), ..place }, 1, is_dynptr)
            })
        {
            return Err(Reason::Rule(&rules::DYNPTR_AGAIN).into());
        }
        self.claim(state, pointer, place, 2)?;
        let packet = matches!(kind, DynptrKind::Packet | DynptrKind::Frame | DynptrKind::Metadata);
        let slice = self.id() | if packet { PACKET_SLICE } else { 0 };
        let reference = match (kind, reference) {
            (DynptrKind::Record, 0) => {
                let id = self.id();
                state.acquire(id, at);
                id
            }
            (DynptrKind::Record, known) => known,
            _ => 0,
        };
        let value =
            |first| Reg { kind: Kind::Special(Special::Dynptr { kind, first }), reference, slice, ..Reg::UNSET };
        self.put(state, place, 2, value);
        Ok(())
    }

    /// The dynptr that a pointer points to: it has to be initialised.
    pub fn dynptr(&mut self, state: &State, pointer: &Reg) -> Step<Given> {
        match pointer.kind {
            Kind::Dynptr(kind) if pointer.fixed_offset() == Some(0) => {
                Ok(Given { kind, id: pointer.id, reference: 0, place: None })
            }
            Kind::Stack(_) => {
                let place = self.stack_place(state, pointer, DYNPTR)?;
                let whole = Self::is_whole(state, place, 2, |special| matches!(special, Special::Dynptr { .. }));
                match Self::at_place(state, place) {
                    Some(Reg {
                        kind: Kind::Special(Special::Dynptr { kind, first: true }), slice, reference, ..
                    }) if whole => Ok(Given { kind, id: slice, reference, place: Some(place) }),
                    _ => Err(Reason::Rule(&rules::DYNPTR_UNINITIALIZED).into()),
                }
            }
            _ => Err(Reason::Rule(&rules::DYNPTR_UNINITIALIZED).into()),
        }
    }

    /// A dynptr is given back, with all its copies and their slices.
    pub fn release_dynptr(&mut self, state: &mut State, given: &Given) -> Step<()> {
        let Some(place) = given.place else { return Err(Reason::Rule(&rules::DYNPTR_CONSTANT).into()) };
        if given.reference == 0 || !state.release(given.reference, self.lost()) {
            return Err(Reason::Rule(&rules::DYNPTR_RELEASE).into());
        }
        debug_assert!(place.depth < state.frames.len(), "it was found there");
        for (depth, slot) in state.specials() {
            let value = state.frames[depth].stack[slot].value;
            if value.reference == given.reference && matches!(value.kind, Kind::Special(Special::Dynptr { .. })) {
                state.frames[depth].stack[slot] = Slot::EMPTY;
                state.forget_slices(value.slice, self.lost());
            }
        }
        Ok(())
    }

    /// Bytes that a store overwrites: a dynptr there is gone (`destroy_if_dynptr_stack_slot`).
    pub fn overwrite(&mut self, state: &mut State, extent: Extent, size: u32) -> Step<()> {
        let depth = usize::from(extent.depth);
        for off in extent.min..extent.max + i64::from(size) {
            let slot = usize::try_from((-off - 1) / 8).unwrap_or(0);
            let Some(found) = state.frames[depth].stack.get(slot) else { continue };
            match found.special() {
                Some(Special::Dynptr { kind, first }) => {
                    let value = found.value;
                    if kind == DynptrKind::Record && !self.has_copy(state, &value) {
                        return Err(Reason::Rule(&rules::DYNPTR_OVERWRITTEN).into());
                    }
                    let other = if first { slot.wrapping_sub(1) } else { slot + 1 };
                    for gone in [slot, other] {
                        if let Some(gone) = state.frames[depth].stack.get_mut(gone) {
                            *gone = Slot::EMPTY;
                        }
                    }
                    state.forget_slices(value.slice, self.lost());
                }
                Some(_) => {
                    // What is left of it are bytes.
                    let slot = state.frames[depth].slot(slot);
                    *slot = Slot { bytes: [Byte::Misc; 8], value: Reg::UNSET };
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Whether another dynptr stands for the same record.
    fn has_copy(&self, state: &State, value: &Reg) -> bool {
        state.specials().into_iter().any(|(depth, slot)| {
            let other = state.frames[depth].stack[slot].value;
            other.reference == value.reference && other.slice != value.slice
        })
    }

    /// Interrupts are turned off, and whether they were on is kept on the stack.
    pub fn save_interrupts(&mut self, state: &mut State, at: u32, pointer: &Reg) -> Step<()> {
        let place = self.stack_place(state, pointer, 8)?;
        if matches!(Self::at_place(state, place).map(|value| value.kind), Some(Kind::Special(Special::Interrupts))) {
            return Err(Reason::Rule(&rules::IRQ_ORDER).into());
        }
        self.claim(state, pointer, place, 1)?;
        let id = self.id();
        state.acquire(id, at);
        state.interrupts.push(id);
        self.put(state, place, 1, |_| Reg { kind: Kind::Special(Special::Interrupts), reference: id, ..Reg::UNSET });
        Ok(())
    }

    /// Interrupts are as they were.
    pub fn restore_interrupts(&mut self, state: &mut State, pointer: &Reg) -> Step<()> {
        let place = self.stack_place(state, pointer, 8)?;
        let Some(value) = Self::at_place(state, place).filter(|value| value.kind == Kind::Special(Special::Interrupts))
        else {
            return Err(Reason::Rule(&rules::IRQ_ORDER).into());
        };
        if state.interrupts.last() != Some(&value.reference) {
            return Err(Reason::Rule(&rules::IRQ_ORDER).into());
        }
        state.interrupts.pop();
        state.release(value.reference, self.lost());
        Self::clear(state, place, 1);
        Ok(())
    }
}
