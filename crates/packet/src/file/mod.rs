//! Reading capture files: pcap and pcapng, plain or compressed, from disk or from a pipe.
//!
//! ```text
//! file, pipe -> decompress -> source (window on the bytes) -> pcap | pcapng (pure decoders) -> reader -> Packet<'_>
//! ```
//!
//! What packets mean is the business of the decoders elsewhere; writing is in [`write`](crate::write).

mod ahead;
mod decompress;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod pcap;
mod pcapng;
mod reader;
mod source;
mod types;
mod wire;

pub use decompress::Compression;
pub use error::{FileError, FileErrorKind};
pub use reader::{Batch, Progress, Reader};
pub use source::FileId;
pub use types::{Direction, Encoding, Interface, Packet, Timestamp, max_captured};

pub(crate) use error::plain_io;
pub(crate) use pcap::{FILE_HEADER, MAGIC_MICRO, MAGIC_NANO};
pub(crate) use pcapng::{
    BLOCK_ENHANCED, BLOCK_INTERFACE, BLOCK_SECTION, BYTE_ORDER_MAGIC, OPT_END, OPT_FLAGS, OPT_IF_NAME, OPT_IF_TSRESOL,
};
