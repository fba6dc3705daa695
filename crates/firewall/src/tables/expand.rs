//! From rules to entries.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::entry::Entry;
use super::layout::{
    self, ANY_STATE, Key, NOT_DESTINATION, NOT_SOURCE, Record, attr, class_mask, class_of, record, words,
};
use crate::rules::words::{ICMP, ICMP6};
use crate::rules::{Addresses, Direction, Family, Message, Prefix, Reply, Rule, RuleSet, Translation, Verdict};

/// Most entries of one rule.
const MOST_ENTRIES: usize = 1 << 20;
/// A range of ports that spans more upper bytes than this is found without the port.
const MOST_BLOCKS: u16 = 8;
/// All ports.
const ALL: RangeInclusive<u16> = 0..=0xffff;

/// The entries of a rule with their keys. `index` gives numbers of interfaces by their names; interfaces that do not exist
/// match no packet.
///
/// # Errors
/// A sentence if there are too many.
pub fn expand(
    rules: &RuleSet,
    rule: &Rule,
    order: u64,
    number: u32,
    index: &dyn Fn(&str) -> Option<u32>,
) -> Result<Vec<(Key, Entry)>, String> {
    let wanted = &rule.matches;
    let interfaces: Vec<u32> = if wanted.interfaces.is_empty() {
        vec![0]
    } else {
        wanted.interfaces.iter().flat_map(|name| rules.interfaces(name)).filter_map(index).collect()
    };
    let attributes = attributes(rule, rules.default_forward.is_some());
    let conditions = conditions(rules, rule)?;
    let macs =
        |macs: &[[u8; 6]]| if macs.is_empty() { vec![0] } else { macs.iter().copied().map(layout::mac).collect() };
    let (from_macs, to_macs): (Vec<u64>, Vec<u64>) = (macs(&wanted.from_mac), macs(&wanted.to_mac));
    let macs: Vec<[u64; 2]> = from_macs.iter().flat_map(|&from| to_macs.iter().map(move |&to| [from, to])).collect();
    let states = if wanted.states == 0 { ANY_STATE } else { wanted.states.into() };
    let ports = |ports: &Option<crate::rules::Ports>| ports.as_ref().map_or_else(|| vec![ALL], |ports| ports.meant());
    let from_ports = ports(&wanted.from_port);
    let to_ports: Vec<_> = ports(&wanted.to_port).into_iter().flat_map(pieces).collect();
    let mut found = Vec::new();
    for family in Family::ALL.into_iter().filter(|family| wanted.family.is_none_or(|wanted| wanted == *family)) {
        let side = |addresses: &Option<Addresses>| sides(rules, addresses.as_ref(), family);
        let (sources, destinations) = (side(&wanted.from), side(&wanted.to));
        let counts =
            [&sources.len(), &destinations.len(), &from_ports.len(), &to_ports.len(), &interfaces.len(), &macs.len()];
        let product = counts.iter().try_fold(attributes.len(), |product, count| product.checked_mul(**count));
        if product.is_none_or(|product| product + found.len() > MOST_ENTRIES) {
            return Err(format!(
                "the rule `{rule}` combines more than {MOST_ENTRIES} pairs of addresses and ports; split it, or make its \
                 sets smaller"
            ));
        }
        for source in &sources {
            for destination in &destinations {
                for (way, port, range) in &to_ports {
                    let key = key(&source.kept, &destination.kept, *way, *port);
                    for from_port in &from_ports {
                        for (&interface, &macs) in
                            interfaces.iter().flat_map(|each| macs.iter().map(move |macs| (each, macs)))
                        {
                            for &pair in &attributes {
                                let entry = Entry {
                                    source: [words(source.meant.address), words(source.meant.mask())],
                                    destination: [words(destination.meant.address), words(destination.meant.mask())],
                                    ports: [*from_port.start(), *from_port.end(), *range.start(), *range.end()],
                                    attributes: with_family(pair, family),
                                    interface,
                                    macs,
                                    conditions,
                                    states: states
                                        | if source.not { NOT_SOURCE } else { 0 }
                                        | if destination.not { NOT_DESTINATION } else { 0 },
                                    ..blank(rule, order, number)
                                };
                                found.push((key, entry));
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(found)
}

/// One prefix of a side.
struct Part {
    /// By what it is found.
    kept: Prefix,
    /// What is compared.
    meant: Prefix,
    /// Whether the address must not be in it.
    not: bool,
}

/// The prefixes of a side. What is not in one prefix is compared as such; what is not in several is a list of prefixes.
fn sides(rules: &RuleSet, addresses: Option<&Addresses>, family: Family) -> Vec<Part> {
    let plain = |prefix: Prefix| Part { kept: prefix, meant: prefix, not: false };
    let Some(addresses) = addresses else { return vec![plain(Prefix::all(family))] };
    if addresses.negated {
        let named = rules.prefixes(&Addresses { negated: false, ..addresses.clone() }, family);
        if let [only] = named[..] {
            return vec![Part { kept: Prefix::all(family), meant: only, not: true }];
        }
    }
    rules.prefixes(addresses, family).into_iter().map(plain).collect()
}

fn with_family([value, mask]: [u64; 2], family: Family) -> [u64; 2] {
    [value | if family == Family::V6 { attr::V6 } else { 0 }, mask | attr::V6]
}

/// What is the same in all entries of a rule.
fn blank(rule: &Rule, order: u64, number: u32) -> Entry {
    let wanted = &rule.matches;
    let mark = wanted.mark.map_or([0, 0], |(value, mask)| [value, mask]);
    let (mut payload, mut offset, mut length) = ([0, 0], 0, 0);
    if let Some(wanted) = &wanted.payload {
        let (mut value, mut mask) = ([0; 8], [0; 8]);
        for (at, &byte) in wanted.bytes.iter().enumerate().take(8) {
            (value[at], mask[at]) = (byte, 0xff);
        }
        payload = [u64::from_ne_bytes(value), u64::from_ne_bytes(mask)];
        offset = u32::from(wanted.offset);
        length = offset + wanted.bytes.len() as u32;
    }
    Entry {
        order,
        next: 0,
        rule: number,
        source: [[0; 2]; 2],
        destination: [[0; 2]; 2],
        ports: [0; 4],
        attributes: [0; 2],
        interface: 0,
        states: 0,
        mark,
        payload,
        payload_offset: offset,
        payload_length: length,
        free: [0; 2],
        macs: [0; 2],
        conditions: 0,
    }
}

/// The bits of a rule's conditions in those of the list.
fn conditions(rules: &RuleSet, rule: &Rule) -> Result<u64, String> {
    let mut bits = 0;
    for wanted in &rule.matches.conditions {
        let at = rules.conditions.iter().position(|condition| condition == wanted).ok_or_else(|| {
            format!(
                "no rule in force asks for `{wanted}`, so the programs do not find it out; add the rule to the file and apply \
                 it"
            )
        })?;
        bits |= 1 << at;
    }
    Ok(bits)
}

/// Values and masks of [`attr`] without the version.
fn attributes(rule: &Rule, forwards: bool) -> Vec<[u64; 2]> {
    let wanted = &rule.matches;
    let (mut value, mut mask) = (0, 0);
    let mut set = |bits: u64, of: u64| {
        value |= bits;
        mask |= of;
    };
    match wanted.direction {
        Some(Direction::In) => set(0, attr::OUT),
        Some(Direction::Out) => set(attr::OUT, attr::OUT),
        Some(Direction::Forward) => set(attr::FORWARD, attr::OUT | attr::FORWARD),
        None => {}
    }
    // Forwarded packets are looked up a second time, as what leaves, for rules that change addresses.
    if forwards && wanted.direction != Some(Direction::Forward) && rule.action.translation.is_none() {
        set(0, attr::FORWARD);
    }
    if wanted.from_port.is_some() || wanted.to_port.is_some() {
        set(attr::HAS_PORTS, attr::HAS_PORTS);
    }
    if let Some((flags, of)) = wanted.flags {
        set(
            u64::from(flags) << attr::FLAGS_SHIFT | attr::HAS_FLAGS,
            u64::from(of) << attr::FLAGS_SHIFT | attr::HAS_FLAGS,
        );
    }
    if let Some(fragment) = wanted.fragment {
        set(if fragment { attr::FRAGMENT } else { 0 }, attr::FRAGMENT);
    }
    if let Some(vlan) = wanted.vlan {
        set(u64::from(vlan) << attr::VLAN_SHIFT | attr::HAS_VLAN, attr::VLAN);
    }
    let mut all = vec![[value, mask]];
    if !wanted.protocols.is_empty() {
        let all_of = |number: &u8| wanted.icmp.is_empty() || [ICMP, ICMP6].contains(number);
        let numbers = wanted.protocols.iter().copied().filter(all_of);
        all = blocks(numbers).into_iter().map(|[bits, of]| [value | bits, mask | of]).collect();
    }
    if !wanted.icmp.is_empty() {
        let mut types: BTreeMap<Option<u8>, Vec<u8>> = BTreeMap::new();
        for &(number, code) in &wanted.icmp {
            types.entry(code).or_default().push(number);
        }
        let typed = types.into_iter().flat_map(|(code, numbers)| {
            let [bits, of] = code.map_or([0; 2], |code| [u64::from(code), 0xff]).map(|bits| bits << attr::CODE_SHIFT);
            let numbers = blocks(numbers.into_iter()).into_iter().map(|pair| pair.map(|bits| bits << attr::TYPE_SHIFT));
            numbers.map(move |pair| [pair[0] | bits, pair[1] | of])
        });
        let typed: Vec<[u64; 2]> = typed.collect();
        let with = |pair: [u64; 2]| {
            typed.iter().map(move |[bits, of]| [pair[0] | bits | attr::HAS_ICMP, pair[1] | of | attr::HAS_ICMP])
        };
        all = all.into_iter().flat_map(with).collect();
    }
    if forwards && wanted.direction.is_none() {
        let forwarded = all.clone().into_iter();
        all.extend(forwarded.map(|[value, mask]| [value | attr::FORWARD, mask | attr::FORWARD | attr::OUT]));
    }
    all
}

/// The fewest values with masks that these numbers are alike: all but one of 256 are eight.
fn blocks(numbers: impl Iterator<Item = u8>) -> Vec<[u64; 2]> {
    fn cover(is: &[bool], first: usize, found: &mut Vec<[u64; 2]>) {
        if is.iter().all(|is| *is) {
            found.push([first as u64, 256 - is.len() as u64]);
        } else if is.iter().any(|is| *is) {
            let (low, high) = is.split_at(is.len() / 2);
            cover(low, first, found);
            cover(high, first + low.len(), found);
        }
    }
    let mut is = [false; 256];
    numbers.for_each(|number| is[usize::from(number)] = true);
    let mut found = Vec::new();
    cover(&is, 0, &mut found);
    found
}

/// The pieces of a range of ports: how each is found, what is kept of the port, the range.
fn pieces(range: RangeInclusive<u16>) -> Vec<(u8, u16, RangeInclusive<u16>)> {
    let (first, last) = (*range.start(), *range.end());
    let (low, high) = (first >> 8, last >> 8);
    if first == last {
        return vec![(1, first, range)];
    }
    if high - low >= MOST_BLOCKS {
        return vec![(0, 0, range)];
    }
    (low..=high).map(|block| (2, block, first.max(block << 8)..=last.min(block << 8 | 0xff))).collect()
}

fn key(source: &Prefix, destination: &Prefix, way: u8, port: u16) -> Key {
    let (source_class, destination_class) = (class_of(source), class_of(destination));
    let kept = |prefix: &Prefix, class: usize| {
        let (address, mask) = (words(prefix.address), class_mask(prefix.family, class));
        [address[0] & mask[0], address[1] & mask[1]]
    };
    Key {
        family: source.family,
        source_class: source_class as u8,
        destination_class: destination_class as u8,
        way,
        source: kept(source, source_class),
        destination: kept(destination, destination_class),
        port,
    }
}

/// The record of a verdict without anything else.
pub fn verdict_record(verdict: Verdict) -> Record {
    let (verdict, reply) = match verdict {
        Verdict::Accept => (layout::ACCEPT, None),
        Verdict::Drop => (layout::DROP, None),
        Verdict::Reject(reply) => (layout::REJECT, Some(reply)),
    };
    let message = match reply {
        None => return Record { verdict, ..Record::default() },
        Some(Reply::Usual) => Message::USUAL,
        Some(Reply::Message(message)) => message,
    };
    let code = |family| u16::from(message.code(family).unwrap_or_default());
    let flags = if reply == Some(Reply::Usual) { 0 } else { record::MESSAGE };
    Record { verdict, flags, port: code(Family::V4) | code(Family::V6) << 8, ..Record::default() }
}

/// What a rule does, for programs.
pub fn rule_record(rule: &Rule) -> Record {
    let action = &rule.action;
    let mut result = action.verdict.map(verdict_record).unwrap_or_default();
    if action.log.is_some() {
        result.flags |= record::LOG;
    }
    if let Some(mark) = action.mark {
        result.flags |= record::SET_MARK;
        result.mark = mark;
    }
    if action.cookies {
        result.flags |= record::COOKIES;
    }
    if let Some(translation) = action.translation {
        result.flags |= record::TRANSLATE;
        if let Translation::Destination { port: Some(port), .. } = translation {
            result.port = port;
        }
        if let Some(address) = translation.address() {
            result.flags |= record::HAS_ADDRESS;
            result.address = Some(words(Prefix::of(address).address));
        }
    }
    if let Some(limit) = action.limit {
        result.flags |= record::LIMIT | if limit.per_source { record::PER_SOURCE } else { 0 };
        result.interval = u64::from(limit.seconds) * 1_000_000_000 / u64::from(limit.packets.max(1));
        result.tolerance = result.interval * u64::from(limit.burst.max(1) - 1);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::blocks;

    #[test]
    fn blocks_have_all_numbers_and_no_others() {
        for numbers in
            [vec![6], vec![6, 17], (0..=255).filter(|number| *number != 6).collect(), (3..=97).collect::<Vec<u8>>()]
        {
            let found = blocks(numbers.iter().copied());
            let inside = |number: u8| found.iter().filter(|[value, mask]| u64::from(number) & mask == *value).count();
            assert!((0..=255).all(|number| inside(number) == usize::from(numbers.contains(&number))), "{numbers:?}");
        }
        assert_eq!(blocks((0..=255).filter(|number| *number != 6)).len(), 8);
    }
}
