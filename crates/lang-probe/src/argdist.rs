//! `argdist`: how often values of expressions occur, as counts (`-C`) or as histograms (`-H`).
//!
//! `{p,r,t,u}:[LIBRARY|CATEGORY]:FUNCTION([SIGNATURE])[:TYPE[,TYPE...]:EXPR[,EXPR...][:FILTER]][#LABEL]`
//!
//! Colons and commas inside of brackets and quotes belong to expressions.

use std::cell::RefCell;
use std::fmt::Write as _;

use skep_diag::Diagnostic;

use crate::expr::{self, Entries, Param, Scope};
use crate::report::{Layout, Lines, Rows, Table};
use crate::spec::{Kind, Spec};
use crate::trace::Facts;
use crate::{Filter, Problem, Translated, includes, settings, text};

/// What `argdist` can be told beside its probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whom to look at.
    pub filter: Filter,
    /// Bytes of texts that are read.
    pub string_size: u32,
    /// Seconds between two outputs.
    pub interval: u32,
    /// How many outputs; without it until ctrl-C.
    pub count: Option<u32>,
    /// Seconds until the end.
    pub duration: Option<u32>,
    /// Whether counts go on instead of beginning anew at each output.
    pub cumulative: bool,
    /// Only the most frequent values.
    pub top: Option<usize>,
    /// Files with definitions of types.
    pub includes: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            string_size: 80,
            interval: 1,
            count: None,
            duration: None,
            cumulative: false,
            top: None,
            includes: Vec::new(),
        }
    }
}

/// What is made of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `-C`
    Counts,
    /// `-H`
    Histogram,
}

/// Translates the specifications of one command.
///
/// # Errors
/// What is wrong with the first faulty one.
pub fn translate(specs: &[(Form, String)], options: &Options, facts: &dyn Facts) -> Result<Translated, Problem> {
    let mut script = includes(&options.includes) + &settings(Some(options.string_size), None);
    let (mut tables, mut prints) = (Vec::new(), String::new());
    for (number, (form, source)) in specs.iter().enumerate() {
        let distribution = Distribution::parse(source, number, *form, options, facts)?;
        distribution.probes(&mut script, options);
        distribution.print(&mut prints, options);
        tables.push(distribution.table(source, options));
    }
    let _ = writeln!(script, "interval:s:{}\n{{\n  time(\"[%H:%M:%S]\\n\");\n{prints}", options.interval.max(1));
    if let Some(count) = options.count {
        let _ = writeln!(script, "  @outputs++;\n  if (uint64)@outputs >= {count} {{\n    exit();\n  }}");
    }
    script.push_str("}\n");
    if let Some(seconds) = options.duration {
        let _ = writeln!(script, "\ninterval:s:{}\n{{\n  exit();\n}}", seconds.max(1));
    }
    Ok(Translated { script, report: Layout { lines: Lines::default(), tables } })
}

/// One specification.
struct Distribution {
    number: usize,
    form: Form,
    spec: Spec,
    params: Vec<Param>,
    /// The values with the texts that they are labelled with.
    values: Vec<(String, String)>,
    filter: Option<String>,
    entries: Entries,
    label: Option<String>,
}

impl Distribution {
    fn parse(source: &str, number: usize, form: Form, options: &Options, facts: &dyn Facts) -> Result<Self, Problem> {
        let one = |diagnostic: Diagnostic| Problem::one(source, diagnostic);
        if source.len() > crate::MAX_LENGTH {
            return Err(one(Diagnostic::error(crate::span(0, 0), "the specification is too long")));
        }
        let (end, label) = match source.rfind('#') {
            Some(at) if !source[at..].contains('"') => (at, Some(source[at + 1..].trim().to_owned())),
            _ => (source.len(), None),
        };
        let parts = text::split(source, 0, end, b':');
        if parts.len() < 3 || parts.len() > 6 {
            let error = Diagnostic::error(crate::span(0, end), "this is no specification of a distribution");
            return Err(one(
                error.with_help("write `p:c:malloc(size_t size):size_t:size` or `r::vfs_read():int:$retval`")
            ));
        }
        let (function_at, function_end) = parts[2];
        let open = source[function_at..function_end].find('(').map_or(function_end, |at| function_at + at);
        let spec = Spec::parse(source, 0, open).map_err(one)?;
        let params = match text::closing(source, open) {
            Some(close) if close + 1 == function_end => expr::params(source, (open + 1, close)).map_err(one)?,
            None if open == function_end => Vec::new(),
            _ => {
                let error = Diagnostic::error(crate::span(open, function_end), "these are no parameters");
                return Err(one(error.with_help("write `(size_t size)`, or `()` if none are needed")));
            }
        };
        let returns =
            (spec.kind == Kind::Return && spec.is_kernel_function()).then(|| facts.returns(&spec.name)).flatten();
        let is_return = spec.kind == Kind::Return;
        let entries = Entries { number, ..Entries::default() };
        let scope = Scope {
            spec: &spec,
            params: &params,
            string_size: options.string_size,
            binary: false,
            returns: returns.as_deref().unwrap_or("int64"),
            entries: is_return.then(|| RefCell::new(entries.clone())),
        };
        let wrong = |diagnostics| Problem { source: source.to_owned(), diagnostics };
        let values = values(&scope, source, &parts[3..], form).map_err(wrong)?;
        let filter = match parts.get(5) {
            Some(range) => Some(scope.expression(source, *range).map_err(wrong)?.text),
            None => None,
        };
        let entries = scope.entries.map_or(entries, RefCell::into_inner);
        Ok(Self { number, form, spec, params, values, filter, entries, label })
    }

