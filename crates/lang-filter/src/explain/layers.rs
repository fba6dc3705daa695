//! The headers that an explanation knows: their fields, and which value of which field announces which header.
//!
//! Sources: RFC 791, 8200, 9293, 768, 9260, 792, 4443, 826, 2516, 3032, 8926 and 1661, IEEE 802.1Q, 802.2, 802.3 and
//! 802.11, the radiotap specification, and the descriptions of the LINUX_SLL, LINUX_SLL2, NULL and LOOP link types.

use skep_proto::LinkType;
use skep_proto::numbers::{ethertype, ip_proto};

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Layer {
    Ethernet,
    CookedV1,
    CookedV2,
    HostLoopback,
    NetLoopback,
    Ppp,
    Hdlc,
    Wlan,
    Radiotap,
    Llc,
    Vlan,
    Mpls,
    Pppoe,
    /// IPv4 or IPv6.
    Ip,
    Arp,
    Ipv4,
    Ipv6,
    Ipv6Fragment,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
    Igmp,
    Geneve,
    Vxlan,
}

impl Layer {
    /// The name in remarks.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "Ethernet",
            Self::CookedV1 => "Linux cooked",
            Self::CookedV2 => "Linux cooked v2",
            Self::HostLoopback | Self::NetLoopback => "loopback",
            Self::Ppp => "PPP",
            Self::Hdlc => "HDLC",
            Self::Wlan => "802.11",
            Self::Radiotap => "radiotap",
            Self::Llc => "LLC",
            Self::Vlan => "VLAN",
            Self::Mpls => "MPLS",
            Self::Pppoe => "PPPoE",
            Self::Ip => "IP",
            Self::Arp => "ARP",
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Ipv6Fragment => "IPv6 fragment",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
            Self::Icmp6 => "ICMPv6",
            Self::Igmp => "IGMP",
            Self::Geneve => "Geneve",
            Self::Vxlan => "VXLAN",
        }
    }

    /// The header that packets of a link type begin with, if it is known here.
    pub(super) const fn of_link(link: LinkType) -> Option<Self> {
        Some(match link {
            LinkType::EN10MB => Self::Ethernet,
            LinkType::LINUX_SLL => Self::CookedV1,
            LinkType::LINUX_SLL2 => Self::CookedV2,
            LinkType::NULL => Self::HostLoopback,
            LinkType::LOOP => Self::NetLoopback,
            LinkType::PPP | LinkType::PPP_SERIAL => Self::Ppp,
            LinkType::C_HDLC => Self::Hdlc,
            LinkType::IEEE802_11 => Self::Wlan,
            LinkType::IEEE802_11_RADIO => Self::Radiotap,
            LinkType::RAW => Self::Ip,
            LinkType::IPV4 => Self::Ipv4,
            LinkType::IPV6 => Self::Ipv6,
            _ => return None,
        })
    }
}

/// How the values of a field are written and what they announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    EtherType,
    IpProtocol,
    PppProtocol,
    /// An address family in the byte order of the capturing host.
    HostFamily,
    NetFamily,
    IpVersion,
    Mac,
    Ipv4,
    Ipv6,
    Port,
    TcpFlags,
    FragmentOffset,
    Icmp,
    Icmp6,
    ArpOperation,
    Sap,
    GroupBit,
    BottomOfStack,
    /// A bit or several of which only "set" or "clear" is said.
    Flag,
    /// The length of the header in words.
    HeaderLength,
}

/// One field, or some bits of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) layer: Layer,
    /// Bytes from the start of the header.
    pub(super) offset: u32,
    /// Bytes.
    pub(super) size: u32,
    /// The bits, when a load of the field is masked with this; all bits otherwise.
    pub(super) mask: u32,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

const fn field(layer: Layer, offset: u32, size: u32, name: &'static str, kind: Kind) -> Field {
    Field { layer, offset, size, mask: u32::MAX, name, kind }
}

const fn bits(layer: Layer, offset: u32, size: u32, mask: u32, name: &'static str, kind: Kind) -> Field {
    Field { layer, offset, size, mask, name, kind }
}

