//! Where things stand in the packets of each link type, and how the next protocol is recognised there.
//!
//! One table; a link type without a row supports what needs no knowledge of it: `link[...]`, `len`, numbers.

use skep_proto::LinkType;

/// How a link type names the protocol that it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TypeTest {
    /// EtherType, or an 802.3 length and LLC.
    Ethernet,
    /// Cisco HDLC: EtherType, OSI as 0xfefe.
    Hdlc,
    /// 802.11: LLC in data frames only.
    Wlan,
    /// 802.2 LLC and SNAP.
    Llc,
    /// LLC in circuits of that kind only.
    SunAtm,
    /// Linux cooked: EtherType, or a mark for 802.3 or LLC.
    Cooked,
    /// The version nibble of the IP header.
    Version,
    /// Always IPv4.
    Ipv4,
    /// Always IPv6.
    Ipv6,
    /// PPP protocol number.
    Ppp,
    /// The same, with compressed TCP counting as IP.
    PppBsdos,
    /// Address family as a word of the capturing host's byte order.
    FamilyHost,
    /// Address family as a word in network byte order.
    FamilyNet,
    /// Address family in byte 1.
    Pflog,
    /// ARCnet protocol byte.
    Arcnet,
    /// Always AppleTalk.
    Localtalk,
    /// Frame Relay NLPID.
    FrameRelay,
    /// Juniper's magic number; the protocol is not looked at.
    Juniper,
    /// BACnet's preamble.
    Bacnet,
    /// Address family byte of Solaris ipnet.
    Ipnet,
    /// A 16-bit EtherType and nothing else.
    Field,
    /// Known, but not implemented by anybody.
    Unsupported,
}

/// Where 48-bit (or 8-bit) hardware addresses stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hardware {
    /// No addresses that a filter can name.
    None,
    /// Offsets of destination and source.
    Mac { dst: u32, src: u32 },
    /// Depends on the frame control field.
    Wlan,
    /// One byte each.
    Arcnet,
}

/// A row of the table. Offsets are bytes from the start of the packet.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The link type.
    pub link: LinkType,
    /// Start of the link-layer header.
    pub header: u32,
    /// Protocol field, where there is one.
    pub protocol: Option<u32>,
    /// Start of the payload (LLC header, where there is one).
    pub payload: Option<u32>,
    /// From the payload to the network header.
    pub network: u32,
    /// The same for protocols that follow an LLC header without SNAP; -1 occurs.
    pub network_no_snap: i32,
    /// How the protocol is recognised.
    pub test: TypeTest,
    /// Hardware addresses.
    pub hardware: Hardware,
}

const ETHER: Hardware = Hardware::Mac { dst: 0, src: 6 };

const fn row(
    link: LinkType,
    (header, protocol, payload): (u32, Option<u32>, Option<u32>),
    (network, network_no_snap): (u32, i32),
    test: TypeTest,
    hardware: Hardware,
) -> Layout {
    Layout { link, header, protocol, payload, network, network_no_snap, test, hardware }
}

