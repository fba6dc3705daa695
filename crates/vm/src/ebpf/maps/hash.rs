//! `BPF_MAP_TYPE_HASH`, `PERCPU_HASH`, `LRU_HASH`, `LRU_PERCPU_HASH` (`kernel/bpf/hashtab.c`) and `DEVMAP_HASH`.
//!
//! A new value for an existing key goes to another slot, as in the kernel: who reads the old one by its address is not
//! disturbed until the slot is used again. Per-CPU values are changed in place. There is one slot more for each CPU, so
//! a full map takes new values as well.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use skep_isa::MapType;

use super::error::{MapError, UpdateFlag};
use super::lru::{Lru, Owner};
use super::shape::{Shape, flag, is_lru, is_per_cpu};
use super::shared::zeroed_bytes;
use super::table::{Found, Numbers, Table};
use super::values::Values;

/// A value on its way into a map.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// From a program that runs on this CPU.
    Program(&'a [u8], u32),
    /// From the user side: for per-CPU maps the values of all CPUs.
    User(&'a [u8]),
}

impl Source<'_> {
    /// The CPU whose lists and spare slots are used. The user side counts as CPU 0.
    const fn cpu(self) -> u32 {
        match self {
            Self::Program(_, cpu) => cpu,
            Self::User(_) => 0,
        }
    }
}

/// Hash map of any kind.
#[derive(Debug)]
pub(super) struct Hash {
    table: Table,
    values: Values,
    per_cpu: bool,
    /// For LRU maps a byte for each value slot: whether a program looked it up.
    referenced: Box<[AtomicU8]>,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    entries: Numbers,
    slots: Slots,
}

#[derive(Debug)]
enum Slots {
    Plain {
        numbers: Numbers,
        /// For each CPU a slot that takes the next new value of an existing key.
        spare: Vec<u32>,
    },
    Lru {
        lru: Lru,
        /// The entry of each slot.
        entry_of: Vec<Option<u32>>,
    },
}

impl Hash {
    /// An empty map; `shape` was checked.
    pub(super) fn new(kind: MapType, shape: Shape, cpus: u32) -> Result<Self, MapError> {
        let per_cpu = is_per_cpu(kind);
        let lru = is_lru(kind);
        let spares = if lru || per_cpu { 0 } else { cpus };
        let slot_count = shape.max_entries.checked_add(spares).ok_or(MapError::TooLarge(u64::from(u32::MAX)))?;
        let slots = if lru {
            let own_lists = shape.flags & flag::NO_COMMON_LRU != 0;
            Slots::Lru { lru: Lru::new(slot_count, cpus, own_lists), entry_of: vec![None; slot_count as usize] }
        } else {
            let mut numbers = Numbers::new(slot_count);
            let spare = (0..spares).filter_map(|_| numbers.take()).collect();
            Slots::Plain { numbers, spare }
        };
        Ok(Self {
            table: Table::new(shape.key_size, shape.max_entries, shape.flags & flag::ZERO_SEED == 0),
            values: Values::new(shape.value_size, slot_count, if per_cpu { cpus } else { 1 })?,
            per_cpu,
            referenced: zeroed_bytes(if lru { slot_count as usize } else { 0 }),
            writer: Mutex::new(Writer { entries: Numbers::new(shape.max_entries), slots }),
        })
    }

    pub(super) const fn values(&self) -> &Values {
        &self.values
    }

    pub(super) fn len(&self) -> u32 {
        self.table.len()
    }

