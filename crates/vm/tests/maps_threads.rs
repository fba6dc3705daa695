//! Many threads on one map: nothing is torn, nothing is lost, limits hold.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::scope;
use std::time::{Duration, Instant};

use skep_isa::MapType;
use skep_vm::ebpf::maps::{Map, MapError, Shape, flag};

const TIME: Duration = Duration::from_millis(400);
const CPUS: u32 = 4;
const ENTRIES: u32 = 48;

/// Numbers that are good enough to choose operations.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        ((self.0 >> 33) % u64::from(bound)) as u32
    }
}

/// A key of a number; tries get prefixes of full length.
fn key(kind: MapType, number: u32) -> Vec<u8> {
    match kind {
        MapType::LpmTrie => [32_u32.to_ne_bytes(), number.wrapping_mul(0x9e37_79b9).to_ne_bytes()].concat(),
        _ => number.to_ne_bytes().to_vec(),
    }
}

/// Three words: the key, a version and something made of both.
fn value(number: u32, version: u32) -> Vec<u8> {
    let (number, version) = (u64::from(number), u64::from(version));
    let sum = number.wrapping_mul(31) ^ version.wrapping_mul(0x1_0001) ^ 0x5eed;
    [number.to_ne_bytes(), version.to_ne_bytes(), sum.to_ne_bytes()].concat()
}

