//! Programs in C, compiled by clang when a test asks for them: the corpus of loaders.
//!
//! The sources lie in `crates/object/tests/c`. Each covers one part of what loaders do; together they hold every kind of
//! section, map, variable, extern and relocation that libbpf knows.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

/// The sources that are objects on their own. Kernels refuse the program of the last one on purpose.
pub const SOURCES: &[&str] =
    &["sections", "maps", "globals", "functions", "kconfig", "ksyms", "core", "struct_ops", "core_refused"];

/// The sources that need each other: linked they are one object.
pub const LINKED: &[&str] = &["link_a", "link_b"];

/// The object that clang makes of a source of the corpus (its name without `.c`); compiled once in a process.
///
/// # Errors
/// The reason if there is no clang, for tests to skip.
///
/// # Panics
/// If clang refuses the source.
pub fn object(name: &str) -> Result<Arc<[u8]>, String> {
    static KNOWN: OnceLock<Mutex<HashMap<String, Arc<[u8]>>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(object) = known.get(name) {
        return Ok(Arc::clone(object));
    }
    let object: Arc<[u8]> = compile(&directory().join(format!("{name}.c")), &[])?.into();
    known.insert(name.to_owned(), Arc::clone(&object));
    Ok(object)
}

/// Where the sources lie.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../object/tests/c")
}

/// The object that clang makes of a text with the declarations of the corpus (`skep.h`, line 1) in front.
///
/// # Errors
/// The reason if there is no clang, for tests to skip.
///
/// # Panics
/// If clang refuses the text.
pub fn compile_text(text: &str, options: &[&str]) -> Result<Vec<u8>, String> {
    let source = tempfile::Builder::new().prefix("case").suffix(".c").tempfile().expect("a temporary file");
    let header = directory().join("skep.h");
    std::fs::write(source.path(), format!("#include \"{}\"\n{text}", header.display())).expect("the source");
    compile(source.path(), options)
}

/// The object that clang makes of a source, with type information and without warnings.
///
/// # Errors
/// The reason if there is no clang, for tests to skip.
///
/// # Panics
/// If clang refuses the source.
pub fn compile(source: &Path, options: &[&str]) -> Result<Vec<u8>, String> {
    if Command::new("clang").arg("--version").output().is_err() {
        return Err("clang is not installed".to_owned());
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let object = directory.path().join("object.o");
    let mut command = Command::new("clang");
    command.args(["-O2", "-g", "-target", "bpfel", "-mcpu=v3", "-Wall", "-Wno-unused", "-c", "-o"]).arg(&object);
    let output = command.args(options).arg(source).output().expect("clang runs");
    assert!(output.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&output.stderr));
    Ok(std::fs::read(object).expect("clang has written the object"))
}
