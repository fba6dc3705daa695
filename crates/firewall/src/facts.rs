//! What rules can know about a packet, read from its bytes: the reference for what the programs read.
//!
//! Header fields are those of RFC 791 (IPv4), RFC 8200 (IPv6 and its extension headers), RFC 9293 (TCP), RFC 792 and 4443
//! (ICMP), IEEE 802.1Q (VLAN).

use crate::rules::parse::PAYLOAD_BYTES;
use crate::rules::{Direction, Family, words};

/// EtherTypes that a VLAN tag stands behind (IEEE 802.1Q, 802.1ad).
pub const TAGS: [u16; 2] = [0x8100, 0x88a8];
/// VLAN tags that are looked through.
pub const MOST_TAGS: usize = 2;
/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// Extension headers of IPv6 with a length in units of eight bytes (RFC 7045).
pub const EXTENSIONS: [u8; 6] = [0, 43, 60, 135, 139, 140];
/// The extension header that says what fragment it is.
pub const FRAGMENT: u8 = 44;
/// The authentication header, whose length has units of four bytes.
pub const AUTHENTICATION: u8 = 51;
/// Extension headers that are looked through; a packet with more counts as malformed.
pub const MOST_EXTENSIONS: usize = 6;

/// Where a packet is met, and what it carries besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Its direction.
    pub direction: Direction,
    /// The number of the interface.
    pub interface: u32,
    /// The VLAN that the network card has taken out of the packet.
    pub vlan: Option<u16>,
    /// Its mark.
    pub mark: u32,
    /// The local time in seconds since the beginning of 1970.
    pub time: Option<u64>,
    /// The user whose socket sends it.
    pub owner: Option<u32>,
    /// The number of the control group whose socket sends it.
    pub group: Option<u64>,
}

/// What fragment a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fragment {
    /// None.
    #[default]
    Whole,
    /// The first: it has the header of the next protocol.
    First,
    /// A later one.
    Later,
}

/// What rules can know about a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Where it is met.
    pub place: Place,
    /// The version.
    pub family: Family,
    /// Where it comes from, from the highest bit on.
    pub source: u128,
    /// Where it goes.
    pub destination: u128,
    /// The protocol above.
    pub protocol: u8,
    /// What fragment it is.
    pub fragment: Fragment,
    /// The ports, where the protocol has some.
    pub ports: Option<(u16, u16)>,
    /// The flags of TCP.
    pub flags: Option<u8>,
    /// Type and code of ICMP.
    pub icmp: Option<(u8, u8)>,
    /// The outermost VLAN.
    pub vlan: Option<u16>,
    /// The first bytes of what TCP and UDP carry.
    pub payload: Vec<u8>,
    /// The state of its connection, a bit of [`words::STATES`].
    pub state: u8,
    /// The link addresses: from, to.
    pub macs: Option<([u8; 6], [u8; 6])>,
    /// All its bytes, for expressions; empty if only its headers are known.
    pub frame: Vec<u8>,
    /// Which conditions of a list hold ([`held`](crate::rules::special::held)), for tables.
    pub held: u64,
}

/// What a packet turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Not of the internet protocol: it passes, no rule is asked.
    Foreign,
    /// Its headers contradict themselves or end too early: it is dropped.
    Malformed,
    /// Anything else.
    Known(Facts),
}

fn bytes<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn short(packet: &[u8], at: usize) -> Option<u16> {
    bytes(packet, at).map(u16::from_be_bytes)
}

/// Reads a packet that begins with its Ethernet header.
pub fn read(packet: &[u8], place: Place) -> Packet {
    let Some(mut kind) = short(packet, 12) else { return Packet::Foreign };
    let (mut at, mut vlan) = (14, place.vlan);
    for _ in 0..MOST_TAGS {
        if TAGS.contains(&kind) {
            let Some([high, low, next_high, next_low]) = bytes(packet, at) else { return Packet::Malformed };
            vlan = vlan.or(Some(u16::from_be_bytes([high, low]) & 0xfff));
            kind = u16::from_be_bytes([next_high, next_low]);
            at += 4;
        }
    }
    let facts = match kind {
        IPV4 => version_4(packet, at, place),
        IPV6 => version_6(packet, at, place),
        _ => return Packet::Foreign,
    };
    let macs = bytes(packet, 6).zip(bytes(packet, 0));
    facts.map_or(Packet::Malformed, |facts| Packet::Known(Facts { vlan, macs, frame: packet.to_vec(), ..facts }))
}

