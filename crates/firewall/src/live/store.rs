//! Tables in maps of the kernel.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::Ordering;

use skep_kernel::{LoadedMap, MapMemory, Update};

use crate::tables::entry::{details, line};
use crate::tables::layout::{CLASSES, COUNTER_BYTES, LINE_BYTES, SLOT_BYTES, SLOTS, maps, record, special};
use crate::tables::{Entry, Head, Record, Sizes, Store, TableError};

/// Tables in maps of the kernel. What is an array is shared memory, so most changes are one store.
#[derive(Debug)]
pub struct KernelTables {
    sizes: Sizes,
    index: MapMemory,
    heads: MapMemory,
    entries: MapMemory,
    details: MapMemory,
    rules: MapMemory,
    book: MapMemory,
    counters: LoadedMap,
    flows: LoadedMap,
    flows_full: LoadedMap,
}

/// What a rule has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the last one came, in nanoseconds of the monotonic clock; 0 for never.
    pub last: u64,
}

/// How full a table is whose oldest entries give way to new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filling {
    /// Entries that are not over.
    pub known: u64,
    /// Room for so many.
    pub room: u64,
    /// Entries that were refused because there was no room.
    pub refused: u64,
}

impl Filling {
    /// Of a table with these names.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn of(names: &maps::Names, table: &LoadedMap, full: &LoadedMap) -> Result<Self, TableError> {
        let now = monotonic();
        let mut known = 0;
        for entry in table.entries() {
            let (_, value) = entry.map_err(failed)?;
            known += u64::from(lasts(names, &value, now));
        }
        Ok(Self { known, room: table.max_entries().into(), refused: sum_of_first(full, 0)? })
    }
}

fn failed(error: impl std::fmt::Display) -> TableError {
    TableError::Store(error.to_string())
}

impl KernelTables {
    /// The tables in maps that `open` finds by their names.
    ///
    /// # Errors
    /// [`TableError::Store`] if a map is missing or not as it should be.
    pub fn open(open: impl Fn(&str) -> Result<LoadedMap, String>) -> Result<Self, TableError> {
        let map = |name: &str| open(name).map_err(TableError::Store);
        let memory = |map: &LoadedMap| map.memory().map_err(failed);
        let (index, heads, rules) = (map(maps::INDEX)?, map(maps::HEADS)?, map(maps::RULES)?);
        let (entries, rest) = (map(maps::ENTRIES)?, map(maps::DETAILS)?);
        let slots = index.max_entries() / (4 * CLASSES as u32) * SLOTS;
        let wrong = index.value_size() != LINE_BYTES
            || !slots.is_power_of_two()
            || !heads.max_entries().is_power_of_two()
            || entries.value_size() != line::SIZE
            || rest.value_size() != details::SIZE
            || rules.value_size() != record::SIZE;
        if wrong {
            return Err(TableError::Store("the tables in the kernel are not as expected".to_owned()));
        }
        let flows = map(maps::FLOWS.table)?;
        Ok(Self {
            sizes: Sizes {
                hash_bits: slots.ilog2(),
                bucket_bits: heads.max_entries().ilog2(),
                entries: entries.max_entries(),
                rules: rules.max_entries(),
                flows: flows.max_entries(),
                limits: map(maps::LIMITS.table)?.max_entries(),
                // Half of the entries, if there are any.
                translations: map(maps::TRANSLATIONS.table).map_or(1, |map| map.max_entries() / 2),
            },
            index: memory(&index)?,
            heads: memory(&heads)?,
            entries: memory(&entries)?,
            details: memory(&rest)?,
            rules: memory(&rules)?,
            book: memory(&map(maps::BOOK)?)?,
            counters: map(maps::COUNTERS)?,
            flows,
            flows_full: map(maps::FLOWS.full)?,
        })
    }

    /// What a rule has done.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn count(&self, rule: u32) -> Result<Count, TableError> {
        let values = self.counters.get_per_cpu(&rule.to_ne_bytes()).map_err(failed)?;
        let mut sum = Count::default();
        for value in values.iter().flat_map(|values| values.iter()) {
            let word =
                |at: usize| value.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u64::from_ne_bytes(*b));
            sum.packets += word(0);
            sum.bytes += word(8);
            sum.last = sum.last.max(word(16));
        }
        const { assert!(COUNTER_BYTES == 24) };
        Ok(sum)
    }

    /// How full the table of connections is; `None` if none are followed.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn connections(&self) -> Result<Option<Filling>, TableError> {
        if self.sizes.flows <= 1 {
            return Ok(None);
        }
        Filling::of(&maps::FLOWS, &self.flows, &self.flows_full).map(Some)
    }

    /// Forgets what a rule has done, for another one that gets its number.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn forget_count(&self, rule: u32) -> Result<(), TableError> {
        let zero = vec![0; COUNTER_BYTES];
        let processors =
            self.counters.get_per_cpu(&rule.to_ne_bytes()).map_err(failed)?.map_or(0, |values| values.len());
        self.counters.set_per_cpu(&rule.to_ne_bytes(), &vec![zero; processors], Update::Any).map_err(failed)
    }

    /// What a rule does.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn record(&self, rule: u32) -> Result<Record, TableError> {
        let mut bytes = [0; record::SIZE];
        self.rules.read(rule as usize * self.rules.stride(), &mut bytes).ok_or_else(outside)?;
        Ok(Record::read(&bytes))
    }
}

