//! The small pools of addresses, ports and numbers that both the packets and the corpus expressions draw from.
//!
//! A filter test says something only if some packets match and some do not; sharing these pools sees to that.

use super::Forge;

/// IPv4 addresses, network order.
pub const IPV4: &[[u8; 4]] = &[
    [10, 0, 0, 1],
    [10, 0, 0, 2],
    [10, 0, 0, 3],
    [10, 1, 2, 3],
    [10, 255, 255, 255],
    [192, 168, 1, 1],
    [192, 168, 1, 2],
    [192, 168, 1, 7],
    [192, 168, 1, 100],
    [192, 168, 1, 255],
    [192, 168, 2, 9],
    [172, 16, 5, 4],
    [172, 31, 0, 8],
    [127, 0, 0, 1],
    [192, 0, 2, 33],
    [198, 51, 100, 7],
    [203, 0, 113, 9],
    [8, 8, 8, 8],
    [1, 1, 1, 1],
    [100, 64, 0, 1],
    [169, 254, 10, 20],
    [224, 0, 0, 1],
    [224, 0, 0, 251],
    [239, 255, 255, 250],
    [255, 255, 255, 255],
    [0, 0, 0, 0],
];

/// IPv6 addresses as eight groups.
pub const IPV6: &[[u16; 8]] = &[
    [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1],
    [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2],
    [0x2001, 0xdb8, 1, 0, 0, 0, 0, 1],
    [0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 7],
    [0xfe80, 0, 0, 0, 0, 0, 0, 1],
    [0xfe80, 0, 0, 0, 0x0211, 0x22ff, 0xfe33, 0x4455],
    [0xfd00, 0, 0, 1, 0, 0, 0, 9],
    [0xff02, 0, 0, 0, 0, 0, 0, 1],
    [0xff02, 0, 0, 0, 0, 0, 0, 0xfb],
    [0xff05, 0, 0, 0, 0, 0, 1, 3],
    [0, 0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x0001],
];

/// Hardware addresses: two stations, broadcast, and multicast groups of well-known protocols.
pub const MAC: &[[u8; 6]] = &[
    [0x00, 0x11, 0x22, 0x33, 0x44, 0x55],
    [0x02, 0, 0, 0, 0, 1],
    [0x02, 0, 0, 0, 0, 2],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    [0x01, 0x00, 0x5e, 0, 0, 1],
    [0x33, 0x33, 0, 0, 0, 1],
    [0x01, 0x80, 0xc2, 0, 0, 0],
    [0x01, 0x80, 0xc2, 0, 0, 0x0e],
    [0x09, 0x00, 0x2b, 0, 0, 5],
    [0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcc],
    [0xaa, 0x00, 0x04, 0x00, 0x01, 0x04],
];

/// One direction of a conversation: IPv4 source, destination, protocol, source and destination port.
pub type Flow = ([u8; 4], [u8; 4], u8, u16, u16);

/// Conversations that everyday expressions look for.
pub const FLOWS: &[Flow] = &[
    ([10, 0, 0, 1], [10, 0, 0, 2], 6, 6000, 80),
    ([10, 0, 0, 2], [10, 0, 0, 1], 6, 80, 6001),
    ([10, 0, 0, 1], [8, 8, 8, 8], 17, 51000, 53),
    ([8, 8, 8, 8], [10, 0, 0, 1], 17, 53, 51000),
    ([10, 0, 0, 3], [192, 168, 1, 1], 6, 6010, 443),
    ([192, 168, 1, 7], [10, 0, 0, 1], 6, 51000, 22),
    ([192, 168, 1, 100], [203, 0, 113, 9], 6, 6063, 443),
    ([192, 168, 1, 2], [10, 1, 2, 3], 6, 51000, 445),
    ([10, 0, 0, 1], [10, 0, 0, 1], 17, 53, 53),
    ([10, 1, 2, 3], [10, 0, 0, 2], 6, 6000, 6000),
    ([0, 0, 0, 0], [255, 255, 255, 255], 17, 68, 67),
    ([192, 168, 1, 1], [224, 0, 0, 251], 17, 5353, 5353),
    ([172, 16, 5, 4], [10, 0, 0, 2], 132, 22, 80),
    ([10, 0, 0, 2], [192, 168, 1, 7], 17, 514, 33434),
    ([10, 0, 0, 2], [192, 168, 1, 7], 6, 53, 6000),
];

