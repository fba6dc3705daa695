//! What is known about register values in front of each instruction, found by walking forward once or a few times.
//!
//! Compiled code uses it to leave checks out: an address that is known to be a distance from the frame pointer, or a
//! number that is small, needs none. Everything here is about the program alone and holds for every input.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use skep_isa::ebpf::{AluOp, Callee, Imm64, Op, Reg, Size, Src, Width};

use super::flow::{RegSet, writes};
use super::helpers::{Helpers, Kind};
use super::layout::{FRAME_BYTES, MAX_FRAMES, PAGE_BYTES};
use super::program::{Program, Step};

/// Numbers below it are small: added to an offset of 16 bits they stay inside the cage and its guards.
pub(crate) const SMALL_LIMIT: u64 = (1 << 32) + (1 << 19);

/// What is known about a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    /// Nothing reaches this point yet.
    Unreached,
    /// It holds this number.
    Number(u64),
    /// It points this many bytes from the end of the active frame.
    Frame(i32),
    /// It is the address of the context.
    Context,
    /// It is at most this, which is below [`SMALL_LIMIT`].
    AtMost(u64),
    /// It may be anything.
    Any,
}

impl Fact {
    const BITS_32: Self = Self::AtMost(u32::MAX as u64);

    /// What holds when one or the other does.
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unreached, fact) | (fact, Self::Unreached) => fact,
            _ if self == other => self,
            _ => match (self.bound(), other.bound()) {
                // Rounded up, so that loops come to an end quickly.
                (Some(a), Some(b)) if a.max(b) <= u32::MAX.into() => Self::BITS_32,
                _ => Self::Any,
            },
        }
    }

    /// The largest number that it may be, if that is small.
    pub(crate) fn bound(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::AtMost(bound) => Some(bound),
            // Addresses have 32 bits.
            Self::Frame(_) | Self::Context => Some(u32::MAX.into()),
            Self::Any | Self::Unreached => None,
        }
        .filter(|&bound| bound < SMALL_LIMIT)
    }

    fn plus(self, distance: i64) -> Self {
        match self {
            Self::Number(number) => Self::Number(number.wrapping_add_signed(distance)),
            Self::Frame(at) => match i32::try_from(i64::from(at) + distance) {
                Ok(sum) if sum.unsigned_abs() <= FRAME_BYTES * 2 => Self::Frame(sum),
                _ => Self::Any,
            },
            Self::AtMost(bound) => match bound.checked_add_signed(distance) {
                Some(sum) if distance >= 0 && sum < SMALL_LIMIT => Self::AtMost(sum),
                _ => Self::Any,
            },
            Self::Context if distance != 0 => Self::BITS_32.plus(distance),
            other => other,
        }
    }
}

/// Facts about all registers.
pub(crate) type Facts = [Fact; 11];

const NOTHING: Facts = [Fact::Unreached; 11];

/// Finds the facts of a program and shows each step, in their order, with what is known in front of it.
pub(crate) fn visit(program: &Program, helpers: &Helpers, mut see: impl FnMut(usize, &Facts)) {
    let mut joins = Joins::new(program, helpers);
    joins.settle(helpers);
    let mut facts = NOTHING;
    for (at, step) in program.steps.iter().enumerate() {
        if let Some(join) = joins.at(at) {
            facts = joins.facts[join];
        }
        see(at, &facts);
        facts = if facts != NOTHING && step.op.falls_through() { transfer(step, facts, helpers) } else { NOTHING };
    }
}

/// The steps that a jump leads to or that a function starts with, and what is known in front of them. For every other
/// step that follows from the one in front of it.
struct Joins<'a> {
    program: &'a Program,
    /// For each step its number among the joins, or [`Self::NONE`].
    numbers: Vec<u32>,
    /// Their steps.
    steps: Vec<u32>,
    facts: Vec<Facts>,
    /// Joins whose facts have changed since they were followed; the first in the program comes out first, so that a
    /// program without loops is walked over once.
    pending: BinaryHeap<Reverse<u32>>,
    is_pending: Vec<bool>,
}

impl<'a> Joins<'a> {
    const NONE: u32 = u32::MAX;

    fn new(program: &'a Program, helpers: &Helpers) -> Self {
        let mut numbers = vec![Self::NONE; program.steps.len()];
        let starts = program.functions.iter().map(|function| function.start);
        let targets = program.steps.iter().filter(|step| step.op.jump_distance().is_some()).map(|step| step.target);
        starts.chain(targets).for_each(|step| numbers[step as usize] = 0);
        let mut steps = Vec::new();
        for (number, step) in numbers.iter_mut().zip(0..) {
            if *number != Self::NONE {
                // Steps are fewer than a million.
                *number = steps.len() as u32;
                steps.push(step);
            }
        }
        let facts = vec![NOTHING; steps.len()];
        let is_pending = vec![false; steps.len()];
        let mut joins = Self { program, numbers, steps, facts, pending: BinaryHeap::new(), is_pending };
        for (index, function) in program.functions.iter().enumerate() {
            let mut entry = [Fact::Any; 11];
            entry[10] = Fact::Frame(0);
            if index == 0 && !program.calls_itself(helpers) {
                // The context and its length; everything else starts at 0.
                entry[1] = Fact::Context;
                entry[2] = Fact::BITS_32;
            }
            joins.reach(function.start as usize, &entry);
        }
        joins
    }

