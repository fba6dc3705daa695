//! Which bytes of which objects can become values.

use std::collections::BTreeMap;

use skep_ir::{Entity, Function, Inst, InstData, Slot, Type, Value, Width};

use crate::effects::{self, Place};

/// Bytes of an object that become a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The object.
    pub slot: Slot,
    /// Distance from its start.
    pub offset: i64,
    /// Number of bytes.
    pub width: Width,
    /// Type of the value: `i64` for eight bytes, `i32` for fewer, or a pointer.
    pub ty: Type,
}

impl Cell {
    /// Whether all bytes of a place are in this cell.
    fn has(&self, place: &Place) -> bool {
        place.slot == Some(self.slot)
            && self.offset <= place.offset
            && place.offset + i64::from(place.len) <= self.offset + i64::from(self.width.bytes())
    }

    /// Whether all bytes of the cell are in a place.
    pub fn is_inside(&self, place: &Place) -> bool {
        place.slot == Some(self.slot)
            && place.offset <= self.offset
            && self.offset + i64::from(self.width.bytes()) <= place.offset + i64::from(place.len)
    }

    fn overlaps(&self, place: &Place) -> bool {
        place.slot == Some(self.slot)
            && self.offset < place.offset + i64::from(place.len)
            && place.offset < self.offset + i64::from(self.width.bytes())
    }
}

/// The value and the type of a plain access, `None` for other instructions. The type is that of what is read or written.
pub fn plain(function: &Function, inst: Inst) -> Option<(Place, Width, Type)> {
    match function[inst].data {
        InstData::Load { width, volatile: false, .. } => {
            let ty = function.ty(*function[inst].results.first()?);
            Some((effects::read(function, inst)?, width, ty))
        }
        InstData::Store { width, value, volatile: false, .. } => {
            Some((effects::written(function, inst)?, width, function.ty(value)))
        }
        _ => None,
    }
}

/// All cells of a function.
pub fn find(function: &Function, big_endian: bool) -> Vec<Cell> {
    let escaping = effects::escaping_slots(function);
    let mut found: BTreeMap<(Slot, i64, u32), (Width, Vec<Type>)> = BTreeMap::new();
    let mut others: Vec<(Place, bool)> = Vec::new();
    for &block in &function.blocks {
        for &inst in &function[block].insts {
            if let Some((place, width, ty)) = plain(function, inst) {
                let Some(slot) = place.slot.filter(|slot| !escaping[slot.index()]) else { continue };
                let entry = found.entry((slot, place.offset, place.len)).or_insert((width, Vec::new()));
                entry.1.push(ty);
                continue;
            }
            let fill = matches!(function[inst].data, InstData::Fill { .. });
            let places = [effects::read(function, inst), effects::written(function, inst)];
            others.extend(places.into_iter().flatten().map(|place| (place, fill)));
        }
    }
    let accesses: Vec<Access> =
        found.into_iter().map(|((slot, offset, _), (width, types))| Access { slot, offset, width, types }).collect();
    let cells = accesses.chunk_by(|one, other| one.slot == other.slot).flat_map(|of| divide(of, big_endian));
    cells
        .filter(|cell| others.iter().all(|(place, fill)| !cell.overlaps(place) || *fill && can_be_filled(cell, place)))
        .collect()
}

/// The bytes of an object that some plain accesses go to, and the types of what they read and write.
struct Access {
    slot: Slot,
    offset: i64,
    width: Width,
    types: Vec<Type>,
}

impl Access {
    fn end(&self) -> i64 {
        self.offset + i64::from(self.width.bytes())
    }
}

/// The cells of an object, whose accesses are in the order of their offsets. Numbers that overlap are parts of one cell if
/// it can be read at once.
fn divide(accesses: &[Access], big_endian: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut rest = accesses;
    while let Some(first) = rest.first() {
        let (mut end, mut count) = (first.end(), 1);
        while let Some(next) = rest.get(count).filter(|next| next.offset < end) {
            end = end.max(next.end());
            count += 1;
        }
        let (group, behind) = rest.split_at(count);
        rest = behind;
        let ty = match group {
            [one] => common(one.width, &one.types),
            _ if big_endian || !group.iter().flat_map(|one| &one.types).all(|ty| ty.is_int()) => None,
            _ => Some(if end - first.offset == 8 { Type::I64 } else { Type::I32 }),
        };
        let width = u32::try_from(end - first.offset).ok().and_then(Width::from_bytes);
        if let (Some(ty), Some(width)) = (ty, width) {
            cells.push(Cell { slot: first.slot, offset: first.offset, width, ty });
        }
    }
    cells
}

fn can_be_filled(cell: &Cell, place: &Place) -> bool {
    cell.is_inside(place) && cell.ty.pointer().is_none_or(|pointer| pointer.nullable)
}

/// The type of a cell with accesses of these types.
fn common(width: Width, types: &[Type]) -> Option<Type> {
    if types.iter().all(|ty| ty.is_int()) {
        return Some(if width == Width::W64 { Type::I64 } else { Type::I32 });
    }
    let (first, rest) = types.split_first()?;
    (width == Width::W64 && rest.iter().all(|ty| ty == first)).then_some(*first)
}

/// The cell that a plain access is to, by its number, and the part of it: the distance from its start, and the width.
pub fn of(function: &Function, cells: &[Cell], inst: Inst) -> Option<(usize, Part)> {
    let (place, width, _) = plain(function, inst)?;
    let at = cells.iter().position(|cell| cell.has(&place))?;
    Some((at, Part { offset: (place.offset - cells[at].offset) as u32, width }))
}

/// Bytes of a cell.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Distance from the start of the cell in bytes.
    pub offset: u32,
    /// How many.
    pub width: Width,
}

/// The cells that a fill covers, by number, and the byte.
pub fn filled(function: &Function, cells: &[Cell], inst: Inst) -> Vec<(usize, u8)> {
    let InstData::Fill { byte, .. } = function[inst].data else { return Vec::new() };
    let Some(place) = effects::written(function, inst) else { return Vec::new() };
    (0..).zip(cells).filter(|(_, cell)| cell.is_inside(&place)).map(|(at, _)| (at, byte)).collect()
}

/// What a load reads, or a store writes.
pub fn operand(function: &Function, inst: Inst) -> Option<Value> {
    match function[inst].data {
        InstData::Store { value, .. } => Some(value),
        _ => None,
    }
}
