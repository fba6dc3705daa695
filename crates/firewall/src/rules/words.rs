//! Words of the language: names of numbers.
// TABLE

use super::{Message, Reply, Verdict};

/// Protocols above the internet protocol (IANA, Assigned Internet Protocol Numbers).
pub const PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", 6),
    ("udp", 17),
    ("dccp", 33),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmp6", 58),
    ("ospf", 89),
    ("vrrp", 112),
    ("sctp", 132),
    ("udplite", 136),
];

/// Protocols whose header begins with two ports.
pub const WITH_PORTS: &[u8] = &[6, 17, 33, 132, 136];

/// TCP.
pub const TCP: u8 = 6;
/// ICMP of version 4.
pub const ICMP: u8 = 1;
/// ICMP of version 6.
pub const ICMP6: u8 = 58;

/// ICMP types (IANA, ICMP Type Numbers): protocol, name, number.
pub const ICMP_TYPES: &[(u8, &str, u8)] = &[
    (ICMP, "echo-reply", 0),
    (ICMP, "unreachable", 3),
    (ICMP, "redirect", 5),
    (ICMP, "echo-request", 8),
    (ICMP, "time-exceeded", 11),
    (ICMP, "parameter-problem", 12),
    (ICMP, "timestamp-request", 13),
    (ICMP6, "unreachable", 1),
    (ICMP6, "too-big", 2),
    (ICMP6, "time-exceeded", 3),
    (ICMP6, "parameter-problem", 4),
    (ICMP6, "echo-request", 128),
    (ICMP6, "echo-reply", 129),
    (ICMP6, "router-solicitation", 133),
    (ICMP6, "router-advertisement", 134),
    (ICMP6, "neighbour-solicitation", 135),
    (ICMP6, "neighbour-advertisement", 136),
];

/// Neighbour discovery (RFC 4861), which no rule is asked about: without it IPv6 has no neighbours.
pub const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=136;

/// TCP flags (RFC 9293, 3.1) with their bits.
pub const FLAGS: &[(&str, u8)] =
    &[("fin", 1), ("syn", 2), ("rst", 4), ("psh", 8), ("ack", 16), ("urg", 32), ("ece", 64), ("cwr", 128)];

/// Verdicts, in rules and as defaults.
pub const VERDICTS: &[(&str, Verdict)] =
    &[("accept", Verdict::Accept), ("drop", Verdict::Drop), ("reject", Verdict::Reject(Reply::Usual))];

/// What may stand behind `reject with` (IANA, ICMP Type Numbers: codes of "destination unreachable").
pub const MESSAGES: &[(&str, Message)] = &[
    ("port-unreachable", Message { four: Some(3), six: Some(4) }),
    ("host-unreachable", Message { four: Some(1), six: Some(3) }),
    ("net-unreachable", Message { four: Some(0), six: Some(0) }),
    ("admin-prohibited", Message { four: Some(13), six: Some(1) }),
    ("proto-unreachable", Message { four: Some(2), six: None }),
    ("net-prohibited", Message { four: Some(9), six: None }),
    ("host-prohibited", Message { four: Some(10), six: None }),
    ("policy-fail", Message { four: None, six: Some(5) }),
    ("reject-route", Message { four: None, six: Some(6) }),
];

/// States of connections with their bits.
pub const STATES: &[(&str, u8)] = &[("new", 1), ("established", 2), ("related", 4), ("invalid", 8)];

/// All states.
pub const ALL_STATES: u8 = 15;

/// Ports by the names that rules use most (IANA, Service Name and Transport Protocol Port Number Registry).
pub const PORTS: &[(&str, u16)] = &[
    ("ftp", 21),
    ("ssh", 22),
    ("smtp", 25),
    ("dns", 53),
    ("domain", 53),
    ("dhcp-server", 67),
    ("dhcp-client", 68),
    ("http", 80),
    ("ntp", 123),
    ("imap", 143),
    ("snmp", 161),
    ("https", 443),
    ("submission", 587),
    ("imaps", 993),
    ("mysql", 3306),
    ("postgresql", 5432),
];

/// What rules of other firewalls say and ours cannot: the word, why, what to do.
pub const UNSUPPORTED: &[(&str, &str, &str)] = &[
    ("nat", "which addresses are changed has to be said", "write `dnat`, `snat`, `masquerade` or `redirect`"),
    (
        "forward",
        "forwarded packets are `in` at one interface and `out` at another",
        "write `in on ETH` or `out on ETH`",
    ),
    ("user", "users are told by their numbers", "write `uid 1000` (see `id -u NAME`)"),
    ("gid", "the kernel does not tell the group of a socket", "match `uid`, `cgroup` or `service`"),
    ("time", "hours have another word", "write `between 08:00 and 18:00`"),
    ("hours", "hours have another word", "write `between 08:00 and 18:00`"),
    ("pcap", "expressions have another word", "write `match \"EXPRESSION\"`"),
];

/// Tables whose sizes can be said: the name, the entries if nothing is said. In the order of [`super::TableSizes`].
pub const TABLES: [(&str, u32); 3] = [("connections", 1 << 16), ("translations", 1 << 15), ("limits", 1 << 14)];
/// Most entries of a table. To find old ones in a full table takes a processor up to 0.1 s for so many.
pub const MOST_ENTRIES: u32 = 1 << 20;

/// Days with their bits.
pub const DAYS: &[(&str, u8)] =
    &[("sun", 1), ("mon", 2), ("tue", 4), ("wed", 8), ("thu", 16), ("fri", 32), ("sat", 64)];

/// All days.
pub const ALL_DAYS: u8 = 127;

/// Below what the control groups of services are (systemd.slice(5)).
pub const SERVICES: &str = "/system.slice/";

/// Units of time with their seconds.
pub const UNITS: &[(&str, u32)] =
    &[("s", 1), ("second", 1), ("min", 60), ("minute", 60), ("h", 3600), ("hour", 3600), ("d", 86400), ("day", 86400)];

/// The first number with a name.
pub fn number<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The first name of a number.
pub fn name<'a, T: Copy + PartialEq>(table: &[(&'a str, T)], number: T) -> Option<&'a str> {
    table.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}
