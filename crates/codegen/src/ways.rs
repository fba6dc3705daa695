//! What ways through a function have in common is there once, and short ways are taken without a jump.
//!
//! * Blocks that go on to the same block and end alike share their ends.
//! * What both ways behind a comparison begin with stands in front of it.
//! * A way that only puts a number or a copy into a register that the other one does not need does so before the comparison,
//!   which then leads straight on.
//!
//! The kernel's verifier wants one kind of pointer for each access, so accesses are shared only where the pointer is that of
//! the stack or made in what is shared; for the same reason calls are shared with the instructions that make their arguments.
//! What a comparison tells about its operands has to be known of what follows: nothing that touches them moves.

use skep_isa::ebpf::{AluOp, Callee, Op, Reg, Src};

use crate::code::Insn;
use crate::emit::{Block, End};
use crate::mir::BlockId;
use crate::polish::{Set, as_copy, bit, effects, end_reads, live_in};

/// How many instructions are shared at once, so that the work is in proportion to the code.
const LONGEST: usize = 64;

/// Changes the blocks of a function; new ones come at the end. The first one stays the entry.
pub fn share(blocks: &mut Vec<Block>) {
    one_exit(blocks);
    // Each change takes an instruction away or moves it towards the entry.
    loop {
        let ends = share_ends(blocks);
        let begins = share_begins(blocks);
        if !(ends || begins) {
            break;
        }
    }
    shorten(blocks);
}

/// Every way ends in one block.
fn one_exit(blocks: &mut Vec<Block>) {
    let mut exits = blocks.iter_mut().filter(|block| matches!(block.end, End::Exit));
    let Some(loc) = exits.next().map(|block| block.loc) else { return };
    let exit = BlockId(u32::try_from(blocks.len()).unwrap_or(u32::MAX));
    blocks.iter_mut().filter(|block| matches!(block.end, End::Exit)).for_each(|block| block.end = End::Goto(exit));
    blocks.push(Block { body: Vec::new(), end: End::Exit, loc });
}

/// Whether two instructions do the same, wherever they come from.
fn same(one: &Insn, other: &Insn) -> bool {
    one.op == other.op && one.link == other.link && one.target == other.target && one.arguments == other.arguments
}

/// How many edges lead to each block; the entry has one more.
fn edges_to(blocks: &[Block]) -> Vec<u32> {
    let mut count = vec![0; blocks.len()];
    count[0] = 1;
    for to in blocks.iter().flat_map(|block| block.end.targets()).flatten() {
        count[to.index()] += 1;
    }
    count
}

/// The blocks that can be reached, by index.
fn reached(blocks: &[Block]) -> Vec<bool> {
    let mut seen = vec![false; blocks.len()];
    let mut work = vec![BlockId(0)];
    while let Some(block) = work.pop() {
        if !std::mem::replace(&mut seen[block.index()], true) {
            work.extend(blocks[block.index()].end.targets().into_iter().flatten());
        }
    }
    seen
}

/// Gives blocks that go on to the same one and end alike a common end.
fn share_ends(blocks: &mut Vec<Block>) -> bool {
    let reached = reached(blocks);
    let mut into: Vec<Vec<usize>> = vec![Vec::new(); blocks.len()];
    for (at, block) in blocks.iter().enumerate().filter(|(at, _)| reached[*at]) {
        if let End::Goto(to) = block.end
            && !block.body.is_empty()
            && to.index() != at
        {
            into[to.index()].push(at);
        }
    }
    let mut changed = false;
    for mut from in into {
        while let Some(first) = from.pop() {
            let (group, rest): (Vec<usize>, Vec<usize>) =
                from.into_iter().partition(|&other| common_end(&blocks[first].body, &blocks[other].body) > 0);
            from = rest;
            let most = group.iter().map(|&other| common_end(&blocks[first].body, &blocks[other].body)).min();
            let Some(count) = most.and_then(|most| shareable(&blocks[first].body, most)) else { continue };
            let id = BlockId(u32::try_from(blocks.len()).unwrap_or(u32::MAX));
            let (end, loc, body) = (blocks[first].end, blocks[first].loc, &blocks[first].body);
            let shared = body[body.len() - count..].to_vec();
            for at in group.into_iter().chain([first]) {
                let keep = blocks[at].body.len() - count;
                blocks[at].body.truncate(keep);
                blocks[at].end = End::Goto(id);
            }
            blocks.push(Block { body: shared, end, loc });
            changed = true;
        }
    }
    changed
}

