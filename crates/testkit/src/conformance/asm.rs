//! Writing programs: short names for instructions, labels, and checks that end the program with their number.

use skep_isa::ebpf::{AluOp, Callee, Cpu, Group, Imm64, Insn, JmpOp, Op, Order, Reg, Size, Src, Width};

use super::eval;
use super::{Case, Expect, KernelVerdict};
use crate::Rng;

pub(super) use skep_isa::ebpf::Width::{W32, W64};

pub(super) const R0: Reg = Reg::R0;
pub(super) const R1: Reg = Reg::R1;
pub(super) const R2: Reg = Reg::R2;
pub(super) const R3: Reg = Reg::R3;
pub(super) const R4: Reg = Reg::R4;
pub(super) const R5: Reg = Reg::R5;
pub(super) const R6: Reg = Reg::R6;
pub(super) const R7: Reg = Reg::R7;
pub(super) const R8: Reg = Reg::R8;
pub(super) const R9: Reg = Reg::R9;
pub(super) const R10: Reg = Reg::R10;
/// The registers that a program may write.
pub(super) const REGS: [Reg; 10] = [R0, R1, R2, R3, R4, R5, R6, R7, R8, R9];
pub(super) const WIDTHS: [Width; 2] = [W32, W64];
/// The swaps, each with its sizes.
pub(super) const ORDERS: [Order; 3] = [Order::Little, Order::Big, Order::Swap];
/// What the extending moves extend from, with the widths that they exist for.
pub(super) const EXTENSIONS: [(Width, Size); 5] =
    [(W32, Size::B), (W32, Size::H), (W64, Size::B), (W64, Size::H), (W64, Size::W)];

pub(super) const fn alu(width: Width, op: AluOp, dst: Reg, src: Reg) -> Op {
    Op::Alu { width, op, dst, src: Src::Reg(src) }
}

pub(super) const fn alui(width: Width, op: AluOp, dst: Reg, imm: i32) -> Op {
    Op::Alu { width, op, dst, src: Src::Imm(imm) }
}

pub(super) const fn set(dst: Reg, value: u64) -> Op {
    Op::LoadImm { dst, value: Imm64::Value(value) }
}

pub(super) const fn load(size: Size, dst: Reg, base: Reg, off: i16) -> Op {
    Op::Load { size, signed: false, dst, base, off }
}

pub(super) const fn store(size: Size, base: Reg, off: i16, src: Reg) -> Op {
    Op::Store { size, base, off, src: Src::Reg(src) }
}

/// A conditional jump whose distance is filled in later.
pub(super) const fn jump_if(width: Width, op: JmpOp, dst: Reg, src: Src) -> Op {
    Op::JumpIf { width, op, dst, src, off: 0 }
}

pub(super) const GOTO: Op = Op::Goto { off: 0 };
pub(super) const GOTO_LONG: Op = Op::GotoLong { off: 0 };
pub(super) const CALL: Op = Op::Call(Callee::Local(0));

/// The operators that take a second operand.
pub(super) fn binary() -> impl Iterator<Item = (Width, AluOp)> {
    AluOp::ALL.iter().flat_map(|&op| WIDTHS.map(|width| (width, op)))
}

/// All operations on one register, as a constructor from result and operand; those in place have the same for both.
pub(super) fn unary(dst: Reg, src: Reg) -> Vec<Op> {
    let mut list: Vec<Op> = EXTENSIONS.map(|(width, from)| Op::MovSx { width, from, dst, src }).to_vec();
    if dst == src {
        list.extend(WIDTHS.map(|width| Op::Neg { width, dst }));
        for size in [Size::H, Size::W, Size::DW] {
            list.extend(ORDERS.map(|order| Op::Swap { order, size, dst }));
        }
    }
    list
}

/// Result of an operation on one register.
pub(super) fn unary_value(op: Op, a: u64) -> u64 {
    match op {
        Op::MovSx { width, from, .. } => eval::extend(width, from, a),
        Op::Neg { width, .. } => eval::neg(width, a),
        Op::Swap { order, size, .. } => eval::swap(order, size, a),
        _ => unreachable!("{op:?} has more than one operand"),
    }
}

/// Conformance group of an instruction.
pub(super) fn group(op: Op) -> Group {
    op.encode().first.row().map_or(Group::Linux, |row| row.group)
}

/// The registers in a random order.
pub(super) fn shuffled(rng: &mut Rng) -> [Reg; 10] {
    let mut list = REGS;
    for last in (1..list.len()).rev() {
        list.swap(last, rng.below(last + 1));
    }
    list
}

