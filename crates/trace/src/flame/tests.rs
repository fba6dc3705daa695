//! Folding with symbols that tests can foresee, and pictures that are well-formed.

use skep_lang_script::plan::{MapValue, lay_out};

use super::*;
use crate::maps::{MapEntry, MapRequest};
use crate::testing::names;

/// A key of a text, a stack of the process and one of the kernel.
fn map(name: &str) -> ScriptMap {
    let stack = |kernel| Shape::Stack { kernel, dwarf: false, mode: StackMode::Bpftrace, limit: 127 };
    let key = lay_out(0, [Shape::Text(8), stack(false), stack(true)]);
    ScriptMap { name: name.into(), object_map: "m".to_owned(), key, value: MapValue::Count, per_cpu: false }
}

/// The symbols of the tests name addresses from 0x1000 on: those of process 7 are `main`, those of the kernel have one name.
fn entry(comm: &str, user: (u64, u32, u32), count: u64) -> MapEntry {
    let mut key = comm.as_bytes().to_vec();
    key.resize(8, 0);
    for (hash, frames, pid) in [user, (0x2000, 1, 0)] {
        key.extend(hash.to_le_bytes());
        key.extend(frames.to_le_bytes());
        key.extend(pid.to_le_bytes());
    }
    MapEntry { key, values: vec![count.to_le_bytes().to_vec()] }
}

fn folded(plan: &Plan, entries: &[MapEntry]) -> Folded {
    let mut names = names();
    let mut renderer = Renderer { names: &mut names, enums: &[], truncation: "..", full: 0, flags: &[] };
    let mut folded = Folded::default();
    for map in &plan.maps {
        folded.add(plan, &Snapshot::new(map, entries, MapRequest::default()), &mut renderer);
    }
    folded
}

#[test]
fn lines_of_frames() {
    let plan = Plan { maps: vec![map("@")], ..Plan::default() };
    let entries = [entry("a;b", (0x1000, 2, 7), 5), entry("a:b", (0x1100, 2, 7), 2), entry("x", (0x1000, 1, 8), 1)];
    let folded = folded(&plan, &entries);
    // The first two come together: their names differ only in the mark that lines cannot hold.
    assert_eq!(folded.text(), "a:b;main;main;do_syscall_64_[k] 7\nx;[unknown];do_syscall_64_[k] 1\n");
    let none = [entry("x", (0x1000, 1, 7), 0)];
    assert!(self::folded(&plan, &none).is_empty());
}

#[test]
fn several_maps_are_told_apart() {
    let plan = Plan { maps: vec![map("@on"), map("@off")], ..Plan::default() };
    let folded = folded(&plan, &[entry("x", (0x1000, 1, 7), 3)]);
    assert_eq!(folded.text(), "@off;x;main;do_syscall_64_[k] 3\n@on;x;main;do_syscall_64_[k] 3\n");
    let mut plain = map("@");
    plain.key.truncate(1);
    assert!(!has_stack(&plain) && has_stack(&plan.maps[0]));
}

/// Asserts that elements are closed in order and no letter of the markup is left in texts; gives the number of elements.
#[track_caller]
fn well_formed(svg: &str) -> usize {
    let (mut open, mut count, mut rest) = (Vec::new(), 0, svg);
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "{}", &rest[..start]);
        rest = &rest[start + 1..];
        if let Some(inside) = rest.strip_prefix("![CDATA[") {
            rest = inside.split_once("]]>").unwrap().1;
            continue;
        }
        let (tag, behind) = rest.split_once('>').unwrap();
        rest = behind;
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with(['/', '?']) {
            open.push(name);
            count += 1;
        }
    }
    assert!(open.is_empty(), "{open:?}");
    count
}

#[test]
fn a_picture() {
    let mut stacks = BTreeMap::new();
    stacks.insert(vec!["<main>".to_owned(), "std::vec<\"a\" & b>\u{1}".to_owned()], 30);
    stacks.insert(vec!["<main>".to_owned(), "write_[k]".to_owned()], 10);
    let folded = Folded { stacks };
    let svg = folded.svg("skep & co");
    // A group, a title, a text for each of four boxes; the picture, its style, five texts, the group of boxes, the script.
    assert_eq!(well_formed(&svg), 4 * 3 + 9);
    for part in ["&lt;main&gt; (40, 100.00%)", "write_[k] (10, 25.00%)", "skep &amp; co", "data-x=\"0.7500000\""] {
        assert!(svg.contains(part), "{part}\n{svg}");
    }
    assert!(!SVG_SCRIPT.contains("]]>"));
    well_formed(&Folded::default().svg(""));
    // More than a key with both kinds of traces can hold.
    let deep = Folded { stacks: [((0..300).map(|n| n.to_string()).collect(), 1)].into() };
    assert_eq!(deep.svg("deep").matches("class=\"f\"").count(), 301);
}

const SVG_SCRIPT: &str = include_str!("flame.js");
