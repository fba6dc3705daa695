//! Somebody else who takes what a script prints as values and maps: a tool that makes rows of it.

use std::fmt;
use std::io;

use super::{Dispatcher, Flow, parts};
use crate::maps::Snapshot;
use crate::value::{Renderer, Value};

/// Takes the values and maps that a script prints, in place of the output. What is appended to `out` is written.
pub trait Sink: fmt::Debug {
    /// Everything is attached, and iterators were read.
    fn start(&mut self, out: &mut Vec<u8>);

    /// `print(value)`. Says whether the script goes on.
    fn value(&mut self, value: &Value<'_>, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) -> Flow;

    /// `print(@map)`, unless the map is empty.
    fn map(&mut self, snapshot: &Snapshot<'_>, renderer: &mut Renderer<'_>, out: &mut Vec<u8>);

    /// An interval or the script is over: what was kept is due.
    fn interval(&mut self, renderer: &mut Renderer<'_>, out: &mut Vec<u8>);
}

impl<'p> Dispatcher<'p> {
    /// Hands values and maps to this one from now on. Lost records are reported on standard error then, so that the output
    /// holds nothing else.
    pub fn send_to(&mut self, sink: Box<dyn Sink + 'p>) {
        self.sink = Some(sink);
    }

    /// Tells the sink that everything is attached.
    ///
    /// # Errors
    /// Of writing.
    pub fn started(&mut self) -> io::Result<()> {
        if let Some(sink) = &mut self.sink {
            sink.start(self.output.buffer());
        }
        self.output.end()
    }

    /// Tells the sink that an interval is over.
    ///
    /// # Errors
    /// Of writing.
    pub fn interval(&mut self) -> io::Result<()> {
        let (mut renderer, output) = parts(self.plan, &mut self.names, &mut self.output);
        if let Some(sink) = &mut self.sink {
            sink.interval(&mut renderer, output.buffer());
        }
        output.end()
    }
}
