//! What two rules ask for, together.

use std::ops::RangeInclusive;

use crate::rules::{Addresses, Direction, Family, Matches, Ports, Prefix, complement, special::Condition, words};

/// What a rule asks for, said of a forwarded packet: the interface it arrives at and the one it leaves through, which rules
/// read as `in on` and `out on`.
pub fn forwarded(wanted: &Matches) -> Matches {
    let mut wanted = wanted.clone();
    if wanted.direction == Some(Direction::Out) {
        let interfaces = std::mem::take(&mut wanted.interfaces);
        wanted.conditions.extend((!interfaces.is_empty()).then_some(Condition::Leaves(interfaces)));
    }
    wanted.direction = Some(Direction::Forward);
    wanted
}

/// What two parts of one rule ask for; only forwarded packets have two interfaces.
///
/// # Errors
/// As [`conjunction`].
pub fn parts(one: &Matches, other: &Matches) -> Result<Option<Matches>, String> {
    match (one.direction, other.direction) {
        (Some(a), Some(b)) if a != b => conjunction(&forwarded(one), &forwarded(other)),
        _ => conjunction(one, other),
    }
}

/// What a packet has to be like to be as both say; `None` if no packet is.
///
/// # Errors
/// A clause about what one rule cannot ask for.
pub fn conjunction(one: &Matches, other: &Matches) -> Result<Option<Matches>, String> {
    let mut both = one.clone();
    macro_rules! equal {
        ($field:ident) => {
            match (&one.$field, &other.$field) {
                (Some(a), Some(b)) if a != b => return Ok(None),
                (None, Some(b)) => both.$field = Some(b.clone()),
                _ => {}
            }
        };
    }
    macro_rules! common {
        ($field:ident, $empty:expr) => {
            match (one.$field.is_empty(), other.$field.is_empty()) {
                (true, _) => both.$field = other.$field.clone(),
                (_, true) => {}
                _ => {
                    both.$field.retain(|element| other.$field.contains(element));
                    if both.$field.is_empty() {
                        return $empty;
                    }
                }
            }
        };
    }
    equal!(direction);
    equal!(family);
    equal!(fragment);
    equal!(vlan);
    common!(interfaces, Ok(None));
    common!(protocols, Ok(None));
    if !one.icmp.is_empty() && !other.icmp.is_empty() {
        both.icmp = icmp(&one.icmp, &other.icmp);
        if both.icmp.is_empty() {
            return Ok(None);
        }
    } else if one.icmp.is_empty() {
        both.icmp.clone_from(&other.icmp);
    }
    both.states = match (one.states, other.states) {
        (0, any) | (any, 0) => any,
        (a, b) if a & b == 0 => return Ok(None),
        (a, b) => a & b,
    };
    let Ok(flags) = bits(one.flags.map(wide), other.flags.map(wide)) else { return Ok(None) };
    both.flags = flags.map(|(value, mask)| (value as u8, mask as u8));
    let Ok(mark) = bits(one.mark, other.mark) else { return Ok(None) };
    both.mark = mark;
    let family = both.family;
    for (a, b, result) in [(&one.from, &other.from, &mut both.from), (&one.to, &other.to, &mut both.to)] {
        let Some(common) = addresses(a.as_ref(), b.as_ref(), family)? else { return Ok(None) };
        *result = common;
    }
    for (a, b, result) in
        [(&one.from_port, &other.from_port, &mut both.from_port), (&one.to_port, &other.to_port, &mut both.to_port)]
    {
        let Some(common) = ports(a.as_ref(), b.as_ref()) else { return Ok(None) };
        *result = common;
    }
    for condition in &other.conditions {
        let Condition::Leaves(others) = condition else { continue };
        let own = both.conditions.iter_mut().find_map(|own| match own {
            Condition::Leaves(own) => Some(own),
            _ => None,
        });
        let Some(own) = own else {
            both.conditions.push(condition.clone());
            continue;
        };
        own.retain(|interface| others.contains(interface));
        if own.is_empty() {
            return Ok(None);
        }
    }
    match (&one.payload, &other.payload) {
        (Some(a), Some(b)) if a != b => return Err("two looks at the payload in one rule cannot be said".to_owned()),
        (None, Some(b)) => both.payload = Some(b.clone()),
        _ => {}
    }
    Ok(Some(both))
}

