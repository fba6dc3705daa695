//! Which slots of the stack are still read: what no path reads any more does not tell states apart (`mark_reg_read`,
//! `propagate_liveness`).
//!
//! A read is noted in the states that were kept on its path, back to the one behind which the slot was written as a whole.
//! Once all paths from a state have ended, what is noted there is all that matters of its stack. A path that ends because its
//! loop has been there before may read anything.

use crate::search::Verifier;
use crate::stack::Extent;
use crate::state::MAX_FRAMES;

/// Slots of the functions on the way, a bit for each.
pub type Slots = [u64; MAX_FRAMES];

/// Every slot.
const ALL: Slots = [u64::MAX; MAX_FRAMES];

impl Verifier<'_> {
    /// The bytes of an access are read, or some of them.
    pub fn reads(&mut self, extent: Extent, size: u32) {
        let slot = |off: i64| u32::try_from((-off - 1) / 8).unwrap_or(0).min(63);
        let (highest, lowest) = (slot(extent.min), slot(extent.max + i64::from(size) - 1));
        let mask = (u64::MAX >> (63 - highest)) & (u64::MAX << lowest);
        self.read_slots(usize::from(extent.depth), mask);
    }

    /// A slot is overwritten as a whole.
    pub fn overwrites(&mut self, depth: u8, slot: usize) {
        self.written[usize::from(depth)] |= 1 << slot;
    }

    /// The path ends here: what is read behind the state that covers it is read on this path too. `None` for a state behind
    /// which not everything is known.
    pub fn reads_as(&mut self, kept: Option<u32>) {
        let slots = kept.map_or(ALL, |kept| self.kept[kept as usize].read);
        for (depth, mask) in slots.into_iter().enumerate() {
            self.read_slots(depth, mask);
        }
    }

    fn read_slots(&mut self, depth: usize, mask: u64) {
        let mut mask = mask & !self.written[depth];
        let mut parent = self.parent;
        while let Some(index) = parent.filter(|_| mask != 0) {
            let kept = &mut self.kept[index as usize];
            // What was noted here was noted in front of it too.
            mask &= !kept.read[depth];
            kept.read[depth] |= mask;
            mask &= !kept.written[depth];
            parent = kept.parent;
        }
    }
}
