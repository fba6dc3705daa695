//! Type information in the kernel: loading, reading back, programs and maps that cannot do without.

mod common;

use std::os::fd::AsFd;

use common::{can_load, compile};
use skep_btf::Btf;
use skep_isa::ebpf::assemble;
use skep_isa::{MapType, ProgType, Release};
use skep_kernel::{
    KernelBtf, KernelError, LoadError, LoadedBtf, LoadedMap, LoadedProgram, LogLevel, MapDefinition, MapOptions,
    MapTypes, ProgramDefinition, ProgramOptions, btf_ids, load, running_release,
};

#[test]
fn types_of_the_kernel() {
    let kernel = match KernelBtf::vmlinux() {
        Ok(kernel) => kernel,
        Err(error) => return common::skip(&error.to_string()),
    };
    assert!(KernelBtf::names().contains(&"vmlinux".to_owned()));
    let release = running_release().unwrap();
    assert!(kernel.is_mapped() || release < Release::new(6, 16), "{release} can map its types");
    assert_eq!(kernel.bytes(), std::fs::read("/sys/kernel/btf/vmlinux").unwrap());
    let btf = Btf::parse(kernel.bytes().to_vec()).unwrap();
    assert!(btf.find("task_struct").is_some());
    for name in ["no_such_module", "", "../vmlinux", "."] {
        let error = KernelBtf::module(name).unwrap_err();
        assert!(matches!(error, KernelError::NoKernelTypes { .. }), "{error}");
    }
    let error = KernelBtf::module("no_such_module").unwrap_err().to_string();
    assert!(error.contains("`modprobe no_such_module`"), "{error}");
}

/// One integer.
fn small() -> Vec<u8> {
    let mut blob = vec![0x9f, 0xeb, 1, 0];
    for word in [24u32, 0, 16, 16, 5, 1, 1 << 24, 4, 1 << 24 | 32] {
        blob.extend_from_slice(&word.to_le_bytes());
    }
    blob.extend_from_slice(b"\0int\0");
    blob
}

#[test]
fn loading_and_reading_back() {
    if !can_load() {
        return;
    }
    let loaded = LoadedBtf::load(&small()).unwrap();
    let info = loaded.info().unwrap();
    assert_eq!((info.size as usize, info.name.as_str(), info.kernel), (small().len(), "", false));
    assert_eq!(loaded.bytes().unwrap(), small());
    let ids: Vec<u32> = btf_ids().collect::<Result<_, _>>().unwrap();
    assert!(ids.contains(&info.id) && ids.is_sorted());
    assert_eq!(LoadedBtf::by_id(info.id).unwrap().bytes().unwrap(), small());
    let kernels: Vec<_> = ids
        .iter()
        .filter_map(|id| LoadedBtf::by_id(*id).ok()?.info().ok())
        .filter(|info| info.kernel && info.name == "vmlinux")
        .collect();
    assert_eq!(kernels.len(), 1, "{kernels:?}");
    assert!(matches!(LoadedBtf::by_id(u32::MAX - 1), Err(KernelError::NoSuchId { kind: "BTF object", .. })));

    let mut broken = small();
    broken[32] = 3;
    let error = LoadedBtf::load(&broken).unwrap_err();
    let KernelError::BtfRejected { log, .. } = &error else { panic!("{error}") };
    assert!(log.text().contains("INT"), "{}", log.text());
    assert!(error.to_string().starts_with("the kernel refused the type information (BTF): "), "{error}");
    assert!(matches!(LoadedBtf::load(b""), Err(KernelError::BtfRejected { .. })));
}

