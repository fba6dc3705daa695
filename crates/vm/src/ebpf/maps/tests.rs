//! Rules of the maps that no random comparison reaches: the program side, and what only exists here.

use std::time::Duration;

use super::*;

fn map(kind: MapType, key_size: u32, value_size: u32, max_entries: u32, flags: u32) -> Map {
    let shape = Shape { key_size, value_size, max_entries, flags };
    Map::new_for_cpus(kind, shape, 3).unwrap_or_else(|error| panic!("{kind} {shape:?}: {error}"))
}

fn value_at(map: &Map, offset: Option<u32>) -> Option<Vec<u8>> {
    let mut value = vec![0; map.shape().value_size as usize];
    map.values()?.read(offset? as usize, &mut value).then_some(value)
}

#[test]
fn offsets_of_values_stay_inside_one_value() {
    for kind in [MapType::Array, MapType::PercpuArray] {
        let map = map(kind, 4, 3, 5, 0);
        let mut seen = Vec::new();
        for (index, cpu) in (0..5_u32).flat_map(|index| (0..3).map(move |cpu| (index, cpu))) {
            let offset = map.find(&index.to_ne_bytes(), cpu).unwrap();
            assert!(offset.is_multiple_of(8));
            for at in 0..3 {
                assert_eq!(map.value_range(offset + at), Some(offset..offset + 3), "{kind} {index} {cpu} {at}");
            }
            assert_eq!(map.value_range(offset + 3), None);
            seen.push(offset);
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), if kind == MapType::Array { 5 } else { 15 });
        assert_eq!(map.find(&0_u32.to_ne_bytes(), 3).is_some(), kind == MapType::Array, "a CPU that is not there");
        assert_eq!(map.find(&5_u32.to_ne_bytes(), 0), None);
        assert_eq!(map.find(&[0; 3], 0), None);
        let memory = map.values().unwrap().len() as u32;
        assert_eq!(map.value_range(memory), None);
        assert_eq!(map.value_range(u32::MAX), None);
    }
}

#[test]
fn programs_write_the_value_of_their_cpu() {
    for kind in [MapType::PercpuHash, MapType::LruPercpuHash, MapType::PercpuArray] {
        let map = map(kind, 4, 8, 4, 0);
        let key = 1_u32.to_ne_bytes();
        let all = [[7; 8], [8; 8], [9; 8]].concat();
        if kind != MapType::PercpuArray {
            map.user().update(&key, &all, 0).unwrap();
            map.delete(&key).unwrap();
        }
        map.update(&key, &[1; 8], 0, 2).unwrap();
        assert_eq!(map.user().lookup(&key), Ok([[0; 8], [0; 8], [1; 8]].concat()), "{kind}: no trace of the old entry");
        map.update(&key, &[2; 8], 2, 0).unwrap();
        assert_eq!(map.user().lookup(&key), Ok([[2; 8], [0; 8], [1; 8]].concat()), "{kind}");
        assert_eq!(map.user().lookup_on_cpu(&key, 2), Ok(vec![1; 8]));
        assert_eq!(value_at(&map, map.find(&key, 2)), Some(vec![1; 8]));
        assert!(matches!(map.update(&key, &[2; 8], 0, 3), Err(MapError::Invalid(_))), "{kind}: no CPU 3");
    }
}

#[test]
fn iteration_is_stable() {
    for kind in [MapType::Hash, MapType::LruHash, MapType::PercpuHash] {
        let map = map(kind, 4, 8, 64, 0);
        for number in 0..40_u32 {
            map.update(&number.to_ne_bytes(), &[1; 8], 0, 0).unwrap();
        }
        let (mut cursor, mut key, mut seen) = (0, [0; 4], Vec::new());
        while let Some((next, offset)) = map.next_entry(cursor, 1, &mut key) {
            assert!(map.value_range(offset).is_some());
            seen.push(u32::from_ne_bytes(key));
            // Every second entry goes away, the others get a new value.
            if seen.len() % 2 == 0 {
                map.delete(&key).unwrap();
            } else {
                map.update(&key, &[2; 8], 2, 0).unwrap();
            }
            cursor = next;
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..40).collect::<Vec<_>>(), "{kind}");
        assert_eq!(map.len(), 20);
        assert_eq!(map.user().entries().count(), 20);
    }
}

