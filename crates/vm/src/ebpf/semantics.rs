//! What each computing instruction of the 64-bit set yields: pure functions (RFC 9669, sections 4 and 5.3).
//!
//! The interpreter calls them, and tests of other executors compare against them. Operators themselves are evaluated
//! by [`skep_isa::ebpf`]; here is what surrounds them: sign extension of immediates and results, and the atomic
//! operations. Memory and control flow are not here.

use skep_isa::ebpf::{AluOp, AtomicOp, Endian, JmpOp, Op, Order, Size, Width};

/// An immediate as an operand: extended by its sign to 64 bits, of which a 32-bit operation uses the lower half.
#[inline(always)]
pub const fn immediate(imm: i32) -> u64 {
    imm as i64 as u64
}

/// `a OP b`. The upper half of a 32-bit result is clear.
#[inline(always)]
pub const fn alu(width: Width, op: AluOp, a: u64, b: u64) -> u64 {
    op.eval(width, a, b)
}

/// Whether a jump with operands `a` and `b` is taken.
#[inline(always)]
pub const fn jump(width: Width, op: JmpOp, a: u64, b: u64) -> bool {
    op.eval(width, a, b)
}

/// A result of the given width in a register: 32-bit results clear the upper half.
#[inline(always)]
pub const fn result(width: Width, value: u64) -> u64 {
    match width {
        Width::W32 => value as u32 as u64,
        Width::W64 => value,
    }
}

/// The low bytes of `value` extended by their sign to `width`.
#[inline(always)]
pub const fn move_signed(width: Width, from: Size, value: u64) -> u64 {
    result(width, from.sign_extend(value))
}

/// `-value`
#[inline(always)]
pub const fn negate(width: Width, value: u64) -> u64 {
    result(width, value.wrapping_neg())
}

/// `value` truncated to `size` and put in order on this machine.
#[inline(always)]
pub const fn swap(order: Order, size: Size, value: u64) -> u64 {
    order.eval(Endian::NATIVE, size, value)
}

/// What an atomic operation leaves in memory that held `old`. `r0` is the value that a compare-and-exchange expects.
#[inline(always)]
pub const fn atomic(width: Width, op: AtomicOp, old: u64, operand: u64, r0: u64) -> u64 {
    match op.alu() {
        Some(alu) => alu.eval(width, old, operand),
        None if matches!(op, AtomicOp::CmpXchg) && result(width, r0) != old => old,
        None => result(width, operand),
    }
}

/// The register and its new value, for the instructions that only compute; `None` for all others.
///
/// `registers` are the values before the instruction.
pub const fn compute(op: Op, registers: &[u64; 11]) -> Option<(usize, u64)> {
    use skep_isa::ebpf::Src;
    Some(match op {
        Op::Alu { width, op, dst, src } => {
            let operand = match src {
                Src::Reg(reg) => registers[reg.index()],
                Src::Imm(imm) => immediate(imm),
            };
            (dst.index(), alu(width, op, registers[dst.index()], operand))
        }
        Op::MovSx { width, from, dst, src } => (dst.index(), move_signed(width, from, registers[src.index()])),
        Op::Neg { width, dst } => (dst.index(), negate(width, registers[dst.index()])),
        Op::Swap { order, size, dst } => (dst.index(), swap(order, size, registers[dst.index()])),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_extended_and_results_cut() {
        assert_eq!(immediate(-1), u64::MAX);
        assert_eq!(alu(Width::W32, AluOp::Mov, 0, immediate(-1)), 0xffff_ffff);
        assert_eq!(alu(Width::W64, AluOp::Mov, 0, immediate(-1)), u64::MAX);
        assert_eq!(move_signed(Width::W32, Size::B, 0x80), 0xffff_ff80);
        assert_eq!(move_signed(Width::W64, Size::H, 0x1_8000), 0xffff_ffff_ffff_8000);
        assert_eq!(negate(Width::W32, 1 << 32 | 1), 0xffff_ffff);
        assert_eq!(negate(Width::W64, 1), u64::MAX);
        assert!(jump(Width::W32, JmpOp::Eq, 0xffff_ffff, immediate(-1)));
        assert!(!jump(Width::W64, JmpOp::Eq, 0xffff_ffff, immediate(-1)));
    }

    #[test]
    fn atomics() {
        assert_eq!(atomic(Width::W32, AtomicOp::Add, 0xffff_ffff, 2, 0), 1);
        assert_eq!(atomic(Width::W64, AtomicOp::Xchg, 5, 7, 0), 7);
        assert_eq!(atomic(Width::W64, AtomicOp::CmpXchg, 5, 7, 5), 7);
        assert_eq!(atomic(Width::W64, AtomicOp::CmpXchg, 5, 7, 6), 5);
        // The 32-bit form compares and stores the lower halves only.
        assert_eq!(atomic(Width::W32, AtomicOp::CmpXchg, 5, 9 << 32 | 7, 1 << 32 | 5), 7);
    }
}
