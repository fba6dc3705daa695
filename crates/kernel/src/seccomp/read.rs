//! The filters of a process out of the kernel: `PTRACE_SECCOMP_GET_FILTER` of `ptrace(2)`.

use std::fs;
use std::time::{Duration, Instant};

use skep_isa::classic::Insn;

use crate::errors::KernelError;
use crate::features::{Capability, status_field};
use crate::sys::ptrace::{self, Tracee};

/// How a process is confined (`Seccomp:` in `/proc/PID/status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Not at all.
    Disabled,
    /// To `read`, `write`, `exit` and `sigreturn`.
    Strict,
    /// By filters; their number, if the kernel tells (since Linux 5.9).
    Filters(Option<u32>),
}

/// How long a process may take to stop. One that sleeps uninterruptibly does not.
const PATIENCE: Duration = Duration::from_secs(2);

const ACTION: &str = "read the seccomp filters of a process";

/// How a process is confined.
///
/// # Errors
/// [`KernelError::Invalid`] if there is no such process, or `/proc` is not mounted.
pub fn mode_of(pid: i32) -> Result<Mode, KernelError> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|_| no_such_process(pid))?;
    Ok(match status_field(&status, "Seccomp:") {
        Some("1") => Mode::Strict,
        Some("2") => Mode::Filters(status_field(&status, "Seccomp_filters:").and_then(|count| count.parse().ok())),
        _ => Mode::Disabled,
    })
}

fn no_such_process(pid: i32) -> KernelError {
    KernelError::Invalid {
        action: ACTION,
        problem: format!("there is no process {pid}; `ps -e` lists the processes, and /proc must be mounted"),
    }
}

/// The filters of a thread, the newest first, as they were installed.
///
/// The thread is stopped for some microseconds. Nothing else about it changes.
///
/// # Errors
/// [`KernelError::NotPermitted`] without `CAP_SYS_PTRACE` (for processes of others) and `CAP_SYS_ADMIN`, for processes
/// that are traced already, and for a caller that is under a filter itself; [`KernelError::Invalid`] if there is no such
/// process; [`KernelError::Unsupported`] if the kernel does not keep filters in a readable form.
pub fn filters_of(pid: i32) -> Result<Vec<Vec<Insn>>, KernelError> {
    mode_of(pid)?;
    if u32::try_from(pid).is_ok_and(|pid| pid == std::process::id()) {
        return Err(KernelError::Invalid {
            action: ACTION,
            problem: "a process cannot look at itself; name another one".to_owned(),
        });
    }
    let tracee = Tracee::seize(pid).map_err(|errno| seize_error(pid, errno))?;
    let deadline = Instant::now() + PATIENCE;
    while !tracee.is_stopped().map_err(|errno| seize_error(pid, errno))? {
        if Instant::now() > deadline {
            return Err(KernelError::Invalid {
                action: ACTION,
                problem: format!(
                    "process {pid} does not stop within {} s; it may wait for a device (state D in `ps`)",
                    PATIENCE.as_secs()
                ),
            });
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    let mut filters = Vec::new();
    loop {
        match tracee.seccomp_filter(filters.len()) {
            Ok(insns) => filters.push(insns),
            // No more. The kernel counts them from the oldest on (`get_nth_filter` in `kernel/seccomp.c`).
            Err(libc::ENOENT) => {
                filters.reverse();
                return Ok(filters);
            }
            Err(errno) => return Err(read_error(errno)),
        }
    }
}

fn seize_error(pid: i32, errno: i32) -> KernelError {
    match errno {
        libc::ESRCH => no_such_process(pid),
        libc::EPERM => {
            let mut error = KernelError::not_permitted(ACTION, &[Capability::SysPtrace]);
            if let (KernelError::NotPermitted { remarks, .. }, Some(tracer)) = (&mut error, ptrace::tracer_of(pid)) {
                remarks.push(format!("process {tracer} traces it already; end that (a debugger, strace?)"));
            }
            error
        }
        errno => KernelError::system(ACTION, errno),
    }
}

fn read_error(errno: i32) -> KernelError {
    let unsupported = |what: &str| KernelError::Unsupported { what: what.to_owned(), since: None, running: None };
    match errno {
        libc::EACCES | libc::EPERM => KernelError::not_permitted(ACTION, &[Capability::SysAdmin]),
        libc::EINVAL | libc::EIO => {
            unsupported("reading filters back; it needs CONFIG_SECCOMP_FILTER and CONFIG_CHECKPOINT_RESTORE")
        }
        libc::EMEDIUMTYPE => unsupported("reading filters that were not installed as classic programs"),
        errno => KernelError::system(ACTION, errno),
    }
}
