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
mod child;
mod symbols;

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_kernel::{KernelError, Loaded, LoadedMap, LoadedProgram, RingBuffer, TestInput, Update, Watch, possible_cpus};
use skep_lang_script::plan::{Attach, HostInfo, MissingProbes, Plan, Probe, system_maps};
use skep_sym::DebugDirs;

pub use child::Child;
pub use symbols::MachineSymbols;

use crate::events::{Dispatcher, EventError, Flow};
use crate::flame::{FlameFiles, has_stack};
use crate::maps::{KernelMaps, lost_records};
use crate::names::Clock;

/// `SIGINT`, `SIGTERM`, `SIGHUP` (signal(7)): they end a script in good order.
const ENDING: [i32; 3] = [2, 15, 1];
/// `SIGUSR1` (signal(7)), which a script may have a probe for.
const USER: i32 = 10;
/// Bytes of the context that programs get which the host runs itself: as many as a raw tracepoint may have arguments.
const CONTEXT: [u8; 64] = [0; 64];
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
    /// A flame graph is asked for, and no map of the script has stack traces in its key.
    NoStacks,
    /// A flame graph could not be written.
    Flame {
        /// The file.
        path: PathBuf,
        /// The reason in words.
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
            Self::NoStacks => f.write_str(
                "no map of the script has stack traces in its key, so there is nothing to draw; \
                 `profile:hz:99 { @[ustack, kstack] = count(); }` is one that has",
            ),
            Self::Flame { path, problem } => write!(f, "cannot write `{}`: {problem}", path.display()),
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

/// A script in the kernel: its programs, and its maps by the names that the plan knows.
#[derive(Debug)]
pub struct Script {
    /// What was loaded.
    pub loaded: Loaded,
    /// Names of the maps, in the order in which they were loaded.
    pub maps: Vec<String>,
}

impl Script {
    /// The map with a name.
    pub fn map(&self, name: &str) -> Option<&LoadedMap> {
        self.loaded.maps.get(self.maps.iter().position(|map| map == name)?)
    }

    fn needed(&self, name: &str) -> Result<&LoadedMap, RunError> {
        self.map(name).ok_or_else(|| RunError::Missing(format!("map `{name}`")))
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
}

/// Runs a script to its end. Gives the exit status: that of `exit()`, 1 after `errorf()`, else 0.
///
/// # Errors
/// [`RunError`]. Nothing stays attached.
pub fn run(
    plan: &Plan,
    script: &Arc<Script>,
    dispatcher: &mut Dispatcher<'_>,
    mut options: RunOptions,
) -> Result<i32, RunError> {
    if options.flame.any() && !plan.maps.iter().any(has_stack) {
        return Err(RunError::NoStacks);
    }
    let mut run = Run::start(plan, script, dispatcher)?;
    run.attached.directories.clone_from(&options.directories);
    let child = options.child.as_ref().map(Child::id);
    run.watch_process(options.process.or(child))?;
    run.host_values(child)?;
    if options.dry_run {
        run.attach(options.process.or(child), options.times)?;
        run.detach(options.times)?;
        return Ok(0);
    }
    run.special(|attach| matches!(attach, Attach::Begin))?;
    if !run.over {
        run.attach(options.process.or(child), options.times)?;
        let probes = plan.probes.len() as u64 - run.missing;
        if !options.quiet && !run.over {
            run.dispatcher.attached(probes)?;
        }
        if let Some(child) = &options.child {
            child.go_on().map_err(RunError::Child)?;
        }
        run.iterate()?;
        run.dispatcher.started().map_err(EventError::from)?;
        // Where nothing else can happen, there is nothing to wait for.
        let own = |probe: &Probe| matches!(probe.attach, Attach::Begin | Attach::End);
        run.over |= options.child.is_none() && plan.probes.iter().all(own);
        run.until_over(&Timing::start(&options))?;
    }
    if let Some(child) = options.child.take() {
        child.end();
    }
    run.finish(&options.flame, options.times)?;
    Ok(run.dispatcher.status())
}

fn write(path: &Path, text: &str) -> Result<(), RunError> {
    std::fs::write(path, text)
        .map_err(|error| RunError::Flame { path: path.to_owned(), problem: error.kind().to_string() })
}

/// When something is due without a cause.
struct Timing {
    start: Instant,
    end: Option<Instant>,
    every: Option<Duration>,
    rounds: Option<u64>,
}

impl Timing {
    fn start(options: &RunOptions) -> Self {
        let start = Instant::now();
        // What a clock cannot tell any more never comes.
        let end = options.duration.and_then(|duration| start.checked_add(duration));
        Self { start, end, every: options.every.filter(|every| !every.is_zero()), rounds: options.rounds }
    }

    /// When a round is due; the first one has number 1.
    fn round(&self, number: u32) -> Option<Instant> {
        self.start.checked_add(self.every?.checked_mul(number)?)
    }
}

/// A running script.
struct Run<'r, 'p> {
    plan: &'r Plan,
    script: &'r Script,
    dispatcher: &'r mut Dispatcher<'p>,
    ring: RingBuffer,
    watch: Watch,
    attached: attach::Attached,
    over: bool,
    lost: u64,
    /// Probes that were left out.
    missing: u64,
}

impl<'r, 'p> Run<'r, 'p> {
    fn start(plan: &'r Plan, script: &'r Script, dispatcher: &'r mut Dispatcher<'p>) -> Result<Self, RunError> {
        let signalled = plan.probes.iter().any(|probe| matches!(probe.attach, Attach::Signal { .. }));
        let signals: Vec<i32> = ENDING.into_iter().chain(signalled.then_some(USER)).collect();
        let watch = Watch::new(&signals)?;
        let ring = RingBuffer::open(script.needed(system_maps::EVENTS)?)?;
        watch.add(std::os::fd::AsFd::as_fd(&ring))?;
        let attached = attach::Attached::default();
        Ok(Self { plan, script, dispatcher, ring, watch, attached, over: false, lost: 0, missing: 0 })
    }

    fn watch_process(&mut self, process: Option<u32>) -> Result<(), RunError> {
        if let Some(process) = process {
            self.watch.add_process(process)?;
        }
        Ok(())
    }

    /// Fills the map through which programs learn about the host.
    fn host_values(&mut self, child: Option<u32>) -> Result<(), RunError> {
        let Some(map) = self.script.map(system_maps::HOST) else { return Ok(()) };
        let mut value = [0; HostInfo::SIZE as usize];
        let mut put = |at: u32, word: u64| value[at as usize..at as usize + 8].copy_from_slice(&word.to_ne_bytes());
        put(HostInfo::START, Clock::boot_now());
        put(HostInfo::CHILD, child.unwrap_or(0).into());
        put(HostInfo::CPUS, possible_cpus().unwrap_or(1).into());
        let (device, inode) = attach::pid_namespace();
        put(HostInfo::PID_NAMESPACE, inode);
        put(HostInfo::PID_NAMESPACE_DEVICE, device);
        put(HostInfo::TAI_OFFSET, Clock::tai_offset().cast_unsigned());
        put(HostInfo::WALL_OFFSET, self.dispatcher.names().clock().wall_offset().cast_unsigned());
        Ok(map.set(&[0; 4], &value, Update::Any)?)
    }

    /// Runs the programs of a kind of probes that happen in this process, in order, and performs their records. After the
    /// end of the script the remaining ones do not run.
    fn special(&mut self, wanted: impl Fn(&Attach) -> bool) -> Result<(), RunError> {
        for probe in self.plan.probes.iter().filter(|probe| wanted(&probe.attach)) {
            let program = self.program(probe)?;
            program.test(&TestInput { context: &CONTEXT, ..TestInput::default() })?;
            self.drain()?;
            if self.over {
                break;
            }
        }
        Ok(())
    }

    fn program(&self, probe: &Probe) -> Result<&'r LoadedProgram, RunError> {
        let script = self.script;
        let missing = || RunError::Missing(format!("program `{}`", probe.program));
        script.loaded.program(&probe.program).ok_or_else(missing)
    }

    /// Attaches everything, in the order of the plan, unless a signal ends the script meanwhile.
    fn attach(&mut self, process: Option<u32>, tell: bool) -> Result<(), RunError> {
        let start = Instant::now();
        for probe in &self.plan.probes {
            if self.watch.signal().is_some_and(|signal| signal != USER) {
                self.over = true;
                break;
            }
            let program = self.program(probe)?;
            let added = match &probe.attach {
                Attach::SystemCall { number, table, .. } => self.enter_call(*table, *number, program),
                _ => self.attached.add(probe, program, process),
            };
            if let Err(problem) = added {
                if self.passed_over(probe, &problem)? {
                    continue;
                }
                // Together this is faster than one by one. The first problem is what counts.
                let _ = self.attached.detach();
                return Err(RunError::Attach { probe: probe.name.clone(), line: probe.line, problem });
            }
        }
        self.tell("Attaching", start, tell)
    }

    /// Detaches everything.
    fn detach(&mut self, tell: bool) -> Result<(), RunError> {
        let start = Instant::now();
        self.attached.detach()?;
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

    /// Puts a program into the table of system calls; with the first one the table begins to work.
    fn enter_call(&mut self, table: u32, number: u32, program: &LoadedProgram) -> Result<(), String> {
        let script = self.script;
        let missing = || "the script has no table for it".to_owned();
        let row = self.plan.call_tables.get(table as usize).ok_or_else(missing)?;
        let map = script.map(&row.object_map).ok_or_else(missing)?;
        let caller = script.loaded.program(&row.program).ok_or_else(missing)?;
        self.attached.enter_call(map, number, program, caller, row.ret)
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
        let outside = |probe: &&Probe| !matches!(probe.attach, Attach::Begin | Attach::End);
        Ok(self.missing < self.plan.probes.iter().filter(outside).count() as u64)
    }

    /// Reads iterators to their ends. A script that has nothing else to wait for is over then.
    fn iterate(&mut self) -> Result<(), RunError> {
        if self.attached.iterators.is_empty() {
            return Ok(());
        }
        for iterator in std::mem::take(&mut self.attached.iterators) {
            let text = attach::read(&iterator)?;
            self.dispatcher.output().raw(&text).map_err(EventError::from)?;
            self.drain()?;
        }
        if self.attached.links.is_empty() {
            self.over = true;
        }
        Ok(())
    }

    /// Performs records until the script is over.
    fn until_over(&mut self, timing: &Timing) -> Result<(), RunError> {
        let mut round = 1;
        loop {
            let more = self.consume(AT_ONCE, true)?;
            self.report_lost()?;
            if timing.round(round).is_some_and(|due| due <= Instant::now()) {
                if timing.rounds.is_some_and(|rounds| rounds <= round.into()) {
                    // The end prints what this round would.
                    return Ok(());
                }
                self.special(|attach| matches!(attach, Attach::Signal { .. }))?;
                self.dispatcher.interval().map_err(EventError::from)?;
                round += 1;
            }
            if timing.end.is_some_and(|end| end <= Instant::now()) {
                return Ok(());
            }
            while let Some(signal) = self.watch.signal() {
                if signal == USER {
                    self.special(|attach| matches!(attach, Attach::Signal { .. }))?;
                } else {
                    self.over = true;
                }
            }
            if self.over || self.watch.process_ended()? {
                return Ok(());
            }
            if !more {
                let next = [timing.end, timing.round(round)].into_iter().flatten().min();
                self.watch.wait(next.map(|next| next.saturating_duration_since(Instant::now())))?;
            }
        }
    }

    /// Performs all records that are there.
    fn drain(&mut self) -> Result<(), RunError> {
        // Bounded by the size of the buffer: what comes meanwhile waits for the next time.
        let most = self.ring.size() as u64 / 8;
        self.consume(most, false).map(drop)
    }

    /// Performs records, at most so many, if asked so only until the script is over. Says whether there may be more.
    fn consume(&mut self, most: u64, stop: bool) -> Result<bool, RunError> {
        let script = self.script;
        let missing = |map: &str| RunError::Missing(format!("map `{map}`"));
        let maps = self.plan.maps.iter().map(|map| script.map(&map.object_map).ok_or_else(|| missing(&map.name)));
        let mut maps = KernelMaps::new(maps.collect::<Result<Vec<_>, _>>()?);
        let (mut left, mut failure) = (most, None);
        let (dispatcher, over) = (&mut *self.dispatcher, &mut self.over);
        self.ring.consume(|record| {
            match dispatcher.record(record, &mut maps) {
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
        failure.map_or(Ok(left == 0), |error| Err(error.into()))
    }

    /// Says how many records found no room since the last time.
    fn report_lost(&mut self) -> Result<(), RunError> {
        let Some(map) = self.script.map(system_maps::LOST) else { return Ok(()) };
        let lost = lost_records(map)?;
        self.dispatcher.lost(lost.saturating_sub(self.lost))?;
        self.lost = lost;
        Ok(())
    }

    /// Writes the flame graphs.
    fn draw(&mut self, flame: &FlameFiles) -> Result<(), RunError> {
        let script = self.script;
        let maps = self.plan.maps.iter().filter_map(|map| script.map(&map.object_map)).collect();
        let folded = self.dispatcher.fold(&mut KernelMaps::new(maps))?;
        if let Some(path) = &flame.folded {
            write(path, &folded.text())?;
        }
        if let Some(path) = &flame.svg {
            write(path, &folded.svg("Flame graph"))?;
        }
        Ok(())
    }

    /// Detaches, performs what is left, runs the end programs, and prints the maps.
    fn finish(&mut self, flame: &FlameFiles, tell: bool) -> Result<(), RunError> {
        self.detach(tell)?;
        // Behind `exit()` they are only counted.
        self.drain()?;
        if flame.any() {
            self.draw(flame)?;
        }
        self.dispatcher.resume();
        self.over = false;
        self.special(|attach| matches!(attach, Attach::End))?;
        self.report_lost()?;
        let script = self.script;
        let maps = self.plan.maps.iter().filter_map(|map| script.map(&map.object_map)).collect();
        Ok(self.dispatcher.finish(&mut KernelMaps::new(maps))?)
    }
}
