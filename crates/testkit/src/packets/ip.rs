//! IPv4 and IPv6 packets with the transports above them, down to one level of tunnels.

use super::Forge;
use super::pools::{FLOWS, IP_PROTOCOLS};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// TCP flag bytes: opening, answering, data, closing, reset, and the rarer bits.
const TCP_FLAGS: &[u8] = &[0x02, 0x12, 0x10, 0x18, 0x11, 0x01, 0x04, 0x14, 0x29, 0x30, 0xc2, 0x52, 0x00, 0xff];

impl Forge {
    /// An IPv4 packet, now and then with options, fragments, odd header lengths or a wrong version.
    pub(super) fn ipv4(&mut self, depth: usize) -> Vec<u8> {
        let words = match self.rng.below(20) {
            0..=14 => 5,
            15..=18 => self.rng.between(6, 15),
            _ => self.rng.below(5),
        };
        let flow = self.rng.percent(25).then(|| self.rng.pick(FLOWS));
        let protocol = flow.map_or_else(|| self.transport_number(false), |flow| flow.2);
        let version = if self.rng.percent(98) { 4 } else { self.rng.below(16) };
        let fragment: u16 = match self.rng.below(20) {
            0..=7 => 0,
            8..=14 => 0x4000,
            15 => 0x2000,
            16 => 0x2000 | self.rng.between(1, 0x1fff) as u16,
            17..=18 => self.rng.between(1, 0x1fff) as u16,
            _ => self.rng.u16(),
        };
        let mut body = self.transport(protocol, depth);
        if let Some((_, _, _, from, to)) = flow {
            body[..2].copy_from_slice(&from.to_be_bytes());
            body[2..4].copy_from_slice(&to.to_be_bytes());
        }
        let options = self.rng.bytes(4 * words.saturating_sub(5));
        let length = 20 + options.len() + body.len();
        let length = if self.rng.percent(95) { length as u16 } else { self.rng.u16() };
        let mut packet = vec![(version << 4 | words) as u8, self.rng.pick(&[0, 0, 0x10, 0xb8, 0x03, 0xff])];
        packet.extend(length.to_be_bytes());
        packet.extend(self.rng.u16().to_be_bytes());
        packet.extend(fragment.to_be_bytes());
        packet.extend([self.rng.pick(&[1, 2, 5, 32, 63, 64, 128, 255]), protocol, 0, 0]);
        packet.extend(flow.map_or_else(|| self.ipv4_address(), |flow| flow.0));
        packet.extend(flow.map_or_else(|| self.ipv4_address(), |flow| flow.1));
        packet.extend(options);
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(body);
        packet
    }

    /// An IPv6 packet, in a third of the cases with one to four extension headers.
    pub(super) fn ipv6(&mut self, depth: usize) -> Vec<u8> {
        let last = self.transport_number(true);
        let mut next = last;
        let mut body = self.transport(last, depth);
        if self.rng.percent(35) {
            for _ in 0..self.rng.between(1, 4) {
                let kind = self.rng.pick(&[0, 43, 44, 44, 44, 51, 60, 60, 135, 139]);
                body = self.extension(kind, next, body);
                next = kind;
            }
        }
        let version = if self.rng.percent(98) { 6 } else { self.rng.below(16) as u8 };
        let mut packet = vec![version << 4 | self.rng.pick(&[0, 0, 0x0b]), self.rng.pick(&[0, 0, 0x80, 0xff])];
        packet.extend(self.rng.u16().to_be_bytes());
        let length = if self.rng.percent(95) { body.len() as u16 } else { self.rng.u16() };
        packet.extend(length.to_be_bytes());
        packet.extend([next, self.rng.pick(&[1, 63, 64, 255])]);
        packet.extend(self.ipv6_address());
        packet.extend(self.ipv6_address());
        packet.extend(body);
        packet
    }

