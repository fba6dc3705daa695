//! Types: what an entry means once names and qualifiers are taken away.

use std::sync::Arc;

use gimli::AttributeValue;

use super::{DebugInfo, EntryId, MOST_STEPS, Slice};

/// A type without its typedefs and qualifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DebugType {
    /// No value, or something that is not known.
    Void,
    /// An integer.
    Int {
        /// Bytes.
        bytes: u64,
        /// Whether it has a sign.
        signed: bool,
        /// Whether it is a letter.
        letter: bool,
    },
    /// A truth value.
    Bool,
    /// A floating-point number.
    Float {
        /// Bytes.
        bytes: u64,
    },
    /// An address; references of C++ are addresses.
    Pointer(Option<EntryId>),
    /// So many elements, one after the other.
    Array {
        /// What they are.
        element: Option<EntryId>,
        /// How many, for each dimension; 0 if it is not known.
        counts: Vec<u64>,
    },
    /// A structure, class or union, by the entry that defines it.
    Composite(EntryId),
    /// An enumeration.
    Enum {
        /// Bytes.
        bytes: u64,
        /// Whether it has a sign.
        signed: bool,
        /// Its name; empty if it has none.
        name: String,
        /// Its values.
        values: Vec<(i64, String)>,
    },
    /// A function.
    Function,
}

/// A structure, class or union.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugComposite {
    /// Its name; empty if it has none.
    pub name: String,
    /// Whether its members lie over one another.
    pub union: bool,
    /// Bytes.
    pub bytes: u64,
    /// Whether it is passed by its address (classes of C++ with constructors of their own).
    pub by_reference: bool,
    /// Its members in order; base classes are members without a name.
    pub members: Vec<DebugMember>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugMember {
    /// Its name; empty for anonymous members and base classes.
    pub name: String,
    /// Its type.
    pub ty: Option<EntryId>,
    /// Bytes from the start; for a bit-field those of its first bit.
    pub offset: u64,
    /// For a bit-field: the first bit from the start of the whole, and the number of bits.
    pub bits: Option<(u64, u8)>,
}

impl DebugInfo {
    /// What a type is.
    pub fn kind(&self, id: Option<EntryId>) -> DebugType {
        let Some(mut id) = id else { return DebugType::Void };
        for _ in 0..MOST_STEPS {
            let Some((_, entry)) = self.entry(id) else { return DebugType::Void };
            match entry.tag() {
                gimli::DW_TAG_typedef
                | gimli::DW_TAG_const_type
                | gimli::DW_TAG_volatile_type
                | gimli::DW_TAG_restrict_type
                | gimli::DW_TAG_atomic_type
                | gimli::DW_TAG_immutable_type => match self.type_of(id) {
                    Some(next) => id = next,
                    None => return DebugType::Void,
                },
                gimli::DW_TAG_base_type => return self.base(id),
                gimli::DW_TAG_pointer_type | gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type => {
                    return DebugType::Pointer(self.type_of(id));
                }
                gimli::DW_TAG_array_type => return self.array(id),
                gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type | gimli::DW_TAG_union_type => {
                    return DebugType::Composite(self.definition(id));
                }
                gimli::DW_TAG_enumeration_type => return self.enumeration(self.definition(id)),
                gimli::DW_TAG_subroutine_type => return DebugType::Function,
                _ => return DebugType::Void,
            }
        }
        DebugType::Void
    }

    fn base(&self, id: EntryId) -> DebugType {
        let bytes = self.number(id, gimli::DW_AT_byte_size).unwrap_or(0);
        let encoding = match self.attribute(id, gimli::DW_AT_encoding) {
            Some((_, AttributeValue::Encoding(encoding))) => encoding,
            _ => return DebugType::Void,
        };
        match encoding {
            gimli::DW_ATE_boolean => DebugType::Bool,
            gimli::DW_ATE_float | gimli::DW_ATE_complex_float | gimli::DW_ATE_decimal_float => {
                DebugType::Float { bytes }
            }
            gimli::DW_ATE_signed => DebugType::Int { bytes, signed: true, letter: false },
            gimli::DW_ATE_signed_char => DebugType::Int { bytes, signed: true, letter: true },
            gimli::DW_ATE_unsigned_char => DebugType::Int { bytes, signed: false, letter: true },
            gimli::DW_ATE_unsigned | gimli::DW_ATE_UTF | gimli::DW_ATE_address => {
                DebugType::Int { bytes, signed: false, letter: false }
            }
            _ => DebugType::Void,
        }
    }

    fn array(&self, id: EntryId) -> DebugType {
        let ranges = self.children(id, gimli::DW_TAG_subrange_type);
        let count = |range: &EntryId| {
            let count = self.number(*range, gimli::DW_AT_count);
            count.or_else(|| self.number(*range, gimli::DW_AT_upper_bound)?.checked_add(1)).unwrap_or(0)
        };
        DebugType::Array { element: self.type_of(id), counts: ranges.iter().map(count).collect() }
    }

    fn enumeration(&self, id: EntryId) -> DebugType {
        let mut values = Vec::new();
        let mut signed = false;
        for child in self.children(id, gimli::DW_TAG_enumerator) {
            let Some((_, value)) = self.attribute(child, gimli::DW_AT_const_value) else { continue };
            let Some(value) = value.sdata_value() else { continue };
            signed |= value < 0;
            values.push((value, self.name(child).unwrap_or_default()));
        }
        let bytes = self.number(id, gimli::DW_AT_byte_size).unwrap_or(4);
        DebugType::Enum { bytes, signed, name: self.name(id).unwrap_or_default(), values }
    }

