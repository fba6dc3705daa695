//! From instructions to text.

use std::fmt::Write as _;

use super::super::{Callee, DecodeError, Imm64, Insn, InsnIdx, JmpOp, Op, Src, Width, decode_program};
use crate::helpers;

/// Which of two close notations to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notation {
    /// What the assembler reads back to the same bytes: plain distances, signed constants, ` ll` at 64-bit loads.
    Plain,
    /// What the kernel prints in verifier logs, with the opcode in front: `(05) goto pc+3`, `(85) call bpf_ktime_get_ns#5`.
    Kernel,
}

/// Prints a program in [`Notation::Plain`], one instruction a line.
///
/// # Errors
/// The first instruction that does not decode.
pub fn disassemble(insns: &[Insn]) -> Result<String, DecodeError> {
    let mut out = String::with_capacity(insns.len() * 24);
    for (_, op) in decode_program(insns)? {
        out.push_str(&line(&op, Notation::Plain));
        out.push('\n');
    }
    Ok(out)
}

/// One instruction without indentation and newline.
pub fn line(op: &Op, notation: Notation) -> String {
    let mut out = String::with_capacity(32);
    let kernel = notation == Notation::Kernel;
    if kernel {
        let _ = write!(out, "({:02x}) ", op.encode().first.code);
    }
    let _ = match *op {
        Op::Goto { off } => write!(out, "goto {}{off:+}", pc(kernel)),
        Op::GotoLong { off } => write!(out, "gotol {}{off:+}", pc(kernel)),
        Op::MayGoto { off } => write!(out, "may_goto {}{off:+}", pc(kernel)),
        Op::JumpIf { width, op, dst, src, off } => {
            let condition = condition(width, op, src, kernel);
            write!(out, "if {}{} {condition} goto {}{off:+}", width.letter(), dst.number(), pc(kernel))
        }
        Op::Call(callee) => write_call(&mut out, callee, kernel),
        Op::LoadImm { dst, value } if kernel => write!(out, "{dst} = 0x{:x}", kernel_value(value)),
        Op::LoadImm { dst, value } => write_load_imm(&mut out, dst, value),
        Op::Exit => write!(out, "exit"),
        _ => write_data(&mut out, op),
    };
    out
}

fn pc(kernel: bool) -> &'static str {
    if kernel { "pc" } else { "" }
}

fn condition(width: Width, op: JmpOp, src: Src, kernel: bool) -> String {
    match src {
        Src::Reg(reg) => format!("{} {}{}", op.symbol(), width.letter(), reg.number()),
        Src::Imm(imm) if kernel => format!("{} 0x{imm:x}", op.symbol()),
        Src::Imm(imm) => format!("{} {imm}", op.symbol()),
    }
}

/// Arithmetic and memory, printed alike in both notations.
fn write_data(out: &mut String, op: &Op) -> std::fmt::Result {
    match *op {
        Op::Alu { width, op, dst, src } => {
            let (letter, dst) = (width.letter(), dst.number());
            match src {
                Src::Reg(reg) => write!(out, "{letter}{dst} {} {letter}{}", op.symbol(), reg.number()),
                Src::Imm(imm) => write!(out, "{letter}{dst} {} {imm}", op.symbol()),
            }
        }
        Op::MovSx { width, from, dst, src } => {
            let letter = width.letter();
            write!(out, "{letter}{} = ({}){letter}{}", dst.number(), from.signed_symbol(), src.number())
        }
        Op::Neg { width, dst } => {
            let (letter, dst) = (width.letter(), dst.number());
            write!(out, "{letter}{dst} = -{letter}{dst}")
        }
        Op::Swap { order, size, dst } => write!(out, "{dst} = {}{} {dst}", order.symbol(), 8 * size.bytes()),
        Op::AddrSpaceCast { dst, src, to_arena } => {
            let (to, from) = if to_arena { (1, 0) } else { (0, 1) };
            write!(out, "{dst} = addr_space_cast({src}, {to}, {from})")
        }
        Op::Load { size, signed, dst, base, off } => {
            let kind = if signed { size.signed_symbol() } else { size.symbol() };
            write!(out, "{dst} = *({kind} *)({base} {off:+})")
        }
        Op::Store { size, base, off, src } => {
            write!(out, "*({} *)({base} {off:+}) = ", size.symbol())?;
            match src {
                Src::Reg(reg) => write!(out, "{reg}"),
                Src::Imm(imm) => write!(out, "{imm}"),
            }
        }
        Op::LdAbs { size, k } => write!(out, "r0 = *({} *)skb[{k}]", size.symbol()),
        Op::LdInd { size, src, k } => write!(out, "r0 = *({} *)skb[{src} + {k}]", size.symbol()),
        Op::LoadAcquire { size, dst, base, off } => {
            write!(out, "{dst} = load_acquire(({} *)({base} {off:+}))", size.symbol())
        }
        Op::StoreRelease { size, base, off, src } => {
            write!(out, "store_release(({} *)({base} {off:+}), {src})", size.symbol())
        }
        Op::Atomic { .. } => write_atomic(out, op),
        // Printed by the caller, because the notations differ.
        Op::LoadImm { .. } | Op::Goto { .. } | Op::GotoLong { .. } | Op::JumpIf { .. } => Ok(()),
        Op::MayGoto { .. } | Op::Call(_) | Op::Exit => Ok(()),
    }
}

