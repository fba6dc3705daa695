//! The cage: four gigabytes of address space in which everything lies that a program can reach.
//!
//! ```text
//!  [tables | state | guard]  [0 .............. 4 GiB]  [guard]
//!                            ^ base
//! ```
//!
//! A program's address is an offset from `base`, cut to 32 bits; all but the mapped regions is inaccessible. The tables
//! and the state of the machine lie in front of `base`, out of the reach of any such address. Compiled code relies on
//! the page protection; the interpreter looks an address up in one of the tables:
//!
//! * precise: the bytes of the objects, so that the first access beyond one is found;
//! * by page: what the protection would allow, so that the interpreter can stand in for compiled code.
//!
//! This file owns the memory and its unsafe access. What is mapped and when is decided in `worker`.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

use super::layout::{PAGE_BYTES, SLOT_BYTES};
use super::state::State;

/// Addresses of a program.
const CAGE_BYTES: usize = 1 << 32;
/// Before and behind the cage. Compiled code adds an offset of at most 32 KiB either way to a register that it knows to
/// be below [`SMALL_LIMIT`](super::facts::SMALL_LIMIT) without cutting the sum.
const GUARD_BYTES: usize = 1 << 20;
/// Entries of a table: one for each slot of the cage.
const SLOTS: usize = CAGE_BYTES / SLOT_BYTES as usize;
const TABLE_BYTES: usize = SLOTS * size_of::<u64>();
/// Room for the state, a multiple of the page.
const STATE_ROOM: usize = 16 * 1024;
/// Distance of the state from the base, in bytes downwards.
pub(crate) const STATE_DISTANCE: usize = GUARD_BYTES + STATE_ROOM;
const HEAD_BYTES: usize = 4 * TABLE_BYTES + STATE_DISTANCE;

const _: () = assert!(size_of::<State>() <= STATE_ROOM);

/// How exactly accesses are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Against the bytes of the object that an address lies in.
    Precise,
    /// Against mapped pages, with addresses cut to 32 bits: what compiled code does.
    Pages,
}

/// Read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store or a read-modify-write.
    Write,
}

/// Distance of a table from the base of the cage, in bytes downwards.
pub(crate) const fn table_distance(model: Model, access: Access) -> usize {
    let number = match (model, access) {
        (Model::Precise, Access::Read) => 1,
        (Model::Precise, Access::Write) => 2,
        (Model::Pages, Access::Read) => 3,
        (Model::Pages, Access::Write) => 4,
    };
    STATE_DISTANCE + number * TABLE_BYTES
}

/// Owner of one cage. Not shared between threads; what threads share are the pages of maps in it.
#[derive(Debug)]
pub(crate) struct Space {
    reservation: NonNull<u8>,
    base: NonNull<u8>,
}

// SAFETY: the memory belongs to this value alone, except for pages of maps, which are accessed as shared memory.
unsafe impl Send for Space {}

const RESERVATION: usize = HEAD_BYTES + CAGE_BYTES + GUARD_BYTES;

