//! Bodies of the fuzz targets, also run for a moment by the tests: arbitrary bytes in, a panic if a promise is broken.

use crate::ast::{Ast, NodeKind};
use crate::parse::{self, Compat, ParseContext};
use skep_diag::{Diagnostic, Span};

/// Parses arbitrary text: neither panics nor hangs; places lie within the text, on character boundaries; children
/// precede their parents, each has one parent, and a second parse gives the same tree.
///
/// # Panics
/// If one of these does not hold.
pub fn parse(data: &[u8]) {
    let (compat, data) = match data.split_first() {
        Some((first, rest)) if first % 2 == 1 => (Compat::V1_10, rest),
        Some((_, rest)) => (Compat::V1_11, rest),
        None => (Compat::V1_11, data),
    };
    let source = String::from_utf8_lossy(data);
    let ctx = ParseContext { compat };
    match parse::parse(&source, &ctx) {
        Ok(parsed) => {
            check_tree(&parsed.ast, &source);
            check_diagnostics(&parsed.warnings, &source);
            assert!(parsed.warnings.len() <= parse::MAX_WARNINGS);
            assert_eq!(parse::parse(&source, &ctx).as_ref(), Ok(&parsed));
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            check_diagnostics(&errors, &source);
        }
    }
}

/// Turns arbitrary bytes into text of mostly valid words, which gets deeper into the parser, and parses that.
///
/// # Panics
/// As [`parse()`].
pub fn parse_words(data: &[u8]) {
    let mut text = vec![0];
    for byte in data {
        let word = usize::from(*byte);
        let words = WORDS.len() + crate::lex::words::WORDS.len();
        let word = word % words;
        let word = WORDS.get(word).copied().unwrap_or_else(|| crate::lex::words::WORDS[word - WORDS.len()].0);
        text.extend_from_slice(word.as_bytes());
        text.push(b' ');
    }
    parse(&text);
}

/// Reads arbitrary text as a set file, each line of it as an id, and as the system's tables.
///
/// # Panics
/// If a place is wrong, or an id is accepted that does not stand alone in an expression.
pub fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    crate::names::read_tables(&text);
    let entries = match crate::names::parse_set("set", &text) {
        Ok(entries) => entries,
        Err(error) => {
            let lines = u32::try_from(text.lines().count()).expect("the input is short");
            assert!(error.line.is_some_and(|line| (1..=lines).contains(&line)), "{error}");
            return;
        }
    };
    let ctx = ParseContext::default();
    for entry in entries {
        assert!(!entry.text.is_empty() && !entry.text.contains(char::is_whitespace));
        if parse::parse_id(&entry.text, &ctx).is_err() {
            continue;
        }
        let whole = parse::parse(&format!("net {}", entry.text), &ctx);
        let single = whole.map_or(true, |parsed| parsed.ast.nodes.len() == 1);
        assert!(single, "{:?} is more than one id", entry.text);
    }
}

/// Words besides the keywords.
const WORDS: &[&str] = &[
    "(",
    ")",
    "(",
    ")",
    "and",
    "or",
    "not",
    "and",
    "or",
    "!",
    "80",
    "1",
    "0x10",
    "4",
    "10.0.0.1",
    "10.1",
    "/",
    "mask",
    "::1",
    "fe80::",
    "aa:bb:cc:dd:ee:ff",
    "$1f",
    "name",
    "80-90",
    "\\tcp",
    "[",
    "]",
    ":",
    "=",
    "!=",
    "<",
    ">=",
    "+",
    "-",
    "*",
    "%",
    "^",
    "&",
    "|",
    "<<",
    "tcp",
    "tcp[",
    "host",
    "port",
    "net",
    "src",
    "mark",
    "tcp6[",
    "@file",
    "tcp-syn",
    "é",
];

fn check_span(span: Span, source: &str) {
    assert!(source.get(span.range()).is_some(), "{span:?} is not a part of the text of {} bytes", source.len());
}

fn check_diagnostics(diagnostics: &[Diagnostic], source: &str) {
    for diagnostic in diagnostics {
        check_span(diagnostic.span, source);
        assert!(!diagnostic.message.is_empty());
        let rendered = skep_diag::render(diagnostic, "expression", source, false);
        assert!(rendered.lines().all(|line| !line.chars().any(char::is_control)), "{rendered:?}");
    }
}

fn check_tree(ast: &Ast, source: &str) {
    let mut parents = vec![0_u32; ast.nodes.len()];
    for (at, node) in ast.nodes.iter().enumerate() {
        check_span(node.span, source);
        let children = match node.kind {
            NodeKind::And(a, b) | NodeKind::Or(a, b) => vec![a, b],
            NodeKind::Not(a) => vec![a],
            NodeKind::Primitive(_) => Vec::new(),
        };
        for child in children {
            let child = usize::try_from(child.0).expect("indices are 32 bits");
            assert!(child < at, "node {at} has the child {child}");
            parents[child] += 1;
        }
    }
    if let Some(root) = ast.root {
        parents[usize::try_from(root.0).expect("indices are 32 bits")] += 1;
    }
    assert!(parents.iter().all(|&count| count == 1), "a node has no parent or several");
}

#[cfg(test)]
mod tests {
    use skep_random::random_test;

    #[test]
    fn parse_arbitrary_bytes() {
        random_test(|u| {
            let len = u.arbitrary_len::<u8>()?;
            super::parse(u.bytes(len)?);
            Ok(())
        })
        .budget_ms(1000);
    }

    #[test]
    fn names_from_arbitrary_bytes() {
        random_test(|u| {
            let len = u.arbitrary_len::<u8>()?;
            super::names(u.bytes(len)?);
            Ok(())
        })
        .budget_ms(1000);
    }

    #[test]
    fn parse_arbitrary_words() {
        random_test(|u| {
            let len = u.arbitrary_len::<u8>()?.min(64);
            super::parse_words(u.bytes(len)?);
            Ok(())
        })
        .budget_ms(1000);
    }
}
