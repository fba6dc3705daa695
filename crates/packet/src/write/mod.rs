//! Writing capture files: pcap and pcapng, to one file or to a series of them.
//!
//! Output consists of whole records only: when the disk is full or a pipe closes, the file is cut back to the last
//! complete packet and the error says what was saved.

mod encode;
mod error;
mod rotate;
mod sink;
mod writer;

pub use error::{CopyError, WriteError, WriteErrorKind};
pub use rotate::{RotateClock, RotatingWriter, Rotation, Wrote, parse_size};
pub use writer::{Format, Precision, Verdict, WriteOptions, Writer};
