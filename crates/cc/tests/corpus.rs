//! The corpus of `skep-lang-c` against clang: every program that the kernel accepts from clang it accepts from us, with the
//! same results, packets, maps and relocations.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{relocations, skip};
use skep_btf::{Btf, CPrinter, Source};
use skep_cc::{Disk, Wishes, build};
use skep_isa::{MapType, ProgType};
use skep_kernel::{Capability, KernelBtf, LoadOptions, Loaded, TestInput, has_capability, load_with};
use skep_lang_c::headers;
use skep_lang_c::options::Options;
use skep_lang_c::pp::MainFile;
use skep_lang_c::provider::BtfTypes;
use skep_object::{Object, Purpose};
use skep_testkit::sources;

/// Compiles with skep; through a file, as `skep build` does.
fn ours(path: &Path, kernel: &Btf) -> Result<Object, String> {
    let text = fs::read(path).expect("a source");
    let name = path.display().to_string();
    let main = MainFile { name: &name, text: &text };
    let mut types = BtfTypes::new(kernel);
    let built =
        build(&main, &Options::default(), &Disk, &mut types, Wishes::default()).map_err(|failed| failed.to_string())?;
    let bytes = built.object.to_elf().map_err(|error| error.to_string())?;
    Object::from_elf(&bytes).map_err(|error| error.to_string())
}

/// Puts our headers where clang finds them, with all types of the kernel as text.
fn write_headers(directory: &Path, kernel: &Btf) {
    let mut printer = CPrinter::new(kernel);
    printer.add_all().expect("the types of the kernel");
    sources::write_headers(directory, headers::files());
    fs::write(directory.join("vmlinux.h"), printer.into_header()).expect("a header");
}

fn clang(path: &Path, directory: &Path) -> Result<Object, String> {
    let object = directory.join("out.o");
    let output = sources::clang(path, &object, directory).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Object::from_elf(&fs::read(object).expect("an object")).map_err(|error| error.to_string())
}

/// Packets: too short, IPv4 with TCP, UDP, ICMP and options, IPv6, tagged, long.
fn packets() -> Vec<Vec<u8>> {
    let packet = |ether: &[u8], rest: &[u8], length: usize| {
        let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        bytes.extend(ether);
        bytes.extend(rest);
        bytes.resize(length.max(bytes.len()), 0x33);
        bytes
    };
    let ip = |ihl: u8, protocol: u8, port: u16| {
        let mut bytes = vec![0x40 | ihl, 0, 0, 60, 1, 2, 0, 0, 64, protocol, 0x12, 0x34, 10, 1, 2, 3, 192, 168, 7, 9];
        bytes.resize(usize::from(ihl) * 4, 1);
        bytes.extend([0x30, 0x39]);
        bytes.extend(port.to_be_bytes());
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
        bytes
    };
    let mut v6 = vec![0x60, 0, 0, 0, 0, 20, 17, 64];
    v6.extend([0xfe; 32]);
    vec![
        packet(&[8, 0], &[], 14),
        packet(&[8, 0], &ip(5, 6, 80), 60),
        packet(&[8, 0], &ip(5, 17, 23), 61),
        packet(&[8, 0], &ip(7, 6, 443), 90),
        packet(&[8, 0], &ip(5, 1, 0), 98),
        packet(&[0x86, 0xdd], &v6, 74),
        packet(&[0x81, 0, 0, 5, 8, 0], &ip(5, 6, 23), 64),
        packet(&[8, 6], &[0; 28], 60),
        packet(&[8, 0], &ip(4, 6, 80), 130),
        packet(&[8, 0], &ip(5, 6, 80), 1400),
    ]
}

