//! What the senders of rejected packets are told, by the programs in our machine.

use skep_firewall::build::plan;
use skep_firewall::facts::{self, Facts, Packet, Place};
use skep_firewall::fuzz::{self, Random};
use skep_firewall::machine::Machine;

/// The sum of RFC 1071, which is 0xffff over everything that a checksum covers.
fn sum(parts: &[&[u8]]) -> u64 {
    let mut sum: u64 = 0;
    for pair in parts.concat().chunks(2) {
        sum += u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

fn known(packet: &[u8]) -> Facts {
    match facts::read(packet, Place::default()) {
        Packet::Known(facts) => facts,
        other => panic!("{other:?}: {packet:02x?}"),
    }
}

/// Checks an answer against the packet it answers.
fn check(packet: &[u8], answer: &[u8]) -> &'static str {
    let (asked, told) = (known(packet), known(answer));
    assert_eq!((&answer[..6], &answer[6..12]), (&packet[6..12], &packet[..6]));
    assert_eq!((told.source, told.destination), (asked.destination, asked.source));
    // Behind as many VLAN tags as the packet has.
    let at = 14 + 4 * packet[12..].chunks(4).take_while(|tag| tag.starts_with(&[0x81, 0])).count();
    let body = if answer[at] >> 4 == 4 {
        assert_eq!(sum(&[&answer[at..at + 20]]), 0xffff);
        &answer[at + 20..]
    } else {
        &answer[at + 40..]
    };
    let addresses = if answer[at] >> 4 == 4 { &answer[at + 12..at + 20] } else { &answer[at + 8..at + 40] };
    let pseudo = [&(body.len() as u16).to_be_bytes()[..], &[0, told.protocol]].concat();
    if told.protocol != 1 {
        assert_eq!(sum(&[addresses, &pseudo, body]), 0xffff, "{answer:02x?}");
    }
    if let Some(flags) = told.flags {
        assert_eq!(told.ports.unwrap(), { asked.ports.map(|(from, to)| (to, from)) }.unwrap());
        assert!(flags & 4 != 0 && asked.flags.unwrap() & 4 == 0);
        return "reset";
    }
    let header = if told.protocol == 1 { 20 } else { 40 };
    assert_eq!(sum(&[if told.protocol == 1 { body } else { &[0xff, 0xff] }]), 0xffff);
    assert_eq!(told.icmp, Some(if told.protocol == 1 { (3, 3) } else { (1, 4) }));
    assert_eq!(&body[8..], &packet[at..at + header + 8]);
    "error"
}

#[test]
fn rejected_packets_are_answered_as_the_standards_say() {
    let rules = skep_firewall::parse("reject in\nreject out", &|_| Err(String::new())).unwrap();
    let mut machine = Machine::new(&plan(&rules, &|_| None).unwrap()).unwrap();
    let mut random = Random(11);
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..3000 {
        let (packet, place) = fuzz::packet(&mut random);
        let outcome = machine.run(&packet, place).unwrap();
        let Some(answer) = outcome.answer else { continue };
        assert!(!outcome.passes);
        *counts.entry(check(&packet, &answer)).or_insert(0) += 1;
    }
    assert!(counts["reset"] > 100 && counts["error"] > 100, "{counts:?}");
}

/// A segment from 10.0.0.1 port 1000 to 10.0.0.2 port 80.
fn segment(flags: u8, sequence: u32, acknowledged: u32, data: usize) -> Vec<u8> {
    let mut packet =
        vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 40 + data as u8, 0, 0, 0, 0, 64, 6, 0, 0];
    packet.extend([10, 0, 0, 1, 10, 0, 0, 2, 3, 0xe8, 0, 80]);
    packet.extend(sequence.to_be_bytes());
    packet.extend(acknowledged.to_be_bytes());
    packet.extend([0x50, flags, 4, 0, 0, 0, 0, 0]);
    packet.extend(vec![7; data]);
    packet
}

