//! What collectors saw: the records of their scripts, and what is measured without one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::rc::Rc;
use std::time::{Duration, Instant};

use skep_trace::events::{Flow, Sink};
use skep_trace::maps::Snapshot;
use skep_trace::value::{Renderer, Value};

use super::GroupTime;
use crate::header::{Column, Form, Shown};
use crate::netfilter::HookTimes;
use crate::row;

/// A record of a script: values by their names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fact(BTreeMap<String, row::Cell>);

impl Fact {
    /// A fact made of names and values.
    pub fn new<'a>(cells: impl IntoIterator<Item = (&'a str, row::Cell)>) -> Self {
        Self(cells.into_iter().map(|(name, cell)| (name.to_owned(), cell)).collect())
    }

    /// The text of this name; empty without one.
    pub fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(row::Cell::Text(text)) => text,
            _ => "",
        }
    }

    /// The number of this name; 0 without one.
    pub fn number(&self, name: &str) -> i128 {
        self.0.get(name).and_then(row::Cell::as_number).unwrap_or(0)
    }

    /// The process that it is about; 0 without one.
    pub fn pid(&self) -> u32 {
        u32::try_from(self.number("pid")).unwrap_or(0)
    }

    /// Nanoseconds as a time.
    pub fn time(&self, name: &str) -> Duration {
        Duration::from_nanos(u64::try_from(self.number(name)).unwrap_or(0))
    }
}

/// Share of the time in percent during which somebody waited (`/proc/pressure`).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pressure {
    /// For a processor.
    pub cpu: f64,
    /// For a disk.
    pub io: f64,
    /// For memory.
    pub memory: f64,
}

/// Everything that was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// For how long it was looked.
    pub window: Duration,
    /// Processors of the machine.
    pub processors: u32,
    /// The process that looks, which is nobody's trouble.
    pub own: u32,
    /// Records of scripts.
    pub facts: Vec<Fact>,
    /// Times of packets in hooks.
    pub hooks: Vec<HookTimes>,
    /// What limits took from control groups.
    pub groups: Vec<GroupTime>,
    /// Who waited, machine-wide; `None` if the kernel does not count that.
    pub pressure: Option<Pressure>,
}

impl Seen {
    /// The facts that a collector printed under this name, those about the process that looks left out.
    pub fn from<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Fact> {
        self.facts.iter().filter(move |fact| fact.text("from") == name && (self.own == 0 || fact.pid() != self.own))
    }

    /// How much of the whole time this is: 1 is all of it, and more than one thread can have waited.
    pub fn share(&self, time: Duration) -> f64 {
        let all = self.window.as_secs_f64();
        if all == 0.0 { 0.0 } else { time.as_secs_f64() / all }
    }

    /// How often in a second.
    #[allow(clippy::cast_precision_loss)] // counts of some seconds
    pub fn rate(&self, count: i128) -> f64 {
        let all = self.window.as_secs_f64();
        if all == 0.0 { 0.0 } else { count as f64 / all }
    }
}

/// What is measured without a script, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken([Option<u64>; 3]);

/// The totals of `/proc/pressure` at this moment.
pub fn pressure() -> Taken {
    Taken(["cpu", "io", "memory"].map(|name| {
        let text = fs::read_to_string(format!("/proc/pressure/{name}")).ok()?;
        total(&text)
    }))
}

/// Microseconds during which some task waited, in the text of a file of `/proc/pressure`.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.split(' ').find_map(|part| part.strip_prefix("total="))?.parse().ok()
}

impl Taken {
    /// What was waited between two moments, as shares of the time in percent.
    #[allow(clippy::cast_precision_loss)] // microseconds of some seconds
    pub fn until(self, later: Self, window: Duration) -> Option<Pressure> {
        let part = |at: usize| {
            let passed = later.0[at]?.saturating_sub(self.0[at]?);
            Some((passed as f64 / window.as_micros().max(1) as f64 * 100.0).min(100.0))
        };
        Some(Pressure { cpu: part(0)?, io: part(1)?, memory: part(2)? })
    }
}

/// Takes the records of the script.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    facts: Rc<RefCell<Vec<Fact>>>,
    begin: Rc<Cell<Option<Instant>>>,
}

impl Notes {
    /// What was taken so far.
    pub fn take(&self) -> Vec<Fact> {
        std::mem::take(&mut self.facts.borrow_mut())
    }

    /// When everything was attached.
    pub fn begin(&self) -> Option<Instant> {
        self.begin.get()
    }
}

impl Sink for Notes {
    fn start(&mut self, _: &mut Vec<u8>) {
        self.begin.set(Some(Instant::now()));
    }

    fn value(&mut self, value: &Value<'_>, renderer: &mut Renderer<'_>, _: &mut Vec<u8>) -> Flow {
        if let Value::Record(record) = value {
            let cells = record.values().map(|(name, value)| {
                let form = if name == "stack" { Form::Stack } else { Form::Plain };
                (name, row::Cell::of(&value, &column(name, form), renderer))
            });
            let fact = Fact::new(cells);
            self.facts.borrow_mut().push(fact);
        }
        Flow::Continue
    }

    fn map(&mut self, _: &Snapshot<'_>, _: &mut Renderer<'_>, _: &mut Vec<u8>) {}

    fn interval(&mut self, _: &mut Renderer<'_>, _: &mut Vec<u8>) {}
}

fn column(name: &str, form: Form) -> Column {
    let (field, head, doc) = (name.to_owned(), String::new(), String::new());
    Column { field, head, right: false, width: 0, form, shown: Shown::Always, doc }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_a_share_of_the_time() {
        let text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n";
        assert_eq!((total(text), total("full total=9"), total("")), (Some(123), None, None));
        let (before, after) = (Taken([Some(0); 3]), Taken([Some(500_000), Some(0), Some(9_000_000)]));
        let found = before.until(after, Duration::from_secs(1)).unwrap();
        assert_eq!(found, Pressure { cpu: 50.0, io: 0.0, memory: 100.0 });
        assert_eq!(before.until(Taken([None; 3]), Duration::from_secs(1)), None);
    }
}
