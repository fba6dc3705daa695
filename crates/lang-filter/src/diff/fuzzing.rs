//! Random packets that aim at the constants of two programs: the fallback where the symbolic search has no answer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use skep_isa::classic::{ANCILLARY, Insn, Op, SKF_AD_OFF, Size};

use super::samples::samples;
use super::witness::{Random, reads_fact};
use super::{Fact, Found, Pair};

/// Most bytes of a random packet.
const MAX_PACKET: usize = 2048;
/// Changes made to one packet at most.
const MAX_CHANGES: usize = 8;
/// Packets between two looks at the clock.
const CLOCK_STRIDE: u64 = 64;
/// Bytes in front of an indirect load that are tried: header lengths that occur.
const BASES: [usize; 8] = [0, 20, 24, 28, 32, 40, 48, 60];

/// A place in the packet that a program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    offset: usize,
    size: Size,
    indirect: bool,
}

/// What the programs look at and compare with.
struct Aims {
    places: Vec<Place>,
    /// Constants compared with what was loaded from the place with this index.
    pairs: Vec<(usize, u32)>,
    constants: Vec<u32>,
}

/// Runs both programs on up to `max` packets; the number of packets on which they agreed, and one on which they do not.
pub(super) fn search(pair: &Pair<'_>, max: u64, time: Duration) -> (u64, Option<Found>) {
    let aims = Aims::of(pair);
    let samples = samples(pair.link);
    let deadline = Instant::now().checked_add(time);
    let mut random = Random::new(0);
    for tried in 0..max {
        if tried % CLOCK_STRIDE == 0 && deadline.is_some_and(|at| Instant::now() >= at) {
            return (tried, None);
        }
        let packet = aims.packet(&samples, &mut random);
        let facts = aims.facts(pair, &mut random);
        if let Some(found) = pair.try_packet(&packet, &facts) {
            return (tried, Some(found));
        }
    }
    (max, None)
}

impl Aims {
    fn of(pair: &Pair<'_>) -> Self {
        let mut places = BTreeSet::new();
        let mut pairs = BTreeSet::new();
        let mut constants = BTreeSet::new();
        for program in [pair.a, pair.b] {
            let mut last = None;
            for op in program.iter().filter_map(Insn::decode) {
                let loaded = match op {
                    Op::LdAbs(size, k) if k < SKF_AD_OFF => Some((size, k, false)),
                    Op::LdInd(size, k) => Some((size, k, true)),
                    Op::LdxMsh(k) => Some((Size::Byte, k, false)),
                    Op::JumpK { k, .. } => {
                        constants.insert(k);
                        pairs.extend(last.map(|place| (place, k)));
                        None
                    }
                    _ => None,
                };
                if let Some((size, k, indirect)) = loaded
                    && let Ok(offset) = usize::try_from(k)
                    && offset < MAX_PACKET
                {
                    last = Some(Place { offset, size, indirect });
                    places.extend(last);
                }
            }
        }
        let places: Vec<Place> = places.into_iter().collect();
        let index = |place: &Place| places.binary_search(place).ok();
        let pairs = pairs.iter().filter_map(|(place, k)| Some((index(place)?, *k))).collect();
        Self { places, pairs, constants: constants.into_iter().collect() }
    }

    fn packet(&self, samples: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
        let mut packet = samples.get(random.below(samples.len())).cloned().unwrap_or_default();
        for _ in 0..random.below(MAX_CHANGES) {
            self.change(&mut packet, random);
        }
        packet
    }

    fn change(&self, packet: &mut Vec<u8>, random: &mut Random) {
        let near = |k: u32, random: &mut Random| match random.below(8) {
            0 => k.wrapping_add(1),
            1 => k.wrapping_sub(1),
            _ => k,
        };
        match random.below(8) {
            0..=3 => {
                if let Some(&(place, k)) = self.pairs.get(random.below(self.pairs.len())) {
                    self.write(packet, place, near(k, random), random);
                }
            }
            4 => {
                let k = self.constants.get(random.below(self.constants.len())).copied().unwrap_or_default();
                self.write(packet, random.below(self.places.len()), near(k, random), random);
            }
            5 => {
                let value = random.next();
                self.write(packet, random.below(self.places.len()), value, random);
            }
            6 => {
                let at = random.below(packet.len());
                if let Some(byte) = packet.get_mut(at) {
                    *byte = random.next().to_be_bytes()[0];
                }
            }
            _ => {
                let len = match random.below(3) {
                    0 => random.below(packet.len() + 1),
                    1 => random.below(MAX_PACKET),
                    _ => self.constants.get(random.below(self.constants.len())).map_or(0, |&k| k as usize),
                };
                packet.resize(len.min(MAX_PACKET), 0);
            }
        }
    }

    /// Writes `value` where the programs read.
    fn write(&self, packet: &mut [u8], place: usize, value: u32, random: &mut Random) {
        let Some(place) = self.places.get(place) else { return };
        let base = if place.indirect { BASES[random.below(BASES.len())] } else { 0 };
        let size = place.size.bytes() as usize;
        if let Some(bytes) = packet.get_mut(place.offset + base..place.offset + base + size) {
            bytes.copy_from_slice(&value.to_be_bytes()[4 - size..]);
        }
    }

    /// Random values for the ancillary words that the programs read.
    fn facts(&self, pair: &Pair<'_>, random: &mut Random) -> Vec<Fact> {
        let reads = |k: u32| pair.a.iter().chain(pair.b).any(|insn| insn.k == k && reads_fact(insn));
        let mut facts = Vec::new();
        for word in ANCILLARY.iter().filter(|word| reads(word.k())) {
            let value = match random.below(3) {
                0 => self.constants.get(random.below(self.constants.len())).copied().unwrap_or_default(),
                1 => random.next() >> random.below(32),
                _ => 0,
            };
            let mask = u32::MAX >> (32 - u32::from(word.bits.clamp(1, 32)));
            facts.push(Fact { word, value: Some(value & mask) });
        }
        facts
    }
}
