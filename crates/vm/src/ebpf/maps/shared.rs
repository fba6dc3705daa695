//! Memory that programs and the host use at the same time: the values of a map.
//!
//! Every [`SharedBytes`] is a memory file. The host maps it once; every address space that programs run in ("cage") maps
//! it again, so any number of threads sees the same bytes.
//!
//! # Why the host's accesses are sound
//!
//! Programs may read and write these bytes at any moment, so the host never makes a reference to plain memory here. All
//! accesses go through atomic operations with relaxed order, at natural alignment, and therefore are no data races:
//! each loads or stores some value that was there at some time. What the bytes mean is never trusted: lengths read from
//! them are checked, and nothing that memory safety depends on is stored in them. Machine code of programs works through
//! another mapping and is outside of what the compiler reasons about; on the hardware its accesses are atomic by word as
//! well. Accesses of different sizes to the same bytes may meet; the hardware gives each its own atomicity, and the
//! compiler can neither split nor duplicate nor assume anything about atomic operations on memory whose address it
//! cannot trace.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::error::MapError;
use super::shape::PAGE_BYTES;

/// Bytes in a memory file, mapped for the host.
#[derive(Debug)]
pub struct SharedBytes {
    fd: OwnedFd,
    base: NonNull<u8>,
    /// Bytes of the host's view: those of the file, or twice as many for a mirrored one.
    len: usize,
    mirrored: bool,
}

// SAFETY: the mapping belongs to the value and does not move; every access through a shared reference is atomic.
unsafe impl Send for SharedBytes {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes {}

fn last_error() -> MapError {
    MapError::System(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::ENOMEM))
}

impl SharedBytes {
    /// `len` bytes, rounded up to whole pages, all zero. Memory is taken when a page is written first.
    ///
    /// # Errors
    /// [`MapError::TooLarge`] for 4 GiB and more, [`MapError::System`] if the operating system refuses.
    pub fn new(len: usize) -> Result<Self, MapError> {
        Self::create(len, false)
    }

