//! Serial lines, ATM, SS7, loopback and cooked captures: everything that is neither Ethernet nor 802.11.

use skep_proto::LinkType;

use super::Forge;

/// Address families for IPv4, IPv6 (Linux, BSD variants, Solaris) and ISO.
const FAMILIES: &[u32] = &[2, 2, 2, 10, 24, 28, 30, 26, 7, 23];

impl Forge {
    /// An IP packet of either version.
    pub(super) fn raw_ip(&mut self) -> Vec<u8> {
        if self.rng.percent(65) { self.ipv4(1) } else { self.ipv6(1) }
    }

    /// A packet that fits an address family number.
    fn of_family(&mut self, family: u32) -> Vec<u8> {
        match family {
            2 => self.ipv4(1),
            7 | 23 => self.iso(),
            _ => self.ipv6(1),
        }
    }

    /// BSD loopback: the family in the byte order of the machine that captured, so both orders occur in files.
    pub(super) fn null(&mut self, swapped: bool) -> Vec<u8> {
        let family = if self.rng.percent(97) { self.rng.pick(FAMILIES) } else { self.rng.u32() };
        let bytes = if swapped { family.to_be_bytes() } else { family.to_le_bytes() };
        [bytes.to_vec(), self.of_family(family)].concat()
    }

    pub(super) fn enc(&mut self) -> Vec<u8> {
        let family = self.rng.pick(FAMILIES);
        let bytes = if self.rng.percent(50) { family.to_be_bytes() } else { family.to_le_bytes() };
        [bytes.to_vec(), self.rng.bytes(8), self.of_family(family)].concat()
    }

    /// A protocol and body for the cooked headers: EtherTypes, or 1 and 4 for 802.3 frames.
    fn cooked_protocol(&mut self) -> (u16, Vec<u8>) {
        match self.rng.below(20) {
            0 => (1, self.rng.bytes(30)),
            1..=3 => (4, self.llc(1)),
            4..=5 => {
                let tagged = self.ether_body(1);
                let kind = u16::from_be_bytes([tagged[0], tagged[1]]);
                (kind, tagged[2..].to_vec())
            }
            _ => self.network(1),
        }
    }

    pub(super) fn cooked(&mut self) -> Vec<u8> {
        let (protocol, body) = self.cooked_protocol();
        let mut packet = vec![0, self.rng.below(6) as u8];
        packet.extend(self.rng.pick(&[1u16, 772, 512, 65534]).to_be_bytes());
        packet.extend([0, 6]);
        packet.extend(self.mac());
        packet.extend([0, 0]);
        packet.extend(protocol.to_be_bytes());
        packet.extend(body);
        packet
    }

    pub(super) fn cooked_v2(&mut self) -> Vec<u8> {
        let (protocol, body) = self.cooked_protocol();
        let mut packet = protocol.to_be_bytes().to_vec();
        packet.extend([0, 0]);
        packet.extend(self.rng.pick(&[1u32, 2, 3, 7, 100]).to_be_bytes());
        packet.extend(self.rng.pick(&[1u16, 772, 512, 65534]).to_be_bytes());
        packet.extend([self.rng.below(6) as u8, 6]);
        packet.extend(self.mac());
        packet.extend([0, 0]);
        packet.extend(body);
        packet
    }

    /// A PPP protocol number and its body.
    pub(super) fn ppp_protocol(&mut self, depth: usize) -> Vec<u8> {
        let (protocol, body) = match self.rng.weighted(&[45, 20, 5, 4, 4, 4, 5, 13]) {
            0 => (0x0021u16, self.ipv4(depth)),
            1 => (0x0057, self.ipv6(depth)),
            2 => (0x002b, self.rng.bytes(30)),
            3 => (0x0029, self.rng.bytes(24)),
            4 => (0x0027, self.rng.bytes(24)),
            5 => (0x0023, self.iso()),
            6 => (self.rng.pick(&[0x0281, 0x0283]), self.mpls(depth)),
            _ => (self.rng.pick(&[0xc021, 0x8021, 0x8057, 0x0025, 0x002d, 0xc223]), self.rng.bytes(16)),
        };
        [protocol.to_be_bytes().to_vec(), body].concat()
    }

    /// PPP with HDLC-like framing (address and control bytes), mostly; without, sometimes; Cisco's form, sometimes.
    pub(super) fn ppp(&mut self, first: u8) -> Vec<u8> {
        match self.rng.below(10) {
            0 => self.ppp_protocol(1),
            1 => self.cisco_hdlc(),
            _ => [vec![first, 0x03], self.ppp_protocol(1)].concat(),
        }
    }

