//! From steps to x86-64 code: the driver, the frame of a function, jumps and their distances.
//!
//! Register map of the kernel: r0 to r5 are rax, rdi, rsi, rdx, rcx, r8, so that a helper is called without moving
//! anything; r6 to r9 are rbx, r13, r14, r15; r10 is rbp, an offset into the cage like every pointer. r12 is the base of
//! the cage, r9 the fuel. No BPF register maps to r10 and r11: they are scratch.
//!
//! Two passes: the first has only long jumps, the second uses its positions to find the jumps that can be short.

use skep_isa::ebpf::{Imm64, Op, Reg as BpfReg, Size, Src, Width};

use super::{Alu, Assembler, Cond, Mem, Reg, Rel8, Rel32, Scale};
use crate::ebpf::jit::cold::{ColdKind, ColdParts, PacketOffset};
use crate::ebpf::jit::plan::Frame;
use crate::ebpf::jit::{AccessSite, Call, Lowered, Plan, Reason, Stop};
use crate::ebpf::space::STATE_DISTANCE;
use crate::ebpf::state::{MAX_LOOPS, SCRUBBED, State};

/// Base of the cage.
pub(super) const BASE: Reg = Reg::R12;
/// Fuel.
pub(super) const FUEL: Reg = Reg::R9;
/// Scratch for addresses.
pub(super) const ADDRESS: Reg = Reg::R11;
/// Scratch for values.
pub(super) const VALUE: Reg = Reg::R10;

/// Heads of loops start at multiples of this many bytes.
const LOOP_ALIGNMENT: usize = 16;

/// The processor's register for one of the program's.
pub(super) const fn host(reg: BpfReg) -> Reg {
    const MAP: [Reg; 11] =
        [Reg::Rax, Reg::Rdi, Reg::Rsi, Reg::Rdx, Reg::Rcx, Reg::R8, Reg::Rbx, Reg::R13, Reg::R14, Reg::R15, Reg::Rbp];
    MAP[reg.index()]
}

/// A field of the state.
pub(super) const fn state_field(offset: usize) -> Mem {
    // Both are a few megabytes at most.
    Mem::new(BASE, offset as i32 - STATE_DISTANCE as i32)
}

macro_rules! field {
    ($name:ident) => {
        $crate::ebpf::jit::x86::lower::state_field(std::mem::offset_of!($crate::ebpf::state::State, $name))
    };
}
pub(super) use field;

enum Fixup {
    Short(Rel8),
    Long(Rel32),
}

/// What a generation went wrong with: a short jump that turned out to be long.
struct TooFar;

/// Generates the code of a program.
pub(crate) fn lower(plan: &Plan<'_>) -> Lowered {
    let long = match Lower::new(plan, None).run() {
        Ok(lowered) => lowered,
        Err(TooFar) => unreachable!("without positions all jumps are long"),
    };
    Lower::new(plan, Some(&long.steps)).run().unwrap_or(long)
}

/// State of one pass.
pub(super) struct Lower<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) asm: Assembler,
    pub(super) out: Lowered,
    /// Positions of the steps in the pass before.
    before: Option<&'a [u32]>,
    fixups: Vec<(Fixup, u32)>,
    /// Calls of functions of this program, by their index.
    local_calls: Vec<(Rel32, usize)>,
    pub(super) cold: ColdParts<Rel32, usize, Reg>,
    /// For each step the number of aligned positions up to it.
    alignments: Vec<u32>,
    frame: Frame,
}

/// Bytes of the stack behind the saved registers.
fn stack_room(frame: Frame) -> i32 {
    let slots = frame.saved.iter().count() + usize::from(frame.counts);
    // The return address and an odd number of slots keep the stack aligned.
    let padded = frame.calls && slots.is_multiple_of(2);
    8 * (i32::from(frame.counts) + i32::from(padded))
}

impl<'a> Lower<'a> {
    fn new(plan: &'a Plan<'a>, before: Option<&'a [u32]>) -> Self {
        let steps = plan.program.steps.len();
        let mut count = 0;
        let alignments = plan
            .targets
            .iter()
            .map(|target| {
                count += u32::from(target.loops);
                count
            })
            .collect();
        let out = Lowered { steps: Vec::with_capacity(steps + 1), ..Lowered::default() };
        let fixups = Vec::with_capacity(steps / 4);
        let (asm, cold, frame) = (Assembler::new(), ColdParts::new(), Frame::default());
        Self { plan, asm, out, before, fixups, local_calls: Vec::new(), cold, alignments, frame }
    }

