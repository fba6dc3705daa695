//! Memory of a function: objects on its stack, and the value per processor for what is too large for it.
//!
//! Temporary objects live until the end of the statement that made them; then others take their place.

use skep_ir::{MapDecl, Slot, Value, Width};
use skep_isa::MapType as KernelMap;

use super::body::{Body, Home};
use super::helpers;
use crate::plan::Shape;
use crate::types::Type;

/// An address: a pointer whose own alignment is known, and bytes behind it.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// The pointer.
    pub ptr: Value,
    /// Bytes behind it.
    pub off: u32,
    /// Of which the pointer is a multiple.
    pub align: u32,
}

impl At {
    /// The start of something that begins at a multiple of 8.
    pub const fn start(ptr: Value) -> Self {
        Self { ptr, off: 0, align: 8 }
    }

    /// Bytes behind this.
    pub const fn plus(self, bytes: u32) -> Self {
        Self { off: self.off.saturating_add(bytes), ..self }
    }

    /// Of which the address is a multiple: 1, 2, 4 or 8.
    pub const fn aligned(self) -> u32 {
        1 << (self.off | self.align | 8).trailing_zeros()
    }
}

/// The memory per processor of a program and its callbacks.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Its map, once it is needed.
    pub map: Option<skep_ir::MapRef>,
    /// Where the next object begins.
    pub next: u32,
    /// The most that was needed.
    pub most: u32,
}

/// Temporary objects of a function.
#[derive(Debug, Default)]
pub struct Temps {
    /// Objects on the stack that are free, with their sizes.
    free: Vec<(Slot, u32)>,
    /// Objects in use, the innermost statement's last.
    used: Vec<(Slot, u32)>,
    /// Bytes of all objects on the stack.
    pub stack: u32,
    /// Most bytes that objects on the stack may take; the rest of the frame is for what registers do not hold.
    pub budget: u32,
}

impl Temps {
    /// No objects so far, with so many bytes of the stack for them.
    pub fn new(budget: u32) -> Self {
        Self { budget, ..Self::default() }
    }
}

/// What is in use at a point, to be given back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    used: usize,
    scratch: u32,
}

/// The bytes of a value that are written when it is: those of its fields, without what lies between them.
fn bytes_of_shape(shape: &Shape, at: u32, out: &mut Vec<(u32, u32)>) {
    match shape {
        Shape::Tuple(fields) => {
            fields.iter().for_each(|field| bytes_of_shape(&field.shape, at + field.offset, out));
        }
        Shape::Record(fields) => {
            fields.iter().for_each(|(_, field)| bytes_of_shape(&field.shape, at + field.offset, out));
        }
        shape => out.push((at, at + shape.size())),
    }
}

