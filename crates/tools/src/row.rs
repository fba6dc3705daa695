//! Rows: the records of a script as values that are kept, compared and written.

use std::cmp::Ordering;

use skep_trace::value::{Renderer, Value};

use crate::header::{Column, Form};

/// What functions between a tracepoint and its program begin with.
// TABLE
const OWN_FRAMES: &[&str] = &["bpf_prog_", "bpf_trace_run", "__bpf_trace_", "__traceiter_", "perf_trace_"];

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cell {
    /// Nothing.
    #[default]
    Empty,
    /// A number; of a column with the form [`Form::Clock`] nanoseconds since 1970.
    Number(i128),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
}

/// A row: a cell for each column of the head.
pub type Row = Vec<Cell>;

impl Cell {
    /// A value of a script as a cell of a column.
    pub fn of(value: &Value<'_>, column: &Column, renderer: &mut Renderer<'_>) -> Self {
        match *value {
            Value::Missing | Value::Void => Self::Empty,
            Value::Signed(number) => Self::number(number.into(), column, renderer),
            Value::Unsigned(number) | Value::Pointer(number) => Self::number(number.into(), column, renderer),
            Value::Bool(value) => Self::Bool(value),
            Value::Buffer(bytes) if column.form == Form::Words => Self::Text(words(bytes)),
            Value::Buffer(bytes) => Self::Text(String::from_utf8_lossy(bytes).into_owned()),
            Value::Inet(None) => Self::Empty,
            ref value => {
                let mut text = Vec::new();
                renderer.text(value, &mut text);
                let text = String::from_utf8_lossy(&text);
                Self::Text(if column.form == Form::Stack { frames(&text) } else { text.into_owned() })
            }
        }
    }

    fn number(number: i128, column: &Column, renderer: &Renderer<'_>) -> Self {
        match column.form {
            Form::Clock => Self::Number(number + i128::from(renderer.names.clock().wall_offset())),
            Form::Named(names) => Self::Text(names.name(number)),
            _ => Self::Number(number),
        }
    }

    /// The number in it, if it is one.
    pub fn as_number(&self) -> Option<i128> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Bool(value) => Some((*value).into()),
            Self::Empty | Self::Text(_) => None,
        }
    }

    /// The order of cells: what is empty comes first, then numbers, then texts.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Text(_), _) => Ordering::Greater,
            (_, Self::Text(_)) => Ordering::Less,
            (a, b) => a.as_number().cmp(&b.as_number()),
        }
    }
}

/// The frames of a stack trace, a line each, without those of the tracing itself at its top.
fn frames(text: &str) -> String {
    let frames = text.lines().map(str::trim).filter(|frame| !frame.is_empty());
    let own = |frame: &&str| OWN_FRAMES.iter().any(|own| frame.starts_with(own));
    frames.skip_while(own).collect::<Vec<_>>().join("\n")
}

/// Words with zeros between them as a command line. What follows the last one is left out.
fn words(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let parts = bytes[..end].split(|&byte| byte == 0);
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect::<Vec<_>>().join(" ")
}

/// The cells of a record, by the names of the columns. Fields that have no column are left out, and so are stacks that nobody
/// reads: finding the names of their frames is what costs most in a row.
pub fn row(value: &Value<'_>, columns: &[Column], reads: &[bool], renderer: &mut Renderer<'_>) -> Option<Row> {
    let Value::Record(record) = value else { return None };
    let mut row = vec![Cell::Empty; columns.len()];
    for (name, value) in record.values() {
        let index = columns.iter().position(|column| column.field == name);
        if let Some(index) = index.filter(|index| columns[*index].form != Form::Stack || reads[*index]) {
            row[index] = Cell::of(&value, &columns[index], renderer);
        }
    }
    for (cell, column) in row.iter_mut().zip(columns) {
        if let Form::Memory(name) = column.form {
            let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
            *cell = memory(&text, name).map_or(Cell::Empty, Cell::Number);
        }
    }
    Some(row)
}

/// The bytes that a line of `/proc/meminfo` tells (proc(5)), which counts in units of 1024.
fn memory(text: &str, name: &str) -> Option<i128> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<i128>().ok().map(|units| units * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        assert_eq!(words(b"ls\0-l\0/tmp\0\0\0"), "ls -l /tmp");
        assert_eq!(words(b"a\0\0b"), "a  b");
        assert_eq!(words(b"\0\0"), "");
    }

    #[test]
    fn memory_of_the_machine() {
        let text = "MemTotal:       24635136 kB\nCached:            98304 kB\nSwapCached:            4 kB\nHugePages_Total:       0\n";
        assert_eq!(memory(text, "Cached"), Some(98304 * 1024));
        assert_eq!((memory(text, "Buffers"), memory(text, "HugePages_Total")), (None, None));
    }

    #[test]
    fn stacks_begin_at_the_tracepoint() {
        let text = "\n        bpf_prog_1_x+1\n        bpf_trace_run4+2\n        a+1\n        bpf_trace_run4+2\n";
        assert_eq!(frames(text), "a+1\nbpf_trace_run4+2");
        assert_eq!(frames("\n"), "");
    }

    #[test]
    fn cells_have_an_order() {
        let cells = [Cell::Empty, Cell::Number(-1), Cell::Number(5), Cell::Text("a".into()), Cell::Text("b".into())];
        for (a, left) in cells.iter().enumerate() {
            for (b, right) in cells.iter().enumerate() {
                assert_eq!(left.order(right), a.cmp(&b), "{left:?} {right:?}");
            }
        }
    }
}
