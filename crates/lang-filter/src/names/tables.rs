//! Text of the system's tables to values: services(5), protocols(5), networks(5), ethers(5).
//!
//! Lines that do not have the right form are skipped, as the C library does.

use super::{Service, Transports};
use std::collections::HashMap;

/// The words of each line, without comments.
fn lines(text: &str) -> impl Iterator<Item = impl Iterator<Item = &str>> {
    text.lines().map(|line| line.split('#').next().unwrap_or("").split_whitespace())
}

/// Ports by name; the first line that has a name for a protocol counts.
#[derive(Debug, Default)]
pub(super) struct Services {
    tcp: HashMap<String, u16>,
    udp: HashMap<String, u16>,
    sctp: HashMap<String, u16>,
}

impl Services {
    pub(super) fn parse(text: &str) -> Self {
        let mut services = Self::default();
        for mut words in lines(text) {
            let (Some(name), Some(place)) = (words.next(), words.next()) else { continue };
            let Some((port, proto)) = place.split_once('/') else { continue };
            let Ok(port) = port.parse::<u16>() else { continue };
            let names = match proto {
                "tcp" => &mut services.tcp,
                "udp" => &mut services.udp,
                "sctp" => &mut services.sctp,
                _ => continue,
            };
            for name in std::iter::once(name).chain(words) {
                names.entry(name.to_owned()).or_insert(port);
            }
        }
        services
    }

    /// libpcap's rule: if the numbers differ, TCP's counts.
    pub(super) fn find(&self, name: &str) -> Option<Service> {
        let [tcp, udp, sctp] = [&self.tcp, &self.udp, &self.sctp].map(|table| table.get(name).copied());
        let port = tcp.or(udp).or(sctp)?;
        let known = |number: Option<u16>| number == Some(port);
        Some(Service { port, transports: Transports { tcp: known(tcp), udp: known(udp), sctp: known(sctp) } })
    }
}

/// `name number aliases...`
pub(super) fn protocols(text: &str) -> HashMap<String, u8> {
    let mut table = HashMap::new();
    for mut words in lines(text) {
        let (Some(name), Some(number)) = (words.next(), words.next()) else { continue };
        let Ok(number) = number.parse::<u8>() else { continue };
        for name in std::iter::once(name).chain(words) {
            table.entry(name.to_owned()).or_insert(number);
        }
    }
    table
}

/// `name number aliases...`, the number as inet_network(3) reads it.
pub(super) fn networks(text: &str) -> HashMap<String, u32> {
    let mut table = HashMap::new();
    for mut words in lines(text) {
        let (Some(name), Some(number)) = (words.next(), words.next()) else { continue };
        let Some(number) = inet_network(number) else { continue };
        for name in std::iter::once(name).chain(words) {
            table.entry(name.to_owned()).or_insert(number);
        }
    }
    table
}

/// One to four bytes with dots between; each decimal, octal after `0` or hexadecimal after `0x`.
fn inet_network(text: &str) -> Option<u32> {
    let mut value = 0;
    let mut parts = 0;
    for part in text.split('.') {
        let part = match part.as_bytes() {
            [b'0', b'x' | b'X', ..] => u8::from_str_radix(&part[2..], 16),
            [b'0', _, ..] => u8::from_str_radix(&part[1..], 8),
            _ => part.parse(),
        };
        value = value << 8 | u32::from(part.ok()?);
        parts += 1;
    }
    (parts <= 4).then_some(value)
}

/// `address name`
pub(super) fn ethers(text: &str) -> HashMap<String, [u8; 6]> {
    let mut table = HashMap::new();
    for mut words in lines(text) {
        let (Some(address), Some(name)) = (words.next(), words.next()) else { continue };
        let mut bytes = [0; 6];
        let mut parts = address.split(':');
        let complete = bytes.iter_mut().all(|byte| {
            let part = parts.next().filter(|part| part.len() <= 2);
            part.and_then(|part| u8::from_str_radix(part, 16).ok()).map(|value| *byte = value).is_some()
        });
        if complete && parts.next().is_none() {
            table.entry(name.to_owned()).or_insert(bytes);
        }
    }
    table
}
