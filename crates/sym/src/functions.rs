//! Functions of a file by address. Of each only the address, the size and the place of its name are kept: a stack trace asks
//! for a few out of tens of thousands, and their names are read from the file when they are asked for.
//!
//! ```text
//!  file: symbol tables, in pieces ---> entries, by address ---at(address)---> place of the name ---> name
//!        linkage table                    ^
//!  debug file, packed symbols ------------+
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use object::elf;
use object::read::elf::{FileHeader, SectionHeader as _};
use object::{Endianness, FileKind, ReadCache, ReadRef};

use crate::contents;
use crate::debug_files::DebugDirs;
use crate::head::Head;
use crate::notes::Order;
use crate::plt;

/// Bytes of a table that are read at a time.
const PIECE: u64 = 96 << 10;
/// Most bytes of a name: those of Rust and C++ have thousands.
const LONGEST_NAME: usize = 64 << 10;
/// Symbols below an address that are looked at for one that reaches it: functions in functions end before it, and a symbol
/// may be in several tables.
const MOST_STEPS: usize = 128;

/// The functions of a file.
#[derive(Debug)]
pub(crate) struct Functions {
    head: Head,
    entries: Vec<Entry>,
    names: Vec<Names>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    address: u64,
    /// Bytes; 0 if not known.
    size: u32,
    /// Where the name begins.
    name: u32,
    /// Which names.
    table: u8,
}

/// The names of a symbol table, each ended by a zero.
#[derive(Debug)]
enum Names {
    /// In a file, from here on.
    File(Arc<File>, u64),
    Bytes(Vec<u8>),
    /// Those of the linkage table, which have no versions.
    Linkage(Vec<u8>),
}

/// A function with an address in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its number, as long as the file is the same.
    pub(crate) number: usize,
    /// Bytes behind its start.
    pub(crate) offset: u64,
}

