//! `.BTF.ext`: what belongs to single instructions of an object file.

use crate::bytes::{header, part, record, u32_at, words};
use crate::error::{BtfError, Problem};
use crate::kind::{NameOff, TypeId};

/// Bytes of the header without and with the part about relocations.
const HEADER: u32 = 24;
const HEADER_WITH_CORE: u32 = 32;

/// The content of `.BTF.ext`. Names are offsets into the strings of the [`Btf`](crate::Btf) next to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ext {
    /// Where functions begin.
    pub functions: Vec<Records<FuncRecord>>,
    /// Where source lines begin.
    pub lines: Vec<Records<LineRecord>>,
    /// Instructions that depend on the layout of the running kernel's types ("compile once, run everywhere").
    pub relocations: Vec<Records<CoreRecord>>,
}

/// The records about one section of the object file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records<T> {
    /// Name of the section.
    pub section: NameOff,
    /// The records in the order of the file.
    pub records: Vec<T>,
}

/// A function begins (`struct bpf_func_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FuncRecord {
    /// Offset in the section in bytes.
    pub offset: u32,
    /// The function, a type of kind `Func`.
    pub ty: TypeId,
}

/// A source line begins (`struct bpf_line_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineRecord {
    /// Offset in the section in bytes.
    pub offset: u32,
    /// Name of the source file.
    pub file: NameOff,
    /// Text of the line.
    pub text: NameOff,
    /// Number of the line, from 1 to 2^22 - 1; 0 if the compiler knows none.
    pub line: u32,
    /// Column, from 1 to 1,023; 0 if the compiler knows none.
    pub column: u16,
}

/// An instruction depends on the layout of a type (`struct bpf_core_relo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoreRecord {
    /// Offset of the instruction in the section in bytes.
    pub offset: u32,
    /// The type at the root of the access.
    pub ty: TypeId,
    /// The path to the member or constant, numbers with colons between them.
    pub access: NameOff,
    /// What is asked for (`enum bpf_core_relo_kind`).
    pub kind: u32,
}

impl Ext {
    /// Reads the content of `.BTF.ext`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its offset in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, BtfError> {
        let length = header(bytes, HEADER)?;
        let [func_off, func_len, line_off, line_len] = words(bytes, 8, "the header")?;
        let functions = blocks(bytes, length, (func_off, func_len), "the function records", |[offset, ty]| {
            FuncRecord { offset, ty: TypeId(ty) }
        })?;
        let lines = blocks(bytes, length, (line_off, line_len), "the line records", |[offset, file, text, place]| {
            let (line, column) = (place >> 10, (place & 0x3ff) as u16);
            LineRecord { offset, file: NameOff(file), text: NameOff(text), line, column }
        })?;
        let mut relocations = Vec::new();
        if length >= HEADER_WITH_CORE {
            let [core_off, core_len] = words(bytes, 24, "the header")?;
            let what = "the relocation records";
            relocations = blocks(bytes, length, (core_off, core_len), what, |[offset, ty, access, kind]| CoreRecord {
                offset,
                ty: TypeId(ty),
                access: NameOff(access),
                kind,
            })?;
        }
        Ok(Self { functions, lines, relocations })
    }
}

/// Reads one part: the size of its records, then for each section its name, the number of records, and the records.
fn blocks<T, const N: usize>(
    bytes: &[u8],
    header: u32,
    (offset, length): (u32, u32),
    what: &'static str,
    read: impl Fn([u32; N]) -> T,
) -> Result<Vec<Records<T>>, BtfError> {
    let range = part(bytes, header, offset, length, what)?;
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let bytes = &bytes[..range.end];
    let size = u32_at(bytes, range.start, what)?;
    let least = 4 * N;
    let step = size as usize;
    // Longer records come from newer compilers; what we know stands at their start.
    if step < least || !step.is_multiple_of(4) {
        let expected = u32::try_from(least).unwrap_or(u32::MAX);
        return Err(BtfError::new(range.start, Problem::RecordSize(size, expected)));
    }
    let mut blocks = Vec::new();
    let mut at = range.start + 4;
    while at < bytes.len() {
        let [section, count] = words(bytes, at, what)?;
        let start = at + 8;
        let end = (count as usize).checked_mul(step).and_then(|len| start.checked_add(len));
        let records = end.and_then(|end| bytes.get(start..end)).ok_or(BtfError::new(at, Problem::Truncated(what)))?;
        let records = records.chunks_exact(step).map(|bytes| read(record(bytes))).collect::<Vec<_>>();
        at = start + records.len() * step;
        blocks.push(Records { section: NameOff(section), records });
    }
    Ok(blocks)
}
