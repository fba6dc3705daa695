//! The pages under `docs/tools` are those that the heads of the scripts make. `cargo xtask docs` writes them anew.

use std::path::Path;

use skep_tools::catalogue::Catalogue;
use skep_tools::page::{index, page};

#[test]
fn pages_are_up_to_date() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools");
    let write = std::env::var_os("SKEP_WRITE_DOCS").is_some_and(|value| value == "1");
    let catalogue = Catalogue::embedded();
    let mut pages: Vec<(String, String)> =
        catalogue.tools.iter().map(|tool| (format!("{}.md", tool.header.name), page(tool))).collect();
    pages.push(("README.md".to_owned(), index(catalogue)));
    if write {
        std::fs::create_dir_all(&directory).unwrap();
    }
    for (name, text) in &pages {
        let path = directory.join(name);
        if write {
            std::fs::write(&path, text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == *text, "docs/tools/{name} is out of date; run `cargo xtask docs`");
    }
    for entry in std::fs::read_dir(&directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(pages.iter().any(|(page, _)| *page == name), "docs/tools/{name} is not made by anything");
    }
}

/// Every file in `tools` is a tool of the binary or part of one.
#[test]
fn no_script_is_forgotten() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools");
    for entry in std::fs::read_dir(&directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".bt") else { continue };
        assert!(Catalogue::embedded().find(name).is_some(), "tools/{name}.bt is not in the table of catalogue.rs");
    }
    for entry in std::fs::read_dir(directory.join("lib")).unwrap() {
        let name = format!("lib/{}", entry.unwrap().file_name().into_string().unwrap());
        assert!(skep_tools::catalogue::library(&name).is_some(), "tools/{name} is not in the table of catalogue.rs");
    }
}
