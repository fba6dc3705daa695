//! Every random test of the crate, a second each and for at least as many
//! inputs as `SKEP_FUZZ_RUNS` asks for. Each says at the end how many inputs it ran.

use std::time::{Duration, Instant};

use skep_random::{Unstructured, random_test};

/// How often a long run says where it stands.
const REPORT_EVERY: Duration = Duration::from_secs(60);

fn run(name: &str, body: fn(&[u8])) {
    let wanted = std::env::var("SKEP_FUZZ_RUNS").ok().and_then(|value| value.parse().ok()).unwrap_or(1);
    let (mut runs, mut reported) = (0_u64, Instant::now());
    random_test(|u: &mut Unstructured<'_>| {
        body(u.bytes(u.len())?);
        runs += 1;
        if reported.elapsed() >= REPORT_EVERY {
            println!("{name}: {runs} inputs so far");
            reported = Instant::now();
        }
        Ok(())
    })
    .runs_min(wanted)
    .budget_ms(1_000)
    .size_max(4_096);
    println!("{name}: {runs} inputs");
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
