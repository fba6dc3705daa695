//! Bodies of property tests, shared by `cargo test` and the fuzz targets. Each takes arbitrary bytes.

use std::sync::Arc;

use crate::number::Info;
use crate::{Btf, Ext, Kind, TypeId};

pub use crate::fuzz_graph::{build, core, print, values};

/// Any bytes as a blob, bare and behind a valid header: whatever opens can be looked at in whole.
pub fn blob(data: &[u8]) {
    look(data.to_vec());
    let (types, strings) = data.split_at(data.len() / 4 * 3);
    look(framed(types, strings));
    let opened = look(framed(&woven(data), b"int\0a\0long name\0"));
    assert!(opened, "types of known kinds and sizes must open");
    split(data);
}

/// Any bytes as a blob that goes on from another one.
fn split(data: &[u8]) {
    let (one, other) = data.split_at(data.len() / 2);
    let Ok(base) = Btf::parse(framed(&woven(one), b"int\0a")) else { return };
    let base = Arc::new(base);
    let Ok(split) = Btf::parse_split(Arc::clone(&base), framed(&woven(other), b"b\0c")) else { return };
    assert_eq!(split.all_ids().len(), base.len() + split.len());
    for id in split.all_ids() {
        assert!(id.0 as usize > base.len() || split.kind(id) == base.kind(id), "the base's types stay as they are");
        assert!(split.kind(id).is_ok());
        let _ = (split.name(id), split.size_of(id));
        if let Some(name) = split.name(id).ok().filter(|name| !name.is_empty()) {
            assert!(split.find(name).is_some_and(|first| first <= id), "a type must be found by its name");
        }
    }
}

/// Types of known kinds that refer to each other at random: what random words hardly ever are.
pub(crate) fn woven(data: &[u8]) -> Vec<u8> {
    let mut woven = Vec::new();
    for &[name, kind, count, target, a, b, c, d] in data.as_chunks::<8>().0 {
        let count = u32::from(count % 4);
        let info = Info::new(kind % 19 + 1, kind >> 7 != 0, count);
        let words = [u32::from(name), info.0, u32::from(target)];
        let rest = info.rest().unwrap_or(0) / 4;
        let others = [u32::from(a), u32::from(b), u32::from(c), u32::from(d)];
        woven.extend(words.iter().chain(others.iter().cycle().take(rest)).flat_map(|word| word.to_le_bytes()));
    }
    woven
}

/// Any bytes as the content of `.BTF.ext`, bare and behind a valid header.
pub fn ext(data: &[u8]) {
    let _ = Ext::parse(data);
    let third = data.len() / 3;
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    for word in [32, 0, third, third, third, 2 * third, data.len() - 2 * third] {
        bytes.extend_from_slice(&u32::try_from(word).unwrap_or(0).to_le_bytes());
    }
    bytes.extend_from_slice(data);
    if let Ok(ext) = Ext::parse(&bytes) {
        let records = ext.functions.iter().map(|block| 8 * block.records.len()).sum::<usize>()
            + ext.lines.iter().map(|block| 16 * block.records.len()).sum::<usize>()
            + ext.relocations.iter().map(|block| 16 * block.records.len()).sum::<usize>();
        assert!(records <= data.len(), "more records than bytes");
    }
}

/// A blob with a valid header, these types and these strings.
pub(crate) fn framed(types: &[u8], strings: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, types.len(), types.len(), strings.len() + 2] {
        bytes.extend_from_slice(&u32::try_from(word).unwrap_or(0).to_le_bytes());
    }
    bytes.extend_from_slice(types);
    bytes.push(0);
    bytes.extend_from_slice(strings);
    bytes.push(0);
    bytes
}

/// Opens a blob and looks at everything in it; whether it opens.
fn look(bytes: Vec<u8>) -> bool {
    let Ok(btf) = Btf::parse(bytes) else { return false };
    for id in btf.ids().chain([TypeId::VOID, TypeId(u32::MAX)]) {
        let name = btf.name(id);
        if let Some(name) = name.ok().filter(|name| !name.is_empty()) {
            assert!(btf.find(name).is_some_and(|first| first <= id), "a type must be found by its name");
        }
        if let Ok(resolved) = btf.resolve(id) {
            assert_eq!(btf.resolve(resolved), Ok(resolved), "what is resolved stays");
            assert_eq!(btf.size_of(id), btf.size_of(resolved).map_err(|error| btf.size_of(id).err().unwrap_or(error)));
        }
        let names: Vec<_> = match btf.kind(id) {
            Ok(Kind::Struct(composite) | Kind::Union(composite)) => composite.members().map(|m| m.name).collect(),
            Ok(Kind::Enum(values) | Kind::Enum64(values)) => values.values().map(|value| value.name).collect(),
            Ok(Kind::FuncProto(proto)) => proto.params().map(|param| param.name).collect(),
            Ok(Kind::Datasec { vars, .. }) => {
                assert!(vars.iter().all(|var| btf.name(var.ty).is_err() || btf.kind(var.ty).is_ok()));
                Vec::new()
            }
            Ok(_) => Vec::new(),
            Err(_) => {
                assert_eq!(id, TypeId(u32::MAX), "every type of an open blob has a kind");
                continue;
            }
        };
        for name in names {
            assert!(btf.string(name).is_ok_and(|text| !text.contains('\0')) || btf.string(name).is_err());
        }
    }
    true
}
