//! The command line of a tool: what all have in common, and what its head adds. Letters of the tool win over those that all
//! have, whose long names stay.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, Error};

use crate::catalogue::Tool;
use crate::condition::Condition;
use crate::filters::{Wanted, container, groups, network_namespace, user};
use crate::header::{Arguments, Column, Effect, Form, Header, Shown};
use crate::page;
use crate::view::{STYLES, Style, View, Wishes};

/// What a command line asks of a tool.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Whose events.
    pub wanted: Wanted,
    /// What is shown.
    pub wishes: Wishes,
    /// Named arguments of the script.
    pub named: Vec<(String, String)>,
    /// Probes of the script and what stands in for them.
    pub probes: Vec<(String, String)>,
    /// Time between outputs.
    pub every: Option<Duration>,
    /// How many of them.
    pub rounds: Option<u64>,
    /// When it ends.
    pub duration: Option<Duration>,
    /// After how many rows it ends.
    pub count: Option<u64>,
    /// Where rows are recorded.
    pub write: Option<PathBuf>,
    /// Whether rows are added up.
    pub metrics: bool,
    /// Where a flame graph of the rows' stacks is drawn.
    pub flame: Option<PathBuf>,
    /// From which recording rows come.
    pub read: Option<PathBuf>,
    /// The command that is run and looked at alone.
    pub command: Option<String>,
    /// Whether the script is printed.
    pub source: bool,
    /// How much is said about what happens.
    pub verbose: u8,
}

/// The most that the number of a probe may be: samples a second.
const MOST_OFTEN: u32 = 10_000;

/// An option that all tools have.
#[derive(Debug)]
pub struct Common {
    /// Its name.
    pub long: &'static str,
    /// Its letter.
    pub short: Option<char>,
    /// What its value is called, empty if it has none.
    pub value: &'static str,
    /// Which tools have it.
    pub group: Group,
    /// What it means.
    pub doc: &'static str,
}

/// Which tools have an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Those that can choose whose events they look at.
    Whose,
    /// All.
    All,
    /// Those that print rows.
    Rows,
    /// Those whose rows have stacks.
    Stacks,
    /// Those whose heads say what is added up.
    Metrics,
}

/// The options that all tools have.
// TABLE
pub const COMMON: &[Common] = &[
    row("pid", Some('p'), "PID,...", Group::Whose, "Only these processes"),
    row("comm", None, "NAME,...", Group::Whose, "Only threads with these names"),
    row("uid", Some('u'), "USER,...", Group::Whose, "Only processes of these users, by name or number"),
    row("cgroup", None, "PATH", Group::Whose, "Only this control group and those that are below it now"),
    row("container", None, "ID", Group::Whose, "Only the container whose identity begins like this"),
    row(
        "netns",
        None,
        "PID|PATH",
        Group::Whose,
        "Only this network namespace: of a process, a path, a name of `ip netns`",
    ),
    row(
        "output",
        Some('o'),
        "FORM",
        Group::All,
        "table, wide (all columns), json, csv, or folded (stacks for flame graphs)",
    ),
    row("json", None, "", Group::All, "The same as `-o json`"),
    row("csv", None, "", Group::All, "The same as `-o csv`"),
    row("fields", None, "FIELD,...", Group::Rows, "These columns, by the names that JSON has"),
    row("where", None, "CONDITION", Group::Rows, "Only rows that fit, such as `comm ~ ssh && uid != 0`"),
    row(
        "sort",
        None,
        "[-]FIELD,...",
        Group::Rows,
        "In this order, with `-` the largest first; printed when an interval ends",
    ),
    row("top", None, "N", Group::Rows, "Only the first N rows of each interval"),
    row("time", Some('T'), "", Group::Rows, "With the time of day"),
    row("timestamp", Some('t'), "", Group::Rows, "With the seconds since the first row"),
    row("count", None, "N", Group::Rows, "End after N rows"),
    row("write", Some('w'), "FILE", Group::Rows, "Record rows in this file"),
    row("read", Some('r'), "FILE", Group::Rows, "Show the rows of a recording"),
    row(
        "metrics",
        None,
        "",
        Group::Metrics,
        "In place of rows their totals in the text format of Prometheus, at the end and after each interval",
    ),
    row("flame", None, "FILE.svg", Group::Stacks, "At the end draw a flame graph of the stacks in this file"),
    row("every", None, "TIME", Group::All, "Output in intervals: `1s`, `500ms`"),
    row("for", None, "TIME", Group::All, "End after this time"),
    row("source", None, "", Group::All, "Print the script of the tool"),
    row("verbose", Some('v'), "", Group::All, "Say more about what happens"),
];