fn common_end(one: &[Insn], other: &[Insn]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take(LONGEST).take_while(|(one, other)| same(one, other)).count()
}

/// The most of the last instructions, up to a number, that different ways may share.
fn shareable(body: &[Insn], most: usize) -> Option<usize> {
    (1..=most).rev().find(|&count| stands_alone(&body[body.len() - count..]))
}

/// Whether some instructions access memory by pointers that they make themselves, and make the arguments of their calls.
fn stands_alone(insns: &[Insn]) -> bool {
    let (mut pointers, mut made) = (bit(Reg::R10), 0);
    for insn in insns {
        let (reads, writes) = effects(insn);
        match insn.op {
            Op::Load { base, .. }
            | Op::LoadAcquire { base, .. }
            | Op::Store { base, .. }
            | Op::StoreRelease { base, .. }
            | Op::Atomic { base, .. }
                if pointers & bit(base) == 0 =>
            {
                return false;
            }
            Op::Call(Callee::Reg(_)) | Op::LdAbs { .. } | Op::LdInd { .. } | Op::AddrSpaceCast { .. } => return false,
            Op::Call(_) if reads & !made != 0 => return false,
            _ => {}
        }
        let pointer = match insn.op {
            Op::LoadImm { .. } => true,
            Op::Alu { op: AluOp::Add, dst, src: Src::Imm(_), .. } => pointers & bit(dst) != 0,
            _ => as_copy(insn).is_some_and(|(_, from)| pointers & bit(from) != 0),
        };
        pointers = pointers & !writes | if pointer { writes } else { 0 };
        // A call leaves nothing in the registers of its arguments.
        made = if matches!(insn.op, Op::Call(_)) { made & !writes | bit(Reg::R0) } else { made | writes };
    }
    true
}

/// Puts what both ways behind a comparison begin with in front of it.
fn share_begins(blocks: &mut [Block]) -> bool {
    let edges = edges_to(blocks);
    let mut changed = false;
    for at in 0..blocks.len() {
        let End::If { yes, no, .. } = blocks[at].end else { continue };
        let compared = end_reads(&blocks[at].end);
        if yes == no || edges[yes.index()] != 1 || edges[no.index()] != 1 || yes.index() == at || no.index() == at {
            continue;
        }
        while let (Some(one), Some(other)) = (blocks[yes.index()].body.first(), blocks[no.index()].body.first())
            && same(one, other)
            && moves(one, compared)
        {
            let insn = blocks[yes.index()].body.remove(0);
            blocks[no.index()].body.remove(0);
            blocks[at].body.push(insn);
            changed = true;
        }
    }
    changed
}

/// Whether an instruction can stand in front of a comparison: it neither touches what is compared nor needs to be behind a
/// check.
fn moves(insn: &Insn, compared: Set) -> bool {
    let (reads, writes) = effects(insn);
    let plain = match insn.op {
        Op::Alu { .. } | Op::MovSx { .. } | Op::Neg { .. } | Op::Swap { .. } | Op::LoadImm { .. } => true,
        Op::Load { base, .. } | Op::Store { base, .. } => base == Reg::R10,
        _ => false,
    };
    plain && (reads | writes) & compared == 0
}

/// Makes ways of one instruction empty, where that stands in front of the comparison as well.
fn shorten(blocks: &mut [Block]) {
    let live = live_in(blocks);
    let edges = edges_to(blocks);
    // Backwards: what becomes part of a block is at its end, where it is in the way of nothing in front of it.
    for at in (0..blocks.len()).rev() {
        let End::If { yes, no, .. } = blocks[at].end else { continue };
        let compared = end_reads(&blocks[at].end);
        for (way, other) in [(yes, no), (no, yes)] {
            let Block { body, end: End::Goto(_), .. } = &blocks[way.index()] else { continue };
            let [insn] = body[..] else { continue };
            let (reads, writes) = effects(&insn);
            let short = matches!(insn.op, Op::Alu { op: AluOp::Mov, .. });
            if edges[way.index()] == 1
                && way.index() != at
                && short
                && (reads | writes) & compared == 0
                && writes & live[other.index()] == 0
            {
                blocks[way.index()].body.clear();
                blocks[at].body.push(insn);
                break;
            }
        }
    }
}
