//! Hardware types of interfaces: how their packets begin.

use skep_proto::LinkType;

/// How packets of an interface are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// With the link header that the interface uses.
    Raw(LinkType),
    /// Without link header; the kernel's facts about the packet are put in front of it (`LINUX_SLL2`).
    Cooked,
}

// TABLE
/// Hardware type (`ARPHRD_*`, `linux/if_arp.h`) and the link type of its packets.
///
/// What is not listed is read cooked: either its header is of variable length or unknown, as for PPP, whose kernel
/// driver hands packets over with or without it, or nobody decodes it.
const HARDWARE: &[(u16, LinkType)] = &[
    (libc::ARPHRD_ETHER, LinkType::EN10MB),
    (libc::ARPHRD_EETHER, LinkType::EN3MB),
    (libc::ARPHRD_AX25, LinkType::AX25_KISS),
    (libc::ARPHRD_PRONET, LinkType::PRONET),
    (libc::ARPHRD_CHAOS, LinkType::CHAOS),
    (libc::ARPHRD_IEEE802, LinkType::IEEE802),
    (libc::ARPHRD_ARCNET, LinkType::ARCNET_LINUX),
    (libc::ARPHRD_METRICOM, LinkType::EN10MB),
    (libc::ARPHRD_SLIP, LinkType::RAW),
    (libc::ARPHRD_CSLIP, LinkType::RAW),
    (libc::ARPHRD_SLIP6, LinkType::RAW),
    (libc::ARPHRD_CSLIP6, LinkType::RAW),
    (libc::ARPHRD_ADAPT, LinkType::RAW),
    (CAN, LinkType::CAN_SOCKETCAN),
    (libc::ARPHRD_CISCO, LinkType::C_HDLC),
    (libc::ARPHRD_RAWHDLC, LinkType::RAW),
    (RAWIP, LinkType::RAW),
    (libc::ARPHRD_TUNNEL, LinkType::RAW),
    (libc::ARPHRD_TUNNEL6, LinkType::RAW),
    (libc::ARPHRD_FRAD, LinkType::FRELAY),
    (libc::ARPHRD_LOOPBACK, LinkType::EN10MB),
    (libc::ARPHRD_LOCALTLK, LinkType::LTALK),
    (libc::ARPHRD_FDDI, LinkType::FDDI),
    (libc::ARPHRD_SIT, LinkType::RAW),
    (libc::ARPHRD_IEEE802_TR, LinkType::IEEE802),
    (libc::ARPHRD_IEEE80211, LinkType::IEEE802_11),
    (libc::ARPHRD_IEEE80211_PRISM, LinkType::PRISM_HEADER),
    (libc::ARPHRD_IEEE80211_RADIOTAP, LinkType::IEEE802_11_RADIO),
    (libc::ARPHRD_IEEE802154, LinkType::IEEE802_15_4_NOFCS),
    (SIX_LOWPAN, LinkType::RAW),
    (libc::ARPHRD_NONE, LinkType::RAW),
];

/// `ARPHRD_CAN`, which the C library does not name.
const CAN: u16 = 280;
/// `ARPHRD_RAWIP`: mobile network modems.
const RAWIP: u16 = 519;
/// `ARPHRD_6LOWPAN`: IPv6 over low-power radio, headers already expanded.
const SIX_LOWPAN: u16 = 825;

/// How packets of an interface with this hardware type are read.
pub(super) fn framing(hardware: u16) -> Framing {
    HARDWARE.iter().find(|row| row.0 == hardware).map_or(Framing::Cooked, |row| Framing::Raw(row.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_interfaces() {
        assert_eq!(framing(libc::ARPHRD_ETHER), Framing::Raw(LinkType::EN10MB));
        assert_eq!(framing(libc::ARPHRD_LOOPBACK), Framing::Raw(LinkType::EN10MB));
        assert_eq!(framing(libc::ARPHRD_NONE), Framing::Raw(LinkType::RAW));
        assert_eq!(framing(libc::ARPHRD_PPP), Framing::Cooked);
        assert_eq!(framing(4711), Framing::Cooked);
        let mut numbers: Vec<u16> = HARDWARE.iter().map(|row| row.0).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), HARDWARE.len(), "a hardware type is listed twice");
    }
}
