//! Many entries of a map at once, and walking through all of them.
//!
//! Batches came with Linux 5.6, not for all types of maps. Where there are none, the same functions go entry by entry.

use std::collections::VecDeque;
use std::os::fd::AsFd;

use crate::errors::KernelError;
use crate::map::LoadedMap;
use crate::sys::attr::flag;
use crate::sys::map;

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Entries in the first batch; a bucket of a hash map must fit, and grows the batch if it does not.
const BATCH: usize = 256;
/// Most bytes of one batch.
const BATCH_BYTES: usize = 1 << 20;
/// Most entries of one batch, however small.
const MOST: usize = 1 << 16;

/// The entries of a map, see [`LoadedMap::entries`].
#[derive(Debug)]
pub struct Entries<'a> {
    map: &'a LoadedMap,
    take: bool,
    way: Way,
    ready: VecDeque<Entry>,
    /// Keys that may still come; a map that changes all the time would not end otherwise.
    left: usize,
}

/// How to go on.
#[derive(Debug)]
enum Way {
    /// With batches, from a position on.
    Batch { position: Vec<u8>, size: usize },
    /// From key to key.
    Keys { last: Option<Vec<u8>> },
    /// Not at all.
    End,
}

impl LoadedMap {
    /// All entries, in an order that the kernel chooses. Entries that come or go meanwhile may be missing or appear twice;
    /// the walk ends in any case after twice the size of the map. It ends at the first error, which it returns.
    pub fn entries(&self) -> Entries<'_> {
        self.walk(false)
    }

    /// Takes all entries out of the map and returns them; those of the map's types that cannot lose entries give an error.
    ///
    /// Each entry is taken and removed in one step where the kernel can (hash maps; others and older kernels lose what a
    /// program changes between the two steps).
    pub fn drain(&self) -> Entries<'_> {
        self.walk(true)
    }

    fn walk(&self, take: bool) -> Entries<'_> {
        let bytes = (self.key_size() + self.value_size()).max(1);
        let size = BATCH.min(BATCH_BYTES / bytes).max(1);
        let left = usize::try_from(self.max_entries()).unwrap_or(usize::MAX).saturating_mul(2);
        Entries { map: self, take, way: Way::Batch { position: Vec::new(), size }, ready: VecDeque::new(), left }
    }

    /// Removes many entries. Returns how many there were of them.
    ///
    /// # Errors
    /// As for [`remove`](Self::remove); entries before the failure are gone.
    pub fn remove_all<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<usize, KernelError> {
        let mut removed = 0;
        for chunk in keys.chunks(BATCH) {
            let joined: Vec<u8> = chunk.iter().flat_map(|key| key.as_ref().iter().copied()).collect();
            let whole = chunk.iter().all(|key| key.as_ref().len() == self.key_size());
            let mut done = 0;
            if whole {
                match map::map_delete_batch(self.as_fd(), self.sizes(), &joined) {
                    Ok(()) => done = chunk.len(),
                    // A missing key stops the batch; one at a time goes on behind it.
                    Err((_, count)) => done = usize::try_from(count).unwrap_or(0).min(chunk.len()),
                }
            }
            removed += done;
            for key in &chunk[done..] {
                removed += usize::from(self.remove(key.as_ref())?);
            }
        }
        Ok(removed)
    }

    /// The value for a key whose value holds a spin lock: read as a whole while the lock is held (`BPF_F_LOCK`,
    /// Linux 5.1). The lock itself reads as 0.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the key has the wrong length or values of this map hold no lock.
    pub fn get_locked(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KernelError> {
        self.check_key(key)?;
        let mut value = vec![0; self.value_size()];
        match map::map_lookup_flags(self.as_fd(), self.sizes(), key, &mut value, flag::F_LOCK) {
            Ok(()) => Ok(Some(value)),
            Err(libc::ENOENT) => Ok(None),
            Err(errno) => Err(self.access_error("read an entry of a map under its lock", errno)),
        }
    }

    /// Stores a value while the lock inside of the present one is held (`BPF_F_LOCK`, Linux 5.1). The lock stays as it is.
    ///
    /// # Errors
    /// As for [`get_locked`](Self::get_locked) and [`set`](Self::set).
    pub fn set_locked(&self, key: &[u8], value: &[u8], update: crate::Update) -> Result<(), KernelError> {
        self.check_key(key)?;
        self.check_value(value)?;
        map::map_update(self.as_fd(), self.sizes(), key, value, update.flags() | flag::F_LOCK)
            .map_err(|errno| self.access_error("store an entry in a map under its lock", errno))
    }

    /// Adds a value to a queue, a stack or a Bloom filter. With `replace` a full queue or stack loses its oldest value.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if it is full or the value has the wrong length.
    pub fn push(&self, value: &[u8], replace: bool) -> Result<(), KernelError> {
        self.check_value(value)?;
        let flags = if replace { flag::EXIST } else { flag::ANY };
        map::map_update(self.as_fd(), self.sizes(), &[], value, flags)
            .map_err(|errno| self.access_error("add a value to a map", errno))
    }

    /// Takes the next value out of a queue or stack, `None` if it is empty.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] for maps with keys.
    pub fn pop(&self) -> Result<Option<Vec<u8>>, KernelError> {
        let mut value = vec![0; self.value_size()];
        match map::map_lookup_and_delete(self.as_fd(), self.sizes(), &[], &mut value) {
            Ok(()) => Ok(Some(value)),
            Err(libc::ENOENT) => Ok(None),
            Err(errno) => Err(self.access_error("take a value out of a map", errno)),
        }
    }

    /// The next value of a queue or stack, which stays there; `None` if it is empty.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] for maps with keys.
    pub fn peek(&self) -> Result<Option<Vec<u8>>, KernelError> {
        self.get(&[])
    }

    /// Whether a value may be in a Bloom filter. `false` is certain.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the value has the wrong length.
    pub fn may_contain(&self, value: &[u8]) -> Result<bool, KernelError> {
        self.check_value(value)?;
        let mut value = value.to_vec();
        match map::map_lookup(self.as_fd(), self.sizes(), &[], &mut value) {
            Ok(()) => Ok(true),
            Err(libc::ENOENT) => Ok(false),
            Err(errno) => Err(self.access_error("look for a value in a Bloom filter", errno)),
        }
    }

    /// Puts a map into a map of maps, or a program into an array of programs.
    ///
    /// # Errors
    /// As for [`set`](Self::set); the map must be like the inner one that the map of maps was created with.
    pub fn set_object(&self, key: &[u8], object: impl AsFd) -> Result<(), KernelError> {
        use std::os::fd::AsRawFd;
        self.set(key, &object.as_fd().as_raw_fd().to_ne_bytes(), crate::Update::Any)
    }

    /// The map that a map of maps has for a key, `None` if there is none. Needs `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if this is no map of maps, as for [`by_id`](Self::by_id) otherwise.
    pub fn inner(&self, key: &[u8]) -> Result<Option<Self>, KernelError> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        let holds_maps =
            matches!(self.map_type(), Some(skep_isa::MapType::ArrayOfMaps | skep_isa::MapType::HashOfMaps));
        match <[u8; 4]>::try_from(value.as_slice()) {
            Ok(id) if holds_maps => Self::by_id(u32::from_ne_bytes(id)).map(Some),
            _ => Err(KernelError::Invalid {
                action: "open a map in a map",
                problem: format!("map `{}` is no map of maps", self.name()),
            }),
        }
    }
}

