//! Properties that any bytes at all must satisfy when they are decoded and printed. Used by tests and by the fuzzer.

use crate::decode::Layers;
use crate::dns::{DomainSet, Event, Message, Tracker, TrackerOptions, report};
use crate::print::{Dump, PrintOptions, Printer, TimeStyle};
use crate::{LinkType, Packet, Timestamp};

/// Link types whose decoders are tried.
pub const LINKS: [LinkType; 20] = [
    LinkType::EN10MB,
    LinkType::RAW,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::PPP,
    LinkType::PPP_SERIAL,
    LinkType::PPP_ETHER,
    LinkType::C_HDLC,
    LinkType::IEEE802_11,
    LinkType::IEEE802_11_RADIO,
    LinkType::PRISM_HEADER,
    LinkType::IEEE802_11_RADIO_AVS,
    LinkType::PPI,
    LinkType::ENC,
    LinkType::PPP_PPPD,
    LinkType::USB_LINUX,
];

/// Takes link type, options and length from the first bytes, and the packet from the rest. Decoding must not panic,
/// inner packets must end, and no control character may reach the output.
///
/// # Panics
/// If a property does not hold.
pub fn decode(bytes: &[u8]) {
    let [choice, style, longer, data @ ..] = bytes else { return };
    let link = LINKS[usize::from(*choice) % LINKS.len()];
    let packet = Packet::new(
        Timestamp(i64::from(*longer) << 55),
        data,
        data.len() as u32 + u32::from(*longer % 4) * u32::from(*longer),
        link,
    );
    let mut layers = Layers::of(link, packet.data, packet.orig_len);
    let mut levels = 0;
    while let Some((_, inner)) = layers.inner() {
        layers = inner;
        levels += 1;
        assert!(levels <= data.len(), "inner packets do not end");
    }
    let mut out = Vec::new();
    for options in [options(*style), PrintOptions { verbose: 2, link: true, ..PrintOptions::default() }] {
        let mut printer = Printer::new(options);
        printer.line(&mut out, &packet);
        printer.line(&mut out, &packet);
    }
    assert_harmless(&out);
    out.clear();
    Printer::new(PrintOptions { json: true, ..options(*style) }).line(&mut out, &packet);
    assert_eq!(out.pop(), Some(b'\n'));
    assert_harmless(&out);
    assert_json(&out);
}

fn options(style: u8) -> PrintOptions {
    PrintOptions {
        time: TimeStyle::from_count(style % 6),
        nanos: style & 1 != 0,
        link: style & 2 != 0,
        verbose: style >> 2 & 3,
        quiet: style & 16 != 0,
        dump: [Dump::None, Dump::Hex, Dump::HexAscii, Dump::Ascii][usize::from(style >> 5 & 3)],
        dump_link: style & 128 != 0,
        numeric: style & 8 == 0,
        absolute_seq: style & 4 != 0,
        no_checksums: style & 32 != 0,
        json: false,
    }
}

fn assert_harmless(out: &[u8]) {
    let bad = out.iter().find(|byte| (**byte < b' ' && !matches!(byte, b'\n' | b'\t')) || **byte == 0x7f);
    assert_eq!(bad, None, "a control character reached the output: {}", String::from_utf8_lossy(out));
}

