//! The text printer against the installed tcpdump: the same packets, the same lines, over many options.
//!
//! The packets are built here from a fixed seed: TCP conversations, UDP, ICMP, ICMPv6, ARP, DNS, fragments, options,
//! extension headers, VLAN tags, MPLS, tunnels; whole and cut off. Protocols whose lines differ on purpose (the list is
//! in the documentation of `print`) are left out.

mod build;

use build::{Random, dns, eth, icmp, icmp6, ipv4, ipv6, tcp, udp};
use skep_packet::print::{Dump, PrintOptions, Printer, TimeStyle};
use skep_packet::{LinkType, Packet, Timestamp, WriteOptions, Writer};
use std::path::Path;
use std::process::Command;

struct Built {
    bytes: Vec<u8>,
    caplen: usize,
}

fn tcpdump_present() -> bool {
    let found = Command::new("tcpdump").arg("--version").output().is_ok_and(|out| {
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        text.contains("tcpdump version 4.99.")
    });
    if !found {
        println!("SKIPPED: tcpdump 4.99 is not installed");
    }
    found
}

/// Writes the packets to a file and compares the output of both programs.
fn compare(link: LinkType, packets: &[Built], options: &[(&[&str], PrintOptions)]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("packets.pcap");
    let mut writer = Writer::create(&path, &WriteOptions::new(link)).unwrap();
    for (n, packet) in packets.iter().enumerate() {
        writer.write(&packet_at(n, packet, link)).unwrap();
    }
    writer.finish().unwrap();
    for (arguments, options) in options {
        let theirs = tcpdump(&path, arguments);
        let mut ours = Vec::new();
        let mut printer = Printer::new(*options);
        for (n, packet) in packets.iter().enumerate() {
            printer.line(&mut ours, &packet_at(n, packet, link));
        }
        let ours = String::from_utf8_lossy(&ours).into_owned();
        for (n, (a, b)) in theirs.lines().zip(ours.lines()).enumerate() {
            assert_eq!(
                comparable(a),
                comparable(b),
                "line {n} of link {link} with {arguments:?}: tcpdump left, skep right"
            );
        }
        assert_eq!(theirs.lines().count(), ours.lines().count(), "{link} {arguments:?}");
    }
    println!("{link}: {} packets, {} sets of options: all lines equal", packets.len(), options.len());
}

/// Where a list of TCP options is cut off, tcpdump shows parts of the last option and sometimes an angle bracket; of a
/// header that is longer than its segment it shows a negative payload length as a large number.
fn comparable(line: &str) -> String {
    if let Some((head, tail)) = line.split_once(", options [")
        && tail.trim_end_matches('>').ends_with("[|tcp]")
    {
        return head.to_owned();
    }
    // It does not notice that the last bytes of a fragment header are missing.
    if let Some((head, _)) = line.split_once(" [|frag6]") {
        return head.trim_end().to_owned();
    }
    if line.contains("frag (") && line.ends_with(") ") {
        return line.trim_end().to_owned();
    }
    match line.split_once("tcp 42949") {
        Some((head, tail)) => format!("{head}tcp 0{}", tail.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => line.to_owned(),
    }
}

fn packet_at(n: usize, packet: &Built, link: LinkType) -> Packet<'_> {
    let nanos = (n as u32 * 137_137) % 1_000_000 * 1000;
    let ts = Timestamp::new(1_700_000_000 + n as i64 / 3, nanos);
    Packet::new(ts, &packet.bytes[..packet.caplen], packet.bytes.len() as u32, link)
}

