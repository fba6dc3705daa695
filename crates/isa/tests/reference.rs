//! The documents under `docs/reference` are those that the tables make. `cargo xtask docs` writes them anew.

use std::path::Path;

use skep_isa::reference::documents;

#[test]
fn documents_are_up_to_date() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let write = std::env::var_os("SKEP_WRITE_DOCS").is_some_and(|value| value == "1");
    if write {
        std::fs::create_dir_all(&directory).unwrap();
    }
    for document in documents() {
        let path = directory.join(document.name);
        if write {
            std::fs::write(&path, &document.text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == document.text, "docs/reference/{} is out of date; run `cargo xtask docs`", document.name);
    }
    let names: Vec<&str> = documents().iter().map(|document| document.name).collect();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name.as_str()), "docs/reference/{name} is not made by anything");
    }
}
