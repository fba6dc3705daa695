//! Handlers of jumps, calls, exits and packet loads.

use skep_isa::ebpf::JmpOp;

use super::arith::{WIDTHS, operand};
use super::select::R10;
use super::{Cell, Mode, go, register, stop};
use crate::classic::packet_load;
use crate::ebpf::fault::FaultKind;
use crate::ebpf::helpers::Entry;
use crate::ebpf::layout::{FRAME_BYTES, STACK, STACK_END, function_step};
use crate::ebpf::semantics;
use crate::ebpf::space::{Model, set_stack_bottom};
use crate::ebpf::state::{Caller, MAX_LOOPS, Outcome, SCRUBBED, State, state_of};

/// Goes to the target of a cell; a jump backwards pays for the cells that it spans.
///
/// # Safety
/// As for handlers; the cell has a target.
#[inline(always)]
unsafe fn jump_to<D: Mode, const BACK: bool>(cell: *const Cell, base: *mut u8, fuel: u64) -> *const Cell {
    // SAFETY: the caller's promise.
    unsafe {
        let distance = (*cell).off as isize;
        if BACK {
            let cost = (1 - distance) as u64;
            match fuel.checked_sub(cost) {
                Some(rest) => go::<D>(cell.offset(distance), base, rest),
                None => stop(cell, base, fuel, FaultKind::OutOfFuel),
            }
        } else {
            go::<D>(cell.offset(distance), base, fuel)
        }
    }
}

/// `goto`
pub(super) unsafe extern "C" fn goto<D: Mode, const BACK: bool>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe { jump_to::<D, BACK>(cell, base, fuel) }
}

/// `if dst OP src goto`
pub(super) unsafe extern "C" fn jump_if<
    D: Mode,
    const WIDTH: usize,
    const OP: usize,
    const IMM: bool,
    const BACK: bool,
>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let dst = *register(base, (*cell).dst);
        if semantics::jump(const { WIDTHS[WIDTH] }, const { JmpOp::ALL[OP] }, dst, operand::<IMM>(cell, base)) {
            jump_to::<D, BACK>(cell, base, fuel)
        } else {
            go::<D>(cell.add(1), base, fuel)
        }
    }
}

/// `may_goto`
pub(super) unsafe extern "C" fn may_goto<D: Mode, const BACK: bool>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let loops = &raw mut (*state_of(base)).loops;
        match (*loops).checked_sub(1) {
            Some(rest) => {
                *loops = rest;
                go::<D>(cell.add(1), base, fuel)
            }
            None => jump_to::<D, BACK>(cell, base, fuel),
        }
    }
}

/// Enters a function.
///
/// # Safety
/// As for handlers; `target` is the first cell of a function of `cost` cells.
#[inline(always)]
unsafe fn enter<D: Mode>(cell: *const Cell, target: *const Cell, cost: u64, base: *mut u8, fuel: u64) -> *const Cell {
    // SAFETY: the caller's promise; the state is used by this thread only.
    unsafe {
        let state = &mut *state_of(base);
        let frame = state.registers[10] as u32;
        if frame <= STACK + FRAME_BYTES {
            return stop(cell, base, fuel, FaultKind::TooManyFrames);
        }
        let Some(rest) = fuel.checked_sub(cost) else {
            return stop(cell, base, fuel, FaultKind::OutOfFuel);
        };
        let [.., r6, r7, r8, r9, _] = state.registers;
        // Frames lie below the end of the stack, one for each active function.
        let depth = ((STACK_END - frame) / FRAME_BYTES) as usize;
        *state.callers.get_unchecked_mut(depth) =
            Caller { back: cell.add(1), saved: [r6, r7, r8, r9], loops: state.loops };
        state.loops = MAX_LOOPS;
        state.registers[10] = u64::from(frame - FRAME_BYTES);
        if matches!(D::MODEL, Model::Precise) {
            set_stack_bottom(base, frame - 2 * FRAME_BYTES);
        }
        go::<D>(target, base, rest)
    }
}

