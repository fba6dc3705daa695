//! One rule of iptables: its matches and its target (man pages iptables(8), iptables-extensions(8)).

use std::net::IpAddr;

use super::chains::{Entry, Target};
use super::conjunction::{icmp_of, other_protocols, parts};
use super::reply;
use crate::rules::{
    Addresses, Direction, Family, Limit, Matches, Ports, Prefix, Reply, Verdict, parse_rule, place, words,
};

/// Extensions whose options are read here, or say nothing about packets.
const KNOWN: &[&str] = &[
    "tcp",
    "udp",
    "sctp",
    "dccp",
    "udplite",
    "icmp",
    "icmp6",
    "icmpv6",
    "multiport",
    "conntrack",
    "state",
    "comment",
    "iprange",
    "mark",
    "limit",
    "hashlimit",
];
/// Flags that iptables means by ALL.
const ALL_FLAGS: u8 = 0x3f;
/// Bits of a mark whose negation is written out.
const MOST_BITS: u32 = 8;

/// Words of a line; quotes as iptables-save writes them.
///
/// # Errors
/// A sentence if a quote does not end.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut all, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(letters.next()),
            letter if letter.is_whitespace() && !quoted => all.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    if quoted {
        return Err("a quote does not end".to_owned());
    }
    all.extend(word);
    Ok(all)
}

/// A rule that is being read.
struct Rule {
    family: Family,
    /// One of these.
    alternatives: Vec<Matches>,
    limit: Option<Limit>,
    burst: Option<u32>,
    per_source: bool,
    target: Target,
    different: Option<String>,
}

/// Reads what stands behind `-A CHAIN`.
///
/// # Errors
/// A clause about what cannot be said.
pub fn entry(
    options: &[&str],
    line: usize,
    text: &str,
    family: Family,
    is_chain: &dyn Fn(&str) -> bool,
) -> Result<Entry, String> {
    let mut rule = Rule {
        family,
        alternatives: vec![Matches::default()],
        limit: None,
        burst: None,
        per_source: false,
        target: Target::Note(None),
        different: None,
    };
    let mut rest = options;
    while let Some((&option, behind)) = rest.split_first() {
        if matches!(option, "-j" | "--jump" | "-g" | "--goto") {
            let (&name, behind) = behind.split_first().ok_or("a target is missing")?;
            rule.aim(name, behind, matches!(option, "-g" | "--goto"), is_chain)?;
            break;
        }
        let (negated, option, behind) = match (option, behind) {
            ("!", [option, behind @ ..]) => (true, *option, behind),
            _ => (false, option, behind),
        };
        let taken = rule.option(negated, option, behind)?;
        rest = behind.get(taken..).ok_or_else(|| format!("`{option}` has no value"))?;
    }
    let burst = rule.burst;
    if let Some(limit) = &mut rule.limit {
        limit.burst = burst.unwrap_or(5);
        limit.per_source = rule.per_source;
        if !matches!(rule.target, Target::Verdict(Verdict::Drop | Verdict::Reject(_))) {
            return Err("a limit here can only drop or reject what is beyond it".to_owned());
        }
    }
    let Rule { alternatives, limit, target, different, .. } = rule;
    // What may stand together is for the language of the result to say.
    for matches in &alternatives {
        let rule = super::rule(Some(Verdict::Accept), matches.clone()).to_string();
        if let Err(errors) = parse_rule(&rule, &super::context()) {
            return Err(errors.into_iter().next().map_or(String::new(), |error| error.message));
        }
    }
    Ok(Entry { line, text: text.to_owned(), alternatives, limit, target, different })
}

impl Rule {
    /// Says something about all alternatives.
    fn set(&mut self, set: impl Fn(&mut Matches)) {
        self.alternatives.iter_mut().for_each(set);
    }

    /// Multiplies the alternatives.
    fn either<T>(&mut self, ways: &[T], set: impl Fn(&mut Matches, &T)) {
        let all = std::mem::take(&mut self.alternatives);
        for matches in all {
            self.alternatives.extend(ways.iter().map(|way| {
                let mut matches = matches.clone();
                set(&mut matches, way);
                matches
            }));
        }
    }