    /// Puts one extension header of IPv6 (or AH) before `body`.
    fn extension(&mut self, kind: u8, next: u8, body: Vec<u8>) -> Vec<u8> {
        let mut header = vec![next];
        match kind {
            44 => {
                let offset = if self.rng.percent(60) { 0 } else { self.rng.u16() & 0xfff8 };
                header.push(0);
                header.extend((offset | u16::from(self.rng.percent(50))).to_be_bytes());
                header.extend(self.rng.bytes(4));
            }
            51 => {
                let words = self.rng.between(1, 6);
                header.push(words as u8);
                header.extend(self.rng.bytes((words + 2) * 4 - 2));
            }
            _ => {
                let units = self.rng.pick(&[0, 0, 1, 2]);
                header.push(units as u8);
                header.extend(self.rng.bytes(units * 8 + 6));
            }
        }
        header.extend(body);
        header
    }

    /// A protocol number: mostly the frequent ones.
    fn transport_number(&mut self, v6: bool) -> u8 {
        match self.rng.below(20) {
            0..=4 => TCP,
            5..=8 => UDP,
            9..=13 if v6 => 58,
            9..=13 => 1,
            14 => 132,
            15 => self.rng.pick(&[1, 2, 9, 58, 103, 112]),
            16..=18 => self.rng.pick(IP_PROTOCOLS),
            _ => self.rng.u8(),
        }
    }

    /// What follows the network header for a protocol number.
    fn transport(&mut self, protocol: u8, depth: usize) -> Vec<u8> {
        match protocol {
            TCP => self.tcp(),
            UDP => self.udp(depth),
            132 => self.sctp(),
            1 => self.icmp(depth),
            58 => self.icmp6(depth),
            2 => {
                let mut igmp = vec![self.rng.pick(&[0x11, 0x12, 0x16, 0x17, 0x22, 0x13]), self.rng.u8(), 0, 0];
                igmp.extend(self.ipv4_address());
                igmp
            }
            103 => [vec![self.rng.pick(&[0x20, 0x21, 0x23, 0x28]), 0], self.rng.bytes(14)].concat(),
            112 => [vec![self.rng.pick(&[0x21, 0x31, 0x22]), self.rng.u8(), 100, 1], self.rng.bytes(12)].concat(),
            51 => {
                let next = self.rng.pick(&[TCP, UDP, 1, 50, 51, 4]);
                let inner = if depth > 0 { self.transport(next, depth - 1) } else { self.rng.bytes(8) };
                self.extension(51, next, inner)
            }
            4 if depth > 0 => self.ipv4(depth - 1),
            41 if depth > 0 => self.ipv6(depth - 1),
            47 if depth > 0 => {
                let (kind, body) = self.network(depth - 1);
                let flags = self.rng.pick(&[0u16, 0x2000, 0x8000]);
                let optional = if flags == 0 { 0 } else { 4 };
                let mut gre = [flags.to_be_bytes(), kind.to_be_bytes()].concat();
                gre.extend(self.rng.bytes(optional));
                gre.extend(body);
                gre
            }
            _ => {
                let count = self.rng.below(48);
                self.rng.bytes(count)
            }
        }
    }

    fn tcp(&mut self) -> Vec<u8> {
        let words = match self.rng.below(20) {
            0..=11 => 5,
            12..=18 => self.rng.between(6, 15),
            _ => self.rng.below(5),
        };
        let flags = if self.rng.percent(85) { self.rng.pick(TCP_FLAGS) } else { self.rng.u8() };
        let mut tcp = [self.port().to_be_bytes(), self.port().to_be_bytes()].concat();
        tcp.extend(self.rng.bytes(8));
        tcp.extend([(words << 4) as u8, flags]);
        tcp.extend(self.rng.pick(&[0, 512, 1024, 64240, 65535u16]).to_be_bytes());
        tcp.extend(self.rng.bytes(4));
        let options: &[u8] = &[2, 4, 5, 180, 1, 3, 3, 7, 4, 2, 8, 10, 0, 1, 2, 3, 4, 5, 6, 7, 1, 1, 0, 0];
        tcp.extend(options.iter().cycle().take(4 * words.saturating_sub(5)));
        tcp.extend(self.application());
        tcp
    }

