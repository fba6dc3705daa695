//! What is due in a running script without a cause.

use std::time::{Duration, Instant};

use super::RunOptions;

/// When something is due without a cause.
pub(super) struct Timing {
    start: Instant,
    end: Option<Instant>,
    every: Option<Duration>,
    rounds: Option<u64>,
}

impl Timing {
    /// Everything begins now.
    pub fn start(options: &RunOptions) -> Self {
        let start = Instant::now();
        // What a clock cannot tell any more never comes.
        let end = options.duration.and_then(|duration| start.checked_add(duration));
        Self { start, end, every: options.every.filter(|every| !every.is_zero()), rounds: options.rounds }
    }

    /// When a round is due; the first one has number 1.
    fn round(&self, number: u32) -> Option<Instant> {
        self.start.checked_add(self.every?.checked_mul(number)?)
    }

    /// Whether a round is due.
    pub fn is_due(&self, number: u32) -> bool {
        self.round(number).is_some_and(|due| due <= Instant::now())
    }

    /// Whether a round is the last one. The end of the script prints what it would.
    pub fn is_last(&self, number: u32) -> bool {
        self.rounds.is_some_and(|rounds| rounds <= number.into())
    }

    /// The time until something is due again, if that is the next round.
    pub fn left(&self, round: u32) -> Option<Duration> {
        let next = [self.end, self.round(round)].into_iter().flatten().min();
        next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// Whether the script has to end.
    pub fn is_over(&self) -> bool {
        self.end.is_some_and(|end| end <= Instant::now())
    }
}

/// How long records may wait for each other when many come. A person does not see it, and the kernel need not wake this
/// process up for each of them.
const REST: Duration = Duration::from_millis(1);
/// Records a second from which on they wait.
const MANY: u64 = 10_000;

/// How fast records come.
pub(super) struct Pace {
    looked: Instant,
}

impl Pace {
    /// Before the first look.
    pub fn start() -> Self {
        Self { looked: Instant::now() }
    }

    /// Takes note of a look at the buffer: how many records there were, and how many words of the buffer's they
    /// took. Gives how long the next look may wait so that at this pace an eighth of the buffer is full by then; `None` if
    /// they come one by one.
    pub fn rest(&mut self, records: u64, (taken, room): (u64, u64)) -> Option<Duration> {
        let now = Instant::now();
        let passed = now.duration_since(std::mem::replace(&mut self.looked, now));
        rest(passed, records, (taken, room))
    }
}

fn rest(passed: Duration, records: u64, (taken, room): (u64, u64)) -> Option<Duration> {
    let passed = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
    let many = records.saturating_mul(1_000_000_000 / MANY) > passed;
    let safe = passed.saturating_mul(room / 8) / taken.max(1);
    many.then(|| REST.min(Duration::from_nanos(safe)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_wait_for_each_other_if_many_come() {
        let micros = Duration::from_micros;
        // One in a tenth of a second; one in 200 microseconds; one in 50; ten in 200.
        assert_eq!(rest(micros(100_000), 1, (5, 1 << 15)), None);
        assert_eq!(rest(micros(200), 1, (5, 1 << 15)), None);
        assert_eq!(rest(micros(50), 1, (5, 1 << 15)), Some(REST));
        assert_eq!(rest(micros(200), 10, (50, 1 << 15)), Some(REST));
        assert_eq!(rest(micros(50), 0, (0, 1 << 15)), None);
        // A small buffer is nearly full in that time.
        assert_eq!(rest(micros(200), 10, (50, 512)), Some(micros(256)));
        assert_eq!(rest(micros(200), 100, (500, 512)), Some(Duration::from_nanos(25_600)));
    }

    #[test]
    fn what_is_due() {
        let hour = Duration::from_secs(3600);
        let options = RunOptions { every: Some(hour), rounds: Some(2), ..RunOptions::default() };
        let timing = Timing::start(&options);
        assert!(!timing.is_over() && !timing.is_due(1) && timing.is_due(0));
        assert_eq!((timing.is_last(1), timing.is_last(2)), (false, true));
        assert!(timing.left(1).is_some_and(|left| left <= hour));
        // The end may come before the next round.
        let over = Timing::start(&RunOptions { duration: Some(Duration::ZERO), every: Some(hour), ..options });
        assert!(over.is_over());
        assert_eq!(over.left(1), Some(Duration::ZERO));
        // What no clock reaches, and what would be all the time, never comes.
        let (duration, every) = (Some(Duration::MAX), Some(Duration::ZERO));
        let never = Timing::start(&RunOptions { duration, every, ..RunOptions::default() });
        assert!(!never.is_over() && !never.is_due(1));
        assert_eq!(never.left(1), None);
    }
}
