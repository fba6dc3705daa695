//! Link headers: from the link type of a capture to the EtherType (or LLC, PPP, IP) that follows.
//!
//! 802.11 is in `wlan`; what comes after the link header (VLAN tags, MPLS, IP) is in `net` and `tunnel`.

use super::part::{Cut, Part};
use super::wlan::{self, Wlan};
use skep_proto::LinkType;
use skep_proto::numbers::ethertype;

/// A six-byte link address.
pub type Mac = [u8; 6];

/// The link header of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link<'a> {
    /// Ethernet, II or 802.3. `ethertype` at most 1500 is the length of an 802.3 frame.
    Ethernet {
        /// Destination.
        dst: Mac,
        /// Source.
        src: Mac,
        /// EtherType or length.
        ethertype: u16,
    },
    /// Linux cooked header, version 1 (16 bytes) or 2 (20 bytes).
    Cooked {
        /// 1 or 2.
        version: u8,
        /// 0 to us, 1 broadcast, 2 multicast, 3 to another host, 4 from us.
        packet_type: u16,
        /// ARPHRD_ number of the device.
        hatype: u16,
        /// Interface number (version 2; 0 in version 1).
        ifindex: u32,
        /// The sender's link address, at most 8 bytes.
        address: &'a [u8],
        /// EtherType, or 1 (Novell 802.3) or 4 (LLC).
        protocol: u16,
    },
    /// BSD loopback: four bytes with an address family.
    Family(u32),
    /// PPP with or without the HDLC address and control bytes.
    Ppp {
        /// The first two bytes were address (0xff or 0x0f) and control.
        hdlc: bool,
        /// PPP protocol number.
        protocol: u16,
    },
    /// Cisco HDLC.
    Chdlc {
        /// 0x0f unicast, 0x8f multicast.
        address: u8,
        /// EtherType, or 0x8035 SLARP.
        protocol: u16,
    },
    /// 802.11, with or without radiotap.
    Wlan(Wlan),
    /// No link header: IP comes first.
    None,
    /// A link type that is not decoded.
    Other,
}

/// What follows a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A protocol by EtherType.
    EtherType(u16),
    /// An LLC header.
    Llc,
    /// A PPP protocol number.
    Ppp(u16),
    /// IPv4 or IPv6, told apart by the version.
    Ip,
    /// Nothing that is known here.
    Unknown,
}

/// Most bytes of an 802.3 payload; greater values of the same field are EtherTypes (from 1536; those between are
/// neither, and are treated as EtherTypes as tcpdump does).
pub const MAX_8023_LENGTH: u16 = 1500;

/// Decodes the link header: the header, what follows, and the bytes that follow.
///
/// # Errors
/// [`Cut`] if the packet ends within the header.
pub fn parse(link: LinkType, part: Part<'_>) -> Result<(Link<'_>, Next, Part<'_>), Cut> {
    match link {
        LinkType::EN10MB => ethernet(part),
        LinkType::LINUX_SLL => cooked_v1(part),
        LinkType::LINUX_SLL2 => cooked_v2(part),
        LinkType::NULL | LinkType::LOOP | LinkType::ENC => loopback(link, part),
        LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => Ok((Link::None, Next::Ip, part)),
        LinkType::PPP | LinkType::PPP_SERIAL | LinkType::PPP_BSDOS => ppp(part),
        LinkType::PPP_WITH_DIR | LinkType::PPP_PPPD => ppp(Part::skip(&part, 1)),
        LinkType::PPP_ETHER => {
            let (_, protocol, rest) = super::tunnel::pppoe_session(part)?;
            Ok((Link::Ppp { hdlc: false, protocol }, Next::Ppp(protocol), rest))
        }
        LinkType::C_HDLC => chdlc(part),
        LinkType::IEEE802_11 => wlan::parse(part).map(|(head, next, rest)| (Link::Wlan(head), next, rest)),
        LinkType::IEEE802_11_RADIO | LinkType::PRISM_HEADER | LinkType::IEEE802_11_RADIO_AVS | LinkType::PPI => {
            let (head, next, rest) = wlan::parse_with_radio(link, part)?;
            Ok((Link::Wlan(head), next, rest))
        }
        _ => Ok((Link::Other, Next::Unknown, part)),
    }
}

/// What an EtherType-or-length field announces, and the payload without padding if it is a length.
#[must_use]
pub fn after_type(field: u16, rest: Part<'_>) -> (Next, Part<'_>) {
    if field <= MAX_8023_LENGTH { (Next::Llc, rest.limit(usize::from(field))) } else { (Next::EtherType(field), rest) }
}

