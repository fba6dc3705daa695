//! What the assembler appends, read back by an independent decoder and compared operand by operand with what was asked.

mod arithmetic;
mod atomic;
mod control;
mod golden;
mod moves;
mod oracle;

use super::{Mem, Reg, Scale};

/// Constants on both sides of every limit between two encodings.
pub(super) const IMMEDIATES: [i32; 15] =
    [0, 1, -1, 2, 127, 128, -128, -129, 255, 256, 0x7fff, 0x8000, 0xffff, i32::MAX, i32::MIN];

/// Displacements on both sides of every limit between two encodings.
const DISPLACEMENTS: [i32; 9] = [0, 1, -1, 127, 128, -128, -129, i32::MAX, i32::MIN];

/// Every memory operand with one of the displacements above.
pub(super) fn every_mem() -> Vec<Mem> {
    let mut all = Vec::new();
    for base in Reg::ALL {
        all.extend(DISPLACEMENTS.map(|disp| Mem::new(base, disp)));
        for index in Reg::ALL {
            for scale in Scale::ALL {
                all.extend(DISPLACEMENTS.iter().filter_map(|&disp| Mem::indexed(base, index, scale, disp)));
            }
        }
    }
    all
}

/// Memory operands of every shape: each base alone and each register once as index.
pub(super) fn some_mem() -> Vec<Mem> {
    let mut some = Vec::new();
    for (place, base) in Reg::ALL.into_iter().enumerate() {
        some.extend([0, -128, 128].map(|disp| Mem::new(base, disp)));
        let index = Reg::ALL[(place * 5 + 2) % 16];
        some.extend(Mem::indexed(base, index, Scale::ALL[place % 4], DISPLACEMENTS[place % 9]));
    }
    some
}

/// Calls `test` with every memory operand and each of `choices`, the registers taking turns, and with some memory
/// operands of every shape and each of `choices` and registers.
pub(super) fn mems_by<T: Copy>(choices: &[T], mut test: impl FnMut(T, Mem, Reg)) {
    for (place, mem) in every_mem().into_iter().enumerate() {
        for (turn, &choice) in choices.iter().enumerate() {
            test(choice, mem, Reg::ALL[(place + turn) % 16]);
        }
    }
    for mem in some_mem() {
        for &choice in choices {
            for reg in Reg::ALL {
                test(choice, mem, reg);
            }
        }
    }
}

/// Calls `test` with every pair of registers.
pub(super) fn pairs(mut test: impl FnMut(Reg, Reg)) {
    for a in Reg::ALL {
        for b in Reg::ALL {
            test(a, b);
        }
    }
}

#[test]
fn the_stack_pointer_is_no_index() {
    for scale in Scale::ALL {
        assert_eq!(Mem::indexed(Reg::Rax, Reg::Rsp, scale, 0), None);
    }
    assert_eq!(every_mem().len(), 16 * 9 * (1 + 15 * 4));
}
