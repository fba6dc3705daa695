//! The static linker: which of several definitions counts, and what cannot be linked. And symbols of modules, which
//! this machine's kernel may not have.

use std::sync::Arc;

use skep_btf::{Btf, BtfBuilder, Int, Linkage, NewType, TypeId};
use skep_isa::ebpf::{Callee, Imm64, Op, decode_program};
use skep_object::{KernelData, LinkProblem, Module, Object, link_elf};

/// Compiles a text with the declarations of the corpus in front; `None` with a note if there is no clang.
#[track_caller]
fn compile(text: &str) -> Option<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source.c");
    std::fs::write(&source, format!("#include \"skep.h\"\n{text}")).unwrap();
    let include = format!("-I{}", skep_testkit::clang::directory().display());
    let object = skep_testkit::clang::compile(&source, &[&include]);
    object
        .map_err(|why| {
            println!("SKIPPED: {why}");
            assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
        })
        .ok()
}

/// Links two texts; the outer `None` stands for a missing clang.
#[track_caller]
fn linked(one: &str, other: &str) -> Option<Result<Object, String>> {
    let (one, other) = (compile(one)?, compile(other)?);
    let object = Object::from_elf_files(&[("one.o", &one), ("other.o", &other)]);
    Some(object.map_err(|error| error.to_string()))
}

#[test]
fn mistakes_are_named() {
    let use_it = "SEC(\"tc\") int f(void *c) { return it; }";
    let cases = [
        ("int it = 1;", "int it = 2;", "other.o: `it` is defined in one.o as well; make one of them `static`"),
        ("u64 it = 1;", &format!("extern u32 it;\n{use_it}"), "other.o: `it` differs from one.o: the variables have"),
        (
            "int it(int a) { return a; }",
            &format!("extern int it;\n{use_it}"),
            "other.o: `it` differs from one.o: one is a function",
        ),
        (
            "__noinline int g(int a) { return a; }",
            "extern int g(int a, int b);\nSEC(\"tc\") int f(void *c) { return g(1, 2); }",
            "other.o: `g` differs from one.o: the functions have other parameters",
        ),
        (
            "struct { __uint(type, HASH); __type(key, u32); __type(value, u32); __uint(max_entries, 4); } m SEC(\".maps\");",
            "extern struct { __uint(type, HASH); __type(key, u32); __type(value, u32); __uint(max_entries, 5); } m \
             __attribute__((section(\".maps\")));\nSEC(\"tc\") int f(void *c) { return (u64)&m; }",
            "other.o: `m` differs from one.o: the definitions of the map differ",
        ),
        (
            "int mine = 1;",
            &format!("extern int it;\n{use_it}"),
            "the linked files: section `tc`, offset 0x0, `it`: is declared but defined nowhere",
        ),
    ];
    for (one, other, expected) in cases {
        let Some(result) = linked(one, other) else { return };
        let message = result.map(|_| ()).unwrap_err();
        assert!(message.starts_with(expected), "{message}");
    }
    let error = link_elf(&[("text.o", b"text")]).unwrap_err();
    assert!(matches!(error.problem, LinkProblem::File(_)), "{error}");
}

#[test]
fn licences_must_agree() {
    let Some(one) = compile("int it;") else { return };
    let mut other = compile("int that;").unwrap();
    let at = other.windows(4).position(|bytes| bytes == b"GPL\0").unwrap();
    other[at] = b'L';
    let error = link_elf(&[("one.o", &one), ("other.o", &other)]).unwrap_err().to_string();
    assert_eq!(error, "other.o: `license` differs from the files before: all files must say the same");
}

#[test]
fn strong_definitions_count() {
    let weak = "__weak int it = 1;\n__weak __noinline int g(void) { return 1; }\nSEC(\"tc\") int f(void *c) { return g() + it; }";
    let strong = "int it = 7;\n__noinline int g(void) { return 7; }";
    for turned in [false, true] {
        let (one, other) = if turned { (strong, weak) } else { (weak, strong) };
        let Some(object) = linked(one, other) else { return };
        let object = object.unwrap();
        let program = &object.programs[0];
        let ops: Vec<Op> = decode_program(&program.insns).unwrap().into_iter().map(|(_, op)| op).collect();
        let place = ops.iter().find_map(|op| match op {
            Op::LoadImm { value: Imm64::MapFdValue { fd, offset }, .. } => Some((*fd as usize, *offset as usize)),
            _ => None,
        });
        let (map, offset) = place.unwrap();
        assert_eq!(object.maps[map].contents[0].1[offset..offset + 4], 7u32.to_le_bytes());
        let seven = |op: &Op| matches!(op, Op::Alu { src: skep_isa::ebpf::Src::Imm(7), .. });
        assert!(ops.iter().any(seven), "{ops:?}");
    }
}

/// A kernel with one type, and a module with a function and a variable.
fn kernel_with_module() -> KernelData {
    let int = Int { size: 4, bits: 32, bit_offset: 0, signed: true, char: false, bool: false };
    let mut builder = BtfBuilder::new();
    let int = builder.add("int", NewType::Int(int)).unwrap();
    let base = Arc::new(Btf::parse(builder.to_bytes()).unwrap());
    let mut builder = BtfBuilder::with_base(Arc::clone(&base));
    let proto = builder.add("", NewType::FuncProto { result: int, params: &[("x", int)] }).unwrap();
    builder.add("of_module", NewType::Func { proto, linkage: Linkage::Static }).unwrap();
    builder.add("variable", NewType::Var { ty: int, linkage: Linkage::Global }).unwrap();
    let btf = Arc::new(Btf::parse_split(Arc::clone(&base), builder.to_bytes()).unwrap());
    let other = BtfBuilder::with_base(Arc::clone(&base)).to_bytes();
    let other = Arc::new(Btf::parse_split(Arc::clone(&base), other).unwrap());
    let modules = [("other", other), ("with_it", btf)];
    let modules = modules.map(|(name, btf)| Module { name: name.to_owned(), btf }).to_vec();
    KernelData { btf: Some(base), modules, ..KernelData::default() }
}

