//! Placement of translated instructions and resolution of forward jumps, with islands for those out of reach.
//!
//! A conditional jump reaches 32,767 slots. When the oldest open jump is about to lose sight of its target, an
//! island is placed: a list of unconditional jumps, one for each target that old jumps wait for, which the normal
//! flow skips. From [`Cpu::V4`] on the jumps of an island reach everything; before, they may need a further island.

use std::collections::{BTreeMap, VecDeque};

use super::{TranslateError, Translation};
use crate::ebpf::{Cpu, Insn, InsnIdx, Op};

/// Farthest target of a 16-bit jump.
const REACH: usize = i16::MAX as usize;
/// Jumps older than this are moved to an island when one is placed, so that islands are rare.
const OLD: usize = REACH / 2;
/// More slots than one classic instruction ever needs.
const MARGIN: usize = 64;
/// Most targets that short jumps may wait for. With more, islands would fill the reach of the jumps they serve.
const MAX_OPEN: usize = OLD / 2 - MARGIN;

/// Positions of jumps that wait for their target, by classic target.
type Open = BTreeMap<usize, Vec<usize>>;

/// The program under construction.
pub struct Layout {
    out: Vec<Insn>,
    starts: Vec<Option<InsnIdx>>,
    cpu: Cpu,
    /// Jumps of 16 bits in the order of their positions, with their classic targets. Those that have been resolved
    /// are removed late.
    ages: VecDeque<(usize, usize)>,
    short: Open,
    long: Open,
    /// Whether control may flow from the last slot to the next.
    flows: bool,
}

impl Layout {
    /// An empty program for `len` classic instructions.
    pub fn new(len: usize, cpu: Cpu) -> Self {
        let starts = vec![None; len];
        Self { out: Vec::new(), starts, cpu, ages: VecDeque::new(), short: Open::new(), long: Open::new(), flows: true }
    }

    /// Appends an instruction without target.
    pub fn emit(&mut self, op: Op) {
        self.flows = op.falls_through();
        op.emit(&mut self.out);
    }

    /// States that the next slot can be reached although the last instruction does not fall through.
    pub fn falls_through(&mut self) {
        self.flows = true;
    }

    /// Appends a conditional jump to the instruction `distance` behind the successor of `at`.
    pub fn branch(&mut self, op: Op, at: usize, distance: u32) {
        self.wait_short(at + 1 + distance as usize);
        self.emit(op);
    }

    /// Notes that the jump emitted next leads to `target`.
    fn wait_short(&mut self, target: usize) {
        self.ages.push_back((self.out.len(), target));
        self.short.entry(target).or_default().push(self.out.len());
    }

    /// Appends an unconditional jump likewise; nothing if the target is the next instruction.
    pub fn goto(&mut self, at: usize, distance: u32) {
        if distance > 0 {
            self.goto_target(at + 1 + distance as usize);
        }
    }

    fn goto_target(&mut self, target: usize) {
        if self.cpu >= Cpu::V4 {
            self.long.entry(target).or_default().push(self.out.len());
            self.emit(Op::GotoLong { off: 0 });
        } else {
            self.wait_short(target);
            self.emit(Op::Goto { off: 0 });
        }
    }

    /// Begins classic instruction `at`: jumps to it lead here.
    pub fn start(&mut self, at: usize) -> Result<(), TranslateError> {
        self.keep_in_reach(at)?;
        let here = self.out.len();
        for open in [&mut self.short, &mut self.long] {
            patch_all(&mut self.out, &open.remove(&at).unwrap_or_default(), here, at)?;
        }
        self.starts[at] = Some(InsnIdx::new(here));
        self.flows = true;
        Ok(())
    }

    /// The finished program.
    pub fn finish(self) -> Translation {
        Translation { insns: self.out, starts: self.starts }
    }

    fn keep_in_reach(&mut self, at: usize) -> Result<(), TranslateError> {
        while self.ages.front().is_some_and(|&(_, target)| target < at) {
            self.ages.pop_front();
        }
        let Some(&(oldest, _)) = self.ages.front() else { return Ok(()) };
        // An island placed now must end within the reach of the oldest jump, and so must the next instruction.
        if self.out.len() + MARGIN + self.short.len() <= oldest + REACH {
            return Ok(());
        }
        self.place_island(at)?;
        if self.short.len() > MAX_OPEN { Err(TranslateError::JumpsTooFar { at }) } else { Ok(()) }
    }

    /// Gives every target of an old jump, except `at` itself, an intermediate stop here.
    fn place_island(&mut self, at: usize) -> Result<(), TranslateError> {
        let crowded = self.cpu >= Cpu::V4 && self.short.len() > MAX_OPEN;
        let young = if crowded { self.out.len() } else { self.out.len().saturating_sub(OLD) };
        let mut moved = Vec::new();
        self.short.retain(|&target, positions| {
            if target != at {
                let old: Vec<usize> = positions.extract_if(.., |position| *position < young).collect();
                if !old.is_empty() {
                    moved.push((target, old));
                }
            }
            !positions.is_empty()
        });
        self.ages.retain(|&(position, target)| target == at || (target > at && position >= young));
        if moved.is_empty() {
            return Ok(());
        }
        let flows = self.flows;
        if flows {
            let off = i16::try_from(moved.len()).map_err(|_| TranslateError::JumpsTooFar { at })?;
            self.emit(Op::Goto { off });
        }
        for (target, positions) in moved {
            let here = self.out.len();
            patch_all(&mut self.out, &positions, here, at)?;
            self.goto_target(target);
        }
        self.flows = flows;
        Ok(())
    }
}

fn patch_all(out: &mut [Insn], positions: &[usize], here: usize, at: usize) -> Result<(), TranslateError> {
    let patched = positions.iter().all(|&position| patch(out, position, here));
    if patched { Ok(()) } else { Err(TranslateError::JumpsTooFar { at }) }
}

/// Makes the jump at `position` lead to the slot `here`; false if that is out of its reach.
fn patch(out: &mut [Insn], position: usize, here: usize) -> bool {
    let Some(insn) = out.get_mut(position) else { return false };
    let Some(distance) = here.checked_sub(position + 1) else { return false };
    match insn.decode(None) {
        Ok(Op::GotoLong { .. }) => match i32::try_from(distance) {
            Ok(off) => insn.imm = off,
            Err(_) => return false,
        },
        _ => match i16::try_from(distance) {
            Ok(off) => insn.off = off,
            Err(_) => return false,
        },
    }
    true
}
