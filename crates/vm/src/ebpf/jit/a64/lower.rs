//! From steps to AArch64 code: the driver, the frame of a function, jumps and their distances.
//!
//! Register map: r1 to r5 are x0 to x4, so that a helper is called without moving them, with the state as its sixth
//! argument in x5; r0 is x7, r6 to r9 are x19 to x22, r10 is x25, an offset into the cage like every pointer. x23 is
//! the lowest address of the active frame, in the memory of the host; x26 is the base of the cage, x27 the fuel, x28
//! the state. x9 to x12 and x16 are scratch.
//!
//! Cutting an address to 32 bits costs nothing here, because loads and stores can use the lower half of an index; so
//! it is never left out. Atomic operations are those of FEAT_LSE (Armv8.1): a host must have them.
//!
//! Conditional branches reach one MiB. A program that needs more is generated a second time with an unconditional
//! branch behind each conditional one.

use skep_isa::ebpf::{Imm64, Op, Reg as BpfReg, Size as BpfSize, Src};

use super::{
    AddImm, Address, Arith, BitmaskImm, Code, Cond, EncodeError, Landing, Load, Logic, Position, Quarter, Reg,
};
use super::{RegOrZr, SP, Site, Size, Width, ZR};
use crate::ebpf::jit::cold::{Cold, ColdKind, ColdParts, PacketOffset};
use crate::ebpf::jit::plan::Frame;
use crate::ebpf::jit::{Call, Lowered, Plan, Reason, Stop};
use crate::ebpf::state::{MAX_LOOPS, SCRUBBED, State};

/// A register whose number exists.
pub(super) const fn reg(number: u8) -> Reg {
    match Reg::new(number) {
        Some(reg) => reg,
        None => panic!("registers have the numbers 0 to 30"),
    }
}

/// Lowest address of the active frame, in the memory of the host.
pub(super) const FRAME: Reg = reg(23);
/// Base of the cage.
pub(super) const BASE: Reg = reg(26);
/// Fuel.
pub(super) const FUEL: Reg = reg(27);
/// The state.
pub(super) const STATE: Reg = reg(28);
/// Scratch for values.
pub(super) const VALUE: Reg = reg(9);
/// Scratch for addresses.
pub(super) const ADDRESS: Reg = reg(10);
/// Scratch for what neither of them has room for.
pub(super) const EXTRA: Reg = reg(11);
/// As [`EXTRA`].
pub(super) const EXTRA2: Reg = reg(12);
/// Targets of calls and jumps to what lies outside: the register of veneers in the procedure call standard, through
/// which a jump may lead to `bti c`.
pub(super) const TARGET: Reg = reg(16);

/// The processor's register for one of the program's.
pub(super) const fn host(bpf: BpfReg) -> Reg {
    const MAP: [Reg; 11] =
        [reg(7), reg(0), reg(1), reg(2), reg(3), reg(4), reg(19), reg(20), reg(21), reg(22), reg(25)];
    MAP[bpf.index()]
}

pub(super) const fn width(width: skep_isa::ebpf::Width) -> Width {
    match width {
        skep_isa::ebpf::Width::W32 => Width::W,
        skep_isa::ebpf::Width::W64 => Width::X,
    }
}

pub(super) const fn size(size: BpfSize) -> Size {
    match size {
        BpfSize::B => Size::Byte,
        BpfSize::H => Size::Half,
        BpfSize::W => Size::Word,
        BpfSize::DW => Size::Double,
    }
}

/// A field of the state.
pub(super) fn state_field(offset: usize) -> Address {
    // Below the room that the state has.
    Address::Offset(STATE.into(), offset as i32)
}

macro_rules! field {
    ($name:ident) => {
        $crate::ebpf::jit::a64::lower::state_field(std::mem::offset_of!($crate::ebpf::state::State, $name))
    };
}
pub(super) use field;

/// Instructions of the far form of a call's target: `movz` and three `movk`, the lowest 16 bits first.
const LINK_WORDS: usize = 4;

