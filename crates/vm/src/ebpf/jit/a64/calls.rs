//! Calls: of functions of the program, of helpers, through registers, into other programs, and look-ups done in place.

use skep_isa::ebpf::{Callee, Reg as BpfReg, Size as BpfSize};

use super::lower::{ADDRESS, EXTRA, EXTRA2, FRAME, FUEL, Lower, TARGET, VALUE, field, host, reg, size as host_size};
use super::{AddImm, Address, Arith, BitmaskImm, Cond, Index, Load, PairMode, Reg, Reverse, SP, Shift, Size, Width};
use crate::ebpf::facts::Fact;
use crate::ebpf::jit::cold::{PacketOffset, constant_range};
use crate::ebpf::jit::plan::{ArrayMap, HelperCall};
use crate::ebpf::jit::{Call, Reason};
use crate::ebpf::layout::{FRAME_BYTES, PAGE_BYTES};
use crate::ebpf::program::Step;
use crate::ebpf::space::Access;

/// Registers that hold arguments and would be lost while the target of an indirect call is looked up.
const ARGUMENTS: [(Reg, Reg); 3] = [(reg(0), reg(1)), (reg(2), reg(3)), (reg(4), reg(7))];

impl Lower<'_> {
    pub(super) fn call(&mut self, at: usize, callee: Callee, step: &Step) {
        match callee {
            Callee::Local(_) => self.call_local(at, step.target),
            Callee::Helper(_) => self.call_helper(at, step.target),
            Callee::Reg(target) => self.call_indirect(at, host(target)),
            Callee::Kfunc { .. } => unreachable!("loading refuses kernel functions"),
        }
        self.scrub(at);
    }

    /// Makes room for the frame of a callee, or stops.
    fn enter_frame(&mut self, at: usize) {
        self.move_frame(-i64::from(FRAME_BYTES));
        // The frames fill a page, so that the ninth would end where the first one does.
        if let Some(mask) = BitmaskImm::new(Width::W, u64::from(PAGE_BYTES) - 1) {
            self.code.tst_imm(host(BpfReg::R10), mask);
        }
        self.stop_if(at, Cond::Eq, Reason::TooManyFrames, None);
    }

    fn leave_frame(&mut self) {
        self.move_frame(FRAME_BYTES.into());
    }

    fn move_frame(&mut self, bytes: i64) {
        self.add_constant(Width::W, host(BpfReg::R10), host(BpfReg::R10), bytes);
        self.add_constant(Width::X, FRAME, FRAME, bytes);
    }

    fn call_local(&mut self, at: usize, target: u32) {
        let (function, cost) = self.plan.local_call(target);
        self.enter_frame(at);
        self.pay(cost);
        self.stop_if(at, Cond::Lo, Reason::OutOfFuel, None);
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
            self.code.load_immediate(VALUE, index.into());
            self.store_field(VALUE, field!(helper));
            self.store_program();
            self.store_field(host(BpfReg::R10), field!(frame));
        }
        self.call_out(Call::Helper(index));
        self.stop_if_told(at);
    }

    fn store_program(&mut self) {
        self.code.load_immediate(VALUE, self.plan.number.into());
        self.store_field(VALUE, field!(program));
    }

    /// `r0 = index < entries ? values + index * stride : 0`, with the index at the address in register 2.
    fn array_lookup(&mut self, at: usize, array: ArrayMap) {
        let key = self.operand(at, BpfReg::R2, 0, BpfSize::W);
        self.note(at, key.place, BpfSize::W, Access::Read);
        let result = self.code.load(Load::Unsigned(Size::Word), VALUE, key.address);
        self.check(result);
        let found = host(BpfReg::R0);
        // Sums of 32 bits keep the upper half clear.
        self.code.load_immediate(EXTRA, array.values.into());
        if array.stride.is_power_of_two() {
            let amount = array.stride.trailing_zeros() as u8;
            let result = self.code.arith_shifted(Arith::Add, Width::W, EXTRA, EXTRA, (VALUE, Shift::Lsl, amount));
            self.check(result);
        } else {
            self.code.load_immediate(EXTRA2, array.stride.into());
            self.code.madd(Width::W, EXTRA, VALUE, EXTRA2, EXTRA);
        }
        self.code.load_immediate(EXTRA2, array.entries.into());
        self.code.cmp(Width::W, VALUE, EXTRA2);
        self.code.select(super::Select::Same, Width::X, found, (Cond::Lo, EXTRA, super::ZR));
    }

    /// Goes on in another program, in this frame.
    fn tail_call(&mut self, at: usize) {
        self.call_out(Call::OtherProgram);
        self.stop_if_told(at);
        let go_on = self.code.cbz(Width::X, host(BpfReg::R0));
        self.code.mov(Width::X, TARGET, host(BpfReg::R0));
        let result = self.code.load(Load::Unsigned(Size::Word), host(BpfReg::R1), field!(context));
        self.check(result);
        self.zero(host(BpfReg::R2));
        self.epilogue();
        self.code.br(TARGET);
        self.patch_here(go_on);
    }

    /// Calls what a register holds: the address of a function or the number of a helper.
    fn call_indirect(&mut self, at: usize, target: Reg) {
        self.store_field(target, field!(stop_registers));
        self.store_program();
        for pair in ARGUMENTS {
            let result = self.code.stp(Width::X, pair, PairMode::Pre, (SP, -16));
            self.check(result);
        }
        self.code.mov(Width::X, reg(0), target);
        self.call_out(Call::Indirect);
        // The target, and what it costs: 0 for a helper, all ones for nothing.
        self.code.mov(Width::X, TARGET, reg(0));
        self.code.mov(Width::X, VALUE, reg(1));
        for pair in ARGUMENTS.into_iter().rev() {
            let result = self.code.ldp(Width::X, pair, PairMode::Post, (SP, 16));
            self.check(result);
        }
        if let Some(one) = AddImm::new(1) {
            self.code.cmn_imm(Width::X, VALUE, one);
        }
        self.stop_if(at, Cond::Eq, Reason::BadCallTarget, None);
        let helper = self.code.cbz(Width::X, VALUE);
        self.enter_frame(at);
        self.code.arith(Arith::Subs, Width::X, FUEL, FUEL, VALUE);
        self.stop_if(at, Cond::Lo, Reason::OutOfFuel, None);
        self.code.blr(TARGET);
        self.leave_frame();
        let done = self.code.b();
        self.patch_here(helper);
        self.store_field(host(BpfReg::R10), field!(frame));
        self.call_entry(TARGET);
        self.stop_if_told(at);
        self.patch_here(done);
    }

    /// A load from the packet in network byte order: in place where the bytes lie inside of the packet.
    pub(super) fn packet_load(&mut self, at: usize, size: BpfSize, index: Option<Reg>, k: i32) {
        if self.plan.address(at) != Fact::Context && !self.plan.options.proved {
            let context = host(BpfReg::R6);
            self.load_field(VALUE, field!(context));
            self.code.cmp(Width::X, context, VALUE);
            self.stop_if(at, Cond::Ne, Reason::NotTheContext, Some(context));
        }
        let bytes = size.bytes();
        let mut slow = Vec::new();
        let offset = match index {
            Some(index) => {
                self.add_constant(Width::W, ADDRESS, index, k.into());
                self.load_field(VALUE, field!(packet_len));
                if let Some(bytes) = AddImm::new(bytes.into()) {
                    self.code.subs_imm(Width::X, VALUE, VALUE, bytes);
                }
                slow.push(self.slow(Some(Cond::Lo)));
                self.code.cmp(Width::X, ADDRESS, VALUE);
                slow.push(self.slow(Some(Cond::Hi)));
                PacketOffset::InRegister
            }
            None => {
                let offset = PacketOffset::Constant(k.cast_unsigned());
                let Some((start, end)) = constant_range(k, size) else {
                    slow.push(self.slow(None));
                    self.cold.packet_load(slow, self.code.here(), at, size, offset);
                    return self.scrub(at);
                };
                self.code.load_immediate(ADDRESS, end.cast_unsigned().into());
                self.load_field(VALUE, field!(packet_len));
                self.code.cmp(Width::X, VALUE, ADDRESS);
                slow.push(self.slow(Some(Cond::Lo)));
                self.code.load_immediate(ADDRESS, start.into());
                offset
            }
        };
        let value = host(BpfReg::R0);
        self.load_field(VALUE, field!(packet));
        let address = Address::Index(VALUE.into(), Index::X(ADDRESS.into()));
        let result = self.code.load(Load::Unsigned(host_size(size)), value, address);
        self.check(result);
        match size {
            BpfSize::H => self.code.rev(Reverse::Halves, Width::W, value, value),
            BpfSize::W => self.code.rev(Reverse::Words, Width::W, value, value),
            _ => {}
        }
        self.cold.packet_load(slow, self.code.here(), at, size, offset);
        self.scrub(at);
    }
}