    fn at(&self, step: usize) -> Option<usize> {
        let number = self.numbers[step];
        (number != Self::NONE).then_some(number as usize)
    }

    /// Control comes to a join with these facts.
    fn reach(&mut self, step: usize, facts: &Facts) {
        let Some(join) = self.at(step) else { unreachable!("every target is a join") };
        let mut changed = false;
        for (old, new) in self.facts[join].iter_mut().zip(facts) {
            let joined = old.join(*new);
            changed |= joined != *old;
            *old = joined;
        }
        if changed && !std::mem::replace(&mut self.is_pending[join], true) {
            self.pending.push(Reverse(join as u32));
        }
    }

    /// Follows control until nothing changes. Facts only become weaker, a few times each, so this takes time in
    /// proportion to the program however its jumps are arranged.
    fn settle(&mut self, helpers: &Helpers) {
        let program = self.program;
        while let Some(Reverse(join)) = self.pending.pop() {
            self.is_pending[join as usize] = false;
            let mut facts = self.facts[join as usize];
            let mut at = self.steps[join as usize] as usize;
            loop {
                let step = &program.steps[at];
                facts = transfer(step, facts, helpers);
                if step.op.jump_distance().is_some() {
                    self.reach(step.target as usize, &facts);
                }
                if !step.op.falls_through() {
                    break;
                }
                // No function falls off its end.
                at += 1;
                if self.at(at).is_some() {
                    self.reach(at, &facts);
                    break;
                }
            }
        }
    }
}

/// Facts behind a step.
pub(crate) fn transfer(step: &Step, mut facts: Facts, helpers: &Helpers) -> Facts {
    let of = |src: Src, facts: &Facts| match src {
        Src::Reg(reg) => facts[reg.index()],
        Src::Imm(imm) => Fact::Number(super::semantics::immediate(imm)),
    };
    match step.op {
        Op::Alu { width, op, dst, src } => {
            facts[dst.index()] = alu(width, op, facts[dst.index()], of(src, &facts));
        }
        Op::LoadImm { dst, value: Imm64::Value(value) } => facts[dst.index()] = Fact::Number(value),
        Op::Load { size, signed: false, dst, .. } | Op::LoadAcquire { size, dst, .. } if size != Size::DW => {
            facts[dst.index()] = Fact::AtMost(u64::MAX >> (64 - 8 * size.bytes()));
        }
        Op::MovSx { width: Width::W32, dst, .. } | Op::Neg { width: Width::W32, dst } => {
            facts[dst.index()] = Fact::BITS_32;
        }
        Op::Swap { size, dst, .. } if size != Size::DW => facts[dst.index()] = Fact::BITS_32,
        op => {
            let written = writes(op);
            written.iter().for_each(|reg| facts[reg.index()] = Fact::Any);
            let lookup = matches!(op, Op::Call(Callee::Helper(_)))
                && helpers.at(step.target).is_some_and(|helper| helper.kind == Kind::MapLookup);
            if lookup || matches!(op, Op::LdAbs { .. } | Op::LdInd { .. }) {
                facts[Reg::R0.index()] = Fact::BITS_32;
            }
        }
    }
    facts
}

fn alu(width: Width, op: AluOp, a: Fact, b: Fact) -> Fact {
    let known = match (op, a, b) {
        (_, Fact::Number(a), Fact::Number(b)) => Fact::Number(op.eval(width, a, b)),
        (AluOp::Mov, _, b) => b,
        (AluOp::Add, a, Fact::Number(b)) => a.plus(b.cast_signed()),
        (AluOp::Add, Fact::Number(a), b) => b.plus(a.cast_signed()),
        (AluOp::Sub, a, Fact::Number(b)) => a.plus(0i64.wrapping_sub(b.cast_signed())),
        (AluOp::And, _, Fact::Number(b)) if b < SMALL_LIMIT => Fact::AtMost(b),
        (AluOp::And, a, _) if a.bound().is_some() => Fact::AtMost(a.bound().unwrap_or(0)),
        (AluOp::And, _, b) if b.bound().is_some() => Fact::AtMost(b.bound().unwrap_or(0)),
        (AluOp::Rsh, a, Fact::Number(_)) if a.bound().is_some() => Fact::AtMost(a.bound().unwrap_or(0)),
        (AluOp::Rsh, _, Fact::Number(b)) if matches!(width, Width::W64) && (32..64).contains(&b) => Fact::BITS_32,
        (AluOp::Div | AluOp::Mod, a, _) if a.bound().is_some() => Fact::AtMost(a.bound().unwrap_or(0)),
        _ => Fact::Any,
    };
    match (width, known) {
        (Width::W64, known) => known,
        // The sum of small numbers may be one bit too long for 32.
        (Width::W32, Fact::Number(number)) => Fact::Number(number & u64::from(u32::MAX)),
        (Width::W32, Fact::AtMost(bound)) if bound <= u32::MAX.into() => Fact::AtMost(bound),
        (Width::W32, _) => Fact::BITS_32,
    }
}

