//! How long names of hosts take.

use std::collections::BTreeMap;
use std::time::Duration;

use super::report::{percent, process, time};
use super::{Case, Finding, Seen, weight};

/// From which time on an answer is slow.
const SLOW: Duration = Duration::from_millis(300);
/// From which share of the time many fast ones are worth a finding.
const LEAST: f64 = 0.2;

#[derive(Default)]
struct Waits {
    all: Duration,
    longest: Duration,
    count: i128,
    failed: i128,
    open: i128,
    hosts: Vec<String>,
}

/// Findings about processes that wait for names.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let mut processes: BTreeMap<String, (u32, Waits)> = BTreeMap::new();
    for fact in seen.from("names") {
        // A program that looks a name up and ends has a number of its own each time.
        let (_, waits) =
            processes.entry(fact.text("comm").to_owned()).or_insert_with(|| (fact.pid(), Waits::default()));
        waits.all += fact.time("wait_ns");
        waits.longest = waits.longest.max(fact.time("max_ns"));
        waits.count += fact.number("count");
        waits.failed += fact.number("failed");
        waits.open += i128::from(fact.number("over") == 0);
        let host = fact.text("host").to_owned();
        if fact.time("max_ns") >= SLOW && !waits.hosts.contains(&host) {
            waits.hosts.push(host);
        }
    }
    let found = processes.into_iter().filter_map(|(comm, (pid, waits))| {
        let share = seen.share(waits.all);
        if waits.longest < SLOW && share < LEAST {
            return None;
        }
        let Waits { longest, count, failed, open, mut hosts, .. } = waits;
        let what = format!("{} waits for names of hosts, together {} of the time", process(pid, &comm), percent(share));
        let mut evidence = vec![format!("{count} lookups, {} the longest", time(longest))];
        if failed > 0 {
            evidence.push(format!("{failed} of them failed"));
        }
        if open > 0 {
            evidence.push(format!("{open} have no answer yet"));
        }
        hosts.truncate(5);
        if !hosts.is_empty() {
            evidence.push(format!("slow: {}", hosts.join(", ")));
        }
        let next = format!("skep gethostlatency --comm {comm}; skep dns -i any --slow 100; cat /etc/resolv.conf");
        Some(Finding { case: Case::Stall, weight: weight(60.0, 95.0, share), what, evidence, next, pid, comm })
    });
    found.collect()
}
