//! One blob: header, index of types, strings, and the walks through types.

use std::ops::Range;

use crate::bytes::{header, part, u32_at, words};
use crate::error::{BtfError, Problem};
use crate::kind::{Array, Composite, DeclTag, Enum, FuncProto, Int, Kind, Linkage, NameOff, TypeId, Vars};

/// Most steps from one type to the next that a walk takes; the kernel's bound as well (`MAX_RESOLVE_DEPTH`).
pub const MAX_DEPTH: usize = 32;

/// Longest string with its NUL, so that overlapping strings of hostile files cannot cost the square of their size.
const LONGEST_STRING: usize = 1 << 16;

/// Bytes in the header of version 1.
const HEADER: u32 = 24;
/// Bytes in the part that all types have: name, kind with number of records, and size or type.
const COMMON: usize = 12;

/// Types and their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Btf {
    bytes: Vec<u8>,
    /// Where the record of type `n + 1` starts.
    index: Vec<u32>,
    strings: Range<usize>,
}

/// The numbers of the kinds, `BTF_KIND_*`.
mod number {
    pub const INT: u8 = 1;
    pub const PTR: u8 = 2;
    pub const ARRAY: u8 = 3;
    pub const STRUCT: u8 = 4;
    pub const UNION: u8 = 5;
    pub const ENUM: u8 = 6;
    pub const FWD: u8 = 7;
    pub const TYPEDEF: u8 = 8;
    pub const VOLATILE: u8 = 9;
    pub const CONST: u8 = 10;
    pub const RESTRICT: u8 = 11;
    pub const FUNC: u8 = 12;
    pub const FUNC_PROTO: u8 = 13;
    pub const VAR: u8 = 14;
    pub const DATASEC: u8 = 15;
    pub const FLOAT: u8 = 16;
    pub const DECL_TAG: u8 = 17;
    pub const TYPE_TAG: u8 = 18;
    pub const ENUM64: u8 = 19;
}

/// The second word of a record.
#[derive(Clone, Copy)]
struct Info(u32);

impl Info {
    const fn kind(self) -> u8 {
        (self.0 >> 24 & 0x1f) as u8
    }

    const fn count(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    const fn flag(self) -> bool {
        self.0 >> 31 != 0
    }

    /// Bytes after the common part.
    const fn rest(self) -> Option<usize> {
        Some(match self.kind() {
            number::INT | number::VAR | number::DECL_TAG => 4,
            number::ARRAY => 12,
            number::STRUCT | number::UNION | number::DATASEC | number::ENUM64 => 12 * self.count(),
            number::ENUM | number::FUNC_PROTO => 8 * self.count(),
            number::PTR..=number::TYPE_TAG => 0,
            _ => return None,
        })
    }
}

impl Btf {
    /// Opens a blob: checks the header, that every type is complete and of a known kind, and the frame of the strings.
    ///
    /// # Errors
    /// The first thing that is wrong, with its offset in `bytes`.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let header_len = header(&bytes, HEADER)?;
        let [type_off, type_len, str_off, str_len] = words(&bytes, 8, "the header")?;
        let types = part(&bytes, header_len, type_off, type_len, "the types")?;
        let strings = part(&bytes, header_len, str_off, str_len, "the strings")?;
        let framed = match &bytes[strings.clone()] {
            [] => false,
            [only] => *only == 0,
            [first, .., last] => *first == 0 && *last == 0,
        };
        if !framed {
            return Err(BtfError::new(strings.start, Problem::Strings));
        }
        let index = index(&bytes[..types.end], types.start)?;
        Ok(Self { bytes, index, strings })
    }

