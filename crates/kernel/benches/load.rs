//! Loading and attaching an object with one tracepoint program: wall time, time of the processor and memory of a whole
//! process, ours beside bpftool's in the same run. `SKEP_BIN` names a `skep` to measure as well.
//!
//! Most of the wall time of a run is the kernel's: it waits for a grace period when a tracepoint loses its last program.
//! bpftool pins what it loads, so its pins are removed within its time. The bench runs in mounts of its own; nothing stays.

use std::mem::MaybeUninit;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use skep_kernel::session::{Session, SessionOptions};
use skep_object::Object;

const RUNS: usize = 21;
const SOURCE: &str = "SEC(\"tp/raw_syscalls/sys_enter\") int f(void *ctx) { return 0; }\n";

/// What a process cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall: Duration,
    processor: Duration,
    /// Largest resident set in KiB.
    memory: i64,
}

/// Runs a command line to its end.
fn cost(command: &mut Command) -> Cost {
    let begin = Instant::now();
    // `wait4` below waits for it, because it also tells what the process used.
    #[allow(clippy::zombie_processes)]
    let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().expect("the command starts");
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let mut status = 0;
    let pid = i32::try_from(child.id()).expect("a number of a process");
    // SAFETY: the kernel writes to the two places, which live through the call; the child is ours and nobody else waits.
    let result = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    let wall = begin.elapsed();
    assert!(result == pid && status == 0, "{command:?}: status {status}");
    // SAFETY: a C structure of integers, which was zeroed.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.try_into().unwrap_or(0))
            + Duration::from_micros(time.tv_usec.try_into().unwrap_or(0))
    };
    Cost { wall, processor: time(usage.ru_utime) + time(usage.ru_stime), memory: usage.ru_maxrss }
}

/// A name, what runs, and what it has cost so far.
struct Row<'a> {
    name: String,
    command: Box<dyn Fn() -> Command + 'a>,
    costs: Vec<Cost>,
}

impl<'a> Row<'a> {
    fn new(name: &str, command: impl Fn() -> Command + 'a) -> Self {
        Self { name: name.to_owned(), command: Box::new(command), costs: Vec::new() }
    }
}

/// The median of each figure.
fn median(mut costs: Vec<Cost>) -> Cost {
    let middle = costs.len() / 2;
    costs.sort_by_key(|cost| cost.wall);
    let wall = costs[middle].wall;
    costs.sort_by_key(|cost| cost.processor);
    let processor = costs[middle].processor;
    costs.sort_by_key(|cost| cost.memory);
    Cost { wall, processor, memory: costs[middle].memory }
}

/// Mounts of our own, with tracing and BPF file systems.
fn own_mounts() {
    // SAFETY: the calls take constants and C strings, and change nothing but this process's mounts.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0, "the bench needs root");
        let none = std::ptr::null();
        libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast());
        libc::mount(c"tracefs".as_ptr(), c"/sys/kernel/tracing".as_ptr(), c"tracefs".as_ptr(), 0, none.cast());
        libc::mount(c"bpf".as_ptr(), c"/sys/fs/bpf".as_ptr(), c"bpf".as_ptr(), 0, none.cast());
    }
}

/// Runs in the measured process: what `skep run --once` does, or only loading.
fn child(path: &str, attach: bool) {
    let object = Object::from_elf(&std::fs::read(path).expect("the object")).expect("an object");
    if !attach {
        drop(skep_kernel::load(&object).unwrap_or_else(|error| panic!("{error}")));
        return;
    }
    let session = Session::start(&object, &SessionOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(session.attachments().attached.len(), 1);
    session.close().expect("it detaches");
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, path] = &arguments[..]
        && let "load" | "run" = word.as_str()
    {
        return child(path, word == "run");
    }
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        return println!("load: needs root");
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bytes = match skep_testkit::clang::compile_text(SOURCE, &[]) {
        Ok(bytes) => bytes,
        Err(why) => return println!("load: {why}"),
    };
    let object = directory.path().join("bench.o");
    std::fs::write(&object, bytes).expect("the object");
    own_mounts();
    let ours = |word: &'static str| {
        let file = &object;
        move || {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.arg(word).arg(file);
            command
        }
    };
    let theirs = |words: &str| {
        let script = format!(
            "bpftool prog loadall {} /sys/fs/bpf/skep-bench {words}; rm -r /sys/fs/bpf/skep-bench",
            object.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    };
    let help = Command::new("/usr/sbin/bpftool").args(["prog", "help"]).output();
    let autoattach = help
        .is_ok_and(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).contains("autoattach"));
    let words = if autoattach { "autoattach" } else { "" };
    let skep = std::env::var("SKEP_BIN").ok().filter(|path| Path::new(path).exists());
    let mut rows =
        vec![Row::new("library: load, free", ours("load")), Row::new("library: load, attach, detach", ours("run"))];
    let file = &object;
    if let Some(skep) = &skep {
        rows.push(Row::new("skep run --once", move || {
            let mut command = Command::new(skep);
            command.arg("run").arg(file).args(["--once", "--entries", "0"]);
            command
        }));
    }
    let name = if autoattach { "bpftool loadall autoattach, rm" } else { "bpftool loadall (cannot attach), rm" };
    rows.push(Row::new(name, || theirs(words)));
    // Taken in turns, so that a busy machine is busy for all.
    for _ in 0..RUNS {
        for row in &mut rows {
            row.costs.push(cost(&mut (row.command)()));
        }
    }
    for Row { name, costs, .. } in rows {
        let Cost { wall, processor, memory } = median(costs);
        let [wall, processor] = [wall, processor].map(|time| time.as_secs_f64() * 1e3);
        println!("{name:40} {wall:8.2} ms  {processor:8.2} ms processor  {memory:6} KiB");
    }
}
