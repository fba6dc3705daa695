//! Where text goes: the output with its buffer, and the stream of warnings.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::value::json_string;

/// Bytes that are gathered before they are written.
const FULL: usize = 64 * 1024;

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Text as the script wants it.
    #[default]
    Text,
    /// A line with a JSON object for each message.
    Json,
    /// Printed values and maps as aligned tables, other text between them.
    Table,
    /// Printed values and maps as lines with commas. Other text goes where warnings go, so that nothing else is in the
    /// output.
    Csv,
}

/// When output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Buffering {
    /// After each message that ends a line; messages that come together go together.
    #[default]
    Line,
    /// When 64 KiB have come together, and at the end.
    Full,
    /// After each message.
    None,
}

/// The output of a script and the stream of its warnings.
pub struct Output {
    form: Form,
    buffering: Buffering,
    buffer: Vec<u8>,
    /// Whether more messages are about to come.
    together: bool,
    to: Box<dyn Write>,
    warnings: Box<dyn Write>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { form, buffering, buffer, .. } = self;
        f.debug_struct("Output")
            .field("form", form)
            .field("buffering", buffering)
            .field("buffered", &buffer.len())
            .finish()
    }
}

impl Output {
    /// An output to these streams.
    pub fn new(form: Form, buffering: Buffering, to: Box<dyn Write>, warnings: Box<dyn Write>) -> Self {
        Self { form, buffering, buffer: Vec::with_capacity(FULL + FULL / 4), together: false, to, warnings }
    }

    /// Standard output and standard error.
    pub fn standard(form: Form, buffering: Buffering) -> Self {
        Self::new(form, buffering, Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// A file, which is created or emptied, and standard error.
    ///
    /// # Errors
    /// What kept the file from being created, with its name.
    pub fn file(form: Form, buffering: Buffering, path: &Path) -> io::Result<Self> {
        let file = File::create(path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot create the output file {}: {error}", path.display()))
        })?;
        Ok(Self::new(form, buffering, Box::new(file), Box::new(io::stderr())))
    }

    /// The form of the output.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The buffer, to append a message of text to. [`end`](Self::end) has to follow.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Ends a message: writes what the buffering wants written.
    ///
    /// # Errors
    /// Of writing.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let due = match self.buffering {
            Buffering::Line => (!self.together && self.buffer.last() == Some(&b'\n')) || self.buffer.len() >= FULL,
            Buffering::Full => self.buffer.len() >= FULL,
            Buffering::None => true,
        };
        if due { self.flush() } else { Ok(()) }
    }

    /// Says whether messages come together, so that they need not be written one by one. When they have come, what the
    /// buffering wants written is.
    ///
    /// # Errors
    /// Of writing.
    pub fn gather(&mut self, together: bool) -> io::Result<()> {
        self.together = together;
        if together || self.buffer.is_empty() { Ok(()) } else { self.end() }
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// Of writing; what was buffered is lost then.
    pub fn flush(&mut self) -> io::Result<()> {
        let written = self.to.write_all(&self.buffer).and_then(|()| self.to.flush());
        self.buffer.clear();
        written
    }

    /// Writes text that is no message of the script: what an iterator wrote.
    ///
    /// # Errors
    /// Of writing.
    pub fn raw(&mut self, text: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(text);
        self.end()
    }

    /// Appends a message whose data are a string: as it is, or as JSON.
    pub(super) fn string(&mut self, kind: &str, data: &[u8]) -> io::Result<()> {
        match self.form {
            Form::Text | Form::Table => self.buffer.extend_from_slice(data),
            Form::Json => self.json(kind, |out| json_string(data, out)),
            Form::Csv => return self.warn(data),
        }
        self.end()
    }

    /// Appends `{"type": kind, "data": ...}`, without ending the message.
    pub(super) fn json(&mut self, kind: &str, data: impl FnOnce(&mut Vec<u8>)) {
        self.json_open(kind);
        self.buffer.extend_from_slice(b", \"data\": ");
        data(&mut self.buffer);
        self.buffer.extend_from_slice(b"}\n");
    }

    /// Appends `{"type": kind`.
    pub(super) fn json_open(&mut self, kind: &str) {
        self.buffer.extend_from_slice(b"{\"type\": ");
        json_string(kind.as_bytes(), &mut self.buffer);
    }

    /// Writes to the stream of warnings. What is buffered goes first, so that both read in order on a terminal.
    pub(crate) fn warn(&mut self, text: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.warnings.write_all(text).and_then(|()| self.warnings.flush())
    }
}
