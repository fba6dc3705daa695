//! Compiled sources, and what tests change in them.

use std::fs;
use std::path::{Path, PathBuf};

use skep_kernel::{Loaded, LoadedMap};
use skep_object::{MapIdx, Object, Purpose};

use crate::common::skip;

/// `objects` in the directory that cargo builds in, of which this program is `debug/deps/NAME`.
fn kept(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().join("objects").join(format!("{name}.o"))
}

/// The file that clang makes of a source of this crate (`tests/c`) or of the corpus; `None` with a note if there is neither
/// clang nor a file of an earlier run.
#[track_caller]
pub fn file(name: &str) -> Option<Vec<u8>> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(format!("{name}.c"));
    let source = if own.exists() { own } else { skep_testkit::clang::directory().join(format!("{name}.c")) };
    match skep_testkit::clang::compile(&source, &[]) {
        Ok(bytes) => {
            let path = kept(name);
            // Several tests may write the same file: each puts a whole one in place.
            let new = path.with_extension(format!("{:?}", std::thread::current().id()));
            let stored = fs::create_dir_all(path.parent().unwrap())
                .and_then(|()| fs::write(&new, &bytes))
                .and_then(|()| fs::rename(&new, &path));
            stored.unwrap_or_else(|error| println!("{} is not kept: {error}", path.display()));
            Some(bytes)
        }
        Err(why) => {
            let found = fs::read(kept(name));
            if found.is_err() {
                skip(&why);
            }
            found.ok()
        }
    }
}

/// The same as an object.
#[track_caller]
pub fn object(name: &str) -> Option<Object> {
    Some(Object::from_elf(&file(name)?).unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// A text as an object, for cases of one program.
#[track_caller]
pub fn of_source(text: &str) -> Option<Object> {
    match skep_testkit::clang::compile_text(text, &[]) {
        Ok(bytes) => Some(Object::from_elf(&bytes).unwrap()),
        Err(why) => {
            skip(&why);
            None
        }
    }
}

/// Where a global variable lies: its map, offset and size.
pub fn variable(object: &Object, name: &str) -> (MapIdx, usize, usize) {
    let place = object.maps.iter().enumerate().find_map(|(index, map)| {
        let Purpose::Variables(variables) = &map.purpose else { return None };
        let found = variables.iter().find(|variable| variable.name == name)?;
        Some((MapIdx(index as u32), found.offset as usize, found.size as usize))
    });
    place.unwrap_or_else(|| panic!("no variable {name}"))
}

/// Changes a global variable before the object is loaded.
pub fn set_variable(object: &mut Object, name: &str, value: &[u8]) {
    let (map, offset, size) = variable(object, name);
    assert_eq!(size, value.len());
    let spec = &mut object.maps[map.index()];
    if spec.contents.is_empty() {
        spec.contents = vec![(vec![0; 4], vec![0; spec.value_size as usize])];
    }
    spec.contents[0].1[offset..offset + size].copy_from_slice(value);
}

/// The bytes of a global variable now.
pub fn read_variable(object: &Object, loaded: &Loaded, name: &str) -> Vec<u8> {
    let (map, offset, size) = variable(object, name);
    let map: &LoadedMap = loaded.map(map).unwrap();
    map.get(&[0; 4]).unwrap().unwrap()[offset..offset + size].to_vec()
}
