//! What `.BTF.ext` says about instructions, sorted by section and slot.

use std::collections::HashMap;
use std::sync::Arc;

use skep_btf::{Btf, BtfError, CoreRecord, Ext, FuncRecord, LineRecord, NameOff, Records};

use super::code::Function;
use super::error::ElfError;
use super::{Context, Role};

/// Longest text of a source line; longer ones are generated and nobody reads them.
const LONGEST_TEXT: usize = 1024;

/// The records about the sections with code.
#[derive(Default)]
pub(super) struct Debug {
    functions: HashMap<usize, Vec<(u32, FuncRecord)>>,
    lines: HashMap<usize, Vec<(u32, LineRecord)>>,
    relocations: HashMap<usize, Vec<(u32, CoreRecord)>>,
    /// Every text that the records name.
    texts: HashMap<NameOff, Arc<str>>,
}

impl Debug {
    /// Reads everything that there is, which may be nothing.
    pub(super) fn read(context: &Context<'_>) -> Result<Self, ElfError> {
        let (Some(btf), Some(section)) = (&context.btf, context.file.section(".BTF.ext")) else {
            return Ok(Self::default());
        };
        let ext = Ext::parse(section.data)?;
        let code = context.file.sections.iter().enumerate().filter(|(index, _)| context.roles[*index] == Role::Code);
        // Of several sections with one name the first counts.
        let sections: HashMap<&str, usize> = code.rev().map(|(index, section)| (section.name, index)).collect();
        let mut debug = Self {
            functions: by_section(btf, &sections, &ext.functions, |record| record.offset)?,
            lines: by_section(btf, &sections, &ext.lines, |record| record.offset)?,
            relocations: by_section(btf, &sections, &ext.relocations, |record| record.offset)?,
            texts: HashMap::new(),
        };
        let lines = debug.lines.values().flatten().flat_map(|(_, line)| [line.file, line.text]);
        let accesses = debug.relocations.values().flatten().map(|(_, relocation)| relocation.access);
        for name in lines.chain(accesses) {
            if let std::collections::hash_map::Entry::Vacant(entry) = debug.texts.entry(name) {
                entry.insert(cut(btf.string(name)?).into());
            }
        }
        Ok(debug)
    }

    /// The text at an offset that a record names.
    pub(super) fn text(&self, name: NameOff) -> Arc<str> {
        self.texts.get(&name).cloned().unwrap_or_default()
    }

    /// The type of a function.
    pub(super) fn type_of(&self, function: &Function<'_>) -> Option<u32> {
        let (slot, record) = records_of(&self.functions, function).next()?;
        (slot == 0).then_some(record.ty.0)
    }

    /// The lines of a function with their slots, counted from its first.
    pub(super) fn lines(&self, function: &Function<'_>) -> impl Iterator<Item = (u32, LineRecord)> {
        records_of(&self.lines, function)
    }

    /// The relocations of a function with their slots, counted from its first.
    pub(super) fn relocations(&self, function: &Function<'_>) -> impl Iterator<Item = (u32, CoreRecord)> {
        records_of(&self.relocations, function)
    }
}

fn records_of<T: Copy>(
    records: &HashMap<usize, Vec<(u32, T)>>,
    function: &Function<'_>,
) -> impl Iterator<Item = (u32, T)> {
    let records = records.get(&function.section).map_or(&[][..], Vec::as_slice);
    let start = function.start;
    let end = usize::try_from(start).unwrap_or(usize::MAX).saturating_add(function.insns.len());
    let first = records.partition_point(|(slot, _)| *slot < start);
    let records = records[first..].iter().take_while(move |(slot, _)| (*slot as usize) < end);
    records.map(move |(slot, record)| (slot - start, *record))
}

/// Sorts records by section and slot. One record for an instruction is enough; a file with more of them gets the first.
fn by_section<T: Copy>(
    btf: &Btf,
    sections: &HashMap<&str, usize>,
    blocks: &[Records<T>],
    offset: impl Fn(&T) -> u32,
) -> Result<HashMap<usize, Vec<(u32, T)>>, BtfError> {
    let mut all: HashMap<usize, Vec<(u32, T)>> = HashMap::new();
    for block in blocks {
        // Records about sections without code are of no use.
        let Some(section) = sections.get(btf.string(block.section)?) else { continue };
        let list = all.entry(*section).or_default();
        list.extend(block.records.iter().map(|record| (offset(record) / 8, *record)));
    }
    for list in all.values_mut() {
        list.sort_by_key(|(slot, _)| *slot);
        list.dedup_by_key(|(slot, _)| *slot);
    }
    Ok(all)
}

/// The text without white space at its end, not too long. Columns count what is in front.
fn cut(text: &str) -> &str {
    let text = text.trim_end();
    &text[..text.floor_char_boundary(LONGEST_TEXT)]
}