/// A file or bytes, by offset.
#[derive(Clone, Copy)]
enum Source<'a> {
    File { file: &'a Arc<File>, keep: bool },
    Bytes(&'a [u8]),
}

impl Functions {
    /// Those of an open file; `path` is for finding its debug file. With `keep` the files stay open for the names, else all
    /// names are read. `None` if it is no usable ELF file.
    pub(crate) fn of_file(path: &Path, file: File, directories: &DebugDirs, keep: bool) -> Option<Self> {
        let mut functions = Self::read_file(path, file, keep)?;
        if functions.head.stripped
            && let Some(path) = directories.find_for(&functions.head)
            && let Some(other) = File::open(&path).ok().and_then(|file| Self::read_file(&path, file, keep))
        {
            functions.merge(other);
        }
        functions.sort();
        Some(functions)
    }

    /// Those of bytes.
    pub(crate) fn of_bytes(path: &Path, bytes: &[u8]) -> Option<Self> {
        let mut functions = Self::read(path, bytes, Source::Bytes(bytes), true)?;
        functions.sort();
        Some(functions)
    }

    fn read_file(path: &Path, file: File, keep: bool) -> Option<Self> {
        let file = Arc::new(file);
        Self::read(path, &ReadCache::new(&*file), Source::File { file: &file, keep }, true)
    }

    /// How many files stay open.
    pub(crate) fn open_files(&self) -> usize {
        let mut files: Vec<*const File> = self.names.iter().filter_map(Names::file).map(Arc::as_ptr).collect();
        files.dedup();
        files.len()
    }

    /// `outer`: whether symbols that are packed into the file are read as well.
    fn read<'data, R: ReadRef<'data>>(path: &Path, data: R, source: Source<'_>, outer: bool) -> Option<Self> {
        match FileKind::parse(data).ok()? {
            FileKind::Elf64 => Self::read_class::<elf::FileHeader64<Endianness>, R>(path, data, source, outer),
            FileKind::Elf32 => Self::read_class::<elf::FileHeader32<Endianness>, R>(path, data, source, outer),
            _ => None,
        }
    }

    fn read_class<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
        path: &Path,
        data: R,
        source: Source<'_>,
        outer: bool,
    ) -> Option<Self> {
        let header = Elf::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let sections = header.sections(endian, data).ok()?;
        let head = Head::read(path, header, &sections, data).ok()?;
        let mut functions = Self { head, entries: Vec::new(), names: Vec::new() };
        for section in sections.iter() {
            let kind = section.sh_type(endian);
            if kind != elf::SHT_DYNSYM && kind != elf::SHT_SYMTAB {
                continue;
            }
            let Ok(names) = sections.section(section.link(endian)) else { continue };
            let Some((start, size)) = names.file_range(endian) else { continue };
            let Some(range) = section.file_range(endian) else { continue };
            let names = match source {
                Source::File { file, keep: true } => Names::File(file.clone(), start),
                _ => Names::Bytes(data.read_bytes_at(start, size).unwrap_or_default().to_vec()),
            };
            functions.add_table(source, range, names);
        }
        let place = |address| functions.head.offset(address);
        let linkage = plt::entries::<Elf, R>(&sections, endian, data, functions.head.machine, place);
        functions.add_linkage(&linkage);
        if functions.head.stripped
            && outer
            && let Some((_, packed)) = sections.section_by_name(endian, b".gnu_debugdata")
            && let Some(plain) = packed.data(endian, data).ok().and_then(contents::mini_debug_info)
            && let Some(mini) = Self::read(path, plain.as_slice(), Source::Bytes(&plain), false)
        {
            functions.merge(mini);
        }
        Some(functions)
    }

    /// Adds the functions of a symbol table, as far as it can be read.
    fn add_table(&mut self, source: Source<'_>, (mut start, mut left): (u64, u64), names: Names) {
        let Ok(table) = u8::try_from(self.names.len()) else { return };
        self.names.push(names);
        let (order, mut piece) = (self.head.order, Vec::new());
        // PIECE is a multiple of both sizes of a symbol.
        while left > 0 {
            let length = left.min(PIECE);
            piece.resize(length as usize, 0);
            if source.read(start, &mut piece).is_none() {
                return;
            }
            let symbols = piece.chunks_exact(symbol_size(order)).filter_map(|bytes| function(bytes, order));
            self.entries.extend(symbols.map(|(name, address, size)| Entry { address, size, name, table }));
            start = start.saturating_add(length);
            left -= length;
        }
    }

    fn add_linkage(&mut self, found: &[crate::Symbol]) {
        let Ok(table) = u8::try_from(self.names.len()) else { return };
        let mut names = Vec::new();
        for symbol in found {
            let (Ok(name), Ok(size)) = (u32::try_from(names.len()), u32::try_from(symbol.size)) else { return };
            self.entries.push(Entry { address: symbol.address, size, name, table });
            names.extend_from_slice(symbol.name.as_bytes());
            names.push(0);
        }
        self.names.push(Names::Linkage(names));
    }

    /// Takes over the functions of a file with the same addresses.
    fn merge(&mut self, other: Self) {
        let Ok(first) = u8::try_from(self.names.len()) else { return };
        let moved = |entry: Entry| Some(Entry { table: entry.table.checked_add(first)?, ..entry });
        self.entries.extend(other.entries.into_iter().filter_map(moved));
        self.names.extend(other.names);
    }

    fn sort(&mut self) {
        self.entries.sort_by_key(|entry| entry.address);
        self.entries.shrink_to_fit();
    }

    /// What the file says about itself.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// The function with an address in it; of several at one address that with the last name.
    pub(crate) fn at(&self, address: u64) -> Option<Found> {
        let end = self.entries.partition_point(|entry| entry.address <= address);
        let first = end.saturating_sub(MOST_STEPS);
        let reaches = |entry: &Entry| entry.size == 0 || address - entry.address < entry.size.into();
        let nearest = first + self.entries[first..end].iter().rposition(reaches)?;
        let start = self.entries[nearest].address;
        let same = (first..=nearest).rev().take_while(|at| self.entries[*at].address == start);
        let mut same = same.filter(|at| reaches(&self.entries[*at]));
        let number = match (same.next()?, same.next()) {
            (one, None) => one,
            (one, Some(two)) => [one, two].into_iter().chain(same).max_by_key(|at| self.name(*at))?,
        };
        Some(Found { number, offset: address - start })
    }

    /// The name of a function, without version.
    pub(crate) fn name(&self, number: usize) -> Option<String> {
        let entry = self.entries.get(number)?;
        let names = self.names.get(usize::from(entry.table))?;
        let mut name = names.at(entry.name)?;
        if !matches!(names, Names::Linkage(_))
            && let Some(end) = name.iter().position(|letter| *letter == b'@')
        {
            name.truncate(end);
        }
        Some(String::from_utf8_lossy(&name).into_owned())
    }
}

