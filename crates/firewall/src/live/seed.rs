//! Connections that exist before anybody follows them: sockets of this network namespace, so that nothing breaks when rules
//! about states come into force.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::program::{FLOW_BYTES, FLOW_KEY, TIMEOUTS};
use crate::rules::Prefix;
use crate::tables::layout::words;

/// One end of a connection.
pub type End = (IpAddr, u16);

/// Listening, in `/proc/net/tcp` (`TCP_LISTEN` in `net/tcp_states.h`).
const LISTEN: &str = "0A";

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
fn end(text: &str) -> Option<End> {
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

/// All connections of this network namespace with their protocols.
pub fn existing() -> Vec<([End; 2], u8)> {
    let files = [("tcp", 6), ("tcp6", 6), ("udp", 17), ("udp6", 17)];
    let read = |(name, protocol)| {
        let text = std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
        sockets(&text).into_iter().map(move |ends| (ends, protocol))
    };
    files.into_iter().flat_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
