//! What packets have to be like, behind what a rule does.

use std::ops::RangeInclusive;

use skep_diag::{Diagnostic, Span};

use super::super::{
    Addresses, Direction, Family, Matches, Payload, Ports, Prefix, Reply, Rule, Translation, Verdict, words,
};
use super::{Line, PAYLOAD_BYTES, Parsed, Reference, fail, numeral, unsupported};

/// The words that a rule's matches begin with, for messages.
const MATCHES: &str = "in, out, on, ipv4, ipv6, a protocol, proto, from, to, state, flags, type, fragment, whole, vlan, mark, payload, \
     match, between, uid, cgroup, service";

impl Line<'_> {
    pub(super) fn condition(&mut self, matches: &mut Matches) -> Parsed<()> {
        let (word, span) = self.word(&format!("what packets have to be like ({MATCHES})"))?;
        let twice = || fail(span, format!("`{word}` is said twice"));
        match word.as_str() {
            "in" | "out" => {
                let direction = if word == "in" { Direction::In } else { Direction::Out };
                if matches.direction.replace(direction).is_some() {
                    return fail(span, "the direction is said twice");
                }
            }
            "on" if matches.interfaces.is_empty() => matches.interfaces = self.list(Self::interface)?,
            "ipv4" | "ipv6" => {
                let family = if word == "ipv4" { Family::V4 } else { Family::V6 };
                if matches.family.replace(family).is_some() {
                    return fail(span, "the version is said twice");
                }
            }
            "proto" if matches.protocols.is_empty() => matches.protocols = self.list(Self::protocol)?,
            "from" if self.take_word("mac") => return self.macs(&mut matches.from_mac),
            "to" if self.take_word("mac") => return self.macs(&mut matches.to_mac),
            "match" | "between" | "uid" | "cgroup" | "service" => return self.special(&word, matches),
            "from" => return self.side(&mut matches.from, &mut matches.from_port, span),
            "to" => return self.side(&mut matches.to, &mut matches.to_port, span),
            "state" if matches.states == 0 => {
                for bit in self.list(|line| line.named("a state", words::STATES))? {
                    matches.states |= bit;
                }
            }
            "flags" if matches.flags.is_none() => matches.flags = Some(self.flags()?),
            "type" if matches.icmp.is_empty() => {
                let [protocol] = matches.protocols[..] else {
                    return fail(span, "`type` stands behind `icmp` or `icmp6`");
                };
                matches.icmp = self.list(|line| line.icmp(protocol))?;
            }
            "fragment" if matches.fragment.is_none() => matches.fragment = Some(true),
            "whole" if matches.fragment.is_none() => matches.fragment = Some(false),
            "vlan" if matches.vlan.is_none() => {
                matches.vlan = Some(self.number("a VLAN", 4095)? as u16);
            }
            "mark" if matches.mark.is_none() => matches.mark = Some(self.mark()?),
            "payload" if matches.payload.is_none() => self.payload(matches)?,
            "on" | "proto" | "state" | "flags" | "type" | "fragment" | "whole" | "vlan" | "mark" | "payload" => {
                return twice();
            }
            name => match words::number(words::PROTOCOLS, name) {
                Some(protocol) if !matches.protocols.contains(&protocol) => matches.protocols.push(protocol),
                Some(_) => return twice(),
                None => {
                    unsupported(name, span)?;
                    return Err(Box::new(
                        Diagnostic::error(span, format!("`{name}` is nothing that a rule can ask for"))
                            .with_help(format!("there are: {MATCHES}")),
                    ));
                }
            },
        }
        Ok(())
    }

    fn protocol(&mut self) -> Parsed<u8> {
        self.named("a protocol, by name or number", words::PROTOCOLS)
    }

    /// A name of a table, or a number.
    fn named<T: Copy + TryFrom<u32>>(&mut self, what: &str, table: &[(&str, T)]) -> Parsed<T> {
        let (word, span) = self.word(what)?;
        let number = || numeral(&word).and_then(|number| T::try_from(number).ok());
        match words::number(table, &word).or_else(number) {
            Some(number) => Ok(number),
            None => {
                let names: Vec<&str> = table.iter().map(|row| row.0).collect();
                let error = Diagnostic::error(span, format!("`{word}` is not {what}"));
                Err(Box::new(error.with_help(format!("names: {}", names.join(", ")))))
            }
        }
    }

    /// Addresses and ports behind `from` or `to`.
    fn side(&mut self, to: &mut Option<Addresses>, to_port: &mut Option<Ports>, place: Span) -> Parsed<()> {
        let before = self.at;
        if self.peek_word() != Some("port") {
            if to.is_some() {
                return fail(place, "the addresses of this side are said twice");
            }
            let negated = self.take_mark('!');
            if negated && self.peek_word() == Some("any") {
                return fail(self.span(), "nothing is not any address: the rule never matches");
            }
            if !self.take_word("any") {
                let mut addresses = Addresses { negated, ..Addresses::default() };
                let elements = self.list(|line| match line.peek_word().and_then(|word| word.strip_prefix('@')) {
                    Some(name) => {
                        let name = name.to_owned();
                        line.references.push(Reference { name: name.clone(), span: line.span() });
                        line.at += 1;
                        Ok(Err(name))
                    }
                    None => line.prefix().map(Ok),
                })?;
                for element in elements {
                    match element {
                        Ok(prefix) => addresses.prefixes.push(prefix),
                        Err(name) => addresses.sets.push(name),
                    }
                }
                *to = Some(addresses);
            }
        }
        if self.take_word("port") {
            if to_port.is_some() {
                return fail(place, "the ports of this side are said twice");
            }
            let negated = self.take_mark('!');
            *to_port = Some(Ports { negated, ranges: self.list(Self::ports)? });
        }
        if self.at == before { fail(place, "expected addresses or `port` behind this") } else { Ok(()) }
    }

    pub(super) fn prefix(&mut self) -> Parsed<Prefix> {
        let (word, span) = self.word("an address or a network")?;
        Prefix::parse(&word).or_else(|problem| fail(span, problem))
    }

    fn ports(&mut self) -> Parsed<RangeInclusive<u16>> {
        let (word, span) = self.word("a port, or a range of ports")?;
        let port = |text: &str| text.parse().ok().or_else(|| words::number(words::PORTS, text));
        if let Some(port) = port(&word) {
            return Ok(port..=port);
        }
        match word.split_once('-').and_then(|(first, last)| Some((port(first)?, port(last)?))) {
            Some((first, last)) if first <= last => Ok(first..=last),
            Some(_) => fail(span, "the range ends before it begins"),
            None => {
                fail(span, format!("`{word}` is no port: a number up to 65535, a range `1000-1999`, or a known name"))
            }
        }
    }

    /// `syn/syn,ack`, or `syn` alone for a flag that is set whatever the others are.
    fn flags(&mut self) -> Parsed<(u8, u8)> {
        let bit = |name: &str, span| match words::number(words::FLAGS, name) {
            Some(bit) => Ok(bit),
            None => {
                fail(span, format!("`{name}` is no TCP flag: fin, syn, rst, psh, ack, urg, ece, cwr; none is `none`"))
            }
        };
        let (mut value, mut mask, mut second) = (0, 0, false);
        loop {
            let (word, span) = self.word("TCP flags such as `syn/syn,ack`")?;
            for (number, part) in word.split('/').enumerate() {
                if number > 0 && std::mem::replace(&mut second, true) {
                    return fail(span, "one `/` separates the flags that are set from those that are looked at");
                }
                if part == "none" && !second {
                    continue;
                }
                let bit = bit(part, span)?;
                if second { mask |= bit } else { value |= bit }
            }
            if !self.take_mark(',') {
                break;
            }
        }
        let mask = if second { mask } else { value };
        if value & !mask != 0 || mask == 0 {
            return fail(self.pieces[self.at - 1].span, "flags that are set have to be among those that are looked at");
        }
        Ok((value, mask))
    }

    fn icmp(&mut self, protocol: u8) -> Parsed<(u8, Option<u8>)> {
        let (word, span) = self.word("an ICMP type")?;
        let (name, code) = word.split_once('/').map_or((word.as_str(), None), |(name, code)| (name, Some(code)));
        let named = words::ICMP_TYPES.iter().find(|row| row.0 == protocol && row.1 == name).map(|row| row.2);
        let Some(number) = named.or_else(|| name.parse().ok()) else {
            let names: Vec<&str> = words::ICMP_TYPES.iter().filter(|row| row.0 == protocol).map(|row| row.1).collect();
            let error = Diagnostic::error(span, format!("`{name}` is no type of this protocol"));
            return Err(Box::new(error.with_help(format!("names: {}", names.join(", ")))));
        };
        let code = code.map(|code| code.parse().or_else(|_| fail(span, "a code is a number up to 255"))).transpose()?;
        Ok((number, code))
    }

    fn mark(&mut self) -> Parsed<(u32, u32)> {
        let (word, span) = self.word("a mark")?;
        let (value, mask) = word.split_once('/').map_or((word.as_str(), None), |(value, mask)| (value, Some(mask)));
        let mask = mask.map_or(Some(u32::MAX), numeral);
        match numeral(value).zip(mask) {
            Some((value, mask)) if value & !mask == 0 => Ok((value, mask)),
            Some(_) => fail(span, "the mark has bits that its mask takes away: it never matches"),
            None => fail(span, "a mark is a number, with a mask or without: `0x10/0xff`"),
        }
    }

    /// `payload at tcp[0:4] == "GET "` or `payload at 0 == "GET "`
    fn payload(&mut self, matches: &mut Matches) -> Parsed<()> {
        if !self.take_word("at") {
            return fail(self.span(), "expected `at` and the distance from the start of the payload");
        }
        let (place, span) = self.word("a distance")?;
        let mut length = None;
        let offset = match place.split_once('[') {
            None => place.parse().ok(),
            Some((protocol, rest)) => {
                let Some(protocol) = words::number(words::PROTOCOLS, protocol).filter(|p| [6, 17].contains(p)) else {
                    return fail(span, "the payload of `tcp` or `udp` can be looked at");
                };
                if matches.protocols.iter().any(|&known| known != protocol) {
                    return fail(span, "the rule is about another protocol");
                }
                matches.protocols = vec![protocol];
                let inner = rest.strip_suffix(']').unwrap_or("");
                let (offset, bytes) = inner.split_once(':').map_or((inner, None), |(at, bytes)| (at, Some(bytes)));
                length = bytes.map(|bytes| bytes.parse().unwrap_or(usize::MAX));
                offset.parse().ok()
            }
        };
        let Some(offset) = offset.filter(|&offset: &u8| usize::from(offset) + 8 <= PAYLOAD_BYTES) else {
            return fail(span, format!("a place is `tcp[OFFSET:LENGTH]` or a distance up to {}", PAYLOAD_BYTES - 8));
        };
        if !(self.take_mark('=') && self.take_mark('=')) {
            return fail(self.span(), "expected `==` and a text");
        }
        let (text, span) = self.text("the bytes of the payload")?;
        if !(1..=8).contains(&text.len()) || length.is_some_and(|length| length != text.len()) {
            return fail(span, "the text has one to eight bytes, as many as the length says");
        }
        matches.payload = Some(Payload { offset, bytes: text.into_bytes() });
        Ok(())
    }
}

