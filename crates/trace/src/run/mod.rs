//! Running a script: its loaded programs are attached as the plan says, its records performed, until something ends it.
//!
//! ```text
//!  start: host values, begin programs --> attach in the order of the plan --> child goes on
//!                                                                              |
//!         ring buffer --> Dispatcher   <------------- wake up -----------------+
//!                                                                              |
//!  finish: detach --> remaining records --> end programs --> maps <-- exit(), signal, end of a process
//! ```
//!
//! Everything that is attached belongs to descriptors of this process: the kernel detaches it if the process is killed.

mod attach;
mod checks;
mod child;
mod engine;
mod kernel;
mod machine;
mod symbols;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use skep_kernel::{KernelError, Watch};
use skep_lang_script::plan::{Attach, HostInfo, Plan};

pub use child::Child;
pub use kernel::Script;
pub use machine::LocalScript;
pub use symbols::MachineSymbols;

use crate::events::{Dispatcher, EventError, Flow};
use crate::names::Clock;
use engine::{Engine, Losses};

/// `SIGINT`, `SIGTERM`, `SIGHUP` (signal(7)): they end a script in good order.
const ENDING: [i32; 3] = [2, 15, 1];
/// `SIGUSR1` (signal(7)), which a script may have a probe for.
const USER: i32 = 10;
/// Bytes of the context that programs get which the host runs itself: as many as a raw tracepoint may have arguments.
const CONTEXT: [u8; 64] = [0; 64];
/// The packet of tests and benchmarks, which do not look at it: a short frame.
const PACKET: [u8; 64] = [0; 64];
/// Records before signals get their turn: what the host does may cause the next record.
const AT_ONCE: u64 = 4096;

/// Why a script could not run to its end.
#[derive(Debug)]
pub enum RunError {
    /// A probe cannot be attached.
    Attach {
        /// Its name.
        probe: Arc<str>,
        /// Its line in the script.
        line: u32,
        /// The reason.
        problem: String,
    },
    /// A map of the plan is not among those that were loaded.
    Missing(String),
    /// The kernel refused something else.
    Kernel(KernelError),
    /// Records could not be performed.
    Event(EventError),
    /// The command of `-c` could not be started.
    Child(String),
    /// A program cannot run in this process; what it needs.
    NeedsKernel(String),
    /// A program that runs in this process did something that it must not.
    Stopped {
        /// Its probe.
        probe: Arc<str>,
        /// The line of that in the script.
        line: u32,
        /// What it did.
        problem: String,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attach { probe, line, problem } => {
                write!(f, "cannot attach the probe `{probe}` (line {line}): {problem}")
            }
            Self::Missing(name) => write!(f, "the script has no {name}; plan and programs belong to different scripts"),
            Self::Kernel(error) => error.fmt(f),
            Self::Event(error) => error.fmt(f),
            Self::Child(problem) => f.write_str(problem),
            Self::NeedsKernel(problem) => write!(f, "the script cannot run with `--vm`: {problem}"),
            Self::Stopped { probe, line, problem } => {
                write!(f, "the probe `{probe}` (line {line}) was stopped: {problem}")
            }
        }
    }
}

impl std::error::Error for RunError {}

impl From<KernelError> for RunError {
    fn from(error: KernelError) -> Self {
        Self::Kernel(error)
    }
}

impl From<EventError> for RunError {
    fn from(error: EventError) -> Self {
        Self::Event(error)
    }
}

/// What is traced, and what is said about it.
#[derive(Debug, Default)]
pub struct RunOptions {
    /// The process that alone is traced where probes can be limited to one; its end ends the script.
    pub process: Option<u32>,
    /// The command of `-c`, not yet running. It is started when everything is attached, and its end ends the script.
    pub child: Option<Child>,
    /// Whether nothing is said about the number of probes.
    pub quiet: bool,
    /// Whether the script ends as soon as everything is attached; its begin and end probes do not run.
    pub dry_run: bool,
    /// What is run.
    pub mode: Mode,
}

/// What is run of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Everything but tests and benchmarks.
    #[default]
    Trace,
    /// Its tests, between its begin and its end.
    Test,
    /// Its benchmarks.
    Bench,
}

