//! An output that only ever holds whole units (a file header, a record, a block).

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use super::error::{WriteError, WriteErrorKind};
use crate::file::FileId;

/// Written when it is this full.
const CAPACITY: usize = 256 * 1024;

/// How long the unit at the start of these bytes is. The flag says whether they begin the file.
pub(super) type UnitLength = fn(&[u8], bool) -> usize;

pub(super) struct Sink {
    output: File,
    name: String,
    /// Ours to cut back: a regular file that we have created.
    cuttable: bool,
    buffer: Vec<u8>,
    /// Bytes that have left the buffer, all of them whole units.
    written: u64,
    unit_length: UnitLength,
    failed: bool,
}

impl Sink {
    pub(super) fn create(path: &Path, input: Option<FileId>, unit_length: UnitLength) -> Result<Self, WriteError> {
        let name = path.display().to_string();
        let fail = |kind| WriteError { name: name.clone(), kind };
        let (output, cuttable) = if path.as_os_str() == "-" {
            let output = io::stdout().as_fd().try_clone_to_owned().map(File::from);
            let output = output.map_err(|error| fail(WriteErrorKind::Create(error)))?;
            if input.is_some() && FileId::of(&output) == input {
                return Err(fail(WriteErrorKind::SameFile));
            }
            (output, false)
        } else {
            if input.is_some() && FileId::of_path(path) == input {
                return Err(fail(WriteErrorKind::SameFile));
            }
            let output = File::create(path).map_err(|error| fail(WriteErrorKind::Create(error)))?;
            let cuttable = FileId::of(&output).is_some();
            (output, cuttable)
        };
        let buffer = Vec::with_capacity(CAPACITY);
        Ok(Self { output, name, cuttable, buffer, written: 0, unit_length, failed: false })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes so far, those in the buffer included.
    pub(super) fn bytes(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// The buffer with room for one unit of `len` bytes, which the caller must append whole.
    #[inline]
    pub(super) fn unit(&mut self, len: usize) -> Result<&mut Vec<u8>, WriteError> {
        if self.buffer.len() + len > CAPACITY {
            self.flush()?;
        }
        Ok(&mut self.buffer)
    }

    /// Writes whole units that are elsewhere in memory, copying only if there are few.
    pub(super) fn units(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        if bytes.len() < CAPACITY / 8 {
            self.unit(bytes.len())?.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush()?;
        self.write_whole(bytes)
    }

    /// Hands everything to the system.
    pub(super) fn flush(&mut self) -> Result<(), WriteError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.write_whole(&buffer);
        buffer.clear();
        self.buffer = buffer;
        result
    }

    fn write_whole(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let mut done = 0;
        while done < bytes.len() {
            let error = match self.output.write(&bytes[done..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    done += count;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            return Err(self.repair(error, bytes, done));
        }
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// `done` bytes went out before the error: cuts the file back to the last whole unit among them.
    #[cold]
    fn repair(&mut self, error: io::Error, bytes: &[u8], done: usize) -> WriteError {
        self.failed = true;
        let whole = self.whole_units(bytes, done);
        let saved = self.written + whole as u64;
        let cut = done > whole && self.cuttable && self.output.set_len(saved).is_ok();
        let partial = if cut { 0 } else { (done - whole) as u64 };
        self.written = saved;
        WriteError { name: self.name.clone(), kind: WriteErrorKind::Write { error, saved, partial } }
    }

    /// How many of the first `done` bytes are whole units.
    fn whole_units(&self, bytes: &[u8], done: usize) -> usize {
        let mut whole = 0;
        while whole < done {
            let next = whole + (self.unit_length)(&bytes[whole..], self.written == 0 && whole == 0);
            if next > done {
                break;
            }
            whole = next;
        }
        whole
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if !self.failed {
            // Nobody is left to hear about an error; `Writer::finish` is the way to learn about it.
            let _ = self.flush();
        }
    }
}