// TABLE
/// All fields, in the order of the layers.
pub(super) const FIELDS: &[Field] = {
    use Kind as K;
    use Layer as L;
    &[
        field(L::Ethernet, 0, 6, "destination address", K::Mac),
        bits(L::Ethernet, 0, 1, 1, "group bit of the destination address", K::GroupBit),
        field(L::Ethernet, 6, 6, "source address", K::Mac),
        field(L::Ethernet, 12, 2, "EtherType", K::EtherType),
        field(L::CookedV1, 0, 2, "packet type", K::Number),
        field(L::CookedV1, 2, 2, "device type", K::Number),
        field(L::CookedV1, 4, 2, "address length", K::Number),
        field(L::CookedV1, 6, 8, "source address", K::Mac),
        field(L::CookedV1, 14, 2, "EtherType", K::EtherType),
        field(L::CookedV2, 0, 2, "EtherType", K::EtherType),
        field(L::CookedV2, 4, 4, "interface number", K::Number),
        field(L::CookedV2, 8, 2, "device type", K::Number),
        field(L::CookedV2, 10, 1, "packet type", K::Number),
        field(L::CookedV2, 11, 1, "address length", K::Number),
        field(L::CookedV2, 12, 8, "source address", K::Mac),
        field(L::HostLoopback, 0, 4, "address family", K::HostFamily),
        field(L::NetLoopback, 0, 4, "address family", K::NetFamily),
        field(L::Ppp, 0, 1, "address byte", K::Number),
        field(L::Ppp, 1, 1, "control byte", K::Number),
        field(L::Ppp, 2, 2, "PPP protocol", K::PppProtocol),
        field(L::Hdlc, 0, 1, "address byte", K::Number),
        field(L::Hdlc, 2, 2, "protocol", K::EtherType),
        field(L::Wlan, 0, 1, "frame control byte", K::Number),
        bits(L::Wlan, 0, 1, 0x0c, "frame type", K::Number),
        bits(L::Wlan, 0, 1, 0xf0, "frame subtype", K::Number),
        bits(L::Wlan, 0, 1, 0xfc, "frame type and subtype", K::Number),
        bits(L::Wlan, 0, 1, 0x04, "control frame bit", K::Flag),
        bits(L::Wlan, 0, 1, 0x08, "data frame bit", K::Flag),
        bits(L::Wlan, 0, 1, 0x80, "QoS bit", K::Flag),
        field(L::Wlan, 1, 1, "frame control flags", K::Number),
        bits(L::Wlan, 1, 1, 0x01, "to-DS bit", K::Flag),
        bits(L::Wlan, 1, 1, 0x02, "from-DS bit", K::Flag),
        bits(L::Wlan, 1, 1, 0x03, "direction", K::Number),
        field(L::Wlan, 4, 6, "address 1", K::Mac),
        field(L::Wlan, 10, 6, "address 2", K::Mac),
        field(L::Wlan, 16, 6, "address 3", K::Mac),
        field(L::Radiotap, 2, 1, "low byte of the header length", K::Number),
        field(L::Radiotap, 3, 1, "high byte of the header length", K::Number),
        field(L::Radiotap, 4, 4, "field bitmap", K::Number),
        field(L::Llc, 0, 1, "destination SAP", K::Sap),
        field(L::Llc, 1, 1, "source SAP", K::Sap),
        field(L::Llc, 0, 2, "SAPs", K::Number),
        field(L::Llc, 2, 1, "control byte", K::Number),
        field(L::Llc, 3, 3, "SNAP organisation", K::Number),
        field(L::Llc, 6, 2, "SNAP protocol", K::EtherType),
        field(L::Vlan, 0, 2, "VLAN tag", K::Number),
        bits(L::Vlan, 0, 2, 0x0fff, "VLAN id", K::Number),
        bits(L::Vlan, 0, 2, 0xe000, "VLAN priority", K::Number),
        field(L::Vlan, 2, 2, "EtherType after the VLAN tag", K::EtherType),
        field(L::Mpls, 0, 4, "MPLS label stack entry", K::Number),
        bits(L::Mpls, 0, 4, 0xffff_f000, "MPLS label", K::Number),
        field(L::Mpls, 2, 1, "MPLS byte with the bottom-of-stack bit", K::Number),
        bits(L::Mpls, 2, 1, 1, "MPLS bottom-of-stack bit", K::BottomOfStack),
        field(L::Mpls, 3, 1, "MPLS time to live", K::Number),
        field(L::Pppoe, 1, 1, "PPPoE code", K::Number),
        field(L::Pppoe, 2, 2, "PPPoE session", K::Number),
        bits(L::Pppoe, 0, 4, 0xffff, "PPPoE session", K::Number),
        field(L::Pppoe, 4, 2, "PPPoE length", K::Number),
        field(L::Pppoe, 6, 2, "PPP protocol", K::PppProtocol),
        bits(L::Ip, 0, 1, 0xf0, "IP version", K::IpVersion),
        field(L::Arp, 0, 2, "hardware type", K::Number),
        field(L::Arp, 2, 2, "protocol type", K::EtherType),
        field(L::Arp, 6, 2, "operation", K::ArpOperation),
        field(L::Arp, 8, 6, "sender hardware address", K::Mac),
        field(L::Arp, 14, 4, "sender IP address", K::Ipv4),
        field(L::Arp, 18, 6, "target hardware address", K::Mac),
        field(L::Arp, 24, 4, "target IP address", K::Ipv4),
        field(L::Ipv4, 0, 1, "version and header length", K::Number),
        bits(L::Ipv4, 0, 1, 0xf0, "IP version", K::IpVersion),
        bits(L::Ipv4, 0, 1, 0x0f, "header length in words", K::HeaderLength),
        field(L::Ipv4, 1, 1, "type of service", K::Number),
        field(L::Ipv4, 2, 2, "total length", K::Number),
        field(L::Ipv4, 4, 2, "identification", K::Number),
        field(L::Ipv4, 6, 2, "fragment flags and offset", K::Number),
        bits(L::Ipv4, 6, 2, 0x1fff, "fragment offset", K::FragmentOffset),
        bits(L::Ipv4, 6, 2, 0x2000, "more-fragments bit", K::Flag),
        bits(L::Ipv4, 6, 2, 0x4000, "don't-fragment bit", K::Flag),
        field(L::Ipv4, 8, 1, "time to live", K::Number),
        field(L::Ipv4, 9, 1, "protocol", K::IpProtocol),
        field(L::Ipv4, 10, 2, "header checksum", K::Number),
        field(L::Ipv4, 12, 4, "source address", K::Ipv4),
        field(L::Ipv4, 16, 4, "destination address", K::Ipv4),
        field(L::Ipv6, 0, 4, "version, class and flow", K::Number),
        bits(L::Ipv6, 0, 1, 0xf0, "IP version", K::IpVersion),
        field(L::Ipv6, 4, 2, "payload length", K::Number),
        field(L::Ipv6, 6, 1, "next header", K::IpProtocol),
        field(L::Ipv6, 7, 1, "hop limit", K::Number),
        field(L::Ipv6, 8, 16, "source address", K::Ipv6),
        field(L::Ipv6, 24, 16, "destination address", K::Ipv6),
        field(L::Ipv6Fragment, 0, 1, "next header", K::IpProtocol),
        field(L::Ipv6Fragment, 2, 2, "fragment offset and flag", K::Number),
        bits(L::Ipv6Fragment, 2, 2, 0xfff8, "fragment offset", K::FragmentOffset),
        field(L::Ipv6Fragment, 4, 4, "identification", K::Number),
        field(L::Tcp, 0, 2, "source port", K::Port),
        field(L::Tcp, 2, 2, "destination port", K::Port),
        field(L::Tcp, 4, 4, "sequence number", K::Number),
        field(L::Tcp, 8, 4, "acknowledgement number", K::Number),
        field(L::Tcp, 12, 1, "header length byte", K::Number),
        bits(L::Tcp, 12, 1, 0xf0, "header length", K::HeaderLength),
        field(L::Tcp, 13, 1, "flags", K::TcpFlags),
        field(L::Tcp, 14, 2, "window", K::Number),
        field(L::Tcp, 16, 2, "checksum", K::Number),
        field(L::Tcp, 18, 2, "urgent pointer", K::Number),
        field(L::Udp, 0, 2, "source port", K::Port),
        field(L::Udp, 2, 2, "destination port", K::Port),
        field(L::Udp, 4, 2, "length", K::Number),
        field(L::Udp, 6, 2, "checksum", K::Number),
        field(L::Sctp, 0, 2, "source port", K::Port),
        field(L::Sctp, 2, 2, "destination port", K::Port),
        field(L::Sctp, 4, 4, "verification tag", K::Number),
        field(L::Sctp, 8, 4, "checksum", K::Number),
        field(L::Sctp, 12, 1, "type of the first chunk", K::Number),
        field(L::Icmp, 0, 1, "type", K::Icmp),
        field(L::Icmp, 1, 1, "code", K::Number),
        field(L::Icmp, 2, 2, "checksum", K::Number),
        field(L::Icmp, 4, 2, "identifier", K::Number),
        field(L::Icmp, 6, 2, "sequence number", K::Number),
        field(L::Icmp6, 0, 1, "type", K::Icmp6),
        field(L::Icmp6, 1, 1, "code", K::Number),
        field(L::Icmp6, 2, 2, "checksum", K::Number),
        field(L::Igmp, 0, 1, "type", K::Number),
        field(L::Geneve, 0, 1, "version and options length", K::Number),
        bits(L::Geneve, 0, 1, 0xc0, "version", K::Number),
        bits(L::Geneve, 0, 1, 0x3f, "options length in words", K::Number),
        field(L::Geneve, 2, 2, "protocol", K::EtherType),
        bits(L::Geneve, 4, 4, 0xffff_ff00, "network identifier", K::Number),
        field(L::Vxlan, 0, 1, "flags", K::Number),
        bits(L::Vxlan, 4, 4, 0xffff_ff00, "network identifier", K::Number),
    ]
};

