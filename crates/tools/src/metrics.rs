//! Totals of rows in the text format of Prometheus: how many rows there were with the same labels, and the sums of some of
//! their columns. The head of a tool says which columns are labels and which are added up. Source: the exposition format
//! 0.0.4 in Prometheus' documentation.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::header::Header;
use crate::row::{Cell, Row};

/// Most combinations of labels that are told apart; rows with others are added up without labels.
const MOST: usize = 10_000;

/// Which columns count, as the head of a tool has it: `Metrics: LABEL... : SUM...`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// Columns whose values tell rows apart.
    pub labels: Vec<String>,
    /// Columns that are added up.
    pub sums: Vec<String>,
}

impl Shape {
    /// Reads the words of a head.
    ///
    /// # Errors
    /// There are not two lists of names.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (labels, sums) = text.split_once(':').ok_or("`Metrics:` has labels, a colon and what is added up")?;
        let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
        Ok(Self { labels: words(labels), sums: words(sums) })
    }

    /// All columns that it names.
    pub fn fields(&self) -> impl Iterator<Item = &String> {
        self.labels.iter().chain(&self.sums)
    }
}

/// What was added up so far.
#[derive(Debug)]
pub struct Totals {
    tool: String,
    shape: Shape,
    labels: Vec<usize>,
    sums: Vec<usize>,
    /// By the values of the labels: the rows, then the sums.
    totals: BTreeMap<Vec<String>, Vec<i128>>,
}

impl Totals {
    /// Nothing yet; `None` if the head of the tool does not say what counts.
    pub fn new(header: &Header) -> Option<Self> {
        let shape = header.metrics.clone()?;
        let places = |names: &[String]| {
            let place = |name: &String| header.columns.iter().position(|column| column.field == *name);
            names.iter().map(place).collect::<Option<Vec<_>>>()
        };
        let (labels, sums) = (places(&shape.labels)?, places(&shape.sums)?);
        Some(Self { tool: header.name.clone(), shape, labels, sums, totals: BTreeMap::new() })
    }

    /// Adds a row.
    pub fn add(&mut self, row: &Row) {
        let text = |index: &usize| match &row[*index] {
            Cell::Empty => String::new(),
            Cell::Number(number) => number.to_string(),
            Cell::Bool(value) => value.to_string(),
            Cell::Text(text) => text.clone(),
        };
        let mut key: Vec<String> = self.labels.iter().map(text).collect();
        if self.totals.len() >= MOST && !self.totals.contains_key(&key) {
            key.iter_mut().for_each(String::clear);
        }
        let total = self.totals.entry(key).or_insert_with(|| vec![0; self.sums.len() + 1]);
        total[0] += 1;
        for (sum, index) in total[1..].iter_mut().zip(&self.sums) {
            *sum += row[*index].as_number().unwrap_or(0);
        }
    }

    /// Writes all totals.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut text = String::new();
        let names = std::iter::once("rows").chain(self.shape.sums.iter().map(String::as_str));
        for (number, name) in names.enumerate() {
            let metric = format!("skep_{}_{name}_total", self.tool);
            // Writing to a string succeeds.
            let _ = writeln!(text, "# TYPE {metric} counter");
            for (values, total) in &self.totals {
                let labels = self.shape.labels.iter().zip(values);
                let labels: Vec<String> =
                    labels.map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
                let _ = writeln!(text, "{metric}{{{}}} {}", labels.join(","), total[number]);
            }
        }
        out.extend_from_slice(text.as_bytes());
    }
}

/// The value of a label: backslashes, quotes and line ends are escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_added_up() {
        let text = "/*\n * thing: Title\n *\n * Question: What?\n * Topic: network\n *\n * Columns:\n \
                    *   name   NAME  <5  always  A name.\n *   size   SIZE  >5  always  A size.\n *\n \
                    * Metrics: name : size\n *\n * Example:\n *   $ x\n */\n";
        let header = Header::parse(text).unwrap();
        let mut totals = Totals::new(&header).unwrap();
        for (name, size) in [("a\"b", 5), ("c", 7), ("a\"b", 6)] {
            totals.add(&vec![Cell::Text(name.into()), Cell::Number(size)]);
        }
        let mut out = Vec::new();
        totals.write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "# TYPE skep_thing_rows_total counter\n\
             skep_thing_rows_total{name=\"a\\\"b\"} 2\n\
             skep_thing_rows_total{name=\"c\"} 1\n\
             # TYPE skep_thing_size_total counter\n\
             skep_thing_size_total{name=\"a\\\"b\"} 11\n\
             skep_thing_size_total{name=\"c\"} 7\n"
        );
        for number in 0..2 * MOST {
            totals.add(&vec![Cell::Text(number.to_string()), Cell::Number(1)]);
        }
        assert!(totals.totals.len() <= MOST + 1);
        let rows: i128 = totals.totals.values().map(|total| total[0]).sum();
        assert_eq!(rows, 3 + 2 * MOST as i128);
    }

    #[test]
    fn heads_name_columns() {
        assert!(Shape::parse("a b").is_err());
        assert_eq!(Shape::parse("a b: c").unwrap().fields().count(), 3);
    }
}