/// A call of a local function: the immediate is what it costs.
pub(super) unsafe extern "C" fn call_local<D: Mode>(cell: *const Cell, base: *mut u8, fuel: u64) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe { enter::<D>(cell, cell.offset((*cell).off as isize), (*cell).imm, base, fuel) }
}

/// Returns from a function, or ends the run.
///
/// # Safety
/// As for handlers.
#[inline(always)]
unsafe fn leave<D: Mode>(base: *mut u8, fuel: u64) -> *const Cell {
    // SAFETY: the caller's promise; the state is used by this thread only.
    unsafe {
        let state = &mut *state_of(base);
        let frame = state.registers[10];
        if frame == state.entry_frame {
            state.fuel = fuel;
            return std::ptr::null();
        }
        let depth = ((u64::from(STACK_END) - frame) / u64::from(FRAME_BYTES) - 1) as usize;
        let caller = *state.callers.get_unchecked(depth);
        state.registers[1..6].fill(SCRUBBED);
        state.registers[6..10].copy_from_slice(&caller.saved);
        state.registers[10] = frame + u64::from(FRAME_BYTES);
        state.loops = caller.loops;
        if matches!(D::MODEL, Model::Precise) {
            set_stack_bottom(base, frame as u32);
        }
        go::<D>(caller.back, base, fuel)
    }
}

/// `exit`
pub(super) unsafe extern "C" fn exit<D: Mode>(_: *const Cell, base: *mut u8, fuel: u64) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe { leave::<D>(base, fuel) }
}

/// Calls the entry of a helper with the registers of the state.
///
/// # Safety
/// As for handlers.
#[inline(always)]
unsafe fn call_entry(cell: *const Cell, entry: Entry, base: *mut u8, fuel: u64) -> Outcome {
    // SAFETY: the caller's promise. The helper gets the state; nothing of it is borrowed here.
    unsafe {
        let state: *mut State = state_of(base);
        // A callback goes on with this fuel in the code of this cell.
        (*state).fuel = fuel;
        (*state).stop_cell = cell;
        let [_, r1, r2, r3, r4, r5, ..] = (*state).registers;
        entry(r1, r2, r3, r4, r5, state)
    }
}

/// Goes on behind a helper.
///
/// # Safety
/// As for handlers.
#[inline(always)]
unsafe fn after_helper<D: Mode>(cell: *const Cell, outcome: Outcome, base: *mut u8) -> *const Cell {
    // SAFETY: the caller's promise; the state is used by this thread only.
    unsafe {
        let state = &mut *state_of(base);
        if outcome.stop != 0 {
            return stop_after_helper(cell, base);
        }
        state.registers[0] = outcome.value;
        state.registers[1..6].fill(SCRUBBED);
        go::<D>(cell.add(1), base, state.fuel)
    }
}

/// Ends the run with the fault that a helper left: at the cell that called it, or at one of a callback.
#[cold]
#[inline(never)]
unsafe fn stop_after_helper(cell: *const Cell, base: *mut u8) -> *const Cell {
    // SAFETY: called by handlers only.
    unsafe {
        let state = &mut *state_of(base);
        // A fault in a callback has set its own cell.
        if state.stop_cell.is_null() {
            state.stop_cell = cell;
        }
        if state.fault == Some(FaultKind::OutOfFuel) {
            state.fuel = 0;
        }
    }
    std::ptr::null()
}

/// A call of a helper: the immediate is its entry.
pub(super) unsafe extern "C" fn call_helper<D: Mode>(cell: *const Cell, base: *mut u8, fuel: u64) -> *const Cell {
    // SAFETY: drivers pass cells of a program; selection has put an entry into the immediate.
    unsafe {
        let entry = std::mem::transmute::<usize, Entry>((*cell).imm as usize);
        (*state_of(base)).helper = (*cell).off as u64;
        let outcome = call_entry(cell, entry, base, fuel);
        after_helper::<D>(cell, outcome, base)
    }
}

