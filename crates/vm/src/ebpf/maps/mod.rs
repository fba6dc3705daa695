//! Maps in user space, shared by any number of threads, with the kernel's rules, flags and error numbers.
//!
//! ```text
//!               program side                        user side (bpf(2))
//!   find update delete push pop peek ...      Map::user(): lookup update delete next_key batches freeze
//!                      \                           /
//!                        Map  ->  one of the kinds: array hash(+lru) lpm queue bloom ring perf outer redirect
//!                                      |                    |
//!                          Values in SharedBytes      Table, Sequence: keys, host only, read without locks
//! ```
//!
//! What lives here: [`Map`], the choice between the kinds, and the operations of programs. Programs get offsets into
//! [`Map::values`], which every address space of programs maps.
//!
//! Storage maps of sockets, tasks, inodes and control groups, socket maps, stack traces, arenas and `struct_ops` belong to
//! objects of the kernel and are refused with [`MapError::Unsupported`]; so are ring buffers from user space.

mod array;
mod bloom;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod hash;
mod lpm;
mod lru;
mod outer;
mod perf;
mod queue;
mod redirect;
mod ring;
mod sequence;
mod shape;
mod shared;
mod table;
mod user;
mod values;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use array::Array;
use bloom::Bloom;
pub use error::{MapError, UpdateFlag};
use hash::{Hash, Source};
use lpm::LpmTrie;
use outer::Outer;
use perf::PerfBuffers;
use queue::Queue;
use redirect::Sparse;
use ring::Ring;
pub use ring::{FORCE_WAKEUP, HEADER_BYTES as RING_HEADER_BYTES, NO_WAKEUP};
pub use shape::{MAX_CPUS, MAX_KEY_BYTES, MAX_MAP_BYTES, MAX_PERCPU_VALUE_BYTES, Shape, flag};
pub use shared::SharedBytes;
use skep_isa::MapType;
use skep_object::MapSpec;
pub use user::{Batch, UserSide};
use values::Values;

const WRONG_SIZES: MapError = MapError::Invalid("key and value must have exactly the sizes that the map was made with");

#[derive(Debug)]
enum Storage {
    Array(Array),
    Hash(Hash),
    LpmTrie(LpmTrie),
    Queue(Queue),
    Bloom(Bloom),
    Ring(Ring),
    Perf(PerfBuffers),
    Outer(Outer),
    Sparse(Sparse),
}

/// A map with its contents. All operations may be called from any thread at any time.
#[derive(Debug)]
pub struct Map {
    id: u32,
    kind: MapType,
    shape: Shape,
    cpus: u32,
    frozen: AtomicBool,
    storage: Storage,
}

/// Processors that the machine is configured with.
fn configured_cpus() -> u32 {
    // SAFETY: asks for a number and touches no memory of ours.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
    u32::try_from(count).unwrap_or(1).clamp(1, MAX_CPUS)
}

impl Map {
    /// An empty map (the entries of arrays are zero) with per-CPU values for every processor of this machine.
    ///
    /// # Errors
    /// Those with which `BPF_MAP_CREATE` answers, [`MapError::TooLarge`] beyond [`MAX_MAP_BYTES`],
    /// [`MapError::Unsupported`] for types that exist in the kernel only, [`MapError::Invalid`] for maps of maps, which
    /// [`Map::new_outer`] makes.
    pub fn new(kind: MapType, shape: Shape) -> Result<Self, MapError> {
        Self::new_for_cpus(kind, shape, configured_cpus())
    }

    /// As [`new`](Self::new) with per-CPU values for `cpus` processors, 1 to [`MAX_CPUS`].
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn new_for_cpus(kind: MapType, shape: Shape, cpus: u32) -> Result<Self, MapError> {
        Self::create(kind, shape, cpus, 0, None)
    }

    /// A Bloom filter with 1 to 15 hash functions, 0 for the usual 5 (`map_extra` of `BPF_MAP_CREATE`).
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn new_bloom(shape: Shape, hashes: u64) -> Result<Self, MapError> {
        Self::create(MapType::BloomFilter, shape, 1, hashes, None)
    }

    /// A map of maps for maps like `inner`, whose type, sizes and flags are kept (`inner_map_fd` of `BPF_MAP_CREATE`).
    ///
    /// # Errors
    /// As for [`new`](Self::new), and [`MapError::Invalid`] if `inner` is a map of maps.
    pub fn new_outer(kind: MapType, shape: Shape, inner: &Self) -> Result<Self, MapError> {
        Self::create(kind, shape, 1, 0, Some(inner))
    }

