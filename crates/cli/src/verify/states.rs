//! What is known at instructions, as a listing.

use std::fmt::Write as _;

use skep_isa::ebpf::InsnIdx;
use skep_verifier::Kernel;

use super::Judged;
use super::explain::instruction;

/// A program with what is known in front of each instruction, or of those of one line.
pub(super) fn listing(text: &mut String, one: &Judged<'_>, kernels: &[Kernel], line: Option<u32>) {
    let program = one.program;
    for (kernel, (verdict, noted)) in kernels.iter().zip(&one.verdicts) {
        let _ = writeln!(text, "{} on Linux {}: {}", program.name, kernel.name(), super::word(verdict));
        let mut last = None;
        let mut shown = false;
        for slot in 0..u32::try_from(program.insns.len()).unwrap_or(u32::MAX) {
            let here = program.line_of(InsnIdx::new(slot as usize)).filter(|here| here.line > 0);
            if line.is_some_and(|line| here.is_none_or(|here| here.line != line)) {
                continue;
            }
            let Some(insn) = instruction(program, slot) else { continue };
            // The second half of a constant of 64 bits is no instruction.
            if slot > 0 && is_second_half(program, slot) {
                continue;
            }
            shown = true;
            if let Some(here) = here.filter(|here| last != Some((here.line, &here.file))) {
                last = Some((here.line, &here.file));
                let _ = writeln!(text, "; {}:{}: {}", here.file, here.line, here.text.trim());
            }
            match noted.at(slot) {
                Some(place) => {
                    place.moments.iter().for_each(|moment| _ = writeln!(text, "        {moment}"));
                    if place.cut {
                        let _ = writeln!(text, "        and others; {} paths come here", place.visits);
                    }
                }
                None => text.push_str("        no path comes here\n"),
            }
            let _ = writeln!(text, "{slot:>6}  {insn}");
        }
        if let Some(line) = line.filter(|_| !shown) {
            let _ = writeln!(text, "no instruction belongs to line {line}");
        }
    }
}

/// Whether a slot belongs to the instruction before it.
fn is_second_half(program: &skep_object::Program, slot: u32) -> bool {
    const LOAD_IMMEDIATE: u8 = 0x18;
    program.insns.get(slot as usize - 1).is_some_and(|insn| insn.code == LOAD_IMMEDIATE)
}
