//! `skep strace` against strace: the same lines, the same counts; nothing of others; nothing lost without saying so.

pub mod every_call;
pub mod options;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::support::{Run, command, skep, skip};

/// Tests that compare what happens at the same time take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether programs can be attached here.
fn possible() -> bool {
    static POSSIBLE: OnceLock<bool> = OnceLock::new();
    *POSSIBLE.get_or_init(|| {
        let run = skep(["strace", "-o", "/dev/null", "true"]);
        if run.status != Some(0) {
            skip(&format!("tracing is not possible: {}", run.err));
        }
        run.status == Some(0)
    })
}

fn has_strace() -> bool {
    let found = Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok();
    if !found {
        skip("strace is not installed");
    }
    found
}

/// A C program, compiled.
fn compiled(directory: &Path, name: &str, text: &str) -> Option<PathBuf> {
    let (source, program) = (directory.join(format!("{name}.c")), directory.join(name));
    std::fs::write(&source, text).unwrap();
    match Command::new("cc").args(["-w", "-O1", "-pthread", "-o"]).arg(&program).arg(&source).status() {
        Ok(status) => assert!(status.success()),
        Err(_) => {
            skip("there is no C compiler");
            return None;
        }
    }
    Some(program)
}

/// Lines of each thread in order, numbers of threads by the order in which they appear, halves of lines put together.
fn by_thread(text: &str) -> Vec<Vec<String>> {
    let (mut order, mut lines, mut halves) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        let (thread, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        let thread: u32 = thread.parse().unwrap_or_else(|_| panic!("{line}"));
        let rest = rest.trim_start();
        if !order.contains(&thread) {
            order.push(thread);
        }
        let list: &mut Vec<String> = lines.entry(thread).or_default();
        if let Some(first) = rest.strip_suffix(" <unfinished ...>") {
            halves.insert(thread, first.to_owned());
        } else if let Some(second) = rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            let first = halves.remove(&thread).unwrap_or_default();
            list.push(format!("{first}{}", second.1));
        } else {
            list.push(rest.to_owned());
        }
    }
    order.iter().map(|thread| lines.remove(thread).unwrap_or_default()).collect()
}

/// Fields whose numbers differ from run to run.
// TABLE
const FLEETING: &[&str] = &[
    "tv_sec=",
    "tv_nsec=",
    "tv_usec=",
    "uptime=",
    "freeram=",
    "sharedram=",
    "bufferram=",
    "procs=",
    "si_pid=",
    "f_bfree=",
    "f_bavail=",
    "f_ffree=",
    "si_utime=",
    "si_stime=",
    "tms_utime=",
    "tms_stime=",
    "tms_cutime=",
    "tms_cstime=",
    "htons(",
    "f_blocks=",
    "f_files=",
    "shm_cpid=",
    "shm_lpid=",
    "shm_ctime=",
    "sem_otime=",
    "sem_ctime=",
    "msg_stime=",
    "msg_rtime=",
    "msg_ctime=",
    "msg_lspid=",
    "msg_lrpid=",
    "maxerror=",
    "esterror=",
    "process_vm_readv(",
    "process_vm_writev(",
];

/// Calls whose results differ from run to run: numbers of processes, times.
// TABLE
const OWN_RESULT: &[&str] = &[
    "getpid",
    "getppid",
    "gettid",
    "set_tid_address",
    "clone",
    "wait4",
    "waitid",
    "getpgrp",
    "getpgid",
    "getsid",
    "time",
    "times",
    "alarm",
    "setpgid",
    "read",
    "brk",
];

