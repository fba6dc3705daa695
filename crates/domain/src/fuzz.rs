//! Random tests as library functions: `cargo test` runs them for a second, a fuzzer without end.
//!
//! What lives here: concrete semantics of each operation, and a body that makes scalars with a known member out of bytes
//! and checks that every operation keeps the member. A body panics when an invariant is broken.

use crate::{Cond, Op, Range, Scalar, Tnum, Width};

/// The result of an operation of the instruction set (RFC 9669).
#[allow(clippy::cast_possible_truncation)] // 32-bit operations are on the lower halves.
pub const fn concrete(op: Op, left: u64, right: u64, width: Width) -> u64 {
    match width {
        Width::W64 => concrete64(op, left, right),
        Width::W32 => {
            let (l, r) = (left as u32, right as u32);
            let (sl, sr) = (l.cast_signed(), r.cast_signed());
            let result = match op {
                Op::Div => match l.checked_div(r) {
                    Some(quotient) => quotient,
                    None => 0,
                },
                Op::Mod => match l.checked_rem(r) {
                    Some(rest) => rest,
                    None => l,
                },
                Op::SDiv if sr == 0 => 0,
                Op::SDiv => sl.wrapping_div(sr).cast_unsigned(),
                Op::SMod if sr == 0 => l,
                Op::SMod => sl.wrapping_rem(sr).cast_unsigned(),
                Op::Lsh => l << (r & 31),
                Op::Rsh => l >> (r & 31),
                Op::Arsh => (sl >> (r & 31)).cast_unsigned(),
                Op::Add | Op::Sub | Op::Mul | Op::And | Op::Or | Op::Xor => concrete64(op, left, right) as u32,
            };
            result as u64
        }
    }
}

const fn concrete64(op: Op, left: u64, right: u64) -> u64 {
    let (signed, divisor) = (left.cast_signed(), right.cast_signed());
    match op {
        Op::Add => left.wrapping_add(right),
        Op::Sub => left.wrapping_sub(right),
        Op::Mul => left.wrapping_mul(right),
        Op::Div => match left.checked_div(right) {
            Some(quotient) => quotient,
            None => 0,
        },
        Op::Mod => match left.checked_rem(right) {
            Some(rest) => rest,
            None => left,
        },
        Op::SDiv if right == 0 => 0,
        Op::SDiv => signed.wrapping_div(divisor).cast_unsigned(),
        Op::SMod if right == 0 => left,
        Op::SMod => signed.wrapping_rem(divisor).cast_unsigned(),
        Op::And => left & right,
        Op::Or => left | right,
        Op::Xor => left ^ right,
        Op::Lsh => left << (right & 63),
        Op::Rsh => left >> (right & 63),
        Op::Arsh => (signed >> (right & 63)).cast_unsigned(),
    }
}

/// Bytes that are turned into choices; zeros follow them.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A number that is often near a place where something happens.
    fn number(&mut self) -> u64 {
        let near = u64::from(self.byte() % 8).wrapping_sub(4);
        match self.byte() % 8 {
            0 => near,
            1 => near.wrapping_add(1 << 31),
            2 => near.wrapping_add(1 << 32),
            3 => near.wrapping_add(1 << 63),
            4 => near.wrapping_add(1 << (self.byte() % 64)),
            5 => u64::from(self.byte()),
            6 => self.word() & 0xffff_ffff,
            _ => self.word(),
        }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()]
    }

    fn width(&mut self) -> Width {
        self.pick(&[Width::W32, Width::W64])
    }

    /// A scalar and a member of it.
    fn scalar(&mut self) -> (Scalar, u64) {
        let member = self.number();
        let half = crate::scalar::low(member);
        let kind = self.byte();
        if kind & 3 == 0 {
            return (Scalar::constant(member), member);
        }
        let mut parts = Scalar::UNKNOWN;
        if kind & 4 != 0 {
            parts.bits = Tnum::new(member, self.number());
        }
        if kind & 8 != 0 {
            let (a, b) = (self.number(), self.number());
            parts.u64 = Range::new(a.min(b).min(member), a.max(b).max(member));
        }
        if kind & 16 != 0 {
            let (a, b, m) = (self.number().cast_signed(), self.number().cast_signed(), member.cast_signed());
            parts.s64 = Range::new(a.min(b).min(m), a.max(b).max(m));
        }
        if kind & 32 != 0 {
            let (a, b) = (crate::scalar::low(self.number()), crate::scalar::low(self.number()));
            parts.u32 = Range::new(a.min(b).min(half), a.max(b).max(half));
        }
        if kind & 64 != 0 {
            let m = half.cast_signed();
            let a = crate::scalar::low(self.number()).cast_signed();
            parts.s32 = Range::new(a.min(m), a.max(m));
        }
        (parts.synced(), member)
    }
}

