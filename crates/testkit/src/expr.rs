//! Random filter expressions from the grammar of the language.
//!
//! The generator writes what a person could write; tcpdump accepts most of it for link types that carry IP, and all
//! of it is free of `protochain`, names that need a resolver, and shifts by a run-time count, about which libpcap
//! and the kernel disagree.

use crate::Rng;

const HOSTS: &[&str] = &[
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.1.2.3",
    "192.168.1.1",
    "192.168.1.7",
    "192.168.1.100",
    "8.8.8.8",
    "172.16.5.4",
    "224.0.0.251",
    "255.255.255.255",
    "0.0.0.0",
];
const HOSTS6: &[&str] = &["2001:db8::1", "2001:db8::2", "2001:db8:1::1", "fe80::1", "ff02::1", "::1", "::"];
const NETS: &[&str] = &[
    "10.0.0.0/8",
    "10",
    "10.0",
    "192.168.1.0/24",
    "192.168.0.0/16",
    "172.16.0.0/12",
    "224.0.0.0/4",
    "10.0.0.0/30",
    "0.0.0.0/0",
    "10.0.0.1 mask 255.0.0.255",
    "128.0.0.0/1",
    "8.8.8.8/32",
];
const NETS6: &[&str] = &["2001:db8::/32", "2001:db8:1::/48", "fe80::/10", "ff00::/8", "2001:db8::/65", "::/0"];
const PORTS: &[u32] = &[0, 20, 21, 22, 53, 67, 80, 123, 443, 1024, 5060, 6000, 6001, 6063, 8080, 65535];
const MACS: &[&str] = &["00:11:22:33:44:55", "02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"];
const WORDS: &[&str] = &[
    "ip",
    "ip6",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "sctp",
    "igmp",
    "pim",
    "vrrp",
    "ah",
    "esp",
    "arp",
    "rarp",
    "ip or ip6",
    "ip multicast",
    "ip6 multicast",
    "ip broadcast",
    "tcp or udp",
    "stp",
    "isis",
    "iso",
    "ipx",
    "decnet",
    "igrp",
];
const DIRECTIONS: &[&str] = &["", "", "src ", "dst ", "src or dst ", "src and dst ", "dst and src "];
const ACCESSORS: &[(&str, usize)] = &[
    ("ip", 24),
    ("ip", 24),
    ("ip6", 44),
    ("tcp", 20),
    ("tcp", 20),
    ("udp", 12),
    ("icmp", 8),
    ("icmp6", 4),
    ("arp", 28),
    ("link", 40),
    ("sctp", 16),
    ("igmp", 8),
];
const RELATIONS: &[&str] = &["=", "==", "!=", "<", ">", "<=", ">="];

/// A random expression. `layers` allows words that only link types like Ethernet have: hardware addresses, tags,
/// label stacks, PPPoE, LLC.
#[must_use]
pub fn random_expr(rng: &mut Rng, layers: bool) -> String {
    let depth = rng.pick(&[0, 1, 1, 2, 2, 3]);
    let mut text = boolean(rng, layers, depth);
    // A layer word moves the offsets of all that follows, so it stands in front, as people write it.
    if layers && rng.percent(15) {
        let layer = match rng.below(8) {
            0..=2 => "vlan".to_owned(),
            3 => format!("vlan {}", rng.pick(&[0, 1, 5, 100])),
            4 => "vlan and vlan".to_owned(),
            5 => "mpls".to_owned(),
            6 => "pppoes".to_owned(),
            _ => "geneve".to_owned(),
        };
        let inner = if layer == "mpls" { inside_mpls(rng) } else { text };
        text = format!("{layer} and ({inner})");
    }
    text
}

fn boolean(rng: &mut Rng, layers: bool, depth: usize) -> String {
    if depth == 0 {
        return primitive(rng, layers);
    }
    let count = if rng.percent(10) { rng.between(5, 12) } else { rng.between(2, 3) };
    let join = rng.pick(&[" and ", " or ", " or ", " && ", " || "]);
    let terms: Vec<String> = (0..count)
        .map(|_| {
            let below = if rng.percent(50) { depth - 1 } else { 0 };
            let term = boolean(rng, layers, below);
            match rng.below(10) {
                0..=1 => format!("not ({term})"),
                2 => format!("! ({term})"),
                3..=4 if below == 0 => term,
                _ => format!("({term})"),
            }
        })
        .collect();
    terms.join(join)
}

fn primitive(rng: &mut Rng, layers: bool) -> String {
    match rng.weighted(&[18, 22, 12, 18, 18, 5, 4, 6]) {
        0 => rng.pick(WORDS).to_owned(),
        1 => host(rng),
        2 => net(rng),
        3 => port(rng),
        4 => relation(rng),
        5 => format!("{} {}", rng.pick(&["less", "greater", "len >", "len <="]), rng.pick(&[40, 60, 64, 100, 200])),
        6 => format!("{} proto {}", rng.pick(&["ip", "ip6"]), rng.pick(&[0, 1, 6, 17, 44, 47, 50, 58, 132, 255])),
        _ if layers => layer_primitive(rng),
        _ => format!("ether proto {}", rng.pick(&["0x0800", "0x86dd", "0x0806", "0x88cc", "\\ip", "\\arp"])),
    }
}

