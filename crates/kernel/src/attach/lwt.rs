//! Programs on routes: lightweight tunnels (Linux 4.10), and segment routing, where a program is what happens to packets
//! that reach a segment of this machine (`End.BPF`, Linux 4.18).

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use skep_isa::Release;

use super::interface::missing_index;
use super::words::{NETWORK, Way, slot};
use crate::errors::KernelError;
use crate::sys::netlink::{Message, Refusal, Socket, kind};

const WAY: Way = Way {
    action: "add a route with programs",
    what: "programs on routes (CONFIG_LWTUNNEL_BPF)",
    since: Release::new(4, 10),
    needs: NETWORK,
};

const SEGMENT: Way = Way {
    action: "add a route to a segment with a program",
    what: "programs at segments (CONFIG_IPV6_SEG6_BPF)",
    since: Release::new(4, 18),
    needs: NETWORK,
};

/// Attributes of a route, `linux/rtnetlink.h`.
mod attr {
    pub(super) const DST: u16 = 1;
    pub(super) const OIF: u16 = 4;
    pub(super) const GATEWAY: u16 = 5;
    pub(super) const TABLE: u16 = 15;
    pub(super) const ENCAP_TYPE: u16 = 21;
    pub(super) const ENCAP: u16 = 22;
}
/// `LWTUNNEL_ENCAP_BPF`
const ENCAP_BPF: u16 = 6;
/// `LWTUNNEL_ENCAP_SEG6_LOCAL`
const ENCAP_SEG6_LOCAL: u16 = 7;
/// `SEG6_LOCAL_ACTION`
const SEG6_ACTION: u16 = 1;
/// `SEG6_LOCAL_ACTION_END_BPF`
const END_BPF: u32 = 15;
/// `SEG6_LOCAL_BPF`
const SEG6_BPF: u16 = 8;
/// `SEG6_LOCAL_BPF_PROG`
const SEG6_PROG: u16 = 1;
/// `SEG6_LOCAL_BPF_PROG_NAME`
const SEG6_PROG_NAME: u16 = 2;
/// `LWT_BPF_PROG_FD`
const PROG_FD: u16 = 1;
/// `LWT_BPF_PROG_NAME`
const PROG_NAME: u16 = 2;
/// `LWT_BPF_XMIT_HEADROOM`
const HEADROOM: u16 = 4;
/// `LWT_BPF_MAX_HEADROOM`: most bytes that may be reserved in front of a packet.
const MAX_HEADROOM: u32 = 256;

/// When a program on a route runs (`LWT_BPF_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum LwtHook {
    /// For packets that arrive by the route (type lwt_in).
    In = 1,
    /// For packets that are routed out (type lwt_out).
    Out = 2,
    /// Just before transmission; may change packets (type lwt_xmit).
    Xmit = 3,
}

/// A route that programs run on.
#[derive(Debug, Clone, Copy)]
pub struct LwtRoute<'a> {
    /// The destination; bits behind the prefix must be 0.
    pub destination: IpAddr,
    /// Bits of the destination that count: 0 to 32 for IPv4, to 128 for IPv6.
    pub prefix: u8,
    /// The interface by which packets leave.
    pub interface: u32,
    /// The next router, of the same family; `None`: the destination is a neighbour.
    pub gateway: Option<IpAddr>,
    /// The routing table; 254 is the main one.
    pub table: u32,
    /// The programs, at most one for each hook.
    pub programs: &'a [(LwtHook, BorrowedFd<'a>)],
    /// Bytes that [`LwtHook::Xmit`] may add in front of packets, 0 to 256.
    pub headroom: u32,
}

/// A segment of this machine whose packets a program sees.
#[derive(Debug, Clone, Copy)]
pub struct Seg6Route<'a> {
    /// The segment: packets to it must carry a segment routing header with segments left.
    pub segment: Ipv6Addr,
    /// Bits of the segment that count, 0 to 128; bits behind them must be 0.
    pub prefix: u8,
    /// Any interface but `lo`: the kernel demands one for the route.
    pub interface: u32,
    /// The routing table; 254 is the main one.
    pub table: u32,
    /// The program (type lwt_seg6local).
    pub program: BorrowedFd<'a>,
}

/// A route with programs. Dropping it deletes the route.
#[derive(Debug)]
pub struct RouteSlot {
    route: Vec<(u16, Vec<u8>)>,
    fixed: [u8; 12],
    /// Belongs to the network namespace of the route, wherever this value is dropped.
    socket: Socket,
    armed: bool,
}

slot!(RouteSlot);