const fn row(long: &'static str, short: Option<char>, value: &'static str, group: Group, doc: &'static str) -> Common {
    Common { long, short, value, group, doc }
}

/// The options that a tool has in common with others, with the letters that are left to them.
pub fn common(tool: &Tool) -> impl Iterator<Item = (&'static Common, Option<char>)> {
    let header = &tool.header;
    let rows = COMMON.iter().filter(|row| match row.group {
        Group::All => true,
        Group::Rows => !header.columns.is_empty(),
        Group::Whose => tool.is_filtered(),
        Group::Stacks => tool.has_stacks(),
        Group::Metrics => header.metrics.is_some(),
    });
    let rows = rows.filter(|row| !header.options.iter().any(|own| own.long == row.long));
    rows.map(|row| {
        let taken = header.options.iter().any(|own| own.short.is_some() && own.short == row.short);
        (row, row.short.filter(|_| !taken))
    })
}

/// Arguments by which a script asks whether columns are of use, and the columns that each is about.
// TABLE
const COSTLY: [(&str, ColumnKind); 2] =
    [("data", |column| column.shown == Shown::Data), ("stacks", |column| column.form == Form::Stack)];

/// Says whether a column is of a kind.
type ColumnKind = fn(&Column) -> bool;

impl Selection {
    /// Whether anybody sees columns of a kind or asks about them: all that a recording has, or a view shows or looks at.
    fn needs(&self, header: &Header, kind: ColumnKind) -> bool {
        let reads = |view: View| view.reads().iter().zip(&header.columns).any(|(reads, column)| *reads && kind(column));
        self.write.is_some() || self.flame.is_some() || View::new(&header.columns, self.wishes.clone()).is_ok_and(reads)
    }

    /// The script of a tool as it is asked for, with the conditions that the kernel can decide; `None` if it can decide none.
    /// A recording has all rows.
    pub fn pushed(&self, tool: &Tool) -> Option<String> {
        let fields: Vec<&str> = tool.header.columns.iter().map(|column| column.field.as_str()).collect();
        let conditions = if self.write.is_some() { &[][..] } else { &self.wishes.conditions };
        crate::pushdown::push(&self.script(tool), &fields, conditions)
    }

    /// The script of a tool as it is asked for.
    pub fn script(&self, tool: &Tool) -> String {
        let beginning = |probe: &str| format!("\n{probe} ");
        self.probes.iter().fold(tool.text.clone(), |text, (from, to)| text.replace(&beginning(from), &beginning(to)))
    }
}

/// The command line of a tool.
pub fn command(tool: &Tool) -> Command {
    let header = &tool.header;
    let mut command = Command::new(header.name.clone())
        .bin_name(format!("skep {}", header.name))
        .about(format!("{}.\n\n{}", header.title, header.question))
        .after_help(page::after_help(header))
        .max_term_width(100)
        .disable_version_flag(true);
    for row in &header.options {
        let arg = Arg::new(own(&row.long)).long(row.long.clone()).help(row.doc.trim_end_matches('.').to_owned());
        command = command.arg(valued(arg, row.short, row.value.as_deref().unwrap_or_default()));
    }
    for (row, short) in common(tool) {
        let heading = match row.group {
            Group::Whose => "Whose events",
            Group::All | Group::Rows | Group::Stacks | Group::Metrics => "Output",
        };
        let arg = Arg::new(row.long).long(row.long).help(row.doc).help_heading(heading);
        command = command.arg(valued(arg, short, row.value));
    }
    let word = |name: &'static str, doc: &'static str| Arg::new(name).value_name(name).help(doc);
    match &header.arguments {
        Arguments::None => command,
        Arguments::Interval(_) => command
            .arg(word("INTERVAL", "Seconds between outputs"))
            .arg(word("COUNT", "How many outputs").value_parser(clap::value_parser!(u64).range(1..))),
        Arguments::Duration => command.arg(word("DURATION", "Seconds until the end")),
        Arguments::Set(name) => {
            let shown = name.to_ascii_uppercase();
            command.arg(Arg::new("WORD").value_name(shown).help(format!("What `{name}` is in the script")))
        }
    }
}

