//! The random test of the crate, a second.

use arbtest::arbitrary::Unstructured;
use arbtest::arbtest;

#[test]
fn any_bytes_are_an_object_or_an_error() {
    arbtest(|u: &mut Unstructured<'_>| {
        skep_object::fuzz::elf(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(1_000)
    .size_max(2_048);
}
