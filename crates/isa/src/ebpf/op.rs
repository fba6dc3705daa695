//! Decoded 64-bit instructions and their encoding.

use super::{AluOp, AtomicOp, Insn, JmpOp, Order, Reg, Size, Src, Width};

/// A 64-bit instruction taken apart: what interpreters, verifiers and code generators work with.
///
/// Distances of jumps and local calls count slots from the following slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `dst = dst OP src`, or `dst = src` for [`AluOp::Mov`].
    Alu {
        /// Width of operands and result.
        width: Width,
        /// The operator.
        op: AluOp,
        /// First operand and result.
        dst: Reg,
        /// Second operand.
        src: Src,
    },
    /// `dst = (s8)src`: the low `from` bytes of `src` extended by their sign.
    MovSx {
        /// Width of the result.
        width: Width,
        /// Size that is extended, smaller than `width`.
        from: Size,
        /// Result.
        dst: Reg,
        /// Operand.
        src: Reg,
    },
    /// `dst = -dst`
    Neg {
        /// Width of operand and result.
        width: Width,
        /// Operand and result.
        dst: Reg,
    },
    /// `dst = be16 dst` and the like.
    Swap {
        /// The kind of swap.
        order: Order,
        /// 2, 4 or 8 bytes; the rest of the register is cleared.
        size: Size,
        /// Operand and result.
        dst: Reg,
    },
    /// `dst = addr_space_cast(src, to, from)`: converts a pointer into an arena.
    AddrSpaceCast {
        /// Result.
        dst: Reg,
        /// Operand.
        src: Reg,
        /// Whether a kernel pointer (space 0) becomes one of the arena (space 1), else the other way round.
        to_arena: bool,
    },
    /// `dst = *(size *)(base + off)`
    Load {
        /// Size of the access.
        size: Size,
        /// Whether the value is extended by its sign.
        signed: bool,
        /// Result.
        dst: Reg,
        /// Address.
        base: Reg,
        /// Distance from the address in bytes.
        off: i16,
    },
    /// `*(size *)(base + off) = src`
    Store {
        /// Size of the access.
        size: Size,
        /// Address.
        base: Reg,
        /// Distance from the address in bytes.
        off: i16,
        /// The value; a constant is extended by its sign.
        src: Src,
    },
    /// An atomic read-modify-write of memory.
    Atomic {
        /// Size of the access.
        width: Width,
        /// The operation.
        op: AtomicOp,
        /// Whether the old value is returned: in `src`, or in `r0` for a compare-and-exchange.
        fetch: bool,
        /// Address.
        base: Reg,
        /// Distance from the address in bytes.
        off: i16,
        /// Operand.
        src: Reg,
    },
    /// `dst = load_acquire((size *)(base + off))`
    LoadAcquire {
        /// Size of the access.
        size: Size,
        /// Result.
        dst: Reg,
        /// Address.
        base: Reg,
        /// Distance from the address in bytes.
        off: i16,
    },
    /// `store_release((size *)(base + off), src)`
    StoreRelease {
        /// Size of the access.
        size: Size,
        /// Address.
        base: Reg,
        /// Distance from the address in bytes.
        off: i16,
        /// The value.
        src: Reg,
    },
    /// `dst = value ll`: the only instruction of two slots.
    LoadImm {
        /// Result.
        dst: Reg,
        /// What is loaded.
        value: Imm64,
    },
    /// `r0 = *(size *)skb[k]`: packet data in network byte order; ends the program with 0 outside of the packet.
    LdAbs {
        /// 4, 2 or 1 bytes.
        size: Size,
        /// Offset, negative for the areas of `linux/filter.h`.
        k: i32,
    },
    /// `r0 = *(size *)skb[src + k]`
    LdInd {
        /// 4, 2 or 1 bytes.
        size: Size,
        /// First part of the offset.
        src: Reg,
        /// Second part of the offset.
        k: i32,
    },
    /// `goto +off`
    Goto {
        /// Distance.
        off: i16,
    },
    /// `gotol +off`
    GotoLong {
        /// Distance.
        off: i32,
    },
    /// `if dst OP src goto +off`
    JumpIf {
        /// Width of the comparison.
        width: Width,
        /// The condition.
        op: JmpOp,
        /// First operand.
        dst: Reg,
        /// Second operand.
        src: Src,
        /// Distance.
        off: i16,
    },
    /// `may_goto +off`: the kernel jumps when a loop has run for too long.
    MayGoto {
        /// Distance.
        off: i16,
    },
    /// A call.
    Call(Callee),
    /// `exit`: returns from the function or program with `r0`.
    Exit,
}

