//! How much watching slows down what is watched: `skep opensnoop` and `skep execsnoop` against scripts of bpftrace that do
//! the same, in the same run. `cargo bench -p skep-cli --bench overhead` prints a table; needs CAP_SYS_ADMIN and `unshare`.
//! Times are the best of several rounds, in which all take turns.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SKEP: &str = env!("CARGO_BIN_EXE_skep");
const ROUNDS: usize = 5;
/// Files that are opened, and programs that are started.
const OPENS: u32 = 200_000;
const PROGRAMS: u32 = 1_000;
/// Mounts the tracing file system in a mount namespace of its own; the shell becomes the program, so that its number stays.
const MOUNT: &str = "mount -t tracefs tracefs /sys/kernel/tracing || exit 99; exec \"$@\"";

/// What bpftrace does like `opensnoop`.
const THEIR_OPENS: &str = "BEGIN { printf(\"ready\\n\"); } \
    tracepoint:syscalls:sys_enter_open, tracepoint:syscalls:sys_enter_openat { @path[tid] = args->filename; } \
    tracepoint:syscalls:sys_exit_open, tracepoint:syscalls:sys_exit_openat /@path[tid]/ { \
    $ret = args->ret; printf(\"%-6d %-16s %4d %s\\n\", pid, comm, $ret, str(@path[tid])); delete(@path[tid]); }";
/// What it does like `execsnoop`.
const THEIR_PROGRAMS: &str = "BEGIN { printf(\"ready\\n\"); } \
    tracepoint:syscalls:sys_enter_exec* { printf(\"%-6d %-16s \", pid, comm); join(args->argv); }";

const LOOP: &str = r#"
    #include <fcntl.h>
    #include <stdlib.h>
    #include <sys/wait.h>
    #include <unistd.h>
    int main(int n, char **a) {
        int opens = atoi(a[1]), programs = atoi(a[2]);
        for (int i = 0; i < opens; i++) close(open("/dev/null", O_RDONLY));
        for (int i = 0; i < programs; i++) {
            int child = vfork();
            if (!child) { execl("/bin/true", "true", (char *)0); _exit(1); }
            waitpid(child, 0, 0);
        }
        return 0;
    }"#;

fn main() {
    // `cargo test --all-targets` runs benches too; they have nothing to prove there.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let Ok(directory) = tempfile::tempdir() else { return println!("no directory for temporary files") };
    let (source, program) = (directory.path().join("loop.c"), directory.path().join("loop"));
    let compile = || Command::new("cc").arg("-O1").arg("-o").arg(&program).arg(&source).status();
    if std::fs::write(&source, LOOP).is_err() || !compile().is_ok_and(|status| status.success()) {
        return println!("there is no C compiler");
    }
    println!("{:<12} {:>12} {:>12} {:>12}", "", "alone ns", "skep ns", "bpftrace ns");
    table("opensnoop", OPENS, &program, (OPENS, 0), THEIR_OPENS);
    table("execsnoop", PROGRAMS, &program, (0, PROGRAMS), THEIR_PROGRAMS);
}

/// A row: time for one event without anybody watching, and with each.
fn table(tool: &str, events: u32, program: &Path, (opens, programs): (u32, u32), theirs: &str) {
    let watchers: [&[&str]; 3] = [&[], &[SKEP, tool], &["bpftrace", "-B", "line", "-e", theirs]];
    let mut best: [Option<Duration>; 3] = [None; 3];
    for _ in 0..ROUNDS {
        for (watcher, best) in watchers.iter().zip(&mut best) {
            let time = round(watcher, program, opens, programs);
            *best = (*best).into_iter().chain(time).min();
        }
    }
    let cell = |time: Option<Duration>| time.map_or("-".to_owned(), |time| (time / events).as_nanos().to_string());
    println!("{tool:<12} {:>12} {:>12} {:>12}", cell(best[0]), cell(best[1]), cell(best[2]));
}

/// How long the loop runs while somebody watches; `None` if the watcher is missing or fails.
fn round(watcher: &[&str], program: &Path, opens: u32, programs: u32) -> Option<Duration> {
    let mut watching = if watcher.is_empty() { None } else { Some(watch(watcher)?) };
    let start = Instant::now();
    let status = Command::new(program).args([opens.to_string(), programs.to_string()]).status();
    let time = start.elapsed();
    if let Some(child) = &mut watching {
        let _ = child.kill();
        let _ = child.wait();
    }
    status.is_ok_and(|status| status.success()).then_some(time)
}

/// Starts a watcher and waits for its first line, which comes when it is attached. What follows is read and dropped.
fn watch(words: &[&str]) -> Option<Child> {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", MOUNT, "sh"]).args(words);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut out = BufReader::new(child.stdout.take()?);
    let mut line = String::new();
    loop {
        line.clear();
        if out.read_line(&mut line).ok()? == 0 {
            let _ = child.wait();
            return None;
        }
        // The heads of the tools, and what the scripts say.
        if line.contains("PID") || line.starts_with("ready") {
            break;
        }
    }
    std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
    Some(child)
}