    pub(super) fn cisco_hdlc(&mut self) -> Vec<u8> {
        let (kind, body) = match self.rng.below(10) {
            0 => (0x8035, self.rng.bytes(18)),
            1 => (0x2000, self.rng.bytes(30)),
            2 => (0xfefe, [vec![0x03], self.iso()].concat()),
            3 => (0x8847, self.mpls(1)),
            _ => self.network(1),
        };
        let mut packet = vec![self.rng.pick(&[0x0f, 0x0f, 0x8f]), 0];
        packet.extend(kind.to_be_bytes());
        packet.extend(body);
        packet
    }

    /// Frame relay with a two-byte address, UI control and NLPID (RFC 2427).
    pub(super) fn frame_relay(&mut self) -> Vec<u8> {
        let mut packet = vec![self.rng.u8() & 0xfc, self.rng.u8() | 1, 0x03];
        let body = match self.rng.below(6) {
            0..=2 => [vec![0xcc], self.ipv4(1)].concat(),
            3 => [vec![0x8e], self.ipv6(1)].concat(),
            4 => self.iso(),
            _ => [vec![0x80, 0, 0, 0, 0x08, 0], self.ipv4(1)].concat(),
        };
        packet.extend(body);
        packet
    }

    /// The packet filter log of OpenBSD: `struct pfloghdr`, whose first byte is its length.
    pub(super) fn pflog(&mut self) -> Vec<u8> {
        let family = self.rng.pick(FAMILIES) as u8;
        let length = self.rng.pick(&[61, 61, 61, 45, 48, 64, 69, 84, 100]);
        let mut header = vec![length as u8, family, self.rng.below(12) as u8, self.rng.below(16) as u8];
        header.extend(name(self.rng.pick(&["eth0", "em0", "lo0", "pppoe0"])));
        header.extend(name(self.rng.pick(&["", "ftp-proxy", "relayd"])));
        header.extend(self.rng.pick(&[0u32, 1, 7, 0xffff_ffff]).to_be_bytes());
        header.extend(self.rng.pick(&[0u32, 1, 7, 0xffff_ffff]).to_be_bytes());
        header.extend(self.rng.bytes(16));
        header.push(self.rng.below(4) as u8);
        header.resize(usize::next_multiple_of(length, 4), 0);
        [header, self.of_family(u32::from(family))].concat()
    }

    /// Token ring: access and frame control, addresses, sometimes routing information, LLC.
    pub(super) fn token_ring(&mut self) -> Vec<u8> {
        let mut packet = vec![0x10, self.rng.pick(&[0x40, 0x40, 0x40, 0x00, 0x50])];
        packet.extend(self.mac());
        let mut source = self.mac();
        let routed = self.rng.percent(20);
        source[0] |= if routed { 0x80 } else { 0 };
        packet.extend(source);
        if routed {
            packet.extend([0x06, 0x30, 0x00, 0x12, 0x00, 0x20]);
        }
        let body = self.llc(1);
        packet.extend(body);
        packet
    }

    pub(super) fn fddi(&mut self) -> Vec<u8> {
        let mut packet = vec![if self.rng.percent(80) { 0x50 | self.rng.below(8) as u8 } else { self.rng.u8() }];
        packet.extend(self.mac());
        packet.extend(self.mac());
        let body = self.llc(1);
        packet.extend(body);
        packet
    }

    pub(super) fn fibre_channel(&mut self) -> Vec<u8> {
        let mut packet = vec![0x10, 0];
        packet.extend(self.mac());
        packet.extend([0x10, 0]);
        packet.extend(self.mac());
        let body = self.llc(1);
        packet.extend(body);
        packet
    }

    /// ARCNET: addresses of one byte, then the type; the Linux form has two more bytes before the type.
    pub(super) fn arcnet(&mut self, linux: bool) -> Vec<u8> {
        let mut packet = vec![self.rng.pick(&[0, 1, 2, 0x20]), self.rng.pick(&[0, 1, 2, 0x20])];
        if linux {
            packet.extend([0, 0]);
        }
        let (kind, body) = match self.rng.below(6) {
            0..=1 => (212, self.ipv4(1)),
            2 => (240, self.ipv4(1)),
            3 => (196, self.ipv6(1)),
            4 => (self.rng.pick(&[213, 241, 214]), self.arp()),
            _ => (self.rng.pick(&[221, 250, 0]), self.rng.bytes(20)),
        };
        packet.extend([kind, 0, 0, 1]);
        packet.extend(body);
        packet
    }

