//! Writing BTF: types and strings are added, merged from several blobs, made unique, and encoded.

mod dedup;
mod error;
mod strings;

pub use error::BuildError;

use std::sync::Arc;

use crate::blob::Btf;
use crate::kind::{Array, DeclTag, Int, Linkage, NameOff, SectionVar, TypeId};
use crate::number::{self, Info, name_places, type_places};
use strings::Strings;

/// Bytes of the header of version 1.
const HEADER: u32 = 24;
/// `BTF_MAGIC` and version 1 without flags.
const START: u32 = 0x0001_eb9f;
/// Words that all records begin with.
const COMMON: usize = 3;

/// Builds a blob.
///
/// Strings are stored once. Types are stored as they come until [`dedup`](Self::dedup) is called. A type may refer to
/// types that are added later: they are numbered one after the other from [`next_id`](Self::next_id).
///
/// ```
/// use skep_btf::{Btf, BtfBuilder, CPrinter, Int, NewMember, NewType, TypeId};
///
/// let mut builder = BtfBuilder::new();
/// let int = Int { size: 4, bits: 32, bit_offset: 0, signed: true, char: false, bool: false };
/// let int = builder.add("int", NewType::Int(int))?;
/// let node = TypeId(builder.next_id().0 + 1);
/// let pointer = builder.add("", NewType::Ptr(node))?;
/// let members = [NewMember::new("value", int, 0), NewMember::new("next", pointer, 64)];
/// builder.add("node", NewType::Struct { size: 16, members: &members })?;
///
/// let btf = Btf::parse(builder.to_bytes())?;
/// let mut printer = CPrinter::new(&btf);
/// printer.add(node)?;
/// assert_eq!(printer.text(), "struct node {\n\tint value;\n\tstruct node *next;\n};\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct BtfBuilder {
    base: Option<Arc<Btf>>,
    /// Number of the first type.
    first: u32,
    /// The records one after the other, and where each starts.
    words: Vec<u32>,
    starts: Vec<u32>,
    strings: Strings,
}

/// A type to be added; its name goes with it. The fields mean what they mean in [`Kind`](crate::Kind).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewType<'a> {
    /// An integer.
    Int(Int),
    /// A pointer.
    Ptr(TypeId),
    /// An array.
    Array(Array),
    /// A structure.
    Struct {
        /// Size in bytes.
        size: u32,
        /// At most 65,535 members. If one is a bit field, all offsets must be below 2^24 bits.
        members: &'a [NewMember<'a>],
    },
    /// A union, with the limits of a structure.
    Union {
        /// Size in bytes.
        size: u32,
        /// Its members.
        members: &'a [NewMember<'a>],
    },
    /// An enumeration with values of 32 bits: from -2^31 to 2^31 - 1 if signed, else from 0 to 2^32 - 1.
    Enum {
        /// Size in bytes.
        size: u32,
        /// Whether values can be negative.
        signed: bool,
        /// At most 65,535 names with their values.
        values: &'a [(&'a str, i64)],
    },
    /// An enumeration with values of 64 bits, unsigned ones as the `i64` with the same bits.
    Enum64 {
        /// Size in bytes.
        size: u32,
        /// Whether values can be negative.
        signed: bool,
        /// At most 65,535 names with their values.
        values: &'a [(&'a str, i64)],
    },
    /// A structure or union that is only declared.
    Fwd {
        /// Whether it is a union.
        union: bool,
    },
    /// Another name.
    Typedef(TypeId),
    /// The type with `volatile`.
    Volatile(TypeId),
    /// The type with `const`.
    Const(TypeId),
    /// The type with `restrict`.
    Restrict(TypeId),
    /// A function.
    Func {
        /// Its prototype.
        proto: TypeId,
        /// Who can see it.
        linkage: Linkage,
    },
    /// A prototype.
    FuncProto {
        /// Type of the result.
        result: TypeId,
        /// At most 65,535 parameters; `("", TypeId::VOID)` at the end for a variadic function.
        params: &'a [(&'a str, TypeId)],
    },
    /// A global variable.
    Var {
        /// Its type.
        ty: TypeId,
        /// Who can see it.
        linkage: Linkage,
    },
    /// A section with variables.
    Datasec {
        /// Size in bytes.
        size: u32,
        /// At most 65,535 variables; the kernel wants them in the order of the offsets.
        vars: &'a [SectionVar],
    },
    /// A floating-point number.
    Float {
        /// Size in bytes.
        size: u32,
    },
    /// An attribute of a declaration; the name is its text.
    DeclTag(DeclTag),
    /// The type with an attribute; the name is its text.
    TypeTag(TypeId),
}

