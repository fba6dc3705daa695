//! What a rule of nft compares, as alternatives of ours.

use serde_json::Value;

use super::super::conjunction::{icmp_of, other_protocols, parts};
use super::{Set, values};
use crate::rules::{Addresses, Direction, Family, Matches, Ports, words};

/// The sets and maps of a table by their names.
pub type Sets<'s> = dyn Fn(&str) -> Option<&'s Set> + 's;
/// Bits of a mark whose negation is written out.
const MOST_BITS: u32 = 8;

/// Protocols with ports by the names in payload expressions; `th` is any.
const TRANSPORTS: &[(&str, u8)] = &[("tcp", 6), ("udp", 17), ("sctp", 132), ("dccp", 33), ("udplite", 136)];

/// What a packet has to be like for `left OP right`: one of these.
pub fn condition(left: &Value, op: &str, right: &Value, sets: &Sets<'_>) -> Result<Vec<Matches>, String> {
    if let Some(parts) = left.get("concat").and_then(Value::as_array) {
        return concatenation(parts, op, right, sets);
    }
    let (left, mask) = match left.get("&").and_then(Value::as_array).map(Vec::as_slice) {
        Some([left, mask]) => (left, Some(mask)),
        _ => (left, None),
    };
    let negated = match op {
        "==" | "in" | "<" | ">" | "<=" | ">=" => false,
        "!=" | "!" => true,
        other => return Err(format!("there is no counterpart to comparing by `{other}`")),
    };
    let field = Field::of(left)?;
    let is_compared = matches!(op, "<" | ">" | "<=" | ">=");
    let takes_mask = matches!(field, Field::Flags | Field::Mark | Field::FragmentOffset);
    if mask.is_some() && !takes_mask || is_compared && !matches!(field, Field::Port { .. }) {
        return Err(format!("`{left}` can only be compared as a whole here"));
    }
    field.compare(op, negated, mask, right, sets)
}

/// `a . b { x . y, ... }`
fn concatenation(parts: &[Value], op: &str, right: &Value, sets: &Sets<'_>) -> Result<Vec<Matches>, String> {
    if op != "==" {
        return Err("joined fields can only be compared for being the same".to_owned());
    }
    let mut all = Vec::new();
    for element in elements(right, sets)? {
        let joined = element.get("concat").and_then(Value::as_array);
        let joined = joined.ok_or_else(|| format!("`{}` does not join values", values::shown(&element)))?;
        let mut alternatives = vec![Matches::default()];
        for (field, value) in parts.iter().zip(joined) {
            alternatives = both(&alternatives, &condition(field, "==", value, sets)?)?;
        }
        all.extend(alternatives);
    }
    Ok(all)
}

/// All conjunctions of what stands in two lists.
pub fn both(one: &[Matches], other: &[Matches]) -> Result<Vec<Matches>, String> {
    let mut all = Vec::new();
    for one in one {
        for other in other {
            all.extend(parts(one, other)?);
        }
    }
    Ok(all)
}

/// The elements of a set, named or not, or the value itself.
fn elements(right: &Value, sets: &Sets<'_>) -> Result<Vec<Value>, String> {
    match right.as_str().and_then(|text| text.strip_prefix('@')) {
        Some(name) => {
            let set = sets(name).ok_or_else(|| format!("set `{name}` is not listed"))?;
            Ok(set.elements.iter().map(|element| values::bare(element).clone()).collect())
        }
        None => Ok(values::each(right).into_iter().cloned().collect()),
    }
}

/// A field of a packet that has a counterpart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Address { family: Family, from: bool },
    Port { protocol: Option<u8>, from: bool },
    Flags,
    Icmp { family: Family, is_code: bool },
    Protocol { family: Option<Family> },
    Version,
    EtherType,
    FragmentOffset,
    FragmentHeader,
    Vlan,
    Interface(Direction),
    Mark,
    State,
}

impl Field {
    fn of(left: &Value) -> Result<Self, String> {
        let none = || Err(format!("there is no counterpart to `{left}`"));
        let key = |name: &str| left.get(name).and_then(|value| value.get("key")).and_then(Value::as_str);
        if let Some(key) = key("meta") {
            return Ok(match key {
                "iif" | "iifname" => Self::Interface(Direction::In),
                "oif" | "oifname" => Self::Interface(Direction::Out),
                "l4proto" => Self::Protocol { family: None },
                "nfproto" => Self::Version,
                "protocol" => Self::EtherType,
                "mark" => Self::Mark,
                _ => return none(),
            });
        }
        if key("ct") == Some("state") {
            return Ok(Self::State);
        }
        if let Some(header) = left.get("exthdr") {
            let is_fragment =
                header.get("name").and_then(Value::as_str) == Some("frag") && header.get("field").is_none();
            return if is_fragment { Ok(Self::FragmentHeader) } else { none() };
        }
        let payload = |name: &str| left.get("payload").and_then(|value| value.get(name)).and_then(Value::as_str);
        let (Some(protocol), Some(field)) = (payload("protocol"), payload("field")) else { return none() };
        let family = |four: &str| if protocol == four { Family::V4 } else { Family::V6 };
        Ok(match (protocol, field) {
            ("ip" | "ip6", "saddr" | "daddr") => Self::Address { family: family("ip"), from: field == "saddr" },
            ("th", "sport" | "dport") => Self::Port { protocol: None, from: field == "sport" },
            (name, "sport" | "dport") if words::number(TRANSPORTS, name).is_some() => {
                Self::Port { protocol: words::number(TRANSPORTS, name), from: field == "sport" }
            }
            ("tcp", "flags") => Self::Flags,
            ("icmp" | "icmpv6", "type" | "code") => Self::Icmp { family: family("icmp"), is_code: field == "code" },
            ("ip", "protocol") | ("ip6", "nexthdr") => Self::Protocol { family: Some(family("ip")) },
            ("ip", "frag-off") => Self::FragmentOffset,
            ("vlan", "id") => Self::Vlan,
            _ => return none(),
        })
    }

