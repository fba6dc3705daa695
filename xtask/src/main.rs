//! `cargo xtask`: the checks that this repository applies to itself.
//!
//! - `cargo xtask tidy` reads the tree: dependency directions, file headers and sizes, places of unsafe code, paths in
//!   the documents, dependencies without a reason. It also runs as a test of this package.
//! - `cargo xtask docs` writes `docs/reference` and `docs/script-reference.md` anew from the tables of `crates/isa` and
//!   `crates/lang-script`, and `docs/tools` from the heads of the scripts in `tools`.
//! - `cargo xtask prepush` runs everything that has to be green before a push: formatting, lints, documentation,
//!   tests, tidy.
//! - `cargo xtask corpus` compares the verifier with the running kernel on all of the kernel's own tests.
//! - `cargo xtask selftests` compares the C compiler with clang on the kernel's own test programs.
//! - `cargo xtask vm` runs tests on other kernels, in an emulator.

mod dependencies;
mod documents;
mod guest;
mod prepush;
mod sources;
mod tidy;
mod vm;

use std::process::ExitCode;

// TABLE
/// Tests that compare documents with tables: package and which test of it.
const DOCUMENTS: &[&[&str]] = &[
    &["skep-isa", "--test", "reference"],
    &["skep-lang-script", "--lib", "reference"],
    &["skep-tools", "--test", "pages"],
];

const USAGE: &str = "usage: cargo xtask tidy | docs | prepush | corpus | selftests | vm [--help]";

fn main() -> ExitCode {
    if guest::is_first_process() {
        guest::run();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["tidy"] => tidy::run(),
        ["docs"] => write_reference(),
        ["prepush"] => prepush::run(),
        ["corpus"] => compare_all("skep-verifier", "corpus", "SKEP_CORPUS"),
        ["selftests"] => compare_all("skep-cc", "selftests", "SKEP_SELFTESTS"),
        ["vm", ref words @ ..] => vm::run(words),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Runs a comparison on all of the kernel's own tests; `cargo test` takes a part.
fn compare_all(package: &str, test: &str, variable: &str) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command.args(["test", "-p", package, "--test", test, "--", "--nocapture"]).env(variable, "all");
    match command.current_dir(tidy::root()).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot run cargo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the tests that compare the documents with the tables, told to write them first: the tables belong to crates that
/// this one may not use.
fn write_reference() -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    for test in DOCUMENTS {
        let mut command = std::process::Command::new(&cargo);
        command.args(["test", "-q", "-p"]).args(*test).env("SKEP_WRITE_DOCS", "1");
        match command.current_dir(tidy::root()).status() {
            Ok(status) if status.success() => {}
            Ok(_) => return ExitCode::FAILURE,
            Err(error) => {
                eprintln!("cannot run cargo: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