fn write_atomic(out: &mut String, op: &Op) -> std::fmt::Result {
    let Op::Atomic { width, op, fetch, base, off, src } = *op else { return Ok(()) };
    let place = format!("({} *)({base} {off:+})", width.size().symbol());
    let bits = if width == Width::W64 { "64" } else { "" };
    match op.alu() {
        Some(alu) if !fetch => write!(out, "lock *{place} {} {src}", alu.symbol()),
        Some(_) => write!(out, "{src} = atomic{bits}_fetch_{}({place}, {src})", op.symbol()),
        None if op == super::super::AtomicOp::CmpXchg => {
            write!(out, "r0 = atomic{bits}_{}({place}, r0, {src})", op.symbol())
        }
        None => write!(out, "{src} = atomic{bits}_{}({place}, {src})", op.symbol()),
    }
}

fn write_call(out: &mut String, callee: Callee, kernel: bool) -> std::fmt::Result {
    match callee {
        // Number 0 is nobody's, but the kernel has a name for it.
        Callee::Helper(0) if kernel => write!(out, "call bpf_unspec#0"),
        Callee::Helper(id) if kernel => match u32::try_from(id).ok().and_then(helpers::by_id) {
            Some(helper) => write!(out, "call bpf_{}#{id}", helper.name),
            None => write!(out, "call unknown#{id}"),
        },
        Callee::Helper(id) => write!(out, "call {id}"),
        Callee::Local(off) => write!(out, "call pc{off:+}"),
        Callee::Kfunc { id, .. } if kernel => write!(out, "call kernel-function#{id}"),
        Callee::Kfunc { id, module: 0 } => write!(out, "call kfunc {id}"),
        Callee::Kfunc { id, module } => write!(out, "call kfunc {id} module {module}"),
        Callee::Reg(reg) => write!(out, "callx {reg}"),
    }
}

fn write_load_imm(out: &mut String, dst: super::super::Reg, value: Imm64) -> std::fmt::Result {
    write!(out, "{dst} = ")?;
    match value {
        Imm64::Value(value) => write!(out, "0x{value:x}")?,
        Imm64::MapFd(fd) => write!(out, "map[fd:{fd}]")?,
        Imm64::MapFdValue { fd, offset } => write!(out, "map[fd:{fd}][0]+{offset}")?,
        Imm64::BtfVar { id, fd: 0 } => write!(out, "var[btf:{id}]")?,
        Imm64::BtfVar { id, fd } => write!(out, "var[btf:{id}][fd:{fd}]")?,
        Imm64::Func(off) => write!(out, "subprog[{off:+}]")?,
        Imm64::MapIdx(idx) => write!(out, "map[idx:{idx}]")?,
        Imm64::MapIdxValue { idx, offset } => write!(out, "map[idx:{idx}][0]+{offset}")?,
    }
    out.push_str(" ll");
    Ok(())
}

/// The number that the kernel prints: the raw 64 bits, whatever they refer to.
fn kernel_value(value: Imm64) -> u64 {
    let encoded = Op::LoadImm { dst: super::super::Reg::R0, value }.encode();
    let high = encoded.second.map_or(0, |second| second.imm as u32);
    u64::from(high) << 32 | u64::from(encoded.first.imm as u32)
}

/// Prints a program with the positions of its instructions, as `bpftool prog dump xlated` and verifier logs do.
pub fn numbered(ops: &[(InsnIdx, Op)], notation: Notation) -> String {
    let mut out = String::new();
    for (at, op) in ops {
        let _ = writeln!(out, "{:>4}: {}", at.0, line(op, notation));
    }
    out
}