/// A member of a structure or union to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewMember<'a> {
    /// Its name, empty for anonymous ones.
    pub name: &'a str,
    /// Its type.
    pub ty: TypeId,
    /// Distance from the start of the structure in bits.
    pub bit_offset: u32,
    /// Width in bits if it is a bit field, else 0.
    pub bits: u8,
}

impl<'a> NewMember<'a> {
    /// A member that is no bit field, `bit_offset` bits from the start.
    pub const fn new(name: &'a str, ty: TypeId, bit_offset: u32) -> Self {
        Self { name, ty, bit_offset, bits: 0 }
    }
}

/// Where the types of a blob went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    /// Number of the first old type; lower ones kept their numbers.
    first: u32,
    ids: Vec<TypeId>,
}

impl IdMap {
    /// The new number of a type; `None` if there was no such type. Void and types of the base keep their numbers.
    pub fn get(&self, old: TypeId) -> Option<TypeId> {
        match old.0.checked_sub(self.first) {
            None => Some(old),
            Some(index) => self.ids.get(index as usize).copied(),
        }
    }
}

impl Default for BtfBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BtfBuilder {
    /// A blob without types.
    pub fn new() -> Self {
        Self { base: None, first: 1, words: Vec::new(), starts: Vec::new(), strings: Strings::new(None) }
    }

    /// A split blob, whose types may refer to those of the base and whose strings are not stored if the base has them.
    /// It can be read only together with the same base, see [`Btf::parse_split`].
    pub fn with_base(base: Arc<Btf>) -> Self {
        let (first, strings) = (base.next_id().0, Strings::new(Some(&base)));
        Self { base: Some(base), first, words: Vec::new(), starts: Vec::new(), strings }
    }

    /// The number of the type that is added next.
    pub fn next_id(&self) -> TypeId {
        TypeId(self.first + self.starts.len() as u32)
    }

    /// Stores a string, once.
    ///
    /// # Errors
    /// A NUL in the text, more than 4 GiB of strings.
    pub fn string(&mut self, text: &str) -> Result<NameOff, BuildError> {
        self.strings.add(text.as_bytes())
    }

