//! Counts over DNS events: names, response codes, types, servers, latencies. Memory is bounded.

use super::tracker::TrackerCounts;
use super::transaction::Event;
use super::types::{RcodeName, TypeName};
use crate::print::json::Object;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::io::Write as _;
use std::net::IpAddr;

/// Nanoseconds as milliseconds with three digits: `12.345ms`.
pub(super) fn milliseconds(ns: u64) -> String {
    format!("{}.{:03}ms", ns / 1_000_000, ns / 1000 % 1000)
}

/// Counts how often keys occur. Beyond its bound it keeps the frequent ones: a new key takes the place of the least
/// frequent and inherits its count ("space saving"), so counts are upper bounds then.
#[derive(Debug, Clone)]
pub struct TopNames<K> {
    counts: HashMap<K, u64>,
    most: usize,
    /// True once a key had to give way.
    approximate: bool,
}

impl<K: Eq + Hash + Clone + Ord> TopNames<K> {
    /// Counts at most this many different keys.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { counts: HashMap::new(), most: most.max(1), approximate: false }
    }

    /// Counts one occurrence.
    pub fn add(&mut self, key: K) {
        if let Some(count) = self.counts.get_mut(&key) {
            *count += 1;
            return;
        }
        let mut start = 0;
        if self.counts.len() >= self.most {
            // Halving drops the rare keys in one sweep, so that a flood of new keys costs little for each.
            self.approximate = true;
            let mut all: Vec<u64> = self.counts.values().copied().collect();
            let middle = all.len() / 2;
            let (_, median, _) = all.select_nth_unstable(middle);
            let median = *median;
            let mut drop = self.most.div_ceil(2);
            self.counts.retain(|_, count| {
                let keep = *count > median || drop == 0;
                drop -= usize::from(!keep);
                keep
            });
            start = if self.counts.len() >= self.most { 0 } else { median };
        }
        self.counts.insert(key, start + 1);
    }

    /// The `n` most frequent keys, those of equal counts in order.
    #[must_use]
    pub fn top(&self, n: usize) -> Vec<(K, u64)> {
        let mut all: Vec<(K, u64)> = self.counts.iter().map(|(key, count)| (key.clone(), *count)).collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(n);
        all
    }

    /// True if counts are upper bounds because there were too many different keys.
    #[must_use]
    pub fn is_approximate(&self) -> bool {
        self.approximate
    }
}

/// A histogram of durations with a relative error below 1/32.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// Counts by exponent and the five bits below the top one.
    buckets: BTreeMap<u32, u64>,
    count: u64,
    min: u64,
    max: u64,
    sum: u128,
}

const SUB_BITS: u32 = 5;

impl Latencies {
    fn bucket(ns: u64) -> u32 {
        let bits = 64 - ns.leading_zeros();
        if bits <= SUB_BITS + 1 {
            return ns as u32;
        }
        let shift = bits - SUB_BITS - 1;
        (shift + 1) << SUB_BITS | (ns >> shift) as u32 & ((1 << SUB_BITS) - 1)
    }

    /// The largest value that falls into a bucket.
    fn upper(bucket: u32) -> u64 {
        if bucket < 2 << SUB_BITS {
            return bucket.into();
        }
        let shift = (bucket >> SUB_BITS) - 1;
        let top = u64::from(1 << SUB_BITS | bucket & ((1 << SUB_BITS) - 1));
        (top << shift) + ((1u64 << shift) - 1)
    }

    /// Adds a duration in nanoseconds.
    pub fn add(&mut self, ns: u64) {
        *self.buckets.entry(Self::bucket(ns)).or_default() += 1;
        self.min = if self.count == 0 { ns } else { self.min.min(ns) };
        self.max = self.max.max(ns);
        self.count += 1;
        self.sum += u128::from(ns);
    }

    /// How many durations were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The average in nanoseconds; 0 without any.
    #[must_use]
    pub fn mean(&self) -> u64 {
        u64::try_from(self.sum / u128::from(self.count.max(1))).unwrap_or(u64::MAX)
    }

