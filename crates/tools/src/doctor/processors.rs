//! Who keeps processors busy, and with what.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{choice, percent, processes};
use super::{Case, Finding, Seen, weight};

/// Samples of a processor in a second.
const RATE: f64 = 49.0;
/// From which share of one processor a process is worth a finding.
const LEAST: f64 = 0.5;
/// Samples below which nothing can be said.
const FEW: i128 = 20;

#[derive(Default)]
struct Samples<'a> {
    all: i128,
    kernel: i128,
    pids: BTreeSet<u32>,
    functions: BTreeMap<&'a str, i128>,
}

/// Findings about processes that use a good part of a processor.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let mut programs: BTreeMap<&str, Samples<'_>> = BTreeMap::new();
    for fact in seen.from("processors") {
        let samples = programs.entry(fact.text("comm")).or_default();
        let count = fact.number("count");
        samples.all += count;
        samples.pids.insert(fact.pid());
        let stack = fact.text("stack");
        if let Some(frame) = stack.lines().next() {
            samples.kernel += count;
            *samples.functions.entry(frame.split('+').next().unwrap_or(frame)).or_default() += count;
        }
    }
    let found = programs.into_iter().filter_map(|(comm, samples)| finding(seen, comm, &samples));
    found.collect()
}

#[allow(clippy::cast_precision_loss)] // counts of samples of some seconds
fn finding(seen: &Seen, comm: &str, samples: &Samples<'_>) -> Option<Finding> {
    let share = samples.all as f64 / (RATE * seen.window.as_secs_f64().max(0.001));
    if share < LEAST || samples.all < FEW {
        return None;
    }
    let kernel = samples.kernel as f64 / samples.all as f64;
    let mut evidence = vec![format!(
        "{} samples, {} of them in the program and {} in the kernel",
        samples.all,
        percent(1.0 - kernel),
        percent(kernel)
    )];
    let most = samples.functions.iter().max_by_key(|(_, count)| **count);
    if let Some((function, count)) = most.filter(|_| kernel >= 0.2) {
        let part = percent(*count as f64 / samples.all as f64);
        evidence.push(format!("in the kernel most of them are in {function} ({part} of all)"));
    }
    let machine = share / f64::from(seen.processors.max(1));
    evidence.push(format!("that is {} of the machine", percent(machine)));
    let pids = &samples.pids;
    let what = format!("{} uses {} of a processor", processes(pids, comm), percent(share));
    let next = format!("skep profile {} --flame flame.svg 10", choice(pids, comm));
    let pid = pids.first().copied().filter(|_| pids.len() == 1).unwrap_or(0);
    let (weight, comm) = (weight(30.0, 60.0, share / 2.0), comm.to_owned());
    Some(Finding { case: Case::Processors, weight, what, evidence, next, pid, comm })
}
