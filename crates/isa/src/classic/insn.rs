//! One encoded classic instruction and the constructors of every legal form.

use super::{AluOp, JmpOp, Size};

/// `struct sock_filter`: opcode, two forward jump distances and an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(C)]
pub struct Insn {
    /// Opcode: class, size or operation, mode or source.
    pub code: u16,
    /// Instructions to skip when a conditional jump's condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand: constant, packet offset, scratch index or distance of an unconditional jump.
    pub k: u32,
}

const LD: u16 = 0x00;
const LDX: u16 = 0x01;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const ALU: u16 = 0x04;
const JMP: u16 = 0x05;
const RET: u16 = 0x06;
const MISC: u16 = 0x07;
const IMM: u16 = 0x00;
const ABS: u16 = 0x20;
const IND: u16 = 0x40;
const MEM: u16 = 0x60;
const LEN: u16 = 0x80;
const MSH: u16 = 0xa0;
const SRC_X: u16 = 0x08;

impl Insn {
    /// Whether the instruction belongs to the class of jumps and is not the unconditional one, known or not.
    pub(super) const fn is_conditional(&self) -> bool {
        self.code & 0x07 == JMP && self.code & 0xf0 != 0
    }
    const fn plain(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }
    /// `A = packet[k]`
    pub const fn ld_abs(size: Size, k: u32) -> Self {
        Self::plain(LD | size.code() | ABS, k)
    }
    /// `A = packet[X + k]`
    pub const fn ld_ind(size: Size, k: u32) -> Self {
        Self::plain(LD | size.code() | IND, k)
    }
    /// `A = k`
    pub const fn ld_imm(k: u32) -> Self {
        Self::plain(LD | IMM, k)
    }
    /// `A = M[k]`
    pub const fn ld_mem(k: u32) -> Self {
        Self::plain(LD | MEM, k)
    }
    /// `A = length of the packet`
    pub const fn ld_len() -> Self {
        Self::plain(LD | LEN, 0)
    }
    /// `X = k`
    pub const fn ldx_imm(k: u32) -> Self {
        Self::plain(LDX | IMM, k)
    }
    /// `X = M[k]`
    pub const fn ldx_mem(k: u32) -> Self {
        Self::plain(LDX | MEM, k)
    }
    /// `X = length of the packet`
    pub const fn ldx_len() -> Self {
        Self::plain(LDX | LEN, 0)
    }
    /// `X = 4 * (packet[k] & 0xf)`: the length of an IPv4 header at `k`
    pub const fn ldx_msh(k: u32) -> Self {
        Self::plain(LDX | 0x10 | MSH, k)
    }
    /// `M[k] = A`
    pub const fn st(k: u32) -> Self {
        Self::plain(ST, k)
    }
    /// `M[k] = X`
    pub const fn stx(k: u32) -> Self {
        Self::plain(STX, k)
    }
    /// `A = A OP k`
    pub const fn alu_k(op: AluOp, k: u32) -> Self {
        Self::plain(ALU | op.code(), k)
    }
    /// `A = A OP X`
    pub const fn alu_x(op: AluOp) -> Self {
        Self::plain(ALU | op.code() | SRC_X, 0)
    }
    /// `A = -A`
    pub const fn neg() -> Self {
        Self::plain(ALU | 0x80, 0)
    }
    /// Skip `k` instructions.
    pub const fn ja(k: u32) -> Self {
        Self::plain(JMP, k)
    }
    /// Skip `jt` instructions if `A OP k`, else `jf`.
    pub const fn jump_k(op: JmpOp, k: u32, jt: u8, jf: u8) -> Self {
        Self { code: JMP | op.code(), jt, jf, k }
    }
    /// Skip `jt` instructions if `A OP X`, else `jf`.
    pub const fn jump_x(op: JmpOp, jt: u8, jf: u8) -> Self {
        Self { code: JMP | op.code() | SRC_X, jt, jf, k: 0 }
    }
    /// End with `k`: the number of bytes to keep, 0 to reject the packet.
    pub const fn ret_k(k: u32) -> Self {
        Self::plain(RET, k)
    }
    /// End with `A`.
    pub const fn ret_a() -> Self {
        Self::plain(RET | 0x10, 0)
    }
    /// `X = A`
    pub const fn tax() -> Self {
        Self::plain(MISC, 0)
    }
    /// `A = X`
    pub const fn txa() -> Self {
        Self::plain(MISC | 0x80, 0)
    }
}
