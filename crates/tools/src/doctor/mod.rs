//! `skep doctor`: a dozen cheap collectors look at a machine for some seconds; what they saw becomes findings in words.
//!
//! ```text
//!  COLLECTORS --scripts--> one script --> records --> Seen --judges--> Findings --rank--> report (text, JSON)
//!                      netfilter, groups, pressure ----^
//! ```
//!
//! What lives here: the table of collectors, what they saw, one module for each judge, the report. The scripts of the
//! collectors are in `tools/doctor`. What does not live here: compiling and running them.
//!
//! A judge says something only if it explains a loss that somebody would notice; a machine that is well gets no finding.
//! The weight of a finding, from 0 to 100, orders them: a cause that names what to change outweighs a symptom, and within
//! a kind the one that costs more time outweighs the other.

mod blocked;
mod disks;
mod files;
mod groups;
mod interrupts;
mod locks;
mod memory;
mod names;
mod network;
mod processors;
mod programs;
mod queue;
mod report;
mod rules;
mod seen;

pub use groups::{GroupTime, throttled};
pub use report::{Report, Skipped};
pub use seen::{Fact, Notes, Pressure, Seen, Taken, pressure};

/// The kinds of trouble, as people name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// Rules of iptables or nftables cost too much, or drop.
    Rules,
    /// Somebody keeps processors busy, or waits for them.
    Processors,
    /// A program does not find or may not read its configuration.
    Configuration,
    /// A program waits: for locks, disks, names.
    Stall,
    /// What makes systems slow without showing in the usual places.
    Hidden,
}

/// Names of cases in JSON, and in words.
// TABLE
pub const CASES: &[(Case, &str, &str)] = &[
    (Case::Rules, "rules", "rules of iptables or nftables"),
    (Case::Processors, "processors", "use of processors"),
    (Case::Configuration, "configuration", "configuration that is not loaded"),
    (Case::Stall, "stall", "stalls"),
    (Case::Hidden, "hidden", "hidden causes of slowness"),
];

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Its kind.
    pub case: Case,
    /// How much it matters, from 0 to 100.
    pub weight: f64,
    /// What is wrong, in a sentence without its full stop.
    pub what: String,
    /// What was measured, a line each.
    pub evidence: Vec<String>,
    /// The command that shows more.
    pub next: String,
    /// The process that it is about, 0 without one.
    pub pid: u32,
    /// Its name, empty without one.
    pub comm: String,
}

/// What a collector can be limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// It looks at processes and knows whose events are wanted.
    Processes,
    /// It looks at packets, which belong to a network namespace and to nobody.
    Network,
    /// It looks at the whole machine.
    Machine,
}

/// A collector.
#[derive(Debug)]
pub struct Collector {
    /// Its name, for `--only`.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// What it can be limited to.
    pub scope: Scope,
    /// The import with its probes; empty if it needs none.
    pub script: &'static str,
    /// What makes findings of what was seen.
    pub judge: fn(&Seen) -> Vec<Finding>,
}

const fn row(
    name: &'static str,
    about: &'static str,
    scope: Scope,
    script: &'static str,
    judge: fn(&Seen) -> Vec<Finding>,
) -> Collector {
    Collector { name, about, scope, script, judge }
}

/// The collectors.
// TABLE
pub const COLLECTORS: &[Collector] = &[
    row("rules", "time of packets in the hooks of netfilter", Scope::Network, "", rules::judge),
    row("processors", "what runs", Scope::Processes, "doctor/processors.bt", processors::judge),
    row("queue", "waiting for a processor", Scope::Processes, "doctor/queue.bt", queue::judge),
    row("files", "files that are not found", Scope::Processes, "doctor/files.bt", files::judge),
    row("locks", "locks of programs", Scope::Processes, "doctor/locks.bt", locks::judge),
    row("kernel-locks", "locks of the kernel", Scope::Processes, "doctor/kernel_locks.bt", locks::judge_kernel),
    row("blocked", "waiting for disks and file systems", Scope::Processes, "doctor/blocked.bt", blocked::judge),
    row("disks", "times of disks", Scope::Processes, "doctor/disks.bt", disks::judge),
    row("names", "looking up names of hosts", Scope::Processes, "doctor/names.bt", names::judge),
    row("memory", "shortage of memory", Scope::Processes, "doctor/memory.bt", memory::judge),
    row("network", "lost packets", Scope::Network, "doctor/network.bt", network::judge),
    row("programs", "programs that live shortly", Scope::Processes, "doctor/programs.bt", programs::judge),
    row("interrupts", "time of interrupts", Scope::Machine, "doctor/interrupts.bt", interrupts::judge),
    row("groups", "limits of control groups", Scope::Machine, "", groups::judge),
];

/// What the scripts of collectors import themselves, and the settings of the script that has them all. A probe that this
/// kernel does not have is left out.
const FRAME: &str = "import \"lib/filters.bt\";\nimport \"lib/tasks.bt\";\nimport \"lib/tcp.bt\";\n\
    config = { print_maps_on_exit = 0; perf_rb_pages = 4096; max_map_keys = 16384; missing_probes = \"ignore\" }\n";

/// The script of these collectors; `None` if none of them has one.
pub fn script(collectors: &[&Collector]) -> Option<String> {
    let scripts = collectors.iter().map(|collector| collector.script).filter(|script| !script.is_empty());
    let imports: String = scripts.map(|script| format!("import \"{script}\";\n")).collect();
    (!imports.is_empty()).then(|| format!("{FRAME}{imports}"))
}

/// The findings of these collectors, those that matter most first.
pub fn diagnose(collectors: &[&Collector], seen: &Seen) -> Vec<Finding> {
    let mut found: Vec<Finding> = collectors.iter().flat_map(|collector| (collector.judge)(seen)).collect();
    found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    found
}

/// A weight: where a kind begins, and what a share of the time adds to it.
pub(crate) fn weight(least: f64, most: f64, share: f64) -> f64 {
    least + (most - least) * share.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests;
