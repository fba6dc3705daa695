//! Our verdicts against those of the running kernel on its own tests and on objects of this repository, program by program.
//!
//! The figures in `data/corpus.txt` may only get better. A part of the tests is compared each time, all of them by
//! `cargo xtask corpus`; what was found about each program is written beside the objects, as `report-SET.txt`.

mod agreement;

use agreement::{Figures, Outcome, Tally};

/// Which sources belong to the part that is compared each time: those with many small programs.
fn is_in_part(name: &str) -> bool {
    const ALSO: &[&str] = &["dynptr_fail", "iters", "linked_list_fail", "test_global_func", "test_xdp", "test_l4lb"];
    name.starts_with("verifier_") || ALSO.iter().any(|start| name.starts_with(start))
}

#[test]
fn verdicts_of_the_kernels_own_tests() {
    if let Err(why) = agreement::kernel_is_known() {
        return agreement::skip(&why);
    }
    let cache = agreement::cache();
    let tests = match skep_testkit::selftests::Selftests::prepare(&cache) {
        Ok(tests) => tests,
        Err(why) => return agreement::skip(&why),
    };
    let all = std::env::var("SKEP_CORPUS").as_deref() == Ok("all");
    let names: Vec<String> = tests.names().unwrap().into_iter().filter(|name| all || is_in_part(name)).collect();
    let tally = agreement::in_parallel(&names, |name| match tests.object(name) {
        Ok(bytes) => agreement::judge(name, &bytes),
        Err(why) => vec![Outcome::not_compiled(name, &why)],
    });
    hold("selftests", if all { "all" } else { "part" }, &tally);
}

#[test]
fn verdicts_of_objects_of_this_repository() {
    if let Err(why) = agreement::kernel_is_known() {
        return agreement::skip(&why);
    }
    let sources = agreement::own_sources();
    assert!(sources.len() > 5, "{sources:?}");
    let tally = agreement::in_parallel(&sources, |source| {
        let name = source.file_stem().unwrap_or_default().to_string_lossy();
        match skep_testkit::clang::compile(source, &[]) {
            Ok(bytes) => agreement::judge(&name, &bytes),
            Err(why) => vec![Outcome::not_compiled(&name, &why)],
        }
    });
    hold("own", "all", &tally);
}

/// Shows the figures, and fails if they are worse than they were.
fn hold(set: &str, part: &str, tally: &Tally) {
    let name = format!("{set}-{part}");
    let report = tally.write_report(&name);
    let found = tally.figures();
    println!("{name}: {found}\n{}", tally.table());
    println!("each program: {}", report.display());
    if std::env::var("SKEP_WRITE_FIGURES").as_deref() == Ok("1") {
        return Figures::write(&name, &found);
    }
    let worse = Figures::read(&name).compare(&found);
    assert!(worse.is_empty(), "{name}: worse than before:\n{}\nsee {}", worse.join("\n"), report.display());
}
