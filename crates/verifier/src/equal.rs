//! Whether what was found out about an old state holds for a new one as well (`states_equal`).

use crate::reg::{AT_END, Kind, Reg};
use crate::slots::Slots;
use crate::state::{Byte, Frame, Role, Slot, State};

/// How alike states have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// Everything that the old state is safe for, the new one is.
    Covered,
    /// They are the same.
    Same,
    /// All numbers of the new one are in the ranges of the old one, whether they matter or not.
    Within,
}

/// How exact a comparison is for the process that loads the program.
#[derive(Debug, Clone, Copy)]
pub struct Strictness {
    /// Whether bytes of the stack may be read that were never written.
    pub uninit: bool,
    /// Whether every number counts.
    pub precise: bool,
    /// Whether numbers have to be the same.
    pub exact: bool,
}

/// Ids of the old state and what they are called in the new one.
#[derive(Debug, Default)]
struct Ids(Vec<(u32, u32)>);

impl Ids {
    fn same(&mut self, old: u32, new: u32) -> bool {
        if (old == 0) != (new == 0) {
            return false;
        }
        old == 0 || self.pair(old, new)
    }

    fn pair(&mut self, old: u32, new: u32) -> bool {
        for (left, right) in &self.0 {
            if *left == old {
                return *right == new;
            }
            if *right == new {
                return false;
            }
        }
        self.0.push((old, new));
        true
    }

    /// Numbers without an id count as copies of nobody: an id of their own.
    fn same_number(&mut self, old: &Reg, new: &Reg, fresh: &mut u32) -> bool {
        if old.id == 0 && new.id == 0 {
            return true;
        }
        let mut id = |id: u32| {
            if id != 0 {
                return id;
            }
            *fresh -= 1;
            *fresh
        };
        let (left, right) = (id(old.id), id(new.id));
        self.pair(left, right)
    }
}

/// Whether an old state covers a new one before the instruction at a slot. `live` are the registers that are still read
/// there; registers of callers are those that are read behind their calls. `read` are the slots of the stack that are read
/// behind the old state, if that is known.
pub fn covers(
    old: &State,
    new: &State,
    at: u32,
    live: &[u16],
    read: Option<&Slots>,
    likeness: Likeness,
    strictness: Strictness,
) -> bool {
    // What was found out about a path that was guessed holds for others of them only.
    if old.frames.len() != new.frames.len() || (old.guessed && !new.guessed) {
        return false;
    }
    let mut comparison = Comparison { ids: Ids::default(), fresh: u32::MAX, likeness, strictness };
    if !comparison.references(old, new) {
        return false;
    }
    let last = old.frames.len() - 1;
    (0..=last).all(|depth| {
        let place = if depth == last { at } else { old.frames[depth + 1].call.unwrap_or(at) };
        let mask = live.get(place as usize).copied().unwrap_or(u16::MAX);
        let slots = read.map_or(u64::MAX, |read| read[depth]);
        comparison.frames(&old.frames[depth], &new.frames[depth], mask, slots)
    })
}

struct Comparison {
    ids: Ids,
    fresh: u32,
    likeness: Likeness,
    strictness: Strictness,
}

impl Comparison {
    fn references(&mut self, old: &State, new: &State) -> bool {
        let same_lock = match (old.lock, new.lock) {
            (None, None) => true,
            (Some(left), Some(right)) => left.kind == right.kind && self.ids.same(left.id, right.id),
            _ => false,
        };
        same_lock
            && (old.rcu, old.preempt, old.sleeps) == (new.rcu, new.preempt, new.sleeps)
            && old.interrupts.len() == new.interrupts.len()
            && old.interrupts.iter().zip(&new.interrupts).all(|(left, right)| self.ids.same(*left, *right))
            && old.references.len() == new.references.len()
            && old.references.iter().zip(&new.references).all(|((left, _), (right, _))| self.ids.same(*left, *right))
    }

    fn frames(&mut self, old: &Frame, new: &Frame, live: u16, read: u64) -> bool {
        let role = |frame: &Frame| match frame.role {
            Role::Later(_) => Role::Later(0),
            role => role,
        };
        if old.call != new.call || old.function != new.function || role(old) != role(new) {
            return false;
        }
        // Behind more rounds of a callback fewer are left: not all that may come was looked at.
        if old.rounds > new.rounds {
            return false;
        }
        let registers =
            (0..11).all(|reg| live & (1 << reg) == 0 && reg < 10 || self.regs(&old.regs[reg], &new.regs[reg]));
        registers && self.stacks(old, new, read)
    }

