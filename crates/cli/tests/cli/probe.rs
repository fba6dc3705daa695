//! `skep trace`, `argdist`, `funccount` and their like on a small program of our own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::support::{Run, SKEP, command, skep, skip};

/// Calls `work` fifty times a second for at most ten seconds: `work(7, "seven")` returns -7, `work(1, "one")` -1.
const PROGRAM: &str = "
#include <time.h>
__attribute__((noinline)) int work(int number, const char *name) {
    struct timespec pause = {0, 2000000};
    nanosleep(&pause, 0);
    __asm__ volatile(\"\" : : \"r\"(name) : \"memory\");
    return -number;
}
int main(void) {
    struct timespec pause = {0, 18000000};
    /* A text that was never looked at is not in memory. */
    const char *volatile names[] = {\"seven\", \"one\"};
    volatile char touched = *names[0] + *names[1];
    (void)touched;
    for (int i = 0; i < 500; i++) {
        __asm__ volatile(\"\" : : \"r\"(work(i & 1 ? 7 : 1, i & 1 ? \"seven\" : \"one\")) : \"memory\");
        nanosleep(&pause, 0);
    }
    return 0;
}
";

/// The program at work, ended when this is dropped.
struct Workload {
    _directory: tempfile::TempDir,
    path: PathBuf,
    process: Child,
}

impl Workload {
    /// `None`, with a remark, if there is no compiler or no right to load programs.
    fn start() -> Option<Self> {
        if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
            skip("loading programs needs CAP_SYS_ADMIN");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let (source, path) = (directory.path().join("work.c"), directory.path().join("worker"));
        std::fs::write(&source, PROGRAM).unwrap();
        match Command::new("cc").args(["-O1", "-o"]).arg(&path).arg(&source).status() {
            Ok(status) => assert!(status.success(), "the program does not compile"),
            Err(error) => {
                skip(&format!("no C compiler: {error}"));
                return None;
            }
        }
        let process = Command::new(&path).stdin(Stdio::null()).spawn().unwrap();
        Some(Self { _directory: directory, path, process })
    }

    fn probe(&self, before: &str, after: &str) -> String {
        format!("{before}{}:{after}", self.path.display())
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn lines_of_calls_and_returns() {
    let Some(work) = Workload::start() else { return };
    let entry = work.probe("", "work(int number, char *name) (number > 1) \"<%-6s|%3d>\", name, number");
    let run = skep(["trace", "-M", "2", "-t", &entry]).ok();
    let lines = run.lines();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["TIME", "PID", "TID", "COMM", "FUNC", "-"]);
    assert_eq!(lines.len(), 3, "{run:?}");
    for line in &lines[1..] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let pid = work.pid().to_string();
        assert_eq!(&words[1..5], [&pid, &pid, "worker", "work"], "{run:?}");
        assert!(line.ends_with(" <seven |  7>"), "{run:?}");
        assert!(words[0].parse::<f64>().is_ok_and(|seconds| seconds < 60.0), "{run:?}");
    }
    // What is returned has a sign.
    let exit = work.probe("r:", "work ((int)retval < -1 && STRPREFIX(\"work\", $comm)) \"%d\", retval");
    let run = skep(["trace", "-M", "1", &exit]).ok();
    assert!(run.lines()[1].ends_with(" -7"), "{run:?}");
    // The filter of the process is the kernel's.
    let nobody = skep(["argdist", "-C", &work.probe("p:", "work()"), "-p", "1", "-n", "1"]).ok();
    assert!(!nobody.out.contains("calls"), "{nobody:?}");
    let pid = work.pid().to_string();
    let counted =
        skep(["trace", "-p", &pid, "-M", "9", "-A", "-f", "seven", &work.probe("", "work \"%s\", arg2")]).ok();
    let last = counted.lines().pop().unwrap().to_owned();
    assert!(last.ends_with(" seven") && matches!(last.split_whitespace().next(), Some("4" | "5")), "{counted:?}");
}

#[test]
fn distributions_of_values() {
    let Some(work) = Workload::start() else { return };
    let spec = work.probe("p:", "work(int number, char *name):char*,int:name,number#calls of work");
    let run = skep(["argdist", "-C", &spec, "-n", "2"]).ok();
    let lines = run.lines();
    assert!(lines[0].starts_with('[') && lines[1] == "calls of work", "{run:?}");
    assert_eq!(lines[2], "\tCOUNT      EVENT", "{run:?}");
    for value in ["name = one, number = 1", "name = seven, number = 7"] {
        let count = |line: &&str| line.trim().strip_suffix(value).and_then(|count| count.trim().parse::<u64>().ok());
        let counts: Vec<u64> = lines.iter().filter_map(count).collect();
        assert!(counts.len() == 2 && counts.iter().all(|count| (5..=60).contains(count)), "{run:?}");
    }
    let spec = work.probe("r:", "work(int number, char *name):u64:$latency/1000:$entry(number) == 7#us");
    let run = skep(["argdist", "-H", &spec, "-n", "1"]).ok();
    assert!(run.out.contains("us\n     $latency/1000       : count     distribution\n"), "{run:?}");
    // The function sleeps two milliseconds.
    assert!(run.lines().iter().any(|line| line.contains("2048 -> 4095") && line.contains('*')), "{run:?}");
}

#[test]
fn counts_stacks_and_durations() {
    let Some(work) = Workload::start() else { return };
    let function = work.probe("", "wor*");
    let run = skep(["funccount", "-d", "1", &function]).ok();
    let rows: Vec<Vec<&str>> = run.lines().iter().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["FUNC", "COUNT"], "{run:?}");
    assert!(
        rows.len() == 2 && rows[1][0] == "work" && rows[1][1].parse::<u64>().is_ok_and(|count| count > 5),
        "{run:?}"
    );
    let run = skep(["stackcount", "-f", "-P", "-D", "1", &work.probe("", "work")]).ok();
    assert!(run.out.contains("worker;") && run.out.contains(";work "), "{run:?}");
    let run = skep(["funclatency", "-u", "-d", "1", &work.probe("", "work")]).ok();
    assert!(run.out.contains("usecs               : count     distribution"), "{run:?}");
    assert!(run.out.contains("avg = ") && run.out.contains("2048 -> 4095"), "{run:?}");
    let run = skep(["funcslower", "-m", "1", "-a", "1", "-d", "1", &work.probe("", "work")]).ok();
    assert!(run.lines()[0].contains("LAT(ms)") && run.out.contains("work 0x7"), "{run:?}");
    let run = skep(["funcinterval", "-m", "-d", "1", &work.probe("", "work")]).ok();
    assert!(run.out.contains("16 -> 31"), "{run:?}");
}

#[test]
fn functions_of_processes_that_have_ended_have_names() {
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        return skip("loading programs needs CAP_SYS_ADMIN");
    }
    let mut short = Command::new("sh");
    let short =
        short.args(["-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do ls / ; sleep 0.2; done"]);
    let mut short = short.stdout(Stdio::null()).spawn().unwrap();
    let run = skep(["funccount", "-d", "2", "c:strc*"]);
    let _ = short.kill();
    let _ = short.wait();
    let run = run.ok();
    let names: Vec<&str> = run.lines().iter().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("strc")), "{run:?}");
}