    /// Reads one option; gives the number of words that belong to it.
    fn option(&mut self, negated: bool, option: &str, behind: &[&str]) -> Result<usize, String> {
        let value = behind.first().copied().unwrap_or_default();
        let not = |what: &str| if negated { Err(format!("{what} cannot be negated")) } else { Ok(()) };
        match option {
            "-m" | "--match" if KNOWN.contains(&value) => {}
            "-m" | "--match" => return Err(format!("there is no counterpart to `-m {value}`")),
            "-p" | "--protocol" | "--proto" => self.protocol(negated, value)?,
            "-s" | "--source" | "--src" => {
                let addresses = list(value, negated, self.family)?;
                self.set(|matches| matches.from = addresses.clone());
            }
            "-d" | "--destination" | "--dst" => {
                let addresses = list(value, negated, self.family)?;
                self.set(|matches| matches.to = addresses.clone());
            }
            "--src-range" | "--dst-range" => {
                let prefixes = range(value, self.family)?;
                let addresses = Some(Addresses { negated, sets: Vec::new(), prefixes });
                let from = option == "--src-range";
                let side = |matches: &Matches| if from { matches.from.is_some() } else { matches.to.is_some() };
                if self.alternatives.iter().any(side) {
                    return Err("a range besides an address cannot be said".to_owned());
                }
                self.set(|matches| *(if from { &mut matches.from } else { &mut matches.to }) = addresses.clone());
            }
            "-i" | "--in-interface" | "-o" | "--out-interface" => {
                not("an interface")?;
                if value.ends_with('+') {
                    return Err("patterns of names of interfaces cannot be said".to_owned());
                }
                let out = matches!(option, "-o" | "--out-interface");
                let direction = Some(if out { Direction::Out } else { Direction::In });
                let named = Matches { direction, interfaces: vec![value.to_owned()], ..Matches::default() };
                for matches in &mut self.alternatives {
                    *matches = parts(matches, &named)?.ok_or("no packet is of two interfaces")?;
                }
            }
            "--sport" | "--source-port" | "--sports" | "--source-ports" => {
                let ports = ports(value, negated)?;
                self.set(|matches| matches.from_port = Some(ports.clone()));
            }
            "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
                let ports = ports(value, negated)?;
                self.set(|matches| matches.to_port = Some(ports.clone()));
            }
            "--ports" if negated => {
                let ports = ports(value, true)?;
                self.set(|matches| (matches.from_port, matches.to_port) = (Some(ports.clone()), Some(ports.clone())));
            }
            "--ports" => {
                let ports = ports(value, false)?;
                self.either(&[true, false], |matches, &from| {
                    *(if from { &mut matches.from_port } else { &mut matches.to_port }) = Some(ports.clone());
                });
            }
            "--syn" => {
                self.flags(negated, 0x17, 0x02);
                return Ok(0);
            }
            "--tcp-flags" => {
                let compared = behind.get(1).copied().unwrap_or_default();
                let (mask, compared) = (flags(value)?, flags(compared)?);
                self.flags(negated, mask, compared);
                return Ok(2);
            }
            "--ctstate" | "--state" => {
                let states = states(value)?;
                let states = if negated { words::ALL_STATES & !states } else { states };
                if states == 0 {
                    return Err("no packet is in such a state here".to_owned());
                }
                self.set(|matches| matches.states = states);
            }
            "--icmp-type" | "--icmpv6-type" => self.icmp(negated, value)?,
            "-f" | "--fragment" => {
                self.different = Some("the first fragment of a packet counts as a fragment, too".to_owned());
                self.set(|matches| matches.fragment = Some(!negated));
                return Ok(0);
            }
            "--mark" => self.mark(negated, value)?,
            "--comment"
            | "--hashlimit-name"
            | "--hashlimit-htable-expire"
            | "--hashlimit-htable-size"
            | "--hashlimit-htable-max"
            | "--hashlimit-htable-gcinterval" => {}
            "--hashlimit-above" => self.limit = Some(limit(value)?),
            "--hashlimit-burst" => self.burst = Some(value.parse().map_err(|_| format!("`{value}` is no number"))?),
            "--hashlimit-mode" if value == "srcip" => self.per_source = true,
            "--limit" | "--limit-burst" | "--hashlimit-upto" => {
                return Err("a rule here concerns what is beyond its limit: write `limit RATE then drop` in front of \
                            an `accept`"
                    .to_owned());
            }
            other => return Err(format!("there is no counterpart to `{other}`")),
        }
        Ok(1)
    }

    fn protocol(&mut self, negated: bool, value: &str) -> Result<(), String> {
        let number = match value {
            "all" | "0" => return Ok(()),
            "ipv6-icmp" | "icmpv6" => words::ICMP6,
            name => words::number(words::PROTOCOLS, name)
                .or_else(|| name.parse().ok())
                .ok_or_else(|| format!("the protocol `{name}` is not known; write its number"))?,
        };
        let numbers = if negated { other_protocols(&[number]) } else { vec![number] };
        self.set(|matches| matches.protocols.clone_from(&numbers));
        Ok(())
    }

    /// Without `negated` these values of these flags; with it, one of them has to be the other way.
    fn flags(&mut self, negated: bool, mask: u8, value: u8) {
        if negated {
            let bits: Vec<u8> = (0..8).map(|bit| 1 << bit).filter(|bit| mask & bit != 0).collect();
            self.either(&bits, |matches, &bit| matches.flags = Some((bit & !value, bit)));
        } else {
            self.set(|matches| matches.flags = Some((value & mask, mask)));
        }
    }

    fn icmp(&mut self, negated: bool, value: &str) -> Result<(), String> {
        if value == "any" || value == "255" {
            return Ok(());
        }
        let protocol = icmp_of(self.family);
        let wrong = || format!("`{value}` is no known type of ICMP; write its number");
        let (name, code) = value.split_once('/').map_or((value, None), |(name, code)| (name, Some(code)));
        let mut rows = words::ICMP_TYPES.iter().filter(|row| row.0 == protocol);
        let known = rows.find(|row| row.1 == name).map(|row| row.2);
        let number = known.or_else(|| name.parse().ok()).ok_or_else(wrong)?;
        let code = code.map(|code| code.parse::<u8>().map_err(|_| wrong())).transpose()?;
        let types: Vec<(u8, Option<u8>)> = match (negated, code) {
            (false, code) => vec![(number, code)],
            (true, None) => (0..=u8::MAX).filter(|&other| other != number).map(|other| (other, None)).collect(),
            (true, Some(_)) => return Err("a type of ICMP with a code cannot be negated".to_owned()),
        };
        self.set(|matches| matches.icmp.clone_from(&types));
        Ok(())
    }

    fn mark(&mut self, negated: bool, value: &str) -> Result<(), String> {
        let (number, mask) = value.split_once('/').unwrap_or((value, "0xffffffff"));
        let (Some(number), Some(mask)) = (hexadecimal(number), hexadecimal(mask)) else {
            return Err(format!("`{value}` is no mark"));
        };
        if !negated {
            self.set(|matches| matches.mark = Some((number & mask, mask)));
            return Ok(());
        }
        if mask.count_ones() > MOST_BITS {
            return Err(format!("a mark of more than {MOST_BITS} bits cannot be negated"));
        }
        let bits: Vec<u32> = (0..32).map(|bit| 1 << bit).filter(|bit| mask & bit != 0).collect();
        self.either(&bits, |matches, &bit| matches.mark = Some((bit & !number, bit)));
        Ok(())
    }

    /// What `--reject-with` says; iptables tells all that the port is unreachable if it is missing.
    fn reply(&mut self, name: Option<&str>) -> Result<Reply, String> {
        let name = name.unwrap_or("port-unreachable");
        if name == "tcp-reset" {
            if self.alternatives.iter().any(|matches| matches.protocols != [words::TCP]) {
                return Err("only connections of TCP are reset: `-p tcp` is missing".to_owned());
            }
            return Ok(Reply::Usual);
        }
        let prefix = if self.family == Family::V4 { "icmp-" } else { "icmp6-" };
        reply::message(self.family, name.strip_prefix(prefix).unwrap_or(name))
    }

    /// The target, and its options behind it.
    fn aim(&mut self, name: &str, behind: &[&str], goto: bool, is_chain: &dyn Fn(&str) -> bool) -> Result<(), String> {
        let value = |option: &str| behind.iter().position(|word| *word == option).and_then(|at| behind.get(at + 1));
        self.target = match name {
            name if is_chain(name) && goto => Target::Goto(name.to_owned()),
            name if is_chain(name) => Target::Jump(name.to_owned()),
            "ACCEPT" => Target::Verdict(Verdict::Accept),
            "DROP" => Target::Verdict(Verdict::Drop),
            "REJECT" => Target::Verdict(Verdict::Reject(self.reply(value("--reject-with").copied())?)),
            "RETURN" => Target::Return,
            "LOG" => Target::Note(Some(value("--log-prefix").copied().unwrap_or_default().to_owned())),
            "NFLOG" => Target::Note(Some(value("--nflog-prefix").copied().unwrap_or_default().to_owned())),
            other => return Err(format!("there is no counterpart to the target `{other}`")),
        };
        Ok(())
    }
}

