//! The report: findings as text or JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::{CASES, Case, Collector, Finding, Pressure};

/// A collector that could not look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub name: &'static str,
    /// Why not.
    pub why: String,
}

/// Everything that is told.
#[derive(Debug)]
pub struct Report<'a> {
    /// For how long it was looked.
    pub window: Duration,
    /// Processors of the machine.
    pub processors: u32,
    /// Whose events were looked at, in words.
    pub whose: &'a str,
    /// The collectors that looked.
    pub collectors: &'a [&'a Collector],
    /// Those that could not.
    pub skipped: &'a [Skipped],
    /// Who waited, machine-wide.
    pub pressure: Option<Pressure>,
    /// The findings, those that matter most first.
    pub findings: &'a [Finding],
}

impl Case {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        CASES.iter().find(|(case, ..)| *case == self).map_or("", |(_, name, _)| name)
    }

    /// What it is about, in words.
    pub fn words(self) -> &'static str {
        CASES.iter().find(|(case, ..)| *case == self).map_or("", |(.., words)| words)
    }
}

impl Report<'_> {
    /// The report as text.
    pub fn text(&self) -> String {
        let mut text = format!(
            "Looked at {} for {:.1} s, with {} collectors on {} processors",
            self.whose,
            self.window.as_secs_f64(),
            self.collectors.len(),
            self.processors
        );
        if let Some(Pressure { cpu, io, memory }) = self.pressure {
            let _ = write!(text, "; somebody waited for a processor {cpu:.0} % of the time, ");
            let _ = write!(text, "for disks {io:.0} %, for memory {memory:.0} %");
        }
        text.push_str(".\n");
        if self.findings.is_empty() {
            text.push_str("\nNothing was found.\n");
        }
        for (number, finding) in (1..).zip(self.findings) {
            let _ = write!(text, "\n{number:2}. {}.\n", capital(&finding.what));
            let _ = writeln!(text, "    ({}, weight {:.0})", finding.case.words(), finding.weight);
            for line in &finding.evidence {
                let _ = writeln!(text, "    - {line}");
            }
            if !finding.next.is_empty() {
                let _ = writeln!(text, "    Next: {}", finding.next);
            }
        }
        let quiet: Vec<&str> = CASES
            .iter()
            .filter(|(case, ..)| !self.findings.iter().any(|finding| finding.case == *case))
            .map(|(.., words)| *words)
            .collect();
        if !quiet.is_empty() && !self.findings.is_empty() {
            let _ = write!(text, "\nNothing was found about {}.\n", quiet.join(", "));
        }
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for Skipped { name, why } in self.skipped {
            match reasons.iter_mut().find(|(reason, _)| reason == why) {
                Some((_, names)) => names.push(name),
                None => reasons.push((why, vec![name])),
            }
        }
        for (why, names) in reasons {
            let _ = write!(text, "\nNot looked at: {}: {why}\n", names.join(", "));
        }
        text
    }

    /// The report as a JSON object, on one line.
    pub fn json(&self) -> String {
        let findings: Vec<Value> = self.findings.iter().map(finding).collect();
        let skipped: Vec<Value> =
            self.skipped.iter().map(|Skipped { name, why }| json!({ "collector": name, "why": why })).collect();
        let names: Vec<&str> = self.collectors.iter().map(|collector| collector.name).collect();
        let pressure = self.pressure.map(
            |Pressure { cpu, io, memory }| json!({ "cpu_percent": cpu, "io_percent": io, "memory_percent": memory }),
        );
        let report = json!({
            "window_ns": u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX),
            "processors": self.processors,
            "whose": self.whose,
            "collectors": names,
            "skipped": skipped,
            "pressure": pressure,
            "findings": findings,
        });
        format!("{report}\n")
    }
}

fn finding(finding: &Finding) -> Value {
    let Finding { case, weight, what, evidence, next, pid, comm } = finding;
    json!({
        "case": case.name(),
        "weight": weight,
        "what": what,
        "evidence": evidence,
        "next": next,
        "pid": (*pid != 0).then_some(pid),
        "comm": (!comm.is_empty()).then_some(comm),
    })
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A time with the unit that suits it.
pub(super) fn time(time: Duration) -> String {
    let nanos = time.as_nanos();
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{:.1} µs", time.as_secs_f64() * 1e6),
        1_000_000..1_000_000_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A process in words.
pub(super) fn process(pid: u32, comm: &str) -> String {
    match comm {
        "" => format!("process {pid}"),
        _ => format!("{comm} (process {pid})"),
    }
}

/// Several processes of one name in words.
pub(super) fn processes(pids: &BTreeSet<u32>, comm: &str) -> String {
    match (pids.len(), pids.first()) {
        (0 | 1, first) => process(first.copied().unwrap_or(0), comm),
        (many, _) => format!("{comm} ({many} processes)"),
    }
}

/// How the filters of skep name these processes.
pub(super) fn choice(pids: &BTreeSet<u32>, comm: &str) -> String {
    match (pids.len(), pids.first()) {
        (0 | 1, Some(pid)) => format!("-p {pid}"),
        _ => format!("--comm '{comm}'"),
    }
}

/// The frame of a stack that says most: the first one that is not about waiting or locking as such.
pub(super) fn telling(stack: &str) -> String {
    // TABLE: what frames about waiting begin with.
    const WAITING: &[&str] = &[
        "__schedule",
        "schedule",
        "io_schedule",
        "wait_for",
        "bit_wait",
        "__wait_on",
        "out_of_line",
        "folio_wait",
        "native_",
        "queued_",
        "__pv_",
        "_raw_",
        "__mutex",
        "mutex_lock",
        "rwsem_",
        "down_",
        "rt_mutex",
        "prepare_to_",
        "__down",
        "finish_wait",
        "blk_io_schedule",
        "percpu_rwsem",
    ];
    let frames = || stack.lines().map(|frame| frame.split('+').next().unwrap_or(frame).trim());
    let found = frames().find(|frame| !WAITING.iter().any(|waiting| frame.starts_with(waiting)));
    found.or_else(|| frames().next()).unwrap_or_default().to_owned()
}
