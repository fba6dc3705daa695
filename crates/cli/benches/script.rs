//! Scripts as whole processes against bpftrace in the same run: start-up, peak memory, compiling, what a probe costs the
//! process that it watches, and how many events arrive in what time. `cargo bench -p skep-cli --bench script` prints a table; needs
//! CAP_SYS_ADMIN. Times are the best of several rounds, in which the two take turns.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SKEP: &str = env!("CARGO_BIN_EXE_skep");
const ROUNDS: usize = 15;
/// What is opened to cause an event.
const NO_FILE: &str = "/no/such/file/of/the/bench";

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
    compiling();
}

/// The largest tool that compiles here: the passes by themselves, and whole processes that only compile.
fn compiling() {
    let passes = |tool: &Path| {
        let output =
            traced(SKEP, &["run", "--unsafe", "--mode", "compiler-bench"]).arg(tool).stdout(Stdio::piped()).output();
        let text = String::from_utf8(output.ok().filter(|output| output.status.success())?.stdout).ok()?;
        let times =
            text.lines().filter_map(|line| line.strip_suffix(" ms")?.split_whitespace().last()?.parse::<f64>().ok());
        Some(times.sum::<f64>())
    };
    let Some((tool, passes)) = tools().into_iter().find_map(|tool| passes(&tool).map(|time| (tool, time))) else {
        return row("compile the largest tool, ms", None, None);
    };
    let name = tool.file_name().unwrap_or_default().to_string_lossy().into_owned();
    row(&format!("compile {name}, passes alone, ms"), Some(passes), None);
    let whole = |program: &str, arguments: &[&str]| {
        let once = || {
            let start = Instant::now();
            let status = traced(program, arguments).arg(&tool).status().ok()?;
            status.success().then(|| start.elapsed())
        };
        (0..5).filter_map(|_| once()).min().map(milliseconds)
    };
    let ours = whole(SKEP, &["run", "--unsafe", "-d", "bytecode"]);
    row(&format!("compile {name}, process, ms"), ours, whole("bpftrace", &["--unsafe", "-d"]));
}

/// A script with tracepoints: tracefs is mounted in a mount namespace of its own.
fn traced(program: &str, arguments: &[&str]) -> Command {
    let shell = "mount -t tracefs tracefs /sys/kernel/tracing || exit 99; exec \"$@\"";
    let mut command = command("unshare", &["-m", "sh", "-c", shell, "sh", program]);
    command.args(arguments);
    command
}

/// From the start of the process until the probe is attached: until skep says so, and for both until the first event of a
/// process that causes one again and again is printed.
fn attaching() {
    let text = "tracepoint:syscalls:sys_enter_openat { printf(\"%d %s %s\\n\", pid, comm, str(args->filename)); }";
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
    let first = |program: &str, arguments: &[&str]| {
        let once = || {
            let mut command = traced(program, arguments);
            command.args(["-B", "line", "-e", text]);
            let start = Instant::now();
            let mut child = command.stdout(Stdio::piped()).spawn().ok()?;
            let stdout = BufReader::new(child.stdout.take()?);
            let reader = std::thread::spawn(move || {
                let mut lines = stdout.lines().map_while(Result::ok);
                lines.find(|line| line.ends_with(NO_FILE)).map(|_| start.elapsed())
            });
            while !reader.is_finished() && start.elapsed() < Duration::from_secs(20) {
                let _ = fs::File::open(NO_FILE);
                std::thread::sleep(Duration::from_micros(200));
            }
            stop(&mut child);
            reader.join().ok().flatten()
        };
        (0..5).filter_map(|_| once()).min().map(milliseconds)
    };
    row("start to the first event, ms", first(SKEP, &["run"]), first("bpftrace", &[]));
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
            let start = Instant::now();
            (0..EVENTS).for_each(|_| {
                std::hint::black_box(parent_id());
            });
            let used = processor_time(child.id());
            stop(&mut child);
            let lines = reader.join().ok()? as f64;
            Some((
                lines / f64::from(EVENTS) * 100.0,
                lines / start.elapsed().as_secs_f64() / 1e6,
                used.map(|used| lines / used / 1e6),
            ))
        };
        let (ours, theirs) = (count(SKEP, &["run"]), count("bpftrace", &[]));
        let part = |which: fn((f64, f64, Option<f64>)) -> Option<f64>| (ours.and_then(which), theirs.and_then(which));
        let (skep, other) = part(|found| Some(found.0));
        row(&format!("events that arrive as {form}, % of a million"), skep, other);
        let (skep, other) = part(|found| Some(found.1));
        row(&format!("lines of {form} while they come, million/s"), skep, other);
        let (skep, other) = part(|found| found.2);
        row(&format!("lines of {form}, million/s of the tracer's CPU"), skep, other);
    }
}

/// Seconds that a process has been on processors so far (`schedstat`, proc_pid_schedstat in sched(7)).
fn processor_time(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
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
    let most = |program: &str, arguments: &[&str]| (0..50).filter_map(|_| peak(program, arguments)).max();
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
