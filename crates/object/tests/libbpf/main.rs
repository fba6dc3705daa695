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
