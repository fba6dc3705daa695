//! Shortage of memory: threads that have to free some themselves, processes that are killed.

use super::report::{percent, process, time};
use super::{Case, Finding, Seen, weight};

/// From which share of the time freeing memory is worth a finding.
const LEAST: f64 = 0.05;

/// Findings about memory.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let stalls = seen.from("memory").filter_map(|fact| {
        let (wait, count, pid) = (fact.time("wait_ns"), fact.number("count"), fact.pid());
        let share = seen.share(wait);
        if share < LEAST {
            return None;
        }
        let comm = fact.text("comm").to_owned();
        let what =
            format!("{} has to free memory before it gets some, {} of the time", process(pid, &comm), percent(share));
        let mean = wait / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let evidence = vec![format!("{count} times, {} each on average", time(mean))];
        let next = format!("skep drsnoop -p {pid}; cat /proc/{pid}/cgroup");
        Some(Finding { case: Case::Hidden, weight: weight(65.0, 92.0, share * 2.0), what, evidence, next, pid, comm })
    });
    let killed = seen.from("killed").map(|fact| {
        let (pid, comm) = (fact.pid(), fact.text("comm").to_owned());
        Finding {
            case: Case::Hidden,
            weight: 96.0,
            what: format!("{} was killed because memory was short", process(pid, &comm)),
            evidence: vec![
                "the kernel chose it: all memory of the machine or of its control group was taken".to_owned(),
            ],
            next: "skep oomkill; dmesg | grep -i oom".to_owned(),
            pid,
            comm,
        }
    });
    stalls.chain(killed).collect()
}
