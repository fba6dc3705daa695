//! Names in expressions: hosts, networks, ports, protocols, hardware addresses, and sets from files.
//!
//! The compiler asks a [`Resolver`]; the same expression and the same answers give the same program on every machine.
//! [`SystemResolver`] asks this machine, and opens a file only when a name needs it; [`FixedResolver`] answers from
//! memory.

mod fixed;
mod system;
mod tables;

pub use fixed::FixedResolver;
pub use system::SystemResolver;

use std::fmt;
use std::net::IpAddr;

/// Which transport protocols a service name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Transports {
    /// Known for TCP.
    pub tcp: bool,
    /// Known for UDP.
    pub udp: bool,
    /// Known for SCTP; tcpdump does not know names that only SCTP has.
    pub sctp: bool,
}

/// The meaning of a service name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Service {
    /// The port number.
    pub port: u16,
    /// The protocols that have the name with this number.
    ///
    /// A filter that names no protocol tests those which are set here, or all three if both TCP and UDP are: the name
    /// then says nothing about the protocol (pcap-filter(7), "ambiguous name").
    pub transports: Transports,
}

/// Looks up names for the compiler. `None` and empty lists mean that the name is not known.
pub trait Resolver {
    /// The addresses of a host, without duplicates, in the order of the answer; empty if it is not known.
    ///
    /// # Errors
    /// If the question could not be asked (no name server answers, say).
    fn host(&self, name: &str) -> Result<Vec<IpAddr>, NameError>;

    /// A network and its mask as /etc/networks gives them: `127` is 0x7f and `127.0.0.0` is 0x7f000000, both with a
    /// mask of all ones. The compiler moves short ones to the left.
    ///
    /// # Errors
    /// If a file could not be read.
    fn network(&self, name: &str) -> Result<Option<(u32, u32)>, NameError>;

    /// The port of a service. Case matters.
    ///
    /// # Errors
    /// If a file could not be read.
    fn service(&self, name: &str) -> Result<Option<Service>, NameError>;

    /// The number of a protocol over IP. Case matters where the system's table has the name.
    ///
    /// # Errors
    /// If a file could not be read.
    fn protocol(&self, name: &str) -> Result<Option<u8>, NameError>;

    /// The hardware address of a host, from /etc/ethers or its like.
    ///
    /// # Errors
    /// If a file could not be read.
    fn ether_host(&self, name: &str) -> Result<Option<[u8; 6]>, NameError>;

    /// The ids in a set file, in its order: one a line, without comments and blank lines.
    ///
    /// # Errors
    /// If the file cannot be read, is too large, or has a line that is not one word.
    fn set(&self, path: &str) -> Result<Vec<SetEntry>, NameError>;
}

/// One id of a set file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetEntry {
    /// The id as written.
    pub text: String,
    /// Its line, from 1.
    pub line: u32,
}

/// A look-up that failed, as opposed to a name that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    /// What was read or asked: a path or a name.
    pub subject: String,
    /// The line of the file, from 1, if one is at fault.
    pub line: Option<u32>,
    /// What is wrong with it.
    pub problem: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.subject)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}; {}", self.problem, self.remedy)
    }
}

impl std::error::Error for NameError {}

/// The most ids that one set file may hold.
pub const MAX_SET_ENTRIES: usize = 4_000_000;

/// The largest set file in bytes: 256 MiB.
pub const MAX_SET_BYTES: u64 = 256 << 20;

/// Splits the text of a set file: one id a line; `#` begins a comment; blank lines are skipped. `path` is for messages.
///
/// # Errors
/// If a line holds more than one word or is not plain text, or if there are more than [`MAX_SET_ENTRIES`] ids.
pub fn parse_set(path: &str, text: &str) -> Result<Vec<SetEntry>, NameError> {
    let mut entries = Vec::new();
    // Editors of other systems put a byte order mark in front.
    for (line, raw) in (1_u32..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let content = raw.split('#').next().unwrap_or("").trim();
        if content.is_empty() {
            continue;
        }
        let fault = |problem: String, remedy| NameError { subject: path.to_owned(), line: Some(line), problem, remedy };
        if let Some(second) = content.split_whitespace().nth(1) {
            let shown = crate::suggest::shorten(second);
            return Err(fault(format!("unexpected `{shown}`"), "write one id a line; `#` begins a comment"));
        }
        if let Some(control) = content.chars().find(|c| c.is_control()) {
            return Err(fault(format!("unexpected character {control:?}"), "the file must be plain text"));
        }
        if entries.len() == MAX_SET_ENTRIES {
            return Err(fault(format!("more than {MAX_SET_ENTRIES} ids"), "use prefixes instead of addresses"));
        }
        entries.push(SetEntry { text: content.to_owned(), line });
    }
    Ok(entries)
}

/// Reads `text` as each of the system's tables, for the fuzz target.
pub(crate) fn read_tables(text: &str) {
    let _ = (tables::Services::parse(text), tables::protocols(text), tables::networks(text), tables::ethers(text));
}

#[cfg(test)]
mod tests;