// TABLE: header, protocol field, payload; network header behind the payload with and without SNAP; test; addresses.
#[rustfmt::skip]
static LAYOUTS: &[Layout] = &[
    row(LinkType::EN10MB, (0, Some(12), Some(14)), (0, 3), TypeTest::Ethernet, ETHER),
    row(LinkType::NETANALYZER, (4, Some(16), Some(18)), (0, 3), TypeTest::Ethernet, ETHER),
    row(LinkType::NETANALYZER_TRANSPARENT, (12, Some(24), Some(26)), (0, 3), TypeTest::Ethernet, ETHER),
    row(LinkType::DSA_TAG_BRCM, (0, Some(16), Some(18)), (0, 3), TypeTest::Unsupported, ETHER),
    row(LinkType::DSA_TAG_DSA, (0, Some(16), Some(18)), (0, 3), TypeTest::Unsupported, ETHER),
    row(LinkType::LINUX_SLL, (0, Some(14), Some(16)), (0, 0), TypeTest::Cooked, Hardware::None),
    row(LinkType::LINUX_SLL2, (0, Some(0), Some(20)), (0, 0), TypeTest::Field, Hardware::None),
    row(LinkType::RAW, (0, None, Some(0)), (0, 0), TypeTest::Version, Hardware::None),
    row(LinkType::IPV4, (0, None, Some(0)), (0, 0), TypeTest::Ipv4, Hardware::None),
    row(LinkType::IPV6, (0, None, Some(0)), (0, 0), TypeTest::Ipv6, Hardware::None),
    row(LinkType::NULL, (0, Some(0), Some(4)), (0, 0), TypeTest::FamilyHost, Hardware::None),
    row(LinkType::LOOP, (0, Some(0), Some(4)), (0, 0), TypeTest::FamilyNet, Hardware::None),
    row(LinkType::ENC, (0, Some(0), Some(12)), (0, 0), TypeTest::FamilyHost, Hardware::None),
    row(LinkType::PPP, (0, Some(2), Some(4)), (0, 0), TypeTest::Ppp, Hardware::None),
    row(LinkType::PPP_SERIAL, (0, Some(2), Some(4)), (0, 0), TypeTest::Ppp, Hardware::None),
    row(LinkType::PPP_PPPD, (0, Some(2), Some(4)), (0, 0), TypeTest::Ppp, Hardware::None),
    row(LinkType::PPP_ETHER, (0, Some(6), Some(8)), (0, 0), TypeTest::Ppp, Hardware::None),
    row(LinkType::PPP_BSDOS, (0, Some(5), Some(24)), (0, 0), TypeTest::PppBsdos, Hardware::None),
    row(LinkType::C_HDLC, (0, Some(2), Some(4)), (0, 0), TypeTest::Hdlc, Hardware::None),
    row(LinkType::SLIP, (0, None, Some(16)), (0, 0), TypeTest::Version, Hardware::None),
    row(LinkType::SLIP_BSDOS, (0, None, Some(24)), (0, 0), TypeTest::Version, Hardware::None),
    row(LinkType::FRELAY, (0, None, Some(0)), (0, 0), TypeTest::FrameRelay, Hardware::None),
    row(LinkType::MFR, (0, None, Some(0)), (0, 0), TypeTest::Unsupported, Hardware::None),
    row(LinkType::IEEE802_11, (0, Some(24), Some(0)), (8, 3), TypeTest::Wlan, Hardware::Wlan),
    row(LinkType::IEEE802_11_RADIO, (0, Some(24), Some(0)), (8, 3), TypeTest::Wlan, Hardware::Wlan),
    row(LinkType::IEEE802_11_RADIO_AVS, (0, Some(24), Some(0)), (8, 3), TypeTest::Wlan, Hardware::Wlan),
    row(LinkType::PRISM_HEADER, (0, Some(24), Some(0)), (8, 3), TypeTest::Wlan, Hardware::Wlan),
    row(LinkType::PPI, (0, Some(24), Some(0)), (8, 3), TypeTest::Wlan, Hardware::Wlan),
    row(LinkType::PFLOG, (0, Some(0), Some(0)), (0, 0), TypeTest::Pflog, Hardware::None),
    row(LinkType::FDDI, (0, Some(13), Some(13)), (8, 3), TypeTest::Llc, Hardware::Mac { dst: 1, src: 7 }),
    row(LinkType::IEEE802, (0, Some(14), Some(14)), (8, 3), TypeTest::Llc, Hardware::Mac { dst: 2, src: 8 }),
    row(LinkType::IP_OVER_FC, (0, Some(16), Some(16)), (8, 3), TypeTest::Llc, Hardware::Mac { dst: 2, src: 10 }),
    row(LinkType::ATM_RFC1483, (0, Some(0), Some(0)), (8, 3), TypeTest::Llc, Hardware::None),
    row(LinkType::ATM_CLIP, (0, Some(0), Some(0)), (8, 3), TypeTest::Llc, Hardware::None),
    row(LinkType::SUNATM, (0, Some(4), Some(4)), (8, 3), TypeTest::SunAtm, Hardware::None),
    row(LinkType::ARCNET, (0, Some(2), Some(6)), (0, 0), TypeTest::Arcnet, Hardware::Arcnet),
    row(LinkType::ARCNET_LINUX, (0, Some(4), Some(8)), (0, 0), TypeTest::Arcnet, Hardware::Arcnet),
    row(LinkType::LTALK, (0, None, Some(0)), (0, 0), TypeTest::Localtalk, Hardware::None),
    row(LinkType::APPLE_IP_OVER_IEEE1394, (0, Some(16), Some(18)), (0, 0), TypeTest::Field, Hardware::None),
    row(LinkType::SYMANTEC_FIREWALL, (0, Some(6), Some(44)), (0, 0), TypeTest::Field, Hardware::None),
    row(LinkType::IPNET, (0, Some(1), Some(24)), (0, -1), TypeTest::Ipnet, Hardware::None),
    row(LinkType::BACNET_MS_TP, (0, None, None), (0, 0), TypeTest::Bacnet, Hardware::None),
    row(LinkType::JUNIPER_MFR, (0, Some(4), Some(4)), (0, -1), TypeTest::Juniper, Hardware::None),
    row(LinkType::JUNIPER_MLFR, (0, Some(4), Some(4)), (0, -1), TypeTest::Juniper, Hardware::None),
    row(LinkType::JUNIPER_MLPPP, (0, Some(4), Some(4)), (0, -1), TypeTest::Juniper, Hardware::None),
    row(LinkType::JUNIPER_PPP, (0, Some(4), Some(4)), (0, -1), TypeTest::Juniper, Hardware::None),
    row(LinkType::JUNIPER_CHDLC, (0, Some(4), Some(4)), (0, -1), TypeTest::Juniper, Hardware::None),
    row(LinkType::JUNIPER_FRELAY, (0, Some(4), Some(4)), (0, -1), TypeTest::Juniper, Hardware::None),
    row(LinkType::JUNIPER_GGSN, (0, Some(6), Some(12)), (0, -1), TypeTest::Juniper, Hardware::None),
    row(LinkType::JUNIPER_MONITOR, (0, None, Some(12)), (0, -1), TypeTest::Juniper, Hardware::None),
    row(LinkType::JUNIPER_ATM1, (0, Some(4), Some(4)), (0, 10), TypeTest::Juniper, Hardware::None),
    row(LinkType::JUNIPER_ATM2, (0, Some(8), Some(8)), (0, 10), TypeTest::Juniper, Hardware::None),
    row(LinkType::JUNIPER_PPPOE, (0, Some(16), Some(14)), (18, 21), TypeTest::Juniper, Hardware::None),
    row(LinkType::JUNIPER_ETHER, (0, Some(16), Some(14)), (18, 21), TypeTest::Juniper, Hardware::None),
];

impl Layout {
    /// The layout of a link type; the numbers beyond the header are unknown for one without a row.
    pub fn of(link: LinkType) -> Self {
        LAYOUTS.iter().find(|l| l.link == link).copied().unwrap_or(Self {
            link,
            header: 0,
            protocol: None,
            payload: None,
            network: 0,
            network_no_snap: 0,
            test: TypeTest::Unsupported,
            hardware: Hardware::None,
        })
    }

    /// Whether this is one of the 802.11 types.
    pub fn is_wlan(&self) -> bool {
        self.test == TypeTest::Wlan
    }
}

/// Link types whose protocols a filter can name; on all others `link[N:M]`, `len` and numbers work.
pub fn supported_links() -> impl Iterator<Item = LinkType> {
    LAYOUTS.iter().filter(|l| l.test != TypeTest::Unsupported).map(|l| l.link)
}
