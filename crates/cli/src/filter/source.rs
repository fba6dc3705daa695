//! Opening recordings so that Ctrl-C ends a wait for input, and what is said at the end of reading.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use skep_packet::Reader;
use skep_packet::ring::{Signal, Signals};

use super::expression::plain;
use crate::failure::{Failure, say};

/// Whether the user has asked to end.
#[derive(Clone)]
pub struct Stop {
    signals: Signals,
    flag: Arc<AtomicBool>,
}

impl Stop {
    /// From these signals.
    pub fn new(signals: Signals) -> Self {
        Self { signals, flag: Arc::default() }
    }

    /// Whether any signal waits to be answered. One load: cheap enough for every packet.
    #[inline]
    pub fn is_asked(&self) -> bool {
        self.signals.any()
    }

    /// Whether to end. Cheap enough for every packet.
    #[inline]
    pub fn requested(&self) -> bool {
        self.signals.any() && self.take()
    }

    /// Whether an end was asked for before.
    pub fn happened(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Whether statistics were asked for.
    #[inline]
    pub fn statistics(&self) -> bool {
        self.signals.any() && self.signals.take(Signal::User1)
    }

    #[cold]
    fn take(&self) -> bool {
        let asked = end_requested(self.signals);
        // Nothing to write out early; taken so that it does not stay pending.
        let _ = self.signals.take(Signal::User2);
        if asked {
            self.flag.store(true, Ordering::Relaxed);
        }
        asked || self.happened()
    }
}

/// Whether a signal came that asks to end. Takes all of them, so that none is left to be noticed later.
pub fn end_requested(signals: Signals) -> bool {
    [Signal::Interrupt, Signal::Terminate, Signal::Hangup].map(|signal| signals.take(signal)).contains(&true)
}

/// A pipe or device whose reading ends when the user asks for it.
struct Interruptible {
    file: File,
    stop: Stop,
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stop.requested() || self.stop.happened() {
                return Ok(0);
            }
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// Opens a recording. With `stop`, waiting for a pipe ends on request.
pub fn open(path: &Path, stop: Option<&Stop>) -> Result<Reader, Failure> {
    let waiting = stop.and_then(|stop| Some((pipe(path)?, stop.clone())));
    let Some((file, stop)) = waiting else { return Reader::open(path).map_err(Failure::run) };
    let flag = stop.flag.clone();
    let file = file.map_err(|error| Failure::Run(format!("cannot open {}: {}", path.display(), plain(&error))))?;
    let opened = Reader::from_stream(Interruptible { file, stop: stop.clone() }, &path.display().to_string());
    match opened {
        Ok(mut reader) => {
            reader.stop_on(flag);
            Ok(reader)
        }
        // The user ended it before there was anything.
        Err(_) if stop.happened() => Err(Failure::Run("interrupted before the recording began".to_owned())),
        Err(error) => Err(Failure::run(error)),
    }
}

/// The file at `path` if reading it may have to wait.
fn pipe(path: &Path) -> Option<io::Result<File>> {
    if path.as_os_str() == "-" {
        let file = io::stdin().as_fd().try_clone_to_owned().map(File::from).ok()?;
        let regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
        return (!regular).then_some(Ok(file));
    }
    let kind = std::fs::metadata(path).ok()?.file_type();
    (!kind.is_file() && !kind.is_dir()).then(|| File::open(path))
}

/// Turns the end of reading into the end of the sub-command: an error, or success.
pub fn finish_reading(outcome: Result<(), Failure>, stop: &Stop, read: u64) -> Result<(), Failure> {
    if stop.happened() {
        say!("interrupted after {read} packets");
    }
    outcome
}
