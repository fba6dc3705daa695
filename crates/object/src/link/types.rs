//! Types of all files in one blob, each once, and what `.BTF.ext` says about the moved instructions.

use std::collections::{HashMap, HashSet};

use skep_btf::{Btf, BtfBuilder, BuildError, IdMap, Kind, Linkage, NameOff, NewType, Records, SectionVar, TypeId};

use super::symbols::{Symbols, declaration};
use super::{Input, LinkError, LinkProblem, damaged};
use crate::btf_edit;
use crate::elf::file::Place;
use crate::write::file::{OutFile, OutSection, section_type};
use crate::write::types::Extra;

/// The variables of a section in the result, with the numbers that their types have before types are made unique.
struct Variables {
    name: String,
    vars: Vec<SectionVar>,
    names: HashSet<String>,
}

/// Merges the types of all files, and writes them.
pub(super) fn merge(inputs: &[Input<'_>], symbols: &Symbols, out: &mut OutFile) -> Result<(), LinkError> {
    let mut builder = BtfBuilder::new();
    let mut maps: Vec<Option<IdMap>> = Vec::new();
    for input in inputs {
        let Some(btf) = &input.btf else {
            maps.push(None);
            continue;
        };
        let plain = Btf::parse(btf_edit::without_sections(btf.bytes()));
        let plain = plain.map_err(|error| damaged(input.name, error.into()))?;
        maps.push(Some(builder.append(&plain).map_err(|error| failed(input, &error))?));
    }
    let mut sections: Vec<Variables> = Vec::new();
    for (file, input) in inputs.iter().enumerate() {
        let (Some(btf), Some(map)) = (&input.btf, &maps[file]) else { continue };
        define_externs(inputs, file, &maps, symbols, &mut builder).map_err(|error| failed(input, &error))?;
        for id in btf.ids() {
            let Ok(Kind::Datasec { vars, .. }) = btf.kind(id) else { continue };
            let name = btf.name(id).map_err(|error| damaged(input.name, error.into()))?;
            let index = sections.iter().position(|section| section.name == name).unwrap_or_else(|| {
                sections.push(Variables { name: name.to_owned(), vars: Vec::new(), names: HashSet::new() });
                sections.len() - 1
            });
            collect(inputs, file, map, vars.iter(), symbols, &mut sections[index]);
        }
    }
    let last = |error: BuildError| failed(&inputs[inputs.len() - 1], &error);
    for section in &mut sections {
        section.vars.sort_by_key(|var| var.offset);
        let size = out.sections.iter().find(|known| known.name == section.name).map_or(0, |known| known.size);
        let ty = NewType::Datasec { size: size as u32, vars: &section.vars };
        if !section.vars.is_empty() {
            builder.add(&section.name, ty).map_err(last)?;
        }
    }
    let unique = builder.dedup().map_err(last)?;
    let number = |file: usize, id: TypeId| {
        let new = maps[file].as_ref().and_then(|map| map.get(id)).and_then(|id| unique.get(id));
        new.map_or(0, |id| id.0)
    };
    let mut extra = Extra::default();
    for (file, input) in inputs.iter().enumerate() {
        let number = |id| number(file, id);
        describe(input, &mut builder, &mut extra, number).map_err(|error| failed(input, &error))?;
    }
    if inputs.iter().any(|input| input.btf.is_some()) {
        add_section(".BTF", builder.to_bytes(), out);
    }
    add_section(".BTF.ext", extra.build(), out);
    Ok(())
}

fn failed(input: &Input<'_>, error: &BuildError) -> LinkError {
    input.error(None, LinkProblem::Unsupported(format!("the types cannot be merged: {error}")))
}

fn add_section(name: &str, data: Vec<u8>, out: &mut OutFile) {
    if !data.is_empty() {
        let (name, size) = (name.to_owned(), data.len() as u64);
        out.add_section(OutSection {
            name,
            kind: section_type::PROGBITS,
            align: 4,
            data,
            size,
            ..OutSection::default()
        });
    }
}

/// Makes declarations of what other files define the same as the definitions.
fn define_externs(
    inputs: &[Input<'_>],
    file: usize,
    maps: &[Option<IdMap>],
    symbols: &Symbols,
    builder: &mut BtfBuilder,
) -> Result<(), BuildError> {
    let (Some(btf), Some(map)) = (&inputs[file].btf, &maps[file]) else { return Ok(()) };
    for id in btf.ids() {
        let Ok(Kind::Func { linkage: Linkage::Extern, .. } | Kind::Var { linkage: Linkage::Extern, .. }) = btf.kind(id)
        else {
            continue;
        };
        let name = btf.name(id).map_err(BuildError::Btf)?;
        let Some((definer, _)) = symbols.definition(name) else { continue };
        let (Some(there), Some(there_map), Some(new)) = (&inputs[definer].btf, &maps[definer], map.get(id)) else {
            continue;
        };
        let target = match declaration(there, name).map(|id| there.kind(id)) {
            Some(Ok(Kind::Func { proto: target, .. } | Kind::Var { ty: target, .. })) => there_map.get(target),
            _ => None,
        };
        if let Some(target) = target {
            builder.set_target(new, target)?;
            builder.set_linkage(new, Linkage::Global)?;
        }
    }
    Ok(())
}

/// Adds the variables of a section of one file to those of the result.
fn collect(
    inputs: &[Input<'_>],
    file: usize,
    map: &IdMap,
    vars: impl Iterator<Item = SectionVar>,
    symbols: &Symbols,
    section: &mut Variables,
) {
    let input = &inputs[file];
    let Some(btf) = &input.btf else { return };
    let found = input.file.sections.iter().position(|known| known.name == section.name && known.is_allocated());
    let place = found.and_then(|found| Some((found, input.places[found]?.1)));
    // Namesakes come in the order of their symbols.
    let mut own: HashMap<&str, Vec<usize>> = HashMap::new();
    if let Some((found, _)) = place {
        let symbols = input.file.symbols.iter().enumerate().rev();
        for (index, symbol) in symbols.filter(|(_, s)| s.place == Place::Section(found) && s.is_object()) {
            own.entry(symbol.name).or_default().push(index);
        }
    }
    for var in vars {
        let (Ok(name), Some(ty)) = (btf.name(var.ty), map.get(var.ty)) else { continue };
        let Some((_, start)) = place else {
            // Settings and symbols of the kernel; everything else is where it is defined.
            let open = [".kconfig", ".ksyms"].contains(&section.name.as_str()) && symbols.definition(name).is_none();
            if open && section.names.insert(name.to_owned()) {
                section.vars.push(SectionVar { ty, ..var });
            }
            continue;
        };
        let Some(index) = own.get_mut(name).and_then(Vec::pop) else { continue };
        let symbol = &input.file.symbols[index];
        // Another file's definition may have replaced it.
        if symbol.is_global() && symbols.definition(name) != Some((file, index)) {
            continue;
        }
        let offset = u32::try_from(start.saturating_add(symbol.value)).unwrap_or(u32::MAX);
        let size = u32::try_from(symbol.size).ok().filter(|size| *size != 0).unwrap_or(var.size);
        section.vars.push(SectionVar { ty, offset, size });
    }
}

/// Adds what is known about the instructions of a file.
fn describe(
    input: &Input<'_>,
    builder: &mut BtfBuilder,
    extra: &mut Extra,
    number: impl Fn(TypeId) -> u32,
) -> Result<(), BuildError> {
    let Some(btf) = &input.btf else { return Ok(()) };
    let mut string = |name: NameOff| {
        let text = btf.string(name).map_err(BuildError::Btf)?;
        builder.string(text).map(|name| name.0)
    };
    for block in &input.ext.functions {
        let Some((name, start)) = code(input, btf, block, &mut string)? else { continue };
        let records = block.records.iter().map(|record| [record.offset.saturating_add(start), number(record.ty)]);
        add(&mut extra.functions, name, records.collect());
    }
    for block in &input.ext.lines {
        let Some((name, start)) = code(input, btf, block, &mut string)? else { continue };
        let mut records = Vec::with_capacity(block.records.len());
        for record in &block.records {
            let place = record.line << 10 | u32::from(record.column);
            records.push([record.offset.saturating_add(start), string(record.file)?, string(record.text)?, place]);
        }
        add(&mut extra.lines, name, records);
    }
    for block in &input.ext.relocations {
        let Some((name, start)) = code(input, btf, block, &mut string)? else { continue };
        let mut records = Vec::with_capacity(block.records.len());
        for record in &block.records {
            let offset = record.offset.saturating_add(start);
            records.push([offset, number(record.ty), string(record.access)?, record.kind]);
        }
        add(&mut extra.relocations, name, records);
    }
    Ok(())
}

/// The name of the section that records are about and where it starts in the result.
fn code<T>(
    input: &Input<'_>,
    btf: &Btf,
    block: &Records<T>,
    string: &mut impl FnMut(NameOff) -> Result<u32, BuildError>,
) -> Result<Option<(u32, u32)>, BuildError> {
    let name = btf.string(block.section).map_err(BuildError::Btf)?;
    let section = input.file.sections.iter().position(|section| section.name == name && section.is_code());
    let start = section.and_then(|section| input.places[section]).and_then(|(_, start)| u32::try_from(start).ok());
    Ok(match start {
        Some(start) => Some((string(block.section)?, start)),
        None => None,
    })
}

/// Adds records to those of their section, which come in the order of the files.
fn add<const N: usize>(sections: &mut Vec<(u32, Vec<[u32; N]>)>, name: u32, records: Vec<[u32; N]>) {
    match sections.iter_mut().find(|(known, _)| *known == name) {
        Some((_, list)) => list.extend(records),
        None => sections.push((name, records)),
    }
}
