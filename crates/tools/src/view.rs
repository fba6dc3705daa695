//! Rows to text: which columns, which rows, in which order, in which form.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;

use skep_trace::flame::Folded;
use skep_trace::names::Names;

use crate::condition::Condition;
use crate::header::{Column, Form, Shown};
use crate::processes::{Process, Processes};
use crate::row::{Cell, Row};

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Columns below a head, row by row.
    #[default]
    Table,
    /// As [`Table`](Self::Table), with all columns.
    Wide,
    /// A JSON object a line.
    Json,
    /// Lines with commas (RFC 4180, with bare line feeds); the first one has the names of the columns.
    Csv,
    /// A line for each row with stacks: names from the outermost to the innermost with `;` between them, then a number.
    /// Tools that draw flame graphs read that.
    Folded,
}

/// Names of forms.
// TABLE
pub const STYLES: &[(&str, Style)] = &[
    ("table", Style::Table),
    ("wide", Style::Wide),
    ("json", Style::Json),
    ("csv", Style::Csv),
    ("folded", Style::Folded),
];

/// What is added to rows of processes: name, head in a table, width, meaning.
// TABLE
pub const ADDED: &[(&str, &str, usize, &str)] = &[
    ("user", "USER", 10, "Name of the user that the process has."),
    ("exe", "EXE", 24, "Path of its program."),
    ("container", "CONTAINER", 12, "Short identity of its container, from the control group."),
    ("pod", "POD", 36, "Identity of its Kubernetes pod, from the control group."),
];

/// Behind the names of frames of the kernel in flame graphs.
const KERNEL: &str = "_[k]";

/// What is to be shown.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The form.
    pub style: Style,
    /// These fields and no others.
    pub fields: Option<Vec<String>>,
    /// Options that were given, as heads write them (`-U`), which show columns.
    pub given: Vec<String>,
    /// Only rows that fit all of these.
    pub conditions: Vec<Condition>,
    /// Order by these fields; `true` for the largest first.
    pub sort: Vec<(String, bool)>,
    /// Only so many rows of an interval.
    pub top: Option<usize>,
    /// Whether the time of day is put in front (`-T`).
    pub clock: bool,
    /// Whether seconds since the first row are put in front (`-t`).
    pub since: bool,
}

/// A column of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A column of the head.
    Column(usize),
    /// One of [`ADDED`].
    Added(usize),
    /// The time of day of the row.
    Clock,
    /// Seconds since the first row.
    Since,
}

/// Rows in one form.
#[derive(Debug)]
pub struct View {
    columns: Vec<Column>,
    sources: Vec<Source>,
    wishes: Wishes,
    processes: Processes,
    /// Rows that wait for their order.
    waiting: Vec<Row>,
    first: Option<i128>,
    has_head: bool,
    /// Whether an interval was over since the last row.
    has_gap: bool,
    shown: u64,
    /// The stacks of all rows, if somebody wants them.
    flame: Option<Flame>,
}

/// Stacks of rows, kept for a flame graph. The view belongs to the run.
pub type Flame = Rc<RefCell<Folded>>;

impl View {
    /// A view of rows with these columns.
    ///
    /// # Errors
    /// A field that does not exist.
    pub fn new(columns: &[Column], wishes: Wishes) -> Result<Self, String> {
        let sources = sources(columns, &wishes)?;
        if wishes.style == Style::Folded && !columns.iter().any(|column| column.form == Form::Stack) {
            return Err("-o folded: the rows of this tool have no stacks".to_owned());
        }
        for (field, _) in &wishes.sort {
            if !columns.iter().any(|column| column.field == *field) {
                return Err(format!("--sort {field}: there is no such field; there are: {}", names(columns)));
            }
        }
        Ok(Self {
            columns: columns.to_vec(),
            sources,
            wishes,
            processes: Processes::default(),
            waiting: Vec::new(),
            first: None,
            has_head: false,
            has_gap: false,
            shown: 0,
            flame: None,
        })
    }

    /// The form.
    pub fn style(&self) -> Style {
        self.wishes.style
    }

    /// Keeps the stacks of the rows that come from now on.
    pub fn keep_stacks(&mut self) -> Flame {
        Rc::clone(self.flame.get_or_insert_default())
    }

    /// Of each column whether anybody looks at it: it is shown, asked about, or says the order.
    pub fn reads(&self) -> Vec<bool> {
        let whole = self.flame.is_some() || self.wishes.style == Style::Folded;
        let asked: Vec<usize> = self.wishes.conditions.iter().flat_map(Condition::fields).collect();
        let reads = |(index, column): (usize, &Column)| {
            let shown = self.sources.iter().any(|source| matches!(source, Source::Column(shown) if *shown == index));
            let sorted = self.wishes.sort.iter().any(|(field, _)| *field == column.field);
            whole || shown || sorted || asked.contains(&index)
        };
        self.columns.iter().enumerate().map(reads).collect()
    }

