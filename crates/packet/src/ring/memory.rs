//! The ring: memory shared with the kernel, block by block.
//!
//! Each block belongs either to the kernel, which fills it, or to us, as its status word says. [`Ring::advance`]
//! takes over the next filled block, walks over its frames and gives the block back after the last one. Everything
//! that is read from the memory is checked against the bounds of the block.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::CaptureError;
use super::socket::Shape;

/// Where a block's header keeps its status, `block_status`.
const STATUS: usize = std::mem::offset_of!(libc::tpacket_block_desc, hdr);
/// Bytes from the start of a frame to the address that follows its header.
const ADDRESS: usize = align(size_of::<libc::tpacket3_hdr>());
/// Bytes that header and address of a frame take.
const HEAD: usize = ADDRESS + size_of::<libc::sockaddr_ll>();

const fn align(len: usize) -> usize {
    len.next_multiple_of(libc::TPACKET_ALIGNMENT)
}

/// What the kernel says about one packet, copied out of the ring, and where its bytes are.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) header: libc::tpacket3_hdr,
    pub(super) address: libc::sockaddr_ll,
    /// Offset in the block of the first byte that neither header nor address uses.
    room: usize,
    /// Offset in the block of the first byte of the packet.
    start: usize,
    /// Offset in the block after its last byte.
    end: usize,
}

/// The mapped ring of one socket.
pub(super) struct Ring {
    base: NonNull<u8>,
    shape: Shape,
    /// Number of the block that is read now or next.
    current: usize,
    /// Frames left in the current block, if it is ours.
    left: Option<u32>,
    /// Offset of the next frame in the current block.
    next: usize,
}

// SAFETY: the mapping belongs to this value alone and is reached only through it; the kernel does not care which
// thread reads.
unsafe impl Send for Ring {}

