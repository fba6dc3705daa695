//! Links with an order at network interfaces: tcx (Linux 6.6) and netkit (Linux 6.7).

use std::os::fd::{AsFd, BorrowedFd};

use skep_isa::{AttachType, Release};

use super::interface::{missing_index, shown};
use super::link::Link;
use super::words::{NETWORK, Way};
use crate::errors::KernelError;
use crate::sys::link::{Extra, Target, flag, link_create};

pub(super) const TCX: Way =
    Way { action: "attach a program to traffic control", what: "tcx links", since: Release::new(6, 6), needs: NETWORK };
const NETKIT: Way = Way {
    action: "attach a program to a netkit device",
    what: "netkit devices (CONFIG_NETKIT)",
    since: Release::new(6, 7),
    needs: NETWORK,
};

/// The direction of packets as the interface sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Packets that arrive.
    Ingress,
    /// Packets that are sent.
    Egress,
}

/// One side of a pair of netkit devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NetkitSide {
    /// Packets that leave the primary device.
    Primary,
    /// Packets that leave its peer; the program is attached through the primary device too.
    Peer,
}

/// The place of a program among those at the same hook.
#[derive(Debug, Clone, Copy, Default)]
pub enum Order<'a> {
    /// Behind those that are there, as the kernel does by itself.
    #[default]
    Any,
    /// In front of all.
    First,
    /// Behind all.
    Last,
    /// In front of a program.
    BeforeProgram(BorrowedFd<'a>),
    /// Behind a program.
    AfterProgram(BorrowedFd<'a>),
    /// In front of a link.
    BeforeLink(BorrowedFd<'a>),
    /// Behind a link.
    AfterLink(BorrowedFd<'a>),
}

impl Order<'_> {
    /// Flags and arguments of `BPF_LINK_CREATE`.
    pub(super) fn arguments(self) -> (u32, Extra<'static>) {
        use std::os::fd::AsRawFd as _;
        let (flags, relative) = match self {
            Self::Any => (0, None),
            Self::First => (flag::BEFORE, None),
            Self::Last => (flag::AFTER, None),
            Self::BeforeProgram(fd) => (flag::BEFORE, Some(fd)),
            Self::AfterProgram(fd) => (flag::AFTER, Some(fd)),
            Self::BeforeLink(fd) => (flag::BEFORE | flag::LINK, Some(fd)),
            Self::AfterLink(fd) => (flag::AFTER | flag::LINK, Some(fd)),
        };
        let fd_or_id = relative.map_or(0, |fd| fd.as_raw_fd().cast_unsigned());
        (flags, Extra::Relative { fd_or_id, revision: 0 })
    }
}

/// Attaches a classifier (`sched_cls`) to an interface with a tcx link (Linux 6.6), which needs no queueing discipline.
///
/// # Errors
/// [`KernelError::Unsupported`] before Linux 6.6: use [`attach_tc`](super::attach_tc), which then takes the older way.
/// [`KernelError::Invalid`] if there is no such interface, the relative is not attached there, or the program is
/// attached already; [`KernelError::NotPermitted`] without CAP_NET_ADMIN.
pub fn attach_tcx(
    program: impl AsFd,
    interface: u32,
    direction: Direction,
    order: Order<'_>,
) -> Result<Link, KernelError> {
    create_tcx(program.as_fd(), interface, direction, order).map_err(|errno| refused(&TCX, errno, interface))
}

pub(super) fn create_tcx(
    program: BorrowedFd<'_>,
    interface: u32,
    direction: Direction,
    order: Order<'_>,
) -> Result<Link, i32> {
    let attach_type = match direction {
        Direction::Ingress => AttachType::TcxIngress,
        Direction::Egress => AttachType::TcxEgress,
    };
    let (flags, extra) = order.arguments();
    link_create(program, Target::Interface(interface), attach_type.number(), flags, &extra).map(Link::new)
}

/// Attaches a classifier to a netkit device (Linux 6.7). `interface` is the primary device for both sides.
///
/// # Errors
/// [`KernelError::Invalid`] if the interface is not the primary device of a netkit pair; otherwise as for
/// [`attach_tcx`].
pub fn attach_netkit(
    program: impl AsFd,
    interface: u32,
    side: NetkitSide,
    order: Order<'_>,
) -> Result<Link, KernelError> {
    let attach_type = match side {
        NetkitSide::Primary => AttachType::NetkitPrimary,
        NetkitSide::Peer => AttachType::NetkitPeer,
    };
    let (flags, extra) = order.arguments();
    link_create(program.as_fd(), Target::Interface(interface), attach_type.number(), flags, &extra)
        .map(Link::new)
        .map_err(|errno| match errno {
            libc::ENXIO | libc::EACCES => {
                NETKIT.invalid(format!("{} is not the primary device of a netkit pair", shown(interface)))
            }
            errno => refused(&NETKIT, errno, interface),
        })
}

pub(super) fn refused(way: &Way, errno: i32, interface: u32) -> KernelError {
    if matches!(errno, libc::ENODEV | libc::EINVAL)
        && let Some(missing) = missing_index(interface)
    {
        return way.invalid(missing);
    }
    match errno {
        libc::ENOENT => way.invalid("the program or link that gives the place is not attached at this hook"),
        libc::EEXIST => way.invalid(format!("the program is attached to {} already", shown(interface))),
        libc::ERANGE | libc::ENOSPC => way.invalid(format!("{} has as many programs as it can have", shown(interface))),
        libc::ESTALE => way.invalid("the list of programs was changed meanwhile; try again"),
        errno => way.error(errno, || {
            "the program is not a classifier (type sched_cls), or was loaded for another place of attaching".to_owned()
        }),
    }
}
