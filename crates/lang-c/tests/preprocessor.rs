//! The preprocessor against clang's, on sources that use all of it, and what it says of wrong ones.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use skep_lang_c::lex::lexer::lex;
use skep_lang_c::options::{MacroOption, Options};
use skep_lang_c::pp::{MainFile, preprocess, preprocess_to_text};
use skep_lang_c::source::{Diags, FileSource, Loc, Sources};

/// Files in memory.
#[derive(Default)]
struct Files(HashMap<String, String>);

impl FileSource for Files {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.get(path).map(|text| text.clone().into_bytes()))
    }
}

/// Files of the machine.
struct Disk;

impl FileSource for Disk {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(std::fs::read(path).ok())
    }
}

/// The tokens of a text, spelled.
fn spelled(text: &str) -> Vec<String> {
    let mut sources = Sources::new();
    let file = sources.add("text", text.as_bytes(), false, Loc::default()).expect("it is small");
    let (tokens, _) = lex(&mut sources, file);
    let mut out = Vec::new();
    for token in tokens {
        let mut text = String::new();
        token.spell(&sources, &mut text);
        out.push(text);
    }
    out
}

/// Our result as text; panics on errors.
fn ours(text: &str, options: &Options, files: &dyn FileSource) -> String {
    let (mut sources, mut diags) = (Sources::new(), Diags::new());
    let main = MainFile { name: "main.c", text: text.as_bytes() };
    let out = preprocess_to_text(&main, options, files, &mut sources, &mut diags);
    assert!(!diags.has_errors(), "{}", diags.render(&sources, false));
    out
}

/// The messages about a text.
fn messages(text: &str) -> String {
    let (mut sources, mut diags) = (Sources::new(), Diags::new());
    let main = MainFile { name: "main.c", text: text.as_bytes() };
    preprocess(&main, &Options::default(), &Files::default(), &mut sources, &mut diags);
    diags.render(&sources, false)
}

fn clang(path: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("clang").args(["-target", "bpf", "-E", "-P", "-x", "c"]).args(args).arg(path).output();
    let Ok(output) = output else {
        println!("SKIPPED: there is no clang to compare with");
        assert!(std::env::var_os("SKEP_REQUIRE_CLANG").is_none(), "clang is required");
        return None;
    };
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn results_are_those_of_clang() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pp");
    let mut names: Vec<_> =
        std::fs::read_dir(&directory).expect("the sources").flatten().map(|entry| entry.path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "c"));
    names.sort();
    assert!(names.len() >= 5, "{names:?}");
    let include = directory.join("include").display().to_string();
    let options = Options {
        include_dirs: vec![include.clone()],
        macros: vec![
            MacroOption::Define("GIVEN".to_owned(), Some("7".to_owned())),
            MacroOption::Define("PLAIN".to_owned(), None),
            MacroOption::Define("PAIR(a, b)".to_owned(), Some("{a, b}".to_owned())),
            MacroOption::Undefine("__SIZEOF_FLOAT__".to_owned()),
        ],
        ..Options::default()
    };
    let flags = ["-I", &include, "-DGIVEN=7", "-DPLAIN", "-DPAIR(a, b)={a, b}", "-U__SIZEOF_FLOAT__"];
    for path in names {
        let text = std::fs::read_to_string(&path).expect("a source");
        let (mut sources, mut diags) = (Sources::new(), Diags::new());
        let name = path.display().to_string();
        let main = MainFile { name: &name, text: text.as_bytes() };
        let out = preprocess_to_text(&main, &options, &Disk, &mut sources, &mut diags);
        assert!(!diags.has_errors(), "{}", diags.render(&sources, false));
        let Some(expected) = clang(&path, &flags) else { return };
        let (ours, theirs) = (spelled(&out), spelled(&expected));
        let differs = ours.iter().zip(&theirs).position(|(a, b)| a != b).unwrap_or(ours.len().min(theirs.len()));
        let near = |list: &[String]| list[differs.saturating_sub(8)..(differs + 8).min(list.len())].join(" ");
        assert!(ours == theirs, "{name}: token {differs}\nours:   {}\nclang's: {}", near(&ours), near(&theirs));
    }
}

#[test]
fn messages_have_places_and_remedies() {
    for (text, expected) in [
        ("#define F(a) a\nint x = F(1, 2);", "macro 'F' takes 1 arguments, here are 2"),
        ("#define F(a) a\nint x = F(1", "the use of macro 'F' does not end"),
        ("#if 1\n", "'#endif' is missing"),
        ("#endif", "'#endif' without '#if'"),
        ("#if 1\n#else\n#else\n#endif", "'#else' after '#else'"),
        ("#if 1 / 0\n#endif", "divides by zero"),
        ("#if (1\n#endif", "')' is missing"),
        ("#if 1 +\n#endif", "ends where a value is expected"),
        ("#if 1.5\n#endif", "floating-point"),
        ("#error stop it\n", "#error stop it"),
        ("#include <bpf_helper.h>", "there is no header"),
        ("#include <linux/bpf_helpers.h>", "there is a built-in header <bpf/bpf_helpers.h>"),
        ("#define A ## b\n", "'##' cannot be at the beginning"),
        ("#define A(x) #y\n", "a parameter has to follow '#'"),
        ("#define C(a,b) a##b\nint i = C(+,);int j = C(/,=) C(a,+);", "'##' makes 'a+', which is no token"),
        ("#defin A\n", "did you mean '#define'?"),
        ("/* never ends", "this comment does not end"),
        ("#define defined 1", "'defined' is an operator"),
        ("#line x", "a line number has to follow"),
        ("#pragma pack(3)", "this pragma is written"),
        ("#pragma GCC poison bad\nint bad;", "was poisoned"),
        ("char c = 'abcde';", "at most four bytes"),
        ("char *s = \"\\q\";", "unknown escape"),
        ("#define X(a) [a]\n#define Y(b) X(b '\nint q = '';", "at least one character"),
    ] {
        let found = messages(text);
        assert!(found.contains(expected), "{text}\n{found}");
        assert!(found.contains("main.c:"), "{text}\n{found}");
    }
}

