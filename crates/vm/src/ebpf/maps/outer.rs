//! `BPF_MAP_TYPE_ARRAY_OF_MAPS` and `HASH_OF_MAPS` (`kernel/bpf/map_in_map.c`).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use skep_isa::MapType;

use super::Map;
use super::array::{index, next_index};
use super::error::{MapError, UpdateFlag};
use super::shape::{Shape, flag};

/// What inner maps must be like.
#[derive(Debug, Clone, Copy)]
struct Template {
    kind: MapType,
    shape: Shape,
}

/// A map of maps.
#[derive(Debug)]
pub(super) struct Outer {
    template: Template,
    is_array: bool,
    max_entries: u32,
    maps: RwLock<BTreeMap<Box<[u8]>, Arc<Map>>>,
}

impl Outer {
    /// An empty map for maps like `inner`.
    pub(super) fn new(kind: MapType, shape: Shape, inner: &Map) -> Result<Self, MapError> {
        if matches!(inner.kind(), MapType::ArrayOfMaps | MapType::HashOfMaps) {
            return Err(MapError::Invalid("maps of maps of maps do not exist"));
        }
        if matches!(inner.kind(), MapType::ProgArray) {
            return Err(MapError::NotSupported("an array of programs cannot be an inner map"));
        }
        Ok(Self {
            template: Template { kind: inner.kind(), shape: inner.shape() },
            is_array: kind == MapType::ArrayOfMaps,
            max_entries: shape.max_entries,
            maps: RwLock::new(BTreeMap::new()),
        })
    }

    /// `bpf_map_meta_equal`: everything but the number of entries, and for arrays that too unless they are made as inner
    /// maps. The sizes of ring buffers are in their number of entries and may differ.
    fn fits(&self, inner: &Map) -> bool {
        let (own, other) = (self.template.shape, inner.shape());
        let fixed = inner.kind() == MapType::Array && own.flags & flag::INNER_MAP == 0;
        self.template.kind == inner.kind()
            && (own.key_size, own.value_size, own.flags) == (other.key_size, other.value_size, other.flags)
            && (!fixed || own.max_entries == other.max_entries)
    }

    fn outside(&self, key: &[u8]) -> bool {
        self.is_array && index(key).is_none_or(|index| index >= self.max_entries)
    }

    pub(super) fn len(&self) -> usize {
        self.maps.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Arc<Map>> {
        self.maps.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Stores a map.
    pub(super) fn set(&self, key: &[u8], inner: Arc<Map>, flags: u64) -> Result<(), MapError> {
        if self.is_array {
            if flags != UpdateFlag::Any.bits() {
                return Err(MapError::Invalid("entries of an array of maps are stored with BPF_ANY"));
            }
            if self.outside(key) {
                return Err(MapError::Full);
            }
        }
        if !self.fits(&inner) {
            return Err(MapError::Invalid("the inner map differs from the one that the outer map was made with"));
        }
        let flag = UpdateFlag::from_number(flags)?;
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        let exists = maps.contains_key(key);
        flag.check(exists)?;
        if !exists && maps.len() >= self.max_entries as usize {
            return Err(MapError::Full);
        }
        maps.insert(key.into(), inner);
        Ok(())
    }

    pub(super) fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        if self.outside(key) {
            return Err(MapError::Full);
        }
        let removed = self.maps.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        removed.map(drop).ok_or(MapError::NotFound)
    }

    pub(super) fn next_key(&self, key: Option<&[u8]>, next: &mut [u8]) -> bool {
        if self.is_array {
            let found = next_index(key, self.max_entries);
            if let (Some(found), Some(next)) = (found, next.as_mut_array()) {
                *next = found.to_ne_bytes();
            }
            return found.is_some();
        }
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        let from = match key.filter(|&key| maps.contains_key(key)) {
            Some(key) => Bound::Excluded(key),
            None => Bound::Unbounded,
        };
        let found = maps.range::<[u8], _>((from, Bound::Unbounded)).next();
        if let Some((key, _)) = found {
            next.copy_from_slice(key);
        }
        found.is_some()
    }
}
