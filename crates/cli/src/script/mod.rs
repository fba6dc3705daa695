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

use skep_isa::ebpf::{Cpu, Endian};
use skep_kernel::{KernelError, LoadError, LoadOptions, LogLevel};
use skep_lang_script::compile::{Compiled, Environment};
use skep_lang_script::registers::Arch;
use skep_lang_script::{Desugared, compile, desugar, format_text};
use skep_object::Object;
use skep_trace::events::{Buffering, Dispatcher, EventError, Form, Output, Script as Source};
use skep_trace::names::{Clock, Names};
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
    let built = build(&input, args, process)?;
    if !args.dump.is_empty() {
        return dump::run(&built, &args.dump).map(|()| ExitCode::SUCCESS);
    }
    let options = RunOptions { process: args.pid, child, quiet: args.quiet, dry_run: args.dry_run };
    let status = execute(&input, built, args, options)?;
    // The system keeps eight bits.
    Ok(ExitCode::from(status.to_le_bytes()[0]))
}

/// A script as it was given.
struct Input {
    name: String,
    text: String,
    positional: Vec<String>,
    named: Vec<(String, String)>,
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
    /// How long each stage took, and then each pass of the optimiser.
    pub times: Vec<(&'static str, Duration)>,
}

/// Text to programs and plan.
fn build(input: &Input, args: &ScriptArgs, process: Option<u32>) -> Result<Built, Failure> {
    let mut times = Vec::new();
    let mut last = Instant::now();
    let mut done = |stage| {
        times.push((stage, last.elapsed()));
        last = Instant::now();
    };
    let desugared = desugar(&input.text, &machine::options(&input.name, &input.positional));
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
    let machine = Machine::new(process);
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
        inner_ids: inner_ids(),
    };
    let mut compiled = compile(&desugared.script, &env).map_err(|list| Failure::Expression(problems(&list)))?;
    if !args.no_warnings {
        say_part!("{}", problems(&desugared.diagnostics));
        say_part!("{}", problems(&compiled.warnings));
    }
    done("compile");
    let lowered = args.dump.contains(&crate::args::StageArg::Ir).then(|| compiled.module.to_string());
    let (passes, code) = target();
    let report = skep_opt::optimise(&mut compiled.module, &passes);
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

/// What code is made for: the running kernel and its processor.
fn target() -> (skep_opt::Options, skep_codegen::Options) {
    let cpu = Cpu::from_number(skep_kernel::probe::instruction_set()).unwrap_or(Cpu::V3);
    let passes = skep_opt::Options { cpu: cpu.number(), ..skep_opt::Options::compact() };
    (passes, skep_codegen::Options { cpu, endian: Endian::NATIVE })
}

/// Whether this process lives in a process id namespace of its own.
fn inner_ids() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self/ns/pid").is_ok_and(|facts| facts.ino() != OUTERMOST)
}

/// Loads and runs.
fn execute(input: &Input, built: Built, args: &ScriptArgs, options: RunOptions) -> Result<i32, Failure> {
    let Built { compiled, object, .. } = built;
    let plan = compiled.plan;
    let log = if args.verbose > 1 { LogLevel::Statistics } else { LogLevel::None };
    let load = LoadOptions { pins: None, log, ..LoadOptions::default() };
    let loaded = skep_kernel::load_with(&object, &load).map_err(|error| refused(&error, args.verbose > 0))?;
    if args.verbose > 1 {
        loaded.programs.iter().for_each(|program| say_part!("{}: {}", program.name(), program.log().text()));
    }
    let maps = object.maps.into_iter().map(|map| map.name).collect();
    let script = Arc::new(Script { loaded, maps });
    let mut symbols = MachineSymbols::new(Arc::clone(&script));
    options.process.into_iter().for_each(|process| symbols.learn(process));
    let names = Names::new(Box::new(symbols), Clock::system());
    let source = Source { name: input.name.clone(), text: input.text.clone() };
    let mut dispatcher = Dispatcher::new(&plan, source, names, output(args)?).map_err(Failure::run)?;
    dispatcher.show_warnings(!args.no_warnings);
    let status = skep_trace::run::run(&plan, &script, &mut dispatcher, options).map_err(ended)?;
    let counts = dispatcher.counts();
    if counts.damaged > 0 {
        note(&format!("{} records of programs were damaged and left out", counts.damaged));
    }
    Ok(status)
}

fn output(args: &ScriptArgs) -> Result<Output, Failure> {
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
fn ended(error: RunError) -> Failure {
    match &error {
        RunError::Event(EventError::Output(output)) if output.kind() == std::io::ErrorKind::BrokenPipe => {
            Failure::ClosedPipe
        }
        _ => Failure::run(error),
    }
}
