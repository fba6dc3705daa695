//! The values of array maps as memory that programs and this process share (`BPF_F_MMAPABLE`, Linux 5.5), and arenas
//! (Linux 6.9).

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use skep_isa::{MapType, Release};

use crate::errors::KernelError;
use crate::map::LoadedMap;
use crate::sys::attr::flag;
use crate::sys::memory::{Access, Mapping, page_size};

/// Unallocated pages of an arena are no memory for processes (`BPF_F_SEGV_ON_FAULT`).
const SEGV_ON_FAULT: u32 = 1 << 17;

/// The values of an array map, one after the other, each rounded up to 8 bytes; or the pages of an arena.
///
/// Programs change them at any time, so they are reached through atomics: whole words are never torn, while a longer read
/// may see some words before and some after a change.
#[derive(Debug)]
pub struct MapMemory {
    mapping: Arc<Mapping>,
    length: usize,
    stride: usize,
}

impl LoadedMap {
    /// Maps the values. Writing is not possible if the map is frozen or was created for reading only.
    ///
    /// Pages of an arena that nobody has allocated are, when they are read or written.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the map is neither an array nor an arena, or an arena whose pages do not appear when they
    /// are touched (`BPF_F_SEGV_ON_FAULT`), or was created without `BPF_F_MMAPABLE`,
    /// [`KernelError::Unsupported`] before Linux 5.5.
    pub fn memory(&self) -> Result<MapMemory, KernelError> {
        const ACTION: &str = "share the memory of a map";
        let info = self.info()?;
        let invalid = |problem: String| Err(KernelError::Invalid { action: ACTION, problem });
        if self.map_type() == Some(MapType::Arena) {
            if info.flags & SEGV_ON_FAULT != 0 {
                return invalid(format!(
                    "arena `{}` has BPF_F_SEGV_ON_FAULT: its pages are there only once a program has \
                     allocated them",
                    self.name()
                ));
            }
            let mapping = self.arena()?;
            return Ok(MapMemory { length: mapping.len(), mapping, stride: page_size() });
        }
        if self.map_type() != Some(MapType::Array) {
            return invalid(format!("map `{}` is no array; read its entries one by one", self.name()));
        }
        if info.flags & flag::F_MMAPABLE as u32 == 0 {
            if crate::running_release().is_some_and(|release| release < Release::new(5, 5)) {
                return Err(KernelError::unsupported("sharing the memory of maps", Release::new(5, 5)));
            }
            return invalid(format!("map `{}` was created without BPF_F_MMAPABLE; add this flag", self.name()));
        }
        let stride = self.value_size().next_multiple_of(8);
        let entries = usize::try_from(self.max_entries()).unwrap_or(0);
        let length = stride.checked_mul(entries).ok_or_else(|| KernelError::system(ACTION, libc::E2BIG))?;
        let whole = length.next_multiple_of(page_size());
        let mapping = match Mapping::new(self.as_fd(), whole, 0, Access::Write, false) {
            Err(libc::EPERM | libc::EACCES) => Mapping::new(self.as_fd(), whole, 0, Access::Read, false),
            result => result,
        };
        let mapping = mapping.map_err(|errno| KernelError::system(ACTION, errno))?;
        Ok(MapMemory { mapping: Arc::new(mapping), length, stride })
    }
}

impl MapMemory {
    /// Bytes of all values.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The address of the first byte in this process: pointers in an arena count from there.
    pub fn address(&self) -> u64 {
        self.mapping.address() as u64
    }

    /// Bytes from one value to the next; of an arena, of a page.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Whether this process may change the values.
    pub fn is_writable(&self) -> bool {
        self.mapping.is_writable()
    }

    fn inside(&self, offset: usize, size: usize) -> bool {
        offset.is_multiple_of(size) && offset.checked_add(size).is_some_and(|end| end <= self.length)
    }

    /// The double word at an offset, `None` if it is no multiple of 8, beyond the end, or the memory is read-only.
    pub fn u64_at(&self, offset: usize) -> Option<&AtomicU64> {
        (self.is_writable() && self.inside(offset, 8)).then(|| self.mapping.double_word(offset))
    }

    /// The word at an offset, `None` if it is no multiple of 4, beyond the end, or the memory is read-only.
    pub fn u32_at(&self, offset: usize) -> Option<&AtomicU32> {
        (self.is_writable() && self.inside(offset, 4)).then(|| self.mapping.word(offset))
    }

    /// Copies bytes out; `None` if they go beyond the end.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Option<()> {
        let end = offset.checked_add(bytes.len()).filter(|end| *end <= self.length)?;
        for (at, byte) in (offset..end).zip(bytes) {
            *byte = self.mapping.byte(at).load(Ordering::Relaxed);
        }
        Some(())
    }

    /// The double word at an offset, `None` if it is no multiple of 8 or beyond the end.
    pub fn load(&self, offset: usize) -> Option<u64> {
        self.inside(offset, 8).then(|| self.mapping.double_word(offset).load(Ordering::Acquire))
    }

    /// Copies bytes in; `None` if they go beyond the end or the memory is read-only.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Option<()> {
        let end = offset.checked_add(bytes.len()).filter(|end| *end <= self.length && self.is_writable())?;
        for (at, byte) in (offset..end).zip(bytes) {
            self.mapping.byte(at).store(*byte, Ordering::Relaxed);
        }
        Some(())
    }
}
