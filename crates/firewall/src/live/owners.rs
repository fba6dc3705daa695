//! Which process has the socket of a packet: what `/proc/net` says about sockets, and `/proc/PID/fd` about processes.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::seed::{End, FILES, end};
use crate::facts::{Facts, Packet, Place, read};
use crate::rules::{Direction, Family};

/// Sockets that are not known are looked for this often at most: it reads the descriptors of all processes.
const AGAIN: Duration = Duration::from_millis(500);

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its number.
    pub pid: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
}

/// Processes by their sockets, read again when one is not known.
#[derive(Debug, Default)]
pub struct Owners {
    sockets: HashMap<(u8, End, Option<End>), u64>,
    processes: HashMap<u64, Owner>,
    read: Option<Instant>,
}

fn address(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from((bits >> 96) as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(bits)),
    }
}

/// The protocol of a packet and its ends: that of this host first.
fn ends(packet: &[u8], direction: Direction) -> Option<(u8, End, End)> {
    let Packet::Known(Facts { family, source, destination, protocol, ports: Some((from, to)), .. }) =
        read(packet, Place::default())
    else {
        return None;
    };
    let (source, destination) = ((address(family, source), from), (address(family, destination), to));
    Some(match direction {
        Direction::In => (protocol, destination, source),
        Direction::Out | Direction::Forward => (protocol, source, destination),
    })
}

impl Owners {
    /// The process that has the socket of a packet, if it is one of this network namespace that still has it.
    pub fn of(&mut self, packet: &[u8], direction: Direction) -> Option<Owner> {
        let (protocol, local, remote) = ends(packet, direction)?;
        if let Some(owner) = self.find(protocol, local, remote) {
            return Some(owner);
        }
        if self.read.is_some_and(|read| read.elapsed() < AGAIN) {
            return None;
        }
        self.read_all();
        self.find(protocol, local, remote)
    }

    fn find(&self, protocol: u8, local: End, remote: End) -> Option<Owner> {
        let anywhere = |address: IpAddr| (address, local.1);
        let own = if local.0.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        // Sockets of version 6 take packets of both.
        let keys = [
            (local, Some(remote)),
            (local, None),
            (anywhere(own), None),
            (anywhere(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), None),
        ];
        // A connection that nobody has accepted yet belongs to whoever listens.
        let mut inodes = keys.into_iter().filter_map(|(local, remote)| self.sockets.get(&(protocol, local, remote)));
        inodes.find_map(|inode| self.processes.get(inode)).cloned()
    }

    fn read_all(&mut self) {
        self.read = Some(Instant::now());
        self.sockets.clear();
        for (name, protocol) in FILES {
            let text = fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
            self.sockets.extend(sockets(&text).map(|(local, remote, inode)| ((protocol, local, remote), inode)));
        }
        self.processes.clear();
        for pid in numbers("/proc") {
            let mut owner = None;
            for fd in numbers(&format!("/proc/{pid}/fd")) {
                let Ok(target) = fs::read_link(format!("/proc/{pid}/fd/{fd}")) else { continue };
                let inode =
                    target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
                let Some(inode) = inode else { continue };
                let owner = owner.get_or_insert_with(|| {
                    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                    Owner { pid, name: name.trim_end().to_owned() }
                });
                self.processes.insert(inode, owner.clone());
            }
        }
    }
}

fn numbers(directory: &str) -> Vec<u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The sockets in a file such as `/proc/net/tcp` with their numbers: this end, the other one if it is connected.
fn sockets(text: &str) -> impl Iterator<Item = (End, Option<End>, u64)> {
    text.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, remote) = (end(fields.get(1)?)?, end(fields.get(2)?)?);
        Some((local, (remote.1 != 0).then_some(remote), fields.get(9)?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_of_a_packet_is_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let mut packet = vec![0; 12];
        packet.extend([8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 9, 127, 0, 0, 1, 0x12, 0x34]);
        packet.extend(port.to_be_bytes());
        packet.extend([0, 8, 0, 0]);
        let mut owners = Owners::default();
        let found = owners.of(&packet, Direction::In).unwrap();
        assert_eq!(found.pid, std::process::id());
        assert_eq!(owners.of(&packet, Direction::Out), None);
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1\n";
        if cfg!(target_endian = "little") {
            assert_eq!(sockets(text).collect::<Vec<_>>(), [(("127.0.0.1".parse().unwrap(), 22), None, 77)]);
        }
    }
}
