//! Our 64-bit machines side by side with native code, the kernel's JIT and rbpf, on the same programs in the same run.
//!
//! `cargo bench -p skep-vm --bench machine -- [PROGRAM...] [--rounds N] [--json]` prints nanoseconds for each run of a
//! program and the ratio to the kernel's JIT. Engines take turns in slices of 2.5 ms; the least time of N rounds (20
//! unless told otherwise) counts. User-space engines are measured by the processor time of the thread, the kernel by
//! the duration that `BPF_PROG_TEST_RUN` reports. A result that differs from native code's is an error. Needs clang;
//! the kernel's column needs root.

mod compile;
mod engine;
mod kernel;
mod measure;
mod native;
mod peer;
mod programs;
mod report;
mod skep;
mod suite;

use std::process::ExitCode;

use compile::Compiler;
use programs::{PROGRAMS, Program};
use suite::Engines;

/// Rounds unless told otherwise.
const ROUNDS: u32 = 20;

struct Arguments {
    programs: Vec<Program>,
    rounds: u32,
    json: bool,
}

impl Arguments {
    fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self { programs: Vec::new(), rounds: ROUNDS, json: false };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => {}
                "--json" => parsed.json = true,
                "--rounds" => {
                    let rounds = args.next().and_then(|text| text.parse().ok()).filter(|&rounds| rounds > 0);
                    parsed.rounds = rounds.ok_or("--rounds needs a number from 1, for example --rounds 20")?;
                }
                name => {
                    let found = PROGRAMS.iter().find(|program| program.name == name).ok_or_else(|| {
                        let names = PROGRAMS.map(|program| program.name).join(", ");
                        format!("`{name}` is neither an option (--rounds N, --json) nor a program ({names})")
                    })?;
                    parsed.programs.push(*found);
                }
            }
        }
        if parsed.programs.is_empty() {
            parsed.programs = PROGRAMS.to_vec();
        }
        Ok(parsed)
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` runs benches too; the test `programs` has done what is to be done there.
    if !args.iter().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Vec<String>) -> Result<(), String> {
    let arguments = Arguments::parse(args)?;
    let compiler = match Compiler::find() {
        Ok(compiler) => compiler,
        Err(reason) => {
            eprintln!("SKIPPED: the whole benchmark: {reason}");
            return Ok(());
        }
    };
    let engines = Engines::find();
    let built: Vec<_> = arguments.programs.iter().map(|program| compiler.build(*program)).collect::<Result<_, _>>()?;
    let measured = measure::measure(&engines, &built, arguments.rounds)?;
    if arguments.json {
        println!("{}", report::json(&measured));
    } else {
        print!("{}", report::text(&measured));
    }
    Ok(())
}
