//! A packet out of the ring, and putting back the VLAN tag that the kernel took out of it.

use skep_proto::LinkType;

use crate::file::{Direction, Packet, Timestamp};

/// A VLAN tag that is not among the bytes that the filter saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VlanTag {
    /// Priority, drop bit and the VLAN's number in the lowest 12 bits.
    pub tci: u16,
    /// EtherType of the tag: 0x8100, 0x88a8 and so on.
    pub tpid: u16,
}

/// A packet just captured; its bytes lie in the buffer shared with the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivePacket<'a> {
    /// When the kernel saw it.
    pub ts: Timestamp,
    /// The captured bytes, link header or pseudo header first. On Ethernet with the VLAN tag at its place.
    pub data: &'a [u8],
    /// Its whole length in bytes, counted like `data`.
    pub orig_len: u32,
    /// How `data` begins.
    pub link: LinkType,
    /// Number of the interface.
    pub ifindex: u32,
    /// 0 for this machine, 1 broadcast, 2 multicast, 3 for another machine, 4 sent by this machine
    /// (`PACKET_HOST` and so on, packet(7)).
    pub packet_type: u8,
    /// EtherType of the network packet, or a number below 0x600 that the kernel chose (`linux/if_ether.h`).
    pub protocol: u16,
    /// Hardware type of the interface (`ARPHRD_*`).
    pub hardware: u16,
    /// Flow hash; 0 if the kernel computed none.
    pub rxhash: u32,
    /// The VLAN tag that the kernel keeps apart. On Ethernet it is in `data` too.
    pub vlan: Option<VlanTag>,
    /// Whether the transport checksum is still to be filled in by hardware, so that `data` holds a wrong one.
    pub checksum_pending: bool,
}

impl<'a> LivePacket<'a> {
    /// Sent or received.
    #[must_use]
    pub fn direction(&self) -> Direction {
        if self.packet_type == libc::PACKET_OUTGOING { Direction::Outbound } else { Direction::Inbound }
    }

    /// The packet in the form in which files deliver and take it.
    #[must_use]
    pub fn to_packet(&self) -> Packet<'a> {
        let mut packet = Packet::new(self.ts, self.data, self.orig_len, self.link);
        packet.direction = Some(self.direction());
        packet.ifindex = Some(self.ifindex);
        packet
    }
}

/// Bytes of a VLAN tag.
pub(super) const TAG: usize = 4;
/// Bytes of the two addresses in front of the tag.
const ADDRESSES: usize = 12;

/// The tag that the kernel keeps apart from a packet with this header.
pub(super) fn tag_of(header: &libc::tpacket3_hdr) -> Option<VlanTag> {
    if header.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let known = header.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
    // Kernels before 3.14 do not say which kind of tag it was.
    let tpid = if known { header.hv1.tp_vlan_tpid } else { libc::ETH_P_8021Q as u16 };
    // The number has 16 bits; the field has more for alignment.
    Some(VlanTag { tci: (header.hv1.tp_vlan_tci & 0xffff) as u16, tpid })
}

/// Puts the tag behind the addresses of the Ethernet packet at `start`, using the 4 bytes in front of it. Returns
/// the new start, or `None` if there is no room for it or the packet was cut inside the addresses.
pub(super) fn insert_tag(bytes: &mut [u8], start: usize, tag: VlanTag) -> Option<usize> {
    let new_start = start.checked_sub(TAG)?;
    let addresses_end = start.checked_add(ADDRESSES)?;
    if addresses_end > bytes.len() {
        return None;
    }
    bytes.copy_within(start..addresses_end, new_start);
    let place = bytes.get_mut(new_start + ADDRESSES..addresses_end)?;
    place[..2].copy_from_slice(&tag.tpid.to_be_bytes());
    place[2..].copy_from_slice(&tag.tci.to_be_bytes());
    Some(new_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_goes_behind_the_addresses() {
        let tag = VlanTag { tci: 0x2005, tpid: 0x88a8 };
        let mut bytes = *b"????DDDDDDSSSSSS\x08\x00payload";
        assert_eq!(insert_tag(&mut bytes, 4, tag), Some(0));
        assert_eq!(&bytes, b"DDDDDDSSSSSS\x88\xa8\x20\x05\x08\x00payload");
    }

    #[test]
    fn no_room_no_tag() {
        let tag = VlanTag { tci: 1, tpid: 0x8100 };
        let mut bytes = *b"DDDDDDSSSSSS\x08\x00";
        assert_eq!(insert_tag(&mut bytes, 3, tag), None);
        assert_eq!(insert_tag(&mut bytes, 4, tag), None, "cut inside the addresses");
        assert_eq!(&bytes, b"DDDDDDSSSSSS\x08\x00");
    }
}