fn wide((value, mask): (u8, u8)) -> (u32, u32) {
    (value.into(), mask.into())
}

/// Values under masks; an error if no number is as both say.
fn bits(one: Option<(u32, u32)>, other: Option<(u32, u32)>) -> Result<Option<(u32, u32)>, ()> {
    match (one, other) {
        (Some((a, of_a)), Some((b, of_b))) if (a ^ b) & of_a & of_b != 0 => Err(()),
        (Some((a, of_a)), Some((b, of_b))) => Ok(Some((a | b, of_a | of_b))),
        (one, other) => Ok(one.or(other)),
    }
}

/// ICMP types that are in both lists; a type without a code has all codes.
fn icmp(one: &[(u8, Option<u8>)], other: &[(u8, Option<u8>)]) -> Vec<(u8, Option<u8>)> {
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (a, b)));
    pairs
        .filter(|(a, b)| a.0 == b.0 && (a.1.is_none() || b.1.is_none() || a.1 == b.1))
        .map(|(a, b)| (a.0, a.1.or(b.1)))
        .collect()
}

/// Ports that both mean; the outer `None` if there are none.
fn ports(one: Option<&Ports>, other: Option<&Ports>) -> Option<Option<Ports>> {
    let (Some(a), Some(b)) = (one, other) else { return Some(one.or(other).cloned()) };
    if a == b {
        return Some(Some(a.clone()));
    }
    let (a, b) = (a.meant(), b.meant());
    let overlap = |a: &RangeInclusive<u16>, b: &RangeInclusive<u16>| *a.start().max(b.start())..=*a.end().min(b.end());
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| overlap(a, b)));
    let ranges: Vec<_> = pairs.filter(|range| !range.is_empty()).collect();
    (!ranges.is_empty()).then_some(Some(Ports { negated: false, ranges }))
}

/// Addresses that both mean; the outer `None` if there are none.
fn addresses(
    one: Option<&Addresses>,
    other: Option<&Addresses>,
    family: Option<Family>,
) -> Result<Option<Option<Addresses>>, String> {
    let (Some(a), Some(b)) = (one, other) else { return Ok(Some(one.or(other).cloned())) };
    if a == b {
        return Ok(Some(Some(a.clone())));
    }
    let Some(family) = family else { return Err("two lists of addresses in one rule cannot be said".to_owned()) };
    if !a.sets.is_empty() || !b.sets.is_empty() {
        return Err("two lists of addresses, one of them a set, cannot be said in one rule".to_owned());
    }
    if a.negated && b.negated {
        let prefixes = a.prefixes.iter().chain(&b.prefixes).copied().collect();
        return Ok(Some(Some(Addresses { negated: true, sets: Vec::new(), prefixes })));
    }
    let meant = |list: &Addresses| {
        if list.negated { complement(&list.prefixes, family) } else { list.prefixes.clone() }
    };
    let (a, b) = (meant(a), meant(b));
    let narrower = |a: &Prefix, b: &Prefix| match (a.covers(b), b.covers(a)) {
        (true, _) => Some(*b),
        (_, true) => Some(*a),
        _ => None,
    };
    let prefixes: Vec<Prefix> = a.iter().flat_map(|a| b.iter().filter_map(move |b| narrower(a, b))).collect();
    Ok((!prefixes.is_empty()).then_some(Some(Addresses { negated: false, sets: Vec::new(), prefixes })))
}

/// All protocols but these.
pub fn other_protocols(protocols: &[u8]) -> Vec<u8> {
    (0..=u8::MAX).filter(|number| !protocols.contains(number)).collect()
}

/// The protocol of ICMP in a version of the internet protocol.
pub fn icmp_of(family: Family) -> u8 {
    match family {
        Family::V4 => words::ICMP,
        Family::V6 => words::ICMP6,
    }
}
