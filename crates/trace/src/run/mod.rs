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
mod error;
mod kernel;
mod machine;
mod symbols;
mod timing;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_kernel::Watch;
use skep_lang_script::plan::{Attach, HostInfo, MissingProbes, Plan, Probe};
use skep_sym::DebugDirs;

pub use child::Child;
pub use error::RunError;
pub use kernel::Script;
pub use machine::LocalScript;
pub use symbols::MachineSymbols;

use crate::events::{Dispatcher, EventError, Flow};
use crate::flame::{FlameFiles, has_stack};
use crate::names::Clock;
use engine::{Engine, Losses};
use timing::{Pace, Timing};

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
    /// Files for flame graphs of the maps, as they are before `end` probes run.
    pub flame: FlameFiles,
    /// Where debug files of programs are looked for.
    pub directories: DebugDirs,
    /// When the script ends at the latest, counted from when everything is attached.
    pub duration: Option<Duration>,
    /// How often the probes of `SIGUSR1` run, besides when the signal comes.
    pub every: Option<Duration>,
    /// How many times they run in this way before the script ends.
    pub rounds: Option<u64>,
    /// Whether the time of attaching and detaching is told.
    pub times: bool,
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
    let engine = kernel::InKernel::new(plan, script, options.directories.clone())?;
    go(plan, engine, watch, dispatcher, options)
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
    if options.flame.any() && !plan.maps.iter().any(has_stack) {
        return Err(RunError::NoStacks);
    }
    engine.wait_for_records(&watch)?;
    let child = options.child.as_ref().map(Child::id);
    let process = options.process.or(child);
    if let Some(process) = process {
        watch.add_process(process)?;
    }
    let (over, signalled, lost) = (false, false, Losses::default());
    let mut run = Run { plan, engine, dispatcher, watch, over, signalled, lost, missing: 0 };
    run.host_values(child)?;
    if options.dry_run {
        run.attach(process, options.times)?;
        run.detach(options.times)?;
        return Ok(0);
    }
    run.special(|attach| matches!(attach, Attach::Begin))?;
    let mut failed = 0;
    match options.mode {
        _ if run.over => {}
        Mode::Test => failed = run.tests()?,
        Mode::Bench => run.benches()?,
        Mode::Trace => run.trace(process, &mut options)?,
    }
    if let Some(child) = options.child.take() {
        child.end();
    }
    run.finish(&options)?;
    let status = run.dispatcher.status();
    Ok(if status == 0 && failed > 0 { 1 } else { status })
}

fn write(path: &Path, text: &str) -> Result<(), RunError> {
    std::fs::write(path, text)
        .map_err(|error| RunError::Flame { path: path.to_owned(), problem: error.kind().to_string() })
}

