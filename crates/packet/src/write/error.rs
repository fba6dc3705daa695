//! What can go wrong while a capture file is written, in words for its owner.

use std::fmt;
use std::io;

use skep_proto::LinkType;

use crate::file::{FileError, plain_io};

/// Why writing stopped.
#[derive(Debug)]
pub struct WriteError {
    /// The file as the user named it; `-` is standard output.
    pub name: String,
    /// What happened.
    pub kind: WriteErrorKind,
}

/// What happened.
#[derive(Debug)]
pub enum WriteErrorKind {
    /// The file could not be created.
    Create(io::Error),
    /// The output is the file that is being read; opening it would have erased it.
    SameFile,
    /// Writing failed.
    Write {
        /// The cause.
        error: io::Error,
        /// Bytes of header and whole records that are in the output.
        saved: u64,
        /// Bytes of an incomplete record after them, which could not be removed: the output is a pipe or a device.
        partial: u64,
    },
    /// A pcap file has one link type and this packet has another.
    OtherLink {
        /// Of the file.
        file: LinkType,
        /// Of the packet.
        packet: LinkType,
    },
    /// The file name is not a usable time format.
    NameFormat(&'static str),
}

impl WriteError {
    /// True if whoever read our output has gone away: no fault of the user's.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(&self.kind, WriteErrorKind::Write { error, .. } if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name == "-" { "standard output" } else { &self.name };
        match &self.kind {
            WriteErrorKind::Create(error) => write!(f, "cannot create {name}: {}", plain_io(error)),
            WriteErrorKind::SameFile => {
                write!(f, "{name} is also the file that is being read; choose another name for the output")
            }
            WriteErrorKind::Write { error, saved, partial: 0 } => {
                write!(f, "writing {name} failed: {}; {saved} bytes of complete packets are saved", plain_io(error))
            }
            WriteErrorKind::Write { error, saved, partial } => write!(
                f,
                "writing {name} failed: {}; after {saved} bytes of complete packets come {partial} of an incomplete one",
                plain_io(error)
            ),
            WriteErrorKind::OtherLink { file, packet } => write!(
                f,
                "{name} is a pcap file of link type {file} and cannot hold a packet of link type {packet}; \
                 give the output a name that ends in .pcapng"
            ),
            WriteErrorKind::NameFormat(why) => write!(f, "'{name}' cannot be used as a file name: {why}"),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            WriteErrorKind::Create(error) | WriteErrorKind::Write { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Why copying from a reader to a writer stopped.
#[derive(Debug)]
pub enum CopyError {
    /// The input is at fault. What was accepted before is written.
    Read(FileError),
    /// The output is at fault.
    Write(WriteError),
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CopyError {}

impl From<FileError> for CopyError {
    fn from(error: FileError) -> Self {
        Self::Read(error)
    }
}

impl From<WriteError> for CopyError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}
