//! The layout of tables, shared by this process and the programs.

use crate::rules::words::TABLES;
use crate::rules::{Family, Prefix, TableSizes};

/// Length classes of prefixes of version 4: an entry is found by the longest class that is not longer than its prefix.
pub const CLASSES_4: [u8; CLASSES] = [0, 8, 16, 24, 28, 32];
/// Length classes of prefixes of version 6.
pub const CLASSES_6: [u8; CLASSES] = [0, 32, 48, 56, 64, 128];
/// Number of classes.
pub const CLASSES: usize = 6;
/// Distance of two source classes in a word with a bit for each pair of classes: source times this, and destination.
pub const SOURCE_STEP: usize = 8;
/// Bits of such a word.
pub const PAIRS: usize = SOURCE_STEP * CLASSES;
/// Ways to find an entry by the port that packets go to: not at all, the port, its upper byte.
pub const WAYS: usize = 3;
/// Bytes of a slot of the index: for each way one whose bits are the classes of the other side, and one that is not used.
pub const SLOT_BYTES: usize = 4;
/// Slots of an element of the index.
pub const SLOTS: u32 = 16;
/// Bytes of an element of the index: a line of the processor's cache.
pub const LINE_BYTES: usize = SLOT_BYTES * SLOTS as usize;
/// Most entries of a chain. One more is refused, so the time for a packet is bounded.
pub const LONGEST_CHAIN: u32 = 512;
/// All states, for entries that ask for none.
pub const ANY_STATE: u32 = 15;

/// Bit beside the states: the source must not be in the prefix.
pub const NOT_SOURCE: u32 = 1 << 8;
/// Bit beside the states: the destination must not be in the prefix.
pub const NOT_DESTINATION: u32 = 1 << 9;

/// Names of the maps.
pub mod maps {
    /// The index: slots by side, class and hash.
    pub const INDEX: &str = "fw_index";
    /// Heads of chains by bucket: [`super::Head`].
    pub const HEADS: &str = "fw_heads";
    /// Entries: what is looked at first.
    pub const ENTRIES: &str = "fw_entries";
    /// Entries: the rest.
    pub const DETAILS: &str = "fw_details";
    /// What rules do.
    pub const RULES: &str = "fw_rules";
    /// What rules have done, for each processor.
    pub const COUNTERS: &str = "fw_counters";
    /// Names of a table that refuses new entries when it is full.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Names {
        /// The table.
        pub table: &'static str,
        /// What happened when it was full: [`super::full`].
        pub full: &'static str,
        /// Where an entry has the time until which it counts, in nanoseconds of the monotonic clock.
        pub until: i16,
    }

    /// Limits and what is left of them.
    pub const LIMITS: Names = Names { table: "fw_limits", full: "fw_limits_full", until: 0 };
    /// Connections.
    pub const FLOWS: Names = Names { table: "fw_flows", full: "fw_flows_full", until: 0 };
    /// Translated connections, two entries each.
    pub const TRANSLATIONS: Names = Names { table: "fw_translate", full: "fw_transl_full", until: 40 };
    /// How first fragments were translated, for later ones.
    pub const FRAGMENTS: &str = "fw_fragments";
    /// Records of packets.
    pub const EVENTS: &str = "fw_events";
    /// Whether somebody watches: see [`super::watch`].
    pub const WATCH: &str = "fw_watch";
    /// Working memory of a processor.
    pub const WORK: &str = "fw_work";
    /// What this process keeps about the tables: see [`super::book`].
    pub const BOOK: &str = "fw_book";
}

/// What a processor knows about a table that was full: words of 64 bits.
pub mod full {
    /// Entries that were refused.
    pub const REFUSED: i16 = 0;
    /// Before this time of the monotonic clock it is not looked again for entries that are over.
    pub const WAIT: i16 = 8;
    /// When it was looked last.
    pub const NOW: i16 = 16;
    /// How many were taken out then.
    pub const OUT: i16 = 24;
    /// Bytes.
    pub const SIZE: usize = 32;
}

