//! What `bpf(2)` offers for a map: the side of whoever loads programs and reads their results.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

use skep_isa::MapType;

use super::error::MapError;
use super::hash::Source;
use super::shape::{flag, is_per_cpu};
use super::{Map, Storage, WRONG_SIZES, array};

/// The operations of the user side. Values of per-CPU maps are those of all CPUs one after the other, each rounded up to
/// 8 bytes ([`value_size`](Self::value_size)). Map flags and freezing restrict this side, not programs.
#[derive(Debug, Clone, Copy)]
pub struct UserSide<'m> {
    map: &'m Map,
}

/// Entries that a batch operation returned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Pairs of key and value.
    pub entries: Vec<(Vec<u8>, Vec<u8>)>,
    /// Last key of the batch, from which the next one goes on; `None` at the end of the map.
    pub next: Option<Vec<u8>>,
}

impl Map {
    pub(super) fn update_from_user(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), MapError> {
        if key.len() != self.shape.key_size as usize || value.len() != self.user().value_size() {
            return Err(WRONG_SIZES);
        }
        match &self.storage {
            Storage::Queue(_) | Storage::Bloom(_) => self.push(value, flags),
            Storage::Outer(_) => Err(MapError::Invalid("inner maps are stored with set_inner")),
            Storage::Perf(_) => Err(MapError::Invalid("the queues of perf events are opened with perf_open")),
            Storage::Ring(_) => Err(MapError::NotSupported("records of a ring buffer come from programs only")),
            _ => self.store(key, Source::User(value), flags),
        }
    }
}

impl<'m> UserSide<'m> {
    pub(super) const fn new(map: &'m Map) -> Self {
        Self { map }
    }

    /// Bytes of a value as this side reads and writes it.
    pub const fn value_size(self) -> usize {
        match &self.map.storage {
            Storage::Array(map) => map.user_size(),
            Storage::Hash(map) => map.user_size(),
            _ => self.map.shape.value_size as usize,
        }
    }

    fn check_read(self) -> Result<(), MapError> {
        if self.map.shape.flags & flag::WRONLY != 0 { Err(MapError::NotPermitted) } else { Ok(()) }
    }

    fn check_write(self) -> Result<(), MapError> {
        let frozen = self.map.frozen.load(Acquire);
        if frozen || self.map.shape.flags & flag::RDONLY != 0 { Err(MapError::NotPermitted) } else { Ok(()) }
    }

    /// The value of a key; of a queue or stack (with an empty key) the next value. A map of maps gives the number
    /// ([`Map::id`]) of the inner map. LRU maps do not count this as use.
    ///
    /// # Errors
    /// [`MapError::NotFound`], [`MapError::NotPermitted`], [`MapError::Invalid`] for a key of the wrong length, or what
    /// the kernel answers for types without look-up.
    pub fn lookup(self, key: &[u8]) -> Result<Vec<u8>, MapError> {
        let mut value = vec![0; self.value_size()];
        self.lookup_into(key, &mut value)?;
        Ok(value)
    }

    /// As [`lookup`](Self::lookup) into a buffer of [`value_size`](Self::value_size) bytes. A Bloom filter is asked for
    /// the value that is in the buffer.
    ///
    /// # Errors
    /// As for [`lookup`](Self::lookup), and [`MapError::Invalid`] for a buffer of another size.
    pub fn lookup_into(self, key: &[u8], value: &mut [u8]) -> Result<(), MapError> {
        self.check_read()?;
        self.read(key, value)
    }

    fn read(self, key: &[u8], value: &mut [u8]) -> Result<(), MapError> {
        if key.len() != self.map.shape.key_size as usize || value.len() != self.value_size() {
            return Err(WRONG_SIZES);
        }
        match &self.map.storage {
            Storage::Array(map) => map.read(key, value),
            Storage::Hash(map) => map.read(key, value),
            Storage::LpmTrie(map) => map.read(key, value),
            Storage::Sparse(map) => map.read(key, value),
            Storage::Queue(_) | Storage::Bloom(_) => self.map.peek(value),
            Storage::Outer(map) => {
                let inner = map.get(key).ok_or(MapError::NotFound)?;
                value.copy_from_slice(&inner.id().to_ne_bytes());
                Ok(())
            }
            Storage::Ring(_) => Err(MapError::NotSupported("records of a ring buffer are consumed, not looked up")),
            Storage::Perf(_) => Err(MapError::NotSupported("entries of perf events cannot be looked up")),
        }
    }

