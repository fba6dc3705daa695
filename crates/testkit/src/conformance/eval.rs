//! What the operators mean, written a second time: sums and products of integers that cannot overflow, reduced to the
//! width at the end; division and bitwise operators one bit at a time; byte order through lists of bytes.
//!
//! RFC 9669, sections 4.1 (arithmetic), 4.2 (byte swaps), 4.3 (jumps), 5.1 to 5.3 (memory, sign extension, atomics).

use skep_isa::ebpf::{AluOp, AtomicOp, Endian, JmpOp, Order, Size, Width};

/// The value as a number from 0 to 2^bits - 1.
const fn unsigned(value: u64, bits: u32) -> u128 {
    value as u128 % (1u128 << bits)
}

/// The value as a number of two's complement.
const fn signed(value: u64, bits: u32) -> i128 {
    let number = unsigned(value, bits) as i128;
    if number >= 1i128 << (bits - 1) { number - (1i128 << bits) } else { number }
}

/// A number of any size in `bits` bits of two's complement; the bits above are zero.
const fn reduce(number: i128, bits: u32) -> u64 {
    number.rem_euclid(1i128 << bits) as u64
}

/// A constant of 32 bits as the operand that it stands for, extended by its sign.
pub(super) const fn immediate(imm: i32) -> u64 {
    reduce(imm as i128, 64)
}

/// The constant that stands for this operand, if there is one.
pub(super) fn as_immediate(value: u64) -> Option<i32> {
    i32::try_from(signed(value, 64)).ok()
}

/// Long division, one bit of the quotient at a time. The divisor is not zero.
const fn long_division(dividend: u128, divisor: u128, bits: u32) -> (u128, u128) {
    let (mut quotient, mut rest) = (0u128, 0u128);
    let mut bit = bits;
    while bit > 0 {
        bit -= 1;
        rest = rest * 2 + (dividend >> bit) % 2;
        quotient *= 2;
        if rest >= divisor {
            rest -= divisor;
            quotient += 1;
        }
    }
    (quotient, rest)
}

/// Quotient and remainder of magnitudes; the quotient is negative if the signs differ, the remainder if the dividend is.
const fn signed_division(dividend: i128, divisor: i128) -> (i128, i128) {
    let (quotient, rest) = long_division(dividend.unsigned_abs(), divisor.unsigned_abs(), 65);
    let (quotient, rest) = (quotient as i128, rest as i128);
    (if (dividend < 0) != (divisor < 0) { -quotient } else { quotient }, if dividend < 0 { -rest } else { rest })
}

/// Each bit of the result from the two bits of the operands; bit `2 * a + b` of `truth` is the result.
const fn bitwise(a: u128, b: u128, truth: u8) -> u128 {
    let (mut result, mut bit) = (0, 0);
    while bit < 64 {
        let row = 2 * (a >> bit & 1) + (b >> bit & 1);
        result |= ((truth >> row & 1) as u128) << bit;
        bit += 1;
    }
    result
}

/// `a OP b` for operands of 64 bits; a constant must be extended before.
pub(super) const fn alu(width: Width, op: AluOp, a: u64, b: u64) -> u64 {
    let bits = width.bits();
    let (ua, ub, sa, sb) = (unsigned(a, bits), unsigned(b, bits), signed(a, bits), signed(b, bits));
    let power = 1i128 << (ub % bits as u128);
    let result = match op {
        AluOp::Add => sa + sb,
        AluOp::Sub => sa - sb,
        AluOp::Mul => sa * sb,
        AluOp::Div | AluOp::SDiv if ub == 0 => 0,
        AluOp::Mod | AluOp::SMod if ub == 0 => sa,
        AluOp::Div => long_division(ua, ub, bits).0 as i128,
        AluOp::Mod => long_division(ua, ub, bits).1 as i128,
        AluOp::SDiv => signed_division(sa, sb).0,
        AluOp::SMod => signed_division(sa, sb).1,
        AluOp::Or => bitwise(ua, ub, 0b1110) as i128,
        AluOp::And => bitwise(ua, ub, 0b1000) as i128,
        AluOp::Xor => bitwise(ua, ub, 0b0110) as i128,
        // The number has at most 63 bits and a sign, the power at most 63: the product fits.
        AluOp::Lsh => sa * power,
        AluOp::Rsh => ua as i128 / power,
        AluOp::Arsh => sa.div_euclid(power),
        AluOp::Mov => sb,
    };
    reduce(result, bits)
}

