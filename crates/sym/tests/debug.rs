//! Debug information of a program that is compiled here, held against what the compiler and the program itself say.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use skep_sym::{Binary, DebugDirs, DebugInfo, DebugType, Home, SymError, demangle, fuzz};

/// Prints the layout of its types and the numbers of the lines that are asked for.
const SOURCE: &str = r#"
#include <stddef.h>
#include <stdio.h>
enum kind { SMALL = -1, LARGE = 70000 };
typedef unsigned char octet;
struct inner { octet a; double d; };
struct outer { const char *text; struct inner list[3]; unsigned f : 5, g : 9; enum kind kind; struct outer *next; char name[7]; };
__attribute__((noinline)) int take(struct outer *o, float skipped, const long big, struct inner copy, octet last) {
    return o->f + skipped + big + copy.a + last; /* LINE take */
}
static inline __attribute__((always_inline)) int copied(int n) {
    __asm__ volatile("nop" ::: "memory"); /* LINE copied */
    return n + 1;
}
__attribute__((noinline)) int first(int n) { return copied(n) * 2; }
__attribute__((noinline)) int second(int n) { return copied(n) * 3 + copied(n + 1); }
int main(void) {
    struct outer o = {0};
    printf("outer %zu list %zu kind %zu next %zu name %zu inner.d %zu\n", sizeof o, offsetof(struct outer, list),
        offsetof(struct outer, kind), offsetof(struct outer, next), offsetof(struct outer, name), offsetof(struct inner, d));
    return take(&o, 1, 2, o.list[0], 4) + first(1) + second(2) == 1;
}
"#;

/// The compiled program in a directory that vanishes.
struct Program(PathBuf);

