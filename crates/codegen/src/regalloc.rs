//! Register allocation: regalloc2 behind one function.
//!
//! `r0` to `r5` are taken first: they are free as long as nothing is called. `r6` to `r9` survive calls. No register is
//! set aside for moves; `r10` belongs to the frame.

use regalloc2::{
    Allocation as Place, Block, Edit, Function, Inst as InstNumber, InstPosition, InstRange, MachineEnv, Operand,
    Output, PReg, PRegSet, RegAllocError, RegClass, RegallocOptions, VReg as Virtual,
};
use skep_isa::ebpf::Reg;

use crate::mir::{Base, BlockId, Inst, MirFunc, Rhs, VReg};

/// Where everything is.
#[derive(Debug, Clone, Default)]
pub struct Allocation {
    /// For each instruction, counted through all blocks, the registers of its operands in the order of
    /// [`operands`].
    regs: Vec<Reg>,
    starts: Vec<u32>,
    /// Moves in front of instructions, in order.
    pub moves: Vec<(u32, Move)>,
    /// Number of places in the frame for registers.
    pub spills: u32,
}

/// A move between instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// `to = from`
    Copy {
        /// Target.
        to: Reg,
        /// Source.
        from: Reg,
    },
    /// A register to a place in the frame.
    Spill {
        /// Number of the place.
        to: u32,
        /// Source.
        from: Reg,
    },
    /// A place in the frame to a register.
    Fill {
        /// Target.
        to: Reg,
        /// Number of the place.
        from: u32,
    },
}

impl Allocation {
    /// The registers of an instruction's operands.
    pub fn operands(&self, inst: usize) -> &[Reg] {
        &self.regs[self.starts[inst] as usize..self.starts[inst + 1] as usize]
    }
}

/// Finds a place for every virtual register.
///
/// # Errors
/// What the allocator says of a function that breaks the rules of [`MirFunc`]: an error of ours.
pub fn allocate(func: &MirFunc) -> Result<Allocation, RegAllocError> {
    let adapter = Adapter::new(func);
    let options = RegallocOptions { validate_ssa: cfg!(debug_assertions), ..RegallocOptions::default() };
    let output = regalloc2::run(&adapter, &environment(), &options)?;
    #[cfg(test)]
    check(&adapter, &output);
    Ok(convert(&adapter, &output))
}

/// Follows every value through the allocation.
#[cfg(test)]
fn check(adapter: &Adapter, output: &Output) {
    let env = environment();
    let mut checker = regalloc2::checker::Checker::new(adapter, &env);
    checker.prepare(output);
    if let Err(errors) = checker.run() {
        panic!("wrong allocation: {errors:?}");
    }
}

fn convert(adapter: &Adapter, output: &Output) -> Allocation {
    let mut allocation = Allocation { starts: vec![0], ..Allocation::default() };
    allocation.spills = u32::try_from(output.num_spillslots).unwrap_or(u32::MAX);
    for inst in 0..adapter.num_insts() {
        let regs = output.inst_allocs(InstNumber::new(inst)).iter().filter_map(|place| place.as_reg().map(reg));
        allocation.regs.extend(regs);
        allocation.starts.push(u32::try_from(allocation.regs.len()).unwrap_or(u32::MAX));
    }
    for (point, Edit::Move { from, to }) in &output.edits {
        // Behind an instruction is in front of the next one.
        let after = u32::from(point.pos() == InstPosition::After);
        if let Some(edit) = one_move(*from, *to) {
            allocation.moves.push((point.inst().index() as u32 + after, edit));
        }
    }
    allocation
}

fn one_move(from: Place, to: Place) -> Option<Move> {
    match (from.as_reg(), from.as_stack(), to.as_reg(), to.as_stack()) {
        (Some(from), _, Some(to), _) if from == to => None,
        (Some(from), _, Some(to), _) => Some(Move::Copy { to: reg(to), from: reg(from) }),
        (Some(from), _, _, Some(to)) => Some(Move::Spill { to: to.index() as u32, from: reg(from) }),
        (_, Some(from), Some(to), _) => Some(Move::Fill { to: reg(to), from: from.index() as u32 }),
        _ => None,
    }
}