fn check(kind: MapType, number: u32, bytes: &[u8]) {
    for part in bytes.chunks(24) {
        let word = |at: usize| part[at * 8..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        if part.iter().all(|&byte| byte == 0) {
            continue;
        }
        assert_eq!(part, value(number, word(1) as u32), "{kind}: a value of another key, or half of one");
        assert_eq!(word(0), u64::from(number));
    }
}

fn operate(map: &Map, seed: u64, stop: &AtomicBool) -> u64 {
    let kind = map.kind();
    let per_cpu = matches!(kind, MapType::PercpuHash | MapType::LruPercpuHash);
    let cpu = seed as u32 % CPUS;
    let mut numbers = Numbers(seed);
    let mut operations = 0;
    while !stop.load(Relaxed) {
        let number = numbers.below(ENTRIES * 2);
        let key = key(kind, number);
        let user = map.user();
        match numbers.below(8) {
            0 | 1 => match map.update(&key, &value(number, numbers.below(1 << 20)), 0, cpu) {
                Ok(()) | Err(MapError::Full | MapError::NoSpace) => {}
                Err(error) => panic!("{kind}: {error}"),
            },
            2 => assert!(matches!(map.delete(&key), Ok(()) | Err(MapError::NotFound))),
            3 => match user.lookup_and_delete(&key) {
                Ok(bytes) => check(kind, number, if per_cpu { &[] } else { &bytes }),
                Err(MapError::NotFound | MapError::NotSupported(_)) => {}
                Err(error) => panic!("{kind}: {error}"),
            },
            4 => {
                let mut steps = 0;
                let mut next = user.next_key(None).unwrap();
                while let Some(key) = next.filter(|_| steps < 10) {
                    steps += 1;
                    next = user.next_key(Some(&key)).unwrap();
                }
            }
            5 => {
                if let Some(offset) = map.find(&key, cpu) {
                    assert!(map.value_range(offset).is_some_and(|range| range.start == offset && range.len() == 24));
                }
            }
            _ => match user.lookup(&key) {
                // Values of a CPU change in place, so only whole values can be checked.
                Ok(bytes) => check(kind, number, if per_cpu { &[] } else { &bytes }),
                Err(MapError::NotFound) => {}
                Err(error) => panic!("{kind}: {error}"),
            },
        }
        assert!(map.len() <= map.shape().max_entries as usize, "{kind}");
        operations += 1;
    }
    operations
}

#[test]
fn keyed_maps() {
    for (kind, flags) in [
        (MapType::Hash, 0),
        (MapType::PercpuHash, 0),
        (MapType::LruHash, 0),
        (MapType::LruHash, flag::NO_COMMON_LRU),
        (MapType::LruPercpuHash, 0),
        (MapType::LpmTrie, flag::NO_PREALLOC),
    ] {
        let key_size = if kind == MapType::LpmTrie { 8 } else { 4 };
        let shape = Shape { key_size, value_size: 24, max_entries: ENTRIES, flags };
        let map = Map::new_for_cpus(kind, shape, CPUS).unwrap_or_else(|error| panic!("{error}"));
        let stop = AtomicBool::new(false);
        let total = scope(|scope| {
            let (map, stop) = (&map, &stop);
            let workers: Vec<_> = (1..=4).map(|seed| scope.spawn(move || operate(map, seed, stop))).collect();
            std::thread::sleep(TIME);
            stop.store(true, Relaxed);
            workers.into_iter().map(|worker| worker.join().unwrap()).sum::<u64>()
        });
        println!("{kind} {flags:#x}: {total} operations");
        // In the end the books are right: what is listed is found, and all of it can be removed.
        let entries: Vec<_> = map.user().entries().collect();
        assert_eq!(entries.len(), map.len(), "{kind}");
        for (key, _) in &entries {
            assert_eq!(map.delete(key), Ok(()), "{kind}");
        }
        assert!(map.is_empty());
        for number in 0..ENTRIES {
            assert_eq!(map.update(&key(kind, number), &value(number, 1), 1, 0), Ok(()), "{kind}: a place was lost");
        }
    }
}

/// A value that is long to copy is one that was stored, however fast it is replaced.
#[test]
fn long_values_are_whole() {
    for (kind, flags) in [(MapType::Hash, 0), (MapType::LruHash, 0), (MapType::LpmTrie, flag::NO_PREALLOC)] {
        let key_size = if kind == MapType::LpmTrie { 8 } else { 4 };
        let shape = Shape { key_size, value_size: 4096, max_entries: 2, flags };
        let map = Map::new_for_cpus(kind, shape, 1).unwrap_or_else(|error| panic!("{error}"));
        let stop = AtomicBool::new(false);
        let reads = scope(|scope| {
            for seed in 1..=2_u64 {
                let (map, stop) = (&map, &stop);
                scope.spawn(move || {
                    let mut numbers = Numbers(seed);
                    while !stop.load(Relaxed) {
                        map.update(&key(kind, 1), &[numbers.below(256) as u8; 4096], 0, 0).unwrap();
                    }
                });
            }
            let (mut reads, end) = (0, Instant::now() + TIME);
            while Instant::now() < end {
                if let Ok(bytes) = map.user().lookup(&key(kind, 1)) {
                    if bytes.iter().any(|&byte| byte != bytes[0]) {
                        stop.store(true, Relaxed);
                        panic!("{kind}: a value of two halves");
                    }
                    reads += 1;
                }
            }
            stop.store(true, Relaxed);
            reads
        });
        assert!(reads > 0, "{kind}");
    }
}

#[test]
fn queues_and_stacks_deliver_once() {
    for kind in [MapType::Queue, MapType::Stack] {
        let shape = Shape { key_size: 0, value_size: 24, max_entries: 16, flags: 0 };
        let map = Map::new_for_cpus(kind, shape, CPUS).unwrap_or_else(|error| panic!("{error}"));
        let (pushed, popped, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        let pop = || {
            let mut bytes = [0; 24];
            let result = map.pop(&mut bytes);
            if result.is_ok() {
                check(kind, u32::from_ne_bytes(bytes[..4].try_into().unwrap()), &bytes);
                popped.fetch_add(u64::from_ne_bytes(bytes[8..16].try_into().unwrap()), Relaxed);
            }
            result.is_ok()
        };
        scope(|scope| {
            for seed in 1..=2_u64 {
                let (map, pushed, stop) = (&map, &pushed, &stop);
                scope.spawn(move || {
                    let mut numbers = Numbers(seed);
                    while !stop.load(Relaxed) {
                        let version = numbers.below(1000);
                        if map.push(&value(numbers.below(9), version), 0).is_ok() {
                            pushed.fetch_add(version.into(), Relaxed);
                        }
                    }
                });
                let (pop, stop) = (&pop, stop);
                scope.spawn(move || {
                    while !stop.load(Relaxed) {
                        pop();
                    }
                });
            }
            std::thread::sleep(TIME);
            stop.store(true, Relaxed);
        });
        while pop() {}
        assert_eq!(pushed.into_inner(), popped.load(Relaxed), "{kind}");
    }
}

/// A record whose first word says how long it is and with what it is filled.
fn record(seed: u32) -> Vec<u8> {
    let length = 4 + seed % 300;
    let mut bytes = seed.to_ne_bytes().to_vec();
    bytes.resize(length as usize, (seed >> 3) as u8);
    bytes
}

#[test]
fn ring_buffers_deliver_what_they_do_not_lose() {
    let shape = Shape { key_size: 0, value_size: 0, max_entries: 8192, flags: 0 };
    let map = Map::new(MapType::Ringbuf, shape).unwrap_or_else(|error| panic!("{error}"));
    let (produced, discarded, running) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(3));
    let end = Instant::now() + TIME;
    let mut delivered = 0;
    let mut take = |map: &Map| {
        map.ring_consume(&mut |bytes| {
            let seed = bytes.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
            assert_eq!(bytes, record(seed), "a torn record");
            delivered += 1;
        })
        .unwrap_or_else(|error| panic!("{error}"));
    };
    scope(|scope| {
        for seed in 1..=3_u64 {
            let (map, produced, discarded, running) = (&map, &produced, &discarded, &running);
            scope.spawn(move || {
                let mut numbers = Numbers(seed);
                while Instant::now() < end {
                    let bytes = record(numbers.below(u32::MAX));
                    produced.fetch_add(1, Relaxed);
                    if numbers.below(2) == 0 {
                        let _ = map.ring_output(&bytes, 0);
                    } else if let Some(offset) = map.ring_reserve(bytes.len() as u64) {
                        assert!(map.values().is_some_and(|memory| memory.write(offset as usize, &bytes)));
                        if numbers.below(4) == 0 {
                            discarded.fetch_add(1, Relaxed);
                            map.ring_discard(offset, 0).unwrap();
                        } else {
                            map.ring_submit(offset, 0).unwrap();
                        }
                    }
                }
                running.fetch_sub(1, Relaxed);
            });
        }
        // A producer that panics does not count down.
        while running.load(Relaxed) > 0 && Instant::now() < end + 10 * TIME {
            map.ring_wait(Duration::from_millis(5)).unwrap();
            take(&map);
        }
    });
    take(&map);
    println!("{delivered} delivered, {} lost", map.ring_lost());
    assert!(delivered > 0);
    assert_eq!(delivered + map.ring_lost() + discarded.into_inner(), produced.into_inner());
}
