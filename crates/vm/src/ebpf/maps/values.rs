//! The values of a map: slots of equal size in shared memory, one area for each CPU.

use std::ops::Range;

use super::error::MapError;
use super::shared::SharedBytes;

/// Bytes of a cache line: areas of different CPUs do not share one.
const LINE_BYTES: u32 = 64;

/// Slots for values. The area of each CPU has all slots, followed by a gap.
#[derive(Debug)]
pub(super) struct Values {
    bytes: SharedBytes,
    /// Bytes of a value as the map was made with.
    size: u32,
    /// Bytes from one slot to the next, the size rounded up to 8.
    stride: u32,
    slots: u32,
    /// Slots and gap of one area, in slots.
    area: u32,
    cpus: u32,
}

impl Values {
    /// `slots` values of `size` bytes for each of `cpus` CPUs, all zero.
    pub(super) fn new(size: u32, slots: u32, cpus: u32) -> Result<Self, MapError> {
        let stride = size.max(1).next_multiple_of(8);
        let gap = if cpus > 1 { LINE_BYTES.div_ceil(stride) } else { 0 };
        let area = u64::from(slots) + u64::from(gap);
        let bytes = area * u64::from(stride) * u64::from(cpus);
        let (Ok(area), Ok(len)) = (u32::try_from(area), usize::try_from(bytes)) else {
            return Err(MapError::TooLarge(bytes));
        };
        Ok(Self { bytes: SharedBytes::new(len)?, size, stride, slots, area, cpus })
    }

    pub(super) const fn bytes(&self) -> &SharedBytes {
        &self.bytes
    }

    pub(super) const fn stride(&self) -> u32 {
        self.stride
    }

    pub(super) const fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Where the value of a slot starts. `slot` and `cpu` are in range; the sizes were checked at creation.
    #[inline]
    pub(super) const fn offset(&self, slot: u32, cpu: u32) -> u32 {
        cpu.wrapping_mul(self.area).wrapping_add(slot).wrapping_mul(self.stride)
    }

    /// As [`offset`](Self::offset) of a map with one value for all CPUs.
    #[inline]
    pub(super) const fn offset_single(&self, slot: u32) -> u32 {
        slot.wrapping_mul(self.stride)
    }

    /// The bytes of the one value that `offset` points into, `None` between values.
    #[inline]
    pub(super) const fn range(&self, offset: u32) -> Option<Range<u32>> {
        let position = offset / self.stride;
        let start = position * self.stride;
        let inside = if self.cpus == 1 {
            position < self.slots
        } else {
            position % self.area < self.slots && position / self.area < self.cpus
        };
        if inside && offset - start < self.size { Some(start..start + self.size) } else { None }
    }

    /// Copies a value of one CPU in.
    pub(super) fn write(&self, slot: u32, cpu: u32, value: &[u8]) {
        let stored = self.bytes.write(self.offset(slot, cpu) as usize, value);
        debug_assert!(stored, "a slot lies inside the memory");
    }

    /// Copies a value of one CPU out.
    pub(super) fn read(&self, slot: u32, cpu: u32, value: &mut [u8]) {
        let read = self.bytes.read(self.offset(slot, cpu) as usize, value);
        debug_assert!(read, "a slot lies inside the memory");
    }

    /// Bytes of a value as the user side sees it: for several CPUs all of them, each rounded up to 8 bytes.
    pub(super) const fn user_size(&self, per_cpu: bool) -> usize {
        if per_cpu { self.stride as usize * self.cpus as usize } else { self.size as usize }
    }

    /// Copies out what the user side sees; `value` has [`user_size`](Self::user_size) bytes.
    pub(super) fn read_user(&self, slot: u32, per_cpu: bool, value: &mut [u8]) {
        if per_cpu {
            for (cpu, part) in (0..self.cpus).zip(value.chunks_exact_mut(self.stride as usize)) {
                self.read(slot, cpu, part);
            }
        } else {
            self.read(slot, 0, value);
        }
    }

    /// Copies in what the user side gives, rounded parts for all CPUs.
    pub(super) fn write_user(&self, slot: u32, per_cpu: bool, value: &[u8]) {
        if per_cpu {
            for (cpu, part) in (0..self.cpus).zip(value.chunks_exact(self.stride as usize)) {
                self.write(slot, cpu, part);
            }
        } else {
            self.write(slot, 0, value);
        }
    }

    /// A new entry made by a program: its own CPU's value, zeros for all others.
    pub(super) fn write_first(&self, slot: u32, cpu: u32, value: &[u8]) {
        for other in (0..self.cpus).filter(|&other| other != cpu) {
            let start = self.offset(slot, other) as usize;
            for at in (start..start + self.stride as usize).step_by(8) {
                if let Some(word) = self.bytes.u64_at(at) {
                    word.store(0, std::sync::atomic::Ordering::Relaxed);
                }
            }
        }
        self.write(slot, cpu, value);
    }
}
