//! `skep doctor`: the collectors of `skep_tools::doctor`, compiled, loaded and run together for some seconds.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Instant;

use skep_kernel::{Capability, Watch, has_capability};
use skep_lang_script::plan::Plan;
use skep_sym::DebugDirs;
use skep_tools::doctor::{
    COLLECTORS, Collector, GroupTime, Notes, Report, Scope, Seen, Skipped, diagnose, pressure, script, throttled,
};
use skep_tools::filters::{Imports, Wanted, container, groups, hierarchy, namespace_file};
use skep_tools::netfilter::{Timed, Timers};
use skep_trace::events::{Buffering, Dispatcher, Form, Output, Script as Source};
use skep_trace::names::{Clock, Names};
use skep_trace::run::{MachineSymbols, RunOptions, Script};

use crate::args::DoctorArgs;
use crate::failure::Failure;
use crate::script::{Building, Input, build, ended, load};
use crate::text::print;

/// `SIGINT`, `SIGTERM`, `SIGHUP` (signal(7)): they end it in good order.
const ENDING: [i32; 3] = [2, 15, 1];

/// Looks and reports.
pub fn run(args: &DoctorArgs) -> Result<(), Failure> {
    if args.list {
        let rows = COLLECTORS.iter().map(|collector| format!("{:14} {}\n", collector.name, collector.about));
        return print(&rows.collect::<String>());
    }
    let wanted = wanted(args)?;
    let mut skipped = Vec::new();
    let mut chosen = chosen(args, &wanted, &mut skipped)?;
    if args.source {
        return print(&script(&chosen).unwrap_or_default());
    }
    let may = has_capability(Capability::SysAdmin);
    if !may {
        return Err(Failure::Run("doctor needs CAP_SYS_ADMIN: run it as root".to_owned()));
    }
    let compiled = compile(&mut chosen, &mut skipped, &wanted, args.verbose)?;
    let has = |name: &str| chosen.iter().any(|collector| collector.name == name);
    let mut timers = None;
    if has("rules") {
        let namespace = args.netns.and_then(namespace_file);
        match Timers::start(Timed { namespace: namespace.as_ref(), ..Timed::default() }) {
            Ok(found) => timers = Some(found),
            Err(why) => skipped.push(Skipped { name: "rules", why: format!("{why}; samples of processors tell less") }),
        }
    }
    let root = has("groups").then(|| args.cgroup.clone().or_else(hierarchy)).flatten();
    let limits = || root.as_deref().map(throttled).unwrap_or_default();
    let (limits_before, pressure_before, begin) = (limits(), pressure(), Instant::now());
    let notes = Notes::default();
    match compiled {
        Some(compiled) => attached(&compiled, args, &notes)?,
        None => {
            let watch = Watch::new(&ENDING).map_err(Failure::run)?;
            watch.wait(Some(args.duration)).map_err(Failure::run)?;
        }
    }
    let whole = begin.elapsed();
    // Attaching and detaching take time as well.
    let window = notes.begin().unwrap_or(begin).elapsed().min(args.duration);
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let seen = Seen {
        window,
        processors: u32::try_from(processors).unwrap_or(u32::MAX),
        own: std::process::id(),
        facts: notes.take(),
        hooks: timers.as_mut().map(Timers::read).transpose().map_err(Failure::Run)?.unwrap_or_default(),
        groups: GroupTime::between(&limits_before, &limits()),
        pressure: pressure_before.until(pressure(), whole),
    };
    let findings = diagnose(&chosen, &seen);
    let report = Report {
        window,
        processors: seen.processors,
        whose: &whose(&wanted),
        collectors: &chosen,
        skipped: &skipped,
        pressure: seen.pressure,
        findings: &findings,
    };
    print(&if args.json { report.json() } else { report.text() })
}

fn wanted(args: &DoctorArgs) -> Result<Wanted, Failure> {
    let below = args.cgroup.as_deref().map(groups).transpose().map_err(Failure::Usage)?.unwrap_or_default();
    let inside = args.container.as_deref().map(container).transpose().map_err(Failure::Usage)?.unwrap_or_default();
    Ok(Wanted {
        pids: args.pids.clone(),
        comms: args.comms.clone(),
        uids: args.uids.clone(),
        cgroups: below.into_iter().chain(inside).collect(),
        netns: args.netns.into_iter().collect(),
    })
}

