//! What code generators are given: a program and everything that is known about it before a byte is emitted.

use skep_isa::ebpf::{Callee, Op, Reg, Size};

use crate::ebpf::facts::{self, Fact};
use crate::ebpf::flow::{self, Live, RegSet};
use crate::ebpf::helpers::{Helpers, Kind};
use crate::ebpf::layout::FRAME_BYTES;
use crate::ebpf::program::Program;

/// How to generate code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Options {
    /// A verifier has proved that every access stays in bounds: no address is cut, no alignment checked.
    pub(crate) proved: bool,
    /// Constants of the program do not appear in the code: they are combined with this random number first.
    pub(crate) blinding: Option<u32>,
    /// The processor has the shifts of BMI2.
    pub(crate) bmi2: bool,
    /// Helpers can be reached by a call with a 32-bit distance.
    pub(crate) near: bool,
}

/// A map whose look-ups code may do itself: an array, whose values lie one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ArrayMap {
    /// The handle that stands for it.
    pub(crate) handle: u64,
    /// Address of the first value.
    pub(crate) values: u32,
    /// Number of values.
    pub(crate) entries: u32,
    /// Distance of two values in bytes.
    pub(crate) stride: u32,
}

/// A program and what is known about it.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) program: &'a Program,
    /// Its index in the machine.
    pub(crate) number: u32,
    pub(crate) helpers: &'a Helpers,
    pub(crate) options: Options,
    /// For each step the registers that are live behind it.
    pub(crate) live: Vec<RegSet>,
    /// For each step the registers that are live in front of it.
    pub(crate) live_into: Vec<RegSet>,
    /// For each step what [`address`](Self::address) tells.
    facts: Vec<Fact>,
    /// Look-ups in arrays, in the order of their steps.
    lookups: Vec<(u32, ArrayMap)>,
    /// For each step whether a jump leads to it, and whether one comes from behind.
    pub(crate) targets: Vec<Target>,
}

/// How control reaches a step other than from the step in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Target {
    /// A jump leads here, or a function starts here.
    pub(crate) joined: bool,
    /// A jump backwards leads here.
    pub(crate) loops: bool,
}

/// The register in which a step has an address; see [`Plan::address`].
const fn address_register(op: Op) -> Option<Reg> {
    match op {
        Op::Load { base, .. }
        | Op::Store { base, .. }
        | Op::LoadAcquire { base, .. }
        | Op::StoreRelease { base, .. }
        | Op::Atomic { base, .. } => Some(base),
        Op::LdAbs { .. } | Op::LdInd { .. } => Some(Reg::R6),
        Op::Call(_) => Some(Reg::R2),
        _ => None,
    }
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        program: &'a Program,
        number: u32,
        helpers: &'a Helpers,
        arrays: &[ArrayMap],
        options: Options,
    ) -> Self {
        let mut targets = vec![Target::default(); program.steps.len()];
        for function in &program.functions {
            targets[function.start as usize].joined = true;
        }
        for (at, step) in (0..).zip(&program.steps) {
            if step.op.jump_distance().is_some() {
                let target = &mut targets[step.target as usize];
                target.joined = true;
                target.loops |= step.target <= at;
            }
        }
        let Live { into: live_into, out: live } = flow::live(&program.steps, helpers);
        let mut facts = Vec::with_capacity(program.steps.len());
        let mut lookups = Vec::new();
        facts::visit(program, helpers, |at, known| {
            let step = &program.steps[at];
            facts.push(address_register(step.op).map_or(Fact::Any, |reg| known[reg.index()]));
            if let (Op::Call(Callee::Helper(_)), Fact::Number(handle)) = (step.op, known[Reg::R1.index()])
                && helpers.at(step.target).is_some_and(|helper| helper.kind == Kind::MapLookup)
                && let Some(array) = arrays.iter().find(|array| array.handle == handle)
            {
                // Steps are fewer than a million.
                lookups.push((at as u32, *array));
            }
        });
        Self { program, number, helpers, options, live, live_into, facts, lookups, targets }
    }

    /// What is known about the register in which a step has an address: the base of an access, register 6 of a packet
    /// load, the key of a look-up.
    pub(crate) fn address(&self, at: usize) -> Fact {
        self.facts[at]
    }

    /// The distance of an access from the end of the active frame, -512 to -1, if it is known to lie in it.
    pub(crate) fn in_frame(&self, at: usize, off: i16, size: Size) -> Option<i32> {
        let Fact::Frame(start) = self.address(at) else { return None };
        let distance = start + i32::from(off);
        (distance >= -(FRAME_BYTES as i32) && distance + size.bytes() as i32 <= 0).then_some(distance)
    }

    /// Whether the address of an access is known to be a multiple of its size.
    pub(crate) fn is_aligned(&self, at: usize, off: i16, size: Size) -> bool {
        let bytes = size.bytes();
        match self.address(at) {
            // Frames end at multiples of their size.
            Fact::Frame(place) => (place + i32::from(off)).cast_unsigned().is_multiple_of(bytes),
            Fact::Number(number) => number.wrapping_add_signed(off.into()).is_multiple_of(bytes.into()),
            _ => false,
        }
    }

    /// The array in which a call looks something up, if that is known.
    pub(crate) fn lookup(&self, at: usize) -> Option<ArrayMap> {
        let index = self.lookups.binary_search_by_key(&at, |&(step, _)| step as usize).ok()?;
        self.lookups.get(index).map(|&(_, array)| array)
    }

    /// The registers that are live in front of the first step of a function.
    pub(crate) fn live_at_start(&self, function: usize) -> RegSet {
        self.live_into[self.program.functions[function].start as usize]
    }

    /// Whether a jump from one step to another pays fuel.
    pub(crate) const fn cost(from: usize, to: usize) -> Option<u32> {
        // Steps are fewer than a million.
        if to <= from { Some((from - to + 1) as u32) } else { None }
    }
}
