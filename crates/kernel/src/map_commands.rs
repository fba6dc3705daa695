//! The commands of `bpf(2)` on a map with their plain error numbers.
//!
//! [`LoadedMap`]'s other functions explain errors to people. Whoever compares an implementation with the kernel, or acts on
//! the number, uses these. Buffers of wrong lengths give `EINVAL`.

use std::os::fd::{AsFd, AsRawFd};

use crate::errors::KernelError;
use crate::map::{LoadedMap, MapDefinition};
use crate::sys::attr::{MapCreate, object_name};
use crate::sys::map;

impl LoadedMap {
    /// `BPF_MAP_CREATE`; `inner` is the example of the maps that a map of maps will hold.
    ///
    /// # Errors
    /// The number, or [`KernelError`]'s text if the new map cannot be examined.
    pub fn create_or_errno(
        definition: &MapDefinition<'_>,
        inner: Option<&Self>,
    ) -> Result<Result<Self, i32>, KernelError> {
        let attr = MapCreate {
            map_type: definition.map_type.number(),
            key_size: definition.key_size,
            value_size: definition.value_size,
            max_entries: definition.max_entries,
            map_flags: definition.flags,
            map_name: object_name(definition.name),
            inner_map_fd: inner.map_or(0, |inner| inner.as_fd().as_raw_fd().cast_unsigned()),
            ..MapCreate::default()
        };
        match map::map_create(attr) {
            Ok(fd) => Self::from_fd(fd).map(Ok),
            Err(errno) => Ok(Err(errno)),
        }
    }

    /// `BPF_MAP_LOOKUP_ELEM`: writes the value to `value`. A Bloom filter is asked for what is in there.
    ///
    /// # Errors
    /// The error number.
    pub fn lookup_into(&self, key: &[u8], value: &mut [u8]) -> Result<(), i32> {
        map::map_lookup(self.as_fd(), self.sizes(), key, value)
    }

    /// `BPF_MAP_UPDATE_ELEM` with any flags.
    ///
    /// # Errors
    /// The error number.
    pub fn update_with_flags(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), i32> {
        map::map_update(self.as_fd(), self.sizes(), key, value, flags)
    }

    /// `BPF_MAP_DELETE_ELEM`
    ///
    /// # Errors
    /// The error number.
    pub fn delete(&self, key: &[u8]) -> Result<(), i32> {
        map::map_delete(self.as_fd(), self.sizes(), key)
    }

    /// `BPF_MAP_LOOKUP_AND_DELETE_ELEM`: writes the value to `value`.
    ///
    /// # Errors
    /// The error number.
    pub fn take_into(&self, key: &[u8], value: &mut [u8]) -> Result<(), i32> {
        map::map_lookup_and_delete(self.as_fd(), self.sizes(), key, value)
    }

    /// `BPF_MAP_GET_NEXT_KEY`: writes the key behind `key`, or the first one, to `next`. `false` at the end.
    ///
    /// # Errors
    /// The error number.
    pub fn next_key_into(&self, key: Option<&[u8]>, next: &mut [u8]) -> Result<bool, i32> {
        map::map_next_key(self.as_fd(), self.sizes(), key, next)
    }

    /// `BPF_MAP_UPDATE_BATCH` of pairs that lie one after the other in `keys` and `values`.
    ///
    /// # Errors
    /// The error number and how many pairs were stored.
    pub fn update_batch(&self, count: u32, keys: &[u8], values: &[u8]) -> Result<(), (i32, u32)> {
        map::map_update_batch(self.as_fd(), self.sizes(), count, keys, values)
    }

    /// `BPF_MAP_FREEZE`: no more changes through `bpf(2)`. [`freeze`](Self::freeze) explains errors.
    ///
    /// # Errors
    /// The error number.
    pub fn freeze_or_errno(&self) -> Result<(), i32> {
        map::map_freeze(self.as_fd())
    }
}
