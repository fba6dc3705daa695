//! Timers in map values (`bpf_timer_*` of `kernel/bpf/helpers.c`): a worker fires those that its programs started.
//!
//! The 16 bytes of a `struct bpf_timer` hold a number that leads to the timer here. Overwriting them, as an update of
//! the whole value does, ends the timer; so does deleting the entry.

use std::collections::BTreeMap;

/// Bytes of `struct bpf_timer` in `linux/bpf.h`.
pub(crate) const TIMER_BYTES: u32 = 16;

/// One timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer {
    /// Address of the structure.
    pub(crate) address: u64,
    /// Index of the map that has it.
    pub(crate) map: u32,
    /// Program and step of the callback.
    pub(crate) callback: Option<(usize, u32)>,
    /// Monotonic nanoseconds at which it fires; `None` if it is not started.
    pub(crate) due: Option<u64>,
}

/// The timers of a worker by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    rows: BTreeMap<u64, Timer>,
    last: u64,
    /// The timer whose callback runs.
    pub(crate) firing: Option<u64>,
}

impl Timers {
    /// A new timer: the number to keep in the structure. It replaces one that was at the same address.
    pub(crate) fn add(&mut self, address: u64, map: u32) -> u64 {
        self.rows.retain(|_, timer| timer.address != address);
        self.last += 1;
        self.rows.insert(self.last, Timer { address, map, callback: None, due: None });
        self.last
    }

    /// The timer with this number, if it belongs to the structure at `address`.
    pub(crate) fn get(&mut self, number: u64, address: u64) -> Option<&mut Timer> {
        self.rows.get_mut(&number).filter(|timer| timer.address == address)
    }

    pub(crate) fn remove(&mut self, number: u64) {
        self.rows.remove(&number);
    }

    /// The started timer that is due first, not after `limit`; the one started first of those at the same time.
    pub(crate) fn next_due(&self, limit: u64) -> Option<(u64, Timer, u64)> {
        let due = self.rows.iter().filter_map(|(&number, timer)| Some((number, *timer, timer.due?)));
        due.filter(|&(.., due)| due <= limit).min_by_key(|&(number, _, due)| (due, number))
    }
}
