//! What the tests of this crate share: the rule for skipping.

/// Reports a test that cannot run on this machine; fails it when `SKEP_REQUIRE_KERNEL` is 1.
#[track_caller]
pub fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

/// Whether the kernel is of this release or newer; reports a skip, which is no failure, if it is older.
#[allow(dead_code)]
pub fn kernel_has(what: &str, since: skep_isa::Release) -> bool {
    let has = skep_kernel::running_release().is_none_or(|running| running >= since);
    if !has {
        println!("SKIPPED: {what}: needs Linux {since}");
    }
    has
}

/// Whether programs can be loaded here; reports a skip if not.
#[track_caller]
#[allow(dead_code)] // Each test file is a program of its own and not all of them load programs.
pub fn can_load() -> bool {
    use skep_kernel::{Capability, has_capability};
    let can = has_capability(Capability::Bpf) || has_capability(Capability::SysAdmin);
    if !can {
        skip("loading programs needs CAP_BPF");
    }
    can
}

/// Compiles a source of `tests/c` with clang and reads the object; `None` with a note if there is no clang.
#[track_caller]
#[allow(dead_code)]
pub fn compile(name: &str, options: &[&str]) -> Option<skep_object::Object> {
    use std::process::Command;
    if Command::new("clang").arg("--version").output().is_err() {
        skip("clang is not installed");
        return None;
    }
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name);
    let directory = tempfile::tempdir().unwrap();
    let object = directory.path().join("out.o");
    let mut command = Command::new("clang");
    command.args(["-O2", "-g", "-target", "bpf", "-fno-common", "-Wno-everything", "-c", "-o"]).arg(&object);
    let output = command.args(options).arg(source).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(skep_object::Object::from_elf(&std::fs::read(object).unwrap()).unwrap())
}