/// `-a`
pub(super) const fn neg(width: Width, a: u64) -> u64 {
    reduce(-signed(a, width.bits()), width.bits())
}

/// The low bytes of `a` as a number with sign, in the bits of the width.
pub(super) const fn extend(width: Width, from: Size, a: u64) -> u64 {
    reduce(signed(a, 8 * from.bytes()), width.bits())
}

/// Whether the condition holds; a constant must be extended before.
pub(super) const fn condition(width: Width, op: JmpOp, a: u64, b: u64) -> bool {
    let bits = width.bits();
    let (ua, ub, sa, sb) = (unsigned(a, bits), unsigned(b, bits), signed(a, bits), signed(b, bits));
    match op {
        JmpOp::Eq => sa - sb == 0,
        JmpOp::Ne => sa - sb != 0,
        JmpOp::Gt => ua > ub,
        JmpOp::Ge => ua >= ub,
        JmpOp::Lt => ua < ub,
        JmpOp::Le => ua <= ub,
        JmpOp::SGt => sa > sb,
        JmpOp::SGe => sa >= sb,
        JmpOp::SLt => sa < sb,
        JmpOp::SLe => sa <= sb,
        JmpOp::Set => bitwise(ua, ub, 0b1000) > 0,
    }
}

/// The low `size` bytes of `a` in another order, on this machine.
pub(super) fn swap(order: Order, size: Size, a: u64) -> u64 {
    let mut low = low_first(a, size.bytes() as usize);
    let reversed = match order {
        Order::Swap => true,
        Order::Little => Endian::NATIVE == Endian::Big,
        Order::Big => Endian::NATIVE == Endian::Little,
    };
    if reversed {
        low.reverse();
    }
    number(&low)
}

/// The bytes of a number, the least significant one first.
fn low_first(value: u64, count: usize) -> Vec<u8> {
    (0..count).map(|at| (u128::from(value) / (1u128 << (8 * at)) % 256) as u8).collect()
}

/// The number whose least significant byte is the first.
fn number(low_first: &[u8]) -> u64 {
    low_first.iter().rev().fold(0, |sum, &byte| sum * 256 + u64::from(byte))
}

/// The value in memory at `at`, in the byte order of this machine, not extended.
pub(super) fn load(memory: &[u8], at: usize, size: Size) -> u64 {
    let mut bytes = memory[at..at + size.bytes() as usize].to_vec();
    if Endian::NATIVE == Endian::Big {
        bytes.reverse();
    }
    number(&bytes)
}

/// Puts the low bytes of the value into memory at `at`, in the byte order of this machine.
pub(super) fn store(memory: &mut [u8], at: usize, size: Size, value: u64) {
    let mut bytes = low_first(value, size.bytes() as usize);
    if Endian::NATIVE == Endian::Big {
        bytes.reverse();
    }
    memory[at..at + bytes.len()].copy_from_slice(&bytes);
}

