//! Random operations on maps, and a slow model that says what they must do.
//!
//! The generator also feeds the comparison with the running kernel.

use skep_isa::MapType;

use super::{Map, Shape, flag};
use crate::fuzz::Bytes;

/// CPUs of generated maps in the model's test.
const CPUS: u32 = 2;

/// One operation of the user side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look-up of a key; of what a Bloom filter may have.
    Lookup(Vec<u8>, Vec<u8>),
    /// Look-up by a program, which LRU maps notice.
    Use(Vec<u8>),
    /// Update with flags.
    Update(Vec<u8>, Vec<u8>, u64),
    /// Removal.
    Delete(Vec<u8>),
    /// Look-up and removal.
    Take(Vec<u8>),
    /// The key behind this one.
    Next(Option<Vec<u8>>),
    /// No more changes by the user side.
    Freeze,
}

/// A map and operations on it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Type of the map.
    pub kind: MapType,
    /// Sizes and flags.
    pub shape: Shape,
    /// The operations.
    pub steps: Vec<Step>,
}

// TABLE
/// Types with the flags that are tried.
const KINDS: [(MapType, u32); 16] = [
    (MapType::Array, 0),
    (MapType::Array, flag::RDONLY),
    (MapType::PercpuArray, 0),
    (MapType::Hash, 0),
    (MapType::Hash, flag::NO_PREALLOC),
    (MapType::Hash, flag::WRONLY),
    (MapType::PercpuHash, 0),
    (MapType::PercpuHash, flag::NO_PREALLOC),
    (MapType::LruHash, 0),
    (MapType::LruHash, flag::NO_COMMON_LRU),
    (MapType::LruPercpuHash, 0),
    (MapType::LruPercpuHash, flag::NO_COMMON_LRU),
    (MapType::LpmTrie, flag::NO_PREALLOC),
    (MapType::Queue, 0),
    (MapType::Stack, 0),
    (MapType::BloomFilter, flag::ZERO_SEED),
];

/// A plan made of bytes, with per-CPU values for `cpus`. Keys repeat often and fill the map.
pub fn plan(bytes: &mut Bytes<'_>, cpus: u32) -> Plan {
    let (kind, flags) = bytes.pick(&KINDS);
    let key_size = match kind {
        MapType::Array | MapType::PercpuArray => 4,
        MapType::LpmTrie => bytes.pick(&[5, 6, 8, 13, 20]),
        MapType::Queue | MapType::Stack | MapType::BloomFilter => 0,
        _ => bytes.pick(&[1, 3, 4, 6, 8, 11, 16, 21]),
    };
    let shape =
        Shape { key_size, value_size: bytes.pick(&[1, 4, 8, 9, 24]), max_entries: bytes.pick(&[1, 3, 6, 9]), flags };
    let count = bytes.below(80);
    let steps = (0..count).map(|_| step(bytes, kind, shape, cpus)).collect();
    Plan { kind, shape, steps }
}

/// A plan for an LRU map of up to some hundred entries; keys of 4 bytes.
pub fn lru_plan(bytes: &mut Bytes<'_>) -> Plan {
    let (kind, flags) = bytes.pick(&KINDS[8..12]);
    let max_entries = bytes.pick(&[1, 2, 3, 7, 16, 50, 300, 700]);
    let shape = Shape { key_size: 4, value_size: 8, max_entries, flags };
    let keys = (max_entries * 2).max(4);
    let count = max_entries as usize * 4 + bytes.below(200);
    let mut next = 0_u32;
    let steps = (0..count)
        .map(|_| {
            let choice = bytes.u8();
            // Mostly new keys one after the other, with returns to old ones.
            let number = if choice & 0x80 == 0 { next } else { bytes.u32() };
            next = next.wrapping_add(1);
            let key = (number % keys).to_ne_bytes().to_vec();
            match choice & 15 {
                0..=5 => Step::Use(key),
                6 => Step::Delete(key),
                7 => Step::Take(key),
                8 => Step::Lookup(key, Vec::new()),
                low => Step::Update(key, Vec::new(), [0, 0, 0, 0, 0, 1, 2][low as usize - 9]),
            }
        })
        .collect();
    Plan { kind, shape, steps }
}