/// What a 64-bit immediate load refers to (RFC 9669, section 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Imm64 {
    /// A plain number.
    Value(u64),
    /// The map with this file descriptor (in an `Object`: with this index).
    MapFd(i32),
    /// The address `offset` bytes into the first value of the map with this file descriptor.
    MapFdValue {
        /// File descriptor, or index in an `Object`.
        fd: i32,
        /// Bytes from the start of the value.
        offset: u32,
    },
    /// The address of a kernel variable.
    BtfVar {
        /// BTF id of the variable.
        id: i32,
        /// File descriptor of the module's BTF, 0 for the kernel itself.
        fd: u32,
    },
    /// The address of a function of this program, a distance in slots from the following slot.
    Func(i32),
    /// The map with this index in the loader's array of file descriptors.
    MapIdx(i32),
    /// The address `offset` bytes into the first value of the map with this index.
    MapIdxValue {
        /// Index in the loader's array of file descriptors.
        idx: i32,
        /// Bytes from the start of the value.
        offset: u32,
    },
}

/// What a call calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Callee {
    /// The helper with this number.
    Helper(i32),
    /// A function of this program, a distance in slots from the following slot.
    Local(i32),
    /// A function of the kernel.
    Kfunc {
        /// BTF id of the function.
        id: i32,
        /// Index of the module's BTF in the loader's array of file descriptors, 0 for the kernel itself.
        module: i16,
    },
    /// The function whose address is in the register; no Linux kernel accepts it.
    Reg(Reg),
}

// Instruction classes, modes and sources of RFC 9669, section 3 and 5.
const LD: u8 = 0x00;
const LDX: u8 = 0x01;
const ST: u8 = 0x02;
const STX: u8 = 0x03;
const ALU32: u8 = 0x04;
const JMP: u8 = 0x05;
const JMP32: u8 = 0x06;
const ALU64: u8 = 0x07;
const ABS: u8 = 0x20;
const IND: u8 = 0x40;
const MEM: u8 = 0x60;
const MEMSX: u8 = 0x80;
const ATOMIC: u8 = 0xc0;
const SRC_REG: u8 = 0x08;
const NEG: u8 = 0x80;
const END: u8 = 0xd0;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;
const JCOND: u8 = 0xe0;
const FETCH: i32 = 0x01;
const LOAD_ACQUIRE: i32 = 0x100;
const STORE_RELEASE: i32 = 0x110;

/// The encoded program.
pub fn encode_program(ops: impl IntoIterator<Item = Op>) -> Vec<Insn> {
    let mut program = Vec::new();
    ops.into_iter().for_each(|op| op.emit(&mut program));
    program
}

/// One or two slots, as an instruction encodes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    /// The first slot.
    pub first: Insn,
    /// The second slot of a 64-bit immediate load.
    pub second: Option<Insn>,
}

