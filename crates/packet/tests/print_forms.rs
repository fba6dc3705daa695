//! Forms of output that tcpdump does not have: JSON, TLS names, interfaces of cooked captures, reports about DNS.

mod build;

use build::{Ends, tcp_segment};
use skep_packet::dns::{DomainSet, Event, Tracker, TrackerOptions, report};
use skep_packet::print::{PrintOptions, Printer, TimeStyle};
use skep_packet::{LinkType, Packet, Timestamp};

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 53];

fn print(options: PrintOptions, link: LinkType, bytes: &[u8]) -> String {
    let mut printer = Printer::new(options);
    printer.set_interface_name(3, "eth\x1b3");
    let mut out = Vec::new();
    let ts = Timestamp::new(1_700_000_000, 5_000);
    printer.line(&mut out, &Packet::new(ts, bytes, bytes.len() as u32, link));
    String::from_utf8(out).unwrap()
}

fn line(link: LinkType, bytes: &[u8]) -> String {
    print(PrintOptions { time: TimeStyle::Off, numeric: true, ..PrintOptions::default() }, link, bytes)
}

fn json(link: LinkType, bytes: &[u8]) -> String {
    print(PrintOptions { json: true, ..PrintOptions::default() }, link, bytes)
}

fn tcp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let segment = tcp_segment(&Ends::V4(CLIENT, SERVER), ports, (1, 1), 0x18, 500, &[], payload);
    build::ipv4_plain(CLIENT, SERVER, 6, &segment)
}

