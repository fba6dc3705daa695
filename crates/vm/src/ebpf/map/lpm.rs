//! `BPF_MAP_TYPE_LPM_TRIE`: longest matching prefix (`kernel/bpf/lpm_trie.c`, rules as of Linux 6.13).
//!
//! A key is a prefix length in bits (32-bit number in the machine's byte order) and the data that it counts bits of,
//! first byte first. There is no tree here: one hash table for each prefix length that occurs gives the same answers,
//! and real tables have few lengths.

use std::collections::{BTreeMap, HashMap};

use super::hash::Seeded;
use super::{MapError, Shape, Slot, UpdateFlag, Values};

/// `BPF_F_NO_PREALLOC`, which the kernel demands of every trie.
const NO_PREALLOC: u32 = 1;
const LENGTH_BYTES: usize = 4;
const MAX_DATA_BYTES: usize = 256;

#[derive(Debug, Clone)]
pub(super) struct LpmTrie {
    pub(super) values: Values,
    /// For each prefix length the masked data.
    by_length: BTreeMap<u32, HashMap<Box<[u8]>, Slot, Seeded>>,
    len: usize,
    max_entries: usize,
    max_prefix: u32,
    seed: Seeded,
}

impl LpmTrie {
    pub(super) fn new(shape: Shape) -> Result<Self, MapError> {
        let data = (shape.key_size as usize).saturating_sub(LENGTH_BYTES);
        if data == 0 || data > MAX_DATA_BYTES {
            return Err(MapError::Invalid("the key of a trie has 4 bytes of prefix length and 1 to 256 bytes of data"));
        }
        if shape.flags & NO_PREALLOC == 0 {
            return Err(MapError::Invalid("a trie needs the flag BPF_F_NO_PREALLOC"));
        }
        Ok(Self {
            values: Values::new(shape.value_size),
            by_length: BTreeMap::new(),
            len: 0,
            max_entries: shape.max_entries as usize,
            max_prefix: data as u32 * 8,
            seed: Seeded::new(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn find(&self, key: &[u8]) -> Option<Slot> {
        let (length, data) = self.split(key)?;
        let mut masked = [0; MAX_DATA_BYTES];
        let masked = &mut masked[..data.len()];
        masked.copy_from_slice(data);
        // From the longest prefix down: the bits behind each are cleared for good.
        self.by_length.range(..=length).rev().find_map(|(&length, slots)| {
            clear_behind(masked, length);
            slots.get(&*masked).copied()
        })
    }

    pub(super) fn update(&mut self, key: &[u8], value: &[u8], flag: UpdateFlag) -> Result<(), MapError> {
        let (length, data) = self.split(key).ok_or(TOO_LONG)?;
        let mut data: Box<[u8]> = data.into();
        clear_behind(&mut data, length);
        let slots = self.by_length.get(&length);
        match (slots.and_then(|slots| slots.get(&data)).copied(), flag) {
            (Some(_), UpdateFlag::NoExist) => Err(MapError::Exists),
            (None, UpdateFlag::Exist) => Err(MapError::NotFound),
            (Some(slot), _) => {
                self.values.get_mut(slot).copy_from_slice(value);
                Ok(())
            }
            (None, _) if self.len >= self.max_entries => Err(MapError::TrieFull),
            (None, _) => {
                let slot = self.values.insert(value);
                let slots = self.by_length.entry(length).or_insert_with(|| HashMap::with_hasher(self.seed));
                slots.insert(data, slot);
                self.len += 1;
                Ok(())
            }
        }
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> Result<(), MapError> {
        let (length, data) = self.split(key).ok_or(TOO_LONG)?;
        let mut data: Box<[u8]> = data.into();
        clear_behind(&mut data, length);
        let slots = self.by_length.get_mut(&length).ok_or(MapError::NotFound)?;
        let slot = slots.remove(&data).ok_or(MapError::NotFound)?;
        if slots.is_empty() {
            self.by_length.remove(&length);
        }
        self.values.free.push(slot);
        self.len -= 1;
        Ok(())
    }

    pub(super) fn entries(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let one = |length: u32, data: &[u8], slot: Slot| {
            ([length.to_ne_bytes().as_slice(), data].concat(), self.values.get(slot).to_vec())
        };
        self.by_length
            .iter()
            .flat_map(|(&length, slots)| slots.iter().map(move |(data, &slot)| one(length, data, slot)))
            .collect()
    }

    /// Prefix length and data of a key, `None` if the length is greater than the data has bits.
    fn split<'k>(&self, key: &'k [u8]) -> Option<(u32, &'k [u8])> {
        let (length, data) = key.split_first_chunk::<LENGTH_BYTES>()?;
        let length = u32::from_ne_bytes(*length);
        (length <= self.max_prefix).then_some((length, data))
    }
}

const TOO_LONG: MapError = MapError::Invalid("the prefix length is greater than the key has bits");

/// Clears all bits of `data` behind the first `length`.
fn clear_behind(data: &mut [u8], length: u32) {
    let whole = length as usize / 8;
    if let Some(tail) = data.get_mut(whole..) {
        let mut mask = !(0xff_u8 >> (length % 8));
        for byte in tail {
            *byte &= mask;
            mask = 0;
        }
    }
}
