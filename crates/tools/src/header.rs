//! The head of a tool: the comment at the beginning of its script, in a fixed form.
//!
//! ```text
//! /*
//!  * tcplife: one line for each TCP session
//!  *
//!  * Question: Which processes talk to whom?
//!  * Topic: network
//!  *
//!  * About:
//!  *   Free text.
//!  *
//!  * Columns:
//!  *   pid          PID    <7       always  Process that owns the socket.
//!  *   duration_ns  MS     >9 ms    always  From the handshake to the end.
//!  *
//!  * Options:
//!  *   -L, --lport PORTS   where lport in $   Only these local ports.
//!  *
//!  * Order: -duration_ns
//!  * Metrics: comm : duration_ns
//!  * Arguments: interval=1 count
//!  *
//!  * Example:
//!  *   $ sudo skep tcplife
//!  */
//! ```
//!
//! Parts of a row have two spaces or more between them.

use std::fmt;

use crate::metrics::Shape;
use crate::named::Named;

/// What a head says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// The tool's name.
    pub name: String,
    /// What it shows, in one line.
    pub title: String,
    /// The question that it answers.
    pub question: String,
    /// What it belongs to: `network`, `files`, ...
    pub topic: String,
    /// Paragraphs about it.
    pub about: String,
    /// The columns of its rows, in order; empty for a tool that prints maps.
    pub columns: Vec<Column>,
    /// Its own options.
    pub options: Vec<OptionRow>,
    /// The order of rows if no other is asked for, as `--sort` takes it; empty if rows come as they come.
    pub order: String,
    /// What `--metrics` adds up; without it there is no such option.
    pub metrics: Option<Shape>,
    /// What words without a dash mean.
    pub arguments: Arguments,
    /// A session on a terminal.
    pub example: String,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name of the field in the script's records and of the member in JSON. It says the unit of the value.
    pub field: String,
    /// What stands above it in a table.
    pub head: String,
    /// Whether it is moved to the right.
    pub right: bool,
    /// Characters that it takes at least.
    pub width: usize,
    /// How values are shown in a table.
    pub form: Form,
    /// When it is shown.
    pub shown: Shown,
    /// What it means.
    pub doc: String,
}

/// How values of a column are shown in a table. JSON and CSV have them as they are, except for times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Plain,
    /// Boot-clock nanoseconds as a time of day.
    Clock,
    /// Nanoseconds as milliseconds.
    Millis,
    /// Nanoseconds as microseconds.
    Micros,
    /// Nanoseconds as seconds.
    Seconds,
    /// Bytes as units of 1024 bytes.
    Kilobytes,
    /// With base 16.
    Hex,
    /// Words with zeros between them, as command lines are in memory.
    Words,
    /// A stack trace: lines below the row.
    Stack,
    /// By the name of the number, in JSON and CSV as well.
    Named(Named),
    /// Memory of the machine when the row is made, by its line in `/proc/meminfo`: bytes, as units of 1048576 in tables.
    Memory(&'static str),
}

/// Names of forms in heads.
// TABLE
const FORMS: &[(&str, Form)] = &[
    ("", Form::Plain),
    ("clock", Form::Clock),
    ("ms", Form::Millis),
    ("us", Form::Micros),
    ("s", Form::Seconds),
    ("KB", Form::Kilobytes),
    ("hex", Form::Hex),
    ("words", Form::Words),
    ("stack", Form::Stack),
    ("capability", Form::Named(Named::Capability)),
    ("signal", Form::Named(Named::Signal)),
    ("tcpstate", Form::Named(Named::TcpState)),
    ("softirq", Form::Named(Named::Softirq)),
    ("Buffers", Form::Memory("Buffers")),
    ("Cached", Form::Memory("Cached")),
];

/// When a column is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Always.
    Always,
    /// In wide tables, JSON and CSV.
    Wide,
    /// In JSON and CSV.
    Data,
    /// As [`Wide`](Self::Wide), and if this option is given.
    With(String),
    /// Unless this option is given.
    Without(String),
}

/// An option of one tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionRow {
    /// Its letter.
    pub short: Option<char>,
    /// Its name.
    pub long: String,
    /// What its value is called, `None` if it has none.
    pub value: Option<String>,
    /// What it does.
    pub effect: Effect,
    /// What it means.
    pub doc: String,
}