impl Space {
    /// Reserves the address space; memory is used only for what is touched.
    ///
    /// # Errors
    /// What mmap(2) says, in general because `ulimit -v` leaves less than 4 GiB.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: asks for new memory at an address of the kernel's choice.
        let start = unsafe { libc::mmap(ptr::null_mut(), RESERVATION, libc::PROT_NONE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let reservation = NonNull::new(start.cast::<u8>()).ok_or_else(io::Error::last_os_error)?;
        // SAFETY: the head is part of the reservation.
        let base = unsafe { reservation.add(HEAD_BYTES) };
        let space = Self { reservation, base };
        // SAFETY: the head belongs to this value and nothing refers to it yet.
        let result = unsafe { libc::mprotect(start, HEAD_BYTES - GUARD_BYTES, libc::PROT_READ | libc::PROT_WRITE) };
        if result == 0 { Ok(space) } else { Err(io::Error::last_os_error()) }
    }

    /// Host address of the program's address 0.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// The state of the machine, all zeros at first.
    pub(crate) fn state(&self) -> *mut State {
        // SAFETY: the state lies in the head.
        unsafe { self.base.as_ptr().sub(STATE_DISTANCE).cast() }
    }

    /// Maps fresh private pages of zeros at `offset`, a multiple of [`SLOT_BYTES`]; they stay until the end.
    ///
    /// # Errors
    /// What mprotect(2) says.
    pub(crate) fn map_private(&mut self, offset: u32, len: u32) -> io::Result<()> {
        let start = self.page(offset);
        // SAFETY: the pages lie in the cage, which belongs to this value.
        let result = unsafe { libc::mprotect(start.cast(), page_round(len), libc::PROT_READ | libc::PROT_WRITE) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Makes private pages from `offset`, a multiple of the page, inaccessible and forgets what they held.
    ///
    /// # Errors
    /// What madvise(2) and mprotect(2) say.
    pub(crate) fn unmap(&mut self, offset: u32, len: u32) -> io::Result<()> {
        let start = self.page(offset).cast();
        // SAFETY: the pages lie in the cage, which belongs to this value.
        let result = unsafe {
            match libc::mprotect(start, page_round(len), libc::PROT_NONE) {
                0 => libc::madvise(start, page_round(len), libc::MADV_DONTNEED),
                error => error,
            }
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Maps `len` bytes of a shared memory file at `offset`, a multiple of [`SLOT_BYTES`].
    ///
    /// # Errors
    /// What mmap(2) says.
    pub(crate) fn map_shared(&mut self, offset: u32, len: usize, fd: BorrowedFd<'_>, writable: bool) -> io::Result<()> {
        assert!(offset as usize + len <= CAGE_BYTES, "outside of the cage");
        let protection: c_int = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        // SAFETY: replaces pages of the cage, which belongs to this value, by pages of the file.
        let result = unsafe { libc::mmap(self.page(offset).cast(), len, protection, flags, fd.as_raw_fd(), 0) };
        if result == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn page(&self, offset: u32) -> *mut u8 {
        assert!(offset.is_multiple_of(PAGE_BYTES), "not the start of a page");
        // SAFETY: every offset lies in the cage.
        unsafe { self.base.as_ptr().add(offset as usize) }
    }

    /// Says in the tables what the window of `slots` slots at `window`, a multiple of [`SLOT_BYTES`], holds.
    ///
    /// `object` are the bytes that a program may access, `None` if they are several objects, which the slow check tells
    /// apart; `pages` are those that the mapped pages have, writable if `writable`.
    pub(crate) fn describe(&mut self, window: u32, slots: u32, object: Option<Extent>, pages: Extent, writable: bool) {
        let object = object.unwrap_or(Extent { start: u32::MAX, len: 0 });
        let pages = Extent { len: page_round(pages.len) as u32, ..pages };
        self.fill(window, slots, Model::Precise, object, writable);
        self.fill(window, slots, Model::Pages, pages, writable);
    }

    fn fill(&mut self, window: u32, slots: u32, model: Model, entry: Extent, writable: bool) {
        let first = window / SLOT_BYTES;
        assert!((first + slots) as usize <= SLOTS, "outside of the cage");
        for access in [Access::Read, Access::Write] {
            let entry = if access == Access::Write && !writable { Extent::NOTHING } else { entry };
            for slot in first..first + slots {
                // SAFETY: the table has an entry for each slot of the cage, and this value is borrowed exclusively.
                unsafe { table(self.base(), model, access).add(slot as usize).write(entry.pack()) };
            }
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // SAFETY: this is the whole reservation; nothing refers to it any more.
        unsafe { libc::munmap(self.reservation.as_ptr().cast(), RESERVATION) };
    }
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// First address.
    pub(crate) start: u32,
    /// Number of bytes.
    pub(crate) len: u32,
}

impl Extent {
    const NOTHING: Self = Self { start: 0, len: 0 };

    const fn pack(self) -> u64 {
        (self.len as u64) << 32 | self.start as u64
    }
}

#[inline(always)]
fn table(base: *mut u8, model: Model, access: Access) -> *mut u64 {
    // SAFETY: the tables lie in front of the base, in the same reservation.
    unsafe { base.sub(table_distance(model, access)).cast() }
}

/// Host address of `size` bytes at `address` if a table allows the access.
///
/// `None` sends the caller to the slow check, which knows the objects in regions of many.
///
/// # Safety
/// `base` is the base of a living [`Space`].
#[inline(always)]
pub(crate) unsafe fn fast_check(
    base: *mut u8,
    model: Model,
    access: Access,
    address: u64,
    size: u32,
) -> Option<*mut u8> {
    if matches!(model, Model::Precise) && address > u64::from(u32::MAX) {
        return None;
    }
    let offset = address as u32;
    // SAFETY: the table has an entry for every slot of a 32-bit address.
    let entry = unsafe { *table(base, model, access).add((offset / SLOT_BYTES) as usize) };
    let inside = u64::from(offset.wrapping_sub(entry as u32));
    if inside + u64::from(size) > entry >> 32 {
        return None;
    }
    // SAFETY: the offset lies in the cage.
    Some(unsafe { base.add(offset as usize) })
}

/// Sets the bottom of the stack in the precise tables: the frames from there to the end are active.
///
/// # Safety
/// `base` is the base of a living [`Space`] whose stack is mapped; nobody else accesses its tables now.
#[inline(always)]
pub(crate) unsafe fn set_stack_bottom(base: *mut u8, bottom: u32) {
    use super::layout::{STACK, STACK_END};
    let entry = Extent { start: bottom, len: STACK_END - bottom }.pack();
    for access in [Access::Read, Access::Write] {
        // SAFETY: the slot of the stack is one of the table's.
        unsafe { table(base, Model::Precise, access).add((STACK / SLOT_BYTES) as usize).write(entry) };
    }
}

const fn page_round(len: u32) -> usize {
    (len as usize).next_multiple_of(PAGE_BYTES as usize)
}
