//! Rules for documents: every path that a Markdown file names must exist.

use std::path::Path;

use crate::tidy::Findings;

/// A name in backticks that begins with one of these is taken for a path from the root.
const ROOTS: &[&str] = &["crates/", "xtask/", "fuzz/", "docs/", "benches/", "tools/", ".ci/", ".cargo/"];

/// A single name in backticks that ends with one of these is taken for a file.
const EXTENSIONS: &[&str] = &[".md", ".toml", ".rs"];

/// Rules for one Markdown file, whose relative links count from its own directory.
pub fn check(root: &Path, name: &str, text: &str, findings: &mut Findings) {
    let directory = Path::new(name).parent().unwrap_or(Path::new(""));
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        for path in quoted(line) {
            if !root.join(path).exists() && !root.join(directory).join(path).exists() {
                findings.error(format!("{name}:{}: `{path}` does not exist", index + 1));
            }
        }
        for target in links(line) {
            if !root.join(directory).join(target).exists() {
                findings.error(format!("{name}:{}: the link to `{target}` leads nowhere", index + 1));
            }
        }
    }
}

/// The paths in backticks of a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|span| {
        let plain = span.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c));
        let rooted = ROOTS.iter().any(|start| span.starts_with(start));
        let file = EXTENSIONS.iter().any(|end| span.ends_with(end) && span.len() > end.len());
        plain && (rooted || file)
    })
}

/// The targets of links to files, without anchors.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', '#']).next()?;
        (!target.is_empty() && !target.contains("://")).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_must_exist() {
        let root = crate::tidy::root();
        let errors = |text: &str| {
            let mut findings = Findings::default();
            check(&root, "README.md", text, &mut findings);
            findings.errors
        };
        assert_eq!(errors("see `xtask/src/main.rs`, `Cargo.toml`, `crates/isa`, `a / b`, `.rs`, `N/A`"), [""; 0]);
        assert_eq!(
            errors("see [the manifest](Cargo.toml#x), [elsewhere](https://docs.rs/x) and [here](#here)"),
            [""; 0]
        );
        assert_eq!(errors("see `crates/nosuch/src/lib.rs`").len(), 1);
        assert_eq!(errors("see `nosuch.md`").len(), 1);
        assert_eq!(errors("see [x](nosuch/file)").len(), 1);
        assert_eq!(errors("```\n`crates/nosuch`\n```\n"), [""; 0]);
    }
}