#[test]
fn tracepoints() {
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        return skip("loading programs needs CAP_SYS_ADMIN");
    }
    let shell = "mount -t tracefs tracefs /sys/kernel/tracing || exit 99; exec \"$@\"";
    let mut looking = Command::new("sh")
        .args(["-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do cat /nowhere/skep.probe; sleep 0.4; done"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let probe = "t:syscalls:sys_enter_openat (STRSUFFIX(\"skep.probe\", args->filename)) \"%s %s\", args->filename, OPEN_FLAGS(args->flags)";
    let output =
        Command::new("unshare").args(["-m", "sh", "-c", shell, "sh", SKEP, "trace", "-M", "1", probe]).output();
    let run = Run::of(output.unwrap());
    let _ = looking.kill();
    let _ = looking.wait();
    if run.status == Some(99) {
        return skip(&format!("tracefs cannot be mounted: {}", run.err));
    }
    let run = run.ok();
    assert!(run.lines()[1].ends_with("sys_enter_openat /nowhere/skep.probe O_RDONLY"), "{run:?}");
}

#[test]
fn what_is_wrong_is_shown_in_the_specification() {
    let run = skep(["trace", "vfs_read \"%d %d\", arg1"]);
    assert_eq!(run.status, Some(2));
    assert!(run.err.contains("2 conversions, and 1 values follow") && run.err.contains("^^^^^"), "{run:?}");
    let run = skep(["trace", "--source", "c:open \"%s\", arg1"]).ok();
    assert!(run.out.contains("uprobe:c:open") && run.out.contains("str(arg0, 80)"), "{run:?}");
    let run = Run::of(command(["argdist"]).output().unwrap());
    assert_eq!(run.status, Some(2));
}
