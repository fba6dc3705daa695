//! What the verifier knows about a number in a register, and how the parts of it inform one another.

use std::fmt;

use crate::{Range, Tnum};

/// A set of 64-bit numbers: those that satisfy all of a [`Tnum`] and four ranges, two of them for the lower half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scalar {
    pub(crate) bits: Tnum,
    pub(crate) u64: Range<u64>,
    pub(crate) s64: Range<i64>,
    pub(crate) u32: Range<u32>,
    pub(crate) s32: Range<i32>,
}

/// The lower half of a number.
#[allow(clippy::cast_possible_truncation)] // The lower half is what is meant.
pub(crate) const fn low(number: u64) -> u32 {
    number as u32
}

const UPPER: u64 = 0xffff_ffff_0000_0000;

impl Scalar {
    /// All numbers.
    pub const UNKNOWN: Self = Self {
        bits: Tnum::UNKNOWN,
        u64: Range::<u64>::FULL,
        s64: Range::<i64>::FULL,
        u32: Range::<u32>::FULL,
        s32: Range::<i32>::FULL,
    };

    /// One number.
    pub const fn constant(number: u64) -> Self {
        Self {
            bits: Tnum::constant(number),
            u64: Range::constant(number),
            s64: Range::constant(number.cast_signed()),
            u32: Range::constant(low(number)),
            s32: Range::constant(low(number).cast_signed()),
        }
    }

    /// A number of which only bits are known.
    pub fn from_bits(bits: Tnum) -> Self {
        Self { bits, ..Self::UNKNOWN }.synced()
    }

    /// An unsigned number from `min` to `max`.
    pub fn from_range(min: u64, max: u64) -> Self {
        Self { u64: Range { min, max }, ..Self::UNKNOWN }.synced()
    }

    /// A number of which these parts are known.
    pub fn from_parts(bits: Tnum, u64: Range<u64>, s64: Range<i64>, u32: Range<u32>, s32: Range<i32>) -> Self {
        Self { bits, u64, s64, u32, s32 }.synced()
    }

    /// A number of which these parts are known, and nothing that one says about another: a state as somebody else found
    /// it.
    pub const fn exactly(bits: Tnum, u64: Range<u64>, s64: Range<i64>, u32: Range<u32>, s32: Range<i32>) -> Self {
        Self { bits, u64, s64, u32, s32 }
    }

    /// Its bits.
    pub const fn bits(self) -> Tnum {
        self.bits
    }

    /// As an unsigned number of 64 bits.
    pub const fn u64(self) -> Range<u64> {
        self.u64
    }

    /// As a signed number of 64 bits.
    pub const fn s64(self) -> Range<i64> {
        self.s64
    }

    /// The lower half as an unsigned number.
    pub const fn u32(self) -> Range<u32> {
        self.u32
    }

    /// The lower half as a signed number.
    pub const fn s32(self) -> Range<i32> {
        self.s32
    }

    /// The number, if it is one.
    pub const fn as_constant(self) -> Option<u64> {
        if self.bits.is_constant() { Some(self.bits.value()) } else { None }
    }

    /// The lower half, if it is one number.
    pub const fn as_constant32(self) -> Option<u32> {
        if self.bits.is_subreg_constant() { Some(low(self.bits.value())) } else { None }
    }

    /// Whether a number is in it.
    pub fn contains(self, number: u64) -> bool {
        let half = low(number);
        self.bits.contains(number)
            && self.u64.contains(number)
            && self.s64.contains(number.cast_signed())
            && self.u32.contains(half)
            && self.s32.contains(half.cast_signed())
    }

    /// Whether each part says no more than that of `other` (`range_within` and `tnum_in`).
    pub fn includes(self, other: Self) -> bool {
        self.bits.includes(other.bits)
            && self.u64.includes(other.u64)
            && self.s64.includes(other.s64)
            && self.u32.includes(other.u32)
            && self.s32.includes(other.s32)
    }

    /// Whether no part is empty (`reg_bounds_sanity_check`). If one is, no number is in it, and the path that led to it
    /// cannot be taken; the kernel forgets all ranges in that case.
    pub fn is_consistent(self) -> bool {
        !(self.u64.is_empty() || self.s64.is_empty() || self.u32.is_empty() || self.s32.is_empty())
    }