/// Decodes an Ethernet header.
///
/// # Errors
/// [`Cut`] if fewer than 14 bytes were captured.
pub fn ethernet(part: Part<'_>) -> Result<(Link<'_>, Next, Part<'_>), Cut> {
    let field = part.be16(12)?;
    let link = Link::Ethernet { dst: part.array(0)?, src: part.array(6)?, ethertype: field };
    let (next, rest) = after_type(field, part.skip(14));
    Ok((link, next, rest))
}

/// What the protocol field of a cooked header means (`linux/if_ether.h`: 1 is Novell 802.3, 4 is 802.2).
fn cooked_next(protocol: u16, hatype: u16) -> Next {
    // ARPHRD_NETLINK, and the CAN and 802.11 devices, use the field for other numbers.
    const NOT_ETHERNET: [u16; 3] = [824, 280, 803];
    match protocol {
        _ if NOT_ETHERNET.contains(&hatype) => Next::Unknown,
        1 => Next::Unknown,
        4 => Next::Llc,
        _ => Next::EtherType(protocol),
    }
}

fn cooked_v1(part: Part<'_>) -> Result<(Link<'_>, Next, Part<'_>), Cut> {
    let (protocol, hatype) = (part.be16(14)?, part.be16(2)?);
    let address_len = usize::from(part.be16(4)?).min(8);
    let link = Link::Cooked {
        version: 1,
        packet_type: part.be16(0)?,
        hatype,
        ifindex: 0,
        address: part.bytes(6, address_len)?,
        protocol,
    };
    Ok((link, cooked_next(protocol, hatype), part.skip(16)))
}

fn cooked_v2(part: Part<'_>) -> Result<(Link<'_>, Next, Part<'_>), Cut> {
    let address_len = usize::from(part.u8(11)?).min(8);
    part.bytes(0, 20)?;
    let (protocol, hatype) = (part.be16(0)?, part.be16(8)?);
    let link = Link::Cooked {
        version: 2,
        packet_type: u16::from(part.u8(10)?),
        hatype,
        ifindex: part.be32(4)?,
        address: part.bytes(12, address_len)?,
        protocol,
    };
    Ok((link, cooked_next(protocol, hatype), part.skip(20)))
}

/// BSD loopback: the family is in the byte order of the writer (NULL) or the network's (LOOP).
fn loopback(link: LinkType, part: Part<'_>) -> Result<(Link<'_>, Next, Part<'_>), Cut> {
    let raw: [u8; 4] = part.array(0)?;
    let big = u32::from_be_bytes(raw);
    // Families are small numbers: a set upper half tells that the bytes are the other way round.
    let family = if link == LinkType::LOOP || big & 0xffff_0000 == 0 { big } else { u32::from_le_bytes(raw) };
    // 2 is AF_INET everywhere; AF_INET6 is 10 on Linux, 24, 28 and 30 on the BSDs and macOS.
    let next = match family {
        2 => Next::EtherType(ethertype::IPV4),
        10 | 24 | 28 | 30 => Next::EtherType(ethertype::IPV6),
        _ => Next::Unknown,
    };
    let header = if link == LinkType::ENC { 12 } else { 4 };
    Ok((Link::Family(family), next, part.skip(header)))
}

/// PPP: address and control bytes may be missing, and the protocol may be one byte if it is odd (RFC 1661, 1662).
fn ppp(part: Part<'_>) -> Result<(Link<'_>, Next, Part<'_>), Cut> {
    let first = part.u8(0)?;
    let hdlc = matches!(first, 0xff | 0x0f) && part.u8(1)? == if first == 0xff { 3 } else { 0 };
    let body = if hdlc { part.skip(2) } else { part };
    let (protocol, rest) = ppp_protocol(body)?;
    Ok((Link::Ppp { hdlc, protocol }, Next::Ppp(protocol), rest))
}

/// The PPP protocol number, one byte if odd, else two.
///
/// # Errors
/// [`Cut`] if it was not captured.
pub fn ppp_protocol(part: Part<'_>) -> Result<(u16, Part<'_>), Cut> {
    let first = part.u8(0)?;
    if first & 1 == 1 { Ok((u16::from(first), part.skip(1))) } else { Ok((part.be16(0)?, part.skip(2))) }
}

fn chdlc(part: Part<'_>) -> Result<(Link<'_>, Next, Part<'_>), Cut> {
    let protocol = part.be16(2)?;
    Ok((Link::Chdlc { address: part.u8(0)?, protocol }, Next::EtherType(protocol), part.skip(4)))
}