impl Op {
    /// The encoded instruction.
    pub const fn encode(self) -> Encoded {
        let first = match self {
            Self::Alu { width, op, dst, src } => with_src(alu(width) | op.code(), dst, op.offset(), src),
            Self::MovSx { width, from, dst, src } => {
                let off = (from.bytes() * 8) as i16;
                with_src(alu(width) | AluOp::Mov.code(), dst, off, Src::Reg(src))
            }
            Self::Neg { width, dst } => insn(alu(width) | NEG, dst, 0, 0, 0),
            Self::Swap { order, size, dst } => {
                let code = match order {
                    Order::Little => ALU32 | END,
                    Order::Big => ALU32 | END | SRC_REG,
                    Order::Swap => ALU64 | END,
                };
                insn(code, dst, 0, 0, (size.bytes() * 8) as i32)
            }
            Self::AddrSpaceCast { dst, src, to_arena } => {
                // The high half of the immediate is the target space, the low half the source.
                let imm = if to_arena { 1 << 16 } else { 1 };
                insn(ALU64 | AluOp::Mov.code() | SRC_REG, dst, src.number(), 1, imm)
            }
            Self::Load { size, signed, dst, base, off } => {
                insn(LDX | size.code() | if signed { MEMSX } else { MEM }, dst, base.number(), off, 0)
            }
            Self::Store { size, base, off, src: Src::Reg(src) } => {
                insn(STX | size.code() | MEM, base, src.number(), off, 0)
            }
            Self::Store { size, base, off, src: Src::Imm(imm) } => insn(ST | size.code() | MEM, base, 0, off, imm),
            Self::Atomic { width, op, fetch, base, off, src } => {
                let always_fetches = op.alu().is_none();
                let imm = op.code() | if fetch || always_fetches { FETCH } else { 0 };
                insn(STX | width.size().code() | ATOMIC, base, src.number(), off, imm)
            }
            Self::LoadAcquire { size, dst, base, off } => {
                insn(STX | size.code() | ATOMIC, dst, base.number(), off, LOAD_ACQUIRE)
            }
            Self::StoreRelease { size, base, off, src } => {
                insn(STX | size.code() | ATOMIC, base, src.number(), off, STORE_RELEASE)
            }
            Self::LoadImm { dst, value } => return encode_imm64(dst, value),
            Self::LdAbs { size, k } => insn(LD | size.code() | ABS, Reg::R0, 0, 0, k),
            Self::LdInd { size, src, k } => insn(LD | size.code() | IND, Reg::R0, src.number(), 0, k),
            Self::Goto { off } => insn(JMP, Reg::R0, 0, off, 0),
            Self::GotoLong { off } => insn(JMP32, Reg::R0, 0, 0, off),
            Self::JumpIf { width, op, dst, src, off } => {
                let class = match width {
                    Width::W32 => JMP32,
                    Width::W64 => JMP,
                };
                with_src(class | op.code(), dst, off, src)
            }
            Self::MayGoto { off } => insn(JMP | JCOND, Reg::R0, 0, off, 0),
            Self::Call(Callee::Helper(id)) => insn(JMP | CALL, Reg::R0, 0, 0, id),
            Self::Call(Callee::Local(off)) => insn(JMP | CALL, Reg::R0, 1, 0, off),
            Self::Call(Callee::Kfunc { id, module }) => insn(JMP | CALL, Reg::R0, 2, module, id),
            Self::Call(Callee::Reg(reg)) => insn(JMP | CALL | SRC_REG, reg, 0, 0, 0),
            Self::Exit => insn(JMP | EXIT, Reg::R0, 0, 0, 0),
        };
        Encoded { first, second: None }
    }

    /// Appends the encoded instruction to a program.
    pub fn emit(self, program: &mut Vec<Insn>) {
        let Encoded { first, second } = self.encode();
        program.push(first);
        program.extend(second);
    }

    /// Number of slots it fills: 2 for a 64-bit immediate load, else 1.
    pub const fn slots(&self) -> u32 {
        if matches!(self, Self::LoadImm { .. }) { 2 } else { 1 }
    }

    /// Distance to the instruction that may follow instead of the next one, for jumps.
    pub const fn jump_distance(&self) -> Option<i32> {
        match *self {
            Self::Goto { off } | Self::JumpIf { off, .. } | Self::MayGoto { off } => Some(off as i32),
            Self::GotoLong { off } => Some(off),
            _ => None,
        }
    }

    /// Whether the following instruction may run next.
    pub const fn falls_through(&self) -> bool {
        !matches!(self, Self::Goto { .. } | Self::GotoLong { .. } | Self::Exit)
    }

    /// `dst = src` at 64 bits.
    pub const fn mov(dst: Reg, src: Reg) -> Self {
        Self::Alu { width: Width::W64, op: AluOp::Mov, dst, src: Src::Reg(src) }
    }

    /// `dst = imm` at 64 bits, the constant extended by its sign.
    pub const fn mov_imm(dst: Reg, imm: i32) -> Self {
        Self::Alu { width: Width::W64, op: AluOp::Mov, dst, src: Src::Imm(imm) }
    }

