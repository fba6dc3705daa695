//! Maps in user space: look-up, update and delete with the kernel's rules, flags and error numbers.
//!
//! What lives here: [`Map`], the common part of all kinds (sizes, errors, the storage of the values) and the choice
//! between them. Addresses of values, as programs see them, are made in `memory`.

mod array;
mod hash;
mod lpm;

use std::fmt;

use array::Array;
use hash::Hash;
use lpm::LpmTrie;
use skep_isa::MapType;
use skep_object::{MapFlags, MapSpec};

/// Most bytes that the keys and values of one map may take: 1 GiB.
pub const MAX_MAP_BYTES: u64 = 1 << 30;
/// Longest key in bytes.
pub const MAX_KEY_BYTES: u32 = 1 << 16;

/// What a map is: everything that `BPF_MAP_CREATE` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most entries; for an array the number of entries.
    pub max_entries: u32,
    /// `BPF_F_*` flags of the map.
    pub flags: u32,
}

/// What an update demands of the entry (`BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateFlag {
    /// Create or replace, 0.
    Any,
    /// Create only, 1.
    NoExist,
    /// Replace only, 2.
    Exist,
}

impl UpdateFlag {
    /// The flag with this number.
    ///
    /// # Errors
    /// [`MapError::Invalid`] for every other number; `BPF_F_LOCK` needs spin locks in the value.
    pub const fn from_number(flags: u64) -> Result<Self, MapError> {
        match flags {
            0 => Ok(Self::Any),
            1 => Ok(Self::NoExist),
            2 => Ok(Self::Exist),
            _ => Err(MapError::Invalid("the update flag must be BPF_ANY, BPF_NOEXIST or BPF_EXIST")),
        }
    }
}

/// Why an operation on a map failed; each is one error number of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapError {
    /// The key is not in the map (`ENOENT`).
    NotFound,
    /// The key is in the map already (`EEXIST`).
    Exists,
    /// The map is full, or the index is outside the array (`E2BIG`).
    Full,
    /// The trie is full (`ENOSPC`).
    TrieFull,
    /// The request makes no sense for this map (`EINVAL`); the reason.
    Invalid(&'static str),
    /// Keys and values would take more than [`MAX_MAP_BYTES`]; the bytes asked for (`E2BIG`).
    TooLarge(u64),
    /// This type of map does not exist in user space (`EINVAL`).
    Unsupported(MapType),
}

impl MapError {
    /// The negative error number that a helper returns.
    pub const fn errno(self) -> i64 {
        match self {
            Self::NotFound => -2,
            Self::Full | Self::TooLarge(_) => -7,
            Self::Exists => -17,
            Self::Invalid(_) | Self::Unsupported(_) => -22,
            Self::TrieFull => -28,
        }
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("the key is not in the map"),
            Self::Exists => f.write_str("the key is in the map already"),
            Self::Full => f.write_str("the map is full or the index is not below its number of entries"),
            Self::TrieFull => f.write_str("the trie is full"),
            Self::Invalid(reason) => f.write_str(reason),
            Self::Unsupported(kind) => {
                write!(f, "maps of type {kind} exist in the kernel only; use hash, array or lpm_trie")
            }
            Self::TooLarge(bytes) => write!(
                f,
                "keys and values of the map would take {bytes} bytes and at most {MAX_MAP_BYTES} are allowed; \
                 reduce max_entries, key_size or value_size"
            ),
        }
    }
}

impl std::error::Error for MapError {}

/// Position of a value in the storage of its map: stays the same as long as the entry exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(pub u32);

/// Storage of values: slots of equal size, zeroed when they are handed out first.
#[derive(Debug, Clone)]
struct Values {
    bytes: Vec<u8>,
    size: usize,
    stride: usize,
    free: Vec<Slot>,
}

impl Values {
    fn new(value_size: u32) -> Self {
        let size = value_size as usize;
        Self { bytes: Vec::new(), size, stride: size.next_multiple_of(8), free: Vec::new() }
    }

