//! The kinds of types as views into the blob (`linux/btf.h`).

use crate::bytes::record;

/// Number of a type; 0 is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TypeId(pub u32);

impl TypeId {
    /// The absence of a type, which no record describes.
    pub const VOID: Self = Self(0);
}

/// Where a name starts in the string section; 0 is the empty name. [`Btf::string`](crate::Btf::string) reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct NameOff(pub u32);

/// A type taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Nothing, the target of `void *`.
    Void,
    /// An integer.
    Int(Int),
    /// A pointer to the type.
    Ptr(TypeId),
    /// An array.
    Array(Array),
    /// A structure.
    Struct(Composite<'a>),
    /// A union.
    Union(Composite<'a>),
    /// An enumeration with values of 32 bits.
    Enum(Enum<'a>),
    /// A structure (or union) that is only declared.
    Fwd {
        /// Whether it is a union.
        union: bool,
    },
    /// Another name for the type.
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
    FuncProto(FuncProto<'a>),
    /// A global variable.
    Var {
        /// Its type.
        ty: TypeId,
        /// Who can see it.
        linkage: Linkage,
    },
    /// A section with variables; clang leaves size and offsets for the loader to fill in.
    Datasec {
        /// Its size in bytes, 0 if it was not filled in.
        size: u32,
        /// Its variables.
        vars: Vars<'a>,
    },
    /// A floating-point number.
    Float {
        /// Size in bytes.
        size: u32,
    },
    /// An attribute `btf_decl_tag` of a declaration; the name is its text.
    DeclTag(DeclTag),
    /// The type with an attribute `btf_type_tag`; the name is its text.
    TypeTag(TypeId),
    /// An enumeration with values of 64 bits.
    Enum64(Enum<'a>),
}

impl Kind<'_> {
    /// The name of the kind as bpftool writes it and the constants `BTF_KIND_*` have it: `STRUCT`, `FUNC_PROTO`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Void => "VOID",
            Self::Int(_) => "INT",
            Self::Ptr(_) => "PTR",
            Self::Array(_) => "ARRAY",
            Self::Struct(_) => "STRUCT",
            Self::Union(_) => "UNION",
            Self::Enum(_) => "ENUM",
            Self::Fwd { .. } => "FWD",
            Self::Typedef(_) => "TYPEDEF",
            Self::Volatile(_) => "VOLATILE",
            Self::Const(_) => "CONST",
            Self::Restrict(_) => "RESTRICT",
            Self::Func { .. } => "FUNC",
            Self::FuncProto(_) => "FUNC_PROTO",
            Self::Var { .. } => "VAR",
            Self::Datasec { .. } => "DATASEC",
            Self::Float { .. } => "FLOAT",
            Self::DeclTag(_) => "DECL_TAG",
            Self::TypeTag(_) => "TYPE_TAG",
            Self::Enum64(_) => "ENUM64",
        }
    }
}

/// An integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Int {
    /// Size in bytes.
    pub size: u32,
    /// Bits that count, at most 8 times the size.
    pub bits: u8,
    /// Where the counting bits begin.
    pub bit_offset: u8,
    /// Whether it can be negative.
    pub signed: bool,
    /// Whether it is a character.
    pub char: bool,
    /// Whether it is a truth value.
    pub bool: bool,
}

/// An array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array {
    /// Type of the elements.
    pub element: TypeId,
    /// Type of the index.
    pub index: TypeId,
    /// Number of elements; 0 for a flexible array.
    pub len: u32,
}

/// Who can see a function or variable (`enum btf_func_linkage` and `BTF_VAR_*`, which agree).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linkage {
    /// Its file only.
    Static,
    /// Everybody.
    Global,
    /// Defined somewhere else.
    Extern,
    /// A number without meaning so far.
    Other(u32),
}

impl Linkage {
    pub(crate) const fn new(number: u32) -> Self {
        match number {
            0 => Self::Static,
            1 => Self::Global,
            2 => Self::Extern,
            other => Self::Other(other),
        }
    }

