//! Protocol numbers and their names: one table for each kind, read by the filter compiler, decoders and printers.
//!
//! Link types are in [`crate::link`]; nothing here looks at the machine (`/etc/services` and the like).
//! Facts: the IANA registries, RFC 792, 3168, 4443 and 9293, IEEE 802.2, pcap-filter(7), and the words that
//! tcpdump 4.99.3 prints.

/// A row of a name table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The number on the wire.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
}

fn find(table: &'static [Named], number: u32) -> Option<&'static str> {
    let at = table.binary_search_by_key(&number, |row| row.number).ok()?;
    table.get(at).map(|row| row.name)
}

/// A module of constants and their table, sorted by number.
macro_rules! numbers {
    ($(#[$doc:meta])* $module:ident: $ty:ty { $($name:ident = $value:literal, $text:literal;)* }) => {
        $(#[$doc])*
        pub mod $module {
            use super::Named;

            $(#[doc = concat!("`", $text, "`.")] pub const $name: $ty = $value;)*

            /// Every row, sorted by number.
            pub const TABLE: &[Named] = &[$(Named { number: $value, name: $text },)*];

            /// The name of a number, or `None` if the table has none.
            #[must_use]
            pub fn name(number: $ty) -> Option<&'static str> {
                super::find(TABLE, u32::from(number))
            }
        }
    };
}

// TABLE: EtherTypes with the names that `tcpdump -e` prints.
numbers! {
    /// EtherTypes: the two bytes after the addresses of an Ethernet frame (from 0x600; smaller values are lengths).
    ethertype: u16 {
        NS = 0x0600, "NS";
        GEONET_OLD = 0x0707, "GeoNet (old)";
        IPV4 = 0x0800, "IPv4";
        ARP = 0x0806, "ARP";
        TRAIL = 0x1000, "Trail";
        CALM_FAST = 0x1111, "CALM FAST";
        MOPDL = 0x6001, "MOP DL";
        MOPRC = 0x6002, "MOP RC";
        DECNET = 0x6003, "DN";
        LAT = 0x6004, "LAT";
        SCA = 0x6007, "SCA";
        TEB = 0x6558, "TEB";
        RARP = 0x8035, "Reverse ARP";
        LANBRIDGE = 0x8038, "Lanbridge";
        DEC_DNS = 0x803c, "DEC DNS";
        DEC_DTS = 0x803e, "DEC DTS";
        VEXP = 0x805b, "VEXP";
        VPROD = 0x805c, "VPROD";
        ATALK = 0x809b, "Appletalk";
        AARP = 0x80f3, "Appletalk ARP";
        VLAN = 0x8100, "802.1Q";
        IPX = 0x8137, "IPX";
        IPV6 = 0x86dd, "IPv6";
        MPCP = 0x8808, "MPCP";
        SLOW = 0x8809, "Slow Protocols";
        PPP = 0x880b, "PPP";
        MPLS = 0x8847, "MPLS unicast";
        MPLS_MULTICAST = 0x8848, "MPLS multicast";
        PPPOE_DISCOVERY = 0x8863, "PPPoE D";
        PPPOE_SESSION = 0x8864, "PPPoE S";
        MS_NLB = 0x886f, "MS NLB heartbeat";
        EAPOL = 0x888e, "EAPOL";
        REALTEK = 0x8899, "Realtek protocols";
        AOE = 0x88a2, "AoE";
        QINQ = 0x88a8, "802.1Q-QinQ";
        TIPC = 0x88ca, "TIPC";
        LLDP = 0x88cc, "LLDP";
        MACSEC = 0x88e5, "802.1AE MACsec";
        PTP = 0x88f7, "PTP";
        CFM = 0x8902, "CFM";
        IEEE1905 = 0x893a, "IEEE1905.1";
        GEONET = 0x8947, "GeoNet";
        NSH = 0x894f, "NSH";
        LOOPBACK = 0x9000, "Loopback";
        QINQ_9100 = 0x9100, "802.1Q-9100";
        QINQ_9200 = 0x9200, "802.1Q-9200";
        CFM_OLD = 0xabcd, "CFM (old)";
        ARISTA = 0xd28b, "Arista Vendor Specific Protocol";
        OSI = 0xfefe, "OSI";
    }
}

// TABLE: IEEE 802.2 service access points with the names that tcpdump prints.
numbers! {
    /// LLC service access points (IEEE 802.2), the first two bytes of an 802.3 payload.
    llc_sap: u8 {
        NULL = 0x00, "Null";
        GLOBAL_2 = 0x02, "802.1B I";
        GROUP_3 = 0x03, "802.1B G";
        SNA = 0x04, "SNA";
        IP = 0x06, "IP";
        PROWAY_NM = 0x0e, "ProWay NM";
        SPANNING_TREE = 0x42, "STP";
        RS511 = 0x4e, "RS511";
        ISO8208 = 0x7e, "ISO8208";
        PROWAY = 0x8e, "ProWay";
        SNAP = 0xaa, "SNAP";
        IPX = 0xe0, "IPX";
        NETBEUI = 0xf0, "NetBeui";
        ISO_NS = 0xfe, "OSI";
        GLOBAL = 0xff, "Global";
    }
}

// TABLE: EtherTypes and SAPs that `ether proto` knows by name (pcap-filter(7)).
/// Names after `ether proto`. Numbers up to 1500 are LLC service access points, the others EtherTypes.
///
/// The last two rows came with libpcap 1.11.
pub const ETHER_PROTOS: &[Named] = &[
    Named { number: ethertype::AARP as u32, name: "aarp" },
    Named { number: ethertype::ARP as u32, name: "arp" },
    Named { number: ethertype::ATALK as u32, name: "atalk" },
    Named { number: ethertype::DECNET as u32, name: "decnet" },
    Named { number: ethertype::IPV4 as u32, name: "ip" },
    Named { number: ethertype::IPV6 as u32, name: "ip6" },
    Named { number: llc_sap::IPX as u32, name: "ipx" },
    Named { number: llc_sap::ISO_NS as u32, name: "iso" },
    Named { number: ethertype::LAT as u32, name: "lat" },
    Named { number: ethertype::LOOPBACK as u32, name: "loopback" },
    Named { number: ethertype::MOPDL as u32, name: "mopdl" },
    Named { number: ethertype::MOPRC as u32, name: "moprc" },
    Named { number: llc_sap::NETBEUI as u32, name: "netbeui" },
    Named { number: ethertype::RARP as u32, name: "rarp" },
    Named { number: ethertype::SCA as u32, name: "sca" },
    Named { number: llc_sap::SPANNING_TREE as u32, name: "stp" },
    Named { number: ethertype::LLDP as u32, name: "lldp" },
    Named { number: ethertype::SLOW as u32, name: "slow" },
];

/// The number of a name after `ether proto`; `libpcap_1_11` adds the names of that release.
#[must_use]
pub fn ether_proto(name: &str, libpcap_1_11: bool) -> Option<u16> {
    let newer = matches!(name, "lldp" | "slow");
    let row = ETHER_PROTOS.iter().find(|row| row.name == name && (libpcap_1_11 || !newer))?;
    u16::try_from(row.number).ok()
}

/// What is known about one number of the protocol field of IPv4 (next header of IPv6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpProtocol {
    /// The number on the wire.
    pub number: u8,
    /// The name, as in `/etc/protocols`.
    pub name: &'static str,
    /// The name that tcpdump prints for `-v` (`proto TCP (6)`), where it has one.
    pub title: Option<&'static str>,
}

/// Constants and table of the IP protocols.
macro_rules! ip_protocols {
    ($($(const $constant:ident)? $number:literal $name:literal $($title:literal)?;)*) => {
        /// IP protocol numbers (IANA "Assigned Internet Protocol Numbers").
        pub mod ip_proto {
            $($(#[doc = concat!("`", $name, "`.")] pub const $constant: u8 = $number;)?)*
        }

        /// Every IP protocol with a name, sorted by number. It serves where `/etc/protocols` is missing.
        pub const IP_PROTOCOLS: &[IpProtocol] = &[
            $(IpProtocol { number: $number, name: $name, title: title!($($title)?) },)*
        ];
    };
}

/// An optional string as an `Option`.
macro_rules! title {
    () => {
        None
    };
    ($title:literal) => {
        Some($title)
    };
}

// TABLE: number, name, tcpdump's title.
ip_protocols! {
    const HOPOPTS 0 "hopopt" "Options";
    const ICMP 1 "icmp" "ICMP";
    const IGMP 2 "igmp" "IGMP";
    3 "ggp";
    const IPIP 4 "ipencap" "IPIP";
    5 "st";
    const TCP 6 "tcp" "TCP";
    7 "cbt";
    const EGP 8 "egp" "EGP";
    const IGRP 9 "igrp" "IGRP";
    10 "bbn-rcc-mon";
    11 "nvp-ii";
    12 "pup";
    13 "argus";
    14 "emcon";
    15 "xnet";
    16 "chaos";
    const UDP 17 "udp" "UDP";
    18 "mux";
    19 "dcn-meas";
    20 "hmp";
    21 "prm";
    22 "xns-idp";
    23 "trunk-1";
    24 "trunk-2";
    25 "leaf-1";
    26 "leaf-2";
    27 "rdp";
    28 "irtp";
    29 "iso-tp4";
    30 "netblt";
    31 "mfe-nsp";
    32 "merit-inp";
    const DCCP 33 "dccp" "DCCP";
    34 "3pc";
    35 "idpr";
    36 "xtp";
    37 "ddp";
    38 "idpr-cmtp";
    39 "tp++";
    40 "il";
    const IPV6 41 "ipv6" "IPv6";
    42 "sdrp";
    const ROUTING 43 "ipv6-route" "Routing";
    const FRAGMENT 44 "ipv6-frag" "Fragment";
    45 "idrp";
    const RSVP 46 "rsvp" "RSVP";
    const GRE 47 "gre" "GRE";
    48 "dsr";
    49 "bna";
    const ESP 50 "esp" "ESP";
    const AH 51 "ah" "AH";
    52 "i-nlsp";
    53 "swipe";
    54 "narp";
    55 "mobile" "Mobile IP";
    56 "tlsp";
    57 "skip";
    const ICMPV6 58 "ipv6-icmp" "ICMPv6";
    const NO_NEXT 59 "ipv6-nonxt";
    const DSTOPTS 60 "ipv6-opts";
    62 "cftp" "Mobile IP (old)";
    64 "sat-expak";
    65 "kryptolan";
    66 "rvd";
    67 "ippc";
    69 "sat-mon";
    70 "visa";
    71 "ipcv";
    72 "cpnx";
    73 "rspf";
    74 "wsn";
    75 "pvp";
    76 "br-sat-mon";
    77 "nd";
    78 "wb-mon";
    79 "wb-expak";
    80 "iso-ip";
    81 "vmtp";
    82 "secure-vmtp";
    83 "vines";
    84 "ttp";
    85 "nsfnet-igp";
    86 "dgp";
    87 "tcf";
    const EIGRP 88 "eigrp" "EIGRP";
    const OSPF 89 "ospf" "OSPF";
    90 "sprite-rpc";
    91 "larp";
    92 "mtp";
    93 "ax.25";
    const IPIP_ENCAP 94 "ipip";
    95 "micp";
    96 "scc-sp";
    const ETHERIP 97 "etherip";
    98 "encap";
    100 "gmtp";
    101 "ifmp";
    102 "pnni";
    const PIM 103 "pim" "PIM";
    104 "aris";
    105 "scps";
    106 "qnx";
    107 "a/n";
    const IPCOMP 108 "ipcomp" "Compressed IP";
    109 "snp";
    110 "compaq-peer";
    111 "ipx-in-ip";
    const VRRP 112 "vrrp" "VRRP";
    const PGM 113 "pgm" "PGM";
    const L2TP 115 "l2tp";
    116 "ddx";
    117 "iatp";
    118 "stp";
    119 "srp";
    120 "uti";
    121 "smp";
    122 "sm";
    123 "ptp";
    124 "isis";
    125 "fire";
    126 "crtp";
    127 "crudp";
    128 "sscopmce";
    129 "iplt";
    130 "sps";
    131 "pipe";
    const SCTP 132 "sctp" "SCTP";
    133 "fc";
    134 "rsvp-e2e-ignore";
    const MOBILITY 135 "mobility-header" "Mobility";
    const UDPLITE 136 "udplite";
    const MPLS 137 "mpls-in-ip";
    138 "manet";
    const HIP 139 "hip";
    const SHIM6 140 "shim6";
    141 "wesp";
    142 "rohc";
    const ETHERNET 143 "ethernet" "Ethernet";
    253 "exptest-253";
    254 "exptest-254";
    255 "reserved";
}

// TABLE: other names under which protocols are known.
/// Second names of IP protocols: those of `/etc/protocols` on Debian and of pcap-filter(7).
pub const IP_PROTOCOL_ALIASES: &[(&str, u8)] = &[
    ("ip", 0),
    ("igp", 9),
    ("idpr-cmtp", 38),
    ("icmp6", ip_proto::ICMPV6),
    ("icmpv6", ip_proto::ICMPV6),
    ("ip6", ip_proto::IPV6),
    ("ip-encap", ip_proto::IPIP),
    ("ipsec-esp", ip_proto::ESP),
    ("ipsec-ah", ip_proto::AH),
    ("ospfigp", ip_proto::OSPF),
    ("carp", ip_proto::VRRP),
];

/// The row of an IP protocol, or `None` if the number has no name.
#[must_use]
pub fn ip_protocol(number: u8) -> Option<&'static IpProtocol> {
    let at = IP_PROTOCOLS.binary_search_by_key(&number, |row| row.number).ok()?;
    IP_PROTOCOLS.get(at)
}

/// The number of an IP protocol by name, in any case.
///
/// ```
/// use skep_proto::numbers::ip_protocol_number;
/// assert_eq!(ip_protocol_number("tcp"), Some(6));
/// assert_eq!(ip_protocol_number("ICMP6"), Some(58));
/// assert_eq!(ip_protocol_number("nosuch"), None);
/// ```
#[must_use]
pub fn ip_protocol_number(name: &str) -> Option<u8> {
    let row = IP_PROTOCOLS.iter().find(|row| row.name.eq_ignore_ascii_case(name)).map(|row| row.number);
    row.or_else(|| IP_PROTOCOL_ALIASES.iter().find(|row| row.0.eq_ignore_ascii_case(name)).map(|row| row.1))
}

/// Bits of byte 13 of a TCP header (RFC 9293, 3168).
pub mod tcp_flag {
    use super::Named;

    /// Sender is finished.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
    /// ECN echo.
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u8 = 0x80;

    // TABLE: bit and the letter that tcpdump prints, in its order.
    /// Bits and letters in the order in which tcpdump prints them (4.99 does not print 0x100, accurate ECN).
    pub const TABLE: &[Named] = &[
        Named { number: FIN as u32, name: "F" },
        Named { number: SYN as u32, name: "S" },
        Named { number: RST as u32, name: "R" },
        Named { number: PSH as u32, name: "P" },
        Named { number: ACK as u32, name: "." },
        Named { number: URG as u32, name: "U" },
        Named { number: ECE as u32, name: "E" },
        Named { number: CWR as u32, name: "W" },
    ];
}

// TABLE: ICMP types.
numbers! {
    /// ICMP message types (RFC 792 and successors).
    icmp: u8 {
        ECHO_REPLY = 0, "echo reply";
        UNREACHABLE = 3, "destination unreachable";
        SOURCE_QUENCH = 4, "source quench";
        REDIRECT = 5, "redirect";
        ECHO = 8, "echo request";
        ROUTER_ADVERTISEMENT = 9, "router advertisement";
        ROUTER_SOLICITATION = 10, "router solicitation";
        TIME_EXCEEDED = 11, "time exceeded";
        PARAMETER_PROBLEM = 12, "parameter problem";
        TIMESTAMP = 13, "time stamp query";
        TIMESTAMP_REPLY = 14, "time stamp reply";
        INFORMATION_REQUEST = 15, "information request";
        INFORMATION_REPLY = 16, "information reply";
        MASK_REQUEST = 17, "address mask request";
        MASK_REPLY = 18, "address mask reply";
    }
}

// TABLE: ICMPv6 types with the words that tcpdump prints.
numbers! {
    /// ICMPv6 message types (RFC 4443, 4861, 3810 and the IANA registry).
    icmp6: u8 {
        UNREACHABLE = 1, "destination unreachable";
        PACKET_TOO_BIG = 2, "packet too big";
        TIME_EXCEEDED = 3, "time exceeded in-transit";
        PARAMETER_PROBLEM = 4, "parameter problem";
        ECHO = 128, "echo request";
        ECHO_REPLY = 129, "echo reply";
        MULTICAST_LISTENER_QUERY = 130, "multicast listener query";
        MULTICAST_LISTENER_REPORT = 131, "multicast listener report";
        MULTICAST_LISTENER_DONE = 132, "multicast listener done";
        ROUTER_SOLICITATION = 133, "router solicitation";
        ROUTER_ADVERTISEMENT = 134, "router advertisement";
        NEIGHBOR_SOLICITATION = 135, "neighbor solicitation";
        NEIGHBOR_ADVERTISEMENT = 136, "neighbor advertisement";
        REDIRECT = 137, "redirect";
        ROUTER_RENUMBERING = 138, "router renumbering";
        NODE_INFORMATION_QUERY = 139, "node information query";
        NODE_INFORMATION_RESPONSE = 140, "node information reply";
        INVERSE_SOLICITATION = 141, "inverse neighbor solicitation";
        INVERSE_ADVERTISEMENT = 142, "inverse neighbor advertisement";
        MULTICAST_LISTENER_REPORT_V2 = 143, "multicast listener report v2";
        HOME_AGENT_REQUEST = 144, "ha discovery request";
        HOME_AGENT_REPLY = 145, "ha discovery reply";
        MOBILE_PREFIX_SOLICIT = 146, "mobile router solicitation";
        MOBILE_PREFIX_ADVERT = 147, "mobile router advertisement";
        CERT_PATH_SOLICIT = 148, "certification path solicitation";
        CERT_PATH_ADVERT = 149, "certification path advertisement";
        MULTICAST_ROUTER_ADVERT = 151, "multicast router advertisement";
        MULTICAST_ROUTER_SOLICIT = 152, "multicast router solicitation";
        MULTICAST_ROUTER_TERM = 153, "multicast router termination";
        RPL = 155, "RPL";
    }
}

// TABLE: the named constants of pcap-filter(7).
/// Words that stand for plain numbers anywhere in a filter expression.
pub const FILTER_CONSTANTS: &[Named] = &[
    Named { number: 0, name: "icmptype" },
    Named { number: 1, name: "icmpcode" },
    Named { number: 0, name: "icmp6type" },
    Named { number: 1, name: "icmp6code" },
    Named { number: 13, name: "tcpflags" },
    Named { number: tcp_flag::FIN as u32, name: "tcp-fin" },
    Named { number: tcp_flag::SYN as u32, name: "tcp-syn" },
    Named { number: tcp_flag::RST as u32, name: "tcp-rst" },
    Named { number: tcp_flag::PSH as u32, name: "tcp-push" },
    Named { number: tcp_flag::ACK as u32, name: "tcp-ack" },
    Named { number: tcp_flag::URG as u32, name: "tcp-urg" },
    Named { number: tcp_flag::ECE as u32, name: "tcp-ece" },
    Named { number: tcp_flag::CWR as u32, name: "tcp-cwr" },
    Named { number: icmp::ECHO_REPLY as u32, name: "icmp-echoreply" },
    Named { number: icmp::UNREACHABLE as u32, name: "icmp-unreach" },
    Named { number: icmp::SOURCE_QUENCH as u32, name: "icmp-sourcequench" },
    Named { number: icmp::REDIRECT as u32, name: "icmp-redirect" },
    Named { number: icmp::ECHO as u32, name: "icmp-echo" },
    Named { number: icmp::ROUTER_ADVERTISEMENT as u32, name: "icmp-routeradvert" },
    Named { number: icmp::ROUTER_SOLICITATION as u32, name: "icmp-routersolicit" },
    Named { number: icmp::TIME_EXCEEDED as u32, name: "icmp-timxceed" },
    Named { number: icmp::PARAMETER_PROBLEM as u32, name: "icmp-paramprob" },
    Named { number: icmp::TIMESTAMP as u32, name: "icmp-tstamp" },
    Named { number: icmp::TIMESTAMP_REPLY as u32, name: "icmp-tstampreply" },
    Named { number: icmp::INFORMATION_REQUEST as u32, name: "icmp-ireq" },
    Named { number: icmp::INFORMATION_REPLY as u32, name: "icmp-ireqreply" },
    Named { number: icmp::MASK_REQUEST as u32, name: "icmp-maskreq" },
    Named { number: icmp::MASK_REPLY as u32, name: "icmp-maskreply" },
    Named { number: icmp6::UNREACHABLE as u32, name: "icmp6-destinationunreach" },
    Named { number: icmp6::PACKET_TOO_BIG as u32, name: "icmp6-packettoobig" },
    Named { number: icmp6::TIME_EXCEEDED as u32, name: "icmp6-timeexceeded" },
    Named { number: icmp6::PARAMETER_PROBLEM as u32, name: "icmp6-parameterproblem" },
    Named { number: icmp6::ECHO as u32, name: "icmp6-echo" },
    Named { number: icmp6::ECHO_REPLY as u32, name: "icmp6-echoreply" },
    Named { number: icmp6::MULTICAST_LISTENER_QUERY as u32, name: "icmp6-multicastlistenerquery" },
    Named { number: icmp6::MULTICAST_LISTENER_REPORT as u32, name: "icmp6-multicastlistenerreportv1" },
    Named { number: icmp6::MULTICAST_LISTENER_DONE as u32, name: "icmp6-multicastlistenerdone" },
    Named { number: icmp6::ROUTER_SOLICITATION as u32, name: "icmp6-routersolicit" },
    Named { number: icmp6::ROUTER_ADVERTISEMENT as u32, name: "icmp6-routeradvert" },
    Named { number: icmp6::NEIGHBOR_SOLICITATION as u32, name: "icmp6-neighborsolicit" },
    Named { number: icmp6::NEIGHBOR_ADVERTISEMENT as u32, name: "icmp6-neighboradvert" },
    Named { number: icmp6::REDIRECT as u32, name: "icmp6-redirect" },
    Named { number: icmp6::ROUTER_RENUMBERING as u32, name: "icmp6-routerrenum" },
    Named { number: icmp6::NODE_INFORMATION_QUERY as u32, name: "icmp6-nodeinformationquery" },
    Named { number: icmp6::NODE_INFORMATION_RESPONSE as u32, name: "icmp6-nodeinformationresponse" },
    Named { number: icmp6::INVERSE_SOLICITATION as u32, name: "icmp6-ineighbordiscoverysolicit" },
    Named { number: icmp6::INVERSE_ADVERTISEMENT as u32, name: "icmp6-ineighbordiscoveryadvert" },
    Named { number: icmp6::MULTICAST_LISTENER_REPORT_V2 as u32, name: "icmp6-multicastlistenerreportv2" },
    Named { number: icmp6::HOME_AGENT_REQUEST as u32, name: "icmp6-homeagentdiscoveryrequest" },
    Named { number: icmp6::HOME_AGENT_REPLY as u32, name: "icmp6-homeagentdiscoveryreply" },
    Named { number: icmp6::MOBILE_PREFIX_SOLICIT as u32, name: "icmp6-mobileprefixsolicit" },
    Named { number: icmp6::MOBILE_PREFIX_ADVERT as u32, name: "icmp6-mobileprefixadvert" },
    Named { number: icmp6::CERT_PATH_SOLICIT as u32, name: "icmp6-certpathsolicit" },
    Named { number: icmp6::CERT_PATH_ADVERT as u32, name: "icmp6-certpathadvert" },
    Named { number: icmp6::MULTICAST_ROUTER_ADVERT as u32, name: "icmp6-multicastrouteradvert" },
    Named { number: icmp6::MULTICAST_ROUTER_SOLICIT as u32, name: "icmp6-multicastroutersolicit" },
    Named { number: icmp6::MULTICAST_ROUTER_TERM as u32, name: "icmp6-multicastrouterterm" },
];

/// The value of a named constant of the filter language.
///
/// ```
/// assert_eq!(skep_proto::numbers::filter_constant("tcp-syn"), Some(2));
/// ```
#[must_use]
pub fn filter_constant(name: &str) -> Option<u32> {
    FILTER_CONSTANTS.iter().find(|row| row.name == name).map(|row| row.number)
}

/// Port numbers that decoders recognise payloads by (IANA service names).
pub mod port {
    /// SSH.
    pub const SSH: u16 = 22;
    /// DNS.
    pub const DNS: u16 = 53;
    /// DHCP server.
    pub const BOOTPS: u16 = 67;
    /// DHCP client.
    pub const BOOTPC: u16 = 68;
    /// HTTP.
    pub const HTTP: u16 = 80;
    /// NTP.
    pub const NTP: u16 = 123;
    /// HTTPS.
    pub const HTTPS: u16 = 443;
    /// Multicast DNS.
    pub const MDNS: u16 = 5353;
    /// VXLAN (RFC 7348).
    pub const VXLAN: u16 = 4789;
    /// Geneve (RFC 8926).
    pub const GENEVE: u16 = 6081;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn tables_are_sorted_and_unique() {
        for table in [ethertype::TABLE, llc_sap::TABLE, icmp::TABLE, icmp6::TABLE] {
            assert!(table.is_sorted_by(|a, b| a.number < b.number));
            for row in table {
                assert_eq!(find(table, row.number), Some(row.name));
            }
        }
        assert!(IP_PROTOCOLS.is_sorted_by(|a, b| a.number < b.number));
        let mut names: Vec<_> = FILTER_CONSTANTS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FILTER_CONSTANTS.len());
    }

    #[test]
    fn names_lead_to_numbers() {
        for row in IP_PROTOCOLS {
            let number = ip_protocol_number(&row.name.to_uppercase());
            assert_eq!(ip_protocol(row.number), Some(row));
            assert_eq!(number, Some(row.number), "{}", row.name);
        }
        assert_eq!(ether_proto("ip6", false), Some(0x86dd));
        assert_eq!(ether_proto("lldp", false), None);
        assert_eq!(ether_proto("lldp", true), Some(0x88cc));
        assert_eq!(ether_proto("IP", true), None);
        assert_eq!(ethertype::name(0x0800), Some("IPv4"));
        assert_eq!(ethertype::name(0x0801), None);
    }

    /// The value that the installed tcpdump compiles for `len = NAME`; `None` without tcpdump.
    fn tcpdump_value(expression: &str) -> Option<u32> {
        let out = Command::new("tcpdump").args(["-y", "EN10MB", "-ddd", expression]).output().ok()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let jump = text.lines().find(|line| line.starts_with("21 "))?;
        jump.split(' ').nth(3)?.parse().ok()
    }

    #[test]
    fn tcpdump_knows_the_same_constants() {
        if Command::new("tcpdump").arg("--version").output().is_err() {
            println!("SKIPPED: tcpdump is not installed");
            return;
        }
        for row in FILTER_CONSTANTS {
            assert_eq!(tcpdump_value(&format!("len = {}", row.name)), Some(row.number), "{}", row.name);
        }
    }
}
