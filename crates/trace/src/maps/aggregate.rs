//! Values of maps, brought together from all processors.

use std::collections::BTreeMap;

use skep_lang_script::plan::{Buckets, MapValue, ScriptMap, SeriesKind, Shape};

use super::histogram;
use crate::value::{Value, word};

/// Zero bytes for the value of an empty map; more than any shape without arrays needs.
static ZEROS: [u8; 4096] = [0; 4096];

/// An integer with or without a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub(crate) i128);

impl Number {
    fn new(bits: u64, signed: bool) -> Self {
        Self(if signed { bits.cast_signed().into() } else { bits.into() })
    }

    /// The number.
    pub fn get(self) -> i128 {
        self.0
    }

    fn divided(self, div: u64) -> Self {
        // Towards zero, as in C.
        Self(self.0 / i128::from(div.max(1)))
    }
}

/// An interval of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Number of the interval since 1970.
    pub interval: u64,
    /// Its value.
    pub value: Number,
}

/// The value of a map for one key.
#[derive(Debug, Clone, PartialEq)]
pub enum Aggregate<'a> {
    /// A value that was assigned.
    Plain(Value<'a>),
    /// `count()`, `sum()`, `min()`, `max()`, and integers of maps with a value for each processor.
    Number(Number),
    /// `avg()`
    Average(Number),
    /// `stats()`
    Stats {
        /// How many values.
        count: u64,
        /// Their average, rounded towards zero.
        average: Number,
        /// Their sum.
        total: Number,
    },
    /// `hist()` and `lhist()`: the counters.
    Histogram(Vec<u64>),
    /// `tseries()`: the intervals that have a value, in order.
    Series(Vec<Point>),
}

impl<'a> Aggregate<'a> {
    /// Brings the values of all processors together. What they do not hold counts as zero.
    pub fn read(map: &'a ScriptMap, values: &'a [Vec<u8>]) -> Self {
        let sum = |offset| values.iter().filter_map(|value| word(value, offset)).fold(0, u64::wrapping_add);
        match map.value {
            MapValue::Plain(ref shape) => Self::plain(map, shape, values),
            MapValue::Count => Self::Number(Number::new(sum(0), false)),
            MapValue::Sum { signed } => Self::Number(Number::new(sum(0), signed)),
            MapValue::Min { signed } => Self::Number(set(values, signed).min().unwrap_or(Number(0))),
            MapValue::Max { signed } => Self::Number(set(values, signed).max().unwrap_or(Number(0))),
            MapValue::Avg { signed } => Self::Average(average(sum(0), sum(8), signed)),
            MapValue::Stats { signed } => Self::Stats {
                count: sum(8),
                average: average(sum(0), sum(8), signed),
                total: Number::new(sum(0), signed),
            },
            MapValue::Hist { bits } => Self::Histogram(counters(values, Buckets::count(bits.min(5)) as usize)),
            MapValue::LinearHist { min, max, step } => {
                Self::Histogram(counters(values, histogram::linear_buckets(min, max, step)))
            }
            MapValue::Series { count, how, signed, .. } => Self::Series(series(values, count, how, signed)),
        }
    }

    /// The value of a map that holds nothing.
    pub(crate) fn zero(map: &'a ScriptMap) -> Self {
        match &map.value {
            MapValue::Plain(shape) => Self::Plain(Value::decode(shape, &ZEROS)),
            _ => Self::read(map, &[]),
        }
    }

    fn plain(map: &ScriptMap, shape: &'a Shape, values: &'a [Vec<u8>]) -> Self {
        let mut decoded = values.iter().map(|value| Value::decode(shape, value));
        match *shape {
            Shape::Int { signed, .. } if map.per_cpu => {
                let sum = decoded.filter_map(|value| value.number()).fold(0, u64::wrapping_add);
                Self::Number(Number::new(sum, signed))
            }
            _ => Self::Plain(decoded.next().unwrap_or(Value::Missing)),
        }
    }

