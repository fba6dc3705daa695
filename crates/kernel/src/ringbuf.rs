//! Reading ring buffers (`BPF_MAP_TYPE_RINGBUF`, Linux 5.8).
//!
//! ```text
//!  page 0         page 1         then the ring
//!  +----------+   +----------+   +--------+------+--------+---- - -+
//!  | consumer |   | producer |   | header | data | header | data   |   header: u32 length | busy | discarded, u32 unused
//!  +----------+   +----------+   +--------+------+--------+---- - -+   data: rounded up to 8 bytes
//!    ours           the kernel's
//! ```
//!
//! Positions only grow; their remainders by the size are places. A record belongs to the reader from the moment that its
//! header is not busy any more until the consumer position moves past it, which is what makes it possible to hand it out
//! without a copy. One that goes over the end is copied: the kernel could map the ring a second time behind the first, but
//! every page of that counts as memory of the process.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use skep_isa::MapType;

use crate::errors::KernelError;
use crate::map::LoadedMap;
use crate::sys::memory::{Access, Mapping, page_size};
use crate::sys::wait::Epoll;

/// Bytes of the header of a record (`BPF_RINGBUF_HDR_SZ`).
pub(crate) const HEADER: usize = 8;
/// The record is not complete yet (`BPF_RINGBUF_BUSY_BIT`).
pub(crate) const BUSY: u32 = 1 << 31;
/// Nobody wants the record (`BPF_RINGBUF_DISCARD_BIT`).
pub(crate) const DISCARD: u32 = 1 << 30;

/// Records after which their places are given back. The word with the position is what processors take away from each
/// other, so it is not written for every record; more would let a slow reader hold on to places that it needs no more.
const GIVEN_BACK_TOGETHER: u64 = 32;

const ACTION: &str = "read a ring buffer";

/// The one reader of a ring buffer in this process.
///
/// The kernel knows one position for all readers. Another process that reads the same map takes records away from this
/// one; that is for the two to sort out.
#[derive(Debug)]
pub struct RingBuffer {
    consumer: Mapping,
    producer: Mapping,
    size: usize,
    /// The record that goes over the end of the ring.
    joined: Vec<u8>,
    epoll: Epoll,
    _map: OwnedFd,
    _claim: Claim,
}

impl RingBuffer {
    /// Opens the ring buffer. The map may be dropped.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the map is of another type or this process reads it already,
    /// [`KernelError::System`].
    pub fn open(map: &LoadedMap) -> Result<Self, KernelError> {
        let claim = Claim::new(ACTION, map, MapType::Ringbuf)?;
        let system = |errno| KernelError::system(ACTION, errno);
        let size = map.max_entries() as usize;
        let page = page_size();
        let consumer = Mapping::new(map.as_fd(), page, 0, Access::Write, false).map_err(system)?;
        let producer = Mapping::new(map.as_fd(), page + size, page, Access::Read, false).map_err(system)?;
        let owned = map.as_fd().try_clone_to_owned();
        let owned = owned.map_err(|error| system(error.raw_os_error().unwrap_or(0)))?;
        let epoll = Epoll::new().map_err(system)?;
        epoll.add(owned.as_fd(), 0).map_err(system)?;
        Ok(Self { consumer, producer, size, joined: Vec::new(), epoll, _map: owned, _claim: claim })
    }

    /// Bytes that records and their headers of 8 bytes may occupy.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes that are occupied now.
    pub fn pending(&self) -> u64 {
        let consumer = self.consumer.double_word(0).load(Ordering::Relaxed);
        self.producer.double_word(0).load(Ordering::Acquire).saturating_sub(consumer)
    }