/// Bytes at the end of the stack page that a run may change: all of them if a pointer into the stack gets out of sight.
pub(crate) fn dirty_stack(program: &Program, helpers: &Helpers) -> u32 {
    // Most programs without calls that name the frame pointer only in accesses need no analysis.
    let plain = program.functions.len() == 1 && !program.steps.iter().any(|step| copies_frame_pointer(step.op));
    let mut lowest = vec![0; program.functions.len()];
    let mut hidden = false;
    let mut function = 0;
    let note = |at: usize, facts: &Facts| {
        if at >= program.functions[function].end as usize {
            function += 1;
        }
        match lowest_use(&program.steps[at], facts, helpers) {
            Some(place) => lowest[function] = place.min(lowest[function]),
            None => hidden = true,
        }
    };
    if plain {
        let mut before = NOTHING;
        before[10] = Fact::Frame(0);
        (0..program.steps.len()).for_each({
            let mut note = note;
            move |at| note(at, &before)
        });
    } else {
        visit(program, helpers, note);
    }
    if hidden {
        return PAGE_BYTES;
    }
    let Some(depths) = depths(program) else { return PAGE_BYTES };
    let used = depths.iter().zip(lowest).map(|(depth, low): (&u32, i32)| depth * FRAME_BYTES + low.unsigned_abs());
    used.max().unwrap_or(0).min(PAGE_BYTES)
}

/// Whether an instruction puts the frame pointer where it is not seen any more without analysis.
fn copies_frame_pointer(op: Op) -> bool {
    match op {
        Op::Alu { src: Src::Reg(src), .. } | Op::Store { src: Src::Reg(src), .. } => src == Reg::R10,
        Op::MovSx { src, .. } | Op::LdInd { src, .. } => src == Reg::R10,
        Op::StoreRelease { src, .. } | Op::Atomic { src, .. } => src == Reg::R10,
        _ => false,
    }
}

/// The lowest place in its frame that a step writes, as a distance from the end; `None` if it lets a pointer into the
/// frame out of sight.
fn lowest_use(step: &Step, facts: &Facts, helpers: &Helpers) -> Option<i32> {
    let frame = |reg: Reg| match facts[reg.index()] {
        Fact::Frame(at) => Some(at),
        _ => None,
    };
    let hidden = |src: Src| matches!(src, Src::Reg(reg) if frame(reg).is_some());
    match step.op {
        Op::Store { base, off, src, .. } if !hidden(src) => Some(frame(base).map_or(0, |at| at + i32::from(off))),
        Op::StoreRelease { base, off, src, .. } | Op::Atomic { base, off, src, .. } if frame(src).is_none() => {
            Some(frame(base).map_or(0, |at| at + i32::from(off)))
        }
        Op::Store { .. } | Op::StoreRelease { .. } | Op::Atomic { .. } => None,
        Op::Alu { dst, src, op, .. } => {
            let after = transfer(step, *facts, helpers)[dst.index()];
            let pointer = hidden(src) || (op != AluOp::Mov && frame(dst).is_some());
            (!pointer || matches!(after, Fact::Frame(_))).then_some(0)
        }
        Op::MovSx { src, .. } | Op::LdInd { src, .. } => frame(src).is_none().then_some(0),
        Op::Neg { dst, .. } | Op::Swap { dst, .. } => frame(dst).is_none().then_some(0),
        Op::Exit => frame(Reg::R0).is_none().then_some(0),
        Op::Call(Callee::Helper(_)) => {
            let kind = helpers.at(step.target).map_or(Kind::Registered, |helper| helper.kind);
            let pointers = RegSet::ARGUMENTS.iter().filter_map(frame);
            // What helpers write begins where an argument points to. Other code may be given the pointer by the rest.
            matches!(kind, Kind::Plain | Kind::MapLookup).then(|| pointers.min().unwrap_or(0))
        }
        Op::Call(Callee::Local(_)) => RegSet::ALL.iter().all(|reg| frame(reg).is_none()).then_some(0),
        Op::Call(_) => None,
        _ => Some(0),
    }
}

/// For each function the most functions that can be active around it; `None` if it can call itself.
fn depths(program: &Program) -> Option<Vec<u32>> {
    let mut depths = vec![0u32; program.functions.len()];
    loop {
        let mut changed = false;
        for (index, function) in program.functions.iter().enumerate() {
            for step in &program.steps[function.range()] {
                if let Op::Call(Callee::Local(_)) = step.op {
                    let callee = program.function_of(step.target as usize);
                    let depth = depths[index] + 1;
                    if depth > depths[callee] {
                        if depth > MAX_FRAMES {
                            return None;
                        }
                        depths[callee] = depth;
                        changed = true;
                    }
                }
            }
        }
        if !changed {
            return Some(depths);
        }
    }
}
