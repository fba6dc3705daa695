//! Moves, extensions, addresses, exchanges and the stack.

use iced_x86::Mnemonic;
use skep_isa::ebpf::{Size, Width};

use super::super::{Cond, Mem, Reg, Rm};
use super::oracle::{Arg, SIZES, check};
use super::{IMMEDIATES, mems_by, pairs};

const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

/// The suffixes of the conditions as the decoder writes them, in the order of the codes.
const CMOV: [Mnemonic; 16] = [
    Mnemonic::Cmovo,
    Mnemonic::Cmovno,
    Mnemonic::Cmovb,
    Mnemonic::Cmovae,
    Mnemonic::Cmove,
    Mnemonic::Cmovne,
    Mnemonic::Cmovbe,
    Mnemonic::Cmova,
    Mnemonic::Cmovs,
    Mnemonic::Cmovns,
    Mnemonic::Cmovp,
    Mnemonic::Cmovnp,
    Mnemonic::Cmovl,
    Mnemonic::Cmovge,
    Mnemonic::Cmovle,
    Mnemonic::Cmovg,
];

/// The same for `setcc`.
const SET: [Mnemonic; 16] = [
    Mnemonic::Seto,
    Mnemonic::Setno,
    Mnemonic::Setb,
    Mnemonic::Setae,
    Mnemonic::Sete,
    Mnemonic::Setne,
    Mnemonic::Setbe,
    Mnemonic::Seta,
    Mnemonic::Sets,
    Mnemonic::Setns,
    Mnemonic::Setp,
    Mnemonic::Setnp,
    Mnemonic::Setl,
    Mnemonic::Setge,
    Mnemonic::Setle,
    Mnemonic::Setg,
];

#[test]
fn between_registers() {
    for width in WIDTHS {
        pairs(|dst, src| {
            let args = [Arg::Reg(dst, width.size()), Arg::Reg(src, width.size())];
            check(Mnemonic::Mov, &args, |asm| asm.mov(width, dst, src));
        });
    }
}

#[test]
fn constants_take_the_shortest_form() {
    let mut values: Vec<(u64, usize)> = vec![
        (0, 5),
        (1, 5),
        (0x7fff_ffff, 5),
        (0x8000_0000, 5),
        (0xffff_ffff, 5),
        (0x1_0000_0000, 10),
        (0x7fff_ffff_ffff_ffff, 10),
        (0x8000_0000_0000_0000, 10),
        (0xffff_ffff_7fff_ffff, 10),
        (0xffff_ffff_8000_0000, 7),
        (u64::MAX, 7),
    ];
    values.extend((33..64).map(|bit| (1 << bit, 10)));
    for dst in Reg::ALL {
        for &(value, len) in &values {
            let size = if len == 5 { Size::W } else { Size::DW };
            let args = [Arg::Reg(dst, size), Arg::Imm(value as i64, size)];
            let insn = check(Mnemonic::Mov, &args, |asm| asm.mov_imm(dst, value));
            // Only the short form has no prefix yet that could name the upper registers.
            let prefix = usize::from(len == 5 && dst.number() >= 8);
            assert_eq!(insn.len(), len + prefix, "{dst:?} = {value:#x}");
        }
    }
}

#[test]
fn loads_and_stores() {
    mems_by(&SIZES, |size, mem, reg| {
        let (mnemonic, whole) = zero_extension(size);
        check(mnemonic, &[Arg::Reg(reg, whole), Arg::Mem(mem, size)], |asm| asm.movzx(size, reg, mem));
        check(Mnemonic::Mov, &[Arg::Mem(mem, size), Arg::Reg(reg, size)], |asm| asm.store(size, mem, reg));
    });
}

/// How an operand of `size` is extended with zeros to 64 bits, and how much of the destination is named.
fn zero_extension(size: Size) -> (Mnemonic, Size) {
    match size {
        Size::B | Size::H => (Mnemonic::Movzx, Size::W),
        Size::W | Size::DW => (Mnemonic::Mov, size),
    }
}

/// How an operand of `size` is extended by its sign to `width`, and how much of it is read.
fn sign_extension(size: Size, width: Width) -> (Mnemonic, Size) {
    match (size, width) {
        (Size::B | Size::H, _) => (Mnemonic::Movsx, size),
        (Size::W, Width::W64) => (Mnemonic::Movsxd, Size::W),
        (Size::W | Size::DW, _) => (Mnemonic::Mov, width.size()),
    }
}

