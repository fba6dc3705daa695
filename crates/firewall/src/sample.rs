//! Packets that a list of rules speaks about, for measurements: one after the other is like what a random rule asks for, and
//! some are like nothing in particular.

use crate::facts::{IPV4, IPV6, Place};
use crate::fuzz::Random;
use crate::rules::{Addresses, Direction, Family, Matches, Ports, Prefix, RuleSet, words};

/// One packet of so many is like no rule.
const STRANGERS: u64 = 4;
/// Bytes of the shortest Ethernet frame without its checksum.
const SHORTEST: usize = 60;

/// A packet that begins with its Ethernet header, and where it is met.
pub type Sample = (Vec<u8>, Place);

/// So many packets. `index` gives numbers of interfaces by their names. Expressions, hours, owners and states of connections
/// are not looked at, so a packet may be like a rule that does not take it.
pub fn sample(rules: &RuleSet, index: &dyn Fn(&str) -> Option<u32>, count: usize, random: &mut Random) -> Vec<Sample> {
    let nothing = Matches::default();
    let one = |number: usize, random: &mut Random| {
        let all = &rules.rules;
        let stranger = all.is_empty() || random.one_in(STRANGERS);
        let wanted = if stranger { &nothing } else { &all[random.below(all.len() as u64) as usize].matches };
        // What says nothing about the direction is met in both.
        let either = if number.is_multiple_of(2) { Direction::In } else { Direction::Out };
        let direction = wanted.direction.unwrap_or(either);
        let interface = wanted.interfaces.iter().flat_map(|name| rules.interfaces(name)).find_map(index).unwrap_or(0);
        let mark = wanted.mark.map_or(0, |(value, _)| value);
        (packet(rules, wanted, random), Place { direction, interface, mark, ..Place::default() })
    };
    (0..count).map(|number| one(number, random)).collect()
}

/// An address of a side, in a version.
fn address(rules: &RuleSet, side: Option<&Addresses>, family: Family, random: &mut Random) -> u128 {
    let any = u128::from(random.word()) << 64 | u128::from(random.word());
    let all = side.map(|side| rules.prefixes(side, family)).unwrap_or_default();
    let prefix = match all.len() {
        0 => Prefix::all(family),
        many => all[random.below(many as u64) as usize],
    };
    let address = prefix.address | any & !Prefix::new(family, u128::MAX, prefix.length).address;
    if family == Family::V4 { address & u128::MAX << 96 } else { address }
}

fn port(ports: Option<&Ports>, random: &mut Random) -> u16 {
    let meant = ports.map(Ports::meant).filter(|meant| !meant.is_empty()).unwrap_or_else(|| vec![1024..=u16::MAX]);
    let range = &meant[random.below(meant.len() as u64) as usize];
    range.start() + random.below(u64::from(range.end() - range.start()) + 1) as u16
}

/// The version that a rule is about.
fn family(rules: &RuleSet, wanted: &Matches, random: &mut Random) -> Family {
    let has = |family: &Family| {
        let sides = [&wanted.from, &wanted.to];
        let mut said = sides.into_iter().flatten().filter(|side| !side.negated);
        said.all(|side| !rules.prefixes(side, *family).is_empty())
    };
    let likely: Vec<Family> = Family::ALL.into_iter().filter(has).collect();
    let icmp = match wanted.protocols[..] {
        [words::ICMP] => Some(Family::V4),
        [words::ICMP6] => Some(Family::V6),
        _ => None,
    };
    let any = if likely.is_empty() { &Family::ALL[..] } else { &likely };
    wanted.family.or(icmp).unwrap_or_else(|| random.pick(any))
}