#[test]
fn programs_that_need_types() {
    if !can_load() {
        return;
    }
    let Some(mut object) = compile("types.c", &["-mcpu=v3"]) else { return };
    let refused = object.programs.remove(object.programs.iter().position(|p| p.name == "refused").unwrap());
    let loaded = load(&object).unwrap_or_else(|error| panic!("{error}"));
    assert!(loaded.btf_problem.is_none(), "{:?}", loaded.btf_problem);
    let program = loaded.program("use_types").unwrap();
    let before = object.maps.iter().position(|map| map.name == ".data").unwrap();
    assert_eq!(loaded.maps[before].get(&[0; 4]).unwrap().unwrap()[..8], 1u64.to_ne_bytes());
    assert_eq!(program.test_run(&[0; 64], 1).unwrap().result, 5 + 45 + 42 + 2);
    assert_eq!(program.test_run(&[0; 64], 1).unwrap().result, 10 + 45 + 44 + 2);

    let info = program.info().unwrap();
    let btf = loaded.btf.as_ref().unwrap();
    assert_eq!(info.btf_id, btf.info().unwrap().id);
    assert!(info.gpl_compatible && info.verified_insns > 0 && info.loaded_at.as_nanos() > 0);
    assert!(!info.map_ids.is_empty());
    for id in &info.map_ids {
        let map = LoadedMap::by_id(*id).unwrap();
        assert!(loaded.maps.iter().any(|mine| mine.id() == map.id() && mine.name() == map.name()));
    }
    let dump = program.dump().unwrap();
    assert_eq!(dump.translated.len() * 8, info.translated_bytes as usize);
    assert_eq!(dump.machine.len(), info.machine_bytes as usize);
    assert_eq!(dump.machine_lengths.iter().sum::<u32>(), info.machine_bytes);
    assert_eq!((dump.functions.len(), dump.tags.len()), (4, 4), "{:?}", dump.functions);
    let types = Btf::parse(btf.bytes().unwrap()).unwrap();
    let names: Vec<_> =
        dump.functions.iter().map(|function| types.name(skep_btf::TypeId(function.ty)).unwrap()).collect();
    assert_eq!(names[0], "use_types");
    for name in ["fired", "add", "global_function"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let texts: Vec<_> = dump.lines.iter().map(|line| types.string(skep_btf::NameOff(line.text)).unwrap()).collect();
    assert!(texts.iter().any(|text| text.trim_start() == "behind += 2;"), "{texts:?}");
    assert_eq!(dump.line_addresses.len(), dump.lines.len());
    let counted = loaded.maps.iter().find(|map| map.name() == "counted").unwrap().info().unwrap();
    assert_eq!(counted.btf_id, info.btf_id);
    assert!(counted.key_type > 0 && counted.value_type > 0);

    // The refusal names the line of the source.
    object.programs.insert(0, refused);
    let error = load(&object).unwrap_err();
    let LoadError::Program { error: KernelError::Rejected { log, .. }, .. } = &error else { panic!("{error}") };
    let source = log.source().unwrap();
    assert_eq!(source.text, "return value->count;");
    if running_release().unwrap() >= Release::new(6, 9) {
        let (file, line) = source.place.unwrap();
        assert!(file.ends_with("types.c") && line > 100, "{file}:{line}");
        assert!(error.to_string().contains("`return value->count;`: R0 invalid mem access"), "{error}");
    }
    assert!(log.relevant(5).len() >= 2 && log.relevant(5).len() <= 5);

    // Without types the same program is refused, and the error tells why it had none.
    object.programs.remove(0);
    object.btf.truncate(10);
    let error = load(&object).unwrap_err().to_string();
    assert!(error.contains("without its types"), "{error}");
}

#[test]
fn programs_load_without_the_types_that_a_kernel_refuses() {
    if !can_load() {
        return;
    }
    let mut object = skep_object::Object::new("GPL");
    let insns = assemble("r0 = 3\nexit\n").unwrap();
    object.add_program(skep_object::Program::new("plain", ProgType::SchedCls, insns));
    let mut broken = small();
    broken[32] = 3;
    object.btf = broken;
    let loaded = load(&object).unwrap();
    assert!(loaded.btf.is_none());
    assert!(matches!(loaded.btf_problem, Some(KernelError::BtfRejected { .. })), "{:?}", loaded.btf_problem);
    assert_eq!(loaded.programs[0].test_run(&[0; 64], 1).unwrap().result, 3);
}

#[test]
fn descriptors_by_position_and_logs_of_accepted_programs() {
    if !can_load() {
        return;
    }
    let map = LoadedMap::create(&MapDefinition {
        name: "by_position",
        map_type: MapType::Array,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        flags: 0,
    })
    .unwrap();
    map.set(&[0; 4], &77u64.to_ne_bytes(), skep_kernel::Update::Any).unwrap();
    let insns = assemble(
        "*(u32 *)(r10 -4) = 0\nr2 = r10\nr2 += -4\nr1 = map[idx:1] ll\ncall 1\nif r0 == 0 goto +1\nr0 = *(u64 *)(r0 +0)\nexit\n",
    )
    .unwrap();
    let definition =
        ProgramDefinition { name: "by_position", prog_type: ProgType::SchedCls, insns: &insns, license: "GPL" };
    let options =
        ProgramOptions { descriptors: &[map.as_fd(), map.as_fd()], log: LogLevel::States, ..Default::default() };
    let program = LoadedProgram::load_with(&definition, options).unwrap();
    assert_eq!(program.test_run(&[0; 64], 1).unwrap().result, 77);
    assert!(program.log().text().contains("processed "), "{}", program.log().text());
    assert!(program.log().text().contains("call bpf_map_lookup_elem"));
    let options = ProgramOptions { descriptors: &[map.as_fd()], ..Default::default() };
    let error = LoadedProgram::load_with(&definition, options).unwrap_err();
    assert!(error.to_string().contains("refers to descriptor 1 of the program, which has 1"), "{error}");
    let statistics = ProgramOptions { descriptors: &[map.as_fd(); 2], log: LogLevel::Statistics, ..options };
    let program = LoadedProgram::load_with(&definition, statistics).unwrap();
    assert!(!program.log().text().contains("0: ") && program.log().text().contains("processed "));
}

#[test]
fn operations_of_the_kernel_take_its_types() {
    if !can_load() {
        return;
    }
    let Ok(kernel) = KernelBtf::vmlinux() else { return common::skip("the kernel has no BTF") };
    let btf = Btf::parse(kernel.bytes().to_vec()).unwrap();
    let Some(ty) = btf.find("bpf_struct_ops_tcp_congestion_ops") else {
        return common::skip("the kernel has no replaceable congestion control");
    };
    let definition = MapDefinition {
        name: "ops",
        map_type: MapType::StructOps,
        key_size: 4,
        value_size: btf.size_of(ty).unwrap(),
        max_entries: 1,
        flags: 0,
    };
    let own = LoadedBtf::load(&small()).unwrap();
    let types = Some(MapTypes { btf: own.as_fd(), key: 0, value: 0 });
    let options = MapOptions { kernel_value_type: ty.0, types, ..Default::default() };
    let map = LoadedMap::create_with(&definition, &options).unwrap();
    assert_eq!(map.info().unwrap().kernel_value_type, ty.0);
    assert!(LoadedMap::create(&definition).is_err(), "without the type the kernel does not know the operations");
}
