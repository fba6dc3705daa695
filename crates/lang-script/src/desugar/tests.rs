//! Tests of the passes: what a script becomes, and what is said about mistakes.

use std::collections::HashMap;

use super::*;

fn with<'a>(text: &str, options: &Options<'a>) -> Desugared {
    desugar(text, options)
}

/// The simplified script as text.
fn simple(text: &str) -> String {
    let done = with(text, &Options::default());
    assert!(!done.has_errors(), "{text}: {:#?}", done.diagnostics);
    assert!(done.script.macros.is_empty());
    one_line(&done)
}

fn one_line(done: &Desugared) -> String {
    crate::format(&done.script).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The messages and remedies for a script with mistakes.
fn messages(text: &str) -> String {
    let done = with(text, &Options::default());
    let all = done.diagnostics.iter().map(|d| format!("{}; {}", d.message, d.help.join("; ")));
    all.collect::<Vec<_>>().join("\n")
}

#[test]
fn constants_stand_for_their_values() {
    // TABLE
    for (text, expected) in [
        ("#define A 5\nbegin { $x = A; }", "#define A 5 begin { $x = 5; }"),
        ("#define A (1 + 2)\nbegin { $x = A * 2; }", "#define A (1 + 2) begin { $x = (1 + 2) * 2; }"),
        ("#define A B\n#define B 7\nbegin { $x = A; }", "#define A B #define B 7 begin { $x = 7; }"),
        ("#define A A\nbegin { $x = A; }", "#define A A begin { $x = A; }"),
        ("#define T struct s *\nbegin { $x = (T)1; }", "#define T struct s * begin { $x = (struct s *)1; }"),
        ("#define P printf\nbegin { P(\"x\"); }", "#define P printf begin { printf(\"x\"); }"),
        ("#define N 4\nbegin { $x = sizeof(N); }", "#define N 4 begin { $x = sizeof(4); }"),
        ("#define N 4\nbegin { $x = (N) * 2; }", "#define N 4 begin { $x = 4 * 2; }"),
        ("#define S \"a b\" // c\nbegin { $x = S; }", "#define S \"a b\" begin { $x = \"a b\"; }"),
        ("#define A 1\n#undef A\nbegin { $x = A; }", "begin { $x = A; }"),
    ] {
        assert_eq!(simple(text), expected, "{text}");
    }
    assert!(messages("#define A\nbegin { $x = A; }").contains("`A` stands for nothing"));
    assert!(messages("#define A 1 + 2\nbegin { $x = A; }").contains("`#define A (1 + 2)`"));
}

#[test]
fn conditions_of_the_preprocessor() {
    // TABLE
    for (text, expected) in [
        ("#ifdef BPFTRACE_HAVE_BTF\n#define A 1\n#else\n#define A 2\n#endif\n", "#define A 1"),
        ("#ifndef BPFTRACE_HAVE_BTF\n#include <linux/sched.h>\nstruct s { int a; };\n#endif\n", ""),
        ("#if defined(X) || 0\n#define A 1\n#elif 2 > 1\n#define A 2\n#else\n#define A 3\n#endif", "#define A 2"),
        ("#define X 3\n#if X == 3 && !defined(Y)\n#define A 1\n#endif", "#define X 3 #define A 1"),
        ("#if 0\n#if 1\n#define A 1\n#else\n#define B 1\n#endif\n#endif", ""),
        ("#if 0\n#nonsense\n#error no\n#endif", ""),
        ("#pragma once", ""),
    ] {
        assert_eq!(simple(text), expected, "{text}");
    }
    for (text, part) in [
        ("#if 1", "not closed"),
        ("#endif", "has no `#if`"),
        ("#if 1\n#else\n#else\n#endif", "has no `#if`"),
        ("#if 1 / 0\n#endif", "divides by 0"),
        ("#define A A\n#if A\n#endif", "defined by itself"),
        ("#nonsense", "`#nonsense` is not known"),
        ("#error stop here", "stop here"),
    ] {
        assert!(messages(text).contains(part), "{text}: {}", messages(text));
    }
}

#[test]
fn positional_parameters() {
    let params = ["7", "-3", "vfs_read", "0x10", "/bin/sh"].map(str::to_owned);
    let options = Options { params: &params, ..Options::default() };
    // TABLE
    for (text, expected) in [
        ("begin { $x = $1 + $2; }", "begin { $x = 7 + -3; }"),
        ("begin { $x = $3; $y = $4; }", "begin { $x = \"vfs_read\"; $y = 16; }"),
        ("begin { $x = str($1); $y = str($3 + 4); }", "begin { $x = \"7\"; $y = \"read\"; }"),
        ("begin { $x = str($3, 2); $y = str($9); }", "begin { $x = str(\"vfs_read\", 2); $y = \"\"; }"),
        ("begin { $x = $9; $y = $#; }", "begin { $x = 0; $y = 5; }"),
        ("kprobe:$3, uprobe:$5:f_$1 { }", "kprobe:vfs_read, uprobe:/bin/sh:f_7 { }"),
        ("begin { $x = str($3 + 400); }", "begin { $x = \"\"; }"),
    ] {
        let done = with(text, &options);
        assert!(done.diagnostics.is_empty(), "{text}: {:#?}", done.diagnostics);
        assert_eq!(one_line(&done), expected, "{text}");
    }
    assert!(messages("kprobe:$1 { }").contains("the script has no argument 1"));
}

#[test]
fn macros_are_replaced() {
    // TABLE
    for (text, expected) in [
        ("macro one { 1 } begin { $x = one; }", "begin { $x = 1; }"),
        ("macro one() { 1 } begin { $x = one + one(); }", "begin { $x = 1 + 1; }"),
        ("macro twice(x) { (x) * 2 } begin { $x = twice(1 + 2); }", "begin { $x = (1 + 2) * 2; }"),
        ("macro twice(x) { x + x } begin { $x = twice(twice(1)); }", "begin { $x = 1 + 1 + (1 + 1); }"),
        ("macro inc($v) { $v += 1; } begin { $a = 1; inc($a); }", "begin { $a = 1; ({ $a += 1; }); }"),
        ("macro n(@m) { len(@m) } begin { $x = n(@a); }", "begin { $x = len(@a); }"),
        ("macro put(@m, k) { @m[k] = 1; } begin { put(@a, pid); }", "begin { ({ @a[pid] = 1; }); }"),
        (
            "macro each(@m) { for ($kv : @m) { print($kv); } } begin { each(@a); }",
            "begin { ({ for ($kv#1 : @a) { print($kv#1); } }); }",
        ),
        (
            "macro size(T) { sizeof(T) } begin { $x = size(typeof(uint64)); $y = size(1 + 2); }",
            "begin { $x = sizeof(typeof(uint64)); $y = sizeof(1 + 2); }",
        ),
        ("macro cast(T, e) { (T)e } begin { $x = cast(uint8, 1); }", "begin { $x = (uint8)1; }"),
        (
            "macro f($v) { 1 } macro f(@m) { 2 } macro f(e) { 3 } macro f(a, b) { 4 } \
          begin { $a = 0; $x = (f($a), f(@m), f(pid), f(1, 2)); }",
            "begin { $a = 0; $x = (1, 2, 3, 4); }",
        ),
        (
            "macro outer(x) { inner(x) + 1 } macro inner(x) { x * 2 } begin { $x = outer(3); }",
            "begin { $x = 3 * 2 + 1; }",
        ),
        (
            "macro outer { $v = 1; inner($v) } macro inner($w) { $v = 2; $w + $v } begin { $x = outer; }",
            "begin { $x = { $v#1 = 1; { $v#2 = 2; $v#1 + $v#2 } }; }",
        ),
        ("macro f(e) { 1 } begin { $f = args.f; f(1); @f = f; }", "begin { $f = args.f; 1; @f = f; }"),
    ] {
        assert_eq!(simple(text), expected, "{text}");
    }
}

#[test]
fn a_macro_does_not_touch_the_caller() {
    let text = simple("macro m(x) { $t = x; $t + 1 } begin { $t = 5; $y = m($t); }");
    assert_eq!(text, "begin { $t = 5; $y = { $t#1 = $t; $t#1 + 1 }; }");
    assert!(
        messages("macro m() { $t + 1 } begin { }")
            .contains("`$t` is not the macro's own; make it a parameter: `macro m($t)`")
    );
    assert!(messages("macro m() { @t = 1; } begin { }").contains("`@t` is not the macro's own"));
}

#[test]
fn mistakes_with_macros() {
    // TABLE
    for (text, part) in [
        ("macro a() { a() } begin { a(); }", "the macro `a` uses itself"),
        (
            "macro a() { b() } macro b() { a() } begin { a(); }",
            "in the macro `b`, used at 1:45; in the macro `a`, used at 1:45",
        ),
        (
            "macro a($v) { 1 } begin { a(1); }",
            "no macro `a` fits these arguments; there is `a($v)`; `$x` takes a variable",
        ),
        ("macro a(x) { 1 } macro a(y) { 2 } begin { }", "there is a macro `a` like this already"),
        ("macro a(x, x) { 1 } begin { }", "two parameters have the same name"),
    ] {
        assert!(messages(text).contains(part), "{text}: {}", messages(text));
    }
    let options = Options { builtin: &|name| name == "len", ..Options::default() };
    let done = with("macro len($v) { 1 } begin { $x = len(@m); }", &options);
    assert!(done.diagnostics.is_empty());
    assert_eq!(one_line(&done), "begin { $x = len(@m); }");
}

#[test]
fn explosions_end() {
    let mut text = String::from("macro m0(x) { x + x }\n");
    for level in 1..60 {
        text.push_str(&format!("macro m{level}(x) {{ m{}(x + x) }}\n", level - 1));
    }
    text.push_str("begin { $x = m59(1); }");
    assert!(messages(&text).contains("make this script too large"));
    let mut text = String::new();
    for level in 0..60 {
        text.push_str(&format!("#define C{level} (C{} + C{})\n", level + 1, level + 1));
    }
    text.push_str("begin { $x = C0; }");
    assert!(messages(&text).contains("make this script too large"));
    let mut text = String::new();
    for level in 0..1_000 {
        text.push_str(&format!("macro m{level}() {{ -m{}() }}\n", level + 1));
    }
    text.push_str("begin { $x = m0(); }");
    assert!(messages(&text).contains("make this script too large"));
}

struct Files(HashMap<&'static str, &'static str>);

impl Loader for Files {
    fn load(&self, _: &str, path: &str) -> Result<Vec<Loaded>, String> {
        let kind = match path {
            path if path.ends_with(".bpf.c") => FileKind::Program,
            path if path.ends_with(".h") => FileKind::Header,
            _ => FileKind::Script,
        };
        let text = self.0.get(path).ok_or_else(|| format!("there is no file `{path}`"))?;
        Ok(vec![Loaded { path: path.to_owned(), kind, text: (*text).to_owned() }])
    }
}

#[test]
fn imports_are_merged() {
    let files = Files(HashMap::from([
        ("a.bt", "import \"b.bt\";\nimport \"types.h\";\nmacro two { one + 1 }\nend { print(two); }"),
        ("b.bt", "import \"a.bt\";\nmacro one { 1 }"),
        ("types.h", "#define N 3\nstruct s { int a[N]; };"),
        ("prog.bpf.c", "int x;"),
        ("config.bt", "config = { a = 1 }"),
        ("wrong.bt", "begin { $x = ; }"),
    ]));
    let options = Options { loader: &files, name: "main.bt", ..Options::default() };
    let done = with("import \"a.bt\";\nimport \"prog.bpf.c\";\nimport \"a.bt\";\nbegin { $x = two + N; }", &options);
    assert!(done.diagnostics.is_empty(), "{:#?}", done.diagnostics);
    let text = one_line(&done);
    assert!(text.starts_with("#define N 3 struct s { int a[3]; };"), "{text}");
    assert!(text.contains("begin { $x = 1 + 1 + 3; }") && text.contains("end { print(1 + 1); }"), "{text}");
    assert_eq!(done.programs.len(), 1);

    let done = with("import \"wrong.bt\";\nimport \"config.bt\";\nimport \"none.bt\";\nbegin { }", &options);
    let shown: Vec<String> = done.diagnostics.iter().map(|d| done.sources.render(d, false)).collect();
    let shown = shown.join("\n");
    assert!(shown.contains("expected an expression") && shown.contains("wrong.bt:1:14"), "{shown}");
    assert!(shown.contains("an imported script has no config block") && shown.contains("config.bt:1:12"), "{shown}");
    assert!(shown.contains("there is no file `none.bt`") && shown.contains("main.bt:3:8"), "{shown}");
}
