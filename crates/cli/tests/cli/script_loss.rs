//! Records that find no room: every one that was sent is printed, or reported lost, or was sent behind the end.

use std::io::Read as _;
use std::os::unix::process::parent_id;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::script::able;
use crate::support::{SKEP, skep, skip};

#[test]
fn the_end_is_not_lost() {
    // The buffer is full when the end comes, and nothing else would end the script.
    let small = "config = { perf_rb_pages = 1; }";
    let many = "for ($i : 0..10000) { printf(\"%d\\n\", $i); }";
    let forever = "interval:s:1000 { @x = 1; }";
    let kinds: &[&[&str]] = if able() { &[&[], &["--vm"]] } else { &[&["--vm"]] };
    for kind in kinds {
        let run = |text: &str| skep(["run", "-q"].iter().chain(*kind).chain(&["-e", text]));
        let ended = run(&format!("{small} begin {{ {many} exit(7); }} {forever} end {{ printf(\"end\\n\"); }}"));
        assert_eq!(ended.status, Some(7), "{kind:?} {ended:?}");
        assert!(ended.out.ends_with("end\n\n\n"), "{kind:?} {ended:?}");
        let numbers = ended.lines().iter().filter(|line| line.parse::<u32>().is_ok()).count();
        // The records of the loop, and that of the end.
        assert_eq!(numbers as u64 + lost(&ended.out), 10_001, "{kind:?}");
        let failed = run(&format!("{small} begin {{ {many} errorf(\"late\"); }}"));
        assert_eq!((failed.status, failed.err.as_str()), (Some(1), ""), "{kind:?} {failed:?}");
        let minus = run(&format!("{small} begin {{ {many} exit(-1); }} {forever}"));
        assert_eq!(minus.status, Some(255), "{kind:?} {minus:?}");
    }
}

/// The sum of all `Lost N events`.
fn lost(out: &str) -> u64 {
    let counts = out.lines().filter_map(|line| line.strip_prefix("Lost ")?.strip_suffix(" events"));
    counts.map(|count| count.parse::<u64>().unwrap()).sum()
}

/// Name of the threads that make the calls; other tests in this process may make the same.
const CALLER: &str = "overload-caller";

/// System calls of each of the two threads in a run: three million events in the longest one.
fn calls(form: &str, exits: bool) -> u64 {
    if form == "text" && !exits { 1_500_000 } else { 375_000 }
}

#[test]
fn what_fired_is_accounted_for() {
    if !able() {
        return;
    }
    if std::thread::available_parallelism().is_ok_and(|count| count.get() < 2) {
        return skip("one processor cannot be busy and full at once");
    }
    for form in ["text", "json"] {
        for exits in [false, true] {
            let Some(counts) = overload(form, exits) else { return };
            let Counts { fired, printed, lost, left_out, exits: ended } = &counts;
            assert!(fired.len() >= 2, "both processors had events: {counts:?}");
            for (cpu, fired) in fired {
                let printed = printed.get(cpu).copied().unwrap_or(0);
                assert!(printed <= *fired, "processor {cpu}: {counts:?}");
            }
            let (fired, printed) = (fired.values().sum::<u64>(), printed.values().sum::<u64>());
            assert!(*lost > 0, "the buffer was never full: {counts:?}");
            if exits {
                // The record of the first exit() is performed, unless there was no room for it.
                let (sent, seen) = (fired + ended, printed + lost + left_out);
                assert!(seen == sent || seen + 1 == sent, "{form}: {counts:?}");
                assert!(fired < 2 * calls(form, exits) && *ended > 0, "{counts:?}");
            } else {
                assert_eq!(
                    (printed + lost, fired, *left_out),
                    (fired, 2 * calls(form, false), 0),
                    "{form}: {counts:?}"
                );
            }
        }
    }
}

#[test]
fn what_comes_behind_the_end_is_counted() {
    // Each call sends a line and the end; the second line comes too late.
    let pid = std::process::id();
    let text = format!(
        "tracepoint:syscalls:sys_enter_getppid /pid == {pid} && comm == \"{CALLER}\"/ {{ @fired[cpu]++; printf(\"cpu %d\\n\", cpu); exit(); }}"
    );
    if !able() {
        return;
    }
    // On a busy machine the script may end before there was a second call: that round shows nothing.
    for _ in 0..20 {
        let Some((out, err)) = burst("text", &text, 20_000, false) else { return };
        let counts = counts_of_text(&out, &err);
        let (fired, printed) = (counts.fired.values().sum::<u64>(), counts.printed.values().sum::<u64>());
        // The first line of each processor may have come before the first end.
        let processors = counts.fired.len() as u64;
        assert!((1..=processors).contains(&printed), "{counts:?}");
        assert_eq!(counts.lost + counts.left_out, 2 * fired - printed - 1, "{counts:?}");
        if counts.left_out > 0 {
            return;
        }
    }
    panic!("nothing came behind the end in twenty rounds");
}

