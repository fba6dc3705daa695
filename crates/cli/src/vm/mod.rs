//! `skep vm`: runs, traces and times 64-bit programs in user space.

mod bench;
pub mod input;
pub mod json;
pub mod load;
mod maps;
mod plugin;
mod report;
mod run;

use crate::args::VmCommand;
use crate::failure::Failure;

/// Runs one of the commands.
pub fn run(command: &VmCommand) -> Result<(), Failure> {
    match command {
        VmCommand::Run(args) => run::run(args),
        VmCommand::Bench(args) => bench::run(args),
        VmCommand::Plugin(args) => plugin::run(args),
    }
}