/// What an atomic operation leaves in memory, of `width` bits.
pub(super) const fn atomic(width: Width, op: AtomicOp, old: u64, src: u64, r0: u64) -> u64 {
    let bits = width.bits();
    match op {
        AtomicOp::Add => alu(width, AluOp::Add, old, src),
        AtomicOp::Or => alu(width, AluOp::Or, old, src),
        AtomicOp::And => alu(width, AluOp::And, old, src),
        AtomicOp::Xor => alu(width, AluOp::Xor, old, src),
        AtomicOp::CmpXchg if unsigned(old, bits) != unsigned(r0, bits) => old,
        AtomicOp::Xchg | AtomicOp::CmpXchg => reduce(src as i128, bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Width::{W32, W64};

    const MINUS_1: u64 = u64::MAX;

    /// The examples and sentences of RFC 9669, section 4.1, worked out by hand.
    #[test]
    fn arithmetic_of_the_specification() {
        // "If execution would result in division by zero, the destination register is instead set to zero."
        assert_eq!(alu(W64, AluOp::Div, 7, 0), 0);
        assert_eq!(alu(W32, AluOp::SDiv, MINUS_1, 1 << 32), 0);
        // "modulo by zero: for ALU64 unchanged, whereas for ALU the upper 32 bits are zeroed."
        assert_eq!(alu(W64, AluOp::Mod, 0x5_0000_0007, 0), 0x5_0000_0007);
        assert_eq!(alu(W32, AluOp::SMod, 0x5_0000_0007, 0), 7);
        // "LLONG_MIN / -1 is LLONG_MIN, modulo 0"; "INT_MIN likewise".
        assert_eq!(alu(W64, AluOp::SDiv, 1 << 63, MINUS_1), 1 << 63);
        assert_eq!(alu(W64, AluOp::SMod, 1 << 63, MINUS_1), 0);
        assert_eq!(alu(W32, AluOp::SDiv, 0x8000_0000, MINUS_1), 0x8000_0000);
        assert_eq!(alu(W32, AluOp::SMod, 0x8000_0000, MINUS_1), 0);
        // "-13 % 3 == -1", truncated division.
        assert_eq!(alu(W64, AluOp::SMod, immediate(-13), 3), MINUS_1);
        assert_eq!(alu(W64, AluOp::SDiv, immediate(-13), 3), immediate(-4));
        assert_eq!(alu(W32, AluOp::SDiv, immediate(-13), 3), 0xffff_fffc);
        // Unsigned division extends its constant by the sign: 10 / -3 is 10 / 0xffff_ffff_ffff_fffd.
        assert_eq!(alu(W64, AluOp::Div, 10, immediate(-3)), 0);
        assert_eq!(alu(W64, AluOp::Div, MINUS_1, immediate(-3)), 1);
        assert_eq!(alu(W32, AluOp::Div, MINUS_1, 16), 0x0fff_ffff);
        // "shift operations use a mask of 0x3F for 64 bits and 0x1F for 32 bits."
        assert_eq!(alu(W64, AluOp::Lsh, 1, 65), 2);
        assert_eq!(alu(W32, AluOp::Lsh, 3, 63), 0x8000_0000);
        assert_eq!(alu(W32, AluOp::Rsh, MINUS_1, 36), 0x0fff_ffff);
        assert_eq!(alu(W32, AluOp::Arsh, 0x8000_0000, 31), 0xffff_ffff);
        assert_eq!(alu(W64, AluOp::Arsh, 1 << 63, 63), MINUS_1);
        assert_eq!(alu(W64, AluOp::Arsh, 0x8000_0000, 31), 1);
        // Operations of 32 bits clear the high half.
        assert_eq!(alu(W32, AluOp::Add, 0xffff_ffff, 1), 0);
        assert_eq!(alu(W32, AluOp::Sub, 0, 1), 0xffff_ffff);
        assert_eq!(alu(W64, AluOp::Mul, MINUS_1, MINUS_1), 1);
        assert_eq!(alu(W32, AluOp::Mul, 0xffff_ffff, 2), 0xffff_fffe);
        assert_eq!(neg(W64, 1), MINUS_1);
        assert_eq!(neg(W32, 0x1_0000_0001), 0xffff_ffff);
        assert_eq!(neg(W64, 1 << 63), 1 << 63);
    }

    #[test]
    fn bits_and_bytes_of_the_specification() {
        let (a, b) = (0xff00_ff00_1234_5678, 0x0ff0_0ff0_0f0f_0f0f);
        assert_eq!(alu(W64, AluOp::And, a, b), 0x0f00_0f00_0204_0608);
        assert_eq!(alu(W64, AluOp::Or, a, b), 0xfff0_fff0_1f3f_5f7f);
        assert_eq!(alu(W32, AluOp::Xor, a, b), 0x1d3b_5977);
        assert_eq!(extend(W64, Size::B, 0x80), 0xffff_ffff_ffff_ff80);
        assert_eq!(extend(W32, Size::H, 0xf8765), 0xffff_8765);
        assert_eq!(extend(W64, Size::W, 0x7fff_ffff), 0x7fff_ffff);
        assert_eq!(swap(Order::Swap, Size::H, 0xffff_ffff_ffff_1234), 0x3412);
        assert_eq!(swap(Order::Swap, Size::W, 0xffff_ffff_1234_5678), 0x7856_3412);
        assert_eq!(swap(Order::Swap, Size::DW, 0x0102_0304_0506_0708), 0x0807_0605_0403_0201);
        // One of the two orders is that of the machine and only cuts off.
        let both = [swap(Order::Little, Size::H, 0xa1234), swap(Order::Big, Size::H, 0xa1234)];
        assert!(both == [0x1234, 0x3412] || both == [0x3412, 0x1234]);
        let mut memory = [0; 9];
        store(&mut memory, 1, Size::W, 0xaaaa_bbbb_0102_0304);
        assert_eq!(memory[1..5], 0x0102_0304u32.to_ne_bytes());
        assert_eq!(load(&memory, 1, Size::DW), u64::from_ne_bytes(memory[1..9].try_into().unwrap()));
    }

    #[test]
    fn conditions_and_atomics_of_the_specification() {
        assert!(condition(W64, JmpOp::Gt, immediate(-1), 1) && !condition(W64, JmpOp::SGt, immediate(-1), 1));
        assert!(condition(W32, JmpOp::SLt, 0x8000_0000, 0) && !condition(W64, JmpOp::SLt, 0x8000_0000, 0));
        assert!(condition(W32, JmpOp::Eq, 0x1_0000_0005, 5) && condition(W64, JmpOp::Ne, 0x1_0000_0005, 5));
        assert!(condition(W64, JmpOp::Set, 6, 3) && !condition(W32, JmpOp::Set, 1 << 32, u64::MAX));
        assert!(
            condition(W64, JmpOp::Le, 5, 5) && condition(W64, JmpOp::SGe, 5, 5) && !condition(W64, JmpOp::Lt, 5, 5)
        );
        assert_eq!(atomic(W32, AtomicOp::Add, 0xffff_ffff, 2, 0), 1);
        assert_eq!(atomic(W64, AtomicOp::CmpXchg, 5, 9, 5), 9);
        assert_eq!(atomic(W64, AtomicOp::CmpXchg, 5, 9, 1 << 32 | 5), 5);
        assert_eq!(atomic(W32, AtomicOp::CmpXchg, 5, 9, 1 << 32 | 5), 9);
        assert_eq!(atomic(W32, AtomicOp::Xchg, 5, 1 << 32 | 9, 0), 9);
    }

    /// Where the machine's own integers say the same without effort, they must agree.
    #[test]
    fn agrees_with_integers_of_the_machine() {
        let mut rng = crate::Rng::new(1);
        for _ in 0..20_000 {
            let (a, b) = (rng.u64() >> rng.below(64), rng.u64() >> rng.below(64) | 1);
            assert_eq!(alu(W64, AluOp::Div, a, b), a / b);
            assert_eq!(alu(W64, AluOp::Mod, a, b), a % b);
            assert_eq!(alu(W64, AluOp::Mul, a, b), a.wrapping_mul(b));
            assert_eq!(alu(W32, AluOp::SDiv, a, b), u64::from((a as i32).wrapping_div(b as i32) as u32));
            assert_eq!(alu(W64, AluOp::SMod, a, b), (a as i64).wrapping_rem(b as i64) as u64);
            assert_eq!(alu(W64, AluOp::Lsh, a, b), a << (b % 64));
            assert_eq!(alu(W32, AluOp::Arsh, a, b), u64::from((a as i32 >> (b % 32)) as u32));
        }
    }
}
