//! Relocations, compared with what libbpf says that it does when bpftool loads the same object.

use std::process::Command;

use skep_btf::core::{CoreKind, MemorySize, Relocation, Resolution, relocate};
use skep_btf::{Btf, Ext};

use super::{Compiled, installed, kernel};

/// A relocation as libbpf tells it: the kind, the value before, and the value after unless the instruction is replaced.
#[derive(Debug, PartialEq)]
struct Told {
    kind: String,
    values: Option<(u64, u64)>,
}

/// The numbers of the relocations come out of order when an object has several sections, so each is taken with its text.
fn told(log: &str) -> Vec<Told> {
    let mut found: Vec<Told> = Vec::new();
    for line in log.lines() {
        let Some((_, rest)) = line.split_once(": relo #").and_then(|(_, rest)| rest.split_once(": ")) else { continue };
        if let Some((kind, _)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            found.push(Told { kind: kind.to_owned(), values: None });
        } else if rest.starts_with("patched") {
            let words: Vec<&str> = rest.split(' ').collect();
            let number = |at: usize| words[words.len() - at].parse::<i64>().unwrap().cast_unsigned();
            found.last_mut().unwrap().values = Some((number(3), number(1)));
        }
    }
    found
}

/// What libbpf does with an object. The program itself need not pass the verifier.
fn libbpf(compiled: &Compiled) -> Vec<Told> {
    let pin = format!("/sys/fs/bpf/skep-btf-core-{}", std::process::id());
    let output = Command::new("bpftool")
        .args(["-d", "prog", "loadall"])
        .arg(compiled.path("object"))
        .arg(&pin)
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(pin);
    told(&String::from_utf8_lossy(&output.stderr))
}

fn ours(compiled: &Compiled, ext: &[u8], kernel: &Btf) -> Vec<(String, Resolution)> {
    let local = compiled.btf();
    let ext = Ext::parse(ext).unwrap();
    let records = ext.relocations.iter().flat_map(|block| &block.records);
    let answer = |record: &skep_btf::CoreRecord| {
        let kind = CoreKind::new(record.kind).unwrap();
        let relocation = Relocation { ty: record.ty, access: local.string(record.access).unwrap(), kind };
        let answer = relocate(&local, relocation, &[kernel]).unwrap_or_else(|error| panic!("{error}"));
        (format!("{} {}", local.name(record.ty).unwrap(), relocation.access), answer)
    };
    records.map(answer).collect()
}

#[track_caller]
fn compare(ours: &[(String, Resolution)], theirs: &[Told]) {
    assert_eq!(ours.len(), theirs.len());
    for ((what, ours), theirs) in ours.iter().zip(theirs) {
        assert_eq!(ours.kind.name(), theirs.kind, "{what}");
        assert_eq!(ours.value, theirs.values.map(|(_, after)| after), "{what}: {ours:?}");
        if let (Some(original), Some((before, _))) = (ours.original, theirs.values) {
            assert_eq!(original, before, "{what}");
        }
    }
}

#[test]
fn every_kind_is_answered_as_libbpf_does() {
    let Some(kernel) = kernel() else { return };
    if !installed(&["bpftool", "clang", "llvm-objcopy"]) {
        return;
    }
    let compiled = Compiled::new("core.c");
    let theirs = libbpf(&compiled);
    if theirs.is_empty() {
        return super::skip("bpftool may not load programs here");
    }
    let ours = ours(&compiled, &std::fs::read(compiled.path("BTF.ext")).unwrap(), &kernel);
    compare(&ours, &theirs);
    // All kinds but the match, which the next test asks for, and answers of both sorts.
    for kind in (0..12).filter_map(CoreKind::new) {
        assert!(ours.iter().any(|(_, answer)| answer.kind == kind), "{kind:?}");
    }
    assert!(ours.iter().any(|(_, answer)| answer.value.is_none() && answer.memory == MemorySize::Same));
}

#[test]
fn types_match_as_libbpf_says() {
    let Some(kernel) = kernel() else { return };
    if !installed(&["bpftool", "clang", "llvm-objcopy"]) {
        return;
    }
    let compiled = Compiled::new("core_match.c");
    let mut ext = std::fs::read(compiled.path("BTF.ext")).unwrap();
    let word = |ext: &[u8], at: usize| u32::from_le_bytes(ext[at..at + 4].try_into().unwrap()) as usize;
    // Each record of the relocations asks whether the type exists; let it ask whether it matches.
    let relocations = word(&ext, 4) + word(&ext, 24) + 4;
    let count = word(&ext, relocations + 4);
    for record in 0..count {
        let kind = relocations + 8 + 16 * record + 12;
        assert_eq!(word(&ext, kind), CoreKind::TypeExists as usize);
        ext[kind] = CoreKind::TypeMatches as u8;
    }
    compiled.replace(".BTF.ext", &ext);
    let theirs = libbpf(&compiled);
    if theirs.is_empty() {
        return super::skip("bpftool may not load programs here");
    }
    let ours = ours(&compiled, &ext, &kernel);
    compare(&ours, &theirs);
    let matching = ours.iter().filter(|(_, answer)| answer.value == Some(1)).count();
    assert!((5..count - 5).contains(&matching), "{matching} of {count} match");
}