/// The line with what differs from run to run replaced, and runs of spaces as one.
fn normalised(line: &str) -> String {
    let name = line.split('(').next().unwrap_or_default().to_owned();
    let mut text = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    // Reading a file changes when it was read last.
    text.truncate(text.find(", st_atime=").unwrap_or(text.len()));
    for field in FLEETING {
        text = replace_numbers(&text, field);
    }
    // Addresses.
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("0x") {
        let digits = rest[at + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        out.push_str(&rest[..at]);
        out.push_str(if digits > 8 { "ADDRESS" } else { &rest[at..at + 2 + digits] });
        rest = &rest[at + 2 + digits..];
    }
    out.push_str(rest);
    match name.as_str() {
        "kill" | "tgkill" | "wait4" => out = out.replace(|c: char| c.is_ascii_digit(), "9").replace("99", "9"),
        "sysinfo" => out = replace_numbers(&out.replace(", ", "="), "loads=["),
        // Times of no clock tick have no remark in seconds.
        "times" => {
            while let Some((front, rest)) = out.split_once(" /*")
                && let Some((_, back)) = rest.split_once("*/")
            {
                out = format!("{front}{back}");
            }
        }
        "time" | "getcpu" | "kcmp" => out = out.chars().filter(|c| !c.is_ascii_digit()).collect(),
        // Random bytes.
        "getrandom" => out = out.split('"').enumerate().map(|(at, part)| if at == 1 { "" } else { part }).collect(),
        _ => {}
    }
    // strace stops a process that has just killed itself, and knows no result.
    if out.ends_with("SIGKILL) = 9") {
        out.truncate(out.len() - 1);
        out.push('?');
    }
    if name == "sysinfo" {
        return out.chars().filter(|c| !c.is_ascii_digit()).collect();
    }
    if OWN_RESULT.contains(&name.as_str())
        && let Some((front, _)) = out.rsplit_once(" = ")
        && !out.contains(" = -1 ")
    {
        out = front.to_owned();
    }
    while out.contains("99") {
        out = out.replace("99", "9");
    }
    out
}

/// Numbers behind a name become one word.
fn replace_numbers(text: &str, name: &str) -> String {
    let mut parts = text.split(name);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(name);
        out.push('N');
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-'));
    }
    out
}

/// Runs a program under both, each in an empty directory, and gives the lines of both.
fn both(program: &Path, options: &[&str]) -> Option<(String, String)> {
    let run = |tracer: Command| {
        // A test must not wait for a call that does not end.
        let mut limited = Command::new("timeout");
        limited.arg("100").arg(tracer.get_program()).args(tracer.get_args());
        let mut tracer = limited;
        let directory = tempfile::tempdir().unwrap();
        let (work, log) = (directory.path().join("work"), directory.path().join("log"));
        std::fs::create_dir(&work).unwrap();
        tracer
            .arg("-o")
            .arg(&log)
            .args(options)
            .arg(program)
            .current_dir(&work)
            .env_clear()
            .env("PATH", "/usr/bin:/bin");
        let status = tracer.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{tracer:?}: {status}");
        std::fs::read_to_string(log).unwrap().replace(&*work.to_string_lossy(), "WORK")
    };
    if !possible() || !has_strace() {
        return None;
    }
    let theirs = run(Command::new("strace"));
    Some((theirs, run(command(["strace"]))))
}

/// Lines that differ, with a minus for those of strace and a plus for ours.
fn difference(theirs: &[String], ours: &[String]) -> Vec<String> {
    let (mut left, mut right, mut found) = (0, 0, Vec::new());
    while left < theirs.len() || right < ours.len() {
        let (a, b) = (theirs.get(left), ours.get(right));
        if a == b {
            (left, right) = (left + 1, right + 1);
            continue;
        }
        let skip = (1..8).find(|step| theirs.get(left + step).is_some() && theirs.get(left + step) == b);
        let more = (1..8).find(|step| ours.get(right + step).is_some() && ours.get(right + step) == a);
        let (gone, new) = match (skip, more) {
            (Some(step), _) => (step, 0),
            (None, Some(step)) => (0, step),
            (None, None) => (1, 1),
        };
        found.extend(theirs.iter().skip(left).take(gone).map(|line| format!("-{line}")));
        found.extend(ours.iter().skip(right).take(new).map(|line| format!("+{line}")));
        (left, right) = (left + gone, right + new);
    }
    found
}

