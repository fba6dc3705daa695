//! What the script sends, in the forms of the tools.
//!
//! Scripts of the simple kind print lines, which pass through. Scripts with tables print a record for each row and then a
//! record that ends the table; the rows are gathered, ordered and printed together. Both come as the JSON lines of the
//! runtime, so that a value is never mistaken for punctuation.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::Value;

/// How everything that a script sends is printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// What happens to lines.
    pub lines: Lines,
    /// The tables, by the number in the field `table` of their rows.
    pub tables: Vec<Table>,
}

impl Layout {
    /// Whether the script's own text is the output already.
    pub fn is_plain(&self) -> bool {
        self.tables.is_empty() && self.lines == Lines::default()
    }
}

/// What happens to lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// Only those with this part are shown; the first line, the header, always is.
    pub only: Option<String>,
    /// Whether equal lines are counted and shown at the end.
    pub count: bool,
}

/// A table: rows that are printed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// A line in front of it; empty for none.
    pub title: String,
    /// What the rows are.
    pub rows: Rows,
    /// Only so many of the last rows.
    pub top: Option<usize>,
}

/// What rows are and how they are printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// Names and how often each occurred: `FUNC COUNT`.
    Counts,
    /// Values of expressions and how often they occurred together.
    Values {
        /// The expressions.
        labels: Vec<String>,
    },
    /// Stack traces and how often each occurred.
    Stacks {
        /// A line of dashes between the stacks of the kernel and of the process.
        delimiter: bool,
        /// One line each, for flame graphs.
        folded: bool,
        /// Offsets behind the names of functions.
        offsets: bool,
    },
    /// Powers of two: not rows, but a map of histograms, whose name ends with the number of the table. A map of the same
    /// number with statistics, which comes before, gives the line below.
    Histogram {
        /// What the numbers are: `usecs`.
        unit: String,
    },
}

/// Receives the JSON lines of the runtime and prints.
pub struct Report<W: Write> {
    layout: Layout,
    out: W,
    /// Bytes behind the last end of a line.
    partial: Vec<u8>,
    rows: HashMap<u64, Vec<Value>>,
    /// Statistics that belong to the next histogram of a table.
    statistics: HashMap<usize, Value>,
    counted: Vec<(String, u64)>,
    header: bool,
}

impl<W: Write> Report<W> {
    /// A report that prints to `out`.
    pub fn new(layout: Layout, out: W) -> Self {
        Self {
            layout,
            out,
            partial: Vec::new(),
            rows: HashMap::new(),
            statistics: HashMap::new(),
            counted: Vec::new(),
            header: false,
        }
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let Ok(message) = serde_json::from_slice::<Value>(line) else {
            return Ok(());
        };
        match (message["type"].as_str(), &message["data"]) {
            (Some("printf" | "time"), Value::String(text)) => self.text(text),
            (Some("value"), row) => self.row(row),
            (Some("stats"), Value::Object(maps)) => {
                self.statistics.extend(maps.iter().filter_map(|(name, data)| Some((number(name)?, data.clone()))));
                Ok(())
            }
            (Some("hist"), Value::Object(maps)) => maps.iter().try_for_each(|(name, data)| self.histograms(name, data)),
            _ => Ok(()),
        }
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let header = !std::mem::replace(&mut self.header, true);
        let lines = &self.layout.lines;
        if header || self.layout.tables.len() + usize::from(lines.count) == 0 {
            let shown = header || lines.only.as_ref().is_none_or(|part| text.contains(part));
            return if shown { self.out.write_all(text.as_bytes()) } else { Ok(()) };
        }
        if !lines.count {
            return self.out.write_all(text.as_bytes());
        }
        if lines.only.as_ref().is_some_and(|part| !text.contains(part)) {
            return Ok(());
        }
        match self.counted.iter_mut().find(|(line, _)| line == text) {
            Some((_, count)) => *count += 1,
            None => self.counted.push((text.to_owned(), 1)),
        }
        Ok(())
    }

