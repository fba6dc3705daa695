//! `skep trace`, `argdist`, `funccount` and their like: arguments to a script, which `skep script` runs, and its output
//! in the forms of the tools. The translation is in `skep_lang_probe`.

use std::cell::RefCell;
use std::io::{self, BufWriter, Stdout, Write};
use std::process::ExitCode;
use std::rc::Rc;

use skep_lang_probe::argdist::{self, Form as Distribution};
use skep_lang_probe::count::{self, Stacks};
use skep_lang_probe::latency::{self, Slower, Unit};
use skep_lang_probe::report::Report;
use skep_lang_probe::trace::{self, Facts, Stamp};
use skep_lang_probe::{Filter, Problem, Translated};
use skep_trace::events::{Buffering, Form, Output};

use crate::args::{
    ArgdistArgs, FunccountArgs, FuncintervalArgs, FunclatencyArgs, FuncslowerArgs, PatternArgs, StackcountArgs,
    TraceArgs, WhoArgs,
};
use crate::failure::Failure;
use crate::script;
use crate::text::print;

/// The kernel's types tell what functions return.
struct Kernel;

impl Facts for Kernel {
    fn returns(&self, function: &str) -> Option<String> {
        script::returns(function)
    }
}

fn filter(who: &WhoArgs) -> Filter {
    Filter { pid: who.pid, uid: who.uid, cgroup: who.cgroup.clone(), ..Filter::default() }
}

/// `skep trace`.
pub fn trace(args: &TraceArgs) -> Result<ExitCode, Failure> {
    let stamp = match (args.time, args.timestamp, args.unix_timestamp) {
        (true, _, _) => Stamp::Clock,
        (_, _, true) => Stamp::Unix,
        (_, true, _) => Stamp::Elapsed,
        _ => Stamp::None,
    };
    let options = trace::Options {
        filter: Filter {
            tid: args.tid,
            comm: args.name.clone(),
            not_pid: (!args.include_self).then(std::process::id),
            ..filter(&args.who)
        },
        string_size: args.string_size,
        max_events: args.max_events,
        stamp,
        cpu: args.print_cpu,
        message: args.msg_filter.clone(),
        binary: args.bin_cmp,
        kernel_stack: args.kernel_stack,
        user_stack: args.user_stack,
        addresses: args.address,
        aggregate: args.aggregate,
        includes: args.made.includes.clone(),
        pages: args.buffer_pages,
    };
    run("trace", trace::translate(&args.probes, &options, &Kernel), args.made.source, args.made.verbose)
}

/// `skep argdist`.
pub fn argdist(args: &ArgdistArgs) -> Result<ExitCode, Failure> {
    let options = argdist::Options {
        filter: Filter { tid: args.tid, ..filter(&args.who) },
        string_size: args.string_size,
        interval: args.interval,
        count: args.number,
        duration: args.duration,
        cumulative: args.cumulative,
        top: args.top,
        includes: args.made.includes.clone(),
    };
    let counts = args.counts.iter().map(|spec| (Distribution::Counts, spec.clone()));
    let all: Vec<_> = counts.chain(args.histogram.iter().map(|spec| (Distribution::Histogram, spec.clone()))).collect();
    run("argdist", argdist::translate(&all, &options, &Kernel), args.made.source, args.made.verbose)
}

fn pattern(args: &PatternArgs, cpu: Option<u32>) -> count::Options {
    count::Options {
        filter: Filter { cpu, ..filter(&args.who) },
        interval: args.interval,
        duration: args.duration,
        time: args.timestamp,
        regex: args.regexp,
    }
}

/// `skep funccount`.
pub fn funccount(args: &FunccountArgs) -> Result<ExitCode, Failure> {
    let options = pattern(&args.common, args.cpu);
    run("funccount", count::functions(&args.pattern, &options), args.common.made.source, args.common.made.verbose)
}

