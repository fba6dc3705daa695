//! What can go wrong while a capture file is read, in words for its owner.

use std::fmt;
use std::io;

/// Why reading stopped. Every packet before the fault has been delivered.
#[derive(Debug)]
pub struct FileError {
    /// The file as the user named it; `-` is standard input.
    pub name: String,
    /// True if offsets count decompressed bytes.
    pub compressed: bool,
    /// How many packets were delivered before.
    pub packets: u64,
    /// What happened.
    pub kind: FileErrorKind,
}

/// What happened. Offsets are bytes from the start of the (decompressed) file.
#[derive(Debug)]
pub enum FileErrorKind {
    /// The file could not be opened.
    Open(io::Error),
    /// The system or the decompressor failed at this offset.
    Read {
        /// Where the bytes that could not be had would begin.
        offset: u64,
        /// The cause.
        error: io::Error,
    },
    /// Neither pcap nor pcapng, compressed or not. Holds the first bytes, at most eight.
    NotACapture(Vec<u8>),
    /// A capture file of a kind that is not read here.
    Unsupported {
        /// Where that is said.
        offset: u64,
        /// What was found and what is supported.
        what: String,
    },
    /// The file ends inside a structure that begins at `offset`.
    Truncated {
        /// Where the structure begins.
        offset: u64,
        /// What it is: "the record", "the file header", ...
        what: &'static str,
        /// How many bytes it needs.
        needed: u64,
        /// How many there are.
        found: u64,
    },
    /// The bytes at `offset` contradict the format.
    Corrupt {
        /// Where the damaged structure begins.
        offset: u64,
        /// What it claims and what is possible.
        what: String,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name == "-" { "standard input" } else { &self.name };
        match &self.kind {
            FileErrorKind::Open(error) => write!(f, "cannot open {name}: {}", plain_io(error)),
            FileErrorKind::Read { offset, error } => {
                write!(f, "{name}: reading failed at byte {offset}: {}", plain_io(error))
            }
            FileErrorKind::NotACapture(head) => write!(
                f,
                "{name} is not a capture file: it begins with {}; expected pcap or pcapng, or one of them compressed \
                 with gzip, zstd or lz4",
                describe_head(head)
            ),
            FileErrorKind::Unsupported { offset, what } => write!(f, "{name}: byte {offset}: {what}"),
            FileErrorKind::Truncated { offset, what, needed, found } => {
                write!(f, "{name} is cut off: {what} at byte {offset} needs {needed} bytes, but only {found} are there")
            }
            FileErrorKind::Corrupt { offset, what } => write!(f, "{name} is damaged at byte {offset}: {what}"),
        }?;
        let located = !matches!(self.kind, FileErrorKind::Open(_) | FileErrorKind::NotACapture(_));
        if located && self.compressed {
            write!(f, " (offsets count decompressed bytes)")?;
        }
        match (located, self.packets) {
            (true, 1) => write!(f, "; the packet before it is good"),
            (true, n) if n > 1 => write!(f, "; the {n} packets before it are good"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            FileErrorKind::Open(error) | FileErrorKind::Read { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// An I/O error as a sentence without the system's error number.
pub(crate) fn plain_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or directory; check the spelling".into(),
        io::ErrorKind::PermissionDenied => "permission denied; check its owner and mode, or run as its owner".into(),
        io::ErrorKind::IsADirectory => "it is a directory; name a file".into(),
        io::ErrorKind::StorageFull => "the file system is full; free some space or choose another place".into(),
        io::ErrorKind::QuotaExceeded => "your disk quota is used up; free some space or choose another place".into(),
        io::ErrorKind::FileTooLarge => "the file has reached the size limit of the process or file system".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is mounted read-only; choose another place".into(),
        io::ErrorKind::BrokenPipe => "the reader at the other end has closed the pipe".into(),
        io::ErrorKind::UnexpectedEof => "the compressed data end too early".into(),
        _ => {
            let text = error.to_string();
            match text.find(" (os error") {
                Some(end) => text[..end].to_owned(),
                None => text,
            }
        }
    }
}

/// The first bytes of something that is not a capture, with a guess at what it is.
fn describe_head(head: &[u8]) -> String {
    // TABLE: first bytes, what they belong to.
    const KNOWN: &[(&[u8], &str)] = &[
        (b"\x7fELF", "a program or object file"),
        (b"snoop\0\0\0", "a Solaris snoop capture; convert it with editcap"),
        (b"PK\x03\x04", "a zip archive; unpack it first"),
        (b"BZh", "bzip2 data; decompress it first"),
        (b"\xfd7zXZ", "xz data; decompress it first"),
        (b"\x02\x21\x4c\x18", "old-format lz4 data; recompress it with today's lz4"),
        (b"XCP\0", "a NetXRay capture; convert it with editcap"),
        (b"TRSNIFF data", "a Sniffer capture; convert it with editcap"),
        (b"\xac\x01\x00\x1c", "an IXIA lcap capture; convert it with editcap"),
    ];
    if head.is_empty() {
        return "nothing (it is empty)".into();
    }
    let hex: Vec<String> = head.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut text = hex.join(" ");
    let known = KNOWN.iter().find(|(magic, _)| head.starts_with(&magic[..magic.len().min(head.len())]));
    if let Some((_, what)) = known.filter(|_| head.len() >= 3) {
        text.push_str(&format!(" ({what})"));
    } else if head.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        text.push_str(" (text)");
    }
    text
}
