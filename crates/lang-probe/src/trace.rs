//! `trace`: a line for each event.

use std::fmt::Write as _;

use skep_diag::Diagnostic;

use crate::action::{self, Action};
use crate::expr::{self, Scope};
use crate::report::{Layout, Lines};
use crate::spec::{Kind, Parts, Spec};
use crate::{Filter, Problem, Translated, includes, settings, text};

/// The time in front of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stamp {
    /// None.
    #[default]
    None,
    /// Seconds since the start.
    Elapsed,
    /// Seconds since 1970.
    Unix,
    /// The time of day.
    Clock,
}

/// What `trace` can be told beside its probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whom to look at.
    pub filter: Filter,
    /// Bytes of texts that are read: 1 to 16,383.
    pub string_size: u32,
    /// The end after so many lines.
    pub max_events: Option<u64>,
    /// The time in front of a line.
    pub stamp: Stamp,
    /// Whether the processor is printed.
    pub cpu: bool,
    /// Only lines with this part.
    pub message: Option<String>,
    /// Whether `STRCMP` takes bytes.
    pub binary: bool,
    /// Stack of the kernel behind each line.
    pub kernel_stack: bool,
    /// Stack of the process behind each line.
    pub user_stack: bool,
    /// Whether stacks are addresses only.
    pub addresses: bool,
    /// Whether lines that are equal are counted and printed at the end.
    pub aggregate: bool,
    /// Files and lines for the C part of the script: definitions of types.
    pub includes: Vec<String>,
    /// Pages of the buffer, a power of two; without it the runtime chooses.
    pub pages: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            string_size: 80,
            max_events: None,
            stamp: Stamp::None,
            cpu: false,
            message: None,
            binary: false,
            kernel_stack: false,
            user_stack: false,
            addresses: false,
            aggregate: false,
            includes: Vec::new(),
            pages: None,
        }
    }
}

/// What the machine knows about functions.
pub trait Facts {
    /// The type of what a function of the kernel returns, as the script language writes it: `int32`, `struct file *`.
    fn returns(&self, function: &str) -> Option<String>;
}

/// Nothing is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFacts;

impl Facts for NoFacts {
    fn returns(&self, _: &str) -> Option<String> {
        None
    }
}

/// Translates the probes of one command.
///
/// # Errors
/// What is wrong with the first faulty probe.
pub fn translate(probes: &[String], options: &Options, facts: &dyn Facts) -> Result<Translated, Problem> {
    let parsed = probes.iter().map(|probe| Line::parse(probe, options, facts)).collect::<Result<Vec<_>, _>>()?;
    let mut script = includes(&options.includes) + &settings(Some(options.string_size), options.pages);
    let trivial = parsed.iter().all(|line| line.action.is_none());
    header(&mut script, options, trivial);
    for line in &parsed {
        line.write(&mut script, options);
    }
    let lines = Lines { only: options.message.clone(), count: options.aggregate };
    Ok(Translated { script, report: Layout { lines, tables: Vec::new() } })
}

fn header(script: &mut String, options: &Options, trivial: bool) {
    let time = match options.stamp {
        Stamp::None => String::new(),
        Stamp::Unix => format!("{:<17} ", "TIME"),
        Stamp::Elapsed | Stamp::Clock => format!("{:<8} ", "TIME"),
    };
    let cpu = if options.cpu { "CPU " } else { "" };
    let dash = if trivial { "" } else { "-" };
    let line = format!("{time}{cpu}{:<7} {:<7} {:<15} {:<16} {dash}", "PID", "TID", "COMM", "FUNC");
    let _ = writeln!(script, "begin {{\n  printf({});\n}}\n", text::quoted(&format!("{}\n", line.trim_end())));
}

/// One probe.
struct Line {
    spec: Spec,
    predicate: Option<String>,
    action: Option<Action>,
}

impl Line {
    fn parse(source: &str, options: &Options, facts: &dyn Facts) -> Result<Self, Problem> {
        let wrong = |diagnostics: Vec<Diagnostic>| Problem { source: source.to_owned(), diagnostics };
        let parts = Parts::parse(source).map_err(|one| Problem::one(source, one))?;
        let params = match parts.signature {
            Some(range) => expr::params(source, range).map_err(|one| Problem::one(source, one))?,
            None => Vec::new(),
        };
        let returns = match parts.spec.kind {
            Kind::Return if parts.spec.is_kernel_function() => facts.returns(&parts.spec.name),
            _ => None,
        };
        let scope = Scope {
            spec: &parts.spec,
            params: &params,
            string_size: options.string_size,
            binary: options.binary,
            returns: returns.as_deref().unwrap_or("int64"),
            entries: None,
        };
        let predicate = match parts.predicate {
            Some(range) => Some(scope.expression(source, range).map_err(wrong)?.text),
            None => None,
        };
        let action = match parts.action {
            Some(range) => Some(action::translate(&scope, source, range).map_err(wrong)?),
            None => None,
        };
        Ok(Self { spec: parts.spec, predicate, action })
    }

    fn write(&self, script: &mut String, options: &Options) {
        let _ = writeln!(script, "{}", self.spec.point());
        let _ = writeln!(script, "{}{{", options.filter.predicate(self.predicate.as_deref()));
        let print = self.print(options);
        match options.max_events {
            None => {
                let _ = writeln!(script, "  {print}");
            }
            Some(most) => {
                let _ = writeln!(script, "  let $number = @events++;");
                let _ = writeln!(script, "  if $number < {most} {{\n    {print}\n  }}");
                let _ = writeln!(script, "  if $number + 1 >= {most} {{\n    exit();\n  }}");
            }
        }
        script.push_str("}\n\n");
    }

    /// The statement that prints the line.
    fn print(&self, options: &Options) -> String {
        let (mut format, mut values) = (String::new(), Vec::new());
        match options.stamp {
            Stamp::None => {}
            Stamp::Elapsed => {
                format.push_str("%d.%06d ");
                values.extend(["elapsed / 1000000000".to_owned(), "elapsed % 1000000000 / 1000".to_owned()]);
            }
            Stamp::Unix => {
                format.push_str("%-17s ");
                values.push("strftime(\"%s.%f\", nsecs)".to_owned());
            }
            Stamp::Clock => {
                format.push_str("%-8s ");
                values.push("strftime(\"%H:%M:%S\", nsecs)".to_owned());
            }
        }
        if options.cpu {
            format.push_str("%-3d ");
            values.push("cpu".to_owned());
        }
        format.push_str("%-7d %-7d %-15s %-16s");
        values.extend(["pid".to_owned(), "tid".to_owned(), "comm".to_owned(), self.spec.label()]);
        if let Some(action) = &self.action {
            let _ = write!(format, " {}", action.format);
            values.extend(action.values.iter().cloned());
        }
        let mode = if options.addresses { "(raw)" } else { "" };
        for (wanted, stack) in [(options.kernel_stack, "kstack"), (options.user_stack, "ustack")] {
            if wanted {
                format.push_str("%s");
                values.push(format!("{stack}{mode}"));
            }
        }
        format!("printf(\"{format}\\n\", {});", values.join(", "))
    }
}
