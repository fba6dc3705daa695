//! What maps hold after a run.

use std::fmt::Write as _;

use skep_isa::MapType;
use skep_object::{MapSpec, Object};
use skep_vm::ebpf::{Map, Vm};

use super::json::{Json, hex, list, quoted};

/// Most bytes of a value on a line.
const VALUE_BYTES: usize = 64;

/// The contents of one map.
#[derive(Debug)]
pub struct Contents<'a> {
    spec: &'a MapSpec,
    /// Number of entries that are there; of an array those that are not zero.
    count: usize,
    /// The first of them in the order of their keys. Records of a buffer have no key.
    entries: Vec<(Option<Vec<u8>>, Vec<u8>)>,
}

/// The contents of all maps of a machine that was made of this object, at most `limit` entries of each.
pub fn contents<'a>(object: &'a Object, vm: &Vm, limit: usize) -> Vec<Contents<'a>> {
    let with_map = |(index, spec)| vm.map(index).map(|map| Contents::of(spec, &map, limit));
    object.maps.iter().enumerate().filter_map(with_map).collect()
}

/// Whether every key is there from the start, so that only values that are not zero tell something.
const fn is_array(kind: MapType) -> bool {
    matches!(kind, MapType::Array | MapType::PercpuArray)
}

impl<'a> Contents<'a> {
    fn of(spec: &'a MapSpec, map: &Map, limit: usize) -> Self {
        let mut entries: Vec<(Option<Vec<u8>>, Vec<u8>)> = Vec::new();
        match map.kind() {
            MapType::Ringbuf => {
                // Errors mean that there is nothing (more) to show.
                let _ = map.ring_consume(&mut |record| entries.push((None, record.to_vec())));
            }
            MapType::Queue | MapType::Stack => {
                let mut value = vec![0; map.shape().value_size as usize];
                while map.pop(&mut value).is_ok() {
                    entries.push((None, value.clone()));
                }
            }
            kind => {
                let told = |(_, value): &(Vec<u8>, Vec<u8>)| !is_array(kind) || value.iter().any(|&byte| byte != 0);
                let found = map.user().entries().filter(told);
                entries.extend(found.map(|(key, value)| (Some(key), value)));
                // Arrays count up; the order of hash tables differs from run to run.
                if !is_array(kind) {
                    entries.sort_unstable();
                }
            }
        }
        let count = entries.len();
        entries.truncate(limit);
        Self { spec, count, entries }
    }

    /// Adds lines for people.
    pub fn write(&self, out: &mut String) {
        let Self { spec, count, entries } = self;
        let (what, many) = match (spec.map_type, *count) {
            (kind, 1) if is_array(kind) => ("entry that is not zero", 1),
            (kind, count) if is_array(kind) => ("entries that are not zero", count),
            (_, 1) => ("entry", 1),
            (_, count) => ("entries", count),
        };
        let _ = writeln!(out, "map {} ({}): {many} {what} of {}", spec.name, spec.map_type.name(), spec.max_entries);
        for (key, value) in entries {
            let key = key.as_ref().map_or_else(String::new, |key| format!("{}: ", hex(key)));
            let shown = &value[..value.len().min(VALUE_BYTES)];
            let _ = write!(out, "  {key}{}", hex(shown));
            if shown.len() < value.len() {
                let _ = write!(out, "... ({} bytes)", value.len());
            }
            out.push('\n');
        }
        if entries.len() < *count {
            let _ = writeln!(out, "  and {} more; --entries shows them", count - entries.len());
        }
    }

    /// As JSON.
    pub fn json(&self) -> String {
        let entries = self.entries.iter().map(|(key, value)| {
            let key = key.as_ref().map_or_else(|| "null".to_owned(), |key| quoted(&hex(key)));
            Json::object().raw("key", key).hex("value", value).end()
        });
        Json::object()
            .text("name", &self.spec.name)
            .text("type", self.spec.map_type.name())
            .raw("max_entries", self.spec.max_entries)
            .raw("count", self.count)
            .raw("entries", list(entries))
            .end()
    }
}
