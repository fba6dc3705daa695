//! Rules of the maps, each as the kernel has it.

use super::*;

fn map(kind: MapType, key_size: u32, value_size: u32, max_entries: u32) -> Map {
    let flags = u32::from(kind == MapType::LpmTrie);
    Map::new(kind, Shape { key_size, value_size, max_entries, flags }).unwrap()
}

fn prefix(length: u32, data: [u8; 4]) -> Vec<u8> {
    [length.to_ne_bytes(), data].concat()
}

#[test]
fn arrays_have_all_their_entries() {
    let mut map = map(MapType::Array, 4, 3, 2);
    let key = |index: u32| index.to_ne_bytes();
    assert_eq!(map.lookup(&key(1)), Some(&[0, 0, 0][..]));
    assert_eq!(map.lookup(&key(2)), None);
    assert_eq!(map.update(&key(1), &[1, 2, 3], UpdateFlag::Any), Ok(()));
    assert_eq!(map.update(&key(1), &[4, 5, 6], UpdateFlag::Exist), Ok(()));
    assert_eq!(map.update(&key(1), &[7, 8, 9], UpdateFlag::NoExist), Err(MapError::Exists));
    assert_eq!(map.update(&key(2), &[7, 8, 9], UpdateFlag::NoExist), Err(MapError::Full));
    assert_eq!(map.lookup(&key(1)), Some(&[4, 5, 6][..]));
    assert!(matches!(map.delete(&key(1)), Err(MapError::Invalid(_))));
    assert_eq!(map.lookup(&[0; 3]), None);
    assert!(matches!(map.update(&key(0), &[1], UpdateFlag::Any), Err(MapError::Invalid(_))));
}

#[test]
fn accesses_stay_inside_one_value() {
    let map = map(MapType::Array, 4, 3, 2);
    let second = map.offset(Slot(1));
    assert_eq!(second, 8);
    assert_eq!(map.value_bytes(second, 3).map(<[u8]>::len), Some(3));
    assert_eq!(map.value_bytes(second + 2, 1).map(<[u8]>::len), Some(1));
    assert_eq!(map.value_bytes(second + 2, 2), None);
    assert_eq!(map.value_bytes(3, 1), None);
    assert_eq!(map.value_bytes(7, 2), None);
    assert_eq!(map.value_bytes(16, 1), None);
    assert_eq!(map.value_bytes(u32::MAX, 8), None);
}

#[test]
fn hash_maps_count_their_entries() {
    let mut map = map(MapType::Hash, 2, 4, 2);
    assert_eq!(map.update(b"aa", &[1; 4], UpdateFlag::Exist), Err(MapError::NotFound));
    assert_eq!(map.update(b"aa", &[1; 4], UpdateFlag::NoExist), Ok(()));
    assert_eq!(map.update(b"aa", &[2; 4], UpdateFlag::NoExist), Err(MapError::Exists));
    assert_eq!(map.update(b"bb", &[3; 4], UpdateFlag::Any), Ok(()));
    assert_eq!(map.update(b"cc", &[4; 4], UpdateFlag::Any), Err(MapError::Full));
    assert_eq!(map.update(b"bb", &[5; 4], UpdateFlag::Any), Ok(()));
    assert_eq!(map.len(), 2);
    let kept = map.find(b"bb");
    assert_eq!(map.delete(b"aa"), Ok(()));
    assert_eq!(map.delete(b"aa"), Err(MapError::NotFound));
    assert_eq!(map.update(b"cc", &[6; 4], UpdateFlag::Any), Ok(()));
    assert_eq!(map.find(b"bb"), kept, "a value moved");
    assert_eq!(map.entries(), [(b"bb".to_vec(), vec![5; 4]), (b"cc".to_vec(), vec![6; 4])]);
}