/// Where the announced header begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// This many bytes after the start of the announcing header.
    After(u32),
    /// After the IPv4 header, whose length is in its first byte.
    AfterIpv4,
    /// After the Geneve header and its options, whose length is in the first byte.
    AfterGeneve,
}

/// Where the header begins that `field` announces by its value.
pub(super) const fn payload(field: &Field) -> Option<Start> {
    Some(match field.layer {
        Layer::Ethernet => Start::After(14),
        Layer::CookedV1 => Start::After(16),
        Layer::CookedV2 => Start::After(20),
        Layer::HostLoopback | Layer::NetLoopback | Layer::Ppp | Layer::Hdlc | Layer::Vlan | Layer::Mpls => {
            Start::After(4)
        }
        Layer::Llc | Layer::Pppoe | Layer::Udp | Layer::Ipv6Fragment => Start::After(8),
        // The version does not lead to another place, only to another name.
        Layer::Ip => Start::After(0),
        Layer::Ipv4 => match field.kind {
            Kind::IpVersion => return None,
            _ => Start::AfterIpv4,
        },
        Layer::Ipv6 => match field.kind {
            Kind::IpVersion => return None,
            _ => Start::After(40),
        },
        Layer::Geneve => Start::AfterGeneve,
        _ => return None,
    })
}

