//! Text on standard output: collected in memory, written in large pieces, a closed pipe recognised.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use crate::failure::Failure;

/// Written out when it is this full.
const CAPACITY: usize = 64 * 1024;

/// Standard output with a buffer of our own.
pub struct TextOut {
    file: File,
    /// Append to it, then call [`TextOut::line_done`].
    pub buffer: Vec<u8>,
    each_line: bool,
}

impl TextOut {
    /// `each_line`: hand every line to the system at once. A terminal always gets them so.
    pub fn stdout(each_line: bool) -> Result<Self, Failure> {
        let stdout = io::stdout();
        let file = stdout.as_fd().try_clone_to_owned().map(File::from).map_err(|error| fail(&error))?;
        let each_line = each_line || stdout.is_terminal();
        Ok(Self { file, buffer: Vec::with_capacity(CAPACITY + 4096), each_line })
    }

    /// A line (or a whole text) is complete in the buffer.
    #[inline]
    pub fn line_done(&mut self) -> Result<(), Failure> {
        if self.each_line || self.buffer.len() >= CAPACITY { self.flush() } else { Ok(()) }
    }

    /// Hands everything to the system.
    pub fn flush(&mut self) -> Result<(), Failure> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let result = self.file.write_all(&self.buffer);
        self.buffer.clear();
        result.map_err(|error| fail(&error))
    }
}

/// Prints a text that is complete.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = TextOut::stdout(false)?;
    out.buffer.extend_from_slice(text.as_bytes());
    out.flush()
}

fn fail(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
        io::ErrorKind::StorageFull => {
            Failure::Run("cannot write to standard output: the file system is full; free some space".to_owned())
        }
        _ => {
            let text = error.to_string();
            let plain = text.split(" (os error").next().unwrap_or_default();
            Failure::Run(format!("cannot write to standard output: {}; is it open?", plain.to_ascii_lowercase()))
        }
    }
}
