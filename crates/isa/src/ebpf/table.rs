//! The one table of 64-bit instructions: what exists, which fields it uses, and since when.
//!
//! Opcodes and discriminating fields are not repeated here: they are what [`Op::encode`] makes of the template in
//! the first column. Decoder, validator and tests read this table; a field that a row does not use must hold what
//! the template encodes to, which is zero for reserved fields.

use super::{AluOp, AtomicOp, Callee, Imm64, JmpOp, Op, Order, Reg, Size, Src, Width};
use crate::Release;

/// Conformance group (RFC 9669, section 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// 32-bit arithmetic, jumps and memory.
    Base32,
    /// 64-bit arithmetic, jumps and memory.
    Base64,
    /// 32-bit atomic operations.
    Atomic32,
    /// 64-bit atomic operations.
    Atomic64,
    /// 32-bit multiplication, division and remainder.
    Divmul32,
    /// 64-bit multiplication, division and remainder.
    Divmul64,
    /// Calls through a register.
    Callx,
    /// Packet loads of classic programs.
    Packet,
    /// Not in the RFC: additions of Linux.
    Linux,
}

impl Group {
    /// Its name in the RFC.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base32 => "base32",
            Self::Base64 => "base64",
            Self::Atomic32 => "atomic32",
            Self::Atomic64 => "atomic64",
            Self::Divmul32 => "divmul32",
            Self::Divmul64 => "divmul64",
            Self::Callx => "callx",
            Self::Packet => "packet",
            Self::Linux => "linux",
        }
    }
}

/// Version of the instruction set as compilers count it (`-mcpu=v1` to `v4`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cpu {
    /// The original set.
    V1,
    /// Adds the conditions "less".
    V2,
    /// Adds 32-bit jumps and atomic operations with result.
    V3,
    /// Adds sign extension, signed division, byte swap, long jumps.
    V4,
}

impl Cpu {
    /// Its number, 1 to 4.
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The version with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            3 => Some(Self::V3),
            4 => Some(Self::V4),
            _ => None,
        }
    }
}

/// Set of instruction fields that carry an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uses(u8);

impl Uses {
    /// Whether the destination field names a register.
    pub const fn dst(self) -> bool {
        self.0 & D != 0
    }
    /// Whether the source field names a register.
    pub const fn src(self) -> bool {
        self.0 & S != 0
    }
    /// Whether the offset is an operand.
    pub const fn off(self) -> bool {
        self.0 & O != 0
    }
    /// Whether the immediate is an operand.
    pub const fn imm(self) -> bool {
        self.0 & I != 0
    }
}

/// One row of the instruction table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The instruction with all operands zero.
    pub op: Op,
    /// The fields that carry operands; the others are fixed by the template.
    pub uses: Uses,
    /// Conformance group.
    pub group: Group,
    /// First version of the instruction set that has it.
    pub cpu: Cpu,
    /// First kernel that accepts it, `None` if no Linux does.
    pub since: Option<Release>,
}

const D: u8 = 1;
const S: u8 = 2;
const O: u8 = 4;
const I: u8 = 8;
const R: Reg = Reg::R0;
const K: Src = Src::Imm(0);
const X: Src = Src::Reg(R);

use Cpu::{V1, V2, V3, V4};
use Group::{Atomic32, Atomic64, Base32, Base64, Callx, Divmul32, Divmul64, Linux, Packet};
use Width::{W32, W64};

const fn alu(width: Width, op: AluOp, src: Src) -> Op {
    Op::Alu { width, op, dst: R, src }
}

const fn load(size: Size, signed: bool) -> Op {
    Op::Load { size, signed, dst: R, base: R, off: 0 }
}

const fn atomic(width: Width, op: AtomicOp, fetch: bool) -> Op {
    Op::Atomic { width, op, fetch, base: R, off: 0, src: R }
}

const fn jump(width: Width, op: JmpOp, src: Src) -> Op {
    Op::JumpIf { width, op, dst: R, src, off: 0 }
}

