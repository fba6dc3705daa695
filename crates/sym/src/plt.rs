//! Entries of the procedure linkage table: calls of functions of other files.
//!
//! The table has no symbols. Its entries are in the order of the relocations of `.rela.plt`: behind a header of 16 bytes
//! (x86-64) or 32 (AArch64) in `.plt`, or without header in `.plt.sec` where branch targets are marked.

use object::elf;
use object::read::elf::{FileHeader, Rela as _, SectionHeader as _, SectionTable, Sym as _};
use object::{Endianness, ReadRef, SymbolIndex};

use crate::binary::{Machine, Symbol, SymbolKind};
use crate::contents;

/// Bytes of an entry on both kinds of machine. AArch64 with marked branch targets has 24, which the size tells.
const ENTRY: u64 = 16;

/// The entries with names such as `malloc@plt`. None if the table is of a form that is not known.
pub(crate) fn entries<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
    sections: &SectionTable<'data, Elf, R>,
    endian: Endianness,
    data: R,
    machine: Machine,
    place: impl Fn(u64) -> Option<u64>,
) -> Vec<Symbol> {
    let section = |name: &[u8]| sections.section_by_name(endian, name).map(|(_, section)| section);
    let names = names(sections, endian, data).unwrap_or_default();
    let header = match machine {
        Machine::X86_64 => 16,
        Machine::Aarch64 => 32,
        Machine::Other(_) => return Vec::new(),
    };
    let (table, header) = match section(b".plt.sec") {
        Some(table) => (table, 0),
        None => match section(b".plt") {
            Some(table) => (table, header),
            None => return Vec::new(),
        },
    };
    let (start, size): (u64, u64) = (table.sh_addr(endian).into(), table.sh_size(endian).into());
    let count = names.len() as u64;
    let entry = match size.checked_sub(header) {
        Some(body) if count > 0 && body % count == 0 && body / count <= 32 => body / count,
        _ => ENTRY,
    };
    let mut found = Vec::new();
    let mut address = start.wrapping_add(header);
    for name in names {
        if address.wrapping_sub(start).saturating_add(entry) > size {
            break;
        }
        if !name.is_empty() {
            let offset = place(address);
            let kind = SymbolKind::Plt;
            found.push(Symbol { name: format!("{name}@plt"), version: None, address, size: entry, offset, kind });
        }
        address = address.wrapping_add(entry);
    }
    found
}

/// The names of the functions that the relocations of the table refer to, in their order.
fn names<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
    sections: &SectionTable<'data, Elf, R>,
    endian: Endianness,
    data: R,
) -> Option<Vec<String>> {
    let (_, section) = sections.section_by_name(endian, b".rela.plt")?;
    let (relocations, _) = section.rela(endian, data).ok()??;
    let symbols = sections.symbols(endian, data, elf::SHT_DYNSYM).ok()?;
    let strings = contents::strings(sections, endian, data, symbols.string_section());
    let name = |index: u32| {
        let symbol = symbols.symbol(SymbolIndex(index as usize)).ok()?;
        let name = contents::string(strings, symbol.st_name(endian))?;
        Some(String::from_utf8_lossy(name).into_owned())
    };
    Some(relocations.iter().map(|each| name(each.r_sym(endian, false)).unwrap_or_default()).collect())
}