/// Records for watchers that there was no room for.
///
/// # Errors
/// [`TableError::Store`]
pub(super) fn lost(counters: &LoadedMap) -> Result<u64, TableError> {
    sum_of_first(counters, special::LOST)
}

/// The sum of the first words of an element for all processors.
fn sum_of_first(map: &LoadedMap, element: u32) -> Result<u64, TableError> {
    let values = map.get_per_cpu(&element.to_ne_bytes()).map_err(failed)?;
    let first = |value: &[u8]| value.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    Ok(values.iter().flat_map(|values| values.iter()).map(first).sum())
}

/// Whether an entry of a table is not over.
pub(super) fn lasts(names: &maps::Names, value: &[u8], now: u64) -> bool {
    let until = value.get(names.until as usize..).and_then(|rest| rest.first_chunk());
    until.is_some_and(|bytes| u64::from_ne_bytes(*bytes) >= now)
}

/// Nanoseconds of the monotonic clock.
pub(super) fn monotonic() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

fn outside() -> TableError {
    TableError::Store("a number in the tables lies outside of them: apply the rules file again".to_owned())
}

/// Stores a word of 32 bits as a whole, behind everything that was stored before.
fn store_32(memory: &MapMemory, offset: usize, value: u32) -> Result<(), TableError> {
    memory.u32_at(offset).ok_or_else(outside)?.store(value, Ordering::Release);
    Ok(())
}

fn store_64(memory: &MapMemory, offset: usize, value: u64) -> Result<(), TableError> {
    memory.u64_at(offset).ok_or_else(outside)?.store(value, Ordering::Release);
    Ok(())
}

impl Store for KernelTables {
    fn sizes(&self) -> Sizes {
        self.sizes
    }

    fn head(&self, bucket: u32) -> Result<Head, TableError> {
        let head = self.heads.u64_at(bucket as usize * self.heads.stride()).ok_or_else(outside)?;
        Ok(Head::read(head.load(Ordering::Acquire)))
    }

    fn set_head(&mut self, bucket: u32, head: Head) -> Result<(), TableError> {
        store_64(&self.heads, bucket as usize * self.heads.stride(), head.word())
    }

    fn entry(&self, number: u32) -> Result<Entry, TableError> {
        let (mut first, mut rest) = ([0; line::SIZE], [0; details::SIZE]);
        self.entries.read(number as usize * self.entries.stride(), &mut first).ok_or_else(outside)?;
        self.details.read(number as usize * self.details.stride(), &mut rest).ok_or_else(outside)?;
        Ok(Entry::read(&first, &rest))
    }

    fn write_entry(&mut self, number: u32, entry: &Entry) -> Result<(), TableError> {
        let (first, rest) = entry.bytes();
        self.details.write(number as usize * self.details.stride(), &rest).ok_or_else(outside)?;
        self.entries.write(number as usize * self.entries.stride(), &first).ok_or_else(outside)
    }

    fn set_next(&mut self, number: u32, next: u32) -> Result<(), TableError> {
        store_32(&self.entries, number as usize * self.entries.stride() + line::NEXT as usize, next)
    }

    fn set_free(&mut self, number: u32, free: [u64; 2]) -> Result<(), TableError> {
        let at = number as usize * self.details.stride() + details::FREE as usize;
        store_64(&self.details, at, free[0])?;
        store_64(&self.details, at + 8, free[1])
    }

    fn widen(&mut self, slot: u32, way: u8, classes: u8) -> Result<(), TableError> {
        let line = (slot / SLOTS) as usize * self.index.stride();
        let word = self.index.u32_at(line + SLOT_BYTES * (slot % SLOTS) as usize).ok_or_else(outside)?;
        let mut bytes = [0; SLOT_BYTES];
        *bytes.get_mut(usize::from(way)).ok_or_else(outside)? = classes;
        word.fetch_or(u32::from_ne_bytes(bytes), Ordering::AcqRel);
        Ok(())
    }

    fn book(&self, word: u32) -> Result<u64, TableError> {
        self.book.load(word as usize * 8).ok_or_else(outside)
    }

    fn set_book(&mut self, word: u32, value: u64) -> Result<(), TableError> {
        store_64(&self.book, word as usize * 8, value)
    }

    fn set_record(&mut self, rule: u32, record: &Record) -> Result<(), TableError> {
        // The word with the verdict is stored as a whole, behind all that it needs, so that a rule comes and goes at once.
        let (at, bytes) = (rule as usize * self.rules.stride(), record.bytes());
        let [first, rest @ ..] = bytes.as_chunks::<8>().0 else { return Err(outside()) };
        let verdict = u64::from_ne_bytes(*first);
        if record.is_neutral() {
            return store_64(&self.rules, at, verdict);
        }
        self.rules.write(at + 8, rest.as_flattened()).ok_or_else(outside)?;
        store_64(&self.rules, at, verdict)
    }

    fn now(&self) -> u64 {
        since_boot()
    }

    fn secret(&self) -> u64 {
        // The keys of the standard library's tables come from the kernel.
        RandomState::new().hash_one(monotonic())
    }
}

/// Nanoseconds since the machine was started, to a hundredth of a second: the same for all processes.
pub(super) fn since_boot() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: f64 = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    (seconds * 1e9) as u64
}