fn hexadecimal(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Addresses with commas.
fn list(text: &str, negated: bool, family: Family) -> Result<Option<Addresses>, String> {
    let prefixes = text.split(',').map(|text| prefix(text, family)).collect::<Result<Vec<_>, _>>()?;
    // All addresses: nothing is said.
    if !negated && prefixes.iter().any(|prefix| prefix.length == 0) {
        return Ok(None);
    }
    Ok(Some(Addresses { negated, sets: Vec::new(), prefixes }))
}

/// A network, whose mask may be an address.
fn prefix(text: &str, family: Family) -> Result<Prefix, String> {
    let (address, mask) = text.split_once('/').map_or((text, None), |(address, mask)| (address, Some(mask)));
    let parsed: IpAddr = address.parse().map_err(|_| format!("`{address}` is no address"))?;
    let (found, bits) = place(parsed);
    if found != family {
        return Err(format!("`{address}` is of the other version of the internet protocol"));
    }
    let length = match mask {
        None => family.bits(),
        Some(mask) => match (mask.parse::<u8>(), mask.parse::<IpAddr>()) {
            (Ok(length), _) if length <= family.bits() => length,
            (_, Ok(mask)) if place(mask).0 == family => {
                let ones = place(mask).1.leading_ones();
                if place(mask).1.count_ones() != ones {
                    return Err(format!("the mask of `{text}` has gaps"));
                }
                u8::try_from(ones).unwrap_or(u8::MAX)
            }
            _ => return Err(format!("`{text}` is no network")),
        },
    };
    Ok(Prefix::new(family, bits, length))
}

/// The prefixes of the addresses from one to another.
fn range(text: &str, family: Family) -> Result<Vec<Prefix>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (prefix(first, family)?, prefix(last, family)?);
    range_prefixes(first, last).ok_or_else(|| format!("`{text}` is no range of addresses"))
}