/// What an option does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Gives the script a named argument: the value, `true` without one.
    Set(String),
    /// Columns are shown that have it as their condition.
    Show,
    /// Only rows that fit are shown; `$` is the value.
    Where(String),
    /// It is another way to write a common option.
    Same(String),
    /// The number at the end of this probe is the value.
    Probe(String),
}

/// What words without a dash mean.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Arguments {
    /// There are none.
    #[default]
    None,
    /// Seconds between outputs, and how many outputs; the seconds if they are not given.
    Interval(Option<u32>),
    /// Seconds until the end.
    Duration,
    /// A named argument of the script.
    Set(String),
}

/// What is wrong with a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderError {
    /// The line of the script, from 1.
    pub line: usize,
    /// The problem and what was expected.
    pub problem: String,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for HeaderError {}

/// The part of the head that a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Start,
    About,
    Columns,
    Options,
    Example,
}

impl Header {
    /// Reads the head of a script.
    ///
    /// # Errors
    /// [`HeaderError`]: there is none, or a line has another form.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let mut header = Self::default();
        let mut part = Part::Start;
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        if lines.next().is_none_or(|(_, line)| line.trim() != "/*") {
            return Err(wrong(1, "a tool begins with a comment that describes it: `/*` alone on the first line"));
        }
        for (number, line) in lines {
            let trimmed = line.trim_end();
            if trimmed.trim_start() == "*/" {
                return header.complete(number);
            }
            let Some(line) = trimmed.trim_start().strip_prefix('*') else {
                return Err(wrong(number, "lines of the head begin with ` * `"));
            };
            header.line(line.strip_prefix(' ').unwrap_or(line), &mut part, number)?;
        }
        Err(wrong(1, "the comment at the beginning does not end; ` */` ends it"))
    }

    fn line(&mut self, line: &str, part: &mut Part, number: usize) -> Result<(), HeaderError> {
        if let Some((word, rest)) = line.split_once(':').filter(|_| !line.starts_with(' ')) {
            let rest = rest.trim();
            match word {
                "Question" => self.question = rest.to_owned(),
                "Topic" => self.topic = rest.to_owned(),
                "About" => *part = Part::About,
                "Columns" => *part = Part::Columns,
                "Options" => *part = Part::Options,
                "Example" => *part = Part::Example,
                "Order" => self.order = rest.to_owned(),
                "Metrics" => self.metrics = Some(Shape::parse(rest).map_err(|problem| wrong(number, problem))?),
                "Arguments" => self.arguments = arguments(rest).map_err(|problem| wrong(number, problem))?,
                name if self.name.is_empty() => {
                    (self.name, self.title) = (name.to_owned(), rest.to_owned());
                }
                other => return Err(wrong(number, format!("`{other}:` is no part of a head"))),
            }
            return Ok(());
        }
        let body = line.strip_prefix("  ").unwrap_or(line);
        let cells: Vec<&str> = body.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        match part {
            Part::About => paragraph(&mut self.about, body),
            Part::Example => {
                self.example.push_str(body);
                self.example.push('\n');
            }
            _ if cells.is_empty() => {}
            Part::Columns => self.columns.push(column(&cells).map_err(|problem| wrong(number, problem))?),
            Part::Options => self.options.push(option(&cells).map_err(|problem| wrong(number, problem))?),
            Part::Start => return Err(wrong(number, "text belongs to a part, such as `About:`")),
        }
        Ok(())
    }

    fn complete(mut self, line: usize) -> Result<Self, HeaderError> {
        let needed = [
            ("name: title", &self.name),
            ("Question", &self.question),
            ("Topic", &self.topic),
            ("Example", &self.example),
        ];
        if let Some((name, _)) = needed.iter().find(|(_, text)| text.is_empty()) {
            return Err(wrong(line, format!("the head has no `{name}:`")));
        }
        let length = self.example.trim_end().len();
        self.example.truncate(length);
        self.about.truncate(self.about.trim_end().len());
        let mut order = self.order.split(',').map(|field| field.trim_start_matches('-'));
        if let Some(field) = order.find(|field| !field.is_empty() && self.column(field).is_none()) {
            return Err(wrong(line, format!("`Order:` has the field `{field}`, which is no column")));
        }
        let counted = |field: &&String| self.column(field).is_none();
        if let Some(field) = self.metrics.iter().flat_map(Shape::fields).find(counted) {
            return Err(wrong(line, format!("`Metrics:` has the field `{field}`, which is no column")));
        }
        for column in &self.columns {
            if let Shown::With(option) | Shown::Without(option) = &column.shown
                && !self.options.iter().any(|row| row.named(option))
            {
                return Err(wrong(
                    line,
                    format!("the column `{}` has the condition {option}, which is no option", column.field),
                ));
            }
        }
        Ok(self)
    }

    /// The column of a field.
    pub fn column(&self, field: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.field == field)
    }
}

