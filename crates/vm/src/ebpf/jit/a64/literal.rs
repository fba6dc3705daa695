//! Constants of 64 bits in registers.

use super::code::Code;
use super::immediate::BitmaskImm;
use super::register::{Reg, RegOrZr, Width, ZR};

/// 16 bits of a register that a move can set: for 32 bits one of two, for 64 bits one of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quarter {
    width: Width,
    index: u8,
}

impl Quarter {
    /// Bits `16 * index` to `16 * index + 15`; none if they are beyond the width.
    pub(crate) const fn new(width: Width, index: u8) -> Option<Self> {
        if (index as u32) < width.bits() / 16 { Some(Self { width, index }) } else { None }
    }
}

/// The instruction that gives a register its first content.
#[derive(Debug, Clone, Copy)]
enum Start {
    /// `movz`: these bits in the quarter, zeros elsewhere.
    Zeros(Quarter, u16),
    /// `movn`: the inverse of that, over the width; the upper half is zero if that is 32 bits.
    Ones(Quarter, u16),
    /// `orr` with the zero register: a bit mask.
    Mask(BitmaskImm),
}

/// The 16 bits of a quarter of a register; 0 is the lowest.
fn quarter_of(value: u64, quarter: u8) -> u16 {
    (value >> (16 * quarter)) as u16
}

/// `value` with one quarter replaced.
fn with_quarter(value: u64, quarter: u8, bits: u16) -> u64 {
    value & !(0xffff << (16 * quarter)) | u64::from(bits) << (16 * quarter)
}

/// The quarters in which two values differ.
fn differing(left: u64, right: u64) -> impl Iterator<Item = u8> {
    (0..4).filter(move |&quarter| quarter_of(left, quarter) != quarter_of(right, quarter))
}

/// The cheapest start so far, with the register's content after it.
struct Search {
    value: u64,
    start: Start,
    content: u64,
    /// How many `movk` have to follow.
    rest: usize,
}

impl Search {
    fn offer(&mut self, start: Start, content: u64) {
        let rest = differing(content, self.value).count();
        if rest < self.rest {
            *self = Self { start, content, rest, ..*self };
        }
    }

    fn offer_mask(&mut self, width: Width, content: u64) {
        if let Some(mask) = BitmaskImm::new(width, content) {
            self.offer(Start::Mask(mask), content);
        }
    }

    /// Masks that differ from the value in one or two quarters.
    ///
    /// What a mask has in a quarter that is replaced later is free. If a mask exists at all, one exists whose free
    /// quarters are all zeros, all ones or copies of the others: a mask of elements up to 32 bits repeats its quarters,
    /// and a single run can be made to begin and end at borders of the free ones.
    fn offer_near_masks(&mut self) {
        let value = self.value;
        let fills = [0, u16::MAX].into_iter().chain((0..4).map(|quarter| quarter_of(value, quarter)));
        for first in 0..4 {
            for fill in fills.clone() {
                let near = with_quarter(value, first, fill);
                self.offer_mask(Width::X, near);
                for second in 0..first {
                    fills.clone().for_each(|fill| self.offer_mask(Width::X, with_quarter(near, second, fill)));
                }
            }
        }
    }
}

/// The start after which the fewest `movk` make `value` of the register's content, and that content.
fn cheapest(value: u64) -> (Start, u64) {
    let lowest = Quarter { width: Width::X, index: 0 };
    let bits = quarter_of(value, 0);
    let mut search = Search { value, start: Start::Zeros(lowest, bits), content: bits.into(), rest: usize::MAX };
    for (width, ones) in [(Width::X, u64::MAX), (Width::W, u32::MAX.into())] {
        for quarter in (0..4).filter_map(|index| Quarter::new(width, index)) {
            let bits = quarter_of(value, quarter.index);
            search.offer(Start::Zeros(quarter, bits), with_quarter(0, quarter.index, bits));
            search.offer(Start::Ones(quarter, !bits), with_quarter(ones, quarter.index, bits));
        }
    }
    if search.rest > 0 {
        search.offer_mask(Width::X, value);
        search.offer_mask(Width::W, value & u64::from(u32::MAX));
    }
    // With one `movk` or none to come a near mask, which needs one at least, gains nothing.
    if search.rest > 1 {
        search.offer_near_masks();
    }
    (search.start, search.content)
}

impl Code {
    /// Puts a constant into a register with as few of `movz`, `movn`, `movk` and `orr` as can make it: 1 to 4.
    pub(crate) fn load_immediate(&mut self, d: Reg, value: u64) {
        let (start, content) = cheapest(value);
        match start {
            Start::Zeros(quarter, bits) => self.movz(d, bits, quarter),
            Start::Ones(quarter, bits) => self.movn(d, bits, quarter),
            Start::Mask(mask) => self.orr_imm(d, ZR, mask),
        }
        for index in differing(content, value) {
            self.movk(d, quarter_of(value, index), Quarter { width: Width::X, index });
        }
    }

    /// `movz d, #bits, lsl #(16 * index)`: zeros in the other bits.
    pub(crate) fn movz(&mut self, d: impl Into<RegOrZr>, bits: u16, quarter: Quarter) {
        self.move_wide(0x5280_0000, d.into(), bits, quarter);
    }

    /// `movn d, #bits, lsl #(16 * index)`: the inverse of what `movz` gives, over the quarter's width.
    pub(crate) fn movn(&mut self, d: impl Into<RegOrZr>, bits: u16, quarter: Quarter) {
        self.move_wide(0x1280_0000, d.into(), bits, quarter);
    }

    /// `movk d, #bits, lsl #(16 * index)`: keeps the other bits of the quarter's width.
    pub(crate) fn movk(&mut self, d: impl Into<RegOrZr>, bits: u16, quarter: Quarter) {
        self.move_wide(0x7280_0000, d.into(), bits, quarter);
    }

    fn move_wide(&mut self, insn: u32, d: RegOrZr, bits: u16, quarter: Quarter) {
        let Quarter { width, index } = quarter;
        self.push(insn | width.sf() | u32::from(index) << 21 | u32::from(bits) << 5 | d.bits());
    }
}
