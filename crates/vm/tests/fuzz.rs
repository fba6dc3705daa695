//! Every random test of the crate, a second each, or as long as `SKEP_FUZZ_SECONDS` says.

use arbtest::arbitrary::Unstructured;
use arbtest::arbtest;

fn run(body: fn(&[u8])) {
    let seconds = std::env::var("SKEP_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse::<u64>().ok()).unwrap_or(1);
    arbtest(|u: &mut Unstructured<'_>| {
        body(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(seconds * 1_000)
    .size_max(4_096);
}

#[test]
fn classic_interpreter_agrees_with_the_reference() {
    run(skep_vm::fuzz::classic);
}

#[test]
fn translations_agree_with_their_originals() {
    run(skep_vm::fuzz::translation);
}

#[test]
fn computing_programs_follow_the_pure_semantics() {
    run(skep_vm::fuzz::arithmetic);
}

#[test]
fn engines_agree_on_arbitrary_programs() {
    run(skep_vm::fuzz::ebpf);
}
