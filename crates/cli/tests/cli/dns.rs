//! `skep dns` on recordings.

use serde_json::Value;
use skep_packet::{LinkType, Packet, Timestamp, WriteOptions, Writer};

use crate::support::{Run, skep};

/// A DNS message over UDP over IPv4: a question for an A record and perhaps one answer.
fn packet(query: bool, id: u16, name: &str, rcode: u8, answer: Option<[u8; 4]>) -> Vec<u8> {
    let flags = if query { [1, 0] } else { [0x81, 0x80 | rcode] };
    let mut dns = [&id.to_be_bytes()[..], &flags, &[0, 1, 0, u8::from(answer.is_some()), 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        dns.push(label.len() as u8);
        dns.extend(label.as_bytes());
    }
    dns.extend([0, 0, 1, 0, 1]);
    if let Some(address) = answer {
        dns.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        dns.extend(address);
    }
    let (client, server) = (([10, 0, 0, 1], 4000u16), ([10, 0, 0, 53], 53u16));
    let (from, to) = if query { (client, server) } else { (server, client) };
    let total = (28 + dns.len()) as u16;
    let mut ip = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0];
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    ip.extend(from.0.into_iter().chain(to.0));
    for number in [from.1, to.1, total - 20, 0] {
        ip.extend(number.to_be_bytes());
    }
    ip.extend(dns);
    ip
}

fn run(options: &[&str]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dns.pcap");
    let mut writer = Writer::create(&file, &WriteOptions::new(LinkType::RAW)).unwrap();
    let mut at = |millis: u32, data: Vec<u8>| {
        let ts = Timestamp::new(1_700_000_000 + i64::from(millis / 1000), millis % 1000 * 1_000_000);
        writer.write(&Packet::new(ts, &data, data.len() as u32, LinkType::RAW)).unwrap();
    };
    at(0, packet(true, 1, "www.Example.com", 0, None));
    at(12, packet(false, 1, "www.example.com", 0, Some([192, 0, 2, 1])));
    at(20, packet(true, 2, "nosuch.test", 0, None));
    at(520, packet(false, 2, "nosuch.test", 3, None));
    at(600, packet(true, 3, "lost.example.com", 0, None));
    let mut damaged = packet(true, 4, "x.test", 0, None);
    damaged.truncate(40);
    at(700, damaged);
    writer.finish().unwrap();
    let args = [&["dns", "-r", file.to_str().unwrap()][..], options].concat();
    skep(args)
}

#[test]
fn queries_meet_their_answers() {
    let run = run(&[]).ok();
    let line =
        |part: &str| run.lines().into_iter().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{run:?}"));
    let answered = line("www.Example.com");
    for part in ["12.000ms", "NOERROR", "192.0.2.1", "10.0.0.53:53"] {
        assert!(answered.contains(part), "{part}: {answered}");
    }
    assert!(line("nosuch.test").contains("NXDOMAIN"));
    assert!(line("lost.example.com").contains("no response"));
    assert!(line("MALFORMED").contains("10.0.0.1"));
    assert!(run.err.contains("2 answered, 1 unanswered, 0 without query, 1 malformed"), "{}", run.err);
}

#[test]
fn choices_are_respected() {
    let shown = |options: &[&str]| {
        let run = run(options).ok();
        let names = ["www.Example.com", "nosuch.test", "lost.example.com", "MALFORMED"];
        names.map(|name| run.out.contains(name))
    };
    assert_eq!(shown(&["-d", "EXAMPLE.com"]), [true, false, true, false]);
    assert_eq!(shown(&["--domains", "*.test", "=www.example.com"]), [true, true, false, false]);
    assert_eq!(shown(&["--slow", "100"]), [false, true, true, false]);
    assert_eq!(shown(&["--failed"]), [false, true, true, true]);
    assert_eq!(shown(&["--unanswered"]), [false, false, true, false]);
    assert_eq!(shown(&["-c", "1"]), [true, false, false, false]);
    assert_eq!(shown(&["--port", "5353"]), [false; 4]);
}

#[test]
fn json_and_tables() {
    let run_json = run(&["--json"]).ok();
    let events: Vec<Value> = run_json.lines().into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered = events.iter().find(|event| event["event"] == "answered" && event["rcode"] == "NOERROR").unwrap();
    assert_eq!(answered["answers"][0]["data"], "192.0.2.1");
    assert_eq!(answered["latency_ms"].as_f64(), Some(12.0));
    assert_eq!(events.len(), 4);
    let table = run(&["--top", "2", "--json"]).ok();
    let table: Value = serde_json::from_str(&table.out).unwrap();
    assert_eq!((&table["answered"], table["names"].as_array().unwrap().len()), (&Value::from(2), 2));
    assert!(run(&["--top", "1"]).ok().out.contains("top names:"));
}
