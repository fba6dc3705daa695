//! The judge: iced-x86 decodes the bytes, and encodes what it understood again to see whether they were the shortest.

use iced_x86::{Decoder, DecoderOptions, Encoder, Instruction, MemorySize, Mnemonic, OpKind, Register};
use skep_isa::ebpf::Size;

use super::super::{Assembler, Mem, Reg, Scale};

/// Every size of an operand, smallest first.
pub(crate) const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::DW];

/// An operand as we asked for it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg {
    /// A register and how much of it.
    Reg(Reg, Size),
    /// Memory and how much of it.
    Mem(Mem, Size),
    /// The address of memory, for `lea`.
    Address(Mem),
    /// A constant of which the low bytes count.
    Imm(i64, Size),
    /// The target of a jump.
    Target(u64),
}

/// The name that the decoder gives to a part of a register.
pub(crate) fn named(reg: Reg, size: Size) -> Register {
    use Register::*;
    let [byte, half, word, double] = match reg {
        Reg::Rax => [AL, AX, EAX, RAX],
        Reg::Rcx => [CL, CX, ECX, RCX],
        Reg::Rdx => [DL, DX, EDX, RDX],
        Reg::Rbx => [BL, BX, EBX, RBX],
        Reg::Rsp => [SPL, SP, ESP, RSP],
        Reg::Rbp => [BPL, BP, EBP, RBP],
        Reg::Rsi => [SIL, SI, ESI, RSI],
        Reg::Rdi => [DIL, DI, EDI, RDI],
        Reg::R8 => [R8L, R8W, R8D, R8],
        Reg::R9 => [R9L, R9W, R9D, R9],
        Reg::R10 => [R10L, R10W, R10D, R10],
        Reg::R11 => [R11L, R11W, R11D, R11],
        Reg::R12 => [R12L, R12W, R12D, R12],
        Reg::R13 => [R13L, R13W, R13D, R13],
        Reg::R14 => [R14L, R14W, R14D, R14],
        Reg::R15 => [R15L, R15W, R15D, R15],
    };
    match size {
        Size::B => byte,
        Size::H => half,
        Size::W => word,
        Size::DW => double,
    }
}

/// `value` without the bits that an operand of `size` does not have.
fn cut(value: u64, size: Size) -> u64 {
    match size {
        Size::B => value & 0xff,
        Size::H => value & 0xffff,
        Size::W => value & 0xffff_ffff,
        Size::DW => value,
    }
}

fn same_address(insn: &Instruction, mem: Mem) -> bool {
    let (index, scale) = match mem.index() {
        None => (Register::None, 1),
        Some((index, Scale::One)) => (named(index, Size::DW), 1),
        Some((index, Scale::Two)) => (named(index, Size::DW), 2),
        Some((index, Scale::Four)) => (named(index, Size::DW), 4),
        Some((index, Scale::Eight)) => (named(index, Size::DW), 8),
    };
    insn.memory_base() == named(mem.base(), Size::DW)
        && insn.memory_index() == index
        && insn.memory_index_scale() == scale
        && insn.memory_displacement64() as i64 == i64::from(mem.disp())
        && insn.segment_prefix() == Register::None
}

fn memory_size(size: MemorySize) -> Option<Size> {
    use MemorySize::*;
    match size {
        UInt8 | Int8 => Some(Size::B),
        UInt16 | Int16 => Some(Size::H),
        UInt32 | Int32 => Some(Size::W),
        UInt64 | Int64 | QwordOffset => Some(Size::DW),
        _ => None,
    }
}