#[test]
fn resets_have_the_numbers_of_rfc_9293() {
    let rules = skep_firewall::parse("reject tcp", &|_| Err(String::new())).unwrap();
    let mut machine = Machine::new(&plan(&rules, &|_| None).unwrap()).unwrap();
    let mut ask = |packet: &[u8]| machine.run(packet, Place::default()).unwrap().answer;
    let numbers = |answer: &[u8]| {
        let word = |at: usize| u32::from_be_bytes(answer[at..at + 4].try_into().unwrap());
        (word(38), word(42), answer[47])
    };
    // SYN: acknowledged with its own number; data and FIN count too; what acknowledges gets that number.
    assert_eq!(numbers(&ask(&segment(2, u32::MAX, 0, 0)).unwrap()), (0, 0, 0x14));
    assert_eq!(numbers(&ask(&segment(1, 100, 0, 5)).unwrap()), (0, 106, 0x14));
    assert_eq!(numbers(&ask(&segment(0x18, 100, 7000, 5)).unwrap()), (7000, 0, 4));
    assert_eq!(ask(&segment(4, 100, 0, 0)), None);
    // Not to groups, not from nowhere.
    for (at, byte) in [(26, 224), (26, 0), (26, 127), (30, 239), (30, 255)] {
        let mut packet = segment(2, 1, 0, 0);
        packet[at] = byte;
        assert_eq!(ask(&packet), None, "{at} {byte}");
    }
}

/// Whether all checksums of a packet are right.
fn is_whole(packet: &[u8]) -> bool {
    let (head, addresses, protocol) =
        if packet[14] >> 4 == 4 { (20, &packet[26..34], packet[23]) } else { (40, &packet[22..54], packet[20]) };
    let body = &packet[14 + head..];
    let pseudo = [&(body.len() as u16).to_be_bytes()[..], &[0, protocol]].concat();
    let upper = if protocol == 1 { sum(&[body]) } else { sum(&[addresses, &pseudo, body]) };
    (head == 40 || sum(&[&packet[14..34]]) == 0xffff) && upper == 0xffff
}

/// A packet with right checksums: its addresses, ports (or the number of an echo request), protocol.
fn whole(from: &str, to: &str, ports: (u16, u16), protocol: u8) -> Vec<u8> {
    let (from, to): (std::net::IpAddr, std::net::IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut body = match protocol {
        6 => [&ports.0.to_be_bytes()[..], &ports.1.to_be_bytes(), &[0; 8], &[0x50, 2, 4, 0, 0, 0, 0, 0]].concat(),
        17 => [&ports.0.to_be_bytes()[..], &ports.1.to_be_bytes(), &[0, 11, 0, 0], b"abc"].concat(),
        kind => [&[if kind == 1 { 8 } else { 128 }, 0, 0, 0], &ports.0.to_be_bytes()[..], &[0, 1]].concat(),
    };
    let addresses = match (from, to) {
        (std::net::IpAddr::V4(from), std::net::IpAddr::V4(to)) => [from.octets(), to.octets()].concat(),
        (std::net::IpAddr::V6(from), std::net::IpAddr::V6(to)) => [from.octets(), to.octets()].concat(),
        _ => panic!("two versions"),
    };
    let pseudo = [&(body.len() as u16).to_be_bytes()[..], &[0, protocol]].concat();
    let value = if protocol == 1 { sum(&[&body]) } else { sum(&[&addresses, &pseudo, &body]) };
    let at = match protocol {
        6 => 16,
        17 => 6,
        _ => 2,
    };
    body[at..at + 2].copy_from_slice(&(!value as u16).to_be_bytes());
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    if addresses.len() == 8 {
        let mut head = vec![0x45, 0, 0, 20 + body.len() as u8, 0, 0, 0, 0, 64, protocol, 0, 0];
        head.extend(&addresses);
        let value = !sum(&[&head]) as u16;
        head[10..12].copy_from_slice(&value.to_be_bytes());
        packet.extend([8, 0]);
        packet.extend(head);
    } else {
        packet.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, body.len() as u8, protocol, 64]);
        packet.extend(&addresses);
    }
    packet.extend(body);
    assert!(is_whole(&packet));
    packet
}

