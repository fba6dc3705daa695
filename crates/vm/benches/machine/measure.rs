//! The measurement: engines in turns, many rounds, the least time of each.

use std::time::{Duration, Instant};

use crate::compile::Built;
use crate::engine::{Loaded, Refusal, Runner};
use crate::programs::Program;
use crate::suite::{Engines, expected, load_checked};

/// Time that an engine runs before the next one has its turn: long enough for the clocks, short enough that a change
/// of the processor's speed meets all engines.
const SLICE: Duration = Duration::from_micros(2500);
/// Most runs in a slice, the kernel's limit in `skep_kernel`.
const MOST_RUNS: u32 = 1_000_000;
/// Compilations of a program by one engine, of which the fastest counts, and the time after which it is enough.
const COMPILATIONS: u32 = 15;
const COMPILATION_TIME: Duration = Duration::from_millis(100);

/// Everything that was measured.
#[derive(Debug)]
pub struct Measured {
    /// Number of rounds.
    pub rounds: u32,
    /// Names of the engines, in the order of [`Row::cells`].
    pub engines: Vec<&'static str>,
    /// The programs.
    pub rows: Vec<Row>,
    /// What could not be measured: engine or program, and why.
    pub skipped: Vec<(String, String)>,
}

/// One program.
#[derive(Debug)]
pub struct Row {
    /// The program.
    pub program: Program,
    /// Instruction slots.
    pub slots: usize,
    /// For each engine, if it runs the program.
    pub cells: Vec<Option<Cell>>,
}

/// One program on one engine.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Least nanoseconds of a run.
    pub run: f64,
    /// Least nanoseconds to compile one instruction slot.
    pub compile: Option<f64>,
}

/// A program in an engine, between the rounds.
struct Contestant {
    runner: Box<dyn Runner>,
    repeat: u32,
    best: f64,
    compile: Option<Duration>,
}

/// Measures all programs on all engines.
///
/// # Errors
/// A program that does not run where it should, and a result that differs from native code's.
pub fn measure(engines: &Engines, built: &[Built], rounds: u32) -> Result<Measured, String> {
    let mut skipped: Vec<_> =
        engines.skipped.iter().map(|(name, reason)| ((*name).to_owned(), reason.clone())).collect();
    let mut field = Vec::new();
    for built in built {
        let expected = expected(built).map_err(|error| format!("{}: {error}", built.program.name))?;
        let mut line = Vec::new();
        for engine in &engines.usable {
            let place = format!("{}: {}", built.program.name, engine.name());
            let load = || load_checked(&**engine, built, expected);
            match prepare(load) {
                Ok(contestant) => line.push(Some(contestant)),
                Err(Refusal::Unsupported(reason)) => {
                    skipped.push((place, reason));
                    line.push(None);
                }
                Err(Refusal::Failed(reason)) => return Err(format!("{place}: {reason}")),
            }
        }
        field.push((built, expected, line));
    }
    for round in 0..rounds as usize {
        for (built, expected, line) in &mut field {
            let count = line.len();
            // Another engine begins each time, so that none always follows the same one.
            for index in (0..count).map(|turn| (turn + round) % count) {
                if let Some(contestant) = &mut line[index] {
                    let place = || format!("{}: {}", built.program.name, engines.usable[index].name());
                    contestant.race(*expected).map_err(|error| format!("{}: {error}", place()))?;
                }
            }
        }
    }
    let rows = field.into_iter().map(|(built, _, line)| row(built, line)).collect();
    Ok(Measured { rounds, engines: engines.usable.iter().map(|engine| engine.name()).collect(), rows, skipped })
}

/// Loads until the least time to compile is known, then finds out how many runs fill a slice.
fn prepare(load: impl Fn() -> Result<Loaded, Refusal>) -> Result<Contestant, Refusal> {
    let start = Instant::now();
    let Loaded { mut runner, mut compile } = load()?;
    let mut times = 1;
    while compile.is_some() && times < COMPILATIONS && start.elapsed() < COMPILATION_TIME {
        let again = load()?;
        compile = compile.min(again.compile);
        runner = again.runner;
        times += 1;
    }
    let mut repeat = 1;
    loop {
        let time = runner.run(repeat).map_err(Refusal::Failed)?.time;
        if time >= SLICE / 8 || repeat == MOST_RUNS {
            let runs = SLICE.as_secs_f64() / time.as_secs_f64().max(1e-9) * f64::from(repeat);
            // A float becomes the nearest integer that there is, so this cannot overflow.
            let repeat = (runs as u32).clamp(1, MOST_RUNS);
            return Ok(Contestant { runner, repeat, best: f64::INFINITY, compile });
        }
        repeat = (repeat * 4).min(MOST_RUNS);
    }
}

impl Contestant {
    /// One slice.
    fn race(&mut self, expected: u32) -> Result<(), String> {
        let outcome = self.runner.run(self.repeat)?;
        if outcome.result != expected {
            return Err(format!("returns {:#x} after many runs, native code {expected:#x}", outcome.result));
        }
        self.best = self.best.min(outcome.time.as_secs_f64() * 1e9 / f64::from(self.repeat));
        Ok(())
    }
}

fn row(built: &Built, line: Vec<Option<Contestant>>) -> Row {
    let slots = built.slots();
    let per_slot = |time: Duration| time.as_secs_f64() * 1e9 / slots.max(1) as f64;
    let cell = |contestant: Contestant| Cell { run: contestant.best, compile: contestant.compile.map(per_slot) };
    Row { program: built.program, slots, cells: line.into_iter().map(|contestant| contestant.map(cell)).collect() }
}
