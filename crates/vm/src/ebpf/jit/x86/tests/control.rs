//! Jumps, calls, distances and instructions without operands.

use iced_x86::{Decoder, DecoderOptions, Mnemonic};
use skep_isa::ebpf::Size;

use super::super::branch::OutOfRange;
use super::super::{Assembler, Cond, Reg, Rel8, Rel32};
use super::every_mem;
use super::oracle::{Arg, check, decode, named};

/// The conditional jumps as the decoder names them, each with the opposite, in the order of the codes.
const JCC: [(Mnemonic, Mnemonic); 16] = [
    (Mnemonic::Jo, Mnemonic::Jno),
    (Mnemonic::Jno, Mnemonic::Jo),
    (Mnemonic::Jb, Mnemonic::Jae),
    (Mnemonic::Jae, Mnemonic::Jb),
    (Mnemonic::Je, Mnemonic::Jne),
    (Mnemonic::Jne, Mnemonic::Je),
    (Mnemonic::Jbe, Mnemonic::Ja),
    (Mnemonic::Ja, Mnemonic::Jbe),
    (Mnemonic::Js, Mnemonic::Jns),
    (Mnemonic::Jns, Mnemonic::Js),
    (Mnemonic::Jp, Mnemonic::Jnp),
    (Mnemonic::Jnp, Mnemonic::Jp),
    (Mnemonic::Jl, Mnemonic::Jge),
    (Mnemonic::Jge, Mnemonic::Jl),
    (Mnemonic::Jle, Mnemonic::Jg),
    (Mnemonic::Jg, Mnemonic::Jle),
];

#[test]
fn instructions_without_operands() {
    type Emit = fn(&mut Assembler);
    let rows: [(Emit, Mnemonic); 7] = [
        (Assembler::ret, Mnemonic::Ret),
        (Assembler::int3, Mnemonic::Int3),
        (Assembler::ud2, Mnemonic::Ud2),
        (Assembler::endbr64, Mnemonic::Endbr64),
        (Assembler::mfence, Mnemonic::Mfence),
        (Assembler::cdq, Mnemonic::Cdq),
        (Assembler::cqo, Mnemonic::Cqo),
    ];
    for (emit, mnemonic) in rows {
        check(mnemonic, &[], emit);
    }
}

#[test]
fn nops_of_every_length() {
    for count in 0..100 {
        let mut asm = Assembler::new();
        asm.nop(count);
        assert_eq!(asm.position(), count);
        let insns: Vec<_> = Decoder::new(64, asm.code(), DecoderOptions::NONE).into_iter().collect();
        assert!(insns.iter().all(|insn| insn.mnemonic() == Mnemonic::Nop), "{count}: {insns:?}");
        assert_eq!(insns.len(), count.div_ceil(9), "{count}");
    }
}

#[test]
fn indirect() {
    for reg in Reg::ALL {
        check(Mnemonic::Jmp, &[Arg::Reg(reg, Size::DW)], |asm| asm.jmp(reg));
        check(Mnemonic::Call, &[Arg::Reg(reg, Size::DW)], |asm| asm.call(reg));
    }
    for mem in every_mem() {
        check(Mnemonic::Jmp, &[Arg::Mem(mem, Size::DW)], |asm| asm.jmp(mem));
        check(Mnemonic::Call, &[Arg::Mem(mem, Size::DW)], |asm| asm.call(mem));
    }
}

#[test]
fn distances_count_from_the_end() {
    for (cond, (mnemonic, opposite)) in Cond::ALL.into_iter().zip(JCC) {
        for target in [0, 1, 2, 127, 129] {
            let arg = [Arg::Target(target)];
            let short = |cond| {
                move |asm: &mut Assembler| {
                    let at = asm.jcc8(cond);
                    asm.patch_rel8(at, target as usize).unwrap();
                }
            };
            check(mnemonic, &arg, short(cond));
            check(opposite, &arg, short(cond.inverse()));
        }
        for target in [0, 6, 130, 0x8000_0005] {
            check(mnemonic, &[Arg::Target(target)], |asm| {
                let at = asm.jcc32(cond);
                asm.patch_rel32(at, target as usize).unwrap();
            });
        }
    }
    check(Mnemonic::Jmp, &[Arg::Target(129)], |asm| {
        let at = asm.jmp8();
        asm.patch_rel8(at, 129).unwrap();
    });
    for target in [0, 5, 0x8000_0004] {
        check(Mnemonic::Jmp, &[Arg::Target(target)], |asm| {
            let at = asm.jmp32();
            asm.patch_rel32(at, target as usize).unwrap();
        });
        check(Mnemonic::Call, &[Arg::Target(target)], |asm| {
            let at = asm.call32();
            asm.patch_rel32(at, target as usize).unwrap();
        });
    }
}

#[test]
fn jumps_are_filled_in_later_and_backwards() {
    let mut asm = Assembler::new();
    asm.nop(126);
    let backwards: Rel8 = asm.jcc8(Cond::L);
    let forwards: Rel32 = asm.jmp32();
    asm.nop(1000);
    let end = asm.position();
    asm.mov_imm(Reg::Rax, 7);
    asm.patch_rel8(backwards, 0).unwrap();
    asm.patch_rel32(forwards, end).unwrap();
    let code = asm.into_code();
    let insns: Vec<_> = Decoder::new(64, &code, DecoderOptions::NONE).into_iter().collect();
    let jumps = insns.iter().filter(|insn| insn.mnemonic() != Mnemonic::Nop).take(2);
    let targets: Vec<_> = jumps.map(|insn| (insn.mnemonic(), insn.near_branch_target())).collect();
    assert_eq!(targets, [(Mnemonic::Jl, 0), (Mnemonic::Jmp, end as u64)]);
    assert_eq!(insns.last().map(|insn| insn.op0_register()), Some(named(Reg::Rax, Size::W)));
}

#[test]
fn jumps_that_are_too_far_stay_as_they_were() {
    let mut asm = Assembler::new();
    asm.nop(200);
    let short = asm.jmp8();
    let long = asm.jmp32();
    let before = asm.code().to_vec();
    // The short jump ends at 202 and reaches 74 to 329, the long one ends at 207.
    for target in [73, 330, usize::MAX] {
        let error = OutOfRange { from: 202, target, bits: 8 };
        assert_eq!(asm.patch_rel8(short, target), Err(error));
    }
    for target in [207 + (1 << 31), usize::MAX] {
        assert_eq!(asm.patch_rel32(long, target), Err(OutOfRange { from: 207, target, bits: 32 }));
    }
    assert_eq!(asm.code(), before);
    for target in [74, 329] {
        assert_eq!(asm.patch_rel8(short, target), Ok(()));
    }
    assert_eq!(asm.patch_rel32(long, 207 + (1 << 31) - 1), Ok(()));
    let error = OutOfRange { from: 202, target: 330, bits: 8 };
    assert_eq!(
        error.to_string(),
        "a jump with a distance of 8 bits cannot lead from byte 202 of the code to byte 330; use the form with 32 bits"
    );
}

#[test]
fn a_jump_without_target_leads_to_the_next_instruction() {
    let mut asm = Assembler::new();
    let _ = asm.jcc32(Cond::G);
    assert_eq!(decode(asm.code()).near_branch_target(), asm.position() as u64);
}
