//! Memory that is shared with the kernel through `mmap(2)`.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use crate::errors::last_errno;

/// Size of a page in bytes.
pub(crate) fn page_size() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    // SAFETY: no pointers are involved.
    *SIZE.get_or_init(|| usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096))
}

/// What this process may do with the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A mapping, removed when it is dropped. Others change it at any time, so it is read only through atomics and through
/// [`bytes`](Self::bytes), whose caller knows that nobody writes there.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
    access: Access,
}

// SAFETY: the memory belongs to this value alone as far as this process is concerned and is reached through atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes of `fd` from `offset` on. `private` mappings do not see later changes of a file.
    pub(crate) fn new(
        fd: BorrowedFd<'_>,
        length: usize,
        offset: usize,
        access: Access,
        private: bool,
    ) -> Result<Self, i32> {
        let protection = match access {
            Access::Read => libc::PROT_READ,
            Access::Write => libc::PROT_READ | libc::PROT_WRITE,
        };
        let kind = if private { libc::MAP_PRIVATE } else { libc::MAP_SHARED };
        let offset = libc::off_t::try_from(offset).map_err(|_| libc::EOVERFLOW)?;
        // SAFETY: the kernel chooses an address that is free, so no memory of anybody is replaced.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, kind, fd.as_raw_fd(), offset) };
        if start == libc::MAP_FAILED {
            return Err(last_errno());
        }
        let start = NonNull::new(start.cast()).ok_or(libc::ENOMEM)?;
        Ok(Self { start, length, access })
    }

    /// Maps `length` bytes of `fd` for reading and writing, at `address` unless it is 0. [`libc::EEXIST`] if something is
    /// there.
    pub(crate) fn at_address(fd: BorrowedFd<'_>, length: usize, address: usize) -> Result<Self, i32> {
        let fixed = if address == 0 { 0 } else { libc::MAP_FIXED_NOREPLACE };
        let wanted = std::ptr::without_provenance_mut::<libc::c_void>(address);
        let (protection, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | fixed);
        // SAFETY: only free addresses are taken, so no memory of anybody is replaced.
        let start = unsafe { libc::mmap(wanted, length, protection, kind, fd.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(last_errno());
        }
        let start = NonNull::new(start.cast()).ok_or(libc::ENOMEM)?;
        Ok(Self { start, length, access: Access::Write })
    }

    /// The address of the first byte.
    pub(crate) fn address(&self) -> usize {
        self.start.as_ptr().addr()
    }

    /// Bytes in the mapping.
    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    /// The address of `size` bytes at `offset`, which must be aligned to `size`.
    fn at(&self, offset: usize, size: usize) -> *mut u8 {
        let inside = offset.checked_add(size).is_some_and(|end| end <= self.length);
        assert!(inside && offset.is_multiple_of(size), "outside of a mapping: {offset}");
        // SAFETY: the place lies in the mapping, as was just checked.
        unsafe { self.start.as_ptr().add(offset) }
    }

    /// The byte at an offset inside of the mapping. Only to be written with [`Access::Write`].
    pub(crate) fn byte(&self, offset: usize) -> &AtomicU8 {
        // SAFETY: inside, aligned, alive as long as `self`; everybody in this process goes through atomics.
        unsafe { AtomicU8::from_ptr(self.at(offset, 1)) }
    }

    /// The word at an offset inside of the mapping, a multiple of 4. Only to be written with [`Access::Write`].
    pub(crate) fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: inside, aligned, alive as long as `self`; everybody in this process goes through atomics.
        unsafe { AtomicU32::from_ptr(self.at(offset, 4).cast()) }
    }

    /// The double word at an offset inside of the mapping, a multiple of 8. Only to be written with [`Access::Write`].
    pub(crate) fn double_word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: inside, aligned, alive as long as `self`; everybody in this process goes through atomics.
        unsafe { AtomicU64::from_ptr(self.at(offset, 8).cast()) }
    }

    /// Whether the memory may be written.
    pub(crate) fn is_writable(&self) -> bool {
        self.access == Access::Write
    }

    /// The bytes from `offset` on.
    ///
    /// # Safety
    /// Nobody, the kernel and programs included, changes them as long as the slice lives.
    pub(crate) unsafe fn bytes(&self, offset: usize, length: usize) -> &[u8] {
        let inside = offset.checked_add(length).is_some_and(|end| end <= self.length);
        assert!(inside, "outside of a mapping: {offset} and {length} bytes");
        // SAFETY: the range lies in the mapping, as was just checked, and for the rest the caller vouches.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset), length) }
    }

    /// The bytes from `offset` on, for writing.
    ///
    /// # Safety
    /// The mapping is writable, and nobody, the kernel and programs included, reads or writes them as long as the slice
    /// lives.
    #[allow(clippy::mut_from_ref)] // The memory is not part of `self`; for exclusiveness the caller vouches.
    pub(crate) unsafe fn bytes_mut(&self, offset: usize, length: usize) -> &mut [u8] {
        let inside = offset.checked_add(length).is_some_and(|end| end <= self.length);
        assert!(inside && self.is_writable(), "outside of a mapping: {offset} and {length} bytes");
        // SAFETY: the range lies in the mapping, as was just checked, and for the rest the caller vouches.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(offset), length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new` and no reference into it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
