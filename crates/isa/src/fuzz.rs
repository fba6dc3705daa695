//! A stream of choices taken from a fuzzer's bytes: what the random programs of several crates are made from.

/// Choices out of bytes; after the end every choice is zero.
#[derive(Debug, Clone)]
pub struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    /// Choices out of `data`.
    pub const fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    /// Whether all bytes were used.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte.
    pub fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// The next four bytes as a number.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|_| self.u8()))
    }

    /// The next eight bytes as a number.
    pub fn u64(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    /// A number below `bound`, 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let number = if bound <= 256 { usize::from(self.u8()) } else { self.u32() as usize };
        number.checked_rem(bound).unwrap_or(0)
    }

    /// True for one in `number` bytes; `number` is not 0. True after the end.
    pub fn one_in(&mut self, number: u8) -> bool {
        self.u8().is_multiple_of(number)
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Up to `most` of the bytes.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(most.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A number of 64 bits that is often near a border where arithmetic goes wrong.
    pub fn interesting(&mut self) -> i64 {
        const BORDERS: [u64; 12] =
            [0, 1, 31, 63, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 63, u64::MAX];
        match self.u8() % 4 {
            0 => i64::from(self.u8()),
            1 | 2 => self.pick(&BORDERS).wrapping_add(u64::from(self.u8() % 3)).wrapping_sub(1).cast_signed(),
            _ => i64::from_le_bytes(std::array::from_fn(|_| self.u8())),
        }
    }

    /// A number of 32 bits that is often near a border where arithmetic goes wrong.
    pub fn interesting_u32(&mut self) -> u32 {
        const BORDERS: [u32; 12] = [0, 1, 2, 31, 32, 0x7f, 0xff, 0x800, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
        match self.u8() % 4 {
            0 => u32::from(self.u8()),
            1 | 2 => self.pick(&BORDERS).wrapping_add(u32::from(self.u8() % 3)).wrapping_sub(1),
            _ => self.u32(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_the_bytes_in_order() {
        let mut bytes = Bytes::new(&[7, 1, 0, 0, 0, 9, 3, 3]);
        assert_eq!((bytes.below(5), bytes.u32(), bytes.take(1)), (2, 1, &[9][..]));
        assert_eq!((bytes.pick(&[10, 20]), bytes.one_in(2), bytes.is_empty()), (20, false, true));
        assert_eq!((bytes.u64(), bytes.below(0), bytes.below(1000), bytes.take(4)), (0, 0, 0, &[][..]));
        assert_eq!((bytes.interesting(), bytes.interesting_u32()), (0, 0));
    }
}