    fn range(&self, slot: Slot) -> std::ops::Range<usize> {
        let start = slot.0 as usize * self.stride;
        start..start + self.size
    }

    fn get(&self, slot: Slot) -> &[u8] {
        &self.bytes[self.range(slot)]
    }

    fn get_mut(&mut self, slot: Slot) -> &mut [u8] {
        let range = self.range(slot);
        &mut self.bytes[range]
    }

    /// A slot with this value: a freed one, or a new one at the end.
    fn insert(&mut self, value: &[u8]) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            // The bytes of all slots are limited to 1 GiB, so the number fits.
            let slot = Slot((self.bytes.len() / self.stride) as u32);
            self.bytes.resize(self.bytes.len() + self.stride, 0);
            slot
        });
        self.get_mut(slot).copy_from_slice(value);
        slot
    }
}

#[derive(Debug, Clone)]
enum Storage {
    Hash(Hash),
    Array(Array),
    LpmTrie(LpmTrie),
}

/// A map with its contents.
#[derive(Debug, Clone)]
pub struct Map {
    shape: Shape,
    kind: MapType,
    storage: Storage,
}

impl Map {
    /// An empty map; the entries of an array are zero.
    ///
    /// # Errors
    /// [`MapError::Invalid`] where `BPF_MAP_CREATE` answers `EINVAL`, [`MapError::TooLarge`] beyond the limit,
    /// [`MapError::Unsupported`] for types other than `Hash`, `Array` and `LpmTrie`.
    pub fn new(kind: MapType, shape: Shape) -> Result<Self, MapError> {
        if shape.max_entries == 0 || shape.key_size == 0 || shape.value_size == 0 {
            return Err(MapError::Invalid("key_size, value_size and max_entries of a map must not be 0"));
        }
        if shape.key_size > MAX_KEY_BYTES {
            return Err(MapError::Invalid("a key has at most 65536 bytes"));
        }
        // The keys of an array are not stored.
        let key = if kind == MapType::Array { 0 } else { u64::from(shape.key_size) };
        let bytes = (u64::from(shape.value_size).next_multiple_of(8) + key) * u64::from(shape.max_entries);
        if bytes > MAX_MAP_BYTES {
            return Err(MapError::TooLarge(bytes));
        }
        let storage = match kind {
            MapType::Hash => Storage::Hash(Hash::new(shape)),
            MapType::Array => Storage::Array(Array::new(shape)?),
            MapType::LpmTrie => Storage::LpmTrie(LpmTrie::new(shape)?),
            _ => return Err(MapError::Unsupported(kind)),
        };
        Ok(Self { shape, kind, storage })
    }

    /// A map with the contents that `spec` gives it.
    ///
    /// # Errors
    /// Those of [`Map::new`] and [`Map::update`].
    pub fn from_spec(spec: &MapSpec) -> Result<Self, MapError> {
        let MapSpec { key_size, value_size, max_entries, flags, .. } = *spec;
        let mut map = Self::new(spec.map_type, Shape { key_size, value_size, max_entries, flags: flags.0 })?;
        for (key, value) in &spec.contents {
            map.update(key, value, UpdateFlag::Any)?;
        }
        Ok(map)
    }

    /// Whether programs may change it: not with `BPF_F_RDONLY_PROG`.
    pub const fn is_writable_by_programs(&self) -> bool {
        self.shape.flags & MapFlags::READ_ONLY_FOR_PROGRAMS.0 == 0
    }

    /// Its sizes and flags.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Its type.
    pub const fn kind(&self) -> MapType {
        self.kind
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        match &self.storage {
            Storage::Hash(map) => map.len(),
            Storage::Array(_) => self.shape.max_entries as usize,
            Storage::LpmTrie(map) => map.len(),
        }
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slot of the entry that `key` finds: for a trie the one with the longest matching prefix. `None` also for
    /// a key of the wrong length.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<Slot> {
        if key.len() != self.shape.key_size as usize {
            return None;
        }
        match &self.storage {
            Storage::Hash(map) => map.find(key),
            Storage::Array(map) => map.find(key),
            Storage::LpmTrie(map) => map.find(key),
        }
    }

