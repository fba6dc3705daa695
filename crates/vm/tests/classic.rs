//! The meaning of every form of a classic instruction, and of its edges.

use skep_isa::classic::{ANCILLARY, AluOp, FORMS, Insn, JmpOp, Op, Rule, SKF_AD_OFF, SKF_LL_OFF, SKF_NET_OFF, Size};
use skep_vm::classic::{LoadError, MAX_INSNS, Metadata, Program};

const PACKET: [u8; 20] = [
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x01, 0x02, 0x03,
    0x45,
];

#[track_caller]
fn run_with(insns: &[Insn], meta: &Metadata) -> u32 {
    let program = Program::new(insns).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(program.len(), insns.len());
    let result = program.run(&PACKET, 1500, meta);
    assert_eq!(result, skep_vm::fuzz::reference(insns, &PACKET, 1500, meta), "the reference disagrees");
    result
}

#[track_caller]
fn run(insns: &[Insn]) -> u32 {
    run_with(insns, &Metadata::default())
}

/// The accumulator after `insns`.
#[track_caller]
fn a_after(insns: &[Insn]) -> u32 {
    run(&[insns, &[Insn::ret_a()]].concat())
}

/// What a load puts into the accumulator; `None` if it ends the program.
#[track_caller]
fn load(insn: Insn, meta: &Metadata) -> Option<u32> {
    // The accumulator is inverted, so that a program ended with 0 is told from a loaded 0.
    let result = run_with(&[insn, Insn::alu_k(AluOp::Xor, u32::MAX), Insn::ret_a()], meta);
    (result != 0).then_some(!result)
}

#[test]
fn packet_loads_are_big_endian() {
    let meta = Metadata::default();
    assert_eq!(load(Insn::ld_abs(Size::Word, 1), &meta), Some(0x1122_3344));
    assert_eq!(load(Insn::ld_abs(Size::Half, 1), &meta), Some(0x1122));
    assert_eq!(load(Insn::ld_abs(Size::Byte, 1), &meta), Some(0x11));
}

#[test]
fn a_load_needs_all_its_bytes() {
    let meta = Metadata::default();
    for (size, last) in [(Size::Word, 16), (Size::Half, 18), (Size::Byte, 19)] {
        assert!(load(Insn::ld_abs(size, last), &meta).is_some());
        for outside in [last + 1, last + 2, last + 3, last + 4, 21, 1499, 0x7fff_ffff, 0xffff_0000 - 0x20_0000] {
            assert_eq!(load(Insn::ld_abs(size, outside), &meta), None, "{size:?} {outside}");
        }
    }
    // The length on the wire does not make bytes readable that were not captured.
    let program = Program::new(&[Insn::ld_abs(Size::Byte, 0), Insn::ret_k(7)]).unwrap();
    assert_eq!(program.run(&[], 1500, &meta), 0);
    assert_eq!(program.run(&[1], 1500, &meta), 7);
}

#[test]
fn indirect_loads_add_x_without_carry() {
    let at = |x: u32, k: u32| a_after(&[Insn::ldx_imm(x), Insn::ld_ind(Size::Byte, k)]);
    assert_eq!(at(2, 3), 0x55);
    assert_eq!(at(0xffff_ffff, 3), 0x22);
    assert_eq!(at(20, 0), 0);
    assert_eq!(at(0x8000_0000, 0x8000_0001), 0x11);
    let half = a_after(&[Insn::ldx_imm(4), Insn::ld_ind(Size::Half, 3)]);
    let word = a_after(&[Insn::ldx_imm(4), Insn::ld_ind(Size::Word, 3)]);
    assert_eq!((half, word), (0x7788, 0x7788_99aa));
}

#[test]
fn header_length() {
    assert_eq!(a_after(&[Insn::ldx_msh(19), Insn::txa()]), 20);
    assert_eq!(a_after(&[Insn::ldx_msh(15), Insn::txa()]), 60);
    assert_eq!(run(&[Insn::ldx_msh(20), Insn::ret_k(1)]), 0);
    // The accumulator is not touched.
    assert_eq!(a_after(&[Insn::ld_imm(9), Insn::ldx_msh(19)]), 9);
}