    /// A map with the contents that `spec` gives it, but for references to maps and programs.
    ///
    /// # Errors
    /// Those of [`Map::new`] and [`UserSide::update`].
    pub fn from_spec(spec: &MapSpec) -> Result<Self, MapError> {
        let MapSpec { key_size, value_size, max_entries, flags, extra, .. } = *spec;
        let shape = Shape { key_size, value_size, max_entries, flags: flags.0 };
        let inner = spec.inner.as_deref().map(Self::from_spec).transpose()?;
        let map = Self::create(spec.map_type, shape, 1, extra, inner.as_ref())?;
        for (key, value) in &spec.contents {
            map.update_from_user(key, value, UpdateFlag::Any.bits())?;
        }
        Ok(map)
    }

    fn create(kind: MapType, shape: Shape, cpus: u32, extra: u64, inner: Option<&Self>) -> Result<Self, MapError> {
        static NEXT_ID: AtomicU32 = AtomicU32::new(1);
        let shape = shape.checked(kind, cpus)?;
        let storage = match kind {
            MapType::Array => Storage::Array(Array::new(shape, false, cpus)?),
            MapType::PercpuArray => Storage::Array(Array::new(shape, true, cpus)?),
            MapType::LpmTrie => Storage::LpmTrie(LpmTrie::new(shape)?),
            MapType::Queue => Storage::Queue(Queue::new(shape, false)),
            MapType::Stack => Storage::Queue(Queue::new(shape, true)),
            MapType::BloomFilter => Storage::Bloom(Bloom::new(shape, extra)?),
            MapType::Ringbuf => Storage::Ring(Ring::new(shape.max_entries)?),
            MapType::PerfEventArray => Storage::Perf(PerfBuffers::new(shape.max_entries)),
            MapType::ArrayOfMaps | MapType::HashOfMaps => {
                let inner =
                    inner.ok_or(MapError::Invalid("a map of maps is made with an example of its inner maps"))?;
                Storage::Outer(Outer::new(kind, shape, inner)?)
            }
            MapType::ProgArray | MapType::Devmap | MapType::Cpumap | MapType::Xskmap => {
                Storage::Sparse(Sparse::new(kind, shape, cpus)?)
            }
            // The check let only hash maps of all kinds through.
            _ => Storage::Hash(Hash::new(kind, shape, cpus)?),
        };
        Ok(Self { id: NEXT_ID.fetch_add(1, Relaxed), kind, shape, cpus, frozen: AtomicBool::new(false), storage })
    }

    /// A number that no other map of this process has; what the user side reads in maps of maps.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Its type.
    pub const fn kind(&self) -> MapType {
        self.kind
    }

    /// Its sizes and flags as the kernel would show them: entries of LRU maps with lists for each CPU are rounded up,
    /// maps of devices are read-only for programs.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Number of CPUs that it was made for.
    pub const fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Whether programs may change it: not with `BPF_F_RDONLY_PROG`.
    pub const fn is_writable_by_programs(&self) -> bool {
        self.shape.flags & flag::RDONLY_PROG == 0
    }

    /// Whether programs may read it: not with `BPF_F_WRONLY_PROG`.
    pub const fn is_readable_by_programs(&self) -> bool {
        self.shape.flags & flag::WRONLY_PROG == 0
    }

