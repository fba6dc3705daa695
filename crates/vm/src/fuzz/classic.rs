//! Random classic programs: the interpreter against a walk over the undecoded instructions.

use skep_isa::classic::{
    self, AluOp, FORMS, Insn, JmpOp, Op, SCRATCH_WORDS, SKF_AD_OFF, SKF_LL_OFF, SKF_NET_OFF, Size, check_structure,
};

use skep_isa::classic::Source;
use skep_isa::ebpf::Cpu;
use skep_isa::translate::{Options, translate};

use super::Bytes;
use crate::classic::{Metadata, Program, find_attribute, next_random};
use crate::ebpf::{ClassicFilter, SocketFilter};

/// Which loads a generated program may have besides those of packet bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// Everything.
    All,
    /// Everything that a 64-bit program can do as well.
    Translatable,
    /// The words that do not depend on where the packet came from.
    Portable,
}

/// Classic programs: whatever passes the structural checks runs without a panic and gives the same result as
/// [`reference`]; what does not pass is refused.
pub fn classic(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let raw = bytes.one_in(8);
    let insns = if raw { raw_program(&mut bytes) } else { program(&mut bytes, Special::All) };
    let meta = metadata(&mut bytes);
    let packet = bytes.take(2048);
    let wire_len = u32::try_from(packet.len()).unwrap_or(0) + u32::from(packet.first().copied().unwrap_or(0) % 3);
    let checked = check_structure(&insns);
    let loaded = Program::new(&insns);
    assert_eq!(loaded.is_ok(), checked.is_ok(), "{insns:?}");
    let Ok(loaded) = loaded else {
        assert!(raw, "the generator makes programs that load: {checked:?}");
        return;
    };
    for len in [packet.len(), packet.len() / 2, packet.len() / 3] {
        let packet = &packet[..len];
        let expected = reference(&insns, packet, wire_len, &meta);
        let result = loaded.run(packet, wire_len, &meta);
        assert_eq!(result, expected, "{}\n{packet:02x?} {wire_len} {meta:?}", listing(&insns));
    }
}

/// The translation of a classic program to 64-bit instructions gives what the program gives.
pub fn translation(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let insns = program(&mut bytes, Special::Translatable);
    let meta = metadata(&mut bytes);
    let packet = bytes.take(2048);
    let wire_len = u32::try_from(packet.len()).unwrap_or(0) + 4;
    let expected = Program::new(&insns).map(|program| program.run(packet, wire_len, &meta));
    let Ok(expected) = expected else { panic!("the generator makes programs that load: {expected:?}") };
    for cpu in [Cpu::V1, Cpu::V2, Cpu::V3, Cpu::V4] {
        let translated = translate(&insns, &Options { cpu });
        let Ok(translated) = translated else { panic!("{translated:?}\n{}", listing(&insns)) };
        let mut filter = SocketFilter::new(&translated.insns).unwrap_or_else(|error| panic!("{error}"));
        let result = filter.run(packet, wire_len, &meta);
        assert_eq!(result, Ok(expected), "{cpu:?}\n{}\n{packet:02x?} {meta:?}", listing(&insns));
    }
    let mut filter = ClassicFilter::new(&insns).unwrap_or_else(|error| panic!("{error}"));
    filter.compile();
    // Twice: nothing of the first run may be left.
    for _ in 0..2 {
        let result = filter.run(packet, wire_len, &meta);
        assert_eq!(result, expected, "{}\n{packet:02x?} {meta:?}", listing(&insns));
    }
}

fn listing(insns: &[Insn]) -> String {
    classic::listing(insns, classic::PadStyle::V1_11)
}

fn raw_program(bytes: &mut Bytes<'_>) -> Vec<Insn> {
    let len = bytes.below(24);
    (0..len)
        .map(|_| Insn { code: bytes.u8().into(), jt: bytes.u8() % 8, jf: bytes.u8() % 8, k: bytes.interesting_u32() })
        .collect()
}

/// A program that passes the structural checks, and the kernel's too except that scratch words may be read before
/// they are written.
pub fn program(bytes: &mut Bytes<'_>, special: Special) -> Vec<Insn> {
    let len = 1 + bytes.below(40);
    let mut insns: Vec<Insn> = Vec::with_capacity(len + 1);
    for at in 0..len {
        // Loads and masks are followed by a comparison more often than chance has it: such pairs are fused.
        let fusible = insns
            .last()
            .and_then(Insn::decode)
            .is_some_and(|op| matches!(op, Op::LdAbs(..) | Op::LdInd(..) | Op::AluK(AluOp::And, _)));
        insns.push(if fusible && bytes.one_in(2) {
            comparison(bytes, len - at)
        } else {
            insn(bytes, len - at, special)
        });
    }
    insns.push(if bytes.one_in(2) { Insn::ret_a() } else { Insn::ret_k(bytes.interesting_u32()) });
    insns
}

