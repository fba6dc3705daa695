//! The table of `-c`: calls, errors and times, counted in the kernel.

use std::fmt::Write as _;

use crate::decode::text::Bytes;
use crate::program::layout::{CALLS, stat};
use crate::table::by_number;

/// What is known about one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Its name.
    pub name: String,
    /// How often it has ended.
    pub calls: u64,
    /// How often it failed.
    pub errors: u64,
    /// Nanoseconds altogether.
    pub total: u64,
    /// Nanoseconds of the shortest.
    pub shortest: u64,
    /// Nanoseconds of the longest.
    pub longest: u64,
    /// How many took from two to the power of the index on.
    pub buckets: Vec<u64>,
}

/// By what rows are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Time altogether, longest first.
    #[default]
    Time,
    /// Longest single call first.
    Longest,
    /// Shortest single call, longest first.
    Shortest,
    /// Time for a call, longest first.
    Average,
    /// Calls, most first.
    Calls,
    /// Errors, most first.
    Errors,
    /// Names.
    Name,
    /// Numbers.
    Nothing,
}

// TABLE: words of `-S`.
const SORTS: &[(&str, Sort)] = &[
    ("time", Sort::Time),
    ("time-percent", Sort::Time),
    ("time-total", Sort::Time),
    ("total-time", Sort::Time),
    ("max-time", Sort::Longest),
    ("time-max", Sort::Longest),
    ("min-time", Sort::Shortest),
    ("time-min", Sort::Shortest),
    ("avg-time", Sort::Average),
    ("time-avg", Sort::Average),
    ("calls", Sort::Calls),
    ("count", Sort::Calls),
    ("errors", Sort::Errors),
    ("error", Sort::Errors),
    ("name", Sort::Name),
    ("syscall", Sort::Name),
    ("none", Sort::Nothing),
    ("nothing", Sort::Nothing),
];

impl Sort {
    /// The order that a word of `-S` means.
    ///
    /// # Errors
    /// A sentence with the words that there are.
    pub fn parse(word: &str) -> Result<Self, String> {
        let found = SORTS.iter().find(|row| row.0 == word).map(|row| row.1);
        found.ok_or_else(|| {
            let words: Vec<&str> = SORTS.iter().map(|row| row.0).collect();
            format!("the table is not sorted by `{word}`; there are: {}", words.join(", "))
        })
    }
}

impl Counts {
    /// Adds up the values of all processors for one index; `None` if nothing was counted.
    pub fn add_up<'v>(index: u32, values: impl Iterator<Item = &'v [u8]>) -> Option<Self> {
        let name = match by_number(index) {
            _ if index == CALLS - 1 => "others".to_owned(),
            Some(call) => call.name.to_owned(),
            None => format!("syscall_{index:#x}"),
        };
        let buckets = vec![0; stat::BUCKET_COUNT as usize];
        let mut sum = Self { name, calls: 0, errors: 0, total: 0, shortest: 0, longest: 0, buckets };
        for value in values.map(Bytes) {
            let number = |at: i16| value.u64(at as usize);
            sum.calls += number(stat::CALLS);
            sum.errors += number(stat::ERRORS);
            sum.total += number(stat::TOTAL);
            sum.longest = sum.longest.max(number(stat::LONGEST));
            let shortest = number(stat::SHORTEST);
            if shortest != 0 && (sum.shortest == 0 || shortest < sum.shortest) {
                sum.shortest = shortest;
            }
            for (at, bucket) in sum.buckets.iter_mut().enumerate() {
                *bucket += value.u64(stat::BUCKETS as usize + 8 * at);
            }
        }
        (sum.calls > 0).then_some(sum)
    }
}

/// Sorts rows.
pub fn sort(rows: &mut [Counts], by: Sort) {
    let descending = |key: fn(&Counts) -> u64| move |row: &Counts| std::cmp::Reverse(key(row));
    match by {
        Sort::Time => rows.sort_by_key(descending(|row| row.total)),
        Sort::Longest => rows.sort_by_key(descending(|row| row.longest)),
        Sort::Shortest => rows.sort_by_key(descending(|row| row.shortest)),
        Sort::Average => rows.sort_by_key(descending(|row| row.total / row.calls.max(1))),
        Sort::Calls => rows.sort_by_key(descending(|row| row.calls)),
        Sort::Errors => rows.sort_by_key(descending(|row| row.errors)),
        Sort::Name => rows.sort_by(|left, right| left.name.cmp(&right.name)),
        Sort::Nothing => {}
    }
}

