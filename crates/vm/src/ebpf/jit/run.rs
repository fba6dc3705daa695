//! Compiled programs: linked, entered, and asked where they stopped.

use std::io;

use super::arena::{Arena, Block};
use super::lowered::{Access, Call, Lowered, Place, Reason, Stop};
use super::plan::{ArrayMap, Options, Plan};
use crate::classic;
use crate::ebpf::fault::FaultKind;
use crate::ebpf::helpers::{Entry, Helpers, finish, tail_call as find_program};
use crate::ebpf::layout::{FRAME_BYTES, STACK, STACK_END, function_address, function_step};
use crate::ebpf::program::Program;
use crate::ebpf::state::{Outcome, State, state_of};
use crate::ebpf::vm::Shared;

/// A program as machine code.
#[derive(Debug)]
pub(crate) struct Compiled {
    block: Block,
    functions: Vec<u32>,
    stops: Vec<Stop>,
    accesses: Vec<Access>,
}

/// How compiled code ended.
pub(crate) enum Ended {
    /// By an exit; register 0.
    Exit(u64),
    /// By a fault at a step of a program.
    Fault { program: usize, step: usize, kind: FaultKind },
}

impl Compiled {
    /// Compiles for this machine.
    ///
    /// # Errors
    /// `Unsupported` where there is no generator, otherwise what the system says to executable memory.
    pub(crate) fn new(
        program: &Program,
        number: u32,
        helpers: &Helpers,
        arrays: Vec<ArrayMap>,
        proved: bool,
        blinding: Option<u32>,
    ) -> io::Result<Self> {
        let arena = Arena::get().ok_or(io::ErrorKind::Unsupported)?;
        let mut outside = vec![PACKET_LOAD as usize, TAIL_CALL as usize, INDIRECT as usize];
        outside.extend(helpers.entries().map(|entry| entry as usize));
        let near = outside.iter().all(|&address| arena.is_near(address));
        let options = Options { proved, blinding, bmi2: has_bmi2(), near };
        let plan = Plan::new(program, number, helpers, &arrays, options);
        let Lowered { code, functions, stops, accesses, calls, .. } = lower(&plan)?;
        let block = arena.place(&code, |code, address| {
            for &(at, call) in &calls {
                link(code, address, at as usize, target(arena, helpers, call), near || call == Call::Stop)?;
            }
            Ok(())
        })?;
        Ok(Self { block, functions, stops, accesses })
    }

    /// Where a run of the program starts.
    const fn start(&self) -> usize {
        self.block.address
    }

    /// Address of a function, for calls.
    fn function(&self, index: usize) -> usize {
        self.block.address + self.functions.get(index).copied().unwrap_or(0) as usize
    }

    /// A copy of the machine code.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        // SAFETY: the block is mapped and readable as long as it lives, and nothing writes to it.
        unsafe { std::slice::from_raw_parts(self.block.address as *const u8, self.block.len) }.to_vec()
    }

    /// The distance of an address from the start of the code, if it is in it.
    fn position(&self, address: u64) -> Option<u32> {
        let distance = (address as usize).checked_sub(self.block.address)?;
        // The return address of a last call lies behind the code.
        (distance <= self.block.len).then_some(distance as u32)
    }
}

/// Where a call leads.
fn target(arena: &Arena, helpers: &Helpers, call: Call) -> usize {
    match call {
        Call::Stop => arena.stop,
        Call::Helper(index) => helpers.at(index).map_or(arena.stop, |helper| helper.entry as usize),
        Call::OtherProgram => TAIL_CALL as usize,
        Call::Indirect => INDIRECT as usize,
        Call::PacketLoad => PACKET_LOAD as usize,
    }
}

/// Generates code for this machine.
#[cfg(target_arch = "aarch64")]
fn lower(plan: &Plan<'_>) -> io::Result<Lowered> {
    super::a64::lower(plan).map_err(io::Error::other)
}

/// Generates code for this machine.
#[cfg(not(target_arch = "aarch64"))]
#[expect(clippy::unnecessary_wraps, reason = "other processors have distances that may be too long")]
fn lower(plan: &Plan<'_>) -> io::Result<Lowered> {
    Ok(super::x86::lower(plan))
}

/// Fills in the address of a call.
#[cfg(target_arch = "aarch64")]
#[expect(clippy::unnecessary_wraps, reason = "other processors have distances that may be too long")]
fn link(code: &mut [u8], _: usize, at: usize, target: usize, _: bool) -> io::Result<()> {
    super::a64::link(code, at, target as u64);
    Ok(())
}

/// Fills in the distance, or the address, of a call.
#[cfg(not(target_arch = "aarch64"))]
fn link(code: &mut [u8], address: usize, at: usize, target: usize, near: bool) -> io::Result<()> {
    if near {
        let behind = address + at + 4;
        let distance = i32::try_from(target as i64 - behind as i64).map_err(|_| io::ErrorKind::OutOfMemory)?;
        code[at..at + 4].copy_from_slice(&distance.to_le_bytes());
    } else {
        code[at..at + 8].copy_from_slice(&(target as u64).to_le_bytes());
    }
    Ok(())
}

