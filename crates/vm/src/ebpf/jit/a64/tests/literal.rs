//! Constants: what the emitted moves compute, and that no fewer would do.

use super::immediate::{decode, encodable};
use super::{Listing, Random, WIDTHS, z, zt};
use crate::ebpf::jit::a64::{Code, Quarter, Reg, Width::W, Width::X};

#[test]
fn moves_of_16_bits() {
    let (mut listing, mut random) = (Listing::default(), Random(5));
    for w in WIDTHS {
        for index in 0..=255 {
            let Some(quarter) = Quarter::new(w, index) else {
                assert!(u32::from(index) >= w.bits() / 16);
                continue;
            };
            let values: Vec<u16> =
                [0, 1, 0x7fff, 0x8000, 0xffff].into_iter().chain((0..16).map(|bit| 1 << bit)).collect();
            for bits in values {
                let number = random.number();
                let text = format!("{}, #{bits}, lsl #{}", zt(w, number), 16 * index);
                listing.emits(format!("movz {text}"), |code| code.movz(z(number), bits, quarter));
                listing.emits(format!("movn {text}"), |code| code.movn(z(number), bits, quarter));
                listing.emits(format!("movk {text}"), |code| code.movk(z(number), bits, quarter));
            }
        }
    }
    listing.check("moves");
}

/// What the moves leave in the register with this number.
fn run(words: &[u32], number: u32) -> u64 {
    words.iter().fold(0x0bad_0bad_0bad_0bad, |old, word| {
        assert_eq!(word & 31, number, "{word:#010x}");
        let (at, bits) = ((word >> 21 & 3) * 16, u64::from(word >> 5 & 0xffff));
        let all = if word >> 31 == 1 { u64::MAX } else { u32::MAX.into() };
        assert!(word >> 31 == 1 || at < 32 || word >> 23 & 0x3f == 0x24, "{word:#010x}");
        match word >> 23 & 0xff {
            0xa5 => bits << at,
            0x25 => !(bits << at) & all,
            0xe5 => (old & !(0xffff << at) | bits << at) & all,
            // With the zero register as the other operand.
            0x64 if word >> 5 & 31 == 31 => decode(*word),
            _ => panic!("{word:#010x} is no move"),
        }
    })
}

fn quarters(value: u64) -> [u64; 4] {
    [0, 16, 32, 48].map(|at| value >> at & 0xffff)
}

/// The least number of moves: 1 for any content that one instruction makes, and 1 for each quarter that is wrong then.
fn fewest(value: u64, masks: &[[u64; 4]]) -> usize {
    let wanted = quarters(value);
    let wrong = |content: [u64; 4]| content.iter().zip(&wanted).filter(|(have, want)| have != want).count();
    let ones = 0xffff;
    let fills = [[0; 4], [ones; 4], [ones, ones, 0, 0]];
    // `movz` and `movn` make one quarter right at will, within their width.
    let moves = fills.into_iter().flat_map(|fill| {
        let places = if fill[3] == fill[0] { 4 } else { 2 };
        (0..places).map(move |index| {
            let mut content = fill;
            content[index] = wanted[index];
            content
        })
    });
    1 + moves.chain(masks.iter().copied()).map(wrong).min().unwrap()
}

#[test]
fn constants_are_right_and_shortest() {
    let masks: Vec<u64> = encodable(X).union(&encodable(W)).copied().collect();
    let mut random = Random(6);
    let mut values: Vec<u64> = vec![0, 1, u64::MAX, u32::MAX.into(), i64::MIN as u64, 0xffff_0000, 0xffff_1234];
    for bit in 0..64 {
        values.extend([1 << bit, (1 << bit) - 1, !(1 << bit)]);
    }
    for _ in 0..1000 {
        // Random quarters, masks with some of them, and quarters that repeat.
        let (bits, choice) = (random.next(), random.next());
        let mask = masks[choice as usize % masks.len()];
        let select = (0..4).filter(|at| choice >> (40 + at) & 1 == 1).fold(0, |all, at| all | 0xffff << (16 * at));
        let repeated = (0..4).fold(0, |all, at| all | (bits >> (16 * (choice >> (50 + at) & 1)) & 0xffff) << (16 * at));
        values.extend([bits, mask, mask & select | bits & !select, repeated, bits & select, bits | select]);
        values.extend([bits >> 32, repeated >> 32, bits as i32 as u64]);
    }
    let quarters: Vec<[u64; 4]> = masks.iter().map(|&mask| quarters(mask)).collect();
    let mut lengths = [0; 5];
    for (value, number) in values.into_iter().zip((0..31).cycle()) {
        let mut code = Code::new();
        code.load_immediate(Reg::new(number).unwrap(), value);
        assert_eq!(run(code.words(), number.into()), value, "{value:#x}: {:#x?}", code.words());
        assert_eq!(code.words().len(), fewest(value, &quarters), "{value:#x}: {:#x?}", code.words());
        lengths[code.words().len()] += 1;
    }
    assert!(lengths[1..].iter().all(|&count| count > 300), "the values are lopsided: {lengths:?}");
}
