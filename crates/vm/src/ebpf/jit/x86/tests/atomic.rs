//! Atomic operations on memory.

use iced_x86::Mnemonic;
use skep_isa::ebpf::Width;

use super::super::LockedAlu;
use super::mems_by;
use super::oracle::{Arg, check_locked};

const LOCKED: [(LockedAlu, Mnemonic); 5] = [
    (LockedAlu::Add, Mnemonic::Add),
    (LockedAlu::Or, Mnemonic::Or),
    (LockedAlu::And, Mnemonic::And),
    (LockedAlu::Sub, Mnemonic::Sub),
    (LockedAlu::Xor, Mnemonic::Xor),
];

#[test]
fn arithmetic() {
    let choices: Vec<_> = LOCKED.iter().flat_map(|&row| [Width::W32, Width::W64].map(|width| (row, width))).collect();
    mems_by(&choices, |((op, mnemonic), width), mem, reg| {
        let args = [Arg::Mem(mem, width.size()), Arg::Reg(reg, width.size())];
        check_locked(mnemonic, &args, |asm| asm.lock_alu(op, width, mem, reg));
    });
}

#[test]
fn with_the_old_value() {
    mems_by(&[Width::W32, Width::W64], |width, mem, reg| {
        let args = [Arg::Mem(mem, width.size()), Arg::Reg(reg, width.size())];
        check_locked(Mnemonic::Xadd, &args, |asm| asm.lock_xadd(width, mem, reg));
        check_locked(Mnemonic::Cmpxchg, &args, |asm| asm.lock_cmpxchg(width, mem, reg));
    });
}
