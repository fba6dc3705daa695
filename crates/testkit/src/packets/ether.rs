//! Ethernet and the link types that look like it: tags, label stacks and PPPoE included.

use super::Forge;

const TPIDS: &[u16] = &[0x8100, 0x8100, 0x8100, 0x88a8, 0x9100, 0x9200];

impl Forge {
    /// An Ethernet frame without checksum.
    pub(super) fn ethernet(&mut self, depth: usize) -> Vec<u8> {
        let mut frame = [self.mac(), self.mac()].concat();
        let body = self.ether_body(depth);
        frame.extend(body);
        // Real hardware pads to 60 bytes; recordings have both forms.
        if frame.len() < 60 && self.rng.percent(50) {
            frame.resize(60, 0);
        }
        frame
    }

    /// Everything from the EtherType on.
    pub(super) fn ether_body(&mut self, depth: usize) -> Vec<u8> {
        match self.rng.weighted(&[55, 18, 13, 7, 7]) {
            0 => {
                let (kind, body) = self.network(depth);
                [kind.to_be_bytes().to_vec(), body].concat()
            }
            1 => {
                let llc = self.llc(depth);
                let length = if self.rng.percent(95) { llc.len() as u16 } else { self.rng.below(1536) as u16 };
                [length.to_be_bytes().to_vec(), llc].concat()
            }
            2 => self.tagged(depth),
            3 => {
                let kind = if self.rng.percent(85) { 0x8847u16 } else { 0x8848 };
                [kind.to_be_bytes().to_vec(), self.mpls(depth)].concat()
            }
            _ => self.pppoe(depth),
        }
    }

    /// One to three VLAN tags before another body.
    pub(super) fn tagged(&mut self, depth: usize) -> Vec<u8> {
        let mut body = Vec::new();
        for _ in 0..self.rng.pick(&[1, 1, 1, 2, 2, 3]) {
            let id = if self.rng.percent(85) {
                self.rng.pick(&[0, 1, 1, 2, 5, 5, 10, 100, 4095])
            } else {
                self.rng.u16() & 0xfff
            };
            let priority = self.rng.pick(&[0u16, 0, 0x2000, 0x1000, 0xe000]);
            body.extend(self.rng.pick(TPIDS).to_be_bytes());
            body.extend((priority | id).to_be_bytes());
        }
        let rest = match self.rng.weighted(&[70, 12, 9, 9]) {
            0 => {
                let (kind, inner) = self.network(depth);
                [kind.to_be_bytes().to_vec(), inner].concat()
            }
            1 => [vec![0x88, 0x47], self.mpls(depth)].concat(),
            2 => self.pppoe(depth),
            _ => {
                let llc = self.llc(depth);
                [(llc.len() as u16).to_be_bytes().to_vec(), llc].concat()
            }
        };
        body.extend(rest);
        body
    }

    /// A label stack of one to four entries with IP below it, now and then with a wrong bottom bit.
    pub(super) fn mpls(&mut self, depth: usize) -> Vec<u8> {
        let mut body = Vec::new();
        let count = self.rng.pick(&[1, 1, 2, 2, 3, 4]);
        for index in 0..count {
            let label: u32 = self.rng.pick(&[0, 1, 2, 3, 16, 100, 1000, 0xfffff]);
            let bottom = u32::from((index + 1 == count) ^ self.rng.percent(3));
            body.extend((label << 12 | bottom << 8 | 64).to_be_bytes());
        }
        let rest = match self.rng.below(5) {
            0..=2 => self.ipv4(depth),
            3 => self.ipv6(depth),
            _ => self.rng.bytes(24),
        };
        body.extend(rest);
        body
    }

    /// PPPoE discovery or session, from the EtherType on.
    fn pppoe(&mut self, depth: usize) -> Vec<u8> {
        let session = self.rng.percent(75);
        let mut body = vec![0x88, if session { 0x64 } else { 0x63 }];
        body.extend(self.pppoe_header(depth, session));
        body
    }

    /// The PPPoE header and what follows it.
    pub(super) fn pppoe_header(&mut self, depth: usize, session: bool) -> Vec<u8> {
        let payload = if session { self.ppp_protocol(depth) } else { self.rng.bytes(16) };
        let id = self.rng.pick(&[0u16, 1, 2, 7, 100, 0xffff]);
        let code = if session { 0 } else { self.rng.pick(&[0x09, 0x07, 0x19, 0x65, 0xa7]) };
        let mut packet = vec![0x11, code];
        packet.extend(id.to_be_bytes());
        packet.extend((payload.len() as u16).to_be_bytes());
        packet.extend(payload);
        packet
    }

    /// Ethernet with a switch tag of `length` bytes after the addresses.
    pub(super) fn switch_tagged(&mut self, length: usize) -> Vec<u8> {
        let mut frame = [self.mac(), self.mac()].concat();
        frame.extend(self.rng.bytes(length));
        let body = self.ether_body(1);
        frame.extend(body);
        frame
    }
}