    /// The value that one CPU has for a key of a per-CPU map, without the bytes that fill it up.
    ///
    /// # Errors
    /// As for [`lookup`](Self::lookup); [`MapError::Invalid`] if the map is not per CPU or does not have this one.
    pub fn lookup_on_cpu(self, key: &[u8], cpu: u32) -> Result<Vec<u8>, MapError> {
        if !is_per_cpu(self.map.kind) || cpu >= self.map.cpus {
            return Err(MapError::Invalid("the map has no value for a CPU with this number"));
        }
        let all = self.lookup(key)?;
        let start = cpu as usize * self.map.value_stride() as usize;
        Ok(all.into_iter().skip(start).take(self.map.shape.value_size as usize).collect())
    }

    /// Creates or replaces an entry; adds to queues, stacks and Bloom filters (with an empty key). `flags` is the sum of
    /// `BPF_*` numbers. LRU maps count it as done by CPU 0.
    ///
    /// # Errors
    /// Those of the kernel for this type of map, [`MapError::NotPermitted`], [`MapError::Invalid`] for wrong sizes.
    pub fn update(self, key: &[u8], value: &[u8], flags: u64) -> Result<(), MapError> {
        self.check_write()?;
        self.map.update_from_user(key, value, flags)
    }

    /// Stores a map in a map of maps.
    ///
    /// # Errors
    /// [`MapError::Invalid`] if it differs from the example that the outer map was made with or the map is of another
    /// type, and those of [`update`](Self::update).
    pub fn set_inner(self, key: &[u8], inner: Arc<Map>, flags: u64) -> Result<(), MapError> {
        self.check_write()?;
        self.map.check_sizes(key, None)?;
        match &self.map.storage {
            Storage::Outer(map) => map.set(key, inner, flags),
            _ => Err(MapError::Invalid("the map is not a map of maps")),
        }
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// As for [`Map::delete`], and [`MapError::NotPermitted`].
    pub fn delete(self, key: &[u8]) -> Result<(), MapError> {
        self.check_write()?;
        self.map.delete(key)
    }

    /// Removes an entry of a hash map and returns its value, or takes the next value of a queue or stack.
    ///
    /// # Errors
    /// [`MapError::NotFound`], [`MapError::NotPermitted`], [`MapError::NotSupported`] for other types.
    pub fn lookup_and_delete(self, key: &[u8]) -> Result<Vec<u8>, MapError> {
        self.check_read()?;
        self.check_write()?;
        self.map.check_sizes(key, None)?;
        let mut value = vec![0; self.value_size()];
        match &self.map.storage {
            Storage::Queue(_) => self.map.pop(&mut value)?,
            Storage::Hash(map) if self.map.kind != MapType::DevmapHash => map.take(key, Some(&mut value))?,
            _ => return Err(MapError::NotSupported("only hash maps, queues and stacks look up and delete at once")),
        }
        Ok(value)
    }

    /// The key behind `key`, the first one for `None` or a key that is not there; `None` behind the last one. Tries have
    /// the order of the kernel, hash maps one of their own, which neither updates nor deletions change.
    ///
    /// # Errors
    /// [`MapError::NotPermitted`], [`MapError::Invalid`] for a key of the wrong length, or what the kernel answers for
    /// types without keys.
    pub fn next_key(self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, MapError> {
        self.check_read()?;
        if let Some(key) = key {
            self.map.check_sizes(key, None)?;
        }
        let mut next = vec![0; self.map.shape.key_size as usize];
        let found = match &self.map.storage {
            Storage::Hash(map) => map.next_key(key, &mut next),
            Storage::LpmTrie(map) => map.next_key(key, &mut next),
            Storage::Outer(map) => map.next_key(key, &mut next),
            Storage::Array(_) | Storage::Sparse(_) | Storage::Perf(_) => {
                return Ok(array::next_index(key, self.map.shape.max_entries).map(|next| next.to_ne_bytes().to_vec()));
            }
            Storage::Queue(_) => return Err(MapError::Invalid("a queue or stack has no keys")),
            Storage::Bloom(_) => return Err(MapError::NoOperation),
            Storage::Ring(_) => return Err(MapError::NotSupported("a ring buffer has no keys")),
        };
        Ok(found.then_some(next))
    }

    /// All entries, in the order of [`next_key`](Self::next_key). Entries that come or go meanwhile may be missing; none
    /// comes twice, except in a trie that changes.
    pub fn entries(self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + 'm {
        let mut cursor = 0;
        let mut key: Option<Vec<u8>> = None;
        std::iter::from_fn(move || {
            loop {
                let next = if let Storage::Hash(map) = &self.map.storage {
                    // By position, so that deleting the last key does not start anew.
                    let mut next = vec![0; self.map.shape.key_size as usize];
                    (cursor, _) = map.entry_from(cursor, 0, &mut next)?;
                    next
                } else {
                    self.next_key(key.as_deref()).ok()??
                };
                key = Some(next.clone());
                let mut value = vec![0; self.value_size()];
                if self.read(&next, &mut value).is_ok() {
                    return Some((next, value));
                }
            }
        })
        .take_while(move |_| self.check_read().is_ok())
    }

    /// Whether batch operations exist: not for arrays with gaps and maps without keys.
    fn check_batches(self) -> Result<(), MapError> {
        match self.map.storage {
            Storage::Array(_) | Storage::Hash(_) | Storage::LpmTrie(_) if self.map.kind != MapType::DevmapHash => {
                Ok(())
            }
            _ => Err(MapError::NotSupported("this type of map has no batch operations")),
        }
    }

    /// Up to `count` entries behind the key `after`, from the beginning for `None`.
    ///
    /// # Errors
    /// [`MapError::NotPermitted`], [`MapError::NotSupported`] for types without batches.
    pub fn lookup_batch(self, after: Option<&[u8]>, count: usize) -> Result<Batch, MapError> {
        self.check_read()?;
        self.check_batches()?;
        let mut batch = Batch { entries: Vec::new(), next: after.map(<[u8]>::to_vec) };
        while batch.entries.len() < count {
            let Some(key) = self.next_key(batch.next.as_deref())? else {
                batch.next = None;
                break;
            };
            let mut value = vec![0; self.value_size()];
            if self.read(&key, &mut value).is_ok() {
                batch.entries.push((key.clone(), value));
            }
            batch.next = Some(key);
        }
        Ok(batch)
    }

    /// Takes up to `count` entries out of a hash map.
    ///
    /// # Errors
    /// [`MapError::NotPermitted`], [`MapError::NotSupported`] for other types.
    pub fn lookup_and_delete_batch(self, count: usize) -> Result<Batch, MapError> {
        self.check_read()?;
        self.check_write()?;
        self.check_batches()?;
        if !matches!(self.map.storage, Storage::Hash(_)) {
            return Err(MapError::NotSupported("only hash maps look up and delete at once"));
        }
        let mut batch = Batch::default();
        while batch.entries.len() < count
            && let Some(key) = self.next_key(None)?
        {
            if let Ok(value) = self.lookup_and_delete(&key) {
                batch.entries.push((key, value));
            }
        }
        batch.next = self.next_key(None)?.map(|_| Vec::new());
        Ok(batch)
    }

    /// Stores entries until one fails.
    ///
    /// # Errors
    /// The error of the entry that failed, with the number of those before it, which are stored.
    pub fn update_batch(self, entries: &[(Vec<u8>, Vec<u8>)], flags: u64) -> Result<(), (MapError, usize)> {
        self.check_write().and_then(|()| self.check_batches()).map_err(|error| (error, 0))?;
        entries.iter().enumerate().try_for_each(|(done, (key, value))| {
            self.map.update_from_user(key, value, flags).map_err(|error| (error, done))
        })
    }

    /// Removes entries until one fails.
    ///
    /// # Errors
    /// The error of the key that failed, with the number of those before it, which are removed.
    pub fn delete_batch(self, keys: &[Vec<u8>]) -> Result<(), (MapError, usize)> {
        self.check_write().and_then(|()| self.check_batches()).map_err(|error| (error, 0))?;
        if matches!(self.map.storage, Storage::Array(_)) {
            return Err((MapError::NotSupported("entries of an array cannot be deleted"), 0));
        }
        keys.iter().enumerate().try_for_each(|(done, key)| self.map.delete(key).map_err(|error| (error, done)))
    }

    /// Makes the map read-only for this side, for good.
    ///
    /// # Errors
    /// [`MapError::NotPermitted`] if it is so already or was made read-only.
    pub fn freeze(self) -> Result<(), MapError> {
        self.check_write()?;
        if self.map.frozen.swap(true, AcqRel) { Err(MapError::NotPermitted) } else { Ok(()) }
    }
}
