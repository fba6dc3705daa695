//! Bodies of the fuzz targets, also run for a moment by the tests: arbitrary bytes in, a panic if a promise is broken.

mod compute;
pub mod generate;

use skep_diag::{Diagnostic, Severity, Span};

pub use compute::computing_script;

use crate::ast::Script;
use crate::visit::{Visitor, clear_spans, walk_script};
use crate::{format, format_text, parse};

/// Parses arbitrary text: neither panics nor hangs; places lie within the text; what parses without an error is printed
/// to a text that parses to the same tree, with and without comments.
///
/// # Panics
/// If one of these does not hold.
pub fn script(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (mut tree, diagnostics) = parse(&text);
    check_diagnostics(&diagnostics, &text);
    check_spans(&mut tree, &text);
    if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        assert!(format_text(&text).is_err());
        return;
    }
    let commented = format_text(&text).expect("it has no errors");
    let plain = format(&tree);
    clear_spans(&mut tree);
    for printed in [&plain, &commented] {
        let (mut again, diagnostics) = parse(printed);
        clear_spans(&mut again);
        assert!(again == tree, "another tree\n{diagnostics:#?}\n--- text\n{text}\n--- printed\n{printed}");
    }
    assert_eq!(format_text(&commented).as_ref(), Ok(&commented), "formatting changes what is formatted:\n{text}");
}

/// Turns arbitrary bytes into text of mostly valid words, which gets deeper into the parser.
///
/// # Panics
/// As [`script`].
pub fn words(data: &[u8]) {
    let mut text = String::new();
    for byte in data {
        text.push_str(WORDS[usize::from(*byte) % WORDS.len()]);
        text.push(if byte % 7 == 0 { '\n' } else { ' ' });
    }
    script(text.as_bytes());
    desugar(text.as_bytes());
}

fn check_diagnostics(diagnostics: &[Diagnostic], text: &str) {
    for diagnostic in diagnostics {
        assert!(text.get(diagnostic.span.range()).is_some(), "{diagnostic:?} lies outside of the text");
        assert!(!diagnostic.message.is_empty());
    }
}

/// Every place in the tree lies within the text, on boundaries of characters.
fn check_spans(tree: &mut Script, text: &str) {
    struct Checker<'t>(&'t str);
    impl Visitor for Checker<'_> {
        fn span(&mut self, span: &mut Span) {
            assert!(self.0.get(span.range()).is_some(), "{span:?} lies outside of the text");
        }
    }
    walk_script(&mut Checker(text), tree);
}

// TABLE
/// Words for [`words`].
const WORDS: &[&str] = &[
    "begin {",
    "}",
    "{",
    "}",
    "(",
    ")",
    "(",
    ")",
    "[",
    "]",
    ";",
    ";",
    ",",
    ":",
    ".",
    "->",
    "..",
    "=",
    "+=",
    "++",
    "--",
    "+",
    "-",
    "*",
    "/",
    "%",
    "&",
    "|",
    "^",
    "~",
    "!",
    "<",
    ">",
    "<<",
    ">=",
    "==",
    "&&",
    "||",
    "?",
    "kprobe:f",
    "tracepoint:a:b",
    "uprobe:/bin/sh:main",
    "profile:hz:99",
    "usdt:\"a b\":c",
    "macro",
    "fn",
    "let",
    "if",
    "else",
    "for",
    "while",
    "unroll",
    "return",
    "break",
    "continue",
    "import \"a\"",
    "config = {",
    "comptime",
    "sizeof(",
    "offsetof(",
    "typeof(",
    "typeinfo(",
    "find(",
    "container_of(",
    "strstr(",
    "str_concat(",
    "memcmp(",
    "comm(",
    "debugf(",
    "&$a",
    "&@m",
    "fn f($a : string[8], $b : (int8, string)) : string[16] {",
    "struct",
    "union",
    "enum",
    "typedef",
    "int",
    "unsigned",
    "uint8",
    "string",
    "$a",
    "$b",
    "@",
    "@m",
    "@m[",
    "$1",
    "$#",
    "1",
    "0x2a",
    "5ms",
    "1e6",
    "\"text\"",
    "a",
    "b",
    "pid",
    "arg0",
    "args",
    "true",
    "_ =",
    "count()",
    "f(",
    "#define A 1\n",
    "#ifdef A\n",
    "#include <a>\n",
    "// note\n",
    "/* note */",
    "__attribute__((packed))",
    "$",
    "'",
    "\"",
    "begin { $a = ",
    "; }",
    "struct s { int a; };",
    "(struct s *)",
    "({",
    "})",
    "if a {",
    "} else {",
];

/// Simplifies arbitrary text with all passes and lays out its types: neither panics nor hangs.
///
/// # Panics
/// If a promise is broken.
pub fn desugar(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let params = ["1".to_owned(), "text".to_owned()];
    let done = crate::desugar(&text, &crate::Options { params: &params, ..crate::Options::default() });
    check_diagnostics(&done.diagnostics, &text);
    for point in done.script.probes.iter().flat_map(|probe| &probe.points) {
        if let Ok(point) = crate::providers::parse_point(point, true) {
            assert!(!point.to_string().is_empty());
        }
    }
    let (types, diagnostics) = crate::ctypes::collect(&done.script.definitions, &crate::ctypes::NoTypes);
    check_diagnostics(&diagnostics, &text);
    for composite in types.composites.values() {
        assert!(composite.align.is_power_of_two() && composite.size.is_multiple_of(composite.align));
        for place in &composite.members {
            assert!(place.offset <= composite.size);
        }
    }
}

#[cfg(test)]
mod tests {
    /// Runs a body with arbitrary bytes for half a second.
    fn run(body: fn(&[u8])) {
        skep_random::random_test(|u| {
            body(u.arbitrary()?);
            Ok(())
        })
        .budget_ms(500);
    }

    #[test]
    fn arbitrary_bytes() {
        run(super::script);
    }

    #[test]
    fn arbitrary_words() {
        run(super::words);
    }

    #[test]
    fn arbitrary_passes() {
        run(super::desugar);
    }
}
