//! Maps as text.

use super::{Aggregate, Number, Snapshot, graph, histogram};
use crate::value::{Renderer, push_unsigned};

impl Snapshot<'_> {
    /// Appends the text of the map: a line for each entry, rows and an empty line for histograms and series.
    pub fn text(&self, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        for (key, value) in &self.rows {
            self.title(*key, renderer, out);
            match value {
                Aggregate::Histogram(counters) => {
                    out.extend_from_slice(b":\n");
                    histogram::rows(&self.map.value, counters, self.div, out);
                }
                Aggregate::Series(points) => {
                    out.extend_from_slice(b":\n");
                    graph::rows(&self.map.value, points, renderer.names.clock(), out);
                }
                value => {
                    out.extend_from_slice(b": ");
                    value.text(renderer, out);
                }
            }
            out.push(b'\n');
        }
    }
}

impl Aggregate<'_> {
    /// Appends the value as `print(@m[key])` shows it; histograms and series can only be printed with their map.
    pub fn text(&self, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Plain(value) => renderer.text(value, out),
            Self::Number(number) | Self::Average(number) => push_number(*number, out),
            Self::Stats { count, average, total } => {
                out.extend_from_slice(b"{ .count = ");
                push_unsigned(*count, out);
                out.extend_from_slice(b", .average = ");
                push_number(*average, out);
                out.extend_from_slice(b", .total = ");
                push_number(*total, out);
                out.extend_from_slice(b" }");
            }
            Self::Histogram(_) | Self::Series(_) => {}
        }
    }
}

/// Appends a decimal number.
pub(super) fn push_number(number: Number, out: &mut Vec<u8>) {
    if number.0 < 0 {
        out.push(b'-');
    }
    push_unsigned(u64::try_from(number.0.unsigned_abs()).unwrap_or(u64::MAX), out);
}
