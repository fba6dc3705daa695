//! BPF instructions over virtual registers, in basic blocks: what selection makes of a function and what registers are
//! allocated for.
//!
//! Every virtual register is defined once. A block's parameters get their values from the [`Jump`](Inst::Jump)s that lead
//! there; other terminators carry none, and lead only to blocks that no other block leads to.

use skep_ir::{FuncRef, KfuncRef, Loc, Slot};
use skep_isa::ebpf::{AluOp, AtomicOp, Imm64, JmpOp, Order, Size, Width};

/// A virtual register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VReg(pub u32);

/// A block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u32);

impl BlockId {
    /// The number as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Second operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rhs {
    /// A register.
    Reg(VReg),
    /// A constant, extended by its sign at 64 bits.
    Imm(i32),
}

/// What an address is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// A pointer in a register.
    Reg(VReg),
    /// An object of the frame.
    Slot(Slot),
    /// A pointer in a register. The distance is a constant of the kernel's types: its number in `Module::cores`.
    Core(VReg, u32),
}

/// A constant that fills a 64-bit immediate load or depends on something outside of the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symbol {
    /// A map, or a place in its value.
    Map(Imm64),
    /// The address of a function of the module.
    Func(FuncRef),
    /// The address of a variable of the kernel.
    Kernel(KfuncRef),
    /// A constant of the kernel's types: its number in the module, its local value and the width of the result.
    Core {
        /// Index in `Module::cores`.
        core: u32,
        /// Local value.
        value: i64,
        /// Width of the instruction.
        width: Width,
        /// Whether 64 bits may be needed whatever the local value is.
        wide: bool,
    },
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A helper.
    Helper(u32),
    /// A kernel function.
    Kfunc(KfuncRef),
    /// A function of the module.
    Func(FuncRef),
}

/// An instruction.
#[derive(Debug, Clone, PartialEq)]
pub enum Inst {
    /// Takes the arguments of the function out of `r1` and on.
    Params(Vec<VReg>),
    /// A number.
    Const {
        /// Result.
        dst: VReg,
        /// The number.
        value: i64,
    },
    /// The address of something, or a constant of the kernel's types.
    Symbol {
        /// Result.
        dst: VReg,
        /// What.
        symbol: Symbol,
    },
    /// An address in the frame.
    SlotAddr {
        /// Result.
        dst: VReg,
        /// The object.
        slot: Slot,
        /// Distance from its start in bytes.
        off: i32,
    },
    /// A copy; at 32 bits it clears the upper half.
    Copy {
        /// Width.
        width: Width,
        /// Result.
        dst: VReg,
        /// Operand.
        src: VReg,
    },
    /// `dst = lhs OP rhs`
    Alu {
        /// Width.
        width: Width,
        /// The operator.
        op: AluOp,
        /// Result.
        dst: VReg,
        /// First operand, whose register becomes the result's.
        lhs: VReg,
        /// Second operand; the same register as `lhs` is allowed.
        rhs: Rhs,
    },
    /// `dst = -src`
    Neg {
        /// Width.
        width: Width,
        /// Result.
        dst: VReg,
        /// Operand.
        src: VReg,
    },
    /// Swaps bytes.
    Swap {
        /// The kind.
        order: Order,
        /// Bytes.
        size: Size,
        /// Result.
        dst: VReg,
        /// Operand.
        src: VReg,
    },
    /// Extends by the sign.
    MovSx {
        /// Width of the result.
        width: Width,
        /// What is extended.
        from: Size,
        /// Result.
        dst: VReg,
        /// Operand.
        src: VReg,
    },
    /// An address of arena memory in the other space.
    SpaceCast {
        /// Whether it becomes one of user space.
        to_arena: bool,
        /// Result.
        dst: VReg,
        /// Operand.
        src: VReg,
    },
    /// Reads memory.
    Load {
        /// Bytes.
        size: Size,
        /// Extends by the sign to 64 bits.
        signed: bool,
        /// Result.
        dst: VReg,
        /// Address.
        base: Base,
        /// Distance.
        off: i16,
    },
    /// Writes memory.
    Store {
        /// Bytes.
        size: Size,
        /// Address.
        base: Base,
        /// Distance.
        off: i16,
        /// What.
        src: Rhs,
    },
    /// Read-modify-write; with a result it fetches into the register of `src`.
    Atomic {
        /// Width.
        width: Width,
        /// Operation.
        op: AtomicOp,
        /// Address.
        base: Base,
        /// Distance.
        off: i16,
        /// Operand.
        src: VReg,
        /// What was there.
        dst: Option<VReg>,
    },
    /// Compare and exchange, with `r0`.
    CompareExchange {
        /// Width.
        width: Width,
        /// Address.
        base: Base,
        /// Distance.
        off: i16,
        /// What must be there.
        expected: VReg,
        /// What is written.
        src: VReg,
        /// What was there.
        dst: VReg,
    },
    /// A packet load of socket filters.
    PacketLoad {
        /// Bytes.
        size: Size,
        /// The context, which goes to `r6`.
        ctx: VReg,
        /// First part of the offset.
        base: Option<VReg>,
        /// Second part.
        k: i32,
        /// Result.
        dst: VReg,
    },
    /// A call.
    Call {
        /// What.
        target: Target,
        /// Arguments, at most five.
        args: Vec<VReg>,
        /// Result.
        dst: Option<VReg>,
    },
    /// On to a block with the values of its parameters.
    Jump(BlockId, Vec<VReg>),
    /// To one of two blocks.
    Branch(Branch),
    /// On to the first block, or to the second when the loop ran for too long.
    MayGoto(BlockId, BlockId),
    /// Returns.
    Return(Option<VReg>),
}