/// The identity of an option of the tool's own; those that all have are identified by their names.
fn own(long: &str) -> String {
    format!("own:{long}")
}

fn valued(arg: Arg, short: Option<char>, value: &str) -> Arg {
    let arg = match short {
        Some(short) => arg.short(short),
        None => arg,
    };
    match value {
        "" if arg.get_id() == "verbose" => arg.action(ArgAction::Count),
        "" => arg.action(ArgAction::SetTrue),
        _ => arg
            .value_name(value.to_owned())
            .action(ArgAction::Append)
            .allow_hyphen_values(true)
            .value_parser(ValueParser::string()),
    }
}

/// Reads the words behind the name of a tool.
///
/// # Errors
/// What clap says: help that was asked for, or what is wrong.
pub fn parse<S: Into<OsString> + Clone>(tool: &Tool, words: impl IntoIterator<Item = S>) -> Result<Selection, Error> {
    let mut command = command(tool);
    let words = std::iter::once(OsString::from("skep")).chain(words.into_iter().map(Into::into));
    let matches = command.try_get_matches_from_mut(words)?;
    let mut selection = Selection::default();
    let outcome = read(tool, &matches, &mut selection);
    outcome.map_err(|problem| command.error(ErrorKind::ValueValidation, problem)).map(|()| selection)
}

fn read(tool: &Tool, matches: &ArgMatches, selection: &mut Selection) -> Result<(), String> {
    let header = &tool.header;
    for (row, _) in common(tool) {
        match row.value {
            "" if row.long == "verbose" => selection.verbose = matches.get_count("verbose"),
            "" if matches.get_flag(row.long) => set(header, selection, row.long, "")?,
            "" => {}
            _ => {
                for value in matches.get_many::<String>(row.long).into_iter().flatten() {
                    set(header, selection, row.long, value)?;
                }
            }
        }
    }
    for row in &header.options {
        let values: Vec<String> = match &row.value {
            None if matches.get_flag(&own(&row.long)) => vec![String::new()],
            None => Vec::new(),
            Some(_) => matches.get_many::<String>(&own(&row.long)).into_iter().flatten().cloned().collect(),
        };
        for value in &values {
            if let Some(short) = row.short {
                selection.wishes.given.push(format!("-{short}"));
            }
            selection.wishes.given.push(format!("--{}", row.long));
            match &row.effect {
                Effect::Show => {}
                Effect::Set(name) => selection.named.push((name.clone(), value.clone())),
                Effect::Where(condition) => {
                    let text = condition.replace('$', &literals(value, condition.contains(" in $"))?);
                    selection.wishes.conditions.push(parsed(header, &text, &format!("--{} {value}", row.long))?);
                }
                Effect::Probe(probe) => {
                    let number: u32 =
                        value.parse().ok().filter(|number| (1..=MOST_OFTEN).contains(number)).ok_or_else(|| {
                            format!("--{} {value}: expected a number from 1 to {MOST_OFTEN}", row.long)
                        })?;
                    let place = probe.rsplit_once(':').map_or("", |(place, _)| place);
                    selection.probes.push((probe.clone(), format!("{place}:{number}")));
                }
                Effect::Same(other) => {
                    let (name, fixed) =
                        other.trim_start_matches('-').split_once('=').unwrap_or((other.trim_start_matches('-'), value));
                    set(header, selection, name, fixed)?;
                }
            }
        }
    }
    if selection.wishes.sort.is_empty() && !header.order.is_empty() {
        set(header, selection, "sort", &header.order)?;
    }
    if selection.metrics && selection.write.is_some() {
        return Err("--metrics adds up what --write keeps: use --metrics with --read of the recording".to_owned());
    }
    arguments(header, matches, selection)?;
    // Some columns cost more than others, and a script can ask whether they are of use.
    for (name, kind) in COSTLY {
        if tool.text.contains(&format!("getopt(\"{name}\"")) && selection.needs(header, kind) {
            selection.named.push((name.to_owned(), String::new()));
        }
    }
    Ok(())
}