/// What only the whole rule shows.
pub(super) fn complete(rule: &Rule) -> Parsed<()> {
    let matches = &rule.matches;
    let all_in =
        |allowed: &[u8]| !matches.protocols.is_empty() && matches.protocols.iter().all(|p| allowed.contains(p));
    let has_ports = matches.from_port.is_some() || matches.to_port.is_some();
    if has_ports && !matches.protocols.is_empty() && !all_in(words::WITH_PORTS) {
        return fail(rule.span, "a protocol of this rule has no ports: only tcp, udp, sctp, dccp and udplite have");
    }
    if matches.flags.is_some() && !all_in(&[words::TCP]) {
        return fail(rule.span, "flags are those of TCP: say `tcp`");
    }
    if matches.payload.is_some() && !all_in(&[6, 17]) {
        return fail(rule.span, "only the payload of tcp and udp can be looked at: say which");
    }
    if matches.fragment == Some(true) && (has_ports || !matches.icmp.is_empty() || matches.flags.is_some()) {
        let error = Diagnostic::error(rule.span, "only first fragments have ports, types and flags");
        return Err(Box::new(error.with_help("match fragments by addresses and protocol")));
    }
    if matches.conditions.iter().any(super::super::special::Condition::is_about_sockets)
        && matches.direction != Some(Direction::Out)
    {
        let error = Diagnostic::error(rule.span, "only packets that leave have a socket whose owner is known");
        return Err(Box::new(error.with_help("write `out`")));
    }
    if let Some(Verdict::Reject(Reply::Message(message))) = rule.action.verdict
        && let Some(family) = message.only()
        && matches.family != Some(family)
    {
        let version = if family == Family::V4 { "ipv4" } else { "ipv6" };
        let error = Diagnostic::error(rule.span, format!("only ICMP of {version} has this message"));
        return Err(Box::new(error.with_help(format!("write `{version}`"))));
    }
    if rule.action.cookies && (matches.direction == Some(Direction::Out) || !all_in(&[words::TCP])) {
        let error = Diagnostic::error(rule.span, "cookies are given to what begins a connection of TCP with this host");
        return Err(Box::new(error.with_help("write `in tcp`")));
    }
    if let Some(translation) = rule.action.translation {
        let (wanted, word) = match translation {
            Translation::Destination { .. } => (Direction::In, "in"),
            Translation::Source(_) => (Direction::Out, "out"),
        };
        if matches.direction != Some(wanted) {
            let what = if wanted == Direction::In {
                "destination of packets that arrive"
            } else {
                "source of packets that leave"
            };
            let error = Diagnostic::error(rule.span, format!("only the {what} can be changed"));
            return Err(Box::new(error.with_help(format!("write `{word}`"))));
        }
        if let Some(address) = translation.address() {
            let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
            if matches.family != Some(family) {
                let error = Diagnostic::error(rule.span, "addresses of one version cannot take the place of others");
                let version = if family == Family::V4 { "ipv4" } else { "ipv6" };
                return Err(Box::new(error.with_help(format!("write `{version}`"))));
            }
        }
        if !all_in(&[words::TCP, 17, words::ICMP, words::ICMP6]) {
            let error =
                Diagnostic::error(rule.span, "only tcp, udp and echo requests of icmp and icmp6 are translated");
            return Err(Box::new(error.with_help("say which: `tcp udp`")));
        }
        if matches!(translation, Translation::Destination { port: Some(_), .. }) && !all_in(&[words::TCP, 17]) {
            return fail(rule.span, "only tcp and udp have ports");
        }
    }
    let families = [&matches.from, &matches.to].into_iter().flatten().filter(|addresses| !addresses.negated);
    let mut families = families.filter(|addresses| addresses.sets.is_empty());
    let wrong = families.any(|addresses| {
        matches.family.is_some_and(|family| addresses.prefixes.iter().all(|prefix| prefix.family != family))
    });
    if wrong {
        return fail(rule.span, "the addresses are of another version than the rule: it never matches");
    }
    Ok(())
}
