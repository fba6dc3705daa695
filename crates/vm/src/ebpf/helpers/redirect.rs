//! Helpers that say where a packet is to go. They are recorded; whoever runs the program sends the packet.

use super::errno::EINVAL;
use crate::ebpf::context::PacketKind;
use crate::ebpf::environment::{ClonedPacket, Redirect};
use crate::ebpf::fault::FaultKind;
use crate::ebpf::machine::Machine;

type Result = std::result::Result<u64, FaultKind>;

/// `BPF_F_INGRESS`
const INGRESS: u64 = 1;
/// `TC_ACT_SHOT` and `TC_ACT_REDIRECT` in `linux/pkt_cls.h`.
const TC_ACT_SHOT: u64 = 2;
const TC_ACT_REDIRECT: u64 = 7;
/// `XDP_ABORTED` and `XDP_REDIRECT` in `linux/bpf.h`.
const XDP_ABORTED: u64 = 0;
const XDP_REDIRECT: u64 = 4;
/// Bytes of `struct bpf_redir_neigh` in `linux/bpf.h`.
const NEIGHBOUR_BYTES: usize = 20;

pub(super) fn redirect(machine: &mut Machine, [ifindex, flags, ..]: [u64; 5]) -> Result {
    let (allowed, refused, accepted) = match machine.window.kind {
        PacketKind::Xdp => (0, XDP_ABORTED, XDP_REDIRECT),
        PacketKind::Skb | PacketKind::Host => (INGRESS, TC_ACT_SHOT, TC_ACT_REDIRECT),
    };
    if flags & !allowed != 0 {
        return Ok(refused);
    }
    machine.environment.redirect = Some(Redirect::Device { ifindex: ifindex as u32, ingress: flags & INGRESS != 0 });
    Ok(accepted)
}

pub(super) fn redirect_peer(machine: &mut Machine, [ifindex, flags, ..]: [u64; 5]) -> Result {
    if flags != 0 {
        return Ok(TC_ACT_SHOT);
    }
    machine.environment.redirect = Some(Redirect::Peer(ifindex as u32));
    Ok(TC_ACT_REDIRECT)
}

pub(super) fn redirect_neigh(machine: &mut Machine, [ifindex, parameters, size, flags, _]: [u64; 5]) -> Result {
    let parameters = machine.bytes(parameters, size as u32)?.to_vec();
    if flags != 0 || (!parameters.is_empty() && parameters.len() < NEIGHBOUR_BYTES) {
        return Ok(TC_ACT_SHOT);
    }
    machine.environment.redirect = Some(Redirect::Neighbour { ifindex: ifindex as u32, parameters });
    Ok(TC_ACT_REDIRECT)
}

/// Sends a copy of the packet; every interface exists.
pub(super) fn clone_redirect(machine: &mut Machine, [_, ifindex, flags, ..]: [u64; 5]) -> Result {
    machine.window(PacketKind::Skb)?;
    if flags & !INGRESS != 0 {
        return Ok(EINVAL);
    }
    let packet = machine.packet().to_vec();
    let clone = ClonedPacket { ifindex: ifindex as u32, ingress: flags & INGRESS != 0, packet };
    machine.environment.clones.push(clone);
    Ok(0)
}