    /// What entries are sorted by, ascending; `None` where the key decides.
    pub(super) fn rank(&self) -> Option<i128> {
        match self {
            Self::Plain(Value::Signed(number)) => Some((*number).into()),
            Self::Plain(Value::Unsigned(number)) => Some((*number).into()),
            Self::Number(number) | Self::Average(number) => Some(number.0),
            Self::Stats { average, .. } => Some(average.0),
            Self::Histogram(counters) => Some(counters.iter().map(|&count| i128::from(count)).sum()),
            Self::Plain(_) | Self::Series(_) => None,
        }
    }

    /// Divides numbers; of statistics only the average, as in the reference. 0 and 1 do nothing.
    pub(super) fn divide(&mut self, div: u64) {
        if div <= 1 {
            return;
        }
        match self {
            Self::Plain(Value::Signed(number)) => {
                *number = i64::try_from(Number((*number).into()).divided(div).0).unwrap_or(0);
            }
            Self::Plain(Value::Unsigned(number)) => *number /= div,
            Self::Number(number) | Self::Average(number) | Self::Stats { average: number, .. } => {
                *number = number.divided(div);
            }
            // Rows of histograms are chosen before counts are divided, so that happens when they are printed.
            Self::Plain(_) | Self::Series(_) | Self::Histogram(_) => {}
        }
    }
}

/// The values of `min()` and `max()` that were set.
fn set(values: &[Vec<u8>], signed: bool) -> impl Iterator<Item = Number> {
    let set = values.iter().filter(|value| word(value, 8).is_some_and(|set| set != 0));
    set.filter_map(move |value| word(value, 0)).map(move |bits| Number::new(bits, signed))
}

fn average(total: u64, count: u64, signed: bool) -> Number {
    Number::new(total, signed).divided(count)
}

fn counters(values: &[Vec<u8>], len: usize) -> Vec<u64> {
    let mut counters = vec![0u64; len];
    for value in values {
        for (counter, bytes) in counters.iter_mut().zip(value.as_chunks::<8>().0) {
            *counter = counter.wrapping_add(u64::from_le_bytes(*bytes));
        }
    }
    counters
}

/// The newest `count` intervals of all processors.
fn series(values: &[Vec<u8>], count: u32, how: SeriesKind, signed: bool) -> Vec<Point> {
    let mut intervals: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for bytes in values.iter().flat_map(|value| value.as_chunks::<24>().0) {
        let at = |offset| word(bytes, offset).unwrap_or(0);
        let (value, weight, interval) = (at(0), at(8), at(16));
        if weight == 0 {
            continue;
        }
        let number = |bits| Number::new(bits, signed);
        let merged = intervals.entry(interval).or_insert((value, 0));
        merged.0 = match how {
            // The weight is the time of the value.
            SeriesKind::Last if weight < merged.1 => merged.0,
            SeriesKind::Last => value,
            SeriesKind::Max if number(merged.0) > number(value) => merged.0,
            SeriesKind::Min if number(merged.0) < number(value) => merged.0,
            SeriesKind::Max | SeriesKind::Min => value,
            SeriesKind::Sum | SeriesKind::Avg if merged.1 == 0 => value,
            SeriesKind::Sum | SeriesKind::Avg => merged.0.wrapping_add(value),
        };
        merged.1 = if how == SeriesKind::Last { merged.1.max(weight) } else { merged.1.wrapping_add(weight) };
    }
    let newest = intervals.last_key_value().map_or(0, |entry| *entry.0);
    let kept = intervals.into_iter().filter(|(interval, _)| newest - interval < count.into());
    kept.map(|(interval, (bits, weight))| {
        let value = if how == SeriesKind::Avg { average(bits, weight, signed) } else { Number::new(bits, signed) };
        Point { interval, value }
    })
    .collect()
}
