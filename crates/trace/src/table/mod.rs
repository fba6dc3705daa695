//! Rows of values with named columns, as aligned table, JSON lines or CSV: the same values in all of them.
//!
//! JSON and CSV are written row by row. A table needs to know how wide its columns are: it keeps rows until
//! [`Rows::flush`], and columns never become narrower again, so that later parts stay below the same head.

use skep_lang_script::plan::MapValue;

use crate::maps::{Aggregate, Snapshot};
use crate::value::{Renderer, Value, json_integer, json_string, push_unsigned};

/// The form of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Aligned columns below a head; numbers to the right.
    Table,
    /// A line with a JSON object for each row.
    Json,
    /// Lines with commas, as in RFC 4180 but with bare line feeds; the first one has the names of the columns.
    Csv,
}

/// A cell of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// A value.
    Value(Value<'a>),
    /// A number that was computed.
    Number(i128),
    /// Nothing.
    Empty,
}

/// Rows in one form.
#[derive(Debug)]
pub struct Rows {
    style: Style,
    columns: Vec<String>,
    /// Widths of the columns in characters.
    widths: Vec<usize>,
    /// Whether cells of a column are numbers, and the text of rows that are not printed yet.
    numeric: Vec<bool>,
    waiting: Vec<Vec<String>>,
    has_head: bool,
}

impl Rows {
    /// Rows with these columns.
    pub fn new(style: Style, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        let widths = columns.iter().map(|name| name.chars().count()).collect();
        let numeric = vec![false; columns.len()];
        Self { style, columns, widths, numeric, waiting: Vec::new(), has_head: false }
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Makes a column of a table at least so wide, in characters, and says whether numbers are expected in it, so that the
    /// head stands above them from the first row on.
    pub fn expect(&mut self, column: usize, width: usize, numeric: bool) {
        if let (Some(known), Some(numbers)) = (self.widths.get_mut(column), self.numeric.get_mut(column)) {
            *known = width.max(*known);
            *numbers |= numeric;
        }
    }

    /// Adds a row. Cells that are missing at its end are empty, those beyond the columns are left out.
    pub fn push(&mut self, cells: &[Cell<'_>], renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        match self.style {
            Style::Table => self.keep(cells, renderer),
            Style::Json => {
                for (index, name) in self.columns.iter().enumerate() {
                    out.extend_from_slice(if index > 0 { b", " } else { b"{" });
                    json_string(name.as_bytes(), out);
                    out.extend_from_slice(b": ");
                    match cells.get(index) {
                        Some(Cell::Value(value)) => renderer.json(value, out),
                        Some(Cell::Number(number)) => json_integer(*number, out),
                        Some(Cell::Empty) | None => out.extend_from_slice(b"null"),
                    }
                }
                out.extend_from_slice(if self.columns.is_empty() { b"{}\n" } else { b"}\n" });
            }
            Style::Csv => {
                self.csv_head(out);
                let mut text = Vec::new();
                for index in 0..self.columns.len() {
                    if index > 0 {
                        out.push(b',');
                    }
                    text.clear();
                    cell_text(cells.get(index), renderer, &mut text);
                    csv_field(&text, out);
                }
                out.push(b'\n');
            }
        }
    }

    /// Prints what waits: the rows of a table, with the head if there was none. For CSV the head, if there was no row.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        match self.style {
            Style::Json => {}
            Style::Csv => self.csv_head(out),
            Style::Table => {
                if !std::mem::replace(&mut self.has_head, true) {
                    self.line(&self.columns, out);
                }
                for row in std::mem::take(&mut self.waiting) {
                    self.line(&row, out);
                }
            }
        }
    }

    fn keep(&mut self, cells: &[Cell<'_>], renderer: &mut Renderer<'_>) {
        let mut row = Vec::with_capacity(self.columns.len());
        for (index, width) in self.widths.iter_mut().enumerate() {
            let cell = cells.get(index);
            self.numeric[index] |= matches!(
                cell,
                Some(Cell::Number(_) | Cell::Value(Value::Signed(_) | Value::Unsigned(_) | Value::Pointer(_)))
            );
            let mut text = Vec::new();
            cell_text(cell, renderer, &mut text);
            let text = one_line(&text);
            *width = text.chars().count().max(*width);
            row.push(text);
        }
        self.waiting.push(row);
    }

    fn line(&self, cells: &[String], out: &mut Vec<u8>) {
        let start = out.len();
        for (index, (cell, width)) in cells.iter().zip(&self.widths).enumerate() {
            if index > 0 {
                out.extend_from_slice(b"  ");
            }
            let fill = width.saturating_sub(cell.chars().count());
            let (before, after) = if self.numeric[index] { (fill, 0) } else { (0, fill) };
            out.resize(out.len() + before, b' ');
            out.extend_from_slice(cell.as_bytes());
            out.resize(out.len() + after, b' ');
        }
        let end = out[start..].iter().rposition(|&byte| byte != b' ').map_or(start, |last| start + last + 1);
        out.truncate(end);
        out.push(b'\n');
    }

    fn csv_head(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_head, true) {
            return;
        }
        for (index, name) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            csv_field(name.as_bytes(), out);
        }
        out.push(b'\n');
    }
}