const fn row(op: Op, uses: u8, group: Group, cpu: Cpu, major: u8, minor: u8) -> Row {
    Row { op, uses: Uses(uses), group, cpu, since: Some(Release::new(major, minor)) }
}

// TABLE
/// Every instruction: template, fields that carry operands, conformance group, version of the instruction set, and
/// the release of Linux that first accepts it.
///
/// Sources: RFC 9669 with its appendix A; `kernel/bpf/verifier.c` and its history for releases and reserved fields.
#[rustfmt::skip]
pub const ROWS: [Row; 182] = [
    // 64-bit arithmetic.
    row(alu(W64, AluOp::Add, K), D | I, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Add, X), D | S, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Sub, K), D | I, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Sub, X), D | S, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Mul, K), D | I, Divmul64, V1, 3, 18),
    row(alu(W64, AluOp::Mul, X), D | S, Divmul64, V1, 3, 18),
    row(alu(W64, AluOp::Div, K), D | I, Divmul64, V1, 3, 18),
    row(alu(W64, AluOp::Div, X), D | S, Divmul64, V1, 3, 18),
    row(alu(W64, AluOp::Or, K), D | I, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Or, X), D | S, Base64, V1, 3, 18),
    row(alu(W64, AluOp::And, K), D | I, Base64, V1, 3, 18),
    row(alu(W64, AluOp::And, X), D | S, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Lsh, K), D | I, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Lsh, X), D | S, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Rsh, K), D | I, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Rsh, X), D | S, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Mod, K), D | I, Divmul64, V1, 3, 18),
    row(alu(W64, AluOp::Mod, X), D | S, Divmul64, V1, 3, 18),
    row(alu(W64, AluOp::Xor, K), D | I, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Xor, X), D | S, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Mov, K), D | I, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Mov, X), D | S, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Arsh, K), D | I, Base64, V1, 3, 18),
    row(alu(W64, AluOp::Arsh, X), D | S, Base64, V1, 3, 18),
    row(alu(W64, AluOp::SDiv, K), D | I, Divmul64, V4, 6, 6),
    row(alu(W64, AluOp::SDiv, X), D | S, Divmul64, V4, 6, 6),
    row(alu(W64, AluOp::SMod, K), D | I, Divmul64, V4, 6, 6),
    row(alu(W64, AluOp::SMod, X), D | S, Divmul64, V4, 6, 6),
    row(Op::MovSx { width: W64, from: Size::B, dst: R, src: R }, D | S, Base64, V4, 6, 6),
    row(Op::MovSx { width: W64, from: Size::H, dst: R, src: R }, D | S, Base64, V4, 6, 6),
    row(Op::MovSx { width: W64, from: Size::W, dst: R, src: R }, D | S, Base64, V4, 6, 6),
    row(Op::Neg { width: W64, dst: R }, D, Base64, V1, 3, 18),
    // 32-bit arithmetic.
    row(alu(W32, AluOp::Add, K), D | I, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Add, X), D | S, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Sub, K), D | I, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Sub, X), D | S, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Mul, K), D | I, Divmul32, V1, 3, 18),
    row(alu(W32, AluOp::Mul, X), D | S, Divmul32, V1, 3, 18),
    row(alu(W32, AluOp::Div, K), D | I, Divmul32, V1, 3, 18),
    row(alu(W32, AluOp::Div, X), D | S, Divmul32, V1, 3, 18),
    row(alu(W32, AluOp::Or, K), D | I, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Or, X), D | S, Base32, V1, 3, 18),
    row(alu(W32, AluOp::And, K), D | I, Base32, V1, 3, 18),
    row(alu(W32, AluOp::And, X), D | S, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Lsh, K), D | I, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Lsh, X), D | S, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Rsh, K), D | I, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Rsh, X), D | S, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Mod, K), D | I, Divmul32, V1, 3, 18),
    row(alu(W32, AluOp::Mod, X), D | S, Divmul32, V1, 3, 18),
    row(alu(W32, AluOp::Xor, K), D | I, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Xor, X), D | S, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Mov, K), D | I, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Mov, X), D | S, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Arsh, K), D | I, Base32, V1, 3, 18),
    row(alu(W32, AluOp::Arsh, X), D | S, Base32, V1, 3, 18),
    row(alu(W32, AluOp::SDiv, K), D | I, Divmul32, V4, 6, 6),
    row(alu(W32, AluOp::SDiv, X), D | S, Divmul32, V4, 6, 6),
    row(alu(W32, AluOp::SMod, K), D | I, Divmul32, V4, 6, 6),
    row(alu(W32, AluOp::SMod, X), D | S, Divmul32, V4, 6, 6),
    row(Op::MovSx { width: W32, from: Size::B, dst: R, src: R }, D | S, Base32, V4, 6, 6),
    row(Op::MovSx { width: W32, from: Size::H, dst: R, src: R }, D | S, Base32, V4, 6, 6),
    row(Op::Neg { width: W32, dst: R }, D, Base32, V1, 3, 18),
    // Byte order.
    row(Op::Swap { order: Order::Little, size: Size::H, dst: R }, D, Base32, V1, 3, 18),
    row(Op::Swap { order: Order::Little, size: Size::W, dst: R }, D, Base32, V1, 3, 18),
    row(Op::Swap { order: Order::Little, size: Size::DW, dst: R }, D, Base64, V1, 3, 18),
    row(Op::Swap { order: Order::Big, size: Size::H, dst: R }, D, Base32, V1, 3, 18),
    row(Op::Swap { order: Order::Big, size: Size::W, dst: R }, D, Base32, V1, 3, 18),
    row(Op::Swap { order: Order::Big, size: Size::DW, dst: R }, D, Base64, V1, 3, 18),
    row(Op::Swap { order: Order::Swap, size: Size::H, dst: R }, D, Base32, V4, 6, 6),
    row(Op::Swap { order: Order::Swap, size: Size::W, dst: R }, D, Base32, V4, 6, 6),
    row(Op::Swap { order: Order::Swap, size: Size::DW, dst: R }, D, Base64, V4, 6, 6),
    // Pointers into an arena.
    row(Op::AddrSpaceCast { dst: R, src: R, to_arena: false }, D | S, Linux, V4, 6, 9),
    row(Op::AddrSpaceCast { dst: R, src: R, to_arena: true }, D | S, Linux, V4, 6, 9),
    // Loads and stores.
    row(load(Size::B, false), D | S | O, Base32, V1, 3, 18),
    row(load(Size::H, false), D | S | O, Base32, V1, 3, 18),
    row(load(Size::W, false), D | S | O, Base32, V1, 3, 18),
    row(load(Size::DW, false), D | S | O, Base64, V1, 3, 18),
    row(load(Size::B, true), D | S | O, Base64, V4, 6, 6),
    row(load(Size::H, true), D | S | O, Base64, V4, 6, 6),
    row(load(Size::W, true), D | S | O, Base64, V4, 6, 6),
    row(Op::Store { size: Size::B, base: R, off: 0, src: K }, D | O | I, Base32, V1, 3, 18),
    row(Op::Store { size: Size::H, base: R, off: 0, src: K }, D | O | I, Base32, V1, 3, 18),
    row(Op::Store { size: Size::W, base: R, off: 0, src: K }, D | O | I, Base32, V1, 3, 18),
    row(Op::Store { size: Size::DW, base: R, off: 0, src: K }, D | O | I, Base64, V1, 3, 18),
    row(Op::Store { size: Size::B, base: R, off: 0, src: X }, D | S | O, Base32, V1, 3, 18),
    row(Op::Store { size: Size::H, base: R, off: 0, src: X }, D | S | O, Base32, V1, 3, 18),
    row(Op::Store { size: Size::W, base: R, off: 0, src: X }, D | S | O, Base32, V1, 3, 18),
    row(Op::Store { size: Size::DW, base: R, off: 0, src: X }, D | S | O, Base64, V1, 3, 18),
    // Atomic operations.
    row(atomic(W64, AtomicOp::Add, false), D | S | O, Atomic64, V1, 3, 18),
    row(atomic(W64, AtomicOp::Or, false), D | S | O, Atomic64, V3, 5, 12),
    row(atomic(W64, AtomicOp::And, false), D | S | O, Atomic64, V3, 5, 12),
    row(atomic(W64, AtomicOp::Xor, false), D | S | O, Atomic64, V3, 5, 12),
    row(atomic(W64, AtomicOp::Add, true), D | S | O, Atomic64, V3, 5, 12),
    row(atomic(W64, AtomicOp::Or, true), D | S | O, Atomic64, V3, 5, 12),
    row(atomic(W64, AtomicOp::And, true), D | S | O, Atomic64, V3, 5, 12),
    row(atomic(W64, AtomicOp::Xor, true), D | S | O, Atomic64, V3, 5, 12),
    row(atomic(W64, AtomicOp::Xchg, true), D | S | O, Atomic64, V3, 5, 12),
    row(atomic(W64, AtomicOp::CmpXchg, true), D | S | O, Atomic64, V3, 5, 12),
    row(atomic(W32, AtomicOp::Add, false), D | S | O, Atomic32, V1, 3, 18),
    row(atomic(W32, AtomicOp::Or, false), D | S | O, Atomic32, V3, 5, 12),
    row(atomic(W32, AtomicOp::And, false), D | S | O, Atomic32, V3, 5, 12),
    row(atomic(W32, AtomicOp::Xor, false), D | S | O, Atomic32, V3, 5, 12),
    row(atomic(W32, AtomicOp::Add, true), D | S | O, Atomic32, V3, 5, 12),
    row(atomic(W32, AtomicOp::Or, true), D | S | O, Atomic32, V3, 5, 12),
    row(atomic(W32, AtomicOp::And, true), D | S | O, Atomic32, V3, 5, 12),
    row(atomic(W32, AtomicOp::Xor, true), D | S | O, Atomic32, V3, 5, 12),
    row(atomic(W32, AtomicOp::Xchg, true), D | S | O, Atomic32, V3, 5, 12),
    row(atomic(W32, AtomicOp::CmpXchg, true), D | S | O, Atomic32, V3, 5, 12),
    row(Op::LoadAcquire { size: Size::B, dst: R, base: R, off: 0 }, D | S | O, Linux, V4, 6, 15),
    row(Op::LoadAcquire { size: Size::H, dst: R, base: R, off: 0 }, D | S | O, Linux, V4, 6, 15),
    row(Op::LoadAcquire { size: Size::W, dst: R, base: R, off: 0 }, D | S | O, Linux, V4, 6, 15),
    row(Op::LoadAcquire { size: Size::DW, dst: R, base: R, off: 0 }, D | S | O, Linux, V4, 6, 15),
    row(Op::StoreRelease { size: Size::B, base: R, off: 0, src: R }, D | S | O, Linux, V4, 6, 15),
    row(Op::StoreRelease { size: Size::H, base: R, off: 0, src: R }, D | S | O, Linux, V4, 6, 15),
    row(Op::StoreRelease { size: Size::W, base: R, off: 0, src: R }, D | S | O, Linux, V4, 6, 15),
    row(Op::StoreRelease { size: Size::DW, base: R, off: 0, src: R }, D | S | O, Linux, V4, 6, 15),
    // Immediate loads of 64 bits.
    row(Op::LoadImm { dst: R, value: Imm64::Value(0) }, D | I, Base64, V1, 3, 18),
    row(Op::LoadImm { dst: R, value: Imm64::MapFd(0) }, D | I, Base64, V1, 3, 18),
    row(Op::LoadImm { dst: R, value: Imm64::MapFdValue { fd: 0, offset: 0 } }, D | I, Base64, V1, 5, 2),
    row(Op::LoadImm { dst: R, value: Imm64::BtfVar { id: 0, fd: 0 } }, D | I, Base64, V1, 5, 10),
    row(Op::LoadImm { dst: R, value: Imm64::Func(0) }, D | I, Base64, V1, 5, 13),
    row(Op::LoadImm { dst: R, value: Imm64::MapIdx(0) }, D | I, Base64, V1, 5, 14),
    row(Op::LoadImm { dst: R, value: Imm64::MapIdxValue { idx: 0, offset: 0 } }, D | I, Base64, V1, 5, 14),
    // Packet loads.
    row(Op::LdAbs { size: Size::B, k: 0 }, I, Packet, V1, 3, 18),
    row(Op::LdAbs { size: Size::H, k: 0 }, I, Packet, V1, 3, 18),
    row(Op::LdAbs { size: Size::W, k: 0 }, I, Packet, V1, 3, 18),
    row(Op::LdInd { size: Size::B, src: R, k: 0 }, S | I, Packet, V1, 3, 18),
    row(Op::LdInd { size: Size::H, src: R, k: 0 }, S | I, Packet, V1, 3, 18),
    row(Op::LdInd { size: Size::W, src: R, k: 0 }, S | I, Packet, V1, 3, 18),
    // Jumps.
    row(Op::Goto { off: 0 }, O, Base32, V1, 3, 18),
    row(Op::GotoLong { off: 0 }, I, Base32, V4, 6, 6),
    row(jump(W64, JmpOp::Eq, K), D | O | I, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::Eq, X), D | S | O, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::Gt, K), D | O | I, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::Gt, X), D | S | O, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::Ge, K), D | O | I, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::Ge, X), D | S | O, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::Set, K), D | O | I, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::Set, X), D | S | O, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::Ne, K), D | O | I, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::Ne, X), D | S | O, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::SGt, K), D | O | I, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::SGt, X), D | S | O, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::SGe, K), D | O | I, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::SGe, X), D | S | O, Base64, V1, 3, 18),
    row(jump(W64, JmpOp::Lt, K), D | O | I, Base64, V2, 4, 14),
    row(jump(W64, JmpOp::Lt, X), D | S | O, Base64, V2, 4, 14),
    row(jump(W64, JmpOp::Le, K), D | O | I, Base64, V2, 4, 14),
    row(jump(W64, JmpOp::Le, X), D | S | O, Base64, V2, 4, 14),
    row(jump(W64, JmpOp::SLt, K), D | O | I, Base64, V2, 4, 14),
    row(jump(W64, JmpOp::SLt, X), D | S | O, Base64, V2, 4, 14),
    row(jump(W64, JmpOp::SLe, K), D | O | I, Base64, V2, 4, 14),
    row(jump(W64, JmpOp::SLe, X), D | S | O, Base64, V2, 4, 14),
    row(jump(W32, JmpOp::Eq, K), D | O | I, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::Eq, X), D | S | O, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::Gt, K), D | O | I, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::Gt, X), D | S | O, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::Ge, K), D | O | I, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::Ge, X), D | S | O, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::Set, K), D | O | I, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::Set, X), D | S | O, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::Ne, K), D | O | I, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::Ne, X), D | S | O, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::SGt, K), D | O | I, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::SGt, X), D | S | O, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::SGe, K), D | O | I, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::SGe, X), D | S | O, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::Lt, K), D | O | I, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::Lt, X), D | S | O, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::Le, K), D | O | I, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::Le, X), D | S | O, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::SLt, K), D | O | I, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::SLt, X), D | S | O, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::SLe, K), D | O | I, Base32, V3, 5, 1),
    row(jump(W32, JmpOp::SLe, X), D | S | O, Base32, V3, 5, 1),
    row(Op::MayGoto { off: 0 }, O, Linux, V4, 6, 9),
    // Calls and the end.
    row(Op::Call(Callee::Helper(0)), I, Base32, V1, 3, 18),
    row(Op::Call(Callee::Local(0)), I, Base32, V1, 4, 16),
    row(Op::Call(Callee::Kfunc { id: 0, module: 0 }), O | I, Base32, V1, 5, 13),
    Row { op: Op::Call(Callee::Reg(R)), uses: Uses(D), group: Callx, cpu: V1, since: None },
    row(Op::Exit, 0, Base32, V1, 3, 18),
];
