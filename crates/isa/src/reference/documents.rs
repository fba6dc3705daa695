//! The reference as documents, which lie under `docs/reference` and are generated from here.

use super::{Table, Topic, markdown};
use crate::contexts::CONTEXTS;
use crate::helpers::HELPERS;
use crate::kfuncs::KFUNCS;
use crate::limits::LIMITS;
use crate::versions::FEATURES;

/// A generated document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Name of the file under `docs/reference`.
    pub name: &'static str,
    /// Its content.
    pub text: String,
}

const NOTICE: &str = "<!-- Made from the tables of crates/isa: cargo xtask docs -->\n\n";

/// Every document of the reference.
pub fn documents() -> Vec<Document> {
    let pages = |name, title: &str, topics: &[Topic]| {
        let mut text = format!("{NOTICE}# {title}\n\n");
        let sections = topics.iter().flat_map(|topic| topic.names().into_iter().map(|name| topic.page(name)));
        let sections: Vec<String> = sections.flatten().map(|page| page.markdown()).collect();
        text.push_str(&sections.join("\n"));
        Document { name, text }
    };
    let table = |name, title: &str, table: &Table| Document {
        name,
        text: format!("{NOTICE}# {title}\n\n{}", markdown::rows(table)),
    };
    vec![
        pages("programs.md", "Program types", &[Topic::Prog]),
        pages("maps.md", "Map types", &[Topic::Map]),
        pages("helpers.md", "Helpers", &[Topic::Helper]),
        pages("attach.md", "Attach types and links", &[Topic::Attach, Topic::Link]),
        table("kfuncs.md", "Kernel functions that programs call by name", &kfuncs()),
        table("limits.md", "Limits", &limits()),
        table("instructions.md", "Versions of the instruction set", &instructions()),
        contexts(),
        table("releases.md", "What came with which release", &releases()),
    ]
}

fn kfuncs() -> Table {
    let row = |kfunc: &crate::kfuncs::Kfunc| {
        let name = if kfunc.sleeps { format!("{} (sleeps)", kfunc.name) } else { kfunc.name.to_owned() };
        vec![name, kfunc.since.to_string(), kfunc.programs.to_string(), kfunc.about.to_owned()]
    };
    Table {
        title: "",
        columns: &["function", "since", "programs", "what it does"],
        rows: KFUNCS.iter().map(row).collect(),
    }
}

fn limits() -> Table {
    let row = |limit: &crate::limits::Limit| {
        vec![limit.name.to_owned(), limit.value.to_owned(), limit.since.to_string(), limit.about.to_owned()]
    };
    Table { title: "", columns: &["limit", "value", "since", "what it means"], rows: LIMITS.iter().map(row).collect() }
}

fn instructions() -> Table {
    let row = |feature: &crate::versions::InsnFeature| {
        let version = if feature.version == 0 { "-".to_owned() } else { format!("v{}", feature.version) };
        vec![
            feature.name.to_owned(),
            version,
            feature.since.to_string(),
            feature.example.to_owned(),
            feature.about.to_owned(),
        ]
    };
    let columns = &["name", "version", "since", "example", "what it is"];
    Table { title: "", columns, rows: FEATURES.iter().map(row).collect() }
}

/// The contexts with all fields, whoever may use them.
fn contexts() -> Document {
    let mut text = format!("{NOTICE}# Contexts\n");
    for context in CONTEXTS {
        let row = |field: &crate::contexts::Field| {
            vec![
                field.name.to_owned(),
                field.offset.to_string(),
                field.size.to_string(),
                field.since.to_string(),
                field.readable.to_string(),
                field.writable.to_string(),
                field.about.to_owned(),
            ]
        };
        let columns = &["field", "offset", "size", "since", "read by", "written by", "meaning"];
        let table = Table { title: "", columns, rows: context.fields.iter().map(row).collect() };
        text.push_str(&format!(
            "\n## struct {}\n\n{} bytes.\n\n{}",
            context.name.replace('_', "\\_"),
            context.size,
            markdown::rows(&table)
        ));
    }
    Document { name: "contexts.md", text }
}

/// Everything in the order of the releases.
fn releases() -> Table {
    let mut rows: Vec<(crate::Release, &str, String)> = Vec::new();
    rows.extend(crate::ProgType::ALL.iter().map(|kind| (kind.since(), "program type", kind.to_string())));
    rows.extend(crate::MapType::ALL.iter().map(|kind| (kind.since(), "map type", kind.to_string())));
    rows.extend(crate::AttachType::ALL.iter().map(|kind| (kind.since(), "attach type", kind.to_string())));
    rows.extend(crate::LinkType::ALL.iter().map(|kind| (kind.since(), "link", kind.to_string())));
    rows.extend(FEATURES.iter().map(|feature| (feature.since, "instructions", feature.name.to_owned())));
    rows.extend(HELPERS.iter().map(|helper| (helper.since, "helper", helper.name.to_owned())));
    rows.extend(KFUNCS.iter().map(|kfunc| (kfunc.since, "kfunc", kfunc.name.to_owned())));
    // The sort is stable, so names of one kind stay in the order of their table.
    rows.sort_by_key(|(since, ..)| *since);
    let mut merged: Vec<Vec<String>> = Vec::new();
    for (since, kind, name) in rows {
        let since = since.to_string();
        match merged.last_mut() {
            Some(last) if last[0] == since && last[1] == kind => {
                last[2].push_str(", ");
                last[2].push_str(&name);
            }
            _ => merged.push(vec![since, kind.to_owned(), name]),
        }
    }
    Table { title: "", columns: &["release", "kind", "names"], rows: merged }
}
