//! Programs that look for their configuration in vain, or may not read it.

use std::collections::{BTreeMap, BTreeSet};

use super::report::process;
use super::{Case, Fact, Finding, Seen};

/// `EACCES` of errno(3).
const DENIED: i128 = 13;
/// Lines of evidence about one process.
const MOST_LINES: usize = 8;
/// Endings of files with configuration.
// TABLE
const ENDINGS: &[&str] =
    &["conf", "cfg", "cnf", "ini", "yaml", "yml", "toml", "json", "properties", "env", "config", "rc"];
/// What libraries and runtimes look for in passing: that it does not exist says nothing.
// TABLE: parts of paths.
const PASSING: &[&str] = &[
    "/etc/ld.so",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/localtime",
    "/locale",
    "/gconv",
    "/usr/share/",
    "/usr/lib/",
    "/lib/",
    "/proc/",
    "/sys/",
    "/dev/",
    "/etc/ssl/",
    "/etc/pki/",
    "openssl.cnf",
    "pyvenv.cfg",
    "package.json",
    "tsconfig",
    "rust-toolchain",
    "Cargo.toml",
    "/etc/terminfo",
    "/etc/inputrc",
    "/etc/crypto-policies",
    "/etc/selinux",
    "/etc/gss",
    "/etc/krb5",
    "/etc/suid-debug",
    "/etc/cargo",
    "/.cargo/config",
    "/.git/",
    ".gitconfig",
    "/git/config",
    "/etc/gitconfig",
    "meminfo",
    "/target/",
];

struct Lookups<'a> {
    comm: &'a str,
    status: i128,
    /// Path, error, how often.
    missing: Vec<(&'a str, i128, i128)>,
}

/// Findings about programs without their configuration.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let mut opened: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for fact in seen.from("opened") {
        opened.entry(fact.pid()).or_default().insert(last(fact.text("path")));
    }
    let mut processes: BTreeMap<u32, Lookups<'_>> = BTreeMap::new();
    for fact in seen.from("files").filter(|fact| is_wanted(fact)) {
        let path = fact.text("path");
        // What was found somewhere else is loaded.
        if opened.get(&fact.pid()).is_some_and(|names| names.contains(last(path))) {
            continue;
        }
        let lookups = processes.entry(fact.pid()).or_insert(Lookups { comm: "", status: 0, missing: Vec::new() });
        (lookups.comm, lookups.status) = (fact.text("comm"), fact.number("status"));
        lookups.missing.push((path, fact.number("error"), fact.number("count")));
    }
    let mut found: Vec<Finding> = processes.iter().filter_map(|(pid, lookups)| finding(*pid, lookups)).collect();
    // A program that is started again and again is one finding.
    found.sort_by(|a, b| (&a.comm, b.weight).partial_cmp(&(&b.comm, a.weight)).unwrap_or(std::cmp::Ordering::Equal));
    found.dedup_by(|a, b| a.comm == b.comm);
    found
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a file looks like configuration of the program itself.
fn is_wanted(fact: &Fact) -> bool {
    let path = fact.text("path");
    let name = last(path).to_ascii_lowercase();
    let ending = name.rsplit('.').next().unwrap_or_default();
    let in_place = path.starts_with("/etc/") || path.contains("/.config/") || path.contains("/etc/");
    let named = ENDINGS.contains(&ending) || name.ends_with("rc") || name.contains("config");
    (named || in_place) && !PASSING.iter().any(|part| path.contains(part))
}

fn finding(pid: u32, lookups: &Lookups<'_>) -> Option<Finding> {
    let Lookups { comm, status, missing } = lookups;
    let denied = missing.iter().any(|(_, error, _)| *error == DENIED);
    let failed = *status != 0;
    let again = missing.iter().any(|(_, _, count)| *count >= 3);
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    missing.iter().for_each(|(path, ..)| *names.entry(last(path)).or_default() += 1);
    let (name, places) = names.into_iter().max_by_key(|(_, places)| *places)?;
    // One look for one file that may be there or not is the way of most programs.
    let weight = match (denied, failed, again || places >= 2) {
        (true, true, _) => 90.0,
        (true, ..) => 80.0,
        (_, true, true) => 88.0,
        (_, true, _) => 75.0,
        (_, _, true) => 65.0,
        _ => return None,
    };
    let what = if denied {
        format!("{} may not read its configuration", process(pid, comm))
    } else if places >= 2 {
        format!("{} looks for {name} in {places} places and does not find it", process(pid, comm))
    } else {
        format!("{} does not find its configuration {name}", process(pid, comm))
    };
    let mut evidence: Vec<String> = missing
        .iter()
        .take(MOST_LINES)
        .map(|(path, error, count)| {
            let problem = if *error == DENIED { "permission denied" } else { "does not exist" };
            let times = if *count == 1 { String::new() } else { format!(", {count} times") };
            format!("{path}: {problem}{times}")
        })
        .collect();
    if missing.len() > MOST_LINES {
        evidence.push(format!("and {} more", missing.len() - MOST_LINES));
    }
    if failed {
        evidence.push(match (status >> 8, status & 127) {
            (code, 0) => format!("it ended with status {code}"),
            (_, signal) => format!("it was ended by signal {signal}"),
        });
    }
    let next = format!("skep opensnoop -x -F --comm {comm}");
    Some(Finding { case: Case::Configuration, weight, what, evidence, next, pid, comm: (*comm).to_owned() })
}