    fn row(&mut self, row: &Value) -> io::Result<()> {
        let table = row["table"].as_u64().unwrap_or(u64::MAX);
        if row.get("end").is_none() {
            self.rows.entry(table).or_default().push(row.clone());
            return Ok(());
        }
        let rows = self.rows.remove(&table).unwrap_or_default();
        let Some(shape) = usize::try_from(table).ok().and_then(|table| self.layout.tables.get(table)) else {
            return Ok(());
        };
        print(shape, rows, &mut self.out)?;
        self.out.flush()
    }

    fn histograms(&mut self, name: &str, data: &Value) -> io::Result<()> {
        let Some(index) = number(name) else { return Ok(()) };
        let Some(Table { title, rows: Rows::Histogram { unit }, .. }) = self.layout.tables.get(index) else {
            return Ok(());
        };
        if !title.is_empty() {
            writeln!(self.out, "{title}")?;
        }
        let statistics = self.statistics.remove(&index).unwrap_or_default();
        match data {
            Value::Object(keys) => {
                for (key, buckets) in keys {
                    writeln!(self.out, "\nFunction = {key}")?;
                    histogram(buckets, unit, &mut self.out)?;
                    summary(&statistics[key], unit, &mut self.out)?;
                }
            }
            buckets => {
                histogram(buckets, unit, &mut self.out)?;
                summary(&statistics, unit, &mut self.out)?;
            }
        }
        self.out.flush()
    }

    /// Prints what was counted. To be called at the end.
    ///
    /// # Errors
    /// Of writing.
    pub fn finish(&mut self) -> io::Result<()> {
        let mut counted = std::mem::take(&mut self.counted);
        counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (line, count) in counted {
            // The line, then how often it occurred, as the original prints it.
            write!(self.out, "{count:<7} {line}")?;
        }
        self.out.flush()
    }
}

impl<W: Write> Write for Report<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            if self.partial.is_empty() {
                self.line(&rest[..end])?;
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(&rest[..end]);
                self.line(&line)?;
            }
            rest = &rest[end + 1..];
        }
        self.partial.extend_from_slice(rest);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Prints rows as a table.
///
/// # Errors
/// Of writing.
pub fn print(table: &Table, mut rows: Vec<Value>, out: &mut dyn Write) -> io::Result<()> {
    rows.sort_by_key(count);
    let skip = table.top.map_or(0, |top| rows.len().saturating_sub(top));
    let rows = &rows[skip..];
    if !table.title.is_empty() {
        writeln!(out, "{}", table.title)?;
    }
    match &table.rows {
        Rows::Counts => {
            let rows = merged(rows);
            writeln!(out, "{:<36} {:>8}", "FUNC", "COUNT")?;
            rows.iter().try_for_each(|(name, count)| writeln!(out, "{name:<36} {count:>8}"))
        }
        Rows::Values { labels } => {
            writeln!(out, "\t{:<10} EVENT", "COUNT")?;
            for row in rows {
                let values: Vec<String> = labels
                    .iter()
                    .enumerate()
                    .map(|(at, label)| format!("{label} = {}", cell(row, &format!("k{at}"))))
                    .collect();
                writeln!(out, "\t{:<10} {}", count(row), values.join(", "))?;
            }
            Ok(())
        }
        Rows::Stacks { .. } => rows.iter().try_for_each(|row| stack(row, &table.rows, out)),
        Rows::Histogram { .. } => Ok(()),
    }
}

/// The same function has another address in each process.
fn merged(rows: &[Value]) -> Vec<(String, i64)> {
    let mut counts: HashMap<String, i64> = HashMap::new();
    for row in rows {
        let name = cell(row, "name");
        *counts.entry(function(&name).to_owned()).or_default() += count(row);
    }
    let mut all: Vec<(String, i64)> = counts.into_iter().collect();
    all.sort_by(|(left, a), (right, b)| a.cmp(b).then_with(|| left.cmp(right)));
    all
}

/// The function in the name of a probe in a library: `uprobe:libc:strlen`.
fn function(name: &str) -> &str {
    let mut parts = name.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("uprobe" | "uretprobe"), Some(_), Some(function)) => function,
        _ => name,
    }
}