impl Program {
    fn compile(name: &str, compiler: &str, options: &[&str]) -> Option<Self> {
        let directory = std::env::temp_dir().join(format!("skep-debug-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let program = Self(directory);
        fs::write(program.0.join("program.c"), SOURCE).unwrap();
        let mut command = Command::new(compiler);
        command.current_dir(&program.0).args(options).args(["-o", "program", "program.c"]);
        match command.output() {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                Some(program)
            }
            Err(_) => {
                println!("SKIPPED: there is no compiler `{compiler}`");
                None
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.0.join("program")
    }

    fn open(&self) -> (Binary, DebugInfo) {
        let binary = Binary::open(self.file()).unwrap();
        let debug = DebugInfo::open(&binary, &DebugDirs::default()).unwrap_or_else(|error| panic!("{error}"));
        (binary, debug)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Forms of debug information.
const FORMS: [(&str, &str, &[&str]); 6] = [
    ("gcc5", "gcc", &["-O1", "-g", "-gdwarf-5"]),
    ("gcc4", "gcc", &["-O0", "-g", "-gdwarf-4", "-fdebug-types-section"]),
    ("gcc2", "gcc", &["-O1", "-g", "-gdwarf-2", "-gstrict-dwarf"]),
    ("packed", "gcc", &["-O1", "-g", "-gz"]),
    ("clang5", "clang", &["-O1", "-g", "-gdwarf-5"]),
    ("clang4", "clang", &["-O0", "-g", "-gdwarf-4"]),
];

#[test]
fn types_are_laid_out_as_the_program_says() {
    for (name, compiler, options) in FORMS {
        let Some(program) = Program::compile(name, compiler, options) else { continue };
        let said = Command::new(program.file()).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let (binary, debug) = program.open();
        let outer = debug.find(Some("struct"), "outer").unwrap_or_else(|| panic!("{name}"));
        let outer = debug.composite(outer).unwrap();
        let member = |name: &str| outer.members.iter().find(|member| member.name == name).unwrap();
        let DebugType::Array { element, counts } = debug.kind(member("list").ty) else { panic!("{name}") };
        let DebugType::Composite(inner) = debug.kind(element) else { panic!("{name}") };
        let inner = debug.composite(inner).unwrap();
        let text = format!(
            "outer {} list {} kind {} next {} name {} inner.d {}\n",
            outer.bytes,
            member("list").offset,
            member("kind").offset,
            member("next").offset,
            member("name").offset,
            inner.members[1].offset
        );
        assert_eq!(text, said, "{name}");
        assert_eq!((counts, debug.bytes(member("list").ty)), (vec![3], 48), "{name}");
        let (f, g) = (member("f").bits.unwrap(), member("g").bits.unwrap());
        assert_eq!((f.1, g.1, g.0 - f.0), (5, 9, 5), "{name}");
        let DebugType::Enum { bytes: 4, signed: true, values, .. } = debug.kind(member("kind").ty) else {
            panic!("{name}: {:?}", debug.kind(member("kind").ty))
        };
        assert_eq!(values, [(-1, "SMALL".to_owned()), (70_000, "LARGE".to_owned())], "{name}");
        assert_eq!(debug.enumerator("LARGE").map(|found| found.0), Some(70_000), "{name}");
        let function = debug.function(binary.function("take").unwrap().address).unwrap();
        let homes: Vec<(&str, &Home)> = function.params.iter().map(|param| (&*param.name, &param.home)).collect();
        if cfg!(target_arch = "x86_64") {
            // The structure has a number of each kind, which takes a register of each kind.
            let pieces = &function.params[3].home;
            assert!(matches!(pieces, Home::Nowhere(why) if why.contains("piece")), "{name}: {pieces:?}");
            assert!(
                matches!(homes[1], ("skipped", Home::Nowhere(why)) if why.contains("floating")),
                "{name}: {homes:?}"
            );
            let rest = [homes[0], homes[2], homes[4]];
            let number = [Home::Register(0), Home::Register(1), Home::Register(3)];
            assert_eq!(rest, [("o", &number[0]), ("big", &number[1]), ("last", &number[2])], "{name}");
        }
        assert_eq!(function.name, "take");
        assert!(matches!(debug.kind(function.result), DebugType::Int { bytes: 4, signed: true, .. }), "{name}");
        assert!(debug.function(1).is_err());
    }
}

/// The number of the line with a mark.
fn marked(mark: &str) -> u32 {
    let at = SOURCE.lines().position(|line| line.ends_with(&format!("/* LINE {mark} */"))).unwrap();
    u32::try_from(at + 1).unwrap()
}

#[test]
fn lines_lead_to_all_copies() {
    for (name, compiler, options) in FORMS {
        let Some(program) = Program::compile(&format!("line-{name}"), compiler, options) else { continue };
        let (binary, debug) = program.open();
        let found = debug.line("program.c", marked("take"), None).unwrap();
        let take = binary.function("take").unwrap();
        assert_eq!(found.len(), 1, "{name}: {found:x?}");
        assert!((take.address..take.address + take.size).contains(&found[0]), "{name}: {found:x?}");
        let copies = debug.line("program.c", marked("copied"), None).unwrap();
        let inside = |function: &str| {
            let function = binary.function(function).unwrap();
            copies
                .iter()
                .filter(|address| (function.address..function.address + function.size).contains(address))
                .count()
        };
        assert_eq!((inside("first"), inside("second")), (1, 2), "{name}: {copies:x?}");
        let SymError::Missing { remedy, .. } = debug.line("program.c", 3, None).unwrap_err() else { panic!() };
        assert!(remedy.contains("the nearest line with code is"), "{remedy}");
        assert!(debug.line("rogram.c", marked("take"), None).unwrap_err().to_string().contains("no source file"));
    }
}

/// Bytes that are wrong give errors or other facts, no panic and no endless loop.
#[test]
fn debug_information_with_changes() {
    let Some(program) = Program::compile("changes", "gcc", &["-O1", "-g"]) else { return };
    let whole = fs::read(program.file()).unwrap();
    let changed = program.0.join("changed");
    // The sections of debug information are behind the code, in front of the symbols.
    let start = whole.windows(8).position(|bytes| bytes == b"program.").unwrap_or(whole.len() / 2).min(whole.len() / 2);
    let mut state = 1u64;
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..4 {
            // A linear congruential generator (Knuth).
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = start + usize::try_from(state >> 33).unwrap() % (bytes.len() - start);
            bytes[at] ^= (state >> 20) as u8;
        }
        fs::write(&changed, &bytes).unwrap();
        let Ok(binary) = Binary::open(&changed) else { continue };
        let Ok(debug) = DebugInfo::open(&binary, &DebugDirs::new([])) else { continue };
        fuzz::look_around(&debug);
        for symbol in binary.functions().take(50) {
            let _ = debug.function(symbol.address);
        }
    }
}

/// This test is a program of Rust itself.
#[test]
fn names_of_rust() {
    let own = Binary::open("/proc/self/exe").unwrap();
    let called = |name: &str| own.functions().any(|symbol| demangle(&symbol.name).as_deref() == Some(name));
    assert!(called("skep_sym::demangle::demangle"));
}

#[test]
fn symbols_that_distributions_pack() {
    let Some(program) = Program::compile("mini", "gcc", &["-O1"]) else { return };
    let run = |script: &str| Command::new("sh").current_dir(&program.0).args(["-ec", script]).output();
    let packed = run(
        "cp program mini; strip --keep-symbol=take --strip-unneeded mini; objcopy -S --keep-symbol=take mini; xz -k mini; \
         strip -s program; objcopy --add-section .gnu_debugdata=mini.xz program",
    );
    if !packed.as_ref().is_ok_and(|output| output.status.success()) {
        return println!("SKIPPED: it needs strip, objcopy and xz: {packed:?}");
    }
    let binary = Binary::open(program.file()).unwrap();
    assert!(binary.function("take").unwrap().offset.is_some());
    assert!(binary.function("first").is_err());
}
