//! Tests of the parser: what texts become, what is said about mistakes, and limits.

use std::fs;
use std::path::Path;

use super::*;
use crate::ast::{ExprKind, StmtKind};
use crate::{desugar, format, providers};

/// The first statement of a probe with this body, as canonical text with all parentheses that matter.
fn expr(text: &str) -> Expr {
    let (script, diagnostics) = parse(&format!("begin {{ $x = {text}; }}"));
    assert!(diagnostics.is_empty(), "{text}: {diagnostics:#?}");
    match &script.probes[0].body[0].node {
        StmtKind::Assign { value, .. } => value.clone(),
        other => panic!("{other:?}"),
    }
}

use crate::ast::Expr;

/// The structure of an expression, every operator in parentheses.
fn shape(expr: &Expr) -> String {
    match &expr.node {
        ExprKind::Int { value, unsigned } => format!("{value}{}", if *unsigned { "u" } else { "" }),
        ExprKind::Text(text) => format!("{text:?}"),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Positional(number) => format!("${number}"),
        ExprKind::PositionalCount => "$#".into(),
        ExprKind::Variable(name) | ExprKind::Map(name) | ExprKind::Ident(name) => name.to_string(),
        ExprKind::Index { base, keys } => format!("{}[{}]", shape(base), shapes(keys)),
        ExprKind::Call { name, args } => format!("{}({})", name.node, shapes(args)),
        ExprKind::Field { base, field } => format!("{}.{}", shape(base), field.node),
        ExprKind::TupleField { base, index } => format!("{}.{index}", shape(base)),
        ExprKind::Unary { op, operand } => format!("({op:?} {})", shape(operand)),
        ExprKind::Step { target, up, postfix } => {
            let sign = if *up { "++" } else { "--" };
            if *postfix { format!("({}{sign})", shape(target)) } else { format!("({sign}{})", shape(target)) }
        }
        ExprKind::Binary { op, left, right } => format!("({} {} {})", shape(left), op.text(), shape(right)),
        ExprKind::Ternary { cond, yes, no } => {
            format!("({} ? {} : {})", shape(cond), yes.as_ref().map_or("-".into(), |yes| shape(yes)), shape(no))
        }
        ExprKind::Cast { ty, operand } => format!("cast<{}>({})", type_shape(ty), shape(operand)),
        ExprKind::Tuple(items) => format!("tuple({})", shapes(items)),
        ExprKind::Record(fields) => {
            let list: Vec<String> =
                fields.iter().map(|(name, value)| format!("{}={}", name.node, shape(value))).collect();
            format!("record({})", list.join(", "))
        }
        ExprKind::Comptime(inner) => format!("comptime({})", shape(inner)),
        ExprKind::Sizeof(of) => format!("sizeof<{}>", of_shape(of)),
        ExprKind::Typeinfo(of) => format!("typeinfo<{}>", of_shape(of)),
        ExprKind::Offsetof { of, path } => {
            let path: Vec<&str> = path.iter().map(|name| &*name.node).collect();
            format!("offsetof<{}, {}>", of_shape(of), path.join("."))
        }
        ExprKind::Type(ty) => format!("type<{}>", type_shape(ty)),
        ExprKind::If { cond, yes, no, .. } => format!("if({}, {}, {})", shape(cond), shape(yes), shape(no)),
        ExprKind::Block { body, value } => {
            format!("block({}, {})", body.len(), value.as_ref().map_or("-".into(), |value| shape(value)))
        }
    }
}

fn shapes(exprs: &[Expr]) -> String {
    exprs.iter().map(shape).collect::<Vec<_>>().join(", ")
}

fn of_shape(of: &crate::ast::TypeOrExpr) -> String {
    match of {
        crate::ast::TypeOrExpr::Type(ty) => format!("type {}", type_shape(ty)),
        crate::ast::TypeOrExpr::Expr(expr) => shape(expr),
    }
}

fn type_shape(ty: &crate::ast::TypeExpr) -> String {
    use crate::ast::TypeKind;
    match &ty.node {
        TypeKind::Named(name) => name.to_string(),
        TypeKind::Struct(name) => format!("struct {name}"),
        TypeKind::Union(name) => format!("union {name}"),
        TypeKind::Enum(name) => format!("enum {name}"),
        TypeKind::Pointer(inner) => format!("{}*", type_shape(inner)),
        TypeKind::Array(inner, size) => {
            format!("{}[{}]", type_shape(inner), size.as_ref().map_or(String::new(), |size| shape(size)))
        }
        TypeKind::Tuple(items) => format!("({})", items.iter().map(type_shape).collect::<Vec<_>>().join(", ")),
        TypeKind::Typeof(of) => format!("typeof<{}>", of_shape(of)),
    }
}

