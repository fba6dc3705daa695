//! Property tests of what walks through whole blobs: printing, merging, matching, values.

use std::sync::Arc;

use crate::core::{self, CoreKind, Relocation};
use crate::fuzz::{framed, woven};
use crate::{Btf, BtfBuilder, CPrinter, Kind, RawType, TypeId, Value, encode};

/// Names for types made of random bytes; some differ only by their flavour.
const STRINGS: &[u8] = b"int\0a\0a___b\0char\0long name\0__builtin_va_list";

/// A blob made of arbitrary bytes; most references in it lead somewhere.
fn blob(data: &[u8]) -> Option<Btf> {
    Btf::parse(framed(&woven(data), STRINGS)).ok()
}

/// C declarations and listings: they end, and every type is listed.
pub fn print(data: &[u8]) {
    let Some(btf) = blob(data) else { return };
    let mut printer = CPrinter::new(&btf);
    let mut failed = false;
    for id in btf.all_ids().chain([TypeId::VOID, TypeId(u32::MAX)]) {
        failed |= printer.add(id).is_err();
        assert!(RawType(&btf, id).to_string().starts_with('['), "a listing begins with the number");
    }
    assert!(
        printer.text().len() as u64 <= 64 * btf.bytes().len() as u64 + (1 << 16),
        "the text must stay in proportion"
    );
    let before = printer.text().len();
    let again = btf.all_ids().try_for_each(|id| printer.add(id));
    assert!(failed || again.is_ok() && printer.text().len() == before, "what was printed is not printed again");
}

/// Values of random bytes.
pub fn values(data: &[u8]) {
    let (types, bytes) = data.split_at(data.len() / 2);
    let Some(btf) = blob(types) else { return };
    for id in btf.all_ids() {
        let Ok(value) = Value::decode(&btf, id, bytes) else { continue };
        let fits = btf.size_of(id).map_or(true, |size| size as usize <= bytes.len());
        assert!(fits || matches!(value, Value::Struct(_)), "a value cannot have more bytes than there are");
        let text = value.to_string();
        assert!(!text.is_empty());
        // What is printed can mostly be read: not if parts of the type overlap, are named alike, or have no form in JSON.
        if let Ok(again) = encode(&btf, id, &text) {
            assert!(btf.size_of(id).is_ok_and(|size| size as usize == again.len()));
            // Members of nonsensical types lie outside of them.
            let _ = Value::decode(&btf, id, &again);
        }
        let _ = encode(&btf, id, &String::from_utf8_lossy(bytes));
    }
}

/// Relocations with random types, paths and kinds, and comparisons of all types with each other.
pub fn core(data: &[u8]) {
    let (one, other) = data.split_at(data.len() / 2);
    let (Some(local), Some(target)) = (blob(one), blob(other)) else { return };
    let base = Arc::new(target.clone());
    let split = Btf::parse_split(base, framed(&woven(one), STRINGS)).unwrap_or_else(|_| target.clone());
    for (at, ty) in local.all_ids().enumerate().take(64) {
        let bytes = [data[at % data.len()], data[(at * 7 + 3) % data.len()]];
        let access = ["0", "0:0", "0:1", "0:1:0", "1", "0:0:0:2", "", "0:x"][usize::from(bytes[0] % 8)];
        let Some(kind) = CoreKind::new(u32::from(bytes[1] % 13)) else { continue };
        let relocation = Relocation { ty, access, kind };
        let targets = [&target, &split];
        match core::relocate(&local, relocation, &targets) {
            Ok(answer) => assert!(answer.target.is_none() || answer.value.is_some(), "what is found has a value"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        // Everything is what it is, unless comparing it leads in circles.
        let same = core::types_match(&local, ty, &local, ty);
        let comparable = |id| matches!(local.resolved(id), Ok(Kind::Int(_) | Kind::Enum(_) | Kind::Enum64(_)));
        assert!(!comparable(ty) || same != Ok(false), "a type must match itself");
        if let Some(other) = target.all_ids().nth(at) {
            let _ = core::types_are_compatible(&local, ty, &target, other);
            let _ = core::types_match(&local, ty, &target, other);
        }
    }
}

/// Copies are the same; types that are made unique stay so, and none gets lost.
pub fn build(data: &[u8]) {
    let Some(btf) = blob(data) else { return };
    let mut builder = BtfBuilder::new();
    let Ok(map) = builder.append(&btf) else { return };
    let copy = builder.to_bytes();
    let Ok(copy) = Btf::parse(copy) else { unreachable!("what is built must open") };
    for id in btf.ids() {
        assert_eq!(map.get(id), Some(id));
        assert_eq!(RawType(&btf, id).to_string(), RawType(&copy, id).to_string());
    }
    // Twice the same is the same once, but for variables and sections and what refers to them.
    assert!(builder.append(&copy).is_ok(), "what could be added once can be added again");
    let Ok(first) = builder.dedup() else { return };
    let Ok(unique) = Btf::parse(builder.to_bytes()) else { unreachable!("what is built must open") };
    for (id, again) in btf.ids().zip((btf.len() as u32 + 1..).map(TypeId)) {
        let (Some(new), Some(second)) = (first.get(id), first.get(again)) else {
            unreachable!("every type goes somewhere")
        };
        assert_eq!(unique.name(new), btf.name(id));
        let variables = btf.ids().any(|id| matches!(btf.kind(id), Ok(Kind::Var { .. } | Kind::Datasec { .. })));
        assert!(variables || new == second, "copies must become one");
    }
    let len = unique.len();
    let Ok(second) = builder.dedup() else { unreachable!("what could be compared once can be compared again") };
    // A declaration may have become unambiguous only when its definitions had become one.
    assert!(builder.next_id().0 as usize <= len + 1);
    assert!(unique.ids().all(|id| second.get(id).is_some()));
    // On top of itself nothing is left.
    let mut split = BtfBuilder::with_base(Arc::new(unique.clone()));
    assert!(split.append(&unique).is_ok());
    if split.dedup().is_ok() {
        assert!(split.next_id().0 as usize <= 2 * len + 1);
    }
}
