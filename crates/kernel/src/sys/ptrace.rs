//! `ptrace(2)`, as far as it takes to look at the seccomp filters of a thread.

use std::ptr;

use skep_isa::classic::Insn;

use crate::errors::last_errno;
use crate::features::status_field;

/// `PTRACE_SECCOMP_GET_FILTER` of `linux/ptrace.h`.
const SECCOMP_GET_FILTER: libc::c_uint = 0x420c;

/// The process that traces another one.
pub(crate) fn tracer_of(pid: i32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status_field(&status, "TracerPid:")?.parse().ok().filter(|&tracer| tracer != 0)
}

/// A thread that we trace. Dropping it lets it go.
#[derive(Debug)]
pub(crate) struct Tracee {
    pid: i32,
    /// A signal that arrived while it was stopped, which it gets when it goes on.
    signal: std::cell::Cell<i32>,
}

fn request(request: libc::c_uint, pid: i32, address: usize, data: *mut libc::c_void) -> Result<libc::c_long, i32> {
    // SAFETY: the callers pass requests that write nothing, or `data` with room for what is written.
    let result = unsafe { libc::ptrace(request, pid, address, data) };
    if result < 0 { Err(last_errno()) } else { Ok(result) }
}

impl Tracee {
    /// Begins to trace a thread, and asks it to stop.
    pub(crate) fn seize(pid: i32) -> Result<Self, i32> {
        request(libc::PTRACE_SEIZE, pid, 0, ptr::null_mut())?;
        let tracee = Self { pid, signal: std::cell::Cell::new(0) };
        request(libc::PTRACE_INTERRUPT, pid, 0, ptr::null_mut())?;
        Ok(tracee)
    }

    /// Whether it has stopped.
    pub(crate) fn is_stopped(&self) -> Result<bool, i32> {
        let mut status = 0;
        // SAFETY: the kernel writes one integer.
        let found = unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG | libc::__WALL) };
        if found < 0 {
            return Err(last_errno());
        }
        if found == 0 || !libc::WIFSTOPPED(status) {
            return if found != 0 { Err(libc::ESRCH) } else { Ok(false) };
        }
        // A stop without an event number belongs to a signal, which must not get lost.
        if status >> 16 == 0 {
            self.signal.set(libc::WSTOPSIG(status));
        }
        Ok(true)
    }

    /// A filter of the stopped thread by its number, 0 for the oldest. `ENOENT` behind the last one.
    pub(crate) fn seccomp_filter(&self, index: usize) -> Result<Vec<Insn>, i32> {
        let length = request(SECCOMP_GET_FILTER, self.pid, index, ptr::null_mut())?;
        let mut insns = vec![Insn { code: 0, jt: 0, jf: 0, k: 0 }; usize::try_from(length).unwrap_or(0)];
        // The thread is stopped, so the filter and its length are the same as a moment ago; `Insn` is `repr(C)` with the
        // fields of `struct sock_filter`.
        request(SECCOMP_GET_FILTER, self.pid, index, insns.as_mut_ptr().cast())?;
        Ok(insns)
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        let signal = self.signal.get() as usize as *mut libc::c_void;
        if request(libc::PTRACE_DETACH, self.pid, 0, signal) == Err(libc::ESRCH) {
            // It has not stopped yet. Detaching needs that; when this process ends, the kernel does it.
            let mut status = 0;
            // SAFETY: the kernel writes one integer.
            let _ = unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG | libc::__WALL) };
            let _ = request(libc::PTRACE_DETACH, self.pid, 0, ptr::null_mut());
        }
    }
}