    /// Hands every complete record to `each` until there is none or `each` breaks. Does not wait. Returns the number of
    /// records; discarded ones are skipped and do not count.
    ///
    /// The slice is the record in the ring itself, unless it goes over the end: its place is given back when `each` has
    /// returned for it and at most 31 more.
    ///
    /// # Errors
    /// [`KernelError::System`] if the ring is damaged, which another process with write access to the map can do.
    pub fn consume(&mut self, mut each: impl FnMut(&[u8]) -> ControlFlow<()>) -> Result<u64, KernelError> {
        let mut consumer = self.consumer.double_word(0).load(Ordering::Relaxed);
        let (mut behind, mut delivered) = (0_u64, 0);
        loop {
            // Pairs with the kernel's release: headers up to here are busy or complete.
            let producer = self.producer.double_word(0).load(Ordering::Acquire);
            while consumer < producer {
                let (header, place) = self.header(consumer).inspect_err(|_| self.give_back(consumer))?;
                if header & BUSY != 0 {
                    break;
                }
                let length = (header & !(BUSY | DISCARD)) as usize;
                let mut flow = ControlFlow::Continue(());
                if header & DISCARD == 0 {
                    // Bytes in front of the end of the ring; the others are at its beginning.
                    let first = length.min(page_size() + self.size - place - HEADER);
                    // SAFETY: the record is complete and nobody writes to it before the position moves past it. Only this
                    // value moves it: `Claim` keeps others in this process away, and exclusive access keeps this reader
                    // from doing so inside of `each`.
                    let (front, back) = unsafe {
                        (self.producer.bytes(place + HEADER, first), self.producer.bytes(page_size(), length - first))
                    };
                    flow = if back.is_empty() {
                        each(front)
                    } else {
                        self.joined.clear();
                        self.joined.extend_from_slice(front);
                        self.joined.extend_from_slice(back);
                        each(&self.joined)
                    };
                    delivered += 1;
                }
                consumer += (HEADER + length).next_multiple_of(8) as u64;
                behind += 1;
                if flow.is_break() || behind.is_multiple_of(GIVEN_BACK_TOGETHER) {
                    self.give_back(consumer);
                }
                if flow.is_break() {
                    return Ok(delivered);
                }
            }
            if behind == 0 {
                return Ok(delivered);
            }
            self.give_back(consumer);
            // The kernel wakes the reader up for the record at the position only. One that was completed before the position
            // was there has to be seen now: the fence keeps the next look behind the store.
            fence(Ordering::SeqCst);
            behind = 0;
        }
    }

    /// The header of the record at a position, and its place in the mapping. The record fits into the ring.
    fn header(&self, position: u64) -> Result<(u32, usize), KernelError> {
        // Not cut off: the remainder is smaller than the size.
        let place = page_size() + (position & (self.size as u64 - 1)) as usize;
        if !place.is_multiple_of(HEADER) {
            return Err(KernelError::system(ACTION, libc::EBADMSG));
        }
        // Pairs with the kernel's exchange at the end of a record: its data are complete.
        let header = self.producer.word(place).load(Ordering::Acquire);
        if (HEADER + (header & !(BUSY | DISCARD)) as usize).next_multiple_of(8) > self.size {
            return Err(KernelError::system(ACTION, libc::EBADMSG));
        }
        Ok((header, place))
    }

    /// Lets the kernel overwrite everything before a position, after everything that was read there.
    fn give_back(&self, position: u64) {
        self.consumer.double_word(0).store(position, Ordering::Release);
    }

    /// As [`consume`](Self::consume); waits for a record if there is none, at most `timeout` (`None`: for ever). 0 records
    /// after a signal too.
    ///
    /// # Errors
    /// As for [`consume`](Self::consume).
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<u64, KernelError> {
        let delivered = self.consume(&mut each)?;
        if delivered > 0 {
            return Ok(delivered);
        }
        self.epoll.wait(timeout, |_| {}).map_err(|errno| KernelError::system(ACTION, errno))?;
        self.consume(each)
    }

    /// As [`consume`](Self::consume), again and again for a duration or until `each` breaks, without sleeping: records arrive
    /// sooner, and one processor does nothing else. Programs may save the wake-up then (`BPF_RB_NO_WAKEUP`).
    ///
    /// # Errors
    /// As for [`consume`](Self::consume).
    pub fn spin(
        &mut self,
        duration: Duration,
        mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<u64, KernelError> {
        let start = Instant::now();
        let (mut delivered, mut stop) = (0, false);
        while !stop && start.elapsed() < duration {
            let records = self.consume(|record| {
                let flow = each(record);
                stop = flow.is_break();
                flow
            })?;
            delivered += records;
            if records == 0 {
                std::hint::spin_loop();
            }
        }
        Ok(delivered)
    }
}

/// Readable when there are records; for event loops of the caller's.
impl AsFd for RingBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// Maps of which this process has the one reader or writer.
static CLAIMED: Mutex<Option<HashSet<u32>>> = Mutex::new(None);

/// The right to be the reader or writer of a ring; given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    map: u32,
}

impl Claim {
    pub(crate) fn new(action: &'static str, map: &LoadedMap, map_type: MapType) -> Result<Self, KernelError> {
        let invalid = |problem| Err(KernelError::Invalid { action, problem });
        if map.map_type() != Some(map_type) {
            return invalid(format!("map `{}` is not of type {map_type}", map.name()));
        }
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        if !claimed.get_or_insert_default().insert(map.id()) {
            return invalid(format!("map `{}` is open already in this process; share that value", map.name()));
        }
        Ok(Self { map: map.id() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.get_or_insert_default().remove(&self.map);
    }
}
