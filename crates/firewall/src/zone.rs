//! The local time zone as programs need it: when what is added to the time of the machine.

/// The first seconds from which on something is added, with what: seconds east of Greenwich. In order; the first row begins
/// at 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// The rows.
    pub rows: Vec<(u64, i64)>,
}

/// Changes of the clock that are known ahead.
const MOST_CHANGES: usize = 15;
/// How far ahead, in days.
const AHEAD: u64 = 8 * 366;
const DAY: u64 = 86_400;

impl Default for Zone {
    /// Coordinated universal time.
    fn default() -> Self {
        Self { rows: vec![(0, 0)] }
    }
}

impl Zone {
    /// The zone of this machine (`TZ`, `/etc/localtime`) from a time on: up to fifteen changes within eight years.
    pub fn of_host(now: u64) -> Self {
        Self::from(now, &|seconds| {
            let time = skep_packet::print::local_time(seconds.cast_signed());
            let of_day = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second.min(59));
            days(time.year, time.month.into(), time.day.into()) * DAY.cast_signed() + of_day - seconds.cast_signed()
        })
    }

    fn from(now: u64, offset: &dyn Fn(u64) -> i64) -> Self {
        let mut rows = vec![(0, offset(now))];
        let mut start = now;
        for _ in 0..AHEAD {
            let end = start + DAY;
            let (before, after) = (offset(start), offset(end));
            if before != after && rows.len() <= MOST_CHANGES {
                // The first second with another offset.
                let (mut low, mut high) = (start, end);
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    if offset(middle) == before { low = middle } else { high = middle }
                }
                rows.push((high, after));
            }
            start = end;
        }
        Self { rows }
    }

    /// Local seconds.
    pub fn local(&self, seconds: u64) -> u64 {
        let add = self.rows.iter().rfind(|row| row.0 <= seconds).map_or(0, |row| row.1);
        seconds.saturating_add_signed(add)
    }
}

/// Days since the beginning of 1970 (Howard Hinnant, chrono-compatible low-level date algorithms).
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_the_clock_are_found_to_the_second() {
        assert_eq!((days(1970, 1, 1), days(2000, 2, 29), days(2026, 11, 28)), (0, 11_016, 20_785));
        // An hour more from 1000000 to 2000000.
        let zone = Zone::from(500_000, &|seconds| if (1_000_000..2_000_000).contains(&seconds) { 7200 } else { 3600 });
        assert_eq!(zone.rows, [(0, 3600), (1_000_000, 7200), (2_000_000, 3600)]);
        assert_eq!((zone.local(999_999), zone.local(1_000_000)), (1_003_599, 1_007_200));
        let now = 1_700_000_000;
        assert!(Zone::of_host(now).local(now).abs_diff(now) <= 16 * 3600);
    }
}
