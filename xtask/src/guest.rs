//! The first process of the machine that `cargo xtask vm` boots: the same program, started by the kernel as `/init`.
//!
//! It mounts the file systems that BPF needs, loads modules, runs the commands of the plan one after the other, says how
//! they ended and turns the machine off. Everything that they print goes through a pipe to the first serial line.

use std::ffi::{CStr, CString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, PipeWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, WaitStatus, wait};
use rustix::system::{RebootCommand, init_module, reboot};
use rustix::termios::{OptionalActions, tcdrain, tcgetattr, tcsetattr};

use crate::vm::plan::{self, Plan, Step};

/// File systems: type, place, options.
// TABLE: in the order of mounting.
const MOUNTS: &[(&str, &str, &CStr)] = &[
    ("devtmpfs", "/dev", c""),
    ("proc", "/proc", c""),
    ("sysfs", "/sys", c""),
    ("tmpfs", "/run", c"mode=755"),
    ("devpts", "/dev/pts", c""),
    ("tmpfs", "/dev/shm", c"mode=1777"),
    ("bpf", "/sys/fs/bpf", c"mode=700"),
    ("cgroup2", "/sys/fs/cgroup", c""),
    ("debugfs", "/sys/kernel/debug", c""),
    ("tracefs", "/sys/kernel/tracing", c""),
    ("securityfs", "/sys/kernel/security", c""),
];

/// What every command finds in its environment.
const ENVIRONMENT: &[(&str, &str)] =
    &[("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/tmp"), ("TMPDIR", "/tmp"), ("TERM", "dumb")];

/// How long output may take to arrive after the last command has ended, when something holds the pipe open.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// The status of a command that could not be started, as shells have it.
const NOT_FOUND: u8 = 127;

/// Whether this process is the first one of such a machine.
pub fn is_first_process() -> bool {
    std::process::id() == 1 && Path::new(plan::PATH).is_file()
}

/// Does everything and never returns: the machine is off afterwards.
pub fn run() -> ! {
    let result = prepare().and_then(|mut session| {
        let status = session.plan()?;
        session.close(status)
    });
    if let Err(error) = result {
        // Standard error is the log of the kernel, whose end the host shows when no status arrives.
        eprintln!("init: {error}");
    }
    let failed = reboot(RebootCommand::PowerOff);
    eprintln!("init: cannot turn the machine off: {failed:?}");
    // The end of the first process makes the kernel panic, and panics end the machine.
    std::process::exit(1)
}

/// The way to the host, and where the commands write to.
struct Session {
    line: File,
    output: PipeWriter,
    arrived: Receiver<()>,
}

/// Mounts, and opens the way to the host.
fn prepare() -> Result<Session, String> {
    for (kind, place, options) in MOUNTS {
        // Not every kernel has all of them; tests that need one say so themselves.
        let _ = fs::create_dir_all(place);
        let flags = MountFlags::NOSUID | MountFlags::RELATIME;
        if let Err(error) = mount(*kind, *place, *kind, flags, *options) {
            eprintln!("init: cannot mount {kind} on {place}: {error}");
        }
    }
    // No file system of its own: what came along may lie below it.
    let everybody = fs::set_permissions("/tmp", fs::Permissions::from_mode(0o1777));
    everybody.map_err(|error| format!("cannot open /tmp for everybody: {error}"))?;
    let line = serial(plan::LINES[0])?;
    let (mut input, output) = io::pipe().map_err(|error| format!("cannot make a pipe: {error}"))?;
    let mut sink = line.try_clone().map_err(|error| format!("cannot share the serial line: {error}"))?;
    let (done, arrived) = channel();
    thread::spawn(move || {
        // The receiver goes only when the machine does.
        let _ = io::copy(&mut input, &mut sink);
        let _ = done.send(());
    });
    Ok(Session { line, output, arrived })
}

