//! The code of a function: instructions whose jumps have labels instead of distances, and the final form of it.

use skep_ir::{FuncRef, KfuncRef, Loc};
use skep_isa::ebpf::Op;

/// A place that is jumped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Label(pub u32);

/// What an instruction refers to that has its place only in a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Nothing.
    None,
    /// A function of the module, called or as an address.
    Func(FuncRef),
    /// A kernel function.
    Kfunc(KfuncRef),
    /// A constant of the kernel's types.
    Core(u32),
}

/// An instruction on its way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Insn {
    /// The instruction; distances of jumps are filled in at the end.
    pub op: Op,
    /// Where it jumps.
    pub target: Option<Label>,
    /// What it refers to.
    pub link: Link,
    /// Number of registers that a call reads, from `r1` on.
    pub arguments: u8,
    /// Where it comes from.
    pub loc: Loc,
}

impl Insn {
    /// An instruction that refers to nothing.
    pub const fn new(op: Op, loc: Loc) -> Self {
        Self { op, target: None, link: Link::None, arguments: 0, loc }
    }

    /// A jump.
    pub const fn jump(op: Op, target: Label, loc: Loc) -> Self {
        Self { op, target: Some(target), link: Link::None, arguments: 0, loc }
    }
}

/// An instruction or the place of a label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item {
    /// The next instruction has this label.
    Label(Label),
    /// An instruction.
    Insn(Insn),
}

/// Code with labels.
#[derive(Debug, Clone, Default)]
pub struct Code {
    /// In order.
    pub items: Vec<Item>,
    /// Number of labels.
    pub labels: u32,
}

impl Code {
    /// A new label, which has no place yet.
    pub fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }
}