impl OptionRow {
    /// Whether it is written like this: `-L`, `--lport`.
    pub fn named(&self, written: &str) -> bool {
        match written.strip_prefix("--") {
            Some(long) => long == self.long,
            None => self.short.is_some_and(|short| written == format!("-{short}")),
        }
    }
}

fn wrong(line: usize, problem: impl Into<String>) -> HeaderError {
    HeaderError { line, problem: problem.into() }
}

/// Appends a line to a text whose paragraphs have empty lines between them.
fn paragraph(text: &mut String, line: &str) {
    if line.is_empty() {
        if !text.is_empty() && !text.ends_with("\n\n") {
            text.push_str("\n\n");
        }
        return;
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push(' ');
    }
    text.push_str(line.trim());
}

fn arguments(text: &str) -> Result<Arguments, String> {
    match text.split_once(' ') {
        None if text == "duration" => Ok(Arguments::Duration),
        Some(("interval", "count")) => Ok(Arguments::Interval(None)),
        Some((interval, "count")) if interval.starts_with("interval=") => match interval[9..].parse() {
            Ok(seconds @ 1..) => Ok(Arguments::Interval(Some(seconds))),
            _ => Err(format!("`{interval}`: expected a number of seconds")),
        },
        Some(("set", name)) => Ok(Arguments::Set(name.to_owned())),
        _ => Err("arguments are `interval count`, `duration` or `set NAME`".to_owned()),
    }
}

fn column(cells: &[&str]) -> Result<Column, String> {
    let [field, head, format, shown, doc] = cells else {
        return Err("a column is: field, head, format, when it is shown, meaning; two spaces between them".to_owned());
    };
    let shown = match *shown {
        "always" => Shown::Always,
        "wide" => Shown::Wide,
        "data" => Shown::Data,
        option if option.starts_with('-') => Shown::With(option.to_owned()),
        option if option.starts_with("!-") => Shown::Without(option[1..].to_owned()),
        other => return Err(format!("a column is shown `always`, `wide`, `data` or with an option, not `{other}`")),
    };
    let problem = || format!("`{format}` is no format: `<` or `>`, a width, a form such as `ms`");
    let (right, rest) = match format.split_at_checked(1) {
        Some(("<", rest)) => (false, rest),
        Some((">", rest)) => (true, rest),
        _ => return Err(problem()),
    };
    let (width, form) = rest.split_once(' ').unwrap_or((rest, ""));
    let form = FORMS.iter().find(|(name, _)| *name == form).ok_or_else(problem)?.1;
    let width = width.parse().ok().filter(|width| *width <= 256).ok_or_else(problem)?;
    let (field, head, doc) = ((*field).to_owned(), (*head).to_owned(), (*doc).to_owned());
    Ok(Column { field, head, right, width, form, shown, doc })
}

