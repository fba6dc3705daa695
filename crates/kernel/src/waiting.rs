//! Commands that wait for their start: the process exists and has its number, but has not become the program yet.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};

/// A process that waits for its start. Dropping it ends it.
#[derive(Debug)]
pub struct Waiting {
    id: u32,
    go: PipeWriter,
    // Starting a command waits for the program to run, so it has a thread of its own. That thread is the parent for those
    // who want to know when their parent ends (PR_SET_PDEATHSIG): it stays for as long as this process.
    starting: Receiver<io::Result<Child>>,
}

impl Waiting {
    /// Makes the process. Its number is the one that the program will have; what it does first is to become the program.
    ///
    /// # Errors
    /// If there can be no more processes or descriptors. A program that does not exist is noticed by
    /// [`go_on`](Self::go_on).
    pub fn prepare(mut command: Command) -> io::Result<Self> {
        let (mut number, tell) = io::pipe()?;
        let (wait, go) = io::pipe()?;
        // The descriptor alone: the child has it too and must close it, or its own copy would keep it waiting.
        let other = go.as_raw_fd();
        let pipes = Pipes { tell, wait };
        // SAFETY: between fork and exec the closure makes only calls that are safe for signal handlers (signal-safety(7)):
        // getpid, write, close, read. It touches no memory but its own. The descriptors are open: the pipes belong to the
        // closure, and the child has a copy of the other one, which it uses for nothing else.
        unsafe {
            command.pre_exec(move || pipes.wait(other));
        }
        let (give, starting) = channel();
        std::thread::Builder::new().name("start".into()).spawn(move || {
            let started = command.spawn();
            let runs = started.is_ok();
            // With it go its ends of the pipes.
            drop(command);
            if give.send(started).is_ok() && runs {
                loop {
                    std::thread::park();
                }
            }
        })?;
        let mut bytes = [0; 4];
        if number.read_exact(&mut bytes).is_err() {
            // Nobody can write any more: making the process has failed.
            let failed = starting.recv().map_err(|_| io::Error::other("the thread that starts it has ended"))?;
            return Err(failed.err().unwrap_or_else(|| io::Error::other("it did not tell its number")));
        }
        Ok(Self { id: u32::from_ne_bytes(bytes), go, starting })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Lets it run.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn go_on(mut self) -> io::Result<Child> {
        // If the process has been killed meanwhile, waiting for it says so.
        let _ = self.go.write_all(&[1]);
        self.starting.recv().map_err(|_| io::Error::other("the thread that starts it has ended"))?
    }
}

/// What the child needs before it becomes the program.
struct Pipes {
    tell: PipeWriter,
    wait: PipeReader,
}

impl Pipes {
    fn wait(&self, other: RawFd) -> io::Result<()> {
        // SAFETY: no pointers are involved.
        let id = unsafe { libc::getpid() };
        (&self.tell).write_all(&id.to_ne_bytes())?;
        // SAFETY: the descriptor is a copy that the child got by fork, and nothing else in the child uses it.
        unsafe { libc::close(other) };
        let mut byte = [0];
        match (&self.wait).read(&mut byte)? {
            1 => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::ECANCELED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$"]).stdout(std::process::Stdio::piped());
        let waiting = Waiting::prepare(command).unwrap();
        let id = waiting.id();
        let name = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap();
        assert_ne!(name.trim(), "sh");
        let output = waiting.go_on().unwrap().wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), id.to_string());
    }

    #[test]
    fn it_may_be_given_up_or_not_exist() {
        let waiting = Waiting::prepare(Command::new("cat")).unwrap();
        let Waiting { go, starting, .. } = waiting;
        drop(go);
        assert_eq!(starting.recv().unwrap().unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        let waiting = Waiting::prepare(Command::new("/nonexistent")).unwrap();
        assert_eq!(waiting.go_on().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
