//! The static linker: several object files become one, by the rules of libbpf's linker.
//!
//! * Sections of one name are put behind each other; licence and version have to be the same in all files.
//! * A global name is defined once. A weak definition gives way to any other, of several weak ones the first stays.
//!   Its bytes remain where they are, without a name.
//! * What one file declares and another defines must be declared as it is defined. What no file defines stays open,
//!   for settings and symbols of the kernel.
//! * Names of one file only (`static`) may clash.
//! * Types are merged, each once.

mod symbols;
mod types;

use std::fmt;

use skep_btf::{Btf, Ext};

use crate::elf::file::{File, Section};
use crate::write::file::{OutFile, OutRelocation, OutSection, OutSymbol, section_type, symbol_type};
use crate::{ElfError, Object};
use symbols::Symbols;

/// Relocations: of a 64-bit immediate load, of whole addresses, of a call.
const R_BPF_64_64: u32 = 1;
const R_BPF_64_ABS64: u32 = 2;
const R_BPF_64_32: u32 = 10;
/// Sections that all files must agree about.
const COMMON: [&str; 2] = ["license", "version"];
/// Most bytes of sections together, so that zeros cannot become real bytes without bound.
const MOST_BYTES: u64 = 1 << 30;

/// Why files cannot be linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkError {
    /// The file that it is about.
    pub file: String,
    /// The symbol that it is about.
    pub symbol: Option<String>,
    /// What is wrong.
    pub problem: LinkProblem,
}

/// What is wrong with a file or with files together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkProblem {
    /// The file is damaged or no object file.
    File(Box<ElfError>),
    /// Another file, which is named, defines the same symbol, and neither is weak.
    Twice(String),
    /// Another file, which is named, has it in another way; how they differ.
    Differs(String, String),
    /// Something that linking cannot do.
    Unsupported(String),
    /// The files together are too large.
    TooLarge,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some(symbol) = &self.symbol {
            write!(f, "`{symbol}` ")?;
        }
        match &self.problem {
            LinkProblem::File(error) => error.fmt(f),
            LinkProblem::Twice(other) => {
                write!(f, "is defined in {other} as well; make one of them `static` or `__weak`")
            }
            LinkProblem::Differs(other, how) => write!(f, "differs from {other}: {how}"),
            LinkProblem::Unsupported(what) => f.write_str(what),
            LinkProblem::TooLarge => f.write_str("the sections of all files are larger than 1 GiB together"),
        }
    }
}

impl std::error::Error for LinkError {}

/// A file to link.
struct Input<'a> {
    name: &'a str,
    file: File<'a>,
    btf: Option<Btf>,
    ext: Ext,
    /// For each section where it goes: position and offset.
    places: Vec<Option<(usize, u64)>>,
}

impl Input<'_> {
    fn error(&self, symbol: Option<&str>, problem: LinkProblem) -> LinkError {
        LinkError { file: self.name.to_owned(), symbol: symbol.map(str::to_owned), problem }
    }
}

/// Links object files, given as names for messages and contents, to one object file.
///
/// # Errors
/// A damaged file, a symbol that is defined twice or declared in another way than defined, licences that differ.
pub fn link_elf(files: &[(&str, &[u8])]) -> Result<Vec<u8>, LinkError> {
    let mut inputs = Vec::with_capacity(files.len());
    for (name, bytes) in files {
        inputs.push(read(name, bytes)?);
    }
    let mut out = OutFile::default();
    for input in &mut inputs {
        add_sections(input, &mut out)?;
    }
    let symbols = Symbols::merge(&inputs, &mut out)?;
    for (index, input) in inputs.iter().enumerate() {
        add_relocations(index, input, &symbols, &mut out)?;
    }
    types::merge(&inputs, &symbols, &mut out)?;
    let too_large = || LinkError { file: "the result".to_owned(), symbol: None, problem: LinkProblem::TooLarge };
    out.build().ok_or_else(too_large)
}

impl Object {
    /// Links object files, given as names for messages and contents, and reads the result.
    ///
    /// # Errors
    /// As for [`link_elf`] and [`from_elf`](Self::from_elf).
    pub fn from_elf_files(files: &[(&str, &[u8])]) -> Result<Self, LinkError> {
        if let [(name, only)] = files {
            return Self::from_elf(only).map_err(|error| damaged(name, error));
        }
        let linked = link_elf(files)?;
        Self::from_elf(&linked).map_err(|error| damaged("the linked files", error))
    }

    /// Links objects: each is written as a file, and the result is read.
    ///
    /// # Errors
    /// As for [`to_elf`](Self::to_elf), [`link_elf`] and [`from_elf`](Self::from_elf). Files are named by position.
    pub fn link(objects: &[&Self]) -> Result<Self, LinkError> {
        let mut files = Vec::new();
        for (index, object) in objects.iter().enumerate() {
            let name = format!("object {index}");
            let file = object.to_elf().map_err(|error| LinkError {
                file: name.clone(),
                symbol: None,
                problem: LinkProblem::Unsupported(error.to_string()),
            })?;
            files.push((name, file));
        }
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, file)| (name.as_str(), file.as_slice())).collect();
        Self::from_elf_files(&files)
    }
}

fn damaged(name: &str, error: ElfError) -> LinkError {
    LinkError { file: name.to_owned(), symbol: None, problem: LinkProblem::File(Box::new(error)) }
}

