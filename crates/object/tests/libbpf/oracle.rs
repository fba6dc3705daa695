//! Running libbpf without loading anything, and comparing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use skep_btf::Btf;
use skep_isa::ebpf::{Endian, Insn};
use skep_object::{KernelData, Object, Program, Resolved};

/// Reports a test that cannot run on this machine; fails it when `SKEP_REQUIRE_KERNEL` is 1.
#[track_caller]
pub fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

/// An object of the corpus; `None` with a note if it cannot be compiled here.
#[track_caller]
pub fn object(name: &str) -> Option<Arc<[u8]>> {
    skep_testkit::clang::object(name).map_err(|why| skip(&why)).ok()
}

/// What this machine's kernel says about itself.
pub fn kernel() -> &'static KernelData {
    static KERNEL: OnceLock<KernelData> = OnceLock::new();
    KERNEL.get_or_init(|| {
        let read = |path: &str| std::fs::read(path).unwrap_or_default();
        let release = String::from_utf8(read("/proc/sys/kernel/osrelease")).unwrap();
        let mut numbers = release.split(['.', '-', '+']).map_while(|part| part.trim().parse::<u32>().ok());
        let [major, minor, patch] = [(); 3].map(|()| numbers.next().unwrap_or(0));
        let mut kernel = KernelData {
            version_code: Some(major << 16 | minor << 8 | patch.min(255)),
            btf: Btf::parse(read("/sys/kernel/btf/vmlinux")).ok().map(Arc::new),
            cookie: true,
            syscall_wrapper: true,
            ..KernelData::default()
        };
        let config = Command::new("zcat").arg("/proc/config.gz").output().unwrap();
        kernel.read_config(&String::from_utf8(config.stdout).unwrap());
        kernel.read_symbols(&String::from_utf8(read("/proc/kallsyms")).unwrap());
        kernel
    })
}

/// A program as libbpf loads it.
#[derive(Debug)]
struct Loaded {
    name: String,
    prog_type: u32,
    attach_type: u32,
    flags: u32,
    /// Each with the name of the map that it refers to.
    insns: Vec<(Insn, Option<String>)>,
}

/// Compares what we make of an object with what libbpf makes of the file.
#[track_caller]
pub fn compare(name: &str, file: &[u8], mut object: Object) -> Option<(Object, Resolved)> {
    if kernel().btf.is_none() {
        skip("the kernel has no BTF");
        return None;
    }
    let loaded = libbpf(name, file)?;
    let resolved = object.resolve(kernel()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(!loaded.is_empty(), "{name}: libbpf loads nothing");
    let ours: Vec<&Program> = object.programs.iter().filter(|program| program.autoload).collect();
    assert_eq!(ours.len(), loaded.len(), "{name}: number of programs");
    for theirs in &loaded {
        let ours = ours.iter().find(|program| cut(&program.name) == theirs.name);
        let ours = ours.unwrap_or_else(|| panic!("{name}: {} is missing", theirs.name));
        let index = object.programs.iter().position(|program| program.name == ours.name).unwrap();
        let place =
            resolved.tables.iter().flat_map(|table| &table.programs).find(|entry| entry.program.index() == index);
        same(name, &object, ours, place.map(|entry| entry.member), theirs);
    }
    Some((object, resolved))
}

#[track_caller]
fn same(file: &str, object: &Object, ours: &Program, member: Option<u32>, theirs: &Loaded) {
    let place = format!("{file}, program {}", ours.name);
    assert_eq!(ours.prog_type.number(), theirs.prog_type, "{place}");
    let attach_type = member.or(ours.attach_type.map(skep_isa::AttachType::number)).unwrap_or(0);
    assert!(member.is_none() || theirs.attach_type == attach_type, "{place}: member {attach_type}, {theirs:?}");
    // Kernels that do not need an optional type are not given it.
    assert!(theirs.attach_type == attach_type || theirs.attach_type == 0, "{place}: {attach_type}, {theirs:?}");
    assert_eq!(ours.flags.0, theirs.flags, "{place}");
    assert_eq!(ours.insns.len(), theirs.insns.len(), "{place}");
    for (at, (insn, (expected, map))) in ours.insns.iter().zip(&theirs.insns).enumerate() {
        let mut insn = *insn;
        if let Some(map) = map {
            let spec = usize::try_from(insn.imm).ok().and_then(|index| object.maps.get(index));
            let spec = spec.unwrap_or_else(|| panic!("{place}, instruction {at}: {insn:?} refers to no map"));
            assert_eq!(common_name(&spec.name), common_name(map), "{place}, instruction {at}");
            insn.imm = expected.imm;
        }
        // Older releases of libbpf make a call of helper 0 of a missing function, newer ones one of a marked number.
        if insn.code == 0x85 && insn.src == 0 && insn.imm >= skep_object::MISSING_FUNCTION {
            assert!(expected.code == 0x85 && [0, insn.imm].contains(&expected.imm), "{place}, instruction {at}");
            continue;
        }
        assert_eq!(insn, *expected, "{place}, instruction {at}");
    }
}

/// The part of a map's name that libbpf and we agree on: maps of variables have the file's name in front, and the
/// kernel cuts names.
fn common_name(name: &str) -> &str {
    cut(name.find('.').map_or(name, |at| &name[at..]))
}

fn cut(name: &str) -> &str {
    &name[..name.len().min(15)]
}

/// Lets libbpf load a file without loading it; `None` with a note if that is impossible here.
#[track_caller]
fn libbpf(name: &str, file: &[u8]) -> Option<Vec<Loaded>> {
    let directory = tempfile::tempdir().unwrap();
    let shim = build_shim(directory.path())?;
    let path = directory.path().join("o.o");
    std::fs::write(&path, file).unwrap();
    let out = directory.path().join("programs");
    // A name space of its own keeps what bpftool mounts out of the way.
    let mut command = Command::new("unshare");
    command.args(["-m", "bpftool", "-d", "prog", "loadall"]).arg(&path).arg(directory.path().join("pins"));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    let Ok(output) = command.env("LD_PRELOAD", &shim).env("SKEP_SHIM_OUT", &out).output() else {
        skip("unshare or bpftool is not installed");
        return None;
    };
    let log = String::from_utf8_lossy(&output.stderr);
    let Ok(text) = std::fs::read_to_string(&out) else {
        if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
            skip("libbpf creates maps, which needs privileges");
            return None;
        }
        panic!("{name}: libbpf loads nothing:\n{log}");
    };
    Some(read_programs(&text))
}