    fn run(mut self) -> Result<Lowered, TooFar> {
        for function in 0..self.plan.program.functions.len() {
            self.function(function);
            self.cold_parts()?;
        }
        self.out.steps.push(self.asm.position() as u32);
        for (fixup, target) in std::mem::take(&mut self.fixups) {
            let target = self.out.steps[target as usize] as usize;
            let patched = match fixup {
                Fixup::Short(place) => self.asm.patch_rel8(place, target),
                Fixup::Long(place) => self.asm.patch_rel32(place, target),
            };
            patched.map_err(|_| TooFar)?;
        }
        for (place, function) in std::mem::take(&mut self.local_calls) {
            let target = self.out.functions[function] as usize;
            self.asm.patch_rel32(place, target).map_err(|_| TooFar)?;
        }
        self.out.stops.sort_unstable_by_key(|stop| stop.at);
        self.out.code = self.asm.into_code();
        Ok(self.out)
    }

    fn function(&mut self, index: usize) {
        let function = self.plan.program.functions[index];
        self.align(LOOP_ALIGNMENT);
        self.out.functions.push(self.asm.position() as u32);
        self.prologue(index);
        let mut at = function.start as usize;
        while at < function.end as usize {
            if self.plan.targets[at].loops {
                self.align(LOOP_ALIGNMENT);
            }
            self.out.steps.push(self.asm.position() as u32);
            let used = self.lower_at(at);
            // Steps that were fused into the one in front of them start where it does.
            for _ in 1..used {
                let start = self.out.steps[at];
                self.out.steps.push(start);
            }
            at += used;
        }
    }

    fn align(&mut self, to: usize) {
        let position = self.asm.position();
        self.asm.nop(position.next_multiple_of(to) - position);
    }

    fn prologue(&mut self, index: usize) {
        let frame = self.plan.frame(index);
        self.frame = frame;
        self.save();
        frame.zeroed.iter().for_each(|reg| self.zero(host(reg)));
        if frame.called {
            let to_body = self.asm.jmp32();
            self.align(LOOP_ALIGNMENT);
            self.out.functions[index] = self.asm.position() as u32;
            self.save();
            self.patch_here(to_body);
        }
    }

    /// Saves registers and makes room on the stack.
    fn save(&mut self) {
        let frame = self.frame;
        self.asm.endbr64();
        frame.saved.iter().for_each(|reg| self.asm.push(host(reg)));
        let room = stack_room(frame);
        if room != 0 {
            self.asm.alu_imm(Alu::Sub, Size::DW, Reg::Rsp, room);
        }
        if frame.counts {
            self.asm.store_imm(Size::DW, Mem::new(Reg::Rsp, 0), MAX_LOOPS as i32);
        }
    }

    /// Completes a jump to what comes next.
    pub(super) fn patch_here(&mut self, place: Rel32) {
        let here = self.asm.position();
        let patched = self.asm.patch_rel32(place, here);
        debug_assert!(patched.is_ok(), "code of a program is shorter than two gigabytes");
    }

    /// Undoes the prologue.
    pub(super) fn epilogue(&mut self) {
        let room = stack_room(self.frame);
        if room != 0 {
            self.asm.alu_imm(Alu::Add, Size::DW, Reg::Rsp, room);
        }
        self.frame.saved.iter().rev().for_each(|reg| self.asm.pop(host(reg)));
    }

    pub(super) fn zero(&mut self, reg: Reg) {
        self.asm.alu(Alu::Xor, Size::W, reg, reg);
    }

