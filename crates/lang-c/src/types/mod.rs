//! Types of C: interned, with their layout for BPF (LP64, little endian), and how they are written.
//!
//! What lives here: the types, record layout, types taken from the kernel's BTF when they are asked for, and the program's
//! own BTF. Which conversions are allowed is decided in `sema`.

pub mod emit;
pub mod kernel;
pub mod layout;
mod show;

use std::collections::HashMap;
use std::rc::Rc;

use skep_btf::TypeId;

/// An interned type without qualifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ty(pub u32);

/// A structure or union.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId(pub u32);

/// An enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnumId(pub u32);

/// A type with qualifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct QTy {
    /// The type.
    pub ty: Ty,
    /// Its qualifiers.
    pub quals: Quals,
}

/// `const`, `volatile`, `restrict` and the address space of arenas as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Quals(pub u8);

impl Quals {
    pub const NONE: Self = Self(0);
    pub const CONST: Self = Self(1);
    pub const VOLATILE: Self = Self(2);
    pub const RESTRICT: Self = Self(4);
    /// `__attribute__((address_space(1)))`: memory of an arena.
    pub const ARENA: Self = Self(8);

    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Integer types in the order of their names in C. Types of one size and sign may still differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IntTy {
    Bool,
    Char,
    SChar,
    UChar,
    Short,
    UShort,
    Int,
    UInt,
    Long,
    ULong,
    LongLong,
    ULongLong,
    Int128,
    UInt128,
}

impl IntTy {
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Char,
        Self::SChar,
        Self::UChar,
        Self::Short,
        Self::UShort,
        Self::Int,
        Self::UInt,
        Self::Long,
        Self::ULong,
        Self::LongLong,
        Self::ULongLong,
        Self::Int128,
        Self::UInt128,
    ];

    /// Bytes.
    pub const fn size(self) -> u64 {
        match self {
            Self::Bool | Self::Char | Self::SChar | Self::UChar => 1,
            Self::Short | Self::UShort => 2,
            Self::Int | Self::UInt => 4,
            Self::Long | Self::ULong | Self::LongLong | Self::ULongLong => 8,
            Self::Int128 | Self::UInt128 => 16,
        }
    }

    /// Plain `char` is signed.
    pub const fn signed(self) -> bool {
        matches!(self, Self::Char | Self::SChar | Self::Short | Self::Int | Self::Long | Self::LongLong | Self::Int128)
    }

    /// The unsigned type of the same rank.
    pub const fn unsigned(self) -> Self {
        match self {
            Self::Char | Self::SChar => Self::UChar,
            Self::Short => Self::UShort,
            Self::Int => Self::UInt,
            Self::Long => Self::ULong,
            Self::LongLong => Self::ULongLong,
            Self::Int128 => Self::UInt128,
            same => same,
        }
    }

    /// As it is written, and as BTF names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "_Bool",
            Self::Char => "char",
            Self::SChar => "signed char",
            Self::UChar => "unsigned char",
            Self::Short => "short",
            Self::UShort => "unsigned short",
            Self::Int => "int",
            Self::UInt => "unsigned int",
            Self::Long => "long",
            Self::ULong => "unsigned long",
            Self::LongLong => "long long",
            Self::ULongLong => "unsigned long long",
            Self::Int128 => "__int128",
            Self::UInt128 => "unsigned __int128",
        }
    }

    /// Place in the order of conversion.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Bool => 0,
            Self::Char | Self::SChar | Self::UChar => 1,
            Self::Short | Self::UShort => 2,
            Self::Int | Self::UInt => 3,
            Self::Long | Self::ULong => 4,
            Self::LongLong | Self::ULongLong => 5,
            Self::Int128 | Self::UInt128 => 6,
        }
    }

    /// A number of the type, extended to 128 bits by its sign or zeros.
    pub const fn widen(self, value: i64) -> i128 {
        if self.signed() { value as i128 } else { value.cast_unsigned() as i128 }
    }

    /// A number cut to the type and extended to 64 bits by its sign or zeros.
    pub const fn wrap(self, value: i64) -> i64 {
        match (self, self.size()) {
            (Self::Bool, _) => (value != 0) as i64,
            (_, 1) if self.signed() => value as i8 as i64,
            (_, 1) => value as u8 as i64,
            (_, 2) if self.signed() => value as i16 as i64,
            (_, 2) => value as u16 as i64,
            (_, 4) if self.signed() => value as i32 as i64,
            (_, 4) => value as u32 as i64,
            _ => value,
        }
    }
}

