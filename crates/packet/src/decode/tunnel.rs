//! Headers that carry other packets: VLAN tags, MPLS, PPPoE, GRE, VXLAN, Geneve.

use super::link::{self, Next};
use super::part::{Cut, Part};
use skep_proto::numbers::{ethertype, ip_proto, port};

/// True for the EtherTypes of VLAN tags.
#[must_use]
pub fn is_vlan(ether: u16) -> bool {
    matches!(ether, ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_9100 | ethertype::QINQ_9200)
}

/// A VLAN tag behind its EtherType: priority, DEI, identifier and the next EtherType or length.
///
/// # Errors
/// [`Cut`] if fewer than four bytes were captured.
pub fn vlan(part: Part<'_>) -> Result<(u16, u16, Part<'_>), Cut> {
    Ok((part.be16(0)?, part.be16(2)?, part.skip(4)))
}

/// One entry of an MPLS label stack (RFC 3032).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MplsLabel(pub u32);

impl MplsLabel {
    /// The label, 20 bits.
    #[must_use]
    pub fn label(self) -> u32 {
        self.0 >> 12
    }

    /// Traffic class, 3 bits.
    #[must_use]
    pub fn class(self) -> u8 {
        (self.0 >> 9 & 7) as u8
    }

    /// True for the last entry of the stack.
    #[must_use]
    pub fn is_bottom(self) -> bool {
        self.0 & 0x100 != 0
    }

    /// Time to live.
    #[must_use]
    pub fn ttl(self) -> u8 {
        self.0 as u8
    }

    /// What follows the bottom of the stack: told by the reserved labels 0 and 2, else by the first byte.
    #[must_use]
    pub fn next(self, payload: Part<'_>) -> Next {
        match self.label() {
            0 => Next::EtherType(ethertype::IPV4),
            2 => Next::EtherType(ethertype::IPV6),
            // A version and, for IPv4, a header length that can be: other payloads begin with other bytes.
            _ => match payload.u8(0) {
                Ok(0x45..=0x4f) => Next::EtherType(ethertype::IPV4),
                Ok(0x60..=0x6f) => Next::EtherType(ethertype::IPV6),
                _ => Next::Unknown,
            },
        }
    }
}

/// A PPPoE session header (RFC 2516): session number, PPP protocol and what follows, limited to the stated length.
///
/// # Errors
/// [`Cut`] if the packet ends within the headers.
pub fn pppoe_session(part: Part<'_>) -> Result<(u16, u16, Part<'_>), Cut> {
    let session = part.be16(2)?;
    let length = usize::from(part.be16(4)?);
    let (protocol, rest) = link::ppp_protocol(part.skip(6).limit(length))?;
    Ok((session, protocol, rest))
}

/// The EtherType that means the same as a PPP protocol number, where there is one.
#[must_use]
pub fn ppp_next(protocol: u16) -> Next {
    match protocol {
        0x0021 => Next::EtherType(ethertype::IPV4),
        0x0057 => Next::EtherType(ethertype::IPV6),
        0x0281 => Next::EtherType(ethertype::MPLS),
        0x0283 => Next::EtherType(ethertype::MPLS_MULTICAST),
        _ => Next::Unknown,
    }
}

/// A GRE header (RFC 2784, 2890, 2637).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gre<'a> {
    /// Flags and version as sent.
    pub flags: u16,
    /// EtherType of the payload.
    pub protocol: u16,
    /// Checksum and offset, if present (version 0).
    pub checksum: Option<u32>,
    /// Key (version 0); payload length and call number (version 1).
    pub key: Option<u32>,
    /// Sequence number, if present.
    pub sequence: Option<u32>,
    /// Acknowledgement number, if present (version 1).
    pub ack: Option<u32>,
    /// What is carried.
    pub payload: Part<'a>,
}

impl<'a> Gre<'a> {
    /// Version: 0, or 1 for PPTP.
    #[must_use]
    pub fn version(&self) -> u8 {
        (self.flags & 7) as u8
    }

    /// Decodes a header. Source routing (RFC 1701, obsolete) is not supported: its payload is left undecoded.
    ///
    /// # Errors
    /// [`Cut`] if the packet ends within the header.
    pub fn parse(part: Part<'a>) -> Result<Self, Cut> {
        let (flags, protocol) = (part.be16(0)?, part.be16(2)?);
        let mut at = 4;
        let mut word = |present: bool| -> Result<Option<u32>, Cut> {
            if !present {
                return Ok(None);
            }
            let value = part.be32(at)?;
            at += 4;
            Ok(Some(value))
        };
        let version_1 = flags & 7 == 1;
        let checksum = word(flags & 0xc000 != 0 && !version_1)?;
        let key = word(flags & 0x2000 != 0)?;
        let sequence = word(flags & 0x1000 != 0)?;
        let ack = word(version_1 && flags & 0x0080 != 0)?;
        Ok(Self { flags, protocol, checksum, key, sequence, ack, payload: part.skip(at) })
    }
}

/// A VXLAN header (RFC 7348): flags, network identifier, and the Ethernet frame within.
///
/// # Errors
/// [`Cut`] if fewer than eight bytes were captured.
pub fn vxlan(part: Part<'_>) -> Result<(u8, u32, Part<'_>), Cut> {
    Ok((part.u8(0)?, part.be32(4)? >> 8, part.skip(8)))
}

