//! Threads that could run, but wait for a processor.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::report::{choice, percent, processes, time};
use super::{Case, Finding, Seen, weight};

/// From which share of the time it is worth a finding.
const LEAST: f64 = 0.25;
/// Waits that are this short, on average, are those of a busy machine that shares well.
const SHORT: Duration = Duration::from_micros(200);

#[derive(Default)]
struct Waits {
    pids: BTreeSet<u32>,
    all: Duration,
    longest: Duration,
    count: i128,
}

/// Findings about programs whose threads wait for processors.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let mut programs: BTreeMap<&str, Waits> = BTreeMap::new();
    for fact in seen.from("queue").filter(|fact| fact.pid() != 0) {
        let waits = programs.entry(fact.text("comm")).or_default();
        waits.pids.insert(fact.pid());
        waits.all += fact.time("wait_ns");
        waits.longest = waits.longest.max(fact.time("max_ns"));
        waits.count += fact.number("count");
    }
    let found = programs.into_iter().filter_map(|(comm, Waits { pids, all, longest, count })| {
        let share = seen.share(all);
        let mean = all / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        if share < LEAST || mean < SHORT {
            return None;
        }
        let what = format!(
            "threads of {} wait for a processor, together {} of the time",
            processes(&pids, comm),
            percent(share)
        );
        let evidence = vec![format!("{count} waits, {} each on average, {} the longest", time(mean), time(longest))];
        let next = format!("skep runqlat {} 5 1; skep profile 5", choice(&pids, comm));
        let pid = pids.first().copied().filter(|_| pids.len() == 1).unwrap_or(0);
        let (weight, comm) = (weight(25.0, 55.0, share / 2.0), comm.to_owned());
        Some(Finding { case: Case::Processors, weight, what, evidence, next, pid, comm })
    });
    found.collect()
}
