//! `skep help`: the help of sub-commands, and the reference of the kernel's side of BPF.

use clap::CommandFactory;
use skep_isa::reference::{Page, Topic};
use skep_lang_script::reference;
use skep_tools::catalogue::Catalogue;

use crate::args::{Cli, HelpArgs};
use crate::failure::Failure;
use crate::text::print;

/// Columns of a terminal that does not say how wide it is.
const COLUMNS: usize = 100;

/// Prints what is known about the words.
pub fn run(args: &HelpArgs) -> Result<(), Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let topic = words.first().and_then(|word| Topic::from_name(word));
    if let [name] = words.as_slice()
        && let Some(tool) = Catalogue::embedded().find(name)
    {
        return print(&skep_tools::command::command(tool).render_help().to_string());
    }
    if let (Some(topic), [_, name]) = (topic, words.as_slice())
        && let Some(page) = topic.page(name)
    {
        return print(&page.text(columns()));
    }
    match words.as_slice() {
        ["script"] => return print(&format!("{}\n{}", command_help(&words).unwrap_or_default(), script_names())),
        ["script", name] => return script_page(name),
        _ => {}
    }
    match (command_help(&words), topic, words.as_slice()) {
        (Some(help), None, []) => print(&format!("{help}\n{}", topics())),
        (Some(help), None, _) => print(&help),
        // A sub-command may have the name of a topic.
        (Some(help), Some(topic), [_]) => print(&format!("{help}\n{}", names(topic))),
        (Some(help), Some(_), _) => print(&help),
        (None, Some(topic), [_]) => print(&names(topic)),
        (None, Some(topic), [_, name, ..]) => Err(unknown_name(topic, name)),
        (None, ..) => Err(unknown_word(&words)),
    }
}

/// What there is in the language of scripts under a name.
fn script_page(name: &str) -> Result<(), Failure> {
    let pages: Vec<String> = reference::pages(name).iter().map(|page: &Page| page.text(columns())).collect();
    if pages.is_empty() {
        let hint = match reference::nearest(name) {
            Some(near) => format!("did you mean {near}?"),
            None => "`skep help script` lists what there is".to_owned(),
        };
        return Err(Failure::Usage(format!("scripts have no `{name}`; {hint}")));
    }
    print(&pages.join("\n"))
}

fn script_names() -> String {
    let about = "types of probes, builtins and settings of the language";
    format!("skep help script NAME: {about}\n\n{}", in_lines(reference::names()))
}

/// The width that the shell passes on, within reason.
fn columns() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    told.unwrap_or(COLUMNS).clamp(40, 160)
}

/// The help of the sub-command that the words name, as `--help` prints it; `None` if there is none.
fn command_help(words: &[&str]) -> Option<String> {
    let mut command = Cli::command();
    command.build();
    let mut current = &command;
    for word in words {
        current = current.find_subcommand(word)?;
    }
    let line = ["skep"].iter().chain(words).chain(&["--help"]);
    Some(Cli::command().try_get_matches_from(line).err()?.render().to_string())
}

fn topics() -> String {
    let mut text = "Topics of skep help:\n".to_owned();
    for topic in Topic::ALL {
        text.push_str(&format!("  {:8}{}\n", topic.name(), topic.about()));
    }
    text.push_str("  script  the language of scripts: types of probes, builtins, settings\n");
    text.push_str("\n`skep help TOPIC` lists the names of a topic, `skep help TOPIC NAME` explains one.\n");
    text
}

/// The names of a topic, a few on a line.
fn names(topic: Topic) -> String {
    format!("skep help {} NAME: {}\n\n{}", topic.name(), topic.about(), in_lines(topic.names().into_iter()))
}

fn in_lines(names: impl Iterator<Item = &'static str>) -> String {
    let (mut text, mut line) = (String::new(), String::new());
    for name in names {
        if !line.is_empty() && line.len() + name.len() + 3 > columns() {
            text.push_str(&format!("  {line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(name);
    }
    text.push_str(&format!("  {line}\n"));
    text
}

fn unknown_name(topic: Topic, name: &str) -> Failure {
    let hint = match topic.suggestions(name).as_slice() {
        [] => format!("`skep help {}` lists what there is", topic.name()),
        near => format!("did you mean {}?", near.join(", ")),
    };
    Failure::Usage(format!("there is no {} `{name}`; {hint}", topic.name()))
}

/// A word that is neither a sub-command nor a topic; perhaps it is a name of some topic.
fn unknown_word(words: &[&str]) -> Failure {
    let all = words.join(" ");
    let last = words.last().copied().unwrap_or_default();
    let owners: Vec<String> = Topic::ALL
        .iter()
        .filter(|topic| topic.page(last).is_some())
        .map(|topic| topic.name())
        .chain((!reference::pages(last).is_empty()).then_some("script"))
        .map(|topic| format!("`skep help {topic} {last}`"))
        .collect();
    let hint = if owners.is_empty() {
        "`skep help` lists sub-commands and topics".to_owned()
    } else {
        format!("try {}", owners.join(" or "))
    };
    Failure::Usage(format!("there is no help for `{all}`; {hint}"))
}
