//! Comparisons: which way a branch goes, and what is known behind it (`is_branch_taken`, `reg_set_min_max`).

use crate::scalar::low;
use crate::{Range, Scalar, Tnum, Width};

/// Comparisons of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cond {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Unsigned less.
    Lt,
    /// Unsigned less or equal.
    Le,
    /// Unsigned greater.
    Gt,
    /// Unsigned greater or equal.
    Ge,
    /// Signed less.
    SLt,
    /// Signed less or equal.
    SLe,
    /// Signed greater.
    SGt,
    /// Signed greater or equal.
    SGe,
    /// A bit is set in both.
    Set,
    /// No bit is set in both.
    Clear,
}

impl Cond {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Eq,
        Self::Ne,
        Self::Lt,
        Self::Le,
        Self::Gt,
        Self::Ge,
        Self::SLt,
        Self::SLe,
        Self::SGt,
        Self::SGe,
        Self::Set,
        Self::Clear,
    ];

    /// The comparison that holds when this one does not.
    #[must_use]
    pub const fn negated(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
            Self::SLt => Self::SGe,
            Self::SLe => Self::SGt,
            Self::SGt => Self::SLe,
            Self::SGe => Self::SLt,
            Self::Set => Self::Clear,
            Self::Clear => Self::Set,
        }
    }

    /// Whether it holds for two numbers, or for their lower halves.
    pub const fn holds(self, left: u64, right: u64, width: Width) -> bool {
        let (left, right) = match width {
            Width::W64 => (left, right),
            Width::W32 => (low(left) as u64, low(right) as u64),
        };
        let (s_left, s_right) = match width {
            Width::W64 => (left.cast_signed(), right.cast_signed()),
            Width::W32 => (low(left).cast_signed() as i64, low(right).cast_signed() as i64),
        };
        match self {
            Self::Eq => left == right,
            Self::Ne => left != right,
            Self::Lt => left < right,
            Self::Le => left <= right,
            Self::Gt => left > right,
            Self::Ge => left >= right,
            Self::SLt => s_left < s_right,
            Self::SLe => s_left <= s_right,
            Self::SGt => s_left > s_right,
            Self::SGe => s_left >= s_right,
            Self::Set => left & right != 0,
            Self::Clear => left & right == 0,
        }
    }
}

/// One width of a scalar, in the wider types.
struct View {
    bits: Tnum,
    unsigned: Range<u64>,
    signed: Range<i64>,
}

impl Scalar {
    fn view(self, width: Width) -> View {
        match width {
            Width::W64 => View { bits: self.bits, unsigned: self.u64, signed: self.s64 },
            Width::W32 => View {
                bits: self.bits.subreg(),
                unsigned: Range::new(self.u32.min.into(), self.u32.max.into()),
                signed: Range::new(self.s32.min.into(), self.s32.max.into()),
            },
        }
    }

    /// The number of this width, if it is one (`is_reg_const`).
    const fn constant_of(self, width: Width) -> Option<u64> {
        match width {
            Width::W64 => self.as_constant(),
            Width::W32 => match self.as_constant32() {
                Some(number) => Some(number as u64),
                None => None,
            },
        }
    }

    /// Whether a comparison always or never holds, `None` if both may be (`is_scalar_branch_taken`).
    ///
    /// Differing bits decide equality since 6.18 only, and before 6.8 only comparisons with one number are decided.
    pub fn decide(self, cond: Cond, other: Self, width: Width) -> Option<bool> {
        let (left, right) = (self.view(width), other.view(width));
        let (u, v) = (left.unsigned, right.unsigned);
        let (s, t) = (left.signed, right.signed);
        match cond {
            Cond::Eq if left.bits.is_constant() && right.bits.is_constant() => Some(left.bits == right.bits),
            Cond::Eq => self.differs(other, width).then_some(false),
            Cond::Set => {
                // One operand has to be a number.
                let (bits, number) = match (other.constant_of(width), self.constant_of(width)) {
                    (Some(number), _) => (left.bits, number),
                    (None, Some(number)) => (right.bits, number),
                    (None, None) => return None,
                };
                if bits.value() & number != 0 { Some(true) } else { (bits.max() & number == 0).then_some(false) }
            }
            Cond::Gt => ordered(u.min > v.max, u.max <= v.min),
            Cond::Ge => ordered(u.min >= v.max, u.max < v.min),
            Cond::SGt => ordered(s.min > t.max, s.max <= t.min),
            Cond::SGe => ordered(s.min >= t.max, s.max < t.min),
            Cond::Ne | Cond::Clear | Cond::Lt | Cond::Le | Cond::SLt | Cond::SLe => {
                self.decide(cond.negated(), other, width).map(|holds| !holds)
            }
        }
    }

    fn differs(self, other: Self, width: Width) -> bool {
        let (left, right) = (self.view(width), other.view(width));
        !left.bits.overlaps(right.bits)
            || left.unsigned.intersect(right.unsigned).is_empty()
            || left.signed.intersect(right.signed).is_empty()
            || self.u32.intersect(other.u32).is_empty()
            || self.s32.intersect(other.s32).is_empty()
    }