    /// The operations of `bpf(2)`.
    pub const fn user(&self) -> UserSide<'_> {
        UserSide::new(self)
    }

    /// Number of entries: 0 for Bloom filters and buffers, which do not count.
    pub fn len(&self) -> usize {
        match &self.storage {
            Storage::Array(_) => self.shape.max_entries as usize,
            Storage::Hash(map) => map.len() as usize,
            Storage::LpmTrie(map) => map.len() as usize,
            Storage::Queue(map) => map.len(),
            Storage::Outer(map) => map.len(),
            Storage::Sparse(map) => map.len(),
            Storage::Bloom(_) | Storage::Ring(_) | Storage::Perf(_) => 0,
        }
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    const fn slots(&self) -> Option<&Values> {
        match &self.storage {
            Storage::Array(map) => Some(map.values()),
            Storage::Hash(map) => Some(map.values()),
            Storage::LpmTrie(map) => Some(map.values()),
            Storage::Sparse(map) => Some(map.values()),
            _ => None,
        }
    }

    /// The memory that offsets of values count in; for a ring buffer its data, twice in a row. `None` for maps whose
    /// values have no address.
    pub const fn values(&self) -> Option<&SharedBytes> {
        match (&self.storage, self.slots()) {
            (Storage::Ring(ring), _) => Some(ring.data()),
            (_, Some(values)) => Some(values.bytes()),
            _ => None,
        }
    }

    /// Bytes from one value to the next of the same CPU, a multiple of 8; 0 for maps whose values have no address and
    /// for ring buffers.
    pub const fn value_stride(&self) -> u32 {
        match self.slots() {
            Some(values) => values.stride(),
            None => 0,
        }
    }

    /// The bytes of the one value that `offset` lies in, without the bytes that fill up to the next one. For a ring
    /// buffer those of the record that was reserved at just this offset and is not finished.
    #[inline]
    pub fn value_range(&self, offset: u32) -> Option<Range<u32>> {
        match &self.storage {
            Storage::Ring(ring) => ring.record_range(offset),
            _ => self.slots()?.range(offset),
        }
    }

    /// Offset of the value that `key` has, of this CPU for per-CPU maps; for a trie the one with the longest matching
    /// prefix. An LRU map remembers the use. `None` also for a key of the wrong length, a CPU that the map does not
    /// have, and types whose entries programs cannot read.
    #[inline]
    pub fn find(&self, key: &[u8], cpu: u32) -> Option<u32> {
        match &self.storage {
            Storage::Array(map) => map.find(key, cpu),
            Storage::Hash(map) => map.find(key, cpu),
            _ => self.find_rarer(key),
        }
    }

    /// Kept apart so that the common kinds fit where they are called.
    #[inline(never)]
    fn find_rarer(&self, key: &[u8]) -> Option<u32> {
        match &self.storage {
            Storage::LpmTrie(map) => map.find(key),
            Storage::Sparse(map) if self.kind != MapType::ProgArray => map.find(key),
            _ => None,
        }
    }

    fn check_sizes(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), MapError> {
        let good = key.len() == self.shape.key_size as usize
            && value.is_none_or(|value| value.len() == self.shape.value_size as usize);
        if good { Ok(()) } else { Err(WRONG_SIZES) }
    }

    /// Creates or replaces an entry on behalf of a program that runs on `cpu`. `flags` is the sum of `BPF_*` numbers.
    ///
    /// # Errors
    /// Those of the kernel for this type of map; [`MapError::Invalid`] when key or value have the wrong length, or the
    /// map does not have this CPU, or only the user side may update it.
    pub fn update(&self, key: &[u8], value: &[u8], flags: u64, cpu: u32) -> Result<(), MapError> {
        self.check_sizes(key, Some(value))?;
        if cpu >= self.cpus && matches!(self.storage, Storage::Array(_) | Storage::Hash(_)) {
            return Err(MapError::Invalid("the map was not made for a CPU with this number"));
        }
        match &self.storage {
            Storage::Array(_) | Storage::Hash(_) if self.kind != MapType::DevmapHash => {
                self.store(key, Source::Program(value, cpu), flags)
            }
            Storage::LpmTrie(map) => map.update(key, value, UpdateFlag::from_number(flags)?),
            _ => Err(MapError::Invalid("programs cannot update this type of map")),
        }
    }

    fn store(&self, key: &[u8], source: Source<'_>, flags: u64) -> Result<(), MapError> {
        match (&self.storage, source) {
            (Storage::Array(map), _) => {
                // The kernel looks at the bits for plain arrays, and at the whole number for the user side of others.
                if flags & UpdateFlag::LOCK != 0 {
                    return Err(MapError::Invalid("BPF_F_LOCK needs a spin lock in the value"));
                }
                map.update(key, source, UpdateFlag::from_number(flags)?)
            }
            (Storage::Hash(map), Source::User(value)) if self.kind == MapType::DevmapHash => {
                map.update(key, source, redirect::device_flag(value, flags)?)
            }
            (Storage::Hash(map), _) => map.update(key, source, UpdateFlag::from_number(flags)?),
            (Storage::LpmTrie(map), Source::User(value)) => map.update(key, value, UpdateFlag::from_number(flags)?),
            (Storage::Sparse(map), Source::User(value)) => map.update(key, value, flags),
            _ => Err(MapError::Invalid("this type of map has no entries that can be stored like this")),
        }
    }

    /// Removes an entry, for programs and the user side alike.
    ///
    /// # Errors
    /// [`MapError::NotFound`] when it is not there, [`MapError::Invalid`] for a key of the wrong length or a type whose
    /// entries cannot be removed, or another of the kernel's for this type.
    pub fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        self.check_sizes(key, None)?;
        match &self.storage {
            Storage::Array(_) => Err(MapError::Invalid("entries of an array cannot be deleted")),
            Storage::Hash(map) => map.delete(key),
            Storage::LpmTrie(map) => map.delete(key),
            Storage::Outer(map) => map.delete(key),
            Storage::Sparse(map) => map.delete(key),
            Storage::Perf(map) => array::index(key).ok_or(WRONG_SIZES).and_then(|index| map.close(index)),
            Storage::Queue(_) => Err(MapError::Invalid("values of a queue or stack are taken, not deleted")),
            Storage::Bloom(_) => Err(MapError::NoOperation),
            Storage::Ring(_) => Err(MapError::NotSupported("a ring buffer has no entries to delete")),
        }
    }

    fn check_value(&self, value: &[u8]) -> Result<(), MapError> {
        if value.len() == self.shape.value_size as usize { Ok(()) } else { Err(WRONG_SIZES) }
    }

    /// Adds a value to a queue, stack (`BPF_EXIST`: drop the oldest if there is no room) or Bloom filter.
    ///
    /// # Errors
    /// [`MapError::Full`], [`MapError::Invalid`] for wrong flags or sizes, [`MapError::NotSupported`] for other types.
    pub fn push(&self, value: &[u8], flags: u64) -> Result<(), MapError> {
        self.check_value(value)?;
        match &self.storage {
            Storage::Queue(map) => map.push(value, flags),
            Storage::Bloom(map) => map.push(value, flags),
            _ => Err(MapError::NotSupported("only queues, stacks and Bloom filters take values without keys")),
        }
    }

    /// Takes the next value of a queue or stack.
    ///
    /// # Errors
    /// [`MapError::NotFound`] if it is empty (`value` is zero then), [`MapError::NoOperation`] for a Bloom filter,
    /// [`MapError::Invalid`] for a wrong size, [`MapError::NotSupported`] for other types.
    pub fn pop(&self, value: &mut [u8]) -> Result<(), MapError> {
        self.check_value(value)?;
        match &self.storage {
            Storage::Queue(map) => map.get(value, true),
            Storage::Bloom(_) => Err(MapError::NoOperation),
            _ => Err(MapError::NotSupported("only queues and stacks have a next value")),
        }
    }

    /// Copies the next value of a queue or stack; asks a Bloom filter whether it has `value`.
    ///
    /// # Errors
    /// [`MapError::NotFound`] if it is empty or does not have the value, [`MapError::Invalid`] for a wrong size,
    /// [`MapError::NotSupported`] for other types.
    pub fn peek(&self, value: &mut [u8]) -> Result<(), MapError> {
        self.check_value(value)?;
        match &self.storage {
            Storage::Queue(map) => map.get(value, false),
            Storage::Bloom(map) => map.peek(value),
            _ => Err(MapError::NotSupported("only queues, stacks and Bloom filters have values without keys")),
        }
    }

    /// A step through all entries (`bpf_for_each_map_elem`): the first one at or behind `cursor`, which is 0 at the
    /// beginning. Returns the next cursor and the offset of the value of `cpu`; the key goes to `key`, which has its
    /// size. Entries that stay are seen exactly once, whatever is deleted or updated meanwhile. `None` at the end, and
    /// for types other than arrays and hash maps.
    pub fn next_entry(&self, cursor: u32, cpu: u32, key: &mut [u8]) -> Option<(u32, u32)> {
        if cpu >= self.cpus || key.len() != self.shape.key_size as usize {
            return None;
        }
        match &self.storage {
            Storage::Array(map) => map.entry_from(cursor, cpu, key),
            Storage::Hash(map) => map.entry_from(cursor, cpu, key),
            _ => None,
        }
    }

    /// The program at an index of an array of programs, as the number that was stored.
    pub fn program_at(&self, index: u32) -> Option<u32> {
        let Storage::Sparse(map) = &self.storage else { return None };
        let mut program = [0; 4];
        (self.kind == MapType::ProgArray).then_some(())?;
        map.read(&index.to_ne_bytes(), &mut program).ok()?;
        Some(u32::from_ne_bytes(program))
    }

    /// The inner map that `key` has in a map of maps.
    pub fn inner(&self, key: &[u8]) -> Option<Arc<Self>> {
        match &self.storage {
            Storage::Outer(map) => map.get(key),
            _ => None,
        }
    }

    /// Reserves a record of `size` bytes in a ring buffer: its offset. `None` if there is no room, which counts as a
    /// loss, and for other types.
    pub fn ring_reserve(&self, size: u64) -> Option<u32> {
        self.ring().ok()?.reserve(size)
    }

    /// Hands a reserved record to the consumer. Flags are [`NO_WAKEUP`] and [`FORCE_WAKEUP`]; others are ignored, as in
    /// the kernel.
    ///
    /// # Errors
    /// [`MapError::Invalid`] if no record is reserved at `offset`.
    pub fn ring_submit(&self, offset: u32, flags: u64) -> Result<(), MapError> {
        self.ring()?.commit(offset, false, flags)
    }

    /// Throws a reserved record away.
    ///
    /// # Errors
    /// As for [`ring_submit`](Self::ring_submit).
    pub fn ring_discard(&self, offset: u32, flags: u64) -> Result<(), MapError> {
        self.ring()?.commit(offset, true, flags)
    }

    /// Copies a record into a ring buffer.
    ///
    /// # Errors
    /// [`MapError::Again`] if there is no room, which counts as a loss; [`MapError::Invalid`] for other flags than
    /// [`NO_WAKEUP`] and [`FORCE_WAKEUP`] and for other types.
    pub fn ring_output(&self, record: &[u8], flags: u64) -> Result<(), MapError> {
        self.ring()?.output(record, flags)
    }

    /// `bpf_ringbuf_query`: 0 bytes to consume, 1 size, 2 position of the consumer, 3 of the producers; 0 otherwise.
    pub fn ring_query(&self, question: u64) -> u64 {
        self.ring().map_or(0, |ring| ring.query(question))
    }

    /// For the user side: hands over the finished records of a ring buffer in order, up to the first unfinished one.
    /// Returns their number.
    ///
    /// # Errors
    /// [`MapError::Invalid`] for other types.
    pub fn ring_consume(&self, each: &mut dyn FnMut(&[u8])) -> Result<u64, MapError> {
        Ok(self.ring()?.consume(each))
    }

    /// For the user side: waits for a wake-up by a producer. Whether there is something to consume.
    ///
    /// # Errors
    /// [`MapError::Invalid`] for other types.
    pub fn ring_wait(&self, timeout: Duration) -> Result<bool, MapError> {
        Ok(self.ring()?.wait(timeout))
    }

    /// Records that found no room in a ring buffer.
    pub fn ring_lost(&self) -> u64 {
        self.ring().map_or(0, Ring::lost)
    }

    fn ring(&self) -> Result<&Ring, MapError> {
        match &self.storage {
            Storage::Ring(ring) => Ok(ring),
            _ => Err(MapError::Invalid("the map is not a ring buffer")),
        }
    }

    fn perf(&self) -> Result<&PerfBuffers, MapError> {
        match &self.storage {
            Storage::Perf(buffers) => Ok(buffers),
            _ => Err(MapError::Invalid("the map is not an array of perf events")),
        }
    }

    /// Sends a record, given in parts, to the queue of an index (`bpf_perf_event_output`).
    ///
    /// # Errors
    /// [`MapError::Full`] for an index outside, [`MapError::NotFound`] if no queue is open there,
    /// [`MapError::NoSpace`] if it has no room, which counts as a loss; [`MapError::Invalid`] for other types.
    pub fn perf_output(&self, index: u32, parts: &[&[u8]]) -> Result<(), MapError> {
        self.perf()?.output(index, parts)
    }

    /// For the user side: opens an empty queue of `capacity` bytes, 4 of which each record takes for its length.
    ///
    /// # Errors
    /// [`MapError::Full`] for an index outside, [`MapError::Invalid`] for no capacity and other types.
    pub fn perf_open(&self, index: u32, capacity: u32) -> Result<(), MapError> {
        self.perf()?.open(index, capacity)
    }

    /// For the user side: hands over the records that are in a queue now; their number.
    ///
    /// # Errors
    /// As for [`perf_output`](Self::perf_output).
    pub fn perf_consume(&self, index: u32, each: &mut dyn FnMut(&[u8])) -> Result<u64, MapError> {
        self.perf()?.consume(index, each)
    }

    /// Records that found no room in a queue since it was opened.
    ///
    /// # Errors
    /// As for [`perf_output`](Self::perf_output).
    pub fn perf_lost(&self, index: u32) -> Result<u64, MapError> {
        self.perf()?.lost(index)
    }
}

#[cfg(test)]
mod tests;
