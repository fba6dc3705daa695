//! The command `skep`: reads the arguments, calls one sub-command, ends with its status.
//!
//! Every sub-command is a module; what they do is done by the library crates. Exit status: 0 for success, 1 if input,
//! capture or output failed, 2 for wrong usage or a faulty filter expression.

mod args;
mod btf;
mod build;
mod debug;
mod dis;
mod dns;
mod doctor;
mod failure;
mod features;
mod filter;
mod firewall;
mod help;
mod links;
mod load;
mod map;
mod maps;
mod nflat;
mod object;
mod observe;
mod probe;
mod progress;
mod ps;
mod run;
mod script;
mod seccomp;
mod shell;
mod strace;
mod text;
mod tools;
mod verify;
mod vm;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let cli = match args::parse(args::words(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(answer) => return args::answer(&answer),
    };
    let outcome = match cli.command {
        Command::Filter(args) => filter::run(&args),
        Command::Firewall(command) => firewall::run(&command),
        Command::Dns(args) => dns::run(&args),
        Command::Seccomp(args) => seccomp::run(&args),
        Command::Vm(command) => vm::run(&command),
        Command::Ps(args) => ps::run(&args),
        Command::Maps(args) => maps::run(&args),
        Command::Map(command) => map::run(&command),
        Command::Links(args) => links::run(&args),
        Command::Link(command) => links::change(&command),
        Command::Dis(args) => dis::run(&args),
        Command::Btf(command) => btf::run(&command),
        Command::Build(args) => build::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Run(args) => run::run(&args),
        // A script chooses the status itself.
        Command::Script(args) => return script::run(&args),
        Command::Trace(args) => return probe::trace(&args).unwrap_or_else(failure::Failure::report),
        Command::Argdist(args) => return probe::argdist(&args).unwrap_or_else(failure::Failure::report),
        Command::Funccount(args) => return probe::funccount(&args).unwrap_or_else(failure::Failure::report),
        Command::Stackcount(args) => return probe::stackcount(&args).unwrap_or_else(failure::Failure::report),
        Command::Funclatency(args) => return probe::funclatency(&args).unwrap_or_else(failure::Failure::report),
        Command::Funcinterval(args) => return probe::funcinterval(&args).unwrap_or_else(failure::Failure::report),
        Command::Funcslower(args) => return probe::funcslower(&args).unwrap_or_else(failure::Failure::report),
        Command::Debug(args) => debug::run(&args),
        Command::Verify(args) => return verify::run(&args).unwrap_or_else(failure::Failure::report),
        Command::Doctor(args) => doctor::run(&args),
        Command::Tools(args) => tools::list(&args),
        Command::Tool(args) => return tools::run(&args).unwrap_or_else(failure::Failure::report),
        // The status is that of the command that is traced.
        Command::Strace(args) => return strace::run(&args).unwrap_or_else(failure::Failure::report),
        Command::Features(args) => features::run(&args),
        Command::Help(args) => help::run(&args),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { directory } => shell::manual(&directory),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
