//! Time that interrupts take from everybody.

use super::report::{percent, time};
use super::{Case, Finding, Seen, weight};
use crate::named::Named;

/// From which share of all processors it is worth a finding.
const LEAST: f64 = 0.1;
/// Findings about interrupts.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let hard = seen.from("interrupts").map(|fact| (format!("the interrupt {}", fact.text("name")), fact));
    let soft = seen
        .from("softirqs")
        .map(|fact| (format!("the deferred interrupt {}", Named::Softirq.name(fact.number("number"))), fact));
    let found = hard.chain(soft).filter_map(|(name, fact)| {
        let all = fact.time("wait_ns");
        let share = seen.share(all) / f64::from(seen.processors.max(1));
        if share < LEAST {
            return None;
        }
        let what = format!("{name} takes {} of all processors", percent(share));
        let evidence = vec![format!("{} together", time(all))];
        let next = "skep softirqs 1 5; skep hardirqs 1 5; skep profile 5".to_owned();
        let weight = weight(45.0, 85.0, share * 2.0);
        Some(Finding { case: Case::Hidden, weight, what, evidence, next, pid: 0, comm: String::new() })
    });
    found.collect()
}
