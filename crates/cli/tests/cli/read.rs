//! `-r` without `-w`: counting and printing recordings.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use serde_json::Value;
use skep_packet::file::{Direction, Interface};
use skep_packet::{LinkType, Packet, Timestamp, WriteOptions, Writer};

use crate::support::{command, count_in, path, recording, skep, skep_with, tcpdump};

#[test]
fn counts_are_those_of_tcpdump() {
    for link in [LinkType::EN10MB, LinkType::RAW, LinkType::LINUX_SLL2, LinkType::NULL, LinkType::PPP] {
        let (file, _) = recording(link, 3000);
        for expression in ["", "ip", "tcp", "udp port 53", "host 10.0.0.1", "ip6 and not icmp6", "len > 60"] {
            // The installed one is of this release; later ones know more address families of BSD loopback.
            let ours = skep(["filter", "-r", path(&file), "--compat", "1.10", "--count", expression]).ok();
            let Some(theirs) = tcpdump(&["-r", path(&file), "--count", expression]) else { return };
            assert_eq!((&ours.out, count_in(&ours)), (&theirs.out, count_in(&theirs)), "{link} {expression}");
        }
    }
}

#[test]
fn recordings_of_the_other_byte_order_mean_the_same() {
    let (file, packets) = recording(LinkType::NULL, 1000);
    // The same packets as a machine of the other byte order would have written them.
    let swap = |word: &[u8]| word.iter().rev().copied().collect::<Vec<u8>>();
    let bytes = std::fs::read(file.path()).unwrap();
    let mut swapped: Vec<u8> = [swap(&bytes[..4]), swap(&bytes[4..6]), swap(&bytes[6..8])].concat();
    bytes[8..24].chunks(4).for_each(|word| swapped.extend(swap(word)));
    let mut at = 24;
    for packet in &packets {
        bytes[at..at + 16].chunks(4).for_each(|word| swapped.extend(swap(word)));
        let mut data = packet.data.clone();
        if let Some(family) = data.first_chunk_mut::<4>() {
            family.reverse();
        }
        swapped.extend(&data);
        at += 16 + data.len();
    }
    for expression in ["ip", "tcp", "ip6", "udp port 53"] {
        let count = count_in(&skep(["filter", "-r", path(&file), "--count", expression]).ok());
        assert!(count > 0, "{expression}");
        let other = skep_with(["filter", "-r", "-", "--count", expression], &swapped).ok();
        assert_eq!(count_in(&other), count, "{expression}");
    }
}

#[test]
fn what_is_read_is_said_as_tcpdump_does() {
    let (file, _) = recording(LinkType::EN10MB, 3);
    let Some(theirs) = tcpdump(&["-r", path(&file), "--count"]) else { return };
    let ours = skep(["filter", "-r", path(&file), "--count"]).ok();
    let banner = |text: &str| text.lines().find(|line| line.starts_with("reading from file")).map(str::to_owned);
    assert_eq!(banner(&ours.err), banner(&theirs.err));
}

#[test]
fn limits_and_numbers() {
    let (file, _) = recording(LinkType::EN10MB, 500);
    let all = skep(["filter", "-n", "-r", path(&file), "ip"]).ok();
    assert!(all.lines().len() > 20);
    let some = skep(["filter", "-n", "-r", path(&file), "-c", "5", "--skip", "3", "ip"]).ok();
    assert_eq!(some.lines(), all.lines()[3..8]);
    let numbered = skep(["filter", "-#n", "-r", path(&file), "-c3", "ip"]).ok();
    assert!(numbered.lines()[2].starts_with("    3  "), "{numbered:?}");
    assert_eq!(count_in(&skep(["filter", "-r", path(&file), "--count", "-c", "7"]).ok()), 7);
}

#[test]
fn json_has_one_object_for_each_packet() {
    let (file, _) = recording(LinkType::EN10MB, 400);
    let run = skep(["filter", "-r", path(&file), "--json", "-x", "ip or ip6 or arp"]).ok();
    let count = count_in(&skep(["filter", "-r", path(&file), "--count", "ip or ip6 or arp"]).ok());
    let objects: Vec<Value> = run.lines().into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len() as u64, count);
    for object in objects {
        let (length, data) = (object["caplen"].as_u64().unwrap(), object["data"].as_str().unwrap());
        assert_eq!(data.len() as u64, 2 * length, "{object}");
    }
    let count = skep(["filter", "-r", path(&file), "--json", "--count"]).ok();
    assert_eq!(serde_json::from_str::<Value>(&count.out).unwrap()["packets"], 400);
}

#[test]
fn standard_input_is_a_recording_too() {
    let (file, _) = recording(LinkType::EN10MB, 2000);
    let bytes = std::fs::read(file.path()).unwrap();
    let direct = skep(["filter", "-n", "-r", path(&file), "udp"]).ok();
    assert_eq!(skep_with(["filter", "-n", "-r", "-", "udp"], &bytes).ok().out, direct.out);
}

