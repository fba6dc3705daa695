//! The DNS decoder and tracker against the installed tshark: the same fields and the same latencies on a capture that
//! is built here.

mod build;

use build::{Ends, Random};
use skep_packet::decode::{Layers, Transport};
use skep_packet::dns::{Event, Message, RData, Tracker, TrackerOptions, rtype};
use skep_packet::{LinkType, Packet, Timestamp, WriteOptions, Writer};
use std::path::{Path, PathBuf};
use std::process::Command;

const FIELDS: [&str; 14] = [
    "dns.id",
    "dns.flags.response",
    "dns.flags.rcode",
    "dns.count.answers",
    "dns.qry.name",
    "dns.qry.type",
    "dns.resp.type",
    "dns.a",
    "dns.aaaa",
    "dns.mx.mail_exchange",
    "dns.srv.target",
    "dns.soa.mname",
    "dns.txt",
    "dns.time",
];

struct Capture {
    packets: Vec<(Timestamp, Vec<u8>)>,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Capture {
    fn new(packets: Vec<(Timestamp, Vec<u8>)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dns.pcap");
        let mut writer = Writer::create(&path, &WriteOptions::new(LinkType::EN10MB)).unwrap();
        for (ts, bytes) in &packets {
            writer.write(&Packet::new(*ts, bytes, bytes.len() as u32, LinkType::EN10MB)).unwrap();
        }
        writer.finish().unwrap();
        Self { packets, path, _dir: dir }
    }
}

/// One row per packet, one column per field; `None` if tshark is not installed.
fn tshark(path: &Path) -> Option<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r"]).arg(path).args(["-T", "fields", "-E", "separator=/t", "-E", "aggregator=;"]);
    // Fragments and retries are looked at one by one, as the decoder does.
    command.args(["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let Ok(out) = command.output() else {
        println!("SKIPPED: tshark is not installed");
        return None;
    };
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    Some(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// A packet around a message: IPv4 with and without options, IPv6 with and without extension headers, VLAN.
fn wrap(r: &mut Random, message: &[u8], client_port: u16) -> Vec<u8> {
    let response = message[2] & 0x80 != 0;
    let (client4, server4) = ([10, 0, 0, 1], [10, 0, 0, 53]);
    let mut v6 = (
        [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53],
    );
    let mut v4 = (client4, server4);
    let mut ports = (client_port, 53);
    if response {
        v4 = (v4.1, v4.0);
        v6 = (v6.1, v6.0);
        ports = (ports.1, ports.0);
    }
    // The form follows from the port, so that a response takes the same way as its query.
    let four = client_port.is_multiple_of(2);
    let ends = if four { Ends::V4(v4.0, v4.1) } else { Ends::V6(v6.0, v6.1) };
    let udp = build::udp_packet(&ends, ports, message);
    let (ethertype, packet) = if four {
        (0x0800u16, build::ipv4_options(v4.0, v4.1, 17, &udp, if r.one_in(2) { &[0x94, 4, 0, 0] } else { &[] }))
    } else if r.one_in(2) {
        let headers = [&[60, 0, 5, 2, 0, 0, 1, 0, 17, 0, 1, 4, 0, 0, 0, 0][..], &udp].concat();
        (0x86dd, build::ipv6_plain(v6.0, v6.1, 0, &headers))
    } else {
        (0x86dd, build::ipv6_plain(v6.0, v6.1, 17, &udp))
    };
    if r.one_in(3) {
        build::eth(0x8100, &[&[0, 7][..], &ethertype.to_be_bytes(), &packet].concat())
    } else {
        build::eth(ethertype, &packet)
    }
}

/// What the decoder says, in tshark's form.
fn our_fields(bytes: &[u8]) -> Vec<String> {
    let layers = Layers::of(LinkType::EN10MB, bytes, bytes.len() as u32);
    let Transport::Udp(udp) = layers.transport else { panic!("not UDP: {layers:?}") };
    let message = Message::parse(udp.payload.data).unwrap();
    assert_eq!(message.check(), Ok(()));
    let question = message.questions().next().unwrap().unwrap();
    let records: Vec<_> = message.records().map(Result::unwrap).collect();
    let join = |pick: &dyn Fn(&RData<'_>) -> Option<String>| {
        records.iter().filter_map(|record| pick(&record.data().unwrap())).collect::<Vec<_>>().join(";")
    };
    let types: Vec<String> = records.iter().map(|record| record.rtype.to_string()).collect();
    let strings = |text: &[u8]| {
        let mut rest = text;
        let mut all = Vec::new();
        while let Some((&length, tail)) = rest.split_first() {
            let (string, tail) = tail.split_at(length.into());
            all.push(String::from_utf8_lossy(string).into_owned());
            rest = tail;
        }
        all.join(";")
    };
    vec![
        format!("0x{:04x}", message.id()),
        if message.is_response() { "True" } else { "False" }.to_owned(),
        if message.is_response() { message.header_rcode().to_string() } else { String::new() },
        message.counts()[1].to_string(),
        question.name.to_string(),
        question.rtype.to_string(),
        types.join(";"),
        join(&|data| match data {
            RData::A(address) => Some(std::net::Ipv4Addr::from(*address).to_string()),
            _ => None,
        }),
        join(&|data| match data {
            RData::Aaaa(address) => Some(std::net::Ipv6Addr::from(*address).to_string()),
            _ => None,
        }),
        join(&|data| match data {
            RData::Mx { host, .. } => Some(host.to_string()),
            _ => None,
        }),
        join(&|data| match data {
            RData::Srv { target, .. } => Some(target.to_string()),
            _ => None,
        }),
        join(&|data| match data {
            RData::Soa { primary, .. } => Some(primary.to_string()),
            _ => None,
        }),
        join(&|data| match data {
            RData::Text(text) => Some(strings(text)),
            _ => None,
        }),
    ]
}

#[test]
fn messages_have_the_same_fields() {
    let mut r = Random::new(11);
    let packets = (0..1500)
        .map(|n| {
            // tshark names the sections of updates differently.
            let mut message = build::dns(&mut r);
            while message[2] >> 3 & 15 == 5 {
                message = build::dns(&mut r);
            }
            let port = 20_000 + n as u16;
            (Timestamp::new(1_700_000_000 + n, 0), wrap(&mut r, &message, port))
        })
        .collect();
    let capture = Capture::new(packets);
    let Some(rows) = tshark(&capture.path) else { return };
    assert_eq!(rows.len(), capture.packets.len());
    for (n, (row, (_, bytes))) in rows.iter().zip(&capture.packets).enumerate() {
        let ours = our_fields(bytes);
        for ((field, theirs), ours) in FIELDS.iter().zip(row).zip(&ours) {
            // Newer and older versions write booleans differently.
            let theirs = match theirs.as_str() {
                "1" if *field == "dns.flags.response" => "True",
                "0" if *field == "dns.flags.response" => "False",
                other => other,
            };
            assert_eq!(theirs, ours, "packet {} field {field}: tshark left, skep right", n + 1);
        }
    }
    println!("{} packets, {} fields: all equal", rows.len(), FIELDS.len() - 1);
}

#[test]
fn latencies_are_the_same() {
    let mut r = Random::new(12);
    let mut packets = Vec::new();
    for n in 0..600u16 {
        let name = build::name(if r.one_in(2) { "Example.COM" } else { "other.example.net" });
        let message = |flags: u16| {
            let mut out = Vec::new();
            for word in [r_id(n), flags, 1, 0, 0, 0] {
                out.extend(word.to_be_bytes());
            }
            out.extend(&name);
            out.extend(rtype::A.to_be_bytes());
            out.extend([0, 1]);
            out
        };
        let start = Timestamp::new(1_700_000_000 + i64::from(n), r.below(900_000) as u32 * 1000);
        packets.push((start, wrap(&mut r, &message(0x0100), 30_000 + n)));
        if !r.one_in(5) {
            let end = Timestamp(start.0 + 1000 * (1 + r.below(90_000_000) as i64 / 100));
            packets.push((end, wrap(&mut r, &message(0x8180), 30_000 + n)));
        }
    }
    packets.sort_by_key(|packet| packet.0);
    let capture = Capture::new(packets);
    let mut tracker = Tracker::new(TrackerOptions::default());
    let (mut ours, mut silent) = (Vec::new(), 0);
    let mut sink = |event: Event| match event {
        Event::Answered(transaction) => ours.push(transaction.latency_ns().unwrap()),
        Event::Unanswered(_) => silent += 1,
        other => panic!("{other:?}"),
    };
    for (ts, bytes) in &capture.packets {
        tracker.packet(&Packet::new(*ts, bytes, bytes.len() as u32, LinkType::EN10MB), &mut sink);
    }
    tracker.finish(&mut sink);
    assert_eq!(ours.len() + silent, 600);
    let Some(rows) = tshark(&capture.path) else { return };
    let theirs: Vec<&String> = rows.iter().filter_map(|row| row.last()).filter(|time| !time.is_empty()).collect();
    assert_eq!(theirs.len(), ours.len());
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert_eq!(**theirs, format!("{}.{:09}", ours / 1_000_000_000, ours % 1_000_000_000));
    }
    println!("{} latencies: all equal; {silent} queries without a response", ours.len());
}

/// Identifiers repeat, as they do between hosts.
fn r_id(n: u16) -> u16 {
    n % 7
}
