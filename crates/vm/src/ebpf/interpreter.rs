//! The interpreter: one step for each decoded instruction, every access checked, every step paid with fuel.

use skep_isa::ebpf::{AtomicOp, Callee, Imm64, Insn, Op, Reg, Size, Src};

use super::fault::{Fault, FaultKind};
use super::helpers::{Helpers, Machine};
use super::map::Map;
use super::memory::{CONTEXT_START, MAX_FRAMES, Memory, Stack, function_index};
use super::program::{LoadError, Program};
use super::semantics;
use crate::classic::{Metadata, packet_load};

/// Instructions that a run may execute unless told otherwise: 16 million.
pub const DEFAULT_FUEL: u64 = 1 << 24;

/// Times that `may_goto` of one function falls through before it jumps (`BPF_MAX_LOOPS` in `linux/bpf.h`).
const MAX_LOOPS: u32 = 8 << 20;

/// Value of the registers that a call leaves undefined. A program that reads them shows it.
const SCRUBBED: u64 = 0xdead_beef_dead_beef;

/// What one run works on.
#[derive(Debug)]
pub struct Input<'a> {
    /// The bytes that register 1 points to; register 2 is their number.
    pub context: &'a mut [u8],
    /// The packet of packet loads and of helpers; readable at [`PACKET_START`](super::PACKET_START).
    pub packet: &'a [u8],
    /// What the kernel knows about the packet.
    pub meta: &'a Metadata,
}

/// A program with its maps and its stack.
#[derive(Debug, Clone)]
pub struct Vm {
    program: Program,
    maps: Vec<Map>,
    stack: Stack,
    fuel: u64,
}

/// A function that waits for its callee.
#[derive(Debug, Clone, Copy, Default)]
struct Caller {
    /// The step to continue with.
    back: u32,
    /// Registers 6 to 10.
    saved: [u64; 5],
    loops: u32,
}

impl Vm {
    /// Loads a program. Its map references (64-bit immediates) are indices into `maps`.
    ///
    /// # Errors
    /// When an instruction does not exist or asks for a helper or a map that is not there, or control could leave the
    /// program. Nothing else is checked before the run; what goes wrong then is a [`Fault`].
    pub fn new(insns: &[Insn], helpers: Helpers, maps: Vec<Map>) -> Result<Self, LoadError> {
        let program = Program::new(insns, helpers, maps.len())?;
        Ok(Self { program, maps, stack: Stack::new(), fuel: DEFAULT_FUEL })
    }

    /// With a limit of `instructions` for each run instead of [`DEFAULT_FUEL`].
    #[must_use]
    pub fn with_fuel(mut self, instructions: u64) -> Self {
        self.fuel = instructions;
        self
    }

    /// The maps in the order in which they were given.
    pub fn maps(&self) -> &[Map] {
        &self.maps
    }

    /// The maps, to change their contents between runs.
    pub fn maps_mut(&mut self) -> &mut [Map] {
        &mut self.maps
    }

    /// Runs the program and gives register 0 at its end.
    ///
    /// On entry register 1 is the address of the context, register 2 its length, register 10 the end of the stack;
    /// all others are 0. Changes to the maps stay when a run ends with a fault.
    ///
    /// # Errors
    /// The first instruction that does what it must not.
    pub fn run(&mut self, input: Input<'_>) -> Result<u64, Fault> {
        let context_len = input.context.len() as u64;
        let memory = Memory::new(input.context, input.packet, &mut self.stack, &mut self.maps);
        let mut run = Run {
            program: &self.program,
            machine: Machine { memory, meta: input.meta, random: input.meta.random },
            registers: [0; 11],
            callers: [Caller::default(); MAX_FRAMES],
            depth: 0,
            loops: MAX_LOOPS,
            pc: 0,
        };
        run.registers[1] = CONTEXT_START;
        run.registers[2] = context_len;
        let first = self.program.steps[0].at;
        run.registers[10] = run.machine.memory.enter().map_err(|kind| Fault { at: first, kind })?;
        let mut fuel = self.fuel;
        loop {
            // Every target of the program is the index of a step, and the last step does not fall through.
            let step = &self.program.steps[run.pc];
            let Some(rest) = fuel.checked_sub(1) else {
                return Err(Fault { at: step.at, kind: FaultKind::OutOfFuel });
            };
            fuel = rest;
            run.pc += 1;
            match run.execute(step.op, step.target) {
                Ok(Next::Step) => {}
                Ok(Next::End) => return Ok(run.registers[0]),
                Err(kind) => return Err(Fault { at: step.at, kind }),
            }
        }
    }
}