fn has_bmi2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("bmi2");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Enters code.
///
/// # Safety
/// `code` is a function of a compiled program, `base` the base of the space in which it may run, with a prepared state.
unsafe fn enter(base: *mut u8, code: usize, registers: &[u64; 6]) -> Outcome {
    let Some(arena) = Arena::get() else { return Outcome { value: 0, stop: 1 } };
    // SAFETY: this is the entry stub, which has this type.
    let enter: unsafe extern "C" fn(*mut u8, usize, *const [u64; 6]) -> Outcome =
        unsafe { std::mem::transmute(arena.enter) };
    // SAFETY: the caller's promise.
    unsafe { enter(base, code, registers) }
}

/// Runs a program whose state is prepared: fuel, stack, context.
///
/// # Safety
/// `base` is the base of a living space with a machine of these programs.
#[inline]
pub(crate) unsafe fn run(base: *mut u8, shared: &Shared, program: usize, compiled: &Compiled, len: u32) -> Ended {
    // SAFETY: the caller's promise; nobody else uses the state.
    let context = unsafe {
        let state = &mut *state_of(base);
        state.fault = None;
        state.context
    };
    let registers = [context, len.into(), 0, 0, 0, STACK_END.into()];
    // SAFETY: the code is a program.
    let outcome = unsafe { enter(base, compiled.start(), &registers) };
    if outcome.stop == 0 {
        return Ended::Exit(outcome.value);
    }
    // SAFETY: the program has stopped.
    unsafe { stopped(base, shared, program, outcome.stop) }
}

/// Finds out why code stopped.
///
/// # Safety
/// `base` is the base of the space in which it ran.
#[cold]
unsafe fn stopped(base: *mut u8, shared: &Shared, program: usize, how: u64) -> Ended {
    // SAFETY: the caller's promise.
    let state = unsafe { &mut *state_of(base) };
    let place = shared.compiled_at(state.stop_pc, Compiled::position);
    let Some((program, compiled, position)) = place else {
        return Ended::Fault { program, step: 0, kind: FaultKind::HelperPanicked };
    };
    let (step, kind) = if how == 1 {
        let stop = compiled.stops.binary_search_by_key(&position, |stop| stop.at).map(|index| compiled.stops[index]);
        match stop {
            Ok(Stop { reason: Reason::Helper, step, .. }) => {
                // SAFETY: the machine is not in use.
                let inner = unsafe { (*state.machine).fault_in_callback.take() };
                let kind = state.fault.take().unwrap_or(FaultKind::HelperPanicked);
                if kind == FaultKind::OutOfFuel {
                    state.fuel = 0;
                }
                if let Some((program, step)) = inner {
                    return Ended::Fault { program, step, kind };
                }
                (step, kind)
            }
            Ok(Stop { reason, step, .. }) => (step, reason_kind(state, base, reason)),
            Err(_) => (0, FaultKind::HelperPanicked),
        }
    } else {
        let index = compiled.accesses.partition_point(|access| access.at < position);
        match compiled.accesses.get(index).filter(|access| access.at == position) {
            Some(access) => access_kind(state, base, access),
            None => (0, FaultKind::HelperPanicked),
        }
    };
    Ended::Fault { program, step: step as usize, kind }
}

fn reason_kind(state: &mut State, base: *mut u8, reason: Reason) -> FaultKind {
    let kept = state.stop_registers[0];
    match reason {
        Reason::OutOfFuel => {
            state.fuel = 0;
            FaultKind::OutOfFuel
        }
        Reason::TooManyFrames => FaultKind::TooManyFrames,
        Reason::Helper => FaultKind::HelperPanicked,
        Reason::BadCallTarget => FaultKind::BadCallTarget(kept),
        Reason::NotTheContext => FaultKind::NotTheContext(kept),
        Reason::OutsideFrame { off, size, access } => {
            let address = kept.wrapping_add_signed(off.into());
            // SAFETY: the machine is not in use.
            unsafe { (*state.machine).out_of_bounds(address, size, access) }
        }
        Reason::Misaligned { size } => {
            FaultKind::Misaligned { address: (kept as usize).wrapping_sub(base as usize) as u32 as u64, size }
        }
    }
}

fn access_kind(state: &State, base: *mut u8, site: &Access) -> (u32, FaultKind) {
    use crate::ebpf::space::Access as Kind;
    let register = |number: u8| state.stop_registers[usize::from(number) % 32];
    let address = match site.place {
        Place::Fixed(address) => address,
        Place::Register { number, off } => register(number).wrapping_add_signed(off.into()) as u32,
        Place::Host { number } => (register(number) as usize).wrapping_sub(base as usize) as u32,
    };
    // SAFETY: the machine is not in use.
    let machine = unsafe { &*state.machine };
    let address = u64::from(address);
    match site.writer {
        // What can be read has faulted when it was written.
        Some(writer) if machine.check_read(address, site.size).is_ok() => {
            (writer, machine.out_of_bounds(address, site.size, Kind::Write))
        }
        _ => (site.step, machine.out_of_bounds(address, site.size, site.access)),
    }
}