/// A comparison with a small constant.
fn comparison(bytes: &mut Bytes<'_>, following: usize) -> Insn {
    let [jt, jf] = [(); 2].map(|()| u8::try_from(bytes.below(following)).unwrap_or(0));
    Insn::jump_k(bytes.pick(&JmpOp::ALL), u32::from(bytes.u8() % 4), jt, jf)
}

/// An instruction that at least `following` others follow.
fn insn(bytes: &mut Bytes<'_>, following: usize, special: Special) -> Insn {
    let form = FORMS[bytes.below(FORMS.len())].op;
    let mut distance = || u8::try_from(bytes.below(following)).unwrap_or(0);
    let op = match form {
        Op::JumpK { op, .. } => {
            let (jt, jf) = (distance(), distance());
            Op::JumpK { op, k: bytes.interesting_u32(), jt, jf }
        }
        Op::JumpX { op, .. } => Op::JumpX { op, jt: distance(), jf: distance() },
        Op::Ja(_) => Op::Ja(distance().into()),
        Op::LdAbs(size, _) => Op::LdAbs(size, offset(bytes, special)),
        Op::LdInd(size, _) => Op::LdInd(size, offset(bytes, special)),
        Op::LdxMsh(_) => Op::LdxMsh(u32::from(bytes.u8())),
        Op::LdMem(_) => Op::LdMem(bytes.u32() % SCRATCH_WORDS),
        Op::LdxMem(_) => Op::LdxMem(bytes.u32() % SCRATCH_WORDS),
        Op::St(_) => Op::St(bytes.u32() % SCRATCH_WORDS),
        Op::Stx(_) => Op::Stx(bytes.u32() % SCRATCH_WORDS),
        Op::AluK(op @ (AluOp::Div | AluOp::Mod), _) => Op::AluK(op, bytes.interesting_u32().max(1)),
        Op::AluK(op @ (AluOp::Lsh | AluOp::Rsh), _) => Op::AluK(op, bytes.u32() % 32),
        Op::AluK(op, _) => Op::AluK(op, bytes.interesting_u32()),
        Op::LdImm(_) => Op::LdImm(bytes.interesting_u32()),
        Op::LdxImm(_) => Op::LdxImm(bytes.interesting_u32()),
        // Most programs would end at once if every return form were taken.
        Op::RetK(_) if bytes.one_in(4) => Op::RetK(bytes.interesting_u32()),
        Op::RetK(_) => Op::Tax,
        Op::RetA if bytes.one_in(4) => Op::RetA,
        Op::RetA => Op::Txa,
        other => other,
    };
    op.encode()
}

fn offset(bytes: &mut Bytes<'_>, special: Special) -> u32 {
    // ALU_XOR_X, NLATTR and NLATTR_NEST compute from registers and packet bytes alone.
    const PORTABLE: [u32; 3] = [40, 12, 16];
    let small = u32::from(bytes.u8());
    match bytes.u8() % 16 {
        0 => match special {
            Special::All => SKF_AD_OFF + 4 * (small % 16),
            Special::Portable => SKF_AD_OFF + PORTABLE[small as usize % PORTABLE.len()],
            Special::Translatable => {
                let word = &classic::ANCILLARY[small as usize % 16];
                if matches!(word.source, Source::Unreachable(_)) { SKF_AD_OFF + 40 } else { word.k() }
            }
        },
        1 if special != Special::Portable => SKF_NET_OFF + small,
        2 if special != Special::Portable => SKF_LL_OFF + small,
        3 => small << 8,
        4 if special != Special::Portable => SKF_LL_OFF - 1 - small,
        _ => small % 64,
    }
}

fn metadata(bytes: &mut Bytes<'_>) -> Metadata {
    let present = bytes.u8();
    let small = |byte: u8| u32::from(byte);
    Metadata {
        protocol: 0x0800 + u16::from(bytes.u8()),
        packet_type: bytes.u8(),
        ifindex: (present & 1 != 0).then_some(7),
        hatype: 1,
        mark: bytes.u32(),
        queue: u16::from(bytes.u8()),
        rxhash: bytes.u32(),
        cpu: small(bytes.u8()),
        vlan_tci: (present & 2 != 0).then_some(0x2005),
        vlan_tpid: 0x88a8,
        payload_offset: small(bytes.u8()),
        random: bytes.u32(),
        network_offset: (present & 4 != 0).then_some(14),
        link_offset: (present & 8 != 0).then_some(2),
    }
}

