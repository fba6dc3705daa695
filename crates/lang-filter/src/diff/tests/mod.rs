//! Tests of the comparison against an independent interpreter.

mod tcpdump;

use std::time::Duration;

use skep_isa::classic::{AluOp, Insn, JmpOp, Op, SKF_AD_OFF, SKF_LL_OFF, SKF_NET_OFF, Size};

use super::*;

/// Runs a valid program on a packet that was captured whole, straight from the definition of the machine.
fn run(program: &[Insn], packet: &[u8]) -> u32 {
    interpret(program, packet).unwrap_or(0)
}

fn interpret(program: &[Insn], packet: &[u8]) -> Option<u32> {
    let load = |address: u32, size: Size| {
        let start = if (SKF_LL_OFF..SKF_NET_OFF).contains(&address) { address - SKF_LL_OFF } else { address } as usize;
        let bytes = packet.get(start..start.checked_add(size.bytes() as usize)?)?;
        Some(bytes.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    };
    let len = u32::try_from(packet.len()).ok()?;
    let (mut a, mut x, mut m, mut pc) = (0u32, 0u32, [0u32; 16], 0usize);
    loop {
        let op = program[pc].decode()?;
        pc += 1;
        match op {
            Op::LdAbs(_, k) if k == SKF_AD_OFF + 40 => a ^= x,
            // As on a socket that knows nothing: all words are 0.
            Op::LdAbs(_, k) if k >= SKF_AD_OFF => a = 0,
            Op::LdAbs(size, k) => a = load(k, size)?,
            Op::LdInd(size, k) => a = load(x.wrapping_add(k), size)?,
            Op::LdImm(k) => a = k,
            Op::LdMem(k) => a = m[k as usize],
            Op::LdLen => a = len,
            Op::LdxImm(k) => x = k,
            Op::LdxMem(k) => x = m[k as usize],
            Op::LdxLen => x = len,
            Op::LdxMsh(k) => x = (load(k, Size::Byte)? & 0xf) * 4,
            Op::St(k) => m[k as usize] = a,
            Op::Stx(k) => m[k as usize] = x,
            Op::AluK(op, k) => a = op.eval(a, k)?,
            Op::AluX(op) => a = op.eval(a, x)?,
            Op::Neg => a = a.wrapping_neg(),
            Op::Ja(k) => pc += k as usize,
            Op::JumpK { op, k, jt, jf } => pc += usize::from(if op.eval(a, k) { jt } else { jf }),
            Op::JumpX { op, jt, jf } => pc += usize::from(if op.eval(a, x) { jt } else { jf }),
            Op::RetK(k) => return Some(k),
            Op::RetA => return Some(a),
            Op::Tax => x = a,
            Op::Txa => a = x,
        }
    }
}

#[track_caller]
fn assert_different(a: &[Insn], b: &[Insn]) -> (Vec<u8>, Vec<Fact>) {
    match compare(a, b, &Options::default(), &run) {
        Outcome::Different { witness, facts, a_keeps, b_keeps, method, .. } => {
            assert_ne!(a_keeps == 0, b_keeps == 0);
            assert_eq!(method, Method::Symbolic);
            (witness, facts)
        }
        other => panic!("{other:?}"),
    }
}

const LOAD_JUMP: [Insn; 4] =
    [Insn::ld_abs(Size::Half, 12), Insn::jump_k(JmpOp::Eq, 0x800, 0, 1), Insn::ret_k(65535), Insn::ret_k(0)];

#[test]
fn answers_of_small_programs_are_true() {
    let mut answers = [0usize; 3];
    skep_random::random_test(|u| {
        let data = u.bytes(u.len().min(200))?;
        fuzz::check(data, &run);
        answers[0] += 1;
        Ok(())
    })
    .budget_ms(1000);
    assert!(answers[0] > 10);
}

#[test]
fn a_short_packet_is_a_difference() {
    // Reading one byte further before deciding differs on packets that end in between.
    let mut longer = LOAD_JUMP.to_vec();
    longer.insert(0, Insn::ld_abs(Size::Byte, 14));
    let (witness, _) = assert_different(&LOAD_JUMP, &longer);
    assert_eq!(witness.len(), 14);
    assert_eq!(witness[12..14], [8, 0]);
    let outcome = compare(&LOAD_JUMP, &longer, &Options::default(), &run);
    assert!(matches!(outcome, Outcome::Different { cut_short: true, .. }));
    longer[2].k = 0x801;
    let outcome = compare(&LOAD_JUMP, &longer, &Options::default(), &run);
    assert!(matches!(outcome, Outcome::Different { cut_short: false, .. }));
}

#[test]
fn the_number_of_bytes_to_keep_does_not_matter() {
    let mut other = LOAD_JUMP;
    other[2] = Insn::ret_k(1);
    assert_eq!(compare(&LOAD_JUMP, &other, &Options::default(), &run), Outcome::Equivalent);
}

#[test]
fn arithmetic_is_understood() {
    let masked = |tail: &[Insn]| [&[Insn::ld_abs(Size::Byte, 14)], tail, &LOAD_JUMP[1..]].concat();
    let shifted = masked(&[Insn::alu_k(AluOp::Rsh, 4), Insn::alu_k(AluOp::Mul, 0x200), Insn::alu_k(AluOp::Sub, 0)]);
    let anded = masked(&[Insn::alu_k(AluOp::And, 0xf0), Insn::alu_k(AluOp::Lsh, 5)]);
    assert_eq!(compare(&shifted, &anded, &Options::default(), &run), Outcome::Equivalent);
    let divided = masked(&[Insn::alu_k(AluOp::Div, 17), Insn::alu_k(AluOp::Mul, 0x200)]);
    let (witness, _) = assert_different(&shifted, &divided);
    assert_ne!(witness[14] >> 4 == 4, witness[14] / 17 == 4);
}

#[test]
fn ancillary_words_are_part_of_the_witness() {
    let word = |number: u32, k| {
        [
            Insn::ld_abs(Size::Word, SKF_AD_OFF + number * 4),
            Insn::jump_k(JmpOp::Eq, k, 0, 1),
            Insn::ret_k(1),
            Insn::ret_k(0),
        ]
    };
    let (_, facts) = assert_different(&word(5, 7), &word(5, 8));
    assert_eq!(facts.len(), 1);
    assert_eq!(facts[0].word.name, "mark");
    assert!(matches!(facts[0].value, Some(7 | 8)));
    // A word that has three bits never is 9, whatever the program hopes for.
    assert_eq!(compare(&word(1, 9), &word(5, 7)[3..], &Options::default(), &run), Outcome::Equivalent);
    // Without a device the program ends at the load, whatever follows.
    let any_interface = [Insn::ld_abs(Size::Word, SKF_AD_OFF + 8), Insn::ret_k(1)];
    let (_, facts) = assert_different(&any_interface, &any_interface[1..]);
    assert_eq!(facts.iter().map(|fact| fact.value).collect::<Vec<_>>(), [None]);
}

#[test]
fn words_compared_with_each_other_are_followed_or_solved() {
    // Source address equal to destination address: too large for a diagram of both.
    let equal = |first: u32, second: u32| {
        [
            Insn::ld_abs(Size::Word, first),
            Insn::tax(),
            Insn::ld_abs(Size::Word, second),
            Insn::jump_x(JmpOp::Eq, 0, 1),
            Insn::ret_k(1),
            Insn::ret_k(0),
        ]
    };
    assert_eq!(compare(&equal(26, 30), &equal(30, 26), &Options::default(), &run), Outcome::Equivalent);
    let (witness, _) = assert_different(&equal(26, 30), &[Insn::ret_k(0)]);
    assert_eq!(witness[26..30], witness[30..34]);
    let (witness, _) = assert_different(&equal(26, 30), &[Insn::ld_abs(Size::Word, 30), Insn::ret_k(1)]);
    assert_ne!(witness[26..30], witness[30..34]);
}

#[test]
fn open_addresses_are_followed() {
    // As in radiotap: a 16-bit offset from the packet itself.
    let at = |k: u32, value: u32| {
        [
            Insn::ld_abs(Size::Half, 2),
            Insn::tax(),
            Insn::ld_ind(Size::Half, k),
            Insn::jump_k(JmpOp::Eq, value, 0, 1),
            Insn::ret_k(1),
            Insn::ret_k(0),
        ]
    };
    let mut twice = at(30, 0x800).to_vec();
    twice.insert(2, Insn::ld_ind(Size::Byte, 31));
    assert_eq!(compare(&at(30, 0x800), &twice, &Options::default(), &run), Outcome::Equivalent);
    assert_different(&at(30, 0x800), &at(30, 0x801));
    // The same address, computed in another way.
    let mut moved = at(14, 0x800).to_vec();
    moved.insert(1, Insn::alu_k(AluOp::Add, 16));
    assert_eq!(compare(&at(30, 0x800), &moved, &Options::default(), &run), Outcome::Equivalent);
    assert_eq!(compare(&moved, &at(30, 0x800), &Options::default(), &run), Outcome::Equivalent);
    twice[2] = Insn::ld_ind(Size::Byte, 32);
    assert_different(&at(30, 0x800), &twice);
}

#[test]
fn limits_end_in_an_honest_answer() {
    let options = Options { max_nodes: 50, max_packets: 100, ..Options::default() };
    let outcome = compare(&LOAD_JUMP, &LOAD_JUMP, &options, &run);
    assert_eq!(outcome, Outcome::Unknown { reason: Reason::Budget, fuzzed: 100 });
    // The random packets find what the budget did not allow.
    let mut other = LOAD_JUMP;
    other[1].k = 0x86dd;
    let outcome = compare(&LOAD_JUMP, &other, &Options { max_packets: 10_000, ..options }, &run);
    assert!(matches!(outcome, Outcome::Different { method: Method::Fuzzing, .. }), "{outcome:?}");
    let none = Options { time_limit: Duration::ZERO, ..Options::default() };
    let long: Vec<Insn> =
        (0..8000).flat_map(|k| [Insn::ld_abs(Size::Word, k % 1000), Insn::jump_k(JmpOp::Eq, k, 0, 0)]).collect();
    let long = [&long[..], &LOAD_JUMP].concat();
    assert!(!matches!(compare(&long, &long[2..], &none, &run), Outcome::Different { .. }));
}

#[test]
fn malformed_programs_are_named() {
    let outcome = compare(&LOAD_JUMP, &LOAD_JUMP[..2], &Options::default(), &run);
    assert!(matches!(outcome, Outcome::Unknown { reason: Reason::MalformedB(_), fuzzed: 0 }));
    let outcome = compare(&[], &LOAD_JUMP, &Options::default(), &run);
    assert!(matches!(outcome, Outcome::Unknown { reason: Reason::MalformedA(_), .. }));
}

#[test]
fn deep_diagrams_do_not_exhaust_the_stack() {
    // Parity of the lowest bits of 100,000 bytes: a path through the diagram has as many nodes.
    let mut program = vec![Insn::ldx_imm(0)];
    for k in 0..100_000 {
        program.extend([Insn::ld_abs(Size::Byte, k), Insn::alu_x(AluOp::Xor), Insn::tax()]);
    }
    program.extend([Insn::alu_k(AluOp::And, 1), Insn::ret_a()]);
    let options = Options { max_packets: 2, time_limit: Duration::from_secs(3), ..Options::default() };
    let other = [&program[..program.len() - 1], &[Insn::neg(), Insn::ret_a()]].concat();
    assert!(!matches!(compare(&program, &other, &options, &run), Outcome::Different { .. }));
}
