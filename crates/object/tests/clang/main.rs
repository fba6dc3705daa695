//! Objects that clang makes: read, compared with what llvm-objdump says, and run by the kernel.

use std::path::{Path, PathBuf};
use std::process::Command;

use skep_btf::{Btf, Kind, TypeId};
use skep_isa::ebpf::{Callee, Imm64, Op, decode_program};
use skep_isa::{AttachType, MapType, ProgType};
use skep_kernel::{Capability, has_capability, load};
use skep_object::{ElfError, MapFlags, MapIdx, Object, ProgIdx, Program, Reference};

/// Reports a test that cannot run on this machine; fails it when `SKEP_REQUIRE_KERNEL` is 1.
#[track_caller]
fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

/// Compiles a source; `None` with a note if there is no clang.
#[track_caller]
fn compile(source: &Path, options: &[&str]) -> Option<(tempfile::TempDir, PathBuf)> {
    if Command::new("clang").arg("--version").output().is_err() {
        skip("clang is not installed");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let object = directory.path().join("out.o");
    let mut command = Command::new("clang");
    command.args(["-O2", "-target", "bpf", "-mcpu=v3", "-fno-common", "-Wno-everything", "-c", "-o"]).arg(&object);
    let output = command.args(options).arg(source).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some((directory, object))
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clang").join(name)
}

#[track_caller]
fn read(name: &str) -> Option<Object> {
    let (_directory, object) = compile(&file(name), &["-g"])?;
    Some(Object::from_elf(&std::fs::read(object).unwrap()).unwrap())
}

/// Compiles a text and reads it, which may fail.
#[track_caller]
fn read_text(text: &str, options: &[&str]) -> Option<Result<Object, ElfError>> {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source.c");
    let text = format!("#define SEC(n) __attribute__((section(n), used))\n{text}");
    std::fs::write(&source, text).unwrap();
    let (_directory, object) = compile(&source, options)?;
    Some(Object::from_elf(&std::fs::read(object).unwrap()))
}

fn ops(program: &Program) -> Vec<(usize, Op)> {
    decode_program(&program.insns).unwrap().into_iter().map(|(at, op)| (at.index(), op)).collect()
}

fn functions(program: &Program) -> Vec<&str> {
    program.functions.iter().map(|function| &*function.name).collect()
}

/// For each instruction that refers to a function: where it is and the function's name.
fn calls(program: &Program) -> Vec<(&str, &str)> {
    let target = |(at, op): &(usize, Op)| match op {
        Op::Call(Callee::Local(distance)) | Op::LoadImm { value: Imm64::Func(distance), .. } => {
            Some((*at, at.strict_add_signed(*distance as isize + 1)))
        }
        _ => None,
    };
    let name = |at: usize| &*program.function_of(skep_isa::ebpf::InsnIdx::new(at)).unwrap().name;
    let starts = |at: usize| program.functions.iter().any(|function| function.at.index() == at);
    let found: Vec<_> = ops(program).iter().filter_map(target).collect();
    assert!(found.iter().all(|(_, target)| starts(*target)), "{found:?}");
    found.into_iter().map(|(at, target)| (name(at), name(target))).collect()
}

/// A constant that `.rodata` lists and that lies in `.rodata.cst16`, where the first variable of `.rodata` is too.
const MISPLACED: &str = "const volatile unsigned long seed[8] = { 1, 2, 3 };\n\
    static const unsigned table[4] = { 3, 1, 4, 1 };\n\
    static long (*loop)(unsigned, void *, void *, unsigned long) = (void *)181;\n\
    static int step(unsigned i, unsigned long *sum) { *sum += table[i & 3]; return 0; }\n\
    SEC(\"socket\") int f(void *ctx) { unsigned long sum = seed[1]; loop(4, step, &sum, 0); return sum; }\n\
    char _license[] SEC(\"license\") = \"GPL\";\n";

#[test]
fn constants_that_lie_elsewhere_cost_no_types() {
    let Some(object) = read_text(MISPLACED, &["-g"]) else { return };
    let object = object.unwrap();
    let btf = Btf::parse(object.btf.clone()).unwrap();
    let section = btf.find_where(".rodata", |kind| matches!(kind, Kind::Datasec { .. })).unwrap();
    let Ok(Kind::Datasec { size, vars }) = btf.kind(section) else { panic!("{section:?}") };
    let vars: Vec<_> = vars.iter().map(|var| (btf.name(var.ty).unwrap(), var.offset, var.size)).collect();
    assert_eq!((size, &vars[..]), (64, &[("seed", 0, 64)][..]));
    // The types behind the section are still what they were.
    assert!(btf.find_where("license", |kind| matches!(kind, Kind::Datasec { size: 4, .. })).is_some());
    if !has_capability(Capability::Bpf) {
        return skip("loading programs needs CAP_BPF");
    }
    let loaded = load(&object).unwrap_or_else(|error| panic!("{error}"));
    assert!(loaded.btf_problem.is_none(), "{:?}", loaded.btf_problem);
    assert_eq!(loaded.programs[0].test_run(&[0; 64], 1).unwrap().result, 2 + 9);
}

#[test]
fn maps_of_every_style() {
    let Some(object) = read("maps.c") else { return };
    let map = |name: &str| {
        let index = object.maps.iter().position(|map| map.name == name);
        index.map(|index| (MapIdx(index as u32), &object.maps[index])).unwrap()
    };
    let shape = |name: &str| {
        let map = map(name).1;
        (map.map_type, map.key_size, map.value_size, map.max_entries, map.flags.0)
    };
    assert_eq!(shape("by_type"), (MapType::Hash, 4, 32, 8, 1));
    assert_eq!(shape("hidden"), (MapType::Array, 4, 16, 3, 0));
    assert_eq!(shape("bloom"), (MapType::BloomFilter, 0, 8, 100, 0));
    assert_eq!(map("bloom").1.extra, 4);
    assert_eq!(shape("outer"), (MapType::ArrayOfMaps, 4, 4, 4, 0));
    assert_eq!(shape("jumps"), (MapType::ProgArray, 4, 4, 2, 0));
    assert_eq!(shape("legacy"), (MapType::Array, 4, 8, 5, 0));
    assert_eq!(shape(".rodata"), (MapType::Array, 4, 4, 1, MapFlags::READ_ONLY_FOR_PROGRAMS.0));
    assert_eq!(shape(".bss"), (MapType::Array, 4, 16, 1, 0));
    let outer = map("outer").1;
    let entries = [(2, Reference::Map(map("inner_a").0)), (3, Reference::Map(map("inner_b").0))];
    assert_eq!(outer.references, entries);
    assert_eq!(outer.inner.as_ref().map(|map| (map.map_type, map.value_size)), Some((MapType::Array, 4)));
    let target = object.programs.iter().position(|program| program.name == "target").unwrap();
    assert_eq!(map("jumps").1.references, [(1, Reference::Program(ProgIdx(target as u32)))]);
    for (name, value) in [(".rodata", 7u32), (".data", 30), (".data.named", 900)] {
        assert_eq!(map(name).1.contents, [(vec![0; 4], value.to_le_bytes().to_vec())], "{name}");
    }
    let loads = ops(object.program("variables").unwrap());
    let loads: Vec<_> = loads
        .iter()
        .filter_map(|(_, op)| if let Op::LoadImm { value, .. } = op { Some(*value) } else { None })
        .collect();
    for name in [".rodata", ".data", ".data.named", ".bss"] {
        assert!(loads.contains(&map(name).0.load_value(0)), "{name}: {loads:?}");
    }
}

#[test]
fn the_kernel_runs_maps_and_variables() {
    let Some(object) = read("maps.c") else { return };
    if !has_capability(Capability::Bpf) {
        return skip("loading programs needs CAP_BPF");
    }
    let loaded = load(&object).unwrap_or_else(|error| panic!("{error}"));
    let run = |name: &str| loaded.program(name).unwrap().test_run(&[0; 64], 1).unwrap().result;
    let value = |name: &str, key: u32| {
        let index = object.maps.iter().position(|map| map.name == name).unwrap();
        loaded.maps[index].get(&key.to_ne_bytes()).unwrap().unwrap()
    };
    assert_eq!(run("variables"), 7 + 30 + 900 + 4000);
    assert_eq!(run("variables"), 7 + 30 + 900 + 8000, "the second run sees what the first has stored");
    assert_eq!(value(".bss", 0)[8..12], 8000u32.to_ne_bytes());
    assert_eq!(run("use_maps"), 77, "the tail call reaches its target");
    assert_eq!(value("inner_a", 0), 1u32.to_ne_bytes());
    assert_eq!(value("inner_b", 0), 0u32.to_ne_bytes());
    assert_eq!(value("legacy", 2), 5u64.to_ne_bytes());
    assert_eq!(value("hidden", 2)[12..], 6u32.to_ne_bytes());
    let rodata = object.maps.iter().position(|map| map.name == ".rodata").unwrap();
    assert!(loaded.maps[rodata].set(&[0; 4], &[0; 4], skep_kernel::Update::Any).is_err(), "constants stay");
}

#[test]
fn subprograms_follow_their_callers() {
    let Some(object) = read("calls.c") else { return };
    let program = |name: &str| object.program(name).unwrap();
    let names: Vec<_> = object.programs.iter().map(|program| program.name.as_str()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    assert_eq!(functions(program("nested")), ["nested", "middle", "leaf"]);
    assert_eq!(
        calls(program("nested")),
        [("nested", "middle"), ("nested", "leaf"), ("middle", "leaf"), ("middle", "leaf")]
    );
    assert_eq!(functions(program("shared")), ["shared", "leaf"]);
    assert_eq!(functions(program("callback")), ["callback", "step", "leaf"]);
    let found = calls(program("callback"));
    assert!(found.contains(&("callback", "step")) && found.contains(&("step", "leaf")), "{found:?}");
    let has_pointer = |(_, op): &(usize, Op)| matches!(op, Op::LoadImm { value: Imm64::Func(_), .. });
    assert_eq!(ops(program("callback")).iter().filter(|op| has_pointer(op)).count(), 1);
    assert_eq!(functions(program("simple")), ["simple"]);
    let simple = program("simple");
    assert_eq!((simple.prog_type, simple.attach_type), (ProgType::SchedCls, Some(AttachType::TcxIngress)));
    assert_eq!(program("shared").attach_type, None);
    let btf = Btf::parse(object.btf.clone()).unwrap();
    for function in object.programs.iter().flat_map(|program| &program.functions) {
        let ty = TypeId(function.ty.unwrap());
        assert_eq!(btf.name(ty), Ok(&*function.name));
        assert!(matches!(btf.kind(ty), Ok(Kind::Func { .. })));
    }
}

#[test]
fn the_kernel_runs_subprograms() {
    let Some(mut object) = read("calls.c") else { return };
    if !has_capability(Capability::Bpf) {
        return skip("loading programs needs CAP_BPF");
    }
    // The kernel takes callbacks only with type information, which is not loaded yet.
    object.programs.retain(|program| ["nested", "simple", "shared"].contains(&program.name.as_str()));
    let loaded = load(&object).unwrap_or_else(|error| panic!("{error}"));
    let run = |name: &str| loaded.program(name).unwrap().test_run(&[0; 64], 1).unwrap().result;
    assert_eq!(run("nested"), 6 + 9 + 30);
    assert_eq!(run("shared"), 21);
    assert_eq!(run("simple"), 3);
    let bss = object.maps.iter().position(|map| map.name == ".bss").unwrap();
    assert_eq!(loaded.maps[bss].get(&[0; 4]).unwrap().unwrap(), (2 + 3 + 10 + 7u32).to_ne_bytes());
}

#[test]
fn lines_lead_to_the_source() {
    let Some(object) = read("calls.c") else { return };
    let source = std::fs::read_to_string(file("calls.c")).unwrap();
    let source: Vec<_> = source.lines().collect();
    for program in &object.programs {
        assert!(!program.lines.is_empty(), "{}", program.name);
        for line in program.lines.iter().filter(|line| line.line != 0) {
            assert!(line.file.ends_with("calls.c"), "{line:?}");
            assert_eq!(source[line.line as usize - 1].trim_end(), &*line.text);
        }
    }
    // The multiplication of the subprogram is found wherever it was moved to.
    let text_of = |name: &str, wanted: &str| {
        let program = object.program(name).unwrap();
        let multiply = |op: &Op| matches!(op, Op::Alu { op: skep_isa::ebpf::AluOp::Mul, .. });
        let (at, _) = ops(program).into_iter().find(|(_, op)| multiply(op)).unwrap();
        assert_eq!(program.line_of(skep_isa::ebpf::InsnIdx::new(at)).unwrap().text.trim_start(), wanted, "{name}");
    };
    for name in ["nested", "shared", "callback"] {
        text_of(name, "return x * 3;");
    }
    let relocated = object.program("relocated").unwrap();
    let accesses: Vec<_> = relocated.core_relocations.iter().map(|r| (r.kind, &*r.access)).collect();
    assert_eq!(accesses, [(0, "0:1")]);
    let btf = Btf::parse(object.btf.clone()).unwrap();
    assert_eq!(btf.name(TypeId(relocated.core_relocations[0].ty)), Ok("task"));
    let (_, op) = ops(relocated).into_iter().find(|(at, _)| *at == relocated.core_relocations[0].at.index()).unwrap();
    assert!(matches!(op, Op::Alu { .. } | Op::Load { .. }), "{op:?}");
    assert!(object.program("nested").unwrap().core_relocations.is_empty());
}

/// llvm-objdump prints the bytes of each instruction: those that nothing refers to must be the same in our programs.
#[test]
fn instructions_are_those_of_objdump() {
    for name in ["maps.c", "calls.c"] {
        let Some((_directory, path)) = compile(&file(name), &["-g"]) else { return };
        let Ok(output) = Command::new("llvm-objdump").args(["-d", "-z"]).arg(&path).output() else {
            return skip("llvm-objdump is not installed");
        };
        let text = String::from_utf8(output.stdout).unwrap();
        let object = Object::from_elf(&std::fs::read(&path).unwrap()).unwrap();
        let mut compared = 0;
        for program in &object.programs {
            for (index, function) in program.functions.iter().enumerate() {
                let end = program.functions.get(index + 1).map_or(program.insns.len(), |next| next.at.index());
                let ours = &program.insns[function.at.index()..end];
                let theirs = bytes_of(&text, &function.name);
                assert_eq!(ours.len(), theirs.len(), "{}: {}", program.name, function.name);
                for (ours, theirs) in ours.iter().zip(theirs) {
                    let ours = ours.to_bytes(skep_isa::ebpf::Endian::Little);
                    // Loads of addresses and calls of functions are what linking changes.
                    if !matches!(theirs[0], 0x18 | 0) && theirs[..2] != [0x85, 0x10] {
                        assert_eq!(ours, theirs, "{}: {}", program.name, function.name);
                        compared += 1;
                    }
                }
            }
        }
        assert!(compared > 20, "{name}: only {compared} instructions were compared");
    }
}

/// The slots of a function in the listing of llvm-objdump.
fn bytes_of(text: &str, function: &str) -> Vec<[u8; 8]> {
    let start = text.find(&format!("<{function}>:\n")).unwrap();
    let mut slots = Vec::new();
    for line in text[start..].lines().skip(1) {
        // Labels within the function are headings, too.
        if line.starts_with("Disassembly") || (line.ends_with(">:") && !line.contains("<LBB")) {
            break;
        }
        let Some((_, rest)) = line.split_once(":\t") else { continue };
        let bytes: Vec<u8> = rest.split_whitespace().map_while(|byte| u8::from_str_radix(byte, 16).ok()).collect();
        slots.extend(bytes.as_chunks::<8>().0);
        // The listing shows the slots of a long load on one line.
        assert!(bytes.len() >= 8, "{line}");
    }
    slots
}

#[test]
fn mistakes_are_named() {
    let case = |text: &str, options: &[&str], expected: &str| {
        if let Some(result) = read_text(text, options) {
            let message = result.map(|_| ()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    };
    let ksym = "extern const int bpf_prog_active SEC(\".ksyms\");\nSEC(\"tc\") int f(void *c) { return *(int *)&bpf_prog_active; }";
    case(
        ksym,
        &[],
        "`bpf_prog_active`: is declared but defined nowhere; define it, link the objects first, or, for what",
    );
    let kconfig = "struct two { int a, b; };\nextern struct two CONFIG_HZ SEC(\".kconfig\");\nSEC(\"tc\") int f(void *c) { return CONFIG_HZ.a; }";
    case(kconfig, &["-g"], "`CONFIG_HZ`: a setting is declared as bool, char, an integer");
    let section = "SEC(\"tracepoint/sys_enter\") int f(void *c) { return 0; }";
    case(section, &["-g"], "`tracepoint/sys_enter` cannot be understood; expected `tracepoint/CATEGORY/NAME`");
    let section = "SEC(\"kprob/do_nanosleep\") int f(void *c) { return 0; }";
    case(section, &["-g"], "section `kprob/do_nanosleep`, `f`: the section's name `kprob/do_nanosleep` cannot be");
    case(section, &["-g"], "did you mean `kprobe`?");
    let missing = "extern int nowhere(void);\nSEC(\"tc\") int f(void *c) { return nowhere(); }";
    case(missing, &["-g"], "`nowhere`: is declared but defined nowhere");
    let pointers = "int a, b;\nint *volatile table[2] = { &a, &b };\nSEC(\"tc\") int f(void *c) { return *table[0]; }";
    case(pointers, &["-g"], "variables of this section are initialised with addresses");
    let map = "struct { int (*type)[1]; } m SEC(\".maps\");\nSEC(\"tc\") int f(void *c) { return (long)&m; }";
    case(map, &[], "section `.maps`: maps are defined here, but section `.BTF` is missing; compile with `-g`");
    let typo = "struct { int (*type)[1]; int (*max_entry)[1]; } m SEC(\".maps\");\nSEC(\"tc\") int f(void *c) { return (long)&m; }";
    case(typo, &["-g"], "section `.maps`, `m`: `max_entry` is no property of maps");
}

/// The numbers of places to attach are the running kernel's.
#[test]
fn attach_types_agree_with_the_running_kernel() {
    let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else { return skip("the kernel has no BTF") };
    let btf = Btf::parse(bytes).unwrap();
    let id = btf.ids().find(|id| btf.name(*id) == Ok("bpf_attach_type") && matches!(btf.kind(*id), Ok(Kind::Enum(_))));
    let Some(Ok(Kind::Enum(values))) = id.map(|id| btf.kind(id)) else { panic!("no such enumeration") };
    let constants: Vec<_> = values.values().map(|value| (btf.string(value.name).unwrap(), value.value)).collect();
    for kind in AttachType::ALL {
        let name = format!("BPF_{}", kind.name().to_uppercase());
        match constants.iter().find(|(constant, _)| *constant == name) {
            Some((_, number)) => assert_eq!(*number, i64::from(kind.number()), "{name}"),
            None => assert!(constants.len() <= kind.number() as usize + 1, "the kernel lacks {name}"),
        }
    }
}
