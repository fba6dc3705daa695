//! Tests and benchmarks that scripts have themselves.

use std::time::{Duration, Instant};

use skep_lang_script::plan::{Attach, Probe};

use super::engine::Engine;
use super::{Run, RunError};
use crate::events::{BenchResult, TestResult};

/// How long the last round of a benchmark has to take.
const ENOUGH: Duration = Duration::from_millis(50);
/// Most runs in a round: what the kernel does at once.
const MOST_RUNS: u32 = 1_000_000;
/// Rounds of that length; the shortest counts.
const ROUNDS: u32 = 3;
/// How many of them are made before it is known that they have that length.
const MADE: u32 = 2;

impl<E: Engine> Run<'_, '_, E> {
    /// Runs the tests, in order. Gives how many have failed.
    pub(super) fn tests(&mut self) -> Result<u32, RunError> {
        let (plan, mut failed) = (self.plan, 0);
        for probe in &plan.probes {
            let Attach::Test { name } = &probe.attach else { continue };
            if self.interrupted() {
                break;
            }
            let start = Instant::now();
            let result = self.engine.call(probe)?;
            let duration = start.elapsed();
            self.drain()?;
            self.report_lost()?;
            let (exit, errors) = self.dispatcher.take_outcome();
            self.over = false;
            let problem = match (result, exit, errors) {
                (_, _, true) => Some("errorf()".to_owned()),
                (_, Some(status), _) if status != 0 => Some(format!("exit({status})")),
                (0, ..) => None,
                (result, ..) => Some(format!("it returned {}", result.cast_signed())),
            };
            failed += u32::from(problem.is_some());
            self.dispatcher.test_result(&TestResult { name, problem: problem.as_deref(), duration })?;
        }
        Ok(failed)
    }

    /// Runs the benchmarks, in order.
    pub(super) fn benches(&mut self) -> Result<(), RunError> {
        let plan = self.plan;
        for probe in &plan.probes {
            let Attach::Bench { name } = &probe.attach else { continue };
            if self.interrupted() {
                break;
            }
            let (runs, shortest) = self.bench(probe)?;
            let each = shortest.as_secs_f64() * 1e9 / f64::from(runs.max(1));
            self.dispatcher.bench_result(&BenchResult { name, nanoseconds: each, runs })?;
        }
        // What they could not send is of no interest either.
        self.lost = self.engine.losses()?;
        Ok(())
    }

    /// Runs longer and longer rounds. Gives the length of the last ones, and the shortest time that one took. What the
    /// programs send is of no interest.
    fn bench(&mut self, probe: &Probe) -> Result<(u32, Duration), RunError> {
        let mut runs = 1;
        let mut took = self.timed(probe, runs)?.min(self.timed(probe, runs)?);
        // Twice, because something else may have had the processor.
        while took < ENOUGH && runs < MOST_RUNS {
            // Towards the length that is enough, but not by guesses from times that are too short to be right.
            let times = ENOUGH.as_secs_f64() / took.as_secs_f64().max(1e-9) * 1.2;
            runs = (f64::from(runs) * times.clamp(2.0, 10.0)).min(f64::from(MOST_RUNS)) as u32;
            took = self.timed(probe, runs)?.min(self.timed(probe, runs)?);
        }
        for _ in MADE..ROUNDS {
            took = took.min(self.timed(probe, runs)?);
        }
        Ok((runs, took))
    }

    fn timed(&mut self, probe: &Probe, runs: u32) -> Result<Duration, RunError> {
        let took = self.engine.time(probe, runs)?;
        self.engine.consume(&mut |_, _| std::ops::ControlFlow::Continue(()))?;
        Ok(took)
    }
}
