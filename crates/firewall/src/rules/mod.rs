//! The language of rules: what a rules file says, as data.
//!
//! What lives here: the model, the parser with its tables of words, the printer, and what can be said about a list of rules
//! without a packet. What does not: packets ([`facts`](crate::facts)) and tables for programs
//! ([`tables`](crate::tables)).

pub mod check;
mod layout;
mod lex;
pub mod parse;
mod prefix;
mod print;
pub mod special;
pub mod words;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use skep_diag::Span;

pub use layout::layout_of;
pub use parse::{parse, parse_rule};
pub use prefix::{Family, Prefix, complement, complement_ports, place};

/// Which way a packet goes, as the host sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// It arrives at an interface.
    #[default]
    In,
    /// It leaves through an interface.
    Out,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It goes on.
    Accept,
    /// It vanishes.
    Drop,
    /// It vanishes, and its sender is told.
    Reject(Reply),
}

/// What the sender of a rejected packet is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reply {
    /// A connection of TCP is reset, others get an ICMP error: port unreachable.
    #[default]
    Usual,
    /// All get this ICMP error, those of TCP too.
    Message(Message),
}

/// An ICMP error of the type "destination unreachable", by its code in each version of the protocol; `None` where there is
/// no such message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Message {
    /// The code in version 4 (RFC 792, RFC 1812).
    pub four: Option<u8>,
    /// The code in version 6 (RFC 4443).
    pub six: Option<u8>,
}

impl Message {
    /// Port unreachable.
    pub const USUAL: Self = words::MESSAGES[0].1;

    /// The message with this code.
    pub fn of(family: Family, code: u8) -> Option<Self> {
        words::MESSAGES.iter().map(|row| row.1).find(|message| message.code(family) == Some(code))
    }

    /// Its code in a version.
    pub const fn code(self, family: Family) -> Option<u8> {
        match family {
            Family::V4 => self.four,
            Family::V6 => self.six,
        }
    }

    /// The only version that has it, if one has not.
    pub const fn only(self) -> Option<Family> {
        match (self.four, self.six) {
            (Some(_), None) => Some(Family::V4),
            (None, Some(_)) => Some(Family::V6),
            _ => None,
        }
    }
}

/// At most so many packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Packets, at least 1.
    pub packets: u32,
    /// In so many seconds: 1, 60, 3600 or 86400.
    pub seconds: u32,
    /// Packets that may come at once, at least 1.
    pub burst: u32,
    /// Whether every source address has an allowance of its own.
    pub per_source: bool,
}

/// What a rule does with packets that it matches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Action {
    /// The end of the matter; without one, later rules decide and this one only counts, logs or marks.
    pub verdict: Option<Verdict>,
    /// Whether a record of the packet is sent to whoever watches, with this text.
    pub log: Option<String>,
    /// The mark that the packet gets.
    pub mark: Option<u32>,
    /// The action concerns only packets beyond this limit.
    pub limit: Option<Limit>,
    /// Whether packets that begin a connection of TCP are answered with a cookie, and nothing is kept of them.
    pub cookies: bool,
    /// How addresses of an accepted packet are changed, and with it those of its connection.
    pub translation: Option<Translation>,
}

/// A change of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Translation {
    /// Packets that arrive get another destination: an address, a port, or both.
    Destination {
        /// The address; none for the same one.
        address: Option<IpAddr>,
        /// The port; none for the same one.
        port: Option<u16>,
    },
    /// Packets that leave get this source; none for the address that the host itself would use.
    Source(Option<IpAddr>),
}

impl Translation {
    /// The new address, if it is said.
    pub const fn address(self) -> Option<IpAddr> {
        match self {
            Self::Destination { address, .. } | Self::Source(address) => address,
        }
    }
}

/// Addresses that a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// All others instead.
    pub negated: bool,
    /// Names of sets.
    pub sets: Vec<String>,
    /// Prefixes.
    pub prefixes: Vec<Prefix>,
}

/// Ports that a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ports {
    /// All others instead.
    pub negated: bool,
    /// The ranges.
    pub ranges: Vec<RangeInclusive<u16>>,
}

/// Bytes of the payload of TCP and UDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Distance from the first byte behind the header, at most 56.
    pub offset: u8,
    /// One to eight bytes.
    pub bytes: Vec<u8>,
}

