//! `skep script`: from the text of a script to its end. Compiling is done by `skep_lang_script`, `skep_opt` and
//! `skep_codegen`, running by `skep_trace::run`.

mod build;
mod dump;
mod environment;
mod list;
mod machine;
mod options;

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use skep_kernel::{KernelError, LoadError, LoadOptions, LogLevel};
use skep_lang_script::format_text;
use skep_lang_script::plan::Plan;
use skep_object::Object;
use skep_trace::events::{Buffering, Dispatcher, EventError, Form, Output, Script as Source};
use skep_trace::names::{Clock, Names};
use skep_trace::run::{Child, LocalScript, MachineSymbols, RunError, RunOptions, Script};
use skep_vm::ebpf::Setup;

use crate::args::{ALL_PLACES, BufferArg, FeaturesArgs, FormArg, ScriptArgs, StageArg, is_bpftrace};
use crate::failure::{Failure, note, say_part};
use crate::object::show;
use crate::text::print;
use build::{Built, build};
use options::Task;

/// The release of bpftrace whose language this is.
const LANGUAGE: &str = "0.27";

/// Does what the arguments ask for; gives the status of the script.
pub fn run(args: &ScriptArgs) -> ExitCode {
    let words: Vec<_> = std::env::args_os().take(1).collect();
    match start(args) {
        Ok(status) => status,
        // bpftrace has one status for everything but loading and attaching.
        Err(failure @ (Failure::Usage(_) | Failure::Expression(_))) if is_bpftrace(&words) => {
            failure.report();
            ExitCode::FAILURE
        }
        Err(failure) => failure.report(),
    }
}

fn start(args: &ScriptArgs) -> Result<ExitCode, Failure> {
    let done = |()| ExitCode::SUCCESS;
    options::refuse(args)?;
    if args.version {
        return print(&version()).map(done);
    }
    if args.info {
        print(&version())?;
        let all = FeaturesArgs { filter: None, all: false, helpers: false, json: false };
        return crate::features::run(&all).map(done);
    }
    if let (Some(pattern), None) = (args.listed(), &args.text)
        && !Path::new(pattern).is_file()
    {
        return list::run(pattern, args).map(done);
    }
    let input = Input::read(args)?;
    let task = Task::of(args);
    if task == Task::Format {
        let problems = |list: Vec<_>| Failure::expression(&list, &input.name, &input.text);
        return print(&format_text(&input.text).map_err(problems)?).map(done);
    }
    let child = args.command.as_deref().map(Child::prepare).transpose().map_err(Failure::Run)?;
    let process = args.pid.or(child.as_ref().map(Child::id));
    if task == Task::CompilerBench {
        return bench_compiler(&input, args, process).map(done);
    }
    let built = build(&input, args, task, process)?;
    if args.list.is_some() {
        return list::probes(&built.compiled.plan).map(done);
    }
    if let Some(path) = &args.emit_elf {
        return emit(&built.object, path).map(done);
    }
    if !args.dump.is_empty() && args.dump != [StageArg::Verifier] {
        return dump::run(&built, &args.dump).map(done);
    }
    let Task::Run(mode) = task else { return Ok(ExitCode::SUCCESS) };
    let options = RunOptions { process: args.pid, child, quiet: args.quiet, dry_run: args.dry_run, mode };
    let status = execute(&input, built, args, options)?;
    // The system keeps eight bits.
    Ok(ExitCode::from(status.to_le_bytes()[0]))
}