    /// Adds a type.
    ///
    /// # Errors
    /// What [`NewType`] says about limits, a NUL in a name, more than 4 GiB in all.
    pub fn add(&mut self, name: &str, ty: NewType<'_>) -> Result<TypeId, BuildError> {
        let mut parts: Vec<u32> = Vec::new();
        let (kind, flag, count, last) = match ty {
            NewType::Int(int) => {
                parts.push(encode_int(int));
                (number::INT, false, 0, int.size)
            }
            NewType::Ptr(target) => (number::PTR, false, 0, target.0),
            NewType::Array(array) => {
                parts.extend([array.element.0, array.index.0, array.len]);
                (number::ARRAY, false, 0, 0)
            }
            NewType::Struct { size, members } => {
                (number::STRUCT, self.members(members, &mut parts)?, members.len(), size)
            }
            NewType::Union { size, members } => {
                (number::UNION, self.members(members, &mut parts)?, members.len(), size)
            }
            NewType::Enum { size, signed, values } => {
                self.values(signed, values, &mut parts)?;
                (number::ENUM, signed, values.len(), size)
            }
            NewType::Enum64 { size, signed, values } => {
                for (name, value) in values {
                    let value = value.cast_unsigned();
                    parts.extend([self.string(name)?.0, value as u32, (value >> 32) as u32]);
                }
                (number::ENUM64, signed, values.len(), size)
            }
            NewType::Fwd { union } => (number::FWD, union, 0, 0),
            NewType::Typedef(target) => (number::TYPEDEF, false, 0, target.0),
            NewType::Volatile(target) => (number::VOLATILE, false, 0, target.0),
            NewType::Const(target) => (number::CONST, false, 0, target.0),
            NewType::Restrict(target) => (number::RESTRICT, false, 0, target.0),
            NewType::Func { proto, linkage } => (number::FUNC, false, linkage.number() as usize, proto.0),
            NewType::FuncProto { result, params } => {
                for (name, ty) in params {
                    parts.extend([self.string(name)?.0, ty.0]);
                }
                (number::FUNC_PROTO, false, params.len(), result.0)
            }
            NewType::Var { ty, linkage } => {
                parts.push(linkage.number());
                (number::VAR, false, 0, ty.0)
            }
            NewType::Datasec { size, vars } => {
                parts.extend(vars.iter().flat_map(|var| [var.ty.0, var.offset, var.size]));
                (number::DATASEC, false, vars.len(), size)
            }
            NewType::Float { size } => (number::FLOAT, false, 0, size),
            NewType::DeclTag(tag) => {
                parts.push(tag.component.unwrap_or(u32::MAX));
                (number::DECL_TAG, false, 0, tag.target.0)
            }
            NewType::TypeTag(target) => (number::TYPE_TAG, false, 0, target.0),
        };
        let count = u16::try_from(count).map_err(|_| BuildError::TooManyParts(count))?;
        let name = self.string(name)?;
        self.push([name.0, Info::new(kind, flag, count.into()).0, last].into_iter().chain(parts))
    }

