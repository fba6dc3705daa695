//! Executable files and libraries: symbols, segments, probes, build id.

use std::fs::File;
use std::path::{Path, PathBuf};

use object::elf;
use object::read::elf::{FileHeader, SectionHeader as _, SectionTable, Sym as _};
use object::{Endianness, FileKind, ReadCache, ReadRef};

use crate::contents;
use crate::debug_files::DebugDirs;
use crate::error::SymError;
use crate::head::Head;
use crate::pattern::Pattern;
use crate::plt;
use crate::resolve::Mapping;
use crate::usdt::{self, UsdtProbe};
use crate::zip;

/// The kind of machine that a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Machine {
    /// x86 with 64-bit registers.
    X86_64,
    /// ARM with 64-bit registers.
    Aarch64,
    /// Another one, by its number in ELF files (`e_machine`).
    Other(u16),
}

/// What a symbol names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SymbolKind {
    /// A function.
    Function,
    /// A function that the loader chooses at the first call (`STT_GNU_IFUNC`); a probe sees only the choice.
    Indirect,
    /// An entry of the procedure linkage table: the way to a function of another file.
    Plt,
    /// Data.
    Data,
}

/// A symbol of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// The name without version. Entries of the linkage table end with `@plt`.
    pub name: String,
    /// The version, for functions of libraries that exist in several: `GLIBC_2.34`.
    pub version: Option<String>,
    /// The address as the file has it.
    pub address: u64,
    /// Bytes; 0 if not known.
    pub size: u64,
    /// The offset of its first byte in the file, which is what uprobes take; `None` for data without bytes in the file.
    pub offset: Option<u64>,
    /// What it is.
    pub kind: SymbolKind,
}

/// An ELF file that was looked at. It holds facts, not the file.
#[derive(Debug, Clone)]
pub struct Binary {
    head: Head,
    symbols: Vec<Symbol>,
    probes: Vec<UsdtProbe>,
}