/// Whether operand `number` of `insn` is `arg`.
fn same(insn: &Instruction, number: u32, arg: Arg) -> bool {
    let kind = insn.op_kind(number);
    match arg {
        Arg::Reg(reg, size) => kind == OpKind::Register && insn.op_register(number) == named(reg, size),
        Arg::Mem(mem, size) => {
            kind == OpKind::Memory && same_address(insn, mem) && memory_size(insn.memory_size()) == Some(size)
        }
        Arg::Address(mem) => kind == OpKind::Memory && same_address(insn, mem),
        Arg::Imm(value, size) => {
            insn.try_immediate(number).is_ok_and(|found| cut(found, size) == cut(value as u64, size))
        }
        Arg::Target(target) => kind == OpKind::NearBranch64 && insn.near_branch64() == target,
    }
}

/// The one instruction in `code`, at address zero.
pub(crate) fn decode(code: &[u8]) -> Instruction {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let insn = decoder.decode();
    assert!(!insn.is_invalid(), "{code:02x?} is no instruction");
    assert_eq!(insn.len(), code.len(), "{code:02x?} is more or less than {:?}", insn.code());
    insn
}

/// The shortest bytes for the same opcode and operands.
fn encode_again(insn: &Instruction) -> Vec<u8> {
    let mut short = *insn;
    if short.memory_displ_size() != 0 {
        short.set_memory_displ_size(u32::from(short.memory_displacement64() != 0));
    }
    let mut encoder = Encoder::new(64);
    encoder.encode(&short, 0).unwrap_or_else(|error| panic!("{:?}: {error}", insn.code()));
    encoder.take_buffer()
}

/// Appends one instruction and fails unless it is `mnemonic` with `args`, in as few bytes as its opcode allows, with or
/// without a prefix that locks.
fn check_any(lock: bool, mnemonic: Mnemonic, args: &[Arg], emit: impl FnOnce(&mut Assembler)) -> Instruction {
    let mut asm = Assembler::new();
    emit(&mut asm);
    let code = asm.code();
    assert_eq!(asm.position(), code.len());
    let insn = decode(code);
    let right = insn.mnemonic() == mnemonic
        && insn.op_count() as usize == args.len()
        && args.iter().zip(0..).all(|(&arg, number)| same(&insn, number, arg))
        && insn.has_lock_prefix() == lock
        && !insn.has_rep_prefix()
        && !insn.has_repne_prefix();
    assert!(right, "asked for {mnemonic:?} {args:?}, got {code:02x?}, which is {insn:?}");
    assert_eq!(code, encode_again(&insn), "{mnemonic:?} {args:?} has a shorter encoding");
    insn
}

/// Appends one instruction and fails unless it is exactly `mnemonic` with `args`. Returns what the decoder saw.
pub(crate) fn check(mnemonic: Mnemonic, args: &[Arg], emit: impl FnOnce(&mut Assembler)) -> Instruction {
    check_any(false, mnemonic, args, emit)
}

/// The same for an instruction with the prefix that locks.
pub(crate) fn check_locked(mnemonic: Mnemonic, args: &[Arg], emit: impl FnOnce(&mut Assembler)) {
    check_any(true, mnemonic, args, emit);
}

/// How many bytes after the opcode the constant takes that is operand `number`.
pub(crate) fn immediate_bytes(insn: &Instruction, number: u32) -> usize {
    match insn.op_kind(number) {
        OpKind::Immediate8 | OpKind::Immediate8to16 | OpKind::Immediate8to32 | OpKind::Immediate8to64 => 1,
        OpKind::Immediate16 => 2,
        OpKind::Immediate32 | OpKind::Immediate32to64 => 4,
        OpKind::Immediate64 => 8,
        kind => panic!("operand {number} of {insn:?} is {kind:?}"),
    }
}

/// The fewest bytes that hold `imm` for an operand of `size`, extended by their sign.
pub(crate) fn fewest_bytes(size: Size, imm: i32) -> usize {
    match size {
        Size::B => 1,
        Size::H if (-128..128).contains(&(imm as u16 as i16)) => 1,
        Size::H => 2,
        Size::W | Size::DW if (-128..128).contains(&imm) => 1,
        Size::W | Size::DW => 4,
    }
}
