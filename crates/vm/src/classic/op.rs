//! The decoded operations that the interpreter runs: 16 bytes each, absolute jump targets, frequent pairs fused.
//!
//! Operations stand at the index of the instruction that they come from. A fused pair stands at the index of its first
//! instruction and jumps over the second, which stays in place for jumps that enter between the two.

use skep_isa::classic::{self, AluOp, CheckError, Insn, JmpOp, SKF_AD_OFF, Size};

use super::ancillary::Ancillary;

/// Operand of a load at a constant offset with the comparison that follows it.
///
/// Packed to 14 bytes, so that the tag of [`Op`] fits in front.
#[repr(Rust, packed(2))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LoadJump {
    /// Packet offset of the load, relative to X for indirect loads.
    pub(super) off: u16,
    /// Constant compared with.
    pub(super) k: u32,
    /// Index of the next operation when the condition holds.
    pub(super) jt: u32,
    /// Index of the next operation when it does not.
    pub(super) jf: u32,
}

/// Operand of `A &= mask` with the comparison that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MaskJump {
    /// Distance to the next operation when the condition holds.
    pub(super) jt: u16,
    /// Distance when it does not.
    pub(super) jf: u16,
    pub(super) mask: u32,
    pub(super) k: u32,
}

/// Operand of a comparison with a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Jump {
    pub(super) k: u32,
    pub(super) jt: u32,
    pub(super) jf: u32,
}

/// Operand of a comparison with X.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JumpX {
    pub(super) jt: u32,
    pub(super) jf: u32,
}

/// One operation.
///
/// The cross products of width, operator and condition are spelled out so that the interpreter dispatches once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    AbsW(u32),
    AbsH(u32),
    AbsB(u32),
    IndW(u32),
    IndH(u32),
    IndB(u32),
    AbsWEq(LoadJump),
    AbsWGt(LoadJump),
    AbsWGe(LoadJump),
    AbsWSet(LoadJump),
    AbsHEq(LoadJump),
    AbsHGt(LoadJump),
    AbsHGe(LoadJump),
    AbsHSet(LoadJump),
    AbsBEq(LoadJump),
    AbsBGt(LoadJump),
    AbsBGe(LoadJump),
    AbsBSet(LoadJump),
    IndWEq(LoadJump),
    IndHEq(LoadJump),
    IndHGt(LoadJump),
    IndHGe(LoadJump),
    IndBEq(LoadJump),
    IndBSet(LoadJump),
    AndEq(MaskJump),
    AndGt(MaskJump),
    AndGe(MaskJump),
    JEq(Jump),
    JGt(Jump),
    JGe(Jump),
    JSet(Jump),
    JEqX(JumpX),
    JGtX(JumpX),
    JGeX(JumpX),
    JSetX(JumpX),
    Ja(u32),
    Msh(u32),
    Anc(Ancillary),
    Imm(u32),
    Mem(u8),
    Len,
    XImm(u32),
    XMem(u8),
    XLen,
    St(u8),
    Stx(u8),
    AddK(u32),
    SubK(u32),
    MulK(u32),
    DivK(u32),
    OrK(u32),
    AndK(u32),
    LshK(u32),
    RshK(u32),
    ModK(u32),
    XorK(u32),
    AddX,
    SubX,
    MulX,
    DivX,
    OrX,
    AndX,
    LshX,
    RshX,
    ModX,
    XorX,
    Neg,
    Tax,
    Txa,
    RetK(u32),
    RetA,
}

const _: () = assert!(size_of::<Op>() == 16, "an operation fills a quarter of a cache line");

/// The operations of a checked program.
#[derive(Debug, Clone)]
pub(super) struct Code(Box<[Op]>);

impl Code {
    /// Checks the rules of the instruction set and decodes, one operation for each instruction.
    ///
    /// Works backwards, so that a jump to an unconditional jump can take the final target at once.
    pub(super) fn new(insns: &[Insn]) -> Result<Self, CheckError> {
        classic::check_structure(insns)?;
        let mut ops = vec![Op::RetK(0); insns.len()];
        for (at, insn) in insns.iter().enumerate().rev() {
            let plain = insn.decode().map_or(Op::RetK(0), |insn| single(insn, at, &ops));
            ops[at] = ops.get(at + 1).and_then(|next| fuse(plain, *next, at)).unwrap_or(plain);
        }
        assert!(ops.iter().enumerate().all(|(at, op)| op.stays_inside(at, ops.len())), "a checked program is closed");
        Ok(Self(ops.into_boxed_slice()))
    }

