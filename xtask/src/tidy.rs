//! Collects the files of the repository, applies the rules to them and reports.
//!
//! The rules themselves are in `dependencies`, `sources` and `documents`: functions from text to findings, so that
//! each has a test which shows that it can fail.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::{dependencies, documents, sources};

/// Directories that hold build products, recordings or the version control's own files.
const SKIPPED: &[&str] = &["target", ".git", "artifacts"];

/// What the rules found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Violations.
    pub errors: Vec<String>,
    /// Things to watch.
    pub warnings: Vec<String>,
}

impl Findings {
    /// Adds a violation.
    pub fn error(&mut self, text: impl Into<String>) {
        self.errors.push(text.into());
    }

    /// Adds something to watch.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }
}

/// The sub-command: prints the findings, fails on violations.
pub fn run() -> ExitCode {
    let findings = check(&root());
    for warning in &findings.warnings {
        println!("warning: {warning}");
    }
    for error in &findings.errors {
        eprintln!("error: {error}");
    }
    if findings.errors.is_empty() {
        println!("tidy: no violations, {} warnings", findings.warnings.len());
        ExitCode::SUCCESS
    } else {
        eprintln!("tidy: {} violations", findings.errors.len());
        ExitCode::FAILURE
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// Applies every rule to the repository at `root`.
pub fn check(root: &Path) -> Findings {
    let mut findings = Findings::default();
    match dependencies::metadata(root) {
        Ok(packages) => {
            let reasons = fs::read_to_string(root.join("DEPENDENCIES.md")).unwrap_or_default();
            dependencies::check(&packages, &reasons, &mut findings);
        }
        Err(error) => findings.error(error),
    }
    let files = match files(root) {
        Ok(files) => files,
        Err(error) => {
            findings.error(format!("cannot read the repository: {error}"));
            return findings;
        }
    };
    for name in files {
        let Ok(text) = fs::read_to_string(root.join(&name)) else { continue };
        let extension = Path::new(&name).extension().and_then(|extension| extension.to_str());
        match extension {
            Some("rs") => sources::check(&name, &text, &mut findings),
            Some("md") => documents::check(root, &name, &text, &mut findings),
            _ => {}
        }
        sources::check_words(&name, &text, &mut findings);
    }
    findings
}

/// All files below `root`, as relative paths with `/`, in order.
fn files(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if SKIPPED.iter().any(|skipped| name == *skipped) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if let Ok(relative) = entry.path().strip_prefix(root) {
                found.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let findings = check(&root());
        assert!(findings.errors.is_empty(), "{} violations:\n{}", findings.errors.len(), findings.errors.join("\n"));
    }
}
