//! Writing a program and running it at the same time: each instruction is appended and carried out on a model of
//! registers and memory, so that at any point the program can check all of its state.
//!
//! The memory is a window of [`WINDOW`] bytes. At [`Home::Stack`] it lies on the stack and operands are constants, which
//! the kernel accepts. At [`Home::Memory`] window and operands lie behind register 1, so that no compiler can know them.

use skep_isa::ebpf::{AluOp, AtomicOp, Group, Imm64, JmpOp, Op, Reg, Size, Src, Width};

use super::asm::{Asm, CONTEXT, Label, R0, R1, R2, R10, REGS, W64, alu, alui, jump_if, load, set, store, unary_value};
use super::{Case, eval};
use crate::Rng;

/// Bytes of the window, a multiple of 8.
pub(super) const WINDOW: usize = 256;
/// Where the stack's window begins, relative to register 10.
const STACK_WINDOW: i16 = -(WINDOW as i16);
/// Where checks put the registers, relative to register 10.
const SPILL: i16 = -512;
/// Where the address of the memory is kept, relative to register 10.
const SAVED: i16 = -264;
/// Stand-ins for addresses. No result depends on them.
const FRAME: u64 = 0x4000_0000_1000;
const MEMORY: u64 = 0x5000_0000_0000;

/// Where window and operands lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// Window on the stack, operands as constants.
    Stack,
    /// Both behind register 1.
    Memory,
}

impl Home {
    pub(super) const ALL: [Self; 2] = [Self::Stack, Self::Memory];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::Memory => "memory",
        }
    }
}

/// A program with the state that it is in.
#[derive(Debug)]
pub(super) struct Script {
    asm: Asm,
    home: Home,
    regs: [u64; 11],
    /// Bit n: register n has a value that is known.
    known: u16,
    /// Bit n: register n holds an address.
    pointers: u16,
    window: [u8; WINDOW],
    first_window: [u8; WINDOW],
    /// Operands behind the window.
    pool: Vec<u8>,
    /// False in branches that are not taken: instructions are written only.
    live: bool,
}

const fn bit(reg: Reg) -> u16 {
    1 << reg.number()
}

impl Script {
    /// A program that begins with a window of random bytes.
    pub(super) fn new(home: Home, rng: &mut Rng) -> Self {
        let mut script = Self {
            asm: Asm::default(),
            home,
            regs: [0; 11],
            known: bit(R10),
            pointers: bit(R10),
            window: [0; WINDOW],
            first_window: [0; WINDOW],
            pool: Vec::new(),
            live: true,
        };
        script.regs[10] = FRAME;
        match home {
            Home::Stack => {
                for off in (STACK_WINDOW..0).step_by(4) {
                    let src = Src::Imm(rng.u32() as i32);
                    script.run(Op::Store { size: Size::W, base: R10, off, src });
                }
            }
            Home::Memory => {
                script.window.copy_from_slice(&rng.bytes(WINDOW));
                script.asm.op(store(Size::DW, R10, SAVED, R1));
            }
        }
        script.first_window = script.window;
        script
    }

    /// Slots so far.
    pub(super) fn len(&self) -> usize {
        self.asm.len()
    }

    /// Gives the register a value.
    pub(super) fn set(&mut self, dst: Reg, value: u64) {
        match self.home {
            Home::Stack => self.asm.op(set(dst, value)),
            Home::Memory => {
                self.asm.op(load(Size::DW, dst, R10, SAVED));
                self.load_operand(dst, value);
            }
        }
        self.learn(dst, value);
    }

    /// Gives every register a value.
    pub(super) fn set_all(&mut self, rng: &mut Rng) {
        for reg in REGS {
            let value = super::values::any(rng);
            self.set(reg, value);
        }
    }

    /// Appends the value to the operands and loads it through the register, which holds the start of memory.
    fn load_operand(&mut self, dst: Reg, value: u64) {
        let at = WINDOW + self.pool.len();
        self.pool.extend(value.to_ne_bytes());
        let off = match i16::try_from(at) {
            Ok(off) => off,
            Err(_) => {
                self.asm.op(alui(W64, AluOp::Add, dst, at as i32));
                0
            }
        };
        self.asm.op(load(Size::DW, dst, dst, off));
    }

    fn learn(&mut self, dst: Reg, value: u64) {
        if self.live {
            self.regs[dst.index()] = value;
            self.known |= bit(dst);
            self.pointers &= !bit(dst);
        }
    }

    /// Makes the register point `delta` bytes behind the start of the window, which may be outside of it.
    pub(super) fn point(&mut self, reg: Reg, delta: i32) {
        let start = self.start();
        match self.home {
            Home::Stack => {
                self.asm.ops(&[Op::mov(reg, R10), alui(W64, AluOp::Add, reg, i32::from(STACK_WINDOW) + delta)]);
            }
            Home::Memory => {
                self.asm.ops(&[load(Size::DW, reg, R10, SAVED), alui(W64, AluOp::Add, reg, delta)]);
            }
        }
        self.learn(reg, start.wrapping_add_signed(delta.into()));
        self.pointers |= bit(reg);
    }

