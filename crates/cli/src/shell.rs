//! Completion scripts and manual pages, made from the definitions of the command line.

use std::fs;
use std::path::Path;

use clap::CommandFactory;

use crate::args::Cli;
use crate::failure::Failure;
use crate::text::print;

/// Prints the completion script of a shell.
pub fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "skep", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Writes `skep.1` and a page for every sub-command.
pub fn manual(directory: &Path) -> Result<(), Failure> {
    let fail = |error: std::io::Error| {
        Failure::Run(format!("cannot write manual pages to {}: {}", directory.display(), error.kind()))
    };
    fs::create_dir_all(directory).map_err(fail)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(fail)
}