/// A place in a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// A program that is being written.
#[derive(Debug, Default)]
pub(super) struct Asm {
    insns: Vec<Insn>,
    labels: Vec<usize>,
    jumps: Vec<(usize, Label)>,
    checks: u32,
}

impl Asm {
    /// Appends an instruction.
    pub(super) fn op(&mut self, op: Op) {
        op.emit(&mut self.insns);
    }

    /// Appends instructions.
    pub(super) fn ops(&mut self, ops: &[Op]) {
        ops.iter().for_each(|&op| self.op(op));
    }

    /// Slots so far.
    pub(super) fn len(&self) -> usize {
        self.insns.len()
    }

    /// A label without a place.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        Label(self.labels.len() - 1)
    }

    /// Puts the label before the next instruction.
    pub(super) fn place(&mut self, label: Label) {
        self.labels[label.0] = self.len();
    }

    /// A label before the next instruction.
    pub(super) fn here(&mut self) -> Label {
        let label = self.label();
        self.place(label);
        label
    }

    /// A jump, local call or function address that leads to the label.
    pub(super) fn to(&mut self, op: Op, label: Label) {
        self.jumps.push((self.len(), label));
        self.op(op);
    }

    /// Ends the program with `r0 = imm`.
    pub(super) fn leave(&mut self, imm: i32) {
        self.ops(&[Op::mov_imm(R0, imm), Op::Exit]);
    }

    /// The number of the next check.
    pub(super) fn next_check(&mut self) -> i32 {
        self.checks += 1;
        self.checks as i32
    }

    /// Adds checks that a loop makes without numbers of their own.
    pub(super) fn count_checks(&mut self, checks: usize) {
        self.checks += checks as u32;
    }

    /// Ends the program with the number of the check unless the register holds the value. `temp` is another register,
    /// whose value is lost.
    pub(super) fn expect(&mut self, reg: Reg, value: u64, temp: Reg) {
        let number = self.next_check();
        let src = match eval::as_immediate(value) {
            Some(imm) => Src::Imm(imm),
            None => {
                self.op(set(temp, value));
                Src::Reg(temp)
            }
        };
        self.op(Op::JumpIf { width: W64, op: JmpOp::Eq, dst: reg, src, off: 2 });
        self.leave(number);
    }

    /// Ends the program with the number of the check unless the jump goes as expected. Changes no register. A jump
    /// that is not taken leads over another one.
    pub(super) fn expect_jump(&mut self, width: Width, op: JmpOp, dst: Reg, src: Src, taken: bool) {
        let number = self.next_check();
        if taken {
            self.op(Op::JumpIf { width, op, dst, src, off: 2 });
        } else {
            self.ops(&[Op::JumpIf { width, op, dst, src, off: 1 }, Op::Goto { off: 2 }]);
        }
        self.leave(number);
    }

    /// The case: the program as it is, expected to return `value`.
    ///
    /// # Panics
    /// If a label has no place or is too far away, which is a mistake of a generator.
    pub(super) fn case(mut self, name: String, group: Group, value: u64) -> Case {
        for (at, label) in self.jumps {
            let distance = self.labels[label.0] as i64 - at as i64 - 1;
            let insn = &mut self.insns[at];
            // Local calls, function addresses and long jumps have their distance in the immediate.
            let wide = [CALL, GOTO_LONG].map(|op| op.encode().first.code).contains(&insn.code) || insn.code == 0x18;
            if wide {
                insn.imm = i32::try_from(distance).expect("a label without a place");
            } else {
                insn.off = i16::try_from(distance).expect("a label too far away");
            }
        }
        let cpu = cpu(&self.insns);
        Case {
            name,
            insns: self.insns,
            memory: Vec::new(),
            memory_after: None,
            expect: Expect::Value(value),
            group,
            cpu,
            kernel: KernelVerdict::MayRun,
            checks: self.checks.max(1),
        }
    }

    /// The case of a program with checks: returns 0 when all hold.
    pub(super) fn checked(mut self, name: String, group: Group) -> Case {
        self.leave(0);
        self.case(name, group, 0)
    }
}

/// The first version of the instruction set with all these instructions. Slots that are none do not count.
pub(super) fn cpu(insns: &[Insn]) -> Cpu {
    insns.iter().filter_map(|insn| insn.row().ok()).map(|row| row.cpu).max().unwrap_or(Cpu::V1)
}

impl Case {
    /// With another verdict of the kernel.
    pub(super) fn kernel(self, kernel: KernelVerdict) -> Self {
        Self { kernel, ..self }
    }
}

/// Why the kernel cannot run programs that read what register 1 points to.
pub(super) const CONTEXT: KernelVerdict =
    KernelVerdict::Refuses("register 1 points to a socket buffer there and register 2 holds nothing");
