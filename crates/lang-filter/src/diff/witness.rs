//! From a solution of a Boolean function to a packet that makes the programs differ.
//!
//! What the solution leaves free is taken from an ordinary packet, so that the witness looks like one. Solutions that
//! involve open quantities are guesses: the packet is completed so that the quantities get the wanted values where
//! that is easy, and several guesses are tried.

use std::collections::HashMap;

use skep_isa::classic::{ANCILLARY, Ancillary, Insn, JmpOp, Op, SKF_AD_OFF, ancillary};

use super::bdd::Ref;
use super::inputs::{Base, Input, LEN_BITS, Open, packet_level};
use super::samples::samples;
use super::words::{WordId, Words};
use super::{Fact, Found, Pair};

/// Guesses for a function with open quantities.
const GUESSES: u32 = 2000;

/// A packet on which `difference` is true and the programs really differ.
pub(super) fn find(words: &Words, difference: Ref, pair: &Pair<'_>) -> Option<Found> {
    let samples = samples(pair.link);
    let mut solutions: Vec<(usize, Solution<'_>)> = Vec::new();
    for sample in &samples {
        let solution = Solution::new(words, difference, sample, None)?;
        solutions.push((solution.deviations, solution));
    }
    solutions.sort_by_key(|&(deviations, _)| deviations);
    let found = solutions.iter().find_map(|(_, solution)| solution.confirm(words, pair));
    if found.is_some() || !words.inputs.has_open() {
        return found;
    }
    (1..=GUESSES).find_map(|guess| {
        let sample = samples.get(guess as usize % samples.len())?;
        Solution::new(words, difference, sample, Some(guess))?.confirm(words, pair)
    })
}

/// One solution: the values of the variables that matter, and a packet for the rest.
struct Solution<'a> {
    fixed: HashMap<u32, bool>,
    sample: &'a [u8],
    /// Number of packet bits in which the solution must differ from the sample.
    deviations: usize,
}

impl<'a> Solution<'a> {
    /// A solution close to `sample`, or with some free choices made at random.
    fn new(words: &Words, difference: Ref, sample: &'a [u8], guess: Option<u32>) -> Option<Self> {
        let mut random = Random::new(guess.unwrap_or(0));
        let mut prefer = |level: u32| {
            let usual = usual_value(words, sample, level);
            // A quarter of the choices against the sample explores without losing its shape.
            usual != (guess.is_some() && random.below(4) == 0)
        };
        let path = words.bdd.solve(difference, &mut prefer)?;
        let is_packet = |level| matches!(words.inputs.input(level), Some(Input::Packet(..) | Input::Len(_)));
        let differs = |&&(level, value): &&(u32, bool)| is_packet(level) && usual_value(words, sample, level) != value;
        let deviations = path.iter().filter(differs).count();
        Some(Self { fixed: path.into_iter().collect(), sample, deviations })
    }

    fn bit(&self, words: &Words, level: u32) -> bool {
        self.fixed.get(&level).copied().unwrap_or_else(|| usual_value(words, self.sample, level))
    }

    fn confirm(&self, words: &Words, pair: &Pair<'_>) -> Option<Found> {
        let bit = |level: u32| self.bit(words, level);
        let len = (0..LEN_BITS).fold(0, |len, i| len | u32::from(bit(super::inputs::len_level(i))) << i);
        let mut packet = self.sample.to_vec();
        packet.resize(len as usize, 0);
        for (&level, &value) in &self.fixed {
            if let Some(Input::Packet(offset, bit)) = words.inputs.input(level) {
                set_bit(&mut packet, offset, bit, value);
            }
        }
        self.arrange_open(words, &mut packet);
        pair.try_packet(&packet, &self.facts(words, pair))
    }

