//! Maps as JSON.

use skep_lang_script::plan::MapValue;

use super::{Aggregate, Key, Snapshot, graph, histogram};
use crate::value::{Renderer, json_integer, json_string};

impl Snapshot<'_> {
    /// What a JSON message with this map has as its type.
    pub fn json_type(&self) -> &'static str {
        match self.map.value {
            MapValue::Hist { .. } | MapValue::LinearHist { .. } => "hist",
            MapValue::Series { .. } => "tseries",
            MapValue::Avg { .. } | MapValue::Stats { .. } => "stats",
            _ => "map",
        }
    }

    /// Appends `{"@name": value}`, with an object of all entries as the value of a map with keys.
    pub fn json(&self, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        json_string(self.map.name.as_bytes(), out);
        out.extend_from_slice(b": ");
        let keyed = !self.map.key.is_empty();
        if keyed {
            out.push(b'{');
        }
        for (index, (key, value)) in self.rows.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            if keyed {
                json_key(*key, renderer, out);
                out.extend_from_slice(b": ");
            }
            match value {
                Aggregate::Histogram(counters) => histogram::json(&self.map.value, counters, self.div, out),
                Aggregate::Series(points) => graph::json(&self.map.value, points, renderer.names.clock(), out),
                value => value.json(renderer, out),
            }
        }
        out.extend_from_slice(if keyed { b"}}" } else { b"}" });
    }
}

/// The parts of a key with commas between, without spaces. Spaces of the parts themselves stay (the reference drops
/// them, so that different keys become the same).
fn json_key(key: Key<'_>, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
    let mut text = Vec::new();
    for (index, part) in key.parts().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        renderer.json_key_part(&part, &mut text);
    }
    json_string(&text, out);
}

impl Aggregate<'_> {
    /// Appends the value as JSON; `null` for histograms and series, which can only be printed with their map.
    pub fn json(&self, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Plain(value) => renderer.json(value, out),
            Self::Number(number) | Self::Average(number) => json_integer(number.get(), out),
            Self::Stats { count, average, total } => {
                out.extend_from_slice(b"{\"count\": ");
                json_integer((*count).into(), out);
                out.extend_from_slice(b", \"average\": ");
                json_integer(average.get(), out);
                out.extend_from_slice(b", \"total\": ");
                json_integer(total.get(), out);
                out.push(b'}');
            }
            Self::Histogram(_) | Self::Series(_) => out.extend_from_slice(b"null"),
        }
    }
}
