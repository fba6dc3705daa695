//! XDP: frames as drivers give them, `struct xdp_md`, and what becomes of them.

use super::PacketError;
use super::window::{MAX_FRAME_BYTES, PacketKind};
use crate::classic::Metadata;
use crate::ebpf::environment::Redirect;
use crate::ebpf::worker::Worker;

/// Bytes of `struct xdp_md` in `linux/bpf.h`.
const XDP_MD_BYTES: usize = 24;
/// Bytes of the page in which a driver receives a frame; `bpf_prog_test_run_xdp` in `net/bpf/test_run.c` does as well.
const FRAME_BYTES: u32 = 4096;
/// Bytes at the end of that page which the kernel needs itself: an aligned `struct skb_shared_info`.
const SHARED_INFO_BYTES: u32 = 320;
/// Longest metadata (`xdp_metalen_invalid` in `net/xdp.h`), a multiple of 4.
const MAX_METADATA_BYTES: usize = 252;

/// A frame that an XDP program looks at and changes.
#[derive(Debug, Clone, Default)]
pub struct XdpFrame {
    /// The bytes from the Ethernet header on, at most [`MAX_FRAME_BYTES`].
    pub packet: Vec<u8>,
    /// Bytes in front of it for later programs (`bpf_xdp_adjust_meta`), a multiple of 4 up to 252.
    pub metadata: Vec<u8>,
    /// Index of the interface that it came from.
    pub ingress_ifindex: u32,
    /// The queue of that interface.
    pub rx_queue_index: u32,
    /// Index of the interface that it leaves through: for programs in entries of a device map, 0 for others.
    pub egress_ifindex: u32,
    /// The processor, the start of the random numbers.
    pub meta: Metadata,
}

/// What an XDP program wants (`enum xdp_action` in `linux/bpf.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpAction {
    /// Drop it as an error; also what the kernel does with numbers that are no action.
    Aborted,
    /// Drop it.
    Drop,
    /// Give it to the network stack.
    Pass,
    /// Send it out where it came from.
    Tx,
    /// Send it where [`XdpVerdict::redirect`] says.
    Redirect,
}

impl XdpAction {
    /// The action with this number.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Drop,
            2 => Self::Pass,
            3 => Self::Tx,
            4 => Self::Redirect,
            _ => Self::Aborted,
        }
    }
}

/// What a program said about a frame.
#[derive(Debug, Clone)]
pub struct XdpVerdict {
    /// What is to be done.
    pub action: XdpAction,
    /// The lower half of register 0.
    pub code: u32,
    /// Where it goes, if the action is [`XdpAction::Redirect`]; `None` then if no helper named a target.
    pub redirect: Option<Redirect>,
}

impl XdpFrame {
    /// A frame with these bytes, from no interface.
    pub fn new(packet: &[u8]) -> Self {
        Self { packet: packet.to_vec(), ..Self::default() }
    }

    fn context(&self) -> [u8; XDP_MD_BYTES] {
        let mut context = [0; XDP_MD_BYTES];
        let numbers = [self.ingress_ifindex, self.rx_queue_index, self.egress_ifindex];
        for (field, number) in context[12..].as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
            *field = number.to_ne_bytes();
        }
        context
    }
}

impl Worker {
    /// Runs an XDP program on a frame in the cage. The frame holds what the program made of it afterwards, unless the
    /// run ended with a fault.
    ///
    /// # Errors
    /// [`PacketError`]
    ///
    /// # Panics
    /// If there is no program with this index, or a registered helper panics.
    pub fn run_xdp(&mut self, program: usize, frame: &mut XdpFrame) -> Result<XdpVerdict, PacketError> {
        if frame.packet.len() > MAX_FRAME_BYTES {
            return Err(PacketError::TooLong(frame.packet.len()));
        }
        if !frame.metadata.len().is_multiple_of(4) || frame.metadata.len() > MAX_METADATA_BYTES {
            return Err(PacketError::Metadata(frame.metadata.len()));
        }
        let room = FRAME_BYTES - super::window::HEADROOM - SHARED_INFO_BYTES;
        let tailroom = room.saturating_sub(frame.packet.len() as u32);
        self.machine_mut()
            .place_packet(PacketKind::Xdp, &frame.metadata, &frame.packet, tailroom)
            .map_err(PacketError::Memory)?;
        let code = self.run_on_packet(program, &mut frame.context(), &frame.meta)? as u32;
        self.machine().take_packet(&mut frame.metadata, &mut frame.packet);
        let action = XdpAction::from_number(code);
        let redirect = self.machine_mut().environment.redirect.take();
        Ok(XdpVerdict { action, code, redirect: redirect.filter(|_| action == XdpAction::Redirect) })
    }
}
