//! Instructions.

use crate::entity::{Block, CoreRef, FuncRef, GlobalRef, KfuncRef, MapRef, Slot, Value};
use crate::op::{AtomicOp, Binary, Cond, Unary, Width};

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Callee {
    /// A helper by its number (`skep_isa::helpers`).
    Helper(u32),
    /// A kernel function by its name.
    Kfunc(KfuncRef),
    /// A function of the module.
    Func(FuncRef),
}

/// A way to a block, with the values of its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Edge {
    /// The block.
    pub block: Block,
    /// As many values as it has parameters.
    pub args: Vec<Value>,
}

impl Edge {
    /// A way to a block without parameters.
    pub const fn to(block: Block) -> Self {
        Self { block, args: Vec::new() }
    }
}

/// An instruction. Types of operands are those that the rules in [`verify`](mod@crate::verify) name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum InstData {
    /// An integer of the type of the result, for 32 bits cut to them. A nullable pointer with the value 0 is null.
    Const(i64),
    /// One operand.
    Unary(Unary, Value),
    /// Two operands.
    Binary(Binary, [Value; 2]),
    /// 1 if the comparison holds, else 0, as an `i64`.
    Compare(Cond, [Value; 2]),
    /// The third value if the comparison of the first two holds, else the fourth.
    Select(Cond, [Value; 4]),
    /// A pointer with an `i64` added.
    PtrAdd(Value, Value),
    /// A pointer with a constant number of bytes added.
    PtrAddConst(Value, i32),
    /// The distance in bytes of two pointers into the same memory, or of packet pointers: an `i64`.
    PtrDiff(Value, Value),
    /// The address as an integer.
    PtrToInt(Value),
    /// An `i64`, or a pointer whose class is forgotten, as a pointer to [`Memory::Any`](crate::Memory::Any).
    Cast(Value),
    /// The same value, of which no pass may know more than its type.
    Opaque(Value),
    /// Reads memory. Fewer bits than the result has are extended by zeros, or by their sign.
    Load {
        /// Bytes to read.
        width: Width,
        /// Whether they are extended by their sign.
        signed: bool,
        /// Where, plus `off` bytes.
        ptr: Value,
        /// Distance in bytes.
        off: i16,
        /// Whether the access has to stay as it is, where it is.
        volatile: bool,
    },
    /// Writes the lowest bits of a value to memory.
    Store {
        /// Bytes to write.
        width: Width,
        /// Where, plus `off` bytes.
        ptr: Value,
        /// Distance in bytes.
        off: i16,
        /// What.
        value: Value,
        /// Whether the access has to stay as it is, where it is.
        volatile: bool,
    },
    /// Changes memory in one step; the result, if there is one, is what was there.
    Atomic {
        /// How.
        op: AtomicOp,
        /// 32 or 64 bits.
        width: Width,
        /// Where, plus `off` bytes; aligned.
        ptr: Value,
        /// Distance in bytes.
        off: i16,
        /// The operand.
        value: Value,
    },
    /// Writes `value` if memory holds `expected`; the result is what was there.
    CompareExchange {
        /// 32 or 64 bits.
        width: Width,
        /// Where, plus `off` bytes; aligned.
        ptr: Value,
        /// Distance in bytes.
        off: i16,
        /// What must be there.
        expected: Value,
        /// What is written then.
        value: Value,
    },
    /// Copies bytes. The two places must not overlap.
    Copy {
        /// To where.
        to: Value,
        /// From where.
        from: Value,
        /// How many bytes.
        len: u32,
        /// Of which both addresses are multiples: 1, 2, 4 or 8.
        align: u8,
    },
    /// Fills bytes.
    Fill {
        /// Where.
        to: Value,
        /// How many bytes.
        len: u32,
        /// With what.
        byte: u8,
        /// Of which the address is a multiple: 1, 2, 4 or 8.
        align: u8,
    },
    /// Packet data at `base + k` in host order by the legacy loads of socket filters; ends the program with 0 outside of
    /// the packet.
    PacketLoad {
        /// 1, 2 or 4 bytes.
        width: Width,
        /// First part of the offset, an `i32`.
        base: Option<Value>,
        /// Second part.
        k: i32,
    },
    /// The address of an object on the stack.
    SlotAddr(Slot),
    /// A map.
    MapAddr(MapRef),
    /// The address of a variable.
    GlobalAddr(GlobalRef),
    /// The address of a function, for helpers that call back.
    FuncAddr(FuncRef),
    /// A constant that depends on the kernel's types.
    Core(CoreRef),
    /// A call. It ends the life of packet pointers if the callee moves the packet.
    Call(Callee, Vec<Value>),

    /// On to another block.
    Jump(Edge),
    /// To one of two blocks. The results, if there are any, are the operands again, under names that are known to have
    /// been compared: uses behind the branch take those (see [mod@crate::verify]).
    Branch {
        /// The comparison.
        cond: Cond,
        /// Its operands.
        args: [Value; 2],
        /// Where to if it holds.
        yes: Edge,
        /// Where to if not.
        no: Edge,
    },
    /// To the block of the case that equals an integer.
    Switch {
        /// The integer.
        value: Value,
        /// The cases, each number once.
        cases: Vec<(i64, Edge)>,
        /// Where to otherwise.
        default: Edge,
    },
    /// On to `next`, or to `done` when the loop has run for too long (`may_goto`, Linux 6.9).
    MayGoto {
        /// The loop.
        next: Edge,
        /// Behind it.
        done: Edge,
    },
    /// Returns from the function.
    Return(Option<Value>),
    /// Control never gets here, and the verifier must see that.
    Unreachable,
}

