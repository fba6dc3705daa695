//! Reads and writes of the stack (`check_stack_read`, `check_stack_write`).

use skep_domain::Scalar;

use crate::alu::MAX_OFFSET;
use crate::precision::{Place, Wanted};
use crate::profile::Kernel;
use crate::reg::{Kind, Reg};
use crate::reject::{Reason, Step};
use crate::rules;
use crate::search::Verifier;
use crate::state::{Byte, STACK, Slot, State};

/// The bytes that an access touches: distances from the frame pointer, and whether there is only one possibility.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The frame.
    pub depth: u8,
    /// The least distance.
    pub min: i64,
    /// The greatest distance of the first byte.
    pub max: i64,
}

impl Extent {
    fn is_fixed(&self) -> bool {
        self.min == self.max
    }
}

/// The slot and the byte in it at a distance from the frame pointer.
fn place(off: i64) -> (usize, usize) {
    let below = usize::try_from(-off - 1).unwrap_or(0);
    (below / 8, 7 - below % 8)
}

impl Verifier<'_> {
    /// Where an access by a stack pointer is (`check_stack_access_within_bounds`).
    pub fn stack_extent(&mut self, state: &State, pointer: &Reg, off: i64, size: u32) -> Step<Extent> {
        let Kind::Stack(depth) = pointer.kind else { return Err(Reason::NoAccess(10, pointer.kind).into()) };
        let fixed = i64::from(pointer.off) + off;
        let range = pointer.num.s64();
        if self.guards() && pointer.num.as_constant().is_none() {
            return Err(Reason::Rule(&rules::STACK_VARIABLE).into());
        }
        if pointer.num.as_constant().is_none() && (range.max >= MAX_OFFSET || range.min <= -MAX_OFFSET) {
            return Err(Reason::Unbounded { kind: pointer.kind, lower: range.min <= -MAX_OFFSET }.into());
        }
        let extent = Extent { depth, min: fixed + range.min, max: fixed + range.max };
        if extent.min < -i64::from(STACK) || extent.max + i64::from(size.max(1)) > 0 {
            return Err(
                Reason::StackRange(if extent.min < -i64::from(STACK) { extent.min } else { extent.max }, size).into()
            );
        }
        let function = state.frames[usize::from(depth)].function as usize;
        let deep = u32::try_from(-extent.min).unwrap_or(STACK);
        self.stack[function] = self.stack[function].max(deep);
        Ok(extent)
    }

    /// Whether bytes may be read that were never written.
    pub fn uninit(&self) -> bool {
        self.kernel > Kernel::V6_1 && self.loader.perfmon
    }

    /// Writes a value; `None` for what a constant store or a helper writes, with the constant if there is one.
    pub fn stack_write(
        &mut self,
        state: &mut State,
        extent: Extent,
        size: u32,
        source: Option<u8>,
        imm: Option<i32>,
    ) -> Step<()> {
        let value = source.map(|reg| *state.reg(reg.into()));
        self.overwrite(state, extent, size)?;
        if extent.is_fixed() {
            self.write_fixed(state, extent, size, source, value, imm)
        } else {
            self.write_variable(state, extent, size, source, value, imm)
        }
    }

    fn write_fixed(
        &mut self,
        state: &mut State,
        extent: Extent,
        size: u32,
        source: Option<u8>,
        value: Option<Reg>,
        imm: Option<i32>,
    ) -> Step<()> {
        let (index, first) = place(extent.min);
        let aligned = extent.min % 8 == 0;
        self.note_stack(extent.depth, index);
        let whole = size == 8;
        if whole && aligned {
            self.overwrites(extent.depth, index);
        }
        let depth = usize::from(extent.depth);
        if self.guards() {
            let slot = *state.frames[depth].slot(index);
            if self.is_broken(&slot) && !whole {
                return Err(Reason::Rule(&rules::SPILL_BROKEN).into());
            }
            let plain = |byte: &Byte| matches!(byte, Byte::Misc | Byte::Zero);
            let over = slot.bytes.iter().skip(first).take(size as usize);
            self.guard_store(value.is_some_and(|value| value.is_pointer()) || !over.into_iter().all(plain));
        }
        match value {
            Some(number) if number.is_number() && aligned && self.keeps(&number, size) => {
                let fits = number.num.u64().max <= u64::MAX >> (64 - size * 8);
                if let (true, Some(reg)) = (fits, source) {
                    self.name(state, reg.into());
                }
                let mut kept = source.map_or(number, |reg| *state.reg(reg.into()));
                if !fits {
                    kept.unlink();
                }
                spill(state.frames[depth].slot(index), kept, size);
            }
            Some(pointer) if pointer.is_pointer() => {
                if !whole || !aligned {
                    return Err(Reason::SpillSize(extent.min).into());
                }
                if matches!(pointer.kind, Kind::Stack(_)) && extent.depth != state.depth() {
                    return Err(Reason::Leak(pointer.kind).into());
                }
                spill(state.frames[depth].slot(index), pointer, 8);
            }
            None if aligned && imm.is_some() && self.kernel > Kernel::V6_1 && self.loader.bpf => {
                let number = i64::from(imm.unwrap_or(0)).cast_unsigned();
                let cut = number & (u64::MAX >> (64 - size * 8));
                spill(state.frames[depth].slot(index), Reg::constant(if whole { number } else { cut }), size);
            }
            _ => {
                let zero = value.is_some_and(|value| value.is_zero()) || imm == Some(0);
                if let (true, Some(reg)) = (zero, source) {
                    self.precise(state, reg);
                }
                let slot = state.frames[depth].slot(index);
                slot.scramble();
                let kind = if zero { Byte::Zero } else { Byte::Misc };
                for byte in slot.bytes.iter_mut().skip(first).take(size as usize) {
                    *byte = kind;
                }
            }
        }
        Ok(())
    }

    /// Without CAP_BPF numbers lose what is known about them. Those of less than eight bytes keep what is known since 6.3; before, since 5.16, if something is and they have
    /// four.
    fn keeps(&self, number: &Reg, size: u32) -> bool {
        let narrow =
            self.kernel > Kernel::V6_1 || (self.kernel >= Kernel::V6_1 && size == 4 && number.num != Scalar::UNKNOWN);
        self.loader.bpf && (size == 8 || narrow)
    }

    fn write_variable(
        &mut self,
        state: &mut State,
        extent: Extent,
        size: u32,
        source: Option<u8>,
        value: Option<Reg>,
        imm: Option<i32>,
    ) -> Step<()> {
        let zero = value.is_some_and(|value| value.is_zero()) || imm == Some(0);
        let uninit = self.uninit();
        let mut zero_used = false;
        self.reads(extent, size);
        let frame = &mut state.frames[usize::from(extent.depth)];
        for off in extent.min..extent.max + i64::from(size) {
            let (index, byte) = place(off);
            let slot = frame.slot(index);
            if zero && slot.bytes[byte] == Byte::Spill && slot.value.is_zero() {
                zero_used = true;
                continue;
            }
            if slot.bytes[byte] == Byte::Invalid && !uninit {
                return Err(Reason::StackUnwritten(off).into());
            }
            let stays_zero = zero && slot.bytes[byte] == Byte::Zero;
            zero_used |= stays_zero;
            slot.scramble();
            slot.bytes[byte] = if stays_zero { Byte::Zero } else { Byte::Misc };
        }
        if let (true, Some(reg)) = (zero_used, source) {
            self.precise(state, reg);
        }
        Ok(())
    }

    /// What a read gives.
    pub fn stack_read(&mut self, state: &State, extent: Extent, size: u32) -> Step<Reg> {
        self.reads(extent, size);
        let uninit = self.uninit();
        let frame = &state.frames[usize::from(extent.depth)];
        let (index, first) = place(extent.min);
        if extent.is_fixed() {
            let slot = frame.stack.get(index).copied().unwrap_or(Slot::EMPTY);
            if slot.is_spill() {
                return self.fill(&slot, extent, index, first, size);
            }
        }
        let mut zeros = true;
        let mut pointer = None;
        for off in extent.min..extent.max + i64::from(size) {
            let (index, byte) = place(off);
            let slot = frame.stack.get(index).copied().unwrap_or(Slot::EMPTY);
            match slot.bytes[byte] {
                Byte::Zero => {}
                Byte::Misc => zeros = false,
                Byte::Spill if slot.value.is_number() => zeros = false,
                Byte::Spill => pointer = Some(off),
                Byte::Kernel => return Err(Reason::Rule(&rules::DYNPTR_ACCESS).into()),
                Byte::Invalid if uninit => zeros = false,
                Byte::Invalid => return Err(Reason::StackUnwritten(off).into()),
            }
        }
        if let Some(off) = pointer {
            // A pointer that is read by a variable offset would lose what it is.
            return if extent.is_fixed() { Err(Reason::SpillSize(off).into()) } else { Ok(Reg::UNKNOWN) };
        }
        Ok(if zeros { Reg::constant(0) } else { Reg::UNKNOWN })
    }

    /// A read of a value that was spilled.
    fn fill(&mut self, slot: &Slot, extent: Extent, index: usize, first: usize, size: u32) -> Step<Reg> {
        let spilled = slot.bytes.iter().take_while(|byte| **byte == Byte::Spill).count();
        if size == 8 && spilled == 8 {
            self.note_stack(extent.depth, index);
            return Ok(slot.value);
        }
        if !slot.value.is_number() {
            return Err(Reason::SpillSize(extent.min).into());
        }
        if first == 0 && size as usize <= spilled {
            self.note_stack(extent.depth, index);
            let mut value = slot.value;
            if value.num.u64().max > u64::MAX >> (64 - size * 8) {
                value.unlink();
            }
            return Ok(value);
        }
        let bytes = &slot.bytes[first..first + size as usize];
        if bytes.contains(&Byte::Invalid) && !self.uninit() {
            return Err(Reason::StackUnwritten(extent.min).into());
        }
        if bytes.iter().all(|byte| *byte == Byte::Spill) && slot.value.is_zero() {
            self.note_stack(extent.depth, index);
            return Ok(Reg::constant(0));
        }
        Ok(if bytes.iter().all(|byte| *byte == Byte::Zero) { Reg::constant(0) } else { Reg::UNKNOWN })
    }

    /// Memory on the stack that a helper reads, or reads and writes (`check_stack_range_initialized`).
    pub fn stack_range(&mut self, state: &mut State, extent: Extent, size: u32, writes: bool) -> Step<()> {
        self.reads(extent, size);
        let (uninit, shows) = (self.uninit(), self.loader.perfmon);
        let frame = &mut state.frames[usize::from(extent.depth)];
        // Even nothing is read only where the stack has been used.
        if !uninit && !writes && self.kernel >= Kernel::V6_18 && place(extent.min).0 >= frame.stack.len() {
            return Err(Reason::StackUnwritten(extent.min).into());
        }
        for off in extent.min..extent.max + i64::from(size) {
            let (index, byte) = place(off);
            let slot = frame.slot(index);
            match slot.bytes[byte] {
                Byte::Misc => {}
                Byte::Kernel => return Err(Reason::Rule(&rules::DYNPTR_ACCESS).into()),
                Byte::Zero => {
                    if writes {
                        slot.bytes[byte] = Byte::Misc;
                    }
                }
                Byte::Invalid if uninit => {
                    if writes {
                        slot.bytes[byte] = Byte::Misc;
                    }
                }
                // The kernel does not look how many bytes of a slot a number has.
                Byte::Spill | Byte::Invalid if slot.is_spill() && (shows || slot.value.is_number()) => {
                    if writes {
                        slot.scramble();
                    }
                }
                Byte::Spill => return Err(Reason::Shown(slot.value.kind).into()),
                Byte::Invalid => return Err(Reason::StackUnwritten(off).into()),
            }
        }
        Ok(())
    }

    /// Whether a slot must not be overwritten in part by processes that must not see addresses: before 6.9 that is said of
    /// spilled numbers, too.
    fn is_broken(&self, slot: &Slot) -> bool {
        match self.kernel {
            Kernel::V6_12 | Kernel::V6_18 => slot.is_spill() && !slot.value.is_number(),
            _ => slot.bytes[7] == Byte::Spill,
        }
    }

    /// Memory on the stack that a helper fills.
    pub fn stack_fill(&mut self, state: &mut State, extent: Extent, size: u32) -> Step<()> {
        let mut sensitive = false;
        let frame = &mut state.frames[usize::from(extent.depth)];
        for off in extent.min..extent.min + i64::from(size) {
            let (index, byte) = place(off);
            let slot = frame.slot(index);
            if slot.bytes[byte] == Byte::Kernel {
                return Err(Reason::Rule(&rules::DYNPTR_ACCESS).into());
            }
            if self.guards() && self.is_broken(slot) {
                return Err(Reason::Rule(&rules::SPILL_BROKEN).into());
            }
            sensitive |= !matches!(slot.bytes[byte], Byte::Misc | Byte::Zero);
            slot.scramble();
            slot.bytes[byte] = Byte::Misc;
        }
        self.guard_store(sensitive);
        Ok(())
    }

    /// The number that the four bytes of a key hold, if they were spilled as one (`get_constant_map_key`).
    pub fn constant_key(&mut self, state: &State, pointer: &Reg) -> Option<u64> {
        let Kind::Stack(depth) = pointer.kind else { return None };
        if !self.loader.bpf {
            return None;
        }
        let off = pointer.fixed_offset()?;
        if !(-512..0).contains(&off) {
            return None;
        }
        let (index, first) = place(off);
        let slot = state.frames[usize::from(depth)].stack.get(index)?;
        let bytes = slot.bytes.get(first..first + 4)?;
        if bytes.iter().all(|byte| *byte == Byte::Zero) {
            return Some(0);
        }
        let spilled = slot.bytes.iter().take_while(|byte| **byte == Byte::Spill).count();
        if first != 0 || spilled != 4 {
            return None;
        }
        let key = slot.value.as_constant()?;
        self.mark_precise(Wanted::of(&[Place::Slot(depth, u8::try_from(index).ok()?)]), 1);
        Some(key)
    }
}

/// A value in the lower bytes of a slot.
fn spill(slot: &mut Slot, value: Reg, size: u32) {
    for (index, byte) in slot.bytes.iter_mut().enumerate() {
        if index < size as usize {
            *byte = Byte::Spill;
        } else if !matches!(*byte, Byte::Zero | Byte::Invalid) {
            *byte = Byte::Misc;
        }
    }
    slot.value = value;
}
