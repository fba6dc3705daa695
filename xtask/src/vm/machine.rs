//! The emulator: its command line, its time limit, and how its end is read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::vm::{host, plan};

/// The kernel's command line, after the serial lines: a panic ends the machine, BPF programs may be security modules.
const COMMAND_LINE: &str = "panic=-1 oops=panic lsm=landlock,yama,bpf rdinit=/init";

/// How often the emulator is asked whether it has ended.
const POLL: Duration = Duration::from_millis(20);

/// Lines of the kernel's log that are shown when something went wrong.
const LOG_LINES: usize = 30;

/// How the kernel begins to say why it ends.
const PANICS: &[&str] = &["Kernel panic", "BUG: ", "Oops: "];

/// A machine that is ready to start.
#[derive(Debug)]
pub struct Machine<'a> {
    /// The kernel image.
    pub kernel: &'a Path,
    /// The initial file system.
    pub initial: &'a Path,
    /// Where the log of the kernel goes.
    pub log: PathBuf,
    /// Where the line about the end goes.
    pub ended: PathBuf,
    /// Where what the tests print goes; to standard output if there is no file.
    pub output: Option<&'a Path>,
    /// Megabytes of memory.
    pub memory: u32,
    /// Whether something is done about attacks by speculation. An emulator cannot suffer them, and it costs time.
    pub mitigations: bool,
    /// Time after which it is ended.
    pub time_limit: Duration,
}

impl Machine<'_> {
    /// Boots, passes on what the tests print, and gives the status of the commands in the machine.
    ///
    /// # Errors
    /// A message if the emulator cannot be run, the time is over, or the kernel ended without a status.
    pub fn run(&self) -> Result<u8, String> {
        for file in [Some(self.log.as_path()), Some(&self.ended), self.output].into_iter().flatten() {
            fs::write(file, "").map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
        let mut command = self.command();
        let mut child = command.spawn().map_err(|error| host::cannot_run(&command, &error))?;
        let end = Instant::now() + self.time_limit;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < end => sleep(POLL),
                Ok(None) => {
                    // Ended in between or not: waiting tells, and afterwards nothing is left.
                    let _ = child.kill();
                    let _ = child.wait();
                    let seconds = self.time_limit.as_secs();
                    let remedy = "give it more with `--time-limit SECONDS` if the tests are merely slow";
                    return Err(format!(
                        "not finished after {seconds} s, the emulator was ended; {remedy}\n{}",
                        self.last_lines()
                    ));
                }
                Err(error) => return Err(format!("cannot wait for the emulator: {error}")),
            }
        };
        if !status.success() {
            return Err(format!("the emulator failed ({status})"));
        }
        let ended = fs::read_to_string(&self.ended).unwrap_or_default();
        let number = ended.lines().find_map(|line| line.strip_prefix(plan::ENDED)?.trim().parse().ok());
        let stopped = "the machine stopped before the tests ended; if it ran out of memory, use `--memory MEGABYTES`";
        number.ok_or_else(|| format!("{stopped}\n{}", self.last_lines()))
    }

    /// The emulator, which ends when this process does.
    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-x86_64", "-nodefaults", "-no-user-config"]);
        // One thread for both processors: with two, a processor can go on in code that the kernel has already patched back
        // (static calls, jump labels), and the kernel dies of a breakpoint that is no longer there.
        command.args(["-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2"]);
        command.args(["-m", &self.memory.to_string(), "-display", "none", "-no-reboot"]);
        command.arg("-kernel").arg(self.kernel).arg("-initrd").arg(self.initial);
        let console = plan::LINES[1];
        let mitigations = if self.mitigations { "auto" } else { "off" };
        command.args(["-append", &format!("console={console} mitigations={mitigations} {COMMAND_LINE}")]);
        match self.output {
            Some(file) => command.arg("-serial").arg(format!("file:{}", file.display())),
            None => command.args(["-serial", "stdio"]),
        };
        for file in [&self.log, &self.ended] {
            command.arg("-serial").arg(format!("file:{}", file.display()));
        }
        command.stdin(Stdio::null());
        command
    }

    /// The end of the kernel's log, and the line about a panic if that has scrolled away.
    fn last_lines(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let (before, last) = lines.split_at(lines.len().saturating_sub(LOG_LINES));
        let panic = before.iter().find(|line| PANICS.iter().any(|word| line.contains(word)));
        let shown: Vec<&str> = panic.into_iter().chain(last).copied().collect();
        format!("the kernel said last (all of it in {}):\n  {}", self.log.display(), shown.join("\n  "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_panic_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut lines = vec!["first", "Kernel panic - not syncing: why"];
        lines.extend(["registers"; 2 * LOG_LINES]);
        fs::write(&log, lines.join("\r\n")).unwrap();
        let (ended, nowhere) = (directory.path().join("ended"), Path::new("/nowhere"));
        let time_limit = Duration::from_secs(1);
        let machine = Machine {
            kernel: nowhere,
            initial: nowhere,
            log,
            ended,
            output: None,
            memory: 1,
            mitigations: false,
            time_limit,
        };
        let text = machine.last_lines();
        assert!(text.contains("\n  Kernel panic - not syncing: why\n  registers\n"), "{text}");
        assert_eq!(text.matches("registers").count(), LOG_LINES);
    }
}
