//! Random programs that the kernel's verifier accepts and that work on memory: the stack, values of maps, atomic
//! operations, look-ups, updates and deletions, loops, calls between functions.
//!
//! They hold by construction to what the verifier can follow: between two steps every register but the frame pointer
//! holds a number, all of the window of the stack is written, and an address lives only inside of one step.

use skep_isa::MapType;
use skep_isa::ebpf::{AluOp, AtomicOp, Callee, Imm64, Insn, JmpOp, Op, Reg, Size, Src, Width};

use super::Bytes;
use super::ebpf::{alu64, body_op, immediate, register};

/// A map that these programs use.
#[derive(Debug, Clone, Copy)]
pub struct StatefulMap {
    /// Its type.
    pub map_type: MapType,
    /// Bytes in a key.
    pub key_size: u32,
    /// Bytes in a value.
    pub value_size: u32,
    /// Most entries.
    pub max_entries: u32,
}

const fn map(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> StatefulMap {
    StatefulMap { map_type, key_size, value_size, max_entries }
}

/// The maps, in the order of the descriptors that [`stateful_program`] takes. The first is global data.
pub const STATEFUL_MAPS: [StatefulMap; 4] = [
    map(MapType::Array, 4, WINDOW as u32, 1),
    map(MapType::Array, 4, 16, 4),
    map(MapType::Hash, 4, 16, 3),
    map(MapType::Hash, 8, 24, 5),
];

/// Bytes of stack that steps use as memory, all of them written at the start: [-64, 0) of the frame.
const WINDOW: i16 = 64;
/// Where a step puts a key: 8 bytes below the window.
const KEY: i16 = -WINDOW - 8;
/// Most functions besides the first.
const MAX_FUNCTIONS: usize = 3;
/// Most rounds of a loop.
const MAX_ROUNDS: usize = 6;

/// Instructions that belong together; jumps of other steps lead to their first one.
type Step = Vec<Op>;

/// A program for socket filters that loads in the kernel (but for its limit of states, in rare cases), on maps with
/// these descriptors. Register 0 at the end depends on all registers and the stack.
pub fn stateful_program(bytes: &mut Bytes<'_>, descriptors: [i32; STATEFUL_MAPS.len()]) -> Vec<Insn> {
    let functions = bytes.below(MAX_FUNCTIONS + 1);
    let mut code: Vec<Vec<Insn>> = Vec::new();
    // From the last to the first: a function calls only such as come behind it.
    for index in (0..=functions).rev() {
        let size = if index == 0 { 28 } else { 8 };
        let mut function = Function { bytes, descriptors, callees: functions - index, steps: Vec::new() };
        function.begin(index == 0);
        for _ in 0..function.bytes.below(size) {
            function.step();
        }
        function.end();
        code.push(resolve(function.steps));
    }
    code.reverse();
    link(&code)
}

/// A call of the function this many behind the caller is written with this distance and resolved by [`link`].
const fn call(behind: usize) -> Op {
    Op::Call(Callee::Local(behind as i32))
}

/// Joins functions and turns the numbers in calls into distances.
fn link(code: &[Vec<Insn>]) -> Vec<Insn> {
    let starts: Vec<usize> = code
        .iter()
        .scan(0, |next, function| {
            let start = *next;
            *next += function.len();
            Some(start)
        })
        .collect();
    let mut insns = code.concat();
    for (index, function) in code.iter().enumerate() {
        for at in starts[index]..starts[index] + function.len() {
            let second = insns.get(at + 1).copied();
            if let Ok(Op::Call(Callee::Local(behind))) = insns[at].decode(second) {
                let target = starts[index + behind as usize];
                insns[at].imm = target as i32 - at as i32 - 1;
            }
        }
    }
    insns
}

/// Flattens steps; distances of jumps that are a step of their own count steps and become slots.
fn resolve(steps: Vec<Step>) -> Vec<Insn> {
    let slots = |op: &Op| {
        let mut insns = Vec::new();
        op.emit(&mut insns);
        insns.len()
    };
    let lengths: Vec<usize> = steps.iter().map(|step| step.iter().map(slots).sum()).collect();
    let mut insns = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let distance = |count: i16| -> i16 { lengths[at + 1..][..count as usize].iter().sum::<usize>() as i16 };
        match step[..] {
            [Op::JumpIf { width, op, dst, src, off }] => {
                Op::JumpIf { width, op, dst, src, off: distance(off) }.emit(&mut insns);
            }
            [Op::Goto { off }] => Op::Goto { off: distance(off) }.emit(&mut insns),
            _ => step.iter().for_each(|op| op.emit(&mut insns)),
        }
    }
    insns
}

