//! `funccount` and `stackcount`: how often functions and events occur, and on which ways.

use std::fmt::Write as _;

use skep_diag::Diagnostic;

use crate::report::{Layout, Lines, Rows, Table};
use crate::spec::{Kind, Spec};
use crate::{Filter, Problem, Translated, settings};

/// What tools with one pattern and an output now and then share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Whom to look at.
    pub filter: Filter,
    /// Seconds between two outputs; without it there is one at the end.
    pub interval: Option<u32>,
    /// Seconds until the end.
    pub duration: Option<u32>,
    /// Whether the time of day stands in front of each output.
    pub time: bool,
    /// Whether the pattern is a regular expression.
    pub regex: bool,
}

/// Which stacks `stackcount` counts and how they are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct Stacks {
    /// Stacks of the kernel only.
    pub kernel_only: bool,
    /// Stacks of the process only.
    pub user_only: bool,
    /// Each process by itself.
    pub per_process: bool,
    /// Offsets behind the names.
    pub offsets: bool,
    /// Addresses in front of the names.
    pub addresses: bool,
    /// A line between the stacks of the kernel and the process.
    pub delimiter: bool,
    /// One line each.
    pub folded: bool,
}

impl Options {
    /// Reads a pattern, which may be a regular expression as far as a `*` can express it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn spec(&self, source: &str) -> Result<Spec, Problem> {
        if source.len() > crate::MAX_LENGTH {
            let error = Diagnostic::error(crate::span(0, 0), "the pattern is too long");
            return Err(Problem::one(source, error.with_help("name what is traced in less letters, with `*`")));
        }
        let text = if self.regex { globbed(source)? } else { source.to_owned() };
        Spec::parse(&text, 0, text.len()).map_err(|error| Problem::one(&text, error))
    }

    /// The probes that print: `statements` with an `INDENT` of two blanks.
    pub(crate) fn ending(&self, script: &mut String, statements: &str) {
        let time = if self.time { "  time(\"%H:%M:%S\\n\");\n" } else { "" };
        if let Some(seconds) = self.interval {
            let _ = writeln!(script, "interval:s:{}\n{{\n{time}{statements}}}\n", seconds.max(1));
        }
        if let Some(seconds) = self.duration {
            let _ = writeln!(script, "interval:s:{}\n{{\n  exit();\n}}\n", seconds.max(1));
        }
        let _ = writeln!(script, "end\n{{\n{time}{statements}}}");
    }
}

/// A regular expression of names, `.*` and anchors as a pattern.
fn globbed(source: &str) -> Result<String, Problem> {
    let (place, name) = source.rsplit_once(':').map_or(("", source), |(place, name)| (&source[..=place.len()], name));
    let inner = name.strip_prefix('^').unwrap_or(name);
    let (inner, end) = inner.strip_suffix('$').map_or((inner, "*"), |inner| (inner, ""));
    let start = if name.starts_with('^') { "" } else { "*" };
    let pattern = inner.replace(".*", "*");
    if pattern.bytes().any(|byte| !(byte.is_ascii_alphanumeric() || b"_*".contains(&byte))) {
        let at = place.len();
        let error = Diagnostic::error(crate::span(at, source.len()), "only `.*`, `^` and `$` can be matched");
        return Err(Problem::one(source, error.with_help("use several patterns, or a pattern with `*` without -r")));
    }
    Ok(format!("{place}{start}{pattern}{end}").replace("**", "*"))
}

/// `funccount`.
///
/// # Errors
/// What is wrong with the pattern.
pub fn functions(source: &str, options: &Options) -> Result<Translated, Problem> {
    let spec = options.spec(source)?;
    let mut script = settings(None, None);
    let predicate = options.filter.predicate(None);
    let _ = writeln!(script, "{}\n{predicate}{{\n  @c0[{}] = count();\n}}\n", spec.point(), spec.counted());
    let rows = "  for $kv : @c0 {\n    print((table=0, name=$kv.0, count=(uint64)$kv.1));\n  }\n  print((table=0, end=1));\n  clear(@c0);\n";
    options.ending(&mut script, rows);
    let table = Table { title: String::new(), rows: Rows::Counts, top: None };
    Ok(Translated { script, report: Layout { lines: Lines::default(), tables: vec![table] } })
}

/// `stackcount`.
///
/// # Errors
/// What is wrong with the pattern.
pub fn stacks(source: &str, options: &Options, stacks: Stacks) -> Result<Translated, Problem> {
    let spec = options.spec(source)?;
    let mode = if stacks.addresses { "(perf)" } else { "" };
    let user_space = matches!(spec.kind, Kind::Usdt) || (!spec.library.is_empty() && spec.kind != Kind::Tracepoint);
    // Without a wish: the kernel's for what is in the kernel, the process's for what is in the process.
    let (kernel, user) = match (stacks.kernel_only, stacks.user_only) {
        (true, false) => (true, false),
        (false, true) => (false, true),
        (true, true) => (true, true),
        (false, false) => (!user_space, user_space),
    };
    let mut keys: Vec<(&str, String)> = Vec::new();
    if kernel {
        keys.push(("kstack", format!("kstack{mode}")));
    }
    if user {
        keys.push(("ustack", format!("ustack{mode}")));
    }
    if stacks.per_process {
        keys.push(("comm", "comm".to_owned()));
        keys.push(("pid", "pid".to_owned()));
    }
    let mut script = settings(None, None);
    let list: Vec<&str> = keys.iter().map(|(_, value)| value.as_str()).collect();
    let predicate = options.filter.predicate(None);
    let _ = writeln!(script, "{}\n{predicate}{{\n  @c0[{}] = count();\n}}\n", spec.point(), list.join(", "));
    let fields: Vec<String> = match keys.as_slice() {
        [(name, _)] => vec![format!("{name}=$kv.0")],
        many => many.iter().enumerate().map(|(at, (name, _))| format!("{name}=$kv.0.{at}")).collect(),
    };
    let rows = format!(
        "  for $kv : @c0 {{\n    print((table=0, {}, count=(uint64)$kv.1));\n  }}\n  print((table=0, end=1));\n  clear(@c0);\n",
        fields.join(", ")
    );
    options.ending(&mut script, &rows);
    let rows = Rows::Stacks {
        delimiter: stacks.delimiter,
        folded: stacks.folded,
        offsets: stacks.offsets || stacks.addresses,
    };
    let table = Table { title: String::new(), rows, top: None };
    Ok(Translated { script, report: Layout { lines: Lines::default(), tables: vec![table] } })
}
