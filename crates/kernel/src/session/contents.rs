//! What maps hold, as texts: values by their types where these are known, bytes in hexadecimal elsewhere.

use std::fmt::Write as _;

use skep_btf::{Btf, TypeId, Value};
use skep_isa::MapType;
use skep_object::{MapSpec, Object, Purpose};

use crate::load::Loaded;
use crate::map::LoadedMap;

/// The entries of one map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapContents {
    /// The name of the map in the object.
    pub name: String,
    /// Its type.
    pub map_type: MapType,
    /// Key and value as JSON, sorted by key. Arrays show what is not zero. Global variables have no key: there is one entry
    /// with all of them. Values of per-CPU maps are arrays with one element for each processor.
    pub entries: Vec<(Option<String>, String)>,
    /// Number of entries beyond those.
    pub more: usize,
    /// Why the entries are not complete, if reading failed.
    pub problem: Option<String>,
}

pub(super) fn of_maps(object: &Object, loaded: &Loaded, btf: Option<&Btf>, limit: usize) -> Vec<MapContents> {
    let pairs = object.maps.iter().zip(&loaded.maps).filter(|(spec, _)| is_shown(spec));
    pairs.map(|(spec, map)| of_map(spec, map, btf, limit)).collect()
}

/// Buffers deliver events, and constants never change. Other types have nothing that processes can read.
fn is_shown(spec: &MapSpec) -> bool {
    let readable = matches!(
        spec.map_type,
        MapType::Hash
            | MapType::Array
            | MapType::PercpuHash
            | MapType::PercpuArray
            | MapType::LruHash
            | MapType::LruPercpuHash
            | MapType::LpmTrie
    );
    readable && !spec.frozen && spec.purpose != Purpose::Config
}

fn of_map(spec: &MapSpec, map: &LoadedMap, btf: Option<&Btf>, limit: usize) -> MapContents {
    let variables = matches!(spec.purpose, Purpose::Variables(_));
    let array = matches!(spec.map_type, MapType::Array | MapType::PercpuArray);
    let mut problem = None;
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for entry in map.entries() {
        match entry {
            Ok((_, value)) if array && !variables && value.iter().all(|byte| *byte == 0) => {}
            Ok(entry) => found.push(entry),
            Err(error) => problem = Some(error.to_string()),
        }
    }
    let order = |key: &[u8]| key.iter().rev().copied().collect::<Vec<u8>>();
    // Little-endian numbers sort by their last byte first.
    found.sort_by_cached_key(|(key, _)| order(key));
    let more = found.len().saturating_sub(limit);
    found.truncate(limit);
    let shown = |ty: Option<u32>, bytes: &[u8]| {
        let value = btf.zip(ty).and_then(|(btf, ty)| Value::decode(btf, TypeId(ty), bytes).ok());
        value.map_or_else(|| hex(bytes), |value| value.to_string())
    };
    let value = |bytes: &[u8]| match map.cpu_value() {
        None => shown(spec.value_type, bytes),
        Some(each) => {
            let parts = bytes.chunks(each.next_multiple_of(8).max(8));
            let parts: Vec<String> = parts.map(|part| shown(spec.value_type, &part[..each.min(part.len())])).collect();
            format!("[{}]", parts.join(","))
        }
    };
    let entries = found.iter().map(|(key, bytes)| {
        let key = (!variables).then(|| shown(spec.key_type, key));
        (key, value(bytes))
    });
    MapContents { name: spec.name.clone(), map_type: spec.map_type, entries: entries.collect(), more, problem }
}

/// Bytes as a JSON string of hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len() + 2);
    text.push('"');
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('"');
    text
}
