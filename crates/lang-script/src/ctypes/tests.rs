//! Tests of layouts: what the C compiler of the machine says, and mistakes.

use std::fmt::Write as _;
use std::process::Command;

use super::*;

fn types(text: &str) -> (Types, Vec<Diagnostic>) {
    let done = crate::desugar(text, &crate::Options::default());
    assert!(done.diagnostics.is_empty(), "{text}: {:#?}", done.diagnostics);
    collect(&done.script.definitions, &NoTypes)
}

fn types_of(text: &str) -> Types {
    let (types, diagnostics) = types(text);
    assert!(diagnostics.is_empty(), "{text}: {diagnostics:#?}");
    types
}

/// A struct in short: size, alignment, members with their places.
fn shape(text: &str) -> String {
    let types = types_of(text);
    let composite = &types.composites["s"];
    let mut out = format!("{} {}", composite.size, composite.align);
    for place in &composite.members {
        _ = write!(out, " {}@{}", place.name, place.offset);
        if let Some((bit, bits)) = place.bits {
            _ = write!(out, ".{bit}:{bits}");
        }
    }
    out
}

// TABLE
/// Definitions of `s` and their layouts.
const LAYOUTS: &[(&str, &str)] = &[
    ("struct s { char a; int b; };", "8 4 a@0 b@4"),
    ("struct s { char a; int b; } __attribute__((packed));", "5 1 a@0 b@1"),
    ("struct __attribute__((packed)) s { char a; long b; };", "9 1 a@0 b@1"),
    ("struct s { char a; } __attribute__((aligned(16)));", "16 16 a@0"),
    ("union s { char a[5]; int b; };", "8 4 a@0 b@0"),
    ("struct s { void *p; char c[3]; short d[2]; };", "16 8 p@0 c@8 d@12"),
    ("struct s { int n; char data[]; };", "4 4 n@0 data@4"),
    ("struct t { char c; long l; }; struct s { char a; struct t t[2]; struct t *next; };", "48 8 a@0 t@8 next@40"),
    ("struct s { char a; union { int i; char c; }; char z; };", "12 4 a@0 i@4 c@4 z@8"),
    ("struct s { char a; struct { short x; char y; } in; int z; };", "12 4 a@0 in@2 z@8"),
    ("struct s { union { struct { int a; int b; }; long c; }; char d; };", "16 8 a@0 b@4 c@0 d@8"),
    ("struct s { unsigned int a : 3; unsigned int b : 5; char c; };", "4 4 a@0.0:3 b@0.3:5 c@1"),
    ("struct s { unsigned int a : 30; unsigned int b : 5; };", "8 4 a@0.0:30 b@4.0:5"),
    ("struct s { unsigned int a : 30; unsigned int b : 5; } __attribute__((packed));", "5 1 a@0.0:30 b@3.6:5"),
    ("struct s { char a : 4; int : 0; char b : 4; };", "5 1 a@0.0:4 b@4.0:4"),
    ("struct s { char x; unsigned int a : 20; unsigned long b : 40; };", "16 8 x@0 a@1.0:20 b@8.0:40"),
    ("struct s { unsigned char a : 1, b : 7; unsigned short c : 9; };", "4 2 a@0.0:1 b@0.1:7 c@2.0:9"),
    ("enum e { A, B = 5, C }; struct s { enum e x; char y[C]; };", "12 4 x@0 y@4"),
    ("enum { N = 3 }; struct s { int a[N * 2 + 1]; };", "28 4 a@0"),
    ("enum e { BIG = 1ull << 40 }; struct s { enum e x; };", "8 8 x@0"),
    ("#define N 4\nstruct s { int a[N][2]; };", "32 4 a@0"),
    ("typedef struct { long v; } t; typedef t pair[2]; struct s { char c; pair p; };", "24 8 c@0 p@8"),
    ("struct t { int a; }; struct s { char b[sizeof(struct t) * 3]; };", "12 1 b@0"),
    ("struct s { int (*call)(int, void *); int a, *b, c[2]; };", "32 8 call@0 a@8 b@16 c@24"),
    ("struct s { };", "0 1"),
];

