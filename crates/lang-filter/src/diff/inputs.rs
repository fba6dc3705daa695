//! What the variables of the diagrams stand for: bits of the packet, of its length, of facts that the kernel keeps
//! about a packet, and of quantities whose computation is left open.
//!
//! The order of the variables follows the packet, first byte first, because headers say early what the later bytes
//! mean. The length comes last: each decision about the bytes then ends in a few thresholds instead of being repeated
//! for every possible length.

use std::collections::HashMap;

use skep_isa::classic::{AluOp, JmpOp, Size};

use super::bdd::{Bdd, Bounded, Exhausted, Ref};
use super::words::WordId;

/// Bits of the packet length: packets of up to 1 MiB - 1 are considered.
pub(super) const LEN_BITS: u32 = 20;
/// Longest packet considered.
pub(super) const MAX_LEN: u32 = (1 << LEN_BITS) - 1;

/// Most open addresses that a new one is compared with.
const MAX_BASES: usize = 16;

/// Levels of one ancillary word: whether there is a device that it could be read from, then its bits.
const ANCILLARY_STRIDE: u32 = 33;
/// Levels of the packet's bytes, eight for each.
const PACKET: u32 = 1 << 10;
/// Levels of everything that is named when it is first met.
const OPEN: u32 = 1 << 24;
/// Levels of the room that loads at an open address have.
const ROOM: u32 = 1 << 28;
/// Levels of the length.
const LENGTH: u32 = 1 << 29;

/// A quantity that is not computed from the packet but left open: it may have any value, the same one for the same
/// key. Functions that agree for all values of their open quantities agree on all packets; the reverse does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Open {
    /// The byte at distance `k` from an address with too many possible values.
    Byte(Base, u32),
    /// Whether `size` bytes can be loaded at distance `k` from an address that may wrap around.
    Inside(WordId, u32, Size),
    /// The outcome of a comparison.
    Test(JmpOp, WordId, WordId),
    /// The result of an operation.
    Alu(AluOp, WordId, WordId),
    /// What a netlink attribute look-up finds for A and X.
    Attribute(u32, WordId, WordId),
}

/// Where an open address counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Base {
    /// From a computed offset.
    Word(WordId),
    /// From the network header, which the kernel knows and the packet does not tell.
    Network,
}

/// One variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// Whether there is a device for the ancillary word with this number.
    Device(u32),
    /// A bit of the ancillary word with this number.
    Ancillary(u32, u32),
    /// A bit of a packet byte; bit 7 is the most significant one.
    Packet(u32, u32),
    /// A bit of the length.
    Len(u32),
    /// A bit of an open quantity.
    Open(Open, u32),
    /// A bit of the number of bytes between an open address and the end of the packet.
    Room(Base, u32),
}

/// The open quantities met so far and where their levels begin.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    opens: HashMap<Open, u32>,
    rooms: HashMap<Base, u32>,
    next_open: u32,
    /// The quantity and the bit of each open level, from [`OPEN`] on.
    open_levels: Vec<(Open, u32)>,
    room_levels: Vec<(Base, u32)>,
}

impl Inputs {
    /// Whether any quantity was left open.
    pub(super) fn has_open(&self) -> bool {
        !self.open_levels.is_empty() || !self.room_levels.is_empty()
    }

    /// Whether this quantity was left open before.
    pub(super) fn is_open(&self, open: &Open) -> bool {
        self.opens.contains_key(open)
    }

    /// What the variable of `level` stands for; `None` if no variable has that level.
    pub(super) fn input(&self, level: u32) -> Option<Input> {
        let index = |base: u32| usize::try_from(level - base).ok();
        match level {
            ..PACKET => {
                let (word, bit) = (level / ANCILLARY_STRIDE, level % ANCILLARY_STRIDE);
                Some(if bit == 0 { Input::Device(word) } else { Input::Ancillary(word, bit - 1) })
            }
            PACKET..OPEN => Some(Input::Packet((level - PACKET) / 8, 7 - (level - PACKET) % 8)),
            OPEN..ROOM => self.open_levels.get(index(OPEN)?).map(|&(open, bit)| Input::Open(open, bit)),
            ROOM..LENGTH => self.room_levels.get(index(ROOM)?).map(|&(base, bit)| Input::Room(base, bit)),
            LENGTH.. => (LEN_BITS - 1).checked_sub(level - LENGTH).map(Input::Len),
        }
    }

    /// Level of a bit of an open quantity of `bits` bits, of which bit `bits - 1` is the topmost.
    pub(super) fn open_level(&mut self, open: Open, bits: u32, bit: u32) -> Bounded<u32> {
        let first = match self.opens.get(&open) {
            Some(&first) => first,
            None => {
                let first = OPEN + self.next_open;
                self.next_open += bits;
                if OPEN + self.next_open >= ROOM {
                    return Err(Exhausted);
                }
                self.open_levels.extend((0..bits).rev().map(|bit| (open, bit)));
                self.opens.insert(open, first);
                first
            }
        };
        Ok(first + (bits - 1 - bit))
    }