/// Fills in the address of a call at a position of [`Lowered::calls`]: the immediates of the four instructions there,
/// bits 5 to 20 of each, get the 16-bit parts of the address, the lowest first.
pub(crate) fn link(code: &mut [u8], at: usize, target: u64) {
    let words = code[at..at + 4 * LINK_WORDS].chunks_exact_mut(4);
    for (word, quarter) in words.zip(0..) {
        let part = target >> (16 * quarter) & 0xffff;
        let mut bytes = [0; 4];
        bytes.copy_from_slice(word);
        let insn = u32::from_le_bytes(bytes) & !(0xffff << 5) | (part as u32) << 5;
        word.copy_from_slice(&insn.to_le_bytes());
    }
}

/// Emits what [`link`] fills in.
pub(super) fn far_target(code: &mut Code) {
    for index in 0..LINK_WORDS as u8 {
        let Some(quarter) = Quarter::new(Width::X, index) else { unreachable!("64 bits have four quarters") };
        if index == 0 { code.movz(TARGET, 0, quarter) } else { code.movk(TARGET, 0, quarter) }
    }
}

/// What a jump is taken on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    /// The flags of a comparison.
    Flags(Cond),
    /// Whether a register is zero.
    Zero { width: Width, reg: Reg, zero: bool },
    /// Whether a bit of a register is set.
    Bit { width: Width, reg: Reg, bit: u8, set: bool },
}

impl Test {
    const fn inverse(self) -> Self {
        match self {
            Self::Flags(cond) => Self::Flags(cond.inverse()),
            Self::Zero { width, reg, zero } => Self::Zero { width, reg, zero: !zero },
            Self::Bit { width, reg, bit, set } => Self::Bit { width, reg, bit, set: !set },
        }
    }
}

/// A jump over more steps does not use the branch that tests a bit, which reaches 32 KiB: room for a hundred bytes a
/// step. Where that is not enough, the long form is generated.
const NEAR_STEPS: usize = 300;

/// Generates the code of a program.
///
/// # Errors
/// A program of more than 128 MiB of code, which the longest branch does not reach over.
pub(crate) fn lower(plan: &Plan<'_>) -> Result<Lowered, EncodeError> {
    Lower::new(plan, false).run().or_else(|_| Lower::new(plan, true).run())
}

/// State of one pass.
pub(super) struct Lower<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) code: Code,
    pub(super) out: Lowered,
    /// Conditional branches go over an unconditional one.
    long: bool,
    /// Jumps to steps.
    jumps: Vec<(Site, u32)>,
    /// Calls of functions of this program, by their index.
    local_calls: Vec<(Site, usize)>,
    /// Calls of the way to the stop stub.
    stops: Vec<Site>,
    pub(super) cold: ColdParts<Site, Position, Reg>,
    frame: Frame,
    /// The first thing that could not be encoded.
    error: Option<EncodeError>,
}

/// Registers that a function saves, in pairs.
fn saved_pairs(frame: Frame) -> Vec<(RegOrZr, RegOrZr)> {
    let mut registers: Vec<RegOrZr> = frame.saved.iter().map(|bpf| host(bpf).into()).collect();
    if frame.calls {
        registers.extend([RegOrZr::from(Reg::FRAME), RegOrZr::from(Reg::LINK)]);
    }
    registers.chunks(2).map(|pair| (pair[0], pair.get(1).copied().unwrap_or(ZR))).collect()
}

impl<'a> Lower<'a> {
    fn new(plan: &'a Plan<'a>, long: bool) -> Self {
        let out = Lowered { steps: Vec::with_capacity(plan.program.steps.len() + 1), ..Lowered::default() };
        Self {
            plan,
            code: Code::new(),
            out,
            long,
            jumps: Vec::new(),
            local_calls: Vec::new(),
            stops: Vec::new(),
            cold: ColdParts::new(),
            frame: Frame::default(),
            error: None,
        }
    }