/// The one value of the map `fw_watch`. It says until when, so that a reader which dies costs nothing for long.
pub mod watch {
    /// Until when somebody watches, in nanoseconds of the monotonic clock: 64 bits.
    pub const UNTIL: i16 = 0;
    /// What that one wants: 32 bits.
    pub const KINDS: i16 = 8;
    /// Bytes.
    pub const SIZE: usize = 16;
    /// Records of rules with `log`.
    pub const LOGS: u32 = 1;
    /// Packets that go on.
    pub const ACCEPTED: u32 = 2;
    /// Packets that vanish.
    pub const DROPPED: u32 = 4;
}

/// Words of the map `fw_book`, each eight bytes.
pub mod book {
    /// Entries ever taken; the next fresh one is this plus 1.
    pub const ENTRIES: u32 = 0;
    /// The factor of the hashes, an odd number.
    pub const FACTOR: u32 = 1;
    /// The oldest entry that was given back.
    pub const FREE_FIRST: u32 = 2;
    /// The newest entry that was given back.
    pub const FREE_LAST: u32 = 3;
    /// Rules ever made.
    pub const RULES: u32 = 4;
    /// Not 0 once a rule was added or removed on its own: code that was made of the list is not used any more.
    pub const CHANGED: u32 = 8;
    /// Number of words.
    pub const WORDS: u32 = 10;
}

/// Bits of a packet in one word, so that an entry compares them all at once.
pub mod attr {
    /// The protocol.
    pub const PROTOCOL: u64 = 0xff;
    /// TCP flags.
    pub const FLAGS_SHIFT: u32 = 8;
    /// ICMP type.
    pub const TYPE_SHIFT: u32 = 16;
    /// ICMP code.
    pub const CODE_SHIFT: u32 = 24;
    /// VLAN.
    pub const VLAN_SHIFT: u32 = 32;
    /// Whether there is a VLAN.
    pub const HAS_VLAN: u64 = 1 << 44;
    /// Whether it is a fragment.
    pub const FRAGMENT: u64 = 1 << 45;
    /// Whether it is a later fragment.
    pub const LATER: u64 = 1 << 46;
    /// Whether it goes out.
    pub const OUT: u64 = 1 << 47;
    /// Whether it is of version 6.
    pub const V6: u64 = 1 << 48;
    /// Whether there are ports.
    pub const HAS_PORTS: u64 = 1 << 49;
    /// Whether there is an ICMP type.
    pub const HAS_ICMP: u64 = 1 << 50;
    /// Whether there are TCP flags.
    pub const HAS_FLAGS: u64 = 1 << 51;
    /// Whether this host forwards it.
    pub const FORWARD: u64 = 1 << 52;
    /// Everything about the VLAN.
    pub const VLAN: u64 = HAS_VLAN | 0xfff << VLAN_SHIFT;
}

/// Numbers of rules that stand for what no rule decided.
pub mod special {
    /// Malformed packets.
    pub const MALFORMED: u32 = 1;
    /// The default for packets that arrive.
    pub const DEFAULT_IN: u32 = 2;
    /// The default for packets that leave.
    pub const DEFAULT_OUT: u32 = 3;
    /// Neighbour discovery.
    pub const NEIGHBOURS: u32 = 4;
    /// No rule: counts records for watchers that there was no room for.
    pub const LOST: u32 = 5;
    /// Packets that were accepted and would have begun a connection that the table has no room for.
    pub const NO_CONNECTION: u32 = 6;
    /// The same for translated connections.
    pub const NO_TRANSLATION: u32 = 7;
    /// Packets that were answered with a cookie.
    pub const COOKIE: u32 = 8;
    /// Packets that acknowledge a cookie which was never given.
    pub const WRONG_COOKIE: u32 = 9;
    /// The default for forwarded packets.
    pub const DEFAULT_FORWARD: u32 = 10;
    /// Packets that arrive and are going to be forwarded: rules decide where they leave.
    pub const FORWARDED: u32 = 11;
    /// The first number of a rule of the file.
    pub const FIRST: u32 = 16;

