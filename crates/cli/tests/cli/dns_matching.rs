//! What a filter for one domain has to get right: queries for it in every shape that networks carry are shown, others are
//! not, and no message ends the tool. Each row is something that known matchers of names in the kernel get wrong.

use serde_json::Value;
use skep_packet::{LinkType, Packet, Timestamp, WriteOptions, Writer};

use crate::support::skep;

/// A standard query, and a response.
const QUERY: u16 = 0x0100;
const RESPONSE: u16 = 0x8180;
/// Types of records.
const A: u16 = 1;
const AAAA: u16 = 28;
/// `No operation` three times, and the end of the options.
const OPTIONS: [u8; 4] = [1, 1, 1, 0];

/// A message with one question, which says that it has so many.
fn message(id: u16, name: &str, kind: u16, flags: u16, questions: u16) -> Vec<u8> {
    let words = [id, flags, questions, 0, 0, 0];
    let mut all: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    for label in name.split('.') {
        all.push(u8::try_from(label.len()).unwrap());
        all.extend(label.as_bytes());
    }
    all.push(0);
    all.extend([kind, 1].iter().flat_map(|word| word.to_be_bytes()));
    all
}

fn length(bytes: &[u8], more: usize) -> [u8; 2] {
    u16::try_from(bytes.len() + more).unwrap().to_be_bytes()
}

fn udp(port: u16, message: &[u8]) -> Vec<u8> {
    [&4000_u16.to_be_bytes()[..], &port.to_be_bytes(), &length(message, 8), &[0, 0], message].concat()
}

/// A segment that holds a message with its length in front.
fn tcp(message: &[u8]) -> Vec<u8> {
    let mut header = vec![0x0f, 0xa1, 0, 53, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 4, 0, 0, 0, 0, 0];
    header.extend(length(message, 0));
    header.extend(message);
    header
}

fn ipv4(protocol: u8, options: &[u8], body: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + options.len() / 4).unwrap();
    let head = [0x40 | words, 0];
    let rest = [0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 53];
    [&head[..], &length(body, usize::from(words) * 4), &rest, options, body].concat()
}

fn ipv6(body: &[u8]) -> Vec<u8> {
    let address = |last: u8| {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
        address[15] = last;
        address
    };
    [&[0x60, 0, 0, 0][..], &length(body, 0), &[17, 64], &address(1), &address(53), body].concat()
}

/// A frame, perhaps with a tag of a virtual network.
fn frame(kind: u16, tag: Option<u16>, body: &[u8]) -> Vec<u8> {
    let mut all = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    if let Some(tag) = tag {
        all.extend([0x8100, tag].iter().flat_map(|word| word.to_be_bytes()));
    }
    all.extend(kind.to_be_bytes());
    all.extend(body);
    all
}

fn over_ipv4(message: &[u8]) -> Vec<u8> {
    frame(0x0800, None, &ipv4(17, &[], &udp(53, message)))
}

#[test]
fn one_domain_in_every_shape() {
    let query = |id, name: &str| message(id, name, A, QUERY, 1);
    // TABLE: what it is, the frame, and the name that is shown.
    let rows: Vec<(&str, Vec<u8>, Option<&str>)> = vec![
        ("A over IPv4", over_ipv4(&query(1, "foo.bar")), Some("foo.bar")),
        ("AAAA over IPv4", over_ipv4(&message(2, "foo.bar", AAAA, QUERY, 1)), Some("foo.bar")),
        ("letters of both cases", over_ipv4(&query(3, "FoO.bar")), Some("FoO.bar")),
        ("a name below it", over_ipv4(&query(4, "www.foo.bar")), Some("www.foo.bar")),
        ("IPv6", frame(0x86dd, None, &ipv6(&udp(53, &query(5, "foo.bar")))), Some("foo.bar")),
        (
            "IPv4 with options",
            frame(0x0800, None, &ipv4(17, &OPTIONS, &udp(53, &query(6, "foo.bar")))),
            Some("foo.bar"),
        ),
        ("another port", frame(0x0800, None, &ipv4(17, &[], &udp(5353, &query(7, "foo.bar")))), Some("foo.bar")),
        ("TCP", frame(0x0800, None, &ipv4(6, &[], &tcp(&query(8, "foo.bar")))), Some("foo.bar")),
        ("a response about another name", over_ipv4(&message(9, "unrelated.example", A, RESPONSE, 1)), None),
        ("more questions than there are", over_ipv4(&message(10, "foo.bar", A, QUERY, 5)), Some("foo.bar")),
        ("a tagged frame", frame(0x0800, Some(7), &ipv4(17, &[], &udp(53, &query(11, "foo.bar")))), Some("foo.bar")),
        ("a name that only begins like it", over_ipv4(&query(12, "foo.bart")), None),
        ("a name that only ends like it", over_ipv4(&query(13, "xfoo.bar")), None),
        ("after all of that", over_ipv4(&query(14, "end.foo.bar")), Some("end.foo.bar")),
    ];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dns.pcap");
    let mut writer = Writer::create(&file, &WriteOptions::new(LinkType::EN10MB)).unwrap();
    for (second, (_, data, _)) in (0..).zip(&rows) {
        let ts = Timestamp::new(1_700_000_000 + second, 0);
        writer.write(&Packet::new(ts, data, u32::try_from(data.len()).unwrap(), LinkType::EN10MB)).unwrap();
    }
    writer.finish().unwrap();
    let ports = ["--port", "53", "--port", "5353", "--json"];
    let run = skep([&["dns", "-r", file.to_str().unwrap(), "-d", "foo.bar"][..], &ports].concat()).ok();
    let events: Vec<Value> = run.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (id, (what, _, expected)) in (1..).zip(&rows) {
        let found = events.iter().find(|event| event["id"] == id);
        assert_eq!(found.and_then(|event| event["name"].as_str()), *expected, "{what}: {run:?}");
    }
    assert_eq!(events.len(), rows.iter().filter(|row| row.2.is_some()).count(), "{run:?}");
}