    /// A set with the numbers of both, part by part.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            bits: self.bits.union(other.bits),
            u64: self.u64.union(other.u64),
            s64: self.s64.union(other.s64),
            u32: self.u32.union(other.u32),
            s32: self.s32.union(other.s32),
        }
    }

    /// What is known from both.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self {
            bits: self.bits.intersect(other.bits),
            u64: self.u64.intersect(other.u64),
            s64: self.s64.intersect(other.s64),
            u32: self.u32.intersect(other.u32),
            s32: self.s32.intersect(other.s32),
        }
        .synced()
    }

    /// A set with the numbers of both, chosen so that a chain of widenings ends: bounds that moved are dropped, bits can
    /// only become unknown.
    #[must_use]
    pub fn widen(self, newer: Self) -> Self {
        Self {
            bits: self.bits.union(newer.bits),
            u64: self.u64.widen(newer.u64),
            s64: self.s64.widen(newer.s64),
            u32: self.u32.widen(newer.u32),
            s32: self.s32.widen(newer.s32),
        }
    }

    /// With what the parts say about one another (`reg_bounds_sync`). 6.12 deduces twice instead of three times and 6.1
    /// once, with fewer rules: before 6.8 nothing is learnt from the lower half about a whole that is not small.
    #[must_use]
    pub(crate) fn synced(mut self) -> Self {
        self.update_from_bits();
        for _ in 0..3 {
            self.deduce32();
            self.deduce64();
            self.deduce_mixed();
        }
        self.bound_bits();
        self.update_from_bits();
        self
    }

    /// Ranges from bits (`__update_reg_bounds`).
    pub(crate) fn update_from_bits(&mut self) {
        self.update32_from_bits();
        let (value, mask) = (self.bits.value(), self.bits.mask());
        let sign = 1 << 63;
        let signed = Range::new((value | mask & sign).cast_signed(), (value | mask & !sign).cast_signed());
        self.s64 = self.s64.intersect(signed);
        self.u64 = self.u64.intersect(Range::new(self.bits.min(), self.bits.max()));
        self.only_member();
    }

    /// If the bits and the unsigned range have one number in common, it is that (later releases of 6.18).
    fn only_member(&mut self) {
        let Range { min, max } = self.u64;
        let next = self.bits.step(min);
        let only = match self.bits.contains(min) {
            true if next > max => min,
            false if next == self.bits.max() || next <= max && self.bits.step(next) > max => next,
            _ => return,
        };
        *self = Self::constant(only);
    }

    /// Ranges of the lower half from its bits (`__update_reg32_bounds`).
    pub(crate) fn update32_from_bits(&mut self) {
        let (value, mask) = (low(self.bits.value()), low(self.bits.mask()));
        let sign = 1 << 31;
        let signed = Range::new((value | mask & sign).cast_signed(), (value | mask & !sign).cast_signed());
        self.s32 = self.s32.intersect(signed);
        self.u32 = self.u32.intersect(Range::new(value, value | mask));
    }

    /// The lower half from the whole, and from itself with the other sign (`__reg32_deduce_bounds`).
    fn deduce32(&mut self) {
        let whole = self.u64;
        if whole.min >> 32 == whole.max >> 32 {
            self.meet32(low(whole.min), low(whole.max));
        }
        let (min, max) = (self.s64.min.cast_unsigned(), self.s64.max.cast_unsigned());
        if min >> 32 == max >> 32 {
            self.meet32(low(min), low(max));
        }
        // The upper half takes two neighbouring values, and the lower one goes from below 0 to above.
        for (min, max) in [(whole.min, whole.max), (self.s64.min.cast_unsigned(), self.s64.max.cast_unsigned())] {
            let (low_min, low_max) = (low(min).cast_signed(), low(max).cast_signed());
            if low(min >> 32).wrapping_add(1) == low(max >> 32) && low_min < 0 && low_max >= 0 {
                self.s32 = self.s32.intersect(Range::new(low_min, low_max));
            }
        }
        if let Some(signed) = self.u32.signed() {
            self.s32 = self.s32.intersect(signed);
        }
        if let Some(unsigned) = self.s32.unsigned() {
            self.u32 = self.u32.intersect(unsigned);
        } else if self.u32.max < self.s32.min.cast_unsigned() {
            // Only the part from 0 on is in both.
            self.s32.min = self.u32.min.cast_signed();
            self.u32.max = self.u32.max.min(self.s32.max.cast_unsigned());
        } else if self.s32.max.cast_unsigned() < self.u32.min {
            // Only the part below 0 is in both.
            self.s32.max = self.u32.max.cast_signed();
            self.u32.min = self.u32.min.max(self.s32.min.cast_unsigned());
        }
    }

    fn meet32(&mut self, min: u32, max: u32) {
        if min <= max {
            self.u32 = self.u32.intersect(Range::new(min, max));
        }
        let (min, max) = (min.cast_signed(), max.cast_signed());
        if min <= max {
            self.s32 = self.s32.intersect(Range::new(min, max));
        }
    }

    /// Signed from unsigned and the other way round (`__reg64_deduce_bounds`). The last two cases are new in 6.17.
    fn deduce64(&mut self) {
        if let Some(signed) = self.u64.signed() {
            self.s64 = self.s64.intersect(signed);
        }
        if let Some(unsigned) = self.s64.unsigned() {
            self.u64 = self.u64.intersect(unsigned);
        } else if self.u64.max < self.s64.min.cast_unsigned() {
            self.s64.min = self.u64.min.cast_signed();
            self.u64.max = self.u64.max.min(self.s64.max.cast_unsigned());
        } else if self.s64.max.cast_unsigned() < self.u64.min {
            self.s64.max = self.u64.max.cast_signed();
            self.u64.min = self.u64.min.max(self.s64.min.cast_unsigned());
        }
    }

    /// The whole from its lower half (`__reg_deduce_mixed_bounds`, since 6.8).
    fn deduce_mixed(&mut self) {
        self.meet_low(self.u32);
        if let Some(unsigned) = self.s32.unsigned() {
            self.meet_low(unsigned);
        }
        // Sign extended from 32 bits, and the lower half is not negative: then the whole is not either.
        let small = Range::new(i64::from(i32::MIN), i64::from(i32::MAX));
        if self.s32.min >= 0 && small.includes(self.s64) {
            self.s64 = Range::new(self.s32.min.into(), self.s32.max.into());
            self.u64 = Range::new(u64::from(self.s32.min.cast_unsigned()), u64::from(self.s32.max.cast_unsigned()));
            self.bits = self.bits.intersect(Tnum::range(self.u64.min, self.u64.max));
        }
    }

    fn meet_low(&mut self, half: Range<u32>) {
        let put = |whole: u64, half: u32| whole & UPPER | u64::from(half);
        self.u64 = self.u64.intersect(Range::new(put(self.u64.min, half.min), put(self.u64.max, half.max)));
        let min = put(self.s64.min.cast_unsigned(), half.min).cast_signed();
        let max = put(self.s64.max.cast_unsigned(), half.max).cast_signed();
        self.s64 = self.s64.intersect(Range::new(min, max));
    }

    /// Bits from unsigned ranges (`__reg_bound_offset`).
    fn bound_bits(&mut self) {
        let whole = self.bits.intersect(Tnum::range(self.u64.min, self.u64.max));
        let half = whole.subreg().intersect(Tnum::range(self.u32.min.into(), self.u32.max.into()));
        self.bits = whole.clear_subreg().or(half);
    }
}

