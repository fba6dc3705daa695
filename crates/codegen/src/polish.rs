//! What register allocation leaves behind: copies that nobody needs.
//!
//! Inside of a block, reads of a copy become reads of what it was copied from, a copy of a register that is not needed any
//! more is taken back (what follows works on the original, or what stands in front on the copy), and copies that nobody
//! reads go. Comparisons at the end of blocks keep their registers:
//! the verifier knows what they learn about that very register, and older ones know nothing of its copies.

use skep_isa::ebpf::{AluOp, AtomicOp, Callee, Op, Reg, Src, Width};

use crate::code::Insn;
use crate::emit::{Block, End};

/// A set of registers, a bit for each.
pub type Set = u16;

/// The set of one register.
pub const fn bit(reg: Reg) -> Set {
    1 << reg.number()
}

/// `r0` to `r5`.
const LOST: Set = 0b11_1111;

/// How many instructions a copy is followed for, so that the work is in proportion to the code.
const LONGEST_LIFE: usize = 256;

/// Removes useless copies from the blocks of a function.
pub fn polish(blocks: &mut [Block]) {
    for block in blocks.iter_mut() {
        read_originals(&mut block.body);
    }
    let live_in = live_in(blocks);
    for block in blocks.iter_mut() {
        let live_out = behind(&live_in, &block.end);
        drop_dead(block, live_out);
        coalesce(block, live_out);
        make_in_place(block, live_out);
    }
}

/// What an instruction reads and writes.
pub fn effects(insn: &Insn) -> (Set, Set) {
    let source = |src: Src| match src {
        Src::Reg(reg) => bit(reg),
        Src::Imm(_) => 0,
    };
    match insn.op {
        Op::Alu { op: AluOp::Mov, dst, src, .. } => (source(src), bit(dst)),
        Op::Alu { dst, src, .. } => (source(src) | bit(dst), bit(dst)),
        Op::MovSx { dst, src, .. } | Op::AddrSpaceCast { dst, src, .. } => (bit(src), bit(dst)),
        Op::Neg { dst, .. } | Op::Swap { dst, .. } => (bit(dst), bit(dst)),
        Op::Load { dst, base, .. } | Op::LoadAcquire { dst, base, .. } => (bit(base), bit(dst)),
        Op::Store { base, src, .. } => (bit(base) | source(src), 0),
        Op::StoreRelease { base, src, .. } => (bit(base) | bit(src), 0),
        Op::Atomic { op: AtomicOp::CmpXchg, base, src, .. } => (bit(base) | bit(src) | bit(Reg::R0), bit(Reg::R0)),
        Op::Atomic { fetch, base, src, .. } => (bit(base) | bit(src), if fetch { bit(src) } else { 0 }),
        Op::LoadImm { dst, .. } => (0, bit(dst)),
        Op::LdAbs { .. } => (bit(Reg::R6), LOST),
        Op::LdInd { src, .. } => (bit(Reg::R6) | bit(src), LOST),
        Op::Call(callee) => {
            let arguments = ((1 << insn.arguments) - 1) << 1;
            (arguments | if let Callee::Reg(reg) = callee { bit(reg) } else { 0 }, LOST)
        }
        Op::Goto { .. } | Op::GotoLong { .. } | Op::JumpIf { .. } | Op::MayGoto { .. } | Op::Exit => (0, 0),
    }
}

/// What the end of a block reads.
pub fn end_reads(end: &End) -> Set {
    match end {
        End::If { dst, src: Src::Reg(src), .. } => bit(*dst) | bit(*src),
        End::If { dst, .. } => bit(*dst),
        End::Exit => bit(Reg::R0),
        End::Goto(_) | End::MayGoto { .. } => 0,
    }
}

/// A 64-bit copy between registers.
pub const fn as_copy(insn: &Insn) -> Option<(Reg, Reg)> {
    match insn.op {
        Op::Alu { width: Width::W64, op: AluOp::Mov, dst, src: Src::Reg(src) } => Some((dst, src)),
        _ => None,
    }
}

/// Calls a function with every register that is named and only read.
fn for_each_source(op: &mut Op, mut visit: impl FnMut(&mut Reg)) {
    match op {
        Op::Alu { src: Src::Reg(src), .. } | Op::MovSx { src, .. } | Op::LdInd { src, .. } => visit(src),
        Op::Load { base, .. } | Op::LoadAcquire { base, .. } => visit(base),
        Op::Store { base, src, .. } => {
            visit(base);
            if let Src::Reg(src) = src {
                visit(src);
            }
        }
        Op::StoreRelease { base, src, .. } => [base, src].into_iter().for_each(visit),
        Op::Atomic { op, fetch, base, src, .. } => {
            visit(base);
            if !*fetch || *op == AtomicOp::CmpXchg {
                visit(src);
            }
        }
        _ => {}
    }
}

/// Lets instructions read what was copied instead of the copy, as long as both hold the same.
fn read_originals(body: &mut [Insn]) {
    let mut copy_of: [Option<Reg>; 11] = [None; 11];
    for insn in body {
        for_each_source(&mut insn.op, |reg| {
            if let Some(original) = copy_of[reg.index()] {
                *reg = original;
            }
        });
        let (_, written) = effects(insn);
        for (index, original) in copy_of.iter_mut().enumerate() {
            if written & (1 << index) != 0 || original.is_some_and(|reg| written & bit(reg) != 0) {
                *original = None;
            }
        }
        if let Some((dst, src)) = as_copy(insn)
            && dst != src
        {
            copy_of[dst.index()] = Some(src);
        }
    }
}