    /// As [`new`](Self::new), and the view has the bytes twice in a row, so that whatever begins in the first copy can
    /// be read and written without a break at its end.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn mirrored(len: usize) -> Result<Self, MapError> {
        Self::create(len, true)
    }

    fn create(len: usize, mirrored: bool) -> Result<Self, MapError> {
        let file_len = len.max(1).next_multiple_of(PAGE_BYTES as usize);
        let view = if mirrored { file_len.saturating_mul(2) } else { file_len };
        if u32::try_from(view).is_err() {
            return Err(MapError::TooLarge(view as u64));
        }
        // SAFETY: the name is a C string.
        let raw = unsafe { libc::memfd_create(c"skep map".as_ptr(), libc::MFD_CLOEXEC) };
        if raw < 0 {
            return Err(last_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        // SAFETY: changes the length of our own file; it is below 4 GiB.
        if unsafe { libc::ftruncate(fd.as_raw_fd(), file_len as libc::off_t) } != 0 {
            return Err(last_error());
        }
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory that is in use.
        let base = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            libc::mmap(std::ptr::null_mut(), view, libc::PROT_NONE, flags, -1, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(last_error());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or(MapError::NoMemory)?;
        // From here on dropping the value unmaps the range.
        let bytes = Self { fd, base, len: view, mirrored };
        // SAFETY: the range was reserved just now for this purpose.
        unsafe { bytes.map_at(bytes.base.as_ptr()) }?;
        Ok(bytes)
    }

    /// Maps the bytes at `at` as well, readable and writable, twice in a row if they are mirrored.
    ///
    /// # Errors
    /// [`MapError::System`] if the operating system refuses.
    ///
    /// # Safety
    /// `at` is the page-aligned start of [`len`](Self::len) bytes that the caller reserved with `mmap`; whatever is
    /// mapped there is replaced, so nothing may refer to it. Rust code may use the new mapping by atomic operations only.
    pub unsafe fn map_at(&self, at: *mut u8) -> Result<(), MapError> {
        let step = self.file_len();
        for start in (0..self.len).step_by(step) {
            // SAFETY: the caller owns the range, and the file has `step` bytes.
            let mapped = unsafe {
                let protection = libc::PROT_READ | libc::PROT_WRITE;
                let flags = libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_NORESERVE;
                libc::mmap(at.add(start).cast(), step, protection, flags, self.fd.as_raw_fd(), 0)
            };
            if mapped == libc::MAP_FAILED {
                return Err(last_error());
            }
        }
        Ok(())
    }

    /// Bytes of the view, a multiple of the page size and at least one page. Mirrored bytes count twice.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// False: there is always a page.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the file.
    pub const fn file_len(&self) -> usize {
        if self.mirrored { self.len / 2 } else { self.len }
    }

    /// Whether the view has the bytes twice in a row.
    pub const fn is_mirrored(&self) -> bool {
        self.mirrored
    }

    /// Start of the host's view.
    pub const fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Whether `size` bytes at `offset` lie inside.
    #[inline]
    const fn contains(&self, offset: usize, size: usize) -> bool {
        offset <= self.len && size <= self.len - offset
    }

    /// The byte at `offset`, `None` outside.
    #[inline]
    pub fn u8_at(&self, offset: usize) -> Option<&AtomicU8> {
        // SAFETY: inside the mapping, which lives as long as `self` and is only accessed atomically.
        self.contains(offset, 1).then(|| unsafe { AtomicU8::from_ptr(self.base.as_ptr().add(offset)) })
    }

    /// The 4 bytes at `offset`, `None` outside or if `offset` is not a multiple of 4.
    #[inline]
    pub fn u32_at(&self, offset: usize) -> Option<&AtomicU32> {
        let good = offset.is_multiple_of(4) && self.contains(offset, 4);
        // SAFETY: inside the mapping and aligned, because the mapping is; it is only accessed atomically.
        good.then(|| unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(offset).cast()) })
    }

    /// The 8 bytes at `offset`, `None` outside or if `offset` is not a multiple of 8.
    #[inline]
    pub fn u64_at(&self, offset: usize) -> Option<&AtomicU64> {
        let good = offset.is_multiple_of(8) && self.contains(offset, 8);
        // SAFETY: inside the mapping and aligned, because the mapping is; it is only accessed atomically.
        good.then(|| unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(offset).cast()) })
    }

    /// Copies bytes out. `false`, and nothing copied, if they do not all lie inside.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> bool {
        if !self.contains(offset, bytes.len()) {
            return false;
        }
        let mut at = offset;
        let head = offset.wrapping_neg() % 8;
        let (head, rest) = bytes.split_at_mut(head.min(bytes.len()));
        let (words, tail) = rest.as_chunks_mut::<8>();
        self.read_bytes(at, head);
        at += head.len();
        for word in words {
            *word = self.u64_at(at).map_or(0, |cell| cell.load(Relaxed)).to_ne_bytes();
            at += 8;
        }
        self.read_bytes(at, tail);
        true
    }

    fn read_bytes(&self, offset: usize, bytes: &mut [u8]) {
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = self.u8_at(offset + at).map_or(0, |cell| cell.load(Relaxed));
        }
    }

    /// Copies bytes in. `false`, and nothing copied, if they do not all lie inside.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        if !self.contains(offset, bytes.len()) {
            return false;
        }
        let mut at = offset;
        let head = offset.wrapping_neg() % 8;
        let (head, rest) = bytes.split_at(head.min(bytes.len()));
        let (words, tail) = rest.as_chunks::<8>();
        self.write_bytes(at, head);
        at += head.len();
        for word in words {
            if let Some(cell) = self.u64_at(at) {
                cell.store(u64::from_ne_bytes(*word), Relaxed);
            }
            at += 8;
        }
        self.write_bytes(at, tail);
        true
    }

    fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        for (at, byte) in bytes.iter().enumerate() {
            if let Some(cell) = self.u8_at(offset + at) {
                cell.store(*byte, Relaxed);
            }
        }
    }
}

impl AsFd for SharedBytes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for SharedBytes {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `create`, and no reference into it outlives the value.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// `count` words, all zero, whose memory is taken when they are written first.
pub(super) fn zeroed_words(count: usize) -> Box<[AtomicU64]> {
    const { assert!(align_of::<AtomicU64>() == align_of::<u64>()) };
    let plain = Box::into_raw(vec![0_u64; count].into_boxed_slice());
    // SAFETY: an atomic integer has the size, the alignment (asserted above) and the values of the plain one.
    unsafe { Box::from_raw(plain as *mut [AtomicU64]) }
}

/// As [`zeroed_words`], one byte each.
pub(super) fn zeroed_bytes(count: usize) -> Box<[AtomicU8]> {
    let plain = Box::into_raw(vec![0_u8; count].into_boxed_slice());
    // SAFETY: as above; the alignment of a byte is 1.
    unsafe { Box::from_raw(plain as *mut [AtomicU8]) }
}
