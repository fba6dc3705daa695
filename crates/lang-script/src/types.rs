//! The types of the language: what an expression can be, how it is stored, how types come together.
//!
//! What a value looks like in a record, a key or a map is its [`Shape`]; there is one way from a type to its shape.

use std::fmt;
use std::sync::Arc;

use crate::plan::{Enumeration, Field, Shape, StackKey, StackMode, lay_out};

pub mod btf;
pub mod definitions;
pub mod format;
mod source;
pub mod user;
mod walk;

pub use source::{Composite, CompositeId, Member, NoTypes, Parameter, Prototype, Step, Tag, TypeSource};

/// The address space that a pointer points into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Space {
    /// Not known: the kernel tells by the address, where it can.
    #[default]
    Unknown,
    /// The kernel.
    Kernel,
    /// The process.
    User,
}

/// A type of the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// Not known so far.
    Unknown,
    /// No value.
    Void,
    /// A truth value.
    Bool,
    /// An integer of 1, 2, 4 or 8 bytes.
    Int {
        /// Bytes.
        bytes: u8,
        /// Whether it has a sign.
        signed: bool,
    },
    /// An integer whose values have names.
    Enum {
        /// Bytes.
        bytes: u8,
        /// Whether it has a sign.
        signed: bool,
        /// The names.
        names: Arc<Enumeration>,
    },
    /// An address of something.
    Pointer(Arc<Self>, Space),
    /// A structure or union of C.
    Composite(CompositeId),
    /// So many elements without gaps.
    Array(Arc<Self>, u32),
    /// Text in so many bytes; a zero ends it.
    Text(u32),
    /// Several values.
    Tuple(Vec<Self>),
    /// Several values with names.
    Record(Vec<(Arc<str>, Self)>),
    /// What only the host understands: a stack trace, an address of the network, a symbol.
    Host(Shape),
}

impl Type {
    /// A signed integer of 8 bytes.
    pub const I64: Self = Self::int(8, true);
    /// An unsigned integer of 8 bytes.
    pub const U64: Self = Self::int(8, false);
    /// An unsigned integer of 4 bytes.
    pub const U32: Self = Self::int(4, false);

    /// An integer.
    pub const fn int(bytes: u8, signed: bool) -> Self {
        Self::Int { bytes, signed }
    }

    /// A pointer to this.
    pub fn pointer(self, space: Space) -> Self {
        Self::Pointer(Arc::new(self), space)
    }

