//! What helpers work on: the memory of the program, its maps, the packet, and what is known about the outside.
//!
//! Memory is read and written by copying, never through references: compiled code, other threads and the host see the
//! pages of maps at the same time.

use std::any::Any;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use skep_isa::MapType;

use super::context::Window;
use super::environment::Environment;
use super::fault::{FaultKind, Region};
use super::interpreter;
use super::layout::{
    CONTEXT, FUNCTIONS, FUNCTIONS_END, MAP_HANDLES, MAPS, MAX_CONTEXT_BYTES, MAX_PACKET_BYTES, NULL_END, PACKET,
    SCRATCH, SCRATCH_BYTES, SLOT_BYTES, STACK, STACK_END, map_handle, map_index,
};
use super::maps::Map;
use super::space::{Access, Extent, Model, Space, fast_check};
use super::vm::{Placed, Shared};
use crate::classic::{MAX_PACKET, Metadata};

/// Tail calls that one run may do (`MAX_TAIL_CALL_CNT` in `linux/bpf.h`).
const MAX_TAIL_CALLS: u32 = 33;

/// What a helper can work on.
pub struct Machine {
    pub(crate) space: Space,
    base: *mut u8,
    pub(crate) model: Model,
    shared: Arc<Shared>,
    /// The maps that are in this cage: a prefix of those of the machine.
    pub(crate) placed: Vec<Placed>,
    /// The packet in the memory of the host.
    packet: *const [u8],
    meta: Metadata,
    /// Where register 1 points to.
    pub(crate) context: u32,
    /// Where the packet lies if it is in the cage.
    pub(crate) window: Window,
    /// What helpers ask and leave.
    pub(crate) environment: Environment,
    /// Bytes of the scratch slot that are lent to callbacks now; `None` until it is mapped.
    scratch: Option<u32>,
    /// State of the random numbers, reproducible from [`Metadata::random`].
    pub(crate) random: u32,
    pub(crate) tail_calls: u32,
    /// How callbacks are run: set by the executor.
    pub(crate) call_back: Option<CallBack>,
    /// The program and step of a fault in a callback of compiled code.
    pub(crate) fault_in_callback: Option<(usize, usize)>,
    /// The panic of a registered helper.
    pub(crate) panic: Option<Box<dyn Any + Send>>,
}

/// Runs the function at a step of the running program with registers 1 to 5, in the cage with this base.
pub(crate) type CallBack = unsafe fn(*mut u8, u32, [u64; 5]) -> Result<u64, FaultKind>;

// SAFETY: the pointers are to the machine's own cage, and to a packet that is only set during a
// run, on the thread that runs.
unsafe impl Send for Machine {}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("model", &self.model).field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Machine {
    /// A machine for this cage.
    pub(crate) fn new(space: Space, shared: Arc<Shared>) -> Self {
        Self {
            base: space.base(),
            space,
            model: Model::Precise,
            shared,
            placed: Vec::new(),
            packet: &[],
            meta: Metadata::default(),
            context: CONTEXT,
            window: Window::default(),
            environment: Environment::new(),
            scratch: None,
            random: 0,
            tail_calls: 0,
            call_back: None,
            fault_in_callback: None,
            panic: None,
        }
    }

