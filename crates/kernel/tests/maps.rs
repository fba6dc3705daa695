//! Commands on maps beyond reading and writing one entry.

mod common;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering;

use common::can_load;
use skep_isa::MapType;
use skep_isa::ebpf::assemble;
use skep_kernel::{
    KernelError, LoadedMap, LoadedProgram, MapDefinition, MapOptions, ProgramDefinition, Update, possible_cpus,
};

/// `BPF_F_MMAPABLE` and `BPF_F_NO_PREALLOC` of `linux/bpf.h`.
const MMAPABLE: u32 = 1 << 10;
const NO_PREALLOC: u32 = 1;

fn map(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32, flags: u32) -> LoadedMap {
    LoadedMap::create(&MapDefinition { name: "map", map_type, key_size, value_size, max_entries, flags }).unwrap()
}

#[test]
fn walks_find_every_entry_with_and_without_batches() {
    if !can_load() {
        return;
    }
    // Types with batches, among them those whose position is a word and those where it is a key, and one without.
    let kinds = [
        (MapType::Hash, 0),
        (MapType::LruHash, 0),
        (MapType::PercpuHash, 0),
        (MapType::Array, 0),
        (MapType::LpmTrie, NO_PREALLOC),
        (MapType::StackTrace, 0),
    ];
    for (kind, flags) in kinds {
        if kind == MapType::StackTrace {
            let map = map(kind, 4, 8 * 8, 16, flags);
            assert_eq!(map.entries().count(), 0, "an empty map");
            continue;
        }
        let count = if kind == MapType::LruHash { 700 } else { 5000u32 };
        let room = if kind == MapType::Array { count } else { 8000 };
        let map = map(kind, if kind == MapType::LpmTrie { 8 } else { 4 }, 8, room, flags);
        let key = |n: u32| match kind {
            MapType::LpmTrie => [32u32.to_ne_bytes(), n.to_be_bytes()].concat(),
            _ => n.to_ne_bytes().to_vec(),
        };
        let pairs: Vec<_> =
            (0..count).map(|n| (key(n), u64::from(n).to_ne_bytes().repeat(map.value_size() / 8))).collect();
        map.fill(&pairs).unwrap();
        let expected: BTreeMap<_, _> = pairs.into_iter().collect();
        let found: BTreeMap<_, _> = map.entries().collect::<Result<_, _>>().unwrap();
        assert!(found == expected, "{kind}: {} of {}", found.len(), expected.len());
        if kind == MapType::Array {
            assert!(map.drain().next().is_some_and(|entry| entry.is_err()), "entries of arrays stay");
            continue;
        }
        let some: Vec<Vec<u8>> = (0..1000).map(|n| key(n * 3)).collect();
        let expected_gone = some.iter().filter(|key| expected.contains_key(*key)).count();
        assert_eq!(map.remove_all(&some).unwrap(), expected_gone, "{kind}");
        assert_eq!(map.remove_all(&some).unwrap(), 0);
        let drained: BTreeMap<_, _> = map.drain().collect::<Result<_, _>>().unwrap();
        assert_eq!(drained.len(), expected.len() - expected_gone, "{kind}");
        assert!(drained.iter().all(|(key, value)| expected[key] == *value));
        assert_eq!(map.entries().count(), 0, "{kind}: drained");
    }
    assert!(map(MapType::Queue, 0, 4, 1, 0).entries().next().unwrap().is_err());
}

#[test]
fn values_of_processors() {
    if !can_load() {
        return;
    }
    let cpus = possible_cpus().unwrap() as usize;
    let counters = map(MapType::PercpuArray, 4, 4, 2, 0);
    let values: Vec<[u8; 4]> = (0..cpus as u32).map(|cpu| (100 + cpu).to_ne_bytes()).collect();
    counters.set_per_cpu(&[0; 4], &values, Update::Any).unwrap();
    let found = counters.get_per_cpu(&[0; 4]).unwrap().unwrap();
    assert_eq!((found.len(), found.on(cpus)), (cpus, None));
    assert!(found.iter().eq(values.iter()));
    assert_eq!(found.sum(), Some((0..cpus as u64).map(|cpu| 100 + cpu).sum()));
    let error = counters.set_per_cpu(&[0; 4], &[[0; 4]; 0], Update::Any).unwrap_err();
    assert!(error.to_string().contains("takes"), "{error}");
    assert!(counters.set_per_cpu(&[0; 4], &vec![[0; 5]; cpus], Update::Any).is_err());
    assert!(matches!(map(MapType::Array, 4, 4, 1, 0).get_per_cpu(&[0; 4]), Err(KernelError::Invalid { .. })));
    let odd = map(MapType::PercpuHash, 4, 13, 2, 0);
    odd.set_per_cpu(&[1; 4], &vec![[7; 13]; cpus], Update::Any).unwrap();
    let found = odd.get_per_cpu(&[1; 4]).unwrap().unwrap();
    assert!(found.iter().all(|value| value == [7; 13]) && found.sum().is_none());
}

