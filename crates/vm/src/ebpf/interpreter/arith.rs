//! Handlers of instructions that only compute. What they compute is stated in `semantics`.

use skep_isa::ebpf::{AluOp, Order, Size, Width};

use super::{Cell, Mode, go, register};
use crate::ebpf::semantics;

/// Operators by number, for constant parameters.
pub(super) const WIDTHS: [Width; 2] = [Width::W32, Width::W64];
pub(super) const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::DW];
pub(super) const ORDERS: [Order; 3] = [Order::Little, Order::Big, Order::Swap];

/// The second operand of a cell.
///
/// # Safety
/// As for handlers.
#[inline(always)]
pub(super) unsafe fn operand<const IMM: bool>(cell: *const Cell, base: *mut u8) -> u64 {
    // SAFETY: a cell of a program has the offset of a register.
    unsafe { if IMM { (*cell).imm } else { *register(base, (*cell).src) } }
}

/// `dst = dst OP src`
pub(super) unsafe extern "C" fn alu<D: Mode, const WIDTH: usize, const OP: usize, const IMM: bool>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let dst = register(base, (*cell).dst);
        *dst = semantics::alu(const { WIDTHS[WIDTH] }, const { AluOp::ALL[OP] }, *dst, operand::<IMM>(cell, base));
        go::<D>(cell.add(1), base, fuel)
    }
}

/// `dst = (sN)src`
pub(super) unsafe extern "C" fn move_signed<D: Mode, const WIDTH: usize, const FROM: usize>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let value = *register(base, (*cell).src);
        *register(base, (*cell).dst) = semantics::move_signed(const { WIDTHS[WIDTH] }, const { SIZES[FROM] }, value);
        go::<D>(cell.add(1), base, fuel)
    }
}

/// `dst = -dst`
pub(super) unsafe extern "C" fn negate<D: Mode, const WIDTH: usize>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let dst = register(base, (*cell).dst);
        *dst = semantics::negate(const { WIDTHS[WIDTH] }, *dst);
        go::<D>(cell.add(1), base, fuel)
    }
}

/// `dst = be16 dst` and the like
pub(super) unsafe extern "C" fn swap<D: Mode, const ORDER: usize, const SIZE: usize>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let dst = register(base, (*cell).dst);
        *dst = semantics::swap(const { ORDERS[ORDER] }, const { SIZES[SIZE] }, *dst);
        go::<D>(cell.add(1), base, fuel)
    }
}

/// `dst = imm ll`
pub(super) unsafe extern "C" fn load_imm<D: Mode>(cell: *const Cell, base: *mut u8, fuel: u64) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        *register(base, (*cell).dst) = (*cell).imm;
        go::<D>(cell.add(1), base, fuel)
    }
}
