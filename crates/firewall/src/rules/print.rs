//! Rules as text, in one form.

use std::fmt::{self, Display, Formatter, Write as _};
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::{Action, Addresses, Direction, Family, Matches, Ports, Reply, Rule, RuleSet, Translation, Verdict, words};

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reject(Reply::Message(message)) => {
                write!(f, "reject with {}", words::name(words::MESSAGES, *message).unwrap_or_default())
            }
            verdict => f.write_str(words::name(words::VERDICTS, *verdict).unwrap_or_default()),
        }
    }
}

/// One element, or a list in braces.
pub(super) fn list<T>(f: &mut Formatter<'_>, all: &[T], each: impl Fn(&T) -> String) -> fmt::Result {
    match all {
        [one] => f.write_str(&each(one)),
        all => write!(f, "{{ {} }}", all.iter().map(each).collect::<Vec<_>>().join(", ")),
    }
}

/// A text in quotes.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for &byte in bytes {
        let _ = match byte {
            b'"' | b'\\' => write!(text, "\\{}", char::from(byte)),
            b' '..=b'~' => write!(text, "{}", char::from(byte)),
            _ => write!(text, "\\x{byte:02x}"),
        };
    }
    text + "\""
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(limit) = self.limit {
            let unit = words::name(words::UNITS, limit.seconds).unwrap_or("s");
            let mut text = format!("limit {}/{unit}", limit.packets);
            if limit.burst != limit.packets.min(5) {
                let _ = write!(text, " burst {}", limit.burst);
            }
            text.push_str(if limit.per_source { " per source then" } else { " then" });
            parts.push(text);
        }
        match &self.log {
            Some(text) if text.is_empty() => parts.push("log".to_owned()),
            Some(text) => {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\0', "\\0");
                parts.push(format!("log \"{}\"", text.replace('\r', "\\r").replace('\t', "\\t")));
            }
            None => {}
        }
        if let Some(mark) = self.mark {
            parts.push(format!("mark {mark:#x}"));
        }
        match self.verdict {
            Some(_) if let Some(translation) = self.translation => parts.push(translation.to_string()),
            Some(verdict) => {
                parts.push(verdict.to_string());
                parts.extend(self.cookies.then(|| "with syn-cookies".to_owned()));
            }
            None if self.log.is_none() && self.mark.is_none() => parts.push("count".to_owned()),
            None => {}
        }
        f.write_str(&parts.join(" "))
    }
}

impl Display for Translation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Destination { address: None, port } => write!(f, "redirect {}", port.unwrap_or_default()),
            Self::Destination { address: Some(address), port: None } => write!(f, "dnat {address}"),
            Self::Destination { address: Some(address), port: Some(port) } => {
                write!(f, "dnat {}", SocketAddr::new(address, port))
            }
            Self::Source(None) => f.write_str("masquerade"),
            Self::Source(Some(address)) => write!(f, "snat {address}"),
        }
    }
}

impl Display for Addresses {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sets = self.sets.iter().map(|name| format!("@{name}"));
        let all: Vec<String> = sets.chain(self.prefixes.iter().map(ToString::to_string)).collect();
        f.write_str(if self.negated { "!" } else { "" })?;
        list(f, &all, Clone::clone)
    }
}

fn range(range: &RangeInclusive<u16>) -> String {
    let (first, last) = (range.start(), range.end());
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

impl Display for Ports {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.negated { "port !" } else { "port " })?;
        list(f, &self.ranges, range)
    }
}

fn side(f: &mut Formatter<'_>, word: &str, addresses: Option<&Addresses>, ports: Option<&Ports>) -> fmt::Result {
    if addresses.is_none() && ports.is_none() {
        return Ok(());
    }
    write!(f, " {word}")?;
    if let Some(addresses) = addresses {
        write!(f, " {addresses}")?;
    }
    ports.map_or(Ok(()), |ports| write!(f, " {ports}"))
}