    /// The number in the blob.
    pub const fn number(self) -> u32 {
        match self {
            Self::Static => 0,
            Self::Global => 1,
            Self::Extern => 2,
            Self::Other(number) => number,
        }
    }
}

/// A structure or union.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Composite<'a> {
    /// Size in bytes.
    pub size: u32,
    /// Whether offsets of members carry the width of bit fields (`kind_flag`).
    pub(crate) bitfields: bool,
    pub(crate) records: &'a [u8],
}

/// A member of a structure or union.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its name, empty for anonymous ones.
    pub name: NameOff,
    /// Its type.
    pub ty: TypeId,
    /// Distance from the start of the structure in bits.
    pub bit_offset: u32,
    /// Width in bits if it is a bit field, else 0.
    pub bits: u8,
}

impl<'a> Composite<'a> {
    /// The members in the order of the declaration.
    pub fn members(&self) -> impl ExactSizeIterator<Item = Member> + use<'a> {
        let bitfields = self.bitfields;
        self.records.as_chunks::<12>().0.iter().map(move |bytes| {
            let [name, ty, offset] = record(bytes);
            let (bits, bit_offset) = if bitfields { ((offset >> 24) as u8, offset & 0xff_ffff) } else { (0, offset) };
            Member { name: NameOff(name), ty: TypeId(ty), bit_offset, bits }
        })
    }
}

/// An enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enum<'a> {
    /// Size in bytes.
    pub size: u32,
    /// Whether values can be negative. Older compilers do not say and leave this false.
    pub signed: bool,
    pub(crate) wide: bool,
    pub(crate) records: &'a [u8],
}

/// A constant of an enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enumerator {
    /// Its name.
    pub name: NameOff,
    /// Its value, extended by its sign if the enumeration is signed.
    pub value: i64,
}

impl<'a> Enum<'a> {
    /// The constants in the order of the declaration. A value of an unsigned 64-bit enumeration above `i64::MAX`
    /// appears as the negative number with the same bits.
    pub fn values(&self) -> impl ExactSizeIterator<Item = Enumerator> + use<'a> {
        let Self { signed, wide, records, .. } = *self;
        let size = if wide { 12 } else { 8 };
        records.chunks_exact(size).map(move |bytes| {
            let name = NameOff(record::<1>(bytes)[0]);
            let value = if wide {
                let [_, low, high] = record(bytes);
                (u64::from(high) << 32 | u64::from(low)).cast_signed()
            } else {
                let [_, value] = record(bytes);
                if signed { value.cast_signed().into() } else { value.into() }
            };
            Enumerator { name, value }
        })
    }
}

/// A prototype.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FuncProto<'a> {
    /// Type of the result.
    pub result: TypeId,
    pub(crate) records: &'a [u8],
}

/// A parameter. The last one of a variadic function has neither name nor type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: NameOff,
    /// Its type.
    pub ty: TypeId,
}

impl<'a> FuncProto<'a> {
    /// The parameters from left to right.
    pub fn params(&self) -> impl ExactSizeIterator<Item = Param> + use<'a> {
        self.records.as_chunks::<8>().0.iter().map(|bytes| {
            let [name, ty] = record(bytes);
            Param { name: NameOff(name), ty: TypeId(ty) }
        })
    }
}

/// The variables of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vars<'a> {
    pub(crate) records: &'a [u8],
}

/// A variable in a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionVar {
    /// The variable, a type of kind `Var` (or a function, for external ones).
    pub ty: TypeId,
    /// Distance from the start of the section in bytes; clang writes 0.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

impl<'a> Vars<'a> {
    /// The variables.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SectionVar> + use<'a> {
        self.records.as_chunks::<12>().0.iter().map(|bytes| {
            let [ty, offset, size] = record(bytes);
            SectionVar { ty: TypeId(ty), offset, size }
        })
    }
}

/// An attribute of a declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclTag {
    /// What is declared.
    pub target: TypeId,
    /// Which member or parameter, `None` for the whole.
    pub component: Option<u32>,
}
