//! Packets that are described in the words of rules: bytes, where they are met, at which time, and of which connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::RuleSet;
use crate::facts::{Facts, Packet, Place, read};
use crate::fuzz::Random;
use crate::live::seed::{End, key, value};
use crate::program::{FLOW_BYTES, FLOW_KEY};
use crate::rules::special::{Condition, Expression, Hours, group};
use crate::rules::{Direction, Family, Matches, words};
use crate::sample;
use crate::zone::Zone;

/// Packets that are made until an expression accepts one.
const TRIED: usize = 10_000;
/// Seconds of a minute.
const MINUTE: u64 = 60;
/// Minutes of eight days: each minute of the week is among them.
const MINUTES: u64 = 8 * 24 * 60;
/// What is said about packets that pass through.
const FORWARDED: &str = "packets that are forwarded cannot be explained yet; say `in` or `out`";
/// TCP's flag ACK.
const ACK: u8 = 0x10;

/// A packet with what is around it.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its bytes, from the Ethernet header on.
    pub packet: Vec<u8>,
    /// Where it is met; its interface is the first one of `interfaces`, if there is one.
    pub place: Place,
    /// The interfaces that were named.
    pub interfaces: Vec<String>,
    /// When it is met, in nanoseconds since the beginning of 1970.
    pub time: u64,
    /// Whether it belongs to a connection that is known.
    pub established: bool,
}

/// Makes a packet that is like what is wanted; what is not said is chosen. `rules` have the sets and zones that are named,
/// `direction` counts if none is said, `now` is in nanoseconds since the beginning of 1970.
///
/// # Errors
/// A sentence about what a single packet cannot be, and what to say in place of it.
pub fn describe(rules: &RuleSet, wanted: &Matches, direction: Direction, now: u64) -> Result<Described, String> {
    if wanted.direction == Some(Direction::Forward) {
        return Err(FORWARDED.to_owned());
    }
    let state = |name: &str| words::STATES.iter().find(|state| state.0 == name).map_or(0, |state| state.1);
    let (new, established, invalid) = (state("new"), state("established"), state("invalid"));
    if ![0, new, established, invalid].contains(&wanted.states) {
        return Err(
            "a packet has one state: say `new`, `established` or `invalid`; what is `related` is an ICMP error about \
                    another packet"
                .to_owned(),
        );
    }
    let mut wanted = wanted.clone();
    if wanted.states == invalid && !wanted.protocols.is_empty() && wanted.protocols != [words::TCP] {
        return Err("`invalid` are packets of TCP that begin no connection and belong to none; say `tcp`".to_owned());
    }
    if [established, invalid].contains(&wanted.states) {
        // The first packet of a connection has other flags.
        wanted.flags = wanted.flags.or(Some((ACK, 0xff)));
    }
    if wanted.states == invalid {
        wanted.protocols = vec![words::TCP];
    }
    let interfaces: Vec<String> =
        wanted.interfaces.iter().flat_map(|name| rules.interfaces(name)).map(str::to_owned).collect();
    let mut place = Place {
        direction: wanted.direction.unwrap_or(direction),
        interface: u32::from(!interfaces.is_empty()),
        mark: wanted.mark.map_or(0, |(value, _)| value),
        ..Place::default()
    };
    let mut time = now;
    let mut expressions = Vec::new();
    for condition in &wanted.conditions {
        match condition {
            Condition::Expression(expression) => expressions.push(expression),
            Condition::Hours(hours) => time = next(hours, now)?,
            Condition::Users(users) => place.owner = users.first().map(|users| *users.start()),
            Condition::Group(path) => place.group = Some(group(path)?.0),
            Condition::Leaves(_) => return Err(FORWARDED.to_owned()),
        }
    }
    let packet = accepted(rules, &wanted, &expressions)?;
    let established = wanted.states == established;
    if established && connection(&packet, place).is_none() {
        return Err("connections are known of TCP and UDP here: say `tcp` or `udp`, and no fragment".to_owned());
    }
    Ok(Described { packet, place, interfaces, time, established })
}