    /// What decided in place of a rule.
    pub const fn name(number: u32) -> Option<&'static str> {
        Some(match number {
            MALFORMED => "malformed",
            DEFAULT_IN => "default in",
            DEFAULT_OUT => "default out",
            NEIGHBOURS => "neighbour discovery",
            NO_CONNECTION => "full table of connections",
            NO_TRANSLATION => "full table of translations",
            DEFAULT_FORWARD => "default forward",
            FORWARDED => "forwarded",
            COOKIE => "cookie in place of it",
            WRONG_COOKIE => "wrong cookie",
            _ => return None,
        })
    }
}

/// An address as two words, in the order of its bytes in memory.
pub type Words = [u64; 2];

/// The words of an address that is given from the highest bit on.
pub fn words(bits: u128) -> Words {
    let bytes = bits.to_be_bytes();
    let word = |from: usize| u64::from_ne_bytes(std::array::from_fn(|at| bytes[from + at]));
    [word(0), word(8)]
}

/// The classes of a version.
pub const fn classes(family: Family) -> &'static [u8; CLASSES] {
    match family {
        Family::V4 => &CLASSES_4,
        Family::V6 => &CLASSES_6,
    }
}

/// The mask of a class as words.
pub fn class_mask(family: Family, class: usize) -> Words {
    words(Prefix::new(family, u128::MAX, classes(family)[class]).address)
}

/// The class by which a prefix is found.
pub fn class_of(prefix: &Prefix) -> usize {
    classes(prefix.family).iter().rposition(|&length| length <= prefix.length).unwrap_or(0)
}

/// First multiplier of hashes in tables of this process (the golden ratio of 64 bits, Knuth, TAOCP 3, 6.4). Tables of the kernel
/// have one that nobody else knows, so that senders whose addresses become rules cannot choose where these go.
pub const HASH_1: u64 = 0x9e37_79b9_7f4a_7c15;
/// Second multiplier: an odd number whose bits look random (a prime of xxHash64).
pub const HASH_2: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// The hash of an address, of which the upper bits are the best. `factor` as in [`book::FACTOR`].
pub const fn hash(address: Words, factor: u64) -> u64 {
    let first = address[0].wrapping_mul(factor);
    let mixed = (first ^ first >> 32).wrapping_add(address[1]);
    mixed.wrapping_mul(HASH_2)
}

/// The bucket of two hashed addresses and a [cell](Key::cell): `bits` bits.
pub const fn bucket(source: u64, destination: u64, cell: u64, factor: u64, bits: u32) -> u32 {
    let sum = source.wrapping_add(destination.wrapping_mul(HASH_1)).wrapping_add(cell.wrapping_mul(HASH_2));
    ((sum ^ sum >> 32).wrapping_mul(factor) >> (64 - bits)) as u32
}

/// Where a chain begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The first entry, 0 for none.
    pub entry: u32,
    /// The upper half of its place.
    pub order: u32,
}

impl Head {
    /// The head of a chain that begins with an entry; `None` for an empty one.
    pub fn of(first: Option<(u32, u64)>) -> Self {
        first.map_or(Self::default(), |(entry, order)| Self { entry, order: (order >> 32) as u32 })
    }

    /// As programs have it: one word, so that it is changed at once.
    pub const fn word(self) -> u64 {
        self.entry as u64 | (self.order as u64) << 32
    }

    /// From the word.
    pub const fn read(word: u64) -> Self {
        Self { entry: word as u32, order: (word >> 32) as u32 }
    }
}

/// One side of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