    /// The entry that defines what another one only declares; the entry itself if there is none.
    fn definition(&self, id: EntryId) -> EntryId {
        if let Some(signed) = self.reference(id, gimli::DW_AT_signature) {
            return signed;
        }
        let declared = matches!(
            self.entry(id).and_then(|(_, entry)| entry.attr_value(gimli::DW_AT_declaration)),
            Some(AttributeValue::Flag(true))
        );
        if !declared {
            return id;
        }
        let tag = self.entry(id).map(|(_, entry)| entry.tag());
        let found = tag.zip(self.name(id)).and_then(|(tag, name)| self.names().defined(tag, &name));
        found.unwrap_or(id)
    }

    /// The parts of a structure, class or union.
    pub fn composite(&self, id: EntryId) -> Option<DebugComposite> {
        let (_, entry) = self.entry(id)?;
        let mut members = Vec::new();
        let mut children = Vec::new();
        self.each_child(id, |child, entry| {
            // Static members are no part of it.
            let apart = entry.has_attr(gimli::DW_AT_external) || entry.has_attr(gimli::DW_AT_declaration);
            let tag = entry.tag();
            if (tag == gimli::DW_TAG_member && !apart) || tag == gimli::DW_TAG_inheritance {
                children.push((child, tag == gimli::DW_TAG_inheritance));
            }
        });
        for (child, base) in children {
            let name = if base { String::new() } else { self.name(child).unwrap_or_default() };
            let (offset, bits) = self.place(child);
            members.push(DebugMember { name, ty: self.type_of(child), offset, bits });
        }
        let by_reference = matches!(
            entry.attr_value(gimli::DW_AT_calling_convention),
            Some(AttributeValue::CallingConvention(gimli::DW_CC_pass_by_reference))
        );
        Some(DebugComposite {
            name: self.name(id).unwrap_or_default(),
            union: entry.tag() == gimli::DW_TAG_union_type,
            bytes: self.number(id, gimli::DW_AT_byte_size).unwrap_or(0),
            by_reference,
            members,
        })
    }

    /// Bytes from the start of the whole; before DWARF 3 an expression that adds them to an address.
    fn member_offset(&self, member: EntryId) -> Option<u64> {
        let (id, value) = self.attribute(member, gimli::DW_AT_data_member_location)?;
        if let AttributeValue::Exprloc(expression) = value {
            let unit = self.unit(id.part, id.unit)?;
            return match expression.operations(unit.encoding()).next() {
                Ok(Some(gimli::Operation::PlusConstant { value })) => Some(value),
                _ => None,
            };
        }
        value.udata_value()
    }

    /// Where a member is.
    fn place(&self, member: EntryId) -> (u64, Option<(u64, u8)>) {
        let start = self.member_offset(member).unwrap_or(0);
        let Some(width) = self.number(member, gimli::DW_AT_bit_size).and_then(|width| u8::try_from(width).ok()) else {
            return (start, None);
        };
        let first = match self.number(member, gimli::DW_AT_data_bit_offset) {
            Some(first) => first,
            // Before DWARF 4 bits were counted from the highest of the integer that holds them.
            None => {
                let holder = self.number(member, gimli::DW_AT_byte_size);
                let holder = holder.unwrap_or_else(|| self.bytes(self.type_of(member)));
                let from_top = self.number(member, gimli::DW_AT_bit_offset).unwrap_or(0);
                let inside = (holder * 8).saturating_sub(from_top).saturating_sub(width.into());
                start.saturating_mul(8).saturating_add(inside)
            }
        };
        (first / 8, Some((first, width)))
    }

    /// Bytes of a type; 0 if they are not known.
    pub fn bytes(&self, id: Option<EntryId>) -> u64 {
        self.bytes_within(id, 0)
    }

    fn bytes_within(&self, id: Option<EntryId>, depth: usize) -> u64 {
        match self.kind(id) {
            DebugType::Void | DebugType::Function => 0,
            DebugType::Bool => 1,
            DebugType::Int { bytes, .. } | DebugType::Float { bytes } | DebugType::Enum { bytes, .. } => bytes,
            DebugType::Pointer(_) => 8,
            DebugType::Array { element, counts } if depth < MOST_STEPS => {
                let one = self.bytes_within(element, depth + 1);
                counts.iter().fold(one, |bytes, count| bytes.saturating_mul(*count))
            }
            DebugType::Array { .. } => 0,
            DebugType::Composite(id) => self.number(id, gimli::DW_AT_byte_size).unwrap_or(0),
        }
    }

    /// The type with a name: `struct`, `union`, `enum` by their tags, anything else by its plain name, also
    /// `space::name`.
    pub fn find(&self, tag: Option<&str>, name: &str) -> Option<EntryId> {
        self.names().find(tag, name)
    }

    /// The value of an enumerator and the enumeration that it belongs to.
    pub fn enumerator(&self, name: &str) -> Option<(i64, EntryId)> {
        self.names().enumerator(name)
    }

    pub(super) fn entry_text(&self, part: usize, unit: &gimli::Unit<Slice>, value: AttributeValue<Slice>) -> Arc<str> {
        self.text(part, unit, value).unwrap_or_default().into()
    }
}
