//! The types that a script defines in C, laid out as a C compiler for 64-bit Linux lays them out.
//!
//! Packed composites, bit-fields (as in the System V ABI), arrays, members without a name, enumerations, typedefs. Types that
//! the script does not define are asked of [`ForeignTypes`], which usually means BTF.

use std::collections::HashMap;
use std::sync::Arc;

use skep_diag::{Diagnostic, Span};

use crate::ast::{Definition, Expr, ExprKind, Member, Name, Spanned, TypeExpr, TypeKind, TypeOrExpr};
use crate::consts;
use crate::words;

/// Bytes of the largest type.
pub const MAX_SIZE: u64 = 1 << 32;

/// Bytes of a pointer.
const POINTER: u64 = 8;

/// An integer type: name, bytes, whether it has a sign.
pub type Integer = (&'static str, u64, bool);

// TABLE
/// The integer types that C, the kernel and the language have without a definition.
pub const INTEGERS: &[Integer] = &[
    ("char", 1, true),
    ("signed char", 1, true),
    ("unsigned char", 1, false),
    ("short", 2, true),
    ("unsigned short", 2, false),
    ("int", 4, true),
    ("unsigned int", 4, false),
    ("long", 8, true),
    ("unsigned long", 8, false),
    ("long long", 8, true),
    ("unsigned long long", 8, false),
    ("_Bool", 1, false),
    ("bool", 1, false),
    ("int8", 1, true),
    ("int16", 2, true),
    ("int32", 4, true),
    ("int64", 8, true),
    ("uint8", 1, false),
    ("uint16", 2, false),
    ("uint32", 4, false),
    ("uint64", 8, false),
    ("int8_t", 1, true),
    ("int16_t", 2, true),
    ("int32_t", 4, true),
    ("int64_t", 8, true),
    ("uint8_t", 1, false),
    ("uint16_t", 2, false),
    ("uint32_t", 4, false),
    ("uint64_t", 8, false),
    ("s8", 1, true),
    ("s16", 2, true),
    ("s32", 4, true),
    ("s64", 8, true),
    ("u8", 1, false),
    ("u16", 2, false),
    ("u32", 4, false),
    ("u64", 8, false),
    ("__s8", 1, true),
    ("__s16", 2, true),
    ("__s32", 4, true),
    ("__s64", 8, true),
    ("__u8", 1, false),
    ("__u16", 2, false),
    ("__u32", 4, false),
    ("__u64", 8, false),
    ("__be16", 2, false),
    ("__be32", 4, false),
    ("__be64", 8, false),
    ("__le16", 2, false),
    ("__le32", 4, false),
    ("__le64", 8, false),
    ("gid_t", 4, false),
    ("uid_t", 4, false),
    ("pid_t", 4, true),
    ("size_t", 8, false),
    ("ssize_t", 8, true),
    ("off_t", 8, true),
    ("loff_t", 8, true),
    ("ptrdiff_t", 8, true),
    ("intptr_t", 8, true),
    ("uintptr_t", 8, false),
];

/// The integer type of that name: bytes, and whether it has a sign.
pub fn integer(name: &str) -> Option<(u64, bool)> {
    INTEGERS.iter().find(|(known, ..)| *known == name).map(|(_, size, signed)| (*size, *signed))
}

/// Types that are defined elsewhere.
pub trait ForeignTypes {
    /// Bytes and alignment of a `struct`, `union`, `enum` or typedef ([`TypeKind::Named`]), if there is one of that name.
    fn size_align(&self, ty: &TypeKind) -> Option<(u64, u64)>;
}

/// No types from elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct NoTypes;

impl ForeignTypes for NoTypes {
    fn size_align(&self, _: &TypeKind) -> Option<(u64, u64)> {
        None
    }
}

/// A `struct` or `union` with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composite {
    /// Whether all members begin at the start.
    pub union: bool,
    /// Bytes in all.
    pub size: u64,
    /// What its address is a multiple of.
    pub align: u64,
    /// Its members in order; those of members without a name are among them.
    pub members: Vec<Place>,
}

/// Where a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: Arc<str>,
    /// Its type. A composite without a name of its own is called after where it stands: `struct outer::member`.
    pub ty: TypeExpr,
    /// Bytes before it; for a bit-field those before the byte in which it begins.
    pub offset: u64,
    /// For a bit-field: bits of that byte before it, and its bits.
    pub bits: Option<(u32, u32)>,
}

/// An enumeration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enumeration {
    /// Bytes: 4, or 8 if a value needs it.
    pub size: u64,
    /// Names and values in order.
    pub values: Vec<(Arc<str>, i128)>,
}