/// Takes the bytes as a DNS message, as the payload of DNS packets over UDP, and cut into segments over TCP.
///
/// # Panics
/// If a property does not hold.
pub fn dns(bytes: &[u8]) {
    let mut text = Vec::new();
    if let Ok(message) = Message::parse(bytes) {
        let set = DomainSet::new(["com", "=a.b", "*x*y?"]).unwrap_or_default();
        for name in message.questions().flatten().map(|question| question.name) {
            let _ = set.matches(&name, &mut text);
            let same = name;
            assert!(name == same && name.labels().count() < 128);
        }
        text.clear();
        let records = message.records().filter(Result::is_ok).count();
        for data in message.records().flatten().flat_map(|record| record.data()) {
            data.write(&mut text);
        }
        assert_harmless(&text);
        if message.check().is_ok() && !message.is_truncated() {
            let counts = message.counts();
            assert_eq!(records, counts[1..].iter().map(|count| usize::from(*count)).sum::<usize>());
        }
    }
    let mut tracker = Tracker::new(TrackerOptions { most_pending: 8, most_flows: 4, ..TrackerOptions::default() });
    let mut out = Vec::new();
    let mut events = 0;
    let mut sink = |event: Event| {
        events += 1;
        report::line(&mut out, &event);
        let before = out.len();
        report::json(&mut out, &event);
        assert_json(&out[before..]);
    };
    let (half, step) = (bytes.len() / 2, usize::from(bytes.first().copied().unwrap_or(1)) + 1);
    for (n, (proto, body)) in [(17, bytes), (17, &bytes[..half]), (17, &bytes[half..])].into_iter().enumerate() {
        feed(&mut tracker, n as i64, &packet(proto, n % 2 == 0, 0, body), &mut sink);
    }
    let mut stream = (bytes.len() as u16).to_be_bytes().to_vec();
    stream.extend_from_slice(bytes);
    stream.extend_from_slice(bytes);
    for (n, piece) in stream.chunks(step).enumerate() {
        let seq = (n * step) as u32;
        feed(&mut tracker, n as i64, &packet(6, step.is_multiple_of(2), seq, piece), &mut sink);
    }
    tracker.finish(&mut sink);
    assert_eq!(tracker.waiting(), 0);
    assert!(events <= tracker.counts().messages + tracker.counts().queries);
    assert_harmless(&out);
}

/// One JSON object in UTF-8 and nothing else (RFC 8259).
fn assert_json(text: &[u8]) {
    let shown = String::from_utf8_lossy(text);
    assert!(std::str::from_utf8(text).is_ok(), "not UTF-8: {shown}");
    assert!(text.starts_with(b"{") && json_value(text) == Some(b""), "not JSON: {shown}");
}

/// What follows a JSON value without blanks; `None` if there is none. Our output nests only a few levels deep.
fn json_value(text: &[u8]) -> Option<&[u8]> {
    match text.first()? {
        b'{' => json_list(&text[1..], b'}', |member| json_value(json_string(member)?.strip_prefix(b":")?)),
        b'[' => json_list(&text[1..], b']', json_value),
        b'"' => json_string(text),
        b't' => text.strip_prefix(b"true"),
        b'f' => text.strip_prefix(b"false"),
        _ => {
            let digits = text.strip_prefix(b"-").unwrap_or(text);
            let whole = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let rest = &digits[whole..];
            if whole == 0 || (whole > 1 && digits[0] == b'0') {
                return None;
            }
            let Some(fraction) = rest.strip_prefix(b".") else { return Some(rest) };
            let places = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (places > 0).then(|| &fraction[places..])
        }
    }
}

fn json_list(mut text: &[u8], end: u8, item: impl Fn(&[u8]) -> Option<&[u8]>) -> Option<&[u8]> {
    if *text.first()? == end {
        return Some(&text[1..]);
    }
    loop {
        let rest = item(text)?;
        match *rest.first()? {
            b',' => text = &rest[1..],
            byte if byte == end => return Some(&rest[1..]),
            _ => return None,
        }
    }
}

fn json_string(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        match rest {
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'"' | b'\\' | b'n' | b'r' | b't', tail @ ..] => rest = tail,
            [b'\\', b'u', hex @ ..] => {
                let (digits, tail) = hex.split_at_checked(4)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                rest = tail;
            }
            [byte, tail @ ..] if *byte >= b' ' && *byte != b'\\' => rest = tail,
            _ => return None,
        }
    }
}

fn feed(tracker: &mut Tracker, second: i64, bytes: &[u8], sink: &mut dyn FnMut(Event)) {
    let packet = Packet::new(Timestamp::new(second, 0), bytes, bytes.len() as u32, LinkType::RAW);
    tracker.packet(&packet, sink);
}

/// A raw IPv4 packet from or to port 53.
fn packet(proto: u8, query: bool, seq: u32, body: &[u8]) -> Vec<u8> {
    let body = body.get(..60_000).unwrap_or(body);
    let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 1];
    let ports: [u16; 2] = if query { [4000, 53] } else { [53, 4000] };
    ports.iter().for_each(|port| packet.extend(port.to_be_bytes()));
    if proto == 17 {
        packet.extend((body.len() as u16 + 8).to_be_bytes());
        packet.extend([0, 0]);
    } else {
        packet.extend(seq.to_be_bytes());
        packet.extend([0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    }
    packet.extend_from_slice(body);
    let total = packet.len() as u16;
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet
}
