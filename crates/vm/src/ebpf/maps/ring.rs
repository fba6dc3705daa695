//! `BPF_MAP_TYPE_RINGBUF` (`kernel/bpf/ringbuf.c`): records from many producers to one consumer.
//!
//! Each record has a header of 8 bytes in front: its length with a bit for "not finished" and one for "thrown away", and
//! the number of the page. Programs can reach the headers, so the host believes none of them: a length that leads behind
//! what producers reserved ends the reading there, and the bytes up to that place are given up. Positions are not in
//! reach of programs.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::error::MapError;
use super::shared::SharedBytes;

/// The record is not finished (`BPF_RINGBUF_BUSY_BIT`).
const BUSY: u32 = 1 << 31;
/// The record was thrown away (`BPF_RINGBUF_DISCARD_BIT`).
const DISCARD: u32 = 1 << 30;
/// Bytes of a header (`BPF_RINGBUF_HDR_SZ`).
pub const HEADER_BYTES: u32 = 8;
/// Longest record in bytes.
const MAX_RECORD: u64 = u32::MAX as u64 / 4;
/// Pages in front of the data that a header's page number counts.
const FIRST_DATA_PAGE: u32 = 3;

/// Do not wake the consumer (`BPF_RB_NO_WAKEUP`).
pub const NO_WAKEUP: u64 = 1;
/// Wake the consumer in any case (`BPF_RB_FORCE_WAKEUP`).
pub const FORCE_WAKEUP: u64 = 2;

/// The ring.
#[derive(Debug)]
pub(super) struct Ring {
    data: SharedBytes,
    mask: u64,
    consumer: AtomicU64,
    producer: AtomicU64,
    lost: AtomicU64,
    /// End of the finished records, as far as producers know; the lock of the producers.
    pending: Mutex<u64>,
    /// Copy of the record that is being consumed; the lock of the consumers.
    record: Mutex<Vec<u8>>,
    /// Number of wake-ups.
    wakeups: Mutex<u64>,
    waiting: Condvar,
}

const fn step(length: u32) -> u64 {
    (length as u64 + HEADER_BYTES as u64).next_multiple_of(8)
}

impl Ring {
    /// An empty ring of `size` bytes, which is a power of two and whole pages.
    pub(super) fn new(size: u32) -> Result<Self, MapError> {
        Ok(Self {
            data: SharedBytes::mirrored(size as usize)?,
            mask: u64::from(size) - 1,
            consumer: AtomicU64::new(0),
            producer: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            pending: Mutex::new(0),
            record: Mutex::new(Vec::new()),
            wakeups: Mutex::new(0),
            waiting: Condvar::new(),
        })
    }

    pub(super) const fn data(&self) -> &SharedBytes {
        &self.data
    }

    fn header(&self, position: u64) -> Option<&std::sync::atomic::AtomicU32> {
        self.data.u32_at((position & self.mask) as usize)
    }

    /// Room for a record: the offset of its first byte. `None` if there is none, which is counted as a loss.
    pub(super) fn reserve(&self, size: u64) -> Option<u32> {
        let reserved = self.try_reserve(size);
        if reserved.is_none() {
            self.lost.fetch_add(1, Relaxed);
        }
        reserved
    }

    fn try_reserve(&self, size: u64) -> Option<u32> {
        let size = u32::try_from(size).ok().filter(|&size| u64::from(size) <= MAX_RECORD)?;
        let length = step(size);
        if length > self.mask + 1 {
            return None;
        }
        let consumer = self.consumer.load(Acquire);
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let producer = self.producer.load(Relaxed);
        while *pending < producer {
            let header = self.header(*pending)?.load(Acquire);
            if header & BUSY != 0 {
                break;
            }
            *pending = (*pending + step(header & !DISCARD)).min(producer);
        }
        let end = producer + length;
        if end - consumer > self.mask || end - *pending > self.mask {
            return None;
        }
        let offset = (producer & self.mask) as u32;
        self.data.u32_at(offset as usize + 4)?.store(FIRST_DATA_PAGE + (offset >> 12), Relaxed);
        self.header(producer)?.store(size | BUSY, Relaxed);
        self.producer.store(end, Release);
        Some(offset + HEADER_BYTES)
    }

