//! Bytes worked out by hand from the manual, so that a mistake shared with the decoder would be seen too.

use skep_isa::ebpf::{Size, Width};

use super::super::{Alu, Assembler, Cond, LockedAlu, Mem, Reg, Scale, Shift, ShiftX, Unary};

/// The bytes of what `emit` appends.
fn bytes(emit: impl FnOnce(&mut Assembler)) -> Vec<u8> {
    let mut asm = Assembler::new();
    emit(&mut asm);
    asm.into_code()
}

#[test]
fn bytes_from_the_manual() {
    use Reg::*;
    let at = Mem::new;
    let indexed = |base, index, scale, disp| Mem::indexed(base, index, scale, disp).unwrap();
    // add rax, rcx
    assert_eq!(bytes(|a| a.alu(Alu::Add, Size::DW, Rax, Rcx)), [0x48, 0x03, 0xc1]);
    // cmp sil, 5
    assert_eq!(bytes(|a| a.alu_imm(Alu::Cmp, Size::B, Rsi, 5)), [0x40, 0x80, 0xfe, 0x05]);
    // and eax, 0x12345678
    assert_eq!(bytes(|a| a.alu_imm(Alu::And, Size::W, Rax, 0x1234_5678)), [0x25, 0x78, 0x56, 0x34, 0x12]);
    // sub word [r13], 256
    assert_eq!(bytes(|a| a.alu_imm(Alu::Sub, Size::H, at(R13, 0), 256)), [0x66, 0x41, 0x81, 0x6d, 0x00, 0x00, 0x01]);
    // mov byte [rax], dil
    assert_eq!(bytes(|a| a.store(Size::B, at(Rax, 0), Rdi)), [0x40, 0x88, 0x38]);
    // mov rdx, [rsp+8]
    assert_eq!(bytes(|a| a.movzx(Size::DW, Rdx, at(Rsp, 8))), [0x48, 0x8b, 0x54, 0x24, 0x08]);
    // movzx r9d, word [r12+r10*4-129]
    let mem = indexed(R12, R10, Scale::Four, -129);
    assert_eq!(bytes(|a| a.movzx(Size::H, R9, mem)), [0x47, 0x0f, 0xb7, 0x8c, 0x94, 0x7f, 0xff, 0xff, 0xff]);
    // movsxd rax, ebx
    assert_eq!(bytes(|a| a.movsx(Width::W64, Size::W, Rax, Rbx)), [0x48, 0x63, 0xc3]);
    // lea rax, [rbp+rbp*1]
    assert_eq!(bytes(|a| a.lea(Width::W64, Rax, indexed(Rbp, Rbp, Scale::One, 0))), [0x48, 0x8d, 0x44, 0x2d, 0x00]);
    // shlx r9, [r8+1], r10
    let shlx = bytes(|a| a.shiftx(ShiftX::Shl, Width::W64, R9, at(R8, 1), R10));
    assert_eq!(shlx, [0xc4, 0x42, 0xa9, 0xf7, 0x48, 0x01]);
    // rorx eax, ecx, 8
    assert_eq!(bytes(|a| a.rorx(Width::W32, Rax, Rcx, 8)), [0xc4, 0xe3, 0x7b, 0xf0, 0xc1, 0x08]);
    // ror ax, 8
    assert_eq!(bytes(|a| a.shift_imm(Shift::Ror, Size::H, Rax, 8)), [0x66, 0xc1, 0xc8, 0x08]);
    // lock xor [rdi], r8
    assert_eq!(bytes(|a| a.lock_alu(LockedAlu::Xor, Width::W64, at(Rdi, 0), R8)), [0xf0, 0x4c, 0x31, 0x07]);
    // lock cmpxchg [r11+16], ecx
    assert_eq!(bytes(|a| a.lock_cmpxchg(Width::W32, at(R11, 16), Rcx)), [0xf0, 0x41, 0x0f, 0xb1, 0x4b, 0x10]);
    // idiv r15
    assert_eq!(bytes(|a| a.unary(Unary::Idiv, Size::DW, R15)), [0x49, 0xf7, 0xff]);
    // setbe spl
    assert_eq!(bytes(|a| a.setcc(Cond::Be, Rsp)), [0x40, 0x0f, 0x96, 0xc4]);
    // xchg eax, eax, which must not be the nop
    assert_eq!(bytes(|a| a.xchg(Size::W, Rax, Rax)), [0x87, 0xc0]);
    // bswap r12
    assert_eq!(bytes(|a| a.bswap(Width::W64, R12)), [0x49, 0x0f, 0xcc]);
    // call r11
    assert_eq!(bytes(|a| a.call(R11)), [0x41, 0xff, 0xd3]);
}
