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
    /// Whether a place is exactly this cell.
    pub fn is(&self, place: &Place) -> bool {
        place.slot == Some(self.slot) && place.offset == self.offset && place.len == self.width.bytes()
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
pub fn find(function: &Function) -> Vec<Cell> {
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
    let all: Vec<Cell> = found
        .iter()
        .filter_map(|(&(slot, offset, _), (width, types))| {
            Some(Cell { slot, offset, width: *width, ty: common(*width, types)? })
        })
        .collect();
    let ranges: Vec<(Slot, i64, u32)> = found.into_keys().collect();
    all.into_iter()
        .filter(|cell| {
            let alone = ranges.iter().all(|&(slot, offset, len)| {
                let same = slot == cell.slot && offset == cell.offset && len == cell.width.bytes();
                same || slot != cell.slot || apart(cell, offset, len)
            });
            alone && others.iter().all(|(place, fill)| !cell.overlaps(place) || *fill && can_be_filled(cell, place))
        })
        .collect()
}

fn apart(cell: &Cell, offset: i64, len: u32) -> bool {
    cell.offset + i64::from(cell.width.bytes()) <= offset || offset + i64::from(len) <= cell.offset
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

/// The cell that a plain access is to, by its number.
pub fn of(function: &Function, cells: &[Cell], inst: Inst) -> Option<usize> {
    let (place, ..) = plain(function, inst)?;
    cells.iter().position(|cell| cell.is(&place))
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
