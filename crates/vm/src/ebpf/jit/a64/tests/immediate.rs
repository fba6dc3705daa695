//! The immediates of functions of bits, all of them.

use std::collections::{BTreeSet, HashSet};

use super::{Listing, Random, WIDTHS, numbers, s, st, z, zt};
use crate::ebpf::jit::a64::{BitmaskImm, Code, Width, Width::W, Width::X};

/// Every number that has an encoding, built bit by bit from what the manual says of them.
pub(super) fn encodable(width: Width) -> BTreeSet<u64> {
    let width = width.bits();
    let mut all = BTreeSet::new();
    for size in [2, 4, 8, 16, 32, 64].into_iter().filter(|&size| size <= width) {
        for (ones, turn) in (1..size).flat_map(|ones| (0..size).map(move |turn| (ones, turn))) {
            let is_one = |bit: u32| (bit + turn) % size < ones;
            all.insert((0..width).filter(|&bit| is_one(bit)).fold(0, |value, bit| value | 1 << bit));
        }
    }
    all
}

/// What the manual's `DecodeBitMasks` makes of an instruction's `sf:N:immr:imms`, bit by bit.
pub(super) fn decode(word: u32) -> u64 {
    let width = if word >> 31 == 1 { 64 } else { 32 };
    let (n, immr, imms) = (word >> 22 & 1, word >> 16 & 0x3f, word >> 10 & 0x3f);
    let length = (0..7).rev().find(|&bit| (n << 6 | (!imms & 0x3f)) >> bit & 1 == 1).unwrap();
    let size = 1 << length;
    assert!(length >= 1 && size <= width, "reserved: {word:#010x}");
    let (ones, turn) = (imms % size + 1, immr % size);
    assert!(ones < size, "reserved: {word:#010x}");
    (0..width).filter(|bit| (bit + turn) % size < ones).fold(0, |value, bit| value | 1 << bit)
}

#[test]
fn every_mask_has_its_encoding() {
    let mut listing = Listing::default();
    for (w, count) in [(W, 1302), (X, 5334)] {
        let all = encodable(w);
        assert_eq!(all.len(), count);
        for value in all {
            let imm = BitmaskImm::new(w, value).unwrap_or_else(|| panic!("{w:?} {value:#x} was refused"));
            let mut code = Code::new();
            code.and_imm(s(1), z(2), imm);
            assert_eq!(decode(code.words()[0]), value, "{w:?} {value:#x}");
            listing.word(format!("and {}, {}, #{value:#x}", zt(w, 1), zt(w, 2)), code.words()[0]);
        }
    }
    listing.check("masks");
}

#[test]
fn nothing_else_has_an_encoding() {
    for w in WIDTHS {
        let all: HashSet<u64> = encodable(w).into_iter().collect();
        let check = |value| assert_eq!(BitmaskImm::new(w, value).is_some(), all.contains(&value), "{w:?} {value:#x}");
        for &value in &all {
            (0..64).for_each(|bit| check(value ^ 1 << bit));
            check(value << 32);
        }
        let mut random = Random(4);
        for _ in 0..50_000 {
            let value = random.next();
            check(value);
            check(value & u64::from(u32::MAX));
            check(value >> (value & 63));
            // One or two runs of ones.
            let other = random.next();
            check((u64::MAX >> (value & 63)).rotate_left(other as u32 & 63) ^ (1 << (other >> 6 & 63)));
        }
        [0, u64::MAX, u32::MAX.into(), 1 << 32].into_iter().for_each(check);
    }
}

#[test]
fn instructions_with_masks() {
    let mut listing = Listing::default();
    for w in WIDTHS {
        let masks: Vec<u64> = encodable(w).into_iter().step_by(97).collect();
        for (index, [a, b]) in numbers().into_iter().enumerate() {
            let value = masks[index % masks.len()];
            let imm = BitmaskImm::new(w, value).unwrap();
            let text = format!("{}, {}, #{value:#x}", st(w, a), zt(w, b));
            listing.emits(format!("and {text}"), |code| code.and_imm(s(a), z(b), imm));
            listing.emits(format!("orr {text}"), |code| code.orr_imm(s(a), z(b), imm));
            listing.emits(format!("eor {text}"), |code| code.eor_imm(s(a), z(b), imm));
            let text = format!("ands {}, {}, #{value:#x}", zt(w, a), zt(w, b));
            listing.emits(text, |code| code.ands_imm(z(a), z(b), imm));
            listing.emits(format!("tst {}, #{value:#x}", zt(w, b)), |code| code.tst_imm(z(b), imm));
        }
        for value in [0, if w == X { u64::MAX } else { u32::MAX.into() }, 5, 0x1234] {
            assert_eq!(BitmaskImm::new(w, value), None);
            listing.refused.push(format!("orr {}, {}, #{value:#x}", zt(w, 1), zt(w, 2)));
        }
    }
    listing.check("with-masks");
}