fn tcpdump(path: &Path, arguments: &[&str]) -> String {
    let out = Command::new("tcpdump").args(arguments).arg("-r").arg(path).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn style(change: impl FnOnce(&mut PrintOptions)) -> PrintOptions {
    let mut options = PrintOptions { numeric: true, ..PrintOptions::default() };
    change(&mut options);
    options
}

/// Sets of options that do not dump bytes.
fn line_options() -> Vec<(&'static [&'static str], PrintOptions)> {
    vec![
        (&["-n"], style(|_| {})),
        (&["-n", "-t", "-v"], style(|o| (o.time, o.verbose) = (TimeStyle::Off, 1))),
        (&["-n", "-tt", "-vv"], style(|o| (o.time, o.verbose) = (TimeStyle::Epoch, 2))),
        (&["-n", "-ttt", "-e"], style(|o| (o.time, o.link) = (TimeStyle::Delta, true))),
        (&["-n", "-tttt", "-q"], style(|o| (o.time, o.quiet) = (TimeStyle::Date, true))),
        (
            &["-n", "-ttttt", "-S", "-K", "-v"],
            style(|o| {
                (o.time, o.absolute_seq, o.no_checksums, o.verbose) = (TimeStyle::SinceFirst, true, true, 1);
            }),
        ),
        (&["-n", "-t", "-e", "-v"], style(|o| (o.time, o.link, o.verbose) = (TimeStyle::Off, true, 1))),
        (&["-n", "-t", "-q", "-e"], style(|o| (o.time, o.quiet, o.link) = (TimeStyle::Off, true, true))),
    ]
}

fn dump_options() -> Vec<(&'static [&'static str], PrintOptions)> {
    vec![
        (&["-n", "-x"], style(|o| o.dump = Dump::Hex)),
        (&["-n", "-xx"], style(|o| (o.dump, o.dump_link) = (Dump::Hex, true))),
        (&["-n", "-X"], style(|o| o.dump = Dump::HexAscii)),
        (&["-n", "-XX", "-v"], style(|o| (o.dump, o.dump_link, o.verbose) = (Dump::HexAscii, true, 1))),
        (&["-n", "-A"], style(|o| o.dump = Dump::Ascii)),
        (&["-n", "-AA"], style(|o| (o.dump, o.dump_link) = (Dump::Ascii, true))),
    ]
}

/// A random transport packet in IPv4 or IPv6, with the EtherType.
fn network(r: &mut Random) -> (u16, Vec<u8>) {
    if r.one_in(2) { (0x0800, network4(r)) } else { (0x86dd, network6(r)) }
}

fn network4(r: &mut Random) -> Vec<u8> {
    let (src, dst) = (r.ipv4(), r.ipv4());
    let ends = build::Ends::V4(src, dst);
    let (proto, payload) = match r.below(8) {
        0..=2 => (6, tcp(r, &ends)),
        3 => (17, udp(r, &ends, None)),
        4 => (17, dns_packet(r, &ends)),
        5 | 6 => (1, icmp(r)),
        _ => (*r.pick(&[3, 50, 99, 108, 253]), r.bytes(8, 40)),
    };
    ipv4(r, src, dst, proto, payload)
}

fn network6(r: &mut Random) -> Vec<u8> {
    let (src, dst) = (r.ipv6(), r.ipv6());
    let ends = build::Ends::V6(src, dst);
    let (proto, payload) = match r.below(8) {
        0..=2 => (6, tcp(r, &ends)),
        3 => (17, udp(r, &ends, None)),
        4 => (17, dns_packet(r, &ends)),
        5 | 6 => (58, icmp6(r, &ends)),
        _ => (*r.pick(&[59, 253]), r.bytes(8, 40)),
    };
    ipv6(r, src, dst, proto, payload)
}

fn dns_packet(r: &mut Random, ends: &build::Ends) -> Vec<u8> {
    if r.plain {
        return udp(r, ends, None);
    }
    let message = dns(r);
    udp(r, ends, Some(message))
}

fn frame(r: &mut Random) -> Vec<u8> {
    let (ethertype, packet) = match r.below(12) {
        0 => (0x0806, build::arp(r)),
        1 => (0x8035, build::arp(r)),
        2 => {
            let (_, inner) = network(r);
            (0x8847, [&[0, 1, 0x60 | r.below(8) as u8 & 0x0e | 1, 64][..], &inner].concat())
        }
        3 => {
            let inner = network4(r);
            let length = (inner.len() as u16 + 2).to_be_bytes();
            (0x8864, [&[0x11, 0, 0, 9][..], &length, &[0, 0x21], &inner].concat())
        }
        _ => network(r),
    };
    match r.below(5) {
        0 => {
            let tag = r.next_u32().to_be_bytes();
            eth(0x8100, &[&tag[..2], &ethertype.to_be_bytes(), &packet].concat())
        }
        _ => eth(ethertype, &packet),
    }
}

