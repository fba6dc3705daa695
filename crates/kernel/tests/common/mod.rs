//! What the tests of this crate share: the rule for skipping.

/// Reports a test that cannot run on this machine; fails it when `SKEP_REQUIRE_KERNEL` is 1.
#[track_caller]
pub fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

/// Whether programs can be loaded here; reports a skip if not.
#[track_caller]
#[allow(dead_code)] // Each test file is a program of its own and not all of them load programs.
pub fn can_load() -> bool {
    use skep_kernel::{Capability, has_capability};
    let can = has_capability(Capability::Bpf) || has_capability(Capability::SysAdmin);
    if !can {
        skip("loading programs needs CAP_BPF");
    }
    can
}