#[test]
fn extensions() {
    for size in SIZES {
        pairs(|dst, src| {
            let (mnemonic, whole) = zero_extension(size);
            check(mnemonic, &[Arg::Reg(dst, whole), Arg::Reg(src, size)], |asm| asm.movzx(size, dst, src));
            for width in WIDTHS {
                let (mnemonic, read) = sign_extension(size, width);
                let args = [Arg::Reg(dst, width.size()), Arg::Reg(src, read)];
                check(mnemonic, &args, |asm| asm.movsx(width, size, dst, src));
            }
        });
    }
    let choices: Vec<(Size, Width)> = SIZES.iter().flat_map(|&size| WIDTHS.map(|width| (size, width))).collect();
    mems_by(&choices, |(size, width), mem, dst| {
        let (mnemonic, read) = sign_extension(size, width);
        let args = [Arg::Reg(dst, width.size()), Arg::Mem(mem, read)];
        check(mnemonic, &args, |asm| asm.movsx(width, size, dst, mem));
    });
}

#[test]
fn constants_to_memory() {
    let choices: Vec<(Size, i32)> = SIZES.iter().flat_map(|&size| IMMEDIATES.map(|imm| (size, imm))).collect();
    mems_by(&choices, |(size, imm), mem, reg| {
        let constant = Arg::Imm(imm.into(), size);
        check(Mnemonic::Mov, &[Arg::Mem(mem, size), constant], |asm| asm.store_imm(size, mem, imm));
        check(Mnemonic::Mov, &[Arg::Reg(reg, size), constant], |asm| asm.store_imm(size, reg, imm));
    });
}

#[test]
fn addresses() {
    mems_by(&WIDTHS, |width, mem, dst| {
        check(Mnemonic::Lea, &[Arg::Reg(dst, width.size()), Arg::Address(mem)], |asm| asm.lea(width, dst, mem));
    });
}

#[test]
fn conditional_moves() {
    let choices: Vec<(Cond, Width)> = Cond::ALL.iter().flat_map(|&cond| WIDTHS.map(|width| (cond, width))).collect();
    for &(cond, width) in &choices {
        let (mnemonic, size) = (CMOV[cond.code() as usize], width.size());
        pairs(|dst, src| {
            check(mnemonic, &[Arg::Reg(dst, size), Arg::Reg(src, size)], |asm| asm.cmov(cond, width, dst, src));
        });
    }
    mems_by(&choices, |(cond, width), mem, dst| {
        let (mnemonic, size) = (CMOV[cond.code() as usize], width.size());
        check(mnemonic, &[Arg::Reg(dst, size), Arg::Mem(mem, size)], |asm| asm.cmov(cond, width, dst, mem));
    });
}

#[test]
fn conditions_as_numbers() {
    mems_by(&Cond::ALL, |cond, mem, reg| {
        let mnemonic = SET[cond.code() as usize];
        let operands = [(Rm::Reg(reg), Arg::Reg(reg, Size::B)), (Rm::Mem(mem), Arg::Mem(mem, Size::B))];
        for (rm, arg) in operands {
            check(mnemonic, &[arg], |asm| asm.setcc(cond, rm));
        }
    });
}

#[test]
fn stack_and_byte_order() {
    for reg in Reg::ALL {
        check(Mnemonic::Push, &[Arg::Reg(reg, Size::DW)], |asm| asm.push(reg));
        check(Mnemonic::Pop, &[Arg::Reg(reg, Size::DW)], |asm| asm.pop(reg));
        for width in WIDTHS {
            check(Mnemonic::Bswap, &[Arg::Reg(reg, width.size())], |asm| asm.bswap(width, reg));
        }
    }
}

#[test]
fn exchanges() {
    for size in SIZES {
        pairs(|a, b| {
            let one_is_rax = (a == Reg::Rax) != (b == Reg::Rax);
            let short = one_is_rax && size != Size::B;
            // An exchange has no direction: the short form names the other register first.
            let (first, second) = if short && a == Reg::Rax { (b, a) } else { (a, b) };
            let args = [Arg::Reg(first, size), Arg::Reg(second, size)];
            let insn = check(Mnemonic::Xchg, &args, |asm| asm.xchg(size, a, b));
            let prefixes = usize::from(size == Size::H)
                + usize::from(size == Size::DW || a.number() >= 8 || b.number() >= 8 || byte_prefix(size, a, b));
            assert_eq!(insn.len(), prefixes + if short { 1 } else { 2 }, "{a:?}, {b:?}");
        });
    }
    mems_by(&SIZES, |size, mem: Mem, reg| {
        check(Mnemonic::Xchg, &[Arg::Mem(mem, size), Arg::Reg(reg, size)], |asm| asm.xchg(size, mem, reg));
    });
}

/// Whether one of the registers has a low byte that only a prefix can name.
fn byte_prefix(size: Size, a: Reg, b: Reg) -> bool {
    size == Size::B && [a, b].iter().any(|reg| (4..8).contains(&reg.number()))
}
