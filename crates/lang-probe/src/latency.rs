//! `funclatency`, `funcslower` and `funcinterval`: how long functions take, which calls were slow, and how much time is
//! between two of them.

use std::fmt::Write as _;

use skep_diag::Diagnostic;

use crate::count::Options;
use crate::report::{Layout, Lines, Rows, Table};
use crate::spec::{Kind, Spec};
use crate::{Problem, Translated, settings, text};

/// A unit of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    #[default]
    Nanoseconds,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "nsecs",
            Self::Microseconds => "usecs",
            Self::Milliseconds => "msecs",
        }
    }

    /// What divides nanoseconds.
    fn divided(self) -> &'static str {
        match self {
            Self::Nanoseconds => "",
            Self::Microseconds => " / 1000",
            Self::Milliseconds => " / 1000000",
        }
    }
}

/// Only functions have a duration.
fn function(source: &str, options: &Options) -> Result<Spec, Problem> {
    let spec = options.spec(source)?;
    if matches!(spec.kind, Kind::Tracepoint | Kind::Usdt) {
        let error = Diagnostic::error(spec.span, "only functions take time from an entry to a return");
        return Err(Problem::one(source, error.with_help("name a function: `vfs_read`, `c:malloc`")));
    }
    if spec.offset != 0 {
        let error = Diagnostic::error(spec.span, "a function is measured from its start");
        return Err(Problem::one(source, error.with_help("leave out what begins at the `+`")));
    }
    Ok(spec)
}

/// `funclatency`: a histogram of durations; `per_function` one for each function, `nested` where a function may be called
/// inside of itself.
///
/// # Errors
/// What is wrong with the pattern.
pub fn histogram(
    source: &str,
    options: &Options,
    unit: Unit,
    per_function: bool,
    nested: bool,
) -> Result<Translated, Problem> {
    let spec = function(source, options)?;
    let entry = spec.entry();
    let exit = spec.exit();
    let mut script = settings(None, None);
    let key = if per_function { format!("[{}]", spec.label()) } else { String::new() };
    // Functions that a pattern means may call one another: each level has its own start.
    let level = if nested || spec.is_pattern() { "tid, @depth[tid]" } else { "tid" };
    let predicate = options.filter.predicate(None);
    let _ = writeln!(script, "{}\n{predicate}{{", entry.point());
    if level != "tid" {
        script.push_str("  @depth[tid]++;\n");
    }
    let _ = writeln!(script, "  @start[{level}] = nsecs;\n}}\n");
    let _ = writeln!(script, "{}\n/has_key(@start, ({level}))/ {{", exit.point());
    let _ = writeln!(script, "  let $spent = (nsecs - @start[{level}]){};", unit.divided());
    let _ = writeln!(script, "  @s0{key} = stats($spent);\n  @h0{key} = hist($spent);\n  delete(@start, ({level}));");
    if level != "tid" {
        script.push_str("  @depth[tid]--;\n  if @depth[tid] == 0 {\n    delete(@depth, tid);\n  }\n");
    }
    script.push_str("}\n\n");
    options.ending(&mut script, "  print(@s0);\n  print(@h0);\n  clear(@s0);\n  clear(@h0);\n");
    let table = Table { title: String::new(), rows: Rows::Histogram { unit: unit.name().to_owned() }, top: None };
    Ok(Translated { script, report: Layout { lines: Lines::default(), tables: vec![table] } })
}

/// `funcinterval`: a histogram of the time between two calls.
///
/// # Errors
/// What is wrong with the pattern.
pub fn interval(source: &str, options: &Options, unit: Unit) -> Result<Translated, Problem> {
    let spec = options.spec(source)?;
    let mut script = settings(None, None);
    let predicate = options.filter.predicate(None);
    let _ = writeln!(script, "{}\n{predicate}{{", spec.point());
    let _ = writeln!(script, "  let $now = nsecs;\n  let $before = @last;\n  @last = $now;");
    let _ = writeln!(script, "  if $before != 0 {{\n    let $between = ($now - $before){};", unit.divided());
    script.push_str("    @s0 = stats($between);\n    @h0 = hist($between);\n  }\n}\n\n");
    options.ending(&mut script, "  print(@s0);\n  print(@h0);\n  clear(@s0);\n  clear(@h0);\n");
    let table = Table { title: String::new(), rows: Rows::Histogram { unit: unit.name().to_owned() }, top: None };
    Ok(Translated { script, report: Layout { lines: Lines::default(), tables: vec![table] } })
}