fn build(r: &mut Random, n: usize, cut: bool, make: impl Fn(&mut Random) -> Vec<u8>) -> Vec<Built> {
    let one = |r: &mut Random| {
        let bytes = make(r);
        let caplen = if cut && r.one_in(2) { 1 + r.below(bytes.len()) } else { bytes.len() };
        Built { caplen: caplen.min(bytes.len()), bytes }
    };
    (0..n).map(|_| one(r)).collect()
}

#[test]
fn ethernet_lines_are_equal() {
    if tcpdump_present() {
        compare(LinkType::EN10MB, &build(&mut Random::new(1), 6000, false, frame), &line_options());
    }
}

/// Below the link header: with `-e` tcpdump does not show a link header of which anything is missing.
#[test]
fn cut_off_packets_are_equal() {
    if tcpdump_present() {
        // Of cut DNS messages tcpdump sometimes leaves out the mark, and it names cut IPv4 options in several ways.
        let mut random = Random::new(2);
        random.plain = true;
        let packets = build(&mut random, 6000, true, |r| network(r).1);
        compare(LinkType::RAW, &packets, &line_options());
    }
}

#[test]
fn dumps_are_equal() {
    if tcpdump_present() {
        compare(LinkType::EN10MB, &build(&mut Random::new(3), 600, false, frame), &dump_options());
    }
}

#[test]
fn other_link_types_are_equal() {
    if !tcpdump_present() {
        return;
    }
    /// Makes a link header for an EtherType.
    type Header = fn(u16) -> Vec<u8>;
    let headers: [(LinkType, Header); 4] = [
        (LinkType::LINUX_SLL, |ether| [&[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &ether.to_be_bytes()].concat()),
        (LinkType::NULL, |ether| if ether == 0x0800 { vec![2, 0, 0, 0] } else { vec![30, 0, 0, 0] }),
        (LinkType::LOOP, |ether| if ether == 0x0800 { vec![0, 0, 0, 2] } else { vec![0, 0, 0, 24] }),
        (LinkType::C_HDLC, |ether| [&[0x0f, 0][..], &ether.to_be_bytes()].concat()),
    ];
    for (link, header) in headers {
        let packets = build(&mut Random::new(4), 600, false, |r| {
            let (ether, packet) = network(r);
            [header(ether), packet].concat()
        });
        // With -q and -e tcpdump leaves out the link header of cooked packets, and does not shorten that of C-HDLC.
        let mut options = line_options();
        if matches!(link, LinkType::LINUX_SLL | LinkType::C_HDLC) {
            options.retain(|(arguments, _)| !arguments.ends_with(&["-q", "-e"]));
        }
        compare(link, &packets, &options);
        compare(link, &packets[..100], &dump_options());
    }
}

/// Without `-n` ports have names; tcpdump would look up addresses too, so it runs where no resolver answers.
#[test]
fn port_names_come_from_the_services_file() {
    let mut printer = Printer::new(PrintOptions { time: TimeStyle::Off, ..PrintOptions::default() });
    let services = skep_packet::print::services::Services::from_text("https 443/tcp\nhttps 443/udp\n");
    printer.set_services(services);
    let ends = build::Ends::V4([10, 0, 0, 1], [10, 0, 0, 2]);
    let segment = build::tcp_segment(&ends, (443, 51000), (1000, 0), 2, 64240, &[], b"");
    let bytes = build::ipv4_plain([10, 0, 0, 1], [10, 0, 0, 2], 6, &segment);
    let mut out = Vec::new();
    printer.line(&mut out, &Packet::new(Timestamp(0), &bytes, bytes.len() as u32, LinkType::RAW));
    let expect = "IP 10.0.0.1.https > 10.0.0.2.51000: Flags [S], seq 1000, win 64240, length 0\n";
    assert_eq!(String::from_utf8_lossy(&out), expect);
}
