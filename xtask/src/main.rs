//! `cargo xtask`: the checks that this repository applies to itself.
//!
//! - `cargo xtask tidy` reads the tree: dependency directions, file headers and sizes, places of unsafe code, paths in
//!   the documents, dependencies without a reason. It also runs as a test of this package.
//! - `cargo xtask prepush` runs everything that has to be green before a push: formatting, lints, documentation,
//!   tests, tidy.
//! - `cargo xtask vm` runs tests on other kernels, in an emulator.

mod dependencies;
mod documents;
mod guest;
mod prepush;
mod sources;
mod tidy;
mod vm;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy | prepush | vm [--help]";

fn main() -> ExitCode {
    if guest::is_first_process() {
        guest::run();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["tidy"] => tidy::run(),
        ["prepush"] => prepush::run(),
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
