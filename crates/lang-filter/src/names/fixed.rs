//! Names from memory: for tests, and for compiling on behalf of another machine.

use super::{NameError, Resolver, Service, SetEntry, Transports, parse_set};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Answers from what was put into it, and nothing else; the default one knows no names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FixedResolver {
    hosts: BTreeMap<String, Vec<IpAddr>>,
    networks: BTreeMap<String, (u32, u32)>,
    services: BTreeMap<String, Service>,
    protocols: BTreeMap<String, u8>,
    ethers: BTreeMap<String, [u8; 6]>,
    sets: BTreeMap<String, String>,
}

impl FixedResolver {
    /// One that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a host and its addresses.
    #[must_use]
    pub fn with_host(mut self, name: &str, addresses: &[IpAddr]) -> Self {
        self.hosts.insert(name.to_owned(), addresses.to_vec());
        self
    }

    /// With a network: address and mask as [`Resolver::network`] gives them.
    #[must_use]
    pub fn with_network(mut self, name: &str, address: u32, mask: u32) -> Self {
        self.networks.insert(name.to_owned(), (address, mask));
        self
    }

    /// With a service.
    #[must_use]
    pub fn with_service(mut self, name: &str, port: u16, transports: Transports) -> Self {
        self.services.insert(name.to_owned(), Service { port, transports });
        self
    }

    /// With a protocol over IP.
    #[must_use]
    pub fn with_protocol(mut self, name: &str, number: u8) -> Self {
        self.protocols.insert(name.to_owned(), number);
        self
    }

    /// With the hardware address of a host.
    #[must_use]
    pub fn with_ether_host(mut self, name: &str, address: [u8; 6]) -> Self {
        self.ethers.insert(name.to_owned(), address);
        self
    }

    /// With a set file: its path and its text.
    #[must_use]
    pub fn with_set(mut self, path: &str, text: &str) -> Self {
        self.sets.insert(path.to_owned(), text.to_owned());
        self
    }
}

impl Resolver for FixedResolver {
    fn host(&self, name: &str) -> Result<Vec<IpAddr>, NameError> {
        Ok(self.hosts.get(name).cloned().unwrap_or_default())
    }

    fn network(&self, name: &str) -> Result<Option<(u32, u32)>, NameError> {
        Ok(self.networks.get(name).copied())
    }

    fn service(&self, name: &str) -> Result<Option<Service>, NameError> {
        Ok(self.services.get(name).copied())
    }

    fn protocol(&self, name: &str) -> Result<Option<u8>, NameError> {
        Ok(self.protocols.get(name).copied())
    }

    fn ether_host(&self, name: &str) -> Result<Option<[u8; 6]>, NameError> {
        Ok(self.ethers.get(name).copied())
    }

    fn set(&self, path: &str) -> Result<Vec<SetEntry>, NameError> {
        match self.sets.get(path) {
            Some(text) => parse_set(path, text),
            None => Err(NameError {
                subject: path.to_owned(),
                line: None,
                problem: "there is no such set".to_owned(),
                remedy: "check the path after `@`",
            }),
        }
    }
}
