//! What the programs counted.

use std::time::Duration;

use crate::row::{Cell, Row};

/// Buckets of the histogram: powers of two of nanoseconds.
const BUCKETS: usize = 32;
/// Words before the histogram.
const WORDS: usize = 7;
/// Bytes of a value of the map.
pub(super) const BYTES: u32 = (8 * (WORDS + BUCKETS)) as u32;

/// Times of the packets in a hook.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HookTimes {
    /// The hook, as rules call it.
    pub hook: &'static str,
    /// Version of IP.
    pub version: u8,
    /// Packets that were timed.
    pub count: u64,
    /// Their time together.
    pub total: Duration,
    /// The longest of all since the beginning.
    pub longest: Duration,
    /// Packets that did not come out of the hook.
    pub lost: u64,
    /// Packets that came out without having been timed.
    pub untimed: u64,
    entered: u64,
    left: u64,
    buckets: [u64; BUCKETS],
}

/// Adds up the values of all processors.
pub(super) fn decode(version: u8, hook: &'static str, values: &[&[u8]]) -> HookTimes {
    let mut times = HookTimes { hook, version, ..HookTimes::default() };
    for value in values {
        let word = |at: usize| {
            let bytes = value.get(8 * at..8 * at + 8).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
            u64::from_ne_bytes(bytes)
        };
        times.entered += word(2);
        times.left += word(3);
        times.count += word(4);
        times.total += Duration::from_nanos(word(5));
        times.longest = times.longest.max(Duration::from_nanos(word(6)));
        for (at, bucket) in times.buckets.iter_mut().enumerate() {
            *bucket += word(WORDS + at);
        }
    }
    times
}

/// What came between two readings, hooks without packets left out.
pub(super) fn between(before: &[HookTimes], after: &[HookTimes]) -> Vec<HookTimes> {
    let found = after.iter().map(|now| {
        let empty = HookTimes::default();
        let then = before.iter().find(|then| (then.hook, then.version) == (now.hook, now.version)).unwrap_or(&empty);
        let mut found = HookTimes {
            count: now.count.saturating_sub(then.count),
            total: now.total.saturating_sub(then.total),
            entered: now.entered.saturating_sub(then.entered),
            left: now.left.saturating_sub(then.left),
            ..now.clone()
        };
        found.lost = found.entered.saturating_sub(found.left);
        found.untimed = found.left.saturating_sub(found.count);
        found.buckets.iter_mut().zip(then.buckets).for_each(|(now, then)| *now = now.saturating_sub(then));
        found
    });
    found.filter(|times| times.entered > 0 || times.left > 0).collect()
}

impl HookTimes {
    /// The time of a packet on average.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.total.as_nanos() / u128::from(self.count.max(1))).unwrap_or(u64::MAX))
    }

    /// The power of two of nanoseconds below which so many packets of a hundred are.
    pub fn below(&self, percent: u64) -> Duration {
        let wanted = self.count.saturating_mul(percent).div_ceil(100);
        let mut sum = 0;
        for (at, bucket) in (1_u32..).zip(self.buckets) {
            sum += bucket;
            if sum >= wanted && sum > 0 {
                return Duration::from_nanos(1 << at);
            }
        }
        Duration::ZERO
    }

    /// A row with the columns of nflat.
    pub fn row(&self) -> Row {
        let nanos = |time: Duration| Cell::Number(i128::try_from(time.as_nanos()).unwrap_or(i128::MAX));
        vec![
            Cell::Text(self.hook.to_owned()),
            Cell::Number(self.version.into()),
            Cell::Number(self.count.into()),
            nanos(self.mean()),
            nanos(self.below(50)),
            nanos(self.below(99)),
            nanos(self.longest),
            nanos(self.total),
            Cell::Number(self.lost.into()),
            Cell::Number(self.untimed.into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Header;

    fn value(words: [u64; WORDS], bucket: usize) -> Vec<u8> {
        let mut all = words.to_vec();
        all.extend((0..BUCKETS).map(|at| if at == bucket { words[4] } else { 0 }));
        all.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn values_of_processors_are_added() {
        let (a, b) = (value([0, 0, 10, 9, 8, 800, 200], 6), value([0, 0, 2, 2, 2, 4000, 2500], 10));
        assert_eq!(a.len(), BYTES as usize);
        let now = decode(4, "input", &[&a, &b]);
        let found = between(&[], std::slice::from_ref(&now));
        let [times] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((times.count, times.lost, times.untimed), (10, 1, 1));
        assert_eq!((times.mean(), times.longest), (Duration::from_nanos(480), Duration::from_nanos(2500)));
        assert_eq!((times.below(50), times.below(99)), (Duration::from_nanos(128), Duration::from_nanos(2048)));
        assert_eq!(between(std::slice::from_ref(&now), std::slice::from_ref(&now)), []);
        // A row has a cell for each column of the head.
        assert_eq!(times.row().len(), Header::parse(super::super::TEXT).unwrap().columns.len());
    }
}
