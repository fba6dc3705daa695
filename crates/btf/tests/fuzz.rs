//! Every random test of the crate, a second each.

use skep_random::{Unstructured, random_test};

fn run(body: fn(&[u8])) {
    random_test(|u: &mut Unstructured<'_>| {
        body(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(1_000)
    .size_max(1_024);
}

#[test]
fn any_bytes_are_a_blob_or_an_error() {
    run(skep_btf::fuzz::blob);
}

#[test]
fn any_bytes_are_records_or_an_error() {
    run(skep_btf::fuzz::ext);
}

#[test]
fn any_types_are_printed_or_an_error() {
    run(skep_btf::fuzz::print);
}

#[test]
fn any_bytes_are_a_value_or_an_error() {
    run(skep_btf::fuzz::values);
}

#[test]
fn any_relocation_has_an_answer_or_an_error() {
    run(skep_btf::fuzz::core);
}

#[test]
fn any_types_can_be_copied_and_made_unique() {
    run(skep_btf::fuzz::build);
}