/// All types that a script defines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Types {
    /// Structs and unions by name.
    pub composites: HashMap<Arc<str>, Composite>,
    /// Enumerations by name.
    pub enums: HashMap<Arc<str>, Enumeration>,
    /// Values of enumerations by name, those of enumerations without a name included.
    pub enumerators: HashMap<Arc<str>, i128>,
    /// What typedefs stand for.
    pub typedefs: HashMap<Arc<str>, TypeExpr>,
}

/// Lays out the types of a script, whose preprocessor lines and constants were dealt with before.
pub fn collect(definitions: &[Spanned<Definition>], foreign: &dyn ForeignTypes) -> (Types, Vec<Diagnostic>) {
    let mut builder = Builder { types: Types::default(), foreign, diagnostics: Vec::new() };
    for definition in definitions {
        if let Err((span, message, help)) = builder.define(&definition.node) {
            builder.diagnostics.push(Diagnostic::error(span, message).with_help(help));
        }
    }
    (builder.types, builder.diagnostics)
}

/// Where, what is wrong, a remedy.
type Wrong = (Span, String, String);

struct Builder<'f> {
    types: Types,
    foreign: &'f dyn ForeignTypes,
    diagnostics: Vec<Diagnostic>,
}

/// A composite that is being laid out.
struct Laying {
    union: bool,
    packed: bool,
    /// The first free bit.
    bit: u64,
    /// Bits up to the end of the longest member of a union.
    longest: u64,
    align: u64,
    members: Vec<Place>,
}

impl Laying {
    const fn new(union: bool, packed: bool) -> Self {
        Self { union, packed, bit: 0, longest: 0, align: 1, members: Vec::new() }
    }

    /// Makes room for bits at a multiple of `unit` bits; gives the first one.
    fn place(&mut self, bits: u64, unit: u64, span: Span) -> Result<u64, Wrong> {
        let start = if self.union { 0 } else { self.bit.next_multiple_of(unit) };
        let end = start.saturating_add(bits);
        if end > MAX_SIZE * 8 {
            return Err((span, "this type is too large".into(), format!("{MAX_SIZE} bytes are the limit")));
        }
        self.bit = end;
        self.longest = self.longest.max(end);
        Ok(start)
    }
}

