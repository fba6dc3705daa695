//! Packets on the host side: capture files and what is in them.
//!
//! - [`file`](mod@file) reads pcap and pcapng, plain or compressed with gzip, zstd or lz4, from disk or from a pipe;
//! - [`write`](mod@write) writes them, to one file or to a series.
//!
//! ```
//! use skep_packet::{LinkType, Packet, Reader, Timestamp, Verdict, WriteOptions, Writer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let (one, two) = (dir.path().join("one.pcap"), dir.path().join("two.pcapng"));
//! let mut writer = Writer::create(&one, &WriteOptions::new(LinkType::RAW))?;
//! writer.write(&Packet::new(Timestamp::new(1_700_000_000, 0), &[0x45; 20], 20, LinkType::RAW))?;
//! writer.finish()?;
//!
//! let mut reader = Reader::open(&one)?;
//! let mut writer = Writer::create(&two, &WriteOptions::like(&reader))?;
//! writer.copy(&mut reader, |packet| if packet.data.len() > 10 { Verdict::Keep } else { Verdict::Drop })?;
//! assert_eq!(writer.finish()?, 1);
//! assert_eq!(Reader::open(&two)?.next()?.map(|packet| packet.orig_len), Some(20));
//! # Ok(())
//! # }
//! ```
//!
//! Guarantees:
//! - Damaged input gives every packet before the damage and then one error that says where it is; never a panic.
//! - Memory does not depend on the size of a file, nor on lengths that it claims.
//! - An output file holds whole records only, even if writing it fails.

pub mod decode;
pub mod dns;
pub mod file;
#[doc(hidden)]
pub mod fuzz;
pub mod print;
pub mod ring;
pub mod write;

pub use file::{Direction, FileError, Packet, Reader, Timestamp};
pub use skep_proto::LinkType;
pub use write::{Verdict, WriteError, WriteOptions, Writer};
