//! Maps of a script: reading, bringing processors together, order, and the forms in which they are printed.
//!
//! ```text
//! MapSource --entries--> Aggregate for each key --order--> top --+--> text: lines, histograms, graphs
//!                                                                +--> JSON
//!                                                                +--> rows of a table
//! ```

mod aggregate;
mod graph;
mod histogram;
mod json;
mod kernel;
mod text;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use skep_lang_script::plan::{Field, MapValue, ScriptMap, Shape, StackKey};

pub use aggregate::{Aggregate, Number, Point};
pub use kernel::KernelMaps;

use crate::names::Symbols;
use crate::value::{Renderer, Tuple, Value};

/// Why a map could not be read or changed.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// One entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MapEntry {
    /// The key.
    pub key: Vec<u8>,
    /// A value for each processor, or one value.
    pub values: Vec<Vec<u8>>,
}

/// Where the contents of maps come from. Maps are numbered as in [`Plan::maps`](skep_lang_script::plan::Plan::maps).
pub trait MapSource {
    /// All entries, in any order.
    ///
    /// # Errors
    /// What kept the map from being read.
    fn entries(&mut self, map: usize) -> Result<Vec<MapEntry>, SourceError>;

    /// The values of one entry; `None` if there is none.
    ///
    /// # Errors
    /// What kept the map from being read.
    fn entry(&mut self, map: usize, key: &[u8]) -> Result<Option<Vec<Vec<u8>>>, SourceError>;

    /// Removes all entries.
    ///
    /// # Errors
    /// What kept the map from being changed.
    fn clear(&mut self, map: usize) -> Result<(), SourceError>;

    /// Sets all values to zero.
    ///
    /// # Errors
    /// What kept the map from being changed.
    fn zero(&mut self, map: usize) -> Result<(), SourceError>;
}

/// The entries as the script knows them: of a series that has an entry for each interval, the intervals of a key come
/// together.
pub fn gathered(map: &ScriptMap, entries: Vec<MapEntry>) -> Vec<MapEntry> {
    if !map.value.is_spread() {
        return entries;
    }
    let mut found: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for mut entry in entries {
        // The place of the interval is in its value as well.
        entry.key.truncate(entry.key.len().saturating_sub(8));
        found.entry(entry.key).or_default().push(entry.values.concat());
    }
    found.into_iter().map(|(key, values)| MapEntry { key, values }).collect()
}

/// The entries of a map of aggregates with those brought together whose keys differ only in the copies of stacks that the
/// same stack traces were unwound from.
pub fn united(map: &ScriptMap, mut entries: Vec<MapEntry>, symbols: &mut dyn Symbols) -> Vec<MapEntry> {
    let mut places = Vec::new();
    unwound(&map.key, 0, &mut places);
    if places.is_empty() {
        return entries;
    }
    for entry in &mut entries {
        for place in &places {
            let Some(hash) = entry.key.get_mut(*place..).and_then(<[u8]>::first_chunk_mut) else { continue };
            *hash = symbols.same_trace(u64::from_le_bytes(*hash)).to_le_bytes();
        }
    }
    // Of values that were assigned none stands for the others.
    if matches!(map.value, MapValue::Plain(_)) {
        return entries;
    }
    let mut found: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for entry in entries {
        found.entry(entry.key).or_default().extend(entry.values);
    }
    found.into_iter().map(|(key, values)| MapEntry { key, values }).collect()
}

/// Where in a key the hashes of copies of stacks are.
fn unwound(fields: &[Field], start: u32, places: &mut Vec<usize>) {
    for field in fields {
        let at = start.saturating_add(field.offset);
        match &field.shape {
            Shape::Stack { dwarf: true, .. } => places.push(at.saturating_add(StackKey::HASH) as usize),
            Shape::Tuple(inner) => unwound(inner, at, places),
            Shape::Record(inner) => inner.iter().for_each(|(_, field)| {
                unwound(std::slice::from_ref(field), at, places);
            }),
            _ => {}
        }
    }
}

