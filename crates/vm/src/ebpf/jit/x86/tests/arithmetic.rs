//! Arithmetic, comparisons and shifts.

use iced_x86::{Code, Mnemonic};
use skep_isa::ebpf::{Size, Width};

use super::super::{Alu, Reg, Shift, ShiftX, Unary};
use super::oracle::{Arg, SIZES, check, fewest_bytes, immediate_bytes};
use super::{IMMEDIATES, mems_by, pairs, some_mem};

const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

pub(super) const ALU: [(Alu, Mnemonic); 8] = [
    (Alu::Add, Mnemonic::Add),
    (Alu::Or, Mnemonic::Or),
    (Alu::Adc, Mnemonic::Adc),
    (Alu::Sbb, Mnemonic::Sbb),
    (Alu::And, Mnemonic::And),
    (Alu::Sub, Mnemonic::Sub),
    (Alu::Xor, Mnemonic::Xor),
    (Alu::Cmp, Mnemonic::Cmp),
];

const UNARY: [(Unary, Mnemonic); 6] = [
    (Unary::Not, Mnemonic::Not),
    (Unary::Neg, Mnemonic::Neg),
    (Unary::Mul, Mnemonic::Mul),
    (Unary::Imul, Mnemonic::Imul),
    (Unary::Div, Mnemonic::Div),
    (Unary::Idiv, Mnemonic::Idiv),
];

const SHIFTS: [(Shift, Mnemonic); 5] = [
    (Shift::Rol, Mnemonic::Rol),
    (Shift::Ror, Mnemonic::Ror),
    (Shift::Shl, Mnemonic::Shl),
    (Shift::Shr, Mnemonic::Shr),
    (Shift::Sar, Mnemonic::Sar),
];

const SHIFTX: [(ShiftX, Mnemonic); 3] =
    [(ShiftX::Shl, Mnemonic::Shlx), (ShiftX::Shr, Mnemonic::Shrx), (ShiftX::Sar, Mnemonic::Sarx)];

/// Every choice of one from `a` with one from `b`.
fn product<A: Copy, B: Copy>(a: &[A], b: &[B]) -> Vec<(A, B)> {
    a.iter().flat_map(|&a| b.iter().map(move |&b| (a, b))).collect()
}

#[test]
fn alu_between_registers() {
    for ((op, mnemonic), size) in product(&ALU, &SIZES) {
        pairs(|dst, src| {
            check(mnemonic, &[Arg::Reg(dst, size), Arg::Reg(src, size)], |asm| asm.alu(op, size, dst, src));
        });
    }
}

#[test]
fn alu_with_memory() {
    mems_by(&product(&ALU, &SIZES), |((op, mnemonic), size), mem, reg| {
        check(mnemonic, &[Arg::Reg(reg, size), Arg::Mem(mem, size)], |asm| asm.alu(op, size, reg, mem));
        check(mnemonic, &[Arg::Mem(mem, size), Arg::Reg(reg, size)], |asm| asm.alu_mem(op, size, mem, reg));
    });
}

#[test]
fn alu_with_constants() {
    for ((op, mnemonic), size) in product(&ALU, &SIZES) {
        for imm in IMMEDIATES {
            let constant = Arg::Imm(imm.into(), size);
            for dst in Reg::ALL {
                let insn = check(mnemonic, &[Arg::Reg(dst, size), constant], |asm| asm.alu_imm(op, size, dst, imm));
                assert_eq!(immediate_bytes(&insn, 1), fewest_bytes(size, imm), "{op:?} {size:?} {dst:?}, {imm}");
            }
            for mem in some_mem() {
                let insn = check(mnemonic, &[Arg::Mem(mem, size), constant], |asm| asm.alu_imm(op, size, mem, imm));
                assert_eq!(immediate_bytes(&insn, 1), fewest_bytes(size, imm), "{op:?} {size:?} {mem:?}, {imm}");
            }
        }
    }
    mems_by(&product(&ALU, &SIZES), |((op, mnemonic), size), mem, reg| {
        let imm = IMMEDIATES[reg.number() as usize % IMMEDIATES.len()];
        check(mnemonic, &[Arg::Mem(mem, size), Arg::Imm(imm.into(), size)], |asm| asm.alu_imm(op, size, mem, imm));
    });
}

#[test]
fn rax_has_its_own_opcodes_for_constants() {
    let rax = Reg::Rax;
    let alu = |op, size, imm| check_code(|asm| asm.alu_imm(op, size, rax, imm));
    assert_eq!(alu(Alu::Add, Size::B, 1), Code::Add_AL_imm8);
    assert_eq!(alu(Alu::Add, Size::H, 128), Code::Add_AX_imm16);
    assert_eq!(alu(Alu::Cmp, Size::W, 128), Code::Cmp_EAX_imm32);
    assert_eq!(alu(Alu::Xor, Size::DW, -129), Code::Xor_RAX_imm32);
    assert_eq!(alu(Alu::Xor, Size::DW, -128), Code::Xor_rm64_imm8);
    assert_eq!(check_code(|asm| asm.test_imm(Size::B, rax, 1)), Code::Test_AL_imm8);
    assert_eq!(check_code(|asm| asm.test_imm(Size::DW, rax, 1)), Code::Test_RAX_imm32);
}

fn check_code(emit: impl FnOnce(&mut super::super::Assembler)) -> Code {
    let mut asm = super::super::Assembler::new();
    emit(&mut asm);
    super::oracle::decode(asm.code()).code()
}