/// What a look at the buffer for records found.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    records: u64,
    /// Words of 8 bytes of the buffer that they took.
    words: u64,
    /// Whether there may be more.
    more: bool,
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
    /// Probes that were left out.
    missing: u64,
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
        put(HostInfo::TAI_OFFSET, Clock::tai_offset().cast_unsigned());
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

    /// Attaches everything and performs records until something ends the script.
    fn trace(&mut self, process: Option<u32>, options: &mut RunOptions) -> Result<(), RunError> {
        self.attach(process, options.times)?;
        if !options.quiet && !self.over {
            self.dispatcher.attached(self.plan.probes.len() as u64 - self.missing)?;
        }
        if let Some(child) = &mut options.child {
            child.go_on().map_err(RunError::Child)?;
        }
        self.iterate()?;
        self.dispatcher.started().map_err(EventError::from)?;
        let signalled = self.plan.probes.iter().any(|probe| matches!(probe.attach, Attach::Signal { .. }));
        // There is nothing to wait for.
        self.over |= process.is_none() && !signalled && !self.engine.is_attached();
        self.until_over(&Timing::start(options))
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
    fn attach(&mut self, process: Option<u32>, tell: bool) -> Result<(), RunError> {
        let (plan, start) = (self.plan, Instant::now());
        for probe in &plan.probes {
            if self.interrupted() {
                break;
            }
            if let Err(problem) = self.engine.attach(probe, process) {
                if self.passed_over(probe, &problem)? {
                    continue;
                }
                // Together this is faster than one by one. The first problem is what counts.
                let _ = self.engine.detach();
                return Err(RunError::Attach { probe: probe.name.clone(), line: probe.line, problem });
            }
        }
        self.tell("Attaching", start, tell)
    }

    /// Detaches everything.
    fn detach(&mut self, tell: bool) -> Result<(), RunError> {
        let start = Instant::now();
        self.engine.detach()?;
        self.tell("Detaching", start, tell)
    }

    /// Says how long something took.
    fn tell(&mut self, what: &str, start: Instant, tell: bool) -> Result<(), RunError> {
        if tell {
            let text = format!("{what} took {:.1} ms\n", start.elapsed().as_secs_f64() * 1e3);
            self.dispatcher.output().warn(text.as_bytes()).map_err(EventError::from)?;
        }
        Ok(())
    }

    /// Whether a probe that cannot be attached is left out, as the script's settings say.
    fn passed_over(&mut self, probe: &Probe, problem: &str) -> Result<bool, RunError> {
        match self.plan.settings.missing_probes {
            MissingProbes::Error => return Ok(false),
            MissingProbes::Warn => {
                let text = format!("warning: `{}` (line {}) is left out: {problem}\n", probe.name, probe.line);
                self.dispatcher.output().warn(text.as_bytes()).map_err(EventError::from)?;
            }
            MissingProbes::Ignore => {}
        }
        self.missing += 1;
        // A script of which nothing is left would wait for ever.
        let ours = |probe: &&Probe| !matches!(probe.attach, Attach::Begin | Attach::End);
        Ok(self.missing < self.plan.probes.iter().filter(ours).count() as u64)
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
    fn until_over(&mut self, timing: &Timing) -> Result<(), RunError> {
        let (mut round, mut pace, room) = (1, Pace::start(), self.engine.capacity());
        loop {
            let seen = self.consume(AT_ONCE, true)?;
            self.report_lost()?;
            if timing.is_due(round) {
                if timing.is_last(round) {
                    return Ok(());
                }
                self.special(|attach| matches!(attach, Attach::Signal { .. }))?;
                self.dispatcher.interval().map_err(EventError::from)?;
                round += 1;
            }
            if timing.is_over() {
                return Ok(());
            }
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
            let next = [self.engine.work()?, timing.left(round)].into_iter().flatten().min();
            let rest = pace.rest(seen.records, (seen.words, room));
            match rest {
                _ if seen.more => {}
                Some(rest) => std::thread::sleep(next.map_or(rest, |next| next.min(rest))),
                None => self.watch.wait(next)?,
            }
        }
    }

    /// Performs all records that are there.
    fn drain(&mut self) -> Result<(), RunError> {
        // What comes meanwhile waits for the next time.
        let most = self.engine.capacity();
        self.consume(most, false).map(drop)
    }

    /// Performs records, at most so many, if asked so only until the script is over.
    fn consume(&mut self, most: u64, stop: bool) -> Result<Seen, RunError> {
        let (mut seen, mut failure) = (Seen::default(), None);
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
            seen.records += 1;
            // With the header, which has one.
            seen.words += record.len() as u64 / 8 + 1;
            if seen.records == most || (stop && *over) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        self.dispatcher.output().gather(false).map_err(EventError::from)?;
        seen.more = seen.records == most;
        failure.map_or(Ok(seen), |error| Err(error.into()))
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

    /// Writes the flame graphs.
    fn draw(&mut self, flame: &FlameFiles) -> Result<(), RunError> {
        let folded = self.dispatcher.fold(&mut *self.engine.maps()?)?;
        if let Some(path) = &flame.folded {
            write(path, &folded.text())?;
        }
        if let Some(path) = &flame.svg {
            write(path, &folded.svg("Flame graph"))?;
        }
        Ok(())
    }

    /// Detaches, performs what is left, runs the end programs, and prints the maps.
    fn finish(&mut self, options: &RunOptions) -> Result<(), RunError> {
        self.detach(options.times)?;
        // Behind `exit()` they are only counted.
        self.drain()?;
        self.report_lost()?;
        if options.flame.any() {
            self.draw(&options.flame)?;
        }
        self.dispatcher.resume();
        self.over = false;
        self.special(|attach| matches!(attach, Attach::End))?;
        if options.mode == Mode::Trace {
            self.dispatcher.finish(&mut *self.engine.maps()?)?;
        } else {
            self.dispatcher.output().flush().map_err(EventError::from)?;
        }
        Ok(())
    }
}
