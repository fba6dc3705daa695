//! What the benchmark asks of an engine, and the clock that all of them share.

use std::time::Duration;

use crate::compile::Built;

/// A way to run the programs: a machine of ours, one of others, the kernel, or the processor itself.
pub trait Engine {
    /// Heading of its column, at most 13 characters.
    fn name(&self) -> &'static str;

    /// Why it cannot run here at all: a missing privilege, another processor.
    ///
    /// # Errors
    /// The reason, for the reader.
    fn available(&self) -> Result<(), String>;

    /// Prepares a program, compiled for the engine's kind of context, with its input and its maps.
    ///
    /// # Errors
    /// [`Refusal`]
    fn load(&self, built: &Built) -> Result<Loaded, Refusal>;
}

/// A program that can run.
pub struct Loaded {
    /// The program with everything it needs.
    pub runner: Box<dyn Runner>,
    /// Time from bytecode to something that runs; `None` where the engine does not do this or does not tell.
    pub compile: Option<Duration>,
}

/// Why an engine does not run a program.
#[derive(Debug)]
pub enum Refusal {
    /// It lacks an instruction or a helper: a gap in the table with this reason.
    Unsupported(String),
    /// It should have run it: an error of the benchmark.
    Failed(String),
}

/// Prints a cause as an error of the benchmark.
pub fn failed(cause: impl std::fmt::Display) -> Refusal {
    Refusal::Failed(cause.to_string())
}

/// Runs one program on its input.
pub trait Runner {
    /// Runs it `repeat` times, at least once.
    ///
    /// # Errors
    /// The fault of the program, as text.
    fn run(&mut self, repeat: u32) -> Result<Outcome, String>;
}

/// What some runs gave.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Low 32 bits of register 0 at the end of the last run; XDP programs have no others.
    pub result: u32,
    /// Time of all runs together.
    pub time: Duration,
}

/// Runs `body` and tells how much processor time this thread spent on it, which other processes do not change.
pub fn timed<T>(body: impl FnOnce() -> T) -> (T, Duration) {
    let start = thread_time();
    let value = body();
    (value, thread_time().saturating_sub(start))
}

/// Runs `once` so many times (at least once) under the clock of the thread.
///
/// # Errors
/// The first that `once` reports.
pub fn repeated(repeat: u32, mut once: impl FnMut() -> Result<u64, String>) -> Result<Outcome, String> {
    let (result, time) = timed(|| {
        for _ in 1..repeat {
            std::hint::black_box(once()?);
        }
        once()
    });
    Ok(Outcome { result: result? as u32, time })
}

fn thread_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`, which `now` is.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    assert_eq!(status, 0, "the kernel has no processor clock for threads, which Linux has had since 2.6.12");
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}
