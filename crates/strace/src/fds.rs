//! What descriptors of traced processes stand for (`-y`, `-yy`).
//!
//! A process may have closed a descriptor, or ended, by the time its line is written. So what calls have opened is
//! remembered; only what is not known that way is asked from `/proc`.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::decode::Names;

/// Most descriptors that are remembered.
const MOST: usize = 1 << 16;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Detail {
    /// Nothing.
    #[default]
    None,
    /// Paths.
    Paths,
    /// Also protocols and addresses of sockets, and numbers of devices.
    Sockets,
}

/// What is known.
#[derive(Debug, Default)]
pub struct Descriptors {
    detail: Detail,
    /// Whether paths are needed although they are not shown.
    needed: bool,
    /// Whether the calls that open and close are seen, so that what is remembered stays true.
    tracked: bool,
    known: HashMap<(u32, i32), String>,
}

impl Descriptors {
    /// Nothing is known yet.
    pub fn new(detail: Detail, needed: bool, tracked: bool) -> Self {
        Self { detail, needed, tracked, known: HashMap::new() }
    }

    fn active(&self) -> bool {
        self.needed || self.detail > Detail::None
    }

    /// A process has opened something, perhaps by this path. By now the descriptor may stand for something else, or the
    /// process may have ended, so a path that is whole counts more than what `/proc` says.
    pub fn opened(&mut self, process: u32, fd: i32, path: Option<&[u8]>) {
        if !self.active() {
            return;
        }
        self.known.remove(&(process, fd));
        let path = path.map(|path| String::from_utf8_lossy(path).into_owned());
        let whole = path.as_ref().is_some_and(|path| path.starts_with('/'));
        if whole || self.find(process, fd).is_none() {
            self.remember(process, fd, path);
        }
    }

    /// A process has made a second descriptor for the same.
    pub fn copied(&mut self, process: u32, from: i32, to: i32) {
        if self.active() {
            let name = self.find(process, from).map(str::to_owned);
            self.known.remove(&(process, to));
            self.remember(process, to, name);
        }
    }

    fn remember(&mut self, process: u32, fd: i32, name: Option<String>) {
        if let Some(name) = name {
            if self.known.len() >= MOST {
                self.known.clear();
            }
            self.known.insert((process, fd), name);
        }
    }

    /// A process has closed a descriptor.
    pub fn closed(&mut self, process: u32, fd: i32) {
        self.known.remove(&(process, fd));
    }

    /// A process has made another, which has the same descriptors.
    pub fn inherited(&mut self, parent: u32, child: u32) {
        if self.active() && parent != child && self.known.len() < MOST {
            let list: Vec<(i32, String)> =
                self.known.iter().filter(|(key, _)| key.0 == parent).map(|(key, name)| (key.1, name.clone())).collect();
            self.known.extend(list.into_iter().map(|(fd, name)| ((child, fd), name)));
        }
    }

    /// A process has ended.
    pub fn ended(&mut self, process: u32) {
        self.known.retain(|key, _| key.0 != process);
    }

    /// The path or kind of what a descriptor stands for.
    pub fn find(&mut self, process: u32, fd: i32) -> Option<&str> {
        if fd < 0 {
            return None;
        }
        if !self.tracked || !self.known.contains_key(&(process, fd)) {
            self.known.remove(&(process, fd));
            let link = fs::read_link(format!("/proc/{process}/fd/{fd}")).ok()?;
            self.remember(process, fd, Some(link.to_string_lossy().into_owned()));
        }
        self.known.get(&(process, fd)).map(String::as_str)
    }

    /// The numbers of a device: `<char 1:3>`. The path is that of the process, which may have another root.
    fn device(process: u32, path: &str) -> Option<String> {
        let below = path.strip_prefix('/')?;
        let seen = Path::new("/proc").join(process.to_string()).join("root").join(below);
        let found = fs::metadata(seen).or_else(|_| fs::metadata(path)).ok()?;
        let kind = match found.file_type() {
            kind if kind.is_char_device() => "char",
            kind if kind.is_block_device() => "block",
            _ => return None,
        };
        let number = found.rdev();
        let major = number >> 8 & 0xfff | number >> 32 & 0xffff_f000;
        let minor = number & 0xff | number >> 12 & 0xffff_ff00;
        Some(format!("<{kind} {major}:{minor}>"))
    }

