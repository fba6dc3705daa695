//! States that are kept at joins: whether a path has come to where another one has been, and what of a loop is kept
//! (`is_state_visited`).

use crate::code::Turn;
use crate::equal::{Likeness, Strictness, covers};
use crate::precision::{Place, Wanted};
use crate::profile::Kernel;
use crate::reg::{Kind, Reg};
use crate::reject::{Reason, Step};
use crate::search::{Kept, Verifier};
use crate::slots::Slots;
use crate::state::{Role, State};

/// States that are kept at one instruction for processes without CAP_BPF (`BPF_COMPLEXITY_LIMIT_STATES`).
const MAX_STATES: usize = 64;

impl Verifier<'_> {
    /// Another path's state that covers this one, if there is one; else the state may be kept.
    ///
    /// # Errors
    /// A loop in which nothing changes.
    pub fn visited(&mut self, at: u32, state: &State) -> Step<Option<u32>> {
        let strictness = Strictness { uninit: self.uninit(), precise: !self.loader.bpf, exact: self.explores };
        let turn = self.code.turns[at as usize];
        let forced = turn.is_some() || self.trace.len() > 4 * 40;
        let mut keep = forced || (self.jumps - self.last_jumps >= 2 && self.processed - self.last_processed >= 8);
        let mut list = std::mem::take(&mut self.at[at as usize]);
        // Processes without CAP_BPF cannot make the kernel keep more.
        keep &= self.loader.bpf || list.len() <= MAX_STATES;
        let (mut found, mut complete) = (None, false);
        // The youngest first, as the kernel does: it is the most alike.
        for index in (0..list.len()).rev() {
            let kept = &self.kept[list[index] as usize];
            if kept.branches > 0 {
                let old = &kept.state;
                let another = entries_of_later(old) != entries_of_later(state);
                let within = |likeness| covers(old, state, at, &self.live, None, likeness, strictness);
                // Before 6.7 numbers on the stack count as equal that nothing has depended on yet.
                let likely = || covers(old, state, at, &self.live, Some(&kept.read), Likeness::Covered, strictness);
                let again = turn.is_some()
                    && !another
                    && (turn != Some(Turn::MayGoto) || old.rounds != state.rounds)
                    && within(Likeness::Within)
                    && (turn != Some(Turn::Iterator) || iterator_goes_on(state));
                if again {
                    self.loop_entry = self.outer(self.loop_entry, list[index], None);
                    found = Some(list[index]);
                    break;
                }
                let counted = !another && !matches!(turn, Some(Turn::Iterator | Turn::Callback));
                if counted
                    && maybe_looping(old, state)
                    && (old.rounds, old.callbacks) == (state.rounds, state.callbacks)
                    && old.iterators == state.iterators
                    && (within(Likeness::Same) || self.kernel < Kernel::V6_12 && likely())
                {
                    self.at[at as usize] = list;
                    return Err(Reason::InfiniteLoop.into());
                }
                if !forced && self.jumps - self.last_jumps < 20 && self.processed - self.last_processed < 100 {
                    keep = false;
                }
            } else {
                // In a loop that is not done it is not known yet which numbers matter.
                let entry = self.open_entry(list[index]);
                let likeness = if entry.is_some() { Likeness::Within } else { Likeness::Covered };
                let read = if entry.is_some() { None } else { Some(&kept.read) };
                if covers(&kept.state, state, at, &self.live, read, likeness, strictness) {
                    complete = entry.is_none();
                    if let Some(entry) = entry {
                        self.loop_entry = self.outer(self.loop_entry, entry, None);
                    }
                    found = Some(list[index]);
                    break;
                }
            }
            let kept = &mut self.kept[list[index] as usize];
            kept.misses += u32::from(keep);
            let patience = if turn.is_some() && kept.branches > 0 { 64 } else { 3 };
            if kept.misses > kept.hits * patience + patience {
                kept.listed = false;
                kept.drop_unneeded();
                list.swap_remove(index);
            }
        }
        self.at[at as usize] = list;
        if let Some(index) = found {
            self.kept[index as usize].hits += 1;
            self.inherit(index, state);
            self.reads_as(Some(index).filter(|_| complete));
            return Ok(Some(index));
        }
        if keep {
            let (trace, parent) = (std::mem::take(&mut self.trace), self.parent);
            let number = u32::try_from(self.kept.len()).unwrap_or(u32::MAX);
            let depth = parent.map_or(0, |parent| self.kept[parent as usize].depth + 1);
            self.kept.push(Kept {
                state: state.clone(),
                parent,
                trace,
                read: Slots::default(),
                written: std::mem::take(&mut self.written),
                branches: 1,
                at,
                depth,
                loop_entry: self.loop_entry,
                hits: 0,
                misses: 0,
                listed: true,
                longest: 0,
            });
            self.at[at as usize].push(number);
            self.parent = Some(number);
            (self.last_jumps, self.last_processed) = (self.jumps, self.processed);
        }
        Ok(None)
    }

    /// The state with which the unfinished loop began that a kept state is in.
    fn open_entry(&self, kept: u32) -> Option<u32> {
        let mut entry = self.kept[kept as usize].loop_entry?;
        while let Some(outer) = self.kept[entry as usize].loop_entry.filter(|outer| *outer != entry) {
            if self.kept[outer as usize].depth >= self.kept[entry as usize].depth {
                break;
            }
            entry = outer;
        }
        (self.kept[entry as usize].branches > 0).then_some(entry)
    }

    /// The outermost of two loops that go on.
    pub fn outer(&self, known: Option<u32>, entry: u32, of: Option<u32>) -> Option<u32> {
        if self.kept[entry as usize].branches == 0 {
            return known;
        }
        let depth = self.kept[entry as usize].depth;
        let bound = known.or(of).map_or(u32::MAX, |kept| self.kept[kept as usize].depth);
        if depth <= bound { Some(entry) } else { known }
    }

    /// The last state on this path that was kept at an instruction in the same functions.
    pub fn entry_before(&self, at: u32, state: &State, skip: bool) -> Option<u32> {
        let mut parent = self.parent;
        if skip {
            parent = parent.and_then(|parent| self.kept[parent as usize].parent);
        }
        while let Some(index) = parent {
            let kept = &self.kept[index as usize];
            let calls = |state: &State| state.frames.iter().map(|frame| frame.call).collect::<Vec<_>>();
            if kept.at == at && calls(&kept.state) == calls(state) {
                return Some(index);
            }
            parent = kept.parent;
        }
        None
    }

    /// Numbers that change from round to round and matter to nobody are forgotten, so that rounds become alike
    /// (`widen_imprecise_scalars`).
    pub fn widen(&self, before: u32, state: &mut State) {
        let widen = |old: &Reg, new: &mut Reg| {
            if old.is_number() && new.is_number() && !old.precise && !new.precise && old.num != new.num {
                *new = Reg::UNKNOWN;
            }
        };
        let old = &self.kept[before as usize].state;
        for (old, new) in old.frames.iter().zip(&mut state.frames) {
            old.regs.iter().zip(&mut new.regs).for_each(|(old, new)| widen(old, new));
            for (old, new) in old.stack.iter().zip(&mut new.stack) {
                if old.is_spill() && new.is_spill() {
                    widen(&old.value, &mut new.value);
                }
            }
        }
    }

    /// What was precise behind the old state is so on this path.
    fn inherit(&mut self, index: u32, state: &State) {
        let old = &self.kept[index as usize].state;
        let mut places = Vec::new();
        for (depth, frame) in old.frames.iter().enumerate() {
            let depth = u8::try_from(depth).unwrap_or(u8::MAX);
            let regs = frame.regs.iter().enumerate().filter(|(_, reg)| reg.is_number() && reg.precise);
            places.extend(regs.map(|(reg, _)| Place::Reg(depth, u8::try_from(reg).unwrap_or(0))));
            let slots = frame
                .stack
                .iter()
                .enumerate()
                .filter(|(_, slot)| slot.is_spill() && slot.value.is_number() && slot.value.precise);
            places.extend(slots.map(|(slot, _)| Place::Slot(depth, u8::try_from(slot).unwrap_or(0))));
        }
        let holds = |place: &Place| match *place {
            Place::Reg(depth, reg) => state.frames[usize::from(depth)].regs[usize::from(reg)].is_number(),
            Place::Slot(depth, slot) => {
                state.frames[usize::from(depth)].stack.get(usize::from(slot)).is_some_and(|slot| slot.is_spill())
            }
        };
        places.retain(holds);
        if !places.is_empty() {
            self.mark_precise(Wanted::of(&places), 0);
        }
    }
}

