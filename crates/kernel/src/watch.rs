//! Waiting for what a tracing process waits for: descriptors with data, signals, the end of a process.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::errors::KernelError;
use crate::sys::signals::{Signals, process_end};
use crate::sys::wait::Epoll;

const ACTION: &str = "wait for events";

/// Something to wait for. Signals that were named are blocked in the calling thread as long as this value lives.
#[derive(Debug)]
pub struct Watch {
    epoll: Epoll,
    signals: Signals,
    processes: Vec<OwnedFd>,
}

impl Watch {
    /// Waits for these signals. Processes that are started later do not inherit that they are blocked, if
    /// `std::process::Command` starts them.
    ///
    /// # Errors
    /// [`KernelError::System`] if there are too many open files.
    pub fn new(signals: &[i32]) -> Result<Self, KernelError> {
        let system = |errno| KernelError::system(ACTION, errno);
        let signals = Signals::block(signals).map_err(system)?;
        let epoll = Epoll::new().map_err(system)?;
        epoll.add(signals.as_fd(), 0).map_err(system)?;
        Ok(Self { epoll, signals, processes: Vec::new() })
    }

    /// Waits also for data of this descriptor, which has to stay open as long as this value lives.
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn add(&self, fd: BorrowedFd<'_>) -> Result<(), KernelError> {
        self.epoll.add(fd, 0).map_err(|errno| KernelError::system(ACTION, errno))
    }

    /// Waits also for the end of a process (Linux 5.3).
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if there is no such process, [`KernelError::System`].
    pub fn add_process(&mut self, process: u32) -> Result<(), KernelError> {
        let ending = process_end(process).map_err(|errno| match errno {
            libc::ESRCH => KernelError::Invalid { action: ACTION, problem: format!("there is no process {process}") },
            errno => KernelError::system(ACTION, errno),
        })?;
        self.add(ending.as_fd())?;
        self.processes.push(ending);
        Ok(())
    }

    /// The next signal that has come, `None` if there is none.
    pub fn signal(&self) -> Option<i32> {
        self.signals.next()
    }

    /// Whether one of the processes has ended.
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn process_ended(&self) -> Result<bool, KernelError> {
        let system = |errno| KernelError::system(ACTION, errno);
        let mut ended = false;
        if !self.processes.is_empty() {
            let only = Epoll::new().map_err(system)?;
            self.processes.iter().try_for_each(|process| only.add(process.as_fd(), 0)).map_err(system)?;
            only.wait(Some(Duration::ZERO), |_| ended = true).map_err(system)?;
        }
        Ok(ended)
    }

    /// Waits until something has happened, at most `timeout` (`None`: for ever).
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn wait(&self, timeout: Option<Duration>) -> Result<(), KernelError> {
        self.epoll.wait(timeout, |_| {}).map_err(|errno| KernelError::system(ACTION, errno))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn ends_of_processes_and_signals() {
        let mut watch = Watch::new(&[libc::SIGUSR2]).unwrap();
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        watch.add_process(child.id()).unwrap();
        assert!(!watch.process_ended().unwrap());
        assert_eq!(watch.signal(), None);
        drop(child.stdin.take());
        watch.wait(None).unwrap();
        assert!(watch.process_ended().unwrap());
        child.wait().unwrap();
        assert!(Watch::new(&[]).unwrap().add_process(child.id()).is_err());
    }
}
