//! Programs as data.

use std::sync::Arc;

use skep_isa::ebpf::{Insn, InsnIdx};
use skep_isa::{AttachType, ProgType};

use crate::{AttachPoint, ExternUse};

/// Position of a program in [`Object::programs`](crate::Object::programs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProgIdx(pub u32);

impl ProgIdx {
    /// Its position as an index into the vector.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Flags of loading a program (`BPF_F_*` for `BPF_PROG_LOAD` in `linux/bpf.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ProgFlags(pub u32);

impl ProgFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// The program may sleep.
    pub const SLEEPABLE: Self = Self(1 << 4);
    /// The program can handle packets in several buffers.
    pub const XDP_FRAGS: Self = Self(1 << 5);
}

/// One program: its instructions and how they are meant to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Name, at most 15 bytes reach the kernel.
    pub name: String,
    /// Program type, which determines context, helpers and where it can be attached.
    pub prog_type: ProgType,
    /// Where it is going to be attached, for types that are checked differently from place to place.
    pub attach_type: Option<AttachType>,
    /// Flags of loading.
    pub flags: ProgFlags,
    /// What it is going to be attached to, as far as the section says so.
    pub attach: AttachPoint,
    /// Whether it is loaded without being asked for: false if the section's name begins with `?`.
    pub autoload: bool,
    /// The section of the object file that it came from, which often names what to attach to, for example
    /// `kprobe/do_nanosleep`. Empty for programs that did not come from a file.
    pub section: String,
    /// Encoded instructions; a 64-bit immediate load fills two.
    pub insns: Vec<Insn>,
    /// The functions in the order of their instructions, the main function first; empty if unknown.
    pub functions: Vec<Function>,
    /// The source lines in the order of their instructions; empty if unknown.
    pub lines: Vec<Line>,
    /// Instructions that were compiled for one layout of the kernel's types and would have to be adapted to the running
    /// kernel's: [`Object::resolve`](crate::Object::resolve) does. Until then they are as compiled.
    pub core_relocations: Vec<CoreRelocation>,
    /// Instructions that refer to what only the running kernel has, in their order.
    pub externs: Vec<ExternUse>,
}

/// A function of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its first instruction.
    pub at: InsnIdx,
    /// Its name.
    pub name: Arc<str>,
    /// Its type, a number in [`Object::btf`](crate::Object::btf).
    pub ty: Option<u32>,
}

/// A source line that instructions come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The first instruction; the line holds up to that of the next one.
    pub at: InsnIdx,
    /// The source file as the compiler was given it.
    pub file: Arc<str>,
    /// Number of the line from 1; 0 if the compiler knew none.
    pub line: u32,
    /// Column from 1; 0 if the compiler knew none.
    pub column: u16,
    /// Text of the line, cut at 1,024 bytes; may be empty.
    pub text: Arc<str>,
}

/// An instruction that depends on the layout of the kernel's types (`struct bpf_core_relo` in `linux/bpf.h`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreRelocation {
    /// The instruction.
    pub at: InsnIdx,
    /// What is asked for (`enum bpf_core_relo_kind`): 0 for the offset of a member, 1 for its size, and so on.
    pub kind: u32,
    /// The type at the root of the access, a number in [`Object::btf`](crate::Object::btf).
    pub ty: u32,
    /// The path from there, numbers with colons between them.
    pub access: Arc<str>,
}

impl Program {
    /// A program of the given type, without anything that only files have.
    pub fn new(name: &str, prog_type: ProgType, insns: Vec<Insn>) -> Self {
        Self {
            name: name.to_owned(),
            prog_type,
            attach_type: None,
            flags: ProgFlags::NONE,
            attach: AttachPoint::Unspecified,
            autoload: true,
            section: String::new(),
            insns,
            functions: Vec::new(),
            lines: Vec::new(),
            core_relocations: Vec::new(),
            externs: Vec::new(),
        }
    }

    /// The source line that an instruction comes from.
    pub fn line_of(&self, at: InsnIdx) -> Option<&Line> {
        let after = self.lines.partition_point(|line| line.at <= at);
        let line = self.lines.get(after.checked_sub(1)?)?;
        // The lines of the function before say nothing about this one.
        let function = self.function_of(at).map_or(InsnIdx(0), |function| function.at);
        (line.at >= function).then_some(line)
    }

    /// The function that an instruction belongs to.
    pub fn function_of(&self, at: InsnIdx) -> Option<&Function> {
        let after = self.functions.partition_point(|function| function.at <= at);
        self.functions.get(after.checked_sub(1)?)
    }
}