#[test]
fn precedence() {
    // TABLE
    for (text, expected) in [
        ("1 + 2 * 3 - 4", "((1 + (2 * 3)) - 4)"),
        ("1 << 2 + 3 < 4", "((1 << (2 + 3)) < 4)"),
        ("1 | 2 ^ 3 & 4 == 5", "(1 | (2 ^ (3 & (4 == 5))))"),
        ("1 || 2 && 3 | 4", "(1 || (2 && (3 | 4)))"),
        ("1 < 2 == 3 >= 4", "((1 < 2) == (3 >= 4))"),
        ("1 - 2 - 3", "((1 - 2) - 3)"),
        ("1 ? 2 : 3 ? 4 : 5", "(1 ? 2 : (3 ? 4 : 5))"),
        ("1 ?: 2", "(1 ? - : 2)"),
        ("1 || 0 ? 2 : 3", "((1 || 0) ? 2 : 3)"),
        ("-1 + !$a * ~2", "((Neg 1) + ((Not $a) * (BitNot 2)))"),
        ("-$a.b", "(Neg $a.b)"),
        ("*$p.x", "(Deref $p.x)"),
        ("&@m[1]", "(Address @m[1])"),
        ("- -1", "(Neg (Neg 1))"),
        ("$a++ + ++$b", "(($a++) + (++$b))"),
        ("$a---$b", "(($a--) - $b)"),
        ("$a->b->c.d", "$a.b.c.d"),
        ("$a.0.1[2]", "$a.0.1[2]"),
        ("args->x[1].y", "args.x[1].y"),
        ("args.struct", "args.struct"),
        ("comptime 1 + 2", "comptime((1 + 2))"),
        ("(comptime 1) + 2", "(comptime(1) + 2)"),
    ] {
        assert_eq!(shape(&expr(text)), expected, "{text}");
    }
}

#[test]
fn parentheses() {
    // TABLE
    for (text, expected) in [
        ("(1)", "1"),
        ("(1,)", "tuple(1)"),
        ("()", "tuple()"),
        ("(1, \"a\", (2, 3))", "tuple(1, \"a\", tuple(2, 3))"),
        ("(1, 2,)", "tuple(1, 2)"),
        ("(a = 1, b = (c = 2))", "record(a=1, b=record(c=2))"),
        ("(uint8)1 + 2", "(cast<uint8>(1) + 2)"),
        ("(uint8)-1", "cast<uint8>((Neg 1))"),
        ("(struct s *)arg0", "cast<struct s*>(arg0)"),
        ("(struct s *)arg0.x", "cast<struct s*>(arg0.x)"),
        ("((struct s *)arg0)->x", "cast<struct s*>(arg0).x"),
        ("(int8[8])1", "cast<int8[8]>(1)"),
        ("(int32*[4]*)$a", "cast<int32*[4]*>($a)"),
        ("(foo)*$x", "cast<foo>((Deref $x))"),
        ("(foo)1", "cast<foo>(1)"),
        ("(foo)(1)", "cast<foo>(1)"),
        ("(foo) - 1", "(foo - 1)"),
        ("(foo) & 1", "(foo & 1)"),
        ("(foo)", "foo"),
        ("(foo) + 1", "(foo + 1)"),
        ("(foo *)$x", "cast<foo*>($x)"),
        ("(pid) * 2", "(pid * 2)"),
        ("(arg0) * 2", "(arg0 * 2)"),
        ("(foo * 2)", "(foo * 2)"),
        ("(foo[1])", "foo[1]"),
        ("(unsigned long long)1", "cast<unsigned long long>(1)"),
        ("(long unsigned int)1", "cast<unsigned long>(1)"),
        ("(const char *)1", "cast<char*>(1)"),
        ("(typeof($a))1", "cast<typeof<$a>>(1)"),
        ("((int8, uint16))$t", "cast<(int8, uint16)>($t)"),
        ("((a, b))", "tuple(a, b)"),
        ("sizeof(uint64)", "sizeof<type uint64>"),
        ("sizeof(struct s)", "sizeof<type struct s>"),
        ("sizeof($a + 1)", "sizeof<($a + 1)>"),
        ("sizeof(foo)", "sizeof<type foo>"),
        ("sizeof((foo))", "sizeof<foo>"),
        ("sizeof(pid)", "sizeof<pid>"),
        ("sizeof((struct s *)1)", "sizeof<cast<struct s*>(1)>"),
        ("offsetof(struct s, a.b)", "offsetof<type struct s, a.b>"),
        ("offsetof(*$p, a)", "offsetof<(Deref $p), a>"),
        ("typeinfo($x).btf_id", "typeinfo<$x>.btf_id"),
        ("f(typeof(uint8), struct s)", "f(type<typeof<type uint8>>, type<struct s>)"),
    ] {
        assert_eq!(shape(&expr(text)), expected, "{text}");
    }
}

