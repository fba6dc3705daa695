//! Scripts as whole processes against bpftrace in the same run: start-up, peak memory, compiling, what a probe costs the
//! process that it watches, and how many events arrive. `cargo bench -p skep-cli --bench script` prints a table; needs
//! CAP_SYS_ADMIN. Times are the best of several rounds, in which the two take turns.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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
    attaching();
    costs();
    events();
    size();
    // Tools with tracepoints need tracefs.
    let compiled = tools().into_iter().find_map(|tool| {
        let arguments = ["run", "-d", "bytecode", "--unsafe", &tool.display().to_string()];
        let time = (0..ROUNDS).filter_map(|_| time(SKEP, &arguments)).min()?;
        Some((tool.file_name().unwrap_or_default().to_string_lossy().into_owned(), time))
    });
    if let Some((name, time)) = compiled {
        row(&format!("compile {name}, ms"), Some(milliseconds(time)), None);
    }
}

/// A script with tracepoints: tracefs is mounted in a mount namespace of its own.
fn traced(program: &str, arguments: &[&str]) -> Command {
    let shell = "mount -t tracefs tracefs /sys/kernel/tracing || exit 99; exec \"$@\"";
    let mut command = command("unshare", &["-m", "sh", "-c", shell, "sh", program]);
    command.args(arguments);
    command
}

/// From the start of the process until the probe is attached.
fn attaching() {
    let text = "tracepoint:syscalls:sys_enter_openat { printf(\"%d %s %s\\n\", pid, comm, str(args.filename)); }";
    let once = || {
        let mut command = traced(SKEP, &["run", "-e", text]);
        let start = Instant::now();
        let mut child = command.stderr(Stdio::piped()).spawn().ok()?;
        let mut line = String::new();
        BufReader::new(child.stderr.take()?).read_line(&mut line).ok()?;
        let time = start.elapsed();
        stop(&mut child);
        line.starts_with("Attached").then_some(time)
    };
    let best = (0..ROUNDS).filter_map(|_| once()).min();
    row("start to attached, openat with printf, ms", best.map(milliseconds), None);
}

fn stop(child: &mut Child) {
    let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    let _ = child.wait();
}

/// Nanoseconds of a cheap system call, the best of several rounds.
fn call() -> f64 {
    const CALLS: u32 = 200_000;
    let round = || {
        let start = Instant::now();
        (0..CALLS).for_each(|_| {
            std::hint::black_box(parent_id());
        });
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

/// What a probe costs the process that it watches.
fn costs() {
    let bare = call();
    let scripts = [
        ("count()", "tracepoint:syscalls:sys_enter_getppid { @ = count(); }"),
        ("@[comm] = count()", "tracepoint:syscalls:sys_enter_getppid { @[comm] = count(); }"),
        ("a predicate", "tracepoint:syscalls:sys_enter_getppid /pid == 1/ { @ = count(); }"),
        ("hist()", "tracepoint:syscalls:sys_enter_getppid { @ = hist(nsecs); }"),
    ];
    for (what, text) in scripts {
        let with = |program: &str, arguments: &[&str]| {
            let mut child = traced(program, arguments).spawn().ok()?;
            // Long enough to be attached.
            std::thread::sleep(Duration::from_millis(2500));
            let time = call();
            let running = child.try_wait().ok()?.is_none();
            stop(&mut child);
            running.then_some(time - bare)
        };
        row(&format!("a probe with {what}, ns"), with(SKEP, &["run", "-e", text]), with("bpftrace", &["-e", text]));
    }
}

/// Lines that arrive when events come as fast as they can, of a million.
fn events() {
    const EVENTS: u32 = 1_000_000;
    let pid = std::process::id();
    let text =
        format!("tracepoint:syscalls:sys_enter_getppid /pid == {pid}/ {{ printf(\"%d %s %d\\n\", pid, comm, 4096); }}");
    for form in ["text", "json"] {
        let count = |program: &str, arguments: &[&str]| {
            let mut command = traced(program, arguments);
            command.args(["-B", "full", "-f", form, "-e", &text]);
            let mut child = command.stdout(Stdio::piped()).spawn().ok()?;
            let mut stdout = child.stdout.take()?;
            let reader = std::thread::spawn(move || {
                let (mut lines, mut buffer) = (0, vec![0; 1 << 16]);
                while let Ok(read @ 1..) = stdout.read(&mut buffer) {
                    // Lines of the maps and of losses are few.
                    lines += buffer[..read].iter().filter(|&&byte| byte == b'\n').count();
                }
                lines
            });
            std::thread::sleep(Duration::from_millis(2500));
            (0..EVENTS).for_each(|_| {
                std::hint::black_box(parent_id());
            });
            stop(&mut child);
            reader.join().ok().map(|lines| lines as f64 / f64::from(EVENTS) * 100.0)
        };
        let (ours, theirs) = (count(SKEP, &["run"]), count("bpftrace", &[]));
        row(&format!("events that arrive as {form}, % of a million"), ours, theirs);
    }
}

/// The size of the binary without symbols.
fn size() {
    let stripped = std::env::temp_dir().join(format!("skep-size-{}", std::process::id()));
    let made = Command::new("strip").arg("-o").arg(&stripped).arg(SKEP).status();
    let size = fs::metadata(&stripped).ok().filter(|_| made.is_ok_and(|status| status.success()));
    row("stripped binary, MiB", size.map(|facts| facts.len() as f64 / f64::from(1 << 20)), None);
    let _ = fs::remove_file(stripped);
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

/// The tools among the tests of the language, the largest first.
fn tools() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lang-script/tests/scripts");
    let entries = fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path());
    // Two of the directory are for the parser only.
    let mut tools: Vec<PathBuf> =
        entries.filter(|path| !path.ends_with("constructs.bt") && !path.ends_with("functions.bt")).collect();
    tools.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).map_or(0, |facts| facts.len())));
    tools
}
