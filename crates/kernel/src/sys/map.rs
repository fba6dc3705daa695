//! Commands of `bpf(2)` on maps.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::attr::{BindMap, MapBatch, MapCreate, MapElem, cmd};
use super::bpf::{address, bpf, owned, raw};

/// The address of a key; maps without keys demand 0.
fn key_address(key: &[u8]) -> u64 {
    if key.is_empty() { 0 } else { address(key.as_ptr()) }
}

pub(crate) fn map_create(mut attr: MapCreate) -> Result<OwnedFd, i32> {
    // SAFETY: the structure holds no addresses.
    unsafe { bpf(cmd::MAP_CREATE, &mut attr) }.map(owned)
}

/// Lengths in bytes of one key and of one value as the kernel copies them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ElemSize {
    pub(crate) key: usize,
    pub(crate) value: usize,
}

/// Checks lengths; `EINVAL` as the kernel would say if it could see them.
fn fits(size: ElemSize, key: &[u8], value: Option<&[u8]>) -> Result<(), i32> {
    let good = key.len() == size.key && value.is_none_or(|value| value.len() == size.value);
    if good { Ok(()) } else { Err(libc::EINVAL) }
}

/// `size` must be the map's own; [`crate::LoadedMap`] asks the kernel for it.
pub(crate) fn map_update(map: BorrowedFd<'_>, size: ElemSize, key: &[u8], value: &[u8], flags: u64) -> Result<(), i32> {
    fits(size, key, Some(value))?;
    let mut attr = MapElem { map_fd: raw(map), key: key_address(key), value: address(value.as_ptr()), flags, pad: 0 };
    // SAFETY: key and value have the lengths that the kernel reads.
    unsafe { bpf(cmd::MAP_UPDATE_ELEM, &mut attr) }.map(drop)
}

pub(crate) fn map_lookup(map: BorrowedFd<'_>, size: ElemSize, key: &[u8], value: &mut [u8]) -> Result<(), i32> {
    fits(size, key, Some(value))?;
    let mut attr = MapElem {
        map_fd: raw(map),
        key: key_address(key),
        value: address(value.as_mut_ptr().cast_const()),
        ..MapElem::default()
    };
    // SAFETY: the kernel reads a key and writes a value, and both buffers have just these lengths.
    unsafe { bpf(cmd::MAP_LOOKUP_ELEM, &mut attr) }.map(drop)
}

pub(crate) fn map_lookup_and_delete(
    map: BorrowedFd<'_>,
    size: ElemSize,
    key: &[u8],
    value: &mut [u8],
) -> Result<(), i32> {
    fits(size, key, Some(value))?;
    let mut attr = MapElem {
        map_fd: raw(map),
        key: key_address(key),
        value: address(value.as_mut_ptr().cast_const()),
        ..MapElem::default()
    };
    // SAFETY: the kernel reads a key and writes a value, and both buffers have just these lengths.
    unsafe { bpf(cmd::MAP_LOOKUP_AND_DELETE_ELEM, &mut attr) }.map(drop)
}

pub(crate) fn map_delete(map: BorrowedFd<'_>, size: ElemSize, key: &[u8]) -> Result<(), i32> {
    fits(size, key, None)?;
    let mut attr = MapElem { map_fd: raw(map), key: key_address(key), ..MapElem::default() };
    // SAFETY: the kernel reads a key of this length.
    unsafe { bpf(cmd::MAP_DELETE_ELEM, &mut attr) }.map(drop)
}

/// Keeps system calls from changing a map from now on.
pub(crate) fn map_freeze(map: BorrowedFd<'_>) -> Result<(), i32> {
    let mut attr = MapElem { map_fd: raw(map), ..MapElem::default() };
    // SAFETY: the kernel reads only the descriptor.
    unsafe { bpf(cmd::MAP_FREEZE, &mut attr) }.map(drop)
}

