//! One thread's part of a machine: a cage with the context, the stack and the packet of a run.

use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::ptr;
use std::sync::Arc;

use skep_isa::ebpf::InsnIdx;

use super::environment::{Clock, ClockKind, Task};
use super::fault::{Fault, FaultKind};
use super::fib::FibTable;
use super::interpreter::{self, End, Form, Watch, insn_of};
use super::jit::{self, Compiled, Ended};
use super::layout::{CONTEXT, MAX_CONTEXT_BYTES, PAGE_BYTES, SLOT_BYTES, STACK, STACK_END, map_handle};
use super::machine::Machine;
use super::space::{Extent, Model, Space};
use super::state::State;
use super::timers::Timer;
use super::vm::{Engine, Shared};
use crate::classic::Metadata;

/// What one run works on.
#[derive(Debug)]
pub struct Input<'a> {
    /// The bytes that register 1 points to, at most [`MAX_CONTEXT_BYTES`]; register 2 is their number. They hold what
    /// the program left there afterwards.
    pub context: &'a mut [u8],
    /// The packet of packet loads and of helpers.
    pub packet: &'a [u8],
    /// What the kernel knows about the packet.
    pub meta: &'a Metadata,
}

/// What is seen in front of an instruction.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The index of the program; another one behind a tail call.
    pub program: usize,
    /// The instruction.
    pub at: InsnIdx,
    /// The registers.
    pub registers: &'a [u64; 11],
    /// The memory.
    pub machine: &'a Machine,
}

