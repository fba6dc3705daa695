//! A stream of choices taken from the fuzzer's bytes.

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

    /// A number below `bound`, at most 255; 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.u8()).checked_rem(bound).unwrap_or(0)
    }

    /// True for one in `number` bytes; `number` is not 0. True after the end.
    pub fn one_in(&mut self, number: u8) -> bool {
        self.u8().is_multiple_of(number)
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A number that is often near a border where arithmetic goes wrong.
    pub fn interesting(&mut self) -> i64 {
        const BORDERS: [u64; 12] =
            [0, 1, 31, 63, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 63, u64::MAX];
        match self.u8() % 4 {
            0 => i64::from(self.u8()),
            1 | 2 => self.pick(&BORDERS).wrapping_add(u64::from(self.u8() % 3)).wrapping_sub(1).cast_signed(),
            _ => i64::from_le_bytes(std::array::from_fn(|_| self.u8())),
        }
    }
}
