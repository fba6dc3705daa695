//! Every random test of the crate, a second each.

use arbtest::arbitrary::Unstructured;
use arbtest::arbtest;

fn run(body: fn(&[u8])) {
    arbtest(|u: &mut Unstructured<'_>| {
        body(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(1_000)
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