fn read<'a>(name: &'a str, bytes: &'a [u8]) -> Result<Input<'a>, LinkError> {
    let file = File::parse(bytes).map_err(|error| damaged(name, error))?;
    let btf = file.section(".BTF").map(|section| Btf::parse(section.data.to_vec())).transpose();
    let btf = btf.map_err(|error| damaged(name, error.into()))?;
    let ext = match file.section(".BTF.ext").filter(|_| btf.is_some()) {
        Some(section) => Ext::parse(section.data).map_err(|error| damaged(name, error.into()))?,
        None => Ext::default(),
    };
    let places = vec![None; file.sections.len()];
    Ok(Input { name, file, btf, ext, places })
}

/// Puts the sections of a file behind those of the files before.
fn add_sections(input: &mut Input<'_>, out: &mut OutFile) -> Result<(), LinkError> {
    for index in 0..input.file.sections.len() {
        let section = &input.file.sections[index];
        if !section.is_allocated() {
            continue;
        }
        let known = out.sections.iter().position(|known| known.name == section.name);
        if let Some(known) = known.filter(|_| COMMON.contains(&section.name)) {
            if out.sections[known].data != section.data {
                let how = "all files must say the same".to_owned();
                let problem = LinkProblem::Differs("the files before".to_owned(), how);
                return Err(input.error(Some(section.name), problem));
            }
            input.places[index] = Some((known, 0));
            continue;
        }
        let target = match known {
            Some(known) => known,
            None => out.add_section(OutSection {
                name: section.name.to_owned(),
                kind: if section.is_zeros() { section_type::NOBITS } else { section_type::PROGBITS },
                flags: section.flags,
                ..OutSection::default()
            }),
        };
        let place = append(section, &mut out.sections[target]);
        input.places[index] = Some((target, place.ok_or_else(|| input.error(None, LinkProblem::TooLarge))?));
        let total = out.sections.iter().try_fold(0u64, |sum, section| sum.checked_add(section.size));
        if total.is_none_or(|total| total > MOST_BYTES) {
            return Err(input.error(None, LinkProblem::TooLarge));
        }
    }
    Ok(())
}

/// Puts a section behind another one of its name and returns where it starts.
fn append(section: &Section<'_>, target: &mut OutSection) -> Option<u64> {
    let align = section.align.max(1).checked_next_power_of_two()?.min(4096);
    // Code and definitions of maps are made of 8 bytes.
    let align = if section.is_code() || section.name == ".maps" { align.max(8) } else { align };
    let start = target.size.checked_next_multiple_of(align)?;
    let end = start.checked_add(section.size).filter(|end| *end <= MOST_BYTES)?;
    target.align = target.align.max(align);
    target.flags |= section.flags;
    if !section.is_zeros() && target.kind == section_type::NOBITS {
        target.kind = section_type::PROGBITS;
    }
    if target.kind == section_type::PROGBITS {
        target.data.resize(start as usize, 0);
        target.data.extend_from_slice(section.data);
        target.data.resize(end as usize, 0);
    }
    target.size = end;
    Some(start)
}

/// Moves the relocations of a file to the new places of sections and symbols.
fn add_relocations(index: usize, input: &Input<'_>, symbols: &Symbols, out: &mut OutFile) -> Result<(), LinkError> {
    for (number, section) in input.file.sections.iter().enumerate() {
        let Some((target, start)) = input.places[number] else { continue };
        for relocation in input.file.relocations(number).map_err(|error| damaged(input.name, error))? {
            let symbol = &input.file.symbols[relocation.symbol];
            let Some(new) = symbols.of(index, relocation.symbol) else {
                let what = format!("section `{}` refers to a section that is not linked", section.name);
                return Err(input.error(Some(symbol.name), LinkProblem::Unsupported(what)));
            };
            let offset = start + relocation.offset;
            if symbol.is_section() {
                let shift = symbols.shift(input, relocation.symbol);
                let data = &mut out.sections[target].data;
                shift_addend(data, offset, relocation.kind, shift).ok_or_else(|| {
                    let what = format!("section `{}`, offset {:#x}: a relocation has no place", section.name, offset);
                    input.error(None, LinkProblem::Unsupported(what))
                })?;
            }
            out.sections[target].relocations.push(OutRelocation { offset, kind: relocation.kind, symbol: new });
        }
    }
    Ok(())
}

/// Adds the distance by which a section was moved to what an instruction or address holds.
fn shift_addend(data: &mut [u8], offset: u64, kind: u32, shift: u64) -> Option<()> {
    let offset = usize::try_from(offset).ok()?;
    let bytes = data.get_mut(offset..)?;
    match kind {
        R_BPF_64_ABS64 => {
            let place = bytes.first_chunk_mut::<8>()?;
            *place = u64::from_le_bytes(*place).wrapping_add(shift).to_le_bytes();
        }
        R_BPF_64_64 | R_BPF_64_32 => {
            let place = bytes.get_mut(4..)?.first_chunk_mut::<4>()?;
            let shift = if kind == R_BPF_64_32 { shift / 8 } else { shift };
            let number = u32::from_le_bytes(*place).wrapping_add(u32::try_from(shift).ok()?);
            *place = number.to_le_bytes();
        }
        _ => return None,
    }
    Some(())
}

/// The symbol that stands for a section.
fn section_symbol(section: usize) -> OutSymbol {
    OutSymbol { kind: symbol_type::SECTION, section: Some(section), ..OutSymbol::default() }
}