/// Runs a script in the kernel to its end. Gives the exit status: that of `exit()`, 1 after `errorf()` or if a test has
/// failed, else 0.
///
/// # Errors
/// [`RunError`]. Nothing stays attached.
pub fn run(
    plan: &Plan,
    script: &Arc<Script>,
    dispatcher: &mut Dispatcher<'_>,
    options: RunOptions,
) -> Result<i32, RunError> {
    // Signals wait from here on, so that nothing is left half done.
    let watch = watch(plan)?;
    go(plan, kernel::InKernel::new(plan, script)?, watch, dispatcher, options)
}

/// Runs a script in this process, without the kernel: as [`run`].
///
/// # Errors
/// [`RunError`], also for probes that wait for something that happens in the kernel.
pub fn run_here(
    plan: &Plan,
    script: &mut LocalScript,
    dispatcher: &mut Dispatcher<'_>,
    options: RunOptions,
) -> Result<i32, RunError> {
    let watch = watch(plan)?;
    go(plan, machine::InProcess::new(plan, script)?, watch, dispatcher, options)
}

fn watch(plan: &Plan) -> Result<Watch, RunError> {
    let signalled = plan.probes.iter().any(|probe| matches!(probe.attach, Attach::Signal { .. }));
    let signals: Vec<i32> = ENDING.into_iter().chain(signalled.then_some(USER)).collect();
    Ok(Watch::new(&signals)?)
}

fn go(
    plan: &Plan,
    engine: impl Engine,
    mut watch: Watch,
    dispatcher: &mut Dispatcher<'_>,
    mut options: RunOptions,
) -> Result<i32, RunError> {
    engine.wait_for_records(&watch)?;
    let child = options.child.as_ref().map(Child::id);
    let process = options.process.or(child);
    if let Some(process) = process {
        watch.add_process(process)?;
    }
    let mut run = Run { plan, engine, dispatcher, watch, over: false, signalled: false, lost: Losses::default() };
    run.host_values(child)?;
    if options.dry_run {
        run.attach(process)?;
        run.engine.detach()?;
        return Ok(0);
    }
    run.special(|attach| matches!(attach, Attach::Begin))?;
    let mut failed = 0;
    match options.mode {
        _ if run.over => {}
        Mode::Test => failed = run.tests()?,
        Mode::Bench => run.benches()?,
        Mode::Trace => {
            run.attach(process)?;
            if !options.quiet && !run.over {
                run.dispatcher.attached(plan.probes.len() as u64)?;
            }
            if let Some(child) = &options.child {
                child.go_on().map_err(RunError::Child)?;
            }
            run.iterate()?;
            let signalled = plan.probes.iter().any(|probe| matches!(probe.attach, Attach::Signal { .. }));
            // There is nothing to wait for.
            run.over |= process.is_none() && !signalled && !run.engine.is_attached();
            run.until_over()?;
        }
    }
    if let Some(child) = options.child.take() {
        child.end();
    }
    run.finish(options.mode)?;
    let status = run.dispatcher.status();
    Ok(if status == 0 && failed > 0 { 1 } else { status })
}

/// A running script.
struct Run<'r, 'p, E> {
    plan: &'r Plan,
    engine: E,
    dispatcher: &'r mut Dispatcher<'p>,
    watch: Watch,
    over: bool,
    /// Whether the signal that scripts have probes for came before everything was attached.
    signalled: bool,
    /// What was reported of what was lost.
    lost: Losses,
}

impl<E: Engine> Run<'_, '_, E> {
    /// Tells programs about the host.
    fn host_values(&mut self, child: Option<u32>) -> Result<(), RunError> {
        let mut value = [0; HostInfo::SIZE as usize];
        let mut put = |at: u32, word: u64| value[at as usize..at as usize + 8].copy_from_slice(&word.to_ne_bytes());
        put(HostInfo::START, Clock::boot_now());
        put(HostInfo::CHILD, child.unwrap_or(0).into());
        put(HostInfo::CPUS, self.engine.cpus().into());
        let (device, inode) = attach::pid_namespace();
        put(HostInfo::PID_NAMESPACE, inode);
        put(HostInfo::PID_NAMESPACE_DEVICE, device);
        put(HostInfo::WALL_OFFSET, self.dispatcher.names().clock().wall_offset().cast_unsigned());
        self.engine.tell(&value)
    }

