//! How much tracing slows a loop of system calls down: `skep strace` against strace in the same run, counting and writing
//! lines to a file. `cargo bench -p skep-cli --bench strace` prints a table; needs CAP_SYS_ADMIN. Times are the best of
//! several rounds, in which all take turns; start-up is taken off by a run with few calls.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SKEP: &str = env!("CARGO_BIN_EXE_skep");
const ROUNDS: usize = 5;
const CALLS: u32 = 200_000;

fn main() {
    // `cargo test --all-targets` runs benches too; they have nothing to prove there.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let Ok(directory) = tempfile::tempdir() else { return println!("no directory for temporary files") };
    let program = directory.path().join("loop");
    let source = directory.path().join("loop.c");
    let text = "#include <stdlib.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n\
                int main(int n, char **a) { for (int i = atoi(a[1]); i > 0; i--) syscall(SYS_getppid); return 0; }";
    let compiled = std::fs::write(&source, text).is_ok()
        && Command::new("cc")
            .arg("-O1")
            .arg("-o")
            .arg(&program)
            .arg(&source)
            .status()
            .is_ok_and(|status| status.success());
    if !compiled {
        return println!("there is no C compiler");
    }
    let ways: [(&str, &[&str]); 5] = [
        ("alone", &[]),
        ("skep strace -c", &[SKEP, "strace", "-c", "-o", "/dev/null"]),
        ("strace -c", &["strace", "-c", "-o", "/dev/null"]),
        ("skep strace -o FILE", &[SKEP, "strace", "-q", "--buffer", "128", "-o", "/dev/null"]),
        ("strace -o FILE", &["strace", "-o", "/dev/null"]),
    ];
    let mut best = [Duration::MAX; 5];
    for _ in 0..ROUNDS {
        for (way, best) in ways.iter().zip(&mut best) {
            let long = time(way.1, &program, CALLS);
            let short = time(way.1, &program, 1);
            if let Some(taken) = long.zip(short).map(|(long, short)| long.saturating_sub(short)) {
                *best = taken.min(*best);
            }
        }
    }
    let each = |time: Duration| time.as_nanos() as f64 / f64::from(CALLS);
    println!("{:<24} {:>12} {:>14}", "", "ns per call", "slowdown, ns");
    for ((name, _), time) in ways.iter().zip(best) {
        println!("{name:<24} {:>12.0} {:>14.0}", each(time), each(time) - each(best[0]));
    }
    let ratio = |ours: usize, theirs: usize| (each(best[theirs]) - each(best[0])) / (each(best[ours]) - each(best[0]));
    println!("counting costs strace {:.0} times as much, lines {:.0} times", ratio(1, 2), ratio(3, 4));
}

/// How long the program takes under a tracer.
fn time(tracer: &[&str], program: &Path, calls: u32) -> Option<Duration> {
    let mut command = match tracer.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.arg(calls.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    command.status().ok().filter(|status| status.success()).map(|_| start.elapsed())
}
