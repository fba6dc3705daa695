//! Loading: checked, decoded, with jump targets, helpers and maps resolved.

use std::fmt;

use std::ops::Range;

use skep_isa::ebpf::{Callee, DecodeError, Imm64, Insn, InsnIdx, Op, Reg, validate};
use skep_isa::{ProgType, helpers as names};

use super::flow::writes;
use super::helpers::{Helpers, Kind};
use super::layout::{function_address, map_handle};

/// Most slots in one program, the kernel's limit for privileged loaders (`BPF_COMPLEXITY_LIMIT_INSNS`).
pub const MAX_INSNS: usize = 1_000_000;

/// Why a program cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// An instruction does not exist, a reserved field is not zero, or control can leave the program.
    Malformed(DecodeError),
    /// More than [`MAX_INSNS`] slots; the number of them.
    TooLong(usize),
    /// One instruction asks for what is not there.
    Insn {
        /// The slot.
        at: InsnIdx,
        /// What it asks for.
        problem: Problem,
    },
}

/// What an instruction asks for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// It writes register 10.
    WritesFramePointer,
    /// It calls a helper that was not registered; the number.
    NoSuchHelper(i32),
    /// It names a map that was not given; the index.
    NoSuchMap(i32),
    /// It needs the running kernel: a kernel function, a kernel variable, an arena.
    NeedsKernel,
    /// It jumps into another function, to the instruction with this index.
    LeavesFunction(InsnIdx),
    /// It is the last one of its function and falls into the next function.
    FallsIntoFunction,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::TooLong(len) => write!(f, "the program has {len} instructions and at most {MAX_INSNS} are allowed"),
            Self::Insn { at, problem } => {
                write!(f, "instruction {at} ")?;
                match problem {
                    Problem::WritesFramePointer => f.write_str("writes r10, which is read-only; copy it first"),
                    Problem::NoSuchHelper(id) => {
                        let name = u32::try_from(*id).ok().and_then(names::by_id).map_or("unknown", |row| row.name);
                        write!(f, "calls helper {id} ({name}), which this kind of program does not have; register it")
                    }
                    Problem::NoSuchMap(index) => write!(f, "uses map {index}, which the program was not given"),
                    Problem::NeedsKernel => {
                        f.write_str("refers to the running kernel and cannot be executed in user space")
                    }
                    Problem::LeavesFunction(target) => {
                        write!(f, "jumps to instruction {target}, which belongs to another function; call it instead")
                    }
                    Problem::FallsIntoFunction => {
                        f.write_str("falls through into the next function; end the function with exit or a jump")
                    }
                }
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// One decoded instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) op: Op,
    /// Jumps and local calls: index of the target step. Helper calls: index of the helper.
    pub(crate) target: u32,
    /// The slot that it came from.
    pub(crate) at: InsnIdx,
}

/// A function: consecutive steps that are entered at the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its first step.
    pub(crate) start: u32,
    /// Behind its last step.
    pub(crate) end: u32,
}

impl Function {
    pub(crate) const fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Number of steps: what a call of it costs in fuel.
    pub(crate) const fn len(&self) -> u32 {
        self.end - self.start
    }
}

/// A loaded program: every target is a step, jumps stay in their function, no function falls off its end.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) prog_type: ProgType,
    pub(crate) steps: Box<[Step]>,
    /// In the order of their steps; the first one is the program itself.
    pub(crate) functions: Box<[Function]>,
}

impl Program {
    /// Decodes and resolves. `maps` are the addresses of the maps' values.
    pub(crate) fn new(
        name: &str,
        prog_type: ProgType,
        insns: &[Insn],
        helpers: &Helpers,
        maps: &[u32],
    ) -> Result<Self, LoadError> {
        if insns.len() > MAX_INSNS {
            return Err(LoadError::TooLong(insns.len()));
        }
        let ops = validate(insns).map_err(LoadError::Malformed)?;
        let resolver = Resolver::new(&ops, insns.len(), maps, helpers);
        let steps: Box<[Step]> = ops
            .iter()
            .map(|&(at, op)| resolver.step(at, op).map_err(|problem| LoadError::Insn { at, problem }))
            .collect::<Result<_, _>>()?;
        let functions = functions(&steps);
        functions.iter().try_for_each(|function| stays_inside(&steps, function))?;
        Ok(Self { name: name.to_owned(), prog_type, steps, functions })
    }

    /// Whether the first function may be entered otherwise than at the start of a run: by a call of it, or by what can
    /// call any function.
    pub(crate) fn calls_itself(&self, helpers: &Helpers) -> bool {
        self.steps.iter().any(|step| match step.op {
            Op::Call(Callee::Local(_)) => step.target == 0,
            Op::Call(Callee::Reg(_)) => true,
            Op::Call(Callee::Helper(_)) => {
                helpers.at(step.target).is_none_or(|helper| matches!(helper.kind, Kind::CallsBack | Kind::Registered))
            }
            _ => false,
        })
    }

