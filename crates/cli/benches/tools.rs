//! What it costs to start a tool: processor time and peak memory from the start to the end of a run that ends as soon as
//! everything is attached. `cargo bench -p skep-cli --bench tools` prints a table; needs CAP_SYS_ADMIN and `unshare`. Times
//! are the best of several rounds, memory is the most. bpftrace, if it is installed, counts system calls in the same run.

use std::fs;
use std::process::{Command, Stdio};

const SKEP: &str = env!("CARGO_BIN_EXE_skep");
const ROUNDS: usize = 5;
/// Mounts the tracing file system in a mount namespace of its own; the shell becomes the program, so that its number stays.
const MOUNT: &str = "mount -t tracefs tracefs /sys/kernel/tracing || exit 99; exec \"$@\"";

fn main() {
    // `cargo test --all-targets` runs benches too; they have nothing to prove there.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    println!("{:<16} {:>8} {:>10}", "", "CPU ms", "peak MiB");
    for tool in &skep_tools::catalogue::Catalogue::embedded().tools {
        measure(&tool.header.name, &[SKEP, &tool.header.name, "--for", "1ms"]);
    }
    measure("doctor", &[SKEP, "doctor", "--for", "1ms"]);
    measure("strace", &[SKEP, "strace", "--for", "1ms", "-o", "/dev/null"]);
    let peer = "tracepoint:raw_syscalls:sys_exit { @[args->id] = count(); } interval:ms:1 { exit(); }";
    measure("bpftrace", &["bpftrace", "-e", peer]);
}

/// Prints a row about a command.
fn measure(name: &str, words: &[&str]) {
    let runs: Vec<(u64, u64)> = (0..ROUNDS).filter_map(|_| run(words)).collect();
    match (runs.iter().map(|run| run.0).min(), runs.iter().map(|run| run.1).max()) {
        (Some(time), Some(memory)) => {
            println!("{name:<16} {:>8.1} {:>10.1}", time as f64 / 1e6, memory as f64 / 1024.0)
        }
        _ => println!("{name:<16} {:>8} {:>10}", "-", "-"),
    }
}

/// Nanoseconds on processors and most kibibytes of memory; `None` if the program is missing or fails.
fn run(words: &[&str]) -> Option<(u64, u64)> {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", MOUNT, "sh"]).args(words);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let directory = format!("/proc/{}", child.id());
    let mut most = 0;
    loop {
        let status = fs::read_to_string(format!("{directory}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let memory = field("VmHWM:").and_then(|text| text.trim().split(' ').next()?.parse().ok());
        most = most.max(memory.unwrap_or(0));
        if field("State:").is_some_and(|state| state.trim().starts_with('Z')) {
            break;
        }
    }
    // The kernel keeps the time until the process is waited for (sched(7): time on the processor comes first).
    let time = fs::read_to_string(format!("{directory}/schedstat")).ok()?;
    let time = time.split(' ').next()?.parse().ok()?;
    child.wait().ok()?.success().then_some((time, most))
}
