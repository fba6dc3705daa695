//! The inventory as a library: rows of programs, maps and links that this process makes and holds.

mod common;

use std::os::fd::AsFd;
use std::time::Duration;

use common::can_load;
use skep_isa::ebpf::{InsnIdx, assemble};
use skep_isa::{MapType, ProgType};
use skep_kernel::attach::attach_raw_tracepoint;
use skep_kernel::inventory::{
    KernelTypes, LinkRow, MapRow, MapTypesOf, Pinned, ProgramRow, Sample, Survey, find_link, find_map, find_program,
    kernel_code, pins, uptime,
};
use skep_kernel::{BPFFS, LoadedMap, LoadedProgram, MapDefinition, ProgramDefinition, bpf_mounts, pin, unpin};
use skep_object::{Item, listing};

fn program(name: &str, prog_type: ProgType, text: &str) -> LoadedProgram {
    let insns = assemble(text).unwrap();
    let definition = ProgramDefinition { name, prog_type, insns: &insns, license: "GPL" };
    LoadedProgram::load(&definition).unwrap_or_else(|error| panic!("{error}"))
}

fn map(name: &str) -> LoadedMap {
    let definition =
        MapDefinition { name, map_type: MapType::Hash, key_size: 4, value_size: 8, max_entries: 10, flags: 0 };
    LoadedMap::create(&definition).unwrap()
}

#[test]
fn rows_join_what_belongs_together() {
    if !can_load() {
        return;
    }
    let map = map("survey_map");
    let text = format!("r1 = map[fd:{}] ll\nr0 = 0\nexit\n", std::os::fd::AsRawFd::as_raw_fd(&map.as_fd()));
    let program = program("survey_prog", ProgType::RawTracepoint, &text);
    let link = attach_raw_tracepoint(&program, "sched_switch", 0).unwrap();
    let info = program.info().unwrap();
    let survey = Survey::look(&|_| None).unwrap();
    let rows = ProgramRow::all(&survey).unwrap();
    let row = rows.iter().find(|row| row.info.id == info.id).unwrap();
    assert_eq!((row.name.as_str(), row.type_name().as_str()), ("survey_prog", "raw_tracepoint"));
    assert_eq!(row.places.len(), 1);
    assert_eq!((row.places[0].words().as_str(), row.places[0].link), ("raw_tracepoint sched_switch", link.id().ok()));
    assert!(row.memory.is_some_and(|bytes| bytes > 0) && row.is_named("vey_pro"));
    // A survey does not count the process that makes it.
    assert!(row.holders.iter().all(|(pid, _)| *pid != std::process::id()), "{:?}", row.holders);
    // The time since the start is told in hundredths of a second.
    assert!(uptime().is_some_and(|now| now + Duration::from_millis(10) >= info.loaded_at));

    map.set(&[1; 4], &[2; 8], skep_kernel::Update::Any).unwrap();
    let facts: Vec<_> = rows.iter().map(|row| row.info.clone()).collect();
    let row = MapRow::of(&map, &survey, &facts, true).unwrap();
    assert_eq!((row.entries, row.frozen), (Some(1), Some(false)));
    assert_eq!(row.programs, [info.id]);
    map.freeze().unwrap();
    let rows = MapRow::all(&survey, &facts, false).unwrap();
    let row = rows.iter().find(|row| row.info.id == map.id()).unwrap();
    assert_eq!((row.entries, row.frozen, row.type_name().as_str()), (None, Some(true), "hash"));

    let links = LinkRow::all(&survey);
    let row = links.iter().find(|row| Some(row.info.id) == link.id().ok()).unwrap();
    assert_eq!((row.program_name.as_str(), row.info.program), ("survey_prog", info.id));
}

#[test]
fn names_numbers_and_pins_lead_to_things() {
    if !can_load() {
        return;
    }
    let name = format!("find{}", std::process::id() % 100_000_000);
    let (first, map) = (program(&name, ProgType::SchedCls, "r0 = 0\nexit\n"), map(&name));
    let id = first.info().unwrap().id;
    assert_eq!(find_program(&name).unwrap().info().unwrap().id, id);
    assert_eq!(find_program(&id.to_string()).unwrap().name(), name);
    assert_eq!(find_map(&name).unwrap().id(), map.id());
    let second = program(&name, ProgType::SchedCls, "r0 = 1\nexit\n");
    let error = find_program(&name).unwrap_err().to_string();
    assert!(error.contains("2 programs are called") && error.contains(&id.to_string()), "{error}");
    drop(second);
    assert!(find_map("no such name").unwrap_err().to_string().contains("`skep maps` lists all"));
    assert!(find_link("x").unwrap_err().to_string().contains("neither a number nor a path"));
    if bpf_mounts().first().is_none_or(|mount| mount.as_os_str() != BPFFS) {
        return common::skip("no BPF file system at its usual place");
    }
    let path = format!("{BPFFS}/skep-survey-{}", std::process::id());
    pin(&map, &path).unwrap();
    let found = pins().into_iter().find(|pin| pin.path.as_os_str() == path.as_str());
    let opened = find_map(&path).map(|map| map.id());
    unpin(&path).unwrap();
    assert_eq!(found.unwrap().object, Pinned::Map(map.id()));
    assert_eq!(opened.unwrap(), map.id());
}