/// First slot of a side and class; `bits` as in [`Sizes`].
pub const fn slots_before(family: Family, side: Side, class: usize, bits: u32) -> u32 {
    let family = match family {
        Family::V4 => 0,
        Family::V6 => 1,
    };
    let side = match side {
        Side::Source => 0,
        Side::Destination => 1,
    };
    ((family * 2 + side) * CLASSES as u32 + class as u32) << bits
}

/// How large the tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Bits of the hash of the index, 8 to 16.
    pub hash_bits: u32,
    /// Bits of the hash of buckets.
    pub bucket_bits: u32,
    /// Entries.
    pub entries: u32,
    /// Rules, those that stand for defaults included.
    pub rules: u32,
    /// Connections; 1 if none are followed.
    pub flows: u32,
    /// Limits.
    pub limits: u32,
    /// Translated connections.
    pub translations: u32,
}

impl Sizes {
    /// Room for so many entries and rules, and as many again.
    pub fn for_rules(entries: usize, rules: usize, stateful: bool, tables: &TableSizes) -> Self {
        let room = |count: usize| u32::try_from(count * 2).unwrap_or(u32::MAX / 4).max(1024);
        let entries = room(entries);
        let hash_bits = (32 - entries.leading_zeros()).clamp(8, 16);
        let bucket_bits = 31 - entries.leading_zeros();
        let [flows, translations, limits] = TABLES.map(|row| tables.get(row.0));
        Self {
            hash_bits,
            bucket_bits,
            entries,
            rules: room(rules),
            flows: if stateful { flows } else { 1 },
            limits,
            translations,
        }
    }

    /// Slots of the index.
    pub const fn slots(&self) -> u32 {
        (4 * CLASSES as u32) << self.hash_bits
    }
}

/// A link address as a word: pairs of bytes in the order of the machine, the first one lowest; with a bit that says that there is one.
pub const fn mac(address: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = address;
    let [first, second, third] = [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]), u16::from_ne_bytes([e, f])];
    first as u64 | (second as u64) << 16 | (third as u64) << 32 | HAS_MAC
}

/// The bit of [`mac`].
pub const HAS_MAC: u64 = 1 << 48;

/// Where an entry is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// The version.
    pub family: Family,
    /// Class of the source.
    pub source_class: u8,
    /// Class of the destination.
    pub destination_class: u8,
    /// How the port is kept.
    pub way: u8,
    /// The bits of the source that its class keeps.
    pub source: Words,
    /// The bits of the destination that its class keeps.
    pub destination: Words,
    /// What is kept of the port.
    pub port: u16,
}

impl Key {
    /// What its bucket depends on besides the addresses.
    pub const fn cell(&self) -> u64 {
        let family = matches!(self.family, Family::V6) as u64;
        let pair = self.source_class as u64 * SOURCE_STEP as u64 + self.destination_class as u64;
        pair | (self.way as u64) << 8 | family << 10 | (self.port as u64) << 16
    }

    /// Its bucket. Others may have the same: entries say all that they ask for.
    pub const fn bucket(&self, factor: u64, bits: u32) -> u32 {
        bucket(hash(self.source, factor), hash(self.destination, factor), self.cell(), factor, bits)
    }

    /// Its slots in the index, each with the classes of the other side that it may have to be looked for with.
    pub const fn slots(&self, factor: u64, bits: u32) -> [(u32, u8); 2] {
        let source = slots_before(self.family, Side::Source, self.source_class as usize, bits);
        let destination = slots_before(self.family, Side::Destination, self.destination_class as usize, bits);
        [
            (source + (hash(self.source, factor) >> (64 - bits)) as u32, 1 << self.destination_class),
            (destination + (hash(self.destination, factor) >> (64 - bits)) as u32, 1 << self.source_class),
        ]
    }
}

/// The bit that says in a [cell](Key::cell) that it is of version 6.
pub const CELL_V6: u64 = 1 << 10;

