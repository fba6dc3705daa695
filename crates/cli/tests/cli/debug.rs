//! `skep debug`: a session in a terminal, by a script on standard input, and an editor's.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Run, SKEP, skep, skep_with};

/// Adds the first two bytes of memory.
const SUM: &str = "r6 = *(u8 *)(r1 +0)\nr7 = *(u8 *)(r1 +1)\nr6 += r7\n*(u64 *)(r10 -8) = r6\nr0 = r6\nexit\n";

fn program() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sum.s");
    std::fs::write(&path, SUM).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn a_script_goes_forwards_and_back() {
    let (_directory, path) = program();
    let run = skep_with(
        ["debug", &path, "--mem", "05 07"],
        b"si 3\nregisters\nprint r6 + 1\nsi\nprint u64[r10 - 8]\nbackn\nprint u64[r10 - 8]\nc\nbogus\nq\nprint 77\n",
    )
    .ok();
    assert!(run.out.starts_with("step 1 of 6, sum\n     0: r6 = *(u8 *)(r1 +0)\n"), "{}", run.out);
    assert!(run.out.contains("*r6  0x000000000000000c"), "{}", run.out);
    assert!(
        run.out.contains("\n13 (0xd)\n") && run.out.contains("\n12 (0xc)\n") && run.out.contains("\n0 (0x0)\n"),
        "{}",
        run.out
    );
    assert!(run.out.contains("the end: the result will be 12 (0xc)"), "{}", run.out);
    assert!(run.out.contains("there is no command `bogus`") && !run.out.contains("77"), "{}", run.out);
}

#[test]
fn a_terminal_has_a_prompt() {
    let (_directory, path) = program();
    let command = format!("{SKEP} debug --plain {path} --mem '05 07'");
    let run = in_terminal(&command, b"stepi 3\nprint r6\nbacki\nprint r6\nquit\n");
    let seen = run.out.replace('\r', "");
    assert!(seen.contains("(skep) "), "{seen}");
    let (forward, back) = (seen.find("12 (0xc)\n"), seen.find("5 (0x5)\n"));
    assert!(forward.is_some() && forward < back, "{seen}");
}

#[test]
fn the_whole_screen() {
    let (_directory, path) = program();
    let command = format!("stty rows 40 cols 120; {SKEP} debug {path} --mem '05 07'");
    let run = in_terminal(&command, b"iii:print r6\nI:print r6\nq");
    for part in ["registers", "r6 = *(u8 *)(r1 +0)", "12 (0xc)", "5 (0x5)"] {
        assert!(run.out.contains(part), "{part}: {:?}", run.out);
    }
}

/// Runs a command of a shell in a terminal of its own, with keys that are pressed.
fn in_terminal(command: &str, keys: &[u8]) -> Run {
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", command, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("script of bsdutils");
    // What is typed stays in the terminal until it is read.
    std::io::Write::write_all(&mut terminal.stdin.take().unwrap(), keys).unwrap();
    Run::of(terminal.wait_with_output().unwrap()).ok()
}

/// A message with its length in front.
fn framed(text: &str) -> String {
    format!("Content-Length: {}\r\n\r\n{text}", text.len())
}

#[test]
fn an_editor_attaches() {
    let (_directory, path) = program();
    let requests = [
        r#"{"seq":1,"type":"request","command":"initialize","arguments":{}}"#,
        r#"{"seq":2,"type":"request","command":"launch","arguments":{}}"#,
        r#"{"seq":3,"type":"request","command":"setInstructionBreakpoints","arguments":{"breakpoints":[{"instructionReference":"4"}]}}"#,
        r#"{"seq":4,"type":"request","command":"configurationDone"}"#,
        r#"{"seq":5,"type":"request","command":"continue","arguments":{"threadId":1}}"#,
        r#"{"seq":6,"type":"request","command":"evaluate","arguments":{"expression":"u64[r10 - 8]"}}"#,
        r#"{"seq":7,"type":"request","command":"stepBack","arguments":{"threadId":1,"granularity":"instruction"}}"#,
        r#"{"seq":8,"type":"request","command":"evaluate","arguments":{"expression":"u64[r10 - 8]"}}"#,
        r#"{"seq":9,"type":"request","command":"disconnect"}"#,
    ];
    let input: String = requests.iter().map(|text| framed(text)).collect();
    let run = skep_with(["debug", "--dap", &path, "--mem", "05 07"], input.as_bytes()).ok();
    let mut answers: Vec<Value> = Vec::new();
    let mut rest = run.out.as_str();
    while let Some((head, body)) = rest.split_once("\r\n\r\n") {
        let length: usize = head.strip_prefix("Content-Length: ").unwrap().parse().unwrap();
        answers.push(serde_json::from_str(&body[..length]).unwrap());
        rest = &body[length..];
    }
    assert!(rest.is_empty(), "{rest}");
    let response = |number: u32| answers.iter().find(|answer| answer["request_seq"] == number).unwrap();
    assert_eq!(response(1)["body"]["supportsStepBack"], true);
    assert_eq!(response(3)["body"]["breakpoints"][0]["verified"], true);
    assert_eq!(response(6)["body"]["result"], "12 (0xc)");
    assert_eq!(response(8)["body"]["result"], "0 (0x0)");
    let stops = answers.iter().filter(|answer| answer["event"] == "stopped");
    let reasons: Vec<&Value> = stops.map(|stop| &stop["body"]["reason"]).collect();
    assert_eq!(reasons, ["entry", "breakpoint", "step"]);
    assert_eq!(answers.last().unwrap()["event"], "terminated");
}

#[test]
fn what_cannot_be_debugged() {
    let (_directory, path) = program();
    let run = skep(["debug", &path, "--packet", "/nonexistent"]);
    assert_eq!((run.status, run.err.contains("cannot read /nonexistent")), (Some(1), true), "{run:?}");
    let run = skep_with(["debug", "--dap", &path], b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!((run.status, run.err.contains("Content-Length")), (Some(1), true), "{run:?}");
}