    /// Bytes and sign, if a register holds a value.
    pub fn scalar(&self) -> Option<(u8, bool)> {
        match self {
            Self::Bool => Some((1, false)),
            Self::Int { bytes, signed } | Self::Enum { bytes, signed, .. } => Some((*bytes, *signed)),
            Self::Pointer(..) => Some((8, false)),
            Self::Host(shape) => match shape {
                Shape::KernelSymbol | Shape::Time(_) | Shape::CgroupPath(_) | Shape::SyscallName => Some((8, false)),
                Shape::User => Some((4, false)),
                Shape::ErrorText | Shape::SignalName => Some((4, true)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether one can calculate with it.
    pub const fn is_number(&self) -> bool {
        matches!(self, Self::Bool | Self::Int { .. } | Self::Enum { .. })
    }

    /// Whether it can be a condition.
    pub const fn is_condition(&self) -> bool {
        self.is_number() || matches!(self, Self::Pointer(..))
    }

    /// Whether the number has a sign.
    pub const fn is_signed(&self) -> bool {
        matches!(self, Self::Int { signed: true, .. } | Self::Enum { signed: true, .. })
    }

    /// How it is stored. `enumeration` gives the index of an enumeration in the plan, `composite` the bytes and alignment
    /// of a composite.
    pub fn shape(&self, context: &mut dyn ShapeContext) -> Shape {
        match self {
            Self::Unknown | Self::Void => Shape::Void,
            Self::Bool => Shape::Bool,
            Self::Int { bytes, signed } => Shape::Int { bytes: *bytes, signed: *signed },
            Self::Enum { bytes, names, .. } => Shape::Enum { bytes: *bytes, enumeration: context.enumeration(names) },
            Self::Pointer(..) => Shape::Pointer,
            Self::Composite(id) => {
                // The host prints composites of C as their bytes.
                Shape::Array(Box::new(Shape::Int { bytes: 1, signed: false }), context.composite_size(*id))
            }
            Self::Array(element, count) => Shape::Array(Box::new(element.shape(context)), *count),
            Self::Text(len) => Shape::Text(*len),
            Self::Tuple(parts) => {
                let shapes: Vec<Shape> = parts.iter().map(|part| part.shape(context)).collect();
                Shape::Tuple(lay_out(0, shapes))
            }
            Self::Record(parts) => {
                let shapes: Vec<Shape> = parts.iter().map(|part| part.1.shape(context)).collect();
                let fields: Vec<Field> = lay_out(0, shapes);
                Shape::Record(parts.iter().map(|part| part.0.clone()).zip(fields).collect())
            }
            Self::Host(shape) => shape.clone(),
        }
    }
}

/// What is needed to lay out a type.
pub trait ShapeContext {
    /// The index of an enumeration in the plan.
    fn enumeration(&mut self, names: &Arc<Enumeration>) -> u32;
    /// Bytes of a composite.
    fn composite_size(&self, id: CompositeId) -> u32;
}

/// The name of a type of values that the host prints.
pub const fn host_name(shape: &Shape) -> &'static str {
    match shape {
        Shape::Buffer(_) => "buffer",
        Shape::Inet => "inet",
        Shape::Mac => "mac_address",
        Shape::KernelSymbol => "ksym_t",
        Shape::UserSymbol => "usym_t",
        Shape::Stack { kernel: true, .. } => "kstack_t",
        Shape::Stack { dwarf: true, .. } => "dw_ustack_t",
        Shape::Stack { kernel: false, .. } => "ustack_t",
        Shape::User => "username_t",
        Shape::Time(_) => "timestamp",
        Shape::CgroupPath(_) => "cgroup_path_t",
        _ => "value",
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Void => f.write_str("void"),
            Self::Bool => f.write_str("bool"),
            Self::Int { bytes, signed } => write!(f, "{}int{}", if *signed { "" } else { "u" }, u32::from(*bytes) * 8),
            Self::Enum { names, .. } => write!(f, "enum {}", names.name),
            Self::Pointer(to, _) => write!(f, "{to}*"),
            Self::Composite(_) => f.write_str("struct"),
            Self::Array(element, count) => write!(f, "{element}[{count}]"),
            Self::Text(len) => write!(f, "string[{len}]"),
            Self::Tuple(parts) => {
                f.write_str("(")?;
                for (at, part) in parts.iter().enumerate() {
                    write!(f, "{}{part}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str(")")
            }
            Self::Record(parts) => {
                f.write_str("{")?;
                for (at, (name, part)) in parts.iter().enumerate() {
                    write!(f, "{}.{name} = {part}", if at == 0 { " " } else { ", " })?;
                }
                f.write_str(" }")
            }
            Self::Host(shape) => f.write_str(host_name(shape)),
        }
    }
}

/// How two types come together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// Into this type.
    Into(Type),
    /// Into this type, but values of one can be out of its range.
    Lossy(Type),
    /// Not at all.
    Never,
}

/// The type that holds the values of both: the wider integer, the longer text.
pub fn merge(left: &Type, right: &Type) -> Merged {
    use Type::{Array, Bool, Enum, Int, Pointer, Record, Text, Tuple, Unknown};
    match (left, right) {
        (Unknown, other) | (other, Unknown) => Merged::Into(other.clone()),
        (same, other) if same == other => Merged::Into(same.clone()),
        (Int { bytes: a, signed: s }, Int { bytes: b, signed: t }) => {
            if s == t {
                return Merged::Into(Type::int(*a.max(b), *s));
            }
            let (unsigned, signed) = if *s { (*b, *a) } else { (*a, *b) };
            if unsigned < signed {
                Merged::Into(Type::int(signed, true))
            } else if unsigned < 8 {
                Merged::Into(Type::int(unsigned * 2, true))
            } else {
                Merged::Lossy(Type::I64)
            }
        }
        (Bool, Int { bytes, signed }) | (Int { bytes, signed }, Bool) => Merged::Into(Type::int(*bytes, *signed)),
        (Enum { bytes, signed, .. }, other @ Int { .. }) | (other @ Int { .. }, Enum { bytes, signed, .. }) => {
            merge(&Type::int(*bytes, *signed), other)
        }
        (Enum { bytes: a, signed: s, .. }, Enum { bytes: b, signed: t, .. }) => {
            merge(&Type::int(*a, *s), &Type::int(*b, *t))
        }
        (Pointer(a, s), Pointer(b, t)) => {
            let space = if s == t { *s } else { Space::Unknown };
            let to = if a == b { a.clone() } else { Arc::new(Type::Void) };
            Merged::Into(Pointer(to, space))
        }
        // A number in place of a pointer is mostly 0.
        (pointer @ Pointer(..), Int { .. }) | (Int { .. }, pointer @ Pointer(..)) => Merged::Into(pointer.clone()),
        (Text(a), Text(b)) => Merged::Into(Text(*a.max(b))),
        (Type::Host(Shape::Buffer(a)), Type::Host(Shape::Buffer(b))) => {
            Merged::Into(Type::Host(Shape::Buffer(*a.max(b))))
        }
        // How it is printed is what was said first.
        (
            Type::Host(Shape::Stack { kernel, dwarf, mode, limit }),
            Type::Host(Shape::Stack { kernel: other, dwarf: unwound, limit: most, .. }),
        ) if (kernel, dwarf) == (other, unwound) => {
            let limit = *limit.max(most);
            Merged::Into(Type::Host(Shape::Stack { kernel: *kernel, dwarf: *dwarf, mode: *mode, limit }))
        }
        (Type::Host(Shape::Time(_)), Type::Host(Shape::Time(_)))
        | (Type::Host(Shape::CgroupPath(_)), Type::Host(Shape::CgroupPath(_))) => Merged::Into(left.clone()),
        (Array(a, n), Array(b, m)) if n == m => wrap(merge(a, b), |ty| Array(Arc::new(ty), *n)),
        (Tuple(a), Tuple(b)) if a.len() == b.len() => merge_all(a.iter().zip(b)).map_or(Merged::Never, |all| {
            let (parts, lossy) = all;
            if lossy { Merged::Lossy(Tuple(parts)) } else { Merged::Into(Tuple(parts)) }
        }),
        (Record(a), Record(b)) if a.iter().map(|part| &part.0).eq(b.iter().map(|part| &part.0)) => {
            let pairs = a.iter().map(|part| &part.1).zip(b.iter().map(|part| &part.1));
            merge_all(pairs).map_or(Merged::Never, |(parts, lossy)| {
                let parts = Record(a.iter().map(|part| part.0.clone()).zip(parts).collect());
                if lossy { Merged::Lossy(parts) } else { Merged::Into(parts) }
            })
        }
        _ => Merged::Never,
    }
}

fn wrap(merged: Merged, make: impl FnOnce(Type) -> Type) -> Merged {
    match merged {
        Merged::Into(ty) => Merged::Into(make(ty)),
        Merged::Lossy(ty) => Merged::Lossy(make(ty)),
        Merged::Never => Merged::Never,
    }
}

fn merge_all<'a>(pairs: impl Iterator<Item = (&'a Type, &'a Type)>) -> Option<(Vec<Type>, bool)> {
    let mut lossy = false;
    let parts = pairs.map(|(left, right)| match merge(left, right) {
        Merged::Into(ty) => Some(ty),
        Merged::Lossy(ty) => {
            lossy = true;
            Some(ty)
        }
        Merged::Never => None,
    });
    let parts = parts.collect::<Option<Vec<Type>>>()?;
    Some((parts, lossy))
}

/// The integer and other types that have a name in the language or in C without any definition.
pub fn named(name: &str) -> Option<Type> {
    Some(match name {
        "bool" | "_Bool" => Type::Bool,
        "void" => Type::Void,
        "int8" | "int8_t" | "s8" | "__s8" | "char" | "signed char" => Type::int(1, true),
        "int16" | "int16_t" | "s16" | "__s16" | "short" | "short int" => Type::int(2, true),
        "int32" | "int32_t" | "s32" | "__s32" | "int" | "signed" | "signed int" | "pid_t" => Type::int(4, true),
        "int64" | "int64_t" | "s64" | "__s64" | "long" | "long int" | "long long" | "long long int" | "ssize_t"
        | "loff_t" | "off_t" | "intptr_t" | "ptrdiff_t" => Type::I64,
        "uint8" | "uint8_t" | "u8" | "__u8" | "unsigned char" => Type::int(1, false),
        "uint16" | "uint16_t" | "u16" | "__u16" | "unsigned short" | "unsigned short int" | "__be16" | "__le16" => {
            Type::int(2, false)
        }
        "uint32" | "uint32_t" | "u32" | "__u32" | "unsigned" | "unsigned int" | "uid_t" | "gid_t" | "__be32"
        | "__le32" => Type::U32,
        "uint64"
        | "uint64_t"
        | "u64"
        | "__u64"
        | "unsigned long"
        | "unsigned long int"
        | "unsigned long long"
        | "unsigned long long int"
        | "size_t"
        | "uintptr_t"
        | "__be64"
        | "__le64" => Type::U64,
        "inet" => Type::Host(Shape::Inet),
        "ksym_t" => Type::Host(Shape::KernelSymbol),
        "usym_t" => Type::Host(Shape::UserSymbol),
        "username_t" => Type::Host(Shape::User),
        "mac_address" => Type::Host(Shape::Mac),
        "timestamp" => Type::Host(Shape::Time("%H:%M:%S".into())),
        "cgroup_path_t" => Type::Host(Shape::CgroupPath("".into())),
        "kstack_t" | "ustack_t" | "dw_ustack_t" => Type::Host(Shape::Stack {
            kernel: name == "kstack_t",
            dwarf: name == "dw_ustack_t",
            mode: StackMode::Bpftrace,
            limit: StackKey::MAX_FRAMES,
        }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_together_in_the_one_that_holds_both() {
        let merged = |a, b| merge(&a, &b);
        assert_eq!(merged(Type::int(1, true), Type::int(4, true)), Merged::Into(Type::int(4, true)));
        assert_eq!(merged(Type::U32, Type::int(1, true)), Merged::Into(Type::I64));
        assert_eq!(merged(Type::int(2, false), Type::I64), Merged::Into(Type::I64));
        assert_eq!(merged(Type::U64, Type::I64), Merged::Lossy(Type::I64));
        assert_eq!(merged(Type::Text(4), Type::Text(9)), Merged::Into(Type::Text(9)));
        assert_eq!(merged(Type::Text(4), Type::I64), Merged::Never);
        let tuple = |n| Type::Tuple(vec![Type::Text(n), Type::int(1, true)]);
        assert_eq!(merged(tuple(2), tuple(8)), Merged::Into(tuple(8)));
    }
}
