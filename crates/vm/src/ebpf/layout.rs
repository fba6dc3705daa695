//! Where things lie in the 32-bit address space that a program sees. The same in every run, on every machine.
//!
//! Addresses are offsets into the cage, so a run is reproducible and nothing of the host shows in a register. Regions
//! begin at multiples of [`SLOT_BYTES`] with unmapped pages between them: no single access can reach from one into
//! another.

/// Granularity of the tables that say which addresses are mapped, in bytes.
pub(crate) const SLOT_BYTES: u32 = 1 << 16;
/// Bytes of a page, the granularity of the cage.
pub(crate) const PAGE_BYTES: u32 = 4096;

/// Bytes of stack that each active function has (`MAX_BPF_STACK` in `linux/filter.h`).
pub const FRAME_BYTES: u32 = 512;
/// Most functions active at once (`MAX_CALL_FRAMES` in `linux/bpf_verifier.h`).
pub const MAX_FRAMES: u32 = 8;

/// Below it nothing is ever mapped: null pointers and small numbers.
pub(crate) const NULL_END: u32 = 1 << 20;

/// Map handles: numbers that stand for maps. Nothing is mapped there.
pub(crate) const MAP_HANDLES: u32 = 0x0010_0000;
/// Distance of two map handles.
pub(crate) const MAP_HANDLE_STEP: u32 = 16;
/// Addresses of functions: the index of the first instruction is the distance. Nothing is mapped there.
pub(crate) const FUNCTIONS: u32 = 0x0020_0000;
/// Behind the addresses of functions.
pub(crate) const FUNCTIONS_END: u32 = 0x0040_0000;

/// Start of the window of the context.
pub(crate) const CONTEXT: u32 = 0x0100_0000;
/// The lowest address that the context of a run can have: it lies in the window of [`MAX_CONTEXT_BYTES`] from here.
pub const CONTEXT_WINDOW: u64 = CONTEXT as u64;
/// Most bytes of context: 15 MiB.
pub const MAX_CONTEXT_BYTES: u32 = 0x00f0_0000;

/// Start of the stack: one page for all frames, the first at its end.
pub(crate) const STACK: u32 = 0x0200_0000;
/// Value of register 10 in the first function.
pub(crate) const STACK_END: u32 = STACK + FRAME_BYTES * MAX_FRAMES;

/// Start of the scratch slot: what helpers lend to callbacks.
pub(crate) const SCRATCH: u32 = 0x0210_0000;
/// Bytes of the scratch slot.
pub(crate) const SCRATCH_BYTES: u32 = SLOT_BYTES;

/// Start of the window of the packet.
pub(crate) const PACKET: u32 = 0x0300_0000;
/// Most bytes of packet with headroom and tailroom: 15 MiB.
pub const MAX_PACKET_BYTES: u32 = 0x00f0_0000;

/// Start of the values of maps.
pub(crate) const MAPS: u32 = 0x1000_0000;
/// Behind the values of maps.
pub(crate) const MAPS_END: u32 = 0xf000_0000;

// All frames together are one page, and so the page ends with the first frame.
const _: () = assert!(FRAME_BYTES * MAX_FRAMES == PAGE_BYTES);

/// The number that stands for the map with this index.
pub const fn map_handle(index: u32) -> u64 {
    (MAP_HANDLES + index * MAP_HANDLE_STEP) as u64
}

/// The index of the map that a handle stands for; it need not exist.
pub(crate) const fn map_index(handle: u64) -> Option<u32> {
    let range = MAP_HANDLES as u64..FUNCTIONS as u64;
    if handle < range.start || handle >= range.end || !handle.is_multiple_of(MAP_HANDLE_STEP as u64) {
        return None;
    }
    Some((handle as u32 - MAP_HANDLES) / MAP_HANDLE_STEP)
}

/// Most maps that one machine can have.
pub(crate) const MAX_MAPS: u32 = (FUNCTIONS - MAP_HANDLES) / MAP_HANDLE_STEP;

/// The address of the function that starts at this step.
pub(crate) const fn function_address(step: u32) -> u64 {
    (FUNCTIONS + step) as u64
}

/// The step at which the function with this address would start; whether one does is for the caller to check.
pub(crate) const fn function_step(address: u64) -> Option<u32> {
    if address >= FUNCTIONS as u64 && address < FUNCTIONS_END as u64 { Some(address as u32 - FUNCTIONS) } else { None }
}
