//! Units of positions in a program, as types that cannot be mixed up.

use std::fmt;

/// Position of an instruction slot, counted from 0. A 64-bit immediate load fills two slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct InsnIdx(pub u32);

/// Position of a byte in the encoded program, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ByteOff(pub u32);

impl InsnIdx {
    /// The position `index`; positions past the largest program that any executor accepts are clamped.
    pub fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The position as an index into a slice.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Where the slot starts in the encoded program, `None` beyond 4 GiB.
    pub const fn bytes(self) -> Option<ByteOff> {
        match self.0.checked_mul(8) {
            Some(bytes) => Some(ByteOff(bytes)),
            None => None,
        }
    }

    /// Target of a jump: the slot `distance` behind the following one, `None` before the start of the program.
    pub const fn target(self, distance: i32) -> Option<Self> {
        let target = self.0 as i64 + 1 + distance as i64;
        if target >= 0 && target <= u32::MAX as i64 { Some(Self(target as u32)) } else { None }
    }
}

impl ByteOff {
    /// The slot that starts here, `None` inside a slot.
    pub const fn insn(self) -> Option<InsnIdx> {
        if self.0.is_multiple_of(8) { Some(InsnIdx(self.0 / 8)) } else { None }
    }
}

impl fmt::Display for InsnIdx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions() {
        assert_eq!(InsnIdx(3).bytes(), Some(ByteOff(24)));
        assert_eq!(ByteOff(24).insn(), Some(InsnIdx(3)));
        assert_eq!(ByteOff(25).insn(), None);
        assert_eq!(InsnIdx(3).target(-4), Some(InsnIdx(0)));
        assert_eq!(InsnIdx(3).target(-5), None);
        assert_eq!(InsnIdx(3).target(0), Some(InsnIdx(4)));
        assert_eq!(InsnIdx(u32::MAX).bytes(), None);
    }
}