fn environment() -> MachineEnv {
    let set = |numbers: std::ops::Range<usize>| {
        let mut set = PRegSet::empty();
        numbers.for_each(|number| set.add(fixed(number)));
        set
    };
    MachineEnv {
        preferred_regs_by_class: [set(0..6), PRegSet::empty(), PRegSet::empty()],
        non_preferred_regs_by_class: [set(6..10), PRegSet::empty(), PRegSet::empty()],
        scratch_by_class: [None; 3],
        fixed_stack_slots: Vec::new(),
    }
}

const fn fixed(number: usize) -> PReg {
    PReg::new(number, RegClass::Int)
}

fn reg(preg: PReg) -> Reg {
    u8::try_from(preg.hw_enc()).ok().and_then(Reg::new).unwrap_or(Reg::R10)
}

const fn virt(reg: VReg) -> Virtual {
    Virtual::new(reg.0 as usize, RegClass::Int)
}

/// The function as the allocator wants to see it.
struct Adapter {
    blocks: Vec<BlockShape>,
    operands: Vec<Operand>,
    starts: Vec<u32>,
    clobbers: Vec<PRegSet>,
    vregs: usize,
    /// Number of the last instruction of a block: what it is.
    ends: Vec<End>,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    No,
    Branch,
    Return,
}

#[derive(Default)]
struct BlockShape {
    first: usize,
    end: usize,
    succs: Vec<Block>,
    preds: Vec<Block>,
    params: Vec<Virtual>,
    args: Vec<Virtual>,
}

impl Adapter {
    fn new(func: &MirFunc) -> Self {
        let mut adapter = Self {
            blocks: Vec::with_capacity(func.blocks.len()),
            operands: Vec::new(),
            starts: vec![0],
            clobbers: Vec::new(),
            vregs: func.vregs as usize,
            ends: Vec::new(),
        };
        for block in &func.blocks {
            let mut shape = BlockShape { first: adapter.clobbers.len(), ..BlockShape::default() };
            shape.params = block.params.iter().copied().map(virt).collect();
            for (inst, _) in &block.insts {
                operands(inst, &mut adapter.operands);
                adapter.starts.push(u32::try_from(adapter.operands.len()).unwrap_or(u32::MAX));
                adapter.clobbers.push(clobbers(inst));
                adapter.ends.push(match inst {
                    Inst::Return(_) => End::Return,
                    inst if inst.is_terminator() => End::Branch,
                    _ => End::No,
                });
                if let Inst::Jump(_, args) = inst {
                    shape.args = args.iter().copied().map(virt).collect();
                }
            }
            shape.end = adapter.clobbers.len();
            adapter.blocks.push(shape);
        }
        for number in 0..func.blocks.len() {
            let id = BlockId(u32::try_from(number).unwrap_or(u32::MAX));
            for target in func.targets(id) {
                adapter.blocks[number].succs.push(Block::new(target.index()));
                adapter.blocks[target.index()].preds.push(Block::new(number));
            }
        }
        adapter
    }
}

