//! Entries, and their bytes in two maps: what nearly every packet is compared with, in one line of the processor's cache, and
//! the rest.

use super::layout::{ANY_STATE, NOT_DESTINATION, NOT_SOURCE, Words, attr};

/// Bit beside the states: addresses are those of version 6, which are among the details.
pub const WIDE: u32 = 1 << 10;
/// Bit beside the states: there is more to compare among the details.
pub const MORE: u32 = 1 << 11;
/// Bit beside the states: it asks for what XDP does not know (states, mark, VLAN, conditions).
pub const LATE: u32 = 1 << 12;

/// What an entry asks of a packet, and which rule it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The place of its rule: lower numbers come first. Never 0.
    pub order: u64,
    /// The next entry of the chain, 0 for none.
    pub next: u32,
    /// Its rule.
    pub rule: u32,
    /// Source: value and mask.
    pub source: [Words; 2],
    /// Destination: value and mask.
    pub destination: [Words; 2],
    /// First and last port that it comes from, first and last port that it goes to.
    pub ports: [u16; 4],
    /// [`attr`]: value and mask.
    pub attributes: [u64; 2],
    /// Number of the interface, 0 for any.
    pub interface: u32,
    /// States, any of them; with [`NOT_SOURCE`] and [`NOT_DESTINATION`].
    pub states: u32,
    /// Mark: value and mask.
    pub mark: [u32; 2],
    /// Payload: value and mask, in the order of bytes in memory.
    pub payload: [u64; 2],
    /// Distance of the payload's first byte.
    pub payload_offset: u32,
    /// Bytes of payload that a packet must have at least.
    pub payload_length: u32,
    /// The next entry that was given back, and when (in nanoseconds of the monotonic clock).
    pub free: [u64; 2],
    /// Link addresses that it comes from and goes to, each as [`mac`](super::layout::mac) has it; 0 for any.
    pub macs: [u64; 2],
    /// Conditions that have to hold, as bits of a list's.
    pub conditions: u64,
}

/// Where the fields of the first part are, in bytes. Addresses are those of version 4, as 32 bits; entries of version 6 ask for
/// nothing there.
pub mod line {
    #![allow(missing_docs)]
    pub const ORDER: i16 = 0;
    pub const NEXT: i16 = 8;
    pub const RULE: i16 = 12;
    pub const SOURCE: i16 = 16;
    pub const DESTINATION: i16 = 24;
    pub const PORTS: i16 = 32;
    pub const ATTRIBUTES: i16 = 40;
    pub const STATES: i16 = 56;
    pub const INTERFACE: i16 = 60;
    /// Bytes.
    pub const SIZE: usize = 64;
}

/// Where the details are, in bytes.
pub mod details {
    #![allow(missing_docs)]
    pub const SOURCE: i16 = 0;
    pub const DESTINATION: i16 = 32;
    pub const MARK: i16 = 64;
    pub const PAYLOAD: i16 = 72;
    pub const PAYLOAD_OFFSET: i16 = 88;
    pub const PAYLOAD_LENGTH: i16 = 92;
    pub const MACS: i16 = 96;
    pub const CONDITIONS: i16 = 112;
    /// The next entry that was given back, and when.
    pub const FREE: i16 = 120;
    /// Bytes.
    pub const SIZE: usize = 136;
}

/// The bytes of an entry in both maps.
pub type Bytes = ([u8; line::SIZE], [u8; details::SIZE]);

fn put(bytes: &mut [u8], at: i16, part: &[u8]) {
    bytes[at as usize..at as usize + part.len()].copy_from_slice(part);
}

