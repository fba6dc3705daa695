//! Programs at the hooks of netfilter (Linux 6.4).

use std::os::fd::AsFd;
use std::thread;

use skep_isa::{AttachType, Release};

use super::link::Link;
use super::words::{NETWORK, Way};
use crate::errors::KernelError;
use crate::sys::link::{Extra, Target, link_create};
use crate::sys::namespace::enter_network;

const WAY: Way = Way {
    action: "attach a program to netfilter",
    what: "netfilter links (CONFIG_NETFILTER_BPF_LINK)",
    since: Release::new(6, 4),
    needs: NETWORK,
};

/// `BPF_F_NETFILTER_IP_DEFRAG`: the program sees whole datagrams (Linux 6.6).
const DEFRAGMENT: u32 = 1;
/// `NF_IP_PRI_CONNTRACK_DEFRAG`: fragments are put together at this priority.
const DEFRAGMENTS_AT: i32 = -400;

/// The protocol whose packets a netfilter program sees (`NFPROTO_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum NetfilterFamily {
    /// IPv4.
    Ipv4 = 2,
    /// IPv6.
    Ipv6 = 10,
}

/// The hook (`enum nf_inet_hooks`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum NetfilterHook {
    /// All packets that arrive, before routing.
    PreRouting = 0,
    /// Packets for this host.
    LocalIn = 1,
    /// Packets that are forwarded.
    Forward = 2,
    /// Packets of this host.
    LocalOut = 3,
    /// All packets that leave, after routing.
    PostRouting = 4,
}

/// Where a netfilter program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetfilterPlace {
    /// The protocol.
    pub family: NetfilterFamily,
    /// The hook.
    pub hook: NetfilterHook,
    /// Smaller numbers run first; neither the smallest nor the largest number of 32 bits is allowed. Connection
    /// tracking runs at -200, filters of iptables at 0.
    pub priority: i32,
    /// Whether the program wants whole datagrams (Linux 6.6): then its priority must be above -400.
    pub defragment: bool,
}

/// Attaches a program to netfilter in the network namespace of the calling thread. The program returns 1 to accept a
/// packet and 0 to drop it.
///
/// # Errors
/// [`KernelError::Unsupported`] before Linux 6.4 or without CONFIG_NETFILTER_BPF_LINK; [`KernelError::Invalid`] if the
/// priority is not allowed or taken by another program; [`KernelError::NotPermitted`] without CAP_NET_ADMIN.
pub fn attach_netfilter(program: impl AsFd, place: NetfilterPlace) -> Result<Link, KernelError> {
    let NetfilterPlace { family, hook, priority, defragment } = place;
    if priority == i32::MIN || priority == i32::MAX {
        return Err(WAY.invalid(format!("the priority {priority} is reserved; take one between them, for example 0")));
    }
    if defragment && priority <= DEFRAGMENTS_AT {
        return Err(WAY.invalid(format!(
            "with defragmentation the priority must be above {DEFRAGMENTS_AT}, where it takes place; {priority} is not"
        )));
    }
    let flags = if defragment { DEFRAGMENT } else { 0 };
    let extra = Extra::Netfilter { family: family as u32, hook: hook as u32, priority, flags };
    link_create(program.as_fd(), Target::None, AttachType::Netfilter.number(), 0, &extra).map(Link::new).map_err(
        |errno| match errno {
            libc::EBUSY | libc::EEXIST => WAY.invalid(format!(
                "another program has the priority {priority} at this hook; take another one (`bpftool net show`)"
            )),
            libc::EAFNOSUPPORT => WAY.lacks(format!("netfilter for {family:?} in {}", WAY.what)),
            errno => {
                WAY.error(errno, || "the program is not of type netfilter, or the hook is not available".to_owned())
            }
        },
    )
}

/// Attaches a program to netfilter in another network namespace, given by its file (`/proc/PID/ns/net`, `/run/netns/NAME`).
///
/// # Errors
/// As [`attach_netfilter`]; [`KernelError::Invalid`] if the file is no network namespace, or it must not be entered.
pub fn attach_netfilter_in(
    program: impl AsFd,
    place: NetfilterPlace,
    namespace: impl AsFd,
) -> Result<Link, KernelError> {
    let (program, namespace) = (program.as_fd(), namespace.as_fd());
    // Only a thread of its own may change its namespace: there is no way back without privilege.
    let attached = thread::scope(|scope| {
        let attach = || {
            enter_network(namespace).map_err(|errno| {
                WAY.error(errno, || "the file is no network namespace (open /proc/PID/ns/net)".to_owned())
            })?;
            attach_netfilter(program, place)
        };
        scope.spawn(attach).join()
    });
    attached.unwrap_or_else(|_| Err(WAY.invalid("the thread that enters the network namespace ended".to_owned())))
}