/// A query or response for `A www.example.com`.
fn message(id: u16, flags: u16, answers: &[[u8; 4]]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [id, flags, 1, answers.len() as u16, 0, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend(build::name("www.Example.com"));
    out.extend([0, 1, 0, 1]);
    for address in answers {
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        out.extend(address);
    }
    out
}

fn udp(query: bool, message: &[u8]) -> Vec<u8> {
    let (src, dst, ports) = if query { (CLIENT, SERVER, (4000, 53)) } else { (SERVER, CLIENT, (53, 4000)) };
    build::ipv4_plain(src, dst, 17, &build::udp_packet(&Ends::V4(src, dst), ports, message))
}

/// A TLS ClientHello whose only extension is the server name.
fn client_hello(name: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend((name.len() as u16 + 9).to_be_bytes());
    body.extend([0, 0]);
    for extra in [5u16, 3] {
        body.extend((name.len() as u16 + extra).to_be_bytes());
    }
    body.push(0);
    body.extend((name.len() as u16).to_be_bytes());
    body.extend(name);
    let mut record = vec![22, 3, 1];
    record.extend((body.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

#[test]
fn payloads_of_connections() {
    let text = line(LinkType::RAW, &tcp((5000, 443), &client_hello(b"www.example.com")));
    assert!(text.ends_with(": TLS ClientHello www.example.com\n"), "{text}");
    let text = line(LinkType::RAW, &tcp((5000, 443), &client_hello(b"evil\x1b[2J")));
    assert!(text.ends_with(": TLS ClientHello evil^[[2J\n"), "{text}");
    let text = line(LinkType::RAW, &tcp((5000, 8000), b"GET /\x07x HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(text.ends_with("length 29: HTTP: GET /^Gx HTTP/1.1\n"), "{text}");
    let text = line(LinkType::RAW, &tcp((22, 5000), b"SSH-2.0-x\r\n"));
    assert!(text.ends_with(": SSH: SSH-2.0-x\n"), "{text}");
    let two = [&[0, 33][..], &message(7, 0x100, &[]), &[0, 33], &message(8, 0x100, &[]), &[0, 99, 1]].concat();
    let text = line(LinkType::RAW, &tcp((5000, 53), &two));
    let expect =
        "length 73 7+ A? www.Example.com. (33) 8+ A? www.Example.com. (33) [DNS message of 99 bytes, 1 here]\n";
    assert!(text.ends_with(expect), "{text}");
}

#[test]
fn cooked_captures_name_the_interface() {
    let mut bytes = vec![8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    bytes.extend(udp(true, &message(1, 0x100, &[])));
    let text = line(LinkType::LINUX_SLL2, &bytes);
    assert_eq!(text, "eth3  Out IP 10.0.0.1.4000 > 10.0.0.53.53: 1+ A? www.Example.com. (33)\n");
    let text = json(LinkType::LINUX_SLL2, &bytes);
    assert!(text.contains(r#""interface":"eth3","direction":"out""#), "{text}");
}

#[test]
fn json_has_typed_fields() {
    let frame = build::eth(0x8100, &[&[0x20, 7, 8, 0][..], &udp(false, &message(9, 0x8180, &[[1, 2, 3, 4]]))].concat());
    let expect = concat!(
        r#"{"ts":1700000000.000005000,"len":95,"caplen":95,"link":"EN10MB","#,
        r#""eth":{"src":"02:00:00:00:00:01","dst":"02:00:00:00:00:02"},"vlan":[7],"ethertype":2048,"#,
        r#""ip":{"version":4,"src":"10.0.0.53","dst":"10.0.0.1","proto":17,"proto_name":"udp","ttl":64,"tos":0,"#,
        r#""len":77,"id":4660},"sport":53,"dport":4000,"udp":{"len":49},"#,
        r#""dns":{"id":9,"response":true,"rcode":"NOERROR","questions":[{"name":"www.Example.com","type":"A"}],"#,
        r#""answers":[{"name":"www.Example.com","type":"A","ttl":60,"data":"1.2.3.4"}]}}"#,
        "\n"
    );
    assert_eq!(json(LinkType::EN10MB, &frame), expect);
    let text = json(LinkType::RAW, &tcp((5000, 443), &client_hello(b"a\"b")));
    assert!(text.contains(r#""tcp":{"flags":"P.","seq":1,"ack":1,"window":500,"len":64}"#), "{text}");
    assert!(text.contains(r#""tls_sni":"a\"b""#), "{text}");
    let text = json(LinkType::RAW, &tcp((5000, 80), b"GET / HTTP/1.1\r\n\r\n"));
    assert!(text.contains(r#""http":"GET / HTTP/1.1""#), "{text}");
    let text = json(LinkType::RAW, &tcp((5000, 80), b"")[..30]);
    assert!(text.ends_with("\"error\":\"cut off in tcp\"}\n"), "{text}");
    let vxlan = [&[8, 0, 0, 0, 0, 0, 42, 0][..], &build::eth(0x0800, &tcp((1, 2), b""))].concat();
    let outer = build::udp_packet(&Ends::V4(CLIENT, SERVER), (9999, 4789), &vxlan);
    let text = json(LinkType::RAW, &build::ipv4_plain(CLIENT, SERVER, 17, &outer));
    assert!(text.contains(r#""tunnel":{"kind":"vxlan","id":42,"ethertype":2048,"ip":{"version":4,"#), "{text}");
}

fn track(packets: &[(i64, Vec<u8>)]) -> (Tracker, Vec<Event>) {
    let mut tracker = Tracker::new(TrackerOptions::default());
    let mut events = Vec::new();
    for (millis, bytes) in packets {
        let ts = Timestamp::new(1_700_000_000, 0);
        let packet = Packet::new(Timestamp(ts.0 + millis * 1_000_000), bytes, bytes.len() as u32, LinkType::RAW);
        tracker.packet(&packet, &mut |event| events.push(event));
    }
    tracker.finish(&mut |event| events.push(event));
    (tracker, events)
}

fn table(event: &Event) -> String {
    let mut out = Vec::new();
    report::line(&mut out, event);
    String::from_utf8(out).unwrap().split_off(16)
}

#[test]
fn reports_about_dns() {
    let (tracker, events) = track(&[
        (0, udp(true, &message(1, 0x100, &[]))),
        (1, udp(true, &message(1, 0x100, &[]))),
        (12, udp(false, &message(1, 0x8180, &[[1, 2, 3, 4], [5, 6, 7, 8]]))),
        (20, udp(false, &message(2, 0x8182, &[]))),
        (30, udp(true, b"rubbish")),
        (40, udp(true, &message(3, 0x100, &[]))),
    ]);
    let lines: Vec<String> = events.iter().map(table).collect();
    let head = "10.0.0.1:4000         10.0.0.53:53         ";
    assert_eq!(
        lines,
        [
            format!(
                "{head} A      NOERROR    12.000ms  www.Example.com -> 1.2.3.4 (ttl 60), 5.6.7.8 (ttl 60) [asked 2 times]\n"
            ),
            format!("{head} A      SERVFAIL          -  www.Example.com [query not seen]\n"),
            format!("{head} -      MALFORMED         -  not a DNS message (7 bytes, byte 7: the message ends early)\n"),
            format!("{head} A      -              none  www.Example.com [no response]\n"),
        ]
    );
    let select = |change: &dyn Fn(&mut report::Selection)| {
        let mut selection = report::Selection::default();
        change(&mut selection);
        events.iter().map(|event| selection.accepts(event)).collect::<Vec<_>>()
    };
    assert_eq!(select(&|_| {}), [true; 4]);
    assert_eq!(select(&|s| s.failed = true), [false, true, true, true]);
    assert_eq!(select(&|s| s.unanswered = true), [false, false, false, true]);
    assert_eq!(select(&|s| s.slower_than_ns = Some(12_000_000)), [true, false, false, true]);
    assert_eq!(select(&|s| s.types = vec![28]), [false; 4]);
    assert_eq!(select(&|s| s.domains = DomainSet::new(["example.COM"]).unwrap()), [true, true, false, true]);
    let mut statistics = report::Statistics::default();
    events.iter().for_each(|event| statistics.add(event));
    let mut out = Vec::new();
    statistics.summary(&mut out, &tracker.counts(), 5);
    let expect = "\
1 answered, 1 unanswered, 1 without query, 1 malformed; 1 retries, 0 repeated responses
latency: min 12.000ms, median 12.000ms, p90 12.000ms, p99 12.000ms, max 12.000ms, mean 12.000ms
rcodes: NOERROR 1, SERVFAIL 1
types: A 3
top names:
         3  www.example.com
top servers:
         3  10.0.0.53
";
    assert_eq!(String::from_utf8(out).unwrap(), expect);
}

#[test]
fn tcp_segments_fragments_and_tunnels_are_followed() {
    let ends = (CLIENT, SERVER);
    let query = [&[0, 33][..], &message(5, 0x100, &[]), &[0, 33], &message(6, 0x100, &[])].concat();
    let reply = message(6, 0x8180, &[[9, 9, 9, 9]]);
    let reply = [&(reply.len() as u16).to_be_bytes()[..], &reply].concat();
    let out = |seq: u32, payload: &[u8]| {
        let segment = tcp_segment(&Ends::V4(ends.0, ends.1), (4000, 53), (seq, 1), 0x18, 9, &[], payload);
        build::ipv4_plain(ends.0, ends.1, 6, &segment)
    };
    let back = |seq: u32, payload: &[u8]| {
        let segment = tcp_segment(&Ends::V4(ends.1, ends.0), (53, 4000), (seq, 1), 0x18, 9, &[], payload);
        build::ipv4_plain(ends.1, ends.0, 6, &segment)
    };
    let vxlan = [&[8, 0, 0, 0, 0, 0, 42, 0][..], &build::eth(0x0800, &udp(true, &message(8, 0x100, &[])))].concat();
    let tunnelled =
        build::ipv4_plain(CLIENT, SERVER, 17, &build::udp_packet(&Ends::V4(CLIENT, SERVER), (9999, 4789), &vxlan));
    let mut later = udp(true, &message(7, 0x100, &[]));
    later[7] = 5;
    let (tracker, events) = track(&[
        (0, out(100, &query[..50])),
        (1, out(150, &query[50..])),
        (2, later),
        (3, back(500, &reply[..2])),
        (4, back(502, &reply[2..])),
        (5, tunnelled),
    ]);
    let lines: Vec<String> = events.iter().map(table).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].contains("NOERROR     3.000ms  www.Example.com -> 9.9.9.9 (ttl 60) [tcp]"), "{lines:?}");
    assert!(lines[1].contains("www.Example.com [tcp, no response]") && lines[2].contains("[no response]"), "{lines:?}");
    let counts = tracker.counts();
    assert_eq!((counts.queries, counts.later_fragments, counts.malformed, counts.tcp_gaps), (3, 1, 0, 0));
}
