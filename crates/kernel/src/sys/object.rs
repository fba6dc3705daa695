//! Commands of `bpf(2)` beside maps and programs: BTF, pinning, tokens, statistics, questions about descriptors.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::attr::{BtfLoad, EnableStats, Path, TaskFdQuery, TokenCreate, cmd};
use super::bpf::{address, bpf, owned, raw};

/// Loads BTF. `log` receives the kernel's reason unless it is empty.
pub(crate) fn btf_load(btf: &[u8], token: Option<BorrowedFd<'_>>, log: &mut [u8]) -> Result<OwnedFd, i32> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| libc::E2BIG);
    let mut attr = BtfLoad { btf: address(btf.as_ptr()), btf_size: length(btf)?, ..BtfLoad::default() };
    if let Some(token) = token {
        attr.btf_token_fd = raw(token).cast_signed();
        attr.btf_flags = super::attr::flag::F_TOKEN_FD as u32;
    }
    if !log.is_empty() {
        attr.btf_log_level = 1;
        attr.btf_log_size = length(log)?;
        attr.btf_log_buf = address(log.as_mut_ptr().cast_const());
    }
    // SAFETY: the kernel reads `btf_size` bytes and writes at most `btf_log_size`; the buffers are as long.
    unsafe { bpf(cmd::BTF_LOAD, &mut attr) }.map(owned)
}

/// Gives an object a name in a BPF file system.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &CStr) -> Result<(), i32> {
    let mut attr = Path { pathname: address(path.as_ptr()), bpf_fd: raw(object), ..Path::default() };
    // SAFETY: the kernel reads a C string, which lives through the call.
    unsafe { bpf(cmd::OBJ_PIN, &mut attr) }.map(drop)
}

/// Opens a pinned object of any kind.
pub(crate) fn get(path: &CStr, flags: u32) -> Result<OwnedFd, i32> {
    let mut attr = Path { pathname: address(path.as_ptr()), file_flags: flags, ..Path::default() };
    // SAFETY: the kernel reads a C string, which lives through the call.
    unsafe { bpf(cmd::OBJ_GET, &mut attr) }.map(owned)
}

/// A token with the rights that a BPF file system delegates.
pub(crate) fn token_create(bpffs: BorrowedFd<'_>) -> Result<OwnedFd, i32> {
    let mut attr = TokenCreate { bpffs_fd: raw(bpffs), flags: 0 };
    // SAFETY: the structure holds no addresses.
    unsafe { bpf(cmd::TOKEN_CREATE, &mut attr) }.map(owned)
}

/// Statistics of type `kind` are kept while the result is open.
pub(crate) fn enable_stats(kind: u32) -> Result<OwnedFd, i32> {
    let mut attr = EnableStats { r#type: kind };
    // SAFETY: the structure holds no addresses.
    unsafe { bpf(cmd::ENABLE_STATS, &mut attr) }.map(owned)
}

/// What a descriptor of a process has to do with programs; the name goes to `name` with a NUL at its end.
pub(crate) fn task_fd_query(pid: u32, fd: u32, name: &mut [u8]) -> Result<TaskFdQuery, i32> {
    let mut attr = TaskFdQuery {
        pid,
        fd,
        buf_len: u32::try_from(name.len()).map_err(|_| libc::E2BIG)?,
        buf: address(name.as_mut_ptr().cast_const()),
        ..TaskFdQuery::default()
    };
    // SAFETY: the kernel writes at most `buf_len` bytes to the buffer, which is as long.
    match unsafe { bpf(cmd::TASK_FD_QUERY, &mut attr) } {
        // A name that does not fit arrives cut, with everything else in place.
        Ok(_) | Err(libc::ENOSPC) => Ok(attr),
        Err(errno) => Err(errno),
    }
}
