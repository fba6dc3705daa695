//! All small numbers: every set, every pair of sets, every pair of members.

use skep_domain::fuzz::concrete;
use skep_domain::{Cond, Op, Range, Scalar, Tnum, Width};

/// All tracked numbers of so many bits, the bits above known to be 0.
fn tnums(bits: u32) -> Vec<Tnum> {
    let end = 1u64 << bits;
    (0..end).flat_map(|mask| (0..end).filter(move |value| value & mask == 0).map(move |v| Tnum::new(v, mask))).collect()
}

fn members(set: Tnum, bits: u32) -> Vec<u64> {
    (0..1u64 << bits).filter(|&number| set.contains(number)).collect()
}

/// The best set for some numbers.
fn best(numbers: impl Iterator<Item = u64>) -> Tnum {
    numbers.map(Tnum::constant).reduce(Tnum::union).expect("no set is empty")
}

#[test]
fn tracked_numbers_are_sound_and_most_are_best() {
    const BITS: u32 = 4;
    type Case = (&'static str, fn(Tnum, Tnum) -> Tnum, fn(u64, u64) -> u64, bool);
    let cases: [Case; 6] = [
        ("add", Tnum::add, u64::wrapping_add, true),
        ("sub", Tnum::sub, u64::wrapping_sub, true),
        ("mul", Tnum::mul, u64::wrapping_mul, false),
        ("and", Tnum::and, |a, b| a & b, true),
        ("or", Tnum::or, |a, b| a | b, true),
        ("xor", Tnum::xor, |a, b| a ^ b, true),
    ];
    for left in tnums(BITS) {
        for right in tnums(BITS) {
            for (name, abstracted, function, optimal) in cases {
                let (l, r) = (members(left, BITS), members(right, BITS));
                let exact = best(l.iter().flat_map(|&a| r.iter().map(move |&b| function(a, b))));
                let found = abstracted(left, right);
                assert!(found.includes(exact), "{name} of {left} and {right}: {found} lacks {exact}");
                assert!(!optimal || found == exact, "{name} of {left} and {right}: {found}, best is {exact}");
            }
            let common = members(left, BITS).into_iter().filter(|&number| right.contains(number)).count();
            assert_eq!(left.overlaps(right), common > 0, "{left} and {right}");
            if common > 0 {
                assert_eq!(members(left.intersect(right), BITS).len(), common, "{left} and {right}");
            }
            assert_eq!(left.includes(right), common == members(right, BITS).len(), "{left} and {right}");
        }
    }
}

#[test]
fn the_next_number() {
    for set in tnums(4) {
        let all = members(set, 4);
        for number in 0..20 {
            let next = all.iter().copied().find(|&member| member > number).unwrap_or(set.max());
            assert_eq!(set.step(number), next, "{set} behind {number}");
        }
    }
}

#[test]
fn tracked_numbers_are_monotone() {
    const BITS: u32 = 3;
    let all = tnums(BITS);
    let operations = [Tnum::add, Tnum::sub, Tnum::mul, Tnum::and, Tnum::or, Tnum::xor, Tnum::union];
    for &left in &all {
        for &larger in all.iter().filter(|larger| larger.includes(left)) {
            for &right in &all {
                for (at, operation) in operations.iter().enumerate() {
                    let (less, more) = (operation(left, right), operation(larger, right));
                    assert!(more.includes(less), "operation {at}: {left} in {larger}, with {right}: {less}, {more}");
                }
            }
        }
    }
}

#[test]
fn ranges_of_bits() {
    for min in 0..64u64 {
        for max in min..64 {
            assert!(Tnum::range(min, max).includes(best(min..=max)), "{min}..{max}");
        }
    }
    assert_eq!(Tnum::range(0, u64::MAX), Tnum::UNKNOWN);
    assert_eq!(Tnum::range(4, 7), Tnum::new(4, 3));
    for set in tnums(4) {
        for size in [0, 1, 2, 4, 8] {
            let all = members(set, 4).iter().all(|number| size == 0 || number % size == 0);
            assert_eq!(set.is_aligned(size), all, "{set} {size}");
        }
        for count in [0, 1, 3, 31, 32, 63, 64, 100] {
            for number in members(set, 4) {
                let number = number << 60 | number << 28;
                let wide = Tnum::new(set.value() << 60 | set.value() << 28, set.mask() << 60 | set.mask() << 28);
                assert!(wide.rshift(count).contains(number.checked_shr(count).unwrap_or(0)));
                assert!(wide.lshift(count).contains(number.checked_shl(count).unwrap_or(0)));
                assert!(wide.arshift(count).contains((number.cast_signed() >> count.min(63)).cast_unsigned()));
                let half = u32::try_from(number & 0xffff_ffff).expect("a half").cast_signed();
                assert!(wide.arshift32(count).contains((half >> count.min(31)).cast_unsigned().into()));
            }
        }
    }
}

/// Ranges around places where signs and halves change.
fn scalars() -> Vec<(Scalar, Vec<u64>)> {
    let mut found = Vec::new();
    for middle in [0u64, 1 << 31, 1 << 32, 1 << 63] {
        let low = middle.wrapping_sub(2).cast_signed();
        for first in 0..4i64 {
            for last in first..4 {
                let (first, last) = (low.wrapping_add(first), low.wrapping_add(last));
                let numbers: Vec<u64> = (0..4)
                    .map(|step| first.wrapping_add(step))
                    .take_while(|number| *number != last.wrapping_add(1))
                    .map(i64::cast_unsigned)
                    .collect();
                let set = numbers.iter().map(|&number| Scalar::constant(number)).reduce(Scalar::union);
                found.push((set.expect("a number"), numbers));
            }
        }
    }
    found
}

#[test]
fn scalars_at_the_edges_are_sound() {
    let all = scalars();
    for (left, l) in &all {
        for (right, r) in &all {
            for width in [Width::W32, Width::W64] {
                for op in Op::ALL {
                    let result = left.alu(op, *right, width);
                    for (&a, &b) in l.iter().flat_map(|a| r.iter().map(move |b| (a, b))) {
                        let number = concrete(op, a, b, width);
                        assert!(result.contains(number), "{op:?} {width:?} {left} {right}: {result} lacks {number:#x}");
                    }
                }
                for cond in Cond::ALL {
                    check_comparison(cond, width, (left, l), (right, r));
                }
            }
        }
    }
}

fn check_comparison(cond: Cond, width: Width, (left, l): (&Scalar, &[u64]), (right, r): (&Scalar, &[u64])) {
    let refined = left.refine(cond, *right, width);
    let decided = left.decide(cond, *right, width);
    for &a in l {
        for &b in r {
            let holds = cond.holds(a, b, width);
            assert_eq!(holds, !cond.negated().holds(a, b, width));
            assert!(decided.is_none_or(|known| known == holds), "{left} {cond:?} {right} {width:?}: {decided:?}");
            if holds {
                let (x, y) = refined.unwrap_or_else(|| panic!("{left} {cond:?} {right} {width:?} is possible"));
                assert!(
                    x.contains(a) && y.contains(b),
                    "{left} {cond:?} {right} {width:?}: {x} {y} without {a:#x} {b:#x}"
                );
            }
        }
    }
}

#[test]
fn conversions_at_the_edges_are_sound() {
    for (set, numbers) in scalars() {
        for number in numbers {
            for size in [1u32, 2, 4, 8] {
                let shift = 64 - size * 8;
                assert!(set.truncated(size).contains(number << shift >> shift), "{set} {size}");
                let signed = (number.cast_signed() << shift >> shift).cast_unsigned();
                assert!(set.sign_extended(size).contains(signed), "{set} {size}");
                if size <= 4 {
                    assert!(set.sign_extended32(size).contains(signed & 0xffff_ffff), "{set} {size}");
                }
            }
            assert!(set.low_half().contains(number & 0xffff_ffff));
            assert!(set.neg(Width::W64).contains(number.wrapping_neg()));
            assert!(set.neg(Width::W32).contains(number.wrapping_neg() & 0xffff_ffff));
        }
    }
}

#[test]
fn common_states() {
    // By the rules of Linux 6.18; `tests/kernel.rs` asks the kernel itself.
    let byte = Scalar::load(1, false);
    assert_eq!(byte.to_string(), "0..255");
    let doubled = byte.alu(Op::Lsh, Scalar::constant(1), Width::W64);
    assert_eq!(doubled.to_string(), "0..510, bits=(0x0; 0x1fe)");
    let shifted = byte.alu(Op::Add, Scalar::constant(5), Width::W64);
    assert_eq!(shifted.to_string(), "5..260");
    assert_eq!(byte.alu(Op::Div, Scalar::constant(2), Width::W64), Scalar::UNKNOWN);
    let minus = byte.neg(Width::W64);
    assert_eq!((minus.s64(), minus.s32()), (Range::new(-255, 0), Range::new(-255, 0)));
    // The idiom that extends by the sign keeps the range of a half that is not negative.
    let half = Scalar::UNKNOWN.refine(Cond::Lt, Scalar::constant(64), Width::W32).expect("possible").0;
    let up = half.alu(Op::Lsh, Scalar::constant(32), Width::W64);
    assert_eq!(up.alu(Op::Arsh, Scalar::constant(32), Width::W64).u64(), Range::new(0, 63));
}

#[test]
fn widening_ends() {
    let mut state = Scalar::constant(0);
    let mut rounds = 0;
    loop {
        let next = state.widen(state.union(state.alu(Op::Add, Scalar::constant(3), Width::W64)));
        if next == state {
            break;
        }
        state = next;
        rounds += 1;
        assert!(rounds < 80, "still growing: {state}");
    }
    assert!(state.contains(3_000_000));
}
