//! `bpf_fib_lookup` on the routes that the host gave (`bpf_ipv4_fib_lookup` and its IPv6 sister in `net/core/filter.c`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::errno::{EAFNOSUPPORT, EINVAL, ENODEV};
use crate::ebpf::fault::FaultKind;
use crate::ebpf::fib::{FibTable, Route, RouteKind};
use crate::ebpf::machine::Machine;

/// Bytes of `struct bpf_fib_lookup` in `linux/bpf.h`.
pub(super) const FIB_LOOKUP_BYTES: u32 = 64;

/// Flags (`BPF_FIB_LOOKUP_*`).
mod flag {
    pub(super) const DIRECT: u32 = 1;
    pub(super) const OUTPUT: u32 = 2;
    pub(super) const SKIP_NEIGH: u32 = 4;
    pub(super) const TBID: u32 = 8;
    pub(super) const SRC: u32 = 16;
    pub(super) const MARK: u32 = 32;
    pub(super) const ALL: u32 = DIRECT | OUTPUT | SKIP_NEIGH | TBID | SRC | MARK;
}

/// Answers (`BPF_FIB_LKUP_RET_*`).
mod answer {
    pub(super) const SUCCESS: u64 = 0;
    pub(super) const BLACKHOLE: u64 = 1;
    pub(super) const UNREACHABLE: u64 = 2;
    pub(super) const PROHIBIT: u64 = 3;
    pub(super) const NOT_FWDED: u64 = 4;
    pub(super) const FWD_DISABLED: u64 = 5;
    pub(super) const NO_NEIGH: u64 = 7;
    pub(super) const FRAG_NEEDED: u64 = 8;
    pub(super) const NO_SRC_ADDR: u64 = 9;
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The structure with its fields by offset.
struct Parameters([u8; FIB_LOOKUP_BYTES as usize]);

impl Parameters {
    const FAMILY: usize = 0;
    const LENGTH: usize = 6;
    const IFINDEX: usize = 8;
    const METRIC: usize = 12;
    const SOURCE: usize = 16;
    const DESTINATION: usize = 32;
    /// The routing table on the way in, the VLAN tag on the way out.
    const TABLE: usize = 48;
    const SOURCE_MAC: usize = 52;
    const DESTINATION_MAC: usize = 58;

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn number(&self, at: usize) -> u32 {
        self.0[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    fn length(&self) -> u32 {
        u16::from_ne_bytes([self.0[Self::LENGTH], self.0[Self::LENGTH + 1]]).into()
    }

    fn destination(&self) -> Option<IpAddr> {
        let bytes = &self.0[Self::DESTINATION..];
        match self.0[Self::FAMILY] {
            AF_INET => bytes.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes).into()),
            AF_INET6 => bytes.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes).into()),
            _ => None,
        }
    }

    fn put_address(&mut self, at: usize, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.put(at, &address.octets()),
            IpAddr::V6(address) => self.put(at, &address.octets()),
        }
    }
}

pub(super) fn fib_lookup(machine: &mut Machine, [_, address, size, flags, _]: [u64; 5]) -> Result<u64, FaultKind> {
    let flags = flags as u32;
    if (size as u32) < FIB_LOOKUP_BYTES || flags & !flag::ALL != 0 {
        return Ok(EINVAL);
    }
    let mut parameters = Parameters([0; FIB_LOOKUP_BYTES as usize]);
    machine.read(address, &mut parameters.0)?;
    let answer = look_up(&machine.environment.fib, &mut parameters, flags);
    machine.write(address, &parameters.0)?;
    Ok(answer)
}

fn look_up(fib: &FibTable, parameters: &mut Parameters, flags: u32) -> u64 {
    let Some(destination) = parameters.destination() else { return EAFNOSUPPORT };
    let Some(arrival) = fib.device(parameters.number(Parameters::IFINDEX)) else { return ENODEV };
    if !arrival.forwarding {
        return answer::FWD_DISABLED;
    }
    let table = (flags & flag::TBID != 0).then(|| parameters.number(Parameters::TABLE));
    let Some(route) = fib.route(destination, table) else { return answer::NOT_FWDED };
    match route.kind {
        RouteKind::Unicast => forward(fib, route, destination, parameters, flags),
        RouteKind::Local => answer::NOT_FWDED,
        RouteKind::Blackhole => answer::BLACKHOLE,
        RouteKind::Unreachable => answer::UNREACHABLE,
        RouteKind::Prohibit => answer::PROHIBIT,
    }
}

/// Fills in what a packet needs that takes a route.
fn forward(fib: &FibTable, route: &Route, destination: IpAddr, parameters: &mut Parameters, flags: u32) -> u64 {
    let Some(device) = fib.device(route.ifindex) else { return answer::NOT_FWDED };
    let length = parameters.length();
    // The field has 16 bits; what is longer than that is no limit.
    let mtu = u16::try_from(device.mtu).unwrap_or(u16::MAX).to_ne_bytes();
    if length > device.mtu {
        parameters.put(Parameters::LENGTH, &mtu);
        return answer::FRAG_NEEDED;
    }
    parameters.put(Parameters::METRIC, &route.metric.to_ne_bytes());
    parameters.put(Parameters::IFINDEX, &device.ifindex.to_ne_bytes());
    if flags & flag::SRC != 0 {
        match route.source {
            Some(source) if source.is_ipv4() == destination.is_ipv4() => {
                parameters.put_address(Parameters::SOURCE, source);
            }
            _ => return answer::NO_SRC_ADDR,
        }
    }
    let next = route.gateway.unwrap_or(destination);
    if next.is_ipv4() != destination.is_ipv4() {
        parameters.0[Parameters::FAMILY] = if next.is_ipv4() { AF_INET } else { AF_INET6 };
    }
    parameters.put_address(Parameters::DESTINATION, next);
    if flags & flag::SKIP_NEIGH == 0 {
        let Some(neighbour) = fib.neighbour(device.ifindex, next) else { return answer::NO_NEIGH };
        parameters.put(Parameters::DESTINATION_MAC, &neighbour.link_address);
        parameters.put(Parameters::SOURCE_MAC, &device.address);
    }
    parameters.put(Parameters::TABLE, &[0; 4]);
    if length != 0 {
        parameters.put(Parameters::LENGTH, &mtu);
    }
    answer::SUCCESS
}
