//! Values that a script prints, as rows of a table: `print((pid = pid, name = comm))` is a row with the columns `pid` and
//! `name`.
//!
//! Rows with the same columns stand below one head, whichever statement printed them. When the columns change, a new table
//! begins.

use skep_lang_script::plan::Shape;

use crate::maps::Aggregate;
use crate::table::{Cell, Rows, Style};
use crate::value::{Renderer, Value};

/// Columns that a text gets at least, as many as a name of a thread has.
const TEXT_COLUMNS: usize = 16;

/// The table that rows are added to.
#[derive(Debug, Default)]
pub(super) struct Printed {
    rows: Option<Rows>,
    /// Whether there was something in front.
    begun: bool,
}

impl Printed {
    /// Adds a row and prints it.
    pub fn push(&mut self, style: Style, value: &Aggregate<'_>, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        if !self.rows.as_ref().is_some_and(|rows| fits(rows.columns(), value)) {
            let columns = columns(value);
            self.begin_part(out);
            let mut rows = Rows::new(style, columns.iter().map(|column| column.name.clone()));
            for (index, column) in columns.iter().enumerate() {
                rows.expect(index, column.width, column.numeric);
            }
            self.rows = Some(rows);
        }
        if let Some(rows) = &mut self.rows {
            rows.push(&cells(value), renderer, out);
            rows.flush(out);
        }
    }

    /// Something with other columns begins: it is set apart by an empty line, and what comes later has a head of its own.
    pub fn begin_part(&mut self, out: &mut Vec<u8>) {
        self.rows = None;
        if std::mem::replace(&mut self.begun, true) {
            out.push(b'\n');
        }
    }
}

/// A column before there are values in it.
struct Column {
    name: String,
    width: usize,
    numeric: bool,
}

fn column(name: impl Into<String>, shape: Option<&Shape>) -> Column {
    let (width, numeric) = match shape {
        // Most numbers are much smaller than they could be.
        Some(Shape::Int { bytes, .. }) => ([0, 3, 5, 7, 7, 10, 10, 10, 10][usize::from(*bytes).min(8)], true),
        Some(Shape::Pointer) => (18, true),
        Some(Shape::Bool) => (5, false),
        Some(Shape::Text(bytes)) => (TEXT_COLUMNS.min((*bytes as usize).saturating_sub(1)), false),
        Some(Shape::Inet) => (15, false),
        Some(Shape::Mac) => (17, false),
        _ => (0, false),
    };
    Column { name: name.into(), width, numeric }
}

/// Whether a value has these columns.
fn fits(names: &[String], value: &Aggregate<'_>) -> bool {
    match value {
        Aggregate::Plain(Value::Record(record)) => {
            names.iter().map(String::as_str).eq(record.fields().map(|(name, _)| name))
        }
        value => names.iter().eq(columns(value).iter().map(|column| &column.name)),
    }
}

fn columns(value: &Aggregate<'_>) -> Vec<Column> {
    match value {
        Aggregate::Plain(Value::Record(record)) => {
            record.fields().map(|(name, field)| column(name, Some(&field.shape))).collect()
        }
        Aggregate::Plain(Value::Tuple(tuple)) => {
            let numbered = (1..).zip(tuple.fields());
            numbered.map(|(number, field)| column(format!("value{number}"), Some(&field.shape))).collect()
        }
        Aggregate::Stats { .. } => ["count", "average", "total"].map(|name| column(name, None)).into(),
        _ => vec![column("value", None)],
    }
}

fn cells<'v>(value: &Aggregate<'v>) -> Vec<Cell<'v>> {
    match value {
        Aggregate::Plain(Value::Record(record)) => record.values().map(|(_, value)| Cell::Value(value)).collect(),
        Aggregate::Plain(Value::Tuple(tuple)) => tuple.values().map(Cell::Value).collect(),
        Aggregate::Plain(value) => vec![Cell::Value(*value)],
        Aggregate::Number(number) | Aggregate::Average(number) => vec![Cell::Number(number.get())],
        Aggregate::Stats { count, average, total } => {
            [(*count).into(), average.get(), total.get()].map(Cell::Number).into()
        }
        Aggregate::Histogram(_) | Aggregate::Series(_) => vec![Cell::Empty],
    }
}
