//! The frame of an ELF file: sections, symbols, relocations (System V ABI, "Object Files"; 64 bits, little-endian).

use super::error::{ElfError, ElfProblem};

/// Bytes of the headers and records of 64-bit files.
const FILE_HEADER: usize = 64;
const SECTION_HEADER: usize = 64;
const SYMBOL: usize = 24;
const RELOCATION: usize = 16;

/// Longest name, so that hostile files cannot make much out of little.
const LONGEST_NAME: usize = 4096;

/// Types of sections, `SHT_*`.
mod section_type {
    pub const SYMTAB: u32 = 2;
    pub const RELA: u32 = 4;
    pub const NOBITS: u32 = 8;
    pub const REL: u32 = 9;
}

/// An ELF file taken apart.
#[derive(Debug)]
pub(crate) struct File<'a> {
    pub(crate) sections: Vec<Section<'a>>,
    pub(crate) symbols: Vec<Symbol<'a>>,
    /// For each section the one with its relocations.
    relocations: Vec<Option<usize>>,
}

/// A section.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    link: u32,
    info: u32,
    /// Its bytes; empty for sections of zeros.
    pub(crate) data: &'a [u8],
    /// Its size in memory.
    pub(crate) size: u64,
    /// What its address is a multiple of.
    pub(crate) align: u64,
}

impl Section<'_> {
    /// Whether it holds code.
    pub(crate) const fn is_code(&self) -> bool {
        self.flags & 4 != 0 && !self.data.is_empty()
    }

    /// Whether it occupies memory at run time.
    pub(crate) const fn is_allocated(&self) -> bool {
        self.flags & 2 != 0 && self.size != 0
    }

    /// Whether it is all zeros and has no bytes in the file.
    pub(crate) const fn is_zeros(&self) -> bool {
        self.kind == section_type::NOBITS
    }
}

/// Where a symbol is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Undefined,
    Absolute,
    Common,
    Section(usize),
}

/// A symbol.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a str,
    pub(crate) info: u8,
    /// Who can see it beside its binding, `STV_*`.
    pub(crate) visibility: u8,
    pub(crate) place: Place,
    pub(crate) value: u64,
    pub(crate) size: u64,
}

impl Symbol<'_> {
    /// Whether other files can see it (global or weak).
    pub(crate) const fn is_global(&self) -> bool {
        self.info >> 4 != 0
    }

    /// Whether another file's definition comes first.
    pub(crate) const fn is_weak(&self) -> bool {
        self.info >> 4 == 2
    }

    /// Whether its file keeps it for itself although its binding is global: `STV_INTERNAL` and `STV_HIDDEN`.
    pub(crate) const fn is_hidden(&self) -> bool {
        self.is_global() && matches!(self.visibility, 1 | 2)
    }

    /// Whether it stands for a whole section.
    pub(crate) const fn is_section(&self) -> bool {
        self.info & 15 == 3
    }

    /// Whether it names a function; assembly often gives no type to global labels.
    pub(crate) const fn is_function(&self) -> bool {
        match self.info & 15 {
            2 => true,
            0 => self.is_global(),
            _ => false,
        }
    }

    /// Whether it may name a variable or map: neither a section nor a file.
    pub(crate) const fn is_object(&self) -> bool {
        matches!(self.info & 15, 0 | 1)
    }
}

/// A place to patch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relocation {
    /// Offset in the section in bytes.
    pub(crate) offset: u64,
    /// `R_BPF_*`
    pub(crate) kind: u32,
    /// Index of the symbol.
    pub(crate) symbol: usize,
}

/// Numbers at places of a slice.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(self, offset: usize) -> [u8; N] {
        self.0.get(offset..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
    }

    fn u16(self, offset: usize) -> u16 {
        u16::from_le_bytes(self.array(offset))
    }

    fn u32(self, offset: usize) -> u32 {
        u32::from_le_bytes(self.array(offset))
    }

    fn u64(self, offset: usize) -> u64 {
        u64::from_le_bytes(self.array(offset))
    }
}

