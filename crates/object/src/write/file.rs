//! The frame of an ELF file, from sections, symbols and relocations to bytes (System V ABI; 64 bits, little-endian).

use std::collections::{HashMap, HashSet};

/// Types of sections, `SHT_*`.
pub(crate) mod section_type {
    pub(crate) const PROGBITS: u32 = 1;
    pub(crate) const NOBITS: u32 = 8;
}

/// Flags of sections, `SHF_*`.
pub(crate) mod section_flag {
    pub(crate) const WRITE: u64 = 1;
    pub(crate) const ALLOC: u64 = 2;
    pub(crate) const CODE: u64 = 4;
}

/// Types of symbols, `STT_*`.
pub(crate) mod symbol_type {
    pub(crate) const NONE: u8 = 0;
    pub(crate) const OBJECT: u8 = 1;
    pub(crate) const FUNC: u8 = 2;
    pub(crate) const SECTION: u8 = 3;
}

/// Who sees a symbol, `STB_*`.
pub(crate) mod binding {
    pub(crate) const LOCAL: u8 = 0;
    pub(crate) const GLOBAL: u8 = 1;
    pub(crate) const WEAK: u8 = 2;
}

/// A section.
#[derive(Debug, Clone, Default)]
pub(crate) struct OutSection {
    pub(crate) name: String,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    /// What its place in memory is a multiple of, in bytes.
    pub(crate) align: u64,
    /// Empty for sections of zeros.
    pub(crate) data: Vec<u8>,
    /// Bytes in memory.
    pub(crate) size: u64,
    pub(crate) relocations: Vec<OutRelocation>,
}

/// A place to patch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutRelocation {
    pub(crate) offset: u64,
    /// `R_BPF_*`
    pub(crate) kind: u32,
    /// Position of the symbol in [`OutFile::symbols`].
    pub(crate) symbol: usize,
}

/// A symbol.
#[derive(Debug, Clone, Default)]
pub(crate) struct OutSymbol {
    pub(crate) name: String,
    pub(crate) kind: u8,
    pub(crate) binding: u8,
    /// `STV_*`: 2 for hidden.
    pub(crate) visibility: u8,
    /// Position of the section in [`OutFile::sections`], `None` if it is not defined.
    pub(crate) section: Option<usize>,
    pub(crate) value: u64,
    pub(crate) size: u64,
}

/// A file in parts.
#[derive(Debug, Clone, Default)]
pub(crate) struct OutFile {
    pub(crate) sections: Vec<OutSection>,
    pub(crate) symbols: Vec<OutSymbol>,
}

/// Names, each once, with a NUL between them.
struct Strings {
    bytes: Vec<u8>,
    places: HashMap<String, u32>,
}

impl Strings {
    fn new() -> Self {
        Self { bytes: vec![0], places: HashMap::new() }
    }

    fn place(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.places.insert(text.to_owned(), place);
        place
    }
}

/// What a section's header says beside the place of its bytes.
struct Header {
    name: u32,
    kind: u32,
    flags: u64,
    link: u32,
    info: u32,
    align: u64,
    entry: u64,
    size: u64,
}

impl OutFile {
    /// Adds a section and returns its position.
    pub(crate) fn add_section(&mut self, section: OutSection) -> usize {
        self.sections.push(section);
        self.sections.len() - 1
    }

    /// Adds a symbol and returns its position.
    pub(crate) fn add_symbol(&mut self, symbol: OutSymbol) -> usize {
        self.symbols.push(symbol);
        self.symbols.len() - 1
    }

    /// A name that several symbols have which are not local.
    pub(crate) fn ambiguous_name(&self) -> Option<&str> {
        let mut names = HashSet::new();
        let global = self.symbols.iter().filter(|symbol| symbol.binding != binding::LOCAL && !symbol.name.is_empty());
        global.map(|symbol| symbol.name.as_str()).find(|name| !names.insert(*name))
    }

