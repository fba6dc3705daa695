//! Threads that wait where nothing can interrupt them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::report::{percent, process, telling, time};
use super::{Case, Finding, Seen, weight};

/// From which share of the time it is worth a finding.
const LEAST: f64 = 0.2;
/// Waits that are wanted: a parent until its child has started a program, a traced process, and the thread of the kernel that
/// waits until no program of a probe runs any more, which is its task.
// TABLE: functions in their stacks.
const WANTED: &[&str] = &["wait_for_vfork_done", "kernel_clone", "ptrace_stop", "rcu_tasks_kthread"];

/// Findings about processes that wait for disks, file systems and the like.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    #[derive(Default)]
    struct Waits {
        all: Duration,
        longest: Duration,
        count: i128,
        comm: String,
        places: BTreeMap<String, Duration>,
    }
    let mut processes: BTreeMap<u32, Waits> = BTreeMap::new();
    for fact in seen.from("blocked") {
        let stack = fact.text("stack");
        if fact.pid() == 0 || WANTED.iter().any(|function| stack.contains(function)) {
            continue;
        }
        let waits = processes.entry(fact.pid()).or_default();
        let wait = fact.time("wait_ns");
        waits.all += wait;
        waits.longest = waits.longest.max(fact.time("max_ns"));
        waits.count += fact.number("count");
        fact.text("comm").clone_into(&mut waits.comm);
        *waits.places.entry(telling(stack)).or_default() += wait;
    }
    let found = processes.into_iter().filter_map(|(pid, waits)| {
        let share = seen.share(waits.all);
        if share < LEAST {
            return None;
        }
        let Waits { all, longest, count, comm, places } = waits;
        let (place, most) = places.into_iter().max_by_key(|(_, wait)| *wait).unwrap_or_default();
        let what = format!(
            "{} waits {} of the time for a disk, a file system or something else that cannot be interrupted",
            process(pid, &comm),
            percent(share)
        );
        let mean = all / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let evidence = vec![
            format!("{count} waits, {} each on average, {} the longest", time(mean), time(longest)),
            format!("most of it ({}) in {place} of the kernel", percent(most.as_secs_f64() / all.as_secs_f64())),
        ];
        let next = format!("skep offcputime -p {pid} 5; skep biosnoop");
        Some(Finding { case: Case::Stall, weight: weight(50.0, 85.0, share), what, evidence, next, pid, comm })
    });
    found.collect()
}
