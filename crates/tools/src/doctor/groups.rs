//! Control groups that are held back by a limit on their time on processors.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::report::{percent, time};
use super::{Case, Finding, Seen, weight};

/// From which share of the time it is worth a finding.
const LEAST: f64 = 0.1;
/// Groups that are looked at.
const MOST: usize = 4096;

/// What a limit took from a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupTime {
    /// Its directory.
    pub path: PathBuf,
    /// How long it was held back.
    pub held: Duration,
    /// In how many periods.
    pub periods: u64,
    /// What `cpu.max` says.
    pub limit: String,
}

/// How long groups below a directory were held back so far, and in how many periods.
pub fn throttled(root: &Path) -> BTreeMap<PathBuf, (Duration, u64)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        if let Ok(text) = fs::read_to_string(directory.join("cpu.stat")) {
            found.extend(held(&text).map(|held| (directory.clone(), held)));
        }
        if found.len() + open.len() > MOST {
            break;
        }
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        open.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
        );
    }
    found
}

/// `throttled_usec` and `nr_throttled` in the text of `cpu.stat`; groups without a limit have none.
fn held(text: &str) -> Option<(Duration, u64)> {
    let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Some((Duration::from_micros(number("throttled_usec ")?), number("nr_throttled ")?))
}

impl GroupTime {
    /// What limits took between two moments.
    pub fn between(
        before: &BTreeMap<PathBuf, (Duration, u64)>,
        after: &BTreeMap<PathBuf, (Duration, u64)>,
    ) -> Vec<Self> {
        let found = after.iter().filter_map(|(path, (held, periods))| {
            let (held_before, periods_before) = before.get(path).copied().unwrap_or_default();
            let held = held.saturating_sub(held_before);
            let limit = fs::read_to_string(path.join("cpu.max")).unwrap_or_default().trim().to_owned();
            let periods = periods.saturating_sub(periods_before);
            (!held.is_zero()).then(|| Self { path: path.clone(), held, periods, limit })
        });
        found.collect()
    }
}

/// Findings about groups that are held back.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let found = seen.groups.iter().filter_map(|group| {
        let share = seen.share(group.held);
        if share < LEAST {
            return None;
        }
        let GroupTime { path, held, periods, limit } = group;
        let path = path.display();
        let what = format!("the control group {path} is held back by its limit, {} of the time", percent(share));
        let mut evidence = vec![format!("in {periods} periods, {} together, for all of its processors", time(*held))];
        if let Some((quota, period)) = limit.split_once(' ') {
            evidence.push(format!("cpu.max: {quota} of {period} microseconds"));
        }
        let next = format!("skep profile --cgroup {path} 5; cat {path}/cpu.stat");
        let weight = weight(65.0, 92.0, share);
        Some(Finding { case: Case::Hidden, weight, what, evidence, next, pid: 0, comm: String::new() })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let root = tempfile::tempdir().unwrap();
        let stat = |usec: u64| format!("usage_usec 5\nnr_periods 9\nnr_throttled 3\nthrottled_usec {usec}\n");
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(root.path().join("cpu.stat"), "usage_usec 5\n").unwrap();
        fs::write(inner.join("cpu.stat"), stat(100)).unwrap();
        fs::write(inner.join("cpu.max"), "1000 100000\n").unwrap();
        let before = throttled(root.path());
        assert_eq!(before.values().copied().collect::<Vec<_>>(), [(Duration::from_micros(100), 3)]);
        fs::write(inner.join("cpu.stat"), stat(700_100)).unwrap();
        let between = GroupTime::between(&before, &throttled(root.path()));
        let expected =
            GroupTime { path: inner, held: Duration::from_millis(700), periods: 0, limit: "1000 100000".to_owned() };
        assert_eq!(between, [expected]);
        let seen = Seen { window: Duration::from_secs(1), groups: between, ..Seen::default() };
        let found = judge(&seen);
        assert!(found[0].what.contains("a/b is held back by its limit, 70 % of the time"), "{found:?}");
        assert!(judge(&Seen { window: Duration::from_secs(10), ..seen }).is_empty());
    }
}
