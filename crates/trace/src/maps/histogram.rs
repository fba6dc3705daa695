//! Histograms: buckets, labels, rows.

use std::ops::Range;

use skep_lang_script::plan::{Buckets, MapValue};

use crate::value::{json_integer, push_unsigned};

/// Columns of the bar.
const BAR: usize = 52;
/// Columns of the label and of the count.
const LABEL: usize = 16;
const COUNT: usize = 8;
/// Most buckets of `lhist()`: what the language allows, and one below and above.
const MOST_LINEAR: i128 = 1000 + 2;

/// A bucket: from, to (not included); open ends are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    start: Option<i128>,
    end: Option<i128>,
}

/// How many counters an `lhist()` has.
pub(super) fn linear_buckets(min: i64, max: i64, step: i64) -> usize {
    let inside = (i128::from(max) - i128::from(min)) / i128::from(step.max(1));
    usize::try_from((inside.max(0) + 2).min(MOST_LINEAR)).unwrap_or(2)
}

fn bucket(kind: &MapValue, index: usize, len: usize) -> Bucket {
    match *kind {
        MapValue::LinearHist { min, step, .. } => {
            let edge = |index: usize| i128::from(min) + i128::from(step) * i128::try_from(index).unwrap_or(0);
            Bucket { start: index.checked_sub(1).map(edge), end: (index + 1 < len).then(|| edge(index)) }
        }
        MapValue::Hist { bits } if index > 0 => {
            let (start, end) = Buckets::range(u32::try_from(index).unwrap_or(1), bits.min(5));
            Bucket { start: Some(start.into()), end: end.map(i128::from) }
        }
        _ => Bucket { start: None, end: Some(0) },
    }
}

/// A bound with the unit that makes it shortest.
fn bound(kind: &MapValue, number: i128) -> String {
    const UNITS: &[&str] = &["", "K", "M", "G", "T", "P", "E"];
    let unit = match *kind {
        // Buckets are as wide as the unit only from 2^bits units on.
        MapValue::Hist { bits } => (1..UNITS.len()).rev().find(|&unit| number >= 1 << (10 * unit as u32 + bits.min(5))),
        MapValue::LinearHist { step, .. } if step % 1024 == 0 && number != 0 => {
            (1..=2).rev().find(|&unit| number % (1 << (10 * unit)) == 0)
        }
        _ => None,
    };
    let unit = unit.unwrap_or(0);
    format!("{}{}", number / (1 << (10 * unit)), UNITS[unit])
}

fn label(kind: &MapValue, bucket: Bucket) -> String {
    match (bucket.start, bucket.end) {
        (Some(start), Some(end)) if end - start == 1 => format!("[{}]", bound(kind, start)),
        (start, end) => {
            let start = start.map_or("(...".to_owned(), |start| format!("[{}", bound(kind, start)));
            let end = end.map_or("...)".to_owned(), |end| format!("{})", bound(kind, end)));
            format!("{start}, {end}")
        }
    }
}

/// From the first to the last bucket that is not empty.
fn used(counters: &[u64]) -> Range<usize> {
    let is_used = |count: &u64| *count > 0;
    match (counters.iter().position(is_used), counters.iter().rposition(is_used)) {
        (Some(first), Some(last)) => first..last + 1,
        _ => 0..0,
    }
}

/// First value, last value and count of each bucket that is not empty.
pub(super) fn buckets(kind: &MapValue, counters: &[u64], div: u64) -> Vec<(Option<i128>, Option<i128>, u64)> {
    let used = counters.iter().enumerate().filter(|(_, count)| **count > 0);
    used.map(|(index, count)| {
        let bucket = bucket(kind, index, counters.len());
        (bucket.start, bucket.end.map(|end| end - 1), count / div.max(1))
    })
    .collect()
}

/// Appends a row for each bucket.
pub(super) fn rows(kind: &MapValue, counters: &[u64], div: u64, out: &mut Vec<u8>) {
    let div = div.max(1);
    let most = counters.iter().max().map_or(0, |most| most / div);
    for index in used(counters) {
        let count = counters[index] / div;
        let start = out.len();
        out.extend_from_slice(label(kind, bucket(kind, index, counters.len())).as_bytes());
        let label = (out.len() - start).max(LABEL);
        out.resize(start + label, b' ');
        let before = out.len();
        push_unsigned(count, out);
        let missing = COUNT.saturating_sub(out.len() - before);
        out.resize(out.len() + missing, b' ');
        out[before..].rotate_right(missing);
        out.extend_from_slice(b" |");
        let bar = if most == 0 { 0 } else { (u128::from(count) * BAR as u128 / u128::from(most)) as usize };
        out.resize(out.len() + bar, b'@');
        out.resize(out.len() + BAR - bar, b' ');
        out.extend_from_slice(b"|\n");
    }
}

/// Appends the buckets as JSON.
pub(super) fn json(kind: &MapValue, counters: &[u64], div: u64, out: &mut Vec<u8>) {
    out.push(b'[');
    let used = used(counters);
    for index in used.clone() {
        let bucket = bucket(kind, index, counters.len());
        out.extend_from_slice(if index > used.start { b",{" } else { b"{" });
        if let Some(start) = bucket.start {
            out.extend_from_slice(b"\"min\": ");
            json_integer(start, out);
            out.extend_from_slice(b", ");
        }
        if let Some(end) = bucket.end {
            out.extend_from_slice(b"\"max\": ");
            json_integer(end - 1, out);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(b"\"count\": ");
        json_integer((counters[index] / div.max(1)).into(), out);
        out.push(b'}');
    }
    out.push(b']');
}
