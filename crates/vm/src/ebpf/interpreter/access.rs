//! Handlers of instructions that read and write memory.
//!
//! Memory of maps is shared with other threads and with the host. It is only touched through raw pointers with volatile
//! or atomic accesses: to the compiler it is memory of somebody else, as that of another process would be.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use skep_isa::ebpf::{AtomicOp, Size, Width};

use super::arith::{SIZES, WIDTHS, operand};
use super::select::R10;
use super::{Cell, Mode, go, register, stop};
use crate::ebpf::fault::FaultKind;
use crate::ebpf::space::{Access, fast_check};
use crate::ebpf::state::state_of;

/// A number at any address.
#[repr(C, packed)]
struct Unaligned<T>(T);

/// Host address of an access, after a look at what is slow to look at.
///
/// # Safety
/// As for handlers.
#[inline(always)]
unsafe fn check<D: Mode>(base: *mut u8, access: Access, address: u64, size: u32) -> Result<*mut u8, FaultKind> {
    // SAFETY: the base is that of a living space, the machine is not borrowed while a program runs.
    unsafe {
        match fast_check(base, D::MODEL, access, address, size) {
            Some(place) => Ok(place),
            None => (*(*state_of(base)).machine).slow_check(address, size, access),
        }
    }
}

/// Reads a number of the machine's byte order, widened with zeros.
///
/// # Safety
/// The bytes at `place` are mapped.
#[inline(always)]
unsafe fn read(place: *const u8, size: Size) -> u64 {
    // SAFETY: the caller's promise; the types have no alignment.
    unsafe {
        match size {
            Size::B => place.read_volatile().into(),
            Size::H => place.cast::<Unaligned<u16>>().read_volatile().0.into(),
            Size::W => place.cast::<Unaligned<u32>>().read_volatile().0.into(),
            Size::DW => place.cast::<Unaligned<u64>>().read_volatile().0,
        }
    }
}

/// Writes the low bytes of a number in the machine's byte order.
///
/// # Safety
/// The bytes at `place` are mapped and writable.
#[inline(always)]
unsafe fn write(place: *mut u8, size: Size, value: u64) {
    // SAFETY: the caller's promise; the types have no alignment.
    unsafe {
        match size {
            Size::B => place.write_volatile(value as u8),
            Size::H => place.cast::<Unaligned<u16>>().write_volatile(Unaligned(value as u16)),
            Size::W => place.cast::<Unaligned<u32>>().write_volatile(Unaligned(value as u32)),
            Size::DW => place.cast::<Unaligned<u64>>().write_volatile(Unaligned(value)),
        }
    }
}

/// `dst = *(size *)(src + off)`
pub(super) unsafe extern "C" fn load<D: Mode, const SIZE: usize, const SIGNED: bool>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let size = const { SIZES[SIZE] };
        let address = (*register(base, (*cell).src)).wrapping_add_signed((*cell).off.into());
        match check::<D>(base, Access::Read, address, size.bytes()) {
            Ok(place) => {
                let value = read(place, size);
                *register(base, (*cell).dst) = if SIGNED { size.sign_extend(value) } else { value };
                go::<D>(cell.add(1), base, fuel)
            }
            Err(kind) => stop(cell, base, fuel, kind),
        }
    }
}

/// `*(size *)(dst + off) = src`
pub(super) unsafe extern "C" fn store<D: Mode, const SIZE: usize, const IMM: bool>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let size = const { SIZES[SIZE] };
        let address = (*register(base, (*cell).dst)).wrapping_add_signed((*cell).off.into());
        match check::<D>(base, Access::Write, address, size.bytes()) {
            Ok(place) => {
                write(place, size, operand::<IMM>(cell, base));
                go::<D>(cell.add(1), base, fuel)
            }
            Err(kind) => stop(cell, base, fuel, kind),
        }
    }
}

/// A load or store of the stack at a constant distance, which loading has found to be inside of a frame. `dst` is the
/// other register of the access.
pub(super) unsafe extern "C" fn load_frame<D: Mode, const SIZE: usize, const SIGNED: bool>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program; register 10 is the end of a frame, which is always mapped.
    unsafe {
        let size = const { SIZES[SIZE] };
        let frame = *register(base, (*cell).src);
        let value = read(base.add(frame as usize).offset((*cell).off as isize), size);
        *register(base, (*cell).dst) = if SIGNED { size.sign_extend(value) } else { value };
        go::<D>(cell.add(1), base, fuel)
    }
}

/// As [`load_frame`], the store.
pub(super) unsafe extern "C" fn store_frame<D: Mode, const SIZE: usize, const IMM: bool>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program; register 10 is the end of a frame, which is always mapped.
    unsafe {
        let frame = *register(base, (*cell).dst);
        let place = base.add(frame as usize).offset((*cell).off as isize);
        write(place, const { SIZES[SIZE] }, operand::<IMM>(cell, base));
        go::<D>(cell.add(1), base, fuel)
    }
}