    /// Rows that were printed or wait for it.
    pub fn shown(&self) -> u64 {
        self.shown
    }

    /// Prints what stands above rows, if the form has that and it is not there yet.
    pub fn head(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_head, true) || self.sources.is_empty() {
            return;
        }
        match self.wishes.style {
            Style::Json | Style::Folded => {}
            Style::Csv => {
                let names: Vec<&str> = self.sources.iter().map(|source| self.field(*source)).collect();
                out.extend_from_slice(names.join(",").as_bytes());
                out.push(b'\n');
            }
            Style::Table | Style::Wide => {
                let heads: Vec<String> = self.sources.iter().map(|source| self.place(*source).0.to_owned()).collect();
                self.line(&heads, out);
            }
        }
    }

    /// Whether a row fits the conditions.
    pub fn wants(&self, row: &Row) -> bool {
        self.wishes.conditions.iter().all(|condition| condition.fits(row))
    }

    /// Takes a row.
    pub fn push(&mut self, row: Row, names: &mut Names, out: &mut Vec<u8>) {
        if !self.wants(&row) {
            return;
        }
        self.shown += 1;
        if let Some(flame) = &self.flame {
            let (frames, number) = self.frames(&row, KERNEL);
            flame.borrow_mut().push(frames, u64::try_from(number).unwrap_or(0));
        }
        if self.wishes.sort.is_empty() && self.wishes.top.is_none() {
            self.write(&row, names, out);
        } else {
            self.waiting.push(row);
        }
    }

    /// Prints the rows that wait.
    pub fn flush(&mut self, names: &mut Names, out: &mut Vec<u8>) {
        let mut rows = std::mem::take(&mut self.waiting);
        let keys: Vec<(usize, bool)> = self
            .wishes
            .sort
            .iter()
            .filter_map(|(field, down)| Some((self.columns.iter().position(|c| c.field == *field)?, *down)))
            .collect();
        rows.sort_by(|a, b| {
            keys.iter().fold(std::cmp::Ordering::Equal, |order, (index, down)| {
                let next = a[*index].order(&b[*index]);
                order.then(if *down { next.reverse() } else { next })
            })
        });
        if let Some(top) = self.wishes.top {
            rows.truncate(top);
        }
        for row in &rows {
            self.write(row, names, out);
        }
        // Rows that stand alone need no line between them.
        self.has_gap = rows.len() > 1;
    }

    fn write(&mut self, row: &Row, names: &mut Names, out: &mut Vec<u8>) {
        self.head(out);
        if std::mem::take(&mut self.has_gap) && matches!(self.wishes.style, Style::Table | Style::Wide) {
            out.push(b'\n');
        }
        let index = |field: &str| self.columns.iter().position(|column| column.field == field);
        let time = index("time").and_then(|time| row.get(time)).and_then(Cell::as_number);
        let first = *self.first.get_or_insert(time.unwrap_or(0));
        let needs_process = self.sources.iter().any(|source| matches!(source, Source::Added(_)));
        let process = match index("pid").and_then(|pid| row.get(pid)).and_then(Cell::as_number).map(u32::try_from) {
            Some(Ok(pid)) if needs_process => {
                let comm = match index("comm").and_then(|comm| row.get(comm)) {
                    Some(Cell::Text(comm)) => comm.as_str(),
                    _ => "",
                };
                self.processes.get(pid, comm).clone()
            }
            _ => Process::default(),
        };
        let uid = index("uid").and_then(|uid| row.get(uid)).and_then(Cell::as_number);
        let uid = uid.and_then(|uid| u32::try_from(uid).ok()).or(process.uid);
        let cell = |source: Source, names: &mut Names| match source {
            Source::Column(index) => row.get(index).cloned().unwrap_or_default(),
            Source::Clock => time.map_or(Cell::Empty, Cell::Number),
            Source::Since => time.map_or(Cell::Empty, |time| Cell::Number(time - first)),
            Source::Added(index) => {
                let text = match ADDED[index].0 {
                    "user" => uid.map(|uid| names.user(uid).to_owned()).unwrap_or_default(),
                    "exe" => process.exe.clone(),
                    "container" => process.container.clone(),
                    _ => process.pod.clone(),
                };
                if text.is_empty() { Cell::Empty } else { Cell::Text(text) }
            }
        };
        let cells: Vec<(Source, Cell)> = self.sources.iter().map(|source| (*source, cell(*source, names))).collect();
        match self.wishes.style {
            Style::Json => self.json(&cells, names, out),
            Style::Csv => self.csv(&cells, names, out),
            Style::Folded => self.folded(row, out),
            Style::Table | Style::Wide => self.table(&cells, names, out),
        }
    }

    fn table(&self, cells: &[(Source, Cell)], names: &Names, out: &mut Vec<u8>) {
        let texts: Vec<String> = cells.iter().map(|(source, cell)| self.text(*source, cell, names)).collect();
        self.line(&texts, out);
        for (source, cell) in cells {
            if let (Form::Stack, Cell::Text(stack)) = (self.form(*source), cell) {
                for frame in stack.lines().map(str::trim).filter(|frame| !frame.is_empty()) {
                    out.extend_from_slice(format!("        {}\n", printable(frame)).as_bytes());
                }
            }
        }
    }

    fn line(&self, texts: &[String], out: &mut Vec<u8>) {
        let mut line = String::new();
        for (source, text) in self.sources.iter().zip(texts) {
            if self.form(*source) == Form::Stack {
                continue;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            let (_, width, right) = self.place(*source);
            let _ = if right { write!(line, "{text:>width$}") } else { write!(line, "{text:<width$}") };
        }
        out.extend_from_slice(line.trim_end().as_bytes());
        out.push(b'\n');
    }

    fn folded(&self, row: &Row, out: &mut Vec<u8>) {
        let (parts, number) = self.frames(row, "");
        out.extend_from_slice(format!("{} {number}\n", printable(&parts.join(";"))).as_bytes());
    }

    /// The process, the stacks from the outermost frame on, those of the kernel with a mark, and what is counted:
    /// microseconds if that is a time.
    fn frames(&self, row: &Row, mark: &str) -> (Vec<String>, i128) {
        let mut parts = Vec::new();
        let mut number = None;
        // The stack of the process is outside of that of the kernel, which stands in front of it.
        for (column, cell) in self.columns.iter().zip(row).rev() {
            match cell {
                Cell::Text(stack) if column.form == Form::Stack => {
                    let mark = if column.field.starts_with("kernel") { mark } else { "" };
                    let name = |frame: &str| frame.trim().split('+').next().unwrap_or(frame).replace(';', ":") + mark;
                    parts.extend(stack.lines().rev().map(name));
                }
                Cell::Text(comm) if column.field == "comm" => parts.insert(0, comm.replace(';', ":")),
                Cell::Number(value) if matches!(column.form, Form::Micros | Form::Millis | Form::Seconds) => {
                    number = Some(value / 1_000);
                }
                Cell::Number(value) if column.field == "count" => number = number.or(Some(*value)),
                _ => {}
            }
        }
        (parts, number.unwrap_or(1))
    }

    fn json(&self, cells: &[(Source, Cell)], names: &Names, out: &mut Vec<u8>) {
        for (index, (source, cell)) in cells.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b", " } else { b"{" });
            json_text(self.field(*source), out);
            out.extend_from_slice(b": ");
            match cell {
                Cell::Number(number) if self.form(*source) == Form::Clock => json_text(&exact(*number, names), out),
                Cell::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
                Cell::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
                Cell::Text(text) => json_text(text, out),
                Cell::Empty => out.extend_from_slice(b"null"),
            }
        }
        out.extend_from_slice(b"}\n");
    }

    fn csv(&self, cells: &[(Source, Cell)], names: &Names, out: &mut Vec<u8>) {
        for (index, (source, cell)) in cells.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let text = match cell {
                Cell::Number(number) if self.form(*source) == Form::Clock => exact(*number, names),
                Cell::Number(number) => number.to_string(),
                Cell::Bool(value) => value.to_string(),
                // A row stays one line.
                Cell::Text(stack) if self.form(*source) == Form::Stack => stack.trim().replace('\n', ";"),
                Cell::Text(text) => text.clone(),
                Cell::Empty => String::new(),
            };
            if text.contains([',', '"', '\n', '\r']) {
                out.extend_from_slice(format!("\"{}\"", text.replace('"', "\"\"")).as_bytes());
            } else {
                out.extend_from_slice(text.as_bytes());
            }
        }
        out.push(b'\n');
    }

    /// A cell in a table.
    fn text(&self, source: Source, cell: &Cell, names: &Names) -> String {
        match cell {
            Cell::Empty => "-".to_owned(),
            Cell::Text(text) if text.is_empty() => "-".to_owned(),
            Cell::Text(text) => printable(text),
            Cell::Bool(value) => if *value { "yes" } else { "no" }.to_owned(),
            Cell::Number(number) => match self.form(source) {
                Form::Clock => clock(*number, "%H:%M:%S", names),
                Form::Millis => decimal(*number, 1_000_000, 2),
                Form::Micros => decimal(*number, 1_000, 0),
                Form::Seconds => decimal(*number, 1_000_000_000, 6),
                Form::Kilobytes => decimal(*number, 1024, 2),
                Form::Memory(_) => (number >> 20).to_string(),
                Form::Hex => format!("{number:#x}"),
                Form::Plain | Form::Words | Form::Stack | Form::Named(_) => number.to_string(),
            },
        }
    }

    fn form(&self, source: Source) -> Form {
        match source {
            Source::Column(index) => self.columns[index].form,
            Source::Added(_) => Form::Plain,
            Source::Clock => Form::Clock,
            Source::Since => Form::Seconds,
        }
    }

    fn field(&self, source: Source) -> &str {
        match source {
            Source::Column(index) => &self.columns[index].field,
            Source::Added(index) => ADDED[index].0,
            Source::Clock => "clock",
            Source::Since => "since_ns",
        }
    }

    /// Head, width, and whether it is moved to the right.
    fn place(&self, source: Source) -> (&str, usize, bool) {
        match source {
            Source::Column(index) => {
                let column = &self.columns[index];
                (&column.head, column.width, column.right)
            }
            Source::Added(index) => (ADDED[index].1, ADDED[index].2, false),
            Source::Clock => ("TIME", 8, false),
            Source::Since => ("TIME(s)", 10, false),
        }
    }
}

