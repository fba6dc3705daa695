//! Lists of rules, and the firewalls that they are given to.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use skep_firewall::fuzz::Random;
use skep_firewall::live::force::{ApplyOptions, DIRECTORY, Firewall};
use skep_firewall::program::PANIC_DROP;
use skep_kernel::attach::XdpMode;

use super::Failed;

/// What a list is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rules that do not match, and behind them one that does.
    Last,
    /// As many addresses as rules; packets come from all of them.
    Each,
    /// Networks, ports and ranges that overlap, as in ClassBench; 65,536 flows, each from inside of a random rule.
    Mixed,
    /// The rules of [`Kind::Last`]; packets match none and pass.
    Pass,
}

/// A firewall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Nothing is looked at: the path alone.
    Floor,
    /// Ours, in traffic control.
    Tcx,
    /// Ours, in XDP of the driver.
    Xdp,
    /// One rule of nft for each of ours.
    NftRules,
    /// A set of addresses of nft.
    NftSet,
    /// The same with intervals.
    NftIntervals,
    /// iptables of xtables.
    IptablesLegacy,
    /// iptables that speaks to nftables.
    IptablesNft,
    /// No firewall at all.
    None,
}

use Method::{Floor, IptablesLegacy, IptablesNft, NftIntervals, NftRules, NftSet, Tcx, Xdp};

/// The tables that are printed: the first row is what the others are compared with.
pub const TABLES: &[(&str, Kind, &[Method])] = &[
    ("drop, last rule matches", Kind::Last, &[Tcx, Xdp, Floor, NftRules, IptablesLegacy, IptablesNft]),
    ("drop, each rule matches", Kind::Each, &[Tcx, Xdp, NftSet, NftIntervals]),
    ("drop, mixed rules", Kind::Mixed, &[Tcx, Xdp]),
    ("pass, no rule matches", Kind::Pass, &[Method::None, Tcx, NftRules]),
];

impl Kind {
    const ALL: [Self; 4] = [Self::Last, Self::Each, Self::Mixed, Self::Pass];

    pub fn word(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Each => "each",
            Self::Mixed => "mixed",
            Self::Pass => "pass",
        }
    }

    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Rules as ours, one a line, and the sources and ports of packets.
    pub fn list(self, size: usize) -> (Vec<String>, Vec<Flow>) {
        let mut random = Random(0x5eed);
        match self {
            Self::Last | Self::Pass => {
                let rule = |at: usize| {
                    let at = at as u32;
                    format!(
                        "drop in udp from 10.{}.{}.{} to port {}",
                        20 + at / 65536,
                        at / 256 % 256,
                        at % 256,
                        at % 60000 + 1
                    )
                };
                let mut rules: Vec<String> = (1..size).map(rule).collect();
                rules.push("drop in udp from 12.0.0.0/8".to_owned());
                let flows = if self == Self::Last {
                    flows(&mut random, 12 << 24, 0xff_ffff)
                } else {
                    flows(&mut random, 11 << 24, 0xff_ffff)
                };
                (rules, flows)
            }
            Self::Each => {
                let address = |at: u32| (12 << 24) + at.wrapping_mul(40503) % (1 << 24);
                let rules = (0..size as u32).map(|at| format!("drop in udp from {}", dotted(address(at)))).collect();
                let flow = |_| Flow { source: address(random.below(size as u64) as u32), from: 1000, to: 53 };
                (rules, (0..65536).map(flow).collect())
            }
            Self::Mixed => mixed(&mut random, size),
        }
    }
}

/// One packet of UDP to this host.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    pub source: u32,
    pub from: u16,
    pub to: u16,
}

fn flows(random: &mut Random, base: u32, mask: u32) -> Vec<Flow> {
    let flow = |_| Flow { source: base | random.word() as u32 & mask, from: 1000, to: 53 };
    (0..65536).map(flow).collect()
}

pub fn dotted(address: u32) -> String {
    std::net::Ipv4Addr::from(address).to_string()
}

/// Networks of all lengths that lie in one another, ports and ranges of ports.
fn mixed(random: &mut Random, size: usize) -> (Vec<String>, Vec<Flow>) {
    let lengths = [8, 12, 16, 16, 20, 22, 24, 24, 24, 24, 26, 28, 30, 32, 32, 32, 32, 32];
    let (mut rules, mut inner) = (Vec::new(), Vec::<(u32, u32, u16, u16)>::new());
    // Networks of all but those that packets of this host never come from.
    let somewhere = |random: &mut Random| (11 + random.below(110) as u32) << 24 | random.word() as u32 & 0xff_ffff;
    let bases: Vec<u32> = (0..size / 8 + 1).map(|_| somewhere(random)).collect();
    while rules.len() < size {
        let length = lengths[random.below(lengths.len() as u64) as usize];
        let mask = u32::MAX << (32 - length);
        let near = bases[random.below(bases.len() as u64) as usize];
        let near = if length < 20 { somewhere(random) } else { near };
        let source = (near ^ (random.word() as u32 & 0xff) << (32 - length).min(12)) & mask;
        let (first, last) = match random.below(10) {
            0..=2 => (0, u16::MAX),
            3 => (1024, u16::MAX),
            4 => {
                let first = random.below(60000) as u16;
                (first, first + random.below(5000) as u16)
            }
            _ => {
                let port = random.below(8000) as u16;
                (port, port)
            }
        };
        let ports = if (first, last) == (0, u16::MAX) { String::new() } else { format!(" to port {first}-{last}") };
        rules.push(format!("drop in udp from {}/{length}{ports}", dotted(source & mask)));
        inner.push((source & mask, !mask, first, last));
    }
    let flow = |_| {
        let (address, free, first, last) = inner[random.below(inner.len() as u64) as usize];
        let to = first + (random.below(u64::from(last - first) + 1) as u16);
        Flow { source: address | random.word() as u32 & free, from: random.word() as u16, to }
    };
    (rules, (0..65536).map(flow).collect())
}

