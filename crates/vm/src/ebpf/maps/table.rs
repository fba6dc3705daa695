//! A hash table that is read without locks.
//!
//! ```text
//! cells    [tag | entry + 1] ...      one word each, open addressing, at most half full
//! entries  [alive | value slot] [key words ...] ...
//! ```
//!
//! One writer at a time (the caller holds a lock) changes words with atomic stores; readers repeat their walk if the
//! sequence counter tells that cells moved, or that an entry or a value slot became free for something else. So what a
//! reader returns was in the table at one moment. A new entry changes only an empty cell and needs no counting.
//!
//! Keys are kept outside of the memory that programs can reach. Entries keep their position as long as they exist,
//! whatever happens to others; that is the order of iteration.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::ControlFlow;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use super::sequence::Sequence;
use super::shared::zeroed_words;

/// Flag of the first word of an entry.
const ALIVE: u64 = 1 << 32;
/// Longest key in bytes that has a path of its own.
const SHORT: usize = 16;
/// Most entries of a table that is at most a quarter full; others are at most half full.
const SMALL: u32 = 1 << 16;

/// The table without its values, which the caller keeps in slots with numbers.
#[derive(Debug)]
pub(super) struct Table {
    cells: Box<[AtomicU64]>,
    entries: Box<[AtomicU64]>,
    key_size: usize,
    /// Words of an entry: one, and those of its key.
    entry_words: usize,
    seed: u64,
    sequence: Sequence,
    /// Entries that were ever used; those behind are not alive.
    used: AtomicU32,
    len: AtomicU32,
}

/// Numbers that the writer hands out: freed ones first, then new ones.
#[derive(Debug)]
pub(super) struct Numbers {
    free: Vec<u32>,
    fresh: u32,
    end: u32,
}

impl Numbers {
    /// Numbers below `end`.
    pub(super) fn new(end: u32) -> Self {
        Self { free: Vec::with_capacity(end as usize), fresh: 0, end }
    }

    pub(super) fn take(&mut self) -> Option<u32> {
        self.free.pop().or_else(|| {
            (self.fresh < self.end).then(|| {
                self.fresh += 1;
                self.fresh - 1
            })
        })
    }

    /// Takes back a number; there is room for all of them.
    pub(super) fn give_back(&mut self, number: u32) {
        self.free.push(number);
    }
}

/// An entry that the writer found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    cell: usize,
    /// Its number.
    pub(super) entry: u32,
    /// Slot of its value.
    pub(super) slot: u32,
}

/// One to eight bytes as a number, the first the lowest.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    if let Some(all) = bytes.first_chunk::<8>() {
        u64::from_le_bytes(*all)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        // Two loads that overlap; the shift removes what they share.
        let last = u64::from(u32::from_le_bytes(*last)) << 32;
        u64::from(u32::from_le_bytes(*first)) | (last >> (8 * (8 - bytes.len())) & !0xffff_ffff)
    } else {
        bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
    }
}

