//! Packets that get lost.

use super::{Case, Finding, Seen, weight};

/// Segments sent again to one place below which nothing is said.
const FEW: i128 = 5;
/// Dropped packets of one reason in a second below which nothing is said.
const LEAST_RATE: f64 = 1.0;

/// Reasons to drop a packet that mean trouble: the name in the kernel without `SKB_DROP_REASON_`, what it means, what shows
/// more. Others are the daily life of a network.
// TABLE
const REASONS: &[(&str, &str, &str)] = &[
    ("SOCKET_RCVBUFF", "programs do not fetch what arrives: buffers of sockets are full", "ss -nmp"),
    ("SOCKET_BACKLOG", "programs do not fetch what arrives: backlogs of sockets are full", "ss -nmp"),
    ("TCP_OVERWINDOW", "more arrives than the receiver said that it takes", "skep tcpdrop"),
    ("PROTO_MEM", "the memory limit of the protocol is reached (net.ipv4.tcp_mem, udp_mem)", "cat /proc/net/sockstat"),
    ("NETFILTER_DROP", "rules drop packets", "nft list ruleset; skep nflat"),
    ("XDP", "a program at the device (XDP) drops packets", "skep links"),
    (
        "TC_INGRESS",
        "a filter of traffic control drops packets that arrive",
        "skep links; tc filter show dev IFACE ingress",
    ),
    (
        "TC_EGRESS",
        "a filter of traffic control drops packets that leave",
        "skep links; tc filter show dev IFACE egress",
    ),
    ("QDISC_DROP", "queues of devices are full", "tc -s qdisc"),
    ("QDISC_OVERLIMIT", "queues of devices are full", "tc -s qdisc"),
    ("CPU_BACKLOG", "processors do not keep up with what arrives (net.core.netdev_max_backlog)", "skep softirqs 1 5"),
    ("FULL_RING", "rings of devices are full", "ethtool -S IFACE"),
    ("NOMEM", "memory for packets is short", "skep drsnoop"),
    ("NEIGH_FAILED", "addresses of neighbours do not resolve", "ip neigh"),
    ("NEIGH_QUEUEFULL", "addresses of neighbours do not resolve fast enough", "ip neigh"),
    ("NEIGH_TABLE_FULL", "the table of neighbours is full (net.ipv4.neigh.default.gc_thresh3)", "ip neigh"),
    ("IP_CSUM", "packets arrive damaged", "skep tcpdrop"),
    ("TCP_CSUM", "segments arrive damaged", "skep tcpdrop"),
    ("UDP_CSUM", "datagrams arrive damaged", "nstat UdpInCsumErrors"),
    ("DUP_FRAG", "fragments arrive twice", "nstat IpReasmFails"),
    ("FRAG_REASM_TIMEOUT", "fragments get lost", "nstat IpReasmFails"),
];

/// Findings about packets that get lost.
#[allow(clippy::cast_precision_loss)] // counts of some seconds
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let (mut all, mut worst) = (0, Vec::new());
    for fact in seen.from("network") {
        let count = fact.number("count");
        all += count;
        if count >= FEW {
            worst.push((count, format!("{}:{}", fact.text("address"), fact.number("port"))));
        }
    }
    let mut found = Vec::new();
    worst.sort_unstable_by(|a, b| b.cmp(a));
    worst.truncate(5);
    if let Some((_, place)) = worst.first() {
        found.push(Finding {
            case: Case::Hidden,
            weight: weight(50.0, 80.0, seen.rate(all) / 100.0),
            what: format!("packets to {place} get lost: segments of TCP are sent again"),
            evidence: worst.iter().map(|(count, place)| format!("{count} segments to {place}")).collect(),
            next: "skep tcpretrans -c; skep tcpdrop".to_owned(),
            pid: 0,
            comm: String::new(),
        });
    }
    for fact in seen.from("dropped") {
        let reason = fact.text("reason");
        let count = fact.number("count");
        let row = REASONS.iter().find(|(name, ..)| reason.strip_prefix("SKB_DROP_REASON_") == Some(name));
        let Some((_, meaning, next)) = row.filter(|_| seen.rate(count) >= LEAST_RATE) else { continue };
        let case = if reason.ends_with("NETFILTER_DROP") { Case::Rules } else { Case::Hidden };
        found.push(Finding {
            case,
            weight: weight(45.0, 80.0, seen.rate(count) / 1000.0),
            what: (*meaning).to_owned(),
            evidence: vec![format!("{count} packets were dropped for {reason}")],
            next: (*next).to_owned(),
            pid: 0,
            comm: String::new(),
        });
    }
    found
}