#[test]
fn tests_of_bits() {
    for size in SIZES {
        pairs(|a, b| {
            check(Mnemonic::Test, &[Arg::Reg(a, size), Arg::Reg(b, size)], |asm| asm.test(size, a, b));
        });
        for imm in IMMEDIATES {
            let constant = Arg::Imm(imm.into(), size);
            for a in Reg::ALL {
                check(Mnemonic::Test, &[Arg::Reg(a, size), constant], |asm| asm.test_imm(size, a, imm));
            }
            for a in some_mem() {
                check(Mnemonic::Test, &[Arg::Mem(a, size), constant], |asm| asm.test_imm(size, a, imm));
            }
        }
    }
    mems_by(&SIZES, |size, mem, reg| {
        check(Mnemonic::Test, &[Arg::Mem(mem, size), Arg::Reg(reg, size)], |asm| asm.test(size, mem, reg));
        let imm = IMMEDIATES[reg.number() as usize % IMMEDIATES.len()];
        check(Mnemonic::Test, &[Arg::Mem(mem, size), Arg::Imm(imm.into(), size)], |asm| asm.test_imm(size, mem, imm));
    });
}

#[test]
fn one_operand() {
    for ((op, mnemonic), size) in product(&UNARY, &SIZES) {
        for reg in Reg::ALL {
            check(mnemonic, &[Arg::Reg(reg, size)], |asm| asm.unary(op, size, reg));
        }
    }
    mems_by(&product(&UNARY, &SIZES), |((op, mnemonic), size), mem, _| {
        check(mnemonic, &[Arg::Mem(mem, size)], |asm| asm.unary(op, size, mem));
    });
}

#[test]
fn products() {
    for width in WIDTHS {
        let size = width.size();
        pairs(|dst, src| {
            let [to, from] = [Arg::Reg(dst, size), Arg::Reg(src, size)];
            check(Mnemonic::Imul, &[to, from], |asm| asm.imul(width, dst, src));
            for imm in IMMEDIATES {
                let args = [to, from, Arg::Imm(imm.into(), size)];
                let insn = check(Mnemonic::Imul, &args, |asm| asm.imul_imm(width, dst, src, imm));
                assert_eq!(immediate_bytes(&insn, 2), fewest_bytes(size, imm), "{dst:?}, {src:?}, {imm}");
            }
        });
    }
    mems_by(&WIDTHS, |width, mem, reg| {
        let size = width.size();
        let [to, from] = [Arg::Reg(reg, size), Arg::Mem(mem, size)];
        check(Mnemonic::Imul, &[to, from], |asm| asm.imul(width, reg, mem));
        let imm = IMMEDIATES[mem.base().number() as usize % IMMEDIATES.len()];
        let args = [to, from, Arg::Imm(imm.into(), size)];
        check(Mnemonic::Imul, &args, |asm| asm.imul_imm(width, reg, mem, imm));
    });
}

#[test]
fn shifts_in_place() {
    let cl = Arg::Reg(Reg::Rcx, Size::B);
    for ((op, mnemonic), size) in product(&SHIFTS, &SIZES) {
        for reg in Reg::ALL {
            let operand = Arg::Reg(reg, size);
            check(mnemonic, &[operand, cl], |asm| asm.shift_cl(op, size, reg));
            for count in [0, 1, 2, 7, 8, 31, 32, 63, 255] {
                let args = [operand, Arg::Imm(count.into(), Size::B)];
                let insn = check(mnemonic, &args, |asm| asm.shift_imm(op, size, reg, count));
                let prefixes = insn.len() - 2 - usize::from(count != 1);
                assert!(prefixes <= 2, "a constant for a count of one: {insn:?}");
            }
        }
    }
    mems_by(&product(&SHIFTS, &SIZES), |((op, mnemonic), size), mem, reg| {
        let operand = Arg::Mem(mem, size);
        check(mnemonic, &[operand, cl], |asm| asm.shift_cl(op, size, mem));
        let count = reg.number();
        let args = [operand, Arg::Imm(count.into(), Size::B)];
        check(mnemonic, &args, |asm| asm.shift_imm(op, size, mem, count));
    });
    assert_eq!(check_code(|asm| asm.shift_imm(Shift::Shl, Size::DW, Reg::R8, 1)), Code::Shl_rm64_1);
}

#[test]
fn shifts_without_flags() {
    for ((op, mnemonic), width) in product(&SHIFTX, &WIDTHS) {
        let size = width.size();
        pairs(|dst, src| {
            for count in Reg::ALL {
                let args = [Arg::Reg(dst, size), Arg::Reg(src, size), Arg::Reg(count, size)];
                check(mnemonic, &args, |asm| asm.shiftx(op, width, dst, src, count));
            }
        });
    }
    mems_by(&product(&SHIFTX, &WIDTHS), |((op, mnemonic), width), mem, dst| {
        let size = width.size();
        let count = Reg::ALL[(dst.number() ^ 0b1001) as usize];
        let args = [Arg::Reg(dst, size), Arg::Mem(mem, size), Arg::Reg(count, size)];
        check(mnemonic, &args, |asm| asm.shiftx(op, width, dst, mem, count));
    });
}

#[test]
fn rotations_without_flags() {
    for width in WIDTHS {
        let size = width.size();
        pairs(|dst, src| {
            for count in [0, 1, 31, 32, 63, 255] {
                let args = [Arg::Reg(dst, size), Arg::Reg(src, size), Arg::Imm(count.into(), Size::B)];
                check(Mnemonic::Rorx, &args, |asm| asm.rorx(width, dst, src, count));
            }
        });
    }
    mems_by(&WIDTHS, |width, mem, dst| {
        let size = width.size();
        let args = [Arg::Reg(dst, size), Arg::Mem(mem, size), Arg::Imm(17, Size::B)];
        check(Mnemonic::Rorx, &args, |asm| asm.rorx(width, dst, mem, 17));
    });
}