/// Opens a serial line that passes all bytes unchanged.
fn serial(name: &str) -> Result<File, String> {
    let path = format!("/dev/{name}");
    let file = OpenOptions::new().read(true).write(true).open(&path);
    let file = file.map_err(|error| format!("cannot open {path}: {error}"))?;
    let raw = tcgetattr(&file).and_then(|mut attributes| {
        attributes.make_raw();
        tcsetattr(&file, OptionalActions::Now, &attributes)
    });
    raw.map_err(|error| format!("cannot set up {path}: {error}"))?;
    Ok(file)
}

impl Session {
    /// Does what the plan says; the result is the first status that is not zero.
    fn plan(&mut self) -> Result<u8, String> {
        let text = fs::read_to_string(plan::PATH).map_err(|error| format!("cannot read {}: {error}", plan::PATH))?;
        let plan = Plan::from_json(&text)?;
        for (module, parameters) in &plan.modules {
            if let Err(error) = load(module, parameters) {
                self.say(&format!("init: module {module}: {error}"))?;
            }
        }
        let mut first = 0;
        let mut failed = Vec::new();
        // Without an address of its own the machine cannot talk to itself.
        let loopback = ["ip", "link", "set", "lo", "up"].map(str::to_owned).to_vec();
        self.step(&Step { title: String::new(), directory: "/".into(), words: loopback }, &plan.environment)?;
        for step in &plan.commands {
            let started = Instant::now();
            if !step.title.is_empty() {
                self.say(&format!("\n== {}", step.title))?;
            }
            let status = self.step(step, &plan.environment)?;
            if status != 0 {
                first = if first == 0 { status } else { first };
                failed.push(format!("{} (status {status}, {:.1} s)", step.title, started.elapsed().as_secs_f32()));
            }
        }
        if plan.commands.len() > 1 {
            let (all, separator) = (plan.commands.len(), if failed.is_empty() { "" } else { ": " });
            self.say(&format!("\n== {} of {all} failed{separator}{}", failed.len(), failed.join(", ")))?;
        }
        Ok(first)
    }

    /// Runs one command to its end. Orphans of commands are waited for as well: that is what a first process is for.
    fn step(&mut self, step: &Step, environment: &[(String, String)]) -> Result<u8, String> {
        let broken = |error: io::Error| format!("cannot share the pipe: {error}");
        let (program, arguments) = step.words.split_first().ok_or("the plan holds an empty command")?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&step.directory).process_group(0);
        command.env_clear().envs(ENVIRONMENT.iter().copied());
        command.env("CARGO_MANIFEST_DIR", &step.directory);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command.stdout(self.output.try_clone().map_err(broken)?);
        command.stderr(self.output.try_clone().map_err(broken)?);
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                self.say(&format!("init: cannot run {program}: {error}"))?;
                return Ok(NOT_FOUND);
            }
        };
        loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((process, status))) if process.as_raw_nonzero().get().unsigned_abs() == child.id() => {
                    return Ok(number(status));
                }
                Ok(_) => {}
                Err(error) => return Err(format!("cannot wait for {program}: {error}")),
            }
        }
    }

    /// Prints a line between the output of commands.
    fn say(&mut self, text: &str) -> Result<(), String> {
        writeln!(self.output, "{text}").map_err(|error| format!("cannot print: {error}"))
    }

    /// Waits until all output is with the host, then tells it the status.
    fn close(self, status: u8) -> Result<(), String> {
        drop(self.output);
        // An error means that something still holds the pipe: what it has to say later is of no interest.
        let _ = self.arrived.recv_timeout(LAST_OUTPUT);
        let mut line = serial(plan::LINES[2])?;
        let told = writeln!(line, "{}{status}", plan::ENDED);
        told.map_err(|error| format!("cannot tell the status {status}: {error}"))?;
        let drained = tcdrain(&self.line).and_then(|()| tcdrain(&line));
        drained.map_err(|error| format!("cannot empty the serial lines: {error}"))
    }
}

/// The status as shells have it: 128 and the signal for a process that was killed.
fn number(status: WaitStatus) -> u8 {
    let number = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(number).unwrap_or(1)
}

fn load(module: &str, parameters: &str) -> io::Result<()> {
    let contents = fs::read(Path::new(plan::MODULES).join(module))?;
    Ok(init_module(&contents, &CString::new(parameters)?)?)
}