    /// Bytes of a value on the user side.
    pub(super) const fn user_size(&self) -> usize {
        self.values.user_size(self.per_cpu)
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        // The writer never leaves its state half changed.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For programs: offset of the value. An LRU map remembers that it was looked up.
    #[inline]
    pub(super) fn find(&self, key: &[u8], cpu: u32) -> Option<u32> {
        let slot = self.table.find(key)?;
        if let Some(bit) = self.referenced.get(slot as usize)
            && bit.load(Relaxed) == 0
        {
            bit.store(1, Relaxed);
        }
        if self.per_cpu {
            return (cpu < self.values.cpus()).then(|| self.values.offset(slot, cpu));
        }
        Some(self.values.offset_single(slot))
    }

    /// For the user side: copies the value.
    pub(super) fn read(&self, key: &[u8], value: &mut [u8]) -> Result<(), MapError> {
        self.table
            .find_and_copy(key, |slot| self.values.read_user(slot, self.per_cpu, value), || self.lock())
            .ok_or(MapError::NotFound)
    }

    fn store(&self, slot: u32, source: Source<'_>, is_new: bool) {
        self.table.reuse();
        match source {
            Source::User(value) => self.values.write_user(slot, self.per_cpu, value),
            Source::Program(value, cpu) if self.per_cpu && is_new => self.values.write_first(slot, cpu, value),
            Source::Program(value, cpu) => self.values.write(slot, if self.per_cpu { cpu } else { 0 }, value),
        }
    }

    /// Creates or replaces an entry; the sizes and the CPU were checked.
    pub(super) fn update(&self, key: &[u8], source: Source<'_>, flag: UpdateFlag) -> Result<(), MapError> {
        let mut writer = self.lock();
        let Writer { entries, slots } = &mut *writer;
        match slots {
            Slots::Plain { numbers, spare } => self.update_plain(entries, numbers, spare, (key, source, flag)),
            Slots::Lru { lru, entry_of } => self.update_lru(entries, lru, entry_of, (key, source, flag)),
        }
    }

    fn update_plain(
        &self,
        entries: &mut Numbers,
        numbers: &mut Numbers,
        spare: &mut [u32],
        (key, source, flag): (&[u8], Source<'_>, UpdateFlag),
    ) -> Result<(), MapError> {
        let found = self.table.locate(key);
        flag.check(found.is_some())?;
        match (found, spare.get_mut(source.cpu() as usize)) {
            (Some(found), Some(spare)) => {
                self.store(*spare, source, false);
                self.table.replace(found, *spare);
                *spare = found.slot;
            }
            (Some(found), None) => self.store(found.slot, source, false),
            (None, _) => {
                let slot = numbers.take();
                let (Some(entry), Some(slot)) = (entries.take(), slot) else {
                    slot.into_iter().for_each(|slot| numbers.give_back(slot));
                    return Err(MapError::Full);
                };
                self.store(slot, source, true);
                self.table.insert(key, entry, slot);
            }
        }
        Ok(())
    }

    fn update_lru(
        &self,
        entries: &mut Numbers,
        lru: &mut Lru,
        entry_of: &mut [Option<u32>],
        (key, source, flag): (&[u8], Source<'_>, UpdateFlag),
    ) -> Result<(), MapError> {
        // As in the kernel, room is made before anybody asks whether the key exists. Only values that are changed in
        // place and must exist need none.
        let mut owner = Owner { referenced: &self.referenced, evict: |slot: u32| self.evict(entries, entry_of, slot) };
        let fresh = if self.per_cpu && flag == UpdateFlag::Exist {
            None
        } else {
            Some(lru.pop_free(&mut owner, source.cpu()).ok_or(MapError::NoMemory)?)
        };
        let found = self.table.locate(key);
        let outcome = flag.check(found.is_some());
        let unused = match (outcome, found, fresh) {
            (Err(_), _, fresh) => fresh,
            (Ok(()), Some(found), fresh) if self.per_cpu => {
                self.refer(found.slot);
                self.store(found.slot, source, false);
                fresh
            }
            (Ok(()), Some(found), Some(slot)) => {
                self.store(slot, source, true);
                self.refer(slot);
                self.table.replace(found, slot);
                entry_of[slot as usize] = Some(found.entry);
                entry_of[found.slot as usize] = None;
                Some(found.slot)
            }
            (Ok(()), None, Some(slot)) => {
                // Every entry has a slot, and this one is of no entry, so there are fewer entries than slots.
                let Some(entry) = entries.take() else { return Err(MapError::NoMemory) };
                self.store(slot, source, true);
                self.table.insert(key, entry, slot);
                entry_of[slot as usize] = Some(entry);
                None
            }
            (Ok(()), _, None) => None,
        };
        if let Some(slot) = unused {
            let owner = Owner { referenced: &self.referenced, evict: |_| false };
            lru.push_free(&owner, slot);
        }
        outcome
    }

    fn refer(&self, slot: u32) {
        if let Some(bit) = self.referenced.get(slot as usize) {
            bit.store(1, Relaxed);
        }
    }

    fn evict(&self, entries: &mut Numbers, entry_of: &mut [Option<u32>], slot: u32) -> bool {
        let Some(entry) = entry_of.get_mut(slot as usize).and_then(Option::take) else { return false };
        let Some(found) = self.table.locate_entry(entry) else { return false };
        self.table.remove(found);
        entries.give_back(entry);
        true
    }

    /// Removes an entry.
    pub(super) fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        self.take(key, None)
    }

    /// Removes an entry and copies its value as the user side sees it.
    pub(super) fn take(&self, key: &[u8], value: Option<&mut [u8]>) -> Result<(), MapError> {
        let mut writer = self.lock();
        let Found { entry, slot, .. } = {
            let found = self.table.locate(key).ok_or(MapError::NotFound)?;
            if let Some(value) = value {
                self.values.read_user(found.slot, self.per_cpu, value);
            }
            self.table.remove(found);
            found
        };
        let Writer { entries, slots } = &mut *writer;
        entries.give_back(entry);
        match slots {
            Slots::Plain { numbers, .. } => numbers.give_back(slot),
            Slots::Lru { lru, entry_of } => {
                entry_of[slot as usize] = None;
                let owner = Owner { referenced: &self.referenced, evict: |_| false };
                lru.push_free(&owner, slot);
            }
        }
        Ok(())
    }

    /// The key behind `key`, or the first one if that is not there.
    pub(super) fn next_key(&self, key: Option<&[u8]>, next: &mut [u8]) -> bool {
        let from = key.and_then(|key| self.table.find_entry(key)).map_or(0, |entry| entry + 1);
        self.table.entry_from(from, next).is_some()
    }

    /// The first entry at or behind a position: where to go on, and the offset of its value.
    pub(super) fn entry_from(&self, from: u32, cpu: u32, key: &mut [u8]) -> Option<(u32, u32)> {
        let (entry, slot) = self.table.entry_from(from, key)?;
        Some((entry + 1, self.values.offset(slot, if self.per_cpu { cpu } else { 0 })))
    }
}