/// The prefixes of the addresses from one to another; `None` if there are none.
pub fn range_prefixes(first: Prefix, last: Prefix) -> Option<Vec<Prefix>> {
    let family = first.family;
    let whole = family.bits();
    if last.family != family || first.length != whole || last.length != whole || first.address > last.address {
        return None;
    }
    // As numbers of the family's width.
    let shift = 128 - u32::from(whole);
    let (mut next, last) = (first.address >> shift, last.address >> shift);
    let mut prefixes = Vec::new();
    loop {
        // The largest block that begins here and does not go beyond the end.
        let mut free = next.trailing_zeros().min(whole.into());
        while free > 0 && (free >= 128 || last - next < (1 << free) - 1) {
            free -= 1;
        }
        let length = whole - u8::try_from(free).unwrap_or(0);
        prefixes.push(Prefix::new(family, next << shift, length));
        match next.checked_add(1 << free) {
            Some(behind) if behind <= last => next = behind,
            _ => return Some(prefixes),
        }
    }
}

/// Ports with commas; `80:90`, `:90`, `80:`.
fn ports(text: &str, negated: bool) -> Result<Ports, String> {
    let number = |text: &str, otherwise: u16| match text {
        "" => Some(otherwise),
        name => name.parse().ok().or_else(|| words::number(words::PORTS, name)),
    };
    let each = |text: &str| {
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        let (first, last) = (number(first, 0)?, number(last, u16::MAX)?);
        (first <= last && !text.is_empty()).then_some(first..=last)
    };
    let ranges = text.split(',').map(each).collect::<Option<Vec<_>>>();
    Ok(Ports { negated, ranges: ranges.ok_or_else(|| format!("`{text}` is no port or range of ports"))? })
}

/// TCP flags with commas.
fn flags(text: &str) -> Result<u8, String> {
    let each = |name: &str| match name {
        "ALL" => Some(ALL_FLAGS),
        "NONE" => Some(0),
        name => words::number(words::FLAGS, &name.to_ascii_lowercase()),
    };
    let all = text.split(',').map(each).try_fold(0, |all, bits| bits.map(|bits| all | bits));
    all.ok_or_else(|| format!("`{text}` has a word that is no TCP flag"))
}

/// States of connections with commas. Here every connection is tracked.
fn states(text: &str) -> Result<u8, String> {
    let each = |name: &str| match name {
        "UNTRACKED" => Some(0),
        name => words::number(words::STATES, &name.to_ascii_lowercase()),
    };
    let all = text.split(',').map(each).try_fold(0, |all, bits| bits.map(|bits| all | bits));
    all.ok_or_else(|| format!("`{text}` has a state that is not known here"))
}

/// `10/sec`, `10/minute`, ...
fn limit(text: &str) -> Result<Limit, String> {
    let wrong = || format!("`{text}` is no rate like `10/sec`");
    let (packets, unit) = text.split_once('/').unwrap_or((text, "second"));
    let packets = packets.parse().ok().filter(|&packets| packets > 0).ok_or_else(wrong)?;
    let units = [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86400)];
    let found = units.iter().find(|(name, _)| !unit.is_empty() && name.starts_with(unit));
    let (_, seconds) = found.ok_or_else(wrong)?;
    Ok(Limit { packets, seconds: *seconds, burst: 5, per_source: false })
}
