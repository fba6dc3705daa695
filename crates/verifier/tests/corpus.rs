//! Our verdicts against those of the running kernel on its own tests and on objects of this repository, program by program.
//!
//! The figures in `data/corpus.txt` may only get better. A part of the tests is compared each time, all of them by
//! `cargo xtask corpus`; what was found about each program is written beside the objects, as `report-SET.txt`.

mod agreement;

use std::path::Path;

use agreement::{Figures, Outcome, Tally};
use skep_cc::{Disk, Wishes, build};
use skep_kernel::RunningKernel;
use skep_lang_c::options::Options;
use skep_lang_c::pp::MainFile;
use skep_lang_c::provider::BtfTypes;
use skep_testkit::selftests::Selftests;
use skep_verifier::Kernel;

/// Which sources belong to the part that is compared each time: those with many small programs.
fn is_in_part(name: &str) -> bool {
    const ALSO: &[&str] = &["dynptr_fail", "iters", "linked_list_fail", "test_global_func", "test_xdp", "test_l4lb"];
    name.starts_with("verifier_") || ALSO.iter().any(|start| name.starts_with(start))
}

#[test]
fn verdicts_of_the_kernels_own_tests() {
    let Some(kernel) = agreement::running() else { return };
    if agreement::is_emulated() {
        return verdicts_of_compiled_tests(kernel);
    }
    let tests = match Selftests::prepare(&agreement::cache()) {
        Ok(tests) => tests,
        Err(why) => return agreement::skip(&why),
    };
    let all = std::env::var("SKEP_CORPUS").as_deref() == Ok("all");
    let names: Vec<String> = tests.names().unwrap().into_iter().filter(|name| all || is_in_part(name)).collect();
    let tally = agreement::in_parallel(&names, |name| match tests.object(name) {
        Ok(bytes) => agreement::judge(name, &bytes, kernel),
        Err(why) => vec![Outcome::not_compiled(name, &why)],
    });
    hold("selftests", if all { "all" } else { "part" }, kernel, &tally);
}

/// Every third object of the part, or all with `SKEP_CORPUS=all`, as they were compiled on another kernel: an emulator is
/// slow.
fn verdicts_of_compiled_tests(kernel: Kernel) {
    let Ok(entries) = std::fs::read_dir(agreement::cache().join("objects")) else {
        return println!("SKIPPED: no objects were taken along");
    };
    let mut objects: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    let stem = |path: &std::path::Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let all = std::env::var("SKEP_CORPUS").as_deref() == Ok("all");
    objects.retain(|path| path.extension().is_some_and(|extension| extension == "o"));
    objects.retain(|path| all || is_in_part(&stem(path)));
    objects.sort_unstable();
    let some: Vec<_> = objects.into_iter().step_by(if all { 1 } else { 3 }).collect();
    let tally = agreement::in_parallel(&some, |path| {
        agreement::judge(&stem(path), &std::fs::read(path).unwrap_or_default(), kernel)
    });
    hold("selftests", if all { "all" } else { "third" }, kernel, &tally);
}

#[test]
fn verdicts_of_objects_of_this_repository() {
    let Some(kernel) = agreement::running().filter(|_| !agreement::is_emulated()) else { return };
    let sources = agreement::own_sources();
    assert!(sources.len() > 5, "{sources:?}");
    let tally = agreement::in_parallel(&sources, |source| {
        let name = source.file_stem().unwrap_or_default().to_string_lossy();
        match skep_testkit::clang::compile(source, &[]) {
            Ok(bytes) => agreement::judge(&name, &bytes, kernel),
            Err(why) => vec![Outcome::not_compiled(&name, &why)],
        }
    });
    hold("own", "all", kernel, &tally);
}

/// What our compiler makes of its own corpus: `skep build` refuses what is refused here.
#[test]
fn verdicts_of_what_is_compiled_here() {
    let Some(kernel) = agreement::running().filter(|_| !agreement::is_emulated()) else { return };
    let types = match RunningKernel::new().types() {
        Ok(types) => types,
        Err(error) => return agreement::skip(&error.to_string()),
    };
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lang-c/tests/corpus");
    let mut sources: Vec<_> = std::fs::read_dir(corpus).unwrap().flatten().map(|entry| entry.path()).collect();
    sources.sort_unstable();
    let tally = agreement::in_parallel(&sources, |source| {
        let (name, text) = (source.display().to_string(), std::fs::read(source).unwrap());
        let main = MainFile { name: &name, text: &text };
        let mut types = BtfTypes::new(&types);
        let built = build(&main, &Options::default(), &Disk, &mut types, Wishes::default());
        let object = built.unwrap_or_else(|failed| panic!("{failed}")).object.to_elf().unwrap();
        agreement::judge(&source.file_stem().unwrap_or_default().to_string_lossy(), &object, kernel)
    });
    hold("compiled", "all", kernel, &tally);
}

/// Shows the figures, and fails if they are worse than they were.
fn hold(set: &str, part: &str, kernel: Kernel, tally: &Tally) {
    let name = format!("{set}-{part}-{}", kernel.name());
    let report = tally.write_report(&name);
    let found = tally.figures();
    println!("{name}: {found}\n{}", tally.table());
    println!("each program: {}", report.display());
    if agreement::is_emulated() {
        tally.worst().iter().for_each(|line| println!("{line}"));
    }
    if std::env::var("SKEP_WRITE_FIGURES").as_deref() == Ok("1") {
        return Figures::write(&name, &found);
    }
    let worse = Figures::read(&name).compare(&found);
    assert!(worse.is_empty(), "{name}: worse than before:\n{}\nsee {}", worse.join("\n"), report.display());
}