#[test]
fn packets_before_the_damage_are_delivered() {
    let (file, packets) = recording(LinkType::EN10MB, 50);
    let mut bytes = std::fs::read(file.path()).unwrap();
    let last = packets.iter().rposition(|packet| !packet.data.is_empty()).unwrap();
    let dropped: usize = packets[last..].iter().map(|packet| 16 + packet.data.len()).sum();
    bytes.truncate(bytes.len() - dropped + 17);
    let run = skep_with(["filter", "-n", "-r", "-"], &bytes);
    assert_eq!(
        (run.status, run.out.lines().filter(|line| !line.starts_with('\t')).count()),
        (Some(1), last),
        "{run:?}"
    );
    assert!(run.err.contains(&format!("at byte {}", bytes.len() - 17)), "{}", run.err);
    let run = skep_with(["filter", "-r", "-", "--count"], &bytes);
    assert_eq!((run.status, count_in(&run)), (Some(1), last as u64));
}

#[test]
fn closed_pipe_ends_it_quietly() {
    let (file, _) = recording(LinkType::EN10MB, 20_000);
    let mut child =
        command(["filter", "-n", "-r", path(&file)]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn closed_standard_error_is_no_reason_to_panic() {
    let (file, _) = recording(LinkType::EN10MB, 10);
    let mut child = command(["filter", "-r", path(&file), "--count"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"10 packets\n"[..]));
}

#[test]
fn interrupted_wait_for_a_pipe_ends_with_what_came() {
    let (file, _) = recording(LinkType::EN10MB, 100);
    let bytes = std::fs::read(file.path()).unwrap();
    let mut child = command(["filter", "-n", "-r", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Kept open: the reader waits for more.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bytes).unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // What has arrived is shown although more may come.
    out.read_line(&mut line).unwrap();
    assert!(line.ends_with('\n'));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(err.contains("interrupted after 100 packets"), "{err}");
}

/// A pcapng file with two link types; packets know their direction.
fn mixed(path: &std::path::Path) {
    let mut writer = Writer::create(path, &WriteOptions::new(LinkType::EN10MB)).unwrap();
    let interface = |link| Interface { link, snaplen: 262_144, link_extra: 0, digits: 6, name: None };
    writer.declare(0, &interface(LinkType::EN10MB));
    writer.declare(1, &interface(LinkType::RAW));
    let ip = [0x45, 0, 0, 30, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x20, 0, 0, 53, 0, 10, 0, 0, 1, 2];
    let ether = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &ip].concat();
    for (at, direction) in [Direction::Inbound, Direction::Outbound, Direction::Outbound].into_iter().enumerate() {
        for (number, link, data) in [(0, LinkType::EN10MB, &ether[..]), (1, LinkType::RAW, &ip[..])] {
            let mut packet = Packet::new(Timestamp::new(at as i64, 0), data, data.len() as u32, link);
            packet.interface = number;
            packet.direction = Some(direction);
            writer.write(&packet).unwrap();
        }
    }
    writer.finish().unwrap();
}

#[test]
fn every_link_type_has_a_program_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mixed.pcapng");
    mixed(&file);
    let file = file.to_str().unwrap();
    assert_eq!(count_in(&skep(["filter", "-r", file, "--count", "udp port 53"]).ok()), 6);
    // Raw packets have no Ethernet addresses: said once, and the others still count.
    let run = skep(["filter", "-r", file, "--count", "ether host 02:00:00:00:00:01"]).ok();
    assert_eq!(count_in(&run), 3);
    assert_eq!(run.err.matches("link type RAW are left out").count(), 1, "{}", run.err);
    let copy = directory.path().join("copy.pcapng");
    skep(["filter", "-r", file, "-w", copy.to_str().unwrap(), "udp"]).ok();
    assert_eq!(count_in(&skep(["filter", "-r", copy.to_str().unwrap(), "--count"]).ok()), 6);
}

#[test]
fn recordings_that_know_the_direction_answer_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mixed.pcapng");
    mixed(&file);
    let file = file.to_str().unwrap();
    for (expression, expected) in [("outbound and udp", 4), ("inbound", 2), ("outbound or inbound", 6)] {
        assert_eq!(count_in(&skep(["filter", "-r", file, "--count", expression]).ok()), expected, "{expression}");
    }
    let plain = recording(LinkType::EN10MB, 5).0;
    let run = skep(["filter", "-r", path(&plain), "--count", "inbound"]);
    assert_eq!(run.status, Some(2), "{run:?}");
}

#[test]
fn link_type_can_be_set() {
    let (file, _) = recording(LinkType::EN10MB, 200);
    let bare = count_in(&skep(["filter", "-r", path(&file), "--count", "-y", "RAW", "ip"]).ok());
    let Some(theirs) = tcpdump(&["-r", path(&file), "--count", "link[0] & 0xf0 = 0x40"]) else { return };
    assert_eq!(bare, count_in(&theirs));
}

#[test]
fn expression_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("expression");
    std::fs::write(&text, "ip # only version 4\n  and tcp # and this\n").unwrap();
    let text = text.to_str().unwrap();
    let from_file = skep(["filter", "-y", "EN10MB", "-F", text, "-d"]).ok();
    assert_eq!(from_file.out, skep(["filter", "-y", "EN10MB", "-d", "ip and tcp"]).ok().out);
    std::fs::write(text, "ip # fine\nand tcp prot 80\n").unwrap();
    let run = skep(["filter", "-F", text, "-d"]);
    assert_eq!(run.status, Some(2));
    assert!(run.err.contains(&format!("{text}:2:9")), "{}", run.err);
}