impl Body<'_, '_, '_> {
    /// Remembers which objects are in use.
    pub fn mark(&self) -> Mark {
        Mark { used: self.temps.used.len(), scratch: self.state.scratch.next }
    }

    /// Gives back the objects that came into use since.
    pub fn release(&mut self, mark: Mark) {
        let freed = self.temps.used.split_off(mark.used);
        self.temps.free.extend(freed);
        self.state.scratch.next = mark.scratch;
    }

    /// An object of so many bytes that begins at a multiple of 8. What is in it is not known.
    pub fn temp(&mut self, size: u32) -> At {
        let size = size.next_multiple_of(8).max(8);
        let small = size <= self.cx.input.settings.on_stack_limit.max(8);
        if small {
            if let Some(at) = self.temps.free.iter().position(|free| free.1 == size) {
                let (slot, size) = self.temps.free.swap_remove(at);
                self.temps.used.push((slot, size));
                return At::start(self.b.slot_addr(slot));
            }
            if self.temps.stack + size <= self.temps.budget {
                let slot = self.slot("temporary", size);
                self.temps.used.push((slot, size));
                return At::start(self.b.slot_addr(slot));
            }
        }
        let offset = self.scratch_place(size);
        self.scratch_at(offset)
    }

    /// A temporary object in the memory per processor, where any distance can be added to its address.
    pub fn large_temp(&mut self, size: u32) -> At {
        let offset = self.scratch_place(size.next_multiple_of(8).max(8));
        self.scratch_at(offset)
    }

    /// An object on the stack that stays.
    pub fn slot(&mut self, name: &str, size: u32) -> Slot {
        self.temps.stack += size.next_multiple_of(8);
        self.b.function.add_slot(name, size, 8)
    }

    /// Room in the memory per processor.
    fn scratch_place(&mut self, size: u32) -> u32 {
        let scratch = &mut self.state.scratch;
        let offset = scratch.next;
        scratch.next = scratch.next.saturating_add(size);
        scratch.most = scratch.most.max(scratch.next);
        offset
    }

    fn scratch_at(&mut self, offset: u32) -> At {
        self.scratch_used = true;
        At { ptr: self.scratch, off: offset, align: 8 }
    }

    /// The map of the memory per processor.
    pub fn scratch_map(&mut self) -> skep_ir::MapRef {
        if let Some(map) = self.state.scratch.map {
            return map;
        }
        let name = format!("skep_scratch_{}", self.cx.module.maps.len());
        let map = self.cx.module.add_map(MapDecl::new(&name, KernelMap::PercpuArray, 4, 8, 1));
        self.state.scratch.map = Some(map);
        map
    }

    /// Where a variable lives.
    pub fn home(&mut self, var: u32) -> At {
        let home = self.state.homes[var as usize];
        match home {
            Home::Slot(slot) => At::start(self.b.slot_addr(slot)),
            Home::Frame(offset) => At { ptr: self.frame_ptr(), off: offset, align: 8 },
            Home::Scratch(offset) => self.scratch_at(offset),
        }
    }

    /// The address as one value.
    pub fn addr(&mut self, at: At) -> Value {
        self.b.ptr_add_const(at.ptr, i32::try_from(at.off).unwrap_or(i32::MAX))
    }

    /// A pointer and a distance that an instruction can hold.
    fn near(&mut self, at: At) -> (Value, i16) {
        match i16::try_from(at.off) {
            Ok(off) => (at.ptr, off),
            Err(_) => (self.addr(at), 0),
        }
    }

    /// Writes the lowest bytes of a value.
    pub fn store(&mut self, width: Width, at: At, value: Value) {
        let value = if width == Width::W64 || self.b.function.ty(value) == skep_ir::Type::I32 {
            value
        } else {
            self.b.unary(skep_ir::Unary::Truncate, value)
        };
        let (ptr, off) = self.near(at);
        self.b.store(width, ptr, off, value);
    }

    /// Reads a number as 64 bits.
    pub fn load(&mut self, width: Width, signed: bool, at: At) -> Value {
        let (ptr, off) = self.near(at);
        self.b.load_as(skep_ir::Type::I64, width, signed && width != Width::W64, ptr, off)
    }

    /// Reads a pointer that may be null.
    pub fn load_pointer(&mut self, to: skep_ir::Memory, at: At) -> Value {
        let (ptr, off) = self.near(at);
        self.b.load_as(skep_ir::Type::nullable(to), Width::W64, false, ptr, off)
    }

    /// Makes bytes zero.
    pub fn fill(&mut self, at: At, len: u32) {
        /// More bytes than this are cleared by a helper: reading from address 0 fails, and clears the destination.
        const MOST_STORES: u32 = 128;
        if len == 0 {
            return;
        }
        let to = self.addr(at);
        if len <= MOST_STORES {
            self.b.fill(to, len, 0, at.aligned() as u8);
            return;
        }
        let size = self.b.i64(len.into());
        let nowhere = self.b.i64(0);
        self.call_void(helpers::PROBE_READ_KERNEL, &[to, size, nowhere]);
    }

    /// Makes the bytes zero that writing a value of a type leaves as they are, in a place of `size` bytes.
    pub fn clear_gaps(&mut self, ty: &Type, at: At, size: u32) {
        let mut fields = Vec::new();
        bytes_of_shape(&self.cx.shape(ty), 0, &mut fields);
        fields.sort_unstable();
        fields.push((size, size));
        let mut end = 0;
        for (from, to) in fields {
            self.fill(at.plus(end), from.saturating_sub(end));
            end = end.max(to);
        }
    }

    /// Copies bytes between objects that do not overlap.
    pub fn copy(&mut self, to: At, from: At, len: u32) {
        const MOST_MOVES: u32 = 128;
        if len == 0 {
            return;
        }
        let align = to.aligned().min(from.aligned());
        let (target, source) = (self.addr(to), self.addr(from));
        if len <= MOST_MOVES {
            self.b.copy(target, source, len, align as u8);
            return;
        }
        let size = self.b.i64(len.into());
        let address =
            self.b.function.make_inst(skep_ir::InstData::PtrToInt(source), &[skep_ir::Type::I64], self.b.loc());
        let block = self.b.current();
        self.b.function[block].insts.push(address);
        let address = self.b.function[address].results[0];
        self.call_void(helpers::PROBE_READ_KERNEL, &[target, size, address]);
    }
}
