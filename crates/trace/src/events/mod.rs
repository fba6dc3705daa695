//! Records: what programs ask the host to do, done.
//!
//! ```text
//!  ring buffer --record--> Dispatcher --action of the plan--+--> Output: text or JSON lines, buffered
//!                                                           +--> MapSource: print, clear, zero
//!                                                           +--> warnings with the place in the script
//! ```

mod actions;
mod output;
mod packets;
mod results;
mod rows;
mod sink;

use std::fmt;
use std::io;

use skep_lang_script::plan::{Action, Plan};

pub use output::{Buffering, Form, Output};
pub use results::{BenchResult, TestResult};
pub use sink::Sink;

use crate::flame::{Folded, has_stack};
use crate::format::{Format, FormatError};
use crate::maps::{MapRequest, MapSource, Snapshot, SourceError, gathered, united};
use crate::names::Names;
use crate::table::Style;
use crate::value::{Renderer, json_string, push_unsigned, word};

/// The text of a script, for the places in warnings.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Its file name, or what else it is called.
    pub name: String,
    /// The text.
    pub text: String,
}

/// Why output could not go on.
#[derive(Debug)]
pub enum EventError {
    /// The output cannot be written.
    Output(io::Error),
    /// A map cannot be read or changed.
    Map {
        /// Its name in the script.
        map: String,
        /// The reason.
        error: SourceError,
    },
    /// A format of the plan does not fit its arguments; the plan was not made by the compiler of this version.
    Format {
        /// The format.
        format: String,
        /// The reason.
        error: FormatError,
    },
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(error) => write!(f, "cannot write the output: {error}"),
            Self::Map { map, error } => write!(f, "cannot read or change the map {map}: {error}"),
            Self::Format { format, error } => write!(f, "the format {format:?} of the plan cannot be used: {error}"),
        }
    }
}

impl std::error::Error for EventError {}

impl From<io::Error> for EventError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// What comes after a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next record.
    Continue,
    /// The end, with this exit status.
    Exit(i32),
}

/// What became of records. Every record that a program sent or could not send is in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Records whose action was performed.
    pub handled: u64,
    /// Records that came after `exit()`.
    pub after_exit: u64,
    /// Records that are too short for their action, or whose action does not exist.
    pub damaged: u64,
    /// Records for which there was no room.
    pub lost: u64,
}

/// Performs the actions of records.
#[derive(Debug)]
pub struct Dispatcher<'p> {
    plan: &'p Plan,
    /// Compiled formats by action.
    formats: Vec<Option<Format>>,
    /// Least bytes of records by action.
    lengths: Vec<u64>,
    script: Script,
    names: Names,
    output: Output,
    packets: packets::Captures,
    warnings: bool,
    exit: Option<i32>,
    /// The status of an `exit()` before [`resume`](Dispatcher::resume).
    status: Option<i32>,
    failed: bool,
    counts: Counts,
    /// Takes values and maps in place of the output.
    sink: Option<Box<dyn Sink + 'p>>,
    /// Values that were printed as rows.
    rows: rows::Printed,
    /// Kept from one record to the next.
    text: Vec<u8>,
}

impl<'p> Dispatcher<'p> {
    /// Compiles the formats of a plan.
    ///
    /// # Errors
    /// [`EventError::Format`].
    pub fn new(plan: &'p Plan, script: Script, names: Names, output: Output) -> Result<Self, EventError> {
        let compile = |action: &Action| match action {
            Action::Print { format, args, .. } | Action::Cat { format, args } | Action::System { format, args } => {
                let compiled = Format::compile(format, args.len());
                compiled.map(Some).map_err(|error| EventError::Format { format: format.to_string(), error })
            }
            _ => Ok(None),
        };
        let formats = plan.actions.iter().map(compile).collect::<Result<_, _>>()?;
        let lengths = plan.actions.iter().map(actions::length).collect();
        let (warnings, counts) = (true, Counts::default());
        let (exit, status, failed, text) = (None, None, false, Vec::new());
        let packets = packets::Captures::default();
        let rows = rows::Printed::default();
        Ok(Self {
            plan,
            formats,
            lengths,
            script,
            names,
            output,
            packets,
            warnings,
            exit,
            status,
            failed,
            counts,
            sink: None,
            rows,
            text,
        })
    }

