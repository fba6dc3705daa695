//! Reading perf buffers: arrays of performance events to which programs write with `bpf_perf_event_output` (Linux 4.4).
//!
//! One ring for each processor. What does not fit is lost, and the kernel says how much. Ring buffers are better in every
//! way where the kernel has them (5.8).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use skep_isa::MapType;

use crate::errors::KernelError;
use crate::features::{Capability, possible_cpus};
use crate::map::{LoadedMap, Update};
use crate::ringbuf::Claim;
use crate::sys::layout::Plain;
use crate::sys::memory::{Access, Mapping, page_size};
use crate::sys::perf_ring::{self, RecordHeader, RingControl, perf};
use crate::sys::wait::Epoll;

const ACTION: &str = "read a perf buffer";
/// Where the positions lie in the first page of a ring.
const HEAD: usize = std::mem::offset_of!(RingControl, data_head);
const TAIL: usize = std::mem::offset_of!(RingControl, data_tail);

/// The reader of a perf buffer.
#[derive(Debug)]
pub struct PerfBuffer {
    rings: Vec<Ring>,
    epoll: Epoll,
    lost: u64,
    _claim: Claim,
}

/// What arrives in a perf buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerfRecord<'a> {
    /// What a program wrote, with zeros behind it up to a length of a multiple of 8 minus 4.
    Sample {
        /// The processor that the program ran on.
        cpu: u32,
        /// The bytes.
        data: &'a [u8],
    },
    /// Records did not fit into the ring of a processor.
    Lost {
        /// The processor.
        cpu: u32,
        /// Number of records.
        count: u64,
    },
}

#[derive(Debug)]
struct Ring {
    cpu: u32,
    memory: Mapping,
    size: usize,
    /// Closing it removes it from the map.
    _event: OwnedFd,
    /// A record that goes around the end of the ring, in one piece.
    whole: Vec<u8>,
}

impl PerfBuffer {
    /// Opens rings of `pages` pages (rounded up to a power of two, 1 to 65,536) for all processors that run and puts them
    /// into the map. The reader is woken by every `wakeup`th record of a processor (at least 1).
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the map is of another type, too small, or open in this process,
    /// [`KernelError::NotPermitted`], [`KernelError::System`].
    pub fn open(map: &LoadedMap, pages: usize, wakeup: u32) -> Result<Self, KernelError> {
        let claim = Claim::new(ACTION, map, MapType::PerfEventArray)?;
        let system = |errno| KernelError::system(ACTION, errno);
        let pages = pages.clamp(1, 1 << 16).next_power_of_two();
        let epoll = Epoll::new().map_err(system)?;
        let cpus = possible_cpus().unwrap_or(1).min(map.max_entries());
        let mut rings = Vec::new();
        for cpu in 0..cpus {
            let event = match perf_ring::open_output(cpu, wakeup.max(1)) {
                Ok(event) => event,
                // It is switched off.
                Err(libc::ENODEV) => continue,
                Err(libc::EACCES | libc::EPERM) => {
                    return Err(KernelError::not_permitted(ACTION, &[Capability::Perfmon, Capability::SysAdmin]));
                }
                Err(errno) => return Err(system(errno)),
            };
            let size = pages * page_size();
            let memory = Mapping::new(event.as_fd(), page_size() + size, 0, Access::Write, false).map_err(system)?;
            map.set(&cpu.to_ne_bytes(), &event.as_fd().as_raw_fd().to_ne_bytes(), Update::Any)?;
            crate::sys::perf::enable(event.as_fd()).map_err(system)?;
            epoll.add(event.as_fd(), u64::from(cpu)).map_err(system)?;
            rings.push(Ring { cpu, memory, size, _event: event, whole: Vec::new() });
        }
        Ok(Self { rings, epoll, lost: 0, _claim: claim })
    }

    /// Number of records that the kernel has reported as lost so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Hands everything that is there to `each`, processor by processor. Does not wait. Returns the number of samples.
    ///
    /// # Errors
    /// [`KernelError::System`] if a ring is damaged.
    pub fn consume(&mut self, mut each: impl FnMut(PerfRecord<'_>)) -> Result<u64, KernelError> {
        let mut samples = 0;
        for ring in &mut self.rings {
            samples += ring.consume(&mut self.lost, &mut each)?;
        }
        Ok(samples)
    }

    /// As [`consume`](Self::consume); waits until some processor has woken the reader if there is nothing, at most `timeout`
    /// (`None`: for ever).
    ///
    /// # Errors
    /// As for [`consume`](Self::consume).
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut each: impl FnMut(PerfRecord<'_>),
    ) -> Result<u64, KernelError> {
        let samples = self.consume(&mut each)?;
        if samples > 0 {
            return Ok(samples);
        }
        self.epoll.wait(timeout, |_| {}).map_err(|errno| KernelError::system(ACTION, errno))?;
        self.consume(each)
    }
}

/// Readable when some processor has woken the reader; for event loops of the caller's.
impl AsFd for PerfBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Ring {
    fn consume(&mut self, lost: &mut u64, each: &mut impl FnMut(PerfRecord<'_>)) -> Result<u64, KernelError> {
        let mut samples = 0;
        let mut tail = self.memory.double_word(TAIL).load(Ordering::Relaxed);
        // Pairs with the kernel's barrier: everything before the head is complete.
        let head = self.memory.double_word(HEAD).load(Ordering::Acquire);
        while tail < head {
            let header = RecordHeader::from_prefix(self.piece(tail, size_of::<RecordHeader>())?);
            let length = usize::from(header.size);
            if length < size_of::<RecordHeader>() || length as u64 > head - tail {
                return Err(KernelError::system(ACTION, libc::EBADMSG));
            }
            let cpu = self.cpu;
            let body = self.piece(tail, length)?.get(size_of::<RecordHeader>()..).unwrap_or_default();
            match header.r#type {
                perf::RECORD_SAMPLE => {
                    let (size, data) = body.split_at_checked(4).unwrap_or_default();
                    let size = u32::from_prefix(size) as usize;
                    each(PerfRecord::Sample { cpu, data: data.get(..size).unwrap_or(data) });
                    samples += 1;
                }
                perf::RECORD_LOST => {
                    // The number of the event, then the number of records.
                    let count = u64::from_prefix(body.get(8..).unwrap_or_default());
                    *lost += count;
                    each(PerfRecord::Lost { cpu, count });
                }
                _ => {}
            }
            tail += length as u64;
            // The kernel may overwrite the record only after everything that `each` has read.
            self.memory.double_word(TAIL).store(tail, Ordering::Release);
        }
        Ok(samples)
    }

    /// The bytes from a position on in one piece.
    fn piece(&mut self, position: u64, length: usize) -> Result<&[u8], KernelError> {
        if length > self.size {
            return Err(KernelError::system(ACTION, libc::EBADMSG));
        }
        // Not cut off: the remainder is smaller than the size.
        let place = (position % self.size as u64) as usize;
        let first = length.min(self.size - place);
        let page = page_size();
        // SAFETY: the caller has seen that the head is beyond these bytes, and the kernel does not write there before the
        // tail moves past them, which only the caller does.
        let (start, rest) =
            unsafe { (self.memory.bytes(page + place, first), self.memory.bytes(page, length - first)) };
        if rest.is_empty() {
            return Ok(start);
        }
        self.whole.clear();
        self.whole.extend_from_slice(start);
        self.whole.extend_from_slice(rest);
        Ok(&self.whole)
    }
}
