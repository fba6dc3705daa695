//! What the builder makes: read by bpftool, loaded by the kernel, linked as bpftool links.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use skep_btf::{Btf, BtfBuilder, RawType};

use super::{Compiled, bpftool_dump, installed, kernel, run};

fn rebuilt(btf: &Btf) -> BtfBuilder {
    let mut builder = BtfBuilder::new();
    builder.append(btf).unwrap();
    builder
}

#[test]
fn copies_are_read_and_loaded() {
    if !installed(&["bpftool", "clang", "llvm-objcopy"]) {
        return;
    }
    let compiled = Compiled::new("shapes.c");
    let before = bpftool_dump(&compiled.path("BTF"), "raw", None);
    let bytes = rebuilt(&compiled.btf()).to_bytes();
    std::fs::write(compiled.path("rebuilt"), &bytes).unwrap();
    assert_eq!(bpftool_dump(&compiled.path("rebuilt"), "raw", None), before);
}

#[test]
fn a_copy_of_the_kernel_is_the_same_and_has_no_duplicates() {
    let Some(btf) = kernel() else { return };
    let mut once = rebuilt(&btf);
    let copy = Btf::parse(once.to_bytes()).unwrap();
    assert!(btf.ids().step_by(7).all(|id| RawType(&btf, id).to_string() == RawType(&copy, id).to_string()));
    // The build of the kernel made its types unique; nearly nothing is left to do, except where it was careful.
    let map = once.dedup().unwrap();
    let left = once.next_id().0 as usize - 1;
    assert!(left <= btf.len() && left * 100 >= btf.len() * 99, "{left} of {} types", btf.len());
    // Another copy adds nothing but variables and sections, of which none is the same as another.
    let mut twice = rebuilt(&btf);
    let second = twice.append(&btf).unwrap();
    let all = twice.dedup().unwrap();
    for id in btf.ids() {
        let kind = btf.kind(id).unwrap().name();
        if !matches!(kind, "VAR" | "DATASEC" | "DECL_TAG") {
            assert_eq!(all.get(second.get(id).unwrap()), map.get(id), "{kind} {id:?}");
        }
    }
    // As a split blob it is nothing but its base.
    let base = Arc::new(Btf::parse(once.to_bytes()).unwrap());
    let mut split = BtfBuilder::with_base(Arc::clone(&base));
    split.append(&btf).unwrap();
    split.dedup().unwrap();
    let split = Btf::parse_split(base, split.to_bytes()).unwrap();
    let others = split.ids().map(|id| split.kind(id).unwrap().name()).filter(|kind| *kind != "VAR");
    assert_eq!(others.filter(|kind| !matches!(*kind, "DATASEC" | "DECL_TAG")).count(), 0);
}

/// How many types of each kind there are, by name. Sections and variables are the linker's affair.
fn counts(listing: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in listing.lines().filter(|line| line.starts_with('[')) {
        let mut words = line.splitn(4, ' ').skip(1);
        let (kind, name) = (words.next().unwrap(), words.next().unwrap());
        if !matches!(kind, "VAR" | "DATASEC") {
            *counts.entry(format!("{kind} {name}")).or_insert(0) += 1;
        }
    }
    counts
}

#[test]
fn merged_objects_have_the_types_that_bpftool_leaves() {
    if !installed(&["bpftool", "clang", "llvm-objcopy"]) {
        return;
    }
    let [one, other] = ["shapes.c", "other.c"].map(Compiled::new);
    let linked = one.path("linked");
    run(Command::new("bpftool").args(["gen", "object"]).arg(&linked).args([one.path("object"), other.path("object")]));
    let mut theirs = counts(&bpftool_dump(&linked, "raw", None));
    let mut builder = BtfBuilder::new();
    let (first, second) = (one.btf(), other.btf());
    builder.append(&first).unwrap();
    let moved = builder.append(&second).unwrap();
    let before = builder.next_id();
    let map = builder.dedup().unwrap();
    assert!(builder.next_id() < before);
    let bytes = builder.to_bytes();
    let btf = Btf::parse(bytes.clone()).unwrap();
    std::fs::write(one.path("merged"), bytes).unwrap();
    let ours = counts(&bpftool_dump(&one.path("merged"), "raw", None));
    // Releases of bpftool before 7.2 leave declarations next to their only definition, and pointers to them.
    let declared: Vec<String> = theirs.keys().filter(|key| key.starts_with("FWD")).cloned().collect();
    for key in declared.iter().filter(|key| !ours.contains_key(*key)) {
        assert!(ours.contains_key(&key.replace("FWD", "STRUCT")), "{key}");
        theirs.remove(key);
        *theirs.get_mut("PTR '(anon)'").unwrap() -= 1;
    }
    assert_eq!(ours, theirs);
    // The map leads to the same types.
    for id in second.ids() {
        let new = map.get(moved.get(id).unwrap()).unwrap();
        assert_eq!(btf.name(new), second.name(id));
    }
}
