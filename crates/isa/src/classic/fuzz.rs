//! Bodies of property tests, shared by `cargo test` and the fuzz targets. Each takes arbitrary bytes.

use super::{
    Insn, PadStyle, c_array, check, check_structure, decimal, from_ne_bytes, listing, parse_c_array, parse_decimal,
    parse_listing, xt_bpf,
};

/// Any text through every reader: a program or an error, and what was read prints and reads back as itself.
///
/// The first half of the data also becomes a program whose printed forms the second half damages, because random
/// bytes alone hardly ever resemble a listing.
pub fn readers(data: &[u8]) {
    read_text(&String::from_utf8_lossy(data));
    let (program, damage) = data.split_at(data.len() / 2);
    let insns = from_ne_bytes(&program[..program.len() - program.len() % 8]).unwrap_or_default();
    for text in [listing(&insns, PadStyle::V1_11), c_array(&insns), decimal(&insns)] {
        let mut bytes = text.into_bytes();
        for &[at, new] in damage.as_chunks::<2>().0 {
            let at = usize::from(at) * 7 % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = new;
            }
        }
        read_text(&String::from_utf8_lossy(&bytes));
    }
}

fn read_text(text: &str) {
    for parse in [parse_listing, parse_c_array, parse_decimal] {
        if let Ok(insns) = parse(text) {
            printers_round_trip(&insns);
        }
    }
}

/// Any instructions through printers, readers and the checker.
pub fn programs(data: &[u8]) {
    let whole = data.len() - data.len() % 8;
    let insns = from_ne_bytes(&data[..whole]).unwrap_or_default();
    printers_round_trip(&insns);
    if check(&insns).is_ok() {
        assert_eq!(check_structure(&insns), Ok(()));
    }
}

fn printers_round_trip(insns: &[Insn]) {
    assert_eq!(parse_c_array(&c_array(insns)).as_deref(), Ok(insns));
    assert_eq!(parse_decimal(&decimal(insns)).as_deref(), Ok(insns));
    assert_eq!(parse_decimal(&xt_bpf(insns)).as_deref(), Ok(insns));
    // A listing shows what an instruction does, not what its unused fields hold.
    let visible: Vec<Insn> = insns.iter().copied().map(visible).collect();
    for style in [PadStyle::V1_10, PadStyle::V1_11] {
        assert_eq!(parse_listing(&listing(insns, style)).as_deref(), Ok(visible.as_slice()));
    }
}

fn visible(insn: Insn) -> Insn {
    match insn.decode() {
        Some(op) => op.encode(),
        None if insn.is_conditional() => Insn { k: 0, ..insn },
        None => Insn { code: insn.code, ..Insn::default() },
    }
}
