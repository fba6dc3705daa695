//! Property test of the translation: both programs run on the same packet and must agree.
//!
//! The two interpreters here are the shortest possible statements of the machines, built on the operators that the
//! instruction tables define. They serve tests only; the real ones are in `skep-vm`.

use super::{Options, TranslateError, translate};
use crate::classic::{self, ANCILLARY, Ancillary, Insn, JmpOp, Source, ancillary};
use crate::ebpf::{self, Callee, Cpu, Endian, InsnIdx, Op, Reg, Size, Src};

/// What a packet looks like to both machines.
struct Input<'a> {
    packet: &'a [u8],
    /// Words of `struct __sk_buff` by offset / 4; the length is that of the packet.
    words: [u32; 20],
}

impl Input<'_> {
    fn word(&self, offset: i16) -> u32 {
        match offset {
            0 => self.packet.len() as u32,
            _ => self.words[offset as usize / 4],
        }
    }

    /// Packet data in network byte order, `None` outside.
    fn load(&self, offset: u32, size: u32) -> Option<u32> {
        let bytes = self.packet.get(offset as usize..)?.get(..size as usize)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    fn helper(&self, id: u32) -> u32 {
        id.wrapping_mul(0x9e37_79b9)
    }
}

/// A random structurally sound program and packet: translation must keep the verdict.
pub fn agrees(data: &[u8]) {
    let (head, rest) = data.split_at(data.len().min(8));
    let (code, packet) = rest.split_at(rest.len() / 2);
    let seed = head.iter().fold(1, |seed: u32, byte| seed.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    let mut words = [0; 20];
    for (index, word) in words.iter_mut().enumerate() {
        *word = seed.rotate_left(index as u32) & if index.is_multiple_of(3) { 7 } else { u32::MAX };
    }
    // Ethernet types are 16 bits wide.
    words[4] &= 0xffff;
    words[7] &= 0xffff;
    // Sometimes there is no device.
    words[10] &= 3;
    let program = program(code);
    let input = Input { packet, words };
    let expected = run_classic(&program, &input);
    for cpu in [Cpu::V1, Cpu::V2, Cpu::V3, Cpu::V4] {
        match translate(&program, &Options { cpu }) {
            Ok(translation) => {
                check_translation(&program, &translation, cpu);
                assert_eq!(run(&translation.insns, &input), expected, "{cpu:?} {program:#?}");
            }
            Err(TranslateError::Ancillary { word, .. }) => assert!(matches!(word.source, Source::Unreachable(_))),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Every slot decodes, uses only what `cpu` knows, and can be reached; positions increase.
fn check_translation(program: &[Insn], translation: &super::Translation, cpu: Cpu) {
    assert_eq!(translation.starts.len(), program.len());
    assert!(translation.starts.iter().flatten().is_sorted());
    let ops = ebpf::validate(&translation.insns).unwrap();
    let mut reached = vec![false; translation.insns.len() + 1];
    reached[0] = true;
    for (at, op) in ops {
        assert!(reached[at.index()], "slot {at} cannot be reached; the verifier would refuse it");
        assert!(translation.insns[at.index()].row().unwrap().cpu <= cpu);
        if let Some(distance) = op.jump_distance() {
            reached[at.target(distance).unwrap().index()] = true;
        }
        reached[at.index() + 1] |= op.falls_through();
    }
}

/// Makes a valid program of arbitrary bytes: four bytes an instruction.
pub fn program(data: &[u8]) -> Vec<Insn> {
    let chunks = data.as_chunks::<4>().0;
    let len = chunks.len();
    let mut insns: Vec<Insn> = Vec::with_capacity(len + 1);
    for (at, &[form, a, b, c]) in chunks.iter().enumerate() {
        let form = classic::FORMS[usize::from(form) % classic::FORMS.len()];
        let following = len - at;
        let mut insn = Insn { code: form.code(), jt: a % 4, jf: b % 4, k: u32::from(c) };
        insn.jt = insn.jt.min(u8::try_from(following - 1).unwrap_or(u8::MAX));
        insn.jf = insn.jf.min(u8::try_from(following - 1).unwrap_or(u8::MAX));
        insn.k = match form.op {
            classic::Op::Ja(_) => (insn.k % 4).min(following as u32 - 1),
            classic::Op::AluK(classic::AluOp::Lsh | classic::AluOp::Rsh, _) => insn.k % 32,
            classic::Op::AluK(classic::AluOp::Div | classic::AluOp::Mod, _) => insn.k + 1,
            classic::Op::LdMem(_) | classic::Op::LdxMem(_) | classic::Op::St(_) | classic::Op::Stx(_) => insn.k % 16,
            classic::Op::LdAbs(..) if a > 200 => ANCILLARY[usize::from(c) % ANCILLARY.len()].k(),
            classic::Op::LdAbs(..) | classic::Op::LdInd(..) | classic::Op::LdxMsh(_) => insn.k % 64,
            _ if a & 4 != 0 => insn.k | u32::from(b) << 24,
            _ => insn.k,
        };
        insns.push(insn.decode().map_or(insn, |op| op.encode()));
    }
    insns.push(Insn::ret_a());
    insns
}

fn run_classic(program: &[Insn], input: &Input) -> u32 {
    run_classic_steps(program, input).unwrap_or(0)
}

/// `None` stands for the end with 0 that a load outside or a division by zero means.
fn run_classic_steps(program: &[Insn], input: &Input) -> Option<u32> {
    use classic::Op as C;
    let (mut a, mut x, mut memory, mut at) = (0u32, 0u32, [0u32; 16], 0usize);
    loop {
        let op = program[at].decode()?;
        at += 1;
        match op {
            C::LdAbs(size, k) => match ancillary(k) {
                // Without a device the accumulator is the result.
                Some(Ancillary { source: Source::FieldOfDevice(off), .. }) if input.word(*off) == 0 => return Some(a),
                Some(word) => a = ancillary_value(word.source, input, a, x)?,
                None => a = input.load(k, size.bytes())?,
            },
            C::LdInd(size, k) => a = input.load(x.wrapping_add(k), size.bytes())?,
            C::LdImm(k) => a = k,
            C::LdMem(k) => a = memory[k as usize],
            C::LdLen => a = input.word(0),
            C::LdxImm(k) => x = k,
            C::LdxMem(k) => x = memory[k as usize],
            C::LdxLen => x = input.word(0),
            C::LdxMsh(k) => x = 4 * (input.load(k, 1)? & 15),
            C::St(k) => memory[k as usize] = a,
            C::Stx(k) => memory[k as usize] = x,
            C::AluK(op, k) => a = op.eval(a, k)?,
            C::AluX(op) => a = op.eval(a, x)?,
            C::Neg => a = a.wrapping_neg(),
            C::Ja(k) => at += k as usize,
            C::JumpK { op, k, jt, jf } => at += distance(op, a, k, jt, jf),
            C::JumpX { op, jt, jf } => at += distance(op, a, x, jt, jf),
            C::RetK(k) => return Some(k),
            C::RetA => return Some(a),
            C::Tax => x = a,
            C::Txa => a = x,
        }
    }
}

fn distance(op: JmpOp, a: u32, b: u32, jt: u8, jf: u8) -> usize {
    usize::from(if op.eval(a, b) { jt } else { jf })
}

fn ancillary_value(source: Source, input: &Input, a: u32, x: u32) -> Option<u32> {
    match source {
        Source::Field(off) => Some(input.word(off)),
        Source::FieldBe16(off) => Some(u32::from(u16::from_be(input.word(off) as u16))),
        Source::FieldOfDevice(off) => Some(input.word(off)),
        Source::Helper(id) => Some(input.helper(id)),
        Source::XorX => Some(a ^ x),
        Source::Unreachable(_) => Some(0),
    }
}

/// Runs the subset of 64-bit instructions that the translator emits. Every register starts with garbage.
fn run(program: &[ebpf::Insn], input: &Input) -> u32 {
    let mut regs = [0xdead_beef_dead_beefu64; 11];
    let mut stack = [0xa5u8; 64];
    let mut at = InsnIdx(0);
    loop {
        let op = program[at.index()].decode(None).unwrap();
        let mut distance = 0;
        let operand = |regs: &[u64; 11], src| match src {
            Src::Reg(reg) => regs[reg.index()],
            Src::Imm(imm) => i64::from(imm) as u64,
        };
        match op {
            Op::Alu { width, op, dst, src } => {
                regs[dst.index()] = op.eval(width, regs[dst.index()], operand(&regs, src));
            }
            Op::Neg { dst, .. } => regs[dst.index()] = u64::from((regs[dst.index()] as u32).wrapping_neg()),
            Op::Swap { order, size, dst } => regs[dst.index()] = order.eval(Endian::NATIVE, size, regs[dst.index()]),
            Op::Load { size: Size::W, signed: false, dst, base: Reg::R6, off } => {
                regs[dst.index()] = input.word(off).into();
            }
            Op::Load { size: Size::W, signed: false, dst, base: Reg::R10, off } => {
                let slot = stack[(64 + off) as usize..].first_chunk().unwrap();
                regs[dst.index()] = u32::from_ne_bytes(*slot).into();
            }
            Op::Store { size: Size::W, base: Reg::R10, off, src } => {
                let value = operand(&regs, src) as u32;
                stack[(64 + off) as usize..][..4].copy_from_slice(&value.to_ne_bytes());
            }
            Op::LdAbs { size, k } => match input.load(k as u32, size.bytes()) {
                Some(value) => regs[0] = value.into(),
                None => return 0,
            },
            Op::LdInd { size, src, k } => {
                match input.load((regs[src.index()] as u32).wrapping_add(k as u32), size.bytes()) {
                    Some(value) => regs[0] = value.into(),
                    None => return 0,
                }
            }
            Op::Goto { off } => distance = i32::from(off),
            Op::GotoLong { off } => distance = off,
            Op::JumpIf { width, op, dst, src, off } => {
                if op.eval(width, regs[dst.index()], operand(&regs, src)) {
                    distance = i32::from(off);
                }
            }
            Op::Call(Callee::Helper(id)) => {
                regs[..6].fill(0xdead_beef_dead_beef);
                regs[0] = input.helper(id as u32).into();
            }
            Op::Exit => return regs[0] as u32,
            other => panic!("the translator emitted {other:?}"),
        }
        if matches!(op, Op::LdAbs { .. } | Op::LdInd { .. }) {
            regs[1..6].fill(0xdead_beef_dead_beef);
        }
        at = at.target(distance).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic::{CheckError, SKF_AD_OFF, Size as Width};

    fn both(program: &[Insn], packet: &[u8]) -> u32 {
        let input = Input { packet, words: [0; 20] };
        let expected = run_classic(program, &input);
        for cpu in [Cpu::V1, Cpu::V2, Cpu::V3, Cpu::V4] {
            let translation = translate(program, &Options { cpu }).unwrap();
            check_translation(program, &translation, cpu);
            assert_eq!(run(&translation.insns, &input), expected, "{cpu:?}");
        }
        expected
    }

    /// A chain of tests, all of which lead to the last two instructions.
    #[test]
    fn long_chains_get_islands() {
        let tests = 60_000u32;
        let mut program = vec![Insn::ld_abs(Width::Word, 0)];
        for value in 0..tests {
            // jeq value: skip the jump to the next test.
            program.push(Insn::jump_k(JmpOp::Eq, value | 0x8000_0000, 0, 1));
            program.push(Insn::ja(2 * (tests - 1 - value) + 1));
        }
        program.push(Insn::ret_k(0));
        program.push(Insn::ret_k(7));
        for value in [0, 1, 30_000, tests - 1] {
            assert_eq!(both(&program, &(value | 0x8000_0000).to_be_bytes()), 7);
        }
        assert_eq!(both(&program, &tests.to_be_bytes()), 0);
        let short = translate(&program, &Options { cpu: Cpu::V3 }).unwrap();
        assert!(short.insns.len() < 2 * tests as usize + 100, "{}", short.insns.len());
    }

    /// Every jump has a target of its own, as far away as half of the program.
    #[test]
    fn many_crossing_jumps_need_long_ones() {
        let half = 40_000u32;
        let mut program = vec![Insn::ld_abs(Width::Word, 0)];
        for value in 0..half {
            program.push(Insn::jump_k(JmpOp::Eq, value, 0, 1));
            // Lands on the return that belongs to `value`.
            program.push(Insn::ja(2 * (half - 1 - value) + 1 + value));
        }
        program.push(Insn::ret_k(0));
        program.extend((0..half).map(|value| Insn::ret_k(value + 1)));
        assert!(matches!(translate(&program, &Options::default()), Err(TranslateError::JumpsTooFar { .. })));
        let translation = translate(&program, &Options { cpu: Cpu::V4 }).unwrap();
        check_translation(&program, &translation, Cpu::V4);
        for value in [0, 17, half / 2, half - 1] {
            let input = Input { packet: &value.to_be_bytes(), words: [0; 20] };
            assert_eq!(run_classic(&program, &input), value + 1);
            assert_eq!(run(&translation.insns, &input), value + 1);
        }
    }

    #[test]
    fn errors_name_the_word() {
        let program = [Insn::ld_abs(Width::Half, SKF_AD_OFF + 28), Insn::ret_a()];
        let error = translate(&program, &Options::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "instruction 0 reads `hatype` (SKF_AD_HATYPE), which a 64-bit program cannot: struct __sk_buff has no \
             such field; attach the classic program instead"
        );
        assert_eq!(translate(&[], &Options::default()), Err(TranslateError::Invalid(CheckError::Empty)));
    }

    #[test]
    fn unreachable_and_uninitialised() {
        let program = [
            Insn::ja(1),
            Insn::ld_mem(3),
            Insn::ldx_mem(2),
            Insn::txa(),
            Insn::alu_x(classic::AluOp::Or),
            Insn::ret_a(),
        ];
        assert_eq!(both(&program, &[]), 0);
        assert_eq!(translate(&program, &Options::default()).unwrap().starts[1], None);
        assert_eq!(both(&[Insn::ld_imm(6), Insn::alu_x(classic::AluOp::Div), Insn::ret_k(9)], &[]), 0);
        assert_eq!(both(&[Insn::ld_imm(9), Insn::ldx_msh(0), Insn::ret_a()], &[0x45]), 9);
        assert_eq!(both(&[Insn::ldx_msh(0), Insn::txa(), Insn::ret_a()], &[0x45]), 20);
    }
}
