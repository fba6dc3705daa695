//! Immediates that exist only for some values, made by constructors that refuse the others.

use super::register::Width;

/// The immediate of `add`, `sub`, `cmp` and their kin: 12 bits, shifted left by 0 or 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddImm(u32);

impl AddImm {
    /// 0, which every such instruction can hold.
    pub(super) const ZERO: Self = Self(0);

    /// None unless `value` is below 4096, or a multiple of 4096 below 2^24.
    pub(crate) const fn new(value: u64) -> Option<Self> {
        match value {
            0..0x1000 => Some(Self((value as u32) << 10)),
            0x1000..0x100_0000 if value.is_multiple_of(0x1000) => Some(Self(1 << 22 | (value as u32 >> 12) << 10)),
            _ => None,
        }
    }

    /// The bits `sh:imm12` in their place.
    pub(super) fn bits(self) -> u32 {
        self.0
    }
}

/// The immediate of `and`, `orr`, `eor` and `ands`: a rotated run of ones in an element of 2, 4, 8, 16, 32 or 64 bits
/// that is repeated over the width. The width is part of the value, for the same bits mean another number in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BitmaskImm {
    width: Width,
    bits: u32,
}

impl BitmaskImm {
    /// None if `value` has no encoding; for 32 bits, also if it has one of the upper 32 bits set.
    ///
    /// The inverse of `DecodeBitMasks()` in the manual (DDI 0487, shared pseudocode).
    pub(crate) fn new(width: Width, value: u64) -> Option<Self> {
        // A pattern of 32 bits is the one of 64 bits that repeats it, except that its element may not be 64 bits.
        let value = match width {
            Width::X => value,
            Width::W => u64::from(u32::try_from(value).ok()?) * 0x1_0000_0001,
        };
        if value == 0 || value == u64::MAX {
            return None;
        }
        // The value repeats every `size` bits exactly if turning it by `size` changes nothing.
        let mut size = 64;
        while size > 2 && value.rotate_right(size / 2) == value {
            size /= 2;
        }
        let mask = u64::MAX >> (64 - size);
        // Turned so that the run begins at bit 0: first past the ones at the low end, which may be the run's tail.
        let tail = value.trailing_ones();
        let start = tail + value.rotate_right(tail).trailing_zeros();
        let element = value.rotate_right(start) & mask;
        let ones = element.count_ones();
        if element != u64::MAX >> (64 - ones) {
            return None;
        }
        // The hardware turns the run to the right by `immr`; it was found `start` bits to the left.
        let immr = start.wrapping_neg() & (size - 1);
        // Above the count, `imms` tells the element's size in unary, with `N` for 64 bits.
        let imms = (size.wrapping_neg() << 1 | (ones - 1)) & 0x3f;
        let n = u32::from(size == 64);
        Some(Self { width, bits: n << 22 | immr << 16 | imms << 10 })
    }

    /// The width that the value was made for.
    pub(crate) fn width(self) -> Width {
        self.width
    }

    /// The bits `N:immr:imms` in their place.
    pub(super) fn bits(self) -> u32 {
        self.bits
    }
}

/// A run of bits inside a register, for `ubfx` and `sbfx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bitfield {
    width: Width,
    lowest: u32,
    highest: u32,
}

impl Bitfield {
    /// `bits` bits from bit `lowest` upwards; none if that is no bit at all or beyond the width.
    pub(crate) fn new(width: Width, lowest: u8, bits: u8) -> Option<Self> {
        let (lowest, end) = (u32::from(lowest), u32::from(lowest) + u32::from(bits));
        (bits > 0 && end <= width.bits()).then_some(Self { width, lowest, highest: end.saturating_sub(1) })
    }

    /// The width that the run was made for.
    pub(super) fn width(self) -> Width {
        self.width
    }

    /// The bits `immr:imms` in their place.
    pub(super) fn bits(self) -> u32 {
        self.lowest << 16 | self.highest << 10
    }
}
