//! The values of array maps as memory that programs and this process share (`BPF_F_MMAPABLE`, Linux 5.5), and arenas
//! (Linux 6.9).

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

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
///
/// The kernel maps page by page, so of a large array only the parts are mapped that are asked for.
#[derive(Debug)]
pub struct MapMemory {
    memory: Memory,
    length: usize,
    stride: usize,
}

/// How the memory of a map is mapped here.
#[derive(Debug)]
enum Memory {
    /// At once: an arena, in which pointers are addresses of the mapping.
    Whole(Arc<Mapping>),
    /// In parts: the first, which is always there, and the others once they were asked for.
    Parts { map: OwnedFd, first: Mapping, others: Vec<OnceLock<Mapping>> },
}

/// Bytes of a part: a multiple of all sizes of pages.
const PART: usize = 1 << 18;

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
            return Ok(MapMemory { length: mapping.len(), memory: Memory::Whole(mapping), stride: page_size() });
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
        let map = self
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| KernelError::system(ACTION, error.raw_os_error().unwrap_or(libc::EMFILE)))?;
        let first = match part(&map, length, 0, Access::Write) {
            Err(libc::EPERM | libc::EACCES) => part(&map, length, 0, Access::Read),
            result => result,
        };
        let first = first.map_err(|errno| KernelError::system(ACTION, errno))?;
        let others = (1..length.div_ceil(PART)).map(|_| OnceLock::new()).collect();
        Ok(MapMemory { memory: Memory::Parts { map, first, others }, length, stride })
    }
}

/// Maps a part, by its number.
fn part(map: &OwnedFd, length: usize, number: usize, access: Access) -> Result<Mapping, i32> {
    let bytes = (length - number * PART).min(PART).next_multiple_of(page_size());
    Mapping::new(map.as_fd(), bytes, number * PART, access, false)
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

    /// The address of the first byte of an arena in this process, from which its pointers count; 0 for other maps, which are
    /// mapped in parts.
    pub fn address(&self) -> u64 {
        match &self.memory {
            Memory::Whole(mapping) => mapping.address() as u64,
            Memory::Parts { .. } => 0,
        }
    }

    /// Bytes from one value to the next; of an arena, of a page.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Whether this process may change the values.
    pub fn is_writable(&self) -> bool {
        match &self.memory {
            Memory::Whole(mapping) => mapping.is_writable(),
            Memory::Parts { first, .. } => first.is_writable(),
        }
    }

    /// The part in which an offset is that lies inside, and the offset in it; `None` without memory for it.
    fn part(&self, offset: usize) -> Option<(&Mapping, usize)> {
        let (map, first, others) = match &self.memory {
            Memory::Whole(mapping) => return Some((mapping, offset)),
            Memory::Parts { map, first, others } => (map, first, others),
        };
        let (number, within) = (offset / PART, offset % PART);
        let Some(before) = number.checked_sub(1) else { return Some((first, within)) };
        let place = others.get(before)?;
        if place.get().is_none() {
            let access = if self.is_writable() { Access::Write } else { Access::Read };
            // Another thread may have been faster.
            let _ = place.set(part(map, self.length, number, access).ok()?);
        }
        Some((place.get()?, within))
    }

    /// Calls `each` for every part of a range that lies inside: the part, the offset in it, and which bytes of the range.
    fn parts(&self, offset: usize, bytes: usize, mut each: impl FnMut(&Mapping, usize, Range<usize>)) -> Option<()> {
        offset.checked_add(bytes).filter(|end| *end <= self.length)?;
        let mut done = 0;
        while done < bytes {
            let (mapping, within) = self.part(offset + done)?;
            let end = bytes.min(done + mapping.len() - within);
            each(mapping, within, done..end);
            done = end;
        }
        Some(())
    }

    fn inside(&self, offset: usize, size: usize) -> bool {
        offset.is_multiple_of(size) && offset.checked_add(size).is_some_and(|end| end <= self.length)
    }

    /// The double word at an offset, `None` if it is no multiple of 8, beyond the end, or the memory is read-only.
    pub fn u64_at(&self, offset: usize) -> Option<&AtomicU64> {
        let (mapping, at) = self.part(offset).filter(|_| self.is_writable() && self.inside(offset, 8))?;
        Some(mapping.double_word(at))
    }

    /// The word at an offset, `None` if it is no multiple of 4, beyond the end, or the memory is read-only.
    pub fn u32_at(&self, offset: usize) -> Option<&AtomicU32> {
        let (mapping, at) = self.part(offset).filter(|_| self.is_writable() && self.inside(offset, 4))?;
        Some(mapping.word(at))
    }

    /// Copies bytes out; `None` if they go beyond the end.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Option<()> {
        self.parts(offset, bytes.len(), |mapping, within, range| {
            let bytes = &mut bytes[range];
            let whole = if within.is_multiple_of(8) { bytes.len() / 8 * 8 } else { 0 };
            let (words, rest) = bytes.split_at_mut(whole);
            let words = words.as_chunks_mut::<8>().0;
            let behind = within + whole;
            for (at, word) in (within..).step_by(8).zip(words) {
                *word = mapping.double_word(at).load(Ordering::Relaxed).to_ne_bytes();
            }
            for (at, byte) in (behind..).zip(rest) {
                *byte = mapping.byte(at).load(Ordering::Relaxed);
            }
        })
    }

    /// The double word at an offset, `None` if it is no multiple of 8 or beyond the end.
    pub fn load(&self, offset: usize) -> Option<u64> {
        let (mapping, at) = self.part(offset).filter(|_| self.inside(offset, 8))?;
        Some(mapping.double_word(at).load(Ordering::Acquire))
    }

    /// Copies bytes in; `None` if they go beyond the end or the memory is read-only.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Option<()> {
        if !self.is_writable() {
            return None;
        }
        self.parts(offset, bytes.len(), |mapping, within, range| {
            let bytes = &bytes[range];
            let (words, rest) = if within.is_multiple_of(8) { bytes.as_chunks::<8>() } else { (&[][..], bytes) };
            for (at, word) in (within..).step_by(8).zip(words) {
                mapping.double_word(at).store(u64::from_ne_bytes(*word), Ordering::Relaxed);
            }
            for (at, byte) in (within + 8 * words.len()..).zip(rest) {
                mapping.byte(at).store(*byte, Ordering::Relaxed);
            }
        })
    }
}
