//! Packets for tests, built from a seeded generator, with correct (and sometimes wrong) checksums.
#![allow(dead_code)] // Each test uses some of it.

use skep_packet::decode::checksum;

/// A small generator (splitmix64): the same seed gives the same packets everywhere.
pub struct Random {
    state: u64,
    /// No application payloads and no IPv4 options.
    pub plain: bool,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { state: seed, plain: false }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn next_u32(&mut self) -> u32 {
        self.next() as u32
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub fn bytes(&mut self, from: usize, to: usize) -> Vec<u8> {
        let n = from + self.below(to - from);
        (0..n).map(|_| self.next() as u8).collect()
    }

    pub fn ipv4(&mut self) -> [u8; 4] {
        if self.one_in(8) { self.next_u32().to_be_bytes() } else { [10, 0, 0, 1 + self.below(4) as u8] }
    }

    pub fn ipv6(&mut self) -> [u8; 16] {
        let mut address = [0; 16];
        if self.one_in(4) {
            for byte in &mut address {
                *byte = if self.one_in(2) { 0 } else { self.next() as u8 };
            }
        } else {
            address[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
            address[15] = 1 + self.below(4) as u8;
        }
        address
    }

    /// A port that no decoder of tcpdump is bound to.
    pub fn port(&mut self) -> u16 {
        *self.pick(&[443, 993, 40001, 51000, 51001, 60123])
    }
}

/// Addresses of a packet, for the pseudo header.
pub enum Ends {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

impl Ends {
    fn checksum(&self, proto: u8, data: &[u8]) -> u16 {
        let length = (data.len() as u32).to_be_bytes();
        match self {
            Self::V4(src, dst) => checksum(&[src, dst, &[0, proto], &length[2..], data]),
            Self::V6(src, dst) => checksum(&[src, dst, &length, &[0, 0, 0, proto], data]),
        }
    }
}

pub fn eth(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], &ethertype.to_be_bytes(), payload].concat()
}

pub fn ipv4_plain(src: [u8; 4], dst: [u8; 4], proto: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(src, dst, proto, payload, &[], 0, 0, 64)
}

pub fn ipv4_options(src: [u8; 4], dst: [u8; 4], proto: u8, payload: &[u8], options: &[u8]) -> Vec<u8> {
    ipv4_with(src, dst, proto, payload, options, 0, 0, 64)
}

pub fn ipv6_plain(src: [u8; 16], dst: [u8; 16], next: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    [&[0x60, 0, 0, 0][..], &length, &[next, 64], &src, &dst, payload].concat()
}

pub fn udp_packet(ends: &Ends, (sport, dport): (u16, u16), payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 8).to_be_bytes();
    let mut packet = [&sport.to_be_bytes()[..], &dport.to_be_bytes(), &length, &[0, 0], payload].concat();
    let sum = match ends.checksum(17, &packet) {
        0 => 0xffff,
        sum => sum,
    };
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
    packet
}

#[allow(clippy::too_many_arguments)] // One for each field of the header.
fn ipv4_with(
    src: [u8; 4],
    dst: [u8; 4],
    proto: u8,
    payload: &[u8],
    options: &[u8],
    tos: u8,
    fragment: u16,
    ttl: u8,
) -> Vec<u8> {
    let total = (20 + options.len() + payload.len()) as u16;
    let mut header = vec![0x45 + (options.len() / 4) as u8, tos];
    header.extend(total.to_be_bytes());
    header.extend([0x12, 0x34]);
    header.extend(fragment.to_be_bytes());
    header.extend([ttl, proto, 0, 0]);
    header.extend(src);
    header.extend(dst);
    header.extend(options);
    let sum = checksum(&[&header]).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    [header, payload.to_vec()].concat()
}

