//! Property tests: each body of the fuzz modules for about a second.

use skep_isa::{classic, ebpf};
use skep_random::random_test;

#[test]
fn classic_readers_never_panic() {
    random_test(|u| {
        classic::fuzz::readers(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_000);
}

#[test]
fn classic_programs_round_trip() {
    random_test(|u| {
        classic::fuzz::programs(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_000);
}

#[test]
fn translated_programs_agree() {
    random_test(|u| {
        skep_isa::translate::fuzz::agrees(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_000);
}

#[test]
fn slots_decode_or_are_refused() {
    random_test(|u| {
        ebpf::fuzz::slots(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_000);
}

#[test]
fn assembler_and_disassembler_are_inverse() {
    random_test(|u| {
        ebpf::fuzz::programs(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_000);
}

#[test]
fn assembler_never_panics() {
    random_test(|u| {
        ebpf::fuzz::text(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_000);
}
