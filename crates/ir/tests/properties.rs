//! Property tests: each body of the fuzz module for about a second.

use skep_ir::fuzz;
use skep_random::random_test;

#[test]
fn texts() {
    random_test(|u| {
        fuzz::text(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_500);
}

#[test]
fn modules() {
    random_test(|u| {
        fuzz::modules(u.arbitrary()?);
        Ok(())
    })
    .size_min(64)
    .size_max(4_096)
    .budget_ms(1_500);
}
