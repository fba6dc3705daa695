//! Scripts that run on this machine's kernel: what they print, how they end, what they leave behind.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use skep_kernel::Held;

use crate::support::{Run, SKEP, command, skep, skip};

/// Whether programs can be loaded here; says why if they cannot.
pub fn able() -> bool {
    let able = skep_kernel::has_capability(skep_kernel::Capability::SysAdmin);
    if !able {
        skip("loading programs needs CAP_SYS_ADMIN");
    }
    able
}

#[track_caller]
fn script(text: &str) -> Run {
    skep(["run", "-e", text])
}

/// A script with tracepoints, in a mount namespace of its own that has tracefs; `None` if that is not possible.
#[track_caller]
pub fn traced(args: &[&str]) -> Option<Run> {
    if !able() {
        return None;
    }
    let shell = "mount -t tracefs tracefs /sys/kernel/tracing || exit 99; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", shell, "sh", SKEP, "run"]).args(args).env("TZ", "UTC").stdin(Stdio::null());
    let run = Run::of(command.output().unwrap());
    if run.status == Some(99) {
        skip(&format!("tracefs cannot be mounted: {}", run.err));
        return None;
    }
    Some(run)
}

#[test]
fn beginning_end_and_status() {
    if !able() {
        return;
    }
    let run = script("BEGIN { printf(\"%d %s\\n\", 5, \"five\"); exit(); } END { printf(\"end\\n\"); }").ok();
    assert_eq!((run.out.as_str(), run.err.as_str()), ("5 five\nend\n\n\n", ""));
    assert_eq!(script("begin { exit(7); } end { printf(\"x\\n\"); }").status, Some(7));
    let run = script("begin { errorf(\"bad\"); exit(); }");
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.err.contains("stdin:1:9: ERROR: bad"), "{run:?}");
    // Nothing behind exit() is looked at.
    let run = script("begin { printf(\"a\\n\"); exit(); } begin { printf(\"b\\n\"); }").ok();
    assert_eq!(run.out, "a\n\n\n");
}

#[test]
fn maps_are_printed_at_the_end() {
    if !able() {
        return;
    }
    let text = "begin { @b[1, \"x\"] = 5; @a = 7; @h = hist(9); @l = lhist(12, 0, 100, 10); @s = stats(4); exit(); }";
    let run = script(text).ok();
    let bar = "@".repeat(52);
    let expected = format!(
        "\n\n@a: 7\n@b[1, x]: 5\n@h:\n[8, 16)                1 |{bar}|\n\n@l:\n[10, 20)               1 |{bar}|\n\n\
         @s: {{ .count = 1, .average = 4, .total = 4 }}\n"
    );
    assert_eq!(run.out, expected);
    let run = skep(["run", "-f", "json", "-e", "begin { @a[1] = count(); printf(\"x\"); exit(); }"]).ok();
    let lines: Vec<serde_json::Value> = run.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["data"], "x");
    assert_eq!(lines[1]["data"]["@a"]["1"], 1);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("out");
    let run = skep(["run", "-o", file.to_str().unwrap(), "-e", "begin { printf(\"kept\\n\"); exit(); }"]).ok();
    assert_eq!(run.out, "");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "kept\n\n\n");
}

#[test]
fn intervals_and_arguments() {
    if !able() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tick.bt");
    std::fs::write(
        &file,
        "interval:ms:20 /@n < $1/ { @n++; printf(\"%d %s\\n\", @n, str($2)); if (@n == $1) { exit(); } }",
    )
    .unwrap();
    let run = skep(["run", file.to_str().unwrap(), "3", "word"]).ok();
    assert_eq!(run.out, "1 word\n2 word\n3 word\n\n\n@n: 3\n");
    assert_eq!(run.err, "Attached 1 probe\n");
    let quiet = skep(["run", "-q", file.to_str().unwrap(), "1", "w"]).ok();
    assert_eq!(quiet.err, "");
}

#[test]
fn every_record_is_printed_or_counted_as_lost() {
    if !able() {
        return;
    }
    let loops = [
        "$i = 0; while ($i < 100000) { printf(\"%d\\n\", $i); $i++; }",
        "for ($i : 0..100000) { printf(\"%d\\n\", $i); }",
    ];
    for text in loops {
        let run = script(&format!("begin {{ {text} }} interval:ms:20 {{ exit(); }}")).ok();
        let mut lost = 0;
        let mut next = 0;
        for line in run.lines().into_iter().filter(|line| !line.is_empty()) {
            match line.strip_prefix("Lost ").and_then(|rest| rest.strip_suffix(" events")) {
                Some(count) => lost += count.parse::<u64>().unwrap(),
                None => {
                    assert_eq!(line, next.to_string());
                    next += 1;
                }
            }
        }
        assert_eq!(next + lost, 100_000);
        assert!(next > 1000 && lost > 0, "{next} printed, {lost} lost");
    }
}