#[inline]
fn mix(state: u64, word: u64) -> u64 {
    // The high half of a product depends on all bits of the factors, the low half on the lower ones.
    let product = u128::from(state ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    (product as u64) ^ ((product >> 64) as u64)
}

impl Table {
    /// An empty table for keys of `key_size` bytes (not 0). `seeded` tables have a hash function of their own, so that
    /// traffic cannot be made to collide.
    pub(super) fn new(key_size: u32, max_entries: u32, seeded: bool) -> Self {
        let key_size = key_size as usize;
        let entry_words = 1 + key_size.div_ceil(8);
        // Short walks are predicted better, and small tables can afford to be emptier.
        let room = if max_entries <= SMALL { 4 } else { 2 };
        let cells = (max_entries as usize * room).next_power_of_two().max(4);
        Self {
            cells: zeroed_words(cells),
            entries: zeroed_words(entry_words * max_entries as usize),
            key_size,
            entry_words,
            seed: if seeded { RandomState::new().build_hasher().finish() } else { 0 },
            sequence: Sequence::default(),
            used: AtomicU32::new(0),
            len: AtomicU32::new(0),
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.len.load(Relaxed)
    }

    /// The words of an entry whose number of words the caller knows.
    #[inline]
    fn short_entry<const WORDS: usize>(&self, entry: u32) -> Option<&[AtomicU64; WORDS]> {
        self.entries.get(entry as usize * WORDS..)?.first_chunk()
    }

    fn entry(&self, entry: u32) -> Option<&[AtomicU64]> {
        let start = entry as usize * self.entry_words;
        self.entries.get(start..start + self.entry_words)
    }

    /// Calls `visit` with the cell and the number of every entry that may have this hash.
    #[inline]
    fn walk<T>(&self, hash: u64, mut visit: impl FnMut(usize, u32) -> Option<T>) -> Option<T> {
        let tag = (hash >> 32) as u32;
        let mask = self.cells.len() - 1;
        let mut at = tag as usize & mask;
        for _ in 0..self.cells.len() {
            let cell = self.cells.get(at)?.load(Acquire);
            if cell == 0 {
                return None;
            }
            if (cell >> 32) as u32 == tag {
                let found = visit(at, (cell as u32).wrapping_sub(1));
                if found.is_some() {
                    return found;
                }
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// As [`walk`](Self::walk), for the one entry that has the key. Keys of one and two words have paths of their own.
    #[inline]
    fn walk_key<T>(&self, key: &[u8], mut found: impl FnMut(usize, u32, u64) -> T) -> Option<T> {
        if key.len() != self.key_size {
            return None;
        }
        if key.len() <= 8 {
            let only = word(key);
            return self.walk(mix(self.seed, only), |cell, entry| {
                let [value, own] = self.short_entry(entry)?;
                (own.load(Relaxed) == only).then(|| found(cell, entry, value.load(Acquire)))
            });
        }
        if key.len() <= SHORT {
            let (first, second) = (word(key), word(&key[8..]));
            return self.walk(mix(mix(self.seed, first), second), |cell, entry| {
                let [value, a, b] = self.short_entry(entry)?;
                let equal = a.load(Relaxed) == first && b.load(Relaxed) == second;
                equal.then(|| found(cell, entry, value.load(Acquire)))
            });
        }
        self.walk(self.long_hash(key), |cell, entry| {
            let (value, own) = self.entry(entry)?.split_first()?;
            let equal = key.chunks(8).zip(own).all(|(part, own)| own.load(Relaxed) == word(part));
            equal.then(|| found(cell, entry, value.load(Acquire)))
        })
    }

    fn long_hash(&self, key: &[u8]) -> u64 {
        key.chunks(8).fold(self.seed, |state, part| mix(state, word(part)))
    }

    /// Slot of the value that `key` has.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        if key.len() > SHORT {
            return self.find_long(key);
        }
        self.sequence.read(|| self.walk_key(key, |_, _, value| value as u32))
    }

    /// Kept apart so that the short walks fit where they are called.
    #[inline(never)]
    fn find_long(&self, key: &[u8]) -> Option<u32> {
        self.sequence.read(|| self.walk_key(key, |_, _, value| value as u32))
    }

    /// Number of the entry that `key` has.
    pub(super) fn find_entry(&self, key: &[u8]) -> Option<u32> {
        self.sequence.read(|| self.walk_key(key, |_, entry, _| entry))
    }

    /// Finds `key` and copies its value by `copy`, with certainty that the slot was its own all the time. `locked` makes
    /// writers wait if they are faster than the copy.
    pub(super) fn find_and_copy<G>(
        &self,
        key: &[u8],
        mut copy: impl FnMut(u32),
        lock: impl FnOnce() -> G,
    ) -> Option<()> {
        self.sequence.read_patiently(|| self.walk_key(key, |_, _, value| copy(value as u32)), lock)
    }

    /// Number of the first entry at or behind `from` that is alive, with its value slot, its key going to `key`
    /// (nothing is copied if that has another length).
    pub(super) fn entry_from(&self, from: u32, key: &mut [u8]) -> Option<(u32, u32)> {
        (from..self.used.load(Acquire)).find_map(|entry| {
            let (first, own) = self.entry(entry)?.split_first()?;
            let slot = self.sequence.read(|| {
                let value = first.load(Acquire);
                if key.len() == self.key_size {
                    for (part, own) in key.chunks_mut(8).zip(own) {
                        part.copy_from_slice(&own.load(Relaxed).to_le_bytes()[..part.len()]);
                    }
                }
                (value & ALIVE != 0).then_some(value as u32)
            })?;
            Some((entry, slot))
        })
    }

    /// For the writer: finds `key`.
    pub(super) fn locate(&self, key: &[u8]) -> Option<Found> {
        self.walk_key(key, |cell, entry, value| Found { cell, entry, slot: value as u32 })
    }

    /// For the writer: the entry with this number, which is alive.
    pub(super) fn locate_entry(&self, entry: u32) -> Option<Found> {
        let (value, own) = self.entry(entry)?.split_first()?;
        let hash = own.iter().fold(self.seed, |state, word| mix(state, word.load(Relaxed)));
        let slot = value.load(Relaxed) as u32;
        self.walk(hash, |cell, number| (number == entry).then_some(Found { cell, entry, slot }))
    }

    /// For the writer, before it writes to a value slot that was in use before.
    pub(super) fn reuse(&self) {
        self.sequence.reuse();
    }

    /// For the writer: adds a key that is not in the table. `entry` is not alive, and the value in `slot` was written.
    pub(super) fn insert(&self, key: &[u8], entry: u32, slot: u32) {
        let Some((value, own)) = self.entry(entry).and_then(<[_]>::split_first) else { return };
        self.reuse();
        let mut hash = self.seed;
        for (part, own) in key.chunks(8).zip(own) {
            let part = word(part);
            own.store(part, Relaxed);
            hash = mix(hash, part);
        }
        value.store(ALIVE | u64::from(slot), Release);
        let tag = hash >> 32;
        let mask = self.cells.len() - 1;
        let first = tag as usize & mask;
        let free = (0..self.cells.len())
            .map(|step| (first + step) & mask)
            .find_map(|at| self.cells.get(at).filter(|cell| cell.load(Relaxed) == 0));
        if let Some(cell) = free {
            cell.store(tag << 32 | u64::from(entry + 1), Release);
        }
        self.used.fetch_max(entry + 1, Release);
        self.len.fetch_add(1, Relaxed);
    }

    /// For the writer: gives an entry another value slot; the old one is free for reuse then.
    pub(super) fn replace(&self, found: Found, slot: u32) {
        let Some(value) = self.entry(found.entry).and_then(<[_]>::first) else { return };
        self.sequence.change(|| value.store(ALIVE | u64::from(slot), Release));
    }

    /// For the writer: takes an entry out; entry and value slot are free for reuse then.
    pub(super) fn remove(&self, found: Found) {
        let Some(value) = self.entry(found.entry).and_then(<[_]>::first) else { return };
        let mask = self.cells.len() - 1;
        self.sequence.change(|| {
            value.store(0, Relaxed);
            // Cells behind the hole move up if their walk would otherwise end at it.
            let mut hole = found.cell;
            let mut at = hole;
            let end = (0..self.cells.len()).try_for_each(|_| {
                at = (at + 1) & mask;
                let cell = self.cells[at].load(Relaxed);
                if cell == 0 {
                    return ControlFlow::Break(());
                }
                let home = (cell >> 32) as usize & mask;
                if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                    self.cells[hole].store(cell, Relaxed);
                    hole = at;
                }
                ControlFlow::Continue(())
            });
            debug_assert!(end.is_break(), "the table is never full");
            self.cells[hole].store(0, Relaxed);
        });
        self.len.fetch_sub(1, Relaxed);
    }
}