    pub(crate) fn shared_arc(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    #[inline]
    pub(crate) fn set_meta(&mut self, meta: &Metadata) {
        self.meta = *meta;
        self.random = meta.random;
    }

    /// Makes bytes the packet of helpers and of packet loads. They live as long as they are that.
    #[inline]
    pub(crate) fn point_to_packet(&mut self, packet: *const [u8]) {
        self.packet = packet;
        // Longer packets than loads know are cut.
        let len = packet.len().min(MAX_PACKET);
        // SAFETY: the state lies in the head of the space; executors read it between instructions only.
        unsafe {
            let state = self.space.state();
            (*state).packet = packet.cast::<u8>();
            (*state).packet_len = len as u64;
        }
    }

    #[inline]
    pub(crate) fn prepare(&mut self, model: Model, context: u32, call_back: Option<CallBack>) {
        self.model = model;
        self.context = context;
        self.call_back = call_back;
        self.tail_calls = 0;
        // A run leaves these to its caller, who has taken them or does not want them.
        if self.environment.redirect.is_some() {
            self.environment.redirect = None;
        }
        self.environment.clones.clear();
        if self.scratch.is_some_and(|lent| lent != 0) {
            self.lend_scratch(0);
        }
    }

    /// Does what a program must not leave undone at its end: locks are released.
    #[inline]
    pub(crate) fn finish(&mut self) {
        if let Some(address) = self.environment.held_lock.take()
            && let Ok(lock) = self.atomic_u32(address)
        {
            lock.store(0, Ordering::Release);
        }
    }

    /// The bytes of the packet: what was captured of it.
    pub fn packet(&self) -> &[u8] {
        // SAFETY: the worker sets the packet at the start of a run to a slice that lives through it, and to nothing
        // at its end.
        unsafe { &*self.packet }
    }

    /// What the kernel knows about the packet.
    pub const fn meta(&self) -> &Metadata {
        &self.meta
    }

    /// The processor that the program believes to run on.
    pub const fn cpu(&self) -> u32 {
        self.meta.cpu
    }

    /// Host address of `size` bytes that a program may access.
    #[inline]
    fn check(&self, address: u64, size: u32, access: Access) -> Result<*mut u8, FaultKind> {
        // SAFETY: the space lives as long as the machine is used.
        let found = unsafe { fast_check(self.base, self.model, access, address, size) };
        found.map_or_else(|| self.slow_check(address, size, access), Ok)
    }

    /// The check for regions of many objects, and the fault of an access that fits none.
    pub(crate) fn slow_check(&self, address: u64, size: u32, access: Access) -> Result<*mut u8, FaultKind> {
        if self.model == Model::Precise
            && let Ok(offset) = u32::try_from(address)
            && let Some(placed) = self.placed_at(offset)
            && placed.holds(offset, size)
            && (access == Access::Read || placed.map.is_writable_by_programs())
        {
            // SAFETY: the offset lies in the cage.
            return Ok(unsafe { self.base.add(offset as usize) });
        }
        // An empty object lies nowhere.
        if size == 0 {
            return Ok(self.base);
        }
        Err(self.out_of_bounds(address, size, access))
    }

    fn placed_at(&self, offset: u32) -> Option<&Placed> {
        let index = self.placed.partition_point(|placed| placed.offset <= offset).checked_sub(1)?;
        self.placed.get(index)
    }

    /// The fault of an access to `size` bytes at `address`.
    #[cold]
    pub(crate) fn out_of_bounds(&self, address: u64, size: u32, access: Access) -> FaultKind {
        let address = if self.model == Model::Pages { u64::from(address as u32) } else { address };
        FaultKind::OutOfBounds { address, size, access, region: self.region(address) }
    }

    /// The part of the address space that an address lies in.
    pub fn region(&self, address: u64) -> Region {
        let Ok(offset) = u32::try_from(address) else { return Region::Unmapped };
        let in_window = |start: u32, len: u32| offset >= start && offset - start < len;
        match offset {
            _ if offset < NULL_END => Region::Null,
            _ if in_window(MAP_HANDLES, FUNCTIONS - MAP_HANDLES) => Region::MapHandle,
            _ if in_window(FUNCTIONS, FUNCTIONS_END - FUNCTIONS) => Region::Function,
            _ if in_window(CONTEXT, MAX_CONTEXT_BYTES) => Region::Context,
            // With what a wrong offset reaches on either side.
            _ if in_window(STACK - 0x8000, STACK_END - STACK + 0x1_0000) => Region::Stack,
            _ if in_window(SCRATCH, SCRATCH_BYTES) => Region::Scratch,
            _ if in_window(PACKET, MAX_PACKET_BYTES) => Region::Packet,
            _ if offset >= MAPS => self
                .placed
                .partition_point(|placed| placed.offset <= offset)
                .checked_sub(1)
                .filter(|&index| self.placed[index].reaches(offset))
                .map_or(Region::Unmapped, |index| Region::MapValues(self.placed[index].number)),
            _ => Region::Unmapped,
        }
    }

    /// Whether a program may read `size` bytes at `address`.
    ///
    /// # Errors
    /// [`FaultKind::OutOfBounds`] if not.
    pub fn check_read(&self, address: u64, size: u32) -> Result<(), FaultKind> {
        self.check(address, size, Access::Read).map(drop)
    }

    /// Whether a program may write `size` bytes at `address`.
    ///
    /// # Errors
    /// [`FaultKind::OutOfBounds`] if not.
    pub fn check_write(&self, address: u64, size: u32) -> Result<(), FaultKind> {
        self.check(address, size, Access::Write).map(drop)
    }

    /// Copies memory of the program.
    ///
    /// # Errors
    /// [`FaultKind::OutOfBounds`] if the program may not read it.
    #[inline]
    pub fn read(&self, address: u64, to: &mut [u8]) -> Result<(), FaultKind> {
        let size = u32::try_from(to.len()).unwrap_or(u32::MAX);
        let from = self.check(address, size, Access::Read)?;
        // SAFETY: the bytes are mapped, and `to` is memory of the host, outside of the cage.
        unsafe { ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    /// Changes memory of the program.
    ///
    /// # Errors
    /// [`FaultKind::OutOfBounds`] if the program may not write it.
    pub fn write(&mut self, address: u64, from: &[u8]) -> Result<(), FaultKind> {
        let size = u32::try_from(from.len()).unwrap_or(u32::MAX);
        let to = self.check(address, size, Access::Write)?;
        // SAFETY: the bytes are mapped and writable, and `from` is memory of the host, outside of the cage.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
        Ok(())
    }

    /// Fills memory of the program with one byte.
    ///
    /// # Errors
    /// [`FaultKind::OutOfBounds`] if the program may not write it.
    pub fn fill(&mut self, address: u64, size: u32, byte: u8) -> Result<(), FaultKind> {
        let to = self.check(address, size, Access::Write)?;
        // SAFETY: the bytes are mapped and writable.
        unsafe { ptr::write_bytes(to, byte, size as usize) };
        Ok(())
    }

    /// A copy of memory of the program.
    ///
    /// # Errors
    /// [`FaultKind::OutOfBounds`] if the program may not read it.
    #[inline]
    pub fn bytes(&self, address: u64, size: u32) -> Result<Bytes, FaultKind> {
        let from = self.check(address, size, Access::Read)?;
        // SAFETY: the bytes are mapped.
        Ok(unsafe { Bytes::copy(from, size as usize) })
    }

    /// Copies bytes of the packet into memory of the program; nothing if the packet does not have them.
    ///
    /// # Errors
    /// [`FaultKind::OutOfBounds`] if the program may not write there.
    pub fn copy_from_packet(&mut self, start: usize, to: u64, size: u32) -> Result<(), FaultKind> {
        let to = self.check(to, size, Access::Write)?;
        if let Some(from) = self.packet().get(start..start + size as usize) {
            // SAFETY: the target is mapped and writable; the packet may lie in the cage as well and overlap it.
            unsafe { ptr::copy(from.as_ptr(), to, from.len()) };
        }
        Ok(())
    }

    /// Refuses everything but the address of the context.
    ///
    /// # Errors
    /// [`FaultKind::NotTheContext`]
    pub const fn expect_context(&self, address: u64) -> Result<(), FaultKind> {
        if address == self.context as u64 { Ok(()) } else { Err(FaultKind::NotTheContext(address)) }
    }

    /// The aligned 32-bit word at an address that a program may write.
    ///
    /// # Errors
    /// [`FaultKind::OutOfBounds`] or [`FaultKind::Misaligned`]
    pub(crate) fn atomic_u32(&self, address: u64) -> Result<&AtomicU32, FaultKind> {
        let word = self.check(address, 4, Access::Write)?;
        if !address.is_multiple_of(4) {
            return Err(FaultKind::Misaligned { address, size: 4 });
        }
        // SAFETY: the word is mapped as long as the machine lives, writable and aligned, and the other sides of the
        // page access it atomically or not at all while it is a lock.
        Ok(unsafe { AtomicU32::from_ptr(word.cast()) })
    }

    /// Copies bytes into the slot that callbacks may read: their address, and what [`give_back`](Self::give_back) wants.
    /// `None` if there is no room for them.
    pub(crate) fn lend(&mut self, bytes: &[u8]) -> Result<Option<(u64, u32)>, FaultKind> {
        let lent = match self.scratch {
            Some(lent) => lent,
            None if self.space.map_private(SCRATCH, SCRATCH_BYTES).is_ok() => 0,
            None => return Ok(None),
        };
        let Some(end) = u32::try_from(bytes.len()).ok().and_then(|len| lent.checked_add(len.next_multiple_of(8)))
        else {
            return Ok(None);
        };
        if end > SCRATCH_BYTES {
            return Ok(None);
        }
        self.lend_scratch(end);
        let address = u64::from(SCRATCH + lent);
        self.write(address, bytes)?;
        Ok(Some((address, lent)))
    }

    /// Ends the latest loan.
    pub(crate) fn give_back(&mut self, loan: u32) {
        self.lend_scratch(loan);
    }

    fn lend_scratch(&mut self, lent: u32) {
        self.scratch = Some(lent);
        let object = Extent { start: SCRATCH, len: lent };
        let pages = Extent { start: SCRATCH, len: SCRATCH_BYTES };
        self.space.describe(SCRATCH, 1, Some(object), pages, true);
    }

    /// The map that has the value at an address, and the offset in its values.
    pub(crate) fn map_at(&self, address: u64) -> Option<(&Placed, u32)> {
        let offset = u32::try_from(address).ok()?;
        let placed = self.placed_at(offset).filter(|placed| placed.reaches(offset))?;
        Some((placed, offset - placed.offset))
    }

    /// The map behind a handle and where its values are.
    ///
    /// # Errors
    /// As for [`map`](Self::map).
    pub(crate) fn placed_values(&self, handle: u64) -> Result<(&Arc<Map>, u32), FaultKind> {
        self.placed_map(handle).map(|placed| (&placed.map, placed.offset))
    }

    /// The program that called the helper, which is one that calls back.
    pub(crate) fn running_program(&self) -> usize {
        // SAFETY: the state lies in the head of the space and is not written while helpers run.
        unsafe { (*self.space.state()).program as usize }
    }

    /// The map behind a handle.
    ///
    /// # Errors
    /// [`FaultKind::NotAMap`] when `handle` is none.
    #[inline]
    pub fn map(&self, handle: u64) -> Result<&Arc<Map>, FaultKind> {
        self.placed_map(handle).map(|placed| &placed.map)
    }

    #[inline]
    fn placed_map(&self, handle: u64) -> Result<&Placed, FaultKind> {
        let index = map_index(handle).ok_or(FaultKind::NotAMap(handle))?;
        self.placed.get(index as usize).ok_or(FaultKind::NotAMap(handle))
    }

    /// The address of the value that the key at address `key` finds in the map behind `handle`, 0 if there is none; for
    /// a map of maps the handle of the inner map.
    ///
    /// # Errors
    /// When `handle` is no map or the key cannot be read.
    #[inline]
    pub fn map_find(&mut self, handle: u64, key: u64) -> Result<u64, FaultKind> {
        let placed = self.placed_map(handle)?;
        let cpu = self.cpu();
        let found = self.with_key(key, placed.map.shape().key_size, |key| {
            placed.map.find(key, cpu).map_or_else(|| Err(placed.map.inner(key)), Ok)
        })?;
        match found {
            Ok(offset) => Ok(u64::from(placed.offset + offset)),
            Err(None) => Ok(0),
            Err(Some(inner)) => self.handle_of(&inner),
        }
    }

    /// Calls a function with a copy of a key. Keys of the usual sizes are copied with single loads and stores of just
    /// their size: what reads them then need not wait for parts to come together.
    #[inline]
    fn with_key<T>(&self, address: u64, size: u32, function: impl FnOnce(&[u8]) -> T) -> Result<T, FaultKind> {
        let from = self.check(address, size, Access::Read)?;
        let mut key = MaybeUninit::<[u64; 8]>::uninit();
        let to = key.as_mut_ptr().cast::<u8>();
        if size as usize > size_of_val(&key) {
            let bytes = self.bytes(address, size)?;
            return Ok(function(&bytes));
        }
        // SAFETY: `size` bytes at `from` are mapped, and the array has room for them.
        unsafe {
            match size {
                4 => to.cast::<u32>().write(from.cast::<u32>().read_unaligned()),
                8 => to.cast::<u64>().write(from.cast::<u64>().read_unaligned()),
                16 => to.cast::<[u64; 2]>().write(from.cast::<[u64; 2]>().read_unaligned()),
                _ => ptr::copy_nonoverlapping(from, to, size as usize),
            }
            Ok(function(std::slice::from_raw_parts(to, size as usize)))
        }
    }

    /// The handle of a map that may not be in this cage yet.
    ///
    /// # Errors
    /// [`FaultKind::NoRoomForMap`]
    #[cold]
    fn handle_of(&mut self, map: &Arc<Map>) -> Result<u64, FaultKind> {
        let number = self.shared.number_of(map).ok_or(FaultKind::NoRoomForMap)?;
        self.place_maps().map_err(|_| FaultKind::NoRoomForMap)?;
        Ok(map_handle(number))
    }

    /// Maps what has been added to the machine since the last time.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub(crate) fn place_maps(&mut self) -> io::Result<()> {
        for placed in self.shared.places_from(self.placed.len()) {
            self.map_values(&placed)?;
            self.placed.push(placed);
        }
        Ok(())
    }

    fn map_values(&mut self, placed: &Placed) -> io::Result<()> {
        let Some(values) = placed.map.values() else { return Ok(()) };
        let writable = placed.map.is_writable_by_programs();
        let copies = values.len() / values.file_len();
        for copy in 0..copies {
            // A map has at most a gigabyte of values.
            let offset = placed.offset + (copy * values.file_len()) as u32;
            self.space.map_shared(offset, values.file_len(), values.as_fd(), writable)?;
        }
        let pages = Extent { start: placed.offset, len: values.len() as u32 };
        // The one value of an array, as of global data, is known without the slow check.
        let single = placed.map.kind() == MapType::Array && placed.map.shape().max_entries == 1;
        let object = single.then(|| Extent { start: placed.offset, len: placed.map.shape().value_size });
        self.space.describe(placed.offset, pages.len.div_ceil(SLOT_BYTES), object, pages, writable);
        Ok(())
    }

    /// The index plus 1 of the program in a program array, 0 if there is none or the run has done too many tail calls.
    pub(crate) fn tail_call(&mut self, handle: u64, index: u32) -> Result<u64, FaultKind> {
        let target = self.map(handle)?.program_at(index);
        let programs = self.shared.programs.len();
        match target {
            Some(program) if self.tail_calls < MAX_TAIL_CALLS && (program as usize) < programs => {
                self.tail_calls += 1;
                Ok(u64::from(program) + 1)
            }
            _ => Ok(0),
        }
    }

    /// Calls the function of the running program at `address` with registers 1 to 5 and gives its register 0.
    ///
    /// # Errors
    /// [`FaultKind::NotAFunction`], or what the function does wrong; the helper must pass it on.
    pub fn call(&mut self, address: u64, arguments: [u64; 5]) -> Result<u64, FaultKind> {
        let step = super::layout::function_step(address).ok_or(FaultKind::NotAFunction(address))?;
        let call_back = self.call_back.unwrap_or(interpreter::call_back);
        // SAFETY: the base is that of the space in which this machine runs a program now.
        unsafe { call_back(self.base, step, arguments) }
    }
}

/// A copy of a few bytes, on the stack if there are at most 64.
#[derive(Debug)]
pub struct Bytes {
    len: usize,
    short: [u64; 8],
    long: Vec<u8>,
}

impl Bytes {
    const SHORT: usize = 64;

    /// # Safety
    /// `len` bytes at `from` are mapped.
    #[inline]
    unsafe fn copy(from: *const u8, len: usize) -> Self {
        let mut bytes = Self { len, short: [0; 8], long: Vec::new() };
        let to = if len <= Self::SHORT {
            bytes.short.as_mut_ptr().cast()
        } else {
            bytes.long.resize(len, 0);
            bytes.long.as_mut_ptr()
        };
        // SAFETY: the target has room for `len` bytes and is new.
        unsafe { ptr::copy_nonoverlapping(from, to, len) };
        bytes
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        if self.len <= Self::SHORT {
            // SAFETY: the array has at least this many bytes, all of them initialised.
            unsafe { std::slice::from_raw_parts(self.short.as_ptr().cast(), self.len) }
        } else {
            &self.long
        }
    }
}
