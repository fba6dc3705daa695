//! Every random test of the crate, a second each.

use arbtest::arbitrary::Unstructured;
use arbtest::arbtest;

fn run(body: fn(&[u8])) {
    arbtest(|u: &mut Unstructured<'_>| {
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