/// Flags of a byte, with commas.
fn flags(bits: u8) -> String {
    let names: Vec<&str> = words::FLAGS.iter().filter(|(_, bit)| bits & bit != 0).map(|(name, _)| *name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}

impl Display for Matches {
    /// Begins with a space for everything that is said.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.direction {
            Some(Direction::In) => f.write_str(" in")?,
            Some(Direction::Out) => f.write_str(" out")?,
            None => {}
        }
        if !self.interfaces.is_empty() {
            f.write_str(" on ")?;
            list(f, &self.interfaces, Clone::clone)?;
        }
        match self.family {
            Some(Family::V4) => f.write_str(" ipv4")?,
            Some(Family::V6) => f.write_str(" ipv6")?,
            None => {}
        }
        let known = |number: u8| words::name(words::PROTOCOLS, number);
        if self.protocols.iter().all(|&number| known(number).is_some()) {
            for &number in &self.protocols {
                write!(f, " {}", known(number).unwrap_or_default())?;
            }
        } else {
            f.write_str(" proto ")?;
            list(f, &self.protocols, |&number| known(number).map_or_else(|| number.to_string(), str::to_owned))?;
        }
        if !self.icmp.is_empty() {
            f.write_str(" type ")?;
            list(f, &self.icmp, |&(number, code)| {
                let rows = || words::ICMP_TYPES.iter().filter(|row| self.protocols == [row.0]);
                let name =
                    rows().find(|row| row.2 == number).map_or_else(|| number.to_string(), |row| row.1.to_owned());
                code.map_or_else(|| name.clone(), |code| format!("{name}/{code}"))
            })?;
        }
        if let Some((value, mask)) = self.flags {
            write!(f, " flags {}/{}", flags(value), flags(mask))?;
        }
        side(f, "from", self.from.as_ref(), self.from_port.as_ref())?;
        side(f, "to", self.to.as_ref(), self.to_port.as_ref())?;
        if self.states != 0 {
            let names = words::STATES.iter().filter(|(_, bit)| self.states & bit != 0);
            f.write_str(" state ")?;
            list(f, &names.collect::<Vec<_>>(), |(name, _)| (*name).to_owned())?;
        }
        match self.fragment {
            Some(true) => f.write_str(" fragment")?,
            Some(false) => f.write_str(" whole")?,
            None => {}
        }
        if let Some(vlan) = self.vlan {
            write!(f, " vlan {vlan}")?;
        }
        match self.mark {
            Some((value, u32::MAX)) => write!(f, " mark {value:#x}")?,
            Some((value, mask)) => write!(f, " mark {value:#x}/{mask:#x}")?,
            None => {}
        }
        if let Some(payload) = &self.payload {
            write!(f, " payload at {} == {}", payload.offset, quoted(&payload.bytes))?;
        }
        for (word, addresses) in [("from", &self.from_mac), ("to", &self.to_mac)] {
            if !addresses.is_empty() {
                write!(f, " {word} mac ")?;
                list(f, addresses, |address| address.map(|byte| format!("{byte:02x}")).join(":"))?;
            }
        }
        self.conditions.iter().try_for_each(|condition| write!(f, " {condition}"))
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // What stands first decides whether `mark` is done or asked for.
        let asks_first = self.action.verdict.is_none()
            && (self.action.log.is_some() || self.action.mark.is_some())
            && self.matches.to_string().starts_with(" mark");
        write!(f, "{}{}{}", self.action, if asks_first { " count" } else { "" }, self.matches)
    }
}

impl Display for RuleSet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, elements) in &self.sets {
            let names = self.names.get(name).into_iter().flatten().map(|name| format!("name \"{name}\""));
            let all: Vec<String> = names.chain(elements.iter().map(ToString::to_string)).collect();
            writeln!(f, "set {name} = {{ {} }}", all.join(", "))?;
        }
        for (name, interfaces) in &self.zones {
            writeln!(f, "zone {name} = {{ {} }}", interfaces.join(", "))?;
        }
        for ((name, _), entries) in words::TABLES.iter().zip(self.tables.0) {
            entries.map_or(Ok(()), |entries| writeln!(f, "tables {name} {entries}"))?;
        }
        writeln!(f, "default in {}\ndefault out {}", self.default_in, self.default_out)?;
        self.rules.iter().try_for_each(|rule| writeln!(f, "{rule}"))
    }
}
