//! Names as this machine knows them.

use super::tables::{self, Services};
use super::{MAX_SET_BYTES, NameError, Resolver, Service, SetEntry, parse_set};
use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A table larger than this is read up to here: 16 MiB.
const MAX_TABLE_BYTES: u64 = 16 << 20;

/// Asks this machine: hosts through the C library's resolver, everything else from the tables in `/etc`.
///
/// A table is read when the first name needs it, and once. A missing one has no names, except that the usual protocols
/// are known without `/etc/protocols`.
#[derive(Debug)]
pub struct SystemResolver {
    directory: PathBuf,
    services: OnceLock<Services>,
    protocols: OnceLock<Option<HashMap<String, u8>>>,
    networks: OnceLock<HashMap<String, u32>>,
    ethers: OnceLock<HashMap<String, [u8; 6]>>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::with_tables_in("/etc")
    }
}

impl SystemResolver {
    /// One that reads the tables in `/etc`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that reads `services`, `protocols`, `networks` and `ethers` in another directory.
    #[must_use]
    pub fn with_tables_in(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            services: OnceLock::new(),
            protocols: OnceLock::new(),
            networks: OnceLock::new(),
            ethers: OnceLock::new(),
        }
    }

    /// The text of a table; `None` if there is no such file. Bytes that are not UTF-8 only occur in comments.
    fn table(&self, name: &str) -> Result<Option<String>, NameError> {
        let path = self.directory.join(name);
        match read(&path, MAX_TABLE_BYTES) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(unreadable(&path.to_string_lossy(), &error)),
        }
    }

    /// The parsed table, read at the first use.
    fn cached<'a, T>(
        &self,
        cell: &'a OnceLock<T>,
        name: &str,
        parse: impl FnOnce(Option<&str>) -> T,
    ) -> Result<&'a T, NameError> {
        if let Some(table) = cell.get() {
            return Ok(table);
        }
        let text = self.table(name)?;
        Ok(cell.get_or_init(|| parse(text.as_deref())))
    }
}

impl Resolver for SystemResolver {
    fn host(&self, name: &str) -> Result<Vec<IpAddr>, NameError> {
        // The port is a formality of the interface; the C library reads /etc/hosts and asks the name servers.
        let found = match (name, 0).to_socket_addrs() {
            Ok(found) => found,
            Err(error) if error.to_string().contains("emporary failure") => {
                return Err(NameError {
                    subject: name.to_owned(),
                    line: None,
                    problem: "no name server answered".to_owned(),
                    remedy: "write the address instead, or check /etc/resolv.conf",
                });
            }
            Err(_) => return Ok(Vec::new()),
        };
        let mut addresses = Vec::new();
        for address in found.map(|socket| socket.ip()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    fn network(&self, name: &str) -> Result<Option<(u32, u32)>, NameError> {
        let table = self.cached(&self.networks, "networks", |text| tables::networks(text.unwrap_or("")))?;
        Ok(table.get(name).map(|&number| (number, u32::MAX)))
    }

    fn service(&self, name: &str) -> Result<Option<Service>, NameError> {
        let table = self.cached(&self.services, "services", |text| Services::parse(text.unwrap_or("")))?;
        Ok(table.find(name))
    }

    fn protocol(&self, name: &str) -> Result<Option<u8>, NameError> {
        Ok(match self.cached(&self.protocols, "protocols", |text| text.map(tables::protocols))? {
            Some(table) => table.get(name).copied(),
            None => skep_proto::numbers::ip_protocol_number(name),
        })
    }

    fn ether_host(&self, name: &str) -> Result<Option<[u8; 6]>, NameError> {
        let table = self.cached(&self.ethers, "ethers", |text| tables::ethers(text.unwrap_or("")))?;
        Ok(table.get(name).copied())
    }

    fn set(&self, path: &str) -> Result<Vec<SetEntry>, NameError> {
        let bytes = read(Path::new(path), MAX_SET_BYTES + 1).map_err(|error| unreadable(path, &error))?;
        let fault = |line, problem: String, remedy| NameError { subject: path.to_owned(), line, problem, remedy };
        if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_SET_BYTES) {
            let problem = format!("the file is larger than {} MiB", MAX_SET_BYTES >> 20);
            return Err(fault(None, problem, "use prefixes instead of addresses"));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = u32::try_from(good.iter().filter(|&&c| c == b'\n').count() + 1).ok();
            fault(line, "this is not UTF-8 text".to_owned(), "write one id a line")
        })?;
        parse_set(path, &text)
    }
}

fn read(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(path: &str, error: &std::io::Error) -> NameError {
    let (problem, remedy) = match error.kind() {
        ErrorKind::NotFound => ("there is no such file".to_owned(), "check the path"),
        ErrorKind::PermissionDenied => ("no permission to read the file".to_owned(), "check its owner and mode"),
        ErrorKind::IsADirectory => ("this is a directory".to_owned(), "name a file with one id a line"),
        kind => (format!("the file cannot be read ({kind})"), "check the file, or copy it to a local disk"),
    };
    NameError { subject: path.to_owned(), line: None, problem, remedy }
}
