//! Tracked numbers: which bits are known, and their values.

use std::fmt;

/// A set of 64-bit numbers given by bits: those of `mask` may be anything, the others are those of `value`.
///
/// No bit is set in both. The operations are those of `kernel/bpf/tnum.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tnum {
    value: u64,
    mask: u64,
}

#[allow(clippy::should_implement_trait)] // Names are the kernel's; an operator would hide that results are sets.
impl Tnum {
    /// All numbers.
    pub const UNKNOWN: Self = Self { value: 0, mask: u64::MAX };

    /// The numbers that agree with `value` outside of `mask`.
    pub const fn new(value: u64, mask: u64) -> Self {
        Self { value: value & !mask, mask }
    }

    /// One number.
    pub const fn constant(value: u64) -> Self {
        Self { value, mask: 0 }
    }

    /// The smallest set with all numbers from `min` to `max`; all numbers if `min` is greater.
    pub const fn range(min: u64, max: u64) -> Self {
        let differing = min ^ max;
        let bits = 64 - differing.leading_zeros();
        if bits > 63 {
            return Self::UNKNOWN;
        }
        let mask = (1 << bits) - 1;
        Self { value: min & !mask, mask }
    }

    /// The known bits that are 1.
    pub const fn value(self) -> u64 {
        self.value
    }

    /// The bits that are not known.
    pub const fn mask(self) -> u64 {
        self.mask
    }

    /// The least number, unsigned.
    pub const fn min(self) -> u64 {
        self.value
    }

    /// The greatest number, unsigned.
    pub const fn max(self) -> u64 {
        self.value | self.mask
    }

    /// Whether it is one number.
    pub const fn is_constant(self) -> bool {
        self.mask == 0
    }

    /// Whether a number is in it.
    pub const fn contains(self, number: u64) -> bool {
        number & !self.mask == self.value
    }

    /// The least number in it above another one; the greatest if there is none (`tnum_step`).
    pub const fn step(self, number: u64) -> u64 {
        if number < self.value {
            return self.value;
        }
        // It agrees with `number` down to a bit that is 1 where that has 0; the lower that bit, the less it is.
        let mut next = self.max();
        let mut bit = 1u64 << 63;
        while bit != 0 {
            let (zero, one) = (self.max() & bit == 0, self.value & bit != 0);
            if number & bit == 0 && !zero {
                let above = !(bit | (bit - 1));
                next = number & above | bit | self.value & (bit - 1);
            }
            if (number & bit == 0 && one) || (number & bit != 0 && zero) {
                break;
            }
            bit >>= 1;
        }
        next
    }

    /// Whether all numbers of `other` are in it (`tnum_in`).
    pub const fn includes(self, other: Self) -> bool {
        other.mask & !self.mask == 0 && other.value & !self.mask == self.value
    }

    /// Whether a number may be in both (`tnum_overlap`).
    pub const fn overlaps(self, other: Self) -> bool {
        let known = !self.mask & !other.mask;
        self.value & known == other.value & known
    }

    /// Whether every number is a multiple of `size`, a power of two; 0 means any number (`tnum_is_aligned`).
    pub const fn is_aligned(self, size: u64) -> bool {
        size == 0 || (self.value | self.mask) & (size - 1) == 0
    }

    /// The sum.
    #[must_use]
    pub const fn add(self, other: Self) -> Self {
        let sum = self.value.wrapping_add(other.value);
        // Bits that a carry out of the unknown bits may change.
        let carries = self.mask.wrapping_add(other.mask).wrapping_add(sum) ^ sum;
        Self::new(sum, carries | self.mask | other.mask)
    }

    /// The difference.
    #[must_use]
    pub const fn sub(self, other: Self) -> Self {
        let difference = self.value.wrapping_sub(other.value);
        let borrows = difference.wrapping_add(self.mask) ^ difference.wrapping_sub(other.mask);
        Self::new(difference, borrows | self.mask | other.mask)
    }

    /// Two's complement (`tnum_neg`, Linux 6.17).
    #[must_use]
    pub const fn neg(self) -> Self {
        Self::constant(0).sub(self)
    }