/// Runs a program of two objects on the same inputs; a text for each difference.
fn compare_runs(name: &str, prog_type: ProgType, ours: &Loaded, theirs: &Loaded, differences: &mut Vec<String>) -> u32 {
    let (Some(one), Some(other)) = (ours.program(name), theirs.program(name)) else { return 0 };
    let packets = packets();
    let context = [0u8; 16];
    let inputs: Vec<TestInput<'_>> = match prog_type {
        ProgType::Xdp | ProgType::SchedCls | ProgType::SocketFilter | ProgType::CgroupSkb => {
            packets.iter().map(|data| TestInput { data, repeat: 1, ..TestInput::default() }).collect()
        }
        ProgType::RawTracepoint => vec![TestInput { context: &context, cpu: Some(0), ..TestInput::default() }; 2],
        ProgType::Syscall => vec![TestInput { context: &context, ..TestInput::default() }; 2],
        _ => return 0,
    };
    let mut runs = 0;
    for (index, input) in inputs.iter().enumerate() {
        match (one.test(input), other.test(input)) {
            (Ok(a), Ok(b)) => {
                runs += 1;
                if a.run.result != b.run.result {
                    differences.push(format!("{name}: input {index}: {} here, {} there", a.run.result, b.run.result));
                }
                if a.data != b.data {
                    differences.push(format!("{name}: input {index}: packets differ\n{:x?}\n{:x?}", a.data, b.data));
                }
            }
            (Err(_), Err(_)) => {}
            (a, b) => differences.push(format!("{name}: input {index}: {:?} here, {:?} there", a.err(), b.err())),
        }
    }
    runs
}

type Contents = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// What maps and variables hold.
fn contents(object: &Object, loaded: &Loaded) -> Contents {
    let mut all = Contents::new();
    for (spec, map) in object.maps.iter().zip(&loaded.maps) {
        match &spec.purpose {
            Purpose::Ordinary if matches!(spec.map_type, MapType::Array | MapType::Hash | MapType::LpmTrie) => {
                let entries = all.entry(spec.name.clone()).or_default();
                for key in map.keys().expect("keys") {
                    let value = map.get(&key).expect("a value").unwrap_or_default();
                    entries.insert(key, value);
                }
            }
            Purpose::Variables(variables) => {
                let value = map.get(&[0; 4]).expect("a value").unwrap_or_default();
                for variable in variables.iter().filter(|variable| !variable.name.starts_with("__")) {
                    let from = variable.offset as usize;
                    let bytes = value.get(from..from + variable.size as usize).unwrap_or_default().to_vec();
                    all.entry(format!("variable {}", variable.name)).or_default().insert(Vec::new(), bytes);
                }
            }
            _ => {}
        }
    }
    all
}

/// Those programs that load by themselves, and the reason for each other one: whether it is the verifier's, and the text.
fn loadable(object: &Object) -> (BTreeSet<String>, BTreeMap<String, (bool, String)>) {
    let (mut good, mut bad) = (BTreeSet::new(), BTreeMap::new());
    for program in &object.programs {
        let names = [program.name.as_str()];
        match load_with(object, &LoadOptions { programs: Some(&names), pins: None, ..LoadOptions::default() }) {
            Ok(_) => drop(good.insert(program.name.clone())),
            Err(error) => {
                let log = match &error {
                    skep_kernel::LoadError::Program {
                        error: skep_kernel::KernelError::Rejected { log, .. }, ..
                    } => log.relevant(12).join("\n"),
                    _ => String::new(),
                };
                drop(bad.insert(program.name.clone(), (!log.is_empty(), format!("{error}\n{log}"))));
            }
        }
    }
    (good, bad)
}

