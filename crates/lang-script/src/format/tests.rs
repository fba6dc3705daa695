//! Tests of the formatter.

use std::fs;
use std::path::Path;

use super::format_text;
use crate::fuzz;

/// The scripts of the tests with their names.
fn scripts() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut scripts: Vec<_> = fs::read_dir(directory)
        .expect("the directory is there")
        .map(|entry| {
            let path = entry.expect("it can be read").path();
            (path.display().to_string(), fs::read_to_string(&path).expect("it is text"))
        })
        .collect();
    scripts.sort();
    scripts
}

#[test]
fn scripts_stay_the_same() {
    let scripts = scripts();
    assert!(scripts.len() >= 30, "the scripts are missing");
    for (name, text) in scripts {
        let (_, diagnostics) = crate::parse(&text);
        assert!(diagnostics.is_empty(), "{name}: {diagnostics:#?}");
        fuzz::script(text.as_bytes());
    }
}
