//! Attaching and detaching three hundred probes, against bpftrace in the same run: `cargo bench -p skep-cli --bench attach`
//! prints a table; needs CAP_SYS_ADMIN. Times are the best of several rounds.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SKEP: &str = env!("CARGO_BIN_EXE_skep");
const ROUNDS: usize = 5;
/// bpftrace needs about a minute for one round.
const THEIR_ROUNDS: usize = 1;
const PROBES: usize = 300;

fn main() {
    // `cargo test --all-targets` runs benches too; they have nothing to prove there.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    println!("{:<44} {:>9} {:>9} {:>9} {:>11}", "", "attach ms", "detach ms", "whole ms", "bpftrace ms");
    let names = |pattern: &str| -> Vec<String> {
        let output = Command::new(SKEP).args(["run", "-l", pattern]).output().map(|output| output.stdout);
        let text = String::from_utf8(output.unwrap_or_default()).unwrap_or_default();
        text.lines().map(str::to_owned).take(PROBES).collect()
    };
    let calls = names("tracepoint:syscalls:sys_enter_*");
    let events: Vec<String> =
        ["block", "ext4", "jbd2", "kmem", "net", "sched", "sock", "tcp", "timer", "writeback", "xfs"]
            .iter()
            .flat_map(|category| names(&format!("tracepoint:{category}:*")))
            .take(PROBES)
            .collect();
    let functions = names("uprobe:libcrypto:EVP_*");
    for (what, list) in [("system calls", &calls), ("tracepoints", &events), ("functions of a library", &functions)] {
        for (how, body) in [("one counter", "@ = count();"), ("a counter each", "@[probe] = count();")] {
            let text = format!("{} {{ {body} }}", list.join(",\n"));
            row(&format!("{} {what}, {how}", list.len()), &text);
        }
    }
    // Their records are read, so that they are events of the tracing subsystem.
    let text = "tracepoint:sched:sched_wakeup, tracepoint:sched:sched_process_exit { @[args.comm] = count(); }";
    row("2 tracepoints with records", text);
}

/// One script.
fn row(what: &str, text: &str) {
    let ours = (0..ROUNDS).filter_map(|_| ours(text)).min_by_key(|times| times.0 + times.1);
    let theirs = (0..THEIR_ROUNDS).filter_map(|_| theirs(text)).min();
    let text = |time: Option<Duration>| time.map_or("-".to_owned(), |time| format!("{:.1}", time.as_secs_f64() * 1e3));
    let (attach, detach, whole) = ours.map_or((None, None, None), |(a, d, w)| (Some(a), Some(d), Some(w)));
    println!("{what:<44} {:>9} {:>9} {:>9} {:>11}", text(attach), text(detach), text(whole), text(theirs));
}

/// Attaching, detaching, and the whole process.
fn ours(text: &str) -> Option<(Duration, Duration, Duration)> {
    let start = Instant::now();
    let output = Command::new(SKEP).args(["run", "-v", "--dry-run", "-e", text]).stdin(Stdio::null()).output().ok()?;
    let whole = start.elapsed();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let time = |what: &str| {
        let number = said.lines().find_map(|line| line.strip_prefix(what)?.strip_suffix(" ms"))?;
        number.trim().parse().ok().map(|milliseconds: f64| Duration::from_secs_f64(milliseconds / 1e3))
    };
    match (time("Attaching took"), time("Detaching took")) {
        (Some(attach), Some(detach)) => Some((attach, detach, whole)),
        _ => {
            eprintln!("{said}");
            None
        }
    }
}

/// The whole process of bpftrace, which ends as soon as it is attached.
fn theirs(text: &str) -> Option<Duration> {
    let text = format!("{text} interval:ms:1 {{ exit(); }}");
    let start = Instant::now();
    let mut command = Command::new("timeout");
    command.args(["120", "bpftrace", "-e", &text]).env("BPFTRACE_MAX_PROBES", "2000");
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    status.success().then(|| start.elapsed())
}
