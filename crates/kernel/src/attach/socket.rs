//! Filters on sockets: attach, replace, remove, lock.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use skep_isa::classic::{self, Insn};

use super::words::{NETWORK, keep, slot};
use crate::errors::KernelError;
use crate::features::{running_release, sysctl};
use crate::prog::LoadedProgram;
use crate::sys::socket;

/// Attaches a classic program to a socket, replacing the filter it has (`SO_ATTACH_FILTER`).
///
/// No capability is needed. Packets that are already queued stay queued.
///
/// # Errors
/// [`KernelError::Program`] names the instruction that breaks a rule (1 to 4,096 instructions and those of
/// [`classic::check`]); [`KernelError::SocketMemory`] if `net.core.optmem_max` is too small for the translated
/// program; [`KernelError::FilterLocked`].
pub fn attach_classic(socket: impl AsFd, insns: &[Insn]) -> Result<(), KernelError> {
    socket::attach_filter(socket.as_fd(), insns).map_err(|errno| match errno {
        libc::EINVAL => match classic::check(insns) {
            Err(error) => KernelError::Program(error),
            Ok(()) => KernelError::ProgramRefused { running: running_release() },
        },
        errno => attach_error(errno, insns.len()),
    })
}

/// Attaches a loaded socket filter to a socket, replacing the filter it has (`SO_ATTACH_BPF`, Linux 3.19).
///
/// The socket keeps the program alive; `program` may be dropped.
///
/// # Errors
/// [`KernelError::Invalid`] if it is not a socket filter; [`KernelError::SocketMemory`] if `net.core.optmem_max` is
/// too small (128 KiB hold about 16,300 instructions); [`KernelError::FilterLocked`].
pub fn attach_program(socket: impl AsFd, program: &LoadedProgram) -> Result<(), KernelError> {
    let fd = program.as_fd().as_raw_fd();
    socket::set_int(socket.as_fd(), libc::SO_ATTACH_BPF, fd).map_err(|errno| match errno {
        libc::EINVAL => KernelError::Invalid {
            action: "attach a program to a socket",
            problem: format!("`{}` is not a socket filter; load it with that program type", program.name()),
        },
        errno => attach_error(errno, program.insn_count()),
    })
}

/// Removes the filter of a socket.
///
/// # Errors
/// [`KernelError::NoFilter`] if there is none, [`KernelError::FilterLocked`].
pub fn detach(socket: impl AsFd) -> Result<(), KernelError> {
    socket::set_int(socket.as_fd(), libc::SO_DETACH_FILTER, 0).map_err(|errno| match errno {
        libc::ENOENT => KernelError::NoFilter,
        errno => attach_error(errno, 0),
    })
}

/// Forbids for ever to change or remove the filter of a socket (`SO_LOCK_FILTER`, Linux 3.9).
///
/// # Errors
/// [`KernelError::System`] if `socket` is not a socket.
pub fn lock_filter(socket: impl AsFd) -> Result<(), KernelError> {
    socket::set_int(socket.as_fd(), libc::SO_LOCK_FILTER, 1)
        .map_err(|errno| KernelError::system("lock the filter of a socket", errno))
}

/// End of the ancillary area that the kernel knows, as an offset from `SKF_AD_OFF` (`SO_BPF_EXTENSIONS`, Linux 3.14).
///
/// 64 since Linux 4.1: the words 0 to 60. The socket's family does not matter.
///
/// # Errors
/// [`KernelError::System`] if the kernel is older or `socket` is not a socket.
pub fn bpf_extensions(socket: impl AsFd) -> Result<u32, KernelError> {
    const ACTION: &str = "ask for the extensions of socket filters";
    let end =
        socket::get_int(socket.as_fd(), libc::SO_BPF_EXTENSIONS).map_err(|errno| KernelError::system(ACTION, errno))?;
    u32::try_from(end).map_err(|_| KernelError::system(ACTION, libc::EPROTO))
}

fn attach_error(errno: i32, insns: usize) -> KernelError {
    match errno {
        libc::ENOMEM => KernelError::SocketMemory {
            insns,
            limit: sysctl("net.core.optmem_max").and_then(|value| u64::try_from(value).ok()),
        },
        libc::EPERM => KernelError::FilterLocked,
        errno => KernelError::system("change the filter of a socket", errno),
    }
}

/// The program that chooses among the sockets of a reuseport group. Dropping it removes the program (Linux 5.3; older
/// kernels keep it until the sockets are closed).
#[derive(Debug)]
pub struct ReuseportSlot {
    socket: OwnedFd,
    armed: bool,
}

slot!(ReuseportSlot);

/// `SO_DETACH_REUSEPORT_BPF`
const SO_DETACH_REUSEPORT_BPF: libc::c_int = 68;

impl ReuseportSlot {
    fn undo(&mut self) -> Result<(), KernelError> {
        socket::set_int(self.socket.as_fd(), SO_DETACH_REUSEPORT_BPF, 0).map_err(|errno| match errno {
            libc::ENOENT => KernelError::NoFilter,
            errno => KernelError::system("remove the program of a reuseport group", errno),
        })
    }
}

/// Lets a program (type sk_reuseport, Linux 4.19, or a socket filter that returns the position of the socket) choose the
/// socket of a group that was bound with `SO_REUSEPORT`; it holds for all sockets of the group.
///
/// # Errors
/// [`KernelError::Invalid`] if the socket is not in a group or the program is of another type;
/// [`KernelError::SocketMemory`].
pub fn attach_reuseport(socket: impl AsFd, program: impl AsFd) -> Result<ReuseportSlot, KernelError> {
    const ACTION: &str = "attach a program to a reuseport group";
    let fd = program.as_fd().as_raw_fd();
    let kept = keep(ACTION, socket.as_fd())?;
    socket::set_int(kept.as_fd(), libc::SO_ATTACH_REUSEPORT_EBPF, fd).map_err(|errno| match errno {
        libc::EINVAL => KernelError::Invalid {
            action: ACTION,
            problem: "the program is not of type sk_reuseport or socket_filter, or the socket was bound without \
                      SO_REUSEPORT"
                .to_owned(),
        },
        libc::ENOTSOCK => KernelError::Invalid { action: ACTION, problem: "the descriptor is not a socket".to_owned() },
        libc::EPERM => KernelError::not_permitted(ACTION, NETWORK),
        errno => attach_error(errno, 0),
    })?;
    Ok(ReuseportSlot { socket: kept, armed: true })
}