impl<'a> File<'a> {
    /// Takes a file apart.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ElfError> {
        let headers = section_headers(bytes)?;
        let mut sections = Vec::with_capacity(headers.len());
        for header in headers {
            sections.push(section(bytes, Reader(header))?);
        }
        let total = sections.iter().try_fold(0usize, |sum, section| sum.checked_add(section.data.len()));
        if total.is_none_or(|total| total > bytes.len()) {
            return Err(ElfError::new(ElfProblem::Overlap));
        }
        let names = usize::from(Reader(bytes).u16(62));
        let names = sections.get(names).map(|section| section.data);
        let names = names.ok_or(ElfError::at_file(62, ElfProblem::NoSuch("section", Reader(bytes).u16(62).into())))?;
        for (section, header) in sections.iter_mut().zip(headers) {
            section.name = string(names, Reader(header).u32(0)).map_err(ElfError::new)?;
        }
        let symbols = symbols(&sections)?;
        let relocations = relocation_sections(&sections)?;
        Ok(Self { sections, symbols, relocations })
    }

    /// The section with this name.
    pub(crate) fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Whether anything in a section has to be patched.
    pub(crate) fn is_relocated(&self, section: usize) -> bool {
        self.relocations.get(section).is_some_and(Option::is_some)
    }

    /// The places to patch in a section in the order of their offsets.
    pub(crate) fn relocations(&self, section: usize) -> Result<Vec<Relocation>, ElfError> {
        let table = self.relocations.get(section).copied().flatten();
        let Some(table) = table.and_then(|table| self.sections.get(table)) else { return Ok(Vec::new()) };
        if table.kind == section_type::RELA {
            let what = "relocations with addends, which BPF does not use";
            return Err(ElfError::in_section(table.name, ElfProblem::NotBpf(what)));
        }
        let (records, rest) = table.data.as_chunks::<RELOCATION>();
        if !rest.is_empty() {
            return Err(ElfError::in_section(table.name, ElfProblem::Truncated("a relocation")));
        }
        let mut relocations = Vec::with_capacity(records.len());
        for record in records {
            let record = Reader(record);
            let (offset, info) = (record.u64(0), record.u64(8));
            let symbol = (info >> 32) as usize;
            if symbol >= self.symbols.len() {
                let error = ElfError::in_section(table.name, ElfProblem::NoSuch("symbol", info >> 32));
                return Err(error.at(offset));
            }
            relocations.push(Relocation { offset, kind: info as u32, symbol });
        }
        relocations.sort_by_key(|relocation| relocation.offset);
        if let Some(pair) = relocations.windows(2).find(|pair| pair[0].offset == pair[1].offset) {
            return Err(ElfError::in_section(table.name, ElfProblem::Duplicate("relocations")).at(pair[0].offset));
        }
        Ok(relocations)
    }
}

/// The bytes of a section of any ELF file of 64 bits, little-endian: `.BTF` of a kernel image or of a program. `None` if it
/// has none of this name.
///
/// # Errors
/// Files of another kind, or whose headers lead outside of them.
pub fn elf_section<'a>(bytes: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, ElfError> {
    if bytes.get(..4) != Some(b"\x7fELF") {
        return Err(ElfError::at_file(0, ElfProblem::NotElf));
    }
    if bytes.len() < FILE_HEADER || bytes[4..6] != [2, 1] {
        return Err(ElfError::at_file(4, ElfProblem::NotBpf("an ELF file of 32 bits or for big-endian machines")));
    }
    let headers = section_table(bytes)?;
    let names = headers.get(usize::from(Reader(bytes).u16(62)));
    let names = names.map(|header| section(bytes, Reader(header))).transpose()?.map_or(&[][..], |names| names.data);
    for header in headers {
        if string(names, Reader(header).u32(0)) == Ok(name) {
            return Ok(Some(section(bytes, Reader(header))?.data));
        }
    }
    Ok(None)
}

/// Checks the header of the file and returns those of the sections.
fn section_headers(bytes: &[u8]) -> Result<&[[u8; SECTION_HEADER]], ElfError> {
    let header = Reader(bytes);
    if bytes.get(..4) != Some(b"\x7fELF") {
        return Err(ElfError::at_file(0, ElfProblem::NotElf));
    }
    if bytes.len() < FILE_HEADER {
        return Err(ElfError::at_file(0, ElfProblem::Truncated("the header")));
    }
    let not_bpf = |offset, what| Err(ElfError::at_file(offset, ElfProblem::NotBpf(what)));
    if bytes[4] != 2 {
        return not_bpf(4, "an object file of 32 bits");
    }
    if bytes[5] != 1 {
        return not_bpf(5, "an object file for big-endian machines");
    }
    let machine = header.u16(18);
    if machine != 247 {
        return Err(ElfError::at_file(18, ElfProblem::Machine(machine)));
    }
    if header.u16(16) != 1 {
        return not_bpf(16, "an executable or library, not an object file");
    }
    section_table(bytes)
}