fn option(cells: &[&str]) -> Result<OptionRow, String> {
    let [written, effect, doc] = cells else {
        return Err("an option is: how it is written, its effect, meaning; two spaces between them".to_owned());
    };
    let problem = || format!("`{written}` is no option: `-x, --long VALUE`");
    let mut words: Vec<&str> = written.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let short = words.first().and_then(|word| {
        let mut letters = word.strip_prefix('-')?.chars();
        let letter = letters.next().filter(|letter| letter.is_ascii_alphanumeric())?;
        letters.next().is_none().then_some(letter)
    });
    if short.is_some() {
        words.remove(0);
    }
    let (long, value) = match words[..] {
        [long] => (long, None),
        [long, value] => (long, Some(value.to_owned())),
        _ => return Err(problem()),
    };
    let long = long.strip_prefix("--").filter(|long| long.len() > 1).ok_or_else(problem)?.to_owned();
    let effect = match effect.split_once(' ').unwrap_or((effect, "")) {
        ("set", name) if !name.is_empty() => Effect::Set(name.to_owned()),
        ("show", "") => Effect::Show,
        ("where", condition) if !condition.is_empty() => Effect::Where(condition.to_owned()),
        ("same", other) if !other.is_empty() => Effect::Same(other.to_owned()),
        ("probe", probe) if probe.contains(':') => Effect::Probe(probe.to_owned()),
        _ => {
            let known = "`set NAME`, `show`, `where CONDITION`, `same --option`, `probe TYPE:UNIT:NUMBER`";
            return Err(format!("`{effect}` is no effect: {known}"));
        }
    };
    Ok(OptionRow { short, long, value, effect, doc: (*doc).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "/*
 * demo: what it shows
 *
 * Question: What is asked?
 * Topic: files
 *
 * About:
 *   One paragraph
 *   in two lines.
 *
 *   Another one.
 *
 * Columns:
 *   pid    PID   <7     always  Process.
 *   wait   MS    >9 ms  -U      How long.
 *
 * Options:
 *   -U, --long-one      show            Shows more.
 *   -L, --port PORTS    where port in $  Only these.
 *   --slow MS           set slow        Slow ones.
 *
 * Order: -wait
 * Arguments: interval=2 count
 *
 * Example:
 *   $ demo
 *     a  b
 */
begin { }
";

    #[test]
    fn a_head_is_read() {
        let header = Header::parse(HEAD).unwrap();
        assert_eq!((header.name.as_str(), header.title.as_str()), ("demo", "what it shows"));
        assert_eq!((header.question.as_str(), header.topic.as_str()), ("What is asked?", "files"));
        assert_eq!(header.about, "One paragraph in two lines.\n\nAnother one.");
        assert_eq!(header.example, "$ demo\n  a  b");
        assert_eq!((&header.arguments, header.order.as_str()), (&Arguments::Interval(Some(2)), "-wait"));
        let wait = header.column("wait").unwrap();
        assert_eq!((wait.right, wait.width, wait.form), (true, 9, Form::Millis));
        assert_eq!(wait.shown, Shown::With("-U".to_owned()));
        let port = &header.options[1];
        assert_eq!((port.short, port.long.as_str(), port.value.as_deref()), (Some('L'), "port", Some("PORTS")));
        assert_eq!(port.effect, Effect::Where("port in $".to_owned()));
        assert_eq!((header.options[2].short, &header.options[2].effect), (None, &Effect::Set("slow".to_owned())));
    }

    #[test]
    fn mistakes_are_named_with_their_lines() {
        // TABLE
        for (from, to, line, part) in [
            ("/*\n", "begin { }\n", 1, "begins with a comment"),
            (" */", "", 28, "begin with ` * `"),
            ("<7 ", "=7 ", 14, "no format"),
            (">9 ms", ">9 mm", 14 + 1, "no format"),
            ("always", "never", 14, "shown `always`"),
            ("-U      How", "-X      How", 28, "no option"),
            ("show  ", "shout ", 18, "no effect"),
            ("-L, --port PORTS", "-L, port PORTS", 19, "no option"),
            ("interval=2 count", "sometimes", 23, "arguments are"),
            ("interval=2", "interval=x", 23, "a number of seconds"),
            ("Question: What is asked?", "Question:", 28, "no `Question:`"),
            ("Topic", "Subject", 5, "no part of a head"),
        ] {
            let text = HEAD.replacen(from, to, 1);
            let error = Header::parse(&text).unwrap_err();
            assert!(error.problem.contains(part), "{from}: {error}");
            assert_eq!(error.line, line, "{from}: {error}");
        }
        assert!(Header::parse("/*\n * a: b").unwrap_err().problem.contains("does not end"));
    }
}
