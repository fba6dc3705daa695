//! Calls: of functions of the program, of helpers, through registers, into other programs, and look-ups done in place.

use skep_isa::ebpf::{Callee, Reg as BpfReg, Size, Width};

use super::lower::{ADDRESS, BASE, FUEL, Lower, VALUE, field, host, state_field};
use super::{Alu, Cond, Mem, Reg, Scale, Shift};
use crate::ebpf::facts::Fact;
use crate::ebpf::jit::cold::{PacketOffset, constant_range};
use crate::ebpf::jit::plan::{ArrayMap, HelperCall};
use crate::ebpf::jit::{Call, Reason};
use crate::ebpf::layout::{FRAME_BYTES, PAGE_BYTES};
use crate::ebpf::program::Step;
use crate::ebpf::space::Access;

/// Registers that hold arguments and would be lost while the target of an indirect call is looked up.
const ARGUMENTS: [Reg; 6] = [Reg::Rax, Reg::Rdi, Reg::Rsi, Reg::Rdx, Reg::Rcx, Reg::R8];

impl Lower<'_> {
    pub(super) fn call(&mut self, at: usize, callee: Callee, step: &Step) {
        match callee {
            Callee::Local(_) => self.call_local(at, step.target),
            Callee::Helper(_) => self.call_helper(at, step.target),
            Callee::Reg(reg) => self.call_indirect(at, host(reg)),
            Callee::Kfunc { .. } => unreachable!("loading refuses kernel functions"),
        }
        self.scrub(at);
    }

    /// Makes room for the frame of a callee, or stops.
    fn enter_frame(&mut self, at: usize) {
        self.asm.alu_imm(Alu::Sub, Size::W, Reg::Rbp, FRAME_BYTES as i32);
        // The frames fill a page, so that the ninth would end where the first one does.
        self.asm.test_imm(Size::W, Reg::Rbp, PAGE_BYTES as i32 - 1);
        self.stop_if(at, Cond::E, Reason::TooManyFrames, None);
    }

    fn leave_frame(&mut self) {
        self.asm.alu_imm(Alu::Add, Size::W, Reg::Rbp, FRAME_BYTES as i32);
    }

    fn call_local(&mut self, at: usize, target: u32) {
        let (function, cost) = self.plan.local_call(target);
        self.enter_frame(at);
        self.asm.alu_imm(Alu::Sub, Size::DW, FUEL, cost as i32);
        self.stop_if(at, Cond::B, Reason::OutOfFuel, None);
        self.call_function(function);
        self.leave_frame();
    }

    fn call_helper(&mut self, at: usize, index: u32) {
        let announced = match self.plan.helper_call(at, index) {
            HelperCall::Tail => return self.tail_call(at),
            HelperCall::Lookup(array) => return self.array_lookup(at, array),
            HelperCall::Call { announced } => announced,
        };
        if announced {
            self.asm.store_imm(Size::DW, field!(helper), index as i32);
            self.asm.store_imm(Size::DW, field!(program), self.plan.number as i32);
            self.asm.store(Size::DW, field!(frame), Reg::Rbp);
        }
        self.call_out(Call::Helper(index));
        self.stop_if_told(at);
    }

    /// Stops if what was called says so.
    fn stop_if_told(&mut self, at: usize) {
        self.asm.test(Size::W, Reg::Rdx, Reg::Rdx);
        self.stop_if(at, Cond::Ne, Reason::Helper, None);
    }

    /// `r0 = index < entries ? values + index * stride : 0`, with the index at the address in register 2.
    fn array_lookup(&mut self, at: usize, array: ArrayMap) {
        let key = self.operand(at, BpfReg::R2, 0, Size::W, Access::Read);
        let start = self.asm.position();
        self.asm.movzx(Size::W, VALUE, key.mem);
        self.note(at, start, key, Size::W, Access::Read);
        // The index of nothing leaves zero behind.
        self.asm.alu_imm(Alu::Cmp, Size::W, VALUE, array.entries as i32);
        self.asm.mov_imm(Reg::Rax, 0);
        let out = self.asm.jcc8(Cond::Ae);
        match array.stride {
            1 | 2 | 4 | 8 => {
                let scale = Scale::ALL[array.stride.trailing_zeros() as usize];
                self.asm.mov_imm(Reg::Rax, array.values.into());
                if let Some(sum) = Mem::indexed(Reg::Rax, VALUE, scale, 0) {
                    self.asm.lea(Width::W32, Reg::Rax, sum);
                }
            }
            stride => {
                if stride.is_power_of_two() {
                    self.asm.shift_imm(Shift::Shl, Size::W, VALUE, stride.trailing_zeros() as u8);
                } else {
                    self.asm.imul_imm(Width::W32, VALUE, VALUE, stride as i32);
                }
                // Adding as a 32-bit number keeps the upper half clear.
                self.asm.mov_imm(Reg::Rax, array.values.into());
                self.asm.alu(Alu::Add, Size::W, Reg::Rax, VALUE);
            }
        }
        let here = self.asm.position();
        let patched = self.asm.patch_rel8(out, here);
        debug_assert!(patched.is_ok(), "the parts in between have 30 bytes at the most");
    }

    /// Goes on in another program, in this frame.
    fn tail_call(&mut self, at: usize) {
        self.call_out(Call::OtherProgram);
        self.stop_if_told(at);
        self.asm.test(Size::DW, Reg::Rax, Reg::Rax);
        let go_on = self.asm.jcc32(Cond::E);
        self.asm.mov(Width::W64, ADDRESS, Reg::Rax);
        self.asm.movzx(Size::W, Reg::Rdi, field!(context));
        self.zero(Reg::Rsi);
        self.epilogue();
        self.asm.jmp(ADDRESS);
        self.patch_here(go_on);
    }

    /// Calls what a register holds: the address of a function or the number of a helper.
    fn call_indirect(&mut self, at: usize, target: Reg) {
        self.asm.store(Size::DW, field!(stop_registers), target);
        self.asm.store_imm(Size::DW, field!(program), self.plan.number as i32);
        ARGUMENTS.iter().for_each(|&reg| self.asm.push(reg));
        self.asm.movzx(Size::DW, Reg::Rdi, field!(stop_registers));
        self.call_out(Call::Indirect);
        // The target, and what it costs: 0 for a helper, all ones for nothing.
        self.asm.mov(Width::W64, ADDRESS, Reg::Rax);
        self.asm.mov(Width::W64, VALUE, Reg::Rdx);
        ARGUMENTS.iter().rev().for_each(|&reg| self.asm.pop(reg));
        self.asm.alu_imm(Alu::Cmp, Size::DW, VALUE, -1);
        self.stop_if(at, Cond::E, Reason::BadCallTarget, None);
        self.asm.test(Size::DW, VALUE, VALUE);
        let helper = self.asm.jcc32(Cond::E);
        self.enter_frame(at);
        self.asm.alu(Alu::Sub, Size::DW, FUEL, VALUE);
        self.stop_if(at, Cond::B, Reason::OutOfFuel, None);
        self.asm.call(ADDRESS);
        self.leave_frame();
        let done = self.asm.jmp32();
        self.patch_here(helper);
        self.asm.store(Size::DW, field!(frame), Reg::Rbp);
        self.asm.store(Size::DW, field!(fuel), FUEL);
        self.asm.lea(Width::W64, Reg::R9, state_field(0));
        self.asm.call(ADDRESS);
        self.asm.movzx(Size::DW, FUEL, field!(fuel));
        self.stop_if_told(at);
        self.patch_here(done);
    }

    /// A load from the packet in network byte order: in place where the bytes lie inside of the packet.
    pub(super) fn packet_load(&mut self, at: usize, size: Size, index: Option<Reg>, k: i32) {
        if self.plan.address(at) != Fact::Context && !self.plan.options.proved {
            self.asm.alu(Alu::Cmp, Size::DW, Reg::Rbx, field!(context));
            self.stop_if(at, Cond::Ne, Reason::NotTheContext, Some(Reg::Rbx));
        }
        let bytes = size.bytes();
        let mut slow = Vec::new();
        let offset = match index {
            Some(reg) => {
                self.asm.lea(Width::W32, ADDRESS, Mem::new(reg, k));
                self.asm.movzx(Size::DW, VALUE, field!(packet_len));
                self.asm.alu_imm(Alu::Sub, Size::DW, VALUE, bytes as i32);
                slow.push(self.asm.jcc32(Cond::B));
                self.asm.alu(Alu::Cmp, Size::DW, ADDRESS, VALUE);
                slow.push(self.asm.jcc32(Cond::A));
                self.asm.movzx(Size::DW, VALUE, field!(packet));
                if let Some(mem) = Mem::indexed(VALUE, ADDRESS, Scale::One, 0) {
                    self.asm.movzx(size, Reg::Rax, mem);
                }
                PacketOffset::InRegister
            }
            None => {
                let offset = PacketOffset::Constant(k.cast_unsigned());
                let Some((_, end)) = constant_range(k, size) else {
                    slow.push(self.asm.jmp32());
                    self.cold.packet_load(slow, self.asm.position(), at, size, offset);
                    return self.scrub(at);
                };
                self.asm.alu_imm(Alu::Cmp, Size::DW, field!(packet_len), end);
                slow.push(self.asm.jcc32(Cond::B));
                self.asm.movzx(Size::DW, VALUE, field!(packet));
                self.asm.movzx(size, Reg::Rax, Mem::new(VALUE, k));
                offset
            }
        };
        match size {
            Size::H => {
                self.asm.shift_imm(Shift::Ror, Size::H, Reg::Rax, 8);
            }
            Size::W => self.asm.bswap(Width::W32, Reg::Rax),
            _ => {}
        }
        self.cold.packet_load(slow, self.asm.position(), at, size, offset);
        self.scrub(at);
    }
}

// The base of the cage never changes, so that calls need not restore it.
const _: () = assert!(matches!(BASE, Reg::R12));
