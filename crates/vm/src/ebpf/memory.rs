//! The address space of a running program: every access is checked against the object that it points into.
//!
//! An address is the number of a region in the upper 32 bits and an offset in the lower ones, so that no arithmetic on
//! a pointer reaches the host's memory and a run does not depend on where things lie in it.

use skep_isa::ebpf::Size;

use super::fault::{Access, FaultKind, Region};
use super::map::{Map, Slot};

/// Bytes of stack that each active function has (`MAX_BPF_STACK`).
pub const FRAME_BYTES: usize = 512;
/// Most functions active at once (`MAX_CALL_FRAMES`).
pub const MAX_FRAMES: usize = 8;

/// Distance of two frames: the gap between them catches accesses below a frame.
const FRAME_STRIDE: usize = 2 * FRAME_BYTES;

/// Region numbers.
const CONTEXT: u32 = 1;
const STACK: u32 = 2;
const PACKET: u32 = 3;
const MAP_HANDLES: u32 = 4;
const FUNCTIONS: u32 = 5;
const MAP_VALUES: u32 = 16;

const fn address(region: u32, offset: u32) -> u64 {
    (region as u64) << 32 | offset as u64
}

/// Address of the context.
pub const CONTEXT_START: u64 = address(CONTEXT, 0);

/// Address of the packet, which programs can read but not write.
pub const PACKET_START: u64 = address(PACKET, 0);

/// The address that stands for the function at index `op`.
pub(super) const fn function_address(op: u32) -> u64 {
    address(FUNCTIONS, op)
}

/// The index in a function address.
pub(super) const fn function_index(value: u64) -> Option<u32> {
    if value >> 32 == FUNCTIONS as u64 { Some(value as u32) } else { None }
}

/// The address that stands for the map with this index.
pub const fn map_handle(index: u32) -> u64 {
    address(MAP_HANDLES, index)
}

/// Everything that a program can reach.
#[derive(Debug)]
pub struct Memory<'a> {
    context: &'a mut [u8],
    packet: &'a [u8],
    stack: &'a mut Stack,
    maps: &'a mut [Map],
}

/// The stack frames. Kept between runs so that a run allocates nothing; scrubbed when a function is entered.
#[derive(Debug, Clone)]
pub(super) struct Stack {
    bytes: Box<[u8; FRAME_STRIDE * MAX_FRAMES]>,
    /// Active frames.
    depth: usize,
}

impl Stack {
    pub(super) fn new() -> Self {
        Self { bytes: Box::new([0; FRAME_STRIDE * MAX_FRAMES]), depth: 0 }
    }
}

impl<'a> Memory<'a> {
    pub(super) fn new(context: &'a mut [u8], packet: &'a [u8], stack: &'a mut Stack, maps: &'a mut [Map]) -> Self {
        stack.depth = 0;
        Self { context, packet, stack, maps }
    }

    /// The captured bytes of the packet.
    pub const fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// Adds a frame full of zeros and gives the address of its end, the new frame pointer.
    pub(super) fn enter(&mut self) -> Result<u64, FaultKind> {
        if self.stack.depth == MAX_FRAMES {
            return Err(FaultKind::TooManyFrames);
        }
        let end = (self.stack.depth + 1) * FRAME_STRIDE;
        self.stack.bytes[end - FRAME_BYTES..end].fill(0);
        self.stack.depth += 1;
        Ok(address(STACK, end as u32))
    }

    /// Removes the newest frame.
    pub(super) fn leave(&mut self) {
        self.stack.depth = self.stack.depth.saturating_sub(1);
    }

    /// The object bytes behind `size` bytes at `start`, or why there are none.
    ///
    /// # Errors
    /// [`FaultKind::OutOfBounds`] when they are not all inside one object.
    #[inline]
    pub fn bytes(&self, start: u64, size: u32) -> Result<&[u8], FaultKind> {
        let offset = start as u32;
        let found = match (start >> 32) as u32 {
            CONTEXT => within(self.context, offset, size),
            STACK => within(&*self.stack.bytes, self.stack.check(offset, size), size),
            PACKET => within(self.packet, offset, size),
            region => region
                .checked_sub(MAP_VALUES)
                .and_then(|index| self.maps.get(index as usize))
                .and_then(|map| map.value_bytes(offset, size)),
        };
        found.ok_or_else(|| self.out_of_bounds(start, size, Access::Read))
    }