#[derive(Debug, Default)]
struct Counts {
    /// By processor.
    fired: std::collections::BTreeMap<u64, u64>,
    printed: std::collections::BTreeMap<u64, u64>,
    lost: u64,
    left_out: u64,
    /// How often there was an `exit()`.
    exits: u64,
}

/// Two threads make system calls as fast as they can, a script prints a line for each. It ends by a signal when they are
/// through, or by `exit()` in the middle.
fn overload(form: &str, exits: bool) -> Option<Counts> {
    let pid = std::process::id();
    let exit = "interval:ms:20 { if (@fired[0] > 1000 && @fired[1] > 1000) { @exits++; exit(); } }";
    let exit = if exits { exit } else { "" };
    let text = format!(
        "config = {{ perf_rb_pages = 2; }} tracepoint:syscalls:sys_enter_getppid /pid == {pid} && comm == \"{CALLER}\"/ \
         {{ @fired[cpu]++; printf(\"cpu %d\\n\", cpu); }} {exit}"
    );
    let (out, err) = burst(form, &text, calls(form, exits), !exits)?;
    Some(if form == "json" { counts_of_json(&out) } else { counts_of_text(&out, &err) })
}

/// Output and messages of a script while two threads make so many system calls each; `None` if there is no tracefs.
fn burst(form: &str, text: &str, calls: u64, interrupt: bool) -> Option<(String, String)> {
    // Calls of one test would be events of the other.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shell = "mount -t tracefs tracefs /sys/kernel/tracing || exit 99; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", shell, "sh", SKEP, "run", "-v", "-f", form, "-e", text]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut out = String::new();
        stdout.read_to_string(&mut out).unwrap();
        out
    });
    if !attached(&child) {
        let status = child.wait().unwrap();
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!(status.code(), Some(99), "{err}");
        skip(&format!("tracefs cannot be mounted: {err}"));
        return None;
    }
    let threads = ["0", "1"].map(|cpu| {
        let work = move || {
            // Left to itself, a busy machine may keep both on one processor.
            let this = std::fs::read_link("/proc/thread-self").unwrap();
            let this = this.file_name().unwrap();
            let pinned = Command::new("taskset").args(["-p", "-c", cpu]).arg(this).stdout(Stdio::null()).status();
            assert!(pinned.unwrap().success());
            for _ in 0..calls {
                std::hint::black_box(parent_id());
            }
        };
        std::thread::Builder::new().name(CALLER.to_owned()).spawn(work).unwrap()
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    if interrupt {
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
    let out = reader.join().unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(child.wait().unwrap().success(), "{err}");
    Some((out, err))
}

/// Waits until the script has a link; `false` if it has ended.
fn attached(child: &Child) -> bool {
    let running =
        || std::fs::read_to_string(format!("/proc/{}/stat", child.id())).is_ok_and(|text| !text.contains(") Z"));
    while running() {
        let held = skep_kernel::held_by(child.id());
        // Both links, if there are two, are made before this looks again.
        if held.iter().any(|(_, held)| matches!(held, skep_kernel::Held::Link { .. })) {
            std::thread::sleep(Duration::from_millis(50));
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

fn counts_of_text(out: &str, err: &str) -> Counts {
    let mut counts = Counts { lost: lost(out), ..Counts::default() };
    for line in out.lines() {
        if let Some(cpu) = line.strip_prefix("cpu ") {
            *counts.printed.entry(cpu.parse().unwrap()).or_default() += 1;
        } else if let Some((cpu, count)) = line.strip_prefix("@fired[").and_then(|rest| rest.split_once("]: ")) {
            counts.fired.insert(cpu.parse().unwrap(), count.parse().unwrap());
        } else if let Some(count) = line.strip_prefix("@exits: ") {
            counts.exits = count.parse().unwrap();
        }
    }
    let left_out = err.lines().find_map(|line| line.strip_suffix(" events were sent behind exit() and left out"));
    counts.left_out = left_out.map_or(0, |count| count.parse().unwrap());
    counts
}

fn counts_of_json(out: &str) -> Counts {
    let mut counts = Counts::default();
    for line in out.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        match value["type"].as_str().unwrap() {
            "printf" => {
                let cpu = value["data"].as_str().unwrap().trim_start_matches("cpu ").trim_end().parse().unwrap();
                *counts.printed.entry(cpu).or_default() += 1;
            }
            "lost_events" => counts.lost += value["count"].as_u64().unwrap(),
            "left_out_events" => counts.left_out += value["count"].as_u64().unwrap(),
            "map" => {
                counts.exits = value["data"]["@exits"].as_u64().unwrap_or(counts.exits);
                for (cpu, count) in value["data"]["@fired"].as_object().into_iter().flatten() {
                    counts.fired.insert(cpu.parse().unwrap(), count.as_u64().unwrap());
                }
            }
            _ => {}
        }
    }
    counts
}