#[test]
fn loads_of_constants_lengths_and_scratch_words() {
    assert_eq!(a_after(&[Insn::ld_imm(0xffff_fffe)]), 0xffff_fffe);
    assert_eq!(a_after(&[Insn::ld_len()]), 1500);
    assert_eq!(a_after(&[Insn::ldx_len(), Insn::txa()]), 1500);
    assert_eq!(a_after(&[Insn::ldx_imm(5), Insn::txa()]), 5);
    assert_eq!(a_after(&[Insn::ld_imm(5), Insn::tax(), Insn::ld_imm(6), Insn::txa()]), 5);
    for word in 0..16 {
        let store = [Insn::ld_imm(word + 3), Insn::st(word), Insn::ld_imm(0), Insn::ld_mem(word)];
        assert_eq!(a_after(&store), word + 3);
        let store = [Insn::ldx_imm(word + 3), Insn::stx(word), Insn::ldx_imm(0), Insn::ldx_mem(word), Insn::txa()];
        assert_eq!(a_after(&store), word + 3);
    }
    // Words that were never written, and both registers, start as zero.
    assert_eq!(a_after(&[Insn::ld_imm(1), Insn::ld_mem(7)]), 0);
    assert_eq!(a_after(&[Insn::ld_imm(1), Insn::txa()]), 0);
    assert_eq!(a_after(&[]), 0);
}

#[test]
fn arithmetic_wraps_and_masks() {
    let cases = [
        (AluOp::Add, 0xffff_ffff, 2, 1),
        (AluOp::Sub, 1, 2, 0xffff_ffff),
        (AluOp::Mul, 0x8000_0001, 2, 2),
        (AluOp::Div, 0xffff_ffff, 2, 0x7fff_ffff),
        (AluOp::Mod, 0xffff_ffff, 16, 15),
        (AluOp::Or, 0x0f0f, 0x00ff, 0x0fff),
        (AluOp::And, 0x0f0f, 0x00ff, 0x000f),
        (AluOp::Xor, 0x0f0f, 0x00ff, 0x0ff0),
        (AluOp::Lsh, 1, 31, 0x8000_0000),
        (AluOp::Rsh, 0x8000_0000, 31, 1),
    ];
    for (op, a, b, expected) in cases {
        assert_eq!(a_after(&[Insn::ld_imm(a), Insn::alu_k(op, b)]), expected, "{op:?} with a constant");
        assert_eq!(a_after(&[Insn::ld_imm(a), Insn::ldx_imm(b), Insn::alu_x(op)]), expected, "{op:?} with X");
    }
    assert_eq!(a_after(&[Insn::ld_imm(5), Insn::neg()]), 0xffff_fffb);
    // The kernel takes shift counts modulo 32.
    assert_eq!(a_after(&[Insn::ld_imm(1), Insn::ldx_imm(33), Insn::alu_x(AluOp::Lsh)]), 2);
    assert_eq!(a_after(&[Insn::ld_imm(4), Insn::ldx_imm(33), Insn::alu_x(AluOp::Rsh)]), 2);
    for op in [AluOp::Div, AluOp::Mod] {
        assert_eq!(run(&[Insn::ld_imm(1), Insn::alu_x(op), Insn::ret_k(1)]), 0, "{op:?} by zero rejects");
    }
}

#[test]
fn jumps_compare_without_sign() {
    let cases = [
        (JmpOp::Eq, 5, 5, true),
        (JmpOp::Eq, 5, 6, false),
        (JmpOp::Gt, 0x8000_0000, 1, true),
        (JmpOp::Gt, 5, 5, false),
        (JmpOp::Ge, 5, 5, true),
        (JmpOp::Ge, 1, 0x8000_0000, false),
        (JmpOp::Set, 6, 3, true),
        (JmpOp::Set, 6, 9, false),
    ];
    for (op, a, b, taken) in cases {
        let ends = [Insn::ret_k(100), Insn::ret_k(1), Insn::ret_k(2), Insn::ret_k(3)];
        let expected = if taken { 2 } else { 3 };
        let constant = [&[Insn::ld_imm(a), Insn::jump_k(op, b, 2, 3)], &ends[..]].concat();
        assert_eq!(run(&constant), expected, "{op:?} {a} {b}");
        let register = [&[Insn::ld_imm(a), Insn::ldx_imm(b), Insn::jump_x(op, 2, 3)], &ends[..]].concat();
        assert_eq!(run(&register), expected, "{op:?} {a} {b} in X");
    }
    assert_eq!(run(&[Insn::ja(1), Insn::ret_k(1), Insn::ja(0), Insn::ret_k(2)]), 2);
}

