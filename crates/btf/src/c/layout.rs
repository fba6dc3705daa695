//! Alignment, packing and padding.

use super::CPrinter;
use crate::blob::{Btf, MAX_DEPTH};
use crate::error::{BtfError, Problem};
use crate::kind::{Composite, Kind, TypeId};

/// Types that padding is made of, with their bits.
const PADS: [(&str, u64); 4] = [("long", 64), ("int", 32), ("short", 16), ("char", 8)];

/// Alignments of types in bytes, as far as they have been asked for.
#[derive(Debug)]
pub(super) struct Layouts<'a> {
    btf: &'a Btf,
    /// 0: not known yet.
    known: Vec<u8>,
}

impl<'a> Layouts<'a> {
    pub(super) fn new(btf: &'a Btf) -> Self {
        Self { btf, known: vec![0; btf.next_id().0 as usize] }
    }

    /// How the type is aligned, in bytes from 1 to 8. What has no size counts as 1.
    pub(super) fn align(&mut self, id: TypeId) -> Result<u32, BtfError> {
        self.align_at(id, 0)
    }

    fn align_at(&mut self, id: TypeId, depth: usize) -> Result<u32, BtfError> {
        if depth > 4 * MAX_DEPTH {
            return Err(BtfError::new(0, Problem::Nested(id.0)));
        }
        match self.known.get(id.0 as usize) {
            Some(0) => {}
            Some(known) => return Ok((*known).into()),
            None => return Err(BtfError::new(0, Problem::NoSuchType(id.0))),
        }
        let align = match self.btf.kind(id)? {
            Kind::Int(int) => int.size.min(8),
            Kind::Float { size } => size.min(8),
            Kind::Enum(values) | Kind::Enum64(values) => values.size.min(8),
            Kind::Ptr(_) => 8,
            Kind::Array(array) => self.align_at(array.element, depth + 1)?,
            Kind::Typedef(next)
            | Kind::Const(next)
            | Kind::Volatile(next)
            | Kind::Restrict(next)
            | Kind::TypeTag(next) => self.align_at(next, depth + 1)?,
            Kind::Struct(composite) | Kind::Union(composite) => {
                let (align, packed) = self.composite(composite, depth)?;
                if packed { 1 } else { align }
            }
            _ => 1,
        };
        let align = align.clamp(1, 8);
        if let Some(known) = self.known.get_mut(id.0 as usize) {
            *known = align as u8;
        }
        Ok(align)
    }

    /// The strictest alignment among the members, and whether it is violated: by a member's place or by the size.
    pub(super) fn composite(&mut self, composite: Composite<'_>, depth: usize) -> Result<(u32, bool), BtfError> {
        let (mut strictest, mut packed) = (1, false);
        for member in composite.members() {
            let align = self.align_at(member.ty, depth + 1)?;
            strictest = strictest.max(align);
            packed |= member.bits == 0 && !member.bit_offset.is_multiple_of(8 * align);
        }
        Ok((strictest, packed || !composite.size.is_multiple_of(strictest)))
    }
}

/// A hole in a structure.
pub(super) struct Hole {
    /// Bits from the start of the structure.
    pub from: u64,
    pub to: u64,
    /// Bytes to which what comes next is aligned.
    pub align: u32,
    /// Whether the hole is between bit fields.
    pub in_bitfield: bool,
}

impl CPrinter<'_> {
    /// Prints nameless bit fields that fill a hole, as far as the compiler would not leave it by itself.
    pub(super) fn put_padding(&mut self, hole: &Hole, level: usize) -> Result<(), BtfError> {
        let &Hole { mut from, to, align, in_bitfield } = hole;
        if from >= to {
            return Ok(());
        }
        // The widest type to whose boundary one can go without leaving the hole.
        let widest = PADS.iter().find(|(_, bits)| from.next_multiple_of(*bits) <= to);
        let (name, bits) = widest.copied().unwrap_or(PADS[3]);
        let boundary = from.next_multiple_of(bits);
        if boundary > from && boundary <= to {
            // A width of 0 aligns. It is needed if the next member would not go there by itself, or if the padding that
            // follows would fit in front of the boundary.
            let by_itself = from.next_multiple_of(8 * u64::from(align)) == boundary;
            if in_bitfield || boundary == to && !by_itself || boundary != to && to - boundary <= boundary - from {
                self.put_pad(name, if in_bitfield { boundary - from } else { 0 }, level)?;
            }
            from = boundary;
        }
        while to - from >= bits {
            self.put_pad(name, bits, level)?;
            from += bits;
        }
        if from < to {
            let smallest = PADS.iter().rev().find(|(_, bits)| *bits >= to - from).unwrap_or(&PADS[0]);
            self.put_pad(smallest.0, to - from, level)?;
        }
        Ok(())
    }

    fn put_pad(&mut self, name: &str, bits: u64, level: usize) -> Result<(), BtfError> {
        self.line(level)?;
        self.put([name, ": ", &bits.to_string(), ";"])
    }
}
