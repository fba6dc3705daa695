//! `BPF_MAP_TYPE_ARRAY` and `PERCPU_ARRAY` (`kernel/bpf/arraymap.c`): all entries always exist.

use super::error::{MapError, UpdateFlag};
use super::hash::Source;
use super::shape::Shape;
use super::values::Values;

/// Array with one value for all CPUs or one for each.
#[derive(Debug)]
pub(super) struct Array {
    values: Values,
    entries: u32,
    per_cpu: bool,
}

/// The index that a key of 4 bytes is.
#[inline]
pub(super) fn index(key: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(*key.as_array()?))
}

/// The index behind that of `key` in an array of `entries`; the first one for no key or one that is outside.
pub(super) fn next_index(key: Option<&[u8]>, entries: u32) -> Option<u32> {
    match key.and_then(index) {
        Some(at) if at < entries => (at + 1 < entries).then_some(at + 1),
        _ => Some(0),
    }
}

impl Array {
    /// All entries zero; `shape` was checked.
    pub(super) fn new(shape: Shape, per_cpu: bool, cpus: u32) -> Result<Self, MapError> {
        let values = Values::new(shape.value_size, shape.max_entries, if per_cpu { cpus } else { 1 })?;
        Ok(Self { values, entries: shape.max_entries, per_cpu })
    }

    pub(super) const fn values(&self) -> &Values {
        &self.values
    }

    #[inline]
    fn slot(&self, key: &[u8]) -> Option<u32> {
        index(key).filter(|&index| index < self.entries)
    }

    /// For programs: offset of the value.
    #[inline]
    pub(super) fn find(&self, key: &[u8], cpu: u32) -> Option<u32> {
        let slot = self.slot(key)?;
        if self.per_cpu {
            return (cpu < self.values.cpus()).then(|| self.values.offset(slot, cpu));
        }
        Some(self.values.offset_single(slot))
    }

    pub(super) const fn user_size(&self) -> usize {
        self.values.user_size(self.per_cpu)
    }

    pub(super) fn read(&self, key: &[u8], value: &mut [u8]) -> Result<(), MapError> {
        let slot = self.slot(key).ok_or(MapError::NotFound)?;
        self.values.read_user(slot, self.per_cpu, value);
        Ok(())
    }

    pub(super) fn update(&self, key: &[u8], source: Source<'_>, flag: UpdateFlag) -> Result<(), MapError> {
        let slot = self.slot(key).ok_or(MapError::Full)?;
        if flag == UpdateFlag::NoExist {
            return Err(MapError::Exists);
        }
        match source {
            Source::User(value) => self.values.write_user(slot, self.per_cpu, value),
            Source::Program(value, cpu) => self.values.write(slot, if self.per_cpu { cpu } else { 0 }, value),
        }
        Ok(())
    }

    pub(super) fn entry_from(&self, from: u32, cpu: u32, key: &mut [u8]) -> Option<(u32, u32)> {
        if from >= self.entries {
            return None;
        }
        if let Some(key) = key.as_mut_array() {
            *key = from.to_ne_bytes();
        }
        Some((from + 1, self.values.offset(from, if self.per_cpu { cpu } else { 0 })))
    }
}
