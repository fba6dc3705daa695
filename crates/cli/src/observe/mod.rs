//! What the commands about live objects share: tables, quantities, names of addresses.

pub mod table;

use std::path::PathBuf;
use std::time::Duration;

use skep_kernel::KernelError;
use skep_kernel::inventory::Survey;
use skep_sym::Kallsyms;

use crate::failure::Failure;
use crate::vm::json::{Json, list, quoted};

/// The names of addresses, read when one is asked for.
#[derive(Debug, Default)]
pub struct Symbols(Kallsyms);

impl Symbols {
    /// `name`, or `name+0x10`.
    pub fn name(&self, address: u64) -> Option<String> {
        let (symbol, distance) = self.0.at(address).ok()??;
        Some(if distance == 0 { symbol.name.to_owned() } else { format!("{}+{distance:#x}", symbol.name) })
    }

    /// Where a symbol is.
    pub fn address(&self, name: &str) -> Option<u64> {
        self.0.address(name).ok()
    }
}

/// Looks at everything.
pub fn survey() -> Result<Survey, Failure> {
    let symbols = Symbols::default();
    Survey::look(&|address| symbols.name(address)).map_err(failure)
}

/// An error of the kernel; that something does not exist is the fault of who asked for it.
pub fn failure(error: KernelError) -> Failure {
    Failure::run(error)
}

/// `name(pid), name(pid), /path`
pub fn holders(processes: &[(u32, String)], pins: &[PathBuf]) -> String {
    let processes = processes.iter().map(|(pid, command)| format!("{command}({pid})"));
    let pins = pins.iter().map(|path| path.display().to_string());
    let all: Vec<String> = processes.chain(pins).collect();
    all.join(", ")
}

/// The same as members of a JSON object.
pub fn json_holders(object: Json, processes: &[(u32, String)], pins: &[PathBuf]) -> Json {
    let one = |(pid, command): &(u32, String)| Json::object().raw("pid", pid).text("comm", command).end();
    let paths = pins.iter().map(|path| quoted(&path.display().to_string()));
    object.raw("pids", list(processes.iter().map(one))).raw("pinned", list(paths))
}

/// Bytes with a unit: `376 B`, `8.0 KiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while value >= 1024.0
        && let Some(next) = units.next()
    {
        value /= 1024.0;
        unit = Some(next);
    }
    format!("{value:.1} {}", unit.copied().unwrap_or_default())
}

/// A span of time in its two largest units: `3d 4h`, `2m 5s`, `17s`.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A short time: `135 ns`, `1.20 us`, `3.50 ms`, `2.00 s`.
pub fn short(time: Duration) -> String {
    match time.as_nanos() {
        nanos @ 0..1000 => format!("{nanos} ns"),
        nanos @ 1000..1_000_000 => format!("{:.2} us", nanos as f64 / 1e3),
        nanos @ 1_000_000..1_000_000_000 => format!("{:.2} ms", nanos as f64 / 1e6),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        assert_eq!([0, 1023, 1024, 1 << 20, 3 << 40].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "3.0 TiB"]);
        let spans = [0, 59, 61, 3660, 90_000].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(spans, ["0s", "59s", "1m 1s", "1h 1m", "1d 1h"]);
        let times = [12, 1500, 2_500_000, 1_000_000_000].map(|nanos| short(Duration::from_nanos(nanos)));
        assert_eq!(times, ["12 ns", "1.50 us", "2.50 ms", "1.00 s"]);
        assert_eq!(holders(&[(1, "init".to_owned())], &["/a".into()]), "init(1), /a");
    }
}
