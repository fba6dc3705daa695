//! Every random test of the crate, a second each, or as long as `SKEP_FUZZ_SECONDS` says, and for at least as many
//! inputs as `SKEP_FUZZ_RUNS` asks for. Each says at the end how many inputs it ran.

use std::cell::Cell;
use std::time::{Duration, Instant};

use arbtest::arbitrary::Unstructured;
use arbtest::arbtest;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// How often a long run says where it stands.
const REPORT_EVERY: Duration = Duration::from_secs(60);

fn run(name: &str, body: fn(&[u8])) {
    let seconds = setting("SKEP_FUZZ_SECONDS").unwrap_or(1);
    let wanted = setting("SKEP_FUZZ_RUNS").unwrap_or(1);
    let (runs, reported) = (Cell::new(0), Cell::new(Instant::now()));
    while runs.get() < wanted {
        arbtest(|u: &mut Unstructured<'_>| {
            body(u.bytes(u.len())?);
            runs.set(runs.get() + 1);
            if reported.get().elapsed() >= REPORT_EVERY {
                println!("{name}: {} inputs so far", runs.get());
                reported.set(Instant::now());
            }
            Ok(())
        })
        .budget_ms(seconds * 1_000)
        .size_max(4_096);
    }
    println!("{name}: {} inputs", runs.get());
}

#[test]
fn classic_interpreter_agrees_with_the_reference() {
    run("classic", skep_vm::fuzz::classic);
}

#[test]
fn translations_agree_with_their_originals() {
    run("translation", skep_vm::fuzz::translation);
}

#[test]
fn computing_programs_follow_the_pure_semantics() {
    run("computing", skep_vm::fuzz::arithmetic);
}

#[test]
fn engines_agree_on_arbitrary_programs() {
    run("arbitrary", skep_vm::fuzz::ebpf);
}
