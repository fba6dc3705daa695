//! Why a module cannot be compiled.

use std::fmt;
use std::sync::Arc;

use skep_ir::Loc;
use skep_isa::ebpf::Cpu;

pub use crate::frame::FrameObject;
use crate::frame::STACK;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Name of the function, empty if it is none's.
    pub function: String,
    /// The place in the source.
    pub loc: Loc,
    /// The name of the source, if it is known.
    pub source: Option<Arc<str>>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A rule of the representation is broken.
    Rule {
        /// The instruction as text, if it is about one.
        inst: Option<String>,
        /// What is wrong.
        message: String,
        /// How many other rules are broken.
        more: usize,
    },
    /// A function in assembly has bytes that are no instruction.
    Assembly(String),
    /// An instruction needs a newer instruction set.
    NeedsCpu {
        /// What it does.
        what: &'static str,
        /// What it needs.
        needs: Cpu,
        /// What the module is compiled for.
        has: Cpu,
    },
    /// The frames of a chain of calls are larger than the stack.
    Stack {
        /// Bytes of all frames.
        total: u32,
        /// The chain: names of functions and bytes of their frames.
        chain: Vec<(String, u32)>,
        /// What takes most, the largest first.
        objects: Vec<FrameObject>,
    },
    /// A packet load in a function without the context among its parameters.
    NoContext,
    /// A section of variables is larger than a map.
    TooLarge(String),
    /// A variable of a `.bss` section has bytes that are not zero.
    NotZero(String),
    /// A variable is in an arena, and the module has none.
    NoArena(String),
    /// The module's types cannot be read, or types of its functions cannot be added to them.
    Types(String),
    /// The name of a program's section has no meaning, or a wrong form.
    Section(String),
    /// The code generator cannot go on; this is a mistake of its own.
    Internal(String),
}

impl Error {
    /// A problem of a whole function.
    pub(crate) fn in_function(function: &str, problem: Problem) -> Self {
        Self { function: function.to_owned(), loc: Loc::default(), source: None, problem }
    }

    /// The same at a place.
    pub(crate) fn at(mut self, loc: Loc, sources: &[skep_ir::Source]) -> Self {
        self.source = sources.get(loc.source as usize).filter(|_| loc.line > 0).map(|source| Arc::clone(&source.name));
        self.loc = loc;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}:{}:{}: ", self.loc.line, self.loc.column)?;
        }
        if !self.function.is_empty() {
            write!(f, "function `{}`: ", self.function)?;
        }
        self.problem.fmt(f)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { inst, message, more } => {
                if let Some(inst) = inst {
                    write!(f, "`{inst}`: ")?;
                }
                f.write_str(message)?;
                match more {
                    0 => Ok(()),
                    _ => write!(f, " (and {more} more)"),
                }
            }
            Self::NeedsCpu { what, needs, has } => {
                let (needs, has) = (number(*needs), number(*has));
                write!(f, "{what} needs version {needs} of the instruction set, this is compiled for {has}")
            }
            Self::Stack { total, chain, objects } => write_stack(f, *total, chain, objects),
            Self::NoContext => {
                f.write_str("packet loads need the context; give the function the program's context as a parameter")
            }
            Self::TooLarge(section) => write!(f, "the variables of section `{section}` fill more than 4 GiB"),
            Self::NotZero(name) => {
                write!(f, "variable `{name}` in `.bss` does not start with zeros; put it into `.data`")
            }
            Self::NoArena(name) => write!(
                f,
                "variable `{name}` is in an arena, but there is none; define a map of type BPF_MAP_TYPE_ARENA"
            ),
            Self::Types(problem) => write!(f, "the types of the module (BTF): {problem}"),
            Self::Section(problem) => f.write_str(problem),
            Self::Assembly(problem) => write!(f, "its assembly: {problem}"),
            Self::Internal(problem) => write!(f, "the code generator failed: {problem}"),
        }
    }
}

impl std::error::Error for Error {}

fn write_stack(
    f: &mut fmt::Formatter<'_>,
    total: u32,
    chain: &[(String, u32)],
    objects: &[FrameObject],
) -> fmt::Result {
    write!(f, "{total} bytes of stack are needed, there are {STACK}")?;
    if chain.len() > 1 {
        let frames: Vec<String> = chain.iter().map(|(name, bytes)| format!("`{name}` {bytes}")).collect();
        write!(f, " for all functions that call each other ({})", frames.join(", "))?;
    }
    f.write_str("; the largest objects:")?;
    for object in objects {
        write!(f, "\n  {:4} bytes: `{}` in `{}`", object.size, object.name, object.function)?;
        if object.loc.line > 0 {
            write!(f, ", line {}", object.loc.line)?;
        }
    }
    f.write_str("\nmove large objects to a map, a per-CPU array with one entry for example")
}

const fn number(cpu: Cpu) -> u32 {
    match cpu {
        Cpu::V1 => 1,
        Cpu::V2 => 2,
        Cpu::V3 => 3,
        Cpu::V4 => 4,
    }
}