fn version() -> String {
    format!("skep {} (language of bpftrace {LANGUAGE})\n", env!("CARGO_PKG_VERSION"))
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
        // A script whose probes are to be listed stands behind `-l`.
        let listed = args.list.as_ref().filter(|pattern| args.text.is_none() && *pattern != ALL_PLACES);
        let words: Vec<&String> = listed.into_iter().chain(&args.words).collect();
        let (name, text, rest) = match (&args.text, words.as_slice()) {
            (Some(text), rest) => ("stdin".to_owned(), text.clone(), rest),
            (None, [file, rest @ ..]) if *file == "-" => ("stdin".to_owned(), read(file)?, rest),
            (None, [file, rest @ ..]) => ((*file).clone(), read(file)?, rest),
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
                None => positional.push((*word).clone()),
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

/// Writes programs and maps to a file.
fn emit(object: &Object, path: &Path) -> Result<(), Failure> {
    let bytes = object.to_elf().map_err(|error| Failure::Run(format!("cannot write {}: {error}", path.display())))?;
    fs::write(path, bytes).map_err(|error| Failure::Run(format!("cannot write {}: {}", path.display(), error.kind())))
}

/// Compiles again and again, and prints the shortest time of each stage.
fn bench_compiler(input: &Input, args: &ScriptArgs, process: Option<u32>) -> Result<(), Failure> {
    const ROUNDS: usize = 10;
    let mut best: Vec<(&'static str, Duration)> = Vec::new();
    for _ in 0..ROUNDS {
        let times = build(input, args, Task::CompilerBench, process)?.times;
        for (index, (stage, time)) in times.into_iter().enumerate() {
            match best.get_mut(index) {
                Some(known) => known.1 = known.1.min(time),
                None => best.push((stage, time)),
            }
        }
    }
    print(&dump::times(&best))
}

/// Loads and runs.
fn execute(input: &Input, built: Built, args: &ScriptArgs, options: RunOptions) -> Result<i32, Failure> {
    let Built { compiled, object, .. } = built;
    let plan = compiled.plan;
    if args.vm {
        let maps = object.maps.iter().map(|map| map.name.clone()).collect();
        let mut script = LocalScript::load(Setup::of(&object), maps, &plan).map_err(ended)?;
        let mut dispatcher = dispatcher(input, &plan, args, MachineSymbols::new(None))?;
        let status = skep_trace::run::run_here(&plan, &mut script, &mut dispatcher, options);
        return conclude(status, &mut dispatcher, args);
    }
    let only_log = !args.dump.is_empty();
    let log = if args.verbose > 1 || only_log { LogLevel::Statistics } else { LogLevel::None };
    let load = LoadOptions { pins: None, log, ..LoadOptions::default() };
    let loaded = skep_kernel::load_with(&object, &load).map_err(|error| refused(&error, args.verbose > 0))?;
    if only_log {
        let logs: Vec<String> =
            loaded.programs.iter().map(|program| format!("{}: {}", program.name(), program.log().text())).collect();
        return print(&logs.concat()).map(|()| 0);
    }
    if args.verbose > 1 {
        loaded.programs.iter().for_each(|program| say_part!("{}: {}", program.name(), program.log().text()));
    }
    let maps = object.maps.into_iter().map(|map| map.name).collect();
    let script = Arc::new(Script { loaded, maps });
    let mut symbols = MachineSymbols::new(Some(Arc::clone(&script)));
    options.process.into_iter().for_each(|process| symbols.learn(process));
    let mut dispatcher = dispatcher(input, &plan, args, symbols)?;
    let status = skep_trace::run::run(&plan, &script, &mut dispatcher, options);
    conclude(status, &mut dispatcher, args)
}

fn dispatcher<'p>(
    input: &Input,
    plan: &'p Plan,
    args: &ScriptArgs,
    symbols: MachineSymbols,
) -> Result<Dispatcher<'p>, Failure> {
    let names = Names::new(Box::new(symbols), Clock::system());
    let source = Source { name: input.name.clone(), text: input.text.clone() };
    let mut dispatcher = Dispatcher::new(plan, source, names, output(args)?).map_err(Failure::run)?;
    dispatcher.show_warnings(!args.no_warnings);
    Ok(dispatcher)
}

/// Says what became of records that were not printed.
fn conclude(status: Result<i32, RunError>, dispatcher: &mut Dispatcher<'_>, args: &ScriptArgs) -> Result<i32, Failure> {
    let status = status.map_err(ended)?;
    if args.verbose > 0 {
        dispatcher.say_left_out().map_err(Failure::run)?;
    }
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
        FormArg::Table => Form::Table,
        FormArg::Csv => Form::Csv,
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
    Failure::Attach(error.to_string())
}

/// Nobody reading the output any more is an end like any other.
fn ended(error: RunError) -> Failure {
    match &error {
        RunError::Event(EventError::Output(output)) if output.kind() == std::io::ErrorKind::BrokenPipe => {
            Failure::ClosedPipe
        }
        RunError::Attach { .. } | RunError::NeedsKernel(_) => Failure::Attach(error.to_string()),
        _ => Failure::run(error),
    }
}