    fn udp(&mut self, depth: usize) -> Vec<u8> {
        let tunnel = depth > 0 && self.rng.percent(22);
        let (to, body) = match self.rng.below(3) {
            0 if tunnel => (4789, self.vxlan(depth - 1)),
            _ if tunnel => (6081, self.geneve(depth - 1)),
            _ => (self.port(), self.application()),
        };
        let mut udp = [self.port().to_be_bytes(), to.to_be_bytes()].concat();
        udp.extend((8 + body.len() as u16).to_be_bytes());
        udp.extend(self.rng.u16().to_be_bytes());
        udp.extend(body);
        udp
    }

    fn vxlan(&mut self, depth: usize) -> Vec<u8> {
        let vni = self.rng.pick(&[0u32, 1, 7, 100, 0x00ff_ffff]);
        let mut packet = vec![if self.rng.percent(90) { 0x08 } else { 0 }, 0, 0, 0];
        packet.extend((vni << 8).to_be_bytes());
        packet.extend(self.ethernet(depth));
        packet
    }

    fn geneve(&mut self, depth: usize) -> Vec<u8> {
        let words = self.rng.pick(&[0, 0, 1, 2, 5]);
        let vni = self.rng.pick(&[0u32, 1, 7, 100, 0x00ff_ffff]);
        let (kind, body) = match self.rng.below(4) {
            0..=1 => (0x6558, self.ethernet(depth)),
            _ => self.network(depth),
        };
        let version = if self.rng.percent(95) { 0 } else { 0x40 };
        let mut packet = vec![version | words as u8, self.rng.pick(&[0, 0, 0x80, 0x40])];
        packet.extend(kind.to_be_bytes());
        packet.extend((vni << 8).to_be_bytes());
        packet.extend(self.rng.bytes(words * 4));
        packet.extend(body);
        packet
    }

    fn sctp(&mut self) -> Vec<u8> {
        let mut sctp = [self.port().to_be_bytes(), self.port().to_be_bytes()].concat();
        sctp.extend(self.rng.bytes(8));
        sctp.extend([self.rng.below(15) as u8, 3, 0, 16]);
        let count = self.rng.below(32);
        sctp.extend(self.rng.bytes(count));
        sctp
    }

    fn icmp(&mut self, depth: usize) -> Vec<u8> {
        let kind = self.icmp_type();
        let mut icmp = vec![kind, self.rng.pick(&[0, 0, 1, 3, 4, 13]), self.rng.u8(), self.rng.u8()];
        icmp.extend(self.rng.bytes(4));
        let body = if depth > 0 && matches!(kind, 3 | 5 | 11) { self.ipv4(depth - 1) } else { self.application() };
        icmp.extend(body);
        icmp
    }

    fn icmp6(&mut self, depth: usize) -> Vec<u8> {
        let kind = self.icmp6_type();
        let mut icmp = vec![kind, self.rng.pick(&[0, 0, 1, 3, 4]), self.rng.u8(), self.rng.u8()];
        icmp.extend(self.rng.bytes(4));
        let body = match kind {
            1..=4 if depth > 0 => self.ipv6(depth - 1),
            135..=136 => self.ipv6_address().to_vec(),
            _ => self.application(),
        };
        icmp.extend(body);
        icmp
    }

    /// Payload that looks like something the expressions ask for, or noise.
    fn application(&mut self) -> Vec<u8> {
        let count = self.rng.below(80);
        let known: &[u8] = match self.rng.below(9) {
            0 => b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
            1 => b"POST /form HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            2 => b"HTTP/1.1 200 OK\r\n\r\n",
            3 => b"\x16\x03\x01\x00\x2e\x01\x00\x00\x2a\x03\x03abcdefghijklmnopqrstuvwxyz012345\x00\x00\x02\x13\x01\x01\x00",
            4 => b"SSH-2.0-OpenSSH_9.2\r\n",
            5 => b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01",
            6 => b"\x12\x34\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x1c\x00\x01",
            _ => return self.rng.bytes(count),
        };
        known.to_vec()
    }
}

/// The Internet checksum (RFC 1071) over an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