    /// The same operation with operands taken from encoded slots. The fields that a form does not use are ignored.
    ///
    /// `None` if a used register field holds no register.
    pub(super) fn with_operands(self, first: Insn, second: Insn) -> Option<Self> {
        let Insn { off, imm, .. } = first;
        let dst = || Reg::new(first.dst);
        let src = || Reg::new(first.src);
        let operand = |template| match template {
            Src::Reg(_) => src().map(Src::Reg),
            Src::Imm(_) => Some(Src::Imm(imm)),
        };
        Some(match self {
            Self::Alu { width, op, src, .. } => Self::Alu { width, op, dst: dst()?, src: operand(src)? },
            Self::MovSx { width, from, .. } => Self::MovSx { width, from, dst: dst()?, src: src()? },
            Self::Neg { width, .. } => Self::Neg { width, dst: dst()? },
            Self::Swap { order, size, .. } => Self::Swap { order, size, dst: dst()? },
            Self::AddrSpaceCast { to_arena, .. } => Self::AddrSpaceCast { dst: dst()?, src: src()?, to_arena },
            Self::Load { size, signed, .. } => Self::Load { size, signed, dst: dst()?, base: src()?, off },
            Self::Store { size, src, .. } => Self::Store { size, base: dst()?, off, src: operand(src)? },
            Self::Atomic { width, op, fetch, .. } => Self::Atomic { width, op, fetch, base: dst()?, off, src: src()? },
            Self::LoadAcquire { size, .. } => Self::LoadAcquire { size, dst: dst()?, base: src()?, off },
            Self::StoreRelease { size, .. } => Self::StoreRelease { size, base: dst()?, off, src: src()? },
            Self::LoadImm { value, .. } => Self::LoadImm { dst: dst()?, value: value.with_numbers(imm, second.imm) },
            Self::LdAbs { size, .. } => Self::LdAbs { size, k: imm },
            Self::LdInd { size, .. } => Self::LdInd { size, src: src()?, k: imm },
            Self::Goto { .. } => Self::Goto { off },
            Self::GotoLong { .. } => Self::GotoLong { off: imm },
            Self::JumpIf { width, op, src, .. } => Self::JumpIf { width, op, dst: dst()?, src: operand(src)?, off },
            Self::MayGoto { .. } => Self::MayGoto { off },
            Self::Call(callee) => Self::Call(match callee {
                Callee::Helper(_) => Callee::Helper(imm),
                Callee::Local(_) => Callee::Local(imm),
                Callee::Kfunc { .. } => Callee::Kfunc { id: imm, module: off },
                Callee::Reg(_) => Callee::Reg(dst()?),
            }),
            Self::Exit => Self::Exit,
        })
    }
}

impl Imm64 {
    /// The number in the source field and the two immediates.
    const fn parts(self) -> (u8, i32, u32) {
        match self {
            Self::Value(value) => (0, value as i32, (value >> 32) as u32),
            Self::MapFd(fd) => (1, fd, 0),
            Self::MapFdValue { fd, offset } => (2, fd, offset),
            Self::BtfVar { id, fd } => (3, id, fd),
            Self::Func(off) => (4, off, 0),
            Self::MapIdx(idx) => (5, idx, 0),
            Self::MapIdxValue { idx, offset } => (6, idx, offset),
        }
    }

    const fn with_numbers(self, low: i32, high: i32) -> Self {
        let high = high as u32;
        match self {
            Self::Value(_) => Self::Value((high as u64) << 32 | low as u32 as u64),
            Self::MapFd(_) => Self::MapFd(low),
            Self::MapFdValue { .. } => Self::MapFdValue { fd: low, offset: high },
            Self::BtfVar { .. } => Self::BtfVar { id: low, fd: high },
            Self::Func(_) => Self::Func(low),
            Self::MapIdx(_) => Self::MapIdx(low),
            Self::MapIdxValue { .. } => Self::MapIdxValue { idx: low, offset: high },
        }
    }

    /// Whether the immediate of the second slot carries part of the value; it must be zero otherwise.
    pub(super) const fn uses_second(self) -> bool {
        !matches!(self, Self::MapFd(_) | Self::Func(_) | Self::MapIdx(_))
    }
}

const fn alu(width: Width) -> u8 {
    match width {
        Width::W32 => ALU32,
        Width::W64 => ALU64,
    }
}

const fn insn(code: u8, dst: Reg, src: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst: dst.number(), src, off, imm }
}

const fn with_src(code: u8, dst: Reg, off: i16, src: Src) -> Insn {
    match src {
        Src::Reg(reg) => insn(code | SRC_REG, dst, reg.number(), off, 0),
        Src::Imm(imm) => insn(code, dst, 0, off, imm),
    }
}

const fn encode_imm64(dst: Reg, value: Imm64) -> Encoded {
    let (src, low, high) = value.parts();
    let second = Insn { code: 0, dst: 0, src: 0, off: 0, imm: high as i32 };
    Encoded { first: insn(LD | Size::DW.code(), dst, src, 0, low), second: Some(second) }
}
