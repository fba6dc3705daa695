//! Random operations on every kind of map, a second each body.

use skep_random::{Unstructured, random_test};
use skep_vm::ebpf::maps::fuzz;

fn run(body: fn(&[u8]), size: u32) {
    random_test(|u: &mut Unstructured<'_>| {
        body(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(1_000)
    .size_max(size);
}

#[test]
fn maps_behave_like_lists() {
    run(fuzz::maps, 2_048);
}

#[test]
fn lru_maps_keep_their_promises() {
    run(fuzz::lru, 4_096);
}
