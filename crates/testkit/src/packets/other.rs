//! Network protocols besides IP: ARP, LLC and SNAP, ISO, DECnet, AppleTalk, IPX and their kin.

use super::Forge;
use super::pools::ETHER_TYPES;

/// Well-known LLC service access points: SNAP, spanning tree, ISO, IPX (two forms), NetBEUI, IP, null.
const SAPS: &[u8] = &[0xaa, 0x42, 0xfe, 0xe0, 0xff, 0xf0, 0x06, 0x00];

/// Unnumbered LLC commands that the filter language names (with the poll bit clear), and two without a name.
const LLC_UNNUMBERED: &[u8] = &[0x03, 0x63, 0x43, 0x0f, 0x6f, 0xe3, 0xaf, 0x87, 0x13, 0xbf];

impl Forge {
    /// An EtherType and a body for it.
    pub(super) fn network(&mut self, depth: usize) -> (u16, Vec<u8>) {
        let (kind, body) = match self.rng.weighted(&[46, 24, 6, 3, 2, 1, 2, 3, 1, 4]) {
            0 => (0x0800, self.ipv4(depth)),
            1 => (0x86dd, self.ipv6(depth)),
            2 => (0x0806, self.arp()),
            3 => (0x8035, self.arp()),
            4 => (0x809b, self.appletalk()),
            5 => (0x80f3, self.rng.bytes(28)),
            6 => (0x6003, self.decnet()),
            7 => (self.rng.pick(&[0x6001, 0x6002, 0x6004, 0x6007, 0x9000]), self.rng.bytes(30)),
            8 => (0x8137, self.ipx()),
            _ => (self.rng.pick(ETHER_TYPES), self.rng.bytes(40)),
        };
        // A header that lies about what follows must not confuse anyone.
        let kind = if self.rng.percent(2) { self.rng.pick(&[0x0800, 0x86dd, 0x0806]) } else { kind };
        (kind, body)
    }

    pub(super) fn arp(&mut self) -> Vec<u8> {
        let hardware = if self.rng.percent(95) { 1u16 } else { self.rng.u16() };
        let protocol = if self.rng.percent(95) { 0x0800u16 } else { self.rng.u16() };
        let mut arp = [hardware.to_be_bytes(), protocol.to_be_bytes()].concat();
        arp.extend([6, 4, 0, self.rng.pick(&[1, 1, 2, 2, 3, 4, 8, 9])]);
        arp.extend(self.mac());
        arp.extend(self.ipv4_address());
        arp.extend(self.mac());
        arp.extend(self.ipv4_address());
        arp
    }

    fn appletalk(&mut self) -> Vec<u8> {
        let mut ddp = vec![0, 30, 0, 0, 0, 0];
        ddp.extend(self.rng.bytes(24));
        ddp
    }

    fn ipx(&mut self) -> Vec<u8> {
        let mut ipx = vec![0xff, 0xff, 0, 34, 0, self.rng.pick(&[0, 4, 5, 17])];
        ipx.extend(self.rng.bytes(28));
        ipx
    }

    /// A DECnet routing header: short or long form, with or without padding byte, addresses from a small set.
    fn decnet(&mut self) -> Vec<u8> {
        let (to, from) = (self.decnet_address(), self.decnet_address());
        let mut packet = vec![30, 0];
        if self.rng.percent(40) {
            packet.push(0x81);
        }
        match self.rng.below(3) {
            0 => {
                packet.push(0x02);
                packet.extend(to);
                packet.extend(from);
                packet.push(0);
            }
            1 => {
                packet.extend([0x06, 0, 0, 0xaa, 0, 4, 0]);
                packet.extend(to);
                packet.extend([0, 0, 0xaa, 0, 4, 0]);
                packet.extend(from);
                packet.extend([0, 0, 0, 0]);
            }
            _ => packet.push(self.rng.u8()),
        }
        packet.extend(self.rng.bytes(12));
        packet
    }

    /// Area 1 or 10, node 1 or 2, as the wire has it (little-endian, area in the upper six bits).
    fn decnet_address(&mut self) -> [u8; 2] {
        let area: u16 = self.rng.pick(&[1, 1, 10]);
        (area << 10 | self.rng.between(1, 2) as u16).to_le_bytes()
    }

    /// An LLC header with what follows it.
    pub(super) fn llc(&mut self, depth: usize) -> Vec<u8> {
        match self.rng.weighted(&[55, 8, 12, 6, 4, 15]) {
            0 => self.snap(depth),
            1 => [vec![0x42, 0x42, 0x03], self.rng.bytes(35)].concat(),
            2 => [vec![0xfe, 0xfe, 0x03], self.iso()].concat(),
            3 => [vec![0xe0, 0xe0, 0x03], self.ipx()].concat(),
            4 => self.ipx(),
            _ => self.llc_control(),
        }
    }

    /// SNAP: an EtherType behind an organisation's code, or VLAN tags as 802.11 carries them.
    fn snap(&mut self, depth: usize) -> Vec<u8> {
        let (kind, body) = self.network(depth);
        let oui = match self.rng.below(12) {
            0..=8 => [0, 0, 0],
            9 => [0x08, 0, 0x07],
            10 => [0, 0, 0xf8],
            _ => [0x00, 0x00, 0x0c],
        };
        let mut packet = vec![0xaa, 0xaa, 0x03];
        packet.extend(oui);
        if self.rng.percent(15) {
            packet.extend(self.tagged(depth));
            return packet;
        }
        packet.extend(kind.to_be_bytes());
        packet.extend(body);
        packet
    }

    /// Information, supervisory and unnumbered frames between all kinds of access points.
    fn llc_control(&mut self) -> Vec<u8> {
        let mut packet = vec![self.rng.pick(SAPS), self.rng.pick(SAPS) | u8::from(self.rng.percent(20))];
        match self.rng.below(4) {
            0 => packet.extend([self.rng.u8() & 0xfe, self.rng.u8()]),
            1 => packet.extend([self.rng.pick(&[0x01, 0x05, 0x09, 0x0d, 0xf1]), self.rng.u8()]),
            _ => {
                let poll = if self.rng.percent(40) { 0x10 } else { 0 };
                packet.push(self.rng.pick(LLC_UNNUMBERED) | poll);
            }
        }
        packet.extend(self.rng.bytes(20));
        packet
    }

    /// A CLNP, ES-IS or IS-IS packet, from its NLPID on.
    pub(super) fn iso(&mut self) -> Vec<u8> {
        let nlpid = self.rng.pick(&[0x81, 0x82, 0x83, 0x83, 0x83, 0x00, 0xcc]);
        let kind = self.rng.pick(&[15, 16, 17, 18, 20, 24, 25, 26, 27, 2, 0x55, 0xf2]);
        let mut packet = vec![nlpid, 27, 1, 0, kind, 1, 0, 0];
        packet.extend(self.rng.bytes(24));
        packet
    }
}
