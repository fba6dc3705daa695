//! How often and how long programs run: the difference of two looks at their counters.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::prog_info::ProgramInfo;

/// The counters of programs at a moment. They only grow while statistics are on ([`crate::enable_stats`]).
#[derive(Debug, Clone)]
pub struct Sample {
    at: Instant,
    /// Time and number of runs by the number of the program.
    counters: HashMap<u32, (Duration, u64)>,
}

/// What a program did between two samples.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rate {
    /// Runs a second.
    pub runs_per_second: f64,
    /// Mean time of a run; zero if there was none.
    pub average: Duration,
    /// The share of one processor, in percent.
    pub cpu_percent: f64,
}

impl Sample {
    /// The counters of these programs, of now.
    pub fn of<'a>(programs: impl IntoIterator<Item = &'a ProgramInfo>) -> Self {
        let counters = programs.into_iter().map(|info| (info.id, (info.run_time, info.run_count)));
        Self { at: Instant::now(), counters: counters.collect() }
    }

    /// What a program did since an earlier sample; zeros if it is missing in one of them.
    pub fn rate(&self, before: &Self, program: u32) -> Rate {
        let (Some(now), Some(then)) = (self.counters.get(&program), before.counters.get(&program)) else {
            return Rate::default();
        };
        rate(self.at.saturating_duration_since(before.at), now.0.saturating_sub(then.0), now.1.saturating_sub(then.1))
    }
}

fn rate(elapsed: Duration, time: Duration, runs: u64) -> Rate {
    let seconds = elapsed.as_secs_f64();
    if seconds <= 0.0 {
        return Rate::default();
    }
    Rate {
        runs_per_second: runs as f64 / seconds,
        average: average(time, runs),
        cpu_percent: 100.0 * time.as_secs_f64() / seconds,
    }
}

/// The mean time of a run, zero without runs.
pub fn average(time: Duration, runs: u64) -> Duration {
    let mean = time.as_nanos().checked_div(runs.into()).unwrap_or(0);
    Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        let found = rate(Duration::from_secs(2), Duration::from_millis(20), 100);
        assert_eq!(found.runs_per_second, 50.0);
        assert_eq!(found.average, Duration::from_micros(200));
        assert!((found.cpu_percent - 1.0).abs() < 1e-9);
        assert_eq!(rate(Duration::ZERO, Duration::from_secs(1), 1), Rate::default());
        assert_eq!(average(Duration::from_secs(1), 0), Duration::ZERO);
    }
}