    /// Whether warnings at run time are shown (`--no-warnings`). Those of `warnf()` always are.
    pub fn show_warnings(&mut self, show: bool) {
        self.warnings = show;
    }

    /// The exit status: that of `exit()`, 1 after `errorf()`, else 0.
    pub fn status(&self) -> i32 {
        self.exit.or(self.status).unwrap_or_else(|| self.failed.into())
    }

    /// Performs records again behind an `exit()`, for the probes that run at the end. The status stays.
    pub fn resume(&mut self) {
        self.status = self.exit.take().or(self.status);
    }

    /// Status of an `exit()` and whether there were errors since the last time; both are forgotten, and what comes later is
    /// looked at again.
    pub fn take_outcome(&mut self) -> (Option<i32>, bool) {
        (self.exit.take(), std::mem::take(&mut self.failed))
    }

    /// Ends the script with this status as `exit()` does: for one whose record found no room.
    pub fn lost_exit(&mut self, status: i32) {
        self.exit.get_or_insert(status);
    }

    /// Takes note that records of `errorf()` found no room: they decide about the exit status all the same.
    pub fn lost_errors(&mut self) {
        self.failed = true;
    }

    /// What became of the records so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The output.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Symbols, users, clocks.
    pub fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// Performs the action of a record.
    ///
    /// # Errors
    /// If the output cannot be written or a map not be read. The record counts as handled then.
    pub fn record(&mut self, record: &[u8], maps: &mut dyn MapSource) -> Result<Flow, EventError> {
        if let Some(status) = self.exit {
            self.counts.after_exit += 1;
            return Ok(Flow::Exit(status));
        }
        let plan = self.plan;
        let index = word(record, 0).and_then(|index| usize::try_from(index).ok()).unwrap_or(usize::MAX);
        let long = self.lengths.get(index).is_some_and(|&least| record.len() as u64 >= least);
        let Some(action) = plan.actions.get(index).filter(|_| long) else {
            self.counts.damaged += 1;
            return Ok(Flow::Continue);
        };
        self.counts.handled += 1;
        self.perform(index, action, record, maps)?;
        Ok(self.exit.map_or(Flow::Continue, Flow::Exit))
    }

    /// Says how many probes are attached.
    ///
    /// # Errors
    /// Of writing.
    pub fn attached(&mut self, probes: u64) -> Result<(), EventError> {
        match self.output.form() {
            Form::Text | Form::Table | Form::Csv => {
                let plural = if probes == 1 { "" } else { "s" };
                self.output.warn(format!("Attached {probes} probe{plural}\n").as_bytes())?;
            }
            Form::Json => self.count_message("attached_probes", "probes", probes)?,
        }
        Ok(())
    }

    /// Takes note of records for which there was no room, and says so.
    ///
    /// # Errors
    /// Of writing.
    pub fn lost(&mut self, records: u64) -> Result<(), EventError> {
        if records == 0 {
            return Ok(());
        }
        self.counts.lost += records;
        if self.sink.is_some() {
            self.output.warn(format!("Lost {records} events: the buffer was full\n").as_bytes())?;
            return Ok(());
        }
        match self.output.form() {
            Form::Json => self.count_message("lost_events", "events", records)?,
            _ => self.output.string("lost_events", format!("Lost {records} events\n").as_bytes())?,
        }
        Ok(())
    }

    /// Says how many records were sent behind an `exit()`, and so were left out, if there were any.
    ///
    /// # Errors
    /// Of writing.
    pub fn say_left_out(&mut self) -> Result<(), EventError> {
        match (self.counts.after_exit, self.output.form()) {
            (0, _) => {}
            (count, Form::Json) => self.count_message("left_out_events", "events", count)?,
            (count, _) => {
                let text = format!("{count} events were sent behind exit() and left out\n");
                self.output.warn(text.as_bytes())?;
            }
        }
        Ok(self.output.flush()?)
    }

    fn count_message(&mut self, kind: &str, name: &str, count: u64) -> io::Result<()> {
        self.output.json_open(kind);
        let out = self.output.buffer();
        out.extend_from_slice(b", \"count\": ");
        push_unsigned(count, out);
        out.extend_from_slice(b", \"data\": {");
        json_string(name.as_bytes(), out);
        out.extend_from_slice(b": ");
        push_unsigned(count, out);
        out.extend_from_slice(b"}}\n");
        self.output.end()
    }