/// A function type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FuncTy {
    /// What it returns.
    pub ret: QTy,
    /// Its parameters.
    pub params: Vec<QTy>,
    /// Whether more may follow.
    pub variadic: bool,
}

/// What a type is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    Void,
    Int(IntTy),
    Ptr(QTy),
    /// Without a length it is incomplete, or a flexible member.
    Array(QTy, Option<u64>),
    Func(Rc<FuncTy>),
    Record(RecordId),
    Enum(EnumId),
    /// Another name; the number makes declarations in different scopes different.
    Typedef(Rc<str>, QTy, u32),
    /// A pointer target with `btf_type_tag`, or a member of the kernel's that is a floating-point number.
    Tagged(Rc<str>, QTy),
    /// A floating-point type: it can be declared by headers, but not used.
    Float(u8),
}

/// A member of a record.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name, empty for anonymous ones.
    pub name: Rc<str>,
    /// Its type.
    pub ty: QTy,
    /// Distance from the start in bits; a multiple of 8 unless it is a bit-field.
    pub bit_offset: u64,
    /// Width of a bit-field.
    pub bits: Option<u32>,
    /// Alignment in bytes that accesses may rely on.
    pub align: u64,
    /// `btf_decl_tag`.
    pub tags: Vec<Rc<str>>,
}

/// A structure or union.
#[derive(Debug, Clone)]
pub struct Record {
    pub union: bool,
    /// Its tag, empty for none.
    pub tag: Rc<str>,
    /// Members in order; `None` while it is only declared.
    pub members: Option<Vec<Member>>,
    pub size: u64,
    pub align: u64,
    /// Whether accesses are relocated.
    pub preserve: bool,
    /// Where members come from when they are first asked for.
    pub kernel: Option<TypeId>,
    /// Whether the definition is complete although members have not been asked for.
    pub known: bool,
    /// Whether it is a header of packets in the dialect of BCC: its address is an offset in the packet of the context.
    pub packet: bool,
}

/// An enumeration.
#[derive(Debug, Clone)]
pub struct Enum {
    pub tag: Rc<str>,
    /// The type of its values as they are stored.
    pub repr: IntTy,
    pub values: Vec<(Rc<str>, i64)>,
    pub complete: bool,
}

/// All types of a translation unit.
#[derive(Debug)]
pub struct Types {
    kinds: Vec<Kind>,
    numbers: HashMap<Kind, Ty>,
    pub records: Vec<Record>,
    pub enums: Vec<Enum>,
    pub kernel_types: HashMap<TypeId, QTy>,
    typedefs: u32,
}

const VOID: Ty = Ty(0);

impl Types {
    /// The basic types.
    pub fn new() -> Self {
        let mut types = Self {
            kinds: Vec::new(),
            numbers: HashMap::new(),
            records: Vec::new(),
            enums: Vec::new(),
            kernel_types: HashMap::new(),
            typedefs: 0,
        };
        types.intern(Kind::Void);
        for int in IntTy::ALL {
            types.intern(Kind::Int(int));
        }
        types
    }

    /// The number of a type.
    pub fn intern(&mut self, kind: Kind) -> Ty {
        if let Some(&ty) = self.numbers.get(&kind) {
            return ty;
        }
        let ty = Ty(u32::try_from(self.kinds.len()).unwrap_or(u32::MAX));
        self.kinds.push(kind.clone());
        self.numbers.insert(kind, ty);
        ty
    }

