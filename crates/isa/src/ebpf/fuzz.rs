//! Bodies of property tests, shared by `cargo test` and the fuzz targets. Each takes arbitrary bytes.

use super::{
    Endian, Insn, ROWS, assemble, decode_program, disassemble, encode_program, from_bytes, to_bytes, validate,
};

/// Any slots through decoder, encoder and validator; what decodes also prints and assembles to itself.
pub fn slots(data: &[u8]) {
    let whole = &data[..data.len() - data.len() % 8];
    for endian in [Endian::Little, Endian::Big] {
        let insns = from_bytes(whole, endian).unwrap_or_default();
        assert_eq!(to_bytes(&insns, endian), whole);
        round_trip(&insns);
    }
}

/// A program of valid instructions with arbitrary operands: it decodes, prints, and assembles to itself.
pub fn programs(data: &[u8]) {
    let mut insns = Vec::new();
    for &[row, regs, o0, o1, i0, i1, i2, i3] in data.as_chunks::<8>().0 {
        let row = &ROWS[usize::from(row) % ROWS.len()];
        let encoded = row.op.encode();
        let mut first = encoded.first;
        if row.uses.dst() {
            first.dst = regs % 11;
        }
        if row.uses.src() {
            first.src = (regs >> 4) % 11;
        }
        if row.uses.off() {
            first.off = i16::from_le_bytes([o0, o1]);
        }
        if row.uses.imm() {
            first.imm = i32::from_le_bytes([i0, i1, i2, i3]);
        }
        insns.push(first);
        insns.extend(encoded.second.map(|second| match row.op {
            super::Op::LoadImm { value, .. } if value.uses_second() => Insn { imm: i32::from(o0) - 100, ..second },
            _ => second,
        }));
    }
    assert!(decode_program(&insns).is_ok());
    round_trip(&insns);
}

/// Any text through the assembler; what assembles prints to a form that assembles to the same.
pub fn text(data: &[u8]) {
    assemble_text(&String::from_utf8_lossy(data));
    // Damaged listings come closer to the grammar than random bytes do.
    let (rows, damage) = data.split_at(data.len() / 2);
    let mut bytes = Vec::new();
    for row in rows {
        let line = super::line(&ROWS[usize::from(*row) % ROWS.len()].op, super::Notation::Plain);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    for &[at, new] in damage.as_chunks::<2>().0 {
        let at = usize::from(at) * 5 % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = new;
        }
    }
    assemble_text(&String::from_utf8_lossy(&bytes));
}

fn assemble_text(text: &str) {
    if let Ok(insns) = assemble(text) {
        round_trip(&insns);
    }
}

fn round_trip(insns: &[Insn]) {
    if let Ok(ops) = decode_program(insns) {
        assert_eq!(encode_program(ops.iter().map(|(_, op)| *op)), insns);
        let text = disassemble(insns).unwrap_or_default();
        assert_eq!(assemble(&text).as_deref(), Ok(insns), "{text}");
    }
    // Either verdict is fine; it must not panic.
    let _ = validate(insns);
}