impl Binary {
    /// Reads what is of interest in a file, or in one that an archive holds: `base.apk!/lib/libmain.so`.
    ///
    /// # Errors
    /// [`SymError::File`] if it cannot be read, [`SymError::Format`] if it is no ELF file or a broken one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SymError> {
        let path = path.as_ref();
        if let Some((archive, name)) = zip::parts(path) {
            let member = zip::read(archive, name);
            let member = member.map_err(|reason| SymError::File { path: archive.to_owned(), reason })?;
            let mut binary = Self::read(&member.archive, member.bytes.as_slice(), true)?;
            binary.shift(member.offset);
            return Ok(binary);
        }
        let file = File::open(path).map_err(|error| SymError::file(path, &error))?;
        let facts = file.metadata().map_err(|error| SymError::file(path, &error))?;
        if !facts.is_file() {
            let reason = "it is no ordinary file".to_owned();
            return Err(SymError::Format { path: path.display().to_string(), reason });
        }
        Self::read(path, &ReadCache::new(file), true)
    }

    /// Reads an open file as if it were at `path`: one that was deleted, or that this process sees elsewhere.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn read_file(path: impl AsRef<Path>, file: File) -> Result<Self, SymError> {
        Self::read(path.as_ref(), &ReadCache::new(file), true)
    }

    /// [`open`](Self::open), and if the file has lost its symbols those of its debug file, if there is one.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with_debug(path: impl AsRef<Path>, directories: &DebugDirs) -> Result<Self, SymError> {
        let mut binary = Self::open(path)?;
        binary.add_symbols(directories);
        Ok(binary)
    }

    /// Adds the symbols of the debug file, if this one was stripped and there is one.
    pub fn add_symbols(&mut self, directories: &DebugDirs) {
        if !self.head.stripped {
            return;
        }
        if let Some(other) = directories.find(self).and_then(|path| Self::open(path).ok()) {
            self.merge(other);
        }
    }

    /// Reads bytes as if they were the file at `path`, which serves only for texts.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn parse(path: impl AsRef<Path>, bytes: &[u8]) -> Result<Self, SymError> {
        Self::read(path.as_ref(), bytes, true)
    }

    /// `outer`: whether the symbols that distributions pack into stripped files are read as well.
    fn read<'data, R: ReadRef<'data>>(path: &Path, data: R, outer: bool) -> Result<Self, SymError> {
        let format = |reason: String| SymError::Format { path: path.display().to_string(), reason };
        let result = match FileKind::parse(data) {
            Ok(FileKind::Elf64) => Self::read_class::<elf::FileHeader64<Endianness>, R>(path, data, outer),
            Ok(FileKind::Elf32) => Self::read_class::<elf::FileHeader32<Endianness>, R>(path, data, outer),
            Ok(_) => return Err(format("it has another format".to_owned())),
            Err(_) => return Err(format("it does not begin like one".to_owned())),
        };
        result.map_err(|error| format(error.to_string()))
    }

    fn read_class<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
        path: &Path,
        data: R,
        outer: bool,
    ) -> object::Result<Self> {
        let header = Elf::parse(data)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, data)?;
        let head = Head::read(path, header, &sections, data)?;
        let (order, machine) = (head.order, head.machine);
        let place = |address| head.offset(address);
        let mut symbols = Vec::new();
        symbols_of::<Elf, R>(&sections, endian, data, elf::SHT_DYNSYM, &place, &mut symbols)?;
        symbols_of::<Elf, R>(&sections, endian, data, elf::SHT_SYMTAB, &place, &mut symbols)?;
        symbols.extend(plt::entries::<Elf, R>(&sections, endian, data, machine, place));
        sort(&mut symbols);
        let content = |name: &[u8]| {
            let (_, section) = sections.section_by_name(endian, name)?;
            Some((section.sh_addr(endian).into(), section.data(endian, data).unwrap_or_default()))
        };
        let base = content(b".stapsdt.base").map(|(address, _): (u64, _)| address);
        let context = usdt::Context { order, machine, base };
        let probes = content(b".note.stapsdt").map(|(_, bytes)| usdt::probes(bytes, context, place));
        let probes = probes.unwrap_or_default();
        let mut binary = Self { head, symbols, probes };
        if binary.head.stripped
            && outer
            && let Some((_, packed)) = content(b".gnu_debugdata")
            && let Some(plain) = contents::mini_debug_info(packed)
            && let Ok(mini) = Self::read(path, plain.as_slice(), false)
        {
            binary.merge(mini);
        }
        Ok(binary)
    }

    /// The file is a part of another one and begins there: offsets are those of the whole.
    fn shift(&mut self, start: u64) {
        let later = |offset: &mut u64| *offset = offset.saturating_add(start);
        self.head.segments.iter_mut().for_each(|segment| later(&mut segment.offset));
        self.symbols.iter_mut().filter_map(|symbol| symbol.offset.as_mut()).for_each(later);
        for probe in &mut self.probes {
            probe.offset.iter_mut().chain(&mut probe.semaphore).for_each(later);
        }
    }

    /// Takes over the symbols of a file with the same addresses; offsets count bytes of this one.
    fn merge(&mut self, other: Self) {
        let head = &self.head;
        let with_place = |symbol: Symbol| Symbol { offset: head.offset(symbol.address), ..symbol };
        self.symbols.extend(other.symbols.into_iter().map(with_place));
        sort(&mut self.symbols);
    }

    /// Where distributions put the debug symbols of this build: `/usr/lib/debug/.build-id/ab/cdef.debug`. `None` without
    /// a build id; the file need not exist.
    pub fn debug_path(&self) -> Option<PathBuf> {
        Some(Path::new("/usr/lib/debug").join(self.head.debug_name()?))
    }

    /// The name of the debug file and its checksum (CRC-32), as `.gnu_debuglink` says.
    pub fn debug_link(&self) -> Option<(&str, u32)> {
        self.head.debug_link.as_ref().map(|(name, sum)| (name.as_str(), *sum))
    }

    /// Whether it is always loaded at the addresses that it has (`ET_EXEC`), and not at any place.
    pub fn is_fixed(&self) -> bool {
        self.head.fixed
    }

    /// Adds the symbols of a file that was split off from this one; offsets still count bytes of this one.
    ///
    /// # Errors
    /// [`SymError::Format`] if it belongs to another build, and the errors of [`open`](Self::open).
    pub fn add_debug_file(&mut self, path: impl AsRef<Path>) -> Result<(), SymError> {
        let other = Self::open(path)?;
        if other.build_id().is_none() || other.build_id() != self.build_id() {
            let reason = format!("its build id is not that of `{}`", self.head.path.display());
            return Err(SymError::Format { path: other.head.path.display().to_string(), reason });
        }
        self.merge(other);
        Ok(())
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.head.path
    }

    /// The kind of machine.
    pub fn machine(&self) -> Machine {
        self.head.machine
    }

    /// The number that identifies this build: usually 20 bytes.
    pub fn build_id(&self) -> Option<&[u8]> {
        self.head.build_id.as_deref()
    }

    /// All symbols with an address, sorted by address and name.
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// The functions, entries of the linkage table included.
    pub fn functions(&self) -> impl Iterator<Item = &Symbol> {
        self.symbols.iter().filter(|symbol| symbol.kind != SymbolKind::Data && symbol.offset.is_some())
    }

    /// The function with a name: `malloc`, `malloc@GLIBC_2.2.5` for a version, `malloc@plt` for the way to it. Without
    /// version the default one, which is the newest.
    ///
    /// # Errors
    /// [`SymError::Missing`] with similar names, and a hint if the file has no symbols.
    pub fn function(&self, name: &str) -> Result<&Symbol, SymError> {
        let (plain, version) = match name.split_once('@') {
            Some((_, "plt")) | None => (name, None),
            Some((plain, version)) => (plain, Some(version.trim_start_matches('@'))),
        };
        let fits = |symbol: &&Symbol| {
            symbol.name == plain && version.is_none_or(|version| symbol.version.as_deref() == Some(version))
        };
        self.functions().filter(fits).max_by_key(|symbol| version_key(symbol)).ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> SymError {
        let remedy = if self.functions().next().is_none() {
            "the file has no symbols: install its debug symbols, or give an offset".to_owned()
        } else {
            let pattern = Pattern::new(&format!("*{name}*"));
            let near: Vec<String> = self
                .functions()
                .filter(|symbol| pattern.matches(&symbol.name) || symbol.name.eq_ignore_ascii_case(name))
                .take(3)
                .map(|symbol| format!("`{}`", symbol.name))
                .collect();
            if near.is_empty() { String::new() } else { format!("there is {}", near.join(", ")) }
        };
        let place = format!("`{}`", self.head.path.display());
        SymError::Missing { what: "function", name: name.to_owned(), place, remedy }
    }

    /// The functions whose names fit a pattern, one for each place.
    pub fn matching<'a>(&'a self, pattern: &'a Pattern) -> impl Iterator<Item = &'a Symbol> {
        let mut last = None;
        self.functions().filter(move |symbol| pattern.matches(&symbol.name)).filter(move |symbol| {
            let new = last != Some(symbol.address);
            last = Some(symbol.address);
            new
        })
    }

    /// The symbol at or below an address, and the distance from its start. Symbols of known size end there.
    pub fn symbol_at(&self, address: u64) -> Option<(&Symbol, u64)> {
        let end = self.symbols.partition_point(|symbol| symbol.address <= address);
        let nearest = self.symbols[..end].iter().rev().take(64);
        nearest
            .filter(|symbol| symbol.kind != SymbolKind::Data)
            .map(|symbol| (symbol, address - symbol.address))
            .find(|(symbol, distance)| symbol.size == 0 || *distance < symbol.size)
    }

    /// The offset in the file of an address of the file; `None` if it is not loaded from the file.
    pub fn offset(&self, address: u64) -> Option<u64> {
        self.head.offset(address)
    }

    /// The address of an offset in the file; `None` if that part is not loaded.
    pub fn address(&self, offset: u64) -> Option<u64> {
        self.head.address(offset)
    }

    /// What has to be added to addresses of the file where a process has mapped it so; `None` if the mapping holds no start
    /// of a part of it.
    pub fn load_base(&self, mapping: &Mapping) -> Option<u64> {
        let length = mapping.end.checked_sub(mapping.start)?;
        self.head.load_base((mapping.start, length, mapping.offset))
    }

    /// All places of USDT probes.
    pub fn probes(&self) -> &[UsdtProbe] {
        &self.probes
    }

    /// The places of one probe; `provider` may be left out.
    ///
    /// # Errors
    /// [`SymError::Missing`] with the probes that there are.
    pub fn probe(&self, provider: Option<&str>, name: &str) -> Result<Vec<&UsdtProbe>, SymError> {
        let fits = |probe: &&UsdtProbe| probe.name == name && provider.is_none_or(|wanted| probe.provider == wanted);
        let found: Vec<&UsdtProbe> = self.probes.iter().filter(fits).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let mut names: Vec<String> =
            self.probes.iter().map(|probe| format!("`{}:{}`", probe.provider, probe.name)).collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(10);
        let remedy = if names.is_empty() { "it has none".to_owned() } else { format!("there is {}", names.join(", ")) };
        let shown = provider.map_or_else(|| name.to_owned(), |provider| format!("{provider}:{name}"));
        let place = format!("`{}`", self.head.path.display());
        Err(SymError::Missing { what: "USDT probe", name: shown, place, remedy })
    }
}