    fn regs(&mut self, old: &Reg, new: &Reg) -> bool {
        if self.likeness == Likeness::Same {
            return exactly(old, new) && self.ids.same(old.id, new.id) && self.ids.same(old.reference, new.reference);
        }
        if old.kind == Kind::Unset {
            return true;
        }
        if old.kind != new.kind || old.nullable != new.nullable || old.read_only != new.read_only {
            return false;
        }
        match old.kind {
            Kind::Number if self.strictness.exact => {
                old.num == new.num && old.delta == new.delta && self.ids.same_number(old, new, &mut self.fresh)
            }
            Kind::Number => {
                (!(old.precise || self.strictness.precise) && self.likeness == Likeness::Covered)
                    || (old.delta == new.delta
                        && old.num.includes(new.num)
                        && self.ids.same_number(old, new, &mut self.fresh))
            }
            Kind::Packet | Kind::PacketMeta => {
                // What is not in front of the end is the same or another.
                let special = old.range >= AT_END || new.range >= AT_END;
                (if special { old.range == new.range } else { old.range <= new.range })
                    && old.off == new.off
                    && self.ids.same(old.id, new.id)
                    && old.num.includes(new.num)
            }
            Kind::Value(_) | Kind::Memory(_) => {
                old.off == new.off
                    && old.num.includes(new.num)
                    && self.ids.same(old.id, new.id)
                    && self.ids.same(old.reference, new.reference)
                    && self.ids.same(old.slice, new.slice)
            }
            _ => exactly(old, new) && self.ids.same(old.id, new.id) && self.ids.same(old.reference, new.reference),
        }
    }

    fn stacks(&mut self, old: &Frame, new: &Frame, read: u64) -> bool {
        old.stack.iter().enumerate().all(|(index, slot)| {
            let other = new.stack.get(index).copied().unwrap_or(Slot::EMPTY);
            let of_kernel = slot.special().is_some() || other.special().is_some();
            (read & (1 << index) == 0 && !of_kernel) || self.slots(slot, &other)
        })
    }

    fn slots(&mut self, old: &Slot, new: &Slot) -> bool {
        const VALUES: u64 = Byte::Spill.eight() | Byte::Kernel.eight();
        let (left, right) = (old.word(), new.word());
        if left == 0 || (left == right && left & VALUES == 0) {
            return self.likeness != Likeness::Same || left == right;
        }
        if self.likeness == Likeness::Same && left != right {
            return false;
        }
        if old.special().is_some() || new.special().is_some() {
            return old.bytes == new.bytes
                && old.value.kind == new.value.kind
                && self.ids.same(old.value.reference, new.value.reference)
                && self.ids.same(old.value.slice, new.value.slice);
        }
        if let (Some(left), Some(right)) = (self.number(old), self.number(new)) {
            return self.regs(&left, &right);
        }
        for (left, right) in old.bytes.iter().zip(&new.bytes) {
            let fits = match left {
                Byte::Invalid => true,
                Byte::Misc if self.strictness.uninit && self.likeness != Likeness::Same => true,
                Byte::Misc => matches!(right, Byte::Misc | Byte::Zero),
                other => other == right,
            };
            if !fits {
                return false;
            }
        }
        !old.is_spill() || self.regs(&old.value, &new.value)
    }

    /// A slot that holds some number of eight bytes.
    fn number(&self, slot: &Slot) -> Option<Reg> {
        let word = slot.word();
        if word == Byte::Spill.eight() {
            return slot.value.is_number().then_some(slot.value);
        }
        let something =
            if self.strictness.uninit { word & !Byte::Misc.eight() == 0 } else { word == Byte::Misc.eight() };
        something.then_some(Reg::UNKNOWN)
    }
}

/// Whether values are the same but for the names of their ids.
fn exactly(old: &Reg, new: &Reg) -> bool {
    let plain = |reg: &Reg| Reg { id: 0, reference: 0, precise: false, slice: 0, ..*reg };
    plain(old) == plain(new)
}
