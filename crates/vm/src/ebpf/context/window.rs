//! The packet in the cage: where it lies, how it moves, and the fields of the context that say so.
//!
//! ```text
//!            page                                        page
//!   (nothing) | zeros  headroom | metadata | packet ....... | (nothing, until the tail grows)
//!                               ^ data_meta ^ data          ^ data_end
//! ```
//!
//! A packet ends at a page whose address never changes: compiled code faults at the first byte behind it.

use std::io;
use std::ptr;

use crate::ebpf::fault::FaultKind;
use crate::ebpf::layout::{MAX_PACKET_BYTES, PACKET, PAGE_BYTES, SLOT_BYTES};
use crate::ebpf::machine::Machine;
use crate::ebpf::space::Extent;

/// Longest packet that can be put into the cage, in bytes.
pub const MAX_FRAME_BYTES: usize = 4 << 20;
/// Bytes in front of a new packet (`XDP_PACKET_HEADROOM` in `linux/bpf.h`).
pub(crate) const HEADROOM: u32 = 256;
/// How far helpers may move the start of a packet of the network stack, which the kernel copies to a larger buffer then.
const GROWTH: u32 = 64 << 10;
/// Where every packet ends at first.
const END: u32 = PACKET + (8 << 20);

const _: () = assert!(END + (1 << 20) < PACKET + MAX_PACKET_BYTES && END - PACKET > MAX_FRAME_BYTES as u32 + (1 << 20));

/// The structure that describes the packet to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PacketKind {
    /// None: the packet, if any, is in the memory of the host.
    #[default]
    Host,
    /// `struct xdp_md`
    Xdp,
    /// `struct __sk_buff`
    Skb,
}

/// Where the packet of a run lies.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    pub(crate) kind: PacketKind,
    /// Mapped pages.
    low: u32,
    high: u32,
    /// What the tables say: the first slot and their number.
    slots: (u32, u32),
    pub(crate) data_meta: u32,
    pub(crate) data: u32,
    pub(crate) data_end: u32,
    /// Lowest and highest address that the packet may come to.
    pub(crate) lowest: u32,
    pub(crate) highest: u32,
}

const fn page_floor(address: u32) -> u32 {
    address - address % PAGE_BYTES
}

impl Window {
    /// Bytes of the packet.
    pub(crate) const fn len(&self) -> u32 {
        self.data_end - self.data
    }
}

impl Machine {
    /// Puts a packet with its metadata into the cage; `tailroom` is how far it may grow at its end. The lengths were
    /// checked.
    pub(super) fn place_packet(
        &mut self,
        kind: PacketKind,
        metadata: &[u8],
        packet: &[u8],
        tailroom: u32,
    ) -> io::Result<()> {
        let data = END - packet.len() as u32;
        let data_meta = data - metadata.len() as u32;
        self.map_packet(page_floor(data - HEADROOM), END)?;
        let low = self.window.low;
        self.window = Window {
            kind,
            data_meta,
            data,
            data_end: END,
            lowest: data - if kind == PacketKind::Skb { GROWTH } else { HEADROOM },
            highest: END + tailroom,
            ..self.window
        };
        // SAFETY: the pages from `low` to `END` are mapped, and no program runs.
        unsafe {
            let base = self.space.base();
            ptr::write_bytes(base.add(low as usize), 0, (data_meta - low) as usize);
            ptr::copy_nonoverlapping(metadata.as_ptr(), base.add(data_meta as usize), metadata.len());
            ptr::copy_nonoverlapping(packet.as_ptr(), base.add(data as usize), packet.len());
        }
        self.describe_packet();
        Ok(())
    }

    /// Takes the packet of an earlier run out of the cage.
    #[inline]
    pub(crate) fn remove_packet(&mut self) {
        if self.window.low != self.window.high {
            self.unmap_packet();
        }
    }

    #[cold]
    fn unmap_packet(&mut self) {
        // Without its pages the window would be wrong; what is not unmapped stays in the tables of nobody.
        let _ = self.space.unmap(self.window.low, self.window.high - self.window.low);
        let (first, count) = self.window.slots;
        let nothing = Extent { start: 0, len: 0 };
        self.space.describe(first, count, Some(nothing), nothing, false);
        self.window = Window::default();
    }

