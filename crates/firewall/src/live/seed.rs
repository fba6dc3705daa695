//! Connections that exist before anybody follows them: sockets of this network namespace, and what the kernel's own
//! tracking knows (forwarded connections among them), so that nothing breaks when rules about states come into force.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::program::{ASSURED, FLOW_BYTES, FLOW_KEY, TIMEOUTS};
use crate::rules::Prefix;
use crate::tables::layout::words;

/// One end of a connection.
pub type End = (IpAddr, u16);

/// Listening, in `/proc/net/tcp` (`TCP_LISTEN` in `net/tcp_states.h`).
const LISTEN: &str = "0A";

/// Files of `/proc/net` about sockets, with their protocols.
pub(super) const FILES: [(&str, u8); 4] = [("tcp", 6), ("tcp6", 6), ("udp", 17), ("udp6", 17)];

/// The key of a connection, as the programs make it.
pub fn key(ends: [End; 2], protocol: u8) -> [u8; FLOW_KEY] {
    let place = |(address, port): End| (words(Prefix::of(address).address), port);
    let (one, other) = (place(ends[0]), place(ends[1]));
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    let mut key = [0; FLOW_KEY];
    let numbers = [first.0[0], first.0[1], second.0[0], second.0[1]];
    for (chunk, number) in key.chunks_mut(8).zip(numbers) {
        chunk.copy_from_slice(&number.to_ne_bytes());
    }
    key[32..34].copy_from_slice(&first.1.to_ne_bytes());
    key[34..36].copy_from_slice(&second.1.to_ne_bytes());
    key[36..].copy_from_slice(&u32::from(protocol).to_ne_bytes());
    key
}

/// An entry for a connection that is known from now on.
pub fn value(now: u64, protocol: u8) -> [u8; FLOW_BYTES] {
    let seconds = if protocol == 6 { TIMEOUTS[0] } else { TIMEOUTS[3] };
    let mut value = [0; FLOW_BYTES];
    value[..8].copy_from_slice(&(now + seconds.cast_unsigned() * 1_000_000_000).to_ne_bytes());
    value[8..].copy_from_slice(&ASSURED.to_ne_bytes());
    value
}

/// The connected sockets in a file such as `/proc/net/tcp`.
pub fn sockets(text: &str) -> Vec<[End; 2]> {
    let row = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote, state) = (end(fields.next()?)?, end(fields.next()?)?, fields.next()?);
        (remote.1 != 0 && state != LISTEN).then_some([local, remote])
    };
    text.lines().skip(1).filter_map(row).collect()
}

/// `0100007F:0016`: words in the order of the machine.
pub(super) fn end(text: &str) -> Option<End> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(8 * at..8 * at + 8)?, 16).ok()?.to_ne_bytes());
    if address.len() == 8 {
        return Some((IpAddr::V4(Ipv4Addr::from(word(0)?)), port));
    }
    let mut bytes = [0; 16];
    for (at, chunk) in bytes.chunks_mut(4).enumerate() {
        chunk.copy_from_slice(&word(at)?);
    }
    let address = Ipv6Addr::from(bytes);
    Some((address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4), port))
}

/// States of TCP in which a connection is over.
const OVER: [&str; 3] = ["TIME_WAIT", "CLOSE", "LAST_ACK"];

/// The connections with ports in a file such as `/proc/net/nf_conntrack`: each as it began, and as its answers are, which
/// is something else if addresses are translated.
pub fn tracked(text: &str) -> Vec<([End; 2], u8)> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace().skip(2);
        let Some(protocol) = words.nth(1).and_then(|word| word.parse::<u8>().ok()) else { continue };
        let (mut addresses, mut ports) = (Vec::<IpAddr>::new(), Vec::<u16>::new());
        let mut is_over = false;
        for word in words {
            match word.split_once('=') {
                Some(("src" | "dst", address)) => addresses.extend(address.parse::<IpAddr>()),
                Some(("sport" | "dport", port)) => ports.extend(port.parse::<u16>()),
                Some(_) => {}
                None => is_over |= OVER.contains(&word),
            }
        }
        if is_over || addresses.len() != ports.len() {
            continue;
        }
        let ends: Vec<End> = addresses.into_iter().zip(ports).collect();
        found.extend(ends.as_chunks().0.iter().map(|&ends| (ends, protocol)));
    }
    found
}

/// All connections of this network namespace with their protocols.
pub fn existing() -> Vec<([End; 2], u8)> {
    let read = |(name, protocol)| {
        let text = std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
        sockets(&text).into_iter().map(move |ends| (ends, protocol))
    };
    // Not there if the kernel has no tracking, or does not show it in this way.
    let known = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack").unwrap_or_default();
    FILES.into_iter().flat_map(read).chain(tracked(&known)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracked_connections_are_read() {
        let text = "ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=192.0.2.1 sport=4000 dport=80 src=192.0.2.1 \
             dst=203.0.113.5 sport=80 dport=61000 [ASSURED] mark=0 zone=0 use=2\n\
             ipv4     2 tcp      6 9 TIME_WAIT src=10.0.0.1 dst=192.0.2.1 sport=4001 dport=80 src=192.0.2.1 dst=10.0.0.1 \
             sport=80 dport=4001 [ASSURED] mark=0 use=1\n\
             ipv6     10 udp      17 29 src=fd00::1 dst=fd00::2 sport=5 dport=53 [UNREPLIED] src=fd00::2 dst=fd00::1 sport=53 \
             dport=5 mark=0 use=1\nipv4 2 icmp 1 29 src=10.0.0.1 dst=10.0.0.2 type=8 code=0 id=7 src=10.0.0.2 dst=10.0.0.1 \
             type=0 code=0 id=7 mark=0 use=1\nnonsense\n";
        let end = |address: &str, port| (address.parse().unwrap(), port);
        assert_eq!(
            tracked(text),
            [
                ([end("10.0.0.1", 4000), end("192.0.2.1", 80)], 6),
                ([end("192.0.2.1", 80), end("203.0.113.5", 61000)], 6),
                ([end("fd00::1", 5), end("fd00::2", 53)], 17),
                ([end("fd00::2", 53), end("fd00::1", 5)], 17),
            ]
        );
    }

    #[test]
    fn sockets_are_read() {
        let text = "  sl  local_address rem_address   st\n   0: 0100007F:0016 00000000:0000 0A 0\n   1: 0100007F:0016 0200007F:1F90 01 0\n";
        let expected = [("127.0.0.1".parse().unwrap(), 22), ("127.0.0.2".parse().unwrap(), 8080)];
        if cfg!(target_endian = "little") {
            assert_eq!(sockets(text), [expected]);
        }
        let [one, other] = expected;
        assert_eq!(key([one, other], 6), key([other, one], 6));
        assert_ne!(key([one, other], 6), key([other, one], 17));
    }
}
