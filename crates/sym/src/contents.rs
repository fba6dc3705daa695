//! Sections of ELF files by name, decompressed.

use std::io::Read as _;
use std::path::Path;

use object::read::SectionIndex;
use object::read::elf::{CompressionHeader as _, FileHeader, SectionHeader as _, SectionTable};
use object::{Endianness, FileKind, ReadRef, elf};

use crate::error::SymError;

/// Most bytes that a compressed section may have when it is decompressed.
const MOST: u64 = 2 << 30;

/// The contents of a section, empty if there is none of that name. What cannot be decompressed counts as missing.
pub(crate) fn section(path: &Path, data: &[u8], name: &str) -> Result<Vec<u8>, SymError> {
    let found = match FileKind::parse(data) {
        Ok(FileKind::Elf64) => of_class::<elf::FileHeader64<Endianness>, _>(data, name),
        Ok(FileKind::Elf32) => of_class::<elf::FileHeader32<Endianness>, _>(data, name),
        _ => {
            let reason = "it does not begin like one".to_owned();
            return Err(SymError::Format { path: path.display().to_string(), reason });
        }
    };
    found.map_err(|error| SymError::Format { path: path.display().to_string(), reason: error.to_string() })
}

/// Address and contents of a section of a 64-bit file that is not compressed; `None` if there is none of that name.
pub(crate) fn with_address<'data, R: ReadRef<'data>>(data: R, name: &str) -> Option<(u64, Vec<u8>)> {
    let header = elf::FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok().filter(|endian| *endian == Endianness::Little)?;
    let sections = header.sections(endian, data).ok()?;
    let (_, section) = sections.section_by_name(endian, name.as_bytes())?;
    section.compression(endian, data).ok().filter(Option::is_none)?;
    Some((section.sh_addr(endian), section.data(endian, data).ok()?.to_vec()))
}

/// The texts of a table of symbols, read in one piece: a file may hold a hundred thousand.
pub(crate) fn strings<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
    sections: &SectionTable<'data, Elf, R>,
    endian: Endianness,
    data: R,
    table: SectionIndex,
) -> &'data [u8] {
    sections.section(table).and_then(|section| section.data(endian, data)).unwrap_or_default()
}

/// The text that begins there and ends with a zero.
pub(crate) fn string(strings: &[u8], start: u32) -> Option<&[u8]> {
    let rest = strings.get(start as usize..)?;
    Some(&rest[..rest.iter().position(|letter| *letter == 0)?])
}

fn of_class<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
    data: R,
    name: &str,
) -> object::Result<Vec<u8>> {
    let header = Elf::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let Some((_, section)) = sections.section_by_name(endian, name.as_bytes()) else { return Ok(Vec::new()) };
    match section.compression(endian, data)? {
        None => Ok(section.data(endian, data)?.to_vec()),
        Some((header, offset, size)) => {
            let packed = data.read_bytes_at(offset, size).unwrap_or_default();
            let kind = header.ch_type(endian);
            let size: u64 = header.ch_size(endian).into();
            Ok(unpack(packed, kind == elf::ELFCOMPRESS_ZSTD, size).unwrap_or_default())
        }
    }
}

/// Decompresses what zlib or Zstandard made, to exactly so many bytes.
fn unpack(packed: &[u8], zstandard: bool, size: u64) -> Option<Vec<u8>> {
    if size > MOST {
        return None;
    }
    let mut plain = Vec::new();
    if zstandard {
        let decoder = ruzstd::decoding::StreamingDecoder::new(packed).ok()?;
        decoder.take(size).read_to_end(&mut plain).ok()?;
    } else {
        flate2::read::ZlibDecoder::new(packed).take(size).read_to_end(&mut plain).ok()?;
    }
    (plain.len() as u64 == size).then_some(plain)
}

/// The ELF file of `.gnu_debugdata`: symbols that distributions leave in stripped files, compressed by xz. `None` if it is
/// no such file or has more than 256 MiB.
pub(crate) fn mini_debug_info(packed: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Limited(Vec::new());
    lzma_rs::xz_decompress(&mut &*packed, &mut plain).ok()?;
    Some(plain.0)
}

/// Takes at most 256 MiB.
struct Limited(Vec<u8>);

impl std::io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > 256 << 20 {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_contents_are_nothing() {
        assert_eq!(mini_debug_info(b"no xz"), None);
        assert_eq!(unpack(b"no zlib", false, 10), None);
        assert_eq!(unpack(b"no zstd", true, 10), None);
        assert_eq!(unpack(&[], false, u64::MAX), None);
        assert!(section(Path::new("x"), b"no elf", ".text").is_err());
    }

    #[test]
    fn what_xz_packed() {
        let mut packed = Vec::new();
        lzma_rs::xz_compress(&mut &b"contents"[..], &mut packed).unwrap();
        assert_eq!(mini_debug_info(&packed).as_deref(), Some(&b"contents"[..]));
    }
}
