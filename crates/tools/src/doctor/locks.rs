//! Waits for locks: those of programs, and those of the kernel.

use std::collections::BTreeMap;
use std::time::Duration;

use super::report::{percent, process, telling, time};
use super::{Case, Finding, Seen, weight};

/// From which share of the time it is worth a finding.
const LEAST: f64 = 0.2;
/// From which share of the time locks of the kernel are, which are held for microseconds.
const LEAST_KERNEL: f64 = 0.1;

#[derive(Default)]
struct Waits {
    all: Duration,
    longest: Duration,
    count: i128,
    open: i128,
    comm: String,
}

/// Findings about locks that threads of a process wait for.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let mut locks: BTreeMap<(u32, i128), Waits> = BTreeMap::new();
    for fact in seen.from("locks") {
        let waits = locks.entry((fact.pid(), fact.number("address"))).or_default();
        waits.all += fact.time("wait_ns");
        waits.longest = waits.longest.max(fact.time("max_ns"));
        waits.count += fact.number("count");
        waits.open += i128::from(fact.number("over") == 0);
        fact.text("comm").clone_into(&mut waits.comm);
    }
    let found = locks.into_iter().filter_map(|((pid, address), waits)| {
        let share = seen.share(waits.all);
        // A thread that waits once and for short does not suffer.
        if share < LEAST || (waits.count < 3 && waits.open == 0) {
            return None;
        }
        let Waits { all, longest, count, open, comm } = waits;
        let what =
            format!("threads of {} wait for one lock, together {} of the time", process(pid, &comm), percent(share));
        let mean = all / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let mut evidence = vec![format!(
            "{count} waits for the lock at {address:#x}, {} each on average, {} the longest",
            time(mean),
            time(longest)
        )];
        if open > 0 {
            evidence.push(format!("{open} threads wait for it still"));
        }
        let next = format!("skep offcputime -p {pid} --flame flame.svg 5");
        Some(Finding { case: Case::Stall, weight: weight(60.0, 95.0, share), what, evidence, next, pid, comm })
    });
    found.collect()
}

/// Findings about locks of the kernel that a process waits for.
pub fn judge_kernel(seen: &Seen) -> Vec<Finding> {
    let mut all: BTreeMap<(u32, String), (Duration, i128, String)> = BTreeMap::new();
    for fact in seen.from("kernel_locks") {
        let entry = all.entry((fact.pid(), telling(fact.text("stack")))).or_default();
        entry.0 += fact.time("wait_ns");
        entry.1 += fact.number("count");
        fact.text("comm").clone_into(&mut entry.2);
    }
    let found = all.into_iter().filter_map(|((pid, place), (wait, count, comm))| {
        let share = seen.share(wait);
        if share < LEAST_KERNEL {
            return None;
        }
        let what = format!(
            "{} waits for a lock of the kernel in {place}, {} of the time",
            process(pid, &comm),
            percent(share)
        );
        let mean = wait / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let evidence = vec![format!("{count} waits, {} each on average", time(mean))];
        let next = format!("skep offcputime -p {pid} 5");
        Some(Finding { case: Case::Stall, weight: weight(50.0, 85.0, share), what, evidence, next, pid, comm })
    });
    found.collect()
}
