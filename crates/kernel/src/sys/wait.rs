//! Waiting for many descriptors with epoll(7).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::errors::last_errno;

/// Most events that one call returns.
const EVENTS: usize = 64;

/// A set of descriptors to wait for, each with a number of the caller's.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
}

impl Epoll {
    /// An empty set.
    pub(crate) fn new() -> Result<Self, i32> {
        // SAFETY: no pointers are involved.
        match unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) } {
            // SAFETY: the call succeeded, so the descriptor is open and belongs to nobody else.
            fd @ 0.. => Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } }),
            _ => Err(last_errno()),
        }
    }

    /// Waits also for this descriptor, which must stay open as long as the set.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, number: u64) -> Result<(), i32> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: number };
        // SAFETY: the kernel reads the event, which lives through the call.
        let result =
            unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event) };
        if result == 0 { Ok(()) } else { Err(last_errno()) }
    }

    /// Waits until a descriptor is readable, at most `timeout` (rounded up to milliseconds; `None` for ever). Hands the
    /// numbers of those that are to `ready`. A signal ends the wait early.
    pub(crate) fn wait(&self, timeout: Option<Duration>, mut ready: impl FnMut(u64)) -> Result<(), i32> {
        let millis = |timeout: Duration| i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
        let timeout = timeout.map_or(-1, millis);
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // SAFETY: the kernel writes at most `EVENTS` events to the array, which lives through the call.
        let count = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, timeout) };
        let Ok(count) = usize::try_from(count) else {
            return match last_errno() {
                libc::EINTR => Ok(()),
                errno => Err(errno),
            };
        };
        for event in &events[..count] {
            ready(event.u64);
        }
        Ok(())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
