//! libbpf as the oracle: bpftool loads an object, a library between libbpf and the kernel writes down every program that
//! would be loaded, and ours must be the same, instruction by instruction.

mod oracle;

use skep_object::{Object, link_elf};

#[test]
fn instructions_are_libbpfs() {
    for name in skep_testkit::clang::SOURCES {
        let Some(bytes) = oracle::object(name) else { return };
        oracle::compare(name, &bytes, Object::from_elf(&bytes).unwrap_or_else(|error| panic!("{name}: {error}")));
    }
}

/// What we write is read back as it was, and libbpf makes the same programs of it.
#[test]
fn written_files_are_the_same_object() {
    for name in skep_testkit::clang::SOURCES {
        let Some(bytes) = oracle::object(name) else { return };
        let object = Object::from_elf(&bytes).unwrap();
        let file = object.to_elf().unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = Object::from_elf(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (one, other) in object.programs.iter().zip(&again.programs) {
            assert_eq!(one, other, "{name}");
        }
        assert_eq!(object.maps, again.maps, "{name}");
        assert!(object == again, "{name}");
        oracle::compare(name, &file, object);
    }
}

/// What we link is what libbpf's linker makes, and both loaders agree about both files.
#[test]
fn linked_files_are_libbpfs() {
    let mut files = Vec::new();
    for name in skep_testkit::clang::LINKED {
        let Some(bytes) = oracle::object(name) else { return };
        files.push((*name, bytes));
    }
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, &**bytes)).collect();
    let ours = link_elf(&files).unwrap_or_else(|error| panic!("{error}"));
    let object = Object::from_elf_files(&files).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(Object::from_elf(&ours).as_ref(), Ok(&object));
    oracle::compare("linked by us", &ours, object.clone());
    let Some(theirs) = oracle::link(&files) else { return };
    oracle::compare("linked by libbpf", &theirs, object.clone());
    oracle::compare("linked by libbpf, read by us", &theirs, Object::from_elf(&theirs).unwrap());
    // The strong definition counts, and namesakes of both files are apart.
    let first = object.program("first").unwrap();
    let names: Vec<_> = first.functions.iter().map(|function| &*function.name).collect();
    assert_eq!(names, ["first", "add", "helper", "choose", "helper"]);
    let order: Vec<&[(&str, &[u8])]> = vec![&files[1..], &files[..1]];
    let turned = Object::from_elf_files(&order.concat()).unwrap();
    assert_eq!(turned.programs.len(), 2);
    // Objects can be linked as well: a file with one object inside is that object.
    let alone = Object::link(&[&object]).unwrap();
    assert_eq!(alone, object);
}