    /// What is known about both operands where a comparison holds; `None` if it cannot hold.
    ///
    /// A second operand that is not one number is refined since 6.8.
    pub fn refine(self, cond: Cond, other: Self, width: Width) -> Option<(Self, Self)> {
        match self.decide(cond, other, width) {
            Some(true) => return Some((self, other)),
            Some(false) => return None,
            None => {}
        }
        let (mut left, mut right) = (self, other);
        match cond {
            Cond::Gt => less(&mut right, &mut left, width, 1),
            Cond::Ge => less(&mut right, &mut left, width, 0),
            Cond::Lt => less(&mut left, &mut right, width, 1),
            Cond::Le => less(&mut left, &mut right, width, 0),
            Cond::SGt => signed_less(&mut right, &mut left, width, 1),
            Cond::SGe => signed_less(&mut right, &mut left, width, 0),
            Cond::SLt => signed_less(&mut left, &mut right, width, 1),
            Cond::SLe => signed_less(&mut left, &mut right, width, 0),
            Cond::Eq => equal(&mut left, &mut right, width),
            Cond::Ne | Cond::Set | Cond::Clear => {
                if let Some(number) = right.constant_of(width) {
                    left.refine_with(cond, number, width);
                } else if let Some(number) = left.constant_of(width) {
                    right.refine_with(cond, number, width);
                }
            }
        }
        let (left, right) = (left.synced(), right.synced());
        (left.is_consistent() && right.is_consistent()).then_some((left, right))
    }

    /// The comparisons that tell something about an operand only if the other is one number.
    fn refine_with(&mut self, cond: Cond, number: u64, width: Width) {
        match (cond, width) {
            (Cond::Ne, Width::W64) => {
                shrink(&mut self.u64, number, 1);
                shrink(&mut self.s64, number.cast_signed(), 1);
            }
            (Cond::Ne, Width::W32) => {
                shrink(&mut self.u32, low(number), 1);
                shrink(&mut self.s32, low(number).cast_signed(), 1);
            }
            (Cond::Set, _) if number.is_power_of_two() => self.bits = self.bits.or(Tnum::constant(number)),
            (Cond::Clear, _) => {
                // The ranges are forgotten before bits are learnt (Linux 6.17), lest they contradict on a dead path.
                let cleared = Self { bits: self.bits.and(Tnum::constant(!number)), ..Self::UNKNOWN };
                *self = cleared;
            }
            _ => {}
        }
    }
}

const fn ordered(always: bool, never: bool) -> Option<bool> {
    if always {
        Some(true)
    } else if never {
        Some(false)
    } else {
        None
    }
}

/// `left < right` for a `gap` of 1, `left <= right` for 0. Called where neither is certain, so nothing wraps around.
fn less(left: &mut Scalar, right: &mut Scalar, width: Width, gap: u32) {
    match width {
        Width::W64 => {
            left.u64.max = left.u64.max.min(right.u64.max.saturating_sub(gap.into()));
            right.u64.min = right.u64.min.max(left.u64.min.saturating_add(gap.into()));
        }
        Width::W32 => {
            left.u32.max = left.u32.max.min(right.u32.max.saturating_sub(gap));
            right.u32.min = right.u32.min.max(left.u32.min.saturating_add(gap));
        }
    }
}

/// The same for signed numbers.
fn signed_less(left: &mut Scalar, right: &mut Scalar, width: Width, gap: i32) {
    match width {
        Width::W64 => {
            left.s64.max = left.s64.max.min(right.s64.max.saturating_sub(gap.into()));
            right.s64.min = right.s64.min.max(left.s64.min.saturating_add(gap.into()));
        }
        Width::W32 => {
            left.s32.max = left.s32.max.min(right.s32.max.saturating_sub(gap));
            right.s32.min = right.s32.min.max(left.s32.min.saturating_add(gap));
        }
    }
}

fn equal(left: &mut Scalar, right: &mut Scalar, width: Width) {
    match width {
        Width::W64 => {
            left.u64 = left.u64.intersect(right.u64);
            left.s64 = left.s64.intersect(right.s64);
            left.bits = left.bits.intersect(right.bits);
            (right.u64, right.s64, right.bits) = (left.u64, left.s64, left.bits);
        }
        Width::W32 => {
            left.u32 = left.u32.intersect(right.u32);
            left.s32 = left.s32.intersect(right.s32);
            (right.u32, right.s32) = (left.u32, left.s32);
            let half = left.bits.subreg().intersect(right.bits.subreg());
            left.bits = left.bits.with_subreg(half);
            right.bits = right.bits.with_subreg(half);
        }
    }
}

/// Takes a number away that is at an end of a range. A range of this one number alone was decided before.
fn shrink<T>(range: &mut Range<T>, number: T, one: T)
where
    T: Copy + Ord + std::ops::AddAssign + std::ops::SubAssign,
{
    if range.min == range.max {
        return;
    }
    if range.min == number {
        range.min += one;
    }
    if range.max == number {
        range.max -= one;
    }
}
