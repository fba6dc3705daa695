//! Ranges of integers of one type.

/// The numbers from `min` to `max`. With `min > max` it is empty: such a path of a program cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range<T> {
    /// The least number.
    pub min: T,
    /// The greatest number.
    pub max: T,
}

impl<T: Copy + Ord> Range<T> {
    /// From one number to another.
    pub const fn new(min: T, max: T) -> Self {
        Self { min, max }
    }

    /// One number.
    pub const fn constant(number: T) -> Self {
        Self { min: number, max: number }
    }

    /// Whether a number is in it.
    pub fn contains(self, number: T) -> bool {
        self.min <= number && number <= self.max
    }

    /// Whether all numbers of `other` are in it.
    pub fn includes(self, other: Self) -> bool {
        self.min <= other.min && other.max <= self.max
    }

    /// Whether there is no number in it.
    pub fn is_empty(self) -> bool {
        self.min > self.max
    }

    /// Whether there is one number in it.
    pub fn is_constant(self) -> bool {
        self.min == self.max
    }

    /// The numbers of both.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.min(other.max) }
    }

    /// The smallest range with the numbers of both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

macro_rules! shared {
    ($($ty:ty),+) => {$(
        impl Range<$ty> {
            /// All numbers of the type.
            pub const FULL: Self = Self { min: <$ty>::MIN, max: <$ty>::MAX };

            /// A range with the numbers of both, that stops growing: a bound which moved goes to the end of the type.
            #[must_use]
            pub fn widen(self, newer: Self) -> Self {
                Self {
                    min: if newer.min < self.min { <$ty>::MIN } else { self.min },
                    max: if newer.max > self.max { <$ty>::MAX } else { self.max },
                }
            }
        }
    )+};
}
shared!(u64, i64, u32, i32);

macro_rules! unsigned {
    ($($ty:ty => $signed:ty),+) => {$(
        #[allow(clippy::should_implement_trait)] // An operator would hide that the result is a set.
        impl Range<$ty> {
            /// Sums. If all of them wrap around, that is still a range (Linux 6.17; before, nothing is known then).
            #[must_use]
            pub fn add(self, other: Self) -> Self {
                let (min, min_wraps) = self.min.overflowing_add(other.min);
                let (max, max_wraps) = self.max.overflowing_add(other.max);
                if min_wraps == max_wraps { Self { min, max } } else { Self::FULL }
            }

            /// Differences; as for sums.
            #[must_use]
            pub fn sub(self, other: Self) -> Self {
                let (min, min_wraps) = self.min.overflowing_sub(other.max);
                let (max, max_wraps) = self.max.overflowing_sub(other.min);
                if min_wraps == max_wraps { Self { min, max } } else { Self::FULL }
            }

            /// Products, if none wraps around (Linux 6.14; before, only of halves and of numbers without sign).
            #[must_use]
            pub fn mul(self, other: Self) -> Self {
                match (self.min.checked_mul(other.min), self.max.checked_mul(other.max)) {
                    (Some(min), Some(max)) => Self { min, max },
                    _ => Self::FULL,
                }
            }

            /// The same numbers as signed ones, if they are a range: none is below 0 while another is not.
            pub fn signed(self) -> Option<Range<$signed>> {
                let (min, max) = (self.min.cast_signed(), self.max.cast_signed());
                (min <= max).then_some(Range { min, max })
            }
        }
    )+};
}
unsigned!(u64 => i64, u32 => i32);

macro_rules! signed {
    ($($ty:ty => $unsigned:ty),+) => {$(
        #[allow(clippy::should_implement_trait)] // As above.
        impl Range<$ty> {
            /// Sums, if none overflows.
            #[must_use]
            pub fn add(self, other: Self) -> Self {
                match (self.min.checked_add(other.min), self.max.checked_add(other.max)) {
                    (Some(min), Some(max)) => Self { min, max },
                    _ => Self::FULL,
                }
            }

            /// Differences, if none overflows.
            #[must_use]
            pub fn sub(self, other: Self) -> Self {
                match (self.min.checked_sub(other.max), self.max.checked_sub(other.min)) {
                    (Some(min), Some(max)) => Self { min, max },
                    _ => Self::FULL,
                }
            }

            /// Products, if none overflows (Linux 6.14).
            #[must_use]
            pub fn mul(self, other: Self) -> Self {
                let mut result: Option<Self> = None;
                for left in [self.min, self.max] {
                    for right in [other.min, other.max] {
                        let Some(product) = left.checked_mul(right) else { return Self::FULL };
                        let product = Self::constant(product);
                        result = Some(result.map_or(product, |known| known.union(product)));
                    }
                }
                result.unwrap_or(Self::FULL)
            }

            /// The same numbers as unsigned ones, if they are a range.
            pub fn unsigned(self) -> Option<Range<$unsigned>> {
                let (min, max) = (self.min.cast_unsigned(), self.max.cast_unsigned());
                (min <= max).then_some(Range { min, max })
            }
        }
    )+};
}
signed!(i64 => u64, i32 => u32);