#[test]
fn batches_walk_through_a_map() {
    let map = map(MapType::Hash, 4, 4, 100, 0);
    let entries: Vec<_> = (0..50_u32).map(|n| (n.to_ne_bytes().to_vec(), (n * 3).to_ne_bytes().to_vec())).collect();
    assert_eq!(map.user().update_batch(&entries, 1), Ok(()));
    assert_eq!(map.user().update_batch(&entries[7..], 1), Err((MapError::Exists, 0)));
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let batch = map.user().lookup_batch(after.as_deref(), 7).unwrap();
        all.extend(batch.entries);
        after = batch.next;
        if after.is_none() {
            break;
        }
    }
    all.sort();
    let mut expected = entries.clone();
    expected.sort();
    assert_eq!(all, expected);
    let taken = map.user().lookup_and_delete_batch(20).unwrap();
    assert_eq!((taken.entries.len(), map.len()), (20, 30));
    let keys: Vec<_> = map.user().entries().map(|(key, _)| key).collect();
    assert_eq!(map.user().delete_batch(&keys), Ok(()));
    assert_eq!(map.user().delete_batch(&keys), Err((MapError::NotFound, 0)));
    assert!(map.is_empty());
}

#[test]
fn rings_keep_the_protocol() {
    let map = map(MapType::Ringbuf, 0, 0, 4096, 0);
    let memory = map.values().unwrap();
    assert!(memory.is_mirrored() && memory.len() == 8192 && memory.file_len() == 4096);
    assert_eq!(map.ring_reserve(4096), None, "no room for the header");
    assert_eq!(map.ring_reserve(1 << 40), None);
    let first = map.ring_reserve(5).unwrap();
    assert_eq!(map.value_range(first), Some(first..first + 5));
    memory.write(first as usize, b"first");
    assert_eq!(memory.u32_at(first as usize - 8).unwrap().load(Relaxed), 5 | 1 << 31, "busy");
    map.ring_output(b"second", 0).unwrap();
    let mut seen = Vec::new();
    let mut take = |map: &Map| map.ring_consume(&mut |record| seen.push(record.to_vec())).unwrap();
    assert_eq!(take(&map), 0, "the first record is not finished");
    assert!(!map.ring_wait(Duration::from_millis(1)).unwrap());
    map.ring_submit(first, 0).unwrap();
    assert!(matches!(map.ring_submit(first, 0), Err(MapError::Invalid(_))), "finished twice");
    assert!(matches!(map.ring_submit(3, 0), Err(MapError::Invalid(_))));
    assert!(map.ring_wait(Duration::from_secs(10)).unwrap());
    assert_eq!(take(&map), 2);
    let thrown = map.ring_reserve(100).unwrap();
    map.ring_discard(thrown, FORCE_WAKEUP).unwrap();
    assert_eq!(take(&map), 0, "thrown away");
    assert_eq!(map.ring_query(0), 0);
    assert_eq!((map.ring_query(1), map.ring_query(2)), (4096, map.ring_query(3)));
    // Around the end several times, through the mirror.
    for round in 0..200_u8 {
        map.ring_output(&[round; 333], NO_WAKEUP).unwrap();
        assert_eq!(take(&map), 1);
    }
    assert_eq!(seen[..2], [b"first".to_vec(), b"second".to_vec()]);
    assert!(seen[2..].iter().enumerate().all(|(round, record)| *record == [round as u8; 333]));
    assert_eq!(map.ring_lost(), 2);
    assert!(matches!(map.ring_output(&[0], 4), Err(MapError::Invalid(_))));
    while map.ring_output(&[1; 500], 0).is_ok() {}
    assert_eq!(map.ring_output(&[1; 500], 0), Err(MapError::Again));
}

#[test]
fn headers_that_programs_overwrite_do_no_harm() {
    let map = map(MapType::Ringbuf, 0, 0, 4096, 0);
    for header in [0, 1, u32::MAX, 1 << 31, 1 << 30, (1 << 30) - 1, 5000] {
        for _ in 0..3 {
            let record = map.ring_reserve(40).unwrap();
            map.ring_submit(record, 0).unwrap();
            map.values().unwrap().u32_at(record as usize - 8).unwrap().store(header, Relaxed);
            let mut bytes = 0;
            map.ring_consume(&mut |record| bytes += record.len()).unwrap();
            assert!(bytes <= 4096);
            if header >> 31 == 1 {
                // Busy for ever, until somebody finishes it.
                map.values().unwrap().u32_at(record as usize - 8).unwrap().store(40, Relaxed);
                map.ring_consume(&mut |_| {}).unwrap();
            }
        }
    }
    assert_eq!(map.ring_query(0), 0);
}

