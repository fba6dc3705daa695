//! Which registers an instruction reads and writes, and which are live behind it.
//!
//! Compiled code leaves out what nobody reads, and gives a value to what is read without having been written: a program
//! sees the same whichever engine runs it.

use std::collections::BinaryHeap;

use skep_isa::ebpf::{AluOp, AtomicOp, Callee, Op, Reg, Src};

use super::helpers::Helpers;
use super::program::Step;

/// Set of registers: bit n stands for register n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RegSet(pub(crate) u16);

impl RegSet {
    pub(crate) const NONE: Self = Self(0);
    /// Registers 1 to 5.
    pub(crate) const ARGUMENTS: Self = Self(0b11_1110);
    /// What a call writes: registers 0 to 5.
    pub(crate) const CALL: Self = Self(0b11_1111);
    /// Registers 6 to 9, which a function keeps for its caller.
    pub(crate) const KEPT: Self = Self(0b11_1100_0000);
    /// Registers 0 to 9.
    pub(crate) const ALL: Self = Self(0x3ff);

    pub(crate) const fn of(reg: Reg) -> Self {
        Self(1 << reg.number())
    }

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn has(self, reg: Reg) -> bool {
        self.0 & Self::of(reg).0 != 0
    }

    /// Its registers in the order of their numbers.
    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = Reg> {
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
            RegSet::ARGUMENTS.and(RegSet((1 << (count + 1)) - 1))
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
pub(crate) fn live(steps: &[Step], helpers: &Helpers) -> Live {
    let nothing = vec![RegSet::NONE; steps.len()];
    let mut live = Liveness { steps, helpers, into: nothing.clone(), out: nothing };
    let sources = Sources::new(steps);
    // Steps to look at again; the last in the program comes out first.
    let mut pending: BinaryHeap<u32> = BinaryHeap::new();
    // Backwards, one walk is enough for everything but loops and calls of functions in front.
    for at in (0..steps.len()).rev() {
        if live.update(at) {
            let walked = sources.of(at).iter().filter(|&&source| source as usize >= at);
            pending.extend(walked);
        }
    }
    // Registers only become live, so this takes time in proportion to the program however its jumps are arranged.
    while let Some(at) = pending.pop() {
        let mut at = at as usize;
        while live.update(at) {
            pending.extend(sources.of(at));
            if at == 0 || !steps[at - 1].op.falls_through() {
                break;
            }
            at -= 1;
        }
    }
    Live { into: live.into, out: live.out }
}

/// The step that a step may go on at or calls, other than the next one.
const fn leads_to(step: &Step) -> Option<u32> {
    match step.op {
        Op::Call(Callee::Local(_)) => Some(step.target),
        op if op.jump_distance().is_some() => Some(step.target),
        _ => None,
    }
}

/// For each step the jumps and calls that lead to it.
struct Sources {
    /// Where those of each step begin in `list`; they end where those of the next step begin.
    starts: Vec<u32>,
    list: Vec<u32>,
}

impl Sources {
    fn new(steps: &[Step]) -> Self {
        let mut starts = vec![0; steps.len() + 1];
        steps.iter().filter_map(leads_to).for_each(|target| starts[target as usize] += 1);
        // Sums of what lies in front and of the step's own; filling counts down to the former.
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut list = vec![0; sum as usize];
        for (step, at) in steps.iter().zip(0..) {
            if let Some(target) = leads_to(step) {
                let place = &mut starts[target as usize];
                *place -= 1;
                list[*place as usize] = at;
            }
        }
        Self { starts, list }
    }

    fn of(&self, step: usize) -> &[u32] {
        &self.list[self.starts[step] as usize..self.starts[step + 1] as usize]
    }
}

struct Liveness<'a> {
    steps: &'a [Step],
    helpers: &'a Helpers,
    into: Vec<RegSet>,
    out: Vec<RegSet>,
}

impl Liveness<'_> {
    /// Looks at a step again. Tells whether more is live in front of it than before.
    fn update(&mut self, at: usize) -> bool {
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
        self.out[at] = out;
        into != std::mem::replace(&mut self.into[at], into)
    }
}
