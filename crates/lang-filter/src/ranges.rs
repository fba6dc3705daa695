//! Sets of 32-bit numbers as sorted, disjoint, non-adjacent ranges.
//!
//! Every test of a filter against constants is membership in such a set: equality, order, a prefix, a list of ports.

use std::fmt;

/// A set of `u32`, kept in normal form: equal sets compare equal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RangeSet {
    ranges: Vec<(u32, u32)>,
}

impl fmt::Debug for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, &(lo, hi)) in self.ranges.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            if lo == hi {
                write!(f, "{comma}{lo:#x}")?;
            } else {
                write!(f, "{comma}{lo:#x}..{hi:#x}")?;
            }
        }
        f.write_str("}")
    }
}

impl RangeSet {
    /// The set without members.
    pub const EMPTY: Self = Self { ranges: Vec::new() };

    /// One number.
    pub fn single(v: u32) -> Self {
        Self::range(v, v)
    }
    /// `lo` to `hi`, both included; empty if `lo > hi`.
    pub fn range(lo: u32, hi: u32) -> Self {
        Self { ranges: if lo <= hi { vec![(lo, hi)] } else { Vec::new() } }
    }
    /// The union of any ranges, in any order.
    pub fn from_ranges(mut ranges: Vec<(u32, u32)>) -> Self {
        ranges.retain(|&(lo, hi)| lo <= hi);
        ranges.sort_unstable();
        let mut out: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (lo, hi) in ranges {
            match out.last_mut() {
                Some(last) if lo <= last.1.saturating_add(1) => last.1 = last.1.max(hi),
                _ => out.push((lo, hi)),
            }
        }
        Self { ranges: out }
    }
    /// The ranges, ascending.
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }
    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
    /// Whether every number is a member.
    pub fn is_full(&self) -> bool {
        self.ranges == [(0, u32::MAX)]
    }
    /// The only member, if there is exactly one.
    pub fn as_single(&self) -> Option<u32> {
        match self.ranges[..] {
            [(lo, hi)] if lo == hi => Some(lo),
            _ => None,
        }
    }
    /// Whether `v` is a member.
    pub fn contains(&self, v: u32) -> bool {
        let i = self.ranges.partition_point(|&(_, hi)| hi < v);
        self.ranges.get(i).is_some_and(|&(lo, _)| lo <= v)
    }
    /// Members of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = Vec::with_capacity(self.ranges.len() + other.ranges.len());
        all.extend_from_slice(&self.ranges);
        all.extend_from_slice(&other.ranges);
        Self::from_ranges(all)
    }
    /// Members of both.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let mut out = Vec::new();
        let (mut i, mut j) = (0, 0);
        while let (Some(&(a, b)), Some(&(c, d))) = (self.ranges.get(i), other.ranges.get(j)) {
            let (lo, hi) = (a.max(c), b.min(d));
            if lo <= hi {
                out.push((lo, hi));
            }
            if b < d {
                i += 1;
            } else {
                j += 1;
            }
        }
        Self { ranges: out }
    }
    /// All other numbers.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut out = Vec::with_capacity(self.ranges.len() + 1);
        let mut next = Some(0u32);
        for &(lo, hi) in &self.ranges {
            if let Some(start) = next
                && start < lo
            {
                out.push((start, lo - 1));
            }
            next = hi.checked_add(1);
        }
        if let Some(start) = next {
            out.push((start, u32::MAX));
        }
        Self { ranges: out }
    }
    /// Members that `other` does not have.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.intersect(&other.complement())
    }
    /// Whether every member of this set is one of `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.ranges.iter().all(|&(lo, hi)| {
            let i = other.ranges.partition_point(|&(_, h)| h < lo);
            other.ranges.get(i).is_some_and(|&(l, h)| l <= lo && hi <= h)
        })
    }
    /// Whether there is no common member.
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.intersect(other).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::RangeSet;

    /// Sets over 0..=9 plus the two ends of the number range, from a bit mask.
    fn set(mask: u32) -> RangeSet {
        let point = |i: u32| if i < 8 { i } else { u32::MAX - (9 - i) };
        RangeSet::from_ranges((0..10).filter(|i| mask >> i & 1 == 1).map(|i| (point(i), point(i))).collect())
    }

    #[test]
    fn operations_agree_with_bit_masks() {
        for a in 0..1 << 10 {
            let complement = set(a).complement();
            assert_eq!(complement.complement(), set(a));
            assert!(complement.is_disjoint(&set(a)));
            for b in (0..1 << 10).step_by(37) {
                assert_eq!(set(a).union(&set(b)), set(a | b));
                assert_eq!(set(a).intersect(&set(b)), set(a & b));
                assert_eq!(set(a).minus(&set(b)), set(a & !b));
                assert_eq!(set(a).is_subset(&set(b)), a & !b == 0);
            }
        }
        assert!(RangeSet::EMPTY.complement().is_full());
        assert!(RangeSet::range(0, u32::MAX).complement().is_empty());
    }
}