/// A packet that all expressions accept.
fn accepted(rules: &RuleSet, wanted: &Matches, expressions: &[&Expression]) -> Result<Vec<u8>, String> {
    let mut random = Random(1);
    let tried = if expressions.is_empty() { 1 } else { TRIED };
    let mut made = (0..tried).map(|_| sample::packet(rules, wanted, &mut random));
    let found = made.find(|packet| expressions.iter().all(|expression| expression.accepts(packet)));
    found.ok_or_else(|| {
        format!(
            "of {TRIED} packets like this none was accepted by the expression; say in words of rules what it asks for: \
             protocol, addresses, ports, `payload`"
        )
    })
}

/// The next time that lies in these hours.
fn next(hours: &Hours, now: u64) -> Result<u64, String> {
    let (start, zone) = (now / 1_000_000_000, Zone::of_host(now / 1_000_000_000));
    let mut times = (0..MINUTES).map(|minute| start + minute * MINUTE);
    let found = times.find(|seconds| hours.contains(zone.local(*seconds)));
    found.map(|seconds| seconds * 1_000_000_000).ok_or_else(|| "there is no such time within a week".to_owned())
}

/// The ends of a connection with ports that a packet belongs to, and its protocol.
fn connection(packet: &[u8], place: Place) -> Option<([End; 2], u8)> {
    let Packet::Known(Facts { family, source, destination, protocol, ports, .. }) = read(packet, place) else {
        return None;
    };
    let ports = ports?;
    let address = |bits: u128| match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from((bits >> 96) as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(bits)),
    };
    Some(([(address(source), ports.0), (address(destination), ports.1)], protocol))
}

/// The entry with which the connection of a packet is known at a time: key and value. `None` if it has no ports.
pub fn known(packet: &[u8], place: Place, time: u64) -> Option<([u8; FLOW_KEY], [u8; FLOW_BYTES])> {
    let (ends, protocol) = connection(packet, place)?;
    Some((key(ends, protocol), value(time, protocol)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::parse_rule;

    fn described(words: &str) -> Result<Described, String> {
        let rules = crate::parse("default forward drop\n", &|_| Err("no files".to_owned())).unwrap();
        let rule = parse_rule(&format!("count {words}"), &rules).map_err(|errors| errors[0].message.clone())?;
        // A Saturday, 15:00 of universal time.
        describe(&rules, &rule.matches, Direction::In, 1_795_878_000_000_000_000)
    }

    #[test]
    fn what_is_around_a_packet() {
        let user = described("out tcp uid { 1000-1999 }").unwrap();
        assert_eq!((user.place.owner, user.place.direction, user.established), (Some(1000), Direction::Out, false));
        let hours = described("tcp between 03:00 and 03:10 on tue").unwrap();
        let local = Zone::of_host(hours.time / 1_000_000_000).local(hours.time / 1_000_000_000);
        // The first of January 1970 was a Thursday.
        assert_eq!(((local / 86_400 + 4) % 7, local % 86_400 / 60), (2, 180));
        assert!(described("udp state established from 192.0.2.1").unwrap().established);
        let odd = described("udp to port 53 match \"udp[1] & 1 = 1\"").unwrap();
        assert_eq!(odd.packet[if odd.packet[12] == 8 { 35 } else { 55 }] & 1, 1);
    }

    #[test]
    fn what_no_packet_is() {
        for (words, why) in [
            ("state { new, established } tcp", "a packet has one state"),
            ("state related", "a packet has one state"),
            ("forward tcp", "packets that are forwarded cannot be explained yet"),
            ("forward out-on eth0 tcp", "packets that are forwarded cannot be explained yet"),
            ("state established icmp", "connections are known of TCP and UDP"),
            ("state invalid udp", "say `tcp`"),
            ("tcp match \"udp\"", "none was accepted by the expression"),
            ("out cgroup \"/no/such/group\"", "there is no control group"),
        ] {
            let refused = described(words).map(|_| ());
            assert!(refused.as_ref().is_err_and(|problem| problem.contains(why)), "{words}: {refused:?}");
        }
    }
}
