//! Frames: where the objects of a function and its spilled registers lie below `r10`.
//!
//! Everything starts at a multiple of 8: the verifier tracks whole slots of 8 bytes, and refuses what is not aligned.

use skep_ir::analysis::Places;
use skep_ir::{Entity, Function, InstData, Loc, Slot};

use crate::mir::{Base, Inst, MirFunc};

/// Bytes that all frames of a chain of calls have together (`MAX_BPF_STACK` in `linux/filter.h`).
pub const STACK: u32 = 512;

/// What the kernel rounds every frame up to, without just-in-time compiler (`check_max_stack_depth` of its verifier).
const GRANULE: u32 = 32;

/// What the kernel adds to the frame of a function with `may_goto`: its counter and a time.
const MAY_GOTO: u32 = 16;

/// The frame of a function.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    offsets: Vec<Option<i32>>,
    spills_end: i32,
    /// Bytes that it counts for in a chain of calls.
    pub size: u32,
    /// Bytes that are spilled registers.
    pub spilled: u32,
}

/// An object in a frame that is too large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameObject {
    /// Name of the function.
    pub function: String,
    /// Name of the object, `spilled registers` for those.
    pub name: String,
    /// Bytes.
    pub size: u32,
    /// The first place where it is used.
    pub loc: Loc,
}

impl Frame {
    /// Lays out what a function uses: objects first, registers below them.
    pub fn new(func: &Function, mir: &MirFunc, spills: u32) -> Self {
        let mut frame = Self { offsets: vec![None; func.slots.len()], ..Self::default() };
        let mut used = vec![false; func.slots.len()];
        let mut may_goto = false;
        for (inst, _) in mir.blocks.iter().flat_map(|block| &block.insts) {
            slots(inst).into_iter().for_each(|slot| used[slot.index()] = true);
            may_goto |= matches!(inst, Inst::MayGoto(..));
        }
        let places = Places::new(func);
        let size = places.size.min(i32::MAX as u32 / 2);
        // From the top of the frame downwards.
        for (index, slot) in func.slots.iter().enumerate().filter(|(index, _)| used[*index]) {
            let place = places.offset(Slot::new(index)).unwrap_or(0);
            let end = place.saturating_add(slot.size).saturating_add(7).min(size) / 8 * 8;
            frame.offsets[index] = Some(-(end as i32));
        }
        frame.spills_end = -(size as i32);
        frame.spilled = spills.saturating_mul(8);
        let extra = if may_goto { MAY_GOTO } else { 0 };
        frame.size = size.saturating_add(frame.spilled).saturating_add(extra).max(1).next_multiple_of(GRANULE);
        frame
    }

    /// Where an object begins, relative to `r10`.
    pub fn slot(&self, slot: Slot) -> i32 {
        self.offsets[slot.index()].unwrap_or(0)
    }

    /// Where a spilled register is.
    pub fn spill(&self, number: u32) -> i32 {
        self.spills_end.saturating_sub(8 * (number.min(STACK) as i32 + 1))
    }

    /// The number of the spilled register at a distance from `r10`, if one is there.
    pub fn spill_at(&self, off: i32) -> Option<usize> {
        let below = usize::try_from(self.spills_end.checked_sub(off)?).ok()?;
        (below > 0 && below % 8 == 0 && below <= self.spilled as usize).then(|| below / 8 - 1)
    }

    /// What takes most of the frame, in no particular order.
    pub fn objects(&self, func: &Function) -> Vec<FrameObject> {
        let used = func.slots.iter().enumerate().filter(|(index, _)| self.offsets[*index].is_some());
        let mut objects: Vec<FrameObject> = used
            .map(|(index, slot)| FrameObject {
                function: func.name.clone(),
                name: if slot.name.is_empty() { format!("object {index}") } else { slot.name.clone() },
                size: slot.size,
                loc: first_use(func, Slot::new(index)),
            })
            .collect();
        if self.spilled > 0 {
            objects.push(FrameObject {
                function: func.name.clone(),
                name: "spilled registers".to_owned(),
                size: self.spilled,
                loc: Loc::default(),
            });
        }
        objects
    }
}

/// The objects that an instruction names.
fn slots(inst: &Inst) -> Option<Slot> {
    match inst {
        Inst::SlotAddr { slot, .. }
        | Inst::Load { base: Base::Slot(slot), .. }
        | Inst::Store { base: Base::Slot(slot), .. }
        | Inst::Atomic { base: Base::Slot(slot), .. }
        | Inst::CompareExchange { base: Base::Slot(slot), .. } => Some(*slot),
        _ => None,
    }
}

fn first_use(func: &Function, slot: Slot) -> Loc {
    let insts = func.blocks.iter().flat_map(|&block| &func[block].insts);
    let mut uses = insts.map(|&inst| &func[inst]).filter(|node| node.data == InstData::SlotAddr(slot));
    uses.next().map_or(Loc::default(), |node| node.loc)
}
