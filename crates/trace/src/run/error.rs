//! Why scripts cannot run to their ends.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use skep_kernel::KernelError;

use crate::events::EventError;

/// Why a script could not run to its end.
#[derive(Debug)]
pub enum RunError {
    /// A probe cannot be attached.
    Attach {
        /// Its name.
        probe: Arc<str>,
        /// Its line in the script.
        line: u32,
        /// The reason.
        problem: String,
    },
    /// A map of the plan is not among those that were loaded.
    Missing(String),
    /// The kernel refused something else.
    Kernel(KernelError),
    /// Records could not be performed.
    Event(EventError),
    /// The command of `-c` could not be started.
    Child(String),
    /// A flame graph is asked for, and no map of the script has stack traces in its key.
    NoStacks,
    /// A flame graph could not be written.
    Flame {
        /// The file.
        path: PathBuf,
        /// The reason in words.
        problem: String,
    },
    /// A program cannot run in this process; what it needs.
    NeedsKernel(String),
    /// A program that runs in this process did something that it must not.
    Stopped {
        /// Its probe.
        probe: Arc<str>,
        /// The line of that in the script.
        line: u32,
        /// What it did.
        problem: String,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attach { probe, line, problem } => {
                write!(f, "cannot attach the probe `{probe}` (line {line}): {problem}")
            }
            Self::Missing(name) => write!(f, "the script has no {name}; plan and programs belong to different scripts"),
            Self::Kernel(error) => error.fmt(f),
            Self::Event(error) => error.fmt(f),
            Self::Child(problem) => f.write_str(problem),
            Self::NoStacks => f.write_str(
                "no map of the script has stack traces in its key, so there is nothing to draw; \
                 `profile:hz:99 { @[ustack, kstack] = count(); }` is one that has",
            ),
            Self::Flame { path, problem } => write!(f, "cannot write `{}`: {problem}", path.display()),
            Self::NeedsKernel(problem) => write!(f, "the script cannot run with `--vm`: {problem}"),
            Self::Stopped { probe, line, problem } => {
                write!(f, "the probe `{probe}` (line {line}) was stopped: {problem}")
            }
        }
    }
}

impl std::error::Error for RunError {}

impl From<KernelError> for RunError {
    fn from(error: KernelError) -> Self {
        Self::Kernel(error)
    }
}

impl From<EventError> for RunError {
    fn from(error: EventError) -> Self {
        Self::Event(error)
    }
}
