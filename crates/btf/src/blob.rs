//! One blob: header, index of types, strings, and the walks through types.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use crate::bytes::{header, part, u32_at, words};
use crate::error::{BtfError, Problem};
use crate::kind::{Array, Composite, DeclTag, Enum, FuncProto, Int, Kind, Linkage, NameOff, TypeId, Vars};
use crate::names::{NameIndex, essential};
use crate::number::{self, Info};
use crate::source::Source;

/// Most steps from one type to the next that a walk takes; the kernel's bound as well (`MAX_RESOLVE_DEPTH`).
pub const MAX_DEPTH: usize = 32;

/// Longest string with its NUL, so that overlapping strings of hostile files cannot cost the square of their size.
const LONGEST_STRING: usize = 1 << 16;

/// How often names are looked for by reading all of them before an index is made.
const SCANS: u32 = 1;

/// Bytes in the header of version 1.
const HEADER: u32 = 24;
/// Bytes in the part that all types have: name, kind with number of records, and size or type.
const COMMON: usize = 12;

/// Types and their names.
///
/// A *split* blob, as modules of the kernel have one, goes on where another one, its base, ends: its types and strings
/// are numbered after those of the base, and it may refer to both. Clones share the bytes.
#[derive(Clone)]
pub struct Btf {
    source: Source,
    base: Option<Arc<Btf>>,
    /// Number of the first type of this blob.
    first: u32,
    /// Where the strings of this blob begin, counted from the first string of the base.
    first_string: u32,
    /// Where the record of type `first + n` starts.
    index: Vec<u32>,
    strings: Range<usize>,
    functions: Names,
    others: Names,
}

/// An index of names, once it is worth its price.
#[derive(Default)]
struct Names {
    scans: AtomicU32,
    index: OnceLock<NameIndex>,
}

impl Clone for Names {
    fn clone(&self) -> Self {
        Self { scans: AtomicU32::new(self.scans.load(Ordering::Relaxed)), index: self.index.clone() }
    }
}

impl Names {
    fn size(&self) -> usize {
        self.index.get().map_or(0, NameIndex::size)
    }
}

/// Four of five names in a kernel's blob are those of functions, which few ask for: they have an index of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Functions,
    Others,
}

impl Class {
    fn of(info: Info) -> Self {
        if info.kind() == number::FUNC { Self::Functions } else { Self::Others }
    }
}

impl fmt::Debug for Btf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types = self.first..self.first.saturating_add(self.count());
        f.debug_struct("Btf").field("source", &self.source).field("types", &types).finish_non_exhaustive()
    }
}

impl PartialEq for Btf {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes() && self.base == other.base
    }
}

impl Eq for Btf {}

impl Btf {
    /// Opens a blob: checks the header, that every type is complete and of a known kind, and the frame of the strings.
    ///
    /// # Errors
    /// The first thing that is wrong, with its offset in the blob.
    pub fn parse(source: impl Into<Source>) -> Result<Self, BtfError> {
        Self::open(source.into(), None)
    }

    /// Opens a blob whose numbers of types and strings go on after those of a base, such as a module's after the
    /// kernel's.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse), and more than 2^32 types or bytes of strings in the blob and its bases.
    pub fn parse_split(base: Arc<Self>, source: impl Into<Source>) -> Result<Self, BtfError> {
        Self::open(source.into(), Some(base))
    }

    fn open(source: Source, base: Option<Arc<Self>>) -> Result<Self, BtfError> {
        let bytes = source.bytes();
        let header_len = header(bytes, HEADER)?;
        let [type_off, type_len, str_off, str_len] = words(bytes, 8, "the header")?;
        let types = part(bytes, header_len, type_off, type_len, "the types")?;
        let strings = part(bytes, header_len, str_off, str_len, "the strings")?;
        let framed = match bytes.get(strings.clone()).unwrap_or_default() {
            [] => base.is_some(),
            [only] => *only == 0,
            // The strings of a split blob begin with a name: offset 0 is the base's empty string.
            [first, .., last] => (*first == 0 || base.is_some()) && *last == 0,
        };
        if !framed {
            return Err(BtfError::new(strings.start, Problem::Strings));
        }
        let mut index = index(&bytes[..types.end], types.start)?;
        index.shrink_to_fit();
        let (first, first_string) = match &base {
            None => (1, 0),
            Some(base) => {
                let too_large = || BtfError::new(0, Problem::TooLarge);
                let first = base.first.checked_add(base.count()).ok_or_else(too_large)?;
                let strings = base.first_string.checked_add(base.strings.len() as u32).ok_or_else(too_large)?;
                strings.checked_add(str_len).ok_or_else(too_large)?;
                first.checked_add(index.len() as u32).ok_or_else(too_large)?;
                (first, strings)
            }
        };
        Ok(Self {
            source,
            base,
            first,
            first_string,
            index,
            strings,
            functions: Names::default(),
            others: Names::default(),
        })
    }