    /// The blob itself.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of types, without void.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no type but void.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Every type but void, in the order of the numbers.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = TypeId> + use<> {
        // Every record has twelve bytes, so the number fits.
        let len = u32::try_from(self.index.len()).unwrap_or(u32::MAX - 1);
        (0..len).map(|index| TypeId(index + 1))
    }

    /// The string that starts at an offset of the string section.
    ///
    /// # Errors
    /// An offset outside of the section, more than 65,535 bytes, bytes that are not UTF-8.
    pub fn string(&self, name: NameOff) -> Result<&str, BtfError> {
        let offset = self.strings.start.saturating_add(name.0 as usize);
        let strings = &self.bytes[..self.strings.end];
        let rest = strings.get(offset..).filter(|rest| !rest.is_empty());
        let rest = rest.ok_or(BtfError::new(self.strings.start, Problem::NoSuchString(name.0)))?;
        let rest = &rest[..rest.len().min(LONGEST_STRING)];
        let end = rest.iter().position(|byte| *byte == 0).ok_or(BtfError::new(offset, Problem::LongString))?;
        std::str::from_utf8(&rest[..end]).map_err(|_| BtfError::new(offset, Problem::NotUtf8))
    }

    /// The name of a type, empty for void and for anonymous ones.
    ///
    /// # Errors
    /// A type or string that does not exist.
    pub fn name(&self, id: TypeId) -> Result<&str, BtfError> {
        if id == TypeId::VOID {
            return Ok("");
        }
        let at = self.position(id)?;
        self.string(NameOff(u32_at(&self.bytes, at, "a type")?))
    }

    /// The first type with this name. Reads the names of all types before it.
    pub fn find(&self, name: &str) -> Option<TypeId> {
        self.ids().find(|id| self.name(*id) == Ok(name))
    }

    /// Takes a type apart.
    ///
    /// # Errors
    /// A type that does not exist.
    pub fn kind(&self, id: TypeId) -> Result<Kind<'_>, BtfError> {
        if id == TypeId::VOID {
            return Ok(Kind::Void);
        }
        let at = self.position(id)?;
        let [_, info, last] = words(&self.bytes, at, "a type")?;
        let info = Info(info);
        let start = at + COMMON;
        let len = info.rest().ok_or(BtfError::new(at + 4, Problem::Kind(info.kind())))?;
        let records = self.bytes.get(start..start + len).unwrap_or_default();
        let extra = || u32_at(&self.bytes, start, "a type");
        let target = TypeId(last);
        let composite = Composite { size: last, bitfields: info.flag(), records };
        let values = Enum { size: last, signed: info.flag(), wide: info.kind() == number::ENUM64, records };
        Ok(match info.kind() {
            number::INT => Kind::Int(int(last, extra()?)),
            number::PTR => Kind::Ptr(target),
            number::ARRAY => {
                let [element, index, len] = words(&self.bytes, start, "an array")?;
                Kind::Array(Array { element: TypeId(element), index: TypeId(index), len })
            }
            number::STRUCT => Kind::Struct(composite),
            number::UNION => Kind::Union(composite),
            number::ENUM => Kind::Enum(values),
            number::FWD => Kind::Fwd { union: info.flag() },
            number::TYPEDEF => Kind::Typedef(target),
            number::VOLATILE => Kind::Volatile(target),
            number::CONST => Kind::Const(target),
            number::RESTRICT => Kind::Restrict(target),
            // The number of records is the linkage here.
            number::FUNC => Kind::Func { proto: target, linkage: Linkage::new(info.0 & 0xffff) },
            number::FUNC_PROTO => Kind::FuncProto(FuncProto { result: target, records }),
            number::VAR => Kind::Var { ty: target, linkage: Linkage::new(extra()?) },
            number::DATASEC => Kind::Datasec { size: last, vars: Vars { records } },
            number::FLOAT => Kind::Float { size: last },
            number::DECL_TAG => {
                let component = extra()?;
                Kind::DeclTag(DeclTag { target, component: (component != u32::MAX).then_some(component) })
            }
            number::TYPE_TAG => Kind::TypeTag(target),
            _ => Kind::Enum64(values),
        })
    }

    /// The type behind `typedef`, `const`, `volatile`, `restrict` and type tags.
    ///
    /// # Errors
    /// A type that does not exist, more than [`MAX_DEPTH`] steps.
    pub fn resolve(&self, id: TypeId) -> Result<TypeId, BtfError> {
        let mut current = id;
        for _ in 0..MAX_DEPTH {
            match self.kind(current)? {
                Kind::Typedef(next)
                | Kind::Const(next)
                | Kind::Volatile(next)
                | Kind::Restrict(next)
                | Kind::TypeTag(next) => current = next,
                _ => return Ok(current),
            }
        }
        Err(BtfError::new(self.position(id)?, Problem::TooDeep))
    }

    /// Takes the type behind names and modifiers apart.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve).
    pub fn resolved(&self, id: TypeId) -> Result<Kind<'_>, BtfError> {
        self.kind(self.resolve(id)?)
    }

    /// Size of a value of the type in bytes. Pointers have 8.
    ///
    /// # Errors
    /// A type without size, one that does not exist, more than [`MAX_DEPTH`] nested arrays and names, a size of 4 GiB
    /// or more.
    pub fn size_of(&self, id: TypeId) -> Result<u32, BtfError> {
        let place = |problem| BtfError::new(self.position(id).unwrap_or(0), problem);
        let mut times = 1u32;
        let mut current = id;
        for _ in 0..MAX_DEPTH {
            let size = match self.resolved(current)? {
                Kind::Int(int) => int.size,
                Kind::Ptr(_) => 8,
                Kind::Struct(composite) | Kind::Union(composite) => composite.size,
                Kind::Enum(values) | Kind::Enum64(values) => values.size,
                Kind::Float { size } | Kind::Datasec { size, .. } => size,
                Kind::Var { ty, .. } => {
                    current = ty;
                    continue;
                }
                Kind::Array(array) => {
                    times = times.checked_mul(array.len).ok_or(place(Problem::TooLarge))?;
                    current = array.element;
                    continue;
                }
                _ => return Err(place(Problem::NoSize)),
            };
            return size.checked_mul(times).ok_or(place(Problem::TooLarge));
        }
        Err(place(Problem::TooDeep))
    }

    /// Where the record of a type starts in the blob.
    fn position(&self, id: TypeId) -> Result<usize, BtfError> {
        let index = (id.0 as usize).wrapping_sub(1);
        let position = self.index.get(index).map(|at| *at as usize);
        position.ok_or(BtfError::new(0, Problem::NoSuchType(id.0)))
    }
}

/// Where each record starts. `bytes` ends where the types end.
fn index(bytes: &[u8], start: usize) -> Result<Vec<u32>, BtfError> {
    let mut index = Vec::new();
    let mut at = start;
    while at < bytes.len() {
        let info = Info(u32_at(bytes, at + 4, "a type")?);
        let rest = info.rest().ok_or(BtfError::new(at + 4, Problem::Kind(info.kind())))?;
        let end = at + COMMON + rest;
        if end > bytes.len() {
            return Err(BtfError::new(at, Problem::Truncated("a type")));
        }
        index.push(u32::try_from(at).map_err(|_| BtfError::new(at, Problem::TooLarge))?);
        at = end;
    }
    Ok(index)
}

/// An integer from its size and its encoding word: flags, offset and width (`BTF_INT_*`).
const fn int(size: u32, word: u32) -> Int {
    let flags = word >> 24;
    Int {
        size,
        bits: word as u8,
        bit_offset: (word >> 16) as u8,
        signed: flags & 1 != 0,
        char: flags & 2 != 0,
        bool: flags & 4 != 0,
    }
}
