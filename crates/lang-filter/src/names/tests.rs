//! Tables, sets, and agreement with the machine's own look-ups.

use super::tables::{self, Services};
use super::*;
use std::path::PathBuf;

/// A directory of its own for a test, removed when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("skep-names-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A leftover in the directory for temporary files harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const SERVICES: &str = "\
# comment
http\t\t80/tcp\t\twww   # WorldWideWeb HTTP
domain 53/tcp
domain 53/udp
ntp 123/udp
shell 514/tcp cmd syslog
syslog 514/udp
odd 1/tcp
odd 2/udp
m3ua 2905/sctp
broken
broken2 x/tcp
big 70000/tcp
http 81/tcp
";

#[test]
fn services() {
    let services = Services::parse(SERVICES);
    let find = |name: &str| {
        let Service { port, transports: Transports { tcp, udp, sctp } } = services.find(name)?;
        let words = [(tcp, "tcp "), (udp, "udp "), (sctp, "sctp ")].map(|(on, word)| if on { word } else { "" });
        Some(format!("{}{port}", words.concat()))
    };
    assert_eq!(find("http").as_deref(), Some("tcp 80"));
    assert_eq!(find("www").as_deref(), Some("tcp 80"));
    assert_eq!(find("domain").as_deref(), Some("tcp udp 53"));
    assert_eq!(find("ntp").as_deref(), Some("udp 123"));
    assert_eq!(find("syslog").as_deref(), Some("tcp udp 514"));
    assert_eq!(find("odd").as_deref(), Some("tcp 1"));
    assert_eq!(find("m3ua").as_deref(), Some("sctp 2905"));
    for unknown in ["HTTP", "broken", "broken2", "big", "#", "WorldWideWeb", ""] {
        assert_eq!(find(unknown), None, "{unknown}");
    }
}

#[test]
fn other_tables() {
    let protocols = tables::protocols("tcp 6 TCP # x\nesp 50 IPSEC-ESP\nbad 256\nworse\n");
    assert_eq!(
        (protocols.get("tcp"), protocols.get("TCP"), protocols.get("IPSEC-ESP")),
        (Some(&6), Some(&6), Some(&50))
    );
    assert_eq!(protocols.len(), 4);
    let networks = tables::networks("loopback 127.0.0.0\nshort 10 alias\nhex 0x0a.010\nbad 1.2.3.4.5\nbad2 300\n");
    assert_eq!(networks.get("loopback"), Some(&0x7f00_0000));
    assert_eq!(networks.get("alias"), Some(&10));
    assert_eq!(networks.get("hex"), Some(&0x0a08));
    assert_eq!(networks.len(), 4);
    let ethers =
        tables::ethers("0:1b:2:3:4:ff router # x\n00:11:22:33:44 short\n1:2:3:4:5:6:7 long\n1:2:3:4:5:100 big\n");
    assert_eq!(ethers.get("router"), Some(&[0, 0x1b, 2, 3, 4, 0xff]));
    assert_eq!(ethers.len(), 1);
}

#[test]
fn tables_are_read_when_needed() {
    let directory = Directory::new("lazy");
    let resolver = SystemResolver::with_tables_in(&directory.0);
    directory.write("services", SERVICES.as_bytes());
    directory.write("networks", b"office 192.168.1\n");
    directory.write("ethers", b"02:00:00:00:00:01 router\n");
    let http = Service { port: 80, transports: Transports { tcp: true, ..Transports::default() } };
    assert_eq!(resolver.service("http"), Ok(Some(http)));
    assert_eq!(resolver.network("office"), Ok(Some((0xc0_a801, u32::MAX))));
    assert_eq!(resolver.ether_host("router"), Ok(Some([2, 0, 0, 0, 0, 1])));
    // No table of protocols: the usual ones are known.
    assert_eq!(resolver.protocol("tcp"), Ok(Some(6)));
    assert_eq!(resolver.protocol("nosuch"), Ok(None));
    directory.write("protocols", b"mine 200\n");
    let resolver = SystemResolver::with_tables_in(&directory.0);
    assert_eq!((resolver.protocol("mine"), resolver.protocol("tcp")), (Ok(Some(200)), Ok(None)));
    let empty = SystemResolver::with_tables_in(directory.0.join("nowhere"));
    assert_eq!((empty.service("http"), empty.network("office")), (Ok(None), Ok(None)));
    let odd = SystemResolver::with_tables_in(directory.0.join("services"));
    assert_eq!(odd.ether_host("router"), Ok(None));
}