    pub const fn void() -> QTy {
        QTy { ty: VOID, quals: Quals::NONE }
    }

    pub const fn int(int: IntTy) -> QTy {
        QTy { ty: Ty(1 + int as u32), quals: Quals::NONE }
    }

    pub fn ptr(&mut self, to: QTy) -> QTy {
        self.plain(Kind::Ptr(to))
    }

    pub fn array(&mut self, of: QTy, len: Option<u64>) -> QTy {
        self.plain(Kind::Array(of, len))
    }

    pub fn plain(&mut self, kind: Kind) -> QTy {
        QTy { ty: self.intern(kind), quals: Quals::NONE }
    }

    pub fn typedef(&mut self, name: Rc<str>, of: QTy) -> QTy {
        self.typedefs += 1;
        let number = self.typedefs;
        self.plain(Kind::Typedef(name, of, number))
    }

    pub fn add_record(&mut self, record: Record) -> RecordId {
        self.records.push(record);
        RecordId(u32::try_from(self.records.len() - 1).unwrap_or(u32::MAX))
    }

    pub fn add_enum(&mut self, item: Enum) -> EnumId {
        self.enums.push(item);
        EnumId(u32::try_from(self.enums.len() - 1).unwrap_or(u32::MAX))
    }

    pub fn record(&self, id: RecordId) -> &Record {
        &self.records[id.0 as usize]
    }

    pub fn enumeration(&self, id: EnumId) -> &Enum {
        &self.enums[id.0 as usize]
    }

    /// The kind as declared, names of types included.
    pub fn raw(&self, ty: Ty) -> &Kind {
        &self.kinds[ty.0 as usize]
    }

    /// The type behind names, with all qualifiers on the way.
    pub fn strip(&self, mut ty: QTy) -> QTy {
        while let Kind::Typedef(_, of, _) | Kind::Tagged(_, of) = self.raw(ty.ty) {
            ty = QTy { ty: of.ty, quals: ty.quals.with(of.quals) };
        }
        ty
    }

    /// The kind behind names.
    pub fn kind(&self, ty: QTy) -> &Kind {
        self.raw(self.strip(ty).ty)
    }

    /// The integer type that values of a type have: that of an enumeration is its own.
    pub fn as_int(&self, ty: QTy) -> Option<IntTy> {
        match self.kind(ty) {
            Kind::Int(int) => Some(*int),
            Kind::Enum(id) => Some(self.enumeration(*id).repr),
            _ => None,
        }
    }

    pub fn pointee(&self, ty: QTy) -> Option<QTy> {
        match self.kind(ty) {
            Kind::Ptr(to) => Some(*to),
            _ => None,
        }
    }

    pub fn as_record(&self, ty: QTy) -> Option<RecordId> {
        match self.kind(ty) {
            Kind::Record(id) => Some(*id),
            _ => None,
        }
    }

    pub fn as_func(&self, ty: QTy) -> Option<Rc<FuncTy>> {
        match self.kind(ty) {
            Kind::Func(func) => Some(Rc::clone(func)),
            _ => None,
        }
    }

    /// The element of an array. It has the qualifiers of the array.
    pub fn element(&self, ty: QTy) -> Option<(QTy, Option<u64>)> {
        let stripped = self.strip(ty);
        match self.raw(stripped.ty) {
            Kind::Array(of, len) => Some((QTy { ty: of.ty, quals: of.quals.with(stripped.quals) }, *len)),
            _ => None,
        }
    }

    /// Whether objects of a type are in an arena.
    pub fn in_arena(&self, ty: QTy) -> bool {
        let stripped = self.strip(ty);
        stripped.quals.has(Quals::ARENA) || self.element(stripped).is_some_and(|(of, _)| self.in_arena(of))
    }