#[test]
fn queues_stacks_and_filters() {
    if !can_load() {
        return;
    }
    for (kind, order) in [(MapType::Queue, [1u8, 2, 3]), (MapType::Stack, [3, 2, 1])] {
        let map = map(kind, 0, 4, 3, 0);
        assert_eq!((map.pop().unwrap(), map.peek().unwrap()), (None, None));
        for value in 1..=3u8 {
            map.push(&[value; 4], false).unwrap();
        }
        assert!(map.push(&[9; 4], false).unwrap_err().to_string().contains("is full"));
        assert_eq!(map.peek().unwrap(), Some(vec![order[0]; 4]));
        for value in order {
            assert_eq!(map.pop().unwrap(), Some(vec![value; 4]), "{kind}");
        }
        for value in 1..=4u8 {
            map.push(&[value; 4], true).unwrap();
        }
        assert_eq!((0..4).filter_map(|_| map.pop().unwrap()).count(), 3);
        assert!(map.push(&[0; 5], false).is_err());
    }
    let bloom = map(MapType::BloomFilter, 0, 4, 100, 0);
    bloom.push(&[1; 4], false).unwrap();
    assert!(bloom.may_contain(&[1; 4]).unwrap());
    assert!((0..50u32).filter(|n| bloom.may_contain(&n.to_ne_bytes()).unwrap()).count() < 10);
    assert!(map(MapType::Hash, 4, 4, 1, 0).pop().is_err());
}

#[test]
fn memory_is_shared_with_programs() {
    if !can_load() {
        return;
    }
    let array = map(MapType::Array, 4, 12, 600, MMAPABLE);
    let memory = array.memory().unwrap();
    assert_eq!((memory.len(), memory.stride(), memory.is_writable()), (600 * 16, 16, true));
    array.set(&599u32.to_ne_bytes(), &[5; 12], Update::Any).unwrap();
    let mut bytes = [0; 12];
    memory.read(599 * 16, &mut bytes).unwrap();
    assert_eq!(bytes, [5; 12]);
    assert_eq!(memory.read(600 * 16 - 4, &mut bytes), None);
    memory.u64_at(0).unwrap().store(40, Ordering::Relaxed);
    assert!(memory.u64_at(4).is_none() && memory.u64_at(9600).is_none() && memory.u32_at(9596).is_some());
    // A program adds to what this process has stored.
    let one = map(MapType::Array, 4, 16, 1, MMAPABLE);
    let fd = one.as_fd().as_raw_fd();
    let text = "r2 = 2\nlock *(u64 *)(r1 +0) += r2\nr0 = *(u64 *)(r1 +0)\nexit\n";
    let insns = assemble(&format!("r1 = map[fd:{fd}][0]+0 ll\n{text}")).unwrap();
    let definition =
        ProgramDefinition { name: "add", prog_type: skep_isa::ProgType::SchedCls, insns: &insns, license: "GPL" };
    let program = LoadedProgram::load(&definition).unwrap_or_else(|error| panic!("{error}"));
    let shared = one.memory().unwrap();
    shared.write(0, &40u64.to_ne_bytes()).unwrap();
    assert_eq!(program.test_run(&[0; 64], 1).unwrap().result, 42);
    assert_eq!(shared.load(0), Some(42));
    // A frozen map can only be looked at, and one that is mapped for writing cannot be frozen.
    assert!(one.freeze().is_err());
    drop(shared);
    one.freeze().unwrap();
    let frozen = one.memory().unwrap();
    assert!(!frozen.is_writable() && frozen.write(0, &[0]).is_none() && frozen.u64_at(0).is_none());
    assert_eq!(frozen.load(0), Some(42));
    let error = map(MapType::Array, 4, 8, 1, 0).memory().unwrap_err();
    assert!(error.to_string().contains("BPF_F_MMAPABLE"), "{error}");
    assert!(map(MapType::Hash, 4, 8, 1, 0).memory().is_err());
}

