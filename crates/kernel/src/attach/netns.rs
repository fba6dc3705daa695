//! Programs of a network namespace: choosing the socket for a packet, dissecting flows.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use skep_isa::{AttachType, Release};

use super::link::Link;
use super::many::Attachment;
use super::words::{NETWORK, Way, keep, slot, unknown};
use crate::errors::KernelError;
use crate::sys::link::{Extra, Target, link_create, prog_attach, prog_detach};

const LOOKUP: Way = Way {
    action: "attach a program that chooses sockets",
    what: "socket lookup programs",
    since: Release::new(5, 9),
    needs: NETWORK,
};
const DISSECTOR: Way = Way {
    action: "attach a flow dissector",
    what: "flow dissector programs",
    since: Release::new(4, 20),
    needs: NETWORK,
};

fn refused(way: &Way, errno: i32) -> KernelError {
    match errno {
        libc::EEXIST => way.invalid(
            "the network namespace, or the initial one, has such a program already; update its link or detach it \
             (`bpftool link show`)",
        ),
        libc::E2BIG => way.invalid("the network namespace has as many programs of this kind as it can have (64)"),
        errno => way.error(errno, || {
            "the descriptor is not a network namespace (open /proc/self/ns/net), or the program is of another type"
                .to_owned()
        }),
    }
}

/// Attaches a socket lookup program (`sk_lookup`, Linux 5.9) to a network namespace, given by a descriptor of its file:
/// `/proc/self/ns/net` or `/run/netns/NAME`. Several programs run in the order in which they were attached.
///
/// # Errors
/// [`KernelError::Unsupported`], [`KernelError::Invalid`] if the descriptor is no network namespace or it has 64
/// programs, [`KernelError::NotPermitted`] without CAP_NET_ADMIN in that namespace.
pub fn attach_sk_lookup(program: impl AsFd, namespace: impl AsFd) -> Result<Link, KernelError> {
    let target = Target::Fd(namespace.as_fd());
    link_create(program.as_fd(), target, AttachType::SkLookup.number(), 0, &Extra::None)
        .map(Link::new)
        .map_err(|errno| refused(&LOOKUP, errno))
}

/// A flow dissector that was attached without a link. Dropping it in a thread of the same network namespace detaches.
#[derive(Debug)]
pub struct FlowDissectorSlot {
    program: OwnedFd,
    armed: bool,
}

slot!(FlowDissectorSlot);

impl FlowDissectorSlot {
    fn undo(&mut self) -> Result<(), KernelError> {
        let way = Way { action: "detach a flow dissector", ..DISSECTOR };
        prog_detach(None, self.program.as_fd(), AttachType::FlowDissector.number()).map_err(|errno| match errno {
            libc::ENOENT => way.invalid("the network namespace of this thread has no flow dissector"),
            errno => refused(&way, errno),
        })
    }
}

/// Attaches a flow dissector to the network namespace of the calling thread: as a link, or without one before
/// Linux 5.8. A namespace has one; while the initial namespace has one, no other can.
///
/// # Errors
/// [`KernelError::Invalid`] if there is one already, [`KernelError::Unsupported`], [`KernelError::NotPermitted`].
pub fn attach_flow_dissector(program: impl AsFd) -> Result<Attachment, KernelError> {
    let own = std::fs::File::open("/proc/thread-self/ns/net")
        .map_err(|error| KernelError::system(DISSECTOR.action, error.raw_os_error().unwrap_or(libc::EIO)))?;
    let attach_type = AttachType::FlowDissector.number();
    match link_create(program.as_fd(), Target::Fd(own.as_fd()), attach_type, 0, &Extra::None) {
        Ok(fd) => Ok(Link::new(fd).into()),
        Err(errno) if unknown(errno) => without_link(program.as_fd()).map(Attachment::FlowDissector),
        Err(errno) => Err(refused(&DISSECTOR, errno)),
    }
}

fn without_link(program: BorrowedFd<'_>) -> Result<FlowDissectorSlot, KernelError> {
    let kept = keep(DISSECTOR.action, program)?;
    prog_attach(None, program, AttachType::FlowDissector.number(), 0, None)
        .map_err(|errno| refused(&DISSECTOR, errno))?;
    Ok(FlowDissectorSlot { program: kept, armed: true })
}
