//! Tools about processes: execsnoop, exitsnoop, killsnoop, sigsnoop.

use std::process::{Command, Stdio};

use super::{is, number, shell, start};

#[test]
fn execsnoop() {
    let Some(mut tool) = start(&["execsnoop", "-x"]) else { return };
    let own = std::process::id().to_string();
    let pid = {
        let mut child = Command::new("/bin/echo").args(["a b", "", "c\"d"]).stdout(Stdio::null()).spawn().unwrap();
        child.wait().unwrap();
        child.id().to_string()
    };
    let row = tool.wait(|row| is(row, &[("pid", &pid), ("error", "0")]));
    assert!(is(&row, &[("comm", "echo"), ("ppid", &own), ("args", "/bin/echo a b  c\"d")]), "{row:?}");
    assert_eq!(row["filename"], "/bin/echo");

    // More arguments than other tools keep.
    let many: Vec<String> = (100..300).map(|number| number.to_string()).collect();
    let mut child = Command::new("/bin/true").args(&many).spawn().unwrap();
    child.wait().unwrap();
    let row = tool.wait(|row| row["pid"] == child.id().to_string());
    assert_eq!(row["args"], format!("/bin/true {}", many.join(" ")));

    let shell = shell("exec /no/such/program x");
    let row = tool.wait(|row| is(row, &[("pid", &shell), ("filename", "/no/such/program")]));
    assert!(is(&row, &[("error", "-2"), ("comm", "bash")]), "{row:?}");
    tool.stop();
}

#[test]
fn execsnoop_without_failures() {
    let Some(tool) = start(&["execsnoop", "-n", "bash"]) else { return };
    shell("exec /no/such/program x");
    let rows = tool.stop();
    assert!(rows.iter().all(|row| row["error"] == "0" && row["comm"].contains("bash")), "{rows:?}");
}

#[test]
fn exitsnoop() {
    let Some(mut tool) = start(&["exitsnoop"]) else { return };
    let own = std::process::id().to_string();
    let pid = shell("exit 7");
    let row = tool.wait(|row| row["pid"] == pid);
    assert!(is(&row, &[("status", "7"), ("signo", "0"), ("signal", ""), ("ppid", &own), ("comm", "bash")]), "{row:?}");
    let age = number(&row, "age_ns");
    assert!((1..PATIENT).contains(&age), "{row:?}");

    let pid = shell("kill -TERM $$");
    let row = tool.wait(|row| row["pid"] == pid);
    assert!(is(&row, &[("status", "0"), ("signo", "15"), ("signal", "SIGTERM")]), "{row:?}");

    // A thread that ends is no process that ends.
    std::thread::Builder::new().name("short".into()).spawn(|| {}).unwrap().join().unwrap();
    let pid = shell("exit 1");
    tool.wait(|row| row["pid"] == pid);
    assert!(!tool.stop().iter().any(|row| row["comm"] == "short"));
}

/// Nanoseconds that no process of these tests lives.
const PATIENT: i64 = 60_000_000_000;

#[test]
fn exitsnoop_of_threads_and_failures() {
    let Some(mut tool) = start(&["exitsnoop", "--per-thread"]) else { return };
    std::thread::Builder::new().name("short-lived".into()).spawn(|| {}).unwrap().join().unwrap();
    let row = tool.wait(|row| row["comm"] == "short-lived");
    assert_eq!(row["pid"], std::process::id().to_string());
    assert_ne!(row["tid"], row["pid"]);
    tool.stop();

    let Some(mut tool) = start(&["exitsnoop", "-x", "--comm", "bash"]) else { return };
    let (good, bad) = (shell("exit 0"), shell("exit 3"));
    tool.wait(|row| is(row, &[("pid", &bad), ("status", "3")]));
    assert!(!tool.stop().iter().any(|row| row["pid"] == good));
}

#[test]
fn killsnoop_and_sigsnoop() {
    let Some(mut calls) = start(&["killsnoop"]) else { return };
    let Some(mut signals) = start(&["sigsnoop"]) else { return };
    let mut victim = Command::new("sleep").arg("60").spawn().unwrap();
    let to = victim.id().to_string();
    // A process is there a moment before it has its name.
    while std::fs::read_to_string(format!("/proc/{to}/comm")).unwrap() != "sleep\n" {
        std::thread::yield_now();
    }
    let from = shell(&format!("kill -0 {to}; kill -USR1 {to}; kill -9 999999999"));
    victim.wait().unwrap();
    let row = calls.wait(|row| is(row, &[("pid", &from), ("tpid", &to), ("signo", "10")]));
    assert!(is(&row, &[("result", "0"), ("signal", "SIGUSR1"), ("comm", "bash")]), "{row:?}");
    calls.wait(|row| is(row, &[("pid", &from), ("tpid", &to), ("signo", "0"), ("result", "0")]));
    let row = calls.wait(|row| is(row, &[("pid", &from), ("signo", "9")]));
    assert!(is(&row, &[("tpid", "999999999"), ("result", "-3")]), "{row:?}");

    let row = signals.wait(|row| is(row, &[("tpid", &to), ("signo", "10")]));
    let expected = [("pid", from.as_str()), ("tcomm", "sleep"), ("from", "user"), ("result", "delivered")];
    assert!(is(&row, &expected), "{row:?}");
    // The kernel tells its parent about the end of a process.
    let own = std::process::id().to_string();
    let row = signals.wait(|row| is(row, &[("pid", &to), ("tpid", &own), ("signo", "17")]));
    assert_eq!(row["from"], "kernel", "{row:?}");
    let failed = calls.stop();
    assert!(!failed.iter().any(|row| row["signo"] == "17"), "{failed:?}");
    signals.stop();
}