fn arguments(header: &Header, matches: &ArgMatches, selection: &mut Selection) -> Result<(), String> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    match &header.arguments {
        Arguments::None => {}
        Arguments::Interval(usual) => {
            if let Some(interval) = text("INTERVAL") {
                selection.every = Some(time(&interval)?);
            }
            let usual = usual.map(|seconds| Duration::from_secs(seconds.into()));
            selection.every = selection.every.or(usual);
            selection.rounds = matches.get_one::<u64>("COUNT").copied();
        }
        Arguments::Duration => {
            if let Some(duration) = text("DURATION") {
                selection.duration = Some(time(&duration)?);
            }
        }
        Arguments::Set(name) => selection.named.extend(text("WORD").map(|word| (name.clone(), word))),
    }
    Ok(())
}

/// Takes an option that all tools have.
fn set(header: &Header, selection: &mut Selection, name: &str, value: &str) -> Result<(), String> {
    let list = || value.split(',').filter(|part| !part.is_empty());
    let number = || {
        value
            .parse::<u64>()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| format!("--{name} {value}: expected a number from 1"))
    };
    let wanted = &mut selection.wanted;
    let wishes = &mut selection.wishes;
    match name {
        "pid" => {
            for part in list() {
                wanted.pids.push(part.parse().map_err(|_| format!("--pid {part}: expected the number of a process"))?);
            }
        }
        "comm" => wanted.comms.extend(list().map(str::to_owned)),
        "uid" => {
            for part in list() {
                wanted.uids.push(user(part)?);
            }
        }
        "cgroup" => wanted.cgroups.extend(groups(value.as_ref())?),
        "container" => wanted.cgroups.extend(container(value)?),
        "netns" => wanted.netns.push(network_namespace(value)?),
        "output" => {
            let found = STYLES.iter().find(|(name, _)| *name == value);
            wishes.style = found.ok_or_else(|| format!("-o {value}: there are table, wide, json, csv and folded"))?.1;
        }
        "json" => wishes.style = Style::Json,
        "csv" => wishes.style = Style::Csv,
        "fields" => wishes.fields = Some(list().map(str::to_owned).collect()),
        "where" => wishes.conditions.push(parsed(header, value, "--where")?),
        "sort" => wishes.sort.extend(list().map(|part| match part.strip_prefix('-') {
            Some(field) => (field.to_owned(), true),
            None => (part.to_owned(), false),
        })),
        "top" => wishes.top = Some(usize::try_from(number()?).unwrap_or(usize::MAX)),
        "time" => wishes.clock = true,
        "timestamp" => wishes.since = true,
        "count" => selection.count = Some(number()?),
        "metrics" => selection.metrics = true,
        "flame" => selection.flame = Some(PathBuf::from(value)),
        "write" => selection.write = Some(PathBuf::from(value)),
        "read" => selection.read = Some(PathBuf::from(value)),
        "every" => selection.every = Some(time(value)?),
        "for" => selection.duration = Some(time(value)?),
        "command" => selection.command = Some(value.to_owned()),
        "source" => selection.source = true,
        other => return Err(format!("the head of {} means --{other}, which no tool has", header.name)),
    }
    Ok(())
}

fn parsed(header: &Header, text: &str, option: &str) -> Result<Condition, String> {
    let fields: Vec<&str> = header.columns.iter().map(|column| column.field.as_str()).collect();
    Condition::parse(text, &fields).map_err(|error| format!("{option}: `{text}`: {error}"))
}

/// A value as a literal of a condition, or a list of such literals.
fn literals(value: &str, list: bool) -> Result<String, String> {
    let literal = |part: &str| {
        if part.contains('\'') {
            Err(format!("`{part}` has a quote in it: use --where"))
        } else {
            Ok(format!("'{part}'"))
        }
    };
    let one = |part: &str| match part.parse::<f64>() {
        Ok(_) => Ok(part.to_owned()),
        Err(_) => literal(part),
    };
    if !list {
        return one(value);
    }
    let parts = value.split(',').filter(|part| !part.is_empty()).map(one).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("({})", parts.join(", ")))
}