/// A tail call: goes on in another program, or behind the call if there is none.
pub(super) unsafe extern "C" fn tail_call<D: Mode>(cell: *const Cell, base: *mut u8, fuel: u64) -> *const Cell {
    // SAFETY: drivers pass cells of a program; selection has put an entry into the immediate.
    unsafe {
        let entry = std::mem::transmute::<usize, Entry>((*cell).imm as usize);
        let outcome = call_entry(cell, entry, base, fuel);
        let Some(program) = outcome.value.checked_sub(1) else {
            return after_helper::<D>(cell, outcome, base);
        };
        let state = &mut *state_of(base);
        let (target, cost) = (*state.machine).shared().first_cell(program as usize, D::FORM);
        let Some(rest) = fuel.checked_sub(cost) else {
            return stop(cell, base, fuel, FaultKind::OutOfFuel);
        };
        // The program starts as it does at the beginning of a run, but in the frame of the caller.
        state.program = program;
        state.registers[0] = 0;
        state.registers[2..10].fill(0);
        state.loops = MAX_LOOPS;
        go::<D>(target, base, rest)
    }
}

/// A call through a register: of the function that it holds the address of, or the helper that it holds the number of.
pub(super) unsafe extern "C" fn call_indirect<D: Mode>(cell: *const Cell, base: *mut u8, fuel: u64) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let value = *register(base, (*cell).dst);
        let state = &mut *state_of(base);
        if let Some(step) = function_step(value) {
            state.stop_cell = cell;
            return match function_of_callback(state, step) {
                Some((target, cost)) => enter::<D>(cell, target, cost, base, fuel),
                None => stop(cell, base, fuel, FaultKind::BadCallTarget(value)),
            };
        }
        let shared = (*state.machine).shared();
        let Some((index, entry)) = shared.indirect_helper(value) else {
            return stop(cell, base, fuel, FaultKind::BadCallTarget(value));
        };
        state.helper = index.into();
        let outcome = call_entry(cell, entry, base, fuel);
        after_helper::<D>(cell, outcome, base)
    }
}

/// The first cell and the cost of the function at a step of the program that [`State::stop_cell`] belongs to.
///
/// # Safety
/// The state belongs to a space in which a program runs.
pub(super) unsafe fn function_of_callback(state: &State, step: u32) -> Option<(*const Cell, u64)> {
    // SAFETY: the caller's promise.
    let shared = unsafe { (*state.machine).shared() };
    shared.function_cell(state.stop_cell, step)
}

/// A packet load: the immediate is the constant part of the offset. Outside of the packet the function ends with 0.
pub(super) unsafe extern "C" fn load_packet<D: Mode, const BYTES: u32, const INDIRECT: bool>(
    cell: *const Cell,
    base: *mut u8,
    fuel: u64,
) -> *const Cell {
    // SAFETY: drivers pass cells of a program and the base of the space in which it runs.
    unsafe {
        let state = &mut *state_of(base);
        let machine = &*state.machine;
        let offset = (*cell).imm as u32;
        let offset = if INDIRECT { (*register(base, (*cell).src) as u32).wrapping_add(offset) } else { offset };
        if let Err(kind) = machine.expect_context(state.registers[6]) {
            return stop(cell, base, fuel, kind);
        }
        let value = packet_load(machine.packet(), offset, BYTES, machine.meta());
        state.registers[0] = value.unwrap_or(0).into();
        state.registers[1..6].fill(SCRUBBED);
        if value.is_some() { go::<D>(cell.add(1), base, fuel) } else { leave::<D>(base, fuel) }
    }
}

/// The byte offset of register 10 is the one that frames are found by.
const _: () = assert!(R10 == 80);