    /// Prints the maps that are not empty, by name, unless the settings say no; then writes everything.
    ///
    /// # Errors
    /// If the output cannot be written or a map not be read. The remaining maps are printed all the same.
    pub fn finish(&mut self, maps: &mut dyn MapSource) -> Result<(), EventError> {
        if self.sink.is_some() {
            self.interval()?;
        } else if self.output.form() == Form::Text {
            self.output.buffer().extend_from_slice(b"\n\n");
        }
        let mut result = Ok(());
        if self.plan.settings.print_maps_on_exit {
            let mut order: Vec<usize> = (0..self.plan.maps.len()).collect();
            order.sort_by(|&a, &b| self.plan.maps[a].name.cmp(&self.plan.maps[b].name));
            for map in order {
                result = result.and(self.print_map(map, MapRequest::default(), maps));
            }
        }
        self.output.flush()?;
        result
    }

    /// The stack traces in the keys of maps, for flame graphs.
    ///
    /// # Errors
    /// If a map cannot be read.
    pub fn fold(&mut self, maps: &mut dyn MapSource) -> Result<Folded, EventError> {
        let plan = self.plan;
        let mut folded = Folded::default();
        for (index, map) in plan.maps.iter().enumerate().filter(|(_, map)| has_stack(map)) {
            let entries = maps.entries(index).map_err(|error| self.map_error(index, error))?;
            let (mut renderer, _) = parts(plan, &mut self.names, &mut self.output);
            folded.add(plan, &Snapshot::new(map, &entries, MapRequest::default()), &mut renderer);
        }
        Ok(folded)
    }

    fn print_map(&mut self, index: usize, request: MapRequest, maps: &mut dyn MapSource) -> Result<(), EventError> {
        let plan = self.plan;
        let Some(map) = plan.maps.get(index) else { return Ok(()) };
        let entries = maps.entries(index).map_err(|error| self.map_error(index, error))?;
        let entries = united(map, gathered(map, entries), self.names.symbols());
        let snapshot = Snapshot::new(map, &entries, request);
        if snapshot.is_empty() {
            return Ok(());
        }
        let (mut renderer, output) = parts(plan, &mut self.names, &mut self.output);
        if let Some(sink) = &mut self.sink {
            sink.map(&snapshot, &mut renderer, output.buffer());
            return Ok(output.end()?);
        }
        match output.form() {
            Form::Text => snapshot.text(&mut renderer, output.buffer()),
            Form::Table => {
                self.rows.begin_part(output.buffer());
                output.buffer().extend_from_slice(format!("{}\n", map.name).as_bytes());
                snapshot.rows(Style::Table, &mut renderer, output.buffer());
            }
            Form::Csv => {
                self.rows.begin_part(output.buffer());
                snapshot.named_rows(Style::Csv, &mut renderer, output.buffer());
            }
            Form::Json => output.json(snapshot.json_type(), |out| snapshot.json(&mut renderer, out)),
        }
        Ok(output.end()?)
    }

    fn map_error(&self, map: usize, error: SourceError) -> EventError {
        let name = self.plan.maps.get(map).map(|map| map.name.to_string()).unwrap_or_default();
        EventError::Map { map: name, error }
    }

    /// `NAME:LINE:COLUMN: `
    fn place(&self, at: (u32, u32)) -> String {
        format!("{}:{}:{}: ", self.script.name, at.0, at.1)
    }

    /// The line of the script with a mark below the column.
    fn excerpt(&self, (line, column): (u32, u32)) -> String {
        let index = (line as usize).checked_sub(1);
        let Some(text) = index.and_then(|index| self.script.text.lines().nth(index)) else { return String::new() };
        let before = text.chars().take((column as usize).saturating_sub(1));
        let blank: String = before.map(|char| if char == '\t' { '\t' } else { ' ' }).collect();
        format!("{text}\n{blank}~\n")
    }
}

/// What renders and what is rendered to, borrowed apart.
fn parts<'a>(plan: &'a Plan, names: &'a mut Names, output: &'a mut Output) -> (Renderer<'a>, &'a mut Output) {
    let (enums, truncation, flags) = (&plan.enums, &plan.settings.truncation, &plan.allocation_flags);
    (Renderer { names, enums, truncation, full: plan.settings.max_strlen, flags }, output)
}

#[cfg(test)]
mod tests;
