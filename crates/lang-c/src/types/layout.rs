//! Layout of structures and unions: the System V rules with the extensions of GNU, as clang applies them for BPF.

use std::rc::Rc;

use super::{Member, QTy, Types};

/// The largest type in bytes. Nothing in BPF is larger, and sums of sizes stay far below 2^64.
pub const LARGEST: u64 = 1 << 40;

/// A member as it is declared.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: Rc<str>,
    pub ty: QTy,
    pub bits: Option<u32>,
    /// `aligned` of the member, 0 for none.
    pub align: u64,
    pub packed: bool,
    /// `btf_decl_tag`.
    pub tags: Vec<Rc<str>>,
}

/// What a record's attributes and pragmas say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    pub union: bool,
    pub packed: bool,
    /// `aligned`, 0 for none.
    pub align: u64,
    /// `#pragma pack`, 0 for none.
    pub pack: u64,
}

/// Members with places, and size and alignment of the whole. `None` if it is too large.
pub fn lay_out(types: &Types, fields: Vec<Field>, rules: Rules) -> Option<(Vec<Member>, u64, u64)> {
    let mut members = Vec::new();
    let (mut at, mut end, mut align) = (0u64, 0u64, 1u64);
    for field in fields {
        let natural = types.align(field.ty);
        let packed = rules.packed || field.packed;
        let mut own = if packed { 1 } else { natural };
        own = own.max(field.align);
        if rules.pack != 0 && field.align <= rules.pack {
            own = own.min(rules.pack);
        }
        let size = types.size(field.ty).unwrap_or(0);
        let start = if rules.union { 0 } else { at };
        let (bit_offset, next) = match field.bits {
            None => {
                let offset = start.next_multiple_of(8 * own);
                (offset, offset.checked_add(size.checked_mul(8)?)?)
            }
            Some(0) => (start.next_multiple_of(8 * natural), start.next_multiple_of(8 * natural)),
            Some(width) => {
                let unit = 8 * size.max(1);
                let mut offset = start;
                if field.align > 0 {
                    offset = offset.next_multiple_of(8 * field.align);
                } else if !packed && rules.pack == 0 && offset / unit != (offset + u64::from(width) - 1) / unit {
                    offset = offset.next_multiple_of(8 * natural);
                }
                (offset, offset + u64::from(width))
            }
        };
        let named = !field.name.is_empty() || field.bits.is_none();
        if named || field.bits.is_none() {
            align = align.max(own);
        }
        at = next;
        end = end.max(next);
        if end > 8 * LARGEST {
            return None;
        }
        // Bit-fields without a name only take room.
        if named {
            members.push(Member {
                name: field.name,
                ty: field.ty,
                bit_offset,
                bits: field.bits,
                align: own,
                tags: field.tags,
            });
        }
    }
    let align = align.max(rules.align);
    let size = end.div_ceil(8).next_multiple_of(align);
    for member in &mut members {
        // What the place gives: no more than the record's own alignment.
        let place = 1u64 << (member.bit_offset / 8).trailing_zeros().min(12);
        member.align = if member.bit_offset == 0 { align } else { place.min(align) };
    }
    Some((members, size, align))
}

impl Types {
    /// The way to a member through anonymous ones: indices from the outside in. `None` if there is none of this name.
    pub fn find_member(&self, record: super::RecordId, name: &str) -> Option<Vec<usize>> {
        self.find_member_within(record, name, 32)
    }

    fn find_member_within(&self, record: super::RecordId, name: &str, depth: u32) -> Option<Vec<usize>> {
        let members = self.record(record).members.as_ref()?;
        if let Some(at) = members.iter().position(|member| &*member.name == name) {
            return Some(vec![at]);
        }
        if depth == 0 {
            return None;
        }
        members.iter().enumerate().filter(|(_, member)| member.name.is_empty()).find_map(|(at, member)| {
            let inner = self.as_record(member.ty)?;
            let mut path = self.find_member_within(inner, name, depth - 1)?;
            path.insert(0, at);
            Some(path)
        })
    }
}
