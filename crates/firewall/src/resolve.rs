//! Addresses of names: what `/etc/hosts` says, else what the servers of `/etc/resolv.conf` answer (RFC 1035, RFC 3596).
//!
//! Names are looked up as they are written, from the root: no domain of a search list is added. A server is asked over UDP, and
//! again over TCP if its answer was cut; answers that do not belong to the question are not looked at.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use skep_packet::dns::{Message, Name, RData, Section};

/// Most addresses of a name that are taken.
const MOST_ADDRESSES: usize = 256;
/// Most servers of `resolv.conf` that are asked, as in resolver(3).
const MOST_SERVERS: usize = 3;
/// Most aliases that lead from one name to another.
const MOST_ALIASES: usize = 16;
/// Types of records: addresses of both versions.
const ADDRESSES: [u16; 2] = [1, 28];
/// The type of aliases.
const CNAME: u16 = 5;
/// The code of an answer that there is no such name.
const NO_NAME: u16 = 3;

/// An address and the seconds for which it may be used.
pub type Found = (IpAddr, u32);

/// Where names are looked up.
#[derive(Debug, Clone)]
pub struct Resolver {
    hosts: BTreeMap<String, Vec<IpAddr>>,
    servers: Vec<SocketAddr>,
    timeout: Duration,
    attempts: usize,
}

/// Whether a text is a name of a host: labels of letters, digits, `-` and `_`, at most 253 bytes.
pub fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        let good = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        good && (1..=63).contains(&label.len())
    };
    text.len() <= 253 && text.trim_end_matches('.').split('.').all(label) && text.parse::<IpAddr>().is_err()
}

/// A name as names are compared.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

impl Resolver {
    /// Of this machine.
    pub fn of_host() -> Self {
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self::new(&text("/etc/hosts"), &text("/etc/resolv.conf"))
    }

    /// With the texts of `hosts` and `resolv.conf`.
    pub fn new(hosts: &str, configuration: &str) -> Self {
        let mut all: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for line in hosts.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
            words.for_each(|name| all.entry(plain(name)).or_default().push(address));
        }
        let (mut servers, mut timeout, mut attempts) = (Vec::new(), 5, 2);
        for line in configuration.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => servers.extend(words.next().and_then(server)),
                Some("options") => {
                    for word in words {
                        match word.split_once(':').map(|(name, value)| (name, value.parse::<u64>())) {
                            Some(("timeout", Ok(value))) => timeout = value.clamp(1, 30),
                            Some(("attempts", Ok(value))) => attempts = value.clamp(1, 5),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        servers.truncate(MOST_SERVERS);
        if servers.is_empty() {
            servers.push(SocketAddr::from(([127, 0, 0, 1], 53)));
        }
        let attempts = usize::try_from(attempts).unwrap_or(2);
        Self { hosts: all, servers, timeout: Duration::from_secs(timeout), attempts }
    }

    /// The addresses of a name.
    ///
    /// # Errors
    /// A sentence, if there are none or nobody answers.
    pub fn addresses(&self, name: &str) -> Result<Vec<Found>, String> {
        let name = plain(name);
        if let Some(known) = self.hosts.get(&name) {
            return Ok(known.iter().map(|&address| (address, u32::MAX)).collect());
        }
        let mut found = Vec::new();
        for kind in ADDRESSES {
            found.extend(self.ask(&name, kind)?);
        }
        found.sort_unstable();
        found.dedup_by_key(|(address, _)| *address);
        found.truncate(MOST_ADDRESSES);
        if found.is_empty() { Err(format!("`{name}` has no addresses")) } else { Ok(found) }
    }

    /// Asks one server after the other.
    fn ask(&self, name: &str, kind: u16) -> Result<Vec<Found>, String> {
        let mut problem = String::new();
        for _ in 0..self.attempts {
            for server in &self.servers {
                match self.ask_one(*server, name, kind) {
                    Ok(Answer::Addresses(found)) => return Ok(found),
                    Ok(Answer::NoName) => return Err(format!("there is no name `{name}`, says {}", server.ip())),
                    Ok(Answer::Failure(code)) => problem = format!("{} answers with error {code}", server.ip()),
                    Ok(Answer::Cut) => problem = format!("the answer of {} is cut", server.ip()),
                    Err(error) => problem = format!("{} does not answer: {error}", server.ip()),
                }
            }
        }
        Err(format!("`{name}`: {problem}"))
    }

    fn ask_one(&self, server: SocketAddr, name: &str, kind: u16) -> io::Result<Answer> {
        let mut id = [0; 2];
        File::open("/dev/urandom")?.read_exact(&mut id)?;
        let query = query(u16::from_be_bytes(id), name, kind);
        let own = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        // A fresh port for each question, which only its server may answer.
        let socket = UdpSocket::bind(own)?;
        socket.connect(server)?;
        socket.send(&query)?;
        let end = Instant::now() + self.timeout;
        let mut buffer = vec![0; 4096];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            socket.set_read_timeout(Some(left))?;
            let length = socket.recv(&mut buffer)?;
            match read(&buffer[..length], &query, name, kind) {
                Some(Answer::Cut) => return self.ask_stream(server, &query, name, kind),
                Some(answer) => return Ok(answer),
                None => {}
            }
        }
    }

    /// The same over TCP.
    fn ask_stream(&self, server: SocketAddr, query: &[u8], name: &str, kind: u16) -> io::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&server, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes()[..], query].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer)?;
        match read(&answer, query, name, kind) {
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is not to be understood")),
            Some(answer) => Ok(answer),
        }
    }
}