    /// The index of the function that has this step.
    pub(crate) fn function_of(&self, step: usize) -> usize {
        self.functions.partition_point(|function| function.start as usize <= step) - 1
    }

    /// The function that starts at this step.
    pub(crate) fn function_at(&self, step: u32) -> Option<&Function> {
        let index = self.functions.binary_search_by_key(&step, |function| function.start).ok()?;
        self.functions.get(index)
    }
}

/// The functions: what calls and function addresses lead to, and the first instruction.
fn functions(steps: &[Step]) -> Box<[Function]> {
    let called = steps.iter().filter_map(|step| match step.op {
        Op::Call(Callee::Local(_)) => Some(step.target),
        // Loading has resolved function addresses; `target` tells them from other numbers.
        Op::LoadImm { .. } if step.target != 0 => Some(step.target),
        _ => None,
    });
    let mut starts: Vec<u32> = std::iter::once(0).chain(called).collect();
    starts.sort_unstable();
    starts.dedup();
    // At most `MAX_INSNS` steps.
    let ends = starts[1..].iter().copied().chain([steps.len() as u32]);
    starts.iter().zip(ends).map(|(&start, end)| Function { start, end }).collect()
}

/// Whether control stays in a function until it exits or calls.
fn stays_inside(steps: &[Step], function: &Function) -> Result<(), LoadError> {
    let range = function.range();
    for step in &steps[range.clone()] {
        if step.op.jump_distance().is_some() && !range.contains(&(step.target as usize)) {
            let problem = Problem::LeavesFunction(steps[step.target as usize].at);
            return Err(LoadError::Insn { at: step.at, problem });
        }
    }
    match steps[range].last() {
        Some(step) if step.op.falls_through() => {
            Err(LoadError::Insn { at: step.at, problem: Problem::FallsIntoFunction })
        }
        _ => Ok(()),
    }
}

struct Resolver<'a> {
    /// For each slot the number of the instruction that starts there.
    step_of_slot: Vec<u32>,
    maps: &'a [u32],
    helpers: &'a Helpers,
}

impl<'a> Resolver<'a> {
    fn new(ops: &[(InsnIdx, Op)], slots: usize, maps: &'a [u32], helpers: &'a Helpers) -> Self {
        let mut step_of_slot = vec![0; slots];
        for ((slot, _), step) in ops.iter().zip(0..) {
            step_of_slot[slot.index()] = step;
        }
        Self { step_of_slot, maps, helpers }
    }

    fn step(&self, at: InsnIdx, op: Op) -> Result<Step, Problem> {
        // An indirect call names register 10 without writing it.
        if writes(op).has(Reg::R10) {
            return Err(Problem::WritesFramePointer);
        }
        let step = |op, target| Ok(Step { op, target, at });
        match op {
            Op::Call(Callee::Helper(id)) => step(op, self.helpers.find(id).ok_or(Problem::NoSuchHelper(id))?),
            Op::Call(Callee::Local(distance)) => step(op, self.target(at, distance)),
            Op::Call(Callee::Kfunc { .. }) | Op::AddrSpaceCast { .. } => Err(Problem::NeedsKernel),
            Op::LoadImm { dst, value } => {
                let target = if let Imm64::Func(distance) = value { self.target(at, distance) } else { 0 };
                step(Op::LoadImm { dst, value: Imm64::Value(self.immediate(at, value)?) }, target)
            }
            _ => step(op, op.jump_distance().map_or(0, |distance| self.target(at, distance))),
        }
    }

    /// `validate` has checked that the target exists.
    fn target(&self, at: InsnIdx, distance: i32) -> u32 {
        at.target(distance).and_then(|slot| self.step_of_slot.get(slot.index())).copied().unwrap_or(0)
    }

    fn immediate(&self, at: InsnIdx, value: Imm64) -> Result<u64, Problem> {
        let map = |index: i32| match usize::try_from(index).ok().and_then(|map| self.maps.get(map)) {
            Some(&values) => Ok((index.cast_unsigned(), values)),
            None => Err(Problem::NoSuchMap(index)),
        };
        Ok(match value {
            Imm64::Value(value) => value,
            Imm64::MapFd(index) | Imm64::MapIdx(index) => map_handle(map(index)?.0),
            Imm64::MapFdValue { fd: index, offset } | Imm64::MapIdxValue { idx: index, offset } => {
                u64::from(map(index)?.1) + u64::from(offset)
            }
            Imm64::Func(distance) => function_address(self.target(at, distance)),
            Imm64::BtfVar { .. } => return Err(Problem::NeedsKernel),
        })
    }
}
