//! What is written about a tool: the end of its help, and its page in the documentation.

use std::fmt::Write as _;

use crate::catalogue::{COMMANDS, Catalogue, Tool};
use crate::command::common;
use crate::header::{Arguments, Form, Header, Shown};
use crate::view::ADDED;

/// What stands behind the options in `--help`.
pub fn after_help(header: &Header) -> String {
    let mut text = String::new();
    if !header.about.is_empty() {
        let _ = writeln!(text, "{}\n", header.about);
    }
    if !header.columns.is_empty() {
        text.push_str("Columns (field, head, meaning):\n");
        for column in &header.columns {
            let when = match &column.shown {
                Shown::Always => String::new(),
                Shown::Wide => " (wide)".to_owned(),
                Shown::Data => " (json, csv)".to_owned(),
                Shown::With(option) => format!(" ({option})"),
                Shown::Without(option) => format!(" (not with {option})"),
            };
            let _ = writeln!(text, "  {:14} {:10} {}{when}", column.field, column.head, column.doc);
        }
        text.push('\n');
    }
    let _ = write!(text, "Example:\n{}", indented(&header.example));
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// The page of a tool, in Markdown.
pub fn page(tool: &Tool) -> String {
    let header = &tool.header;
    let mut text = format!(
        "<!-- Made from {3} by `cargo xtask docs`. -->\n\n# {0}\n\n{1}.\n\n**{2}**\n\n",
        header.name,
        header.title,
        header.question,
        tool.source()
    );
    if !header.about.is_empty() {
        let _ = writeln!(text, "{}\n", header.about);
    }
    let _ = writeln!(text, "```text\n{}\n```\n", header.example);
    if !header.columns.is_empty() {
        text.push_str("| field | head | shown | meaning |\n|---|---|---|---|\n");
        for column in &header.columns {
            let shown = match &column.shown {
                Shown::Always => "always".to_owned(),
                Shown::Wide => "wide, json, csv".to_owned(),
                Shown::Data => "json, csv".to_owned(),
                Shown::With(option) => format!("`{option}`, wide, json, csv"),
                Shown::Without(option) => format!("without `{option}`, wide, json, csv"),
            };
            let _ = writeln!(
                text,
                "| `{}` | {} | {shown} | {}{} |",
                column.field,
                column.head,
                cell(&column.doc),
                unit(column.form)
            );
        }
        if header.column("pid").is_some() {
            for (name, head, _, doc) in ADDED {
                let _ = writeln!(text, "| `{name}` | {head} | wide, json, csv | {doc} |");
            }
        }
        text.push('\n');
    }
    text.push_str("| option | meaning |\n|---|---|\n");
    match &header.arguments {
        Arguments::None => {}
        Arguments::Interval(_) => text.push_str("| `INTERVAL [COUNT]` | Seconds between outputs, and how many. |\n"),
        Arguments::Duration => text.push_str("| `DURATION` | Seconds until the end. |\n"),
        Arguments::Set(name) => {
            let _ = writeln!(text, "| `{}` | What `{name}` is in the script. |", name.to_ascii_uppercase());
        }
    }
    let mut option = |short: Option<char>, long: &str, value: &str, doc: &str| {
        let letter = short.map(|short| format!("-{short}, ")).unwrap_or_default();
        let value = if value.is_empty() { String::new() } else { format!(" {value}") };
        let _ = writeln!(text, "| `{letter}--{long}{}` | {}. |", cell(&value), cell(doc.trim_end_matches('.')));
    };
    for row in &header.options {
        option(row.short, &row.long, row.value.as_deref().unwrap_or_default(), &row.doc);
    }
    for (row, short) in common(tool) {
        option(short, row.long, row.value, row.doc);
    }
    text
}

/// What a table makes of the values.
fn unit(form: Form) -> &'static str {
    match form {
        Form::Millis => " Nanoseconds; milliseconds in tables.",
        Form::Micros => " Nanoseconds; microseconds in tables.",
        Form::Seconds => " Nanoseconds; seconds in tables.",
        Form::Kilobytes => " Bytes; units of 1024 in tables.",
        Form::Memory(_) => " Bytes; units of 1048576 in tables.",
        Form::Plain | Form::Clock | Form::Hex | Form::Words | Form::Stack | Form::Named(_) => "",
    }
}

/// Text in a table of Markdown.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The page that lists all tools.
pub fn index(catalogue: &Catalogue) -> String {
    let mut text = "<!-- Made from the heads of tools/*.bt by `cargo xtask docs`. -->\n\n# Tools\n\n\
        `skep NAME` runs a tool, `skep tools` lists them. [How they work](../tools.md), and how to write one.\n\n\
        | tool | topic | question |\n|---|---|---|\n"
        .to_owned();
    let mut rows: Vec<(&str, &str, &str, bool)> =
        COMMANDS.iter().map(|(name, topic, question)| (*topic, *name, *question, false)).collect();
    rows.extend(catalogue.tools.iter().map(|tool| {
        let header = &tool.header;
        (header.topic.as_str(), header.name.as_str(), header.question.as_str(), true)
    }));
    rows.sort_unstable();
    for (topic, name, question, is_tool) in rows {
        let name = if is_tool { format!("[{name}]({name}.md)") } else { name.to_owned() };
        let _ = writeln!(text, "| {name} | {topic} | {question} |");
    }
    text
}