    /// As [`bytes`](Self::bytes), to write. The packet cannot be written.
    ///
    /// # Errors
    /// [`FaultKind::OutOfBounds`] when they are not all inside one object that can be written.
    #[inline]
    pub fn bytes_mut(&mut self, start: u64, size: u32) -> Result<&mut [u8], FaultKind> {
        let offset = start as u32;
        // Computed in advance because the borrow of the result would forbid it; it is a few instructions.
        let fault = self.out_of_bounds(start, size, Access::Write);
        let found = match (start >> 32) as u32 {
            CONTEXT => within_mut(self.context, offset, size),
            STACK => {
                let offset = self.stack.check(offset, size);
                within_mut(&mut *self.stack.bytes, offset, size)
            }
            region => region
                .checked_sub(MAP_VALUES)
                .and_then(|index| self.maps.get_mut(index as usize))
                .and_then(|map| map.value_bytes_mut(offset, size)),
        };
        found.ok_or(fault)
    }

    /// A number in the machine's byte order, widened with zeros.
    #[inline]
    pub(super) fn load(&self, start: u64, size: Size) -> Result<u64, FaultKind> {
        let bytes = self.bytes(start, size.bytes())?;
        Ok(match *bytes {
            [a] => a.into(),
            [a, b] => u16::from_ne_bytes([a, b]).into(),
            [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]).into(),
            [a, b, c, d, e, f, g, h] => u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            // An access has 1, 2, 4 or 8 bytes.
            _ => 0,
        })
    }

    /// Stores the low bytes of `value` in the machine's byte order.
    #[inline]
    pub(super) fn store(&mut self, start: u64, size: Size, value: u64) -> Result<(), FaultKind> {
        let bytes = self.bytes_mut(start, size.bytes())?;
        match size {
            Size::B => bytes.copy_from_slice(&(value as u8).to_ne_bytes()),
            Size::H => bytes.copy_from_slice(&(value as u16).to_ne_bytes()),
            Size::W => bytes.copy_from_slice(&(value as u32).to_ne_bytes()),
            Size::DW => bytes.copy_from_slice(&value.to_ne_bytes()),
        }
        Ok(())
    }

    /// The map behind a handle.
    ///
    /// # Errors
    /// [`FaultKind::NotAMap`] when `handle` is none.
    pub fn map(&mut self, handle: u64) -> Result<&mut Map, FaultKind> {
        let index = handle as u32;
        match self.maps.get_mut(index as usize) {
            Some(map) if handle == map_handle(index) => Ok(map),
            _ => Err(FaultKind::NotAMap(handle)),
        }
    }

    /// The value that the key at address `key` finds in the map behind `handle`.
    ///
    /// # Errors
    /// When `handle` is no map or the key cannot be read.
    pub fn map_find(&self, handle: u64, key: u64) -> Result<Option<u64>, FaultKind> {
        let index = handle as u32;
        let Some(map) = self.maps.get(index as usize).filter(|_| handle == map_handle(index)) else {
            return Err(FaultKind::NotAMap(handle));
        };
        let key = self.bytes(key, map.shape().key_size)?;
        Ok(map.find(key).map(|slot| value_address(index, map, slot)))
    }

    fn out_of_bounds(&self, address: u64, size: u32, access: Access) -> FaultKind {
        let region = match (address >> 32) as u32 {
            0 => Region::Null,
            CONTEXT => Region::Context,
            STACK => Region::Stack,
            PACKET => Region::Packet,
            MAP_HANDLES => Region::MapHandle,
            FUNCTIONS => Region::Function,
            number => match number.checked_sub(MAP_VALUES) {
                Some(index) if (index as usize) < self.maps.len() => Region::MapValues(index),
                _ => Region::Unmapped,
            },
        };
        FaultKind::OutOfBounds { address, size, access, region }
    }
}

impl Stack {
    /// `offset` if `size` bytes there are inside one active frame, else an offset that is outside everything.
    #[inline]
    fn check(&self, offset: u32, size: u32) -> u32 {
        let inside = offset as usize % FRAME_STRIDE;
        let active = (offset as usize) < self.depth * FRAME_STRIDE;
        if active && inside >= FRAME_BYTES && size as usize <= FRAME_STRIDE - inside { offset } else { u32::MAX }
    }
}

/// Address of a value.
pub(super) fn value_address(index: u32, map: &Map, slot: Slot) -> u64 {
    value_offset_address(index, map.offset(slot))
}

/// Address of the byte at `offset` in the values of the map with this index.
pub(super) const fn value_offset_address(index: u32, offset: u32) -> u64 {
    address(MAP_VALUES.saturating_add(index), offset)
}

#[inline]
fn within(bytes: &[u8], offset: u32, size: u32) -> Option<&[u8]> {
    bytes.get(offset as usize..offset as usize + size as usize)
}

#[inline]
fn within_mut(bytes: &mut [u8], offset: u32, size: u32) -> Option<&mut [u8]> {
    bytes.get_mut(offset as usize..offset as usize + size as usize)
}
