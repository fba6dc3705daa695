//! `skep script`: from the text of a script to its end. Compiling is done by `skep_lang_script`, `skep_opt` and
//! `skep_codegen`, running by `skep_trace::run`.

mod dump;
mod list;
mod machine;

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_kernel::inventory::find_program;
use skep_kernel::{KernelError, LoadError, LoadOptions, LoadedProgram, LogLevel};
use skep_lang_script::ast::{Name, Setting, Spanned};
use skep_lang_script::compile::{Compiled, Environment};
use skep_lang_script::desugar::Loader;
use skep_lang_script::plan::{Attach, Plan};
use skep_lang_script::registers::Arch;
use skep_lang_script::settings::from_environment;
use skep_lang_script::types::TypeSource as _;
use skep_lang_script::{Desugared, compile, desugar, format_text};
use skep_object::Object;
use skep_sym::DebugDirs;
use skep_trace::events::{Buffering, Dispatcher, EventError, Form, Output, Script as Source};
use skep_trace::flame::FlameFiles;
use skep_trace::names::{Clock, Names, Symbols};
use skep_trace::run::{Child, MachineSymbols, RunError, RunOptions, Script};

use crate::args::{BufferArg, FormArg, ScriptArgs};
use crate::failure::{Failure, colour_on_stderr, note, say_part};
use crate::object::show;
use crate::text::print;
use machine::{Machine, MachineTypes};

/// Inode of the outermost process id namespace (`PROC_PID_INIT_INO` of the kernel).
const OUTERMOST: u64 = 0xefff_fffc;

/// Does what the arguments ask for; gives the status of the script.
pub fn run(args: &ScriptArgs) -> Result<ExitCode, Failure> {
    run_to(args, None)
}

/// Runs a script that was made of other arguments, with an output of its own.
pub fn generated(name: &str, text: &str, verbose: u8, output: Output) -> Result<ExitCode, Failure> {
    /// The command line of a script by itself.
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: ScriptArgs,
    }
    let level = (0..verbose).map(|_| "-v");
    let words = [name, "-q", "-e", text].into_iter().chain(level);
    let line = <Line as clap::Parser>::try_parse_from(words).map_err(Failure::run)?;
    run_to(&line.args, Some(output))
}

/// The type of what a function of the kernel returns, if the kernel's types tell and it is a number.
pub fn returns(function: &str) -> Option<String> {
    let machine = Machine::new(None, DebugDirs::default());
    let formats = machine::formats(&machine);
    let prototype = MachineTypes::new(&machine, &formats).function("", function)?;
    let (bytes, signed) = prototype.result.scalar()?;
    Some(format!("{}int{}", if signed { "" } else { "u" }, u32::from(bytes) * 8))
}

fn run_to(args: &ScriptArgs, output: Option<Output>) -> Result<ExitCode, Failure> {
    if let Some(pattern) = &args.list {
        return list::run(pattern, args).map(|()| ExitCode::SUCCESS);
    }
    let input = Input::read(args)?;
    if args.fmt {
        let text =
            format_text(&input.text).map_err(|problems| Failure::expression(&problems, &input.name, &input.text))?;
        return print(&text).map(|()| ExitCode::SUCCESS);
    }
    let child = args.command.as_deref().map(Child::prepare).transpose().map_err(Failure::Run)?;
    let process = args.pid.or(child.as_ref().map(Child::id));
    let wishes = Building {
        loader: &machine::Files,
        process,
        allow_unsafe: args.allow_unsafe,
        warnings: !args.no_warnings,
        lowered: args.dump.contains(&crate::args::StageArg::Ir),
        directories: args.debug_dirs(),
    };
    let built = build(&input, &wishes)?;
    if !args.dump.is_empty() {
        return dump::run(&built, &args.dump).map(|()| ExitCode::SUCCESS);
    }
    let flame = FlameFiles { svg: args.flame.clone(), folded: args.folded.clone() };
    let options = RunOptions {
        process: args.pid,
        child,
        quiet: args.quiet,
        dry_run: args.dry_run,
        flame,
        directories: args.debug_dirs(),
        times: args.verbose > 0,
        ..RunOptions::default()
    };
    let output = output.map_or_else(|| standard(args), Ok)?;
    let status = execute(&input, built, args, options, output)?;
    // The system keeps eight bits.
    Ok(ExitCode::from(status.to_le_bytes()[0]))
}