    fn lower_at(&mut self, at: usize) -> usize {
        if let Some(used) = self.peephole(at) {
            return used;
        }
        let step = self.plan.program.steps[at];
        match step.op {
            Op::Alu { width, op, dst, src } => self.alu(at, width, op, host(dst), src),
            Op::MovSx { width, from, dst, src } => self.asm.movsx(width, from, host(dst), host(src)),
            Op::Neg { width, dst } => self.asm.unary(super::Unary::Neg, width.size(), host(dst)),
            Op::Swap { order, size, dst } => self.swap(order, size, host(dst)),
            Op::LoadImm { dst, value } => {
                let Imm64::Value(value) = value else { unreachable!("loading has resolved the immediate") };
                self.constant(host(dst), value);
            }
            Op::Load { .. } | Op::Store { .. } | Op::LoadAcquire { .. } | Op::StoreRelease { .. } => {
                self.access(at, step.op);
            }
            Op::Atomic { .. } => self.atomic(at, step.op),
            Op::LdAbs { size, k } => self.packet_load(at, size, None, k),
            Op::LdInd { size, src, k } => self.packet_load(at, size, Some(host(src)), k),
            Op::Goto { .. } | Op::GotoLong { .. } => self.jump(at, None, step.target),
            Op::JumpIf { width, op, dst, src, .. } => {
                let cond = self.compare(width, op, dst, src);
                self.jump(at, Some(cond), step.target);
            }
            Op::MayGoto { .. } => self.may_goto(at, step.target),
            Op::Call(callee) => self.call(at, callee, &step),
            Op::Exit => {
                self.epilogue();
                self.asm.ret();
            }
            Op::AddrSpaceCast { .. } => unreachable!("loading refuses casts between address spaces"),
        }
        1
    }

    /// `dst = value`, which does not appear in the code if constants are blinded.
    pub(super) fn constant(&mut self, dst: Reg, value: u64) {
        match self.plan.blinded(value) {
            Some((masked, key)) => {
                self.asm.mov_imm(dst, masked);
                let other = if dst == ADDRESS { VALUE } else { ADDRESS };
                self.asm.mov_imm(other, key);
                self.asm.alu(Alu::Xor, Size::DW, dst, other);
            }
            // An exclusive or would change the flags, on which nothing here depends.
            None if value == 0 => self.zero(dst),
            None => self.asm.mov_imm(dst, value),
        }
    }

    /// The second operand as a register: a constant is loaded into the one for values.
    pub(super) fn in_register(&mut self, src: Src) -> Reg {
        match src {
            Src::Reg(reg) => host(reg),
            Src::Imm(imm) => {
                self.constant(VALUE, imm as i64 as u64);
                VALUE
            }
        }
    }

    /// Jumps to a step, always or on a condition. Going back pays fuel.
    pub(super) fn jump(&mut self, at: usize, cond: Option<Cond>, target: u32) {
        let Some(cost) = Plan::cost(at, target as usize) else {
            // A jump to what comes next.
            if target as usize == at + 1 {
                return;
            }
            self.jump_out(at, cond, target);
            return;
        };
        let over = cond.map(|cond| self.asm.jcc8(cond.inverse()));
        self.asm.alu_imm(Alu::Sub, Size::DW, FUEL, cost as i32);
        // The subtraction borrowed: there was too little.
        self.jump_out(at, Some(Cond::Ae), target);
        self.stop(at, Reason::OutOfFuel);
        if let Some(over) = over {
            let here = self.asm.position();
            // The parts in between have 20 bytes at the most.
            let patched = self.asm.patch_rel8(over, here);
            debug_assert!(patched.is_ok());
        }
    }

    fn jump_out(&mut self, at: usize, cond: Option<Cond>, target: u32) {
        let fixup = match (cond, self.is_near(at, target as usize)) {
            (None, true) => Fixup::Short(self.asm.jmp8()),
            (None, false) => Fixup::Long(self.asm.jmp32()),
            (Some(cond), true) => Fixup::Short(self.asm.jcc8(cond)),
            (Some(cond), false) => Fixup::Long(self.asm.jcc32(cond)),
        };
        self.fixups.push((fixup, target));
    }

    /// Whether a distance of one byte is certain to do: in the pass before it did with room for all alignments, which
    /// may be more than they were.
    fn is_near(&self, at: usize, target: usize) -> bool {
        let Some(before) = self.before else { return false };
        let (first, last) = if at < target { (at, target) } else { (target, at) };
        // Behind the jump, and in front of it.
        let distance = before[(last + 1).min(before.len() - 1)] - before[first];
        let slack = (self.alignments[last] - self.alignments[first]) * (LOOP_ALIGNMENT as u32 - 1);
        distance + slack < 120
    }

