//! Tracepoints with the record of their event (type tracepoint).

use std::os::fd::AsFd;

use skep_isa::Release;

use super::many::Attachment;
use super::perf::{not_permitted, single};
use super::tracefs::Tracefs;
use super::words::{TRACING, Way};
use crate::errors::KernelError;
use crate::sys::perf::{self, PerfAttr, kind};

const WAY: Way = Way {
    action: "attach a program to a tracepoint",
    what: "programs at tracepoints (CONFIG_BPF_EVENTS)",
    since: Release::new(4, 7),
    needs: TRACING,
};

/// Attaches a program (type tracepoint) to `category:name`, for example `syscalls:sys_enter_openat`. It runs on all
/// processors. `cookie` is what `bpf_get_attach_cookie` returns (Linux 5.15; 0 on older kernels).
///
/// # Errors
/// [`KernelError::Invalid`] if the tracing file system is not mounted, there is no such tracepoint (with similar names),
/// or the program reads more of the record than there is; [`KernelError::NotPermitted`] without CAP_PERFMON.
pub fn attach_tracepoint(
    program: impl AsFd,
    category: &str,
    name: &str,
    cookie: u64,
) -> Result<Attachment, KernelError> {
    let id = Tracefs::find()?.event_id(category, name)?;
    single(&WAY, open_event(&WAY, id, -1)?, program.as_fd(), cookie)
}

/// Opens the event with this number for a process, or for all (-1).
pub(super) fn open_event(way: &Way, id: u64, pid: i32) -> Result<std::os::fd::OwnedFd, KernelError> {
    let attr = PerfAttr { r#type: kind::TRACEPOINT, config: id, sample_period: 1, ..PerfAttr::default() };
    // An event of all processes belongs to some processor; the program runs on all of them in spite of that.
    let cpu = if pid < 0 { 0 } else { -1 };
    perf::open(attr, None, pid, cpu).map_err(|errno| match errno {
        libc::EPERM | libc::EACCES => not_permitted(way.action),
        libc::ESRCH => way.invalid(format!("there is no process {pid}")),
        libc::ENOENT | libc::ENODEV => way.unsupported(),
        errno => KernelError::system(way.action, errno),
    })
}
