//! Completion scripts and manual pages, made from the definitions of the command line.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use skep_tools::catalogue::Catalogue;
use skep_tools::command::command;

use crate::args::Cli;
use crate::failure::Failure;
use crate::text::print;

/// The command line with the tools of the binary, which are commands as well.
fn whole() -> clap::Command {
    Cli::command().subcommands(Catalogue::embedded().tools.iter().map(command))
}

/// Prints the completion script of a shell.
pub fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut whole(), "skep", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Writes `skep.1` and a page for every sub-command.
pub fn manual(directory: &Path) -> Result<(), Failure> {
    let fail = |error: std::io::Error| {
        Failure::Run(format!("cannot write manual pages to {}: {}", directory.display(), error.kind()))
    };
    fs::create_dir_all(directory).map_err(fail)?;
    clap_mangen::generate_to(whole(), directory).map_err(fail)
}
