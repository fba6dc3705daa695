//! What code generators are given: a program and everything that is known about it before a byte is emitted.

use crate::ebpf::facts::{self, Facts};
use crate::ebpf::flow::{self, Live, RegSet};
use crate::ebpf::helpers::Helpers;
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
    pub(crate) arrays: Vec<ArrayMap>,
    /// For each step the registers that are live behind it.
    pub(crate) live: Vec<RegSet>,
    /// For each step the registers that are live in front of it.
    pub(crate) live_into: Vec<RegSet>,
    /// For each step what is known in front of it.
    pub(crate) facts: Vec<Facts>,
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

impl<'a> Plan<'a> {
    pub(crate) fn new(
        program: &'a Program,
        number: u32,
        helpers: &'a Helpers,
        arrays: Vec<ArrayMap>,
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
        let Live { into: live_into, out: live } = flow::live(&program.steps, &program.functions, helpers);
        let facts = facts::facts(program, helpers);
        Self { program, number, helpers, options, arrays, live, live_into, facts, targets }
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
