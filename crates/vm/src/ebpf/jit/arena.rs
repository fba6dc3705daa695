//! Executable memory: one reservation for a process, from which programs get pages.
//!
//! Pages are written while they cannot be executed, and executed when they cannot be written. Between programs lie
//! inaccessible pages; what a program does not fill is filled with breakpoints.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::signal;
use super::x86::stubs;
use crate::ebpf::layout::PAGE_BYTES;

/// Addresses for code of all programs of the process.
const ARENA_BYTES: usize = 512 << 20;
const PAGE: usize = PAGE_BYTES as usize;
/// Fills what is not code: `int3`.
const BREAKPOINT: u8 = 0xcc;
/// Code starts at multiples of this.
const ALIGNMENT: usize = 64;

/// The reservation.
#[derive(Debug)]
pub(crate) struct Arena {
    start: NonNull<u8>,
    /// Free pages as (first, count), ordered.
    free: Mutex<Vec<(usize, usize)>>,
    /// Addresses of the stubs.
    pub(crate) enter: usize,
    pub(crate) stop: usize,
}

// SAFETY: the memory is handed out in pieces; the list of what is free is behind a mutex.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

/// A few pages of code. They are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Block {
    /// Address of the code.
    pub(crate) address: usize,
    /// Bytes of code.
    pub(crate) len: usize,
    first: usize,
    pages: usize,
}

impl Arena {
    /// The arena of this process; `None` where code cannot be executed.
    pub(crate) fn get() -> Option<&'static Self> {
        static ARENA: OnceLock<Option<Arena>> = OnceLock::new();
        ARENA.get_or_init(|| if cfg!(target_arch = "x86_64") { Self::new().ok() } else { None }).as_ref()
    }

    fn new() -> io::Result<Self> {
        let start = reserve()?;
        let mut arena = Self { start, free: Mutex::new(vec![(0, ARENA_BYTES / PAGE)]), enter: 0, stop: 0 };
        let stubs = stubs();
        let block = arena.place(&stubs.code, |_, _| Ok(()))?;
        arena.enter = block.address + stubs.enter;
        arena.stop = block.address + stubs.stop;
        signal::install(start.as_ptr() as usize, ARENA_BYTES, block.address + stubs.stop_access)?;
        // The stubs stay as long as the process.
        std::mem::forget(block);
        Ok(arena)
    }

    /// Whether code in the arena can reach this address by a distance of 32 bits.
    pub(crate) fn is_near(&self, address: usize) -> bool {
        let start = self.start.as_ptr() as usize;
        let furthest = address.abs_diff(start).max(address.abs_diff(start + ARENA_BYTES));
        furthest < i32::MAX as usize
    }

    /// Puts code at its place. `link` gets the code and its address and fills in what depends on it.
    ///
    /// # Errors
    /// When the arena is full, memory cannot be made executable, or `link` fails.
    pub(crate) fn place(
        &self,
        code: &[u8],
        link: impl FnOnce(&mut [u8], usize) -> io::Result<()>,
    ) -> io::Result<Block> {
        let pages = code.len().div_ceil(PAGE).max(1);
        let (first, address) = self.take(pages)?;
        // A start that cannot be guessed makes it harder to jump into the middle of instructions.
        let slack = (pages * PAGE - code.len()) / ALIGNMENT;
        let skip = (RandomState::new().hash_one(address) as usize % (slack + 1)) * ALIGNMENT;
        let block = Block { address: address + skip, len: code.len(), first, pages };
        self.protect(first, pages, libc::PROT_READ | libc::PROT_WRITE)?;
        // SAFETY: the pages belong to the block, are writable now, and nobody else knows of them.
        let memory = unsafe { std::slice::from_raw_parts_mut(address as *mut u8, pages * PAGE) };
        memory.fill(BREAKPOINT);
        let place = &mut memory[skip..skip + code.len()];
        place.copy_from_slice(code);
        link(place, block.address)?;
        self.protect(first, pages, libc::PROT_READ | libc::PROT_EXEC)?;
        Ok(block)
    }

    /// Takes pages, with one more behind them that stays inaccessible.
    fn take(&self, pages: usize) -> io::Result<(usize, usize)> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let found = free.iter_mut().find(|(_, count)| *count > pages).ok_or(io::ErrorKind::OutOfMemory)?;
        let first = found.0;
        found.0 += pages + 1;
        found.1 -= pages + 1;
        Ok((first, self.start.as_ptr() as usize + first * PAGE))
    }

    fn give_back(&self, first: usize, pages: usize) {
        // Fresh pages in their place: the old ones are gone, whatever they held.
        // SAFETY: the pages belong to a block that is being dropped.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
            let start = self.start.as_ptr().add(first * PAGE).cast();
            libc::mmap(start, pages * PAGE, libc::PROT_NONE, flags, -1, 0);
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let at = free.partition_point(|&(other, _)| other < first);
        free.insert(at, (first, pages + 1));
        // Neighbours become one.
        for left in [at, at.wrapping_sub(1)] {
            if let (Some(&(start, count)), Some(&(next, more))) = (free.get(left), free.get(left.wrapping_add(1)))
                && start + count == next
            {
                free[left].1 = count + more;
                free.remove(left + 1);
            }
        }
    }

    fn protect(&self, first: usize, pages: usize, protection: libc::c_int) -> io::Result<()> {
        // SAFETY: the pages are part of the reservation and belong to one block.
        let result = unsafe { libc::mprotect(self.start.as_ptr().add(first * PAGE).cast(), pages * PAGE, protection) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(arena) = Arena::get() {
            arena.give_back(self.first, self.pages);
        }
    }
}

/// Reserves addresses near to this program's own code, so that helpers are called with short distances; anywhere else
/// if there is no room.
fn reserve() -> io::Result<NonNull<u8>> {
    let text = reserve as *const () as usize / PAGE * PAGE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // Below first: the heap is above.
    for distance in [1usize, 2, 3] {
        let Some(hint) = text.checked_sub(ARENA_BYTES * distance) else { break };
        // SAFETY: asks for new memory; what is mapped already stays.
        let start = unsafe {
            let fixed = flags | libc::MAP_FIXED_NOREPLACE;
            libc::mmap(hint as *mut libc::c_void, ARENA_BYTES, libc::PROT_NONE, fixed, -1, 0)
        };
        if start as usize == hint {
            return NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error);
        }
        if start != libc::MAP_FAILED {
            // A kernel before 4.17 takes the address as a wish.
            // SAFETY: this memory was mapped just now.
            unsafe { libc::munmap(start, ARENA_BYTES) };
        }
    }
    // SAFETY: asks for new memory at an address of the kernel's choice.
    let start = unsafe { libc::mmap(ptr::null_mut(), ARENA_BYTES, libc::PROT_NONE, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)
}
