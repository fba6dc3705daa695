//! libbpf as the oracle: bpftool loads an object, a library between libbpf and the kernel writes down every program that
//! would be loaded, and ours must be the same, instruction by instruction.

mod oracle;

use skep_isa::ebpf::{Op, Reg, assemble};
use skep_isa::{AttachType, MapType, ProgType};
use skep_object::{BAD_RELOCATION, MapSpec, Object, Program, Purpose, Reference, Variable, link_elf};

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

/// The kernel takes what we write through bpftool, and the type information of resolved objects.
#[test]
fn the_kernel_takes_what_we_make() {
    for name in ["maps", "globals", "functions", "kconfig", "ksyms", "core", "struct_ops"] {
        let Some(bytes) = oracle::object(name) else { return };
        let mut object = Object::from_elf(&bytes).unwrap();
        let file = object.to_elf().unwrap();
        // Addresses of the kernel's variables exist only with this setting.
        if name != "ksyms" || oracle::kernel().config.contains_key("CONFIG_KALLSYMS_ALL") {
            oracle::load_with_bpftool(name, &file);
        }
        let resolved = object.resolve(oracle::kernel()).unwrap();
        oracle::load_types(&resolved.btf).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        assert!(!object.is_unresolved());
    }
    let refused = oracle::load_types(&[0x9f, 0xeb, 1, 0, 24]);
    assert!(refused.is_err() || !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin));
}

/// An object that no compiler has made, without any type information.
#[test]
fn the_kernel_takes_objects_of_our_own() {
    let mut object = Object::new("GPL");
    let flags = MapSpec::new("counts", MapType::Array, 4, 8, 3);
    let counts = object.add_map(flags);
    let mut outer = MapSpec::new("outer", MapType::ArrayOfMaps, 4, 4, 2);
    outer.inner = Some(Box::new(object.maps[0].clone()));
    outer.references = vec![(1, Reference::Map(counts))];
    let outer = object.add_map(outer);
    let mut variables = MapSpec::new(".data", MapType::Array, 4, 8, 1);
    variables.contents = vec![(vec![0; 4], vec![1, 0, 0, 0, 2, 0, 0, 0])];
    variables.purpose = Purpose::Variables(vec![Variable {
        name: "second".to_owned(),
        offset: 4,
        size: 4,
        global: true,
        weak: false,
        ty: None,
    }]);
    let variables = object.add_map(variables);
    let mut insns = Vec::new();
    for value in [counts.load(), outer.load(), variables.load_value(4)] {
        Op::LoadImm { dst: Reg::R1, value }.emit(&mut insns);
    }
    insns.extend(assemble("r0 = *(u32 *)(r1 + 0)\ncall pc+1\nexit\nr0 = 5\nexit\n").unwrap());
    let mut program = Program::new("ours", ProgType::Xdp, insns);
    program.attach_type = Some(AttachType::Xdp);
    object.add_program(program);
    let file = object.to_elf().unwrap();
    oracle::load_with_bpftool("ours", &file);
    let again = Object::from_elf(&file).unwrap();
    assert_eq!(again.programs[0].insns, object.programs[0].insns);
    assert_eq!(again.programs[0].section, "xdp");
    for (one, other) in again.maps.iter().zip(&object.maps) {
        let strip = |map: &MapSpec| MapSpec { inner: None, ..map.clone() };
        assert_eq!(strip(one), strip(other));
    }
    let second = again.to_elf().unwrap();
    assert_eq!(Object::from_elf(&second), Ok(again), "what was read is written as it was");
    // What a file cannot say is refused by name.
    object.maps[0].contents = vec![(vec![0; 4], vec![0; 8])];
    let message = object.to_elf().unwrap_err().to_string();
    assert!(message.contains("map `counts`: a file cannot give first contents"), "{message}");
    object.maps[0].contents.clear();
    object.programs[0].flags = skep_object::ProgFlags(1 << 20);
    let message = object.to_elf().unwrap_err().to_string();
    assert!(message.contains("program `ours`: no section's name stands for type xdp"), "{message}");
}

/// What the kernel does not have is listed, with the place.
#[test]
fn missing_things_are_listed() {
    let Some(bytes) = oracle::object("core_refused") else { return };
    let object = Object::from_elf(&bytes).unwrap();
    let Some((object, resolved)) = oracle::compare("core_refused", &bytes, object) else { return };
    let program = &object.programs[0];
    let poison = |at: &skep_object::Missing| program.insns[at.at.index()].imm == BAD_RELOCATION;
    assert_eq!(resolved.missing.len(), 3);
    assert!(resolved.missing.iter().all(|it| it.program == "unguarded" && poison(it)));
    assert_eq!(resolved.missing[2].what, "byte_off of `task_struct`, path 0:2");
}
