//! The crate against its oracles: bpftool for texts and for relocations, clang for layouts, the kernel for what is built.

mod build;
mod core;
mod print;
mod values;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use skep_btf::Btf;

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Reports a test that cannot run on this machine; fails it when `SKEP_REQUIRE_KERNEL` is 1.
#[track_caller]
fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

/// Whether these programs are installed; reports a skip if not.
#[track_caller]
fn installed(tools: &[&str]) -> bool {
    let missing = tools.iter().find(|tool| Command::new(tool).arg("--version").output().is_err());
    if let Some(missing) = missing {
        skip(&format!("{missing} is not installed"));
    }
    missing.is_none()
}

/// The running kernel's types; reports a skip if there are none.
#[track_caller]
fn kernel() -> Option<Btf> {
    let bytes = std::fs::read(VMLINUX);
    if bytes.is_err() {
        skip("the kernel was built without CONFIG_DEBUG_INFO_BTF");
    }
    Some(Btf::parse(bytes.ok()?).unwrap())
}

/// Standard output and standard error of a program that has to succeed.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}", &errors[..errors.len().min(4000)]);
    String::from_utf8(output.stdout).unwrap()
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle").join(name)
}

/// An object file with its type information in files of its own.
struct Compiled {
    directory: tempfile::TempDir,
}

impl Compiled {
    /// Compiles a file of this directory.
    #[track_caller]
    fn new(name: &str) -> Self {
        let compiled = Self { directory: tempfile::tempdir().unwrap() };
        run(Command::new("clang")
            .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wno-everything", "-c", "-o"])
            .arg(compiled.path("object"))
            .arg(source(name)));
        let dump = |section: &str| format!("{section}={}", compiled.path(&section[1..]).display());
        run(Command::new("llvm-objcopy")
            .args(["--dump-section", &dump(".BTF"), "--dump-section", &dump(".BTF.ext")])
            .arg(compiled.path("object"))
            .arg(compiled.path("copy")));
        compiled
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn btf(&self) -> Btf {
        Btf::parse(std::fs::read(self.path("BTF")).unwrap()).unwrap()
    }

    /// Replaces a section of the object.
    fn replace(&self, section: &str, bytes: &[u8]) {
        std::fs::write(self.path("new"), bytes).unwrap();
        let new = format!("{section}={}", self.path("new").display());
        run(Command::new("llvm-objcopy").args(["--update-section", &new]).arg(self.path("object")));
    }
}

/// What bpftool prints about a file of types.
#[track_caller]
fn bpftool_dump(file: &Path, format: &str, base: Option<&Path>) -> String {
    let mut command = Command::new("bpftool");
    if let Some(base) = base {
        command.arg("-B").arg(base);
    }
    run(command.args(["btf", "dump", "file"]).arg(file).args(["format", format]))
}

#[test]
fn the_kernel_is_opened_and_searched() {
    let Some(btf) = kernel() else { return };
    let task = btf.find("task_struct").unwrap();
    // Scans and the index that follows them say the same.
    let scanned: Vec<_> = ["sk_buff", "tcp_sock", "no_such_type"].map(|name| btf.find(name)).into();
    let indexed: Vec<_> = ["sk_buff", "tcp_sock", "no_such_type"].map(|name| btf.find(name)).into();
    assert_eq!(scanned, indexed);
    assert_eq!(btf.find("task_struct"), Some(task));
    assert!(btf.find_flavours("task_struct").contains(&task));
    assert!(btf.index_size() < 1 << 20, "{} bytes", btf.index_size());
    // Every name leads to its first type.
    let base = Arc::new(btf);
    for id in base.ids().step_by(97) {
        let name = base.name(id).unwrap();
        if !name.is_empty() {
            let first = base.find(name).unwrap();
            assert!(first <= id && base.name(first) == Ok(name), "{name}");
        }
    }
}
