//! Writing to user ring buffers (`BPF_MAP_TYPE_USER_RINGBUF`, Linux 6.1), which programs read with
//! `bpf_user_ringbuf_drain`.

use std::ops::{Deref, DerefMut};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use skep_isa::MapType;

use crate::errors::KernelError;
use crate::map::LoadedMap;
use crate::ringbuf::{BUSY, Claim, DISCARD, HEADER};
use crate::sys::memory::{Access, Mapping, page_size};

const ACTION: &str = "write to a user ring buffer";

/// The one writer of a user ring buffer in this process. The layout is that of ring buffers with the roles exchanged.
#[derive(Debug)]
pub struct UserRingBuffer {
    consumer: Mapping,
    producer: Mapping,
    size: usize,
    _claim: Claim,
}

/// Room for a record. Dropping it discards the record; [`submit`](Self::submit) hands it to the programs.
#[derive(Debug)]
pub struct Reservation<'a> {
    ring: &'a mut UserRingBuffer,
    place: usize,
    length: usize,
    discard: bool,
}

impl UserRingBuffer {
    /// Opens the ring buffer. The map may be dropped.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the map is of another type or this process writes to it already,
    /// [`KernelError::System`].
    pub fn open(map: &LoadedMap) -> Result<Self, KernelError> {
        let claim = Claim::new(ACTION, map, MapType::UserRingbuf)?;
        let system = |errno| KernelError::system(ACTION, errno);
        let size = map.max_entries() as usize;
        let page = page_size();
        let consumer = Mapping::new(map.as_fd(), page, 0, Access::Read, false).map_err(system)?;
        let producer = Mapping::new(map.as_fd(), page + 2 * size, page, Access::Write, false).map_err(system)?;
        Ok(Self { consumer, producer, size, _claim: claim })
    }

    /// Bytes that are free now. A record takes its length and 8, rounded up to 8.
    pub fn free(&self) -> usize {
        let consumer = self.consumer.double_word(0).load(Ordering::Acquire);
        let used = self.producer.double_word(0).load(Ordering::Relaxed).wrapping_sub(consumer);
        self.size.saturating_sub(usize::try_from(used).unwrap_or(usize::MAX))
    }

    /// Room for a record of `length` bytes, all zero; `None` if it is not free now.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the ring is too small for such a record even when it is empty.
    pub fn reserve(&mut self, length: usize) -> Result<Option<Reservation<'_>>, KernelError> {
        let total = length.saturating_add(HEADER).checked_next_multiple_of(8).filter(|total| *total <= self.size);
        let Some(total) = total else {
            let problem = format!("a record of {length} bytes does not fit into a ring of {}", self.size);
            return Err(KernelError::Invalid { action: ACTION, problem });
        };
        if total > self.free() {
            return Ok(None);
        }
        let position = self.producer.double_word(0).load(Ordering::Relaxed);
        // Not cut off: the remainder is smaller than the size.
        let place = page_size() + (position & (self.size as u64 - 1)) as usize;
        // `length` is smaller than the size, which is 32 bits.
        let header = u32::try_from(length).unwrap_or(0) | BUSY;
        self.producer.word(place).store(header, Ordering::Relaxed);
        self.producer.word(place + 4).store(0, Ordering::Relaxed);
        // Programs that see the new position see a header that is busy.
        self.producer.double_word(0).store(position + total as u64, Ordering::Release);
        let mut reservation = Reservation { ring: self, place, length, discard: true };
        reservation.fill(0);
        Ok(Some(reservation))
    }

    /// Adds a record; `false` if there is no room for it now.
    ///
    /// # Errors
    /// As for [`reserve`](Self::reserve).
    pub fn push(&mut self, record: &[u8]) -> Result<bool, KernelError> {
        let Some(mut room) = self.reserve(record.len())? else { return Ok(false) };
        room.copy_from_slice(record);
        room.submit();
        Ok(true)
    }
}

impl Reservation<'_> {
    /// Hands the record to the programs.
    pub fn submit(mut self) {
        self.discard = false;
    }
}

impl Deref for Reservation<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: programs do not touch the record while its header is busy, and the ring is borrowed for writing.
        unsafe { self.ring.producer.bytes(self.place + HEADER, self.length) }
    }
}

impl DerefMut for Reservation<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed for writing.
        unsafe { self.ring.producer.bytes_mut(self.place + HEADER, self.length) }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let header = self.ring.producer.word(self.place);
        let length = header.load(Ordering::Relaxed) & !BUSY;
        let discard = if self.discard { DISCARD } else { 0 };
        // The data come before the header.
        header.swap(length | discard, Ordering::SeqCst);
    }
}
