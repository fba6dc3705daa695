//! The random tests of the crate, a second each or as long as `SKEP_FUZZ_SECONDS` says.

use arbtest::arbitrary::Unstructured;
use arbtest::arbtest;

/// Milliseconds for a test.
fn budget() -> u64 {
    let seconds = std::env::var("SKEP_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse::<u64>().ok());
    seconds.unwrap_or(1) * 1_000
}

#[test]
fn any_bytes_are_an_object_or_an_error() {
    arbtest(|u: &mut Unstructured<'_>| {
        skep_object::fuzz::elf(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(budget())
    .size_max(2_048);
}

#[test]
fn damaged_objects_of_clang() {
    let names = skep_testkit::clang::SOURCES.iter().chain(skep_testkit::clang::LINKED);
    let mut objects = Vec::new();
    for name in names {
        match skep_testkit::clang::object(name) {
            Ok(object) => objects.push(object),
            Err(why) => return println!("SKIPPED: {why}"),
        }
    }
    arbtest(|u: &mut Unstructured<'_>| {
        let object = u.choose(&objects)?;
        skep_object::fuzz::damaged(object, u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(budget())
    .size_max(120);
}

#[test]
fn damaged_objects_are_linked_or_refused() {
    arbtest(|u: &mut Unstructured<'_>| {
        skep_object::fuzz::link(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(budget())
    .size_max(60);
}

#[test]
fn any_instructions_have_a_listing() {
    arbtest(|u: &mut Unstructured<'_>| {
        skep_object::fuzz::listings(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(budget())
    .size_max(1_024);
}