    /// The value that `percent` (0 to 100) of the durations do not exceed, in nanoseconds; 0 without any.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> u64 {
        if percent <= 0.0 {
            return self.min;
        }
        let wanted = (self.count as f64 * percent.clamp(0.0, 100.0) / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen >= wanted {
                return Self::upper(*bucket).clamp(self.min, self.max);
            }
        }
        self.max
    }
}

/// Statistics over events.
#[derive(Debug, Clone)]
pub struct Statistics {
    names: TopNames<String>,
    servers: TopNames<IpAddr>,
    rcodes: BTreeMap<u16, u64>,
    types: BTreeMap<u16, u64>,
    latencies: Latencies,
    answered: u64,
    unanswered: u64,
    unexpected: u64,
    malformed: u64,
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            names: TopNames::new(100_000),
            servers: TopNames::new(10_000),
            rcodes: BTreeMap::new(),
            types: BTreeMap::new(),
            latencies: Latencies::default(),
            answered: 0,
            unanswered: 0,
            unexpected: 0,
            malformed: 0,
        }
    }
}

impl Statistics {
    /// Counts an event.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::Answered(_) => self.answered += 1,
            Event::Unanswered(_) => self.unanswered += 1,
            Event::Unexpected(_) => self.unexpected += 1,
            Event::Malformed(_) => self.malformed += 1,
        }
        let Some(transaction) = event.transaction() else { return };
        self.names.add(transaction.name.to_ascii_lowercase());
        self.servers.add(transaction.server.ip());
        *self.types.entry(transaction.rtype).or_default() += 1;
        if let Some(rcode) = transaction.rcode() {
            *self.rcodes.entry(rcode).or_default() += 1;
        }
        if let Some(ns) = transaction.latency_ns() {
            self.latencies.add(ns);
        }
    }

    /// The latencies of answered queries.
    #[must_use]
    pub fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// The most frequent names, in lower case.
    #[must_use]
    pub fn top_names(&self, n: usize) -> Vec<(String, u64)> {
        self.names.top(n)
    }

    /// Response codes and how often they came, by number.
    pub fn rcodes(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.rcodes.iter().map(|(rcode, count)| (*rcode, *count))
    }

    /// Appends a summary of some lines, with the `top` most frequent names and servers.
    pub fn summary(&self, out: &mut Vec<u8>, counts: &TrackerCounts, top: usize) {
        let _ = writeln!(
            out,
            "{} answered, {} unanswered, {} without query, {} malformed; {} retries, {} repeated responses",
            self.answered,
            self.unanswered,
            self.unexpected,
            counts.malformed,
            counts.retries,
            counts.repeated_responses
        );
        let losses = [
            (counts.later_fragments, "later fragments not looked at"),
            (counts.tcp_gaps, "gaps in TCP streams"),
            (counts.tcp_dropped, "TCP streams given up"),
            (counts.evicted, "queries given up early"),
        ];
        for (count, what) in losses.into_iter().filter(|(count, _)| *count > 0) {
            let _ = writeln!(out, "{count} {what}");
        }
        if self.latencies.count() > 0 {
            let at = |percent| milliseconds(self.latencies.percentile(percent));
            let _ = writeln!(
                out,
                "latency: min {}, median {}, p90 {}, p99 {}, max {}, mean {}",
                milliseconds(self.latencies.min),
                at(50.0),
                at(90.0),
                at(99.0),
                milliseconds(self.latencies.max),
                milliseconds(self.latencies.mean())
            );
        }
        list(out, "rcodes", self.rcodes.iter().map(|(code, count)| (RcodeName(*code).to_string(), *count)));
        list(out, "types", self.types.iter().map(|(kind, count)| (TypeName(*kind).to_string(), *count)));
        table(out, "names", self.names.top(top), self.names.is_approximate());
        let servers = self.servers.top(top).into_iter().map(|(server, count)| (server.to_string(), count)).collect();
        table(out, "servers", servers, self.servers.is_approximate());
    }

    /// Appends the summary as one JSON object without a line end.
    pub fn json(&self, out: &mut Vec<u8>, counts: &TrackerCounts, top: usize) {
        let mut o = Object::new(out);
        let numbers = [
            ("packets", counts.packets),
            ("messages", counts.messages),
            ("queries", counts.queries),
            ("responses", counts.responses),
            ("answered", self.answered),
            ("unanswered", self.unanswered),
            ("unexpected", self.unexpected),
            ("malformed", counts.malformed),
            ("retries", counts.retries),
            ("repeated_responses", counts.repeated_responses),
            ("later_fragments", counts.later_fragments),
            ("tcp_gaps", counts.tcp_gaps),
            ("tcp_dropped", counts.tcp_dropped),
            ("evicted", counts.evicted),
        ];
        for (name, count) in numbers {
            o.number(name, count);
        }
        let mut latency = o.object("latency_ns");
        for (name, percent) in [("min", 0.0), ("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("max", 100.0)] {
            latency.number(name, self.latencies.percentile(percent));
        }
        latency.number("mean", self.latencies.mean());
        latency.end();
        let mut rcodes = o.object("rcodes");
        for (code, count) in &self.rcodes {
            rcodes.number(&RcodeName(*code).to_string(), *count);
        }
        rcodes.end();
        let mut types = o.object("types");
        for (kind, count) in &self.types {
            types.number(&TypeName(*kind).to_string(), *count);
        }
        types.end();
        json_table(o.key("names"), self.names.top(top));
        let servers = self.servers.top(top).into_iter().map(|(server, count)| (server.to_string(), count)).collect();
        json_table(o.key("servers"), servers);
        o.end();
    }
}

