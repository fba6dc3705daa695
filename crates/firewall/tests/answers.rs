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
