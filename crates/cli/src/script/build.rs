//! From the text of a script to programs and plan.

use std::fs;
use std::time::{Duration, Instant};

use skep_lang_script::compile::{Compiled, Environment};
use skep_lang_script::plan::{Attach, Plan};
use skep_lang_script::providers::Kind;
use skep_lang_script::registers::Arch;
use skep_lang_script::{Desugared, compile_some, desugar};
use skep_object::Object;
use skep_trace::run::Mode;

use super::machine::{self, Files, Machine, MachineTypes};
use super::options::{self, Task};
use super::{Input, environment};
use crate::args::{ScriptArgs, StageArg};
use crate::failure::{Failure, say_part};

/// Inode of the outermost process id namespace (`PROC_PID_INIT_INO` of the kernel).
const OUTERMOST: u64 = 0xefff_fffc;

/// Everything that the compiler made.
pub struct Built {
    /// Behind imports and macros.
    pub desugared: Desugared,
    /// The module behind the optimiser, and the plan.
    pub compiled: Compiled,
    /// The module before the optimiser as text, if it was asked for.
    pub lowered: Option<String>,
    /// Programs and maps.
    pub object: Object,
    /// How long each stage took.
    pub times: Vec<(&'static str, Duration)>,
}

/// Text to programs and plan.
pub fn build(input: &Input, args: &ScriptArgs, task: Task, process: Option<u32>) -> Result<Built, Failure> {
    let mut times = Vec::new();
    let mut last = Instant::now();
    let mut done = |stage| {
        times.push((stage, last.elapsed()));
        last = Instant::now();
    };
    let files = Files { directories: &args.include_dirs };
    let mut options = machine::options(&input.name, &input.positional, &files);
    options.includes = &args.include;
    let mut desugared = desugar(&input.text, &options);
    desugared.script.config.extend(environment::settings()?);
    let desugared = desugared;
    let problems = |list: &[skep_diag::Diagnostic]| {
        let colour = environment::colour();
        list.iter().map(|one| desugared.sources.render(one, colour)).collect::<String>()
    };
    if desugared.has_errors() {
        return Err(Failure::Expression(problems(&desugared.diagnostics)));
    }
    if let Some(program) = desugared.programs.first() {
        let text = format!("`{}` is a program in C, which cannot be compiled here", program.node);
        return Err(Failure::Usage(text));
    }
    done("parse");
    let filter = options::filter(args)?;
    let machine = Machine::new(process).with_functions(args.traceable_functions.clone());
    let formats = machine::formats(&machine);
    let env = Environment {
        name: &input.name,
        text: &input.text,
        types: &MachineTypes::new(&machine, &formats),
        probes: &machine,
        facts: &machine,
        positional: &input.positional,
        named: &input.named,
        allow_unsafe: args.allow_unsafe,
        process,
        arch: Arch::default(),
        // In this process programs see the ids that it has itself.
        inner_ids: !args.vm && inner_ids(),
        switches: options::switches(args),
    };
    let named = |name: &str| filter.as_ref().is_none_or(|filter| filter.is_match(name));
    let wanted = |kind: Kind, name: &str| task.wants(kind) && (matches!(kind, Kind::Begin | Kind::End) || named(name));
    let mut compiled =
        compile_some(&desugared.script, &env, &wanted).map_err(|list| Failure::Expression(problems(&list)))?;
    if !args.no_warnings {
        say_part!("{}", problems(&desugared.diagnostics));
        say_part!("{}", problems(&compiled.warnings));
    }
    check_probes(&compiled.plan, task)?;
    done("compile");
    let lowered = args
        .dump
        .iter()
        .any(|stage| matches!(stage, StageArg::Ir | StageArg::All))
        .then(|| compiled.module.to_string());
    if args.other.verify_llvm_ir {
        verify(&compiled.module)?;
    }
    skep_opt::optimise(&mut compiled.module, &skep_opt::Options::default());
    if args.other.verify_llvm_ir {
        verify(&compiled.module)?;
    }
    done("optimise");
    let object = skep_codegen::compile(&compiled.module, &skep_codegen::Options::default())
        .map_err(|error| Failure::Run(format!("{}: {error}", input.name)))?;
    done("generate");
    Ok(Built { desugared, compiled, lowered, object, times })
}

/// Whether this process lives in a process id namespace of its own.
fn inner_ids() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self/ns/pid").is_ok_and(|facts| facts.ino() != OUTERMOST)
}

/// Whether there is something to do.
fn check_probes(plan: &Plan, task: Task) -> Result<(), Failure> {
    let has = |wanted: fn(&Attach) -> bool| plan.probes.iter().any(|probe| wanted(&probe.attach));
    let problem = match task {
        Task::Run(Mode::Test) if !has(|attach| matches!(attach, Attach::Test { .. })) => {
            "there are no tests; `test:NAME { ... }` is one"
        }
        Task::Run(Mode::Bench) if !has(|attach| matches!(attach, Attach::Bench { .. })) => {
            "there are no benchmarks; `bench:NAME { ... }` is one"
        }
        Task::Run(Mode::Trace) if plan.probes.is_empty() => {
            "there are no probes to attach; tests are run by --test, benchmarks by --bench"
        }
        _ => return Ok(()),
    };
    Err(Failure::Run(problem.to_owned()))
}

/// Holds the intermediate representation against its rules.
fn verify(module: &skep_ir::Module) -> Result<(), Failure> {
    let text = |violations: Vec<skep_ir::Violation>| {
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        Failure::Run(format!("the compiler breaks its own rules; this is an error in it:\n{}", lines.join("\n")))
    };
    skep_ir::verify(module).map_err(text)
}
