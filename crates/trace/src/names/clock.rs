//! Clocks: boot time to wall-clock time, and `strftime(3)`.

use std::cell::OnceCell;

use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

const SECOND: i128 = 1_000_000_000;

/// Conversions that `strftime(3)` has and that mean the same in the C locale and in `jiff`.
const CONVERSIONS: &[u8] = b"aAbBCdDeFgGhHIjklmMnpPRsStTuUVwWyYzZ";

/// Composite conversions of the C locale.
// TABLE
const COMPOSITE: &[(u8, &str)] =
    &[(b'c', "%a %b %e %H:%M:%S %Y"), (b'x', "%m/%d/%y"), (b'X', "%H:%M:%S"), (b'r', "%I:%M:%S %p")];

/// Where the wall clock stands relative to the boot clock, and the time zone.
#[derive(Debug, Clone)]
pub struct Clock {
    wall_offset: i128,
    /// Found when a time is first printed: that reads directories.
    zone: OnceCell<TimeZone>,
}

impl Clock {
    /// The clocks of this machine and the time zone of this process.
    pub fn system() -> Self {
        use rustix::time::{ClockId, clock_gettime};
        let nanoseconds = |id| {
            let time = clock_gettime(id);
            i128::from(time.tv_sec) * SECOND + i128::from(time.tv_nsec)
        };
        let wall_offset = nanoseconds(ClockId::Realtime) - nanoseconds(ClockId::Boottime);
        Self { wall_offset, zone: OnceCell::new() }
    }

    /// Nanoseconds since boot (`CLOCK_BOOTTIME`).
    pub fn boot_now() -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        u64::try_from(i128::from(time.tv_sec) * SECOND + i128::from(time.tv_nsec)).unwrap_or(0)
    }

    /// Nanoseconds of international atomic time (`CLOCK_TAI`) minus those since boot.
    pub fn tai_offset() -> i64 {
        // Only a kernel that cannot be run on has no such clock.
        let time = rustix::time::clock_gettime_dynamic(rustix::time::DynamicClockId::Tai).unwrap_or_default();
        let tai = i128::from(time.tv_sec) * SECOND + i128::from(time.tv_nsec);
        i64::try_from(tai - i128::from(Self::boot_now())).unwrap_or(0)
    }

    /// A clock for tests: this many nanoseconds between 1970 and boot, and Coordinated Universal Time.
    pub fn fixed(wall_offset: i64) -> Self {
        Self { wall_offset: wall_offset.into(), zone: OnceCell::from(TimeZone::UTC) }
    }

    /// Wall-clock nanoseconds since 1970 minus boot-clock nanoseconds.
    pub fn wall_offset(&self) -> i64 {
        i64::try_from(self.wall_offset).unwrap_or(0)
    }

    /// Appends a boot-clock time as wall-clock time.
    pub fn boot_time(&self, boot: u64, format: &str, out: &mut Vec<u8>) {
        self.wall_time(i128::from(boot) + self.wall_offset, format, out);
    }

    /// Appends the time of now.
    pub fn now(&self, format: &str, out: &mut Vec<u8>) {
        self.write(&Timestamp::now(), format, out);
    }

    /// Appends a time in nanoseconds since 1970.
    pub(crate) fn wall_time(&self, nanoseconds: i128, format: &str, out: &mut Vec<u8>) {
        match Timestamp::from_nanosecond(nanoseconds) {
            Ok(time) => self.write(&time, format, out),
            Err(_) => out.extend_from_slice(b"<time out of range>"),
        }
    }

    fn write(&self, time: &Timestamp, format: &str, out: &mut Vec<u8>) {
        let format = translate(format, time.subsec_nanosecond() / 1_000);
        let config = Config::new().custom(PosixCustom::new()).lenient(true);
        let zoned: Zoned = time.to_zoned(self.zone.get_or_init(TimeZone::system).clone());
        match BrokenDownTime::from(&zoned).to_string_with_config(&config, &format) {
            Ok(text) => out.extend_from_slice(text.as_bytes()),
            Err(_) => out.extend_from_slice(format.as_bytes()),
        }
    }
}

/// The format for `jiff`: `%f` becomes microseconds, composites are spelled out, flags are kept, the modifiers `E` and
/// `O` are left out (they mean nothing in the C locale), and what is no conversion stays as it is.
fn translate(format: &str, microseconds: i32) -> String {
    let mut out = String::with_capacity(format.len() + 8);
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let bytes = &rest.as_bytes()[at..];
        let flags = bytes[1..].iter().take_while(|byte| b"_-0^#".contains(byte)).count();
        let modifiers = bytes[1 + flags..].iter().take_while(|byte| b"EO".contains(byte)).count();
        let conversion = bytes.get(1 + flags + modifiers).copied();
        let end = 1 + flags + modifiers + 1;
        let known = conversion.is_some_and(|byte| CONVERSIONS.contains(&byte));
        let composite = COMPOSITE.iter().find(|(byte, _)| Some(*byte) == conversion);
        let consumed = match (conversion, composite) {
            (Some(b'%'), _) => {
                out.push_str("%%");
                end
            }
            (Some(b'f'), _) if end == 2 => {
                out.push_str(&format!("{microseconds:06}"));
                end
            }
            (_, Some((_, format))) => {
                out.push_str(format);
                end
            }
            _ if known => {
                out.push('%');
                out.push_str(&rest[at + 1..at + 1 + flags]);
                out.push_str(&rest[at + end - 1..at + end]);
                end
            }
            _ => {
                out.push_str("%%");
                1
            }
        };
        rest = &rest[at + consumed..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(format: &str) -> String {
        let mut out = Vec::new();
        Clock::fixed(1_795_772_601_387_484_720).boot_time(1000, format, &mut out);
        String::from_utf8(out).unwrap()
    }

    // What bpftrace 0.27.1 printed for the same time.
    #[test]
    fn as_the_reference_prints() {
        assert_eq!(
            format("%c|%x|%X|%p|%j|%e|%s|%Z|%z|%f|%%"),
            "Fri Nov 27 09:43:21 2026|11/27/26|09:43:21|AM|331|27|1795772601|UTC|+0000|387485|%"
        );
        assert_eq!(format("%6f %N %"), "%6f %N %");
        assert_eq!(format("%Y-%m-%d é %Ey%n"), "2026-11-27 é 26\n");
        assert_eq!(format("%-H|%_H|%^a|"), "9| 9|FRI|");
    }

    #[test]
    fn any_format_and_any_time() {
        skep_random::random_test(|u| {
            let (wall, boot, format): (i64, u64, String) = (u.arbitrary()?, u.arbitrary()?, u.arbitrary()?);
            Clock::fixed(wall).boot_time(boot, &format, &mut Vec::new());
            Ok(())
        })
        .budget_ms(300);
    }
}