#[test]
fn layouts() {
    for (text, expected) in LAYOUTS {
        assert_eq!(shape(text), *expected, "{text}");
    }
}

/// The compiler of the machine gives the same sizes and offsets.
#[test]
fn layouts_of_the_c_compiler() {
    let compiler = ["cc", "gcc", "clang"].into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    let Some(compiler) = compiler else {
        assert!(std::env::var_os("SKEP_REQUIRE_KERNEL").is_none(), "a C compiler is missing");
        println!("SKIPPED: there is no C compiler (cc, gcc or clang)");
        return;
    };
    let directory = std::env::temp_dir().join(format!("skep-ctypes-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory can be made");
    for (index, (text, _)) in LAYOUTS.iter().enumerate() {
        let types = types_of(text);
        let composite = &types.composites["s"];
        let keyword = if composite.union { "union" } else { "struct" };
        let mut source = format!("{text}\n_Static_assert(sizeof({keyword} s) == {}, \"size\");\n", composite.size);
        _ = writeln!(source, "_Static_assert(_Alignof({keyword} s) == {}, \"alignment\");", composite.align);
        for place in composite.members.iter().filter(|place| place.bits.is_none()) {
            let (name, offset) = (&place.name, place.offset);
            _ = writeln!(source, "_Static_assert(__builtin_offsetof({keyword} s, {name}) == {offset}, \"{name}\");");
        }
        let file = directory.join(format!("{index}.c"));
        std::fs::write(&file, &source).expect("a file can be written");
        let run = Command::new(compiler).args(["-std=gnu11", "-fsyntax-only"]).arg(&file).output().expect("it runs");
        assert!(run.status.success(), "{source}\n{}", String::from_utf8_lossy(&run.stderr));
    }
    std::fs::remove_dir_all(&directory).expect("the directory can be removed");
}

#[test]
fn enumerations() {
    let types = types_of("enum e { A, B = 5, C, D = -1, E }; enum { F = C << 1 };");
    let expected = [("A", 0), ("B", 5), ("C", 6), ("D", -1), ("E", 0), ("F", 12)];
    for (name, value) in expected {
        assert_eq!(types.enumerators[name], value, "{name}");
    }
    assert_eq!(types.enums["e"].values.len(), 5);
}

#[test]
fn mistakes() {
    // TABLE
    for (text, part) in [
        ("struct s { struct t x; };", "the type `t` is not known"),
        ("struct s { struct s x; };", "the type `s` is not known"),
        ("struct s { uint23 x; };", "did you mean `uint32`?"),
        ("struct s { int a; int a; };", "there is a member `a` already"),
        ("struct s { int a; union { int a; }; };", "there is a member `a` already"),
        ("struct s { int a; }; struct s { int a; };", "`s` is defined already"),
        ("struct s { int a[X]; };", "the constant `X` is not known"),
        ("struct s { int a[1 - 2]; };", "cannot have -1 elements"),
        ("struct s { int a[1 / 0]; };", "divides by 0"),
        ("struct s { char a[1 << 40]; };", "too large"),
        ("struct s { void a; };", "`void` has no size"),
        ("struct s { char a : 9; };", "fewer bits"),
        ("struct s { int *a : 3; };", "only in integers"),
        ("struct s { int a : 0; };", "at least one bit"),
        ("typedef a b; typedef b a; struct s { a x; };", "made of itself"),
        ("enum e { A = 0xffffffffffffffff, B };", "the value of `B` is too large"),
    ] {
        let (_, diagnostics) = types(text);
        let all: Vec<String> = diagnostics.iter().map(|d| format!("{}; {}", d.message, d.help.join("; "))).collect();
        assert!(all.iter().any(|message| message.contains(part)), "{text}: {all:?}");
    }
}
