//! Series as graphs: a line for each interval, a star where the value is.
//!
//! ```text
//!              -7                                                 17
//! hh:mm:ss.ms  |___________________________________________________|
//! 13:52:21.800 |            * .                                    | -1
//! 13:52:21.900 |              .                                    | -
//! 13:52:22.000 |              .          *                         | 5
//!              v___________________________________________________v
//!              -7                                                 17
//! ```

use std::io::Write;

use skep_lang_script::plan::MapValue;

use super::text::push_number;
use super::{Number, Point};
use crate::names::Clock;
use crate::value::json_integer;

/// Columns of the graph with both its edges.
const WIDTH: usize = 53;
const SECOND: u64 = 1_000_000_000;

// TABLE
/// Units of time: nanoseconds, how the head calls them, digits behind the seconds.
const RESOLUTIONS: [(u64, &str, usize); 4] = [(SECOND, "", 0), (1_000_000, ".ms", 3), (1_000, ".us", 6), (1, ".ns", 9)];

/// Appends the graph.
pub(super) fn rows(kind: &MapValue, points: &[Point], clock: &Clock, out: &mut Vec<u8>) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    let interval = interval(kind);
    let (label, digits) = resolution(interval, points.len());
    let indent = "hh:mm:ss ".len() + if digits > 0 { digits + 1 } else { 0 };
    let (mut min, mut max) = bounds(points);
    if min == max {
        (min, max) = (Number(min.0 - 1), Number(max.0 + 1));
    }
    edges(indent, min, max, out);
    let _ = writeln!(out, "{:<indent$}|{}|", format!("hh:mm:ss{label}"), "_".repeat(WIDTH - 2));
    let column = |value: Number| ((value.0 - min.0) * (WIDTH as i128 - 1) / (max.0 - min.0)) as usize;
    let zero = (min.0 < 0 && max.0 > 0).then(|| column(Number(0)));
    let mut rest = points.iter().peekable();
    for number in first.interval..=last.interval {
        let point = rest.next_if(|point| point.interval == number);
        time(clock, number, interval, "%H:%M:%S", digits, out);
        let mut line = [b' '; WIDTH];
        (line[0], line[WIDTH - 1]) = (b'|', b'|');
        for (column, mark) in [(zero, b'.'), (point.map(|point| column(point.value)), b'*')] {
            if let Some(place) = column.and_then(|column| line.get_mut(column)) {
                *place = mark;
            }
        }
        out.push(b' ');
        out.extend_from_slice(&line);
        out.push(b' ');
        match point {
            Some(point) => push_number(point.value, out),
            None => out.push(b'-'),
        }
        out.push(b'\n');
    }
    let _ = writeln!(out, "{:indent$}v{}v", "", "_".repeat(WIDTH - 2));
    edges(indent, min, max, out);
}

/// The smallest value at the left edge, the largest at the right one.
fn edges(indent: usize, min: Number, max: Number, out: &mut Vec<u8>) {
    let (min, max) = (min.0.to_string(), max.0.to_string());
    let width = WIDTH.saturating_sub(min.len());
    let _ = writeln!(out, "{:indent$}{min}{max:>width$}", "");
}

fn bounds(points: &[Point]) -> (Number, Number) {
    let values = || points.iter().map(|point| point.value);
    (values().min().unwrap_or(Number(0)), values().max().unwrap_or(Number(0)))
}

/// Nanoseconds in an interval, at least 1.
pub(super) fn interval(kind: &MapValue) -> u64 {
    match *kind {
        MapValue::Series { interval, .. } => interval.max(1),
        _ => 1,
    }
}

/// The coarsest unit that tells the intervals apart; one interval alone is shown in full.
fn resolution(interval: u64, points: usize) -> (&'static str, usize) {
    let fits = |unit: &&(u64, &str, usize)| points > 1 && interval.is_multiple_of(unit.0);
    let (_, label, digits) = RESOLUTIONS.iter().find(fits).unwrap_or(&RESOLUTIONS[3]);
    (label, *digits)
}

/// Appends the start of an interval.
fn time(clock: &Clock, number: u64, interval: u64, format: &str, digits: usize, out: &mut Vec<u8>) {
    let nanoseconds = i128::from(number).saturating_mul(i128::from(interval));
    clock.wall_time(nanoseconds, format, out);
    if digits > 0 {
        let fraction = format!("{:09}", nanoseconds.unsigned_abs() % u128::from(SECOND));
        out.push(b'.');
        out.extend_from_slice(&fraction.as_bytes()[..digits]);
    }
}

/// Appends the intervals as JSON; those without a value are left out.
pub(super) fn json(kind: &MapValue, points: &[Point], clock: &Clock, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, point) in points.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",{" } else { b"{" });
        out.extend_from_slice(b"\"interval_start\":\"");
        time(clock, point.interval, interval(kind), "%Y-%m-%d %H:%M:%S", 9, out);
        out.extend_from_slice(b"\",\"value\":");
        json_integer(point.value.get(), out);
        out.push(b'}');
    }
    out.push(b']');
}
