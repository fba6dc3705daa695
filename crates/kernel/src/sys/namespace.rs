//! Changing the network namespace of a thread (setns(2)).

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::errors::last_errno;

/// Moves the calling thread into a network namespace.
pub(crate) fn enter_network(namespace: BorrowedFd<'_>) -> Result<(), i32> {
    // SAFETY: the call takes a descriptor and a number; it only changes which namespace this thread is in.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}
