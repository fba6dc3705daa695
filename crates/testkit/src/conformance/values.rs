//! The operands: borders, and pairs of all magnitudes.

use crate::Rng;

/// Values at which something changes: widths, signs, shift counts, and two without pattern.
pub(super) const BORDERS: [u64; 36] = [
    0,
    1,
    2,
    3,
    7,
    10,
    31,
    32,
    33,
    63,
    64,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0001,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x0123_4567_89ab_cdef,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0x8000_0000_0000_0001,
    0xfedc_ba98_7654_3210,
    0xffff_ffff_0000_0000,
    0xffff_ffff_7fff_ffff,
    0xffff_ffff_8000_0000,
    0xffff_ffff_ffff_ff80,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
];

/// The same for constants of 32 bits.
pub(super) const IMMEDIATES: [i32; 32] = [
    0,
    1,
    2,
    3,
    7,
    8,
    10,
    16,
    31,
    32,
    33,
    63,
    64,
    127,
    128,
    255,
    256,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x1234_5678,
    i32::MAX,
    i32::MIN,
    i32::MIN + 1,
    -0x1234_5678,
    -0x8000,
    -129,
    -128,
    -3,
    -2,
    -1,
];

/// A value next to a power of two, with either sign: 2^bit, one more, one less, and their negatives.
pub(super) fn near_power(bit: usize, variant: usize) -> u64 {
    let power = 1u64 << bit;
    let value = [power, power.wrapping_sub(1), power.wrapping_add(1)][variant % 3];
    if variant % 6 < 3 { value } else { value.wrapping_neg() }
}

/// All pairs of borders, then one pair for each two magnitudes.
pub(super) fn pairs(rng: &mut Rng) -> Vec<(u64, u64)> {
    let mut list: Vec<_> = BORDERS.iter().flat_map(|&a| BORDERS.map(|b| (a, b))).collect();
    for (a, b) in (0..64).flat_map(|a| (0..64).map(move |b| (a, b))) {
        list.push((near_power(a, rng.below(6)), near_power(b, rng.below(6))));
    }
    list
}

/// The same for a second operand that is a constant of the instruction.
pub(super) fn immediate_pairs(rng: &mut Rng) -> Vec<(u64, i32)> {
    let mut list: Vec<_> = BORDERS.iter().flat_map(|&a| IMMEDIATES.map(|b| (a, b))).collect();
    for (a, b) in (0..64).flat_map(|a| (0..32).map(move |b| (a, b))) {
        list.push((near_power(a, rng.below(6)), near_power(b, rng.below(6)) as i32));
    }
    list
}

/// Borders and everything next to a power of two.
pub(super) fn singles() -> Vec<u64> {
    let powers = (0..64).flat_map(|bit| (0..6).map(move |variant| near_power(bit, variant)));
    BORDERS.into_iter().chain(powers).collect()
}

/// A border, a value next to a power of two, or anything.
pub(super) fn any(rng: &mut Rng) -> u64 {
    match rng.below(4) {
        0 => rng.pick(&BORDERS),
        1 => near_power(rng.below(64), rng.below(6)),
        2 => rng.u64() >> rng.below(64),
        _ => rng.u64(),
    }
}

/// The same for a constant.
pub(super) fn any_immediate(rng: &mut Rng) -> i32 {
    if rng.percent(50) { rng.pick(&IMMEDIATES) } else { rng.u32() as i32 >> rng.below(32) }
}
