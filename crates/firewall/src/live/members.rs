//! What is in the named sets in force: a map by set and prefix, so that one address is put in without touching the others.

use std::collections::BTreeMap;

use skep_isa::MapType;
use skep_kernel::{LoadedMap, MapDefinition, Update};

use crate::rules::{Family, Prefix};
use crate::tables::TableError;

/// The name of the map.
pub const MEMBERS: &str = "fw_members";
/// `BPF_F_NO_PREALLOC`
const NO_PREALLOC: u32 = 1;
/// Bytes of a key: number of the set, version, length, address from its highest byte on.
const KEY: usize = 24;
/// Bytes of a value: until when (0 for ever), and bits: [`SETTLED`], [`NAMED`].
const VALUE: usize = 16;
/// Bit: entries follow it.
const SETTLED: u64 = 1;
/// Bit: it is an address of a name.
const NAMED: u64 = 2;
/// Members that come later, besides as many as there are.
const ROOM: usize = 1 << 16;

/// What is known about a prefix in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// When it leaves, in nanoseconds since the machine was started; 0 for never.
    pub until: u64,
    /// Whether it is being put in (`false`), or is there.
    pub settled: bool,
    /// Whether it is an address of a name in the set.
    pub named: bool,
}

impl Member {
    /// One that stays.
    pub const FOR_EVER: Self = Self { until: 0, settled: true, named: false };
}

/// The members of all sets. Sets have numbers in the order of their names.
#[derive(Debug)]
pub struct Members {
    map: LoadedMap,
}

fn failed(error: impl std::fmt::Display) -> TableError {
    TableError::Store(error.to_string())
}

fn key(set: u32, prefix: &Prefix) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..4].copy_from_slice(&set.to_ne_bytes());
    key[4] = u8::from(prefix.family == Family::V6);
    key[5] = prefix.length;
    key[8..].copy_from_slice(&prefix.address.to_be_bytes());
    key
}

fn read(key: &[u8], value: &[u8]) -> Option<(u32, Prefix, Member)> {
    let family = if *key.get(4)? == 1 { Family::V6 } else { Family::V4 };
    let address = u128::from_be_bytes(*key.get(8..)?.first_chunk()?);
    let bits = u64::from_ne_bytes(*value.get(8..)?.first_chunk()?);
    let until = u64::from_ne_bytes(*value.first_chunk()?);
    let member = Member { until, settled: bits & SETTLED != 0, named: bits & NAMED != 0 };
    Some((u32::from_ne_bytes(*key.first_chunk()?), Prefix::new(family, address, *key.get(5)?), member))
}

impl Members {
    /// A map with room for these sets and more.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn create(sets: &BTreeMap<String, Vec<Prefix>>) -> Result<(LoadedMap, Self), TableError> {
        let members = sets.values().map(Vec::len).sum::<usize>();
        let definition = MapDefinition {
            name: MEMBERS,
            map_type: MapType::Hash,
            key_size: KEY as u32,
            value_size: VALUE as u32,
            max_entries: u32::try_from(2 * members + ROOM).unwrap_or(u32::MAX),
            flags: NO_PREALLOC,
        };
        let map = LoadedMap::create(&definition).map_err(failed)?;
        let other = LoadedMap::by_id(map.id()).map_err(failed)?;
        Ok((map, Self { map: other }))
    }

    /// The members in a map.
    pub fn open(map: LoadedMap) -> Self {
        Self { map }
    }

    /// Puts a prefix into a set, or changes what is known about it.
    ///
    /// # Errors
    /// [`TableError::Full`], [`TableError::Store`]
    pub fn put(&self, set: u32, prefix: &Prefix, member: &Member) -> Result<(), TableError> {
        let mut value = [0; VALUE];
        value[..8].copy_from_slice(&member.until.to_ne_bytes());
        let bits = if member.settled { SETTLED } else { 0 } | if member.named { NAMED } else { 0 };
        value[8..].copy_from_slice(&bits.to_ne_bytes());
        self.map.set(&key(set, prefix), &value, Update::Any).map_err(failed)
    }

    /// Takes a prefix out of a set.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn remove(&self, set: u32, prefix: &Prefix) -> Result<(), TableError> {
        self.map.remove(&key(set, prefix)).map(drop).map_err(failed)
    }

    /// What is known about a prefix in a set, if it is in it.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn get(&self, set: u32, prefix: &Prefix) -> Result<Option<Member>, TableError> {
        let key = key(set, prefix);
        let value = self.map.get(&key).map_err(failed)?;
        Ok(value.and_then(|value| read(&key, &value)).map(|(_, _, member)| member))
    }

    /// All members of all sets, by set and prefix.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn all(&self) -> Result<Vec<(u32, Prefix, Member)>, TableError> {
        let mut all = Vec::new();
        for entry in self.map.entries() {
            let (key, value) = entry.map_err(failed)?;
            all.extend(read(&key, &value));
        }
        all.sort_by_key(|(set, prefix, _)| (*set, prefix.family == Family::V6, prefix.address, prefix.length));
        Ok(all)
    }
}