    /// Runs the programs of a kind of probes that happen in this process, in order, and performs their records. After the
    /// end of the script the remaining ones do not run.
    fn special(&mut self, wanted: impl Fn(&Attach) -> bool) -> Result<(), RunError> {
        let plan = self.plan;
        for probe in plan.probes.iter().filter(|probe| wanted(&probe.attach)) {
            self.engine.call(probe)?;
            self.drain()?;
            self.report_lost()?;
            if self.over {
                break;
            }
        }
        Ok(())
    }

    /// Whether a signal has come that ends the script.
    fn interrupted(&mut self) -> bool {
        match self.watch.signal() {
            // Its probes run when everything is attached.
            Some(USER) => self.signalled = true,
            Some(_) => self.over = true,
            None => {}
        }
        self.over
    }

    /// Attaches everything, in the order of the plan, unless a signal ends the script meanwhile.
    fn attach(&mut self, process: Option<u32>) -> Result<(), RunError> {
        let plan = self.plan;
        for probe in &plan.probes {
            if self.interrupted() {
                break;
            }
            if let Err(problem) = self.engine.attach(probe, process) {
                // Together this is faster than one by one. The first problem is what counts.
                let _ = self.engine.detach();
                return Err(RunError::Attach { probe: probe.name.clone(), line: probe.line, problem });
            }
        }
        Ok(())
    }

    /// Reads iterators to their ends.
    fn iterate(&mut self) -> Result<(), RunError> {
        while let Some(text) = self.engine.next_iterator()? {
            self.dispatcher.output().raw(&text).map_err(EventError::from)?;
            self.drain()?;
        }
        Ok(())
    }

    /// Performs records until the script is over.
    fn until_over(&mut self) -> Result<(), RunError> {
        loop {
            let more = self.consume(AT_ONCE, true)?;
            self.report_lost()?;
            let mut early = std::mem::take(&mut self.signalled).then_some(USER);
            while let Some(signal) = early.take().or_else(|| self.watch.signal()) {
                if signal == USER {
                    self.special(|attach| matches!(attach, Attach::Signal { .. }))?;
                } else {
                    self.over = true;
                }
            }
            if self.over || self.watch.process_ended()? {
                return Ok(());
            }
            let next = self.engine.work()?;
            if !more {
                self.watch.wait(next)?;
            }
        }
    }

    /// Performs all records that are there.
    fn drain(&mut self) -> Result<(), RunError> {
        // What comes meanwhile waits for the next time.
        let most = self.engine.capacity();
        self.consume(most, false).map(drop)
    }

    /// Performs records, at most so many, if asked so only until the script is over. Says whether there may be more.
    fn consume(&mut self, most: u64, stop: bool) -> Result<bool, RunError> {
        let (mut left, mut failure) = (most, None);
        self.dispatcher.output().gather(true).map_err(EventError::from)?;
        let (dispatcher, over) = (&mut *self.dispatcher, &mut self.over);
        self.engine.consume(&mut |record, maps| {
            match dispatcher.record(record, maps) {
                Ok(Flow::Continue) => {}
                Ok(Flow::Exit(_)) => *over = true,
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
            left -= 1;
            if left == 0 || (stop && *over) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        self.dispatcher.output().gather(false).map_err(EventError::from)?;
        failure.map_or(Ok(left == 0), |error| Err(error.into()))
    }

    /// Says how many records found no room since the last time. An `exit()` among them ends the script.
    fn report_lost(&mut self) -> Result<(), RunError> {
        let lost = self.engine.losses()?;
        let before = std::mem::replace(&mut self.lost, lost);
        if lost.errors > before.errors {
            self.dispatcher.lost_errors();
        }
        if let (Some(status), None) = (lost.exit, before.exit) {
            // There was no room: what is in the buffer came before it.
            self.drain()?;
            self.dispatcher.lost_exit(status);
            self.over = true;
        }
        Ok(self.dispatcher.lost(lost.records.saturating_sub(before.records))?)
    }

    /// Detaches, performs what is left, runs the end programs, and prints the maps.
    fn finish(&mut self, mode: Mode) -> Result<(), RunError> {
        self.engine.detach()?;
        // Behind `exit()` they are only counted.
        self.drain()?;
        self.report_lost()?;
        self.dispatcher.resume();
        self.over = false;
        self.special(|attach| matches!(attach, Attach::End))?;
        if mode == Mode::Trace {
            self.dispatcher.finish(&mut *self.engine.maps()?)?;
        } else {
            self.dispatcher.output().flush().map_err(EventError::from)?;
        }
        Ok(())
    }
}