#[test]
fn code_comes_back_with_names() {
    if !can_load() {
        return;
    }
    let map = map("code_map");
    let fd = std::os::fd::AsRawFd::as_raw_fd(&map.as_fd());
    let text = format!("r1 = map[fd:{fd}] ll\ncall 5\nif r0 == 0 goto +1\ncall pc+1\nexit\nr0 = 2\nexit\n");
    let program = program("code_prog", ProgType::SchedCls, &text);
    let base = 0x1000_0000;
    let code = kernel_code(&program, &|address| Some(format!("at_{address:x}")), Some(base)).unwrap();
    if code.program.insns.is_empty() {
        return common::skip("the kernel hides translated code");
    }
    let texts: Vec<String> = listing(&code.program, &code)
        .into_iter()
        .filter_map(|item| match item {
            Item::Insn { text, .. } => Some(text),
            _ => None,
        })
        .collect();
    assert!(texts.contains(&format!("r1 = map[code_map id:{}] ll", map.id())), "{texts:?}");
    assert!(texts.iter().any(|text| text.starts_with("call at_")), "{texts:?}");
    assert!(texts.iter().any(|text| text.starts_with("if r0 == 0") && text.ends_with(" goto L1")), "{texts:?}");
    // The kernel's number of the function is put back to the distance.
    assert!(texts.contains(&"call pc+1".to_owned()), "{texts:?}");
    assert_eq!(
        code.program.functions.first().map(|function| (function.at, &*function.name)),
        Some((InsnIdx(0), "code_prog"))
    );
    let bytes: usize = code.machine.iter().map(|function| function.code.len()).sum();
    assert_eq!(bytes, program.info().unwrap().machine_bytes as usize);
}

#[test]
fn types_of_maps_and_of_the_kernel() {
    if !can_load() {
        return;
    }
    let types = KernelTypes::new();
    let plain = MapTypesOf::new(&map("no_types").info().unwrap(), &types);
    assert!(!plain.is_typed() && !plain.is_section() && plain.is_number());
    assert_eq!(plain.key_from("258").unwrap(), 258u32.to_ne_bytes());
    assert!(plain.value_from("{a: 1}").unwrap_err().to_string().contains("it has no type"));
    assert!(types.by_id(u32::MAX - 1).is_err() && types.get(0).is_none());
    match types.vmlinux() {
        Ok(btf) => assert!(btf.find("task_struct").is_some()),
        Err(error) => return common::skip(&error.to_string()),
    }
    let vmlinux = skep_kernel::btf_ids()
        .filter_map(Result::ok)
        .find(|id| types.by_id(*id).is_ok_and(|(info, _)| info.name == "vmlinux"));
    let (id, btf) = (vmlinux.unwrap(), types.vmlinux().unwrap());
    let schedule = btf.find_where("schedule", |kind| matches!(kind, skep_btf::Kind::Func { .. })).unwrap();
    assert_eq!(types.type_name(id, schedule.0).as_deref(), Some("schedule"));
    assert!(types.is_kernel(id));
}

#[test]
fn samples_measure_what_ran_in_between() {
    if !can_load() {
        return;
    }
    let Ok(_statistics) = skep_kernel::enable_stats() else { return common::skip("statistics cannot be switched on") };
    let program = program("sampled", ProgType::RawTracepoint, "r0 = 0\nexit\n");
    let _link = attach_raw_tracepoint(&program, "sched_switch", 0).unwrap();
    let before = program.info().unwrap();
    let first = Sample::of([&before]);
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let after = program.info().unwrap();
    let rate = Sample::of([&after]).rate(&first, before.id);
    assert!(after.run_count > before.run_count && rate.runs_per_second > 1.0, "{rate:?}");
    assert!(rate.cpu_percent > 0.0 && rate.cpu_percent < 100.0 && !rate.average.is_zero(), "{rate:?}");
    assert_eq!(Sample::of([&after]).rate(&first, 1), Default::default());
}
