//! Extensions, truncation and loads.

use crate::scalar::low;
use crate::{Range, Scalar, Tnum};

impl Scalar {
    /// The lower half as a number of 64 bits (`zext_32_to_64`): what every 32-bit operation gives.
    #[must_use]
    pub fn zero_extended(self) -> Self {
        let u64 = Range::new(u64::from(self.u32.min), u64::from(self.u32.max));
        let s64 = if self.s32.min >= 0 && self.s32.max >= 0 {
            Range::new(i64::from(self.s32.min), i64::from(self.s32.max))
        } else {
            Range::new(0, i64::from(u32::MAX))
        };
        Self { bits: self.bits.subreg(), u64, s64, ..self }
    }

    /// A 32-bit move: the lower half, with all that follows.
    #[must_use]
    pub fn low_half(self) -> Self {
        self.zero_extended().synced()
    }

    /// The lowest 1, 2, 4 or 8 bytes, the rest 0 (`coerce_reg_to_size`): a short load of a known value.
    #[must_use]
    pub fn truncated(mut self, bytes: u32) -> Self {
        if bytes >= 8 {
            return self;
        }
        self.bits = self.bits.cast(bytes);
        let mask = (1u64 << (bytes * 8)) - 1;
        self.u64 = if self.u64.min & !mask == self.u64.max & !mask {
            Range::new(self.u64.min & mask, self.u64.max & mask)
        } else {
            Range::new(0, mask)
        };
        self.s64 = Range::new(self.u64.min.cast_signed(), self.u64.max.cast_signed());
        if bytes < 4 {
            self.u32 = Range::<u32>::FULL;
            self.s32 = Range::<i32>::FULL;
        }
        self.synced()
    }

    /// The lowest 1, 2 or 4 bytes, extended by their sign to 64 bits (`coerce_reg_to_size_sx`).
    #[must_use]
    pub fn sign_extended(self, bytes: u32) -> Self {
        if bytes >= 8 {
            return self;
        }
        let bits = bytes * 8;
        let extend = |number: i64| number.wrapping_shl(64 - bits).wrapping_shr(64 - bits);
        if let Some(number) = self.as_constant() {
            return Self::constant(extend(number.cast_signed()).cast_unsigned());
        }
        let (first, last) = (extend(self.s64.min), extend(self.s64.max));
        if self.s64.min >> bits == self.s64.max >> bits && (first >= 0) == (last >= 0) {
            let s64 = Range::new(first.min(last), first.max(last));
            let u64 = Range::new(s64.min.cast_unsigned(), s64.max.cast_unsigned());
            let u32 = Range::new(low(u64.min), low(u64.max));
            let s32 = Range::new(u32.min.cast_signed(), u32.max.cast_signed());
            return Self { bits: Tnum::range(u64.min, u64.max), u64, s64, u32, s32 };
        }
        let end = 1i64 << (bits - 1);
        let half = Range::new(low((-end).cast_unsigned()).cast_signed(), low((end - 1).cast_unsigned()).cast_signed());
        Self { s64: Range::new(-end, end - 1), s32: half, ..Self::UNKNOWN }
    }

    /// The lowest 1 or 2 bytes, extended by their sign to 32 bits, the upper half 0 (`coerce_subreg_to_size_sx`).
    #[must_use]
    pub fn sign_extended32(self, bytes: u32) -> Self {
        if bytes >= 4 {
            return self.low_half();
        }
        let bits = bytes * 8;
        let extend = |number: i32| number.wrapping_shl(32 - bits).wrapping_shr(32 - bits);
        if let Some(number) = self.as_constant() {
            return Self::constant(u64::from(extend(low(number).cast_signed()).cast_unsigned()));
        }
        let (first, last) = (extend(self.s32.min), extend(self.s32.max));
        if self.s32.min >> bits == self.s32.max >> bits && (first >= 0) == (last >= 0) {
            let s32 = Range::new(first.min(last), first.max(last));
            let u32 = Range::new(s32.min.cast_unsigned(), s32.max.cast_unsigned());
            let bits = Tnum::range(u32.min.into(), u32.max.into());
            return Self { bits, u32, s32, ..self }.zero_extended().synced();
        }
        let end = 1i32 << (bits - 1);
        Self { s32: Range::new(-end, end - 1), ..Self::UNKNOWN }.zero_extended().synced()
    }

    /// What a load of 1, 2, 4 or 8 bytes gives, extended by zeros or by the sign to 64 bits.
    pub fn load(bytes: u32, signed: bool) -> Self {
        if signed { Self::UNKNOWN.sign_extended(bytes) } else { Self::UNKNOWN.truncated(bytes) }
    }
}