#[track_caller]
fn same_lines(program: &Path, options: &[&str], calls: usize) {
    let Some((theirs, ours)) = both(program, options) else { return };
    let (theirs, ours) = (by_thread(&theirs), by_thread(&ours));
    assert_eq!(theirs.len(), ours.len(), "threads");
    let mut found = Vec::new();
    let mut names: Vec<&str> = theirs.iter().flatten().filter_map(|line| line.split('(').next()).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() >= calls, "{} calls: {names:?}", names.len());
    for (theirs, ours) in theirs.iter().zip(&ours) {
        // Whether a child's end is told by a signal or by wait4 first is a matter of chance.
        let is_end = |line: &String| line.starts_with("--- SIGCHLD");
        let lines = |list: &[String], ends: bool| {
            list.iter().map(|line| normalised(line)).filter(|line| is_end(line) == ends).collect::<Vec<_>>()
        };
        found.extend(difference(&lines(theirs, false), &lines(ours, false)));
        found.extend(difference(&lines(theirs, true), &lines(ours, true)));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn lines_are_those_of_strace() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compiled(directory.path(), "calls", include_str!("c/strace_calls.c")) else { return };
    same_lines(&program, &["-f"], 150);
}

#[test]
fn lines_of_options_are_those_of_strace() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let text = r#"
        #include <fcntl.h>
        #include <sys/stat.h>
        #include <sys/utsname.h>
        #include <sys/uio.h>
        #include <unistd.h>
        int main() {
            char text[200];
            for (int i = 0; i < 200; i++) text[i] = i;
            int fd = open("/dev/null", O_RDWR);
            write(fd, text, 200);
            write(fd, "short", 5);
            write(fd, "0123456789", 10);
            write(fd, "01234567890", 11);
            struct iovec list[12];
            for (int i = 0; i < 12; i++) list[i] = (struct iovec){text + 60, i + 2};
            writev(fd, list, 12);
            struct stat st;
            stat("/etc/passwd", &st);
            struct utsname name;
            uname(&name);
            write(fd, (void *)1, 5);
            write(-1, text, 0);
            return 0;
        }"#;
    let Some(program) = compiled(directory.path(), "options", text) else { return };
    let select = "trace=open,openat,write,writev,newfstatat,uname,execve";
    for options in [&["-s", "10"][..], &["-x"], &["-xx", "-s", "5"], &["-v"], &["-a", "20"], &["-Z"], &["-z"]] {
        let options: Vec<&str> = ["-f", "-e", select].iter().chain(options).copied().collect();
        same_lines(&program, &options, 1);
    }
}

#[test]
fn threads_and_processes_are_followed() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let text = r#"
        #include <pthread.h>
        #include <signal.h>
        #include <sys/wait.h>
        #include <unistd.h>
        static void *work(void *arg) { getpgid(1); return 0; }
        int main() {
            pthread_t thread;
            pthread_create(&thread, 0, work, 0);
            pthread_join(thread, 0);
            int child = fork();
            // Constants are in pages that a new process has not touched.
            char path[] = "/bin/true", first[] = "true", second[] = "a";
            if (!child) { execl(path, first, second, (char *)0); }
            waitpid(child, 0, 0);
            signal(SIGUSR1, SIG_IGN);
            raise(SIGUSR1);
            return 7 - 7;
        }"#;
    let Some(program) = compiled(directory.path(), "threads", text) else { return };
    let select = "trace=getpgid,execve,kill,exit_group,openat,close,tgkill";
    same_lines(&program, &["-f", "-e", select], 5);
}

