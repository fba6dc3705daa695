//! Loading: checked, decoded, with jump targets, helpers and maps resolved.

use std::fmt;

use skep_isa::ebpf::{Callee, DecodeError, Imm64, Insn, InsnIdx, Op, Reg, validate};

use super::helpers::Helpers;
use super::memory::{function_address, map_handle, value_offset_address};

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
                        write!(f, "calls helper {id}, which this kind of program does not have")
                    }
                    Problem::NoSuchMap(index) => write!(f, "uses map {index}, which the program was not given"),
                    Problem::NeedsKernel => {
                        f.write_str("refers to the running kernel and cannot be executed in user space")
                    }
                }
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// One decoded instruction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) op: Op,
    /// Jumps and local calls: index of the target step. Helper calls: index of the helper.
    pub(super) target: u32,
    /// The slot that it came from.
    pub(super) at: InsnIdx,
}

/// A loaded program: every target is a step, and the last step does not fall through.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) steps: Box<[Step]>,
    pub(super) helpers: Helpers,
}

impl Program {
    pub(super) fn new(insns: &[Insn], helpers: Helpers, maps: usize) -> Result<Self, LoadError> {
        if insns.len() > MAX_INSNS {
            return Err(LoadError::TooLong(insns.len()));
        }
        let ops = validate(insns).map_err(LoadError::Malformed)?;
        let resolver = Resolver::new(&ops, insns.len(), maps, &helpers);
        let steps = ops
            .iter()
            .map(|&(at, op)| resolver.step(at, op).map_err(|problem| LoadError::Insn { at, problem }))
            .collect::<Result<_, _>>()?;
        Ok(Self { steps, helpers })
    }
}

struct Resolver<'a> {
    /// For each slot the number of the instruction that starts there.
    step_of_slot: Vec<u32>,
    maps: usize,
    helpers: &'a Helpers,
}

impl<'a> Resolver<'a> {
    fn new(ops: &[(InsnIdx, Op)], slots: usize, maps: usize, helpers: &'a Helpers) -> Self {
        let mut step_of_slot = vec![0; slots];
        for ((slot, _), step) in ops.iter().zip(0..) {
            step_of_slot[slot.index()] = step;
        }
        Self { step_of_slot, maps, helpers }
    }

    fn step(&self, at: InsnIdx, op: Op) -> Result<Step, Problem> {
        if writes(op) == Some(Reg::R10) {
            return Err(Problem::WritesFramePointer);
        }
        let step = |op, target| Ok(Step { op, target, at });
        match op {
            Op::Call(Callee::Helper(id)) => step(op, self.helpers.find(id).ok_or(Problem::NoSuchHelper(id))?),
            Op::Call(Callee::Local(distance)) => step(op, self.target(at, distance)),
            Op::Call(Callee::Kfunc { .. }) | Op::AddrSpaceCast { .. } => Err(Problem::NeedsKernel),
            Op::LoadImm { dst, value } => step(Op::LoadImm { dst, value: Imm64::Value(self.immediate(at, value)?) }, 0),
            _ => step(op, op.jump_distance().map_or(0, |distance| self.target(at, distance))),
        }
    }

    /// `validate` has checked that the target exists.
    fn target(&self, at: InsnIdx, distance: i32) -> u32 {
        at.target(distance).and_then(|slot| self.step_of_slot.get(slot.index())).copied().unwrap_or(0)
    }

    fn immediate(&self, at: InsnIdx, value: Imm64) -> Result<u64, Problem> {
        let map = |index: i32| match u32::try_from(index) {
            Ok(map) if (map as usize) < self.maps => Ok(map),
            _ => Err(Problem::NoSuchMap(index)),
        };
        Ok(match value {
            Imm64::Value(value) => value,
            Imm64::MapFd(index) | Imm64::MapIdx(index) => map_handle(map(index)?),
            Imm64::MapFdValue { fd: index, offset } | Imm64::MapIdxValue { idx: index, offset } => {
                value_offset_address(map(index)?, offset)
            }
            Imm64::Func(distance) => function_address(self.target(at, distance)),
            Imm64::BtfVar { .. } => return Err(Problem::NeedsKernel),
        })
    }
}

/// The register that an instruction names as its result.
const fn writes(op: Op) -> Option<Reg> {
    match op {
        Op::Alu { dst, .. }
        | Op::MovSx { dst, .. }
        | Op::Neg { dst, .. }
        | Op::Swap { dst, .. }
        | Op::AddrSpaceCast { dst, .. }
        | Op::Load { dst, .. }
        | Op::LoadAcquire { dst, .. }
        | Op::LoadImm { dst, .. }
        | Op::Atomic { fetch: true, src: dst, .. } => Some(dst),
        _ => None,
    }
}