/// A function under construction.
struct Function<'b, 'd> {
    bytes: &'b mut Bytes<'d>,
    descriptors: [i32; STATEFUL_MAPS.len()],
    /// How many functions it may call.
    callees: usize,
    steps: Vec<Step>,
}

impl Function<'_, '_> {
    /// Gives registers and stack their first values: constants, arguments, and words of global data, of which the
    /// verifier knows nothing.
    fn begin(&mut self, first: bool) {
        let mut step = vec![Op::LoadImm { dst: Reg::R0, value: self.global() }];
        let from = if first { 1 } else { 6 };
        for dst in (from..10).filter_map(Reg::new) {
            let off = i16::from(dst.number()) % 8 * 8;
            step.push(if self.bytes.one_in(3) {
                Op::mov_imm(dst, immediate(self.bytes))
            } else {
                Op::Load { size: Size::DW, signed: false, dst, base: Reg::R0, off }
            });
        }
        for off in (-WINDOW..0).step_by(8) {
            let src = Src::Reg(Reg::new((off / 8).unsigned_abs() as u8).unwrap_or(Reg::R1));
            step.push(Op::Store { size: Size::DW, base: Reg::R10, off, src });
        }
        step.push(Op::mov_imm(Reg::R0, 1));
        self.steps.push(step);
    }

    /// The address of the first map's value.
    const fn global(&self) -> Imm64 {
        Imm64::MapFdValue { fd: self.descriptors[0], offset: 0 }
    }

    fn call(&mut self, behind: usize) -> Step {
        let mut step = vec![call(behind)];
        step.extend(self.lost());
        step
    }

    /// Mixes everything into register 0 and returns.
    fn end(&mut self) {
        // Each function calls the next one, or the verifier would refuse that as unreachable.
        let mut step = if self.callees > 0 { self.call(1) } else { Step::new() };
        for src in (1..10).filter_map(Reg::new) {
            step.extend([alu64(AluOp::Mul, Reg::R0, Src::Imm(0x0100_0193)), alu64(AluOp::Xor, Reg::R0, Src::Reg(src))]);
        }
        for off in (-WINDOW..0).step_by(8) {
            step.push(Op::Load { size: Size::DW, signed: false, dst: Reg::R1, base: Reg::R10, off });
            step.extend([
                alu64(AluOp::Mul, Reg::R0, Src::Imm(0x0100_0193)),
                alu64(AluOp::Add, Reg::R0, Src::Reg(Reg::R1)),
            ]);
        }
        step.extend([
            Op::mov(Reg::R1, Reg::R0),
            alu64(AluOp::Rsh, Reg::R1, Src::Imm(32)),
            alu64(AluOp::Xor, Reg::R0, Src::Reg(Reg::R1)),
            Op::Exit,
        ]);
        self.steps.push(step);
    }

    fn step(&mut self) {
        let step = match self.bytes.below(14) {
            0..4 => {
                // Jumps go to a later step; the last one always comes. Few of them, so that few paths exist.
                match body_op(self.bytes, 1) {
                    Op::JumpIf { .. } | Op::Goto { .. } | Op::GotoLong { .. } if !self.bytes.one_in(2) => vec![],
                    Op::GotoLong { .. } => vec![Op::Goto { off: 0 }],
                    op => vec![op],
                }
            }
            4 => self.stack_access(),
            5 => self.variable_stack_access(),
            6 | 7 => self.global_access(),
            8 | 9 => self.look_up(),
            10 => self.update(),
            11 => self.delete(),
            12 => self.counted_loop(),
            _ if self.callees > 0 => {
                let behind = 1 + self.bytes.below(self.callees);
                self.call(behind)
            }
            _ => self.skip_one(),
        };
        self.steps.push(step);
    }