fn cell_text(cell: Option<&Cell<'_>>, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
    match cell {
        Some(Cell::Value(value)) => renderer.text(value, out),
        Some(Cell::Number(number)) => {
            if *number < 0 {
                out.push(b'-');
            }
            push_unsigned(u64::try_from(number.unsigned_abs()).unwrap_or(u64::MAX), out);
        }
        Some(Cell::Empty) | None => {}
    }
}

/// Text that keeps its row in one line and changes nothing else on a terminal: control characters are escaped, and the
/// frames of a stack trace stand behind each other.
fn one_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut out = String::with_capacity(text.len());
    for char in lines.join("; ").chars() {
        if char.is_control() {
            out.extend(char.escape_default());
        } else {
            out.push(char);
        }
    }
    out
}

/// A field, in quotes if it needs them.
fn csv_field(text: &[u8], out: &mut Vec<u8>) {
    if !text.iter().any(|byte| b",\"\r\n".contains(byte)) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for &byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

impl Snapshot<'_> {
    /// The columns of the map as a table: the parts of the key, then what its values consist of.
    pub fn columns(&self) -> Vec<String> {
        let parts = self.rows.first().map_or(self.map.key.len(), |row| row.0.parts().len());
        let key = (1..=parts).map(|part| if parts == 1 { "key".to_owned() } else { format!("key{part}") });
        let values: &[&str] = match self.map.value {
            MapValue::Hist { .. } | MapValue::LinearHist { .. } => &["from", "to", "count"],
            MapValue::Series { .. } => &["interval", "value"],
            MapValue::Stats { .. } => &["count", "average", "total"],
            _ => &["value"],
        };
        key.chain(values.iter().map(|&name| name.to_owned())).collect()
    }

    /// Appends the map as rows with [`columns`](Self::columns): a row for each entry, for histograms a row for each bucket
    /// that is not empty (bounds included), for series one for each interval (nanoseconds since 1970).
    pub fn rows(&self, style: Style, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        self.rows_behind(&[], Rows::new(style, self.columns()), renderer, out);
    }

    /// As [`rows`](Self::rows), with the name of the map as one more column, `map`, in front.
    pub fn named_rows(&self, style: Style, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        let columns = std::iter::once("map".to_owned()).chain(self.columns());
        let name = Value::Text { bytes: self.map.name.as_bytes(), cut: false };
        self.rows_behind(&[Cell::Value(name)], Rows::new(style, columns), renderer, out);
    }

    /// The rows, each behind the same first cells.
    fn rows_behind(&self, first: &[Cell<'_>], mut rows: Rows, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        for (key, value) in &self.rows {
            let mut cells: Vec<Cell<'_>> = first.iter().copied().chain(key.parts().map(Cell::Value)).collect();
            let parts = cells.len();
            let mut row = |values: &[Cell<'static>], cells: &mut Vec<Cell<'_>>| {
                cells.truncate(parts);
                cells.extend_from_slice(values);
                rows.push(cells, renderer, out);
            };
            match value {
                Aggregate::Plain(value) => {
                    cells.push(Cell::Value(*value));
                    rows.push(&cells, renderer, out);
                }
                Aggregate::Number(number) | Aggregate::Average(number) => {
                    row(&[Cell::Number(number.get())], &mut cells);
                }
                Aggregate::Stats { count, average, total } => {
                    let values = [(*count).into(), average.get(), total.get()].map(Cell::Number);
                    row(&values, &mut cells);
                }
                Aggregate::Histogram(_) => {
                    let bound = |bound: Option<i128>| bound.map_or(Cell::Empty, Cell::Number);
                    for (from, to, count) in self.buckets(value) {
                        row(&[bound(from), bound(to), Cell::Number(count.into())], &mut cells);
                    }
                }
                Aggregate::Series(points) => {
                    for point in points {
                        let start = i128::from(point.interval).saturating_mul(self.interval().into());
                        row(&[Cell::Number(start), Cell::Number(point.value.get())], &mut cells);
                    }
                }
            }
        }
        rows.flush(out);
    }
}

#[cfg(test)]
mod tests;