/// A load or mask with the comparison behind it runs as one operation; jumping between the two must still work, and
/// the accumulator must hold the loaded value afterwards.
#[test]
fn fused_pairs_behave_like_their_parts() {
    let firsts = [
        Insn::ld_abs(Size::Word, 0),
        Insn::ld_abs(Size::Half, 2),
        Insn::ld_abs(Size::Byte, 4),
        Insn::ld_ind(Size::Word, 1),
        Insn::ld_ind(Size::Half, 1),
        Insn::ld_ind(Size::Byte, 1),
        Insn::alu_k(AluOp::And, 0x0ff0),
    ];
    for first in firsts {
        let value = a_after(&[Insn::ld_imm(0x1234), Insn::ldx_imm(3), first]);
        for op in JmpOp::ALL {
            for k in [0, value.wrapping_sub(1), value, value.wrapping_add(1), u32::MAX] {
                let pair = [
                    Insn::ld_imm(0x1234),
                    Insn::ldx_imm(3),
                    first,
                    Insn::jump_k(op, k, 0, 1),
                    Insn::ret_a(),
                    Insn::alu_k(AluOp::Xor, 0x8000_0000),
                    Insn::ret_a(),
                ];
                let flip = if op.eval(value, k) { 0 } else { 0x8000_0000 };
                assert_eq!(run(&pair), value ^ flip, "{first:?} {op:?} {k:#x}");
            }
        }
        let entered_between =
            [Insn::ld_imm(7), Insn::ja(1), first, Insn::jump_k(JmpOp::Eq, 7, 0, 1), Insn::ret_k(1), Insn::ret_k(2)];
        assert_eq!(run(&entered_between), 1, "{first:?}");
    }
    let outside = [Insn::ld_abs(Size::Half, 19), Insn::jump_k(JmpOp::Eq, 0, 0, 0), Insn::ret_k(1)];
    assert_eq!(run(&outside), 0);
}

#[test]
fn loads_relative_to_headers() {
    let meta = Metadata { network_offset: Some(4), link_offset: Some(1), ..Metadata::default() };
    assert_eq!(load(Insn::ld_abs(Size::Byte, SKF_NET_OFF), &meta), Some(0x44));
    assert_eq!(load(Insn::ld_abs(Size::Half, SKF_NET_OFF + 2), &meta), Some(0x6677));
    assert_eq!(load(Insn::ld_abs(Size::Word, SKF_LL_OFF), &meta), Some(0x1122_3344));
    assert_eq!(load(Insn::ld_abs(Size::Half, SKF_NET_OFF + 15), &meta), None);
    let indirect = [Insn::ldx_imm(3), Insn::ld_ind(Size::Byte, SKF_NET_OFF), Insn::ret_a()];
    assert_eq!(run_with(&indirect, &meta), 0x77);
    let msh = [Insn::ldx_msh(SKF_NET_OFF + 15), Insn::txa(), Insn::ret_a()];
    assert_eq!(run_with(&msh, &meta), 20);
    let unknown = Metadata { network_offset: None, link_offset: None, ..meta };
    assert_eq!(load(Insn::ld_abs(Size::Byte, SKF_NET_OFF), &unknown), None);
    assert_eq!(load(Insn::ld_abs(Size::Byte, SKF_LL_OFF), &unknown), None);
    assert_eq!(load(Insn::ld_abs(Size::Byte, SKF_LL_OFF - 1), &meta), None);
    let beyond = Metadata { network_offset: Some(u32::MAX), ..meta };
    assert_eq!(load(Insn::ld_abs(Size::Byte, SKF_NET_OFF + 1), &beyond), None);
}

#[test]
fn ancillary_words() {
    let meta = Metadata {
        protocol: 0x86dd,
        packet_type: 4,
        ifindex: Some(3),
        hatype: 772,
        mark: 0xaabb_ccdd,
        queue: 9,
        rxhash: 0x1234_5678,
        cpu: 2,
        vlan_tci: Some(0x6005),
        vlan_tpid: 0x88a8,
        payload_offset: 54,
        random: 77,
        ..Metadata::default()
    };
    let expected = [
        ("proto", 0x86dd),
        ("type", 4),
        ("ifidx", 3),
        ("mark", 0xaabb_ccdd),
        ("queue", 9),
        ("hatype", 772),
        ("rxhash", 0x1234_5678),
        ("cpu", 2),
        ("vlan_tci", 0x6005),
        ("vlanp", 1),
        ("poff", 54),
        ("random", 77),
        ("vlan_tpid", 0x88a8),
    ];
    for word in &ANCILLARY {
        if let Some((name, value)) = expected.iter().find(|(name, _)| *name == word.name) {
            for size in [Size::Word, Size::Half, Size::Byte] {
                assert_eq!(load(Insn::ld_abs(size, word.k()), &meta), Some(*value), "{name}");
            }
        }
    }
    let xor = [Insn::ldx_imm(5), Insn::ld_imm(6), Insn::ld_abs(Size::Word, SKF_AD_OFF + 40), Insn::ret_a()];
    assert_eq!(run_with(&xor, &meta), 3);
    let untagged = Metadata { vlan_tci: None, ..meta };
    for offset in [44, 48, 60] {
        assert_eq!(load(Insn::ld_abs(Size::Half, SKF_AD_OFF + offset), &untagged), Some(0));
    }
    // Random numbers differ from each other but not from run to run.
    let k = SKF_AD_OFF + 56;
    let twice =
        [Insn::ld_abs(Size::Word, k), Insn::tax(), Insn::ld_abs(Size::Word, k), Insn::alu_x(AluOp::Xor), Insn::ret_a()];
    assert_ne!(run_with(&twice, &meta), 0);
    assert_eq!(run_with(&twice, &meta), run_with(&twice, &meta));
}

