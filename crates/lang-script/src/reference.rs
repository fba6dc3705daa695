//! The reference of the language: what the tables say about builtins, types of probes and settings, as pages for the
//! terminal and as a document.

use skep_isa::reference::Page;

use crate::builtins::{BUILTINS, Role, Row};
use crate::providers::{Data, HARDWARE_EVENTS, Kind, PROVIDERS, Provider, SOFTWARE_EVENTS};
use crate::settings::{self, SETTINGS};
use crate::words;

/// The names of all pages: types of probes, builtins, settings.
pub fn names() -> impl Iterator<Item = &'static str> {
    let settings = SETTINGS.iter().filter(|row| !row.doc.is_empty()).map(|row| row.name);
    PROVIDERS.iter().map(|provider| provider.name).chain(BUILTINS.iter().map(|row| row.name)).chain(settings)
}

/// The pages with a name, which may be an alias. Several things may have the same one.
pub fn pages(name: &str) -> Vec<Page> {
    let name = name.trim_end_matches("()");
    let provider = crate::providers::find(name).map(provider_page);
    let builtin = BUILTINS.iter().find(|row| row.name == name).map(builtin_page);
    let setting = name.strip_prefix("BPFTRACE_").map_or(name.to_owned(), str::to_lowercase);
    let setting = SETTINGS.iter().find(|row| row.name == setting && !row.doc.is_empty()).map(setting_page);
    provider.into_iter().chain(builtin).chain(setting).collect()
}

/// The name that was perhaps meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    words::nearest(name, names())
}

/// All pages as one document.
pub fn document() -> String {
    let mut text =
        "<!-- Made from the tables of crates/lang-script: cargo xtask docs -->\n\n# Reference of scripts\n\n\
                    `skep help script NAME` prints the same. [script.md](script.md) tells how scripts are run.\n"
            .to_owned();
    let mut part = |title: &str, pages: Vec<Page>| {
        text.push_str(&format!("\n# {title}\n\n"));
        text.push_str(&pages.iter().map(Page::markdown).collect::<Vec<_>>().join("\n"));
    };
    part("Types of probes", PROVIDERS.iter().map(provider_page).collect());
    for (role, title) in ROLES {
        part(title, BUILTINS.iter().filter(|row| row.role == *role).map(builtin_page).collect());
    }
    part("Settings", SETTINGS.iter().filter(|row| !row.doc.is_empty()).map(setting_page).collect());
    text
}

// TABLE
/// What builtins are, as titles.
const ROLES: &[(Role, &str)] = &[
    (Role::Value, "Values"),
    (Role::Function, "Functions"),
    (Role::Action, "What is done by the host"),
    (Role::Aggregate, "What maps collect"),
    (Role::Constant, "What is computed while the script is compiled"),
];

/// How a value that only some types of probes have is written.
fn written(data: Data) -> &'static str {
    match data {
        Data::Args => "args.NAME",
        Data::ArgN => "arg0, arg1, ...",
        Data::Retval => "retval",
        Data::Func => "func",
        Data::Ctx => "ctx",
        Data::Reg => "reg(\"name\")",
    }
}

fn provider_page(provider: &Provider) -> Page {
    let mut facts = vec![("written", provider.forms.join("; "))];
    if !provider.aliases.is_empty() {
        facts.push(("also", provider.aliases.join(", ")));
    }
    let data: Vec<&str> = provider.data.iter().map(|data| written(*data)).collect();
    let events = match provider.kind {
        Kind::Software => SOFTWARE_EVENTS,
        Kind::Hardware => HARDWARE_EVENTS,
        _ => &[],
    };
    if !events.is_empty() {
        let names = events.iter().map(|event| match event.alias == event.name {
            true => format!("{} ({})", event.name, event.count),
            false => format!("{}, {} ({})", event.name, event.alias, event.count),
        });
        facts.push(("events, once in how many", names.collect::<Vec<_>>().join("; ")));
    }
    facts.push(("values", if data.is_empty() { "those of every probe".to_owned() } else { data.join(", ") }));
    Page { title: provider.name.to_owned(), about: provider.doc.to_owned(), facts, tables: Vec::new() }
}

fn builtin_page(row: &Row) -> Page {
    let kind = ROLES.iter().find(|(role, _)| *role == row.role).map_or("", |(_, title)| title);
    let mut facts = vec![("written", row.signature.to_owned()), ("kind", kind.to_owned())];
    if let Some(data) = row.needs {
        let having = PROVIDERS.iter().filter(|provider| provider.has(data)).map(|provider| provider.name);
        facts.push(("in", having.collect::<Vec<_>>().join(", ")));
    }
    if row.dangerous {
        facts.push(("allowed by", "--unsafe".to_owned()));
    }
    Page { title: row.name.to_owned(), about: row.doc.to_owned(), facts, tables: Vec::new() }
}

fn setting_page(row: &settings::Row) -> Page {
    let facts = vec![
        ("written", format!("config = {{ {} = {}; }}", row.name, row.default)),
        ("values", row.values.to_owned()),
        ("without it", row.default.to_owned()),
        ("environment", format!("BPFTRACE_{}", row.name.to_uppercase())),
    ];
    Page { title: row.name.to_owned(), about: row.doc.to_owned(), facts, tables: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_page() {
        for name in names() {
            let pages = pages(name);
            assert!(!pages.is_empty(), "{name}");
            assert!(pages.iter().all(|page| page.title == name && !page.about.is_empty() && page.facts.len() > 1));
            assert!(pages.iter().all(|page| page.text(80).contains(name)));
        }
        assert_eq!(pages("kfunc")[0].title, "fentry");
        assert_eq!(pages("str()")[0].title, "str");
        assert!(pages("nosuch").is_empty());
        assert_eq!(nearest("kprob"), Some("kprobe"));
    }

    /// `cargo xtask docs` writes the document anew.
    #[test]
    fn the_document_is_up_to_date() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/script-reference.md");
        let text = document();
        if std::env::var_os("SKEP_WRITE_DOCS").is_some_and(|value| value == "1") {
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "docs/script-reference.md is out of date; run `cargo xtask docs`");
    }
}
