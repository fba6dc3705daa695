//! Maps with the text and the JSON of the reference (bpftrace 0.27.1).

use skep_lang_script::plan::{Buckets, SeriesKind, lay_out};

use super::*;
use crate::testing::{Build, enums, names};

/// A map with the shapes of its key taken from the first entry.
fn map(name: &str, value: MapValue, keys: &[&[(Shape, Vec<u8>)]]) -> (ScriptMap, Vec<Vec<u8>>) {
    let shapes = keys.first().map(|key| key.iter().map(|part| part.0.clone()).collect()).unwrap_or_default();
    let key: Vec<Field> = lay_out(0, Vec::<Shape>::into_iter(shapes));
    let bytes = keys.iter().map(|parts| {
        let mut bytes = Vec::new();
        for (field, part) in key.iter().zip(*parts) {
            bytes.resize(field.offset as usize, 0);
            bytes.extend_from_slice(&part.1);
        }
        bytes
    });
    let bytes = bytes.collect();
    (ScriptMap { name: name.into(), object_map: String::new(), key, value, per_cpu: true }, bytes)
}

fn words(words: &[i64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn print(map: &ScriptMap, entries: &[MapEntry], request: MapRequest) -> (String, String) {
    let snapshot = Snapshot::new(map, entries, request);
    let (mut names, enums) = (names(), enums());
    let mut renderer = Renderer { names: &mut names, enums: &enums, truncation: "..", full: 0, flags: &[] };
    let (mut text, mut json) = (Vec::new(), Vec::new());
    snapshot.text(&mut renderer, &mut text);
    snapshot.json(&mut renderer, &mut json);
    let json = String::from_utf8(json).unwrap();
    serde_json::from_str::<serde_json::Value>(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
    (String::from_utf8(text).unwrap(), json)
}

/// Keys with the values of each processor.
type Entries<'a> = &'a [(&'a [(Shape, Vec<u8>)], &'a [&'a [i64]])];

#[track_caller]
fn check(value: MapValue, entries: Entries<'_>, request: MapRequest, text: &str, json: &str) {
    let keys: Vec<_> = entries.iter().map(|entry| entry.0).collect();
    let (map, keys) = map("@m", value, &keys);
    let entries: Vec<MapEntry> = keys
        .into_iter()
        .zip(entries)
        .map(|(key, entry)| MapEntry { key, values: entry.1.iter().map(|value| words(value)).collect() })
        .collect();
    let printed = print(&map, &entries, request);
    assert_eq!(printed.0, text);
    assert_eq!(printed.1, json);
}

const ALL: MapRequest = MapRequest { top: 0, div: 0, zero_if_empty: false };

#[test]
fn counts_are_added_and_sorted() {
    let (one, two) = ([Build::int(1), Build::text("x", 8)], [Build::int(2), Build::text("y", 8)]);
    let entries: Entries<'_> = &[(&one, &[&[1], &[2]]), (&two, &[&[1], &[0]])];
    check(MapValue::Count, entries, ALL, "@m[2, y]: 1\n@m[1, x]: 3\n", r#"{"@m": {"2,y": 1, "1,x": 3}}"#);
    let request = MapRequest { div: 2, ..ALL };
    check(MapValue::Count, entries, request, "@m[2, y]: 0\n@m[1, x]: 1\n", r#"{"@m": {"2,y": 0, "1,x": 1}}"#);
    let request = MapRequest { top: 1, ..ALL };
    check(MapValue::Count, entries, request, "@m[1, x]: 3\n", r#"{"@m": {"1,x": 3}}"#);
    check(MapValue::Sum { signed: true }, &[(&[], &[&[-5], &[2]])], ALL, "@m: -3\n", r#"{"@m": -3}"#);
    check(MapValue::Count, &[], MapRequest { zero_if_empty: true, ..ALL }, "@m: 0\n", r#"{"@m": 0}"#);
}

#[test]
fn extremes_and_averages() {
    let min = MapValue::Min { signed: true };
    check(min, &[(&[], &[&[0, 0], &[-3, 1], &[4, 1]])], ALL, "@m: -3\n", r#"{"@m": -3}"#);
    let max = MapValue::Max { signed: false };
    let text = "@m: 18446744073709551615\n";
    check(max.clone(), &[(&[], &[&[-1, 1], &[4, 1]])], ALL, text, r#"{"@m": "18446744073709551615"}"#);
    check(max, &[(&[], &[&[0, 0]])], ALL, "@m: 0\n", r#"{"@m": 0}"#);
    let avg = MapValue::Avg { signed: true };
    check(avg.clone(), &[(&[], &[&[-7, 1], &[2, 1]])], ALL, "@m: -2\n", r#"{"@m": -2}"#);
    check(avg.clone(), &[(&[], &[&[-7, 1], &[2, 1]])], MapRequest { div: 2, ..ALL }, "@m: -1\n", r#"{"@m": -1}"#);
    check(avg, &[(&[], &[&[0, 0]])], ALL, "@m: 0\n", r#"{"@m": 0}"#);
}

#[test]
fn statistics() {
    let (a, b, c) = ([Build::text("a", 4)], [Build::text("b", 4)], [Build::text("c", 4)]);
    let entries: Entries<'_> = &[(&a, &[&[9, 1]]), (&b, &[&[10, 3], &[5, 2]]), (&c, &[&[1, 1]])];
    let stats = MapValue::Stats { signed: true };
    check(
        stats,
        entries,
        MapRequest { top: 2, div: 2, zero_if_empty: false },
        "@m[b]: { .count = 5, .average = 1, .total = 15 }\n@m[a]: { .count = 1, .average = 4, .total = 9 }\n",
        "{\"@m\": {\"b\": {\"count\": 5, \"average\": 1, \"total\": 15}, \"a\": {\"count\": 1, \"average\": 4, \"total\": 9}}}",
    );
}

#[test]
fn plain_values_and_keys() {
    let plain = MapValue::Plain(Shape::Pointer);
    let (a, b) = ([Build::text("a", 4)], [Build::text("b", 4)]);
    check(
        plain.clone(),
        &[(&b, &[&[5]]), (&a, &[&[9]])],
        ALL,
        "@m[a]: 0x9\n@m[b]: 0x5\n",
        r#"{"@m": {"a": 9, "b": 5}}"#,
    );
    let tuple = Build::tuple(&[Build::int(1), Build::text("b c", 8)]);
    check(
        plain.clone(),
        &[(std::slice::from_ref(&tuple), &[&[1]])],
        ALL,
        "@m[1, b c]: 0x1\n",
        r#"{"@m": {"1,b c": 1}}"#,
    );
    check(
        plain.clone(),
        &[(&[Build::int(7), tuple], &[&[1]])],
        ALL,
        "@m[7, (1, b c)]: 0x1\n",
        r#"{"@m": {"7,(1,b c)": 1}}"#,
    );
    let stack = [Build::kernel_stack(0x1000, 1), Build::enumerator(1)];
    let text = "@m[\n        do_syscall_64+0\n, AA]: 0x1\n";
    check(plain, &[(&stack, &[&[1]])], ALL, text, r#"{"@m": {"\ndo_syscall_64+0\n,AA": 1}}"#);
    let number = MapValue::Plain(Shape::Int { bytes: 8, signed: true });
    let text = "@m[b]: -5\n@m[a]: 9\n";
    check(number, &[(&a, &[&[4], &[5]]), (&b, &[&[-6], &[1]])], ALL, text, r#"{"@m": {"b": -5, "a": 9}}"#);
}

fn hist(bits: u32, values: &[i64]) -> Vec<i64> {
    let mut counters = vec![0; Buckets::count(bits) as usize];
    for &value in values {
        counters[Buckets::of(value, bits) as usize] += 1;
    }
    counters
}

#[test]
fn histograms() {
    let bar = "@".repeat(52);
    let none = " ".repeat(52);
    check(
        MapValue::Hist { bits: 0 },
        &[(&[], &[&hist(0, &[-1]), &hist(0, &[2])])],
        ALL,
        &format!(
            "@m:\n(..., 0)               1 |{bar}|\n[0]                    0 |{none}|\n[1]                    0 |{none}|\n[2, 4)                 1 |{bar}|\n\n"
        ),
        r#"{"@m": [{"max": -1, "count": 1},{"min": 0, "max": 0, "count": 0},{"min": 1, "max": 1, "count": 0},{"min": 2, "max": 3, "count": 1}]}"#,
    );
    let labels = |bits, value| {
        let (map, _) = map("@m", MapValue::Hist { bits }, &[]);
        let entries = [MapEntry { key: vec![], values: vec![words(&hist(bits, &[value]))] }];
        print(&map, &entries, ALL).0.split_once("  ").unwrap().0.to_owned()
    };
    assert_eq!(labels(0, 600), "@m:\n[512, 1K)");
    assert_eq!(labels(0, 1 << 30), "@m:\n[1G, 2G)");
    assert_eq!(labels(2, 900), "@m:\n[896, 1024)");
    assert_eq!(labels(2, 3600), "@m:\n[3584, 4K)");
    assert_eq!(labels(2, 4000 << 10), "@m:\n[3584K, 4M)");
    assert_eq!(labels(2, 70_000_000_000), "@m:\n[64G, 80G)");
    assert_eq!(labels(5, i64::MAX), "@m:\n[8064P, 8192P)");
    check(MapValue::Hist { bits: 0 }, &[(&[], &[&hist(0, &[])])], ALL, "@m:\n\n", r#"{"@m": []}"#);
}

#[test]
fn histograms_are_sorted_by_their_totals() {
    let (a, b) = ([Build::text("a", 4)], [Build::text("b", 4)]);
    let entries: Entries<'_> = &[(&a, &[&hist(0, &[0, 0, 0])]), (&b, &[&hist(0, &[5, 9])])];
    let (bar, none) = ("@".repeat(52), " ".repeat(52));
    check(
        MapValue::Hist { bits: 0 },
        entries,
        MapRequest { top: 1, ..ALL },
        &format!("@m[a]:\n[0]                    3 |{bar}|\n\n"),
        r#"{"@m": {"a": [{"min": 0, "max": 0, "count": 3}]}}"#,
    );
    let text = format!(
        "@m[b]:\n[4, 8)                 0 |{none}|\n[8, 16)                0 |{none}|\n\n@m[a]:\n[0]                    1 |{bar}|\n\n"
    );
    check(
        MapValue::Hist { bits: 0 },
        entries,
        MapRequest { div: 2, ..ALL },
        &text,
        r#"{"@m": {"b": [{"min": 4, "max": 7, "count": 0},{"min": 8, "max": 15, "count": 0}], "a": [{"min": 0, "max": 0, "count": 1}]}}"#,
    );
}

#[test]
fn linear_histograms() {
    let (bar, half, none) = ("@".repeat(52), format!("{:52}", "@".repeat(26)), " ".repeat(52));
    check(
        MapValue::LinearHist { min: 0, max: 10, step: 3 },
        &[(&[], &[&[0, 0, 1, 0, 2]])],
        ALL,
        &format!(
            "@m:\n[3, 6)                 1 |{half}|\n[6, 9)                 0 |{none}|\n[9, ...)               2 |{bar}|\n\n"
        ),
        r#"{"@m": [{"min": 3, "max": 5, "count": 1},{"min": 6, "max": 8, "count": 0},{"min": 9, "count": 2}]}"#,
    );
    check(
        MapValue::LinearHist { min: -4096, max: 10240, step: 1024 },
        &[(&[], &[&[2, 1]])],
        ALL,
        &format!("@m:\n(..., -4K)             2 |{bar}|\n[-4K, -3K)             1 |{half}|\n\n"),
        r#"{"@m": [{"max": -4097, "count": 2},{"min": -4096, "max": -3073, "count": 1}]}"#,
    );
    let label = |min, step, json: &str, text: &str| {
        check(
            MapValue::LinearHist { min, max: min + 4 * step, step },
            &[(&[], &[&[0, 1]])],
            ALL,
            &format!("@m:\n{text:16}       1 |{bar}|\n\n"),
            json,
        );
    };
    label(2 << 20, 1 << 20, r#"{"@m": [{"min": 2097152, "max": 3145727, "count": 1}]}"#, "[2M, 3M)");
    label(2148, 1024, r#"{"@m": [{"min": 2148, "max": 3171, "count": 1}]}"#, "[2148, 3172)");
    label(4000, 2000, r#"{"@m": [{"min": 4000, "max": 5999, "count": 1}]}"#, "[4000, 6000)");
    label(1025, 1, r#"{"@m": [{"min": 1025, "max": 1025, "count": 1}]}"#, "[1025]");
}

fn series(interval: u64, count: u32, how: SeriesKind) -> MapValue {
    MapValue::Series { interval, count, how, signed: true }
}

/// 2026-11-27 13:52:21.600 in tenths of seconds since 1970.
const TENTH: i64 = 17_957_875_416;

#[test]
fn graphs() {
    // What the reference printed for the averages -7, -4, ... 17 without the fourth.
    let mut slots = Vec::new();
    for (index, value) in [-7, -4, -1, 99, 5, 8, 11, 14, 17].into_iter().enumerate() {
        slots.extend([2 * value, if value == 99 { 0 } else { 2 }, TENTH + i64::try_from(index).unwrap()]);
    }
    let text = "\
@m:
             -7                                                 17
hh:mm:ss.ms  |___________________________________________________|
13:52:21.600 *              .                                    | -7
13:52:21.700 |     *        .                                    | -4
13:52:21.800 |            * .                                    | -1
13:52:21.900 |              .                                    | -
13:52:22.000 |              .          *                         | 5
13:52:22.100 |              .                *                   | 8
13:52:22.200 |              .                       *            | 11
13:52:22.300 |              .                             *      | 14
13:52:22.400 |              .                                    * 17
             v___________________________________________________v
             -7                                                 17

";
    let (map, _) = map("@m", series(100_000_000, 20, SeriesKind::Avg), &[]);
    let entries = [MapEntry { key: vec![], values: vec![words(&slots)] }];
    let printed = print(&map, &entries, ALL);
    assert_eq!(printed.0, text);
    assert!(
        printed
            .1
            .starts_with(r#"{"@m": [{"interval_start":"2026-11-27 13:52:21.600000000","value":-7},{"interval_start""#)
    );
    assert!(printed.1.ends_with(r#"{"interval_start":"2026-11-27 13:52:22.400000000","value":17}]}"#));
}

#[test]
fn graphs_of_one_interval_and_of_seconds() {
    let text = "\
@m:
                   4                                                   6
hh:mm:ss.ns        |___________________________________________________|
13:52:21.600000000 |                         *                         | 5
                   v___________________________________________________v
                   4                                                   6

";
    let json = r#"{"@m": [{"interval_start":"2026-11-27 13:52:21.600000000","value":5}]}"#;
    check(series(100_000_000, 5, SeriesKind::Last), &[(&[], &[&[5, 1, TENTH]])], ALL, text, json);
    let second = TENTH / 10;
    let text = "\
@m:
         6                                                  35
hh:mm:ss |___________________________________________________|
13:52:21 *                                                   | 6
13:52:22 |                                                   * 35
         v___________________________________________________v
         6                                                  35

";
    let json = r#"{"@m": [{"interval_start":"2026-11-27 13:52:21.000000000","value":6},{"interval_start":"2026-11-27 13:52:22.000000000","value":35}]}"#;
    // The third processor saw an interval that is too old by now.
    let processors: &[&[i64]] =
        &[&[4, 2, second, 30, 3, second + 1], &[2, 1, second, 5, 1, second + 1], &[7, 1, second - 2]];
    check(series(1_000_000_000, 3, SeriesKind::Sum), &[(&[], processors)], ALL, text, json);
}

#[test]
fn series_of_processors_come_together() {
    let value = |how, slots: &[&[i64]]| {
        let values: Vec<Vec<u8>> = slots.iter().map(|slot| words(slot)).collect();
        let (map, _) = map("@m", series(1, 4, how), &[]);
        match Aggregate::read(&map, &values) {
            Aggregate::Series(points) => points.iter().map(|point| point.value.get()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    let slots: &[&[i64]] = &[&[-6, 3, 9], &[4, 1, 9], &[0, 0, 9]];
    assert_eq!(value(SeriesKind::Min, slots), [-6]);
    assert_eq!(value(SeriesKind::Max, slots), [4]);
    assert_eq!(value(SeriesKind::Sum, slots), [-2]);
    assert_eq!(value(SeriesKind::Avg, &[&[-6, 3, 9], &[-6, 1, 9]]), [-3]);
    assert_eq!(value(SeriesKind::Last, slots), [-6]);
    assert!(value(SeriesKind::Last, &[&[1, 0, 9]]).is_empty());
}

#[test]
fn any_contents() {
    skep_random::random_test(|u| {
        crate::fuzz::map(u.bytes(u.len())?);
        Ok(())
    });
}

#[test]
fn long_series_have_an_entry_for_each_interval() {
    let (map, _) = map("@m", series(100_000_000, 5000, SeriesKind::Sum), &[&[Build::int(7)]]);
    let entry = |key: i64, number: i64, values: &[i64]| MapEntry {
        key: words(&[key, (TENTH + number) % 5000]),
        values: values.iter().map(|&value| words(&[value, 1, TENTH + number])).collect(),
    };
    // In any order; two processors have something in the first interval.
    let entries = vec![entry(7, 2, &[30]), entry(9, 0, &[4]), entry(7, 0, &[1, 2]), entry(7, 1, &[5])];
    let gathered = gathered(&map, entries);
    assert_eq!(gathered.len(), 2);
    let snapshot = Snapshot::new(&map, &gathered, ALL);
    let points = |row: usize| match &snapshot.rows[row].1 {
        Aggregate::Series(points) => points.iter().map(|point| point.value.get()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!((points(0), points(1)), (vec![3, 5, 30], vec![4]));
}

/// Copies of stacks whose hashes agree but for the last two digits have the same stack trace here.
#[test]
fn copies_of_stacks_with_the_same_trace_are_one_entry() {
    let stack = |hash: u64| {
        let mut bytes = hash.to_le_bytes().to_vec();
        bytes.extend(StackKey::UNWOUND.to_le_bytes());
        bytes.extend(7u32.to_le_bytes());
        (Shape::Stack { kernel: false, dwarf: true, mode: Default::default(), limit: 1 }, bytes)
    };
    let keys = [0x1111, 0x1122, 0x2211, 0x1133].map(|hash| [Build::int(5), Build::tuple(&[stack(hash)])]);
    let keys: Vec<&[(Shape, Vec<u8>)]> = keys.iter().map(|key| &key[..]).collect();
    for (value, expected) in [
        (MapValue::Count, vec![vec![vec![1, 2], vec![10, 20], vec![1000, 2000]], vec![vec![100, 200]]]),
        (
            MapValue::Plain(Build::int(0).0),
            vec![vec![vec![1, 2]], vec![vec![10, 20]], vec![vec![100, 200]], vec![vec![1000, 2000]]],
        ),
    ] {
        let (map, keys) = map("@m", value, &keys);
        let entries = keys.into_iter().zip([1, 10, 100, 1000]);
        let entries =
            entries.map(|(key, number)| MapEntry { key, values: vec![words(&[number, 2 * number])] }).collect();
        let united = united(&map, entries, names().symbols());
        let found: Vec<Vec<Vec<u8>>> = united.into_iter().map(|entry| entry.values).collect();
        let expected: Vec<Vec<Vec<u8>>> =
            expected.iter().map(|entry| entry.iter().map(|values| words(values)).collect()).collect();
        assert_eq!(found, expected);
    }
}
