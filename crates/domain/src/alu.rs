//! Arithmetic (`adjust_scalar_min_max_vals`).

use crate::{Range, Scalar, Tnum};

/// Width of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// The lower half; the upper half of a result is 0.
    W32,
    /// The whole register.
    W64,
}

impl Width {
    /// 32 or 64.
    pub const fn bits(self) -> u32 {
        match self {
            Self::W32 => 32,
            Self::W64 => 64,
        }
    }
}

/// Operations with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Unsigned quotient; 0 for the divisor 0.
    Div,
    /// Unsigned remainder; the dividend for the divisor 0.
    Mod,
    /// Signed quotient.
    SDiv,
    /// Signed remainder.
    SMod,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// Shift to the left.
    Lsh,
    /// Shift to the right, zeros come in.
    Rsh,
    /// Shift to the right, the sign comes in.
    Arsh,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Mod,
        Self::SDiv,
        Self::SMod,
        Self::And,
        Self::Or,
        Self::Xor,
        Self::Lsh,
        Self::Rsh,
        Self::Arsh,
    ];
}

impl Scalar {
    /// The result of an operation.
    ///
    /// Nothing is known about quotients, remainders and shifts by a count that is not one number below the width, not
    /// even that the upper half of a 32-bit result is 0: that is how much 6.1, 6.12 and 6.18 know.
    #[must_use]
    pub fn alu(self, op: Op, other: Self, width: Width) -> Self {
        let result = match op {
            Op::Add => self.add(other),
            Op::Sub => self.sub(other),
            Op::Mul => self.mul(other),
            Op::And => self.and(other),
            Op::Or => self.or(other),
            Op::Xor => self.xor(other),
            Op::Lsh | Op::Rsh | Op::Arsh => {
                let Some(count) = other.shift_count(width) else { return Self::UNKNOWN };
                match width {
                    Width::W64 => self.shift64(op, count),
                    Width::W32 => self.shift32(op, count),
                }
            }
            Op::Div | Op::Mod | Op::SDiv | Op::SMod => return Self::UNKNOWN,
        };
        match width {
            Width::W32 => result.zero_extended().synced(),
            Width::W64 => result.synced(),
        }
    }

    /// Two's complement. Before 6.17 nothing is known about the result.
    #[must_use]
    pub fn neg(self, width: Width) -> Self {
        let result = Self { bits: self.bits.neg(), ..Self::constant(0).sub(self) };
        match width {
            Width::W32 => result.zero_extended().synced(),
            Width::W64 => result.synced(),
        }
    }

    fn add(self, other: Self) -> Self {
        Self {
            bits: self.bits.add(other.bits),
            u64: self.u64.add(other.u64),
            s64: self.s64.add(other.s64),
            u32: self.u32.add(other.u32),
            s32: self.s32.add(other.s32),
        }
    }

    fn sub(self, other: Self) -> Self {
        Self {
            bits: self.bits.sub(other.bits),
            u64: self.u64.sub(other.u64),
            s64: self.s64.sub(other.s64),
            u32: self.u32.sub(other.u32),
            s32: self.s32.sub(other.s32),
        }
    }

    fn mul(self, other: Self) -> Self {
        Self {
            bits: self.bits.mul(other.bits),
            u64: self.u64.mul(other.u64),
            s64: self.s64.mul(other.s64),
            u32: self.u32.mul(other.u32),
            s32: self.s32.mul(other.s32),
        }
    }

    /// The minimum comes from the bits, the maximum is the lesser of both.
    fn and(self, other: Self) -> Self {
        let bits = self.bits.and(other.bits);
        let half = bits.subreg();
        Self::from_unsigned(
            bits,
            Range::new(bits.min(), self.u64.max.min(other.u64.max)),
            Range::new(crate::scalar::low(half.min()), self.u32.max.min(other.u32.max)),
        )
    }

    /// The maximum comes from the bits, the minimum is the greater of both.
    fn or(self, other: Self) -> Self {
        let bits = self.bits.or(other.bits);
        let half = bits.subreg();
        Self::from_unsigned(
            bits,
            Range::new(self.u64.min.max(other.u64.min), bits.max()),
            Range::new(self.u32.min.max(other.u32.min), crate::scalar::low(half.max())),
        )
    }

    fn xor(self, other: Self) -> Self {
        let bits = self.bits.xor(other.bits);
        let half = bits.subreg();
        Self::from_unsigned(
            bits,
            Range::new(bits.min(), bits.max()),
            Range::new(crate::scalar::low(half.min()), crate::scalar::low(half.max())),
        )
    }

    fn from_unsigned(bits: Tnum, u64: Range<u64>, u32: Range<u32>) -> Self {
        let s64 = u64.signed().unwrap_or(Range::<i64>::FULL);
        let s32 = u32.signed().unwrap_or(Range::<i32>::FULL);
        Self { bits, u64, s64, u32, s32 }
    }

    /// The count of a shift, if it is one number below the width (`is_safe_to_compute_dst_reg_range`).
    fn shift_count(self, width: Width) -> Option<u32> {
        let count = match width {
            Width::W64 => self.as_constant()?,
            Width::W32 => u64::from(self.as_constant32()?),
        };
        // The kernel compares the whole register also for a 32-bit shift.
        if self.u64.max >= u64::from(width.bits()) {
            return None;
        }
        u32::try_from(count).ok()
    }

    fn shift64(self, op: Op, count: u32) -> Self {
        match op {
            Op::Lsh => self.lsh64(count),
            Op::Rsh => Self {
                bits: self.bits.rshift(count),
                u64: Range::new(self.u64.min >> count, self.u64.max >> count),
                ..Self::UNKNOWN
            },
            _ => Self {
                bits: self.bits.arshift(count),
                s64: Range::new(self.s64.min >> count, self.s64.max >> count),
                ..Self::UNKNOWN
            },
        }
    }

    fn lsh64(self, count: u32) -> Self {
        // Half of the idiom that extends the lower half by its sign: `<<= 32`, `s>>= 32`. Earlier releases keep only
        // bounds that are not negative.
        let s64 = if count == 32 {
            Range::new(i64::from(self.s32.min) << 32, i64::from(self.s32.max) << 32)
        } else {
            Range::<i64>::FULL
        };
        let u64 = if self.u64.max > 1 << (63 - count) {
            Range::<u64>::FULL
        } else {
            Range::new(self.u64.min << count, self.u64.max << count)
        };
        Self { bits: self.bits.lshift(count), u64, s64, ..self.lsh_half(count) }
    }

    /// Ranges of the lower half after a shift to the left (`__scalar32_min_max_lsh`).
    fn lsh_half(self, count: u32) -> Self {
        let u32 = if count > 31 || self.u32.max > 1 << (31 - count) {
            Range::<u32>::FULL
        } else {
            Range::new(self.u32.min << count, self.u32.max << count)
        };
        Self { u32, ..Self::UNKNOWN }
    }

    fn shift32(self, op: Op, count: u32) -> Self {
        let half = self.bits.subreg();
        let mut result = match op {
            Op::Lsh => Self { bits: half.lshift(count).subreg(), ..self.lsh_half(count) },
            Op::Rsh => Self {
                bits: half.rshift(count),
                u32: Range::new(self.u32.min >> count, self.u32.max >> count),
                ..Self::UNKNOWN
            },
            _ => Self {
                bits: half.arshift32(count),
                s32: Range::new(self.s32.min >> count, self.s32.max >> count),
                ..Self::UNKNOWN
            },
        };
        result.update32_from_bits();
        result
    }
}