fn key(bytes: &mut Bytes<'_>, kind: MapType, size: usize) -> Vec<u8> {
    let mut key = vec![0; size];
    match kind {
        MapType::Array | MapType::PercpuArray => key.copy_from_slice(&u32::from(bytes.u8() % 11).to_ne_bytes()),
        MapType::LpmTrie => {
            let (length, data) = key.split_at_mut(4);
            let bits = data.len() as u32 * 8;
            // Now and then a prefix that is longer than the data.
            length.copy_from_slice(&(u32::from(bytes.u8()) % (bits + 2)).to_ne_bytes());
            // Few different bits, so that prefixes match.
            data.iter_mut().for_each(|byte| *byte = bytes.u8() & 0x81);
        }
        _ => {
            if let Some(last) = key.last_mut() {
                *last = bytes.u8() % 16;
            }
            if let Some(first) = key.first_mut() {
                *first ^= bytes.u8() % 2;
            }
        }
    }
    key
}

fn step(bytes: &mut Bytes<'_>, kind: MapType, shape: Shape, cpus: u32) -> Step {
    let key = key(bytes, kind, shape.key_size as usize);
    let per_cpu = super::shape::is_per_cpu(kind);
    let size = if per_cpu { shape.value_size.next_multiple_of(8) * cpus } else { shape.value_size } as usize;
    let mut value = vec![bytes.u8() % 8; size];
    if let Some(last) = value.last_mut() {
        *last = bytes.u8() % 8;
    }
    match bytes.u8() % 32 {
        0..=3 => Step::Lookup(key, value),
        4..=7 => Step::Use(key),
        8..=11 => Step::Delete(key),
        12..=13 => Step::Take(key),
        14..=16 => Step::Next(Some(key)),
        17 => Step::Next(None),
        18 if bytes.one_in(8) => Step::Freeze,
        19 => Step::Update(key, value, bytes.pick(&[3, 4, 5, 6, 8, 1 << 32])),
        20..=21 => Step::Update(key, value, 1),
        22..=23 => Step::Update(key, value, 2),
        _ => Step::Update(key, value, 0),
    }
}

/// What a step did: the bytes that it returned, or the error number.
pub type Outcome = Result<Vec<u8>, i64>;

/// Does a step on a map.
pub fn apply(map: &Map, step: &Step) -> Outcome {
    let user = map.user();
    let result = match step {
        Step::Lookup(key, asked) => {
            let mut value = if map.kind() == MapType::BloomFilter { asked.clone() } else { vec![0; user.value_size()] };
            user.lookup_into(key, &mut value).map(|()| value)
        }
        Step::Use(key) => return Ok(vec![u8::from(map.find(key, 0).is_some())]),
        Step::Update(key, value, flags) => {
            let zeros = vec![0; user.value_size()];
            user.update(key, if value.is_empty() { &zeros } else { value }, *flags).map(|()| Vec::new())
        }
        Step::Delete(key) => user.delete(key).map(|()| Vec::new()),
        Step::Take(key) => user.lookup_and_delete(key),
        Step::Next(key) => user.next_key(key.as_deref()).map(Option::unwrap_or_default),
        Step::Freeze => user.freeze().map(|()| Vec::new()),
    };
    result.map_err(super::MapError::errno)
}

/// Every kind against a list that is searched from end to end.
pub fn maps(data: &[u8]) {
    let Plan { kind, shape, steps } = plan(&mut Bytes::new(data), CPUS);
    let map = Map::new_for_cpus(kind, shape, CPUS).unwrap_or_else(|error| panic!("{kind} {shape:?}: {error}"));
    let mut model = Model::new(kind, map.shape());
    for step in &steps {
        let outcome = apply(&map, step);
        model.check(&map, step, &outcome);
    }
    model.compare(&map);
}

/// Random LRU plans: what an LRU map promises whatever it evicts.
pub fn lru(data: &[u8]) {
    let Plan { kind, shape, steps } = lru_plan(&mut Bytes::new(data));
    let map = Map::new_for_cpus(kind, shape, CPUS).unwrap_or_else(|error| panic!("{kind} {shape:?}: {error}"));
    for step in &steps {
        let outcome = apply(&map, step);
        assert!(map.len() <= map.shape().max_entries as usize);
        if let Step::Update(key, _, flags) = step {
            match (outcome, flags) {
                (Ok(_), _) => assert!(map.user().lookup(key).is_ok(), "a new entry is there"),
                (Err(-17), 1) | (Err(-2), 2) => {}
                (other, _) => panic!("{kind} {shape:?} {step:?}: {other:?}"),
            }
        }
    }
    assert_eq!(map.user().entries().count(), map.len());
}

