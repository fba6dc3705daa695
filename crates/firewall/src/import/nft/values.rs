//! Values on the right of a match, and in sets.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::super::options::range_prefixes;
use crate::rules::{Family, Prefix, words};

/// Names of protocols that nft prints and that are not those of [`words::PROTOCOLS`].
const PROTOCOLS: &[(&str, u8)] = &[("ipv6-icmp", 58), ("icmpv6", 58), ("comp", 108), ("ipencap", 4), ("ipv6", 41)];
/// ICMP types by the names of nft: protocol, name, number.
const ICMP_TYPES: &[(u8, &str, u8)] = &[
    (1, "echo-reply", 0),
    (1, "destination-unreachable", 3),
    (1, "source-quench", 4),
    (1, "redirect", 5),
    (1, "echo-request", 8),
    (1, "router-advertisement", 9),
    (1, "router-solicitation", 10),
    (1, "time-exceeded", 11),
    (1, "parameter-problem", 12),
    (1, "timestamp-request", 13),
    (1, "timestamp-reply", 14),
    (1, "info-request", 15),
    (1, "info-reply", 16),
    (1, "address-mask-request", 17),
    (1, "address-mask-reply", 18),
    (58, "destination-unreachable", 1),
    (58, "packet-too-big", 2),
    (58, "time-exceeded", 3),
    (58, "parameter-problem", 4),
    (58, "echo-request", 128),
    (58, "echo-reply", 129),
    (58, "mld-listener-query", 130),
    (58, "mld-listener-report", 131),
    (58, "mld-listener-done", 132),
    (58, "mld-listener-reduction", 132),
    (58, "nd-router-solicit", 133),
    (58, "nd-router-advert", 134),
    (58, "nd-neighbor-solicit", 135),
    (58, "nd-neighbor-advert", 136),
    (58, "nd-redirect", 137),
    (58, "router-renumbering", 138),
    (58, "mld2-listener-report", 143),
];
/// ICMP codes by the names of nft: protocol, name, number.
const ICMP_CODES: &[(u8, &str, u8)] = &[
    (1, "net-unreachable", 0),
    (1, "host-unreachable", 1),
    (1, "prot-unreachable", 2),
    (1, "port-unreachable", 3),
    (1, "frag-needed", 4),
    (1, "net-prohibited", 9),
    (1, "host-prohibited", 10),
    (1, "admin-prohibited", 13),
    (58, "no-route", 0),
    (58, "admin-prohibited", 1),
    (58, "addr-unreachable", 3),
    (58, "port-unreachable", 4),
    (58, "policy-fail", 5),
    (58, "reject-route", 6),
];

/// A value without what else an element of a set has: `{"elem": {"val": ..., "timeout": ...}}`.
pub fn bare(value: &Value) -> &Value {
    value.get("elem").and_then(|element| element.get("val")).unwrap_or(value)
}

/// The values of an anonymous set, or the value itself.
pub fn each(value: &Value) -> Vec<&Value> {
    match value.get("set") {
        Some(Value::Array(all)) => all.iter().map(bare).collect(),
        Some(one) => vec![bare(one)],
        None => vec![bare(value)],
    }
}

/// A value as it is shown in a sentence.
pub fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The family of the addresses in sets of a type.
pub fn family_of(kind: &str) -> Option<Family> {
    match kind {
        "ipv4_addr" => Some(Family::V4),
        "ipv6_addr" => Some(Family::V6),
        _ => None,
    }
}

/// A name that sets can have here.
pub fn set_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    name.chars().map(plain).take(32).collect()
}

/// The prefixes of an address, a network or a range.
pub fn prefixes(value: &Value) -> Result<Vec<Prefix>, String> {
    let value = bare(value);
    let wrong = || format!("`{}` is no address", shown(value));
    if let Some(prefix) = value.get("prefix") {
        let (address, length) = (prefix.get("addr").and_then(Value::as_str), prefix.get("len").and_then(Value::as_u64));
        let text = format!("{}/{}", address.ok_or_else(wrong)?, length.ok_or_else(wrong)?);
        return Prefix::parse(&text).map(|prefix| vec![prefix]);
    }
    if let Some([first, last]) = value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        let end = |value: &Value| value.as_str().and_then(|text| Prefix::parse(text).ok()).ok_or_else(wrong);
        return range_prefixes(end(first)?, end(last)?).ok_or_else(wrong);
    }
    Prefix::parse(value.as_str().ok_or_else(wrong)?).map(|prefix| vec![prefix])
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let text = value.as_str()?;
        text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok())
    })
}

/// A port or a range of ports.
pub fn ports(value: &Value) -> Result<RangeInclusive<u16>, String> {
    let value = bare(value);
    let wrong = || format!("`{}` is no port", shown(value));
    let port = |value: &Value| {
        let named = || value.as_str().and_then(|name| words::number(words::PORTS, name));
        number(value).and_then(|number| u16::try_from(number).ok()).or_else(named)
    };
    match value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        Some([first, last]) => Ok(port(first).ok_or_else(wrong)?..=port(last).ok_or_else(wrong)?),
        _ => port(value).map(|port| port..=port).ok_or_else(wrong),
    }
}

/// A number of 32 bits.
pub fn word(value: &Value) -> Result<u32, String> {
    let found = number(bare(value)).and_then(|number| u32::try_from(number).ok());
    found.ok_or_else(|| format!("`{}` is no number of 32 bits", shown(value)))
}

/// A protocol.
pub fn protocol(value: &Value) -> Result<u8, String> {
    let value = bare(value);
    let named = |name: &str| words::number(PROTOCOLS, name).or_else(|| words::number(words::PROTOCOLS, name));
    let found = value.as_str().and_then(named).or_else(|| number(value).and_then(|number| u8::try_from(number).ok()));
    found.ok_or_else(|| format!("`{}` is no known protocol; `nft -jn list ruleset` prints its number", shown(value)))
}

/// A type or code of ICMP, or a range of them.
pub fn icmp(protocol: u8, value: &Value, is_code: bool) -> Result<RangeInclusive<u8>, String> {
    let value = bare(value);
    let table = if is_code { ICMP_CODES } else { ICMP_TYPES };
    let one = |value: &Value| {
        let named = |name: &str| table.iter().find(|row| (row.0, row.1) == (protocol, name)).map(|row| row.2);
        let found =
            value.as_str().and_then(named).or_else(|| number(value).and_then(|number| u8::try_from(number).ok()));
        found.ok_or_else(|| format!("`{}` is no known type or code of ICMP", shown(value)))
    };
    match value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        Some([first, last]) => Ok(one(first)?..=one(last)?),
        _ => one(value).map(|number| number..=number),
    }
}

/// Bits by their names: one, a list, or joined by `|`.
pub fn bits(table: &[(&str, u8)], value: &Value) -> Result<u8, String> {
    let value = bare(value);
    if let Some(all) = value.as_array().or_else(|| value.get("|").and_then(Value::as_array)) {
        return all.iter().try_fold(0, |bits, each| Ok(bits | self::bits(table, each)?));
    }
    let named = value.as_str().and_then(|name| words::number(table, name));
    let found = named.or_else(|| number(value).and_then(|number| u8::try_from(number).ok()));
    found.ok_or_else(|| format!("`{}` is not known here", shown(value)))
}
