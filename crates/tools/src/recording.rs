//! Recordings: rows in a file (`-w`), to be shown again (`-r`).
//!
//! ```text
//! {"skep": "rows", "version": 1, "tool": "tcplife"}
//! {"pid": 4711, "comm": "curl", ...}
//! {"interval": true}
//! ```
//!
//! A line for each row, all columns of the head, values as they are; times are nanoseconds since 1970. The line about an
//! interval stands where output would have been due.

use std::fmt;
use std::io::{self, BufRead, Write};

use serde_json::Value;

use crate::header::Column;
use crate::row::{Cell, Row};
use crate::view::json_text;

/// The version of the form.
const VERSION: u64 = 1;
/// Bytes of a line.
const LONGEST: u64 = 4 << 20;

/// Writes a recording.
pub struct Recorder {
    to: Box<dyn Write>,
    line: Vec<u8>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl Recorder {
    /// Begins a recording of this tool.
    ///
    /// # Errors
    /// Of writing.
    pub fn new(tool: &str, mut to: Box<dyn Write>) -> io::Result<Self> {
        let mut line = format!("{{\"skep\": \"rows\", \"version\": {VERSION}, \"tool\": ").into_bytes();
        json_text(tool, &mut line);
        line.extend_from_slice(b"}\n");
        to.write_all(&line)?;
        Ok(Self { to, line })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// Of writing.
    pub fn row(&mut self, columns: &[Column], row: &Row) -> io::Result<()> {
        self.line.clear();
        for (index, (column, cell)) in columns.iter().zip(row).enumerate() {
            self.line.extend_from_slice(if index > 0 { b", " } else { b"{" });
            json_text(&column.field, &mut self.line);
            self.line.extend_from_slice(b": ");
            match cell {
                Cell::Empty => self.line.extend_from_slice(b"null"),
                Cell::Number(number) => self.line.extend_from_slice(number.to_string().as_bytes()),
                Cell::Bool(value) => self.line.extend_from_slice(value.to_string().as_bytes()),
                Cell::Text(text) => json_text(text, &mut self.line),
            }
        }
        self.line.extend_from_slice(b"}\n");
        self.to.write_all(&self.line)
    }

    /// Appends that an interval is over, and hands everything to the system.
    ///
    /// # Errors
    /// Of writing.
    pub fn interval(&mut self) -> io::Result<()> {
        self.to.write_all(b"{\"interval\": true}\n")?;
        self.to.flush()
    }
}

/// A part of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A row.
    Row(Row),
    /// An interval was over.
    Interval,
}

/// Reads a recording of this tool, part by part.
///
/// # Errors
/// What is wrong, with the line, or what `each` says.
pub fn read(
    tool: &str,
    columns: &[Column],
    from: impl BufRead,
    mut each: impl FnMut(Part) -> Result<(), String>,
) -> Result<(), String> {
    let mut from = from;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        // Lines are bounded, whatever the file holds.
        let read = io::Read::take(&mut from, LONGEST).read_until(b'\n', &mut line);
        if read.map_err(|error| format!("it cannot be read: {}", error.kind()))? == 0 {
            return if number == 1 { Err("it is empty".to_owned()) } else { Ok(()) };
        }
        if !line.ends_with(b"\n") && line.len() as u64 == LONGEST {
            return Err(format!("line {number} is longer than {LONGEST} bytes"));
        }
        let value: Value =
            serde_json::from_slice(&line).map_err(|error| format!("line {number} is no JSON object: {error}"))?;
        if number == 1 {
            head(tool, &value)?;
            continue;
        }
        if value.get("interval").is_some() {
            each(Part::Interval)?;
            continue;
        }
        let Some(object) = value.as_object() else { return Err(format!("line {number} is no JSON object")) };
        let row = columns.iter().map(|column| object.get(&column.field).map(cell).unwrap_or_default()).collect();
        each(Part::Row(row))?;
    }
    Ok(())
}

fn head(tool: &str, value: &Value) -> Result<(), String> {
    if value["skep"] != "rows" {
        return Err("it is no recording of a tool: `skep NAME -w FILE` makes one".to_owned());
    }
    if value["version"].as_u64() != Some(VERSION) {
        return Err(format!("its form has version {}, this skep reads {VERSION}", value["version"]));
    }
    match value["tool"].as_str() {
        Some(name) if name == tool => Ok(()),
        Some(name) => Err(format!("it was made by {name}: use `skep {name} -r`")),
        None => Err("it does not say by which tool it was made".to_owned()),
    }
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Bool(value) => Cell::Bool(*value),
        Value::Number(number) => number.as_i128().map_or(Cell::Empty, Cell::Number),
        Value::String(text) => Cell::Text(text.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => Cell::Empty,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::header::{Form, Shown};

    #[derive(Clone, Default)]
    struct Memory(Rc<RefCell<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn columns() -> Vec<Column> {
        let column = |field: &str| Column {
            field: field.to_owned(),
            head: String::new(),
            right: false,
            width: 1,
            form: Form::Plain,
            shown: Shown::Always,
            doc: String::new(),
        };
        ["a", "b", "c", "d"].map(column).to_vec()
    }

    #[test]
    fn what_is_written_is_read() {
        let memory = Memory::default();
        let rows = [
            vec![Cell::Number(i64::MAX.into()), Cell::Text("a \"b\"\n\u{1}é".into()), Cell::Empty, Cell::Bool(true)],
            vec![Cell::Number(u64::MAX.into()), Cell::Text(String::new()), Cell::Number(-1), Cell::Bool(false)],
        ];
        let mut recorder = Recorder::new("demo", Box::new(memory.clone())).unwrap();
        rows.iter().for_each(|row| recorder.row(&columns(), row).unwrap());
        recorder.interval().unwrap();
        let bytes = memory.0.borrow().clone();
        let mut found = Vec::new();
        read("demo", &columns(), &bytes[..], |part| {
            found.push(part);
            Ok(())
        })
        .unwrap();
        assert_eq!(found, [Part::Row(rows[0].clone()), Part::Row(rows[1].clone()), Part::Interval]);
        let other = read("other", &columns(), &bytes[..], |_| Ok(())).unwrap_err();
        assert_eq!(other, "it was made by demo: use `skep demo -r`");
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        // TABLE
        for (text, part) in [
            ("", "it is empty"),
            ("x\n", "line 1 is no JSON"),
            ("{}\n", "no recording of a tool"),
            ("{\"skep\": \"rows\", \"version\": 9, \"tool\": \"demo\"}\n", "version 9"),
            ("{\"skep\": \"rows\", \"version\": 1}\n", "does not say"),
            ("{\"skep\": \"rows\", \"version\": 1, \"tool\": \"demo\"}\n[1]\n", "line 2"),
            ("{\"skep\": \"rows\", \"version\": 1, \"tool\": \"demo\"}\n{\"a\": 1", "line 2"),
        ] {
            let error = read("demo", &columns(), text.as_bytes(), |_| Ok(())).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