/// The classic machine as plainly as it can be written: one match on the undecoded instruction for each step.
///
/// For programs that pass `check_structure`; for others the result means nothing.
pub fn reference(insns: &[Insn], packet: &[u8], wire_len: u32, meta: &Metadata) -> u32 {
    let (mut a, mut x, mut scratch, mut random) = (0u32, 0u32, [0u32; SCRATCH_WORDS as usize], meta.random);
    let mut pc = 0usize;
    while let Some(op) = insns.get(pc).and_then(Insn::decode) {
        pc += 1;
        match op {
            Op::LdAbs(_, k) if classic::ancillary(k).is_some() => {
                match ancillary(k - SKF_AD_OFF, a, x, packet, meta, &mut random) {
                    Some(value) => a = value,
                    None => return a,
                }
            }
            Op::LdAbs(size, k) => match load(packet, k, size, meta) {
                Some(value) => a = value,
                None => return 0,
            },
            Op::LdInd(size, k) => match load(packet, x.wrapping_add(k), size, meta) {
                Some(value) => a = value,
                None => return 0,
            },
            Op::LdxMsh(k) => match load(packet, k, Size::Byte, meta) {
                Some(value) => x = 4 * (value & 0xf),
                None => return 0,
            },
            Op::LdImm(k) => a = k,
            Op::LdMem(k) => a = scratch[k as usize],
            Op::LdLen => a = wire_len,
            Op::LdxImm(k) => x = k,
            Op::LdxMem(k) => x = scratch[k as usize],
            Op::LdxLen => x = wire_len,
            Op::St(k) => scratch[k as usize] = a,
            Op::Stx(k) => scratch[k as usize] = x,
            Op::AluK(op, k) => match op.eval(a, k) {
                Some(value) => a = value,
                None => return 0,
            },
            Op::AluX(op) => match op.eval(a, x) {
                Some(value) => a = value,
                None => return 0,
            },
            Op::Neg => a = a.wrapping_neg(),
            Op::Ja(k) => pc += k as usize,
            Op::JumpK { op, k, jt, jf } => pc += usize::from(if op.eval(a, k) { jt } else { jf }),
            Op::JumpX { op, jt, jf } => pc += usize::from(if op.eval(a, x) { jt } else { jf }),
            Op::RetK(k) => return k,
            Op::RetA => return a,
            Op::Tax => x = a,
            Op::Txa => a = x,
        }
    }
    0
}

/// A load in signed 64-bit arithmetic, byte by byte.
fn load(packet: &[u8], offset: u32, size: Size, meta: &Metadata) -> Option<u32> {
    let signed = i64::from(offset.cast_signed());
    let start = match signed {
        0.. => signed,
        -0x10_0000..0 => i64::from(meta.network_offset?) + signed + 0x10_0000,
        -0x20_0000..-0x10_0000 => i64::from(meta.link_offset?) + signed + 0x20_0000,
        _ => return None,
    };
    (start..start + i64::from(size.bytes())).try_fold(0, |value, at| {
        let byte = packet.get(usize::try_from(at).ok()?)?;
        Some(value << 8 | u32::from(*byte))
    })
}

fn ancillary(number: u32, a: u32, x: u32, packet: &[u8], meta: &Metadata, random: &mut u32) -> Option<u32> {
    Some(match number {
        0 => meta.protocol.into(),
        4 => (meta.packet_type & 7).into(),
        8 => meta.ifindex?,
        12 => find_attribute(packet, a, x, false),
        16 => find_attribute(packet, a, x, true),
        20 => meta.mark,
        24 => meta.queue.into(),
        28 => {
            meta.ifindex?;
            meta.hatype.into()
        }
        32 => meta.rxhash,
        36 => meta.cpu,
        40 => a ^ x,
        44 => meta.vlan_tci.unwrap_or(0).into(),
        48 => meta.vlan_tci.is_some().into(),
        52 => meta.payload_offset,
        56 => next_random(random),
        _ if meta.vlan_tci.is_some() => meta.vlan_tpid.into(),
        _ => 0,
    })
}
