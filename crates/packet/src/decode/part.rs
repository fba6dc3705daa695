//! A part of a packet: the bytes that were captured and how long it was on the wire. All decoders read through it.

use std::fmt;

/// The packet ends (because it was captured so, or sent so) before the bytes that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the packet is cut off here")
    }
}

impl std::error::Error for Cut {}

/// Some layer of a packet: captured bytes, and the length that the layer has (or claims to have) on the wire.
///
/// `len` is never less than `data.len()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// What was captured.
    pub data: &'a [u8],
    /// Length on the wire in bytes, at least `data.len()`.
    pub len: usize,
}

impl<'a> Part<'a> {
    /// A part of which `data` was captured. A wire length below the captured length is raised to it.
    #[must_use]
    pub fn new(data: &'a [u8], len: usize) -> Self {
        Self { data, len: len.max(data.len()) }
    }

    /// The byte at `at`.
    ///
    /// # Errors
    /// [`Cut`] if it was not captured.
    #[inline]
    pub fn u8(&self, at: usize) -> Result<u8, Cut> {
        self.data.get(at).copied().ok_or(Cut)
    }

    /// Two bytes at `at` as a big-endian number.
    ///
    /// # Errors
    /// [`Cut`] if they were not captured.
    #[inline]
    pub fn be16(&self, at: usize) -> Result<u16, Cut> {
        self.array(at).map(u16::from_be_bytes)
    }

    /// Four bytes at `at` as a big-endian number.
    ///
    /// # Errors
    /// [`Cut`] if they were not captured.
    #[inline]
    pub fn be32(&self, at: usize) -> Result<u32, Cut> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// Two bytes at `at` as a little-endian number.
    ///
    /// # Errors
    /// [`Cut`] if they were not captured.
    #[inline]
    pub fn le16(&self, at: usize) -> Result<u16, Cut> {
        self.array(at).map(u16::from_le_bytes)
    }

    /// `N` bytes at `at`.
    ///
    /// # Errors
    /// [`Cut`] if they were not captured.
    #[inline]
    pub fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], Cut> {
        self.data.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(Cut)
    }

    /// `n` bytes at `at`.
    ///
    /// # Errors
    /// [`Cut`] if they were not captured.
    #[inline]
    pub fn bytes(&self, at: usize, n: usize) -> Result<&'a [u8], Cut> {
        let end = at.checked_add(n).ok_or(Cut)?;
        self.data.get(at..end).ok_or(Cut)
    }

    /// What follows the first `n` bytes; empty if the part is not longer.
    #[inline]
    #[must_use]
    pub fn skip(&self, n: usize) -> Self {
        Self { data: self.data.get(n..).unwrap_or_default(), len: self.len.saturating_sub(n) }
    }

    /// The first `n` bytes at most.
    #[inline]
    #[must_use]
    pub fn limit(&self, n: usize) -> Self {
        if self.len <= n {
            return *self;
        }
        Self { data: self.data.get(..n).unwrap_or(self.data), len: n }
    }

    /// Like [`Part::limit`], but a claim of more bytes than the part has is kept as its length.
    #[inline]
    #[must_use]
    pub fn claim(&self, n: usize) -> Self {
        Self { data: self.data.get(..n).unwrap_or(self.data), len: n }
    }

    /// True if all bytes were captured.
    #[inline]
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.data.len() == self.len
    }
}

/// The Internet checksum (RFC 1071) over several pieces, each padded to 16 bits if it is the last.
///
/// The result over data that contains its own correct checksum is 0.
#[must_use]
pub fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum: u64 = 0;
    for piece in pieces {
        let mut words = piece.chunks_exact(2);
        for word in &mut words {
            sum += u64::from(u16::from_be_bytes([word[0], word[1]]));
        }
        if let [last] = words.remainder() {
            sum += u64::from(*last) << 8;
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_past_the_end_is_cut() {
        let part = Part::new(b"\x01\x02\x03", 10);
        assert_eq!(part.be16(1), Ok(0x0203));
        assert_eq!(part.be16(2), Err(Cut));
        assert_eq!(part.le16(0), Ok(0x0201));
        assert_eq!(part.be32(0), Err(Cut));
        assert_eq!(part.bytes(1, usize::MAX), Err(Cut));
        assert_eq!(part.array::<3>(0), Ok([1, 2, 3]));
        assert_eq!(part.u8(3), Err(Cut));
    }

    #[test]
    fn lengths_follow_the_bytes() {
        let part = Part::new(b"abcdef", 10);
        assert_eq!(part.skip(4), Part { data: b"ef", len: 6 });
        assert_eq!(part.skip(8), Part { data: b"", len: 2 });
        assert_eq!(part.skip(80), Part { data: b"", len: 0 });
        assert_eq!(part.limit(2), Part { data: b"ab", len: 2 });
        assert_eq!(part.limit(8), Part { data: b"abcdef", len: 8 });
        assert_eq!(part.limit(80), part);
        assert_eq!(part.claim(80).len, 80);
        assert!(part.limit(3).is_whole() && !part.is_whole());
        assert_eq!(Part::new(b"abc", 1).len, 3);
    }

    #[test]
    fn checksum_of_rfc_1071() {
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03], &[0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        assert_eq!(checksum(&[&[0xff, 0xff, 0x12]]), !0x1200);
        assert_eq!(checksum(&[]), 0xffff);
    }
}