    /// Stops here.
    pub(super) fn stop(&mut self, at: usize, reason: Reason) {
        let place = self.asm.position() as u32 + 1;
        let _ = self.asm.call32();
        self.out.calls.push((place, Call::Stop));
        self.out.stops.push(Stop { at: self.asm.position() as u32, step: at as u32, reason });
    }

    /// Stops on a condition, out of line. A register is kept for the fault.
    pub(super) fn stop_if(&mut self, at: usize, cond: Cond, reason: Reason, keep: Option<Reg>) {
        let from = self.asm.jcc32(cond);
        self.cold.stop(from, at, reason, keep);
    }

    fn cold_parts(&mut self) -> Result<(), TooFar> {
        for cold in self.cold.take() {
            let here = self.asm.position();
            self.asm.patch_rel32(cold.from, here).map_err(|_| TooFar)?;
            match cold.kind {
                ColdKind::Stop(reason, keep) => {
                    if let Some(reg) = keep {
                        self.asm.store(Size::DW, field!(stop_registers), reg);
                    }
                    self.stop(cold.step as usize, reason);
                }
                ColdKind::PacketLoad { back, size, offset } => {
                    match offset {
                        PacketOffset::Constant(k) => self.asm.mov_imm(Reg::Rdi, k.into()),
                        PacketOffset::InRegister => self.asm.mov(Width::W32, Reg::Rdi, ADDRESS),
                    }
                    self.asm.mov_imm(Reg::Rsi, size.bytes().into());
                    self.call_out(Call::PacketLoad);
                    self.asm.test(Size::W, Reg::Rdx, Reg::Rdx);
                    let found = self.asm.jcc32(Cond::E);
                    self.asm.patch_rel32(found, back).map_err(|_| TooFar)?;
                    self.zero(Reg::Rax);
                    self.epilogue();
                    self.asm.ret();
                }
            }
        }
        Ok(())
    }

    /// Calls something that gets the state as its sixth argument; the fuel goes through the state.
    pub(super) fn call_out(&mut self, call: Call) {
        self.asm.store(Size::DW, field!(fuel), FUEL);
        self.asm.lea(Width::W64, Reg::R9, state_field(0));
        if self.plan.options.near {
            let place = self.asm.position() as u32 + 1;
            let _ = self.asm.call32();
            self.out.calls.push((place, call));
        } else {
            // Filled in like the distance, but with the address.
            let place = self.asm.position() as u32 + 2;
            self.asm.mov_imm(ADDRESS, u64::MAX / 3);
            self.out.calls.push((place, call));
            self.asm.call(ADDRESS);
        }
        self.asm.movzx(Size::DW, FUEL, field!(fuel));
    }

    /// Gives the registers that a call loses the value that shows it, where something reads them.
    pub(super) fn scrub(&mut self, at: usize) {
        self.plan.lost(at).iter().for_each(|reg| self.asm.mov_imm(host(reg), SCRUBBED));
    }

    /// Notes that the instruction at `start` is an access that may fault.
    pub(super) fn note_access(&mut self, site: AccessSite) {
        self.out.accesses.push(site);
    }

    fn may_goto(&mut self, at: usize, target: u32) {
        let counter = Mem::new(Reg::Rsp, 0);
        self.asm.alu_imm(Alu::Sub, Size::DW, counter, 1);
        let go_on = self.asm.jcc32(Cond::Ae);
        // It stays at zero.
        self.asm.store_imm(Size::DW, counter, 0);
        if target as usize == at + 1 {
            self.patch_here(go_on);
            return;
        }
        self.jump(at, None, target);
        self.patch_here(go_on);
    }

    /// Calls a function of the program.
    pub(super) fn call_function(&mut self, function: usize) {
        let place = self.asm.call32();
        self.local_calls.push((place, function));
    }

    /// The address of an entry of this frame, relative to the cage.
    pub(super) fn frame_slot(at: i32) -> Mem {
        match Mem::indexed(BASE, Reg::Rbp, Scale::One, at) {
            Some(mem) => mem,
            None => unreachable!("rbp can be an index"),
        }
    }
}

// The state is found by a displacement of 32 bits.
const _: () = assert!(size_of::<State>() < STATE_DISTANCE && STATE_DISTANCE < 1 << 30);
// `may_goto` stores its limit as an immediate.
const _: () = assert!(MAX_LOOPS < 1 << 31);