/// Orders versions so that the newest, and no version before an old one, comes last.
fn version_key(symbol: &Symbol) -> (bool, Vec<u32>) {
    let numbers = symbol.version.as_deref().unwrap_or_default();
    let numbers = numbers.split(|letter: char| !letter.is_ascii_digit()).filter_map(|part| part.parse().ok());
    (symbol.version.is_some(), numbers.collect())
}

/// Sorts by address, then name; the same symbol of two tables remains once, with its version.
fn sort(symbols: &mut Vec<Symbol>) {
    symbols.sort_by(|a, b| {
        (a.address, &a.name, b.version.is_some(), &a.version).cmp(&(
            b.address,
            &b.name,
            a.version.is_some(),
            &b.version,
        ))
    });
    symbols.dedup_by(|later, kept| {
        later.address == kept.address
            && later.name == kept.name
            && (later.version.is_none() || later.version == kept.version)
    });
}

/// Adds the symbols of one table.
fn symbols_of<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
    sections: &SectionTable<'data, Elf, R>,
    endian: Endianness,
    data: R,
    table: elf::SectionType,
    place: &impl Fn(u64) -> Option<u64>,
    found: &mut Vec<Symbol>,
) -> object::Result<()> {
    let symbols = sections.symbols(endian, data, table)?;
    let strings = contents::strings(sections, endian, data, symbols.string_section());
    let versions = if table == elf::SHT_DYNSYM { sections.versions(endian, data).ok().flatten() } else { None };
    for (index, symbol) in symbols.enumerate() {
        let kind = match symbol.st_type() {
            elf::STT_FUNC => SymbolKind::Function,
            elf::STT_GNU_IFUNC => SymbolKind::Indirect,
            elf::STT_OBJECT => SymbolKind::Data,
            _ => continue,
        };
        if symbol.is_undefined(endian) {
            continue;
        }
        let Some(name) = contents::string(strings, symbol.st_name(endian)) else { continue };
        let version = versions.as_ref().and_then(|versions| {
            let index = versions.version_index(endian, index).index();
            let version = versions.version(index).ok()??;
            Some(String::from_utf8_lossy(version.name()).into_owned())
        });
        // The static table writes versions into the name.
        let name = String::from_utf8_lossy(name);
        let (name, version) = match name.split_once('@') {
            Some((name, text)) => (name.to_owned(), Some(text.trim_start_matches('@').to_owned())),
            None => (name.into_owned(), version),
        };
        let address = symbol.st_value(endian).into();
        found.push(Symbol {
            name,
            version,
            address,
            size: symbol.st_size(endian).into(),
            offset: place(address),
            kind,
        });
    }
    Ok(())
}