#[test]
fn messages_tell_the_way_through_macros() {
    let text = "#define INNER(c) c ## +\n#define OUTER(x) INNER(x)\nint a = OUTER(b);\n";
    let found = messages(text);
    assert!(found.contains("int a = OUTER(b);"), "{found}");
    assert!(found.contains("in the expansion of macro 'INNER' (main.c:1:"), "{found}");
    assert!(found.contains("in the expansion of macro 'OUTER' (main.c:2:"), "{found}");
}

#[test]
fn hostile_sources_end() {
    let doubling: String = (0..60).map(|n| format!("#define A{} A{n} A{n}\n", n + 1)).collect::<String>() + "A60";
    assert!(messages(&doubling).contains("macros make more than"));
    let nested = format!("#define F(x) x\n{}1{}", "F(".repeat(5000), ")".repeat(5000));
    assert!(messages(&nested).contains("nested more than"));
    let conditions = "#if 1\n".repeat(5000);
    assert!(messages(&conditions).contains("nested more than"));
    let parentheses = format!("#if {}1{}\n#endif", "(".repeat(50_000), ")".repeat(50_000));
    assert!(messages(&parentheses).contains("nested more than"));
    let not = format!("#if {}1\n#endif", "!".repeat(50_000));
    assert!(messages(&not).contains("nested more than"));
    let mut files = Files::default();
    files.0.insert("self.h".to_owned(), "#include \"self.h\"\n#include \"self.h\"\n".to_owned());
    let (mut sources, mut diags) = (Sources::new(), Diags::new());
    let main = MainFile { name: "main.c", text: b"#include \"self.h\"\n" };
    preprocess(&main, &Options::default(), &files, &mut sources, &mut diags);
    assert!(diags.render(&sources, false).contains("files include each other"));
}

#[test]
fn headers_are_found_in_order() {
    let mut files = Files::default();
    for (path, text) in [
        ("dir/a.h", "from_dir"),
        ("dir/c.h", "c_in_dir\n#include_next <c.h>"),
        ("other/c.h", "c_in_other"),
        ("other/bpf/bpf_helpers.h", "own_helpers"),
        ("sub/d.h", "#include \"e.h\""),
        ("sub/e.h", "e_next_to_d"),
        ("e.h", "e_next_to_main"),
    ] {
        files.0.insert(path.to_owned(), text.to_owned());
    }
    let options = Options { include_dirs: vec!["dir".to_owned(), "other".to_owned()], ..Options::default() };
    let text = "#include <a.h>\n#include <c.h>\n#include \"sub/d.h\"\n#include \"e.h\"\n#include <bpf/bpf_helpers.h>\n\
        #if __has_include(<a.h>) && !__has_include(<zzz.h>) && __has_include(\"vmlinux.h\")\nfound\n#endif\n";
    let words = spelled(&ours(text, &options, &files)).join(" ");
    assert_eq!(words.trim(), "from_dir c_in_dir c_in_other e_next_to_d e_next_to_main own_helpers found");
}

#[test]
fn embedded_headers_are_read_without_messages() {
    for name in skep_lang_c::headers::names() {
        let (mut sources, mut diags) = (Sources::new(), Diags::new());
        let text = format!("#include <{name}>\n");
        let main = MainFile { name: "main.c", text: text.as_bytes() };
        preprocess(&main, &Options::default(), &Files::default(), &mut sources, &mut diags);
        assert!(diags.list().is_empty(), "{name}: {}", diags.render(&sources, false));
    }
}

#[test]
fn any_bytes_are_preprocessed() {
    let pieces: Vec<&str> = "#define |#undef |#include |#if |#ifdef |#elif |#else\n|#endif\n|#pragma |#line |_Pragma(\"once\")|\
        F(|F|G|x|y|)|(|,|##|#|__VA_ARGS__|__VA_OPT__(|...|\n|\\\n| |\"a\"|'b'|1|0x|+|<|>|<stdint.h>|\"f\"|defined |/*|*/|//|?|:|\
        __LINE__|__COUNTER__|__has_include(|u8|L|\\|\u{e9}|unroll|pack(|push_macro(|once|clang attribute push"
        .split('|')
        .collect();
    skep_random::random_test(|u| {
        let mut text = Vec::new();
        for _ in 0..u.arbitrary_len::<u16>()?.min(300) {
            if u.ratio(1, 20)? {
                text.push(u.arbitrary::<u8>()?);
            } else {
                text.extend(u.choose(&pieces)?.as_bytes());
            }
        }
        skep_lang_c::fuzz::preprocessor(&text);
        Ok(())
    })
    .budget_ms(1_000);
}
