//! Statistics of programs, and what a process's descriptors have to do with programs.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use skep_isa::Release;

use crate::errors::KernelError;
use crate::features::Capability;
use crate::sys::layout::constants;
use crate::sys::object;

constants! {
    /// `enum bpf_task_fd_type`
    mod fd_type: u32 = "BPF_FD_TYPE_" {
        RAW_TRACEPOINT = 0,
        TRACEPOINT = 1,
        KPROBE = 2,
        KRETPROBE = 3,
        UPROBE = 4,
        URETPROBE = 5,
    }
}

constants! {
    /// `enum bpf_stats_type`
    mod stats_type: u32 = "BPF_STATS_" {
        RUN_TIME = 0,
    }
}

/// Longest name that is asked for, with its NUL.
const LONGEST_NAME: usize = 4096;

/// The kernel counts runs and their time as long as this value, or another one like it, lives.
#[derive(Debug)]
pub struct Statistics {
    fd: OwnedFd,
}

impl AsFd for Statistics {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Lets the kernel count runs of all programs and their time (`BPF_ENABLE_STATS`, Linux 5.8), which costs some 20 ns a run.
/// [`ProgramInfo`](crate::ProgramInfo) shows them.
///
/// # Errors
/// [`KernelError::NotPermitted`], [`KernelError::Unsupported`]: use `sysctl -w kernel.bpf_stats_enabled=1` then.
pub fn enable_stats() -> Result<Statistics, KernelError> {
    const ACTION: &str = "count the runs of programs";
    object::enable_stats(stats_type::RUN_TIME).map(|fd| Statistics { fd }).map_err(|errno| match errno {
        libc::EPERM => KernelError::not_permitted(ACTION, &[Capability::SysAdmin]),
        libc::EINVAL => KernelError::unsupported("BPF_ENABLE_STATS", Release::new(5, 8)),
        errno => KernelError::system(ACTION, errno),
    })
}

/// Where the program of a performance event or raw tracepoint runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbePlace {
    /// A raw tracepoint.
    RawTracepoint(String),
    /// A tracepoint.
    Tracepoint(String),
    /// A place in the kernel.
    Kernel {
        /// The function; empty if it was given by its address.
        function: String,
        /// Bytes from its start.
        offset: u64,
        /// The address; 0 if it was given by its name, or if the process may not know.
        address: u64,
        /// Whether it runs when the function returns.
        on_return: bool,
    },
    /// A place in a program or library.
    User {
        /// The file.
        file: String,
        /// Bytes from its start.
        offset: u64,
        /// Whether it runs when the function returns.
        on_return: bool,
    },
    /// Something newer than our table, with its number.
    Other(u32),
}

/// What a descriptor of a process has to do with programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescriptorUse {
    /// The number of the program.
    pub program: u32,
    /// Where it runs.
    pub place: ProbePlace,
}

/// Asks which program a performance event or raw tracepoint runs that a process has open (`BPF_TASK_FD_QUERY`,
/// Linux 4.18). `None` if this descriptor is something else, runs no program, or does not exist.
///
/// # Errors
/// [`KernelError::NotPermitted`], [`KernelError::System`].
pub fn descriptor_use(pid: u32, fd: u32) -> Result<Option<DescriptorUse>, KernelError> {
    const ACTION: &str = "ask which program a descriptor runs";
    let mut name = vec![0u8; LONGEST_NAME];
    let found = match object::task_fd_query(pid, fd, &mut name) {
        Ok(found) => found,
        Err(libc::EPERM) => return Err(KernelError::not_permitted(ACTION, &[Capability::SysAdmin])),
        // Not open, no such process, of another kind, without a program.
        Err(libc::EBADF | libc::ENOENT | libc::ESRCH | libc::EOPNOTSUPP | libc::EINVAL | 524) => return Ok(None),
        Err(errno) => return Err(KernelError::system(ACTION, errno)),
    };
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let name = String::from_utf8_lossy(&name[..end]).into_owned();
    let (offset, address) = (found.probe_offset, found.probe_addr);
    let place = match found.fd_type {
        fd_type::RAW_TRACEPOINT => ProbePlace::RawTracepoint(name),
        fd_type::TRACEPOINT => ProbePlace::Tracepoint(name),
        kind @ (fd_type::KPROBE | fd_type::KRETPROBE) => {
            ProbePlace::Kernel { function: name, offset, address, on_return: kind == fd_type::KRETPROBE }
        }
        kind @ (fd_type::UPROBE | fd_type::URETPROBE) => {
            ProbePlace::User { file: name, offset, on_return: kind == fd_type::URETPROBE }
        }
        other => ProbePlace::Other(other),
    };
    Ok(Some(DescriptorUse { program: found.prog_id, place }))
}