/// One file of the corpus; a text for each difference, and figures: programs, runs, instructions of both.
fn compare(path: &Path, kernel: &Btf, directory: &Path) -> (Vec<String>, [usize; 4]) {
    let mut differences = Vec::new();
    let theirs = clang(path, directory).unwrap_or_else(|error| panic!("{}: clang: {error}", path.display()));
    let object = match ours(path, kernel) {
        Ok(object) => object,
        Err(error) => return (vec![error], [0; 4]),
    };
    let (mine, mut problems) = loadable(&object);
    let (good, bad) = loadable(&theirs);
    for name in good.difference(&mine) {
        differences
            .push(format!("{name}: {}", problems.remove(name).map_or_else(|| "is missing".to_owned(), |(_, why)| why)));
    }
    // Kernels may lack a way to attach; what the verifier says is about the code.
    differences
        .extend(problems.into_iter().filter_map(|(name, (refused, why))| refused.then(|| format!("{name}: {why}"))));
    for (name, (_, why)) in &bad {
        println!("  {name}: not even clang's loads here: {}", why.lines().next().unwrap_or_default());
    }
    let both: Vec<&str> = good.intersection(&mine).map(String::as_str).collect();
    let size = |of: &Object| {
        of.programs.iter().filter(|one| both.contains(&one.name.as_str())).map(|one| one.insns.len()).sum()
    };
    let mut figures = [both.len(), 0, size(&object), size(&theirs)];
    let relocated = theirs.programs.iter().map(|program| program.name.as_str());
    for name in relocated {
        let (a, b) = (relocations(&object, name, kernel), relocations(&theirs, name, kernel));
        if a != b {
            let only = |a: &BTreeSet<_>, b: &BTreeSet<_>| format!("{:?}", a.difference(b).collect::<Vec<_>>());
            differences.push(format!("{name}: relocations: only here {}, only there {}", only(&a, &b), only(&b, &a)));
        }
    }
    let options = LoadOptions { programs: Some(&both), pins: None, ..LoadOptions::default() };
    match (load_with(&object, &options), load_with(&theirs, &options)) {
        (Ok(one), Ok(other)) => {
            for name in &both {
                let prog_type = object.programs.iter().find(|program| program.name == *name).map(|of| of.prog_type);
                let prog_type = prog_type.expect("it is there");
                figures[1] += compare_runs(name, prog_type, &one, &other, &mut differences) as usize;
            }
            let (a, b) = (contents(&object, &one), contents(&theirs, &other));
            for (name, entries) in &a {
                if b.get(name).is_some_and(|others| others != entries) {
                    differences.push(format!("{name} holds {entries:x?} here, {:x?} there", b[name]));
                }
            }
        }
        (a, b) => differences.push(format!("together: {:?} here, {:?} there", a.err(), b.err())),
    }
    (differences, figures)
}

#[test]
fn programs_are_those_of_clang() {
    if !has_capability(Capability::Bpf) && !has_capability(Capability::SysAdmin) {
        return skip("loading programs needs CAP_BPF");
    }
    if Command::new("clang").arg("--version").output().is_err() {
        return skip("clang is not installed");
    }
    let Ok(kernel) = KernelBtf::vmlinux() else { return skip("the kernel shows no types") };
    let kernel = Btf::parse(Source::new(kernel)).expect("the types of the kernel");
    let directory = tempfile::tempdir().expect("a directory");
    write_headers(directory.path(), &kernel);
    let (mut failed, mut files) = (Vec::new(), 0);
    let mut total = [0; 4];
    for path in sources::sources() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (differences, figures) = compare(&path, &kernel, directory.path());
        let [programs, runs, mine, theirs] = figures;
        println!("{name}: {programs} programs, {runs} runs, {mine} instructions, clang {theirs}");
        files += usize::from(programs > 0);
        for (sum, figure) in total.iter_mut().zip(figures) {
            *sum += figure;
        }
        if !differences.is_empty() {
            println!("{name}: FAILED\n{}\n", differences.join("\n"));
            failed.push(name);
        }
    }
    let [programs, runs, mine, theirs] = total;
    assert!(
        files * 4 >= sources::sources().len() * 3,
        "programs of {files} files could be loaded: that is too few to judge"
    );
    println!("all: {programs} programs, {runs} runs, {mine} instructions, clang {theirs}");
    assert!(failed.is_empty(), "{} differ: {}", failed.len(), failed.join(", "));
}