fn version_4(packet: &[u8], at: usize, place: Place) -> Option<Facts> {
    let header: [u8; 20] = bytes(packet, at)?;
    let words = usize::from(header[0] & 15);
    if header[0] >> 4 != 4 || words < 5 {
        return None;
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    let address = |from: usize| u128::from(u32::from_be_bytes([0, 1, 2, 3].map(|byte| header[from + byte]))) << 96;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let mut facts = Facts {
        fragment: which(fragment & 0x1fff, fragment & 0x2000 != 0),
        ..Facts::of(place, Family::V4, (address(12), address(16)), header[9])
    };
    transport(packet, at + 4 * words, end(packet, at, total), &mut facts)?;
    Some(facts)
}

impl Facts {
    /// Of a whole packet between two addresses, before anything behind its header was looked at.
    const fn of(place: Place, family: Family, (source, destination): (u128, u128), protocol: u8) -> Self {
        Self {
            place,
            family,
            source,
            destination,
            protocol,
            fragment: Fragment::Whole,
            ports: None,
            flags: None,
            icmp: None,
            vlan: None,
            payload: Vec::new(),
            state: 0,
            macs: None,
            frame: Vec::new(),
            held: 0,
        }
    }
}

fn which(offset: u16, more: bool) -> Fragment {
    match (offset, more) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    }
}

/// Where the bytes of the packet end. Packets that are not cut up yet may say 0.
fn end(packet: &[u8], at: usize, total: usize) -> usize {
    if total == 0 { packet.len() } else { packet.len().min(at + total) }
}

fn version_6(packet: &[u8], at: usize, place: Place) -> Option<Facts> {
    let header: [u8; 40] = bytes(packet, at)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let address = |from: usize| {
        let bytes: [u8; 16] = std::array::from_fn(|byte| header[from + byte]);
        u128::from_be_bytes(bytes)
    };
    let total = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let mut facts = Facts::of(place, Family::V6, (address(8), address(24)), header[6]);
    let mut next = at + 40;
    let mut left = MOST_EXTENSIONS;
    while facts.fragment != Fragment::Later {
        let is_extension = EXTENSIONS.contains(&facts.protocol) || [FRAGMENT, AUTHENTICATION].contains(&facts.protocol);
        if !is_extension {
            break;
        }
        left = left.checked_sub(1)?;
        let [protocol, length, high, low] = bytes(packet, next)?;
        let offset = u16::from_be_bytes([high, low]);
        next += match facts.protocol {
            FRAGMENT => {
                // A second header of this kind cannot make a whole packet of a fragment.
                if facts.fragment == Fragment::Whole || offset >> 3 != 0 {
                    facts.fragment = which(offset >> 3, offset & 1 != 0);
                }
                8
            }
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        facts.protocol = protocol;
    }
    let end = if total == 0 { packet.len() } else { end(packet, at, total + 40) };
    transport(packet, next, end, &mut facts)?;
    Some(facts)
}

/// The header behind that of the internet protocol.
fn transport(packet: &[u8], at: usize, end: usize, facts: &mut Facts) -> Option<()> {
    if facts.fragment == Fragment::Later {
        return Some(());
    }
    if words::WITH_PORTS.contains(&facts.protocol) {
        facts.ports = Some((short(packet, at)?, short(packet, at + 2)?));
    }
    let body = match facts.protocol {
        words::TCP => {
            let [length, flags] = bytes(packet, at + 12)?;
            facts.flags = Some(flags);
            let words = usize::from(length >> 4);
            if words < 5 {
                return None;
            }
            at + 4 * words
        }
        17 => at + 8,
        words::ICMP | words::ICMP6 => {
            let [number, code] = bytes(packet, at)?;
            facts.icmp = Some((number, code));
            return Some(());
        }
        _ => return Some(()),
    };
    let body_end = end.min(body + PAYLOAD_BYTES);
    facts.payload = packet.get(body..body_end).unwrap_or_default().to_vec();
    Some(())
}

impl Facts {
    /// The state of the first packet of a connection that nobody has seen before.
    pub fn fresh_state(&self) -> u8 {
        const SYN_ONLY: (u8, u8) = (2, 2 | 1 | 4 | 16);
        let invalid = match (self.flags, self.icmp) {
            _ if self.fragment == Fragment::Later => true,
            (Some(flags), _) => flags & SYN_ONLY.1 != SYN_ONLY.0,
            (_, Some((number, _))) => is_error(self.protocol, number),
            _ => false,
        };
        if invalid { 8 } else { 1 }
    }

    /// Whether it belongs to neighbour discovery, which passes.
    pub fn is_neighbour_discovery(&self) -> bool {
        self.protocol == words::ICMP6
            && self.family == Family::V6
            && self.icmp.is_some_and(|(number, _)| words::NEIGHBOUR_DISCOVERY.contains(&number))
    }
}

/// Whether an ICMP message of this type tells about another packet, whose headers it has.
pub fn is_error(protocol: u8, number: u8) -> bool {
    if protocol == words::ICMP { [3, 11, 12].contains(&number) } else { (1..=4).contains(&number) }
}
