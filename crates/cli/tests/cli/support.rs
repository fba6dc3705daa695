//! Running the binary, and recordings to run it on.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use skep_packet::LinkType;
use skep_testkit::{Recording, TestPacket, packets};

/// The binary under test.
pub const SKEP: &str = env!("CARGO_BIN_EXE_skep");

/// What a run left behind.
#[derive(Debug)]
pub struct Run {
    /// Standard output, as text.
    pub out: String,
    /// Standard output.
    pub bytes: Vec<u8>,
    /// Standard error.
    pub err: String,
    /// Exit status.
    pub status: Option<i32>,
}

impl Run {
    /// What a process left behind.
    pub fn of(output: Output) -> Self {
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            bytes: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            status: output.status.code(),
        }
    }

    /// The run, if it succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, Some(0), "{self:?}");
        self
    }

    /// The lines of standard output.
    pub fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }
}

/// A command for `skep` in a fixed time zone.
pub fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(SKEP);
    command.args(args).env("TZ", "UTC").env_remove("RUST_BACKTRACE");
    command
}

/// Runs `skep`.
#[track_caller]
pub fn skep<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    Run::of(command(args).stdin(Stdio::null()).output().unwrap())
}

/// Runs `skep` with bytes on standard input.
#[track_caller]
pub fn skep_with<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, input: &[u8]) -> Run {
    let mut child = command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // It may end before it has read everything.
        scope.spawn(move || stdin.write_all(input));
        Run::of(child.wait_with_output().unwrap())
    })
}

/// A recording of so many packets.
pub fn recording(link: LinkType, count: usize) -> (Recording, Vec<TestPacket>) {
    let list = packets(link, count, 7);
    (Recording::new(link, &list).unwrap(), list)
}

/// The path of a recording as an argument.
pub fn path(recording: &Recording) -> &str {
    recording.path().to_str().unwrap()
}

/// The number in an answer to `--count`.
#[track_caller]
pub fn count_in(run: &Run) -> u64 {
    run.out.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{run:?}"))
}

/// Runs tcpdump; `None`, with a remark, if it is not installed.
pub fn tcpdump(args: &[&str]) -> Option<Run> {
    match Command::new("tcpdump").args(args).env("TZ", "UTC").stdin(Stdio::null()).output() {
        Ok(output) => Some(Run::of(output)),
        Err(_) => {
            skip("tcpdump is not installed");
            None
        }
    }
}

/// Reports a test that cannot run on this machine; fails it when `SKEP_REQUIRE_KERNEL` is 1.
#[track_caller]
pub fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

/// Whether the kernel shows its types, from which our headers are made.
#[track_caller]
pub fn has_types() -> bool {
    let has = std::path::Path::new("/sys/kernel/btf/vmlinux").exists();
    if !has {
        skip("the kernel shows no types");
    }
    has
}
