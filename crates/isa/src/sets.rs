//! Sets of program types.

use std::fmt;

use crate::ProgType;

/// A set of program types, one bit for each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ProgSet(u64);

impl ProgSet {
    /// No program type.
    pub const NONE: Self = Self(0);
    /// Every program type.
    pub const ALL: Self = Self::of(ProgType::ALL);

    /// The set of these types.
    pub const fn of(types: &[ProgType]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < types.len() {
            bits |= 1 << types[index].number();
            index += 1;
        }
        Self(bits)
    }

    /// Whether the type is in the set.
    pub const fn contains(self, prog_type: ProgType) -> bool {
        self.0 >> prog_type.number() & 1 != 0
    }

    /// What is in this set and not in the other.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in one of the sets.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether no type is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Number of types in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The types, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = ProgType> {
        ProgType::ALL.iter().copied().filter(move |prog_type| self.contains(*prog_type))
    }
}

/// The names with commas between them; a set that lacks only a few types says which.
impl fmt::Display for ProgSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = Self::ALL.without(*self);
        let list = |set: Self| set.iter().map(ProgType::name).collect::<Vec<_>>().join(", ");
        match (self.len(), missing.len()) {
            (0, _) => f.write_str("none"),
            (_, 0) => f.write_str("all"),
            (_, 1..=8) => write!(f, "all but {}", list(missing)),
            _ => f.write_str(&list(*self)),
        }
    }
}

impl fmt::Debug for ProgSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProgSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in() {
        let set = ProgSet::of(&[ProgType::Xdp, ProgType::SchedCls]);
        assert!(set.contains(ProgType::Xdp) && !set.contains(ProgType::Kprobe));
        assert_eq!(set.iter().collect::<Vec<_>>(), [ProgType::SchedCls, ProgType::Xdp]);
        assert_eq!((set.to_string().as_str(), set.len()), ("sched_cls, xdp", 2));
        assert_eq!(ProgSet::ALL.without(set).to_string(), "all but sched_cls, xdp");
        assert_eq!((ProgSet::ALL.to_string().as_str(), ProgSet::NONE.to_string().as_str()), ("all", "none"));
        assert_eq!(ProgSet::ALL.without(set).union(set), ProgSet::ALL);
        assert!(ProgSet::NONE.is_empty() && !set.is_empty());
    }
}
