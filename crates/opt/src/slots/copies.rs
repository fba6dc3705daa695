//! Splits copies of structures into the members that the function reads and writes, so that these can become values.
//!
//! A copy to or from an object whose address stays here is divided like the plain accesses to the object divide it; what
//! lies between them is copied in the largest pieces that are aligned. Members of what is copied on become accesses of the
//! next object, so it goes on until no copy is divided any more.

use std::collections::BTreeMap;

use skep_ir::{Entity, Function, Inst, InstData, Memory, Slot, Type, Value, Width};

use super::cells::plain;
use crate::Ctx;
use crate::effects::{self, Place};

/// Most copies of one another that are followed.
const ROUNDS: usize = 8;
/// Larger objects are copied as they are.
const MOST_BYTES: u32 = 128;
/// Most pieces of one copy.
const MOST_PIECES: usize = 32;

/// The plain accesses to each object whose address stays here: by offset the bytes and the types.
type Accesses = BTreeMap<Slot, BTreeMap<i64, Piece>>;

/// What a piece of an object is, `None` if accesses disagree.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Piece {
    width: Width,
    ty: Option<Type>,
}

/// The pass.
pub fn split(function: &mut Function, _ctx: &Ctx) -> bool {
    let mut changed = false;
    for _ in 0..ROUNDS {
        let copies = |&inst: &Inst| matches!(function[inst].data, InstData::Copy { .. });
        if !function.blocks.iter().any(|&block| function[block].insts.iter().any(copies)) || !round(function) {
            break;
        }
        changed = true;
    }
    changed
}

fn round(function: &mut Function) -> bool {
    let accesses = accesses(function);
    let mut changed = false;
    for block in function.blocks.clone() {
        let mut out = Vec::new();
        for inst in std::mem::take(&mut function[block].insts) {
            match pieces(function, inst, &accesses) {
                Some(pieces) => {
                    changed = true;
                    expand(function, inst, &pieces, &mut out);
                }
                None => out.push(inst),
            }
        }
        function[block].insts = out;
    }
    changed
}

fn accesses(function: &Function) -> Accesses {
    let escaping = effects::escaping_slots(function);
    let mut accesses = Accesses::new();
    for &inst in function.blocks.iter().flat_map(|&block| &function[block].insts) {
        let Some((place, width, ty)) = plain(function, inst) else { continue };
        let Some(slot) = place.slot.filter(|slot| !escaping[slot.index()]) else { continue };
        let piece = Piece { width, ty: Some(ty) };
        let known = accesses.entry(slot).or_default().entry(place.offset).or_insert(piece);
        *known = both(*known, piece);
    }
    accesses
}

/// What two accesses to the same place agree on. Numbers have the width that holds all bits.
fn both(one: Piece, other: Piece) -> Piece {
    let width = if one.width.bytes() < other.width.bytes() { other.width } else { one.width };
    let ty = match (one.ty, other.ty) {
        (Some(a), Some(b)) if a.is_int() && b.is_int() => Some(number(width)),
        (Some(a), Some(b)) if a == b && one.width == other.width => Some(a),
        _ => None,
    };
    Piece { width, ty }
}

/// The type of numbers of a width.
fn number(width: Width) -> Type {
    if width == Width::W64 { Type::I64 } else { Type::I32 }
}

/// One end of a copy.
struct End {
    place: Place,
    /// What widths may be used: multiples of it start at aligned addresses.
    align: i64,
}

impl End {
    fn new(function: &Function, ptr: Value, len: u32, align: u8) -> Option<Self> {
        let place = Place::new(function, ptr, 0, len)?;
        let align = if place.slot.is_some() { 8 } else { i64::from(align) };
        Some(Self { place, align })
    }

    /// Whether an access of so many bytes is aligned so far behind the start of the copy.
    fn takes(&self, at: i64, bytes: i64) -> bool {
        if self.place.slot.is_some() {
            (self.place.offset + at) % bytes == 0
        } else {
            bytes <= self.align && at % bytes == 0
        }
    }
}

