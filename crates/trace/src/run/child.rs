//! The command of `-c`: started at once so that its number is known, stopped until everything is attached.

use std::path::Path;
use std::process::{Child as Process, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long the shell may take to stop itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that waits for its start. Dropping it ends it.
#[derive(Debug)]
pub struct Child {
    process: Option<Process>,
    command: String,
}

impl Child {
    /// Prepares a simple command: words as the shell reads them, without redirections. The process has the number that the
    /// command will have.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub fn prepare(command: &str) -> Result<Self, String> {
        let first = command.split_ascii_whitespace().next().unwrap_or_default();
        // Words with quotes and variables are left to the shell.
        let plain = first.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.+@/".contains(&byte));
        if first.contains('/') {
            if plain && !Path::new(first).is_file() {
                return Err(format!("cannot start `{command}`: there is no program `{first}`"));
            }
        } else if first.is_empty() || (plain && skep_sym::find_program(first).is_err()) {
            return Err(format!("cannot start `{command}`: there is no program `{first}` in PATH"));
        }
        // The shell stops itself and becomes the command when it goes on.
        let text = format!("kill -STOP $$; exec {command}");
        let process = Command::new("/bin/sh").args(["-c", &text]).spawn();
        let process = process.map_err(|error| format!("cannot start `{command}` with /bin/sh: {}", error.kind()))?;
        let child = Self { process: Some(process), command: command.to_owned() };
        child.wait_until_stopped()?;
        Ok(child)
    }

    fn wait_until_stopped(&self) -> Result<(), String> {
        let start = Instant::now();
        let path = format!("/proc/{}/stat", self.id());
        while start.elapsed() < PATIENCE {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            // The state follows the name, which is in parentheses and may hold some itself (proc_pid_stat(5)).
            match text.rsplit_once(") ").map(|(_, rest)| rest.as_bytes().first()) {
                Some(Some(b'T')) => return Ok(()),
                None | Some(Some(b'Z') | None) => {
                    return Err(format!("`{}` is no command that /bin/sh understands", self.command));
                }
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        Err(format!("`{}` does not start: /bin/sh did not stop itself within {PATIENCE:?}", self.command))
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    /// Lets it run.
    ///
    /// # Errors
    /// If it has been killed meanwhile.
    pub(super) fn go_on(&self) -> Result<(), String> {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        let sent = pid.map(|pid| kill_process(pid, Signal::CONT));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(format!("`{}` has ended before it was started", self.command)),
        }
    }

    /// Ends it if it still runs.
    pub(super) fn end(self) {}
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It was started by us and belongs to the run.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