    /// The product. Up to 6.17 the kernel adds known and unknown parts apart, which knows fewer bits in rare cases.
    #[must_use]
    pub const fn mul(self, other: Self) -> Self {
        let (mut left, mut right) = (self, other);
        let mut sum = Self::constant(0);
        while left.value | left.mask != 0 {
            let more = sum.add(right);
            if left.value & 1 != 0 {
                sum = more;
            } else if left.mask & 1 != 0 {
                sum = sum.union(more);
            }
            left = left.rshift(1);
            right = right.lshift(1);
        }
        sum
    }

    /// Bitwise and.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        let ones = self.value & other.value;
        Self { value: ones, mask: self.max() & other.max() & !ones }
    }

    /// Bitwise or.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        let ones = self.value | other.value;
        Self { value: ones, mask: (self.mask | other.mask) & !ones }
    }

    /// Bitwise exclusive or.
    #[must_use]
    pub const fn xor(self, other: Self) -> Self {
        Self::new(self.value ^ other.value, self.mask | other.mask)
    }

    /// Shifted to the left; by 64 and more there is nothing left.
    #[must_use]
    pub const fn lshift(self, count: u32) -> Self {
        if count > 63 {
            return Self::constant(0);
        }
        Self { value: self.value << count, mask: self.mask << count }
    }

    /// Shifted to the right, zeros come in.
    #[must_use]
    pub const fn rshift(self, count: u32) -> Self {
        if count > 63 {
            return Self::constant(0);
        }
        Self { value: self.value >> count, mask: self.mask >> count }
    }

    /// Shifted to the right as a signed number of 64 bits.
    #[must_use]
    pub const fn arshift(self, count: u32) -> Self {
        let count = if count > 63 { 63 } else { count };
        Self {
            value: self.value.cast_signed().wrapping_shr(count).cast_unsigned(),
            mask: self.mask.cast_signed().wrapping_shr(count).cast_unsigned(),
        }
    }

    /// The lower half shifted to the right as a signed number of 32 bits; the upper half of the result is 0.
    #[must_use]
    pub const fn arshift32(self, count: u32) -> Self {
        let count = if count > 31 { 31 } else { count };
        Self { value: shift_low(self.value, count), mask: shift_low(self.mask, count) }
    }

    /// What is known from both (`tnum_intersect`). Where they contradict, the result says 1.
    #[must_use]
    pub const fn intersect(self, other: Self) -> Self {
        let mask = self.mask & other.mask;
        Self::new(self.value | other.value, mask)
    }

    /// The smallest set with the numbers of both (`tnum_union`).
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self::new(self.value & other.value, (self.value ^ other.value) | self.mask | other.mask)
    }

    /// Only the lowest `bytes` bytes, the rest 0. 8 and more change nothing.
    #[must_use]
    pub const fn cast(self, bytes: u32) -> Self {
        if bytes >= 8 {
            return self;
        }
        let keep = (1 << (bytes * 8)) - 1;
        Self { value: self.value & keep, mask: self.mask & keep }
    }

    /// The lower half, the upper half 0.
    #[must_use]
    pub const fn subreg(self) -> Self {
        self.cast(4)
    }

    /// The upper half, the lower half 0.
    #[must_use]
    pub const fn clear_subreg(self) -> Self {
        self.rshift(32).lshift(32)
    }

    /// With the lower half of another one.
    #[must_use]
    pub const fn with_subreg(self, subreg: Self) -> Self {
        self.clear_subreg().or(subreg.subreg())
    }

    /// Whether the lower half is one number.
    pub const fn is_subreg_constant(self) -> bool {
        self.subreg().is_constant()
    }
}

/// Lower half shifted by its sign, upper half 0.
#[allow(clippy::cast_possible_truncation)] // The lower half is what is meant.
const fn shift_low(bits: u64, count: u32) -> u64 {
    ((bits as u32).cast_signed() >> count).cast_unsigned() as u64
}

impl fmt::Display for Tnum {
    /// As the kernel's log prints it: `(value; mask)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:#x}; {:#x})", self.value, self.mask)
    }
}
