//! Programs as data.

use skep_isa::ProgType;
use skep_isa::ebpf::Insn;

/// One program: its instructions and how they are meant to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Name, at most 15 bytes reach the kernel.
    pub name: String,
    /// Program type, which determines context, helpers and where it can be attached.
    pub prog_type: ProgType,
    /// Encoded instructions; a 64-bit immediate load fills two.
    pub insns: Vec<Insn>,
}

impl Program {
    /// A program of the given type.
    pub fn new(name: &str, prog_type: ProgType, insns: Vec<Insn>) -> Self {
        Self { name: name.to_owned(), prog_type, insns }
    }
}
