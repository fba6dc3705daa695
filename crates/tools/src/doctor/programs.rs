//! Programs that live so shortly that no list of processes shows them.

use std::collections::BTreeMap;

use super::report::process;
use super::{Case, Finding, Seen, weight};

/// Programs in a second from which it is worth a finding.
const LEAST: f64 = 30.0;

/// Findings about processes that start programs all the time.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let mut parents: BTreeMap<u32, (String, i128, BTreeMap<&str, i128>)> = BTreeMap::new();
    for fact in seen.from("programs") {
        let (comm, all, programs) = parents.entry(fact.pid()).or_default();
        fact.text("comm").clone_into(comm);
        *all += fact.number("count");
        *programs.entry(fact.text("program")).or_default() += fact.number("count");
    }
    let found = parents.into_iter().filter_map(|(pid, (comm, all, programs))| {
        let rate = seen.rate(all);
        if rate < LEAST {
            return None;
        }
        let mut programs: Vec<(i128, &str)> = programs.into_iter().map(|(name, count)| (count, name)).collect();
        programs.sort_unstable_by(|a, b| b.cmp(a));
        let evidence = programs.iter().take(5).map(|(count, name)| format!("{count} times {name}")).collect();
        let what = format!("{} starts {rate:.0} programs a second", process(pid, &comm));
        let next = format!("skep execsnoop --where 'ppid == {pid}'");
        Some(Finding { case: Case::Hidden, weight: weight(55.0, 85.0, rate / 500.0), what, evidence, next, pid, comm })
    });
    found.collect()
}