/// Writes the key after `key`, or the first one, to `next`. `false` at the end.
pub(crate) fn map_next_key(
    map: BorrowedFd<'_>,
    size: ElemSize,
    key: Option<&[u8]>,
    next: &mut [u8],
) -> Result<bool, i32> {
    fits(ElemSize { value: size.key, ..size }, key.unwrap_or(next), Some(next))?;
    let mut attr = MapElem {
        map_fd: raw(map),
        key: key.map_or(0, key_address),
        value: address(next.as_mut_ptr().cast_const()),
        ..MapElem::default()
    };
    // SAFETY: the kernel reads one key (none at address 0) and writes one; both buffers have the length of a key.
    match unsafe { bpf(cmd::MAP_GET_NEXT_KEY, &mut attr) } {
        Ok(_) => Ok(true),
        Err(libc::ENOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Stores `count` pairs that lie one after the other in `keys` and `values`. On failure also returns how many were
/// stored.
pub(crate) fn map_update_batch(
    map: BorrowedFd<'_>,
    size: ElemSize,
    count: u32,
    keys: &[u8],
    values: &[u8],
) -> Result<(), (i32, u32)> {
    let wanted = |each: usize| usize::try_from(count).ok().and_then(|count| count.checked_mul(each));
    if wanted(size.key) != Some(keys.len()) || wanted(size.value) != Some(values.len()) {
        return Err((libc::EINVAL, 0));
    }
    let mut attr = MapBatch {
        keys: address(keys.as_ptr()),
        values: address(values.as_ptr()),
        count,
        map_fd: raw(map),
        ..MapBatch::default()
    };
    // SAFETY: the kernel reads `count` keys and values, and the buffers have just these lengths.
    match unsafe { bpf(cmd::MAP_UPDATE_BATCH, &mut attr) } {
        Ok(_) => Ok(()),
        // The kernel sets the count also on failure, except when it refuses the command as such.
        Err(errno) => Err((errno, if attr.count < count { attr.count } else { 0 })),
    }
}

/// As [`map_lookup`] with flags (`BPF_F_LOCK`).
pub(crate) fn map_lookup_flags(
    map: BorrowedFd<'_>,
    size: ElemSize,
    key: &[u8],
    value: &mut [u8],
    flags: u64,
) -> Result<(), i32> {
    fits(size, key, Some(value))?;
    let value = address(value.as_mut_ptr().cast_const());
    let mut attr = MapElem { map_fd: raw(map), key: key_address(key), value, flags, ..MapElem::default() };
    // SAFETY: the kernel reads a key and writes a value, and both buffers have just these lengths.
    unsafe { bpf(cmd::MAP_LOOKUP_ELEM, &mut attr) }.map(drop)
}

/// Reads (`take` false) or takes out up to `keys.len() / size.key` entries, from where `position` says.
///
/// `position` is empty for the start; afterwards it holds where to go on. Returns the number of entries and whether
/// these were the last. On failure nothing in the buffers counts.
pub(crate) fn map_lookup_batch(
    map: BorrowedFd<'_>,
    size: ElemSize,
    take: bool,
    position: &mut Vec<u8>,
    (keys, values): (&mut [u8], &mut [u8]),
) -> Result<(usize, bool), i32> {
    let room = keys.len().checked_div(size.key).ok_or(libc::EINVAL)?;
    if room * size.key != keys.len() || room.checked_mul(size.value) != Some(values.len()) {
        return Err(libc::EINVAL);
    }
    // Hash maps write a word, other maps a key.
    let mut next = vec![0u8; size.key.max(8)];
    if !position.is_empty() {
        position.resize(next.len(), 0);
    }
    let mut attr = MapBatch {
        in_batch: key_address(position),
        out_batch: address(next.as_mut_ptr().cast_const()),
        keys: address(keys.as_mut_ptr().cast_const()),
        values: address(values.as_mut_ptr().cast_const()),
        count: u32::try_from(room).map_err(|_| libc::E2BIG)?,
        map_fd: raw(map),
        ..MapBatch::default()
    };
    let command = if take { cmd::MAP_LOOKUP_AND_DELETE_BATCH } else { cmd::MAP_LOOKUP_BATCH };
    // SAFETY: the kernel writes at most `count` keys and values, and the buffers have just these lengths. It reads and
    // writes one position, which is a key or a word of four bytes; both buffers hold either.
    let last = match unsafe { bpf(command, &mut attr) } {
        Ok(_) => false,
        Err(libc::ENOENT) => true,
        Err(errno) => return Err(errno),
    };
    *position = next;
    Ok((usize::try_from(attr.count).unwrap_or(0).min(room), last))
}

/// Removes the entries whose keys lie one after the other in `keys`. On failure also returns how many were removed.
pub(crate) fn map_delete_batch(map: BorrowedFd<'_>, size: ElemSize, keys: &[u8]) -> Result<(), (i32, u32)> {
    let count = keys.len().checked_div(size.key).unwrap_or(0);
    if count * size.key != keys.len() || count == 0 {
        return Err((libc::EINVAL, 0));
    }
    let count = u32::try_from(count).map_err(|_| (libc::E2BIG, 0))?;
    let mut attr = MapBatch { keys: address(keys.as_ptr()), count, map_fd: raw(map), ..MapBatch::default() };
    // SAFETY: the kernel reads `count` keys, and the buffer has just this length.
    match unsafe { bpf(cmd::MAP_DELETE_BATCH, &mut attr) } {
        Ok(_) => Ok(()),
        Err(errno) => Err((errno, if attr.count < count { attr.count } else { 0 })),
    }
}

/// Lets a program keep a map alive that its code does not refer to.
pub(crate) fn bind(program: BorrowedFd<'_>, map: BorrowedFd<'_>) -> Result<(), i32> {
    let mut attr = BindMap { prog_fd: raw(program), map_fd: raw(map), flags: 0 };
    // SAFETY: the structure holds no addresses.
    unsafe { bpf(cmd::PROG_BIND_MAP, &mut attr) }.map(drop)
}
