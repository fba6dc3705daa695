//! The corpus of programs in C that are compared with what clang makes of them (`crates/lang-c/tests/corpus`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs, in the order of their names; `SKEP_CORPUS` chooses some by a part of the name.
///
/// # Panics
/// If the directory cannot be read.
pub fn sources() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lang-c/tests/corpus");
    let mut files: Vec<_> = fs::read_dir(directory).expect("the corpus").flatten().map(|entry| entry.path()).collect();
    let wanted = std::env::var("SKEP_CORPUS").unwrap_or_default();
    files.retain(|path| path.to_string_lossy().ends_with(".bpf.c") && path.to_string_lossy().contains(&wanted));
    files.sort();
    files
}

/// Puts headers where clang finds them: the given ones by name and text, but for `linux/bpf.h`, which it has itself.
///
/// # Panics
/// If they cannot be written.
pub fn write_headers<T: AsRef<str>>(directory: &Path, headers: impl IntoIterator<Item = (&'static str, T)>) {
    for (name, text) in headers.into_iter().filter(|(name, _)| *name != "linux/bpf.h") {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, text.as_ref()).expect("a header");
    }
}

/// clang as it compiles such a program to an object, with the headers of a directory.
pub fn clang(source: &Path, object: &Path, headers: &Path) -> Command {
    let mut command = Command::new("clang");
    command.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-D__TARGET_ARCH_x86", "-Wno-everything", "-c", "-o"]);
    command.arg(object).arg("-I").arg(headers).args(["-idirafter", "/usr/include/x86_64-linux-gnu"]).arg(source);
    command
}