    fn start(&self) -> u64 {
        match self.home {
            Home::Stack => FRAME - WINDOW as u64,
            Home::Memory => MEMORY,
        }
    }

    /// The value of a register in the model.
    pub(super) fn value(&self, reg: Reg) -> u64 {
        debug_assert!(self.known & bit(reg) != 0, "{reg} is not known");
        self.regs[reg.index()]
    }

    fn operand(&self, src: Src) -> u64 {
        match src {
            Src::Reg(reg) => self.value(reg),
            Src::Imm(imm) => eval::immediate(imm),
        }
    }

    fn is_pointer(&self, reg: Reg) -> bool {
        self.pointers & bit(reg) != 0
    }

    /// Offset in the window of an access.
    fn at(&self, base: Reg, off: i16) -> usize {
        debug_assert!(self.is_pointer(base), "{base} is no address");
        self.value(base).wrapping_add_signed(off.into()).wrapping_sub(self.start()) as usize
    }

    /// Appends the instruction and carries it out.
    pub(super) fn run(&mut self, op: Op) {
        self.asm.op(op);
        if self.live {
            self.execute(op);
        }
    }

    /// Appends the instructions and carries them out.
    pub(super) fn run_all(&mut self, ops: &[Op]) {
        ops.iter().for_each(|&op| self.run(op));
    }

    fn execute(&mut self, op: Op) {
        match op {
            Op::Alu { width, op, dst, src } => {
                let a = if op == AluOp::Mov { 0 } else { self.value(dst) };
                let value = eval::alu(width, op, a, self.operand(src));
                let pointer = matches!(src, Src::Reg(src) if self.is_pointer(src));
                self.learn(dst, value);
                self.pointers |= if pointer && op == AluOp::Mov { bit(dst) } else { 0 };
                debug_assert!(!pointer || op == AluOp::Mov, "a result depends on an address");
            }
            Op::MovSx { dst, src, .. } => self.learn(dst, unary_value(op, self.value(src))),
            Op::Neg { dst, .. } | Op::Swap { dst, .. } => self.learn(dst, unary_value(op, self.value(dst))),
            Op::LoadImm { dst, value: Imm64::Value(value) } => self.learn(dst, value),
            Op::Load { size, signed, dst, base, off } => {
                let value = eval::load(&self.window, self.at(base, off), size);
                self.learn(dst, if signed { eval::extend(W64, size, value) } else { value });
            }
            Op::LoadAcquire { size, dst, base, off } => {
                let value = eval::load(&self.window, self.at(base, off), size);
                self.learn(dst, value);
            }
            Op::Store { size, base, off, src } => {
                let (at, value) = (self.at(base, off), self.operand(src));
                eval::store(&mut self.window, at, size, value);
            }
            Op::StoreRelease { size, base, off, src } => {
                let (at, value) = (self.at(base, off), self.value(src));
                eval::store(&mut self.window, at, size, value);
            }
            Op::Atomic { width, op, fetch, base, off, src } => self.atomic(width, op, fetch, (base, off), src),
            _ => unreachable!("{op:?} is not for scripts"),
        }
    }

    fn atomic(&mut self, width: Width, op: AtomicOp, fetch: bool, (base, off): (Reg, i16), src: Reg) {
        let at = self.at(base, off);
        let old = eval::load(&self.window, at, width.size());
        let new = eval::atomic(width, op, old, self.value(src), self.regs[0]);
        eval::store(&mut self.window, at, width.size(), new);
        match op {
            AtomicOp::CmpXchg => self.learn(R0, old),
            _ if fetch => self.learn(src, old),
            _ => {}
        }
    }

    /// A conditional jump over `then` to `otherwise`, after which both meet again.
    pub(super) fn branch(
        &mut self,
        (width, op, dst, src): (Width, JmpOp, Reg, Src),
        then: impl FnOnce(&mut Self),
        otherwise: Option<impl FnOnce(&mut Self)>,
    ) {
        let live = self.live;
        let taken = live && eval::condition(width, op, self.value(dst), self.operand(src));
        let (else_, end) = (self.asm.label(), self.asm.label());
        self.asm.to(jump_if(width, op, dst, src), else_);
        self.live = live && !taken;
        then(self);
        if let Some(otherwise) = otherwise {
            self.asm.to(super::asm::GOTO, end);
            self.asm.place(else_);
            self.live = taken;
            otherwise(self);
        } else {
            self.asm.place(else_);
        }
        self.asm.place(end);
        self.live = live;
    }