impl fmt::Display for Scalar {
    /// `7`, `any number`, `0..255`, `0..4095, bits=(0x0; 0xff8)`: what says something beyond what stands before it. The range
    /// without a name is that of 64 bits; others are named as in the kernel's log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.as_constant() {
            return write!(f, "{}", number.cast_signed());
        }
        let mut parts = Vec::new();
        let (unsigned, signed) = (self.u64 != Range::<u64>::FULL, self.s64 != Range::<i64>::FULL);
        if self.s64.min >= 0 {
            parts.push(format!("{}..{}", self.u64.min, self.u64.max));
        } else if signed && !unsigned {
            parts.push(format!("{}..{}", self.s64.min, self.s64.max));
        } else if unsigned {
            parts.extend(signed.then(|| format!("s64={}..{}", self.s64.min, self.s64.max)));
            parts.push(format!("u64={}..{}", self.u64.min, self.u64.max));
        }
        // The lower halves follow from a range that fits into them.
        let half = i64::from(self.s32.min) == self.s64.min && i64::from(self.s32.max) == self.s64.max;
        let lower = u64::from(self.u32.min) == self.u64.min && u64::from(self.u32.max) == self.u64.max;
        if self.s32 != Range::<i32>::FULL && !half {
            parts.push(format!("s32={}..{}", self.s32.min, self.s32.max));
        }
        if self.u32 != Range::<u32>::FULL && !lower {
            parts.push(format!("u32={}..{}", self.u32.min, self.u32.max));
        }
        if self.bits != Tnum::UNKNOWN && self.bits != Tnum::range(self.u64.min, self.u64.max) {
            parts.push(format!("bits={}", self.bits));
        }
        f.write_str(if parts.is_empty() { "any number" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_is_left_out() {
        let text = |scalar: Scalar| scalar.to_string();
        assert_eq!(text(Scalar::constant(u64::MAX)), "-1");
        assert_eq!(text(Scalar::UNKNOWN), "any number");
        assert_eq!(text(Scalar::UNKNOWN.zero_extended()), "0..4294967295");
        assert_eq!(text(Scalar::from_range(1, 200)), "1..200");
        let masked = Scalar::UNKNOWN.alu(crate::Op::And, Scalar::constant(0xff8), crate::Width::W64);
        assert_eq!(text(masked), "0..4088, bits=(0x0; 0xff8)");
        let half = Scalar::UNKNOWN.sign_extended(4);
        assert_eq!(text(half), "-2147483648..2147483647");
    }
}
