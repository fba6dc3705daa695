//! Rules for source files: header, size, forbidden words, places of unsafe code.

use crate::tidy::Findings;

/// Lines above which a file gets a warning, and above which it is a violation.
const LONG: usize = 600;
const TOO_LONG: usize = 800;

/// A line with this comment exempts a file from the limit on its size: uniform rows stay pleasant at any length.
const TABLE_MARK: &str = "// TABLE";

/// The crates that may contain unsafe code.
const UNSAFE_CRATES: &[&str] = &["crates/kernel/", "crates/vm/", "crates/packet/"];

/// Placeholders for code that is missing, split so that this file does not contain them.
const PLACEHOLDERS: &[&str] = &[concat!("todo", "!("), concat!("unimplemented", "!(")];

/// Directories of somebody's machine, split for the same reason.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// The hosts that links may point to. Anything else is probably somebody's mirror or a document that will vanish.
const HOSTS: &[&str] = &[
    "github.com",
    "docs.kernel.org",
    "git.kernel.org",
    "www.kernel.org",
    "lore.kernel.org",
    "www.rfc-editor.org",
    "datatracker.ietf.org",
    "www.iana.org",
    "www.tcpdump.org",
    "www.apache.org",
    "docs.rs",
    "doc.rust-lang.org",
    "rust-fuzz.github.io",
    "no-color.org",
    "www.w3.org",
    "example.com",
];

/// Rules for one Rust file.
pub fn check(name: &str, text: &str, findings: &mut Findings) {
    if !text.starts_with("//!") {
        findings.error(format!("{name}: the first line must start with `//!` and say what lives in the file"));
    }
    let lines = text.lines().count();
    if lines > LONG && !text.contains(TABLE_MARK) {
        let message = format!("{name}: {lines} lines; split it, or mark a table with `{TABLE_MARK}`");
        if lines > TOO_LONG { findings.error(message) } else { findings.warn(message) }
    }
    let code = code_only(text);
    for (index, line) in code.lines().enumerate() {
        for placeholder in PLACEHOLDERS.iter().filter(|placeholder| line.contains(*placeholder)) {
            findings.error(format!("{name}:{}: `{placeholder}..)` is no code", index + 1));
        }
        if has_word(line, "unsafe") && !UNSAFE_CRATES.iter().any(|allowed| name.starts_with(allowed)) {
            let allowed = UNSAFE_CRATES.join(", ");
            findings.error(format!("{name}:{}: unsafe code is allowed only in {allowed}", index + 1));
        }
    }
}

/// Rules for every text file: nothing that is true only on one machine, no unknown hosts.
pub fn check_words(name: &str, text: &str, findings: &mut Findings) {
    for (index, line) in text.lines().enumerate() {
        for path in MACHINE_PATHS.iter().filter(|path| line.contains(*path)) {
            findings.error(format!("{name}:{}: `{path}` exists only on one machine", index + 1));
        }
        for host in hosts(line).filter(|host| !HOSTS.contains(host)) {
            findings.error(format!("{name}:{}: `{host}` is not among the hosts that links may point to", index + 1));
        }
    }
}

/// The host names of the links in a line.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.split("://")
        .skip(1)
        .zip(line.split("://"))
        .filter(|(_, before)| before.ends_with("http") || before.ends_with("https"))
        .map(|(after, _)| {
            let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-')).unwrap_or(after.len());
            &after[..end]
        })
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|part| part == word)
}

/// The text with the contents of comments and string literals blanked out; line numbers stay the same.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => string_length(rest),
            'r' if !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') => raw_string_length(rest),
            // A character literal that would look like the start of a string.
            '\'' if rest.starts_with("'\"'") => 3,
            '\'' if rest.starts_with("'\\\"'") => 4,
            _ => 0,
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// Length of the string literal at the start of the text, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the raw string literal at the start of the text, 0 if there is none.
fn raw_string_length(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 2 + hashes;
    text[start..].find(&end).map_or(text.len(), |at| start + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(name: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check(name, text, &mut findings);
        check_words(name, text, &mut findings);
        findings.errors
    }

    #[test]
    fn headers_and_sizes() {
        assert_eq!(errors("crates/isa/src/a.rs", "//! Says what.\nfn f() {}\n").len(), 0);
        assert_eq!(errors("crates/isa/src/a.rs", "fn f() {}\n").len(), 1);
        let long = format!("//! Long.\n{}", "\n".repeat(900));
        assert_eq!(errors("a.rs", &long).len(), 1);
        assert_eq!(errors("a.rs", &format!("{long}// TABLE: rows\n")).len(), 0);
        let mut findings = Findings::default();
        check("a.rs", &format!("//! Long.\n{}", "\n".repeat(650)), &mut findings);
        assert_eq!((findings.errors.len(), findings.warnings.len()), (0, 1));
    }

    #[test]
    fn unsafe_code_has_its_places() {
        let code = "//! Text.\nfn f() { unsafe { g() } }\n";
        assert_eq!(errors("crates/isa/src/a.rs", code).len(), 1);
        assert_eq!(errors("crates/vm/src/a.rs", code).len(), 0);
        let harmless = "//! Text.\n// unsafe\n/* unsafe */\n#![deny(unsafe_code)]\nlet s = \"unsafe \\\" unsafe\";\nlet r = r#\"unsafe\"#;\nlet c = '\"'; // unsafe\n";
        assert_eq!(errors("crates/isa/src/a.rs", harmless), [""; 0]);
    }

    #[test]
    fn placeholders_and_machines_are_found() {
        let placeholder = format!("//! Text.\nfn f() {{ {}) }}\n", PLACEHOLDERS[0]);
        assert_eq!(errors("a.rs", &placeholder).len(), 1);
        let path = format!("//! See {}x.\n", MACHINE_PATHS[0]);
        assert_eq!(errors("a.rs", &path).len(), 1);
        let link = |host: &str| format!("//! See {}//{host}/a and {}//example.com.\n", "https:", "http:");
        assert_eq!(
            errors("a.rs", &link("docs.kernel.org")),
            ["a.rs:1: `example.com.` is not among the hosts that links may point to"]
        );
        assert_eq!(errors("a.rs", &link("mirror.example")).len(), 2);
    }
}