#[test]
fn tries_find_the_longest_prefix() {
    let mut map = map(MapType::LpmTrie, 8, 1, 3);
    for (length, data, value) in [(8, [10, 9, 9, 9], 1), (24, [10, 1, 2, 0], 2), (0, [0; 4], 3)] {
        assert_eq!(map.update(&prefix(length, data), &[value], UpdateFlag::NoExist), Ok(()));
    }
    assert_eq!(map.lookup(&prefix(32, [10, 1, 2, 3])), Some(&[2][..]));
    assert_eq!(map.lookup(&prefix(32, [10, 1, 3, 3])), Some(&[1][..]));
    assert_eq!(map.lookup(&prefix(32, [11, 1, 2, 3])), Some(&[3][..]));
    // A key shorter than the prefix does not match it.
    assert_eq!(map.lookup(&prefix(23, [10, 1, 2, 0])), Some(&[1][..]));
    assert_eq!(map.lookup(&prefix(33, [10, 1, 2, 3])), None);
    // Bits behind the prefix do not count, so this is the first entry.
    assert_eq!(map.update(&prefix(8, [10, 0, 0, 0]), &[4], UpdateFlag::NoExist), Err(MapError::Exists));
    assert_eq!(map.update(&prefix(9, [10, 0, 0, 0]), &[4], UpdateFlag::Any), Err(MapError::TrieFull));
    assert_eq!(map.update(&prefix(9, [10, 0, 0, 0]), &[4], UpdateFlag::Exist), Err(MapError::NotFound));
    assert_eq!(map.update(&prefix(8, [10, 0, 0, 0]), &[5], UpdateFlag::Any), Ok(()));
    assert!(matches!(map.update(&prefix(33, [0; 4]), &[0], UpdateFlag::Any), Err(MapError::Invalid(_))));
    assert_eq!(map.delete(&prefix(24, [10, 1, 2, 255])), Ok(()));
    assert_eq!(map.delete(&prefix(24, [10, 1, 2, 255])), Err(MapError::NotFound));
    assert_eq!(map.lookup(&prefix(32, [10, 1, 2, 3])), Some(&[5][..]));
    assert_eq!(map.len(), 2);
}

#[test]
fn impossible_shapes_are_refused() {
    let shape = Shape { key_size: 4, value_size: 8, max_entries: 1, flags: 0 };
    let refused = |kind, shape| matches!(Map::new(kind, shape), Err(MapError::Invalid(_)));
    assert!(refused(MapType::Array, Shape { key_size: 8, ..shape }));
    assert!(refused(MapType::Array, Shape { max_entries: 0, ..shape }));
    assert!(refused(MapType::Hash, Shape { value_size: 0, ..shape }));
    assert!(refused(MapType::Hash, Shape { key_size: 1 << 20, ..shape }));
    assert!(refused(MapType::LpmTrie, Shape { flags: 1, ..shape }));
    assert!(refused(MapType::LpmTrie, Shape { key_size: 8, ..shape }));
    assert!(matches!(Map::new(MapType::Array, Shape { max_entries: u32::MAX, ..shape }), Err(MapError::TooLarge(_))));
}

#[test]
fn maps_are_made_from_their_specification() {
    let mut spec = MapSpec::new("set", MapType::Hash, 2, 1, 2);
    spec.contents = vec![(b"ab".to_vec(), vec![1]), (b"cd".to_vec(), vec![2])];
    let map = Map::from_spec(&spec).unwrap();
    assert_eq!(map.lookup(b"cd"), Some(&[2][..]));
    assert!(map.is_writable_by_programs());
    spec.max_entries = 1;
    assert_eq!(Map::from_spec(&spec).err(), Some(MapError::Full));
    spec.map_type = MapType::Ringbuf;
    assert_eq!(Map::from_spec(&spec).err(), Some(MapError::Unsupported(MapType::Ringbuf)));
}

#[test]
fn error_numbers_are_the_kernels() {
    let errors = [MapError::NotFound, MapError::Full, MapError::Exists, MapError::Invalid(""), MapError::TrieFull];
    assert_eq!(errors.map(MapError::errno), [-2, -7, -17, -22, -28]);
    assert!(UpdateFlag::from_number(3).is_err() && UpdateFlag::from_number(4).is_err());
}
