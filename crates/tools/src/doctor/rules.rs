//! Rules of iptables and nftables that cost time, or packets.

use std::time::Duration;

use super::report::{percent, time};
use super::{Case, Finding, Seen, weight};

/// From which mean time of a packet in a hook the rules are slow: about 400 rules of nftables in a row.
const SLOW: Duration = Duration::from_micros(2);
/// Packets below which nothing can be said.
const FEW: u64 = 50;
/// From which share of the samples of processors the code of rules is worth a finding.
const LEAST: f64 = 0.1;
/// Samples below which nothing can be said.
const FEW_SAMPLES: i128 = 20;
/// Functions of the kernel that go through rules.
// TABLE
const FUNCTIONS: &[&str] = &["nft_do_chain", "ipt_do_table", "ip6t_do_table", "arpt_do_table", "ebt_do_table"];

/// Findings about rules.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let slow = seen.hooks.iter().filter(|hook| hook.count >= FEW && hook.mean() >= SLOW).map(|hook| {
        let (mean, count) = (hook.mean(), hook.count);
        let what =
            format!("each packet of IPv{} spends {} in the rules of the hook {}", hook.version, time(mean), hook.hook);
        let share = seen.share(hook.total);
        let mut evidence = vec![
            format!("{count} packets, {} the slowest", time(hook.longest)),
            format!("together {} of a processor", percent(share)),
            format!("without rules it is about 50 ns; this is what {} rules of nftables in a row take", rules(mean)),
        ];
        if hook.lost > 0 {
            evidence.push(format!("{} more packets did not come out of the hook", hook.lost));
        }
        let next = "skep nflat 1 5; nft list ruleset (sets and maps in place of rules one after the other)".to_owned();
        let weight = weight(75.0, 97.0, mean.as_secs_f64() * 1e5 + share);
        Finding { case: Case::Rules, weight, what, evidence, next, pid: 0, comm: String::new() }
    });
    let mut found: Vec<Finding> = slow.collect();
    if found.is_empty() {
        found.extend(by_samples(seen));
    }
    found
}

/// How many rules of nftables take this time, at 5.3 ns each (measured on x86-64).
fn rules(time: Duration) -> u64 {
    u64::try_from(time.as_nanos() * 10 / 53).unwrap_or(u64::MAX)
}

/// The same from the samples of processors, for kernels that cannot time hooks.
#[allow(clippy::cast_precision_loss)] // counts of samples of some seconds
fn by_samples(seen: &Seen) -> Option<Finding> {
    let (mut all, mut inside) = (0, 0);
    for fact in seen.from("processors") {
        let count = fact.number("count");
        all += count;
        let mut frames = fact.text("stack").lines().map(|frame| frame.split('+').next().unwrap_or(frame));
        if frames.any(|frame| FUNCTIONS.contains(&frame)) {
            inside += count;
        }
    }
    let share = inside as f64 / all.max(1) as f64;
    if share < LEAST || inside < FEW_SAMPLES {
        return None;
    }
    let next = "skep nflat 1 5; nft list ruleset".to_owned();
    Some(Finding {
        case: Case::Rules,
        weight: weight(65.0, 95.0, share),
        what: format!(
            "the kernel goes through rules of iptables or nftables {} of the time that it runs",
            percent(share)
        ),
        evidence: vec![format!("{inside} of {all} samples are in {}", FUNCTIONS.join(", "))],
        next,
        pid: 0,
        comm: String::new(),
    })
}