#[test]
fn tables_that_cannot_be_read() {
    let directory = Directory::new("unreadable");
    std::fs::create_dir_all(directory.0.join("services")).unwrap();
    let error = SystemResolver::with_tables_in(&directory.0).service("http").unwrap_err();
    assert!(error.subject.ends_with("/services"), "{error}");
    assert_eq!(error.problem, "this is a directory");
}

#[test]
fn hosts() {
    let resolver = SystemResolver::new();
    let loopback: IpAddr = [127, 0, 0, 1].into();
    assert!(resolver.host("localhost").unwrap().contains(&loopback));
    assert_eq!(resolver.host("127.0.0.1").unwrap(), [loopback]);
    // A machine without name servers says so, others that there is no such host.
    for bad in ["", "no such host", "a\0b", "invalid..name.", "\\"] {
        assert!(resolver.host(bad).is_ok_and(|list| list.is_empty()) || resolver.host(bad).is_err(), "{bad:?}");
    }
}

fn texts(entries: Vec<SetEntry>) -> Vec<String> {
    entries.into_iter().map(|entry| format!("{}:{}", entry.line, entry.text)).collect()
}

#[test]
fn sets() {
    let text = "\u{feff}# hosts\n10.0.0.1\r\n\n  example.org  # one\n2001:db8::/32\n80-90";
    let expected = ["2:10.0.0.1", "4:example.org", "5:2001:db8::/32", "6:80-90"];
    assert_eq!(texts(parse_set("f", text).unwrap()), expected);
    assert_eq!(parse_set("f", "").unwrap(), []);
    let error = parse_set("list.txt", "a\nb c\n").unwrap_err().to_string();
    assert_eq!(error, "list.txt:2: unexpected `c`; write one id a line; `#` begins a comment");
    assert!(parse_set("f", "a\x1b[2J\n").unwrap_err().to_string().starts_with("f:1: unexpected character"));
}

#[test]
fn set_files() {
    let directory = Directory::new("sets");
    let resolver = SystemResolver::new();
    let good = directory.write("good", b"10.0.0.1\n");
    assert_eq!(texts(resolver.set(&good).unwrap()), ["1:10.0.0.1"]);
    let binary = directory.write("binary", b"10.0.0.1\n\xff\xfe\n");
    assert!(resolver.set(&binary).unwrap_err().to_string().contains("binary:2: this is not UTF-8 text"));
    let missing = directory.0.join("missing");
    assert_eq!(resolver.set(missing.to_str().unwrap()).unwrap_err().problem, "there is no such file");
    assert_eq!(resolver.set(directory.0.to_str().unwrap()).unwrap_err().problem, "this is a directory");
    // Does not end by itself.
    assert_eq!(resolver.set("/dev/zero").unwrap_err().problem, "the file is larger than 256 MiB");
}

#[test]
fn fixed_names() {
    let tcp = Transports { tcp: true, ..Transports::default() };
    let resolver = FixedResolver::new()
        .with_host("a", &[[10, 0, 0, 1].into()])
        .with_network("n", 10, u32::MAX)
        .with_service("p", 80, tcp)
        .with_protocol("x", 200)
        .with_ether_host("a", [2; 6])
        .with_set("s", "one\ntwo\n");
    assert_eq!(resolver.host("a").unwrap(), [IpAddr::from([10, 0, 0, 1])]);
    assert!(resolver.host("b").unwrap().is_empty());
    assert_eq!(resolver.network("n"), Ok(Some((10, u32::MAX))));
    assert_eq!(resolver.service("p"), Ok(Some(Service { port: 80, transports: tcp })));
    assert_eq!(resolver.protocol("x"), Ok(Some(200)));
    assert_eq!(resolver.ether_host("a"), Ok(Some([2; 6])));
    assert_eq!(texts(resolver.set("s").unwrap()), ["1:one", "2:two"]);
    assert!(resolver.set("t").unwrap_err().to_string().starts_with("t: there is no such set"));
}