/// Variables of a new program are counted, many at a time; also where memory ends behind them.
#[test]
fn variables_are_counted() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let text = r#"
        #include <string.h>
        #include <sys/mman.h>
        #include <unistd.h>
        int main() {
            static char *many[1100];
            char *arguments[] = {"true", 0};
            char one[] = "A=1";
            for (int i = 0; i < 1099; i++) many[i] = one;
            int numbers[] = {0, 1, 15, 16, 17, 31, 32, 33, 500, 1000};
            for (int i = 0; i < 10; i++) {
                char *kept = many[numbers[i]];
                many[numbers[i]] = 0;
                execve("/nonexistent", arguments, many);
                many[numbers[i]] = kept;
            }
            char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            munmap(pages + 4096, 4096);
            for (int size = 1; size < 40; size += 6) {
                char **last = (char **)(pages + 4096) - size;
                for (int i = 0; i < size; i++) last[i] = one;
                last[size - 1] = 0;
                execve("/nonexistent", arguments, last);
                last[size - 1] = one;
                execve("/nonexistent", arguments, last);
            }
            return 0;
        }"#;
    let Some(program) = compiled(directory.path(), "variables", text) else { return };
    same_lines(&program, &["-f", "-e", "trace=execve"], 1);
}

/// Counts of a table by the name of the call: calls and errors.
fn table(text: &str) -> BTreeMap<String, (u64, u64)> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (calls, errors, name) = match fields.as_slice() {
            [_, _, _, calls, errors, name] => (calls.parse().ok()?, errors.parse().ok()?, *name),
            [_, _, _, calls, name] => (calls.parse().ok()?, 0, *name),
            _ => return None,
        };
        Some((name.to_owned(), (calls, errors)))
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn counts_are_those_of_strace() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let text = r#"
        #include <fcntl.h>
        #include <unistd.h>
        int main() {
            for (int i = 0; i < 1234; i++) getppid();
            for (int i = 0; i < 77; i++) open("/nonexistent", O_RDONLY);
            if (!fork()) { for (int i = 0; i < 55; i++) getpgid(0); _exit(0); }
            wait(0);
            return 0;
        }"#;
    let Some(program) = compiled(directory.path(), "counts", text) else { return };
    let Some((theirs, ours)) = both(&program, &["-f", "-c"]) else { return };
    let (mut theirs, mut ours) = (table(&theirs), table(&ours));
    assert_eq!(ours["getppid"], (1234, 0));
    // This one does not come to an end, and the sum has it.
    for name in ["exit_group", "total"] {
        theirs.remove(name);
        ours.remove(name);
    }
    assert_eq!(theirs, ours);
}

#[test]
fn times_are_counted_in_the_kernel() {
    let _turn = turn();
    if !possible() {
        return;
    }
    let run =
        skep(["strace", "-c", "--histogram", "-S", "name", "-e", "nanosleep,clock_nanosleep", "sleep", "0.05"]).ok();
    assert!(run.err.contains("total"), "{run:?}");
    let row = run.err.lines().find(|line| line.ends_with("nanosleep")).unwrap_or_else(|| panic!("{run:?}"));
    let each: u64 = row.split_ascii_whitespace().nth(2).and_then(|text| text.parse().ok()).unwrap();
    assert!(each >= 50_000, "{row}");
    assert!(run.err.contains("ms"), "{run:?}");
}

/// A process that makes the same call again and again, until it is dropped.
struct Other(std::process::Child);