impl Builder<'_> {
    fn define(&mut self, definition: &Definition) -> Result<(), Wrong> {
        match definition {
            Definition::Composite { name, union, packed, align, members } => {
                fresh(name, self.types.composites.contains_key(&name.node))?;
                let mut composite = self.lay_out(&name.node, *union, *packed, members)?;
                if let Some(align) = align {
                    composite.align = composite.align.max(u64::from(*align));
                    composite.size = composite.size.next_multiple_of(composite.align);
                }
                self.types.composites.insert(name.node.clone(), composite);
            }
            Definition::Enum { name, values } => {
                if let Some(name) = name {
                    fresh(name, self.types.enums.contains_key(&name.node))?;
                }
                self.enumeration(name.as_ref(), values)?;
            }
            Definition::Typedef { name, ty } => {
                fresh(name, self.types.typedefs.contains_key(&name.node))?;
                self.types.typedefs.insert(name.node.clone(), ty.clone());
            }
            Definition::Include { .. } | Definition::Constant { .. } | Definition::Directive(_) => {}
        }
        Ok(())
    }

    fn enumeration(&mut self, name: Option<&Name>, values: &[(Name, Option<Expr>)]) -> Result<(), Wrong> {
        let mut list = Vec::new();
        let mut next = 0;
        for (name, value) in values {
            if let Some(value) = value {
                next = self.constant(value)?;
            }
            if !(i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&next) {
                let help = "values go from -2^63 to 2^64 - 1".into();
                return Err((name.span, format!("the value of `{}` is too large", name.node), help));
            }
            self.types.enumerators.insert(name.node.clone(), next);
            list.push((name.node.clone(), next));
            next += 1;
        }
        let small = list.iter().all(|(_, value)| (i128::from(i32::MIN)..=i128::from(u32::MAX)).contains(value));
        if let Some(name) = name {
            let size = if small { 4 } else { 8 };
            self.types.enums.insert(name.node.clone(), Enumeration { size, values: list });
        }
        Ok(())
    }

    fn lay_out(&mut self, name: &str, union: bool, packed: bool, members: &[Member]) -> Result<Composite, Wrong> {
        let mut laying = Laying::new(union, packed);
        for (index, member) in members.iter().enumerate() {
            if let Some(name) = &member.name
                && laying.members.iter().any(|other| other.name == name.node)
            {
                let message = format!("there is a member `{}` already", name.node);
                return Err((name.span, message, "rename one of them".into()));
            }
            match (&member.inner, member.bits) {
                (Some((inner_union, inner)), _) => {
                    self.inner(&mut laying, (name, index), member, *inner_union, inner)?
                }
                (None, Some(bits)) => self.bit_field(&mut laying, member, bits)?,
                (None, None) => self.ordinary(&mut laying, member, &member.ty)?,
            }
        }
        let bytes = laying.longest.div_ceil(8);
        let size = bytes.next_multiple_of(laying.align);
        Ok(Composite { union, size, align: laying.align, members: laying.members })
    }

    fn ordinary(&mut self, laying: &mut Laying, member: &Member, ty: &TypeExpr) -> Result<(), Wrong> {
        let (size, align) = self.size_align(ty)?;
        let align = if laying.packed { 1 } else { align };
        let bit = laying.place(size.saturating_mul(8), align.saturating_mul(8), ty.span)?;
        laying.align = laying.align.max(align);
        if let Some(name) = &member.name {
            laying.members.push(Place { name: name.node.clone(), ty: ty.clone(), offset: bit / 8, bits: None });
        }
        Ok(())
    }

    /// A composite without a name of its own; if the member has none either, its members become those of the outer one.
    fn inner(
        &mut self,
        laying: &mut Laying,
        (outer, index): (&str, usize),
        member: &Member,
        union: bool,
        inner: &[Member],
    ) -> Result<(), Wrong> {
        let own = member.name.as_ref().map_or_else(|| index.to_string(), |name| name.node.to_string());
        let name: Arc<str> = format!("{outer}::{own}").into();
        let composite = self.lay_out(&name, union, false, inner)?;
        let members = composite.members.clone();
        self.types.composites.insert(name.clone(), composite);
        let ty = renamed(&member.ty, &name);
        let before = laying.members.len();
        self.ordinary(laying, member, &ty)?;
        if member.name.is_none() {
            let (size, _) = self.size_align(&ty)?;
            let start = if laying.union { 0 } else { laying.bit / 8 - size };
            for place in members {
                if laying.members[..before].iter().any(|other| other.name == place.name) {
                    let message = format!("there is a member `{}` already", place.name);
                    return Err((member.ty.span, message, "rename one of them".into()));
                }
                laying.members.push(Place { offset: start + place.offset, ..place });
            }
        }
        Ok(())
    }

    fn bit_field(&mut self, laying: &mut Laying, member: &Member, bits: u32) -> Result<(), Wrong> {
        let (size, align) = self.size_align(&member.ty)?;
        let unit = size * 8;
        let wrong = |message: &str, help: &str| Err((member.ty.span, message.to_owned(), help.to_owned()));
        if !self.is_integer(&member.ty, 0) {
            return wrong("bits can be counted only in integers", "use a type such as `unsigned int`");
        }
        if u64::from(bits) > unit {
            return wrong("the type has fewer bits", "use a larger type or fewer bits");
        }
        if bits == 0 {
            if member.name.is_some() {
                return wrong("a member with a name has at least one bit", "leave the name out to end the unit");
            }
            laying.place(0, unit, member.ty.span)?;
            return Ok(());
        }
        // Without `packed`, the bits lie within one unit of the type.
        let free = unit - laying.bit % unit;
        let step = if !laying.packed && u64::from(bits) > free { unit } else { 1 };
        let bit = laying.place(u64::from(bits), step, member.ty.span)?;
        if let Some(name) = &member.name {
            if !laying.packed {
                laying.align = laying.align.max(align);
            }
            let within = u32::try_from(bit % 8).unwrap_or_default();
            let (name, ty) = (name.node.clone(), member.ty.clone());
            laying.members.push(Place { name, ty, offset: bit / 8, bits: Some((within, bits)) });
        }
        Ok(())
    }

    fn is_integer(&self, ty: &TypeExpr, depth: u32) -> bool {
        match &ty.node {
            TypeKind::Enum(_) => true,
            TypeKind::Named(name) => match self.types.typedefs.get(name) {
                Some(other) => depth < 64 && self.is_integer(other, depth + 1),
                None => integer(name).is_some(),
            },
            _ => false,
        }
    }

    /// Bytes and alignment of a type.
    fn size_align(&self, ty: &TypeExpr) -> Result<(u64, u64), Wrong> {
        self.size_align_within(ty, 0)
    }

    fn size_align_within(&self, ty: &TypeExpr, depth: u32) -> Result<(u64, u64), Wrong> {
        if depth > 64 {
            return Err((ty.span, "this type is made of itself".into(), "look at its typedefs".into()));
        }
        match &ty.node {
            TypeKind::Pointer(_) => Ok((POINTER, POINTER)),
            TypeKind::Array(inner, count) => {
                let (size, align) = self.size_align_within(inner, depth + 1)?;
                let count = match count {
                    Some(count) => self.length(count)?,
                    None => 0,
                };
                let total = size.checked_mul(count).filter(|total| *total <= MAX_SIZE);
                let total = total.ok_or_else(|| {
                    (ty.span, "this type is too large".into(), format!("{MAX_SIZE} bytes are the limit"))
                })?;
                Ok((total, align))
            }
            TypeKind::Struct(name) | TypeKind::Union(name) => match self.types.composites.get(name) {
                Some(composite) => Ok((composite.size, composite.align)),
                None => self.foreign(ty, name),
            },
            TypeKind::Enum(name) => match self.types.enums.get(name) {
                Some(found) => Ok((found.size, found.size)),
                None => self.foreign(ty, name),
            },
            TypeKind::Named(name) => {
                if let Some(other) = self.types.typedefs.get(name) {
                    return self.size_align_within(other, depth + 1);
                }
                match (integer(name), &**name) {
                    (Some((size, _)), _) => Ok((size, size)),
                    (None, "double" | "float") => {
                        let size = if &**name == "float" { 4 } else { 8 };
                        Ok((size, size))
                    }
                    (None, "void") => Err((ty.span, "`void` has no size".into(), "a pointer has one: `void *`".into())),
                    _ => self.foreign(ty, name),
                }
            }
            TypeKind::Tuple(_) | TypeKind::Typeof(_) => {
                Err((ty.span, "this is no type of C".into(), "members of structs have types of C".into()))
            }
        }
    }

    fn foreign(&self, ty: &TypeExpr, name: &str) -> Result<(u64, u64), Wrong> {
        self.foreign.size_align(&ty.node).ok_or_else(|| {
            let own = self.types.composites.keys().chain(self.types.typedefs.keys()).chain(self.types.enums.keys());
            let names = own.map(|name| &**name).chain(INTEGERS.iter().map(|(name, ..)| *name));
            let help = match words::nearest(name, names) {
                Some(likely) => format!("did you mean `{likely}`?"),
                None => "define it before it is used; types of the kernel need BTF".into(),
            };
            (ty.span, format!("the type `{name}` is not known"), help)
        })
    }

    fn length(&self, count: &Expr) -> Result<u64, Wrong> {
        let value = self.constant(count)?;
        let help = || "write a number that is not negative".into();
        u64::try_from(value).map_err(|_| (count.span, format!("an array cannot have {value} elements"), help()))
    }

    fn constant(&self, expr: &Expr) -> Result<i128, Wrong> {
        let lookup = |expr: &Expr| match &expr.node {
            ExprKind::Ident(name) => Some(match self.types.enumerators.get(name) {
                Some(value) => Ok(*value),
                None => Err(format!("the constant `{name}` is not known")),
            }),
            ExprKind::Sizeof(of) => match &**of {
                TypeOrExpr::Type(ty) => Some(match self.size_align(ty) {
                    Ok((size, _)) => Ok(i128::from(size)),
                    Err((_, message, _)) => Err(message),
                }),
                TypeOrExpr::Expr(_) => None,
            },
            _ => None,
        };
        let help = "use numbers, `#define`, values of enumerations and `sizeof(type)`";
        consts::evaluate(expr, &lookup).map_err(|(span, message)| (span, message, help.into()))
    }
}

/// An error if there is something of that name already.
fn fresh(name: &Name, exists: bool) -> Result<(), Wrong> {
    if exists {
        return Err((name.span, format!("`{}` is defined already", name.node), "remove one of the definitions".into()));
    }
    Ok(())
}

/// The type of a member with the name that its composite got.
fn renamed(ty: &TypeExpr, name: &Arc<str>) -> TypeExpr {
    let node = match &ty.node {
        TypeKind::Struct(_) => TypeKind::Struct(name.clone()),
        TypeKind::Union(_) => TypeKind::Union(name.clone()),
        TypeKind::Pointer(inner) => TypeKind::Pointer(Box::new(renamed(inner, name))),
        TypeKind::Array(inner, size) => TypeKind::Array(Box::new(renamed(inner, name)), size.clone()),
        other => other.clone(),
    };
    Spanned::new(node, ty.span)
}

#[cfg(test)]
mod tests;
