//! Property tests: each body of the fuzz modules for about a second.

use arbtest::arbtest;
use skep_isa::{classic, ebpf};

#[test]
fn classic_readers_never_panic() {
    arbtest(|u| {
        classic::fuzz::readers(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_000);
}

#[test]
fn classic_programs_round_trip() {
    arbtest(|u| {
        classic::fuzz::programs(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_000);
}

#[test]
fn translated_programs_agree() {
    arbtest(|u| {
        skep_isa::translate::fuzz::agrees(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_000);
}

#[test]
fn slots_decode_or_are_refused() {
    arbtest(|u| {
        ebpf::fuzz::slots(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_000);
}

#[test]
fn assembler_and_disassembler_are_inverse() {
    arbtest(|u| {
        ebpf::fuzz::programs(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_000);
}

#[test]
fn assembler_never_panics() {
    arbtest(|u| {
        ebpf::fuzz::text(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_000);
}