impl RouteSlot {
    fn undo(&mut self) -> Result<(), KernelError> {
        let mut message = Message::new(kind::DELROUTE, 0, &self.fixed);
        for (number, value) in &self.route {
            message.attribute(*number, value);
        }
        let way = Way { action: "delete a route with programs", ..WAY };
        self.socket.request(message).map_err(|refusal| match refusal.errno {
            libc::ESRCH => way.invalid("the route is gone already"),
            errno => way.error(errno, || refusal.words()),
        })
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Adds a route on which programs run. It must not exist yet.
///
/// # Errors
/// [`KernelError::Invalid`] if the route exists, the interface does not or is down, or a program does not fit its hook;
/// [`KernelError::Unsupported`] without CONFIG_LWTUNNEL_BPF; [`KernelError::NotPermitted`].
pub fn attach_lwt(route: &LwtRoute<'_>) -> Result<RouteSlot, KernelError> {
    check(route)?;
    add_route(&WAY, Destination::of(route), ENCAP_BPF, |encap| {
        for (hook, program) in route.programs {
            encap.nest(*hook as u16, |entry| {
                entry.attribute(PROG_FD, &program.as_raw_fd().to_ne_bytes()).text(PROG_NAME, "skep");
            });
        }
        if route.headroom > 0 {
            encap.number(HEADROOM, route.headroom);
        }
    })
}

/// Adds a route by which packets to a segment of this machine come to a program: the behaviour `End.BPF` of segment
/// routing. The kernel takes the next segment as the new destination before the program runs. The route must not exist yet.
///
/// # Errors
/// [`KernelError::Invalid`] if the route exists, the interface does not or is down, or the program is of another type;
/// [`KernelError::Unsupported`] without CONFIG_IPV6_SEG6_BPF; [`KernelError::NotPermitted`].
pub fn attach_seg6_local(route: &Seg6Route<'_>) -> Result<RouteSlot, KernelError> {
    let Seg6Route { segment, prefix, interface, table, program } = *route;
    check_prefix(&SEGMENT, segment.into(), prefix)?;
    let destination = Destination { address: segment.into(), prefix, interface, gateway: None, table };
    add_route(&SEGMENT, destination, ENCAP_SEG6_LOCAL, |encap| {
        encap.number(SEG6_ACTION, END_BPF).nest(SEG6_BPF, |bpf| {
            bpf.attribute(SEG6_PROG, &program.as_raw_fd().to_ne_bytes()).text(SEG6_PROG_NAME, "skep");
        });
    })
}

/// A route without its programs.
#[derive(Debug, Clone, Copy)]
struct Destination {
    address: IpAddr,
    prefix: u8,
    interface: u32,
    gateway: Option<IpAddr>,
    table: u32,
}

impl Destination {
    fn of(route: &LwtRoute<'_>) -> Self {
        let LwtRoute { destination: address, prefix, interface, gateway, table, .. } = *route;
        Self { address, prefix, interface, gateway, table }
    }
}

fn add_route(
    way: &Way,
    route: Destination,
    encapsulation: u16,
    fill: impl FnOnce(&mut Message),
) -> Result<RouteSlot, KernelError> {
    let family = if route.address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // struct rtmsg: table 0 refers to the attribute; protocol "static", scope "link" or "universe", type "unicast".
    let scope = if route.gateway.is_none() && route.address.is_ipv4() { libc::RT_SCOPE_LINK } else { 0 };
    let mut fixed = [0; 12];
    fixed[0] = u8::try_from(family).unwrap_or(0);
    fixed[1] = route.prefix;
    fixed[5] = libc::RTPROT_STATIC;
    fixed[6] = scope;
    fixed[7] = libc::RTN_UNICAST;
    let mut attributes =
        vec![(attr::OIF, route.interface.to_ne_bytes().to_vec()), (attr::TABLE, route.table.to_ne_bytes().to_vec())];
    if route.prefix > 0 {
        attributes.push((attr::DST, octets(route.address)));
    }
    attributes.extend(route.gateway.map(|gateway| (attr::GATEWAY, octets(gateway))));
    let mut message = Message::new(kind::NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &fixed);
    for (number, value) in &attributes {
        message.attribute(*number, value);
    }
    message.attribute(attr::ENCAP_TYPE, &encapsulation.to_ne_bytes()).nest(attr::ENCAP, fill);
    let mut socket = Socket::open().map_err(|refusal| KernelError::system(way.action, refusal.errno))?;
    socket.request(message).map_err(|refusal| refused(way, &refusal, route))?;
    Ok(RouteSlot { route: attributes, fixed, socket, armed: true })
}

fn check_prefix(way: &Way, address: IpAddr, prefix: u8) -> Result<(), KernelError> {
    let longest = if address.is_ipv4() { 32 } else { 128 };
    if prefix > longest {
        return Err(way.invalid(format!("a prefix of {prefix} bits is longer than the {longest} of an address")));
    }
    Ok(())
}

fn check(route: &LwtRoute<'_>) -> Result<(), KernelError> {
    check_prefix(&WAY, route.destination, route.prefix)?;
    if route.headroom > MAX_HEADROOM {
        return Err(WAY.invalid(format!("a headroom of {} bytes is more than {MAX_HEADROOM}", route.headroom)));
    }
    if route.programs.is_empty() {
        return Err(WAY.invalid("the route has no program; give at least one"));
    }
    if route.gateway.is_some_and(|gateway| gateway.is_ipv4() != route.destination.is_ipv4()) {
        return Err(WAY.invalid("gateway and destination are of different families"));
    }
    Ok(())
}

fn refused(way: &Way, refusal: &Refusal, route: Destination) -> KernelError {
    if matches!(refusal.errno, libc::ENODEV | libc::EINVAL)
        && let Some(missing) = missing_index(route.interface)
    {
        return way.invalid(missing);
    }
    let shown = format!("{}/{}", route.address, route.prefix);
    match refusal.errno {
        libc::EEXIST => way.invalid(format!("a route to {shown} exists already; delete it first")),
        libc::ENETDOWN => way.invalid("the interface is down: `ip link set dev NAME up`"),
        libc::ENETUNREACH | libc::EHOSTUNREACH => way.invalid(format!("the gateway to {shown} cannot be reached")),
        libc::EOPNOTSUPP => way.unsupported(),
        errno => way.error(errno, || {
            format!(
                "{shown}: {}; the programs must be of the types lwt_in, lwt_out and lwt_xmit, at a segment                  lwt_seg6local, and bits behind the prefix 0",
                refusal.words()
            )
        }),
    }
}
