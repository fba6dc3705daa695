//! What stands between a running script and the output of a tool: records become rows, rows become text or a recording.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use skep_trace::events::{Flow, Sink};
use skep_trace::maps::Snapshot;
use skep_trace::names::Names;
use skep_trace::table;
use skep_trace::value::{Renderer, Value};

use crate::header::Column;
use crate::metrics::Totals;
use crate::recording::{Part, Recorder};
use crate::row::{Row, row};
use crate::view::{Style, View};

/// Where a problem is left that ends the tool: the viewer belongs to the run.
pub type Problem = Rc<RefCell<Option<io::Error>>>;

/// Takes what a script prints.
#[derive(Debug)]
pub struct Viewer {
    view: View,
    columns: Vec<Column>,
    /// Columns that somebody looks at.
    reads: Vec<bool>,
    recorder: Option<Recorder>,
    /// What is printed in place of rows.
    totals: Option<Totals>,
    /// Rows until the end.
    count: Option<u64>,
    problem: Problem,
}

impl Viewer {
    /// Shows rows with these columns, or writes them to a recording.
    pub fn new(columns: &[Column], view: View, recorder: Option<Recorder>, count: Option<u64>) -> Self {
        let reads = if recorder.is_some() { vec![true; columns.len()] } else { view.reads() };
        Self { view, columns: columns.to_vec(), reads, recorder, totals: None, count, problem: Problem::default() }
    }

    /// Prints totals in place of rows.
    pub fn add_up(&mut self, totals: Option<Totals>) {
        self.totals = totals;
    }

    /// Why the tool had to end, after the run.
    pub fn problem(&self) -> Problem {
        Rc::clone(&self.problem)
    }

    /// Takes a part of a recording; says whether there are enough rows.
    pub fn part(&mut self, part: Part, names: &mut Names, out: &mut Vec<u8>) -> Flow {
        match part {
            Part::Row(row) => self.row(row, names, out),
            Part::Interval => {
                self.due(names, out);
                Flow::Continue
            }
        }
    }

    fn row(&mut self, row: Row, names: &mut Names, out: &mut Vec<u8>) -> Flow {
        match &mut self.recorder {
            Some(recorder) => {
                if let Err(error) = recorder.row(&self.columns, &row) {
                    return self.failed(error);
                }
                self.count = self.count.map(|count| count.saturating_sub(1));
                if self.count == Some(0) { Flow::Exit(0) } else { Flow::Continue }
            }
            None => {
                match &mut self.totals {
                    Some(totals) if self.view.wants(&row) => totals.add(&row),
                    Some(_) => {}
                    None => self.view.push(row, names, out),
                }
                let enough = self.count.is_some_and(|count| self.view.shown() >= count);
                if enough { Flow::Exit(0) } else { Flow::Continue }
            }
        }
    }

    fn failed(&mut self, error: io::Error) -> Flow {
        self.problem.borrow_mut().get_or_insert(error);
        Flow::Exit(1)
    }

    fn due(&mut self, names: &mut Names, out: &mut Vec<u8>) {
        match &mut self.recorder {
            Some(recorder) => {
                if let Err(error) = recorder.interval() {
                    self.failed(error);
                }
            }
            None => match &self.totals {
                Some(totals) => totals.write(out),
                None => self.view.flush(names, out),
            },
        }
    }
}

impl Sink for Viewer {
    fn start(&mut self, out: &mut Vec<u8>) {
        if self.recorder.is_none() && self.totals.is_none() {
            self.view.head(out);
        }
    }

    fn value(&mut self, value: &Value<'_>, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) -> Flow {
        match row(value, &self.columns, &self.reads, renderer) {
            Some(row) => self.row(row, renderer.names, out),
            None => {
                // A remark of the script, which is no row.
                renderer.text(value, out);
                out.push(b'\n');
                Flow::Continue
            }
        }
    }

    fn map(&mut self, snapshot: &Snapshot<'_>, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        match self.view.style() {
            Style::Json => snapshot.rows(table::Style::Json, renderer, out),
            Style::Csv => snapshot.rows(table::Style::Csv, renderer, out),
            Style::Table | Style::Wide | Style::Folded => snapshot.text(renderer, out),
        }
    }

    fn interval(&mut self, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        self.due(renderer.names, out);
    }
}