/// An LLC header (IEEE 802.2) and, behind it, SNAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Llc {
    /// Destination service access point.
    pub dsap: u8,
    /// Source service access point.
    pub ssap: u8,
    /// Control field: one byte for unnumbered frames, else two (little-endian).
    pub control: u16,
    /// Organisation and protocol number, if this is SNAP.
    pub snap: Option<(u32, u16)>,
}

impl Llc {
    /// True for unnumbered frames, whose control field has one byte.
    #[must_use]
    pub fn is_unnumbered(&self) -> bool {
        self.control & 3 == 3
    }
}

/// Decodes an LLC header: the header, what follows, and the bytes that follow.
///
/// # Errors
/// [`Cut`] if the packet ends within the header.
pub fn llc(part: Part<'_>) -> Result<(Llc, Next, Part<'_>), Cut> {
    use skep_proto::numbers::llc_sap;
    let (dsap, ssap, first) = (part.u8(0)?, part.u8(1)?, part.u8(2)?);
    let unnumbered = first & 3 == 3;
    let control = if unnumbered { u16::from(first) } else { part.le16(2)? };
    let rest = part.skip(if unnumbered { 3 } else { 4 });
    let mut head = Llc { dsap, ssap, control, snap: None };
    if dsap == llc_sap::SNAP && ssap == llc_sap::SNAP && first == 3 {
        let oui = u32::from(rest.u8(0)?) << 16 | u32::from(rest.be16(1)?);
        let pid = rest.be16(3)?;
        head.snap = Some((oui, pid));
        // RFC 1042 and 802.1H: these organisations number protocols by EtherType.
        let next = if matches!(oui, 0 | 0xf8) { Next::EtherType(pid) } else { Next::Unknown };
        return Ok((head, next, rest.skip(5)));
    }
    let next = if dsap == llc_sap::IP && ssap == llc_sap::IP && first == 3 {
        Next::EtherType(ethertype::IPV4)
    } else {
        Next::Unknown
    };
    Ok((head, next, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(data: &[u8]) -> Part<'_> {
        Part::new(data, data.len())
    }

    #[test]
    fn ethernet_and_llc() {
        let frame = b"\x01\x02\x03\x04\x05\x06\x11\x12\x13\x14\x15\x16\x00\x0a\xaa\xaa\x03\x00\x00\x00\x86\xddXYpad";
        let (head, next, rest) = parse(LinkType::EN10MB, whole(frame)).unwrap();
        let Link::Ethernet { dst, src, ethertype } = head else { panic!("{head:?}") };
        assert_eq!((dst, src[0], ethertype), ([1, 2, 3, 4, 5, 6], 0x11, 10));
        assert_eq!((next, rest.len), (Next::Llc, 10));
        let (head, next, rest) = llc(rest).unwrap();
        assert_eq!(head.snap, Some((0, 0x86dd)));
        assert_eq!((next, rest.data), (Next::EtherType(0x86dd), &b"XY"[..]));
        assert_eq!(parse(LinkType::EN10MB, whole(&frame[..13])), Err(Cut));
    }

    #[test]
    fn other_links() {
        let (_, next, rest) = parse(LinkType::PPP, whole(b"\xff\x03\x00\x21x")).unwrap();
        assert_eq!((next, rest.data), (Next::Ppp(0x21), &b"x"[..]));
        let (_, next, rest) = parse(LinkType::PPP, whole(b"\x21x")).unwrap();
        assert_eq!((next, rest.data), (Next::Ppp(0x21), &b"x"[..]));
        for family in [[2, 0, 0, 0], [0, 0, 0, 2]] {
            assert_eq!(parse(LinkType::NULL, whole(&family)).unwrap().1, Next::EtherType(0x800));
        }
        assert_eq!(parse(LinkType::NULL, whole(&[30, 0, 0, 0])).unwrap().1, Next::EtherType(0x86dd));
        let sll2 = b"\x08\x06\x00\x00\x00\x00\x00\x07\x00\x01\x04\x06abcdef\x00\x00rest";
        let (head, next, rest) = parse(LinkType::LINUX_SLL2, whole(sll2)).unwrap();
        let Link::Cooked { ifindex, packet_type, address, .. } = head else { panic!("{head:?}") };
        assert_eq!((ifindex, packet_type, address), (7, 4, &b"abcdef"[..]));
        assert_eq!((next, rest.data), (Next::EtherType(0x806), &b"rest"[..]));
        assert_eq!(parse(LinkType::LINUX_SLL2, whole(&sll2[..19])), Err(Cut));
        assert_eq!(parse(LinkType(65000), whole(b"")).unwrap().0, Link::Other);
    }
}