struct Model {
    kind: MapType,
    shape: Shape,
    frozen: bool,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Model {
    fn new(kind: MapType, shape: Shape) -> Self {
        let entries = match kind {
            MapType::Array => (0..shape.max_entries)
                .map(|index| (index.to_ne_bytes().to_vec(), vec![0; shape.value_size as usize]))
                .collect(),
            MapType::PercpuArray => (0..shape.max_entries)
                .map(|index| {
                    (index.to_ne_bytes().to_vec(), vec![0; (shape.value_size.next_multiple_of(8) * CPUS) as usize])
                })
                .collect(),
            _ => Vec::new(),
        };
        Self { kind, shape, frozen: false, entries }
    }

    fn is_array(&self) -> bool {
        matches!(self.kind, MapType::Array | MapType::PercpuArray)
    }

    fn is_lru(&self) -> bool {
        matches!(self.kind, MapType::LruHash | MapType::LruPercpuHash)
    }

    fn is_list(&self) -> bool {
        matches!(self.kind, MapType::Queue | MapType::Stack)
    }

    /// Position of the entry that an update of `key` replaces.
    fn same(&self, key: &[u8]) -> Option<usize> {
        self.entries.iter().position(|(own, _)| match self.kind {
            MapType::LpmTrie => length(own) == length(key) && covers(own, key),
            _ => own == key,
        })
    }

    /// Position of the entry that a look-up finds.
    fn find(&self, key: &[u8]) -> Option<usize> {
        match self.kind {
            MapType::LpmTrie => {
                let matches = |own: &[u8]| length(own) <= length(key) && covers(own, key);
                let valid = length(key) <= (key.len() as u32 - 4) * 8;
                let all = self.entries.iter().enumerate().filter(|(_, (own, _))| valid && matches(own));
                all.max_by_key(|(_, (own, _))| length(own)).map(|(at, _)| at)
            }
            MapType::Queue => (!self.entries.is_empty()).then_some(0),
            MapType::Stack => self.entries.len().checked_sub(1),
            _ => self.same(key),
        }
    }

    fn may_write(&self) -> bool {
        !self.frozen && self.shape.flags & flag::RDONLY == 0
    }

    fn check(&mut self, map: &Map, step: &Step, outcome: &Outcome) {
        let (kind, shape) = (self.kind, self.shape);
        let context = || format!("{kind} {shape:?} {step:?}");
        if self.kind == MapType::BloomFilter {
            return self.check_bloom(step, outcome);
        }
        if self.is_lru() {
            assert!(map.len() <= self.shape.max_entries as usize, "{}", context());
        }
        match step {
            Step::Lookup(key, _) => {
                let found = self.find(key).map(|at| self.entries[at].1.clone());
                let expected = if self.shape.flags & flag::WRONLY != 0 { Err(-1) } else { found.ok_or(-2) };
                assert_eq!(*outcome, expected, "{}", context());
            }
            Step::Use(key) => {
                let found = self.find(key).is_some() && !self.is_list();
                assert_eq!(*outcome, Ok(vec![u8::from(found)]), "{}", context());
                if let (Some(offset), Some(at)) = (map.find(key, 0), self.find(key)) {
                    let mut value = vec![0; self.shape.value_size as usize];
                    assert!(map.values().is_some_and(|memory| memory.read(offset as usize, &mut value)));
                    assert_eq!(value, self.entries[at].1[..value.len()], "{}", context());
                    assert_eq!(map.value_range(offset), Some(offset..offset + self.shape.value_size), "{}", context());
                }
            }
            Step::Update(key, value, flags) => {
                // Making room in an LRU map may have dropped this very key before anybody asked for it.
                if self.is_lru() && self.may_write() && matches!((outcome, flags), (Ok(_), 1) | (Err(-2), 2)) {
                    self.entries.retain(|(own, _)| own != key);
                }
                let expected = self.update(key, value, *flags);
                assert_eq!(*outcome, expected, "{}", context());
                // It may drop others as well, so the model drops what is gone.
                if self.is_lru() {
                    self.entries.retain(|(key, _)| map.user().lookup(key) != Err(super::MapError::NotFound));
                    assert_eq!(self.entries.len(), map.len());
                    assert!(expected.is_err() || self.same(key).is_some(), "a new entry was evicted");
                }
            }
            Step::Delete(key) => assert_eq!(*outcome, self.delete(key), "{}", context()),
            Step::Take(key) => assert_eq!(*outcome, self.take(key), "{}", context()),
            Step::Next(key) => self.check_next(key.as_deref(), outcome),
            Step::Freeze => {
                let expected = if self.may_write() { Ok(Vec::new()) } else { Err(-1) };
                assert_eq!(*outcome, expected, "{}", context());
                self.frozen |= expected.is_ok();
            }
        }
    }

    fn check_bloom(&mut self, step: &Step, outcome: &Outcome) {
        match step {
            Step::Update(_, value, 0) if self.may_write() => {
                assert_eq!(*outcome, Ok(Vec::new()));
                self.entries.push((Vec::new(), value.clone()));
            }
            Step::Lookup(_, value) if self.entries.iter().any(|(_, own)| own == value) => {
                assert_eq!(*outcome, Ok(value.clone()), "a Bloom filter forgot a value");
            }
            Step::Freeze => self.frozen = true,
            _ => {}
        }
    }

    fn update(&mut self, key: &[u8], value: &[u8], flags: u64) -> Outcome {
        if !self.may_write() {
            return Err(-1);
        }
        if flags > 2 || (self.is_list() && flags == 1) {
            return Err(-22);
        }
        let full = self.entries.len() >= self.shape.max_entries as usize;
        if self.is_list() {
            if full && flags == 0 {
                return Err(-7);
            }
            if full {
                self.entries.remove(0);
            }
            self.entries.push((Vec::new(), value.to_vec()));
            return Ok(Vec::new());
        }
        if self.kind == MapType::LpmTrie && length(key) > (key.len() as u32 - 4) * 8 {
            return Err(-22);
        }
        match (self.same(key), flags) {
            (None, _) if self.is_array() => Err(-7),
            (Some(_), 1) => Err(-17),
            (None, 2) => Err(-2),
            (Some(at), _) => {
                self.entries[at] = (key.to_vec(), value.to_vec());
                Ok(Vec::new())
            }
            (None, _) if full && self.kind == MapType::LpmTrie => Err(-28),
            (None, _) if full && !self.is_lru() => Err(-7),
            (None, _) => {
                self.entries.push((key.to_vec(), value.to_vec()));
                Ok(Vec::new())
            }
        }
    }

    fn delete(&mut self, key: &[u8]) -> Outcome {
        if !self.may_write() {
            return Err(-1);
        }
        let too_long = self.kind == MapType::LpmTrie && length(key) > (key.len() as u32 - 4) * 8;
        if self.is_array() || self.is_list() || too_long {
            return Err(-22);
        }
        let at = self.same(key).ok_or(-2)?;
        self.entries.remove(at);
        Ok(Vec::new())
    }

    fn take(&mut self, key: &[u8]) -> Outcome {
        if !self.may_write() || self.shape.flags & flag::WRONLY != 0 {
            return Err(-1);
        }
        if self.is_array() || self.kind == MapType::LpmTrie {
            return Err(-524);
        }
        let at = self.find(key).ok_or(-2)?;
        Ok(self.entries.remove(at).1)
    }

    fn check_next(&self, key: Option<&[u8]>, outcome: &Outcome) {
        match outcome {
            _ if self.shape.flags & flag::WRONLY != 0 => assert_eq!(*outcome, Err(-1)),
            _ if self.is_list() => assert_eq!(*outcome, Err(-22)),
            Ok(next) if next.is_empty() => {
                let last = self.entries.is_empty() || key.is_some_and(|key| self.same(key).is_some());
                assert!(last, "{} {key:?}: the end comes behind a key that is there", self.kind);
            }
            Ok(next) => assert!(self.entries.iter().any(|(own, _)| own == next), "{} {next:?}", self.kind),
            Err(errno) => panic!("{}: error {errno}", self.kind),
        }
    }

    fn compare(mut self, map: &Map) {
        if self.kind == MapType::BloomFilter || self.is_list() || self.shape.flags & flag::WRONLY != 0 {
            return;
        }
        let mut entries: Vec<_> = map.user().entries().collect();
        entries.sort();
        self.entries.sort();
        if self.kind == MapType::LpmTrie {
            // A look-up by the own key finds the own value, since nothing longer matches.
            assert_eq!(entries.len(), map.len());
        }
        assert_eq!(entries, self.entries, "{} {:?}", self.kind, self.shape);
    }
}

fn length(key: &[u8]) -> u32 {
    key.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

/// Whether the bits of the prefix `own` are those of `key`, bit by bit.
fn covers(own: &[u8], key: &[u8]) -> bool {
    let bit = |bytes: &[u8], at: u32| bytes[4 + at as usize / 8] >> (7 - at % 8) & 1;
    length(own) <= (key.len() as u32 - 4) * 8 && (0..length(own)).all(|at| bit(own, at) == bit(key, at))
}
