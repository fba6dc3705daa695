//! Property tests: each body of the fuzz modules for about a second.

use arbtest::arbtest;
use skep_isa::classic;

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