fn count(row: &Value) -> i64 {
    match &row["count"] {
        Value::Number(number) => number.as_i64().unwrap_or(i64::MAX),
        Value::String(text) => text.parse().unwrap_or(i64::MAX),
        _ => 0,
    }
}

fn cell(row: &Value, field: &str) -> String {
    match &row[field] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn frames(row: &Value, field: &str, offsets: bool) -> Vec<String> {
    let text = cell(row, field);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "null");
    let shown = |line: &str| match line.rsplit_once('+') {
        Some((name, offset)) if !offsets && offset.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'x') => {
            name.to_owned()
        }
        _ => line.to_owned(),
    };
    lines.map(shown).collect()
}

fn stack(row: &Value, rows: &Rows, out: &mut dyn Write) -> io::Result<()> {
    let Rows::Stacks { delimiter, folded, offsets } = *rows else { return Ok(()) };
    let (kernel, user) = (frames(row, "kstack", offsets), frames(row, "ustack", offsets));
    let name = row
        .get("comm")
        .map(|_| if folded { cell(row, "comm") } else { format!("{} [{}]", cell(row, "comm"), cell(row, "pid")) });
    if folded {
        let mut all: Vec<String> = name.into_iter().collect();
        all.extend(user.iter().rev().cloned());
        all.extend(kernel.iter().rev().cloned());
        return writeln!(out, "{} {}", all.join(";"), count(row));
    }
    for frame in &kernel {
        writeln!(out, "  {frame}")?;
    }
    if delimiter && !kernel.is_empty() && !user.is_empty() {
        writeln!(out, "    --")?;
    }
    for frame in &user {
        writeln!(out, "  {frame}")?;
    }
    if let Some(name) = name {
        writeln!(out, "    {name}")?;
    }
    writeln!(out, "    {}\n", count(row))
}

/// Most stars of a bar.
const STARS: usize = 40;

/// The line below a histogram, if there are statistics.
fn summary(statistics: &Value, unit: &str, out: &mut dyn Write) -> io::Result<()> {
    let field = |name: &str| statistics.get(name).map(Value::to_string);
    match (field("average"), field("total"), field("count")) {
        (Some(average), Some(total), Some(count)) => {
            writeln!(out, "\navg = {average} {unit}, total: {total} {unit}, count: {count}\n")
        }
        _ => Ok(()),
    }
}

/// The number in the name of a map: `@h3` is the histogram of table 3.
fn number(name: &str) -> Option<usize> {
    name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// Prints a histogram of powers of two from the buckets of the runtime: 0, 1, 2 to 3, 4 to 7 and so on.
///
/// # Errors
/// Of writing.
pub fn histogram(buckets: &Value, unit: &str, out: &mut dyn Write) -> io::Result<()> {
    let (mut counts, mut below) = ([0i64; 64], 0);
    for bucket in buckets.as_array().into_iter().flatten() {
        let number = &bucket["min"];
        let low = number.as_u64().or_else(|| number.as_str().and_then(|text| text.parse().ok()));
        match low {
            Some(low) => counts[low.max(1).ilog2() as usize] += count(bucket),
            None => below += count(bucket),
        }
    }
    let Some(last) = counts.iter().rposition(|count| *count > 0).or((below > 0).then_some(0)) else {
        return Ok(());
    };
    let most = counts.iter().copied().max().unwrap_or(0).max(below).max(1);
    let (width, stars) = if last < 32 { (10, STARS) } else { (20, STARS / 2) };
    let bar =
        |count: i64| "*".repeat(usize::try_from(i128::from(count) * stars as i128 / i128::from(most)).unwrap_or(0));
    writeln!(out, "     {unit:<label$} : count     distribution", label = 2 * width - 1)?;
    if below > 0 {
        let label = 2 * width + 4;
        writeln!(out, "{:>label$} : {below:<8} |{:<stars$}|", "below 0", bar(below))?;
    }
    for (bucket, count) in counts.iter().enumerate().take(last + 1) {
        let low = if bucket == 0 { 0 } else { 1u64 << bucket };
        let high = u64::MAX >> (63 - bucket);
        writeln!(out, "{low:>width$} -> {high:<width$} : {count:<8} |{:<stars$}|", bar(*count))?;
    }
    Ok(())
}
