//! The same rows in all forms.

use skep_lang_script::plan::{Field, ScriptMap, Shape};

use super::*;
use crate::maps::{MapEntry, MapRequest};
use crate::testing::{Build, names};

fn render(style: Style, rows: &[Vec<(Shape, Vec<u8>)>]) -> String {
    let mut names = names();
    let mut renderer = Renderer { names: &mut names, enums: &[], truncation: "..", full: 0, flags: &[] };
    let (mut table, mut out) = (Rows::new(style, ["pid", "comm", "stack"]), Vec::new());
    for row in rows {
        let cells: Vec<Cell<'_>> = row.iter().map(|cell| Cell::Value(Value::decode(&cell.0, &cell.1))).collect();
        table.push(&cells, &mut renderer, &mut out);
    }
    table.flush(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn three_forms() {
    let rows = [
        vec![Build::int(5), Build::text("a \"b\",c", 16), Build::kernel_stack(0x1003, 2)],
        vec![Build::int(12345), Build::text("é\x1b[1m", 16)],
    ];
    assert_eq!(
        render(Style::Table, &rows),
        "  pid  comm        stack\n    5  a \"b\",c     do_syscall_64+3; do_syscall_64+4\n12345  é\\u{1b}[1m\n"
    );
    let json = render(Style::Json, &rows);
    let parsed: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&parsed[0]["pid"], &parsed[0]["comm"]), (&5.into(), &"a \"b\",c".into()));
    assert!(parsed[1]["stack"].is_null());
    assert_eq!(
        render(Style::Csv, &rows),
        "pid,comm,stack\n5,\"a \"\"b\"\",c\",\"\n        do_syscall_64+3\n        do_syscall_64+4\n\"\n12345,é\x1b[1m,\n"
    );
    assert_eq!(render(Style::Csv, &[]), "pid,comm,stack\n");
    assert_eq!(render(Style::Json, &[]), "");
}

fn snapshot(value: MapValue, words: &[i64]) -> [String; 2] {
    let key = vec![Field { offset: 0, shape: Shape::Text(4) }];
    let map = ScriptMap { name: "@m".into(), object_map: String::new(), key, value, per_cpu: true };
    let value = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let entries = [MapEntry { key: b"ab\0\0".into(), values: vec![value] }];
    let snapshot = Snapshot::new(&map, &entries, MapRequest::default());
    [Style::Csv, Style::Table].map(|style| {
        let mut names = names();
        let mut renderer = Renderer { names: &mut names, enums: &[], truncation: "..", full: 0, flags: &[] };
        let mut out = Vec::new();
        snapshot.rows(style, &mut renderer, &mut out);
        String::from_utf8(out).unwrap()
    })
}

#[test]
fn maps_as_rows() {
    assert_eq!(snapshot(MapValue::Sum { signed: true }, &[-3]), ["key,value\nab,-3\n", "key  value\nab      -3\n"]);
    let [csv, table] = snapshot(MapValue::Stats { signed: true }, &[10, 3]);
    assert_eq!(csv, "key,count,average,total\nab,3,3,10\n");
    assert_eq!(table, "key  count  average  total\nab       3        3     10\n");
    let [csv, _] = snapshot(MapValue::Hist { bits: 0 }, &[1, 0, 2, 0, 4]);
    assert_eq!(csv, "key,from,to,count\nab,,-1,1\nab,1,1,2\nab,4,7,4\n");
    let series =
        MapValue::Series { interval: 10, count: 2, how: skep_lang_script::plan::SeriesKind::Max, signed: true };
    assert_eq!(snapshot(series, &[5, 1, 7])[0], "key,interval,value\nab,70,5\n");
}