    /// ATM with the header of Sun's driver: direction and traffic type, VPI, VCI.
    pub(super) fn sun_atm(&mut self) -> Vec<u8> {
        let kind = self.rng.pick(&[1, 2, 2, 2, 5, 6, 0]);
        let direction = if self.rng.percent(50) { 0x80 } else { 0 };
        let mut packet = vec![direction | kind, self.rng.pick(&[0, 0, 1, 8])];
        packet.extend(self.rng.pick(&[1u16, 2, 3, 4, 5, 16, 32, 100]).to_be_bytes());
        let body = match kind {
            1 => {
                let lecid = self.rng.pick(&[[0xff, 0x00], [0, 1]]);
                [lecid.to_vec(), self.ethernet(1)].concat()
            }
            6 => [vec![9, 3, 0, 0, 1], vec![self.rng.pick(&[0x02, 0x05, 0x07, 0x0f, 0x4d, 0x5a])], self.rng.bytes(20)]
                .concat(),
            _ => self.llc(1),
        };
        packet.extend(body);
        packet
    }

    /// SS7 MTP2 signal units of the three lengths, with and without extended sequence numbers.
    pub(super) fn mtp2(&mut self) -> Vec<u8> {
        let length = self.rng.pick(&[0u8, 1, 2, 3, 10, 20, 63]);
        let mut packet = self.rng.bytes(2);
        if self.rng.percent(35) {
            packet.extend(self.rng.bytes(2));
            packet.extend((u16::from(length)).to_le_bytes());
        } else {
            packet.push(length | self.rng.pick(&[0, 0x40, 0xc0]));
        }
        packet.push(self.rng.pick(&[0x83, 0x85, 0x03, 5, 0]));
        packet.extend(self.ss7_label());
        packet.extend(self.rng.bytes(usize::from(length)));
        packet
    }

    /// A routing label: 14 bits destination, 14 bits origin, 4 bits link selection.
    pub(super) fn ss7_label(&mut self) -> [u8; 4] {
        let point = |forge: &mut Self| forge.rng.pick(&[1u32, 7, 100, 0x3fff]);
        let (to, from) = (point(self), point(self));
        (to | from << 14 | (self.rng.below(16) as u32) << 28).to_le_bytes()
    }

    /// Headers of fixed length with the protocol at a fixed place.
    ///
    /// `at` is where the EtherType (or PPP protocol) goes, `length` the whole header.
    pub(super) fn fixed_header(&mut self, at: usize, length: usize, ppp: bool) -> Vec<u8> {
        let mut packet = self.rng.bytes(length);
        let (kind, body) = if ppp {
            let framed = self.ppp_protocol(1);
            (u16::from_be_bytes([framed[0], framed[1]]), framed[2..].to_vec())
        } else {
            self.network(1)
        };
        packet[at..at + 2].copy_from_slice(&kind.to_be_bytes());
        packet.extend(body);
        packet
    }

    /// Solaris IPNET: version, family (2 or 26), hook type, lengths and indices.
    pub(super) fn ipnet(&mut self) -> Vec<u8> {
        let family = self.rng.pick(&[2u8, 2, 26]);
        let mut packet = vec![1, family, 0, self.rng.below(4) as u8];
        packet.extend(self.rng.bytes(20));
        packet.extend(self.of_family(u32::from(family)));
        packet
    }

    /// Juniper's header: magic, flags, optional extension, then cookie bytes of varying number.
    pub(super) fn juniper(&mut self) -> Vec<u8> {
        let mut packet = vec![0x4d, 0x47, 0x43, self.rng.pick(&[0x00, 0x01, 0x02, 0x80, 0x81])];
        let cookie = self.rng.pick(&[0, 2, 4, 8, 16, 18, 20]);
        packet.extend(self.rng.bytes(cookie));
        let body = match self.rng.below(4) {
            0 => self.raw_ip(),
            1 => self.ethernet(1),
            2 => self.ppp_protocol(1),
            _ => self.llc(1),
        };
        packet.extend(body);
        packet
    }

    /// For all other types: some header bytes, then something recognisable at one of the usual offsets.
    pub(super) fn unknown(&mut self, link: LinkType) -> Vec<u8> {
        let usual = [0, 2, 4, 8, 12, 14, 16, 20, 24, usize::from(link.0 % 29)];
        let length = self.rng.pick(&usual);
        let mut packet = self.rng.bytes(length);
        let body = match self.rng.below(4) {
            0..=1 => self.raw_ip(),
            2 => self.ethernet(1),
            _ => self.llc(1),
        };
        packet.extend(body);
        packet
    }
}

/// A name in a field of 16 bytes.
fn name(text: &str) -> [u8; 16] {
    let mut field = [0; 16];
    field[..text.len()].copy_from_slice(text.as_bytes());
    field
}
