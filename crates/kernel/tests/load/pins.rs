//! Maps that are shared by name: the first object pins them, others use them, and those that differ are told how.

use std::path::PathBuf;

use skep_kernel::{LoadOptions, LoadedMap, Rights, Update, load_with};
use skep_object::Object;

use super::objects::of_source;
use crate::common::can_load;

fn case(entries: u32, value: &str) -> Option<Object> {
    of_source(&format!(
        "struct {{ __uint(type, ARRAY); __type(key, u32); __type(value, {value}); __uint(max_entries, {entries}); \
         __uint(pinning, 1); }} shared SEC(\".maps\");\n\
         SEC(\"socket\") int use(void *ctx) {{ u32 zero = 0; {value} *place = map_lookup(&shared, &zero); \
         return place ? *place : 0; }}\n"
    ))
}

/// A directory in the BPF file system that vanishes.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(skep_kernel::BPFFS).join(format!("skep_loader_{name}_{}", std::process::id()));
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn maps_are_shared_by_name() {
    if !can_load() {
        return;
    }
    let Some(object) = case(4, "u32") else { return };
    let directory = Directory::new("pins");
    let options = LoadOptions { pins: Some(&directory.0), ..LoadOptions::default() };
    let first = load_with(&object, &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(first.pinned, [directory.0.join("shared")]);
    first.maps[0].set(&[0; 4], &77u32.to_ne_bytes(), Update::Any).unwrap();
    let second = load_with(&object, &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((second.maps[0].id(), second.pinned.len()), (first.maps[0].id(), 0));
    assert_eq!(second.programs[0].test_run(&[0; 64], 1).unwrap().result, 77);
    // Other objects get other maps, or a message that says what is different.
    let alone = load_with(&object, &LoadOptions { pins: None, ..LoadOptions::default() }).unwrap();
    assert_ne!(alone.maps[0].id(), first.maps[0].id());
    let error = load_with(&case(9, "u64").unwrap(), &options).unwrap_err().to_string();
    let path = directory.0.join("shared");
    assert_eq!(
        error,
        format!(
            "map `shared`: cannot use a map that exists already: the map pinned at {} has values of 4 bytes, not 8, room \
             for 4 entries, not 9; remove it if nobody needs it any more, or give this one another name",
            path.display()
        )
    );
    drop((first, second));
    let map = LoadedMap::pinned(&path, Rights::All).unwrap();
    assert_eq!(map.get(&[0; 4]).unwrap().unwrap(), 77u32.to_ne_bytes());
}

#[test]
fn a_load_that_fails_pins_nothing() {
    if !can_load() {
        return;
    }
    let Some(mut object) = case(4, "u32") else { return };
    let directory = Directory::new("failed");
    let options = LoadOptions { pins: Some(&directory.0), ..LoadOptions::default() };
    object.programs[0].insns = skep_isa::ebpf::assemble("r0 = r5\nexit\n").unwrap();
    object.programs[0].functions.clear();
    object.programs[0].lines.clear();
    assert!(load_with(&object, &options).is_err());
    assert_eq!(std::fs::read_dir(&directory.0).unwrap().count(), 0);
}

#[test]
fn maps_can_be_given() {
    if !can_load() {
        return;
    }
    let Some(object) = case(4, "u32") else { return };
    let plain = LoadOptions { pins: None, ..LoadOptions::default() };
    let first = load_with(&object, &plain).unwrap();
    first.maps[0].set(&[0; 4], &5u32.to_ne_bytes(), Update::Any).unwrap();
    let given = [("shared", &first.maps[0])];
    let second = load_with(&object, &LoadOptions { maps: &given, ..plain }).unwrap();
    assert_eq!(second.programs[0].test_run(&[0; 64], 1).unwrap().result, 5);
}
