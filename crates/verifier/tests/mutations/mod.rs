//! Programs near the border: accepted ones in which one or two instructions are others.

use skep_isa::ebpf::{Insn, Op};
use skep_testkit::Rng;

/// Instruction classes, in the lowest three bits of the opcode.
const LD: u8 = 0;
const JMP: u8 = 5;
const JMP32: u8 = 6;
/// A jump by 0: nothing.
const NOTHING: Insn = Insn { code: 0x05, dst: 0, src: 0, off: 0, imm: 0 };
/// Numbers at which rules change.
const BORDERS: &[i32] = &[
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    14,
    15,
    16,
    31,
    32,
    63,
    64,
    127,
    128,
    255,
    256,
    511,
    512,
    513,
    4095,
    0xfffe,
    0xffff,
    0x1_0000,
    0x1fff_ffff,
    0x2000_0000,
    0x7fff_ffff,
    -1,
    -2,
    -8,
    -16,
    -512,
    -513,
    i32::MIN,
];

/// Changes a program of as many slots; returns what was changed, in words. Functions and jumps stay where they are but for
/// single ones.
pub fn mutate(insns: &mut [Insn], rng: &mut Rng) -> String {
    let mut said = Vec::new();
    let wanted = if rng.percent(70) { 1 } else { rng.between(2, 3) };
    for _ in 0..50 {
        let slots = starts(insns);
        let at = slots[rng.below(slots.len())];
        let before = insns[at];
        one(insns, at, rng);
        if insns[at] != before {
            said.push(format!("{at}: {} -> {}", shown(before), shown(insns[at])));
        }
        if said.len() == wanted {
            break;
        }
    }
    said.join("; ")
}

/// The slots at which instructions begin.
fn starts(insns: &[Insn]) -> Vec<usize> {
    let (mut starts, mut at) = (Vec::new(), 0);
    while at < insns.len() {
        starts.push(at);
        at += insns[at].decode(insns.get(at + 1).copied()).map_or(1, |op: Op| op.slots() as usize);
    }
    starts
}

/// The instruction, or its fields if it is none.
fn shown(insn: Insn) -> String {
    match insn.decode(None) {
        Ok(op) => format!("`{}`", skep_isa::ebpf::line(&op, skep_isa::ebpf::Notation::Plain)),
        Err(_) => format!("{insn:?}"),
    }
}

fn one(insns: &mut [Insn], at: usize, rng: &mut Rng) {
    let insn = insns[at];
    let class = insn.code & 7;
    // What has two slots or refers to something else loses its meaning by most changes.
    if class == LD {
        if insn.src == 0 {
            insns[at].imm = rng.pick(BORDERS);
        } else if rng.percent(30) {
            insns[at].dst = register(rng, 10);
        }
        return;
    }
    let is_call = insn.code == 0x85;
    match rng.below(if is_call { 2 } else { 10 }) {
        0 => insns[at] = NOTHING,
        1 if is_call => {
            insns[at].imm = if insn.src == 0 { i32::try_from(rng.between(1, 211)).unwrap_or(1) } else { insn.imm }
        }
        1 => insns[at].dst = register(rng, 11),
        2 => insns[at].src = register(rng, 11),
        3 | 4 if class == JMP || class == JMP32 => conditional(&mut insns[at], rng),
        3 | 4 => insns[at].off = nearby(insn.off, rng),
        5 => insns[at].imm = insn.imm.wrapping_add(rng.pick(&[-8, -4, -2, -1, 1, 2, 4, 8])),
        6 => insns[at].imm = rng.pick(BORDERS),
        7 => insns[at].code ^= 1 << rng.between(3, 7),
        // 64 bits in place of 32, or the other way round.
        8 if matches!(class, 4 | 7) => insns[at].code ^= 3,
        8 if matches!(class, JMP | JMP32) && insn.code >> 4 != 0 && insn.code != 0x95 => insns[at].code ^= 3,
        _ => {
            // Another instruction of the program stands here too.
            let other = insns[rng.below(insns.len())];
            if other.code & 7 != LD && other.code != 0 && !matches!(other.code & 7, JMP | JMP32) {
                insns[at] = other;
            }
        }
    }
}

fn register(rng: &mut Rng, below: usize) -> u8 {
    u8::try_from(rng.below(below)).unwrap_or(0)
}

fn nearby(off: i16, rng: &mut Rng) -> i16 {
    off.wrapping_add(rng.pick(&[-64, -16, -8, -4, -2, -1, 1, 2, 4, 8, 16, 64]))
}

/// Another condition, or another target nearby.
fn conditional(insn: &mut Insn, rng: &mut Rng) {
    const CONDITIONS: &[u8] = &[0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0];
    if rng.percent(40) {
        insn.off = insn.off.wrapping_add(rng.pick(&[-3, -2, -1, 1, 2, 3]));
    } else if !matches!(insn.code & 0xf0, 0x00 | 0x80 | 0x90 | 0xe0) {
        insn.code = (insn.code & 0x0f) | rng.pick(CONDITIONS);
    }
}
