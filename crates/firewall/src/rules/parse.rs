//! Reads rules files. Every faulty line gives its error; the others are read all the same.

use std::ops::RangeInclusive;

use skep_diag::{Diagnostic, Span};

use super::lex::{Piece, Token, lines};
use super::words;
use super::{Action, Addresses, Direction, Family, Limit, Matches, Payload, Ports, Prefix, Rule, RuleSet, Verdict};

/// Bytes of the payload that rules can look at.
pub const PAYLOAD_BYTES: usize = 64;
/// The longest text of a log.
const LONGEST_LOG: usize = 64;

/// Reads the files that sets are in: from the name to the text, or to what is wrong.
pub type ReadFile<'r> = &'r dyn Fn(&str) -> Result<String, String>;

/// Reads a whole rules file.
///
/// # Errors
/// Everything that is wrong, in the order of the text.
pub fn parse(text: &str, read: ReadFile<'_>) -> Result<RuleSet, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut rules = RuleSet::default();
    let mut references = Vec::new();
    for pieces in lines(text, &mut errors) {
        let mut line = Line { pieces: &pieces, at: 0, references: &mut references };
        if let Err(error) = line.statement(&mut rules, read) {
            errors.push(*error);
        }
    }
    for reference in references {
        errors.extend(reference.problem(&rules));
    }
    errors.sort_by_key(|error| error.span.start);
    if errors.is_empty() { Ok(rules) } else { Err(errors) }
}

/// Reads one rule, which may use the sets and zones of `context`.
///
/// # Errors
/// What is wrong.
pub fn parse_rule(text: &str, context: &RuleSet) -> Result<Rule, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut references = Vec::new();
    let all = lines(text, &mut errors);
    let mut read = None;
    for pieces in &all {
        let mut line = Line { pieces, at: 0, references: &mut references };
        match line.rule() {
            Ok(rule) if read.is_none() => read = Some(rule),
            Ok(rule) => errors.push(Diagnostic::error(rule.span, "only one rule is expected here")),
            Err(error) => errors.push(*error),
        }
    }
    for reference in references {
        errors.extend(reference.problem(context));
    }
    match read {
        Some(rule) if errors.is_empty() => Ok(rule),
        None if errors.is_empty() => Err(vec![Diagnostic::error(Span::new(0, 0), "there is no rule in this text")]),
        _ => Err(errors),
    }
}

/// A name that has to be defined somewhere.
struct Reference {
    name: String,
    span: Span,
}

impl Reference {
    fn problem(&self, rules: &RuleSet) -> Option<Diagnostic> {
        if rules.sets.contains_key(&self.name) {
            return None;
        }
        let known: Vec<&str> = rules.sets.keys().map(String::as_str).collect();
        let help = if known.is_empty() {
            format!("define it: `set {} = {{ 192.0.2.0/24 }}`", self.name)
        } else {
            format!("there are: {}", known.join(", "))
        };
        Some(Diagnostic::error(self.span, format!("there is no set `{}`", self.name)).with_help(help))
    }
}

type Parsed<T> = Result<T, Box<Diagnostic>>;

fn fail<T>(span: Span, message: impl Into<String>) -> Parsed<T> {
    Err(Box::new(Diagnostic::error(span, message)))
}

struct Line<'p> {
    pieces: &'p [Piece],
    at: usize,
    references: &'p mut Vec<Reference>,
}

/// The words that a rule's matches begin with, for messages.
const MATCHES: &str =
    "in, out, on, ipv4, ipv6, a protocol, proto, from, to, state, flags, type, fragment, vlan, mark, payload";