    fn compare(
        self,
        op: &str,
        negated: bool,
        mask: Option<&Value>,
        right: &Value,
        sets: &Sets<'_>,
    ) -> Result<Vec<Matches>, String> {
        let one = |matches: Matches| Ok(vec![matches]);
        let plain = |what: &str| if negated { Err(format!("{what} cannot be negated")) } else { Ok(()) };
        match self {
            Self::Address { family, from } => {
                let addresses = Some(addresses(family, negated, right, sets)?);
                let mut matches = Matches { family: Some(family), ..Matches::default() };
                *(if from { &mut matches.from } else { &mut matches.to }) = addresses;
                one(matches)
            }
            Self::Port { protocol, from } => {
                let ports = Some(ports(op, negated, right, sets)?);
                let mut matches = Matches { protocols: protocol.into_iter().collect(), ..Matches::default() };
                *(if from { &mut matches.from_port } else { &mut matches.to_port }) = ports;
                one(matches)
            }
            Self::Flags => flags(op, mask, right, sets),
            Self::Icmp { family, is_code } => {
                let protocol = icmp_of(family);
                let mut numbers = Vec::new();
                for value in elements(right, sets)? {
                    numbers.extend(values::icmp(protocol, &value, is_code)?);
                }
                if is_code && negated {
                    return Err("a code of ICMP cannot be negated".to_owned());
                }
                let all = (0..=u8::MAX).filter(|number| numbers.contains(number) != negated);
                let icmp = if is_code {
                    (0..=u8::MAX).flat_map(|kind| numbers.iter().map(move |code| (kind, Some(*code)))).collect()
                } else {
                    all.map(|kind| (kind, None)).collect()
                };
                one(Matches { family: Some(family), protocols: vec![protocol], icmp, ..Matches::default() })
            }
            Self::Protocol { family } => {
                let all = elements(right, sets)?;
                let all = all.iter().map(values::protocol).collect::<Result<Vec<_>, _>>()?;
                let protocols = if negated { other_protocols(&all) } else { all };
                one(Matches { family, protocols, ..Matches::default() })
            }
            Self::Version | Self::EtherType => {
                let mut families = Vec::new();
                for value in elements(right, sets)? {
                    families.push(match values::shown(&value).as_str() {
                        "ipv4" | "ip" => Family::V4,
                        "ipv6" | "ip6" => Family::V6,
                        other => return Err(format!("packets of `{other}` are not judged by rules")),
                    });
                }
                let wanted = Family::ALL.into_iter().filter(|family| families.contains(family) != negated);
                Ok(wanted.map(|family| Matches { family: Some(family), ..Matches::default() }).collect())
            }
            Self::FragmentOffset => {
                let bits = mask.map(values::word).transpose()?.unwrap_or(0xffff);
                if !matches!(bits, 0x1fff | 0x3fff) || values::word(right)? != 0 || op == "in" {
                    return Err("of `ip frag-off` only `& 0x1fff` and `& 0x3fff`, compared with 0, have a counterpart"
                        .to_owned());
                }
                one(Matches { family: Some(Family::V4), fragment: Some(negated), ..Matches::default() })
            }
            Self::FragmentHeader => {
                let exists = right.as_bool().unwrap_or(true) != negated;
                one(Matches { family: Some(Family::V6), fragment: Some(exists), ..Matches::default() })
            }
            Self::Vlan => {
                plain("a VLAN")?;
                let mut all = Vec::new();
                for value in elements(right, sets)? {
                    let vlan = u16::try_from(values::word(&value)?).ok().filter(|vlan| *vlan < 4096);
                    let vlan = Some(vlan.ok_or("a VLAN is a number below 4096")?);
                    all.push(Matches { vlan, ..Matches::default() });
                }
                Ok(all)
            }
            Self::Interface(direction) => {
                plain("an interface")?;
                let mut interfaces = Vec::new();
                for value in elements(right, sets)? {
                    let name = values::shown(&value);
                    if name.contains('*') {
                        return Err("patterns of names of interfaces cannot be said".to_owned());
                    }
                    interfaces.push(name);
                }
                one(Matches { direction: Some(direction), interfaces, ..Matches::default() })
            }
            Self::Mark => mark(negated, mask, right, sets),
            Self::State => {
                let mut states = 0;
                for value in elements(right, sets)? {
                    states |= values::bits(STATES, &value)?;
                }
                let states = words::ALL_STATES & if negated { !states } else { states };
                Ok(if states == 0 { Vec::new() } else { vec![Matches { states, ..Matches::default() }] })
            }
        }
    }
}

