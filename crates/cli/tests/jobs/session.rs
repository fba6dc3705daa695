//! A script while it traces: started, known to be attached, ended by a signal.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long attaching may take: hundreds of probes in an emulator.
const ATTACHING: Duration = Duration::from_secs(120);

/// A running script.
pub struct Session {
    child: Child,
    errors: Receiver<String>,
    said: Vec<String>,
    output: std::thread::JoinHandle<String>,
}

/// What a script has printed.
#[derive(Debug)]
pub struct Printed {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Exit status.
    pub status: Option<i32>,
}

/// A script: of those that the tests of the language have, or of those that do a job in another way.
pub fn script(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let other = here.join("tests/jobs/scripts").join(name);
    if other.is_file() { other } else { here.join("../lang-script/tests/scripts").join(name) }
}

impl Session {
    /// Starts a script with arguments and waits until its probes are attached; gives what it said if it ended before.
    pub fn start(arguments: &[&str]) -> Result<Self, Printed> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
        command.args(["run", "-B", "line", "-v"]).args(arguments).env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdout = child.stdout.take().unwrap();
        let output = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stdout.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let (send, errors) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let mut session = Self { child, errors, said: Vec::new(), output };
        let end = Instant::now() + ATTACHING;
        loop {
            match session.errors.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let attached = line.starts_with("Attached ");
                    session.said.push(line);
                    if attached {
                        return Ok(session);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(session.wait()),
                Err(RecvTimeoutError::Timeout) => {
                    let _ = session.child.kill();
                    panic!("nothing is attached after {ATTACHING:?}: {:?}", session.wait());
                }
            }
        }
    }

    /// Ends the script as ctrl-C does.
    pub fn end(self) -> Printed {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the script has ended: {:?}", self.wait());
        self.wait()
    }

    fn wait(mut self) -> Printed {
        let status = self.child.wait().ok().and_then(|status| status.code());
        let out = self.output.join().unwrap_or_default();
        self.said.extend(self.errors.iter());
        Printed { out, err: self.said.join("\n"), status }
    }
}

impl Printed {
    /// Whether a line fits a pattern, in which `*` stands for any letters.
    pub fn has(&self, pattern: &str) -> bool {
        self.out.lines().any(|line| fits(pattern, line))
    }
}

/// Whether a text fits a pattern with `*`.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len()).filter(|&at| tail.is_char_boundary(at)).any(|at| fits(rest, &tail[at..]))
        }),
    }
}