    /// A jump over the step that follows, which is a computation.
    fn skip_one(&mut self) -> Step {
        let (dst, src) = (register(self.bytes), register(self.bytes));
        let width = self.bytes.pick(&[Width::W32, Width::W64]);
        self.steps.push(vec![Op::JumpIf { width, op: self.bytes.pick(JmpOp::ALL), dst, src: Src::Reg(src), off: 1 }]);
        vec![alu64(AluOp::Xor, dst, Src::Imm(immediate(self.bytes))), Op::Neg { width, dst: src }]
    }

    /// Numbers for the registers that a call loses.
    fn lost(&mut self) -> Step {
        (1..6)
            .filter_map(Reg::new)
            .map(|dst| match self.bytes.below(3) {
                0 => Op::mov_imm(dst, immediate(self.bytes)),
                _ => Op::mov(dst, self.saved()),
            })
            .collect()
    }

    /// A register that calls keep.
    fn saved(&mut self) -> Reg {
        self.bytes.pick(&[Reg::R6, Reg::R7, Reg::R8, Reg::R9])
    }

    /// A size, and a place for it in `room` bytes.
    fn place(&mut self, room: i16) -> (Size, i16) {
        let size = self.bytes.pick(Size::ALL);
        let bytes = i16::from(size.bytes() as u8);
        (size, self.bytes.below((room / bytes) as usize) as i16 * bytes)
    }

    fn operand(&mut self) -> Src {
        if self.bytes.one_in(3) { Src::Imm(immediate(self.bytes)) } else { Src::Reg(register(self.bytes)) }
    }

    fn stack_access(&mut self) -> Step {
        let (size, off) = self.place(WINDOW);
        let (base, off) = (Reg::R10, off - WINDOW);
        vec![match self.bytes.below(2) {
            0 => Op::Store { size, base, off, src: self.operand() },
            _ => Op::Load { size, signed: false, dst: register(self.bytes), base, off },
        }]
    }

    /// An access whose place depends on a register.
    fn variable_stack_access(&mut self) -> Step {
        let (index, value) = (self.saved(), self.saved());
        let access = match self.bytes.below(2) {
            0 => Op::Store { size: Size::DW, base: Reg::R1, off: -WINDOW, src: Src::Reg(value) },
            _ => Op::Load { size: Size::DW, signed: false, dst: Reg::R3, base: Reg::R1, off: -WINDOW },
        };
        vec![
            Op::mov(Reg::R2, index),
            alu64(AluOp::And, Reg::R2, Src::Imm(56)),
            Op::mov(Reg::R1, Reg::R10),
            alu64(AluOp::Add, Reg::R1, Src::Reg(Reg::R2)),
            access,
            Op::mov(Reg::R1, index),
        ]
    }

    /// An access to `room` bytes behind `base`, which holds an address.
    fn access(&mut self, base: Reg, room: i16) -> Op {
        let (size, off) = self.place(room);
        let value = self.saved();
        match self.bytes.below(4) {
            0 => Op::Load { size, signed: self.bytes.one_in(2) && size != Size::DW, dst: value, base, off },
            1 => Op::Store { size, base, off, src: Src::Reg(value) },
            2 => Op::Store { size, base, off, src: Src::Imm(immediate(self.bytes)) },
            _ => {
                let width = self.bytes.pick(&[Width::W32, Width::W64]);
                let op = self.bytes.pick(AtomicOp::ALL);
                // Register 0 is the operand of a compare-and-exchange; as an address it cannot be.
                let op = if op == AtomicOp::CmpXchg && base == Reg::R0 { AtomicOp::Xchg } else { op };
                let fetch = op.alu().is_none() || self.bytes.one_in(2);
                Op::Atomic { width, op, fetch, base, off: off & !7, src: value }
            }
        }
    }

    fn global_access(&mut self) -> Step {
        let index = self.saved();
        let mut step = vec![Op::LoadImm { dst: Reg::R1, value: self.global() }];
        if self.bytes.one_in(2) {
            step.extend([
                Op::mov(Reg::R2, index),
                alu64(AluOp::And, Reg::R2, Src::Imm(48)),
                alu64(AluOp::Add, Reg::R1, Src::Reg(Reg::R2)),
                self.access(Reg::R1, 16),
            ]);
        } else {
            step.push(self.access(Reg::R1, WINDOW));
        }
        step.push(Op::mov(Reg::R1, index));
        step
    }

