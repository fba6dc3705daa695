//! What the kernel makes of our programs and of the same programs loaded by libbpf (through bpftool) is the same,
//! instruction by instruction. Numbers of maps are replaced by the maps' names.

use std::path::{Path, PathBuf};
use std::process::Command;

use skep_isa::ebpf::Insn;
use skep_kernel::{LoadError, LoadOptions, LoadedMap, LoadedProgram, RunningKernel, load, load_with};
use skep_object::{KernelInfo as _, Object};

use super::objects::{file, object};
use crate::common::{can_load, skip};

/// A directory of pins that vanishes with its contents.
struct Pins(PathBuf);

impl Pins {
    fn new(name: &str) -> Self {
        Self(Path::new(skep_kernel::BPFFS).join(format!("skep_loader_{name}_{}", std::process::id())))
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether an address of the kernel is loaded into register 3 in front of a call.
fn is_own_record(insns: &[Insn], at: usize) -> bool {
    let [load, high, call] = insns.get(at..at + 3).unwrap_or_default() else { return false };
    load.code == 0x18 && load.src == 0 && load.dst == 3 && call.code == 0x85 && high.imm.cast_unsigned() >= 0xff00_0000
}

/// The instructions with what differs between any two loads made equal.
fn normal(program: &LoadedProgram) -> Vec<(Insn, Option<String>)> {
    let insns = program.dump().unwrap().translated;
    let mut all = Vec::with_capacity(insns.len());
    for (at, insn) in insns.iter().copied().enumerate() {
        let bytes = insn.to_bytes(skep_isa::ebpf::Endian::NATIVE);
        let source = bytes[1] >> 4;
        // In front of `bpf_timer_set_callback` the kernel loads the address of the program's own record: both halves.
        if is_own_record(&insns, at) || at.checked_sub(1).is_some_and(|before| is_own_record(&insns, before)) {
            all.push((Insn { imm: 0, ..insn }, None));
            continue;
        }
        if bytes[0] != 0x18 || !matches!(source, 1 | 2) {
            all.push((insn, None));
            continue;
        }
        let map = LoadedMap::by_id(insn.imm.cast_unsigned()).unwrap();
        let (name, mut plain) = (map.name().to_owned(), insn);
        plain.imm = 0;
        // Variables have maps whose names bpftool makes of the file's name.
        let name = name.find('.').map_or(name.clone(), |at| name[at..].to_owned());
        all.push((plain, Some(name.chars().take(7).collect())));
    }
    all
}

pub fn compare(name: &str, bytes: &[u8], ours: &[LoadedProgram]) {
    let Some(theirs) = with_bpftool(name, bytes) else { return };
    for program in ours {
        let path = theirs.0.join(program.name());
        let other = LoadedProgram::pinned(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (ours, theirs) = (normal(program), normal(&other));
        assert!(!ours.is_empty(), "{name}: {}: instructions are hidden", program.name());
        for (at, pair) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(pair.0, pair.1, "{name}, {}, instruction {at}", program.name());
        }
        assert_eq!(ours.len(), theirs.len(), "{name}, {}", program.name());
    }
}

fn with_bpftool(name: &str, bytes: &[u8]) -> Option<Pins> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("object.o");
    std::fs::write(&path, bytes).unwrap();
    let pins = Pins::new(name);
    let search = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("bpftool").env("PATH", search).args(["prog", "loadall"]).arg(&path).arg(&pins.0).output();
    let Ok(output) = output else {
        skip("bpftool is not installed");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: bpftool: {errors}");
    Some(pins)
}

#[test]
fn instructions_are_those_of_libbpf() {
    if !can_load() {
        return;
    }
    let settings = RunningKernel::new().config("CONFIG_HZ").is_some();
    for name in ["maps", "globals", "functions", "kconfig", "ksyms", "core"] {
        let Some(bytes) = file(name) else { return };
        if !settings && ["kconfig", "ksyms"].contains(&name) {
            println!("SKIPPED: {name}: the kernel does not show its settings");
            continue;
        }
        if name == "ksyms" && RunningKernel::new().config("CONFIG_KALLSYMS_ALL").is_none() {
            println!("{name}: the kernel was built without CONFIG_KALLSYMS_ALL, so its variables have no addresses");
            continue;
        }
        let has = |function: &str| RunningKernel::new().btf().is_some_and(|btf| btf.find(function).is_some());
        if name == "ksyms" && !has("bpf_task_from_pid") {
            println!("SKIPPED: {name}: the function `bpf_task_from_pid` of the kernel came with Linux 6.2");
            continue;
        }
        let object = Object::from_elf(&bytes).unwrap();
        let loaded = load(&object).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!loaded.programs.is_empty());
        assert!(loaded.btf.is_some() && loaded.btf_problem.is_none(), "{name}: {:?}", loaded.btf_problem);
        compare(name, &bytes, &loaded.programs);
    }
}

/// Each section of the corpus is loaded alone: some are beyond some kernels, and that is said in words.
#[test]
fn programs_of_every_section_load() {
    if !can_load() {
        return;
    }
    let Some(object) = object("sections") else { return };
    let in_vm = std::env::var("SKEP_VM_KERNEL").is_ok();
    for program in &object.programs {
        let options = LoadOptions { programs: Some(&[&program.name]), ..LoadOptions::default() };
        let error = match load_with(&object, &options) {
            Ok(loaded) => {
                assert_eq!(loaded.programs.len(), 1, "{}", program.section);
                continue;
            }
            Err(LoadError::Program { error, .. }) => error,
            Err(error) => panic!("{}: {error}", program.section),
        };
        let text = error.to_string();
        println!("{}: {text}", program.section);
        // Facts about kernels: options of their configuration, and functions that exist in others.
        let expected: &[&str] = if in_vm {
            &[
                "lirc",
                "kprobe.multi",
                "kretprobe.multi",
                "fmod_ret",
                "fentry.s",
                "raw_tracepoint.w",
                "usdt",
                "uprobe.multi",
            ]
        } else {
            &["fentry", "fexit", "fmod_ret", "lsm", "lirc", "kprobe", "kretprobe"]
        };
        // Hooks whose programs must return something else than the corpus does; the log says so.
        let returns = ["cgroup/recvmsg", "cgroup/getpeername", "cgroup/getsockname"];
        if returns.iter().any(|prefix| program.section.starts_with(prefix)) {
            assert!(text.contains("At program exit the register R0 has"), "{text}");
            continue;
        }
        let known = expected.iter().any(|prefix| program.section.starts_with(prefix));
        assert!(known, "{}: {text}", program.section);
        assert!(!text.contains("os error"), "{text}");
    }
}

#[test]
fn settings_and_variables_have_their_values() {
    if !can_load() {
        return;
    }
    let Some(object) = object("kconfig") else { return };
    if RunningKernel::new().config("CONFIG_HZ").is_none() {
        println!("SKIPPED: the kernel does not show its settings");
        return;
    }
    let loaded = load(&object).unwrap_or_else(|error| panic!("{error}"));
    loaded.programs[0].test_run(&[0; 64], 1).unwrap();
    let kernel = RunningKernel::new();
    let read = |name: &str| {
        let bytes = super::objects::read_variable(&object, &loaded, name);
        u64::from_ne_bytes(bytes.try_into().unwrap())
    };
    assert_eq!(read("version"), u64::from(kernel.version_code().unwrap()));
    assert_eq!(Some(read("hz").to_string()), kernel.config("CONFIG_HZ"));
    assert_eq!(Some(read("cpus").to_string()), kernel.config("CONFIG_NR_CPUS"));
    assert_eq!(read("none"), 0);
    let settings = object.maps.iter().position(|map| map.name == ".kconfig").unwrap();
    let frozen = loaded.maps[settings].set(&[0; 4], &vec![0; loaded.maps[settings].value_size()], Default::default());
    assert!(frozen.is_err(), "the settings are frozen");
}
