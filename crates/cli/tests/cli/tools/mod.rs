//! The tools on this machine's kernel: something is made to happen, and the row about it has to appear with the right
//! values, while rows about other things do not.

mod common;
mod doctor;
mod files;
mod grammar;
mod memory;
mod network;
mod processes;
mod processors;
mod unrelated;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::support::{SKEP, skip};

/// How long a row may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long rows about others may come before it.
const OTHERS: Duration = Duration::from_secs(120);
/// Mounts the tracing file system in a mount namespace of its own.
const MOUNT: &str = "mount -t tracefs tracefs /sys/kernel/tracing || exit 99; exec \"$@\"";

/// The cells of a row by the names of the fields.
type Row = HashMap<String, String>;

/// A tool at work.
struct Tool {
    child: Child,
    head: Vec<String>,
    lines: Receiver<String>,
    /// Rows that have come.
    rows: Vec<Row>,
}

/// A command that runs a tool where the tracing file system is mounted.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", MOUNT, "sh", SKEP]).args(args);
    command.env("TZ", "UTC").env_remove("SKEP_TOOLS_PATH").env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

/// Whether programs can be loaded here; says why if they cannot.
fn able() -> bool {
    let able = skep_kernel::has_capability(skep_kernel::Capability::SysAdmin);
    if !able {
        skip("loading programs needs CAP_SYS_ADMIN");
    }
    able
}

/// Whether the kernel has this tracepoint; says so if it does not. Not a skip: older kernels do not have it.
fn traces(event: &str) -> bool {
    let types = std::fs::read("/sys/kernel/btf/vmlinux").unwrap_or_default();
    let name = format!("btf_trace_{event}\0");
    let found = types.windows(name.len()).any(|part| part == name.as_bytes());
    if !found {
        println!("this kernel has no tracepoint {event}");
    }
    found
}

/// Starts a tool whose rows come as CSV, and waits until it is attached; `None` if that is not possible here.
#[track_caller]
fn start(args: &[&str]) -> Option<Tool> {
    if !able() {
        return None;
    }
    let mut command = command(args);
    let mut child = command.arg("--csv").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = lines(child.stdout.take().unwrap());
    match lines.recv_timeout(PATIENCE) {
        Ok(head) => {
            let head = head.split(',').map(str::to_owned).collect();
            Some(Tool { child, head, lines, rows: Vec::new() })
        }
        Err(_) => {
            let _ = child.kill();
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(99), "{args:?} did not start: {text}");
            skip(&format!("tracefs cannot be mounted: {text}"));
            None
        }
    }
}

fn lines(out: ChildStdout) -> Receiver<String> {
    let (to, from) = channel();
    std::thread::spawn(move || {
        let mut whole = String::new();
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            // Command lines of others may have line ends in them.
            whole.push_str(&line);
            if whole.matches('"').count() % 2 == 1 {
                whole.push('\n');
            } else if to.send(std::mem::take(&mut whole)).is_err() {
                break;
            }
        }
    });
    from
}

impl Tool {
    fn row(&self, line: &str) -> Row {
        let cells = cells(line);
        assert_eq!(cells.len(), self.head.len(), "{line}");
        self.head.iter().cloned().zip(cells).collect()
    }

    /// Waits for a row that fits.
    #[track_caller]
    fn wait(&mut self, wanted: impl Fn(&Row) -> bool) -> Row {
        if let Some(row) = self.rows.iter().find(|row| wanted(row)) {
            return row.clone();
        }
        let begin = Instant::now();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if begin.elapsed() < OTHERS => {
                    let row = self.row(&line);
                    self.rows.push(row.clone());
                    if wanted(&row) {
                        return row;
                    }
                }
                Ok(_) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let _ = self.child.kill();
                    let last = &self.rows[self.rows.len().saturating_sub(20)..];
                    panic!("no such row; the last of {} are {last:#?}", self.rows.len());
                }
            }
        }
    }

    /// Ends the tool as ctrl-C does; gives all rows.
    #[track_caller]
    fn stop(mut self) -> Vec<Row> {
        let kill = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        self.rest()
    }

    /// All rows, when the tool ends by itself.
    #[track_caller]
    fn rest(&mut self) -> Vec<Row> {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            let row = self.row(&line);
            self.rows.push(row);
        }
        let mut problem = String::new();
        let _ = std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut problem);
        let status = self.child.wait().unwrap();
        // Tests beside this one may do more than the buffer holds. The rows that a test needs are waited for.
        let (lost, others): (Vec<&str>, Vec<&str>) =
            problem.lines().filter(|line| !line.is_empty()).partition(|line| line.starts_with("Lost "));
        lost.iter().for_each(|line| println!("{line}"));
        assert!(status.success() && others.is_empty(), "{status:?} {problem}");
        std::mem::take(&mut self.rows)
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // It was started by this test; one that has ended already is not there any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The cells of a line of CSV.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            char => cell.push(char),
        }
    }
    cells.push(cell);
    cells
}

/// The cell of a row, as a number.
#[track_caller]
fn number(row: &Row, field: &str) -> i64 {
    row[field].parse().unwrap_or_else(|_| panic!("{field}: {row:?}"))
}

/// Whether cells have these values.
fn is(row: &Row, cells: &[(&str, &str)]) -> bool {
    cells.iter().all(|(field, value)| row.get(*field).is_some_and(|cell| cell == value))
}

/// Runs a command of the shell to its end; gives its process number.
#[track_caller]
fn shell(text: &str) -> String {
    let mut child = Command::new("bash").args(["-c", text]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.wait().unwrap();
    child.id().to_string()
}

/// Runs a tool to its end with JSON as its output; `None` if that is not possible here.
#[track_caller]
fn json(args: &[&str]) -> Option<Vec<serde_json::Value>> {
    if !able() {
        return None;
    }
    let output = command(args).arg("--json").output().unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(99) {
        skip(&format!("tracefs cannot be mounted: {problem}"));
        return None;
    }
    assert!(output.status.success() && problem.is_empty(), "{args:?}: {problem}");
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect())
}
