//! Random operations on maps against a list that is searched from end to end.

use skep_isa::MapType;

use super::Bytes;
use crate::ebpf::{Map, MapError, Shape, UpdateFlag};

/// One operation on a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapStep {
    /// Look-up of a key.
    Find(Vec<u8>),
    /// Update of a key.
    Update(Vec<u8>, Vec<u8>, UpdateFlag),
    /// Removal of a key.
    Delete(Vec<u8>),
}

/// A map and operations on it. Keys repeat often and fill the map.
pub fn map_steps(bytes: &mut Bytes<'_>) -> (MapType, Shape, Vec<MapStep>) {
    let kind = bytes.pick(&[MapType::Hash, MapType::Array, MapType::LpmTrie]);
    let key_size = match kind {
        MapType::Array => 4,
        MapType::LpmTrie => bytes.pick(&[5, 6, 8]),
        _ => bytes.pick(&[1, 4, 11]),
    };
    let flags = u32::from(kind == MapType::LpmTrie);
    let shape = Shape { key_size, value_size: bytes.pick(&[1, 4, 9]), max_entries: bytes.pick(&[1, 3, 6]), flags };
    let steps = (0..bytes.below(40)).map(|_| step(bytes, kind, shape)).collect();
    (kind, shape, steps)
}

fn step(bytes: &mut Bytes<'_>, kind: MapType, shape: Shape) -> MapStep {
    let key_size = shape.key_size as usize;
    let mut key = vec![0; key_size];
    match kind {
        MapType::Array => key.copy_from_slice(&u32::from(bytes.u8() % 8).to_ne_bytes()),
        MapType::LpmTrie => {
            let (length, data) = key.split_at_mut(4);
            let bits = data.len() as u32 * 8;
            length.copy_from_slice(&(u32::from(bytes.u8()) % (bits + 1)).to_ne_bytes());
            // Few different bits, so that prefixes match.
            data.iter_mut().for_each(|byte| *byte = bytes.u8() & 0x81);
        }
        _ => key[key_size - 1] = bytes.u8() % 8,
    }
    match bytes.u8() % 8 {
        0..=2 => MapStep::Find(key),
        3 => MapStep::Delete(key),
        number => {
            let mut value = vec![bytes.u8(); shape.value_size as usize];
            value[0] = bytes.u8();
            let flag = match number {
                4 => UpdateFlag::NoExist,
                5 => UpdateFlag::Exist,
                _ => UpdateFlag::Any,
            };
            MapStep::Update(key, value, flag)
        }
    }
}

/// Every map against the list.
pub fn maps(data: &[u8]) {
    let (kind, shape, steps) = map_steps(&mut Bytes::new(data));
    let mut map = Map::new(kind, shape).unwrap_or_else(|error| panic!("{error}"));
    let mut model = Model::new(kind, shape);
    for step in &steps {
        match step {
            MapStep::Find(key) => assert_eq!(map.lookup(key), model.find(key), "{kind} {step:?}"),
            MapStep::Update(key, value, flag) => {
                assert_eq!(map.update(key, value, *flag), model.update(key, value, *flag), "{kind} {step:?}");
            }
            MapStep::Delete(key) => {
                let (real, expected) = (map.delete(key).is_ok(), model.delete(key));
                assert_eq!(real, expected, "{kind} {step:?}");
            }
        }
        assert_eq!(map.len(), model.entries.len());
    }
    let mut values: Vec<_> = map.entries().into_iter().map(|(_, value)| value).collect();
    let mut expected: Vec<_> = model.entries.into_iter().map(|(_, value)| value).collect();
    values.sort_unstable();
    expected.sort_unstable();
    assert_eq!(values, expected);
}

struct Model {
    kind: MapType,
    max_entries: usize,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Model {
    fn new(kind: MapType, shape: Shape) -> Self {
        let value = vec![0; shape.value_size as usize];
        let entries = match kind {
            MapType::Array => (0..shape.max_entries).map(|i| (i.to_ne_bytes().to_vec(), value.clone())).collect(),
            _ => Vec::new(),
        };
        Self { kind, max_entries: shape.max_entries as usize, entries }
    }

    /// Whether the entry with key `own` is the one that an update of `key` replaces.
    fn same(&self, own: &[u8], key: &[u8]) -> bool {
        match self.kind {
            MapType::LpmTrie => length(own) == length(key) && covers(own, key),
            _ => own == key,
        }
    }

    fn find(&self, key: &[u8]) -> Option<&[u8]> {
        let found = match self.kind {
            MapType::LpmTrie => {
                let matches = |own: &[u8]| length(own) <= length(key) && covers(own, key);
                self.entries.iter().filter(|(own, _)| matches(own)).max_by_key(|(own, _)| length(own))
            }
            _ => self.entries.iter().find(|(own, _)| own == key),
        };
        found.map(|(_, value)| value.as_slice())
    }

    fn update(&mut self, key: &[u8], value: &[u8], flag: UpdateFlag) -> Result<(), MapError> {
        let at = self.entries.iter().position(|(own, _)| self.same(own, key));
        match (at, flag) {
            (None, _) if self.kind == MapType::Array => return Err(MapError::Full),
            (Some(_), UpdateFlag::NoExist) => return Err(MapError::Exists),
            (None, UpdateFlag::Exist) => return Err(MapError::NotFound),
            (Some(at), _) => self.entries[at].1 = value.to_vec(),
            (None, _) if self.entries.len() == self.max_entries && self.kind == MapType::LpmTrie => {
                return Err(MapError::TrieFull);
            }
            (None, _) if self.entries.len() == self.max_entries => return Err(MapError::Full),
            (None, _) => self.entries.push((key.to_vec(), value.to_vec())),
        }
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> bool {
        let at = self.entries.iter().position(|(own, _)| self.same(own, key));
        match at {
            Some(at) if self.kind != MapType::Array => {
                self.entries.remove(at);
                true
            }
            _ => false,
        }
    }
}

fn length(key: &[u8]) -> u32 {
    key.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

/// Whether the bits of the prefix `own` are those of `key`, bit by bit.
fn covers(own: &[u8], key: &[u8]) -> bool {
    let bit = |bytes: &[u8], at: u32| bytes[4 + at as usize / 8] >> (7 - at % 8) & 1;
    (0..length(own)).all(|at| bit(own, at) == bit(key, at))
}
