//! The texts of the rules in force, kept beside their tables, so that what is in force can be listed and changed by any
//! process.
//!
//! A text is kept in parts. Text 0 has sets, zones and defaults; others are those of rules, by their numbers.

use std::collections::BTreeMap;

use skep_isa::MapType;
use skep_kernel::{KernelError, LoadedMap, MapDefinition, Update};

/// The name of the map.
pub const TEXTS: &str = "fw_texts";
/// Bytes of a part.
const PART: usize = 112;
/// Bytes in front of the text of a part: place of the rule, length of the whole text.
const HEAD: usize = 16;
/// `BPF_F_NO_PREALLOC`
const NO_PREALLOC: u32 = 1;

/// A map with room for so many bytes and texts.
///
/// # Errors
/// [`KernelError`]
pub fn create(bytes: usize, texts: usize) -> Result<LoadedMap, KernelError> {
    let entries = u32::try_from(bytes / PART + 2 * texts + 4096).unwrap_or(u32::MAX);
    LoadedMap::create(&MapDefinition {
        name: TEXTS,
        map_type: MapType::Hash,
        key_size: 8,
        value_size: (HEAD + PART) as u32,
        max_entries: entries,
        flags: NO_PREALLOC,
    })
}

fn key(text: u32, part: u32) -> [u8; 8] {
    let mut key = [0; 8];
    key[..4].copy_from_slice(&text.to_ne_bytes());
    key[4..].copy_from_slice(&part.to_ne_bytes());
    key
}

/// Keeps a text.
///
/// # Errors
/// [`KernelError`], also if the map is full.
pub fn put(map: &LoadedMap, number: u32, order: u64, text: &str) -> Result<(), KernelError> {
    let bytes = text.as_bytes();
    let parts = bytes.chunks(PART).chain(bytes.is_empty().then_some(bytes));
    for (part, chunk) in (0..).zip(parts) {
        let mut value = vec![0; HEAD + PART];
        value[..8].copy_from_slice(&order.to_ne_bytes());
        value[8..12].copy_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_ne_bytes());
        value[HEAD..HEAD + chunk.len()].copy_from_slice(chunk);
        map.set(&key(number, part), &value, Update::Any)?;
    }
    Ok(())
}

/// Forgets a text of so many bytes.
///
/// # Errors
/// [`KernelError`]
pub fn remove(map: &LoadedMap, number: u32, length: usize) -> Result<(), KernelError> {
    for part in 0..=length / PART {
        map.remove(&key(number, part as u32))?;
    }
    Ok(())
}

/// All texts by number, each with its place.
///
/// # Errors
/// [`KernelError`]
pub fn all(map: &LoadedMap) -> Result<BTreeMap<u32, (u64, String)>, KernelError> {
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    };
    let mut parts: BTreeMap<(u32, u32), Vec<u8>> = BTreeMap::new();
    for entry in map.entries() {
        let (key, value) = entry?;
        parts.insert((word(&key, 0), word(&key, 4)), value);
    }
    let mut texts: BTreeMap<u32, (u64, usize, Vec<u8>)> = BTreeMap::new();
    for ((number, _), value) in parts {
        let order = value.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        let text = texts.entry(number).or_insert_with(|| (order, word(&value, 8) as usize, Vec::new()));
        text.2.extend_from_slice(value.get(HEAD..).unwrap_or_default());
    }
    let whole = texts.into_iter().map(|(number, (order, length, mut bytes))| {
        bytes.truncate(length);
        (number, (order, String::from_utf8_lossy(&bytes).into_owned()))
    });
    Ok(whole.collect())
}