pub fn ipv4(r: &mut Random, src: [u8; 4], dst: [u8; 4], proto: u8, payload: Vec<u8>) -> Vec<u8> {
    let options: &[u8] = match r.below(12) {
        _ if r.plain => &[],
        0 => &[0x94, 4, 0, 0],
        1 => &[1, 1, 1, 0],
        2 => &[7, 7, 4, 10, 0, 0, 9, 0],
        _ => &[],
    };
    let fragment = *r.pick(&[0, 0, 0, 0, 0, 0x4000, 0x4000, 0x8000, 0x2000, 0x2005, 0x0007]);
    let tos = *r.pick(&[0, 0, 0, 1, 2, 3, 0x10, 0xb8]);
    let ttl = *r.pick(&[64, 64, 255, 1, 0]);
    let mut packet = ipv4_with(src, dst, proto, &payload, options, tos, fragment, ttl);
    match r.below(24) {
        0 => packet[10] ^= 0x11,
        1 => packet[0] = packet[0] & 0xf0 | 4,
        2 => packet[2..4].copy_from_slice(&19u16.to_be_bytes()),
        // Longer and shorter than the packet.
        3 => packet[2..4].copy_from_slice(&(payload.len() as u16 + 90).to_be_bytes()),
        4 => packet.extend([0; 9]),
        _ => {}
    }
    packet
}

pub fn ipv6(r: &mut Random, src: [u8; 16], dst: [u8; 16], proto: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut next = proto;
    let mut body = payload;
    for _ in 0..r.below(3) {
        if !r.one_in(3) {
            continue;
        }
        let (kind, mut header) = match r.below(3) {
            0 => (60, vec![0, 0, 1, 4, 0, 0, 0, 0]),
            1 => (43, [&[0, 2, 4, 0, 0, 0, 0, 7][..], &src].concat()),
            // Fragments last: the checksum of their payload cannot be verified.
            _ => (44, vec![0, 0, 0, u8::from(r.one_in(3)), 0, 0, 0, 9]),
        };
        header[0] = next;
        next = kind;
        body = [header, body].concat();
    }
    if r.one_in(6) {
        body = [vec![next, 0, 5, 2, 0, 0, 1, 0], body].concat();
        next = 0;
    }
    let mut packet = vec![0x60, 0, 0, 0];
    if r.one_in(4) {
        packet[0..4].copy_from_slice(&(0x6000_0000 | r.next_u32() & 0x0fff_ffff).to_be_bytes());
    }
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([next, *r.pick(&[64, 255, 1])]);
    packet.extend(src);
    packet.extend(dst);
    packet.extend(body);
    if r.one_in(20) {
        packet[5] = packet[5].wrapping_add(30);
    }
    packet
}

pub fn tcp_segment(
    ends: &Ends,
    (sport, dport): (u16, u16),
    (seq, ack): (u32, u32),
    flags: u8,
    window: u16,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(sport.to_be_bytes());
    segment.extend(dport.to_be_bytes());
    segment.extend(seq.to_be_bytes());
    segment.extend(ack.to_be_bytes());
    segment.extend([((20 + options.len()) / 4 * 16) as u8, flags]);
    segment.extend(window.to_be_bytes());
    segment.extend([0, 0, 0, 3]);
    segment.extend(options);
    segment.extend(payload);
    let sum = ends.checksum(6, &segment).to_be_bytes();
    segment[16..18].copy_from_slice(&sum);
    segment
}

pub fn tcp(r: &mut Random, ends: &Ends) -> Vec<u8> {
    let options: &[u8] = match r.below(8) {
        0 => &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7],
        1 => &[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
        2 => &[1, 1, 5, 18, 0, 0, 16, 0, 0, 0, 32, 0, 0, 0, 48, 0, 0, 0, 64, 0],
        3 => &[1, 1, 4, 2],
        4 => &[14, 3, 9, 0],
        5 => &[8, 1, 0, 0],
        _ => &[],
    };
    let flags = *r.pick(&[2, 0x12, 0x10, 0x10, 0x18, 0x11, 0x14, 4, 0x38, 0xc2, 0, 0x52]);
    let payload = if r.one_in(2) { Vec::new() } else { vec![0xa5; r.below(80)] };
    let numbers = (1000 + r.below(200_000) as u32, 5000 + r.below(200_000) as u32);
    let ports = (r.port(), r.port());
    let mut segment = tcp_segment(ends, ports, numbers, flags, r.next_u32() as u16, options, &payload);
    match r.below(16) {
        0 => segment[16] ^= 0x55,
        1 if r.one_in(2) => segment[12] = 0x40,
        2 if options.is_empty() && payload.is_empty() => segment[12] = 0xf0,
        _ => {}
    }
    segment
}

