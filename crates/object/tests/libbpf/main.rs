//! libbpf as the oracle: bpftool loads an object, a library between libbpf and the kernel writes down every program that
//! would be loaded, and ours must be the same, instruction by instruction.

mod oracle;

use skep_object::Object;

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