fn list(out: &mut Vec<u8>, title: &str, rows: impl Iterator<Item = (String, u64)>) {
    let mut rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return;
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.1));
    let words: Vec<String> = rows.into_iter().map(|(name, count)| format!("{name} {count}")).collect();
    let _ = writeln!(out, "{title}: {}", words.join(", "));
}

fn table(out: &mut Vec<u8>, title: &str, rows: Vec<(String, u64)>, approximate: bool) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(out, "top {title}{}:", if approximate { " (upper bounds)" } else { "" });
    for (name, count) in rows {
        let name = if name.is_empty() { "(no question)" } else { &name };
        let _ = writeln!(out, "{count:>10}  {name}");
    }
}

fn json_table(out: &mut Vec<u8>, rows: Vec<(String, u64)>) {
    out.push(b'[');
    for (index, (name, count)) in rows.into_iter().enumerate() {
        out.extend_from_slice(if index > 0 { b"," } else { b"" });
        let mut row = Object::new(out);
        row.text("name", name.as_bytes());
        row.number("count", count);
        row.end();
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_near_the_truth() {
        let mut latencies = Latencies::default();
        for n in 1..=10_000u64 {
            latencies.add(n * 1000);
        }
        for percent in [1.0, 50.0, 90.0, 99.0] {
            let truth = percent * 100_000.0;
            let found = latencies.percentile(percent) as f64;
            assert!(found >= truth && found <= truth * (1.0 + 1.0 / 32.0), "{percent}: {found} for {truth}");
        }
        assert_eq!((latencies.percentile(0.0), latencies.percentile(100.0)), (1000, 10_000_000));
        assert_eq!(latencies.mean(), 5_000_500);
        assert_eq!(Latencies::default().percentile(50.0), 0);
    }

    #[test]
    fn every_duration_is_within_its_bucket() {
        for ns in (0..64)
            .flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1, (1 << bit) | (1 << bit >> 1)])
            .chain([u64::MAX])
        {
            let upper = Latencies::upper(Latencies::bucket(ns));
            assert!(upper >= ns && upper - ns <= ns / 32, "{ns} in {upper}");
        }
    }

    #[test]
    fn frequent_names_survive_a_flood() {
        let mut names = TopNames::new(100);
        for n in 0..100_000u32 {
            names.add(format!("rare{n}"));
            if n % 10 == 0 {
                names.add("frequent".to_owned());
            }
            assert!(names.counts.len() <= 100);
        }
        assert!(names.is_approximate());
        let (name, count) = names.top(1).remove(0);
        assert!(name == "frequent" && count >= 10_000, "{name} {count}");
    }
}