impl Entries<'_> {
    /// Reads more entries, as far as there are any.
    fn refill(&mut self) -> Result<(), KernelError> {
        match std::mem::replace(&mut self.way, Way::End) {
            Way::Batch { position, size } => self.refill_batch(position, size),
            Way::Keys { last } => self.refill_key(last),
            Way::End => Ok(()),
        }
    }

    fn refill_batch(&mut self, mut position: Vec<u8>, size: usize) -> Result<(), KernelError> {
        let (key_size, value_size) = (self.map.key_size(), self.map.value_size());
        if key_size == 0 {
            return Err(self.map.access_error("list the entries of a map", libc::EINVAL));
        }
        let mut keys = vec![0; key_size * size];
        let mut values = vec![0; value_size * size];
        let sizes = self.map.sizes();
        let room = (&mut keys[..], &mut values[..]);
        match map::map_lookup_batch(self.map.as_fd(), sizes, self.take, &mut position, room) {
            Ok((count, last)) => {
                let keys = keys.chunks_exact(key_size).take(count);
                let value = |index: usize| values[index * value_size..(index + 1) * value_size].to_vec();
                self.ready.extend(keys.enumerate().map(|(index, key)| (key.to_vec(), value(index))));
                if !last && count <= self.left {
                    self.left -= count;
                    self.way = Way::Batch { position, size };
                }
                Ok(())
            }
            // A bucket of the hash table has more entries than fit.
            Err(libc::ENOSPC) if size < MOST => self.refill_batch(position, (size * 4).min(MOST)),
            // No batches of this type or on this kernel: from the start if nothing has been returned yet.
            Err(_) if position.is_empty() => self.refill_key(None),
            Err(errno) => Err(self.map.access_error("list the entries of a map", errno)),
        }
    }

    fn refill_key(&mut self, last: Option<Vec<u8>>) -> Result<(), KernelError> {
        let mut key = vec![0; self.map.key_size()];
        // An entry that was taken cannot be the one to go on from.
        let mut last = if self.take { None } else { last };
        while self.left > 0 {
            self.left -= 1;
            let more = map::map_next_key(self.map.as_fd(), self.map.sizes(), last.as_deref(), &mut key)
                .map_err(|errno| self.map.access_error("list the keys of a map", errno))?;
            if !more {
                return Ok(());
            }
            let value = self.map.get(&key)?;
            if self.take {
                self.map.remove(&key)?;
            }
            if let Some(value) = value {
                self.ready.push_back((key.clone(), value));
                self.way = Way::Keys { last: Some(key) };
                return Ok(());
            }
            last = Some(key.clone());
        }
        Ok(())
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, KernelError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !matches!(self.way, Way::End) {
            if let Err(error) = self.refill() {
                self.way = Way::End;
                return Some(Err(error));
            }
        }
        self.ready.pop_front().map(Ok)
    }
}