    /// The operations: at least one. Every jump target is the index of an operation and the last operation ends
    /// the run.
    #[inline(always)]
    pub(super) fn get(&self) -> &[Op] {
        &self.0
    }
}

impl Op {
    /// Whether everything that can follow the operation at index `at` is one of `len` operations.
    ///
    /// The interpreter's unchecked access rests on this, so it is established on the operations themselves and not
    /// concluded from the checks on the instructions that they were made of.
    const fn stays_inside(self, at: usize, len: usize) -> bool {
        let (jt, jf) = match self {
            Self::AbsWEq(pair)
            | Self::AbsWGt(pair)
            | Self::AbsWGe(pair)
            | Self::AbsWSet(pair)
            | Self::AbsHEq(pair)
            | Self::AbsHGt(pair)
            | Self::AbsHGe(pair)
            | Self::AbsHSet(pair)
            | Self::AbsBEq(pair)
            | Self::AbsBGt(pair)
            | Self::AbsBGe(pair)
            | Self::AbsBSet(pair)
            | Self::IndWEq(pair)
            | Self::IndHEq(pair)
            | Self::IndHGt(pair)
            | Self::IndHGe(pair)
            | Self::IndBEq(pair)
            | Self::IndBSet(pair) => (pair.jt as usize, pair.jf as usize),
            Self::AndEq(pair) | Self::AndGt(pair) | Self::AndGe(pair) => (at + pair.jt as usize, at + pair.jf as usize),
            Self::JEq(jump) | Self::JGt(jump) | Self::JGe(jump) | Self::JSet(jump) => {
                (jump.jt as usize, jump.jf as usize)
            }
            Self::JEqX(jump) | Self::JGtX(jump) | Self::JGeX(jump) | Self::JSetX(jump) => {
                (jump.jt as usize, jump.jf as usize)
            }
            Self::Ja(target) => (target as usize, target as usize),
            Self::RetK(_) | Self::RetA => (at, at),
            _ => (at + 1, at + 1),
        };
        jt < len && jf < len
    }
}

/// The operation for the instruction at index `at`; `ops` is complete behind it.
fn single(insn: classic::Op, at: usize, ops: &[Op]) -> Op {
    // The checks limit programs to 2^20 instructions and targets to the program, so nothing here can wrap.
    let target = |distance: u32| {
        let target = at as u32 + 1 + distance;
        match ops.get(target as usize) {
            Some(Op::Ja(further)) => *further,
            _ => target,
        }
    };
    match insn {
        classic::Op::LdAbs(_, k) if k >= SKF_AD_OFF => Ancillary::from_offset(k).map_or(Op::RetK(0), Op::Anc),
        classic::Op::LdAbs(Size::Word, k) => Op::AbsW(k),
        classic::Op::LdAbs(Size::Half, k) => Op::AbsH(k),
        classic::Op::LdAbs(Size::Byte, k) => Op::AbsB(k),
        classic::Op::LdInd(Size::Word, k) => Op::IndW(k),
        classic::Op::LdInd(Size::Half, k) => Op::IndH(k),
        classic::Op::LdInd(Size::Byte, k) => Op::IndB(k),
        classic::Op::LdImm(k) => Op::Imm(k),
        classic::Op::LdMem(k) => Op::Mem(k as u8),
        classic::Op::LdLen => Op::Len,
        classic::Op::LdxImm(k) => Op::XImm(k),
        classic::Op::LdxMem(k) => Op::XMem(k as u8),
        classic::Op::LdxLen => Op::XLen,
        classic::Op::LdxMsh(k) => Op::Msh(k),
        classic::Op::St(k) => Op::St(k as u8),
        classic::Op::Stx(k) => Op::Stx(k as u8),
        classic::Op::AluK(op, k) => alu_k(op, k),
        classic::Op::AluX(op) => alu_x(op),
        classic::Op::Neg => Op::Neg,
        classic::Op::Ja(k) => Op::Ja(target(k)),
        classic::Op::JumpK { op, k, jt, jf } => {
            let jump = Jump { k, jt: target(jt.into()), jf: target(jf.into()) };
            match op {
                JmpOp::Eq => Op::JEq(jump),
                JmpOp::Gt => Op::JGt(jump),
                JmpOp::Ge => Op::JGe(jump),
                JmpOp::Set => Op::JSet(jump),
            }
        }
        classic::Op::JumpX { op, jt, jf } => {
            let jump = JumpX { jt: target(jt.into()), jf: target(jf.into()) };
            match op {
                JmpOp::Eq => Op::JEqX(jump),
                JmpOp::Gt => Op::JGtX(jump),
                JmpOp::Ge => Op::JGeX(jump),
                JmpOp::Set => Op::JSetX(jump),
            }
        }
        classic::Op::RetK(k) => Op::RetK(k),
        classic::Op::RetA => Op::RetA,
        classic::Op::Tax => Op::Tax,
        classic::Op::Txa => Op::Txa,
    }
}

