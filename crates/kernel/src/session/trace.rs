//! Messages of `bpf_printk`: a tracing instance of our own in which only that event is on.
//!
//! The shared `trace_pipe` has one reader and everything that anybody traces. An instance has its own buffer; it shows the
//! messages of all programs of the machine, because the kernel does not say which program wrote one.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::attach::Tracefs;
use crate::errors::KernelError;

const ACTION: &str = "read the messages of programs";
/// Pages read before others get their turn.
const READS: usize = 64;
/// What the names of our instances begin with; the number of the process follows.
const PREFIX: &str = "skep-";

/// The messages. Dropping it removes the instance.
#[derive(Debug)]
pub(super) struct TracePipe {
    // Closed before the instance goes: the kernel removes none that somebody reads.
    pipe: File,
    _instance: Instance,
    pending: Vec<u8>,
}

/// A directory that is removed with the value.
#[derive(Debug)]
struct Instance(PathBuf);

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

impl TracePipe {
    pub(super) fn open() -> Result<Self, KernelError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let instances = Tracefs::find()?.root().join("instances");
        remove_orphans(&instances);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = instances.join(format!("{PREFIX}{}-{number}", std::process::id()));
        fs::create_dir(&directory).map_err(failed)?;
        let instance = Instance(directory);
        fs::write(instance.0.join("events/bpf_trace/bpf_trace_printk/enable"), "1").map_err(failed)?;
        let pipe = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(instance.0.join("trace_pipe"));
        Ok(Self { pipe: pipe.map_err(failed)?, _instance: instance, pending: Vec::new() })
    }

    /// Hands complete lines to `each`, as many as there are or a few hundred pages.
    pub(super) fn lines(
        &mut self,
        each: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, KernelError> {
        let mut buffer = [0; 4096];
        for _ in 0..READS {
            let length = match self.pipe.read(&mut buffer) {
                Ok(0) => return Ok(ControlFlow::Continue(())),
                Ok(length) => length,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    return Ok(ControlFlow::Continue(()));
                }
                Err(error) => return Err(failed(error)),
            };
            self.pending.extend_from_slice(&buffer[..length]);
            while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line[..end]);
                if each(message(&line)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl AsFd for TracePipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// What a program wrote, without the columns that the kernel puts in front.
fn message(line: &str) -> &str {
    line.split_once(": bpf_trace_printk: ").map_or(line, |(_, message)| message)
}

/// Removes the instances of processes that were killed.
fn remove_orphans(instances: &Path) {
    for entry in fs::read_dir(instances).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            // It may be another's with a name like ours that is in use: then the kernel keeps it.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn failed(error: std::io::Error) -> KernelError {
    KernelError::system(ACTION, error.raw_os_error().unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_cut() {
        let line = "            cat-123     [001] ...21  5.1: bpf_trace_printk: pid: 7";
        assert_eq!(message(line), "pid: 7");
        assert_eq!(message("CPU:1 [LOST 3 EVENTS]"), "CPU:1 [LOST 3 EVENTS]");
    }
}
