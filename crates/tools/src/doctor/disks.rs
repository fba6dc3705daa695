//! How long disks take, and how long programs wait until their data is on one.

use std::time::Duration;

use super::report::{percent, process, time};
use super::{Case, Finding, Seen, weight};

/// From which mean time of a request a disk is slow.
const SLOW: Duration = Duration::from_millis(20);
/// Requests below which nothing can be said about a disk.
const FEW: i128 = 10;
/// From which share of the time waiting for data to be written is worth a finding.
const LEAST: f64 = 0.2;

/// Findings about slow disks, and about processes that wait for fsync(2) and its like.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let disks = seen.from("disks").filter_map(|fact| {
        let count = fact.number("count");
        let mean = fact.time("wait_ns") / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        if mean < SLOW || count < FEW {
            return None;
        }
        let disk = fact.text("disk");
        let what = format!("the disk {disk} is slow: {} for a request on average", time(mean));
        let evidence = vec![format!("{count} requests, {} the longest", time(fact.time("max_ns")))];
        let next = "skep biolatency -D 5 1; skep biosnoop".to_owned();
        let weight = weight(50.0, 80.0, mean.as_secs_f64() * 5.0);
        Some(Finding { case: Case::Stall, weight, what, evidence, next, pid: 0, comm: String::new() })
    });
    let waits = seen.from("sync").filter_map(|fact| {
        let (wait, count, pid) = (fact.time("wait_ns"), fact.number("count"), fact.pid());
        let share = seen.share(wait);
        if share < LEAST {
            return None;
        }
        let comm = fact.text("comm").to_owned();
        let what = format!("{} waits {} of the time until its data is on disk", process(pid, &comm), percent(share));
        let mean = wait / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let evidence = vec![format!(
            "{count} calls of fsync and its like, {} each on average, {} the longest",
            time(mean),
            time(fact.time("max_ns"))
        )];
        let next =
            format!("skep strace -f -T -e trace=fsync,fdatasync,sync,syncfs,msync -p {pid}; skep biolatency 5 1");
        Some(Finding { case: Case::Stall, weight: weight(55.0, 90.0, share), what, evidence, next, pid, comm })
    });
    disks.chain(waits).collect()
}
