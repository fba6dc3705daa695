//! Changes to type information in place: what loaders have to fill in before a kernel takes it.

use std::collections::HashMap;

use skep_btf::TypeId;

/// Where the variables of a section lie.
pub(crate) struct SectionLayout {
    /// The number of the section's type.
    pub(crate) section: u32,
    /// Its size in bytes.
    pub(crate) size: u32,
    /// For each declaration of a variable its number, its offset and its size in bytes.
    pub(crate) vars: Vec<(u32, u32, u32)>,
}

/// Numbers of kinds, `BTF_KIND_*` of `linux/btf.h`.
pub(crate) mod kind {
    pub(crate) const INT: u32 = 1;
    pub(crate) const PTR: u32 = 2;
    pub(crate) const ARRAY: u32 = 3;
    pub(crate) const STRUCT: u32 = 4;
    pub(crate) const UNION: u32 = 5;
    pub(crate) const ENUM: u32 = 6;
    pub(crate) const FUNC: u32 = 12;
    pub(crate) const FUNC_PROTO: u32 = 13;
    pub(crate) const VAR: u32 = 14;
    pub(crate) const DATASEC: u32 = 15;
    pub(crate) const DECL_TAG: u32 = 17;
    pub(crate) const ENUM64: u32 = 19;
}

/// The record of a type in a blob.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    /// Where it starts.
    pub(crate) at: usize,
    pub(crate) kind: u32,
    pub(crate) count: usize,
}

pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_le_bytes(*word))
}

pub(crate) fn set_word(bytes: &mut [u8], at: usize, word: u32) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = word.to_le_bytes();
    }
}

/// The records of all types of a blob in the order of their numbers, from 1. The blob was opened before, so it is whole.
pub(crate) fn records(bytes: &[u8]) -> Vec<Record> {
    let start = word(bytes, 4).saturating_add(word(bytes, 8)) as usize;
    let end = start.saturating_add(word(bytes, 12) as usize).min(bytes.len());
    let mut records = Vec::new();
    let mut at = start;
    while at + 12 <= end {
        let info = word(bytes, at + 4);
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        records.push(Record { at, kind, count });
        at += 12
            + match kind {
                kind::INT | kind::VAR | kind::DECL_TAG => 4,
                kind::ARRAY => 12,
                kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * count,
                kind::ENUM | kind::FUNC_PROTO => 8 * count,
                _ => 0,
            };
    }
    records
}

/// Makes functions static, which are given by their numbers.
pub(crate) fn make_static(bytes: &mut [u8], functions: &[TypeId]) {
    let records = records(bytes);
    for function in functions {
        let record = (function.0 as usize).checked_sub(1).and_then(|index| records.get(index));
        if let Some(record) = record.filter(|record| record.kind == kind::FUNC) {
            set_word(bytes, record.at + 4, kind::FUNC << 24);
        }
    }
}

/// Fills in the sizes of sections and the places of their variables, and puts the variables into the order of their
/// places. Variables without a place keep what they have, where nothing else lies: clang 14 lists constants under
/// `.rodata` that it puts into `.rodata.cst16`, and the kernel refuses all types of an object because of one of them.
pub(crate) fn lay_out(bytes: &mut Vec<u8>, layouts: &[SectionLayout]) {
    let records = records(bytes);
    let record_of = |layout: &SectionLayout| records.get((layout.section as usize).checked_sub(1)?).copied();
    let mut sections: Vec<_> = layouts.iter().filter_map(|layout| Some((record_of(layout)?, layout))).collect();
    // The last one first: what is cut out moves what is behind it.
    sections.sort_by_key(|(record, _)| std::cmp::Reverse(record.at));
    for (record, layout) in sections {
        // A linker has filled it in already, and its variables may have namesakes.
        if record.kind != kind::DATASEC || word(bytes, record.at + 8) != 0 {
            continue;
        }
        set_word(bytes, record.at + 8, layout.size);
        let start = record.at + 12;
        let places: HashMap<u32, (u32, u32)> =
            layout.vars.iter().map(|(ty, offset, size)| (*ty, (*offset, *size))).collect();
        let (mut vars, mut strays) = (Vec::new(), Vec::new());
        for at in (0..record.count).map(|index| start + 12 * index) {
            let [ty, offset, size] = [word(bytes, at), word(bytes, at + 4), word(bytes, at + 8)];
            match places.get(&ty) {
                Some((at, len)) => vars.push([ty, *at, if *len == 0 { size } else { *len }]),
                None => strays.push([ty, offset, size]),
            }
        }
        for stray @ [_, offset, size] in strays {
            let end = offset.saturating_add(size);
            let apart = |[_, at, len]: &[u32; 3]| end <= *at || at.saturating_add(*len) <= offset;
            if end <= layout.size && vars.iter().all(apart) {
                vars.push(stray);
            }
        }
        vars.sort_by_key(|[_, offset, _]| *offset);
        for (index, words) in vars.iter().enumerate() {
            for (position, value) in words.iter().enumerate() {
                set_word(bytes, start + 12 * index + 4 * position, *value);
            }
        }
        shorten(bytes, record, vars.len());
    }
}

/// Cuts all members of a record out from one on.
fn shorten(bytes: &mut Vec<u8>, record: Record, count: usize) {
    let [from, to] = [count, record.count].map(|member| record.at + 12 + 12 * member);
    if from >= to || to > bytes.len() {
        return;
    }
    bytes.drain(from..to);
    let cut = (to - from) as u32;
    set_word(bytes, record.at + 4, record.kind << 24 | count as u32);
    let (types, strings) = (word(bytes, 8), word(bytes, 16));
    let length = word(bytes, 12).saturating_sub(cut);
    set_word(bytes, 12, length);
    // The strings may stand in front.
    if strings > types {
        set_word(bytes, 16, strings.saturating_sub(cut));
    }
}

/// The same blob with pointers to nothing in place of sections: the numbers of all other types stay.
pub(crate) fn without_sections(bytes: &[u8]) -> Vec<u8> {
    let header = word(bytes, 4) as usize;
    let part = |offset: usize, len: usize| {
        let start = header.saturating_add(word(bytes, offset) as usize);
        let end = start.saturating_add(word(bytes, len) as usize).min(bytes.len());
        bytes.get(start..end).unwrap_or_default()
    };
    let end = header.saturating_add(word(bytes, 8) as usize).saturating_add(part(8, 12).len());
    let records = records(bytes);
    let mut types = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let next = records.get(index + 1).map_or(end, |next| next.at);
        match record.kind {
            kind::DATASEC => types.extend([0, kind::PTR << 24, 0].iter().flat_map(|word: &u32| word.to_le_bytes())),
            _ => types.extend_from_slice(bytes.get(record.at..next).unwrap_or_default()),
        }
    }
    let strings = part(16, 20);
    let mut blob = bytes.get(..4).unwrap_or_default().to_vec();
    let len = types.len() as u32;
    for number in [24, 0, len, len, strings.len() as u32] {
        blob.extend_from_slice(&number.to_le_bytes());
    }
    [&blob[..], &types, strings].concat()
}
