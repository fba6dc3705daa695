//! Software and hardware events: names, numbers and how often a program runs if the script does not say.
//!
//! The numbers are those of `include/uapi/linux/perf_event.h`.

/// An event that the kernel or the processor counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: &'static str,
    /// A shorter name, or the same.
    pub alias: &'static str,
    /// `PERF_COUNT_SW_*` or `PERF_COUNT_HW_*`.
    pub number: u64,
    /// Once in so many events the program runs.
    pub count: u64,
}

const fn event(name: &'static str, alias: &'static str, number: u64, count: u64) -> Event {
    Event { name, alias, number, count }
}

// TABLE
/// Events of the kernel.
pub const SOFTWARE_EVENTS: &[Event] = &[
    event("alignment-faults", "alignment-faults", 7, 1),
    event("bpf-output", "bpf-output", 10, 1),
    event("context-switches", "cs", 3, 1_000),
    event("cpu-clock", "cpu", 0, 1_000_000),
    event("cpu-migrations", "cpu-migrations", 4, 1),
    event("dummy", "dummy", 9, 1),
    event("emulation-faults", "emulation-faults", 8, 1),
    event("major-faults", "major-faults", 6, 1),
    event("minor-faults", "minor-faults", 5, 100),
    event("page-faults", "faults", 2, 100),
    event("task-clock", "task-clock", 1, 1),
];

/// Events of the processor.
pub const HARDWARE_EVENTS: &[Event] = &[
    event("backend-stalls", "backend-stalls", 8, 1_000_000),
    event("branch-instructions", "branches", 4, 100_000),
    event("branch-misses", "branch-misses", 5, 100_000),
    event("bus-cycles", "bus-cycles", 6, 100_000),
    event("cache-misses", "cache-misses", 3, 1_000_000),
    event("cache-references", "cache-references", 2, 1_000_000),
    event("cpu-cycles", "cycles", 0, 1_000_000),
    event("frontend-stalls", "frontend-stalls", 7, 1_000_000),
    event("instructions", "instructions", 1, 1_000_000),
    event("ref-cycles", "ref-cycles", 9, 1_000_000),
];