    /// Finishes a record that was reserved at `offset`.
    pub(super) fn commit(&self, offset: u32, discard: bool, flags: u64) -> Result<(), MapError> {
        const NOT_RESERVED: MapError = MapError::Invalid("no record was reserved at this place of the ring buffer");
        let start =
            offset.checked_sub(HEADER_BYTES).filter(|&start| u64::from(start) <= self.mask).ok_or(NOT_RESERVED)?;
        let header = self.data.u32_at(start as usize).filter(|_| start.is_multiple_of(8)).ok_or(NOT_RESERVED)?;
        let old = header.load(Relaxed);
        let new = (old & !BUSY) | if discard { DISCARD } else { 0 };
        if old & BUSY == 0 || header.compare_exchange(old, new, AcqRel, Relaxed).is_err() {
            return Err(NOT_RESERVED);
        }
        let caught_up = self.consumer.load(Acquire) & self.mask == u64::from(start);
        if flags & FORCE_WAKEUP != 0 || (caught_up && flags & NO_WAKEUP == 0) {
            *self.wakeups.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            self.waiting.notify_all();
        }
        Ok(())
    }

    /// Adds a whole record.
    pub(super) fn output(&self, bytes: &[u8], flags: u64) -> Result<(), MapError> {
        if flags & !(NO_WAKEUP | FORCE_WAKEUP) != 0 {
            return Err(MapError::Invalid("the flags of a ring buffer are BPF_RB_NO_WAKEUP and BPF_RB_FORCE_WAKEUP"));
        }
        let offset = self.reserve(bytes.len() as u64).ok_or(MapError::Again)?;
        self.data.write(offset as usize, bytes);
        self.commit(offset, false, flags)
    }

    /// A number about the ring (`bpf_ringbuf_query`): bytes to consume, size, position of the consumer, of the
    /// producers; 0 for other questions.
    pub(super) fn query(&self, question: u64) -> u64 {
        let consumer = self.consumer.load(Acquire);
        let producer = self.producer.load(Acquire);
        match question {
            0 => producer - consumer,
            1 => self.mask + 1,
            2 => consumer,
            3 => producer,
            _ => 0,
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Hands over all finished records up to the first unfinished one; their number.
    pub(super) fn consume(&self, each: &mut dyn FnMut(&[u8])) -> u64 {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let mut position = self.consumer.load(Relaxed);
        let mut count = 0;
        loop {
            let end = self.producer.load(Acquire);
            if position >= end {
                return count;
            }
            let header = self.header(position).map_or(0, |header| header.load(Acquire));
            if header & BUSY != 0 {
                return count;
            }
            let length = header & !DISCARD;
            let next = position + step(length);
            if next > end {
                // A program wrote over the header: nothing up to the end can be told apart.
                self.lost.fetch_add(1, Relaxed);
                position = end;
            } else {
                if header & DISCARD == 0 {
                    record.resize(length as usize, 0);
                    self.data.read((position & self.mask) as usize + HEADER_BYTES as usize, &mut record);
                    each(&record);
                    count += 1;
                }
                position = next;
            }
            self.consumer.store(position, Release);
        }
    }

    /// Waits until a producer wakes the consumer, at most `timeout`. Whether there is something to consume.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let seen = self.wakeups.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *seen;
        if self.is_ready() {
            return true;
        }
        // Who commits after this check takes the lock to count its wake-up, so none is missed.
        let _ = self.waiting.wait_timeout_while(seen, timeout, |now| *now == before && !self.is_ready());
        self.is_ready()
    }

    fn is_ready(&self) -> bool {
        let position = self.consumer.load(Acquire);
        position < self.producer.load(Acquire)
            && self.header(position).is_some_and(|header| header.load(Acquire) & BUSY == 0)
    }

    /// The bytes of the unfinished record that was reserved at `offset`.
    pub(super) fn record_range(&self, offset: u32) -> Option<std::ops::Range<u32>> {
        let start = offset.checked_sub(HEADER_BYTES).filter(|start| start.is_multiple_of(8))?;
        if u64::from(start) > self.mask {
            return None;
        }
        let header = self.data.u32_at(start as usize)?.load(Acquire);
        let length = header & !(BUSY | DISCARD);
        (header & BUSY != 0 && step(length) <= self.mask + 1).then_some(offset..offset + length)
    }
}
