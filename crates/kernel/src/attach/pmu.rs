//! The performance events `kprobe` and `uprobe` as the kernel describes them below `/sys/bus/event_source/devices`.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::perf::Definition;
use crate::errors::KernelError;

/// A kind of event with a number that changes from machine to machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pmu {
    /// What goes into the field `type`.
    pub(super) number: u32,
    /// The bit of `config` that means the return of a function.
    pub(super) return_bit: u64,
    /// The first of 32 bits of `config` with the place of a counter; `None` before Linux 4.20.
    pub(super) counter_shift: Option<u32>,
}

impl Pmu {
    /// Reads the description; `None` if the kernel has no such events.
    pub(super) fn find(name: &str) -> Option<Self> {
        Self::read(&Path::new("/sys/bus/event_source/devices").join(name))
    }

    fn read(directory: &Path) -> Option<Self> {
        let number = fs::read_to_string(directory.join("type")).ok()?.trim().parse().ok()?;
        let format =
            |file| fs::read_to_string(directory.join("format").join(file)).ok().and_then(|text| first_bit(&text));
        let return_bit = 1u64.checked_shl(format("retprobe").unwrap_or(0))?;
        Some(Self { number, return_bit, counter_shift: format("ref_ctr_offset") })
    }
}

/// The first bit in a description such as `config:32-63`.
fn first_bit(text: &str) -> Option<u32> {
    let bits = text.trim().strip_prefix("config:")?;
    bits.split(['-', ',']).next()?.parse().ok().filter(|&bit| bit < 64)
}

/// `group/name` for a definition by text that no other process and thread uses now.
pub(super) fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("skep/p{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Definition {
    /// The number of the event that the definition made.
    pub(super) fn event_id(&self) -> Result<u64, KernelError> {
        let (group, name) = self.name.split_once('/').unwrap_or(("skep", &self.name));
        self.tracefs.event_id(group, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions() {
        assert_eq!(first_bit("config:0\n"), Some(0));
        assert_eq!(first_bit("config:32-63\n"), Some(32));
        assert_eq!(first_bit("config1:0-63\n"), None);
        assert_eq!(first_bit("config:64\n"), None);
        assert_eq!(Pmu::find("no such events"), None);
        assert_ne!(unique_name(), unique_name());
    }
}