impl InstData {
    /// Whether it ends a block.
    pub const fn is_terminator(&self) -> bool {
        matches!(
            self,
            Self::Jump(_)
                | Self::Branch { .. }
                | Self::Switch { .. }
                | Self::MayGoto { .. }
                | Self::Return(_)
                | Self::Unreachable
        )
    }

    /// The ways out, in the order of the text form.
    pub fn edges(&self) -> Vec<&Edge> {
        match self {
            Self::Jump(edge) => vec![edge],
            Self::Branch { yes, no, .. } => vec![yes, no],
            Self::MayGoto { next, done } => vec![next, done],
            Self::Switch { cases, default, .. } => cases.iter().map(|case| &case.1).chain([default]).collect(),
            _ => Vec::new(),
        }
    }

    /// The ways out, to be changed.
    pub fn edges_mut(&mut self) -> Vec<&mut Edge> {
        match self {
            Self::Jump(edge) => vec![edge],
            Self::Branch { yes, no, .. } => vec![yes, no],
            Self::MayGoto { next, done } => vec![next, done],
            Self::Switch { cases, default, .. } => cases.iter_mut().map(|case| &mut case.1).chain([default]).collect(),
            _ => Vec::new(),
        }
    }

    /// Calls a function with every value that is read, arguments of edges included.
    pub fn for_each_operand(&self, mut visit: impl FnMut(Value)) {
        // One list of operands for both directions.
        let mut copy = self.clone();
        copy.for_each_operand_mut(|value| visit(*value));
    }

    /// Calls a function with every value that is read, to be changed.
    pub fn for_each_operand_mut(&mut self, mut visit: impl FnMut(&mut Value)) {
        match self {
            Self::Const(_)
            | Self::SlotAddr(_)
            | Self::MapAddr(_)
            | Self::GlobalAddr(_)
            | Self::FuncAddr(_)
            | Self::Core(_)
            | Self::Jump(_)
            | Self::MayGoto { .. }
            | Self::Unreachable => {}
            Self::Unary(_, value)
            | Self::PtrAddConst(value, _)
            | Self::PtrToInt(value)
            | Self::Cast(value)
            | Self::Opaque(value) => visit(value),
            Self::Binary(_, values) | Self::Compare(_, values) => values.iter_mut().for_each(&mut visit),
            Self::Select(_, values) => values.iter_mut().for_each(&mut visit),
            Self::PtrAdd(left, right) | Self::PtrDiff(left, right) => [left, right].into_iter().for_each(&mut visit),
            Self::Load { ptr, .. } => visit(ptr),
            Self::Store { ptr, value, .. } | Self::Atomic { ptr, value, .. } => {
                [ptr, value].into_iter().for_each(&mut visit);
            }
            Self::CompareExchange { ptr, expected, value, .. } => {
                [ptr, expected, value].into_iter().for_each(&mut visit);
            }
            Self::Copy { to, from, .. } => [to, from].into_iter().for_each(&mut visit),
            Self::Fill { to, .. } => visit(to),
            Self::PacketLoad { base, .. } => base.iter_mut().for_each(&mut visit),
            Self::Call(_, args) => args.iter_mut().for_each(&mut visit),
            Self::Branch { args, .. } => args.iter_mut().for_each(&mut visit),
            Self::Switch { value, .. } => visit(value),
            Self::Return(value) => value.iter_mut().for_each(&mut visit),
        }
        for edge in self.edges_mut() {
            edge.args.iter_mut().for_each(&mut visit);
        }
    }

    /// Whether it does something besides computing its result: it must stay even if nothing reads that.
    pub const fn has_effect(&self) -> bool {
        match self {
            Self::Store { .. }
            | Self::Atomic { .. }
            | Self::CompareExchange { .. }
            | Self::Copy { .. }
            | Self::Fill { .. }
            | Self::PacketLoad { .. }
            | Self::Opaque(_)
            | Self::Call(..) => true,
            Self::Load { volatile, .. } => *volatile,
            data => data.is_terminator(),
        }
    }

    /// Whether equal operands always give an equal result, so that one of two is enough: no memory is read.
    pub const fn is_pure(&self) -> bool {
        !self.has_effect() && !matches!(self, Self::Load { .. })
    }
}