/// A time: `30`, `1.5s`, `500ms`, `2m`, `1h`.
///
/// # Errors
/// It is none, or it is zero.
pub fn time(text: &str) -> Result<Duration, String> {
    let problem = || format!("`{text}` is no time: 30, 1.5s, 500ms, 2m or 1h are");
    let split = text.find(|char: char| char.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" | "s" => 1.0,
        "us" => 1e-6,
        "ms" => 1e-3,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(problem()),
    };
    let number: f64 = number.parse().map_err(|_| problem())?;
    let found = Duration::try_from_secs_f64(number * factor).map_err(|_| problem())?;
    if found.is_zero() { Err(problem()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    fn tool(name: &str) -> &'static Tool {
        Catalogue::embedded().find(name).unwrap()
    }

    #[test]
    fn command_lines_are_consistent() {
        for tool in &Catalogue::embedded().tools {
            command(tool).debug_assert();
            for row in &tool.header.options {
                let value = if row.value.is_some() { "1" } else { "" };
                match &row.effect {
                    Effect::Where(condition) => {
                        let text = condition.replace('$', &literals("1", condition.contains(" in $")).unwrap());
                        parsed(&tool.header, &text, "").unwrap();
                    }
                    Effect::Same(other) => {
                        let other = other.trim_start_matches('-');
                        let (name, fixed) = other.split_once('=').unwrap_or((other, value));
                        set(&tool.header, &mut Selection::default(), name, fixed).unwrap();
                    }
                    Effect::Probe(probe) => assert!(tool.text.contains(&format!("\n{probe} "))),
                    Effect::Set(_) | Effect::Show => {}
                }
            }
        }
    }

    #[test]
    fn what_all_tools_understand() {
        let words = [
            "-p",
            "1,2",
            "--pid=3",
            "--comm",
            "a,b",
            "-u",
            "root",
            "--netns",
            "net:[5]",
            "-o",
            "csv",
            "--fields",
            "pid,comm",
            "--where",
            "pid == 1",
            "--sort",
            "-tx_bytes,pid",
            "--top",
            "3",
            "-T",
            "-t",
            "--count",
            "9",
            "--every",
            "500ms",
            "--for",
            "2m",
            "-v",
        ];
        let found = parse(tool("tcplife"), words).unwrap();
        assert_eq!(found.wanted.pids, [1, 2, 3]);
        assert_eq!(
            (found.wanted.comms.len(), found.wanted.uids.as_slice(), found.wanted.netns.as_slice()),
            (2, &[0][..], &[5][..])
        );
        assert_eq!(found.wishes.style, Style::Csv);
        assert_eq!(found.wishes.sort, [("tx_bytes".to_owned(), true), ("pid".to_owned(), false)]);
        assert_eq!((found.wishes.top, found.count, found.verbose), (Some(3), Some(9), 1));
        assert_eq!((found.every, found.duration), (Some(Duration::from_millis(500)), Some(Duration::from_secs(120))));
        assert!(found.wishes.clock && found.wishes.since && found.wishes.conditions.len() == 1);
    }

    #[test]
    fn mistakes_are_explained() {
        // TABLE
        for (words, part) in [
            (&["-p", "x"][..], "expected the number of a process"),
            (&["-o", "xml"], "table, wide, json, csv and folded"),
            (&["--where", "nothing == 1"], "no field `nothing`"),
            (&["--top", "0"], "a number from 1"),
            (&["--every", "fast"], "no time"),
            (&["--cgroup", "/no/such"], "/no/such"),
            (&["--fild", "pid"], "unexpected argument '--fild'"),
        ] {
            let error = parse(tool("tcplife"), words.iter().copied()).unwrap_err();
            assert!(error.to_string().contains(part), "{words:?}: {error}");
            assert_eq!(error.exit_code(), 2, "{words:?}");
        }
    }

    #[test]
    fn numbers_of_probes() {
        let profile = tool("profile");
        let text = parse(profile, ["-F", "99"]).unwrap().script(profile);
        assert!(text.contains("\nprofile:hz:99 {") && !text.contains("\nprofile:hz:49 {"));
        assert_eq!(parse(profile, ["-K"]).unwrap().script(profile), profile.text);
        for wrong in ["0", "x", "99 { exit(); } profile:hz:1", "20000"] {
            let error = parse(profile, ["-F", wrong]).unwrap_err().to_string();
            assert!(error.contains("a number from 1 to 10000"), "{error}");
        }
    }

    #[test]
    fn times() {
        for (text, expected) in [("30", 30_000), ("1.5s", 1_500), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(time(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        for text in ["", "s", "-1", "0", "1d", "1e99", "nan", "inf"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
