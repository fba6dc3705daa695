//! Tests of the lexer.

use super::*;

fn kinds(text: &str) -> Vec<Kind> {
    let mut lexer = Lexer::new(text);
    let mut kinds = Vec::new();
    loop {
        match lexer.token().kind {
            Kind::End => break,
            kind => kinds.push(kind),
        }
    }
    assert!(lexer.diagnostics.is_empty(), "{text}: {:#?}", lexer.diagnostics);
    kinds
}

#[test]
fn numbers() {
    // TABLE
    for (text, value, unsigned) in [
        ("0", 0, false),
        ("42", 42, false),
        ("1_000_000", 1_000_000, false),
        ("0x2A", 42, false),
        ("0xdead_beef", 0xdead_beef, false),
        ("052", 42, false),
        ("0b10_1010", 42, false),
        ("1e6", 1_000_000, false),
        ("9e18", 9_000_000_000_000_000_000, false),
        ("1e0", 1, false),
        ("5u", 5, true),
        ("5l", 5, false),
        ("5UL", 5, true),
        ("5ll", 5, false),
        ("5ull", 5, true),
        ("0xffu", 255, true),
        ("1e3ul", 1_000, true),
        ("7ns", 7, true),
        ("7us", 7_000, true),
        ("7ms", 7_000_000, true),
        ("7s", 7_000_000_000, true),
        ("7m", 420_000_000_000, true),
        ("7h", 25_200_000_000_000, true),
        ("7d", 604_800_000_000_000, true),
        ("0x7d", 0x7d, false),
        ("18446744073709551615", u64::MAX, false),
    ] {
        assert_eq!(kinds(text), [Kind::Int { value, unsigned }], "{text}");
    }
    for text in
        ["18446744073709551616", "10e3", "0e3", "1e20", "089", "0x", "0b2", "5q", "1e", "999999999999d", "0x1ms", "5_q"]
    {
        assert!(number(text).is_err(), "{text}");
    }
}

#[test]
fn texts() {
    // TABLE
    for (text, expected) in [
        (r#""""#, ""),
        (r#""a\n\t\r\"\\""#, "a\n\t\r\"\\"),
        (r#""\0a""#, "\0a"),
        (r#""\101\7z""#, "A\u{7}z"),
        (r#""\x41\x7e\x4""#, "A~\u{4}"),
        (r#""\xc3\xa9""#, "é"),
        ("\"é // no comment\"", "é // no comment"),
    ] {
        assert_eq!(kinds(text), [Kind::Text(expected.into())], "{text}");
    }
}

#[test]
fn names_and_punctuation() {
    let names = [Kind::Word, Kind::Variable, Kind::Map, Kind::Map, Kind::Positional(12), Kind::PositionalCount];
    assert_eq!(kinds("a_1 $b @c @ $12 $#"), names);
    let punctuation = ["<<=", ">>", "->", "--", "..", ".", "&&", "&", "!=", "!", "..."];
    assert_eq!(kinds("<<= >> -> -- .. . && & != ! ..."), punctuation.map(Kind::Punct));
    assert_eq!(kinds("0..5").len(), 3);
    assert_eq!(kinds("#! not a line\n1 // x\n /* 2\n */ 3"), [1, 3].map(|value| Kind::Int { value, unsigned: false }));
}

#[test]
fn points_end_where_they_should() {
    // TABLE
    for (text, parts, rest) in [
        ("kprobe:f/x/", "kprobe|f", "/x/"),
        ("kprobe:f{", "kprobe|f", "{"),
        ("uprobe:/a/*b:f /x", "uprobe|/a/*b|f", " /x"),
        ("uprobe:\"a b\"c:\"d,e\",", "uprobe|a bc|d,e", ","),
        ("iter:task:/sys/x", "iter|task|/sys/x", ""),
        ("begin", "begin", ""),
        ("a:", "a|", ""),
    ] {
        let mut lexer = Lexer::new(text);
        let path = |name: &str| crate::providers::find(name).and_then(|provider| provider.path);
        let found: Vec<String> = lexer.point(path).0.into_iter().map(|(part, _)| part).collect();
        assert_eq!(found.join("|"), parts, "{text}");
        assert_eq!(&text[lexer.offset() as usize..], rest, "{text}");
    }
}

#[test]
fn lines_of_the_preprocessor() {
    // TABLE
    for (text, expected) in [
        ("define A 1 // x\nnext", "define A 1"),
        ("define A 1 /* x */ + 2", "define A 1   + 2"),
        ("define A \"// no\"", "define A \"// no\""),
        ("define A 1 + \\\n  2\nnext", "define A 1 +    2"),
        ("define A \\", "define A"),
    ] {
        assert_eq!(Lexer::new(text).line().0, expected, "{text}");
    }
}

#[test]
fn comments_are_kept_once() {
    let mut lexer = Lexer::new("// a\n1 /* b */ 2 // c\n");
    lexer.comments = Some(Vec::new());
    lexer.token();
    lexer.seek(0);
    while lexer.token().kind != Kind::End {}
    let comments: Vec<bool> = lexer.comments.unwrap_or_default().iter().map(|comment| comment.trailing).collect();
    assert_eq!(comments, [false, true, true]);
}