/// Host address of an atomic access.
///
/// # Safety
/// As for handlers.
#[inline(always)]
unsafe fn check_atomic<D: Mode>(base: *mut u8, access: Access, address: u64, size: u32) -> Result<*mut u8, FaultKind> {
    if !address.is_multiple_of(size.into()) {
        let address = if matches!(D::MODEL, crate::ebpf::Model::Pages) { address as u32 as u64 } else { address };
        return Err(FaultKind::Misaligned { address, size });
    }
    // SAFETY: the caller's promise.
    unsafe { check::<D>(base, access, address, size) }
}

/// `dst = load_acquire(src + off)`
pub(super) unsafe extern "C" fn load_acquire<D: Mode, const SIZE: usize>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let size = const { SIZES[SIZE] };
        let address = (*register(base, (*cell).src)).wrapping_add_signed((*cell).off.into());
        match check_atomic::<D>(base, Access::Read, address, size.bytes()) {
            Ok(place) => {
                let value = read(place, size);
                std::sync::atomic::fence(Ordering::Acquire);
                *register(base, (*cell).dst) = value;
                go::<D>(cell.add(1), base, fuel)
            }
            Err(kind) => stop(cell, base, fuel, kind),
        }
    }
}

/// `store_release(dst + off, src)`
pub(super) unsafe extern "C" fn store_release<D: Mode, const SIZE: usize>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let size = const { SIZES[SIZE] };
        let address = (*register(base, (*cell).dst)).wrapping_add_signed((*cell).off.into());
        match check_atomic::<D>(base, Access::Write, address, size.bytes()) {
            Ok(place) => {
                std::sync::atomic::fence(Ordering::Release);
                write(place, size, *register(base, (*cell).src));
                go::<D>(cell.add(1), base, fuel)
            }
            Err(kind) => stop(cell, base, fuel, kind),
        }
    }
}

/// Replaces the number at `place` by what the operation makes of it, and gives the old one.
///
/// # Safety
/// The bytes at `place` are mapped and writable, their address is a multiple of their number.
#[inline(always)]
unsafe fn exchange(place: *mut u8, width: Width, op: AtomicOp, operand: u64, r0: u64) -> u64 {
    macro_rules! update {
        ($atomic:ident, $number:ident) => {{
            // SAFETY: the caller's promise.
            let cell = unsafe { $atomic::from_ptr(place.cast()) };
            let operand = operand as $number;
            let order = Ordering::SeqCst;
            match op {
                AtomicOp::Add => cell.fetch_add(operand, order),
                AtomicOp::Or => cell.fetch_or(operand, order),
                AtomicOp::And => cell.fetch_and(operand, order),
                AtomicOp::Xor => cell.fetch_xor(operand, order),
                AtomicOp::Xchg => cell.swap(operand, order),
                AtomicOp::CmpXchg => {
                    cell.compare_exchange(r0 as $number, operand, order, order).unwrap_or_else(|old| old)
                }
            }
            .into()
        }};
    }
    match width {
        Width::W32 => update!(AtomicU32, u32),
        Width::W64 => update!(AtomicU64, u64),
    }
}

/// An atomic read-modify-write.
pub(super) unsafe extern "C" fn atomic<D: Mode, const WIDTH: usize, const OP: usize, const FETCH: bool>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let width = const { WIDTHS[WIDTH] };
        let op = const { AtomicOp::ALL[OP] };
        let address = (*register(base, (*cell).dst)).wrapping_add_signed((*cell).off.into());
        match check_atomic::<D>(base, Access::Write, address, width.size().bytes()) {
            Ok(place) => {
                let src = register(base, (*cell).src);
                let r0 = register(base, 0);
                let old = exchange(place, width, op, *src, *r0);
                if matches!(op, AtomicOp::CmpXchg) {
                    *r0 = old;
                } else if FETCH {
                    *src = old;
                }
                go::<D>(cell.add(1), base, fuel)
            }
            Err(kind) => stop(cell, base, fuel, kind),
        }
    }
}

/// An access at a constant distance from the frame pointer that is not inside of a frame.
pub(super) unsafe extern "C" fn outside_frame<D: Mode, const WRITE: bool>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let access = if WRITE { Access::Write } else { Access::Read };
        let frame = *register(base, R10);
        let address = frame.wrapping_add_signed((*cell).off.into());
        let kind = (*(*state_of(base)).machine).out_of_bounds(address, (*cell).imm as u32, access);
        stop(cell, base, fuel, kind)
    }
}