#[test]
fn blocks_as_values() {
    // TABLE
    for (text, expected) in [
        ("if $a { 1 } else { 2 }", "if($a, 1, 2)"),
        ("if ($a) { 1 } else if $b { 2 } else { 3 }", "if($a, 1, if($b, 2, 3))"),
        ("if $a { f(); 1 } else { 2 }", "if($a, block(1, 1), 2)"),
        ("if $a { if $b { 1 } else { 2 } } else { 3 }", "if($a, if($b, 1, 2), 3)"),
        ("{ 1 }", "block(0, 1)"),
        ("{ $y = 1; $y + 1 }", "block(1, ($y + 1))"),
        ("{ f(); }", "block(1, -)"),
        ("{ if $a { 1 } else { 2 } }", "block(0, if($a, 1, 2))"),
        ("{ if $a { 1 } }", "block(1, -)"),
        ("{ if $a { 1 } else { 2; } }", "block(1, -)"),
    ] {
        assert_eq!(shape(&expr(text)), expected, "{text}");
    }
}

#[test]
fn predicates_end_before_braces() {
    // TABLE
    for (text, expected) in [
        ("begin /1/ { }", "1"),
        ("begin /1 / 2/ { }", "(1 / 2)"),
        ("begin /1 / 2 / 3/{ }", "((1 / 2) / 3)"),
        ("begin /(1 / 2) / (3 / 4)/ // note\n { }", "((1 / 2) / (3 / 4))"),
        ("begin /@m[1 / 2] == f(1 / 2)/ { }", "(@m[(1 / 2)] == f((1 / 2)))"),
        ("kprobe:f/pid/{ }", "pid"),
        ("uprobe:/bin/sh:f/pid/{ }", "pid"),
        ("uprobe:/bin/sh:f /pid/{ }", "pid"),
        ("begin / *$x/ { }", "(Deref $x)"),
    ] {
        let (script, diagnostics) = parse(text);
        assert!(diagnostics.is_empty(), "{text}: {diagnostics:#?}");
        assert_eq!(shape(script.probes[0].predicate.as_ref().expect(text)), expected, "{text}");
    }
}

#[test]
fn attach_points() {
    let text =
        "a=BEGIN, K:vfs_read, uprobe:/lib/*/x,y:f { }\nuprobe:a:cpp:\"n::f(int, \\\"x\\\")\",\nusdt:/a//b:c,\n{ }";
    let (script, diagnostics) = parse(text);
    assert!(!diagnostics.is_empty(), "`K` is no alias, `y` no probe type");
    let points: Vec<String> =
        script.probes.iter().flat_map(|probe| &probe.points).map(|p| p.node.parts.join("|")).collect();
    assert_eq!(points, ["", "vfs_read", "/lib/*/x", "f", "a|cpp|n::f(int, \"x\")", "/a//b|c"]);
    assert_eq!(script.probes[0].name.as_ref().map(|name| &*name.node), Some("a"));
}

#[test]
fn scripts_are_understood() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    for entry in fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("it can be read").path();
        let text = fs::read_to_string(&path).expect("it is text");
        // Imports of these scripts name files that do not exist.
        let text = text.replace("import \"lib/helpers.bt\";", "");
        let params = ["/bin/sh".to_owned(), "2".to_owned()];
        let done = desugar(&text, &crate::Options { params: &params, ..crate::Options::default() });
        assert!(done.diagnostics.is_empty(), "{}: {:#?}", path.display(), done.diagnostics);
        for point in done.script.probes.iter().flat_map(|probe| &probe.points) {
            assert!(providers::parse_point(point, false).is_ok(), "{}: {:?}", path.display(), point.node);
        }
    }
}

