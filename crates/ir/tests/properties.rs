//! Property tests: each body of the fuzz module for about a second.

use arbtest::arbtest;
use skep_ir::fuzz;

#[test]
fn texts() {
    arbtest(|u| {
        fuzz::text(u.arbitrary()?);
        Ok(())
    })
    .budget_ms(1_500);
}

#[test]
fn modules() {
    arbtest(|u| {
        fuzz::modules(u.arbitrary()?);
        Ok(())
    })
    .size_min(64)
    .size_max(4_096)
    .budget_ms(1_500);
}
