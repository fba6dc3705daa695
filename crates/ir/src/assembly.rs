//! Functions that are written in assembly. Their instructions are taken as they are: no pass looks into them.

use skep_isa::ebpf::Insn;

use crate::entity::{FuncRef, GlobalRef, KfuncRef, MapRef};
use crate::function::Loc;

/// The body of a function that is written in assembly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembly {
    /// The slots.
    pub insns: Vec<Insn>,
    /// Which of them refer to things of the module, in order.
    pub references: Vec<(u32, Referred)>,
    /// Where it stands.
    pub loc: Loc,
}

/// What an instruction of assembly refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Referred {
    /// A map, loaded by a 64-bit constant.
    Map(MapRef),
    /// A byte of a variable, loaded by a 64-bit constant.
    Global(GlobalRef, u32),
    /// A function of the module, called or loaded.
    Func(FuncRef),
    /// A kernel function, called.
    Kfunc(KfuncRef),
}

impl Assembly {
    /// The functions of the module that it refers to.
    pub fn functions(&self) -> impl Iterator<Item = FuncRef> + '_ {
        self.references.iter().filter_map(|(_, referred)| match referred {
            Referred::Func(func) => Some(*func),
            _ => None,
        })
    }
}
