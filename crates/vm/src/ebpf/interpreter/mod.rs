//! The interpreter: decoded instructions whose handlers call each other in tail position.
//!
//! A [`Cell`] holds a handler and its operands, registers as byte offsets into the state. A handler does its work and
//! calls that of the next cell; optimised builds turn this into a jump, so that a program runs without returning to a
//! loop. Where that is not certain (builds without optimisation) and where every step is looked at (tracing, exact
//! counting), a loop drives handlers that return instead. Both are the same code, compiled for another [`Mode`].
//!
//! Fuel is paid where a program could go on for ever: a taken jump backwards costs the instructions that it spans, a
//! call those of the callee. What is used is therefore an upper bound of the instructions that ran.

mod access;
mod arith;
mod control;
mod select;

pub(crate) use select::inside_frame;

use skep_isa::ebpf::InsnIdx;

use super::fault::FaultKind;
use super::helpers::Helpers;
use super::layout::{FRAME_BYTES, STACK, STACK_END};
use super::machine::Machine;
use super::program::Program;
use super::space::{Model, set_stack_bottom};
use super::state::{MAX_LOOPS, State, state_of};
use super::vm::Shared;

/// Does the work of one cell. Returns the next cell to a driving loop, null when the run is over.
pub(crate) type Handler = unsafe extern "C" fn(*const Cell, *mut u8, u64) -> *const Cell;

/// One instruction, ready to run.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    /// What runs it: gets the cell, the base of the cage and the fuel.
    run: Handler,
    /// Constant operand, extended by its sign.
    imm: u64,
    /// Distance in bytes of an access, in cells of a jump or call.
    off: i32,
    /// Byte offset of the destination register in the state.
    dst: u16,
    /// Byte offset of the source register in the state.
    src: u16,
}

const _: () = assert!(size_of::<Cell>() == 24);

/// How handlers are compiled.
trait Mode {
    /// Handlers call the next one; otherwise they return it.
    const TAIL: bool;
    /// The name of the mode.
    const FORM: Form;
    /// How accesses are checked.
    const MODEL: Model = Self::FORM.model();
}

/// Fast, with precise checks.
struct Fast;
/// Step by step, with precise checks.
struct Step;
/// Step by step, with the checks of compiled code.
struct StepPages;

impl Mode for Fast {
    // Without optimisation a tail call is a call, and the stack would overflow.
    const TAIL: bool = cfg!(tail_calls);
    const FORM: Form = Form::Fast;
}

impl Mode for Step {
    const TAIL: bool = false;
    const FORM: Form = Form::Step;
}

impl Mode for StepPages {
    const TAIL: bool = false;
    const FORM: Form = Form::StepPages;
}

/// A program as cells for one mode.
#[derive(Debug)]
pub(crate) struct Code {
    cells: Box<[Cell]>,
}

// SAFETY: the pointers in it are those of functions.
unsafe impl Send for Code {}
// SAFETY: as above; nothing changes it.
unsafe impl Sync for Code {}

/// The three forms of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Fast,
    Step,
    StepPages,
}

impl Form {
    pub(crate) const fn model(self) -> Model {
        match self {
            Self::Fast | Self::Step => Model::Precise,
            Self::StepPages => Model::Pages,
        }
    }
}

impl Code {
    pub(crate) fn new(program: &Program, helpers: &Helpers, form: Form) -> Self {
        let cells = match form {
            Form::Fast => select::cells::<Fast>(program, helpers),
            Form::Step => select::cells::<Step>(program, helpers),
            Form::StepPages => select::cells::<StepPages>(program, helpers),
        };
        Self { cells }
    }

    pub(crate) fn first(&self) -> *const Cell {
        self.cells.as_ptr()
    }

    /// The cell of a step.
    pub(crate) fn cell(&self, step: u32) -> Option<*const Cell> {
        self.cells.get(step as usize).map(std::ptr::from_ref)
    }

    /// The step whose cell this is.
    pub(crate) fn step_of(&self, cell: *const Cell) -> Option<usize> {
        let distance = (cell as usize).checked_sub(self.first() as usize)?;
        let index = distance / size_of::<Cell>();
        (index < self.cells.len()).then_some(index)
    }
}

/// What looks at every step of a run: gets the step as program and index, the registers in front of it, and the memory.
pub(crate) type Watch<'a> = dyn FnMut(usize, usize, &[u64; 11], &Machine) + 'a;

/// How a run ended.
pub(crate) enum End {
    /// By an exit; register 0.
    Exit(u64),
    /// By a fault at a step of a program.
    Fault { program: usize, step: usize, kind: FaultKind },
}

