//! What is said when something is wrong, and the exit status then.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::support::{SKEP, skep, skip};

#[test]
fn syntax_errors_have_a_caret_and_a_proposal() {
    let run = skep(["filter", "-y", "EN10MB", "-d", "tcp", "prot", "80"]);
    assert_eq!((run.status, run.out.as_str()), (Some(2), ""));
    let lines: Vec<&str> = run.err.lines().collect();
    assert!(lines.iter().any(|line| line.ends_with("| tcp prot 80")), "{}", run.err);
    assert!(lines.iter().any(|line| line.trim_end().ends_with("    ^^^^")), "{}", run.err);
    assert!(run.err.contains("did you mean `tcp port`?"), "{}", run.err);
}

#[test]
fn faulty_expressions_end_with_status_2() {
    for expression in ["ip6 host 10.0.0.1", "ip and ip6", "port nosuchservice", "host (", "vlan 4096", "tcp.port == 80"]
    {
        let run = skep(["filter", "-y", "EN10MB", "-d", expression]);
        assert_eq!(run.status, Some(2), "{expression}: {run:?}");
        assert!(run.err.starts_with("error: "), "{expression}: {}", run.err);
        assert!(!run.err.contains('\x1b'), "{expression}: {}", run.err);
    }
}

#[test]
fn faulty_expressions_are_told_before_privileges_are_asked_for() {
    let run = skep(["filter", "-i", "lo", "tcp prot 80"]);
    assert_eq!(run.status, Some(2), "{run:?}");
}

#[test]
fn missing_and_strange_files() {
    for (file, part) in
        [("/no/such/file", "no such file"), ("/etc/passwd", "is not a capture file"), ("/", "directory")]
    {
        let run = skep(["filter", "-r", file]);
        assert_eq!((run.status, run.err.lines().count()), (Some(1), 1), "{run:?}");
        assert!(run.err.starts_with("skep: ") && run.err.contains(part), "{}", run.err);
        assert!(!run.err.contains("os error"), "{}", run.err);
    }
}

#[test]
fn wrong_usage_ends_with_status_2() {
    for args in [
        &["filter", "-r", "x", "-i", "lo"][..],
        &["filter", "-w", "-", "-C", "1", "-r", "x"],
        &["filter", "--no-such-option"],
        &["filter", "-y", "nosuch", "-d", "ip"],
        &["dns", "-d", "a b"],
        &["nosuch"],
        &[],
    ] {
        let run = skep(args);
        assert_eq!((run.status, run.out.as_str()), (Some(2), ""), "{args:?}: {run:?}");
        assert!(!run.err.is_empty());
    }
}

#[test]
fn without_privileges_the_capability_is_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.path().join("skep");
    fs::copy(SKEP, &copy).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy);
    command.args(["filter", "-i", "lo", "udp port 53"]).stdin(Stdio::null());
    let output = match command.output() {
        Ok(output) if output.status.code() != Some(127) => output,
        _ => return skip("setpriv is not installed"),
    };
    let err = String::from_utf8_lossy(&output.stderr);
    if err.starts_with("setpriv:") {
        return skip("only root can become another user");
    }
    assert_eq!(output.status.code(), Some(1), "{err}");
    for part in ["CAP_NET_RAW", "sudo setcap", "-r FILE"] {
        assert!(err.contains(part), "{part}: {err}");
    }
}