#[test]
fn system_calls_of_a_command_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<String> = (0..5).map(|n| directory.path().join(n.to_string()).display().to_string()).collect();
    paths.iter().for_each(|path| std::fs::write(path, "").unwrap());
    let prefix = directory.path().display().to_string();
    let text = format!(
        "t:syscalls:sys_enter_openat /pid == cpid && strncmp(str(args.filename), \"{prefix}\", {}) == 0/ \
         {{ @[comm, str(args.filename)] = count(); @all = count(); }}",
        prefix.len()
    );
    let Some(run) = traced(&["-c", &format!("cat {}", paths.join(" ")), "-e", &text]) else { return };
    let run = run.ok();
    for path in &paths {
        assert!(run.out.contains(&format!("@[cat, {path}]: 1\n")), "{run:?}");
    }
    assert!(run.out.contains("@all: 5\n"), "{run:?}");
}

#[test]
fn tracepoints_that_do_not_exist_are_explained() {
    let Some(run) = traced(&["-e", "tracepoint:syscalls:sys_enter_opennat { @ = 1; }"]) else { return };
    assert_eq!(run.status, Some(255));
    let expected = "cannot attach the probe `tracepoint:syscalls:sys_enter_opennat` (line 1): ";
    assert!(run.err.contains(expected) && run.err.contains("did you mean `sys_enter_openat`"), "{run:?}");
    let Some(run) = traced(&["-l", "tracepoint:sched:sched_wakeup*"]) else { return };
    assert_eq!(run.ok().lines(), ["tracepoint:sched:sched_wakeup", "tracepoint:sched:sched_wakeup_new"]);
}

/// A program with a function that is called so many times, and a loop that keeps it alive as long as it is told.
fn program(directory: &Path) -> Option<PathBuf> {
    let (source, binary) = (directory.join("work.c"), directory.join("work"));
    let text = "#include <stdlib.h>\n__attribute__((noinline)) int work(int n) { __asm__ volatile(\"\"); return n * 2; }\n\
                int main(int argc, char **argv) { int n = atoi(argv[1]), sum = 0;\n\
                for (int i = 0; i < n; i++) sum += work(i); return sum & 1; }\n";
    std::fs::write(&source, text).unwrap();
    let made = Command::new("cc").args(["-O1", "-o"]).arg(&binary).arg(&source).status();
    if !made.is_ok_and(|status| status.success()) {
        skip("there is no C compiler `cc`");
        return None;
    }
    Some(binary)
}

#[test]
fn functions_of_programs() {
    if !able() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let Some(binary) = program(directory.path()) else { return };
    let binary = binary.display().to_string();
    let text = format!(
        "uprobe:{binary}:work {{ @calls = count(); @sum = sum(arg0); @name[func, usym(reg(\"ip\"))] = count(); }} \
         uretprobe:{binary}:work {{ @last = retval; }}"
    );
    let run = skep(["run", "-c", &format!("{binary} 10"), "-e", &text]);
    if run.err.contains("does not support") {
        return skip(&run.err);
    }
    let run = run.ok();
    for line in ["@calls: 10\n", "@sum: 45\n", "@last: 18\n"] {
        assert!(run.out.contains(line), "{run:?}");
    }
    let missing = skep(["run", "-e", &format!("uprobe:{binary}:wrok {{ @ = 1; }}")]);
    assert_eq!(missing.status, Some(255), "{missing:?}");
    assert!(missing.err.contains(&format!("cannot attach the probe `uprobe:{binary}:wrok` (line 1): ")), "{missing:?}");
    assert!(missing.err.contains("work"), "a similar name is shown: {missing:?}");
    let list = skep(["run", "-l", &format!("uprobe:{binary}:wor*")]).ok();
    assert_eq!(list.out, format!("uprobe:{binary}:work\n"));
}

#[test]
fn faulty_scripts_are_shown() {
    let run = script("BEGIN { $x = ; }");
    assert_eq!(run.status, Some(2));
    assert!(run.err.contains("stdin:1:14") && run.err.contains("BEGIN { $x = ; }"), "{run:?}");
    let run = script("begin { system(\"true\"); }");
    assert!(run.status == Some(2) && run.err.contains("`--unsafe` allows it"), "{run:?}");
    let run = skep(["run", "/no/such/tool.bt"]);
    assert!(run.status == Some(1) && run.err.contains("/no/such/tool.bt"), "{run:?}");
    let run = skep(["run", "-c", "no-such-command", "-e", "begin { }"]);
    assert!(run.status == Some(1) && run.err.contains("no-such-command"), "{run:?}");
    assert_eq!(skep(["script"]).status, Some(2));
    assert_eq!(skep(["run", "--fmt", "-e", "BEGIN{exit( );}"]).ok().out, "begin\n{\n  exit();\n}\n");
}

