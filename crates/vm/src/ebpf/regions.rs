//! The address space of a program as a table for people: what lies where.

use std::ops::Range;

use super::fault::Region;
use super::layout::{
    FRAME_BYTES, FUNCTIONS, FUNCTIONS_END, MAP_HANDLES, MAX_FRAMES, NULL_END, STACK, STACK_END, map_handle,
};
use super::machine::Machine;
use super::worker::Worker;

// The frames of a worker are exactly what this table shows as the stack.
const _: () = assert!(STACK_END - STACK == FRAME_BYTES * MAX_FRAMES);

impl Worker {
    /// The parts of the address space with their addresses, in the order of these: to be shown beside a fault.
    ///
    /// The null region, map handles (if there are maps) and functions cannot be accessed. The values of a map may have
    /// gaps between them, which cannot be accessed either. Empty parts are left out.
    pub fn regions(&self) -> Vec<(Range<u64>, Region)> {
        let machine: &Machine = self.machine();
        let handles = u64::from(MAP_HANDLES)..map_handle(u32::try_from(machine.placed.len()).unwrap_or(u32::MAX));
        let context = self.context_address();
        let mut rows = vec![
            (0..u64::from(NULL_END), Region::Null),
            (handles, Region::MapHandle),
            (u64::from(FUNCTIONS)..u64::from(FUNCTIONS_END), Region::Function),
            (context..context + u64::from(self.context_len()), Region::Context),
            (u64::from(STACK)..u64::from(STACK_END), Region::Stack),
        ];
        rows.extend(machine.placed.iter().map(|placed| {
            let bytes = placed.map.values().map_or(0, |values| values.len() as u64);
            let start = u64::from(placed.offset);
            (start..start + bytes, Region::MapValues(placed.number))
        }));
        rows.retain(|(range, _)| !range.is_empty());
        rows
    }
}
