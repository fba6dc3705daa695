//! Speed of look-ups by programs.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use skep_isa::MapType;
use skep_vm::ebpf::maps::{Map, Shape};

fn main() {
    divan::main();
}

/// Look-ups in one sample, so that the clock does not count.
const LOOKUPS: u32 = 1024;

fn full(kind: MapType, key_size: u32, entries: u32) -> (Map, Vec<Vec<u8>>) {
    let map = Map::new_for_cpus(kind, Shape { key_size, value_size: 8, max_entries: entries, flags: 0 }, 2)
        .unwrap_or_else(|error| panic!("{error}"));
    let keys: Vec<Vec<u8>> = (0..entries)
        .map(|number| {
            let mut key = vec![0; key_size as usize];
            key[..4].copy_from_slice(&number.to_ne_bytes());
            key
        })
        .collect();
    for key in &keys {
        map.update(key, &[1; 8], 0, 0).unwrap_or_else(|error| panic!("{error}"));
    }
    (map, keys)
}

fn find(bencher: Bencher<'_, '_>, kind: MapType, key_size: u32, entries: u32) {
    let (map, keys) = full(kind, key_size, entries);
    // Keys in another order than they were stored, one after the other in memory.
    let order: Vec<u8> = (0..LOOKUPS).flat_map(|number| keys[(number * 7 % entries) as usize].clone()).collect();
    bencher.counter(ItemsCount::new(LOOKUPS)).bench(|| {
        let map = black_box(&map);
        let mut sum = 0_u32;
        for key in black_box(&order).chunks_exact(key_size as usize) {
            sum = sum.wrapping_add(map.find(key, 0).unwrap_or(0));
        }
        sum
    });
}

#[divan::bench]
fn array(bencher: Bencher<'_, '_>) {
    find(bencher, MapType::Array, 4, 1024);
}

#[divan::bench]
fn percpu_array(bencher: Bencher<'_, '_>) {
    find(bencher, MapType::PercpuArray, 4, 1024);
}

#[divan::bench(args = [4, 8, 12, 16, 40])]
fn hash(bencher: Bencher<'_, '_>, key_size: u32) {
    find(bencher, MapType::Hash, key_size, 1024);
}

#[divan::bench(args = [4, 16])]
fn lru_hash(bencher: Bencher<'_, '_>, key_size: u32) {
    find(bencher, MapType::LruHash, key_size, 1024);
}