/// Runs a function of the running program for a helper.
///
/// # Safety
/// Called by a helper that compiled code called, with the base of the space in which it runs.
pub(crate) unsafe fn call_back(base: *mut u8, step: u32, arguments: [u64; 5]) -> Result<u64, FaultKind> {
    // SAFETY: the caller's promise. References end before code runs.
    let (machine, program, frame) = unsafe {
        let state = &*state_of(base);
        (state.machine, state.program as usize, state.frame)
    };
    if frame <= u64::from(STACK + FRAME_BYTES) {
        return Err(FaultKind::TooManyFrames);
    }
    // SAFETY: the helper has lent the machine; its shared part stays.
    let shared = unsafe { (*machine).shared_arc() };
    let unknown = FaultKind::NotAFunction(function_address(step));
    let code = &shared.programs[program].program;
    let cost = code.function_at(step).ok_or(unknown)?.len();
    let compiled = shared.compiled(program).ok_or(unknown)?;
    let [r1, r2, r3, r4, r5] = arguments;
    let inner = frame - u64::from(FRAME_BYTES);
    // SAFETY: as above; the code is a function of the program.
    let outcome = unsafe {
        let state = state_of(base);
        (*state).fuel = (*state).fuel.checked_sub(cost.into()).ok_or(FaultKind::OutOfFuel)?;
        let outcome = enter(base, compiled.function(code.function_of(step as usize)), &[r1, r2, r3, r4, r5, inner]);
        // Helpers that the function called have left theirs.
        (*state).frame = frame;
        (*state).program = program as u64;
        outcome
    };
    if outcome.stop == 0 {
        return Ok(outcome.value);
    }
    // SAFETY: the function has stopped.
    match unsafe { stopped(base, &shared, program, outcome.stop) } {
        Ended::Exit(value) => Ok(value),
        Ended::Fault { program, step, kind } => {
            // SAFETY: as above.
            unsafe { (*machine).fault_in_callback = Some((program, step)) };
            Err(kind)
        }
    }
}

const PACKET_LOAD: Entry = packet_load;
const TAIL_CALL: Entry = tail_call;
const INDIRECT: Entry = indirect;

/// Loads from the packet: gets offset and size, gives the value, or 1 as the stop if there is none.
unsafe extern "C" fn packet_load(offset: u64, size: u64, _: u64, _: u64, _: u64, state: *mut State) -> Outcome {
    // SAFETY: compiled code passes the state of the run, whose machine is not in use.
    let machine = unsafe { &*(*state).machine };
    match classic::packet_load(machine.packet(), offset as u32, size as u32, machine.meta()) {
        Some(value) => Outcome { value: value.into(), stop: 0 },
        None => Outcome { value: 0, stop: 1 },
    }
}

/// Finds the code of the program that a tail call leads to, 0 if there is none, and pays for it.
unsafe extern "C" fn tail_call(r1: u64, r2: u64, r3: u64, _: u64, _: u64, state: *mut State) -> Outcome {
    // SAFETY: compiled code passes the state of the run, whose machine is not in use.
    let machine = unsafe { &mut *(*state).machine };
    let result = find_program(machine, [r1, r2, r3, 0, 0]).and_then(|found| {
        let Some(program) = found.checked_sub(1) else { return Ok(0) };
        let shared = machine.shared();
        let Some(compiled) = shared.compiled(program as usize) else { return Ok(0) };
        let cost = shared.programs[program as usize].program.functions[0].len();
        // SAFETY: the fuel is in the state around calls.
        let fuel = unsafe { &mut (*state).fuel };
        *fuel = fuel.checked_sub(cost.into()).ok_or(FaultKind::OutOfFuel)?;
        Ok(compiled.start() as u64)
    });
    // SAFETY: as above.
    unsafe { finish(state, result) }
}

/// Finds what an indirect call calls: the address of a function and its cost; the entry of a helper and 0; or all ones
/// as the cost.
unsafe extern "C" fn indirect(value: u64, _: u64, _: u64, _: u64, _: u64, state: *mut State) -> Outcome {
    // SAFETY: compiled code passes the state of the run, whose machine is not in use.
    let (shared, program) = unsafe { ((*(*state).machine).shared(), (*state).program as usize) };
    let found = match function_step(value) {
        Some(step) => shared.compiled(program).and_then(|compiled| {
            let code = &shared.programs[program].program;
            let function = code.function_at(step)?;
            let address = compiled.function(code.function_of(step as usize));
            Some((address as u64, u64::from(function.len())))
        }),
        None => shared.indirect_helper(value).map(|(index, entry)| {
            // SAFETY: nobody else uses the state.
            unsafe { (*state).helper = index.into() };
            (entry as usize as u64, 0)
        }),
    };
    let (value, stop) = found.unwrap_or((0, u64::MAX));
    Outcome { value, stop }
}