/// A script as it was given.
pub struct Input {
    /// Its name in messages.
    pub name: String,
    /// The text.
    pub text: String,
    /// `$1`, `$2`, ...
    pub positional: Vec<String>,
    /// `--name=value`.
    pub named: Vec<(String, String)>,
}

/// How a script is compiled.
pub struct Building<'a> {
    /// Where imports come from.
    pub loader: &'a dyn Loader,
    /// The process that alone is traced.
    pub process: Option<u32>,
    /// Whether functions that change what is traced are allowed.
    pub allow_unsafe: bool,
    /// Whether warnings are shown.
    pub warnings: bool,
    /// Whether the module before the optimiser is kept as text.
    pub lowered: bool,
    /// Where debug files of programs are looked for.
    pub directories: DebugDirs,
}

impl Input {
    fn read(args: &ScriptArgs) -> Result<Self, Failure> {
        let (name, text, rest) = match (&args.text, args.words.as_slice()) {
            (Some(text), rest) => ("stdin".to_owned(), text.clone(), rest),
            (None, [file, rest @ ..]) => (file.clone(), read(file)?, rest),
            (None, []) => {
                return Err(Failure::Usage("there is no script: name a file, or give the text with -e".to_owned()));
            }
        };
        let (mut positional, mut named) = (Vec::new(), Vec::new());
        for word in rest {
            match word.strip_prefix("--") {
                Some(word) => {
                    let (name, value) = word.split_once('=').unwrap_or((word, ""));
                    named.push((name.to_owned(), value.to_owned()));
                }
                None => positional.push(word.clone()),
            }
        }
        Ok(Self { name, text, positional, named })
    }
}

fn read(file: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let outcome = match file {
        "-" => std::io::stdin().lock().read_to_end(&mut bytes).map(drop),
        path => fs::read(path).map(|found| bytes = found),
    };
    outcome.map_err(|error| crate::vm::load::unreadable(Path::new(file), &error))?;
    String::from_utf8(bytes).map_err(|_| Failure::Usage(format!("{file}: the script is not text in UTF-8")))
}

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
pub fn build(input: &Input, wishes: &Building<'_>) -> Result<Built, Failure> {
    let mut times = Vec::new();
    let mut last = Instant::now();
    let mut done = |stage| {
        times.push((stage, last.elapsed()));
        last = Instant::now();
    };
    let mut desugared = desugar(&input.text, &machine::options(&input.name, &input.positional, wishes.loader));
    let problems = |list: &[skep_diag::Diagnostic]| {
        let colour = colour_on_stderr();
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
    // What the environment says counts more than what the script says.
    desugared.script.config.extend(settings_of_environment());
    let machine = Machine::new(wishes.process, wishes.directories.clone()).for_script(&desugared.script);
    let formats = machine::formats(&machine);
    let env = Environment {
        name: &input.name,
        text: &input.text,
        types: &MachineTypes::new(&machine, &formats),
        probes: &machine,
        facts: &machine,
        positional: &input.positional,
        named: &input.named,
        allow_unsafe: wishes.allow_unsafe,
        process: wishes.process,
        arch: Arch::default(),
        inner_ids: inner_ids(),
    };
    let mut compiled = compile(&desugared.script, &env).map_err(|list| Failure::Expression(problems(&list)))?;
    if wishes.warnings {
        say_part!("{}", problems(&desugared.diagnostics));
        say_part!("{}", problems(&compiled.warnings));
    }
    done("compile");
    let lowered = wishes.lowered.then(|| compiled.module.to_string());
    skep_opt::optimise(&mut compiled.module, &skep_opt::Options::default());
    done("optimise");
    let object = skep_codegen::compile(&compiled.module, &skep_codegen::Options::default())
        .map_err(|error| Failure::Run(format!("{}: {error}", input.name)))?;
    done("generate");
    Ok(Built { desugared, compiled, lowered, object, times })
}

/// Settings in the environment: `BPFTRACE_MAX_STRLEN=200`.
fn settings_of_environment() -> Vec<(Name, Spanned<Setting>)> {
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    variables.filter_map(|(name, value)| from_environment(&name, &value)).collect()
}

/// Whether this process lives in a process id namespace of its own.
fn inner_ids() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self/ns/pid").is_ok_and(|facts| facts.ino() != OUTERMOST)
}