    fn probes(&self, script: &mut String, options: &Options) {
        let (number, entries) = (self.number, &self.entries);
        let keeps = entries.start || !entries.params.is_empty();
        if keeps {
            let _ = writeln!(script, "{}\n{}{{", self.spec.entry().point(), options.filter.predicate(None));
            let _ = writeln!(script, "  {}[tid] = nsecs;", entries.start_map());
            for param in &entries.params {
                let position = self.params.iter().position(|each| each.name == *param).unwrap_or(0);
                let _ = writeln!(
                    script,
                    "  {}[tid] = ({})arg{position};",
                    entries.param_map(param),
                    self.params[position].ty
                );
            }
            script.push_str("}\n\n");
        }
        let known = format!("has_key({}, tid)", entries.start_map());
        let _ =
            writeln!(script, "{}\n{}{{", self.spec.point(), options.filter.predicate(keeps.then_some(known.as_str())));
        let keys: Vec<&str> = self.values.iter().map(|(_, value)| value.as_str()).collect();
        let update = match self.form {
            Form::Counts => format!("@c{number}[{}] = count();", keys.join(", ")),
            Form::Histogram => format!("@h{number} = hist({});", keys.join(", ")),
        };
        match &self.filter {
            Some(condition) => _ = writeln!(script, "  if {condition} {{\n    {update}\n  }}"),
            None => _ = writeln!(script, "  {update}"),
        }
        if keeps {
            let _ = writeln!(script, "  delete({}, tid);", entries.start_map());
            for param in &entries.params {
                let _ = writeln!(script, "  delete({}, tid);", entries.param_map(param));
            }
        }
        script.push_str("}\n\n");
    }

    /// The statements that print the distribution.
    fn print(&self, out: &mut String, options: &Options) {
        let number = self.number;
        let map = match self.form {
            Form::Counts => {
                let keys: Vec<String> = match self.values.len() {
                    1 => vec!["k0=$kv.0".to_owned()],
                    many => (0..many).map(|at| format!("k{at}=$kv.0.{at}")).collect(),
                };
                let row = format!("print((table={number}, {}, count=(uint64)$kv.1));", keys.join(", "));
                let _ = writeln!(out, "  for $kv : @c{number} {{\n    {row}\n  }}\n  print((table={number}, end=1));");
                format!("@c{number}")
            }
            Form::Histogram => {
                let _ = writeln!(out, "  print(@h{number});");
                format!("@h{number}")
            }
        };
        if !options.cumulative {
            let _ = writeln!(out, "  clear({map});");
        }
    }

    fn table(&self, source: &str, options: &Options) -> Table {
        let title = self.label.clone().unwrap_or_else(|| source.to_owned());
        let mut labels: Vec<String> = self.values.iter().map(|(label, _)| label.clone()).collect();
        let rows = match self.form {
            Form::Counts => Rows::Values { labels },
            Form::Histogram => Rows::Histogram { unit: labels.pop().unwrap_or_default() },
        };
        Table { title, rows, top: options.top }
    }
}

/// The values with their labels. Without any, calls are counted, or what functions return.
fn values(
    scope: &Scope<'_>,
    source: &str,
    parts: &[(usize, usize)],
    form: Form,
) -> Result<Vec<(String, String)>, Vec<Diagnostic>> {
    let is_return = scope.spec.kind == Kind::Return;
    let [types, exprs, ..] = parts else {
        return match (parts, form, is_return) {
            ([], _, true) => Ok(vec![("retval".to_owned(), format!("({})retval", scope.returns))]),
            ([], Form::Counts, false) => Ok(vec![("calls".to_owned(), "\"all\"".to_owned())]),
            ([], Form::Histogram, false) => {
                let error = Diagnostic::error(scope.spec.span, "a histogram needs a value");
                Err(vec![error.with_help("write a type and an expression: `:size_t:size`")])
            }
            _ => {
                let (start, end) = parts[0];
                let error = Diagnostic::error(crate::span(start, end), "an expression has to follow the type");
                Err(vec![error.with_help("write `:size_t:size`")])
            }
        };
    };
    let names = text::split(source, types.0, types.1, b',');
    let list = text::split(source, exprs.0, exprs.1, b',');
    if names.len() != list.len() || (form == Form::Histogram && list.len() != 1) {
        let span = crate::span(types.0, exprs.1);
        let text = format!("there are {} types and {} expressions", names.len(), list.len());
        let help = "each expression has a type; a histogram has one expression";
        return Err(vec![Diagnostic::error(span, text).with_help(help)]);
    }
    let mut values = Vec::new();
    for (ty, range) in names.into_iter().zip(list) {
        let value = scope.expression(source, range)?;
        let ((ty_start, ty_end), (start, end)) = (text::trim(source, ty), text::trim(source, range));
        let ty = &source[ty_start..ty_end];
        let squeezed: String = ty.split_whitespace().filter(|word| *word != "const").collect::<Vec<_>>().join(" ");
        let is_string = matches!(squeezed.replace(' ', "").as_str(), "char*" | "unsignedchar*");
        let shown = match (is_string, value.is_text) {
            (true, false) => format!("str({}, {})", value.text, scope.string_size),
            (_, true) => value.text,
            _ => {
                skep_lang_script::parse_type(&squeezed).map_err(|_| {
                    let error = Diagnostic::error(crate::span(ty_start, ty_end), format!("`{ty}` is no type"));
                    vec![error.with_help("types are those of C: `int`, `size_t`, `u64`, `char *`")]
                })?;
                format!("({squeezed})({})", value.text)
            }
        };
        values.push((source[start..end].to_owned(), shown));
    }
    Ok(values)
}