    /// Encodes members; whether there are bit fields among them.
    fn members(&mut self, members: &[NewMember<'_>], parts: &mut Vec<u32>) -> Result<bool, BuildError> {
        let bitfields = members.iter().any(|member| member.bits > 0);
        for member in members {
            if bitfields && member.bit_offset >> 24 != 0 {
                return Err(BuildError::Offset(member.bit_offset));
            }
            let offset = u32::from(member.bits) << 24 | member.bit_offset;
            parts.extend([self.string(member.name)?.0, member.ty.0, offset]);
        }
        Ok(bitfields)
    }

    /// Encodes constants of 32 bits.
    fn values(&mut self, signed: bool, values: &[(&str, i64)], parts: &mut Vec<u32>) -> Result<(), BuildError> {
        for (name, value) in values {
            let word =
                if signed { i32::try_from(*value).ok().map(i32::cast_unsigned) } else { u32::try_from(*value).ok() };
            let name = self.string(name)?.0;
            parts.extend([name, word.ok_or(BuildError::Value(*value))?]);
        }
        Ok(())
    }

    fn push(&mut self, record: impl Iterator<Item = u32>) -> Result<TypeId, BuildError> {
        let id = self.next_id();
        let start = self.words.len();
        self.words.extend(record);
        if u32::try_from(4 * self.words.len()).is_err() {
            self.words.truncate(start);
            return Err(BuildError::TooLarge);
        }
        self.starts.push(start as u32);
        Ok(id)
    }

    /// Adds all types of another blob; they keep their order. A split blob must have the base that this one has.
    ///
    /// # Errors
    /// Another base, types or names that do not exist, more than 4 GiB in all.
    pub fn append(&mut self, other: &Btf) -> Result<IdMap, BuildError> {
        if other.base().is_some() && other.base() != self.base.as_ref() {
            return Err(BuildError::OtherBase);
        }
        let next = self.next_id().0;
        let first = other.next_id().0 - other.len() as u32;
        let map = IdMap { first, ids: (0..other.len() as u32).map(|index| TypeId(next + index)).collect() };
        for id in other.ids() {
            let info = other.info(id).map_err(BuildError::Btf)?;
            let mut record: Vec<u32> = other.record(id).map_err(BuildError::Btf)?.collect();
            for place in name_places(info) {
                let name = NameOff(record[place]);
                let (name, _) = other.string_bytes(name).map_err(BuildError::Btf)?;
                record[place] = self.strings.add(name)?.0;
            }
            for place in type_places(info) {
                let target = TypeId(record[place]);
                record[place] = map.get(target).ok_or(BuildError::NoSuchType(target.0))?.0;
            }
            self.push(record.into_iter())?;
        }
        Ok(map)
    }

    /// Lets a pointer, typedef, modifier, function, prototype, variable or tag refer to another type.
    ///
    /// # Errors
    /// A type that was not added, or of another kind.
    pub fn set_target(&mut self, id: TypeId, target: TypeId) -> Result<(), BuildError> {
        let record = self.record(id, Info::has_target)?;
        record[2] = target.0;
        Ok(())
    }

    /// Sets the size of a section and the place of each of its variables, which compilers leave to the loader. As many
    /// variables as there were.
    ///
    /// # Errors
    /// A type that was not added, that is no section, or that has another number of variables.
    pub fn set_section(&mut self, id: TypeId, size: u32, vars: &[SectionVar]) -> Result<(), BuildError> {
        let record = self.record(id, |info| info.kind() == number::DATASEC && info.count() == vars.len())?;
        record[2] = size;
        for (part, var) in record[COMMON..].as_chunks_mut().0.iter_mut().zip(vars) {
            *part = [var.ty.0, var.offset, var.size];
        }
        Ok(())
    }

    /// Sets who can see a function or variable: a linker makes external ones global when it finds them.
    ///
    /// # Errors
    /// A type that was not added, or that is neither; a linkage that does not fit.
    pub fn set_linkage(&mut self, id: TypeId, linkage: Linkage) -> Result<(), BuildError> {
        let linkage = u16::try_from(linkage.number()).map_err(|_| BuildError::TooLarge)?.into();
        let record = self.record(id, |info| matches!(info.kind(), number::VAR | number::FUNC))?;
        match Info(record[1]).kind() {
            number::VAR => record[COMMON] = linkage,
            _ => record[1] = record[1] & !0xffff | linkage,
        }
        Ok(())
    }

    /// The words of a type of which this holds.
    fn record(&mut self, id: TypeId, good: impl Fn(Info) -> bool) -> Result<&mut [u32], BuildError> {
        let index = id.0.checked_sub(self.first).map(|index| index as usize);
        let range = index.and_then(|index| self.range(index)).ok_or(BuildError::NoSuchType(id.0))?;
        let record = &mut self.words[range];
        if good(Info(record[1])) { Ok(record) } else { Err(BuildError::OtherKind(id.0)) }
    }

    /// Where the words of the type with this index are.
    fn range(&self, index: usize) -> Option<std::ops::Range<usize>> {
        let start = *self.starts.get(index)? as usize;
        let end = self.starts.get(index + 1).map_or(self.words.len(), |end| *end as usize);
        Some(start..end)
    }

    /// The blob.
    pub fn to_bytes(&self) -> Vec<u8> {
        let strings = self.strings.bytes();
        let types = 4 * self.words.len() as u32;
        let mut bytes = Vec::with_capacity(HEADER as usize + types as usize + strings.len());
        let header = [START, HEADER, 0, types, types, strings.len() as u32];
        for word in header.iter().chain(&self.words) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(strings);
        bytes
    }
}

/// The word that describes an integer (`BTF_INT_*`).
fn encode_int(int: Int) -> u32 {
    let flags = u32::from(int.signed) | u32::from(int.char) << 1 | u32::from(int.bool) << 2;
    flags << 24 | u32::from(int.bit_offset) << 16 | u32::from(int.bits)
}
