//! Programs of socket maps: verdicts on messages and streams.

use std::os::fd::{AsFd, OwnedFd};

use skep_isa::{AttachType, Release};

use super::link::Link;
use super::many::Attachment;
use super::words::{NETWORK, Way, keep, slot, unknown};
use crate::errors::KernelError;
use crate::sys::link::{Extra, Target, link_create, prog_attach, prog_detach};

const WAY: Way = Way {
    action: "attach a program to a socket map",
    what: "programs on socket maps",
    since: Release::new(4, 14),
    needs: NETWORK,
};

/// A program of a socket map that was attached without a link. Dropping it detaches.
#[derive(Debug)]
pub struct SockmapSlot {
    program: OwnedFd,
    map: OwnedFd,
    attach_type: AttachType,
    armed: bool,
}

slot!(SockmapSlot);

impl SockmapSlot {
    fn undo(&mut self) -> Result<(), KernelError> {
        let way = Way { action: "detach a program from a socket map", ..WAY };
        prog_detach(Some(self.map.as_fd()), self.program.as_fd(), self.attach_type.number()).map_err(
            |errno| match errno {
                libc::ENOENT => way.invalid("the map has another program or none"),
                errno => refused(&way, errno, self.attach_type),
            },
        )
    }
}

/// Attaches a program to a socket map or hash: as a link (Linux 6.10), or without one on older kernels.
///
/// `attach_type` is one of `SkMsgVerdict` (type sk_msg), `SkSkbStreamParser`, `SkSkbStreamVerdict` and `SkSkbVerdict`
/// (type sk_skb). A parser without a verdict does nothing, and attach both before sockets enter the map.
///
/// # Errors
/// [`KernelError::Invalid`] if the map is no map of sockets, the program does not fit the attach type, or a stream
/// verdict and a plain one would meet; [`KernelError::NotPermitted`].
pub fn attach_sockmap(program: impl AsFd, map: impl AsFd, attach_type: AttachType) -> Result<Attachment, KernelError> {
    match link_create(program.as_fd(), Target::Fd(map.as_fd()), attach_type.number(), 0, &Extra::None) {
        Ok(fd) => Ok(Link::new(fd).into()),
        Err(errno) if unknown(errno) => attach_sockmap_slot(program, map, attach_type).map(Attachment::Sockmap),
        Err(errno) => Err(refused(&WAY, errno, attach_type)),
    }
}

/// Attaches a program to a socket map without a link (`BPF_PROG_ATTACH`, Linux 4.14); it replaces one that was attached
/// in the same way.
///
/// # Errors
/// As for [`attach_sockmap`].
pub fn attach_sockmap_slot(
    program: impl AsFd,
    map: impl AsFd,
    attach_type: AttachType,
) -> Result<SockmapSlot, KernelError> {
    let (kept, map) = (keep(WAY.action, program.as_fd())?, keep(WAY.action, map.as_fd())?);
    prog_attach(Some(map.as_fd()), kept.as_fd(), attach_type.number(), 0, None)
        .map_err(|errno| refused(&WAY, errno, attach_type))?;
    Ok(SockmapSlot { program: kept, map, attach_type, armed: true })
}

fn refused(way: &Way, errno: i32, attach_type: AttachType) -> KernelError {
    match errno {
        libc::EBUSY | libc::EEXIST => way.invalid(
            "the map has a link for this place, or a stream verdict would meet a plain one; detach the other first",
        ),
        libc::EOPNOTSUPP => way.invalid("the map is not a map of sockets (sockmap or sockhash)"),
        errno => way.error(errno, || {
            format!("the program cannot be attached as {attach_type}, or the map is not a map of sockets")
        }),
    }
}