    /// The bytes of the file, `None` if it has more sections than the format can number.
    pub(crate) fn build(&self) -> Option<Vec<u8>> {
        let mut strings = Strings::new();
        // Sections, symbols, names, relocations.
        let symtab = self.sections.len() + 1;
        let with_relocations = self.sections.iter().filter(|section| !section.relocations.is_empty()).count();
        let count = u16::try_from(symtab + 2 + with_relocations).ok().filter(|count| *count < 0xff00)?;
        let (symbols, numbers, locals) = self.symbol_table(&mut strings);
        let mut parts: Vec<(Header, Vec<u8>)> = Vec::new();
        for section in &self.sections {
            let (name, align) = (strings.place(&section.name), section.align.max(1));
            let OutSection { kind, flags, size, .. } = *section;
            parts.push((Header { name, kind, flags, link: 0, info: 0, align, entry: 0, size }, section.data.clone()));
        }
        let header = |name, kind, link, info, align, entry, data: Vec<u8>| {
            let size = data.len() as u64;
            (Header { name, kind, flags: 0, link, info, align, entry, size }, data)
        };
        let mut tables = Vec::new();
        for (index, section) in self.sections.iter().enumerate().filter(|(_, s)| !s.relocations.is_empty()) {
            let mut data = Vec::new();
            for relocation in &section.relocations {
                data.extend_from_slice(&relocation.offset.to_le_bytes());
                let info = u64::from(numbers[relocation.symbol]) << 32 | u64::from(relocation.kind);
                data.extend_from_slice(&info.to_le_bytes());
            }
            let name = strings.place(&format!(".rel{}", section.name));
            tables.push(header(name, 9, symtab as u32, index as u32 + 1, 8, 16, data));
        }
        parts.push(header(strings.place(".symtab"), 2, symtab as u32 + 1, locals, 8, 24, symbols));
        let name = strings.place(".strtab");
        parts.push(header(name, 3, 0, 0, 1, 0, strings.bytes));
        parts.extend(tables);
        Some(lay_out(&parts, count, symtab as u16 + 1))
    }

    /// The table of symbols, for each symbol its number there, and the number of the first that is not local.
    fn symbol_table(&self, strings: &mut Strings) -> (Vec<u8>, Vec<u32>, u32) {
        let mut order: Vec<usize> = (0..self.symbols.len()).collect();
        order.sort_by_key(|index| self.symbols[*index].binding != binding::LOCAL);
        let mut numbers = vec![0; self.symbols.len()];
        let mut bytes = vec![0; 24];
        for (number, index) in (1..).zip(&order) {
            numbers[*index] = number;
            let symbol = &self.symbols[*index];
            bytes.extend_from_slice(&strings.place(&symbol.name).to_le_bytes());
            bytes.extend_from_slice(&[symbol.binding << 4 | symbol.kind, symbol.visibility]);
            let section = symbol.section.map_or(0, |section| section as u16 + 1);
            bytes.extend_from_slice(&section.to_le_bytes());
            bytes.extend_from_slice(&symbol.value.to_le_bytes());
            bytes.extend_from_slice(&symbol.size.to_le_bytes());
        }
        let locals = self.symbols.iter().filter(|symbol| symbol.binding == binding::LOCAL).count();
        (bytes, numbers, locals as u32 + 1)
    }
}

/// Header of the file, sections, headers of the sections.
fn lay_out(parts: &[(Header, Vec<u8>)], count: u16, names: u16) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64, 0);
    let mut headers = vec![0; 64];
    for (header, data) in parts {
        let align = usize::try_from(header.align).unwrap_or(1).clamp(1, 64);
        file.resize(file.len().next_multiple_of(align), 0);
        for word in [header.name, header.kind] {
            headers.extend_from_slice(&word.to_le_bytes());
        }
        for word in [header.flags, 0, file.len() as u64, header.size] {
            headers.extend_from_slice(&word.to_le_bytes());
        }
        for word in [header.link, header.info] {
            headers.extend_from_slice(&word.to_le_bytes());
        }
        for word in [header.align, header.entry] {
            headers.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(data);
    }
    file.resize(file.len().next_multiple_of(8), 0);
    let start = file.len() as u64;
    file.extend(headers);
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    // A relocatable file (1) for BPF (247), version 1, headers of 64 bytes.
    put(16, &[1, 0, 247, 0, 1, 0, 0, 0]);
    put(40, &start.to_le_bytes());
    put(52, &64u16.to_le_bytes());
    put(58, &64u16.to_le_bytes());
    put(60, &count.to_le_bytes());
    put(62, &names.to_le_bytes());
    file
}
