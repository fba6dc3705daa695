//! `BPF_MAP_TYPE_BLOOM_FILTER` (`kernel/bpf/bloom_filter.c`).
//!
//! The hash function is the kernel's, Bob Jenkins' lookup3 ("jhash"). With `BPF_F_ZERO_SEED` false positives are the same
//! as well.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::error::{MapError, UpdateFlag};
use super::shape::{MAX_MAP_BYTES, Shape, flag};
use super::shared::zeroed_words;

/// Hash functions when the map was made without a number of them.
const DEFAULT_HASHES: u32 = 5;
/// Start of the hash function's state (`JHASH_INITVAL`).
const START: u32 = 0xdead_beef;

/// Set of values that may say "yes" by mistake, never "no".
#[derive(Debug)]
pub(super) struct Bloom {
    bits: Box<[AtomicU64]>,
    mask: u32,
    seed: u32,
    hashes: u32,
}

impl Bloom {
    /// An empty set; `shape` was checked. `extra` is `map_extra`: the number of hash functions, 0 for 5.
    pub(super) fn new(shape: Shape, extra: u64) -> Result<Self, MapError> {
        let hashes = match extra {
            0 => DEFAULT_HASHES,
            1..=15 => extra as u32,
            _ => return Err(MapError::Invalid("a Bloom filter has 1 to 15 hash functions")),
        };
        // The best number of bits is n * k / ln 2, and 7 / 5 is about 1 / ln 2.
        let bits = shape.max_entries.checked_mul(hashes).and_then(|bits| (bits / 5).checked_mul(7));
        let mask = match bits {
            Some(bits) if bits <= 1 << 31 => bits.max(64).next_power_of_two() - 1,
            _ => u32::MAX,
        };
        let bytes = (u64::from(mask) + 1) / 8;
        if bytes > MAX_MAP_BYTES {
            return Err(MapError::TooLarge(bytes));
        }
        let seed =
            if shape.flags & flag::ZERO_SEED != 0 { 0 } else { RandomState::new().build_hasher().finish() as u32 };
        Ok(Self { bits: zeroed_words(bytes as usize / 8), mask, seed, hashes })
    }

    fn positions(&self, value: &[u8]) -> impl Iterator<Item = (usize, u64)> {
        (0..self.hashes).map(move |number| {
            let hash = jhash(value, self.seed.wrapping_add(number)) & self.mask;
            (hash as usize / 64, 1 << (hash % 64))
        })
    }

    /// Adds a value.
    pub(super) fn push(&self, value: &[u8], flags: u64) -> Result<(), MapError> {
        if flags != UpdateFlag::Any.bits() {
            return Err(MapError::Invalid("a push to a Bloom filter has no flags"));
        }
        for (word, bit) in self.positions(value) {
            if let Some(word) = self.bits.get(word) {
                word.fetch_or(bit, Relaxed);
            }
        }
        Ok(())
    }

    /// Whether the value may have been added.
    pub(super) fn peek(&self, value: &[u8]) -> Result<(), MapError> {
        let all =
            self.positions(value).all(|(word, bit)| self.bits.get(word).is_some_and(|it| it.load(Relaxed) & bit != 0));
        if all { Ok(()) } else { Err(MapError::NotFound) }
    }
}

/// One of the mixing rounds: `(from, to)` as indices of the state, and bits of rotation.
type Round = (usize, usize, u32);

// TABLE
const MIX: [Round; 6] = [(2, 0, 4), (0, 1, 6), (1, 2, 8), (2, 0, 16), (0, 1, 19), (1, 2, 4)];
// TABLE
const FINISH: [Round; 7] = [(1, 2, 14), (2, 0, 11), (0, 1, 25), (1, 2, 16), (2, 0, 4), (0, 1, 14), (1, 2, 24)];

/// lookup3 over bytes in the order of the machine (`include/linux/jhash.h`).
fn jhash(bytes: &[u8], seed: u32) -> u32 {
    let start = START.wrapping_add(bytes.len() as u32).wrapping_add(seed);
    let mut state = [start; 3];
    let mut rest = bytes;
    while rest.len() > 12 {
        let (block, behind) = rest.split_at(12);
        add(&mut state, block);
        for (from, to, rotation) in MIX {
            state[to] = state[to].wrapping_sub(state[from]) ^ state[from].rotate_left(rotation);
            // The third register, which takes part in neither, comes into the source.
            state[from] = state[from].wrapping_add(state[3 - from - to]);
        }
        rest = behind;
    }
    if !rest.is_empty() {
        add(&mut state, rest);
        for (from, to, rotation) in FINISH {
            state[to] = (state[to] ^ state[from]).wrapping_sub(state[from].rotate_left(rotation));
        }
    }
    state[2]
}

/// Adds up to 12 bytes, the missing ones as zeros.
fn add(state: &mut [u32; 3], bytes: &[u8]) {
    for (register, part) in state.iter_mut().zip(bytes.chunks(4)) {
        let mut word = [0; 4];
        word[..part.len()].copy_from_slice(part);
        *register = register.wrapping_add(u32::from_le_bytes(word));
    }
}
