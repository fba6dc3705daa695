//! Helper functions: the registry that a program is loaded with, and the helpers of socket filters.
//!
//! Numbers and meanings are those of `linux/bpf.h`; failures return the kernel's negative error numbers.

use super::fault::FaultKind;
use super::map::{Map, MapError, UpdateFlag};
use super::memory::{CONTEXT_START, Memory};
use crate::classic::{Metadata, next_random};

/// What a helper can work on.
#[derive(Debug)]
pub struct Machine<'a> {
    /// Everything that the program can reach.
    pub memory: Memory<'a>,
    /// What the kernel knows about the packet.
    pub meta: &'a Metadata,
    /// State of the random numbers, reproducible from [`Metadata::random`].
    pub(super) random: u32,
}

/// A helper: takes registers 1 to 5 and gives register 0.
pub type Helper = fn(&mut Machine<'_>, [u64; 5]) -> Result<u64, FaultKind>;

/// The helpers that a program may call, by number.
#[derive(Debug, Clone, Default)]
pub struct Helpers {
    /// Ordered by number.
    rows: Vec<(i32, Helper)>,
}

impl Helpers {
    /// No helpers.
    pub const fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// The helpers of socket filters.
    pub fn socket_filter() -> Self {
        SOCKET_FILTER.iter().fold(Self::new(), |helpers, &(id, helper)| helpers.with(id, helper))
    }

    /// With one more helper; it replaces one of the same number.
    #[must_use]
    pub fn with(mut self, id: i32, helper: Helper) -> Self {
        match self.rows.binary_search_by_key(&id, |row| row.0) {
            Ok(at) => self.rows[at].1 = helper,
            Err(at) => self.rows.insert(at, (id, helper)),
        }
        self
    }

    /// The index of the helper with this number, for [`at`](Self::at).
    pub(super) fn find(&self, id: i32) -> Option<u32> {
        self.rows.binary_search_by_key(&id, |row| row.0).ok().and_then(|index| u32::try_from(index).ok())
    }

    pub(super) fn at(&self, index: u32) -> Option<Helper> {
        self.rows.get(index as usize).map(|row| row.1)
    }
}

// TABLE
/// Helpers of socket filters with their numbers.
const SOCKET_FILTER: &[(i32, Helper)] = &[
    (1, map_lookup_elem),
    (2, map_update_elem),
    (3, map_delete_elem),
    (7, get_prandom_u32),
    (8, get_smp_processor_id),
    (26, skb_load_bytes),
];

const EPERM: i64 = -1;
const EFAULT: i64 = -14;

fn status(result: Result<(), MapError>) -> u64 {
    result.map_or_else(MapError::errno, |()| 0).cast_unsigned()
}

fn map_lookup_elem(machine: &mut Machine<'_>, [map, key, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(machine.memory.map_find(map, key)?.unwrap_or(0))
}

fn map_update_elem(machine: &mut Machine<'_>, [handle, key, value, flags, _]: [u64; 5]) -> Result<u64, FaultKind> {
    let (key_size, value_size) = sizes(machine, handle)?;
    // Key and value may lie in the map itself.
    let key = machine.memory.bytes(key, key_size)?.to_vec();
    let value = machine.memory.bytes(value, value_size)?.to_vec();
    let map = machine.memory.map(handle)?;
    if !map.is_writable_by_programs() {
        return Ok(EPERM.cast_unsigned());
    }
    Ok(status(UpdateFlag::from_number(flags).and_then(|flag| map.update(&key, &value, flag))))
}

fn map_delete_elem(machine: &mut Machine<'_>, [handle, key, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    let (key_size, _) = sizes(machine, handle)?;
    let key = machine.memory.bytes(key, key_size)?.to_vec();
    let map = machine.memory.map(handle)?;
    if !map.is_writable_by_programs() {
        return Ok(EPERM.cast_unsigned());
    }
    Ok(status(map.delete(&key)))
}

fn sizes(machine: &mut Machine<'_>, handle: u64) -> Result<(u32, u32), FaultKind> {
    let map: &Map = machine.memory.map(handle)?;
    Ok((map.shape().key_size, map.shape().value_size))
}

fn get_prandom_u32(machine: &mut Machine<'_>, _: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(next_random(&mut machine.random).into())
}

fn get_smp_processor_id(machine: &mut Machine<'_>, _: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(machine.meta.cpu.into())
}

/// Copies packet bytes; the target is cleared when they are not all there (`bpf_skb_load_bytes` in
/// `net/core/filter.c`).
fn skb_load_bytes(machine: &mut Machine<'_>, [skb, offset, to, size, _]: [u64; 5]) -> Result<u64, FaultKind> {
    if skb != CONTEXT_START {
        return Err(FaultKind::NotTheContext(skb));
    }
    let (offset, size) = (offset as u32, size as u32);
    let packet = machine.memory.packet();
    let target = machine.memory.bytes_mut(to, size)?;
    let start = offset as usize;
    match packet.get(start..start + size as usize) {
        Some(bytes) if offset <= i32::MAX.cast_unsigned() => {
            target.copy_from_slice(bytes);
            Ok(0)
        }
        _ => {
            target.fill(0);
            Ok(EFAULT.cast_unsigned())
        }
    }
}
