//! `skep verify`: the verdicts of kernels on the programs of an object, reasons, states, facts. The rules are in
//! `skep_verifier`; here is what becomes of options and how answers look.

mod diagnostic;
mod dot;
mod explain;
pub mod gate;
mod json;
mod states;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use skep_btf::Btf;
use skep_isa::ebpf::{Imm64, Op};
use skep_kernel::RunningKernel;
use skep_object::{KernelInfo as _, Object, Program};
use skep_verifier::noted::Noted;
use skep_verifier::suggest::{Advice, advise};
use skep_verifier::{Kernel, Loader, Rejection, Terms, Verdict, verify_by, verify_noting_by};

use crate::args::VerifyArgs;
use crate::failure::{Failure, note};
use crate::object;
use crate::text::print;

/// A variable that every kernel with types has.
const KNOWN_VARIABLE: &str = "bpf_prog_active";

/// A program with its verdict on each kernel.
#[derive(Debug)]
struct Judged<'a> {
    program: &'a Program,
    verdicts: Vec<(Verdict, Noted)>,
}

/// What programs were verified with.
struct Context<'a> {
    object: &'a Object,
    types: Option<Arc<Btf>>,
    variables: Option<bool>,
    loader: Loader,
    no_pointer_arithmetic: bool,
}

impl Context<'_> {
    fn terms(&self) -> Terms<'_> {
        let Self { types, variables, loader, no_pointer_arithmetic, .. } = self;
        let (variables, no_pointer_arithmetic) = (*variables, *no_pointer_arithmetic);
        Terms { types: types.as_ref(), variables, loader: *loader, no_pointer_arithmetic }
    }

    /// What to do about a refusal.
    fn advice(&self, program: &Program, kernel: Kernel, rejection: &Rejection) -> Advice {
        advise(self.object, program, kernel, &self.terms(), rejection)
    }
}

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
    let kernels = kernels(args);
    if args.kernel.iter().any(|kernels| kernels.live) {
        tell_live();
    }
    let programs = programs(&object, args)?;
    // The running kernel's types are what the object was fitted to.
    let context = Context {
        object: &object,
        types: RunningKernel::new().types().ok(),
        variables: tells_variables(&object),
        loader: if args.unprivileged { Loader::NONE } else { args.capabilities.unwrap_or_default() },
        no_pointer_arithmetic: args.no_pointer_arithmetic,
    };
    let notes = args.dot || args.json || args.states || args.at.is_some() || args.facts;
    let one = |program: &Program, kernel: Kernel| {
        if !notes {
            // Keeping what is known at each instruction takes longer than the verdict, and only refusals need it.
            let verdict = verify_by(&object, program, kernel, &context.terms());
            if verdict.accepted() != Some(false) {
                return (verdict, Noted::default());
            }
        }
        verify_noting_by(&object, program, kernel, &context.terms())
    };
    let judge = |program: &Program| kernels.iter().map(|kernel| one(program, *kernel)).collect();
    let judged: Vec<Judged<'_>> =
        programs.into_iter().map(|program| Judged { program, verdicts: judge(program) }).collect();
    print(&shown(args, &context, &kernels, &judged))?;
    let refused = judged.iter().flat_map(|one| &one.verdicts).any(|(verdict, _)| verdict.accepted() == Some(false));
    Ok(if refused { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Whether the running kernel, whose types count, tells addresses of its variables; only asked if the object uses any.
fn tells_variables(object: &Object) -> Option<bool> {
    let programs = object.programs.iter();
    let mut loads = programs.flat_map(|program| program.insns.windows(2).map(|pair| pair[0].decode(Some(pair[1]))));
    let uses = loads.any(|op| matches!(op, Ok(Op::LoadImm { value: Imm64::BtfVar { .. }, .. })));
    uses.then(|| !RunningKernel::new().addresses(KNOWN_VARIABLE).is_empty())
}

/// The answers in the form that was asked for.
fn shown(args: &VerifyArgs, context: &Context<'_>, kernels: &[Kernel], judged: &[Judged<'_>]) -> String {
    let mut text = String::new();
    if args.dot {
        judged.iter().for_each(|one| dot::graph(&mut text, one));
    } else if args.json {
        judged.iter().for_each(|one| json::lines(&mut text, context, one, kernels));
    } else if args.states || args.at.is_some() {
        judged.iter().for_each(|one| states::listing(&mut text, one, kernels, args.at));
    } else {
        text = matrix(kernels, judged);
        judged.iter().for_each(|one| explain::verdicts(&mut text, context, one, kernels));
        if args.facts {
            judged.iter().for_each(|one| explain::facts(&mut text, context.object, one, kernels));
        }
    }
    text
}

/// Tells by which rules the running kernel is judged, unless they are those of its own release.
fn tell_live() {
    let Some(release) = skep_kernel::running_release() else { return };
    if let Some(kernel) = Kernel::at_most(release).filter(|kernel| kernel.release() != release) {
        note(&format!("Linux {release} runs; the rules of {} come closest to it", kernel.name()));
    }
}

/// The kernels that were asked for, each once, the oldest first.
fn kernels(args: &VerifyArgs) -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = args.kernel.iter().flat_map(|kernels| kernels.kernels.iter().copied()).collect();
    if kernels.is_empty() {
        kernels =
            if args.states || args.at.is_some() || args.dot { vec![Kernel::newest()] } else { Kernel::ASKED.to_vec() };
    }
    kernels.sort_unstable();
    kernels.dedup();
    kernels
}

fn programs<'a>(object: &'a Object, args: &VerifyArgs) -> Result<Vec<&'a Program>, Failure> {
    let wanted = |program: &&Program| args.object.prog.is_empty() || args.object.prog.contains(&program.name);
    let programs: Vec<&Program> = object.programs.iter().filter(wanted).collect();
    match args.object.prog.iter().find(|name| programs.iter().all(|program| program.name != **name)) {
        Some(missing) => Err(Failure::Usage(format!("the object has no program `{missing}`"))),
        None => Ok(programs),
    }
}

/// `yes`, `no`, `undecided`.
fn word(verdict: &Verdict) -> &'static str {
    match verdict.accepted() {
        Some(true) => "yes",
        Some(false) => "no",
        None => "undecided",
    }
}

/// A row for each program, a column for each kernel.
fn matrix(kernels: &[Kernel], judged: &[Judged<'_>]) -> String {
    let names = judged.iter().map(|one| one.program.name.len());
    let width = names.max().unwrap_or(0).max("PROGRAM".len());
    let mut text = format!("{:<width$}", "PROGRAM");
    kernels.iter().for_each(|kernel| _ = write!(text, "  {:<9}", kernel.name()));
    text.truncate(text.trim_end().len());
    text.push('\n');
    for one in judged {
        let mut line = format!("{:<width$}", one.program.name);
        one.verdicts.iter().for_each(|(verdict, _)| _ = write!(line, "  {:<9}", word(verdict)));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