impl Method {
    const ALL: [Self; 9] = [Floor, Tcx, Xdp, NftRules, NftSet, NftIntervals, IptablesLegacy, IptablesNft, Self::None];

    pub fn word(self) -> &'static str {
        match self {
            Floor => "floor",
            Tcx => "tcx",
            Xdp => "xdp",
            NftRules => "nft-rules",
            NftSet => "nft-set",
            NftIntervals => "nft-intervals",
            IptablesLegacy => "iptables-legacy",
            IptablesNft => "iptables-nft",
            Self::None => "none",
        }
    }

    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.word() == word)
    }

    pub fn name(self) -> &'static str {
        match self {
            Floor => "tcx that drops unseen",
            Tcx => "skep, tcx",
            Xdp => "skep, XDP native",
            NftRules => "nft, rules",
            NftSet => "nft, set of addresses",
            NftIntervals => "nft, set of intervals",
            IptablesLegacy => "iptables-legacy",
            IptablesNft => "iptables-nft",
            Self::None => "no firewall",
        }
    }

    /// More rules would take too long.
    pub fn most(self) -> usize {
        match self {
            Floor | Self::None => 1,
            IptablesLegacy | IptablesNft | NftRules => 10_000,
            _ => usize::MAX,
        }
    }

    /// Puts a list in force at `b0`.
    pub fn install(self, rules: &[String]) -> Result<(), Failed> {
        let sources = || rules.iter().map(|rule| rule.split(' ').nth(4).unwrap_or_default());
        match self {
            Self::None => Ok(()),
            Floor | Tcx | Xdp => {
                let rules = skep_firewall::parse(&rules.join("\n"), &|_| Err(String::new()))
                    .map_err(|e| e[0].message.clone())?;
                let xdp = (self == Xdp).then_some(XdpMode::Native);
                let options = ApplyOptions { interfaces: vec!["b0".to_owned()], xdp, ..ApplyOptions::default() };
                Firewall::apply(Path::new(DIRECTORY), &rules, &options)?;
                if self == Floor {
                    Firewall::open(Path::new(DIRECTORY))?.ok_or("nothing is in force")?.panic(PANIC_DROP)?;
                }
                Ok(())
            }
            NftRules => nft(&nft_rules(rules)),
            NftSet | NftIntervals => {
                let flags = if self == NftIntervals { "flags interval;" } else { "" };
                let elements: Vec<&str> = sources().collect();
                nft(&format!(
                    "table ip t {{ set s {{ type ipv4_addr; {flags} elements = {{ {} }} }}\n\
                     chain c {{ type filter hook prerouting priority -300; ip saddr @s drop\n}}\n}}\n",
                    elements.join(", ")
                ))
            }
            IptablesLegacy => feed("iptables-legacy-restore", &[], &iptables_rules(rules)),
            IptablesNft => feed("iptables-nft-restore", &[], &iptables_rules(rules)),
        }
    }
}

/// The source, and the port if there is one.
fn parts(rule: &str) -> (&str, Option<&str>) {
    let words: Vec<&str> = rule.split(' ').collect();
    (words.get(4).copied().unwrap_or_default(), words.get(7).copied())
}

pub fn nft_rules(rules: &[String]) -> String {
    let mut text = "table ip t { chain c { type filter hook input priority 0;\n".to_owned();
    for rule in rules {
        let (source, port) = parts(rule);
        let port = port.map_or_else(|| "meta l4proto udp".to_owned(), |port| format!("udp dport {port}"));
        let _ = writeln!(text, "ip saddr {source} {port} drop");
    }
    text + "}\n}\n"
}

pub fn iptables_rules(rules: &[String]) -> String {
    let mut text = "*filter\n:INPUT ACCEPT [0:0]\n".to_owned();
    for rule in rules {
        let (source, port) = parts(rule);
        let port = port.map_or_else(String::new, |port| format!(" --dport {}", port.replace('-', ":")));
        let _ = writeln!(text, "-A INPUT -s {source} -p udp{port} -j DROP");
    }
    text + "COMMIT\n"
}

pub fn nft(text: &str) -> Result<(), Failed> {
    feed("nft", &["-f", "-"], text)
}

/// Runs a program with a text as its input.
pub fn feed(program: &str, args: &[&str], text: &str) -> Result<(), Failed> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("`{program}`: {error}"))?;
    child.stdin.take().ok_or("no input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{program}`: {}", String::from_utf8_lossy(&output.stderr)).into())
}