    fn run(mut self) -> Result<Lowered, EncodeError> {
        for function in 0..self.plan.program.functions.len() {
            self.function(function);
            self.cold_parts();
        }
        let end = self.position();
        self.out.steps.push(end);
        for (site, target) in std::mem::take(&mut self.jumps) {
            let target = Position(self.out.steps[target as usize] as usize / 4);
            self.patch(site, target);
        }
        for (site, function) in std::mem::take(&mut self.local_calls) {
            let target = Position(self.out.functions[function] as usize / 4);
            self.patch(site, target);
        }
        // All stops go through one place, which leaves the return address alone.
        let here = self.code.here();
        for site in std::mem::take(&mut self.stops) {
            self.patch(site, here);
        }
        self.out.calls.push((self.position(), Call::Stop));
        far_target(&mut self.code);
        self.code.br(TARGET);
        self.out.stops.sort_unstable_by_key(|stop| stop.at);
        self.out.code = self.code.words().iter().flat_map(|word| word.to_le_bytes()).collect();
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.out),
        }
    }

    /// Keeps the first error.
    pub(super) fn check(&mut self, result: Result<(), EncodeError>) {
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }

    /// Bytes of code so far.
    pub(super) fn position(&self) -> u32 {
        // Code of a program of a million steps has a few hundred megabytes at the most.
        (self.code.here().0 * 4) as u32
    }

    pub(super) fn patch(&mut self, site: Site, target: Position) {
        let result = self.code.patch(site, target);
        self.check(result);
    }

    /// Completes a branch to what comes next.
    pub(super) fn patch_here(&mut self, site: Site) {
        let here = self.code.here();
        self.patch(site, here);
    }

    pub(super) fn load_field(&mut self, to: Reg, field: Address) {
        let result = self.code.load(Load::Unsigned(Size::Double), to, field);
        self.check(result);
    }

    pub(super) fn store_field(&mut self, from: Reg, field: Address) {
        let result = self.code.store(Size::Double, from, field);
        self.check(result);
    }

    fn function(&mut self, index: usize) {
        let function = self.plan.program.functions[index];
        let start = self.position();
        self.out.functions.push(start);
        self.prologue(index);
        let mut at = function.start as usize;
        while at < function.end as usize {
            let start = self.position();
            let used = self.step(at);
            // Steps that were fused into the one in front of them start where it does.
            self.out.steps.extend(std::iter::repeat_n(start, used));
            at += used;
        }
    }

    fn prologue(&mut self, index: usize) {
        let frame = self.plan.frame(index);
        self.frame = frame;
        self.save();
        frame.zeroed.iter().for_each(|bpf| self.zero(host(bpf)));
        if frame.called {
            let to_body = self.code.b();
            self.out.functions[index] = self.position();
            self.save();
            self.patch_here(to_body);
        }
    }

    /// Saves registers and makes room on the stack.
    fn save(&mut self) {
        self.code.bti(Landing::Call);
        for pair in saved_pairs(self.frame) {
            let result = self.code.stp(Width::X, pair, super::PairMode::Pre, (SP, -16));
            self.check(result);
        }
        if self.frame.counts {
            self.code.load_immediate(VALUE, MAX_LOOPS);
            let result = self.code.stp(Width::X, (VALUE, ZR), super::PairMode::Pre, (SP, -16));
            self.check(result);
        }
    }

    /// Undoes the prologue.
    pub(super) fn epilogue(&mut self) {
        if self.frame.counts {
            self.add_constant_sp(16);
        }
        for pair in saved_pairs(self.frame).into_iter().rev() {
            let result = self.code.ldp(Width::X, pair, super::PairMode::Post, (SP, 16));
            self.check(result);
        }
    }

    pub(super) fn add_constant_sp(&mut self, bytes: u64) {
        if let Some(imm) = AddImm::new(bytes) {
            self.code.add_imm(Width::X, SP, SP, imm);
        }
    }

    pub(super) fn zero(&mut self, to: Reg) {
        self.code.mov(Width::X, to, ZR);
    }

    /// Emits a step or a pattern of several. Gives their number.
    fn step(&mut self, at: usize) -> usize {
        if let Some(used) = self.peephole(at) {
            return used;
        }
        let step = self.plan.program.steps[at];
        match step.op {
            Op::Alu { width, op, dst, src } => self.alu(width, op, host(dst), host(dst), src),
            Op::MovSx { width, from, dst, src } => self.move_signed(width, from, host(dst), host(src)),
            Op::Neg { width: bits, dst } => self.code.neg(width(bits), host(dst), host(dst)),
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
                let test = self.compare(width, op, host(dst), src);
                self.jump(at, Some(test), step.target);
            }
            Op::MayGoto { .. } => self.may_goto(at, step.target),
            Op::Call(callee) => self.call(at, callee, &step),
            Op::Exit => {
                self.epilogue();
                self.code.ret(Reg::LINK);
            }
            Op::AddrSpaceCast { .. } => unreachable!("loading refuses casts between address spaces"),
        }
        1
    }

    /// `dst = value`, which does not appear in the code if constants are blinded.
    pub(super) fn constant(&mut self, dst: Reg, value: u64) {
        match self.plan.blinded(value) {
            Some((masked, key)) => {
                self.code.load_immediate(dst, masked);
                let other = if dst == EXTRA { EXTRA2 } else { EXTRA };
                self.code.load_immediate(other, key);
                self.code.logic(Logic::Eor, Width::X, dst, dst, other);
            }
            None => self.code.load_immediate(dst, value),
        }
    }

    /// The second operand as a register: a constant is loaded into the one for values.
    pub(super) fn in_register(&mut self, src: Src) -> Reg {
        match src {
            Src::Reg(bpf) => host(bpf),
            Src::Imm(imm) => {
                self.constant(VALUE, imm as i64 as u64);
                VALUE
            }
        }
    }

    /// A branch on a test. Without [`Self::long`] it reaches a MiB, or 32 KiB if it tests a bit.
    fn short_branch(&mut self, test: Test) -> Site {
        match test {
            Test::Flags(cond) => self.code.b_cond(cond),
            Test::Zero { width, reg, zero: true } => self.code.cbz(width, reg),
            Test::Zero { width, reg, zero: false } => self.code.cbnz(width, reg),
            Test::Bit { reg, bit, set, .. } => {
                let site = if set { self.code.tbnz(reg, bit) } else { self.code.tbz(reg, bit) };
                match site {
                    Ok(site) => site,
                    Err(_) => unreachable!("registers have 64 bits"),
                }
            }
        }
    }

    /// A branch on a test that reaches everywhere.
    fn branch(&mut self, test: Option<Test>) -> Site {
        match test {
            Some(test) if self.long => {
                let over = self.short_branch(test.inverse());
                let site = self.code.b();
                self.patch_here(over);
                site
            }
            Some(test) => self.short_branch(test),
            None => self.code.b(),
        }
    }

    /// Jumps to a step, always or on a test. Going back pays fuel.
    pub(super) fn jump(&mut self, at: usize, test: Option<Test>, target: u32) {
        let Some(cost) = Plan::cost(at, target as usize) else {
            // A jump to what comes next is none.
            let distance = target as usize - at;
            if distance != 1 {
                let test = test.map(|test| if distance > NEAR_STEPS { self.far_test(test) } else { test });
                let site = self.branch(test);
                self.jumps.push((site, target));
            }
            return;
        };
        let over = test.map(|test| self.short_branch(test.inverse()));
        self.pay(cost);
        // The subtraction did not borrow: there was enough.
        let site = self.branch(Some(Test::Flags(Cond::Hs)));
        self.jumps.push((site, target));
        self.stop(at, Reason::OutOfFuel);
        if let Some(over) = over {
            self.patch_here(over);
        }
    }

    /// A test of a bit by the flags, whose branch reaches further.
    fn far_test(&mut self, test: Test) -> Test {
        match test {
            Test::Bit { width, reg, bit, set } if !self.long => {
                let Some(mask) = BitmaskImm::new(width, 1 << bit) else { unreachable!("one bit is a run of ones") };
                self.code.tst_imm(reg, mask);
                Test::Flags(if set { Cond::Ne } else { Cond::Eq })
            }
            test => test,
        }
    }

    /// Takes fuel; the carry flag is clear (`Lo`) if there was too little.
    pub(super) fn pay(&mut self, cost: u32) {
        match AddImm::new(cost.into()) {
            Some(imm) => self.code.subs_imm(Width::X, FUEL, FUEL, imm),
            None => {
                self.code.load_immediate(EXTRA, cost.into());
                self.code.arith(Arith::Subs, Width::X, FUEL, FUEL, EXTRA);
            }
        }
    }

    /// Stops here.
    pub(super) fn stop(&mut self, at: usize, reason: Reason) {
        let site = self.code.bl();
        self.stops.push(site);
        let behind = self.position();
        self.out.stops.push(Stop { at: behind, step: at as u32, reason });
    }

    /// Stops on a condition, out of line. A register is kept for the fault.
    pub(super) fn stop_if(&mut self, at: usize, cond: Cond, reason: Reason, keep: Option<Reg>) {
        let from = self.branch(Some(Test::Flags(cond)));
        self.cold.stop(from, at, reason, keep);
    }

    /// Takes a slow way, out of line, on a condition or always.
    pub(super) fn slow(&mut self, cond: Option<Cond>) -> Site {
        self.branch(cond.map(Test::Flags))
    }

    fn cold_parts(&mut self) {
        for Cold { from, step, kind } in self.cold.take() {
            self.patch_here(from);
            match kind {
                ColdKind::Stop(reason, keep) => {
                    if let Some(kept) = keep {
                        self.store_field(kept, field!(stop_registers));
                    }
                    self.stop(step as usize, reason);
                }
                ColdKind::PacketLoad { back, size, offset } => {
                    match offset {
                        PacketOffset::Constant(k) => self.code.load_immediate(reg(0), k.into()),
                        PacketOffset::InRegister => self.code.mov(Width::W, reg(0), ADDRESS),
                    }
                    self.code.load_immediate(reg(1), size.bytes().into());
                    self.call_out(Call::PacketLoad);
                    let missing = self.code.cbnz(Width::W, reg(1));
                    let found = self.code.b();
                    self.patch(found, back);
                    self.patch_here(missing);
                    self.zero(host(BpfReg::R0));
                    self.epilogue();
                    self.code.ret(Reg::LINK);
                }
            }
        }
    }

    /// Calls something that gets the state as its sixth argument; the fuel goes through the state. Its value is in
    /// register 0 of the program afterwards and its stop in x1.
    pub(super) fn call_out(&mut self, call: Call) {
        let at = self.position();
        self.out.calls.push((at, call));
        far_target(&mut self.code);
        self.call_entry(TARGET);
    }

    /// As [`call_out`](Self::call_out) of an address in a register.
    pub(super) fn call_entry(&mut self, entry: Reg) {
        self.store_field(FUEL, field!(fuel));
        self.code.mov(Width::X, reg(5), STATE);
        self.code.blr(entry);
        self.load_field(FUEL, field!(fuel));
        self.code.mov(Width::X, host(BpfReg::R0), reg(0));
    }

    /// Stops if what was called says so.
    pub(super) fn stop_if_told(&mut self, at: usize) {
        self.code.tst(Width::W, reg(1), reg(1));
        self.stop_if(at, Cond::Ne, Reason::Helper, None);
    }

    /// Gives the registers that a call loses the value that shows it, where something reads them.
    pub(super) fn scrub(&mut self, at: usize) {
        self.plan.lost(at).iter().for_each(|bpf| self.code.load_immediate(host(bpf), SCRUBBED));
    }

    /// Calls a function of the program.
    pub(super) fn call_function(&mut self, function: usize) {
        let site = self.code.bl();
        self.local_calls.push((site, function));
    }

    fn may_goto(&mut self, at: usize, target: u32) {
        // A jump to what comes next is none, whatever the counter says.
        if target as usize == at + 1 {
            return;
        }
        let counter = Address::at(SP);
        self.load_field(VALUE, counter);
        if let Some(one) = AddImm::new(1) {
            self.code.subs_imm(Width::X, VALUE, VALUE, one);
        }
        // It stays at zero.
        let over = self.code.b_cond(Cond::Lo);
        self.store_field(VALUE, counter);
        let go_on = self.code.b();
        self.patch_here(over);
        self.jump(at, None, target);
        self.patch_here(go_on);
    }
}

// The fields of the state are reached by offsets of 12 bits in units of 8 bytes.
const _: () = assert!(size_of::<State>() < 8 * 4096);