/// What `print(@m, top, div)` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MapRequest {
    /// Only the last entries in the order; 0 for all. Series are not limited.
    pub top: u32,
    /// Numbers are divided by this; 0 for not.
    pub div: u64,
    /// Whether a map without keys is printed as zero when it holds nothing.
    pub zero_if_empty: bool,
}

/// A map at one time: entries in the order in which they are printed.
#[derive(Debug)]
pub struct Snapshot<'a> {
    /// Its description in the plan.
    pub map: &'a ScriptMap,
    /// Keys and values.
    pub rows: Vec<(Key<'a>, Aggregate<'a>)>,
    /// What counts of histograms are still to be divided by.
    div: u64,
}

/// A key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key<'a> {
    fields: &'a [Field],
    bytes: &'a [u8],
}

impl<'a> Key<'a> {
    /// The parts of a key of this map.
    pub fn new(map: &'a ScriptMap, bytes: &'a [u8]) -> Self {
        // A key that is one tuple is printed like the parts of it.
        match &map.key[..] {
            [Field { offset, shape: Shape::Tuple(fields) }] => {
                Self { fields, bytes: bytes.get(*offset as usize..).unwrap_or_default() }
            }
            fields => Self { fields, bytes },
        }
    }

    /// The parts.
    pub fn parts(self) -> impl ExactSizeIterator<Item = Value<'a>> {
        Tuple::new(self.fields, self.bytes).values()
    }

    fn order(self, other: Self) -> Ordering {
        Value::Tuple(Tuple::new(self.fields, self.bytes)).order(&Value::Tuple(Tuple::new(other.fields, other.bytes)))
    }
}

impl<'a> Snapshot<'a> {
    /// Brings entries together and puts them in order.
    pub fn new(map: &'a ScriptMap, entries: &'a [MapEntry], request: MapRequest) -> Self {
        let read = |entry: &'a MapEntry| (Key::new(map, &entry.key), Aggregate::read(map, &entry.values));
        let mut rows: Vec<_> = entries.iter().map(read).collect();
        rows.sort_by(|a, b| match (a.1.rank(), b.1.rank()) {
            (Some(x), Some(y)) => x.cmp(&y).then_with(|| a.0.order(b.0)),
            _ => a.0.order(b.0),
        });
        let limited = request.top > 0 && !matches!(map.value, MapValue::Series { .. });
        if limited {
            rows.drain(..rows.len().saturating_sub(request.top as usize));
        }
        for row in &mut rows {
            row.1.divide(request.div);
        }
        let has_zero =
            !matches!(map.value, MapValue::Hist { .. } | MapValue::LinearHist { .. } | MapValue::Series { .. });
        if rows.is_empty() && map.key.is_empty() && request.zero_if_empty && has_zero {
            rows.push((Key::new(map, &[]), Aggregate::zero(map)));
        }
        Self { map, rows, div: request.div }
    }

    /// Whether there is nothing to print.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// First value, last value and count of each bucket that is not empty; open ends are `None`.
    pub(crate) fn buckets(&self, value: &Aggregate<'_>) -> Vec<(Option<i128>, Option<i128>, u64)> {
        match value {
            Aggregate::Histogram(counters) => histogram::buckets(&self.map.value, counters, self.div),
            _ => Vec::new(),
        }
    }

    /// Nanoseconds in an interval of a series.
    pub(crate) fn interval(&self) -> u64 {
        graph::interval(&self.map.value)
    }

    /// `@name[key, key]`
    fn title(&self, key: Key<'_>, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.map.name.as_bytes());
        if !self.map.key.is_empty() {
            out.push(b'[');
            renderer.list(key.parts(), b", ", out);
            out.push(b']');
        }
    }
}

#[cfg(test)]
mod tests;