    fn socket(process: u32, link: &str) -> Option<String> {
        let inode = link.strip_prefix("socket:[")?.strip_suffix(']')?;
        for (file, name, wide) in
            [("tcp", "TCP", false), ("tcp6", "TCPv6", true), ("udp", "UDP", false), ("udp6", "UDPv6", true)]
        {
            let text = fs::read_to_string(format!("/proc/{process}/net/{file}")).unwrap_or_default();
            for line in text.lines().skip(1) {
                let fields: Vec<&str> = line.split_ascii_whitespace().collect();
                if let [_, local, remote, ..] = fields[..]
                    && fields.get(9) == Some(&inode)
                {
                    let (local, remote) = (endpoint(local, wide)?, endpoint(remote, wide)?);
                    let connected = !remote.ends_with(":0");
                    return Some(if connected {
                        format!("{name}:[{local}->{remote}]")
                    } else {
                        format!("{name}:[{local}]")
                    });
                }
            }
        }
        let text = fs::read_to_string(format!("/proc/{process}/net/unix")).unwrap_or_default();
        let line = text.lines().find(|line| line.split_ascii_whitespace().nth(6) == Some(inode))?;
        let kind = match line.split_ascii_whitespace().nth(4) {
            Some("0002") => "UNIX-DGRAM",
            Some("0005") => "UNIX-SEQPACKET",
            _ => "UNIX-STREAM",
        };
        match line.split_ascii_whitespace().nth(7) {
            Some(path) => Some(format!("{kind}:[{inode},\"{path}\"]")),
            None => Some(format!("{kind}:[{inode}]")),
        }
    }
}

/// An address as `/proc/net/tcp` writes it: words of 4 bytes in the order of the machine, port.
fn endpoint(text: &str, wide: bool) -> Option<String> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(8 * at..8 * at + 8)?, 16).ok().map(u32::to_ne_bytes);
    if !wide {
        return Some(format!("{}:{port}", Ipv4Addr::from(word(0)?)));
    }
    let mut bytes = [0; 16];
    for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
        part.copy_from_slice(&word(at)?);
    }
    Some(format!("[{}]:{port}", Ipv6Addr::from(bytes)))
}

impl Names for Descriptors {
    fn fd(&mut self, process: u32, fd: i32) -> Option<String> {
        if self.detail == Detail::None {
            return None;
        }
        let detail = self.detail;
        let link = self.find(process, fd)?.to_owned();
        if detail == Detail::Sockets
            && let Some(text) = Self::socket(process, &link)
        {
            return Some(text);
        }
        if detail == Detail::Sockets
            && let Some(text) = Self::device(process, &link)
        {
            return Some(link + &text);
        }
        Some(link)
    }

    fn cwd(&mut self, process: u32) -> Option<String> {
        if self.detail == Detail::None {
            return None;
        }
        fs::read_link(format!("/proc/{process}/cwd")).ok().map(|path| path.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        assert_eq!(endpoint("0100007F:1F90", false).as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(endpoint("00000000000000000000000001000000:0016", true).as_deref(), Some("[::1]:22"));
        assert_eq!(endpoint("zz:1", false), None);
    }

    #[test]
    fn descriptors_of_this_process() {
        let file = fs::File::open("/proc/version").unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        let mut names = Descriptors::new(Detail::Paths, false, true);
        assert_eq!(names.fd(std::process::id(), fd).as_deref(), Some("/proc/version"));
        names.inherited(std::process::id(), 4_000_000);
        drop(file);
        assert_eq!(names.fd(4_000_000, fd).as_deref(), Some("/proc/version"));
        names.ended(4_000_000);
        assert_eq!(names.fd(4_000_000, fd), None);
        let null = fs::File::open("/dev/null").unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&null);
        let mut names = Descriptors::new(Detail::Sockets, false, true);
        assert_eq!(names.fd(std::process::id(), fd).as_deref(), Some("/dev/null<char 1:3>"));
    }
}