/// The columns of the output.
fn sources(columns: &[Column], wishes: &Wishes) -> Result<Vec<Source>, String> {
    if let Some(fields) = &wishes.fields {
        let find = |field: &String| {
            let column = columns.iter().position(|column| column.field == *field).map(Source::Column);
            let added = ADDED.iter().position(|(name, ..)| name == field).map(Source::Added);
            column
                .or(added)
                .ok_or_else(|| format!("--fields: there is no field `{field}`; there are: {}", names(columns)))
        };
        return fields.iter().map(find).collect();
    }
    let data = matches!(wishes.style, Style::Json | Style::Csv);
    let wide = data || wishes.style == Style::Wide;
    let shown = |column: &Column| match &column.shown {
        Shown::Always => true,
        Shown::Wide => wide,
        Shown::Data => data,
        Shown::With(option) => wide || wishes.given.contains(option),
        Shown::Without(option) => wide || !wishes.given.contains(option),
    };
    let mut found = Vec::new();
    let has_time = columns.iter().any(|column| column.field == "time");
    if wishes.clock && !data && has_time && !columns.iter().any(|c| c.field == "time" && shown(c)) {
        found.push(Source::Clock);
    }
    if wishes.since && !data && has_time {
        found.push(Source::Since);
    }
    found
        .extend(columns.iter().enumerate().filter(|(_, column)| shown(column)).map(|(index, _)| Source::Column(index)));
    if wide && columns.iter().any(|column| column.field == "pid") {
        found.extend((0..ADDED.len()).map(Source::Added));
    }
    Ok(found)
}

