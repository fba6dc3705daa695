//! The code around all programs: how one is entered, left and stopped. Made once for a process.

use skep_isa::ebpf::{Size, Width};

use super::lower::{BASE, FUEL, field};
use super::{Assembler, Mem, Reg};

/// Positions of the stubs.
#[derive(Debug, Clone)]
pub(crate) struct Stubs {
    pub(crate) code: Vec<u8>,
    /// `extern "C" fn(base, code, registers: *const [u64; 6]) -> Outcome`
    pub(crate) enter: usize,
    /// Called to stop.
    pub(crate) stop: usize,
    /// Jumped to by the signal handler to stop.
    pub(crate) stop_access: usize,
}

/// Registers of the caller that are kept, in the order of pushing.
const KEPT: [Reg; 6] = [Reg::Rbp, Reg::Rbx, Reg::R12, Reg::R13, Reg::R14, Reg::R15];

/// Generates the stubs.
pub(crate) fn stubs() -> Stubs {
    let mut asm = Assembler::new();
    let enter = asm.position();
    asm.endbr64();
    KEPT.iter().for_each(|&reg| asm.push(reg));
    asm.mov(Width::W64, BASE, Reg::Rdi);
    asm.mov(Width::W64, Reg::R11, Reg::Rsi);
    asm.mov(Width::W64, Reg::R10, Reg::Rdx);
    // The run around this one, if this is a callback; this also aligns the stack.
    asm.movzx(Size::DW, Reg::Rax, field!(saved_sp));
    asm.push(Reg::Rax);
    asm.store(Size::DW, field!(saved_sp), Reg::Rsp);
    asm.movzx(Size::DW, FUEL, field!(fuel));
    for (reg, index) in [Reg::Rdi, Reg::Rsi, Reg::Rdx, Reg::Rcx, Reg::R8, Reg::Rbp].into_iter().zip(0..) {
        asm.movzx(Size::DW, reg, Mem::new(Reg::R10, 8 * index));
    }
    asm.call(Reg::R11);
    asm.mov_imm(Reg::Rdx, 0);
    let leave = asm.position();
    asm.store(Size::DW, field!(fuel), FUEL);
    asm.pop(Reg::R11);
    asm.store(Size::DW, field!(saved_sp), Reg::R11);
    KEPT.iter().rev().for_each(|&reg| asm.pop(reg));
    asm.ret();

    let stop = asm.position();
    asm.pop(Reg::R11);
    asm.store(Size::DW, field!(stop_pc), Reg::R11);
    asm.mov_imm(Reg::Rdx, 1);
    let to_exit = asm.jmp8();
    let stop_access = asm.position();
    asm.mov_imm(Reg::Rdx, 2);
    let exit = asm.position();
    asm.movzx(Size::DW, Reg::Rsp, field!(saved_sp));
    let back = asm.jmp8();
    let patched = asm.patch_rel8(to_exit, exit).and(asm.patch_rel8(back, leave));
    debug_assert!(patched.is_ok(), "the stubs have less than 100 bytes");
    Stubs { code: asm.into_code(), enter, stop, stop_access }
}