#[test]
fn perf_buffers_count_what_they_lose() {
    let map = map(MapType::PerfEventArray, 4, 4, 2, 0);
    assert_eq!(map.perf_output(0, &[b"x"]), Err(MapError::NotFound));
    assert_eq!(map.perf_output(2, &[b"x"]), Err(MapError::Full));
    map.perf_open(1, 20).unwrap();
    for round in 0..10_u8 {
        assert_eq!(map.perf_output(1, &[&[round], b"abc"]), Ok(()));
        assert_eq!(map.perf_output(1, &[b"seven", b"77"]), Ok(()));
        assert_eq!(map.perf_output(1, &[b""]), Err(MapError::NoSpace));
        let mut seen = Vec::new();
        assert_eq!(map.perf_consume(1, &mut |record| seen.push(record.to_vec())), Ok(2));
        assert_eq!(seen, [[round, b'a', b'b', b'c'].to_vec(), b"seven77".to_vec()]);
    }
    assert_eq!(map.perf_lost(1), Ok(10));
    assert_eq!(map.delete(&1_u32.to_ne_bytes()), Ok(()));
    assert_eq!(map.perf_lost(1), Err(MapError::NotFound));
}

#[test]
fn arrays_of_programs_are_not_for_programs_to_read() {
    let map = map(MapType::ProgArray, 4, 4, 2, 0);
    let key = 1_u32.to_ne_bytes();
    assert_eq!(map.program_at(1), None);
    map.user().update(&key, &0_u32.to_ne_bytes(), 0).unwrap();
    assert_eq!((map.program_at(1), map.program_at(2), map.find(&key, 0)), (Some(0), None, None));
    assert!(matches!(map.user().update(&key, &[0; 4], 1), Err(MapError::Invalid(_))));
    assert!(matches!(map.update(&key, &[0; 4], 0, 0), Err(MapError::Invalid(_))));
    assert_eq!((map.delete(&key), map.delete(&key)), (Ok(()), Err(MapError::NotFound)));
}

#[test]
fn sockets_of_express_data_paths() {
    let map = map(MapType::Xskmap, 4, 4, 2, 0);
    let key = 1_u32.to_ne_bytes();
    assert_eq!(map.user().update(&key, &[1; 4], 2), Err(MapError::NotFound));
    assert_eq!(map.user().update(&key, &[1; 4], 1), Ok(()));
    assert_eq!(map.user().update(&key, &[1; 4], 1), Err(MapError::Exists));
    assert_eq!(map.user().lookup(&key), Err(MapError::NoOperation));
    assert_eq!(value_at(&map, map.find(&key, 0)), Some(vec![1; 4]));
    assert_eq!(map.find(&0_u32.to_ne_bytes(), 0), None);
}

#[test]
fn kernel_only_types_are_refused() {
    let shape = Shape { key_size: 4, value_size: 4, max_entries: 1, flags: 0 };
    for kind in [MapType::Sockmap, MapType::TaskStorage, MapType::UserRingbuf, MapType::Arena, MapType::StackTrace] {
        let error = Map::new(kind, shape).unwrap_err();
        assert_eq!((error, error.errno()), (MapError::Unsupported(kind), -22));
        assert!(error.to_string().contains(kind.name()));
    }
    assert!(matches!(Map::new(MapType::ArrayOfMaps, shape), Err(MapError::Invalid(_))));
    let huge = Shape { max_entries: u32::MAX, ..shape };
    for kind in [MapType::Array, MapType::Hash, MapType::LruHash, MapType::DevmapHash] {
        assert!(matches!(Map::new(kind, huge), Err(MapError::TooLarge(_))), "{kind}");
    }
}

#[test]
fn maps_are_made_from_their_specification() {
    let mut spec = MapSpec::new("set", MapType::Hash, 2, 1, 2);
    spec.contents = vec![(b"ab".to_vec(), vec![1]), (b"cd".to_vec(), vec![2])];
    let map = Map::from_spec(&spec).unwrap();
    assert_eq!(map.user().lookup(b"cd"), Ok(vec![2]));
    assert!(map.is_writable_by_programs() && map.is_readable_by_programs());
    spec.max_entries = 1;
    assert_eq!(Map::from_spec(&spec).err(), Some(MapError::Full));
}

#[test]
fn shared_bytes_are_mapped_again() {
    let bytes = SharedBytes::mirrored(100).unwrap();
    assert!(bytes.write(4090, b"through the mirror") && !bytes.write(8190, b"xyz"));
    let mut start = [0; 12];
    assert!(bytes.read(0, &mut start));
    assert_eq!(&start, b"h the mirror");
    // SAFETY: reserves a range of its own, which `map_at` then fills; it is unmapped at the end.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let at = libc::mmap(std::ptr::null_mut(), bytes.len(), libc::PROT_NONE, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED);
        bytes.map_at(at.cast()).unwrap();
        assert_eq!(at.cast::<u8>().add(4096).read_volatile(), b'h');
        at.cast::<u8>().add(1).write_volatile(b'!');
        libc::munmap(at, bytes.len());
    }
    assert_eq!(bytes.u8_at(4097).unwrap().load(Relaxed), b'!');
    assert!(bytes.u32_at(2).is_none() && bytes.u64_at(8188).is_none() && bytes.u64_at(usize::MAX).is_none());
}
