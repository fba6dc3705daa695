//! From the text of a script to programs and plan.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use regex_lite::Regex;
use skep_isa::ebpf::{Cpu, Endian};
use skep_lang_script::compile::{Compiled, Environment, Switches, Text};
use skep_lang_script::desugar::Loader;
use skep_lang_script::plan::{Attach, Plan};
use skep_lang_script::providers::Kind;
use skep_lang_script::registers::Arch;
use skep_lang_script::{Desugared, compile_some, desugar};
use skep_object::Object;
use skep_sym::DebugDirs;
use skep_trace::run::Mode;

use super::machine::{self, Machine, MachineTypes};
use super::options::{self, Task};
use super::{Input, environment, foreign};
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
    /// How long each stage took, and then each pass of the optimiser.
    pub times: Vec<(&'static str, Duration)>,
}

/// How a script is compiled.
pub struct Building<'a> {
    /// Where imports come from.
    pub loader: &'a dyn Loader,
    /// What the programs are for.
    pub task: Task,
    /// The process that alone is traced.
    pub process: Option<u32>,
    /// Whether functions that change what is traced are allowed.
    pub allow_unsafe: bool,
    /// Whether warnings are shown.
    pub warnings: bool,
    /// Whether the module before the optimiser is kept as text.
    pub lowered: bool,
    /// Whether the module is held against its rules.
    pub verified: bool,
    /// Whether the programs do not run in this kernel, but in this process or not at all: what it can does not matter.
    pub elsewhere: bool,
    /// Where debug files of programs are looked for.
    pub directories: DebugDirs,
    /// Headers that are read as if the script included them.
    pub includes: &'a [String],
    /// Where programs in C that the script imports find their headers.
    pub include_dirs: &'a [PathBuf],
    /// The file with the functions that can be traced, in place of the kernel's list.
    pub functions: Option<PathBuf>,
    /// Only probes whose names fit, and begin and end.
    pub filter: Option<Regex>,
    /// What the compiler does otherwise than usual.
    pub switches: Switches,
}

impl<'a> Building<'a> {
    /// The usual way, for the kernel.
    pub fn new(loader: &'a dyn Loader) -> Self {
        Self {
            loader,
            task: Task::Run(Mode::Trace),
            process: None,
            allow_unsafe: false,
            warnings: true,
            lowered: false,
            verified: false,
            elsewhere: false,
            directories: DebugDirs::default(),
            includes: &[],
            include_dirs: &[],
            functions: None,
            filter: None,
            switches: Switches::default(),
        }
    }

    /// What the arguments ask for.
    pub fn of(args: &'a ScriptArgs, task: Task, process: Option<u32>, loader: &'a dyn Loader) -> Result<Self, Failure> {
        Ok(Self {
            loader,
            task,
            process,
            allow_unsafe: args.allow_unsafe,
            warnings: !args.no_warnings,
            lowered: args.dump.iter().any(|stage| matches!(stage, StageArg::Ir | StageArg::All)),
            verified: args.other.verify_llvm_ir,
            elsewhere: args.vm || args.list.is_some(),
            directories: args.debug_dirs(),
            includes: &args.include,
            include_dirs: &args.include_dirs,
            functions: args.traceable_functions.clone(),
            filter: options::filter(args)?,
            switches: options::switches(args),
        })
    }

    /// Whether there is to be a program for a probe of this type and name.
    fn wants(&self, kind: Kind, name: &str) -> bool {
        let named = self.filter.as_ref().is_none_or(|filter| filter.is_match(name));
        self.task.wants(kind) && (named || matches!(kind, Kind::Begin | Kind::End))
    }
}

/// Text to programs and plan.
pub fn build(input: &Input, wishes: &Building<'_>) -> Result<Built, Failure> {
    let mut times = Vec::new();
    let mut last = Instant::now();
    let mut done = |stage| {
        times.push((stage, last.elapsed()));
        last = Instant::now();
    };
    let mut options = machine::options(&input.name, &input.positional, wishes.loader);
    options.includes = wishes.includes;
    let mut desugared = desugar(&input.text, &options);
    // What the environment says counts more than what the script says.
    desugared.script.config.extend(environment::settings()?);
    let desugared = desugared;
    let problems = |list: &[skep_diag::Diagnostic]| {
        let colour = environment::colour();
        list.iter().map(|one| desugared.sources.render(one, colour)).collect::<String>()
    };
    if desugared.has_errors() {
        return Err(Failure::Expression(problems(&desugared.diagnostics)));
    }
    done("parse");
    let (passes, code) = target(wishes.elsewhere);
    let imported = foreign::compile(&desugared.programs, passes.cpu, wishes)?;
    let machine = Machine::new(wishes.process, wishes.directories.clone())
        .for_script(&desugared.script)
        .with_functions(wishes.functions.clone())
        .elsewhere(wishes.elsewhere);
    let formats = machine::formats(&machine);
    let env = Environment {
        name: &input.name,
        text: &Text::new(&input.text),
        types: &MachineTypes::new(&machine, &formats),
        probes: &machine,
        facts: &machine,
        positional: &input.positional,
        named: &input.named,
        allow_unsafe: wishes.allow_unsafe,
        process: wishes.process,
        arch: Arch::default(),
        // In this process programs see the ids that it has itself.
        inner_ids: !wishes.elsewhere && inner_ids(),
        switches: wishes.switches,
        foreign: imported.as_ref(),
    };
    let wanted = |kind: Kind, name: &str| wishes.wants(kind, name);
    let mut compiled =
        compile_some(&desugared.script, &env, &wanted).map_err(|list| Failure::Expression(problems(&list)))?;
    if wishes.warnings {
        say_part!("{}", problems(&desugared.diagnostics));
        say_part!("{}", problems(&compiled.warnings));
    }
    check_probes(&compiled.plan, wishes.task)?;
    done("compile");
    let lowered = wishes.lowered.then(|| compiled.module.to_string());
    if wishes.verified {
        verify(&compiled.module)?;
    }
    let report = skep_opt::optimise(&mut compiled.module, &passes);
    if wishes.verified {
        verify(&compiled.module)?;
    }
    done("optimise");
    let object = skep_codegen::compile(&compiled.module, &code)
        .map_err(|error| Failure::Run(format!("{}: {error}", input.name)))?;
    done("generate");
    for pass in report.passes {
        match times.iter_mut().find(|time| time.0 == pass.name) {
            Some(known) => known.1 += pass.time,
            None => times.push((pass.name, pass.time)),
        }
    }
    Ok(Built { desugared, compiled, lowered, object, times })
}

/// What code is made for: the running kernel, or the machine in this process, which takes every version.
fn target(elsewhere: bool) -> (skep_opt::Options, skep_codegen::Options) {
    let newest = || Cpu::from_number(skep_kernel::probe::instruction_set()).unwrap_or(Cpu::V3);
    let cpu = if elsewhere { Cpu::V3 } else { newest() };
    let big_endian = Endian::NATIVE == Endian::Big;
    let passes = skep_opt::Options { cpu: cpu.number(), big_endian, ..skep_opt::Options::compact() };
    (passes, skep_codegen::Options { cpu, endian: Endian::NATIVE })
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