/// Ports that the expressions mention and their neighbours.
pub const PORTS: &[u16] = &[
    0, 7, 8, 20, 21, 22, 23, 25, 53, 67, 68, 69, 79, 80, 81, 110, 123, 143, 161, 179, 389, 443, 444, 500, 514, 520,
    546, 547, 993, 995, 1023, 1024, 1194, 1812, 2049, 3128, 3306, 3389, 4789, 5060, 5353, 5432, 5999, 6000, 6001, 6010,
    6063, 6064, 6081, 6379, 8080, 8443, 9100, 51000, 65535,
];

/// IP protocol numbers besides TCP, UDP and ICMP.
pub const IP_PROTOCOLS: &[u8] =
    &[0, 2, 4, 8, 9, 17, 41, 43, 44, 46, 47, 50, 51, 58, 59, 60, 88, 89, 94, 103, 108, 112, 115, 132, 135, 136, 255];

/// EtherTypes whose body is not a network protocol that the generator knows.
pub const ETHER_TYPES: &[u16] = &[
    0x0600, 0x0800, 0x0842, 0x2000, 0x6000, 0x6001, 0x6002, 0x6003, 0x6004, 0x6007, 0x8035, 0x809b, 0x80f3, 0x8100,
    0x8137, 0x814c, 0x86dd, 0x8808, 0x8809, 0x8847, 0x8848, 0x8863, 0x8864, 0x888e, 0x88a8, 0x88cc, 0x88e5, 0x88f7,
    0x9000, 0x9100, 0x9200, 0xfefe,
];

/// ICMP types with a name in the filter language, and a few without.
const ICMP_TYPES: &[u8] = &[0, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 40, 253];

/// ICMPv6 types with a name in the filter language, and a few without.
const ICMP6_TYPES: &[u8] =
    &[1, 2, 3, 4, 100, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 143, 151, 153, 200];

impl Forge {
    /// An IPv4 address, mostly from the pool.
    pub(super) fn ipv4_address(&mut self) -> [u8; 4] {
        match self.rng.below(10) {
            0 => self.rng.u32().to_be_bytes(),
            3..=5 => self.rng.pick(&IPV4[..3]),
            1 => [10, 0, self.rng.below(3) as u8, self.rng.u8()],
            2 => [192, 168, 1, self.rng.u8()],
            _ => self.rng.pick(IPV4),
        }
    }

    /// An IPv6 address, mostly from the pool.
    pub(super) fn ipv6_address(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let pool = if self.rng.percent(45) { &IPV6[..2] } else { IPV6 };
        for (pair, group) in bytes.chunks_exact_mut(2).zip(self.rng.pick(pool)) {
            pair.copy_from_slice(&group.to_be_bytes());
        }
        if self.rng.percent(15) {
            let start = self.rng.below(16);
            let noise = self.rng.bytes(16 - start);
            bytes[start..].copy_from_slice(&noise);
        }
        bytes
    }

    /// A hardware address, mostly from the pool.
    pub(super) fn mac(&mut self) -> [u8; 6] {
        if self.rng.percent(40) {
            return self.rng.pick(&MAC[..4]);
        }
        if self.rng.percent(80) {
            return self.rng.pick(MAC);
        }
        let mut mac = [0; 6];
        mac.copy_from_slice(&self.rng.bytes(6));
        mac
    }

    /// A port, mostly from the pool, some from the ranges that `portrange` tests use.
    pub(super) fn port(&mut self) -> u16 {
        match self.rng.below(10) {
            0 => self.rng.u16(),
            1 => 6000 + self.rng.below(70) as u16,
            2 => self.rng.below(1100) as u16,
            3..=5 => self.rng.pick(&[22, 53, 53, 80, 80, 443]),
            _ => self.rng.pick(PORTS),
        }
    }

    pub(super) fn icmp_type(&mut self) -> u8 {
        if self.rng.percent(90) { self.rng.pick(ICMP_TYPES) } else { self.rng.u8() }
    }

    pub(super) fn icmp6_type(&mut self) -> u8 {
        match self.rng.below(10) {
            0 => self.rng.u8(),
            1..=3 => self.rng.between(128, 153) as u8,
            _ => self.rng.pick(ICMP6_TYPES),
        }
    }
}
