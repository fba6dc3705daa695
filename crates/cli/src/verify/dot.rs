//! Programs as graphs for Graphviz: a box for each run of instructions that is entered at its start only.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use skep_isa::ebpf::{Callee, InsnIdx, Op};
use skep_verifier::Verdict;

use super::Judged;
use super::explain::instruction;

/// The graph of a program. What the verifier has not come to is grey; the path to a refusal is red.
pub(super) fn graph(text: &mut String, one: &Judged<'_>) {
    let (program, Some((verdict, noted))) = (one.program, one.verdicts.last()) else { return };
    let ops = operations(one);
    let starts = starts(&ops);
    let block_of = |slot: u32| starts.range(..=slot).next_back().copied().unwrap_or(0);
    let (mut red, mut end) = (BTreeSet::new(), None);
    if let Verdict::Rejected(rejection) = verdict {
        end = Some(block_of(rejection.at));
        for (at, taken) in &rejection.path {
            red.insert((block_of(*at), *taken));
        }
    }
    let _ = writeln!(text, "digraph \"{}\" {{\n  node [shape=box, fontname=monospace];", escaped(&program.name));
    for (position, start) in starts.iter().enumerate() {
        let behind = starts.iter().nth(position + 1).copied().unwrap_or(u32::MAX);
        let mut label = String::new();
        let (mut line, mut last) = (None, *start);
        for (slot, _) in ops.iter().filter(|(slot, _)| (*start..behind).contains(slot)) {
            let here = program.line_of(InsnIdx::new(*slot as usize)).filter(|here| here.line > 0);
            if let Some(here) = here.filter(|here| line != Some(here.line)) {
                line = Some(here.line);
                let _ = write!(label, "{}: {}\\l", here.line, escaped(here.text.trim()));
            }
            let insn = instruction(program, *slot).unwrap_or_default();
            let _ = write!(label, "  {slot}: {}\\l", escaped(&insn));
            last = *slot;
        }
        let colour = match (end == Some(*start), noted.at(*start)) {
            (true, _) => ", color=red",
            (_, None) => ", color=grey",
            _ => "",
        };
        let _ = writeln!(text, "  b{start} [label=\"{label}\"{colour}];");
        let Some((_, op)) = ops.iter().find(|(slot, _)| *slot == last) else { continue };
        for (target, taken) in targets(last, *op) {
            let colour = if red.contains(&(*start, taken)) { " [color=red]" } else { "" };
            let _ = writeln!(text, "  b{start} -> b{}{colour};", block_of(target));
        }
    }
    text.push_str("}\n");
}

/// The instructions with their slots.
fn operations(one: &Judged<'_>) -> Vec<(u32, Op)> {
    let insns = &one.program.insns;
    let (mut ops, mut at) = (Vec::new(), 0);
    while let Some(insn) = insns.get(at) {
        let op = insn.decode(insns.get(at + 1).copied()).ok();
        if let (Some(op), Ok(slot)) = (op, u32::try_from(at)) {
            ops.push((slot, op));
        }
        at += op.map_or(1, |op| op.slots() as usize);
    }
    ops
}

/// The first slots of boxes.
fn starts(ops: &[(u32, Op)]) -> BTreeSet<u32> {
    let mut starts = BTreeSet::from([0]);
    for (slot, op) in ops {
        let next = targets(*slot, *op);
        let jumps =
            matches!(op, Op::Goto { .. } | Op::GotoLong { .. } | Op::JumpIf { .. } | Op::MayGoto { .. } | Op::Exit);
        if jumps {
            starts.extend(next.iter().map(|(target, _)| *target));
            starts.insert(slot + op.slots());
        }
        if let Op::Call(Callee::Local(distance)) = op {
            starts.extend(u32::try_from(i64::from(*slot) + 1 + i64::from(*distance)));
        }
    }
    let end = ops.last().map_or(0, |(slot, op)| slot + op.slots());
    starts.retain(|start| *start < end);
    starts
}

/// Where control goes behind an instruction, and whether that is a jump.
fn targets(slot: u32, op: Op) -> Vec<(u32, bool)> {
    let behind = slot + op.slots();
    let jump = |distance: i64| u32::try_from(i64::from(behind) + distance).unwrap_or(u32::MAX);
    match op {
        Op::Exit => Vec::new(),
        Op::Goto { off } => vec![(jump(off.into()), true)],
        Op::GotoLong { off } => vec![(jump(off.into()), true)],
        Op::JumpIf { off, .. } | Op::MayGoto { off } => vec![(behind, false), (jump(off.into()), true)],
        _ => vec![(behind, false)],
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
