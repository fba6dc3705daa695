//! Time stamps in tcpdump's forms. The text of a second is kept, so that the time zone is asked once a second.

use super::num;
use crate::file::Timestamp;

/// How the time of a packet is shown: the number of `-t` options of tcpdump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeStyle {
    /// Local time of day: `12:34:56.123456`.
    #[default]
    Clock,
    /// Nothing (`-t`).
    Off,
    /// Seconds since 1970 (`-tt`).
    Epoch,
    /// Since the packet before (`-ttt`).
    Delta,
    /// Local date and time (`-tttt`).
    Date,
    /// Since the first packet (`-ttttt`).
    SinceFirst,
}

impl TimeStyle {
    /// The style for a number of `-t` options; more than five count as five.
    #[must_use]
    pub fn from_count(count: u8) -> Self {
        match count {
            0 => Self::Clock,
            1 => Self::Off,
            2 => Self::Epoch,
            3 => Self::Delta,
            4 => Self::Date,
            _ => Self::SinceFirst,
        }
    }
}

/// Writes time stamps and remembers what the relative styles need.
#[derive(Debug, Clone)]
pub struct Clock {
    style: TimeStyle,
    nanos: bool,
    /// The second whose text is in `cached`.
    second: Option<i64>,
    cached: Vec<u8>,
    reference: Option<Timestamp>,
}

/// Local calendar time of a second since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// The year, AD.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

/// Converts by the rules of the system's time zone (`TZ`, `/etc/localtime`).
#[must_use]
pub fn local_time(seconds: i64) -> LocalTime {
    // SAFETY: `tm` is a plain C structure for which all zeros is a valid value.
    let mut broken: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the right types; localtime_r keeps neither.
    let filled = unsafe { libc::localtime_r(&seconds, &mut broken) };
    if filled.is_null() {
        // The year does not fit 32 bits: show the epoch rather than fail on a hostile time stamp.
        return LocalTime { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
    }
    LocalTime {
        year: i64::from(broken.tm_year) + 1900,
        month: broken.tm_mon as u8 + 1,
        day: broken.tm_mday as u8,
        hour: broken.tm_hour as u8,
        minute: broken.tm_min as u8,
        second: broken.tm_sec as u8,
    }
}

impl Clock {
    /// A clock for a style, with microseconds or nanoseconds.
    #[must_use]
    pub fn new(style: TimeStyle, nanos: bool) -> Self {
        Self { style, nanos, second: None, cached: Vec::with_capacity(32), reference: None }
    }

    /// Appends the time of a packet and a blank; nothing in style [`TimeStyle::Off`].
    pub fn write(&mut self, out: &mut Vec<u8>, ts: Timestamp) {
        match self.style {
            TimeStyle::Off => return,
            TimeStyle::Clock | TimeStyle::Date => self.calendar(out, ts),
            TimeStyle::Epoch => {
                if ts.seconds() < 0 {
                    out.push(b'-');
                }
                num::decimal(out, ts.seconds().unsigned_abs());
            }
            TimeStyle::Delta | TimeStyle::SinceFirst => {
                let reference = *self.reference.get_or_insert(ts);
                if self.style == TimeStyle::Delta {
                    self.reference = Some(ts);
                }
                let delta = ts.0.saturating_sub(reference.0);
                out.push(if delta < 0 { b'-' } else { b' ' });
                let delta = Timestamp(i64::try_from(delta.unsigned_abs()).unwrap_or(i64::MAX));
                let seconds = delta.seconds().unsigned_abs();
                day_time(out, seconds / 3600, seconds / 60 % 60, seconds % 60);
                self.fraction(out, delta.nanos());
                out.push(b' ');
                return;
            }
        }
        self.fraction(out, ts.nanos());
        out.push(b' ');
    }

    fn fraction(&self, out: &mut Vec<u8>, nanos: u32) {
        out.push(b'.');
        let (number, digits) = if self.nanos { (nanos, 9) } else { (nanos / 1000, 6) };
        let mut text = [b'0'; 9];
        let mut rest = number;
        for at in (0..digits).rev() {
            text[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&text[..digits]);
    }

    fn calendar(&mut self, out: &mut Vec<u8>, ts: Timestamp) {
        let second = ts.seconds();
        if self.second != Some(second) {
            self.second = Some(second);
            self.cached.clear();
            let local = local_time(second);
            if self.style == TimeStyle::Date {
                num::padded(&mut self.cached, local.year.unsigned_abs(), 4);
                for part in [local.month, local.day] {
                    self.cached.push(b'-');
                    num::padded(&mut self.cached, u64::from(part), 2);
                }
                self.cached.push(b' ');
            }
            day_time(&mut self.cached, local.hour.into(), local.minute.into(), local.second.into());
        }
        out.extend_from_slice(&self.cached);
    }
}

fn day_time(out: &mut Vec<u8>, hours: u64, minutes: u64, seconds: u64) {
    num::padded(out, hours, 2);
    out.push(b':');
    num::padded(out, minutes, 2);
    out.push(b':');
    num::padded(out, seconds, 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(style: TimeStyle, nanos: bool, times: &[i64]) -> Vec<String> {
        let mut clock = Clock::new(style, nanos);
        let write = |&time: &i64| {
            let mut out = Vec::new();
            clock.write(&mut out, Timestamp(time));
            String::from_utf8(out).unwrap()
        };
        times.iter().map(write).collect()
    }

    const T: i64 = 1_700_000_000_123_456_789;

    #[test]
    fn relative_styles() {
        let times = [T, T + 3_661_000_001_000, T + 1_000_000_000];
        assert_eq!(
            lines(TimeStyle::Delta, false, &times),
            [" 00:00:00.000000 ", " 01:01:01.000001 ", "-01:01:00.000001 "]
        );
        assert_eq!(
            lines(TimeStyle::SinceFirst, true, &times),
            [" 00:00:00.000000000 ", " 01:01:01.000001000 ", " 00:00:01.000000000 "]
        );
        assert_eq!(lines(TimeStyle::Epoch, false, &[T]), ["1700000000.123456 "]);
        assert_eq!(lines(TimeStyle::Off, false, &[T]), [""]);
        assert_eq!(lines(TimeStyle::Delta, false, &[i64::MIN, i64::MAX]).len(), 2);
    }

    #[test]
    fn calendar_styles_have_the_right_form() {
        for line in lines(TimeStyle::Clock, false, &[T, T, T + 60_000_000_000, i64::MIN, i64::MAX]) {
            assert_eq!((line.len(), line.matches(':').count()), (16, 2), "{line}");
        }
        for line in lines(TimeStyle::Date, true, &[T]) {
            assert!(line.starts_with("2023-11-1") && line.ends_with(".123456789 "), "{line}");
        }
    }
}
