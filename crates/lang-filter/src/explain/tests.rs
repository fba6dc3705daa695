//! Explanations of whole programs as a reader sees them, and the property that all programs can be explained.

use skep_isa::classic::{AluOp, Insn, JmpOp, Size, parse_listing};
use skep_proto::LinkType;

use super::{explain, fuzz};

/// `tcp port 80` for Ethernet as tcpdump compiles it.
const TCP_PORT: &str = "\
(000) ldh      [12]
(001) jeq      #0x86dd          jt 2	jf 8
(002) ldb      [20]
(003) jeq      #0x6             jt 4	jf 19
(004) ldh      [54]
(005) jeq      #0x50            jt 18	jf 6
(006) ldh      [56]
(007) jeq      #0x50            jt 18	jf 19
(008) jeq      #0x800           jt 9	jf 19
(009) ldb      [23]
(010) jeq      #0x6             jt 11	jf 19
(011) ldh      [20]
(012) jset     #0x1fff          jt 19	jf 13
(013) ldxb     4*([14]&0xf)
(014) ldh      [x + 14]
(015) jeq      #0x50            jt 18	jf 16
(016) ldh      [x + 16]
(017) jeq      #0x50            jt 18	jf 19
(018) ret      #262144
(019) ret      #0
";

fn program(listing: &str) -> Vec<Insn> {
    parse_listing(listing).expect("a listing")
}

fn remarks(listing: &str, link: LinkType) -> Vec<String> {
    explain(&program(listing), link).lines.into_iter().map(|line| line.remark).collect()
}

#[track_caller]
fn assert_remarks(listing: &str, link: LinkType, expected: &[&str]) {
    let found = remarks(listing, link);
    assert_eq!(found, expected, "{}", found.join("\n"));
}

#[test]
fn a_whole_explanation() {
    let expected = "\
(000) ldh      [12]                           ; load the EtherType (bytes 12-13)
(001) jeq      #0x86dd          jt 2  jf 8    ; EtherType is IPv6 (0x86dd)?
(002) ldb      [20]                           ; load the next header of IPv6 (byte 20)
(003) jeq      #0x6             jt 4  jf 19   ; next header of IPv6 is TCP (6)? no: reject
(004) ldh      [54]                           ; load the source port of TCP (bytes 54-55)
(005) jeq      #0x50            jt 18  jf 6   ; source port of TCP is 80? yes: accept
(006) ldh      [56]                           ; load the destination port of TCP (bytes 56-57)
(007) jeq      #0x50            jt 18  jf 19  ; destination port of TCP is 80? yes: accept, no: reject
(008) jeq      #0x800           jt 9  jf 19   ; EtherType is IPv4 (0x800)? no: reject
(009) ldb      [23]                           ; load the protocol of IPv4 (byte 23)
(010) jeq      #0x6             jt 11  jf 19  ; protocol of IPv4 is TCP (6)? no: reject
(011) ldh      [20]                           ; load the fragment flags and offset of IPv4 (bytes 20-21)
(012) jset     #0x1fff          jt 19  jf 13  ; a fragment other than the first? yes: reject
(013) ldxb     4*([14]&0xf)                   ; X = length of the IPv4 header
(014) ldh      [x + 14]                       ; load the source port of TCP
(015) jeq      #0x50            jt 18  jf 16  ; source port of TCP is 80? yes: accept
(016) ldh      [x + 16]                       ; load the destination port of TCP
(017) jeq      #0x50            jt 18  jf 19  ; destination port of TCP is 80? yes: accept, no: reject
(018) ret      #262144                        ; accept: keep up to 262144 bytes
(019) ret      #0                             ; reject

Headers assumed:
  Ethernet from byte 0: the link type
  IPv6 from byte 14: where the EtherType is IPv6 (0x86dd)
  TCP from byte 54: where the next header of IPv6 is TCP (6)
  IPv4 from byte 14: where the EtherType is IPv4 (0x800)
  TCP from byte 14 + the length of the IPv4 header: where the protocol of IPv4 is TCP (6)
";
    assert_eq!(explain(&program(TCP_PORT), LinkType::EN10MB).to_string(), expected);
}

#[test]
fn the_text_graph_indents_only_where_both_outcomes_go_on() {
    let expected = "\
(001) EtherType is IPv6 (0x86dd)?  yes: (003)  no: (008)
|  (003) next header of IPv6 is TCP (6)?  no: reject
|  (005) source port of TCP is 80?  yes: accept
|  (007) destination port of TCP is 80?  yes: accept  no: reject
(008) EtherType is IPv4 (0x800)?  no: reject
(010) protocol of IPv4 is TCP (6)?  no: reject
(012) a fragment other than the first?  yes: reject
(015) source port of TCP is 80?  yes: accept
(017) destination port of TCP is 80?  yes: accept  no: reject
";
    assert_eq!(explain(&program(TCP_PORT), LinkType::EN10MB).text_graph(), expected);
    assert_eq!(explain(&[Insn::ret_k(5)], LinkType::EN10MB).text_graph(), "accept 5 bytes\n");
    assert_eq!(explain(&[], LinkType::EN10MB).text_graph(), "leaves the program\n");
}