fn names(columns: &[Column]) -> String {
    let added = ADDED.iter().map(|(name, ..)| *name);
    columns.iter().map(|column| column.field.as_str()).chain(added).collect::<Vec<_>>().join(", ")
}

/// Text that changes nothing on a terminal but what it shows.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() { out.extend(char.escape_default()) } else { out.push(char) }
    }
    out
}

/// A quotient with decimal places.
fn decimal(number: i128, divisor: i128, places: u32) -> String {
    let scale = 10i128.pow(places);
    let scaled = number.saturating_mul(scale).div_euclid(divisor);
    let sign = if scaled < 0 { "-" } else { "" };
    let (whole, part) = (scaled.abs() / scale, scaled.abs() % scale);
    if places == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{part:0width$}", width = places as usize)
}

fn clock(time: i128, format: &str, names: &Names) -> String {
    let clock = names.clock();
    let mut out = Vec::new();
    let boot = u64::try_from(time - i128::from(clock.wall_offset())).unwrap_or(0);
    clock.boot_time(boot, format, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A time as RFC 3339 has it, with nanoseconds.
fn exact(time: i128, names: &Names) -> String {
    let zone = clock(time, "%z", names);
    let (hours, minutes) = zone.split_at_checked(3).unwrap_or(("+00", "00"));
    format!("{}.{:09}{hours}:{minutes}", clock(time, "%Y-%m-%dT%H:%M:%S", names), time.rem_euclid(1_000_000_000))
}

/// Appends a text with quotes and escapes.
pub(crate) fn json_text(text: &str, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests;
