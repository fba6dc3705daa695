//! What a file says about itself: machine, parts that are loaded, build, where its debug file is. No symbols, so that it is
//! read at once.

use std::fs::File;
use std::path::{Path, PathBuf};

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader as _, SectionHeader as _, SectionTable};
use object::{Endianness, FileKind, ReadCache, ReadRef};

use crate::binary::Machine;
use crate::notes::{Order, notes};

/// The facts.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) path: PathBuf,
    pub(crate) machine: Machine,
    pub(crate) order: Order,
    pub(crate) segments: Vec<Segment>,
    pub(crate) build_id: Option<Vec<u8>>,
    /// Name of the debug file and its checksum.
    pub(crate) debug_link: Option<(String, u32)>,
    /// Whether it is always loaded at the addresses that it has.
    pub(crate) fixed: bool,
    /// Whether it has no table of all symbols.
    pub(crate) stripped: bool,
}

/// A part of the file that is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    address: u64,
    pub(crate) offset: u64,
    size: u64,
}

impl Head {
    /// The head of the file at a path; `None` if it is no usable ELF file.
    pub(crate) fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|facts| facts.is_file()))?;
        let cache = ReadCache::new(file);
        match FileKind::parse(&cache).ok()? {
            FileKind::Elf64 => Self::of_class::<elf::FileHeader64<Endianness>, _>(path, &cache).ok(),
            FileKind::Elf32 => Self::of_class::<elf::FileHeader32<Endianness>, _>(path, &cache).ok(),
            _ => None,
        }
    }

    fn of_class<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
        path: &Path,
        data: R,
    ) -> object::Result<Self> {
        let header = Elf::parse(data)?;
        let sections = header.sections(header.endian()?, data)?;
        Self::read(path, header, &sections, data)
    }

    /// That of a file whose header and sections are known.
    pub(crate) fn read<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
        path: &Path,
        header: &Elf,
        sections: &SectionTable<'data, Elf, R>,
        data: R,
    ) -> object::Result<Self> {
        let endian = header.endian()?;
        let order = Order { little: endian == Endianness::Little, address: if header.is_class_64() { 8 } else { 4 } };
        let machine = match header.e_machine(endian) {
            elf::EM_X86_64 => Machine::X86_64,
            elf::EM_AARCH64 => Machine::Aarch64,
            other => Machine::Other(other.0),
        };
        let segments = header.program_headers(endian, data)?.iter();
        let segments = segments.filter(|segment| segment.p_type(endian) == elf::PT_LOAD).map(|segment| Segment {
            address: segment.p_vaddr(endian).into(),
            offset: segment.p_offset(endian).into(),
            size: segment.p_filesz(endian).into(),
        });
        let content = |name: &[u8]| {
            let (_, section) = sections.section_by_name(endian, name)?;
            section.data(endian, data).ok()
        };
        let build_id = content(b".note.gnu.build-id").and_then(|bytes| {
            notes(bytes, order).find(|note| note.name == b"GNU" && note.kind == 3).map(|note| note.content.to_vec())
        });
        Ok(Self {
            path: path.to_owned(),
            machine,
            order,
            segments: segments.collect(),
            build_id,
            debug_link: content(b".gnu_debuglink").and_then(|bytes| debug_link(bytes, order)),
            fixed: header.e_type(endian) == elf::ET_EXEC,
            stripped: sections.iter().all(|section| section.sh_type(endian) != elf::SHT_SYMTAB),
        })
    }

    /// The path of the debug file below a directory of such files: `.build-id/ab/cdef.debug`.
    pub(crate) fn debug_name(&self) -> Option<PathBuf> {
        let (first, rest) = self.build_id.as_deref()?.split_first()?;
        let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(PathBuf::from(format!(".build-id/{first:02x}/{rest}.debug")))
    }

    /// The offset in the file of an address of the file; `None` if it is not loaded from the file.
    pub(crate) fn offset(&self, address: u64) -> Option<u64> {
        let holds = |segment: &&Segment| address.checked_sub(segment.address).is_some_and(|far| far < segment.size);
        let segment = self.segments.iter().find(holds)?;
        segment.offset.checked_add(address - segment.address)
    }

    /// The address of an offset in the file; `None` if that part is not loaded.
    pub(crate) fn address(&self, offset: u64) -> Option<u64> {
        let holds = |segment: &&Segment| offset.checked_sub(segment.offset).is_some_and(|far| far < segment.size);
        let segment = self.segments.iter().find(holds)?;
        segment.address.checked_add(offset - segment.offset)
    }

    /// What has to be added to addresses of the file where `length` bytes from `offset` on are mapped at `start`.
    pub(crate) fn load_base(&self, (start, length, offset): (u64, u64, u64)) -> Option<u64> {
        let distance = |segment: &Segment| segment.offset.checked_sub(offset).filter(|far| *far < length);
        let (segment, far) = self.segments.iter().find_map(|segment| Some((segment, distance(segment)?)))?;
        Some(start.wrapping_add(far).wrapping_sub(segment.address))
    }
}

/// A name that ends with a zero, filled up to four bytes, and a checksum.
fn debug_link(bytes: &[u8], order: Order) -> Option<(String, u32)> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let sum = order.u32_at(bytes, (end + 1).checked_next_multiple_of(4)?)?;
    Some((String::from_utf8_lossy(&bytes[..end]).into_owned(), sum))
}
