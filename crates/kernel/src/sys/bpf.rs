//! The `bpf(2)` system call itself. The modules next to this one have one safe function a command.
//!
//! Lengths are checked there: a buffer that the kernel reads or writes through one of these functions is at least as
//! long as the kernel takes it to be.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::attr::cmd;
use super::layout::Plain;
use crate::errors::last_errno;

/// Issues a command.
///
/// # Safety
/// Every address in `attr` must point to memory that is valid for what the command does with it.
pub(crate) unsafe fn bpf<T: Plain>(command: c_int, attr: &mut T) -> Result<c_int, i32> {
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
pub(crate) fn owned(fd: c_int) -> OwnedFd {
    // SAFETY: only called with the result of a successful command that returns a new descriptor.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The number of a descriptor.
pub(crate) fn raw(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd().cast_unsigned()
}

/// The address of what the kernel is to read or write.
pub(crate) fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}