const fn alu_k(op: AluOp, k: u32) -> Op {
    match op {
        AluOp::Add => Op::AddK(k),
        AluOp::Sub => Op::SubK(k),
        AluOp::Mul => Op::MulK(k),
        AluOp::Div => Op::DivK(k),
        AluOp::Or => Op::OrK(k),
        AluOp::And => Op::AndK(k),
        AluOp::Lsh => Op::LshK(k),
        AluOp::Rsh => Op::RshK(k),
        AluOp::Mod => Op::ModK(k),
        AluOp::Xor => Op::XorK(k),
    }
}

const fn alu_x(op: AluOp) -> Op {
    match op {
        AluOp::Add => Op::AddX,
        AluOp::Sub => Op::SubX,
        AluOp::Mul => Op::MulX,
        AluOp::Div => Op::DivX,
        AluOp::Or => Op::OrX,
        AluOp::And => Op::AndX,
        AluOp::Lsh => Op::LshX,
        AluOp::Rsh => Op::RshX,
        AluOp::Mod => Op::ModX,
        AluOp::Xor => Op::XorX,
    }
}

/// The fused form of the operation `first` at index `at` and the comparison `second` behind it, where there is one.
fn fuse(first: Op, second: Op, at: usize) -> Option<Op> {
    let (Op::JEq(jump) | Op::JGt(jump) | Op::JGe(jump) | Op::JSet(jump)) = second else { return None };
    if let Op::AndK(mask) = first {
        // Targets that lie further than a distance of 16 bits stay unfused.
        let distance = |target: u32| u16::try_from(target - at as u32).ok();
        let pair = MaskJump { jt: distance(jump.jt)?, jf: distance(jump.jf)?, mask, k: jump.k };
        return match second {
            Op::JEq(_) => Some(Op::AndEq(pair)),
            Op::JGt(_) => Some(Op::AndGt(pair)),
            Op::JGe(_) => Some(Op::AndGe(pair)),
            _ => None,
        };
    }
    let pair = |k: u32| {
        let off = u16::try_from(k).ok()?;
        Some(LoadJump { off, k: jump.k, jt: jump.jt, jf: jump.jf })
    };
    Some(match (first, second) {
        (Op::AbsW(k), Op::JEq(_)) => Op::AbsWEq(pair(k)?),
        (Op::AbsW(k), Op::JGt(_)) => Op::AbsWGt(pair(k)?),
        (Op::AbsW(k), Op::JGe(_)) => Op::AbsWGe(pair(k)?),
        (Op::AbsW(k), Op::JSet(_)) => Op::AbsWSet(pair(k)?),
        (Op::AbsH(k), Op::JEq(_)) => Op::AbsHEq(pair(k)?),
        (Op::AbsH(k), Op::JGt(_)) => Op::AbsHGt(pair(k)?),
        (Op::AbsH(k), Op::JGe(_)) => Op::AbsHGe(pair(k)?),
        (Op::AbsH(k), Op::JSet(_)) => Op::AbsHSet(pair(k)?),
        (Op::AbsB(k), Op::JEq(_)) => Op::AbsBEq(pair(k)?),
        (Op::AbsB(k), Op::JGt(_)) => Op::AbsBGt(pair(k)?),
        (Op::AbsB(k), Op::JGe(_)) => Op::AbsBGe(pair(k)?),
        (Op::AbsB(k), Op::JSet(_)) => Op::AbsBSet(pair(k)?),
        (Op::IndW(k), Op::JEq(_)) => Op::IndWEq(pair(k)?),
        (Op::IndH(k), Op::JEq(_)) => Op::IndHEq(pair(k)?),
        (Op::IndH(k), Op::JGt(_)) => Op::IndHGt(pair(k)?),
        (Op::IndH(k), Op::JGe(_)) => Op::IndHGe(pair(k)?),
        (Op::IndB(k), Op::JEq(_)) => Op::IndBEq(pair(k)?),
        (Op::IndB(k), Op::JSet(_)) => Op::IndBSet(pair(k)?),
        _ => return None,
    })
}