/// What a packet has to be like. Everything that is said has to hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matches {
    /// Its direction.
    pub direction: Option<Direction>,
    /// One of these interfaces or zones.
    pub interfaces: Vec<String>,
    /// The version of the internet protocol.
    pub family: Option<Family>,
    /// One of these protocols.
    pub protocols: Vec<u8>,
    /// Where it comes from.
    pub from: Option<Addresses>,
    /// The port that it comes from.
    pub from_port: Option<Ports>,
    /// Where it goes.
    pub to: Option<Addresses>,
    /// The port that it goes to.
    pub to_port: Option<Ports>,
    /// States, as bits of [`words::STATES`]; 0 for any.
    pub states: u8,
    /// TCP flags: those that are set, of those that are looked at.
    pub flags: Option<(u8, u8)>,
    /// Whether it is a fragment.
    pub fragment: Option<bool>,
    /// One of these ICMP types, with a code or without.
    pub icmp: Vec<(u8, Option<u8>)>,
    /// The VLAN, 0 to 4095.
    pub vlan: Option<u16>,
    /// The mark: value and bits that count.
    pub mark: Option<(u32, u32)>,
    /// What its payload has.
    pub payload: Option<Payload>,
    /// The link addresses of which it comes from one.
    pub from_mac: Vec<[u8; 6]>,
    /// The link addresses of which it goes to one.
    pub to_mac: Vec<[u8; 6]>,
    /// What else has to hold, at most one of each kind.
    pub conditions: Vec<special::Condition>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it does.
    pub action: Action,
    /// With what.
    pub matches: Matches,
    /// Where it stands in its text.
    pub span: Span,
}

/// A whole rules file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSet {
    /// What happens to arriving packets that no rule decides about.
    pub default_in: Verdict,
    /// What happens to leaving packets that no rule decides about.
    pub default_out: Verdict,
    /// The named sets.
    pub sets: BTreeMap<String, Vec<Prefix>>,
    /// The names of hosts in sets: for a set its names. Their addresses are looked up when rules are applied.
    pub names: BTreeMap<String, Vec<String>>,
    /// The zones: names for lists of interfaces.
    pub zones: BTreeMap<String, Vec<String>>,
    /// The rules in their order.
    pub rules: Vec<Rule>,
    /// The conditions that programs for this list find out about: those of its rules, in any order.
    pub conditions: Vec<special::Condition>,
    /// How large the tables are.
    pub tables: TableSizes,
}

/// The sizes of tables that rules say: for each row of [`words::TABLES`] its entries, if they are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableSizes(pub [Option<u32>; words::TABLES.len()]);

impl TableSizes {
    /// The entries of a table with a name of [`words::TABLES`].
    pub fn get(&self, name: &str) -> u32 {
        let rows = words::TABLES.iter().zip(self.0);
        rows.into_iter().find(|(row, _)| row.0 == name).map_or(1, |(row, said)| said.unwrap_or(row.1))
    }
}

impl Default for RuleSet {
    fn default() -> Self {
        Self {
            default_in: Verdict::Accept,
            default_out: Verdict::Accept,
            sets: BTreeMap::new(),
            names: BTreeMap::new(),
            zones: BTreeMap::new(),
            rules: Vec::new(),
            conditions: Vec::new(),
            tables: TableSizes::default(),
        }
    }
}

impl RuleSet {
    /// All prefixes that a rule's addresses mean, sets included, complemented if they are negated. Those of `family` only.
    pub fn prefixes(&self, addresses: &Addresses, family: Family) -> Vec<Prefix> {
        let named = addresses.sets.iter().filter_map(|name| self.sets.get(name)).flatten();
        let all = named.chain(&addresses.prefixes).copied().filter(|prefix| prefix.family == family);
        let all: Vec<Prefix> = all.collect();
        if addresses.negated { complement(&all, family) } else { all }
    }

    /// The interfaces that a name stands for: those of a zone, or itself.
    pub fn interfaces<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let zone = self.zones.get(name);
        let own = zone.is_none().then_some(name);
        zone.into_iter().flatten().map(String::as_str).chain(own)
    }

    /// Whether some rule changes addresses.
    pub fn translates(&self) -> bool {
        self.rules.iter().any(|rule| rule.action.translation.is_some())
    }

    /// Whether some rule gives cookies.
    pub fn gives_cookies(&self) -> bool {
        self.rules.iter().any(|rule| rule.action.cookies)
    }

    /// Whether some rule looks at the state of connections.
    pub fn is_stateful(&self) -> bool {
        self.rules.iter().any(|rule| rule.matches.states != 0)
    }
}

impl Ports {
    /// The ranges that are meant, complemented if they are negated.
    pub fn meant(&self) -> Vec<RangeInclusive<u16>> {
        if self.negated { complement_ports(&self.ranges) } else { self.ranges.clone() }
    }
}