    /// The blob itself.
    pub fn bytes(&self) -> &[u8] {
        self.source.bytes()
    }

    /// The blob that this one goes on from.
    pub fn base(&self) -> Option<&Arc<Self>> {
        self.base.as_ref()
    }

    /// Number of types of this blob, without void and without those of the base.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no type but void and those of the base.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Every type of this blob but void, in the order of the numbers; not those of the base.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = TypeId> + Clone + use<> {
        let first = self.first;
        (0..self.count()).map(move |index| TypeId(first + index))
    }

    /// Every type but void, in the order of the numbers, those of the base first.
    pub fn all_ids(&self) -> impl ExactSizeIterator<Item = TypeId> + Clone + use<> {
        (1..self.first + self.count()).map(TypeId)
    }

    /// The types of this blob and where their records start.
    pub(crate) fn places(&self) -> impl Iterator<Item = (TypeId, usize)> {
        (self.first..).zip(&self.index).map(|(id, at)| (TypeId(id), *at as usize))
    }

    /// The number that a type would have that comes after all others.
    pub fn next_id(&self) -> TypeId {
        TypeId(self.first + self.count())
    }

    /// Bytes of memory besides the blob itself and the base: the index of types, and that of names if it was made.
    pub fn index_size(&self) -> usize {
        4 * self.index.capacity() + self.functions.size() + self.others.size()
    }

    /// Number of types. Every record has twelve bytes, so that it fits.
    fn count(&self) -> u32 {
        self.index.len() as u32
    }

    /// The string that starts at an offset of the string section.
    ///
    /// # Errors
    /// An offset outside of the section, more than 65,535 bytes, bytes that are not UTF-8.
    pub fn string(&self, name: NameOff) -> Result<&str, BtfError> {
        let (bytes, at) = self.string_bytes(name)?;
        std::str::from_utf8(bytes).map_err(|_| BtfError::new(at, Problem::NotUtf8))
    }

    /// The bytes of a string and where they begin.
    pub(crate) fn string_bytes(&self, name: NameOff) -> Result<(&[u8], usize), BtfError> {
        if let (Some(base), true) = (&self.base, name.0 < self.first_string) {
            return base.string_bytes(name);
        }
        let offset = self.strings.start.saturating_add((name.0 - self.first_string) as usize);
        let strings = self.bytes().get(..self.strings.end).unwrap_or_default();
        let rest = strings.get(offset..).filter(|rest| !rest.is_empty());
        let rest = rest.ok_or(BtfError::new(self.strings.start, Problem::NoSuchString(name.0)))?;
        let rest = &rest[..rest.len().min(LONGEST_STRING)];
        let end = rest.iter().position(|byte| *byte == 0).ok_or(BtfError::new(offset, Problem::LongString))?;
        Ok((&rest[..end], offset))
    }

    /// Length of the strings with those of the base.
    pub(crate) fn strings_len(&self) -> u32 {
        self.first_string + self.strings.len() as u32
    }

    /// The strings of this blob and the offset of the first one.
    pub(crate) fn own_strings(&self) -> (u32, &[u8]) {
        (self.first_string, self.bytes().get(self.strings.clone()).unwrap_or_default())
    }

    /// The name of a type, empty for void and for anonymous ones.
    ///
    /// # Errors
    /// A type or string that does not exist.
    pub fn name(&self, id: TypeId) -> Result<&str, BtfError> {
        if id == TypeId::VOID {
            return Ok("");
        }
        let (blob, at) = self.position(id)?;
        blob.string(NameOff(u32_at(blob.bytes(), at, "a type")?))
    }

    /// The strings from an offset on; nothing if there are none.
    pub(crate) fn strings_from(&self, offset: u32) -> &[u8] {
        match (offset.checked_sub(self.first_string), &self.base) {
            (Some(own), _) => self.own_strings().1.get(own as usize..).unwrap_or_default(),
            (None, Some(base)) => base.strings_from(offset),
            (None, None) => &[],
        }
    }

    /// The first type with this name, those of the base first. The empty name is nobody's.
    ///
    /// The first calls read the names of all types (under a millisecond for the running kernel's), later ones use an
    /// index.
    pub fn find(&self, name: &str) -> Option<TypeId> {
        self.find_where(name, |_| true)
    }

    /// The first type with this name of which this holds, those of the base first. Who does not want functions asks
    /// [`find_type`](Self::find_type), which is cheaper.
    pub fn find_where(&self, name: &str, mut wanted: impl FnMut(&Kind<'_>) -> bool) -> Option<TypeId> {
        self.find_dyn(name, &[Class::Others, Class::Functions], &mut wanted)
    }

    /// The first function with this name, those of the base first.
    pub fn find_function(&self, name: &str) -> Option<TypeId> {
        self.find_dyn(name, &[Class::Functions], &mut |_| true)
    }

    /// The first type with this name that is no function and of which this holds, those of the base first.
    ///
    /// ```
    /// # use skep_btf::{Btf, Kind, TypeId};
    /// fn structure(btf: &Btf, name: &str) -> Option<TypeId> {
    ///     btf.find_type(name, |kind| matches!(kind, Kind::Struct(_)))
    /// }
    /// ```
    pub fn find_type(&self, name: &str, mut wanted: impl FnMut(&Kind<'_>) -> bool) -> Option<TypeId> {
        self.find_dyn(name, &[Class::Others], &mut wanted)
    }

    fn find_dyn(&self, name: &str, classes: &[Class], wanted: &mut dyn FnMut(&Kind<'_>) -> bool) -> Option<TypeId> {
        if let Some(found) = self.base.as_ref().and_then(|base| base.find_dyn(name, classes, wanted)) {
            return Some(found);
        }
        if name.is_empty() || name.len() >= LONGEST_STRING {
            return None;
        }
        let mut good = |id: TypeId| self.kind(id).is_ok_and(|kind| wanted(&kind));
        let in_class = |class: &Class| match self.name_index(*class) {
            Some(index) => {
                let candidates = index.candidates(essential(name.as_bytes())).iter().map(|id| TypeId(*id));
                candidates.filter(|id| self.name(*id) == Ok(name)).find(|id| good(*id))
            }
            None => self.scan(name.as_bytes(), *class, &mut good),
        };
        classes.iter().filter_map(in_class).min()
    }

    /// The types of this blob (not of the base) that are no functions and have this name when flavours are left aside, see
    /// [`essential_name`](crate::essential_name).
    pub fn find_flavours(&self, essential_name: &str) -> Vec<TypeId> {
        let wanted = essential_name.as_bytes();
        let index = self.others.index.get_or_init(|| self.make_index(Class::Others));
        let candidates = index.candidates(wanted).iter().map(|id| TypeId(*id));
        candidates.filter(|id| self.name(*id).is_ok_and(|name| essential(name.as_bytes()) == wanted)).collect()
    }

    fn names(&self, class: Class) -> &Names {
        match class {
            Class::Functions => &self.functions,
            Class::Others => &self.others,
        }
    }

    /// The index of names if there is one or if it is time to make it.
    fn name_index(&self, class: Class) -> Option<&NameIndex> {
        let names = self.names(class);
        let index = names.index.get();
        if index.is_some() || names.scans.load(Ordering::Relaxed) < SCANS {
            return index;
        }
        Some(names.index.get_or_init(|| self.make_index(class)))
    }

    /// The types of a class: number and offset of the name in the strings.
    fn named<'a>(&'a self, bytes: &'a [u8], class: Class) -> impl Iterator<Item = (u32, u32)> + 'a {
        let name = move |at: u32| {
            let [name, info, _] = words(bytes, at as usize, "a type").ok()?;
            (name != 0 && Class::of(Info(info)) == class).then_some(name)
        };
        (self.first..).zip(&self.index).filter_map(move |(id, at)| Some((id, name(*at)?)))
    }

    fn make_index(&self, class: Class) -> NameIndex {
        let strings = self.own_strings().1;
        let text = |offset: u32| match offset.checked_sub(self.first_string) {
            Some(own) => strings.get(own as usize..).unwrap_or_default(),
            None => self.strings_from(offset),
        };
        NameIndex::new(self.named(self.bytes(), class).map(|(id, name)| (id, text(name))))
    }

    /// Reads all names until one is the right one.
    fn scan(&self, name: &[u8], class: Class, good: &mut dyn FnMut(TypeId) -> bool) -> Option<TypeId> {
        self.names(class).scans.fetch_add(1, Ordering::Relaxed);
        let bytes = self.bytes();
        let strings = bytes.get(self.strings.clone()).unwrap_or_default();
        let is_name = |offset: u32| {
            // The name may also be among the strings of the base, where only the slow way looks.
            let Some(own) = offset.checked_sub(self.first_string) else {
                return self.string_bytes(NameOff(offset)).is_ok_and(|(found, _)| found == name);
            };
            let rest = strings.get(own as usize..).unwrap_or_default();
            rest.get(name.len()) == Some(&0) && rest.starts_with(name)
        };
        let named = self.named(bytes, class).filter(|(_, offset)| is_name(*offset));
        named.map(|(id, _)| TypeId(id)).find(|id| good(*id))
    }

    /// Takes a type apart.
    ///
    /// # Errors
    /// A type that does not exist.
    pub fn kind(&self, id: TypeId) -> Result<Kind<'_>, BtfError> {
        if id == TypeId::VOID {
            return Ok(Kind::Void);
        }
        let (blob, at) = self.position(id)?;
        let bytes = blob.bytes();
        let [_, info, last] = words(bytes, at, "a type")?;
        let info = Info(info);
        let start = at + COMMON;
        let len = info.rest().ok_or(BtfError::new(at + 4, Problem::Kind(info.kind())))?;
        let records = bytes.get(start..start + len).unwrap_or_default();
        let extra = || u32_at(bytes, start, "a type");
        let target = TypeId(last);
        let composite = Composite { size: last, bitfields: info.flag(), records };
        let values = Enum { size: last, signed: info.flag(), wide: info.kind() == number::ENUM64, records };
        Ok(match info.kind() {
            number::INT => Kind::Int(int(last, extra()?)),
            number::PTR => Kind::Ptr(target),
            number::ARRAY => {
                let [element, index, len] = words(bytes, start, "an array")?;
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
        Err(BtfError::new(self.offset(id), Problem::TooDeep))
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
        let place = |problem| BtfError::new(self.offset(id), problem);
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

    /// The flag of a type (`kind_flag`). It means something for `Fwd` (a union), structures (bit fields), enumerations
    /// (signed), and since Linux 6.15 for tags: the text is any attribute then, not the argument of `btf_type_tag`.
    ///
    /// # Errors
    /// A type that does not exist.
    pub fn kind_flag(&self, id: TypeId) -> Result<bool, BtfError> {
        Ok(id != TypeId::VOID && self.info(id)?.flag())
    }

    /// The second word of a record.
    pub(crate) fn info(&self, id: TypeId) -> Result<Info, BtfError> {
        let (blob, at) = self.position(id)?;
        u32_at(blob.bytes(), at + 4, "a type").map(Info)
    }

    /// The words of a record.
    pub(crate) fn record(&self, id: TypeId) -> Result<impl Iterator<Item = u32> + use<'_>, BtfError> {
        let (blob, at) = self.position(id)?;
        let info = self.info(id)?;
        let len = info.rest().ok_or(BtfError::new(at + 4, Problem::Kind(info.kind())))?;
        let record = blob.bytes().get(at..at + COMMON + len).unwrap_or_default();
        Ok(record.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)))
    }

    /// Where the record of a type starts in its blob, for errors.
    fn offset(&self, id: TypeId) -> usize {
        self.position(id).map_or(0, |(_, at)| at)
    }

    /// The blob in which a type is, this one or a base, and where its record starts there.
    fn position(&self, id: TypeId) -> Result<(&Self, usize), BtfError> {
        match id.0.checked_sub(self.first) {
            Some(index) => {
                let position = self.index.get(index as usize).map(|at| (self, *at as usize));
                position.ok_or(BtfError::new(0, Problem::NoSuchType(id.0)))
            }
            None => match &self.base {
                Some(base) => base.position(id),
                None => Err(BtfError::new(0, Problem::NoSuchType(id.0))),
            },
        }
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
