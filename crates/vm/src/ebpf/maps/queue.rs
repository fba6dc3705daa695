//! `BPF_MAP_TYPE_QUEUE` and `STACK` (`kernel/bpf/queue_stack_maps.c`).

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::{MapError, UpdateFlag};
use super::shape::Shape;

/// Values in the order in which they came.
#[derive(Debug)]
pub(super) struct Queue {
    value_size: usize,
    max_entries: usize,
    /// Take the newest value instead of the oldest.
    newest_first: bool,
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    bytes: Box<[u8]>,
    /// Number of the oldest value.
    start: usize,
    len: usize,
}

impl Queue {
    /// An empty queue, or stack if `newest_first`; `shape` was checked.
    pub(super) fn new(shape: Shape, newest_first: bool) -> Self {
        let (value_size, max_entries) = (shape.value_size as usize, shape.max_entries as usize);
        let bytes = vec![0; value_size * max_entries].into_boxed_slice();
        Self { value_size, max_entries, newest_first, ring: Mutex::new(Ring { bytes, start: 0, len: 0 }) }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len
    }

    fn place<'r>(&self, ring: &'r mut Ring, number: usize) -> &'r mut [u8] {
        let at = (ring.start + number) % self.max_entries * self.value_size;
        &mut ring.bytes[at..at + self.value_size]
    }

    /// Adds a value; `BPF_EXIST` drops the oldest one if there is no room.
    pub(super) fn push(&self, value: &[u8], flags: u64) -> Result<(), MapError> {
        if flags != UpdateFlag::Any.bits() && flags != UpdateFlag::Exist.bits() {
            return Err(MapError::Invalid("the flag of a push must be BPF_ANY or BPF_EXIST"));
        }
        let mut ring = self.lock();
        if ring.len == self.max_entries {
            if flags == UpdateFlag::Any.bits() {
                return Err(MapError::Full);
            }
            ring.start = (ring.start + 1) % self.max_entries;
            ring.len -= 1;
        }
        let number = ring.len;
        self.place(&mut ring, number).copy_from_slice(value);
        ring.len += 1;
        Ok(())
    }

    /// Copies the next value out, and removes it if `remove`. The bytes are zero if there is none.
    pub(super) fn get(&self, value: &mut [u8], remove: bool) -> Result<(), MapError> {
        let mut ring = self.lock();
        let Some(last) = ring.len.checked_sub(1) else {
            value.fill(0);
            return Err(MapError::NotFound);
        };
        let number = if self.newest_first { last } else { 0 };
        value.copy_from_slice(self.place(&mut ring, number));
        if remove {
            ring.len = last;
            if !self.newest_first {
                ring.start = (ring.start + 1) % self.max_entries;
            }
        }
        Ok(())
    }
}