#[test]
fn connections_are_translated_there_and_back() {
    use skep_firewall::rules::Direction;
    let text = "default in drop\naccept in state established\n\
        dnat 10.2.0.9:8080 in ipv4 tcp udp to 10.1.0.1 port 80\ndnat fd00::9 in ipv6 tcp udp icmp6 from fd00:7::/64 to fd00::1\n\
        redirect 5353 in udp to port 53\nsnat 10.1.0.1 out ipv4 tcp udp icmp from 10.2.0.0/16\n\
        snat fd00::1 out ipv6 tcp udp icmp6 from fd00:2::/64";
    let rules = skep_firewall::parse(text, &|_| Err(String::new())).unwrap();
    let mut machine = Machine::new(&plan(&rules, &|_| None).unwrap()).unwrap();
    let mut pass = |packet: &[u8], direction| {
        let outcome = machine.run(packet, Place { direction, ..Place::default() }).unwrap();
        outcome.passes.then(|| outcome.changed.unwrap_or_else(|| packet.to_vec()))
    };
    let (into, out) = (Direction::In, Direction::Out);
    let turn = |(from, to): (u16, u16)| (to, from);
    // Destinations: there at the one hook, back at the other.
    for (from, to, new, ports, new_ports, protocol) in [
        ("10.7.0.1", "10.1.0.1", "10.2.0.9", (1000, 80), (1000, 8080), 6),
        ("10.7.0.1", "10.1.0.1", "10.2.0.9", (1000, 80), (1000, 8080), 17),
        ("fd00:7::1", "fd00::1", "fd00::9", (1000, 80), (1000, 80), 6),
        ("fd00:7::1", "fd00::1", "fd00::9", (77, 77), (77, 77), 58),
        ("10.7.0.1", "10.7.0.2", "10.7.0.2", (1000, 53), (1000, 5353), 17),
        ("fd00:7::1", "fd00:7::2", "fd00:7::2", (1000, 53), (1000, 5353), 17),
    ] {
        for _ in 0..2 {
            assert_eq!(pass(&whole(from, to, ports, protocol), into), Some(whole(from, new, new_ports, protocol)));
        }
        if protocol != 58 {
            let answer = whole(new, from, turn(new_ports), protocol);
            assert_eq!(pass(&answer, out), Some(whole(to, from, turn(ports), protocol)));
        }
    }
    // Sources: two hosts with one port get two, and each answer finds its way back; others do not come in.
    for (first, second, to, ours, protocol) in [
        ("10.2.0.5", "10.2.0.6", "10.7.0.1", "10.1.0.1", 6),
        ("10.2.0.5", "10.2.0.6", "10.7.0.1", "10.1.0.1", 17),
        ("10.2.0.5", "10.2.0.6", "10.7.0.1", "10.1.0.1", 1),
        ("fd00:2::5", "fd00:2::6", "fd00:8::1", "fd00::1", 17),
    ] {
        let ports = if protocol == 1 { (4000, 4000) } else { (4000, 443) };
        let mut taken = Vec::new();
        for from in [first, second, first, second] {
            let changed = pass(&whole(from, to, ports, protocol), out).unwrap();
            assert!(is_whole(&changed), "{changed:02x?}");
            let facts = known(&changed);
            let number = u16::from_be_bytes([changed[38], changed[39]]);
            let port = facts.ports.map_or(number, |ports| ports.0);
            let new = if protocol == 1 { (port, port) } else { (port, ports.1) };
            assert_eq!(changed, whole(ours, to, new, protocol));
            taken.push(port);
            if protocol != 1 {
                let answer = whole(to, ours, turn(new), protocol);
                assert_eq!(pass(&answer, into), Some(whole(to, from, turn(ports), protocol)));
            }
        }
        assert!(taken[0] == 4000 && taken[1] != 4000 && taken[..2] == taken[2..], "{taken:?}");
        if protocol != 1 {
            assert_eq!(pass(&whole(to, ours, (ports.1, 4001), protocol), into), None);
        }
    }
}

#[test]
fn rules_choose_the_message() {
    let text =
        "reject with host-prohibited in ipv4\nreject with reject-route in ipv6 udp\nreject with admin-prohibited in";
    let rules = skep_firewall::parse(text, &|_| Err(String::new())).unwrap();
    assert_eq!(rules.to_string(), format!("default in accept\ndefault out accept\n{text}\n"));
    let mut machine = Machine::new(&plan(&rules, &|_| None).unwrap()).unwrap();
    for (from, to, protocol, told) in [
        ("10.0.0.1", "10.0.0.2", 6, (3, 10)),
        ("10.0.0.1", "10.0.0.2", 17, (3, 10)),
        ("fd00::1", "fd00::2", 17, (1, 6)),
        ("fd00::1", "fd00::2", 6, (1, 1)),
    ] {
        let packet = whole(from, to, (1000, 80), protocol);
        let answer = machine.run(&packet, Place::default()).unwrap().answer.unwrap();
        assert!(is_whole(&answer), "{answer:02x?}");
        assert_eq!(known(&answer).icmp, Some(told), "{from} {protocol}");
    }
    for (text, why) in [
        ("reject with host-prohibited in", "write `ipv4`"),
        ("reject with policy-fail in ipv4", "write `ipv6`"),
        ("reject with nothing in", "there are: port-unreachable"),
        ("default in reject with proto-unreachable", "both versions"),
    ] {
        let errors = skep_firewall::parse(text, &|_| Err(String::new())).unwrap_err();
        let said = format!("{} {:?}", errors[0].message, errors[0].help);
        assert!(errors.len() == 1 && said.contains(why), "{text}: {said}");
    }
}
