//! Ordinary packets of each link type: witnesses are made to look like them, random packets start from them.

use skep_proto::LinkType;

// TABLE: the smallest packets that show each protocol with all fields set.
const IPV4_TCP: &[u8] = &[
    0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
    0xc0, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x20, 0, 0, 0, 0, 0, // TCP, SYN
];
const IPV4_UDP: &[u8] = &[
    0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
    0xc0, 0, 0, 53, 0, 20, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, // UDP, DNS
];
const IPV4_ICMP: &[u8] = &[
    0x45, 0, 0, 40, 0, 1, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
    8, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // echo request
];
const IPV6_TCP: &[u8] = &[
    0x60, 0, 0, 0, 0, 20, 6, 64, // IPv6
    0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // source
    0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // destination
    0xc0, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x20, 0, 0, 0, 0, 0, // TCP, SYN
];
const IPV6_UDP: &[u8] = &[
    0x60, 0, 0, 0, 0, 20, 17, 64, // IPv6
    0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // source
    0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // destination
    0xc0, 0, 0, 53, 0, 20, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, // UDP, DNS
];
const ARP: &[u8] = &[
    0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, // request from
    0, 0, 0, 0, 0, 0, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // to
];

/// Payloads with their EtherType, their PPP protocol number and the address family of a loopback header.
const PAYLOADS: [(u16, u16, u8, &[u8]); 6] = [
    (0x0800, 0x0021, 2, IPV4_TCP),
    (0x0800, 0x0021, 2, IPV4_UDP),
    (0x0800, 0x0021, 2, IPV4_ICMP),
    (0x86dd, 0x0057, 10, IPV6_TCP),
    (0x86dd, 0x0057, 10, IPV6_UDP),
    (0x0806, 0x0806, 0, ARP),
];

/// Bytes that follow the payload, so that constraints on later bytes find room.
const PADDING: usize = 20;

/// Ordinary packets of a link type; plain IP packets for types whose header is not known here.
pub(super) fn samples(link: LinkType) -> Vec<Vec<u8>> {
    let tagged = matches!(link, LinkType::EN10MB);
    let mut packets: Vec<Vec<u8>> = PAYLOADS
        .iter()
        .map(|&(ether_type, ppp, family, payload)| {
            let mut packet = header(link, ether_type, ppp, family);
            packet.extend_from_slice(payload);
            packet
        })
        .collect();
    if tagged {
        let vlan: Vec<Vec<u8>> = packets.iter().map(|packet| with_tag(packet)).collect();
        packets.extend(vlan);
    }
    for packet in &mut packets {
        packet.resize(packet.len() + PADDING, 0);
    }
    packets
}

fn header(link: LinkType, ether_type: u16, ppp: u16, family: u8) -> Vec<u8> {
    let [high, low] = ether_type.to_be_bytes();
    match link {
        LinkType::EN10MB => vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, high, low],
        LinkType::LINUX_SLL => vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, high, low],
        LinkType::LINUX_SLL2 => vec![high, low, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0],
        LinkType::NULL => vec![family, 0, 0, 0],
        LinkType::LOOP => vec![0, 0, 0, family],
        LinkType::PPP => [&[0xff, 3][..], &ppp.to_be_bytes()].concat(),
        // A data frame from a station, then LLC and SNAP.
        LinkType::IEEE802_11 => {
            let mut frame = vec![8, 1, 0, 0];
            frame.extend([2; 18]);
            frame.extend([0, 0, 0xaa, 0xaa, 3, 0, 0, 0, high, low]);
            frame
        }
        _ => Vec::new(),
    }
}

/// An Ethernet frame with a VLAN tag behind its addresses.
fn with_tag(packet: &[u8]) -> Vec<u8> {
    let (addresses, rest) = packet.split_at(packet.len().min(12));
    [addresses, &[0x81, 0, 0, 1], rest].concat()
}
