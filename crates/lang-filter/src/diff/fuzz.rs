//! The property of [`super::compare`] on arbitrary small programs, for tests and fuzz targets: what it claims is true.

use std::time::Duration;

use skep_isa::classic::{AluOp, Insn, JmpOp, Size, check_structure};
use skep_proto::LinkType;

use super::bdd::Bdd;
use super::inputs::Input;
use super::witness::Random;
use super::words::Words;
use super::{Options, Outcome, Reason, compare, exec};

/// Packets on which programs that were proved equivalent are run.
const PACKETS: u32 = 400;
/// Most instructions of a random program before its end.
const MAX_INSNS: usize = 14;

/// Builds two programs from `data`, compares them and checks the answer with `run`, which follows the kernel.
///
/// # Panics
/// If the answer is wrong.
pub fn check(data: &[u8], run: &dyn Fn(&[Insn], &[u8]) -> u32) {
    let mut bytes = data.iter().copied();
    let a = program(&mut bytes);
    let b = if bytes.next().unwrap_or(0) % 2 == 0 { mutated(&a, &mut bytes) } else { program(&mut bytes) };
    check_model(&a, run, seed(data));
    check_model(&b, run, seed(data));
    let options = Options {
        link: LinkType::RAW,
        max_nodes: 200_000,
        time_limit: Duration::from_secs(2),
        max_packets: u64::from(PACKETS),
    };
    let outcome = compare(&a, &b, &options, run);
    match &outcome {
        Outcome::Equivalent => {
            let mut random = Random::new(seed(data));
            for _ in 0..PACKETS {
                let packet = packet(&mut random);
                let (p, q) = (run(&a, &packet), run(&b, &packet));
                assert_eq!(p == 0, q == 0, "called equivalent but differ on {packet:?}:\n{a:?}\n{b:?}");
            }
        }
        Outcome::Different { witness, facts, a_keeps, b_keeps, .. } => {
            assert_ne!(*a_keeps == 0, *b_keeps == 0);
            if facts.is_empty() {
                assert_eq!((run(&a, witness), run(&b, witness)), (*a_keeps, *b_keeps));
            }
        }
        Outcome::Unknown { reason, .. } => {
            assert_ne!(*reason, Reason::Interpreter, "the model is wrong:\n{a:?}\n{b:?}");
        }
    }
}

fn seed(data: &[u8]) -> u32 {
    data.iter().fold(7, |h: u32, &byte| h.rotate_left(5) ^ u32::from(byte))
}

/// Holds the function that describes a program against runs of the program.
fn check_model(program: &[Insn], run: &dyn Fn(&[Insn], &[u8]) -> u32, seed: u32) {
    let mut words = Words::new(Bdd::new(100_000, None));
    let Ok(verdict) = exec::verdict(&mut words, program, &[]) else { return };
    if words.inputs.has_open() {
        return;
    }
    let mut random = Random::new(seed);
    for _ in 0..PACKETS / 4 {
        let packet = packet(&mut random);
        let bit = |level: u32| match words.inputs.input(level) {
            Some(Input::Packet(offset, bit)) => packet.get(offset as usize).is_some_and(|byte| byte >> bit & 1 == 1),
            Some(Input::Len(bit)) => packet.len() >> bit & 1 == 1,
            _ => false,
        };
        let kept = run(program, &packet) != 0;
        assert_eq!(words.bdd.eval(verdict.keeps, &bit), kept, "{packet:?}:\n{program:?}");
        assert!(!kept || !words.bdd.eval(verdict.too_short, &bit), "kept but too short: {packet:?}\n{program:?}");
    }
}

/// A packet of few bytes with few distinct values, so that random programs tell packets apart.
fn packet(random: &mut Random) -> Vec<u8> {
    const BYTES: [u8; 8] = [0, 1, 2, 3, 4, 0x45, 0x80, 0xff];
    (0..random.below(12))
        .map(|_| if random.below(4) == 0 { random.next() as u8 } else { BYTES[random.below(BYTES.len())] })
        .collect()
}