/// The registers that are needed at the start of each block.
pub fn live_in(blocks: &[Block]) -> Vec<Set> {
    let through: Vec<(Set, Set)> = blocks
        .iter()
        .map(|block| {
            // What is needed in front is what is read first, and what is needed behind and not written.
            block.body.iter().rev().fold((end_reads(&block.end), 0), |(read, written), insn| {
                let (reads, writes) = effects(insn);
                ((read & !writes) | reads, written | writes)
            })
        })
        .collect();
    let mut live_in = vec![0; blocks.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for index in (0..blocks.len()).rev() {
            let (read, written) = through[index];
            let new: Set = read | (behind(&live_in, &blocks[index].end) & !written);
            changed |= new != live_in[index];
            live_in[index] = new;
        }
    }
    live_in
}

/// The registers that are needed behind the end of a block.
fn behind(live_in: &[Set], end: &End) -> Set {
    end.targets().into_iter().flatten().fold(0, |set, to| set | live_in[to.index()])
}

fn drop_dead(block: &mut Block, live_out: Set) {
    let mut live = live_out | end_reads(&block.end);
    let mut kept = Vec::with_capacity(block.body.len());
    for insn in block.body.drain(..).rev() {
        let (reads, writes) = effects(&insn);
        if as_copy(&insn).is_some_and(|(dst, src)| dst == src || live & writes == 0) {
            continue;
        }
        live = (live & !writes) | reads;
        kept.push(insn);
    }
    kept.reverse();
    block.body = kept;
}

/// Takes back copies of registers that are not needed any more: what follows works on the original.
fn coalesce(block: &mut Block, live_out: Set) {
    let mut after = live_after(block, live_out);
    let mut at = 0;
    while at < block.body.len() {
        if let Some((copy, original)) = as_copy(&block.body[at])
            && original != Reg::R10
            && let Some(until) = life_of_copy(&block.body, &after, at, copy, original)
        {
            for insn in &mut block.body[at + 1..=until] {
                rename(&mut insn.op, copy, original);
            }
            for live in &mut after[at + 1..until] {
                *live = (*live & !bit(copy)) | bit(original);
            }
            block.body.remove(at);
            after.remove(at);
        } else {
            at += 1;
        }
    }
}

/// Lets what makes a value make it in the register that it is copied to, if only the copy is needed.
fn make_in_place(block: &mut Block, live_out: Set) {
    let mut after = live_after(block, live_out);
    let mut at = 0;
    while at < block.body.len() {
        if let Some((copy, original)) = as_copy(&block.body[at])
            && original != Reg::R10
            && after[at] & bit(original) == 0
            && let Some(first) = birth(&block.body[..at], copy, original)
        {
            for insn in &mut block.body[first..at] {
                rename(&mut insn.op, original, copy);
            }
            for live in &mut after[first..at] {
                *live = (*live & !bit(original)) | bit(copy);
            }
            block.body.remove(at);
            after.remove(at);
        } else {
            at += 1;
        }
    }
}

/// The instruction that makes the value that a register holds at the end, if it and those behind it can use another one.
fn birth(body: &[Insn], copy: Reg, original: Reg) -> Option<usize> {
    for (index, insn) in body.iter().enumerate().rev().take(LONGEST_LIFE) {
        let (reads, writes) = effects(insn);
        let both = reads | writes;
        if both & bit(copy) != 0 || is_fixed(insn) && both & bit(original) != 0 {
            return None;
        }
        if writes & bit(original) != 0 && reads & bit(original) == 0 {
            return Some(index);
        }
    }
    None
}

/// Whether the registers of an instruction are not for us to choose.
const fn is_fixed(insn: &Insn) -> bool {
    matches!(insn.op, Op::Call(_) | Op::LdAbs { .. } | Op::LdInd { .. } | Op::Atomic { op: AtomicOp::CmpXchg, .. })
}

/// The last instruction that needs a copy made at `at`, if the copy can live in the register of the original up to there.
fn life_of_copy(body: &[Insn], after: &[Set], at: usize, copy: Reg, original: Reg) -> Option<usize> {
    if after[at] & bit(original) != 0 {
        return None;
    }
    for (index, insn) in body.iter().enumerate().skip(at + 1).take(LONGEST_LIFE) {
        let (reads, writes) = effects(insn);
        if is_fixed(insn) && (reads | writes) & (bit(copy) | bit(original)) != 0
            || (reads | writes) & bit(original) != 0
        {
            return None;
        }
        if after[index] & bit(copy) == 0 {
            return Some(index);
        }
    }
    None
}

/// The registers that are needed behind each instruction of a block.
fn live_after(block: &Block, live_out: Set) -> Vec<Set> {
    let mut live = live_out | end_reads(&block.end);
    let mut after = vec![0; block.body.len()];
    for (index, insn) in block.body.iter().enumerate().rev() {
        after[index] = live;
        let (reads, writes) = effects(insn);
        live = (live & !writes) | reads;
    }
    after
}

/// Replaces a register wherever an instruction names it.
fn rename(op: &mut Op, from: Reg, to: Reg) {
    let change = |reg: &mut Reg| {
        if *reg == from {
            *reg = to;
        }
    };
    for_each_source(op, change);
    match op {
        Op::Alu { dst, .. }
        | Op::MovSx { dst, .. }
        | Op::Neg { dst, .. }
        | Op::Swap { dst, .. }
        | Op::Load { dst, .. }
        | Op::LoadAcquire { dst, .. }
        | Op::LoadImm { dst, .. } => change(dst),
        Op::Atomic { src, .. } => change(src),
        _ => {}
    }
}
