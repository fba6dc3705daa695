//! Which numbers decided something (`mark_chain_precision`).
//!
//! States differ in many numbers that do not matter. When one does - it is added to a pointer, or decides a branch - the
//! way back to where it came from is gone, and the numbers on it are marked in the states that were kept: they are then
//! compared, the others are not.

use skep_isa::ebpf::{AluOp, AtomicOp, Callee, Op, Reg as Register, Src};

use crate::search::Verifier;
use crate::state::{MAX_FRAMES, State};

/// A place of a number: frame, and register or slot of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A register.
    Reg(u8, u8),
    /// Eight bytes of the stack.
    Slot(u8, u8),
}

/// An instruction that was executed.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its slot.
    pub at: u32,
    /// The depth of the function.
    pub depth: u8,
    /// The slot of the stack that it read or wrote: frame and number.
    pub stack: Option<(u8, u8)>,
    /// Numbers that were refined together at a branch, since they are copies.
    pub linked: Option<Box<[Place]>>,
}

/// Numbers whose origin is looked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    regs: [u16; MAX_FRAMES],
    slots: [u64; MAX_FRAMES],
}

impl Wanted {
    /// These places.
    pub fn of(places: &[Place]) -> Self {
        let mut wanted = Self::default();
        places.iter().for_each(|place| wanted.add(*place));
        wanted
    }

    fn add(&mut self, place: Place) {
        match place {
            Place::Reg(depth, reg) => self.regs[usize::from(depth)] |= 1 << reg,
            Place::Slot(depth, slot) => self.slots[usize::from(depth)] |= 1 << slot,
        }
    }

