//! The actions, one function each.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use skep_lang_script::plan::{Action, Field, PacketRecord, PrintTo, UnwindRecord};

use super::{Dispatcher, EventError, Flow, Form, parts};
use crate::maps::{Aggregate, MapRequest, MapSource, gathered};
use crate::names::{StackCopy, error_text};
use crate::table::Style;
use crate::value::{Value, half, json_integer, json_string, push_unsigned, word};

/// Bytes of the index in front of every record.
const HEADER: u64 = 8;
/// `E2BIG`: what updating a full map gives.
const TOO_BIG: i32 = -7;

/// Least bytes of a record with this action.
pub(super) fn length(action: &Action) -> u64 {
    let end = |field: &Field| u64::from(field.offset) + u64::from(field.shape.size());
    let (fields, extra): (&[Field], u64) = match action {
        Action::Print { args, .. } | Action::Cat { args, .. } | Action::System { args, .. } => (args, 0),
        Action::PrintValue { value } => (std::slice::from_ref(value), 0),
        Action::Join { texts, .. } => (std::slice::from_ref(texts), 0),
        Action::PrintEntry { key, value, .. } => (std::slice::from_ref(key), value.as_ref().map_or(0, end)),
        Action::Exit { status: offset } | Action::Learn { pid: offset } | Action::HelperError { error: offset, .. } => {
            (&[], u64::from(*offset) + 4)
        }
        Action::Unwind { room } => (&[], u64::from(UnwindRecord::size(*room))),
        Action::Packet { room, .. } => (&[], u64::from(PacketRecord::size(*room))),
        Action::PrintMap { .. }
        | Action::Clear { .. }
        | Action::Zero { .. }
        | Action::Time { .. }
        | Action::Warning { .. } => (&[], 0),
    };
    fields.iter().map(end).max().unwrap_or(0).max(extra).max(HEADER)
}

/// The copy of a stack in a record.
fn stack_copy(record: &[u8]) -> Option<StackCopy<'_>> {
    let part = |start: u32, len: usize| record.get(start as usize..(start as usize).checked_add(len)?);
    let len = usize::try_from(word(record, UnwindRecord::LEN)?).ok()?;
    Some(StackCopy {
        pid: half(record, UnwindRecord::PID)?,
        hash: word(record, UnwindRecord::HASH)?,
        registers: part(UnwindRecord::REGISTERS, UnwindRecord::REGISTERS_SIZE as usize)?,
        base: word(record, UnwindRecord::BASE)?,
        stack: part(UnwindRecord::STACK, len)?,
    })
}