    /// Puts a key for a map into the frame, and the map and the key's address into registers 1 and 2.
    fn key(&mut self, map: usize) -> Step {
        let StatefulMap { max_entries, key_size, .. } = STATEFUL_MAPS[map];
        let mut step = Vec::new();
        // One key more than there are places.
        let key = if self.bytes.one_in(2) {
            Src::Imm(self.bytes.below(max_entries as usize + 2) as i32)
        } else {
            let index = self.saved();
            step.extend([Op::mov(Reg::R1, index), alu64(AluOp::And, Reg::R1, Src::Imm(7))]);
            Src::Reg(Reg::R1)
        };
        let size = if key_size == 4 { Size::W } else { Size::DW };
        step.extend([
            Op::Store { size, base: Reg::R10, off: KEY, src: key },
            Op::mov(Reg::R2, Reg::R10),
            alu64(AluOp::Add, Reg::R2, Src::Imm(KEY.into())),
            Op::LoadImm { dst: Reg::R1, value: Imm64::MapFd(self.descriptors[map]) },
        ]);
        step
    }

    fn any_map(&mut self) -> usize {
        1 + self.bytes.below(STATEFUL_MAPS.len() - 1)
    }

    fn look_up(&mut self) -> Step {
        let map = self.any_map();
        let mut step = self.key(map);
        step.push(Op::Call(Callee::Helper(1)));
        let room = STATEFUL_MAPS[map].value_size as i16;
        let accesses: Vec<Op> = (0..=self.bytes.below(3)).map(|_| self.access(Reg::R0, room)).collect();
        let off = accesses.len() as i16;
        step.push(Op::JumpIf { width: Width::W64, op: JmpOp::Eq, dst: Reg::R0, src: Src::Imm(0), off });
        step.extend(accesses);
        let value = self.saved();
        step.push(Op::mov(Reg::R0, value));
        step.extend(self.lost());
        step
    }

    fn update(&mut self) -> Step {
        let map = self.any_map();
        let mut step = self.key(map);
        let room = WINDOW - STATEFUL_MAPS[map].value_size as i16;
        let at = self.bytes.below(room as usize / 8 + 1) as i32 * 8;
        step.extend([
            Op::mov(Reg::R3, Reg::R10),
            alu64(AluOp::Add, Reg::R3, Src::Imm(at - i32::from(WINDOW))),
            // BPF_ANY, BPF_NOEXIST, BPF_EXIST
            Op::mov_imm(Reg::R4, self.bytes.below(3) as i32),
            Op::Call(Callee::Helper(2)),
        ]);
        step.extend(self.lost());
        step
    }

    fn delete(&mut self) -> Step {
        let map = self.any_map();
        let mut step = self.key(map);
        step.push(Op::Call(Callee::Helper(3)));
        step.extend(self.lost());
        step
    }

    /// A few computations, several times.
    fn counted_loop(&mut self) -> Step {
        let rounds = 1 + self.bytes.below(MAX_ROUNDS) as i32;
        let mut step = vec![Op::mov_imm(Reg::R5, rounds)];
        let body: Vec<Op> = (0..1 + self.bytes.below(4))
            .filter_map(|_| match body_op(self.bytes, 1) {
                Op::JumpIf { .. } | Op::Goto { .. } | Op::GotoLong { .. } => None,
                // The counter is not for others to change.
                Op::Alu { dst: Reg::R5, .. } | Op::MovSx { dst: Reg::R5, .. } => None,
                Op::Neg { dst: Reg::R5, .. } | Op::Swap { dst: Reg::R5, .. } => None,
                op => Some(op),
            })
            .collect();
        let off = -(body.len() as i16) - 2;
        step.extend(body);
        step.extend([
            alu64(AluOp::Sub, Reg::R5, Src::Imm(1)),
            Op::JumpIf { width: Width::W64, op: JmpOp::Ne, dst: Reg::R5, src: Src::Imm(0), off },
        ]);
        step
    }
}
