//! Random programs out of the sequences that compilers emit and code generators fuse.

use skep_isa::ebpf::{AluOp, Insn, JmpOp, Op, Order, Reg, Size, Src, Width};

use super::Bytes;
use super::ebpf::computing_program;

/// Operators that stand last in a sequence.
const COMBINING: [AluOp; 7] = [AluOp::Add, AluOp::Sub, AluOp::And, AluOp::Or, AluOp::Xor, AluOp::Mul, AluOp::Mod];

/// As [`arithmetic_program`](super::arithmetic_program), with a body of such sequences over few registers, of near
/// misses, and of jumps into their middle.
pub fn idiom_program(bytes: &mut Bytes<'_>) -> Vec<Insn> {
    computing_program(bytes, |bytes| {
        let registers = [register(bytes), register(bytes), register(bytes)];
        let mut body = Vec::new();
        for _ in 0..bytes.below(24) {
            sequence(bytes, registers, &mut body);
        }
        // Jumps lead anywhere in what follows; every instruction has one slot.
        for at in 0..body.len() {
            let furthest = (body.len() - at).min(8);
            if let Op::JumpIf { off, .. } = &mut body[at] {
                *off = i16::try_from(bytes.below(furthest)).unwrap_or(0);
            }
        }
        body
    })
}

fn register(bytes: &mut Bytes<'_>) -> Reg {
    Reg::new(bytes.u8() % 10).unwrap_or(Reg::R0)
}

fn sequence(bytes: &mut Bytes<'_>, registers: [Reg; 3], out: &mut Vec<Op>) {
    let pick = |bytes: &mut Bytes<'_>| bytes.pick(&registers);
    let (t, x, y) = (pick(bytes), pick(bytes), pick(bytes));
    let width = bytes.pick(&[Width::W32, Width::W64]);
    let other = if bytes.one_in(6) { bytes.pick(&[Width::W32, Width::W64]) } else { width };
    let alu = |width, op, dst, src| Op::Alu { width, op, dst, src };
    let count = |bytes: &mut Bytes<'_>, width: Width| {
        let small = if bytes.one_in(2) { bytes.below(6) as i32 } else { i32::from(bytes.u8()) };
        Src::Imm(if bytes.one_in(5) { width.bits() as i32 / 2 } else { small % width.bits() as i32 })
    };
    if bytes.one_in(2) {
        out.push(alu(bytes.pick(&[width, width, Width::W32]), AluOp::Mov, t, Src::Reg(y)));
    }
    let shifts = [AluOp::Lsh, AluOp::Rsh, AluOp::Arsh];
    match bytes.below(8) {
        0 => {
            out.push(alu(width, AluOp::Lsh, t, count(bytes, width)));
            out.push(alu(other, bytes.pick(&[AluOp::Rsh, AluOp::Arsh]), t, count(bytes, other)));
        }
        1 => {
            let mask = bytes.pick(&[1, 3, 0xff, 0xffff, 0x7fff_ffff, -1, 6, 0, -256]);
            out.push(alu(width, bytes.pick(&shifts), t, count(bytes, width)));
            out.push(alu(other, AluOp::And, t, Src::Imm(mask)));
        }
        2 | 3 => {
            out.push(alu(width, bytes.pick(&shifts), t, count(bytes, width)));
            let (to, with) = if bytes.one_in(2) { (t, x) } else { (x, t) };
            out.push(alu(other, bytes.pick(&COMBINING), to, Src::Reg(with)));
        }
        4 => {
            let by = if bytes.one_in(3) { Src::Imm(bytes.interesting_u32().cast_signed()) } else { Src::Reg(y) };
            out.push(alu(width, AluOp::Mul, t, by));
            let (to, with) = if bytes.one_in(2) { (t, x) } else { (x, t) };
            out.push(alu(other, bytes.pick(&COMBINING), to, Src::Reg(with)));
        }
        5 => {
            // The parts of a rotation.
            let all = width.bits() as i32;
            let first = i32::from(bytes.u8()) % all;
            let (up, down) = if bytes.one_in(2) { (AluOp::Lsh, AluOp::Rsh) } else { (AluOp::Rsh, AluOp::Lsh) };
            out.push(alu(width, up, t, Src::Imm(first)));
            out.push(alu(width, AluOp::Mov, x, Src::Reg(y)));
            out.push(alu(width, down, x, Src::Imm((all - first) % all)));
            out.push(alu(width, bytes.pick(&[AluOp::Or, AluOp::Add, AluOp::Xor]), t, Src::Reg(x)));
        }
        6 => {
            let imm = bytes.pick(&[0, 1, -1, 2, 64, i32::MIN, 3]);
            out.push(Op::JumpIf { width, op: bytes.pick(JmpOp::ALL), dst: t, src: Src::Imm(imm), off: 0 });
        }
        _ => {
            let src = if bytes.one_in(2) { Src::Reg(x) } else { Src::Imm(bytes.interesting_u32().cast_signed() | 1) };
            out.push(alu(other, bytes.pick(&COMBINING), t, src));
            out.push(Op::Swap { order: Order::Big, size: bytes.pick(&[Size::H, Size::W, Size::DW]), dst: x });
        }
    }
    // What nothing reads any more may stay away.
    if bytes.one_in(2) {
        out.push(Op::mov_imm(bytes.pick(&registers), bytes.interesting_u32().cast_signed()));
    }
}