    /// Changes free bytes of the packet so that open quantities get the values of the solution.
    fn arrange_open(&self, words: &Words, packet: &mut Vec<u8>) {
        let bit = |level: u32| self.bit(words, level);
        let mut rooms: HashMap<WordId, u32> = HashMap::new();
        for (&level, &value) in &self.fixed {
            match words.inputs.input(level) {
                Some(Input::Open(Open::Byte(Base::Word(base), k), bit_number)) => {
                    let offset = words.eval(base, &bit).wrapping_add(k);
                    set_bit(packet, offset, bit_number, value);
                }
                Some(Input::Open(Open::Test(JmpOp::Eq, x, y), _)) => self.make_equal(words, packet, x, y, value),
                Some(Input::Room(Base::Word(base), bit)) => *rooms.entry(base).or_default() |= u32::from(value) << bit,
                _ => {}
            }
        }
        for (base, room) in rooms {
            let len = words.eval(base, &bit).saturating_add(room);
            if len <= super::inputs::MAX_LEN {
                packet.resize(len as usize, 0);
            }
        }
    }

    /// Copies the packet bits of `x` to those of `y`, or makes one bit differ.
    fn make_equal(&self, words: &Words, packet: &mut [u8], x: WordId, y: WordId, equal: bool) {
        for (p, q) in words.bits(x).into_iter().zip(words.bits(y)) {
            let place = |f: Ref| match words.inputs.input(words.bdd.level(f))? {
                Input::Packet(offset, bit) => Some((offset, bit)),
                _ => None,
            };
            let (Some(from), Some(to)) = (place(p), place(q)) else { continue };
            if self.fixed.contains_key(&packet_level(to.0, to.1)) {
                continue;
            }
            let value = packet.get(from.0 as usize).is_some_and(|byte| byte >> from.1 & 1 == 1);
            set_bit(packet, to.0, to.1, value == equal);
            if !equal {
                return;
            }
        }
    }

    /// The values of all ancillary words that the programs read.
    fn facts(&self, words: &Words, pair: &Pair<'_>) -> Vec<Fact> {
        let read = |word: &&Ancillary| pair.a.iter().chain(pair.b).any(|insn| reads_fact(insn) && insn.k == word.k());
        let value = |word: &'static Ancillary| {
            let number = word.offset / 4;
            let device = super::exec::device_of(number);
            if device.is_some_and(|level| self.fixed.get(&level) == Some(&false)) {
                return None;
            }
            let bit = |i: u32| self.bit(words, super::inputs::ancillary_level(number, i));
            Some((0..u32::from(word.bits)).fold(0, |value, i| value | u32::from(bit(i)) << i))
        };
        ANCILLARY.iter().filter(read).map(|word| Fact { word, value: value(word) }).collect()
    }
}

/// Whether the instruction loads an ancillary word that is a plain number.
pub(super) fn reads_fact(insn: &Insn) -> bool {
    match insn.decode() {
        Some(Op::LdAbs(_, k)) if k >= SKF_AD_OFF => {
            ancillary(k).is_some_and(|word| !super::live::is_computed(word.offset / 4))
        }
        _ => false,
    }
}

/// The value that a variable has in the sample; other facts are 0, and there is a device.
fn usual_value(words: &Words, sample: &[u8], level: u32) -> bool {
    match words.inputs.input(level) {
        Some(Input::Packet(offset, bit)) => sample.get(offset as usize).is_some_and(|byte| byte >> bit & 1 == 1),
        Some(Input::Len(bit)) => sample.len() >> bit & 1 == 1,
        Some(Input::Device(_)) => true,
        _ => false,
    }
}

fn set_bit(packet: &mut [u8], offset: u32, bit: u32, value: bool) {
    if let Some(byte) = packet.get_mut(offset as usize) {
        *byte = *byte & !(1 << bit) | u8::from(value) << bit;
    }
}

/// A small generator of pseudo-random numbers (xorshift64*): the same seed gives the same search.
pub(super) struct Random(u64);

impl Random {
    /// The sequence number `seed`.
    pub(super) fn new(seed: u32) -> Self {
        Self((u64::from(seed) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// A number below `n`; 0 for `n` = 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() as usize).checked_rem(n).unwrap_or(0)
    }
}