/// A packet that begins with its Ethernet header and is like what is wanted; `rules` have the sets that are named. What is not
/// said is chosen: the first packet of a connection over TCP.
pub fn packet(rules: &RuleSet, wanted: &Matches, random: &mut Random) -> Vec<u8> {
    let family = family(rules, wanted, random);
    let protocol =
        if wanted.protocols.is_empty() { random.pick(&[words::TCP, 17]) } else { random.pick(&wanted.protocols) };
    let upper = upper(wanted, protocol, random);
    let addresses = [&wanted.from, &wanted.to].map(|side| address(rules, side.as_ref(), family, random));
    let mut bytes = Vec::with_capacity(SHORTEST);
    for (macs, usual) in [(&wanted.to_mac, 1), (&wanted.from_mac, 2)] {
        bytes.extend(macs.first().copied().unwrap_or([2, 0, 0, 0, 0, usual]));
    }
    if let Some(vlan) = wanted.vlan {
        bytes.extend([0x81, 0]);
        bytes.extend(vlan.to_be_bytes());
    }
    let is_fragment = wanted.fragment == Some(true);
    match family {
        Family::V4 => {
            bytes.extend(IPV4.to_be_bytes());
            bytes.extend([0x45, 0]);
            bytes.extend(((20 + upper.len()) as u16).to_be_bytes());
            bytes.extend([0, 1, if is_fragment { 0x20 } else { 0 }, 0, 64, protocol, 0, 0]);
            addresses.iter().for_each(|address| bytes.extend(&address.to_be_bytes()[..4]));
        }
        Family::V6 => {
            bytes.extend(IPV6.to_be_bytes());
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend(((upper.len() + if is_fragment { 8 } else { 0 }) as u16).to_be_bytes());
            bytes.extend([if is_fragment { crate::facts::FRAGMENT } else { protocol }, 64]);
            addresses.iter().for_each(|address| bytes.extend(address.to_be_bytes()));
            if is_fragment {
                bytes.extend([protocol, 0, 0, 1, 0, 0, 0, 1]);
            }
        }
    }
    bytes.extend(upper);
    if bytes.len() < SHORTEST {
        bytes.resize(SHORTEST, 0);
    }
    bytes
}

fn upper(wanted: &Matches, protocol: u8, random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    if words::WITH_PORTS.contains(&protocol) {
        bytes.extend(port(wanted.from_port.as_ref(), random).to_be_bytes());
        bytes.extend(port(wanted.to_port.as_ref(), random).to_be_bytes());
    }
    match protocol {
        words::TCP => {
            // The first packet of a connection, unless something else is asked for.
            let flags = wanted.flags.map_or(2, |(value, _)| value);
            bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 4, 0, 0, 0, 0, 0]);
        }
        17 => bytes.extend([0, 8, 0, 0]),
        words::ICMP | words::ICMP6 => {
            let usual = if protocol == words::ICMP { 8 } else { 128 };
            let (kind, code) = if wanted.icmp.is_empty() { (usual, None) } else { random.pick(&wanted.icmp) };
            bytes.extend([kind, code.unwrap_or(0), 0, 0, 0, 1, 0, 1]);
        }
        _ => bytes.extend([0; 8]),
    }
    if let Some(payload) = &wanted.payload {
        bytes.extend(vec![0; payload.offset.into()]);
        bytes.extend(&payload.bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Packet, read};

    #[test]
    fn packets_are_like_the_rules() {
        let text = "set near = { 10.1.0.0/16, fd00::/16 }\ndrop in tcp from @near to port 22 flags syn/syn,ack\n\
             drop out on eth0 ipv6 udp from port 53\ndrop in icmp type 3/4\ndrop in vlan 5 udp to port 1-9 payload at 2 == \"xy\"\n\
             drop in fragment ipv6\ndrop in fragment ipv4 from 192.0.2.0/24\ndrop in mark 7 proto 89\ndrop in from mac 02:00:00:00:00:09 icmp6";
        let mut rules = crate::parse(text, &|_| Err(String::new())).unwrap();
        let index = |name: &str| (name == "eth0").then_some(7);
        let mut random = Random(5);
        for rule in rules.rules.clone() {
            rules.rules = vec![rule];
            let all = sample(&rules, &index, 40, &mut random);
            let like = all.iter().filter(|(packet, place)| {
                let Packet::Known(facts) = read(packet, *place) else { panic!("{packet:02x?}") };
                crate::linear::matches(&rules, &rules.rules[0], &facts, &index)
            });
            assert!(like.count() >= 20, "{}", rules.rules[0]);
        }
        rules.rules.clear();
        assert_eq!(sample(&rules, &index, 3, &mut random).len(), 3);
    }
}
