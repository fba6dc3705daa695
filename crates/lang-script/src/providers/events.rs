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
    /// `PERF_COUNT_SW_*`, `PERF_COUNT_HW_*`, or for caches the cache, what is done and what comes of it
    /// (`PERF_COUNT_HW_CACHE_*`), 8 bits each.
    pub number: u64,
    /// Whether it is an event of a cache.
    pub cache: bool,
    /// Once in so many events the program runs.
    pub count: u64,
}

const fn event(name: &'static str, alias: &'static str, number: u64, count: u64) -> Event {
    Event { name, alias, number, cache: false, count }
}

/// An event of a cache: which, 0 for a load and 1 for a store, and whether only misses count.
const fn cache(name: &'static str, which: u64, store: u64, misses: bool) -> Event {
    let number = which | store << 8 | (misses as u64) << 16;
    Event { name, alias: name, number, cache: true, count: if misses { 100_000 } else { 1_000_000 } }
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

// TABLE
/// Events of the processor; those of caches have the names that perf(1) gives them.
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
    cache("L1-dcache-loads", 0, 0, false),
    cache("L1-dcache-load-misses", 0, 0, true),
    cache("L1-dcache-stores", 0, 1, false),
    cache("L1-icache-load-misses", 1, 0, true),
    cache("LLC-loads", 2, 0, false),
    cache("LLC-load-misses", 2, 0, true),
    cache("LLC-stores", 2, 1, false),
    cache("LLC-store-misses", 2, 1, true),
    cache("dTLB-loads", 3, 0, false),
    cache("dTLB-load-misses", 3, 0, true),
    cache("dTLB-stores", 3, 1, false),
    cache("dTLB-store-misses", 3, 1, true),
    cache("iTLB-loads", 4, 0, false),
    cache("iTLB-load-misses", 4, 0, true),
    cache("node-loads", 6, 0, false),
    cache("node-load-misses", 6, 0, true),
    cache("node-stores", 6, 1, false),
    cache("node-store-misses", 6, 1, true),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers as perf_event_open(2) puts them together.
    #[test]
    fn events_of_caches() {
        let number =
            |name| HARDWARE_EVENTS.iter().find(|event| event.name == name).map(|event| (event.number, event.cache));
        assert_eq!(number("L1-dcache-loads"), Some((0, true)));
        assert_eq!(number("LLC-store-misses"), Some((0x1_0102, true)));
        assert_eq!(number("cache-misses"), Some((3, false)));
        let mut numbers: Vec<(bool, u64)> = HARDWARE_EVENTS.iter().map(|event| (event.cache, event.number)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), HARDWARE_EVENTS.len());
    }
}