impl Ring {
    /// Maps the ring that was made on the socket with this shape.
    pub(super) fn map(fd: BorrowedFd<'_>, shape: Shape) -> Result<Self, CaptureError> {
        let action = "map the capture buffer";
        let len = shape.block.checked_mul(shape.count).ok_or(CaptureError::RingMemory { bytes: usize::MAX })?;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(CaptureError::last(action));
        }
        let base = NonNull::new(base.cast()).ok_or(CaptureError::system(action, libc::EFAULT))?;
        Ok(Self { base, shape, current: 0, left: None, next: 0 })
    }

    /// The status word of the current block.
    fn status(&self) -> &AtomicU32 {
        // SAFETY: the block lies inside the mapping (`current < count`), its start is aligned to a page, and the
        // word is only accessed atomically while the mapping lives.
        unsafe { AtomicU32::from_ptr(self.block_start().add(STATUS).cast()) }
    }

    fn block_start(&self) -> *mut u8 {
        // SAFETY: `current` is less than the number of blocks in the mapping.
        unsafe { self.base.as_ptr().add(self.current * self.shape.block) }
    }

    /// Whether a frame can be had without waiting. Gives a block back that is used up.
    pub(super) fn is_ready(&mut self) -> bool {
        if self.left == Some(0) {
            self.release();
        }
        self.left.is_some() || self.filled()
    }

    /// Whether the kernel has filled the current block, if it is not ours already.
    fn filled(&self) -> bool {
        self.left.is_none() && self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Copies a value out of the current block.
    ///
    /// # Safety
    /// The block is ours, and every bit pattern is a value of `T`.
    unsafe fn read<T: Copy>(&self, offset: usize) -> Result<T, CaptureError> {
        let end = offset.checked_add(size_of::<T>()).ok_or(CaptureError::DamagedRing)?;
        if end > self.shape.block {
            return Err(CaptureError::DamagedRing);
        }
        // SAFETY: the range lies inside the block, which the kernel does not write while it is ours.
        Ok(unsafe { self.block_start().add(offset).cast::<T>().read_unaligned() })
    }

    /// Goes to the next packet. `None`: nothing is ready. Frames handed out before are gone.
    pub(super) fn advance(&mut self) -> Result<Option<Frame>, CaptureError> {
        loop {
            match self.left {
                Some(0) => self.release(),
                Some(left) => {
                    let frame = self.frame_at(self.next)?;
                    let step = frame.header.tp_next_offset as usize;
                    // The last frame has no successor; any other lies further on.
                    if left > 1 && step < HEAD {
                        return Err(CaptureError::DamagedRing);
                    }
                    self.left = Some(left - 1);
                    self.next = self.next.checked_add(step).ok_or(CaptureError::DamagedRing)?;
                    return Ok(Some(frame));
                }
                None if self.filled() => {
                    // SAFETY: the block is ours as its status says, and its header consists of integers.
                    let block: libc::tpacket_block_desc = unsafe { self.read(0) }?;
                    // SAFETY: the union has one member, which consists of integers.
                    let header = unsafe { block.hdr.bh1 };
                    self.left = Some(header.num_pkts);
                    self.next = header.offset_to_first_pkt as usize;
                }
                None => return Ok(None),
            }
        }
    }

    fn frame_at(&self, offset: usize) -> Result<Frame, CaptureError> {
        let at = |distance: usize| offset.checked_add(distance).ok_or(CaptureError::DamagedRing);
        // SAFETY: only called while the block is ours; the header consists of integers.
        let header: libc::tpacket3_hdr = unsafe { self.read(offset) }?;
        // SAFETY: as above.
        let address: libc::sockaddr_ll = unsafe { self.read(at(ADDRESS)?) }?;
        let start = at(header.tp_mac.into())?;
        let end = start.checked_add(header.tp_snaplen as usize).ok_or(CaptureError::DamagedRing)?;
        let room = at(HEAD)?;
        if start < room || end > self.shape.block {
            return Err(CaptureError::DamagedRing);
        }
        Ok(Frame { header, address, room, start, end })
    }

    /// The bytes of the frame that [`advance`](Self::advance) returned last, and where in them the packet starts:
    /// what is before it may be overwritten. Empty if the frame is not that one.
    pub(super) fn bytes(&mut self, frame: &Frame) -> (&mut [u8], usize) {
        let valid = self.left.is_some()
            && frame.room <= frame.start
            && frame.start <= frame.end
            && frame.end <= self.shape.block;
        if !valid {
            return (&mut [], 0);
        }
        // SAFETY: the range lies inside the current block, which is ours until `advance` or `release` takes `&mut
        // self` again, so nobody else reads or writes it as long as the slice lives.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(self.block_start().add(frame.room), frame.end - frame.room) };
        (bytes, frame.start - frame.room)
    }

    /// Gives the current block back, if it is ours, with what is left in it.
    pub(super) fn release(&mut self) {
        if self.left.take().is_some() {
            // Everything read from the block happens before the kernel sees that it may write again.
            self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.current = (self.current + 1) % self.shape.count;
        }
    }

    /// Throws away everything that is ready.
    pub(super) fn discard(&mut self) {
        self.release();
        // At most one round: the kernel may be filling blocks all the time.
        for _ in 0..self.shape.count {
            if !self.filled() {
                return;
            }
            self.left = Some(0);
            self.release();
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: address and length are those of the mapping, and no slice of it can outlive this value. Failure
        // is impossible for them and would only leave the mapping in place.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.shape.block * self.shape.count) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_random::random_test;

    const SHAPE: Shape = Shape { block: 4096, count: 3 };

    /// A ring that no kernel fills.
    fn anonymous() -> Ring {
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                SHAPE.block * SHAPE.count,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(base, libc::MAP_FAILED);
        Ring { base: NonNull::new(base.cast()).unwrap(), shape: SHAPE, current: 0, left: None, next: 0 }
    }

    /// Stores a 32-bit number in a block.
    fn put(ring: &Ring, block: usize, offset: usize, value: u32) {
        assert!(block < SHAPE.count && offset + 4 <= SHAPE.block);
        // SAFETY: the place lies inside the mapping, which nothing else uses.
        unsafe { ring.base.as_ptr().add(block * SHAPE.block + offset).cast::<u32>().write_unaligned(value) };
    }

    /// Offsets of what matters, so that random numbers often mean something.
    fn interesting(frame: usize) -> [usize; 7] {
        let packets = STATUS + 4;
        let first = STATUS + 8;
        let next = frame + std::mem::offset_of!(libc::tpacket3_hdr, tp_next_offset);
        let len = frame + std::mem::offset_of!(libc::tpacket3_hdr, tp_snaplen);
        let mac = frame + std::mem::offset_of!(libc::tpacket3_hdr, tp_mac);
        [STATUS, packets, first, next, len, mac, frame]
    }

    /// Whatever is in the memory: no frame reaches out of its block, and the walk ends.
    #[test]
    fn damaged_rings_are_noticed() {
        let (mut frames, mut errors) = (0u32, 0u32);
        random_test(|u| {
            let mut ring = anonymous();
            for block in 0..SHAPE.count {
                put(&ring, block, STATUS, libc::TP_STATUS_USER);
                put(&ring, block, STATUS + 4, u.int_in_range(0..=4)?);
                put(&ring, block, STATUS + 8, 48);
                for frame in [48usize, 48 + 256, 48 + 512] {
                    put(&ring, block, frame, 256);
                    put(&ring, block, frame + 12, u.int_in_range(0..=200)?);
                    put(&ring, block, frame + 24, u.int_in_range(60..=110)?);
                }
                for _ in 0..u.int_in_range(0..=3)? {
                    let frame = 48 + 256 * u.int_in_range(0..=2)?;
                    let offset = *u.choose(&interesting(frame))?;
                    put(&ring, block, offset, u.arbitrary()?);
                }
            }
            loop {
                match ring.advance() {
                    Ok(Some(frame)) => {
                        frames += 1;
                        let (bytes, start) = ring.bytes(&frame);
                        assert!(bytes.len() <= SHAPE.block && start <= bytes.len());
                        bytes.fill(0xff);
                    }
                    Ok(None) => break,
                    Err(_) => {
                        errors += 1;
                        break;
                    }
                }
            }
            Ok(())
        })
        .budget_ms(1000);
        assert!(frames > 100 && errors > 100, "one-sided test: {frames} frames, {errors} errors");
    }
}