/// Runs a program whose state is prepared: registers, fuel, stack.
///
/// # Safety
/// `base` is the base of a living space, whose state has a machine with all code in this form; `start` is the first step
/// of a function.
pub(crate) unsafe fn run(
    base: *mut u8,
    shared: &Shared,
    program: usize,
    start: u32,
    form: Form,
    watch: Option<&mut Watch<'_>>,
) -> End {
    // SAFETY: the caller's promise.
    let state = unsafe { state_of(base) };
    // SAFETY: the state is valid and used by this thread only.
    unsafe {
        (*state).entry_frame = u64::from(STACK_END);
        (*state).program = program as u64;
        (*state).registers[10] = u64::from(STACK_END);
        (*state).loops = MAX_LOOPS;
        (*state).fault = None;
    }
    if form.model() == Model::Precise {
        // SAFETY: the stack of a worker is mapped.
        unsafe { set_stack_bottom(base, STACK_END - FRAME_BYTES) };
    }
    let code = shared.code(program, form);
    let first = code.cell(start).unwrap_or_else(|| code.first());
    match watch {
        // SAFETY: the cell is the first of a program, the state is prepared.
        None => unsafe { drive(base, first) },
        // SAFETY: as above.
        Some(watch) => unsafe {
            let mut cell = first;
            while !cell.is_null() {
                if let Some((program, step)) = shared.find_step(cell, form) {
                    // No handler runs meanwhile, so nothing else looks at the machine.
                    watch(program, step, &(*state).registers, &*(*state).machine);
                }
                cell = ((*cell).run)(cell, base, (*state).fuel);
            }
        },
    }
    // SAFETY: the state is valid.
    let (fault, cell, value) = unsafe { ((*state).fault, (*state).stop_cell, (*state).registers[0]) };
    match fault {
        None => End::Exit(value),
        Some(kind) => {
            let (program, step) = shared.find_step(cell, form).unwrap_or((program, 0));
            End::Fault { program, step, kind }
        }
    }
}

/// Runs cells until the exit of the function at `entry_frame`, or a fault.
///
/// # Safety
/// `cell` is one of a program's, the state is prepared.
unsafe fn drive(base: *mut u8, mut cell: *const Cell) {
    while !cell.is_null() {
        // SAFETY: handlers return cells of their program or null.
        unsafe { cell = ((*cell).run)(cell, base, (*state_of(base)).fuel) };
    }
}

/// Runs a function of the active program for a helper: [`CallBack`](super::machine::CallBack) of the interpreter.
///
/// # Safety
/// Called by a helper that the interpreter called, with the base of the space in which it runs.
pub(crate) unsafe fn call_back(base: *mut u8, step: u32, arguments: [u64; 5]) -> Result<u64, FaultKind> {
    // SAFETY: the caller's promise.
    let state = unsafe { &mut *state_of(base) };
    let saved = (state.registers, state.entry_frame, state.loops, state.stop_cell);
    let frame = state.registers[10];
    if frame <= u64::from(STACK + FRAME_BYTES) {
        return Err(FaultKind::TooManyFrames);
    }
    // SAFETY: the cell that called the helper is one of the running program.
    let target = unsafe { control::function_of_callback(state, step) };
    let Some((cell, cost)) = target else {
        return Err(FaultKind::NotAFunction(super::layout::function_address(step)));
    };
    let Some(fuel) = state.fuel.checked_sub(cost) else { return Err(FaultKind::OutOfFuel) };
    state.fuel = fuel;
    state.registers[1..6].copy_from_slice(&arguments);
    state.registers[10] = frame - u64::from(FRAME_BYTES);
    state.entry_frame = state.registers[10];
    state.loops = MAX_LOOPS;
    // SAFETY: the stack is mapped, the cell is the first of a function.
    unsafe {
        set_stack_bottom(base, (state.registers[10] as u32) - FRAME_BYTES);
        drive(base, cell);
        set_stack_bottom(base, (frame as u32) - FRAME_BYTES);
    }
    let value = state.registers[0];
    let fault = state.fault;
    (state.registers, state.entry_frame, state.loops, state.stop_cell) =
        (saved.0, saved.1, saved.2, if fault.is_some() { state.stop_cell } else { saved.3 });
    fault.map_or(Ok(value), Err)
}

/// The address of a step for faults.
pub(crate) fn insn_of(program: &Program, step: usize) -> InsnIdx {
    program.steps.get(step).map_or(InsnIdx(0), |step| step.at)
}

/// The register at a byte offset in the state.
///
/// # Safety
/// `base` is the base of a living space, `offset` that of a register.
#[inline(always)]
unsafe fn register(base: *mut u8, offset: u16) -> *mut u64 {
    // SAFETY: registers are the first field of the state.
    unsafe { state_of(base).cast::<u8>().add(offset as usize).cast() }
}

/// Goes on with another cell.
///
/// # Safety
/// `cell` is a cell of a program in the mode `D`.
#[inline(always)]
unsafe fn go<D: Mode>(cell: *const Cell, base: *mut u8, fuel: u64) -> *const Cell {
    if D::TAIL {
        // SAFETY: the caller's promise.
        unsafe { ((*cell).run)(cell, base, fuel) }
    } else {
        // SAFETY: the state is valid and used by this thread only.
        unsafe { (*state_of(base)).fuel = fuel };
        cell
    }
}

/// Ends the run with a fault at a cell.
///
/// # Safety
/// `base` is the base of a living space.
#[cold]
#[inline(never)]
unsafe fn stop(cell: *const Cell, base: *mut u8, fuel: u64, kind: FaultKind) -> *const Cell {
    // SAFETY: the state is valid and used by this thread only.
    let state: &mut State = unsafe { &mut *state_of(base) };
    state.fault = Some(kind);
    state.stop_cell = cell;
    state.fuel = if kind == FaultKind::OutOfFuel { 0 } else { fuel };
    std::ptr::null()
}