#[test]
fn the_dot_graph_has_every_node_and_edge_once() {
    let program = [Insn::ld_abs(Size::Half, 12), Insn::jump_k(JmpOp::Eq, 0x800, 0, 1), Insn::ret_k(9), Insn::ret_k(0)];
    let expected = "\
digraph filter {
    node [shape=box, fontname=\"sans-serif\"];
    n1 [label=\"(001) EtherType is IPv4 (0x800)?\"];
    n1 -> n2 [label=\"yes\"];
    n1 -> n3 [label=\"no\", style=dashed];
    n2 [label=\"accept 9 bytes\", shape=oval, style=filled, fillcolor=palegreen];
    n3 [label=\"reject\", shape=oval, style=filled, fillcolor=mistyrose];
}
";
    assert_eq!(explain(&program, LinkType::EN10MB).dot(), expected);
}

#[test]
fn transport_protocols_that_share_code_are_all_named() {
    let listing = "\
(000) ldb      [9]
(001) jeq      #0x84            jt 4	jf 2
(002) jeq      #0x6             jt 4	jf 3
(003) jeq      #0x11            jt 4	jf 8
(004) ldxb     4*([0]&0xf)
(005) ldh      [x + 2]
(006) jge      #0x400           jt 7	jf 8
(007) ret      #262144
(008) ret      #0
";
    let found = remarks(listing, LinkType::IPV4);
    assert_eq!(found[5], "load the destination port of SCTP, TCP or UDP");
    assert_eq!(found[6], "destination port of SCTP, TCP or UDP is at least 1024? yes: accept, no: reject");
}

#[test]
fn tags_shift_what_follows() {
    let listing = "\
(000) ldh      [12]
(001) jeq      #0x8100          jt 2	jf 12
(002) ldh      [14]
(003) and      #0xfff
(004) jeq      #0x64            jt 5	jf 12
(005) ldh      [16]
(006) jeq      #0x800           jt 7	jf 12
(007) ldxb     4*([18]&0xf)
(008) ldb      [27]
(009) jeq      #0x6             jt 10	jf 12
(010) ldb      [x + 31]
(011) jset     #0x12            jt 13	jf 12
(012) ret      #0
(013) ret      #1
";
    assert_remarks(
        listing,
        LinkType::EN10MB,
        &[
            "load the EtherType (bytes 12-13)",
            "EtherType is 802.1Q (0x8100)? no: reject",
            "load the VLAN tag (bytes 14-15)",
            "A = VLAN id",
            "VLAN id is 100? no: reject",
            "load the EtherType after the VLAN tag (bytes 16-17)",
            "EtherType after the VLAN tag is IPv4 (0x800)? no: reject",
            "X = length of the IPv4 header",
            "load the protocol of IPv4 (byte 27)",
            "protocol of IPv4 is TCP (6)? no: reject",
            "load the flags of TCP",
            "SYN or ACK set in the flags of TCP? yes: accept, no: reject",
            "reject",
            "accept: keep up to 1 bytes",
        ],
    );
}

#[test]
fn computed_addresses_are_recognised() {
    // The first bytes of the TCP payload, as `tcp[((tcp[12] & 0xf0) >> 2):4]` reads them.
    let listing = "\
(000) ldb      [9]
(001) jeq      #0x6             jt 2	jf 11
(002) ldxb     4*([0]&0xf)
(003) ldb      [x + 12]
(004) and      #0xf0
(005) rsh      #2
(006) add      x
(007) tax
(008) ld       [x + 0]
(009) jeq      #0x47455420      jt 10	jf 11
(010) ret      #262144
(011) ret      #0
";
    let found = remarks(listing, LinkType::IPV4);
    assert_eq!(found[5], "A = length of the TCP header");
    assert_eq!(found[6], "A = (length of the IPv4 header + length of the TCP header)");
    assert_eq!(found[8], "load bytes 0-3 of the TCP payload");
    assert_eq!(found[9], "bytes 0-3 of the TCP payload are 0x47455420? yes: accept, no: reject");
}

#[test]
fn every_known_link_type_leads_to_the_ports() {
    let cases: [(LinkType, &[Insn], u32); 7] = [
        (LinkType::EN10MB, &[Insn::ld_abs(Size::Half, 12), eq(0x800)], 14),
        (LinkType::LINUX_SLL, &[Insn::ld_abs(Size::Half, 14), eq(0x800)], 16),
        (LinkType::LINUX_SLL2, &[Insn::ld_abs(Size::Half, 0), eq(0x800)], 20),
        (LinkType::NULL, &[Insn::ld_abs(Size::Word, 0), eq(0x0200_0000)], 4),
        (LinkType::LOOP, &[Insn::ld_abs(Size::Word, 0), eq(2)], 4),
        (LinkType::PPP, &[Insn::ld_abs(Size::Half, 2), eq(0x21)], 4),
        (LinkType::RAW, &[Insn::ld_abs(Size::Byte, 0), Insn::alu_k(AluOp::And, 0xf0), eq(0x40)], 0),
    ];
    for (link, head, network) in cases {
        let mut program = head.to_vec();
        program.extend([
            Insn::ld_abs(Size::Byte, network + 9),
            eq(17),
            Insn::ldx_msh(network),
            Insn::ld_ind(Size::Half, network + 2),
            Insn::ret_a(),
        ]);
        let lines = explain(&program, link).lines;
        let remark = |from_end: usize| &*lines[lines.len() - from_end].remark;
        assert_eq!(remark(3), "X = length of the IPv4 header", "{link}");
        assert_eq!(remark(2), "load the destination port of UDP", "{link}");
        assert_eq!(remark(1), "keep as many bytes as: destination port of UDP", "{link}");
    }
}

/// Goes on where A is `k`, and elsewhere too: what is known is lost only if the paths meet.
fn eq(k: u32) -> Insn {
    Insn::jump_k(JmpOp::Eq, k, 0, 0)
}

#[test]
fn wireless_frames_with_and_without_qos() {
    let listing = "\
(000) ldx      #0x18
(001) ldb      [0]
(002) jset     #0x80            jt 3	jf 4
(003) ldx      #0x1a
(004) ldh      [x + 6]
(005) jeq      #0x800           jt 6	jf 8
(006) ldb      [x + 17]
(007) jeq      #0x11            jt 9	jf 8
(008) ret      #0
(009) ret      #1
";
    let found = remarks(listing, LinkType::IEEE802_11);
    assert_eq!(found[2], "QoS bit of 802.11 is set?");
    assert_eq!(found[4], "load the SNAP protocol");
    assert_eq!(found[6], "load the protocol of IPv4");
    assert_eq!(found[7], "protocol of IPv4 is UDP (17)? yes: accept, no: reject");
}

#[test]
fn unknown_link_types_get_plain_remarks() {
    let program = [
        Insn::ld_abs(Size::Half, 12),
        Insn::alu_k(AluOp::Rsh, 3),
        Insn::jump_k(JmpOp::Gt, 7, 0, 1),
        Insn::ret_k(1),
        Insn::ret_k(0),
    ];
    let explanation = explain(&program, LinkType::DOCSIS);
    assert_eq!(explanation.layers, Vec::<String>::new());
    let remarks: Vec<&str> = explanation.lines.iter().map(|line| &*line.remark).collect();
    assert_eq!(remarks[..2], ["load bytes 12-13", "A = (bytes 12-13 >> 3)"]);
    assert_eq!(remarks[2], "(bytes 12-13 >> 3) is over 7? yes: accept, no: reject");
}

#[test]
fn programs_that_are_not_valid_say_where() {
    let broken = [Insn { code: 0xffff, ..Insn::default() }, Insn::ja(7), Insn::ret_k(0)];
    let lines = explain(&broken, LinkType::EN10MB).lines;
    assert_eq!(lines[0].remark, "not valid: the opcode does not exist");
    assert_eq!(lines[1].remark, "never reached");
    let lines = explain(&broken[1..], LinkType::EN10MB).lines;
    assert!(lines[0].remark.starts_with("not valid: the jump must go forward"), "{}", lines[0].remark);
}

#[test]
fn any_program_can_be_explained() {
    let mut runs = 0;
    skep_random::random_test(|u| {
        let len = u.len().min(800);
        fuzz::check(u.bytes(len)?);
        runs += 1;
        Ok(())
    })
    .budget_ms(1000);
    assert!(runs > 10);
}

#[test]
fn long_programs_are_explained_without_recursion() {
    let mut program = vec![Insn::ld_abs(Size::Half, 12)];
    for k in 0..20_000 {
        program.push(Insn::jump_k(JmpOp::Eq, k, 1, 0));
        program.push(Insn::ld_abs(Size::Half, 14));
    }
    program.push(Insn::ret_k(0));
    let explanation = explain(&program, LinkType::EN10MB);
    assert_eq!(explanation.lines.len(), program.len());
    assert!(explanation.text_graph().lines().count() > 20_000);
}