/// Without a device the kernel ends the program with what the accumulator holds.
#[test]
fn packets_without_a_device() {
    for offset in [8, 28] {
        let insns = [Insn::ld_imm(5), Insn::ld_abs(Size::Word, SKF_AD_OFF + offset), Insn::ret_k(9)];
        assert_eq!(run(&insns), 5);
        assert_eq!(run_with(&insns, &Metadata { ifindex: Some(1), ..Metadata::default() }), 9);
    }
}

#[test]
fn netlink_attributes() {
    let attribute = |length: u16, kind: u16| [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    // Two attributes at 4: type 1 with 5 bytes of payload, type 2 that holds types 7 and 8.
    let packet = [
        vec![0; 4],
        attribute(9, 1),
        vec![1, 2, 3, 4, 5, 0, 0, 0],
        attribute(16, 2 | 0x8000),
        attribute(4, 7),
        attribute(8, 8),
        vec![0; 4],
    ]
    .concat();
    let find = |offset: u32, a: u32, x: u32| {
        let insns = [Insn::ldx_imm(x), Insn::ld_imm(a), Insn::ld_abs(Size::Word, SKF_AD_OFF + offset), Insn::ret_a()];
        Program::new(&insns).unwrap().run(&packet, 0, &Metadata::default())
    };
    assert_eq!(find(12, 4, 1), 4);
    assert_eq!(find(12, 4, 2), 16);
    assert_eq!(find(12, 4, 3), 0);
    assert_eq!(find(12, 0, 1), 0, "an attribute of length 0 ends the search");
    assert_eq!(find(12, 1000, 1), 0);
    assert_eq!(find(12, u32::MAX, 1), 0);
    assert_eq!(find(16, 16, 7), 20);
    assert_eq!(find(16, 16, 8), 24);
    assert_eq!(find(16, 16, 2), 0);
    assert_eq!(find(16, 4, 1), 0);
}

#[test]
fn malformed_programs_do_not_load() {
    let rule = |insns: &[Insn]| match Program::new(insns) {
        Err(LoadError::Malformed(skep_isa::classic::CheckError::Insn { at, rule, .. })) => Some((at, rule)),
        other => panic!("{other:?}"),
    };
    let end = Insn::ret_k(0);
    assert_eq!(rule(&[Insn { code: 0x0e, ..end }, end]), Some((0, Rule::UnknownOpcode)));
    assert_eq!(rule(&[Insn::ja(1), end]), Some((0, Rule::JumpOutside)));
    assert_eq!(rule(&[Insn::ja(u32::MAX), end]), Some((0, Rule::JumpOutside)));
    assert_eq!(rule(&[end, Insn::jump_k(JmpOp::Eq, 0, 0, 1), end]), Some((1, Rule::JumpOutside)));
    assert_eq!(rule(&[Insn::st(16), end]), Some((0, Rule::NoSuchScratchWord)));
    assert_eq!(rule(&[Insn::ld_abs(Size::Word, SKF_AD_OFF + 64), end]), Some((0, Rule::NoSuchAncillary)));
    assert!(Program::new(&[]).is_err());
    assert!(Program::new(&[Insn::ld_imm(1)]).is_err());
    assert_eq!(Program::new(&vec![end; MAX_INSNS + 1]).err(), Some(LoadError::TooLong(MAX_INSNS + 1)));
}

/// The kernel's limit of 4,096 instructions does not apply, and jumps over long distances arrive.
#[test]
fn programs_of_a_million_instructions_run() {
    let mut insns = vec![Insn::alu_k(AluOp::Add, 1); MAX_INSNS - 2];
    insns.insert(0, Insn::ld_imm(0));
    insns.push(Insn::ret_a());
    assert_eq!(a_after(&[Insn::ld_imm(3)]), 3);
    assert_eq!(run(&insns), MAX_INSNS as u32 - 2);
    insns[1] = Insn::ja(MAX_INSNS as u32 - 4);
    assert_eq!(run(&insns), 1);
    // Chains of unconditional jumps are followed when the program is loaded.
    let mut chain = vec![Insn::ja(1); MAX_INSNS - 2];
    chain.extend([Insn::ret_k(1), Insn::ret_k(2)]);
    assert_eq!(run(&chain), 1);
}

#[test]
fn every_form_was_tried() {
    // The fuzz body draws from the same table, so a form that is missing in the interpreter fails there; here it is
    // enough that every form loads and runs.
    for form in &FORMS {
        let insn = match form.op {
            Op::AluK(op @ (AluOp::Div | AluOp::Mod), _) => Insn::alu_k(op, 3),
            op => op.encode(),
        };
        run(&[insn, Insn::ret_k(1)]);
    }
}
