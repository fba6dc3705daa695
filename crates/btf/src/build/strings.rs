//! The string section of a blob that is being built: every string once.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::Arc;

use super::BuildError;
use crate::blob::Btf;
use crate::kind::NameOff;

/// Strings with NULs between them, and where to find each.
#[derive(Debug, Clone)]
pub(super) struct Strings {
    base: Option<Arc<Btf>>,
    /// Offset of the first byte of `bytes`.
    first: u32,
    bytes: Vec<u8>,
    /// Offsets by hash; strings with the same hash come one after the other.
    index: HashMap<u64, Vec<u32>>,
    hasher: RandomState,
}

impl Strings {
    /// The strings of the base, if there is one, and the empty string.
    pub(super) fn new(base: Option<&Arc<Btf>>) -> Self {
        let first = base.map_or(0, |base| base.strings_len());
        let mut strings = Self {
            base: base.cloned(),
            first,
            bytes: if base.is_some() { Vec::new() } else { vec![0] },
            index: HashMap::new(),
            hasher: RandomState::new(),
        };
        let mut current = base;
        while let Some(btf) = current {
            let (first, bytes) = btf.own_strings();
            let mut at = first;
            for string in bytes.split(|byte| *byte == 0) {
                let hash = strings.hasher.hash_one(string);
                let same = strings.index.entry(hash).or_default();
                // The lowest offset of a string is its one, also if the base has it twice.
                same.insert(0, at);
                at += string.len() as u32 + 1;
            }
            current = btf.base();
        }
        for same in strings.index.values_mut() {
            same.sort_unstable();
        }
        strings
    }

    /// The bytes of the section, without those of the base.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Stores a string, unless it is there.
    pub(super) fn add(&mut self, text: &[u8]) -> Result<NameOff, BuildError> {
        if text.is_empty() {
            return Ok(NameOff(0));
        }
        if text.contains(&0) {
            return Err(BuildError::Nul);
        }
        let hash = self.hasher.hash_one(text);
        let same = self.index.get(&hash).map_or(&[][..], Vec::as_slice);
        if let Some(found) = same.iter().find(|at| self.get(NameOff(**at)) == Some(text)) {
            return Ok(NameOff(*found));
        }
        let at = u32::try_from(self.bytes.len()).ok().and_then(|len| len.checked_add(self.first));
        let at = at.filter(|at| at.checked_add(text.len() as u32 + 1).is_some()).ok_or(BuildError::TooLarge)?;
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        self.index.entry(hash).or_default().push(at);
        Ok(NameOff(at))
    }

    /// The string at an offset.
    pub(super) fn get(&self, name: NameOff) -> Option<&[u8]> {
        match (name.0.checked_sub(self.first), &self.base) {
            (None, Some(base)) => base.string_bytes(name).ok().map(|(bytes, _)| bytes),
            (offset, _) => self.bytes.get(offset? as usize..)?.split(|byte| *byte == 0).next(),
        }
    }
}