    /// The computed addresses that others may count from: the first few that were left open.
    pub(super) fn bases(&self) -> Vec<WordId> {
        let first_bits = self.room_levels.iter().step_by(LEN_BITS as usize);
        let word = |&(base, _): &(Base, u32)| match base {
            Base::Word(word) => Some(word),
            Base::Network => None,
        };
        first_bits.filter_map(word).take(MAX_BASES).collect()
    }

    /// The first level of the room behind `base`.
    pub(super) fn room_level(&mut self, base: Base) -> Bounded<u32> {
        if let Some(&first) = self.rooms.get(&base) {
            return Ok(first);
        }
        let first = u32::try_from(self.room_levels.len()).map_err(|_| Exhausted)? + ROOM;
        if first + LEN_BITS >= LENGTH {
            return Err(Exhausted);
        }
        self.room_levels.extend((0..LEN_BITS).rev().map(|bit| (base, bit)));
        self.rooms.insert(base, first);
        Ok(first)
    }
}

/// Level of a bit of the ancillary word with number `word`.
pub(super) const fn ancillary_level(word: u32, bit: u32) -> u32 {
    word * ANCILLARY_STRIDE + 1 + bit
}

/// Level of the variable that tells whether there is a device to read the ancillary word from.
pub(super) const fn device_level(word: u32) -> u32 {
    word * ANCILLARY_STRIDE
}

/// Level of a bit of the packet byte at `offset`, which must be below [`MAX_LEN`].
pub(super) const fn packet_level(offset: u32, bit: u32) -> u32 {
    PACKET + offset * 8 + (7 - bit)
}

/// Level of a bit of the length.
pub(super) const fn len_level(bit: u32) -> u32 {
    LENGTH + (LEN_BITS - 1 - bit)
}

/// The function "the length is at least `n`".
pub(super) fn len_at_least(bdd: &mut Bdd, n: u32) -> Bounded<Ref> {
    at_least(bdd, LENGTH, n)
}

/// The function "the number whose bits begin at level `first`, most significant first, is at least `n`".
pub(super) fn at_least(bdd: &mut Bdd, first: u32, n: u32) -> Bounded<Ref> {
    if n > MAX_LEN {
        return Ok(Ref::FALSE);
    }
    let mut result = Ref::TRUE;
    for bit in 0..LEN_BITS {
        let var = bdd.var(first + (LEN_BITS - 1 - bit))?;
        result = if n >> bit & 1 == 1 { bdd.and(var, result)? } else { bdd.or(var, result)? };
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_inputs_are_inverse() {
        let mut inputs = Inputs::default();
        assert_eq!(inputs.input(packet_level(MAX_LEN - 1, 0)), Some(Input::Packet(MAX_LEN - 1, 0)));
        assert_eq!(inputs.input(packet_level(0, 7)), Some(Input::Packet(0, 7)));
        assert_eq!(inputs.input(len_level(19)), Some(Input::Len(19)));
        assert_eq!(inputs.input(len_level(0)), Some(Input::Len(0)));
        assert_eq!(inputs.input(ancillary_level(15, 31)), Some(Input::Ancillary(15, 31)));
        assert_eq!(inputs.input(device_level(2)), Some(Input::Device(2)));
        assert_eq!(inputs.input(OPEN), None);
        for k in [3, 9] {
            let open = Open::Byte(Base::Network, k);
            let level = inputs.open_level(open, 8, 5).unwrap();
            assert_eq!(inputs.input(level), Some(Input::Open(open, 5)));
            assert_eq!(inputs.open_level(open, 8, 5).unwrap(), level);
        }
        let level = inputs.room_level(Base::Network).unwrap();
        assert_eq!(inputs.input(level), Some(Input::Room(Base::Network, LEN_BITS - 1)));
    }

    #[test]
    fn length_thresholds() {
        let mut bdd = Bdd::new(1 << 12, None);
        for n in [0, 1, 14, 34, 60, 65_536, MAX_LEN] {
            let f = len_at_least(&mut bdd, n).unwrap();
            for len in [0, 1, 13, 14, 33, 34, 59, 60, 61, 65_535, 65_536, MAX_LEN] {
                let bit = |level: u32| len >> (LEN_BITS - 1 - (level - LENGTH)) & 1 == 1;
                assert_eq!(bdd.eval(f, &bit), len >= n, "{len} {n}");
            }
        }
        assert_eq!(len_at_least(&mut bdd, MAX_LEN + 1), Ok(Ref::FALSE));
    }
}
