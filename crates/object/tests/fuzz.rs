//! The random tests of the crate.

use skep_random::{Unstructured, random_test};

#[test]
fn any_bytes_are_an_object_or_an_error() {
    random_test(|u: &mut Unstructured<'_>| {
        skep_object::fuzz::elf(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(1_000)
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
    random_test(|u: &mut Unstructured<'_>| {
        let object = u.choose(&objects)?;
        skep_object::fuzz::damaged(object, u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(1_000)
    .size_max(120);
}

#[test]
fn damaged_objects_are_linked_or_refused() {
    random_test(|u: &mut Unstructured<'_>| {
        skep_object::fuzz::link(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(1_000)
    .size_max(60);
}

#[test]
fn any_instructions_have_a_listing() {
    random_test(|u: &mut Unstructured<'_>| {
        skep_object::fuzz::listings(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(1_000)
    .size_max(1_024);
}