#[track_caller]
fn build_shim(directory: &Path) -> Option<PathBuf> {
    build(directory, "shim.c", &["-shared", "-fPIC", "-ldl"])
}

/// Compiles a source of this directory; `None` with a note if there is no compiler.
#[track_caller]
fn build(directory: &Path, source: &str, options: &[&str]) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/libbpf").join(source);
    let out = directory.join("out");
    let Ok(output) = Command::new("cc").args(["-O1", "-o"]).arg(&out).arg(source).args(options).output() else {
        skip("cc is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(out)
}

fn read_programs(text: &str) -> Vec<Loaded> {
    let mut programs: Vec<Loaded> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["program", name, numbers @ ..] = &words[..] {
            let [prog_type, attach_type, flags] = [0, 1, 2].map(|index| numbers[index].parse().unwrap());
            programs.push(Loaded { name: (*name).to_owned(), prog_type, attach_type, flags, insns: Vec::new() });
            continue;
        }
        let [code, registers, off, value] = words[..] else { panic!("{line}") };
        let [code, registers] = [code, registers].map(|text| u8::from_str_radix(text, 16).unwrap());
        let map = value.strip_prefix("map:");
        let imm = if map.is_some() { 0 } else { value.parse().unwrap() };
        let off = off.parse::<i16>().unwrap();
        let mut bytes = [code, registers, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&off.to_le_bytes());
        bytes[4..].copy_from_slice(&i32::to_le_bytes(imm));
        let insn = Insn::from_bytes(bytes, Endian::Little);
        programs.last_mut().unwrap().insns.push((insn, map.map(str::to_owned)));
    }
    programs
}

/// Links files with libbpf; `None` with a note if bpftool is missing.
#[track_caller]
pub fn link(files: &[(&str, &[u8])]) -> Option<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("linked.o");
    let mut command = Command::new("bpftool");
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).args(["gen", "object"]).arg(&out);
    for (name, bytes) in files {
        let path = directory.path().join(format!("{name}.o"));
        std::fs::write(&path, bytes).unwrap();
        command.arg(path);
    }
    let Ok(output) = command.output() else {
        skip("bpftool is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(std::fs::read(out).unwrap())
}

/// Whether tests may load things; notes if not.
#[track_caller]
pub fn may_load() -> bool {
    let may = skep_kernel::has_capability(skep_kernel::Capability::SysAdmin);
    if !may {
        skip("loading needs privileges");
    }
    may
}

/// Gives type information to the kernel; the reason if it refuses.
#[track_caller]
pub fn load_types(blob: &[u8]) -> Result<(), String> {
    if !may_load() {
        return Ok(());
    }
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = build(directory.path(), "btf_load.c", &[]) else { return Ok(()) };
    let path = directory.path().join("blob");
    std::fs::write(&path, blob).unwrap();
    let output = Command::new(program).arg(path).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stdout).into_owned()) }
}

/// Lets bpftool load a file for real, in a name space of its own, so that nothing stays.
#[track_caller]
pub fn load_with_bpftool(name: &str, file: &[u8]) {
    if !may_load() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("o.o");
    std::fs::write(&path, file).unwrap();
    let pins = directory.path().join("pins");
    std::fs::create_dir(&pins).unwrap();
    let script = "mount -t bpf none \"$2\" && bpftool -d prog loadall \"$1\" \"$2/o\"";
    let path_variable = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("unshare");
    command.env("PATH", format!("{path_variable}:/usr/sbin:/sbin"));
    let output = command.args(["-m", "sh", "-c", script, "sh"]).arg(&path).arg(&pins).output();
    let Ok(output) = output else { return skip("unshare is not installed") };
    let log = String::from_utf8_lossy(&output.stderr);
    let end = log.lines().rev().take(60).collect::<Vec<_>>();
    let end = end.into_iter().rev().collect::<Vec<_>>().join("\n");
    assert!(output.status.success(), "{name}: {end}");
}
