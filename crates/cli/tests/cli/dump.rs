//! What needs no packets: listings, explanation, translation, comparison, lists.

use skep_isa::{classic, ebpf, translate};
use skep_packet::LinkType;
use skep_testkit::independent::{Format, Input, Program};

use crate::support::{count_in, path, recording, skep};

const EXPRESSIONS: &[&str] = &[
    "",
    "ip and tcp",
    "tcp port 80 or udp port 53",
    "host 10.0.0.1 and not icmp",
    "ether host 00:11:22:33:44:55 or ether multicast",
    "vlan 10 and ip6",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "ip[2:2] > 100 and ip[6:2] & 0x1fff = 0",
    "net 10.0.0.0/8 or ip6 net 2001:db8::/32",
    "portrange 1000-2000",
    "less 100 or greater 1000",
    "mpls and ip",
    "ip6 host 2001:db8::1 or arp",
];

#[test]
fn listings_are_read_back_and_agree_with_the_count() {
    let (file, packets) = recording(LinkType::EN10MB, 600);
    for expression in EXPRESSIONS {
        let kept =
            [("-d", Format::Listing), ("-dd", Format::CArray), ("-ddd", Format::Decimal)].map(|(option, format)| {
                let text = skep(["filter", "-y", "EN10MB", option, expression]).ok().out;
                let program =
                    Program::read(&text, format).unwrap_or_else(|fault| panic!("{expression} {option}: {fault:?}"));
                let accepts =
                    |data: &[u8], len| matches!(program.run(&Input::recorded(data, len)), Ok((n, _)) if n > 0);
                packets.iter().filter(|packet| accepts(&packet.data, packet.orig_len)).count() as u64
            });
        let counted = count_in(&skep(["filter", "-r", path(&file), "--count", expression]).ok());
        assert_eq!(kept, [counted; 3], "{expression}");
    }
}

#[test]
fn listing_has_the_form_of_tcpdump() {
    let run = skep(["filter", "-d", "ip"]).ok();
    let (first, second) = (run.lines()[0], run.lines()[1]);
    assert_eq!(first, "(000) ldh      [12]");
    assert!(second.starts_with("(001) jeq      #0x800           jt ") && second.contains("\tjf "), "{second:?}");
    assert!(run.out.contains(") ret      #262144\n") && run.out.contains(") ret      #0\n"), "{run:?}");
    assert_eq!(run.err, "Warning: assuming Ethernet\n");
    let run = skep(["filter", "-y", "RAW", "-s", "96", "-ddd", "ip"]).ok();
    assert!(run.out.contains("\n6 0 0 96\n"), "{run:?}");
    assert_eq!(run.err, "");
}

#[test]
fn releases_pad_differently() {
    let listing = |compat| skep(["filter", "-y", "EN10MB", "-d", "--compat", compat, "ip[ip[8]] = 1"]).ok().out;
    assert!(listing("1.10").contains(") tax      \n"));
    assert!(listing("1.11").contains(") tax\n"));
}

#[test]
fn translation_is_that_of_the_program() {
    let decimal = skep(["filter", "-y", "EN10MB", "-ddd", "tcp port 80"]).ok().out;
    let program = classic::parse_decimal(&decimal).unwrap();
    let expected = translate::translate(&program, &translate::Options::default()).unwrap().insns;
    let text = skep(["filter", "-y", "EN10MB", "--ebpf", "tcp port 80"]).ok().out;
    assert_eq!(ebpf::assemble(&text).unwrap(), expected);
}

#[test]
fn explanation_has_a_remark_on_every_line() {
    let listing = skep(["filter", "-y", "EN10MB", "-d", "vlan and tcp port 80"]).ok();
    let run = skep(["filter", "-y", "EN10MB", "--explain", "vlan and tcp port 80"]).ok();
    let remarks = run.lines().into_iter().filter(|line| line.starts_with('(') && line.contains("  ; "));
    assert_eq!(remarks.count(), listing.lines().len(), "{}", run.out);
    for part in ["EtherType", "Headers assumed:", "Decisions:"] {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
    assert!(skep(["filter", "-y", "EN10MB", "--dot", "ip"]).ok().out.starts_with("digraph"));
}

#[test]
fn equal_expressions_are_proved_equal() {
    let run = skep(["filter", "-y", "EN10MB", "--diff", "not (tcp or udp)", "not tcp and not udp"]).ok();
    assert!(run.out.starts_with("equivalent") && run.out.contains("symbolic"), "{run:?}");
}

#[test]
fn witness_makes_the_difference() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("witness.pcap");
    let file = file.to_str().unwrap();
    let (a, b) = ("port 53", "udp port 53");
    let run = skep(["filter", "-y", "EN10MB", "--diff", a, b, "-w", file]).ok();
    assert!(run.out.starts_with("different: A matches this packet, B does not"), "{run:?}");
    assert!(run.out.contains("\n\t0x0000:  "), "{run:?}");
    let counts = [a, b].map(|expression| count_in(&skep(["filter", "-r", file, "--count", expression]).ok()));
    assert_eq!(counts, [1, 0]);
}

#[test]
fn lists_and_scripts() {
    let list = skep(["filter", "-D"]).ok().out;
    assert!(list.contains("any (Pseudo-device that captures on all interfaces)"), "{list}");
    assert!(list.starts_with("1."), "{list}");
    assert!(skep(["completions", "bash"]).ok().out.contains("--explain"));
    let help = skep(["filter", "--help"]).ok().out;
    for option in ["-r, --read", "--diff", "-ddd", "Examples:", "-Z, --relinquish-privileges"] {
        assert!(help.contains(option), "{option}: {help}");
    }
    let pages = tempfile::tempdir().unwrap();
    skep(["man", pages.path().to_str().unwrap()]).ok();
    assert!(pages.path().join("skep-filter.1").exists());
}