    /// Whether a pointer leads into an arena.
    pub fn leads_to_arena(&self, ty: QTy) -> bool {
        self.pointee(ty).is_some_and(|to| self.in_arena(to))
    }

    pub fn is_void(&self, ty: QTy) -> bool {
        matches!(self.kind(ty), Kind::Void)
    }

    pub fn is_ptr(&self, ty: QTy) -> bool {
        matches!(self.kind(ty), Kind::Ptr(_))
    }

    /// An integer, an enumeration or a pointer: what a condition can be.
    pub fn is_scalar(&self, ty: QTy) -> bool {
        self.as_int(ty).is_some() || self.is_ptr(ty)
    }

    /// Whether a register holds it.
    pub fn is_register(&self, ty: QTy) -> bool {
        self.is_ptr(ty) || self.as_int(ty).is_some_and(|int| int.size() <= 8)
    }

    /// Bytes, `None` for an incomplete type and for functions.
    pub fn size(&self, ty: QTy) -> Option<u64> {
        match self.kind(ty) {
            Kind::Void | Kind::Func(_) => None,
            Kind::Int(int) => Some(int.size()),
            Kind::Ptr(_) => Some(8),
            Kind::Array(of, len) => self.size(*of)?.checked_mul((*len)?).filter(|&size| size <= layout::LARGEST),
            Kind::Record(id) => {
                let record = self.record(*id);
                (record.members.is_some() || record.known).then_some(record.size)
            }
            Kind::Enum(id) => Some(self.enumeration(*id).repr.size()),
            Kind::Float(size) => Some((*size).into()),
            Kind::Typedef(..) | Kind::Tagged(..) => None,
        }
    }

    /// Alignment in bytes.
    pub fn align(&self, ty: QTy) -> u64 {
        match self.kind(ty) {
            Kind::Int(int) => int.size(),
            Kind::Ptr(_) => 8,
            Kind::Array(of, _) => self.align(*of),
            Kind::Record(id) => self.record(*id).align.max(1),
            Kind::Enum(id) => self.enumeration(*id).repr.size(),
            Kind::Float(size) => (*size).into(),
            _ => 1,
        }
    }

    /// Whether two types are the same for assignments and `_Generic`: names do not count, qualifiers behind pointers do.
    pub fn same(&self, one: QTy, other: QTy, quals: bool) -> bool {
        self.same_within(one, other, quals, 64)
    }

    fn same_within(&self, one: QTy, other: QTy, quals: bool, depth: u32) -> bool {
        let (one, other) = (self.strip(one), self.strip(other));
        if quals && one.quals != other.quals {
            return false;
        }
        if one.ty == other.ty || depth == 0 {
            return true;
        }
        match (self.raw(one.ty), self.raw(other.ty)) {
            (Kind::Ptr(a), Kind::Ptr(b)) => {
                self.in_arena(*a) == self.in_arena(*b) && self.same_within(*a, *b, quals, depth - 1)
            }
            (Kind::Array(a, n), Kind::Array(b, m)) => {
                (n == m || n.is_none() || m.is_none()) && self.same_within(*a, *b, quals, depth - 1)
            }
            (Kind::Func(a), Kind::Func(b)) => {
                a.variadic == b.variadic
                    && a.params.len() == b.params.len()
                    && self.same_within(a.ret, b.ret, false, depth - 1)
                    && a.params.iter().zip(&b.params).all(|(a, b)| self.same_within(*a, *b, false, depth - 1))
            }
            (Kind::Record(a), Kind::Record(b)) => {
                let (a, b) = (self.record(*a), self.record(*b));
                a.kernel.is_some() && a.kernel == b.kernel
            }
            (Kind::Enum(id), Kind::Int(int)) | (Kind::Int(int), Kind::Enum(id)) => self.enumeration(*id).repr == *int,
            _ => false,
        }
    }
}