const LINE: &str = "------ ----------- ----------- --------- --------- ----------------\n";

/// The table, as strace prints it.
pub fn table(rows: &[Counts]) -> String {
    let total: u64 = rows.iter().map(|row| row.total).sum();
    let mut out = String::from("% time     seconds  usecs/call     calls    errors syscall\n");
    out.push_str(LINE);
    let line = |row_total: u64, calls: u64, errors: u64, name: &str, out: &mut String| {
        let share = if total == 0 { 0.0 } else { 100.0 * row_total as f64 / total as f64 };
        let errors = if errors == 0 { String::new() } else { errors.to_string() };
        let seconds = row_total as f64 / 1e9;
        let each = row_total / 1000 / calls.max(1);
        let _ = writeln!(out, "{share:6.2} {seconds:11.6} {each:11} {calls:9} {errors:>9} {name}");
    };
    for row in rows {
        line(row.total, row.calls, row.errors, &row.name, &mut out);
    }
    out.push_str(LINE);
    let sum = |key: fn(&Counts) -> u64| rows.iter().map(key).sum::<u64>();
    line(total, sum(|row| row.calls), sum(|row| row.errors), "total", &mut out);
    out
}

/// How the times of each call are spread.
pub fn histograms(rows: &[Counts]) -> String {
    const WIDTH: u64 = 40;
    let mut out = String::new();
    for row in rows {
        let _ = writeln!(out, "\n{}: {} calls", row.name, row.calls);
        let used = |bucket: &&u64| **bucket > 0;
        let most = row.buckets.iter().copied().max().unwrap_or(1).max(1);
        let first = row.buckets.iter().position(|bucket| *bucket > 0).unwrap_or(0);
        let last =
            first + row.buckets[first..].len() - row.buckets.iter().rev().take_while(|bucket| !used(bucket)).count();
        for (at, count) in row.buckets.iter().enumerate().take(last).skip(first) {
            let bar = "@".repeat((WIDTH * count / most) as usize);
            let low = if at == 0 { 0 } else { 1_u64 << at };
            let _ = writeln!(out, "  {:>8} - {:<8} {count:>9} |{bar:<40}|", time(low), time(1 << (at + 1)));
        }
    }
    out
}

/// Nanoseconds in a unit that fits.
fn time(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => format!("{:.1}us", nanoseconds as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}ms", nanoseconds as f64 / 1e6),
        _ => format!("{:.1}s", nanoseconds as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, calls: u64, errors: u64, total: u64) -> Counts {
        let mut buckets = vec![0; stat::BUCKET_COUNT as usize];
        buckets[10] = calls;
        Counts { name: name.to_owned(), calls, errors, total, shortest: 1, longest: total, buckets }
    }

    #[test]
    fn the_table_looks_like_the_one_of_strace() {
        let mut rows = vec![row("read", 4, 0, 1_000_000), row("openat", 3, 2, 3_000_000)];
        sort(&mut rows, Sort::Time);
        let text = table(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "% time     seconds  usecs/call     calls    errors syscall");
        assert_eq!(lines[2], " 75.00    0.003000        1000         3         2 openat");
        assert_eq!(lines[3], " 25.00    0.001000         250         4           read");
        assert_eq!(lines[5], "100.00    0.004000         571         7         2 total");
        assert!(histograms(&rows).contains("1.0us - 2.0us"), "{}", histograms(&rows));
        assert!(Sort::parse("calls").is_ok() && Sort::parse("x").unwrap_err().contains("max-time"));
    }

    #[test]
    fn values_of_processors_are_added() {
        let mut value = vec![0; stat::SIZE as usize];
        value[..8].copy_from_slice(&2_u64.to_ne_bytes());
        value[24..32].copy_from_slice(&7_u64.to_ne_bytes());
        let sum = Counts::add_up(0, [&value[..], &value[..]].into_iter()).unwrap();
        assert_eq!((sum.name.as_str(), sum.calls, sum.shortest), ("read", 4, 7));
        assert!(Counts::add_up(0, std::iter::empty()).is_none());
    }
}