/// A Geneve header (RFC 8926).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geneve<'a> {
    /// Version, 0.
    pub version: u8,
    /// Length of the options in bytes.
    pub options_len: usize,
    /// 0x80 control packet, 0x40 critical options.
    pub flags: u8,
    /// EtherType of the payload.
    pub protocol: u16,
    /// Network identifier, 24 bits.
    pub vni: u32,
    /// The options, as far as captured.
    pub options: Part<'a>,
    /// What is carried.
    pub payload: Part<'a>,
}

impl<'a> Geneve<'a> {
    /// Decodes a header.
    ///
    /// # Errors
    /// [`Cut`] if the packet ends within the fixed header.
    pub fn parse(part: Part<'a>) -> Result<Self, Cut> {
        let first = part.u8(0)?;
        let options_len = usize::from(first & 0x3f) * 4;
        let rest = part.skip(8);
        Ok(Self {
            version: first >> 6,
            options_len,
            flags: part.u8(1)? & 0xc0,
            protocol: part.be16(2)?,
            vni: part.be32(4)? >> 8,
            options: rest.limit(options_len),
            payload: rest.skip(options_len),
        })
    }
}

/// Which tunnel an inner packet came out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tunnel {
    /// IPv4 or IPv6 within IP.
    IpIp,
    /// GRE, with the key if it has one.
    Gre(Option<u32>),
    /// VXLAN with its network identifier.
    Vxlan(u32),
    /// Geneve with its network identifier.
    Geneve(u32),
}

impl Tunnel {
    /// The name in lower case, as JSON shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IpIp => "ipip",
            Self::Gre(_) => "gre",
            Self::Vxlan(_) => "vxlan",
            Self::Geneve(_) => "geneve",
        }
    }
}

/// The packet carried by an IP payload, if its protocol is a tunnel: which tunnel, what follows, its bytes.
#[must_use]
pub fn inside_ip(proto: u8, payload: Part<'_>) -> Option<(Tunnel, Next, Part<'_>)> {
    match proto {
        ip_proto::IPIP | ip_proto::IPV6 => Some((Tunnel::IpIp, Next::Ip, payload)),
        ip_proto::GRE => {
            let gre = Gre::parse(payload).ok()?;
            let next = match gre.protocol {
                ethertype::PPP => {
                    let body = gre.payload;
                    let body = if body.be16(0) == Ok(0xff03) { body.skip(2) } else { body };
                    let (protocol, rest) = link::ppp_protocol(body).ok()?;
                    return Some((Tunnel::Gre(gre.key), ppp_next(protocol), rest));
                }
                protocol => Next::EtherType(protocol),
            };
            Some((Tunnel::Gre(gre.key), next, gre.payload))
        }
        _ => None,
    }
}

/// The packet carried by a UDP payload, if a port says that it is a tunnel.
#[must_use]
pub fn inside_udp(sport: u16, dport: u16, payload: Part<'_>) -> Option<(Tunnel, Next, Part<'_>)> {
    let either = |known: u16| sport == known || dport == known;
    if either(port::VXLAN) {
        let (flags, vni, inner) = vxlan(payload).ok()?;
        return (flags & 8 != 0).then_some((Tunnel::Vxlan(vni), Next::EtherType(ethertype::TEB), inner));
    }
    if either(port::GENEVE) {
        let head = Geneve::parse(payload).ok()?;
        return (head.version == 0).then_some((Tunnel::Geneve(head.vni), Next::EtherType(head.protocol), head.payload));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(data: &[u8]) -> Part<'_> {
        Part::new(data, data.len())
    }

    #[test]
    fn gre_optional_words() {
        let gre = Gre::parse(whole(b"\xb0\x00\x08\x00\x12\x34\x00\x00\x00\x00\x00\x2a\x00\x00\x00\x01IP")).unwrap();
        assert_eq!((gre.key, gre.sequence, gre.payload.data), (Some(42), Some(1), &b"IP"[..]));
        assert_eq!(gre.checksum, Some(0x1234_0000));
        assert_eq!(Gre::parse(whole(b"\xb0\x00\x08\x00\x12\x34\x00\x00\x00\x00")), Err(Cut));
    }

    #[test]
    fn mpls_fields() {
        let entry = MplsLabel(100 << 12 | 5 << 9 | 0x140);
        assert_eq!((entry.label(), entry.class(), entry.is_bottom(), entry.ttl()), (100, 5, true, 64));
        assert_eq!(entry.next(whole(b"\x60")), Next::EtherType(0x86dd));
        assert_eq!(entry.next(whole(b"")), Next::Unknown);
    }

    #[test]
    fn udp_tunnels() {
        let (tunnel, next, inner) = inside_udp(1, 4789, whole(b"\x08\0\0\0\0\0\x2a\0eth")).unwrap();
        assert_eq!((tunnel, next, inner.data), (Tunnel::Vxlan(42), Next::EtherType(0x6558), &b"eth"[..]));
        let (tunnel, next, inner) = inside_udp(1, 6081, whole(b"\x01\0\x08\0\0\0\x07\0optsIP")).unwrap();
        assert_eq!((tunnel, next, inner.data), (Tunnel::Geneve(7), Next::EtherType(0x800), &b"IP"[..]));
        assert_eq!(inside_udp(1, 2, whole(b"\x08\0\0\0\0\0\x2a\0eth")), None);
    }

    #[test]
    fn pppoe_length_limits() {
        let (session, protocol, rest) = pppoe_session(whole(b"\x11\0\0\x05\0\x03\0\x21xpad")).unwrap();
        assert_eq!((session, protocol, rest.data), (5, 0x21, &b"x"[..]));
        assert!(pppoe_session(whole(b"\x11\0\0\x05\0\x03\0")).is_err());
    }
}