/// A chain of operations on a scalar and a member of it, both chosen by the bytes.
///
/// # Panics
/// If an operation loses the member.
pub fn soundness(bytes: &[u8]) {
    let mut source = Source(bytes);
    let (mut scalar, mut member) = source.scalar();
    assert!(scalar.contains(member), "{scalar} has lost {member:#x} at the start");
    while !source.0.is_empty() {
        let before = scalar;
        let at = member;
        let (other, second) = source.scalar();
        let what = step(&mut source, &mut scalar, &mut member, other, second);
        assert!(
            scalar.contains(member),
            "{what}: {before} with {at:#x}, {other} with {second:#x} -> {scalar} without {member:#x}"
        );
        assert!(scalar.is_consistent(), "{what}: {scalar} is empty");
    }
}

fn step(source: &mut Source, scalar: &mut Scalar, member: &mut u64, other: Scalar, second: u64) -> String {
    let width = source.width();
    match source.byte() % 16 {
        0..8 => {
            let op = source.pick(&Op::ALL);
            *scalar = scalar.alu(op, other, width);
            *member = concrete(op, *member, second, width);
            format!("{op:?} {width:?}")
        }
        8..11 => {
            let cond = source.pick(&Cond::ALL);
            let holds = cond.holds(*member, second, width);
            let taken = if holds { cond } else { cond.negated() };
            let decided = scalar.decide(cond, other, width);
            assert!(
                decided.is_none_or(|known| known == holds),
                "{cond:?} {width:?} of {scalar} and {other}: {decided:?}"
            );
            let refined = scalar.refine(taken, other, width);
            let (left, right) = refined.unwrap_or_else(|| panic!("{scalar} {taken:?} {other} {width:?} is possible"));
            assert!(right.contains(second), "{taken:?} {width:?}: {other} has become {right} without {second:#x}");
            *scalar = left;
            format!("{taken:?} {width:?}")
        }
        11 => {
            let size = source.pick(&[1, 2, 4, 8]);
            *scalar = scalar.truncated(size);
            *member &= u64::MAX >> (64 - size * 8);
            format!("truncated {size}")
        }
        12 => {
            let size = source.pick(&[1, 2, 4]);
            *scalar = scalar.sign_extended(size);
            *member = (member.cast_signed() << (64 - size * 8) >> (64 - size * 8)).cast_unsigned();
            format!("sign_extended {size}")
        }
        13 => {
            let size = source.pick(&[1, 2]);
            *scalar = scalar.sign_extended32(size);
            let half = crate::scalar::low(*member).cast_signed();
            *member = u64::from((half << (32 - size * 8) >> (32 - size * 8)).cast_unsigned());
            format!("sign_extended32 {size}")
        }
        14 => {
            *scalar = scalar.neg(width);
            *member = concrete(Op::Sub, 0, *member, width);
            format!("neg {width:?}")
        }
        _ => {
            let wide = scalar.widen(other);
            let joined = scalar.union(other);
            assert!(joined.contains(second) && joined.includes(*scalar) && joined.includes(other), "union");
            assert!(wide.includes(joined), "widen gives less than union");
            *scalar = if source.byte() & 1 == 0 { joined } else { wide };
            "union".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::soundness;

    #[test]
    fn smoke() {
        skep_random::random_test(|u| {
            soundness(u.bytes(u.len().min(400))?);
            Ok(())
        })
        .budget_ms(1_000);
    }
}
