//! The `bpf(2)` system call, one safe function a command.
//!
//! Lengths are checked here: a buffer that the kernel reads or writes through one of these functions is at least as
//! long as the kernel takes it to be.

use std::ffi::{CStr, c_int};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::attr::{MapBatch, MapCreate, MapElem, MapInfo, ObjInfo, Plain, ProgInfo, ProgLoad, TestRun, cmd};
use crate::errors::last_errno;

/// Issues a command.
///
/// # Safety
/// Every address in `attr` must point to memory that is valid for what the command does with it.
unsafe fn bpf<T: Plain>(command: c_int, attr: &mut T) -> Result<c_int, i32> {
    loop {
        // SAFETY: `attr` is valid for reads and writes of the size that is passed with it; for the addresses in it
        // the caller vouches.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
        if let Ok(result) = c_int::try_from(result)
            && result >= 0
        {
            return Ok(result);
        }
        // A signal may interrupt the verifier with EAGAIN (since Linux 5.0); the load has to begin anew.
        match last_errno() {
            libc::EINTR => {}
            libc::EAGAIN if command == cmd::PROG_LOAD => {}
            errno => return Err(errno),
        }
    }
}

/// Turns the result of a command that opens something into its owner.
fn owned(fd: c_int) -> OwnedFd {
    // SAFETY: only called with the result of a successful command that returns a new descriptor.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd().cast_unsigned()
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

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

/// Loads a program. `attr` gives types, name and flags; instructions, licence and log are filled in here.
///
/// On success or failure the beginning of `log` holds the verifier's log if `attr.log_level` is not 0.
pub(crate) fn prog_load(mut attr: ProgLoad, insns: &[[u8; 8]], license: &CStr, log: &mut [u8]) -> Result<OwnedFd, i32> {
    attr.insn_cnt = u32::try_from(insns.len()).map_err(|_| libc::E2BIG)?;
    attr.insns = address(insns.as_ptr());
    attr.license = address(license.as_ptr());
    if attr.log_level != 0 {
        attr.log_size = u32::try_from(log.len()).map_err(|_| libc::E2BIG)?;
        attr.log_buf = address(log.as_mut_ptr().cast_const());
    }
    // SAFETY: the kernel reads `insn_cnt` slots of eight bytes and a C string, and writes at most `log_size` bytes to
    // the log; all three buffers are as long and live through the call.
    unsafe { bpf(cmd::PROG_LOAD, &mut attr) }.map(owned)
}

/// Runs a program on `data`, `repeat` times. Returns its last result and the mean duration of a run in nanoseconds.
///
/// `output` receives the packet as the program left it; its length is returned too and may exceed the buffer.
pub(crate) fn test_run(
    program: BorrowedFd<'_>,
    data: &[u8],
    output: &mut [u8],
    repeat: u32,
) -> Result<(u32, u32, u32), i32> {
    let mut attr = TestRun {
        prog_fd: raw(program),
        data_size_in: u32::try_from(data.len()).map_err(|_| libc::E2BIG)?,
        data_size_out: u32::try_from(output.len()).map_err(|_| libc::E2BIG)?,
        data_in: address(data.as_ptr()),
        data_out: if output.is_empty() { 0 } else { address(output.as_mut_ptr().cast_const()) },
        repeat,
        ..TestRun::default()
    };
    // SAFETY: the kernel reads `data_size_in` bytes and writes at most `data_size_out`, nothing at address 0; the
    // buffers are as long.
    unsafe { bpf(cmd::PROG_TEST_RUN, &mut attr) }?;
    Ok((attr.retval, attr.duration, attr.data_size_out))
}

/// Facts about a program or a map.
fn info<T: Plain>(fd: BorrowedFd<'_>) -> Result<T, i32> {
    let mut info = T::default();
    let mut attr = ObjInfo {
        bpf_fd: raw(fd),
        info_len: u32::try_from(size_of::<T>()).map_err(|_| libc::E2BIG)?,
        info: address((&raw mut info).cast_const()),
    };
    // SAFETY: the kernel reads and writes at most `info_len` bytes of `info`, for which every bit pattern is a value.
    // The addresses inside are 0 with lengths of 0, so it follows none of them.
    unsafe { bpf(cmd::OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(info)
}

pub(crate) fn prog_info(fd: BorrowedFd<'_>) -> Result<ProgInfo, i32> {
    info(fd)
}

pub(crate) fn map_info(fd: BorrowedFd<'_>) -> Result<MapInfo, i32> {
    info(fd)
}