fn long(bytes: &[u8], at: i16) -> u64 {
    bytes.get(at as usize..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

fn word(bytes: &[u8], at: i16) -> u32 {
    bytes.get(at as usize..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

impl Entry {
    /// An entry that asks for nothing and belongs to no rule.
    pub fn blank() -> Self {
        Self::read(&[], &[])
    }

    fn is_wide(&self) -> bool {
        self.attributes[0] & attr::V6 != 0
    }

    /// Bits beside the states that follow from the rest.
    fn bits(&self) -> u32 {
        let asks = self.mark[1] != 0 || self.payload_length != 0 || self.macs != [0; 2] || self.conditions != 0;
        let late = self.states & ANY_STATE != ANY_STATE
            || self.mark[1] != 0
            || self.attributes[1] & attr::VLAN != 0
            || self.conditions != 0;
        [(self.is_wide(), WIDE), (asks, MORE), (late, LATE)].iter().filter(|each| each.0).map(|each| each.1).sum()
    }

    /// Its bytes.
    pub fn bytes(&self) -> Bytes {
        let (mut first, mut rest) = ([0; line::SIZE], [0; details::SIZE]);
        put(&mut first, line::ORDER, &self.order.to_ne_bytes());
        put(&mut first, line::NEXT, &self.next.to_ne_bytes());
        put(&mut first, line::RULE, &self.rule.to_ne_bytes());
        for (short, place, side, not) in [
            (line::SOURCE, details::SOURCE, self.source, NOT_SOURCE),
            (line::DESTINATION, details::DESTINATION, self.destination, NOT_DESTINATION),
        ] {
            for (words, at) in side.iter().zip(0..) {
                if !self.is_wide() {
                    put(&mut first, short + 4 * at, &words[0].to_ne_bytes().as_chunks::<4>().0[0]);
                }
                put(&mut rest, place + 16 * at, &words[0].to_ne_bytes());
                put(&mut rest, place + 16 * at + 8, &words[1].to_ne_bytes());
            }
            if self.is_wide() && self.states & not != 0 {
                // No address is 1 in no bits, so all are outside.
                put(&mut first, short, &[1]);
            }
        }
        for (port, at) in self.ports.iter().zip(0..) {
            put(&mut first, line::PORTS + 2 * at, &port.to_ne_bytes());
        }
        put(&mut first, line::ATTRIBUTES, &self.attributes[0].to_ne_bytes());
        put(&mut first, line::ATTRIBUTES + 8, &self.attributes[1].to_ne_bytes());
        put(&mut first, line::STATES, &(self.states | self.bits()).to_ne_bytes());
        put(&mut first, line::INTERFACE, &self.interface.to_ne_bytes());
        for (place, pair) in [(details::PAYLOAD, self.payload), (details::MACS, self.macs), (details::FREE, self.free)]
        {
            put(&mut rest, place, &pair[0].to_ne_bytes());
            put(&mut rest, place + 8, &pair[1].to_ne_bytes());
        }
        put(&mut rest, details::MARK, &self.mark[0].to_ne_bytes());
        put(&mut rest, details::MARK + 4, &self.mark[1].to_ne_bytes());
        put(&mut rest, details::CONDITIONS, &self.conditions.to_ne_bytes());
        put(&mut rest, details::PAYLOAD_OFFSET, &self.payload_offset.to_ne_bytes());
        put(&mut rest, details::PAYLOAD_LENGTH, &self.payload_length.to_ne_bytes());
        (first, rest)
    }

    /// From its bytes; missing ones count as zero.
    pub fn read(first: &[u8], rest: &[u8]) -> Self {
        let half = |at: i16| word(first, at) as u16;
        let side = |at: i16| [0, 16].map(|part| [long(rest, at + part), long(rest, at + part + 8)]);
        let pair = |at: i16| [long(rest, at), long(rest, at + 8)];
        Self {
            order: long(first, line::ORDER),
            next: word(first, line::NEXT),
            rule: word(first, line::RULE),
            source: side(details::SOURCE),
            destination: side(details::DESTINATION),
            ports: [0, 2, 4, 6].map(|at| half(line::PORTS + at)),
            attributes: [long(first, line::ATTRIBUTES), long(first, line::ATTRIBUTES + 8)],
            interface: word(first, line::INTERFACE),
            states: word(first, line::STATES) & (ANY_STATE | NOT_SOURCE | NOT_DESTINATION),
            mark: [word(rest, details::MARK), word(rest, details::MARK + 4)],
            payload: pair(details::PAYLOAD),
            payload_offset: word(rest, details::PAYLOAD_OFFSET),
            payload_length: word(rest, details::PAYLOAD_LENGTH),
            free: pair(details::FREE),
            macs: pair(details::MACS),
            conditions: long(rest, details::CONDITIONS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, details, line};
    use crate::tables::layout::{ANY_STATE, NOT_DESTINATION, NOT_SOURCE};

    #[test]
    fn entries_are_read_as_they_were_written() {
        skep_random::random_test(|u| {
            let (first, rest): ([u8; line::SIZE], [u8; details::SIZE]) = (u.arbitrary()?, u.arbitrary()?);
            let entry = Entry::read(&first, &rest);
            let (first, rest) = entry.bytes();
            assert_eq!(Entry::read(&first, &rest), entry);
            assert_eq!(entry.states & !(ANY_STATE | NOT_SOURCE | NOT_DESTINATION), 0);
            Ok(())
        })
        .budget_ms(100);
    }
}
