//! `BPF_MAP_TYPE_HASH` (`kernel/bpf/hashtab.c`), and the hash function that the trie uses as well.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::{MapError, Shape, Slot, UpdateFlag, Values};

#[derive(Debug, Clone)]
pub(super) struct Hash {
    pub(super) values: Values,
    slots: HashMap<Box<[u8]>, Slot, Seeded>,
    max_entries: usize,
}

impl Hash {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            values: Values::new(shape.value_size),
            slots: HashMap::with_hasher(Seeded::new()),
            max_entries: shape.max_entries as usize,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<Slot> {
        self.slots.get(key).copied()
    }

    pub(super) fn update(&mut self, key: &[u8], value: &[u8], flag: UpdateFlag) -> Result<(), MapError> {
        match (self.find(key), flag) {
            (Some(_), UpdateFlag::NoExist) => Err(MapError::Exists),
            (None, UpdateFlag::Exist) => Err(MapError::NotFound),
            // A full map still takes new values for the keys that it has.
            (Some(slot), _) => {
                self.values.get_mut(slot).copy_from_slice(value);
                Ok(())
            }
            (None, _) if self.slots.len() >= self.max_entries => Err(MapError::Full),
            (None, _) => {
                let slot = self.values.insert(value);
                self.slots.insert(key.into(), slot);
                Ok(())
            }
        }
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> Result<(), MapError> {
        let slot = self.slots.remove(key).ok_or(MapError::NotFound)?;
        self.values.free.push(slot);
        Ok(())
    }

    pub(super) fn entries(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.slots.iter().map(|(key, slot)| (key.to_vec(), self.values.get(*slot).to_vec())).collect()
    }
}

/// Hash function of keys: one folded multiplication for every 8 bytes.
///
/// The seed differs from map to map, so that traffic cannot be made to collide.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeded(u64);

impl Seeded {
    pub(super) fn new() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }
}

impl BuildHasher for Seeded {
    type Hasher = KeyHasher;

    #[inline]
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.0)
    }
}

/// State of the hash function.
pub(super) struct KeyHasher(u64);

impl KeyHasher {
    #[inline]
    fn mix(&mut self, word: u64) {
        // Two odd constants with about as many ones as zeros; the high half of the product is folded into the low.
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for KeyHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.mix(u64::from_le_bytes(last) ^ (rest.len() as u64) << 56);
        }
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