/// A conditional jump. `refined` are the operands under new names, in the same registers.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Width of the comparison.
    pub width: Width,
    /// The condition.
    pub op: JmpOp,
    /// First operand.
    pub lhs: VReg,
    /// Second operand.
    pub rhs: Rhs,
    /// New names.
    pub refined: [Option<VReg>; 2],
    /// Where to if it holds.
    pub yes: BlockId,
    /// Where to if not.
    pub no: BlockId,
}

impl Inst {
    /// The blocks that it leads to.
    pub fn targets(&self) -> Vec<BlockId> {
        match self {
            Self::Jump(to, _) => vec![*to],
            // The block that is entered without a jump comes last, so that it is placed next.
            Self::Branch(branch) => vec![branch.yes, branch.no],
            Self::MayGoto(next, done) => vec![*done, *next],
            _ => Vec::new(),
        }
    }

    /// The same, to be changed.
    pub fn targets_mut(&mut self) -> Vec<&mut BlockId> {
        match self {
            Self::Jump(to, _) => vec![to],
            Self::Branch(branch) => vec![&mut branch.yes, &mut branch.no],
            Self::MayGoto(next, done) => vec![done, next],
            _ => Vec::new(),
        }
    }

    /// Whether it ends a block.
    pub const fn is_terminator(&self) -> bool {
        matches!(self, Self::Jump(..) | Self::Branch(_) | Self::MayGoto(..) | Self::Return(_))
    }
}

/// A block: parameters and instructions with their places in the source.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// Parameters.
    pub params: Vec<VReg>,
    /// Instructions; the last one is a terminator.
    pub insts: Vec<(Inst, Loc)>,
}

/// A function after selection. The first block is the entry.
#[derive(Debug, Clone, Default)]
pub struct MirFunc {
    /// Blocks.
    pub blocks: Vec<Block>,
    /// Number of virtual registers.
    pub vregs: u32,
}

impl MirFunc {
    /// The terminator of a block.
    pub fn targets(&self, block: BlockId) -> Vec<BlockId> {
        self.blocks[block.index()].insts.last().map(|(inst, _)| inst.targets()).unwrap_or_default()
    }

    /// Puts the blocks into reverse postorder, so that each comes behind those that lead to it except at loops, and drops
    /// those that cannot be reached.
    pub fn sort_blocks(&mut self) {
        let order = self.reverse_postorder();
        let mut new = vec![None; self.blocks.len()];
        for (number, block) in (0..).zip(&order) {
            new[block.index()] = Some(BlockId(number));
        }
        let mut blocks: Vec<Block> =
            order.iter().map(|block| std::mem::take(&mut self.blocks[block.index()])).collect();
        for (inst, _) in blocks.iter_mut().filter_map(|block| block.insts.last_mut()) {
            for target in inst.targets_mut() {
                *target = new[target.index()].unwrap_or(*target);
            }
        }
        self.blocks = blocks;
    }

    fn reverse_postorder(&self) -> Vec<BlockId> {
        let mut seen = vec![false; self.blocks.len()];
        let mut order = Vec::new();
        let mut stack = vec![(BlockId(0), self.targets(BlockId(0)), 0)];
        seen[0] = true;
        while let Some((block, targets, next)) = stack.last_mut() {
            let Some(&target) = targets.get(*next) else {
                order.push(*block);
                stack.pop();
                continue;
            };
            *next += 1;
            if !std::mem::replace(&mut seen[target.index()], true) {
                stack.push((target, self.targets(target), 0));
            }
        }
        order.reverse();
        order
    }
}
