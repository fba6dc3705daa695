//! Signals as something to wait for, with signalfd(2).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::errors::last_errno;

/// Signals that are blocked in the calling thread and read from a descriptor instead, as long as this value lives.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: OwnedFd,
    before: libc::sigset_t,
}

impl Signals {
    /// Blocks these signals in the calling thread. Threads that it starts later inherit that; others do not.
    pub(crate) fn block(numbers: &[i32]) -> Result<Self, i32> {
        // SAFETY: signal sets are plain memory, for which zero is a value, and the calls initialise and fill them.
        let (mut set, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
        // SAFETY: the sets live through the calls; the numbers are those of signals.
        unsafe {
            libc::sigemptyset(&raw mut set);
            for number in numbers {
                libc::sigaddset(&raw mut set, *number);
            }
            let errno = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before);
            if errno != 0 {
                return Err(errno);
            }
        }
        // SAFETY: the set lives through the call; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            let errno = last_errno();
            restore(&before);
            return Err(errno);
        }
        // SAFETY: the call succeeded, so the descriptor is open and belongs to nobody else.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, before })
    }

    /// The next signal that has come, `None` if there is none.
    pub(crate) fn next(&self) -> Option<i32> {
        // SAFETY: a C structure of integers, for which zero is a value.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the kernel writes at most `size` bytes to the structure, which lives through the call.
        let read = unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut info).cast(), size) };
        (usize::try_from(read) == Ok(size)).then(|| i32::try_from(info.ssi_signo).ok())?
    }
}

/// A descriptor that is readable when a process has ended (Linux 5.3). The caller has not waited for the process yet, so
/// its number is not that of another.
pub(crate) fn process_end(process: u32) -> Result<OwnedFd, i32> {
    let process = i32::try_from(process).map_err(|_| libc::ESRCH)?;
    // SAFETY: the call has no memory arguments.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
    match i32::try_from(fd) {
        // SAFETY: the call succeeded, so the descriptor is open and belongs to nobody else.
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(last_errno()),
    }
}

fn restore(mask: &libc::sigset_t) {
    // SAFETY: the set lives through the call, and the old one is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::from_ref(mask), std::ptr::null_mut()) };
}

impl Drop for Signals {
    fn drop(&mut self) {
        // What has come and nobody has read must not end the process now: somebody has acted on it, or does not care.
        while self.next().is_some() {}
        restore(&self.before);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
