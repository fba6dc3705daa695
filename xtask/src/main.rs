//! `cargo xtask`: the checks that this repository applies to itself.
//!
//! - `cargo xtask tidy` reads the tree: dependency directions, file headers and sizes, places of unsafe code, paths in
//!   the documents, dependencies without a reason. It also runs as a test of this package.
//! - `cargo xtask prepush` runs everything that has to be green before a push: formatting, lints, documentation,
//!   tests, tidy.

mod dependencies;
mod documents;
mod prepush;
mod sources;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy | prepush";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["tidy"] => tidy::run(),
        ["prepush"] => prepush::run(),
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
