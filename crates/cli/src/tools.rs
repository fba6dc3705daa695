//! `skep tools` and `skep NAME`: the tools of `skep_tools`, compiled and run like any script.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use skep_kernel::attach::Tracefs;
use skep_kernel::{Capability, has_capability};
use skep_sym::DebugDirs;
use skep_tools::catalogue::{Catalogue, Made, Tool, directories};
use skep_tools::command::{Selection, parse};
use skep_tools::filters::Imports;
use skep_tools::metrics::Totals;
use skep_tools::recording::{Recorder, read};
use skep_tools::view::View;
use skep_tools::viewer::Viewer;
use skep_trace::events::{Buffering, Dispatcher, Flow, Form, Output, Script as Source};
use skep_trace::names::{Clock, Names, NoSymbols};
use skep_trace::run::{Child, MachineSymbols, RunOptions};

use crate::args::{ToolArgs, ToolsArgs, answer};
use crate::failure::{Failure, note};
use crate::nflat;
use crate::script::{Building, Input, build, ended, load};
use crate::text::{TextOut, print};

/// Lists the tools by their questions.
pub fn list(args: &ToolsArgs) -> Result<(), Failure> {
    let all = Catalogue::with(&directories(args.tools_path.as_deref()));
    all.problems.iter().for_each(|problem| note(problem));
    print(&all.list())
}

/// Runs a tool; gives the status of its script.
pub fn run(args: &ToolArgs) -> Result<ExitCode, Failure> {
    let all = Catalogue::with(&directories(args.tools_path.as_deref()));
    let Some(tool) = all.find(&args.name) else {
        all.problems.iter().for_each(|problem| note(problem));
        return Err(Failure::Usage(format!("there is no tool `{}`; `skep tools` lists them", args.name)));
    };
    let selection = match parse(tool, &args.words) {
        Ok(selection) => selection,
        Err(text) => return Ok(answer(&text)),
    };
    if selection.source {
        return print(&tool.text).map(|()| ExitCode::SUCCESS);
    }
    let mut view = View::new(&tool.header.columns, selection.wishes.clone()).map_err(Failure::Usage)?;
    let flame = selection.flame.as_ref().map(|path| (path, view.keep_stacks()));
    let recorder = selection.write.as_deref().map(|path| recorder(tool, path)).transpose()?;
    let mut viewer = Viewer::new(&tool.header.columns, view, recorder, selection.count);
    viewer.add_up(selection.metrics.then(|| Totals::new(&tool.header)).flatten());
    let status = match (&selection.read, tool.made) {
        (Some(path), _) => replay(tool, viewer, path).map(|()| ExitCode::SUCCESS),
        (None, Made::Script) => trace(tool, &selection, viewer),
        (None, Made::Netfilter) => nflat::trace(&selection, viewer).map(|()| ExitCode::SUCCESS),
    }?;
    if let Some((path, stacks)) = flame {
        let picture = stacks.borrow().svg(&format!("skep {}", tool.header.name));
        std::fs::write(path, picture)
            .map_err(|error| Failure::Run(format!("cannot write `{}`: {}", path.display(), error.kind())))?;
    }
    Ok(status)
}

fn recorder(tool: &Tool, path: &Path) -> Result<Recorder, Failure> {
    let failed = |error: std::io::Error| Failure::Run(format!("cannot write `{}`: {}", path.display(), error.kind()));
    let to: Box<dyn Write> = match path.to_str() {
        Some("-") => Box::new(std::io::stdout()),
        _ => Box::new(BufWriter::new(File::create(path).map_err(failed)?)),
    };
    Recorder::new(&tool.header.name, to).map_err(failed)
}

