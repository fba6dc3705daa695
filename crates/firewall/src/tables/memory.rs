//! Tables in this process: for plans that are thrown away, and the same lookup that programs do, in Rust.

use std::collections::HashMap;

use super::change::{Store, TableError};
use super::entry::Entry;
use super::layout::{
    ANY_STATE, CLASSES, Head, Key, NOT_DESTINATION, NOT_SOURCE, Record, SOURCE_STEP, Sizes, WAYS, Words, attr, book,
    class_mask, mac, words,
};
use crate::facts::{Facts, Fragment};
use crate::rules::{Direction, Family};

/// Tables in memory.
#[derive(Debug, Clone)]
pub struct Memory {
    sizes: Sizes,
    heads: Vec<Head>,
    entries: Vec<Entry>,
    index: Vec<[u8; WAYS]>,
    book: [u64; book::WORDS as usize],
    records: HashMap<u32, Record>,
    /// The clock, which only its owner moves.
    pub clock: u64,
}

impl Memory {
    /// Empty tables.
    pub fn new(sizes: Sizes) -> Self {
        let entries = vec![Entry::blank(); sizes.entries as usize];
        Self {
            sizes,
            heads: vec![Head::default(); 1 << sizes.bucket_bits],
            entries,
            index: vec![[0; WAYS]; sizes.slots() as usize],
            book: [0; book::WORDS as usize],
            records: HashMap::new(),
            clock: 0,
        }
    }

    /// The first rule behind `after` that matches, by order and number.
    pub fn find(&self, facts: &Facts, after: u64) -> Option<(u64, u32)> {
        self.search(facts, after).found
    }

    /// The verdict of a rule as its record has it.
    pub fn verdict(&self, rule: u32) -> u32 {
        self.records.get(&rule).map_or(0, |record| record.verdict)
    }

    /// As [`find`](Self::find), with what was looked at.
    pub fn search(&self, facts: &Facts, after: u64) -> Search {
        let (mut probed, mut compared) = (0, 0);
        let packet = Seen::new(facts);
        let factor = self.book[book::FACTOR as usize];
        let key = |source: usize, destination: usize, way: usize| Key {
            family: facts.family,
            source_class: source as u8,
            destination_class: destination as u8,
            way: way as u8,
            source: packet.kept(facts.family, 0, source),
            destination: packet.kept(facts.family, 1, destination),
            port: [0, packet.ports[1], packet.ports[1] >> 8][way],
        };
        let mut pairs = [[0u64; WAYS]; 2];
        for class in 0..CLASSES {
            let [source, destination] = key(class, class, 0).slots(factor, self.sizes.hash_bits);
            let [from, to] = &mut pairs;
            for (pairs, classes) in from.iter_mut().zip(self.index[source.0 as usize]) {
                *pairs |= u64::from(classes) << (SOURCE_STEP * class);
            }
            for (pairs, sources) in to.iter_mut().zip(self.index[destination.0 as usize]) {
                for other in (0..CLASSES).filter(|other| sources >> other & 1 != 0) {
                    *pairs |= 1 << (SOURCE_STEP * other + class);
                }
            }
        }
        let mut best: Option<(u64, u32)> = None;
        for (way, (from, to)) in pairs[0].iter().zip(&pairs[1]).enumerate() {
            let mut left = from & to;
            if way > 0 && facts.ports.is_none() {
                continue;
            }
            while left != 0 {
                let pair = left.trailing_zeros() as usize;
                left &= left - 1;
                probed += 1;
                let bucket = key(pair / SOURCE_STEP, pair % SOURCE_STEP, way).bucket(factor, self.sizes.bucket_bits);
                let head = self.heads[bucket as usize];
                if best.is_some_and(|(order, _)| head.order > (order >> 32) as u32) {
                    continue;
                }
                let mut at = head.entry;
                while at != 0 {
                    let entry = &self.entries[at as usize];
                    if best.is_some_and(|(order, _)| entry.order >= order) {
                        break;
                    }
                    compared += 1;
                    if entry.order > after && packet.fits(facts, entry) {
                        best = Some((entry.order, entry.rule));
                        break;
                    }
                    at = entry.next;
                }
            }
        }
        Search { found: best, probed, compared }
    }
}

/// What a search found and looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// Place and number of the rule.
    pub found: Option<(u64, u32)>,
    /// Buckets that were looked into.
    pub probed: u32,
    /// Entries that were compared.
    pub compared: u32,
}

/// A packet in the words of entries.
struct Seen {
    addresses: [Words; 2],
    ports: [u16; 2],
    attributes: u64,
}

impl Seen {
    fn new(facts: &Facts) -> Self {
        let (from, to) = facts.ports.unwrap_or_default();
        Self {
            addresses: [words(facts.source), words(facts.destination)],
            ports: [from, to],
            attributes: attributes(facts),
        }
    }

