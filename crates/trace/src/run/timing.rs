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

#[cfg(test)]
mod tests {
    use super::*;

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