/// The operands of an instruction. Emission reads the registers in the same order.
fn operands(inst: &Inst, out: &mut Vec<Operand>) {
    let start = out.len();
    let early = |reg: &VReg| Operand::reg_use(virt(*reg));
    let late = |reg: &VReg| Operand::reg_use_at_end(virt(*reg));
    let def = |reg: &VReg| Operand::reg_def(virt(*reg));
    let base = |base: &Base, operand: fn(Virtual) -> Operand| match base {
        Base::Reg(reg) | Base::Core(reg, _) => Some(operand(virt(*reg))),
        Base::Slot(_) => None,
    };
    match inst {
        Inst::Params(params) => {
            out.extend(params.iter().zip(1..).map(|(param, n)| Operand::reg_fixed_def(virt(*param), fixed(n))));
        }
        Inst::Const { dst, .. } | Inst::Symbol { dst, .. } | Inst::SlotAddr { dst, .. } => out.push(def(dst)),
        Inst::Copy { dst, src, .. } | Inst::MovSx { dst, src, .. } | Inst::SpaceCast { dst, src, .. } => {
            out.extend([early(src), def(dst)])
        }
        Inst::Neg { dst, src, .. } | Inst::Swap { dst, src, .. } => {
            out.extend([early(src), Operand::reg_reuse_def(virt(*dst), 0)]);
        }
        Inst::Alu { dst, lhs, rhs, .. } => {
            out.extend([early(lhs), Operand::reg_reuse_def(virt(*dst), 0)]);
            // The second operand is read when the first one's register already is the result's.
            match rhs {
                Rhs::Reg(rhs) if rhs != lhs => out.push(late(rhs)),
                _ => {}
            }
        }
        Inst::Load { dst, base: place, .. } => {
            out.push(def(dst));
            out.extend(base(place, Operand::reg_use));
        }
        Inst::Store { base: place, src, .. } => {
            if let Rhs::Reg(src) = src {
                out.push(early(src));
            }
            out.extend(base(place, Operand::reg_use));
        }
        Inst::Atomic { base: place, src, dst, .. } => {
            out.push(early(src));
            match dst {
                Some(dst) => {
                    out.push(Operand::reg_reuse_def(virt(*dst), 0));
                    out.extend(base(place, Operand::reg_use_at_end));
                }
                None => out.extend(base(place, Operand::reg_use)),
            }
        }
        Inst::CompareExchange { base: place, expected, src, dst, .. } => {
            out.push(Operand::reg_fixed_use(virt(*expected), fixed(0)));
            out.push(Operand::reg_fixed_def(virt(*dst), fixed(0)));
            out.push(late(src));
            out.extend(base(place, Operand::reg_use_at_end));
        }
        Inst::PacketLoad { ctx, base: index, dst, .. } => {
            out.push(Operand::reg_fixed_use(virt(*ctx), fixed(6)));
            out.push(Operand::reg_fixed_def(virt(*dst), fixed(0)));
            out.extend(index.as_ref().map(early));
        }
        Inst::Call { args, dst, .. } => {
            out.extend(args.iter().zip(1..).map(|(arg, n)| Operand::reg_fixed_use(virt(*arg), fixed(n))));
            out.extend(dst.map(|dst| Operand::reg_fixed_def(virt(dst), fixed(0))));
        }
        Inst::Jump(..) | Inst::MayGoto(..) | Inst::Return(None) => {}
        Inst::Branch(branch) => {
            out.push(early(&branch.lhs));
            if let Rhs::Reg(rhs) = &branch.rhs {
                out.push(early(rhs));
            }
            for (name, index) in branch.refined.iter().zip(0..) {
                out.extend(name.map(|name| Operand::reg_reuse_def(virt(name), index)));
            }
        }
        Inst::Return(Some(value)) => out.push(Operand::reg_fixed_use(virt(*value), fixed(0))),
    }
    debug_assert!(out.len() >= start);
}

/// What a call loses besides its result.
fn clobbers(inst: &Inst) -> PRegSet {
    let first = match inst {
        Inst::Call { dst: None, .. } => 0,
        Inst::Call { dst: Some(_), .. } | Inst::PacketLoad { .. } => 1,
        _ => return PRegSet::empty(),
    };
    let mut set = PRegSet::empty();
    (first..6).for_each(|number| set.add(fixed(number)));
    set
}

impl Function for Adapter {
    fn num_insts(&self) -> usize {
        self.clobbers.len()
    }

    fn num_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn entry_block(&self) -> Block {
        Block::new(0)
    }

    fn block_insns(&self, block: Block) -> InstRange {
        let shape = &self.blocks[block.index()];
        InstRange::new(InstNumber::new(shape.first), InstNumber::new(shape.end))
    }

    fn block_succs(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].succs
    }

    fn block_preds(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].preds
    }

    fn block_params(&self, block: Block) -> &[Virtual] {
        &self.blocks[block.index()].params
    }

    fn is_ret(&self, inst: InstNumber) -> bool {
        self.ends[inst.index()] == End::Return
    }

    fn is_branch(&self, inst: InstNumber) -> bool {
        self.ends[inst.index()] == End::Branch
    }

    fn branch_blockparams(&self, block: Block, _: InstNumber, _: usize) -> &[Virtual] {
        &self.blocks[block.index()].args
    }

    fn inst_operands(&self, inst: InstNumber) -> &[Operand] {
        &self.operands[self.starts[inst.index()] as usize..self.starts[inst.index() + 1] as usize]
    }

    fn inst_clobbers(&self, inst: InstNumber) -> PRegSet {
        self.clobbers[inst.index()]
    }

    fn num_vregs(&self) -> usize {
        self.vregs
    }

    fn spillslot_size(&self, _: RegClass) -> usize {
        1
    }
}
