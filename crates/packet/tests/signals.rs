//! Signals that are noted instead of obeyed, in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use skep_packet::ring::{Signal, Signals};

/// Set in the process that catches signals: what it does.
const CHILD: &str = "SKEP_TEST_SIGNALS";

/// A process that is ended with the test, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// The signal that ended it, if one did within some seconds.
    fn ended_by(&mut self) -> Option<libc::c_int> {
        for _ in 0..1000 {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.signal();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

fn start(mode: &str) -> (Process, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, mode)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let process = Process(child);
    expect(&mut output, "ready");
    (process, output)
}

/// Reads lines up to the one that ends with this word.
#[track_caller]
fn expect(output: &mut impl BufRead, word: &str) {
    let mut line = String::new();
    while !line.trim_end().ends_with(word) {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the process ended without saying `{word}`");
    }
}

fn send(process: &Process, signal: libc::c_int) {
    // SAFETY: no pointers are involved; the process was started by this test and has not been waited for.
    assert_eq!(unsafe { libc::kill(process.0.id().cast_signed(), signal) }, 0);
}

/// Not a test of its own: the process that the others talk to.
#[test]
fn child() {
    let Ok(mode) = std::env::var(CHILD) else { return };
    let signals = Signals::catch(&[Signal::Interrupt, Signal::User1]).unwrap();
    println!("ready");
    loop {
        std::thread::sleep(Duration::from_millis(5));
        if mode == "listens" && signals.take(Signal::Interrupt) {
            println!("interrupted");
        }
        if signals.take(Signal::User1) {
            println!("statistics");
        }
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn who_listens_lives_on() {
    let (mut process, mut output) = start("listens");
    for _ in 0..5 {
        send(&process, libc::SIGINT);
        expect(&mut output, "interrupted");
        send(&process, libc::SIGUSR1);
        expect(&mut output, "statistics");
    }
    send(&process, libc::SIGTERM);
    assert_eq!(process.ended_by(), Some(libc::SIGTERM), "signals that were not named keep their effect");
}

#[test]
fn who_does_not_listen_ends_at_the_third_interrupt() {
    let (mut process, mut output) = start("deaf");
    for _ in 0..2 {
        send(&process, libc::SIGINT);
        // The answer to the second signal shows that the first one has arrived.
        send(&process, libc::SIGUSR1);
        expect(&mut output, "statistics");
    }
    assert!(process.0.try_wait().unwrap().is_none());
    send(&process, libc::SIGINT);
    assert_eq!(process.ended_by(), Some(libc::SIGINT));
}
