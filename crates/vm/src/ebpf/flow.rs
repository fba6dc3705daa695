//! Which registers an instruction reads and writes, and which are live behind it.
//!
//! Compiled code leaves out what nobody reads, and gives a value to what is read without having been written: a program
//! sees the same whichever engine runs it.

use skep_isa::ebpf::{AluOp, AtomicOp, Callee, Op, Reg, Src};

use super::helpers::Helpers;
use super::program::{Function, Step};

/// Set of registers: bit n stands for register n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RegSet(pub(crate) u16);

impl RegSet {
    pub(crate) const NONE: Self = Self(0);
    /// Registers 1 to 5.
    pub(crate) const ARGUMENTS: Self = Self(0b11_1110);
    /// What a call writes: registers 0 to 5.
    pub(crate) const CALL: Self = Self(0b11_1111);
    /// Registers 0 to 9.
    pub(crate) const ALL: Self = Self(0x3ff);

    pub(crate) const fn of(reg: Reg) -> Self {
        Self(1 << reg.number())
    }

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn has(self, reg: Reg) -> bool {
        self.0 & Self::of(reg).0 != 0
    }

    /// Its registers in the order of their numbers.
    pub(crate) fn iter(self) -> impl Iterator<Item = Reg> {
        (0..11).filter_map(Reg::new).filter(move |reg| self.has(*reg))
    }
}

const fn operand(src: Src) -> RegSet {
    match src {
        Src::Reg(reg) => RegSet::of(reg),
        Src::Imm(_) => RegSet::NONE,
    }
}

/// The registers that an instruction writes.
pub(crate) const fn writes(op: Op) -> RegSet {
    match op {
        Op::Alu { dst, .. }
        | Op::MovSx { dst, .. }
        | Op::Neg { dst, .. }
        | Op::Swap { dst, .. }
        | Op::AddrSpaceCast { dst, .. }
        | Op::Load { dst, .. }
        | Op::LoadAcquire { dst, .. }
        | Op::LoadImm { dst, .. } => RegSet::of(dst),
        Op::Atomic { op: AtomicOp::CmpXchg, .. } => RegSet::of(Reg::R0),
        Op::Atomic { fetch: true, src, .. } => RegSet::of(src),
        Op::Call(_) | Op::LdAbs { .. } | Op::LdInd { .. } => RegSet::CALL,
        Op::Store { .. }
        | Op::StoreRelease { .. }
        | Op::Atomic { .. }
        | Op::Goto { .. }
        | Op::GotoLong { .. }
        | Op::JumpIf { .. }
        | Op::MayGoto { .. }
        | Op::Exit => RegSet::NONE,
    }
}

/// The registers that an instruction reads; for calls of local functions what the callee reads comes on top.
pub(crate) fn reads(step: &Step, helpers: &Helpers) -> RegSet {
    match step.op {
        Op::Alu { op: AluOp::Mov, src, .. } => operand(src),
        Op::Alu { dst, src, .. } => RegSet::of(dst).with(operand(src)),
        Op::MovSx { src, .. } | Op::AddrSpaceCast { src, .. } => RegSet::of(src),
        Op::Neg { dst, .. } | Op::Swap { dst, .. } => RegSet::of(dst),
        Op::Load { base, .. } | Op::LoadAcquire { base, .. } => RegSet::of(base),
        Op::Store { base, src, .. } => RegSet::of(base).with(operand(src)),
        Op::StoreRelease { base, src, .. } => RegSet::of(base).with(RegSet::of(src)),
        Op::Atomic { op, base, src, .. } => {
            let expected = if matches!(op, AtomicOp::CmpXchg) { RegSet::of(Reg::R0) } else { RegSet::NONE };
            RegSet::of(base).with(RegSet::of(src)).with(expected)
        }
        Op::LdAbs { .. } => RegSet::of(Reg::R6),
        Op::LdInd { src, .. } => RegSet::of(Reg::R6).with(RegSet::of(src)),
        Op::JumpIf { dst, src, .. } => RegSet::of(dst).with(operand(src)),
        Op::Call(Callee::Helper(_)) => {
            let count = helpers.argument_count(step.target);
            RegSet(RegSet::ARGUMENTS.0 & ((1 << (count + 1)) - 1))
        }
        Op::Call(Callee::Reg(_)) => RegSet::ALL,
        Op::Exit => RegSet::of(Reg::R0),
        Op::Call(_) | Op::LoadImm { .. } | Op::Goto { .. } | Op::GotoLong { .. } | Op::MayGoto { .. } => RegSet::NONE,
    }
}

/// For each step the registers that something may read before they are written again: in front of it and behind it.
pub(crate) struct Live {
    pub(crate) into: Vec<RegSet>,
    pub(crate) out: Vec<RegSet>,
}

/// Finds what is live.
pub(crate) fn live(steps: &[Step], functions: &[Function], helpers: &Helpers) -> Live {
    let mut live =
        Liveness { steps, helpers, into: vec![RegSet::NONE; steps.len()], out: vec![RegSet::NONE; steps.len()] };
    // Loops and recursion need several passes. Backwards, one pass is enough for everything else.
    while functions.iter().rev().fold(false, |changed, function| live.pass(function) | changed) {}
    Live { into: live.into, out: live.out }
}

struct Liveness<'a> {
    steps: &'a [Step],
    helpers: &'a Helpers,
    into: Vec<RegSet>,
    out: Vec<RegSet>,
}

impl Liveness<'_> {
    fn pass(&mut self, function: &Function) -> bool {
        let mut changed = false;
        for at in function.range().rev() {
            let step = &self.steps[at];
            let mut out = if step.op.falls_through() { self.into[at + 1] } else { RegSet::NONE };
            let mut callee = RegSet::NONE;
            match step.op {
                Op::Call(Callee::Local(_)) => callee = self.into[step.target as usize],
                op if op.jump_distance().is_some() => out = out.with(self.into[step.target as usize]),
                _ => {}
            }
            // A failed packet load leaves the function.
            let read = reads(step, self.helpers).with(callee);
            let into = out.without(writes(step.op)).with(read);
            changed |= into != self.into[at];
            self.into[at] = into;
            self.out[at] = out;
        }
        changed
    }
}