/// What `funcslower` prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slower {
    /// Nanoseconds above which a call is slow.
    pub threshold: u64,
    /// Whether durations are printed in microseconds, else in milliseconds.
    pub microseconds: bool,
    /// How many arguments are printed: 0 to 6.
    pub arguments: u32,
    /// Whether the time of day is printed, and whether seconds since the start.
    pub clock: bool,
    /// Seconds since the start.
    pub elapsed: bool,
    /// Stack of the kernel.
    pub kernel_stack: bool,
    /// Stack of the process.
    pub user_stack: bool,
}

/// `funcslower`: a line for each call that took longer than a threshold.
///
/// # Errors
/// What is wrong with the first faulty function.
pub fn slower(sources: &[String], options: &Options, slower: &Slower) -> Result<Translated, Problem> {
    let mut script = settings(None, None);
    let (unit, divisor) = if slower.microseconds { ("us", 1_000u64) } else { ("ms", 1_000_000) };
    let time = if slower.clock || slower.elapsed { format!("{:<10} ", "TIME") } else { String::new() };
    let arguments = if slower.arguments > 0 { "FUNC ARGS" } else { "FUNC" };
    let header =
        format!("{time}{:<14} {:<6} {:>7} {:>16} {arguments}\n", "COMM", "PID", format!("LAT({unit})"), "RVAL");
    let _ = writeln!(script, "begin\n{{\n  printf({});\n}}\n", text::quoted(&header));
    for (number, source) in sources.iter().enumerate() {
        let spec = function(source, options)?;
        let entry = spec.entry();
        let exit = spec.exit();
        let names: Vec<String> = (0..slower.arguments.min(6)).map(|at| format!("@arg{number}_{at}")).collect();
        let _ =
            writeln!(script, "{}\n{}{{\n  @start{number}[tid] = nsecs;", entry.point(), options.filter.predicate(None));
        names.iter().enumerate().for_each(|(at, map)| _ = writeln!(script, "  {map}[tid] = arg{at};"));
        let _ = writeln!(script, "}}\n\n{}\n/has_key(@start{number}, tid)/ {{", exit.point());
        let _ = writeln!(script, "  let $spent = nsecs - @start{number}[tid];");
        let _ = writeln!(
            script,
            "  if $spent >= {} {{\n    {}\n  }}",
            slower.threshold,
            line(&spec, slower, divisor, &names)
        );
        let _ = writeln!(script, "  delete(@start{number}, tid);");
        names.iter().for_each(|map| _ = writeln!(script, "  delete({map}, tid);"));
        script.push_str("}\n\n");
    }
    if let Some(seconds) = options.duration {
        let _ = writeln!(script, "interval:s:{}\n{{\n  exit();\n}}", seconds.max(1));
    }
    Ok(Translated { script, report: Layout::default() })
}

fn line(spec: &Spec, slower: &Slower, divisor: u64, arguments: &[String]) -> String {
    let (mut format, mut values) = (String::new(), Vec::new());
    if slower.clock {
        format.push_str("%-10s ");
        values.push("strftime(\"%H:%M:%S\", nsecs)".to_owned());
    } else if slower.elapsed {
        format.push_str("%3d.%06d ");
        values.extend(["elapsed / 1000000000".to_owned(), "elapsed % 1000000000 / 1000".to_owned()]);
    }
    format.push_str("%-14s %-6d %4d.%02d %16lx %s");
    values.extend(["comm".to_owned(), "pid".to_owned()]);
    values.push(format!("$spent / {divisor}"));
    values.push(format!("$spent % {divisor} / {}", divisor / 100));
    values.extend(["(uint64)retval".to_owned(), spec.label()]);
    for map in arguments {
        format.push_str(" 0x%lx");
        values.push(format!("{map}[tid]"));
    }
    for (wanted, stack) in [(slower.kernel_stack, "kstack"), (slower.user_stack, "ustack")] {
        if wanted {
            format.push_str("%s");
            values.push(stack.to_owned());
        }
    }
    format!("printf(\"{format}\\n\", {});", values.join(", "))
}