/// States by the names of nft. Here every connection is tracked.
const STATES: &[(&str, u8)] = &[("new", 1), ("established", 2), ("related", 4), ("invalid", 8), ("untracked", 0)];

fn addresses(family: Family, negated: bool, right: &Value, sets: &Sets<'_>) -> Result<Addresses, String> {
    if let Some(name) = right.as_str().and_then(|text| text.strip_prefix('@')) {
        let set = sets(name).ok_or_else(|| format!("set `{name}` is not listed"))?;
        if values::family_of(&set.kind) != Some(family) {
            return Err(format!("set `{name}` is of type `{}`", set.kind));
        }
        if set.stays {
            return Ok(Addresses { negated, sets: vec![set.name.clone()], prefixes: Vec::new() });
        }
    }
    let mut prefixes = Vec::new();
    for value in elements(right, sets)? {
        prefixes.extend(values::prefixes(&value)?);
    }
    if prefixes.iter().any(|prefix| prefix.family != family) {
        return Err("an address is of the other version of the internet protocol".to_owned());
    }
    Ok(Addresses { negated, sets: Vec::new(), prefixes })
}

fn ports(op: &str, negated: bool, right: &Value, sets: &Sets<'_>) -> Result<Ports, String> {
    let mut ranges = Vec::new();
    for value in elements(right, sets)? {
        let range = values::ports(&value)?;
        let (first, last) = (*range.start(), *range.end());
        ranges.push(match op {
            "<" => 0..=first.checked_sub(1).ok_or("no port is below 0")?,
            "<=" => 0..=last,
            ">" => last.checked_add(1).ok_or("no port is above 65535")?..=u16::MAX,
            ">=" => first..=u16::MAX,
            _ => range,
        });
    }
    Ok(Ports { negated, ranges })
}

/// Flags of TCP: exactly, under a mask, or any of them.
fn flags(op: &str, mask: Option<&Value>, right: &Value, sets: &Sets<'_>) -> Result<Vec<Matches>, String> {
    let read = |value: &Value| values::bits(words::FLAGS, value);
    let tcp = |flags| Matches { protocols: vec![words::TCP], flags: Some(flags), ..Matches::default() };
    let each = |bits: u8| (0..8).map(|bit| 1 << bit).filter(move |bit| bits & bit != 0);
    let mask = mask.map(read).transpose()?;
    let mut all = Vec::new();
    match (op, mask) {
        ("in", None) => all.extend(each(read(right)?).map(|bit| tcp((bit, bit)))),
        ("!", None) => {
            let bits = read(right)?;
            all.push(tcp((0, bits)));
        }
        ("==", mask) => {
            let mask = mask.unwrap_or(u8::MAX);
            for value in elements(right, sets)? {
                let bits = read(&value)?;
                // Bits beyond the mask are never there.
                if bits & !mask == 0 {
                    all.push(tcp((bits, mask)));
                }
            }
        }
        ("!=", mask) => {
            let (bits, mask) = (read(right)?, mask.unwrap_or(u8::MAX));
            // One of the bits is the other way; each way says that those before are not, so that no packet counts twice.
            let mut before = 0;
            for bit in each(mask) {
                all.push(tcp((bits & before | !bits & bit, before | bit)));
                before |= bit;
            }
        }
        _ => return Err(format!("flags of TCP compared by `{op}` under a mask have no counterpart")),
    }
    Ok(all)
}

fn mark(negated: bool, mask: Option<&Value>, right: &Value, sets: &Sets<'_>) -> Result<Vec<Matches>, String> {
    let mask = mask.map(values::word).transpose()?.unwrap_or(u32::MAX);
    let marked = |mark| Matches { mark: Some(mark), ..Matches::default() };
    let mut all = Vec::new();
    for value in elements(right, sets)? {
        let number = values::word(&value)?;
        match negated {
            false if number & !mask == 0 => all.push(marked((number, mask))),
            false => {}
            // "Not 0" is said often: one of the bits is there.
            true if mask.count_ones() > MOST_BITS && number != 0 => {
                return Err(format!("a mark under a mask of more than {MOST_BITS} bits cannot be negated"));
            }
            true => {
                let mut before = 0;
                for bit in (0..32).map(|bit| 1 << bit).filter(|bit| mask & bit != 0) {
                    all.push(marked((number & before | !number & bit, before | bit)));
                    before |= bit;
                }
            }
        }
    }
    Ok(all)
}