    /// Makes just the pages from `low` to `high` mapped.
    fn map_packet(&mut self, low: u32, high: u32) -> io::Result<()> {
        if self.window.low == self.window.high {
            self.space.map_private(low, high - low)?;
            (self.window.low, self.window.high) = (low, high);
            return Ok(());
        }
        if low < self.window.low {
            self.space.map_private(low, self.window.low - low)?;
        } else if low > self.window.low {
            self.space.unmap(self.window.low, low - self.window.low)?;
        }
        self.window.low = low;
        if high > self.window.high {
            self.space.map_private(self.window.high, high - self.window.high)?;
        } else if high < self.window.high {
            self.space.unmap(high, self.window.high - high)?;
        }
        self.window.high = high;
        Ok(())
    }

    /// Says in the tables, to packet loads and to helpers where the packet is.
    fn describe_packet(&mut self) {
        let Window { low, high, data_meta, data, data_end, .. } = self.window;
        let first = low - low % SLOT_BYTES;
        let count = (high - first).div_ceil(SLOT_BYTES);
        if self.window.slots != (first, count) {
            let (first, count) = self.window.slots;
            let nothing = Extent { start: 0, len: 0 };
            self.space.describe(first, count, Some(nothing), nothing, false);
        }
        self.window.slots = (first, count);
        let object = Extent { start: data_meta, len: data_end - data_meta };
        self.space.describe(first, count, Some(object), Extent { start: low, len: high - low }, true);
        // SAFETY: the bytes lie in the cage; the slice is read while no program writes.
        let packet = unsafe {
            ptr::slice_from_raw_parts(self.space.base().add(data as usize).cast_const(), (data_end - data) as usize)
        };
        self.point_to_packet(packet);
    }

    /// Moves the edges of the packet, maps what is new and tells the program. New bytes at the tail are zeros, at the
    /// head whatever was there.
    ///
    /// # Errors
    /// `None` if there is no memory; nothing has changed then.
    pub(crate) fn move_packet(&mut self, data_meta: u32, data: u32, data_end: u32) -> Result<Option<()>, FaultKind> {
        let old_end = self.window.data_end;
        let low = page_floor(data_meta).min(self.window.low);
        let high = data_end.next_multiple_of(PAGE_BYTES).max(self.window.high);
        if self.map_packet(low, high).is_err() {
            return Ok(None);
        }
        (self.window.data_meta, self.window.data, self.window.data_end) = (data_meta, data, data_end);
        self.describe_packet();
        if let Some(grown) = data_end.checked_sub(old_end) {
            self.fill(old_end.into(), grown, 0)?;
        }
        self.describe_in_context()?;
        Ok(Some(()))
    }

    /// Writes the edges of the packet into the context (`linux/bpf.h`).
    pub(crate) fn describe_in_context(&mut self) -> Result<(), FaultKind> {
        let Window { kind, data_meta, data, data_end, .. } = self.window;
        let context = u64::from(self.context);
        let fields: &[(u64, u32)] = match kind {
            PacketKind::Host => &[],
            PacketKind::Xdp => &[(0, data), (4, data_end), (8, data_meta)],
            PacketKind::Skb => &[(0, data_end - data), (76, data), (80, data_end), (140, data_meta)],
        };
        fields.iter().try_for_each(|&(offset, value)| self.write(context + offset, &value.to_ne_bytes()))
    }

    /// Copies of the metadata and the packet.
    pub(super) fn take_packet(&self, metadata: &mut Vec<u8>, packet: &mut Vec<u8>) {
        let Window { data_meta, data, data_end, .. } = self.window;
        for (to, from, end) in [(metadata, data_meta, data), (packet, data, data_end)] {
            to.resize((end - from) as usize, 0);
            // SAFETY: the bytes are mapped, and no program runs.
            unsafe { ptr::copy_nonoverlapping(self.space.base().add(from as usize), to.as_mut_ptr(), to.len()) };
        }
    }

    /// The window of a packet that is in the cage, for helpers of one kind of program.
    ///
    /// # Errors
    /// [`FaultKind::WrongArgument`] in runs of other kinds.
    pub(crate) fn window(&self, kind: PacketKind) -> Result<Window, FaultKind> {
        if self.window.kind == kind {
            return Ok(self.window);
        }
        let expected = match kind {
            PacketKind::Xdp => "a frame of Worker::run_xdp",
            PacketKind::Skb | PacketKind::Host => "a packet of Worker::run_skb",
        };
        Err(FaultKind::WrongArgument { value: self.context.into(), expected })
    }
}
