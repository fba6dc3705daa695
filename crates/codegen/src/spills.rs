//! Spilled registers that are still where they were: registers are not written back that were not changed, and what a
//! register still holds is not read again.
//!
//! Register allocation splits the life of a value at the borders of blocks and decides on each part by itself. What it cannot
//! see is found here, by what each place of a spill has in common with registers on all ways to a block. A register that was
//! compared since is written back all the same: verifiers before Linux 6.9 know of the place only what was known when it was
//! written.

use skep_isa::ebpf::{AluOp, JmpOp, Op, Reg, Size, Src, Width};

use crate::code::Insn;
use crate::emit::{Block, End};
use crate::frame::Frame;
use crate::polish::{as_copy, effects};

/// Registers by bits.
type Set = u16;

const ALL: Set = 0x3ff;

const fn bit(reg: Reg) -> Set {
    1 << reg.number()
}

/// The registers that hold what a place holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// All of them.
    same: Set,
    /// Those of which nothing more is known than of the place.
    plain: Set,
}

/// An access to a place.
#[derive(Clone, Copy)]
enum Access {
    Spill(usize, Reg),
    Fill(usize, Reg),
}

/// Removes needless spills and fills from the blocks of a function.
pub fn reuse(blocks: &mut [Block], frame: &Frame) {
    let count = frame.spilled as usize / 8;
    // More than 64 do not fit into any stack: the function is refused in any case.
    if count == 0 || count > 64 {
        return;
    }
    let starts = analyse(blocks, frame, count);
    for (block, mut places) in blocks.iter_mut().zip(starts) {
        block.body.retain_mut(|insn| {
            let keep = simplify(insn, frame, &places);
            step(&mut places, insn, frame);
            keep
        });
    }
    drop_unread(blocks, frame);
}

/// Removes spills to places that are not read before they are written again.
fn drop_unread(blocks: &mut [Block], frame: &Frame) {
    // There are at most 64 places in a stack of 512 bytes.
    let before = |insn: &Insn, live: u64| match access(insn, frame) {
        Some(Access::Spill(at, _)) => live & !(1 << (at & 63)),
        Some(Access::Fill(at, _)) => live | 1 << (at & 63),
        None => live,
    };
    let mut live_in = vec![0u64; blocks.len()];
    let behind =
        |live_in: &[u64], end: &End| end.targets().into_iter().flatten().fold(0, |live, to| live | live_in[to.index()]);
    let mut changed = true;
    while changed {
        changed = false;
        for at in (0..blocks.len()).rev() {
            let out = behind(&live_in, &blocks[at].end);
            let live = blocks[at].body.iter().rev().fold(out, |live, insn| before(insn, live));
            changed |= std::mem::replace(&mut live_in[at], live) != live;
        }
    }
    for block in blocks {
        let mut live = behind(&live_in, &block.end);
        let mut kept = Vec::with_capacity(block.body.len());
        for insn in block.body.drain(..).rev() {
            if matches!(access(&insn, frame), Some(Access::Spill(at, _)) if live >> (at & 63) & 1 == 0) {
                continue;
            }
            live = before(&insn, live);
            kept.push(insn);
        }
        kept.reverse();
        block.body = kept;
    }
}

/// What is known at the start of each block.
fn analyse(blocks: &[Block], frame: &Frame, count: usize) -> Vec<Vec<Place>> {
    let mut starts = vec![vec![Place { same: ALL, plain: ALL }; count]; blocks.len()];
    if let Some(first) = starts.first_mut() {
        first.fill(Place { same: 0, plain: 0 });
    }
    let mut waiting = vec![true; blocks.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for (at, block) in blocks.iter().enumerate() {
            if !std::mem::take(&mut waiting[at]) {
                continue;
            }
            changed = true;
            let mut places = starts[at].clone();
            for insn in &block.body {
                step(&mut places, insn, frame);
            }
            compared(&mut places, &block.end);
            for to in block.end.targets().into_iter().flatten() {
                for (known, found) in starts[to.index()].iter_mut().zip(&places) {
                    let both = Place { same: known.same & found.same, plain: known.plain & found.plain };
                    waiting[to.index()] |= both != *known;
                    *known = both;
                }
            }
        }
    }
    starts
}

/// The place that an instruction spills to or fills from.
fn access(insn: &Insn, frame: &Frame) -> Option<Access> {
    match insn.op {
        Op::Store { size: Size::DW, base: Reg::R10, off, src: Src::Reg(src) } => {
            Some(Access::Spill(frame.spill_at(off.into())?, src))
        }
        Op::Load { size: Size::DW, signed: false, dst, base: Reg::R10, off } => {
            Some(Access::Fill(frame.spill_at(off.into())?, dst))
        }
        _ => None,
    }
}

/// Makes a fill a copy where a register has the value. False if the instruction is not needed at all.
fn simplify(insn: &mut Insn, frame: &Frame, places: &[Place]) -> bool {
    match access(insn, frame) {
        Some(Access::Spill(at, src)) => places[at].plain & bit(src) == 0,
        Some(Access::Fill(at, dst)) => {
            let same = places[at].same;
            if same & bit(dst) != 0 {
                return false;
            }
            if let Some(src) = (0..10).find_map(|number| Reg::new(number).filter(|reg| same & bit(*reg) != 0)) {
                insn.op = Op::Alu { width: Width::W64, op: AluOp::Mov, dst, src: Src::Reg(src) };
            }
            true
        }
        None => true,
    }
}

/// What is known behind an instruction.
fn step(places: &mut [Place], insn: &Insn, frame: &Frame) {
    if let Some(Access::Spill(at, src)) = access(insn, frame) {
        // Registers that had the old value of the place have another one now, unless it is the same.
        places[at] = if places[at].same & bit(src) == 0 {
            Place { same: bit(src), plain: bit(src) }
        } else {
            Place { same: places[at].same, plain: bit(src) }
        };
        return;
    }
    let copied = as_copy(insn).filter(|(dst, src)| dst != src);
    let (_, written) = effects(insn);
    for (at, place) in places.iter_mut().enumerate() {
        let had = |set: Set| copied.is_some_and(|(_, src)| set & bit(src) != 0);
        let (same, plain) = (had(place.same), had(place.plain));
        place.same &= !written;
        place.plain &= !written;
        if let Some((dst, _)) = copied {
            place.same |= if same { bit(dst) } else { 0 };
            place.plain |= if plain { bit(dst) } else { 0 };
        }
        if let Some(Access::Fill(from, dst)) = access(insn, frame)
            && from == at
        {
            place.same |= bit(dst);
            place.plain |= bit(dst);
        }
    }
}

/// A comparison tells more of its operands than of the places that they came from; whether something is a certain number is
/// not worth to be kept.
fn compared(places: &mut [Place], end: &End) {
    let End::If { op, dst, src, .. } = end else { return };
    let source = match src {
        Src::Reg(reg) => bit(*reg),
        Src::Imm(_) if matches!(op, JmpOp::Eq | JmpOp::Ne) => return,
        Src::Imm(_) => 0,
    };
    places.iter_mut().for_each(|place| place.plain &= !(bit(*dst) | source));
}