impl Dispatcher<'_> {
    pub(super) fn perform(
        &mut self,
        index: usize,
        action: &Action,
        record: &[u8],
        maps: &mut dyn MapSource,
    ) -> Result<(), EventError> {
        match action {
            Action::Print { to: PrintTo::Output, args, .. } => self.print(index, args, record)?,
            Action::Print { to: PrintTo::Warning(at), args, .. } => {
                self.placed("warnf", "WARNING", *at, index, args, record)?;
            }
            Action::Print { to: PrintTo::Error(at), args, .. } => {
                self.failed = true;
                self.placed("errorf", "ERROR", *at, index, args, record)?;
            }
            Action::PrintValue { value } => self.print_value(&Aggregate::Plain(Value::field(value, record)))?,
            Action::PrintMap { map, top, div } => {
                let request = MapRequest { top: *top, div: *div, zero_if_empty: true };
                self.print_map(*map as usize, request, maps)?;
            }
            Action::PrintEntry { value: Some(value), .. } => {
                self.print_value(&Aggregate::Plain(Value::field(value, record)))?;
            }
            Action::PrintEntry { map, key, value: None } => self.print_entry(*map as usize, key, record, maps)?,
            Action::Clear { map } => maps.clear(*map as usize).map_err(|error| self.map_error(*map as usize, error))?,
            Action::Zero { map } => maps.zero(*map as usize).map_err(|error| self.map_error(*map as usize, error))?,
            Action::Time { format } => {
                let mut text = std::mem::take(&mut self.text);
                text.clear();
                self.names.clock().now(format, &mut text);
                let written = self.output.string("time", &text);
                self.text = text;
                written?;
            }
            Action::Join { separator, texts } => self.join(separator, texts, record)?,
            Action::Cat { args, .. } => self.cat(index, args, record)?,
            Action::System { args, .. } => self.system(index, args, record)?,
            Action::Packet { file, .. } => self.packet(file, record)?,
            Action::Exit { status } => self.exit = half(record, *status).map(u32::cast_signed),
            Action::Learn { pid } => self.names.symbols().learn(half(record, *pid).unwrap_or(0)),
            Action::Unwind { .. } => {
                if let Some(copy) = stack_copy(record) {
                    self.names.symbols().unwind(copy);
                }
            }
            Action::Warning { text, at } => self.runtime_error(text, *at)?,
            Action::HelperError { helper, error, at } => {
                self.helper_error(helper, half(record, *error).unwrap_or(0).cast_signed(), *at)?;
            }
        }
        Ok(())
    }

    /// Appends the text of the action's format to `self.text`, which is emptied before.
    fn render(&mut self, index: usize, args: &[Field], record: &[u8]) {
        self.text.clear();
        if let Some(Some(format)) = self.formats.get(index) {
            let (mut renderer, _) = parts(self.plan, &mut self.names, &mut self.output);
            format.render(args, record, &mut renderer, &mut self.text);
        }
    }

    fn print(&mut self, index: usize, args: &[Field], record: &[u8]) -> io::Result<()> {
        if matches!(self.output.form(), Form::Json | Form::Csv) {
            self.render(index, args, record);
            return self.output.string("printf", &self.text);
        }
        let (mut renderer, output) = parts(self.plan, &mut self.names, &mut self.output);
        if let Some(Some(format)) = self.formats.get(index) {
            format.render(args, record, &mut renderer, output.buffer());
        }
        output.end()
    }

    /// `warnf()` and `errorf()`.
    fn placed(
        &mut self,
        kind: &str,
        severity: &str,
        at: (u32, u32),
        index: usize,
        args: &[Field],
        record: &[u8],
    ) -> io::Result<()> {
        self.render(index, args, record);
        let text = std::mem::take(&mut self.text);
        let written = match self.output.form() {
            Form::Text | Form::Table | Form::Csv => {
                let mut line = format!("{}{severity}: ", self.place(at)).into_bytes();
                line.extend_from_slice(&text);
                if line.last() != Some(&b'\n') {
                    line.push(b'\n');
                }
                self.output.warn(&line)
            }
            Form::Json => self.json_placed(kind, &text, at, |_| {}),
        };
        self.text = text;
        written
    }

    fn json_placed(
        &mut self,
        kind: &str,
        message: &[u8],
        at: (u32, u32),
        more: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        self.output.json_open(kind);
        let out = self.output.buffer();
        out.extend_from_slice(b", \"msg\": ");
        json_string(message, out);
        more(out);
        out.extend_from_slice(b", \"filename\": ");
        json_string(self.script.name.as_bytes(), out);
        for (name, number) in [(", \"line\": ", at.0), (", \"col\": ", at.1)] {
            out.extend_from_slice(name.as_bytes());
            push_unsigned(number.into(), out);
        }
        out.extend_from_slice(b"}\n");
        self.output.end()
    }

    fn print_value(&mut self, value: &Aggregate<'_>) -> io::Result<()> {
        let (mut renderer, output) = parts(self.plan, &mut self.names, &mut self.output);
        if let (Some(sink), Aggregate::Plain(value)) = (&mut self.sink, value) {
            if let Flow::Exit(status) = sink.value(value, &mut renderer, output.buffer()) {
                self.exit = Some(status);
            }
            return output.end();
        }
        match output.form() {
            Form::Text => {
                value.text(&mut renderer, output.buffer());
                output.buffer().push(b'\n');
            }
            Form::Json => output.json("value", |out| value.json(&mut renderer, out)),
            Form::Table => self.rows.push(Style::Table, value, &mut renderer, output.buffer()),
            Form::Csv => self.rows.push(Style::Csv, value, &mut renderer, output.buffer()),
        }
        output.end()
    }

    /// An entry that does not exist is printed as zero, as in the reference.
    fn print_entry(
        &mut self,
        index: usize,
        key: &Field,
        record: &[u8],
        maps: &mut dyn MapSource,
    ) -> Result<(), EventError> {
        let plan = self.plan;
        let Some(map) = plan.maps.get(index) else { return Ok(()) };
        let start = key.offset as usize;
        let bytes = record.get(start..start.saturating_add(key.shape.size() as usize)).unwrap_or_default();
        let values = if map.value.is_spread() {
            let entries = maps.entries(index).map_err(|error| self.map_error(index, error))?;
            let padded = |key: &[u8]| key.starts_with(bytes) && key[bytes.len()..].iter().all(|&byte| byte == 0);
            gathered(map, entries).into_iter().find(|entry| padded(&entry.key)).map(|entry| entry.values)
        } else {
            maps.entry(index, bytes).map_err(|error| self.map_error(index, error))?
        };
        let value = values.as_ref().map_or_else(|| Aggregate::zero(map), |values| Aggregate::read(map, values));
        Ok(self.print_value(&value)?)
    }

    fn join(&mut self, separator: &str, texts: &Field, record: &[u8]) -> io::Result<()> {
        self.text.clear();
        let Value::Array(array) = Value::field(texts, record) else { return Ok(()) };
        let is_text = |value: &Value<'_>| matches!(value, Value::Text { bytes, .. } if !bytes.is_empty());
        let used = array.values().enumerate().filter(|(_, value)| is_text(value)).map(|(index, _)| index + 1).last();
        let (mut renderer, _) = parts(self.plan, &mut self.names, &mut self.output);
        renderer.list(array.values().take(used.unwrap_or(0)), separator.as_bytes(), &mut self.text);
        if self.output.form() != Form::Json {
            self.text.push(b'\n');
        }
        self.output.string("join", &self.text)
    }

    fn cat(&mut self, index: usize, args: &[Field], record: &[u8]) -> io::Result<()> {
        self.render(index, args, record);
        let path = PathBuf::from(std::ffi::OsString::from_vec(self.text.clone()));
        let mut content = Vec::new();
        let read =
            File::open(&path).and_then(|file| file.take(self.plan.settings.max_cat_bytes).read_to_end(&mut content));
        match read {
            Ok(_) => self.output.string("cat", &content),
            Err(error) => {
                let reason = error.raw_os_error().map_or_else(|| error.to_string(), error_text);
                let text = format!("ERROR: failed to open file '{}' ({reason})\n", path.display());
                self.output.warn(text.as_bytes())
            }
        }
    }

    /// Runs a command line by the shell and prints what it prints; text gets a line end behind it, as in the reference.
    fn system(&mut self, index: usize, args: &[Field], record: &[u8]) -> io::Result<()> {
        self.render(index, args, record);
        let command = std::ffi::OsString::from_vec(self.text.clone());
        // The command shares standard error with the warnings; what was printed before it comes first.
        self.output.flush()?;
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(&command).stdin(Stdio::null()).stderr(Stdio::inherit());
        match shell.output() {
            Ok(result) => {
                let mut text = result.stdout;
                if self.output.form() != Form::Json {
                    text.push(b'\n');
                }
                self.output.string("syscall", &text)
            }
            Err(error) => {
                let text = format!("ERROR: cannot run /bin/sh for system({}): {error}\n", command.display());
                self.output.warn(text.as_bytes())
            }
        }
    }

    /// Appends a packet to its capture file. A file that cannot be written is reported once.
    fn packet(&mut self, file: &std::sync::Arc<str>, record: &[u8]) -> io::Result<()> {
        let wall = self.names.clock().wall_offset();
        match self.packets.add(file, record, wall) {
            Some(problem) => self.output.warn(format!("ERROR: {problem}\n").as_bytes()),
            None => Ok(()),
        }
    }

    fn runtime_error(&mut self, text: &str, at: (u32, u32)) -> io::Result<()> {
        if !self.warnings {
            return Ok(());
        }
        match self.output.form() {
            Form::Text | Form::Table | Form::Csv => {
                let message = format!("{}WARNING: {text}\n{}", self.place(at), self.excerpt(at));
                self.output.warn(message.as_bytes())
            }
            Form::Json => self.json_placed("runtime_error", text.as_bytes(), at, |_| {}),
        }
    }

    fn helper_error(&mut self, helper: &str, code: i32, at: (u32, u32)) -> io::Result<()> {
        if !self.warnings {
            return Ok(());
        }
        let reason = if code == TOO_BIG && helper.ends_with("map_update_elem") {
            "the map is full; raise max_map_keys or declare the map with more entries".to_owned()
        } else {
            error_text(code.saturating_neg())
        };
        match self.output.form() {
            Form::Text | Form::Table | Form::Csv => {
                let message =
                    format!("{}WARNING: Failed to {helper}: {reason} ({code})\n{}", self.place(at), self.excerpt(at));
                self.output.warn(message.as_bytes())
            }
            Form::Json => self.json_placed("helper_error", reason.as_bytes(), at, |out| {
                out.extend_from_slice(b", \"helper\": ");
                json_string(helper.as_bytes(), out);
                out.extend_from_slice(b", \"retcode\": ");
                json_integer(code.into(), out);
            }),
        }
    }
}