pub fn udp(r: &mut Random, ends: &Ends, dns: Option<Vec<u8>>) -> Vec<u8> {
    let is_dns = dns.is_some();
    let payload = dns.unwrap_or_else(|| r.bytes(0, 60));
    let server = u16::from(is_dns) * 53;
    let response = is_dns && payload.get(2).is_some_and(|byte| byte & 0x80 != 0);
    let (sport, dport) = match (is_dns, response) {
        (false, _) => (r.port(), r.port()),
        (true, true) => (server, 40_001),
        (true, false) => (40_001, server),
    };
    let mut packet = Vec::new();
    packet.extend(sport.to_be_bytes());
    packet.extend(dport.to_be_bytes());
    packet.extend((payload.len() as u16 + 8).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    match r.below(10) {
        0 => {}
        1 => packet[6..8].copy_from_slice(&[0x77, 0x77]),
        _ => {
            let sum = match ends.checksum(17, &packet) {
                0 => 0xffff,
                sum => sum,
            };
            packet[6..8].copy_from_slice(&sum.to_be_bytes());
        }
    }
    if r.one_in(20) && !is_dns {
        packet[4..6].copy_from_slice(&5u16.to_be_bytes());
    }
    packet
}

pub fn icmp(r: &mut Random) -> Vec<u8> {
    let quoted = {
        let ends = Ends::V4([10, 0, 0, 2], [10, 0, 0, 1]);
        let ports = (r.port(), r.port());
        let segment = tcp_segment(&ends, ports, (1, 2), 2, 100, &[], b"");
        ipv4_plain([10, 0, 0, 2], [10, 0, 0, 1], 6, &segment)
    };
    let (kind, code, word) = match r.below(9) {
        0 | 1 => (*r.pick(&[0, 8]), 0, r.next_u32()),
        2 | 3 => (3, r.below(17) as u8, if r.one_in(2) { 1400 } else { 0 }),
        4 => (11, r.below(3) as u8, 0),
        5 => (5, r.below(5) as u8, 0x0a00_00fe),
        6 => (12, r.below(2) as u8, 0x0900_0000),
        7 => (*r.pick(&[4, 10, 13, 15, 17]), 0, 0x0001_0002),
        _ => (*r.pick(&[1, 2, 6, 19, 44]), 0, 0),
    };
    let mut packet = vec![kind, code, 0, 0];
    packet.extend(word.to_be_bytes());
    if matches!(kind, 3 | 4 | 5 | 11 | 12) {
        packet.extend(quoted);
    } else {
        packet.extend(r.bytes(0, 30));
    }
    if !r.one_in(8) {
        let sum = checksum(&[&packet]).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
    }
    packet
}

pub fn icmp6(r: &mut Random, ends: &Ends) -> Vec<u8> {
    let target = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    let quoted = {
        let mut packet = vec![0x60, 0, 0, 0, 0, 12, 17, 64];
        packet.extend(target);
        packet.extend(target);
        packet.extend([0x9c, 0x41, 0xc7, 0x38, 0, 12, 1, 2, 9, 9, 9, 9]);
        packet
    };
    let link_option = [1, 1, 2, 0, 0, 0, 0, 1];
    let mut packet = match r.below(10) {
        0 => [&[*r.pick(&[128, 129]), 0, 0, 0, 1, 2, 3, 4][..], &r.bytes(0, 20)].concat(),
        1 => [&[1, r.below(5) as u8, 0, 0, 0, 0, 0, 0][..], &quoted].concat(),
        2 => [&[2, 0, 0, 0, 0, 0, 5, 0][..], &quoted].concat(),
        3 => [&[3, r.below(3) as u8, 0, 0, 0, 0, 0, 0][..], &quoted].concat(),
        4 => [&[4, r.below(3) as u8, 0, 0, 0, 0, 0, 6][..], &quoted].concat(),
        5 => [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target, &link_option].concat(),
        6 => [&[136, 0, 0, 0, *r.pick(&[0, 0x60, 0xe0]), 0, 0, 0][..], &target, &[2, 1, 2, 0, 0, 0, 0, 1]].concat(),
        7 => [&[133, 0, 0, 0, 0, 0, 0, 0][..], &link_option].concat(),
        8 => [
            &[134, 0, 0, 0, 64, *r.pick(&[0, 0xc0, 0x88]), 7, 8, 0, 0, 0, 9, 0, 0, 0, 8][..],
            &link_option,
            &[5, 1, 0, 0, 0, 0, 5, 0xdc],
            &[3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            &target,
        ]
        .concat(),
        _ => [&[*r.pick(&[130, 131, 132]), 0, 0, 0, 0x27, 0x10, 0, 0][..], &target].concat(),
    };
    if !r.one_in(8) {
        let sum = ends.checksum(58, &packet).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
    }
    packet
}

pub fn arp(r: &mut Random) -> Vec<u8> {
    let operation = *r.pick(&[1, 1, 2, 3, 4, 8, 9]);
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, 1];
    packet.extend(r.ipv4());
    packet.extend(if r.one_in(2) { [0; 6] } else { [2, 0, 0, 0, 0, 9] });
    packet.extend(r.ipv4());
    if r.one_in(2) {
        packet.extend([0; 18]);
    }
    packet
}

pub fn name(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

/// A DNS message with the types that tcpdump decodes.
pub fn dns(r: &mut Random) -> Vec<u8> {
    let response = r.one_in(2);
    let id = r.next_u32() as u16;
    let flags = if response {
        0x8000 | r.next_u32() as u16 & 0x07af
    } else {
        *r.pick(&[0x100, 0x100, 0x110, 0x120, 0, 0x2000, 0x2800])
    };
    let mut records = Vec::new();
    let mut counts = [1u16, 0, 0, 0];
    for (section, count) in counts.iter_mut().enumerate().skip(1) {
        let wanted = if response { r.below(3) } else { usize::from(section == 3 && r.one_in(3)) };
        for _ in 0..wanted {
            *count += 1;
            records.extend(record(r, section));
        }
    }
    let mut message = Vec::new();
    for word in [id, flags, counts[0], counts[1], counts[2], counts[3]] {
        message.extend(word.to_be_bytes());
    }
    let names: &[&str] = &["example.com", "WWW.Example.com", "a.b.c.d.e", "xn--strange_1.org"];
    let asked: &str = names[r.below(names.len())];
    message.extend(name(asked));
    message.extend(r.pick(&[1u16, 28, 5, 15, 16, 33, 255, 12, 65280]).to_be_bytes());
    message.extend(r.pick(&[1u16, 1, 1, 3, 255]).to_be_bytes());
    message.extend(records);
    message
}

fn record(r: &mut Random, section: usize) -> Vec<u8> {
    let mut out = if r.one_in(3) { name("other.example.net") } else { vec![0xc0, 12] };
    let (kind, data): (u16, Vec<u8>) = match r.below(if section == 3 { 9 } else { 8 }) {
        0 | 1 => (1, r.next_u32().to_be_bytes().to_vec()),
        2 => (28, r.ipv6().to_vec()),
        3 => (*r.pick(&[5, 2, 12]), name("target.example.org")),
        4 => (15, [&[0, 10][..], &name("mx.example.org")].concat()),
        5 => (16, b"\x05hello\x03a b".to_vec()),
        6 => (33, [&[0, 1, 0, 2, 0, 80][..], &name("srv.example.org")].concat()),
        7 => {
            (6, [name("ns.x"), name("h.x"), vec![0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5]].concat())
        }
        _ => {
            let do_bit = u8::from(r.one_in(2)) << 7;
            return [&[0, 0, 41, 4, 0xd0, 0, 0, do_bit, 0, 0, 0][..]].concat();
        }
    };
    out.extend(kind.to_be_bytes());
    out.extend([0, 1]);
    out.extend((r.next_u32() % 1_000_000).to_be_bytes());
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
    out
}