/// The headers of the sections, whatever the file is for.
fn section_table(bytes: &[u8]) -> Result<&[[u8; SECTION_HEADER]], ElfError> {
    let header = Reader(bytes);
    let not_bpf = |offset, what| Err(ElfError::at_file(offset, ElfProblem::NotBpf(what)));
    if usize::from(header.u16(58)) != SECTION_HEADER {
        return not_bpf(58, "section headers of an unknown size");
    }
    let (start, count) = (header.u64(40), usize::from(header.u16(60)));
    let range = usize::try_from(start).ok().and_then(|start| Some(start..start.checked_add(count * SECTION_HEADER)?));
    let headers = range.and_then(|range| bytes.get(range));
    let headers = headers.ok_or(ElfError::at_file(start, ElfProblem::Truncated("the table of sections")))?;
    Ok(headers.as_chunks().0)
}

fn section<'a>(bytes: &'a [u8], header: Reader<'_>) -> Result<Section<'a>, ElfError> {
    let (kind, offset, size) = (header.u32(4), header.u64(24), header.u64(32));
    // The first header is all zeros and stands for "no section".
    let data = if matches!(kind, 0 | section_type::NOBITS) {
        &[]
    } else {
        let range = (usize::try_from(offset), usize::try_from(offset.saturating_add(size)));
        let data = if let (Ok(start), Ok(end)) = range { bytes.get(start..end) } else { None };
        data.ok_or(ElfError::at_file(offset, ElfProblem::Truncated("a section")))?
    };
    let (flags, link, info) = (header.u64(8), header.u32(40), header.u32(44));
    Ok(Section { name: "", kind, flags, link, info, data, size, align: header.u64(48) })
}

/// The text at an offset of a table of strings.
fn string(table: &[u8], offset: u32) -> Result<&str, ElfProblem> {
    if offset == 0 {
        return Ok("");
    }
    let text = table.get(offset as usize..).unwrap_or_default();
    let text = &text[..text.len().min(LONGEST_NAME)];
    let end = text.iter().position(|byte| *byte == 0).ok_or(ElfProblem::Name)?;
    std::str::from_utf8(&text[..end]).map_err(|_| ElfProblem::Name)
}

fn symbols<'a>(sections: &[Section<'a>]) -> Result<Vec<Symbol<'a>>, ElfError> {
    let Some(table) = sections.iter().find(|section| section.kind == section_type::SYMTAB) else {
        return Ok(Vec::new());
    };
    let error = |offset: usize, problem| ElfError::in_section(table.name, problem).at(offset as u64);
    let names = sections.get(table.link as usize).map(|section| section.data);
    let names = names.ok_or_else(|| error(0, ElfProblem::NoSuch("section", table.link.into())))?;
    let (records, rest) = table.data.as_chunks::<SYMBOL>();
    if !rest.is_empty() {
        return Err(error(table.data.len(), ElfProblem::Truncated("a symbol")));
    }
    let read = |(index, record): (usize, &[u8; SYMBOL])| {
        let record = Reader(record);
        let place = match record.u16(6) {
            0 => Place::Undefined,
            0xfff1 => Place::Absolute,
            0xfff2 => Place::Common,
            section if usize::from(section) < sections.len() => Place::Section(section.into()),
            section => return Err(error(index * SYMBOL, ElfProblem::NoSuch("section", section.into()))),
        };
        let name = string(names, record.u32(0)).map_err(|problem| error(index * SYMBOL, problem))?;
        let [info, other] = record.array(4);
        Ok(Symbol { name, info, visibility: other & 3, place, value: record.u64(8), size: record.u64(16) })
    };
    records.iter().enumerate().map(read).collect()
}

fn relocation_sections(sections: &[Section<'_>]) -> Result<Vec<Option<usize>>, ElfError> {
    let mut tables = vec![None; sections.len()];
    for (index, section) in sections.iter().enumerate() {
        if !matches!(section.kind, section_type::REL | section_type::RELA) || section.data.is_empty() {
            continue;
        }
        let error = |problem| Err(ElfError::in_section(section.name, problem));
        match tables.get_mut(section.info as usize) {
            None => return error(ElfProblem::NoSuch("section", section.info.into())),
            Some(Some(_)) => return error(ElfProblem::Duplicate("tables of relocations")),
            Some(table) => *table = Some(index),
        }
    }
    Ok(tables)
}