/// Looks at every instruction of the runs of a worker ([`Worker::set_watcher`]).
pub struct Watcher(Box<dyn FnMut(Step<'_>) + Send>);

impl Watcher {
    /// Calls a function in front of every instruction.
    pub fn new(watch: impl FnMut(Step<'_>) + Send + 'static) -> Self {
        Self(Box::new(watch))
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

/// An address space in which programs of one machine run, one at a time.
#[derive(Debug)]
pub struct Worker {
    machine: Box<Machine>,
    shared: Arc<Shared>,
    engine: Engine,
    fuel: u64,
    fuel_used: u64,
    /// Mapped bytes of context.
    context_room: u32,
    /// Bytes of context of the last run: the end of the room.
    context_len: u32,
    /// Bytes at the end of the stack page that may not be zero.
    dirty: u32,
    watcher: Option<Watcher>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>) -> io::Result<Self> {
        let mut space = Space::new()?;
        space.map_private(STACK, PAGE_BYTES)?;
        let stack = Extent { start: STACK, len: PAGE_BYTES };
        space.describe(STACK, 1, Some(stack), stack, true);
        let mut machine = Box::new(Machine::new(space, Arc::clone(&shared)));
        machine.place_maps()?;
        // SAFETY: the state lies in the head of the new space; the machine lives as long as the worker.
        unsafe { machine.space.state().write(State::new(&raw mut *machine)) };
        let (engine, fuel) = (shared.engine, shared.fuel);
        Ok(Self {
            machine,
            shared,
            engine,
            fuel,
            fuel_used: 0,
            context_room: 0,
            context_len: 0,
            dirty: 0,
            watcher: None,
        })
    }

    /// With another limit than that of the machine.
    pub const fn set_fuel(&mut self, fuel: u64) {
        self.fuel = fuel;
    }

    /// With another engine than that of the machine.
    pub const fn set_engine(&mut self, engine: Engine) {
        self.engine = engine;
    }

    /// Fuel that the last run used: an upper bound of its instructions, but for those in front of its first jump
    /// backwards or call.
    pub const fn fuel_used(&self) -> u64 {
        self.fuel_used
    }

    /// The task that programs see (`bpf_get_current_*`); until then the one of [`Task::default`].
    pub fn set_task(&mut self, task: Task) {
        self.machine.environment.task = task;
    }

    /// The clock that programs read; until then that of the host. Timers that were started keep the time at which they
    /// are due.
    pub fn set_clock(&mut self, clock: Clock) {
        self.machine.environment.clock = clock;
    }

    /// The routes of `bpf_fib_lookup`; until then there are none.
    pub fn set_routes(&mut self, routes: Arc<FibTable>) {
        self.machine.environment.fib = routes;
    }

    /// The memory node of `bpf_get_numa_node_id`, 0 until then.
    pub fn set_numa_node(&mut self, node: u32) {
        self.machine.environment.numa_node = node;
    }

    /// Lines that programs printed (`bpf_trace_printk`), oldest first, until they are taken.
    pub fn printed(&self) -> impl ExactSizeIterator<Item = &str> {
        self.machine.environment.printed.iter().map(String::as_str)
    }

    /// Takes the lines that programs printed, and the number of lines that were dropped because there were more than
    /// [`MAX_PRINTED_LINES`](super::MAX_PRINTED_LINES).
    pub fn take_printed(&mut self) -> (Vec<String>, u64) {
        let environment = &mut self.machine.environment;
        let lost = std::mem::take(&mut environment.printed_lost);
        (std::mem::take(&mut environment.printed).into(), lost)
    }

    /// Lets time pass: adds nanoseconds to all clocks and runs the callbacks of the timers that come due, in the order of
    /// their times and each at its time. Callbacks run in the interpreter, all together with the fuel of a run. Returns
    /// their number.
    ///
    /// # Errors
    /// The first callback that does what it must not, or finds no fuel left; the time stands where it was due then.
    ///
    /// # Panics
    /// If a registered helper panics.
    pub fn advance_time(&mut self, nanoseconds: u64) -> Result<u64, Fault> {
        let now = |worker: &Self| worker.machine.environment.clock.now(ClockKind::Monotonic);
        let end = now(self).saturating_add(nanoseconds);
        let (mut fired, mut left) = (0, self.fuel);
        while let Some((number, timer, due)) = self.machine.environment.timers.next_due(end) {
            let ahead = due.saturating_sub(now(self));
            self.machine.environment.clock.advance(ahead);
            if let Some(timer) = self.machine.environment.timers.get(number, timer.address) {
                timer.due = None;
            }
            fired += u64::from(self.fire(number, timer, left)?);
            // Each one costs something, so that a timer which starts itself at once comes to an end.
            left = left.saturating_sub(self.fuel_used.max(1));
        }
        let rest = end.saturating_sub(now(self));
        self.machine.environment.clock.advance(rest);
        Ok(fired)
    }

    /// Calls back for a timer, if its value is still there and still has it.
    fn fire(&mut self, number: u64, timer: Timer, fuel: u64) -> Result<bool, Fault> {
        let handle = map_handle(timer.map);
        let found = self.machine.timer_entry(number, timer);
        let (Some((key, value)), Some((program, step))) = (found, timer.callback) else {
            self.machine.environment.timers.remove(number);
            return Ok(false);
        };
        if fuel == 0 {
            return Err(Fault {
                program,
                at: insn_of(&self.shared.programs[program].program, step as usize),
                kind: FaultKind::OutOfFuel,
                fuel,
            });
        }
        let form = if self.engine == Engine::Interpreter { Form::Fast } else { Form::StepPages };
        self.machine.prepare(form.model(), self.context_start(), Some(interpreter::call_back));
        let Ok(Some((key, _))) = self.machine.lend(&key) else { return Ok(false) };
        self.machine.environment.timers.firing = Some(number);
        let limit = std::mem::replace(&mut self.fuel, fuel);
        let result = self.interpret_from(program, step, form, [handle, key, value, 0, 0], None);
        self.fuel = limit;
        self.machine.environment.timers.firing = None;
        result.map(|_| true)
    }

    pub(super) fn machine_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// What helpers work on: to look at the memory of the last run.
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The context of the next run, `len` bytes that keep their values from run to run.
    ///
    /// # Errors
    /// What mprotect(2) says, and `InvalidInput` for more than [`MAX_CONTEXT_BYTES`].
    pub fn context(&mut self, len: usize) -> io::Result<&mut [u8]> {
        let len = u32::try_from(len).ok().filter(|&len| len <= MAX_CONTEXT_BYTES).ok_or(io::ErrorKind::InvalidInput)?;
        if len != self.context_len || self.context_room == 0 {
            self.resize_context(len)?;
        }
        let start = self.context_start();
        // SAFETY: the bytes are mapped, and no program runs while the worker is borrowed.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.machine.space.base().add(start as usize), len as usize) })
    }

    /// The address of the context: what register 1 is on entry. It changes with the length.
    pub const fn context_address(&self) -> u64 {
        self.context_start() as u64
    }

    /// Bytes of context of the last run.
    pub(crate) const fn context_len(&self) -> u32 {
        self.context_len
    }

    /// The context ends with its room, so that compiled code faults behind it too; it starts at a multiple of 8.
    const fn context_start(&self) -> u32 {
        CONTEXT + self.context_room - self.context_len.next_multiple_of(8)
    }

    fn resize_context(&mut self, len: u32) -> io::Result<()> {
        let room = len.max(1).next_multiple_of(PAGE_BYTES);
        let old = self.context_start();
        if room > self.context_room {
            self.machine.space.map_private(CONTEXT, room)?;
            // What the old context held must not show up in the middle of the new room.
            // SAFETY: these bytes were mapped before.
            unsafe { ptr::write_bytes(self.machine.space.base().add(CONTEXT as usize), 0, self.context_room as usize) };
            self.context_room = room;
        } else {
            // SAFETY: the old context is mapped.
            unsafe { ptr::write_bytes(self.machine.space.base().add(old as usize), 0, self.context_len as usize) };
        }
        self.context_len = len;
        let object = Extent { start: self.context_start(), len };
        let pages = Extent { start: CONTEXT, len: self.context_room };
        let slots = self.context_room.div_ceil(SLOT_BYTES);
        self.machine.space.describe(CONTEXT, slots, Some(object), pages, true);
        Ok(())
    }

    /// Runs a program and gives register 0 at its end.
    ///
    /// On entry register 1 is the address of the context, register 2 its length, register 10 the end of the stack; all
    /// others are 0. What the program changed in maps stays when a run ends with a fault.
    ///
    /// # Errors
    /// The first instruction that does what it must not.
    ///
    /// # Panics
    /// If there is no program with this index, the context is larger than [`MAX_CONTEXT_BYTES`], or a registered helper
    /// panics.
    pub fn run(&mut self, program: usize, input: Input<'_>) -> Result<u64, Fault> {
        self.run_watched(program, input, None)
    }

    /// As [`run`](Self::run) in the interpreter, with a look at the registers in front of every instruction.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Panics
    /// As for [`run`](Self::run).
    pub fn trace(
        &mut self,
        program: usize,
        input: Input<'_>,
        mut watch: impl FnMut(usize, InsnIdx, &[u64; 11]),
    ) -> Result<u64, Fault> {
        let shared = Arc::clone(&self.shared);
        let mut watch = |program: usize, step: usize, registers: &[u64; 11], _: &Machine| {
            watch(program, insn_of(&shared.programs[program].program, step), registers);
        };
        self.run_watched(program, input, Some(&mut watch))
    }

    fn run_watched(&mut self, program: usize, input: Input<'_>, watch: Option<&mut Watch<'_>>) -> Result<u64, Fault> {
        self.machine.remove_packet();
        let room = self.context(input.context.len()).unwrap_or_else(|error| panic!("the context: {error}"));
        room.copy_from_slice(input.context);
        self.set_packet(input.packet, input.meta);
        let result = match watch {
            Some(watch) => self.interpret(program, Form::Step, Some(watch)),
            None => self.execute_prepared(program),
        };
        self.clear_packet();
        self.copy_context(input.context);
        result
    }

    /// Copies what the program left in the context.
    fn copy_context(&self, to: &mut [u8]) {
        let start = self.context_start() as usize;
        // SAFETY: the context is mapped and as long, and no program runs any more.
        let room = unsafe { std::slice::from_raw_parts(self.machine.space.base().add(start), to.len()) };
        to.copy_from_slice(room);
    }

    /// Runs a program on a packet that is in the cage. The fields of the context that say where it lies are written
    /// here.
    pub(super) fn run_on_packet(&mut self, program: usize, context: &mut [u8], meta: &Metadata) -> Result<u64, Fault> {
        let room = self.context(context.len()).unwrap_or_else(|error| panic!("the context: {error}"));
        room.copy_from_slice(context);
        self.machine.set_meta(meta);
        self.machine.model = Model::Pages;
        self.machine.context = self.context_start();
        // The context has all of its fields.
        let described = self.machine.describe_in_context();
        debug_assert_eq!(described, Ok(()));
        let result = self.execute_prepared(program);
        self.clear_packet();
        self.copy_context(context);
        result
    }

    /// The packet of the last run is not there any more.
    #[inline]
    fn clear_packet(&mut self) {
        self.machine.point_to_packet(&[]);
    }

    #[inline]
    fn set_packet(&mut self, packet: &[u8], meta: &Metadata) {
        self.machine.point_to_packet(packet);
        self.machine.set_meta(meta);
    }

    /// Runs a program on the context and the packet that are in place.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Panics
    /// If there is no program with this index, or a registered helper panics.
    #[inline]
    pub fn execute(&mut self, program: usize) -> Result<u64, Fault> {
        self.machine.remove_packet();
        self.execute_prepared(program)
    }

    /// Looks at every instruction of all runs that follow, on packets too; they are interpreted. Callbacks of helpers and
    /// timers are not looked at. `None` ends that.
    pub fn set_watcher(&mut self, watcher: Option<Watcher>) {
        self.watcher = watcher;
    }

    #[cold]
    fn execute_watched(&mut self, program: usize, mut watcher: Watcher) -> Result<u64, Fault> {
        let shared = Arc::clone(&self.shared);
        let mut watch = |program: usize, step: usize, registers: &[u64; 11], machine: &Machine| {
            let at = insn_of(&shared.programs[program].program, step);
            (watcher.0)(Step { program, at, registers, machine });
        };
        let result = self.interpret(program, Form::Step, Some(&mut watch));
        self.watcher = Some(watcher);
        result
    }

    #[inline]
    fn execute_prepared(&mut self, program: usize) -> Result<u64, Fault> {
        if let Some(watcher) = self.watcher.take() {
            return self.execute_watched(program, watcher);
        }
        match self.engine {
            Engine::Interpreter => self.interpret(program, Form::Fast, None),
            Engine::InterpreterByPage => self.interpret(program, Form::StepPages, None),
            Engine::Auto | Engine::Jit => {
                let shared: *const Shared = Arc::as_ptr(&self.shared);
                // SAFETY: the worker keeps the shared part; nothing takes it away while this function runs.
                let shared = unsafe { &*shared };
                match shared.compiled(program) {
                    Some(compiled) => self.run_compiled(shared, program, compiled),
                    None => self.interpret(program, Form::Fast, None),
                }
            }
        }
    }

    /// Runs a program on the context that is in place and on a packet that stays where it is.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Panics
    /// As for [`execute`](Self::execute).
    #[inline]
    pub fn execute_on(&mut self, program: usize, packet: &[u8], meta: &Metadata) -> Result<u64, Fault> {
        self.set_packet(packet, meta);
        let result = self.execute(program);
        self.clear_packet();
        result
    }

    fn run_compiled(&mut self, shared: &Shared, program: usize, compiled: &Compiled) -> Result<u64, Fault> {
        self.scrub_stack(shared.programs[program].dirty_stack);
        self.machine.prepare(Model::Pages, self.context_start(), Some(jit::call_back));
        // SAFETY: the state lies in the head of the space; no program runs.
        unsafe {
            let state = &mut *self.machine.space.state();
            state.fuel = self.fuel;
            state.context = self.context_start().into();
        }
        // SAFETY: the space and the machine live, the state is prepared, the code is that of the program.
        let ended = unsafe { jit::run(self.machine.space.base(), shared, program, compiled, self.context_len) };
        // SAFETY: the state lies in the head of the space; no program runs any more.
        let left = unsafe { (*self.machine.space.state()).fuel };
        self.fuel_used = self.fuel - left;
        self.machine.finish();
        match ended {
            Ended::Exit(value) => Ok(value),
            Ended::Fault { program, step, kind } => Err(self.fault(program, step, kind, left)),
        }
    }

    fn interpret(&mut self, program: usize, form: Form, watch: Option<&mut Watch<'_>>) -> Result<u64, Fault> {
        self.machine.prepare(form.model(), self.context_start(), Some(interpreter::call_back));
        let arguments = [self.context_start().into(), self.context_len.into(), 0, 0, 0];
        self.interpret_from(program, 0, form, arguments, watch)
    }

    /// Runs the function at a step with registers 1 to 5, on a machine that is prepared.
    fn interpret_from(
        &mut self,
        program: usize,
        start: u32,
        form: Form,
        arguments: [u64; 5],
        watch: Option<&mut Watch<'_>>,
    ) -> Result<u64, Fault> {
        let loaded = &self.shared.programs[program];
        // The functions of callbacks may use all of it.
        let dirty = if start == 0 { loaded.dirty_stack } else { PAGE_BYTES };
        self.scrub_stack(dirty);
        // SAFETY: the state lies in the head of the space; no program runs.
        let state = unsafe { &mut *self.machine.space.state() };
        state.registers = [0; 11];
        state.registers[1..6].copy_from_slice(&arguments);
        state.fuel = self.fuel;
        // SAFETY: the space and the machine live, the state is prepared.
        let end = unsafe { interpreter::run(self.machine.space.base(), &self.shared, program, start, form, watch) };
        // SAFETY: the state lies in the head of the space; no program runs any more.
        let left = unsafe { (*self.machine.space.state()).fuel };
        self.fuel_used = self.fuel - left;
        self.machine.finish();
        match end {
            End::Exit(value) => Ok(value),
            End::Fault { program, step, kind } => Err(self.fault(program, step, kind, left)),
        }
    }

    /// Gives the fault to the caller; a panic of a helper goes on.
    #[cold]
    fn fault(&mut self, program: usize, step: usize, kind: FaultKind, fuel: u64) -> Fault {
        // A tail call may have led to a program that uses more of the stack than the one that was started.
        self.dirty = PAGE_BYTES;
        let at = insn_of(&self.shared.programs[program].program, step);
        if let Some(payload) = self.machine.panic.take() {
            resume_unwind(payload);
        }
        Fault { program, at, kind, fuel }
    }

    /// Makes the stack all zeros; `dirty` bytes at its end may not be zero after the coming run.
    #[inline]
    fn scrub_stack(&mut self, dirty: u32) {
        // Word by word: library functions use masked stores for short lengths, and those that reach into the
        // inaccessible page behind the stack take a hundred nanoseconds although they write nothing there.
        let words = self.dirty.div_ceil(8) as usize;
        // SAFETY: the stack is mapped and ends at the end of a page, and no program runs.
        unsafe {
            let end = self.machine.space.base().add(STACK_END as usize).cast::<u64>();
            if words >= 64 {
                ptr::write_bytes(end.sub(words), 0, words);
            } else {
                (1..=words).for_each(|word| end.sub(word).write_volatile(0));
            }
        }
        self.dirty = dirty;
    }
}