/// Shows a recording.
fn replay(tool: &Tool, mut viewer: Viewer, path: &Path) -> Result<(), Failure> {
    let file = File::open(path).map_err(|error| crate::vm::load::unreadable(path, &error))?;
    let mut names = Names::new(Box::new(NoSymbols), Clock::system());
    let mut out = TextOut::stdout(false)?;
    let (mut enough, mut failure) = (false, None);
    let outcome = read(&tool.header.name, &tool.header.columns, BufReader::new(file), |part| {
        if !enough {
            enough = viewer.part(part, &mut names, &mut out.buffer) != Flow::Continue;
            if let Err(error) = out.line_done() {
                failure.get_or_insert(error);
                return Err(String::new());
            }
        }
        Ok(())
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    outcome.map_err(|problem| Failure::Run(format!("{}: {problem}", path.display())))?;
    viewer.part(skep_tools::recording::Part::Interval, &mut names, &mut out.buffer);
    out.flush()
}

/// What is missing for a tool, before the compiler stumbles over it.
fn check(tool: &Tool) -> Result<(), Failure> {
    let may = has_capability(Capability::SysAdmin)
        || (has_capability(Capability::Bpf) && has_capability(Capability::Perfmon));
    if !may {
        let text = format!("{} needs CAP_BPF and CAP_PERFMON: run it as root", tool.header.name);
        return Err(Failure::Run(text));
    }
    if tool.needs_tracefs() {
        Tracefs::find().map_err(|error| Failure::Run(format!("{}: {error}", tool.header.name)))?;
    }
    Ok(())
}

/// Compiles, loads and runs.
fn trace(tool: &Tool, selection: &Selection, viewer: Viewer) -> Result<ExitCode, Failure> {
    check(tool)?;
    let name = tool
        .path
        .as_deref()
        .map_or_else(|| format!("tools/{}.bt", tool.header.name), |path| path.display().to_string());
    let child = selection.command.as_deref().map(Child::prepare).transpose().map_err(Failure::Run)?;
    let mut wanted = selection.wanted.clone();
    wanted.pids.extend(child.as_ref().map(Child::id));
    let input = |text| Input { name: name.clone(), text, positional: Vec::new(), named: selection.named.clone() };
    let directory = tool.path.as_deref().and_then(Path::parent).map(Path::to_owned);
    let imports = Imports { filters: wanted.script(), directory };
    // Probes that can be are placed only into the process that is wanted: what others do costs nothing.
    let process = match *wanted.pids {
        [pid] if tool.looks_at_programs() => Some(pid),
        _ => None,
    };
    let wishes = Building { warnings: selection.verbose > 0, process, ..Building::new(&imports) };
    // Whether a column is a number is known by who compiles: if it is not, its condition waits for the row.
    let pushed = selection.pushed(tool).map(input);
    let pushed = pushed.and_then(|input| build(&input, &wishes).ok().map(|built| (input, built)));
    let (input, built) = match pushed {
        Some(pushed) => pushed,
        None => {
            let input = input(selection.script(tool));
            let built = build(&input, &wishes)?;
            (input, built)
        }
    };
    let plan = built.compiled.plan;
    let script = load(built.object, &plan, selection.verbose)?;
    let names = Names::new(
        Box::new(MachineSymbols::new(Some(Arc::clone(&script)), DebugDirs::default(), plan.settings.demangle)),
        Clock::system(),
    );
    let source = Source { name: input.name, text: input.text };
    let output = Output::standard(Form::Text, Buffering::Line);
    let mut dispatcher = Dispatcher::new(&plan, source, names, output).map_err(Failure::run)?;
    let problem = viewer.problem();
    dispatcher.send_to(Box::new(viewer));
    let options = RunOptions {
        quiet: true,
        process: process.filter(|_| child.is_none()),
        child,
        duration: selection.duration,
        every: selection.every,
        rounds: selection.rounds,
        ..RunOptions::default()
    };
    let status = skep_trace::run::run(&plan, &script, &mut dispatcher, options).map_err(ended)?;
    if let Some(error) = problem.borrow_mut().take() {
        return Err(Failure::Run(format!("cannot write the recording: {}", error.kind())));
    }
    // The system keeps eight bits.
    Ok(ExitCode::from(status.to_le_bytes()[0]))
}