/// Whose events are looked at, in words.
fn whose(wanted: &Wanted) -> String {
    let mut parts = Vec::new();
    let mut add = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            parts.push(format!("{name} {}", values.join(", ")));
        }
    };
    add("processes", wanted.pids.iter().map(ToString::to_string).collect());
    add("threads with the name", wanted.comms.clone());
    add("users", wanted.uids.iter().map(ToString::to_string).collect());
    add("control groups", wanted.cgroups.iter().map(ToString::to_string).collect());
    add("the network namespace", wanted.netns.iter().map(ToString::to_string).collect());
    if parts.is_empty() { "the whole machine".to_owned() } else { parts.join(" and ") }
}

/// The collectors that are asked for. Those that cannot tell whose events they see are left out if that matters.
fn chosen(args: &DoctorArgs, wanted: &Wanted, skipped: &mut Vec<Skipped>) -> Result<Vec<&'static Collector>, Failure> {
    if let Some(name) = args.only.iter().find(|name| !COLLECTORS.iter().any(|collector| collector.name == **name)) {
        let text = format!("--only {name}: there is no such collector; `skep doctor --list` names them");
        return Err(Failure::Usage(text));
    }
    let processes = *wanted != Wanted { netns: wanted.netns.clone(), ..Wanted::default() };
    let mut found = Vec::new();
    for collector in COLLECTORS {
        let named = args.only.iter().any(|name| name == collector.name);
        if !named && !args.only.is_empty() {
            continue;
        }
        let fits = match collector.scope {
            Scope::Processes => true,
            Scope::Network => !processes,
            Scope::Machine => !processes && wanted.netns.is_empty(),
        };
        // The limits of a group are its own.
        if fits || named || (collector.name == "groups" && args.cgroup.is_some()) {
            found.push(collector);
        } else {
            let why = "it does not know to whom belongs what it sees; name it with --only to look all the same";
            skipped.push(Skipped { name: collector.name, why: why.to_owned() });
        }
    }
    Ok(found)
}

/// Programs in the kernel, and what they are for.
struct Compiled {
    text: String,
    plan: Plan,
    script: Arc<Script>,
}

/// The script of all these collectors, loaded. If that fails each is tried alone, and those that fail are left out.
fn compile(
    chosen: &mut Vec<&'static Collector>,
    skipped: &mut Vec<Skipped>,
    wanted: &Wanted,
    verbose: u8,
) -> Result<Option<Compiled>, Failure> {
    if let Ok(compiled) = together(chosen, wanted, 0) {
        return Ok(compiled);
    }
    let mut left = Vec::new();
    for collector in chosen.drain(..) {
        match together(&[collector], wanted, verbose) {
            Ok(_) => left.push(collector),
            Err(failure) => skipped.push(Skipped { name: collector.name, why: failure.line() }),
        }
    }
    *chosen = left;
    together(chosen, wanted, verbose)
}

fn together(collectors: &[&Collector], wanted: &Wanted, verbose: u8) -> Result<Option<Compiled>, Failure> {
    let Some(text) = script(collectors) else { return Ok(None) };
    let input = Input { name: "doctor".to_owned(), text, positional: Vec::new(), named: Vec::new() };
    let imports = Imports { filters: wanted.script(), directory: None };
    let built = build(&input, &Building { warnings: verbose > 0, ..Building::new(&imports) })?;
    let plan = built.compiled.plan;
    let script = load(built.object, &plan, verbose)?;
    Ok(Some(Compiled { text: input.text, plan, script }))
}

/// Attaches, waits, and takes note of what the script prints.
fn attached(compiled: &Compiled, args: &DoctorArgs, notes: &Notes) -> Result<(), Failure> {
    let Compiled { text, plan, script } = compiled;
    let symbols = MachineSymbols::new(Some(Arc::clone(script)), DebugDirs::default(), plan.settings.demangle);
    let names = Names::new(Box::new(symbols), Clock::system());
    let source = Source { name: "doctor".to_owned(), text: text.clone() };
    let output = Output::standard(Form::Text, Buffering::Line);
    let mut dispatcher = Dispatcher::new(plan, source, names, output).map_err(Failure::run)?;
    dispatcher.send_to(Box::new(notes.clone()));
    let options = RunOptions { quiet: true, duration: Some(args.duration), ..RunOptions::default() };
    skep_trace::run::run(plan, script, &mut dispatcher, options).map(|_| ()).map_err(ended)
}
