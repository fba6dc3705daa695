//! TCP sequence numbers relative to the beginning of a conversation, in a table of bounded size.

use std::net::IpAddr;

/// A conversation, the same for both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    low: (u128, u16),
    high: (u128, u16),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: Key,
    /// First sequence numbers: of the side whose address is `low`, and of the other.
    base: [u32; 2],
    used: u32,
}

/// What to subtract from the numbers of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Base {
    /// From its sequence number.
    pub seq: u32,
    /// From its acknowledgement number.
    pub ack: u32,
    /// From the numbers of its selective acknowledgements.
    pub sack: u32,
}

/// The first numbers seen of up to 65,536 conversations; the ones not used longest give way to new ones.
#[derive(Debug, Default)]
pub struct SeqTable {
    sets: Vec<[Option<Entry>; WAYS]>,
    clock: u32,
}

const SETS: usize = 16_384;
const WAYS: usize = 4;

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl SeqTable {
    /// Looks up the conversation of a packet with the ACK flag. If it is new, or begins anew with SYN, its numbers are
    /// remembered, and shown as they are except those of selective acknowledgements.
    ///
    /// The first acknowledgement number counts one less than stated, as tcpdump does, so that the first data byte is 1.
    pub fn base(&mut self, src: (IpAddr, u16), dst: (IpAddr, u16), seq: u32, ack: u32, syn: bool) -> Base {
        let (from, to) = ((number(src.0), src.1), (number(dst.0), dst.1));
        let reverse = from > to;
        let key = if reverse { Key { low: to, high: from } } else { Key { low: from, high: to } };
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, || [None; WAYS]);
        }
        self.clock = self.clock.wrapping_add(1);
        let clock = self.clock;
        let set = &mut self.sets[hash(&key) % SETS];
        let (own, other) = if reverse { (1, 0) } else { (0, 1) };
        let found = set.iter_mut().flatten().find(|entry| entry.key == key);
        let mut base = [0; 2];
        base[own] = seq;
        base[other] = ack.wrapping_sub(1);
        let fresh = Base { seq: 0, ack: 0, sack: base[other] };
        match found {
            Some(entry) if !syn => {
                entry.used = clock;
                Base { seq: entry.base[own], ack: entry.base[other], sack: entry.base[other] }
            }
            Some(entry) => {
                *entry = Entry { key, base, used: clock };
                fresh
            }
            None => {
                let age = |slot: &Option<Entry>| slot.map_or(u32::MAX, |entry| clock.wrapping_sub(entry.used));
                if let Some(slot) = set.iter_mut().max_by_key(|slot| age(slot)) {
                    *slot = Some(Entry { key, base, used: clock });
                }
                fresh
            }
        }
    }
}

fn hash(key: &Key) -> usize {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    for number in [key.low.0, key.high.0, u128::from(key.low.1) << 16 | u128::from(key.high.1)] {
        for half in [number as u64, (number >> 64) as u64] {
            state = (state ^ half).wrapping_mul(0xff51_afd7_ed55_8ccd);
            state ^= state >> 32;
        }
    }
    state as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: (IpAddr, u16) = (IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 5000);
    const B: (IpAddr, u16) = (IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 80);

    #[test]
    fn both_directions_share_a_conversation() {
        for (client, server) in [(A, B), (B, A)] {
            let mut table = SeqTable::default();
            let mut base = |src, dst, seq, ack, syn| {
                let base = table.base(src, dst, seq, ack, syn);
                (base.seq, base.ack, base.sack)
            };
            assert_eq!(base(server, client, 5000, 1001, true), (0, 0, 1000));
            assert_eq!(base(client, server, 1001, 5001, false), (1000, 5000, 5000));
            assert_eq!(base(server, client, 5001, 1001, false), (5000, 1000, 1000));
            // A new beginning replaces the old one.
            assert_eq!(base(server, client, 9000, 2001, true), (0, 0, 2000));
            assert_eq!(base(client, server, 2001, 9001, false), (2000, 9000, 9000));
        }
    }

    #[test]
    fn the_table_does_not_grow() {
        let mut table = SeqTable::default();
        for n in 0..300_000u32 {
            let client = (IpAddr::from(n.to_be_bytes()), 1000);
            assert_eq!(table.base(client, B, n, 1, false).seq, 0);
            assert_eq!(table.base(B, client, 1, n, false).ack, n);
        }
        assert_eq!(table.sets.len(), SETS);
    }
}
