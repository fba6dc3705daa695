//! Loads that are not plain packet bytes: ancillary words and the header-relative areas.

use skep_isa::classic::{SKF_AD_OFF, SKF_LL_OFF, SKF_NET_OFF};

use super::metadata::{Metadata, next_random};

/// One word of the ancillary area. Numbers are `SKF_AD_*` of `linux/filter.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ancillary {
    Protocol,
    PacketType,
    Ifindex,
    Attribute,
    NestedAttribute,
    Mark,
    Queue,
    Hatype,
    Rxhash,
    Cpu,
    XorX,
    VlanTci,
    VlanPresent,
    PayloadOffset,
    Random,
    VlanTpid,
}

/// The words in the order of their numbers, which are 4 apart.
const WORDS: [Ancillary; 16] = {
    use Ancillary as A;
    [
        A::Protocol,
        A::PacketType,
        A::Ifindex,
        A::Attribute,
        A::NestedAttribute,
        A::Mark,
        A::Queue,
        A::Hatype,
        A::Rxhash,
        A::Cpu,
        A::XorX,
        A::VlanTci,
        A::VlanPresent,
        A::PayloadOffset,
        A::Random,
        A::VlanTpid,
    ]
};

impl Ancillary {
    /// The word that an absolute load at `k` (at or after `SKF_AD_OFF`) asks for.
    pub(super) fn from_offset(k: u32) -> Option<Self> {
        let number = k.checked_sub(SKF_AD_OFF)?;
        if number % 4 != 0 {
            return None;
        }
        WORDS.get((number / 4) as usize).copied()
    }

    /// The new accumulator, or `None` when the packet has no device and the program ends.
    #[inline(never)]
    pub(super) fn load(self, a: u32, x: u32, packet: &[u8], meta: &Metadata, random: &mut u32) -> Option<u32> {
        Some(match self {
            Self::Protocol => u32::from(meta.protocol),
            Self::PacketType => u32::from(meta.packet_type & 7),
            Self::Ifindex => meta.ifindex?,
            Self::Attribute => find_attribute(packet, a, x, false),
            Self::NestedAttribute => find_attribute(packet, a, x, true),
            Self::Mark => meta.mark,
            Self::Queue => u32::from(meta.queue),
            Self::Hatype => meta.ifindex.map(|_| u32::from(meta.hatype))?,
            Self::Rxhash => meta.rxhash,
            Self::Cpu => meta.cpu,
            Self::XorX => a ^ x,
            Self::VlanTci => u32::from(meta.vlan_tci.unwrap_or(0)),
            Self::VlanPresent => u32::from(meta.vlan_tci.is_some()),
            Self::PayloadOffset => meta.payload_offset,
            Self::Random => next_random(random),
            Self::VlanTpid => meta.vlan_tci.map_or(0, |_| u32::from(meta.vlan_tpid)),
        })
    }
}

/// `size` bytes at a negative offset, counted from a header (`bpf_internal_load_pointer_neg_helper` in
/// `kernel/bpf/core.c`).
#[cold]
#[inline(never)]
pub(super) fn header_bytes<'p>(packet: &'p [u8], offset: u32, size: usize, meta: &Metadata) -> Option<&'p [u8]> {
    let start = if offset >= SKF_NET_OFF {
        u64::from(meta.network_offset?) + u64::from(offset - SKF_NET_OFF)
    } else if offset >= SKF_LL_OFF {
        u64::from(meta.link_offset?) + u64::from(offset - SKF_LL_OFF)
    } else {
        return None;
    };
    let start = usize::try_from(start).ok()?;
    packet.get(start..start.checked_add(size)?)
}

/// Bytes of `struct nlattr` (`linux/netlink.h`): length and type, 16 bits each, in the machine's byte order.
const NLATTR: usize = 4;

/// Offset of the netlink attribute of type `x` in the list at offset `a`, or inside the attribute at `a` when `nested`;
/// 0 if there is none (`bpf_skb_get_nlattr` and `bpf_skb_get_nlattr_nest` in `net/core/filter.c`).
pub(crate) fn find_attribute(packet: &[u8], a: u32, x: u32, nested: bool) -> u32 {
    let header = |at: usize| -> Option<(usize, u32)> {
        let bytes = packet.get(at..at + NLATTR)?;
        let length = u16::from_ne_bytes([bytes[0], bytes[1]]);
        // The two upper bits are flags (NLA_F_NESTED and NLA_F_NET_BYTEORDER).
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]) & 0x3fff;
        Some((usize::from(length), u32::from(kind)))
    };
    let mut at = a as usize;
    let Some((length, _)) = header(at) else { return 0 };
    let end = if nested {
        if length > packet.len() - at {
            return 0;
        }
        let end = at + length;
        at += NLATTR;
        end
    } else {
        packet.len()
    };
    while let Some((length, kind)) = header(at) {
        if length < NLATTR || end < at || length > end - at {
            return 0;
        }
        if kind == x {
            return u32::try_from(at).unwrap_or(0);
        }
        at += length.next_multiple_of(4);
    }
    0
}
