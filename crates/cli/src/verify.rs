//! `skep verify`: the verdicts of kernels on the programs of an object, and reasons. The rules are in `skep_verifier`.

use std::fmt::Write as _;
use std::process::ExitCode;

use skep_isa::ebpf::InsnIdx;
use skep_kernel::RunningKernel;
use skep_object::Program;
use skep_verifier::{Kernel, Rejection, Verdict, verify};

use crate::args::{KernelArg, VerifyArgs};
use crate::failure::{Failure, note};
use crate::object;
use crate::text::print;

/// Branches of a path that are shown.
const SHOWN: usize = 8;

/// Verifies all programs that are wanted.
pub fn run(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let mut object = object::read(&args.object)?;
    if object.is_unresolved() {
        let kernel = RunningKernel::for_object(&object);
        if let Err(error) = object.resolve(&kernel) {
            note(&format!(
                "the object cannot be fitted to the running kernel, so some programs are undecided: {error}"
            ));
        }
    }
    let kernels = kernels(&args.kernel);
    let wanted = |program: &&Program| args.object.prog.is_empty() || args.object.prog.contains(&program.name);
    let programs: Vec<&Program> = object.programs.iter().filter(wanted).collect();
    if let Some(missing) = args.object.prog.iter().find(|name| programs.iter().all(|program| program.name != **name)) {
        return Err(Failure::Usage(format!("the object has no program `{missing}`")));
    }
    let verdicts: Vec<Vec<Verdict>> = programs
        .iter()
        .map(|program| kernels.iter().map(|kernel| verify(&object, program, *kernel)).collect())
        .collect();
    let mut text = matrix(&programs, &kernels, &verdicts);
    for (program, verdicts) in programs.iter().zip(&verdicts) {
        explain(&mut text, program, &kernels, verdicts);
    }
    print(&text)?;
    let refused = verdicts.iter().flatten().any(|verdict| verdict.accepted() == Some(false));
    Ok(if refused { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn kernels(wanted: &[KernelArg]) -> Vec<Kernel> {
    let of = |kernel: &KernelArg| match kernel {
        KernelArg::V6_1 => Kernel::V6_1,
        KernelArg::V6_12 => Kernel::V6_12,
        KernelArg::V6_18 => Kernel::V6_18,
    };
    if wanted.is_empty() { Kernel::ALL.to_vec() } else { wanted.iter().map(of).collect() }
}

/// A row for each program, a column for each kernel.
fn matrix(programs: &[&Program], kernels: &[Kernel], verdicts: &[Vec<Verdict>]) -> String {
    let width = programs.iter().map(|program| program.name.len()).max().unwrap_or(0).max("PROGRAM".len());
    let mut text = format!("{:<width$}", "PROGRAM");
    kernels.iter().for_each(|kernel| _ = write!(text, "  {:<9}", kernel.name()));
    text.truncate(text.trim_end().len());
    text.push('\n');
    for (program, row) in programs.iter().zip(verdicts) {
        let mut line = format!("{:<width$}", program.name);
        for verdict in row {
            let word = match verdict.accepted() {
                Some(true) => "yes",
                Some(false) => "no",
                None => "undecided",
            };
            let _ = write!(line, "  {word:<9}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What is to be said about a program: each reason once, with the kernels that it holds for.
fn explain(text: &mut String, program: &Program, kernels: &[Kernel], verdicts: &[Verdict]) {
    let mut said: Vec<&Verdict> = Vec::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.accepted() != Some(true)) {
        if said.contains(&verdict) {
            continue;
        }
        said.push(verdict);
        let names: Vec<&str> = kernels
            .iter()
            .zip(verdicts)
            .filter(|(_, other)| *other == verdict)
            .map(|(kernel, _)| kernel.name())
            .collect();
        let _ = write!(text, "\n{} on Linux {}: ", program.name, names.join(", "));
        match verdict {
            Verdict::Rejected(rejection) => refusal(text, program, rejection),
            Verdict::Undecided { at, what } => {
                let _ = writeln!(text, "undecided, because of {what}");
                place(text, program, *at);
            }
            Verdict::Accepted(_) => {}
        }
    }
}

fn refusal(text: &mut String, program: &Program, rejection: &Rejection) {
    let _ = writeln!(text, "{}", rejection.reason);
    place(text, program, rejection.at);
    let skipped = rejection.path.len().saturating_sub(SHOWN);
    if !rejection.path.is_empty() {
        let _ = writeln!(text, "  on the path");
        if skipped > 0 {
            let _ = writeln!(text, "    ... {skipped} branches before");
        }
    }
    for (at, taken) in &rejection.path[skipped..] {
        let line = program.line_of(InsnIdx::new(*at as usize));
        let taken = if *taken { "jumps" } else { "goes on" };
        match line.filter(|line| line.line > 0) {
            Some(line) => _ = writeln!(text, "    {}: {} ({taken})", line.line, line.text.trim()),
            None => _ = writeln!(text, "    instruction {at} {taken}"),
        }
    }
    let help = rejection.reason.help();
    if !help.is_empty() {
        let _ = writeln!(text, "  help: {help}");
    }
}

/// The source line and the instruction.
fn place(text: &mut String, program: &Program, at: u32) {
    match program.line_of(InsnIdx::new(at as usize)).filter(|line| line.line > 0) {
        Some(line) => {
            let _ = writeln!(text, "  at instruction {at}, {}:{}", line.file, line.line);
            let _ = writeln!(text, "    {}", line.text.trim());
        }
        None => _ = writeln!(text, "  at instruction {at}"),
    }
}