impl Other {
    fn start() -> Self {
        let script = "while :; do /bin/true /unrelated; done";
        Self(Command::new("sh").args(["-c", script]).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn others_do_not_show() {
    let _turn = turn();
    if !possible() {
        return;
    }
    let _other = Other::start();
    let run = skep(["strace", "-f", "-e", "trace=execve", "sh", "-c", "/bin/true /related; /bin/true /related"]).ok();
    assert_eq!(run.err.matches("\"/related\"]").count(), 2, "{run:?}");
    assert!(!run.err.contains("/unrelated"), "{run:?}");
    // The name of a thread is another way to choose.
    let run = skep(["strace", "-e", "trace=openat", "--comm", "nosuchname", "--for", "300ms"]).ok();
    assert!(!run.err.contains("openat"), "{run:?}");
    let run = skep(["strace", "-e", "trace=execve", "--for", "500ms"]).ok();
    assert!(run.err.contains("/unrelated"), "{run:?}");
}

#[test]
fn paths_and_results_choose() {
    let _turn = turn();
    if !possible() {
        return;
    }
    let script = "cat /etc/passwd /etc/group /nonexistent > /dev/null 2>&1; true";
    let shell = ["sh", "-c", script];
    let run = skep(["strace", "-f", "-P", "/etc/group"].iter().chain(&shell)).ok();
    let calls: Vec<&str> = run.err.lines().filter(|line| line.contains('(')).collect();
    assert!(calls.iter().any(|line| line.contains("openat(AT_FDCWD, \"/etc/group\"")), "{run:?}");
    assert!(calls.iter().any(|line| line.contains("read(")), "{run:?}");
    assert!(!run.err.contains("/etc/passwd"), "{run:?}");
    let run = skep(["strace", "-f", "-Z", "-e", "openat"].iter().chain(&shell)).ok();
    assert!(run.err.contains("/nonexistent") && !run.err.contains("/etc/passwd"), "{run:?}");
    // Of a process that lives, descriptors are known although nothing that opens them is traced.
    let slow = ["bash", "-c", "exec 5</etc/passwd; read -r -u 5 word; sleep 0.3"];
    let run = skep(["strace", "-y", "-e", "read"].iter().chain(&slow)).ok();
    assert!(run.err.contains("</etc/passwd>"), "{run:?}");
}

#[test]
fn json_is_json() {
    let _turn = turn();
    if !possible() {
        return;
    }
    let run = skep(["strace", "--json", "sh", "-c", "echo 'a\"b'; exit 3"]);
    assert_eq!(run.status, Some(3), "{run:?}");
    let mut calls = 0;
    for line in run.err.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        calls += u64::from(value["call"] == "write" && value["result"] == 4 && value["duration"].as_u64() > Some(0));
    }
    assert_eq!(calls, 1, "{run:?}");
}

/// What is printed and what is said to be lost is all that has happened.
#[test]
fn nothing_is_lost_in_silence() {
    const CALLS: u64 = 200_000;
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let text = format!("#include <unistd.h>\nint main() {{ for (int i = 0; i < {CALLS}; i++) getppid(); return 0; }}");
    let Some(program) = compiled(directory.path(), "loop", &text) else { return };
    if !possible() {
        return;
    }
    let log = directory.path().join("log");
    let words = ["strace", "--buffer", "1", "-e", "getppid", "-o"];
    let run = Run::of(command(words).arg(&log).arg(&program).output().unwrap()).ok();
    let printed = std::fs::read_to_string(log).unwrap();
    // A call whose end was lost has no number as its result: it is among the lost.
    let has_result = |line: &&str| line.rsplit_once("= ").is_some_and(|(_, result)| result.parse::<u32>().is_ok());
    let printed = printed.lines().filter(|line| line.contains("getppid")).filter(has_result).count() as u64;
    let lost = run.err.split("the buffer was full: ").nth(1).map_or(0, |text| {
        text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{run:?}"))
    });
    println!("{printed} printed, {lost} lost");
    assert_eq!(printed + lost, CALLS, "{run:?}");
}

#[test]
fn wrong_usage_is_explained() {
    let wrong = [
        (&["-e", "trace=opennat", "true"][..], "neither a system call nor a class"),
        (&["-e", "inject=open", "true"], "not supported"),
        (&["-S", "colour", "true"], "max-time"),
        (&["--for", "soon"], "expected a time"),
        (&["--comm", "a name that is too long"], "1 to 15 bytes"),
        (&["nosuchprogram"], "no program `nosuchprogram`"),
        (&["--container", "x"], "no id of a container"),
        (&["-p", "4194303"], "no process 4194303"),
    ];
    for (words, text) in wrong {
        let run = skep(["strace"].iter().chain(words));
        assert!(matches!(run.status, Some(1 | 2)) && run.err.contains(text), "{words:?}: {run:?}");
    }
}
