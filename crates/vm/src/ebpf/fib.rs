//! A routing table for `bpf_fib_lookup`: routes by longest prefix, devices and neighbours, all given by the host.

use std::net::IpAddr;

/// What happens to packets that take a route (`RTN_*` of `linux/rtnetlink.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RouteKind {
    /// They are forwarded.
    #[default]
    Unicast,
    /// They are for this host and are not forwarded.
    Local,
    /// They are dropped silently.
    Blackhole,
    /// They are refused: the destination cannot be reached.
    Unreachable,
    /// They are refused: the destination is forbidden.
    Prohibit,
}

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Destination; bits behind the prefix do not matter.
    pub destination: IpAddr,
    /// Bits of the prefix, at most 32 or 128.
    pub prefix: u8,
    /// What happens to packets.
    pub kind: RouteKind,
    /// Index of the interface that they leave through.
    pub ifindex: u32,
    /// The router that they go to, `None` if the destination is a neighbour; of the destination's family or IPv6.
    pub gateway: Option<IpAddr>,
    /// Address of this host to send from, for `BPF_FIB_LOOKUP_SRC`.
    pub source: Option<IpAddr>,
    /// The lower one of two routes with the same prefix is taken.
    pub metric: u32,
    /// The routing table (`BPF_FIB_LOOKUP_TBID`); without that flag all tables are searched.
    pub table: u32,
}

/// A network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Its index.
    pub ifindex: u32,
    /// Its link-layer address.
    pub address: [u8; 6],
    /// Bytes of the longest packet without its link header.
    pub mtu: u32,
    /// Whether packets that arrive here are forwarded.
    pub forwarding: bool,
}

/// A host on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the interface.
    pub ifindex: u32,
    /// Its network address.
    pub address: IpAddr,
    /// Its link-layer address.
    pub link_address: [u8; 6],
}

/// Routes, devices and neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FibTable {
    /// Routes in any order.
    pub routes: Vec<Route>,
    /// Interfaces.
    pub devices: Vec<Device>,
    /// Hosts on the links.
    pub neighbours: Vec<Neighbour>,
}

impl Route {
    /// Whether packets to an address may take it.
    fn matches(&self, address: IpAddr) -> bool {
        let (width, destination, address) = match (self.destination, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (32, u32::from(ours).into(), u32::from(theirs).into()),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (128, u128::from(ours), u128::from(theirs)),
            _ => return false,
        };
        // A prefix of no bits shifts everything out.
        let behind = width - u32::from(self.prefix).min(width);
        (destination ^ address).checked_shr(behind).unwrap_or(0) == 0
    }
}

impl FibTable {
    /// The route to an address with the longest prefix and then the lowest metric, of one table or of all.
    pub fn route(&self, address: IpAddr, table: Option<u32>) -> Option<&Route> {
        let routes = self.routes.iter().filter(|route| table.is_none_or(|table| route.table == table));
        let routes = routes.filter(|route| route.matches(address));
        routes.min_by_key(|route| (u8::MAX - route.prefix, route.metric))
    }

    /// The interface with this index.
    pub fn device(&self, ifindex: u32) -> Option<&Device> {
        self.devices.iter().find(|device| device.ifindex == ifindex)
    }

    /// The neighbour with this address on an interface.
    pub fn neighbour(&self, ifindex: u32, address: IpAddr) -> Option<&Neighbour> {
        self.neighbours.iter().find(|neighbour| neighbour.ifindex == ifindex && neighbour.address == address)
    }
}