/// `192.0.2.53`, `fe80::1%eth0` (whose zone is left out: such servers are not asked).
fn server(word: &str) -> Option<SocketAddr> {
    word.parse().ok().map(|address: IpAddr| SocketAddr::new(address, 53))
}

/// What a server says.
enum Answer {
    Addresses(Vec<Found>),
    NoName,
    Failure(u16),
    /// There is more than the datagram holds.
    Cut,
}

/// A question, with the wish for recursion.
fn query(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend([kind, 1].iter().flat_map(|number| number.to_be_bytes()));
    bytes
}

/// Reads an answer; `None` if it is none to this question.
fn read(bytes: &[u8], query: &[u8], name: &str, kind: u16) -> Option<Answer> {
    let message = Message::parse(bytes).ok()?;
    let question = message.questions().next()?.ok()?;
    let same = bytes.get(..2) == query.get(..2) && text(&question.name) == name && question.rtype == kind;
    if !same || !message.is_response() {
        return None;
    }
    if message.is_truncated() {
        return Some(Answer::Cut);
    }
    match message.rcode() {
        0 => {}
        NO_NAME => return Some(Answer::NoName),
        code => return Some(Answer::Failure(code)),
    }
    // Names that the question leads to by aliases, which may stand in any order.
    let answers: Vec<_> =
        message.records().map_while(Result::ok).filter(|one| one.section == Section::Answer).collect();
    let (mut owner, mut ttl) = (name.to_owned(), u32::MAX);
    for _ in 0..MOST_ALIASES {
        let alias = answers.iter().find_map(|record| match record.data() {
            Ok(RData::Name(target)) if record.rtype == CNAME && text(&record.name) == owner => {
                Some((text(&target), record.ttl))
            }
            _ => None,
        });
        let Some((target, limit)) = alias else { break };
        (owner, ttl) = (target, ttl.min(limit));
    }
    let own = answers.iter().filter(|record| text(&record.name) == owner);
    let found = own.filter_map(|record| match record.data() {
        Ok(RData::A(address)) => Some((IpAddr::from(address), record.ttl.min(ttl))),
        Ok(RData::Aaaa(address)) => Some((IpAddr::from(address), record.ttl.min(ttl))),
        _ => None,
    });
    Some(Answer::Addresses(found.take(MOST_ADDRESSES).collect()))
}

fn text(name: &Name<'_>) -> String {
    let mut bytes = Vec::new();
    name.write_lower(&mut bytes);
    plain(&String::from_utf8_lossy(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_servers_are_read() {
        let hosts = "127.0.0.1 localhost # here\n::1 LocalHost ip6\nnonsense x\n";
        let resolver =
            Resolver::new(hosts, "# x\nnameserver 192.0.2.53\nnameserver fd00::1\noptions timeout:1 attempts:9\n");
        let found = resolver.addresses("localhost.").unwrap();
        assert_eq!(found, [("127.0.0.1".parse().unwrap(), u32::MAX), ("::1".parse().unwrap(), u32::MAX)]);
        assert_eq!(resolver.servers, ["192.0.2.53:53".parse().unwrap(), "[fd00::1]:53".parse().unwrap()]);
        assert_eq!((resolver.timeout, resolver.attempts), (Duration::from_secs(1), 5));
        let long = ["a"; 130].join(".");
        for (name, good) in
            [("cdn.example.org.", true), ("a..b", false), ("1.2.3.4", false), ("", false), (&long, false)]
        {
            assert_eq!(is_name(name), good, "{name}");
        }
    }

    #[test]
    fn answers_of_others_and_aliases() {
        let asked = query(7, "www.example.org", 1);
        let record = |name: u16, kind: u16, ttl: u8, data: &[u8]| {
            let mut bytes = (0xc000 | name).to_be_bytes().to_vec();
            bytes.extend(kind.to_be_bytes());
            bytes.extend([0, 1, 0, 0, 0, ttl, 0, data.len() as u8]);
            bytes.extend_from_slice(data);
            bytes
        };
        // The alias `cdn` of `example.org` stands behind what it leads to, and somebody else's address is there too.
        let mut answer = asked.clone();
        (answer[2], answer[3], answer[7]) = (0x81, 0x80, 3);
        answer.extend(record(16, 1, 9, &[192, 0, 2, 99]));
        answer.extend(record(12, 5, 30, &[3, b'C', b'D', b'N', 0xc0, 16]));
        let target = answer.len() as u16 - 6;
        answer.extend(record(target, 1, 60, &[192, 0, 2, 1]));
        let Some(Answer::Addresses(found)) = read(&answer, &asked, "www.example.org", 1) else { panic!() };
        assert_eq!(found, [("192.0.2.1".parse().unwrap(), 30)]);
        assert!(read(&answer, &query(8, "www.example.org", 1), "www.example.org", 1).is_none());
        assert!(read(&answer, &asked, "example.org", 1).is_none());
        answer[2] |= 2;
        assert!(matches!(read(&answer, &asked, "www.example.org", 1), Some(Answer::Cut)));
        skep_random::random_test(|u| {
            let mut bytes = asked.clone();
            bytes[2] |= 0x80;
            bytes.extend(u.arbitrary::<Vec<u8>>()?);
            let _ = read(&bytes, &asked, "www.example.org", 1);
            Ok(())
        })
        .budget_ms(200);
    }
}