/// Loads programs and maps.
pub fn load(object: Object, plan: &Plan, verbose: u8) -> Result<Arc<Script>, Failure> {
    let log = if verbose > 1 { LogLevel::Statistics } else { LogLevel::None };
    let others = others(plan)?;
    let targets: Vec<(&str, &LoadedProgram)> = others.iter().map(|(name, other)| (name.as_str(), other)).collect();
    let load = LoadOptions { pins: None, log, targets: &targets, ..LoadOptions::default() };
    let loaded = skep_kernel::load_with(&object, &load).map_err(|error| refused(&error, verbose > 0))?;
    if verbose > 1 {
        loaded.programs.iter().for_each(|program| say_part!("{}: {}", program.name(), program.log().text()));
    }
    let maps = object.maps.into_iter().map(|map| map.name).collect();
    Ok(Arc::new(Script { loaded, maps }))
}

/// Loads and runs.
fn execute(
    input: &Input,
    built: Built,
    args: &ScriptArgs,
    options: RunOptions,
    output: Output,
) -> Result<i32, Failure> {
    let Built { compiled, object, .. } = built;
    let plan = compiled.plan;
    let script = load(object, &plan, args.verbose)?;
    if args.verbose > 0 {
        let routed = plan.probes.iter().filter(|probe| !probe.route.is_empty());
        routed.for_each(|probe| say_part!("{} (line {}): {}\n", probe.name, probe.line, probe.route));
    }
    let mut symbols = MachineSymbols::new(Arc::clone(&script), args.debug_dirs(), plan.settings.demangle);
    options.process.into_iter().for_each(|process| Symbols::learn(&mut symbols, process));
    let names = Names::new(Box::new(symbols), Clock::system());
    let source = Source { name: input.name.clone(), text: input.text.clone() };
    let mut dispatcher = Dispatcher::new(&plan, source, names, output).map_err(Failure::run)?;
    dispatcher.show_warnings(!args.no_warnings);
    let status = skep_trace::run::run(&plan, &script, &mut dispatcher, options).map_err(ended)?;
    let counts = dispatcher.counts();
    if counts.damaged > 0 {
        note(&format!("{} records of programs were damaged and left out", counts.damaged));
    }
    Ok(status)
}

/// The BPF programs that are traced, by the programs that trace them.
fn others(plan: &Plan) -> Result<Vec<(String, LoadedProgram)>, Failure> {
    let mut found = Vec::new();
    for probe in &plan.probes {
        let Attach::Program { id, name, .. } = &probe.attach else { continue };
        let other = match id {
            Some(id) => LoadedProgram::by_id(*id),
            None => find_program(name),
        };
        let failed = |error| Failure::Run(format!("cannot trace `{}` (line {}): {error}", probe.name, probe.line));
        found.push((probe.program.clone(), other.map_err(failed)?));
    }
    Ok(found)
}

fn standard(args: &ScriptArgs) -> Result<Output, Failure> {
    let form = match args.format {
        FormArg::Text => Form::Text,
        FormArg::Json => Form::Json,
    };
    let buffering = match args.buffering {
        BufferArg::Line => Buffering::Line,
        BufferArg::Full => Buffering::Full,
        BufferArg::None => Buffering::None,
    };
    match &args.output {
        Some(path) => Output::file(form, buffering, path).map_err(Failure::run),
        None => Ok(Output::standard(form, buffering)),
    }
}

/// A program that the verifier does not take is shown with what it says.
fn refused(error: &LoadError, all: bool) -> Failure {
    if let LoadError::Program { error: KernelError::Rejected { log, .. }, .. } = error {
        show(log, all);
    }
    Failure::run(error)
}

/// Nobody reading the output any more is an end like any other.
pub fn ended(error: RunError) -> Failure {
    match &error {
        RunError::Event(EventError::Output(output)) if output.kind() == std::io::ErrorKind::BrokenPipe => {
            Failure::ClosedPipe
        }
        _ => Failure::run(error),
    }
}