/// `skep stackcount`.
pub fn stackcount(args: &StackcountArgs) -> Result<ExitCode, Failure> {
    let options = count::Options {
        filter: Filter { cpu: args.cpu, ..filter(&args.who) },
        interval: args.interval,
        duration: args.duration,
        time: args.timestamp,
        regex: args.regexp,
    };
    let stacks = Stacks {
        kernel_only: args.kernel_stacks_only,
        user_only: args.user_stacks_only,
        per_process: args.perpid,
        offsets: args.offset,
        addresses: args.addresses,
        delimiter: args.delimited,
        folded: args.folded,
    };
    run("stackcount", count::stacks(&args.pattern, &options, stacks), args.source, 0)
}

fn unit(microseconds: bool, milliseconds: bool) -> Unit {
    match (microseconds, milliseconds) {
        (true, _) => Unit::Microseconds,
        (_, true) => Unit::Milliseconds,
        _ => Unit::Nanoseconds,
    }
}

/// `skep funclatency`.
pub fn funclatency(args: &FunclatencyArgs) -> Result<ExitCode, Failure> {
    let unit = unit(args.microseconds, args.milliseconds);
    let options = pattern(&args.common, None);
    let made = latency::histogram(&args.pattern, &options, unit, args.function, args.level.is_some());
    run("funclatency", made, args.common.made.source, args.common.made.verbose)
}

/// `skep funcinterval`.
pub fn funcinterval(args: &FuncintervalArgs) -> Result<ExitCode, Failure> {
    let unit = unit(args.microseconds, args.milliseconds);
    run(
        "funcinterval",
        latency::interval(&args.pattern, &pattern(&args.common, None), unit),
        args.common.made.source,
        args.common.made.verbose,
    )
}

/// `skep funcslower`.
pub fn funcslower(args: &FuncslowerArgs) -> Result<ExitCode, Failure> {
    let options = count::Options { filter: filter(&args.who), duration: args.duration, ..count::Options::default() };
    let slower = Slower {
        threshold: args
            .min_us
            .map_or_else(|| args.min_ms.unwrap_or(1).saturating_mul(1_000_000), |us| us.saturating_mul(1_000)),
        microseconds: args.min_us.is_some(),
        arguments: args.arguments,
        clock: args.time,
        elapsed: args.timestamp,
        kernel_stack: args.kernel_stack,
        user_stack: args.user_stack,
    };
    run("funcslower", latency::slower(&args.functions, &options, &slower), args.made.source, args.made.verbose)
}

/// Runs what was made, or prints it.
fn run(name: &str, made: Result<Translated, Problem>, source: bool, verbose: u8) -> Result<ExitCode, Failure> {
    let made = made.map_err(|problem| Failure::expression(&problem.diagnostics, "probe", &problem.source))?;
    if source {
        return print(&made.script).map(|()| ExitCode::SUCCESS);
    }
    if made.report.is_plain() {
        let output = Output::new(Form::Text, Buffering::Line, Box::new(Lines(io::stdout())), Box::new(io::stderr()));
        return script::generated(name, &made.script, verbose, output);
    }
    let report = Rc::new(RefCell::new(Report::new(made.report, BufWriter::new(io::stdout()))));
    let sink = Sink(Rc::clone(&report));
    let output = Output::new(Form::Json, Buffering::Line, Box::new(sink), Box::new(io::stderr()));
    let status = script::generated(name, &made.script, verbose, output);
    match report.borrow_mut().finish() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::ClosedPipe),
        Err(error) => Err(Failure::Run(format!("cannot write the output: {error}"))),
        Ok(()) => status,
    }
}

/// Standard output without the empty lines that stand between what a script prints and its maps.
struct Lines(Stdout);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes == b"\n\n" { Ok(bytes.len()) } else { self.0.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The report as the output of the script.
struct Sink(Rc<RefCell<Report<BufWriter<Stdout>>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}
