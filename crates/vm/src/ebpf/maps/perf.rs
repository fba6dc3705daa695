//! `BPF_MAP_TYPE_PERF_EVENT_ARRAY` as far as programs send records: one bounded queue for each index.
//!
//! In the kernel the entries are descriptors of perf events with a ring in memory; here the user side opens a queue of so
//! many bytes. Counters of hardware events do not exist.

use std::sync::{Mutex, PoisonError, RwLock};

use super::error::MapError;

/// Bytes in front of a record: its length.
const LENGTH_BYTES: usize = 4;

/// Queues by index.
#[derive(Debug)]
pub(super) struct PerfBuffers {
    buffers: Box<[RwLock<Option<Mutex<Buffer>>>]>,
}

/// Records one after the other, in a ring of bytes.
#[derive(Debug)]
struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    len: usize,
    lost: u64,
}

impl Buffer {
    fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let at = (self.start + self.len) % self.bytes.len();
            self.bytes[at] = *byte;
            self.len += 1;
        }
    }

    fn take(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.bytes[self.start];
            self.start = (self.start + 1) % self.bytes.len();
            self.len -= 1;
        }
    }
}

impl PerfBuffers {
    pub(super) fn new(entries: u32) -> Self {
        Self { buffers: (0..entries).map(|_| RwLock::new(None)).collect() }
    }

    fn with<T>(&self, index: u32, action: impl FnOnce(&mut Buffer) -> T) -> Result<T, MapError> {
        let buffer = self.buffers.get(index as usize).ok_or(MapError::Full)?;
        let buffer = buffer.read().unwrap_or_else(PoisonError::into_inner);
        let buffer = buffer.as_ref().ok_or(MapError::NotFound)?;
        Ok(action(&mut buffer.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Opens an empty queue of `capacity` bytes in place of what was there.
    pub(super) fn open(&self, index: u32, capacity: u32) -> Result<(), MapError> {
        let slot = self.buffers.get(index as usize).ok_or(MapError::Full)?;
        if capacity == 0 {
            return Err(MapError::Invalid("a perf buffer has at least one byte"));
        }
        let bytes = vec![0; capacity as usize].into_boxed_slice();
        let buffer = Buffer { bytes, start: 0, len: 0, lost: 0 };
        *slot.write().unwrap_or_else(PoisonError::into_inner) = Some(Mutex::new(buffer));
        Ok(())
    }

    /// Removes a queue.
    pub(super) fn close(&self, index: u32) -> Result<(), MapError> {
        let slot = self.buffers.get(index as usize).ok_or(MapError::Full)?;
        slot.write().unwrap_or_else(PoisonError::into_inner).take().map(drop).ok_or(MapError::NotFound)
    }

    /// Adds a record made of parts, or counts it as lost.
    pub(super) fn output(&self, index: u32, parts: &[&[u8]]) -> Result<(), MapError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.with(index, |buffer| {
            let room = buffer.bytes.len() - buffer.len;
            let Some(length) = u32::try_from(length).ok().filter(|_| length.saturating_add(LENGTH_BYTES) <= room)
            else {
                buffer.lost += 1;
                return Err(MapError::NoSpace);
            };
            buffer.put(&length.to_ne_bytes());
            parts.iter().for_each(|part| buffer.put(part));
            Ok(())
        })?
    }

    /// Hands over the records that are there now; their number. Records that come meanwhile wait for the next call.
    pub(super) fn consume(&self, index: u32, each: &mut dyn FnMut(&[u8])) -> Result<u64, MapError> {
        let mut record = Vec::new();
        let mut left = self.with(index, |buffer| buffer.len)?;
        let mut count = 0;
        while left > 0 {
            let taken = self.with(index, |buffer| {
                if buffer.len == 0 {
                    return 0;
                }
                let mut length = [0; LENGTH_BYTES];
                buffer.take(&mut length);
                record.resize(u32::from_ne_bytes(length) as usize, 0);
                buffer.take(&mut record);
                record.len() + LENGTH_BYTES
            })?;
            if taken == 0 {
                break;
            }
            each(&record);
            count += 1;
            left = left.saturating_sub(taken);
        }
        Ok(count)
    }

    pub(super) fn lost(&self, index: u32) -> Result<u64, MapError> {
        self.with(index, |buffer| buffer.lost)
    }
}