/// Large arrays are mapped in parts of 256 KiB: values may begin in one and end in the next.
#[test]
fn memory_of_large_maps() {
    if !can_load() {
        return;
    }
    const VALUES: u32 = 50_000;
    const STRIDE: usize = 24;
    let array = map(MapType::Array, 4, STRIDE as u32, VALUES, MMAPABLE);
    let value = |number: u32| {
        let words = [number, !number, number.rotate_left(7), 1, 2, number ^ 0x5555];
        words.map(u32::to_ne_bytes).concat()
    };
    let memory = array.memory().unwrap();
    assert_eq!(memory.len(), VALUES as usize * STRIDE);
    // The first with an end in another part, one far behind, and the last.
    for number in [10_922, 21_845, VALUES - 1] {
        memory.write(number as usize * STRIDE, &value(number)).unwrap();
        assert_eq!(array.get(&number.to_ne_bytes()).unwrap().as_deref(), Some(&value(number)[..]));
    }
    let all: Vec<u8> = (0..VALUES).flat_map(value).collect();
    memory.write(0, &all).unwrap();
    for number in (0..VALUES).step_by(97) {
        assert_eq!(array.get(&number.to_ne_bytes()).unwrap().as_deref(), Some(&value(number)[..]), "{number}");
    }
    // Of another mapping, from the end, by several threads at once.
    let another = array.memory().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut bytes = vec![0; all.len() - 5];
                another.read(5, &mut bytes).unwrap();
                assert_eq!(bytes, all[5..]);
            });
        }
    });
    assert_eq!(another.load(all.len() - 8), Some(u64::from_ne_bytes(all[all.len() - 8..].try_into().unwrap())));
    assert_eq!((another.load(all.len()), another.write(all.len() - 1, &[0; 2])), (None, None));
}

#[test]
fn maps_in_maps_and_facts() {
    if !can_load() {
        return;
    }
    let inner = map(MapType::Array, 4, 8, 3, 0);
    let definition = MapDefinition {
        name: "outer",
        map_type: MapType::HashOfMaps,
        key_size: 4,
        value_size: 4,
        max_entries: 5,
        flags: 0,
    };
    let options = MapOptions { inner: Some(inner.as_fd()), ..Default::default() };
    let outer = LoadedMap::create_with(&definition, &options).unwrap();
    outer.set_object(&[1; 4], &inner).unwrap();
    inner.set(&[0; 4], &[6; 8], Update::Any).unwrap();
    let found = outer.inner(&[1; 4]).unwrap().unwrap();
    assert_eq!(found.get(&[0; 4]).unwrap(), Some(vec![6; 8]));
    assert!(outer.inner(&[2; 4]).unwrap().is_none());
    assert!(inner.inner(&[0; 4]).is_err());
    let other = map(MapType::Hash, 4, 8, 3, 0);
    assert!(outer.set_object(&[2; 4], &other).is_err(), "not like the inner one");
    let info = outer.info().unwrap();
    assert_eq!((info.map_type, info.key_size, info.max_entries), (Some(MapType::HashOfMaps), 4, 5));
    let bloom = LoadedMap::create_with(
        &MapDefinition {
            name: "bloom",
            map_type: MapType::BloomFilter,
            key_size: 0,
            value_size: 4,
            max_entries: 9,
            flags: 0,
        },
        &MapOptions { extra: 3, ..Default::default() },
    );
    assert_eq!(bloom.unwrap().info().unwrap().extra, 3);
}

#[test]
fn values_under_their_lock() {
    if !can_load() {
        return;
    }
    let Some(object) = common::compile("types.c", &["-mcpu=v3"]) else { return };
    let mut object = object;
    object.programs.retain(|program| program.name == "use_types");
    let loaded = skep_kernel::load(&object).unwrap_or_else(|error| panic!("{error}"));
    let map = loaded.maps.iter().find(|map| map.name() == "counted").unwrap();
    let mut value = vec![0; map.value_size()];
    value[4..8].copy_from_slice(&123u32.to_ne_bytes());
    map.set_locked(&[0; 4], &value, Update::Replace).unwrap();
    let found = map.get_locked(&[0; 4]).unwrap().unwrap();
    assert_eq!((&found[..4], &found[4..8]), (&[0; 4][..], &123u32.to_ne_bytes()[..]));
    let plain = self::map(MapType::Array, 4, 8, 1, 0);
    assert!(matches!(plain.get_locked(&[0; 4]), Err(KernelError::Invalid { .. })));
    assert!(plain.set_locked(&[0; 4], &[0; 8], Update::Any).is_err());
}