    fn kept(&self, family: Family, side: usize, class: usize) -> Words {
        let mask = class_mask(family, class);
        [self.addresses[side][0] & mask[0], self.addresses[side][1] & mask[1]]
    }

    fn fits(&self, facts: &Facts, entry: &Entry) -> bool {
        let side = |address: Words, [value, mask]: [Words; 2], not: u32| {
            let inside = address[0] & mask[0] == value[0] && address[1] & mask[1] == value[1];
            inside != (entry.states & not != 0)
        };
        let payload = || {
            let from = entry.payload_offset as usize;
            let mut bytes = [0; 8];
            for (to, from) in bytes.iter_mut().zip(facts.payload.iter().skip(from)) {
                *to = *from;
            }
            u64::from_ne_bytes(bytes)
        };
        let macs = |entry: &Entry| {
            let seen = facts.macs.map_or([0; 2], |macs| [mac(macs.0), mac(macs.1)]);
            entry.macs.iter().zip(seen).all(|(&wanted, seen)| wanted == 0 || wanted == seen)
        };
        let state = if facts.state == 0 { ANY_STATE } else { facts.state.into() };
        side(self.addresses[0], entry.source, NOT_SOURCE)
            && side(self.addresses[1], entry.destination, NOT_DESTINATION)
            && (entry.ports[0]..=entry.ports[1]).contains(&self.ports[0])
            && (entry.ports[2]..=entry.ports[3]).contains(&self.ports[1])
            && self.attributes & entry.attributes[1] == entry.attributes[0]
            && (entry.interface == 0 || entry.interface == facts.place.interface)
            && entry.states & state != 0
            && facts.place.mark & entry.mark[1] == entry.mark[0]
            && facts.payload.len() >= entry.payload_length as usize
            && payload() & entry.payload[1] == entry.payload[0]
            && entry.conditions & !facts.held == 0
            && macs(entry)
    }
}

/// The bits of a packet as [`attr`] has them.
pub fn attributes(facts: &Facts) -> u64 {
    let mut bits = u64::from(facts.protocol);
    if let Some(flags) = facts.flags {
        bits |= u64::from(flags) << attr::FLAGS_SHIFT | attr::HAS_FLAGS;
    }
    if let Some((number, code)) = facts.icmp {
        bits |= u64::from(number) << attr::TYPE_SHIFT | u64::from(code) << attr::CODE_SHIFT | attr::HAS_ICMP;
    }
    if let Some(vlan) = facts.vlan {
        bits |= u64::from(vlan) << attr::VLAN_SHIFT | attr::HAS_VLAN;
    }
    let choices = [
        (facts.fragment != Fragment::Whole, attr::FRAGMENT),
        (facts.fragment == Fragment::Later, attr::LATER),
        (facts.place.direction == Direction::Out, attr::OUT),
        (facts.family == Family::V6, attr::V6),
        (facts.ports.is_some(), attr::HAS_PORTS),
    ];
    choices.iter().filter(|choice| choice.0).fold(bits, |bits, choice| bits | choice.1)
}

impl Store for Memory {
    fn sizes(&self) -> Sizes {
        self.sizes
    }

    fn head(&self, bucket: u32) -> Result<Head, TableError> {
        Ok(self.heads[bucket as usize])
    }

    fn set_head(&mut self, bucket: u32, head: Head) -> Result<(), TableError> {
        self.heads[bucket as usize] = head;
        Ok(())
    }

    fn entry(&self, number: u32) -> Result<Entry, TableError> {
        Ok(self.entries[number as usize])
    }

    fn write_entry(&mut self, number: u32, entry: &Entry) -> Result<(), TableError> {
        self.entries[number as usize] = *entry;
        Ok(())
    }

    fn set_next(&mut self, number: u32, next: u32) -> Result<(), TableError> {
        self.entries[number as usize].next = next;
        Ok(())
    }

    fn set_free(&mut self, number: u32, free: [u64; 2]) -> Result<(), TableError> {
        self.entries[number as usize].free = free;
        Ok(())
    }

    fn widen(&mut self, slot: u32, way: u8, classes: u8) -> Result<(), TableError> {
        self.index[slot as usize][usize::from(way)] |= classes;
        Ok(())
    }

    fn book(&self, word: u32) -> Result<u64, TableError> {
        Ok(self.book[word as usize])
    }

    fn set_book(&mut self, word: u32, value: u64) -> Result<(), TableError> {
        self.book[word as usize] = value;
        Ok(())
    }

    fn set_record(&mut self, rule: u32, record: &Record) -> Result<(), TableError> {
        self.records.insert(rule, *record);
        Ok(())
    }

    fn now(&self) -> u64 {
        self.clock
    }

    fn secret(&self) -> u64 {
        0
    }
}