impl Line<'_> {
    fn peek(&self) -> Option<&Token> {
        self.pieces.get(self.at).map(|piece| &piece.token)
    }

    fn peek_word(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// Where the next piece is, or the end of the line.
    fn span(&self) -> Span {
        self.pieces.get(self.at).or(self.pieces.last()).map_or(Span::new(0, 0), |piece| piece.span)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek_word() == Some(word);
        self.at += usize::from(found);
        found
    }

    fn take_mark(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, what: &str) -> Parsed<(String, Span)> {
        let span = self.span();
        match self.peek() {
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.at += 1;
                Ok((word, span))
            }
            Some(_) => fail(span, format!("expected {what}")),
            None => fail(span, format!("expected {what} behind this")),
        }
    }

    fn text(&mut self, what: &str) -> Parsed<(String, Span)> {
        let span = self.span();
        match self.peek() {
            Some(Token::Text(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok((text, span))
            }
            _ => fail(span, format!("expected {what} in quotes")),
        }
    }

    /// One element, or several in braces, with commas or without.
    fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        if !self.take_mark('{') {
            return Ok(vec![element(self)?]);
        }
        let mut all = Vec::new();
        while !self.take_mark('}') {
            all.push(element(self)?);
            self.take_mark(',');
        }
        if all.is_empty() { fail(self.pieces[self.at - 1].span, "the list is empty") } else { Ok(all) }
    }

    fn end(&self) -> Parsed<()> {
        match self.pieces.get(self.at) {
            None => Ok(()),
            Some(piece) => fail(piece.span, "the statement has ended before this"),
        }
    }

    fn statement(&mut self, rules: &mut RuleSet, read: ReadFile<'_>) -> Parsed<()> {
        match self.peek_word() {
            Some("set") => self.set(rules, read),
            Some("zone") => self.zone(rules),
            Some("default") => self.default(rules),
            _ => {
                let rule = self.rule()?;
                rules.rules.push(rule);
                Ok(())
            }
        }
    }

    fn name(&mut self, what: &str) -> Parsed<(String, Span)> {
        let (name, span) = self.word(what)?;
        let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') && name.len() <= 32;
        if good { Ok((name, span)) } else { fail(span, "names have up to 32 letters, digits, `_` and `-`") }
    }

    fn set(&mut self, rules: &mut RuleSet, read: ReadFile<'_>) -> Parsed<()> {
        self.at += 1;
        let (name, span) = self.name("the name of a set")?;
        if rules.sets.contains_key(&name) {
            return fail(span, format!("the set `{name}` is defined already"));
        }
        if !self.take_mark('=') {
            return fail(self.span(), "expected `=` and the elements of the set");
        }
        let prefixes = if self.take_word("file") {
            let (file, span) = self.text("the name of a file")?;
            let text = read(&file).or_else(|problem| fail(span, problem))?;
            elements(&text).or_else(|problem| fail(span, format!("file `{file}`, {problem}")))?
        } else if self.take_mark('{') {
            // A set may become empty while it is in use, so it may begin empty.
            let mut all = Vec::new();
            while !self.take_mark('}') {
                all.push(self.prefix()?);
                self.take_mark(',');
            }
            all
        } else {
            return fail(self.span(), "expected `{` with addresses, or `file \"NAME\"`");
        };
        rules.sets.insert(name, prefixes);
        self.end()
    }

    fn zone(&mut self, rules: &mut RuleSet) -> Parsed<()> {
        self.at += 1;
        let (name, span) = self.name("the name of a zone")?;
        if rules.zones.contains_key(&name) {
            return fail(span, format!("the zone `{name}` is defined already"));
        }
        if !self.take_mark('=') {
            return fail(self.span(), "expected `=` and the interfaces of the zone");
        }
        let interfaces = self.list(Self::interface)?;
        rules.zones.insert(name, interfaces);
        self.end()
    }

    fn interface(&mut self) -> Parsed<String> {
        let (name, span) = self.word("the name of an interface")?;
        if name.len() > 32 || name.contains('/') {
            return fail(span, "names of interfaces have up to 15 characters and no `/`");
        }
        Ok(name)
    }

    fn default(&mut self, rules: &mut RuleSet) -> Parsed<()> {
        self.at += 1;
        let (direction, span) = self.word("`in` or `out`")?;
        let (verdict, verdict_span) = self.word("`accept` or `drop`")?;
        let verdict = match verdict.as_str() {
            "accept" => Verdict::Accept,
            "drop" => Verdict::Drop,
            _ => return fail(verdict_span, "a default is `accept` or `drop`"),
        };
        match direction.as_str() {
            "in" => rules.default_in = verdict,
            "out" => rules.default_out = verdict,
            _ => return fail(span, "a default is for `in` or `out`"),
        }
        self.end()
    }

    fn rule(&mut self) -> Parsed<Rule> {
        let first = self.span();
        let action = self.action()?;
        let mut matches = Matches::default();
        while self.peek().is_some() {
            self.condition(&mut matches)?;
        }
        let last = self.pieces.last().map_or(first, |piece| piece.span);
        let rule = Rule { action, matches, span: first.to(last) };
        complete(&rule)?;
        Ok(rule)
    }

    fn action(&mut self) -> Parsed<Action> {
        let mut action = Action::default();
        let mut any = false;
        loop {
            let span = self.span();
            match self.peek_word() {
                Some("limit") => {
                    self.at += 1;
                    action.limit = Some(self.limit()?);
                    continue;
                }
                Some("log") => {
                    self.at += 1;
                    let (text, span) = match self.peek() {
                        Some(Token::Text(_)) => self.text("a text")?,
                        _ => (String::new(), span),
                    };
                    if text.len() > LONGEST_LOG {
                        return fail(span, format!("the text of a log has at most {LONGEST_LOG} bytes"));
                    }
                    action.log = Some(text);
                }
                Some("mark") => {
                    self.at += 1;
                    action.mark = Some(self.number("a mark", u32::MAX)?);
                }
                Some("count") => {
                    self.at += 1;
                    return Ok(action);
                }
                Some("accept") => {
                    self.at += 1;
                    action.verdict = Some(Verdict::Accept);
                    return Ok(action);
                }
                Some("drop") => {
                    self.at += 1;
                    action.verdict = Some(Verdict::Drop);
                    return Ok(action);
                }
                Some("reject") => {
                    return Err(Box::new(
                        Diagnostic::error(span, "`reject` is not supported: no answers are sent")
                            .with_help("`drop` lets the packet vanish"),
                    ));
                }
                _ if any => return Ok(action),
                _ => {
                    return Err(Box::new(
                        Diagnostic::error(span, "a rule begins with what it does")
                            .with_help("accept, drop, count, log, mark, limit; or a statement: set, zone, default"),
                    ));
                }
            }
            any = true;
        }
    }

    fn number(&mut self, what: &str, most: u32) -> Parsed<u32> {
        let (word, span) = self.word(what)?;
        match numeral(&word).filter(|&number| number <= most) {
            Some(number) => Ok(number),
            None => fail(span, format!("expected {what}, a number up to {most}")),
        }
    }

    /// `100/s burst 20 per source then`
    fn limit(&mut self) -> Parsed<Limit> {
        let (rate, span) = self.word("a rate such as `100/s`")?;
        let parsed = rate.split_once('/').and_then(|(packets, unit)| {
            let packets = packets.parse().ok().filter(|&packets: &u32| packets > 0)?;
            Some((packets, words::number(words::UNITS, unit)?))
        });
        let Some((packets, seconds)) = parsed else {
            return fail(span, "a rate is a number and a unit of time: `100/s`, `5/min`, `20/hour`, `1000/day`");
        };
        let mut limit = Limit { packets, seconds, burst: packets.min(5), per_source: false };
        if self.take_word("burst") {
            let span = self.span();
            limit.burst = self.number("a number of packets", 1_000_000)?;
            if limit.burst == 0 {
                return fail(span, "a burst has at least one packet");
            }
        }
        if self.take_word("per") {
            let (word, span) = self.word("`source`")?;
            if word != "source" {
                return fail(span, "limits are kept per `source`, or together");
            }
            limit.per_source = true;
        }
        if !self.take_word("then") {
            return fail(self.span(), "expected `then` and what happens to packets beyond the limit");
        }
        Ok(limit)
    }

    fn condition(&mut self, matches: &mut Matches) -> Parsed<()> {
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

    fn prefix(&mut self) -> Parsed<Prefix> {
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
fn complete(rule: &Rule) -> Parsed<()> {
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

/// A number in decimal or with `0x`.
fn numeral(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The elements of a file of a set: one or more a line, `#` begins a comment.
///
/// # Errors
/// The first line that is wrong.
pub fn elements(text: &str) -> Result<Vec<Prefix>, String> {
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split_once('#').map_or(line, |(line, _)| line);
        for word in line.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()) {
            all.push(Prefix::parse(word).map_err(|problem| format!("line {number}: {problem}"))?);
        }
    }
    Ok(all)
}