impl Source<'_> {
    fn read(self, offset: u64, into: &mut [u8]) -> Option<()> {
        match self {
            Self::File { file, .. } => file.read_exact_at(into, offset).ok(),
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).ok()?;
                into.copy_from_slice(bytes.get(start..start.checked_add(into.len())?)?);
                Some(())
            }
        }
    }
}

impl Names {
    fn file(&self) -> Option<&Arc<File>> {
        match self {
            Self::File(file, _) => Some(file),
            Self::Bytes(_) | Self::Linkage(_) => None,
        }
    }

    fn at(&self, start: u32) -> Option<Vec<u8>> {
        let (file, first) = match self {
            Self::File(file, first) => (file, *first),
            Self::Bytes(bytes) | Self::Linkage(bytes) => {
                let rest = bytes.get(start as usize..)?;
                return Some(rest.split(|letter| *letter == 0).next().unwrap_or_default().to_vec());
            }
        };
        let at = first.checked_add(start.into())?;
        let (mut name, mut size) = (Vec::new(), 256);
        while size <= LONGEST_NAME {
            let known = name.len();
            name.resize(size, 0);
            let count = file.read_at(&mut name[known..], at.checked_add(known as u64)?).ok()?;
            name.truncate(known + count);
            if let Some(end) = name.iter().position(|letter| *letter == 0) {
                name.truncate(end);
                return Some(name);
            }
            if count == 0 {
                return None;
            }
            size *= 4;
        }
        None
    }
}

const fn symbol_size(order: Order) -> usize {
    if order.address == 8 { 24 } else { 16 }
}

/// Place of the name, address and size of a symbol (`Elf64_Sym`, `Elf32_Sym`) that is a function of this file.
fn function(bytes: &[u8], order: Order) -> Option<(u32, u64, u32)> {
    // Behind the name: 64 bits have kind, visibility and section first, 32 bits have them last.
    let (address, size, kind) = if order.address == 8 { (8, 16, 4) } else { (4, 8, 12) };
    let defined = bytes.get(kind + 2..kind + 4)? != [0, 0];
    let kind = elf::SymbolType(bytes.get(kind)? & 0xf);
    if !defined || (kind != elf::STT_FUNC && kind != elf::STT_GNU_IFUNC) {
        return None;
    }
    let size = u32::try_from(order.address_at(bytes, size)?).unwrap_or(u32::MAX);
    Some((order.u32_at(bytes, 0)?, order.address_at(bytes, address)?, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Binary;

    /// Each function of a file at three addresses, as the table of all symbols has it.
    fn same_as_the_whole_table(path: &Path, keep: bool) {
        let directories = DebugDirs::default();
        let functions = Functions::of_file(path, File::open(path).unwrap(), &directories, keep).unwrap();
        assert_eq!(functions.open_files() > 0, keep);
        let binary = Binary::open_with_debug(path, &directories).unwrap();
        assert_eq!(functions.head().build_id.as_deref(), binary.build_id());
        let all: Vec<&crate::Symbol> = binary.functions().filter(|symbol| symbol.size > 0).collect();
        let mut compared = 0;
        for symbol in all.iter().step_by(all.len().div_ceil(2000)) {
            for address in [symbol.address, symbol.address + symbol.size / 2, symbol.address + symbol.size - 1] {
                let found = functions.at(address);
                let expected = binary.symbol_at(address);
                let shown = found.map(|found| (functions.name(found.number).unwrap(), found.offset));
                assert_eq!(shown, expected.map(|(symbol, offset)| (symbol.name.clone(), offset)), "{address:#x}");
                compared += usize::from(shown.is_some());
            }
        }
        assert!(compared > 100, "{compared}");
    }

    #[test]
    fn addresses_have_the_names_that_all_symbols_give() {
        let library = crate::resolve("libc", None).unwrap();
        same_as_the_whole_table(&library, true);
        same_as_the_whole_table(&library, false);
        same_as_the_whole_table(&std::env::current_exe().unwrap(), true);
    }
}
