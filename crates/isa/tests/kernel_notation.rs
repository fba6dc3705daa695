//! Holds the kernel notation of the disassembler against the verifier log of the running kernel.
//!
//! The verifier prints an instruction before it judges it, so even programs that it refuses show their text.

mod common;

use std::collections::BTreeSet;

use skep_isa::ebpf::{Callee, Imm64, Insn, Notation, Op, ROWS, Reg, Row, line};

/// The row's instruction with some operands, followed by `r0 = 0; r0 = 0; exit`.
fn programs() -> Vec<(&'static Row, Op, Vec<Insn>)> {
    let mut programs = Vec::new();
    // The log names kernel functions from BTF, which the disassembler does not have.
    let printable = ROWS.iter().filter(|row| !matches!(row.op, Op::Call(Callee::Kfunc { .. })));
    for row in printable {
        for (index, imm) in [0, 1, 5, -1, 0x1234_5678, i32::MIN].into_iter().enumerate() {
            let encoded = row.op.encode();
            let mut first = encoded.first;
            first.dst = if row.uses.dst() { index as u8 } else { first.dst };
            first.src = if row.uses.src() { 9 - index as u8 } else { first.src };
            // Jumps must stay in the program and not go round in circles; other offsets may be anything.
            let is_jump = row.op.jump_distance().is_some();
            first.off = match (row.uses.off(), is_jump) {
                (false, _) => first.off,
                (true, true) => (index % 2) as i16,
                (true, false) => [0, 8, -8, i16::MIN, i16::MAX, -1][index],
            };
            first.imm = match (row.uses.imm(), is_jump && !row.uses.off()) {
                (false, _) => first.imm,
                (true, true) => (index % 2) as i32,
                (true, false) => imm,
            };
            let second = encoded.second.map(|second| match row.op {
                Op::LoadImm { value: Imm64::Value(_), .. } => Insn { imm: 77 * index as i32, ..second },
                _ => second,
            });
            let op = first.decode(second).unwrap();
            let mut insns: Vec<Insn> = std::iter::once(first).chain(second).collect();
            Op::mov_imm(Reg::R0, 0).emit(&mut insns);
            Op::mov_imm(Reg::R0, 0).emit(&mut insns);
            Op::Exit.emit(&mut insns);
            programs.push((row, op, insns));
        }
    }
    programs
}

#[test]
fn verifier_logs_read_the_same() {
    let (rows_and_ops, programs): (Vec<_>, Vec<_>) =
        programs().into_iter().map(|(row, op, insns)| ((row, op), insns)).unzip();
    let Some(verdicts) = common::load(&programs, 2) else { return };
    let mut silent = BTreeSet::new();
    for ((row, op), verdict) in rows_and_ops.iter().zip(verdicts) {
        match verdict.first.as_str() {
            // Refused before the verifier looks at instructions one by one.
            "" => {
                silent.insert(line(&row.op, Notation::Plain));
            }
            expected => assert_eq!(line(op, Notation::Kernel), expected),
        }
    }
    println!("without text in the log: {silent:#?}");
    assert!(silent.len() < 20, "the kernel printed too few instructions: {silent:#?}");
}
