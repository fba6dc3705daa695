//! Makes values of objects on the stack.
//!
//! The accesses to an object whose address stays in the function divide it into cells: bytes that are always read and
//! written together, with one type, or numbers of which parts are. Each cell becomes a value of its own, so a structure is
//! split on the way. Cells that overlap others, are accessed in other ways, or would need a block parameter that the rules forbid stay memory.

mod cells;
mod copies;
mod rename;

pub use copies::split;
use skep_ir::Function;

use crate::Ctx;
use crate::blocks::remove_unreachable;

/// The pass.
pub fn promote(function: &mut Function, ctx: &Ctx) -> bool {
    if function.slots.is_empty() {
        return false;
    }
    let removed = remove_unreachable(function);
    let cells = cells::find(function, ctx.options.big_endian);
    if cells.is_empty() {
        return removed;
    }
    rename::rename(function, &cells) || removed
}