    /// The value that `key` finds.
    pub fn lookup(&self, key: &[u8]) -> Option<&[u8]> {
        self.find(key).map(|slot| self.values().get(slot))
    }

    /// Creates or replaces an entry.
    ///
    /// # Errors
    /// Those of the kernel for this kind of map; [`MapError::Invalid`] when key or value have the wrong length.
    pub fn update(&mut self, key: &[u8], value: &[u8], flag: UpdateFlag) -> Result<(), MapError> {
        if key.len() != self.shape.key_size as usize || value.len() != self.shape.value_size as usize {
            return Err(MapError::Invalid("key and value must have exactly the sizes that the map was made with"));
        }
        match &mut self.storage {
            Storage::Hash(map) => map.update(key, value, flag),
            Storage::Array(map) => map.update(key, value, flag),
            Storage::LpmTrie(map) => map.update(key, value, flag),
        }
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// [`MapError::NotFound`] when it is not there, [`MapError::Invalid`] for an array or a key of the wrong length.
    pub fn delete(&mut self, key: &[u8]) -> Result<(), MapError> {
        if key.len() != self.shape.key_size as usize {
            return Err(MapError::Invalid("the key must have exactly the size that the map was made with"));
        }
        match &mut self.storage {
            Storage::Hash(map) => map.delete(key),
            Storage::Array(_) => Err(MapError::Invalid("entries of an array cannot be deleted")),
            Storage::LpmTrie(map) => map.delete(key),
        }
    }

    /// All entries, ordered by their keys.
    pub fn entries(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut entries: Vec<_> = match &self.storage {
            Storage::Hash(map) => map.entries(),
            Storage::Array(map) => map.entries(),
            Storage::LpmTrie(map) => map.entries(),
        };
        entries.sort_unstable();
        entries
    }

    /// `size` bytes of a value at `offset` in the storage: programs read through pointers to values.
    #[inline]
    pub(super) fn value_bytes(&self, offset: u32, size: u32) -> Option<&[u8]> {
        let values = self.values();
        let range = values.check(offset, size)?;
        values.bytes.get(range)
    }

    /// As [`value_bytes`](Self::value_bytes), to write; `None` for a map that programs may not change.
    #[inline]
    pub(super) fn value_bytes_mut(&mut self, offset: u32, size: u32) -> Option<&mut [u8]> {
        if !self.is_writable_by_programs() {
            return None;
        }
        let values = match &mut self.storage {
            Storage::Hash(map) => &mut map.values,
            Storage::Array(map) => &mut map.values,
            Storage::LpmTrie(map) => &mut map.values,
        };
        let range = values.check(offset, size)?;
        values.bytes.get_mut(range)
    }

    /// Where the value of a slot starts in the storage.
    pub(super) fn offset(&self, slot: Slot) -> u32 {
        // At most 1 GiB of values.
        self.values().range(slot).start as u32
    }

    fn values(&self) -> &Values {
        match &self.storage {
            Storage::Hash(map) => &map.values,
            Storage::Array(map) => &map.values,
            Storage::LpmTrie(map) => &map.values,
        }
    }
}

impl Values {
    /// The range of an access that stays inside one value.
    #[inline]
    fn check(&self, offset: u32, size: u32) -> Option<std::ops::Range<usize>> {
        let (start, size) = (offset as usize, size as usize);
        // A 32-bit remainder is several times faster than one of 64 bits.
        let inside = (offset % self.stride as u32) as usize;
        (inside <= self.size && size <= self.size - inside).then_some(start..start + size)
    }
}

#[cfg(test)]
mod tests;