/// What follows an instruction.
enum Next {
    Step,
    End,
}

/// State of a run.
struct Run<'a> {
    program: &'a Program,
    machine: Machine<'a>,
    registers: [u64; 11],
    callers: [Caller; MAX_FRAMES],
    /// Number of waiting callers.
    depth: usize,
    /// What is left of [`MAX_LOOPS`] in the active function.
    loops: u32,
    /// The step to run next.
    pc: usize,
}

impl Run<'_> {
    #[inline(always)]
    fn operand(&self, src: Src) -> u64 {
        match src {
            Src::Reg(reg) => self.registers[reg.index()],
            Src::Imm(imm) => semantics::immediate(imm),
        }
    }

    #[inline(always)]
    fn address(&self, base: Reg, off: i16) -> u64 {
        self.registers[base.index()].wrapping_add_signed(off.into())
    }

    #[inline(always)]
    fn execute(&mut self, op: Op, target: u32) -> Result<Next, FaultKind> {
        match op {
            Op::Alu { width, op, dst, src } => {
                let value = semantics::alu(width, op, self.registers[dst.index()], self.operand(src));
                self.registers[dst.index()] = value;
            }
            Op::MovSx { width, from, dst, src } => {
                self.registers[dst.index()] = semantics::move_signed(width, from, self.registers[src.index()]);
            }
            Op::Neg { width, dst } => {
                self.registers[dst.index()] = semantics::negate(width, self.registers[dst.index()]);
            }
            Op::Swap { order, size, dst } => {
                self.registers[dst.index()] = semantics::swap(order, size, self.registers[dst.index()]);
            }
            Op::LoadImm { dst, value: Imm64::Value(value) } => self.registers[dst.index()] = value,
            Op::Load { size, signed, dst, base, off } => {
                let value = self.machine.memory.load(self.address(base, off), size)?;
                self.registers[dst.index()] = if signed { size.sign_extend(value) } else { value };
            }
            // One thread runs the program, so ordering between threads has no meaning here.
            Op::LoadAcquire { size, dst, base, off } => {
                self.registers[dst.index()] = self.machine.memory.load(self.address(base, off), size)?;
            }
            Op::Store { size, base, off, src } => {
                self.machine.memory.store(self.address(base, off), size, self.operand(src))?;
            }
            Op::StoreRelease { size, base, off, src } => {
                self.machine.memory.store(self.address(base, off), size, self.registers[src.index()])?;
            }
            Op::Atomic { .. } => self.atomic(op)?,
            Op::Goto { .. } | Op::GotoLong { .. } => self.pc = target as usize,
            Op::JumpIf { width, op, dst, src, .. } => {
                if semantics::jump(width, op, self.registers[dst.index()], self.operand(src)) {
                    self.pc = target as usize;
                }
            }
            Op::MayGoto { .. } => match self.loops.checked_sub(1) {
                Some(rest) => self.loops = rest,
                None => self.pc = target as usize,
            },
            Op::LdAbs { size, k } => return self.packet_load(size, k.cast_unsigned()),
            Op::LdInd { size, src, k } => {
                let offset = (self.registers[src.index()] as u32).wrapping_add_signed(k);
                return self.packet_load(size, offset);
            }
            Op::Call(Callee::Local(_)) => self.call(target)?,
            Op::Call(Callee::Helper(_)) => self.call_helper(target, FaultKind::BadCallTarget(target.into()))?,
            Op::Call(Callee::Reg(reg)) => self.call_indirect(self.registers[reg.index()])?,
            Op::Exit => return Ok(self.exit()),
            // Loading resolves other immediates to values and refuses what needs the kernel.
            Op::LoadImm { .. } | Op::AddrSpaceCast { .. } | Op::Call(Callee::Kfunc { .. }) => {}
        }
        Ok(Next::Step)
    }

    fn atomic(&mut self, op: Op) -> Result<(), FaultKind> {
        let Op::Atomic { width, op, fetch, base, off, src } = op else { return Ok(()) };
        let address = self.address(base, off);
        // Asking for the right to write first makes the fault one of writing.
        self.machine.memory.bytes_mut(address, width.size().bytes())?;
        let old = self.machine.memory.load(address, width.size())?;
        let new = semantics::atomic(width, op, old, self.registers[src.index()], self.registers[0]);
        self.machine.memory.store(address, width.size(), new)?;
        if op == AtomicOp::CmpXchg {
            self.registers[0] = old;
        } else if fetch {
            self.registers[src.index()] = old;
        }
        Ok(())
    }

    /// Loads packet bytes in network byte order. Outside of the packet the function ends with 0.
    fn packet_load(&mut self, size: Size, offset: u32) -> Result<Next, FaultKind> {
        if self.registers[6] != CONTEXT_START {
            return Err(FaultKind::NotTheContext(self.registers[6]));
        }
        let value = packet_load(self.machine.memory.packet(), offset, size.bytes(), self.machine.meta);
        self.registers[0] = value.unwrap_or(0).into();
        self.registers[1..6].fill(SCRUBBED);
        Ok(if value.is_some() { Next::Step } else { self.exit() })
    }

    fn call(&mut self, target: u32) -> Result<(), FaultKind> {
        let frame = self.machine.memory.enter()?;
        let [.., r6, r7, r8, r9, r10] = self.registers;
        // `enter` limits the depth. The index of a step fits 32 bits because programs have at most 10^6.
        self.callers[self.depth] = Caller { back: self.pc as u32, saved: [r6, r7, r8, r9, r10], loops: self.loops };
        self.depth += 1;
        self.registers[10] = frame;
        self.loops = MAX_LOOPS;
        self.pc = target as usize;
        Ok(())
    }

    fn exit(&mut self) -> Next {
        self.machine.memory.leave();
        let Some(depth) = self.depth.checked_sub(1) else { return Next::End };
        let caller = self.callers[depth];
        self.depth = depth;
        self.registers[6..].copy_from_slice(&caller.saved);
        self.loops = caller.loops;
        self.pc = caller.back as usize;
        Next::Step
    }

    fn call_helper(&mut self, index: u32, unknown: FaultKind) -> Result<(), FaultKind> {
        let helper = self.program.helpers.at(index).ok_or(unknown)?;
        let [_, r1, r2, r3, r4, r5, ..] = self.registers;
        self.registers[0] = helper(&mut self.machine, [r1, r2, r3, r4, r5])?;
        self.registers[1..6].fill(SCRUBBED);
        Ok(())
    }

    /// Calls the function that a register holds the address of, or the helper that it holds the number of.
    fn call_indirect(&mut self, value: u64) -> Result<(), FaultKind> {
        let unknown = FaultKind::BadCallTarget(value);
        if let Some(target) = function_index(value) {
            // An address made by arithmetic may lie behind the program.
            let exists = (target as usize) < self.program.steps.len();
            return if exists { self.call(target) } else { Err(unknown) };
        }
        let helper = i32::try_from(value).ok().and_then(|id| self.program.helpers.find(id)).ok_or(unknown)?;
        self.call_helper(helper, unknown)
    }
}