    fn has(&self, place: Place) -> bool {
        match place {
            Place::Reg(depth, reg) => self.regs[usize::from(depth)] & (1 << reg) != 0,
            Place::Slot(depth, slot) => self.slots[usize::from(depth)] & (1 << slot) != 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.regs.iter().all(|mask| *mask == 0) && self.slots.iter().all(|mask| *mask == 0)
    }

    fn has_reg(&self, depth: usize, reg: Register) -> bool {
        self.regs[depth] & (1 << reg.index()) != 0
    }

    fn take_reg(&mut self, depth: usize, reg: Register) -> bool {
        let had = self.has_reg(depth, reg);
        self.regs[depth] &= !(1 << reg.index());
        had
    }

    fn want(&mut self, depth: usize, src: Src) {
        if let Src::Reg(reg) = src {
            self.regs[depth] |= 1 << reg.index();
        }
    }

    fn slot(stack: Option<(u8, u8)>) -> Option<(usize, u64)> {
        stack.map(|(depth, slot)| (usize::from(depth), 1u64 << slot))
    }

    /// Goes back over one instruction. False if that is not possible: then all numbers count.
    fn undo(&mut self, op: Op, entry: &Entry) -> bool {
        let depth = usize::from(entry.depth);
        if let Some(linked) = &entry.linked
            && linked.iter().any(|place| self.has(*place))
        {
            linked.iter().for_each(|place| self.add(*place));
        }
        match op {
            Op::Alu { op: AluOp::Mov, dst, src, .. } => {
                if self.take_reg(depth, dst) {
                    self.want(depth, src);
                }
            }
            Op::MovSx { dst, src, .. } | Op::AddrSpaceCast { dst, src, .. } => {
                if self.take_reg(depth, dst) {
                    self.want(depth, Src::Reg(src));
                }
            }
            Op::Alu { dst, src, .. } => {
                if self.has_reg(depth, dst) {
                    self.want(depth, src);
                }
            }
            Op::Load { dst, .. } | Op::LoadAcquire { dst, .. } => {
                if let (true, Some((frame, slot))) = (self.take_reg(depth, dst), Self::slot(entry.stack)) {
                    self.slots[frame] |= slot;
                }
            }
            Op::Store { src, .. } => self.stored(depth, src, entry),
            Op::StoreRelease { src, .. } => self.stored(depth, Src::Reg(src), entry),
            Op::Atomic { op, fetch, src, .. } => {
                let result = if op == AtomicOp::CmpXchg { Register::R0 } else { src };
                if (fetch || op.alu().is_none())
                    && let (true, Some((frame, slot))) = (self.take_reg(depth, result), Self::slot(entry.stack))
                {
                    self.slots[frame] |= slot;
                }
            }
            Op::LoadImm { dst, .. } => _ = self.take_reg(depth, dst),
            Op::JumpIf { dst, src, .. } => self.branch(depth, dst, src),
            Op::Call(Callee::Local(_)) => return self.call(depth),
            Op::Call(_) => {
                self.regs[depth] &= !1;
                // Numbers that a callback was called with do not come from registers of the caller one by one.
                if let Some(callee) = depth.checked_add(1).filter(|callee| *callee < MAX_FRAMES) {
                    let other = self.regs[callee] != 0 || self.slots[callee] != 0;
                    self.regs[callee] = 0;
                    self.slots[callee] = 0;
                    return !other;
                }
            }
            Op::Exit => {
                // Back into a function that has returned.
                if let Some(caller) = depth.checked_sub(1) {
                    let result = self.regs[caller] & 1;
                    self.regs[caller] &= !1;
                    self.regs[depth] |= result;
                }
            }
            Op::LdAbs { .. } | Op::LdInd { .. } => return self.regs[depth] & 1 == 0,
            Op::Neg { .. } | Op::Swap { .. } | Op::Goto { .. } | Op::GotoLong { .. } | Op::MayGoto { .. } => {}
        }
        if let Some(linked) = &entry.linked
            && linked.iter().any(|place| self.has(*place))
        {
            linked.iter().for_each(|place| self.add(*place));
        }
        true
    }

    fn stored(&mut self, depth: usize, src: Src, entry: &Entry) {
        if let Some((frame, slot)) = Self::slot(entry.stack)
            && self.slots[frame] & slot != 0
        {
            self.slots[frame] &= !slot;
            self.want(depth, src);
        }
    }

    fn branch(&mut self, depth: usize, dst: Register, src: Src) {
        if let Src::Reg(reg) = src
            && (self.has_reg(depth, dst) || self.has_reg(depth, reg))
        {
            self.want(depth, Src::Reg(dst));
            self.want(depth, src);
        }
    }

    /// From the start of a function to its call: arguments are registers of the caller.
    fn call(&mut self, depth: usize) -> bool {
        let callee = depth + 1;
        if callee >= MAX_FRAMES {
            return false;
        }
        let arguments = self.regs[callee] & 0x3e;
        let other = self.regs[callee] & !0x3e != 0 || self.slots[callee] != 0;
        self.regs[callee] = 0;
        self.slots[callee] = 0;
        self.regs[depth] |= arguments;
        !other
    }

    /// Marks the numbers in a kept state; what is marked already or no number is not looked for any longer.
    fn mark(&mut self, state: &mut State) {
        for (depth, frame) in state.frames.iter_mut().enumerate() {
            for reg in 0..10 {
                if self.regs[depth] & (1 << reg) != 0 {
                    let value = &mut frame.regs[reg];
                    if !value.is_number() || value.precise {
                        self.regs[depth] &= !(1 << reg);
                    }
                    value.precise |= value.is_number();
                }
            }
            for slot in 0..64 {
                if self.slots[depth] & (1 << slot) == 0 {
                    continue;
                }
                match frame.stack.get_mut(slot).filter(|slot| slot.is_spill() && slot.value.is_number()) {
                    Some(found) if !found.value.precise => found.value.precise = true,
                    _ => self.slots[depth] &= !(1 << slot),
                }
            }
        }
        for depth in state.frames.len()..MAX_FRAMES {
            self.regs[depth] = 0;
            self.slots[depth] = 0;
        }
    }
}

impl Verifier<'_> {
    /// Marks the numbers that the given ones come from. The last `skip` instructions of the way do not count: the one that
    /// is executed right now has not changed anything yet.
    pub fn mark_precise(&mut self, mut wanted: Wanted, skip: usize) {
        if !self.loader.bpf {
            // All numbers count.
            return;
        }
        let mut parent = self.parent;
        let count = self.trace.len().saturating_sub(skip);
        for index in (0..count).rev() {
            if !self.undo(&mut wanted, None, index) {
                return self.mark_everything();
            }
            if wanted.is_empty() {
                return;
            }
        }
        while let Some(index) = parent {
            let kept = index as usize;
            wanted.mark(&mut self.kept[kept].state);
            if wanted.is_empty() {
                return;
            }
            for entry in (0..self.kept[kept].trace.len()).rev() {
                if !self.undo(&mut wanted, Some(kept), entry) {
                    return self.mark_everything();
                }
                if wanted.is_empty() {
                    return;
                }
            }
            parent = self.kept[kept].parent;
        }
    }

    fn undo(&self, wanted: &mut Wanted, kept: Option<usize>, index: usize) -> bool {
        let entry = match kept {
            Some(kept) => &self.kept[kept].trace[index],
            None => &self.trace[index],
        };
        self.code.op(entry.at).is_none_or(|op| wanted.undo(op, entry))
    }

    /// All numbers of all states on the way count.
    fn mark_everything(&mut self) {
        let mut parent = self.parent;
        while let Some(index) = parent {
            let kept = &mut self.kept[index as usize];
            kept.state.values().filter(|value| value.is_number()).for_each(|value| value.precise = true);
            parent = kept.parent;
        }
    }
}
