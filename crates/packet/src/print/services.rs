//! Names of ports from `/etc/services`, read once, when the first one is asked for.

use std::collections::HashMap;

/// Names of TCP and UDP ports.
#[derive(Debug, Default)]
pub struct Services {
    tables: Option<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    tcp: HashMap<u16, Box<str>>,
    udp: HashMap<u16, Box<str>>,
}

/// Which transport a port belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortKind {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A larger file is not a services file.
const MOST_BYTES: u64 = 8 << 20;

impl Services {
    /// A table from the text of a services file instead of the system's.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self { tables: Some(Tables::parse(text)) }
    }

    /// The name of a port, if the system has one.
    pub fn name(&mut self, port: u16, kind: PortKind) -> Option<&str> {
        let tables = self.tables.get_or_insert_with(Tables::load);
        let table = match kind {
            PortKind::Tcp => &tables.tcp,
            PortKind::Udp => &tables.udp,
        };
        table.get(&port).map(AsRef::as_ref)
    }
}

impl Tables {
    /// A system without the file has no names; ports are then printed as numbers.
    fn load() -> Self {
        use std::io::Read;
        let mut text = Vec::new();
        match std::fs::File::open("/etc/services").and_then(|file| file.take(MOST_BYTES).read_to_end(&mut text)) {
            Ok(_) => Self::parse(&String::from_utf8_lossy(&text)),
            Err(_) => Self::default(),
        }
    }

    fn parse(text: &str) -> Self {
        let mut tables = Self::default();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let (Some(name), Some((port, kind))) = (words.next(), words.next().and_then(|word| word.split_once('/')))
            else {
                continue;
            };
            let table = match kind {
                "tcp" => &mut tables.tcp,
                "udp" => &mut tables.udp,
                _ => continue,
            };
            // Names from a file reach the terminal: only printable ones are taken. The first of several counts.
            if let Ok(port) = port.parse()
                && name.bytes().all(|byte| byte.is_ascii_graphic())
            {
                table.entry(port).or_insert_with(|| name.into());
            }
        }
        tables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_port_and_transport() {
        let text = "domain 53/tcp\ndomain\t\t53/udp # names\nsyslog 514/udp\nshell 514/tcp cmd\nbad\nx 99999/tcp\n";
        let mut services = Services::from_text(text);
        assert_eq!(services.name(514, PortKind::Udp), Some("syslog"));
        assert_eq!(services.name(514, PortKind::Tcp), Some("shell"));
        assert_eq!(services.name(53, PortKind::Udp), Some("domain"));
        assert_eq!(services.name(99, PortKind::Udp), None);
    }
}
