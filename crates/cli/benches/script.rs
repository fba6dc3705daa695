//! Scripts as whole processes against bpftrace in the same run: start-up, peak memory, compiling.
//! `cargo bench -p skep-cli --bench script` prints a table; needs CAP_SYS_ADMIN. Times are the best of several rounds, in
//! which the two take turns.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SKEP: &str = env!("CARGO_BIN_EXE_skep");
const ROUNDS: usize = 15;

fn main() {
    // `cargo test --all-targets` runs benches too; they have nothing to prove there.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    println!("{:<44} {:>10} {:>10} {:>8}", "", "skep", "bpftrace", "ratio");
    let scripts = [
        ("exit at once", "BEGIN { exit(); }"),
        ("a histogram and a map", "BEGIN { @h = hist(5); @m[1, comm] = count(); exit(); }"),
        ("kernel types", "BEGIN { $t = (struct task_struct *)curtask; printf(\"%d\\n\", $t->pid); exit(); }"),
    ];
    for (what, text) in scripts {
        compare(what, text);
    }
    let largest = largest();
    let arguments = ["run", "-d", "bytecode", "--unsafe", &largest.display().to_string()];
    let time = (0..ROUNDS).filter_map(|_| time(SKEP, &arguments)).min();
    let name = largest.file_name().unwrap_or_default().to_string_lossy();
    row(&format!("compile {name}, ms"), time.map(milliseconds), None);
}

/// Time and memory of a script.
fn compare(what: &str, text: &str) {
    let (ours, theirs) = (["run", "-e", text], ["-e", text]);
    let (mut first, mut second) = (None::<Duration>, None::<Duration>);
    let least = |known: Option<Duration>, new: Option<Duration>| known.into_iter().chain(new).min();
    for _ in 0..ROUNDS {
        first = least(first, time(SKEP, &ours));
        second = least(second, time("bpftrace", &theirs));
    }
    row(&format!("{what}, ms"), first.map(milliseconds), second.map(milliseconds));
    let most = |program: &str, arguments: &[&str]| (0..5).filter_map(|_| peak(program, arguments)).max();
    let kibibytes = |size: Option<u64>| size.map(|size| size as f64 / 1024.0);
    row(&format!("{what}, peak MiB"), kibibytes(most(SKEP, &ours)), kibibytes(most("bpftrace", &theirs)));
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn row(what: &str, ours: Option<f64>, theirs: Option<f64>) {
    let text = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
    let ratio = ours.zip(theirs).map(|(ours, theirs)| theirs / ours);
    println!("{what:<44} {:>10} {:>10} {:>8}", text(ours), text(theirs), text(ratio));
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The time of one run; `None` if the program is missing or fails.
fn time(program: &str, arguments: &[&str]) -> Option<Duration> {
    let start = Instant::now();
    let status = command(program, arguments).status().ok()?;
    status.success().then(|| start.elapsed())
}

/// Most kibibytes of memory that one run had, looked at as often as possible (`VmHWM` in proc_pid_status(5)).
fn peak(program: &str, arguments: &[&str]) -> Option<u64> {
    let mut child = command(program, arguments).spawn().ok()?;
    let path = format!("/proc/{}/status", child.id());
    let mut most = None;
    loop {
        if let Some(status) = child.try_wait().ok()? {
            return most.filter(|_| status.success());
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        most = most.max(now);
    }
}

/// The largest of the tools among the tests of the language.
fn largest() -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lang-script/tests/scripts");
    let entries = fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path());
    // Two of the directory are for the parser only.
    let tool = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name != "constructs.bt" && name != "functions.bt"
    };
    entries.filter(tool).max_by_key(|path| fs::metadata(path).map_or(0, |facts| facts.len())).unwrap_or_default()
}