/// The header that a value of a field announces.
pub(super) fn announced(field: &Field, value: u32) -> Option<Layer> {
    match field.kind {
        Kind::EtherType => match u16::try_from(value).ok()? {
            ethertype::IPV4 => Some(Layer::Ipv4),
            ethertype::IPV6 => Some(Layer::Ipv6),
            ethertype::ARP | ethertype::RARP => Some(Layer::Arp),
            // IEEE 802.1Q, 802.1ad and the number used before that.
            0x8100 | 0x88a8 | 0x9100 => Some(Layer::Vlan),
            0x8847 | 0x8848 => Some(Layer::Mpls),
            0x8863 | 0x8864 => Some(Layer::Pppoe),
            ethertype::TEB => Some(Layer::Ethernet),
            _ => None,
        },
        Kind::IpProtocol => match u8::try_from(value).ok()? {
            ip_proto::TCP => Some(Layer::Tcp),
            ip_proto::UDP => Some(Layer::Udp),
            132 => Some(Layer::Sctp),
            1 => Some(Layer::Icmp),
            2 => Some(Layer::Igmp),
            4 => Some(Layer::Ipv4),
            41 => Some(Layer::Ipv6),
            44 => Some(Layer::Ipv6Fragment),
            58 => Some(Layer::Icmp6),
            _ => None,
        },
        Kind::PppProtocol => match value {
            0x0021 => Some(Layer::Ipv4),
            0x0057 => Some(Layer::Ipv6),
            0x0281 => Some(Layer::Mpls),
            _ => None,
        },
        Kind::NetFamily => family(value),
        Kind::HostFamily => family(value).or_else(|| family(value.swap_bytes())),
        Kind::IpVersion => match value {
            0x40 => Some(Layer::Ipv4),
            0x60 => Some(Layer::Ipv6),
            _ => None,
        },
        Kind::Port => match (field.layer, field.name, value) {
            (Layer::Udp, "destination port", 6081) => Some(Layer::Geneve),
            (Layer::Udp, "destination port", 4789) => Some(Layer::Vxlan),
            _ => None,
        },
        _ => None,
    }
}

/// The header behind an address family: `AF_INET`, and `AF_INET6` of Linux, NetBSD, FreeBSD and macOS.
const fn family(value: u32) -> Option<Layer> {
    match value {
        2 => Some(Layer::Ipv4),
        10 | 24 | 28 | 30 => Some(Layer::Ipv6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_sorted_and_masks_fit() {
        assert!(FIELDS.is_sorted_by_key(|field| field.layer));
        for field in FIELDS {
            assert!(field.mask == u32::MAX || field.size == 4 || field.mask < 1 << (field.size * 8), "{field:?}");
        }
    }

    #[test]
    fn families_are_read_in_both_byte_orders() {
        let field = FIELDS.iter().find(|field| field.kind == Kind::HostFamily).unwrap();
        assert_eq!(announced(field, 0x0200_0000), Some(Layer::Ipv4));
        assert_eq!(announced(field, 2), Some(Layer::Ipv4));
        assert_eq!(announced(field, 0x0a00_0000), Some(Layer::Ipv6));
    }
}
