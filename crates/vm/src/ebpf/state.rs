//! What one run keeps in front of the cage: registers of the interpreter, fuel, the way out of compiled code.
//!
//! The layout is fixed because compiled code reads and writes it through offsets from the base of the cage.

use super::fault::FaultKind;
use super::interpreter::Cell;
use super::layout::{MAX_FRAMES, STACK_END};
use super::machine::Machine;
use super::space::STATE_DISTANCE;

/// Times that `may_goto` of one function falls through before it jumps (`BPF_MAX_LOOPS` in `linux/bpf.h`).
pub(crate) const MAX_LOOPS: u64 = 8 << 20;

/// Value of the registers that a call leaves undefined. A program that reads them shows it.
pub(crate) const SCRUBBED: u64 = 0xdead_beef_dead_beef;

/// What a call of a helper tells the code that called it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The value of register 0.
    pub(crate) value: u64,
    /// 0 to go on; otherwise the run ends with the fault in [`State::fault`].
    pub(crate) stop: u64,
}

/// A function of the interpreter that waits for its callee.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// The cell to continue with.
    pub(crate) back: *const Cell,
    /// Registers 6 to 9.
    pub(crate) saved: [u64; 4],
    /// What is left of [`MAX_LOOPS`].
    pub(crate) loops: u64,
}

/// The state of one run.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct State {
    /// Registers of the interpreter; compiled code keeps them in the processor.
    pub(crate) registers: [u64; 11],
    /// What is left of the fuel when nothing holds it in a register.
    pub(crate) fuel: u64,
    /// Register 10 of the function that called a helper: where a callback's frame goes.
    pub(crate) frame: u64,
    /// What helpers work on.
    pub(crate) machine: *mut Machine,
    /// The program that called a helper which may call back.
    pub(crate) program: u64,
    /// Value of register 1 at the start of the run.
    pub(crate) context: u64,
    /// Number of the registered helper that is being called.
    pub(crate) helper: u64,
    /// The bytes of packet loads, in the memory of the host.
    pub(crate) packet: *const u8,
    /// Number of these bytes.
    pub(crate) packet_len: u64,
    /// Stack pointer of compiled code at its entry, to leave it from anywhere.
    pub(crate) saved_sp: u64,
    /// Where compiled code stopped: address of the instruction behind a call of the exit, or of a faulting access.
    pub(crate) stop_pc: u64,
    /// Why compiled code stopped.
    pub(crate) stop_reason: u64,
    /// Registers of the processor at a faulting access.
    pub(crate) stop_registers: [u64; 32],
    /// Register 10 of the first function of the run or callback: its exit ends the interpreter's loop.
    pub(crate) entry_frame: u64,
    /// What is left of [`MAX_LOOPS`] in the active function.
    pub(crate) loops: u64,
    /// Where the interpreter stopped.
    pub(crate) stop_cell: *const Cell,
    /// Why the run ended, if not by an exit.
    pub(crate) fault: Option<FaultKind>,
    /// Callers, the one that has the frame nearest to the end of the stack first.
    pub(crate) callers: [Caller; MAX_FRAMES as usize],
}

impl State {
    pub(crate) const fn new(machine: *mut Machine) -> Self {
        Self {
            registers: [0; 11],
            fuel: 0,
            frame: STACK_END as u64,
            machine,
            program: 0,
            context: 0,
            helper: 0,
            packet: std::ptr::null(),
            packet_len: 0,
            saved_sp: 0,
            stop_pc: 0,
            stop_reason: 0,
            stop_registers: [0; 32],
            entry_frame: STACK_END as u64,
            loops: MAX_LOOPS,
            stop_cell: std::ptr::null(),
            fault: None,
            callers: [Caller { back: std::ptr::null(), saved: [0; 4], loops: 0 }; MAX_FRAMES as usize],
        }
    }
}

/// The state in front of a cage.
///
/// # Safety
/// `base` is the base of a living space.
#[inline(always)]
pub(crate) const unsafe fn state_of(base: *mut u8) -> *mut State {
    // SAFETY: the state lies at this distance, in the same reservation.
    unsafe { base.sub(STATE_DISTANCE).cast() }
}