#[test]
fn stages_of_the_compiler_are_shown() {
    let stage = |name: &str| skep(["run", "-d", name, "-e", "begin { @a = 1; exit(); }"]).ok().out;
    assert!(stage("ast").contains("Script {"));
    assert!(stage("ir").contains("func ") && stage("opt").contains("func "));
    assert!(stage("plan").contains("name: \"@a\""));
    assert!(stage("bytecode").contains("call bpf_ringbuf_reserve"));
    let times = stage("time");
    let names: Vec<&str> = times.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.starts_with(&["parse", "compile", "optimise", "generate", "inline"]), "{times}");
}

/// Waits until the kernel has freed the programs; it does that behind a grace period.
#[track_caller]
fn gone(held: &[Held]) {
    let start = Instant::now();
    let alive = |held: &&Held| matches!(held, Held::Program(id) if skep_kernel::LoadedProgram::by_id(*id).is_ok());
    while let Some(left) = held.iter().find(alive) {
        assert!(start.elapsed() < Duration::from_secs(10), "{left:?} is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn signals_end_in_order_and_kills_leave_nothing() {
    if !able() {
        return;
    }
    for (signal, orderly) in [("INT", true), ("TERM", true), ("KILL", false)] {
        let text = "interval:ms:10 { @n = count(); } end { printf(\"end\\n\"); }";
        let mut process = command(["run", "-e", text]);
        let child = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        let links = |held: &Held| matches!(held, Held::Link { .. });
        let held = loop {
            let held: Vec<Held> = skep_kernel::held_by(child.id()).into_iter().map(|(_, held)| held).collect();
            if held.iter().any(links) {
                break held;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "nothing is attached: {held:?}");
            std::thread::sleep(Duration::from_millis(5));
        };
        std::thread::sleep(Duration::from_millis(100));
        let killed = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let asked = Instant::now();
        let run = Run::of(child.wait_with_output().unwrap());
        gone(&held);
        assert!(asked.elapsed() < Duration::from_secs(5), "it ends at once");
        if orderly {
            assert_eq!(run.status, Some(0), "{run:?}");
            assert!(run.out.starts_with("end\n\n\n@n: "), "{run:?}");
        }
    }
}

#[test]
fn the_end_of_the_command_ends_the_script() {
    if !able() {
        return;
    }
    let start = Instant::now();
    let run = skep(["run", "-c", "sleep 0.2", "-e", "begin { printf(\"%d\\n\", cpid > 1); }"]).ok();
    assert!(run.out.starts_with("1\n"), "{run:?}");
    assert!((Duration::from_millis(200)..Duration::from_secs(5)).contains(&start.elapsed()));
    // A script that ends takes its command along.
    let start = Instant::now();
    skep(["run", "-c", "sleep 60", "-e", "interval:ms:50 { exit(); }"]).ok();
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn under_the_name_of_bpftrace() {
    if !able() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("bpftrace");
    std::os::unix::fs::symlink(SKEP, &link).unwrap();
    assert!(std::fs::metadata(&link).unwrap().permissions().mode() & 0o111 != 0);
    let output = Command::new(&link).args(["-e", "BEGIN { printf(\"me\\n\"); exit(); }"]).output().unwrap();
    assert_eq!(Run::of(output).ok().out, "me\n\n\n");
}

/// Scripts whose output is the same in every run and release.
const SAME: &[&str] = &[
    "BEGIN { printf(\"%d|%5d|%-5d|%x|%s\\n\", 1, 22, 33, 255, \"text\"); exit(); }",
    "BEGIN { @a = 1; @b[1] = 2; @b[2] = 1; @c[1, \"x\"] = 3; exit(); }",
    "BEGIN { $i = 0; while ($i < 5) { @s = sum($i); @c = count(); @m = max($i); $i++; } exit(); }",
    "BEGIN { print((1, \"two\", 3)); print(5); exit(); } END { printf(\"end\\n\"); }",
    "interval:ms:20 { if (@n < 3) { @n++; printf(\"%d\\n\", @n); } else { exit(); } }",
    "BEGIN { printf(\"%s %d\\n\", str($1), $2); exit(); }",
];

#[test]
fn the_same_as_bpftrace() {
    if !able() {
        return;
    }
    if Command::new("bpftrace").arg("--version").output().is_err() {
        return skip("bpftrace is not installed");
    }
    for text in SAME {
        let theirs = Command::new("bpftrace").args(["-e", text, "word", "7"]).stdin(Stdio::null()).output().unwrap();
        let theirs = Run::of(theirs).ok().out;
        // Older releases say what is going to be attached on standard output.
        let theirs: Vec<&str> = theirs.lines().filter(|line| !line.starts_with("Attaching ")).collect();
        let ours = skep(["run", "-e", text, "word", "7"]).ok();
        assert_eq!(ours.lines(), theirs, "{text}");
    }
}
