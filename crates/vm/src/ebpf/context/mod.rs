//! What programs of each type work on: packets in the cage with their contexts, and contexts that are only bytes.
//!
//! ```text
//!  XdpFrame ---\                                           /--> XdpVerdict, the frame changed
//!  Skb      ----> window: packet in the cage + context --run--> SkbVerdict, the packet and its fields changed
//!  trace: RawTracepoint, PtRegs, records --> context bytes --> what the program left there
//! ```

mod skb;
mod trace;
mod window;
mod xdp;

use std::fmt;
use std::io;

pub(crate) use skb::{HASH_FIELD, MAX_GROWN_BYTES, VLAN_FIELDS};
pub use skb::{Skb, SkbVerdict};
pub use trace::{PtRegs, RawTracepoint, X86Register};
pub use window::MAX_FRAME_BYTES;
pub(crate) use window::{PacketKind, Window};
pub use xdp::{XdpAction, XdpFrame, XdpVerdict};

use super::fault::Fault;

/// Why a program gave no verdict about a packet.
#[derive(Debug)]
pub enum PacketError {
    /// The packet has more than [`MAX_FRAME_BYTES`] bytes; its length.
    TooLong(usize),
    /// The metadata of an XDP frame is longer than 252 bytes or not a multiple of 4 (`xdp_metalen_invalid` in
    /// `net/xdp.h`); its length.
    Metadata(usize),
    /// There is no memory for the packet.
    Memory(io::Error),
    /// The program was stopped.
    Fault(Fault),
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(len) => {
                write!(f, "the packet has {len} bytes, and at most {MAX_FRAME_BYTES} can be given to a program; cut it")
            }
            Self::Metadata(len) => {
                write!(f, "the metadata has {len} bytes; give a multiple of 4 that is at most 252")
            }
            Self::Memory(error) => write!(f, "memory for the packet: {error}"),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for PacketError {}

impl From<Fault> for PacketError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
