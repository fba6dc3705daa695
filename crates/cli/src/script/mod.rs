//! `skep script`: from the text of a script to its end. Compiling is done by `skep_lang_script`, `skep_opt` and
//! `skep_codegen`, running by `skep_trace::run`.

mod build;
mod dump;
mod environment;
mod foreign;
mod list;
mod load;
mod machine;
mod options;

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use skep_lang_script::format_text;
use skep_lang_script::plan::Plan;
use skep_lang_script::types::TypeSource as _;
use skep_object::Program;
use skep_sym::DebugDirs;
use skep_trace::events::{Buffering, Dispatcher, EventError, Form, Output, Script as Source};
use skep_trace::flame::FlameFiles;
use skep_trace::names::{Clock, Names, Symbols};
use skep_trace::run::{Child, LocalScript, MachineSymbols, RunError, RunOptions};
use skep_vm::ebpf::Setup;

use crate::args::{ALL_PLACES, BufferArg, FeaturesArgs, FormArg, ScriptArgs, StageArg, is_bpftrace};
use crate::failure::{Failure, note, say_part};
use crate::text::print;
use crate::verify::gate::{Aim, Gate};
use build::Built;
pub use build::{Building, build};
pub use load::load;
use machine::{Files, Machine, MachineTypes};
use options::Task;

/// The release of bpftrace whose language this is.
const LANGUAGE: &str = "0.27";

/// Does what the arguments ask for; gives the status of the script.
pub fn run(args: &ScriptArgs) -> ExitCode {
    let words: Vec<_> = std::env::args_os().take(1).collect();
    match start(args, None) {
        Ok(status) => status,
        // bpftrace has one status for everything but loading and attaching.
        Err(failure @ (Failure::Usage(_) | Failure::Expression(_))) if is_bpftrace(&words) => {
            failure.report();
            ExitCode::FAILURE
        }
        Err(failure) => failure.report(),
    }
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
    start(&line.args, Some(output))
}

/// The type of what a function of the kernel returns, if the kernel's types tell and it is a number.
pub fn returns(function: &str) -> Option<String> {
    let machine = Machine::new(None, DebugDirs::default());
    let formats = machine::formats(&machine);
    let prototype = MachineTypes::new(&machine, &formats).function("", function)?;
    let (bytes, signed) = prototype.result.scalar()?;
    Some(format!("{}int{}", if signed { "" } else { "u" }, u32::from(bytes) * 8))
}

/// The output is that of the arguments if there is no other.
fn start(args: &ScriptArgs, output: Option<Output>) -> Result<ExitCode, Failure> {
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
    let files = Files { directories: &args.include_dirs };
    let wishes = Building::of(args, task, process, &files)?;
    if task == Task::CompilerBench {
        return bench_compiler(&input, &wishes).map(done);
    }
    let built = build(&input, &wishes)?;
    if args.list.is_some() {
        return list::probes(&built.compiled.plan).map(done);
    }
    if let Some(path) = &args.emit_elf {
        return emit(&built, args, path).map(done);
    }
    if args.dump == [StageArg::Verifier] {
        return print(&load::verifier(built.object, &built.compiled.plan, args.verbose)?).map(done);
    }
    if !args.dump.is_empty() {
        return dump::run(&built, &args.dump).map(done);
    }
    let Task::Run(mode) = task else { return Ok(ExitCode::SUCCESS) };
    let options = RunOptions {
        process: args.pid,
        child,
        quiet: args.quiet,
        dry_run: args.dry_run,
        flame: FlameFiles { svg: args.flame.clone(), folded: args.folded.clone() },
        directories: args.debug_dirs(),
        times: args.verbose > 0,
        mode,
        ..RunOptions::default()
    };
    let output = output.map_or_else(|| standard(args), Ok)?;
    let status = execute(input, built, args, options, output)?;
    // The system keeps eight bits.
    Ok(ExitCode::from(status.to_le_bytes()[0]))
}

fn version() -> String {
    format!("skep {} (language of bpftrace {LANGUAGE})\n", env!("CARGO_PKG_VERSION"))
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

/// Writes programs and maps to a file, if a kernel would load them.
fn emit(built: &Built, args: &ScriptArgs, path: &Path) -> Result<(), Failure> {
    if !args.no_verify {
        let title = |program: &Program| load::title(&built.compiled.plan, &program.name);
        Gate { aim: Aim::Here, types: None, title: &title }.pass(&built.object, args.verbose > 0)?;
    }
    let bytes =
        built.object.to_elf().map_err(|error| Failure::Run(format!("cannot write {}: {error}", path.display())))?;
    fs::write(path, bytes).map_err(|error| Failure::Run(format!("cannot write {}: {}", path.display(), error.kind())))
}

/// Compiles again and again, and prints the shortest time of each stage.
fn bench_compiler(input: &Input, wishes: &Building<'_>) -> Result<(), Failure> {
    const ROUNDS: usize = 10;
    let mut best: Vec<(&'static str, Duration)> = Vec::new();
    for _ in 0..ROUNDS {
        let times = build(input, wishes)?.times;
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
fn execute(input: Input, built: Built, args: &ScriptArgs, options: RunOptions, output: Output) -> Result<i32, Failure> {
    let Built { compiled, object, .. } = built;
    let plan = compiled.plan;
    let symbols = |script| MachineSymbols::new(script, args.debug_dirs(), plan.settings.demangle);
    let names = |symbols: MachineSymbols| Names::new(Box::new(symbols), Clock::system());
    let source = Source { name: input.name, text: input.text };
    if args.vm {
        let maps = object.maps.iter().map(|map| map.name.clone()).collect();
        let mut script = LocalScript::load(Setup::of(&object), maps, &plan).map_err(ended)?;
        let mut dispatcher = Dispatcher::new(&plan, source, names(symbols(None)), output).map_err(Failure::run)?;
        dispatcher.show_warnings(!args.no_warnings);
        let status = skep_trace::run::run_here(&plan, &mut script, &mut dispatcher, options);
        return conclude(status, &mut dispatcher, args);
    }
    let script = load(object, &plan, args.verbose)?;
    if args.verbose > 0 {
        say_routes(&plan);
    }
    let mut symbols = symbols(Some(Arc::clone(&script)));
    options.process.into_iter().for_each(|process| Symbols::learn(&mut symbols, process));
    let mut dispatcher = Dispatcher::new(&plan, source, names(symbols), output).map_err(Failure::run)?;
    dispatcher.show_warnings(!args.no_warnings);
    let status = skep_trace::run::run(&plan, &script, &mut dispatcher, options);
    conclude(status, &mut dispatcher, args)
}

/// Which ways were taken instead of those that are written.
fn say_routes(plan: &Plan) {
    let routed = plan.probes.iter().filter(|probe| !probe.route.is_empty());
    routed.for_each(|probe| say_part!("{} (line {}): {}\n", probe.name, probe.line, probe.route));
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

fn standard(args: &ScriptArgs) -> Result<Output, Failure> {
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

/// Nobody reading the output any more is an end like any other.
pub fn ended(error: RunError) -> Failure {
    match &error {
        RunError::Event(EventError::Output(output)) if output.kind() == std::io::ErrorKind::BrokenPipe => {
            Failure::ClosedPipe
        }
        RunError::Attach { .. } | RunError::NeedsKernel(_) => Failure::Attach(error.to_string()),
        _ => Failure::run(error),
    }
}
