//! Instructions.

use skep_isa::helpers::{self, Effect, Helper};

use crate::entity::{Block, CoreRef, FuncRef, GlobalRef, KfuncRef, MapRef, Slot, Value};
use crate::op::{AtomicOp, Binary, Cond, Space, Unary, Width};

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

impl Callee {
    /// Whether memory that the caller sees, other than objects whose address stays with it, may differ behind a call.
    pub fn changes_memory(self) -> bool {
        self.helper().is_none_or(|helper| !matches!(helper.effect, Effect::Same | Effect::Nothing))
    }

    /// Whether a call may write to objects on the stack whose address it gets.
    pub fn writes_arguments(self) -> bool {
        self.helper().is_none_or(Helper::writes_arguments)
    }

    /// Whether a second call with the same arguments gives the same as the first, and changes nothing.
    pub fn is_steady(self) -> bool {
        self.helper().is_some_and(|helper| helper.effect == Effect::Same)
    }

    fn helper(self) -> Option<&'static Helper> {
        match self {
            Self::Helper(number) => helpers::by_id(number),
            Self::Kfunc(_) | Self::Func(_) => None,
        }
    }

    /// Whether packet pointers that were loaded before a call of a helper are worth nothing behind it. What functions do
    /// is found by looking at them.
    pub fn moves_packet(self) -> bool {
        self.helper().is_some_and(|helper| helper.effect == Effect::Packet)
    }
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
    /// An address of arena memory in the other space: as [`Space::Kernel`] a pointer to [`Memory::Arena`], as
    /// [`Space::User`] one to [`Memory::Any`], which keeps null.
    ///
    /// [`Memory::Arena`]: crate::Memory::Arena
    /// [`Memory::Any`]: crate::Memory::Any
    SpaceCast(Space, Value),
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
    /// The address of a variable of the kernel; null if there is none and it may be missing.
    KernelAddr(KfuncRef),
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

/// The one list of operands, without those of edges, for looking and for changing: `$iter` is `iter` or `iter_mut`.
macro_rules! each_operand {
    ($inst:expr, $iter:ident, $visit:expr) => {
        match $inst {
            InstData::Const(_)
            | InstData::SlotAddr(_)
            | InstData::MapAddr(_)
            | InstData::GlobalAddr(_)
            | InstData::FuncAddr(_)
            | InstData::KernelAddr(_)
            | InstData::Core(_)
            | InstData::Jump(_)
            | InstData::MayGoto { .. }
            | InstData::Unreachable => {}
            InstData::Unary(_, value)
            | InstData::SpaceCast(_, value)
            | InstData::PtrAddConst(value, _)
            | InstData::PtrToInt(value)
            | InstData::Cast(value)
            | InstData::Opaque(value)
            | InstData::Load { ptr: value, .. }
            | InstData::Fill { to: value, .. }
            | InstData::Switch { value, .. } => [value].into_iter().for_each($visit),
            InstData::Binary(_, values) | InstData::Compare(_, values) | InstData::Branch { args: values, .. } => {
                values.$iter().for_each($visit);
            }
            InstData::Select(_, values) => values.$iter().for_each($visit),
            InstData::PtrAdd(left, right)
            | InstData::PtrDiff(left, right)
            | InstData::Store { ptr: left, value: right, .. }
            | InstData::Atomic { ptr: left, value: right, .. }
            | InstData::Copy { to: left, from: right, .. } => [left, right].into_iter().for_each($visit),
            InstData::CompareExchange { ptr, expected, value, .. } => {
                [ptr, expected, value].into_iter().for_each($visit);
            }
            InstData::Call(_, args) => args.$iter().for_each($visit),
            InstData::PacketLoad { base: value, .. } | InstData::Return(value) => value.$iter().for_each($visit),
        }
    };
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
    pub fn edges(&self) -> impl DoubleEndedIterator<Item = &Edge> + Clone {
        let (first, cases, last): (_, &[(i64, Edge)], _) = match self {
            Self::Jump(edge) => (Some(edge), &[], None),
            Self::Branch { yes, no, .. } => (Some(yes), &[], Some(no)),
            Self::MayGoto { next, done } => (Some(next), &[], Some(done)),
            Self::Switch { cases, default, .. } => (None, cases, Some(default)),
            _ => (None, &[], None),
        };
        first.into_iter().chain(cases.iter().map(|case| &case.1)).chain(last)
    }

    /// The ways out, to be changed.
    pub fn edges_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Edge> {
        let (first, cases, last): (_, &mut [(i64, Edge)], _) = match self {
            Self::Jump(edge) => (Some(edge), &mut [], None),
            Self::Branch { yes, no, .. } => (Some(yes), &mut [], Some(no)),
            Self::MayGoto { next, done } => (Some(next), &mut [], Some(done)),
            Self::Switch { cases, default, .. } => (None, cases, Some(default)),
            _ => (None, &mut [], None),
        };
        first.into_iter().chain(cases.iter_mut().map(|case| &mut case.1)).chain(last)
    }

    /// Calls a function with every value that is read, arguments of edges included.
    pub fn for_each_operand(&self, mut visit: impl FnMut(Value)) {
        self.for_each_own_operand(&mut visit);
        for edge in self.edges() {
            edge.args.iter().copied().for_each(&mut visit);
        }
    }

    /// Calls a function with every value that is read, but for arguments of edges.
    pub fn for_each_own_operand(&self, mut visit: impl FnMut(Value)) {
        each_operand!(self, iter, |value: &Value| visit(*value));
    }

    /// Calls a function with every value that is read, to be changed.
    pub fn for_each_operand_mut(&mut self, mut visit: impl FnMut(&mut Value)) {
        each_operand!(self, iter_mut, &mut visit);
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
