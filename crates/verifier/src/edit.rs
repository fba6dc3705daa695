//! Changes of a program: instructions put in front of others, or in their places. Jumps, functions and lines follow.

use skep_isa::ebpf::{Insn, InsnIdx, Op};
use skep_object::Program;

/// The instructions of some operations.
pub fn emit(ops: &[Op]) -> Vec<Insn> {
    let mut insns = Vec::new();
    ops.iter().for_each(|op| op.emit(&mut insns));
    insns
}

/// The program with instructions in front of the one at a slot: what jumps there comes to them first. `None` if a jump
/// would become too long.
pub fn insert(program: &Program, at: u32, new: &[Insn]) -> Option<Program> {
    let mut changed = program.clone();
    let (at, count) = (at as usize, new.len());
    let moved = |slot: usize| if slot < at { slot } else { slot + count };
    // Who names a slot comes to what was put in front of it.
    let target = |slot: usize| if slot <= at { slot } else { slot + count };
    let mut slot = 0;
    while slot < program.insns.len() {
        let insn = program.insns[slot];
        let place = if far(insn) || insn.code == LOAD_IMM { Place::Imm } else { Place::Off };
        if let Some(distance) = distance(insn) {
            let old = i64::try_from(slot).ok()? + 1 + i64::from(distance);
            let new = i64::try_from(target(usize::try_from(old).ok()?)).ok()? - i64::try_from(moved(slot)).ok()? - 1;
            match place {
                Place::Imm => changed.insns[slot].imm = i32::try_from(new).ok()?,
                Place::Off => changed.insns[slot].off = i16::try_from(new).ok()?,
            }
        }
        slot += if insn.code == LOAD_IMM { 2 } else { 1 };
    }
    changed.insns.splice(at..at, new.iter().copied());
    let follow = |place: &mut InsnIdx, map: &dyn Fn(usize) -> usize| *place = InsnIdx::new(map(place.index()));
    changed.functions.iter_mut().for_each(|function| follow(&mut function.at, &target));
    changed.lines.iter_mut().for_each(|line| follow(&mut line.at, &target));
    changed.core_relocations.iter_mut().for_each(|relocation| follow(&mut relocation.at, &moved));
    changed.externs.iter_mut().for_each(|external| follow(&mut external.at, &moved));
    Some(changed)
}

/// The program with other instructions in place of the one at a slot.
pub fn replace(program: &Program, at: u32, new: &[Insn]) -> Option<Program> {
    let old = *program.insns.get(at as usize)?;
    let (last, before) = new.split_last()?;
    if old.code == LOAD_IMM || last.code == LOAD_IMM {
        return None;
    }
    let mut changed = insert(program, at, before)?;
    changed.insns[at as usize + before.len()] = *last;
    Some(changed)
}

const LOAD_IMM: u8 = 0x18;
/// In `src` of a load: a function of the program.
const FUNCTION: u8 = 4;
/// In `src` of a call: a function of the program.
const LOCAL: u8 = 1;

enum Place {
    Imm,
    Off,
}

/// Calls and long jumps have their distance where constants are.
fn far(insn: Insn) -> bool {
    matches!(insn.code, 0x85 | 0x06)
}

/// The distance of a jump, call or address of a function.
fn distance(insn: Insn) -> Option<i32> {
    match insn.code {
        LOAD_IMM => (insn.src == FUNCTION).then_some(insn.imm),
        0x85 => (insn.src == LOCAL).then_some(insn.imm),
        0x95 => None,
        0x06 => Some(insn.imm),
        code if matches!(code & 7, 5 | 6) => Some(insn.off.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use skep_isa::ProgType;
    use skep_isa::ebpf::{Reg, Src, Width};

    use super::*;

    const NOTHING: Insn = Insn { code: 0x05, dst: 0, src: 0, off: 0, imm: 0 };

    /// `r0 = 1; call +3; if r0 == 0 goto +1; goto -4 ...`: jumps over the place and to it, in both directions.
    #[test]
    fn jumps_follow() {
        let jump = |off| Insn { code: 0x15, dst: 0, src: 0, off, imm: 0 };
        let call = Insn { code: 0x85, dst: 0, src: 1, off: 0, imm: 3 };
        let exit = Insn { code: 0x95, ..Insn::default() };
        let mov =
            emit(&[Op::Alu { width: Width::W64, op: skep_isa::ebpf::AluOp::Mov, dst: Reg::R0, src: Src::Imm(1) }])[0];
        let program = Program::new("t", ProgType::Xdp, vec![mov, call, jump(1), jump(-3), exit, mov, exit]);
        let changed = insert(&program, 3, &[NOTHING, NOTHING]).unwrap();
        let expected = [mov, Insn { imm: 5, ..call }, jump(3), NOTHING, NOTHING, jump(-5), exit, mov, exit];
        assert_eq!(changed.insns, expected);
        // To the place itself.
        let changed = insert(&program, 1, &[NOTHING]).unwrap();
        assert_eq!(changed.insns[4], jump(-4));
        let changed = replace(&program, 0, &[NOTHING, mov]).unwrap();
        assert_eq!(changed.insns[..3], [NOTHING, mov, call]);
        let far = Program::new("t", ProgType::Xdp, [vec![jump(i16::MAX)], vec![mov; 0x8000], vec![exit]].concat());
        assert_eq!(insert(&far, 9, &[NOTHING]), None);
    }
}