    /// A conditional jump back to `body`, which lies before it and is jumped over first. With `via`, an unconditional
    /// jump, that one leads back and the condition leads around it.
    pub(super) fn backward(
        &mut self,
        (width, op, dst, src): (Width, JmpOp, Reg, Src),
        via: Option<Op>,
        body: impl FnOnce(&mut Self),
    ) {
        let holds = eval::condition(width, op, self.value(dst), self.operand(src));
        let live = self.live;
        let (decide, end) = (self.asm.label(), self.asm.label());
        self.asm.to(via.unwrap_or(super::asm::GOTO), decide);
        let back = self.asm.here();
        self.live = live && holds == via.is_none();
        body(self);
        self.asm.to(super::asm::GOTO, end);
        self.asm.place(decide);
        match via {
            None => self.asm.to(jump_if(width, op, dst, src), back),
            Some(jump) => {
                self.asm.to(jump_if(width, op, dst, src), end);
                self.asm.to(jump, back);
            }
        }
        self.asm.place(end);
        self.live = live;
    }

    /// An unconditional jump over `body`, which the condition leads to.
    pub(super) fn around(&mut self, condition: (Width, JmpOp, Reg, Src), jump: Op, body: impl FnOnce(&mut Self)) {
        let (width, op, dst, src) = condition;
        let live = self.live;
        let taken = live && eval::condition(width, op, self.value(dst), self.operand(src));
        let (inside, end) = (self.asm.label(), self.asm.label());
        self.asm.to(jump_if(width, op, dst, src), inside);
        self.asm.to(jump, end);
        self.asm.place(inside);
        self.live = taken;
        body(self);
        self.asm.place(end);
        self.live = live;
    }

    /// A jump that must go as the evaluator says; a failing check otherwise.
    pub(super) fn check_jump(&mut self, width: Width, op: JmpOp, dst: Reg, src: Src) {
        let taken = eval::condition(width, op, self.value(dst), self.operand(src));
        self.asm.expect_jump(width, op, dst, src, taken);
    }

    /// Runs the instructions `times` times, counted down in `counter`, which they must not write.
    pub(super) fn repeat(&mut self, counter: Reg, times: i32, body: &[Op]) {
        self.run(Op::mov_imm(counter, times));
        let again: Label = self.asm.here();
        self.run_all(body);
        self.run(alui(W64, AluOp::Sub, counter, 1));
        self.asm.to(jump_if(W64, JmpOp::Ne, counter, Src::Imm(0)), again);
        if self.live {
            for _ in 1..times {
                body.iter().for_each(|&op| self.execute(op));
                self.execute(alui(W64, AluOp::Sub, counter, 1));
            }
        }
    }

    /// Checks every register with a known value, addresses relative to the window. Registers 1 and 2 are lost.
    pub(super) fn check_all(&mut self) {
        let list: Vec<Reg> = REGS.into_iter().filter(|&reg| self.known & bit(reg) != 0).collect();
        let slot = |reg: Reg| SPILL + 8 * i16::from(reg.number());
        list.iter().for_each(|&reg| self.asm.op(store(Size::DW, R10, slot(reg), reg)));
        for reg in list {
            self.asm.op(load(Size::DW, R1, R10, slot(reg)));
            let mut expected = self.regs[reg.index()];
            if self.is_pointer(reg) {
                let base = match self.home {
                    Home::Stack => Op::mov(R2, R10),
                    Home::Memory => load(Size::DW, R2, R10, SAVED),
                };
                self.asm.ops(&[base, alu(W64, AluOp::Sub, R1, R2)]);
                expected = expected.wrapping_sub(if self.home == Home::Stack { FRAME } else { MEMORY });
            }
            self.asm.expect(R1, expected, R2);
        }
        self.forget(R1);
        self.forget(R2);
    }

    /// Declares the register unknown.
    pub(super) fn forget(&mut self, reg: Reg) {
        self.known &= !bit(reg);
        self.pointers &= !bit(reg);
    }

    /// Checks the eight bytes at `at`, a multiple of 8, of the window. Registers 1 and 2 are lost.
    pub(super) fn check_window(&mut self, at: usize) {
        let off = at as i16;
        match self.home {
            Home::Stack => self.asm.op(load(Size::DW, R1, R10, STACK_WINDOW + off)),
            Home::Memory => self.asm.ops(&[load(Size::DW, R1, R10, SAVED), load(Size::DW, R1, R1, off)]),
        }
        let expected = eval::load(&self.window, at, Size::DW);
        self.asm.expect(R1, expected, R2);
        self.forget(R1);
        self.forget(R2);
    }

    /// The finished case.
    pub(super) fn case(self, name: String, group: Group) -> Case {
        let case = self.asm.checked(name, group);
        match self.home {
            Home::Stack => case,
            Home::Memory => Case {
                memory: [&self.first_window[..], &self.pool].concat(),
                memory_after: Some([&self.window[..], &self.pool].concat()),
                ..case.kernel(CONTEXT)
            },
        }
    }
}