/// The entries into functions that are called later, which are no rounds of a loop.
fn entries_of_later(state: &State) -> Option<u32> {
    state.frames.first().and_then(|frame| if let Role::Later(count) = frame.role { Some(count) } else { None })
}

/// Whether the iterator in register 1 has more elements.
fn iterator_goes_on(state: &State) -> bool {
    let pointer = state.reg(1);
    let Kind::Stack(depth) = pointer.kind else { return false };
    let slot = pointer.fixed_offset().and_then(|off| usize::try_from(-off / 8 - 1).ok());
    let place = slot.map(|slot| crate::special::Place { depth: usize::from(depth), slot });
    place.and_then(|place| Verifier::iterator_state(state, place)).is_some_and(|(drained, _)| !drained)
}

/// Whether the running functions have the same registers, so that a loop is possible.
fn maybe_looping(old: &State, new: &State) -> bool {
    // Loops differ in the number that is counted: it is looked at in place, before whole registers are.
    let (left, right) = (&old.current().regs, &new.current().regs);
    let pairs = || left.iter().zip(right);
    let same = |old: &Reg, new: &Reg| Reg { precise: false, ..*old } == Reg { precise: false, ..*new };
    old.frames.len() == new.frames.len()
        && pairs().all(|(old, new)| old.num == new.num)
        && pairs().all(|(old, new)| same(old, new))
}