/// What a rule does, as programs read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// 0 for none, or [`ACCEPT`], [`DROP`], [`REJECT`].
    pub verdict: u32,
    /// Bits of [`record`].
    pub flags: u32,
    /// The mark to set.
    pub mark: u32,
    /// Nanoseconds between two packets within the limit.
    pub interval: u64,
    /// Nanoseconds that packets may come early.
    pub tolerance: u64,
    /// The new port of translated packets, 0 for the same one. Of rejected packets the codes of the ICMP error: in the lower
    /// byte that of version 4, in the upper one that of version 6.
    pub port: u16,
    /// The new address of translated packets. Records with a translation have no limit, whose place it takes.
    pub address: Option<Words>,
}

/// The record of a rule, in bytes.
pub mod record {
    #![allow(missing_docs)]
    pub const VERDICT: i16 = 0;
    pub const FLAGS: i16 = 4;
    pub const MARK: i16 = 8;
    pub const PORT: i16 = 12;
    pub const ADDRESS: i16 = 16;
    pub const INTERVAL: i16 = 16;
    pub const TOLERANCE: i16 = 24;
    /// Bytes.
    pub const SIZE: usize = 32;
    /// Flag: a record of the packet is sent.
    pub const LOG: u32 = 1;
    /// Flag: a mark is set.
    pub const SET_MARK: u32 = 2;
    /// Flag: there is a limit.
    pub const LIMIT: u32 = 4;
    /// Flag: each source has its own limit.
    pub const PER_SOURCE: u32 = 8;
    /// Flag: addresses are changed.
    pub const TRANSLATE: u32 = 16;
    /// Flag: the new address is in the record.
    pub const HAS_ADDRESS: u32 = 32;
    /// Flag: rejected packets of TCP get an ICMP error as all others do.
    pub const MESSAGE: u32 = 64;
    /// Flag: packets that begin a connection are answered with a cookie.
    pub const COOKIES: u32 = 128;
}

/// A verdict as number: the packet goes on.
pub const ACCEPT: u32 = 1;
/// A verdict as number: the packet vanishes.
pub const DROP: u32 = 2;
/// A verdict as number: the packet vanishes, and its sender is told.
pub const REJECT: u32 = 3;

impl Record {
    /// Its bytes.
    pub fn bytes(&self) -> [u8; record::SIZE] {
        let mut bytes = [0; record::SIZE];
        bytes[..4].copy_from_slice(&self.verdict.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.flags.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.mark.to_ne_bytes());
        bytes[12..16].copy_from_slice(&u32::from(self.port).to_ne_bytes());
        let [first, second] = self.address.unwrap_or([self.interval, self.tolerance]);
        bytes[16..24].copy_from_slice(&first.to_ne_bytes());
        bytes[24..].copy_from_slice(&second.to_ne_bytes());
        bytes
    }

    /// From its bytes; of a rule that only counts the rest says nothing.
    pub fn read(bytes: &[u8; record::SIZE]) -> Self {
        let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let long = |at: usize| u64::from_ne_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let has_address = word(4) & record::HAS_ADDRESS != 0;
        let pair = [long(16), long(24)];
        let [interval, tolerance] = if has_address { [0; 2] } else { pair };
        let all = Self {
            verdict: word(0),
            flags: word(4),
            mark: word(8),
            interval,
            tolerance,
            port: word(12) as u16,
            address: has_address.then_some(pair),
        };
        if all.is_neutral() { Self::default() } else { all }
    }

    /// Whether the rule only counts.
    pub const fn is_neutral(&self) -> bool {
        self.verdict == 0 && self.flags == 0
    }
}

/// What a rule has done on one processor: packets, bytes, and the time of the last one.
pub const COUNTER_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_have_words_and_classes() {
        assert_eq!(words(0x0102_0304 << 96)[0].to_ne_bytes()[..4], [1, 2, 3, 4]);
        let prefix = |text: &str| class_of(&Prefix::parse(text).unwrap());
        assert_eq!([prefix("10.0.0.0/8"), prefix("10.0.0.0/23"), prefix("1.2.3.4"), prefix("::/0")], [1, 2, 5, 0]);
    }
}