/// How a copy is divided: places, from its start on. `None` if it stays as it is.
fn pieces(function: &Function, inst: Inst, accesses: &Accesses) -> Option<Vec<(i64, Width, Type)>> {
    let InstData::Copy { to, from, len, align } = function[inst].data else { return None };
    let ends = [End::new(function, to, len, align)?, End::new(function, from, len, align)?];
    let same = ends[0].place.slot.is_some() && ends[0].place.slot == ends[1].place.slot;
    if len > MOST_BYTES || same || ends.iter().any(|end| end.place.class == Memory::Context) {
        return None;
    }
    let mut wanted: BTreeMap<i64, Piece> = BTreeMap::new();
    for end in &ends {
        let Some(members) = end.place.slot.and_then(|slot| accesses.get(&slot)) else { continue };
        for (&offset, &piece) in members {
            let at = offset - end.place.offset;
            if at + i64::from(piece.width.bytes()) <= 0 || at >= i64::from(len) {
                continue;
            }
            let known = wanted.entry(at).or_insert(piece);
            *known = both(*known, piece);
        }
    }
    if wanted.is_empty() {
        // What is copied at once is no pointer if it is shorter.
        let width = Width::from_bytes(len).filter(|&width| width != Width::W64)?;
        let at_once = ends.iter().all(|end| end.takes(0, len.into()));
        return at_once.then(|| vec![(0, width, number(width))]);
    }
    let on_stack = ends.iter().all(|end| end.place.slot.is_some());
    let mut pieces = Vec::new();
    let mut done = 0;
    for (at, piece) in wanted {
        let bytes = i64::from(piece.width.bytes());
        let ty = piece.ty.filter(|ty| ty.is_int() || on_stack)?;
        // Parts of a number go with it.
        if at + bytes <= done && ty.is_int() && pieces.last().is_some_and(|last: &(i64, Width, Type)| last.2.is_int()) {
            continue;
        }
        if at < done || at + bytes > i64::from(len) || !ends.iter().all(|end| end.takes(at, bytes)) {
            return None;
        }
        fill(&ends, done, at, &mut pieces);
        pieces.push((at, piece.width, ty));
        done = at + bytes;
    }
    fill(&ends, done, len.into(), &mut pieces);
    (pieces.len() <= MOST_PIECES).then_some(pieces)
}

/// The largest aligned pieces between two places.
fn fill(ends: &[End; 2], mut from: i64, to: i64, pieces: &mut Vec<(i64, Width, Type)>) {
    const WIDTHS: [(Width, Type); 4] =
        [(Width::W64, Type::I64), (Width::W32, Type::I32), (Width::W16, Type::I32), (Width::W8, Type::I32)];
    while from < to {
        let fits = |row: &&(Width, Type)| {
            let bytes = i64::from(row.0.bytes());
            from + bytes <= to && ends.iter().all(|end| end.takes(from, bytes))
        };
        let (width, ty) = WIDTHS.iter().find(fits).copied().unwrap_or(WIDTHS[3]);
        pieces.push((from, width, ty));
        from += i64::from(width.bytes());
    }
}

fn expand(function: &mut Function, inst: Inst, pieces: &[(i64, Width, Type)], out: &mut Vec<Inst>) {
    let InstData::Copy { to, from, .. } = function[inst].data else { return };
    let loc = function[inst].loc;
    for &(at, width, ty) in pieces {
        // A copy has at most 128 bytes.
        let off = at as i16;
        let load =
            function.make_inst(InstData::Load { width, signed: false, ptr: from, off, volatile: false }, &[ty], loc);
        let value = function[load].results[0];
        let store = function.make_inst(InstData::Store { width, ptr: to, off, value, volatile: false }, &[], loc);
        out.extend([load, store]);
    }
}