fn layer_primitive(rng: &mut Rng) -> String {
    match rng.below(6) {
        0 => rng.pick(&["broadcast", "multicast", "ether broadcast", "ether multicast"]).to_owned(),
        1 => rng.pick(&["llc", "llc u", "llc i", "llc s", "llc ui", "llc xid"]).to_owned(),
        2 => format!("ether proto {}", rng.pick(&["0x0800", "0x42", "0xfe", "0x88cc", "\\stp", "\\ipx", "\\atalk"])),
        _ => format!("ether {}host {}", rng.pick(DIRECTIONS), rng.pick(MACS)),
    }
}

/// Behind labels libpcap knows only IP.
fn inside_mpls(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => "ip".to_owned(),
        1 => format!("{} port {}", rng.pick(&["tcp", "udp"]), rng.pick(PORTS)),
        2 => format!("host {}", rng.pick(HOSTS)),
        _ => format!("ip[{}] {} {}", rng.below(20), rng.pick(RELATIONS), rng.below(256)),
    }
}

fn host(rng: &mut Rng) -> String {
    let direction = rng.pick(DIRECTIONS);
    if rng.percent(25) {
        return format!("{}{direction}host {}", rng.pick(&["", "ip6 "]), rng.pick(HOSTS6));
    }
    let proto = rng.pick(&["", "", "ip ", "ip ", "arp "]);
    if rng.percent(20) {
        let list: Vec<&str> = (0..rng.between(2, 6)).map(|_| rng.pick(HOSTS)).collect();
        return format!("{proto}{direction}host ({})", list.join(" or "));
    }
    format!("{proto}{direction}host {}", rng.pick(HOSTS))
}

fn net(rng: &mut Rng) -> String {
    let direction = rng.pick(DIRECTIONS);
    if rng.percent(25) {
        return format!("{}{direction}net {}", rng.pick(&["", "ip6 "]), rng.pick(NETS6));
    }
    format!("{}{direction}net {}", rng.pick(&["", "ip ", "arp "]), rng.pick(NETS))
}

fn port(rng: &mut Rng) -> String {
    let proto = rng.pick(&["", "", "tcp ", "tcp ", "udp ", "sctp "]);
    let direction = rng.pick(DIRECTIONS);
    match rng.below(4) {
        0 => {
            let (from, to) = (rng.pick(PORTS), rng.pick(PORTS));
            format!("{proto}{direction}portrange {from}-{to}")
        }
        1 => {
            let list: Vec<String> = (0..rng.between(2, 6)).map(|_| rng.pick(PORTS).to_string()).collect();
            format!("{proto}{direction}port ({})", list.join(" or "))
        }
        _ => format!("{proto}{direction}port {}", rng.pick(PORTS)),
    }
}

fn relation(rng: &mut Rng) -> String {
    let left = arithmetic(rng, 2);
    let right = if rng.percent(75) { constant(rng) } else { arithmetic(rng, 1) };
    format!("{left} {} {right}", rng.pick(RELATIONS))
}

fn arithmetic(rng: &mut Rng, depth: usize) -> String {
    if depth == 0 || rng.percent(45) {
        return load(rng);
    }
    let left = arithmetic(rng, depth - 1);
    match rng.below(12) {
        0..=3 => format!("{left} & {}", rng.pick(&["0xf", "0xf0", "1", "2", "0x3fff", "0xff00", "0x1fff"])),
        4 => format!("({left}) >> {}", rng.between(0, 12)),
        5 => format!("({left}) << {}", rng.between(0, 12)),
        6 => format!("({left}) / {}", rng.between(1, 9)),
        7 => format!("({left} - {})", arithmetic(rng, depth - 1)),
        8 => format!("({left} + {})", arithmetic(rng, depth - 1)),
        9 => format!("({left}) * {}", rng.between(0, 9)),
        10 => format!("({left} | {})", arithmetic(rng, depth - 1)),
        _ => format!("-({left})"),
    }
}

fn load(rng: &mut Rng) -> String {
    if rng.percent(6) {
        return "len".to_owned();
    }
    let (accessor, limit) = rng.pick(ACCESSORS);
    let size = rng.pick(&["", "", "", ":1", ":2", ":2", ":4"]);
    if rng.percent(12) {
        return format!("{accessor}[{accessor}[{}] & 0x1f{size}]", rng.below(limit));
    }
    format!("{accessor}[{}{size}]", rng.below(limit))
}

fn constant(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => rng.pick(&["0", "1", "2", "6", "17", "64", "0x45", "0x800", "80", "53", "0x0a000001"]).to_owned(),
        1 => rng.pick(&["tcp-syn", "icmp-echo", "tcp-ack", "icmp6-echo", "tcp-push"]).to_owned(),
        2 => rng.below(256).to_string(),
        _ => format!("{:#x}", rng.u32() >> rng.below(32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn expressions_are_deterministic_and_varied() {
        let list = |seed| -> Vec<String> {
            let mut rng = Rng::new(seed);
            (0..500).map(|index| random_expr(&mut rng, index % 2 == 0)).collect()
        };
        assert_eq!(list(1), list(1));
        let distinct: HashSet<String> = list(1).into_iter().collect();
        assert!(distinct.len() > 450, "{}", distinct.len());
        assert!(distinct.iter().any(|text| text.contains("vlan")));
    }
}
