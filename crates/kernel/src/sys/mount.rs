//! File systems that are mounted nowhere (fsopen(2), fsmount(2), Linux 5.2): a descriptor is their root.

use std::ffi::{CStr, c_long};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::errors::last_errno;

/// `FSOPEN_CLOEXEC`, `FSMOUNT_CLOEXEC`
const CLOEXEC: c_long = 1;
/// `FSCONFIG_CMD_CREATE`
const CREATE: c_long = 6;

/// The root of a file system of a type. It ends with the descriptor, and no other process sees it.
pub(crate) fn detached(kind: &CStr) -> Result<OwnedFd, i32> {
    // SAFETY: the kernel reads the name, which lives through the call.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), CLOEXEC) })?;
    let (no_text, no_value) = (ptr::null::<u8>(), ptr::null::<u8>());
    // SAFETY: this command takes neither key nor value.
    let made = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), CREATE, no_text, no_value, 0) };
    if made != 0 {
        return Err(last_errno());
    }
    // SAFETY: no pointers are involved.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOEXEC, 0 as c_long) })
}

fn owned(result: c_long) -> Result<OwnedFd, i32> {
    match i32::try_from(result) {
        // SAFETY: the call succeeded, so the descriptor is open and belongs to nobody else.
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(last_errno()),
    }
}