/// Messages for mistakes, as files: `SKEP_UPDATE_GOLDEN=1` writes them anew.
#[test]
fn errors() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors");
    let mut count = 0;
    for entry in fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("it can be read").path();
        if path.extension().is_none_or(|extension| extension != "bt") {
            continue;
        }
        count += 1;
        let text = fs::read_to_string(&path).expect("it is text");
        let name = path.file_name().and_then(|name| name.to_str()).expect("names are text");
        let (_, diagnostics) = parse(&text);
        let shown: Vec<String> = diagnostics.iter().map(|d| skep_diag::render(d, name, &text, false)).collect();
        let shown = shown.join("\n");
        let golden = path.with_extension("txt");
        if std::env::var_os("SKEP_UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &shown).expect("it can be written");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(shown, expected, "{name}");
        for diagnostic in &diagnostics {
            assert!(!diagnostic.help.is_empty(), "{name}: {}", diagnostic.message);
        }
    }
    assert!(count >= 11, "the files are missing");
}

#[test]
fn depth_and_height_are_bounded() {
    let many = 100_000;
    for (open, inner, close) in [
        ("(", "1", ")"),
        ("-", "1", ""),
        ("++", "$a", ""),
        ("f(", "1", ")"),
        ("@m[", "1", "]"),
        ("{", "1", "}"),
        ("if 1 {", "1", "} else { 2 }"),
        ("1 ? 2 : ", "3", ""),
        ("comptime ", "1", ""),
        ("(uint8)", "1", ""),
        ("((a,", "1", "),)"),
        ("sizeof(", "1", ")"),
        ("(typeof(", "1", "))1"),
        ("1 + ", "1", ""),
        ("", "$a", ".b"),
        ("", "$a", "[1]"),
        ("(a[", "1", "])"),
        ("(struct s ", "", "*)1"),
    ] {
        let text = format!("begin {{ $x = {}{inner}{}; }}", open.repeat(many), close.repeat(many));
        let (_, diagnostics) = parse(&text);
        let message = &diagnostics.first().expect(open).message;
        assert!(
            message.contains("too deeply") || message.contains("too many operators") || open.starts_with("(struct"),
            "{open}: {message}"
        );
    }
    for (open, close) in [("if 1 {", "}"), ("{", "}"), ("while 1 {", "}"), ("if 1 { } else ", "if 1 { }")] {
        let text = format!("begin {{ {}{} }}", open.repeat(many), close.repeat(many));
        assert!(parse(&text).1[0].message.contains("too deeply"), "{open}");
    }
    let text = format!("struct s {{ {}int a;{} }};", "struct {".repeat(many), "} x;".repeat(many));
    assert!(parse(&text).1[0].message.contains("too deeply"));
    // What is allowed is handled by everything that walks trees.
    let sum = vec!["1"; 400].join(" + ");
    let text = format!("begin {{ $x = {}{sum}{}; }}", "(".repeat(60), ")".repeat(60));
    let (script, diagnostics) = parse(&text);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    assert!(format(&script).contains("1 + 1 + 1"));
}

#[test]
fn errors_are_bounded_and_time_is_linear() {
    let text = "begin { $a = ; }\n".repeat(20_000);
    assert_eq!(parse(&text).1.len(), MAX_ERRORS + 1);
    let begun = std::time::Instant::now();
    let units = [
        "begin { $a = (a) * 1; }\n",
        "begin /1 / 2/ { }\n",
        "/* x */ ",
        "#define A 1\n",
        "kprobe:f,",
        "\"",
        "(",
        "$",
        "a",
    ];
    for unit in units {
        let text = unit.repeat(1_000_000 / unit.len());
        let (_, diagnostics) = parse(&text);
        assert!(diagnostics.len() <= MAX_ERRORS + 1, "{unit}: {}", diagnostics.len());
    }
    assert!(begun.elapsed().as_secs() < 30, "took {:?}", begun.elapsed());
    assert!(parse(&" ".repeat(MAX_LENGTH + 1)).1[0].message.contains("is the limit"));
}