/// The program with one instruction replaced; the program itself if that does not give a valid one.
fn mutated(program: &[Insn], bytes: &mut impl Iterator<Item = u8>) -> Vec<Insn> {
    let mut copy = program.to_vec();
    let at = usize::from(bytes.next().unwrap_or(0)) % copy.len();
    copy[at] = insn(bytes, copy.len() - at - 1);
    if check_structure(&copy).is_ok() { copy } else { program.to_vec() }
}

/// A valid program.
fn program(bytes: &mut impl Iterator<Item = u8>) -> Vec<Insn> {
    let len = usize::from(bytes.next().unwrap_or(0)) % MAX_INSNS;
    let mut insns: Vec<Insn> = (0..len).map(|at| insn(bytes, len + 2 - at - 1)).collect();
    // An X that is small and depends on the packet makes indirect loads interesting.
    let prologue = match bytes.next().unwrap_or(0) % 4 {
        0 => vec![Insn::ld_abs(Size::Byte, 0), Insn::alu_k(AluOp::And, 3), Insn::tax()],
        1 => vec![Insn::ldx_msh(0)],
        _ => Vec::new(),
    };
    insns.splice(0..0, prologue);
    insns.push(if bytes.next().unwrap_or(0).is_multiple_of(4) { Insn::ret_a() } else { Insn::ret_k(1) });
    insns.push(Insn::ret_k(0));
    insns
}

/// Any instruction that `following` others may follow.
fn insn(bytes: &mut impl Iterator<Item = u8>, following: usize) -> Insn {
    let mut next = || bytes.next().unwrap_or(0);
    let choice = next();
    let operand = next();
    let size = [Size::Byte, Size::Half, Size::Word][usize::from(operand >> 4) % 3];
    let offset = u32::from(operand & 7);
    let scratch = u32::from(operand & 1);
    let constant = match operand >> 5 {
        0 => u32::from(operand & 31).wrapping_neg(),
        1 => 1 << (operand & 31),
        2 => u32::from(next()) << 8 | u32::from(operand),
        _ => u32::from(operand & 31),
    };
    let alu = AluOp::ALL[usize::from(next()) % AluOp::ALL.len()];
    let jump = JmpOp::ALL[usize::from(choice >> 5) % JmpOp::ALL.len()];
    let distance = |byte: u8| u8::try_from(usize::from(byte) % following.clamp(1, 4)).unwrap_or(0);
    match choice % 20 {
        0..=3 => Insn::ld_abs(size, offset),
        4 | 5 => Insn::ld_ind(size, if operand >= 0xf0 { constant } else { offset }),
        6 => Insn::ld_imm(constant),
        7 => Insn::ld_mem(scratch),
        8 => Insn::ld_len(),
        9 => Insn::ldx_msh(offset),
        10 => [Insn::ldx_imm(constant), Insn::ldx_mem(scratch), Insn::ldx_len()][usize::from(operand) % 3],
        11 => [Insn::st(scratch), Insn::stx(scratch)][usize::from(operand) % 2],
        12 => [Insn::tax(), Insn::txa(), Insn::neg(), Insn::tax()][usize::from(operand >> 1) % 4],
        13 => match alu {
            AluOp::Div | AluOp::Mod => Insn::alu_k(alu, constant.max(1)),
            AluOp::Lsh | AluOp::Rsh => Insn::alu_k(alu, constant % 32),
            _ => Insn::alu_k(alu, constant),
        },
        14 => Insn::alu_x(alu),
        15 => Insn::jump_x(jump, distance(next()), distance(next())),
        16 if following > 1 && operand > 240 => Insn::ja(u32::from(distance(next()))),
        _ => Insn::jump_k(jump, constant, distance(next()), distance(next())),
    }
}