#[test]
fn symbols_of_modules() {
    let text = "extern int of_module(int x) __ksym;\nextern const int variable __ksym;\nextern const void gone __ksym __weak;\n\
                SEC(\"tc\") int f(void *c) { return of_module(3) + (u64)&variable + (u64)&gone; }";
    let Some(file) = compile(text) else { return };
    let kernel = kernel_with_module();
    let mut object = Object::from_elf(&file).unwrap();
    assert!(object.is_unresolved());
    let message = object.validate().unwrap_err().to_string();
    assert!(message.starts_with("`gone` is something that only the running kernel has"), "{message}");
    let resolved = object.resolve(&kernel).unwrap();
    assert_eq!(resolved.modules, ["with_it"], "only what is needed");
    assert_eq!(object.validate(), Ok(()));
    let btf = &kernel.modules[1].btf;
    let id = |name: &str| btf.find(name).map(|TypeId(id)| id.cast_signed()).unwrap();
    let ops: Vec<Op> = decode_program(&object.programs[0].insns).unwrap().into_iter().map(|(_, op)| op).collect();
    assert!(ops.contains(&Op::Call(Callee::Kfunc { id: id("of_module"), module: 1 })), "{ops:?}");
    let loads = |value: Imm64| ops.iter().any(|op| matches!(op, Op::LoadImm { value: found, .. } if *found == value));
    assert!(loads(Imm64::BtfVar { id: id("variable"), fd: 1 }) && loads(Imm64::Value(0)), "{ops:?}");
    // Without the module the function is missing, and the object stays as it was.
    let mut object = Object::from_elf(&file).unwrap();
    let before = object.clone();
    let message = object.resolve(&KernelData { modules: Vec::new(), ..kernel }).unwrap_err().to_string();
    assert!(message.starts_with("`of_module`: neither the kernel nor its modules describe a function"), "{message}");
    assert_eq!(object, before);
}

/// Programs that are not loaded on their own are not fitted, and stay what they are in files.
#[test]
fn programs_that_are_left_out() {
    let text = "struct task_struct { int of_no_kernel; } __core;\n\
                SEC(\"?tp_btf/sched_switch\") int f(u64 *c) { return ((struct task_struct *)c[1])->of_no_kernel; }\n\
                SEC(\"tc\") int g(void *c) { return 0; }";
    let Some(file) = compile(text) else { return };
    let mut object = Object::from_elf(&file).unwrap();
    assert_eq!(object.programs.iter().map(|program| program.autoload).collect::<Vec<_>>(), [false, true]);
    assert_eq!(Object::from_elf(&object.to_elf().unwrap()).as_ref(), Ok(&object));
    assert!(!object.is_unresolved());
    let before = object.clone();
    let resolved = object.resolve(&KernelData::default()).unwrap();
    assert_eq!((object.programs, resolved.missing.len()), (before.programs.clone(), 0));
    let mut object = before;
    object.programs[0].autoload = true;
    let message = object.resolve(&KernelData::default()).unwrap_err().to_string();
    assert!(message.contains("program `f`, instruction 1, byte_off of `task_struct`, path 0:0"), "{message}");
    assert!(message.contains("CONFIG_DEBUG_INFO_BTF"), "{message}");
}

#[test]
fn the_function_that_exceptions_end_in_comes_last() {
    let text = |tags: &str| {
        format!(
            "extern void bpf_throw(u64 cookie) __ksym;
            __noinline int other(u64 n) {{ return n + 7; }}
            __noinline int handler(u64 cookie) {{ return other(cookie) & 1; }}
            __noinline int called(u64 n) {{ bpf_throw(n); return 3; }}
            SEC(\"tc\") {tags} int f(void *c) {{ return called(5); }}"
        )
    };
    let tag = |name: &str| format!("__attribute__((btf_decl_tag(\"exception_callback:{name}\")))");
    let cases = [
        (tag("handler"), vec!["f", "called", "handler", "other"]),
        (String::new(), vec!["f", "called"]),
        (tag("called"), vec!["f", "called"]),
        // What names two functions, or none that there is, names none.
        (format!("{} {}", tag("handler"), tag("other")), vec!["f", "called"]),
        (tag("missing"), vec!["f", "called"]),
    ];
    for (tags, expected) in cases {
        let Some(bytes) = compile(&text(&tags)) else { return };
        let object = Object::from_elf(&bytes).unwrap();
        let names = |object: &Object| -> Vec<String> {
            object.programs[0].functions.iter().map(|function| function.name.to_string()).collect()
        };
        assert_eq!(names(&object), expected, "{tags}");
        // It stays there when the object is written and read again.
        let again = Object::from_elf(&object.to_elf().unwrap()).unwrap();
        assert_eq!(names(&again), expected, "{tags}");
        assert_eq!(again.programs[0].insns, object.programs[0].insns);
    }
}
