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

/// A packet filter: what the length field of UDP packets to port 53 says.
const FILTER: &str = "struct xdp_md { u32 data; u32 data_end; };
struct udp { u16 source; u16 destination; u16 length; u16 sum; };
SEC(\"xdp\") int filter(struct xdp_md *x)
{
    u8 *start = (void *)(u64)x->data, *end = (void *)(u64)x->data_end;
    struct udp *udp = (void *)(start + 34);
    if ((void *)(udp + 1) > (void *)end)
        return 2;
    if (udp->destination != __builtin_bswap16(53))
        return 2;
    return __builtin_bswap16(udp->length) > 19;
}
char licence[] SEC(\"license\") = \"GPL\";
";

/// The filter as clang makes it, and a recording of one packet to port 53 of length 20; `None` without clang.
fn filter() -> Option<(tempfile::TempDir, String, String)> {
    let bytes = match skep_testkit::clang::compile_text(FILTER, &[]) {
        Ok(bytes) => bytes,
        Err(why) => {
            println!("SKIPPED: {why}");
            assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
            return None;
        }
    };
    let mut packet = vec![0; 54];
    packet[12..14].copy_from_slice(&[8, 0]);
    packet[14] = 0x45;
    packet[23] = 17;
    packet[34..42].copy_from_slice(&[0x30, 0x39, 0, 53, 0, 20, 0, 0]);
    // The head of a recording of Ethernet, then the head of the packet with its length twice.
    let words = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1, 0, 0, 54, 54];
    let mut recording: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    recording.extend(packet);
    let directory = tempfile::tempdir().unwrap();
    let (object, packets) = (directory.path().join("filter.o"), directory.path().join("dns.pcap"));
    std::fs::write(&object, bytes).unwrap();
    std::fs::write(&packets, recording).unwrap();
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let paths = (text(&object), text(&packets));
    Some((directory, paths.0, paths.1))
}

/// The line of the filter that contains a text; the header is line 1.
fn line(text: &str) -> usize {
    FILTER.lines().position(|line| line.contains(text)).unwrap() + 2
}

#[test]
fn a_packet_filter_in_a_terminal() {
    let Some((_directory, object, packets)) = filter() else { return };
    let command = format!("{SKEP} debug --plain {object} --packet {packets}");
    let (check, result) = (line("if (udp->destination"), line("return __builtin"));
    let keys = format!(
        "break {check}\nbreak {result}\nc\nprint be16[packet + 36]\nregisters\nwatch r0\nc\nprint be16[packet + 38]\n\
         c\nprint r0\nrc\nprint be16[packet + 38]\nrc\nprint be16[packet + 34]\nquit\n"
    );
    let seen = in_terminal(&command, keys.as_bytes()).out.replace('\r', "");
    // Forwards: port, length, result; back: length, and the port that it comes from.
    let mut from = 0;
    for expected in
        ["53 (0x35)", "(42 bytes known)", "20 (0x14)", "the result will be 1", "20 (0x14)", "12345 (0x3039)"]
    {
        let found = seen[from..].find(expected);
        from += found.unwrap_or_else(|| panic!("{expected} behind {from} in:\n{seen}")) + expected.len();
    }
}

#[test]
fn a_packet_filter_in_an_editor() {
    let Some((_directory, object, packets)) = filter() else { return };
    let check = line("if (udp->destination");
    let breakpoint = format!(r#"{{"source":{{"path":"filter.c"}},"breakpoints":[{{"line":{check}}}]}}"#);
    let asked = [
        ("initialize", "{}"),
        ("launch", "{}"),
        ("setBreakpoints", &breakpoint),
        ("configurationDone", "{}"),
        ("continue", r#"{"threadId":1}"#),
        ("evaluate", r#"{"expression":"be16[packet + 36]"}"#),
        ("next", r#"{"threadId":1}"#),
        ("stackTrace", r#"{"threadId":1}"#),
        ("stepBack", r#"{"threadId":1}"#),
        ("stackTrace", r#"{"threadId":1}"#),
        ("evaluate", r#"{"expression":"be16[packet + 38]"}"#),
        ("variables", r#"{"variablesReference":2}"#),
        ("disconnect", "{}"),
    ];
    let request = |(number, (command, arguments)): (usize, &(&str, &str))| {
        framed(&format!(r#"{{"seq":{number},"type":"request","command":"{command}","arguments":{arguments}}}"#))
    };
    let input: String = (1..).zip(&asked).map(request).collect();
    let run = skep_with(["debug", "--dap", &object, "--packet", &packets], input.as_bytes()).ok();
    let answers = messages(&run.out);
    let response = |number: u32| answers.iter().find(|answer| answer["request_seq"] == number).unwrap();
    let at = |number: u32| &response(number)["body"]["stackFrames"][0]["line"];
    assert_eq!(response(6)["body"]["result"], "53 (0x35)");
    assert_eq!((at(8) == at(10), at(10) == check), (false, true), "{answers:?}");
    assert_eq!(response(11)["body"]["result"], "20 (0x14)");
    // Values with what the verifier knows of them on all paths.
    assert!(response(12).to_string().contains("42 bytes known"), "{:?}", response(12));
}

/// The messages of an answer.
fn messages(text: &str) -> Vec<Value> {
    let mut answers = Vec::new();
    let mut rest = text;
    while let Some((head, body)) = rest.split_once("\r\n\r\n") {
        let length: usize = head.strip_prefix("Content-Length: ").unwrap().parse().unwrap();
        answers.push(serde_json::from_str(&body[..length]).unwrap());
        rest = &body[length..];
    }
    assert!(rest.is_empty(), "{rest}");
    answers
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
    let answers = messages(&run.out);
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
